/*
 * lower_fp.c - floating point on the host's unit, exactly
 *
 * Translations run with frm "nearest" in MXCSR, which also gathers the flags. What the host does otherwise than RISC-V is rare, and
 * seen afterwards: a NaN (the host's is negative, and keeps payloads), a conversion that does not fit. A NaN is replaced
 * out of line, where its bits are asked for (fstate.c); the rest leaves for the interpreter, which does the instruction again:
 * flags only accumulate, and both raise the same.
 *
 * A single has anything in its upper half until somebody asks for 64 bits.
 */
#include "engine/lower.h"

#include "engine/fp_ops.h"
#include "engine/lockstep.h"

#define P_S 0xf3
#define P_D 0xf2

/* An operation d = a op b on scalars or on whole registers; prefix 0, 0x66, P_S or P_D. */
static void
op3(struct lower *l, unsigned prefix, unsigned opcode, int d, int a, int b)
{
    const unsigned op = X_P(prefix) | X_0F | opcode;
    if (l->j->avx) {
        x_var(&l->x, op, false, prefix == P_D, d, a, b);
        return;
    }
    if (d == b && d != a) {
        const int t = temp_fp(l);
        fp_move(l, t, b);
        b = t;
    }
    fp_move(l, d, a);
    x_rr(&l->x, op, false, d, b);
}

/* Two operands: compares, moves, conversions to integers. */
static void
op2(struct lower *l, unsigned prefix, unsigned opcode, bool w, int d, int b)
{
    const unsigned op = X_P(prefix) | X_0F | opcode;
    if (l->j->avx) {
        x_var(&l->x, op, w, w || (prefix == 0x66 && (opcode | 1) == 0x2f), d, 0, b);
        return;
    }
    x_rr(&l->x, op, w, d, b);
}

static void
op2m(struct lower *l, unsigned prefix, unsigned opcode, int d, struct mem m)
{
    const unsigned op = X_P(prefix) | X_0F | opcode;
    if (d > 15) {
        x_erm(&l->x, op, prefix == P_D, d, m, prefix == P_D ? 3 : 2);
    } else if (l->j->avx) {
        x_vrm(&l->x, op, false, d, 0, m);
    } else {
        x_rm(&l->x, op, false, d, m);
    }
}

void
fp_move(struct lower *l, int to, int from)
{
    if (to != from) {
        op2(l, 0, 0x28, false, to, from);
    }
}

void
fp_load_reg(struct lower *l, int x, struct mem m)
{
    op2m(l, P_D, 0x10, x, m);
}

void
fp_store_reg(struct lower *l, int x, struct mem m)
{
    op2m(l, P_D, 0x11, x, m);
}

void
fp_store_single(struct lower *l, int x, struct mem m)
{
    op2m(l, P_S, 0x11, x, m);
}

void
fp_from_int(struct lower *l, int x, int r)
{
    op2(l, 0x66, 0x6e, true, x, r);
}

void
fp_to_int(struct lower *l, int r, int x)
{
    op2(l, 0x66, 0x7e, true, x, r);
}

static unsigned
fmt_of(const struct ir_ins *i)
{
    return i->aux & 1;
}

static unsigned
prefix_of(const struct ir_ins *i)
{
    return fmt_of(i) == IRF_S ? P_S : P_D;
}

/* ucomis (0x2e) raises invalid for signalling NaNs, comis (0x2f) for every NaN. */
static void
fp_compare_regs(struct lower *l, unsigned fmt, unsigned opcode, int a, int b)
{
    op2(l, fmt == IRF_S ? 0 : 0x66, opcode, false, a, b);
}

static bool
is_single(const struct lower *l, ref r)
{
    return l->fk[r] & FK_SINGLE;
}

