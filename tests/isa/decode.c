/*
 * decode.c - the table of instructions is sound, and the decoder reads operands where the
 * specification puts them
 */
#include "isa/isa.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static uint32_t seed_ = 1;

static uint32_t
random32(void)
{
    seed_ ^= seed_ << 13;
    seed_ ^= seed_ >> 17;
    seed_ ^= seed_ << 5;
    return seed_;
}

static void
assert_decodes(uint32_t w, const char *row, struct insn want)
{
    struct insn i;
    const struct insn_row *r = isa_decode(w, ISA_ALL, &i);
    assert_non_null(r);
    assert_string_equal(r->name, row);
    assert_int_equal(i.rd, want.rd);
    assert_int_equal(i.rs1, want.rs1);
    assert_int_equal(i.rs2, want.rs2);
    assert_int_equal(i.rs3, want.rs3);
    assert_int_equal(i.imm, want.imm);
    assert_int_equal(i.rm, want.rm);
    assert_int_equal(i.len, r->len);
}

static void
assert_illegal(uint32_t w, ext_set exts)
{
    struct insn i;
    assert_null(isa_decode(w, exts, &i));
    assert_int_equal(i.op, OP_ILLEGAL);
    assert_int_equal(i.len, insn_len(w));
}

static void
rows_are_well_formed(void **state)
{
    (void)state;
    for (size_t i = 0; i < isa_row_count; i++) {
        const struct insn_row *r = &isa_rows[i];
        assert_int_equal(r->match & ~r->mask, 0);
        assert_int_equal(r->len, insn_len(r->match));
        assert_int_equal(r->mask & (r->len == 4 ? 0x7f : 3), r->len == 4 ? 0x7f : 3);
        assert_true(r->len == 4 || r->mask <= 0xffff);
        assert_true(r->op > OP_ILLEGAL && r->op < OP_COUNT);
        assert_true(r->ext < EXT_COUNT_ALL);
        for (size_t k = 0; k < i; k++) {
            assert_string_not_equal(r->name, isa_rows[k].name);
            /* Two rows of one encoding could never both be reached. */
            assert_false(r->match == isa_rows[k].match && r->mask == isa_rows[k].mask);
        }
    }
}

/* Each row is found by most of its words; a more special row may take some. */
static void
every_row_is_reached(void **state)
{
    (void)state;
    for (size_t i = 0; i < isa_row_count; i++) {
        const struct insn_row *r = &isa_rows[i];
        unsigned own = 0;
        for (unsigned k = 0; k < 1000; k++) {
            uint32_t w = r->match | (random32() & ~r->mask & (r->len == 4 ? ~0u : 0xffffu));
            own += isa_find_row(w) == r;
        }
        assert_true(own > 200);
    }
}

/* Whatever a word says: operands in range, a length, and the same row for the same bits. */
static void
any_word_is_taken(void **state)
{
    (void)state;
    for (unsigned k = 0; k < 2000000; k++) {
        uint32_t w = k < 0x10000 ? k : random32();
        struct insn i;
        const struct insn_row *r = isa_decode(w, ISA_ALL, &i);
        assert_int_equal(i.len, insn_len(w));
        assert_true(i.rd < 32 && i.rs1 < 32 && i.rs2 < 32 && i.rs3 < 32 && i.rm < 8);
        assert_true((r == NULL) == (i.op == OP_ILLEGAL));
        if (r != NULL) {
            assert_int_equal(w & r->mask, r->match);
        }
    }
}

