/*
 * map.c - see map.h
 *
 * A sorted array of ranges, in memory of its own: the child of a fork may use it at once, whatever other threads' malloc was
 * doing. Rules and errors are those of mm/mmap.c, mm/mremap.c and mm/mprotect.c of Linux 6.12; what the host kernel checks
 * anyway (descriptors, access rights of files, shared mappings) is left to it.
 *
 *       0                                  mmap_base            stack_top   GUEST_TASK_TOP
 *       | program (fixed) | PIE | heap →  … ← mappings | gap | ← stack  |
 *
 * Trust: every number is the guest's.
 */
#include "process/map.h"

#include "base/check.h"
#include "base/nondet.h"
#include "process/host.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/shm.h>

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

void
map_lock(struct map *m)
{
    pthread_mutex_lock(&m->lock);
}

void
map_unlock(struct map *m)
{
    pthread_mutex_unlock(&m->lock);
}

/* ---- ranges ---- */

/* Index of the first range that ends above a. */
static size_t
find(const struct map *m, gva_t a)
{
    size_t lo = 0, hi = m->n;
    while (lo < hi) {
        size_t mid = (lo + hi) / 2;
        if (m->r[mid].end > a) {
            hi = mid;
        } else {
            lo = mid + 1;
        }
    }
    return lo;
}

