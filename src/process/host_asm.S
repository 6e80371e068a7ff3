/*
 * host_asm.S - the few instructions whose addresses the signal handler must know
 *
 * host_syscall_asm: see host.h and signal.c.
 *
 *   start:  is a signal taken?       a handler that interrupts from here ...
 *   insn:   syscall                  ... to here (the kernel also points here when it wants the call restarted after
 *   end:    ret                      the handler) moves the thread to `abort`. From `end` on the call has happened.
 *
 * host_cmpxchg32: touches guest memory; a fault inside moves the thread to `fault`.
 */
        .section .text.hot, "ax", @progbits /* base/hot.h */

/* int64_t host_syscall_asm(const volatile uint32_t *attention, long nr, const uint64_t args[6]) */
        .globl  host_syscall_asm
        .type   host_syscall_asm, @function
        .globl  host_syscall_start, host_syscall_insn, host_syscall_abort
host_syscall_asm:
        mov     %rdi, %r11
        mov     %rsi, %rax
        mov     (%rdx), %rdi
        mov     8(%rdx), %rsi
        mov     24(%rdx), %r10
        mov     32(%rdx), %r8
        mov     40(%rdx), %r9
        mov     16(%rdx), %rdx
host_syscall_start:
        cmpl    $0, (%r11)
        jne     host_syscall_abort
host_syscall_insn:
        syscall
        ret
host_syscall_abort:
        mov     $-512, %rax
        ret
        .size   host_syscall_asm, . - host_syscall_asm

/* The end of a host signal handler: rt_sigreturn. */
        .globl  host_restorer
        .type   host_restorer, @function
host_restorer:
        mov     $15, %eax
        syscall
        .size   host_restorer, . - host_restorer

/*
 * int64_t host_clone(uint64_t flags, void *stack_top, void *ptid, void *ctid, void (*fn)(void *), void *arg)
 *
 * clone(2) onto another stack, where the child calls fn(arg), which never returns.
 */
        .globl  host_clone
        .type   host_clone, @function
host_clone:
        mov     %rcx, %r10
        mov     %r8, %rcx               /* fn: saved on the child's stack, as syscall destroys rcx and r11 */
        and     $-16, %rsi
        sub     $16, %rsi
        mov     %rcx, (%rsi)
        mov     %r9, 8(%rsi)
        xor     %r8d, %r8d
        mov     $56, %eax
        syscall
        jmp     clone_tail
        .size   host_clone, . - host_clone

/* int64_t host_clone3(void *args, size_t size, void (*fn)(void *), void *arg); args->stack has 16 bytes to spare on top */
        .globl  host_clone3
        .type   host_clone3, @function
host_clone3:
        mov     40(%rdi), %rax          /* stack */
        add     48(%rdi), %rax          /* + stack_size */
        mov     %rdx, (%rax)            /* the top 16 bytes lie above what the kernel is told */
        mov     %rcx, 8(%rax)
        mov     $435, %eax
        syscall
clone_tail:
        test    %rax, %rax
        jz      1f
        ret
1:      xor     %ebp, %ebp
        pop     %rax
        pop     %rdi
        call    *%rax
        ud2
        .size   host_clone3, . - host_clone3

/* int host_cmpxchg32(void *p, uint32_t *expected, uint32_t desired): 1 exchanged, 0 not (*expected is what was there), -EFAULT */
        .globl  host_cmpxchg32
        .type   host_cmpxchg32, @function
        .globl  host_cmpxchg32_start, host_cmpxchg32_end, host_cmpxchg32_fault
host_cmpxchg32:
        mov     (%rsi), %eax
host_cmpxchg32_start:
        lock cmpxchgl %edx, (%rdi)
host_cmpxchg32_end:
        mov     %eax, (%rsi)
        sete    %al
        movzbl  %al, %eax
        ret
host_cmpxchg32_fault:
        mov     $-14, %eax
        ret
        .size   host_cmpxchg32, . - host_cmpxchg32

        .section .note.GNU-stack, "", @progbits
