/*
 * softtlb.c - see softtlb.h
 */
#include "memory/softtlb.h"

#include <string.h>

void
softtlb_flush_fetch(struct softtlb *t)
{
    for (unsigned k = 0; k < TLB_FETCH_ENTRIES; k++) {
        t->fetch[k].tag = TLB_EMPTY;
    }
}

void
softtlb_flush(struct softtlb *t)
{
    memset(t->load, 0xff, sizeof t->load);
    memset(t->store, 0xff, sizeof t->store);
    softtlb_flush_fetch(t);
    for (unsigned half = 0; half < 2; half++) {
        t->large[half] = (struct tlb_large){UINT64_MAX, 0};
    }
    t->flushes++;
}

static void
forget_spaces(struct softtlb *t)
{
    for (unsigned k = 0; k < TLB_SPACES; k++) {
        t->asid_of[k] = -1;
    }
}

void
softtlb_init(struct softtlb *t)
{
    memset(t, 0, sizeof *t);
    softtlb_flush(t);
    forget_spaces(t);
    t->spaces = 1;
}

unsigned
softtlb_space(struct softtlb *t, unsigned asid)
{
    for (unsigned k = 1; k < t->spaces; k++) {
        if (t->asid_of[k] == (int32_t)asid) {
            return k;
        }
    }
    if (t->spaces == TLB_SPACES) {
        softtlb_flush(t);
        forget_spaces(t);
        t->spaces = 1;
    }
    t->asid_of[t->spaces] = (int32_t)asid;
    return t->spaces++;
}

void
softtlb_large(struct softtlb *t, uint64_t va, uint64_t page_bytes)
{
    struct tlb_large *const l = &t->large[va >> 63];
    const uint64_t first = va & -page_bytes, last = first + page_bytes - 1;
    l->first = first < l->first ? first : l->first;
    l->last = last > l->last ? last : l->last;
}

void
softtlb_fence(struct softtlb *t, bool by_va, uint64_t va, bool by_asid, unsigned asid)
{
    const struct tlb_large *const l = &t->large[va >> 63];
    if (by_va && !(va >= l->first && va <= l->last)) {
        const uint64_t page = va & TLB_PAGE_MASK;
        struct tlb_entry *const two[] = {&t->load[tlb_index(va)], &t->store[tlb_index(va)]};
        for (unsigned k = 0; k < 2; k++) {
            if ((two[k]->tag & TLB_PAGE_MASK) == page) {
                two[k]->tag = TLB_EMPTY;
            }
        }
        struct tlb_fetch *const f = tlb_fetch_at(t, va);
        if ((f->tag & TLB_PAGE_MASK) == page) {
            f->tag = TLB_EMPTY;
        }
        return;
    }
    if (!by_asid) {
        forget_spaces(t);
        return;
    }
    for (unsigned k = 1; k < t->spaces; k++) {
        if (t->asid_of[k] == (int32_t)asid) {
            t->asid_of[k] = -1;
        }
    }
}
