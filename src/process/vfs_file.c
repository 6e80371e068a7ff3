/*
 * vfs_file.c - opening and examining files, and making, moving and removing their names
 *
 * See vfs.h. Each call resolves its path and makes the host's call on the result. A resolved name is never a symbolic
 * link that would be followed (vfs_walk.c saw to that), so every call here says "do not follow"; should another
 * process have put one there since, the answer is ELOOP and not a file outside of the root.
 */
#include "process/vfs_impl.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <linux/capability.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <sys/inotify.h>
#include <sys/sysmacros.h>

/* Open what vfs_resolve() found. A descriptor that is the object itself is opened again through /proc/self/fd. */
static int64_t
open_at(struct task *t, struct vfs_at *at, int flags, mode_t mode)
{
    char path[PROC_PATH_MAX];
    const char *name = at->name;
    int dir = at->dir;
    if (name[0] == '\0') {
        if (flags & O_PATH) {
            struct stat st;
            if (flags & O_DIRECTORY && host_syscall(SYS_fstat, dir, &st) == 0 && !S_ISDIR(st.st_mode)) {
                return -ENOTDIR;
            }
            return host_syscall(SYS_fcntl, dir, flags & O_CLOEXEC ? F_DUPFD_CLOEXEC : F_DUPFD, 0);
        }
        snprintf(path, sizeof path, "/proc/self/fd/%d", dir);
        name = path;
        flags &= ~O_NOFOLLOW;
    } else if (!at->direct) {
        flags |= O_NOFOLLOW;
    }
    return host_syscall_restartable(t, SYS_openat, dir, name, flags, mode);
}

/*
 * Open with O_CREAT under --fake-root, where a file that is made needs a record: so it has to be known who made it. The
 * file that is opened is one or the other, whoever else makes and removes it meanwhile.
 */
static int64_t
open_create_fake(struct task *t, struct vfs_at *at, int flags, mode_t mode)
{
    bool unnamed = (flags & O_TMPFILE) == O_TMPFILE;
    for (int i = 0; i < 16; i++) {
        int64_t r = open_at(t, at, unnamed ? flags : flags | O_EXCL, fake_host_mode(S_IFREG, mode));
        if (r >= 0) {
            fake_created(vfs_of(t), (int)r, "", mode & 07777, 0);
            return r;
        }
        if (r != -EEXIST || flags & O_EXCL || unnamed) {
            return r;
        }
        r = open_at(t, at, flags & ~O_CREAT, 0);
        if (r != -ENOENT) {
            return r;
        }
    }
    return -EAGAIN;
}

/* A device that mknod(2) made under --fake-root is an empty file on the host: what it stands for is opened instead. */
static int64_t
open_fake_device(struct task *t, int64_t fd, int flags)
{
    static const struct {
        unsigned major, minor;
        const char *path;
    } known[] = {
        {1, 3, "/dev/null"}, {1, 5, "/dev/zero"}, {1, 7, "/dev/full"}, {1, 8, "/dev/random"}, {1, 9, "/dev/urandom"},
        {5, 0, "/dev/tty"},  {5, 2, "/dev/ptmx"},
    };
    struct stat st;
    if (host_syscall(SYS_fstat, fd, &st) < 0 || !S_ISREG(st.st_mode) || st.st_size != 0) {
        return fd;
    }
    fake_stat(vfs_of(t), (int)fd, "", true, &st);
    if (!S_ISCHR(st.st_mode) && !S_ISBLK(st.st_mode)) {
        return fd;
    }
    host_syscall(SYS_close, fd);
    for (size_t i = 0; S_ISCHR(st.st_mode) && i < sizeof known / sizeof known[0]; i++) {
        if (st.st_rdev == makedev(known[i].major, known[i].minor)) {
            return host_syscall_restartable(t, SYS_openat, AT_FDCWD, known[i].path, flags & ~(O_CREAT | O_EXCL), 0);
        }
    }
    return -ENXIO;
}

