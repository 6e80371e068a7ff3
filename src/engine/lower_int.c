/*
 * lower_int.c - integer operations (but products and quotients) and memory accesses to x86-64
 *
 * A result may be made in the very register of an operand (def_int), so each case reads all operands before it writes, or says why
 * it need not.
 */
#include "engine/lower.h"

#include "engine/lockstep.h"

/* d = a op b, two-operand form. */
static void
binary(struct lower *l, const struct ir_ins *i, unsigned op, unsigned digit, bool w, bool commutes)
{
    struct x64 *x = &l->x;
    const struct ir_ins *pb = &l->ir->ins[i->b];
    if (op == X_SUB && ir_is_const(l->ir, i->a) && l->ir->ins[i->a].imm == 0) {
        const int b = use_int(l, i->b), d = def_int(l, i->b);
        x_mov(x, d, b);
        x_rr(x, 0xf7, w, X_NEG, d);
        made_int(l, d);
        return;
    }
    const int a = use_int(l, i->a);
    if (pb->op == IR_CONST && pb->imm == (int32_t)pb->imm) {
        const int d = def_int(l, i->a);
        x_mov(x, d, a);
        x_ri(x, digit, w, d, (int32_t)pb->imm);
        made_int(l, d);
        return;
    }
    struct mem m;
    const bool in_memory = memory_operand(l, i->b, &m);
    const int b = in_memory ? NO_REG : use_int(l, i->b);
    int d = def_int(l, i->a);
    if (in_memory) {
        x_mov(x, d, a);
        x_rm(x, op, w, d, m);
    } else if (d == b && d != a) {
        if (commutes) {
            x_rr(x, op, w, d, a);
        } else if (op == X_SUB) {
            x_rr(x, 0xf7, w, X_NEG, d);
            x_rr(x, X_ADD, w, d, a);
        } else {
            d = temp_int(l);
            x_mov(x, d, a);
            x_rr(x, op, w, d, b);
        }
    } else {
        x_mov(x, d, a);
        x_rr(x, op, w, d, b);
    }
    made_int(l, d);
}

/* Sign-extend the low 32 bits of the value just made, if somebody looks. */
void
lower_extend(struct lower *l)
{
    if (!l->whole[l->i]) {
        l->j->stats.halves++;
        return;
    }
    for (int k = 0; k < 16; k++) {
        if (l->reg[k] == l->i) {
            x_rr(&l->x, X_MOVSXD, true, k, k);
            return;
        }
    }
}

static void
add(struct lower *l, const struct ir_ins *i, bool w)
{
    struct x64 *x = &l->x;
    const struct ir_ins *pb = &l->ir->ins[i->b];
    if (pb->op == IR_CONST && (pb->imm == (int32_t)pb->imm || !w)) {
        const int a = use_int(l, i->a), d = def_int(l, i->a);
        if (d == a) {
            x_ri(x, X_I_ADD, w, d, (int32_t)pb->imm);
        } else {
            x_rm(x, X_LEA, w, d, M(a, (int32_t)pb->imm));
        }
        made_int(l, d);
        return;
    }
    /* x + (y << 1, 2, 3), where the shift is for this alone: its register is free to be written here. */
    struct mem m;
    if (memory_operand(l, i->b, &m)) {
        binary(l, i, X_ADD, X_I_ADD, w, true);
        return;
    }
    const int a = use_int(l, i->a), b = use_int(l, i->b), d = def_int(l, i->a);
    if (d == a) {
        x_rr(x, X_ADD, w, d, b);
    } else if (d == b) {
        x_rr(x, X_ADD, w, d, a);
    } else if (a != R13 && a != RBP) {
        x_rm(x, X_LEA, w, d, (struct mem){(int8_t)a, (int8_t)b, 0, 0});
    } else {
        x_rm(x, X_LEA, w, d, (struct mem){(int8_t)b, (int8_t)a, 0, 0});
    }
    made_int(l, d);
}

