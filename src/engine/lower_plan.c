/*
 * lower_plan.c - what the one pass over an extended block has to know beforehand
 */
#include "engine/lower.h"

#include <string.h>

/*
 * C's quiet comparisons, floor() and others put fflags back as they were. SETFLAGS of what FLAGS gave needs no work if what stands
 * between them raises nothing: so it does not, and leaves for the interpreter if it would. A conversion to an integer nearly always
 * raises inexact; whoever leaves between it and SETFLAGS has to make up for that.
 */
static void
keep_flags(struct lower *l)
{
    struct ir *ir = l->ir;
    ref from = 0, converts = 0;
    for (unsigned k = 1; k < ir->n; k++) {
        struct ir_ins *i = &ir->ins[k];
        switch (i->op) {
        case IR_FLAGS:
            from = (ref)k;
            converts = 0;
            break;
        case IR_SETFLAGS:
            if (from != 0 && i->a == from) {
                for (unsigned c = from; c < k; c++) {
                    l->calm[c] = true;
                }
                if (converts != 0) {
                    const ref v = ir->ins[converts].a;
                    l->last[v] = l->last[v] < l->when[k] ? l->when[k] : l->last[v];
                }
                l->calm[k] = true;
                l->j->stats.flags_kept++;
            }
            from = 0;
            break;
        case IR_FEQ: case IR_FLT: case IR_FLE: case IR_FLTQ: case IR_FLEQ: case IR_GETF: case IR_SETF: case IR_GET: case IR_SET:
        case IR_NOP: case IR_UNBOX:
            break;
        case IR_FTOI:
            if (converts != 0 || !l->j->sse41 || ((i->aux & 0xe) != IRI_W && (i->aux & 0xe) != IRI_L)) {
                from = 0;
            }
            converts = (ref)k;
            break;
        case IR_ITOF:
            from = (i->aux & IRI_RTZ) != 0 ? from : 0; /* that leaves if it is inexact */
            break;
        case IR_BR: case IR_POLL: case IR_LOAD: case IR_LOADF: case IR_STORE:
            from = converts == 0 ? from : 0;
            break;
        default:
            from = ir_pure[i->op] ? from : 0;
        }
    }
}

/* Dead code, the order, last uses, and which values may be made in their guest register's home. */
void
lower_plan(struct lower *l)
{
    struct ir *ir = l->ir;
    l->n_given = ir->n;
    memset(l->parts, 0, ir->n * sizeof l->parts[0]);
    if (l->waits && (ir->opts & IROPT_BYTES)) {
        lower_bytes(l);
    }
    twins_find(l);
    memset(l->last, 0, ir->n * sizeof l->last[0]);
    memset(l->selects, 0, ir->n * sizeof l->selects[0]);
    memset(l->uses, 0, ir->n * sizeof l->uses[0]);
    memset(l->set_at, 0, ir->n * sizeof l->set_at[0]);
    memset(l->within, 0, ir->n * sizeof l->within[0]);
    memset(l->calm, 0, ir->n * sizeof l->calm[0]);
    memset(l->as_value, 0, ir->n * sizeof l->as_value[0]);
    memset(l->whole, !l->waits, ir->n * sizeof l->whole[0]);
    memset(l->superseded, 0, ir->n * sizeof l->superseded[0]);
    for (unsigned k = 1; k < ir->n; k++) {
        const struct ir_ins *i = &ir->ins[k];
        l->sext[k] = ir_args[i->op] != 0 && ir_is_sext32(ir, i->a) && (ir_args[i->op] == 1 || ir_is_sext32(ir, i->b));
    }
    uint32_t x_dead = 0, f_dead = 0; /* guest registers that are written again before anybody can look */
    uint32_t x_again = 0;            /* … before homes must be exact */
    for (unsigned k = ir->n; k-- > 1;) {
        struct ir_ins *i = &ir->ins[k];
        if (i->op == IR_SET) {
            /* A value made in its home needs no other place: it is dropped only where that saves something. */
            const struct ir_ins *v = &ir->ins[i->a];
            if (x_dead >> i->aux & 1 && (ir->opts & IROPT_DSE) &&
                (l->map->x[i->aux] == NO_REG || ir_is_known(ir, i->a) || v->op == IR_GET || v->gi != i->gi ||
                 (ir_pure[v->op] && l->uses[i->a] == 0))) {
                i->op = IR_NOP;
                l->j->stats.dead++;
                continue;
            }
            x_dead |= 1u << i->aux;
            l->superseded[k] = l->waits && (x_again >> i->aux & 1);
            x_again |= 1u << i->aux;
        } else if (i->op == IR_SETF) {
            if (f_dead >> i->aux & 1 && (ir->opts & IROPT_DSE) && l->map->f[i->aux] == NO_REG) {
                i->op = IR_NOP;
                continue;
            }
            f_dead |= 1u << i->aux;
        } else if (i->op == IR_GET || i->op == IR_GETF) {
            /* The home is read where the value is first used; no SET of it stands before this. */
            if (i->op == IR_GET) {
                x_dead &= ~(1u << i->aux);
            } else {
                f_dead &= ~(1u << i->aux);
            }
        } else if (!ir_pure[i->op] && i->op != IR_NOP) {
            x_dead = f_dead = 0;
            x_again = late_syncs(l, i) ? 0 : x_again;
        }
        l->selects[k] = l->selects[k] && l->uses[k] == 1 && i->op >= IR_EQ && i->op <= IR_GEU;
        if ((ir_pure[i->op] || i->op == IR_FLAGS) && l->uses[k] == 0 && k < l->n_given) {
            i->op = IR_NOP;
            continue;
        }
        if (i->op == IR_SELECT && l->waits) {
            l->selects[i->a] = true;
        }
        const unsigned n = ir_args[i->op];
        const ref args[3] = {i->a, n > 1 ? i->b : (ref)0, n > 2 ? i->c : (ref)0};
        for (unsigned a = 0; a < n; a++) {
            l->uses[args[a]]++;
        }
        late_used(l, k);
    }
    uint16_t pending = 0;
    for (unsigned k = 1; k < ir->n; k++) {
        l->selects[l->twin[k]] = false;
        const struct ir_ins *i = &ir->ins[k];
        if (i->op == IR_SET || i->op == IR_SETF) {
            const ref v = i->a;
            if (v > pending && l->set_at[v] == 0 && !ir_is_known(ir, v)) {
                l->set_at[v] = (uint16_t)k;
            }
            pending = (uint16_t)k; /* what was made before this SET must not be put into a home any more */
        } else if (!ir_pure[i->op] && i->op != IR_NOP && i->op != IR_GET && i->op != IR_GETF) {
            pending = (uint16_t)(k - 1); /* the instruction itself may make its value in place */
        }
    }
    late_order(l);
    if (ir->opts & IROPT_FLAGS) {
        keep_flags(l);
    }
}
