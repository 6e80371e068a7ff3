/*
 * vec.c - see vec.h
 *
 * What an instruction needs is known from its row's format and, for the sizes of memory accesses, its name. Random words
 * are the row's fixed bits and noise elsewhere, kept if the decoder says that they are that row: so no encoder is needed.
 */
#include "vec.h"

#include <elf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Where a value for an operand comes from. */
enum role { ROLE_INT, ROLE_FP, ROLE_ADDRESS, ROLE_TARGET, ROLE_OLD, ROLE_FCSR };

struct shape {
    char rd, rs1, rs2, rs3; /* 'x', 'f', 'a' the address of memory, '-' none */
};

static const struct shape shapes[] = {
    [FMT_N] = {'-', '-', '-', '-'},     [FMT_R] = {'x', 'x', 'x', '-'},     [FMT_R1] = {'x', 'x', '-', '-'},
    [FMT_I] = {'x', 'x', '-', '-'},     [FMT_IL] = {'x', 'a', '-', '-'},    [FMT_S] = {'-', 'a', 'x', '-'},
    [FMT_B] = {'-', 'x', 'x', '-'},     [FMT_U] = {'x', '-', '-', '-'},     [FMT_J] = {'x', '-', '-', '-'},
    [FMT_SH6] = {'x', 'x', '-', '-'},   [FMT_SH5] = {'x', 'x', '-', '-'},   [FMT_FENCE] = {'-', '-', '-', '-'},
    [FMT_CBO] = {'-', 'a', '-', '-'},   [FMT_PREF] = {'-', 'a', '-', '-'},  [FMT_CSR] = {'x', 'x', '-', '-'},
    [FMT_CSRI] = {'x', '-', '-', '-'},  [FMT_AMO] = {'x', 'a', 'x', '-'},   [FMT_AMOQ] = {'x', 'a', 'x', '-'},
    [FMT_LR] = {'x', 'a', '-', '-'},    [FMT_FL] = {'f', 'a', '-', '-'},    [FMT_FS] = {'-', 'a', 'f', '-'},
    [FMT_F4] = {'f', 'f', 'f', 'f'},    [FMT_F3] = {'f', 'f', 'f', '-'},    [FMT_F2] = {'f', 'f', '-', '-'},
    [FMT_F3N] = {'f', 'f', 'f', '-'},   [FMT_FC] = {'x', 'f', 'f', '-'},    [FMT_FX] = {'x', 'f', '-', '-'},
    [FMT_FXR] = {'x', 'f', '-', '-'},   [FMT_FXZ] = {'x', 'f', '-', '-'},   [FMT_XFR] = {'f', 'x', '-', '-'},
    [FMT_XF] = {'f', 'x', '-', '-'},    [FMT_FLI] = {'f', '-', '-', '-'},   [FMT_MOPR] = {'x', 'x', '-', '-'},
    [FMT_MOPRR] = {'x', 'x', 'x', '-'},
};

const char *
vec_skipped(const struct insn_row *row)
{
    switch (row->op) {
    case OP_ecall:
        return NULL;
    case OP_ebreak:
        return "raises SIGTRAP";
    case OP_cbo_inval:
    case OP_cbo_clean:
    case OP_cbo_flush:
        return "no reference: senvcfg.CBIE and CBCFE are 0 in QEMU's user mode";
    default:
        return row->cls == CLASS_PRIVILEGED || row->ext == EXT_H ? "traps in user mode" : NULL;
    }
}

/* xorshift64*; a generator, because results must be the same everywhere. */
static uint64_t rng_state;

static uint64_t
rng(void)
{
    rng_state ^= rng_state << 13;
    rng_state ^= rng_state >> 7;
    rng_state ^= rng_state << 17;
    return rng_state * UINT64_C(0x2545f4914f6cdd1d);
}

static unsigned
rng_below(unsigned n)
{
    return (unsigned)((rng() >> 32) * n >> 32);
}

static bool
one_in(unsigned n)
{
    return rng_below(n) == 0;
}

