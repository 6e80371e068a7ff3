/*
 * random_code.c - random straight code
 *
 * Any row of insn.def with random operands, but for what would lead out of the memory that is there: bases of memory accesses
 * are registers that nothing else writes, or were masked just before. What leads out of it is made on purpose.
 */
#include "random_impl.h"

#include "engine/engine.h"

#include <string.h>

/* ---- values that matter ---- */

uint64_t
special(struct rng *r)
{
    static const uint64_t edges[] = {
        0, 1, 2, 31, 32, 63, 64, 127, 128, 255, 256, 0x7fff, 0x8000, 0xffff, 0x7fffffff, 0x80000000, 0xffffffff, 0x100000000,
        0x7fffffffffffffff, 0x8000000000000000, 0xffffffffffffffff, 0xffffffff80000000, 0xffffffff7fffffff,
        0x3ff0000000000000, 0xbff8000000000000, 0x7ff0000000000000, 0xfff0000000000000, 0x7ff8000000000000, /* double */
        0x7ff0000000000001, 0xfff8000000000123, 0x0010000000000000, 0x000fffffffffffff, 0x0000000000000001,
        0x7fefffffffffffff, 0x43e0000000000000, 0xc3e0000000000000, 0x43f0000000000000, 0x41dfffffffc00000, 0x41e0000000000000,
        0x3fe0000000000000, 0x4330000000000001, 0x380fffffffffffff, 0x47efffffffffffff,
        0xffffffff3f800000, 0xffffffffbfc00000, 0xffffffff7f800000, 0xffffffffff800000, 0xffffffff7fc00000, /* single, boxed */
        0xffffffff7f800001, 0xffffffff00000001, 0xffffffff00800000, 0xffffffff7f7fffff, 0xffffffff4f000000,
        0xffffffffcf000000, 0xffffffff5f000000, 0xffffffff3f000000, 0xffffffff80000000, 0xffffffff4b000001,
        0x000000003f800000, 0xfffffffe3f800000, /* single, not boxed */
        0xffffffffffff3c00, 0xffffffffffff7e00, 0xffffffffffff0001, 0xffffffffffff7bff, /* half */
    };
    const uint64_t v = rng_next(r);
    switch (v >> 60) {
    case 0: case 1: case 2: case 3: case 4: case 5: case 6:
        return edges[v % (sizeof edges / sizeof edges[0])];
    case 7: case 8:
        return v << 16 >> 16 & 0xff; /* small */
    case 9:
        return (uint64_t)((int64_t)(v << 40) >> 50);
    case 10: /* a double near 1 */
        return 0x3fe0000000000000 + (v << 9 >> 9) * (v >> 59 & 1) + (v >> 40 & 0x7f);
    case 11: /* a single of any size */
        return 0xffffffff00000000 | v << 8 >> 32;
    case 12: /* a single near 1 */
        return 0xffffffff3f000000 | (v << 8 >> 32 & 0x80ffffff);
    default:
        return rng_next(r);
    }
}

/* ---- encoding ---- */

void
put(struct gen *g, uint32_t w, unsigned len)
{
    struct rprog *p = g->p;
    if (p->text_bytes + 64 > RP_TEXT_BYTES) {
        g->bad = true;
        return;
    }
    p->units[p->n_units].at = (uint16_t)p->text_bytes;
    p->units[p->n_units++].len = (uint8_t)len;
    memcpy(p->text + p->text_bytes, &w, len);
    p->text_bytes += len;
}

void
at_write(struct gen *g, uint32_t at, uint32_t w)
{
    memcpy(g->p->text + at, &w, 4);
}

