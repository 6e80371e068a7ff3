/*
 * fields.c - the tables of base/fields.h: what a dump says, and that a forgotten member is found
 */
#include "base/fields.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

struct thing {
    uint64_t pc;
    uint32_t x[2];
    uint8_t mode; /* and seven bytes of padding */
    uint64_t end;
};

#define FIELD(name, size, count) { #name, offsetof(struct thing, name), size, count, 1 }

static const struct field whole[] = { FIELD(pc, 8, 1), FIELD(x, 4, 2), FIELD(mode, 1, 1), FIELD(end, 8, 1) };
static const struct field no_x[] = { FIELD(pc, 8, 1), FIELD(mode, 1, 1), FIELD(end, 8, 1) };
static const struct field no_end[] = { FIELD(pc, 8, 1), FIELD(x, 4, 2), FIELD(mode, 1, 1) };

static const struct thing sample = { .pc = 0x1000, .x = { 1, 0xffffffff }, .mode = 3, .end = 1ull << 63 };

static void
collect(void *arg, const char *text, size_t len)
{
    strncat(arg, text, len);
}

static void
dump_is_text(void **state)
{
    (void)state;
    char out[256] = "";
    fields_dump(whole, 4, &sample, false, collect, out);
    assert_string_equal(out, "pc 0x1000\nx0 0x1\nx1 0xffffffff\nmode 0x3\nend 0x8000000000000000\n");
}

static void
dump_is_json(void **state)
{
    (void)state;
    char out[256] = "";
    fields_dump(whole, 3, &sample, true, collect, out);
    assert_string_equal(out, "\"pc\":\"0x1000\",\"x0\":\"0x1\",\"x1\":\"0xffffffff\",\"mode\":\"0x3\"");
}

static void
cover_finds_the_forgotten(void **state)
{
    (void)state;
    assert_int_equal(fields_cover(whole, 4, sizeof(struct thing)), sizeof(struct thing));
    assert_int_equal(fields_cover(no_x, 3, sizeof(struct thing)), offsetof(struct thing, x));
    assert_in_range(fields_cover(no_end, 3, sizeof(struct thing)), offsetof(struct thing, mode) + 1,
                    offsetof(struct thing, end));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(dump_is_text),
        cmocka_unit_test(dump_is_json),
        cmocka_unit_test(cover_finds_the_forgotten),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
