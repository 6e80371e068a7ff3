/*
 * fp.c - the host's floating-point unit and softfp.c agree, bit for bit and flag for flag
 *
 * Every word of the vocabulary has both: the fast path when the rounding mode is MXCSR's, softfp otherwise. So each is run twice
 * on the same operands, once with rm_live as it is and once with rm_live cleared, in the four modes that the host has. Half
 * of the operands are near the edges of the format. DOPPEL_FP_ROUNDS: how many operands a word and mode (default 60,000).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define V(u)         ((uint64_t)(u))
#define U(v)         ((uint64_t)(v))
#define FP_ILLEGAL() abort()
#include "engine/fp_ops.h"

static uint64_t rng_state = 0x9e3779b97f4a7c15;

static uint64_t
rng(void)
{
    rng_state ^= rng_state << 13;
    rng_state ^= rng_state >> 7;
    rng_state ^= rng_state << 17;
    return rng_state * UINT64_C(0x2545f4914f6cdd1d);
}

/* A number of the format, or an integer when f is negative: anything, or something near an edge. */
static uint64_t
operand(int f)
{
    const uint64_t r = rng(), any = rng();
    if (f < 0) {
        const unsigned width = r >> 8 & 63;
        const uint64_t edge = (UINT64_C(1) << width) + (any & 7) - 4;
        return r & 1 ? any >> width : r & 2 ? edge : -edge;
    }
    const unsigned exp_bits = f == SF_H ? 5 : f == SF_S ? 8 : 11;
    const unsigned frac_bits = f == SF_H ? 10 : f == SF_S ? 23 : 52;
    const uint64_t all = fp_sign((enum sf_fmt)f) * 2 - 1, frac_mask = (UINT64_C(1) << frac_bits) - 1;
    if (r & 1) {
        return any & all;
    }
    const uint64_t top = (UINT64_C(1) << exp_bits) - 1, bias = top / 2;
    const uint64_t exps[] = {0, 0, 1, 2, top, top, top - 1, bias, bias + 1, bias - 1, bias + frac_bits, bias + 31, bias + 32,
                             bias + 63, bias + 64, bias + (any >> 60) - 8};
    const uint64_t fracs[] = {0, 0, 1, frac_mask, frac_mask - 1, frac_mask / 2, frac_mask / 2 + 1, any & frac_mask,
                              frac_mask & (any & 15), frac_mask ^ (any & 15), UINT64_C(1) << (any % frac_bits),
                              frac_mask << (any % frac_bits) & frac_mask, any & frac_mask, frac_mask & ~UINT64_C(0xff),
                              frac_mask & ~(UINT64_C(0x1fffffff)), any & frac_mask};
    const uint64_t exp = exps[r >> 4 & 15] & top;
    return ((r >> 1 & 1) << (exp_bits + frac_bits)) | exp << frac_bits | fracs[r >> 8 & 15];
}

struct result {
    uint64_t value;
    uint8_t flags;
};

typedef uint64_t word_fn(struct hart *h, const struct insn *i, uint64_t a, uint64_t b, uint64_t c);

static struct result
run(word_fn *fn, unsigned frm, unsigned rm, bool fast, uint64_t a, uint64_t b, uint64_t c)
{
    const struct insn i = {.rm = (uint8_t)rm};
    struct hart h = {.frm = (uint8_t)frm};
    struct result r;
    fp_enter(&h);
    if (!fast) {
        memset(h.rm_live, 0, sizeof h.rm_live);
    }
    r.value = fn(&h, &i, a, b, c);
    fp_leave(&h);
    r.flags = h.fflags;
    return r;
}

static unsigned long
rounds(void)
{
    const char *s = getenv("DOPPEL_FP_ROUNDS");
    return s ? strtoul(s, NULL, 0) : 60000;
}

/* fmt: the operands' format; soft: the reference, NULL for the word's own slow path. */
struct word {
    const char *name;
    int fmt;
    word_fn *fn, *soft;
};

