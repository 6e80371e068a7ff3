/* abi.h - for the guest programs in this folder; they run natively too, so that the host's kernel is the referee */
#ifndef ABI_H
#define ABI_H

#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define CHECK(x)                                                                          \
    do {                                                                                  \
        if (!(x)) {                                                                       \
            int saved_ = errno;                                                           \
            dprintf(1, "%s:%d: not so: %s (errno %d)\n", __FILE__, __LINE__, #x, saved_); \
            _exit(1);                                                                     \
        }                                                                                 \
    } while (0)
#define EQUAL(a, b)                                                                                          \
    do {                                                                                                     \
        long long a_ = (long long)(a), b_ = (long long)(b);                                                  \
        if (a_ != b_) {                                                                                      \
            int saved_ = errno;                                                                              \
            dprintf(1, "%s:%d: %s is %lld (%#llx), not %s = %lld (errno %d)\n", __FILE__, __LINE__, #a, a_, \
                    (unsigned long long)a_, #b, b_, saved_);                                                \
            _exit(1);                                                                                        \
        }                                                                                                    \
    } while (0)

static inline void
handle(int sig, void (*fn)(int, siginfo_t *, void *), int flags)
{
    struct sigaction sa = {.sa_sigaction = fn, .sa_flags = SA_SIGINFO | flags};
    CHECK(sigaction(sig, &sa, NULL) == 0);
}

static inline void
millis(int ms)
{
    struct timespec ts = {ms / 1000, ms % 1000 * 1000000L};
    while (nanosleep(&ts, &ts) != 0 && errno == EINTR) {
    }
}

static inline sigset_t
set_of(int sig)
{
    sigset_t s;
    sigemptyset(&s);
    if (sig != 0) {
        sigaddset(&s, sig);
    }
    return s;
}

/* Run fn in a child; its wait status. */
static inline int
status_of(void (*fn)(void))
{
    fflush(NULL);
    pid_t pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
        fn();
        _exit(0);
    }
    int st;
    CHECK(waitpid(pid, &st, 0) == pid);
    return st;
}

#endif
