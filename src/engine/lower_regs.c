/*
 * lower_regs.c - which host register holds which value: one forward pass
 *
 * What makes it enough: a value that becomes a guest register is made in that register's home, so most values never need a
 * place of their own. The rest live in scratch registers, and in spill slots when those run out.
 */
#include "engine/lower.h"

/* Where values are. */

static bool
live_after(const struct lower *l, ref r)
{
    return l->last[r] > l->now;
}

static bool
needed(const struct lower *l, ref r)
{
    return r != 0 && l->last[r] >= l->now;
}

static int
find(const struct lower *l, bool fp, ref r)
{
    const ref *regs = fp ? l->freg : l->reg;
    for (int k = 0; k < (fp ? F_REGS : 16); k++) {
        if (regs[k] == r) {
            return k;
        }
    }
    return NO_REG;
}

int
in_register(const struct lower *l, ref r)
{
    return find(l, false, r);
}

int
in_spill(const struct lower *l, ref r)
{
    for (int s = 0; s < SPILLS; s++) {
        if (l->spill[s] == r) {
            return s;
        }
    }
    return NO_REG;
}

int
in_home(const struct lower *l, ref r)
{
    for (int g = 0; g < 32; g++) {
        if (l->home[g] == r) {
            return g;
        }
    }
    return NO_REG;
}

/* In memory, if anywhere: the home of a guest register, or a spill slot. */
static bool
find_mem(const struct lower *l, ref r, struct mem *m)
{
    const struct ir_ins *i = &l->ir->ins[r];
    const bool fp = ir_class[i->op] == IRC_FP;
    const ref *homes = fp ? l->fhome : l->home;
    for (unsigned g = 0; g < 32; g++) {
        if (homes[g] == r) {
            *m = M(RBP, fp ? HART_F(g) : HART_X(g));
            return true;
        }
    }
    for (unsigned s = 0; s < SPILLS; s++) {
        if (l->spill[s] == r) {
            *m = M(RBP, HART(jit_spill) + 8 * (int)s);
            return true;
        }
    }
    return false;
}

/* Save the value that host register `reg` holds, if it is needed and is nowhere else. to: a free register, or NO_REG. */
static void
save(struct lower *l, bool fp, int reg)
{
    ref *regs = fp ? l->freg : l->reg;
    const ref r = regs[reg];
    struct mem m;
    if (!needed(l, r) || ir_is_known(l->ir, r) || find_mem(l, r, &m)) {
        return;
    }
    for (int k = 0; k < (fp ? F_REGS : 16); k++) {
        if (k != reg && regs[k] == r) {
            return;
        }
    }
    /* To the home that waits for it. */
    for (uint32_t left = fp ? 0 : l->pending; left != 0; left &= left - 1) {
        const unsigned g = (unsigned)__builtin_ctz(left), set = l->pend[g];
        const int h = l->map->x[g];
        if (l->ir->ins[set].a != r || needed(l, h != NO_REG ? l->reg[h] : l->home[g]) || l->superseded[set]) {
            continue;
        }
        if (h != NO_REG) {
            x_mov(&l->x, h, reg);
            regs[h] = r;
        } else {
            x_rm(&l->x, X_STORE, true, reg, M(RBP, HART_X(g)));
            l->home[g] = r;
        }
        l->pending &= ~(1u << g);
        return;
    }
    /* Into a scratch register that holds nothing of use. */
    const uint32_t pool = fp ? l->ftemps : l->temps, locked = fp ? l->flock : l->lock;
    for (int k = 0; k < 16; k++) {
        if (k != reg && (pool & ~locked) >> k & 1 && !needed(l, regs[k])) {
            if (fp) {
                fp_move(l, k, reg);
            } else {
                x_mov(&l->x, k, reg);
            }
            regs[k] = r;
            return;
        }
    }
    for (uint32_t left = fp ? 0 : l->pending; left != 0; left &= left - 1) {
        const unsigned g = (unsigned)__builtin_ctz(left);
        if (l->ir->ins[l->pend[g]].a == r && l->whole[r] && l->map->x[g] == NO_REG && !needed(l, l->home[g])) {
            x_rm(&l->x, X_STORE, true, reg, M(RBP, HART_X(g)));
            l->home[g] = r;
            l->pending &= ~(1u << g);
            return;
        }
    }
    for (unsigned s = 0; s < SPILLS; s++) {
        if (!needed(l, l->spill[s])) {
            const struct mem to = M(RBP, HART(jit_spill) + 8 * (int)s);
            if (fp) {
                fp_store_reg(l, reg, to);
            } else {
                x_rm(&l->x, X_STORE, true, reg, to);
            }
            l->spill[s] = r;
            l->j->stats.spills++;
            return;
        }
    }
    l->full = true;
}