static void
shift(struct lower *l, const struct ir_ins *i, unsigned digit, unsigned shx, bool w)
{
    struct x64 *x = &l->x;
    const struct ir_ins *pb = &l->ir->ins[i->b];
    if (pb->op == IR_CONST) {
        const unsigned by = (unsigned)pb->imm & (w ? 63 : 31);
        const int a = use_int(l, i->a), d = def_int(l, i->a);
        if (l->j->bmi2 && (digit == X_ROR || digit == X_ROL) && a != d && by != 0) {
            x_vrr(x, X_P(0xf2) | X_3A | 0xf0, w, d, 0, a); /* rorx */
            x_b(x, digit == X_ROR ? by : (w ? 64 : 32) - by);
            made_int(l, d);
            return;
        }
        if (w || by != 0) {
            x_mov(x, d, a);
        } else {
            x_rr(x, X_MOV, false, d, a); /* clears the upper half, as a shift would */
        }
        if (by != 0) {
            x_shift_i(x, digit, w, d, by);
        }
        made_int(l, d);
        return;
    }
    if (l->j->bmi2 && shx != 0) {
        const int a = use_int(l, i->a), b = use_int(l, i->b), d = def_int(l, i->a);
        x_vrr(x, shx, w, d, b, a);
        made_int(l, d);
        return;
    }
    claim(l, RCX);
    put_int(l, RCX, i->b);
    const int a = use_int(l, i->a), d = def_int(l, i->a);
    if (w) {
        x_mov(x, d, a);
    } else {
        x_rr(x, X_MOV, false, d, a); /* for a count of 0, which clears nothing */
    }
    x_rr(x, 0xd3, w, (int)digit, d);
    made_int(l, d);
}

static void
unary(struct lower *l, const struct ir_ins *i, unsigned op, bool w, bool byte)
{
    const int a = use_int(l, i->a), d = def_int(l, i->a);
    if (byte) {
        x_rr8(&l->x, op, w, d, a);
    } else {
        x_rr(&l->x, op, w, d, a);
    }
    made_int(l, d);
}

static bool
is_relation(enum ir_op op)
{
    return op >= IR_EQ && op <= IR_GEU;
}

static void
set_if(struct lower *l, const struct ir_ins *i)
{
    const enum cc cc = compare(l, l->i, (enum ir_op)i->op, i->a, i->b);
    const int d = def_int(l, i->a);
    x_mov_imm(&l->x, d, 0); /* an extension would have to wait */
    x_rr8(&l->x, X_SETCC | cc, false, 0, d);
    made_int(l, d);
}

static void
select3(struct lower *l, const struct ir_ins *i)
{
    struct x64 *x = &l->x;
    const uint32_t locked = l->lock;
    enum cc cc = CC_NE;
    if (l->selects[i->a]) {
        const struct ir_ins *c = &l->ir->ins[i->a];
        cc = compare(l, i->a, (enum ir_op)c->op, c->a, c->b);
    } else {
        const int k = use_int(l, i->a);
        x_rr(x, X_TEST, true, k, k);
    }
    l->lock = locked; /* the flags have it; moves leave them alone */
    const int b = use_int(l, i->b), c = use_int(l, i->c);
    const int d = def_int(l, i->c);
    if (d == b && d != c) {
        x_rr(x, X_CMOV | (cc ^ 1), true, d, c);
    } else {
        x_mov(x, d, c);
        x_rr(x, X_CMOV | cc, true, d, b);
    }
    made_int(l, d);
}

static void
min_max(struct lower *l, const struct ir_ins *i)
{
    /* Take b where a is greater (min), or less (max). */
    static const uint8_t ccs[] = {CC_G, CC_L, CC_A, CC_B};
    struct x64 *x = &l->x;
    const int a = use_int(l, i->a), b = use_int(l, i->b);
    x_rr(x, X_CMP, true, a, b);
    const enum cc cc = (enum cc)ccs[i->op - IR_MIN];
    const int d = def_int(l, i->a);
    if (d == b && d != a) {
        x_rr(x, X_CMOV | (cc ^ 1), true, d, a);
    } else {
        x_mov(x, d, a);
        x_rr(x, X_CMOV | cc, true, d, b);
    }
    made_int(l, d);
}