/* Something else than reading, in a read-only bind: devices, sockets and FIFOs may be written to. */
static int64_t
open_read_only(struct task *t, struct vfs_at *at, int flags)
{
    struct stat st;
    int64_t r = host_syscall(SYS_newfstatat, at->dir, at->name, &st, at->flags);
    if (r < 0) {
        return r == -ENOENT && flags & O_CREAT ? -EROFS : r;
    }
    if (flags & O_CREAT && flags & O_EXCL) {
        return -EEXIST;
    }
    bool writes = (flags & O_ACCMODE) != O_RDONLY || flags & O_TRUNC;
    if (writes && (S_ISREG(st.st_mode) || S_ISDIR(st.st_mode))) {
        return S_ISDIR(st.st_mode) ? -EISDIR : -EROFS;
    }
    return open_at(t, at, flags & ~O_CREAT, 0);
}

/* open(2) gives the lowest number: where one of ours had that while the file was opened, take it now. */
static int64_t
lower_fd(int fd, int flags)
{
    int64_t r = host_syscall(SYS_fcntl, fd, flags & O_CLOEXEC ? F_DUPFD_CLOEXEC : F_DUPFD, 0);
    if (r < 0 || r > fd) {
        if (r >= 0) {
            host_syscall(SYS_close, r);
        }
        return fd;
    }
    host_syscall(SYS_close, fd);
    return r;
}

static int64_t
openat_once(struct task *t, int dirfd, const char *path, int flags, mode_t mode, unsigned how)
{
    struct vfs *v = vfs_of(t);
    struct vfs_at at;
    if (!(flags & O_NOFOLLOW) && (flags & (O_CREAT | O_EXCL)) != (O_CREAT | O_EXCL)) {
        how |= RESOLVE_FOLLOW;
    }
    if (flags & O_CREAT) {
        how |= RESOLVE_CREATE;
    } else if ((flags & O_ACCMODE) == O_RDONLY && !(flags & O_TRUNC)) {
        how |= RESOLVE_READ;
    }
    int64_t r = vfs_resolve(t, dirfd, path, how, &at);
    if (r < 0) {
        return r;
    }
    if (proc_node_is_file(at.node)) {
        r = procfs_open(t, &at, flags);
    } else if (at.read_only && ((flags & O_ACCMODE) != O_RDONLY || flags & (O_TRUNC | O_CREAT))) {
        r = open_read_only(t, &at, flags);
    } else if (v->fake && (flags & O_CREAT || (flags & O_TMPFILE) == O_TMPFILE) &&
               fake_new_needs_record(v, S_IFREG, mode & 07777)) {
        r = open_create_fake(t, &at, flags, mode);
    } else {
        r = open_at(t, &at, flags, mode);
    }
    int own = at.own ? at.dir : INT_MAX;
    const enum proc_node node = at.node;
    vfs_at_done(&at);
    if (r >= 0 && v->fake && !(flags & (O_PATH | O_DIRECTORY))) {
        r = open_fake_device(t, r, flags);
    }
    if (r >= 0 && (flags & (O_ACCMODE | O_PATH | O_DIRECTORY | O_CREAT)) == O_RDONLY && !proc_node_is_file(node)) {
        r = procfs_opened(t, (int)r, flags);
    }
    return r > own ? lower_fd((int)r, flags) : r;
}

/* What openat2(2) of Linux 6.12 takes. */
#define OPEN_FLAGS                                                                                                   \
    (O_ACCMODE | O_CREAT | O_EXCL | O_NOCTTY | O_TRUNC | O_APPEND | O_NONBLOCK | O_SYNC | O_ASYNC | O_DIRECT |       \
     O_LARGEFILE | 0100000 | O_DIRECTORY | O_NOFOLLOW | O_NOATIME | O_CLOEXEC | O_PATH | O_TMPFILE)
#define RESOLVE_FLAGS                                                                                                \
    (RESOLVE_NO_XDEV | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_SYMLINKS | RESOLVE_BENEATH | RESOLVE_IN_ROOT | RESOLVE_CACHED)
#define OPEN_HOW_SIZE_VER0 24

/*
 * open(2), with `how` in addition to what the flags say. First as if the last component were no link, which saves asking:
 * O_NOFOLLOW finds out.
 */
