/*
 * main.c - the embedded guest: shows the machine, tests it, waits for a person or powers off
 *
 * Options (bootargs): quick - power off after the tests. The power-off tells SBI of failures, and so the monitor's exit status.
 */
#include "guest.h"

struct hart harts[HARTS_MAX];
unsigned n_harts = 1, n_ok, n_failed, ticks_per_us = 10;

static char stacks[HARTS_MAX][STACK_BYTES] __attribute__((aligned(4096), section(".stacks,\"aw\",@nobits#")));
static u64 boot_dtb;
static const char *current = "";

static void
hart_init(unsigned i, u64 id)
{
    harts[i].id = id;
    harts[i].index = i;
    harts[i].stack = (u64)(stacks[i] + STACK_BYTES);
}

struct hart *
hart_of(u64 id, u64 dtb)
{
    boot_dtb = dtb;
    hart_init(0, id);
    return &harts[0];
}

void
subject(const char *name)
{
    current = name;
}

void
check(bool good, const char *what)
{
    print("%s %s: %s\n", good ? "ok  " : "FAILED", current, what);
    n_ok += good;
    n_failed += !good;
    if (!good) {
        print("       last trap: cause %ld, at %lx, stval %lx\n", me->cause, me->epc, me->tval);
    }
}

void
skipped(const char *what, const char *why)
{
    print("-    %s: %s: %s\n", current, what, why);
}

_Noreturn void
power(unsigned type)
{
    (void)sbi(SBI_SRST, 0, type, n_failed != 0, 0, 0, 0);
    (void)sbi(8, 0, 0, 0, 0, 0, 0);
    for (;;) {
        __asm__ volatile("wfi");
    }
}

void
run_tests(void)
{
    const u64 start = rdtime();
    n_ok = n_failed = 0;
    test_traps();
    test_extensions();
    test_float();
    test_mmu();
    test_user();
    test_timer();
    test_soft();
    test_external();
    test_sbi();
    test_harts();
    test_virtio();
    print("%d ok, %d FAILED, %ld us\n", n_ok, n_failed, (rdtime() - start) / ticks_per_us);
}

static bool
option(const char *name)
{
    for (const char *s = machine.bootargs; s != NULL && *s != '\0'; s++) {
        if ((s == machine.bootargs || s[-1] == ' ') && text_starts(s, name)) {
            return true;
        }
    }
    return false;
}

void
main(void)
{
    if (!tree_read((const void *)boot_dtb)) {
        print("FAILED: no device tree at 0x%lx\n", boot_dtb);
        n_failed++;
        power(0);
    }
    const struct device *uart = device_find("ns16550a", NULL);
    if (uart != NULL) {
        console_use(uart->base);
    }
    n_harts = machine.n_harts;
    for (unsigned i = 0; i < n_harts; i++) {
        hart_init(i, machine.hart_ids[i]);
    }
    ticks_per_us = machine.timebase >= 1000000 ? (unsigned)(machine.timebase / 1000000) : 1;
    print("doppel's embedded guest, on hart %ld\n", me->id);
    tree_show();
    sbi_show();
    devices_show();
    run_tests();
    if (!option("quick")) {
        prompt();
    }
    power(0);
}
