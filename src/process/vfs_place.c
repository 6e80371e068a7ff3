/*
 * vfs_place.c - where the guest is: current directory, root, mounts, and addresses of sockets
 *
 * See vfs.h. The current directory is the host process's.
 */
#include "process/vfs_impl.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/mount.h>
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
    struct vfs *v = vfs_of(t);
    char host[PATH_MAX], guest[PATH_MAX];
    if (v->view != VIEW_USER) {
        return host_syscall(SYS_getcwd, buf, cap);
    }
    int64_t r = host_syscall(SYS_getcwd, host, sizeof host);
    if (r < 0) {
        return r;
    }
    if (!vfs_guest_path(v, host, guest)) {
        strcpy(guest, "(unreachable)/");
    }
    size_t len = strlen(guest) + 1;
    if (len > cap) {
        return -ERANGE;
    }
    memcpy(buf, guest, len);
    return (int64_t)len;
}

int64_t
vfs_chroot(struct task *t, const char *path)
{
    struct vfs *v = vfs_of(t);
    struct vfs_at at;
    struct stat st;
    char buf[PATH_MAX], guest[PATH_MAX];
    const char *host;
    if (v->view != VIEW_USER) {
        return host_syscall(SYS_chroot, path);
    }
    int64_t r = vfs_resolve(t, AT_FDCWD, path, RESOLVE_FOLLOW, &at);
    if (r < 0) {
        return r;
    }
    r = vfs_at_path(&at, true, &host, buf);
    if (r == 0) {
        r = host_syscall(SYS_fstat, at.dir, &st);
    }
    if (r == 0 && !S_ISDIR(st.st_mode)) {
        r = -ENOTDIR;
    }
    if (r == 0 && !vfs_may_admin(t)) {
        r = -EPERM;
    }
    if (r == 0) {
        r = vfs_host_path(at.dir, buf);
    }
    if (r < 0) {
        goto undo_at;
    }
    if (!vfs_guest_path(v, buf, guest)) {
        r = -ENOENT;
        goto undo_at;
    }
    r = vfs_fd_own(v, at.dir);
    if (r < 0) {
        goto undo_at;
    }
    if (strcmp(guest, "/") != 0 && strlen(v->root_guest) + strlen(guest) < sizeof v->root_guest) {
        strcat(v->root_guest, guest);
    }
    v->root = (int)r; /* the old one stays open: another thread may stand on it */
    v->root_dev = st.st_dev;
    v->root_ino = st.st_ino;
    r = 0;
undo_at:
    vfs_at_done(&at);
    return r;
}

int64_t
vfs_pivot_root(struct task *t, const char *new_root, const char *put_old)
{
    return vfs_of(t)->view == VIEW_USER ? -EPERM : host_syscall(SYS_pivot_root, new_root, put_old);
}

/* A mount of the guest's in the user view: proc, sysfs, tmpfs, devpts and bind are known. */
static int64_t
mount_user(struct vfs *v, struct task *t, const char *source, const char *target, const char *type,
           unsigned long flags)
{
    static const struct {
        const char *type, *host;
        enum mount_kind kind;
    } known[] = {
        {"proc", "/proc", MOUNT_PROC},
        {"sysfs", "/sys", MOUNT_BIND},
        {"devpts", "/dev/pts", MOUNT_BIND},
        {"mqueue", "/dev/mqueue", MOUNT_BIND},
    };
    char host[PATH_MAX];
    bool ro = flags & MS_RDONLY;
    if (flags & (MS_PRIVATE | MS_SLAVE | MS_SHARED | MS_UNBINDABLE)) {
        return 0;
    }
    if (flags & MS_REMOUNT) {
        return vfs_mount_remount(v, target, ro);
    }
    if (flags & MS_BIND) {
        struct vfs_at at;
        int64_t r = source == NULL ? -EFAULT : vfs_resolve(t, AT_FDCWD, source, RESOLVE_FOLLOW, &at);
        if (r < 0) {
            return r;
        }
        char buf[PATH_MAX];
        const char *path;
        r = vfs_at_path(&at, true, &path, buf);
        if (r == 0) {
            r = vfs_host_path(at.dir, host);
        }
        vfs_at_done(&at);
        return r < 0 ? r : vfs_mount_add(v, MOUNT_BIND, host, target, ro);
    }
    if (type == NULL) {
        return -EFAULT;
    }
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        if (strcmp(type, known[i].type) == 0) {
            return vfs_mount_add(v, known[i].kind, known[i].host, target, ro);
        }
    }
    if (strcmp(type, "tmpfs") == 0 || strcmp(type, "devtmpfs") == 0 || strcmp(type, "ramfs") == 0) {
        int r = vfs_scratch(v, "tmpfs", 01777, host);
        return r < 0 ? r : vfs_mount_add(v, MOUNT_TMPFS, host, target, ro);
    }
    return -ENODEV;
}