/* Room for `extra` more ranges, so that what follows a change of the host's mappings cannot fail. */
static int
reserve(struct map *m, size_t extra)
{
    if (m->n + extra <= m->cap) {
        return 0;
    }
    size_t cap = m->cap == 0 ? 256 : m->cap * 2;
    void *p = m->cap == 0 ? mmap(NULL, cap * sizeof *m->r, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
                          : mremap(m->r, m->cap * sizeof *m->r, cap * sizeof *m->r, MREMAP_MAYMOVE);
    if (p == MAP_FAILED) {
        return -ENOMEM;
    }
    m->r = p;
    m->cap = cap;
    return 0;
}

static void
put_at(struct map *m, size_t i, const struct map_range *r)
{
    CHECK(m->n < m->cap);
    memmove(&m->r[i + 1], &m->r[i], (m->n - i) * sizeof *m->r);
    m->r[i] = *r;
    m->n++;
}

static void
drop_at(struct map *m, size_t i, size_t count)
{
    memmove(&m->r[i], &m->r[i + count], (m->n - i - count) * sizeof *m->r);
    m->n -= count;
}

static bool
alike(const struct map_range *a, const struct map_range *b)
{
    return a->prot == b->prot && a->kind == b->kind && a->shared == b->shared;
}

/* Forget [start, end); with `code`, executable parts leave the engine. Needs room for one more range. */
static void
ranges_remove(struct map *m, gva_t start, gva_t end, bool code)
{
    size_t i = find(m, start);
    if (i < m->n && m->r[i].start < start) {
        struct map_range left = m->r[i];
        left.end = start;
        m->r[i].start = start;
        put_at(m, i, &left);
        i++;
    }
    size_t first = i;
    for (; i < m->n && m->r[i].start < end; i++) {
        struct map_range *r = &m->r[i];
        gva_t stop = r->end < end ? r->end : end;
        if (code && (r->prot & PROT_EXEC)) {
            engine_code_unmap(m->engine, r->start, stop);
        }
        m->total -= stop - r->start;
        if (r->end > end) {
            r->start = end;
            break;
        }
    }
    drop_at(m, first, i - first);
}

/* Record a range where there is none. Needs room for one more. */
static void
ranges_insert(struct map *m, const struct map_range *r)
{
    size_t i = find(m, r->start);
    m->total += r->end - r->start;
    bool left = i > 0 && m->r[i - 1].end == r->start && alike(&m->r[i - 1], r);
    bool right = i < m->n && m->r[i].start == r->end && alike(&m->r[i], r);
    if (left && right) {
        m->r[i - 1].end = m->r[i].end;
        drop_at(m, i, 1);
    } else if (left) {
        m->r[i - 1].end = r->end;
    } else if (right) {
        m->r[i].start = r->start;
    } else {
        put_at(m, i, r);
    }
}

static bool
is_free(const struct map *m, gva_t start, gva_t end)
{
    size_t i = find(m, start);
    return i == m->n || m->r[i].start >= end;
}

/* How far from start, up to end, there is no hole. */
static gva_t
covered_to(const struct map *m, gva_t start, gva_t end)
{
    for (size_t i = find(m, start); i < m->n && start < end && m->r[i].start <= start; i++) {
        start = m->r[i].end;
    }
    return start < end ? start : end;
}

/* ---- the host's side ---- */

static void *
host_of(gva_t a)
{
    return (void *)(uintptr_t)(a + guest_base);
}

static int
host_prot(int prot)
{
    int h = prot & (PROT_READ | PROT_WRITE);
    /* RISC-V has no pages that can be written and not read. Code is read by whoever executes it. */
    return h | (prot & (PROT_WRITE | PROT_EXEC) ? PROT_READ : 0);
}

/* With a base the guest's range stays reserved, so that nothing of the host's gets into it. */
static int64_t
host_unmap(gva_t a, uint64_t len)
{
    if (guest_base == 0) {
        return host_syscall(SYS_munmap, host_of(a), len);
    }
    int64_t r = host_syscall(SYS_mmap, host_of(a), len, PROT_NONE,
                             MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0);
    return r < 0 ? r : 0;
}

static int
code_declare(struct map *m, const struct map_range *r)
{
    return r->prot & PROT_EXEC ? engine_code_map(m->engine, r->start, r->end, r->shared || (r->prot & PROT_WRITE)) : 0;
}

/* ---- holes ---- */

static gva_t
find_hole(const struct map *m, uint64_t len, uint64_t align)
{
    gva_t top = m->mmap_base;
    for (size_t i = find(m, top - 1) + 1; i-- > 0;) {
        gva_t low = 0;
        if (i < m->n) {
            if (m->r[i].start >= top) {
                continue;
            }
            low = m->r[i].end;
        }
        if (low < top && top - low >= len && ((top - len) & -align) >= low && ((top - len) & -align) >= GUEST_MIN_ADDR) {
            return (top - len) & -align;
        }
        if (i < m->n && m->r[i].start < top) {
            top = m->r[i].start;
        }
    }
    if (top >= len + GUEST_MIN_ADDR && is_free(m, (top - len) & -align, top)) {
        return (top - len) & -align;
    }
    /* Nothing below: as Linux does, anywhere above. */
    gva_t low = m->mmap_base;
    for (size_t i = find(m, low); low + len <= GUEST_TASK_TOP; i++) {
        gva_t start = (low + align - 1) & -align;
        gva_t end = i < m->n ? m->r[i].start : GUEST_TASK_TOP;
        if (start < end && end - start >= len) {
            return start;
        }
        if (i >= m->n) {
            break;
        }
        low = m->r[i].end;
    }
    return 0;
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
    if (reserve(m, 1) != 0) {
        err_set(e, -ENOMEM, "no memory");
        return NULL;
    }
    if (guest_base != 0 && host_syscall(SYS_mmap, guest_base, GUEST_TOP, PROT_NONE,
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

/* Place a new mapping that the host made (`made`: its result) in the records; [start, end) is replaced. */
static int64_t
adopt(struct map *m, const struct map_range *r, int64_t made)
{
    if (made < 0) {
        return made;
    }
    ranges_remove(m, r->start, r->end, true);
    int err = code_declare(m, r);
    if (err != 0) {
        host_unmap(r->start, r->end - r->start);
        return err;
    }
    ranges_insert(m, r);
    return (int64_t)r->start;
}

static bool
over_limit(const struct map *m, uint64_t more, bool data)
{
    return m->total + more > m->limit_as || (data && more > m->limit_data);
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
        if ((flags & MAP_FIXED_NOREPLACE) && !is_free(m, addr, addr + len)) {
            return -EEXIST;
        }
    } else {
        addr = PAGE_UP(addr) & -align;
        if (addr != 0 && addr < GUEST_MIN_ADDR) {
            addr = GUEST_MIN_ADDR;
        }
        if (addr == 0 || addr > GUEST_TASK_TOP - len || !is_free(m, addr, addr + len)) {
            bool huge = (flags & MAP_ANONYMOUS) && len % HUGE_PAGE == 0 && align < HUGE_PAGE;
            addr = huge ? find_hole(m, len, HUGE_PAGE) : 0;
            addr = addr != 0 ? addr : find_hole(m, len, align);
        }
        if (addr == 0) {
            return -ENOMEM;
        }
    }
    int type = flags & MAP_TYPE;
    bool shared = type == MAP_SHARED || type == MAP_SHARED_VALIDATE;
    if (over_limit(m, len, !shared && (prot & PROT_WRITE))) {
        return -ENOMEM;
    }
    if (reserve(m, 2) != 0) {
        return -ENOMEM;
    }
    /* MAP_32BIT, MAP_ABOVE4G: x86's. A guest's MAP_GROWSDOWN would grow where only the host sees it. */
    int host_flags = (flags & ~(0x40 | 0x80 | MAP_GROWSDOWN | MAP_FIXED_NOREPLACE)) | MAP_FIXED;
    if (m->lock_future & MCL_FUTURE) {
        host_flags |= MAP_LOCKED;
    }
    const struct map_range r = {addr, addr + len, (uint8_t)(prot & 7), MAP_KIND_NORMAL, shared};
    return adopt(m, &r, host_syscall(SYS_mmap, host_of(addr), len, host_prot(prot), host_flags, fd, off));
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
    const struct map_range r = {addr, addr + len, (uint8_t)prot, (uint8_t)kind, false};
    map_lock(m);
    int64_t ret = reserve(m, 2);
    if (ret == 0) {
        ret = adopt(m, &r,
                    host_syscall(SYS_mmap, host_of(addr), len, host_prot(prot),
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
    const struct map_range r = {start, m->stack_top, (uint8_t)prot, MAP_KIND_STACK, false};
    map_lock(m);
    int64_t ret = reserve(m, 2);
    if (ret == 0) {
        int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_STACK | MAP_NORESERVE;
        ret = adopt(m, &r, host_syscall(SYS_mmap, host_of(start), bytes, host_prot(prot),
                                        guest_base == 0 ? flags | MAP_GROWSDOWN : flags, -1, 0));
    }
    map_unlock(m);
    return ret;
}

static int64_t
munmap_locked(struct map *m, gva_t addr, uint64_t len)
{
    if ((addr & (GUEST_PAGE - 1)) != 0 || len == 0 || addr > GUEST_TASK_TOP || len > GUEST_TASK_TOP - addr) {
        return -EINVAL;
    }
    len = PAGE_UP(len);
    if (reserve(m, 1) != 0) {
        return -ENOMEM;
    }
    int64_t r = host_unmap(addr, len);
    if (r == 0) {
        ranges_remove(m, addr, addr + len, true);
    }
    return r;
}

int64_t
map_munmap(struct map *m, gva_t addr, uint64_t len)
{
    map_lock(m);
    int64_t r = munmap_locked(m, addr, len);
    map_unlock(m);
    return r;
}

/* Give [start, end), which has no hole, other permissions in the records. */
static int64_t
reprotect(struct map *m, gva_t start, gva_t end, uint8_t prot)
{
    while (start < end) {
        if (reserve(m, 2) != 0) {
            return -ENOMEM;
        }
        struct map_range piece = m->r[find(m, start)];
        piece.start = start;
        piece.end = piece.end < end ? piece.end : end;
        start = piece.end;
        if (piece.prot == prot) {
            continue;
        }
        /* What stays as executable and as writable as it was keeps what is decoded. */
        bool same_code = (piece.prot & prot & PROT_EXEC) && ((piece.prot ^ prot) & PROT_WRITE) == 0;
        ranges_remove(m, piece.start, piece.end, !same_code);
        piece.prot = prot;
        int err = same_code ? 0 : code_declare(m, &piece);
        ranges_insert(m, &piece);
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
    gva_t reach = covered_to(m, addr, end);
    if (grows == PROT_GROWSUP) {
        return -EINVAL;
    }
    if (grows && reach > addr) {
        struct map_range r = m->r[find(m, addr)];
        if (r.kind != MAP_KIND_STACK) {
            return -EINVAL;
        }
        addr = r.start;
    } else if (grows) {
        /* below what is recorded, but perhaps grown since */
        size_t i = find(m, addr);
        if (i == m->n || m->r[i].kind != MAP_KIND_STACK) {
            return -ENOMEM;
        }
        addr = m->r[i].start;
        reach = m->r[i].end;
    }
    int64_t r = 0;
    if (reach > addr) {
        /* The host's stack is longer than the record knows: let it find the beginning. */
        int h = host_prot(prot) | (grows && guest_base == 0 ? PROT_GROWSDOWN : 0);
        r = host_syscall(SYS_mprotect, host_of(addr), reach - addr, h);
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
    if (over_limit(m, new_len > old_len ? new_len - old_len : 0, false) || reserve(m, 4) != 0) {
        return -ENOMEM;
    }
    int64_t made = host_syscall(SYS_mremap, host_of(old), old_len, new_len,
                                (flags & MREMAP_DONTUNMAP) | MREMAP_MAYMOVE | MREMAP_FIXED, host_of(to));
    if (made < 0) {
        return made;
    }
    if (old_len != 0 && !(flags & MREMAP_DONTUNMAP)) {
        ranges_remove(m, old, old + old_len, true);
        if (guest_base != 0) {
            host_unmap(old, old_len);
        }
    } else if (flags & MREMAP_DONTUNMAP) {
        engine_code_invalidate(m->engine, old, old + old_len);
    }
    r.start = to;
    r.end = to + new_len;
    return adopt(m, &r, made);
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
    if (flags & MREMAP_FIXED) {
        if ((fixed & (GUEST_PAGE - 1)) != 0 || fixed > GUEST_TASK_TOP || new_len > GUEST_TASK_TOP - fixed ||
            (fixed < old + old_len && old < fixed + new_len)) {
            return -EINVAL;
        }
    }
    if (!guest_range_ok(old, old_len) || covered_to(m, old, old + 1) == old) {
        return -EFAULT;
    }
    struct map_range r = m->r[find(m, old)];
    if (old_len == 0 && !r.shared) {
        return -EINVAL;
    }
    if (covered_to(m, old, old + old_len) != old + old_len) {
        return -EFAULT;
    }
    if (flags & (MREMAP_FIXED | MREMAP_DONTUNMAP)) {
        gva_t to = flags & MREMAP_FIXED ? fixed : find_hole(m, new_len, GUEST_PAGE);
        return to == 0 ? -ENOMEM : move(m, r, old, old_len, new_len, flags, to);
    }
    if (old_len != 0 && new_len <= old_len) {
        int64_t err = new_len < old_len ? munmap_locked(m, old + new_len, old_len - new_len) : 0;
        return err != 0 ? err : (int64_t)old;
    }
    gva_t old_end = old + old_len;
    uint64_t more = new_len - old_len;
    if (over_limit(m, more, !r.shared && (r.prot & PROT_WRITE))) {
        return -ENOMEM;
    }
    if (old_len != 0 && r.end == old_end && more <= GUEST_TASK_TOP - old_end && is_free(m, old_end, old_end + more)) {
        if (reserve(m, 2) != 0) {
            return -ENOMEM;
        }
        if (guest_base != 0) {
            host_syscall(SYS_munmap, host_of(old_end), more);
        }
        int64_t made = host_syscall(SYS_mremap, host_of(old), old_len, new_len, 0);
        if (made >= 0) {
            const struct map_range tail = {old_end, old_end + more, r.prot, r.kind, r.shared};
            made = adopt(m, &tail, made);
            return made < 0 ? made : (int64_t)old;
        }
        if (guest_base != 0) {
            host_unmap(old_end, more);
        }
        if (made != -ENOMEM) {
            return made;
        }
    }
    if (!(flags & MREMAP_MAYMOVE)) {
        return -ENOMEM;
    }
    bool huge = new_len % HUGE_PAGE == 0;
    gva_t to = huge ? find_hole(m, new_len, HUGE_PAGE) : 0;
    to = to != 0 ? to : find_hole(m, new_len, GUEST_PAGE);
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

void
map_set_brk(struct map *m, gva_t start)
{
    m->brk_start = m->brk = start;
}

static int64_t
brk_locked(struct map *m, gva_t brk)
{
    if (brk < m->brk_start || brk > GUEST_TASK_TOP || brk - m->brk_start > m->limit_data) {
        return (int64_t)m->brk;
    }
    gva_t old_end = PAGE_UP(m->brk), end = PAGE_UP(brk);
    if (end < old_end) {
        if (munmap_locked(m, end, old_end - end) != 0) {
            return (int64_t)m->brk;
        }
    } else if (end > old_end) {
        uint64_t len = end - old_end;
        const struct map_range r = {old_end, end, PROT_READ | PROT_WRITE, MAP_KIND_HEAP, false};
        if (!is_free(m, old_end, end + GUEST_PAGE) || over_limit(m, len, true) || reserve(m, 2) != 0) {
            return (int64_t)m->brk;
        }
        int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | (m->lock_future & MCL_FUTURE ? MAP_LOCKED : 0);
        if (adopt(m, &r, host_syscall(SYS_mmap, host_of(old_end), len, PROT_READ | PROT_WRITE, flags, -1, 0)) < 0) {
            return (int64_t)m->brk;
        }
    }
    m->brk = brk;
    return (int64_t)brk;
}

int64_t
map_brk(struct map *m, gva_t brk)
{
    map_lock(m);
    int64_t r = brk_locked(m, brk);
    map_unlock(m);
    return r;
}

int64_t
map_madvise(struct map *m, gva_t addr, uint64_t len, int advice)
{
    if ((addr & (GUEST_PAGE - 1)) != 0 || PAGE_UP(len) < len) {
        return -EINVAL;
    }
    if (!guest_range_ok(addr, PAGE_UP(len))) {
        return -ENOMEM;
    }
    int64_t r = host_syscall(SYS_madvise, host_of(addr), len, advice);
    if (r == 0 && len != 0) {
        map_lock(m);
        r = covered_to(m, addr, addr + PAGE_UP(len)) == addr + PAGE_UP(len) ? 0 : -ENOMEM;
        /* Whatever gives pages back may have changed code. */
        engine_code_invalidate(m->engine, addr, addr + PAGE_UP(len));
        map_unlock(m);
    }
    return r;
}

/* The monitor's own reservations must not be locked: the guest's ranges are, one by one. */
int64_t
map_mlockall(struct map *m, int flags)
{
    if (flags == 0 || (flags & ~(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT)) != 0 || flags == MCL_ONFAULT) {
        return -EINVAL;
    }
    int64_t r = 0;
    map_lock(m);
    m->lock_future = flags & MCL_FUTURE ? flags : 0;
    for (size_t i = 0; i < m->n && r == 0 && (flags & MCL_CURRENT); i++) {
        if (m->r[i].prot != PROT_NONE) {
            r = host_syscall(SYS_mlock2, host_of(m->r[i].start), m->r[i].end - m->r[i].start,
                             flags & MCL_ONFAULT ? MLOCK_ONFAULT : 0);
        }
    }
    map_unlock(m);
    return r;
}

int64_t
map_munlockall(struct map *m)
{
    map_lock(m);
    m->lock_future = 0;
    for (size_t i = 0; i < m->n; i++) {
        host_syscall(SYS_munlock, host_of(m->r[i].start), m->r[i].end - m->r[i].start);
    }
    map_unlock(m);
    return 0;
}

int64_t
map_shmat(struct map *m, int id, gva_t addr, int flags)
{
    struct shmid_ds ds;
    int64_t r = host_syscall(SYS_shmctl, id, IPC_STAT, &ds);
    if (r < 0) {
        return r;
    }
    if (addr & (GUEST_PAGE - 1)) {
        if (!(flags & SHM_RND)) {
            return -EINVAL;
        }
        addr &= PAGE_MASK;
        if (addr == 0 && (flags & SHM_REMAP)) {
            return -EINVAL;
        }
    }
    uint64_t len = PAGE_UP(ds.shm_segsz);
    int prot = PROT_READ | (flags & SHM_RDONLY ? 0 : PROT_WRITE) | (flags & SHM_EXEC ? PROT_EXEC : 0);
    map_lock(m);
    addr = addr != 0 ? addr : len > GUEST_TASK_TOP ? 0 : find_hole(m, len, GUEST_PAGE);
    if (addr == 0 || over_limit(m, len, false) || reserve(m, 2) != 0) {
        r = -ENOMEM;
    } else if (addr > GUEST_TASK_TOP || len > GUEST_TASK_TOP - addr ||
               (!(flags & SHM_REMAP) && !is_free(m, addr, addr + len))) {
        r = -EINVAL;
    } else {
        const struct map_range range = {addr, addr + len, (uint8_t)prot, MAP_KIND_NORMAL, true};
        r = adopt(m, &range,
                  host_syscall(SYS_shmat, id, host_of(addr),
                               (flags & ~(SHM_EXEC | SHM_RND)) | (guest_base != 0 ? SHM_REMAP : 0)));
    }
    map_unlock(m);
    return r;
}

int64_t
map_shmdt(struct map *m, gva_t addr)
{
    if ((addr & (GUEST_PAGE - 1)) != 0 || addr >= GUEST_TASK_TOP) {
        return -EINVAL;
    }
    map_lock(m);
    int64_t r = reserve(m, 1) != 0 ? -ENOMEM : host_syscall(SYS_shmdt, host_of(addr));
    if (r == 0) {
        /* What the host has unmapped is one run of shared pages; mincore(2) finds its end. */
        size_t i = find(m, addr);
        gva_t end = i < m->n ? m->r[i].end : addr;
        gva_t a = addr;
        unsigned char vec;
        while (a < end && host_syscall(SYS_mincore, host_of(a), GUEST_PAGE, &vec) == -ENOMEM) {
            a += GUEST_PAGE;
        }
        ranges_remove(m, addr, a, true);
        if (guest_base != 0 && a > addr) {
            host_unmap(addr, a - addr);
        }
    }
    map_unlock(m);
    return r;
}

/* ---- questions ---- */

bool
map_covers(struct map *m, gva_t addr, uint64_t len, struct map_range *r)
{
    bool all = false;
    map_lock(m);
    size_t i = find(m, addr);
    if (i < m->n && m->r[i].start <= addr && guest_range_ok(addr, len)) {
        if (r != NULL) {
            *r = m->r[i];
        }
        all = covered_to(m, addr, addr + len) == addr + len;
    } else if (r != NULL) {
        *r = (struct map_range){.start = addr, .end = addr};
    }
    map_unlock(m);
    return all;
}

bool
map_next(struct map *m, gva_t addr, struct map_range *r)
{
    map_lock(m);
    size_t i = find(m, addr);
    bool found = i < m->n;
    if (found) {
        *r = m->r[i];
    }
    map_unlock(m);
    return found;
}

void
map_get_limits(struct map *m, uint64_t *as, uint64_t *data)
{
    *as = m->limit_as;
    *data = m->limit_data;
}

void
map_set_limits(struct map *m, uint64_t as, uint64_t data)
{
    map_lock(m);
    m->limit_as = as;
    m->limit_data = data;
    map_unlock(m);
}

uint64_t
map_total(struct map *m)
{
    return m->total;
}
