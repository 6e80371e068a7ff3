/* restart.c - what SA_RESTART does to calls that wait, and what it does not */
#include "../abi.h"

#include <fcntl.h>
#include <linux/futex.h>
#include <poll.h>
#include <pthread.h>
#include <sys/epoll.h>
#include <sys/file.h>
#include <sys/ipc.h>
#include <sys/msg.h>
#include <sys/sem.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

static volatile int seen;
static int word, pipefd[2], listener;
static pthread_t main_thread;
static int (*release)(void);

static void
on_signal(int sig, siginfo_t *si, void *uc)
{
    (void)sig, (void)si, (void)uc;
    seen++;
}

/* Interrupts the main thread three times, then makes its call succeed. */
static void *
disturb(void *arg)
{
    (void)arg;
    for (int i = 0; i < 3; i++) {
        millis(15);
        const int before = seen;
        pthread_kill(main_thread, SIGUSR1);
        for (int k = 0; k < 5000 && seen == before; k++) {
            millis(1); /* two that are pending are one */
        }
    }
    millis(15);
    if (release != NULL) {
        release();
    }
    return NULL;
}

static int release_pipe(void) { return (int)write(pipefd[1], "x", 1); }
static int release_futex(void)
{
    __atomic_store_n(&word, 1, __ATOMIC_SEQ_CST);
    return (int)syscall(SYS_futex, &word, FUTEX_WAKE, 1, NULL, NULL, 0);
}
static int release_accept(void)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    socklen_t len = sizeof a;
    getsockname(listener, (struct sockaddr *)&a, &len);
    return connect(socket(AF_UNIX, SOCK_STREAM, 0), (struct sockaddr *)&a, len);
}
static pid_t child;
static int release_child(void) { return kill(child, SIGKILL); }

static long do_read(void) { char c; return read(pipefd[0], &c, 1); }
static long do_futex(void) { return syscall(SYS_futex, &word, FUTEX_WAIT, 0, NULL, NULL, 0); }
static long do_accept(void) { return accept(listener, NULL, NULL); }
static long do_wait(void) { int st; return waitpid(child, &st, 0); }
static long do_sleep(void) { struct timespec ts = {0, 200000000}; return nanosleep(&ts, NULL); }
static long do_poll(void) { struct pollfd p = {pipefd[0], POLLIN, 0}; return poll(&p, 1, 1000); }
static long do_futex_timed(void)
{
    struct timespec ts = {1, 0};
    return syscall(SYS_futex, &word, FUTEX_WAIT, 0, &ts, NULL, 0);
}
static long do_pause(void) { return pause(); }


/* Locks, queues, FIFOs, sockets, a full pipe. */
static int lock_a, lock_b, msgs, sems, epfd, pair[2], full[2];
static char fifo[64];
static int release_flock(void) { return flock(lock_a, LOCK_UN); }
static int release_fifo(void) { return open(fifo, O_RDWR | O_NONBLOCK); }
static int release_pair(void) { return (int)write(pair[1], "x", 1); }
static int release_full(void)
{
    char c[4096];
    return (int)read(full[0], c, sizeof c);
}
static long do_flock(void)
{
    long r = flock(lock_b, LOCK_EX);
    return r == 0 ? flock(lock_b, LOCK_UN) | flock(lock_a, LOCK_EX) : r;
}
static long do_fifo(void) { return open(fifo, O_RDONLY); }
static long do_recv(void) { char c; return recv(pair[0], &c, 1, 0); }
static long do_write_full(void) { char c[4096] = ""; return write(full[1], c, sizeof c); }
static long do_msgrcv(void)
{
    struct { long type; char c[8]; } m;
    return msgrcv(msgs, &m, sizeof m.c, 0, 0);
}
static long do_semop(void)
{
    struct sembuf b = {0, -1, 0};
    return semop(sems, &b, 1);
}
static long do_epoll(void)
{
    struct epoll_event ev;
    return epoll_wait(epfd, &ev, 1, 1000);
}
static long do_sigwait(void)
{
    sigset_t s = set_of(SIGUSR2);
    return sigwaitinfo(&s, NULL);
}
static long do_abs_sleep(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    ts.tv_sec++;
    errno = clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &ts, NULL);
    return errno ? -1 : 0;
}
static long do_recv_timed(void)
{
    struct timeval tv = {1, 0};
    char c;
    setsockopt(pair[0], SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof tv);
    long r = recv(pair[0], &c, 1, 0);
    int e = errno;
    memset(&tv, 0, sizeof tv);
    setsockopt(pair[0], SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof tv);
    errno = e;
    return r;
}

