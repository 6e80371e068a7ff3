/*
 * qcow2_tables.c - tables of an image in memory, and when they reach the file
 */
#include "block/qcow2_impl.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- a set of clusters: open addressing, at most half full ---- */

static size_t
slot(const struct q_set *s, uint64_t cluster)
{
    size_t i = (size_t)(cluster * UINT64_C(0x9e3779b97f4a7c15) >> 32) & (s->room - 1);
    while (s->at[i] != 0 && s->at[i] != cluster + 1) {
        i = (i + 1) & (s->room - 1);
    }
    return i;
}

bool
q_set_has(const struct q_set *s, uint64_t cluster)
{
    return s->room != 0 && s->at[slot(s, cluster)] != 0;
}

int
q_set_add(struct q_set *s, uint64_t cluster)
{
    if (2 * s->n >= s->room) {
        const struct q_set old = *s;
        s->room = old.room != 0 ? 2 * old.room : 256;
        s->at = calloc(s->room, sizeof *s->at);
        if (s->at == NULL) {
            *s = old;
            return -ENOMEM;
        }
        for (size_t i = 0; i < old.room; i++) {
            if (old.at[i] != 0) {
                s->at[slot(s, old.at[i] - 1)] = old.at[i];
            }
        }
        free(old.at);
    }
    const size_t i = slot(s, cluster);
    if (s->at[i] != 0) {
        return -EEXIST;
    }
    s->at[i] = cluster + 1;
    s->n++;
    return 0;
}

void
q_set_remove(struct q_set *s, uint64_t cluster)
{
    if (!q_set_has(s, cluster)) {
        return;
    }
    size_t i = slot(s, cluster);
    s->at[i] = 0;
    s->n--;
    /* Those behind it may have been put there because of it. */
    while (s->at[i = (i + 1) & (s->room - 1)] != 0) {
        const uint64_t moved = s->at[i];
        s->at[i] = 0;
        s->at[slot(s, moved - 1)] = moved;
    }
}

/* ---- tables ---- */

int
q_tables_init(struct q_tables *s, unsigned n)
{
    s->t = calloc(n, sizeof *s->t);
    s->n = s->t != NULL ? n : 0;
    return s->t != NULL ? 0 : -ENOMEM;
}

void
q_tables_fini(struct q_tables *s)
{
    for (unsigned i = 0; i < s->n; i++) {
        free(s->t[i].data);
    }
    free(s->t);
}

int
q_table(struct qcow2 *q, struct q_tables *s, uint64_t cluster, bool fresh, struct q_table **t)
{
    struct q_table *found = &s->t[s->last];
    while (found->cluster != cluster) {
        unsigned oldest = 0, at = 0;
        for (; at < s->n && s->t[at].cluster != cluster; at++) {
            oldest = s->t[at].used < s->t[oldest].used ? at : oldest;
        }
        found = &s->t[at < s->n ? at : oldest];
        if (at < s->n || !found->dirty) {
            break;
        }
        const int r = q_sync(q); /* all of them, in their order; which may have brought others here: look again */
        if (r != 0) {
            return r;
        }
    }
    if (found->cluster != cluster || fresh) {
        found->cluster = 0;
        found->dirty = false;
        if (found->data == NULL) {
            found->data = malloc(q->cluster);
        }
        if (found->data == NULL) {
            return -ENOMEM;
        }
        if (fresh) {
            memset(found->data, 0, q->cluster);
        } else {
            struct iovec v = {found->data, q->cluster};
            const int r = file_read(q->fd, cluster << q->cluster_bits, &v, 1, true); /* the last one may be cut short */
            if (r != 0) {
                return r;
            }
        }
        found->cluster = cluster;
    }
    found->used = ++s->now;
    s->last = (unsigned)(found - s->t);
    *t = found;
    return 0;
}

int
q_corrupt(struct qcow2 *q)
{
    q->corrupt = true;
    return -EIO;
}

