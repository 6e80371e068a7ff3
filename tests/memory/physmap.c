/*
 * physmap.c - memory/physmap.h: what is where, and what an access to the rest does
 */
#include "memory/physmap.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/mman.h>

#include <cmocka.h>

#define BASE UINT64_C(0x80000000)
#define MIB  (UINT64_C(1) << 20)

struct device {
    uint64_t off, v;
    unsigned size, calls;
};

static uint64_t
reg_read(void *dev, uint64_t off, unsigned size)
{
    struct device *d = dev;
    *d = (struct device){off, d->v, size, d->calls + 1};
    return d->v;
}

static void
reg_write(void *dev, uint64_t off, unsigned size, uint64_t v)
{
    struct device *d = dev;
    *d = (struct device){off, v, size, d->calls + 1};
}

static const struct io_ops words = {reg_read, reg_write, 1 | 4};

struct fixture {
    struct physmap pm;
    struct device dev;
    uint8_t rom[8192];
    struct err e;
};

static int
setup(void **state)
{
    static struct fixture f;
    memset(&f, 0, sizeof f);
    *state = &f;
    physmap_init(&f.pm);
    memcpy(f.rom + 4096, "flash", 5);
    return physmap_add_io(&f.pm, "dev", 0x10000000, 0x1000, &words, &f.dev, &f.e) |
           physmap_add_ram(&f.pm, BASE, 16 * MIB, &f.e) |
           physmap_add_rom(&f.pm, "rom", 0x20000000, sizeof f.rom, f.rom, &words, &f.dev, &f.e);
}

static int
teardown(void **state)
{
    physmap_fini(&((struct fixture *)*state)->pm);
    return 0;
}

static void
ram_has_edges(void **state)
{
    struct fixture *f = *state;
    char *p = physmap_ram(&f->pm, BASE, 16 * MIB);
    assert_non_null(p);
    assert_ptr_equal(physmap_ram(&f->pm, BASE + 16 * MIB - 8, 8), p + 16 * MIB - 8);
    assert_null(physmap_ram(&f->pm, BASE + 16 * MIB - 7, 8));
    assert_null(physmap_ram(&f->pm, BASE - 1, 1));
    assert_null(physmap_ram(&f->pm, BASE - 1, UINT64_MAX));
    assert_null(physmap_ram(&f->pm, BASE + 1, UINT64_MAX));
    assert_null(physmap_ram(&f->pm, UINT64_MAX, 2));
    assert_int_equal(p[0] | p[16 * MIB - 1], 0);
}

static void
device_hears_what_it_allows(void **state)
{
    struct fixture *f = *state;
    uint64_t v;
    f->dev.v = UINT64_C(0x1122334455667788);
    assert_true(physmap_io_read(&f->pm, 0x10000004, 4, &v));
    assert_int_equal(v, 0x55667788);
    assert_true(physmap_io_read(&f->pm, 0x10000fff, 1, &v));
    assert_int_equal(v, 0x88);
    assert_true(physmap_io_write(&f->pm, 0x10000008, 4, UINT64_MAX));
    assert_int_equal(f->dev.v, UINT32_MAX);
    assert_int_equal(f->dev.off, 8);
    assert_int_equal(f->dev.calls, 3);
    assert_false(physmap_io_read(&f->pm, 0x10000002, 4, &v)); /* misaligned */
    assert_false(physmap_io_read(&f->pm, 0x10000002, 2, &v)); /* sizes that it has not */
    assert_false(physmap_io_write(&f->pm, 0x10000000, 8, 0));
    assert_false(physmap_io_read(&f->pm, 0x10001000, 4, &v)); /* vacant */
    assert_false(physmap_io_read(&f->pm, 0xffffffc, 4, &v));
    assert_false(physmap_io_write(&f->pm, UINT64_MAX - 7, 8, 0));
    assert_false(physmap_io_write(&f->pm, 0, 8, 0));
    assert_int_equal(f->dev.calls, 3);
}

static void
rom_is_memory_until_hidden(void **state)
{
    struct fixture *f = *state;
    uint64_t v;
    char text[6] = "";
    assert_null(physmap_ram(&f->pm, 0x20000000, 8));
    assert_true(physmap_read(&f->pm, 0x20001000, text, 5));
    assert_string_equal(text, "flash");
    assert_false(physmap_write(&f->pm, 0x20001000, text, 5));
    assert_true(physmap_io_read(&f->pm, 0x20001000, 8, &v));
    assert_true(physmap_io_write(&f->pm, 0x20001000, 4, 7));
    assert_int_equal(f->dev.off, 4096);
    physmap_rom_show(&f->pm, 0x20000000, false);
    assert_null(physmap_readable(&f->pm, 0x20000000, 4));
    assert_true(physmap_io_read(&f->pm, 0x20001004, 4, &v));
    assert_int_equal(v, 7);
    physmap_rom_show(&f->pm, 0x20000000, true);
    assert_ptr_equal(physmap_readable(&f->pm, 0x20000004, 4), f->rom + 4);
    assert_null(physmap_readable(&f->pm, 0x20001ffc, 5));
}

