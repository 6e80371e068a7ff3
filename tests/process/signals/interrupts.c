/* interrupts.c - SIGALRM and SIGCHLD in numbers, into calls that restart and calls that do not */
/* args: 3000 */
/* long: 100000 */
#include "../abi.h"

#include <sys/time.h>

static volatile long alarms, children;

static void
on_alarm(int sig, siginfo_t *si, void *uc)
{
    (void)sig, (void)si, (void)uc;
    alarms++;
}

static void
on_child(int sig, siginfo_t *si, void *uc)
{
    (void)sig, (void)si, (void)uc;
    int e = errno;
    while (waitpid(-1, NULL, WNOHANG) > 0) {
        children++;
    }
    errno = e;
}

int
main(int argc, char **argv)
{
    long want = argc > 1 ? atol(argv[1]) : 3000;
    int p[2];
    CHECK(pipe(p) == 0);
    /* A child echoes bytes, so that reads wait and end. */
    pid_t echo = fork();
    if (echo == 0) {
        char c;
        close(p[0]);
        for (;;) {
            c = 'e';
            if (write(p[1], &c, 1) != 1) {
                _exit(0);
            }
            struct timespec ts = {0, 100000};
            nanosleep(&ts, NULL);
        }
    }
    for (int flags = 0; flags <= SA_RESTART; flags += SA_RESTART) {
        alarms = 0;
        handle(SIGALRM, on_alarm, flags);
        struct itimerval it = {{0, 100}, {0, 100}};
        CHECK(setitimer(ITIMER_REAL, &it, NULL) == 0);
        long reads = 0, eintr = 0;
        while (alarms < want) {
            char c;
            long r = read(p[0], &c, 1);
            if (r < 0) {
                CHECK(errno == EINTR && flags == 0);
                eintr++;
            } else {
                EQUAL(r, 1);
                CHECK(c == 'e');
                reads++;
            }
        }
        memset(&it, 0, sizeof it);
        CHECK(setitimer(ITIMER_REAL, &it, NULL) == 0);
    }
    kill(echo, SIGKILL);
    CHECK(waitpid(echo, NULL, 0) == echo);
    handle(SIGCHLD, on_child, SA_RESTART);
    long forks = want;
    for (long i = 0; i < forks; i++) {
        pid_t c = fork();
        CHECK(c >= 0);
        if (c == 0) {
            _exit(0);
        }
    }
    while (children < forks) {
        millis(1);
    }
    EQUAL(children, forks);
    return 0;
}
