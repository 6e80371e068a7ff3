/*
 * worker.h - a thread of a device's own, for what may take long: it waits for kicks, descriptors and moments
 *
 * Threads: `kicked` and whatever is added to the loop run on the worker's thread; worker_kick() is for any.
 */
#ifndef DOPPEL_WORKER_H
#define DOPPEL_WORKER_H

#include "base/err.h"
#include "base/loop.h"

#include <pthread.h>

struct worker {
    struct loop *loop; /* own */
    struct loop_fd kick;
    void (*kicked)(void *arg);
    void *arg;         /* ref */
    const char *name;  /* ref: of the thread */
    pthread_t thread;
};

/* Call kicked(arg) once for each kick or several, until worker_stop(). 0, or -errno with *e. */
int worker_start(struct worker *w, const char *name, void (*kicked)(void *arg), void *arg, struct err *e);
void worker_stop(struct worker *w);
void worker_kick(const struct worker *w);

#endif