static void
regions_do_not_overlap(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(physmap_add_io(&f->pm, "over", 0x0ffff000, 0x2000, &words, NULL, &f->e), -EEXIST);
    assert_int_equal(physmap_add_io(&f->pm, "over", BASE + 0x1000, 0x1000, &words, NULL, &f->e), -EEXIST);
    assert_int_equal(physmap_add_io(&f->pm, "odd", 0x1000, 0x104, &words, NULL, &f->e), -EINVAL);
    assert_int_equal(physmap_add_io(&f->pm, "empty", 0x1000, 0, &words, NULL, &f->e), -EINVAL);
    assert_int_equal(physmap_add_io(&f->pm, "beyond", PHYSMAP_TOP - 0x1000, 0x2000, &words, NULL, &f->e), -EINVAL);
    assert_int_equal(physmap_add_ram(&f->pm, 0x100000000, MIB, &f->e), -EINVAL);
    assert_int_equal(f->pm.n_regions, 3);
    assert_string_equal(physmap_find(&f->pm, 0x10000fff)->name, "dev");
    assert_string_equal(physmap_find(&f->pm, BASE)->name, "ram");
    assert_null(physmap_find(&f->pm, BASE + 16 * MIB));
}

static void
discarded_pages_are_zero(void **state)
{
    struct fixture *f = *state;
    char *p = physmap_ram(&f->pm, BASE, 16384);
    memset(p, 1, 16384);
    physmap_discard(&f->pm, BASE + 1, 12287);
    assert_int_equal(p[4095], 1);
    assert_int_equal(p[4096], 0);
    assert_int_equal(p[12287], 0);
    assert_int_equal(p[12288], 1);
    physmap_discard(&f->pm, BASE + 16 * MIB - 4096, 8192);
    physmap_discard(&f->pm, 0x20000000, 4096);
}

static void
memory_costs_what_is_touched(void **state)
{
    struct fixture *f = *state;
    struct physmap big;
    physmap_init(&big);
    assert_int_equal(physmap_add_ram(&big, BASE, PHYSMAP_RAM_MAX, &f->e), 0);
    char *p = physmap_ram(&big, BASE, PHYSMAP_RAM_MAX);
    p[PHYSMAP_RAM_MAX - 1] = 1;
    unsigned char in = 0;
    assert_int_equal(mincore(p + PHYSMAP_RAM_MAX / 2, 4096, &in) | (in & 1), 0);
    physmap_fini(&big);
}

/* Once for each 2 MiB, whatever the host says to it; what was written stays, and so does what surrounds it. */
static void
hot_memory_becomes_large(void **state)
{
    struct fixture *f = *state;
    uint8_t *const at = physmap_ram(&f->pm, BASE + 4 * MIB, 2 * MIB);
    at[0] = 1;
    at[2 * MIB - 1] = 2;
    for (unsigned i = 0; i < PHYSMAP_HOT - 1; i++) {
        physmap_warm(&f->pm, BASE + 4 * MIB + i % 512 * 4096);
    }
    assert_int_equal(f->pm.huge + f->pm.not_huge, 0);
    for (unsigned i = 0; i < 3 * PHYSMAP_HOT; i++) {
        physmap_warm(&f->pm, BASE + 4 * MIB + i % 512 * 4096);
    }
    assert_int_equal(f->pm.huge + f->pm.not_huge, 1);
    assert_true(at[0] == 1 && at[4096] == 0 && at[2 * MIB - 1] == 2 && at[-1] == 0);
}

/* The last piece may be smaller. */
static void
a_rest_stays_small(void **state)
{
    struct physmap pm;
    struct err e;
    (void)state;
    physmap_init(&pm);
    assert_int_equal(physmap_add_ram(&pm, BASE, 3 * MIB, &e), 0);
    for (unsigned i = 0; i < PHYSMAP_HOT; i++) {
        physmap_warm(&pm, BASE + 3 * MIB - 1);
    }
    assert_true(pm.huge == 0 && pm.not_huge == 1);
    physmap_fini(&pm);
}

int
main(void)
{
#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        CASE(hot_memory_becomes_large),
        CASE(a_rest_stays_small),
        CASE(ram_has_edges),         CASE(device_hears_what_it_allows), CASE(rom_is_memory_until_hidden),
        CASE(regions_do_not_overlap), CASE(discarded_pages_are_zero),   CASE(memory_costs_what_is_touched),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
