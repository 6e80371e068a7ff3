/* interrupted.c - a signal while a socket call blocks: EINTR, SA_RESTART, and nothing lost either way */
#include "../abi.h"

#include <sys/socket.h>
#include <sys/time.h>

static volatile int seen;

static void
on_alarm(int sig, siginfo_t *si, void *uc)
{
    (void)sig, (void)si, (void)uc;
    seen++;
}

static void
alarm_in(int ms)
{
    struct itimerval it = {.it_value = {ms / 1000, ms % 1000 * 1000}};
    CHECK(setitimer(ITIMER_REAL, &it, NULL) == 0);
}

int
main(void)
{
    int sv[2];
    char c;
    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, sv) == 0);
    handle(SIGALRM, on_alarm, 0);
    alarm_in(30);
    CHECK(recv(sv[0], &c, 1, 0) == -1 && errno == EINTR && seen == 1);

    handle(SIGALRM, on_alarm, SA_RESTART);
    pid_t pid = fork();
    if (pid == 0) {
        millis(100);
        CHECK(send(sv[1], "a", 1, 0) == 1);
        _exit(0);
    }
    alarm_in(30);
    CHECK(recv(sv[0], &c, 1, 0) == 1 && c == 'a' && seen == 2); /* restarted */
    CHECK(waitpid(pid, NULL, 0) == pid);

    /* with a time limit it is not restarted */
    struct timeval tv = {5, 0};
    CHECK(setsockopt(sv[0], SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof tv) == 0);
    alarm_in(30);
    CHECK(recv(sv[0], &c, 1, 0) == -1 && errno == EINTR && seen == 3);

    /* a stream of signals loses no byte */
    struct itimerval fast = {{0, 500}, {0, 500}}, off = {0};
    tv = (struct timeval){0};
    CHECK(setsockopt(sv[0], SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof tv) == 0);
    pid = fork();
    if (pid == 0) {
        for (int i = 0; i < 2000; i++) {
            char b = (char)i;
            CHECK(send(sv[1], &b, 1, 0) == 1);
            if (i % 16 == 0) {
                millis(1);
            }
        }
        _exit(0);
    }
    CHECK(setitimer(ITIMER_REAL, &fast, NULL) == 0);
    for (int i = 0; i < 2000; i++) {
        CHECK(recv(sv[0], &c, 1, 0) == 1 && c == (char)i);
    }
    CHECK(setitimer(ITIMER_REAL, &off, NULL) == 0);
    int st;
    CHECK(waitpid(pid, &st, 0) == pid && st == 0);
    CHECK(seen > 10);
    return 0;
}