/* More is known of a value, and of the homes that have it. */
static void
kind_is(struct lower *l, ref r, unsigned kind)
{
    l->fk[r] = (uint8_t)kind;
    for (unsigned g = 0; g < 32; g++) {
        if (l->fval[g] == r) {
            fstate_put(&l->fs, g, kind);
        }
    }
}

/* All ones above the single in x. t may be overwritten. */
static void
box_into(struct lower *l, int x, int t)
{
    if (l->j->avx) {
        op3(l, P_S, 0x10, x, XMM_ONES, x);
        return;
    }
    if (t == x) {
        t = x == 0 ? 1 : 0;
    }
    fp_move(l, t, XMM_ONES);
    x_rr(&l->x, X_P(P_S) | X_0F | 0x10, false, t, x);
    fp_move(l, x, t);
}

static void
box(struct lower *l, int x)
{
    const int t = l->j->avx ? NO_REG : temp_fp(l);
    box_into(l, x, t);
    if (t != NO_REG) {
        l->flock &= ~(1u << t);
    }
}

void
fp_test_nan(struct lower *l, unsigned fmt, int x)
{
    fp_compare_regs(l, fmt, 0x2e, x, x);
}

struct stub *
fp_nan_test(struct lower *l, unsigned fmt, int a, int b)
{
    fp_compare_regs(l, fmt, 0x2e, a, b);
    struct stub *s = stub_new(l, STUB_NAN, x_jcc(&l->x, CC_P));
    s->fmt = (uint8_t)fmt;
    s->back = l->x.p;
    return s;
}

struct places
fp_places(const struct lower *l, ref r)
{
    struct places p = {0};
    for (unsigned k = 0; k < F_REGS; k++) {
        p.regs |= (uint32_t)(l->freg[k] == r) << k;
    }
    for (unsigned g = 0; g < 32; g++) {
        p.homes |= (uint32_t)(l->fhome[g] == r) << g;
    }
    for (unsigned k = 0; k < SPILLS; k++) {
        p.spills |= (uint32_t)(l->spill[k] == r) << k;
    }
    return p;
}

void
fp_made_canonical(struct lower *l, ref r)
{
    if (l->fk[r] & FK_NAN) {
        kind_is(l, r, (l->fk[r] & ~(unsigned)FK_NAN) | FK_CANON);
    }
}

void
fp_canonical(struct lower *l, ref r)
{
    if (l->fk[r] & FK_NAN) {
        const int k = use_fp(l, r);
        fp_nan_test(l, is_single(l, r) ? IRF_S : IRF_D, k, k)->places = fp_places(l, r);
        fp_made_canonical(l, r);
    }
}

static void
store_nan(struct lower *l, unsigned fmt, struct mem to)
{
    const struct mem high = M(to.base, to.disp + 4);
    x_store_imm(&l->x, 4, to, fmt == IRF_S ? 0x7fc00000 : 0);
    x_store_imm(&l->x, 4, high, fmt == IRF_S ? -1 : 0x7ff80000);
}

void
fp_put_nan(struct lower *l, unsigned fmt, const struct places *to)
{
    for (int k = 0; k < F_REGS; k++) {
        if (to->regs >> k & 1) {
            fp_load_reg(l, k, M(RBP, HART(jit_nan) + 8 * (int)fmt));
        }
    }
    for (unsigned g = 0; g < 32; g++) {
        if (to->homes >> g & 1) {
            store_nan(l, fmt, M(RBP, HART_F(g)));
        }
    }
    for (int k = 0; k < SPILLS; k++) {
        if (to->spills >> k & 1) {
            store_nan(l, fmt, M(RBP, HART(jit_spill) + 8 * k));
        }
    }
}

