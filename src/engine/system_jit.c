/*
 * system_jit.c - a machine's emulation manager: as adaptive.c, for harts that translate addresses
 *
 *      pc ──TLB──► place in RAM ──► entries[place / 2] ── there is one ──► run it ──► its exit
 *                       │                 │ none
 *                       ▼                 ▼
 *              page compared       heat below hot1: interpret up to the next taken jump       at hot1: translate
 *
 * Translations belong to the machine: they are of places in RAM, not of addresses, and depend on no mode, so all harts and all address
 * spaces share them. How addresses come to places is each hart's own: jump caches, one for each way to fetch, from an address to code.
 *
 * Code that changes. As for the interpreters (system_code.c) a store invalidates nothing; translations are made from a copy of their page.
 * After a fence.i of any hart pages are suspects; whoever comes to one from another page compares it with the copy, and forgets its
 * translations if it has changed. So a hart's jump caches go at its fence.i, and nobody traces stores, or DMA.
 *
 * Threads: the table of pages is written holding the lock.
 */
#include "engine/machine_code.h"
#include "engine/system_impl.h"

#include "base/check.h"

#include <stdlib.h>
#include <string.h>

/* One for each way to fetch: enum of softtlb.h, "how". */
#define WAYS 8
struct jump_cache {
    uint64_t key;   /* the fetch key that it is good for */
    bool used;
    struct jump at[JUMPS];
};

/* Jump caches. */
static void
empty(struct jump_cache *c)
{
    if (c->used) {
        for (unsigned k = 0; k < JUMPS; k++) {
            c->at[k].pc = 1;
        }
        c->used = false;
    }
}

void
machine_jumps_flush(struct mhart *m)
{
    for (unsigned w = 0; w < WAYS && m->jit.caches != NULL; w++) {
        empty(&m->jit.caches[w]);
    }
    memset(m->jit.pages, 0, sizeof m->jit.pages);
    m->h.jit_sp = m->h.jit_sp_top;
}

/*
 * Most fences are of one page, of data. Of a space, or all: the TLB gives other numbers, so keys will differ (machine_jumps_select()); and
 * so it does where there are large pages.
 */
void
machine_jumps_fence(struct mhart *m, bool by_va, uint64_t va)
{
    if (by_va && (m->jit.pages[va >> 18 & 63] >> (va >> 12 & 63) & 1) != 0) {
        machine_jumps_flush(m);
    }
}

void
machine_jumps_select(struct mhart *m)
{
    if (m->jit.caches == NULL) {
        return;
    }
    if (m->jit.flushes != m->t.flushes) { /* numbers of spaces may mean others now */
        m->jit.flushes = m->t.flushes;
        machine_jumps_flush(m);
    }
    struct jump_cache *const c = &m->jit.caches[m->t.fetch_key >> 3 & (WAYS - 1)];
    if (c->key != m->t.fetch_key) {
        empty(c);
        c->key = m->t.fetch_key;
    } else if (m->jit.jumps == c->at) {
        return;
    }
    m->jit.jumps = c->at;
    m->h.jit_sp = m->h.jit_sp_top;
}

static void
jump_add(struct mhart *m, uint64_t pc, const void *code)
{
    struct jump_cache *const c = &m->jit.caches[m->t.fetch_key >> 3 & (WAYS - 1)];
    c->used = true;
    *jump_at(c->at, pc) = (struct jump){pc, code};
}

/* Harts. */
bool
machine_jit_prepare(struct mhart *m)
{
    m->jit.caches = calloc(WAYS, sizeof *m->jit.caches);
    m->h.engine = m->jit.en = m->sys->en;
    if (m->jit.caches == NULL || !adaptive_prepare(m->jit.en, &m->h)) {
        free(m->jit.caches);
        m->jit.caches = NULL;
        return false;
    }
    for (unsigned w = 0; w < WAYS; w++) {
        m->jit.caches[w].used = true;
        empty(&m->jit.caches[w]);
    }
    m->jit.jumps = m->jit.caches[0].at;
    m->jit.missed = machine_missed;
    m->jit.step = machine_perform;
    return true;
}