/* ---- reaching the file ---- */

static int
sync_file(struct qcow2 *q)
{
    if (q->b.cache == BLOCK_UNSAFE || fdatasync(q->fd) == 0) {
        return 0;
    }
    q->corrupt = true; /* what the file holds is not known any more: the kernel may have dropped what it could not write */
    return -errno;
}

/* Write what is dirty: *any if there was something. */
static int
write_tables(struct qcow2 *q, struct q_tables *s, bool *any)
{
    for (unsigned i = 0; i < s->n; i++) {
        if (s->t[i].dirty) {
            const int r = file_put(q->fd, s->t[i].cluster << q->cluster_bits, s->t[i].data, q->cluster);
            if (r != 0) {
                return r;
            }
            s->t[i].dirty = false;
            *any = true;
        }
    }
    return 0;
}

static int
write_array(struct qcow2 *q, uint64_t off, const uint64_t *from, uint64_t n, bool *dirty)
{
    uint64_t some[512];
    for (uint64_t i = 0; i < n && *dirty;) {
        uint64_t k = 0;
        for (; k < sizeof some / sizeof *some && i + k < n; k++) {
            some[k] = htobe64(from[i + k]);
        }
        const int r = file_put(q->fd, off + i * sizeof *some, some, k * sizeof *some);
        if (r != 0) {
            return r;
        }
        i += k;
    }
    *dirty = false;
    return 0;
}

/* A table that was in a cluster which is free now. */
static void
forget(struct q_tables *s, uint64_t cluster)
{
    for (unsigned i = 0; i < s->n; i++) {
        if (s->t[i].cluster == cluster) {
            s->t[i].cluster = 0;
            s->t[i].dirty = false;
        }
    }
}

static int
reuse(struct qcow2 *q)
{
    int r = 0;
    uint64_t *const unused = q->unused;
    const size_t n = q->n_unused;
    if (n == 0) {
        return 0;
    }
    q->unused = NULL; /* releasing may come back here, to make room for a block */
    q->n_unused = q->room_unused = 0;
    pthread_rwlock_wrlock(&q->moving); /* who began before they became free may still read or write them */
    pthread_rwlock_unlock(&q->moving); /* nobody new can begin: that is done under `lock` */
    for (size_t i = 0; i < n && r == 0; i++) {
        forget(&q->l2, unused[i]);
        r = q_release(q, unused[i], 1);
    }
    free(unused);
    return r;
}

int
q_sync(struct qcow2 *q)
{
    bool counts = false, l2 = false, table = q->reft_dirty, l1 = q->l1_dirty;
    if (q->corrupt) {
        return -EIO;
    }
    /* A write that failed leaves things dirty, and what comes after it in the order is not written. */
    int r = write_tables(q, &q->blocks, &counts);
    r = r == 0 ? sync_file(q) : r; /* data too, which the next steps name */
    if (r == 0 && table) {
        r = write_array(q, q->reft_offset, q->reft, q->n_reft, &q->reft_dirty);
        r = r == 0 ? sync_file(q) : r;
    }
    r = r == 0 ? write_tables(q, &q->l2, &l2) : r;
    r = r == 0 && l2 ? sync_file(q) : r;
    if (r == 0 && l1) {
        r = write_array(q, q->l1_offset, q->l1, q->n_l1, &q->l1_dirty);
        r = r == 0 ? sync_file(q) : r;
    }
    return r == 0 ? reuse(q) : r;
}

bool
q_is_clean(const struct qcow2 *q)
{
    bool clean = !q->l1_dirty && !q->reft_dirty && q->n_unused == 0;
    for (unsigned i = 0; i < q->l2.n; i++) {
        clean &= !q->l2.t[i].dirty;
    }
    for (unsigned i = 0; i < q->blocks.n; i++) {
        clean &= !q->blocks.t[i].dirty;
    }
    return clean;
}
