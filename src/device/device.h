/*
 * device.h - what all devices of a machine have in common
 *
 * A device is a struct of its own that begins with `struct device dev`, in one file. What the guest can see of it lies in one
 * member, a plain struct that its table of fields describes (base/fields.h): snapshots, dumps and comparisons walk that.
 * Devices know the guest's memory, their back end and where their interrupt line leads, never the CPU.
 *
 * Threads: any hart may access a device's registers; each device has a lock, and takes it in its callbacks. Locks are taken in this
 * order only: a device's, then the interrupt controller's. An interrupt's sink takes no device's lock.
 */
#ifndef DOPPEL_DEVICE_H
#define DOPPEL_DEVICE_H

#include "base/check.h"
#include "base/fields.h"

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * An interrupt line. A device raises and lowers it, a level; where it ends is the machine's business: source `n` of the
 * interrupt controller, or bit `n` of mip of hart `hart`. Any thread.
 */
struct irq {
    void (*set)(void *arg, unsigned hart, unsigned n, bool level);
    void *arg; /* ref */
    unsigned hart, n;
};

static inline void
irq_set(const struct irq *irq, bool level)
{
    if (irq->set != NULL) {
        irq->set(irq->arg, irq->hart, irq->n, level);
    }
}

/* Phandles of the device tree, which nodes of several makers name. */
enum {
    PHANDLE_PLIC = 1,
    PHANDLE_FINISHER,
    PHANDLE_CPU0 = 0x100,  /* + hart */
    PHANDLE_INTC0 = 0x200, /* + hart: its riscv,cpu-intc */
};

struct device;

struct device_type {
    const char *name; /* "ns16550a": of dumps */
    /* the guest-visible state: where it lies in the device, and its fields */
    size_t state_offset, state_bytes;
    const struct field *fields;
    size_t n_fields;
    void (*reset)(struct device *d); /* as after power-on; the machine's reset too */
    /*
     * Append the device's nodes to a tree that is being written (libfdt's fdt_begin_node, fdt_property, fdt_end_node), inside of
     * /soc: two cells of address, two of size. 0, or libfdt's error. NULL: it has none.
     */
    int (*fdt)(const struct device *d, void *fdt);
    void (*free)(struct device *d);  /* after the last hart and the I/O thread have ended */
};

struct device {
    const struct device_type *type;
    uint64_t base, bytes; /* its registers, for the device tree */
    unsigned source;      /* of the interrupt controller, for the device tree; 0: none */
    pthread_mutex_t lock;
};

void device_init(struct device *d, const struct device_type *type, uint64_t base, uint64_t bytes, unsigned source);

static inline void
device_lock(struct device *d)
{
    pthread_mutex_lock(&d->lock);
}

static inline void
device_unlock(struct device *d)
{
    pthread_mutex_unlock(&d->lock);
}

/* A row of a table of fields: FIELD(struct x_state, member, elements of an array or 1). The first version has them all. */
#define FIELD(type, member, count) {#member, offsetof(type, member), sizeof(((type *)0)->member) / (count), count, 1}

/* The members of struct device_type that name the state. */
#define DEVICE_STATE(type, member, table)                                                                                       \
    .state_offset = offsetof(type, member), .state_bytes = sizeof(((type *)0)->member), .fields = table, .n_fields = ARRAY_LEN(table)

/* Begin a node "name@base" with compatible (which may hold several strings, `len` bytes with the last NUL), reg and interrupts. */
int device_fdt_begin(const struct device *d, void *fdt, const char *name, const char *compatible, int len);

#endif
