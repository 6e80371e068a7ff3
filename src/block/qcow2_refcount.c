/*
 * qcow2_refcount.c - which clusters of an image are free
 *
 * A refcount block counts for as many clusters as it has entries. A block that is missing says that none of its clusters is used; it is
 * made in the first of them. A table that has become too small is moved behind the last cluster that it counts for.
 */
#include "block/qcow2_impl.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Entries of 2^order bits; those below a byte from the lowest bit on. */
static uint64_t
get(const struct qcow2 *q, const uint8_t *block, uint64_t i)
{
    const unsigned bits = 1u << q->refcount_order;
    if (bits < 8) {
        return block[i * bits / 8] >> i * bits % 8 & ((1u << bits) - 1);
    }
    uint64_t v = 0;
    for (unsigned k = 0; k < bits / 8; k++) {
        v = v << 8 | block[i * (bits / 8) + k];
    }
    return v;
}

static void
set(const struct qcow2 *q, uint8_t *block, uint64_t i, uint64_t v)
{
    const unsigned bits = 1u << q->refcount_order;
    if (bits < 8) {
        const unsigned shift = i * bits % 8, mask = ((1u << bits) - 1) << shift;
        block[i * bits / 8] = (uint8_t)((block[i * bits / 8] & ~mask) | v << shift);
        return;
    }
    for (unsigned k = bits / 8; k-- > 0; v >>= 8) {
        block[i * (bits / 8) + k] = (uint8_t)v;
    }
}

/* The block that counts for a cluster: *t, NULL if there is none. */
static int
block_of(struct qcow2 *q, uint64_t cluster, struct q_table **t)
{
    const uint64_t n = cluster >> q->block_bits;
    *t = NULL;
    return n >= q->n_reft || q->reft[n] == 0 ? 0 : q_table(q, &q->blocks, q->reft[n] >> q->cluster_bits, false, t);
}

static uint64_t
index_in(const struct qcow2 *q, uint64_t cluster)
{
    return cluster & ((UINT64_C(1) << q->block_bits) - 1);
}

/* A block in cluster `at`, which is free, for the clusters of entry n of the table. */
static int
make_block(struct qcow2 *q, uint64_t n, uint64_t at)
{
    struct q_table *t;
    int r = q_set_add(&q->meta, at);
    r = r == 0 ? q_table(q, &q->blocks, at, true, &t) : r == -EEXIST ? q_corrupt(q) : r;
    if (r == 0) {
        t->dirty = true;
        q->reft[n] = at << q->cluster_bits;
        q->reft_dirty = true;
        q->end = at >= q->end ? at + 1 : q->end;
    }
    return r;
}

/* One more user of a cluster that has a block. */
static int
use(struct qcow2 *q, uint64_t cluster)
{
    struct q_table *t;
    const int r = block_of(q, cluster, &t);
    if (r == 0) {
        set(q, t->data, index_in(q, cluster), get(q, t->data, index_in(q, cluster)) + 1);
        t->dirty = true;
    }
    return r;
}

/*
 * A table of twice the size, where the old one's reach ends: blocks for itself, then the table. It is in the file, and the header names
 * it, when this returns 0.
 */