void
fp_settle(struct lower *l, struct fstate from, struct fstate to)
{
    const uint32_t nan = from.nan & ~to.nan & from.dirty, boxes = from.single & ~to.single & from.dirty;
    int alone[2] = {NO_REG, NO_REG}; /* by format: a home that waits for another to be tested with */
    for (uint32_t left = nan; left != 0; left &= left - 1) {
        const int g = __builtin_ctz(left), home = l->map->f[g];
        int *const with = &alone[from.single >> g & 1 ? IRF_S : IRF_D];
        if (home != NO_REG && *with != NO_REG) {
            fma_settle(l, from.single >> g & 1 ? IRF_S : IRF_D, *with, home);
            *with = NO_REG;
        } else if (home != NO_REG) {
            *with = home;
        }
    }
    for (unsigned fmt = 0; fmt < 2; fmt++) {
        if (alone[fmt] != NO_REG) {
            fp_nan_test(l, fmt, alone[fmt], alone[fmt])->places.regs = 1u << alone[fmt];
        }
    }
    for (uint32_t left = nan | boxes; left != 0; left &= left - 1) {
        const int g = __builtin_ctz(left), home = l->map->f[g];
        const struct mem m = M(RBP, HART_F(g));
        const unsigned fmt = from.single >> g & 1 ? IRF_S : IRF_D;
        l->j->stats.settled++;
        if ((nan >> g & 1) && home == NO_REG) {
            fp_load_reg(l, 0, m); /* xmm0 is nobody's home, and control leaves the values in scratch registers */
            fp_nan_test(l, fmt, 0, 0)->places.homes = 1u << g;
        }
        if (boxes >> g & 1) {
            if (home == NO_REG) {
                /* whole, for it will be read whole */
                fp_load_reg(l, 0, m);
                box_into(l, 0, 0);
                fp_store_reg(l, 0, m);
            } else {
                box_into(l, home, 0);
            }
        }
    }
}

void
fp_made(struct lower *l)
{
    const ref r = (ref)l->i;
    const unsigned kind = fstate_made(l->ir, &l->ir->ins[r], l->fk);
    l->fk[r] = (uint8_t)kind;
    const bool late_box = (l->ir->opts & IROPT_BOX) != 0, late_nan = (l->ir->opts & IROPT_NAN) != 0;
    if ((kind & FK_SINGLE) != 0 && !late_box) {
        fp_use_bits(l, r);
        l->fk[r] = 0;
    } else if (!late_nan) {
        fp_canonical(l, r);
    }
    l->j->stats.lazy_nans += (l->fk[r] & FK_NAN) != 0;
    l->j->stats.lazy_boxes += (l->fk[r] & FK_SINGLE) != 0;
}

int
fp_use_bits(struct lower *l, ref r)
{
    fp_canonical(l, r);
    const int k = use_fp(l, r);
    if (is_single(l, r)) {
        box(l, k);
    }
    return k;
}

/* An operand of a format: to a double operation, a single is what its box makes of it. */
static int
operand(struct lower *l, ref r, unsigned fmt)
{
    const int k = use_fp(l, r);
    if (fmt == IRF_D && is_single(l, r)) {
        box(l, k);
    }
    return k;
}

/* Known to be no NaN, as an operand of that format. */
static bool
is_number(const struct lower *l, ref r, unsigned fmt)
{
    return (l->fk[r] & FK_NUM) != 0 && is_single(l, r) == (fmt == IRF_S);
}

static void
arith(struct lower *l, const struct ir_ins *i, unsigned opcode)
{
    const int a = operand(l, i->a, fmt_of(i)), b = operand(l, i->b, fmt_of(i)), d = def_fp(l, i->a);
    op3(l, prefix_of(i), opcode, d, a, b);
    made_fp(l, d);
}

static void
square_root(struct lower *l, const struct ir_ins *i)
{
    const int a = operand(l, i->a, fmt_of(i)), d = def_fp(l, i->a);
    op3(l, prefix_of(i), 0x51, d, a, a);
    made_fp(l, d);
}

