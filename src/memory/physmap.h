/*
 * physmap.h - from guest-physical addresses to what is behind them
 *
 *   RAM      one range, backed by a memfd: costs what has been touched, and can be mapped a second time elsewhere
 *   ROM      readable as memory; a write goes to its callbacks, or is an access fault if it has none. Flash that is
 *            being programmed hides its bytes for a while (physmap_rom_show): reads are callbacks then, too
 *   I/O      a device's registers: callbacks
 *   nothing  vacant: an access fault (Privileged ISA §3.6, "Physical Memory Attributes")
 *
 * Everything that touches guest memory goes through here. Pointers into RAM stay good until physmap_fini().
 *
 * Threads: regions are added before the first hart runs and are never taken away; look-ups then need no lock and may
 * be made by any thread. Callbacks are called by any hart's thread, several at once: each takes its device's lock.
 * Trust: addresses and sizes of an access are the guest's. Whoever reads memory that a guest can write reads it once.
 */
#ifndef DOPPEL_PHYSMAP_H
#define DOPPEL_PHYSMAP_H

#include "base/err.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef uint64_t gpa_t; /* guest-physical address */

#define PHYSMAP_PAGE       UINT64_C(4096)
#define PHYSMAP_RAM_MAX    (UINT64_C(64) << 30)
#define PHYSMAP_TOP        (UINT64_C(1) << 56) /* what Sv39 … Sv57 can express */
#define PHYSMAP_REGION_MAX 64

/*
 * What a device does when its registers are accessed. `off` is relative to the region and a multiple of `size`; `size` is 1, 2, 4
 * or 8 and among `sizes`, which has those bits set that are allowed (1 | 2 | 4 | 8): anything else is an access fault before the
 * device hears of it. A value read is cut to `size` by the caller.
 */
struct io_ops {
    uint64_t (*read)(void *dev, uint64_t off, unsigned size);
    void (*write)(void *dev, uint64_t off, unsigned size, uint64_t v);
    uint8_t sizes;
};

enum region_kind { REGION_RAM, REGION_ROM, REGION_IO };

struct physmap_region {
    gpa_t base;
    uint64_t bytes;
    enum region_kind kind;
    const char *name;         /* ref: lives as long as the physmap */
    uint8_t *mem;             /* ref: ROM's bytes */
    const struct io_ops *ops; /* ref: NULL for ROM that ignores nobody's writes: they fault */
    void *dev;                /* ref: theirs */
    atomic_bool hidden;       /* ROM: reads are callbacks now */
    atomic_uint_least64_t reads, writes; /* callbacks made */
};

struct physmap {
    /* hot: the only range that can be written as memory */
    uint8_t *ram; /* own: PROT_READ | PROT_WRITE, inaccessible pages on both sides */
    gpa_t ram_base;
    uint64_t ram_bytes; /* 0: none */

    int ram_fd;        /* own: the memfd; or -1 */
    uint16_t *heat;    /* own: of each 2 MiB of RAM, how often a hart has looked for a page there; by any thread, atomically */
    atomic_uint_least64_t huge, not_huge; /* of those that were hot: the host has made one page of it; or would not */
    unsigned n_regions;
    struct physmap_region regions[PHYSMAP_REGION_MAX]; /* by base, without overlap */
};

void physmap_init(struct physmap *pm);
void physmap_fini(struct physmap *pm);

/*
 * Add a region: page-aligned (I/O: of whole 8 bytes), not empty, over nothing that is there already, below PHYSMAP_TOP. RAM may be added once, and is zero.
 * Return 0, or -errno with *e.
 */
int physmap_add_ram(struct physmap *pm, gpa_t base, uint64_t bytes, struct err *e);
int physmap_add_rom(struct physmap *pm, const char *name, gpa_t base, uint64_t bytes, void *mem, const struct io_ops *ops, void *dev,
                    struct err *e);
int physmap_add_io(struct physmap *pm, const char *name, gpa_t base, uint64_t bytes, const struct io_ops *ops, void *dev,
                   struct err *e);

/* What is there, whatever it is; NULL if nothing is. */
struct physmap_region *physmap_find(struct physmap *pm, gpa_t gpa);

/* ROM at `base`: its bytes can be read as memory, or are hidden behind its callbacks. Any thread. */
void physmap_rom_show(struct physmap *pm, gpa_t base, bool visible);

/* The host bytes of RAM at [gpa, gpa + bytes), to read and to write; NULL if any of them is no RAM. */
static inline void *
physmap_ram(const struct physmap *pm, gpa_t gpa, uint64_t bytes)
{
    const uint64_t off = gpa - pm->ram_base;
    return off < pm->ram_bytes && bytes <= pm->ram_bytes - off ? pm->ram + off : NULL;
}

/* The same, RAM or ROM that shows its bytes, to read: for instruction fetch, and loads that are no RAM's. */
const void *physmap_readable(struct physmap *pm, gpa_t gpa, uint64_t bytes);

/*
 * An access of a hart that is no RAM's: size 1, 2, 4 or 8, naturally aligned or not. False: an access fault (vacant, of a size that
 * the device does not have, misaligned, across regions).
 */
bool physmap_io_read(struct physmap *pm, gpa_t gpa, unsigned size, uint64_t *v);
bool physmap_io_write(struct physmap *pm, gpa_t gpa, unsigned size, uint64_t v);

/*
 * What a device or the monitor copies. False, and nothing is copied, if any byte of the guest's is no RAM (ROM will do to
 * read). Bytes that the guest changes meanwhile may arrive in either form.
 */
bool physmap_read(struct physmap *pm, gpa_t gpa, void *to, uint64_t bytes);
bool physmap_write(struct physmap *pm, gpa_t gpa, const void *from, uint64_t bytes);

/*
 * A hart makes an entry in its TLB for this page of RAM. 2 MiB where that happens often become one page of the host's, if it can: its
 * TLB reaches farther then. Any thread.
 */
#define PHYSMAP_HOT 4096
void physmap_collapse(struct physmap *pm, gpa_t gpa);
static inline void
physmap_warm(struct physmap *pm, gpa_t gpa)
{
    uint16_t *const heat = &pm->heat[(gpa - pm->ram_base) >> 21];
    const uint16_t n = __atomic_load_n(heat, __ATOMIC_RELAXED);
    if (n < PHYSMAP_HOT) {
        __atomic_store_n(heat, n + 1, __ATOMIC_RELAXED);
        if (n + 1 == PHYSMAP_HOT) {
            physmap_collapse(pm, gpa);
        }
    }
}

/* Pages of RAM that lie wholly in [gpa, gpa + bytes) are zero again, and cost nothing. */
void physmap_discard(struct physmap *pm, gpa_t gpa, uint64_t bytes);

#endif
