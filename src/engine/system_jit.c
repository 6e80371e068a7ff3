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
 * translations if it has changed. So nobody traces stores, or DMA. Of a hart's jump caches its fence.i leaves what lies in pages that were
 * looked at since the one before, once they are found to be the same.
 *
 * Threads: the table of pages is written holding the lock.
 */
#include "engine/machine_code.h"
#include "engine/system_impl.h"

#include "base/check.h"

#include <stdlib.h>
#include <string.h>

/* One for each way to fetch: "how" of softtlb.h; and for U several, by the space's number. */
#define HOWS 8
#define WAYS (2 * HOWS)
struct jump_cache {
    uint64_t key;          /* the fetch key that it is good for */
    bool made;
    bool local;            /* some of it is of this space alone */
    unsigned n;            /* so many are not empty: */
    uint16_t used[JUMPS];
    uint32_t page[JUMPS];  /* of RAM, that each leads to */
    struct jump at[JUMPS];
};

/* Jump caches. */
static struct jump_cache *
cache_of(struct mhart *m)
{
    const uint64_t key = m->t.fetch_key;
    const unsigned how = key >> 3 & (HOWS - 1);
    return &m->jit.caches[how == TLB_U ? HOWS + (key >> 6 & (HOWS - 1)) : how];
}

