/*
 * host.h - the host kernel's system calls, raw
 *
 * The process VM never calls libc's wrappers on behalf of a guest: they touch errno, hide flags, cache, retry and take
 * signals 32 and 33 for themselves. Results are the kernel's: -errno on failure.
 *
 * host_syscall() is for calls that do not block. host_syscall_restartable() is for those that may: it is safe against
 * the race between "no signal is pending" and the call itself. If a guest signal arrives before the kernel has begun,
 * or the kernel wants the call restarted after the guest's handler (SA_RESTART), it returns -HOST_ERESTART, nothing
 * has happened, and the guest's ecall is to be executed again after the signal has been delivered; the dispatcher
 * does that. A call that was interrupted for good returns -EINTR. See signal.c.
 */
#ifndef DOPPEL_HOST_H
#define DOPPEL_HOST_H

#include "base/hot.h"

#include <stdint.h>
#include <sys/syscall.h>

#define HOST_ERESTART 512 /* never seen by a guest */

/* From a system call of ours: it has set pc and all registers itself, the dispatcher touches nothing (rt_sigreturn). */
#define HOST_EJUSTRETURN 513

static inline int64_t
host_syscall6(long nr, uint64_t a, uint64_t b, uint64_t c, uint64_t d, uint64_t e, uint64_t f)
{
    register uint64_t r10 __asm__("r10") = d;
    register uint64_t r8 __asm__("r8") = e;
    register uint64_t r9 __asm__("r9") = f;
    int64_t ret;
    __asm__ volatile("syscall"
                     : "=a"(ret)
                     : "a"(nr), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
                     : "rcx", "r11", "memory");
    return ret;
}

/* host_syscall(nr, up to six arguments) */
#define HOST_SYSCALL_7(nr, a, b, c, d, e, f, ...) \
    host_syscall6(nr, (uint64_t)(a), (uint64_t)(b), (uint64_t)(c), (uint64_t)(d), (uint64_t)(e), (uint64_t)(f))
#define host_syscall(...) HOST_SYSCALL_7(__VA_ARGS__, 0, 0, 0, 0, 0, 0, 0)

struct task;

/* In host_asm.S; `attention` is &task->hart.attention. Use host_syscall_restartable(). */
int64_t host_syscall_asm(const volatile uint32_t *attention, long nr, const uint64_t args[6]);

#endif
