/*
 * virtio.h - a virtio device: queues, negotiation, the mmio transport, and what each kind of device adds
 *
 * Virtual I/O Device (VIRTIO) Version 1.3. virtio.c holds the queues (§2.7 split, §2.8 packed), virtio_mmio.c the registers (§4.2.2,
 * version 2: no legacy), virtio_blk.c and so on one kind of device each:
 *
 *      driver ──desc, avail──► vq_pop() ──► struct vq_chain (host memory) ──► the device works
 *             ◄──used, irq──── vq_push() ◄─────────────────────────────────────┘
 *
 * Threads: registers and queues under dev.lock, which a device holds around vq_*, but not while it works for long: what has been
 * popped is then counted in `inflight`, and a reset waits until all of it has been pushed or dropped (vq_forget).
 * Trust: rings, descriptors and addresses are the guest's. Each word is read once; an address is used only as physmap has found it to
 * be RAM. A ring that makes no sense stops its device: DEVICE_NEEDS_RESET (§2.1).
 */
#ifndef DOPPEL_VIRTIO_H
#define DOPPEL_VIRTIO_H

#include "base/err.h"
#include "device/device.h"
#include "memory/physmap.h"

#include <sys/uio.h>

#define VIRTIO_QUEUES_MAX 10
#define VIRTIO_CONFIG_MAX 64
#define VQ_SIZE_MAX       256
#define VQ_SEGMENTS_MAX   258 /* of a chain: as many as a queue has, a header, a footer */

/* Feature bits (§6) of all devices. */
#define VIRTIO_F_INDIRECT_DESC (UINT64_C(1) << 28)
#define VIRTIO_F_EVENT_IDX     (UINT64_C(1) << 29)
#define VIRTIO_F_VERSION_1     (UINT64_C(1) << 32)
#define VIRTIO_F_RING_PACKED   (UINT64_C(1) << 34)

enum { VIRTIO_ID_NET = 1, VIRTIO_ID_BLK = 2, VIRTIO_ID_CONSOLE = 3, VIRTIO_ID_RNG = 4, VIRTIO_ID_BALLOON = 5,
       VIRTIO_ID_9P = 9, VIRTIO_ID_INPUT = 18, VIRTIO_ID_VSOCK = 19 };

enum { VIRTIO_ACKNOWLEDGE = 1, VIRTIO_DRIVER = 2, VIRTIO_DRIVER_OK = 4, VIRTIO_FEATURES_OK = 8, VIRTIO_NEEDS_RESET = 64,
       VIRTIO_FAILED = 128 };
enum { VIRTIO_INT_USED = 1, VIRTIO_INT_CONFIG = 2 };

/* What the guest has handed over to be worked on: memory to read, then memory to write. */
struct vq_chain {
    uint16_t id;     /* what vq_push() returns to the driver */
    uint16_t n_desc; /* ring entries that it takes */
    uint32_t made;   /* which of the rings that the queue has had it is from */
    unsigned n_out, n_in;
    uint64_t out_bytes, in_bytes;
    struct iovec iov[VQ_SEGMENTS_MAX]; /* n_out, then n_in; into: guest RAM; none is empty */
};

struct virtio_state {
    uint64_t driver_features;
    uint32_t status, isr, device_features_sel, driver_features_sel, queue_sel, config_generation;
    /* of each queue */
    uint64_t desc[VIRTIO_QUEUES_MAX], driver[VIRTIO_QUEUES_MAX], device[VIRTIO_QUEUES_MAX]; /* addresses of its three parts */
    uint32_t num[VIRTIO_QUEUES_MAX], ready[VIRTIO_QUEUES_MAX];
    uint16_t next_avail[VIRTIO_QUEUES_MAX], next_used[VIRTIO_QUEUES_MAX];     /* split: free-running; packed: indices */
    uint16_t signalled[VIRTIO_QUEUES_MAX];                                    /* next_used when the driver was last told */
    uint8_t avail_wrap[VIRTIO_QUEUES_MAX], used_wrap[VIRTIO_QUEUES_MAX], told[VIRTIO_QUEUES_MAX]; /* told: `signalled` is meant */
    uint8_t signalled_wrap[VIRTIO_QUEUES_MAX];
    uint8_t config[VIRTIO_CONFIG_MAX];
};

