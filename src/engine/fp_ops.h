/*
 * fp_ops.h - floating point for the interpreters: the host's unit, exactly
 *
 * The vocabulary of src/isa/sem_f.inc as C. While guest code runs, MXCSR is the guest's: its
 * rounding mode, and the flags that it raised since fp_enter(); all exceptions masked, no FTZ, no
 * DAZ.
 *
 *      MXCSR   15 FTZ | 14:13 RC | 12:7 masks | 6 DAZ | 5 PE | 4 UE | 3 OE | 2 ZE | 1 DE | 0 IE
 *      fflags                                    NX     UF     OF     DZ     -      NV
 *
 * Every operation is `asm volatile`: the compiler can neither fold it, nor move it across another
 * or across a read of MXCSR. The fast path is taken when the instruction's rounding mode is the one
 * in MXCSR (hart->rm_live); all else is softfp.c's, whose flags go to hart->fflags directly. So a
 * static mode that differs from frm costs about 20 ns, and MXCSR changes only when the guest writes
 * fcsr. NaN results are made canonical after each operation: the host's default NaN is negative,
 * and it propagates payloads.
 *
 * Who includes this defines, in the scope of the meanings:
 *      h             struct hart *
 *      i             const struct insn *
 *      V(u) U(v)     a guest value from a uint64_t, and back (interp_ops.h)
 *      FP_ILLEGAL()  leave: illegal instruction (frm holds a reserved mode); does not return
 *
 * Values are raw bits in uint64_t, narrower ones zero-extended. No local whose address is taken may
 * be in a handler: slow paths get the hart. Spec: Unprivileged ISA, "F", "D", "Zfh", "Zfa".
 */
#ifndef DOPPEL_FP_OPS_H
#define DOPPEL_FP_OPS_H

#include "isa/fpbits.h"
#include "isa/hart.h"
#include "isa/softfp.h"

#include <emmintrin.h>
#include <stdbool.h>
#include <stdint.h>

/* What the host's unit can do beyond SSE2. Constant once fp_host_probe() has run. */
struct fp_host {
    bool fma, f16c;
};
extern struct fp_host fp_host;

/* Ask the CPU. baseline: pretend to have SSE2 only, for tests. Before the first hart runs; not
 * thread-safe. */
void fp_host_probe(bool baseline);

#define FP_MXCSR_CLEAR UINT32_C(0x1f80) /* all masked, nearest, no flags */

static inline uint32_t
fp_mxcsr_read(void)
{
    uint32_t v;
    __asm__ volatile("stmxcsr %0" : "=m"(v) : : "memory");
    return v;
}

static inline void
fp_mxcsr_write(uint32_t v)
{
    __asm__ volatile("ldmxcsr %0" : : "m"(v) : "memory");
}

static inline uint8_t
fp_flags_of_mxcsr(uint32_t m)
{
    return (uint8_t)((m & 1) << 4 | (m & 4) << 1 | (m & 8) >> 1 | (m & 16) >> 3 | (m & 32) >> 5);
}

/* From the monitor's MXCSR to the guest's, and back: between them only guest arithmetic may use the
 * unit. */
void fp_enter(struct hart *h);
void fp_leave(struct hart *h);

/* fflags and frm, between fp_enter and fp_leave. */
uint32_t fp_flags_read(const struct hart *h);
void fp_flags_write(struct hart *h, uint32_t fflags);
void fp_set_frm(struct hart *h, uint32_t frm);

/* The slow paths: softfp under a resolved mode, flags to h. */
typedef uint64_t fp_soft1(enum sf_fmt f, uint64_t a, unsigned rm, uint8_t *fl);
typedef uint64_t fp_soft2(enum sf_fmt f, uint64_t a, uint64_t b, unsigned rm, uint8_t *fl);
typedef uint64_t fp_softx(enum sf_fmt f, enum sf_int i, uint64_t a, unsigned rm, uint8_t *fl);
#define FP_COLD __attribute__((cold, noinline))
FP_COLD uint64_t fp_slow1(struct hart *h, fp_soft1 *op, enum sf_fmt f, unsigned rm, uint64_t a);
FP_COLD uint64_t fp_slow2(struct hart *h, fp_soft2 *op, enum sf_fmt f, unsigned rm, uint64_t a,
                          uint64_t b);
