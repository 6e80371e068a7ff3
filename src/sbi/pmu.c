/*
 * pmu.c - PMU: counters of a hart, and of what the SBI implementation does for it
 *
 * SBI 2.0, "Performance Monitoring Unit Extension". Counters are numbered as their CSRs are, which Linux relies on:
 *
 *   0        cycle      hardware, fixed
 *   1                   no counter: time is not for counting
 *   2        instret    hardware, fixed
 *   3 … 18              firmware: any event of type 15 whose code has a name
 *
 * A counter that has an event is in use until it is stopped with the reset flag. Nothing overflows here: no Sscofpmf.
 */
#include "sbi/sbi_impl.h"

#include <string.h>

#define PAGE 4096u
#define CSR_CYCLE 0xc00u
#define ALL ((UINT64_C(1) << SBI_PMU_COUNTERS) - 1 - (UINT64_C(1) << 1))

enum { EVENT_CYCLES = 1, EVENT_INSTRUCTIONS = 2, EVENT_FW = 0xf0000 };
enum { CFG_SKIP_MATCH = 1, CFG_CLEAR_VALUE = 2, CFG_AUTO_START = 4, CFG_ALL = 0xff };
enum { START_SET_VALUE = 1, START_SNAPSHOT = 2 };
enum { STOP_RESET = 1, STOP_SNAPSHOT = 2 };

struct snapshot {
    uint64_t overflown;
    uint64_t values[64];
};

void
sbi_count(struct sbi_hart *h, unsigned event)
{
    __atomic_fetch_add(&h->fw_events[event], 1, __ATOMIC_RELAXED);
}

void
sbi_count_sent(struct sbi_call *c, enum sbi_fw_event sent, uint64_t harts)
{
    for (; harts != 0; harts &= harts - 1) {
        unsigned to = (unsigned)__builtin_ctzll(harts);
        if (to != c->hart) {
            sbi_count(c->h, sent);
            sbi_count(&c->s->harts[to], sent + 1u);
        }
    }
}

static bool
is_fw(unsigned counter)
{
    return counter >= SBI_PMU_FIRST_FW;
}

/* The counters that (idx_mask, idx_base) name, by their numbers; *base is 0 … 63 afterwards. */
static long
counter_set(uint64_t base, uint64_t mask, uint64_t *set)
{
    if (base >= SBI_PMU_COUNTERS || mask == 0 || (mask & ~(ALL >> base)) != 0) {
        return SBI_INVALID_PARAM;
    }
    *set = mask << base;
    return SBI_SUCCESS;
}

static bool
started(const struct sbi_call *c, unsigned counter)
{
    return (c->h->pmu_started >> counter & 1) != 0;
}

static uint64_t
fw_events(const struct sbi_call *c, unsigned counter)
{
    unsigned code = c->h->pmu_event[counter] & 0xffff;
    bool known = c->h->pmu_event[counter] != 0 && code < SBI_PMU_EVENTS;
    return known ? __atomic_load_n(&c->h->fw_events[code], __ATOMIC_RELAXED) : 0;
}

static uint64_t
value_of(struct sbi_call *c, unsigned counter)
{
    if (!is_fw(counter)) {
        return c->s->ops->counter_get(c->s->arg, c->hart, counter);
    }
    return started(c, counter) ? fw_events(c, counter) - c->h->pmu_value[counter] : c->h->pmu_value[counter];
}

/* While it is stopped. */
static void
set_value(struct sbi_call *c, unsigned counter, uint64_t value)
{
    if (is_fw(counter)) {
        c->h->pmu_value[counter] = value;
    } else {
        c->s->ops->counter_set(c->s->arg, c->hart, counter, value);
    }
}

static void
run(struct sbi_call *c, unsigned counter, bool on)
{
    if (is_fw(counter)) {
        uint64_t value = value_of(c, counter);
        c->h->pmu_value[counter] = on ? fw_events(c, counter) - value : value;
    } else {
        c->s->ops->counter_run(c->s->arg, c->hart, counter, on);
    }
    c->h->pmu_started &= ~(UINT64_C(1) << counter);
    c->h->pmu_started |= (uint64_t)on << counter;
}

static bool
can_count(unsigned counter, uint32_t event)
{
    if (is_fw(counter)) {
        return event >= EVENT_FW && event < EVENT_FW + SBI_PMU_EVENTS;
    }
    return event == (counter == SBI_CYCLE ? EVENT_CYCLES : EVENT_INSTRUCTIONS);
}

static long
get_info(struct sbi_call *c)
{
    uint64_t n = c->a[0];
    if (n >= SBI_PMU_COUNTERS || (ALL >> n & 1) == 0) {
        return SBI_INVALID_PARAM;
    }
    c->value = is_fw((unsigned)n) ? UINT64_C(1) << 63 : 63u << 12 | (CSR_CYCLE + n);
    return SBI_SUCCESS;
}

