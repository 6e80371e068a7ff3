/*
 * random_gen.c - see random.h
 *
 * A program is functions, each called only by later ones, of nested sequences: straight code, branches forward, loops with
 * counters, switches, calls; and tangles, whose blocks jump to each other as they like until their fuel is used up. Loops are
 * so short that the whole executes about COST instructions.
 */
#include "random_impl.h"

#include <string.h>

/*
 * lr, something, sc, and mostly back if that failed: what the translator makes one instruction of, and what is nearly that. Some fault, at
 * the sc alone or at both. Where it goes back nothing can have come between, so it does not turn for ever.
 */
void
reserved_loop(struct gen *g)
{
    static const uint32_t ops[] = {0x33, 0x3b, 0x7033, 0x6033, 0x4033, 0x40000033, 0x4000003b, 0x2033, 0x1033};
    const uint32_t was = g->reserved;
    const unsigned a = take_reg(g), t = free_reg(g), e = any_reg(g), x = any_reg(g), f3 = 2 + below(g, 2), how = below(g, 8);
    const unsigned s = free_reg(g);
    load_address(g, a, (below(g, 12) ? RP_ARENA : RP_CONST) + 8 * below(g, 64) + (below(g, 12) ? 4 * below(g, 2) * (3 - f3) : below(g, 8)));
    const bool equal = below(g, 4) != 0 && e != 0 && !(g->reserved >> e & 1);
    if (equal) {
        W(g, enc_i(0x03, below(g, 6) ? f3 : 6, e, a, 0)); /* what lr will see; now and then with zeros above */
    }
    const uint32_t again = here(g);
    W(g, 0x1000002f | below(g, 4) << 25 | f3 << 12 | t << 7 | a << 15);
    unsigned v = x;
    uint32_t out = 0;
    if (how < 4) {
        out = here(g);
        W(g, 0x63 | (below(g, 8) ? 1u : 0u) << 12 | (below(g, 4) ? t << 15 | e << 20 : e << 15 | t << 20));
    }
    if (how >= 2 && how < 7) {
        v = free_reg(g);
        W(g, ops[below(g, sizeof ops / sizeof ops[0])] | v << 7 | (below(g, 2) ? t << 15 | x << 20 : x << 15 | t << 20));
    }
    for (unsigned n = below(g, 3); n > 1 || (n > 0 && how == 3); n--) {
        straight_kind(g, K_INT, 0);
    }
    const bool sure = below(g, 8) != 0;
    W(g, 0x1800002f | below(g, 4) << 25 | (sure ? f3 : 5 - f3) << 12 | s << 7 | a << 15 | v << 20);
    if (sure && below(g, 6) != 0) {
        const uint32_t back = here(g);
        W(g, 0x1063 | s << 15);
        aim(g, back, again);
    }
    if (out != 0) {
        aim(g, out, here(g));
    }
    if (below(g, 6) == 0) { /* is there a reservation? */
        W(g, 0x1800002f | f3 << 12 | free_reg(g) << 7 | a << 15 | any_reg(g) << 20);
    }
    g->reserved = was;
}

/* A conditional branch to nowhere yet; `near` allows one of 16 bits. */
static uint32_t
branch(struct gen *g, bool near)
{
    static const uint8_t f3[] = {0, 1, 4, 5, 6, 7};
    const uint32_t at = here(g);
    if (near && below(g, 2)) {
        put(g, (below(g, 2) ? 0xc001u : 0xe001u) | below(g, 8) << 7, 2);
    } else {
        W(g, 0x63 | f3[below(g, 6)] << 12 | any_reg(g) << 15 | (below(g, 3) ? any_reg(g) : 0) << 20);
    }
    return at;
}

static uint32_t
jump(struct gen *g)
{
    const uint32_t at = here(g);
    W(g, 0x6f);
    return at;
}

static unsigned sequence(struct gen *g, unsigned depth, unsigned items);

static unsigned
choice(struct gen *g, unsigned depth)
{
    unsigned cost = 1;
    const bool small = depth == 0 || below(g, 2);
    const uint32_t over = branch(g, small);
    if (small) {
        for (unsigned n = below(g, 4) + 1; n > 0; n--) {
            straight_kind(g, below(g, 3) ? K_INT : K_FP, 0);
            cost++;
        }
    } else {
        cost += sequence(g, depth - 1, 1 + below(g, 4));
    }
    if (small || below(g, 2)) {
        aim(g, over, here(g));
        return cost;
    }
    const uint32_t end = jump(g);
    aim(g, over, here(g));
    const unsigned other = sequence(g, depth - 1, 1 + below(g, 3));
    aim(g, end, here(g));
    return cost > other ? cost : other;
}

