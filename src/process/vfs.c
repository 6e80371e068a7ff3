/*
 * vfs.c - the guest's view of files: how it is made, kept across execve, and asked
 *
 * See vfs.h.
 */
#include "process/vfs_impl.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

static int
open_hidden(struct vfs *v, const char *host, int flags)
{
    int64_t fd = host_syscall(SYS_openat, AT_FDCWD, host, flags | O_CLOEXEC);
    return fd < 0 ? (int)fd : vfs_fd_hide(v, (int)fd);
}

/* Make fd (own, from now on) the true root. */
static int
set_true_root(struct vfs *v, int fd)
{
    struct stat st;
    int64_t r = host_syscall(SYS_fstat, fd, &st);
    if (r == 0) {
        r = vfs_host_path(fd, v->true_root_host);
    }
    if (r < 0) {
        return (int)r;
    }
    if (strcmp(v->true_root_host, "/") == 0) {
        v->true_root_host[0] = '\0';
    }
    v->true_root = v->root = fd;
    v->root_dev = st.st_dev;
    v->root_ino = st.st_ino;
    return 0;
}

int
vfs_start(struct vfs *v, struct err *e)
{
    struct stat st;
    int r = vfs_fd_start(v, e);
    if (r < 0) {
        return r;
    }
    if (host_syscall(SYS_newfstatat, AT_FDCWD, "/proc", &st, 0) == 0) {
        v->proc_dev = st.st_dev;
    }
    v->host_uid = (uint32_t)host_syscall(SYS_geteuid);
    v->host_gid = (uint32_t)host_syscall(SYS_getegid);
    return 0;
}

static int
set_cwd(struct vfs *v, const struct vfs_config *c, struct err *e)
{
    struct vfs_at at;
    char buf[PATH_MAX];
    if (c->cwd == NULL && (v->view != VIEW_USER || vfs_inside(v, AT_FDCWD))) {
        return 0;
    }
    const char *path = c->cwd != NULL ? c->cwd : "/";
    const char *host;
    int r = vfs_walk(v, AT_FDCWD, path, RESOLVE_FOLLOW, &at);
    if (r < 0) {
        return err_set(e, r, "current directory %s", path);
    }
    r = vfs_at_path(&at, true, &host, buf);
    if (r == 0) {
        r = (int)host_syscall(SYS_fchdir, at.dir);
    }
    vfs_at_done(&at);
    return r < 0 ? err_set(e, r, "current directory %s", path) : 0;
}

/* --root in the kernel view, if it is wanted and can be had: 1; 0 if not; -errno if nothing else will do. */
static int
try_kernel_view(struct vfs *v, const struct vfs_config *c, struct err *e)
{
    char was_in[PATH_MAX], cwd[PATH_MAX];
    bool inside = vfs_host_path(AT_FDCWD, was_in) > 0 && vfs_guest_path(v, was_in, cwd) && vfs_inside(v, AT_FDCWD);
    /* What --fake-root shows does not depend on who resolves, but chroot(2) and mount(2) into a bare root do. */
    if (c->backend == VFS_USER || (c->backend == VFS_AUTO && c->fake_root)) {
        return 0;
    }
    int r = vfs_enter_ns(v, c, e);
    if (r < 0) {
        return c->backend == VFS_AUTO ? 0 : r;
    }
    v->view = VIEW_KERNEL;
    int fd = open_hidden(v, "/", O_PATH | O_DIRECTORY);
    if (fd < 0) {
        return err_set(e, fd, "root");
    }
    host_syscall(SYS_close, v->root);
    r = set_true_root(v, fd);
    if (r < 0) {
        return err_set(e, r, "root");
    }
    host_syscall(SYS_chdir, inside ? cwd : "/");
    return 1;
}

int
vfs_new(struct vfs **out, const struct vfs_config *c, struct err *e)
{
    struct vfs *v = calloc(1, sizeof *v);
    if (v == NULL) {
        return err_set(e, -ENOMEM, "files");
    }
    v->far = c->fds_high;
    int r = vfs_start(v, e);
    if (r < 0) {
        goto undo_alloc;
    }
    v->view = c->root != NULL ? VIEW_USER : VIEW_NONE;
    r = vfs_mount_table_new(v, c->root != NULL);
    if (r < 0) {
        err_set(e, r, "table of mounts");
        goto undo_alloc;
    }
    if (c->root == NULL && c->sysroot != NULL && strlen(c->sysroot) < sizeof v->sysroot) {
        strcpy(v->sysroot, c->sysroot);
    }
    const char *root = c->root != NULL ? c->root : "/";
    int fd = open_hidden(v, root, O_PATH | O_DIRECTORY);
    r = fd < 0 ? fd : set_true_root(v, fd);
    if (r < 0) {
        err_set(e, r, "root %s", root);
        goto undo_alloc;
    }
    if (c->fake_root) {
        fakeroot_init(v, c->uid, c->gid);
        fake_open_table(v); /* while its host path can be reached */
    }
    if (v->view == VIEW_USER && (r = try_kernel_view(v, c, e)) < 0) {
        goto undo_alloc;
    }
    if (v->view == VIEW_USER) {
        r = vfs_mount_defaults(v, e);
        for (size_t i = 0; r == 0 && i < c->nbinds; i++) {
            const struct vfs_bind *b = &c->binds[i];
            r = vfs_mount_add(v, MOUNT_BIND, b->host, b->guest, b->read_only);
            if (r < 0) {
                err_set(e, r, "bind %s:%s", b->host, b->guest);
            }
        }
        if (r < 0) {
            goto undo_alloc;
        }
    }
    r = vfs_start(v, e); /* once more: in a user namespace we may be somebody else */
    if (r == 0) {
        r = set_cwd(v, c, e);
    }
    if (r < 0) {
        goto undo_alloc;
    }
    *out = v;
    return 0;
undo_alloc:
    vfs_free(v);
    return r;
}

