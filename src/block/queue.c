/*
 * queue.c - see queue.h
 */
#include "block/queue.h"

#include "base/check.h"
#include "base/thread.h"
#include "block/block_impl.h"

#include <errno.h>
#include <liburing.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <unistd.h>

#define WORKERS      4 /* that do everything; beside io_uring one does what that does not */
#define WORKER_STACK (UINT64_C(256) << 10)

/* First in, first out. */
struct list {
    struct block_io *first, **end;
};

struct block_queue {
    struct block *b; /* ref */
    int kick;        /* own: eventfd */
    unsigned under_way;

    bool has_uring, listening; /* listening: the ring reads `kick` */
    struct io_uring uring;
    uint64_t kicked;

    pthread_t workers[WORKERS];
    unsigned n_workers;
    pthread_mutex_t lock;
    pthread_cond_t more;
    /* under lock */
    struct list todo, finished;
    bool stop;
};

static void
list_put(struct list *l, struct block_io *io)
{
    io->next = NULL;
    *l->end = io;
    l->end = &io->next;
}

static struct block_io *
list_take(struct list *l)
{
    struct block_io *io = l->first;
    if (io != NULL) {
        l->first = io->next;
        l->end = l->first == NULL ? &l->first : l->end;
    }
    return io;
}

void
block_queue_kick(struct block_queue *q)
{
    thread_wake(q->kick);
}

/* ---- workers ---- */

static int
do_it(struct block *b, const struct block_io *io)
{
    int r = 0;
    switch (io->op) {
    case BLOCK_READ:
        return b->ops->read(b, io->off, io->iov, io->n_iov);
    case BLOCK_WRITE:
        r = b->ops->write(b, io->off, io->iov, io->n_iov);
        break;
    case BLOCK_ZERO:
        r = b->ops->zero(b, io->off, io->n, io->unmap);
        break;
    case BLOCK_DISCARD:
        return b->ops->discard(b, io->off, io->n);
    case BLOCK_FLUSH:
        return b->ops->flush(b);
    }
    return r == 0 && b->cache == BLOCK_WRITETHROUGH ? b->ops->flush(b) : r;
}

static void *
work(void *arg)
{
    struct block_queue *q = arg;
    prctl(PR_SET_NAME, "disk");
    pthread_mutex_lock(&q->lock);
    for (;;) {
        struct block_io *io = list_take(&q->todo);
        if (io != NULL) {
            pthread_mutex_unlock(&q->lock);
            io->result = do_it(q->b, io);
            pthread_mutex_lock(&q->lock);
            const bool first = q->finished.first == NULL;
            list_put(&q->finished, io);
            if (first) {
                block_queue_kick(q);
            }
        } else if (q->stop) {
            break;
        } else {
            pthread_cond_wait(&q->more, &q->lock);
        }
    }
    pthread_mutex_unlock(&q->lock);
    return NULL;
}

static void
stop_workers(struct block_queue *q)
{
    pthread_mutex_lock(&q->lock);
    q->stop = true;
    pthread_cond_broadcast(&q->more);
    pthread_mutex_unlock(&q->lock);
    while (q->n_workers > 0) {
        pthread_join(q->workers[--q->n_workers], NULL);
    }
}

static int
start_workers(struct block_queue *q, unsigned n)
{
    int r = 0;
    while (q->n_workers < n && (r = thread_start(&q->workers[q->n_workers], WORKER_STACK, work, q, false)) == 0) {
        q->n_workers++;
    }
    return r;
}

/* ---- the owner ---- */

/* Hand it to io_uring. False: it is no work for that. */
static bool
submit_uring(struct block_queue *q, struct block_io *io)
{
    const enum block_cache cache = q->b->cache;
    if (!q->has_uring || io->op > BLOCK_FLUSH || (io->op == BLOCK_WRITE && cache == BLOCK_WRITETHROUGH) ||
        (io->op == BLOCK_FLUSH ? cache == BLOCK_UNSAFE : io->n == 0)) {
        return false;
    }
    struct io_uring_sqe *sqe = io_uring_get_sqe(&q->uring);
    if (sqe == NULL) {
        return false;
    }
    if (io->op == BLOCK_FLUSH) {
        io_uring_prep_fsync(sqe, q->b->fd, IORING_FSYNC_DATASYNC);
    } else if (io->op == BLOCK_READ) {
        io_uring_prep_readv(sqe, q->b->fd, io->iov, io->n_iov, io->off);
    } else {
        io_uring_prep_writev(sqe, q->b->fd, io->iov, io->n_iov, io->off);
    }
    io_uring_sqe_set_data(sqe, io);
    return true;
}

