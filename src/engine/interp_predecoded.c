/*
 * interp_predecoded.c - decode once into slots, then dispatch on the slot's operation in one switch
 *
 * Shares the slots with nobody: an engine has one kind. A slot's `handler` says only that it is decoded.
 */
#include "engine/interp_ops.h"

#include "engine/fp_ops.h"

#define DECODED 1

#define PC V((uint64_t)((const char *)ip - h->engine->slots) / SLOT_SCALE)
#define LEN i->len
#define AT_RISK() (h->ip = ip)
#define GO(bytes) (next = (const struct slot *)(const void *)((const char *)ip + (int64_t)(bytes)*SLOT_SCALE))
#define BRANCH(c)   \
    if (U(c)) {     \
        GO(i->imm); \
    }
#define JUMP_REL() GO(i->imm)
#define JUMP(t)                                          \
    do {                                                 \
        const uint64_t t_ = U(t);                        \
        if (unlikely(t_ >= GUEST_TOP)) {                 \
            interp_leave_wild(h, t_);                      \
        }                                                \
        next = slot_of(h->engine, t_);                   \
    } while (0)

static __attribute__((noinline)) struct slot
predecode(struct hart *h, const struct slot *at)
{
    const uint64_t pc = (uint64_t)((const char *)at - h->engine->slots) / SLOT_SCALE;
    struct slot made = {.handler = DECODED};
    const uint64_t epoch = code_epoch(h->engine);
    interp_fetch(h, pc, &made.i);
    if (code_write_begin(h->engine, epoch)) {
        code_page_decoded(h->engine, pc);
        slot_write(slot_of(h->engine, pc), &made);
        code_write_end(h->engine);
    }
    return made;
}

void
interp_predecoded(struct hart *h, int64_t budget)
{
    const struct slot *ip = slot_of(h->engine, h->pc < GUEST_TOP ? h->pc : GUEST_TOP);
    if (h->pc >= GUEST_TOP) {
        interp_leave_wild(h, h->pc);
    }
    for (;;) {
        if (unlikely(h->attention != 0 || budget-- <= 0)) {
            h->ip = ip;
            interp_leave_poll(h);
        }
        struct slot s = slot_read(ip);
        if (unlikely(s.handler == 0)) {
            s = predecode(h, ip);
        }
        const struct insn *const i = &s.i;
        const struct slot *next;
        GO(i->len);
        switch ((enum op)i->op) {
        case OP_ILLEGAL:
        case OP_COUNT:
            ILLEGAL();
            break;
#define SEM(name, ...)  \
    case OP_##name: {   \
        __VA_ARGS__;    \
    } break;
#include "isa/sem.inc"
#undef SEM
        }
        h->instret++;
        ip = next;
    }
}
