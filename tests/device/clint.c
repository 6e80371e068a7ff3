/*
 * clint.c - time, timers and software interrupts, and the loop that timers wait in
 */
#include "device/clint.h"

#include "base/nondet.h"
#include "fake.h"

#include <unistd.h>

#define BASE     UINT64_C(0x02000000)
#define CMP(h)   (BASE + 0x4000 + 8 * (h))
#define MTIME    (BASE + 0xbff8)
#define MS_TICKS (CLINT_HZ / 1000)

struct fixture {
    struct fake f;
    struct loop *loop;
    struct clint *c;
    pthread_t thread;
};

static void *
run_loop(void *arg)
{
    loop_run(arg);
    return NULL;
}

static int
setup(void **state)
{
    static struct fixture x;
    fake_init(&x.f);
    const struct irq to = fake_irq(&x.f, 0);
    x.loop = loop_new(&x.f.e);
    x.c = clint_new(&x.f.pm, x.loop, BASE, 2, &to, &x.f.e);
    CHECK(x.c != NULL && pthread_create(&x.thread, NULL, run_loop, x.loop) == 0);
    clint_start(x.c);
    *state = &x;
    return 0;
}

static int
teardown(void **state)
{
    struct fixture *x = *state;
    loop_stop(x->loop);
    pthread_join(x->thread, NULL);
    clint_device(x->c)->type->free(clint_device(x->c));
    loop_free(x->loop);
    physmap_fini(&x->f.pm);
    return 0;
}

static bool
level(struct fixture *x, unsigned hart, unsigned bit)
{
    return __atomic_load_n(&x->f.level[hart][bit], __ATOMIC_SEQ_CST);
}

static void
software_interrupts(void **state)
{
    struct fixture *x = *state;
    fake_write(&x->f, BASE + 4, 4, 0xffffffff);
    assert_true(level(x, 1, 3));
    assert_false(level(x, 0, 3));
    assert_int_equal(fake_read(&x->f, BASE + 4, 4), 1);
    fake_write(&x->f, BASE, 8, 1); /* both at once */
    assert_true(level(x, 0, 3));
    assert_false(level(x, 1, 3));
    fake_write(&x->f, BASE + 8, 4, 1); /* no such hart */
    assert_int_equal(fake_read(&x->f, BASE + 8, 4), 0);
}

static void
time_goes_at_10_mhz(void **state)
{
    struct fixture *x = *state;
    const uint64_t ns = nondet_mono_ns(), t = fake_read(&x->f, MTIME, 8);
    usleep(20000);
    const uint64_t ns2 = nondet_mono_ns(), t2 = fake_read(&x->f, MTIME, 8);
    assert_in_range((t2 - t) * 100, 20000000 - 200, ns2 - ns + 100000000);
    assert_int_equal(fake_read(&x->f, MTIME + 4, 4), 0);
    fake_write(&x->f, MTIME + 4, 4, 5);
    assert_int_equal(fake_read(&x->f, MTIME, 8) >> 32, 5);
    clint_stop(x->c);
    const uint64_t stopped = fake_read(&x->f, MTIME, 8);
    usleep(2000);
    assert_int_equal(fake_read(&x->f, MTIME, 8), stopped);
    clint_start(x->c);
    assert_in_range(fake_read(&x->f, MTIME, 8), stopped, stopped + CLINT_HZ);
}

static void
timers_fire_when_due(void **state)
{
    struct fixture *x = *state;
    assert_false(level(x, 0, 7) || level(x, 1, 7));
    const uint64_t due = fake_read(&x->f, MTIME, 8) + 10 * MS_TICKS;
    fake_write(&x->f, CMP(1), 4, 0xffffffff); /* as 32-bit code sets it */
    fake_write(&x->f, CMP(1) + 4, 4, due >> 32);
    fake_write(&x->f, CMP(1), 4, due);
    assert_int_equal(fake_read(&x->f, CMP(1), 8), due);
    while (fake_read(&x->f, MTIME, 8) < due) {
        assert_true(!level(x, 1, 7) || fake_read(&x->f, MTIME, 8) >= due);
        usleep(1000);
    }
    for (unsigned i = 0; i < 5000 && !level(x, 1, 7); i++) {
        usleep(1000);
    }
    assert_true(level(x, 1, 7));
    assert_false(level(x, 0, 7));
    fake_write(&x->f, CMP(1), 8, UINT64_MAX);
    assert_false(level(x, 1, 7));
    fake_write(&x->f, CMP(0), 8, 0);
    assert_true(level(x, 0, 7));
}

static void
far_moments_do_not_overflow(void **state)
{
    struct fixture *x = *state;
    assert_int_equal(clint_when(x->c, UINT64_MAX), LOOP_NEVER);
    assert_int_equal(clint_when(x->c, UINT64_MAX / 100), LOOP_NEVER);
    const uint64_t past = clint_when(x->c, 0); /* asked first: C leaves the order of arguments open */
    assert_in_range(past, 1, nondet_mono_ns());
    for (unsigned shift = 40; shift < 64; shift++) {
        fake_write(&x->f, CMP(0), 8, UINT64_C(1) << shift);
        assert_false(level(x, 0, 7));
    }
}

int
main(void)
{
#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        CASE(software_interrupts),
        CASE(time_goes_at_10_mhz),
        CASE(timers_fire_when_due),
        CASE(far_moments_do_not_overflow),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