static void
check_word(const struct word *w)
{
    for (unsigned long n = rounds(); n > 0; n--) {
        uint64_t a = operand(w->fmt), b = operand(w->fmt), c = operand(w->fmt);
        if ((rng() & 3) == 0) { /* nearly cancel */
            c = b = a ^ (rng() & 3);
        }
        for (unsigned rm = SF_RNE; rm <= SF_RUP; rm++) {
            const struct result x = run(w->fn, rm, rng() & 1 ? SF_DYN : rm, true, a, b, c);
            const struct result y = run(w->soft ? w->soft : w->fn, rm, rm, false, a, b, c);
            if (x.value != y.value || x.flags != y.flags) {
                fail_msg("%s(%#llx, %#llx, %#llx) rm %u: host %#llx flags %#x, softfp %#llx flags %#x", w->name,
                         (unsigned long long)a, (unsigned long long)b, (unsigned long long)c, rm,
                         (unsigned long long)x.value, x.flags, (unsigned long long)y.value, y.flags);
            }
        }
    }
}

#define WORD(name, args)                                                                           \
    static uint64_t do_##name(struct hart *h, const struct insn *i, uint64_t a, uint64_t b, uint64_t c) \
    {                                                                                              \
        (void)h, (void)i, (void)a, (void)b, (void)c;                                               \
        return name args;                                                                          \
    }