void
claim(struct lower *l, int reg)
{
    l->lock |= 1u << reg;
    save(l, false, reg);
    l->reg[reg] = 0;
}

/* A scratch register: an empty one if there is, else one whose value is elsewhere too, else the one that is needed last. */
static int
take(struct lower *l, bool fp)
{
    ref *regs = fp ? l->freg : l->reg;
    const uint32_t pool = fp ? l->ftemps & ~l->flock : l->temps & ~l->lock;
    int best = NO_REG;
    unsigned far = 0;
    for (int k = 0; k < 16; k++) {
        if (pool >> k & 1) {
            unsigned when = needed(l, regs[k]) ? l->last[regs[k]] : UINT16_MAX;
            if (when > far || best == NO_REG) {
                far = when;
                best = k;
            }
        }
    }
    if (best == NO_REG) {
        l->full = true; /* cannot be: an instruction locks less than there is */
        return fp ? 0 : RAX;
    }
    if (fp) {
        l->flock |= 1u << best;
    } else {
        l->lock |= 1u << best;
    }
    save(l, fp, best);
    regs[best] = 0;
    return best;
}

int
temp_int(struct lower *l)
{
    return take(l, false);
}

int
temp_fp(struct lower *l)
{
    return take(l, true);
}

/* A constant into a host register; flags stay as they are. */
static void
make_known(struct lower *l, int reg, ref r)
{
    const struct ir_ins *i = &l->ir->ins[r];
    if (i->op == IR_ADDR && l->j->machine) {
        machine_address(l, reg, (uint64_t)i->imm);
    } else if (i->op == IR_ADDR) {
        x_mov_guest(&l->x, reg, (uint64_t)i->imm);
    } else {
        x_mov_imm(&l->x, reg, (uint64_t)i->imm);
    }
}

int
use_int(struct lower *l, ref r)
{
    int k = find(l, false, r);
    if (k == NO_REG) {
        struct mem m;
        const struct ir_ins *i = &l->ir->ins[r];
        if (ir_class[i->op] == IRC_FP) {
            const int x = fp_use_bits(l, r);
            k = take(l, false);
            fp_to_int(l, k, x);
            return k;
        }
        k = take(l, false);
        if (ir_is_known(l->ir, r)) {
            make_known(l, k, r);
        } else if (find_mem(l, r, &m)) {
            x_rm(&l->x, X_MOV, true, k, m);
        } else {
            l->full = true;
        }
        l->reg[k] = r;
    }
    l->lock |= 1u << k;
    return k;
}

void
put_int(struct lower *l, int reg, ref r)
{
    const int k = find(l, false, r);
    struct mem m;
    if (k != NO_REG) {
        x_mov(&l->x, reg, k);
    } else if (ir_class[l->ir->ins[r].op] == IRC_FP) {
        fp_to_int(l, reg, fp_use_bits(l, r));
    } else if (ir_is_known(l->ir, r)) {
        make_known(l, reg, r);
    } else if (find_mem(l, r, &m)) {
        x_rm(&l->x, X_MOV, true, reg, m);
    } else {
        l->full = true;
    }
}

