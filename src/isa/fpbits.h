/*
 * fpbits.h - what RISC-V does to the bits of a floating-point number without computing
 *
 * Unprivileged ISA, "F", "D", "Zfh", "Zfa": NaN boxing, sign injection, classes, minimum and
 * maximum, comparisons and the constants of fli. One function serves three formats: the format is a
 * constant where it is called, so it folds. Values are raw bits, zero-extended (softfp.h). Pure,
 * but for flags ORed into *fl.
 */
#ifndef DOPPEL_FPBITS_H
#define DOPPEL_FPBITS_H

#include "isa/softfp.h"

#include <stdbool.h>
#include <stdint.h>

static inline uint64_t
fp_sign(enum sf_fmt f)
{
    return UINT64_C(1) << (f == SF_H ? 15 : f == SF_S ? 31 : 63);
}

static inline uint64_t
fp_inf(enum sf_fmt f)
{
    return f == SF_H ? 0x7c00 : f == SF_S ? 0x7f800000 : UINT64_C(0x7ff0000000000000);
}

/* The canonical NaN: positive, quiet, no payload. */
static inline uint64_t
fp_nan(enum sf_fmt f)
{
    return f == SF_H ? 0x7e00 : f == SF_S ? 0x7fc00000 : UINT64_C(0x7ff8000000000000);
}

/* Everything but the sign. */
static inline uint64_t
fp_abs(enum sf_fmt f, uint64_t a)
{
    return a & (fp_sign(f) - 1);
}

static inline bool
fp_is_nan(enum sf_fmt f, uint64_t a)
{
    return fp_abs(f, a) > fp_inf(f);
}

static inline bool
fp_is_snan(enum sf_fmt f, uint64_t a)
{
    return fp_is_nan(f, a) && (a & (fp_nan(f) ^ fp_inf(f))) == 0;
}

/*
 * NaN boxing: a narrower value sits in an f register under ones. A register that is not boxed so
 * reads as the canonical NaN (Unprivileged ISA, "NaN Boxing of Narrower Values").
 */
static inline uint64_t
fp_box(enum sf_fmt f, uint64_t a)
{
    return f == SF_H ? a | ~UINT64_C(0xffff) : f == SF_S ? a | ~UINT64_C(0xffffffff) : a;
}

static inline uint64_t
fp_unbox(enum sf_fmt f, uint64_t reg)
{
    if (f == SF_H) {
        return reg >= ~UINT64_C(0xffff) ? reg & 0xffff : fp_nan(f);
    }
    if (f == SF_S) {
        return reg >= ~UINT64_C(0xffffffff) ? reg & 0xffffffff : fp_nan(f);
    }
    return reg;
}

static inline uint64_t
fp_sgnj(enum sf_fmt f, uint64_t a, uint64_t b)
{
    return fp_abs(f, a) | (b & fp_sign(f));
}

static inline uint64_t
fp_sgnjn(enum sf_fmt f, uint64_t a, uint64_t b)
{
    return fp_abs(f, a) | (~b & fp_sign(f));
}

static inline uint64_t
fp_sgnjx(enum sf_fmt f, uint64_t a, uint64_t b)
{
    return a ^ (b & fp_sign(f));
}

static inline uint64_t
fp_neg(enum sf_fmt f, uint64_t a)
{
    return a ^ fp_sign(f);
}

/* fclass: bits 0 -inf, 1 -normal, 2 -subnormal, 3 -0, 4 +0, 5 +subnormal, 6 +normal, 7 +inf, 8
 * sNaN, 9 qNaN. */
static inline uint64_t
fp_class(enum sf_fmt f, uint64_t a)
{
    const uint64_t m = fp_abs(f, a);
    const uint64_t least_normal = fp_inf(f) & -fp_inf(f);
    if (m > fp_inf(f)) {
        return fp_is_snan(f, a) ? 1 << 8 : 1 << 9;
    }
    const unsigned k = m == 0 ? 0 : m < least_normal ? 1 : m < fp_inf(f) ? 2 : 3;
    return a & fp_sign(f) ? 1u << (3 - k) : 1u << (4 + k);
}

/* Where a stands in the order of numbers, -0 just before +0. Not for NaNs. */
static inline int64_t
fp_rank(enum sf_fmt f, uint64_t a)
{
    const int64_t v = (int64_t)(f == SF_H ? a << 48 : f == SF_S ? a << 32 : a);
    return v ^ ((v >> 63) & INT64_MAX);
}

static inline bool
fp_precedes(enum sf_fmt f, uint64_t a, uint64_t b)
{
    return fp_rank(f, a) < fp_rank(f, b);
}

/* fmin and fmax give the number if there is one, fminm and fmaxm (`strict`) a NaN if there is one.
 */
static inline uint64_t
fp_min_max(enum sf_fmt f, uint64_t a, uint64_t b, bool max, bool strict, uint8_t *fl)
{
    const bool na = fp_is_nan(f, a), nb = fp_is_nan(f, b);
    if (na || nb) {
        *fl |= fp_is_snan(f, a) || fp_is_snan(f, b) ? SF_NV : 0;
        return strict || (na && nb) ? fp_nan(f) : na ? b : a;
    }
    return fp_precedes(f, a, b) != max ? a : b;
}

enum fp_relation { FP_EQ, FP_LT, FP_LE };

/* a rel b. A quiet comparison raises NV for signalling NaNs only. */
static inline bool
fp_compare(enum sf_fmt f, enum fp_relation rel, bool quiet, uint64_t a, uint64_t b, uint8_t *fl)
{
    if (fp_is_nan(f, a) || fp_is_nan(f, b)) {
        *fl |= !quiet || fp_is_snan(f, a) || fp_is_snan(f, b) ? SF_NV : 0;
        return false;
    }
    const bool equal = a == b || (fp_abs(f, a) | fp_abs(f, b)) == 0;
    return equal ? rel != FP_LT : rel != FP_EQ && fp_precedes(f, a, b);
}

/*
 * The constants of fli (Unprivileged ISA, "Zfa"): all are short enough for a binary32, whose bits
 * are here; 1 is the smallest normal number of the format, and 2^16 does not fit into a binary16.
 */
static inline uint64_t
fp_li(enum sf_fmt f, unsigned k)
{
    static const uint32_t single[32] = {
        0xbf800000, 0x00800000, 0x37800000, 0x38000000, 0x3b800000, 0x3c000000, 0x3d800000,
        0x3e000000, 0x3e800000, 0x3ea00000, 0x3ec00000, 0x3ee00000, 0x3f000000, 0x3f200000,
        0x3f400000, 0x3f600000, 0x3f800000, 0x3fa00000, 0x3fc00000, 0x3fe00000, 0x40000000,
        0x40200000, 0x40400000, 0x40800000, 0x41000000, 0x41800000, 0x43000000, 0x43800000,
        0x47000000, 0x47800000, 0x7f800000, 0x7fc00000,
    };
    uint8_t exact = 0;
    k &= 31;
    if (k == 1) {
        return fp_inf(f) & -fp_inf(f);
    }
    return f == SF_S ? single[k] : sf_convert(f, SF_S, single[k], SF_RNE, &exact);
}

#endif
