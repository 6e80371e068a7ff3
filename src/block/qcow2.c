/*
 * qcow2.c - opening an image, and making one over another
 *
 * Everything in the header, and every place that its tables name for other tables, is checked here; tables that lie over each other, or
 * outside of the file, are an error. What only writers need is not read for an image that is read only.
 */
#include "block/qcow2_impl.h"

#include "base/check.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAGIC         0x514649fbu
#define HEADER_V2     72
#define HEADER_V3     104
#define NAME_MAX_     1023
#define L2_MEMORY     (UINT64_C(16) << 20) /* of tables: maps 128 GiB in clusters of 64 KiB */
#define BLOCKS_MEMORY (UINT64_C(2) << 20)
#define TABLES_MIN    8
#define TABLES_MAX    1024

enum { I_DIRTY = 1, I_CORRUPT = 2, I_DATA_FILE = 4, I_COMPRESSION = 8, I_EXTENDED_L2 = 16 }; /* incompatible features */
enum { EXT_END = 0, EXT_FORMAT = (int)0xe2792aca };

struct header {
    uint32_t magic, version;
    uint64_t backing_offset;
    uint32_t backing_n, cluster_bits;
    uint64_t size;
    uint32_t crypt, n_l1;
    uint64_t l1_offset, reft_offset;
    uint32_t reft_clusters, n_snapshots;
    uint64_t snapshots_offset;
    /* version 3 */
    uint64_t incompatible, compatible, autoclear;
    uint32_t refcount_order, header_bytes;
    uint8_t compression, padding[7];
} __attribute__((packed));
_Static_assert(sizeof(struct header) == HEADER_V3 + 8, "as in the file");

static void
header_swap(struct header *h)
{
    h->magic = be32toh(h->magic);
    h->version = be32toh(h->version);
    h->backing_offset = be64toh(h->backing_offset);
    h->backing_n = be32toh(h->backing_n);
    h->cluster_bits = be32toh(h->cluster_bits);
    h->size = be64toh(h->size);
    h->crypt = be32toh(h->crypt);
    h->n_l1 = be32toh(h->n_l1);
    h->l1_offset = be64toh(h->l1_offset);
    h->reft_offset = be64toh(h->reft_offset);
    h->reft_clusters = be32toh(h->reft_clusters);
    h->n_snapshots = be32toh(h->n_snapshots);
    h->snapshots_offset = be64toh(h->snapshots_offset);
    h->incompatible = be64toh(h->incompatible);
    h->compatible = be64toh(h->compatible);
    h->autoclear = be64toh(h->autoclear);
    h->refcount_order = be32toh(h->refcount_order);
    h->header_bytes = be32toh(h->header_bytes);
}

static int
read_header(int fd, struct header *h, struct err *e)
{
    memset(h, 0, sizeof *h);
    if (file_get(fd, 0, h, HEADER_V2) != 0) {
        return err_set(e, 0, "it is too short for a qcow2 header");
    }
    if (be32toh(h->magic) != MAGIC) {
        return err_set(e, 0, "it is no qcow2 image");
    }
    if (be32toh(h->version) == 3) {
        struct iovec v = {(uint8_t *)h + HEADER_V2, sizeof *h - HEADER_V2};
        if (file_read(fd, HEADER_V2, &v, 1, true) != 0) {
            return err_set(e, 0, "its header cannot be read");
        }
    }
    header_swap(h);
    if (h->version == 2) {
        h->refcount_order = 4;
        h->header_bytes = HEADER_V2;
    }
    return 0;
}

