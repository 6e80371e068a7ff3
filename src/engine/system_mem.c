/*
 * system_mem.c - a machine's loads and stores that the software TLB does not answer
 *
 * Privileged ISA, "Memory-Management Fence", "Physical Memory Protection"; misaligned accesses work in RAM, across pages,
 * too (Zicclsm), and are what the device says elsewhere: as a rule an access fault. Atomics want RAM, and alignment.
 */
#include "engine/system_impl.h"

#include <string.h>

typedef uint16_t __attribute__((may_alias, aligned(1))) ram16;
typedef uint32_t __attribute__((may_alias, aligned(1))) ram32;
typedef uint64_t __attribute__((may_alias, aligned(1))) ram64;

static struct walk
walk_of(struct mhart *m, unsigned mode)
{
    const struct priv *p = &m->p;
    return (struct walk){
        .pm = m->sys->pm,
        .pmp = &m->pmp,
        .satp = p->satp,
        .mode = (uint8_t)mode,
        .sum = (p->mstatus & MSTATUS_SUM) != 0,
        .mxr = (p->mstatus & MSTATUS_MXR) != 0,
        .adue = (p->menvcfg & ENVCFG_ADUE) != 0,
        .pbmte = (p->menvcfg & ENVCFG_PBMTE) != 0,
        .napot = (m->h.exts & EXT_BIT(SVNAPOT)) != 0,
    };
}

/* mcause of a failed access. */
static uint64_t
cause_of(enum walk_result r, enum walk_access a)
{
    static const uint8_t page[] = {TRAP_LOAD_PAGE, TRAP_STORE_PAGE, TRAP_FETCH_PAGE};
    static const uint8_t access[] = {TRAP_LOAD_ACCESS, TRAP_STORE_ACCESS, TRAP_FETCH_ACCESS};
    return r == WALK_PAGE_FAULT ? page[a] : access[a];
}

/* Translate va for a load or store of `bytes` inside one page, and check. */
static enum walk_result
find(struct mhart *m, uint64_t va, unsigned bytes, enum walk_access a, struct walk_to *to)
{
    const unsigned mode = priv_data_mode(&m->p);
    const struct walk w = walk_of(m, mode);
    const enum walk_result r = walk(&w, va, a, to);
    m->stats.walks++;
    if (r == WALK_OK && !pmp_allows(&m->pmp, mode == PRIV_M, to->gpa, bytes, a == WALK_STORE ? PMP_W : PMP_R)) {
        return WALK_ACCESS_FAULT;
    }
    return r;
}

/* The same; traps as `as`. */
static struct walk_to
translate(struct mhart *m, uint64_t va, unsigned bytes, enum walk_access a, enum walk_access as)
{
    struct walk_to to;
    const enum walk_result r = find(m, va, bytes, a, &to);
    if (r != WALK_OK) {
        machine_trap(m, cause_of(r, as), va);
    }
    return to;
}

/* A debugger may wait for it. */
static void
look(struct mhart *m, uint64_t va, const struct walk_to *to, unsigned bytes, bool load, bool store)
{
    if (m->sys->debug != NULL) {
        machine_watch_access(m, va, to->gpa, bytes, load, store);
    }
}

/* Make entries for the page, if it is RAM and all of it may be accessed alike. */
static bool
fill(struct mhart *m, uint64_t va, const struct walk_to *to, bool store)
{
    const uint64_t page = va & TLB_PAGE_MASK;
    uint8_t *const host = physmap_ram(m->sys->pm, to->gpa & TLB_PAGE_MASK, 4096);
    const int may = pmp_page(&m->pmp, priv_data_mode(&m->p) == PRIV_M, to->gpa);
    if (host == NULL || may < 0 || (m->sys->debug != NULL && machine_watches_page(m, va, to->gpa))) {
        return false;
    }
    physmap_warm(m->sys->pm, to->gpa);
    const struct tlb_entry e = {page | m->t.data_key, (uint64_t)(uintptr_t)host - page};
    if (to->load && (may & PMP_R) != 0) {
        m->t.load[tlb_index(va)] = e;
    }
    if (to->store && (may & PMP_W) != 0) {
        m->t.store[tlb_index(va)] = e;
    }
    if (to->page_bytes > 4096 && to->page_bytes != UINT64_MAX) {
        softtlb_large(&m->t, va, to->page_bytes);
    }
    return store ? m->t.store[tlb_index(va)].tag == e.tag : m->t.load[tlb_index(va)].tag == e.tag;
}

