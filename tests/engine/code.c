/*
 * code.c - the engine contract, on each of the four: exits, faults, and code that changes
 *
 * Guest memory is a few pages at a guest base of our own; programs are words assembled by hand.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>

#include <cmocka.h>

#include "engine/engine_impl.h"

#define BASE UINT64_C(0x200000000000)
#define TEXT UINT64_C(0x10000) /* two pages, executable */
#define DATA UINT64_C(0x20000) /* one page, then nothing */
#define PAGE 4096

#define ADDI(rd, rs1, imm) (0x13u | (rd) << 7 | (rs1) << 15 | (uint32_t)(imm) << 20)
#define BNE_BACK4(rs1, rs2) (0xfe001ee3u | (rs1) << 15 | (rs2) << 20) /* bne rs1, rs2, .-4 */
#define LD(rd, rs1, imm) (0x3003u | (rd) << 7 | (rs1) << 15 | (uint32_t)(imm) << 20)
#define JALR(rd, rs1) (0x67u | (rd) << 7 | (rs1) << 15)
#define JAL_SELF 0x6fu
#define ECALL 0x73u
#define FENCE_I 0x100fu
#define C_NOP 0x0001u
#define ALL_EXTS (~UINT64_C(0) >> (64 - EXT_COUNT))

static struct hart hart;
static struct engine *engine;

static void
on_fault(int sig, siginfo_t *si, void *uc)
{
    engine_fault(&hart, sig, si->si_code, (uint64_t)(uintptr_t)si->si_addr, false, uc);
    abort();
}

static uint32_t *
text(void)
{
    return (uint32_t *)(BASE + TEXT);
}

static void
start(enum engine_kind kind, struct engine_tuning tuning)
{
    const struct engine_config cfg = {.kind = kind, .guest_base = BASE, .tuning = tuning};
    const struct sigaction sa = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO | SA_NODEFER};
    struct err e;
    assert_int_equal(sigaction(SIGSEGV, &sa, NULL), 0);
    engine = engine_new(&cfg, &e);
    assert_non_null(engine);
    assert_ptr_not_equal(mmap((void *)(BASE + TEXT), 2 * PAGE, PROT_READ | PROT_WRITE,
                              MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0),
                         MAP_FAILED);
    assert_ptr_not_equal(mmap((void *)(BASE + DATA), PAGE, PROT_READ | PROT_WRITE,
                              MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0),
                         MAP_FAILED);
    assert_int_equal(engine_code_map(engine, TEXT, TEXT + 2 * PAGE, true), 0);
    hart_init(&hart, ALL_EXTS);
    hart.pc = TEXT;
}

static struct engine_exit
go(int64_t budget)
{
    return engine_run(engine, &hart, budget);
}

static void
test_exits(void)
{
    const uint32_t prog[] = {ADDI(5, 0, 100), ADDI(6, 6, 1), BNE_BACK4(6, 5), ECALL};
    memcpy(text(), prog, sizeof prog);
    assert_int_equal(go(INT64_MAX).kind, EXIT_ECALL);
    assert_int_equal(hart.pc, TEXT + 12);
    assert_int_equal(hart.x[6], 100);

    text()[4] = JAL_SELF;
    hart.pc = TEXT + 16;
    assert_int_equal(go(1000).kind, EXIT_BUDGET);
    assert_int_equal(hart.pc, TEXT + 16);
    hart.attention = 1;
    assert_int_equal(go(INT64_MAX).kind, EXIT_ATTENTION);
    hart.attention = 0;
}

static void
test_faults(void)
{
    /* a load beyond the mapping: the pc is the load's, what ran before it has happened */
    const uint32_t load[] = {ADDI(7, 0, 1), LD(8, 9, 8), ECALL};
    memcpy(text() + 16, load, sizeof load);
    hart.pc = TEXT + 64;
    hart.x[9] = DATA + PAGE;
    struct engine_exit ex = go(INT64_MAX);
    assert_int_equal(ex.kind, EXIT_FAULT);
    assert_int_equal(ex.addr, DATA + PAGE + 8);
    assert_int_equal(ex.host_sig, SIGSEGV);
    assert_int_equal(hart.pc, TEXT + 68);
    assert_int_equal(hart.x[7], 1);

    /* wild pointers: beyond the guest's top, and not canonical */
    const uint64_t wild[] = {GUEST_TOP, UINT64_C(1) << 47, UINT64_C(0x7fffffffffff0000), ~UINT64_C(7)};
    for (unsigned k = 0; k < 4; k++) {
        hart.pc = TEXT + 68;
        hart.x[9] = wild[k];
        ex = go(INT64_MAX);
        assert_int_equal(ex.kind, EXIT_FAULT);
        assert_int_equal(ex.addr, wild[k] + 8);
        assert_int_equal(hart.pc, TEXT + 68);
    }

    /* jumps to nowhere: data, beyond the top, below 0 by a branch */
    text()[32] = JALR(0, 9);
    const uint64_t nowhere[] = {DATA, GUEST_TOP + 2, UINT64_C(0xffffffff80000000), 0};
    for (unsigned k = 0; k < 4; k++) {
        hart.pc = TEXT + 128;
        hart.x[9] = nowhere[k];
        ex = go(INT64_MAX);
        assert_int_equal(ex.kind, EXIT_FETCH);
        assert_int_equal(ex.addr, nowhere[k]);
        assert_int_equal(hart.pc, nowhere[k]);
    }

    /* an instruction whose second half is not executable */
    uint16_t *last = (uint16_t *)(BASE + TEXT + 2 * PAGE) - 1;
    *last = 0x0013;
    hart.pc = TEXT + 2 * PAGE - 2;
    ex = go(INT64_MAX);
    assert_int_equal(ex.kind, EXIT_FETCH);
    assert_int_equal(ex.addr, TEXT + 2 * PAGE);
    assert_int_equal(hart.pc, TEXT + 2 * PAGE - 2);

    text()[40] = 0;
    hart.pc = TEXT + 160;
    assert_int_equal(go(INT64_MAX).kind, EXIT_ILLEGAL);
    assert_int_equal(hart.pc, TEXT + 160);
}

