/*
 * virtio_net.c - a network card
 *
 * VIRTIO 1.3 §5.1: queue 0 receives, queue 1 transmits; each frame has a header of 12 bytes, which without offloads says nothing.
 *
 *      hart: notify ──► network's thread ──► pop queue 1, net_user_send(), or net_wire_send()
 *                       its frame ──► queue 0, or, while the guest has no buffer there, the backlog
 *
 * Threads: queues under the lock, all work on the network's thread.
 * Trust: frames are the guest's, of any content, at most NET_FRAME_MAX bytes; libslirp judges them.
 */
#include "device/virtio_devices.h"

#include "base/check.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define HEADER_BYTES  12
#define BACKLOG_BYTES (256u << 10)

#define F_MAC    (UINT64_C(1) << 5)
#define F_STATUS (UINT64_C(1) << 16)

enum { RX, TX };

/* §5.1.4, as far as we offer it. */
struct config {
    uint8_t mac[6];
    uint16_t status; /* 1: the link is up */
};

struct net {
    struct virtio v;
    struct net_user *user; /* own; one of these */
    struct net_wire *wire; /* own */

    /* the network's thread's */
    struct vq_chain chain;
    uint8_t frame[NET_FRAME_MAX];
    uint8_t backlog[BACKLOG_BYTES]; /* frames, each behind its length as uint32_t */
    size_t n_backlog;
};

static void
notify(struct virtio *v, unsigned queue)
{
    struct net *n = (struct net *)v;
    vq_hush(v, queue);
    if (n->user != NULL) {
        net_user_kick(n->user);
    } else if (n->wire != NULL) {
        net_wire_kick(n->wire);
    }
}

/* A frame goes into a buffer of the guest's. False: it has given none. A buffer that is too small loses the frame, not the guest. */
static bool
deliver(struct net *n, const void *bytes, size_t len)
{
    static const uint8_t header[HEADER_BYTES] = {[10] = 1}; /* num_buffers */
    struct virtio *v = &n->v;
    device_lock(&v->dev);
    const bool got = vq_pop(v, RX, &n->chain) || (vq_ask(v, RX) && vq_pop(v, RX, &n->chain));
    if (got) {
        const bool fits = n->chain.in_bytes >= HEADER_BYTES + len;
        if (fits) {
            vq_put(&n->chain, 0, header, sizeof header);
            vq_put(&n->chain, sizeof header, bytes, len);
        }
        vq_push(v, RX, &n->chain, fits ? (uint32_t)(HEADER_BYTES + len) : 0);
        vq_signal(v, RX);
    }
    device_unlock(&v->dev);
    return got;
}

static void
drain_backlog(struct net *n)
{
    size_t at = 0;
    while (at < n->n_backlog) {
        uint32_t len;
        memcpy(&len, n->backlog + at, sizeof len);
        if (!deliver(n, n->backlog + at + sizeof len, len)) {
            break;
        }
        at += sizeof len + len;
    }
    n->n_backlog -= at;
    memmove(n->backlog, n->backlog + at, n->n_backlog);
}

static void
frame(void *arg, const void *bytes, size_t len)
{
    struct net *n = arg;
    const uint32_t length = (uint32_t)len;
    if (len > NET_FRAME_MAX || (n->n_backlog == 0 && deliver(n, bytes, len)) ||
        n->n_backlog + sizeof length + len > sizeof n->backlog) {
        return; /* arrived, or lost as on any wire */
    }
    memcpy(n->backlog + n->n_backlog, &length, sizeof length);
    memcpy(n->backlog + n->n_backlog + sizeof length, bytes, len);
    n->n_backlog += sizeof length + len;
}

/* Take the next frame out of queue 1. Its length, 0 if it is none worth sending; -1: there is none. */
static long
take_frame(struct net *n)
{
    struct virtio *v = &n->v;
    long len = -1;
    device_lock(&v->dev);
    if (vq_pop(v, TX, &n->chain) || (vq_ask(v, TX) && vq_pop(v, TX, &n->chain))) {
        const uint64_t bytes = n->chain.out_bytes;
        const bool ok = bytes > HEADER_BYTES && bytes - HEADER_BYTES <= sizeof n->frame;
        len = ok ? (long)vq_get(&n->chain, HEADER_BYTES, n->frame, (size_t)(bytes - HEADER_BYTES)) : 0;
        vq_push(v, TX, &n->chain, 0);
    } else {
        vq_signal(v, TX);
    }
    device_unlock(&v->dev);
    return len;
}

static void
kicked(void *arg)
{
    struct net *n = arg;
    drain_backlog(n);
    for (long len; (len = take_frame(n)) >= 0;) {
        if (len > 0 && n->user != NULL) {
            net_user_send(n->user, n->frame, (size_t)len);
        } else if (len > 0) {
            net_wire_send(n->wire, n->frame, (size_t)len);
        }
    }
}

static void
net_free(struct virtio *v)
{
    struct net *n = (struct net *)v;
    if (n->user != NULL) {
        net_user_free(n->user);
    } else {
        net_wire_free(n->wire);
    }
    free(n);
}

static const struct virtio_ops ops_ = {
    .name = "virtio-net",
    .id = VIRTIO_ID_NET,
    .n_queues = 2,
    .notify = notify,
    .free = net_free,
};

static const struct net_ops net_ops_ = {frame, kicked};

struct device *
virtio_net_new(const struct virtio_place *at, const struct net_config *cfg, struct err *e)
{
    struct config config = {.status = 1};
    memcpy(config.mac, cfg->mac, sizeof config.mac);
    struct net *n = calloc(1, sizeof *n);
    if (n == NULL) {
        err_set(e, -ENOMEM, "virtio-net");
        return NULL;
    }
    n->v.ops = &ops_;
    n->v.features = F_MAC | F_STATUS;
    memcpy(n->v.s.config, &config, sizeof config);
    n->v.config_bytes = n->v.config_writable = sizeof config;
    if (virtio_mmio_init(&n->v, at, e) < 0) {
        goto free_net;
    }
    if (cfg->kind == NET_USER) {
        n->user = net_user_new(cfg->forwards, cfg->n_forwards, &net_ops_, n, e);
    } else {
        n->wire = net_wire_new(&cfg->wire, &net_ops_, n, e);
    }
    if (n->user != NULL || n->wire != NULL) {
        return &n->v.dev;
    }

free_net:
    free(n);
    return NULL;
}
