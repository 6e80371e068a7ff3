/* forced.c - the signals of faults: forced when blocked or ignored, but held like any other when somebody sends them */
/* every engine */
#include "../abi.h"

static volatile int seen, code;
static siginfo_t last;

static void
on_signal(int sig, siginfo_t *si, void *uc)
{
    (void)sig, (void)uc;
    seen++;
    code = si->si_code;
    last = *si;
}

static void
fault(void)
{
    *(volatile int *)16 = 1;
}

static void
fault_blocked(void)
{
    handle(SIGSEGV, on_signal, 0);
    sigset_t s = set_of(SIGSEGV);
    sigprocmask(SIG_BLOCK, &s, NULL);
    fault();
}

static void
fault_ignored(void)
{
    signal(SIGSEGV, SIG_IGN);
    fault();
}

static void
sent(void)
{
    kill(getpid(), SIGBUS);
    for (;;) {
        pause();
    }
}

static void
on_twice(int sig, siginfo_t *si, void *uc)
{
    (void)sig, (void)si, (void)uc;
    fault(); /* blocked now */
}

static void
fault_twice(void)
{
    handle(SIGSEGV, on_twice, 0);
    fault();
}

int
main(void)
{
    void (*dies[])(void) = {fault, fault_blocked, fault_ignored, fault_twice};
    for (int i = 0; i < 4; i++) {
        int st = status_of(dies[i]);
        CHECK(WIFSIGNALED(st) && WTERMSIG(st) == SIGSEGV);
    }
    int st = status_of(sent);
    CHECK(WIFSIGNALED(st) && WTERMSIG(st) == SIGBUS);

    static const int sync[] = {SIGILL, SIGTRAP, SIGBUS, SIGSEGV};
    for (int i = 0; i < 4; i++) {
        int sig = sync[i];
        sigset_t s = set_of(sig), old, pending;
        handle(sig, on_signal, 0);
        seen = 0;
        kill(getpid(), sig);
        EQUAL(seen, 1);
        EQUAL(code, SI_USER);
        EQUAL(last.si_pid, getpid());
        CHECK(sigprocmask(SIG_BLOCK, &s, NULL) == 0);
        CHECK(sigprocmask(SIG_SETMASK, NULL, &old) == 0 && sigismember(&old, sig));
        raise(sig);
        raise(sig);
        EQUAL(seen, 1);
        CHECK(sigpending(&pending) == 0 && sigismember(&pending, sig));
        CHECK(sigprocmask(SIG_UNBLOCK, &s, NULL) == 0);
        EQUAL(seen, 2);
        EQUAL(code, SI_TKILL);
        CHECK(sigpending(&pending) == 0 && !sigismember(&pending, sig));

        /* Taken by sigtimedwait, sigsuspend. */
        CHECK(sigprocmask(SIG_BLOCK, &s, NULL) == 0);
        siginfo_t si;
        struct timespec ts = {1, 0};
        raise(sig);
        EQUAL(sigtimedwait(&s, &si, &ts), sig);
        CHECK(si.si_code == SI_TKILL || si.si_code == SI_USER); /* libc shows the second */
        raise(sig);
        sigset_t none = set_of(0);
        CHECK(sigsuspend(&none) == -1 && errno == EINTR);
        EQUAL(seen, 3);
        CHECK(sigprocmask(SIG_SETMASK, NULL, &old) == 0 && sigismember(&old, sig));
        /* Ignored while pending: gone. */
        raise(sig);
        signal(sig, SIG_IGN);
        CHECK(sigprocmask(SIG_UNBLOCK, &s, NULL) == 0);
        raise(sig);
        EQUAL(seen, 3);

        /* Sent with a fault's code, as crash reporters do; only to oneself. */
        handle(sig, on_signal, 0);
        memset(&si, 0, sizeof si);
        si.si_signo = sig;
        si.si_code = 1;
        si.si_addr = (void *)0x12345;
        CHECK(syscall(SYS_rt_tgsigqueueinfo, getpid(), gettid(), sig, &si) == 0);
        EQUAL(seen, 4);
        EQUAL(code, 1);
        EQUAL((long)last.si_addr, 0x12345);
        CHECK(syscall(SYS_rt_sigqueueinfo, getppid(), sig, &si) == -1 && errno == EPERM);
        signal(sig, SIG_DFL);
    }
    return 0;
}
