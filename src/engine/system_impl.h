/*
 * system_impl.h - what the files of the machine's engine share
 *
 * Whatever is not plain arithmetic is a function here; each makes the state exact (machine_settle) before it traps, and a trap
 * ends in a jump to the landing in system_run(), which starts the interpreter again at the handler.
 */
#ifndef DOPPEL_SYSTEM_IMPL_H
#define DOPPEL_SYSTEM_IMPL_H

#include "engine/engine_impl.h"
#include "engine/system.h"
#include "memory/walk.h"

#define CODE_HALVES 2048 /* slots of a page; one more says that it ends */

/* What a hart keeps of a physical page that it executes. */
struct code_page {
    uint64_t gpa;
    uint64_t gen;          /* == code_cache.gen: the copy is what memory was at the last fence.i, or later */
    const uint8_t *live;   /* ref: the page itself */
    uint32_t next;         /* in its hash chain: index + 1 */
    bool used;
    uint8_t copy[4096];
    char slots[] __attribute__((aligned(64)));
};

/* The place in a jump cache for that address: one hash, here and in what lower_machine.c emits. */
#define JUMP_SHIFT 12
#define JUMP_MASK (JUMPS * 2 - 2) /* twice the index: pc is even */

static inline struct jump *
jump_at(struct jump *jumps, uint64_t pc)
{
    return &jumps[((pc ^ pc >> JUMP_SHIFT) & JUMP_MASK) / 2];
}

static inline struct mhart *
mhart_of(struct hart *h)
{
    return (struct mhart *)(void *)h;
}

/* Instructions were retired since h.instret was exact: the budget says how many. */
static inline void
machine_count(struct mhart *m, int64_t budget)
{
    m->h.instret += (uint64_t)(m->entry - budget);
    m->entry = budget;
}

/* Make h.pc exact: from h.ip, if that says where. */
void machine_settle(struct mhart *m);

/* The instruction at h.pc (or h.ip) traps. */
_Noreturn void machine_trap(struct mhart *m, uint64_t cause, uint64_t tval);
_Noreturn void machine_illegal(struct mhart *m);
_Noreturn void machine_ecall(struct mhart *m);
_Noreturn void machine_ebreak(struct mhart *m);
/* An access is about to happen: leaves if a watchpoint waits for it. Only where sys->debug. Is there one in this page? */
void machine_watch_access(struct mhart *m, uint64_t va, gpa_t gpa, unsigned bytes, bool load, bool store);
bool machine_watches_page(const struct mhart *m, uint64_t va, gpa_t gpa);
/* What is to be decoded at pc, where memory holds w. */
uint32_t machine_debug_word(const struct mhart *m, uint64_t pc, uint32_t w);

/* The instruction of 4 bytes at h.pc (or h.ip) has been executed, and changed what matters to those behind it. */
_Noreturn void machine_next(struct mhart *m, unsigned effects);
_Noreturn void machine_again(struct mhart *m);

/* CSR instructions: the old value, which rd gets; if it does not come back, rd has got it. */
uint64_t machine_csr(struct mhart *m, unsigned rd, unsigned csr, enum csr_op op, uint64_t v, bool writes);

_Noreturn void machine_mret(struct mhart *m);
_Noreturn void machine_sret(struct mhart *m);
_Noreturn void machine_wfi(struct mhart *m);
_Noreturn void machine_sfence(struct mhart *m, bool by_va, uint64_t va, bool by_asid, uint64_t asid);
_Noreturn void machine_fence_i(struct mhart *m);
void machine_sfence_order(struct mhart *m);
void machine_cbo_may(struct mhart *m, uint64_t enable);
void machine_fp_use(struct mhart *m);
void machine_apply(struct mhart *m, unsigned effects);

/* system_mem.c: accesses that have no entry in the TLB, of any alignment; they make one if there may be one. */
uint64_t machine_load(struct mhart *m, uint64_t va, unsigned bytes);
void machine_store(struct mhart *m, uint64_t va, unsigned bytes, uint64_t v);
/* The host's bytes, to be changed atomically (or, `store` false, to be reserved): bytes is also the alignment. */
void *machine_atomic(struct mhart *m, uint64_t va, unsigned bytes, bool store);
void machine_cbo(struct mhart *m, uint64_t va);
void machine_cbo_zero(struct mhart *m, uint64_t va);
void machine_cas128(struct mhart *m, const struct insn *i, uint64_t va);
/* Is there an entry for an aligned access now? Traps if there should be none at all. */
bool machine_fill(struct mhart *m, uint64_t va, bool store);

/* The instruction at pc, as it is in memory; traps there. The second decodes it, and makes h.pc be pc. */
uint32_t machine_word(struct mhart *m, uint64_t pc);
uint32_t machine_fetch(struct hart *h, uint64_t pc, struct insn *out);
/* The entry for pc's page, NULL if it can have none; traps at pc. */
struct tlb_fetch *machine_fetch_entry(struct mhart *m, uint64_t pc);

/* system_code.c */
/* h.slots is for pc's page from now on. False: this page has no slots. Traps at pc. */
bool machine_enter(struct mhart *m, uint64_t pc);
int code_cache_init(struct mhart *m);
void code_cache_fini(struct mhart *m);
void code_cache_sync(struct mhart *m); /* fence.i */
void code_cache_drop(struct mhart *m); /* forget all */

/* What sfence.vma and fence.i do to the hart. PRIV_DATA | PRIV_FETCH are the effects of the first, PRIV_FETCH of the other. */
void machine_fence(struct mhart *m, bool by_va, uint64_t va, bool by_asid, uint64_t asid);
void machine_sync(struct mhart *m);

/* system_mem.c: as machine_fill(), but false where that traps. */
bool machine_fill_quietly(struct mhart *m, uint64_t va, bool store);

/* system_jit.c */
bool machine_jit_prepare(struct mhart *m);
void machine_jit_release(struct mhart *m);
void machine_jit_leave(struct mhart *m); /* around a new struct hart */
void machine_jit_enter(struct mhart *m);
void machine_jit_sync(struct mhart *m);      /* fence.i */
void machine_jumps_select(struct mhart *m);  /* another way to fetch */
void machine_jumps_fence(struct mhart *m, bool by_va, uint64_t va, bool by_asid); /* sfence.vma, before the TLB's */
void machine_jumps_flush(struct mhart *m);   /* addresses may be elsewhere now */
uint32_t machine_missed(struct hart *h);

/* system_step.c: what translated code does not do itself, one instruction at h.pc. Leave, by the exit of that number; or back behind it. */
enum machine_step { STEP_ELSEWHERE, STEP_NOT_DONE, STEP_BACK };
uint64_t machine_perform(struct hart *h);

/* The interpreters. They return at a poll, with h.pc or h.ip exact. */
void interp_switch_machine(struct hart *h, int64_t budget);
void interp_indirect_machine(struct hart *h, int64_t budget);
void interp_predecoded_machine(struct hart *h, int64_t budget);
void interp_threaded_machine(struct hart *h, int64_t budget);
void interp_adaptive_machine(struct hart *h, int64_t budget);
uint64_t interp_threaded_sentinel(void); /* the slot behind a page's last */

#endif