/* What can be said by the header alone. */
static int
check_header(struct header *h, bool read_only, struct err *e)
{
    if (h->version != 2 && h->version != 3) {
        return err_set(e, 0, "qcow2 version %u: doppel knows 2 and 3", h->version);
    }
    if (h->cluster_bits < 9 || h->cluster_bits > 21) {
        return err_set(e, 0, "clusters of 2^%u bytes: from 2^9 to 2^21", h->cluster_bits);
    }
    if (h->crypt != 0) {
        return err_set(e, 0, "it is encrypted");
    }
    if (h->version == 3 && (h->header_bytes < HEADER_V3 || h->header_bytes > UINT64_C(1) << h->cluster_bits || h->header_bytes % 8 != 0)) {
        return err_set(e, 0, "a header of %u bytes", h->header_bytes);
    }
    if (h->header_bytes <= HEADER_V3) {
        h->compression = 0; /* those bytes are an extension's */
    }
    if (h->incompatible & I_DATA_FILE) {
        return err_set(e, 0, "its data is in another file, which doppel does not support");
    }
    if (h->incompatible & I_EXTENDED_L2) {
        return err_set(e, 0, "it has extended L2 entries, which doppel does not support");
    }
    if (h->incompatible >> 5 != 0) {
        return err_set(e, 0, "it has features that doppel does not know: 0x%llx", (unsigned long long)h->incompatible);
    }
    if (h->compression > 1 || (h->compression != 0) != ((h->incompatible & I_COMPRESSION) != 0)) {
        return err_set(e, 0, "it is compressed in way %u: doppel knows zlib and zstd", h->compression);
    }
    if ((h->incompatible & I_CORRUPT) && !read_only) {
        return err_set(e, 0, "it is marked as corrupt: it can be opened with readonly=on, or repaired: qemu-img check -r all");
    }
    if ((h->incompatible & I_DIRTY) && !read_only) {
        return err_set(e, 0, "its reference counts were not written back: qemu-img check -r all");
    }
    if (h->refcount_order > 6) {
        return err_set(e, 0, "reference counts of 2^%u bits", h->refcount_order);
    }
    return 0;
}

/* [offset, + bytes) is for a table: on a cluster, in the file. */
static bool
is_place(const struct qcow2 *q, uint64_t offset, uint64_t bytes)
{
    const uint64_t size = q->end << q->cluster_bits;
    return offset % q->cluster == 0 && offset != 0 && offset < size && bytes <= size - offset;
}

static int
claim(struct qcow2 *q, uint64_t offset, uint64_t bytes, const char *what, struct err *e)
{
    for (uint64_t i = 0; i < bytes; i += q->cluster) {
        const int r = q_set_add(&q->meta, (offset + i) >> q->cluster_bits);
        if (r != 0) {
            return r == -EEXIST ? err_set(e, 0, "its %s lies over another table, at 0x%llx", what, (unsigned long long)(offset + i))
                                : err_set(e, r, "its %s", what);
        }
    }
    return 0;
}

/* A table of 64-bit numbers. Own, in the host's order; NULL with *e. */
static uint64_t *
read_table(const struct qcow2 *q, uint64_t offset, uint64_t n, const char *what, struct err *e)
{
    uint64_t *t = malloc(n * 8 + 8);
    struct iovec v = {t, n * 8};
    const int r = t == NULL ? -ENOMEM : file_read(q->fd, offset, &v, 1, true); /* the last cluster may be cut short */
    if (r != 0) {
        err_set(e, r, "its %s", what);
        free(t);
        return NULL;
    }
    for (uint64_t i = 0; i < n; i++) {
        t[i] = be64toh(t[i]);
    }
    return t;
}

static int
read_l1(struct qcow2 *q, const struct header *h, struct err *e)
{
    const uint64_t covers = UINT64_C(1) << (q->cluster_bits + q->l2_bits);
    const uint64_t need = h->size / covers + (h->size % covers != 0);
    if (h->size > INT64_MAX || need * 8 > Q_L1_BYTES_MAX || (uint64_t)h->n_l1 * 8 > Q_L1_BYTES_MAX) {
        return err_set(e, 0, "it is too large for its clusters: %llu bytes", (unsigned long long)h->size);
    }
    if (h->n_l1 < need || (h->n_l1 != 0 && !is_place(q, h->l1_offset, (uint64_t)h->n_l1 * 8))) {
        return err_set(e, 0, "its L1 table, of %u entries at 0x%llx, is too small or outside of the file", h->n_l1, (unsigned long long)h->l1_offset);
    }
    q->l1_offset = h->l1_offset;
    q->n_l1 = h->n_l1;
    q->l1 = read_table(q, q->l1_offset, q->n_l1, "L1 table", e);
    if (q->l1 == NULL) {
        return -EIO;
    }
    int r = claim(q, q->l1_offset, (uint64_t)q->n_l1 * 8, "L1 table", e);
    for (uint32_t i = 0; i < q->n_l1 && r == 0; i++) {
        const uint64_t l2 = q->l1[i] & Q_OFFSET;
        if (l2 != 0 && !is_place(q, l2, 1)) {
            r = err_set(e, 0, "an L2 table at 0x%llx is not in the file", (unsigned long long)l2);
        } else if (l2 != 0) {
            r = claim(q, l2, q->cluster, "L2 table", e);
        }
    }
    return r;
}

