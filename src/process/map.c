/*
 * map.c - see map.h
 *
 * Rules and errors are those of mm/mmap.c, mm/mremap.c and mm/mprotect.c of Linux 6.12; what the host kernel checks
 * anyway (descriptors, access rights of files, shared mappings) is left to it.
 *
 *       0                                  mmap_base            stack_top   GUEST_TASK_TOP
 *       | program (fixed) | PIE | heap →  … ← mappings | gap | ← stack  |
 *
 * Trust: every number is the guest's.
 */
#include "process/map_impl.h"

#include "base/nondet.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#define GUARD_BYTES (64 << 10) /* a displacement reaches 2 KiB, the widest access 16 bytes */

/* ---- the host's side ---- */

void *
map_host(gva_t a)
{
    return (void *)(uintptr_t)(a + guest_base);
}

int
map_host_prot(int prot)
{
    int h = prot & (PROT_READ | PROT_WRITE);
    /* RISC-V has no pages that can be written and not read. Code is read by whoever executes it. */
    return h | (prot & (PROT_WRITE | PROT_EXEC) ? PROT_READ : 0);
}

/* With a base the guest's range stays reserved, so that nothing of the host's gets into it. */
int64_t
map_host_unmap(gva_t a, uint64_t len)
{
    if (guest_base == 0) {
        return host_syscall(SYS_munmap, map_host(a), len);
    }
    int64_t r = host_syscall(SYS_mmap, map_host(a), len, PROT_NONE,
                             MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0);
    return r < 0 ? r : 0;
}

static uint64_t
nanoseconds(const struct timespec *t)
{
    return (uint64_t)t->tv_sec * 1000000000 + (uint64_t)t->tv_nsec;
}

static int
code_declare(struct map *m, const struct map_range *r)
{
    return r->prot & PROT_EXEC ? engine_code_map(m->engine, r->start, r->end, r->shared || r->changing || (r->prot & PROT_WRITE)) : 0;
}

/*
 * The host is about to put a mapping of these permissions over [start, end): code that is there and will not be code then must
 * not be executed from its first moment. `back`: it has not, the code is there still.
 */
static void
code_cover(struct map *m, gva_t start, gva_t end, int prot, bool back)
{
    for (size_t i = map_find(m, start); i < m->n && m->r[i].start < end && !(prot & PROT_EXEC); i++) {
        struct map_range r = m->r[i];
        r.start = r.start > start ? r.start : start;
        r.end = r.end < end ? r.end : end;
        if (back) {
            code_declare(m, &r);
        } else if (r.prot & PROT_EXEC) {
            engine_code_unmap(m->engine, r.start, r.end);
        }
    }
}

/* The engine may know the file's code from another time. */
static void
code_of_file(struct map *m, const struct map_range *r, int fd, uint64_t off)
{
    struct stat st;
    if (engine_wants_files(m->engine) && host_syscall(SYS_fstat, fd, &st) == 0) {
        const struct engine_file file = {st.st_dev, st.st_ino, (uint64_t)st.st_size, nanoseconds(&st.st_mtim), nanoseconds(&st.st_ctim)};
        engine_code_file(m->engine, r->start, r->end, &file, off);
    }
}

/* ---- making and removing ---- */

