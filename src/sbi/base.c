/*
 * base.c - BASE: who the SBI implementation is, and what it has
 *
 * SBI 2.0, "Base Extension". No implementation number is reserved for doppel: ours is far from those that are.
 */
#include "sbi/sbi_impl.h"

#define SPEC_2_0 0x02000000
#define IMPL_DOPPEL 0x646f70 /* "dop" */
#define IMPL_VERSION 1

long
sbi_base(struct sbi_call *c)
{
    switch (c->fid) {
    case 0:
        c->value = SPEC_2_0;
        return SBI_SUCCESS;
    case 1:
        c->value = IMPL_DOPPEL;
        return SBI_SUCCESS;
    case 2:
        c->value = IMPL_VERSION;
        return SBI_SUCCESS;
    case 3:
        c->value = sbi_has(c->a[0]);
        return SBI_SUCCESS;
    case 4: /* mvendorid, marchid, mimpid: 0 is "not implemented", and what the CSRs read as */
    case 5:
    case 6:
        c->value = 0;
        return SBI_SUCCESS;
    default:
        return SBI_NOT_SUPPORTED;
    }
}