void
machine_jit_leave(struct mhart *m)
{
    if (m->jit.caches != NULL) {
        engine_hart_release(m->jit.en, &m->h);
    }
}

void
machine_jit_enter(struct mhart *m)
{
    if (m->jit.caches != NULL) {
        m->h.engine = m->jit.en;
        CHECK(adaptive_prepare(m->jit.en, &m->h)); /* it gets the shadow stack that it has just given back */
        m->jit.low = adaptive_shadow_low(&m->h);
    }
}

void
machine_jit_release(struct mhart *m)
{
    machine_jit_leave(m);
    free(m->jit.caches);
    m->jit.caches = NULL;
}

void
machine_jit_sync(struct mhart *m)
{
    if (m->jit.caches != NULL) {
        __atomic_fetch_add(&m->jit.en->jit->machine->fences, 1, __ATOMIC_SEQ_CST);
        machine_jumps_flush(m);
    }
}

/* The page at that place is what its translations were made from, or has none any more. */
static void
look_at_page(struct engine *en, const uint8_t *live, uint64_t place)
{
    struct machine_code *const c = en->jit->machine;
    uint64_t *const seen = &c->seen[place / 4096];
    const uint64_t now = __atomic_load_n(&c->fences, __ATOMIC_SEQ_CST) + 1;
    if (__atomic_load_n(seen, __ATOMIC_ACQUIRE) == now) {
        return;
    }
    pthread_mutex_lock(&en->jit->lock);
    if (*seen == 0 || memcmp(c->copy + place, live, 4096) != 0) {
        if (*seen != 0) {
            jit_forget(en, place, place + 4096, false);
        }
        memcpy(c->copy + place, live, 4096);
    }
    __atomic_store_n(seen, now, __ATOMIC_RELEASE);
    pthread_mutex_unlock(&en->jit->lock);
}

/* Where pc is in RAM, its page looked at since the last fence.i; UINT64_MAX: not in RAM, or not as a whole. Traps at pc. */
static uint64_t
place_of(struct mhart *m, uint64_t pc)
{
    struct tlb_fetch *const f = machine_fetch_entry(m, pc);
    if (f == NULL) {
        return UINT64_MAX;
    }
    if (!f->looked) {
        const struct physmap *const pm = m->sys->pm;
        const uint64_t off = f->gpa - pm->ram_base;
        f->place = physmap_ram(pm, f->gpa, 4096) != NULL ? off : UINT64_MAX;
        if (f->place != UINT64_MAX) {
            look_at_page(m->jit.en, f->host, f->place);
        }
        f->looked = true;
    }
    return f->place == UINT64_MAX ? UINT64_MAX : f->place | (pc & 4095);
}

uint32_t
machine_missed(struct hart *h)
{
    struct mhart *const m = mhart_of(h);
    struct jit *const j = h->engine->jit;
    const unsigned bytes = 1u << (m->jit.miss & 3);
    if (m->jit.va % bytes == 0 && machine_fill_quietly(m, m->jit.va, (m->jit.miss & 4) != 0)) {
        return 0;
    }
    const uint8_t *const back = *(const uint8_t *const *)(const void *)h->jit_sp;
    const struct translation *const t = jit_translation_at(j, back);
    const struct fault_point *const f = t != NULL ? jit_fault_point(t, back) : NULL;
    CHECK(f != NULL && jit_recover(h, t, m->jit.page + (t->pc & 4095), f, m->jit.regs, m->jit.xmm, NULL));
    h->jit_sp += 8;
    m->jit.left -= m->jit.rest;
    return JX_ECALL; /* the exit of that number: nothing is left to be done but to interpret */
}

/* Up to the next taken jump, or to what tier 0 does not keep. */
static void
interpret(struct mhart *m, int64_t budget)
{
    m->h.engine->jit->stats.interp_runs++;
    m->entry = budget;
    if (!machine_enter(m, m->h.pc)) {
        interp_switch_machine(&m->h, budget < 64 ? 64 : budget);
    } else {
        interp_threaded_machine(&m->h, budget);
    }
    machine_settle(m);
}