static void
empty(struct jump_cache *c)
{
    while (c->n > 0) {
        c->at[c->used[--c->n]].pc = 1;
    }
    c->local = false;
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

static void
note_page(struct mhart *m, uint64_t pc)
{
    m->jit.pages[pc >> 18 & 63] |= UINT64_C(1) << (pc >> 12 & 63);
}

/*
 * Most fences are of one page, of data. Of a space, or all: the TLB gives other numbers, so keys will differ (machine_jumps_select()); and
 * so it does where there are large pages. A kernel's own pages may be global, though.
 */
void
machine_jumps_fence(struct mhart *m, bool by_va, uint64_t va, bool by_asid)
{
    const struct tlb_large *const l = &m->t.large[va >> 63];
    if (!by_asid && m->jit.caches != NULL && (!by_va || (va >= l->first && va <= l->last))) {
        empty(&m->jit.caches[TLB_S]); /* no other outlives its key */
    }
    if (!by_va || m->jit.caches == NULL || (m->jit.pages[va >> 18 & 63] >> (va >> 12 & 63) & 1) == 0) {
        return;
    }
    memset(m->jit.pages, 0, sizeof m->jit.pages);
    for (struct jump_cache *c = m->jit.caches; c < m->jit.caches + WAYS; c++) {
        unsigned n = 0;
        for (unsigned k = 0; k < c->n; k++) {
            struct jump *const to = &c->at[c->used[k]];
            if ((to->pc ^ va) < 4096) {
                to->pc = 1;
            } else {
                note_page(m, to->pc);
                c->used[n++] = c->used[k];
            }
        }
        c->n = n;
    }
    m->h.jit_sp = m->h.jit_sp_top;
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
    struct jump_cache *const c = cache_of(m);
    if (!c->made) {
        for (unsigned k = 0; k < JUMPS; k++) {
            c->at[k].pc = 1;
        }
        c->made = true;
    }
    if (c->key != m->t.fetch_key) {
        if (c != &m->jit.caches[TLB_S] || c->local) { /* a kernel is where it is in all spaces, if it says so */
            empty(c);
        }
        c->key = m->t.fetch_key;
    } else if (m->jit.jumps == c->at) {
        return;
    }
    m->jit.jumps = c->at;
    m->h.jit_sp = m->h.jit_sp_top;
}

static void
jump_add(struct mhart *m, uint64_t pc, uint64_t place, const void *code)
{
    struct jump_cache *const c = cache_of(m);
    struct jump *const to = jump_at(c->at, pc);
    const unsigned k = (unsigned)(to - c->at);
    if (to->pc == 1) {
        c->used[c->n++] = (uint16_t)k;
    }
    c->page[k] = (uint32_t)(place / 4096);
    c->local |= !tlb_fetch_at(&m->t, pc)->global; /* place_of() has just been there */
    *to = (struct jump){pc, code};
    note_page(m, pc);
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
    machine_jumps_select(m);
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

/* Of the jumps those to pages that somebody has come to since then stay, if the pages are the same now. */
static void
look_again(struct mhart *m, struct jump_cache *c, uint64_t since)
{
    const struct machine_code *const code = m->jit.en->jit->machine;
    const struct physmap *const pm = m->sys->pm;
    unsigned n = 0;
    for (unsigned k = 0; k < c->n; k++) {
        const unsigned at = c->used[k];
        const uint64_t place = (uint64_t)c->page[at] * 4096;
        if (__atomic_load_n(&code->asked[c->page[at]], __ATOMIC_RELAXED) > since) {
            look_at_page(m->jit.en, physmap_ram(pm, pm->ram_base + place, 4096), place);
            c->used[n++] = (uint16_t)at;
        } else {
            c->at[at].pc = 1;
        }
    }
    c->n = n;
}

void
machine_jit_sync(struct mhart *m)
{
    if (m->jit.caches == NULL) {
        return;
    }
    const uint64_t since = m->jit.synced[0];
    memmove(m->jit.synced, m->jit.synced + 1, sizeof m->jit.synced - sizeof m->jit.synced[0]);
    m->jit.synced[ARRAY_LEN(m->jit.synced) - 1] = __atomic_add_fetch(&m->jit.en->jit->machine->fences, 1, __ATOMIC_SEQ_CST);
    for (unsigned w = 0; w < WAYS; w++) {
        look_again(m, &m->jit.caches[w], since);
    }
    m->h.jit_sp = m->h.jit_sp_top;
    if (m->h.seen_epoch != m->jit.en->jit->epoch) { /* one was not the same, now or when another hart looked */
        machine_jumps_flush(m);
    }
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
            struct machine_code *const c = m->jit.en->jit->machine;
            look_at_page(m->jit.en, f->host, f->place);
            __atomic_store_n(&c->asked[f->place / 4096], __atomic_load_n(&c->seen[f->place / 4096], __ATOMIC_RELAXED), __ATOMIC_RELAXED);
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
    if (__atomic_load_n(&j->machine->any[place / 4096], __ATOMIC_RELAXED) == 0) {
        return NULL; /* without a look at a table that is large and cold */
    }
    const uint32_t entry = __atomic_load_n(&j->entries[place / 2], __ATOMIC_ACQUIRE);
    return entry != 0 ? j->code + entry : NULL;
}

/* It has been there of late: the hart is inside, with its code. */
static const uint8_t *
known(struct mhart *m)
{
    struct hart *const h = &m->h;
    const struct jump *const to = jump_at(m->jit.jumps, h->pc);
    if (to->pc != h->pc || h->frm != 0 || !jit_come_in(h->engine, h)) {
        return NULL;
    }
    if (h->seen_epoch == h->engine->jit->epoch) {
        return to->code;
    }
    jit_go_out(h->engine, h);
    return NULL;
}

/* Code for h.pc, found or made, and the hart is inside; from: the exit that led here, to be chained. NULL: some was interpreted meanwhile. */
static const uint8_t *
find(struct mhart *m, uint32_t from)
{
    struct hart *const h = &m->h;
    struct engine *const en = h->engine;
    struct jit *const j = en->jit;
    const uint64_t pc = h->pc, place = place_of(m, pc);
    if (place == UINT64_MAX || h->frm != 0) {
        interpret(m, 1);
        return NULL;
    }
    if ((pc & 4095) == 4094 && insn_len(j->machine->copy[place]) == 4) { /* it lies in two pages */
        interp_switch_machine(h, 1);
        return NULL;
    }
    if (code_at(m, place) == NULL) {
        if (atomic_load(&j->flush_wanted)) {
            jit_flush_if_alone(en, h);
        }
        if (!warm(j, place) || atomic_load(&j->flush_wanted) || jit_translate(en, h, place) == NULL) {
            interpret(m, 1);
            return NULL;
        }
        __atomic_store_n(&j->machine->any[place / 4096], 1, __ATOMIC_RELAXED);
    }
    if (!jit_come_in(en, h)) {
        interpret(m, 100);
        return NULL;
    }
    const uint8_t *const code = code_at(m, place); /* as it is now that nobody flushes */
    if (code == NULL) {
        jit_go_out(en, h);
        return NULL;
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
        jump_add(m, pc, place, code);
    }
    return code;
}

void
interp_adaptive_machine(struct hart *h, int64_t budget)
{
    struct mhart *const m = mhart_of(h);
    struct engine *const en = h->engine;
    struct jit *const j = en->jit;
    const uint64_t end = h->instret + (uint64_t)budget;
    uint32_t from = 0;
    for (;;) {
        if (__atomic_load_n(&h->attention, __ATOMIC_RELAXED) != 0 || m->look || (int64_t)(end - h->instret) <= 0) {
            return;
        }
        const uint8_t *code = from < FIRST_EXIT ? known(m) : NULL;
        if (code == NULL) {
            code = find(m, from);
            from = 0;
            if (code == NULL) {
                continue;
            }
        }
        const uint64_t pc = h->pc;
        m->jit.page = pc & TLB_PAGE_MASK;
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
            const uint8_t *const now = hot != UINT64_MAX ? code_at(m, hot) : NULL;
            if (now != NULL) { /* not once more by way of the old one */
                jump_add(m, h->pc, hot, now);
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