/* clz, ctz: 64 or 32 for zero. */
static void
count_zeros(struct lower *l, const struct ir_ins *i)
{
    struct x64 *x = &l->x;
    const bool w = i->op == IR_CLZ || i->op == IR_CTZ, leading = i->op == IR_CLZ || i->op == IR_CLZ32;
    if (l->j->lzcnt && l->j->bmi1) {
        unary(l, i, leading ? X_LZCNT : X_TZCNT, w, false);
        return;
    }
    const int bits = w ? 64 : 32;
    const int a = use_int(l, i->a), t = temp_int(l), d = temp_int(l);
    /* bsr and bsf leave their target undefined for zero; take 2 * bits - 1, or bits, there. */
    x_mov_imm(x, t, (uint64_t)(leading ? 2 * bits - 1 : bits));
    x_rr(x, leading ? X_BSR : X_BSF, w, d, a);
    x_rr(x, X_CMOV | CC_E, true, d, t);
    if (leading) {
        x_ri(x, X_I_XOR, false, d, bits - 1);
    }
    made_int(l, d);
}

static void
bswap(struct lower *l, const struct ir_ins *i)
{
    const int a = use_int(l, i->a), d = def_int(l, i->a);
    x_mov(&l->x, d, a);
    x_head(&l->x, X_0F | 0xc8 | ((unsigned)d & 7), true, 0, 0, d, false);
    made_int(l, d);
}

/* Without popcnt, as interp_ops.h counts. */
static void
popcount(struct lower *l, const struct ir_ins *i)
{
    struct x64 *x = &l->x;
    if (l->j->popcnt) {
        unary(l, i, X_POPCNT, true, false);
        return;
    }
    const int a = use_int(l, i->a), t = temp_int(l), k = temp_int(l);
    x_mov(x, t, a);
    x_shift_i(x, X_SHR, true, t, 1);
    x_mov_imm(x, k, UINT64_C(0x5555555555555555));
    x_rr(x, X_AND, true, t, k);
    x_rr(x, X_MOV, true, k, a);
    x_rr(x, X_SUB, true, k, t); /* pairs */
    x_mov(x, t, k);
    x_shift_i(x, X_SHR, true, t, 2);
    x_rm(x, X_STORE, true, t, M(RBP, HART(jit_scratch)));
    x_mov_imm(x, t, UINT64_C(0x3333333333333333));
    x_rr(x, X_AND, true, k, t);
    x_rm(x, X_AND, true, t, M(RBP, HART(jit_scratch)));
    x_rr(x, X_ADD, true, k, t); /* nibbles */
    x_mov(x, t, k);
    x_shift_i(x, X_SHR, true, t, 4);
    x_rr(x, X_ADD, true, k, t);
    x_mov_imm(x, t, UINT64_C(0x0f0f0f0f0f0f0f0f));
    x_rr(x, X_AND, true, k, t);
    x_mov_imm(x, t, UINT64_C(0x0101010101010101));
    x_rr(x, X_IMUL, true, k, t);
    x_shift_i(x, X_SHR, true, k, 56);
    made_int(l, k);
}

/* orc.b: each byte 255 if it is not 0. */
static void
or_combine(struct lower *l, const struct ir_ins *i)
{
    struct x64 *x = &l->x;
    const int a = use_int(l, i->a), t = temp_int(l), d = temp_int(l);
    /* ((a & 7f..) + 7f.. | a) & 80.. has the top bit of each byte that is not 0 */
    x_mov_imm(x, t, UINT64_C(0x7f7f7f7f7f7f7f7f));
    x_mov(x, d, a);
    x_rr(x, X_AND, true, d, t);
    x_rr(x, X_ADD, true, d, t);
    x_rr(x, X_OR, true, d, a);
    x_rr(x, 0xf7, true, X_NOT, t);
    x_rr(x, X_AND, true, d, t);
    /* t = d >> 7: 1 for each; d = (t << 8) - t */
    x_mov(x, t, d);
    x_shift_i(x, X_SHR, true, t, 7);
    x_shift_i(x, X_SHL, true, d, 1);
    x_rr(x, X_SUB, true, d, t);
    made_int(l, d);
}

