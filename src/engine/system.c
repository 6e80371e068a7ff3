/*
 * system.c - run a machine's hart: traps, interrupts, fences, exits; see system.h
 */
#include "engine/system_impl.h"

#include "engine/fp_ops.h"

#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

#define SYSTEM_STOP 1U /* in mhart.requests, beside SYSTEM_FENCE_* */

struct mhart *
system_hart_new(struct system *sys, ext_set exts, const struct priv_env *env, uint64_t hartid, uint32_t satp_modes,
                struct err *e)
{
    struct mhart *m = aligned_alloc(64, (sizeof *m + 63) & ~(size_t)63);
    if (m == NULL) {
        err_set(e, -ENOMEM, "make a hart");
        return NULL;
    }
    memset(m, 0, sizeof *m);
    fp_host_probe(false);
    m->sys = m->made_for = sys;
    m->h.exts = exts;
    m->p.env = env;
    m->p.mhartid = hartid;
    m->p.satp_modes = satp_modes;
    if (sys->kind == ENGINE_ADAPTIVE && sys->en == NULL) {
        sys->en = engine_new_machine(&sys->tuning, sys->pm->ram_bytes, e);
        if (sys->en == NULL) {
            free(m);
            return NULL;
        }
    }
    sys->harts++;
    if (code_cache_init(m) != 0 || (sys->kind == ENGINE_ADAPTIVE && !machine_jit_prepare(m))) {
        system_hart_free(m);
        err_set(e, -ENOMEM, "make a hart");
        return NULL;
    }
    system_hart_reset(m);
    return m;
}

void
system_hart_free(struct mhart *m)
{
    if (m != NULL) {
        struct system *const sys = m->made_for;
        code_cache_fini(m);
        machine_jit_release(m);
        free(m);
        if (--sys->harts == 0 && sys->en != NULL) {
            engine_free(sys->en);
            sys->en = NULL;
        }
    }
}

void
system_hart_reset(struct mhart *m)
{
    const struct priv was = m->p;
    machine_jit_leave(m);
    hart_init(&m->h, m->h.exts);
    machine_jit_enter(m);
    priv_reset(&m->p, &m->h, was.env, was.mhartid, was.satp_modes);
    softtlb_init(&m->t);
    code_cache_drop(m);
    system_hart_changed(m);
}

/* The keys of the TLB: whose translations count now. */
static void
rekey(struct mhart *m)
{
    const struct priv *p = &m->p;
    const unsigned data = priv_data_mode(p);
    const bool bare = SATP_MODE(p->satp) == SATP_BARE;
    const unsigned space = bare ? 0 : softtlb_space(&m->t, SATP_ASID(p->satp));
    const uint64_t physical = TLB_KEY(0, TLB_PHYS), machine = TLB_KEY(0, TLB_PHYS_M);
    const unsigned s = p->mstatus & MSTATUS_SUM ? TLB_S_SUM : TLB_S;
    m->t.data_key = data == PRIV_M ? machine : bare ? physical : TLB_KEY(space, data == PRIV_U ? TLB_U : s);
    m->t.fetch_key = p->mode == PRIV_M ? machine : bare ? physical : TLB_KEY(space, p->mode == PRIV_U ? TLB_U : TLB_S);
}

void
machine_apply(struct mhart *m, unsigned effects)
{
    if (effects & PRIV_FLUSH) {
        pmp_compile(&m->pmp, m->p.pmpcfg, m->p.pmpaddr);
        softtlb_flush(&m->t);
    }
    if (effects & (PRIV_DATA | PRIV_FETCH | PRIV_FLUSH)) {
        rekey(m);
        machine_jumps_select(m);
    }
    if (effects & (PRIV_FETCH | PRIV_FLUSH)) {
        m->page_va = 1;
    }
    if (effects & PRIV_IRQ) {
        m->look = true;
    }
}

void
system_hart_changed(struct mhart *m)
{
    m->p.fp_gate = (m->p.mstatus & MSTATUS_FS) != MSTATUS_FS;
    machine_apply(m, PRIV_FLUSH | PRIV_DATA | PRIV_FETCH | PRIV_IRQ);
}