bool
machine_fill(struct mhart *m, uint64_t va, bool store)
{
    const struct walk_to to = translate(m, va, 1, store ? WALK_STORE : WALK_LOAD, store ? WALK_STORE : WALK_LOAD);
    return fill(m, va, &to, store);
}

bool
machine_fill_quietly(struct mhart *m, uint64_t va, bool store)
{
    struct walk_to to;
    return find(m, va, 1, store ? WALK_STORE : WALK_LOAD, &to) == WALK_OK && fill(m, va, &to, store);
}

static bool
crosses(uint64_t va, unsigned bytes)
{
    return (va & 4095) + bytes > 4096;
}

uint64_t
machine_load(struct mhart *m, uint64_t va, unsigned bytes)
{
    uint64_t v = 0;
    if (crosses(va, bytes)) {
        /* Both pages are asked before either is read: a device would notice. */
        const unsigned first = 4096 - (va & 4095);
        struct walk_to part[2] = {translate(m, va, first, WALK_LOAD, WALK_LOAD), {0}};
        part[1] = translate(m, va + first, bytes - first, WALK_LOAD, WALK_LOAD);
        look(m, va, &part[0], first, true, false);
        look(m, va + first, &part[1], bytes - first, true, false);
        const void *a = physmap_ram(m->sys->pm, part[0].gpa, first), *b = physmap_ram(m->sys->pm, part[1].gpa, bytes - first);
        if (a == NULL || b == NULL) {
            machine_trap(m, TRAP_LOAD_ACCESS, a == NULL ? va : va + first);
        }
        memcpy(&v, a, first);
        memcpy((char *)&v + first, b, bytes - first);
        return v;
    }
    const struct walk_to to = translate(m, va, bytes, WALK_LOAD, WALK_LOAD);
    look(m, va, &to, bytes, true, false);
    const void *const ram = physmap_ram(m->sys->pm, to.gpa, bytes);
    if (ram == NULL) {
        m->stats.io++;
        if (!physmap_io_read(m->sys->pm, to.gpa, bytes, &v)) {
            machine_trap(m, TRAP_LOAD_ACCESS, va);
        }
        return v;
    }
    fill(m, va, &to, false);
    switch (bytes) {
    case 1:
        return *(const volatile uint8_t *)ram;
    case 2:
        return *(const volatile ram16 *)ram;
    case 4:
        return *(const volatile ram32 *)ram;
    default:
        return *(const volatile ram64 *)ram;
    }
}

void
machine_store(struct mhart *m, uint64_t va, unsigned bytes, uint64_t v)
{
    if (crosses(va, bytes)) {
        const unsigned first = 4096 - (va & 4095);
        struct walk_to part[2] = {translate(m, va, first, WALK_STORE, WALK_STORE), {0}};
        part[1] = translate(m, va + first, bytes - first, WALK_STORE, WALK_STORE);
        look(m, va, &part[0], first, false, true);
        look(m, va + first, &part[1], bytes - first, false, true);
        void *a = physmap_ram(m->sys->pm, part[0].gpa, first), *b = physmap_ram(m->sys->pm, part[1].gpa, bytes - first);
        if (a == NULL || b == NULL) {
            machine_trap(m, TRAP_STORE_ACCESS, a == NULL ? va : va + first);
        }
        memcpy(a, &v, first);
        memcpy(b, (char *)&v + first, bytes - first);
        return;
    }
    const struct walk_to to = translate(m, va, bytes, WALK_STORE, WALK_STORE);
    look(m, va, &to, bytes, false, true);
    void *const ram = physmap_ram(m->sys->pm, to.gpa, bytes);
    if (ram == NULL) {
        m->stats.io++;
        if (!physmap_io_write(m->sys->pm, to.gpa, bytes, v)) {
            machine_trap(m, TRAP_STORE_ACCESS, va);
        }
        return;
    }
    fill(m, va, &to, true);
    switch (bytes) {
    case 1:
        *(volatile uint8_t *)ram = (uint8_t)v;
        break;
    case 2:
        *(volatile ram16 *)ram = (uint16_t)v;
        break;
    case 4:
        *(volatile ram32 *)ram = (uint32_t)v;
        break;
    default:
        *(volatile ram64 *)ram = v;
        break;
    }
}

