/*
 * virtio_9p.c - a folder of this machine, shared with the guest
 *
 * VIRTIO 1.3 §5.17 (its name is there; the layout is Linux's include/uapi/linux/virtio_9p.h): one queue, each chain a request to read
 * and room for its reply; the configuration is the tag that the guest mounts: length 2 | tag.
 *
 *      hart: notify ──► worker: pop ──► p9_serve() ──► push
 *
 * Threads: queues under the lock; the server belongs to the worker, and to a reset when nothing is in flight.
 */
#include "device/virtio_devices.h"

#include "base/check.h"
#include "device/p9.h"
#include "device/worker.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define F_MOUNT_TAG UINT64_C(1)

struct share {
    struct virtio v;
    struct p9 *p9;        /* own */
    struct worker worker;
    struct vq_chain chain; /* the worker's */
};

static void
notify(struct virtio *v, unsigned queue)
{
    vq_hush(v, queue);
    worker_kick(&((struct share *)v)->worker);
}

static void
serve(void *arg)
{
    struct share *s = arg;
    struct virtio *v = &s->v;
    for (;;) {
        device_lock(&v->dev);
        const bool got = vq_pop(v, 0, &s->chain) || (vq_ask(v, 0) && vq_pop(v, 0, &s->chain));
        device_unlock(&v->dev);
        if (!got) {
            return;
        }
        const uint32_t n = p9_serve(s->p9, &s->chain);
        device_lock(&v->dev);
        vq_push(v, 0, &s->chain, n);
        vq_signal(v, 0);
        device_unlock(&v->dev);
    }
}

static void
reset(struct virtio *v)
{
    struct share *s = (struct share *)v;
    if (s->p9 != NULL) {
        p9_reset(s->p9);
    }
}

static void
share_free(struct virtio *v)
{
    struct share *s = (struct share *)v;
    worker_stop(&s->worker);
    p9_free(s->p9);
    free(s);
}

static const struct virtio_ops ops_ = {
    .name = "virtio-9p",
    .id = VIRTIO_ID_9P,
    .n_queues = 1,
    .notify = notify,
    .reset = reset,
    .free = share_free,
};

struct device *
virtio_9p_new(const struct virtio_place *at, int folder, bool read_only, const char *tag, struct err *e)
{
    const size_t len = strlen(tag);
    CHECK(len > 0 && len <= VIRTIO_9P_TAG_MAX);
    struct share *s = calloc(1, sizeof *s);
    if (s == NULL) {
        err_set(e, -ENOMEM, "virtio-9p");
        close(folder);
        return NULL;
    }
    s->v.ops = &ops_;
    s->v.features = F_MOUNT_TAG;
    s->v.s.config[0] = (uint8_t)len;
    memcpy(s->v.s.config + 2, tag, len);
    s->v.config_bytes = s->v.config_writable = (uint32_t)(2 + len);
    s->p9 = p9_new(folder, read_only, e);
    if (s->p9 == NULL) {
        goto free_share;
    }
    if (worker_start(&s->worker, "share", serve, s, e) < 0) {
        goto free_p9;
    }
    if (virtio_mmio_init(&s->v, at, e) == 0) {
        return &s->v.dev;
    }
    worker_stop(&s->worker);
free_p9:
    p9_free(s->p9);
free_share:
    free(s);
    return NULL;
}
