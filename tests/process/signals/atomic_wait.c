/* atomic_wait.c - ppoll, pselect, epoll_pwait and sigsuspend unblock and wait as one */
/* args: 2000 */
/* long: 30000 */
#include "../abi.h"

#include <poll.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <ucontext.h>

static volatile int seen;

static void
on_signal(int sig, siginfo_t *si, void *uc)
{
    (void)si;
    sigset_t now;
    sigprocmask(SIG_SETMASK, NULL, &now);
    CHECK(sigismember(&now, sig));
    CHECK(sigismember(&((ucontext_t *)uc)->uc_sigmask, SIGUSR1)); /* the mask of before the call */
    CHECK(!sigismember(&now, SIGHUP) == !sigismember(&now, SIGINT));
    seen++;
}

/* Two processes wake each other; a wake-up that gets lost is a hang. */
static void
ping(int how, pid_t peer, int count, int first, int ep)
{
    sigset_t none = set_of(0);
    for (int i = 0; i < count; i++) {
        if (first || i > 0) {
            CHECK(kill(peer, SIGUSR1) == 0);
        }
        while (seen <= i) {
            struct epoll_event ev;
            struct timespec ts = {20, 0};
            int r = how == 0 ? sigsuspend(&none)
                    : how == 1 ? ppoll(NULL, 0, &ts, &none)
                    : how == 2 ? pselect(0, NULL, NULL, NULL, &ts, &none)
                               : epoll_pwait(ep, &ev, 1, 20000, &none);
            CHECK(r == -1 && errno == EINTR);
        }
        EQUAL(seen, i + 1);
        sigset_t now;
        sigprocmask(SIG_SETMASK, NULL, &now);
        CHECK(sigismember(&now, SIGUSR1));
    }
    if (!first) {
        CHECK(kill(peer, SIGUSR1) == 0);
    }
}

int
main(int argc, char **argv)
{
    int count = argc > 1 ? atoi(argv[1]) : 1000;
    handle(SIGUSR1, on_signal, SA_RESTART);
    sigset_t s = set_of(SIGUSR1);
    sigprocmask(SIG_BLOCK, &s, NULL);
    int ep = epoll_create1(0);
    for (int how = 0; how < 4; how++) {
        seen = 0;
        pid_t me = getpid(), child = fork();
        CHECK(child >= 0);
        if (child == 0) {
            ping(how, me, count, 1, ep);
            _exit(0);
        }
        ping(how, child, count, 0, ep);
        int st;
        CHECK(waitpid(child, &st, 0) == child && st == 0);
    }
    /* Ready at once: the result wins, and the signal stays pending under the old mask. */
    int p[2];
    CHECK(pipe(p) == 0 && write(p[1], "x", 1) == 1);
    struct pollfd pf = {p[0], POLLIN, 0};
    sigset_t blocked;
    sigprocmask(SIG_SETMASK, NULL, &blocked);
    CHECK(ppoll(&pf, 1, NULL, &blocked) == 1 && pf.revents == POLLIN);
    CHECK(syscall(SYS_ppoll, &pf, 1, NULL, &s, 4) == -1 && errno == EINVAL);
    CHECK(syscall(SYS_ppoll, &pf, 1, NULL, (void *)1, 8) == -1 && errno == EFAULT);
    struct epoll_event ev = {.events = EPOLLIN, .data.u64 = 0x1122334455667788}, got[2];
    CHECK(epoll_ctl(ep, EPOLL_CTL_ADD, p[0], &ev) == 0);
    EQUAL(epoll_wait(ep, got, 2, 1000), 1);
    CHECK(got[0].events == EPOLLIN);
    EQUAL(got[0].data.u64, 0x1122334455667788);
    CHECK(epoll_wait(ep, got, 0, 0) == -1 && errno == EINVAL);
    return 0;
}
