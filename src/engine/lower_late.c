/*
 * lower_late.c - the order in which an extended block is lowered: what can wait waits, for it may never have to be made
 *
 * A pure operation on one value is made when somebody asks for it, and a guest register gets its value in its home where control
 * may leave: at a "sync". What is overwritten before is then never made or stored, what only an address is made of goes into the
 * operand of the access (amodes), and what a register held before need not be copied to be read after. RISC-V code is full of
 * this: it computes addresses in steps, early, in registers of their own.
 *
 *      IR     t1 = zext8 a5 · t2 = t1 + 64 · t3 = t2 << 3 · t4 = a0 + t3 · a4 = load t4 · …        (t1 to t4 all written to x28)
 *      order  t1 · a4 = load [a0 + t1 * 8 + 512] · …
 *
 * An access to memory may fault in between. What registers have then that their homes have not is said by its "recipe", for
 * adaptive_fault(): how to make each from host registers, spill slots and other homes. What a recipe needs is kept until then.
 */
#include "engine/lower.h"

#include <string.h>

#define DEPTH 6 /* of what waits on one another */

/* ---- the order ---- */

/* Must all homes be exact there? Control may leave, or the instruction be done again by the interpreter. */
bool
late_syncs(const struct lower *l, const struct ir_ins *i)
{
    if (ir_pure[i->op]) {
        return false;
    }
    switch (i->op) {
    case IR_NOP: case IR_GET: case IR_GETF: case IR_SET: case IR_SETF: case IR_LOAD: case IR_LOADF: case IR_STORE:
    case IR_FADD: case IR_FSUB: case IR_FMUL: case IR_FDIV: case IR_FSQRT: case IR_FTOF:
        return false;
    case IR_FMADD:
        return !l->j->fma;
    default:
        return true;
    }
}

/* Is it no more than a part of an address? */
static bool
forms_address(const struct ir *ir, const struct ir_ins *i)
{
    return i->op == IR_ADD || (i->op == IR_SLL && ir_is_const(ir, i->b) && (uint64_t)ir->ins[i->b].imm <= 3);
}

/* Does k, as it will be lowered, look at no more of that operand than its low half? */
static bool
looks_low(const struct lower *l, unsigned k, unsigned arg)
{
    const struct ir *ir = l->ir;
    const struct ir_ins *i = &ir->ins[k];
    switch (i->op) {
    case IR_ADDW: case IR_SUBW: case IR_MULW: case IR_SLLW: case IR_SRLW: case IR_SRAW: case IR_RORW: case IR_ROLW:
    case IR_DIVW: case IR_DIVUW: case IR_REMW: case IR_REMUW: case IR_CLZ32: case IR_CTZ32:
    case IR_SEXT8: case IR_SEXT16: case IR_SEXT32: case IR_ZEXT8: case IR_ZEXT16: case IR_ZEXT32:
        return true;
    case IR_SRL: case IR_SRA: case IR_ROR: case IR_ROL:
        return arg == 1;
    case IR_SLL:
        return arg == 1 || !l->whole[k];
    case IR_AND:
        if (ir_is_const(ir, i->b) && ir->ins[i->b].imm >= 0 && ir->ins[i->b].imm <= INT32_MAX) {
            return true;
        }
        /* fallthrough */
    case IR_ADD: case IR_SUB: case IR_MUL: case IR_OR: case IR_XOR: case IR_NOT:
        return !l->whole[k];
    case IR_STORE:
        return arg == 1 && i->aux <= IRT_U32;
    case IR_ITOF:
        return (i->aux & 0xe) == IRI_W || (i->aux & 0xe) == IRI_WU;
    case IR_SET: /* a recipe can extend it */
        return l->superseded[k] && l->sext[k];
    case IR_BR: case IR_EQ: case IR_NE: case IR_LT: case IR_GE: case IR_LTU: case IR_GEU:
        return l->sext[k]; /* compare() */
    default:
        return false;
    }
}