/* a * b + c rounded once. Unless c is known to be none, a NaN has to be looked for: lower_fma.c */
static void
fused(struct lower *l, const struct ir_ins *i)
{
    struct x64 *x = &l->x;
    const unsigned fmt = fmt_of(i);
    const int a = operand(l, i->a, fmt), b = operand(l, i->b, fmt), c = operand(l, i->c, fmt);
    const bool tame = is_number(l, i->c, fmt);
    const int d = def_fp(l, i->c);
    if (!l->j->fma) {
        made_fp(l, d);
        bail(l, x_jmp(x));
        return;
    }
    /* vfmadd231 b9, vfmsub231 bb, vfnmadd231 bd, vfnmsub231 bf: d = a * b + d; 10 less: d = d * a + c */
    const unsigned opcode = X_P(0x66) | X_38 | (0xb9 + (i->aux & IRF_NEG_ADDEND ? 2u : 0) + (i->aux & IRF_NEG_PRODUCT ? 4u : 0));
    int kept = NO_REG;
    if (d == a || d == b) {
        if (!tame) {
            kept = temp_fp(l);
            fp_move(l, kept, d);
        }
        x_var(x, opcode - 0x10, fmt == IRF_D, fmt == IRF_D, d, d == a ? b : a, c);
    } else {
        fp_move(l, d, c);
        x_var(x, opcode, fmt == IRF_D, fmt == IRF_D, d, a, b);
    }
    made_fp(l, d);
    if (!tame) {
        fma_new(l, fmt, d == a ? kept : a, d == b ? kept : b);
    }
}

static void
min_max(struct lower *l, const struct ir_ins *i)
{
    struct x64 *x = &l->x;
    const bool max = i->op == IR_FMAX;
    const unsigned fmt = fmt_of(i);
    const int a = operand(l, i->a, fmt), b = operand(l, i->b, fmt);
    if (l->j->avx512) { /* vrange: orders zeros as RISC-V does, prefers numbers to quiet NaNs */
        const bool tame = is_number(l, i->a, fmt) && is_number(l, i->b, fmt);
        const int d = tame ? def_fp(l, i->a) : temp_fp(l);
        x_err(x, X_P(0x66) | X_3A | 0x51, fmt == IRF_D, d, a, b);
        x_b(x, 4 | (unsigned)max); /* with the sign of what was chosen */
        if (!tame) {
            fp_compare_regs(l, fmt, 0x2e, d, d);
            bail(l, x_jcc(x, CC_P));
        }
        made_fp(l, d);
        return;
    }
    const int d = temp_fp(l);
    fp_compare_regs(l, fmt, 0x2e, a, b);
    bail(l, x_jcc(x, CC_P));
    uint8_t *differ = x_jcc(x, CC_NE);
    op3(l, 0, max ? 0x54 : 0x56, d, a, b); /* equal: the same bits but for zeros' signs */
    uint8_t *done = x_jmp(x);
    x_land(x, differ);
    op3(l, prefix_of(i), max ? 0x5f : 0x5d, d, a, b);
    x_land(x, done);
    made_fp(l, d);
}

static void
relation(struct lower *l, const struct ir_ins *i)
{
    struct x64 *x = &l->x;
    const int a = operand(l, i->a, fmt_of(i)), b = operand(l, i->b, fmt_of(i));
    const bool calm = l->calm[l->i];
    if (i->op == IR_FEQ && !calm) {
        const int t = temp_fp(l), d = def_int(l, 0);
        if ((a | b) > 15) { /* into the mask k1 */
            x_err(x, X_P(prefix_of(i)) | X_0F | 0xc2, fmt_of(i) == IRF_D, 1, a, b);
            x_b(x, 0);
            x_vrr(x, X_0F | 0x93, false, d, 0, 1); /* kmovw */
        } else {
            op3(l, prefix_of(i), 0xc2, t, a, b); /* cmp: */
            x_b(x, 0);                           /* equal, quiet */
            fp_to_int(l, d, t);
            x_ri(x, X_I_AND, false, d, 1);
        }
        made_int(l, d);
        return;
    }
    const bool quiet = i->op == IR_FLTQ || i->op == IR_FLEQ, le = i->op == IR_FLE || i->op == IR_FLEQ;
    const int d = def_int(l, 0);
    /* Swapped, so that "above" excludes unordered. */
    fp_compare_regs(l, fmt_of(i), quiet || calm ? 0x2e : 0x2f, b, a);
    if (calm) {
        bail(l, x_jcc(x, CC_P));
    }
    const enum cc cc = i->op == IR_FEQ ? CC_E : le ? CC_AE : CC_A;
    x_rr8(x, X_SETCC | cc, false, 0, d);
    x_rr8(x, X_MOVZX8, false, d, d);
    made_int(l, d);
    if (l->ir->opts & IROPT_FUSE) {
        l->compared = (ref)l->i;
        l->compared_cc = (uint8_t)cc;
        l->compared_at = x->p;
    }
}

