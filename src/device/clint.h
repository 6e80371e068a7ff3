/*
 * clint.h - the time of a machine, its harts' timers and software interrupts
 */
#ifndef DOPPEL_CLINT_H
#define DOPPEL_CLINT_H

#include "base/err.h"
#include "base/loop.h"
#include "device/device.h"
#include "memory/physmap.h"

#define CLINT_HARTS_MAX 32
#define CLINT_HZ        10000000 /* of mtime, and so of the time CSR */

struct clint;

/*
 * irq: where a hart's interrupts go, called with its number and bit 3 (software) or 7 (timer) of mip. The clock stands at 0 until
 * clint_start(). NULL with *e on failure.
 */
struct clint *clint_new(struct physmap *pm, struct loop *loop, uint64_t base, unsigned n_harts, const struct irq *irq, struct err *e);
struct device *clint_device(struct clint *c);

/* mtime. Any thread, no lock. */
uint64_t clint_time(const struct clint *c);

/* When mtime will be `ticks`, or was, as nondet_mono_ns(); LOOP_NEVER if that is beyond all clocks. For other timers by this clock. */
uint64_t clint_when(const struct clint *c, uint64_t ticks);

/* Let the clock go on, or stop it, while no hart runs. */
void clint_start(struct clint *c);
void clint_stop(struct clint *c);

#endif
