/*
 * map_impl.h - what the files of map.h share: the record, its ranges, the host's side of a mapping
 *
 * All of it under m->lock.
 */
#ifndef DOPPEL_MAP_IMPL_H
#define DOPPEL_MAP_IMPL_H

#include "process/host.h"
#include "process/map.h"

#include <pthread.h>

#define PAGE_MASK       (~(uint64_t)(GUEST_PAGE - 1))
#define PAGE_UP(x)      (((x) + GUEST_PAGE - 1) & PAGE_MASK)
#define GUEST_MIN_ADDR  UINT64_C(0x10000) /* the host's vm.mmap_min_addr; riscv64's own default is lower */
#define STACK_GUARD     (256 * (uint64_t)GUEST_PAGE)
#define HUGE_PAGE       (UINT64_C(2) << 20)
#define RANDOM_PAGES    (UINT64_C(1) << 18) /* mmap_rnd_bits of riscv64 with Sv39 */
#define GUEST_PROT_SEM  8 /* accepted, without meaning */

struct map {
    pthread_mutex_t lock; /* covers everything below, and the engine's code tables */
    struct engine *engine; /* ref */
    struct map_range *r;   /* own: sorted, disjoint, not empty */
    size_t n, cap;
    uint64_t total;
    uint64_t limit_as, limit_data;
    gva_t mmap_base, stack_top;
    gva_t brk_start, brk;
    int lock_future; /* mlockall's MCL_FUTURE, MCL_ONFAULT */
    bool randomize;
};

/* map_ranges.c. Index of the first range that ends above a. */
size_t map_find(const struct map *m, gva_t a);
/* Room for `extra` more ranges, so that what follows a change of the host's mappings cannot fail. 0 or -ENOMEM. */
int map_reserve(struct map *m, size_t extra);
/* Forget [start, end); with `code`, executable parts leave the engine. Needs room for one more range. */
void map_remove(struct map *m, gva_t start, gva_t end, bool code);
/* Record a range where there is none. Needs room for one more. */
void map_insert(struct map *m, const struct map_range *r);
bool map_is_free(const struct map *m, gva_t start, gva_t end);
/* How far from start, up to end, there is no hole. */
gva_t map_covered_to(const struct map *m, gva_t start, gva_t end);
/* Where a new mapping goes; 0: nowhere. */
gva_t map_find_hole(const struct map *m, uint64_t len, uint64_t align);
/*
 * The stack grows without our being told (map_stack): if the host has it down to below `a`, so has the record after this.
 */
void map_stack_sync(struct map *m, gva_t a);

/* map.c */
void *map_host(gva_t a);
int map_host_prot(int prot);
int64_t map_host_unmap(gva_t a, uint64_t len);
int64_t map_adopt(struct map *m, const struct map_range *r, int64_t made);
bool map_over_limit(const struct map *m, uint64_t more, bool data);
int64_t map_munmap_locked(struct map *m, gva_t addr, uint64_t len);

#endif
