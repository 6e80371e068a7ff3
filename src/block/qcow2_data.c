/*
 * qcow2_data.c - reading and writing through the tables of an image
 *
 * A request is done piece by piece; a piece is a run of clusters of one kind, inside of one L2 table and, if they are in the file, side
 * by side there.
 */
#include "block/qcow2_impl.h"

#include "base/check.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum kind { K_NONE, K_ZERO, K_DATA, K_PACKED };

/* A run of the guest's clusters, and what the first one's entry says. */
struct run {
    enum kind kind;
    bool copied;      /* K_DATA: of all of them */
    uint64_t entry;
    uint64_t first, n; /* the guest's clusters */
    uint64_t host;     /* K_DATA: byte in the file, of the first */
};

static enum kind
kind_of(const struct qcow2 *q, uint64_t entry)
{
    if (entry & Q_COMPRESSED) {
        return K_PACKED;
    }
    if (q->version >= 3 && (entry & Q_ZERO)) {
        return K_ZERO;
    }
    return (entry & Q_OFFSET) != 0 ? K_DATA : K_NONE;
}

/* A cluster of data may be there: in the file, aligned, and no table. */
static bool
is_sound(const struct qcow2 *q, uint64_t offset)
{
    const uint64_t c = offset >> q->cluster_bits;
    return (offset & (q->cluster - 1)) == 0 && c != 0 && c < q->end && !q_set_has(&q->meta, c);
}

/* ---- under lock ---- */

/* The table of the guest's cluster: *t, NULL if there is none. */
static int
find_l2(struct qcow2 *q, uint64_t cluster, struct q_table **t)
{
    const uint64_t e = q->l1[cluster >> q->l2_bits], offset = e & Q_OFFSET;
    *t = NULL;
    if (offset == 0) {
        return 0;
    }
    if ((offset & (q->cluster - 1)) != 0 || offset >> q->cluster_bits >= q->end) {
        return q_corrupt(q);
    }
    return q_table(q, &q->l2, offset >> q->cluster_bits, false, t);
}

static uint64_t *
entry_at(const struct qcow2 *q, const struct q_table *t, uint64_t cluster)
{
    return (uint64_t *)(void *)t->data + (cluster & ((UINT64_C(1) << q->l2_bits) - 1));
}

/* The same, to be changed: made if there is none, copied if a snapshot uses it, too. */
static int
find_l2_own(struct qcow2 *q, uint64_t cluster, struct q_table **t)
{
    const uint64_t i = cluster >> q->l2_bits;
    if ((q->l1[i] & Q_COPIED) && (q->l1[i] & Q_OFFSET) != 0) {
        return find_l2(q, cluster, t);
    }
    uint64_t at, got;
    bool fresh;
    struct q_table *old;
    int r = q_alloc(q, 1, &at, &got, &fresh);
    r = r == 0 ? q_set_add(&q->meta, at) : r;
    uint8_t *copy = r == 0 ? calloc(1, q->cluster) : NULL;
    if (r == 0 && copy == NULL) {
        r = -ENOMEM;
    }
    r = r == 0 ? find_l2(q, cluster, &old) : r;
    if (r == 0 && old != NULL) {
        memcpy(copy, old->data, q->cluster);
    }
    r = r == 0 ? q_table(q, &q->l2, at, true, t) : r;
    if (r == 0) {
        const uint64_t before = q->l1[i] & Q_OFFSET;
        memcpy((*t)->data, copy, q->cluster);
        (*t)->dirty = true;
        q->l1[i] = at << q->cluster_bits | Q_COPIED;
        q->l1_dirty = true;
        if (before != 0) {
            q_release_later(q, before >> q->cluster_bits);
        }
    }
    free(copy);
    return r;
}

