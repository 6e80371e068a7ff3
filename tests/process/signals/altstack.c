/* altstack.c - sigaltstack: where a handler runs, what may be changed when, SS_AUTODISARM, overflow */
/* every engine */
#include "../abi.h"

#ifndef SS_AUTODISARM
#define SS_AUTODISARM (1u << 31)
#endif

static char area[1 << 16] __attribute__((aligned(16)));
static volatile int on_it, flags_in, eperm, seen;

static int
within(const void *p)
{
    return (const char *)p >= area && (const char *)p < area + sizeof area;
}

static void
on_signal(int sig, siginfo_t *si, void *uc)
{
    (void)si, (void)uc;
    char here;
    stack_t now, off = {.ss_flags = SS_DISABLE};
    CHECK(sigaltstack(NULL, &now) == 0);
    flags_in = now.ss_flags;
    on_it = within(&here);
    errno = 0;
    eperm = sigaltstack(&off, NULL) == -1 && errno == EPERM;
    CHECK((uintptr_t)__builtin_frame_address(0) % 16 == 0);
    if (seen++ == 0 && sig == SIGUSR1) {
        raise(SIGUSR2); /* on top, on the same stack */
        CHECK(on_it);
    }
}

static void
deep(int sig, siginfo_t *si, void *uc)
{
    (void)si, (void)uc;
    raise(sig);
}

static void
deep_overflow(void)
{
    stack_t ss = {.ss_sp = area, .ss_size = sizeof area};
    CHECK(sigaltstack(&ss, NULL) == 0);
    handle(SIGUSR1, deep, SA_ONSTACK | SA_NODEFER);
    raise(SIGUSR1);
}

int
main(void)
{
    stack_t ss = {.ss_sp = area, .ss_size = sizeof area}, old;
    CHECK(sigaltstack(NULL, &old) == 0 && old.ss_flags == SS_DISABLE);
    CHECK(sigaltstack(&ss, NULL) == 0);
    CHECK(sigaltstack(NULL, &old) == 0 && old.ss_sp == area && old.ss_size == sizeof area && old.ss_flags == 0);
    handle(SIGUSR1, on_signal, SA_ONSTACK);
    handle(SIGUSR2, on_signal, SA_ONSTACK);
    raise(SIGUSR1);
    CHECK(seen == 2 && on_it && flags_in == SS_ONSTACK && eperm);
    handle(SIGUSR1, on_signal, 0);
    raise(SIGUSR1);
    CHECK(!on_it && flags_in == 0 && !eperm); /* that one could switch it off */
    CHECK(sigaltstack(NULL, &old) == 0 && old.ss_flags == 0); /* its return took that back */

    ss.ss_flags = (int)SS_AUTODISARM;
    CHECK(sigaltstack(&ss, NULL) == 0);
    handle(SIGUSR1, on_signal, SA_ONSTACK);
    seen = 1;
    raise(SIGUSR1);
    CHECK(on_it && (flags_in & SS_DISABLE) && !eperm);
    CHECK(sigaltstack(NULL, &old) == 0); /* back with the frame */
    CHECK(old.ss_sp == area && old.ss_flags == (int)SS_AUTODISARM);

    ss.ss_flags = 64;
    CHECK(sigaltstack(&ss, NULL) == -1 && errno == EINVAL);
    ss.ss_flags = 0;
    ss.ss_size = 1024;
    CHECK(sigaltstack(&ss, NULL) == -1 && errno == ENOMEM);
    CHECK(syscall(SYS_sigaltstack, (void *)8, NULL) == -1 && errno == EFAULT);
    int st = status_of(deep_overflow);
    CHECK(WIFSIGNALED(st) && WTERMSIG(st) == SIGSEGV);
    return 0;
}
