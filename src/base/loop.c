/*
 * loop.c - see loop.h
 *
 * Timers are a list, not a heap: a machine has two for each hart and a handful besides. The earliest is in a timerfd, which whoever sets a
 * timer programs himself: the I/O thread need not be woken for it.
 */
#include "base/loop.h"

#include "base/check.h"
#include "base/nondet.h"
#include "base/thread.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

struct loop {
    int epoll, timerfd, stopfd; /* own */
    atomic_bool stop;

    pthread_mutex_t lock;
    struct loop_timer *timers; /* ref */
    uint64_t armed_ns;         /* what timerfd is set to */
};

static int
watch(struct loop *l, int fd, void *what)
{
    struct epoll_event ev = {.events = EPOLLIN, .data.ptr = what};
    return epoll_ctl(l->epoll, EPOLL_CTL_ADD, fd, &ev) == 0 ? 0 : -errno;
}

struct loop *
loop_new(struct err *e)
{
    struct loop *l = calloc(1, sizeof *l);
    if (l == NULL) {
        err_set(e, -ENOMEM, "event loop");
        return NULL;
    }
    pthread_mutex_init(&l->lock, NULL);
    l->armed_ns = LOOP_NEVER;
    l->epoll = epoll_create1(EPOLL_CLOEXEC);
    l->timerfd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    l->stopfd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (l->epoll < 0 || l->timerfd < 0 || l->stopfd < 0 || watch(l, l->timerfd, &l->timerfd) < 0 ||
        watch(l, l->stopfd, &l->stopfd) < 0) {
        err_set(e, -errno, "event loop");
        loop_free(l);
        return NULL;
    }
    return l;
}

void
loop_free(struct loop *l)
{
    const int fds[] = {l->epoll, l->timerfd, l->stopfd};
    for (unsigned i = 0; i < ARRAY_LEN(fds); i++) {
        if (fds[i] >= 0) {
            close(fds[i]);
        }
    }
    pthread_mutex_destroy(&l->lock);
    free(l);
}

void
loop_stop(struct loop *l)
{
    atomic_store(&l->stop, true);
    thread_wake(l->stopfd);
}

/* The timerfd is to fire for the earliest timer. It costs a system call only if that is another than before. */
static void
arm_locked(struct loop *l)
{
    uint64_t first = LOOP_NEVER;
    for (const struct loop_timer *t = l->timers; t != NULL; t = t->next) {
        first = t->at_ns < first ? t->at_ns : first;
    }
    if (first == l->armed_ns) {
        return;
    }
    l->armed_ns = first;
    struct itimerspec when = {0};
    if (first != LOOP_NEVER) {
        const uint64_t at = first > 0 ? first : 1; /* 0 would disarm */
        const uint64_t s = at / 1000000000;
        /* beyond what the kernel takes is beyond all that will be */
        when.it_value.tv_sec = (time_t)(s < INT64_C(4000000000) ? s : INT64_C(4000000000));
        when.it_value.tv_nsec = (long)(at % 1000000000);
    }
    CHECK(timerfd_settime(l->timerfd, TFD_TIMER_ABSTIME, &when, NULL) == 0);
}

void
loop_timer_add(struct loop *l, struct loop_timer *t)
{
    pthread_mutex_lock(&l->lock);
    t->at_ns = LOOP_NEVER;
    t->next = l->timers;
    l->timers = t;
    pthread_mutex_unlock(&l->lock);
}

void
loop_timer_set(struct loop *l, struct loop_timer *t, uint64_t mono_ns)
{
    pthread_mutex_lock(&l->lock);
    t->at_ns = mono_ns;
    /* A later moment than the armed one may stay: it is looked at when that has come. */
    if (mono_ns < l->armed_ns) {
        arm_locked(l);
    }
    pthread_mutex_unlock(&l->lock);
}

static void
fire_timers(struct loop *l)
{
    uint64_t count;
    if (read(l->timerfd, &count, sizeof count) < 0 && errno != EAGAIN && errno != EINTR) {
        CHECK(errno == ECANCELED);
    }
    for (;;) {
        pthread_mutex_lock(&l->lock);
        const uint64_t now = nondet_mono_ns();
        struct loop_timer *t = l->timers;
        while (t != NULL && t->at_ns > now) {
            t = t->next;
        }
        if (t != NULL) {
            t->at_ns = LOOP_NEVER;
        } else {
            l->armed_ns = LOOP_NEVER - 1; /* it has fired: to be set anew whatever is first */
            arm_locked(l);
        }
        pthread_mutex_unlock(&l->lock);
        if (t == NULL) {
            return;
        }
        t->fire(t->arg);
    }
}

void
loop_run(struct loop *l)
{
    while (!atomic_load(&l->stop)) {
        struct epoll_event ev; /* one at a time: a callback may remove what a second event was for */
        const int n = epoll_wait(l->epoll, &ev, 1, -1);
        CHECK(n >= 0 || errno == EINTR);
        if (n <= 0 || ev.data.ptr == &l->stopfd) {
            continue;
        }
        if (ev.data.ptr == &l->timerfd) {
            fire_timers(l);
        } else {
            struct loop_fd *f = ev.data.ptr;
            f->ready(f->arg, ev.events);
        }
    }
    uint64_t count;
    while (read(l->stopfd, &count, sizeof count) < 0 && errno == EINTR) {
    }
    atomic_store(&l->stop, false);
}

int
loop_add(struct loop *l, struct loop_fd *f, uint32_t events)
{
    struct epoll_event ev = {.events = events, .data.ptr = f};
    return epoll_ctl(l->epoll, EPOLL_CTL_ADD, f->fd, &ev) == 0 ? 0 : -errno;
}

int
loop_change(struct loop *l, struct loop_fd *f, uint32_t events)
{
    struct epoll_event ev = {.events = events, .data.ptr = f};
    return epoll_ctl(l->epoll, EPOLL_CTL_MOD, f->fd, &ev) == 0 ? 0 : -errno;
}

void
loop_remove(struct loop *l, struct loop_fd *f)
{
    epoll_ctl(l->epoll, EPOLL_CTL_DEL, f->fd, NULL);
}