/* Byte b of a, of which there may be no more. */
static void
byte_of(struct lower *l, const struct ir_ins *i)
{
    struct x64 *x = &l->x;
    const struct ir_ins *a = &l->ir->ins[i->a];
    const unsigned by = 8 * (unsigned)l->ir->ins[i->b].imm;
    const bool last = a->op == IR_LOAD && ((a->aux == IRT_U32 && by == 24) || (a->aux == IRT_U16 && by == 8) || by == 56);
    const int from = use_int(l, i->a), d = def_int(l, i->a);
    if (by == 0) {
        x_rr8(x, X_MOVZX8, false, d, from);
    } else {
        x_mov(x, d, from);
        x_shift_i(x, X_SHR, true, d, by);
        if (!last) {
            x_rr8(x, X_MOVZX8, false, d, d);
        }
    }
    made_int(l, d);
}

enum cc
compare(struct lower *l, unsigned k, enum ir_op op, ref a, ref b)
{
    static const uint8_t ccs[IR_OP_COUNT] = {[IR_EQ] = CC_E,   [IR_NE] = CC_NE,  [IR_LT] = CC_L,  [IR_GE] = CC_GE,
                                             [IR_LTU] = CC_B,  [IR_GEU] = CC_AE};
    static const uint8_t mirror[16] = {[CC_E] = CC_E,  [CC_NE] = CC_NE, [CC_L] = CC_G,  [CC_GE] = CC_LE,
                                       [CC_B] = CC_A,  [CC_AE] = CC_BE};
    enum cc cc = (enum cc)ccs[op];
    const bool w = !l->sext[k]; /* else the low halves say it */
    const struct ir_ins *pa = &l->ir->ins[a], *pb = &l->ir->ins[b];
    if (pa->op == IR_CONST && pb->op != IR_CONST) {
        const ref t = a;
        a = b;
        b = t;
        pb = pa;
        cc = (enum cc)mirror[cc];
    }
    struct mem m;
    if (pb->op == IR_CONST && pb->imm == (int32_t)pb->imm) {
        if (memory_operand(l, a, &m)) {
            x_mi(&l->x, X_I_CMP, w, m, (int32_t)pb->imm);
            return cc;
        }
        const int ra = use_int(l, a);
        if (pb->imm == 0) {
            x_rr(&l->x, X_TEST, w, ra, ra);
        } else {
            x_ri(&l->x, X_I_CMP, w, ra, (int32_t)pb->imm);
        }
        return cc;
    }
    const int ra = use_int(l, a);
    if (memory_operand(l, b, &m)) {
        x_rm(&l->x, X_CMP, w, ra, m);
    } else {
        x_rr(&l->x, X_CMP, w, ra, use_int(l, b));
    }
    return cc;
}

/* Memory. */

static void
load(struct lower *l, const struct ir_ins *i)
{
    static const struct {
        unsigned op;
        bool w;
    } ops[] = {[IRT_U8] = {X_MOVZX8, false},  [IRT_U16] = {X_MOVZX16, false}, [IRT_U32] = {X_MOV, false},
               [IRT_U64] = {X_MOV, true},     [IRT_S8] = {X_MOVSX8, true},    [IRT_S16] = {X_MOVSX16, true},
               [IRT_S32] = {X_MOVSXD, true}};
    const struct mem m = access_at(l, i, false);
    const int d = def_int(l, i->a);
    log_before(l, m);
    fault_here(l);
    x_rm(&l->x, ops[i->aux].op, ops[i->aux].w, d, m);
    log_int(l, 1u << (i->aux & 3), l->parts[l->i] ? ACCESS_PARTS : 0, d);
    made_int(l, d);
}