void *
machine_atomic(struct mhart *m, uint64_t va, unsigned bytes, bool store)
{
    const enum walk_access a = store ? WALK_STORE : WALK_LOAD;
    if (va % bytes != 0) {
        machine_trap(m, store ? TRAP_STORE_MISALIGNED : TRAP_LOAD_MISALIGNED, va);
    }
    const struct walk_to to = translate(m, va, bytes, a, a);
    look(m, va, &to, bytes, true, store);
    void *const ram = physmap_ram(m->sys->pm, to.gpa, bytes);
    if (ram == NULL) {
        machine_trap(m, store ? TRAP_STORE_ACCESS : TRAP_LOAD_ACCESS, va);
    }
    fill(m, va, &to, store);
    return ram;
}

void
machine_cbo(struct mhart *m, uint64_t va)
{
    /* Whatever may be loaded (W without R does not exist) may be managed; who may not is told as of a store. */
    const struct walk_to to = translate(m, va, 1, WALK_LOAD, WALK_STORE);
    if (physmap_find(m->sys->pm, to.gpa) == NULL) {
        machine_trap(m, TRAP_STORE_ACCESS, va);
    }
}

void
machine_cbo_zero(struct mhart *m, uint64_t va)
{
    const struct walk_to to = translate(m, va, 1, WALK_STORE, WALK_STORE);
    void *const ram = physmap_ram(m->sys->pm, to.gpa & ~UINT64_C(63), 64);
    if (ram == NULL || !pmp_allows(&m->pmp, priv_data_mode(&m->p) == PRIV_M, to.gpa & ~UINT64_C(63), 64, PMP_W)) {
        machine_trap(m, TRAP_STORE_ACCESS, va);
    }
    look(m, va & ~UINT64_C(63), &(struct walk_to){.gpa = to.gpa & ~UINT64_C(63)}, 64, false, true);
    memset(ram, 0, 64);
}

void
machine_cas128(struct mhart *m, const struct insn *i, uint64_t va)
{
    char *const at = machine_atomic(m, va, 16, true);
    uint64_t *const x = m->h.x;
    /* A pair that starts with x0 is all zero as a source and is not written (Zacas). */
    uint64_t lo = i->rd ? x[i->rd] : 0, hi = i->rd ? x[i->rd + 1] : 0;
    const uint64_t new_lo = i->rs2 ? x[i->rs2] : 0, new_hi = i->rs2 ? x[i->rs2 + 1] : 0;
    __asm__ volatile("lock cmpxchg16b (%[p])"
                     : "+a"(lo), "+d"(hi)
                     : [p] "r"(at), "b"(new_lo), "c"(new_hi)
                     : "memory", "cc");
    if (i->rd != 0) {
        x[i->rd] = lo;
        x[i->rd + 1] = hi;
    }
}

/* Fetches. The page's entry, or why there is none; uncached: *to is good for this once. */
static enum walk_result
fetch_translate(struct mhart *m, uint64_t pc, struct walk_to *to)
{
    const struct walk w = walk_of(m, m->p.mode);
    m->stats.walks++;
    enum walk_result r = walk(&w, pc, WALK_FETCH, to);
    if (r == WALK_OK && !pmp_allows(&m->pmp, m->p.mode == PRIV_M, to->gpa, 2, PMP_X)) {
        r = WALK_ACCESS_FAULT;
    }
    return r;
}

