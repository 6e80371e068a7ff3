/*
 * wishes.c - a process that forks again and again translates for its children what they would each interpret
 *
 * What a child executes for itself only, its maker never does: each child would decode and interpret it, and take with it to its end
 * what it has learned. So children say, in memory that they share with their makers, which cold code they came by; who has forked
 * translates, the next time that it runs, what several children have asked for, and links it up: later children find it done.
 *
 *      child:  interp_adaptive, at code without a translation ──► table[hash(pc)]: pc, how many have come by
 *      maker:  the next entry of interp_adaptive after a fork ◄──┘  WISHES_MIN of them: jit_wish_grant()
 *
 * A wish is an address and nothing else; what is translated is the maker's own code there. A child wishes in its first moments only: who
 * lives longer translates for itself, and a short life should not copy pages for chains that it uses once.
 *
 * Threads, processes: the table is written by anybody without a lock. A wish that is lost comes again.
 */
#include "engine/jit.h"

#include <sys/mman.h>

#define TABLE      256 /* one page */
#define WISHES_MIN 3
#define YOUNG      400 /* blocks interpreted */
/* Where a wish may stand. With one, two that met there replaced each other for ever, and each child translated both. */
#define PLACES 8

struct wish {
    _Atomic uint64_t pc;
    _Atomic uint64_t count;
};

void
jit_wishes_init(struct jit *j)
{
    if (j->wishes == NULL) {
        void *p = mmap(NULL, TABLE * sizeof(struct wish), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        j->wishes = p == MAP_FAILED ? NULL : p;
    }
}

HOT void
jit_wishes_child(struct jit *j)
{
    j->young = j->wishes != NULL ? YOUNG : 0;
    j->has_forked = false;
}

HOT void
jit_wish(struct jit *j, uint64_t pc)
{
    const uint64_t at = pc >> 1 ^ pc >> 9;
    struct wish *w = NULL, *spare = NULL;
    for (unsigned i = 0; i < PLACES; i++) {
        struct wish *one = &j->wishes[(at + i) % TABLE];
        if (atomic_load_explicit(&one->pc, memory_order_relaxed) == pc) {
            w = one;
            break;
        }
        if (spare == NULL || atomic_load_explicit(&one->count, memory_order_relaxed) < atomic_load_explicit(&spare->count, memory_order_relaxed)) {
            spare = one;
        }
    }
    j->young -= j->young > 0;
    if (w == NULL) {
        w = spare;
        atomic_store_explicit(&w->pc, pc, memory_order_relaxed);
        atomic_store_explicit(&w->count, 0, memory_order_relaxed);
    }
    atomic_store_explicit(&w->count, atomic_load_explicit(&w->count, memory_order_relaxed) + 1, memory_order_relaxed);
}

uint64_t
jit_wish_next(struct jit *j, unsigned *at)
{
    for (; j->wishes != NULL && *at < TABLE; ++*at) {
        struct wish *w = &j->wishes[*at];
        if (atomic_load_explicit(&w->count, memory_order_relaxed) >= WISHES_MIN) {
            atomic_store_explicit(&w->count, 0, memory_order_relaxed);
            return atomic_load_explicit(&w->pc, memory_order_relaxed);
        }
    }
    return 0;
}