void
vfs_free(struct vfs *v)
{
    for (unsigned i = 0; i < VFS_MOUNTS_MAX; i++) {
        if (v->mount_fd[i] > 0) {
            host_syscall(SYS_close, v->mount_fd[i]);
        }
        if (v->place_fd[i] > 0) {
            host_syscall(SYS_close, v->place_fd[i]);
        }
    }
    if (v->table != NULL) {
        munmap(v->table, sizeof *v->table);
    }
    if (v->table_fd > 0) {
        host_syscall(SYS_close, v->table_fd);
    }
    if (v->owners != NULL) {
        fake_unmap_table(v);
    }
    if (v->scratch > 0) {
        host_syscall(SYS_close, v->scratch);
    }
    if (v->owners_fd > 0) {
        host_syscall(SYS_close, v->owners_fd);
    }
    if (v->root > 0 && v->root != v->true_root) {
        host_syscall(SYS_close, v->root);
    }
    if (v->true_root > 0) {
        host_syscall(SYS_close, v->true_root);
    }
    free(v);
}

/* SYSROOT/path in at->buf if there is such a file. Directories are the host's: who lists / wants to see that. */
static bool
in_sysroot(const struct vfs *v, const char *path, struct vfs_at *at)
{
    size_t len = strlen(v->sysroot), path_len = strlen(path);
    if (len == 0 || path[0] != '/' || len + path_len >= sizeof at->buf) {
        return false;
    }
    memcpy(at->buf, v->sysroot, len);
    memcpy(at->buf + len, path, path_len + 1);
    struct stat st;
    return host_syscall(SYS_newfstatat, AT_FDCWD, at->buf, &st, AT_SYMLINK_NOFOLLOW) == 0 && !S_ISDIR(st.st_mode);
}

/*
 * May this path lead to what procfs.c makes? Asked where the host resolves paths. Which file was opened is found out
 * afterwards, too (procfs_opened); not so where a link leads, and by absolute paths, wherever procfs is mounted, only that
 * to the program matters.
 */
static bool
suspect(const char *path)
{
    const char *last = strrchr(path, '/');
    if (path[0] == '/') {
        return strcmp(last, "/exe") == 0 || strstr(path, "proc") != NULL || strncmp(path, "/dev/fd/", 8) == 0;
    }
    return procfs_name(last != NULL ? last + 1 : path) || strstr(path, "proc/") != NULL;
}

/* /proc/self/fd/N of a descriptor of the guest's, spelled as everybody does. */
static bool
names_own_fd(const struct vfs *v, const char *path)
{
    static const char dir[] = "/proc/self/fd/";
    if (strncmp(path, dir, sizeof dir - 1) != 0) {
        return false;
    }
    const char *const digits = path + sizeof dir - 1;
    const size_t n = strspn(digits, "0123456789");
    return n > 0 && n <= 6 && digits[n] == '\0' && (digits[0] != '0' || n == 1) && vfs_fd_ok(v, atoi(digits));
}

/*
 * The paths of /proc that libc asks for all the time, without a walk: that to the program, at each start of a static one, and that to an
 * open file, for fchmodat and others. Where the latter leads the host knows.
 */
static bool
is_own_link(const struct vfs *v, const char *path, unsigned how, struct vfs_at *at)
{
    struct stat st;
    const bool follow = how & RESOLVE_FOLLOW, fd = follow && !v->fake && names_own_fd(v, path);
    if (fd ? v->view == VIEW_USER : v->view != VIEW_NONE || strcmp(path, "/proc/self/exe") != 0) {
        return false;
    }
    const unsigned known = RESOLVE_FOLLOW | RESOLVE_READ | (fd ? RESOLVE_UNCHECKED : 0);
    if ((how & ~known) != 0 ||
        host_syscall(SYS_newfstatat, AT_FDCWD, "/proc", &st, 0) < 0 || st.st_dev != v->proc_dev || st.st_ino != PROC_ROOT_INO) {
        return false;
    }
    if (fd) {
        at->dir = AT_FDCWD;
        at->name = path;
        at->flags = 0;
        at->direct = true;
        return true;
    }
    at->dir = follow ? v->edge + OWN_FD_EXE : AT_FDCWD;
    at->name = follow ? "" : path;
    at->flags = follow ? AT_EMPTY_PATH : AT_SYMLINK_NOFOLLOW;
    at->node = follow ? PROC_PLAIN : PROC_EXE;
    at->pid = PROC_OWN;
    at->direct = false;
    return true;
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
    at->own = false;
    at->read_only = false;
    at->busy = false;
    at->node = PROC_PLAIN;
    if (is_own_link(v, path, how, at)) {
        return 0;
    }
    if (v->view == VIEW_USER || suspect(path)) {
        return vfs_walk(v, dirfd, path, how, at);
    }
    at->dir = dirfd;
    at->direct = true;
    at->flags = how & RESOLVE_FOLLOW ? 0 : AT_SYMLINK_NOFOLLOW;
    if (how & RESOLVE_ENTRY) {
        at->flags = 0;
    }
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
    bool plain = at->dir == AT_FDCWD || at->name[0] == '/';
    if (plain && (at->direct || !follow)) {
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
