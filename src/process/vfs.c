/*
 * vfs.c - the guest's view of files: how it is made, kept across execve, and asked
 *
 * See vfs.h. Descriptor numbers: the host's soft limit is raised to the hard one; the monitor's own descriptors start
 * VFS_OWN_FDS below it, but no higher than VFS_TOP_MAX, because the kernel copies a table as long as the highest number
 * at each fork (8 bytes an entry: a quarter of a mebibyte at 32768).
 */
#include "process/vfs_impl.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#define VFS_OWN_FDS 64
#define VFS_TOP_MAX 32768
#define VFS_TOP_MIN 64

/* Room for descriptors of ours above the guest's. */
static int
reserve_fds(struct vfs *v, struct err *e)
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
    uint64_t top = rl.rlim_max < VFS_TOP_MAX + VFS_OWN_FDS ? rl.rlim_max - VFS_OWN_FDS : VFS_TOP_MAX;
    if (rl.rlim_max < VFS_TOP_MIN + VFS_OWN_FDS) {
        return err_set(e, -EMFILE, "no more than %llu files may be open", (unsigned long long)rl.rlim_max);
    }
    v->top = (int)top;
    return 0;
}

int
vfs_new(struct vfs **out, const struct vfs_config *c, struct err *e)
{
    struct vfs *v = calloc(1, sizeof *v);
    if (v == NULL) {
        return err_set(e, -ENOMEM, "files");
    }
    int r = reserve_fds(v, e);
    if (r < 0) {
        goto undo_alloc;
    }
    if (c->sysroot != NULL && strlen(c->sysroot) < sizeof v->sysroot) {
        strcpy(v->sysroot, c->sysroot);
    }
    *out = v;
    return 0;
undo_alloc:
    free(v);
    return r;
}

void
vfs_free(struct vfs *v)
{
    free(v);
}

int64_t
vfs_save(struct vfs *v, char *buf, size_t cap)
{
    int n = snprintf(buf, cap, "%s", v->sysroot);
    return n < 0 || (size_t)n >= cap ? -ENAMETOOLONG : n;
}

void
vfs_save_undo(struct vfs *v)
{
    (void)v;
}

int
vfs_load(struct vfs **out, const char *state, struct err *e)
{
    const struct vfs_config c = {.sysroot = state};
    return vfs_new(out, &c, e);
}

int
vfs_fd_top(const struct vfs *v)
{
    return v->top;
}

bool
vfs_fd_ok(const struct vfs *v, int fd)
{
    return fd < v->top;
}

int
vfs_fd_hide(struct vfs *v, int fd)
{
    int64_t r = host_syscall(SYS_fcntl, fd, F_DUPFD_CLOEXEC, v->top);
    host_syscall(SYS_close, fd);
    return (int)r;
}

/* SYSROOT/path in at->buf if there is such a file. */
static bool
in_sysroot(const struct vfs *v, const char *path, struct vfs_at *at)
{
    size_t len = strlen(v->sysroot), path_len = strlen(path);
    if (len == 0 || path[0] != '/' || len + path_len >= sizeof at->buf) {
        return false;
    }
    memcpy(at->buf, v->sysroot, len);
    memcpy(at->buf + len, path, path_len + 1);
    return host_syscall(SYS_faccessat2, AT_FDCWD, at->buf, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

int
vfs_resolve(struct task *t, int dirfd, const char *path, unsigned how, struct vfs_at *at)
{
    struct vfs *v = vfs_of(t);
    if (path[0] == '\0') {
        return -ENOENT;
    }
    if (path[0] != '/' && !vfs_fd_ok(v, dirfd)) {
        return -EBADF;
    }
    at->dir = dirfd;
    at->own = false;
    at->read_only = false;
    at->direct = true;
    at->flags = how & RESOLVE_FOLLOW ? 0 : AT_SYMLINK_NOFOLLOW;
    at->name = how & RESOLVE_READ && in_sysroot(v, path, at) ? at->buf : path;
    return 0;
}

void
vfs_at_done(struct vfs_at *at)
{
    if (at->own) {
        host_syscall(SYS_close, at->dir);
    }
}

int
vfs_at_path(struct vfs_at *at, bool follow, const char **path, char buf[PATH_MAX])
{
    if (at->direct && (at->dir == AT_FDCWD || at->name[0] == '/')) {
        *path = at->name;
        return 0;
    }
    if (!at->direct && follow && at->name[0] != '\0') {
        int64_t fd = host_syscall(SYS_openat, at->dir, at->name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
        if (fd < 0) {
            return (int)fd;
        }
        vfs_at_done(at);
        at->dir = (int)fd;
        at->own = true;
        at->name = "";
        at->flags = AT_EMPTY_PATH;
    }
    int n = at->name[0] == '\0' ? snprintf(buf, PATH_MAX, "/proc/self/fd/%d", at->dir)
                                : snprintf(buf, PATH_MAX, "/proc/self/fd/%d/%s", at->dir, at->name);
    *path = buf;
    return n < PATH_MAX ? 0 : -ENAMETOOLONG;
}
