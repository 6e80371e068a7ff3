/*
 * lower_twins.c - products and quotients; and two results of one host instruction
 *
 * Where RISC-V has two instructions for what the host does at once, the first of them makes both, if the other is not far:
 *
 *      mul, mulh or mulhu of the same operands         mul
 *      div, rem of the same operands                   div
 *      s = x + y, s < x                                add, and its carry
 *      d = x - y, x < y or x < d                       sub, and its borrow
 *
 * The second value is in a scratch register from then on, and where it stands in the program there is nothing to do but give it its place.
 */
#include "engine/lower.h"

#include <string.h>

#define FAR 24 /* instructions of the IR between the two, at most */

static bool
is_quotient(unsigned op)
{
    return op >= IR_DIV && op <= IR_REMUW;
}

static bool
is_remainder(unsigned op)
{
    return op == IR_REM || op == IR_REMU || op == IR_REMW || op == IR_REMUW;
}

static bool
is_high(unsigned op)
{
    return op == IR_MULH || op == IR_MULHU;
}

/* Can p, which comes first, make q as well? */
static bool
are_twins(const struct ir_ins *p, ref at, const struct ir_ins *q)
{
    const bool same = q->a == p->a && q->b == p->b;
    switch (p->op) {
    case IR_ADD:
        return q->op == IR_LTU && q->a == at && (q->b == p->a || q->b == p->b);
    case IR_SUB:
        return q->op == IR_LTU && q->a == p->a && (q->b == p->b || q->b == at);
    case IR_MUL:
        return is_high(q->op) && (same || (q->a == p->b && q->b == p->a));
    case IR_MULH: case IR_MULHU:
        return q->op == IR_MUL && (same || (q->a == p->b && q->b == p->a));
    case IR_DIV: case IR_DIVU: case IR_DIVW: case IR_DIVUW:
        return same && q->op == p->op + (IR_REM - IR_DIV);
    case IR_REM: case IR_REMU: case IR_REMW: case IR_REMUW:
        return same && q->op + (IR_REM - IR_DIV) == p->op;
    default:
        return false;
    }
}
static_assert(IR_REMU == IR_DIVU + (IR_REM - IR_DIV) && IR_REMW == IR_DIVW + (IR_REM - IR_DIV) && IR_REMUW == IR_DIVUW + (IR_REM - IR_DIV), "");

void
twins_find(struct lower *l)
{
    const struct ir *ir = l->ir;
    memset(l->twin, 0, ir->n * sizeof l->twin[0]);
    memset(l->made, 0, ir->n * sizeof l->made[0]);
    if (l->r->tier != 2 || (ir->opts & IROPT_TWINS) == 0) {
        return;
    }
    for (unsigned k = 1; k < ir->n; k++) {
        const struct ir_ins *i = &ir->ins[k];
        if (ir_args[i->op] != 2 || !ir_pure[i->op] || ir_is_known(ir, i->a) || ir_is_known(ir, i->b) || l->made[k]) {
            continue;
        }
        for (unsigned m = k + 1; m < ir->n && m <= k + FAR; m++) {
            if (!l->made[m] && are_twins(i, (ref)k, &ir->ins[m])) {
                l->twin[k] = (ref)m;
                l->made[m] = true; /* somebody's, so far */
                break;
            }
        }
    }
    memset(l->made, 0, ir->n * sizeof l->made[0]);
}

/* The twin that the value of l->i is to be made with, or 0. */
static ref
twin_of(const struct lower *l)
{
    const ref m = l->twin[l->i];
    return m != 0 && l->uses[m] != 0 ? m : 0;
}

/* It is made, and in that register, which is locked or nobody's home. */
static void
twin_made(struct lower *l, ref m, int reg)
{
    l->made[m] = true;
    l->reg[reg] = m;
    l->j->stats.twins++;
}

/* The value of l->i is in that scratch register: where a home waits for it, there. */
static void
made_here(struct lower *l, int reg)
{
    const int h = home_int(l);
    if (h != NO_REG) {
        x_mov(&l->x, h, reg);
        l->reg[reg] = 0;
        reg = h;
    }
    made_int(l, reg);
}

bool
twin_arrives(struct lower *l)
{
    if (!l->made[l->i]) {
        return false;
    }
    const int h = home_int(l);
    if (h != NO_REG) {
        put_int(l, h, (ref)l->i);
        made_int(l, h);
    }
    return true;
}

static void
add_carry(struct lower *l, const struct ir_ins *i, ref m)
{
    struct x64 *x = &l->x;
    const unsigned op = i->op == IR_ADD ? X_ADD : X_SUB;
    struct mem at;
    const int a = use_int(l, i->a);
    const bool in_memory = memory_operand(l, i->b, &at);
    const int b = in_memory ? NO_REG : use_int(l, i->b);
    int d = def_int(l, i->a);
    if (!in_memory && d == b && d != a) {
        if (op == X_ADD) {
            x_rr(x, op, true, d, a);
        } else { /* by way of another register */
            d = temp_int(l);
            x_mov(x, d, a);
            x_rr(x, op, true, d, b);
        }
    } else {
        x_mov(x, d, a);
        if (in_memory) {
            x_rm(x, op, true, d, at);
        } else {
            x_rr(x, op, true, d, b);
        }
    }
    made_int(l, d);
    l->lock = 1u << d;
    const int t = temp_int(l); /* moves leave the flags alone */
    x_mov_imm(x, t, 0);
    x_rr8(x, X_SETCC | CC_B, false, 0, t);
    twin_made(l, m, t);
}

static void
multiply(struct lower *l, const struct ir_ins *i)
{
    struct x64 *x = &l->x;
    const struct ir_ins *pb = &l->ir->ins[i->b];
    const bool w = i->op == IR_MUL;
    if (pb->op == IR_CONST && pb->imm == (int32_t)pb->imm) {
        const int a = use_int(l, i->a), d = def_int(l, i->a);
        x_rr(x, 0x69, w, d, a);
        x_d(x, (uint32_t)pb->imm);
        made_int(l, d);
    } else {
        const int b = use_int(l, i->b), a = use_int(l, i->a), d = def_int(l, i->a);
        if (d == b) {
            x_rr(x, X_IMUL, w, d, a);
        } else {
            x_mov(x, d, a);
            x_rr(x, X_IMUL, w, d, b);
        }
        made_int(l, d);
    }
    if (!w) {
        lower_extend(l);
    }
}

/* Both halves of a product. */
static void
multiply_both(struct lower *l, const struct ir_ins *i, ref m)
{
    struct x64 *x = &l->x;
    const bool high = i->op != IR_MUL;
    const enum ir_op op = (enum ir_op)(high ? i->op : l->ir->ins[m].op);
    claim(l, RDX);
    if (l->j->bmi2 && op == IR_MULHU && !high) { /* mulx: the lower half where it is wanted */
        put_int(l, RDX, i->a);
        const int b = use_int(l, i->b), d = def_int(l, 0);
        x_vrr(x, X_P(0xf2) | X_38 | 0xf6, true, RDX, d, b);
        made_int(l, d);
        twin_made(l, m, RDX);
        return;
    }
    claim(l, RAX);
    put_int(l, RAX, i->a);
    x_rr(x, 0xf7, true, op == IR_MULH ? X_IMULS : X_MULU, use_int(l, i->b));
    twin_made(l, m, high ? RAX : RDX);
    made_here(l, high ? RDX : RAX);
}

/* The upper half of a product. */
static void
multiply_high(struct lower *l, const struct ir_ins *i)
{
    struct x64 *x = &l->x;
    claim(l, RAX);
    claim(l, RDX);
    put_int(l, RAX, i->a);
    const int b = use_int(l, i->b);
    x_rr(x, 0xf7, true, i->op == IR_MULH ? X_IMULS : X_MULU, b);
    if (i->op == IR_MULHSU) {
        /* unsigned product, less b where a is negative */
        put_int(l, RAX, i->a);
        x_shift_i(x, X_SAR, true, RAX, 63);
        x_rr(x, X_AND, true, RAX, b);
        x_rr(x, X_SUB, true, RDX, RAX);
    }
    made_int(l, RDX);
}

/*
 * Division: the host traps where RISC-V has a result, so 0 and, signed, -1 go other ways.
 */
static void
divide(struct lower *l, const struct ir_ins *i, ref m)
{
    struct x64 *x = &l->x;
    const enum ir_op op = (enum ir_op)i->op;
    const bool w = op == IR_DIV || op == IR_DIVU || op == IR_REM || op == IR_REMU;
    const bool is_signed = op == IR_DIV || op == IR_REM || op == IR_DIVW || op == IR_REMW;
    const bool rem = is_remainder(op);
    claim(l, RAX);
    claim(l, RDX);
    put_int(l, RAX, i->a);
    const int b = use_int(l, i->b);
    const struct ir_ins *pb = &l->ir->ins[i->b];
    const bool safe = pb->op == IR_CONST && pb->imm != 0 && pb->imm != -1 && (w || (int32_t)pb->imm == pb->imm);
    if (!w) {
        x_rr(x, X_MOV, false, RAX, RAX);
    }
    uint8_t *odd = NULL, *done = NULL;
    if (!safe) {
        if (is_signed) { /* b + 1 is 0 or 1, unsigned */
            x_rm(x, X_LEA, w, RDX, M(b, 1));
            x_ri(x, X_I_CMP, w, RDX, 1);
            odd = x_jcc(x, CC_BE);
        } else {
            x_rr(x, X_TEST, w, b, b);
            odd = x_jcc(x, CC_E);
        }
    }
    if (is_signed) {
        if (w) {
            x_b(x, 0x48);
        }
        x_b(x, 0x99); /* cdq, cqo */
        x_rr(x, 0xf7, w, X_IDIV, b);
    } else {
        x_rr(x, X_XOR, false, RDX, RDX);
        x_rr(x, 0xf7, w, X_DIVU, b);
    }
    if (!safe) {
        done = x_jmp(x);
        x_land(x, odd);
        /* rax = a, b is 0 (or -1, then rdx is 0, not 1): the remainder is a (or 0), the quotient -1 (or -a) */
        if (!is_signed) {
            x_mov(x, RDX, RAX);
            x_mov_imm(x, RAX, UINT64_MAX);
        } else {
            x_rr(x, X_IMUL, true, RDX, RAX);
            x_rr(x, 0xf7, w, X_NEG, RAX);
            x_rr(x, X_TEST, w, b, b);
            uint8_t *const minus = x_jcc(x, CC_NE);
            x_mov_imm(x, RAX, UINT64_MAX);
            x_land(x, minus);
        }
        x_land(x, done);
    }
    const int mine = rem ? RDX : RAX, other = rem ? RAX : RDX;
    if (!w) {
        x_rr(x, X_MOVSXD, true, mine, mine);
    }
    if (m != 0) {
        if (!w) {
            x_rr(x, X_MOVSXD, true, other, other);
        }
        twin_made(l, m, other);
    }
    made_here(l, mine);
}

bool
lower_twins(struct lower *l, const struct ir_ins *i)
{
    const ref m = twin_of(l);
    if (is_quotient(i->op)) {
        divide(l, i, m);
        return true;
    }
    switch (i->op) {
    case IR_ADD: case IR_SUB:
        if (m != 0) {
            add_carry(l, i, m);
        }
        return m != 0;
    case IR_MUL: case IR_MULH: case IR_MULHU:
        if (m != 0) {
            multiply_both(l, i, m);
            return true;
        }
        if (i->op != IR_MUL) {
            multiply_high(l, i);
            return true;
        }
        /* fallthrough */
    case IR_MULW:
        multiply(l, i);
        return true;
    case IR_MULHSU:
        multiply_high(l, i);
        return true;
    default:
        return false;
    }
}
