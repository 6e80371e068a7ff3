/*
 * sys_fd.c - system calls that make, copy and describe descriptors
 *
 * The monitor's own descriptors have numbers from vfs_fd_top() up: the guest can neither name, close, overwrite nor
 * inherit them (vfs_fd_ok).
 */
#include "process/syscall.h"
#include "process/vfs.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>

int64_t
sys_dup3(struct task *t, const uint64_t a[6])
{
    const struct vfs *v = vfs_of(t);
    if (!vfs_fd_ok(v, (int)a[0]) || !vfs_fd_ok(v, (int)a[1])) {
        return -EBADF;
    }
    return host_syscall_restartable(t, SYS_dup3, a[0], a[1], a[2]);
}

int64_t
sys_pipe2(struct task *t, const uint64_t a[6])
{
    int fds[2];
    (void)t;
    int64_t r = host_syscall(SYS_pipe2, fds, a[1]);
    if (r == 0 && guest_write(a[0], fds, sizeof fds) < 0) {
        host_syscall(SYS_close, fds[0]);
        host_syscall(SYS_close, fds[1]);
        return -EFAULT;
    }
    return r;
}

int64_t
sys_close_range(struct task *t, const uint64_t a[6])
{
    uint32_t first = (uint32_t)a[0], last = (uint32_t)a[1], top = (uint32_t)vfs_fd_top(vfs_of(t));
    if (first > last || first < top) {
        return host_syscall(SYS_close_range, first, last < top || first > last ? last : top - 1, a[2]);
    }
    /* Nothing of the guest's is there; the flags still count. */
    return (a[2] & ~(uint64_t)(CLOSE_RANGE_UNSHARE | CLOSE_RANGE_CLOEXEC)) != 0 ? -EINVAL : 0;
}

/* struct flock and f_owner_ex are the same on riscv64. */
int64_t
sys_fcntl(struct task *t, const uint64_t a[6])
{
    const struct vfs *v = vfs_of(t);
    int fd = (int)a[0], cmd = (int)a[1];
    if (!vfs_fd_ok(v, fd)) {
        return -EBADF;
    }
    switch (cmd) {
    case F_DUPFD:
    case F_DUPFD_CLOEXEC:
        if (a[2] >= (uint64_t)vfs_fd_top(v)) {
            return -EINVAL;
        } else {
            int64_t r = host_syscall(SYS_fcntl, fd, cmd, a[2]);
            if (r >= vfs_fd_top(v)) {
                host_syscall(SYS_close, r);
                return -EMFILE;
            }
            return r;
        }
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
        return host_syscall(SYS_fcntl, fd, cmd, a[2]);
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
