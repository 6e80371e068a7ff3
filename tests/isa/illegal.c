/*
 * illegal.c - what must not execute: each interpreter stops at it, with nothing changed
 *
 * A dynamic rounding mode while frm holds 5, 6 or 7 (Unprivileged ISA, "F", fcsr), every privileged row, every row whose
 * extension is off. And what a fault must keep: flags raised before it. And what vec.c has no reference for: amocas with x0.
 */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>

#include <cmocka.h>

#include "engine/engine.h"
#include "isa/softfp.h"

#define TEXT UINT64_C(0x01000000)
#define PAGE UINT64_C(4096)
#define EBREAK 0x00100073u

static struct hart hart;

static void
on_fault(int sig, siginfo_t *si, void *uc)
{
    ucontext_t *u = uc;
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, sig);
    sigprocmask(SIG_UNBLOCK, &set, NULL);
    engine_fault(&hart, sig, si->si_code, (uint64_t)(uintptr_t)si->si_addr, false, u);
    signal(sig, SIG_DFL);
}

/* Run these words on a hart that has `exts`. */
static struct engine_exit
run(struct engine *en, const uint32_t *words, size_t n, ext_set exts, unsigned fcsr)
{
    uint8_t *text = (uint8_t *)(uintptr_t)TEXT;
    size_t at = 0;
    for (size_t k = 0; k < n; k++) {
        memcpy(text + at, &words[k], 4);
        at += insn_len(words[k]);
    }
    memcpy(text + at, &(uint32_t){EBREAK}, 4);
    engine_code_invalidate(en, TEXT, TEXT + PAGE);
    hart_init(&hart, exts);
    hart_set_fcsr(&hart, fcsr);
    for (unsigned r = 0; r < 32; r++) {
        hart.x[r] = r == 0 ? 0 : TEXT + 2048;
        hart.f[r] = UINT64_C(0xffffffff3f800000) + r;
    }
    hart.pc = TEXT;
    return engine_run(en, &hart, 100);
}

static void
expect_illegal(struct engine *en, uint32_t word, ext_set exts, unsigned fcsr, const char *name)
{
    const struct engine_exit ex = run(en, &word, 1, exts, fcsr);
    if (ex.kind != EXIT_ILLEGAL || hart.pc != TEXT || hart_fcsr(&hart) != fcsr) {
        fail_msg("%s %08x: exit %d at +%d, not an illegal instruction", name, word, (int)ex.kind, (int)(hart.pc - TEXT));
    }
    for (unsigned r = 0; r < 32; r++) {
        assert_true(hart.x[r] == (r == 0 ? 0 : TEXT + 2048));
        assert_true(hart.f[r] == UINT64_C(0xffffffff3f800000) + r);
    }
}

static bool
has_rm(const struct insn_row *r)
{
    return r->fmt == FMT_F4 || r->fmt == FMT_F3 || r->fmt == FMT_F2 || r->fmt == FMT_FXR || r->fmt == FMT_XFR;
}

static void
check_rows(struct engine *en)
{
    const ext_set all = isa_ext_close(~UINT64_C(0));
    for (size_t k = 0; k < isa_row_count; k++) {
        const struct insn_row *r = &isa_rows[k];
        if (has_rm(r)) {
            for (unsigned frm = 5; frm < 8; frm++) {
                expect_illegal(en, r->match | 7 << 12, all, frm << 5 | SF_DZ, r->name);
            }
            expect_illegal(en, r->match | 5 << 12, all, 0, r->name);
            expect_illegal(en, r->match | 6 << 12, all, 0, r->name);
        }
        if (r->cls == CLASS_PRIVILEGED && r->op != OP_ecall && r->op != OP_ebreak) {
            expect_illegal(en, r->match, all, 0, r->name);
        }
        /* 16-bit words need operands to mean something at all; the decoder's test has them. */
        if (r->len == 4 && r->ext != EXT_I && isa_find_row(r->match) == r) {
            for (unsigned e = EXT_I + 1; e < EXT_COUNT; e++) {
                const ext_set without = all & ~(UINT64_C(1) << e);
                struct insn in;
                isa_decode(r->match, without, &in);
                if (!isa_ext_enabled(r->ext, without) && in.op == OP_ILLEGAL) {
                    expect_illegal(en, r->match, without, 0, r->name);
                }
            }
        }
    }
}

/* fdiv.s raises NX; then a load faults: the flag is there, although the kernel gave the handler a fresh MXCSR. */
static void
check_flags_after_fault(struct engine *en)
{
    const uint32_t words[] = {
        0x182081d3, /* fdiv.s f3, f1, f2, rne */
        0x20000237, /* lui x4, 0x20000 */
        0x00023083, /* ld x1, 0(x4): nothing is there */
    };
    const struct engine_exit ex = run(en, words, 3, isa_ext_close(~UINT64_C(0)), SF_DZ);
    assert_int_equal(ex.kind, EXIT_FAULT);
    assert_true(hart.pc == TEXT + 8);
    assert_int_equal(hart.fflags, SF_DZ | SF_NX);
}

/* x0 compares as 0 and stays 0; as the first of amocas.q's pair, all of the pair is 0 (Zacas). */
static void
check_amocas_x0(struct engine *en)
{
    static const struct {
        uint32_t word;
        unsigned bytes;
    } t[] = {
        {0x2853002f, 1}, /* amocas.b x0, x5, (x6) */
        {0x2853102f, 2},
        {0x2853202f, 4},
        {0x2853302f, 8},
        {0x2843402f, 16}, /* amocas.q x0, x4, (x6) */
    };
    uint64_t *const m = (uint64_t *)(uintptr_t)(TEXT + 2048);
    for (size_t k = 0; k < sizeof t / sizeof t[0]; k++) {
        for (uint64_t before = 0; before < 2; before++) {
            uint64_t want[2] = {before, 0};
            const uint64_t swapped[2] = {TEXT + 2048, TEXT + 2048};
            if (before == 0) {
                memcpy(want, swapped, t[k].bytes);
            }
            m[0] = before, m[1] = 0;
            assert_int_equal(run(en, &t[k].word, 1, isa_ext_close(~UINT64_C(0)), 0).kind, EXIT_EBREAK);
            assert_true(m[0] == want[0] && m[1] == want[1]);
            assert_true(hart.x[0] == 0 && hart.x[1] == TEXT + 2048);
        }
    }
}

static void
check(void **state)
{
    const enum engine_kind kind = *(const enum engine_kind *)*state;
    const struct sigaction sa = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO};
    struct err e = {0};
    sigaction(SIGSEGV, &sa, NULL); /* cmocka has its own between tests */
    struct engine *en = engine_new(&(struct engine_config){.kind = kind}, &e);
    assert_non_null(en);
    assert_int_equal(engine_code_map(en, TEXT, TEXT + PAGE, true), 0);
    check_rows(en);
    check_flags_after_fault(en);
    check_amocas_x0(en);
    engine_free(en);
}

int
main(void)
{
    static enum engine_kind kinds[] = {ENGINE_SWITCH, ENGINE_INDIRECT, ENGINE_PREDECODED, ENGINE_THREADED};
    struct CMUnitTest tests[4];
    for (unsigned k = 0; k < 4; k++) {
        tests[k] = (struct CMUnitTest){engine_kind_name(kinds[k]), check, NULL, NULL, &kinds[k]};
    }
    if (mmap((void *)(uintptr_t)TEXT, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0) ==
        MAP_FAILED) {
        return 1;
    }
    return cmocka_run_group_tests_name("isa/illegal", tests, NULL, NULL);
}