static void
store(struct lower *l, const struct ir_ins *i)
{
    struct x64 *x = &l->x;
    const struct ir_ins *v = &l->ir->ins[i->b];
    if (ir_class[v->op] == IRC_FP && i->aux >= IRT_U32) {
        fp_canonical_stores(l, i->b);
        const int f = i->aux == IRT_U64 ? fp_use_bits(l, i->b) : use_fp(l, i->b);
        const struct mem m = access_at(l, i, true);
        log_before(l, m);
        fault_here(l);
        if (i->aux == IRT_U64) {
            fp_store_reg(l, f, m);
        } else {
            fp_store_single(l, f, m);
        }
        log_fp(l, 1u << i->aux, ACCESS_WRITES, f);
        return;
    }
    const struct mem m = access_at(l, i, true);
    if (v->op == IR_CONST && (i->aux != IRT_U64 || v->imm == (int32_t)v->imm)) {
        log_before(l, m);
        fault_here(l);
        x_store_imm(x, 1u << i->aux, m, (int32_t)v->imm);
        log_constant(l, 1u << i->aux, (int32_t)v->imm);
        return;
    }
    const int r = use_int(l, i->b);
    log_before(l, m);
    fault_here(l);
    switch (i->aux) {
    case IRT_U8:
        x_rm8(x, X_STORE8, r, m);
        break;
    case IRT_U16:
        x_rm(x, X_P(0x66) | X_STORE, false, r, m);
        break;
    default:
        x_rm(x, X_STORE, i->aux == IRT_U64, r, m);
    }
    log_int(l, 1u << i->aux, l->parts[l->i] ? ACCESS_WRITES | ACCESS_PARTS : ACCESS_WRITES, r);
}

/* Atomics: an address that is not aligned is the interpreter's. */

static unsigned
kind_of(const struct ir_ins *i)
{
    return i->op != IR_SC && (i->aux & IRA_SC) != 0 ? ACCESS_WRITES | ACCESS_PAIR : ACCESS_WRITES;
}

static struct mem
atomic_address(struct lower *l, const struct ir_ins *i)
{
    const unsigned size = i->aux & 3;
    if (l->j->machine) {
        return lower_ram_atomic(l, i, size, i->op != IR_LR);
    }
    struct mem m = address(l, i->a, 0);
    if (size != 0) {
        x_rr8(&l->x, 0xf6, false, 0, m.base);
        x_b(&l->x, (1u << size) - 1);
        bail(l, x_jcc(&l->x, CC_NE));
    }
    log_before(l, m);
    return m;
}

/* `lock op m, r`, any size; the byte form of an opcode is one less. */
static void
locked(struct lower *l, unsigned op, unsigned size, int r, struct mem m)
{
    fault_here(l);
    x_b(&l->x, 0xf0);
    if (size == 1) {
        x_rm(&l->x, X_P(0x66) | op, false, r, m);
    } else if (size == 0) {
        x_rm8(&l->x, op - 1, r, m);
    } else {
        x_rm(&l->x, op, size == 3, r, m);
    }
}

static void
sign_extend(struct lower *l, unsigned size, int r)
{
    if (size == 0) {
        x_rr8(&l->x, X_MOVSX8, true, r, r);
    } else if (size == 1) {
        x_rr(&l->x, X_MOVSX16, true, r, r);
    } else if (size == 2) {
        x_rr(&l->x, X_MOVSXD, true, r, r);
    }
}

/*
 * After it: sc has been executed, if this stands for one. Looked at first, for there is hardly ever a reservation: a store would have to
 * be out of the way before the next locked instruction begins (3 ns).
 */
static void
forget_reservation(struct lower *l, const struct ir_ins *i)
{
    if (i->aux & IRA_SC) {
        x_head(&l->x, 0x80, false, X_I_CMP, NO_REG, RBP, false); /* cmp byte [resv_size], 0 */
        x_modrm_mem(&l->x, X_I_CMP, M(RBP, HART(resv_size)), 1);
        x_b(&l->x, 0);
        struct stub *s = stub_new(l, STUB_FORGET, x_jcc(&l->x, CC_NE));
        s->back = l->x.p;
    }
}

