/*
 * pause.c - a machine stands when it is held, exactly, and goes on as if nothing had been: the embedded guest's own tests pass
 */
#include "machine/machine_impl.h"

#include "base/nondet.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

enum { HARTS = 3 };

struct run {
    struct machine *m;
    int out; /* a memfd: what the guest writes */
    pthread_t thread;
    struct machine_end end;
    atomic_bool over;
    atomic_int changes;
};

static void
changed(void *arg, bool runs)
{
    struct run *r = arg;
    (void)runs;
    r->changes++;
}

static void *
run(void *arg)
{
    struct run *r = arg;
    struct err e = {""};
    assert_int_equal(machine_run(r->m, &r->end, &e), 0);
    r->over = true;
    return NULL;
}

static void
begin(struct run *r, enum engine_kind engine, struct machine_watch *w)
{
    struct err e = {""};
    const struct machine_config cfg = {
        .n_harts = HARTS, .ram_bytes = UINT64_C(64) << 20, .engine = engine, .exts = ISA_USER, .kernel = boot_embedded,
        .append = "quick", .console_in = -1, .console_log = -1, .console_out = r->out = memfd_create("out", MFD_CLOEXEC),
    };
    if (machine_new(&cfg, &r->m, &e) != 0) {
        fail_msg("%s", e.text);
    }
    *w = (struct machine_watch){.changed = changed, .arg = r};
    machine_watch(r->m, w);
}

/* The guest has ended well. */
static void
finish(struct run *r)
{
    pthread_join(r->thread, NULL);
    assert_int_equal(r->end.code, 0);
    char text[32768];
    const ssize_t n = pread(r->out, text, sizeof text - 1, 0);
    assert_true(n > 0);
    text[n] = 0;
    assert_non_null(strstr(text, " ok, 0 FAILED"));
    close(r->out);
    machine_free(r->m);
}

static uint64_t
retired(const struct machine *m)
{
    uint64_t n = 0;
    for (unsigned i = 0; i < HARTS; i++) {
        n += m->harts[i].cpu->h.instret;
    }
    return n;
}

static void
sleep_ns(long ns)
{
    nanosleep(&(struct timespec){0, ns}, NULL);
}

/* Held before it runs: nothing has been executed. Steps are single, on whichever engine. Then it goes on. */
static void
steps(void **state)
{
    (void)state;
    for (unsigned k = ENGINE_SWITCH; k <= ENGINE_THREADED; k++) {
        struct run r = {0};
        struct machine_watch w;
        begin(&r, (enum engine_kind)k, &w);
        machine_pause(r.m);
        assert_true(machine_is_paused(r.m));
        pthread_create(&r.thread, NULL, run, &r);
        while (machine_step(r.m, 0) == -EAGAIN) { /* its thread is on its way */
            sleep_ns(100000);
        }
        const struct mhart *h = r.m->harts[0].cpu;
        assert_int_equal(h->h.instret, 1);
        uint64_t pc = h->h.pc, moved = 0;
        for (unsigned i = 2; i <= 500; i++) {
            assert_int_equal(machine_step(r.m, 0), 0);
            assert_int_equal(h->h.instret, i);
            moved += h->h.pc != pc;
            pc = h->h.pc;
        }
        assert_true(moved > 490);
        assert_int_equal(machine_step(r.m, 1), -EAGAIN); /* SBI has not started it */
        machine_resume(r.m);
        finish(&r);
        assert_int_equal(r.changes, 2);
    }
}

/* Again and again, anywhere: no instruction is executed and no time goes by while it stands. Holders are counted. */
static void
pauses(void **state)
{
    (void)state;
    unsigned seen = 0;
    for (unsigned round = 0; round < 20; round++) {
        struct run r = {0};
        struct machine_watch w;
        begin(&r, ENGINE_THREADED, &w);
        pthread_create(&r.thread, NULL, run, &r);
        while (!r.over) {
            machine_pause(r.m);
            const uint64_t n = retired(r.m);
            machine_pause(r.m);
            machine_resume(r.m);
            sleep_ns(50000);
            assert_int_equal(retired(r.m), n);
            for (unsigned i = 0; i < HARTS && !r.over; i++) {
                machine_step(r.m, i); /* whatever it does */
            }
            machine_resume(r.m);
            sleep_ns(200000);
            seen++;
        }
        finish(&r);
    }
    assert_true(seen > 40);
}

/* The clock stands while the machine does, and is not behind itself afterwards. */
static void
clock_stands(void **state)
{
    (void)state;
    struct run r = {0};
    struct machine_watch w;
    begin(&r, ENGINE_THREADED, &w);
    pthread_create(&r.thread, NULL, run, &r);
    uint64_t held = 0;
    const uint64_t start = nondet_mono_ns();
    while (!r.over && held < 5) {
        machine_pause(r.m);
        sleep_ns(20000000);
        machine_resume(r.m);
        held++;
        sleep_ns(100000);
    }
    const uint64_t ticks = clint_time(r.m->clint), wall = nondet_mono_ns() - start;
    assert_true(r.over || ticks * 100 + held * 20000000 <= wall + 50000000);
    finish(&r);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(steps),
        cmocka_unit_test(pauses),
        cmocka_unit_test(clock_stands),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