void
late_used(struct lower *l, unsigned k)
{
    const struct ir *ir = l->ir;
    const struct ir_ins *i = &ir->ins[k];
    const ref args[3] = {i->a, i->b, i->c};
    for (unsigned a = 0; a < ir_args[i->op]; a++) {
        const bool access = a == 0 && (i->op == IR_LOAD || i->op == IR_LOADF || i->op == IR_STORE);
        if (!access && !(forms_address(ir, i) && !l->as_value[k]) && !(i->op == IR_SET && l->superseded[k])) {
            l->as_value[args[a]] = true;
        }
        if (!looks_low(l, k, a) || l->twin[k] != 0) {
            l->whole[args[a]] = true;
        }
    }
}

static bool
is_waiting(const struct lower *l, ref r)
{
    return l->waiting[r] && l->when[r] == 0;
}

/* What only the low half is wanted of needs no extension. */
static void
pass_over(struct lower *l, unsigned k)
{
    struct ir_ins *i = &l->ir->ins[k];
    ref *const args[2] = {&i->a, &i->b};
    for (unsigned a = 0; a < 2 && a < ir_args[i->op]; a++) {
        const struct ir_ins *v = &l->ir->ins[*args[a]];
        if (is_waiting(l, *args[a]) && !l->whole[*args[a]] && (v->op == IR_SEXT32 || v->op == IR_ZEXT32) && looks_low(l, k, a)) {
            *args[a] = v->a;
            l->j->stats.halves++;
        }
    }
}

/* It costs nothing to make it later: one register instead of another is needed until then, or none. */
static bool
can_wait(struct lower *l, unsigned k)
{
    const struct ir *ir = l->ir;
    const struct ir_ins *i = &ir->ins[k];
    l->depth[k] = 0;
    if (!l->waits || !ir_can_fold((enum ir_op)i->op)) {
        return false;
    }
    const unsigned a = is_waiting(l, i->a) ? l->depth[i->a] : 0, b = ir_args[i->op] > 1 && is_waiting(l, i->b) ? l->depth[i->b] : 0;
    l->depth[k] = (uint8_t)((a > b ? a : b) + 1);
    if (l->depth[k] > DEPTH) {
        return false;
    }
    return ir_args[i->op] == 1 || ir_is_known(ir, i->a) || ir_is_known(ir, i->b) || (i->op == IR_ADD && !l->as_value[k]);
}

static void demand(struct lower *l, ref r);

static void
used_now(struct lower *l, ref r)
{
    l->last[r] = (uint16_t)l->n_order;
}

static void
place(struct lower *l, unsigned k)
{
    const struct ir_ins *i = &l->ir->ins[k];
    const ref args[3] = {i->a, i->b, i->c};
    const struct amode *m = &l->amodes[k];
    if (i->op == IR_SELECT && l->selects[i->a]) {
        const struct ir_ins *c = &l->ir->ins[i->a];
        demand(l, c->a);
        demand(l, c->b);
    }
    l->order[++l->n_order] = (uint16_t)k;
    l->when[k] = (uint16_t)l->n_order;
    for (unsigned a = 0; a < ir_args[i->op]; a++) {
        if (a == 0 && m->base != 0) {
            used_now(l, m->base);
            used_now(l, m->index);
        } else {
            used_now(l, args[a]);
        }
    }
    if (i->op == IR_SELECT && l->selects[i->a]) {
        used_now(l, l->ir->ins[i->a].a);
        used_now(l, l->ir->ins[i->a].b);
    }
}

static void
demand(struct lower *l, ref r)
{
    if (!is_waiting(l, r)) {
        return;
    }
    const struct ir_ins *i = &l->ir->ins[r];
    demand(l, i->a);
    if (ir_args[i->op] > 1) {
        demand(l, i->b);
    }
    for (uint32_t left = l->pending; left != 0; left &= left - 1) { /* its home is free for it by now */
        const unsigned set = l->pend[__builtin_ctz(left)];
        if (l->ir->ins[set].a == r) {
            l->set_at[r] = (uint16_t)set;
            break;
        }
    }
    place(l, r);
}

