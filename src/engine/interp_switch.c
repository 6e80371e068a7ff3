/*
 * interp_switch.c - decode and dispatch: fetch, decode, one big switch, every time
 *
 * The plainest of the four and the one that tests trust: it keeps nothing between two instructions, so it also sees
 * modified code at once, and it counts and stops exactly.
 *
 * Compiled three times: for user programs, with a look at each access (INTERP_WATCH), and for machines (INTERP_MACHINE), where it returns
 * at a poll.
 */
#include "engine/interp_ops.h"

#include "engine/fp_ops.h"
#ifdef INTERP_MACHINE
#include "engine/machine_ops.h"
#endif
#ifdef INTERP_WATCH
#include "engine/watch_ops.h"
#endif
#include "engine/interp_pc.h"

void
interp_switch(struct hart *h, int64_t budget)
{
    uint64_t pc = h->pc;
    for (;;) {
        if (unlikely(h->attention != 0 || budget-- <= 0)) {
            h->pc = pc;
            interp_leave_poll(h);
        }
        struct insn in;
        interp_fetch(h, pc, &in);
        const struct insn *const i = &in;
        uint64_t next = pc + i->len;
        switch ((enum op)i->op) {
        case OP_ILLEGAL:
        case OP_COUNT:
            ILLEGAL();
            break;
#define SEM(name, ...)  \
    case OP_##name: {   \
        GATE(name)      \
        __VA_ARGS__;    \
    } break;
#include "isa/sem.inc"
#undef SEM
        }
        h->instret++;
        pc = next;
    }
}
