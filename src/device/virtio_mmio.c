/*
 * virtio_mmio.c - the registers of a virtio device
 *
 * Model: virtio,mmio, version 2 (VIRTIO 1.3 §4.2.2); QEMU virt, 0x10001000 … 0x10008000, 4 KiB each, PLIC sources 1 … 8. A slot
 * without a device has identity 0, which drivers pass over.
 *
 *   000 MAGIC  004 VERSION  008 DEVICE  00c VENDOR           r
 *   010 DEVICE_FEATURES r  014 its SEL w   020 DRIVER_FEATURES w  024 its SEL w
 *   030 QUEUE_SEL w  034 QUEUE_NUM_MAX r  038 QUEUE_NUM w  044 QUEUE_READY rw  050 QUEUE_NOTIFY w
 *   060 INTERRUPT_STATUS r  064 INTERRUPT_ACK w  070 STATUS rw
 *   080 084 DESC  090 094 DRIVER  0a0 0a4 DEVICE w           addresses of the parts of the queue that is selected
 *   0b0 … 0bc SHM r (none: all ones)  0fc CONFIG_GENERATION r  100 … CONFIG rw
 *
 * Threads: registers on any hart under the lock. A write of 0 to STATUS waits for what is in flight.
 * Trust: 4 bytes, aligned; CONFIG in any size. Queue numbers are checked at each use.
 */
#include "device/virtio.h"

#include "base/check.h"
#include "device/dt.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define MMIO_BYTES 0x1000
#define MAGIC      0x74726976 /* "virt" */
#define VENDOR     0x4c504f44 /* "DOPL" */

enum { R_MAGIC = 0, R_VERSION = 4, R_DEVICE = 8, R_VENDOR = 0xc, R_DEVICE_FEATURES = 0x10, R_DEVICE_FEATURES_SEL = 0x14,
       R_DRIVER_FEATURES = 0x20, R_DRIVER_FEATURES_SEL = 0x24, R_QUEUE_SEL = 0x30, R_QUEUE_NUM_MAX = 0x34, R_QUEUE_NUM = 0x38,
       R_QUEUE_READY = 0x44, R_QUEUE_NOTIFY = 0x50, R_ISR = 0x60, R_ACK = 0x64, R_STATUS = 0x70, R_DESC = 0x80, R_DRIVER = 0x90,
       R_DEVICE_PART = 0xa0, R_SHM = 0xb0, R_SHM_END = 0xc0, R_GENERATION = 0xfc, R_CONFIG = 0x100 };

#define V_FIELD(member)  FIELD(struct virtio_state, member, 1)
#define VQ_FIELD(member) FIELD(struct virtio_state, member, VIRTIO_QUEUES_MAX)
const struct field virtio_fields[] = {
    V_FIELD(driver_features),     V_FIELD(status),    V_FIELD(isr),         V_FIELD(device_features_sel),
    V_FIELD(driver_features_sel), V_FIELD(queue_sel), V_FIELD(config_generation),
    VQ_FIELD(desc),               VQ_FIELD(driver),   VQ_FIELD(device),     VQ_FIELD(num),
    VQ_FIELD(ready),              VQ_FIELD(next_avail), VQ_FIELD(next_used), VQ_FIELD(signalled),
    VQ_FIELD(avail_wrap),         VQ_FIELD(used_wrap), VQ_FIELD(told),      VQ_FIELD(signalled_wrap),
    FIELD(struct virtio_state, config, VIRTIO_CONFIG_MAX),
};
const size_t virtio_field_count = ARRAY_LEN(virtio_fields);

void
virtio_interrupt(struct virtio *v, uint32_t why)
{
    v->s.isr |= why;
    irq_set(&v->irq, true);
}

void
virtio_broken(struct virtio *v)
{
    v->s.status |= VIRTIO_NEEDS_RESET;
    if (v->s.status & VIRTIO_DRIVER_OK) {
        virtio_interrupt(v, VIRTIO_INT_CONFIG);
    }
}

/* Back to the beginning (§2.4), after all that is in flight. The configuration is the device's own. */
static void
reset_locked(struct virtio *v)
{
    v->s.status &= ~(uint32_t)VIRTIO_DRIVER_OK; /* nothing new is popped */
    if (v->ops != NULL && v->ops->stop != NULL) {
        v->ops->stop(v);
    }
    while (v->inflight > 0) {
        pthread_cond_wait(&v->idle, &v->dev.lock);
    }
    if (v->ops != NULL && v->ops->reset != NULL) {
        v->ops->reset(v);
    }
    uint8_t config[VIRTIO_CONFIG_MAX];
    memcpy(config, v->s.config, sizeof config);
    v->s = (struct virtio_state){0};
    memcpy(v->s.config, config, sizeof config);
    for (unsigned q = 0; q < VIRTIO_QUEUES_MAX; q++) {
        vq_clear(v, q);
    }
    irq_set(&v->irq, false);
}