static void
commit(struct lower *l, unsigned set)
{
    const struct ir_ins *i = &l->ir->ins[set];
    demand(l, i->a);
    l->order[++l->n_order] = (uint16_t)(set | ORDER_COMMIT);
    used_now(l, i->a);
    l->pending &= ~(1u << i->aux);
}

/* In the order in which the guest wrote them: what one replaces the next may read. */
static void
commit_all(struct lower *l)
{
    while (l->pending != 0) {
        unsigned first = IR_LIMIT;
        for (uint32_t left = l->pending; left != 0; left &= left - 1) {
            const unsigned set = l->pend[__builtin_ctz(left)];
            first = set < first ? set : first;
        }
        commit(l, first);
    }
}

/* What it is made of has to be somewhere until then. */
static void
keep(struct lower *l, ref r)
{
    if (!is_waiting(l, r)) {
        used_now(l, r);
        return;
    }
    const struct ir_ins *i = &l->ir->ins[r];
    keep(l, i->a);
    if (ir_args[i->op] > 1) {
        keep(l, i->b);
    }
}

/* The address as base + index * scale + displacement, of what has not been made: r * 2^scale is added to m; false if that is too much. */
static bool
gather(const struct lower *l, ref r, unsigned scale, struct amode *m)
{
    const struct ir_ins *i = &l->ir->ins[r];
    if (i->op == IR_CONST) {
        m->disp = (int64_t)((uint64_t)m->disp + ((uint64_t)i->imm << scale));
        return true;
    }
    if (is_waiting(l, r) && forms_address(l->ir, i)) {
        if (i->op == IR_ADD) {
            return gather(l, i->a, scale, m) && gather(l, i->b, scale, m);
        }
        const unsigned by = scale + (unsigned)l->ir->ins[i->b].imm;
        if (by <= 3) {
            return gather(l, i->a, by, m);
        }
    }
    if (scale == 0 && m->base == 0) {
        m->base = r;
    } else if (m->index == 0) {
        m->index = r;
        m->scale = (uint8_t)scale;
    } else if (scale == 0 && m->scale == 0 && m->base == 0) {
        m->base = r;
    } else {
        return false;
    }
    return true;
}

static void
find_amode(struct lower *l, unsigned k)
{
    const struct ir_ins *i = &l->ir->ins[k];
    struct amode m = {.disp = i->imm};
    if (!is_waiting(l, i->a) || l->en->cfg.guest_base != 0 || !gather(l, i->a, 0, &m) || m.base == 0 || m.disp != (int32_t)m.disp ||
        ir_is_known(l->ir, m.base)) {
        demand(l, i->a);
        return;
    }
    demand(l, m.base);
    demand(l, m.index);
    l->amodes[k] = m;
    l->j->stats.amodes++;
}

