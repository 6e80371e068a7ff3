/*
 * loop.h - one thread that waits for descriptors and for moments
 *
 * A machine's I/O thread: loop_run() calls back when a descriptor is ready, or when the monotonic clock (nondet_mono_ns) has reached
 * what a timer was set to. Callbacks run on that thread, one at a time, with no lock of the loop's held.
 *
 * Threads: loop_run() by one; everything else by any. A timer that is set again, or a descriptor that is taken away, by another thread may
 * be called back once more by what had happened before: a callback looks whether there is something to do. A struct loop_fd or
 * loop_timer may be freed by the loop's own thread, or when it has ended.
 */
#ifndef DOPPEL_LOOP_H
#define DOPPEL_LOOP_H

#include "base/err.h"

#include <stdbool.h>
#include <stdint.h>

#define LOOP_NEVER UINT64_MAX

struct loop;

struct loop_fd {
    int fd; /* ref */
    void (*ready)(void *arg, uint32_t events); /* EPOLLIN … of epoll(7) */
    void *arg; /* ref */
};

struct loop_timer {
    void (*fire)(void *arg);
    void *arg; /* ref */
    uint64_t at_ns; /* the loop's: LOOP_NEVER if it is not set; a zeroed struct is not known yet */
    struct loop_timer *next;
};

struct loop *loop_new(struct err *e);
void loop_free(struct loop *l);

/* Wait and call back, until loop_stop(), or not at all if that has been called already. It may be run again. */
void loop_run(struct loop *l);
void loop_stop(struct loop *l);

/* Begin to wait for events of a descriptor; wait for others, 0 for none but errors; no more. 0 or -errno. */
int loop_add(struct loop *l, struct loop_fd *f, uint32_t events);
int loop_change(struct loop *l, struct loop_fd *f, uint32_t events);
void loop_remove(struct loop *l, struct loop_fd *f);

/* Make a timer known, before it is first set. */
void loop_timer_add(struct loop *l, struct loop_timer *t);

/* Call t->fire at this moment, or at once if it has passed; LOOP_NEVER: not at all. One shot. */
void loop_timer_set(struct loop *l, struct loop_timer *t, uint64_t mono_ns);

#endif