/* What the guest's clusters [cluster, + n) begin with. */
static int
find_run(struct qcow2 *q, uint64_t cluster, uint64_t n, struct run *run)
{
    struct q_table *t;
    const uint64_t per = UINT64_C(1) << q->l2_bits, left = per - (cluster & (per - 1));
    int r = find_l2(q, cluster, &t);
    *run = (struct run){.first = cluster, .n = n < left ? n : left};
    if (r != 0 || t == NULL) {
        return r;
    }
    const uint64_t *e = entry_at(q, t, cluster);
    run->entry = be64toh(e[0]);
    run->kind = kind_of(q, run->entry);
    run->copied = (run->entry & Q_COPIED) != 0;
    run->host = run->entry & Q_OFFSET;
    if (run->kind == K_DATA && !is_sound(q, run->host)) {
        return q_corrupt(q);
    }
    if (run->kind == K_PACKED) {
        const struct q_packed p = q_packed_at(q, run->entry);
        if (p.off < q->cluster || p.off >> q->cluster_bits >= q->end) {
            return q_corrupt(q);
        }
    }
    for (uint64_t i = 1; i < run->n; i++) {
        const uint64_t next = be64toh(e[i]), host = next & Q_OFFSET;
        if (kind_of(q, next) != run->kind || run->kind == K_PACKED ||
            (run->kind == K_DATA && (host != run->host + i * q->cluster || ((next & Q_COPIED) != 0) != run->copied || !is_sound(q, host)))) {
            run->n = i;
        }
    }
    if (run->kind == K_PACKED) {
        run->n = 1;
    }
    return 0;
}

/* Clusters that an entry named, and names no more. */
static int
drop(struct qcow2 *q, uint64_t entry)
{
    if (entry & Q_COMPRESSED) {
        const struct q_packed p = q_packed_at(q, entry);
        for (uint64_t c = p.off >> q->cluster_bits; c <= (p.off + p.bytes - 1) >> q->cluster_bits; c++) {
            if (c == 0 || c >= q->end || q_set_has(&q->meta, c)) {
                return c < q->end ? q_corrupt(q) : 0; /* the last sectors need not be there */
            }
            q_release_later(q, c);
        }
    } else if ((entry & Q_OFFSET) != 0) {
        if (!is_sound(q, entry & Q_OFFSET)) {
            return q_corrupt(q);
        }
        q_release_later(q, (entry & Q_OFFSET) >> q->cluster_bits);
    }
    return 0;
}

/* Only one request at a time changes a cluster's entry, or is on the way to it. */
static void
change_begin(struct qcow2 *q, struct q_change *c)
{
    for (const struct q_change *o = q->changes; o != NULL;) {
        if (o->first < c->end && c->first < o->end) {
            pthread_cond_wait(&q->changed, &q->lock);
            o = q->changes;
        } else {
            o = o->next;
        }
    }
    c->next = q->changes;
    q->changes = c;
}

static void
change_end(struct qcow2 *q, const struct q_change *c)
{
    struct q_change **at = &q->changes;
    while (*at != c) {
        at = &(*at)->next;
    }
    *at = c->next;
    pthread_cond_broadcast(&q->changed);
}

/* ---- reading ---- */

static int
read_backing(struct qcow2 *q, uint64_t off, struct iovec *iov, unsigned n_iov)
{
    const uint64_t n = iov_bytes(iov, n_iov), have = q->backing == NULL || off >= q->backing->bytes ? 0 : q->backing->bytes - off;
    if (have >= n) {
        return q->backing->ops->read(q->backing, off, iov, n_iov);
    }
    struct iovec part[n_iov];
    iov_zero(iov, n_iov);
    return have == 0 ? 0 : q->backing->ops->read(q->backing, off, part, iov_part(part, iov, n_iov, 0, have));
}

/* Bytes from `off` on, all in a run. Holds `moving` if the run is in the file. */
static int
read_run(struct qcow2 *q, const struct run *run, uint64_t off, struct iovec *iov, unsigned n_iov)
{
    const uint64_t in_run = off - (run->first << q->cluster_bits);
    switch (run->kind) {
    case K_NONE:
        return read_backing(q, off, iov, n_iov);
    case K_ZERO:
        iov_zero(iov, n_iov);
        return 0;
    case K_DATA:
        return file_read(q->fd, run->host + in_run, iov, n_iov, true);
    case K_PACKED:
        break;
    }
    uint8_t *whole = malloc(q->cluster);
    const struct q_packed p = q_packed_at(q, run->entry);
    int r = whole == NULL ? -ENOMEM : q_unpack(q, &p, whole);
    uint64_t at = in_run;
    for (unsigned i = 0; i < n_iov && r == 0; i++) {
        memcpy(iov[i].iov_base, whole + at, iov[i].iov_len);
        at += iov[i].iov_len;
    }
    free(whole);
    return r;
}