static int64_t
openat_how(struct task *t, int dirfd, const char *path, int flags, mode_t mode, unsigned how)
{
    int64_t r = -ELOOP;
    if (how == 0 && !(flags & (O_PATH | O_NOFOLLOW)) && vfs_of(t)->view == VIEW_USER && !vfs_of(t)->table->any_read_only) {
        if (!(flags & (O_CREAT | (O_TMPFILE & ~O_DIRECTORY) | ~OPEN_FLAGS)) && vfs_open_plain(t, path, flags, &r)) {
            return r >= 0 && vfs_of(t)->fake && !(flags & O_DIRECTORY) ? open_fake_device(t, r, flags) : r;
        }
        r = openat_once(t, dirfd, path, flags, mode, RESOLVE_UNCHECKED);
        if (r != -ELOOP && !(r == -ENOTDIR && flags & O_DIRECTORY)) {
            return r;
        }
    }
    return openat_once(t, dirfd, path, flags, mode, how);
}

int64_t
vfs_openat(struct task *t, int dirfd, const char *path, int flags, mode_t mode)
{
    return openat_how(t, dirfd, path, flags, mode, 0);
}

int64_t
vfs_openat2(struct task *t, int dirfd, const char *path, const struct open_how *how, size_t size)
{
    const uint64_t scoped = RESOLVE_BENEATH | RESOLVE_IN_ROOT;
    if (path[0] != '/' && !vfs_fd_ok(vfs_of(t), dirfd)) {
        return -EBADF;
    }
    if (size < OPEN_HOW_SIZE_VER0) {
        return -EINVAL;
    }
    /* Below a directory the kernel resolves as for us; and it says what is wrong with what it does not know. */
    bool unknown = how->flags & ~(uint64_t)OPEN_FLAGS || how->resolve & ~(uint64_t)RESOLVE_FLAGS || size > OPEN_HOW_SIZE_VER0 ||
                   how->mode & ~(uint64_t)07777 || (how->mode != 0 && !(how->flags & (O_CREAT | (O_TMPFILE & ~O_DIRECTORY))));
    bool asks = how->resolve != 0 && vfs_of(t)->view != VIEW_USER;
    if (unknown || asks || how->resolve & scoped) {
        return host_syscall_restartable(t, SYS_openat2, dirfd, path, how, size);
    }
    if (how->resolve & RESOLVE_CACHED) {
        return -EAGAIN;
    }
    return openat_how(t, dirfd, path, (int)how->flags, (mode_t)how->mode,
                      how->resolve & RESOLVE_NO_SYMLINKS ? RESOLVE_NOLINKS : 0);
}

/* Open again for reading what O_PATH has found, if it is a regular file: to open others may wait, or do something. */
static int64_t
open_regular(int found)
{
    char self[PROC_PATH_MAX];
    struct stat st;
    int64_t r = host_syscall(SYS_fstat, found, &st);
    if (r < 0 || !S_ISREG(st.st_mode)) {
        return r < 0 ? r : S_ISLNK(st.st_mode) ? -ELOOP : -EACCES;
    }
    snprintf(self, sizeof self, "/proc/self/fd/%d", found);
    return host_syscall(SYS_openat, AT_FDCWD, self, O_RDONLY | O_CLOEXEC);
}

int64_t
vfs_open_exec(struct task *t, int dirfd, const char *path, int flags, char exe[4096])
{
    struct vfs *v = vfs_of(t);
    struct vfs_at at;
    int64_t fd;
    if (flags & ~(AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW)) {
        return -EINVAL;
    }
    if (path[0] == '\0' && flags & AT_EMPTY_PATH) {
        if (!vfs_fd_ok(v, dirfd)) {
            return -EBADF;
        }
        fd = open_regular(dirfd);
    } else {
        fd = vfs_resolve(t, dirfd, path, resolve_how(flags), &at);
        if (fd < 0) {
            return fd;
        }
        int64_t found = open_at(t, &at, O_PATH | O_CLOEXEC | (flags & AT_SYMLINK_NOFOLLOW ? O_NOFOLLOW : 0), 0);
        vfs_at_done(&at);
        fd = found < 0 ? found : open_regular((int)found);
        if (found >= 0) {
            host_syscall(SYS_close, found);
        }
    }
    if (fd < 0) {
        return fd;
    }
    fd = vfs_fd_hide(v, (int)fd);
    if (fd >= 0 && exe != NULL) {
        char host[PATH_MAX];
        exe[0] = '\0';
        if (vfs_host_path((int)fd, host) >= 0 && !vfs_guest_path(v, host, exe)) {
            snprintf(exe, PATH_MAX, "%s", host); /* a memfd, or a file that was passed in from outside */
        }
    }
    return fd;
}

