/*
 * virtio_blk.c - a disk
 *
 * VIRTIO 1.3 §5.2. A request is a chain: type 4 | 0 4 | sector 8, then data, then one byte for the status. Features: flush, discard,
 * write zeroes, serial number; the layout of the buffers is the driver's choice.
 *
 *      hart: notify ──kick──► thread: pop ──► block_queue_submit() … done ──► push, interrupt
 *
 * What the bytes are is block/block.h's business. The thread has up to DEPTH requests under way; none waits for another, and no hart
 * for any. While it works the driver need not notify.
 *
 * Threads: queues under the lock; requests belong to the disk's thread, which a reset waits for.
 * Trust: lengths and sectors are checked against the disk's size, as sectors, before they become bytes.
 */
#include "device/virtio_devices.h"

#include "base/check.h"
#include "base/thread.h"
#include "block/queue.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>

#define SECTOR      512
#define DEPTH       64  /* requests under way at once */
#define SEG_MAX     128 /* data segments of a request, as we tell the driver */
#define ZERO_MAX    (UINT32_C(1) << 21) /* sectors that one discard or write zeroes may name: 1 GiB */
#define SERIAL_MAX  20
#define DISK_STACK  (UINT64_C(128) << 10)

#define F_SEG_MAX      (UINT64_C(1) << 2)
#define F_RO           (UINT64_C(1) << 5)
#define F_BLK_SIZE     (UINT64_C(1) << 6)
#define F_FLUSH        (UINT64_C(1) << 9)
#define F_DISCARD      (UINT64_C(1) << 13)
#define F_WRITE_ZEROES (UINT64_C(1) << 14)

enum { T_IN = 0, T_OUT = 1, T_FLUSH = 4, T_GET_ID = 8, T_DISCARD = 11, T_WRITE_ZEROES = 13 };
enum { S_OK, S_IOERR, S_UNSUPP };

/* §5.2.4, as far as we offer it. */
struct config {
    uint64_t capacity; /* sectors */
    uint32_t size_max, seg_max;
    uint8_t geometry[4];
    uint32_t blk_size;
    uint8_t topology[8];
    uint8_t writeback, unused;
    uint16_t num_queues;
    uint32_t max_discard_sectors, max_discard_seg, discard_sector_alignment;
    uint32_t max_write_zeroes_sectors, max_write_zeroes_seg;
    uint8_t write_zeroes_may_unmap, unused1[3];
};
static_assert(sizeof(struct config) <= VIRTIO_CONFIG_MAX, "struct virtio_state's config");

struct header {
    uint32_t type, reserved;
    uint64_t sector;
};

struct zero_range {
    uint64_t sector;
    uint32_t n_sectors, flags; /* flags: bit 0, unmap */
};

struct request {
    struct block_io io;
    struct blk *disk;   /* ref */
    struct vq_chain chain;
    struct header head;
    uint8_t *status;    /* into: guest RAM; the last byte of the chain */
    struct request *next_free;
};

struct blk {
    struct virtio v;
    struct block *block;       /* own */
    struct block_queue *queue; /* own */
    uint64_t sectors;
    uint8_t serial[SERIAL_MAX];
    pthread_t thread;

    /* the thread's */
    struct request requests[DEPTH];
    struct request *free;
    bool stop; /* under v.dev.lock */
};

static void
notify(struct virtio *v, unsigned queue)
{
    vq_hush(v, queue);
    block_queue_kick(((struct blk *)v)->queue);
}

/* ---- one request ---- */

/* The data: `bytes` of a list, behind the first `skip`. It is cut where it lies. */
static void
cut(struct request *r, struct iovec *iov, unsigned n, uint64_t skip, uint64_t bytes)
{
    while (n > 0 && skip >= iov->iov_len) {
        skip -= iov->iov_len;
        iov++;
        n--;
    }
    r->io.iov = iov;
    r->io.n_iov = 0;
    r->io.n = bytes;
    for (; bytes > 0; r->io.n_iov++, iov++) {
        iov->iov_base = (uint8_t *)iov->iov_base + skip;
        iov->iov_len -= skip;
        skip = 0;
        iov->iov_len = iov->iov_len < bytes ? iov->iov_len : bytes;
        bytes -= iov->iov_len;
    }
}