/* Complete the jal, branch, c.j or c.beqz at `at`, to go to `to`. */
void
aim(struct gen *g, uint32_t at, uint32_t to)
{
    uint32_t w = 0;
    const int32_t d = (int32_t)(to - at);
    const uint32_t u = (uint32_t)d;
    memcpy(&w, g->p->text + at, (g->p->text[at] & 3) == 3 ? 4 : 2);
    if (g->bad) {
        return;
    }
    if ((w & 0x7f) == 0x6f) {
        w |= (u >> 20 & 1) << 31 | (u >> 1 & 0x3ff) << 21 | (u >> 11 & 1) << 20 | (u >> 12 & 0xff) << 12;
    } else if ((w & 0x7f) == 0x63) {
        g->bad |= d < -4096 || d > 4094;
        w |= (u >> 12 & 1) << 31 | (u >> 5 & 0x3f) << 25 | (u >> 1 & 15) << 8 | (u >> 11 & 1) << 7;
    } else if ((w & 0xe003) == 0xa001) {
        g->bad |= d < -2048 || d > 2046;
        w |= (u >> 11 & 1) << 12 | (u >> 4 & 1) << 11 | (u >> 8 & 3) << 9 | (u >> 10 & 1) << 8 | (u >> 6 & 1) << 7 |
             (u >> 7 & 1) << 6 | (u >> 1 & 7) << 3 | (u >> 5 & 1) << 2;
        memcpy(g->p->text + at, &w, 2);
        return;
    } else {
        g->bad |= d < -256 || d > 254;
        w |= (u >> 8 & 1) << 12 | (u >> 3 & 3) << 10 | (u >> 6 & 3) << 5 | (u >> 1 & 3) << 3 | (u >> 5 & 1) << 2;
        memcpy(g->p->text + at, &w, 2);
        return;
    }
    at_write(g, at, w);
}

/* ---- registers ---- */

unsigned
any_reg(struct gen *g)
{
    unsigned r;
    do {
        r = below(g, 32);
    } while (below(g, 8) != 0 && !(g->palette >> r & 1));
    return r;
}

unsigned
free_reg(struct gen *g)
{
    unsigned r;
    if ((g->reserved | 1u) == ANY) { /* all are taken: another program then */
        g->bad = true;
        return A7;
    }
    do {
        r = any_reg(g);
    } while (r == 0 || (g->reserved >> r & 1));
    return r;
}

/* A register of our own until `reserved` is put back. */
unsigned
take_reg(struct gen *g)
{
    const unsigned r = free_reg(g);
    g->reserved |= 1u << r;
    return r;
}

/* The same, if it can be one that calls leave alone. */
unsigned
take_counter(struct gen *g)
{
    unsigned r;
    for (unsigned tries = 0; tries < 40; tries++) {
        r = free_reg(g);
        if (r != RA && r != T0 && !(g->pool >> r & 1)) {
            break;
        }
    }
    g->reserved |= 1u << r;
    return r;
}

void
load_address(struct gen *g, unsigned rd, uint64_t a)
{
    const int32_t low = (int32_t)((uint32_t)a << 20) >> 20;
    W(g, LUI(rd, (uint32_t)a - (uint32_t)low));
    if (low != 0 || chance(g, 64)) {
        W(g, ADDI(rd, rd, low));
    }
}

/* ---- straight code ---- */

static enum kind
kind_of(const struct insn_row *row)
{
    const struct insn_row *base = &isa_rows[row->op - 1];
    if (row->cls != CLASS_INNOCUOUS || base->cls != CLASS_INNOCUOUS) {
        return K_NONE;
    }
    switch (row->op) {
    case OP_jal: case OP_jalr: case OP_beq: case OP_bne: case OP_blt: case OP_bge: case OP_bltu: case OP_bgeu:
    case OP_ecall: case OP_ebreak: case OP_fence_i: case OP_csrrw: case OP_csrrs: case OP_csrrc: case OP_csrrwi:
    case OP_csrrsi: case OP_csrrci:
        return K_NONE;
    default:
        break;
    }
    switch ((enum insn_fmt)base->fmt) {
    case FMT_R: case FMT_R1: case FMT_I: case FMT_U: case FMT_SH6: case FMT_SH5:
        return K_INT;
    case FMT_IL: case FMT_S: case FMT_FL: case FMT_FS: case FMT_AMO: case FMT_AMOQ: case FMT_LR: case FMT_CBO: case FMT_PREF:
        return K_MEM;
    case FMT_F4: case FMT_F3: case FMT_F2: case FMT_F3N: case FMT_FC: case FMT_FX: case FMT_FXR: case FMT_FXZ: case FMT_XFR:
    case FMT_XF: case FMT_FLI:
        return K_FP;
    default:
        return K_OTHER;
    }
}

