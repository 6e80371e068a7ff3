/*
 * sys_fd.c - system calls that make, copy and describe descriptors
 *
 * RLIMIT_NOFILE is enforced here, for the host's is the monitor's. The guest can neither name, close, overwrite nor inherit the monitor's own
 * descriptors (vfs_fd_ok); they make room for it (vfs_fd.c).
 */
#include "process/syscall.h"
#include "process/vfs.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>

enum { NR_SIGNALFD4 = 74 }; /* whose result may be a descriptor that it was given */

/* ---- the limit ---- */

uint64_t
fd_limit(const struct task *t)
{
    uint64_t top = (uint64_t)vfs_fd_top(vfs_of(t));
    return t->proc->nofile < top ? t->proc->nofile : top;
}

/* The kernel gives the lowest number that is free: there is room as long as the last one has not been given. */
bool
fd_room(struct task *t)
{
    if (!atomic_load_explicit(&t->proc->nofile_near, memory_order_relaxed)) {
        return true;
    }
    int64_t lowest = vfs_fd_lowest(vfs_of(t));
    return lowest >= 0 && (uint64_t)lowest < fd_limit(t);
}

void
fds_renumber(struct run_options *o, const struct vfs *v)
{
    o->log_fd = vfs_fd_number(v, o->log_fd);
    o->gdb_fd = vfs_fd_number(v, o->gdb_fd);
    o->self_fd = vfs_fd_number(v, o->self_fd);
    o->cache_fd = vfs_fd_number(v, o->cache_fd);
    o->prof_svg_fd = vfs_fd_number(v, o->prof_svg_fd);
    o->prof_json_fd = vfs_fd_number(v, o->prof_json_fd);
}

HOT void
fds_moved(struct task *t)
{
    struct process *p = t->proc;
    fds_renumber(p->opt, p->vfs);
    engine_cache_moved(p->engine, p->opt->cache_fd);
}

int
fds_apart(struct task *t)
{
    struct vfs *v = vfs_of(t);
    if (vfs_fd_edge(v) == vfs_fd_top(v)) {
        return 0;
    }
    const int r = vfs_fd_raise(v);
    if (r == 0) {
        fds_moved(t);
    }
    return r;
}

int
fds_far(struct task *t)
{
    return vfs_fd_go_far(vfs_of(t)) ? fds_apart(t) : 0;
}

HOT int64_t
fd_made(struct task *t, int64_t r)
{
    uint64_t limit = fd_limit(t);
    if (r >= VFS_FD_NEAR && fds_far(t) != 0) {
        host_syscall(SYS_close, r);
        return -EMFILE;
    }
    if (r < 0 || (uint64_t)r + 1 < limit) {
        return r;
    }
    atomic_store_explicit(&t->proc->nofile_near, true, memory_order_relaxed);
    if ((uint64_t)r < limit || (t->syscall_nr == NR_SIGNALFD4 && r == (int)t->syscall_args[0])) {
        return r;
    }
    host_syscall(SYS_close, r);
    return -EMFILE;
}

void
fd_limit_changed(struct task *t)
{
    uint64_t limit = fd_limit(t);
    bool near = limit == 0 || host_syscall(SYS_fcntl, limit - 1, F_GETFD) >= 0;
    atomic_store_explicit(&t->proc->nofile_near, near, memory_order_relaxed);
}

/* Two at once: what has been made is not seen by anybody when it is closed again. */
static int64_t
pair_made(struct task *t, const int fds[2])
{
    int64_t a = fd_made(t, fds[0]), b = fd_made(t, fds[1]);
    if (a >= 0 && b >= 0) {
        return 0;
    }
    host_syscall(SYS_close, a >= 0 ? a : b);
    return -EMFILE;
}

int64_t
fd_pair(struct task *t, int64_t r, const int fds[2], gva_t to)
{
    r = r < 0 ? r : pair_made(t, fds);
    if (r == 0 && guest_write(to, fds, 2 * sizeof *fds) < 0) {
        host_syscall(SYS_close, fds[0]);
        host_syscall(SYS_close, fds[1]);
        return -EFAULT;
    }
    return r;
}

/* ---- the calls ---- */

