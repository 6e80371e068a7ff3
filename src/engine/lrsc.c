/*
 * lrsc.c - a load-reserved and its store-conditional as one locked instruction
 *
 * A pass over an extended block before it is lowered. What it knows of are the two loops that compilers and libraries make:
 *
 *      1: lr   t, (a)                        1: lr   t, (a)
 *         bne  t, e, out                        add  v, t, x      (and, or, xor; or a v that has nothing to do with t)
 *         sc   s, v, (a)                        sc   s, v, (a)
 *         bnez s, 1b                            bnez s, 1b
 *
 *      t = CAS a, e, v                       t = AMO a, x
 *      BR   t ≠ e, out                       v = t + x
 *      s = 0                                 s = 0
 *
 * Nothing can come between the two halves, so the sc succeeds if it is reached, and the way back is never taken. Whatever has nothing to do
 * with t moves in front, everything else stays behind in its order. Nothing has been written when the locked instruction faults, finds a
 * misaligned address, or an e that no lr.w gives: the interpreter then does it all again from the lr, which knows what each half does to such
 * an address. IRA_SC says that it is a pair: the reservation is gone afterwards or, where the comparison fails, it is what the lr made.
 */
#include "engine/jit.h"

#include <string.h>

#define FAR 48 /* instructions of the IR between the two, at most */

static bool
uses(const struct ir_ins *i, ref r)
{
    return (ir_args[i->op] > 0 && i->a == r) || (ir_args[i->op] > 1 && i->b == r) || (ir_args[i->op] > 2 && i->c == r);
}

struct pair {
    unsigned lr, sc, br; /* br: 0 without */
    bool late[FAR + 2];  /* by distance from lr: depends on what it saw */
    enum ir_op op;
    unsigned aux;
    ref b, c;
};

static bool
is_late(const struct pair *p, ref r)
{
    return r >= p->lr && p->late[r - p->lr];
}

/* From the lr to the sc, with nothing between them that anybody could notice. */
static bool
find_sc(const struct ir *ir, struct pair *p)
{
    p->br = 0;
    p->late[0] = true;
    for (unsigned k = p->lr + 1; k < ir->n && k <= p->lr + FAR; k++) {
        const struct ir_ins *i = &ir->ins[k];
        bool late = false;
        for (unsigned from = p->lr; from < k && !late; from++) {
            late = p->late[from - p->lr] && uses(i, (ref)from);
        }
        p->late[k - p->lr] = late;
        switch (i->op) {
        case IR_SC:
            p->sc = k;
            return i->a == ir->ins[p->lr].a && (i->aux & 3) == (ir->ins[p->lr].aux & 3);
        case IR_BR:
            if (p->br != 0) {
                return false;
            }
            p->br = k;
            break;
        case IR_NOP: case IR_GET: case IR_SET:
            break;
        case IR_MOVXF: case IR_MOVFX: case IR_BOX: case IR_FSGNJ: case IR_FSGNJN: case IR_FSGNJX: case IR_FNEG:
            return false;
        default:
            if (!ir_pure[i->op]) {
                return false;
            }
        }
    }
    return false;
}

/* What the pair does to memory. */
static bool
find_meaning(const struct ir *ir, struct pair *p)
{
    const struct ir_ins *sc = &ir->ins[p->sc];
    const bool w = (sc->aux & 3) == IRT_U32;
    ref v = sc->b;
    p->aux = (sc->aux & 3) | IRA_SC;
    if (p->br != 0) {
        const struct ir_ins *br = &ir->ins[p->br];
        const ref e = br->a == p->lr ? br->b : br->a;
        p->op = IR_CAS;
        p->b = e;
        p->c = v;
        return br->aux == IR_NE && uses(br, (ref)p->lr) && !is_late(p, e) && !is_late(p, v);
    }
    p->op = IR_AMO;
    p->b = v;
    p->c = 0;
    if (!is_late(p, v)) {
        p->aux |= IRA_SWAP << 4;
        return true;
    }
    while (w && (ir->ins[v].op == IR_SEXT32 || ir->ins[v].op == IR_ZEXT32)) {
        v = ir->ins[v].a;
    }
    const struct ir_ins *i = &ir->ins[v];
    switch (i->op) {
    case IR_ADDW:
        if (!w) {
            return false;
        }
        p->aux |= IRA_ADD << 4;
        break;
    case IR_ADD: p->aux |= IRA_ADD << 4; break;
    case IR_AND: p->aux |= IRA_AND << 4; break;
    case IR_OR: p->aux |= IRA_OR << 4; break;
    case IR_XOR: p->aux |= IRA_XOR << 4; break;
    default: return false;
    }
    p->b = i->a == p->lr ? i->b : i->a;
    return (i->a == p->lr || i->b == p->lr) && !is_late(p, p->b);
}

static ref
moved(const struct pair *p, const ref *to, ref r)
{
    return r >= p->lr && r < p->sc ? to[r - p->lr] : r;
}

/* Put the locked instruction where the lr was, behind what it needs. */
static void
join(struct ir *ir, struct pair *p)
{
    struct ir_ins was[FAR + 2];
    ref to[FAR + 2];
    const unsigned n = p->sc - p->lr;
    unsigned at = p->lr;
    memcpy(was, &ir->ins[p->lr], n * sizeof *was);
    for (unsigned pass = 0; pass < 2; pass++) {
        for (unsigned k = pass == 0 ? 1 : 0; k < n; k++) {
            const bool early = k > 0 && !p->late[k] && was[k].op != IR_SET && was[k].op != IR_BR;
            if (early == (pass == 0)) {
                to[k] = (ref)at++;
            }
        }
    }
    const struct ir_ins first = was[0];
    was[0] = (struct ir_ins){.op = (uint8_t)p->op, .aux = (uint8_t)p->aux, .a = first.a, .b = p->b, .c = p->c, .gi = first.gi};
    for (unsigned k = 0; k < n; k++) {
        if (to[k] < to[0]) {
            was[k].gi = first.gi;
        }
        ir->ins[to[k]] = was[k];
    }
    for (unsigned k = p->lr; k < ir->n; k++) {
        struct ir_ins *i = &ir->ins[k];
        i->a = moved(p, to, i->a);
        i->b = moved(p, to, i->b);
        i->c = moved(p, to, i->c);
    }
    ir->ins[p->sc] = (struct ir_ins){.op = IR_CONST, .gi = ir->ins[p->sc].gi};
}

/* sc gave 0: branches that would go back for another try are none. */
static void
drop_retry(struct ir *ir, ref sc)
{
    for (unsigned k = sc + 1u; k < ir->n; k++) {
        struct ir_ins *i = &ir->ins[k];
        if (i->op == IR_BR && i->aux == IR_NE && i->a == sc && ir_is_const(ir, i->b) && ir->ins[i->b].imm == 0) {
            for (unsigned q = k; q > sc && ir->ins[q].gi == i->gi; q--) {
                if (ir->ins[q].op == IR_POLL) {
                    ir->ins[q].op = IR_NOP;
                }
            }
            i->op = IR_NOP;
        }
    }
}

unsigned
lrsc_join(struct ir *ir)
{
    unsigned n = 0;
    if (ir->chain[IR_LR] == 0) {
        return 0;
    }
    for (unsigned k = 1; k < ir->n; k++) {
        struct pair p = {.lr = k};
        if (ir->ins[k].op == IR_LR && find_sc(ir, &p) && find_meaning(ir, &p)) {
            join(ir, &p);
            drop_retry(ir, (ref)p.sc);
            n++;
        }
    }
    return n;
}
