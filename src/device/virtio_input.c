/*
 * virtio_input.c - a power button
 *
 * VIRTIO 1.3 §5.8. Queues: events to the guest, and status from it (lights, of which there are none). The configuration is a window: what
 * `select` and `subsel` name appears in it.
 *
 *      00 select | 01 subsel | 02 size | 08 … what it says        rw, rw, r, r
 *
 *      a press:  KEY_POWER 1 · SYN · KEY_POWER 0 · SYN            as many as the guest has buffers for; the rest follow
 *
 * Linux makes an input device of it, which systemd-logind takes for what it is. A guest without a driver notices nothing.
 *
 * Threads: registers on any hart, presses by any thread, under the lock.
 */
#include "device/virtio_devices.h"

#include "base/check.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { Q_EVENT, Q_STATUS };
enum { ID_NAME = 1, ID_DEVIDS = 3, EV_BITS = 0x11 };
enum { EV_SYN = 0, EV_KEY = 1, KEY_POWER = 116, BUS_VIRTUAL = 6 };

#define WINDOW 56

struct config {
    uint8_t select, subsel, size, reserved[5];
    uint8_t window[WINDOW];
};

struct event {
    uint16_t type, code;
    uint32_t value;
};

static const struct event press_[] = {{EV_KEY, KEY_POWER, 1}, {EV_SYN, 0, 0}, {EV_KEY, KEY_POWER, 0}, {EV_SYN, 0, 0}};

struct input {
    struct virtio v;
    struct vq_chain chain;
    unsigned next; /* of a press: ARRAY_LEN(press_) if there is none */
};

static void
config_written(struct virtio *v)
{
    static const char name[] = "doppel power button";
    static const uint16_t ids[4] = {BUS_VIRTUAL};
    struct config c;
    memcpy(&c, v->s.config, sizeof c);
    c.size = 0;
    memset(c.reserved, 0, sizeof c.reserved);
    memset(c.window, 0, sizeof c.window);
    if (c.select == ID_NAME && c.subsel == 0) {
        c.size = sizeof name - 1;
        memcpy(c.window, name, c.size);
    } else if (c.select == ID_DEVIDS && c.subsel == 0) {
        c.size = sizeof ids;
        memcpy(c.window, ids, c.size);
    } else if (c.select == EV_BITS && c.subsel == EV_KEY) {
        c.size = KEY_POWER / 8 + 1;
        c.window[KEY_POWER / 8] = 1 << KEY_POWER % 8;
    }
    memcpy(v->s.config, &c, sizeof c);
}

static void
tell(struct input *i)
{
    struct virtio *v = &i->v;
    while (i->next < ARRAY_LEN(press_) && (vq_pop(v, Q_EVENT, &i->chain) || (vq_ask(v, Q_EVENT) && vq_pop(v, Q_EVENT, &i->chain)))) {
        const struct event *e = &press_[i->next++];
        vq_push(v, Q_EVENT, &i->chain, (uint32_t)vq_put(&i->chain, 0, e, sizeof *e));
    }
    vq_signal(v, Q_EVENT);
}

static void
notify(struct virtio *v, unsigned queue)
{
    struct input *i = (struct input *)v;
    if (queue == Q_EVENT) {
        tell(i);
        return;
    }
    do {
        while (vq_pop(v, queue, &i->chain)) {
            vq_push(v, queue, &i->chain, 0);
        }
    } while (vq_ask(v, queue));
    vq_signal(v, queue);
}

void
virtio_input_press(struct device *d)
{
    struct input *i = (struct input *)d;
    device_lock(d);
    if (virtio_is_running(&i->v) && i->next == ARRAY_LEN(press_)) {
        i->next = 0;
        tell(i);
    }
    device_unlock(d);
}

static void
input_reset(struct virtio *v)
{
    ((struct input *)v)->next = ARRAY_LEN(press_);
    memset(v->s.config, 0, sizeof v->s.config);
}

static void
input_free(struct virtio *v)
{
    free(v);
}

static const struct virtio_ops ops_ = {
    .name = "virtio-input",
    .id = VIRTIO_ID_INPUT,
    .n_queues = 2,
    .notify = notify,
    .config_written = config_written,
    .reset = input_reset,
    .free = input_free,
};

struct device *
virtio_input_new(const struct virtio_place *at, struct err *e)
{
    struct input *i = calloc(1, sizeof *i);
    if (i == NULL) {
        err_set(e, -ENOMEM, "virtio-input");
        return NULL;
    }
    i->v.ops = &ops_;
    i->v.config_bytes = sizeof(struct config);
    if (virtio_mmio_init(&i->v, at, e) < 0) {
        free(i);
        return NULL;
    }
    return &i->v.dev;
}