HOT int64_t
sys_dup3(struct task *t, const uint64_t a[6])
{
    const struct vfs *v = vfs_of(t);
    if (!vfs_fd_ok(v, (int)a[0]) || (uint32_t)a[1] >= fd_limit(t)) {
        bool same = (int)a[0] == (int)a[1] || (a[2] & ~(uint64_t)O_CLOEXEC) != 0; /* what is looked at first */
        return same ? -EINVAL : -EBADF;
    }
    if ((uint32_t)a[1] >= VFS_FD_NEAR && fds_far(t) != 0) {
        return -EMFILE;
    }
    return fd_made(t, host_syscall_restartable(t, SYS_dup3, a[0], a[1], a[2]));
}

HOT int64_t
sys_pipe2(struct task *t, const uint64_t a[6])
{
    int fds[2] = {-1, -1};
    return fd_pair(t, host_syscall(SYS_pipe2, fds, a[1]), fds, a[0]);
}

int64_t
sys_close_range(struct task *t, const uint64_t a[6])
{
    uint32_t first = (uint32_t)a[0], last = (uint32_t)a[1], edge = (uint32_t)vfs_fd_edge(vfs_of(t));
    if (first > last || first < edge) {
        return host_syscall(SYS_close_range, first, last < edge || first > last ? last : edge - 1, a[2]);
    }
    /* Nothing of the guest's is there; the flags still count. */
    return (a[2] & ~(uint64_t)(CLOSE_RANGE_UNSHARE | CLOSE_RANGE_CLOEXEC)) != 0 ? -EINVAL : 0;
}

/* Numbers of another process's: ours are not there for anybody. */
int64_t
sys_pidfd_getfd(struct task *t, const uint64_t a[6])
{
    const struct vfs *v = vfs_of(t);
    const int pidfd = (int)a[0], fd = (int)a[1];
    if (!vfs_fd_ok(v, pidfd)) {
        return -EBADF;
    }
    if (fd >= VFS_FD_NEAR && (a[2] & UINT32_MAX) == 0 && procfs_fd_is_hidden(v, pidfd, fd)) {
        return -EBADF;
    }
    return host_syscall(SYS_pidfd_getfd, pidfd, fd, a[2]);
}

/* struct flock and f_owner_ex are the same on riscv64. */
int64_t
sys_fcntl(struct task *t, const uint64_t a[6])
{
    const struct vfs *v = vfs_of(t);
    const int fd = (int)a[0], cmd = (int)a[1];
    const int64_t number = (int)a[2]; /* where it is one, the kernel takes an int */
    if (!vfs_fd_ok(v, fd)) {
        return -EBADF;
    }
    switch (cmd) {
    case F_DUPFD:
    case F_DUPFD_CLOEXEC:
        if ((uint32_t)number >= fd_limit(t)) {
            return host_syscall(SYS_fcntl, fd, F_GETFD) < 0 ? -EBADF : -EINVAL;
        }
        if (number >= VFS_FD_NEAR && fds_far(t) != 0) {
            return -EMFILE;
        }
        return fd_made(t, host_syscall(SYS_fcntl, fd, cmd, number));
    case F_GETFD:
    case F_SETFD:
    case F_GETFL:
    case F_SETFL:
    case F_SETOWN:
    case F_GETOWN:
    case F_SETSIG:
    case F_GETSIG:
    case F_SETLEASE:
    case F_GETLEASE:
    case F_NOTIFY:
    case F_SETPIPE_SZ:
    case F_GETPIPE_SZ:
    case F_ADD_SEALS:
    case F_GET_SEALS:
        return host_syscall(SYS_fcntl, fd, cmd, number);
    case F_SETLKW:
    case F_OFD_SETLKW:
        return host_syscall_restartable(t, SYS_fcntl, fd, cmd, g2h(a[2]));
    case F_GETLK:
    case F_SETLK:
    case F_OFD_GETLK:
    case F_OFD_SETLK:
    case F_SETOWN_EX:
    case F_GETOWN_EX:
    case F_GET_RW_HINT:
    case F_SET_RW_HINT:
    case F_GET_FILE_RW_HINT:
    case F_SET_FILE_RW_HINT:
        return host_syscall(SYS_fcntl, fd, cmd, g2h(a[2]));
    case 17: /* F_GETOWNER_UIDS */
        return host_syscall(SYS_fcntl, fd, cmd, g2h(a[2]));
    default:
        return -EINVAL;
    }
}
