/*
 * priv.c - privileged CSRs: what each keeps of what is written (WARL), who may access it, and what traps do
 */
#include "isa/priv.h"

#include "base/check.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static uint64_t now, timer_due;
static unsigned wakes;

static uint64_t
mtime(void *arg)
{
    (void)arg;
    return now;
}

static void
timer(void *arg, struct hart *h, uint64_t when)
{
    (void)arg, (void)h;
    timer_due = when;
}

static void
wake(void *arg, struct hart *h)
{
    (void)arg, (void)h;
    wakes++;
}

static const struct priv_env env = {.mtime = mtime, .timer = timer, .wake = wake};
static struct hart h;
static struct priv p;

#define ONES UINT64_MAX
static const ext_set machine = ISA_USER | EXT_BIT(PRIV) | EXT_BIT(SSTC) | EXT_BIT(SVADU) | EXT_BIT(SVPBMT) | EXT_BIT(SMSTATEEN) |
                               EXT_BIT(SSCOFPMF) | EXT_BIT(SVINVAL);

static void
reset(void)
{
    hart_init(&h, machine);
    priv_reset(&p, &h, &env, 5, 0);
    now = 0;
}

static uint64_t
get(unsigned csr)
{
    uint64_t v = 0xdead;
    assert_false(priv_csr(&p, csr, PRIV_SET, 0, false, &v) & PRIV_ILLEGAL);
    return v;
}

static unsigned
put(unsigned csr, uint64_t v)
{
    uint64_t old;
    return priv_csr(&p, csr, PRIV_WRITE, v, true, &old);
}

/* After reset: written, and what is read then. */
static void
warl(void **state)
{
    static const struct {
        const char *name;
        uint64_t write, read;
    } rows[] = {
        {"mstatus", 0, 0xa00000000},
        {"mstatus", ONES, 0x8000000a007e79aa},
        {"mstatus", 0x1000, 0xa00000000}, /* MPP 2 */
        {"mstatus", 0x2000, 0xa00002000},
        {"sstatus", ONES, 0x80000002000c6122},
        {"misa", 0, 0x800000000014112f},
        {"medeleg", ONES, 0xb3ff},
        {"mideleg", ONES, 0x2222},
        {"mie", ONES, 0x2aaa},
        {"sie", ONES, 0}, /* nothing is delegated */
        {"mip", ONES, 0x2222},
        {"sip", ONES, 0},
        {"mtvec", 0x80000001, 0x80000001},
        {"mtvec", 0x80000002, 0},
        {"stvec", ONES, 0},
        {"mepc", ONES, ONES - 1},
        {"sepc", ONES, ONES - 1},
        {"mcause", ONES, ONES},
        {"mcounteren", ONES, 0xffffffff},
        {"scounteren", ONES, 0xffffffff},
        {"mcountinhibit", ONES, 5},
        {"menvcfg", ONES, 0xe0000000000000f1},
        {"menvcfg", 0x20, 0}, /* CBIE 2 */
        {"senvcfg", ONES, 0xf1},
        {"mstateen0", ONES, 0xc000000000000000},
        {"mstateen2", ONES, 0x8000000000000000},
        {"sstateen0", ONES, 0},
        {"satp", (uint64_t)SATP_SV39 << 60 | 0xfffffffffffffff, (uint64_t)SATP_SV39 << 60 | 0xfffffffffffffff},
        {"satp", (uint64_t)SATP_SV48 << 60 | 1, 0},
        {"satp", 5, 5},
        {"pmpcfg0", 0x7f9b, 0x1f9b},
        {"pmpcfg0", 0x02, 0},
        {"pmpcfg2", ONES, 0x9f9f9f9f9f9f9f9f},
        {"pmpaddr3", ONES, 0x3fffffffffffff},
        {"mhpmcounter3", ONES, 0},
        {"mhpmevent31", ONES, 0},
        {"stimecmp", 77, 77},
    };
    (void)state;
    for (size_t k = 0; k < ARRAY_LEN(rows); k++) {
        reset();
        const struct csr_row *r = isa_find_csr_name(rows[k].name);
        assert_non_null(r);
        put(r->number, rows[k].write);
        if (get(r->number) != rows[k].read) {
            fail_msg("%s: %#llx reads %#llx, not %#llx", rows[k].name, (unsigned long long)rows[k].write,
                     (unsigned long long)get(r->number), (unsigned long long)rows[k].read);
        }
    }
}