int
use_fp(struct lower *l, ref r)
{
    int k = find(l, true, r);
    if (k == NO_REG) {
        struct mem m;
        k = take(l, true);
        if (find_mem(l, r, &m)) {
            fp_load_reg(l, k, m);
        } else {
            l->full = true;
        }
        l->freg[k] = r;
    }
    l->flock |= 1u << k;
    return k;
}

/* The home that the value of l->i may be made in, with the old value saved; else NO_REG. */
static int
in_place(struct lower *l, bool fp)
{
    const unsigned s = l->set_at[l->i];
    if (s == 0) {
        return NO_REG;
    }
    const unsigned g = l->ir->ins[s].aux;
    const int h = fp ? l->map->f[g] : l->map->x[g];
    if (h == NO_REG) {
        return NO_REG;
    }
    const ref old = fp ? l->freg[h] : l->reg[h];
    if (old != 0 && live_after(l, old)) {
        save(l, fp, h);
    }
    return h;
}

int
home_int(struct lower *l)
{
    return in_place(l, false);
}

int
def_int(struct lower *l, ref may_reuse)
{
    const int h = in_place(l, false);
    if (h != NO_REG) {
        return h;
    }
    if (may_reuse != 0) {
        const int k = find(l, false, may_reuse);
        if (k != NO_REG && (l->temps >> k & 1) && !live_after(l, may_reuse)) {
            return k;
        }
    }
    return take(l, false);
}

int
def_fp(struct lower *l, ref may_reuse)
{
    const int h = in_place(l, true);
    if (h != NO_REG) {
        return h;
    }
    if (may_reuse != 0) {
        const int k = find(l, true, may_reuse);
        if (k != NO_REG && (l->ftemps & ~l->kept) >> k & 1 && !live_after(l, may_reuse)) {
            return k;
        }
    }
    return take(l, true);
}

/* That value is in that register: so may be what a guest register that has it for its home waits for. */
static void
arrived(struct lower *l, int reg, ref r)
{
    l->reg[reg] = r;
    for (uint32_t left = l->pending; left != 0; left &= left - 1) {
        const unsigned g = (unsigned)__builtin_ctz(left);
        if (l->map->x[g] == reg && l->ir->ins[l->pend[g]].a == r && l->whole[r]) {
            l->pending &= ~(1u << g);
        }
    }
}

void
made_int(struct lower *l, int reg)
{
    arrived(l, reg, (ref)l->i);
}

void
made_fp(struct lower *l, int reg)
{
    l->freg[reg] = (ref)l->i;
    fp_made(l);
}

bool
memory_operand(struct lower *l, ref r, struct mem *m)
{
    return find(l, false, r) == NO_REG && !live_after(l, r) && ir_class[l->ir->ins[r].op] == IRC_INT && !ir_is_known(l->ir, r) &&
           find_mem(l, r, m);
}

/* SETs. */
void
lower_written(struct lower *l, unsigned set)
{
    const struct ir_ins *i = &l->ir->ins[set];
    const int h = l->map->x[i->aux];
    l->pend[i->aux] = (uint16_t)set;
    if (l->whole[i->a] && (h != NO_REG ? l->reg[h] == i->a : l->home[i->aux] == i->a)) {
        l->pending &= ~(1u << i->aux);
    } else {
        l->pending |= 1u << i->aux;
        l->j->stats.unstored += l->superseded[set];
    }
}