static void
test_code_changes(void)
{
    uint32_t *t = text() + 64;
    const uint64_t pc = TEXT + 256;
    const uint32_t prog[] = {ADDI(5, 0, 1), ADDI(6, 0, 1), ADDI(7, 0, 1), ECALL};
    memcpy(t, prog, sizeof prog);
    hart.pc = pc;
    assert_int_equal(go(INT64_MAX).kind, EXIT_ECALL);

    /* the second of what may be a fused pair changes, told by its range */
    t[1] = ADDI(6, 0, 2);
    engine_code_invalidate(engine, pc + 4, pc + 8);
    hart.pc = pc;
    assert_int_equal(go(INT64_MAX).kind, EXIT_ECALL);
    assert_int_equal(hart.x[6], 2);

    /* fence.i: everything writable */
    t[2] = ADDI(7, 0, 3);
    t[3] = FENCE_I;
    t[4] = ECALL;
    engine_code_sync(engine);
    hart.pc = pc;
    assert_int_equal(go(INT64_MAX).kind, EXIT_FENCE_I);
    assert_int_equal(hart.pc, pc + 16);
    assert_int_equal(hart.x[7], 3);

    /* while another hart runs, a changed instruction is executed all the same, and exactly */
    t[1] = ADDI(6, 0, 9);
    t[3] = ECALL;
    engine_code_invalidate(engine, pc, pc + 16);
    atomic_fetch_add(&engine->running, 1);
    for (unsigned k = 0; k < 3; k++) {
        hart.pc = pc;
        hart.x[6] = 0;
        assert_int_equal(go(INT64_MAX).kind, EXIT_ECALL);
        assert_int_equal(hart.pc, pc + 12);
        assert_int_equal(hart.x[6], 9);
    }
    atomic_fetch_sub(&engine->running, 1);
    hart.pc = pc;
    assert_int_equal(go(INT64_MAX).kind, EXIT_ECALL);
    assert_int_equal(hart.x[6], 9);

    /* a page that is no longer executable, then is again with other bytes, 2 by 2 */
    engine_code_unmap(engine, TEXT, TEXT + PAGE);
    hart.pc = pc;
    assert_int_equal(go(INT64_MAX).kind, EXIT_FETCH);
    assert_int_equal(engine_code_map(engine, TEXT, TEXT + PAGE, false), 0);
    t[0] = C_NOP << 16 | C_NOP;
    hart.pc = pc + 2;
    hart.x[5] = 77;
    assert_int_equal(go(INT64_MAX).kind, EXIT_ECALL);
    assert_int_equal(hart.x[5], 77);
    assert_int_equal(engine_code_map(engine, TEXT, TEXT + PAGE, true), 0);
}

static void
contract(void **state)
{
    start((enum engine_kind)(uintptr_t)*state, (struct engine_tuning){0});
    test_exits();
    test_faults();
    test_code_changes();
    engine_free(engine);
}

/* Translated code that checks addresses: one of the monitor's own is a fault, whichever way it is made. */
static void
wild_pointers(void **state)
{
    (void)state;
    static uint64_t own = 77;
    const uint64_t at = (uint64_t)(uintptr_t)&own - BASE;
    start(ENGINE_ADAPTIVE, (struct engine_tuning){.hot1 = 1, .hot2 = 2, .opts_off = engine_opt_by_name("trust", 5)});
    const uint32_t prog[] = {LD(8, 9, 0), ADDI(10, 9, 64), LD(8, 10, 8), ADDI(10, 10, 64), LD(8, 10, -128), ECALL};
    memcpy(text(), prog, sizeof prog);
    for (unsigned k = 0; k < 10; k++) {
        hart.pc = TEXT;
        hart.x[9] = DATA;
        assert_int_equal(go(INT64_MAX).kind, EXIT_ECALL);
    }
    hart.pc = TEXT;
    hart.x[9] = at;
    const struct engine_exit ex = go(INT64_MAX);
    assert_int_equal(ex.kind, EXIT_FAULT);
    assert_int_equal(ex.addr, at);
    assert_int_equal(hart.pc, TEXT);
    assert_int_not_equal(hart.x[8], own);
    engine_hart_release(engine, &hart);
    engine_free(engine);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        {"switch", contract, NULL, NULL, (void *)ENGINE_SWITCH},
        {"indirect", contract, NULL, NULL, (void *)ENGINE_INDIRECT},
        {"predecoded", contract, NULL, NULL, (void *)ENGINE_PREDECODED},
        {"threaded", contract, NULL, NULL, (void *)ENGINE_THREADED},
        cmocka_unit_test(wild_pointers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
