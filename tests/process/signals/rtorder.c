/* rtorder.c - real-time signals queue with their values, lowest number first; all 64 are the program's */
/* every engine */
#include "../abi.h"

static volatile int n, got[600], sigs[600];

static void
on_signal(int sig, siginfo_t *si, void *uc)
{
    (void)uc;
    CHECK(si->si_code == SI_QUEUE && si->si_pid == getpid() && si->si_uid == getuid());
    sigs[n] = sig;
    got[n++] = si->si_value.sival_int;
}

/* As the kernel has it; libc hides signals 32 and 33. */
struct kernel_sigaction {
    void *handler;
    unsigned long flags;
#ifdef __x86_64__
    void *restorer;
#endif
    unsigned long mask;
};

int
main(void)
{
    struct sigaction sa = {.sa_sigaction = on_signal, .sa_flags = SA_SIGINFO};
    sigfillset(&sa.sa_mask);
    CHECK(sigaction(SIGUSR1, &sa, NULL) == 0);
    struct kernel_sigaction k;
    CHECK(syscall(SYS_rt_sigaction, SIGUSR1, NULL, &k, 8) == 0);
    k.mask = ~0ul;
    for (int s = 32; s <= 64; s++) {
        CHECK(syscall(SYS_rt_sigaction, s, &k, NULL, 8) == 0);
    }
    unsigned long all = ~0ul, none = 0, pending;
    CHECK(syscall(SYS_rt_sigprocmask, SIG_SETMASK, &all, NULL, 8) == 0);
    for (int i = 0; i < 5; i++) {
        for (int s = 64; s >= 32; s--) {
            union sigval v = {.sival_int = s * 100 + i};
            siginfo_t si = {.si_code = SI_QUEUE};
            si.si_pid = getpid();
            si.si_uid = getuid();
            si.si_value = v;
            CHECK(syscall(SYS_rt_sigqueueinfo, getpid(), s, &si) == 0);
        }
    }
    CHECK(syscall(SYS_rt_sigpending, &pending, 8) == 0);
    EQUAL(pending, ~0ul << 31);
    EQUAL(n, 0);
    CHECK(syscall(SYS_rt_sigprocmask, SIG_SETMASK, &none, NULL, 8) == 0);
    EQUAL(n, 5 * 33);
    for (int i = 0; i < n; i++) {
        EQUAL(sigs[i], 32 + i / 5);
        EQUAL(got[i], sigs[i] * 100 + i % 5);
    }
    siginfo_t si = {.si_code = 0};
    CHECK(syscall(SYS_rt_sigqueueinfo, getppid(), SIGUSR1, &si) == -1 && errno == EPERM);
    CHECK(syscall(SYS_rt_sigqueueinfo, getpid(), 65, &si) == -1 && errno == EINVAL);
    CHECK(syscall(SYS_tgkill, getpid(), getpid(), 65) == -1 && errno == EINVAL);
    return 0;
}
