/*
 * walk.c - see walk.h
 */
#include "memory/walk.h"

#include <stddef.h>

#define PTE_V UINT64_C(0x01)
#define PTE_R UINT64_C(0x02)
#define PTE_W UINT64_C(0x04)
#define PTE_X UINT64_C(0x08)
#define PTE_U UINT64_C(0x10)
#define PTE_G UINT64_C(0x20)
#define PTE_A UINT64_C(0x40)
#define PTE_D UINT64_C(0x80)
#define PTE_PPN(pte) ((pte) >> 10 & ((UINT64_C(1) << 44) - 1))
#define PTE_RESERVED (UINT64_C(0x7f) << 54)
#define PTE_PBMT (UINT64_C(3) << 61)
#define PTE_N (UINT64_C(1) << 63)

/* satp.MODE: how many levels of tables. */
static int
levels_of(uint64_t satp)
{
    const unsigned mode = (unsigned)(satp >> 60);
    return mode >= 8 && mode <= 10 ? (int)mode - 5 : 0;
}

/* What the tables let this mode do with the page. */
static bool
may(const struct walk *w, uint64_t pte, enum walk_access a)
{
    if (pte & PTE_U ? w->mode == 1 && (a == WALK_FETCH || !w->sum) : w->mode == 0) {
        return false;
    }
    switch (a) {
    case WALK_LOAD:
        return (pte & PTE_R) != 0 || (w->mxr && (pte & PTE_X) != 0);
    case WALK_STORE:
        return (pte & PTE_W) != 0;
    case WALK_FETCH:
        return (pte & PTE_X) != 0;
    }
    return false;
}

/* Reserved for everybody, or without the extension that uses it. */
static bool
is_malformed(const struct walk *w, uint64_t pte, int level)
{
    const bool leaf = (pte & (PTE_R | PTE_X)) != 0;
    if ((pte & PTE_V) == 0 || (pte & (PTE_R | PTE_W)) == PTE_W || (pte & PTE_RESERVED) != 0) {
        return true;
    }
    if (!leaf) {
        return level == 0 || (pte & (PTE_N | PTE_PBMT | PTE_A | PTE_D | PTE_U)) != 0;
    }
    if ((pte & PTE_PBMT) != 0 && (!w->pbmte || (pte & PTE_PBMT) == PTE_PBMT)) {
        return true;
    }
    if (pte & PTE_N) { /* 64 KiB is the only size there is */
        return !w->napot || level != 0 || (PTE_PPN(pte) & 15) != 8;
    }
    return (PTE_PPN(pte) & ((UINT64_C(1) << 9 * level) - 1)) != 0; /* a misaligned superpage */
}

enum walk_result
walk(const struct walk *w, uint64_t va, enum walk_access a, struct walk_to *to)
{
    const int levels = w->mode == 3 ? 0 : levels_of(w->satp);
    if (levels == 0) {
        *to = (struct walk_to){.gpa = va, .page_bytes = UINT64_MAX, .load = true, .store = true};
        return va < PHYSMAP_TOP ? WALK_OK : WALK_ACCESS_FAULT;
    }
    const int unused = 64 - (12 + 9 * levels);
    if ((uint64_t)((int64_t)(va << unused) >> unused) != va) {
        return WALK_PAGE_FAULT;
    }
again:;
    uint64_t table = (w->satp & ((UINT64_C(1) << 44) - 1)) << 12;
    for (int level = levels - 1;; level--) {
        const uint64_t at = table + (va >> (12 + 9 * level) & 511) * 8;
        const uint64_t *const entry = physmap_readable(w->pm, at, 8);
        if (entry == NULL || !pmp_allows(w->pmp, false, at, 8, PMP_R)) {
            return WALK_ACCESS_FAULT;
        }
        uint64_t pte = __atomic_load_n(entry, __ATOMIC_RELAXED);
        if (is_malformed(w, pte, level)) {
            return WALK_PAGE_FAULT;
        }
        if ((pte & (PTE_R | PTE_X)) == 0) {
            table = PTE_PPN(pte) << 12;
            continue;
        }
        if (!may(w, pte, a)) {
            return WALK_PAGE_FAULT;
        }
        const uint64_t want = PTE_A | (a == WALK_STORE ? PTE_D : 0);
        if ((pte & want) != want) {
            if (!w->adue) {
                return WALK_PAGE_FAULT;
            }
            uint64_t *const change = physmap_ram(w->pm, at, 8);
            if (change == NULL || !pmp_allows(w->pmp, false, at, 8, PMP_W)) {
                return WALK_ACCESS_FAULT;
            }
            if (!__atomic_compare_exchange_n(change, &pte, pte | want, false, __ATOMIC_SEQ_CST, __ATOMIC_RELAXED)) {
                goto again; /* somebody has changed it: what is true now? */
            }
            pte |= want;
        }
        const unsigned bits = pte & PTE_N ? 16 : 12 + 9 * (unsigned)level;
        const uint64_t bytes = UINT64_C(1) << bits;
        *to = (struct walk_to){
            .gpa = ((PTE_PPN(pte) << 12) & ~(bytes - 1)) | (va & (bytes - 1)),
            .page_bytes = bytes,
            .global = (pte & PTE_G) != 0,
            .load = may(w, pte, WALK_LOAD),
            .store = (pte & PTE_D) != 0 && may(w, pte, WALK_STORE),
        };
        return WALK_OK;
    }
}