int64_t
vfs_fstat(struct task *t, int fd, struct stat *st)
{
    if (!vfs_fd_ok(vfs_of(t), fd)) {
        return -EBADF;
    }
    int64_t r = host_syscall(SYS_fstat, fd, st);
    if (r == 0 && vfs_of(t)->fake) {
        fake_stat(vfs_of(t), fd, "", true, st);
    }
    return r;
}

int64_t
vfs_fstatat(struct task *t, int dirfd, const char *path, struct stat *st, int flags)
{
    struct vfs_at at;
    if (flags & ~(AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT | AT_EMPTY_PATH)) {
        return -EINVAL;
    }
    if (path[0] == '\0' && flags & AT_EMPTY_PATH) {
        if (dirfd != AT_FDCWD) {
            return vfs_fstat(t, dirfd, st);
        }
        path = ".";
    }
    unsigned how = resolve_how(flags);
    int64_t r = vfs_resolve(t, dirfd, path, how | RESOLVE_UNCHECKED, &at);
    if (r < 0) {
        return r;
    }
    r = host_syscall(SYS_newfstatat, at.dir, at.name, st, at.flags | (flags & AT_NO_AUTOMOUNT));
    if (r == 0 && S_ISLNK(st->st_mode) && how & RESOLVE_FOLLOW) {
        vfs_at_done(&at);
        r = vfs_resolve(t, dirfd, path, how, &at);
        if (r < 0) {
            return r;
        }
        r = host_syscall(SYS_newfstatat, at.dir, at.name, st, at.flags | (flags & AT_NO_AUTOMOUNT));
    }
    if (r == 0 && vfs_of(t)->fake) {
        fake_stat(vfs_of(t), at.dir, at.name, !(at.flags & AT_SYMLINK_NOFOLLOW), st);
    }
    vfs_at_done(&at);
    return r;
}

int64_t
vfs_statx(struct task *t, int dirfd, const char *path, int flags, unsigned mask, struct statx *stx)
{
    struct vfs *v = vfs_of(t);
    struct vfs_at at;
    if (path[0] == '\0' && flags & AT_EMPTY_PATH && dirfd == AT_FDCWD) {
        path = ".";
    }
    if (path[0] == '\0' && flags & AT_EMPTY_PATH) {
        int64_t r = vfs_fd_ok(v, dirfd) ? host_syscall(SYS_statx, dirfd, "", flags, mask, stx) : -EBADF;
        if (r == 0 && v->fake) {
            fake_statx(v, dirfd, "", true, stx);
        }
        return r;
    }
    unsigned how = resolve_how(flags);
    int host_flags = flags & ~(AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH);
    int64_t r = vfs_resolve(t, dirfd, path, how | RESOLVE_UNCHECKED, &at);
    if (r < 0) {
        return r;
    }
    r = host_syscall(SYS_statx, at.dir, at.name, host_flags | at.flags, mask, stx);
    if (r == 0 && S_ISLNK(stx->stx_mode) && how & RESOLVE_FOLLOW) {
        vfs_at_done(&at);
        r = vfs_resolve(t, dirfd, path, how, &at);
        if (r < 0) {
            return r;
        }
        r = host_syscall(SYS_statx, at.dir, at.name, host_flags | at.flags, mask, stx);
    }
    if (r == 0 && v->fake) {
        fake_statx(v, at.dir, at.name, !(at.flags & AT_SYMLINK_NOFOLLOW), stx);
    }
    vfs_at_done(&at);
    return r;
}