static uint64_t
random_int(void)
{
    static const uint64_t edges[] = {0, 1, 2, ~UINT64_C(0), INT64_MAX, (uint64_t)INT64_MIN, INT32_MAX, (uint64_t)INT32_MIN,
                                     UINT32_MAX, UINT64_C(0x8000000000000001), 0x80000000, UINT64_C(0x100000000)};
    switch (rng_below(6)) {
    case 0:
        return edges[rng_below(sizeof edges / sizeof edges[0])];
    case 1:
        return (UINT64_C(1) << rng_below(64)) - rng_below(2);
    case 2:
        return (uint64_t)((int64_t)rng() >> rng_below(64));
    case 3:
        return (uint64_t)(int32_t)rng();
    default:
        return rng();
    }
}

/* width 16, 32 or 64 */
static uint64_t
random_float(unsigned width)
{
    const unsigned frac_bits = width == 16 ? 10 : width == 32 ? 23 : 52, exp_bits = width - 1 - frac_bits;
    const uint64_t frac_mask = (UINT64_C(1) << frac_bits) - 1, top = (UINT64_C(1) << exp_bits) - 1, bias = top / 2;
    const uint64_t exps[] = {0, 0, top, top, 1, 2, top - 1, top - 2, bias, bias - 1, bias + 1, bias + frac_bits,
                             bias + rng_below(65), bias - rng_below(frac_bits + 3)};
    const uint64_t fracs[] = {0, 0, 1, frac_mask, frac_mask - 1, frac_mask / 2, frac_mask / 2 + 1, rng() & 7, frac_mask ^ (rng() & 7),
                              UINT64_C(1) << rng_below(frac_bits), rng() & frac_mask,
                              frac_mask & ~((UINT64_C(1) << rng_below(frac_bits)) - 1)};
    const uint64_t sign = (rng() & 1) << (width - 1);
    if (one_in(2)) {
        return sign | (exps[rng_below(sizeof exps / sizeof exps[0])] & top) << frac_bits |
               fracs[rng_below(sizeof fracs / sizeof fracs[0])];
    }
    /* within 2^±16 of one another, so that sums and multiply-adds meet */
    const uint64_t spread = bias < 32 ? bias : 32;
    return sign | (bias - spread / 2 + rng_below((unsigned)spread + 1)) << frac_bits | (rng() & frac_mask);
}

/* As it stands in a register: mostly boxed, sometimes not. */
static uint64_t
random_f_register(unsigned width)
{
    static const unsigned widths[] = {16, 32, 64};
    if (one_in(16)) {
        width = widths[rng_below(3)];
    }
    const uint64_t v = random_float(width);
    if (width == 64) {
        return v;
    }
    if (one_in(16)) {
        return v | (one_in(2) ? rng() << width : ~UINT64_C(0) << width ^ UINT64_C(1) << (width + rng_below(64 - width)));
    }
    return v | ~UINT64_C(0) << width;
}

/* The precision of a row's operands is the last letter of its name that is one: fadd_s, fcvt_w_d, flh. */
static unsigned
operand_width(const struct insn_row *row)
{
    const size_t len = strlen(row->name);
    const char c = row->fmt == FMT_FS ? row->name[2] : row->name[len - 1];
    return c == 'h' ? 16 : c == 's' || c == 'w' ? 32 : 64;
}

static unsigned
access_size(const struct insn_row *row)
{
    const char *n = strncmp(row->name, "c_", 2) == 0 ? row->name + 2 : row->name;
    const size_t len = strlen(n);
    if (row->fmt == FMT_AMO || row->fmt == FMT_LR || row->fmt == FMT_AMOQ) {
        n += len - 1;
    } else if (row->fmt == FMT_CBO || row->fmt == FMT_PREF) {
        return 1;
    } else {
        n += n[0] == 'f' ? 2 : 1;
    }
    return *n == 'b' ? 1 : *n == 'h' ? 2 : *n == 'w' ? 4 : *n == 'q' ? 16 : 8;
}

static void *
grow(void *p, size_t size)
{
    p = realloc(p, size);
    if (p == NULL) {
        fputs("vec: no memory\n", stderr);
        exit(1);
    }
    return p;
}

/* Emitting */

static void
emit(struct vec *v, uint32_t w)
{
    const size_t n = insn_len(w);
    if (v->text_size + n > v->text_cap) {
        v->text_cap = 2 * v->text_cap + 4096;
        v->text = grow(v->text, v->text_cap);
    }
    memcpy(v->text + v->text_size, &w, n); /* both little-endian */
    v->text_size += n;
}

