/*
 * fake.h - what surrounds a device under test: guest memory, and an interrupt line that remembers
 */
#ifndef DOPPEL_TESTS_FAKE_H
#define DOPPEL_TESTS_FAKE_H

#include "base/check.h"
#include "device/device.h"
#include "memory/physmap.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#define FAKE_RAM       UINT64_C(0x80000000)
#define FAKE_RAM_BYTES (UINT64_C(1) << 20)

struct fake {
    struct physmap pm;
    struct err e;
    bool level[64][64]; /* by hart and number */
};

static inline void
fake_line(void *arg, unsigned hart, unsigned n, bool level)
{
    ((struct fake *)arg)->level[hart][n] = level;
}

static inline struct irq
fake_irq(struct fake *f, unsigned n)
{
    return (struct irq){.set = fake_line, .arg = f, .n = n};
}

static inline void
fake_init(struct fake *f)
{
    memset(f, 0, sizeof *f);
    physmap_init(&f->pm);
    CHECK(physmap_add_ram(&f->pm, FAKE_RAM, FAKE_RAM_BYTES, &f->e) == 0);
}

static inline uint64_t
fake_read(struct fake *f, uint64_t gpa, unsigned size)
{
    uint64_t v;
    assert_true(physmap_io_read(&f->pm, gpa, size, &v));
    return v;
}

static inline void
fake_write(struct fake *f, uint64_t gpa, unsigned size, uint64_t v)
{
    assert_true(physmap_io_write(&f->pm, gpa, size, v));
}

#endif
