/*
 * qcow2_impl.h - an image in the format qcow2
 *
 * QEMU, docs/interop/qcow2.txt, versions 2 and 3. The file is an array of clusters; all numbers in it are big-endian:
 *
 *      header ──► L1 table ──► L2 tables ──► data, 2^cluster_bits bytes each, or packed, or said to be zero, or the backing file's
 *         └─────► refcount table ──► refcount blocks: how often each cluster is used (by snapshots: more than once)
 *
 * What is safe when. Data is written where nothing else is, and then named. What names it is kept in memory until a flush, which writes
 *
 *      1 refcount blocks   sync   2 refcount table   sync   3 L2 tables   sync   4 L1 table   sync   5 (in memory) what became free
 *
 * so that a table that is in the file names only what is complete and counted in the file; whatever is lost in between, or with the
 * power, the file then has clusters that are counted and not used: leaks, which harm nobody. What became free is used again after step
 * 5 only, when nothing in the file names it any more.
 *
 * Threads: tables under `lock`. Data moves outside of it: whoever reads or writes clusters that are named holds `moving` for reading,
 * taken under `lock`; step 5 takes it for writing. Requests that change the same cluster wait for each other (struct change).
 * Trust: every offset is checked against the file, and against `meta`, the clusters that hold tables, before it is used. What makes no
 * sense fails, and with it all writes from then on: `corrupt`.
 */
#ifndef DOPPEL_QCOW2_IMPL_H
#define DOPPEL_QCOW2_IMPL_H

#include "block/block_impl.h"

#include <endian.h>
#include <pthread.h>

#define Q_COPIED     (UINT64_C(1) << 63) /* used once: may be written where it is */
#define Q_COMPRESSED (UINT64_C(1) << 62)
#define Q_ZERO       UINT64_C(1)         /* version 3 */
#define Q_OFFSET     UINT64_C(0x00fffffffffffe00)

#define Q_L1_BYTES_MAX   (UINT64_C(32) << 20) /* as in QEMU */
#define Q_REFT_BYTES_MAX (UINT64_C(8) << 20)

/* A cluster of tables in memory. Big-endian, as in the file. */
struct q_table {
    uint64_t cluster; /* number in the file; 0: this one is not used */
    uint64_t used;    /* when last */
    uint8_t *data;    /* own: made when it is used first */
    bool dirty;
};

struct q_tables {
    struct q_table *t; /* own */
    unsigned n, last;
    uint64_t now;
};

/* Numbers of clusters. */
struct q_set {
    uint64_t *at; /* own: a hash table, 0 is free */
    size_t n, room;
};

/* [first, end) of the guest's clusters are being changed. */
struct q_change {
    uint64_t first, end;
    struct q_change *next;
};

struct qcow2 {
    struct block b;
    struct block *backing; /* own, or NULL */
    int fd;                /* own */
    unsigned version, cluster_bits, l2_bits, refcount_order, block_bits; /* _bits: entries of a table, as a power of two */
    uint64_t cluster;      /* bytes */
    bool zstd, keep;

    pthread_mutex_t lock;
    pthread_cond_t changed;
    pthread_rwlock_t moving;
    /* under lock */
    uint64_t *l1;      /* own: in the host's order */
    uint64_t l1_offset;
    uint32_t n_l1;
    uint64_t *reft;    /* own: in the host's order */
    uint64_t reft_offset;
    uint64_t n_reft;
    bool l1_dirty, reft_dirty, corrupt;
    uint64_t end;      /* clusters: the file, and what is reserved behind it */
    uint64_t hint;     /* no cluster below it is free */
    struct q_tables l2, blocks;
    struct q_set meta;
    struct q_change *changes;
    uint64_t *unused;  /* own: clusters whose refcount is to fall by one in step 5 */
    size_t n_unused, room_unused;
};

/* ---- qcow2_tables.c: under lock ---- */

int q_tables_init(struct q_tables *s, unsigned n);
void q_tables_fini(struct q_tables *s);

/* The table in a cluster of the file; fresh: it is new, and zero. Good until the next call for the same set. */
int q_table(struct qcow2 *q, struct q_tables *s, uint64_t cluster, bool fresh, struct q_table **t);

bool q_set_has(const struct q_set *s, uint64_t cluster);
int q_set_add(struct q_set *s, uint64_t cluster); /* -EEXIST if it is there */
void q_set_remove(struct q_set *s, uint64_t cluster);

/* Something in the image makes no sense: -EIO. */
int q_corrupt(struct qcow2 *q);

/* Steps 1 to 5; none of them is needed. */
int q_sync(struct qcow2 *q);
bool q_is_clean(const struct qcow2 *q);

/* ---- qcow2_refcount.c: under lock ---- */

/* Up to `want` free clusters side by side become used, once. fresh: their bytes in the file are zero. */
int q_alloc(struct qcow2 *q, uint64_t want, uint64_t *first, uint64_t *got, bool *fresh);

/* One user fewer of [cluster, + n): at once, because nothing has named it yet; or in step 5. */
int q_release(struct qcow2 *q, uint64_t cluster, uint64_t n);
void q_release_later(struct qcow2 *q, uint64_t cluster);

/* ---- qcow2_data.c ---- */

int q_read(struct block *b, uint64_t off, const struct iovec *iov, unsigned n_iov);
int q_write(struct block *b, uint64_t off, const struct iovec *iov, unsigned n_iov);
int q_zero(struct block *b, uint64_t off, uint64_t n, bool unmap);
int q_discard(struct block *b, uint64_t off, uint64_t n);
int q_flush(struct block *b);

/* ---- qcow2_packed.c ---- */

/* Where a packed cluster lies in the file. */
struct q_packed {
    uint64_t off, bytes;
};
struct q_packed q_packed_at(const struct qcow2 *q, uint64_t entry);

/* Unpack it. No lock is needed. */
int q_unpack(const struct qcow2 *q, const struct q_packed *p, uint8_t *to);

#endif
