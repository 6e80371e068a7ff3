/*
 * vfs_attr.c - modes, owners, times, lengths and extended attributes
 *
 * See vfs.h. Several of these calls have no form that takes a descriptor of a file without opening it: they are given
 * /proc/self/fd/N, which names the very object that was resolved.
 */
#include "process/vfs_impl.h"

#include <errno.h>

/* fd is open, and not with O_PATH alone: the calls on descriptors refuse those. */
static bool
fake_fd(int fd)
{
    int64_t flags = host_syscall(SYS_fcntl, fd, F_GETFL);
    return flags >= 0 && !(flags & O_PATH);
}

int64_t
vfs_fchmod(struct task *t, int fd, mode_t mode)
{
    if (!vfs_fd_ok(vfs_of(t), fd)) {
        return -EBADF;
    }
    if (vfs_of(t)->fake) {
        return fake_fd(fd) ? fake_chmod(vfs_of(t), fd, "", true, mode) : -EBADF;
    }
    return host_syscall(SYS_fchmod, fd, mode);
}

int64_t
vfs_fchmodat(struct task *t, int dirfd, const char *path, mode_t mode, int flags)
{
    struct vfs_at at;
    struct stat st;
    char buf[PATH_MAX];
    const char *host;
    if (flags & ~(AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH)) {
        return -EINVAL;
    }
    if (path[0] == '\0' && flags & AT_EMPTY_PATH) {
        if (!vfs_fd_ok(vfs_of(t), dirfd)) {
            return -EBADF;
        }
        at = (struct vfs_at){.dir = dirfd, .name = "", .flags = AT_EMPTY_PATH};
    } else {
        int r = vfs_resolve(t, dirfd, path, flags & AT_SYMLINK_NOFOLLOW ? 0 : RESOLVE_FOLLOW, &at);
        if (r < 0) {
            return r;
        }
    }
    int64_t r = 0;
    if (flags & AT_SYMLINK_NOFOLLOW) {
        r = host_syscall(SYS_newfstatat, at.dir, at.name, &st, at.flags);
        if (r == 0 && S_ISLNK(st.st_mode)) {
            r = -EOPNOTSUPP;
        }
    }
    if (r == 0 && at.read_only) {
        r = -EROFS;
    }
    if (r == 0 && vfs_of(t)->fake) {
        r = fake_chmod(vfs_of(t), at.dir, at.name, !(at.flags & AT_SYMLINK_NOFOLLOW), mode);
    } else if (r == 0 && at.direct && !(flags & AT_SYMLINK_NOFOLLOW)) {
        r = host_syscall(SYS_fchmodat, at.dir, at.name, mode);
    } else if (r == 0) {
        at.direct = false;
        r = vfs_at_path(&at, true, &host, buf);
        if (r == 0) {
            r = host_syscall(SYS_fchmodat, AT_FDCWD, host, mode);
        }
    }
    vfs_at_done(&at);
    return r;
}

int64_t
vfs_fchown(struct task *t, int fd, uint32_t uid, uint32_t gid)
{
    if (!vfs_fd_ok(vfs_of(t), fd)) {
        return -EBADF;
    }
    if (vfs_of(t)->fake) {
        return fake_fd(fd) ? fake_chown(vfs_of(t), fd, "", true, uid, gid) : -EBADF;
    }
    return vfs_id_result(host_syscall(SYS_fchown, fd, uid, gid));
}

int64_t
vfs_fchownat(struct task *t, int dirfd, const char *path, uint32_t uid, uint32_t gid, int flags)
{
    struct vfs_at at;
    if (flags & ~(AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH)) {
        return -EINVAL;
    }
    if (path[0] == '\0' && flags & AT_EMPTY_PATH) {
        if (!vfs_fd_ok(vfs_of(t), dirfd)) {
            return -EBADF;
        }
        return vfs_of(t)->fake ? fake_chown(vfs_of(t), dirfd, "", true, uid, gid)
                               : vfs_id_result(host_syscall(SYS_fchownat, dirfd, "", uid, gid, AT_EMPTY_PATH));
    }
    int64_t r = vfs_resolve(t, dirfd, path, flags & AT_SYMLINK_NOFOLLOW ? 0 : RESOLVE_FOLLOW, &at);
    if (r < 0) {
        return r;
    }
    if (at.read_only) {
        r = -EROFS;
    } else if (vfs_of(t)->fake) {
        r = fake_chown(vfs_of(t), at.dir, at.name, !(at.flags & AT_SYMLINK_NOFOLLOW), uid, gid);
    } else {
        r = vfs_id_result(host_syscall(SYS_fchownat, at.dir, at.name, uid, gid, at.flags));
    }
    vfs_at_done(&at);
    return r;
}

int64_t
vfs_utimensat(struct task *t, int dirfd, const char *path, const struct timespec ts[2], int flags)
{
    struct vfs_at at;
    if (path == NULL || (path[0] == '\0' && flags & AT_EMPTY_PATH)) {
        return vfs_fd_ok(vfs_of(t), dirfd) ? host_syscall(SYS_utimensat, dirfd, path, ts, flags) : -EBADF;
    }
    if (flags & ~(AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH)) {
        return -EINVAL;
    }
    int64_t r = vfs_resolve(t, dirfd, path, flags & AT_SYMLINK_NOFOLLOW ? 0 : RESOLVE_FOLLOW, &at);
    if (r < 0) {
        return r;
    }
    r = at.read_only ? -EROFS : host_syscall(SYS_utimensat, at.dir, at.name, ts, at.flags);
    vfs_at_done(&at);
    return r;
}

