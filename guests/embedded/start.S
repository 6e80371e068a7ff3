/*
 * start.S - where the embedded guest is entered: by the boot protocol, by started harts, by traps
 *
 * The head is that of a Linux Image (Documentation/arch/riscv/boot-image-header.rst), so that whatever loads Linux loads this.
 *
 *   boot, on one hart:   a0 = hart, a1 = device tree, satp = 0
 *   a hart by HSM:       a0 = hart, a1 = its struct hart
 *   sscratch             this hart's struct hart, always; tp has it, too, while the guest's own code runs
 */
#include "offsets.h"

    .section .head, "ax"
    .option norvc
    .globl _start
_start:
    j start
    .word 0
    .dword 0x200000         /* offset from the start of RAM */
    .dword _end - _start
    .dword 0                /* little-endian */
    .word 2, 0              /* version 0.2 */
    .dword 0
    .ascii "RISCV\0\0\0"
    .ascii "RSC\005"
    .word 0
    .option rvc

    .text
start:
    la t0, __bss_start
    la t1, __bss_end
1:  bgeu t0, t1, 2f
    sd zero, 0(t0)
    addi t0, t0, 8
    j 1b
2:  la sp, _end             /* until its struct hart is known */
    call hart_of            /* (hart, device tree): its struct hart */
    mv tp, a0
    ld sp, H_STACK(tp)
    call settle
    call main
    j .

    .globl hart_entry
hart_entry:
    mv tp, a1
    ld sp, H_STACK(tp)
    call settle
    call hart_main
    j .

settle:
    csrw sie, zero
    csrw sscratch, tp
    la t0, trap_vector
    csrw stvec, t0
    ret

/* Vectored mode's table: an interrupt's entry notes that it came this way. */
    .balign 256
    .globl vector_table
vector_table:
    .option norvc
    j trap_vector
    .rept 15
    j vectored
    .endr
    .option rvc
vectored:
    sd t0, H_T0(tp)         /* in the guest's own code only: tp is good */
    li t0, 1
    sd t0, H_VECTORED(tp)
    ld t0, H_T0(tp)
    j trap_vector

    .balign 4
    .globl trap_vector
trap_vector:
    csrrw tp, sscratch, tp
    sd sp, H_SP(tp)
    sd t0, H_T0(tp)
    csrr t0, sstatus
    andi t0, t0, 0x100
    bnez t0, 1f
    ld sp, H_KSP(tp)
1:  addi sp, sp, -FRAME
    sd x1, 8(sp)
    sd x3, 24(sp)
    .irp r, 6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31
    sd x\r, 8*\r(sp)
    .endr
    ld t0, H_SP(tp)
    sd t0, 16(sp)
    csrr t0, sscratch
    sd t0, 32(sp)
    ld t0, H_T0(tp)
    sd t0, 40(sp)
    csrw sscratch, tp
    csrr t0, sepc
    sd t0, 256(sp)
    csrr t0, sstatus
    sd t0, 264(sp)
    csrr t0, scause
    sd t0, 272(sp)
    csrr t0, stval
    sd t0, 280(sp)
    mv a0, sp
    call trap
    ld t0, 256(sp)
    csrw sepc, t0
    ld t0, 264(sp)
    csrw sstatus, t0
    ld x1, 8(sp)
    ld x3, 24(sp)
    ld x4, 32(sp)
    .irp r, 5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31
    ld x\r, 8*\r(sp)
    .endr
    ld sp, 16(sp)
    sret

/* call_at(address): jump there as to a function; a fetch fault there comes back, too */
    .globl call_at
call_at:
    addi sp, sp, -16
    sd ra, 0(sp)
    la t0, 1f
    sd t0, H_RESUME(tp)
    jalr a0
1:  sd zero, H_RESUME(tp)
    ld ra, 0(sp)
    addi sp, sp, 16
    ret

/* run_user(pc, a0): U-mode until its first trap, which the struct hart then has */
    .globl run_user
run_user:
    addi sp, sp, -112
    sd ra, 0(sp)
    .irp r, 0,1,2,3,4,5,6,7,8,9,10,11
    sd s\r, 8+8*\r(sp)
    .endr
    sd sp, H_KSP(tp)
    csrw sepc, a0
    li t0, 0x120            /* SPP, SPIE: to U-mode, and there interrupts are on whatever SIE says */
    csrc sstatus, t0
    mv a0, a1
    sret
    .globl user_back
user_back:
    ld ra, 0(sp)
    .irp r, 0,1,2,3,4,5,6,7,8,9,10,11
    ld s\r, 8+8*\r(sp)
    .endr
    addi sp, sp, 112
    ret

/* Small functions that are copied to pages of the tests: what they do is in their first four bytes. */
    .balign 4
    .option norvc
    .globl code_ret, code_user_ecall, code_user_time, code_user_load, code_user_sret, code_user_ebreak, code_end
code_ret:                   /* returns 42 */
    li a0, 42
    ret
code_user_ecall:
    addi a0, a0, 1
    ecall
code_user_time:
    rdtime a0
    ecall
code_user_load:
    ld a0, 0(a0)
    ecall
code_user_sret:
    sret
    ecall
code_user_ebreak:
    ebreak
    ecall
code_end:
    .option rvc
