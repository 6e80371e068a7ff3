/*
 * vfs_fd.c - which numbers the monitor's descriptors have
 *
 * At each fork the kernel makes a table as long as the highest number that is open, which takes 15 µs for 20,000 slots. So ours are no
 * higher than they must be:
 *
 *      0 … the guest's … VFS_FD_NEAR        VFS_FD_LOW  ours …                      low
 *      0 … the guest's …                                            top  ours …     high
 *
 * They are low while every number of the guest's is below VFS_FD_NEAR. The kernel gives the lowest that is free, so a call cannot reach
 * ours unless it makes more than there are between the two, and whoever sees a number from NEAR on, or is asked for one, moves
 * ours up before anything else happens (vfs_fd_raise). So does whatever lets somebody else use the table, who would not tell.
 * They come down at an execve (vfs_fd_lower) if the guest has never gone far.
 *
 * Where the limit leaves no room for both places they are high from the start.
 *
 * Threads: those of a process with one user of its table while they are low; any, afterwards. A child of vfork has a table of its own, but
 * this memory is its parent's: what it has moved counts for it alone (vfs_vfork_end), and vfs_fd_number() may be asked twice.
 */
#include "process/vfs_impl.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>

#define VFS_OWN_FDS     64
#define VFS_OWN_FDS_MAX 1024 /* where the limit allows it */
#define VFS_TOP_MAX     32768
#define VFS_TOP_MIN     64
#define LOW_ROOM        512 /* more than we ever have: two for a mount, a dozen others */

struct dirent64 { /* struct linux_dirent64 */
    uint64_t ino;
    int64_t off;
    uint16_t len;
    uint8_t type;
    char name[];
};

/* Some number from VFS_FD_NEAR on is open: always asked before there is one of ours. */
static bool
far_at_start(void)
{
    _Alignas(8) char buf[4096];
    bool far = true;
    int64_t n, dir = host_syscall(SYS_openat, AT_FDCWD, "/proc/self/fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (dir < 0) {
        return far;
    }
    far = false;
    do {
        n = host_syscall(SYS_getdents64, dir, buf, sizeof buf);
        for (int64_t at = 0; at < n;) {
            const struct dirent64 *e = (const void *)(buf + at);
            far |= atoi(e->name) >= VFS_FD_NEAR;
            at += e->len;
        }
    } while (n > (int64_t)sizeof buf / 2); /* else there was room for more */
    host_syscall(SYS_close, dir);
    return far || n < 0;
}

static bool
low_is_possible(const struct vfs *v)
{
    return v->top >= VFS_FD_LOW + LOW_ROOM;
}

int
vfs_fd_start(struct vfs *v, struct err *e)
{
    struct rlimit rl;
    int64_t r = host_syscall(SYS_prlimit64, 0, RLIMIT_NOFILE, NULL, &rl);
    if (r == 0 && rl.rlim_cur != rl.rlim_max) {
        rl.rlim_cur = rl.rlim_max;
        r = host_syscall(SYS_prlimit64, 0, RLIMIT_NOFILE, &rl, NULL);
    }
    if (r < 0) {
        return err_set(e, (int)r, "limit of open files");
    }
    const uint64_t top = rl.rlim_max < VFS_TOP_MAX + VFS_OWN_FDS_MAX ? rl.rlim_max - VFS_OWN_FDS : VFS_TOP_MAX;
    if (rl.rlim_max < VFS_TOP_MIN + VFS_OWN_FDS) {
        err_set(e, 0, "no more than %llu files may be open (ulimit -n), and doppel needs %d", (unsigned long long)rl.rlim_max,
                VFS_TOP_MIN + VFS_OWN_FDS);
        return -EMFILE;
    }
    v->top = (int)top;
    v->own_max = top == VFS_TOP_MAX ? LOW_ROOM : VFS_OWN_FDS;
    if (v->edge != VFS_FD_LOW || !low_is_possible(v)) { /* not loaded, or high */
        const bool fresh = v->edge == 0;
        v->far = v->far || (fresh && far_at_start());
        v->edge = fresh && !v->far && low_is_possible(v) ? VFS_FD_LOW : v->top;
        v->own_end = fresh ? v->edge : v->own_end;
    }
    return 0;
}

int
vfs_fd_top(const struct vfs *v)
{
    return v->top;
}

int
vfs_fd_edge(const struct vfs *v)
{
    return v->edge;
}

int
vfs_fd_lowest(const struct vfs *v)
{
    int64_t fd = host_syscall(SYS_fcntl, v->true_root, F_DUPFD_CLOEXEC, 0);
    if (fd >= 0) {
        host_syscall(SYS_close, fd);
    }
    return (int)fd;
}

HOT bool
vfs_fd_ok(const struct vfs *v, int fd)
{
    return fd < v->edge;
}

int
vfs_fd_own(struct vfs *v, int fd)
{
    int64_t r = host_syscall(SYS_fcntl, fd, F_DUPFD_CLOEXEC, v->edge + OWN_FD_FIRST);
    if (r >= v->edge + v->own_max) { /* there would be no place to move it to */
        host_syscall(SYS_close, r);
        return -EMFILE;
    }
    /* Threads may come here at once, but then nothing moves any more. */
    v->own_end = r >= v->own_end ? (int)r + 1 : v->own_end;
    return (int)r;
}

int
vfs_fd_hide(struct vfs *v, int fd)
{
    const int r = vfs_fd_own(v, fd);
    host_syscall(SYS_close, fd);
    return r;
}

int
vfs_fd_number(const struct vfs *v, int fd)
{
    if (fd <= 0 || !low_is_possible(v)) {
        return fd;
    }
    if (v->edge == VFS_FD_LOW) {
        return fd >= v->top ? fd - v->top + VFS_FD_LOW : fd;
    }
    return fd < v->top ? fd - VFS_FD_LOW + v->top : fd;
}

void
vfs_fd_renumber(struct vfs *v)
{
    v->true_root = vfs_fd_number(v, v->true_root);
    v->root = vfs_fd_number(v, v->root);
    v->table_fd = vfs_fd_number(v, v->table_fd);
    v->owners_fd = vfs_fd_number(v, v->owners_fd);
    v->scratch = vfs_fd_number(v, v->scratch);
    v->own_end = vfs_fd_number(v, v->own_end);
    for (unsigned i = 0; i < mount_count(v->table); i++) {
        v->mount_fd[i] = vfs_fd_number(v, v->mount_fd[i]);
        v->place_fd[i] = vfs_fd_number(v, v->place_fd[i]);
    }
}

/* The highest first: with it the table has grown, and then nothing fails. */
static int
move_to(struct vfs *v, int to)
{
    for (int fd = v->own_end; fd-- > v->edge;) {
        int64_t r = host_syscall(SYS_dup3, fd, fd - v->edge + to, O_CLOEXEC);
        if (r >= 0) {
            host_syscall(SYS_close, fd);
        } else if (r != -EBADF) {
            return (int)r;
        }
    }
    v->edge = to;
    vfs_fd_renumber(v);
    return 0;
}

int
vfs_fd_raise(struct vfs *v)
{
    return v->edge == v->top ? 0 : move_to(v, v->top);
}

void
vfs_fd_lower(struct vfs *v)
{
    if (v->edge != VFS_FD_LOW && !v->far && low_is_possible(v)) {
        move_to(v, VFS_FD_LOW); /* or not: it is no matter of right or wrong */
    }
}

bool
vfs_fd_go_far(struct vfs *v)
{
    const bool was = v->far;
    v->far = true;
    return !was;
}
