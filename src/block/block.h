/*
 * block.h - what is behind a disk: bytes that are read, written, flushed, made zero or forgotten
 *
 *      block_open()   raw file, qcow2 with its backing files, NBD; what is asked for on top (snapshot, log)
 *      struct block   what it can do, as plain calls that wait; queue.h makes them asynchronous for a device
 *
 * Threads: read, write, flush, zero and discard from any thread, several at once; the rest while none of them runs.
 * Trust: an image is the user's, but anybody may have made it, and its guest writes it: all in it is checked. What is opened is opened
 * by block_open(): nothing is later.
 */
#ifndef DOPPEL_BLOCK_H
#define DOPPEL_BLOCK_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

struct block;

/* All: 0 or -errno. Ranges lie inside of the block; those of data are given by the iovecs. */
struct block_ops {
    const char *name; /* "qcow2" */
    int (*read)(struct block *b, uint64_t off, const struct iovec *iov, unsigned n_iov);
    int (*write)(struct block *b, uint64_t off, const struct iovec *iov, unsigned n_iov);
    int (*zero)(struct block *b, uint64_t off, uint64_t n, bool unmap); /* unmap: their space may be given back */
    int (*discard)(struct block *b, uint64_t off, uint64_t n);
    int (*flush)(struct block *b); /* what has been written is safe now */
    void (*close)(struct block *b); /* frees it */
};

enum block_cache {
    BLOCK_WRITEBACK,    /* a flush makes writes safe */
    BLOCK_WRITETHROUGH, /* so does each write */
    BLOCK_UNSAFE,       /* nothing does: for what can be made again */
};

/* Begins each kind's own struct. */
struct block {
    const struct block_ops *ops;
    uint64_t bytes;
    enum block_cache cache;
    bool read_only;
    int fd; /* into: a file of which reads, writes and flushes of this block are plain ones, at the same place; else -1 */
    int file; /* into: the file that holds it, to ask how large that is; or -1 */
};

struct block_spec {
    const char *file;   /* ref: a path, or an NBD export: nbd:unix:PATH, nbd://HOST/EXPORT, nbd+unix://… */
    const char *format; /* ref: "raw" or "qcow2"; NULL: qcow2 if its name ends so, and it has to be what it is called */
    const char *log;    /* ref: a file for what is written (log.c), or NULL */
    enum block_cache cache;
    bool read_only, snapshot, keep; /* keep: discards do nothing */
};

/* 0 and *b; or -errno with *e: -ENOENT if there is no such file. */
int block_open(const struct block_spec *spec, struct block **b, struct err *e);

static inline void
block_close(struct block *b)
{
    b->ops->close(b);
}

static inline int
block_read(struct block *b, uint64_t off, void *to, size_t n)
{
    const struct iovec v = {to, n};
    return b->ops->read(b, off, &v, 1);
}

static inline int
block_write(struct block *b, uint64_t off, const void *from, size_t n)
{
    const struct iovec v = {(void *)(uintptr_t)from, n};
    return b->ops->write(b, off, &v, 1);
}

#endif