int
q_read(struct block *b, uint64_t off, const struct iovec *iov, unsigned n_iov)
{
    struct qcow2 *q = (struct qcow2 *)b;
    struct iovec part[n_iov > 0 ? n_iov : 1];
    const uint64_t n = iov_bytes(iov, n_iov);
    int r = 0;
    for (uint64_t done = 0; done < n && r == 0;) {
        const uint64_t at = off + done, first = at >> q->cluster_bits;
        struct run run;
        pthread_mutex_lock(&q->lock);
        r = find_run(q, first, ((off + n - 1) >> q->cluster_bits) - first + 1, &run);
        pthread_rwlock_rdlock(&q->moving);
        pthread_mutex_unlock(&q->lock);
        const uint64_t end = (run.first + run.n) << q->cluster_bits, bytes = end < off + n ? end - at : off + n - at;
        if (r == 0) {
            r = read_run(q, &run, at, part, iov_part(part, iov, n_iov, done, bytes));
        }
        pthread_rwlock_unlock(&q->moving);
        done += bytes;
    }
    return r;
}

/* ---- writing ---- */

/* What surrounds the data in the first and the last cluster of a new piece. */
struct edges {
    uint64_t head, tail; /* bytes */
    uint8_t *mem;        /* own: head, then tail */
};

/*
 * The guest's bytes [off, off + n) into new clusters at `host`, with what was around them. What the first and the last cluster held is
 * in `before` and `after`. Not under lock; nobody else changes these clusters.
 */
static int
fill(struct qcow2 *q, uint64_t host, bool fresh, uint64_t off, uint64_t n, const struct iovec *iov, unsigned n_iov, const struct run *before,
     const struct run *after)
{
    const uint64_t start = off & ~(q->cluster - 1), end = (off + n + q->cluster - 1) & ~(q->cluster - 1);
    struct edges e = {.head = off - start, .tail = end - off - n};
    const bool backed = q->backing != NULL;
    /* What has never been written in the file is zero. */
    if (fresh && (before->kind == K_ZERO || (before->kind == K_NONE && !backed))) {
        e.head = 0;
    }
    if (fresh && (after->kind == K_ZERO || (after->kind == K_NONE && !backed))) {
        e.tail = 0;
    }
    int r = 0;
    e.mem = malloc(e.head + e.tail + 1);
    if (e.mem == NULL) {
        return -ENOMEM;
    }
    struct iovec all[n_iov + 2];
    unsigned n_all = 0;
    if (e.head > 0) {
        struct iovec v = all[n_all++] = (struct iovec){e.mem, e.head};
        r = read_run(q, before, start, &v, 1);
    }
    n_all += iov_part(all + n_all, iov, n_iov, 0, n);
    if (r == 0 && e.tail > 0) {
        struct iovec v = all[n_all++] = (struct iovec){e.mem + e.head, e.tail};
        r = read_run(q, after, off + n, &v, 1);
    }
    r = r == 0 ? file_write(q->fd, host + (off - start - e.head), all, n_all) : r;
    free(e.mem);
    return r;
}

/* The entries of [first, + n) name clusters from `host` on. Under lock. */
static int
name(struct qcow2 *q, uint64_t first, uint64_t n, uint64_t host)
{
    struct q_table *t;
    int r = find_l2_own(q, first, &t);
    if (r != 0) {
        return r;
    }
    uint64_t *e = entry_at(q, t, first);
    for (uint64_t i = 0; i < n; i++) {
        r = r == 0 ? drop(q, be64toh(e[i])) : r;
        e[i] = htobe64((host + i * q->cluster) | Q_COPIED);
    }
    t->dirty = true;
    return r;
}

/*
 * Write the beginning of [off, off + n), in `want` clusters of the kind that `run` says, into new clusters: *done bytes; none if things
 * have changed meanwhile. Under lock, which it gives up in between.
 */
