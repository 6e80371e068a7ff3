/*
 * decode.c - from an instruction word to its operands
 *
 * Unprivileged ISA §2.2 (formats of 32-bit encodings), §"C" (16-bit). A word is looked up in a
 * bucket: for 32 bits by opcode and funct3, for 16 bits by quadrant and funct3. A bucket lists its
 * rows with the most specific mask first, so a hint or an alias with fewer free bits wins over the
 * general encoding. The buckets are made from insn.def by the first call, once: any thread may be
 * that caller.
 */
#include "isa/isa.h"

#include <pthread.h>

/* A 16-bit encoding has its base's class. */
enum {
#define INSN(name, match, mask, fmt, ext, cls) CLASS_OF_##name = CLASS_##cls,
#define INSN16(name, match, mask, fmt, ext, base)
#include "isa/insn.def"
#undef INSN
#undef INSN16
};

const struct insn_row isa_rows[] = {
#define INSN(name, match, mask, fmt, ext, cls)                                                     \
    {#name, match, mask, OP_##name, FMT_##fmt, EXT_##ext, CLASS_##cls, 4},
#define INSN16(name, match, mask, fmt, ext, base)
#include "isa/insn.def"
#undef INSN
#undef INSN16
#define INSN(name, match, mask, fmt, ext, cls)
#define INSN16(name, match, mask, fmt, ext, base)                                                  \
    {#name, match, mask, OP_##base, FMT_##fmt, EXT_##ext, CLASS_OF_##base, 2},
#include "isa/insn.def"
#undef INSN
#undef INSN16
};
const size_t isa_row_count = sizeof isa_rows / sizeof isa_rows[0];
#define ROWS (sizeof isa_rows / sizeof isa_rows[0])

/* 32-bit: opcode[6:2] << 3 | funct3, 256 of them; 16-bit: 256 + (quadrant << 3 | funct3). */
#define BUCKETS         (256 + 24)
#define BUCKET_ROWS_MAX (8 * ROWS)

static struct {
    uint16_t start[BUCKETS + 1];
    uint16_t rows[BUCKET_ROWS_MAX];
} index_;
static pthread_once_t index_once_ = PTHREAD_ONCE_INIT;

static unsigned
bucket_of(uint32_t w)
{
    if ((w & 3) == 3) {
        return ((w >> 2) & 31) << 3 | ((w >> 12) & 7);
    }
    return 256 + ((w & 3) << 3 | ((w >> 13) & 7));
}

/* The bits of a bucket's number that a row leaves open: it is in as many buckets as they have values. */
static unsigned
open_bits(const struct insn_row *r)
{
    unsigned wide = r->len == 4 ? 3 : 0; /* bucket_of() looks there for the length, which no mask leaves open */
    return bucket_of(~r->mask | wide) & (r->len == 4 ? 255 : 7);
}

static void
index_make(void)
{
    uint16_t end[BUCKETS] = {0};
    for (unsigned i = 0; i < ROWS; i++) {
        unsigned first = bucket_of(isa_rows[i].match), more = open_bits(&isa_rows[i]), sub = 0;
        do {
            index_.start[(first | sub) + 1]++;
            sub = (sub - more) & more;
        } while (sub != 0);
    }
    for (unsigned b = 0; b < BUCKETS; b++) {
        end[b] = index_.start[b];
        index_.start[b + 1] = (uint16_t)(index_.start[b + 1] + index_.start[b]);
    }
    for (unsigned i = 0; i < ROWS; i++) {
        unsigned first = bucket_of(isa_rows[i].match), more = open_bits(&isa_rows[i]), sub = 0;
        int weight = __builtin_popcount(isa_rows[i].mask);
        do {
            unsigned b = first | sub, at = end[b]++;
            while (at > index_.start[b] && __builtin_popcount(isa_rows[index_.rows[at - 1]].mask) < weight) {
                index_.rows[at] = index_.rows[at - 1];
                at--;
            }
            index_.rows[at] = (uint16_t)i;
            sub = (sub - more) & more;
        } while (sub != 0);
    }
}

static inline uint32_t
bits(uint32_t w, unsigned hi, unsigned lo)
{
    return (w >> lo) & ((1u << (hi - lo + 1)) - 1);
}

static inline int32_t
sext(uint32_t v, unsigned width)
{
    return (int32_t)(v << (32 - width)) >> (32 - width);
}

/* c.addi and the like: imm[5] at 12, imm[4:0] at 6:2 */
static inline uint32_t
ci6(uint32_t w)
{
    return bits(w, 12, 12) << 5 | bits(w, 6, 2);
}

static inline int32_t
imm_s(uint32_t w)
{
    return sext(bits(w, 31, 25) << 5 | bits(w, 11, 7), 12);
}

/* The operands of a 16-bit encoding. Returns false where the specification reserves the values. */
static bool
operands16(uint32_t w, unsigned fmt, struct insn *o)
{
    const uint8_t r7 = (uint8_t)bits(w, 11, 7), r2 = (uint8_t)bits(w, 6, 2); /* full registers */
    const uint8_t rh = (uint8_t)(8 + bits(w, 9, 7)),
                  rl = (uint8_t)(8 + bits(w, 4, 2)); /* x8..x15 */
    const int32_t uld = (int32_t)(bits(w, 12, 10) << 3 | bits(w, 6, 5) << 6);
    const int32_t ulw = (int32_t)(bits(w, 12, 10) << 3 | bits(w, 6, 6) << 2 | bits(w, 5, 5) << 6);
    const int32_t ulb = (int32_t)(bits(w, 6, 6) | bits(w, 5, 5) << 1);
    const int32_t ulh = (int32_t)(bits(w, 5, 5) << 1);

    switch ((enum insn_fmt)fmt) {
    case FMT_N:
        return true;
    case FMT_CMOP:
        return true; /* addi x0, x0, 0 */
    case FMT_CIW:
        o->rd = rl;
        o->rs1 = 2;
        o->imm = (int32_t)(bits(w, 12, 11) << 4 | bits(w, 10, 7) << 6 | bits(w, 6, 6) << 2 |
                           bits(w, 5, 5) << 3);
        return o->imm != 0;
    case FMT_CLD:
        o->rd = rl, o->rs1 = rh, o->imm = uld;
        return true;
    case FMT_CLW:
        o->rd = rl, o->rs1 = rh, o->imm = ulw;
        return true;
    case FMT_CLB:
        o->rd = rl, o->rs1 = rh, o->imm = ulb;
        return true;
    case FMT_CLH:
        o->rd = rl, o->rs1 = rh, o->imm = ulh;
        return true;
    case FMT_CSD:
        o->rs2 = rl, o->rs1 = rh, o->imm = uld;
        return true;
    case FMT_CSW:
        o->rs2 = rl, o->rs1 = rh, o->imm = ulw;
        return true;
    case FMT_CSB:
        o->rs2 = rl, o->rs1 = rh, o->imm = ulb;
        return true;
    case FMT_CSH:
        o->rs2 = rl, o->rs1 = rh, o->imm = ulh;
        return true;
    case FMT_CI:
        o->rd = o->rs1 = r7, o->imm = sext(ci6(w), 6);
        return true;
    case FMT_CINZ:
        o->rd = o->rs1 = r7, o->imm = sext(ci6(w), 6);
        return r7 != 0;
    case FMT_CLI:
        o->rd = r7, o->imm = sext(ci6(w), 6);
        return true;
    case FMT_CLUI:
        o->rd = r7, o->imm = sext(ci6(w), 6) * 4096;
        return o->imm != 0;
    case FMT_C16SP:
        o->rd = o->rs1 = 2;
        o->imm = sext(bits(w, 12, 12) << 9 | bits(w, 6, 6) << 4 | bits(w, 5, 5) << 6 |
                          bits(w, 4, 3) << 7 | bits(w, 2, 2) << 5,
                      10);
        return o->imm != 0;
    case FMT_CSHR:
        o->rd = o->rs1 = rh, o->imm = (int32_t)ci6(w);
        return true;
    case FMT_CANDI:
        o->rd = o->rs1 = rh, o->imm = sext(ci6(w), 6);
        return true;
    case FMT_CA:
        o->rd = o->rs1 = rh, o->rs2 = rl;
        return true;
    case FMT_CU:
        o->rd = o->rs1 = rh;
        return true;
    case FMT_CUB:
        o->rd = o->rs1 = rh, o->imm = 255;
        return true;
    case FMT_CUN:
        o->rd = o->rs1 = rh, o->imm = -1;
        return true;
    case FMT_CJ:
        o->imm = sext(bits(w, 12, 12) << 11 | bits(w, 11, 11) << 4 | bits(w, 10, 9) << 8 |
                          bits(w, 8, 8) << 10 | bits(w, 7, 7) << 6 | bits(w, 6, 6) << 7 |
                          bits(w, 5, 3) << 1 | bits(w, 2, 2) << 5,
                      12);
        return true;
    case FMT_CB:
        o->rs1 = rh;
        o->imm = sext(bits(w, 12, 12) << 8 | bits(w, 11, 10) << 3 | bits(w, 6, 5) << 6 |
                          bits(w, 4, 3) << 1 | bits(w, 2, 2) << 5,
                      9);
        return true;
    case FMT_CSLLI:
        o->rd = o->rs1 = r7, o->imm = (int32_t)ci6(w);
        return true;
    case FMT_CFLDSP:
    case FMT_CLDSP:
        o->rd = r7, o->rs1 = 2;
        o->imm = (int32_t)(bits(w, 12, 12) << 5 | bits(w, 6, 5) << 3 | bits(w, 4, 2) << 6);
        return fmt == FMT_CFLDSP || r7 != 0;
    case FMT_CLWSP:
        o->rd = r7, o->rs1 = 2;
        o->imm = (int32_t)(bits(w, 12, 12) << 5 | bits(w, 6, 4) << 2 | bits(w, 3, 2) << 6);
        return r7 != 0;
    case FMT_CJR:
        o->rs1 = r7;
        return r7 != 0;
    case FMT_CJALR:
        o->rd = 1, o->rs1 = r7;
        return r7 != 0;
    case FMT_CMV:
        o->rd = r7, o->rs2 = r2;
        return true;
    case FMT_CADD:
        o->rd = o->rs1 = r7, o->rs2 = r2;
        return true;
    case FMT_CSDSP:
        o->rs1 = 2, o->rs2 = r2, o->imm = (int32_t)(bits(w, 12, 10) << 3 | bits(w, 9, 7) << 6);
        return true;
    case FMT_CSWSP:
        o->rs1 = 2, o->rs2 = r2, o->imm = (int32_t)(bits(w, 12, 9) << 2 | bits(w, 8, 7) << 6);
        return true;
    default:
        return false;
    }
}

/* Rounding modes 5 and 6 are reserved (Unprivileged ISA §"F", rounding modes). */
static inline bool
rm_is_reserved(unsigned rm)
{
    return rm == 5 || rm == 6;
}

static bool
operands32(uint32_t w, unsigned fmt, struct insn *o)
{
    const uint8_t rd = (uint8_t)bits(w, 11, 7), rs1 = (uint8_t)bits(w, 19, 15),
                  rs2 = (uint8_t)bits(w, 24, 20);
    const uint8_t rm = (uint8_t)bits(w, 14, 12);

    switch ((enum insn_fmt)fmt) {
    case FMT_N:
        return true;
    case FMT_R:
    case FMT_F3N:
    case FMT_FC:
    case FMT_MOPRR:
        o->rd = rd, o->rs1 = rs1, o->rs2 = rs2;
        return true;
    case FMT_R1:
    case FMT_FX:
    case FMT_XF:
    case FMT_FLI:
    case FMT_MOPR:
    case FMT_HLV:
        o->rd = rd, o->rs1 = rs1;
        return true;
    case FMT_FXZ: /* fcvtmod.w.d: rm is part of the opcode and says RTZ */
        o->rd = rd, o->rs1 = rs1, o->rm = 1;
        return true;
    case FMT_I:
    case FMT_IL:
    case FMT_FL:
        o->rd = rd, o->rs1 = rs1, o->imm = (int32_t)w >> 20;
        return true;
    case FMT_S:
    case FMT_FS:
        o->rs1 = rs1, o->rs2 = rs2, o->imm = imm_s(w);
        return true;
    case FMT_PREF:
        o->rs1 = rs1, o->imm = imm_s(w & ~0xf80u);
        return true;
    case FMT_B:
        o->rs1 = rs1, o->rs2 = rs2;
        o->imm = sext(bits(w, 31, 31) << 12 | bits(w, 7, 7) << 11 | bits(w, 30, 25) << 5 |
                          bits(w, 11, 8) << 1,
                      13);
        return true;
    case FMT_U:
        o->rd = rd, o->imm = (int32_t)(w & 0xfffff000u);
        return true;
    case FMT_J:
        o->rd = rd;
        o->imm = sext(bits(w, 31, 31) << 20 | bits(w, 19, 12) << 12 | bits(w, 20, 20) << 11 |
                          bits(w, 30, 21) << 1,
                      21);
        return true;
    case FMT_SH6:
        o->rd = rd, o->rs1 = rs1, o->imm = (int32_t)bits(w, 25, 20);
        return true;
    case FMT_SH5:
        o->rd = rd, o->rs1 = rs1, o->imm = (int32_t)rs2;
        return true;
    case FMT_FENCE: /* rd and rs1 are reserved and ignored */
        o->imm = (int32_t)(w >> 20);
        return true;
    case FMT_CBO:
        o->rs1 = rs1;
        return true;
    case FMT_CSR:
    case FMT_CSRI:
        o->rd = rd, o->rs1 = rs1, o->imm = (int32_t)(w >> 20);
        return true;
    case FMT_AMO:
        o->rd = rd, o->rs1 = rs1, o->rs2 = rs2, o->rm = (uint8_t)bits(w, 26, 25);
        return true;
    case FMT_AMOQ: /* register pairs start even */
        o->rd = rd, o->rs1 = rs1, o->rs2 = rs2, o->rm = (uint8_t)bits(w, 26, 25);
        return ((rd | rs2) & 1) == 0;
    case FMT_LR:
        o->rd = rd, o->rs1 = rs1, o->rm = (uint8_t)bits(w, 26, 25);
        return true;
    case FMT_F4:
        o->rd = rd, o->rs1 = rs1, o->rs2 = rs2, o->rs3 = (uint8_t)bits(w, 31, 27), o->rm = rm;
        return !rm_is_reserved(rm);
    case FMT_F3:
        o->rd = rd, o->rs1 = rs1, o->rs2 = rs2, o->rm = rm;
        return !rm_is_reserved(rm);
    case FMT_F2:
    case FMT_FXR:
    case FMT_XFR:
        o->rd = rd, o->rs1 = rs1, o->rm = rm;
        return !rm_is_reserved(rm);
    case FMT_SFENCE:
    case FMT_HSV:
        o->rs1 = rs1, o->rs2 = rs2;
        return true;
    default:
        return false;
    }
}

/*
 * The row that stands for w on a hart with these extensions. An extension that is missing takes
 * only its own rows away: without Zihintpause pause is a fence, without Zbb zext.h is a packw.
 */
static const struct insn_row *
lookup(uint32_t w, ext_set exts, struct insn *o)
{
    pthread_once(&index_once_, index_make);
    unsigned b = bucket_of(w);
    bool wide = (w & 3) == 3;
    for (unsigned i = index_.start[b]; i < index_.start[b + 1]; i++) {
        const struct insn_row *r = &isa_rows[index_.rows[i]];
        if ((w & r->mask) == r->match && isa_ext_enabled(r->ext, exts)) {
            *o = (struct insn){.op = r->op, .len = r->len};
            return (wide ? operands32(w, r->fmt, o) : operands16(w, r->fmt, o)) ? r : NULL;
        }
    }
    return NULL;
}

static inline uint32_t
significant(uint32_t w)
{
    return (w & 3) == 3 ? w : w & 0xffff;
}

const struct insn_row *
isa_decode(uint32_t w, ext_set exts, struct insn *out)
{
    w = significant(w);
    const struct insn_row *r = lookup(w, exts, out);
    if (r == NULL) {
        *out = (struct insn){.op = OP_ILLEGAL, .len = (uint8_t)insn_len(w)};
    }
    return r;
}

const struct insn_row *
isa_find_row(uint32_t w)
{
    struct insn o;
    return isa_decode(w, ISA_ALL, &o);
}