struct map *
map_new(struct engine *en, uint64_t stack_bytes, bool randomize, struct err *e)
{
    struct map *m = mmap(NULL, sizeof *m, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (m == MAP_FAILED) {
        err_set(e, -errno, "no memory");
        return NULL;
    }
    pthread_mutex_init(&m->lock, NULL);
    m->engine = en;
    m->limit_as = m->limit_data = UINT64_MAX;
    m->randomize = randomize;
    if (map_reserve(m, 1) != 0) {
        err_set(e, -ENOMEM, "no memory");
        return NULL;
    }
    /* Translated code trusts addresses (docs/limits.md); those just above the last one are to fault all the same. */
    if (guest_base != 0 && host_syscall(SYS_mmap, guest_base, GUEST_TOP + GUARD_BYTES, PROT_NONE,
                                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE, -1,
                                        0) != (int64_t)guest_base) {
        err_set(e, -ENOMEM, "the guest's addresses at 0x%llx are not free", (unsigned long long)guest_base);
        return NULL;
    }
    uint64_t gap = stack_bytes + STACK_GUARD + RANDOM_PAGES * GUEST_PAGE;
    uint64_t min = UINT64_C(128) << 20, max = GUEST_TOP / 6 * 5;
    gap = stack_bytes > max ? max : gap < min ? min : gap > max ? max : gap;
    m->stack_top = GUEST_TASK_TOP - map_random_offset(m);
    m->mmap_base = PAGE_UP(GUEST_TASK_TOP - gap - map_random_offset(m));
    return m;
}

gva_t
map_stack_top(const struct map *m)
{
    return m->stack_top;
}

uint64_t
map_random_offset(const struct map *m)
{
    if (!m->randomize) {
        return 0;
    }
    uint32_t v;
    nondet_random(&v, sizeof v);
    return (v & (RANDOM_PAGES - 1)) * GUEST_PAGE;
}

/*
 * Place a new mapping that the host made (`made`: its result) in the records; [start, end) is replaced. What was executable
 * and still is, is so at every moment: other threads may be running there.
 */
int64_t
map_adopt(struct map *m, const struct map_range *r, int64_t made)
{
    if (made < 0) {
        return made;
    }
    map_remove(m, r->start, r->end, !(r->prot & PROT_EXEC));
    int err = code_declare(m, r);
    if (err != 0) {
        engine_code_unmap(m->engine, r->start, r->end);
        map_host_unmap(r->start, r->end - r->start);
        return err;
    }
    map_insert(m, r);
    return (int64_t)r->start;
}

/* More than RLIMIT_AS, or (`data`: private and writable) than RLIMIT_DATA, allow. */
bool
map_over_limit(const struct map *m, uint64_t more, bool data)
{
    if (m->total + more > m->limit_as) {
        return true;
    }
    if (!data || m->limit_data == UINT64_MAX) {
        return false;
    }
    for (size_t i = 0; i < m->n; i++) {
        const struct map_range *r = &m->r[i];
        more += !r->shared && (r->prot & PROT_WRITE) && r->kind != MAP_KIND_STACK ? r->end - r->start : 0;
    }
    return more > m->limit_data;
}

static int64_t
mmap_locked(struct map *m, gva_t addr, uint64_t len, int prot, int flags, int fd, uint64_t off)
{
    uint64_t align = GUEST_PAGE;
    if (len == 0 || (off & (GUEST_PAGE - 1)) != 0) {
        return -EINVAL;
    }
    if (flags & MAP_HUGETLB) {
        unsigned shift = (unsigned)flags >> MAP_HUGE_SHIFT & MAP_HUGE_MASK;
        align = shift == 0 ? HUGE_PAGE : shift < 38 ? UINT64_C(1) << shift : GUEST_TOP;
        len = len > GUEST_TOP ? len : (len + align - 1) & -align;
    }
    if (len > GUEST_TASK_TOP) {
        return -ENOMEM;
    }
    len = PAGE_UP(len);
    bool fixed = flags & (MAP_FIXED | MAP_FIXED_NOREPLACE);
    if (fixed) {
        if (addr & (GUEST_PAGE - 1)) {
            return -EINVAL;
        }
        if (addr > GUEST_TASK_TOP - len) {
            return -ENOMEM;
        }
        if ((flags & MAP_FIXED_NOREPLACE) && !map_is_free(m, addr, addr + len)) {
            return -EEXIST;
        }
    } else {
        addr = PAGE_UP(addr) & -align;
        if (addr != 0 && addr < GUEST_MIN_ADDR) {
            addr = GUEST_MIN_ADDR;
        }
        if (addr == 0 || addr > GUEST_TASK_TOP - len || !map_is_free(m, addr, addr + len)) {
            bool huge = (flags & MAP_ANONYMOUS) && len % HUGE_PAGE == 0 && align < HUGE_PAGE;
            addr = huge ? map_find_hole(m, len, HUGE_PAGE) : 0;
            addr = addr != 0 ? addr : map_find_hole(m, len, align);
        }
        if (addr == 0) {
            return -ENOMEM;
        }
    }
    int type = flags & MAP_TYPE;
    bool shared = type == MAP_SHARED || type == MAP_SHARED_VALIDATE;
    if (map_over_limit(m, len, !shared && (prot & PROT_WRITE))) {
        return -ENOMEM;
    }
    if (map_reserve(m, 2) != 0) {
        return -ENOMEM;
    }
    /* MAP_32BIT, MAP_ABOVE4G: x86's. A guest's MAP_GROWSDOWN would grow where only the host sees it. */
    int host_flags = (flags & ~(0x40 | 0x80 | MAP_GROWSDOWN | MAP_FIXED_NOREPLACE)) | MAP_FIXED;
    if (m->lock_future & MCL_FUTURE) {
        host_flags |= MAP_LOCKED;
    }
    const bool private_file = type == MAP_PRIVATE && !(flags & MAP_ANONYMOUS);
    const bool changing = private_file && (host_syscall(SYS_fcntl, fd, F_GETFL) & O_ACCMODE) == O_RDWR;
    const struct map_range r = {addr, addr + len, (uint8_t)(prot & 7), MAP_KIND_NORMAL, shared, changing};
    code_cover(m, r.start, r.end, prot, false);
    int64_t made = host_syscall(SYS_mmap, map_host(addr), len, map_host_prot(prot), host_flags, fd, off);
    if (made < 0) {
        code_cover(m, r.start, r.end, prot, true);
    }
    made = map_adopt(m, &r, made);
    if (made >= 0 && private_file && !changing && (prot & (PROT_EXEC | PROT_WRITE)) == PROT_EXEC) {
        code_of_file(m, &r, fd, off);
    }
    return made;
}

int64_t
map_mmap(struct map *m, gva_t addr, uint64_t len, int prot, int flags, int fd, uint64_t off)
{
    map_lock(m);
    int64_t r = mmap_locked(m, addr, len, prot, flags, fd, off);
    map_unlock(m);
    return r;
}

int64_t
map_fixed(struct map *m, gva_t addr, uint64_t len, int prot, enum map_kind kind)
{
    const struct map_range r = {addr, addr + len, (uint8_t)prot, (uint8_t)kind, false, false};
    map_lock(m);
    int64_t ret = map_reserve(m, 2);
    if (ret == 0) {
        ret = map_adopt(m, &r,
                    host_syscall(SYS_mmap, map_host(addr), len, map_host_prot(prot),
                                 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0));
    }
    map_unlock(m);
    return ret;
}

/*
 * The host lets the stack grow, within its RLIMIT_STACK, as Linux on riscv64 would. The record names what is mapped at the
 * beginning; mmap_base keeps others away from the rest.
 */
int64_t
map_stack(struct map *m, uint64_t bytes, int prot)
{
    gva_t start = m->stack_top - bytes;
    const struct map_range r = {start, m->stack_top, (uint8_t)prot, MAP_KIND_STACK, false, false};
    map_lock(m);
    int64_t ret = map_reserve(m, 2);
    if (ret == 0) {
        int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_STACK | MAP_NORESERVE;
        ret = map_adopt(m, &r, host_syscall(SYS_mmap, map_host(start), bytes, map_host_prot(prot),
                                        guest_base == 0 ? flags | MAP_GROWSDOWN : flags, -1, 0));
    }
    map_unlock(m);
    return ret;
}

int64_t
map_munmap_locked(struct map *m, gva_t addr, uint64_t len)
{
    if ((addr & (GUEST_PAGE - 1)) != 0 || len == 0 || addr > GUEST_TASK_TOP || len > GUEST_TASK_TOP - addr) {
        return -EINVAL;
    }
    len = PAGE_UP(len);
    if (map_reserve(m, 1) != 0) {
        return -ENOMEM;
    }
    int64_t r = map_host_unmap(addr, len);
    if (r == 0) {
        map_remove(m, addr, addr + len, true);
    }
    return r;
}

int64_t
map_munmap(struct map *m, gva_t addr, uint64_t len)
{
    map_lock(m);
    int64_t r = map_munmap_locked(m, addr, len);
    map_unlock(m);
    return r;
}

/* Give [start, end), which has no hole, other permissions in the records. */
static int64_t
reprotect(struct map *m, gva_t start, gva_t end, uint8_t prot)
{
    while (start < end) {
        if (map_reserve(m, 2) != 0) {
            return -ENOMEM;
        }
        struct map_range piece = m->r[map_find(m, start)];
        piece.start = start;
        piece.end = piece.end < end ? piece.end : end;
        start = piece.end;
        if (piece.prot == prot) {
            continue;
        }
        /* What stays executable is so at every moment; as writable as it was, too, it keeps what is decoded. */
        bool stays = piece.prot & prot & PROT_EXEC;
        bool same_code = stays && ((piece.prot ^ prot) & PROT_WRITE) == 0;
        map_remove(m, piece.start, piece.end, !stays);
        piece.prot = prot;
        int err = same_code ? 0 : code_declare(m, &piece);
        map_insert(m, &piece);
        if (err != 0) {
            return err;
        }
    }
    return 0;
}

static int64_t
mprotect_locked(struct map *m, gva_t addr, uint64_t len, int prot)
{
    int grows = prot & (PROT_GROWSDOWN | PROT_GROWSUP);
    prot &= ~(PROT_GROWSDOWN | PROT_GROWSUP);
    if (grows == (PROT_GROWSDOWN | PROT_GROWSUP) || (addr & (GUEST_PAGE - 1)) != 0) {
        return -EINVAL;
    }
    if (len == 0) {
        return 0;
    }
    if (PAGE_UP(len) == 0 || addr + PAGE_UP(len) <= addr) {
        return -ENOMEM;
    }
    if (prot & ~(PROT_READ | PROT_WRITE | PROT_EXEC | GUEST_PROT_SEM)) {
        return -EINVAL;
    }
    if (!guest_range_ok(addr, PAGE_UP(len))) {
        return -ENOMEM;
    }
    gva_t end = addr + PAGE_UP(len);
    map_stack_sync(m, addr);
    gva_t reach = map_covered_to(m, addr, end);
    if (grows != 0 && reach > addr) {
        struct map_range r = m->r[map_find(m, addr)];
        if (grows == PROT_GROWSUP || r.kind != MAP_KIND_STACK) {
            return -EINVAL;
        }
        addr = r.start;
    }
    int64_t r = 0;
    if (reach > addr) {
        /* The host's stack may begin lower than the record knows. */
        int h = map_host_prot(prot) | (grows && guest_base == 0 ? PROT_GROWSDOWN : 0);
        r = host_syscall(SYS_mprotect, map_host(addr), reach - addr, h);
        int64_t err = r == 0 ? reprotect(m, addr, reach, (uint8_t)(prot & 7)) : 0;
        r = r != 0 ? r : err;
    }
    return r != 0 ? r : reach < end ? -ENOMEM : 0;
}

int64_t
map_mprotect(struct map *m, gva_t addr, uint64_t len, int prot)
{
    map_lock(m);
    int64_t r = mprotect_locked(m, addr, len, prot);
    map_unlock(m);
    return r;
}

/* Move or copy (old_len 0) the mapping at `old`, whose record is `r`, to `to`. */
static int64_t
move(struct map *m, struct map_range r, gva_t old, uint64_t old_len, uint64_t new_len, int flags, gva_t to)
{
    if (map_over_limit(m, new_len > old_len ? new_len - old_len : 0, false) || map_reserve(m, 4) != 0) {
        return -ENOMEM;
    }
    code_cover(m, to, to + new_len, r.prot, false);
    int64_t made = host_syscall(SYS_mremap, map_host(old), old_len, new_len,
                                (flags & MREMAP_DONTUNMAP) | MREMAP_MAYMOVE | MREMAP_FIXED, map_host(to));
    if (made < 0) {
        code_cover(m, to, to + new_len, r.prot, true);
        return made;
    }
    if (old_len != 0 && !(flags & MREMAP_DONTUNMAP)) {
        map_remove(m, old, old + old_len, true);
        if (guest_base != 0) {
            map_host_unmap(old, old_len);
        }
    } else if (flags & MREMAP_DONTUNMAP) {
        engine_code_invalidate(m->engine, old, old + old_len);
    }
    r.start = to;
    r.end = to + new_len;
    return map_adopt(m, &r, made);
}

static int64_t
mremap_locked(struct map *m, gva_t old, uint64_t old_len, uint64_t new_len, int flags, gva_t fixed)
{
    if ((flags & ~(MREMAP_FIXED | MREMAP_MAYMOVE | MREMAP_DONTUNMAP)) != 0 ||
        ((flags & (MREMAP_FIXED | MREMAP_DONTUNMAP)) != 0 && !(flags & MREMAP_MAYMOVE)) ||
        ((flags & MREMAP_DONTUNMAP) && old_len != new_len) || (old & (GUEST_PAGE - 1)) != 0) {
        return -EINVAL;
    }
    if (old_len > GUEST_TOP || new_len > GUEST_TOP || PAGE_UP(new_len) == 0) {
        return new_len == 0 || (flags & MREMAP_FIXED) ? -EINVAL : new_len > GUEST_TOP ? -ENOMEM : -EFAULT;
    }
    old_len = PAGE_UP(old_len);
    new_len = PAGE_UP(new_len);
    if (flags & (MREMAP_FIXED | MREMAP_DONTUNMAP)) {
        if ((fixed & (GUEST_PAGE - 1)) != 0 || fixed > GUEST_TASK_TOP || new_len > GUEST_TASK_TOP - fixed ||
            (fixed < old + old_len && old < fixed + new_len)) {
            return -EINVAL;
        }
    }
    map_stack_sync(m, old);
    if (!guest_range_ok(old, old_len) || map_covered_to(m, old, old + 1) == old) {
        return -EFAULT;
    }
    struct map_range r = m->r[map_find(m, old)];
    if (old_len == 0 && !r.shared) {
        return -EINVAL;
    }
    if (map_covered_to(m, old, old + old_len) != old + old_len) {
        return -EFAULT;
    }
    if (flags & (MREMAP_FIXED | MREMAP_DONTUNMAP)) {
        /* For MREMAP_DONTUNMAP alone the address is a hint. */
        bool take = (flags & MREMAP_FIXED) || (fixed >= GUEST_MIN_ADDR && map_is_free(m, fixed, fixed + new_len));
        gva_t to = take ? fixed : map_find_hole(m, new_len, GUEST_PAGE);
        return to == 0 ? -ENOMEM : move(m, r, old, old_len, new_len, flags, to);
    }
    if (old_len != 0 && new_len <= old_len) {
        int64_t err = new_len < old_len ? map_munmap_locked(m, old + new_len, old_len - new_len) : 0;
        return err != 0 ? err : (int64_t)old;
    }
    gva_t old_end = old + old_len;
    uint64_t more = new_len - old_len;
    if (map_over_limit(m, more, !r.shared && (r.prot & PROT_WRITE))) {
        return -ENOMEM;
    }
    if (old_len != 0 && r.end == old_end && more <= GUEST_TASK_TOP - old_end && map_is_free(m, old_end, old_end + more)) {
        if (map_reserve(m, 2) != 0) {
            return -ENOMEM;
        }
        if (guest_base != 0) {
            host_syscall(SYS_munmap, map_host(old_end), more);
        }
        int64_t made = host_syscall(SYS_mremap, map_host(old), old_len, new_len, 0);
        if (made >= 0) {
            const struct map_range tail = {old_end, old_end + more, r.prot, r.kind, r.shared, r.changing};
            made = map_adopt(m, &tail, made);
            return made < 0 ? made : (int64_t)old;
        }
        if (guest_base != 0) {
            map_host_unmap(old_end, more);
        }
        if (made != -ENOMEM) {
            return made;
        }
    }
    if (!(flags & MREMAP_MAYMOVE)) {
        return -ENOMEM;
    }
    bool huge = new_len % HUGE_PAGE == 0;
    gva_t to = huge ? map_find_hole(m, new_len, HUGE_PAGE) : 0;
    to = to != 0 ? to : map_find_hole(m, new_len, GUEST_PAGE);
    return to == 0 ? -ENOMEM : move(m, r, old, old_len, new_len, flags, to);
}

int64_t
map_mremap(struct map *m, gva_t old, uint64_t old_len, uint64_t new_len, int flags, gva_t fixed)
{
    map_lock(m);
    int64_t r = mremap_locked(m, old, old_len, new_len, flags, fixed);
    map_unlock(m);
    return r;
}

