/*
 * map_more.c - the heap, advice, locked memory and System V segments; see map.h
 */
#include "process/map_impl.h"

#include <errno.h>
#include <sys/mman.h>
#include <sys/shm.h>

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
        if (map_munmap_locked(m, end, old_end - end) != 0) {
            return (int64_t)m->brk;
        }
    } else if (end > old_end) {
        uint64_t len = end - old_end;
        const struct map_range r = {old_end, end, PROT_READ | PROT_WRITE, MAP_KIND_HEAP, false, false};
        if (!map_is_free(m, old_end, end + GUEST_PAGE) || map_over_limit(m, len, true) || map_reserve(m, 2) != 0) {
            return (int64_t)m->brk;
        }
        int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | (m->lock_future & MCL_FUTURE ? MAP_LOCKED : 0);
        if (map_adopt(m, &r, host_syscall(SYS_mmap, map_host(old_end), len, PROT_READ | PROT_WRITE, flags, -1, 0)) < 0) {
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
    int64_t r = host_syscall(SYS_madvise, map_host(addr), len, advice);
    if (r == 0 && len != 0) {
        map_lock(m);
        r = map_covered_to(m, addr, addr + PAGE_UP(len)) == addr + PAGE_UP(len) ? 0 : -ENOMEM;
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
            r = host_syscall(SYS_mlock2, map_host(m->r[i].start), m->r[i].end - m->r[i].start,
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
        host_syscall(SYS_munlock, map_host(m->r[i].start), m->r[i].end - m->r[i].start);
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
    addr = addr != 0 ? addr : len > GUEST_TASK_TOP ? 0 : map_find_hole(m, len, GUEST_PAGE);
    if (addr == 0 || map_over_limit(m, len, false) || map_reserve(m, 2) != 0) {
        r = -ENOMEM;
    } else if (addr > GUEST_TASK_TOP || len > GUEST_TASK_TOP - addr ||
               (!(flags & SHM_REMAP) && !map_is_free(m, addr, addr + len))) {
        r = -EINVAL;
    } else {
        const struct map_range range = {addr, addr + len, (uint8_t)prot, MAP_KIND_NORMAL, true, false};
        r = map_adopt(m, &range,
                  host_syscall(SYS_shmat, id, map_host(addr),
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
    int64_t r = map_reserve(m, 1) != 0 ? -ENOMEM : host_syscall(SYS_shmdt, map_host(addr));
    if (r == 0) {
        /* What the host has unmapped is one run of shared pages; mincore(2) finds its end. */
        size_t i = map_find(m, addr);
        gva_t end = i < m->n ? m->r[i].end : addr;
        gva_t a = addr;
        unsigned char vec;
        while (a < end && host_syscall(SYS_mincore, map_host(a), GUEST_PAGE, &vec) == -ENOMEM) {
            a += GUEST_PAGE;
        }
        map_remove(m, addr, a, true);
        if (guest_base != 0 && a > addr) {
            map_host_unmap(addr, a - addr);
        }
    }
    map_unlock(m);
    return r;
}

