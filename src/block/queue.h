/*
 * queue.h - requests to a block that do not wait
 *
 *      owner: submit ──► io_uring (a plain file) ─────────────┐
 *                  └───► workers: the block's own calls ──────┴──► owner, in block_queue_wait(): done()
 *
 * Threads: one, the owner's, but for block_queue_kick(). The workers exist from the beginning: nothing is made later.
 */
#ifndef DOPPEL_BLOCK_QUEUE_H
#define DOPPEL_BLOCK_QUEUE_H

#include "block/block.h"

enum block_op { BLOCK_READ, BLOCK_WRITE, BLOCK_FLUSH, BLOCK_ZERO, BLOCK_DISCARD };

struct block_io {
    enum block_op op;
    bool unmap;      /* BLOCK_ZERO */
    uint64_t off, n; /* bytes; of data: what iov holds */
    struct iovec *iov;
    unsigned n_iov;
    void (*done)(struct block_io *io, int result); /* 0 or -errno; it may submit */

    /* the queue's */
    struct block_io *next;
    int result;
};

struct block_queue;

/* depth: how many may be under way at once. The block stays the caller's, and is closed after the queue. NULL with *e. */
struct block_queue *block_queue_new(struct block *b, unsigned depth, struct err *e);

/* Nothing is under way. */
void block_queue_free(struct block_queue *q);

void block_queue_submit(struct block_queue *q, struct block_io *io);
unsigned block_queue_under_way(const struct block_queue *q);

/* Until something is done, or somebody kicks. */
void block_queue_wait(struct block_queue *q);

/* Any thread. */
void block_queue_kick(struct block_queue *q);

#endif