/* Each number, in each mode: illegal exactly where its level says so, it is of RV32, or the hart lacks its extension. */
static void
rights(void **state)
{
    (void)state;
    for (unsigned mode = 0; mode <= PRIV_M; mode++) {
        for (unsigned csr = 0; mode != 2 && csr < 4096; csr++) {
            reset();
            p.mode = (uint8_t)mode;
            p.mcounteren = p.scounteren = p.menvcfg = p.mstateen[0] = p.mstateen[1] = p.mstateen[2] = p.mstateen[3] = ONES;
            const struct csr_row *r = isa_find_csr(csr);
            uint64_t v;
            bool expect = r != NULL && isa_csr_level(csr) <= mode && isa_ext_enabled(r->ext, machine) && csr > 3;
            expect &= !(csr >= 0x3a4 && csr <= 0x3af) && !(csr >= 0x3c0 && csr <= 0x3ef); /* 16 PMP entries */
            expect &= csr != 0x747 && isa_csr_level(csr) != 2; /* no Smepmp, no H */
            const unsigned e = priv_csr(&p, csr, PRIV_SET, 0, false, &v);
            if (((e & PRIV_ILLEGAL) == 0) != expect) {
                fail_msg("%s (%#x) in mode %u", r ? r->name : "?", csr, mode);
            }
            if (expect && isa_csr_is_read_only(csr)) {
                assert_true(put(csr, 0) & PRIV_ILLEGAL);
            }
        }
    }
}

static void
gates(void **state)
{
    (void)state;
    uint64_t v;
    reset();
    p.mode = PRIV_S;
    assert_true(put(0x14d, 1) & PRIV_ILLEGAL); /* stimecmp */
    p.menvcfg = ENVCFG_STCE;
    assert_true(put(0x14d, 1) & PRIV_ILLEGAL);
    p.mcounteren = 2;
    assert_false(put(0x14d, 1) & PRIV_ILLEGAL);
    assert_true(priv_csr(&p, 0xc00, PRIV_SET, 0, false, &v) & PRIV_ILLEGAL);
    now = 1234;
    assert_int_equal(get(0xc01), 1234);
    p.mode = PRIV_U;
    assert_true(priv_csr(&p, 0xc01, PRIV_SET, 0, false, &v) & PRIV_ILLEGAL);
    p.scounteren = 2;
    assert_int_equal(get(0xc01), 1234);
    p.mode = PRIV_S;
    p.mstatus |= MSTATUS_TVM | MSTATUS_TSR | MSTATUS_TW;
    assert_true(put(0x180, 0) & PRIV_ILLEGAL);
    assert_true(priv_sfence(&p) && priv_sret(&p) == PRIV_ILLEGAL && priv_wfi(&p) && !priv_sfence_order(&p));
    assert_true(priv_csr(&p, 0x10a, PRIV_SET, 0, false, &v) & PRIV_ILLEGAL); /* senvcfg: mstateen0 */
    p.mstateen[0] = STATEEN_ENVCFG;
    get(0x10a);
    assert_true(priv_cbo(&p, ENVCFG_CBZE));
    p.menvcfg = ENVCFG_CBZE;
    assert_false(priv_cbo(&p, ENVCFG_CBZE));
    p.mode = PRIV_U;
    assert_true(priv_cbo(&p, ENVCFG_CBZE) && priv_wfi(&p) && priv_sret(&p) == PRIV_ILLEGAL && priv_mret(&p) == PRIV_ILLEGAL);
}

static void
pmp_locks(void **state)
{
    (void)state;
    reset();
    put(0x3b0, 0x1000);
    put(0x3b1, 0x2000);
    put(0x3a0, 0x8f00); /* entry 1: locked, TOR */
    put(0x3b0, 1);
    put(0x3b1, 1);
    put(0x3a0, 0x0707);
    assert_int_equal(get(0x3b0), 0x1000);
    assert_int_equal(get(0x3b1), 0x2000);
    assert_int_equal(get(0x3a0), 0x8f07);
}

static void
traps(void **state)
{
    (void)state;
    reset();
    p.medeleg = 1 << TRAP_ECALL_U | 1 << TRAP_LOAD_PAGE;
    p.mideleg = IRQ_BIT(IRQ_SSI);
    p.mtvec = 0x80000101;
    p.stvec = 0x80000201;
    p.mode = PRIV_U;
    p.mstatus |= MSTATUS_SIE | MSTATUS_MIE;
    h.pc = 0x1234;
    h.resv_size = 8;
    assert_int_equal(priv_trap(&p, TRAP_ECALL_U, 7), PRIV_DATA | PRIV_FETCH);
    assert_true(h.pc == 0x80000200 && p.mode == PRIV_S && p.sepc == 0x1234 && p.scause == 8 && p.stval == 7 && h.resv_size == 0);
    assert_int_equal(p.mstatus & (MSTATUS_SIE | MSTATUS_SPIE | MSTATUS_SPP), MSTATUS_SPIE);
    priv_trap(&p, TRAP_INTERRUPT | IRQ_SSI, 0);
    assert_true(h.pc == 0x80000204 && p.mode == PRIV_S && (p.mstatus & MSTATUS_SPP) && !(p.mstatus & MSTATUS_SPIE));
    priv_trap(&p, TRAP_ILLEGAL, 0xffff);
    assert_true(h.pc == 0x80000100 && p.mode == PRIV_M && p.mepc == 0x80000204 && p.mtval == 0xffff);
    assert_int_equal(p.mstatus & (MSTATUS_MIE | MSTATUS_MPIE | MSTATUS_MPP), MSTATUS_MPIE | UINT64_C(1) << 11);
    priv_trap(&p, TRAP_LOAD_PAGE, 0); /* from M: never delegated */
    assert_true(p.mode == PRIV_M && p.mcause == TRAP_LOAD_PAGE);
    p.mstatus = (p.mstatus & ~MSTATUS_MPP) | MSTATUS_MPRV | MSTATUS_MPIE;
    p.mepc = 0x40;
    assert_true(priv_mret(&p) & PRIV_IRQ);
    assert_true(h.pc == 0x40 && p.mode == PRIV_U && !(p.mstatus & MSTATUS_MPRV) && (p.mstatus & MSTATUS_MIE));
}