int64_t
vfs_statfs(struct task *t, const char *path, struct statfs *sf)
{
    struct vfs_at at;
    char buf[PATH_MAX];
    const char *host;
    int64_t r = vfs_resolve(t, AT_FDCWD, path, RESOLVE_FOLLOW | RESOLVE_READ, &at);
    if (r < 0) {
        return r;
    }
    r = vfs_at_path(&at, true, &host, buf);
    if (r == 0) {
        r = host_syscall(SYS_statfs, host, sf);
    }
    vfs_at_done(&at);
    return r;
}

int64_t
vfs_faccessat(struct task *t, int dirfd, const char *path, int mode, int flags)
{
    struct vfs_at at;
    if (flags & ~(AT_SYMLINK_NOFOLLOW | AT_EACCESS | AT_EMPTY_PATH)) {
        return -EINVAL;
    }
    if (path[0] == '\0' && flags & AT_EMPTY_PATH) {
        return vfs_fd_ok(vfs_of(t), dirfd) ? host_syscall(SYS_faccessat2, dirfd, "", mode, flags) : -EBADF;
    }
    int64_t r = vfs_resolve(t, dirfd, path, resolve_how(flags), &at);
    if (r < 0) {
        return r;
    }
    r = host_syscall(SYS_faccessat2, at.dir, at.name, mode, at.flags | (flags & AT_EACCESS));
    if (r == 0 && mode & W_OK && at.read_only) {
        r = -EROFS;
    }
    vfs_at_done(&at);
    return r;
}

int64_t
vfs_readlinkat(struct task *t, int dirfd, const char *path, char *buf, size_t cap)
{
    struct vfs_at at;
    if ((ssize_t)cap <= 0) {
        return -EINVAL;
    }
    if (path[0] == '\0') {
        return vfs_fd_ok(vfs_of(t), dirfd) ? host_syscall(SYS_readlinkat, dirfd, "", buf, cap) : -EBADF;
    }
    int64_t r = vfs_resolve(t, dirfd, path, RESOLVE_READ, &at);
    if (r < 0) {
        return r;
    }
    if (proc_node_is_link(at.node)) {
        r = procfs_readlink(t, &at, buf, cap);
    } else if (at.name[0] == '\0') {
        r = -EINVAL; /* a directory: a link would have a name */
    } else {
        r = host_syscall(SYS_readlinkat, at.dir, at.name, buf, cap);
    }
    vfs_at_done(&at);
    return r;
}

/* Resolve a name that is to be made, moved or removed. `busy` is the answer where a mount's place is. */
static int64_t
resolve_entry(struct task *t, int dirfd, const char *path, int busy, struct vfs_at *at)
{
    int64_t r = vfs_resolve(t, dirfd, path, RESOLVE_ENTRY, at);
    if (r == 0 && (at->busy || at->read_only)) {
        r = at->busy ? busy : -EROFS;
        if (!at->busy && busy == -EEXIST) {
            struct stat st;
            if (host_syscall(SYS_newfstatat, at->dir, at->name, &st, AT_SYMLINK_NOFOLLOW) == 0) {
                r = -EEXIST;
            }
        }
        vfs_at_done(at);
    }
    return r;
}

int64_t
vfs_mkdirat(struct task *t, int dirfd, const char *path, mode_t mode)
{
    struct vfs_at at;
    int64_t r = resolve_entry(t, dirfd, path, -EEXIST, &at);
    if (r < 0) {
        return r;
    }
    struct vfs *v = vfs_of(t);
    if (v->fake && fake_new_needs_record(v, S_IFDIR, mode & 01777)) {
        r = host_syscall(SYS_mkdirat, at.dir, at.name, fake_host_mode(S_IFDIR, mode));
        if (r == 0) {
            fake_created(v, at.dir, at.name, mode & 01777, 0);
        }
    } else {
        r = host_syscall(SYS_mkdirat, at.dir, at.name, mode);
    }
    vfs_at_done(&at);
    return r;
}

