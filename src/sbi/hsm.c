/*
 * hsm.c - HSM: harts start, stop and sleep
 *
 * SBI 2.0, "Hart State Management Extension"; sbi.h draws the states. A hart that suspends keeps its registers (type 0) or
 * loses them and enters anew (0x80000000): both sleep until an interrupt is pending, as wfi does.
 */
#include "sbi/sbi_impl.h"

static uint32_t
state(const struct sbi_hart *h)
{
    return __atomic_load_n(&h->hsm, __ATOMIC_ACQUIRE);
}

static void
set_state(struct sbi_hart *h, enum sbi_hart_state to)
{
    __atomic_store_n(&h->hsm, (uint32_t)to, __ATOMIC_RELEASE);
}

static long
start(struct sbi_call *c)
{
    if (c->a[0] >= c->s->n_harts) {
        return SBI_INVALID_PARAM;
    }
    struct sbi_hart *h = &c->s->harts[c->a[0]];
    if (state(h) != SBI_STOPPED) {
        return SBI_ALREADY_AVAILABLE;
    }
    if (!sbi_can_enter(c->s, c->a[1])) {
        return SBI_INVALID_ADDRESS;
    }
    /* STOP_PENDING is the claim: of two callers one wins, and the hart does not look before START_PENDING. */
    uint32_t stopped = SBI_STOPPED;
    if (!__atomic_compare_exchange_n(&h->hsm, &stopped, (uint32_t)SBI_STOP_PENDING, false, __ATOMIC_ACQ_REL,
                                     __ATOMIC_ACQUIRE)) {
        return SBI_ALREADY_AVAILABLE;
    }
    h->entry = c->a[1];
    h->opaque = c->a[2];
    set_state(h, SBI_START_PENDING);
    c->s->ops->wake(c->s->arg, (unsigned)c->a[0]);
    return SBI_SUCCESS;
}

void
sbi_suspend(struct sbi_call *c, uint64_t entry, uint64_t opaque)
{
    c->h->keeps = entry == SBI_NO_ADDRESS;
    c->h->entry = entry;
    c->h->opaque = opaque;
    set_state(c->h, SBI_SUSPENDED);
    c->next = SBI_WAIT;
}

static long
suspend(struct sbi_call *c)
{
    switch ((uint32_t)c->a[0]) {
    case 0:
        sbi_suspend(c, SBI_NO_ADDRESS, 0);
        return SBI_SUCCESS;
    case 0x80000000:
        if (!sbi_can_enter(c->s, c->a[1])) {
            return SBI_INVALID_ADDRESS;
        }
        sbi_suspend(c, c->a[1], c->a[2]);
        return SBI_SUCCESS;
    default:
        return SBI_INVALID_PARAM;
    }
}

long
sbi_hsm(struct sbi_call *c)
{
    switch (c->fid) {
    case 0:
        return start(c);
    case 1: /* what was shared is not written to any more: the next start is another kernel's, perhaps */
        c->h->sta_shmem = c->h->pmu_shmem = SBI_NO_ADDRESS;
        set_state(c->h, SBI_STOPPED);
        c->next = SBI_PARK;
        return SBI_SUCCESS;
    case 2:
        if (c->a[0] >= c->s->n_harts) {
            return SBI_INVALID_PARAM;
        }
        c->value = state(&c->s->harts[c->a[0]]);
        return SBI_SUCCESS;
    case 3:
        return suspend(c);
    default:
        return SBI_NOT_SUPPORTED;
    }
}

bool
sbi_enter(struct sbi *s, unsigned hart, uint64_t *entry, uint64_t *opaque)
{
    struct sbi_hart *h = &s->harts[hart];
    uint32_t is = state(h);
    if (is != SBI_START_PENDING && is != SBI_SUSPENDED) {
        return false;
    }
    *entry = is == SBI_SUSPENDED && h->keeps ? SBI_NO_ADDRESS : h->entry;
    *opaque = h->opaque;
    set_state(h, SBI_STARTED);
    return true;
}
