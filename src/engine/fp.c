/*
 * fp.c - floating point: entry and exit, fcsr, and the slow paths; see fp_ops.h
 *
 * Nothing here computes in floating point, so all of it may run under the guest's MXCSR.
 */
#include "engine/fp_ops.h"

#include "base/hot.h"

#include <sys/platform/x86.h>

/* Written once, before the first hart runs; the same for every hart of the process. */
struct fp_host fp_host;

void
fp_host_probe(bool baseline)
{
    /* libc has asked already: under a hypervisor each cpuid is 15 µs. Active: the kernel saves the registers, too. */
    fp_host.fma = !baseline && CPU_FEATURE_ACTIVE(FMA);
    fp_host.f16c = !baseline && CPU_FEATURE_ACTIVE(F16C);
}

/* The mode that MXCSR holds for frm: RMM, and modes that do not exist, are softfp's, and then any
 * would do. */
static unsigned
live_mode(unsigned frm)
{
    return frm < SF_RMM ? frm : SF_RNE;
}

HOT static uint32_t
mxcsr_of_frm(unsigned frm)
{
    const unsigned rc = 0 << 2 * SF_RNE | 3 << 2 * SF_RTZ | 1 << 2 * SF_RDN | 2 << 2 * SF_RUP;
    return FP_MXCSR_CLEAR | (rc >> 2 * live_mode(frm) & 3) << 13;
}

HOT static void
set_live(struct hart *h)
{
    for (unsigned r = 0; r < SF_DYN; r++) {
        h->rm_live[r] = r == live_mode(h->frm);
    }
    h->rm_live[SF_DYN] = h->frm < SF_RMM;
}

HOT void
fp_enter(struct hart *h)
{
    h->host_mxcsr = fp_mxcsr_read();
    set_live(h);
    fp_mxcsr_write(mxcsr_of_frm(h->frm));
}

HOT void
fp_leave(struct hart *h)
{
    h->fflags = (uint8_t)fp_flags_read(h);
    fp_mxcsr_write(h->host_mxcsr);
}

HOT uint32_t
fp_flags_read(const struct hart *h)
{
    return h->fflags | fp_flags_of_mxcsr(fp_mxcsr_read());
}

void
fp_flags_write(struct hart *h, uint32_t fflags)
{
    h->fflags = fflags & 31;
    fp_mxcsr_write(mxcsr_of_frm(h->frm));
}

void
fp_set_frm(struct hart *h, uint32_t frm)
{
    h->fflags = (uint8_t)fp_flags_read(h);
    h->frm = frm & 7;
    set_live(h);
    fp_mxcsr_write(mxcsr_of_frm(h->frm));
}

uint64_t
fp_slow1(struct hart *h, fp_soft1 *op, enum sf_fmt f, unsigned rm, uint64_t a)
{
    return op(f, a, rm, &h->fflags);
}

uint64_t
fp_slow2(struct hart *h, fp_soft2 *op, enum sf_fmt f, unsigned rm, uint64_t a, uint64_t b)
{
    return op(f, a, b, rm, &h->fflags);
}

uint64_t
fp_slow_fma(struct hart *h, enum sf_fmt f, unsigned rm, uint64_t a, uint64_t b, uint64_t c)
{
    return sf_fma(f, a, b, c, rm, &h->fflags);
}

uint64_t
fp_slow_convert(struct hart *h, enum sf_fmt to, enum sf_fmt from, unsigned rm, uint64_t a)
{
    return sf_convert(to, from, a, rm, &h->fflags);
}

uint64_t
fp_slow_int(struct hart *h, fp_softx *op, enum sf_fmt f, enum sf_int i, unsigned rm, uint64_t a)
{
    return op(f, i, a, rm, &h->fflags);
}

uint64_t
fp_slow_round(struct hart *h, enum sf_fmt f, unsigned rm, uint64_t a, bool exact)
{
    return sf_round_int(f, a, exact, rm, &h->fflags);
}

/* Infinity times zero plus a quiet NaN is invalid for RISC-V and not for x86. */
uint64_t
fp_fma_nan(struct hart *h, enum sf_fmt f, uint64_t a, uint64_t b, uint64_t c)
{
    return sf_fma(f, a, b, c, SF_RNE, &h->fflags);
}

uint64_t
fp_slow_min_max(struct hart *h, enum sf_fmt f, uint64_t a, uint64_t b, bool max, bool strict)
{
    return fp_min_max(f, a, b, max, strict, &h->fflags);
}

uint64_t
fp_compare_h(struct hart *h, enum fp_relation rel, bool quiet, uint64_t a, uint64_t b)
{
    return fp_compare(SF_H, rel, quiet, a, b, &h->fflags);
}

uint64_t
fp_mod_i32(struct hart *h, uint64_t a)
{
    return sf_mod_i32(a, &h->fflags);
}