static void
sign(struct lower *l, const struct ir_ins *i)
{
    struct x64 *x = &l->x;
    const bool absolute = i->op == IR_FSGNJX && i->a == i->b;
    for (unsigned k = 0; k < (i->op == IR_FNEG ? 1 : 2); k++) {
        const ref r = k == 0 ? i->a : i->b;
        if (fmt_of(i) == IRF_D && is_single(l, r)) {
            fp_use_bits(l, r);
        } else if (!absolute) {
            fp_canonical(l, r);
        }
    }
    const int mask = temp_fp(l);
    if (l->j->avx) { /* all ones, shifted */
        x_vrr(x, X_P(0x66) | X_0F | (fmt_of(i) == IRF_S ? 0x72u : 0x73u), false, 6, mask, XMM_ONES);
        x_b(x, fmt_of(i) == IRF_S ? 31 : 63);
    } else {
        const int t = temp_int(l);
        x_mov_imm(x, t, fmt_of(i) == IRF_S ? UINT64_C(0x80000000) : UINT64_C(0x8000000000000000));
        fp_from_int(l, mask, t);
    }
    const int a = use_fp(l, i->a);
    if (i->op == IR_FNEG) {
        const int d = def_fp(l, i->a);
        op3(l, 0, 0x57, d, a, mask);
        made_fp(l, d);
        return;
    }
    if (absolute) {
        const int d = def_fp(l, i->a);
        op3(l, 0, 0x55, d, mask, a); /* ~mask & a */
        made_fp(l, d);
        return;
    }
    const int b = use_fp(l, i->b);
    if (l->j->avx512) { /* vpternlog: mask ? b : a, mask ? ~b : a, a ^ (mask & b) */
        x_err(x, X_P(0x66) | X_3A | 0x25, false, mask, b, a);
        x_b(x, i->op == IR_FSGNJ ? 0xca : i->op == IR_FSGNJN ? 0x3a : 0x6a);
        made_fp(l, mask);
        return;
    }
    const int s = temp_fp(l);
    op3(l, 0, 0x54, s, b, mask); /* b's sign */
    if (i->op == IR_FSGNJX) {
        const int d = def_fp(l, i->a);
        op3(l, 0, 0x57, d, a, s);
        made_fp(l, d);
        return;
    }
    if (i->op == IR_FSGNJN) {
        op3(l, 0, 0x57, s, s, mask);
    }
    op3(l, 0, 0x55, mask, mask, a); /* ~mask & a */
    op3(l, 0, 0x56, mask, mask, s);
    made_fp(l, mask);
}

void
fp_raise(struct lower *l, unsigned fmt, int x)
{
    op2(l, fmt == IRF_S ? P_S : P_D, 0x2c, true, RAX, x);
}