static int
write_new_owned(struct qcow2 *q, const struct run *run, uint64_t want, uint64_t off, uint64_t n, const struct iovec *iov, unsigned n_iov,
                uint64_t *done)
{
    const uint64_t first = off >> q->cluster_bits;
    struct iovec part[n_iov];
    struct run now, after;
    uint64_t at, got;
    bool fresh;
    int r = find_run(q, first, want, &now);
    if (r != 0 || now.kind != run->kind || now.entry != run->entry || now.n < want) {
        return r;
    }
    r = q->corrupt ? -EIO : q_alloc(q, want, &at, &got, &fresh);
    if (r != 0) {
        return r;
    }
    const uint64_t end = (first + got) << q->cluster_bits, bytes = end < off + n ? end - off : n;
    r = find_run(q, first + got - 1, 1, &after);
    pthread_rwlock_rdlock(&q->moving);
    pthread_mutex_unlock(&q->lock);
    if (r == 0) {
        r = fill(q, at << q->cluster_bits, fresh, off, bytes, part, iov_part(part, iov, n_iov, 0, bytes), &now, &after);
    }
    pthread_rwlock_unlock(&q->moving);
    pthread_mutex_lock(&q->lock);
    r = r == 0 ? name(q, first, got, at << q->cluster_bits) : r;
    if (r != 0) {
        q_release(q, at, got); /* or they leak */
    }
    *done = r == 0 ? bytes : 0;
    return r;
}

static int
write_new(struct qcow2 *q, const struct run *run, uint64_t off, uint64_t n, const struct iovec *iov, unsigned n_iov, uint64_t *done)
{
    const uint64_t first = off >> q->cluster_bits, need = ((off + n - 1) >> q->cluster_bits) - first + 1, want = need < run->n ? need : run->n;
    struct q_change change = {.first = first, .end = first + want};
    change_begin(q, &change);
    const int r = write_new_owned(q, run, want, off, n, iov, n_iov, done);
    change_end(q, &change);
    return r;
}

static int
write_piece(struct qcow2 *q, uint64_t off, uint64_t n, const struct iovec *iov, unsigned n_iov, uint64_t *done)
{
    struct run run;
    const uint64_t first = off >> q->cluster_bits;
    *done = 0;
    pthread_mutex_lock(&q->lock);
    int r = q->corrupt ? -EIO : find_run(q, first, ((off + n - 1) >> q->cluster_bits) - first + 1, &run);
    if (r != 0 || run.kind != K_DATA || !run.copied || (q->l1[first >> q->l2_bits] & Q_COPIED) == 0) {
        r = r == 0 ? write_new(q, &run, off, n, iov, n_iov, done) : r;
        pthread_mutex_unlock(&q->lock);
        return r;
    }
    pthread_rwlock_rdlock(&q->moving);
    pthread_mutex_unlock(&q->lock);
    const uint64_t in_run = off - (first << q->cluster_bits), room = (run.n << q->cluster_bits) - in_run, bytes = room < n ? room : n;
    struct iovec part[n_iov];
    r = file_write(q->fd, run.host + in_run, part, iov_part(part, iov, n_iov, 0, bytes));
    pthread_rwlock_unlock(&q->moving);
    *done = r == 0 ? bytes : 0;
    return r;
}

int
q_write(struct block *b, uint64_t off, const struct iovec *iov, unsigned n_iov)
{
    struct qcow2 *q = (struct qcow2 *)b;
    struct iovec part[n_iov > 0 ? n_iov : 1];
    const uint64_t n = iov_bytes(iov, n_iov);
    int r = 0;
    for (uint64_t done = 0, now; done < n && r == 0; done += now) {
        r = write_piece(q, off + done, n - done, part, iov_part(part, iov, n_iov, done, n - done), &now);
    }
    return r;
}

/* ---- zero and discard ---- */

/* Zeros as data, where a cluster is not covered whole. */
static int
zero_data(struct qcow2 *q, uint64_t off, uint64_t n)
{
    static uint8_t zeros[65536];
    int r = 0;
    while (n > 0 && r == 0) {
        const struct iovec v = {zeros, n < sizeof zeros ? (size_t)n : sizeof zeros};
        r = q_write(&q->b, off, &v, 1);
        off += v.iov_len;
        n -= v.iov_len;
    }
    return r;
}

