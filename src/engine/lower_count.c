/*
 * lower_count.c - code that counts, for profile.c; of blocks only, so guest registers are where the standard convention has them
 */
#include "engine/lower.h"

#include "engine/profile.h"

void
count_one(struct lower *l, uint64_t *count)
{
    if (count == NULL) {
        l->full = l->j->no_room = true;
        return;
    }
    x_b(&l->x, 0xf0); /* lock: threads share the block */
    x_mi(&l->x, X_I_ADD, true, M_ABS(count), 1);
}

/* To the guest address in rax, by way of the manager, who is to know where from. */
static void
go_told(struct lower *l, uint64_t pc)
{
    const uint32_t n = jit_exit_new(l->j, JX_JUMPED, pc);
    if (n == UINT32_MAX) {
        l->full = l->j->no_room = true;
        return;
    }
    x_rm(&l->x, X_STORE, true, RAX, M(RBP, HART(pc)));
    x_mov_exit(&l->x, n);
    x_jmp_fixed(&l->x, l->j->leave);
}

bool
lower_counted(struct lower *l, const struct ir_ins *i)
{
    static const struct fstate exact;
    const struct insn *const in = &l->r->insns[i->gi];
    switch (i->op) {
    case IR_CALL:
        fp_settle(l, l->fs, exact);
        x_mov_guest(&l->x, RAX, (uint64_t)i->imm);
        break;
    case IR_JMP:
        if (in->op != OP_jal || !profile_is_elsewhere(l->en, l->r->pcs[i->gi], (uint64_t)i->imm)) {
            return false;
        }
        fp_settle(l, l->fs, exact);
        x_mov_guest(&l->x, RAX, (uint64_t)i->imm);
        break;
    case IR_RET:
        fp_settle(l, l->fs, exact);
        if (std_map.x[in->rs1] != NO_REG) {
            x_mov(&l->x, RAX, std_map.x[in->rs1]);
        } else {
            x_rm(&l->x, X_MOV, true, RAX, M(RBP, HART_X(in->rs1)));
        }
        x_ri(&l->x, X_I_AND, true, RAX, -2);
        break;
    case IR_CALLR:
    case IR_JMPR:
        put_int(l, RAX, i->a);
        fp_settle(l, l->fs, exact);
        break;
    default:
        return false;
    }
    go_told(l, l->r->pcs[i->gi]);
    return true;
}
