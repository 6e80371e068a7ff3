/*
 * srst.c - SRST: the machine goes off, or starts again
 *
 * SBI 2.0, "System Reset Extension".
 */
#include "sbi/sbi_impl.h"

long
sbi_srst(struct sbi_call *c)
{
    uint32_t type = (uint32_t)c->a[0], reason = (uint32_t)c->a[1];
    if (c->fid != 0) {
        return SBI_NOT_SUPPORTED;
    }
    if (type > SBI_WARM_REBOOT || reason > 1) {
        return SBI_INVALID_PARAM;
    }
    c->next = SBI_OFF;
    c->s->ops->reset(c->s->arg, (enum sbi_reset_type)type, reason == 1);
    return SBI_SUCCESS;
}