static bool
is_on_disk(const struct blk *b, uint64_t sector, uint64_t n_sectors)
{
    return sector <= b->sectors && n_sectors <= b->sectors - sector;
}

/* A range to be zero, or to be forgotten. */
static int
prepare_range(const struct blk *b, struct request *r)
{
    struct zero_range z;
    if (b->block->read_only || r->chain.out_bytes != sizeof r->head + sizeof z) {
        return S_IOERR;
    }
    vq_get(&r->chain, sizeof r->head, &z, sizeof z);
    const bool discard = r->head.type == T_DISCARD;
    if (z.n_sectors > ZERO_MAX || !is_on_disk(b, z.sector, z.n_sectors) || (z.flags & ~(discard ? 0u : 1u)) != 0) {
        return S_IOERR;
    }
    r->io.op = discard ? BLOCK_DISCARD : BLOCK_ZERO;
    r->io.unmap = (z.flags & 1) != 0;
    r->io.off = z.sector * SECTOR;
    r->io.n = (uint64_t)z.n_sectors * SECTOR;
    return S_OK;
}

/* Find out what is asked. S_OK: r->io is to be submitted. */
static int
prepare(const struct blk *b, struct request *r)
{
    struct vq_chain *c = &r->chain;
    const uint32_t type = r->head.type;
    switch (type) {
    case T_IN:
    case T_OUT: {
        if (type == T_OUT && b->block->read_only) {
            return S_IOERR;
        }
        const uint64_t bytes = type == T_IN ? c->in_bytes - 1 : c->out_bytes - sizeof r->head;
        if (bytes % SECTOR != 0 || !is_on_disk(b, r->head.sector, bytes / SECTOR)) {
            return S_IOERR;
        }
        r->io.op = type == T_IN ? BLOCK_READ : BLOCK_WRITE;
        r->io.off = r->head.sector * SECTOR;
        if (type == T_IN) {
            cut(r, c->iov + c->n_out, c->n_in, 0, bytes);
        } else {
            cut(r, c->iov, c->n_out, sizeof r->head, bytes);
        }
        return S_OK;
    }
    case T_DISCARD:
    case T_WRITE_ZEROES:
        return prepare_range(b, r);
    case T_FLUSH:
        r->io.op = BLOCK_FLUSH;
        r->io.n = 0;
        return S_OK;
    }
    return S_UNSUPP;
}

static void
finish(struct blk *b, struct request *r, int status)
{
    uint32_t written = 0;
    if (r->status != NULL) {
        __atomic_store_n(r->status, (uint8_t)status, __ATOMIC_RELAXED);
        written = (uint32_t)(status == S_OK ? r->chain.in_bytes : 1);
    }
    device_lock(&b->v.dev);
    vq_push(&b->v, 0, &r->chain, written);
    vq_signal(&b->v, 0);
    device_unlock(&b->v.dev);
    r->next_free = b->free;
    b->free = r;
}

/* ---- the thread ---- */

static void
done(struct block_io *io, int result)
{
    struct request *r = (struct request *)io;
    finish(r->disk, r, result == 0 ? S_OK : S_IOERR);
}

static void
begin(struct blk *b, struct request *r)
{
    const struct vq_chain *c = &r->chain;
    r->status = NULL;
    if (c->n_in > 0) {
        const struct iovec *last = &c->iov[c->n_out + c->n_in - 1];
        r->status = (uint8_t *)last->iov_base + last->iov_len - 1;
    }
    int status = S_IOERR;
    if (r->status != NULL && vq_get(c, 0, &r->head, sizeof r->head) == sizeof r->head) {
        if (r->head.type == T_GET_ID) {
            vq_put(c, 0, b->serial, c->in_bytes - 1 < SERIAL_MAX ? (size_t)c->in_bytes - 1 : SERIAL_MAX);
            status = S_OK;
        } else {
            status = prepare(b, r);
            if (status == S_OK) {
                block_queue_submit(b->queue, &r->io);
                return;
            }
        }
    }
    finish(b, r, status);
}

