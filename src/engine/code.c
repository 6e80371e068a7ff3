/*
 * code.c - the code space: which guest pages have decoded slots, and forgetting them
 *
 *      guest   |----------|--text--|-----------|--jit--|---------|  2^38 bytes
 *                    x8        |
 *      slots   |  PROT_NONE   |zero or decoded| PROT_NONE | ...  |  2^41 bytes, guards of 16 MiB at both ends
 *
 * RISC-V makes stores visible to fetch only at fence.i, so nothing is traced: the owner tells what it changes itself
 * (mmap and its kin, riscv_flush_icache), and fence.i forgets every page that the guest could have written.
 *
 * Threads: the owner serializes these calls; harts run meanwhile. Forgetting only zeroes `handler`, one aligned store:
 * a hart sees the old instruction or decodes anew. What may be decoded over a forgotten slot is interp_threaded.c's
 * concern.
 */
#include "engine/engine_impl.h"

#include "base/check.h"

#include <errno.h>
#include <sys/mman.h>

#define PAGE 4096
#define SLOTS_BYTES (GUEST_TOP * SLOT_SCALE)
/* jal reaches 1 MiB beyond the end before anything checks: 8 MiB of slots. */
#define GUARD_BYTES (UINT64_C(16) << 20)
#define RESERVED_BYTES (SLOTS_BYTES + 2 * GUARD_BYTES)
#define FLAGS_BYTES (GUEST_TOP / PAGE)

int
code_space_init(struct engine *en, struct err *e)
{
    const int how = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
    en->reserved = mmap(NULL, RESERVED_BYTES, PROT_NONE, how, -1, 0);
    if (en->reserved == MAP_FAILED) {
        return err_set(e, -errno, "reserve 2 TiB of address space for decoded code (is ulimit -v set?)");
    }
    en->page_flags = mmap(NULL, FLAGS_BYTES, PROT_READ | PROT_WRITE, how, -1, 0);
    if (en->page_flags == MAP_FAILED) {
        int code = -errno;
        munmap(en->reserved, RESERVED_BYTES);
        return err_set(e, code, "reserve the table of code pages");
    }
    madvise(en->reserved, RESERVED_BYTES, MADV_DONTDUMP);
    madvise(en->page_flags, FLAGS_BYTES, MADV_DONTDUMP);
    en->slots = en->reserved + GUARD_BYTES;
    return 0;
}

void
code_space_fini(struct engine *en)
{
    munmap(en->page_flags, FLAGS_BYTES);
    munmap(en->reserved, RESERVED_BYTES);
}

bool
code_space_contains(const struct engine *en, uint64_t host_addr)
{
    return host_addr - (uint64_t)(uintptr_t)en->reserved < RESERVED_BYTES;
}

static void
flags_set(struct engine *en, uint64_t start, uint64_t end, uint8_t flags)
{
    if ((flags & PAGE_MUTABLE) != 0 && start < end) {
        for (uint64_t c = start / CODE_CHUNK; c <= (end - 1) / CODE_CHUNK; c++) {
            en->may_change[c] = 1;
        }
    }
    for (uint64_t p = start / PAGE; p < end / PAGE; p++) {
        if (en->page_flags[p] != flags) { /* reading does not make the table's page real */
            __atomic_store_n(&en->page_flags[p], flags, __ATOMIC_RELAXED);
        }
    }
}

/* Give the slots of [start, end) back to the host: they read as zero again, if at all. */
static int
slots_reset(struct engine *en, uint64_t start, uint64_t end, int prot)
{
    char *at = en->slots + start * SLOT_SCALE;
    size_t len = (end - start) * SLOT_SCALE;
    if (madvise(at, len, MADV_DONTNEED) != 0 || mprotect(at, len, prot) != 0) {
        return -errno;
    }
    return 0;
}

int
engine_code_map(struct engine *en, uint64_t start, uint64_t end, bool writable)
{
    CHECK(start <= end && end <= GUEST_TOP && (start | end) % PAGE == 0);
    int r = slots_reset(en, start, end, PROT_READ | PROT_WRITE);
    if (r == 0) {
        flags_set(en, start, end, writable ? PAGE_EXEC | PAGE_MUTABLE : PAGE_EXEC);
    }
    return r;
}

/*
 * Forget [from, to) inside one page, and what overlaps it from before: a 4-byte instruction that starts 2 bytes ahead,
 * and instructions fused with one of those (FUSE_BACK bytes ahead at most).
 */
#define FUSE_BACK 6

static void
forget(struct engine *en, uint64_t from, uint64_t to)
{
    for (uint64_t a = from & ~UINT64_C(1); a < to; a += 2) {
        struct slot *s = slot_of(en, a);
        if (s->handler != 0) {
            __atomic_store_n(&s->handler, 0, __ATOMIC_RELAXED);
        }
    }
}

static void
unmap_run(struct engine *en, uint64_t start, uint64_t end)
{
    flags_set(en, start, end, 0);
    /*
     * Should the host refuse (it is out of mappings), the slots stay accessible; interp_fetch() looks at the flags. They
     * must not keep what they held, though.
     */
    if (slots_reset(en, start, end, PROT_NONE) != 0) {
        forget(en, start, end);
    }
}

void
engine_code_unmap(struct engine *en, uint64_t start, uint64_t end)
{
    CHECK(start <= end && end <= GUEST_TOP && (start | end) % PAGE == 0);
    /* Only what was mapped: most unmaps are of data, and must not cost two system calls. */
    uint64_t from = end;
    for (uint64_t a = start; a < end; a += PAGE) {
        if (en->page_flags[a / PAGE] & PAGE_EXEC) {
            from = a < from ? a : from;
        } else if (from < a) {
            unmap_run(en, from, a);
            from = end;
        }
    }
    if (from < end) {
        unmap_run(en, from, end);
    }
}

void
engine_code_invalidate(struct engine *en, uint64_t start, uint64_t end)
{
    end = end < GUEST_TOP ? end : GUEST_TOP;
    if (start >= end) {
        return;
    }
    start = start < FUSE_BACK ? 0 : start - FUSE_BACK;
    for (uint64_t page = start / PAGE; page <= (end - 1) / PAGE; page++) {
        if ((en->page_flags[page] & PAGE_DECODED) == 0) {
            continue;
        }
        uint64_t from = page * PAGE < start ? start : page * PAGE;
        uint64_t to = (page + 1) * PAGE > end ? end : (page + 1) * PAGE;
        forget(en, from, to);
    }
}

void
engine_code_sync(struct engine *en)
{
    const uint8_t both = PAGE_MUTABLE | PAGE_DECODED;
    for (uint64_t c = 0; c < GUEST_TOP / CODE_CHUNK; c++) {
        if (!en->may_change[c]) {
            continue;
        }
        for (uint64_t p = c * (CODE_CHUNK / PAGE); p < (c + 1) * (CODE_CHUNK / PAGE); p++) {
            if ((en->page_flags[p] & both) == both) {
                engine_code_invalidate(en, p * PAGE, (p + 1) * PAGE);
            }
        }
    }
}

bool
code_page_is_exec(const struct engine *en, uint64_t pc)
{
    return pc < GUEST_TOP && (en->page_flags[pc / PAGE] & PAGE_EXEC) != 0;
}

void
code_page_decoded(struct engine *en, uint64_t pc)
{
    uint8_t *f = &en->page_flags[pc / PAGE];
    if ((*f & PAGE_DECODED) == 0) {
        __atomic_fetch_or(f, PAGE_DECODED, __ATOMIC_RELAXED);
    }
}
