/*
 * device.c - see device.h
 */
#include "device/device.h"

#include "device/dt.h"

#include <stdio.h>

void
device_init(struct device *d, const struct device_type *type, uint64_t base, uint64_t bytes, unsigned source)
{
    d->type = type;
    d->base = base;
    d->bytes = bytes;
    d->source = source;
    pthread_mutex_init(&d->lock, NULL);
}

int
device_fdt_begin(const struct device *d, void *fdt, const char *name, const char *compatible, int len)
{
    char node[64];
    snprintf(node, sizeof node, "%s@%llx", name, (unsigned long long)d->base);
    int r = fdt_begin_node(fdt, node);
    r = r != 0 ? r : fdt_property(fdt, "compatible", compatible, len);
    r = r != 0 ? r : dt_cells(fdt, "reg", 4, (uint32_t[]){d->base >> 32, (uint32_t)d->base, d->bytes >> 32, (uint32_t)d->bytes});
    if (r == 0 && d->source != 0) {
        r = fdt_property_u32(fdt, "interrupts", d->source);
        r = r != 0 ? r : fdt_property_u32(fdt, "interrupt-parent", PHANDLE_PLIC);
    }
    return r;
}