static void
prepare(void)
{
    char name[] = "/tmp/abi-restart-XXXXXX";
    lock_a = mkstemp(name);
    lock_b = open(name, O_RDWR);
    CHECK(lock_a >= 0 && lock_b >= 0 && unlink(name) == 0 && flock(lock_a, LOCK_EX) == 0);
    snprintf(fifo, sizeof fifo, "/tmp/abi-fifo-%d", getpid());
    CHECK(mkfifo(fifo, 0600) == 0);
    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0 && pipe(full) == 0);
    fcntl(full[1], F_SETPIPE_SZ, 4096);
    CHECK(do_write_full() == 4096);
    msgs = msgget(IPC_PRIVATE, 0600);
    sems = semget(IPC_PRIVATE, 1, 0600);
    epfd = epoll_create1(0);
    CHECK(msgs >= 0 && sems >= 0 && epfd >= 0);
}

static void
tidy(void)
{
    unlink(fifo);
    msgctl(msgs, IPC_RMID, NULL);
    semctl(sems, 0, IPC_RMID);
}

static void
trial(const char *name, long (*call)(void), int (*rel)(void), int flags, int restarts)
{
    handle(SIGUSR1, on_signal, flags);
    main_thread = pthread_self();
    release = rel;
    seen = word = 0;
    if (rel == release_child) {
        child = fork();
        if (child == 0) {
            for (;;) {
                pause();
            }
        }
    }
    pthread_t t;
    CHECK(pthread_create(&t, NULL, disturb, NULL) == 0);
    errno = 0;
    long r = call();
    int e = errno, s = seen;
    pthread_join(t, NULL);
    if (restarts ? r < 0 || s != 3 : r != -1 || e != EINTR || s != 1) {
        printf("%s flags %x: returned %ld, errno %d, after %d signals\n", name, flags, r, e, s);
        exit(1);
    }
    if (!restarts && rel == release_child) {
        CHECK(waitpid(child, NULL, 0) == child);
    }
    if (!restarts && rel == release_pipe) {
        char c;
        CHECK(read(pipefd[0], &c, 1) == 1);
    }
    EQUAL(seen, 3);
}

int
main(void)
{
    CHECK(pipe(pipefd) == 0);
    listener = socket(AF_UNIX, SOCK_STREAM, 0);
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    CHECK(bind(listener, (struct sockaddr *)&a, sizeof(sa_family_t)) == 0 && listen(listener, 5) == 0);
    prepare();
    static const struct {
        const char *name;
        long (*call)(void);
        int (*release)(void);
        int restartable;
    } t[] = {
        {"read", do_read, release_pipe, 1},       {"futex", do_futex, release_futex, 1},
        {"accept", do_accept, release_accept, 1}, {"wait", do_wait, release_child, 1},
        {"nanosleep", do_sleep, NULL, 0},         {"poll", do_poll, NULL, 0},
        {"futex with time", do_futex_timed, NULL, 0}, {"pause", do_pause, NULL, 0},
        {"flock", do_flock, release_flock, 1},    {"open of a FIFO", do_fifo, release_fifo, 1},
        {"recv", do_recv, release_pair, 1},       {"write", do_write_full, release_full, 1},
        {"msgrcv", do_msgrcv, NULL, 0},           {"semop", do_semop, NULL, 0},
        {"epoll_wait", do_epoll, NULL, 0},        {"sigwaitinfo", do_sigwait, NULL, 0},
        {"sleep until", do_abs_sleep, NULL, 0},   {"recv with time", do_recv_timed, NULL, 0},
    };
    for (unsigned i = 0; i < sizeof t / sizeof t[0]; i++) {
        if (!t[i].restartable || t[i].call == do_read || t[i].call == do_futex || t[i].call == do_wait) {
            trial(t[i].name, t[i].call, t[i].release, 0, 0); /* of the others something would be left to undo */
        }
        trial(t[i].name, t[i].call, t[i].release, SA_RESTART, t[i].restartable);
    }
    tidy();
    return 0;
}
