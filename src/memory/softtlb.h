/*
 * softtlb.h - the software TLB of a hart: where in the host is the page of this virtual address?
 *
 * Three direct-mapped tables, for loads, stores and fetches. An entry {tag, addend} stands for a page of RAM that may be
 * accessed so without anybody else hearing of it, and host = va + addend. The tag is
 *
 *      63                         12 11        6 5    3 2     0
 *      | virtual page               | space      | how | zero  |
 *
 * so one comparison with the address, its low bits for the size of the access, and the hart's key asks for everything: same page,
 * same space and mode, and aligned. What has no entry goes slow: I/O, ROM, misaligned, PMP regions below a page.
 *
 * Spaces. An ASID gets one of 62 numbers when satp names it; forgetting an ASID, or all of them, means that its number is not used
 * any more. When they run out everything is forgotten. Number 0 is for what is not translated.
 *
 * Threads: the hart's own.
 */
#ifndef DOPPEL_SOFTTLB_H
#define DOPPEL_SOFTTLB_H

#include <stdbool.h>
#include <stdint.h>

#define TLB_ENTRIES 2048
#define TLB_FETCH_ENTRIES 256
#define TLB_SPACES 63
#define TLB_PAGE_MASK (~UINT64_C(4095))

/* The "how" of a key. S with SUM sees more than S; M is bound by other PMP entries than the rest. */
enum { TLB_PHYS_M, TLB_PHYS, TLB_U, TLB_S, TLB_S_SUM };
#define TLB_KEY(space, how) ((uint64_t)(space) << 6 | (uint64_t)(how) << 3)

struct tlb_entry {
    uint64_t tag;    /* TLB_EMPTY: none */
    uint64_t addend; /* host address - virtual address */
};
#define TLB_EMPTY UINT64_MAX

struct tlb_fetch {
    uint64_t tag;
    const uint8_t *host; /* ref: the page's bytes */
    uint64_t gpa;        /* of the page */
    void *code;          /* ref: what the engine keeps for it, or NULL */
    uint64_t place;      /* the engine's, once it has looked at it */
    bool looked;
    bool global;         /* the page is there in all address spaces */
};

struct softtlb {
    uint64_t data_key, fetch_key; /* of the hart as it is now */
    struct tlb_entry load[TLB_ENTRIES], store[TLB_ENTRIES];
    struct tlb_fetch fetch[TLB_FETCH_ENTRIES];
    uint32_t spaces;              /* numbers given out */
    int32_t asid_of[TLB_SPACES];  /* whose they are; -1: nobody's */
    struct tlb_large {            /* superpages of each half of the address space lie in [first, last] */
        uint64_t first, last;
    } large[2];
    uint64_t flushes;             /* how often everything went */
};

static inline unsigned
tlb_index(uint64_t va)
{
    return (va >> 12) % TLB_ENTRIES;
}

static inline struct tlb_fetch *
tlb_fetch_at(struct softtlb *t, uint64_t va)
{
    return &t->fetch[(va >> 12) % TLB_FETCH_ENTRIES];
}

/* The tag that an access of `bytes` (1, 2, 4, 8) at va must find. */
static inline uint64_t
tlb_tag(uint64_t va, uint64_t bytes, uint64_t key)
{
    return (va & (TLB_PAGE_MASK | (bytes - 1))) | key;
}

void softtlb_init(struct softtlb *t);

/* Everything; keys stay. */
void softtlb_flush(struct softtlb *t);
void softtlb_flush_fetch(struct softtlb *t);

/* The number of this ASID's space: for TLB_KEY(). */
unsigned softtlb_space(struct softtlb *t, unsigned asid);

/*
 * sfence.vma: forget what was translated for va, or all if !by_va; for asid, or all spaces if !by_asid. Keys have to be made
 * again afterwards.
 */
void softtlb_fence(struct softtlb *t, bool by_va, uint64_t va, bool by_asid, unsigned asid);

/* To be told of each leaf larger than 4 KiB that an entry is made from. */
void softtlb_large(struct softtlb *t, uint64_t va, uint64_t page_bytes);

#endif
