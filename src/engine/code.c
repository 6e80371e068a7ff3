/*
 * code.c - the code space: which guest pages have decoded slots, and forgetting them
 *
 *      guest   |----------|--text--|-----------|--jit--|---------|  2^38 bytes
 *                 x4 or x8     |
 *      slots   |  PROT_NONE   |zero or decoded| PROT_NONE | ...  |  2^40 or 2^41 bytes, guards of 16 MiB at both ends
 *
 * RISC-V makes stores visible to fetch only at fence.i, so nothing is traced: the owner tells what it changes itself
 * (mmap and its kin, riscv_flush_icache), and fence.i forgets every page that the guest could have written.
 *
 * Threads: the owner serializes these calls; harts run meanwhile, and one may have loaded a slot's handler and not yet its
 * operands. So
 *   - forgetting only replaces the first word, one aligned store: a hart does the old instruction or decodes anew;
 *   - slots keep their operands, and stay accessible, as long as any hart runs: pages that are not executable any more are
 *     PAGE_LEFT, where decoding finds that nothing may be fetched; code_give_back() returns them when no hart is inside.
 *     A hart that enters later sees them forgotten: engine_run counts itself with a full barrier before it loads one;
 *   - what was decoded from bytes or permissions that changed meanwhile is not written: code_write_begin() compares
 *     the epoch, which changes before anything is forgotten.
 * What may be decoded over a forgotten slot is interp_threaded.c's concern.
 */
#include "engine/jit.h"

#include "base/check.h"

#include <errno.h>
#include <sched.h>
#include <string.h>
#include <sys/mman.h>

#define PAGE 4096
/* jal reaches 1 MiB beyond the end before anything checks: 8 MiB of slots at most. */
#define GUARD_BYTES (UINT64_C(16) << 20)
#define FLAGS_BYTES (GUEST_TOP / PAGE + CODE_CHUNKS)

int
code_space_init(struct engine *en, struct err *e)
{
    const int how = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
    en->reserved_bytes = GUEST_TOP * en->scale + 2 * GUARD_BYTES;
    en->reserved = mmap(NULL, en->reserved_bytes, PROT_NONE, how, -1, 0);
    if (en->reserved == MAP_FAILED) {
        return err_set(e, -errno, "reserve 1 TiB of address space for decoded code (is ulimit -v or -d set?)");
    }
    en->page_flags = mmap(NULL, FLAGS_BYTES, PROT_READ | PROT_WRITE, how, -1, 0);
    if (en->page_flags == MAP_FAILED) {
        int code = -errno;
        munmap(en->reserved, en->reserved_bytes);
        return err_set(e, code, "reserve the table of code pages (is ulimit -v or -d set?)");
    }
    madvise(en->reserved, en->reserved_bytes, MADV_DONTDUMP);
    madvise(en->page_flags, FLAGS_BYTES, MADV_DONTDUMP);
    en->chunks = en->page_flags + GUEST_TOP / PAGE;
    en->slots = en->reserved + GUARD_BYTES;
    return 0;
}