static void
atomic_op(struct lower *l, const struct ir_ins *i)
{
    struct x64 *x = &l->x;
    const unsigned size = i->aux & 3, op = i->aux >> 4;
    if (op == IRA_ADD || op == IRA_SWAP) {
        const struct mem m = atomic_address(l, i);
        const int v = use_int(l, i->b), d = temp_int(l);
        x_mov(x, d, v);
        locked(l, op == IRA_ADD ? X_XADD : X_XCHG, size, d, m);
        forget_reservation(l, i);
        sign_extend(l, size, d);
        log_int(l, 1u << size, kind_of(i), d);
        made_int(l, d);
        return;
    }
    /* The rest by a loop: rax old, rcx new. */
    static const uint8_t plain[] = {[IRA_XOR] = X_XOR, [IRA_OR] = X_OR, [IRA_AND] = X_AND};
    static const uint8_t keep_old_if[] = {[IRA_MIN] = CC_L, [IRA_MAX] = CC_G, [IRA_MINU] = CC_B, [IRA_MAXU] = CC_A};
    claim(l, RAX);
    claim(l, RCX);
    int v = use_int(l, i->b);
    if (size < 2 && op >= IRA_MIN) {
        /* Narrow comparisons: on extended values; the stored one is cut again. */
        const bool is_signed = op == IRA_MIN || op == IRA_MAX;
        x_rr8(x, size == 0 ? (is_signed ? X_MOVSX8 : X_MOVZX8) : (is_signed ? X_MOVSX16 : X_MOVZX16), false, RCX, v);
        x_rm(x, X_STORE, true, RCX, M(RBP, HART(jit_scratch)));
    } else {
        x_rm(x, X_STORE, true, v, M(RBP, HART(jit_scratch)));
    }
    l->lock &= ~(1u << v);
    const struct mem m = atomic_address(l, i);
    static const unsigned loads[] = {X_MOVZX8, X_MOVZX16, X_MOV, X_MOV};
    static const unsigned loads_signed[] = {X_MOVSX8, X_MOVSX16, X_MOV, X_MOV};
    const bool is_signed = op == IRA_MIN || op == IRA_MAX;
    fault_here(l);
    x_rm(x, (is_signed ? loads_signed : loads)[size], size == 3, RAX, m);
    const uint8_t *again = x->p;
    if (op < IRA_MIN) {
        x_mov(x, RCX, RAX);
        x_rm(x, plain[op], true, RCX, M(RBP, HART(jit_scratch)));
    } else {
        if (is_signed && size < 2) {
            x_rr8(x, size == 0 ? X_MOVSX8 : X_MOVSX16, false, RAX, RAX);
        }
        x_rm(x, X_MOV, true, RCX, M(RBP, HART(jit_scratch)));
        x_rr(x, X_CMP, size == 3, RAX, RCX);
        x_rr(x, X_CMOV | keep_old_if[op], true, RCX, RAX);
    }
    locked(l, X_CMPXCHG, size, RCX, m);
    x_jcc_to(x, CC_NE, again);
    forget_reservation(l, i);
    sign_extend(l, size, RAX);
    log_int(l, 1u << size, kind_of(i), RAX);
    made_int(l, RAX);
}

static void
compare_and_swap(struct lower *l, const struct ir_ins *i)
{
    struct x64 *x = &l->x;
    const unsigned size = i->aux & 3;
    const struct ir_ins *e = &l->ir->ins[i->b];
    claim(l, RAX);
    if ((i->aux & IRA_SC) && size == 2 && !(e->op == IR_CONST && e->imm == (int32_t)e->imm)) {
        /* What lr gives is extended; nothing else can be equal to it. */
        const int r = use_int(l, i->b);
        x_rr(x, X_MOVSXD, true, RAX, r);
        x_rr(x, X_CMP, true, RAX, r);
        l->lock &= ~(1u << r) | 1u << RAX;
        bail(l, x_jcc(x, CC_NE));
    }
    const struct mem m = atomic_address(l, i);
    const int v = use_int(l, i->c);
    put_int(l, RAX, i->b);
    locked(l, X_CMPXCHG, size, v, m);
    if (i->aux & IRA_SC) {
        struct stub *s = stub_new(l, STUB_RESERVE, x_jcc(x, CC_NE));
        s->arg = (uint8_t)m.base;
        s->fmt = (uint8_t)size;
        forget_reservation(l, i);
        s->back = x->p;
    }
    sign_extend(l, size, RAX);
    log_int(l, 1u << size, kind_of(i), RAX);
    made_int(l, RAX);
}