struct virtio;

struct virtio_ops {
    const char *name; /* "virtio-blk" */
    uint32_t id;
    unsigned n_queues;
    /* All with dev.lock held unless said otherwise; NULL: nothing to do. */
    void (*notify)(struct virtio *v, unsigned queue); /* there may be something in the queue; the device is DRIVER_OK */
    void (*started)(struct virtio *v);                /* the driver has set DRIVER_OK */
    void (*config_written)(struct virtio *v);         /* the guest has changed v->s.config */
    void (*stop)(struct virtio *v);                   /* a reset begins: vq_forget() what waits for something that may never come */
    void (*reset)(struct virtio *v);                  /* nothing is in flight any more */
    void (*free)(struct virtio *v);                   /* without the lock; ends its threads, frees v */
};

/* Begins each device's own struct. */
struct virtio {
    struct device dev;
    const struct virtio_ops *ops;
    struct physmap *pm; /* ref */
    struct irq irq;
    uint64_t features;     /* offered */
    uint32_t config_bytes, config_writable; /* how many of s.config exist; and from where on, the guest may write */

    /* under dev.lock */
    struct virtio_state s;
    struct vq { /* rebuilt when a queue becomes ready: the host's view of its parts, into: guest RAM */
        uint8_t *desc, *driver, *device;
        uint32_t made; /* how many it has had: a chain of an earlier one goes nowhere */
    } vq[VIRTIO_QUEUES_MAX];
    unsigned inflight;
    pthread_cond_t idle; /* inflight has become 0 */
};

/* Where a device is to be. */
struct virtio_place {
    struct physmap *pm; /* ref */
    uint64_t base;
    struct irq irq;
    bool packed;        /* offer packed rings, too */
    unsigned slot;      /* for who gives places */
};

/*
 * The registers at a place. v->ops, features (besides those of the transport), s.config are set; NULL ops: a slot without a device.
 * 0, or -errno with *e.
 */
int virtio_mmio_init(struct virtio *v, const struct virtio_place *at, struct err *e);
struct device *virtio_empty_new(const struct virtio_place *at, struct err *e);

static inline bool
virtio_has(const struct virtio *v, uint64_t feature)
{
    return (v->s.driver_features & feature) != 0;
}

static inline bool
virtio_is_running(const struct virtio *v)
{
    return (v->s.status & (VIRTIO_DRIVER_OK | VIRTIO_NEEDS_RESET)) == VIRTIO_DRIVER_OK;
}

/* Tell the driver: VIRTIO_INT_*. */
void virtio_interrupt(struct virtio *v, uint32_t why);

/* The guest has broken the device: it does nothing until it is reset. */
void virtio_broken(struct virtio *v);

/* A queue becomes ready: its parts are found. False: they are no RAM, or make no sense. Forget it: where it stands is 0 again. */
bool vq_start(struct virtio *v, unsigned q);
void vq_clear(struct virtio *v, unsigned q);

/* The next chain: false if there is none, or the ring is broken. It counts as in flight until vq_push() or vq_forget(). */
bool vq_pop(struct virtio *v, unsigned q, struct vq_chain *c);

/* Hand it back; `written` bytes of its memory, from the beginning, are new. vq_signal() then interrupts, if the driver wants to know. */
void vq_push(struct virtio *v, unsigned q, const struct vq_chain *c, uint32_t written);
void vq_forget(struct virtio *v);
void vq_signal(struct virtio *v, unsigned q);

/*
 * Ask the driver to notify, or not to bother. Asking returns true if there is something in the queue already, of which no
 * notification may come.
 */
bool vq_ask(struct virtio *v, unsigned q);
void vq_hush(struct virtio *v, unsigned q);

/* Copy from a chain's readable bytes, or to its writable ones, from `off` on: how many there were. Any thread. */
size_t vq_get(const struct vq_chain *c, uint64_t off, void *to, size_t n);
size_t vq_put(const struct vq_chain *c, uint64_t off, const void *from, size_t n);

extern const struct field virtio_fields[];
extern const size_t virtio_field_count;

#endif
