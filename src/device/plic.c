/*
 * plic.c - the platform-level interrupt controller
 *
 * Model: sifive,plic-1.0.0 as in QEMU virt, 0x0c000000, 6 MiB; "RISC-V Platform-Level Interrupt Controller Specification" 1.0.0.
 *
 *   0x000000 + 4 s            PRIORITY   rw  0 … 7 of source s; 0: never
 *   0x001000 + 4 w            PENDING    r   sources 32 w … 32 w + 31
 *   0x002000 + 0x80 c + 4 w   ENABLE     rw  for context c: hart c / 2, M if c is even, else S
 *   0x200000 + 0x1000 c       THRESHOLD  rw  only what has a higher priority interrupts the hart; claims do not ask it
 *   0x200004 + 0x1000 c       CLAIM      r   the best pending source, which then is not; 0 if there is none
 *                                        w   that source is done, if it is enabled for the context
 *
 *   line ─── gateway ─── pending ─── enable, priority ─── > threshold ─── mip
 *
 * All sources are levels. A gateway asks once, and again only after completion, if the line is still (or again) high: what has
 * been accepted stays pending though the line has fallen (§"Interrupt Gateways").
 *
 * Threads: registers on any hart, lines from any thread, under the lock; it is taken after devices' locks.
 * Trust: 4 bytes, aligned. Whatever does not exist reads 0 and ignores writes.
 */
#include "device/plic.h"

#include "base/check.h"
#include "device/dt.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define PLIC_BYTES   0x600000
#define PENDING      0x1000
#define ENABLE       0x2000
#define ENABLE_STEP  0x80
#define CONTEXT      0x200000
#define CONTEXT_STEP 0x1000
#define WORDS        (PLIC_SOURCES / 32)
#define CONTEXTS_MAX (2 * PLIC_HARTS_MAX)
#define PRIORITIES   7 /* a mask, too */

enum { MIP_SEI = 9, MIP_MEI = 11 };

struct plic_state {
    uint32_t level[WORDS], pending[WORDS], serviced[WORDS];
    uint32_t enable[CONTEXTS_MAX * WORDS];
    uint8_t priority[PLIC_SOURCES];
    uint8_t threshold[CONTEXTS_MAX];
};

static const struct field fields_[] = {
    FIELD(struct plic_state, level, WORDS),
    FIELD(struct plic_state, pending, WORDS),
    FIELD(struct plic_state, serviced, WORDS),
    FIELD(struct plic_state, enable, CONTEXTS_MAX * WORDS),
    FIELD(struct plic_state, priority, PLIC_SOURCES),
    FIELD(struct plic_state, threshold, CONTEXTS_MAX),
};

struct plic {
    struct device dev;
    unsigned n_contexts;
    struct irq irq;

    /* under dev.lock */
    struct plic_state s;
    bool sent[CONTEXTS_MAX]; /* what the harts have been told */
};

/* The pending source of the highest priority that the context has enabled, the lowest number among equals; 0 if there is none. */
static unsigned
best_locked(const struct plic *p, unsigned ctx)
{
    unsigned best = 0;
    for (unsigned w = 0; w < WORDS; w++) {
        for (uint32_t m = p->s.pending[w] & p->s.enable[ctx * WORDS + w]; m != 0; m &= m - 1) {
            const unsigned source = 32 * w + (unsigned)__builtin_ctz(m);
            if (p->s.priority[source] > p->s.priority[best]) { /* source 0 has priority 0 */
                best = source;
            }
        }
    }
    return best;
}

static void
tell_locked(struct plic *p, unsigned ctx)
{
    const bool level = p->s.priority[best_locked(p, ctx)] > p->s.threshold[ctx];
    if (level != p->sent[ctx]) {
        p->sent[ctx] = level;
        p->irq.set(p->irq.arg, ctx / 2, ctx & 1 ? MIP_SEI : MIP_MEI, level);
    }
}