static long
config_matching(struct sbi_call *c)
{
    uint64_t set, flags = c->a[2], event = c->a[3];
    long error = counter_set(c->a[0], c->a[1], &set);
    if (error != SBI_SUCCESS || (flags & ~(uint64_t)CFG_ALL) != 0 || event > 0xfffff) {
        return SBI_INVALID_PARAM;
    }
    bool skip = (flags & CFG_SKIP_MATCH) != 0;
    for (; set != 0; set &= set - 1) {
        unsigned counter = (unsigned)__builtin_ctzll(set);
        bool is_free = c->h->pmu_event[counter] == 0 && !started(c, counter);
        if (can_count(counter, (uint32_t)event) && (is_free || skip)) {
            if (started(c, counter)) {
                run(c, counter, false);
            }
            if (c->h->pmu_event[counter] != (uint32_t)event && is_fw(counter)) {
                set_value(c, counter, 0);
            }
            c->h->pmu_event[counter] = (uint32_t)event;
            if ((flags & CFG_CLEAR_VALUE) != 0) {
                set_value(c, counter, 0);
            }
            if ((flags & CFG_AUTO_START) != 0) {
                run(c, counter, true);
            }
            c->value = counter;
            return SBI_SUCCESS;
        }
        if (skip) {
            break;
        }
    }
    return SBI_NOT_SUPPORTED;
}

static struct snapshot *
shmem(struct sbi_call *c)
{
    return c->h->pmu_shmem == SBI_NO_ADDRESS ? NULL : physmap_ram(c->s->pm, c->h->pmu_shmem, sizeof(struct snapshot));
}

static long
start(struct sbi_call *c)
{
    uint64_t set, flags = c->a[2];
    const struct snapshot *snap = NULL;
    long error = counter_set(c->a[0], c->a[1], &set);
    if (error != SBI_SUCCESS || flags > START_SNAPSHOT) {
        return SBI_INVALID_PARAM;
    }
    if (flags == START_SNAPSHOT && (snap = shmem(c)) == NULL) {
        return SBI_NO_SHMEM;
    }
    for (; set != 0; set &= set - 1) {
        unsigned counter = (unsigned)__builtin_ctzll(set);
        if (started(c, counter)) {
            error = SBI_ALREADY_STARTED;
            continue;
        }
        if (flags == START_SET_VALUE) {
            set_value(c, counter, c->a[3]);
        } else if (snap != NULL) {
            set_value(c, counter, __atomic_load_n(&snap->values[counter - c->a[0]], __ATOMIC_RELAXED));
        }
        run(c, counter, true);
    }
    return error;
}

static long
stop(struct sbi_call *c)
{
    uint64_t set, flags = c->a[2];
    struct snapshot *snap = NULL;
    long error = counter_set(c->a[0], c->a[1], &set);
    if (error != SBI_SUCCESS || flags > (STOP_RESET | STOP_SNAPSHOT)) {
        return SBI_INVALID_PARAM;
    }
    if ((flags & STOP_SNAPSHOT) != 0 && (snap = shmem(c)) == NULL) {
        return SBI_NO_SHMEM;
    }
    if (snap != NULL) {
        snap->overflown = 0;
    }
    for (; set != 0; set &= set - 1) {
        unsigned counter = (unsigned)__builtin_ctzll(set);
        if (started(c, counter)) {
            run(c, counter, false);
        } else {
            error = SBI_ALREADY_STOPPED;
        }
        if (snap != NULL) {
            snap->values[counter - c->a[0]] = value_of(c, counter);
        }
        if ((flags & STOP_RESET) != 0) {
            c->h->pmu_event[counter] = 0;
        }
    }
    return error;
}

static long
set_shmem(struct sbi_call *c)
{
    uint64_t lo = c->a[0], hi = c->a[1];
    if (c->a[2] != 0) {
        return SBI_INVALID_PARAM;
    }
    if (lo == UINT64_MAX && hi == UINT64_MAX) {
        c->h->pmu_shmem = SBI_NO_ADDRESS;
        return SBI_SUCCESS;
    }
    if (lo % PAGE != 0) {
        return SBI_INVALID_PARAM;
    }
    if (hi != 0 || physmap_ram(c->s->pm, lo, PAGE) == NULL) {
        return SBI_INVALID_ADDRESS;
    }
    c->h->pmu_shmem = lo;
    return SBI_SUCCESS;
}

long
sbi_pmu(struct sbi_call *c)
{
    uint64_t n = c->a[0];
    switch (c->fid) {
    case 0:
        c->value = SBI_PMU_COUNTERS;
        return SBI_SUCCESS;
    case 1:
        return get_info(c);
    case 2:
        return config_matching(c);
    case 3:
        return start(c);
    case 4:
        return stop(c);
    case 5: /* read a firmware counter, and its upper half where registers have 32 bits */
    case 6:
        if (n >= SBI_PMU_COUNTERS || !is_fw((unsigned)n)) {
            return SBI_INVALID_PARAM;
        }
        c->value = c->fid == 5 ? value_of(c, (unsigned)n) : 0;
        return SBI_SUCCESS;
    case 7:
        return set_shmem(c);
    default:
        return SBI_NOT_SUPPORTED;
    }
}
