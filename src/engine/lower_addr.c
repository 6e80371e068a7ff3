/*
 * lower_addr.c - guest addresses in host operands, and what is known where an access may fault
 */
#include "engine/lower.h"

/* The next host instruction may fault, and does it for the guest's at pc: who finds it in the table knows what was where. */
void
fault_for(struct lower *l, uint64_t pc, const struct fstate *fs)
{
    if (l->n_faults == sizeof l->faults / sizeof l->faults[0]) {
        l->full = true;
        return;
    }
    l->faults[l->n_faults++] = (struct fault_point){
        .off = (uint32_t)(x_here(&l->x) - l->start) & INT32_MAX, .delta = (int32_t)(pc - l->r->pc), .again = l->parts[l->i],
        .nan = fs->nan & fs->dirty, .single = fs->single & fs->dirty, .dirty = fs->dirty, .recipe = late_recipe(l)};
}

void
fault_here(struct lower *l)
{
    if (l->j->machine) { /* what the TLB has answered for does not fault */
        return;
    }
    l->full |= l->n_fma != 0;
    fault_for(l, pc_here(l), &l->fs);
    const struct ir_ins *i = &l->ir->ins[l->i];
    if ((i->op == IR_AMO || i->op == IR_CAS) && (i->aux & IRA_SC) && !l->full) { /* its lr may be right */
        l->faults[l->n_faults - 1].again = 1;
    }
}

/*
 * Without IROPT_TRUST no address beyond the guest's is used: doppel's own memory is there. One comparison for each value that is a
 * base, and none for what is less than 4 GiB away from such a one or displaced by as much: nothing is mapped that close to the
 * guest's memory.
 */
enum { WITHIN_ITSELF = 1, WITHIN_NEAR };

static void
check_base(struct lower *l, ref base, int reg)
{
    const struct ir_ins *b = &l->ir->ins[base];
    if (l->ir->opts & IROPT_TRUST) {
        return;
    }
    switch (b->op) {
    case IR_ZEXT8: case IR_ZEXT16: case IR_ZEXT32:
        return;
    case IR_LOAD:
        if (b->aux <= IRT_U32) {
            return;
        }
        break;
    case IR_ADD:
        if (l->within[b->a] == WITHIN_ITSELF && l->ir->ins[b->b].op == IR_CONST &&
            l->ir->ins[b->b].imm == (int32_t)l->ir->ins[b->b].imm) {
            l->within[base] = WITHIN_NEAR;
        }
        break;
    default:
        break;
    }
    if (l->within[base] != 0 || (ir_is_known(l->ir, base) && (uint64_t)b->imm < GUEST_TOP)) {
        return;
    }
    x_rm(&l->x, X_CMP, true, reg, M(RBP, HART(jit_top)));
    l->full |= l->n_fma != 0;
    stub_new(l, STUB_WILD, x_jcc(&l->x, CC_AE))->pc = pc_here(l);
    l->within[base] = WITHIN_ITSELF;
}

struct mem
address(struct lower *l, ref base, int64_t disp)
{
    if (l->en->cfg.guest_base == 0) {
        const int r = use_int(l, base);
        check_base(l, base, r);
        return M(r, disp);
    }
    const int t = temp_int(l);
    put_int(l, t, base);
    check_base(l, base, t);
    x_rm(&l->x, X_ADD, true, t, M(RBP, HART(guest_base)));
    return M(t, disp);
}

/* The base need not be a register. */
static struct mem
operand_at(struct lower *l, ref base, int64_t disp)
{
    const struct amode *a = &l->amodes[l->i];
    if (a->base != 0) {
        const int r = use_int(l, a->base), index = a->index != 0 ? use_int(l, a->index) : NO_REG;
        return (struct mem){.base = (int8_t)r, .index = (int8_t)index, .scale = a->scale, .disp = a->disp};
    }
    const struct ir_ins *b = &l->ir->ins[base];
    const uint64_t at = (uint64_t)b->imm + (uint64_t)disp;
    if (ir_is_known(l->ir, base) && at <= INT32_MAX && l->en->cfg.guest_base == 0 && (l->ir->opts & IROPT_FUSE)) {
        return M(b->op == IR_ADDR ? GUEST_ADDRESS : PLAIN_ADDRESS, (int64_t)at);
    }
    return address(l, base, disp);
}

struct mem
access_at(struct lower *l, const struct ir_ins *i, bool store)
{
    return l->j->machine ? lower_ram(l, i, i->aux & 3, store) : operand_at(l, i->a, i->imm);
}
