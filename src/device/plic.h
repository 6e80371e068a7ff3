/*
 * plic.h - the platform-level interrupt controller
 */
#ifndef DOPPEL_PLIC_H
#define DOPPEL_PLIC_H

#include "base/err.h"
#include "device/device.h"
#include "memory/physmap.h"

#define PLIC_HARTS_MAX 32
#define PLIC_SOURCES   96 /* numbers 1 … 95; 0 is none */

struct plic;

/* irq: where a hart's interrupts go, called with its number and bit 11 (M) or 9 (S) of mip. NULL with *e on failure. */
struct plic *plic_new(struct physmap *pm, uint64_t base, unsigned n_harts, const struct irq *irq, struct err *e);
struct device *plic_device(struct plic *p);

/* The line of a source: to be put into a device. */
struct irq plic_source(struct plic *p, unsigned source);

#endif
