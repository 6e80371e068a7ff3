/*
 * worker.c - see worker.h
 */
#include "device/worker.h"

#include "base/thread.h"

#include <errno.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <unistd.h>

#define WORKER_STACK (UINT64_C(256) << 10)

static void
ready(void *arg, uint32_t events)
{
    (void)events;
    struct worker *w = arg;
    uint64_t n;
    if (read(w->kick.fd, &n, sizeof n) == sizeof n) {
        w->kicked(w->arg);
    }
}

static void *
work(void *arg)
{
    struct worker *w = arg;
    prctl(PR_SET_NAME, w->name);
    loop_run(w->loop);
    return NULL;
}

int
worker_start(struct worker *w, const char *name, void (*kicked)(void *arg), void *arg, struct err *e)
{
    *w = (struct worker){.kicked = kicked, .arg = arg, .name = name};
    w->kick = (struct loop_fd){.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), .ready = ready, .arg = w};
    if (w->kick.fd < 0) {
        return err_set(e, -errno, "thread %s", name);
    }
    int r = -ENOMEM;
    w->loop = loop_new(e);
    if (w->loop != NULL && (r = loop_add(w->loop, &w->kick, EPOLLIN)) == 0 && (r = thread_start(&w->thread, WORKER_STACK, work, w, false)) == 0) {
        return 0;
    }
    if (w->loop != NULL) {
        loop_free(w->loop);
    }
    close(w->kick.fd);
    return err_set(e, r, "thread %s", name);
}

void
worker_stop(struct worker *w)
{
    loop_stop(w->loop);
    pthread_join(w->thread, NULL);
    loop_free(w->loop);
    close(w->kick.fd);
}

void
worker_kick(const struct worker *w)
{
    thread_wake(w->kick.fd);
}
