/*
 * interp_predecoded.c - decode once into slots, then dispatch on the slot's operation in one switch
 *
 * Shares the slots with nobody: an engine has one kind. A slot's `handler` says only that it is decoded.
 *
 * Compiled twice: for user programs, and for machines (INTERP_MACHINE), where slots belong to a page.
 */
#include "engine/interp_ops.h"

#include "engine/fp_ops.h"

#define DECODED 1

#ifdef INTERP_MACHINE
#include "engine/interp_pc.h"
#include "engine/machine_ops.h"

#undef AT_RISK
#define AT_RISK() (h->pc = pc)

/* The page's slots; NULL if it has none. */
static struct slot *
page_slots(struct hart *h, uint64_t pc)
{
    h->pc = pc;
    return machine_enter(MH, pc) ? (struct slot *)(void *)MH->page->slots : NULL;
}

/* Into a slot from the copy of its page, where it lies in that wholly; an instruction in two pages is decoded each time. */
static __attribute__((noinline)) struct slot
predecode(struct hart *h, uint64_t pc, struct slot *to)
{
    struct slot made = {.handler = DECODED};
    const uint8_t *const copy = MH->page->copy + (pc & 4095);
    uint32_t w = (uint32_t)copy[0] | (uint32_t)copy[1] << 8;
    if (insn_len(w) == 4 && (pc & 4095) == 4094) {
        machine_fetch(h, pc, &made.i);
        return made;
    }
    w |= insn_len(w) == 4 ? (uint32_t)copy[2] << 16 | (uint32_t)copy[3] << 24 : 0;
    w = MH->sys->debug != NULL ? machine_debug_word(MH, pc, w) : w;
    interp_decode(w, h->exts, &made.i);
    *to = made;
    return made;
}

void
interp_predecoded_machine(struct hart *h, int64_t budget)
{
    uint64_t pc = h->pc;
    struct slot *slots = page_slots(h, pc);
    for (;;) {
        if (unlikely(h->attention != 0 || budget-- <= 0)) {
            h->pc = pc;
            return;
        }
        if (unlikely((pc & TLB_PAGE_MASK) != MH->page_va)) {
            slots = page_slots(h, pc);
        }
        if (unlikely(slots == NULL)) {
            return;
        }
        struct slot s = slots[(pc & 4095) / 2];
        if (unlikely(s.handler == 0)) {
            s = predecode(h, pc, &slots[(pc & 4095) / 2]);
        }
        const struct insn *const i = &s.i;
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
#else

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
#endif