static int
read_refcounts(struct qcow2 *q, const struct header *h, struct err *e)
{
    const uint64_t bytes = (uint64_t)h->reft_clusters << q->cluster_bits;
    if (bytes == 0 || bytes > Q_REFT_BYTES_MAX || !is_place(q, h->reft_offset, bytes)) {
        return err_set(e, 0, "its refcount table, of %u clusters at 0x%llx, is too large or outside of the file", h->reft_clusters,
                       (unsigned long long)h->reft_offset);
    }
    q->reft_offset = h->reft_offset;
    q->n_reft = bytes / 8;
    q->reft = read_table(q, q->reft_offset, q->n_reft, "refcount table", e);
    if (q->reft == NULL) {
        return -EIO;
    }
    int r = claim(q, q->reft_offset, bytes, "refcount table", e);
    for (uint64_t i = 0; i < q->n_reft && r == 0; i++) {
        if (q->reft[i] != 0 && !is_place(q, q->reft[i], 1)) {
            r = err_set(e, 0, "a refcount block at 0x%llx is not in the file", (unsigned long long)q->reft[i]);
        } else if (q->reft[i] != 0) {
            r = claim(q, q->reft[i], q->cluster, "refcount block", e);
        }
    }
    return r;
}

/*
 * Snapshots keep what they use by reference counts; doppel neither makes nor applies them, and must not write over their tables. An
 * entry's head, 40 bytes, is followed by extra data, an id and a name; each begins on 8 bytes.
 */
static int
claim_snapshots(struct qcow2 *q, const struct header *h, struct err *e)
{
    uint64_t at = h->snapshots_offset;
    if (h->n_snapshots == 0) {
        return 0;
    }
    if (h->n_snapshots > 65536 || !is_place(q, at, 1)) {
        return err_set(e, 0, "a table of %u snapshots at 0x%llx", h->n_snapshots, (unsigned long long)at);
    }
    for (uint32_t i = 0; i < h->n_snapshots; i++) {
        uint8_t s[40];
        uint16_t id, name;
        uint32_t extra;
        if (at - h->snapshots_offset > (UINT64_C(64) << 20) || file_get(q->fd, at, s, sizeof s) != 0) {
            return err_set(e, 0, "its table of snapshots is broken");
        }
        memcpy(&id, s + 12, 2);
        memcpy(&name, s + 14, 2);
        memcpy(&extra, s + 36, 4);
        if (be32toh(extra) > 1024) {
            return err_set(e, 0, "its table of snapshots is broken");
        }
        at = (at + sizeof s + be32toh(extra) + be16toh(id) + be16toh(name) + 7) & ~UINT64_C(7);
    }
    if (!is_place(q, h->snapshots_offset, at - h->snapshots_offset)) {
        return err_set(e, 0, "its table of snapshots is not in the file");
    }
    return claim(q, h->snapshots_offset, at - h->snapshots_offset, "table of snapshots", e);
}

/* The backing file's format, if the header says so; "" if not. */
static int
find_format(const struct qcow2 *q, const struct header *h, char format[16], struct err *e)
{
    uint64_t at = h->header_bytes;
    const uint64_t end = h->backing_offset != 0 && h->backing_offset < q->cluster ? h->backing_offset : q->cluster;
    format[0] = 0;
    while (at + 8 <= end) {
        uint32_t ext[2];
        if (file_get(q->fd, at, ext, sizeof ext) != 0 || be32toh(ext[0]) == EXT_END) {
            break;
        }
        const uint32_t n = be32toh(ext[1]);
        if (n > end - at - 8) {
            return err_set(e, 0, "an extension of its header, 0x%x, is too long", be32toh(ext[0]));
        }
        if (be32toh(ext[0]) == (uint32_t)EXT_FORMAT) {
            if (n >= 16 || file_get(q->fd, at + 8, format, n) != 0) {
                return err_set(e, 0, "its backing file's format cannot be read");
            }
            format[n] = 0;
        }
        at += 8 + ((uint64_t)n + 7) / 8 * 8;
    }
    return 0;
}