static void
operands_of_32_bits(void **state)
{
    (void)state;
    assert_decodes(0xfff58513, "addi", (struct insn){.rd = 10, .rs1 = 11, .imm = -1});
    assert_decodes(0x80000537, "lui", (struct insn){.rd = 10, .imm = INT32_MIN});
    assert_decodes(0xfea5bc23, "sd", (struct insn){.rs1 = 11, .rs2 = 10, .imm = -8});
    assert_decodes(0x80b50063, "beq", (struct insn){.rs1 = 10, .rs2 = 11, .imm = -4096});
    assert_decodes(0x7eb50fe3, "beq", (struct insn){.rs1 = 10, .rs2 = 11, .imm = 4094});
    assert_decodes(0x800000ef, "jal", (struct insn){.rd = 1, .imm = -1048576});
    assert_decodes(0x7ffff0ef, "jal", (struct insn){.rd = 1, .imm = 1048574});
    assert_decodes(0x43f5d513, "srai", (struct insn){.rd = 10, .rs1 = 11, .imm = 63});
    assert_decodes(0x68c5f543, "fmadd_s",
                   (struct insn){.rd = 10, .rs1 = 11, .rs2 = 12, .rs3 = 13, .rm = 7});
    assert_decodes(0x0630a52f, "amoadd_w", (struct insn){.rd = 10, .rs1 = 1, .rs2 = 3, .rm = 3});
    assert_decodes(0xf1402573, "csrrs", (struct insn){.rd = 10, .imm = 0xf14});
    assert_decodes(0x0ff0000f, "fence", (struct insn){.imm = 0xff});
    assert_decodes(0xfe35e013, "prefetch_w", (struct insn){.rs1 = 11, .imm = -32});
}

static void
operands_of_16_bits(void **state)
{
    (void)state;
    assert_decodes(0x1000, "c_addi4spn", (struct insn){.rd = 8, .rs1 = 2, .imm = 32});
    assert_decodes(0x7101, "c_addi16sp", (struct insn){.rd = 2, .rs1 = 2, .imm = -512});
    assert_decodes(0x757d, "c_lui", (struct insn){.rd = 10, .imm = -4096});
    assert_decodes(0x5ffc, "c_lw", (struct insn){.rd = 15, .rs1 = 15, .imm = 124});
    assert_decodes(0xfffc, "c_sd", (struct insn){.rs1 = 15, .rs2 = 15, .imm = 248});
    assert_decodes(0xb001, "c_j", (struct insn){.imm = -2048});
    assert_decodes(0xd001, "c_beqz", (struct insn){.rs1 = 8, .imm = -256});
    assert_decodes(0x70fe, "c_ldsp", (struct insn){.rd = 1, .rs1 = 2, .imm = 504});
    assert_decodes(0x9d61, "c_zext_b", (struct insn){.rd = 10, .rs1 = 10, .imm = 255});
    assert_decodes(0x8082, "c_jr", (struct insn){.rs1 = 1});
    assert_decodes(0x9582, "c_jalr", (struct insn){.rd = 1, .rs1 = 11});
}

static void
reserved_encodings_are_illegal(void **state)
{
    (void)state;
    static const uint32_t words[] = {
        0x00000000,
        0xffffffff, /* all zeros, all ones */
        0x0004,     /* c.addi4spn, immediate 0 */
        0x2001,     /* c.addiw, rd = x0 */
        0x6101,
        0x6501, /* c.addi16sp, c.lui: immediate 0 */
        0x4002,
        0x6002, /* c.lwsp, c.ldsp: rd = x0 */
        0x8002, /* c.jr x0 */
        0x9c7d, /* no c.* in quadrant 1 */
        0x00b55553 | 5 << 12,
        0x00b56553, /* rounding modes 5 and 6 */
        0x1015a52f, /* lr.w with rs2 */
        0x28b645af,
        0x28b6452f,        /* amocas.q with odd registers */
        0x12000573 | 0x80, /* sfence.vma with rd */
    };
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        assert_illegal(words[i], ISA_ALL);
    }
}

