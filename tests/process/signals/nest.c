/* nest.c - nested handlers, sa_mask, SA_NODEFER, SA_RESETHAND, and the mask that a frame keeps */
/* every engine */
#include "../abi.h"

#include <ucontext.h>

static volatile int depth, deepest, entered, order[8], n;
static volatile int usr2_blocked;

static void
on_usr1(int sig, siginfo_t *si, void *uc)
{
    sigset_t now;
    CHECK(sig == SIGUSR1 && si->si_signo == sig && si->si_code == SI_TKILL && si->si_pid == getpid());
    CHECK(sigprocmask(SIG_SETMASK, NULL, &now) == 0);
    CHECK(sigismember(&now, SIGUSR1) && sigismember(&now, SIGHUP) && !sigismember(&now, SIGTERM));
    CHECK(!sigismember(&((ucontext_t *)uc)->uc_sigmask, SIGUSR1));
    order[n++] = 1;
    raise(SIGUSR2); /* not blocked: runs here */
    raise(SIGHUP);  /* blocked: after we return */
    order[n++] = 2;
}

static void
on_other(int sig, siginfo_t *si, void *uc)
{
    (void)si, (void)uc;
    order[n++] = sig;
}

static void
on_deep(int sig, siginfo_t *si, void *uc)
{
    (void)si, (void)uc;
    depth++;
    deepest = depth > deepest ? depth : deepest;
    if (++entered < 20) {
        raise(sig);
    }
    depth--;
}

int
main(void)
{
    struct sigaction sa = {.sa_sigaction = on_usr1, .sa_flags = SA_SIGINFO}, old;
    sigemptyset(&sa.sa_mask);
    sigaddset(&sa.sa_mask, SIGHUP);
    sigaddset(&sa.sa_mask, SIGKILL); /* not kept */
    CHECK(sigaction(SIGUSR1, &sa, NULL) == 0);
    CHECK(sigaction(SIGUSR1, NULL, &old) == 0);
    CHECK(old.sa_sigaction == on_usr1 && sigismember(&old.sa_mask, SIGHUP) && !sigismember(&old.sa_mask, SIGKILL));
    handle(SIGUSR2, on_other, 0);
    handle(SIGHUP, on_other, 0);
    raise(SIGUSR1);
    CHECK(n == 4 && order[0] == 1 && order[1] == SIGUSR2 && order[2] == 2 && order[3] == SIGHUP);

    handle(SIGUSR1, on_deep, SA_NODEFER);
    raise(SIGUSR1);
    EQUAL(deepest, 20);
    handle(SIGUSR1, on_deep, 0);
    deepest = depth = entered = 0;
    sigset_t s = set_of(SIGUSR1);
    raise(SIGUSR1); /* each comes after the last has returned */
    CHECK(deepest == 1 && entered == 20);

    handle(SIGUSR1, on_other, SA_RESETHAND);
    n = 0;
    raise(SIGUSR1);
    EQUAL(n, 1);
    CHECK(sigaction(SIGUSR1, NULL, &old) == 0 && old.sa_handler == SIG_DFL);

    /* Two pending: the lower number is taken first, so the other's handler runs on top of it. */
    handle(SIGUSR1, on_other, 0);
    n = 0;
    sigaddset(&s, SIGUSR2);
    CHECK(sigprocmask(SIG_BLOCK, &s, NULL) == 0);
    raise(SIGUSR2);
    raise(SIGUSR1);
    CHECK(n == 0 && sigprocmask(SIG_UNBLOCK, &s, NULL) == 0);
    CHECK(n == 2 && order[0] == SIGUSR2 && order[1] == SIGUSR1);

    CHECK(sigaction(SIGKILL, &sa, NULL) == -1 && errno == EINVAL);
    CHECK(syscall(SYS_rt_sigaction, SIGUSR1, NULL, NULL, 4) == -1 && errno == EINVAL);
    CHECK(syscall(SYS_rt_sigaction, SIGUSR1, (void *)1, NULL, 8) == -1 && errno == EFAULT);
    CHECK(syscall(SYS_rt_sigprocmask, 77, &s, NULL, 8) == -1 && errno == EINVAL);
    CHECK(syscall(SYS_rt_sigprocmask, SIG_BLOCK, (void *)1, NULL, 8) == -1 && errno == EFAULT);
    return 0;
}
