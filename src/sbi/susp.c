/*
 * susp.c - SUSP: the machine sleeps, its memory stays
 *
 * SBI 2.0, "System Suspend Extension". Only SUSPEND_TO_RAM: the last hart that runs sleeps until it has an interrupt, and enters
 * anew.
 */
#include "sbi/sbi_impl.h"

long
sbi_susp(struct sbi_call *c)
{
    if (c->fid != 0) {
        return SBI_NOT_SUPPORTED;
    }
    if ((uint32_t)c->a[0] != 0) {
        return SBI_INVALID_PARAM;
    }
    for (unsigned i = 0; i < c->s->n_harts; i++) {
        if (i != c->hart && __atomic_load_n(&c->s->harts[i].hsm, __ATOMIC_ACQUIRE) != SBI_STOPPED) {
            return SBI_DENIED;
        }
    }
    if (!sbi_can_enter(c->s, c->a[1])) {
        return SBI_INVALID_ADDRESS;
    }
    sbi_suspend(c, c->a[1], c->a[2]);
    return SBI_SUCCESS;
}
