/*
 * clint.c - the time of a machine, its harts' timers and software interrupts
 *
 * Model: sifive,clint0 as in QEMU virt, 0x02000000, 64 KiB; SiFive FU540 manual, "CLINT"; Privileged ISA §3.2.1 (mtime, mtimecmp).
 *
 *   0x0000 + 4 h   MSIP       rw  bit 0: software interrupt of hart h
 *   0x4000 + 8 h   MTIMECMP   rw  timer interrupt while mtime >= MTIMECMP
 *   0xbff8         MTIME      rw  10 MHz
 *
 * The time enters through nondet_mono_ns(): mtime = ns / 100 + offset.
 * Threads: registers on any hart, under the lock; timers on the I/O thread. clint_time() reads one atomic.
 * Trust: 4 and 8 bytes, aligned. Harts that do not exist read 0.
 */
#include "device/clint.h"

#include "base/check.h"
#include "base/nondet.h"
#include "device/dt.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#define CLINT_BYTES 0x10000
#define MTIMECMP    0x4000
#define MTIME       0xbff8
#define TICK_NS     (1000000000 / CLINT_HZ)

enum { MIP_MSI = 3, MIP_MTI = 7 };

struct clint_state {
    uint64_t mtime; /* while the clock stands */
    uint64_t mtimecmp[CLINT_HARTS_MAX];
    uint32_t msip[CLINT_HARTS_MAX];
};

static const struct field fields_[] = {
    FIELD(struct clint_state, mtime, 1),
    FIELD(struct clint_state, mtimecmp, CLINT_HARTS_MAX),
    FIELD(struct clint_state, msip, CLINT_HARTS_MAX),
};

struct timer {
    struct loop_timer timer;
    struct clint *clint; /* ref */
    unsigned hart;
};

struct clint {
    struct device dev;
    unsigned n_harts;
    struct irq irq;
    struct loop *loop; /* ref */
    struct timer timers[CLINT_HARTS_MAX];
    atomic_uint_least64_t offset; /* ticks, while the clock goes */

    /* under dev.lock */
    struct clint_state s;
    bool runs;
};

uint64_t
clint_time(const struct clint *c)
{
    return nondet_mono_ns() / TICK_NS + atomic_load_explicit(&c->offset, memory_order_relaxed);
}

uint64_t
clint_when(const struct clint *c, uint64_t ticks)
{
    const uint64_t now = nondet_mono_ns() / TICK_NS, mtime = now + atomic_load_explicit(&c->offset, memory_order_relaxed);
    if (ticks <= mtime) {
        return now * TICK_NS;
    }
    const uint64_t wait = ticks - mtime;
    return wait >= LOOP_NEVER / TICK_NS - now ? LOOP_NEVER : (now + wait) * TICK_NS;
}

static void
send(const struct clint *c, unsigned hart, unsigned bit, bool level)
{
    c->irq.set(c->irq.arg, hart, bit, level);
}

/* The hart's timer interrupt is as its comparator says; if not yet, the I/O thread looks again. */
static void
compare_locked(struct clint *c, unsigned hart)
{
    if (!c->runs) {
        return;
    }
    const uint64_t cmp = c->s.mtimecmp[hart];
    const bool due = clint_time(c) >= cmp;
    send(c, hart, MIP_MTI, due);
    loop_timer_set(c->loop, &c->timers[hart].timer, due ? LOOP_NEVER : clint_when(c, cmp));
}

static void
fire(void *arg)
{
    struct timer *t = arg;
    device_lock(&t->clint->dev);
    compare_locked(t->clint, t->hart);
    device_unlock(&t->clint->dev);
}

/* `v` in place of those bytes of `old` that an access of `size` at `off` names. */
static uint64_t
merge(uint64_t old, uint64_t off, unsigned size, uint64_t v)
{
    return size == 8 ? v : off & 4 ? (old & UINT32_MAX) | v << 32 : (old & ~(uint64_t)UINT32_MAX) | v;
}

static uint64_t
clint_read(void *dev, uint64_t off, unsigned size)
{
    struct clint *c = dev;
    const unsigned n = c->n_harts;
    uint64_t v = 0;
    device_lock(&c->dev);
    if (off < 4 * n) {
        v = c->s.msip[off / 4];
        if (size == 8 && off / 4 + 1 < n) {
            v |= (uint64_t)c->s.msip[off / 4 + 1] << 32;
        }
    } else if (off >= MTIMECMP && off < MTIMECMP + 8 * n) {
        v = c->s.mtimecmp[(off - MTIMECMP) / 8] >> (off & 4) * 8;
    } else if (off >= MTIME && off < MTIME + 8) {
        v = (c->runs ? clint_time(c) : c->s.mtime) >> (off & 4) * 8;
    }
    device_unlock(&c->dev);
    return v;
}

