/*
 * lower_bytes.c - a number that is copied or written byte by byte goes at once
 *
 * RISC-V compilers do not trust unaligned accesses: memcpy of four bytes is four loads and four stores of a byte. The host has no such
 * fears, but cannot forward four small stores to the large load that reads them back soon after: that costs more than they do.
 *
 *      a = u8 [p], b = u8 [p + 1], …, u8 [q] = a, u8 [q + 1] = b, …          w = u32 [p], a = byte w 0, …, u32 [q] = w
 *      u8 [q] = v, u8 [q + 1] = v >> 8, …                                    u32 [q] = v
 *
 * Only accesses with no other effect among them: what others can see of one large access they could have seen of the small ones, had
 * they looked a little earlier or later. If it faults, nothing of it has been done, and the interpreter begins at the first small one.
 */
#include "engine/lower.h"

#define GROUP 8

/* Byte accesses of one base, side by side in memory, as far as they stand side by side in the code. */
struct group {
    unsigned n, at[GROUP]; /* in the order of their addresses */
    unsigned first;        /* of them in the code */
};

static bool
is_transparent(const struct ir_ins *i)
{
    return ir_pure[i->op] || i->op == IR_NOP || i->op == IR_GET || i->op == IR_SET;
}

static bool
is_byte(const struct ir_ins *i, enum ir_op op)
{
    return i->op == op && i->aux == IRT_U8;
}

/* The accesses from k on. Returns how many of the first so many make a whole: 8, 4, 2 or 0. */
static unsigned
gather(const struct ir *ir, unsigned k, enum ir_op op, struct group *g)
{
    const struct ir_ins *head = &ir->ins[k];
    unsigned found[GROUP], n = 0;
    int64_t low = head->imm;
    for (unsigned at = k; at < ir->n && n < GROUP; at++) {
        const struct ir_ins *i = &ir->ins[at];
        if (is_byte(i, op) && i->a == head->a) {
            found[n++] = at;
        } else if (!is_transparent(i)) {
            break;
        }
    }
    for (unsigned size = GROUP; size >= 2; size /= 2) {
        if (n < size) {
            continue;
        }
        uint32_t seen = 0;
        low = head->imm;
        for (unsigned j = 0; j < size; j++) {
            low = ir->ins[found[j]].imm < low ? ir->ins[found[j]].imm : low;
        }
        for (unsigned j = 0; j < size; j++) {
            const int64_t off = ir->ins[found[j]].imm - low;
            if (off < size) {
                seen |= 1u << off;
                g->at[off] = found[j];
            }
        }
        if (seen == (1u << size) - 1) {
            g->n = size;
            g->first = k;
            return size;
        }
    }
    return 0;
}

/* Byte j of which value? 0: of none that is known. */
static ref
whole_of(const struct ir *ir, ref r, unsigned j)
{
    const struct ir_ins *i = &ir->ins[r];
    while (i->op == IR_ZEXT8 || i->op == IR_SEXT8 || i->op == IR_ZEXT16 || i->op == IR_SEXT16 || i->op == IR_SEXT32 || i->op == IR_ZEXT32) {
        r = i->a;
        i = &ir->ins[r];
    }
    if (j == 0) {
        return r;
    }
    const bool w = j < 4 && (i->op == IR_SRLW || i->op == IR_SRAW);
    if ((i->op == IR_SRL || i->op == IR_SRA || w) && ir_is_const(ir, i->b) && ir->ins[i->b].imm == 8 * (int64_t)j) {
        r = i->a;
        while (j < 4 && (ir->ins[r].op == IR_SEXT32 || ir->ins[r].op == IR_ZEXT32)) {
            r = ir->ins[r].a;
        }
        return r;
    }
    return 0;
}

/* The value whose bytes the stores of g write; 0: no such. */
static ref
one_value(const struct ir *ir, const struct group *g)
{
    const ref v = whole_of(ir, ir->ins[g->at[0]].b, 0);
    if (v == 0 || v >= g->first || ir_class[ir->ins[v].op] != IRC_INT || ir_is_known(ir, v)) {
        return 0;
    }
    for (unsigned j = 1; j < g->n; j++) {
        if (whole_of(ir, ir->ins[g->at[j]].b, j) != v) {
            return 0;
        }
    }
    return v;
}

/* The loads of the bytes that the stores of g write: are they side by side as well, all before? */
static bool
one_load(const struct ir *ir, const struct group *g, struct group *loads)
{
    unsigned first = IR_LIMIT;
    for (unsigned j = 0; j < g->n; j++) {
        const ref v = ir->ins[g->at[j]].b;
        if (!is_byte(&ir->ins[v], IR_LOAD) || v > g->first) {
            return false;
        }
        first = v < first ? v : first;
    }
    if (gather(ir, first, IR_LOAD, loads) < g->n) {
        return false;
    }
    loads->n = g->n;
    for (unsigned j = 0; j < g->n; j++) {
        if (loads->at[j] != ir->ins[g->at[j]].b) {
            return false;
        }
    }
    return true;
}

static enum ir_type
type_of(unsigned bytes)
{
    return bytes == 8 ? IRT_U64 : bytes == 4 ? IRT_U32 : IRT_U16;
}

/* One load in the place of the first; the bytes are taken out of it. */
static ref
merge_loads(struct lower *l, const struct group *g)
{
    struct ir *ir = l->ir;
    const ref whole = (ref)g->first, renamed = (ref)ir->n++;
    const int64_t low = ir->ins[g->at[0]].imm;
    for (unsigned u = whole + 1u; u < renamed; u++) { /* its place is taken: its value goes by another name */
        struct ir_ins *i = &ir->ins[u];
        i->a = i->a == whole && ir_args[i->op] > 0 ? renamed : i->a;
        i->b = i->b == whole && ir_args[i->op] > 1 ? renamed : i->b;
        i->c = i->c == whole && ir_args[i->op] > 2 ? renamed : i->c;
    }
    for (unsigned j = 0; j < g->n; j++) {
        const ref k = g->at[j] == whole ? renamed : (ref)g->at[j];
        const uint16_t gi = ir->ins[g->at[j]].gi;
        ir->ins[k] = (struct ir_ins){.op = IR_BYTE, .gi = gi, .a = whole, .b = ir_const(ir, (int64_t)j)};
    }
    l->parts[whole] = true;
    ir->ins[whole].aux = type_of(g->n);
    ir->ins[whole].imm = low;
    return whole;
}

void
lower_bytes(struct lower *l)
{
    struct ir *ir = l->ir;
    const unsigned n = ir->n;
    for (unsigned k = 1; k < n && ir->n + 16 < IR_LIMIT; k++) {
        struct group g, loads;
        if (!is_byte(&ir->ins[k], IR_STORE) || gather(ir, k, IR_STORE, &g) == 0) {
            continue;
        }
        ref v = one_value(ir, &g);
        if (v == 0 && one_load(ir, &g, &loads)) {
            v = merge_loads(l, &loads);
        }
        if (v == 0) {
            continue;
        }
        const int64_t low = ir->ins[g.at[0]].imm;
        for (unsigned j = 0; j < g.n; j++) {
            if (g.at[j] != k) {
                ir->ins[g.at[j]].op = IR_NOP;
            }
        }
        l->parts[k] = true;
        ir->ins[k].aux = type_of(g.n);
        ir->ins[k].imm = low;
        ir->ins[k].b = v;
        l->j->stats.merged += g.n - 1;
    }
}
