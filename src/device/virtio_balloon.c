/*
 * virtio_balloon.c - memory that the guest gives back
 *
 * VIRTIO 1.3 §5.5. Queues: 0 pages that the guest lends us, 1 pages that it takes back, both lists of page numbers, 4 bytes each; 2 its
 * statistics; 3 pages that it does not use at the moment, as the memory of a chain itself (reporting; queue 4 in the specification, but
 * queues that nobody has asked for do not count).
 *
 *      configuration  num_pages 4, what we would like to have | actual 4, what it has lent
 *
 * A page that is lent or reported goes back to this machine, and is zero when the guest touches it again. Taking one back is
 * touching it. A chain of the statistics stays with us until we want to know again.
 *
 * Threads: pages go on a worker, for giving back is a system call for each run; the rest under the lock.
 * Trust: page numbers are checked by physmap; what is no RAM is passed over.
 */
#include "device/virtio_devices.h"

#include "base/check.h"
#include "device/worker.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define F_STATS          (UINT64_C(1) << 1)
#define F_DEFLATE_ON_OOM (UINT64_C(1) << 2)
#define F_REPORTING      (UINT64_C(1) << 5)

#define PAGE_SHIFT 12 /* whatever the guest's own pages are */
#define STATS_MAX  64 /* entries that are read of the guest's */

enum { Q_INFLATE, Q_DEFLATE, Q_STATS, Q_REPORT, Q_COUNT };

struct config {
    uint32_t num_pages, actual;
};

struct stat_entry {
    uint16_t tag;
    uint64_t value;
} __attribute__((packed));

struct balloon {
    struct virtio v;
    struct worker worker;
    struct vq_chain chain;             /* the worker's */

    /* under the lock */
    struct vq_chain held;              /* of the statistics, if `holds` */
    bool holds;
    uint64_t stats[VIRTIO_BALLOON_STATS]; /* by tag; UINT64_MAX: not told */
};

static struct config
config_of(const struct balloon *b)
{
    struct config c;
    memcpy(&c, b->v.s.config, sizeof c);
    return c;
}

/* ---- pages ---- */

/* A list of page numbers: those that follow each other, up or down, go at once. */
static void
give_back(struct balloon *b)
{
    uint32_t pages[256];
    uint64_t first = 0, n = 0;
    for (uint64_t at = 0; at < b->chain.out_bytes; at += sizeof pages) {
        const size_t got = vq_get(&b->chain, at, pages, sizeof pages) / sizeof *pages;
        for (size_t i = 0; i < got; i++) {
            if (n > 0 && pages[i] == first + n) {
                n++;
            } else if (n > 0 && (uint64_t)pages[i] + 1 == first) {
                first--;
                n++;
            } else {
                physmap_discard(b->v.pm, first << PAGE_SHIFT, n << PAGE_SHIFT);
                first = pages[i];
                n = 1;
            }
        }
    }
    physmap_discard(b->v.pm, first << PAGE_SHIFT, n << PAGE_SHIFT);
}

static void
give_back_reported(struct balloon *b)
{
    const struct iovec *iov = b->chain.iov + b->chain.n_out;
    for (unsigned i = 0; i < b->chain.n_in; i++) {
        const gpa_t gpa = b->v.pm->ram_base + (uint64_t)((const uint8_t *)iov[i].iov_base - b->v.pm->ram);
        physmap_discard(b->v.pm, gpa, iov[i].iov_len);
    }
}

static void
work(void *arg)
{
    struct balloon *b = arg;
    struct virtio *v = &b->v;
    static const unsigned queues[] = {Q_INFLATE, Q_DEFLATE, Q_REPORT};
    for (unsigned i = 0; i < ARRAY_LEN(queues); i++) {
        const unsigned q = queues[i];
        for (;;) {
            device_lock(&v->dev);
            const bool got = vq_pop(v, q, &b->chain) || (vq_ask(v, q) && vq_pop(v, q, &b->chain));
            device_unlock(&v->dev);
            if (!got) {
                break;
            }
            if (q == Q_INFLATE) {
                give_back(b);
            } else if (q == Q_REPORT) {
                give_back_reported(b);
            }
            device_lock(&v->dev);
            vq_push(v, q, &b->chain, 0);
            vq_signal(v, q);
            device_unlock(&v->dev);
        }
    }
}

