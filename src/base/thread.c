/*
 * thread.c - see thread.h
 */
#include "base/thread.h"

#include "base/check.h"

#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <unistd.h>

int
thread_start(pthread_t *id, size_t stack, void *(*run)(void *), void *arg, bool faults)
{
    sigset_t blocked, old;
    sigfillset(&blocked);
    if (faults) {
        sigdelset(&blocked, SIGSEGV);
        sigdelset(&blocked, SIGBUS);
        sigdelset(&blocked, SIGABRT);
    }
    pthread_attr_t attr;
    pthread_attr_init(&attr);
    pthread_attr_setstacksize(&attr, stack);
    pthread_sigmask(SIG_SETMASK, &blocked, &old); /* a new thread has its maker's mask */
    const int r = pthread_create(id, &attr, run, arg);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    pthread_attr_destroy(&attr);
    return -r;
}

void
thread_wake(int eventfd)
{
    const uint64_t one = 1;
    ssize_t n;
    do {
        n = write(eventfd, &one, sizeof one);
    } while (n < 0 && errno == EINTR);
    CHECK(n == sizeof one || errno == EAGAIN); /* EAGAIN: told so often that it has been awake for long */
}