int64_t
vfs_truncate(struct task *t, const char *path, int64_t len)
{
    struct vfs_at at;
    char buf[PATH_MAX];
    const char *host;
    int64_t r = vfs_resolve(t, AT_FDCWD, path, RESOLVE_FOLLOW, &at);
    if (r < 0) {
        return r;
    }
    r = at.read_only ? -EROFS : vfs_at_path(&at, true, &host, buf);
    if (r == 0) {
        r = host_syscall(SYS_truncate, host, len);
    }
    vfs_at_done(&at);
    return r;
}

enum xattr_op { XATTR_GET, XATTR_SET, XATTR_LIST, XATTR_REMOVE };

struct xattr_args {
    const char *name;
    void *value;
    size_t size;
    int flags;
};

/* The host's call for an object named in one of three ways: a descriptor, a path to follow, a path not to follow. */
static int64_t
xattr_host(enum xattr_op op, uint64_t obj, int form, const struct xattr_args *a)
{
    static const int nr[][3] = {
        [XATTR_GET] = {SYS_fgetxattr, SYS_getxattr, SYS_lgetxattr},
        [XATTR_SET] = {SYS_fsetxattr, SYS_setxattr, SYS_lsetxattr},
        [XATTR_LIST] = {SYS_flistxattr, SYS_listxattr, SYS_llistxattr},
        [XATTR_REMOVE] = {SYS_fremovexattr, SYS_removexattr, SYS_lremovexattr},
    };
    if (op == XATTR_LIST) {
        return host_syscall(nr[op][form], obj, a->value, a->size);
    }
    return host_syscall(nr[op][form], obj, a->name, a->value, a->size, a->flags);
}

static int64_t
xattr_call(struct task *t, const struct vfs_xattr *x, enum xattr_op op, const struct xattr_args *a)
{
    struct vfs_at at;
    char buf[PATH_MAX];
    const char *host;
    if (x->path == NULL) {
        return vfs_fd_ok(vfs_of(t), x->fd) ? xattr_host(op, (uint64_t)x->fd, 0, a) : -EBADF;
    }
    unsigned how = (x->follow ? RESOLVE_FOLLOW : 0) | (op == XATTR_GET || op == XATTR_LIST ? RESOLVE_READ : 0);
    int64_t r = vfs_resolve(t, AT_FDCWD, x->path, how, &at);
    if (r < 0) {
        return r;
    }
    if (at.read_only && (op == XATTR_SET || op == XATTR_REMOVE)) {
        r = -EROFS;
    } else {
        r = vfs_at_path(&at, x->follow, &host, buf);
    }
    if (r == 0) {
        bool follow = at.name[0] == '\0' || x->follow; /* /proc/self/fd/N has to be followed */
        r = xattr_host(op, (uint64_t)(uintptr_t)host, follow ? 1 : 2, a);
    }
    vfs_at_done(&at);
    return r;
}

/* Attributes in which the monitor keeps what --fake-root remembers do not exist for the guest. */
static bool
is_private(struct task *t, const char *name)
{
    return vfs_of(t)->fake && fake_is_private_xattr(name);
}

int64_t
vfs_getxattr(struct task *t, const struct vfs_xattr *x, const char *name, void *value, size_t size)
{
    if (is_private(t, name)) {
        return -ENODATA;
    }
    return xattr_call(t, x, XATTR_GET, &(struct xattr_args){.name = name, .value = value, .size = size});
}

int64_t
vfs_setxattr(struct task *t, const struct vfs_xattr *x, const char *name, const void *value, size_t size, int flags)
{
    if (is_private(t, name)) {
        return -EPERM;
    }
    return xattr_call(t, x, XATTR_SET,
                      &(struct xattr_args){.name = name, .value = (void *)(uintptr_t)value, .size = size, .flags = flags});
}

int64_t
vfs_listxattr(struct task *t, const struct vfs_xattr *x, char *list, size_t size)
{
    int64_t n = xattr_call(t, x, XATTR_LIST, &(struct xattr_args){.value = list, .size = size});
    if (n <= 0 || size == 0 || !vfs_of(t)->fake) {
        return n;
    }
    for (char *p = list; p < list + n;) {
        size_t len = strnlen(p, (size_t)(list + n - p)) + 1;
        if (p + len <= list + n && fake_is_private_xattr(p)) {
            memmove(p, p + len, (size_t)(list + n - (p + len)));
            n -= (int64_t)len;
        } else {
            p += len;
        }
    }
    return n;
}

int64_t
vfs_removexattr(struct task *t, const struct vfs_xattr *x, const char *name)
{
    if (is_private(t, name)) {
        return -ENODATA;
    }
    return xattr_call(t, x, XATTR_REMOVE, &(struct xattr_args){.name = name});
}