void
lower_reserve(struct lower *l, const struct stub *s)
{
    sign_extend(l, s->fmt, RAX);
    if (l->en->cfg.guest_base != 0) { /* a scratch register of this instruction's */
        x_rm(&l->x, X_SUB, true, s->arg, M(RBP, HART(guest_base)));
    }
    x_rm(&l->x, X_STORE, true, s->arg, M(RBP, HART(resv_addr)));
    x_rm(&l->x, X_STORE, true, RAX, M(RBP, HART(resv_value)));
    x_store_imm(&l->x, 1, M(RBP, HART(resv_size)), 1 << s->fmt);
    log_lr_alone(l);
}

/* Reservations: sc is a compare-and-swap against what lr saw. It ends the reservation, also if it faults. */
static void
load_reserved(struct lower *l, const struct ir_ins *i)
{
    struct x64 *x = &l->x;
    const unsigned size = i->aux & 3;
    const int a = use_int(l, i->a);
    const struct mem m = atomic_address(l, i);
    if (i->aux & 0x10) {
        lower_fence(l);
    }
    const int d = temp_int(l);
    fault_here(l);
    x_rm(x, size == 3 ? X_MOV : X_MOVSXD, true, d, m);
    x_rm(x, X_STORE, true, a, M(RBP, HART(resv_addr)));
    x_rm(x, X_STORE, true, d, M(RBP, HART(resv_value)));
    x_store_imm(x, 1, M(RBP, HART(resv_size)), 1 << size);
    log_int(l, 1u << size, 0, d);
    made_int(l, d);
}

static void
store_conditional(struct lower *l, const struct ir_ins *i)
{
    struct x64 *x = &l->x;
    const unsigned size = i->aux & 3;
    claim(l, RAX);
    const int a = use_int(l, i->a);
    const struct mem m = atomic_address(l, i);
    x_head(x, 0x80, false, X_I_CMP, NO_REG, RBP, false); /* cmp byte [resv_size], size */
    x_modrm_mem(x, X_I_CMP, M(RBP, HART(resv_size)), 1);
    x_b(x, 1u << size);
    uint8_t *lost1 = x_jcc(x, CC_NE);
    x_rm(x, X_CMP, true, a, M(RBP, HART(resv_addr)));
    if (m.base != a) {
        l->lock &= ~(1u << a); /* with a guest base, a itself is done with */
    }
    uint8_t *lost2 = x_jcc(x, CC_NE);
    x_land(x, lost1);
    x_land(x, lost2);
    /* The flags say whether it is held; a value may have to be loaded meanwhile, which leaves them alone. */
    const int v = use_int(l, i->b);
    x_store_imm(x, 1, M(RBP, HART(resv_size)), 0);
    uint8_t *lost = x_jcc(x, CC_NE);
    x_rm(x, X_MOV, true, RAX, M(RBP, HART(resv_value)));
    locked(l, X_CMPXCHG, size, v, m);
    x_land(x, lost);
    x_rr8(x, X_SETCC | CC_NE, false, 0, RAX);
    x_rr8(x, X_MOVZX8, false, RAX, RAX);
    log_int(l, 1u << size, kind_of(i), RAX);
    made_int(l, RAX);
}

void
lower_fence(struct lower *l)
{
    /* lock or dword [rsp], 0: a full barrier, cheaper than mfence */
    x_b(&l->x, 0xf0);
    x_mi(&l->x, X_I_OR, false, M(RSP, 0), 0);
}