static void
tell_all_locked(struct plic *p)
{
    for (unsigned ctx = 0; ctx < p->n_contexts; ctx++) {
        tell_locked(p, ctx);
    }
}

/* The gateway: a line that is high becomes one request. */
static void
request_locked(struct plic *p, unsigned source)
{
    const unsigned w = source / 32;
    const uint32_t bit = UINT32_C(1) << source % 32;
    if ((p->s.level[w] & ~p->s.serviced[w] & ~p->s.pending[w] & bit) == 0) {
        return;
    }
    p->s.pending[w] |= bit;
    for (unsigned ctx = 0; ctx < p->n_contexts; ctx++) {
        if (p->s.enable[ctx * WORDS + w] & bit) {
            tell_locked(p, ctx);
        }
    }
}

static void
line(void *arg, unsigned hart, unsigned source, bool level)
{
    (void)hart;
    struct plic *p = arg;
    const uint32_t bit = UINT32_C(1) << source % 32;
    device_lock(&p->dev);
    if (level) {
        p->s.level[source / 32] |= bit;
        request_locked(p, source);
    } else {
        p->s.level[source / 32] &= ~bit;
    }
    device_unlock(&p->dev);
}

static uint32_t
claim_locked(struct plic *p, unsigned ctx)
{
    const unsigned source = best_locked(p, ctx);
    if (source != 0) {
        p->s.pending[source / 32] &= ~(UINT32_C(1) << source % 32);
        p->s.serviced[source / 32] |= UINT32_C(1) << source % 32;
        tell_all_locked(p);
    }
    return source;
}

static void
complete_locked(struct plic *p, unsigned ctx, uint64_t source)
{
    if (source >= PLIC_SOURCES || (p->s.enable[ctx * WORDS + source / 32] >> source % 32 & 1) == 0) {
        return;
    }
    p->s.serviced[source / 32] &= ~(UINT32_C(1) << source % 32);
    request_locked(p, (unsigned)source);
}

static uint64_t
plic_read(void *dev, uint64_t off, unsigned size)
{
    (void)size;
    struct plic *p = dev;
    uint64_t v = 0;
    device_lock(&p->dev);
    if (off < 4 * PLIC_SOURCES) {
        v = p->s.priority[off / 4];
    } else if (off >= PENDING && off < PENDING + 4 * WORDS) {
        v = p->s.pending[(off - PENDING) / 4];
    } else if (off >= ENABLE && off < ENABLE + ENABLE_STEP * p->n_contexts) {
        const uint64_t ctx = (off - ENABLE) / ENABLE_STEP, w = (off - ENABLE) % ENABLE_STEP / 4;
        v = w < WORDS ? p->s.enable[ctx * WORDS + w] : 0;
    } else if (off >= CONTEXT && off < CONTEXT + CONTEXT_STEP * (uint64_t)p->n_contexts) {
        const unsigned ctx = (unsigned)((off - CONTEXT) / CONTEXT_STEP), reg = (off - CONTEXT) % CONTEXT_STEP;
        v = reg == 0 ? p->s.threshold[ctx] : reg == 4 ? claim_locked(p, ctx) : 0;
    }
    device_unlock(&p->dev);
    return v;
}

