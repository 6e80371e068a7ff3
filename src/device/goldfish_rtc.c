/*
 * goldfish_rtc.c - the guest's wall clock, with one alarm
 *
 * Model: QEMU virt, 0x00101000, 4 KiB, PLIC source 11; must please Linux rtc-goldfish.
 *
 *   0x00 TIME_LOW         rw  ns since 1970; latches the upper half. A write joins TIME_HIGH and sets the clock
 *   0x04 TIME_HIGH        rw  the half latched last; kept until TIME_LOW is written
 *   0x08 ALARM_LOW        rw  a write joins ALARM_HIGH and arms the alarm
 *   0x0c ALARM_HIGH       rw  kept until ALARM_LOW is written
 *   0x10 IRQ_ENABLED      rw  bit 0
 *   0x14 CLEAR_ALARM      w   disarms
 *   0x18 ALARM_STATUS     r   1: armed
 *   0x1c CLEAR_INTERRUPT  w
 *
 * Time enters through nondet_wall_ns(), so a recording replays it. The alarm waits by the monotonic clock; if the host's wall clock is set
 * meanwhile, it looks again.
 * Threads: registers on any hart under the lock; the alarm on the I/O thread.
 * Trust: 32-bit accesses only. No guest value is ever an index.
 */
#include "device/goldfish_rtc.h"

#include "base/nondet.h"
#include "device/dt.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define RTC_BYTES 0x1000

enum { TIME_LOW = 0, TIME_HIGH = 4, ALARM_LOW = 8, ALARM_HIGH = 12, IRQ_ENABLED = 16, CLEAR_ALARM = 20, ALARM_STATUS = 24,
       CLEAR_INTERRUPT = 28 };

struct rtc_state {
    uint64_t offset; /* of the guest's clock from the host's, ns */
    uint64_t alarm;  /* ns since 1970, by the guest's clock */
    uint32_t time_high, time_high_set, alarm_high;
    uint8_t armed, enabled, pending;
};

static const struct field fields_[] = {
    FIELD(struct rtc_state, offset, 1),
    FIELD(struct rtc_state, alarm, 1),
    FIELD(struct rtc_state, time_high, 1),
    FIELD(struct rtc_state, time_high_set, 1),
    FIELD(struct rtc_state, alarm_high, 1),
    FIELD(struct rtc_state, armed, 1),
    FIELD(struct rtc_state, enabled, 1),
    FIELD(struct rtc_state, pending, 1),
};

struct rtc {
    struct device dev;
    struct irq irq;
    struct loop *loop; /* ref */
    struct loop_timer timer;

    /* under dev.lock */
    struct rtc_state s;
};

static uint64_t
guest_now(const struct rtc *t)
{
    return nondet_wall_ns() + t->s.offset;
}

static void
look_locked(struct rtc *t)
{
    uint64_t at = LOOP_NEVER;
    if (t->s.armed) {
        const uint64_t now = guest_now(t);
        if (now >= t->s.alarm) {
            t->s.armed = 0;
            t->s.pending = 1;
        } else {
            const uint64_t mono = nondet_mono_ns(), wait = t->s.alarm - now;
            at = wait < LOOP_NEVER - mono ? mono + wait : LOOP_NEVER;
        }
    }
    loop_timer_set(t->loop, &t->timer, at);
    irq_set(&t->irq, t->s.pending && t->s.enabled);
}

static void
fire(void *arg)
{
    struct rtc *t = arg;
    device_lock(&t->dev);
    look_locked(t);
    device_unlock(&t->dev);
}

static uint64_t
rtc_read(void *dev, uint64_t off, unsigned size)
{
    (void)size;
    struct rtc *t = dev;
    uint64_t v = 0;
    device_lock(&t->dev);
    switch (off) {
    case TIME_LOW:
        v = guest_now(t);
        t->s.time_high = (uint32_t)(v >> 32);
        break;
    case TIME_HIGH:
        v = t->s.time_high;
        break;
    case ALARM_LOW:
        v = t->s.alarm;
        break;
    case ALARM_HIGH:
        v = t->s.alarm >> 32;
        break;
    case IRQ_ENABLED:
        v = t->s.enabled;
        break;
    case ALARM_STATUS:
        v = t->s.armed;
        break;
    }
    device_unlock(&t->dev);
    return v;
}

static void
rtc_write(void *dev, uint64_t off, unsigned size, uint64_t v)
{
    (void)size;
    struct rtc *t = dev;
    device_lock(&t->dev);
    switch (off) {
    case TIME_LOW:
        t->s.offset = ((uint64_t)t->s.time_high_set << 32 | v) - nondet_wall_ns();
        break;
    case TIME_HIGH:
        t->s.time_high_set = (uint32_t)v;
        break;
    case ALARM_LOW:
        t->s.alarm = (uint64_t)t->s.alarm_high << 32 | v;
        t->s.armed = 1;
        break;
    case ALARM_HIGH:
        t->s.alarm_high = (uint32_t)v;
        break;
    case IRQ_ENABLED:
        t->s.enabled = v & 1;
        break;
    case CLEAR_ALARM:
        t->s.armed = 0;
        break;
    case CLEAR_INTERRUPT:
        t->s.pending = 0;
        break;
    }
    look_locked(t);
    device_unlock(&t->dev);
}

/* The clock itself outlives a reset, as one with a battery does. */
static void
rtc_reset(struct device *d)
{
    struct rtc *t = (struct rtc *)d;
    device_lock(d);
    t->s = (struct rtc_state){.offset = t->s.offset};
    look_locked(t);
    device_unlock(d);
}

static int
rtc_fdt(const struct device *d, void *fdt)
{
    static const char compatible[] = "google,goldfish-rtc";
    const int r = device_fdt_begin(d, fdt, "rtc", compatible, sizeof compatible);
    return r != 0 ? r : fdt_end_node(fdt);
}

static void
rtc_free(struct device *d)
{
    free(d);
}

static const struct device_type type_ = {
    .name = "goldfish-rtc",
    DEVICE_STATE(struct rtc, s, fields_),
    .reset = rtc_reset,
    .fdt = rtc_fdt,
    .free = rtc_free,
};

static const struct io_ops ops_ = {rtc_read, rtc_write, 4};

struct device *
goldfish_rtc_new(struct physmap *pm, struct loop *loop, uint64_t base, const struct irq *irq, struct err *e)
{
    struct rtc *t = calloc(1, sizeof *t);
    if (t == NULL) {
        err_set(e, -ENOMEM, "goldfish-rtc");
        return NULL;
    }
    if (physmap_add_io(pm, "goldfish-rtc", base, RTC_BYTES, &ops_, t, e) < 0) {
        free(t);
        return NULL;
    }
    device_init(&t->dev, &type_, base, RTC_BYTES, irq->n);
    t->irq = *irq;
    t->loop = loop;
    t->timer = (struct loop_timer){.fire = fire, .arg = t};
    loop_timer_add(loop, &t->timer);
    return &t->dev;
}
