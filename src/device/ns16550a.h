/*
 * ns16550a.h - the serial line
 */
#ifndef DOPPEL_NS16550A_H
#define DOPPEL_NS16550A_H

#include "base/err.h"
#include "device/chardev.h"
#include "device/device.h"
#include "memory/physmap.h"

/* irq.n: its source, for the device tree, too. `line`, ref: where its bytes go and come from. NULL with *e on failure. */
struct device *ns16550a_new(struct physmap *pm, uint64_t base, const struct irq *irq, struct chardev *line, struct err *e);

#endif