static void
plic_write(void *dev, uint64_t off, unsigned size, uint64_t v)
{
    (void)size;
    struct plic *p = dev;
    device_lock(&p->dev);
    if (off >= 4 && off < 4 * PLIC_SOURCES) {
        p->s.priority[off / 4] = v & PRIORITIES;
        tell_all_locked(p);
    } else if (off >= ENABLE && off < ENABLE + ENABLE_STEP * p->n_contexts) {
        const unsigned ctx = (unsigned)(off - ENABLE) / ENABLE_STEP, w = (off - ENABLE) % ENABLE_STEP / 4;
        if (w < WORDS) {
            p->s.enable[ctx * WORDS + w] = (uint32_t)v & (w == 0 ? ~UINT32_C(1) : UINT32_MAX); /* there is no source 0 */
            tell_locked(p, ctx);
        }
    } else if (off >= CONTEXT && off < CONTEXT + CONTEXT_STEP * (uint64_t)p->n_contexts) {
        const unsigned ctx = (unsigned)((off - CONTEXT) / CONTEXT_STEP), reg = (off - CONTEXT) % CONTEXT_STEP;
        if (reg == 0) {
            p->s.threshold[ctx] = v & PRIORITIES;
            tell_locked(p, ctx);
        } else if (reg == 4) {
            complete_locked(p, ctx, v);
        }
    }
    device_unlock(&p->dev);
}

static void
plic_reset(struct device *d)
{
    struct plic *p = (struct plic *)d;
    device_lock(d);
    uint32_t level[WORDS]; /* the lines are the devices', which are reset for themselves */
    memcpy(level, p->s.level, sizeof level);
    memset(&p->s, 0, sizeof p->s);
    memcpy(p->s.level, level, sizeof level);
    memcpy(p->s.pending, level, sizeof level);
    tell_all_locked(p);
    device_unlock(d);
}

static int
plic_fdt(const struct device *d, void *fdt)
{
    static const char compatible[] = "sifive,plic-1.0.0\0riscv,plic0";
    const struct plic *p = (const struct plic *)d;
    uint32_t to[2 * CONTEXTS_MAX];
    for (unsigned ctx = 0; ctx < p->n_contexts; ctx++) {
        to[2 * ctx] = PHANDLE_INTC0 + ctx / 2;
        to[2 * ctx + 1] = ctx & 1 ? MIP_SEI : MIP_MEI;
    }
    int r = device_fdt_begin(d, fdt, "plic", compatible, sizeof compatible);
    r = r != 0 ? r : fdt_property_u32(fdt, "#address-cells", 0);
    r = r != 0 ? r : fdt_property_u32(fdt, "#interrupt-cells", 1);
    r = r != 0 ? r : fdt_property(fdt, "interrupt-controller", NULL, 0);
    r = r != 0 ? r : dt_cells(fdt, "interrupts-extended", 2 * p->n_contexts, to);
    r = r != 0 ? r : fdt_property_u32(fdt, "riscv,ndev", PLIC_SOURCES - 1);
    r = r != 0 ? r : fdt_property_u32(fdt, "phandle", PHANDLE_PLIC);
    return r != 0 ? r : fdt_end_node(fdt);
}

static void
plic_free(struct device *d)
{
    free(d);
}

static const struct device_type type_ = {
    .name = "plic",
    DEVICE_STATE(struct plic, s, fields_),
    .reset = plic_reset,
    .fdt = plic_fdt,
    .free = plic_free,
};

static const struct io_ops ops_ = {plic_read, plic_write, 4};

struct plic *
plic_new(struct physmap *pm, uint64_t base, unsigned n_harts, const struct irq *irq, struct err *e)
{
    CHECK(n_harts >= 1 && n_harts <= PLIC_HARTS_MAX);
    struct plic *p = calloc(1, sizeof *p);
    if (p == NULL) {
        err_set(e, -ENOMEM, "plic");
        return NULL;
    }
    if (physmap_add_io(pm, "plic", base, PLIC_BYTES, &ops_, p, e) < 0) {
        free(p);
        return NULL;
    }
    device_init(&p->dev, &type_, base, PLIC_BYTES, 0);
    p->n_contexts = 2 * n_harts;
    p->irq = *irq;
    return p;
}

struct device *
plic_device(struct plic *p)
{
    return &p->dev;
}

struct irq
plic_source(struct plic *p, unsigned source)
{
    CHECK(source > 0 && source < PLIC_SOURCES);
    return (struct irq){.set = line, .arg = p, .n = source};
}
