/* wishes.c - what several children of fork ask for is granted once they are enough, also where their addresses meet in the table */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "engine/jit.h"

/* All of these come to the same place. */
static uint64_t
meeting(unsigned k)
{
    const uint64_t hi = (uint64_t)k << 9;
    return 0x10000 | hi | ((hi >> 9 ^ hi >> 1) & 255) << 1;
}

static void
granted_together(void **state)
{
    (void)state;
    struct jit *const j = calloc(1, sizeof *j);
    assert_non_null(j);
    jit_wishes_init(j);
    jit_wishes_child(j);
    assert_true(j->young > 0);
    unsigned at = 0;
    for (unsigned child = 0; child < 3; child++) {
        assert_int_equal(jit_wish_next(j, &at), 0);
        at = 0;
        for (unsigned k = 0; k < 5; k++) {
            jit_wish(j, meeting(k));
        }
    }
    unsigned seen = 0;
    for (uint64_t pc; (pc = jit_wish_next(j, &at)) != 0;) {
        for (unsigned k = 0; k < 5; k++) {
            seen |= (unsigned)(pc == meeting(k)) << k;
        }
    }
    assert_int_equal(seen, 31);
    at = 0;
    assert_int_equal(jit_wish_next(j, &at), 0); /* once */
    free(j);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(granted_together)};
    return cmocka_run_group_tests_name("engine/wishes", tests, NULL, NULL);
}
