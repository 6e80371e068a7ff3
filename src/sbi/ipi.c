/*
 * ipi.c - IPI: software interrupts of other harts
 *
 * SBI 2.0, "IPI Extension".
 */
#include "sbi/sbi_impl.h"

long
sbi_ipi(struct sbi_call *c)
{
    uint64_t harts;
    if (c->fid != 0) {
        return SBI_NOT_SUPPORTED;
    }
    long error = sbi_hart_set(c->s, c->a[0], c->a[1], &harts);
    if (error != SBI_SUCCESS) {
        return error;
    }
    sbi_count_sent(c, FW_IPI_SENT, harts);
    for (uint64_t left = harts; left != 0; left &= left - 1) {
        c->s->ops->ipi(c->s->arg, (unsigned)__builtin_ctzll(left));
    }
    return SBI_SUCCESS;
}
