/* restart.c - what SA_RESTART does to calls that wait, and what it does not */
#include "../abi.h"

#include <fcntl.h>
#include <linux/futex.h>
#include <poll.h>
#include <pthread.h>
#include <sys/file.h>
#include <sys/socket.h>
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
        pthread_kill(main_thread, SIGUSR1);
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
    };
    for (unsigned i = 0; i < sizeof t / sizeof t[0]; i++) {
        if (strcmp(t[i].name, "accept") != 0) { /* an unfinished connection would be left */
            trial(t[i].name, t[i].call, t[i].release, 0, 0);
        }
        trial(t[i].name, t[i].call, t[i].release, SA_RESTART, t[i].restartable);
    }
    return 0;
}
