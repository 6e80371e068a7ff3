/*
 * finisher.c - how a guest switches its machine off
 *
 * Model: sifive,test1 as in QEMU virt, 0x00100000, 4 KiB.
 *
 *   0x00   w   bits 15:0   0x5555 off · 0x3333 off, it has failed with the code in bits 31:16 · 0x7777 reboot
 *
 * Threads: on any hart, under the lock. Trust: 2 and 4 bytes; all else is ignored.
 */
#include "device/finisher.h"

#include "device/dt.h"

#include <errno.h>
#include <stdlib.h>

#define FINISHER_BYTES 0x1000

enum { OFF = 0x5555, FAIL = 0x3333, REBOOT = 0x7777 };

struct finisher {
    struct device dev;
    void (*finish)(void *arg, enum finish how, unsigned code);
    void *arg; /* ref */
};

static uint64_t
finisher_read(void *dev, uint64_t off, unsigned size)
{
    (void)dev, (void)off, (void)size;
    return 0;
}

static void
finisher_write(void *dev, uint64_t off, unsigned size, uint64_t v)
{
    (void)size;
    struct finisher *f = dev;
    device_lock(&f->dev);
    if (off == 0) {
        switch (v & 0xffff) {
        case OFF:
            f->finish(f->arg, FINISH_OFF, 0);
            break;
        case FAIL:
            f->finish(f->arg, FINISH_FAIL, (unsigned)(v >> 16) & 0xffff);
            break;
        case REBOOT:
            f->finish(f->arg, FINISH_REBOOT, 0);
            break;
        }
    }
    device_unlock(&f->dev);
}

static int
finisher_fdt(const struct device *d, void *fdt)
{
    static const char compatible[] = "sifive,test1\0sifive,test0\0syscon";
    int r = device_fdt_begin(d, fdt, "test", compatible, sizeof compatible);
    r = r != 0 ? r : fdt_property_u32(fdt, "phandle", PHANDLE_FINISHER);
    return r != 0 ? r : fdt_end_node(fdt);
}

static void
finisher_free(struct device *d)
{
    free(d);
}

static const struct device_type type_ = {
    .name = "finisher",
    .fdt = finisher_fdt,
    .free = finisher_free,
};

static const struct io_ops ops_ = {finisher_read, finisher_write, 2 | 4};

struct device *
finisher_new(struct physmap *pm, uint64_t base, void (*finish)(void *arg, enum finish how, unsigned code), void *arg, struct err *e)
{
    struct finisher *f = calloc(1, sizeof *f);
    if (f == NULL) {
        err_set(e, -ENOMEM, "finisher");
        return NULL;
    }
    if (physmap_add_io(pm, "finisher", base, FINISHER_BYTES, &ops_, f, e) < 0) {
        free(f);
        return NULL;
    }
    device_init(&f->dev, &type_, base, FINISHER_BYTES, 0);
    f->finish = finish;
    f->arg = arg;
    return &f->dev;
}