int64_t
vfs_mknodat(struct task *t, int dirfd, const char *path, mode_t mode, unsigned dev)
{
    struct vfs_at at;
    int64_t r = resolve_entry(t, dirfd, path, -EEXIST, &at);
    if (r < 0) {
        return r;
    }
    struct vfs *v = vfs_of(t);
    bool device = S_ISCHR(mode) || S_ISBLK(mode);
    if (!v->fake) {
        r = host_syscall(SYS_mknodat, at.dir, at.name, mode, dev);
    } else if (device && !(v->ids.cap_effective >> CAP_MKNOD & 1)) {
        r = -EPERM;
    } else {
        mode_t type = device || (mode & S_IFMT) == 0 ? S_IFREG : mode & S_IFMT;
        r = host_syscall(SYS_mknodat, at.dir, at.name, type | fake_host_mode(type, mode), 0);
        if (r == 0 && (device || fake_new_needs_record(v, type, mode & 07777))) {
            fake_created(v, at.dir, at.name, device ? mode : mode & 07777, dev);
        }
    }
    vfs_at_done(&at);
    return r;
}

int64_t
vfs_unlinkat(struct task *t, int dirfd, const char *path, int flags)
{
    struct vfs_at at;
    if (flags & ~AT_REMOVEDIR) {
        return -EINVAL;
    }
    int64_t r = resolve_entry(t, dirfd, path, -EBUSY, &at);
    if (r < 0) {
        return r;
    }
    r = host_syscall(SYS_unlinkat, at.dir, at.name, flags);
    vfs_at_done(&at);
    return r;
}

int64_t
vfs_renameat2(struct task *t, int olddir, const char *old, int newdir, const char *new, unsigned flags)
{
    struct vfs_at from, to;
    int64_t r = resolve_entry(t, olddir, old, -EBUSY, &from);
    if (r < 0) {
        return r;
    }
    r = resolve_entry(t, newdir, new, -EBUSY, &to);
    if (r < 0) {
        goto undo_from;
    }
    r = host_syscall(SYS_renameat2, from.dir, from.name, to.dir, to.name, flags);
    vfs_at_done(&to);
undo_from:
    vfs_at_done(&from);
    return r;
}

int64_t
vfs_linkat(struct task *t, int olddir, const char *old, int newdir, const char *new, int flags)
{
    struct vfs_at from, to;
    char buf[PROC_PATH_MAX];
    int64_t r;
    if (flags & ~(AT_SYMLINK_FOLLOW | AT_EMPTY_PATH)) {
        return -EINVAL;
    }
    if (old[0] == '\0' && flags & AT_EMPTY_PATH) {
        if (!vfs_fd_ok(vfs_of(t), olddir)) {
            return -EBADF;
        }
        from = (struct vfs_at){.dir = olddir, .name = "", .flags = AT_EMPTY_PATH};
    } else {
        r = vfs_resolve(t, olddir, old, flags & AT_SYMLINK_FOLLOW ? RESOLVE_FOLLOW : 0, &from);
        if (r < 0) {
            return r;
        }
        from.flags = from.direct ? flags & AT_SYMLINK_FOLLOW : 0;
        if (!from.direct && from.name[0] != '\0') {
            struct stat st; /* the kernel says that there is no such file before it looks at the new name */
            r = host_syscall(SYS_newfstatat, from.dir, from.name, &st, AT_SYMLINK_NOFOLLOW);
            if (r < 0) {
                goto undo_from;
            }
        }
    }
    r = resolve_entry(t, newdir, new, -EEXIST, &to);
    if (r < 0) {
        goto undo_from;
    }
    if (from.name[0] == '\0' && !(flags & AT_EMPTY_PATH)) {
        /* Linking a bare descriptor asks for a capability; through /proc it does not. */
        snprintf(buf, sizeof buf, "/proc/self/fd/%d", from.dir);
        r = host_syscall(SYS_linkat, AT_FDCWD, buf, to.dir, to.name, AT_SYMLINK_FOLLOW);
    } else {
        r = host_syscall(SYS_linkat, from.dir, from.name, to.dir, to.name, from.flags);
    }
    vfs_at_done(&to);
undo_from:
    vfs_at_done(&from);
    return r;
}