static uint64_t
here(const struct vec *v)
{
    return VEC_TEXT + v->text_size;
}

static void
addi(struct vec *v, unsigned rd, unsigned rs1, int imm)
{
    emit(v, (uint32_t)imm << 20 | rs1 << 15 | rd << 7 | 0x13);
}

static void
li(struct vec *v, unsigned rd, uint64_t value)
{
    const uint32_t low = (uint32_t)value & 0xfff;
    emit(v, (((uint32_t)value + 0x800) & 0xfffff000) | rd << 7 | 0x37);
    emit(v, low << 20 | rd << 15 | rd << 7 | 0x1b);
}

static void
load(struct vec *v, bool fp, unsigned rd, unsigned base, unsigned offset)
{
    emit(v, offset << 20 | base << 15 | 3 << 12 | rd << 7 | (fp ? 0x07 : 0x03));
}

static void
store(struct vec *v, bool fp, unsigned rs2, unsigned base, unsigned offset)
{
    emit(v, (offset >> 5) << 25 | rs2 << 20 | base << 15 | 3 << 12 | (offset & 31) << 7 | (fp ? 0x27 : 0x23));
}

static void
jump(struct vec *v, uint64_t to)
{
    const uint32_t o = (uint32_t)(to - here(v));
    emit(v, (o >> 20 & 1) << 31 | (o >> 1 & 0x3ff) << 21 | (o >> 11 & 1) << 20 | (o >> 12 & 0xff) << 12 | 0x6f);
}

static void
bnez(struct vec *v, unsigned rs1, uint64_t to)
{
    const uint32_t o = (uint32_t)(to - here(v));
    emit(v, (o >> 12 & 1) << 31 | (o >> 5 & 0x3f) << 25 | rs1 << 15 | 1 << 12 | (o >> 1 & 15) << 8 | (o >> 11 & 1) << 7 | 0x63);
}

#define FSCSR(rs1) (0x00301073u | (rs1) << 15)
#define FRCSR(rd)  (0x00302073u | (rd) << 7)

/* Up to `to` with what would trap if it ran. */
static void
pad(struct vec *v, uint64_t to)
{
    while (here(v) < to) {
        emit(v, 0x9002); /* c.ebreak */
    }
}

/* The data segment holds operands first; results are kept apart until all operands are known. */
static uint64_t *
data_words(struct vec *v, size_t words, uint64_t *address)
{
    const size_t size = words * 8;
    if (v->data_size + size > v->data_cap) {
        v->data_cap = 2 * v->data_cap + size + 65536;
        v->data = grow(v->data, v->data_cap);
    }
    uint64_t *p = (uint64_t *)(void *)(v->data + v->data_size);
    *address = VEC_DATA + v->data_size;
    v->data_size += size;
    return p;
}

static unsigned
free_register(uint32_t *used)
{
    for (;;) {
        const unsigned r = 1 + rng_below(31);
        if ((*used >> r & 1) == 0) {
            *used |= 1u << r;
            return r;
        }
    }
}

/* Put `value` into a 5-bit field, if those bits are free in this row. */
static uint32_t
with_field(const struct insn_row *row, uint32_t w, unsigned at, uint32_t value)
{
    const uint32_t field = 31u << at;
    return row->len == 4 && (row->mask & field) == 0 ? (w & ~field) | value << at : w;
}

static bool
is_csr(const struct insn_row *row)
{
    return row->fmt == FMT_CSR || row->fmt == FMT_CSRI;
}

static const struct insn_row *
base_row(const struct insn_row *row)
{
    return &isa_rows[row->op - 1]; /* INSN rows come first, in the order of enum op */
}

static bool
is_jump(const struct insn_row *base)
{
    return base->fmt == FMT_B || base->fmt == FMT_J || base->op == OP_jalr;
}