/* Part of a cluster: nothing to do if it is zero already. */
static int
zero_part(struct qcow2 *q, uint64_t off, uint64_t n)
{
    struct run run;
    pthread_mutex_lock(&q->lock);
    const int r = n > 0 ? find_run(q, off >> q->cluster_bits, 1, &run) : 0;
    pthread_mutex_unlock(&q->lock);
    if (n == 0 || r != 0 || run.kind == K_ZERO || (run.kind == K_NONE && q->backing == NULL)) {
        return r;
    }
    return zero_data(q, off, n);
}

/*
 * Whole clusters of one L2 table: they read as zero from now on. Version 2 can say so only where there is no backing file.
 * Under lock.
 */
static int
zero_clusters(struct qcow2 *q, uint64_t first, uint64_t n)
{
    struct q_table *t;
    int r = find_l2(q, first, &t);
    if (r != 0 || (t == NULL && q->backing == NULL)) {
        return r;
    }
    r = find_l2_own(q, first, &t);
    for (uint64_t i = 0; i < n && r == 0; i++) {
        uint64_t *e = entry_at(q, t, first + i);
        const uint64_t old = be64toh(*e), entry = q->version >= 3 && (q->backing != NULL || kind_of(q, old) == K_ZERO) ? Q_ZERO : 0;
        if (old != entry) {
            r = drop(q, old);
            *e = htobe64(entry);
            t->dirty = true;
        }
    }
    return r;
}

static int
zero_whole(struct qcow2 *q, uint64_t first, uint64_t end)
{
    const uint64_t per = UINT64_C(1) << q->l2_bits;
    int r = 0;
    while (first < end && r == 0) {
        const uint64_t next = (first | (per - 1)) + 1, stop = next < end ? next : end;
        struct q_change change = {.first = first, .end = stop};
        pthread_mutex_lock(&q->lock);
        change_begin(q, &change);
        r = q->corrupt ? -EIO : zero_clusters(q, first, stop - first);
        change_end(q, &change);
        pthread_mutex_unlock(&q->lock);
        first = stop;
    }
    return r;
}

int
q_zero(struct block *b, uint64_t off, uint64_t n, bool unmap)
{
    struct qcow2 *q = (struct qcow2 *)b;
    const uint64_t first = (off + q->cluster - 1) >> q->cluster_bits, end = (off + n == b->bytes ? off + n + q->cluster - 1 : off + n) >> q->cluster_bits;
    (void)unmap; /* nothing is promised of space that is kept */
    if (q->version < 3 && q->backing != NULL) {
        return zero_data(q, off, n);
    }
    const uint64_t edge = first << q->cluster_bits, head = edge - off < n ? edge - off : n;
    const uint64_t stop = first < end ? end << q->cluster_bits : off + head;
    int r = zero_part(q, off, head);
    r = r == 0 ? zero_whole(q, first, end) : r;
    return r == 0 && stop < off + n ? zero_part(q, stop, off + n - stop) : r;
}

int
q_discard(struct block *b, uint64_t off, uint64_t n)
{
    struct qcow2 *q = (struct qcow2 *)b;
    const uint64_t first = (off + q->cluster - 1) >> q->cluster_bits, end = (off + n == b->bytes ? off + n + q->cluster - 1 : off + n) >> q->cluster_bits;
    if (first >= end || q->keep || (q->version < 3 && q->backing != NULL)) {
        return 0;
    }
    return zero_whole(q, first, end);
}

int
q_flush(struct block *b)
{
    struct qcow2 *q = (struct qcow2 *)b;
    if (q->b.read_only) {
        return 0;
    }
    pthread_mutex_lock(&q->lock);
    const bool clean = !q->corrupt && q_is_clean(q);
    const int r = clean ? 0 : q_sync(q);
    pthread_mutex_unlock(&q->lock);
    /* Data alone: nobody has to wait for it. */
    return !clean || b->cache == BLOCK_UNSAFE || fdatasync(q->fd) == 0 ? r : -errno;
}