int
code_flags_init(struct engine *en, uint64_t bytes, struct err *e)
{
    CHECK(bytes <= GUEST_TOP);
    void *const p = mmap(NULL, FLAGS_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (p == MAP_FAILED) {
        return err_set(e, -errno, "reserve the table of code pages");
    }
    en->page_flags = p;
    madvise(p, FLAGS_BYTES, MADV_DONTDUMP);
    return 0;
}

void
code_space_fini(struct engine *en)
{
    if (en->page_flags != NULL) {
        munmap(en->page_flags, FLAGS_BYTES);
    }
    if (en->reserved != NULL) {
        munmap(en->reserved, en->reserved_bytes);
    }
}

/* The marks of the pages stay: what they promise is less than they say. */
void
code_drop_decoded(struct engine *en)
{
    if (engine_running(en) == 0) {
        madvise(en->reserved, en->reserved_bytes, MADV_DONTNEED);
    }
}

bool
code_space_contains(const struct engine *en, uint64_t host_addr)
{
    return host_addr - (uint64_t)(uintptr_t)en->reserved < en->reserved_bytes;
}

/* Clear and set these bits in the flags of [start, end). Harts set PAGE_DECODED meanwhile. */
static void
flags_change(struct engine *en, uint64_t start, uint64_t end, uint8_t clear, uint8_t set)
{
    if ((set & (PAGE_MUTABLE | PAGE_LEFT)) != 0 && start < end) {
        for (uint64_t c = start / CODE_CHUNK; c <= (end - 1) / CODE_CHUNK; c++) {
            en->chunks[c] |= set & (PAGE_MUTABLE | PAGE_LEFT);
        }
    }
    for (uint64_t p = start / PAGE; p < end / PAGE; p++) {
        uint8_t was = __atomic_load_n(&en->page_flags[p], __ATOMIC_RELAXED);
        uint8_t now;
        do {
            now = (uint8_t)((was & ~clear) | set);
        } while (now != was && /* reading does not make the table's page real */
                 !__atomic_compare_exchange_n(&en->page_flags[p], &was, now, false, __ATOMIC_SEQ_CST, __ATOMIC_RELAXED));
    }
}

static void
code_lock(struct engine *en)
{
    while (atomic_exchange(&en->writing, true)) {
        sched_yield();
    }
}

void
code_write_end(struct engine *en)
{
    atomic_store(&en->writing, false);
}

bool
code_write_begin(struct engine *en, uint64_t epoch)
{
    code_lock(en);
    if (atomic_load(&en->epoch) == epoch) {
        return true;
    }
    code_write_end(en);
    return false;
}

/* Bytes or permissions have changed: from now on nobody writes what was decoded from the old ones. */
static void
code_changed(struct engine *en)
{
    code_lock(en);
    atomic_fetch_add(&en->epoch, 1);
    code_write_end(en);
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
        uint32_t *first = slot_of(en, a);
        if (*first != 0) {
            __atomic_store_n(first, en->forgotten, __ATOMIC_RELAXED);
        }
    }
}

/* The first of pages [page, end) with this flag, or end. Most ranges are data and large: a thread's stack, a heap given back. */
static uint64_t
next_page(const struct engine *en, uint64_t page, uint64_t end, uint8_t flag)
{
    while (page < end) {
        uint64_t eight;
        memcpy(&eight, &en->page_flags[page], sizeof eight); /* behind the last page's flag are those of chunks */
        if ((eight & flag * UINT64_C(0x0101010101010101)) == 0) {
            page += sizeof eight;
        } else if (en->page_flags[page] & flag) {
            return page;
        } else {
            page++;
        }
    }
    return end;
}

/* Forget [start, end), of any alignment, in pages where something was decoded. */
static void
slots_forget(struct engine *en, uint64_t start, uint64_t end)
{
    if (start >= end) {
        return;
    }
    start = start < FUSE_BACK ? 0 : start - FUSE_BACK;
    const uint64_t stop = (end - 1) / PAGE + 1;
    for (uint64_t page = start / PAGE; (page = next_page(en, page, stop, PAGE_DECODED)) < stop; page++) {
        uint64_t from = page * PAGE < start ? start : page * PAGE;
        uint64_t to = (page + 1) * PAGE > end ? end : (page + 1) * PAGE;
        forget(en, from, to);
    }
}

/*
 * Give the memory of PAGE_LEFT slots back to the host, and access with it: they read as zero again, if at all. Should the
 * host refuse (it is out of mappings), they are left for another time.
 */
static void
code_give_back(struct engine *en)
{
    if (!en->left || engine_running(en) != 0) {
        return;
    }
    en->left = false;
    for (uint64_t c = 0; c < CODE_CHUNKS; c++) {
        if ((en->chunks[c] & PAGE_LEFT) == 0) {
            continue;
        }
        en->chunks[c] &= (uint8_t)~PAGE_LEFT;
        const uint64_t stop = (c + 1) * (CODE_CHUNK / PAGE);
        for (uint64_t p = c * (CODE_CHUNK / PAGE), end; p < stop; p = end + 1) {
            for (end = p; end < stop && (en->page_flags[end] & PAGE_LEFT); end++) {
            }
            char *const at = slot_of(en, p * PAGE);
            const size_t len = (end - p) * PAGE * en->scale;
            if (len == 0) {
                continue;
            }
            if (madvise(at, len, MADV_DONTNEED) == 0 && mprotect(at, len, PROT_NONE) == 0) {
                /* The other marks are of a translation that was late: see jit_publish(). Nobody translates now. */
                flags_change(en, p * PAGE, end * PAGE, PAGE_LEFT | PAGE_DECODED | PAGE_TRANSLATED, 0);
            } else {
                en->chunks[c] |= PAGE_LEFT;
                en->left = true;
            }
        }
    }
}