#define COMPARE(name, x, rel, quiet)                                                               \
    WORD(F##name##_##x, (a, b))                                                                    \
    static uint64_t soft_##name##_##x(struct hart *h, const struct insn *i, uint64_t a, uint64_t b, uint64_t c) \
    {                                                                                              \
        (void)i, (void)c;                                                                          \
        return fp_compare(SF_##x, rel, quiet, a, b, &h->fflags);                                   \
    }
#define FOR_FORMATS(M) M(H) M(S) M(D)
#define FOR_INTS(M, x) M(x, W) M(x, WU) M(x, L) M(x, LU)

#define DEFINE_INT(x, n)                                                                           \
    WORD(FCVT_##x##_##n, (a))                                                                      \
    WORD(FCVT_##n##_##x, (a))
#define DEFINE(x)                                                                                  \
    WORD(FADD_##x, (a, b))                                                                         \
    WORD(FSUB_##x, (a, b))                                                                         \
    WORD(FMUL_##x, (a, b))                                                                         \
    WORD(FDIV_##x, (a, b))                                                                         \
    WORD(FSQRT_##x, (a))                                                                           \
    WORD(FMADD_##x, (a, b, c))                                                                     \
    FOR_INTS(DEFINE_INT, x)                                                                        \
    COMPARE(EQ, x, FP_EQ, true)                                                                    \
    COMPARE(LT, x, FP_LT, false)                                                                   \
    COMPARE(LE, x, FP_LE, false)                                                                   \
    COMPARE(LTQ, x, FP_LT, true)                                                                   \
    COMPARE(LEQ, x, FP_LE, true)
FOR_FORMATS(DEFINE)
WORD(FCVT_S_H, (a))
WORD(FCVT_D_H, (a))
WORD(FCVT_H_S, (a))
WORD(FCVT_H_D, (a))
WORD(FCVT_S_D, (a))
WORD(FCVT_D_S, (a))

#define ROW(name, fmt) {#name, fmt, do_##name, NULL}
#define ROW_INT(x, n) ROW(FCVT_##x##_##n, -1), ROW(FCVT_##n##_##x, SF_##x),
#define ROW_COMPARE(name, x) {"F" #name "_" #x, SF_##x, do_F##name##_##x, soft_##name##_##x}
#define ROWS(x)                                                                                    \
    ROW(FADD_##x, SF_##x), ROW(FSUB_##x, SF_##x), ROW(FMUL_##x, SF_##x), ROW(FDIV_##x, SF_##x),    \
        ROW(FSQRT_##x, SF_##x), ROW(FMADD_##x, SF_##x), FOR_INTS(ROW_INT, x) ROW_COMPARE(EQ, x),   \
        ROW_COMPARE(LT, x), ROW_COMPARE(LE, x), ROW_COMPARE(LTQ, x), ROW_COMPARE(LEQ, x),
static const struct word words[] = {FOR_FORMATS(ROWS) ROW(FCVT_S_H, SF_H), ROW(FCVT_D_H, SF_H), ROW(FCVT_H_S, SF_S),
                                    ROW(FCVT_H_D, SF_D), ROW(FCVT_S_D, SF_D), ROW(FCVT_D_S, SF_S)};

static void
check_host(void **state)
{
    (void)state;
    fp_host_probe(false);
    for (size_t k = 0; k < sizeof words / sizeof words[0]; k++) {
        check_word(&words[k]);
    }
}

/* A host with SSE2 only. */
static void
check_baseline(void **state)
{
    (void)state;
    fp_host_probe(true);
    for (size_t k = 0; k < sizeof words / sizeof words[0]; k++) {
        check_word(&words[k]);
    }
}

/* Every half value, through each operation with one operand. */
static void
check_all_halves(void **state)
{
    (void)state;
    fp_host_probe(false);
    for (size_t k = 0; k < sizeof words / sizeof words[0]; k++) {
        const struct word *w = &words[k];
        for (uint64_t a = 0; w->fmt == SF_H && a < 0x10000; a++) {
            const struct result x = run(w->fn, SF_RUP, SF_DYN, true, a, 0x3c01, 1);
            const struct result y = run(w->soft ? w->soft : w->fn, SF_RUP, SF_RUP, false, a, 0x3c01, 1);
            assert_true(x.value == y.value && x.flags == y.flags);
        }
    }
}

/* Ties go away from zero in the mode that the host does not have (Unprivileged ISA, "F", RMM). */
static void
check_rmm(void **state)
{
    static const struct {
        uint64_t a;
        int64_t l;
    } t[] = {{0x3fe0000000000000, 1}, {0xbfe0000000000000, -1}, {0x4004000000000000, 3}, {0xc004000000000000, -3},
             {0x3fdfffffffffffff, 0}, {0x4004000000000001, 3}, {0x4003ffffffffffff, 2}};
    (void)state;
    for (size_t k = 0; k < sizeof t / sizeof t[0]; k++) {
        const struct result x = run(do_FCVT_L_D, SF_RMM, SF_DYN, true, t[k].a, 0, 0);
        assert_int_equal((int64_t)x.value, t[k].l);
        assert_int_equal(x.flags, SF_NX);
    }
    /* 1 + 2^-53 is half-way: even below, away above */
    assert_true(run(do_FADD_D, SF_RMM, SF_DYN, true, 0x3ff0000000000000, 0x3ca0000000000000, 0).value == 0x3ff0000000000001);
    assert_true(run(do_FADD_D, SF_RMM, SF_RNE, true, 0x3ff0000000000000, 0x3ca0000000000000, 0).value == 0x3ff0000000000000);
}

/* fcsr, while the guest runs and across runs. */
static void
check_fcsr(void **state)
{
    (void)state;
    const uint32_t before = fp_mxcsr_read();
    struct hart h = {.fflags = SF_DZ};
    fp_enter(&h);
    fp_add_d(0x3ff0000000000000, 1); /* inexact */
    assert_int_equal(fp_flags_read(&h), SF_DZ | SF_NX);
    fp_set_frm(&h, SF_RUP);
    assert_int_equal(fp_flags_read(&h), SF_DZ | SF_NX);
    assert_true(fp_of_d(fp_add_d(0x3ff0000000000000, 1).v) == 0x3ff0000000000001);
    fp_flags_write(&h, SF_OF);
    assert_int_equal(fp_flags_read(&h), SF_OF);
    fp_set_frm(&h, 6);
    assert_true(!h.rm_live[SF_DYN] && h.rm_live[SF_RNE]);
    fp_leave(&h);
    assert_int_equal(h.fflags, SF_OF);
    assert_int_equal(h.frm, 6);
    assert_int_equal(fp_mxcsr_read(), before);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(check_host),       cmocka_unit_test(check_baseline), cmocka_unit_test(check_all_halves),
        cmocka_unit_test(check_rmm),        cmocka_unit_test(check_fcsr),
    };
    return cmocka_run_group_tests_name("engine/fp", tests, NULL, NULL);
}