/* cvttsd2si and kin; of the unsigned ones, which AVX-512 has, the opcode is 0x4c more. */
static void
to_int(struct lower *l, unsigned prefix, unsigned opcode, bool is_signed, bool w, int d, int a)
{
    if (is_signed) {
        op2(l, prefix, opcode, w, d, a);
    } else {
        x_err(&l->x, X_P(prefix) | X_0F | (opcode + 0x4c), w, d, 0, a);
    }
}

static void
to_integer(struct lower *l, const struct ir_ins *i)
{
    struct x64 *x = &l->x;
    const unsigned fmt = fmt_of(i), kind = i->aux & 0xe;
    const int a = operand(l, i->a, fmt), d = def_int(l, 0);
    const unsigned opcode = i->aux & IRI_RTZ ? 0x2c : 0x2d;
    const bool w = kind == IRI_L || kind == IRI_LU, is_signed = kind == IRI_W || kind == IRI_L;
    if ((i->aux & (IRI_RDN | IRI_RUP)) != 0 && (!l->j->sse41 || (!is_signed && !l->j->avx512))) {
        made_int(l, d);
        bail(l, x_jmp(x));
        return;
    }
    if (i->aux & (IRI_RDN | IRI_RUP) || l->calm[l->i]) {
        /* Rounded without a word (8), converted; if that fits, truncation raises inexact where it is due. */
        const int t = temp_fp(l), scrap = temp_int(l);
        const unsigned op = X_P(0x66) | X_3A | (fmt == IRF_D ? 0x0bu : 0x0au);
        if (l->j->avx) {
            x_var(x, op, false, fmt == IRF_D, t, a, a);
        } else {
            x_rr(x, op | X_0F, false, t, a);
        }
        x_b(x, (i->aux & IRI_RDN ? 1u : i->aux & IRI_RUP ? 2u : i->aux & IRI_RTZ ? 3u : 0) | 8);
        to_int(l, prefix_of(i), 0x2c, is_signed, w, d, t);
        x_ri(x, X_I_CMP, w, d, is_signed ? 1 : -1); /* what stands for all that do not fit */
        bail(l, x_jcc(x, is_signed ? CC_O : CC_E));
        if (l->calm[l->i]) {
            l->unraised = i->a;
        } else {
            to_int(l, prefix_of(i), 0x2c, is_signed, w, scrap, a);
        }
        if (!w) {
            x_rr(x, X_MOVSXD, true, d, d);
        }
        made_int(l, d);
        return;
    }
    if (is_signed || l->j->avx512) {
        const int zero = temp_fp(l), flip = is_signed ? temp_int(l) : d;
        to_int(l, prefix_of(i), opcode, is_signed, w, d, a);
        /* The least number, with which 1 overflows, or the greatest unsigned one stands for all that do not fit. */
        x_ri(x, X_I_CMP, w, d, is_signed ? 1 : -1);
        uint8_t *const fits = x_jcc(x, is_signed ? CC_NO : CC_NE);
        /* Invalid is raised already. NaNs and what is above zero become the greatest: the least, inverted; what is below, 0. */
        op3(l, 0, 0x57, zero, zero, zero);
        fp_compare_regs(l, fmt, 0x2e, zero, a);
        x_rr(x, X_SBB, true, flip, flip);
        if (is_signed) {
            x_rr(x, X_XOR, w, d, flip);
        }
        x_land(x, fits);
        if (!w) {
            x_rr(x, X_MOVSXD, true, d, d);
        }
    } else {
        /* Positive and in range, by the bits: the host would raise inexact where RISC-V does not. */
        static const uint64_t last[2][2] = {{UINT64_C(0x4f7fffff), UINT64_C(0x41efffffffe00000)},
                                            {UINT64_C(0x5effffff), UINT64_C(0x43dfffffffffffff)}};
        const int t = temp_int(l);
        x_mov_imm(x, t, last[kind == IRI_LU][fmt]);
        fp_to_int(l, d, a);
        x_rr(x, X_CMP, fmt == IRF_D, d, t);
        bail(l, x_jcc(x, CC_A));
        op2(l, prefix_of(i), opcode, true, d, a);
        if (kind == IRI_WU) {
            x_rr(x, X_MOVSXD, true, d, d);
        }
    }
    made_int(l, d);
}