/* A missing extension takes its own rows away and leaves what they specialised. */
static void
hints_fall_back(void **state)
{
    (void)state;
    static const struct {
        uint32_t w;
        const char *with, *without;
        ext_set missing;
    } cases[] = {
        {0x0100000f, "pause", "fence", EXT_BIT(ZIHINTPAUSE)},
        {0x00200033, "ntl_p1", "add", EXT_BIT(ZIHINTNTL)},
        {0x00056013, "prefetch_i", "ori", EXT_BIT(ZICBOP)},
        {0x0805453b, "zext_h", "packw", EXT_BIT(ZBB)},
        {0x6081, "c_mop_n", NULL, EXT_BIT(ZCMOP)},
        {0x81c5c573, "mop_r_n", NULL, EXT_BIT(ZIMOP)},
        {0x02b50533, "mul", NULL, EXT_BIT(M)},
        {0x40b57533, "andn", "andn", EXT_BIT(ZBB)}, /* Zbkb has it too */
        {0x40b57533, "andn", NULL, EXT_BIT(ZBB) | EXT_BIT(ZBKB)},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct insn o;
        const struct insn_row *r = isa_decode(cases[i].w, ISA_ALL & ~cases[i].missing, &o);
        assert_string_equal(isa_find_row(cases[i].w)->name, cases[i].with);
        assert_true((r == NULL) == (cases[i].without == NULL));
        if (r != NULL) {
            assert_string_equal(r->name, cases[i].without);
        }
    }
}

static void
extensions_have_names_and_members(void **state)
{
    (void)state;
    for (unsigned x = 0; x < EXT_COUNT_ALL; x++) {
        assert_non_null(isa_ext_name(x));
        assert_int_not_equal(isa_ext_members(x), 0);
        assert_true(x < EXT_COUNT ? isa_ext_members(x) == UINT64_C(1) << x
                                  : __builtin_popcountll(isa_ext_members(x)) > 1);
        assert_true(isa_ext_enabled(x, ISA_ALL) && !isa_ext_enabled(x, 0));
    }
}

static void
csrs_are_found(void **state)
{
    (void)state;
    for (size_t i = 0; i < isa_csr_count; i++) {
        assert_true(i == 0 || isa_csrs[i - 1].number < isa_csrs[i].number);
        assert_ptr_equal(isa_find_csr(isa_csrs[i].number), &isa_csrs[i]);
        assert_ptr_equal(isa_find_csr_name(isa_csrs[i].name), &isa_csrs[i]);
    }
    assert_null(isa_csr_name(0x7ff));
    assert_null(isa_csr_name(0x1000));
    assert_string_equal(isa_csr_name(0x180), "satp");
    assert_true(isa_csr_is_read_only(0xc00) && !isa_csr_is_read_only(0xb00));
    assert_int_equal(isa_csr_level(0x300), 3);
}

static void
isa_strings_are_read(void **state)
{
    (void)state;
    ext_set e;
    assert_true(isa_ext_parse("rv64i2p1_m2p0_zba1p0_zicbom1p0_xfoo1p0_zvl128b1p0", &e));
    assert_int_equal(e, EXT_BIT(I) | EXT_BIT(M) | EXT_BIT(ZBA) | EXT_BIT(ZICBOM));
    assert_true(isa_ext_parse("rv64gc", &e));
    assert_int_equal(e & EXT_BIT(D), EXT_BIT(D));
    assert_int_equal(e & EXT_BIT(ZCD), EXT_BIT(ZCD));
    assert_int_equal(e & EXT_BIT(ZIFENCEI), EXT_BIT(ZIFENCEI));
    assert_int_equal(e & EXT_BIT(ZBB), 0);
    assert_true(isa_ext_parse("rv64imac", &e));
    assert_int_equal(e & (EXT_BIT(ZCA) | EXT_BIT(ZCD) | EXT_BIT(D)), EXT_BIT(ZCA));
    assert_false(isa_ext_parse("rv32gc", &e));
    assert_false(isa_ext_parse("", &e));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_are_well_formed), cmocka_unit_test(every_row_is_reached),
        cmocka_unit_test(any_word_is_taken),    cmocka_unit_test(operands_of_32_bits),
        cmocka_unit_test(operands_of_16_bits),  cmocka_unit_test(reserved_encodings_are_illegal),
        cmocka_unit_test(hints_fall_back),      cmocka_unit_test(extensions_have_names_and_members),
        cmocka_unit_test(csrs_are_found),       cmocka_unit_test(isa_strings_are_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