static bool
writes_f(unsigned fmt)
{
    return fmt == FMT_FL || fmt == FMT_F4 || fmt == FMT_F3 || fmt == FMT_F2 || fmt == FMT_F3N || fmt == FMT_XF ||
           fmt == FMT_XFR || fmt == FMT_FLI;
}

static bool
writes_nothing(unsigned fmt)
{
    return fmt == FMT_S || fmt == FMT_FS || fmt == FMT_CBO || fmt == FMT_PREF || fmt == FMT_N || fmt == FMT_FENCE;
}

/* Rows of each kind, those of 16 bits apart. */
static uint16_t rows[K_COUNT][2][400];
static unsigned n_rows[K_COUNT][2];

void
sort_rows(ext_set exts)
{
    if (n_rows[K_INT][0] != 0) {
        return;
    }
    for (unsigned k = 0; k < isa_row_count; k++) {
        const struct insn_row *r = &isa_rows[k];
        if (isa_ext_enabled(r->ext, exts)) {
            const unsigned s = r->len == 2;
            rows[kind_of(r)][s][n_rows[kind_of(r)][s]++] = (uint16_t)k;
        }
    }
}

static void
set_field(uint32_t *w, uint32_t mask, unsigned at, unsigned v)
{
    const uint32_t field = 31u << at;
    if ((mask & field) == 0) {
        *w = (*w & ~field) | v << at;
    }
}

/* A word of this row with random operands. */
static uint32_t
random_word(struct gen *g, const struct insn_row *row)
{
    uint32_t w = row->match | ((uint32_t)rng_next(&g->r) & ~row->mask);
    if (row->len == 2) {
        return w & 0xffff;
    }
    const unsigned fmt = row->fmt;
    if (fmt != FMT_S && fmt != FMT_FS) {
        set_field(&w, row->mask, 7, any_reg(g));
    }
    if (fmt != FMT_U) {
        set_field(&w, row->mask, 15, any_reg(g));
    }
    if (fmt == FMT_R || fmt == FMT_S || fmt == FMT_FS || fmt == FMT_AMO || fmt == FMT_F4 || fmt == FMT_F3 || fmt == FMT_F3N ||
        fmt == FMT_FC) {
        set_field(&w, row->mask, 20, any_reg(g));
    }
    if ((fmt == FMT_F4 || fmt == FMT_F3 || fmt == FMT_F2 || fmt == FMT_FXR || fmt == FMT_XFR) && below(g, 4) != 0) {
        w |= 7u << 12;
    }
    if (fmt == FMT_I && (row->mask & 0xfff00000) == 0 && below(g, 3) == 0) { /* small immediates are the usual ones */
        w = (w & 0xfffff) | (uint32_t)((int)below(g, 17) - 8) << 20;
    }
    return w;
}

/* Add a word of some row of this kind. base: for memory accesses; 0 lets any of the usual ones. Returns its length, 0: none found. */
static unsigned
straight_of(struct gen *g, enum kind k, unsigned base, uint32_t *out, unsigned only_len)
{
    for (unsigned tries = 0; tries < 200; tries++) {
        const unsigned s = only_len == 4 ? 0 : chance(g, g->like.short_code);
        if (n_rows[k][s] == 0) {
            continue;
        }
        const struct insn_row *row = &isa_rows[rows[k][s][below(g, n_rows[k][s])]];
        uint32_t w = random_word(g, row);
        const unsigned fmt = isa_rows[row->op - 1].fmt;
        if (k == K_MEM && s == 0) {
            set_field(&w, row->mask, 15, base != 0 ? base : below(g, 3) == 0 ? SP : below(g, 2) ? g->p0 : g->p1);
        }
        struct insn i;
        if (isa_decode(w, g->exts, &i) != row) {
            continue;
        }
        if (k == K_MEM && i.rs1 != SP && i.rs1 != g->p0 && i.rs1 != g->p1 && (base == 0 || i.rs1 != base)) {
            continue;
        }
        if (base != 0 && i.rs1 != base) {
            continue;
        }
        if (!writes_f(fmt) && !writes_nothing(fmt) && i.rd != 0 &&
            ((g->reserved >> i.rd & 1) || (fmt == FMT_AMOQ && (g->reserved >> (i.rd + 1) & 1)))) {
            continue;
        }
        if (!engine_is_inline(&i) && !chance(g, g->like.odd)) {
            continue;
        }
        *out = w;
        return row->len;
    }
    return 0;
}

