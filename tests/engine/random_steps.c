/*
 * random_steps.c - what compilers of RISC-V do in steps, and a translator may do at once; see random.h
 */
#include "random_impl.h"

/* Values of one source each, in few registers, addresses made of them in steps, and accesses of which some fault now and then. */
void
address_steps(struct gen *g, bool faults)
{
    static const uint8_t widths[] = {0, 1, 2, 3, 4, 5, 6};
    const uint32_t was = g->reserved;
    const unsigned regs[4] = {take_reg(g), take_reg(g), take_reg(g), take_reg(g)}, where = take_reg(g);
    for (unsigned n = 3 + below(g, 12); n > 0; n--) {
        const unsigned d = regs[below(g, 4)], a = below(g, 4) ? regs[below(g, 4)] : any_reg(g);
        const int k = (int)below(g, 4096) - 2048;
        switch (below(g, 16)) {
        case 0: W(g, ADDI(d, a, k)); break;
        case 1: W(g, SLLI(d, a, below(g, 5))); break;
        case 2: W(g, below(g, 2) ? SRLI(d, a, 32) : SLLI(d, a, 32)); break;
        case 3: W(g, enc_i(0x1b, 5, d, a, (int)below(g, 32) | (below(g, 2) ? 0x400 : 0))); break; /* srliw, sraiw */
        case 4: W(g, enc_i(0x1b, below(g, 2) ? 0 : 1, d, a, (int)below(g, 32))); break;           /* addiw, slliw */
        case 5: W(g, ANDI(d, a, 255)); break;
        case 6: W(g, enc_i(0x13, below(g, 2) ? 4 : 6, d, a, k)); break;
        case 7: W(g, enc_i(0x13, 2 + below(g, 2), d, a, k)); break;
        case 8: W(g, ADD(d, a, regs[below(g, 4)])); break;
        case 9: W(g, enc_r(0x33, below(g, 2) ? 4 : 0, below(g, 2) ? 0 : 0x20, d, a, any_reg(g))); break;
        case 10: case 11: case 12: case 13: { /* base + (index << n) + displacement, in steps */
            const unsigned by = below(g, 4);
            W(g, ANDI(where, a, by == 3 ? 0x1f : 0x3f));
            if (by != 0) {
                W(g, ADDI(where, where, (int)below(g, 16)));
                W(g, SLLI(where, where, by));
            }
            W(g, below(g, 2) ? ADD(where, where, g->p0) : ADD(where, g->p1, where));
            for (unsigned m = 1 + below(g, 2); m > 0; m--) {
                W(g, below(g, 3) ? enc_i(0x03, widths[below(g, 7)], regs[below(g, 4)], where, (int)below(g, 64))
                                 : enc_s(below(g, 4), where, any_reg(g), (int)below(g, 64)));
            }
            break;
        }
        default: /* the last page that may be written and the first that may not; or that and what is not there */
            if (!faults) {
                break;
            }
            W(g, LUI(where, RP_CONST - 0x1000 + 0x1000 * below(g, 2)));
            W(g, ANDI(d, any_reg(g), 1));
            W(g, SLLI(d, d, 12));
            W(g, ADD(where, d, where));
            W(g, below(g, 2) ? enc_i(0x03, widths[below(g, 7)], regs[below(g, 4)], where, (int)below(g, 64))
                             : enc_s(below(g, 4), where, any_reg(g), (int)below(g, 64)));
        }
    }
    g->reserved = was;
}

