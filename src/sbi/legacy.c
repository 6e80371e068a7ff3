/*
 * legacy.c - what small kernels still use of SBI 0.1
 *
 * SBI 2.0, "Legacy Extensions". The answer is in a0 alone. Those that take a virtual address of a hart mask are not there; IPI and
 * RFENCE have replaced them.
 */
#include "sbi/sbi_impl.h"

long
sbi_legacy_set_timer(struct sbi_call *c)
{
    sbi_count(c->h, FW_SET_TIMER);
    c->s->ops->set_timer(c->s->arg, c->hart, c->a[0]);
    return SBI_SUCCESS;
}

long
sbi_legacy_putchar(struct sbi_call *c)
{
    uint8_t byte = (uint8_t)c->a[0];
    return c->s->ops->console_write(c->s->arg, &byte, 1) == 1 ? SBI_SUCCESS : SBI_FAILED;
}

long
sbi_legacy_getchar(struct sbi_call *c)
{
    uint8_t byte;
    return c->s->ops->console_read(c->s->arg, &byte, 1) == 1 ? byte : -1;
}

long
sbi_legacy_clear_ipi(struct sbi_call *c)
{
    c->s->ops->ipi_clear(c->s->arg, c->hart);
    return SBI_SUCCESS;
}

long
sbi_legacy_shutdown(struct sbi_call *c)
{
    c->next = SBI_OFF;
    c->s->ops->reset(c->s->arg, SBI_SHUTDOWN, false);
    return SBI_SUCCESS;
}