/* A random word of the row that this harness can drive. */
static uint32_t
random_word(const struct insn_row *row, struct insn *in)
{
    const struct insn_row *base = base_row(row);
    for (unsigned tries = 0; tries < 1000000; tries++) {
        uint32_t w = (row->match | ((uint32_t)rng() & ~row->mask)) & (row->len == 2 ? 0xffff : 0xffffffff);
        const uint32_t r = (uint32_t)rng();
        if (r % 8 == 0) {
            w = with_field(row, w, 7, w >> 15 & 31); /* rd = rs1 */
        } else if (r % 8 == 1) {
            w = with_field(row, w, 20, w >> 15 & 31); /* rs2 = rs1 */
        } else if (r % 16 == 2) {
            w = with_field(row, w, 7, 0);
        } else if (r % 16 == 3) {
            w = with_field(row, w, 20, 0);
        } else if (r % 16 == 4) {
            w = with_field(row, w, 7, w >> 20 & 31); /* rd = rs2 */
        }
        if (is_csr(row)) {
            w = (w & 0xfffff) | (1 + rng_below(3)) << 20; /* fflags, frm, fcsr */
        }
        if (isa_find_row(w) != row) {
            continue;
        }
        isa_decode(w, ~UINT64_C(0), in);
        if (in->op == OP_ILLEGAL) {
            continue;
        }
        if (shapes[base->fmt].rs1 == 'a' && in->rs1 == 0) {
            continue;
        }
        if (base->fmt == FMT_B || base->fmt == FMT_J) {
            const int32_t o = in->imm < 0 ? -in->imm : in->imm;
            if (o < 32 || o > 8000) {
                continue;
            }
        }
        if (base->op == OP_jalr && in->rs1 == 0) {
            continue;
        }
        /* No reference: QEMU 11.1 overwrites its own zero. */
        if ((base->op >= OP_amocas_w && base->op <= OP_amocas_h) && in->rd == 0) {
            continue;
        }
        return w;
    }
    fprintf(stderr, "vec: no word found for %s\n", row->name);
    exit(1);
}

struct making {
    struct vec *v;
    struct vec_case *c;
    const struct insn_row *base;
    uint8_t role[VEC_LOADS];
    uint64_t target; /* jalr */
    bool uses_fcsr, has_memory;
};

static void
add_load(struct making *m, enum vec_reg kind, unsigned reg, enum role role)
{
    if (kind == VEC_X && reg == 0) {
        return;
    }
    struct vec_case *c = m->c;
    c->load[c->loads].kind = (uint8_t)kind;
    c->load[c->loads].reg = (uint8_t)reg;
    m->role[c->loads++] = (uint8_t)role;
}

static void
add_operand(struct making *m, char shape, unsigned reg)
{
    switch (shape) {
    case 'x':
        add_load(m, VEC_X, reg, m->base->op == OP_jalr ? ROLE_TARGET : ROLE_INT);
        break;
    case 'f':
        add_load(m, VEC_F, reg, ROLE_FP);
        break;
    case 'a':
        add_load(m, VEC_X, reg, ROLE_ADDRESS);
        break;
    default:
        break;
    }
}

/* What is loaded before the instruction, in this order: a later one wins where registers are the same. */
static void
plan_loads(struct making *m)
{
    const struct insn *in = &m->c->in;
    const struct shape *s = &shapes[m->base->fmt];
    const bool pair = m->base->fmt == FMT_AMOQ;

    if (s->rd == 'x') {
        add_load(m, VEC_X, in->rd, ROLE_OLD);
        if (pair && in->rd != 0) {
            add_load(m, VEC_X, in->rd + 1u, ROLE_OLD);
        }
    } else if (s->rd == 'f') {
        add_load(m, VEC_F, in->rd, ROLE_FP);
    }
    if (pair && in->rs2 != 0) {
        add_load(m, VEC_X, in->rs2 + 1u, ROLE_INT);
    }
    add_operand(m, s->rs3, in->rs3);
    add_operand(m, s->rs2, in->rs2);
    add_operand(m, s->rs1, in->rs1);
    if (m->uses_fcsr) {
        add_load(m, VEC_FCSR, 0, ROLE_FCSR);
    }
}

static uint64_t
random_fcsr(const struct vec_case *c)
{
    const bool dynamic = c->in.rm == 7 && !is_csr(c->row);
    const uint64_t frm = one_in(2) ? 0 : rng_below(dynamic ? 5 : 8);
    return frm << 5 | (one_in(4) ? rng_below(32) : 0);
}