static int
grow(struct qcow2 *q)
{
    const uint64_t old_n = q->n_reft, old_offset = q->reft_offset, per = q->cluster / 8;
    const uint64_t n_clusters = 2 * (old_n / per), n = n_clusters * per, start = old_n << q->block_bits;
    uint64_t n_blocks = 1;
    while ((n_blocks + n_clusters + (UINT64_C(1) << q->block_bits) - 1) >> q->block_bits > n_blocks) {
        n_blocks++;
    }
    if (n * 8 > Q_REFT_BYTES_MAX || (start + n_blocks + n_clusters) >> (56 - q->cluster_bits) != 0) {
        return -EFBIG;
    }
    int r = q_sync(q); /* what follows is then only what belongs to the new table */
    uint64_t *bigger = r == 0 ? calloc(n, 8) : NULL;
    if (bigger == NULL) {
        return r == 0 ? -ENOMEM : r;
    }
    memcpy(bigger, q->reft, old_n * 8);
    free(q->reft);
    q->reft = bigger;
    q->n_reft = n;
    q->reft_offset = (start + n_blocks) << q->cluster_bits;
    for (uint64_t i = 0; i < n_blocks && r == 0; i++) {
        r = make_block(q, old_n + i, start + i);
    }
    for (uint64_t i = 0; i < n_blocks + n_clusters && r == 0; i++) {
        r = use(q, start + i);
        if (r == 0 && i >= n_blocks) {
            r = q_set_add(&q->meta, start + i);
        }
    }
    q->end = start + n_blocks + n_clusters > q->end ? start + n_blocks + n_clusters : q->end;
    r = r == 0 ? q_sync(q) : r;
    struct {
        uint64_t offset;
        uint32_t clusters;
    } __attribute__((packed)) head = {htobe64(q->reft_offset), htobe32((uint32_t)n_clusters)};
    r = r == 0 ? file_put(q->fd, 48, &head, sizeof head) : r;
    if (r == 0 && q->b.cache != BLOCK_UNSAFE && fdatasync(q->fd) != 0) {
        r = -errno;
    }
    if (r != 0) {
        q->corrupt = true; /* the table in memory is not the header's */
        return r;
    }
    for (uint64_t i = 0; i < old_n / per; i++) {
        q_set_remove(&q->meta, (old_offset >> q->cluster_bits) + i);
    }
    return q_release(q, old_offset >> q->cluster_bits, old_n / per);
}

int
q_alloc(struct qcow2 *q, uint64_t want, uint64_t *first, uint64_t *got, bool *fresh)
{
    const uint64_t hint = q->hint;
    uint64_t at = hint;
    *got = 0;
    while (*got < want) {
        const uint64_t c = at + *got;
        struct q_table *t;
        if (c >> (56 - q->cluster_bits) != 0) {
            return -EFBIG;
        }
        if (c >> q->block_bits >= q->n_reft) {
            if (*got > 0) {
                break;
            }
            const int r = grow(q);
            if (r != 0) {
                return r;
            }
            at = c;
            continue;
        }
        int r = block_of(q, c, &t);
        if (r == 0 && t == NULL) {
            if (*got > 0) {
                break; /* the next one becomes a block */
            }
            r = make_block(q, c >> q->block_bits, c);
            r = r == 0 ? use(q, c) : r;
            at = c + 1;
            if (r == 0) {
                continue;
            }
        }
        if (r != 0) {
            return r;
        }
        if (get(q, t->data, index_in(q, c)) != 0) {
            if (*got > 0) {
                break;
            }
            at = c + 1;
        } else if (q_set_has(&q->meta, c)) {
            return q_corrupt(q); /* a table in a cluster that is said to be free */
        } else {
            ++*got;
        }
    }
    *first = at;
    *fresh = at >= q->end;
    q->hint = q->hint == hint ? at + *got : q->hint; /* something may have become free meanwhile */
    q->end = at + *got > q->end ? at + *got : q->end;
    for (uint64_t i = 0; i < *got; i++) {
        const int r = use(q, at + i);
        if (r != 0) {
            return r;
        }
    }
    return 0;
}

int
q_release(struct qcow2 *q, uint64_t cluster, uint64_t n)
{
    uint64_t free_from = 0, n_free = 0;
    for (uint64_t i = 0; i < n; i++) {
        struct q_table *t;
        int r = block_of(q, cluster + i, &t);
        const uint64_t count = r == 0 && t != NULL ? get(q, t->data, index_in(q, cluster + i)) : 0;
        if (r == 0 && count == 0) {
            r = q_corrupt(q);
        }
        if (r != 0) {
            return r;
        }
        set(q, t->data, index_in(q, cluster + i), count - 1);
        t->dirty = true;
        if (count == 1) {
            q_set_remove(&q->meta, cluster + i);
            free_from = n_free++ == 0 ? cluster + i : free_from;
            q->hint = cluster + i < q->hint ? cluster + i : q->hint;
        }
    }
    if (n_free == n && !q->keep) {
        file_punch(q->fd, free_from << q->cluster_bits, n << q->cluster_bits);
    }
    return 0;
}

void
q_release_later(struct qcow2 *q, uint64_t cluster)
{
    if (q->n_unused == q->room_unused) {
        const size_t room = q->room_unused != 0 ? 2 * q->room_unused : 256;
        uint64_t *more = realloc(q->unused, room * sizeof *more);
        if (more == NULL) {
            return; /* a leak, then */
        }
        q->unused = more;
        q->room_unused = room;
    }
    q->unused[q->n_unused++] = cluster;
}
