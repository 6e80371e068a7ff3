/*
 * virtio_rng.c - random bytes
 *
 * VIRTIO 1.3 §5.4: one queue of buffers to fill. The bytes enter through nondet_random().
 *
 * Threads: on the hart that notifies, under the lock.
 */
#include "device/virtio_devices.h"

#include "base/check.h"
#include "base/nondet.h"

#include <errno.h>
#include <stdlib.h>

#define BYTES_MAX 4096 /* of one buffer: it may be written in part */

struct rng {
    struct virtio v;
    struct vq_chain chain;
};

static void
notify(struct virtio *v, unsigned queue)
{
    struct vq_chain *c = &((struct rng *)v)->chain;
    uint8_t bytes[BYTES_MAX];
    do {
        while (vq_pop(v, queue, c)) {
            const size_t n = c->in_bytes < sizeof bytes ? (size_t)c->in_bytes : sizeof bytes;
            nondet_random(bytes, n);
            vq_push(v, queue, c, (uint32_t)vq_put(c, 0, bytes, n));
        }
    } while (vq_ask(v, queue));
    vq_signal(v, queue);
}

static void
rng_free(struct virtio *v)
{
    free(v);
}

static const struct virtio_ops ops_ = {
    .name = "virtio-rng",
    .id = VIRTIO_ID_RNG,
    .n_queues = 1,
    .notify = notify,
    .free = rng_free,
};

struct device *
virtio_rng_new(const struct virtio_place *at, struct err *e)
{
    struct rng *r = calloc(1, sizeof *r);
    if (r == NULL) {
        err_set(e, -ENOMEM, "virtio-rng");
        return NULL;
    }
    r->v.ops = &ops_;
    if (virtio_mmio_init(&r->v, at, e) < 0) {
        free(r);
        return NULL;
    }
    return &r->v.dev;
}
