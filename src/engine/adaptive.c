/*
 * adaptive.c - the emulation manager: interpret what is cold, translate what is warm, optimise what is hot
 *
 *      entries[pc / 2] ── there is one ──► run it ──► its exit: chain, count run out, attention, system call, …
 *            │ none
 *            ▼
 *      heat[pc] below hot1: interpret up to the next taken jump          at hot1: translate the block (tier 1)
 *
 * A tier-1 block counts down; at its end a region is grown around it (tier 2), which takes its place.
 */
#include "engine/hle.h"
#include "engine/keep.h"
#include "engine/lockstep.h"
#include "engine/profile.h"

#include "base/check.h"
#include "engine/fp_ops.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>

#define PAGE 4096
#define SHADOWS_MAX 16 /* kept for harts to come */

/* The guard page at the end of the shadow stack with that top. */
static char *
shadow_guard(const char *top)
{
    return (char *)(((uintptr_t)top | (PAGE - 1)) + 1) - SHADOW_BYTES - PAGE;
}

static void
shadow_free(const struct engine *en, char *top)
{
    if (top != en->first_shadow) {
        munmap(shadow_guard(top), SHADOW_BYTES + PAGE);
    }
}

/* The hart's shadow stack and what translated code finds at it. At the top lies an address that no return has. */
bool
adaptive_prepare(struct engine *en, struct hart *h)
{
    struct jit *j = en->jit;
    pthread_mutex_lock(&j->lock);
    char *top = en->shadows;
    if (top != NULL) {
        memcpy(&en->shadows, top, sizeof en->shadows);
        en->n_shadows--;
    }
    pthread_mutex_unlock(&j->lock);
    if (top == NULL) {
        char *p = mmap(NULL, SHADOW_BYTES + PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (p == MAP_FAILED) {
            return false;
        }
        mprotect(p, PAGE, PROT_NONE); /* its end: engine_fault() starts afresh there */
        top = p + SHADOW_BYTES + PAGE - 64;
    }
    if (j->lockstep != NULL && !lockstep_hart_begins(en, h)) {
        shadow_free(en, top);
        return false;
    }
    h->jit_sp_top = top;
    h->jit_sp = h->jit_sp_top;
    *(uint64_t *)(void *)(h->jit_sp_top + 8) = 1;
    *(uint64_t *)(void *)h->jit_sp_top = (uint64_t)(uintptr_t)j->return_odd;
    h->jit_entries = j->entries;
    h->jit_code = j->code;
    h->jit_hle = hle_routines(j);
    h->jit_top = GUEST_TOP;
    h->guest_base = en->cfg.guest_base;
    h->jit_flags_of = j->flags_of;
    h->jit_ecall = adaptive_ecall;
    h->jit_nan[IRF_S] = UINT64_C(0xffffffff7fc00000);
    h->jit_nan[IRF_D] = UINT64_C(0x7ff8000000000000);
    pthread_mutex_lock(&j->lock);
    h->jit_next = en->harts;
    en->harts = h;
    h->seen_epoch = j->epoch;
    if (j->profile != NULL) {
        profile_hart_begins(en, h);
    }
    pthread_mutex_unlock(&j->lock);
    return true;
}

/* Where a machine's translated code is to begin it afresh, with some room for calls. */
const char *
adaptive_shadow_low(const struct hart *h)
{
    return shadow_guard(h->jit_sp_top) + 2 * PAGE;
}

void
engine_hart_copied(struct hart *h)
{
    h->engine->had_more = true;
    h->jit_sp_top = NULL;
    h->jit_next = NULL;
    h->jit_inside = 0;
    h->inside = 0;
    h->interpret = 0;
    h->profile = NULL;
    h->check = NULL;
}

void
engine_hart_release(struct engine *en, struct hart *h)
{
    if (en->jit == NULL || h->jit_sp_top == NULL) {
        return;
    }
    pthread_mutex_lock(&en->jit->lock);
    for (struct hart **at = &en->harts; *at != NULL; at = &(*at)->jit_next) {
        if (*at == h) {
            *at = h->jit_next;
            break;
        }
    }
    if (en->jit->profile != NULL) {
        profile_hart_ends(en, h);
    }
    lockstep_hart_ends(h);
    const bool keep = en->n_shadows < SHADOWS_MAX || h->jit_sp_top == en->first_shadow;
    if (keep) {
        memcpy(h->jit_sp_top, &en->shadows, sizeof en->shadows);
        en->shadows = h->jit_sp_top;
        en->n_shadows++;
    }
    pthread_mutex_unlock(&en->jit->lock);
    if (!keep) {
        shadow_free(en, h->jit_sp_top);
    }
    h->jit_sp_top = NULL;
}

void
jit_shadows_free(struct engine *en)
{
    while (en->shadows != NULL) {
        char *const top = en->shadows;
        memcpy(&en->shadows, top, sizeof en->shadows);
        shadow_free(en, top);
    }
    en->n_shadows = 0;
}

void
jit_kick(struct engine *en)
{
    for (struct hart *h = en->harts; h != NULL; h = h->jit_next) {
        __atomic_store_n(&h->attention, ATTENTION, __ATOMIC_SEQ_CST);
    }
}

static void
lock(struct jit *j, struct hart *h)
{
    pthread_mutex_lock(&j->lock);
    j->owner = h;
}

static void
unlock(struct jit *j)
{
    j->owner = NULL;
    pthread_mutex_unlock(&j->lock);
}

HOT bool
adaptive_landed(struct hart *h)
{
    struct jit *j = h->engine->jit;
    if (j->profile != NULL) {
        profile_landed(h->engine, h, ((const struct landing *)h->landing)->ex.kind);
    }
    if (h->check != NULL) {
        struct landing *land = h->landing;
        if (!lockstep_end(h, false, land->ex.kind == EXIT_FAULT ? &land->ex : NULL)) {
            land->ex = (struct engine_exit){.kind = EXIT_DIFFERS};
        }
    }
    if (j->owner != h) {
        return false;
    }
    h->interpret = 1;
    unlock(j);
    return true;
}

static void
want_flush(struct engine *en)
{
    atomic_store(&en->jit->flush_wanted, true);
    jit_kick(en);
}

/* The cache is full and nobody is in it any more: start afresh. */
void
jit_flush_if_alone(struct engine *en, struct hart *h)
{
    struct jit *j = en->jit;
    lock(j, h);
    bool alone = atomic_load(&j->flush_wanted);
    for (const struct hart *o = en->harts; o != NULL && alone; o = o->jit_next) {
        alone = __atomic_load_n(&o->jit_inside, __ATOMIC_SEQ_CST) == 0;
    }
    if (alone) {
        jit_flush(en);
        atomic_store(&j->flush_wanted, false);
    }
    unlock(j);
}

/* Around the use of anything that a flush takes away: entries, exits, code. */
HOT void
jit_go_out(struct engine *en, struct hart *h)
{
    __atomic_store_n(&h->jit_inside, 0, __ATOMIC_RELEASE);
    if (atomic_load_explicit(&en->jit->flush_wanted, memory_order_relaxed)) {
        jit_flush_if_alone(en, h);
    }
}

HOT bool
jit_come_in(struct engine *en, struct hart *h)
{
    inside_set(en, &h->jit_inside);
    if (!atomic_load(&en->jit->flush_wanted)) {
        return true;
    }
    jit_go_out(en, h);
    return false;
}

/* Up to the next taken jump, in tier 0; does not come back. */
static _Noreturn void
interpret(struct hart *h, int64_t budget)
{
    struct landing *land = h->landing;
    land->again = true;
    h->engine->jit->stats.interp_runs++;
    if (h->engine->jit->profile != NULL) {
        profile_step(h->engine, h);
        interp_switch(h, 1);
        __builtin_unreachable();
    }
    if (h->engine->cfg.guest_base == 0) {
        interp_threaded_base0(h, budget);
    } else {
        interp_threaded(h, budget);
    }
    __builtin_unreachable();
}

/* Code at pc has been asked for once more: is it warm now? */
static bool
warm(struct engine *en, uint64_t pc)
{
    struct jit *j = en->jit;
    uint16_t *heat = heat_of(j, pc);
    /* In one operation: a fresh page that is first read, and then written, takes two page faults. */
    const uint16_t was = __atomic_fetch_add(heat, 1, __ATOMIC_RELAXED);
    if (was == 0 && code_page_is_exec(en, pc)) { /* so does its slot, which is about to be read, found empty, and written */
        __atomic_fetch_or((uint32_t *)slot_of(en, pc), 0, __ATOMIC_RELAXED);
    }
    if (was >= j->hot1) {
        *heat = (uint16_t)j->hot1;
        return true;
    }
    return false;
}

static uint8_t
flags_of(const struct engine *en, uint64_t pc)
{
    return __atomic_load_n(&en->page_flags[pc / PAGE], __ATOMIC_RELAXED);
}

/* The place is one whose translations are kept: is there one to be had? */
static bool
load(struct engine *en, struct hart *h, uint64_t pc)
{
    struct jit *j = en->jit;
    if ((flags_of(en, pc) & PAGE_KEPT) == 0 || keep_has_none(j, pc) || atomic_load(&j->flush_wanted)) {
        return false;
    }
    lock(j, h);
    h->in_guest = GUEST_FETCHING;
    j->no_room = false;
    const bool there = ((flags_of(en, pc) & PAGE_TRANSLATED) && jit_find(j, pc) != NULL) || keep_load(en, pc) != NULL;
    h->in_guest = GUEST_RUNNING;
    if (!there && j->no_room) {
        want_flush(en);
    }
    unlock(j);
    return there;
}

/* A translation of the block at pc; NULL if there is none to be had. */
struct translation *
jit_translate(struct engine *en, struct hart *h, uint64_t pc)
{
    struct jit *j = en->jit;
    lock(j, h);
    struct translation *t = flags_of(en, pc) & PAGE_TRANSLATED ? jit_find(j, pc) : NULL; /* as above, of entries */
    if (t == NULL) {
        h->in_guest = GUEST_FETCHING;
        const bool there = region_block(en, h, pc);
        h->in_guest = GUEST_RUNNING;
        if (there) {
            lockstep_note(en, j->region);
            t = jit_lower(en, j->region);
            if (t == NULL && j->no_room) {
                want_flush(en);
            }
        }
        if (t == NULL) { /* do not try at once again */
            *heat_of(j, pc) = 0;
        }
    }
    unlock(j);
    return t;
}

void
jit_optimise(struct engine *en, struct hart *h, uint64_t pc)
{
    struct jit *j = en->jit;
    lock(j, h);
    struct translation *old = jit_find(j, pc), *t = NULL;
    if (old != NULL && old->tier == 1) {
        __atomic_store_n(old->counter, INT32_MAX, __ATOMIC_RELAXED);
        h->in_guest = GUEST_FETCHING;
        const bool there = (j->opts & IROPT_REGIONS) != 0 && region_grow(en, h, old);
        h->in_guest = GUEST_RUNNING;
        if (there) {
            lockstep_note(en, j->region);
            t = jit_lower(en, j->region);
            if (t != NULL) {
                jit_rechain(j, old, t);
                if (j->machine != NULL) { /* who still comes to it by a jump cache is to hear of the other */
                    __atomic_store_n(old->counter, 0, __ATOMIC_RELAXED);
                }
            } else if (j->no_room) {
                want_flush(en);
            }
        }
    }
    j->stats.hot++;
    unlock(j);
}

/*
 * A synced call-out: the owner executes what it can from here, and translated code goes on without all that coming in costs. What
 * may block, or change code, happens outside as far as others can see: they may flush the cache meanwhile, trampolines excepted.
 */
HOT uint32_t
adaptive_ecall(struct hart *h)
{
    struct engine *en = h->engine;
    const uint64_t pc = h->pc;
    if (h->check != NULL) {
        if (!lockstep_end(h, false, NULL)) {
            return CALLOUT_LEAVE;
        }
        lockstep_look(h);
    }
    if (en->cfg.ecall_brief == NULL) {
        return CALLOUT_ECALL;
    }
    if (!en->cfg.ecall_brief(h)) {
        const uint64_t epoch = en->jit->epoch;
        __atomic_store_n(&h->jit_inside, 0, __ATOMIC_RELEASE);
        __atomic_store_n(&h->inside, 0, __ATOMIC_RELEASE);
        const bool done = en->cfg.ecall(h);
        __atomic_store_n(&h->inside, 1, __ATOMIC_RELAXED);
        inside_set(en, &h->jit_inside);
        if (!done) {
            return CALLOUT_ECALL;
        }
        if (atomic_load(&en->jit->flush_wanted) || en->jit->epoch != epoch) {
            return CALLOUT_LEAVE;
        }
    }
    if (h->attention != 0 || h->pc == pc) {
        return CALLOUT_LEAVE;
    }
    if (h->check != NULL) {
        lockstep_begin(h);
    }
    return CALLOUT_BACK;
}

/* A young child whose maker had counted nearly to the end: it has not run this often itself. */
static void
put_off(struct jit *j, uint64_t pc)
{
    const struct translation *t = jit_find(j, pc);
    if (t != NULL && t->tier == 1) {
        __atomic_store_n(t->counter, j->hot2 / 4, __ATOMIC_RELAXED);
    }
    jit_wish(j, pc);
    j->young -= j->young < 40 ? j->young : 40; /* ten of these, and it is grown up */
}

static bool
chains(const struct jit *j)
{
    return j->lockstep == NULL || j->lockstep->border;
}

void
engine_shares_memory(struct engine *en)
{
    if (en->jit != NULL && en->jit->lockstep != NULL) {
        en->jit->lockstep->shared = true;
    }
}

/* Within engine_run, as guest code is read. */
static void
grant_wishes(struct engine *en, struct hart *h)
{
    struct jit *j = en->jit;
    bool any = false;
    j->has_forked = false;
    unsigned at = 0;
    for (uint64_t pc; (pc = jit_wish_next(j, &at)) != 0 && !atomic_load(&j->flush_wanted);) {
        const struct translation *t = jit_find(j, pc);
        if (t == NULL) {
            any |= pc < GUEST_TOP && (load(en, h, pc) || jit_translate(en, h, pc) != NULL);
        } else if (t->tier == 1 && __atomic_load_n(t->counter, __ATOMIC_RELAXED) < j->hot2 / 4) {
            jit_optimise(en, h, pc);
            any = true;
        }
    }
    if (any && chains(j)) {
        lock(j, h);
        jit_chain_all(j);
        unlock(j);
    }
}

HOT void
interp_adaptive(struct hart *h, int64_t budget)
{
    struct engine *en = h->engine;
    struct jit *j = en->jit;
    uint32_t from = 0; /* the exit that we came out of, to be chained */
    if (budget < INT64_MAX / 2 || h->jit_sp_top == NULL) {
        if (en->cfg.guest_base == 0) { /* who counts gets the interpreter, and the one whose slots these are */
            interp_threaded_base0(h, budget);
        } else {
            interp_threaded(h, budget);
        }
    }
    if (h->interpret != 0) {
        h->interpret = 0;
        interpret(h, 1);
    }
    if (j->has_forked && h->frm == 0) {
        grant_wishes(en, h);
    }
    for (;;) {
        if (h->attention != 0) {
            interp_leave_poll(h);
        }
        const uint64_t pc = h->pc;
        if (h->frm != 0) {
            interpret(h, 1000);
        }
        /* Where nothing has been translated, looking would make a page of the table real. */
        uint32_t entry = pc < GUEST_TOP && flags_of(en, pc) & PAGE_TRANSLATED ? __atomic_load_n(&j->entries[pc / 2], __ATOMIC_ACQUIRE) : 0;
        if (entry == 0 && pc < GUEST_TOP && j->young > 0) {
            jit_wish(j, pc);
        }
        if (entry == 0 && (pc >= GUEST_TOP || j->young > 0 || !load(en, h, pc))) {
            if (pc >= GUEST_TOP || !warm(en, pc)) {
                interpret(h, 1);
            }
            if (atomic_load(&j->flush_wanted)) {
                jit_flush_if_alone(en, h);
            }
            if (atomic_load(&j->flush_wanted)) {
                interpret(h, 1);
            }
            struct translation *t = jit_translate(en, h, pc);
            if (t == NULL) {
                interpret(h, 1);
            }
        }
        if (!jit_come_in(en, h)) {
            interpret(h, 100);
        }
        if (h->check != NULL) {
            lockstep_look(h);
        }
        entry = __atomic_load_n(&j->entries[pc / 2], __ATOMIC_ACQUIRE); /* as it is now that nobody flushes */
        if (entry == 0) {
            jit_go_out(en, h);
            from = 0;
            continue;
        }
        if (from != 0 && j->young == 0 && chains(j)) {
            lock(j, h);
            struct translation *t = jit_find(j, pc);
            if (t != NULL && from < j->n_exits /* no flush since */ && j->exits[from].pc == pc && j->exits[from].slot != NULL) {
                jit_chain(j, from, t);
            }
            unlock(j);
        }
        if (h->seen_epoch != j->epoch) {
            h->seen_epoch = j->epoch;
            h->jit_sp = h->jit_sp_top;
        }
        if (h->check != NULL) {
            lockstep_begin(h);
        }
        h->in_guest = GUEST_TRANSLATED;
        from = j->enter(h, j->code + entry);
        h->in_guest = GUEST_RUNNING;
        const struct jexit x = j->exits[from];
        if (j->profile != NULL) {
            profile_left(en, h, from);
        }
        jit_go_out(en, h);
        if (from >= FIRST_EXIT && x.kind != JX_JUMPED) {
            h->pc = x.pc;
            fstate_settle(h, x.nan, x.single);
        }
        if (h->check != NULL && !lockstep_end(h, x.kind == JX_INTERP, NULL)) {
            interp_leave(h, EXIT_DIFFERS, 0);
        }
        j->stats.exits[x.kind]++;
        /* The two usual ones first: the switch's table is a page that a child of fork would have to map. */
        if (x.kind == JX_INDIRECT || x.kind == JX_CHAIN) {
            continue;
        }
        if (x.kind == JX_ECALL) { /* often enough to spare the jump out */
            ((struct landing *)h->landing)->ex = (struct engine_exit){.kind = EXIT_ECALL};
            return;
        }
        switch ((enum jexit_kind)x.kind) {
        case JX_INDIRECT:
        case JX_CHAIN:
        case JX_ECALL:
            break;
        case JX_POLL:
        case JX_JUMPED:
        case JX_COUNT:
            from = 0;
            break;
        case JX_HOT:
            if (j->young > 0) {
                put_off(j, h->pc);
            } else {
                jit_optimise(en, h, h->pc);
            }
            from = 0;
            break;
        case JX_INTERP:
            interpret(h, 1);
        case JX_EBREAK:
            interp_leave(h, EXIT_EBREAK, 0);
        case JX_ILLEGAL:
        case JX_FENCE_I:
            interpret(h, 1); /* it knows the rest */
        }
    }
}

/* The hart is as it was before the call, whose address is on the stack. */
static bool
routine_faulted(struct hart *h, const uint64_t *regs)
{
    struct jit *j = h->engine->jit;
    const struct translation *t = jit_translation_at(j, *(const uint8_t *const *)(uintptr_t)regs[RSP]);
    if (t == NULL) {
        return false;
    }
    for (unsigned g = 0; g < 32; g++) {
        if (std_map.x[g] != NO_REG) {
            h->x[g] = regs[std_map.x[g]];
        }
    }
    h->pc = t->pc;
    h->ip = NULL;
    h->jit_sp = (char *)(uintptr_t)regs[RSP] + 8;
    h->interpret = 1;
    __atomic_store_n(&h->jit_inside, 0, __ATOMIC_RELEASE);
    j->stats.hle_faults++;
    return true;
}

const struct fault_point *
jit_fault_point(const struct translation *t, const uint8_t *at)
{
    const uint32_t off = (uint32_t)(at - t->code);
    uint32_t lo = 0, hi = t->n_faults;
    while (lo < hi) {
        const uint32_t mid = (lo + hi) / 2;
        if (t->faults[mid].off < off) {
            lo = mid + 1;
        } else {
            hi = mid;
        }
    }
    return lo == t->n_faults || t->faults[lo].off != off ? NULL : &t->faults[lo];
}

/* xmm: 16 bytes each; high: xmm16 and up, 64 bytes each, NULL if all are 0 */
bool
jit_recover(struct hart *h, const struct translation *t, uint64_t at_pc, const struct fault_point *f, const uint64_t *regs, const void *xmm,
            const void *high)
{
    for (unsigned g = 0; g < 32; g++) {
        if (t->map->x[g] != NO_REG) {
            h->x[g] = regs[t->map->x[g]];
        }
        if (t->map->f[g] != NO_REG && (f->dirty >> g & 1)) {
            const int home = t->map->f[g];
            if (home < 16) {
                memcpy(&h->f[g], (const char *)xmm + 16 * home, 8);
            } else if (high != NULL) {
                memcpy(&h->f[g], (const char *)high + 64 * (home - 16), 8);
            } else {
                h->f[g] = 0;
            }
        }
    }
    if (f->recipe != 0 && !late_recover(h, t, at_pc, f->recipe, regs)) {
        return false;
    }
    fstate_settle(h, f->nan, f->single);
    h->pc = at_pc + (uint64_t)(int64_t)f->delta;
    return true;
}

/* xmm16 to xmm31 in a signal's frame; NULL: they are all 0, and XSAVE did not write them. */
static const void *
high_registers(const struct jit *j, const ucontext_t *uc)
{
    const char *const area = (const char *)uc->uc_mcontext.fpregs;
    struct { uint32_t magic, size; uint64_t features; } sw; /* the kernel's words at the end of FXSAVE's area; then XSAVE's header */
    uint64_t there;
    memcpy(&sw, area + 464, sizeof sw);
    memcpy(&there, area + 512, sizeof there);
    return j->high && sw.magic == 0x46505853 && (there & sw.features) >> 7 & 1 ? area + j->high_at : NULL;
}

/*
 * A fault in translated code, with the host's registers as they were. Makes the hart exact and returns true if the
 * fault is the guest's; h->interpret: the interpreter is to do the instruction again, and find out. *resume if the code can just go on.
 */
bool
adaptive_fault(struct hart *h, void *ucontext, uint64_t host_addr, bool *resume)
{
    static const uint8_t gregs[16] = {REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP, REG_RSI, REG_RDI,
                                      REG_R8,  REG_R9,  REG_R10, REG_R11, REG_R12, REG_R13, REG_R14, REG_R15};
    const ucontext_t *uc = ucontext;
    struct jit *j = h->engine->jit;
    uint8_t *const rip = (uint8_t *)(uintptr_t)uc->uc_mcontext.gregs[REG_RIP];
    *resume = false;
    const char *bottom = shadow_guard(h->jit_sp_top);
    if (host_addr - (uint64_t)(uintptr_t)bottom < PAGE) { /* the shadow stack is full: forget it */
        ((ucontext_t *)ucontext)->uc_mcontext.gregs[REG_RSP] = (greg_t)(uintptr_t)h->jit_sp_top;
        *resume = true;
        return false;
    }
    uint64_t regs[16];
    for (unsigned k = 0; k < 16; k++) {
        regs[k] = (uint64_t)uc->uc_mcontext.gregs[gregs[k]];
    }
    if (hle_is_at(rip)) {
        return routine_faulted(h, regs);
    }
    const struct translation *t = jit_translation_at(j, rip);
    if (t == NULL) {
        return false;
    }
    const struct fault_point *const f = jit_fault_point(t, rip);
    if (f == NULL || !jit_recover(h, t, t->pc, f, regs, uc->uc_mcontext.fpregs->_xmm, high_registers(j, uc))) {
        return false;
    }
    h->interpret = f->again;
    h->ip = NULL;
    h->jit_sp = (char *)(uintptr_t)uc->uc_mcontext.gregs[REG_RSP];
    __atomic_store_n(&h->jit_inside, 0, __ATOMIC_RELEASE);
    j->stats.faults++;
    if (j->profile != NULL) {
        profile_faulted(h->engine, h, t);
    }
    return true;
}