static void
from_integer(struct lower *l, const struct ir_ins *i)
{
    struct x64 *x = &l->x;
    const unsigned kind = i->aux & 0xe;
    /* Exact within 2^53 of 0 is found out with signed numbers. */
    const bool is_unsigned = l->j->avx512 && (kind == IRI_WU || kind == IRI_LU) && (i->aux & IRI_RTZ) == 0;
    int r = use_int(l, i->a);
    bool w = true;
    if (kind == IRI_W || (is_unsigned && kind == IRI_WU)) {
        w = false;
    } else if (is_unsigned) {
        w = true;
    } else if (kind == IRI_WU) {
        const int t = temp_int(l);
        x_rr(x, X_MOV, false, t, r);
        r = t;
    } else if (kind == IRI_LU) {
        x_rr(x, X_TEST, true, r, r);
        bail(l, x_jcc(x, CC_S));
    }
    if (i->aux & IRI_RTZ) { /* exact within 2^24 or 2^53 of 0 */
        const unsigned bits = fmt_of(i) == IRF_S ? 24 : 53;
        const int t = temp_int(l);
        if (kind == IRI_W) {
            x_rr(x, X_MOVSXD, true, t, r);
        } else {
            x_mov(x, t, r);
        }
        const int k = temp_int(l);
        x_mov_imm(x, k, UINT64_C(1) << bits);
        x_rr(x, X_ADD, true, t, k);
        x_shift_i(x, X_SHR, true, t, bits + 1);
        bail(l, x_jcc(x, CC_NE));
    }
    const int d = def_fp(l, 0);
    const unsigned op = X_P(prefix_of(i)) | X_0F | 0x2a;
    if (is_unsigned) {
        x_err(x, op + 0x51, w, d, XMM_ONES, r);
    } else if (l->j->avx) {
        x_var(x, op, w, w, d, XMM_ONES, r);
    } else {
        fp_move(l, d, XMM_ONES);
        x_rr(x, op, w, d, r);
    }
    made_fp(l, d);
}

/* Between the formats. */
static void
convert(struct lower *l, const struct ir_ins *i)
{
    const int a = operand(l, i->a, fmt_of(i) ^ 1), d = def_fp(l, 0);
    op3(l, fmt_of(i) == IRF_S ? P_D : P_S, 0x5a, d, XMM_ONES, a);
    made_fp(l, d);
}

static void
load_fp(struct lower *l, const struct ir_ins *i)
{
    const struct mem m = access_at(l, i, false);
    const int d = def_fp(l, 0);
    log_before(l, m);
    fault_here(l);
    op2m(l, i->aux == IRT_U64 ? P_D : P_S, 0x10, d, m);
    log_fp(l, 1u << i->aux, 0, d);
    made_fp(l, d);
}

/* fflags: what MXCSR gathered since, in RISC-V's order, and what the hart has. */
static void
flags(struct lower *l)
{
    struct x64 *x = &l->x;
    const int t = temp_int(l), d = temp_int(l);
    const struct mem scratch = M(RBP, HART(jit_scratch));
    x_rm(x, X_0F | 0xae, false, 3, scratch); /* stmxcsr */
    x_rm(x, X_MOV, false, d, scratch);
    x_ri(x, X_I_AND, false, d, 63);
    x_rm(x, X_MOV, true, t, M(RBP, HART(jit_flags_of)));
    x_rm(x, X_MOVZX8, false, d, (struct mem){(int8_t)t, (int8_t)d, 0, 0});
    x_rm(x, X_MOVZX8, false, t, M(RBP, HART(fflags)));
    x_rr(x, X_OR, false, d, t);
    made_int(l, d);
}

