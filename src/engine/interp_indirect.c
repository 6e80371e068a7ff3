/*
 * interp_indirect.c - indirect threading: no loop; every handler decodes the next instruction and jumps through the table
 *
 * One indirect branch at the end of each handler instead of one for all, so the host's predictor learns what follows
 * what.
 *
 * Compiled twice: for user programs, and for machines (INTERP_MACHINE), where it returns at a poll.
 */
#include "engine/interp_ops.h"

#include "engine/fp_ops.h"
#ifdef INTERP_MACHINE
#include "engine/machine_ops.h"
#endif
#include "engine/interp_pc.h"

#define NEXT()                                                              \
    do {                                                                    \
        if (unlikely(h->attention != 0 || budget-- <= 0)) {                 \
            h->pc = pc;                                                     \
            interp_leave_poll(h);                                           \
        }                                                                   \
        interp_fetch(h, pc, &in);                                           \
        next = pc + in.len;                                                 \
        goto *table[in.op];                                                 \
    } while (0)

void
interp_indirect(struct hart *h, int64_t budget)
{
    static const void *const table[OP_COUNT] = {
        [OP_ILLEGAL] = &&do_illegal,
#define INSN(name, match, mask, fmt, ext, cls) [OP_##name] = &&do_##name,
#define INSN16(name, match, mask, fmt, ext, base)
#include "isa/insn.def"
#undef INSN
#undef INSN16
    };
    uint64_t pc = h->pc, next;
    struct insn in;
    const struct insn *const i = &in;
    NEXT();
do_illegal:
    ILLEGAL();
#define SEM(name, ...)     \
    do_##name:             \
    {                      \
        GATE(name)         \
        __VA_ARGS__;       \
    }                      \
    h->instret++;          \
    pc = next;             \
    NEXT();
#include "isa/sem.inc"
#undef SEM
}