static unsigned
loop(struct gen *g, unsigned depth)
{
    const uint32_t was = g->reserved;
    const unsigned c = take_counter(g);
    const bool up = below(g, 3) == 0, walk = !up && below(g, 4) == 0;
    const unsigned limit = up ? take_counter(g) : 0;
    const uint32_t set = here(g);
    W(g, ADDI(up ? limit : c, 0, 0));
    if (up) {
        W(g, ADDI(c, 0, 0));
    }
    const uint32_t top = here(g);
    unsigned cost = 3 + sequence(g, depth - 1, 1 + below(g, 6));
    uint32_t out = 0;
    if (below(g, 4) == 0) {
        out = branch(g, false);
        cost += 1 + sequence(g, depth - 1, 1 + below(g, 3));
    }
    if (walk) {
        W(g, ADDI(g->p1, g->p1, 8));
    }
    if (c >= 8 && c < 16 && !up && below(g, 2)) {
        put(g, 0x107d | c << 7, 2); /* c.addi c, -1 */
    } else {
        W(g, ADDI(c, c, up ? 1 : -1));
    }
    const uint32_t back = here(g);
    if (c >= 8 && c < 16 && !up && back - top < 250 && below(g, 2)) {
        put(g, 0xe001 | (c - 8) << 7, 2);
    } else {
        W(g, 0x63 | (up ? 4 : 1) << 12 | c << 15 | limit << 20); /* blt c, limit; bne c, x0 */
    }
    aim(g, back, top);
    if (out != 0) {
        aim(g, out, here(g));
    }
    const unsigned most = COST / 3 / cost, small = below(g, 3) == 0 ? 3 : 60;
    const unsigned trips = 1 + below(g, most < small ? most + 1 : small);
    if (!g->bad) {
        at_write(g, set, ADDI(up ? limit : c, 0, (int)trips));
    }
    if (walk) {
        load_address(g, g->p1, RP_ARENA + 0x900);
    }
    g->reserved = was;
    return trips * cost + 2;
}

/* A table of addresses of places in the text, to be filled in. */
static int
table_new(struct gen *g, unsigned n)
{
    if (g->p->n_tables + n > RP_TABLES_BYTES / 8) {
        return -1;
    }
    g->p->n_tables += n;
    return (int)(g->p->n_tables - n);
}

static void
jump_by_table(struct gen *g, int table, unsigned n, unsigned link)
{
    const uint32_t was = g->reserved;
    const unsigned t = take_reg(g), u = take_reg(g);
    W(g, ANDI(t, any_reg(g), (int)n - 1));
    W(g, SLLI(t, t, 3));
    load_address(g, u, RP_TABLES + 8 * (unsigned)table);
    W(g, ADD(t, t, u));
    W(g, LD(t, t, 0));
    if (below(g, 2) && link <= 1) {
        put(g, (link ? 0x9002 : 0x8002) | t << 7, 2); /* c.jalr, c.jr */
    } else {
        W(g, JALR(link, t, 0));
    }
    g->reserved = was;
}

static unsigned
switch_item(struct gen *g, unsigned depth)
{
    const unsigned n = 2u << below(g, 2);
    const int table = table_new(g, n);
    uint32_t ends[8];
    unsigned cost = 0;
    if (table < 0) {
        return 0;
    }
    jump_by_table(g, table, n, 0);
    for (unsigned k = 0; k < n; k++) {
        g->p->tables[(unsigned)table + k] = RP_TEXT + here(g) + (below(g, 8) == 0); /* the lowest bit does not count */
        const unsigned c = sequence(g, depth - 1, 1 + below(g, 3));
        cost = c > cost ? c : cost;
        ends[k] = jump(g);
    }
    for (unsigned k = 0; k < n; k++) {
        aim(g, ends[k], here(g));
    }
    return cost + 7;
}

static unsigned
call(struct gen *g)
{
    if (g->n_functions == 0 || g->linked) {
        return 0;
    }
    const unsigned k = below(g, g->n_functions);
    const unsigned link = g->functions[k].link;
    if (g->functions[k].cost > COST / 20 || (g->functions[k].clobbers & g->reserved) != 0) {
        return 0;
    }
    g->clobbered |= g->functions[k].clobbers;
    const uint32_t at = here(g), to = g->functions[k].at;
    if (below(g, 3) != 0) {
        W(g, 0x6f | link << 7);
        aim(g, at, to);
    } else {
        const uint32_t was = g->reserved;
        const unsigned t = below(g, 3) == 0 ? link : take_reg(g);
        load_address(g, t, RP_TEXT + to);
        W(g, JALR(link, t, 0));
        g->reserved = was;
    }
    const unsigned sites = g->n_sites;
    straight_kind(g, K_INT, 0);
    if (g->n_sites != sites && g->n_returns < PATCHES) {
        g->returns[g->n_returns++] = g->sites[sites];
    }
    return g->functions[k].cost + 4;
}

