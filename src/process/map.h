/*
 * map.h - the guest's view of its address space
 *
 * The host kernel holds the mappings; this records what only the guest can tell: which addresses are its own, and with
 * which permissions it sees them. Guest PROT_EXEC is never the host's: code that the guest may execute is readable on the host
 * and declared to the engine. Holes are found as Linux finds them on riscv64 with Sv39: top-down from below the stack.
 *
 * Threads: one lock for each address space. It is taken inside every function here but map_lock(); fork holds it, so that the
 * child gets a consistent copy. A vfork child shares the map and its lock.
 */
#ifndef DOPPEL_MAP_H
#define DOPPEL_MAP_H

#include "process/gmem.h"

#define GUEST_PAGE     4096u
#define GUEST_TASK_TOP (GUEST_TOP - GUEST_PAGE) /* the last page is never mapped */

struct map;

enum map_kind { MAP_KIND_NORMAL, MAP_KIND_HEAP, MAP_KIND_STACK, MAP_KIND_VDSO };

/* Adjacent ranges that look the same are one. */
struct map_range {
    gva_t start, end;
    uint8_t prot; /* the guest's PROT_* */
    uint8_t kind; /* enum map_kind */
    bool shared;
    bool changing; /* private, of a file that was opened for writing: what the guest has not touched changes with the file */
};

/*
 * An empty address space. `stack_bytes`: how far the stack may grow; `randomize`: where mappings begin is not
 * predictable, as without ADDR_NO_RANDOMIZE. With guest_base != 0 its host range is reserved. NULL and *e on failure.
 */
struct map *map_new(struct engine *en, uint64_t stack_bytes, bool randomize, struct err *e);

/* The top of the stack; and the random part of an address, in whole pages, as Linux chooses it (0 if not randomized). */
gva_t map_stack_top(const struct map *m);
uint64_t map_random_offset(const struct map *m);

/* The system calls: what Linux returns for these arguments. `fd` is a host descriptor that the guest may use. */
int64_t map_mmap(struct map *m, gva_t addr, uint64_t len, int prot, int flags, int fd, uint64_t off);
int64_t map_munmap(struct map *m, gva_t addr, uint64_t len);
int64_t map_mprotect(struct map *m, gva_t addr, uint64_t len, int prot);
int64_t map_mremap(struct map *m, gva_t old, uint64_t old_len, uint64_t new_len, int flags, gva_t fixed);
int64_t map_brk(struct map *m, gva_t brk);
int64_t map_madvise(struct map *m, gva_t addr, uint64_t len, int advice);
int64_t map_mlockall(struct map *m, int flags);
int64_t map_munlockall(struct map *m);

/*
 * System V shared memory: like mmap, with the segment's size from the kernel. map_shmdt() removes what map_shmat() put at
 * addr.
 */
int64_t map_shmat(struct map *m, int id, gva_t addr, int flags);
int64_t map_shmdt(struct map *m, gva_t addr);

/* For exec.c: mmap with MAP_FIXED, of another kind; the stack; where the heap begins. */
int64_t map_fixed(struct map *m, gva_t addr, uint64_t len, int prot, enum map_kind kind);
int64_t map_stack(struct map *m, uint64_t bytes, int prot);
void map_set_brk(struct map *m, gva_t start);

/* All of [addr, addr + len) is mapped; the range that holds addr is in *r (may be NULL). Only addr's if false. */
bool map_covers(struct map *m, gva_t addr, uint64_t len, struct map_range *r);
/* How many bytes from addr on, at most len, are mapped without a hole. */
uint64_t map_reach(struct map *m, gva_t addr, uint64_t len);
/* The first range that ends above addr; false if there is none. Made for walking: next, ask for r->end. */
bool map_next(struct map *m, gva_t addr, struct map_range *r);

/* RLIMIT_AS and RLIMIT_DATA are the guest's: on the host they would count the monitor's memory. UINT64_MAX: none. */
void map_get_limits(struct map *m, uint64_t *as, uint64_t *data);
void map_set_limits(struct map *m, uint64_t as, uint64_t data);
/* Bytes mapped. */
uint64_t map_total(struct map *m);

/* Around fork(2). The engine's code tables are under this lock too. */
void map_lock(struct map *m);
void map_unlock(struct map *m);

#endif
