/*
 * start.S - M-mode: entry, the way into a stream of random instructions and back, and its traps
 *
 * While a stream runs s10 (x26) points to `save`, and s9 and s11 (x25, x27) are not its own, either: s9 is free for the trap's
 * first instructions, and s11 follows the stream, so that execution can be resumed wherever a jump has gone.
 */
#define S_MSTATUS 256
#define S_PC 264
#define S_SP 272

    .section .head, "ax"
    .option norvc
    .globl _start, seed, rounds, shown
_start:
    j start
    .balign 8
seed:   .dword 1            /* at 8, 16 and 24: the test writes them into the file */
rounds: .dword 10
shown:  .dword -1           /* a round to show in full */

    .text
start:
    csrr t0, mhartid
    beqz t0, 2f
1:  wfi
    j 1b
2:
    la sp, stack_end
    la t0, __bss_start
    la t1, __bss_end
3:  bgeu t0, t1, 4f
    sd zero, 0(t0)
    addi t0, t0, 8
    j 3b
4:  la t0, trap
    csrw mtvec, t0
    li t0, 0x6000           /* FS */
    csrs mstatus, t0
    call main
    j .

/* run(mstatus, pc): registers as `save` has them; comes back when on_trap() says so */
    .globl run
run:
    addi sp, sp, -112
    sd ra, 0(sp)
    .irp r, 0,1,2,3,4,5,6,7,8,9,10,11
    sd s\r, 8+8*\r(sp)
    .endr
    la s10, save
    sd sp, S_SP(s10)
resume:                     /* a0: mstatus, a1: pc */
    csrw mepc, a1
    mv s9, a0
    .irp r, 1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,27,28,29,30,31
    ld x\r, 8*\r(s10)
    .endr
    csrw mstatus, s9        /* last: MPRV concerns loads */
    mret

    .balign 4
trap:
    lui s9, 0x20            /* MPRV off, or the stores go elsewhere */
    csrrc s9, mstatus, s9
    .irp r, 1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,27,28,29,30,31
    sd x\r, 8*\r(s10)
    .endr
    sd s9, S_MSTATUS(s10)
    ld sp, S_SP(s10)
    call on_trap
    bnez a0, 1f
    ld a0, S_MSTATUS(s10)
    ld a1, S_PC(s10)
    j resume
1:  ld sp, S_SP(s10)
    ld ra, 0(sp)
    .irp r, 0,1,2,3,4,5,6,7,8,9,10,11
    ld s\r, 8+8*\r(sp)
    .endr
    addi sp, sp, 112
    ret

    .section .bss
    .balign 16
stack:
    .skip 16384
stack_end:
