/*
 * input.c - the power button: what a driver reads of it, and what it hears of a press
 */
#include "device/virtio_devices.h"

#include "fake.h"

#define BASE UINT64_C(0x10001000)
#define NUM  8

static struct fake f_;
static struct device *d_;

static void
set(unsigned off, uint32_t v)
{
    fake_write(&f_, BASE + off, 4, v);
}

static uint8_t *
ram(uint64_t off)
{
    return physmap_ram(&f_.pm, FAKE_RAM + off, 0);
}

/* The window for select and subsel: its size. */
static unsigned
window(unsigned select, unsigned subsel, uint8_t to[56])
{
    fake_write(&f_, BASE + 0x100, 1, select);
    fake_write(&f_, BASE + 0x101, 1, subsel);
    for (unsigned i = 0; i < 56; i++) {
        to[i] = (uint8_t)fake_read(&f_, BASE + 0x108 + i, 1);
    }
    return (unsigned)fake_read(&f_, BASE + 0x102, 1);
}

static void
start(void)
{
    set(0x70, 0);
    set(0x70, 3);
    set(0x24, 1);
    set(0x20, 1);
    set(0x70, 11);
    memset(ram(0), 0, 0x2000);
    set(0x30, 0);
    set(0x38, NUM);
    set(0x80, (uint32_t)FAKE_RAM);
    set(0x90, (uint32_t)FAKE_RAM + 0x400);
    set(0xa0, (uint32_t)FAKE_RAM + 0x800);
    set(0x44, 1);
    set(0x70, 15);
}

static void
offer(unsigned n)
{
    uint16_t *const avail = (uint16_t *)ram(0x400);
    while (n-- > 0) {
        const uint16_t head = avail[1] % NUM;
        const struct {
            uint64_t addr;
            uint32_t len;
            uint16_t flags, next;
        } d = {FAKE_RAM + 0x1000 + 8u * head, 8, 2, 0};
        memcpy(ram(16u * head), &d, sizeof d);
        avail[2 + head] = head;
        avail[1]++;
    }
    set(0x50, 0);
}

static unsigned
used(void)
{
    return ((uint16_t *)ram(0x800))[1];
}

static void
it_says_what_it_is(void **state)
{
    uint8_t w[56];
    (void)state;
    assert_int_equal(fake_read(&f_, BASE + 8, 4), VIRTIO_ID_INPUT);
    assert_int_equal(window(1, 0, w), strlen("doppel power button"));
    assert_memory_equal(w, "doppel power button", 20);
    assert_int_equal(window(0x11, 1, w), 15); /* keys: KEY_POWER, 116 */
    for (unsigned i = 0; i < 56; i++) {
        assert_int_equal(w[i], i == 14 ? 0x10 : 0);
    }
    for (unsigned subsel = 2; subsel < 32; subsel++) {
        assert_int_equal(window(0x11, subsel, w), 0);
    }
    assert_int_equal(window(3, 0, w), 8);
    assert_true(window(2, 0, w) == 0 && window(0, 0, w) == 0 && window(255, 255, w) == 0);
    fake_write(&f_, BASE + 0x102, 1, 99); /* it is not the driver's to say */
    assert_int_equal(fake_read(&f_, BASE + 0x102, 1), 0);
}

static void
a_press_is_heard_once(void **state)
{
    static const uint8_t press[4][8] = {{1, 0, 116, 0, 1}, {0}, {1, 0, 116, 0, 0}, {0}};
    (void)state;
    set(0x70, 0);
    virtio_input_press(d_); /* nobody is there */
    start();
    offer(3);
    assert_int_equal(used(), 0);
    virtio_input_press(d_);
    virtio_input_press(d_);
    assert_true(used() == 3 && f_.level[0][1]);
    offer(4);
    assert_int_equal(used(), 4);
    for (unsigned i = 0; i < 4; i++) {
        assert_memory_equal(ram(0x1000 + 8 * i), press[i], 8);
    }
    virtio_input_press(d_);
    assert_int_equal(used(), 7);
    start(); /* the rest is forgotten */
    offer(2);
    assert_int_equal(used(), 0);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(it_says_what_it_is), cmocka_unit_test(a_press_is_heard_once)};
    fake_init(&f_);
    const struct virtio_place at = {.pm = &f_.pm, .base = BASE, .irq = fake_irq(&f_, 1)};
    d_ = virtio_input_new(&at, &f_.e);
    CHECK(d_ != NULL);
    const int failed = cmocka_run_group_tests(tests, NULL, NULL);
    d_->type->free(d_);
    physmap_fini(&f_.pm);
    return failed;
}