/* ---- statistics ---- */

static void
take_stats(struct balloon *b)
{
    struct virtio *v = &b->v;
    while (!b->holds && (vq_pop(v, Q_STATS, &b->held) || (vq_ask(v, Q_STATS) && vq_pop(v, Q_STATS, &b->held)))) {
        struct stat_entry s[STATS_MAX];
        const size_t n = vq_get(&b->held, 0, s, sizeof s) / sizeof *s;
        for (size_t i = 0; i < n; i++) {
            if (s[i].tag < VIRTIO_BALLOON_STATS) {
                b->stats[s[i].tag] = s[i].value;
            }
        }
        b->holds = true;
    }
}

static void
notify(struct virtio *v, unsigned queue)
{
    struct balloon *b = (struct balloon *)v;
    if (queue == Q_STATS) {
        take_stats(b);
    } else {
        vq_hush(v, queue);
        worker_kick(&b->worker);
    }
}

static void
stop(struct virtio *v)
{
    struct balloon *b = (struct balloon *)v;
    if (b->holds) {
        b->holds = false;
        vq_forget(v);
    }
}

/* A guest that begins anew has lent nothing. */
static void
reset(struct virtio *v)
{
    struct balloon *b = (struct balloon *)v;
    memset(v->s.config + offsetof(struct config, actual), 0, sizeof(uint32_t));
    memset(b->stats, 0xff, sizeof b->stats);
}

/* ---- the machine's side ---- */

void
virtio_balloon_want(struct device *d, uint64_t bytes)
{
    struct balloon *b = (struct balloon *)d;
    device_lock(d);
    const uint64_t pages = bytes >> PAGE_SHIFT;
    const uint32_t num_pages = pages < UINT32_MAX ? (uint32_t)pages : UINT32_MAX;
    memcpy(b->v.s.config, &num_pages, sizeof num_pages);
    b->v.s.config_generation++;
    if (virtio_is_running(&b->v)) {
        virtio_interrupt(&b->v, VIRTIO_INT_CONFIG);
    }
    device_unlock(d);
}

uint64_t
virtio_balloon_has(struct device *d)
{
    const struct balloon *b = (struct balloon *)d;
    device_lock(d);
    const uint64_t pages = config_of(b).actual;
    device_unlock(d);
    const uint64_t bytes = pages << PAGE_SHIFT; /* what the guest says: it may not be so */
    return bytes < b->v.pm->ram_bytes ? bytes : b->v.pm->ram_bytes;
}

void
virtio_balloon_stats(struct device *d, uint64_t stats[VIRTIO_BALLOON_STATS])
{
    struct balloon *b = (struct balloon *)d;
    device_lock(d);
    memcpy(stats, b->stats, sizeof b->stats);
    if (b->holds) { /* the next ones, please */
        b->holds = false;
        vq_push(&b->v, Q_STATS, &b->held, 0);
        vq_signal(&b->v, Q_STATS);
    }
    device_unlock(d);
}

static void
balloon_free(struct virtio *v)
{
    struct balloon *b = (struct balloon *)v;
    worker_stop(&b->worker);
    free(b);
}

static const struct virtio_ops ops_ = {
    .name = "virtio-balloon",
    .id = VIRTIO_ID_BALLOON,
    .n_queues = Q_COUNT,
    .notify = notify,
    .stop = stop,
    .reset = reset,
    .free = balloon_free,
};

struct device *
virtio_balloon_new(const struct virtio_place *at, uint64_t bytes, struct err *e)
{
    struct balloon *b = calloc(1, sizeof *b);
    if (b == NULL) {
        err_set(e, -ENOMEM, "virtio-balloon");
        return NULL;
    }
    b->v.ops = &ops_;
    b->v.features = F_STATS | F_DEFLATE_ON_OOM | F_REPORTING;
    b->v.config_bytes = sizeof(struct config);
    b->v.config_writable = offsetof(struct config, actual);
    if (worker_start(&b->worker, "balloon", work, b, e) < 0) {
        goto free_balloon;
    }
    if (virtio_mmio_init(&b->v, at, e) < 0) {
        goto stop_worker;
    }
    virtio_balloon_want(&b->v.dev, bytes);
    return &b->v.dev;

stop_worker:
    worker_stop(&b->worker);
free_balloon:
    free(b);
    return NULL;
}
