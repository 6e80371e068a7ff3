/*
 * system_step.c - one instruction of a machine for translated code, which has no words for it: CSRs, traps, fences, cache blocks
 *
 *      translated code ──all state in memory──► machine_perform() ──► back behind it              it changed nothing that code depends on
 *                                                             ──► code for where pc is now     another way to fetch: by the jump cache
 *                                                             ──► the manager                  it knows no code there, or has to do it itself
 *
 * Meanings are those of sem.inc, in other words than the interpreters': nothing here traps. An instruction that would is not
 * done; the manager interprets it. So no jump back to system_run() crosses translated code.
 */
#include "engine/machine_ops.h"

#include <sched.h>
#include <string.h>

/*
 * A hart waits for another. If that one has no processor, only the host's scheduler helps; so now and then it gets the chance, by the
 * count of instructions: loops of up to 16 come by here in turn.
 */
static void
pause_a_little(const struct mhart *m)
{
    if (m->made_for->harts > 1 && (m->h.instret & 0xf0) == 0) {
        sched_yield();
    } else {
        __builtin_ia32_pause();
    }
}

#undef MH
#define MH m

/* The way back is on the shadow stack. Who does not take it takes it down, before the stack may be emptied. */
static void
drop_way_back(struct mhart *m)
{
    m->h.jit_sp += sizeof(uint64_t);
}

static uint64_t
not_done(struct mhart *m)
{
    drop_way_back(m);
    return STEP_NOT_DONE;
}

/* Where pc is now, if it has been there of late. */
static uint64_t
go_on(struct mhart *m)
{
    if (!m->look && m->jit.left > 0 && __atomic_load_n(&m->h.attention, __ATOMIC_RELAXED) == 0) {
        const struct jump *const to = jump_at(m->jit.jumps, m->h.pc);
        if (to->pc == m->h.pc) {
            m->jit.page = m->h.pc & TLB_PAGE_MASK;
            return (uint64_t)(uintptr_t)to->code;
        }
    }
    return STEP_ELSEWHERE;
}

static bool
irq_is_due(struct mhart *m, unsigned effects)
{
    return (effects & PRIV_IRQ) != 0 && priv_irq_select(&m->p) >= 0;
}

/* All of the block is to be had: its zeros are there. */
static bool
zero_block(struct mhart *m, uint64_t va)
{
    const uint64_t at = va & ~UINT64_C(63);
    const struct tlb_entry *const e = &m->t.store[tlb_index(at)];
    if (!TLB_HAS(e, at, 1) && !machine_fill_quietly(m, at, true)) {
        return false;
    }
    memset((void *)(uintptr_t)(at + e->addend), 0, 64);
    return true;
}

#define REFUSE() return not_done(m)
#define DO(call)                       \
    do {                               \
        effects = (call);              \
        if (effects & PRIV_ILLEGAL) {  \
            REFUSE();                  \
        }                              \
    } while (0)
#undef CSR
#define CSR(op, v, writes)                                                                                  \
    ({                                                                                                      \
        uint64_t old_ = 0;                                                                                  \
        if (i->imm <= 3) { /* of floating point */                                                          \
            REFUSE();                                                                                       \
        }                                                                                                   \
        DO(priv_csr(&m->p, (unsigned)i->imm, (enum priv_op)CSR_##op, U(v), U(writes) != 0, &old_));         \
        V(old_);                                                                                            \
    })
#undef SRET
#undef MRET
#undef WFI
#undef SFENCE_VMA
#undef SFENCE_ORDER
#undef FENCE_I
#undef ILLEGAL
#undef CBO_MAY
#undef CBO_ZERO
#undef CBO_INVAL
#undef TOUCH
#undef PAUSE
#define PAUSE() pause_a_little(m)
#define XRET(call)        \
    do {                  \
        DO(call);         \
        next = h->pc;     \
    } while (0)
#define SRET() XRET(priv_sret(&m->p))
#define MRET() XRET(priv_mret(&m->p))
#define WFI() REFUSE()
#define ILLEGAL() REFUSE()
#define SFENCE_VMA(by_va, va, by_asid, asid)                                        \
    do {                                                                            \
        DO(priv_sfence(&m->p));                                                     \
        machine_fence(m, U(by_va) != 0, U(va), U(by_asid) != 0, U(asid));           \
        effects = PRIV_DATA | PRIV_FETCH;                                           \
    } while (0)
#define SFENCE_ORDER() DO(priv_sfence_order(&m->p))
#define FENCE_I()                  \
    do {                           \
        machine_sync(m);           \
        effects = PRIV_FETCH;      \
    } while (0)
#define CBO_MAY(bit) DO(priv_cbo(&m->p, ENVCFG_##bit))
#define CBO_ZERO(addr)                   \
    do {                                 \
        if (!zero_block(m, U(addr))) {   \
            REFUSE();                    \
        }                                \
    } while (0)
#define CBO_INVAL(addr) REFUSE()
#define TOUCH(addr) REFUSE()

/* An ecall is a trap that changes nothing else, and nothing has to be made exact for it. */
static uint64_t
call_up(struct mhart *m)
{
    drop_way_back(m);
    if (m->p.mode == PRIV_S && m->sys->see) {
        return STEP_NOT_DONE;
    }
    m->stats.exceptions[TRAP_ECALL_U + m->p.mode]++;
    machine_apply(m, priv_trap(&m->p, TRAP_ECALL_U + m->p.mode, 0));
    return go_on(m);
}

uint64_t
machine_perform(struct hart *h)
{
    struct mhart *const m = mhart_of(h);
    const struct insn *const i = m->jit.insn;
    uint64_t next = h->pc + i->len;
    unsigned effects = 0;
    machine_count(m, m->jit.left);
    switch (i->op) {
    case OP_ecall:
        return call_up(m);
#define SEM(name, ...) \
    case OP_##name: {  \
        __VA_ARGS__;   \
    } break;
#include "isa/sem_priv.inc"
#include "isa/sem_z.inc"
#undef SEM
    default:
        REFUSE();
    }
    h->pc = next;
    h->instret++;
    m->jit.left--;
    m->entry--;
    if (effects & (PRIV_FETCH | PRIV_FLUSH)) {
        drop_way_back(m);
        machine_apply(m, effects & ~(unsigned)PRIV_IRQ);
        m->look |= irq_is_due(m, effects);
        return go_on(m);
    }
    machine_apply(m, effects & ~(unsigned)PRIV_IRQ);
    if (irq_is_due(m, effects)) {
        drop_way_back(m);
        m->look = true;
        return STEP_ELSEWHERE;
    }
    return STEP_BACK;
}
