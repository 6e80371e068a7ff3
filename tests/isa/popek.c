/*
 * popek.c - Popek and Goldberg's theorem follows the table: one row made critical, and the verdict
 * changes
 */
#include "isa/isa.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* The verdict on a copy of the table in which the row of this name has another class. */
static bool
judge_with(const char *name, enum insn_class cls, struct popek_verdict *v)
{
    struct insn_row *rows = malloc(isa_row_count * sizeof *rows);
    struct csr_row *csrs = malloc(isa_csr_count * sizeof *csrs);
    assert_non_null(rows);
    assert_non_null(csrs);
    memcpy(rows, isa_rows, isa_row_count * sizeof *rows);
    memcpy(csrs, isa_csrs, isa_csr_count * sizeof *csrs);
    unsigned changed = 0;
    for (size_t i = 0; i < isa_row_count; i++) {
        if (strcmp(rows[i].name, name) == 0) {
            rows[i].cls = cls;
            changed++;
        }
    }
    for (size_t i = 0; i < isa_csr_count; i++) {
        if (strcmp(csrs[i].name, name) == 0) {
            csrs[i].cls = cls;
            changed++;
        }
    }
    assert_int_equal(changed, 1);
    bool holds = isa_popek(rows, isa_row_count, csrs, isa_csr_count, v);
    if (v->first_insn != NULL) { /* outlives the copy */
        v->first_insn = &isa_rows[v->first_insn - rows];
    }
    if (v->first_csr != NULL) {
        v->first_csr = &isa_csrs[v->first_csr - csrs];
    }
    free(rows);
    free(csrs);
    return holds;
}

static void
holds_for_riscv(void **state)
{
    (void)state;
    struct popek_verdict v;
    assert_true(isa_popek(isa_rows, isa_row_count, isa_csrs, isa_csr_count, &v));
    assert_int_equal(v.critical, 0);
    assert_null(v.first_insn);
    assert_null(v.first_csr);
    assert_int_equal(v.innocuous + v.privileged + v.gated, isa_row_count + isa_csr_count);
}

static void
one_control_sensitive_row_breaks_it(void **state)
{
    (void)state;
    struct popek_verdict v;
    /* As if sret did nothing in user mode instead of trapping, like popf of x86. */
    assert_false(judge_with("sret", CLASS_CONTROL, &v));
    assert_int_equal(v.critical, 1);
    assert_string_equal(v.first_insn->name, "sret");
}

static void
one_behaviour_sensitive_csr_breaks_it(void **state)
{
    (void)state;
    struct popek_verdict v;
    /* As if user mode could read its own mode, like smsw of x86. */
    assert_false(judge_with("sstatus", CLASS_BEHAVIOUR, &v));
    assert_int_equal(v.critical, 1);
    assert_null(v.first_insn);
    assert_string_equal(v.first_csr->name, "sstatus");
}

static void
a_gate_is_what_saves_the_counters(void **state)
{
    (void)state;
    struct popek_verdict v;
    assert_int_equal(isa_find_csr_name("time")->cls, CLASS_GATED);
    assert_false(judge_with("time", CLASS_BEHAVIOUR, &v));
    assert_true(judge_with("time", CLASS_PRIVILEGED, &v));
}

static void
every_gated_row_names_its_gate(void **state)
{
    (void)state;
    for (size_t i = 0; i < isa_row_count; i++) {
        if (isa_rows[i].cls == CLASS_GATED) {
            assert_non_null(isa_gate(isa_rows[i].ext));
        }
    }
    for (size_t i = 0; i < isa_csr_count; i++) {
        if (isa_csrs[i].cls == CLASS_GATED) {
            assert_non_null(isa_gate(isa_csrs[i].ext));
        }
    }
}

/* What lies above user level traps there by its number alone; below, nothing may claim to. */
static void
csr_numbers_agree_with_classes(void **state)
{
    (void)state;
    for (size_t i = 0; i < isa_csr_count; i++) {
        const struct csr_row *r = &isa_csrs[i];
        assert_true((isa_csr_level(r->number) > 0) == (r->cls == CLASS_PRIVILEGED));
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(holds_for_riscv),
        cmocka_unit_test(one_control_sensitive_row_breaks_it),
        cmocka_unit_test(one_behaviour_sensitive_csr_breaks_it),
        cmocka_unit_test(a_gate_is_what_saves_the_counters),
        cmocka_unit_test(every_gated_row_names_its_gate),
        cmocka_unit_test(csr_numbers_agree_with_classes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
