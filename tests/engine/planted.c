/*
 * planted.c - bugs in the back end, for --check to find: doppel with this linked around lower_int() (--wrap)
 *
 * PLANT names one of them. Each needs a constant that only a function of its own in lockstep/planted.c has, so that it is known
 * which instruction the check has to name.
 */
#include "engine/lower.h"

#include <stdlib.h>
#include <string.h>

bool __real_lower_int(struct lower *l, const struct ir_ins *i);
bool __wrap_lower_int(struct lower *l, const struct ir_ins *i);

static bool
has_constant(const struct lower *l, const struct ir_ins *i, int64_t v)
{
    return ir_is_const(l->ir, i->b) && l->ir->ins[i->b].imm == v;
}

bool
__wrap_lower_int(struct lower *l, const struct ir_ins *i)
{
    const char *plant = getenv("PLANT");
    struct ir_ins *const x = &l->ir->ins[l->i];
    if (plant != NULL && x == i) {
        if (i->op == IR_XOR && strcmp(plant, "xor") == 0 && has_constant(l, i, 0x5a5)) {
            x->op = IR_OR;
        } else if (i->op == IR_LTU && strcmp(plant, "compare") == 0 && has_constant(l, i, 0x5a6)) {
            x->op = IR_LT;
        } else if (i->op == IR_STORE && strcmp(plant, "store") == 0 && i->imm == -0x7b8) {
            x->aux = IRT_U32;
        } else if (i->op == IR_LOAD && strcmp(plant, "load") == 0 && i->imm == -0x7b0) {
            x->aux = IRT_U32;
        }
    }
    return __real_lower_int(l, i);
}
