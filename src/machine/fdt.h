/*
 * fdt.h - the device tree of a machine
 *
 * What QEMU's virt has, node for node; each device of the bus writes its own (struct device_type). Devicetree Specification 0.4; Linux
 * Documentation/devicetree/bindings/riscv.
 */
#ifndef DOPPEL_MACHINE_FDT_H
#define DOPPEL_MACHINE_FDT_H

#include "base/err.h"
#include "device/device.h"
#include "isa/isa.h"

#include <stddef.h>
#include <stdint.h>

#define MACHINE_FDT_MAX (1u << 20) /* bytes: what machine_fdt() is to be given */

struct machine_tree {
    unsigned n_harts;
    ext_set exts;
    const char *mmu;               /* "sv39", "sv48", "sv57" */
    uint32_t timebase_hz;
    uint64_t ram_base, ram_bytes;
    const char *bootargs;          /* or NULL */
    uint64_t initrd, initrd_end;   /* 0, 0: none */
    const char *stdout_path;       /* "/soc/serial@10000000" */
    uint8_t rng_seed[32];
    struct device *const *devices; /* in the order of the bus; one of them may be the finisher (PHANDLE_FINISHER) */
    size_t n_devices;
    bool has_finisher;
};

/* Write the tree into buf. Its length, or -errno with *e. */
int machine_fdt(const struct machine_tree *m, void *buf, size_t size, struct err *e);

/*
 * The ISA string of a hart, as Linux reads it: single letters, then z…, then s…. Its length; `size` bytes are enough if that is
 * below size. As a list: each name with its NUL.
 */
size_t machine_isa_string(ext_set exts, char *out, size_t size);
size_t machine_isa_list(ext_set exts, char *out, size_t size);

#endif