void
machine_settle(struct mhart *m)
{
    if (m->h.ip != NULL) {
        /* The upper bits of pc were lost in the product; those that remain say what they were, a sign that is extended. */
        m->h.pc = (uint64_t)(((const char *)m->h.ip - m->h.slots) >> 2);
        m->h.ip = NULL;
    }
}

void
machine_again(struct mhart *m)
{
    struct landing *land = m->h.landing;
    land->again = true;
    __builtin_longjmp(land->jb, 1);
}

static _Noreturn void
leave(struct mhart *m, enum system_exit why)
{
    struct landing *land = m->h.landing;
    m->exit = (uint8_t)why;
    land->again = false;
    __builtin_longjmp(land->jb, 1);
}

void
machine_trap(struct mhart *m, uint64_t cause, uint64_t tval)
{
    machine_settle(m);
    if (cause == TRAP_ECALL_S && m->sys->see) {
        leave(m, SYSTEM_ECALL);
    }
    m->stats.exceptions[cause & 15]++;
    machine_apply(m, priv_trap(&m->p, cause, tval));
    machine_again(m);
}

void
machine_illegal(struct mhart *m)
{
    machine_settle(m);
    machine_trap(m, TRAP_ILLEGAL, machine_word(m, m->h.pc));
}

void
machine_ecall(struct mhart *m)
{
    machine_trap(m, TRAP_ECALL_U + m->p.mode, 0);
}

/*
 * Slots are by physical page, breakpoints by virtual address, of which the page need not even be mapped when they are set. So each address of the
 * same place in its page is decoded as a breakpoint, and those that are none find out here.
 */
static void
debug_ebreak(struct mhart *m)
{
    const struct system_debug *const d = m->sys->debug;
    for (size_t i = 0; i < d->n_breaks; i++) {
        if (d->breaks[i] == m->h.pc) {
            leave(m, SYSTEM_BREAK);
        }
    }
    m->over = 1;
    const uint32_t w = machine_word(m, m->h.pc);
    if (w != 0x9002 && w != 0x00100073) {
        m->over = 2;
        machine_again(m);
    }
}

uint32_t
machine_debug_word(const struct mhart *m, uint64_t pc, uint32_t w)
{
    const struct system_debug *const d = m->sys->debug;
    for (size_t i = 0; d != NULL && m->over == 0 && i < d->n_breaks; i++) {
        if (((d->breaks[i] ^ pc) & 4095) == 0) {
            return insn_len(w) == 2 ? 0x9002 : 0x00100073;
        }
    }
    return w;
}

void
machine_watch_access(struct mhart *m, uint64_t va, gpa_t gpa, unsigned bytes, bool load, bool store)
{
    const struct system_debug *const d = m->sys->debug;
    for (size_t i = 0; i < d->n_watches; i++) {
        const struct system_watch *const w = &d->watches[i];
        const uint64_t at = w->physical ? gpa : va;
        if (at < w->start + w->bytes && w->start < at + bytes && ((w->loads && load) || (w->stores && store))) {
            machine_settle(m);
            m->hit = (struct system_hit){at > w->start ? at : w->start, w->loads, w->stores};
            leave(m, SYSTEM_WATCH);
        }
    }
}

bool
machine_watches_page(const struct mhart *m, uint64_t va, gpa_t gpa)
{
    const struct system_debug *const d = m->sys->debug;
    for (size_t i = 0; i < d->n_watches; i++) {
        const struct system_watch *const w = &d->watches[i];
        const uint64_t page = (w->physical ? gpa : va) & TLB_PAGE_MASK;
        if (page + 4096 > w->start && page < w->start + w->bytes) {
            return true;
        }
    }
    return false;
}

void
system_debug_changed(struct mhart *m)
{
    code_cache_drop(m);
    system_hart_changed(m);
}

void
machine_ebreak(struct mhart *m)
{
    machine_settle(m);
    if (m->sys->debug != NULL && m->over == 0) {
        debug_ebreak(m);
    }
    machine_trap(m, TRAP_BREAKPOINT, m->h.pc);
}