/* Begin what is in the queue. False: the disk is to be put away. */
static bool
take(struct blk *b)
{
    for (;;) {
        device_lock(&b->v.dev);
        const bool stop = b->stop;
        struct request *r = b->free;
        const bool got = r != NULL && vq_pop(&b->v, 0, &r->chain);
        const bool more = !got && r != NULL && vq_ask(&b->v, 0);
        device_unlock(&b->v.dev);
        if (got) {
            b->free = r->next_free;
            begin(b, r);
        } else if (!more) {
            return !stop;
        }
    }
}

static void *
work(void *arg)
{
    struct blk *b = arg;
    prctl(PR_SET_NAME, "disk");
    while (take(b) || block_queue_under_way(b->queue) > 0) {
        block_queue_wait(b->queue);
    }
    return NULL;
}

/* ---- making and freeing ---- */

static void
blk_free(struct virtio *v)
{
    struct blk *b = (struct blk *)v;
    device_lock(&v->dev);
    b->stop = true;
    device_unlock(&v->dev);
    block_queue_kick(b->queue);
    pthread_join(b->thread, NULL);
    block_queue_free(b->queue);
    block_close(b->block);
    free(b);
}

static const struct virtio_ops ops_ = {
    .name = "virtio-blk",
    .id = VIRTIO_ID_BLK,
    .n_queues = 1,
    .notify = notify,
    .free = blk_free,
};

static void
configure(struct blk *b)
{
    const struct config c = {
        .capacity = b->sectors,
        .seg_max = SEG_MAX,
        .blk_size = SECTOR,
        .num_queues = 1,
        .max_discard_sectors = ZERO_MAX,
        .max_discard_seg = 1,
        .discard_sector_alignment = 4096 / SECTOR,
        .max_write_zeroes_sectors = ZERO_MAX,
        .max_write_zeroes_seg = 1,
        .write_zeroes_may_unmap = 1,
    };
    memcpy(b->v.s.config, &c, sizeof c);
    b->v.config_bytes = b->v.config_writable = sizeof c;
    b->v.features = F_SEG_MAX | F_BLK_SIZE | F_FLUSH | (b->block->read_only ? F_RO : F_DISCARD | F_WRITE_ZEROES);
}

struct device *
virtio_blk_new(const struct virtio_place *at, struct block *block, const char *serial, struct err *e)
{
    struct blk *b = calloc(1, sizeof *b);
    if (b == NULL) {
        err_set(e, -ENOMEM, "disk");
        goto close_block;
    }
    b->v.ops = &ops_;
    b->block = block;
    b->sectors = block->bytes / SECTOR;
    memcpy(b->serial, serial, strnlen(serial, SERIAL_MAX));
    for (unsigned i = 0; i < DEPTH; i++) {
        b->requests[i].disk = b;
        b->requests[i].io.done = done;
        b->requests[i].next_free = b->free;
        b->free = &b->requests[i];
    }
    configure(b);
    b->queue = block_queue_new(block, DEPTH, e);
    if (b->queue == NULL) {
        goto free_blk;
    }
    if (virtio_mmio_init(&b->v, at, e) < 0) {
        goto free_queue;
    }
    const int r = thread_start(&b->thread, DISK_STACK, work, b, false);
    if (r == 0) {
        return &b->v.dev;
    }
    err_set(e, r, "a thread for a disk");

free_queue:
    block_queue_free(b->queue);
free_blk:
    free(b);
close_block:
    block_close(block);
    return NULL;
}