void
straight_kind(struct gen *g, enum kind k, unsigned base)
{
    uint32_t w;
    const unsigned len = straight_of(g, k, base, &w, 0);
    if (len == 4 && k != K_MEM && g->n_sites < SITES) {
        g->sites[g->n_sites++] = (struct site){here(g), g->reserved};
    }
    if (len != 0) {
        put(g, w, len);
    }
}

/* An access at base + something that depends on data. */
static void
computed_access(struct gen *g)
{
    static const int masks[] = {0x7f8, 0x7fc, 0x7fe, 0x7ff, 0xf8, 0x38, 0x3f, 0x7};
    const uint32_t was = g->reserved;
    const unsigned t = take_reg(g), base = below(g, 2) ? g->p0 : g->p1;
    W(g, ANDI(t, any_reg(g), masks[below(g, 8)]));
    W(g, ADD(t, t, base));
    for (unsigned n = below(g, 3) + 1; n > 0; n--) {
        straight_kind(g, K_MEM, t);
    }
    g->reserved = was;
}

static void
reload_constant(struct gen *g)
{
    const uint32_t was = g->reserved;
    const unsigned t = take_reg(g), k = below(g, RP_CONST_BYTES / 16) * 8;
    W(g, LUI(t, RP_CONST));
    switch (below(g, 3)) {
    case 0:
        W(g, LD(free_reg(g), t, (int)k));
        break;
    case 1: /* flw fld */
        W(g, enc_i(0x07, 2, any_reg(g), t, (int)k + 4 * (int)below(g, 2)));
        break;
    default:
        W(g, enc_i(0x07, 3, any_reg(g), t, (int)k));
    }
    g->reserved = was;
}