/* Blocks that go to each other at will. x1 and x5 are links; each way back costs fuel. */
static unsigned
tangle(struct gen *g)
{
    if (g->linked || (g->reserved & (1u << RA | 1u << T0)) != 0) {
        return 0;
    }
    const uint32_t was = g->reserved;
    const unsigned n = 4u << below(g, 2), fuel = take_reg(g);
    const int table = table_new(g, n);
    if (table < 0) {
        return 0;
    }
    uint32_t at[16], fix[64], fix_to[64], out[64];
    unsigned n_fix = 0, n_out = 0, most = 0;
    g->reserved |= 1u << RA | 1u << T0;
    g->linked = true;
    const unsigned tank = 20 + below(g, 100);
    W(g, ADDI(fuel, 0, (int)tank));
    W(g, 0x0040006f | (uint32_t)RA << 7); /* jal x1, .+4 */
    W(g, 0x0040006f | (uint32_t)T0 << 7);
    for (unsigned k = 0; k < n; k++) {
        const uint32_t from = here(g);
        at[k] = from;
        g->p->tables[(unsigned)table + k] = RP_TEXT + from;
        for (unsigned s = below(g, 6); s > 0; s--) {
            straight(g);
        }
        const unsigned how = below(g, 8);
        if (how == 7) {
            goto counted; /* falls into the next */
        }
        W(g, ADDI(fuel, fuel, -1));
        out[n_out++] = here(g);
        W(g, 0x63 | 4 << 12 | fuel << 15); /* blt fuel, x0 */
        switch (how) {
        case 0: case 1: case 2:
            fix_to[n_fix] = below(g, n);
            fix[n_fix++] = branch(g, false);
            break;
        case 3:
            fix_to[n_fix] = below(g, n);
            fix[n_fix++] = here(g);
            W(g, 0x6f | (below(g, 2) ? 0 : below(g, 2) ? (uint32_t)RA : (uint32_t)T0) << 7);
            break;
        case 4:
            jump_by_table(g, table, n, below(g, 2) ? 0 : below(g, 2) ? RA : T0);
            break;
        case 5:
            if (below(g, 3) == 0) {
                W(g, enc_i(0x13, 6, RA, RA, 1)); /* ori: the lowest bit does not count */
            }
            W(g, JALR(0, below(g, 3) ? RA : T0, 0));
            break;
        default: /* coroutine: x1 to x5 and the other way round */
            W(g, below(g, 2) ? JALR(RA, T0, 0) : below(g, 2) ? JALR(T0, RA, 0) : JALR(RA, RA, 0));
        }
    counted:
        most = here(g) - from > most ? here(g) - from : most;
    }
    for (unsigned k = 0; k < n_fix; k++) {
        aim(g, fix[k], at[fix_to[k]]);
    }
    for (unsigned k = 0; k < n_out; k++) {
        aim(g, out[k], here(g));
    }
    g->linked = false;
    g->reserved = was;
    return tank * (most / 3);
}

static unsigned
sequence(struct gen *g, unsigned depth, unsigned items)
{
    unsigned cost = 1;
    for (unsigned k = 0; k < items && !g->bad; k++) {
        const unsigned how = depth == 0 ? below(g, 12) : below(g, 24);
        if (g->p->text_bytes > RP_TEXT_BYTES - 0x1000) {
            return cost;
        }
        switch (how) {
        case 10:
            cost += choice(g, depth);
            break;
        case 11:
            cost += call(g);
            break;
        case 12: case 13: case 14:
            cost += choice(g, depth);
            break;
        case 15: case 16: case 17:
            cost += loop(g, depth);
            break;
        case 18:
            cost += switch_item(g, depth);
            break;
        case 19:
            cost += call(g);
            break;
        case 20:
            cost += below(g, 3) == 0 ? tangle(g) : 0;
            break;
        default:
            for (unsigned n = 1 + below(g, 6); n > 0; n--) {
                cost += straight(g);
            }
        }
    }
    return cost;
}