FP_COLD uint64_t fp_slow_fma(struct hart *h, enum sf_fmt f, unsigned rm, uint64_t a, uint64_t b,
                             uint64_t c);
FP_COLD uint64_t fp_slow_convert(struct hart *h, enum sf_fmt to, enum sf_fmt from, unsigned rm,
                                 uint64_t a);
FP_COLD uint64_t fp_slow_int(struct hart *h, fp_softx *op, enum sf_fmt f, enum sf_int i,
                             unsigned rm, uint64_t a);
FP_COLD uint64_t fp_slow_round(struct hart *h, enum sf_fmt f, unsigned rm, uint64_t a, bool exact);

/* The host's FMA gave a NaN: what RISC-V adds to that. */
FP_COLD uint64_t fp_fma_nan(struct hart *h, enum sf_fmt f, uint64_t a, uint64_t b, uint64_t c);

FP_COLD uint64_t fp_slow_min_max(struct hart *h, enum sf_fmt f, uint64_t a, uint64_t b, bool max,
                                 bool strict);
uint64_t fp_compare_h(struct hart *h, enum fp_relation rel, bool quiet, uint64_t a, uint64_t b);
uint64_t fp_mod_i32(struct hart *h, uint64_t a);

#define FP_LIKELY(x) __builtin_expect(!!(x), 1)

static inline unsigned
fp_resolve(const struct hart *h, unsigned rm)
{
    return rm == SF_DYN ? h->frm : rm;
}

/* Bits to and from the registers that SSE works on. As vectors, because the compiler then loads and
 * stores them directly. */
static inline __m128i
fp_as_d(uint64_t a)
{
    return _mm_cvtsi64_si128((int64_t)a);
}

static inline uint64_t
fp_of_d(__m128i a)
{
    return (uint64_t)_mm_cvtsi128_si64(a);
}

static inline __m128i
fp_as_s(uint64_t a)
{
    return _mm_cvtsi32_si128((int32_t)a);
}

static inline uint64_t
fp_of_s(__m128i a)
{
    return (uint32_t)_mm_cvtsi128_si32(a);
}

/* A result, and whether it is a NaN, which then has to become the canonical one. */
struct fp_s {
    __m128i v;
    bool nan;
};
struct fp_d {
    __m128i v;
    bool nan;
};

/*
 * For one of the host's formats. X: s or d; T: its type in C; SUFFIX that of the instructions. A
 * result is compared with itself, which sets the parity flag for a NaN and raises nothing, for it
 * is quiet.
 */