static void
hand_to_workers(struct block_queue *q, struct block_io *io)
{
    pthread_mutex_lock(&q->lock);
    list_put(&q->todo, io);
    pthread_cond_signal(&q->more);
    pthread_mutex_unlock(&q->lock);
}

void
block_queue_submit(struct block_queue *q, struct block_io *io)
{
    q->under_way++;
    if (!submit_uring(q, io)) {
        hand_to_workers(q, io);
    }
}

unsigned
block_queue_under_way(const struct block_queue *q)
{
    return q->under_way;
}

static void
finish(struct block_queue *q, struct block_io *io, int result)
{
    q->under_way--;
    io->done(io, result);
}

static void
finish_workers(struct block_queue *q)
{
    pthread_mutex_lock(&q->lock);
    for (struct block_io *io; (io = list_take(&q->finished)) != NULL;) {
        pthread_mutex_unlock(&q->lock);
        finish(q, io, io->result);
        pthread_mutex_lock(&q->lock);
    }
    pthread_mutex_unlock(&q->lock);
}

/* io_uring is done with a request. What it left over, or could not begin, the workers do from the beginning. */
static void
complete(struct block_queue *q, struct block_io *io, int result)
{
    if (result == -EAGAIN || result == -EINTR || (result >= 0 && io->op != BLOCK_FLUSH && (uint64_t)result < io->n)) {
        hand_to_workers(q, io);
    } else {
        finish(q, io, result < 0 ? result : 0);
    }
}

static void
wait_uring(struct block_queue *q)
{
    if (!q->listening) {
        struct io_uring_sqe *sqe = io_uring_get_sqe(&q->uring);
        CHECK(sqe != NULL); /* there is room for `depth` and this one */
        io_uring_prep_read(sqe, q->kick, &q->kicked, sizeof q->kicked, 0);
        io_uring_sqe_set_data(sqe, NULL);
        q->listening = true;
    }
    const int n = io_uring_submit_and_wait(&q->uring, 1);
    CHECK(n >= 0 || n == -EINTR || n == -EAGAIN || n == -EBUSY);
    struct io_uring_cqe *cqe;
    while (io_uring_peek_cqe(&q->uring, &cqe) == 0) {
        struct block_io *io = io_uring_cqe_get_data(cqe);
        const int result = cqe->res;
        io_uring_cqe_seen(&q->uring, cqe);
        if (io != NULL) {
            complete(q, io, result);
        } else {
            q->listening = false;
        }
    }
}

void
block_queue_wait(struct block_queue *q)
{
    if (q->has_uring) {
        wait_uring(q);
    } else {
        while (read(q->kick, &q->kicked, sizeof q->kicked) < 0 && errno == EINTR) {
        }
    }
    finish_workers(q);
}

struct block_queue *
block_queue_new(struct block *b, unsigned depth, struct err *e)
{
    struct block_queue *q = calloc(1, sizeof *q);
    const int kick = q != NULL ? eventfd(0, EFD_CLOEXEC) : -1;
    if (kick < 0) {
        err_set(e, q != NULL ? -errno : -ENOMEM, "disk");
        free(q);
        return NULL;
    }
    q->b = b;
    q->kick = kick;
    q->todo.end = &q->todo.first;
    q->finished.end = &q->finished.first;
    pthread_mutex_init(&q->lock, NULL);
    pthread_cond_init(&q->more, NULL);
    q->has_uring = b->fd >= 0 && io_uring_queue_init(2 * depth, &q->uring, 0) == 0; /* containers often forbid it */
    const int r = start_workers(q, q->has_uring ? 1 : WORKERS);
    if (r == 0 || q->n_workers > 0) {
        return q;
    }
    err_set(e, r, "a thread for a disk");
    block_queue_free(q);
    return NULL;
}

void
block_queue_free(struct block_queue *q)
{
    CHECK(q->under_way == 0);
    stop_workers(q);
    if (q->has_uring) {
        io_uring_queue_exit(&q->uring);
    }
    close(q->kick);
    pthread_cond_destroy(&q->more);
    pthread_mutex_destroy(&q->lock);
    free(q);
}