/* Operands of one execution; `scratch` is where its 64 bytes of memory are, `at` their guest address. */
static void
fill_operands(const struct making *m, uint64_t *out, const uint8_t *scratch, uint64_t at)
{
    const struct vec_case *c = m->c;
    const unsigned size = m->has_memory ? access_size(c->row->len == 2 ? m->base : c->row) : 0;
    const unsigned width = operand_width(c->row->len == 2 ? m->base : c->row);
    const bool atomic = m->base->fmt == FMT_AMO || m->base->fmt == FMT_LR || m->base->fmt == FMT_AMOQ;
    const unsigned place = size ? (atomic ? rng_below(64 / size) * size : rng_below(64 - size + 1)) : 0;
    uint64_t last_fp = 0, last_int = 0, held[2] = {0, 0};
    const bool same_as_memory = one_in(2);
    unsigned olds = 0;

    if (size) {
        memcpy(held, scratch + place, size);
    }
    for (unsigned k = 0; k < c->loads; k++) {
        switch ((enum role)m->role[k]) {
        case ROLE_INT:
            out[k] = random_int();
            if (one_in(6)) { /* near what it may be compared with */
                out[k] = (one_in(2) ? last_int : (uint64_t)(int64_t)c->in.imm) + rng_below(3) - 1;
            }
            last_int = out[k];
            break;
        case ROLE_OLD: /* the compare value of amocas: as in memory, half of the time */
            out[k] = atomic && same_as_memory ? held[olds & 1] ^ (size < 8 ? rng() << (8 * size) : 0) : random_int();
            olds++;
            break;
        case ROLE_FP:
            out[k] = random_f_register(width);
            if (last_fp != 0 && one_in(6)) {
                out[k] = last_fp ^ (rng() & 3) ^ (one_in(2) ? UINT64_C(1) << (width - 1) : 0);
            }
            last_fp = out[k];
            break;
        case ROLE_ADDRESS:
            out[k] = at + place - (uint64_t)(int64_t)c->in.imm;
            break;
        case ROLE_TARGET: /* the lowest bit is ignored */
            out[k] = m->target - (uint64_t)(int64_t)c->in.imm + (one_in(2) && (c->in.imm & 1) == 0);
            break;
        case ROLE_FCSR:
            out[k] = random_fcsr(c);
            break;
        }
    }
}

/*
 * The instruction. A jump lands forward or backward on code that marks it: mark is 1 if control fell through, 2 if it came
 * to the target.
 */
static void
emit_instruction(struct making *m, unsigned mark, unsigned spare)
{
    struct vec *v = m->v;
    struct vec_case *c = m->c;

    if (!is_jump(m->base)) {
        if (c->row->op == OP_ecall) {
            addi(v, 17, 0, VEC_NO_CALL);
        }
        if ((c->row->op == OP_sc_w || c->row->op == OP_sc_d) && !one_in(4)) {
            emit(v, (c->row->op == OP_sc_w ? 0x1000202fu : 0x1000302fu) | (uint32_t)c->in.rs1 << 15 | spare << 7);
        }
        c->pc = here(v);
        emit(v, c->word);
        return;
    }
    const bool computed = m->base->op == OP_jalr;
    const int64_t distance = computed ? (int64_t)(40 + rng_below(100)) * (one_in(2) ? 2 : -2) : c->in.imm;
    addi(v, mark, 0, 0);
    if (distance > 0) {
        c->pc = here(v);
        emit(v, c->word);
        addi(v, mark, mark, 1);
        const uint64_t skip = here(v), target = c->pc + (uint64_t)distance;
        emit(v, 0x13); /* becomes a jump over the target's code */
        pad(v, target);
        addi(v, mark, mark, 2);
        const size_t end = v->text_size;
        v->text_size = skip - VEC_TEXT;
        jump(v, VEC_TEXT + end);
        v->text_size = end;
        m->target = target;
    } else {
        const uint64_t over = here(v);
        emit(v, 0x13);
        m->target = here(v);
        c->pc = m->target - (uint64_t)distance;
        addi(v, mark, mark, 2);
        const uint64_t leave = here(v);
        emit(v, 0x13);
        pad(v, c->pc);
        const size_t at = v->text_size;
        v->text_size = over - VEC_TEXT;
        jump(v, c->pc);
        v->text_size = at;
        emit(v, c->word);
        addi(v, mark, mark, 1);
        const size_t end = v->text_size;
        v->text_size = leave - VEC_TEXT;
        jump(v, VEC_TEXT + end);
        v->text_size = end;
    }
}