/* Before anything is placed that may be in an amode, what makes it is known to wait or not: values only use earlier ones. */
void
late_order(struct lower *l)
{
    struct ir *ir = l->ir;
    memset(l->when, 0, ir->n * sizeof l->when[0]);
    memset(l->waiting, 0, ir->n * sizeof l->waiting[0]);
    memset(l->amodes, 0, ir->n * sizeof l->amodes[0]);
    l->n_order = 0;
    l->pending = 0;
    for (unsigned k = l->n_given; k < ir->n; k++) {
        l->waiting[k] = ir->ins[k].op == IR_BYTE;
        l->depth[k] = 1;
        l->set_at[k] = 0;
    }
    for (unsigned k = 1; k < l->n_given; k++) {
        const struct ir_ins *i = &ir->ins[k];
        if (i->op == IR_NOP || ir_is_known(ir, (ref)k)) {
            continue;
        }
        if (i->op != IR_SET) {
            pass_over(l, k);
        }
        const ref args[3] = {i->a, i->b, i->c};
        if (i->op == IR_SET) {
            l->pend[i->aux] = (uint16_t)k;
            l->pending |= 1u << i->aux;
            /* In its home already, most likely; or nobody waits. */
            if (!l->waits || (l->set_at[i->a] == k && !l->superseded[k])) {
                if (!is_waiting(l, i->a)) {
                    commit(l, k);
                    continue;
                }
            }
            l->order[++l->n_order] = (uint16_t)k;
            continue;
        }
        if (l->selects[k]) {
            continue;
        }
        if (can_wait(l, k)) {
            l->waiting[k] = true;
            l->set_at[k] = 0;
            continue;
        }
        const bool access = i->op == IR_LOAD || i->op == IR_LOADF || i->op == IR_STORE;
        if (late_syncs(l, i)) {
            commit_all(l);
        }
        if (access) {
            find_amode(l, k);
        }
        for (unsigned a = access; a < ir_args[i->op]; a++) {
            demand(l, args[a]);
        }
        place(l, k);
        if (access) {
            for (uint32_t left = l->pending; left != 0; left &= left - 1) {
                keep(l, ir->ins[l->pend[__builtin_ctz(left)]].a);
            }
        }
    }
    commit_all(l);
}

/* ---- recipes ---- */

enum {
    RECIPE_REG = 0,      /* … 15: what that host register holds */
    RECIPE_SPILL = 0x10, /* a spill slot; its number follows, as the others' operands do */
    RECIPE_HOME,         /* the memory of a guest register */
    RECIPE_BYTE,         /* a constant, sign-extended */
    RECIPE_WORD,
    RECIPE_LONG,
    RECIPE_ADDRESS,      /* the translation's pc and so much */
    RECIPE_OP = 0x20,    /* … an operation of the IR on the top of the stack */
    RECIPE_SET = 0xc0,   /* … 0xdf: that guest register is the top of the stack */
    RECIPE_END = 0xff,
};
static_assert(RECIPE_OP + IR_OP_COUNT <= RECIPE_SET, "a byte says it");
#define RECIPE_DEPTH (2 * DEPTH)

static void
write_bytes(struct lower *l, unsigned code, const void *operand, size_t n)
{
    if (l->n_recipes + n + 1 + RECIPE_PAD > sizeof l->recipes) {
        l->full = true;
        l->n_recipes = 1;
        return;
    }
    l->recipes[l->n_recipes++] = (uint8_t)code;
    if (n != 0) {
        memcpy(l->recipes + l->n_recipes, operand, n);
        l->n_recipes += (uint32_t)n;
    }
}

static void
write_value(struct lower *l, ref r, unsigned depth)
{
    const struct ir_ins *i = &l->ir->ins[r];
    int8_t at;
    if (i->op == IR_CONST) {
        if (i->imm == (int8_t)i->imm) {
            write_bytes(l, RECIPE_BYTE, &i->imm, 1);
        } else if (i->imm == (int32_t)i->imm) {
            write_bytes(l, RECIPE_WORD, &i->imm, 4);
        } else {
            write_bytes(l, RECIPE_LONG, &i->imm, 8);
        }
    } else if (i->op == IR_ADDR) {
        const int64_t off = i->imm - (int64_t)l->r->pc;
        l->full |= off != (int32_t)off;
        write_bytes(l, RECIPE_ADDRESS, &off, 4);
    } else if ((at = (int8_t)in_register(l, r)) != NO_REG) {
        write_bytes(l, RECIPE_REG + (unsigned)at, NULL, 0);
    } else if ((at = (int8_t)in_spill(l, r)) != NO_REG) {
        write_bytes(l, RECIPE_SPILL, &at, 1);
    } else if ((at = (int8_t)in_home(l, r)) != NO_REG) {
        write_bytes(l, RECIPE_HOME, &at, 1);
    } else if (l->waiting[r] && depth < DEPTH) {
        /* Of what it compares there may be low halves only. */
        const bool halves = i->op >= IR_EQ && i->op <= IR_GEU && l->sext[r];
        write_value(l, i->a, depth + 1);
        if (halves) {
            write_bytes(l, RECIPE_OP + IR_SEXT32, NULL, 0);
        }
        if (ir_args[i->op] > 1) {
            write_value(l, i->b, depth + 1);
            if (halves) {
                write_bytes(l, RECIPE_OP + IR_SEXT32, NULL, 0);
            }
        }
        write_bytes(l, RECIPE_OP + i->op, NULL, 0);
    } else {
        l->full = true; /* cannot be: it was kept */
    }
}