/* The same for translations. After the flags, and the bytes, have changed: who translates meanwhile sees one or the other. */
static void
translations_forget(struct engine *en, uint64_t start, uint64_t end, bool if_changed)
{
    if (en->jit == NULL) {
        return;
    }
    const uint64_t stop = (end + PAGE - 1) / PAGE;
    if (next_page(en, start / PAGE, stop, PAGE_TRANSLATED) < stop) {
        pthread_mutex_lock(&en->jit->lock);
        jit_forget(en, start, end, if_changed);
        pthread_mutex_unlock(&en->jit->lock);
    }
}

int
engine_code_map(struct engine *en, uint64_t start, uint64_t end, bool writable)
{
    CHECK(start <= end && end <= GUEST_TOP && (start | end) % PAGE == 0);
    code_give_back(en);
    if (mprotect(slot_of(en, start), (end - start) * en->scale, PROT_READ | PROT_WRITE) != 0) {
        return -errno;
    }
    if (en->jit != NULL && start < end && jit_entries_map(en, start, end) != 0) {
        return -ENOMEM;
    }
    flags_change(en, start, end, PAGE_MUTABLE | PAGE_LEFT | PAGE_KEPT, writable ? PAGE_EXEC | PAGE_MUTABLE : PAGE_EXEC);
    code_changed(en);
    slots_forget(en, start, end);
    translations_forget(en, start, end, false);
    return 0;
}

static void
unmap_run(struct engine *en, uint64_t start, uint64_t end)
{
    flags_change(en, start, end, PAGE_EXEC | PAGE_MUTABLE | PAGE_KEPT, PAGE_LEFT);
    code_changed(en);
    slots_forget(en, start, end);
    translations_forget(en, start, end, false);
    flags_change(en, start, end, PAGE_DECODED | PAGE_TRANSLATED, 0);
    en->left = true;
}

void
engine_code_unmap(struct engine *en, uint64_t start, uint64_t end)
{
    CHECK(start <= end && end <= GUEST_TOP && (start | end) % PAGE == 0);
    /* Only what was mapped: most unmaps are of data, and must not cost two system calls. */
    const uint64_t stop = end / PAGE;
    for (uint64_t p = start / PAGE, behind; (p = next_page(en, p, stop, PAGE_EXEC)) < stop; p = behind) {
        for (behind = p + 1; behind < stop && (en->page_flags[behind] & PAGE_EXEC); behind++) {
        }
        unmap_run(en, p * PAGE, behind * PAGE);
    }
    code_give_back(en);
}

void
engine_code_invalidate(struct engine *en, uint64_t start, uint64_t end)
{
    end = end < GUEST_TOP ? end : GUEST_TOP;
    code_changed(en);
    slots_forget(en, start, end);
    translations_forget(en, start, end, false);
}

void
engine_code_sync(struct engine *en)
{
    const uint8_t both = PAGE_MUTABLE | PAGE_DECODED;
    code_changed(en);
    for (uint64_t c = 0; c < CODE_CHUNKS; c++) {
        if ((en->chunks[c] & PAGE_MUTABLE) == 0) {
            continue;
        }
        for (uint64_t p = c * (CODE_CHUNK / PAGE); p < (c + 1) * (CODE_CHUNK / PAGE); p++) {
            if ((en->page_flags[p] & both) == both) {
                slots_forget(en, p * PAGE, (p + 1) * PAGE);
                translations_forget(en, p * PAGE, (p + 1) * PAGE, true);
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
