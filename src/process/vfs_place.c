/*
 * vfs_place.c - where the guest is: current directory, root, mounts, and addresses of sockets
 *
 * See vfs.h. The current directory is the host process's.
 */
#include "process/vfs_impl.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>

int64_t
vfs_chdir(struct task *t, const char *path)
{
    struct vfs_at at;
    int64_t r = vfs_resolve(t, AT_FDCWD, path, RESOLVE_FOLLOW | RESOLVE_READ, &at);
    if (r < 0) {
        return r;
    }
    if (at.direct) {
        r = host_syscall(SYS_chdir, at.name);
    } else {
        char buf[PATH_MAX];
        const char *host;
        r = vfs_at_path(&at, true, &host, buf);
        if (r == 0) {
            r = host_syscall(SYS_fchdir, at.dir);
        }
    }
    vfs_at_done(&at);
    return r;
}

int64_t
vfs_fchdir(struct task *t, int fd)
{
    return vfs_fd_ok(vfs_of(t), fd) ? host_syscall(SYS_fchdir, fd) : -EBADF;
}

int64_t
vfs_getcwd(struct task *t, char *buf, size_t cap)
{
    (void)t;
    return host_syscall(SYS_getcwd, buf, cap);
}

int64_t
vfs_chroot(struct task *t, const char *path)
{
    (void)t;
    return host_syscall(SYS_chroot, path);
}

int64_t
vfs_pivot_root(struct task *t, const char *new_root, const char *put_old)
{
    (void)t;
    return host_syscall(SYS_pivot_root, new_root, put_old);
}

int64_t
vfs_mount(struct task *t, const char *source, const char *target, const char *type, unsigned long flags,
          const char *data)
{
    (void)t;
    return host_syscall(SYS_mount, source, target, type, flags, data);
}

int64_t
vfs_umount2(struct task *t, const char *target, int flags)
{
    (void)t;
    return host_syscall(SYS_umount2, target, flags);
}

int64_t
vfs_addr_in(struct task *t, const void *addr, uint32_t len, bool create, struct vfs_addr *out)
{
    struct sockaddr_un un;
    struct vfs_at at;
    char path[sizeof un.sun_path + 1];
    if (len > sizeof out->bytes) {
        return -EINVAL;
    }
    memcpy(out->bytes, addr, len);
    out->len = len;
    out->fd = -1;
    out->bound = false;
    if (len > sizeof un) {
        return 0; /* too long for AF_UNIX, whose path is all that matters here: the kernel says what is wrong */
    }
    memset(&un, 0, sizeof un);
    memcpy(&un, addr, len);
    size_t head = offsetof(struct sockaddr_un, sun_path);
    if (len <= head || un.sun_family != AF_UNIX || un.sun_path[0] == '\0') {
        return 0;
    }
    memcpy(path, un.sun_path, len - head);
    path[len - head] = '\0';
    int64_t r = vfs_resolve(t, AT_FDCWD, path, create ? RESOLVE_ENTRY : RESOLVE_FOLLOW, &at);
    if (r < 0) {
        return r;
    }
    if (at.direct) {
        return 0;
    }
    int n = at.name[0] == '\0' ? snprintf(un.sun_path, sizeof un.sun_path, "/proc/self/fd/%d", at.dir)
                               : snprintf(un.sun_path, sizeof un.sun_path, "/proc/self/fd/%d/%s", at.dir, at.name);
    if (n < 0 || (size_t)n >= sizeof un.sun_path || at.read_only) {
        vfs_at_done(&at);
        return at.read_only ? -EROFS : -ENAMETOOLONG;
    }
    out->len = (uint32_t)(head + (size_t)n + 1);
    memcpy(out->bytes, &un, out->len);
    out->fd = at.own ? at.dir : -1;
    out->bound = create;
    return 0;
}

void
vfs_addr_done(struct task *t, struct vfs_addr *a, int64_t result)
{
    (void)t;
    (void)result;
    if (a->fd >= 0) {
        host_syscall(SYS_close, a->fd);
        a->fd = -1;
    }
}

void
vfs_addr_out(struct task *t, void *addr, size_t cap, uint32_t *len)
{
    (void)t;
    (void)addr;
    (void)cap;
    (void)len;
}
