/* mqueue.c - POSIX message queues: order by priority, attributes, time-outs, interruption, notification by signal and by thread */
/* every engine */
#include "../abi.h"

#include <fcntl.h>
#include <mqueue.h>
#include <pthread.h>
#include <semaphore.h>
#include <sys/time.h>

static char name[64];
static sem_t told;
static volatile int by_signal;

static void
on_signal(int sig, siginfo_t *si, void *uc)
{
    (void)sig, (void)uc;
    if (si->si_code == SI_MESGQ && si->si_value.sival_int == 77) {
        by_signal = 1;
    }
}

static void
on_alarm(int sig, siginfo_t *si, void *uc)
{
    (void)sig, (void)si, (void)uc;
}

static void
on_thread(union sigval v)
{
    CHECK(v.sival_ptr == &told);
    sem_post(&told);
}

int
main(void)
{
    snprintf(name, sizeof name, "/doppel-%d", getpid());
    struct mq_attr want = {.mq_maxmsg = 4, .mq_msgsize = 16}, is;
    mqd_t q = mq_open(name, O_RDWR | O_CREAT | O_EXCL, 0600, &want);
    if (q == -1 && errno == ENOSYS) {
        return 0; /* a kernel without them */
    }
    CHECK(q != -1);
    CHECK(mq_open(name, O_RDWR | O_CREAT | O_EXCL, 0600, &want) == -1 && errno == EEXIST);
    CHECK(mq_getattr(q, &is) == 0 && is.mq_maxmsg == 4 && is.mq_msgsize == 16 && is.mq_curmsgs == 0 && is.mq_flags == 0);

    char m[16];
    unsigned prio;
    CHECK(mq_send(q, "low", 4, 1) == 0 && mq_send(q, "high", 5, 9) == 0 && mq_send(q, "low2", 5, 1) == 0);
    CHECK(mq_getattr(q, &is) == 0 && is.mq_curmsgs == 3);
    CHECK(mq_receive(q, m, sizeof m, &prio) == 5 && prio == 9 && strcmp(m, "high") == 0);
    CHECK(mq_receive(q, m, sizeof m, NULL) == 4 && strcmp(m, "low") == 0);
    CHECK(mq_receive(q, m, sizeof m, &prio) == 5 && prio == 1 && strcmp(m, "low2") == 0);
    CHECK(mq_receive(q, m, 8, NULL) == -1 && errno == EMSGSIZE);
    CHECK(mq_send(q, m, 17, 0) == -1 && errno == EMSGSIZE);

    struct timespec at;
    clock_gettime(CLOCK_REALTIME, &at);
    at.tv_nsec += 20000000;
    at.tv_sec += at.tv_nsec / 1000000000;
    at.tv_nsec %= 1000000000;
    CHECK(mq_timedreceive(q, m, sizeof m, NULL, &at) == -1 && errno == ETIMEDOUT);
    is.mq_flags = O_NONBLOCK;
    CHECK(mq_setattr(q, &is, NULL) == 0 && mq_receive(q, m, sizeof m, NULL) == -1 && errno == EAGAIN);
    is.mq_flags = 0;
    CHECK(mq_setattr(q, &is, &want) == 0 && want.mq_flags == O_NONBLOCK);
    handle(SIGALRM, on_alarm, 0);
    struct itimerval soon = {.it_value = {0, 30000}};
    setitimer(ITIMER_REAL, &soon, NULL);
    CHECK(mq_receive(q, m, sizeof m, NULL) == -1 && errno == EINTR);

    pid_t pid = fork();
    if (pid == 0) {
        millis(20);
        _exit(mq_send(q, "child", 6, 3) == 0 ? 0 : 1);
    }
    int status;
    CHECK(mq_receive(q, m, sizeof m, &prio) == 6 && prio == 3 && strcmp(m, "child") == 0);
    CHECK(waitpid(pid, &status, 0) == pid && status == 0);

    handle(SIGUSR1, on_signal, 0);
    struct sigevent ev = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1, .sigev_value.sival_int = 77};
    CHECK(mq_notify(q, &ev) == 0 && mq_notify(q, &ev) == -1 && errno == EBUSY);
    CHECK(mq_send(q, "x", 1, 0) == 0 && by_signal && mq_receive(q, m, sizeof m, NULL) == 1);
    CHECK(mq_notify(q, &ev) == 0 && mq_notify(q, NULL) == 0);
    CHECK(syscall(SYS_mq_notify, q, 8) == -1 && errno == EFAULT);

    sem_init(&told, 0, 0);
    struct sigevent th = {.sigev_notify = SIGEV_THREAD, .sigev_notify_function = on_thread, .sigev_value.sival_ptr = &told};
    CHECK(mq_notify(q, &th) == 0 && mq_send(q, "y", 1, 0) == 0);
    CHECK(sem_wait(&told) == 0);

    CHECK(mq_close(q) == 0 && mq_receive(q, m, sizeof m, NULL) == -1 && errno == EBADF);
    CHECK(mq_unlink(name) == 0 && mq_unlink(name) == -1 && errno == ENOENT);
    return 0;
}