bool
lower_int(struct lower *l, const struct ir_ins *i)
{
    struct x64 *x = &l->x;
    switch (i->op) {
    case IR_ADD:
        if (!lower_twins(l, i)) {
            add(l, i, true);
        }
        return true;
    case IR_ADDW: add(l, i, false); lower_extend(l); return true;
    case IR_SUB:
        if (!lower_twins(l, i)) {
            binary(l, i, X_SUB, X_I_SUB, true, false);
        }
        return true;
    case IR_SUBW: binary(l, i, X_SUB, X_I_SUB, false, false); lower_extend(l); return true;
    case IR_AND: binary(l, i, X_AND, X_I_AND, true, true); return true;
    case IR_OR: binary(l, i, X_OR, X_I_OR, true, true); return true;
    case IR_XOR: binary(l, i, X_XOR, X_I_XOR, true, true); return true;
    case IR_SLL: shift(l, i, X_SHL, X_P(0x66) | X_38 | 0xf7, true); return true;
    case IR_SRL: shift(l, i, X_SHR, X_P(0xf2) | X_38 | 0xf7, true); return true;
    case IR_SRA: shift(l, i, X_SAR, X_P(0xf3) | X_38 | 0xf7, true); return true;
    case IR_SLLW: shift(l, i, X_SHL, X_P(0x66) | X_38 | 0xf7, false); lower_extend(l); return true;
    case IR_SRLW: shift(l, i, X_SHR, X_P(0xf2) | X_38 | 0xf7, false); return true;
    case IR_SRAW: shift(l, i, X_SAR, X_P(0xf3) | X_38 | 0xf7, false); lower_extend(l); return true;
    case IR_ROL: shift(l, i, X_ROL, 0, true); return true;
    case IR_ROR: shift(l, i, X_ROR, 0, true); return true;
    case IR_ROLW: shift(l, i, X_ROL, 0, false); return true;
    case IR_RORW: shift(l, i, X_ROR, 0, false); return true;
    case IR_MIN: case IR_MAX: case IR_MINU: case IR_MAXU: min_max(l, i); return true;
    case IR_NOT: {
        const int a = use_int(l, i->a), d = def_int(l, i->a);
        x_mov(x, d, a);
        x_rr(x, 0xf7, true, X_NOT, d);
        made_int(l, d);
        return true;
    }
    case IR_SEXT8: unary(l, i, X_MOVSX8, true, true); return true;
    case IR_SEXT16: unary(l, i, X_MOVSX16, true, false); return true;
    case IR_SEXT32: unary(l, i, X_MOVSXD, true, false); return true;
    case IR_ZEXT8: unary(l, i, X_MOVZX8, false, true); return true;
    case IR_ZEXT16: unary(l, i, X_MOVZX16, false, false); return true;
    case IR_ZEXT32: unary(l, i, X_MOV, false, false); return true;
    case IR_CLZ: case IR_CTZ: case IR_CLZ32: case IR_CTZ32: count_zeros(l, i); return true;
    case IR_CPOP: popcount(l, i); return true;
    case IR_BYTE: byte_of(l, i); return true;
    case IR_REV8: bswap(l, i); return true;
    case IR_ORCB: or_combine(l, i); return true;
    case IR_SELECT: select3(l, i); return true;
    case IR_LOAD: load(l, i); return true;
    case IR_STORE: store(l, i); return true;
    case IR_LR: load_reserved(l, i); return true;
    case IR_SC: store_conditional(l, i); return true;
    case IR_AMO: atomic_op(l, i); return true;
    case IR_CAS: compare_and_swap(l, i); return true;
    case IR_FENCE: lower_fence(l); return true;
    case IR_PAUSE: x_b(x, 0xf3); x_b(x, 0x90); return true;
    default:
        if (is_relation((enum ir_op)i->op)) {
            set_if(l, i);
            return true;
        }
        return lower_twins(l, i);
    }
}