uint32_t
late_recipe(struct lower *l)
{
    if (l->pending == 0) {
        return 0;
    }
    const uint32_t start = l->n_recipes;
    for (uint32_t left = l->pending; left != 0; left &= left - 1) {
        const unsigned g = (unsigned)__builtin_ctz(left);
        const ref v = l->ir->ins[l->pend[g]].a;
        write_value(l, v, 0);
        if (!l->whole[v] && !ir_is_known(l->ir, v)) {
            write_bytes(l, RECIPE_OP + IR_SEXT32, NULL, 0);
        }
        write_bytes(l, RECIPE_SET | g, NULL, 0);
    }
    write_bytes(l, RECIPE_END, NULL, 0);
    /* Accesses side by side mostly have the same one. */
    const uint32_t n = l->n_recipes - start;
    if (l->last_recipe != 0 && start - l->last_recipe == n && memcmp(l->recipes + l->last_recipe, l->recipes + start, n) == 0) {
        l->n_recipes = start;
        return l->last_recipe;
    }
    return l->last_recipe = start;
}

bool
late_recover(struct hart *h, const struct translation *t, uint64_t at_pc, uint32_t recipe, const uint64_t *regs)
{
    uint64_t stack[RECIPE_DEPTH], set[32];
    uint32_t mask = 0;
    unsigned n = 0;
    for (uint32_t at = recipe; at != 0;) {
        if (at >= t->n_recipes || t->n_recipes - at < RECIPE_PAD) {
            return false;
        }
        const uint8_t *p = t->recipes + at;
        const unsigned code = *p++;
        int32_t word;
        uint64_t v;
        if (code == RECIPE_END) {
            break;
        }
        memcpy(&word, p, 4);
        if (code >= RECIPE_SET) {
            if (n == 0) {
                return false;
            }
            set[code & 31] = stack[--n];
            mask |= 1u << (code & 31);
            at++;
            continue;
        }
        if (code >= RECIPE_OP) {
            const enum ir_op op = (enum ir_op)(code - RECIPE_OP);
            const unsigned args = op < IR_OP_COUNT ? ir_args[op] : 0;
            int64_t out;
            if (args == 0 || args > 2 || n < args || !ir_fold(op, stack[n - args], stack[n - 1], &out)) {
                return false;
            }
            n -= args;
            stack[n++] = (uint64_t)out;
            at++;
            continue;
        }
        switch (code) {
        case RECIPE_SPILL:
            v = *p < SPILLS ? h->jit_spill[*p] : 0;
            at += 2;
            break;
        case RECIPE_HOME:
            v = h->x[*p & 31];
            at += 2;
            break;
        case RECIPE_BYTE:
            v = (uint64_t)(int64_t)(int8_t)*p;
            at += 2;
            break;
        case RECIPE_WORD:
            v = (uint64_t)(int64_t)word;
            at += 5;
            break;
        case RECIPE_LONG:
            memcpy(&v, p, 8);
            at += 9;
            break;
        case RECIPE_ADDRESS:
            v = at_pc + (uint64_t)(int64_t)word;
            at += 5;
            break;
        default:
            if (code > 15) {
                return false;
            }
            v = regs[code];
            at++;
        }
        if (n == RECIPE_DEPTH) {
            return false;
        }
        stack[n++] = v;
    }
    for (; mask != 0; mask &= mask - 1) {
        h->x[__builtin_ctz(mask)] = set[__builtin_ctz(mask)];
    }
    return true;
}
