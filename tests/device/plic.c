/*
 * plic.c - the interrupt controller, as its specification and Linux' driver have it
 */
#include "device/plic.h"

#include "fake.h"

#define BASE     UINT64_C(0x0c000000)
#define PRIO(s)  (BASE + 4 * (s))
#define ENABLE(c) (BASE + 0x2000 + 0x80 * (c))
#define THRESHOLD(c) (BASE + 0x200000 + 0x1000 * (c))
#define CLAIM(c) (THRESHOLD(c) + 4)

struct fixture {
    struct fake f;
    struct plic *p;
    struct irq line[8];
};

/* Two harts; sources 1 … 7 have priority 1 and are enabled for context 1, S of hart 0. */
static int
setup(void **state)
{
    static struct fixture x;
    fake_init(&x.f);
    const struct irq to = fake_irq(&x.f, 0);
    x.p = plic_new(&x.f.pm, BASE, 2, &to, &x.f.e);
    CHECK(x.p != NULL);
    for (unsigned s = 1; s < 8; s++) {
        x.line[s] = plic_source(x.p, s);
        fake_write(&x.f, PRIO(s), 4, 1);
    }
    fake_write(&x.f, ENABLE(1), 4, 0xff);
    *state = &x;
    return 0;
}

static int
teardown(void **state)
{
    struct fixture *x = *state;
    plic_device(x->p)->type->free(plic_device(x->p));
    physmap_fini(&x->f.pm);
    return 0;
}

static void
claim_and_complete(void **state)
{
    struct fixture *x = *state;
    irq_set(&x->line[3], true);
    assert_true(x->f.level[0][9]);
    assert_false(x->f.level[0][11]);
    assert_int_equal(fake_read(&x->f, BASE + 0x1000, 4), 8);
    assert_int_equal(fake_read(&x->f, CLAIM(1), 4), 3);
    assert_false(x->f.level[0][9]);
    assert_int_equal(fake_read(&x->f, CLAIM(1), 4), 0);
    irq_set(&x->line[3], false);
    irq_set(&x->line[3], true); /* nothing, while it is serviced */
    assert_false(x->f.level[0][9]);
    fake_write(&x->f, CLAIM(1), 4, 3);
    assert_true(x->f.level[0][9]); /* the line is high: it asks again */
    assert_int_equal(fake_read(&x->f, CLAIM(1), 4), 3);
    irq_set(&x->line[3], false);
    fake_write(&x->f, CLAIM(1), 4, 3);
    assert_false(x->f.level[0][9]);
}

static void
accepted_stays_pending(void **state)
{
    struct fixture *x = *state;
    irq_set(&x->line[2], true);
    irq_set(&x->line[2], false);
    assert_true(x->f.level[0][9]);
    assert_int_equal(fake_read(&x->f, CLAIM(1), 4), 2);
}

static void
priorities_decide(void **state)
{
    struct fixture *x = *state;
    fake_write(&x->f, PRIO(5), 4, 7);
    fake_write(&x->f, PRIO(6), 4, 0xfffffff8); /* as 0: never */
    assert_int_equal(fake_read(&x->f, PRIO(6), 4), 0);
    for (unsigned s = 1; s < 8; s++) {
        irq_set(&x->line[s], true);
    }
    static const unsigned order[] = {5, 1, 2, 3, 4, 7, 0};
    for (unsigned i = 0; i < ARRAY_LEN(order); i++) {
        assert_int_equal(fake_read(&x->f, CLAIM(1), 4), order[i]);
    }
}

static void
threshold_holds_back_the_hart_not_the_claim(void **state)
{
    struct fixture *x = *state;
    fake_write(&x->f, THRESHOLD(1), 4, 1);
    irq_set(&x->line[1], true);
    assert_false(x->f.level[0][9]);
    fake_write(&x->f, THRESHOLD(1), 4, 0);
    assert_true(x->f.level[0][9]);
    fake_write(&x->f, THRESHOLD(1), 4, 0xf);
    assert_int_equal(fake_read(&x->f, THRESHOLD(1), 4), 7);
    assert_false(x->f.level[0][9]);
    assert_int_equal(fake_read(&x->f, CLAIM(1), 4), 1);
}

static void
completion_of_what_is_not_enabled_is_ignored(void **state)
{
    struct fixture *x = *state;
    irq_set(&x->line[1], true);
    assert_int_equal(fake_read(&x->f, CLAIM(1), 4), 1);
    fake_write(&x->f, CLAIM(0), 4, 1);
    fake_write(&x->f, CLAIM(1), 4, 96);
    fake_write(&x->f, CLAIM(1), 4, 0xffffffff);
    assert_int_equal(fake_read(&x->f, BASE + 0x1000, 4), 0);
    fake_write(&x->f, CLAIM(1), 4, 1);
    assert_int_equal(fake_read(&x->f, BASE + 0x1000, 4), 2);
}

static void
one_claims_for_all(void **state)
{
    struct fixture *x = *state;
    fake_write(&x->f, ENABLE(3), 4, 2);
    irq_set(&x->line[1], true);
    assert_true(x->f.level[0][9] && x->f.level[1][9]);
    assert_int_equal(fake_read(&x->f, CLAIM(3), 4), 1);
    assert_false(x->f.level[0][9] || x->f.level[1][9]);
}

static void
what_does_not_exist_reads_0(void **state)
{
    struct fixture *x = *state;
    fake_write(&x->f, PRIO(0), 4, 7);
    fake_write(&x->f, ENABLE(0), 4, 1);
    static const uint64_t offs[] = {0, 0x180, 0x100c, 0x2000, 0x200c, 0x2200, 0x1f1ffc, 0x200008, 0x204000, 0x5ffffc};
    for (unsigned i = 0; i < ARRAY_LEN(offs); i++) {
        fake_write(&x->f, BASE + offs[i], 4, 0xffffffff);
        if (offs[i] != 0x2000) {
            assert_int_equal(fake_read(&x->f, BASE + offs[i], 4), 0);
        }
    }
    assert_int_equal(fake_read(&x->f, ENABLE(0), 4), 0xfffffffe);
}

int
main(void)
{
#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        CASE(claim_and_complete),
        CASE(accepted_stays_pending),
        CASE(priorities_decide),
        CASE(threshold_holds_back_the_hart_not_the_claim),
        CASE(completion_of_what_is_not_enabled_is_ignored),
        CASE(one_claims_for_all),
        CASE(what_does_not_exist_reads_0),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