static void
interrupts(void **state)
{
    (void)state;
    uint64_t old;
    reset();
    p.mie = p.mideleg = ONES;
    p.mode = PRIV_S;
    priv_irq_set(&p, IRQ_SEI, true);
    assert_true(h.attention == ATTENTION && wakes == 0);
    assert_int_equal(priv_irq_select(&p), -1);
    p.mstatus |= MSTATUS_SIE;
    priv_irq_set(&p, IRQ_SSI, true);
    assert_int_equal(priv_irq_select(&p), IRQ_SEI);
    p.mideleg &= ~IRQ_BIT(IRQ_SSI);
    assert_int_equal(priv_irq_select(&p), IRQ_SSI); /* M's come first */
    p.mode = PRIV_M;
    assert_int_equal(priv_irq_select(&p), -1);
    /* The line is not software's to clear, and reading it does not make it so. */
    priv_csr(&p, 0x344, PRIV_CLEAR, ONES, true, &old);
    assert_int_equal(get(0x344), IRQ_BIT(IRQ_SEI));
    priv_csr(&p, 0x344, PRIV_SET, IRQ_BIT(IRQ_SSI), true, &old);
    priv_irq_set(&p, IRQ_SEI, false);
    assert_int_equal(get(0x344), IRQ_BIT(IRQ_SSI));
    priv_csr(&p, 0x344, PRIV_SET, IRQ_BIT(IRQ_SEI), true, &old);
    priv_irq_set(&p, IRQ_SEI, true);
    priv_irq_set(&p, IRQ_SEI, false);
    assert_int_equal(get(0x344), IRQ_BIT(IRQ_SSI) | IRQ_BIT(IRQ_SEI));
    p.waiting = 1;
    priv_irq_set(&p, IRQ_MTI, true);
    assert_int_equal(wakes, 1);
}

static void
supervisor_timer(void **state)
{
    (void)state;
    reset();
    put(0x30a, ENVCFG_STCE);
    assert_true(timer_due == UINT64_MAX);
    put(0x14d, 100);
    assert_int_equal(timer_due, 100);
    put(0x344, ONES);
    assert_false(get(0x344) & IRQ_BIT(IRQ_STI));
    now = 100;
    assert_true(get(0x344) & IRQ_BIT(IRQ_STI));
    put(0x344, 0);
    assert_true(get(0x344) & IRQ_BIT(IRQ_STI));
    put(0x30a, 0);
    assert_true(timer_due == UINT64_MAX && !(get(0x344) & IRQ_BIT(IRQ_STI)));
}

static void
counters(void **state)
{
    (void)state;
    reset();
    h.instret = 1000;
    put(0xb02, 5);
    h.instret++;
    assert_int_equal(get(0xb02), 5);
    h.instret += 3;
    assert_int_equal(get(0xb02), 8);
    put(0x320, 4);
    h.instret += 50;
    assert_int_equal(get(0xb02), 9); /* the write itself is counted */
    put(0xb02, 100);
    put(0x320, 0);
    h.instret += 3;
    assert_int_equal(get(0xc02), 102);
}

static void
supervisor_without_firmware(void **state)
{
    (void)state;
    reset();
    priv_enter_supervisor(&p);
    assert_true(p.mode == PRIV_S && p.medeleg == (0xb3ff & ~(1U << TRAP_ECALL_S)) && p.mideleg == 0x2222);
    assert_true(p.pmpcfg[0] == 0x1f && p.mcounteren == 0xffffffff && (p.menvcfg & ENVCFG_STCE));
}

static void
no_member_is_forgotten(void **state)
{
    (void)state;
    assert_int_equal(fields_cover(priv_fields, priv_field_count, sizeof(struct priv)), sizeof(struct priv));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(warl),       cmocka_unit_test(rights),     cmocka_unit_test(gates),
        cmocka_unit_test(pmp_locks),  cmocka_unit_test(traps),      cmocka_unit_test(interrupts),
        cmocka_unit_test(supervisor_timer), cmocka_unit_test(counters), cmocka_unit_test(supervisor_without_firmware),
        cmocka_unit_test(no_member_is_forgotten),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
