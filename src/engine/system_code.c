/*
 * system_code.c - a hart's decoded code: slots for each page of guest-physical memory that it executes
 *
 *      h.slots = page's slots - scale * virtual page          so that slot(pc) = h.slots + scale * pc, as in a process
 *
 * pc and h.slots are 64 bits, and what overflows does not matter. Slots are made from the page's copy, never from the page, which
 * others may be changing: what a hart executes changes at its fence.i only. There, pages become suspects; whoever comes to one
 * compares it with its copy (some 100 ns, in a boot of Linux thousands of times less than decoding again), and forgets the
 * slots if it has changed.
 *
 * Pages are a ring: the one that came first goes first.
 */
#include "engine/system_impl.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define PAGES 2048   /* 40 MiB of threaded code's slots; costs what is used */
#define BUCKETS 1024

struct code_cache {
    uint64_t gen;
    size_t stride, bytes;
    unsigned slot_bytes;
    uint32_t hand;             /* the next to be taken */
    uint32_t bucket[BUCKETS];  /* index + 1 */
    char *pages;               /* own */
};

static struct code_page *
page_at(const struct code_cache *c, uint32_t index)
{
    return (struct code_page *)(void *)(c->pages + index * c->stride);
}

static uint32_t *
bucket_of(struct code_cache *c, uint64_t gpa)
{
    return &c->bucket[(gpa >> 12 ^ gpa >> 22) % BUCKETS];
}

int
code_cache_init(struct mhart *m)
{
    const unsigned slot_bytes = m->sys->kind >= ENGINE_THREADED ? 2 * THREADED_SCALE : m->sys->kind == ENGINE_PREDECODED ? 2 * SLOT_SCALE : 0;
    if (slot_bytes == 0) {
        return 0;
    }
    struct code_cache *c = calloc(1, sizeof *c);
    if (c == NULL) {
        return -ENOMEM;
    }
    c->slot_bytes = slot_bytes;
    c->stride = (sizeof(struct code_page) + (CODE_HALVES + 1) * slot_bytes + 63) & ~(size_t)63;
    c->bytes = c->stride * PAGES;
    c->pages = mmap(NULL, c->bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (c->pages == MAP_FAILED) {
        free(c);
        return -ENOMEM;
    }
    madvise(c->pages, c->bytes, MADV_DONTDUMP);
    m->code = c;
    return 0;
}

void
code_cache_fini(struct mhart *m)
{
    if (m->code != NULL) {
        munmap(m->code->pages, m->code->bytes);
        free(m->code);
        m->code = NULL;
    }
}

void
code_cache_sync(struct mhart *m)
{
    for (unsigned k = 0; k < TLB_FETCH_ENTRIES; k++) { /* where pages are is not the question, but what they hold */
        m->t.fetch[k].code = NULL;
        m->t.fetch[k].looked = false;
    }
    machine_jit_sync(m);
    m->page_va = 1;
    if (m->code != NULL) {
        m->code->gen++;
    }
}

void
code_cache_drop(struct mhart *m)
{
    struct code_cache *const c = m->code;
    softtlb_flush_fetch(&m->t);
    machine_jit_sync(m);
    machine_jumps_flush(m);
    m->page_va = 1;
    if (c != NULL) {
        madvise(c->pages, c->bytes, MADV_DONTNEED);
        memset(c->bucket, 0, sizeof c->bucket);
        c->hand = 0;
    }
}

/* All undecoded, from what memory is now. */
static void
page_begin(struct mhart *m, struct code_page *p)
{
    struct code_cache *const c = m->code;
    memset(p->slots, 0, CODE_HALVES * c->slot_bytes);
    if (m->sys->kind >= ENGINE_THREADED) {
        const uint64_t sentinel = interp_threaded_sentinel();
        memcpy(p->slots + CODE_HALVES * c->slot_bytes, &sentinel, sizeof sentinel);
    }
    memcpy(p->copy, p->live, sizeof p->copy);
    m->stats.code_pages++;
}

static void
unlink_page(struct code_cache *c, struct code_page *p, uint32_t index)
{
    for (uint32_t *at = bucket_of(c, p->gpa); *at != 0; at = &page_at(c, *at - 1)->next) {
        if (*at == index + 1) {
            *at = p->next;
            return;
        }
    }
}

static struct code_page *
page_get(struct mhart *m, uint64_t gpa, const uint8_t *live)
{
    struct code_cache *const c = m->code;
    for (uint32_t k = *bucket_of(c, gpa); k != 0;) {
        struct code_page *const p = page_at(c, k - 1);
        if (p->gpa == gpa) {
            if (p->gen != c->gen && (p->live != live || memcmp(p->copy, live, sizeof p->copy) != 0)) {
                p->live = live;
                page_begin(m, p);
            }
            p->gen = c->gen;
            return p;
        }
        k = p->next;
    }
    const uint32_t index = c->hand;
    c->hand = (c->hand + 1) % PAGES;
    struct code_page *const p = page_at(c, index);
    if (p->used) {
        unlink_page(c, p, index);
        softtlb_flush_fetch(&m->t); /* entries point to it; the caller makes its own anew */
    }
    uint32_t *const bucket = bucket_of(c, gpa);
    p->gpa = gpa;
    p->live = live;
    p->gen = c->gen;
    p->used = true;
    p->next = *bucket;
    *bucket = index + 1;
    page_begin(m, p);
    return p;
}

bool
machine_enter(struct mhart *m, uint64_t pc)
{
    struct tlb_fetch *const f = machine_fetch_entry(m, pc);
    if (f == NULL) {
        m->page_va = 1;
        return false;
    }
    if (f->code == NULL) {
        const struct tlb_fetch was = *f;
        struct code_page *const p = page_get(m, was.gpa, was.host);
        *f = was;
        f->code = p;
    }
    struct code_page *const p = f->code;
    m->page = p;
    m->page_va = pc & TLB_PAGE_MASK;
    m->h.slots = (const char *)((uintptr_t)p->slots - m->page_va * (m->code->slot_bytes / 2));
    return true;
}