int64_t
vfs_mount(struct task *t, const char *source, const char *target, const char *type, unsigned long flags,
          const char *data)
{
    struct vfs *v = vfs_of(t);
    if (v->view != VIEW_USER) {
        return host_syscall(SYS_mount, source, target, type, flags, data);
    }
    struct vfs_at at;
    struct stat st;
    if (!vfs_may_admin(t)) {
        return -EPERM;
    }
    int64_t r = vfs_resolve(t, AT_FDCWD, target, RESOLVE_FOLLOW, &at);
    if (r < 0) {
        return r;
    }
    r = host_syscall(SYS_newfstatat, at.dir, at.name, &st, at.flags);
    vfs_at_done(&at);
    return r < 0 ? r : mount_user(v, t, source, target, type, flags);
}

int64_t
vfs_umount2(struct task *t, const char *target, int flags)
{
    struct vfs *v = vfs_of(t);
    if (v->view != VIEW_USER) {
        return host_syscall(SYS_umount2, target, flags);
    }
    if (flags & ~(MNT_FORCE | MNT_DETACH | MNT_EXPIRE | UMOUNT_NOFOLLOW)) {
        return -EINVAL;
    }
    return vfs_may_admin(t) ? vfs_mount_remove(v, target, !(flags & UMOUNT_NOFOLLOW)) : -EPERM;
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
    const char *plain = path;
    while (strncmp(plain, "./", 2) == 0) {
        plain += 2;
    }
    if (create && at.dir == AT_FDCWD && !at.read_only && strchr(plain, '/') == NULL) {
        out->bound = true; /* the host's current directory is the guest's: the name can stay what it is */
        return 0;
    }
    /*
     * A bound socket keeps the text for as long as it lives, for getsockname and for its peers: so it is told the whole
     * host path, which vfs_addr_out() can turn back. Where that is too long the socket has a name that tells nothing.
     */
    char host[PATH_MAX];
    int len_host = create && at.name[0] != '\0' && !at.busy ? vfs_host_path(at.dir, host) : -1;
    size_t name_len = strlen(at.name);
    if (len_host > 0 && (size_t)len_host + 1 + name_len < sizeof un.sun_path) {
        host[len_host] = '/';
        memcpy(host + len_host + 1, at.name, name_len + 1);
        vfs_at_done(&at);
        at.own = false;
        at.name = host;
    }
    char dir[32] = "/proc/self/cwd"; /* where at.dir is AT_FDCWD */
    if (at.dir >= 0) {
        snprintf(dir, sizeof dir, "/proc/self/fd/%d", at.dir);
    }
    int n = at.name == host ? snprintf(un.sun_path, sizeof un.sun_path, "%s", host)
                            : snprintf(un.sun_path, sizeof un.sun_path, "%s%s%s", dir,
                                       at.name[0] == '\0' ? "" : "/", at.name);
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
    struct vfs *v = vfs_of(t);
    if (a->bound && result == 0 && v->fake && (v->ids.uid[FAKE_FS] != 0 || v->ids.gid[FAKE_FS] != 0)) {
        fake_created(v, AT_FDCWD, ((struct sockaddr_un *)a->bytes)->sun_path, 0777, 0);
    }
    if (a->fd >= 0) {
        host_syscall(SYS_close, a->fd);
        a->fd = -1;
    }
}

void
vfs_addr_out(struct task *t, void *addr, size_t cap, uint32_t *len)
{
    const size_t head = offsetof(struct sockaddr_un, sun_path);
    const struct vfs *v = vfs_of(t);
    struct sockaddr_un un;
    char host[sizeof un.sun_path + 1], guest[PATH_MAX];
    if (v->view != VIEW_USER || *len <= head || *len > sizeof un || cap < *len) {
        return;
    }
    memset(&un, 0, sizeof un);
    memcpy(&un, addr, *len);
    if (un.sun_family != AF_UNIX || un.sun_path[0] != '/') {
        return;
    }
    memcpy(host, un.sun_path, *len - head);
    host[*len - head] = '\0';
    if (strncmp(host, "/proc/self/fd/", 14) == 0) {
        strcpy(guest, strrchr(host, '/') + 1);
    } else if (!vfs_guest_path(v, host, guest)) {
        return;
    }
    size_t n = strlen(guest) + 1;
    if (n <= sizeof un.sun_path && head + n <= cap) {
        memcpy((char *)addr + head, guest, n);
        *len = (uint32_t)(head + n);
    }
}