static void
set_flags(struct lower *l, const struct ir_ins *i)
{
    struct x64 *x = &l->x;
    if (l->calm[l->i]) { /* as they are */
        l->unraised = 0;
        return;
    }
    const int t = temp_int(l);
    put_int(l, t, i->a);
    x_ri(x, X_I_AND, false, t, 31);
    x_rm8(x, X_STORE8, t, M(RBP, HART(fflags)));
    const struct mem scratch = M(RBP, HART(jit_scratch));
    x_store_imm(x, 4, scratch, FP_MXCSR_CLEAR);
    x_rm(x, X_0F | 0xae, false, 2, scratch); /* ldmxcsr */
}

/* Is it in hart->f, whatever home it has? */
static bool
in_hart(const struct lower *l, ref r, struct mem *m)
{
    for (unsigned g = 0; g < 32; g++) {
        if (l->fhome[g] == r || (l->fval[g] == r && (l->fs.dirty >> g & 1) == 0)) {
            *m = M(RBP, HART_F(g));
            return true;
        }
    }
    return false;
}

bool
lower_fp(struct lower *l, const struct ir_ins *i)
{
    struct x64 *x = &l->x;
    switch (i->op) {
    case IR_FADD: arith(l, i, 0x58); return true;
    case IR_FSUB: arith(l, i, 0x5c); return true;
    case IR_FMUL: arith(l, i, 0x59); return true;
    case IR_FDIV: arith(l, i, 0x5e); return true;
    case IR_FSQRT: square_root(l, i); return true;
    case IR_FMADD: fused(l, i); return true;
    case IR_FMIN: case IR_FMAX: min_max(l, i); return true;
    case IR_FEQ: case IR_FLT: case IR_FLE: case IR_FLTQ: case IR_FLEQ: relation(l, i); return true;
    case IR_FSGNJ: case IR_FSGNJN: case IR_FSGNJX: case IR_FNEG: sign(l, i); return true;
    case IR_FTOI: to_integer(l, i); return true;
    case IR_ITOF: from_integer(l, i); return true;
    case IR_FTOF: convert(l, i); return true;
    case IR_LOADF: load_fp(l, i); return true;
    case IR_UNBOX: {
        if (is_single(l, i->a)) {
            return true;
        }
        struct mem m;
        if ((l->fk[i->a] & FK_NAN) == 0 && in_hart(l, i->a, &m)) {
            m.disp += 4;
            x_mi(x, X_I_CMP, false, m, -1);
            bail(l, x_jcc(x, CC_NE));
            if (l->ir->opts & IROPT_BOX) {
                kind_is(l, i->a, FK_SINGLE);
            }
            return true;
        }
        const int a = fp_use_bits(l, i->a), t = temp_int(l);
        fp_to_int(l, t, a);
        x_shift_i(x, X_SAR, true, t, 32);
        x_ri(x, X_I_CMP, true, t, -1);
        bail(l, x_jcc(x, CC_NE));
        if (l->ir->opts & IROPT_BOX) {
            kind_is(l, i->a, FK_SINGLE);
        }
        return true;
    }
    case IR_FLAGS: flags(l); return true;
    case IR_SETFLAGS: set_flags(l, i); return true;
    case IR_MOVXF: {
        const int a = fp_use_bits(l, i->a), d = def_int(l, 0);
        fp_to_int(l, d, a);
        made_int(l, d);
        return true;
    }
    case IR_MOVFX:
    case IR_BOX: {
        if (ir_is_const(l->ir, i->a) && l->ir->ins[i->a].imm == 0) {
            const int d = def_fp(l, 0);
            op3(l, 0, 0x57, d, d, d);
            made_fp(l, d);
            return true;
        }
        const int a = use_int(l, i->a), d = def_fp(l, 0);
        fp_from_int(l, d, a);
        made_fp(l, d);
        return true;
    }
    default:
        return false;
    }
}