static void
function(struct gen *g)
{
    const uint32_t was = g->reserved;
    const unsigned link = below(g, 3) ? RA : T0;
    const bool leaf = below(g, 3) == 0;
    const uint32_t at = here(g);
    unsigned cost = 4;
    g->reserved |= ~(g->pool | 1u << RA | 1u << T0) | ((uint32_t)rng_next(&g->r) & (uint32_t)rng_next(&g->r) & g->pool);
    g->reserved &= ~(1u << link);
    g->clobbered = ~g->reserved | 1u << link;
    if (leaf) {
        g->reserved |= 1u << link;
        g->linked = true;
    } else {
        W(g, SD(link, g->csp, 0));
        W(g, ADDI(g->csp, g->csp, 8));
    }
    cost += sequence(g, leaf ? 1 : 2, 1 + below(g, 5));
    g->linked = false;
    if (!leaf) {
        W(g, ADDI(g->csp, g->csp, -8));
        W(g, LD(link, g->csp, 0));
    }
    switch (below(g, 6)) {
    case 0: { /* a tail call */
        unsigned k = 0;
        while (k < g->n_functions && g->functions[k].link != link) {
            k++;
        }
        if (k < g->n_functions && cost + g->functions[k].cost < COST / 20) {
            g->clobbered |= g->functions[k].clobbers;
            const uint32_t j = jump(g);
            aim(g, j, g->functions[k].at);
            cost += g->functions[k].cost;
            break;
        }
        W(g, JALR(0, link, 0));
        break;
    }
    case 1: { /* back by another register */
        const unsigned t = free_reg(g);
        W(g, ADDI(t, link, 0));
        W(g, JALR(0, t, 0));
        break;
    }
    case 2:
        put(g, 0x8002 | link << 7, 2);
        break;
    default:
        W(g, JALR(0, link, 0));
    }
    g->reserved = was;
    g->functions[g->n_functions].clobbers = g->clobbered;
    g->functions[g->n_functions].at = at;
    g->functions[g->n_functions].link = (uint8_t)link;
    g->functions[g->n_functions++].cost = cost;
}

static unsigned
pick(struct gen *g, uint32_t among)
{
    unsigned r;
    do {
        r = below(g, 32);
    } while (!(among >> r & 1) || (g->reserved >> r & 1));
    g->reserved |= 1u << r;
    return r;
}

void
rprog_make(struct rprog *p, uint64_t seed, ext_set exts)
{
    static struct gen g;
    sort_rows(exts);
    for (uint64_t again = 0;; again++) {
        memset(p, 0, sizeof *p);
        p->seed = seed;
        g = (struct gen){.r = {seed * 64 + again}, .p = p, .exts = exts};
        g.palette = below(&g, 2) ? ANY : (uint32_t)rng_next(&g.r) & (uint32_t)rng_next(&g.r);
        g.like = (struct taste){
            .fp = below(&g, 2) ? below(&g, 200) : 0,
            .fp_idiom = below(&g, 2) ? below(&g, 120) : 0,
            .mem = 20 + below(&g, 100),
            .odd = below(&g, 3) ? 0 : below(&g, 100),
            .fault = below(&g, 3) ? 0 : below(&g, 12),
            .idiom = below(&g, 80),
            .short_code = below(&g, 2) ? below(&g, 200) : 0,
            .patch = below(&g, 4) ? 0 : below(&g, 16),
            .rounding = below(&g, 6) ? 0 : below(&g, 6),
            .csr = below(&g, 2) ? 0 : below(&g, 16),
        };
        for (unsigned k = 1; k < 32; k++) {
            p->x[k] = special(&g.r);
        }
        for (unsigned k = 0; k < 32; k++) {
            p->f[k] = special(&g.r);
        }
        for (unsigned k = 0; k < RP_ARENA_BYTES / 8; k++) {
            p->arena[k] = special(&g.r);
        }
        for (unsigned k = 0; k < RP_CONST_BYTES / 8; k++) {
            p->constants[k] = special(&g.r);
        }
        g.reserved = 1u << SP;
        g.p0 = (uint8_t)pick(&g, 0xff00);
        g.p1 = (uint8_t)pick(&g, ANY & ~(1u | 1u << RA | 1u << T0));
        g.csp = (uint8_t)pick(&g, ANY & ~(1u | 1u << RA | 1u << T0));
        do {
            g.pool = (uint32_t)rng_next(&g.r) & ~(g.reserved | 1u);
        } while (__builtin_popcount(g.pool) < 8 || __builtin_popcount(g.pool) > 16);
        p->x[SP] = RP_ARENA + 0x1000 + 16 * below(&g, 32);
        p->x[g.p0] = RP_ARENA + 0x900 + 16 * below(&g, 8);
        p->x[g.p1] = RP_ARENA + 0x900 + 16 * below(&g, 8);
        p->x[g.csp] = RP_CALLS;
        for (unsigned n = below(&g, FUNCTIONS); n > 0; n--) {
            function(&g);
        }
        p->entry = RP_TEXT + here(&g);
        for (unsigned cost = 0, k = 0; cost < COST / 3 && k < 12 && !g.bad; k++) {
            cost += sequence(&g, 3, 1 + below(&g, 6));
        }
        put(&g, ADDI(A7, 0, RP_END), 4);
        put(&g, ECALL, 4);
        finish_patches(&g);
        if (!g.bad) {
            return;
        }
    }
}