static void
set_status_locked(struct virtio *v, uint32_t status)
{
    const uint32_t old = v->s.status;
    if (status == 0) {
        reset_locked(v);
        return;
    }
    if ((status & ~old & VIRTIO_FEATURES_OK) && ((v->s.driver_features & ~v->features) || !virtio_has(v, VIRTIO_F_VERSION_1))) {
        status &= ~(uint32_t)VIRTIO_FEATURES_OK; /* which the driver reads back (§3.1.1) */
    }
    /* a driver must not clear bits (§2.1.1); of what was agreed upon, rings are made and checked */
    v->s.status = (status & ~(uint32_t)VIRTIO_NEEDS_RESET & 0xff) | (old & (VIRTIO_NEEDS_RESET | VIRTIO_FEATURES_OK));
    if ((v->s.status & ~old & VIRTIO_DRIVER_OK) && v->ops != NULL) {
        if (!(v->s.status & VIRTIO_FEATURES_OK)) {
            virtio_broken(v);
        } else if (v->ops->started != NULL) {
            v->ops->started(v);
        }
    }
}

static void
set_ready_locked(struct virtio *v, unsigned q, bool ready)
{
    if (!ready) {
        /* what was popped of it may still be pushed: it then goes nowhere */
        vq_clear(v, q);
    } else if (!v->s.ready[q]) {
        if (vq_start(v, q)) {
            v->s.ready[q] = 1;
        } else {
            virtio_broken(v);
        }
    }
}

static uint64_t
config_read(const struct virtio *v, uint64_t off, unsigned size)
{
    uint64_t value = 0;
    if (off + size <= v->config_bytes) {
        memcpy(&value, v->s.config + off, size);
    }
    return value;
}

static void
config_write(struct virtio *v, uint64_t off, unsigned size, uint64_t value)
{
    if (off >= v->config_writable && off + size <= v->config_bytes) {
        memcpy(v->s.config + off, &value, size);
        if (v->ops->config_written != NULL) {
            v->ops->config_written(v);
        }
    }
}

static uint32_t
register_read(struct virtio *v, uint64_t off)
{
    const struct virtio_state *s = &v->s;
    const bool queue = v->ops != NULL && s->queue_sel < v->ops->n_queues;
    switch (off) {
    case R_MAGIC:
        return MAGIC;
    case R_VERSION:
        return 2;
    case R_DEVICE:
        return v->ops != NULL ? v->ops->id : 0;
    case R_VENDOR:
        return VENDOR;
    case R_DEVICE_FEATURES:
        return s->device_features_sel < 2 ? (uint32_t)(v->features >> 32 * s->device_features_sel) : 0;
    case R_QUEUE_NUM_MAX:
        return queue ? VQ_SIZE_MAX : 0;
    case R_QUEUE_READY:
        return queue ? s->ready[s->queue_sel] : 0;
    case R_ISR:
        return s->isr;
    case R_STATUS:
        return s->status;
    case R_GENERATION:
        return s->config_generation;
    }
    return off >= R_SHM && off < R_SHM_END ? UINT32_MAX : 0;
}

static uint64_t
mmio_read(void *dev, uint64_t off, unsigned size)
{
    struct virtio *v = dev;
    device_lock(&v->dev);
    const uint64_t value = off >= R_CONFIG ? config_read(v, off - R_CONFIG, size) : size == 4 ? register_read(v, off) : 0;
    device_unlock(&v->dev);
    return value;
}

static void
set_half(uint64_t *address, uint64_t off, uint32_t value)
{
    *address = off & 4 ? (*address & UINT32_MAX) | (uint64_t)value << 32 : (*address & ~(uint64_t)UINT32_MAX) | value;
}

/* Of the queue that is selected; while it is ready nothing of it changes but that. */
static void
queue_write(struct virtio *v, uint64_t off, uint32_t value)
{
    struct virtio_state *s = &v->s;
    const uint32_t q = s->queue_sel;
    if (q >= v->ops->n_queues) {
        return;
    }
    if (off == R_QUEUE_READY) {
        set_ready_locked(v, q, value & 1);
    } else if (!s->ready[q]) {
        switch (off) {
        case R_QUEUE_NUM:
            s->num[q] = value;
            break;
        case R_DESC:
        case R_DESC + 4:
            set_half(&s->desc[q], off, value);
            break;
        case R_DRIVER:
        case R_DRIVER + 4:
            set_half(&s->driver[q], off, value);
            break;
        case R_DEVICE_PART:
        case R_DEVICE_PART + 4:
            set_half(&s->device[q], off, value);
            break;
        }
    }
}

