/*
 * lower_fp.c - floating point on the host's unit, exactly
 *
 * Translations run with frm "nearest" in MXCSR, which also gathers the flags. What the host does otherwise than RISC-V is rare, and
 * seen afterwards: a NaN (the host's is negative, and keeps payloads), a conversion that does not fit. A NaN is replaced
 * out of line where the operation can raise no other flag; the rest leaves for the interpreter, which does the instruction again:
 * flags only accumulate, and both raise the same.
 *
 * A single lives boxed: the host's scalar operations keep the upper bits of their first operand.
 */
#include "engine/lower.h"

#include "engine/fp_ops.h"

#define P_S 0xf3
#define P_D 0xf2

/* An operation d = a op b on scalars or on whole registers; prefix 0, 0x66, P_S or P_D. */
static void
op3(struct lower *l, unsigned prefix, unsigned opcode, int d, int a, int b)
{
    const unsigned op = X_P(prefix) | X_0F | opcode;
    if (l->j->avx) {
        x_vrr(&l->x, op, false, d, a, b);
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
        x_vrr(&l->x, op, w, d, 0, b);
        return;
    }
    x_rr(&l->x, op, w, d, b);
}

static void
op2m(struct lower *l, unsigned prefix, unsigned opcode, int d, struct mem m)
{
    const unsigned op = X_P(prefix) | X_0F | opcode;
    if (l->j->avx) {
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

/* Out of line, d becomes the canonical NaN if it is one. */
static void
canonical(struct lower *l, const struct ir_ins *i, int d)
{
    fp_compare_regs(l, fmt_of(i), 0x2e, d, d);
    struct stub *s = stub_new(l, STUB_NAN, x_jcc(&l->x, CC_P));
    s->arg = (uint8_t)d;
    s->fmt = (uint8_t)fmt_of(i);
    s->back = l->x.p;
}

static void
arith(struct lower *l, const struct ir_ins *i, unsigned opcode)
{
    const int a = use_fp(l, i->a), b = use_fp(l, i->b), d = def_fp(l, i->a);
    op3(l, prefix_of(i), opcode, d, a, b);
    made_fp(l, d);
    canonical(l, i, d);
}

static void
square_root(struct lower *l, const struct ir_ins *i)
{
    const int a = use_fp(l, i->a), d = def_fp(l, i->a);
    op3(l, prefix_of(i), 0x51, d, a, a);
    made_fp(l, d);
    canonical(l, i, d);
}

/* a * b + c rounded once. A NaN is the interpreter's: infinity times zero plus a quiet NaN raises invalid there and not here. */
static void
fused(struct lower *l, const struct ir_ins *i)
{
    struct x64 *x = &l->x;
    const int a = use_fp(l, i->a), b = use_fp(l, i->b), c = use_fp(l, i->c);
    int d = def_fp(l, i->c);
    if (!l->j->fma) {
        made_fp(l, d);
        bail(l, x_jmp(x));
        return;
    }
    if ((d == a || d == b) && d != c) {
        d = temp_fp(l); /* the interpreter will want both */
    }
    /* vfmadd231 b9, vfmsub231 bb, vfnmadd231 bd, vfnmsub231 bf */
    const unsigned opcode = 0xb9 + (i->aux & IRF_NEG_ADDEND ? 2u : 0) + (i->aux & IRF_NEG_PRODUCT ? 4u : 0);
    if (d == c && (d == a || d == b)) {
        d = temp_fp(l);
    }
    fp_move(l, d, c);
    x_vrr(x, X_P(0x66) | X_38 | opcode, fmt_of(i) == IRF_D, d, a, b);
    made_fp(l, d);
    fp_compare_regs(l, fmt_of(i), 0x2e, d, d);
    bail(l, x_jcc(x, CC_P));
}

static void
min_max(struct lower *l, const struct ir_ins *i)
{
    struct x64 *x = &l->x;
    const bool max = i->op == IR_FMAX;
    const int a = use_fp(l, i->a), b = use_fp(l, i->b), d = temp_fp(l);
    fp_compare_regs(l, fmt_of(i), 0x2e, a, b);
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
    const int a = use_fp(l, i->a), b = use_fp(l, i->b);
    if (i->op == IR_FEQ) {
        const int t = temp_int(l), d = def_int(l, 0);
        fp_compare_regs(l, fmt_of(i), 0x2e, a, b);
        x_rr8(x, X_SETCC | CC_NP, false, 0, t);
        x_rr8(x, X_SETCC | CC_E, false, 0, d);
        x_rr(x, X_AND, false, d, t);
        x_rr8(x, X_MOVZX8, false, d, d);
        made_int(l, d);
        return;
    }
    const bool quiet = i->op == IR_FLTQ || i->op == IR_FLEQ, le = i->op == IR_FLE || i->op == IR_FLEQ;
    const int d = def_int(l, 0);
    /* Swapped, so that "above" excludes unordered. */
    fp_compare_regs(l, fmt_of(i), quiet ? 0x2e : 0x2f, b, a);
    x_rr8(x, X_SETCC | (le ? CC_AE : CC_A), false, 0, d);
    x_rr8(x, X_MOVZX8, false, d, d);
    made_int(l, d);
}

static void
sign(struct lower *l, const struct ir_ins *i)
{
    struct x64 *x = &l->x;
    const int t = temp_int(l), mask = temp_fp(l);
    x_mov_imm(x, t, fmt_of(i) == IRF_S ? UINT64_C(0x80000000) : UINT64_C(0x8000000000000000));
    fp_from_int(l, mask, t);
    const int a = use_fp(l, i->a);
    if (i->op == IR_FNEG) {
        const int d = def_fp(l, i->a);
        op3(l, 0, 0x57, d, a, mask);
        made_fp(l, d);
        return;
    }
    const int b = use_fp(l, i->b), s = temp_fp(l);
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

static void
to_integer(struct lower *l, const struct ir_ins *i)
{
    struct x64 *x = &l->x;
    const unsigned fmt = fmt_of(i), kind = i->aux & 0xe;
    const int a = use_fp(l, i->a), d = def_int(l, 0);
    const unsigned opcode = i->aux & IRI_RTZ ? 0x2c : 0x2d;
    if ((i->aux & (IRI_RDN | IRI_RUP)) != 0 && (!l->j->sse41 || (kind != IRI_W && kind != IRI_L))) {
        made_int(l, d);
        bail(l, x_jmp(x));
        return;
    }
    if (i->aux & (IRI_RDN | IRI_RUP)) {
        /* Rounded without a word (8), converted; if that fits, truncation raises inexact where it is due. */
        const bool w = kind == IRI_L;
        const int t = temp_fp(l), scrap = temp_int(l);
        const unsigned op = X_P(0x66) | X_3A | (fmt == IRF_D ? 0x0bu : 0x0au);
        if (l->j->avx) {
            x_vrr(x, op, false, t, a, a);
        } else {
            x_rr(x, op | X_0F, false, t, a);
        }
        x_b(x, (i->aux & IRI_RDN ? 1u : 2u) | 8);
        op2(l, prefix_of(i), 0x2c, w, d, t);
        x_ri(x, X_I_CMP, w, d, 1);
        bail(l, x_jcc(x, CC_O));
        op2(l, prefix_of(i), 0x2c, w, scrap, a);
        if (!w) {
            x_rr(x, X_MOVSXD, true, d, d);
        }
        made_int(l, d);
        return;
    }
    if (kind == IRI_W || kind == IRI_L) {
        const bool w = kind == IRI_L;
        const int zero = temp_fp(l), flip = temp_int(l);
        op2(l, prefix_of(i), opcode, w, d, a);
        x_ri(x, X_I_CMP, w, d, 1); /* overflows for the least number, which stands for all that do not fit */
        uint8_t *const fits = x_jcc(x, CC_NO);
        /* Invalid is raised already. NaNs and what is above zero become the greatest: the least, inverted. */
        op3(l, 0, 0x57, zero, zero, zero);
        fp_compare_regs(l, fmt, 0x2e, zero, a);
        x_rr(x, X_SBB, true, flip, flip);
        x_rr(x, X_XOR, w, d, flip);
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
    int r = use_int(l, i->a);
    bool w = true;
    if (kind == IRI_W) {
        w = false;
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
    if (l->j->avx) {
        x_vrr(x, op, w, d, XMM_ONES, r);
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
    const int a = use_fp(l, i->a), d = def_fp(l, 0);
    op3(l, fmt_of(i) == IRF_S ? P_D : P_S, 0x5a, d, XMM_ONES, a);
    made_fp(l, d);
    canonical(l, i, d);
}

static void
load_fp(struct lower *l, const struct ir_ins *i)
{
    const struct mem m = address(l, i->a, i->imm);
    if (i->aux == IRT_U64) {
        const int d = def_fp(l, 0);
        fault_here(l);
        fp_load_reg(l, d, m);
        made_fp(l, d);
        return;
    }
    const int t = temp_fp(l), d = def_fp(l, 0);
    fault_here(l);
    op2m(l, P_S, 0x10, t, m);
    op3(l, P_S, 0x10, d, XMM_ONES, t); /* movss between registers merges */
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
    const int t = temp_int(l);
    put_int(l, t, i->a);
    x_ri(x, X_I_AND, false, t, 31);
    x_rm8(x, X_STORE8, t, M(RBP, HART(fflags)));
    const struct mem scratch = M(RBP, HART(jit_scratch));
    x_store_imm(x, 4, scratch, FP_MXCSR_CLEAR);
    x_rm(x, X_0F | 0xae, false, 2, scratch); /* ldmxcsr */
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
        const int a = use_fp(l, i->a), t = temp_int(l);
        fp_to_int(l, t, a);
        x_shift_i(x, X_SAR, true, t, 32);
        x_ri(x, X_I_CMP, true, t, -1);
        bail(l, x_jcc(x, CC_NE));
        return true;
    }
    case IR_FLAGS: flags(l); return true;
    case IR_SETFLAGS: set_flags(l, i); return true;
    case IR_MOVXF: {
        const int a = use_fp(l, i->a), d = def_int(l, 0);
        fp_to_int(l, d, a);
        made_int(l, d);
        return true;
    }
    case IR_MOVFX: {
        const int a = use_int(l, i->a), d = def_fp(l, 0);
        fp_from_int(l, d, a);
        made_fp(l, d);
        return true;
    }
    case IR_BOX: {
        const int t = temp_int(l), d = def_fp(l, 0);
        put_int(l, t, i->a);
        fp_from_int(l, d, t);
        op3(l, P_S, 0x10, d, XMM_ONES, d);
        made_fp(l, d);
        return true;
    }
    default:
        return false;
    }
}