void
lower_set(struct lower *l, const struct ir_ins *i, bool fp)
{
    const unsigned g = i->aux;
    const int h = fp ? l->map->f[g] : l->map->x[g];
    ref *regs = fp ? l->freg : l->reg, *homes = fp ? l->fhome : l->home;
    const ref v = i->a;
    if (!fp) {
        l->pending &= ~(1u << g);
    }
    if (h == NO_REG && homes[g] == v) {
        return;
    }
    if (h != NO_REG) {
        if (regs[h] == v) {
            return;
        }
        if (live_after(l, regs[h])) {
            save(l, fp, h);
        }
        regs[h] = 0;
        const int k = find(l, fp, v);
        struct mem m;
        if (fp) {
            if (k != NO_REG) {
                fp_move(l, h, k);
            } else if (find_mem(l, v, &m)) {
                fp_load_reg(l, h, m);
            }
        } else if (k != NO_REG) {
            x_mov(&l->x, h, k);
        } else if (ir_is_known(l->ir, v)) {
            make_known(l, h, v);
        } else if (find_mem(l, v, &m)) {
            x_rm(&l->x, X_MOV, true, h, m);
        } else {
            l->full = true;
        }
        regs[h] = v;
        return;
    }
    const struct mem to = M(RBP, fp ? HART_F(g) : HART_X(g));
    const bool imm = !fp && ir_is_const(l->ir, v) && l->ir->ins[v].imm == (int32_t)l->ir->ins[v].imm;
    const int r = imm ? NO_REG : fp ? use_fp(l, v) : use_int(l, v);
    /* What the memory held and somebody still wants goes into a register; not before, for it might be given up again. */
    const ref old = homes[g];
    if (old != v && old != 0 && live_after(l, old) && find(l, fp, old) == NO_REG) {
        if (fp) {
            use_fp(l, old);
        } else {
            use_int(l, old);
        }
    }
    if (imm) {
        x_store_imm(&l->x, 8, to, (int32_t)l->ir->ins[v].imm);
    } else if (fp) {
        fp_store_reg(l, r, to);
    } else {
        x_rm(&l->x, X_STORE, true, r, to);
    }
    homes[g] = v;
}

/* Guest registers from where the region has them to where the standard convention wants them, and back. */
void
shuffle_raw(struct lower *l, uint32_t dirty)
{
    if (l->map == &std_map) {
        return;
    }
    for (unsigned g = 1; g < 32; g++) {
        const int h = l->map->x[g];
        if (h != NO_REG && std_map.x[g] != h) {
            x_rm(&l->x, X_STORE, true, h, M(RBP, HART_X(g)));
        }
    }
    for (unsigned g = 0; g < 32; g++) {
        if (l->map->f[g] != NO_REG && (dirty >> g & 1)) {
            fp_store_reg(l, l->map->f[g], M(RBP, HART_F(g)));
        }
    }
    for (unsigned g = 1; g < 32; g++) {
        if (std_map.x[g] != NO_REG && l->map->x[g] != std_map.x[g]) {
            x_rm(&l->x, X_MOV, true, std_map.x[g], M(RBP, HART_X(g)));
        }
    }
}

void
shuffle_out(struct lower *l, struct fstate fs)
{
    fp_settle(l, fs, (struct fstate){0});
    shuffle_raw(l, fs.dirty);
}

void
shuffle_in(struct lower *l, const struct rblock *to)
{
    if (l->map == &std_map) {
        return;
    }
    for (unsigned g = 1; g < 32; g++) {
        if (std_map.x[g] != NO_REG && l->map->x[g] != std_map.x[g]) {
            x_rm(&l->x, X_STORE, true, std_map.x[g], M(RBP, HART_X(g)));
        }
    }
    for (unsigned g = 1; g < 32; g++) {
        const int h = l->map->x[g];
        if (h != NO_REG && std_map.x[g] != h) {
            x_rm(&l->x, X_MOV, true, h, M(RBP, HART_X(g)));
        }
    }
    for (unsigned g = 0; g < 32; g++) {
        if (l->map->f[g] != NO_REG && (to->live >> g & 1)) {
            fp_load_reg(l, l->map->f[g], M(RBP, HART_F(g)));
        }
    }
}