int64_t
vfs_symlinkat(struct task *t, const char *target, int newdir, const char *new)
{
    struct vfs_at at;
    if (target[0] == '\0') {
        return -ENOENT;
    }
    int64_t r = resolve_entry(t, newdir, new, -EEXIST, &at);
    if (r < 0) {
        return r;
    }
    r = host_syscall(SYS_symlinkat, target, at.dir, at.name);
    struct vfs *v = vfs_of(t);
    if (r == 0 && v->fake && (v->ids.uid[FAKE_FS] != 0 || v->ids.gid[FAKE_FS] != 0)) {
        fake_created(v, at.dir, at.name, 0777, 0);
    }
    vfs_at_done(&at);
    return r;
}

int64_t
vfs_inotify_add_watch(struct task *t, int fd, const char *path, uint32_t mask)
{
    struct vfs_at at;
    char buf[PATH_MAX];
    const char *host;
    bool follow = !(mask & IN_DONT_FOLLOW);
    if (!vfs_fd_ok(vfs_of(t), fd)) {
        return -EBADF;
    }
    int64_t r = vfs_resolve(t, AT_FDCWD, path, follow ? RESOLVE_FOLLOW : 0, &at);
    if (r < 0) {
        return r;
    }
    r = vfs_at_path(&at, follow, &host, buf);
    if (r == 0) {
        r = host_syscall(SYS_inotify_add_watch, fd, host, mask);
    }
    vfs_at_done(&at);
    return r;
}

int64_t
vfs_name_to_handle_at(struct task *t, int dirfd, const char *path, void *handle, int *mount_id, int flags)
{
    struct vfs_at at;
    if (path[0] == '\0' && flags & AT_EMPTY_PATH) {
        return vfs_fd_ok(vfs_of(t), dirfd)
                   ? host_syscall(SYS_name_to_handle_at, dirfd, "", handle, mount_id, flags)
                   : -EBADF;
    }
    int64_t r = vfs_resolve(t, dirfd, path, flags & AT_SYMLINK_FOLLOW ? RESOLVE_FOLLOW : 0, &at);
    if (r < 0) {
        return r;
    }
    int host_flags = flags & ~(AT_SYMLINK_FOLLOW | AT_EMPTY_PATH);
    host_flags |= at.direct ? flags & AT_SYMLINK_FOLLOW : at.flags & AT_EMPTY_PATH;
    r = host_syscall(SYS_name_to_handle_at, at.dir, at.name, handle, mount_id, host_flags);
    vfs_at_done(&at);
    return r;
}

/*
 * A place that we mount on may be anything below, so the kind that its directory names is not what stat(2) shows:
 * debootstrap leaves /proc a symlink, and find(1) goes astray when the two differ.
 */
static void
show_places(const struct vfs *v, int fd, char *buf, int64_t n)
{
    struct stat dir = {0};
    for (int64_t at = 0; at < n; at += ((struct dirent64 *)(void *)(buf + at))->d_reclen) {
        struct dirent64 *e = (struct dirent64 *)(void *)(buf + at);
        if (!vfs_mount_name(v, e->d_name, strlen(e->d_name))) {
            continue;
        }
        if (dir.st_ino == 0 && host_syscall(SYS_fstat, fd, &dir) < 0) {
            return;
        }
        const struct vfs_mount *m = vfs_mount_at(v, &dir, e->d_name);
        if (m != NULL) {
            e->d_type = m->is_dir ? DT_DIR : DT_UNKNOWN;
        }
    }
}

int64_t
vfs_getdents64(struct task *t, int fd, void *buf, size_t len)
{
    struct vfs *v = vfs_of(t);
    if (!vfs_fd_ok(v, fd)) {
        return -EBADF;
    }
    int64_t n = host_syscall(SYS_getdents64, fd, buf, len);
    show_places(v, fd, buf, n);
    return procfs_hide_entries(v, fd, buf, n);
}