#define DUMP_WORDS 65

static void
emit_dump(struct vec *v, unsigned q, unsigned t)
{
    for (unsigned r = 1; r < 32; r++) {
        store(v, false, r, q, 8 * r);
    }
    for (unsigned r = 0; r < 32; r++) {
        store(v, true, r, q, 256 + 8 * r);
    }
    emit(v, FRCSR(t));
    store(v, false, t, q, 512);
}

/*
 * A result: [64 bytes of memory,] two words, one more for fcsr. Results are filled in once their place is known: code and operands
 * name addresses, so the place has to be known first.
 */
static void
make_case(struct vec *v, const struct insn_row *row, unsigned loops, uint64_t *results_at, uint8_t *scratch, bool dumped)
{
    struct vec_case *c = &v->cases[v->case_count++];
    struct making m = {.v = v, .c = c, .base = base_row(row)};
    const struct shape *s = &shapes[m.base->fmt];

    *c = (struct vec_case){.row = row, .count = loops, .dumped = dumped};
    c->word = random_word(row, &c->in);
    m.has_memory = s->rs1 == 'a';
    m.uses_fcsr = s->rd == 'f' || s->rs1 == 'f' || is_csr(row);
    c->result_size = m.has_memory ? 128 : m.uses_fcsr ? 24 : 16;
    if (m.has_memory) {
        *results_at = (*results_at + 127) & ~UINT64_C(127);
    }
    c->results = *results_at;
    *results_at += (uint64_t)loops * c->result_size + (dumped ? 8 * DUMP_WORDS : 0);
    plan_loads(&m);

    uint32_t used = 1u << c->in.rd | 1u << c->in.rs1 | 1u << c->in.rs2;
    if (m.base->fmt == FMT_AMOQ) {
        used |= used << 1;
    }
    if (row->op == OP_ecall) {
        used |= 1u << 10 | 1u << 17;
    }
    const unsigned p = free_register(&used), q = free_register(&used), n = free_register(&used), t = free_register(&used);
    const unsigned mark = free_register(&used);
    uint64_t *operands = data_words(v, (size_t)c->loads * loops + 1, &c->operands);

    li(v, p, c->operands);
    li(v, q, c->results);
    li(v, n, loops);
    const uint64_t loop = here(v);
    for (unsigned k = 0; k < c->loads; k++) {
        if (c->load[k].kind == VEC_FCSR) {
            load(v, false, t, p, 8 * k);
            emit(v, FSCSR(t));
        } else {
            load(v, c->load[k].kind == VEC_F, c->load[k].reg, p, 8 * k);
        }
    }
    emit_instruction(&m, mark, t);
    const unsigned base = m.has_memory ? 64 : 0;
    if (s->rd == 'f') {
        store(v, true, c->in.rd, q, base);
    } else {
        store(v, false, row->op == OP_ecall ? 10 : c->in.rd, q, base);
    }
    store(v, false, is_jump(m.base) ? mark : m.base->fmt == FMT_AMOQ ? c->in.rd + 1u : 0, q, base + 8);
    if (m.uses_fcsr) {
        emit(v, FRCSR(t));
        store(v, false, t, q, base + 16);
    }
    addi(v, p, p, (int)(8 * c->loads));
    addi(v, q, q, (int)c->result_size);
    addi(v, n, n, -1);
    /* A conditional branch reaches 4 KiB; what jumps far is longer. */
    if (here(v) - loop < 4000) {
        bnez(v, n, loop);
    } else {
        emit(v, 0x00000463u | n << 15); /* beqz n, .+8 */
        jump(v, loop);
    }
    if (dumped) {
        emit_dump(v, q, t);
    }
    for (unsigned k = 0; k < loops; k++) {
        fill_operands(&m, operands + (size_t)k * c->loads, scratch + c->results + (uint64_t)k * c->result_size,
                      c->results + (uint64_t)k * c->result_size);
    }
}

