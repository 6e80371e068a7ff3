/*
 * sys_mem.c - system calls about memory: mmap and its kin, mlock, mincore
 *
 * map.c knows the guest's address space; here arguments are taken from registers and checked.
 */
#include "process/map.h"
#include "process/syscall.h"
#include "process/vfs.h"

#include <errno.h>
#include <limits.h>
#include <sys/mman.h>
#include <sys/uio.h>

static struct map *
map_of(const struct task *t)
{
    return t->proc->map;
}

int64_t
sys_mmap(struct task *t, const uint64_t a[6])
{
    int flags = (int)a[3], fd = (int)a[4];
    if (!(flags & MAP_ANONYMOUS) && !vfs_fd_ok(vfs_of(t), fd)) {
        return -EBADF;
    }
    return map_mmap(map_of(t), a[0], a[1], (int)a[2], flags, flags & MAP_ANONYMOUS ? -1 : fd, a[5]);
}

int64_t
sys_munmap(struct task *t, const uint64_t a[6])
{
    return map_munmap(map_of(t), a[0], a[1]);
}

int64_t
sys_mprotect(struct task *t, const uint64_t a[6])
{
    return map_mprotect(map_of(t), a[0], a[1], (int)a[2]);
}

/* There are no protection keys: pkey -1 is plain mprotect, and none can be allocated. */
int64_t
sys_pkey_mprotect(struct task *t, const uint64_t a[6])
{
    return (int)a[3] == -1 ? map_mprotect(map_of(t), a[0], a[1], (int)a[2]) : -EINVAL;
}

int64_t
sys_mremap(struct task *t, const uint64_t a[6])
{
    return map_mremap(map_of(t), a[0], a[1], a[2], (int)a[3], a[4]);
}

int64_t
sys_brk(struct task *t, const uint64_t a[6])
{
    return map_brk(map_of(t), a[0]);
}

int64_t
sys_madvise(struct task *t, const uint64_t a[6])
{
    return map_madvise(map_of(t), a[0], a[1], (int)a[2]);
}

/* Calls on a range: the host's, if the guest has all of the range. */
static int64_t
on_range(struct task *t, long nr, gva_t addr, uint64_t len, uint64_t arg)
{
    uint64_t whole = (len + addr % GUEST_PAGE + GUEST_PAGE - 1) & -(uint64_t)GUEST_PAGE;
    gva_t start = addr & -(uint64_t)GUEST_PAGE;
    if (whole < len) {
        return -EINVAL;
    }
    if (!guest_range_ok(start, whole)) {
        return -ENOMEM;
    }
    /* What lies before a hole is done; with a base the host does not see the hole. */
    uint64_t have = map_reach(map_of(t), start, whole);
    if (have < whole) {
        len = have > addr - start ? have - (addr - start) : 0;
    }
    int64_t r = len != 0 || whole == 0 ? host_syscall_restartable(t, nr, addr + guest_base, len, arg) : 0;
    return r == 0 && have < whole ? -ENOMEM : r;
}

int64_t
sys_msync(struct task *t, const uint64_t a[6])
{
    return a[0] % GUEST_PAGE != 0 ? -EINVAL : on_range(t, SYS_msync, a[0], a[1], a[2]);
}

int64_t
sys_mlock(struct task *t, const uint64_t a[6])
{
    return on_range(t, SYS_mlock, a[0], a[1], 0);
}

int64_t
sys_mlock2(struct task *t, const uint64_t a[6])
{
    return on_range(t, SYS_mlock2, a[0], a[1], a[2]);
}

int64_t
sys_munlock(struct task *t, const uint64_t a[6])
{
    return on_range(t, SYS_munlock, a[0], a[1], 0);
}

int64_t
sys_mlockall(struct task *t, const uint64_t a[6])
{
    return map_mlockall(map_of(t), (int)a[0]);
}

int64_t
sys_munlockall(struct task *t, const uint64_t a[6])
{
    (void)a;
    return map_munlockall(map_of(t));
}

int64_t
sys_mincore(struct task *t, const uint64_t a[6])
{
    uint64_t pages = a[1] / GUEST_PAGE + (a[1] % GUEST_PAGE != 0);
    if (a[0] % GUEST_PAGE != 0) {
        return -EINVAL;
    }
    if (!guest_range_ok(a[0], pages * GUEST_PAGE) || pages > GUEST_TOP / GUEST_PAGE) {
        return -ENOMEM;
    }
    if (!guest_range_ok(a[2], pages)) {
        return -EFAULT;
    }
    if (pages != 0 && !map_covers(map_of(t), a[0], pages * GUEST_PAGE, NULL)) {
        return -ENOMEM;
    }
    return host_syscall(SYS_mincore, a[0] + guest_base, a[1], g2h(a[2]));
}

/*
 * process_vm_readv and _writev: both vectors hold guest addresses. The other process is one of ours with the same base, or one
 * of the host's, whose low addresses then are all that can be named.
 */
static int64_t
process_vm(struct task *t, long nr, const uint64_t a[6])
{
    struct iovec local[IOV_MAX], remote[IOV_MAX];
    int64_t r = syscall_iovec(local, a[1], a[2]);
    r = r < 0 ? r : syscall_iovec(remote, a[3], a[4]);
    return r < 0 ? r : host_syscall_restartable(t, nr, a[0], local, a[2], remote, a[4], a[5]);
}

int64_t
sys_process_vm_readv(struct task *t, const uint64_t a[6])
{
    return process_vm(t, SYS_process_vm_readv, a);
}

int64_t
sys_process_vm_writev(struct task *t, const uint64_t a[6])
{
    return process_vm(t, SYS_process_vm_writev, a);
}

int64_t
sys_process_madvise(struct task *t, const uint64_t a[6])
{
    struct iovec v[IOV_MAX];
    if (!vfs_fd_ok(vfs_of(t), (int)a[0])) {
        return -EBADF;
    }
    int64_t r = syscall_iovec(v, a[1], a[2]);
    return r < 0 ? r : host_syscall(SYS_process_madvise, a[0], v, a[2], a[3], a[4]);
}

/* riscv_flush_icache(start, end, flags): arch/riscv/kernel/sys_riscv.c looks at the flags only. */
int64_t
sys_riscv_flush_icache(struct task *t, const uint64_t a[6])
{
    if (a[2] & ~UINT64_C(1)) {
        return -EINVAL;
    }
    map_lock(map_of(t));
    if (a[0] < a[1] && a[1] <= GUEST_TOP) {
        engine_code_invalidate(t->proc->engine, a[0], a[1]);
    } else {
        engine_code_sync(t->proc->engine);
    }
    map_unlock(map_of(t));
    return 0;
}
