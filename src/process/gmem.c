/*
 * gmem.c - copying between guest and monitor memory
 *
 * guest_copy is the only code that touches guest memory for the monitor. A fault in it is recognised by the pc and turned
 * into a short count, so that a hole, a missing permission and a file that was truncated (SIGBUS) are all EFAULT, as they are
 * for the kernel's copy_to_user. Any thread, no lock.
 */
#include "process/gmem.h"

#include "base/hot.h"

#include <errno.h>
#include <string.h>
#include <ucontext.h>

uint64_t guest_base;

/*
 * Copies n bytes; returns how many were not, or n where it went wrong. `rep movsb` keeps the count in rcx exact at a fault; it takes as
 * long to begin as 4, 8 or 16 bytes take without it.
 */
size_t guest_copy(void *dst, const void *src, size_t n);
extern const char guest_copy_first[], guest_copy_last[], guest_copy_fault[];
__asm__(".pushsection .text.hot, \"ax\", @progbits\n"
        ".globl guest_copy\n"
        ".hidden guest_copy\n"
        ".type guest_copy, @function\n"
        "guest_copy:\n"
        "    mov %rdx, %rcx\n"
        ".hidden guest_copy_first, guest_copy_last, guest_copy_fault\n"
        "guest_copy_first:\n"
        "    cmp $8, %rdx\n"
        "    je 8f\n"
        "    cmp $16, %rdx\n"
        "    je 16f\n"
        "    cmp $4, %rdx\n"
        "    je 4f\n"
        "    rep movsb\n"
        "guest_copy_fault:\n"
        "    mov %rcx, %rax\n"
        "    ret\n"
        "4:  mov (%rsi), %eax\n"
        "    mov %eax, (%rdi)\n"
        "    xor %eax, %eax\n"
        "    ret\n"
        "8:  mov (%rsi), %rax\n"
        "    mov %rax, (%rdi)\n"
        "    xor %eax, %eax\n"
        "    ret\n"
        "16: mov (%rsi), %rax\n"
        "    mov 8(%rsi), %rdx\n"
        "    mov %rax, (%rdi)\n"
        "    mov %rdx, 8(%rdi)\n"
        "    xor %eax, %eax\n"
        "guest_copy_last:\n"
        "    ret\n"
        ".size guest_copy, . - guest_copy\n"
        ".globl guest_copy_first, guest_copy_last, guest_copy_fault\n"
        ".popsection\n");

bool
guest_access_fault(void *ucontext)
{
    ucontext_t *uc = ucontext;
    const uintptr_t pc = (uintptr_t)uc->uc_mcontext.gregs[REG_RIP];
    if (pc < (uintptr_t)guest_copy_first || pc >= (uintptr_t)guest_copy_last) {
        return false;
    }
    uc->uc_mcontext.gregs[REG_RIP] = (greg_t)(uintptr_t)guest_copy_fault;
    return true;
}

HOT int
guest_read(void *dst, gva_t src, size_t len)
{
    if (!guest_range_ok(src, len)) {
        return -EFAULT;
    }
    return guest_copy(dst, (const void *)(uintptr_t)(src + guest_base), len) == 0 ? 0 : -EFAULT;
}

HOT int
guest_write(gva_t dst, const void *src, size_t len)
{
    if (!guest_range_ok(dst, len)) {
        return -EFAULT;
    }
    return guest_copy((void *)(uintptr_t)(dst + guest_base), src, len) == 0 ? 0 : -EFAULT;
}

HOT int64_t
guest_read_str(char *dst, gva_t src, size_t cap)
{
    /* Pieces end at multiples of their size, so that none reaches into a page that the string does not. */
    enum { PIECE = 256 };
    size_t done = 0;
    while (done < cap) {
        size_t n = PIECE - (src + done) % PIECE;
        n = n < cap - done ? n : cap - done;
        if (guest_read(dst + done, src + done, n) != 0) {
            return -EFAULT;
        }
        const char *end = memchr(dst + done, 0, n);
        if (end != NULL) {
            return end - dst;
        }
        done += n;
    }
    return -ENAMETOOLONG;
}