/* Sequences that compilers make, and optimisers look for. */
static void
idiom(struct gen *g)
{
    const unsigned d = free_reg(g), e = free_reg(g), a = any_reg(g), b = any_reg(g);
    static const int widths[] = {32, 48, 56, 16, 1, 33, 63};
    const int n = widths[below(g, 7)];
    switch (below(g, 11)) {
    case 9: /* extended, then shifted, masked or extended once more */
        switch (below(g, 3)) {
        case 0:
            W(g, enc_i(0x1b, 0, d, a, below(g, 2) ? 0 : (int)below(g, 4096)));
            break;
        case 1:
            W(g, enc_i(0x03, below(g, 7), d, g->p0, (int)below(g, 64)));
            break;
        default:
            W(g, enc_r(0x3b, 0, 4, d, a, 0)); /* zext.w */
        }
        switch (below(g, 4)) {
        case 0:
            W(g, enc_i(0x1b, 0, e, d, 0));
            break;
        case 1:
            W(g, below(g, 3) == 0 ? SRLI(e, d, (int)below(g, 64)) : SRAI(e, d, below(g, 2) ? n : (int)below(g, 64)));
            break;
        case 2:
            W(g, below(g, 2) ? ANDI(e, d, 255) : enc_r(0x3b, 0, 4, e, d, 0));
            break;
        default:
            W(g, enc_r(0x3b, 5, below(g, 2) ? 0x20 : 0, e, d, b));
        }
        break;
    case 10: /* the same expression twice, an operand changed in between or not */
        W(g, enc_r(0x33, below(g, 8), 0, d, a, b));
        W(g, below(g, 2) ? ADDI(free_reg(g), d, 1) : ADDI(below(g, 2) && a != 0 && !(g->reserved >> a & 1) ? a : e, b, 5));
        W(g, enc_r(0x33, below(g, 3), 0, e, a, b));
        break;
    case 0:
        W(g, SLLI(d, a, n));
        W(g, below(g, 2) ? SRLI(e, d, n) : SRAI(e, d, n));
        break;
    case 1: /* lui addi(w) slli addi: a constant */
        W(g, LUI(d, (uint32_t)rng_next(&g->r)));
        W(g, enc_i(below(g, 2) ? 0x1b : 0x13, 0, d, d, (int)(rng_next(&g->r) & 0xfff)));
        W(g, SLLI(e, d, (int)below(g, 33)));
        W(g, ADDI(e, e, (int)(rng_next(&g->r) & 0xfff)));
        break;
    case 2: /* shifts by a masked count */
        W(g, ANDI(d, a, below(g, 2) ? 31 : 63));
        W(g, enc_r(below(g, 2) ? 0x3b : 0x33, below(g, 2) ? 1 : 5, 0, e, b, d));
        break;
    case 3: /* chains of addi */
        W(g, ADDI(d, a, (int)below(g, 4096)));
        W(g, ADDI(e, d, (int)below(g, 4096)));
        W(g, ADDI(d, d, (int)below(g, 4096)));
        break;
    case 4: /* 32-bit arithmetic, then used as 64 bits and again as 32 */
        W(g, enc_r(0x3b, 0, below(g, 2) ? 0x20 : 0, d, a, b));
        W(g, enc_r(0x33, below(g, 2) ? 2 : 3, 0, e, d, a));
        W(g, enc_r(0x3b, 0, 0, d, d, e));
        break;
    case 5: /* select by masks: neg(cond) & a */
        W(g, enc_r(0x33, 2, 0, d, a, b));
        W(g, enc_r(0x33, 0, 0x20, d, 0, d));
        W(g, enc_r(0x33, 7, 0, e, d, a));
        break;
    case 6: /* store to load forwarding, whole, narrower, partly over */
        W(g, enc_s(below(g, 4), g->p0, a, 64));
        W(g, enc_i(0x03, below(g, 7), d, g->p0, 64 + (int)below(g, 4)));
        W(g, enc_s(below(g, 4), g->p1, b, (int)below(g, 16)));
        W(g, enc_i(0x03, below(g, 7), e, g->p0, 64));
        break;
    case 7: /* two's complement corner cases of division */
        W(g, enc_r(below(g, 2) ? 0x3b : 0x33, 4 + below(g, 4), 1, d, a, b));
        W(g, enc_r(below(g, 2) ? 0x3b : 0x33, 4 + below(g, 4), 1, e, a, d));
        break;
    default: { /* lr, something, sc */
        const unsigned f3 = 2 + below(g, 2);
        W(g, enc_r(0x2f, f3, 0x08, d, g->p0, 0));
        W(g, enc_i(0x13, 4, e, d, (int)below(g, 4096)));
        if (below(g, 4) == 0) {
            W(g, SD(a, g->p1, (int)below(g, 8)));
        }
        W(g, enc_r(0x2f, f3, 0x0c, d, below(g, 8) ? g->p0 : g->p1, e));
        break;
    }
    }
}

/* Arithmetic of a format on any registers, whatever they hold. */
static void
fp_arith(struct gen *g, unsigned fmt, unsigned rd, unsigned a, unsigned b)
{
    static const uint8_t f5[] = {0, 1, 2, 3, 2, 0};
    const unsigned k = below(g, 10);
    if (k < 6) {
        W(g, enc_r(0x53, 7, (unsigned)f5[k] << 2 | fmt, rd, a, b));
    } else if (k == 6) {
        W(g, enc_r(0x53, 7, 0x2c | fmt, rd, a, 0)); /* fsqrt */
    } else {
        W(g, enc_r(0x43 | below(g, 4) << 2, 7, any_reg(g) << 2 | fmt, rd, a, b)); /* fmadd … fnmadd */
    }
}