void
machine_next(struct mhart *m, unsigned effects)
{
    machine_settle(m);
    m->h.pc += 4;
    m->h.instret++;
    machine_apply(m, effects);
    machine_again(m);
}

uint64_t
machine_csr(struct mhart *m, unsigned rd, unsigned csr, enum csr_op op, uint64_t v, bool writes)
{
    uint64_t old;
    if (csr >= 1 && csr <= 3) { /* fflags, frm, fcsr */
        if ((m->p.mstatus & MSTATUS_FS) == 0 || !isa_ext_enabled(EXT_F, m->h.exts)) {
            machine_illegal(m);
        }
        if (writes) {
            machine_fp_use(m);
        }
        return interp_csr(&m->h, csr, op, v, writes);
    }
    const unsigned effects = priv_csr(&m->p, csr, (enum priv_op)op, v, writes, &old);
    if (effects & PRIV_ILLEGAL) {
        machine_illegal(m);
    }
    if ((effects & (PRIV_FETCH | PRIV_FLUSH)) != 0 || ((effects & PRIV_IRQ) != 0 && priv_irq_select(&m->p) >= 0)) {
        ((uint64_t *)(void *)&m->h)[rd] = old; /* 32 is x_sink */
        machine_next(m, effects);
    }
    machine_apply(m, effects & PRIV_DATA);
    return old;
}

static _Noreturn void
go_back(struct mhart *m, unsigned effects)
{
    if (effects & PRIV_ILLEGAL) {
        machine_illegal(m);
    }
    m->h.instret++;
    machine_apply(m, effects);
    machine_again(m);
}

void
machine_mret(struct mhart *m)
{
    machine_settle(m);
    go_back(m, priv_mret(&m->p));
}

void
machine_sret(struct mhart *m)
{
    machine_settle(m);
    go_back(m, priv_sret(&m->p));
}

void
machine_wfi(struct mhart *m)
{
    machine_settle(m);
    if (priv_wfi(&m->p)) {
        machine_illegal(m);
    }
    if (priv_wakes(&m->p)) {
        machine_next(m, PRIV_IRQ);
    }
    m->h.pc += 4;
    m->h.instret++;
    leave(m, SYSTEM_WFI);
}

void
machine_fence(struct mhart *m, bool by_va, uint64_t va, bool by_asid, uint64_t asid)
{
    m->stats.fences++;
    machine_jumps_fence(m, by_va, va, by_asid);
    softtlb_fence(&m->t, by_va, va, by_asid, (unsigned)asid & 0xffff);
}

void
machine_sfence(struct mhart *m, bool by_va, uint64_t va, bool by_asid, uint64_t asid)
{
    if (priv_sfence(&m->p)) {
        machine_illegal(m);
    }
    machine_fence(m, by_va, va, by_asid, asid);
    machine_next(m, PRIV_DATA | PRIV_FETCH);
}

void
machine_sfence_order(struct mhart *m)
{
    if (priv_sfence_order(&m->p)) {
        machine_illegal(m);
    }
}

void
machine_sync(struct mhart *m)
{
    m->stats.fence_is++;
    code_cache_sync(m);
}

void
machine_fence_i(struct mhart *m)
{
    machine_sync(m);
    machine_next(m, 0);
}

void
machine_cbo_may(struct mhart *m, uint64_t enable)
{
    if (priv_cbo(&m->p, enable)) {
        machine_illegal(m);
    }
}

void
machine_fp_use(struct mhart *m)
{
    if (m->p.fp_gate && priv_fp_use(&m->p)) {
        machine_illegal(m);
    }
}

/* What others want, on the hart's own thread. */
static bool
requests_do(struct mhart *m)
{
    const uint32_t r = __atomic_exchange_n(&m->requests, 0, __ATOMIC_SEQ_CST);
    if (r & SYSTEM_FENCE_I) {
        code_cache_sync(m);
    }
    if (r & SYSTEM_FENCE_VMA) {
        softtlb_fence(&m->t, false, 0, false, 0);
        machine_jumps_flush(m);
        machine_apply(m, PRIV_DATA | PRIV_FETCH);
    }
    return (r & SYSTEM_STOP) != 0;
}

