/*
 * log.c - a block that keeps a record of what was written to it, in the order in which it was done
 *
 * With it, what a power cut may leave can be made again: the disk as it was, and all records up to a completed flush
 * (tests/machine/replay.py). A request is recorded when it is done, so all that was done before a flush began stands before the flush's
 * record. The file:
 *
 *      "doppel-log 1\n", then records: kind 4 | 0 4 | offset 8 | bytes 8, little-endian; of a write, its data
 *
 * Threads: any; records under the lock.
 */
#include "block/block_impl.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum kind { L_WRITE = 1, L_FLUSH, L_ZERO, L_DISCARD };

struct log {
    struct block b;
    struct block *base; /* own */
    int fd;             /* own */
    pthread_mutex_t lock;
    uint64_t at;        /* under lock: where the next record goes */
};

struct record {
    uint32_t kind, zero;
    uint64_t off, n;
};

/* What `r` was the result of was done. */
static int
record(struct log *l, int r, enum kind kind, uint64_t off, uint64_t n, const struct iovec *iov, unsigned n_iov)
{
    if (r != 0) {
        return r;
    }
    struct record head = {.kind = kind, .off = off, .n = n};
    struct iovec all[n_iov + 1];
    all[0] = (struct iovec){&head, sizeof head};
    if (n_iov > 0) {
        memcpy(all + 1, iov, n_iov * sizeof *iov);
    }
    pthread_mutex_lock(&l->lock);
    r = file_write(l->fd, l->at, all, n_iov + 1);
    if (r == 0) {
        l->at += sizeof head + (kind == L_WRITE ? n : 0);
    }
    pthread_mutex_unlock(&l->lock);
    return r;
}

static int
log_read(struct block *b, uint64_t off, const struct iovec *iov, unsigned n_iov)
{
    struct block *base = ((struct log *)b)->base;
    return base->ops->read(base, off, iov, n_iov);
}

static int
log_write(struct block *b, uint64_t off, const struct iovec *iov, unsigned n_iov)
{
    struct log *l = (struct log *)b;
    return record(l, l->base->ops->write(l->base, off, iov, n_iov), L_WRITE, off, iov_bytes(iov, n_iov), iov, n_iov);
}

static int
log_zero(struct block *b, uint64_t off, uint64_t n, bool unmap)
{
    struct log *l = (struct log *)b;
    return record(l, l->base->ops->zero(l->base, off, n, unmap), L_ZERO, off, n, NULL, 0);
}

static int
log_discard(struct block *b, uint64_t off, uint64_t n)
{
    struct log *l = (struct log *)b;
    return record(l, l->base->ops->discard(l->base, off, n), L_DISCARD, off, n, NULL, 0);
}

static int
log_flush(struct block *b)
{
    struct log *l = (struct log *)b;
    return record(l, l->base->ops->flush(l->base), L_FLUSH, 0, 0, NULL, 0);
}

static void
log_close(struct block *b)
{
    struct log *l = (struct log *)b;
    block_close(l->base);
    close(l->fd);
    pthread_mutex_destroy(&l->lock);
    free(l);
}

static const struct block_ops ops_ = {"log", log_read, log_write, log_zero, log_discard, log_flush, log_close};

int
log_open(struct block *base, const char *path, struct block **b, struct err *e)
{
    static const char magic[] = "doppel-log 1\n";
    struct log *l = calloc(1, sizeof *l);
    const int fd = l == NULL ? -1 : open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    const int r = l == NULL ? -ENOMEM : fd < 0 ? -errno : file_put(fd, 0, magic, sizeof magic - 1);
    if (r != 0) {
        err_set(e, r, "log %s", path);
        if (fd >= 0) {
            close(fd);
        }
        free(l);
        block_close(base);
        return -EIO;
    }
    l->b = *base;
    l->b.ops = &ops_;
    l->b.fd = -1;
    l->base = base;
    l->fd = fd;
    l->at = sizeof magic - 1;
    pthread_mutex_init(&l->lock, NULL);
    *b = &l->b;
    return 0;
}
