/*
 * thread.h - threads of the monitor's own, and how they are woken
 */
#ifndef DOPPEL_THREAD_H
#define DOPPEL_THREAD_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>

/*
 * Start a thread with a stack of so many bytes (PTHREAD_STACK_MIN at least) that runs `run(arg)`. It gets no signals: those that ask the
 * program for something are for the thread that waits for them. faults: but the ones that it causes itself, SIGSEGV, SIGBUS and SIGABRT, for
 * which there is a handler. *id is to be joined. 0 or -errno.
 */
int thread_start(pthread_t *id, size_t stack, void *(*run)(void *), void *arg, bool faults);

/* Add one to an eventfd(2), so that who waits for it wakes. */
void thread_wake(int eventfd);

#endif