static void
clear_registers(struct vec *v)
{
    for (unsigned r = 1; r < 32; r++) {
        addi(v, r, 0, 0);
    }
    for (unsigned r = 0; r < 32; r++) {
        emit(v, 0xf2000053 | r << 7); /* fmv.d.x fr, x0 */
    }
    emit(v, FSCSR(0));
}

static void
emit_end(struct vec *v, uint64_t results, uint64_t size)
{
    li(v, 11, results);
    li(v, 12, size);
    const uint64_t again = here(v);
    addi(v, 10, 0, 1);
    addi(v, 17, 0, 64); /* write */
    emit(v, 0x73);
    emit(v, 10u << 20 | 11u << 15 | 11u << 7 | 0x33);              /* add a1, a1, a0 */
    emit(v, 0x40000033 | 10u << 20 | 12u << 15 | 12u << 7);        /* sub a2, a2, a0 */
    bnez(v, 12, again);
    addi(v, 10, 0, 0);
    addi(v, 17, 0, 93); /* exit */
    emit(v, 0x73);
}

/* What a result's place holds before: a function of the address alone, so that it is known before the place is there. */
static uint8_t
background(uint64_t address)
{
    uint64_t h = (address >> 3) * UINT64_C(0x9e3779b97f4a7c15);
    h ^= h >> 29;
    h *= UINT64_C(0xbf58476d1ce4e5b9);
    h ^= h >> 32;
    return (uint8_t)(h >> (8 * (address & 7)));
}

struct vec *
vec_make(uint64_t seed, const struct insn_row *const *rows, size_t row_count, unsigned cases, unsigned loops)
{
    struct vec *v = grow(NULL, sizeof *v);
    *v = (struct vec){0};
    v->rows = grow(NULL, row_count * sizeof *v->rows + 1);
    v->cases = grow(NULL, row_count * cases * sizeof *v->cases + 1);
    rng_state = seed * UINT64_C(0x9e3779b97f4a7c15) | 1;

    /* Results lie above all operands: at most VEC_LOADS words an execution, and a spare one a case. */
    const uint64_t operand_space = ((uint64_t)row_count * cases * (VEC_LOADS * (uint64_t)loops + 1) * 8 + 4095) & ~UINT64_C(4095);
    uint64_t at = VEC_DATA + operand_space;
    v->results = at;

    if (at > VEC_END) {
        fputs("vec: too many executions for one program\n", stderr), exit(1);
    }
    const size_t largest = row_count * cases * ((size_t)loops * 128 + 8 * DUMP_WORDS + 128);
    uint8_t *image = grow(NULL, largest);
    for (size_t k = 0; k < largest; k++) {
        image[k] = background(at + k);
    }
    for (size_t r = 0; r < row_count; r++) {
        struct vec_row *out = &v->rows[v->row_count++];
        *out = (struct vec_row){.row = rows[r], .first = v->case_count, .cases = cases, .results = at, .start = here(v)};
        clear_registers(v);
        for (unsigned k = 0; k < cases; k++) {
            make_case(v, rows[r], loops, &at, image - v->results, k % 4 == 3);
        }
        addi(v, 17, 0, VEC_ROW_END);
        emit(v, 0x73);
        out->end = here(v);
        at = (at + 127) & ~UINT64_C(127);
        out->results_end = at;
    }
    emit_end(v, v->results, at - v->results);

    const size_t total = at - VEC_DATA;
    v->data = grow(v->data, total);
    memset(v->data + v->data_size, 0, v->results - VEC_DATA - v->data_size);
    memcpy(v->data + (v->results - VEC_DATA), image, at - v->results);
    v->data_size = v->data_cap = total;
    free(image);
    return v;
}

void
vec_free(struct vec *v)
{
    free(v->text);
    free(v->data);
    free(v->rows);
    free(v->cases);
    free(v);
}

