/*
 * dbcn.c - DBCN: a console for who has no driver yet
 *
 * SBI 2.0, "Debug Console Extension". A call moves 4 KiB at most, which the specification allows: how much it was is the answer.
 */
#include "sbi/sbi_impl.h"

#define MOST 4096u

/* The bytes that a call is for. SBI_SUCCESS, or the error. */
static long
bytes_of(struct sbi_call *c, void **host, size_t *len)
{
    uint64_t n = c->a[0];
    *host = physmap_ram(c->s->pm, c->a[1], n);
    *len = n < MOST ? (size_t)n : MOST;
    return n == 0 || (c->a[2] == 0 && *host != NULL) ? SBI_SUCCESS : SBI_INVALID_PARAM;
}

static long
moved(struct sbi_call *c, long n)
{
    if (n < 0) {
        return SBI_FAILED;
    }
    c->value = (uint64_t)n;
    return SBI_SUCCESS;
}

long
sbi_dbcn(struct sbi_call *c)
{
    const struct sbi_ops *ops = c->s->ops;
    void *host = NULL;
    size_t len;
    long error;
    switch (c->fid) {
    case 0:
    case 1:
        error = bytes_of(c, &host, &len);
        if (error != SBI_SUCCESS || len == 0) {
            return error;
        }
        return moved(c, c->fid == 0 ? ops->console_write(c->s->arg, host, len) : ops->console_read(c->s->arg, host, len));
    case 2:
        host = &(uint8_t){ (uint8_t)c->a[0] };
        return ops->console_write(c->s->arg, host, 1) == 1 ? SBI_SUCCESS : SBI_FAILED;
    default:
        return SBI_NOT_SUPPORTED;
    }
}