/* The trap is taken at pc; at is pc, or where its second half lies. */
static _Noreturn void
fetch_trap(struct mhart *m, uint64_t pc, enum walk_result r, uint64_t at)
{
    m->h.pc = pc;
    m->h.ip = NULL;
    machine_trap(m, cause_of(r, WALK_FETCH), at);
}

static struct tlb_fetch *
fetch_fill(struct mhart *m, uint64_t pc, uint64_t at)
{
    struct walk_to to;
    const enum walk_result r = fetch_translate(m, at, &to);
    if (r != WALK_OK) {
        fetch_trap(m, pc, r, at);
    }
    const uint64_t gpa = to.gpa & TLB_PAGE_MASK;
    const uint8_t *const host = physmap_readable(m->sys->pm, gpa, 4096);
    const int may = pmp_page(&m->pmp, m->p.mode == PRIV_M, gpa);
    if (host == NULL) {
        fetch_trap(m, pc, WALK_ACCESS_FAULT, at);
    }
    if (may < 0) {
        return NULL;
    }
    if (to.page_bytes > 4096 && to.page_bytes != UINT64_MAX) {
        softtlb_large(&m->t, at, to.page_bytes);
    }
    struct tlb_fetch *const f = tlb_fetch_at(&m->t, at);
    *f = (struct tlb_fetch){.tag = (at & TLB_PAGE_MASK) | m->t.fetch_key, .host = host, .gpa = gpa, .global = to.global};
    return f;
}

static inline struct tlb_fetch *
fetch_entry(struct mhart *m, uint64_t pc, uint64_t at)
{
    struct tlb_fetch *const f = tlb_fetch_at(&m->t, at);
    return f->tag == ((at & TLB_PAGE_MASK) | m->t.fetch_key) ? f : fetch_fill(m, pc, at);
}

struct tlb_fetch *
machine_fetch_entry(struct mhart *m, uint64_t pc)
{
    return fetch_entry(m, pc, pc);
}

/* One halfword of the instruction at pc. */
static uint16_t
fetch_half(struct mhart *m, uint64_t pc, uint64_t at)
{
    const struct tlb_fetch *const f = fetch_entry(m, pc, at);
    const uint8_t *host = f != NULL ? f->host + (at & 4095) : NULL;
    if (host == NULL) { /* PMP tells parts of the page apart */
        struct walk_to to;
        const enum walk_result r = fetch_translate(m, at, &to);
        host = r == WALK_OK ? physmap_readable(m->sys->pm, to.gpa, 2) : NULL;
        if (host == NULL) {
            fetch_trap(m, pc, r == WALK_OK ? WALK_ACCESS_FAULT : r, at);
        }
    }
    return *(const volatile uint16_t __attribute__((may_alias)) *)(const void *)host;
}

uint32_t
machine_word(struct mhart *m, uint64_t pc)
{
    uint32_t w = fetch_half(m, pc, pc);
    if (insn_len(w) == 4) {
        w |= (uint32_t)fetch_half(m, pc, pc + 2) << 16;
    }
    return m->sys->debug != NULL ? machine_debug_word(m, pc, w) : w;
}

uint32_t
machine_fetch(struct hart *h, uint64_t pc, struct insn *out)
{
    h->pc = pc;
    h->ip = NULL;
    const uint32_t w = machine_word(mhart_of(h), pc);
    interp_decode(w, h->exts, out);
    return w;
}

bool
system_translate(struct mhart *m, uint64_t va, gpa_t *gpa)
{
    struct walk w = walk_of(m, priv_data_mode(&m->p) == PRIV_M ? PRIV_M : PRIV_S);
    struct walk_to to;
    w.adue = false;
    w.sum = w.mxr = true;
    if (walk(&w, va, WALK_LOAD, &to) != WALK_OK && walk(&w, va, WALK_FETCH, &to) != WALK_OK) {
        return false;
    }
    *gpa = to.gpa;
    return true;
}