/* One that is made before features are agreed upon is of the kind that they were then. */
static bool
has_ring(const struct virtio *v)
{
    bool any = false;
    for (unsigned q = 0; q < v->ops->n_queues; q++) {
        any |= v->s.ready[q] != 0;
    }
    return any;
}

static void
register_write(struct virtio *v, uint64_t off, uint32_t value)
{
    struct virtio_state *s = &v->s;
    switch (off) {
    case R_DEVICE_FEATURES_SEL:
        s->device_features_sel = value;
        break;
    case R_DRIVER_FEATURES:
        if (s->driver_features_sel < 2 && !(s->status & VIRTIO_FEATURES_OK) && !has_ring(v)) {
            const unsigned shift = 32 * s->driver_features_sel;
            s->driver_features = (s->driver_features & ~((uint64_t)UINT32_MAX << shift)) | (uint64_t)value << shift;
        }
        break;
    case R_DRIVER_FEATURES_SEL:
        s->driver_features_sel = value;
        break;
    case R_QUEUE_SEL:
        s->queue_sel = value;
        break;
    case R_QUEUE_NOTIFY:
        if (virtio_is_running(v) && value < v->ops->n_queues && s->ready[value] && v->ops->notify != NULL) {
            v->ops->notify(v, value);
        }
        break;
    case R_ACK:
        s->isr &= ~value;
        if (s->isr == 0) {
            irq_set(&v->irq, false);
        }
        break;
    case R_STATUS:
        set_status_locked(v, value);
        break;
    default:
        queue_write(v, off, value);
    }
}

static void
mmio_write(void *dev, uint64_t off, unsigned size, uint64_t value)
{
    struct virtio *v = dev;
    device_lock(&v->dev);
    if (v->ops == NULL) {
        /* an empty slot */
    } else if (off >= R_CONFIG) {
        config_write(v, off - R_CONFIG, size, value);
    } else if (size == 4) {
        register_write(v, off, (uint32_t)value);
    }
    device_unlock(&v->dev);
}

static void
mmio_reset(struct device *d)
{
    device_lock(d);
    reset_locked((struct virtio *)d);
    device_unlock(d);
}

static int
mmio_fdt(const struct device *d, void *fdt)
{
    static const char compatible[] = "virtio,mmio";
    const int r = device_fdt_begin(d, fdt, "virtio_mmio", compatible, sizeof compatible);
    return r != 0 ? r : fdt_end_node(fdt);
}

static void
mmio_free(struct device *d)
{
    struct virtio *v = (struct virtio *)d;
    if (v->ops != NULL) {
        v->ops->free(v);
    } else {
        free(v);
    }
}

static const struct device_type type_ = {
    .name = "virtio-mmio",
    DEVICE_STATE(struct virtio, s, virtio_fields),
    .reset = mmio_reset,
    .fdt = mmio_fdt,
    .free = mmio_free,
};

static const struct io_ops ops_ = {mmio_read, mmio_write, 1 | 2 | 4 | 8};

int
virtio_mmio_init(struct virtio *v, const struct virtio_place *at, struct err *e)
{
    const char *name = v->ops != NULL ? v->ops->name : "virtio-mmio";
    const int r = physmap_add_io(at->pm, name, at->base, MMIO_BYTES, &ops_, v, e);
    if (r < 0) {
        return r;
    }
    device_init(&v->dev, &type_, at->base, MMIO_BYTES, at->irq.n);
    pthread_cond_init(&v->idle, NULL);
    v->pm = at->pm;
    v->irq = at->irq;
    v->features |= VIRTIO_F_VERSION_1 | VIRTIO_F_INDIRECT_DESC | VIRTIO_F_EVENT_IDX | (at->packed ? VIRTIO_F_RING_PACKED : 0);
    device_lock(&v->dev);
    reset_locked(v);
    device_unlock(&v->dev);
    return 0;
}

struct device *
virtio_empty_new(const struct virtio_place *at, struct err *e)
{
    struct virtio *v = calloc(1, sizeof *v);
    if (v == NULL) {
        err_set(e, -ENOMEM, "virtio-mmio");
        return NULL;
    }
    if (virtio_mmio_init(v, at, e) < 0) {
        free(v);
        return NULL;
    }
    return &v->dev;
}