static bool
warm(struct jit *j, uint64_t place)
{
    uint16_t *const heat = heat_of(j, place);
    if (*heat < j->hot1) {
        ++*heat;
        return false;
    }
    return true;
}

/* A translation of what is at pc, which is there in RAM: its code, or NULL. */
static const uint8_t *
code_at(struct mhart *m, uint64_t place)
{
    struct jit *const j = m->h.engine->jit;
    const uint32_t entry = __atomic_load_n(&j->entries[place / 2], __ATOMIC_ACQUIRE);
    return entry != 0 ? j->code + entry : NULL;
}

void
interp_adaptive_machine(struct hart *h, int64_t budget)
{
    struct mhart *const m = mhart_of(h);
    struct engine *const en = h->engine;
    struct jit *const j = en->jit;
    const uint64_t end = h->instret + (uint64_t)budget;
    uint32_t from = 0; /* the exit that we came out of, to be chained */
    for (;;) {
        if (__atomic_load_n(&h->attention, __ATOMIC_RELAXED) != 0 || m->look || (int64_t)(end - h->instret) <= 0) {
            return;
        }
        const uint64_t pc = h->pc, place = place_of(m, pc);
        if (place == UINT64_MAX || h->frm != 0) {
            interpret(m, 1);
            continue;
        }
        if ((pc & 4095) == 4094 && insn_len(en->jit->machine->copy[place]) == 4) { /* it lies in two pages */
            interp_switch_machine(h, 1);
            continue;
        }
        if (code_at(m, place) == NULL) {
            if (atomic_load(&j->flush_wanted)) {
                jit_flush_if_alone(en, h);
            }
            if (!warm(j, place) || atomic_load(&j->flush_wanted) || jit_translate(en, h, place) == NULL) {
                from = 0;
                interpret(m, 1);
                continue;
            }
        }
        if (!jit_come_in(en, h)) {
            interpret(m, 100);
            continue;
        }
        const uint8_t *const code = code_at(m, place); /* as it is now that nobody flushes */
        if (code == NULL) {
            jit_go_out(en, h);
            from = 0;
            continue;
        }
        if (h->seen_epoch != j->epoch) {
            h->seen_epoch = j->epoch;
            machine_jumps_flush(m);
            from = 0;
        }
        if (from >= FIRST_EXIT) {
            pthread_mutex_lock(&j->lock);
            struct translation *const t = jit_find(j, place);
            if (t != NULL && from < j->n_exits && j->exits[from].pc == place && j->exits[from].slot != NULL) {
                jit_chain(j, from, t);
            }
            pthread_mutex_unlock(&j->lock);
        } else {
            jump_add(m, pc, code);
        }
        m->jit.page = pc & TLB_PAGE_MASK;
        m->jit.pages[pc >> 18 & 63] |= UINT64_C(1) << (pc >> 12 & 63);
        m->jit.left = (int64_t)(end - h->instret);
        m->entry = m->jit.left;
        from = j->enter(h, code);
        const struct jexit x = j->exits[from];
        m->jit.left -= x.rest;
        machine_count(m, m->jit.left);
        jit_go_out(en, h);
        j->stats.exits[x.kind]++;
        if (from >= FIRST_EXIT) {
            h->pc = m->jit.page | (x.pc & 4095);
            fstate_settle(h, x.nan, x.single);
        }
        switch ((enum jexit_kind)x.kind) {
        case JX_INDIRECT:
        case JX_CHAIN:
            break;
        case JX_HOT: {
            from = 0;
            const uint64_t hot = place_of(m, h->pc);
            const struct translation *const t = hot != UINT64_MAX ? jit_find(j, hot) : NULL;
            if (t != NULL && t->tier == 1) {
                jit_optimise(en, h, hot);
            }
            break;
        }
        case JX_ECALL: /* machine_missed(), machine_perform() */
        case JX_INTERP:
        case JX_EBREAK:
        case JX_ILLEGAL:
        case JX_FENCE_I:
            from = 0;
            interp_switch_machine(h, 1);
            break;
        case JX_POLL:
        case JX_JUMPED:
        case JX_COUNT:
            from = 0;
            break;
        }
    }
}