/* Numbers copied, or written, byte by byte; at the end of a page that may be written, or read, a part of one faults. */
void
byte_steps(struct gen *g, bool faults)
{
    const uint32_t was = g->reserved;
    const unsigned regs[4] = {take_reg(g), take_reg(g), take_reg(g), take_reg(g)}, from = take_reg(g), to = take_reg(g);
    const unsigned n = 2u << below(g, 2), lead = 1 + below(g, 5);
    if (g->p->n_tables + 2 > RP_TABLES_BYTES / 8) {
        g->reserved = was;
        return;
    }
    uint64_t *const table = &g->p->tables[g->p->n_tables]; /* so that nobody knows them as he translates */
    table[0] = faults && below(g, 4) == 0 ? RP_CONST + RP_CONST_BYTES - lead : RP_ARENA + 0x900 + below(g, 16);
    table[1] = faults && below(g, 4) == 0 ? RP_CONST - lead : RP_ARENA + 0x900 + below(g, 16);
    load_address(g, to, RP_TABLES + 8 * g->p->n_tables);
    g->p->n_tables += 2;
    W(g, LD(from, to, 0));
    W(g, LD(to, to, 8));
    const unsigned source = below(g, 6) == 0 ? to : from, turn = below(g, 2) ? below(g, n) : 0;
    const bool copied = below(g, 3) != 0;
    if (copied) {
        for (unsigned k = 0; k < n; k++) {
            W(g, enc_i(0x03, 4, regs[(k + turn) % n], source, (int)((k + turn) % n))); /* lbu */
            if (below(g, 16) == 0) {
                straight_kind(g, below(g, 2) ? K_INT : K_MEM, 0);
            }
        }
    } else {
        const unsigned v = any_reg(g);
        for (unsigned k = 0; k < n; k++) {
            W(g, below(g, 2) ? SRLI(regs[k], v, 8 * k) : enc_i(0x1b, 5, regs[k], v, 8 * (int)k));
        }
    }
    const unsigned swap = below(g, 3) == 0; /* not as they were */
    for (unsigned k = 0; k < n; k++) {
        const unsigned at = n - 1 - (k + turn) % n;
        W(g, enc_s(0, to, regs[at ^ swap], (int)at));
        if (below(g, 24) == 0) {
            straight_kind(g, below(g, 2) ? K_INT : K_MEM, 0);
        }
    }
    if (below(g, 2)) {
        W(g, LW(regs[below(g, 4)], to, 0));
    }
    g->reserved = was;
}

/* Two results of the same operands, some way apart, the odd cases of division among them; the second may replace an operand. */
void
twin_steps(struct gen *g)
{
    static const uint8_t pairs[][2] = {{0, 1}, {0, 3}, {1, 0}, {3, 0}, {4, 6}, {5, 7}, {6, 4}, {7, 5}}; /* funct3 of mul, mulh, mulhu, div … remu */
    static const uint64_t odd[] = {0, 1, UINT64_MAX, INT64_MAX, (uint64_t)INT64_MIN, UINT32_MAX, (uint64_t)INT32_MIN, 10};
    const uint32_t was = g->reserved;
    const unsigned x = take_reg(g), y = take_reg(g), first = take_reg(g), second = take_reg(g);
    if (g->p->n_tables + 2 > RP_TABLES_BYTES / 8) {
        g->reserved = was;
        return;
    }
    uint64_t *const table = &g->p->tables[g->p->n_tables];
    table[0] = odd[below(g, 8)];
    table[1] = odd[below(g, 8)];
    load_address(g, first, RP_TABLES + 8 * g->p->n_tables);
    g->p->n_tables += 2;
    if (below(g, 2)) {
        W(g, LD(x, first, 0));
    }
    if (below(g, 2)) {
        W(g, LD(y, first, 8));
    }
    const unsigned kind = below(g, 12), d = below(g, 4) ? first : below(g, 2) ? x : y;
    const unsigned e = below(g, 2) ? second : below(g, 2) ? y : first;
    const bool sum = below(g, 2) != 0, w = below(g, 2) != 0;
    if (kind < 8) {
        W(g, enc_r(w && kind >= 4 ? 0x3b : 0x33, pairs[kind][0], 1, first, x, y));
    } else {
        W(g, enc_r(0x33, 0, sum ? 0 : 0x20, d, x, y));
    }
    for (unsigned n = below(g, 4); n > 0; n--) {
        straight_kind(g, below(g, 3) ? K_INT : K_MEM, 0);
    }
    if (kind < 8) {
        W(g, enc_r(w && kind >= 4 ? 0x3b : 0x33, pairs[kind][1], 1, e, x, y));
    } else if (sum) {
        W(g, enc_r(0x33, 3, 0, e, d, below(g, 2) ? x : y)); /* sltu */
    } else {
        W(g, enc_r(0x33, 3, 0, e, x, below(g, 2) ? y : d));
    }
    W(g, ADD(second, e, first));
    g->reserved = was;
}
