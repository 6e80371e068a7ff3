/*
 * uart.c - the serial line, as the drivers of Linux, OpenSBI and xv6 use it
 */
#include "device/ns16550a.h"

#include "fake.h"

#define BASE UINT64_C(0x10000000)

enum { RBR, IER, IIR, LCR, MCR, LSR, MSR, SCR };

struct fixture {
    struct fake f;
    struct chardev line;
    struct device *d;
};

static int
setup(void **state)
{
    static struct fixture x;
    fake_init(&x.f);
    chardev_init(&x.line);
    const struct irq irq = fake_irq(&x.f, 10);
    x.d = ns16550a_new(&x.f.pm, BASE, &irq, &x.line, &x.f.e);
    CHECK(x.d != NULL);
    *state = &x;
    return 0;
}

static int
teardown(void **state)
{
    struct fixture *x = *state;
    x->d->type->free(x->d);
    physmap_fini(&x->f.pm);
    return 0;
}

static uint64_t
get(struct fixture *x, unsigned reg)
{
    return fake_read(&x->f, BASE + reg, 1);
}

static void
set(struct fixture *x, unsigned reg, uint8_t v)
{
    fake_write(&x->f, BASE + reg, 1, v);
}

static bool
interrupts(const struct fixture *x)
{
    return x->f.level[0][10];
}

/* Linux autoconfig(): is there a UART, of which kind, and are its modem lines looped back? */
static void
linux_finds_a_16550a(void **state)
{
    struct fixture *x = *state;
    set(x, IER, 0);
    assert_int_equal(get(x, IER) & 15, 0);
    set(x, IER, 15);
    assert_int_equal(get(x, IER) & 15, 15);
    set(x, IER, 0);
    set(x, MCR, 0x10 | 0x0a);
    assert_int_equal(get(x, MSR) & 0xf0, 0x90);
    set(x, MCR, 0);
    set(x, IIR, 1);
    assert_int_equal(get(x, IIR) >> 6, 3);
    set(x, SCR, 0xa5);
    assert_int_equal(get(x, SCR), 0xa5);
    set(x, LCR, 0x83);
    set(x, RBR, 0x12);
    set(x, IER, 0x34);
    assert_int_equal(get(x, RBR) << 8 | get(x, IER), 0x1234);
    set(x, LCR, 3);
    assert_int_equal(get(x, IER), 0);
    assert_int_equal(get(x, LSR), 0x60);
}

static void
sending_interrupts_when_enabled(void **state)
{
    struct fixture *x = *state;
    char out[8] = "";
    set(x, IER, 2); /* at once: THR is empty */
    assert_true(interrupts(x));
    assert_int_equal(get(x, IIR) & 15, 2);
    assert_false(interrupts(x)); /* reading IIR ended it */
    assert_int_equal(get(x, IIR) & 15, 1);
    set(x, RBR, 'h');
    assert_true(interrupts(x));
    set(x, RBR, 'i');
    assert_int_equal(chardev_peek(&x->line, out, sizeof out), 2);
    assert_string_equal(out, "hi");
}

static void
receiving_asks_by_trigger_or_timeout(void **state)
{
    struct fixture *x = *state;
    set(x, IIR, 0x81); /* FIFOs, trigger at 8 */
    set(x, IER, 1);
    chardev_input(&x->line, "abc", 3);
    assert_true(interrupts(x));
    assert_int_equal(get(x, IIR) & 15, 12);
    chardev_input(&x->line, "defghijklmnopqrstu", 18);
    assert_int_equal(get(x, IIR) & 15, 4);
    assert_int_equal(get(x, LSR), 0x61);
    for (char c = 'a'; c <= 'u'; c++) {
        assert_int_equal(get(x, LSR) & 1, 1);
        assert_int_equal(get(x, RBR), c);
    }
    assert_int_equal(get(x, LSR), 0x60);
    assert_false(interrupts(x));
}

static void
without_fifos_one_byte_at_a_time(void **state)
{
    struct fixture *x = *state;
    set(x, IER, 1);
    chardev_input(&x->line, "xy", 2);
    assert_int_equal(get(x, IIR), 4);
    assert_int_equal(get(x, RBR), 'x');
    assert_true(interrupts(x));
    assert_int_equal(get(x, RBR), 'y');
    assert_false(interrupts(x));
}

static void
a_full_line_holds_thr(void **state)
{
    struct fixture *x = *state;
    unsigned sent = 0;
    set(x, IER, 2);
    while (get(x, LSR) & 0x20) {
        set(x, RBR, (uint8_t)sent++);
    }
    assert_int_equal(sent, sizeof x->line.out.bytes + 1);
    get(x, IIR);
    assert_false(interrupts(x));
    chardev_drop(&x->line, 5);
    assert_true(interrupts(x));
    assert_int_equal(get(x, LSR) & 0x60, 0x60);
}

static void
loopback_overruns(void **state)
{
    struct fixture *x = *state;
    set(x, IIR, 1);
    set(x, MCR, 0x10);
    for (unsigned i = 0; i < 17; i++) {
        set(x, RBR, (uint8_t)i);
    }
    set(x, IER, 4);
    assert_int_equal(get(x, IIR) & 15, 6);
    assert_int_equal(get(x, LSR) & 3, 3);
    assert_int_equal(get(x, LSR) & 3, 1);
    for (unsigned i = 0; i < 16; i++) {
        assert_int_equal(get(x, RBR), i);
    }
    chardev_break(&x->line);
    assert_int_equal(get(x, LSR) & 0x11, 0x11);
    assert_int_equal(get(x, RBR), 0);
}

static void
modem_changes_are_noted(void **state)
{
    struct fixture *x = *state;
    assert_int_equal(get(x, MSR), 0xb0);
    set(x, MCR, 0x10); /* CTS, DSR and DCD fall */
    assert_int_equal(get(x, MSR), 0x0b);
    assert_int_equal(get(x, MSR), 0);
    set(x, IER, 8);
    set(x, MCR, 0x14);
    assert_int_equal(get(x, MSR), 0x40); /* of RI only the end counts */
    set(x, MCR, 0x10);
    assert_true(interrupts(x));
    assert_int_equal(get(x, IIR), 0);
    assert_int_equal(get(x, MSR), 4);
    assert_false(interrupts(x));
}

int
main(void)
{
#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        CASE(linux_finds_a_16550a),
        CASE(sending_interrupts_when_enabled),
        CASE(receiving_asks_by_trigger_or_timeout),
        CASE(without_fifos_one_byte_at_a_time),
        CASE(a_full_line_holds_thr),
        CASE(loopback_overruns),
        CASE(modem_changes_are_noted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