static int
open_backing(struct qcow2 *q, const struct header *h, const char *file, struct block_chain *chain, struct err *e)
{
    char name[NAME_MAX_ + 1], path[PATH_MAX], format[16];
    if (h->backing_offset == 0 || h->backing_n == 0) {
        return 0;
    }
    if (h->backing_n > NAME_MAX_ || h->backing_offset > q->cluster || h->backing_n > q->cluster - h->backing_offset ||
        file_get(q->fd, h->backing_offset, name, h->backing_n) != 0) {
        return err_set(e, 0, "its backing file's name is not in the header");
    }
    name[h->backing_n] = 0;
    for (uint32_t i = 0; i < h->backing_n; i++) {
        if ((unsigned char)name[i] < ' ') {
            return err_set(e, 0, "its backing file's name is none");
        }
    }
    if (strncmp(name, "json:", 5) == 0) {
        return err_set(e, 0, "its backing file is a description in JSON, which doppel does not read");
    }
    int r = find_format(q, h, format, e);
    if (r != 0) {
        return r;
    }
    if (format[0] != 0 && strcmp(format, "raw") != 0 && strcmp(format, "qcow2") != 0) {
        return err_set(e, 0, "its backing file has the format %s: doppel knows raw and qcow2", format);
    }
    const char *slash = strrchr(file, '/');
    const bool relative = name[0] != '/' && slash != NULL && !nbd_is_name(name);
    if (snprintf(path, sizeof path, "%.*s%s", relative ? (int)(slash - file + 1) : 0, file, name) >= (int)sizeof path) {
        return err_set(e, 0, "its backing file's name is too long");
    }
    const struct block_spec spec = {.file = path, .format = format[0] != 0 ? format : NULL, .read_only = true};
    r = block_open_image(&spec, chain, &q->backing, e);
    if (r != 0) {
        err_add(e, "backing file %s", path);
        return r == -ENOENT ? -EIO : r; /* the image itself is there */
    }
    return 0;
}

static void
qcow2_free(struct qcow2 *q)
{
    if (q->backing != NULL) {
        block_close(q->backing);
    }
    q_tables_fini(&q->l2);
    q_tables_fini(&q->blocks);
    free(q->l1);
    free(q->reft);
    free(q->meta.at);
    free(q->unused);
    if (q->fd >= 0) {
        close(q->fd);
    }
    pthread_rwlock_destroy(&q->moving);
    pthread_cond_destroy(&q->changed);
    pthread_mutex_destroy(&q->lock);
    free(q);
}

static void
qcow2_close(struct block *b)
{
    struct qcow2 *q = (struct qcow2 *)b;
    if (!b->read_only && q_sync(q) == 0) {
        q_sync(q); /* counts that fell */
    }
    qcow2_free(q);
}

static const struct block_ops ops_ = {"qcow2", q_read, q_write, q_zero, q_discard, q_flush, qcow2_close};

/* Tables in memory: as many as `memory` has room for. */
static unsigned
n_tables(uint64_t memory, uint64_t cluster)
{
    const uint64_t n = memory / cluster;
    return n < TABLES_MIN ? TABLES_MIN : n > TABLES_MAX ? TABLES_MAX : (unsigned)n;
}

static struct qcow2 *
qcow2_alloc(int fd, const struct header *h, struct err *e)
{
    struct qcow2 *q = calloc(1, sizeof *q);
    struct stat st;
    if (q == NULL || fstat(fd, &st) != 0) {
        err_set(e, q == NULL ? -ENOMEM : -errno, "open");
        free(q);
        close(fd);
        return NULL;
    }
    q->fd = fd;
    q->version = h->version;
    q->cluster_bits = h->cluster_bits;
    q->cluster = UINT64_C(1) << h->cluster_bits;
    q->l2_bits = h->cluster_bits - 3;
    q->refcount_order = h->refcount_order;
    q->block_bits = h->cluster_bits + 3 - h->refcount_order;
    q->zstd = h->compression == 1;
    q->end = ((uint64_t)st.st_size + q->cluster - 1) >> q->cluster_bits;
    q->b = (struct block){.ops = &ops_, .bytes = h->size, .fd = -1, .file = fd};
    pthread_mutex_init(&q->lock, NULL);
    pthread_cond_init(&q->changed, NULL);
    pthread_rwlock_init(&q->moving, NULL);
    if (q_tables_init(&q->l2, n_tables(L2_MEMORY, q->cluster)) != 0 ||
        q_tables_init(&q->blocks, n_tables(BLOCKS_MEMORY, q->cluster)) != 0) {
        err_set(e, -ENOMEM, "open");
        qcow2_free(q);
        return NULL;
    }
    return q;
}