/* Somebody looks at all the bits of an f register, or at those of one format. */
static void
fp_observe(struct gen *g, unsigned f, unsigned d)
{
    const unsigned fmt = below(g, 2);
    switch (below(g, 8)) {
    case 0: case 1:
        W(g, enc_s(2 + fmt, below(g, 2) ? g->p0 : g->p1, f, (int)below(g, 8) * 8) | 4); /* fsw fsd */
        break;
    case 2:
        W(g, enc_r(0x53, 0, 0x70 | fmt, d, f, 0)); /* fmv.x */
        break;
    case 3:
        W(g, enc_r(0x53, 1, 0x70 | fmt, d, f, 0)); /* fclass */
        break;
    case 4: case 5:
        W(g, enc_r(0x53, below(g, 3), 0x10 | fmt, any_reg(g), f, below(g, 2) ? f : any_reg(g))); /* fsgnj */
        break;
    case 6:
        W(g, enc_r(0x53, below(g, 2), 0x14 | fmt, any_reg(g), f, any_reg(g))); /* fmin fmax */
        break;
    default:
        W(g, enc_r(0x53, below(g, 3), 0x50 | fmt, d, f, any_reg(g))); /* fle flt feq */
    }
}

/* What keeps NaNs and boxes moving: from memory, through arithmetic, copies, loops and formats, to where their bits are seen. */
static void
fp_idiom(struct gen *g)
{
    const uint32_t was = g->reserved;
    const unsigned d = take_reg(g), e = free_reg(g), f = any_reg(g), h = any_reg(g), fmt = below(g, 2);
    switch (below(g, 7)) {
    case 6: { /* infinity times zero plus a NaN, and what is computed from it; then somebody looks, perhaps at the flags */
        W(g, CSRI(0, 1, 5, below(g, 2) ? 0 : below(g, 32)));
        W(g, 0x53 | f << 7 | (30 + (below(g, 4) == 0)) << 15 | 1u << 20 | (0x78u | fmt) << 25); /* fli f, inf or nan */
        W(g, enc_r(0x53, 0, 0x78 | fmt, h, 0, 0)); /* fmv.x h, x0 */
        unsigned last = any_reg(g);
        W(g, 0x53 | last << 7 | (31 - (below(g, 4) == 0)) << 15 | 1u << 20 | (0x78u | fmt) << 25);
        W(g, enc_r(0x43 | below(g, 4) << 2, 7, last << 2 | fmt, last, f, h));
        for (unsigned n = below(g, 5); n > 0; n--) {
            const unsigned to = below(g, 3) ? last : below(g, 2) ? f : below(g, 2) ? h : any_reg(g);
            if (below(g, 3) == 0) {
                W(g, enc_r(0x43 | below(g, 4) << 2, 7, last << 2 | fmt, to, below(g, 2) ? f : any_reg(g), below(g, 2) ? h : any_reg(g)));
            } else {
                fp_arith(g, below(g, 6) ? fmt : fmt ^ 1, to, last, below(g, 2) ? h : any_reg(g));
            }
            last = to;
        }
        if (below(g, 2)) {
            W(g, CSRI(e, 1, 2, 0));
        }
        fp_observe(g, last, e);
        break;
    }
    case 0: /* results, seen some time later */
        for (unsigned n = 1 + below(g, 4); n > 0; n--) {
            fp_arith(g, fmt, n == 1 ? f : any_reg(g), below(g, 2) ? f : any_reg(g), any_reg(g));
        }
        fp_observe(g, f, e);
        break;
    case 1: /* a copy, then one of both changed and the other seen */
        fp_arith(g, fmt, f, any_reg(g), h);
        W(g, enc_r(0x53, 0, 0x10 | fmt, h, f, f));
        fp_observe(g, below(g, 2) ? f : h, e);
        fp_arith(g, below(g, 2), below(g, 2) ? f : h, f, h);
        fp_observe(g, below(g, 2) ? f : h, e);
        break;
    case 2: /* the other format */
        fp_arith(g, fmt, f, any_reg(g), h);
        fp_arith(g, fmt ^ 1, h, f, below(g, 2) ? f : any_reg(g));
        fp_observe(g, below(g, 2) ? f : h, e);
        break;
    case 3: { /* two values that meet where a branch ends */
        const uint32_t over = here(g);
        W(g, 0x63 | below(g, 2) << 12 | any_reg(g) << 15);
        if (below(g, 2)) {
            fp_arith(g, fmt, f, any_reg(g), h);
        } else {
            W(g, enc_i(0x07, 2 + below(g, 2), f, g->p0, 8 * (int)below(g, 8)));
        }
        aim(g, over, here(g));
        fp_observe(g, f, e);
        break;
    }
    case 4: /* fflags as they were, around a comparison or a conversion */
        W(g, CSRI(d, 1, 2, 0));
        for (unsigned n = 1 + below(g, 3); n > 0; n--) {
            static const uint16_t ops[] = {0x50, 0x50, 0x60, 0x68, 0x10, 0x50};
            const unsigned op = ops[below(g, 6)];
            const unsigned rd = op == 0x10 || op == 0x68 ? any_reg(g) : e;
            const unsigned rs2 = op == 0x60 || op == 0x68 ? below(g, 4) : any_reg(g);
            W(g, enc_r(0x53, op == 0x50 || op == 0x10 ? below(g, 3) : below(g, 4), op | fmt, rd, op == 0x68 ? e : f, rs2));
            if (below(g, 6) == 0) {
                fp_observe(g, h, e);
            }
            if (below(g, 6) == 0) {
                fp_arith(g, fmt, any_reg(g), f, h);
            }
        }
        W(g, CSRI(0, 1, 1, below(g, 8) ? d : e)); /* fsflags */
        break;
    default: /* compare and branch */
        W(g, enc_r(0x53, below(g, 3), 0x50 | fmt, e, f, h));
        if (below(g, 4) == 0) {
            straight_kind(g, below(g, 2) ? K_INT : K_FP, 0);
        }
        const uint32_t over = here(g);
        W(g, 0x63 | below(g, 2) << 12 | e << 15);
        fp_arith(g, fmt, f, f, any_reg(g));
        aim(g, over, here(g));
    }
    g->reserved = was;
}