bool
vec_write(const struct vec *v, const char *path)
{
    struct {
        Elf64_Ehdr e;
        Elf64_Phdr p[2];
    } head = {.e = {.e_ident = {0x7f, 'E', 'L', 'F', ELFCLASS64, ELFDATA2LSB, EV_CURRENT},
                    .e_type = ET_EXEC,
                    .e_machine = EM_RISCV,
                    .e_version = EV_CURRENT,
                    .e_entry = VEC_TEXT,
                    .e_phoff = sizeof(Elf64_Ehdr),
                    .e_flags = 5, /* RVC, double-float ABI */
                    .e_ehsize = sizeof(Elf64_Ehdr),
                    .e_phentsize = sizeof(Elf64_Phdr),
                    .e_phnum = 2}};
    const uint64_t text_at = 4096, data_at = text_at + ((v->text_size + 4095) & ~UINT64_C(4095));
    head.p[0] = (Elf64_Phdr){.p_type = PT_LOAD, .p_flags = PF_R | PF_X, .p_offset = text_at, .p_vaddr = VEC_TEXT,
                             .p_filesz = v->text_size, .p_memsz = v->text_size, .p_align = 4096};
    head.p[1] = (Elf64_Phdr){.p_type = PT_LOAD, .p_flags = PF_R | PF_W, .p_offset = data_at, .p_vaddr = VEC_DATA,
                             .p_filesz = v->data_size, .p_memsz = v->data_size, .p_align = 4096};
    FILE *f = fopen(path, "wb");
    if (f == NULL) {
        return false;
    }
    fwrite(&head, sizeof head, 1, f);
    fseek(f, (long)text_at, SEEK_SET);
    fwrite(v->text, v->text_size, 1, f);
    fseek(f, (long)data_at, SEEK_SET);
    fwrite(v->data, v->data_size, 1, f);
    const bool good = ferror(f) == 0;
    return fclose(f) == 0 && good;
}

static const struct vec_case *
case_of(const struct vec *v, const struct vec_row *r, uint64_t address)
{
    const struct vec_case *c = &v->cases[r->first];
    for (size_t k = 0; k < r->cases; k++) {
        if (v->cases[r->first + k].results <= address) {
            c = &v->cases[r->first + k];
        }
    }
    return c;
}

bool
vec_differ(const struct vec *v, const struct vec_row *r, const uint8_t *got, const uint8_t *want, char *line, size_t size)
{
    for (uint64_t a = r->results; a < r->results_end; a += 8) {
        uint64_t g, w;
        memcpy(&g, got + (a - v->results), 8);
        memcpy(&w, want + (a - v->results), 8);
        if (g == w) {
            continue;
        }
        const struct vec_case *c = case_of(v, r, a);
        const uint64_t k = (a - c->results) / c->result_size, off = (a - c->results) % c->result_size;
        int n = snprintf(line, size, "%s %0*x at %#llx:", r->row->name, 2 * r->row->len, c->word, (unsigned long long)c->pc);
        if (k >= c->count) {
            const unsigned d = (unsigned)((a - c->results - (uint64_t)c->count * c->result_size) / 8);
            snprintf(line + n, size - (size_t)n, " afterwards %s%u is %#llx, not %#llx", d < 32 ? "x" : d < 64 ? "f" : "fcsr", d % 32,
                     (unsigned long long)g, (unsigned long long)w);
            return true;
        }
        for (unsigned l = 0; l < c->loads && (size_t)n < size; l++) {
            uint64_t operand;
            memcpy(&operand, v->data + (c->operands - VEC_DATA) + (k * c->loads + l) * 8, 8);
            n += snprintf(line + n, size - (size_t)n, " %s%u=%#llx",
                          c->load[l].kind == VEC_X ? "x" : c->load[l].kind == VEC_F ? "f" : "fcsr", c->load[l].reg,
                          (unsigned long long)operand);
        }
        const uint64_t word = off / 8, first = c->result_size == 128 ? 8 : 0;
        const char *what = word < first        ? "memory"
                           : word == first     ? "rd"
                           : word == first + 1 ? (c->row->fmt == FMT_AMOQ ? "rd+1" : "way taken")
                                               : "fcsr";
        if ((size_t)n < size) {
            snprintf(line + n, size - (size_t)n, " rm %u: %s %#llx, not %#llx", c->in.rm, what, (unsigned long long)g,
                     (unsigned long long)w);
        }
        return true;
    }
    return false;
}