static void
clint_write(void *dev, uint64_t off, unsigned size, uint64_t v)
{
    struct clint *c = dev;
    const unsigned n = c->n_harts;
    device_lock(&c->dev);
    if (off < 4 * n) {
        for (unsigned h = (unsigned)off / 4, i = 0; i < size / 4 && h < n; i++, h++) {
            c->s.msip[h] = v >> 32 * i & 1;
            send(c, h, MIP_MSI, c->s.msip[h] != 0);
        }
    } else if (off >= MTIMECMP && off < MTIMECMP + 8 * n) {
        const unsigned h = (unsigned)(off - MTIMECMP) / 8;
        c->s.mtimecmp[h] = merge(c->s.mtimecmp[h], off, size, v);
        compare_locked(c, h);
    } else if (off >= MTIME && off < MTIME + 8 && c->runs) {
        const uint64_t now = clint_time(c);
        atomic_fetch_add(&c->offset, merge(now, off, size, v) - now);
        for (unsigned h = 0; h < n; h++) {
            compare_locked(c, h);
        }
    }
    device_unlock(&c->dev);
}

void
clint_start(struct clint *c)
{
    device_lock(&c->dev);
    atomic_store(&c->offset, c->s.mtime - nondet_mono_ns() / TICK_NS);
    c->runs = true;
    for (unsigned h = 0; h < c->n_harts; h++) {
        compare_locked(c, h);
    }
    device_unlock(&c->dev);
}

void
clint_stop(struct clint *c)
{
    device_lock(&c->dev);
    c->s.mtime = clint_time(c);
    c->runs = false;
    for (unsigned h = 0; h < c->n_harts; h++) {
        loop_timer_set(c->loop, &c->timers[h].timer, LOOP_NEVER);
    }
    device_unlock(&c->dev);
}

static void
clint_reset(struct device *d)
{
    struct clint *c = (struct clint *)d;
    device_lock(d);
    memset(&c->s, 0, sizeof c->s);
    for (unsigned h = 0; h < c->n_harts; h++) {
        c->s.mtimecmp[h] = UINT64_MAX; /* the manual leaves it open; a hart that knows of no timer gets no interrupt */
        send(c, h, MIP_MSI, false);
        send(c, h, MIP_MTI, false);
    }
    if (c->runs) {
        atomic_store(&c->offset, -(nondet_mono_ns() / TICK_NS));
    }
    device_unlock(d);
}

static int
clint_fdt(const struct device *d, void *fdt)
{
    static const char compatible[] = "sifive,clint0\0riscv,clint0";
    const struct clint *c = (const struct clint *)d;
    uint32_t to[4 * CLINT_HARTS_MAX];
    for (unsigned h = 0; h < c->n_harts; h++) {
        to[4 * h] = to[4 * h + 2] = PHANDLE_INTC0 + h;
        to[4 * h + 1] = MIP_MSI;
        to[4 * h + 3] = MIP_MTI;
    }
    int r = device_fdt_begin(d, fdt, "clint", compatible, sizeof compatible);
    r = r != 0 ? r : dt_cells(fdt, "interrupts-extended", 4 * c->n_harts, to);
    return r != 0 ? r : fdt_end_node(fdt);
}

static void
clint_free(struct device *d)
{
    free(d);
}

static const struct device_type type_ = {
    .name = "clint",
    DEVICE_STATE(struct clint, s, fields_),
    .reset = clint_reset,
    .fdt = clint_fdt,
    .free = clint_free,
};

static const struct io_ops ops_ = {clint_read, clint_write, 4 | 8};

struct clint *
clint_new(struct physmap *pm, struct loop *loop, uint64_t base, unsigned n_harts, const struct irq *irq, struct err *e)
{
    CHECK(n_harts >= 1 && n_harts <= CLINT_HARTS_MAX);
    struct clint *c = calloc(1, sizeof *c);
    if (c == NULL) {
        err_set(e, -ENOMEM, "clint");
        return NULL;
    }
    if (physmap_add_io(pm, "clint", base, CLINT_BYTES, &ops_, c, e) < 0) {
        free(c);
        return NULL;
    }
    device_init(&c->dev, &type_, base, CLINT_BYTES, 0);
    c->n_harts = n_harts;
    c->irq = *irq;
    c->loop = loop;
    for (unsigned h = 0; h < n_harts; h++) {
        c->timers[h] = (struct timer){.timer = {.fire = fire, .arg = &c->timers[h]}, .clint = c, .hart = h};
        loop_timer_add(loop, &c->timers[h].timer);
    }
    clint_reset(&c->dev);
    return c;
}

struct device *
clint_device(struct clint *c)
{
    return &c->dev;
}