#define FP_NATIVE(X, F, SUFFIX)                                                                    \
    FP_NATIVE2(add, X, SUFFIX)                                                                     \
    FP_NATIVE2(sub, X, SUFFIX)                                                                     \
    FP_NATIVE2(mul, X, SUFFIX)                                                                     \
    FP_NATIVE2(div, X, SUFFIX)                                                                     \
    static inline struct fp_##X fp_sqrt_##X(uint64_t a) {                                          \
        struct fp_##X r = {fp_as_##X(a), false};                                                   \
        __asm__ volatile("sqrts" SUFFIX " %0, %0\n\tucomis" SUFFIX " %0, %0"                       \
                         : "+x"(r.v), "=@ccp"(r.nan));                                             \
        return r;                                                                                  \
    } static inline struct fp_##X fp_fma_##X(uint64_t a, uint64_t b, uint64_t c) {                 \
        struct fp_##X r = {fp_as_##X(a), false};                                                   \
        __asm__ volatile("vfmadd213s" SUFFIX " %3, %2, %0\n\tucomis" SUFFIX " %0, %0"              \
                         : "+x"(r.v), "=@ccp"(r.nan)                                               \
                         : "x"(fp_as_##X(b)), "x"(fp_as_##X(c)));                                  \
        return r;                                                                                  \
    } /* comis raises invalid for every NaN, ucomis for signalling ones: as flt, fle and feq want. \
       */                                                                                          \
    FP_NATIVE_CMP(lt, "comis", "a", X, SUFFIX) FP_NATIVE_CMP(le, "comis", "ae", X, SUFFIX)         \
        FP_NATIVE_CMP(ltq, "ucomis", "a", X, SUFFIX)                                               \
            FP_NATIVE_CMP(leq, "ucomis", "ae", X,                                                  \
                          SUFFIX) static inline uint64_t fp_eq_##X(uint64_t a, uint64_t b)         \
    {                                                                                              \
        bool equal, ordered;                                                                       \
        __asm__ volatile("ucomis" SUFFIX " %2, %3"                                                 \
                         : "=@cce"(equal), "=@ccnp"(ordered)                                       \
                         : "x"(fp_as_##X(a)), "x"(fp_as_##X(b)));                                  \
        return equal & ordered;                                                                    \
    }                                                                                              \
    FP_NATIVE_FROM(w, "l", int32_t, X, SUFFIX)                                                     \
    FP_NATIVE_FROM(l, "q", int64_t, X, SUFFIX)                                                     \
    FP_NATIVE_TO(w, "l", int32_t, INT32_MIN, X, F, SUFFIX)                                         \
    FP_NATIVE_TO(l, "q", int64_t, INT64_MIN, X, F, SUFFIX)

#define FP_NATIVE2(OP, X, SUFFIX)                                                                  \
    static inline struct fp_##X fp_##OP##_##X(uint64_t a, uint64_t b) {                            \
        struct fp_##X r = {fp_as_##X(a), false};                                                   \
        __asm__ volatile(#OP "s" SUFFIX " %2, %0\n\tucomis" SUFFIX " %0, %0"                       \
                         : "+x"(r.v), "=@ccp"(r.nan)                                               \
                         : "x"(fp_as_##X(b)));                                                     \
        return r;                                                                                  \
    }

/* The operands are swapped, so that "above" excludes unordered. */
#define FP_NATIVE_CMP(REL, INSN, CC, X, SUFFIX)                                                    \
    static inline uint64_t fp_##REL##_##X(uint64_t a, uint64_t b)                                  \
    {                                                                                              \
        bool holds;                                                                                \
        __asm__ volatile(INSN SUFFIX " %1, %2"                                                     \
                         : "=@cc" CC(holds)                                                        \
                         : "x"(fp_as_##X(a)), "x"(fp_as_##X(b)));                                  \
        return holds;                                                                              \
    }

#define FP_NATIVE_FROM(I, ISUFFIX, IT, X, SUFFIX)                                                  \
    static inline uint64_t fp_from_##I##_##X(uint64_t v)                                           \
    {                                                                                              \
        __m128i r;                                                                                 \
        __asm__ volatile("pxor %0, %0\n\tcvtsi2s" SUFFIX ISUFFIX " %1, %0"                         \
                         : "=&x"(r)                                                                \
                         : "r"((IT)v));                                                            \
        return fp_of_##X(r);                                                                       \
    }

/* The host gives LEAST for whatever does not fit, with invalid alone; RISC-V saturates. */
#define FP_NATIVE_TO(I, ISUFFIX, IT, LEAST, X, F, SUFFIX)                                          \
    static inline uint64_t fp_to_##I##_##X(uint64_t a, bool truncate)                              \
    {                                                                                              \
        IT r;                                                                                      \
        if (truncate) {                                                                            \
            __asm__ volatile("cvtts" SUFFIX "2si" ISUFFIX " %1, %0"                                \
                             : "=r"(r)                                                             \
                             : "x"(fp_as_##X(a)));                                                 \
        } else {                                                                                   \
            __asm__ volatile("cvts" SUFFIX "2si" ISUFFIX " %1, %0" : "=r"(r) : "x"(fp_as_##X(a))); \
        }                                                                                          \
        if (__builtin_expect(r == (LEAST), 0) && (fp_is_nan(F, a) || (a & fp_sign(F)) == 0)) {     \
            r = ~(LEAST);                                                                          \
        }                                                                                          \
        return (uint64_t)(int64_t)r;                                                               \
    }

FP_NATIVE(s, SF_S, "s")
FP_NATIVE(d, SF_D, "d")

/*
 * Unsigned 64 bits from the upper half: halve, keeping "something was lost" in the last bit,
 * convert, double. Doubling is exact and raises nothing, and the mode acts once.
 */
static inline uint64_t
fp_halve(uint64_t v)
{
    return v >> 1 | (v & 1);
}

static inline uint64_t
fp_from_lu_s(uint64_t v)
{
    if (FP_LIKELY((int64_t)v >= 0)) {
        return fp_from_l_s(v);
    }
    const uint64_t r = fp_from_l_s(fp_halve(v));
    return fp_of_s(fp_add_s(r, r).v);
}

static inline uint64_t
fp_from_lu_d(uint64_t v)
{
    if (FP_LIKELY((int64_t)v >= 0)) {
        return fp_from_l_d(v);
    }
    const uint64_t r = fp_from_l_d(fp_halve(v));
    return fp_of_d(fp_add_d(r, r).v);
}

/* Positive numbers that a signed 64-bit conversion takes for each unsigned one: bits up to these,
 * +0 included. */
#define FP_U32_LAST_S UINT64_C(0x4f7fffff) /* the last below 2^32 is an integer */
#define FP_U32_LAST_D                                                                              \
    UINT64_C(0x41efffffffe00000)           /* 2^32 - 1: a fraction above may round up to 2^32 */
#define FP_U64_LAST_S UINT64_C(0x5effffff) /* the last below 2^63 */
#define FP_U64_LAST_D UINT64_C(0x43dfffffffffffff)

static inline uint64_t
fp_to_wu_s(uint64_t a, bool truncate)
{
    return (uint64_t)(int32_t)fp_to_l_s(a, truncate);
}

static inline uint64_t
fp_to_wu_d(uint64_t a, bool truncate)
{
    return (uint64_t)(int32_t)fp_to_l_d(a, truncate);
}

static inline struct fp_d
fp_d_of_s(uint64_t a)
{
    struct fp_d r;
    __asm__ volatile("cvtss2sd %2, %0\n\tucomisd %0, %0"
                     : "=x"(r.v), "=@ccp"(r.nan)
                     : "x"(fp_as_s(a)));
    return r;
}

static inline struct fp_s
fp_s_of_d(uint64_t a)
{
    struct fp_s r;
    __asm__ volatile("cvtsd2ss %2, %0\n\tucomiss %0, %0"
                     : "=x"(r.v), "=@ccp"(r.nan)
                     : "x"(fp_as_d(a)));
    return r;
}

/* F16C, both ways; a NaN stays one, and a signalling NaN raises invalid. */
static inline uint64_t
fp_s_of_h_raw(uint64_t a)
{
    __m128i r;
    __asm__ volatile("vmovd %1, %0\n\tvcvtph2ps %0, %0" : "=x"(r) : "r"((uint32_t)a));
    return fp_of_s(r);
}

static inline uint64_t
fp_h_of_s_raw(uint64_t a)
{
    uint32_t r;
    __m128i t = fp_as_s(a);
    __asm__ volatile("vcvtps2ph $4, %1, %1\n\tvmovd %1, %0" : "=r"(r), "+x"(t));
    return r & 0xffff;
}

static inline struct fp_s
fp_s_of_h(uint64_t a)
{
    const uint64_t r = fp_s_of_h_raw(a);
    return (struct fp_s){fp_as_s(r), fp_is_nan(SF_S, r)};
}

static inline struct fp_d
fp_d_of_h(uint64_t a)
{
    return fp_d_of_s(fp_s_of_h_raw(a));
}

static inline uint64_t
fp_h_of_s(uint64_t a)
{
    const uint64_t r = fp_h_of_s_raw(a);
    return fp_is_nan(SF_H, r) ? fp_nan(SF_H) : r;
}

/*
 * Half precision by way of binary32, whose 24 bits are at least 2 * 11 + 2: for these five
 * operations rounding twice gives what rounding once does, in every mode (Figueroa 1995), flags
 * included: a result that binary32 rounds is too far from any half-way point, and from the smallest
 * normal half, for the second step to see a difference.
 */
#define FP_HALF2(OP)                                                                               \
    static inline uint64_t fp_##OP##_h(uint64_t a, uint64_t b)                                     \
    {                                                                                              \
        return fp_h_of_s(fp_of_s(fp_##OP##_s(fp_s_of_h_raw(a), fp_s_of_h_raw(b)).v));              \
    }
FP_HALF2(add)
FP_HALF2(sub)
FP_HALF2(mul)
FP_HALF2(div)

static inline uint64_t
fp_sqrt_h(uint64_t a)
{
    return fp_h_of_s(fp_of_s(fp_sqrt_s(fp_s_of_h_raw(a)).v));
}

/* The vocabulary (sem_f.inc says what each means). */

/*
 * `fast` if it may be, otherwise `slow` under the mode rm_.
 *
 * An interpreter whose handlers must not call and return (a call makes the compiler save registers
 * on the fast path too) redefines these to go to a handler that may: FP_OTHERWISE, FP_NAN,
 * FP_FMA_NAN, FP_UNBOX. Executing the fast path and then the slow one is harmless: flags only
 * accumulate, and both raise the same.
 */
#define FP_EITHER(may, fast, slow)                                                                 \
    ({                                                                                             \
        uint64_t fp_r_;                                                                            \
        if (FP_LIKELY(may)) {                                                                      \
            fp_r_ = (fast);                                                                        \
        } else {                                                                                   \
            FP_OTHERWISE(slow);                                                                    \
        }                                                                                          \
        fp_r_;                                                                                     \
    })
#define FP_RESULT(x, call, nan_result)                                                             \
    ({                                                                                             \
        const struct fp_##x fp_x_ = (call);                                                        \
        FP_LIKELY(!fp_x_.nan) ? fp_of_##x(fp_x_.v) : (nan_result);                                 \
    })
#define FP_OTHERWISE_SOFT(slow)                                                                    \
    const unsigned rm_ = fp_resolve(h, RM);                                                        \
    if (rm_ > SF_RMM) {                                                                            \
        FP_ILLEGAL();                                                                              \
    }                                                                                              \
    fp_r_ = (slow)
#define FP_OTHERWISE(slow)     FP_OTHERWISE_SOFT(slow)
#define FP_NAN(f)              fp_nan(f)
#define FP_FMA_NAN(f, a, b, c) fp_fma_nan(h, f, a, b, c)
#define FP_READ_S(reg)         (FP_LIKELY(fp_holds_s(reg)) ? fp_low_s(reg) : fp_nan(SF_S))
#define FP_READ_H(reg)         fp_unbox(SF_H, *(reg))

#define RM          (i->rm)
#define FP_LIVE     (h->rm_live[RM])
#define FP_LIVE_H   (FP_LIVE && fp_host.f16c)
#define FP_LIVE_FMA (FP_LIVE && fp_host.fma)

/*
 * A single is written and read in two halves: so the value goes straight between memory and its xmm
 * register, and no wide load waits for two narrow stores.
 */
static inline void
fp_write_s(uint64_t *reg, uint64_t v)
{
    uint32_t *half = (uint32_t *)(void *)reg;
    half[0] = (uint32_t)v;
    half[1] = UINT32_MAX;
}

static inline bool
fp_holds_s(const uint64_t *reg)
{
    return ((const uint32_t *)(const void *)reg)[1] == UINT32_MAX;
}

static inline uint64_t
fp_low_s(const uint64_t *reg)
{
    return *(const uint32_t *)(const void *)reg;
}

#define F(r)      V(h->f[i->r])
#define FS(r)     V(FP_READ_S(&h->f[i->r]))
#define FH(r)     V(FP_READ_H(&h->f[i->r]))
#define WF(r, v)  (h->f[i->r] = U(v))
#define WFS(r, v) fp_write_s(&h->f[i->r], U(v))
#define WFH(r, v) (h->f[i->r] = fp_box(SF_H, U(v)))

#define FP_ARITH1(may, op, x, f, a)                                                                \
    V(FP_EITHER(may, FP_RESULT(x, fp_##op##_##x(U(a)), FP_NAN(f)),                                 \
                fp_slow1(h, sf_##op, f, rm_, U(a))))
#define FP_ARITH2(may, op, x, f, a, b)                                                             \
    V(FP_EITHER(may, FP_RESULT(x, fp_##op##_##x(U(a), U(b)), FP_NAN(f)),                           \
                fp_slow2(h, sf_##op, f, rm_, U(a), U(b))))
#define FP_HALF_1(op, a)                                                                           \
    V(FP_EITHER(FP_LIVE_H, fp_##op##_h(U(a)), fp_slow1(h, sf_##op, SF_H, rm_, U(a))))
#define FP_HALF_2(op, a, b)                                                                        \
    V(FP_EITHER(FP_LIVE_H, fp_##op##_h(U(a), U(b)), fp_slow2(h, sf_##op, SF_H, rm_, U(a), U(b))))
#define FP_FMA(x, f, a, b, c)                                                                      \
    V(FP_EITHER(FP_LIVE_FMA,                                                                       \
                FP_RESULT(x, fp_fma_##x(U(a), U(b), U(c)), FP_FMA_NAN(f, U(a), U(b), U(c))),       \
                fp_slow_fma(h, f, rm_, U(a), U(b), U(c))))
#define FP_CONVERT(may, to, from, fast, a)                                                         \
    V(FP_EITHER(may, fast, fp_slow_convert(h, to, from, rm_, U(a))))
/* To integers: the host truncates under any mode, and C's casts always ask for that. */
#define FP_TO_INT(may, f, n, fast, a)                                                              \
    V(FP_EITHER((RM == SF_RTZ || FP_LIVE) && (may), fast(U(a), RM == SF_RTZ),                      \
                fp_slow_int(h, sf_to_int, f, n, rm_, U(a))))
#define FP_FROM_INT(f, n, fast, v)                                                                 \
    V(FP_EITHER(FP_LIVE, fast(v), fp_slow_int(h, sf_from_int, f, n, rm_, v)))
#define FP_MIN_MAX(f, a, b, max, strict)                                                           \
    V(FP_EITHER(!fp_is_nan(f, U(a)) && !fp_is_nan(f, U(b)),                                        \
                fp_precedes(f, U(a), U(b)) != (max) ? U(a) : U(b),                                 \
                fp_slow_min_max(h, f, U(a), U(b), max, strict)))
/* What only softfp does. */
#define FP_SOFT(slow) V(FP_EITHER(false, 0, slow))

#define FADD_H(a, b)     FP_HALF_2(add, a, b)
#define FADD_S(a, b)     FP_ARITH2(FP_LIVE, add, s, SF_S, a, b)
#define FADD_D(a, b)     FP_ARITH2(FP_LIVE, add, d, SF_D, a, b)
#define FSUB_H(a, b)     FP_HALF_2(sub, a, b)
#define FSUB_S(a, b)     FP_ARITH2(FP_LIVE, sub, s, SF_S, a, b)
#define FSUB_D(a, b)     FP_ARITH2(FP_LIVE, sub, d, SF_D, a, b)
#define FMUL_H(a, b)     FP_HALF_2(mul, a, b)
#define FMUL_S(a, b)     FP_ARITH2(FP_LIVE, mul, s, SF_S, a, b)
#define FMUL_D(a, b)     FP_ARITH2(FP_LIVE, mul, d, SF_D, a, b)
#define FDIV_H(a, b)     FP_HALF_2(div, a, b)
#define FDIV_S(a, b)     FP_ARITH2(FP_LIVE, div, s, SF_S, a, b)
#define FDIV_D(a, b)     FP_ARITH2(FP_LIVE, div, d, SF_D, a, b)
#define FSQRT_H(a)       FP_HALF_1(sqrt, a)
#define FSQRT_S(a)       FP_ARITH1(FP_LIVE, sqrt, s, SF_S, a)
#define FSQRT_D(a)       FP_ARITH1(FP_LIVE, sqrt, d, SF_D, a)
#define FMADD_H(a, b, c) FP_SOFT(fp_slow_fma(h, SF_H, rm_, U(a), U(b), U(c)))
#define FMADD_S(a, b, c) FP_FMA(s, SF_S, a, b, c)
#define FMADD_D(a, b, c) FP_FMA(d, SF_D, a, b, c)

#define FCVT_S_H(a)                                                                                \
    FP_CONVERT(FP_LIVE_H, SF_S, SF_H, FP_RESULT(s, fp_s_of_h(U(a)), FP_NAN(SF_S)), a)
#define FCVT_D_H(a)                                                                                \
    FP_CONVERT(FP_LIVE_H, SF_D, SF_H, FP_RESULT(d, fp_d_of_h(U(a)), FP_NAN(SF_D)), a)
#define FCVT_H_S(a) FP_CONVERT(FP_LIVE_H, SF_H, SF_S, fp_h_of_s(U(a)), a)
#define FCVT_S_D(a) FP_CONVERT(FP_LIVE, SF_S, SF_D, FP_RESULT(s, fp_s_of_d(U(a)), FP_NAN(SF_S)), a)
#define FCVT_D_S(a) FP_CONVERT(FP_LIVE, SF_D, SF_S, FP_RESULT(d, fp_d_of_s(U(a)), FP_NAN(SF_D)), a)
#define FCVT_H_D(a) FP_SOFT(fp_slow_convert(h, SF_H, SF_D, rm_, U(a)))

#define FCVT_W_S(a)  FP_TO_INT(true, SF_S, SF_I32, fp_to_w_s, a)
#define FCVT_W_D(a)  FP_TO_INT(true, SF_D, SF_I32, fp_to_w_d, a)
#define FCVT_L_S(a)  FP_TO_INT(true, SF_S, SF_I64, fp_to_l_s, a)
#define FCVT_L_D(a)  FP_TO_INT(true, SF_D, SF_I64, fp_to_l_d, a)
#define FCVT_WU_S(a) FP_TO_INT(U(a) <= FP_U32_LAST_S, SF_S, SF_U32, fp_to_wu_s, a)
#define FCVT_WU_D(a) FP_TO_INT(U(a) <= FP_U32_LAST_D, SF_D, SF_U32, fp_to_wu_d, a)
#define FCVT_LU_S(a) FP_TO_INT(U(a) <= FP_U64_LAST_S, SF_S, SF_U64, fp_to_l_s, a)
#define FCVT_LU_D(a) FP_TO_INT(U(a) <= FP_U64_LAST_D, SF_D, SF_U64, fp_to_l_d, a)
#define FCVT_W_H(a)  FP_SOFT(fp_slow_int(h, sf_to_int, SF_H, SF_I32, rm_, U(a)))
#define FCVT_WU_H(a) FP_SOFT(fp_slow_int(h, sf_to_int, SF_H, SF_U32, rm_, U(a)))
#define FCVT_L_H(a)  FP_SOFT(fp_slow_int(h, sf_to_int, SF_H, SF_I64, rm_, U(a)))
#define FCVT_LU_H(a) FP_SOFT(fp_slow_int(h, sf_to_int, SF_H, SF_U64, rm_, U(a)))
#define FCVT_S_W(v)  FP_FROM_INT(SF_S, SF_I32, fp_from_w_s, U(v))
#define FCVT_S_WU(v) FP_FROM_INT(SF_S, SF_U32, fp_from_l_s, (uint32_t)U(v))
#define FCVT_S_L(v)  FP_FROM_INT(SF_S, SF_I64, fp_from_l_s, U(v))
#define FCVT_S_LU(v) FP_FROM_INT(SF_S, SF_U64, fp_from_lu_s, U(v))
#define FCVT_D_W(v)  FP_FROM_INT(SF_D, SF_I32, fp_from_w_d, U(v))
#define FCVT_D_WU(v) FP_FROM_INT(SF_D, SF_U32, fp_from_l_d, (uint32_t)U(v))
#define FCVT_D_L(v)  FP_FROM_INT(SF_D, SF_I64, fp_from_l_d, U(v))
#define FCVT_D_LU(v) FP_FROM_INT(SF_D, SF_U64, fp_from_lu_d, U(v))
#define FCVT_H_W(v)  FP_SOFT(fp_slow_int(h, sf_from_int, SF_H, SF_I32, rm_, U(v)))
#define FCVT_H_WU(v) FP_SOFT(fp_slow_int(h, sf_from_int, SF_H, SF_U32, rm_, U(v)))
#define FCVT_H_L(v)  FP_SOFT(fp_slow_int(h, sf_from_int, SF_H, SF_I64, rm_, U(v)))
#define FCVT_H_LU(v) FP_SOFT(fp_slow_int(h, sf_from_int, SF_H, SF_U64, rm_, U(v)))

#define FROUND_H(a)    FP_SOFT(fp_slow_round(h, SF_H, rm_, U(a), false))
#define FROUND_S(a)    FP_SOFT(fp_slow_round(h, SF_S, rm_, U(a), false))
#define FROUND_D(a)    FP_SOFT(fp_slow_round(h, SF_D, rm_, U(a), false))
#define FROUNDNX_H(a)  FP_SOFT(fp_slow_round(h, SF_H, rm_, U(a), true))
#define FROUNDNX_S(a)  FP_SOFT(fp_slow_round(h, SF_S, rm_, U(a), true))
#define FROUNDNX_D(a)  FP_SOFT(fp_slow_round(h, SF_D, rm_, U(a), true))
#define FCVTMOD_W_D(a) V(fp_mod_i32(h, U(a)))

#define FEQ_H(a, b)  V(fp_compare_h(h, FP_EQ, true, U(a), U(b)))
#define FLT_H(a, b)  V(fp_compare_h(h, FP_LT, false, U(a), U(b)))
#define FLE_H(a, b)  V(fp_compare_h(h, FP_LE, false, U(a), U(b)))
#define FLTQ_H(a, b) V(fp_compare_h(h, FP_LT, true, U(a), U(b)))
#define FLEQ_H(a, b) V(fp_compare_h(h, FP_LE, true, U(a), U(b)))
#define FEQ_S(a, b)  V(fp_eq_s(U(a), U(b)))
#define FLT_S(a, b)  V(fp_lt_s(U(a), U(b)))
#define FLE_S(a, b)  V(fp_le_s(U(a), U(b)))
#define FLTQ_S(a, b) V(fp_ltq_s(U(a), U(b)))
#define FLEQ_S(a, b) V(fp_leq_s(U(a), U(b)))
#define FEQ_D(a, b)  V(fp_eq_d(U(a), U(b)))
#define FLT_D(a, b)  V(fp_lt_d(U(a), U(b)))
#define FLE_D(a, b)  V(fp_le_d(U(a), U(b)))
#define FLTQ_D(a, b) V(fp_ltq_d(U(a), U(b)))
#define FLEQ_D(a, b) V(fp_leq_d(U(a), U(b)))

#define FMIN_H(a, b)  FP_MIN_MAX(SF_H, a, b, false, false)
#define FMIN_S(a, b)  FP_MIN_MAX(SF_S, a, b, false, false)
#define FMIN_D(a, b)  FP_MIN_MAX(SF_D, a, b, false, false)
#define FMAX_H(a, b)  FP_MIN_MAX(SF_H, a, b, true, false)
#define FMAX_S(a, b)  FP_MIN_MAX(SF_S, a, b, true, false)
#define FMAX_D(a, b)  FP_MIN_MAX(SF_D, a, b, true, false)
#define FMINM_H(a, b) FP_MIN_MAX(SF_H, a, b, false, true)
#define FMINM_S(a, b) FP_MIN_MAX(SF_S, a, b, false, true)
#define FMINM_D(a, b) FP_MIN_MAX(SF_D, a, b, false, true)
#define FMAXM_H(a, b) FP_MIN_MAX(SF_H, a, b, true, true)
#define FMAXM_S(a, b) FP_MIN_MAX(SF_S, a, b, true, true)
#define FMAXM_D(a, b) FP_MIN_MAX(SF_D, a, b, true, true)

#define FSGNJ_H(a, b)  V(fp_sgnj(SF_H, U(a), U(b)))
#define FSGNJ_S(a, b)  V(fp_sgnj(SF_S, U(a), U(b)))
#define FSGNJ_D(a, b)  V(fp_sgnj(SF_D, U(a), U(b)))
#define FSGNJN_H(a, b) V(fp_sgnjn(SF_H, U(a), U(b)))
#define FSGNJN_S(a, b) V(fp_sgnjn(SF_S, U(a), U(b)))
#define FSGNJN_D(a, b) V(fp_sgnjn(SF_D, U(a), U(b)))
#define FSGNJX_H(a, b) V(fp_sgnjx(SF_H, U(a), U(b)))
#define FSGNJX_S(a, b) V(fp_sgnjx(SF_S, U(a), U(b)))
#define FSGNJX_D(a, b) V(fp_sgnjx(SF_D, U(a), U(b)))
#define FNEG_H(a)      V(fp_neg(SF_H, U(a)))
#define FNEG_S(a)      V(fp_neg(SF_S, U(a)))
#define FNEG_D(a)      V(fp_neg(SF_D, U(a)))
#define FCLASS_H(a)    V(fp_class(SF_H, U(a)))
#define FCLASS_S(a)    V(fp_class(SF_S, U(a)))
#define FCLASS_D(a)    V(fp_class(SF_D, U(a)))
#define FLI_H(k)       V(fp_li(SF_H, (unsigned)U(k)))
#define FLI_S(k)       V(fp_li(SF_S, (unsigned)U(k)))
#define FLI_D(k)       V(fp_li(SF_D, (unsigned)U(k)))

#endif
