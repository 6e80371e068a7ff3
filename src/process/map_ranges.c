/*
 * map_ranges.c - the records of map.h: a sorted array of ranges, holes, questions
 *
 * In memory of its own: the child of a fork may use it at once, whatever other threads' malloc was doing.
 */
#include "process/map_impl.h"

#include "base/check.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

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
size_t
map_find(const struct map *m, gva_t a)
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
int
map_reserve(struct map *m, size_t extra)
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
    return a->prot == b->prot && a->kind == b->kind && a->shared == b->shared && a->changing == b->changing;
}

/* Forget [start, end); with `code`, executable parts leave the engine. Needs room for one more range. */
void
map_remove(struct map *m, gva_t start, gva_t end, bool code)
{
    size_t i = map_find(m, start);
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
void
map_insert(struct map *m, const struct map_range *r)
{
    size_t i = map_find(m, r->start);
    m->total += r->end - r->start;
    if (r->shared) {
        engine_shares_memory(m->engine);
    }
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

bool
map_is_free(const struct map *m, gva_t start, gva_t end)
{
    size_t i = map_find(m, start);
    return i == m->n || m->r[i].start >= end;
}

/* How far from start, up to end, there is no hole. */
gva_t
map_covered_to(const struct map *m, gva_t start, gva_t end)
{
    for (size_t i = map_find(m, start); i < m->n && start < end && m->r[i].start <= start; i++) {
        start = m->r[i].end;
    }
    return start < end ? start : end;
}

static bool
host_has(gva_t a)
{
    unsigned char vec;
    return host_syscall(SYS_mincore, map_host(a & PAGE_MASK), GUEST_PAGE, &vec) != -ENOMEM;
}

void
map_stack_sync(struct map *m, gva_t a)
{
    size_t i = map_find(m, a);
    a &= PAGE_MASK;
    if (guest_base == 0 && i < m->n && m->r[i].kind == MAP_KIND_STACK && m->r[i].start > a && host_has(a)) {
        m->total += m->r[i].start - a;
        m->r[i].start = a;
    }
}

/* ---- holes ---- */

gva_t
map_find_hole(const struct map *m, uint64_t len, uint64_t align)
{
    gva_t top = m->mmap_base;
    size_t i = map_find(m, top - 1);
    if (i < m->n && m->r[i].start < top) {
        top = m->r[i].start;
    }
    /* [low, top) is free, and range i - 1 ends at low. */
    for (;; i--) {
        gva_t low = i > 0 && m->r[i - 1].end > GUEST_MIN_ADDR ? m->r[i - 1].end : GUEST_MIN_ADDR;
        if (low < top && top - low >= len && ((top - len) & -align) >= low) {
            return (top - len) & -align;
        }
        if (i == 0) {
            break;
        }
        top = m->r[i - 1].start;
    }
    /* Nothing below: as Linux does, anywhere above. */
    gva_t low = m->mmap_base;
    for (i = map_find(m, low); low + len <= GUEST_TASK_TOP; i++) {
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

/* ---- questions ---- */

bool
map_covers(struct map *m, gva_t addr, uint64_t len, struct map_range *r)
{
    bool all = false;
    map_lock(m);
    map_stack_sync(m, addr);
    size_t i = map_find(m, addr);
    if (i < m->n && m->r[i].start <= addr && guest_range_ok(addr, len)) {
        if (r != NULL) {
            *r = m->r[i];
        }
        all = map_covered_to(m, addr, addr + len) == addr + len;
    } else if (r != NULL) {
        *r = (struct map_range){.start = addr, .end = addr};
    }
    map_unlock(m);
    return all;
}

uint64_t
map_reach(struct map *m, gva_t addr, uint64_t len)
{
    map_lock(m);
    map_stack_sync(m, addr);
    uint64_t n = map_covered_to(m, addr, addr + len) - addr;
    map_unlock(m);
    return n;
}

bool
map_next(struct map *m, gva_t addr, struct map_range *r)
{
    map_lock(m);
    size_t i = map_find(m, addr);
    bool found = i < m->n;
    if (found) {
        if (m->r[i].kind == MAP_KIND_STACK) {
            /* Down in steps that double, then halve: where does it begin? */
            for (uint64_t step = GUEST_PAGE; step != 0 && host_has(m->r[i].start - step); step *= 2) {
                map_stack_sync(m, m->r[i].start - step);
            }
            for (uint64_t step = UINT64_C(1) << 24; step >= GUEST_PAGE; step /= 2) {
                map_stack_sync(m, m->r[i].start - step);
            }
        }
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
