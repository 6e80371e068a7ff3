# start.S - M-mode from the reset of hart 0: a stack, main(), the finisher; and a trap entry that saves everything
    .section .text.start, "ax"
    .global _start
_start:
    csrr t0, mhartid
1:  bnez t0, 1b
    la sp, stack_top
    la t0, trap_entry
    csrw mtvec, t0
    li t0, 0x6000
    csrs mstatus, t0
    call main
    .global finish
finish:
    li t0, 0x100000
    li t1, 0x5555
    sw t1, (t0)
2:  j 2b

# Both modes' traps come here, with the stack of the trap in the scratch register's place: a fixed one.
    .macro ENTRY name, epc, cause, tval, status, scratch, handler, ret
    .balign 4
    .global \name
\name:
    csrw \scratch, sp
    la sp, trap_stack_top
    addi sp, sp, -256
    .irp r, 1,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31
    sd x\r, 8*\r(sp)
    .endr
    csrr t0, \scratch
    sd t0, 16(sp)
    csrr a0, \cause
    csrr a1, \epc
    csrr a2, \tval
    csrr a3, \status
    mv a4, sp
    call \handler
    csrw \epc, a0
    ld t0, 16(sp)
    csrw \scratch, t0
    .irp r, 1,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31
    ld x\r, 8*\r(sp)
    .endr
    csrr sp, \scratch
    \ret
    .endm

    .text
    ENTRY trap_entry, mepc, mcause, mtval, mstatus, mscratch, m_trap, mret
    ENTRY s_entry, sepc, scause, stval, sstatus, sscratch, s_trap, sret

# void run_in(int mode, void (*fn)(void)): mret to fn; its return makes an ecall, for which m_trap() comes back here.
    .global run_in
run_in:
    addi sp, sp, -256
    .irp r, 1,8,9,18,19,20,21,22,23,24,25,26,27
    sd x\r, 8*\r(sp)
    .endr
    li t0, 0x1800
    csrc mstatus, t0
    slli a0, a0, 11
    csrs mstatus, a0
    la t0, back_sp
    sd sp, (t0)
    la t0, back_pc
    la t1, 2f
    sd t1, (t0)
    csrw mepc, a1
    la ra, 1f
    mret
1:  li a7, 77
    ecall
2:  .irp r, 1,8,9,18,19,20,21,22,23,24,25,26,27
    ld x\r, 8*\r(sp)
    .endr
    addi sp, sp, 256
    ret

    .bss
    .balign 16
    .space 8192
stack_top:
    .space 8192
trap_stack_top:
