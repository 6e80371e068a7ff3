/*
 * ir.c - the IR's one way in: every instruction is folded, simplified and looked for among its elders as it is appended
 */
#include "engine/ir.h"

#include <string.h>

const char *const ir_names[IR_OP_COUNT] = {
#define X(name, cls, n, pure) #name,
    IR_OPS(X)
#undef X
};
const uint8_t ir_class[IR_OP_COUNT] = {
#define X(name, cls, n, pure) IRC_##cls,
    IR_OPS(X)
#undef X
};
const uint8_t ir_args[IR_OP_COUNT] = {
#define X(name, cls, n, pure) n,
    IR_OPS(X)
#undef X
};
const uint8_t ir_pure[IR_OP_COUNT] = {
#define X(name, cls, n, pure) pure,
    IR_OPS(X)
#undef X
};

void
ir_reset(struct ir *ir)
{
    ir->n = 1;
    ir->pos = 0;
    memset(ir->x, 0, sizeof ir->x);
    memset(ir->f, 0, sizeof ir->f);
    memset(ir->chain, 0, sizeof ir->chain);
    ir->ins[0] = (struct ir_ins){.op = IR_NOP};
}

static ref
append(struct ir *ir, struct ir_ins i)
{
    i.gi = ir->gi;
    i.pos = ir->pos;
    i.prev = ir->chain[i.op];
    ir->chain[i.op] = (ref)ir->n;
    ir->ins[ir->n] = i;
    return (ref)ir->n++;
}

/* An equal pure instruction that was there before, or a new one. */
static ref
share(struct ir *ir, struct ir_ins i)
{
    if (ir->opts & IROPT_CSE) {
        unsigned far = 0;
        for (ref r = ir->chain[i.op]; r != 0 && far < 32; r = ir->ins[r].prev, far++) {
            const struct ir_ins *o = &ir->ins[r];
            if (o->a == i.a && o->b == i.b && o->c == i.c && o->imm == i.imm && o->aux == i.aux) {
                ir->shared++;
                return r;
            }
        }
    }
    return append(ir, i);
}

ref
ir_const(struct ir *ir, int64_t v)
{
    for (ref r = ir->chain[IR_CONST]; r != 0; r = ir->ins[r].prev) {
        if (ir->ins[r].imm == v) {
            return r;
        }
    }
    return append(ir, (struct ir_ins){.op = IR_CONST, .imm = v});
}

ref
ir_addr(struct ir *ir, uint64_t pc)
{
    for (ref r = ir->chain[IR_ADDR]; r != 0; r = ir->ins[r].prev) {
        if (ir->ins[r].imm == (int64_t)pc) {
            return r;
        }
    }
    return append(ir, (struct ir_ins){.op = IR_ADDR, .imm = (int64_t)pc});
}

ref
ir_get(struct ir *ir, unsigned g)
{
    if (g == 0) {
        return ir_const(ir, 0);
    }
    if (ir->x[g] == 0) {
        ir->x[g] = append(ir, (struct ir_ins){.op = IR_GET, .aux = (uint8_t)g});
    }
    return ir->x[g];
}

void
ir_set(struct ir *ir, unsigned g, ref v)
{
    if (g == 0 || g == 32 || ir->x[g] == v) {
        return;
    }
    ir->x[g] = v;
    append(ir, (struct ir_ins){.op = IR_SET, .aux = (uint8_t)g, .a = v});
}

ref
ir_getf(struct ir *ir, unsigned g)
{
    if (ir->f[g] == 0) {
        ir->f[g] = append(ir, (struct ir_ins){.op = IR_GETF, .aux = (uint8_t)g});
    }
    return ir->f[g];
}

void
ir_setf(struct ir *ir, unsigned g, ref v)
{
    if (ir->f[g] == v) {
        return;
    }
    ir->f[g] = v;
    append(ir, (struct ir_ins){.op = IR_SETF, .aux = (uint8_t)g, .a = v});
}

static int64_t
sext32(uint64_t v)
{
    return (int32_t)(uint32_t)v;
}

bool
ir_fold(enum ir_op op, uint64_t a, uint64_t b, int64_t *out)
{
    const unsigned s6 = b & 63, s5 = b & 31;
    switch (op) {
    case IR_ADD: *out = (int64_t)(a + b); return true;
    case IR_SUB: *out = (int64_t)(a - b); return true;
    case IR_MUL: *out = (int64_t)(a * b); return true;
    case IR_AND: *out = (int64_t)(a & b); return true;
    case IR_OR: *out = (int64_t)(a | b); return true;
    case IR_XOR: *out = (int64_t)(a ^ b); return true;
    case IR_SLL: *out = (int64_t)(a << s6); return true;
    case IR_SRL: *out = (int64_t)(a >> s6); return true;
    case IR_SRA: *out = (int64_t)a >> s6; return true;
    case IR_ADDW: *out = sext32(a + b); return true;
    case IR_SUBW: *out = sext32(a - b); return true;
    case IR_MULW: *out = sext32(a * b); return true;
    case IR_SLLW: *out = sext32((uint32_t)a << s5); return true;
    case IR_SRLW: *out = (int64_t)((uint32_t)a >> s5); return true;
    case IR_SRAW: *out = (int32_t)(uint32_t)a >> s5; return true;
    case IR_EQ: *out = a == b; return true;
    case IR_NE: *out = a != b; return true;
    case IR_LT: *out = (int64_t)a < (int64_t)b; return true;
    case IR_GE: *out = (int64_t)a >= (int64_t)b; return true;
    case IR_LTU: *out = a < b; return true;
    case IR_GEU: *out = a >= b; return true;
    case IR_NOT: *out = (int64_t)~a; return true;
    case IR_SEXT8: *out = (int8_t)(uint8_t)a; return true;
    case IR_SEXT16: *out = (int16_t)(uint16_t)a; return true;
    case IR_SEXT32: *out = sext32(a); return true;
    case IR_BYTE: *out = (uint8_t)(a >> (8 * b & 63)); return true;
    case IR_ZEXT8: *out = (uint8_t)a; return true;
    case IR_ZEXT16: *out = (uint16_t)a; return true;
    case IR_ZEXT32: *out = (uint32_t)a; return true;
    case IR_ROR: *out = (int64_t)(a >> s6 | a << (-s6 & 63)); return true;
    case IR_ROL: *out = (int64_t)(a << s6 | a >> (-s6 & 63)); return true;
    case IR_RORW: *out = (uint32_t)((uint32_t)a >> s5 | (uint32_t)a << (-s5 & 31)); return true;
    case IR_ROLW: *out = (uint32_t)((uint32_t)a << s5 | (uint32_t)a >> (-s5 & 31)); return true;
    default: return false;
    }
}

bool
ir_can_fold(enum ir_op op)
{
    int64_t out;
    return ir_fold(op, 1, 1, &out);
}

static bool
commutes(enum ir_op op)
{
    switch (op) {
    case IR_ADD: case IR_MUL: case IR_AND: case IR_OR: case IR_XOR: case IR_ADDW: case IR_MULW: case IR_EQ: case IR_NE:
    case IR_MIN: case IR_MAX: case IR_MINU: case IR_MAXU: case IR_MULH: case IR_MULHU:
        return true;
    default:
        return false;
    }
}

static bool
sign_extends(const struct ir *ir, ref r, unsigned depth)
{
    const struct ir_ins *i = &ir->ins[r];
    switch (i->op) {
    case IR_CONST:
        return i->imm == (int32_t)i->imm;
    case IR_ADDW: case IR_SUBW: case IR_MULW: case IR_SLLW: case IR_SRAW: case IR_SEXT8: case IR_SEXT16: case IR_SEXT32:
    case IR_BYTE: case IR_ZEXT8: case IR_ZEXT16: case IR_EQ: case IR_NE: case IR_LT: case IR_GE: case IR_LTU: case IR_GEU:
    case IR_DIVW: case IR_REMW: case IR_CLZ: case IR_CTZ: case IR_CLZ32: case IR_CTZ32: case IR_CPOP:
    case IR_FEQ: case IR_FLT: case IR_FLE: case IR_FLTQ: case IR_FLEQ:
        return true;
    case IR_LOAD:
        return i->aux != IRT_U64 && i->aux != IRT_U32;
    case IR_SRLW:
        return ir_is_const(ir, i->b) && (ir->ins[i->b].imm & 31) != 0;
    case IR_AND:
        if (ir_is_const(ir, i->b) && ir->ins[i->b].imm >= 0 && ir->ins[i->b].imm <= INT32_MAX) {
            return true;
        }
        /* fallthrough */
    case IR_OR: case IR_XOR: case IR_MIN: case IR_MAX: case IR_MINU: case IR_MAXU:
        return depth < 4 && sign_extends(ir, i->a, depth + 1) && sign_extends(ir, i->b, depth + 1);
    case IR_NOT:
        return depth < 4 && sign_extends(ir, i->a, depth + 1);
    case IR_SELECT:
        return depth < 4 && sign_extends(ir, i->b, depth + 1) && sign_extends(ir, i->c, depth + 1);
    case IR_SRL:
        return ir_is_const(ir, i->b) && (ir->ins[i->b].imm & 63) > 32;
    case IR_SRA:
        return (ir_is_const(ir, i->b) && (ir->ins[i->b].imm & 63) >= 32) || (depth < 4 && sign_extends(ir, i->a, depth + 1));
    case IR_AMO: case IR_LR: case IR_CAS:
        return (i->aux & 3) != 3;
    case IR_FTOI:
        return (i->aux & 0xe) == IRI_W || (i->aux & 0xe) == IRI_WU;
    default:
        return false;
    }
}

/* Are the value's upper 33 bits all equal, whatever its operands? */
bool
ir_is_sext32(const struct ir *ir, ref r)
{
    return sign_extends(ir, r, 0);
}

/* Does the operation look at the low 32 bits of its operands only? Its narrow form, then. */
static enum ir_op
narrow(enum ir_op op)
{
    switch (op) {
    case IR_ADD: return IR_ADDW;
    case IR_SUB: return IR_SUBW;
    case IR_MUL: return IR_MULW;
    default: return IR_NOP;
    }
}

/* A value of which only the low 32 bits matter: an extension of it may be passed over. */
static ref
low32(const struct ir *ir, ref r)
{
    while (ir->ins[r].op == IR_SEXT32 || ir->ins[r].op == IR_ZEXT32) {
        r = ir->ins[r].a;
    }
    return r;
}

/* x << k | x >> (bits - k), of 64 bits or of the low 32 with the sign extended, is a rotation: +, | and ^ do the same to disjoint bits. */
static ref
rotation(struct ir *ir, const struct ir_ins *i)
{
    const struct ir_ins *l = &ir->ins[i->a], *r = &ir->ins[i->b];
    if (l->op == IR_SRL || l->op == IR_SRLW) {
        const struct ir_ins *t = l;
        l = r;
        r = t;
    }
    const bool w = l->op == IR_SLL && r->op == IR_SRL;
    if (!(w || (l->op == IR_SLLW && r->op == IR_SRLW)) || l->a != r->a || !ir_is_const(ir, l->b) || !ir_is_const(ir, r->b)) {
        return 0;
    }
    const int64_t bits = w ? 64 : 32, left = ir->ins[l->b].imm & (bits - 1), right = ir->ins[r->b].imm & (bits - 1);
    if (left == 0 || left + right != bits) {
        return 0;
    }
    const ref v = ir_emit(ir, w ? IR_ROR : IR_RORW, 0, l->a, r->b, 0, 0);
    return w ? v : ir_emit(ir, IR_SEXT32, 0, v, 0, 0, 0);
}

/* Does a guest register hold it now? Then it costs nothing to use it. */
static bool
is_held(const struct ir *ir, ref r)
{
    for (unsigned g = 1; g < 32; g++) {
        if (ir->x[g] == r) {
            return true;
        }
    }
    return false;
}

/* p is x + c: is it worth while to add to x instead? Not if p is at hand and x is not. */
static bool
look_through(const struct ir *ir, ref p)
{
    return is_held(ir, ir->ins[p].a) || !is_held(ir, p);
}

/* Identities. Returns the value if it needs no new instruction, else 0 with *i as simple as it gets. */
static ref
simplify(struct ir *ir, struct ir_ins *i)
{
    const bool kb = ir_args[i->op] >= 2 && ir_is_const(ir, i->b);
    const int64_t k = kb ? ir->ins[i->b].imm : 0;
    const struct ir_ins *a = &ir->ins[i->a];
    switch (i->op) {
    case IR_ADD:
        if (kb && k == 0) {
            return i->a;
        }
        if (kb && a->op == IR_ADDR) {
            return ir_addr(ir, (uint64_t)a->imm + (uint64_t)k);
        }
        if (kb && a->op == IR_ADD && ir_is_const(ir, a->b) && look_through(ir, i->a)) { /* (x + c) + k */
            const ref sum = ir_const(ir, (int64_t)((uint64_t)ir->ins[a->b].imm + (uint64_t)k));
            return ir_emit(ir, IR_ADD, 0, a->a, sum, 0, 0);
        }
        return rotation(ir, i);
    case IR_SUB:
        if (kb) {
            return ir_emit(ir, IR_ADD, 0, i->a, ir_const(ir, (int64_t)(0 - (uint64_t)k)), 0, 0);
        }
        if (a->op == IR_ADDR && ir->ins[i->b].op == IR_ADDR) {
            return ir_const(ir, (int64_t)((uint64_t)a->imm - (uint64_t)ir->ins[i->b].imm));
        }
        if (i->a == i->b) {
            return ir_const(ir, 0);
        }
        break;
    case IR_OR:
    case IR_XOR:
        if (kb && k == 0) {
            return i->a;
        }
        if (i->op == IR_XOR && kb && k == -1) {
            return ir_emit(ir, IR_NOT, 0, i->a, 0, 0, 0);
        }
        if (i->a == i->b) {
            return i->op == IR_OR ? i->a : ir_const(ir, 0);
        }
        return rotation(ir, i);
    case IR_AND:
        if (kb && k == 0) {
            return i->b;
        }
        if ((kb && k == -1) || i->a == i->b) {
            return i->a;
        }
        if (kb && k == 0xff) {
            return ir_emit(ir, IR_ZEXT8, 0, i->a, 0, 0, 0);
        }
        break;
    case IR_SLL:
    case IR_SRL:
    case IR_SRA:
        if (kb && (k & 63) == 0) {
            return i->a;
        }
        if (kb && i->op == IR_SRL && k == 32 && a->op == IR_SLL && ir_is_const(ir, a->b) && ir->ins[a->b].imm == 32) {
            return ir_emit(ir, IR_ZEXT32, 0, a->a, 0, 0, 0);
        }
        if (kb && i->op == IR_SRL && k == 48 && a->op == IR_SLL && ir_is_const(ir, a->b) && ir->ins[a->b].imm == 48) {
            return ir_emit(ir, IR_ZEXT16, 0, a->a, 0, 0, 0);
        }
        if (kb && i->op == IR_SRA && a->op == IR_SLL && ir_is_const(ir, a->b) && ir->ins[a->b].imm == k &&
            (k == 32 || k == 48 || k == 56)) {
            return ir_emit(ir, k == 32 ? IR_SEXT32 : k == 48 ? IR_SEXT16 : IR_SEXT8, 0, a->a, 0, 0, 0);
        }
        if (kb && i->op == IR_SRA && (k & 63) < 32 && a->op == IR_SEXT32) {
            return ir_emit(ir, IR_SRAW, 0, a->a, i->b, 0, 0);
        }
        if (!kb && i->op == IR_SRA && a->op == IR_SEXT32) {
            const struct ir_ins *b = &ir->ins[i->b];
            if (b->op == IR_AND && ir_is_const(ir, b->b) && ir->ins[b->b].imm == 31) {
                return ir_emit(ir, IR_SRAW, 0, a->a, b->a, 0, 0);
            }
        }
        break;
    case IR_SEXT32:
        if (ir_is_sext32(ir, i->a)) {
            return i->a;
        }
        if (narrow(a->op) != IR_NOP) {
            return ir_emit(ir, narrow(a->op), 0, low32(ir, a->a), low32(ir, a->b), 0, 0);
        }
        if (a->op == IR_SLL && ir_is_const(ir, a->b) && (ir->ins[a->b].imm & 63) < 32) {
            return ir_emit(ir, IR_SLLW, 0, low32(ir, a->a), a->b, 0, 0);
        }
        if (a->op == IR_SLL) {
            const struct ir_ins *s = &ir->ins[a->b];
            if (s->op == IR_AND && ir_is_const(ir, s->b) && ir->ins[s->b].imm == 31) {
                return ir_emit(ir, IR_SLLW, 0, low32(ir, a->a), s->a, 0, 0);
            }
        }
        if (a->op == IR_ZEXT32) {
            return ir_emit(ir, IR_SEXT32, 0, a->a, 0, 0, 0);
        }
        if (a->op == IR_DIV || a->op == IR_REM) {
            if (ir_is_sext32(ir, a->a) && ir_is_sext32(ir, a->b)) {
                return ir_emit(ir, a->op == IR_DIV ? IR_DIVW : IR_REMW, 0, a->a, a->b, 0, 0);
            }
        }
        if (a->op == IR_DIVU || a->op == IR_REMU) {
            const struct ir_ins *p = &ir->ins[a->a], *q = &ir->ins[a->b];
            if (p->op == IR_ZEXT32 && q->op == IR_ZEXT32) {
                return ir_emit(ir, a->op == IR_DIVU ? IR_DIVUW : IR_REMUW, 0, p->a, q->a, 0, 0);
            }
        }
        break;
    case IR_ZEXT32:
        if (a->op == IR_SEXT32) {
            i->a = a->a;
        } else if (a->op == IR_ZEXT32 || a->op == IR_SRLW || a->op == IR_ZEXT8 || a->op == IR_ZEXT16) {
            return i->a;
        }
        break;
    case IR_SELECT:
        if (ir_is_const(ir, i->a)) {
            return a->imm ? i->b : i->c;
        }
        if (i->b == i->c) {
            return i->b;
        }
        break;
    default:
        break;
    }
    return 0;
}

ref
ir_emit(struct ir *ir, enum ir_op op, unsigned aux, ref a, ref b, ref c, int64_t imm)
{
    struct ir_ins i = {.op = (uint8_t)op, .aux = (uint8_t)aux, .a = a, .b = b, .c = c, .imm = imm};
    if ((op == IR_LOAD || op == IR_STORE) && (ir->opts & IROPT_FUSE)) {
        /* The address's constant part into the displacement. */
        const struct ir_ins *p = &ir->ins[a];
        if (p->op == IR_ADD && ir_is_const(ir, p->b) && look_through(ir, a)) {
            const int64_t d = ir->ins[p->b].imm + imm;
            if (d == (int32_t)d) {
                i.a = p->a;
                i.imm = d;
            }
        }
    }
    if (!ir_pure[op]) {
        return append(ir, i);
    }
    if (ir->opts & IROPT_FOLD) {
        if (ir_args[op] == 2 && commutes(op) && ir_is_const(ir, a) && !ir_is_const(ir, b)) {
            i.a = b;
            i.b = a;
        }
        int64_t v;
        if (ir_args[op] != 0 && ir_args[op] < 3 && ir_class[op] == IRC_INT && ir_is_const(ir, i.a) &&
            (ir_args[op] == 1 || ir_is_const(ir, i.b)) &&
            ir_fold(op, (uint64_t)ir->ins[i.a].imm, ir_args[op] == 2 ? (uint64_t)ir->ins[i.b].imm : 0, &v)) {
            ir->folded++;
            return ir_const(ir, v);
        }
        const ref same = simplify(ir, &i);
        if (same != 0) {
            ir->folded++;
            return same;
        }
    }
    return share(ir, i);
}

bool
ir_ends(const struct ir *ir)
{
    for (unsigned k = ir->n; k-- > 1;) {
        switch (ir->ins[k].op) {
        case IR_NOP: case IR_SET:
            break;
        case IR_JMP: case IR_JMPR: case IR_CALL: case IR_CALLR: case IR_RET: case IR_ECALL: case IR_EXIT:
            return true;
        default:
            return false;
        }
    }
    return false;
}
