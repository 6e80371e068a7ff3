/*
 * rfence.c - RFENCE: fence.i and sfence.vma of other harts
 *
 * SBI 2.0, "RFENCE Extension". Linux calls these more often than anything else. Those for hypervisors are not supported: no hart
 * has H.
 */
#include "sbi/sbi_impl.h"

long
sbi_rfence(struct sbi_call *c)
{
    static const enum sbi_fw_event counted[] = {
        [SBI_FENCE_I] = FW_FENCE_I_SENT,
        [SBI_SFENCE_VMA] = FW_SFENCE_VMA_SENT,
        [SBI_SFENCE_VMA_ASID] = FW_SFENCE_VMA_ASID_SENT,
    };
    struct sbi_fence f = { .all = true };
    uint64_t harts;
    if (c->fid > SBI_SFENCE_VMA_ASID) {
        return SBI_NOT_SUPPORTED;
    }
    f.kind = (enum sbi_fence_kind)c->fid;
    long error = sbi_hart_set(c->s, c->a[0], c->a[1], &harts);
    if (error != SBI_SUCCESS) {
        return error;
    }
    if (f.kind != SBI_FENCE_I) {
        f.start = c->a[2];
        f.size = c->a[3];
        f.all = (f.start == 0 && f.size == 0) || f.size == UINT64_MAX;
        /* A range that wraps is taken for everything: fencing more than was asked for is always right. */
        f.all |= f.start + f.size < f.start;
        f.asid = f.kind == SBI_SFENCE_VMA_ASID ? c->a[4] : 0;
    }
    sbi_count_sent(c, counted[f.kind], harts);
    if (harts != 0) {
        c->s->ops->fence(c->s->arg, c->hart, harts, &f);
    }
    return SBI_SUCCESS;
}
