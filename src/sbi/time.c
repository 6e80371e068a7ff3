/*
 * time.c - TIME: the supervisor timer
 *
 * SBI 2.0, "Timer Extension". Guests that see Sstc write stimecmp instead.
 */
#include "sbi/sbi_impl.h"

long
sbi_time(struct sbi_call *c)
{
    if (c->fid != 0) {
        return SBI_NOT_SUPPORTED;
    }
    sbi_count(c->h, FW_SET_TIMER);
    c->s->ops->set_timer(c->s->arg, c->hart, c->a[0]);
    return SBI_SUCCESS;
}