/* An instruction that stops the engine; who runs it goes on behind it. */
static void
stopper(struct gen *g)
{
    static const uint64_t bad[] = {0, 0x40, RP_CONST, RP_CONST + 0xff9, RP_CONST + 0x1000, RP_CONST - 3, 0x3ffffff000,
                                   0x4000000000, 0x8000000000000000, 0x7fffffffffff0000, 0xfffffffffffff000, 0x1234567890abcdef};
    const uint32_t was = g->reserved;
    const unsigned t = take_reg(g);
    switch (below(g, 10)) {
    case 0:
        put(g, 0, 2);
        break;
    case 1:
        W(g, EBREAK);
        break;
    case 2:
        W(g, ECALL);
        break;
    case 3: { /* a call of what is no code; who runs it comes back by x1 */
        if (g->linked || (was >> RA & 1)) {
            break;
        }
        load_address(g, t, below(g, 2) ? RP_ARENA + 2 * below(g, 64) : UINT64_C(0x20e000));
        if (below(g, 2)) {
            W(g, SLLI(t, t, 20));
        }
        W(g, JALR(RA, t, 0));
        break;
    }
    default: {
        const uint64_t a = bad[below(g, sizeof bad / sizeof bad[0])];
        /* from the tables: any 64 bits */
        struct rprog *p = g->p;
        if (p->n_tables == RP_TABLES_BYTES / 8) {
            break;
        }
        p->tables[p->n_tables] = a;
        load_address(g, t, RP_TABLES + 8 * p->n_tables++);
        W(g, LD(t, t, 0));
        uint32_t w = 0;
        for (unsigned tries = 0; tries < 20; tries++) {
            const unsigned len = straight_of(g, K_MEM, t, &w, 4);
            struct insn i;
            isa_decode(w, g->exts, &i);
            /* sc without a reservation need not look at the address */
            if (len == 4 && i.imm > -64 && i.imm < 64 && i.op != OP_sc_w && i.op != OP_sc_d) {
                break;
            }
            w = LD(free_reg(g), t, 8);
        }
        W(g, w);
        break;
    }
    }
    g->reserved = was;
}