static void
take_interrupt(struct mhart *m)
{
    m->look = false;
    const int irq = priv_irq_select(&m->p);
    if (irq >= 0) {
        m->stats.interrupts[irq & 15]++;
        machine_apply(m, priv_trap(&m->p, TRAP_INTERRUPT | (uint64_t)irq, 0));
    }
}

static void
run(struct mhart *m, int64_t left)
{
    m->entry = left;
    if (m->over != 0) {
        interp_switch_machine(&m->h, 1);
        return;
    }
    switch (m->sys->kind) {
    case ENGINE_SWITCH:
        interp_switch_machine(&m->h, left);
        return;
    case ENGINE_INDIRECT:
        interp_indirect_machine(&m->h, left);
        return;
    case ENGINE_ADAPTIVE:
        if (m->sys->debug != NULL) { /* translations know of no breakpoints */
            break;
        }
        interp_adaptive_machine(&m->h, left);
        return;
    case ENGINE_PREDECODED:
    case ENGINE_THREADED:
        break;
    }
    if (!machine_enter(m, m->h.pc)) {
        interp_switch_machine(&m->h, left < 64 ? left : 64); /* a page that cannot have slots */
    } else if (m->sys->kind == ENGINE_PREDECODED) {
        interp_predecoded_machine(&m->h, left);
    } else {
        interp_threaded_machine(&m->h, left);
    }
}

__attribute__((noinline)) enum system_exit
system_run(struct mhart *m, int64_t budget)
{
    struct landing land = {.hart = &m->h, .budget = budget};
    const uint64_t first = m->h.instret;
    m->h.landing = &land;
    m->h.ip = NULL;
    m->look = true;
    __atomic_store_n(&m->inside, 1, __ATOMIC_SEQ_CST);
    fp_enter(&m->h);
    /* After a jump back only memory is trusted: it restored no register. */
    struct mhart *volatile const mm = m;
    volatile const uint64_t began = first;
    volatile const int64_t all = budget;
    for (;;) {
        if (__builtin_setjmp(land.jb) == 0) {
            land.again = true;
        } else if (!land.again) {
            break;
        }
        m = mm;
        machine_settle(m);
        if (__atomic_load_n(&m->h.attention, __ATOMIC_RELAXED) != 0) {
            __atomic_store_n(&m->h.attention, 0, __ATOMIC_SEQ_CST);
            m->look = true;
        }
        if (__atomic_load_n(&m->requests, __ATOMIC_SEQ_CST) != 0 && requests_do(m)) {
            m->exit = SYSTEM_STOPPED;
            break;
        }
        const uint64_t pc = m->h.pc;
        if (m->look && !m->sys->quiet) {
            take_interrupt(m);
        }
        m->over = m->over == 2 && m->h.pc == pc;
        const int64_t left = all - (int64_t)(m->h.instret - began);
        if (left <= 0) {
            m->exit = SYSTEM_BUDGET;
            break;
        }
        run(m, left);
    }
    m = mm;
    fp_leave(&m->h);
    __atomic_store_n(&m->inside, 0, __ATOMIC_SEQ_CST);
    return (enum system_exit)m->exit;
}

static void
request(struct mhart *m, uint32_t what)
{
    __atomic_fetch_or(&m->requests, what, __ATOMIC_SEQ_CST);
    __atomic_store_n(&m->h.attention, ATTENTION, __ATOMIC_SEQ_CST);
}

void
system_stop(struct mhart *m)
{
    request(m, SYSTEM_STOP);
    priv_kick(&m->p);
}

/*
 * Either the hart, which says that it is inside before it looks at its requests, sees this one; or it is outside, and will see it
 * before it executes anything.
 */
void
system_fence(struct mhart *m, uint32_t what)
{
    request(m, what);
    while (__atomic_load_n(&m->inside, __ATOMIC_SEQ_CST) != 0 && (__atomic_load_n(&m->requests, __ATOMIC_SEQ_CST) & what) != 0) {
        sched_yield();
    }
}
