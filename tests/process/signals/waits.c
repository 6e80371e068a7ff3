/* waits.c - sigtimedwait, sigwaitinfo, signalfd, sigpending, and which thread takes a process's signal */
#include "../abi.h"

#include <pthread.h>
#include <sys/signalfd.h>

static volatile int seen_by;
static __thread int self = 1;

static void
on_signal(int sig, siginfo_t *si, void *uc)
{
    (void)sig, (void)si, (void)uc;
    seen_by = self;
}

static volatile int go;

static void *
other(void *arg)
{
    (void)arg;
    self = 2;
    sigset_t s = set_of(SIGUSR1);
    pthread_sigmask(SIG_UNBLOCK, &s, NULL);
    go = 1;
    while (go != 2) {
    }
    return NULL;
}

int
main(void)
{
    sigset_t s = set_of(SIGUSR1), pending;
    sigaddset(&s, SIGRTMIN + 1);
    sigprocmask(SIG_BLOCK, &s, NULL);
    union sigval v = {.sival_int = 4711};
    struct timespec zero = {0, 0}, some = {0, 30000000};
    siginfo_t si;
    CHECK(sigtimedwait(&s, &si, &zero) == -1 && errno == EAGAIN);
    CHECK(sigtimedwait(&s, &si, &some) == -1 && errno == EAGAIN);
    CHECK(sigqueue(getpid(), SIGRTMIN + 1, v) == 0 && kill(getpid(), SIGUSR1) == 0);
    CHECK(sigpending(&pending) == 0 && sigismember(&pending, SIGUSR1) && sigismember(&pending, SIGRTMIN + 1));
    EQUAL(sigwaitinfo(&s, &si), SIGUSR1);
    CHECK(si.si_code == SI_USER && si.si_pid == getpid());
    EQUAL(sigwaitinfo(&s, &si), SIGRTMIN + 1);
    CHECK(si.si_code == SI_QUEUE && si.si_value.sival_int == 4711);
    CHECK(syscall(SYS_rt_sigtimedwait, &s, NULL, &zero, 4) == -1 && errno == EINVAL);

    int fd = signalfd(-1, &s, SFD_CLOEXEC | SFD_NONBLOCK);
    struct signalfd_siginfo fi[2];
    CHECK(fd >= 0 && read(fd, fi, sizeof fi) == -1 && errno == EAGAIN);
    CHECK(sigqueue(getpid(), SIGRTMIN + 1, v) == 0);
    EQUAL(read(fd, fi, sizeof fi), sizeof fi[0]);
    CHECK(fi[0].ssi_signo == (unsigned)SIGRTMIN + 1 && fi[0].ssi_int == 4711 && fi[0].ssi_pid == (unsigned)getpid());

    /* A signal to the process goes to the thread that lets it through, even if that only computes. */
    handle(SIGUSR1, on_signal, 0);
    pthread_t t;
    CHECK(pthread_create(&t, NULL, other, NULL) == 0);
    while (go != 1) {
    }
    for (int i = 0; i < 200; i++) {
        seen_by = 0;
        kill(getpid(), SIGUSR1);
        while (seen_by == 0) {
        }
        EQUAL(seen_by, 2);
    }
    go = 2;
    pthread_join(t, NULL);
    return 0;
}