static void
csr_access(struct gen *g)
{
    switch (below(g, 6)) {
    case 0: /* csrrs d, fflags, x0 */
        W(g, CSRI(free_reg(g), 1, 2, 0));
        break;
    case 1:
        W(g, CSRI(free_reg(g), 3, 2, 0));
        break;
    case 2:
        W(g, CSRI(free_reg(g), 2, 2, 0));
        break;
    default:
        W(g, CSRI(below(g, 3) ? 0 : free_reg(g), 1, below(g, 2) ? 5 + below(g, 3) : 1 + below(g, 3), below(g, 32)));
    }
}

static void
other_rounding(struct gen *g)
{
    W(g, CSRI(free_reg(g), below(g, 2) ? 2 : 3, 5, below(g, 2) ? below(g, 8) : below(g, 4)));
    W(g, CSRI(0, 2, 5, below(g, 5)));
    for (unsigned n = below(g, 5); n > 0; n--) {
        straight_kind(g, K_FP, 0);
    }
    W(g, CSRI(0, 2, 5, 0));
}

/* Change an instruction somewhere, by one or another of the same kind, and fence.i. Which, finish_patches() decides. */
static void
patch(struct gen *g)
{
    struct rprog *p = g->p;
    if (g->n_patches == PATCHES || p->n_tables == RP_TABLES_BYTES / 8) {
        return;
    }
    const uint32_t was = g->reserved;
    const unsigned t = take_reg(g), u = take_reg(g), k = g->n_patches++;
    g->patches[k].table = p->n_tables++;
    load_address(g, t, RP_TABLES + 8 * g->patches[k].table);
    W(g, ANDI(u, any_reg(g), 4));
    W(g, ADD(t, t, u));
    W(g, LW(u, t, 0));
    g->patches[k].at = here(g);
    W(g, LUI(t, 0));
    W(g, ADDI(t, t, 0));
    W(g, SW(u, t, 0));
    W(g, FENCE_I);
    g->reserved = was;
}

void
finish_patches(struct gen *g)
{
    const uint32_t was = g->reserved;
    for (unsigned k = 0; k < g->n_patches && !g->bad; k++) {
        if (g->n_sites == 0) {
            g->bad = true;
            return;
        }
        const struct site s = g->n_returns != 0 && below(g, 2) ? g->returns[below(g, g->n_returns)] : g->sites[below(g, g->n_sites)];
        uint32_t w[2];
        g->reserved = s.reserved;
        for (unsigned v = 0; v < 2; v++) {
            if (straight_of(g, below(g, 4) ? K_INT : K_FP, 0, &w[v], 4) != 4) {
                memcpy(&w[v], g->p->text + s.at, 4);
            }
        }
        memcpy(&g->p->tables[g->patches[k].table], w, 8);
        uint32_t pair[2];
        memcpy(pair, g->p->text + g->patches[k].at, 8);
        const uint32_t a = (uint32_t)RP_TEXT + s.at;
        pair[0] |= (a + 0x800) & 0xfffff000;
        pair[1] |= a << 20;
        memcpy(g->p->text + g->patches[k].at, pair, 8);
    }
    g->reserved = was;
}

unsigned
straight(struct gen *g)
{
    const struct taste *like = &g->like;
    const uint32_t from = here(g);
    if (chance(g, like->fault)) {
        stopper(g);
    } else if (chance(g, like->patch)) {
        patch(g);
    } else if (chance(g, like->rounding)) {
        other_rounding(g);
    } else if (chance(g, like->csr)) {
        csr_access(g);
    } else if (chance(g, like->idiom)) {
        idiom(g);
    } else if (chance(g, like->fp_idiom)) {
        fp_idiom(g);
    } else if (chance(g, like->mem)) {
        switch (below(g, 9)) {
        case 0:
            computed_access(g);
            break;
        case 1:
            reload_constant(g);
            break;
        case 2: case 3:
            address_steps(g, like->fault != 0);
            break;
        case 4:
            byte_steps(g, like->fault != 0);
            break;
        case 6:
            twin_steps(g);
            break;
        case 5:
            reserved_loop(g);
            break;
        default:
            straight_kind(g, K_MEM, 0);
        }
    } else if (chance(g, like->fp)) {
        straight_kind(g, K_FP, 0);
    } else {
        straight_kind(g, below(g, 50) ? K_INT : K_OTHER, 0);
    }
    return (here(g) - from) / 3 + 1;
}