int
qcow2_open(int fd, const struct block_spec *spec, struct block_chain *chain, struct block **b, struct err *e)
{
    struct header h;
    int r = read_header(fd, &h, e);
    r = r == 0 ? check_header(&h, spec->read_only, e) : r;
    if (r != 0) {
        close(fd);
        return r;
    }
    struct qcow2 *q = qcow2_alloc(fd, &h, e);
    if (q == NULL) {
        return -ENOMEM;
    }
    q->b.cache = spec->cache;
    q->b.read_only = spec->read_only;
    q->keep = spec->keep;
    r = claim(q, 0, q->cluster, "header", e);
    r = r == 0 ? read_l1(q, &h, e) : r;
    if (r == 0 && !spec->read_only) {
        r = read_refcounts(q, &h, e);
        r = r == 0 ? claim_snapshots(q, &h, e) : r;
    }
    r = r == 0 ? open_backing(q, &h, spec->file, chain, e) : r;
    if (r == 0 && !spec->read_only && h.autoclear != 0) {
        /* What they promise (that bitmaps are up to date, ...) does not hold once this is written. */
        const uint64_t none = 0;
        r = file_put(fd, offsetof(struct header, autoclear), &none, sizeof none);
        if (r != 0) {
            err_set(e, r, "its header");
        }
    }
    if (r != 0) {
        qcow2_free(q);
        return r;
    }
    *b = &q->b;
    return 0;
}

/* ---- one over another ---- */

/* An empty image in fd: header, refcount table, one block, the L1 table. Nobody else opens it: there is no backing file's name in it. */
static int
make_empty(int fd, uint64_t size, struct header *h)
{
    const uint32_t bits = 16;
    const uint64_t cluster = 1u << bits, covers = cluster * (cluster / 8), n_l1 = (size + covers - 1) / covers;
    const uint64_t l1_clusters = (n_l1 * 8 + cluster - 1) / cluster, used = 3 + l1_clusters;
    *h = (struct header){
        .magic = MAGIC, .version = 3, .cluster_bits = bits, .size = size, .n_l1 = (uint32_t)n_l1, .l1_offset = 3 * cluster,
        .reft_offset = cluster, .reft_clusters = 1, .refcount_order = 4, .header_bytes = sizeof *h,
    };
    if (n_l1 * 8 > Q_L1_BYTES_MAX) {
        return -EFBIG;
    }
    struct header be = *h;
    header_swap(&be);
    const uint64_t block = htobe64(2 * cluster);
    int r = ftruncate(fd, (off_t)(used * cluster)) != 0 ? -errno : 0;
    r = r == 0 ? file_put(fd, 0, &be, sizeof be) : r;
    r = r == 0 ? file_put(fd, cluster, &block, sizeof block) : r;
    for (uint64_t i = 0; i < used && r == 0; i++) {
        const uint16_t one = htobe16(1);
        r = file_put(fd, 2 * cluster + 2 * i, &one, sizeof one);
    }
    return r;
}

int
qcow2_over(struct block *base, struct block **b, struct err *e)
{
    const char *dir = getenv("TMPDIR");
    struct header h;
    const int fd = open(dir != NULL && *dir != 0 ? dir : "/var/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    int r = fd < 0 ? -errno : make_empty(fd, base->bytes, &h);
    struct qcow2 *q = NULL;
    if (r == 0) {
        q = qcow2_alloc(fd, &h, e);
        r = q == NULL ? -ENOMEM : 0;
    } else if (fd >= 0) {
        close(fd);
    }
    if (q != NULL) {
        q->b.cache = BLOCK_UNSAFE; /* it is gone with the machine */
        r = claim(q, 0, q->cluster, "header", e);
        r = r == 0 ? read_l1(q, &h, e) : r;
        r = r == 0 ? read_refcounts(q, &h, e) : r;
    }
    if (r != 0) {
        err_set(e, r, "a snapshot in %s", dir != NULL ? dir : "/var/tmp");
        if (q != NULL) {
            qcow2_free(q);
        }
        block_close(base);
        return r;
    }
    q->backing = base;
    *b = &q->b;
    return 0;
}
