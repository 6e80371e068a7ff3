/*
 * p9_names.c - the 9P server: names and attributes of objects
 *
 * Each call takes a folder's descriptor and one name, or an object's descriptor. What the guest may not have made here: device nodes,
 * and the bits that run a program as its owner, for they would mean something to this machine.
 */
#include "device/p9_impl.h"

#include "base/check.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/vfs.h>
#include <unistd.h>

enum { GETATTR_BASIC = 0x7ff, GETATTR_BTIME = 0x800 };
enum { SET_MODE = 1, SET_UID = 2, SET_GID = 4, SET_SIZE = 8, SET_ATIME = 0x10, SET_MTIME = 0x20, SET_ATIME_TO = 0x80, SET_MTIME_TO = 0x100 };

/* What a request of most kinds begins with: the object that it is about, or the folder in which something happens. */
static struct p9_fid *
folder(struct p9 *p, struct p9_msg *m)
{
    return p9_fid_plain(p, (uint32_t)p9_get(m, 4));
}

/* May it be done at all: the arguments were there, to a fid, with a name of a file in a folder? 0 or -errno. */
static int
may_change(const struct p9 *p, const struct p9_msg *m, const struct p9_fid *f, const char *name)
{
    return f == NULL ? -EBADF : m->bad ? -EINVAL : p->read_only ? -EROFS : name != NULL ? p9_check_name(name) : 0;
}

/* ---- attributes ---- */

int
p9_statfs(struct p9 *p, struct p9_msg *m)
{
    const struct p9_fid *f = folder(p, m);
    struct statfs s;
    if (f == NULL || fstatfs(f->file->fd, &s) != 0) {
        return f == NULL ? -EBADF : -errno;
    }
    uint64_t id;
    static_assert(sizeof s.f_fsid == sizeof id, "of a file system");
    memcpy(&id, &s.f_fsid, sizeof id);
    p9_put(m, 4, (uint64_t)s.f_type);
    p9_put(m, 4, (uint64_t)s.f_bsize);
    const uint64_t counts[] = {s.f_blocks, s.f_bfree, s.f_bavail, s.f_files, s.f_ffree, id};
    for (unsigned i = 0; i < ARRAY_LEN(counts); i++) {
        p9_put(m, 8, counts[i]);
    }
    p9_put(m, 4, P9_NAME_MAX - 1);
    return 0;
}

int
p9_getattr(struct p9 *p, struct p9_msg *m)
{
    const struct p9_fid *f = folder(p, m);
    p9_get(m, 8); /* what is asked for: it gets what there is */
    struct stat st;
    struct statx sx;
    if (m->bad || f == NULL) {
        return f == NULL ? -EBADF : -EINVAL;
    }
    if (fstat(f->file->fd, &st) != 0) {
        return -errno;
    }
    const bool born = statx(f->file->fd, "", AT_EMPTY_PATH, STATX_BTIME, &sx) == 0 && (sx.stx_mask & STATX_BTIME);
    p9_put(m, 8, GETATTR_BASIC | (born ? GETATTR_BTIME : 0));
    p9_put_qid(p, m, &st);
    p9_put(m, 4, st.st_mode);
    p9_put(m, 4, st.st_uid);
    p9_put(m, 4, st.st_gid);
    const uint64_t rest[] = {
        st.st_nlink, st.st_rdev, (uint64_t)st.st_size, (uint64_t)st.st_blksize, (uint64_t)st.st_blocks,
        (uint64_t)st.st_atim.tv_sec, (uint64_t)st.st_atim.tv_nsec, (uint64_t)st.st_mtim.tv_sec, (uint64_t)st.st_mtim.tv_nsec,
        (uint64_t)st.st_ctim.tv_sec, (uint64_t)st.st_ctim.tv_nsec, born ? (uint64_t)sx.stx_btime.tv_sec : 0,
        born ? sx.stx_btime.tv_nsec : 0, 0, 0,
    };
    for (unsigned i = 0; i < ARRAY_LEN(rest); i++) {
        p9_put(m, 8, rest[i]);
    }
    return 0;
}

static int
set_size(struct p9 *p, const struct p9_fid *f, uint64_t size)
{
    if (size > INT64_MAX) {
        return -EFBIG;
    }
    if (f->io != NULL && ftruncate(f->io->fd, (off_t)size) == 0) {
        return 0;
    }
    const int fd = p9_reopen(p, f->file, O_WRONLY);
    if (fd < 0) {
        return fd;
    }
    const int r = ftruncate(fd, (off_t)size) == 0 ? 0 : -errno;
    close(fd);
    return r;
}

static struct timespec
when(uint32_t valid, uint32_t set, uint32_t to, uint64_t sec, uint64_t nsec)
{
    return (struct timespec){(time_t)sec, !(valid & set) ? UTIME_OMIT : valid & to ? (long)nsec : UTIME_NOW};
}

int
p9_setattr(struct p9 *p, struct p9_msg *m)
{
    const struct p9_fid *f = folder(p, m);
    const uint32_t valid = (uint32_t)p9_get(m, 4), mode = (uint32_t)p9_get(m, 4);
    const uint32_t uid = (uint32_t)p9_get(m, 4), gid = (uint32_t)p9_get(m, 4);
    const uint64_t size = p9_get(m, 8), at_s = p9_get(m, 8), at_ns = p9_get(m, 8), mt_s = p9_get(m, 8), mt_ns = p9_get(m, 8);
    int r = may_change(p, m, f, NULL);
    if (r == 0 && (valid & SET_MODE)) {
        r = p9_set_mode(p, f->file->fd, mode);
    }
    if (r == 0 && (valid & (SET_UID | SET_GID))) {
        r = fchownat(f->file->fd, "", valid & SET_UID ? uid : UINT32_MAX, valid & SET_GID ? gid : UINT32_MAX, AT_EMPTY_PATH) == 0 ? 0 : -errno;
    }
    if (r == 0 && (valid & SET_SIZE)) {
        r = set_size(p, f, size);
    }
    if (r == 0 && (valid & (SET_ATIME | SET_MTIME))) {
        const struct timespec ts[2] = {when(valid, SET_ATIME, SET_ATIME_TO, at_s, at_ns), when(valid, SET_MTIME, SET_MTIME_TO, mt_s, mt_ns)};
        r = utimensat(f->file->fd, "", ts, AT_EMPTY_PATH) == 0 ? 0 : -errno;
    }
    return r;
}

int
p9_readlink(struct p9 *p, struct p9_msg *m)
{
    const struct p9_fid *f = folder(p, m);
    char target[P9_TARGET_MAX];
    const ssize_t n = f == NULL ? -1 : readlinkat(f->file->fd, "", target, sizeof target);
    if (n < 0) {
        return f == NULL ? -EBADF : errno == ENOENT ? -EINVAL : -errno;
    }
    p9_put_text(m, target, (size_t)n);
    return 0;
}

/* ---- new names ---- */

/* What has just been made in a folder: its owners, its mode, its qid. */
static int
made(struct p9 *p, struct p9_msg *m, const struct p9_fid *f, const char *name, uint32_t gid, uint32_t mode)
{
    struct p9_file *file;
    int r = p9_open_child(p, f->file, name, &file);
    if (r == 0) {
        r = p9_made(p, m, file->fd, f->uid, gid, mode);
        p9_file_put(p, file);
    }
    return r;
}

int
p9_symlink(struct p9 *p, struct p9_msg *m)
{
    char name[P9_NAME_MAX], target[P9_TARGET_MAX];
    const struct p9_fid *f = folder(p, m);
    p9_get_text(m, name, sizeof name);
    p9_get_text(m, target, sizeof target);
    const uint32_t gid = (uint32_t)p9_get(m, 4);
    int r = may_change(p, m, f, name);
    r = r < 0 ? r : symlinkat(target, f->file->fd, name) == 0 ? 0 : -errno;
    return r < 0 ? r : made(p, m, f, name, gid, 0777);
}

int
p9_mknod(struct p9 *p, struct p9_msg *m)
{
    char name[P9_NAME_MAX];
    const struct p9_fid *f = folder(p, m);
    p9_get_text(m, name, sizeof name);
    const uint32_t mode = (uint32_t)p9_get(m, 4);
    p9_get(m, 8); /* the device's numbers */
    const uint32_t gid = (uint32_t)p9_get(m, 4);
    int r = may_change(p, m, f, name);
    if (r == 0 && (S_ISCHR(mode) || S_ISBLK(mode))) {
        r = -EPERM;
    }
    r = r < 0 ? r : mknodat(f->file->fd, name, mode & (S_IFMT | 0777), 0) == 0 ? 0 : -errno;
    return r < 0 ? r : made(p, m, f, name, gid, mode);
}

int
p9_mkdir(struct p9 *p, struct p9_msg *m)
{
    char name[P9_NAME_MAX];
    const struct p9_fid *f = folder(p, m);
    p9_get_text(m, name, sizeof name);
    const uint32_t mode = (uint32_t)p9_get(m, 4), gid = (uint32_t)p9_get(m, 4);
    int r = may_change(p, m, f, name);
    r = r < 0 ? r : mkdirat(f->file->fd, name, mode & 01777) == 0 ? 0 : -errno;
    return r < 0 ? r : made(p, m, f, name, gid, mode);
}

/* A second name for an object that we hold. */
int
p9_link(struct p9 *p, struct p9_msg *m)
{
    char name[P9_NAME_MAX], self[16];
    const struct p9_fid *f = folder(p, m), *of = p9_fid_plain(p, (uint32_t)p9_get(m, 4));
    p9_get_text(m, name, sizeof name);
    const int r = of == NULL ? -EBADF : may_change(p, m, f, name);
    if (r < 0) {
        return r;
    }
    snprintf(self, sizeof self, "%d", of->file->fd);
    return linkat(p->proc, self, f->file->fd, name, AT_SYMLINK_FOLLOW) == 0 ? 0 : -errno;
}

/* ---- names that change or go ---- */

/* Is what a fid stands for still where it was found? */
static int
still_there(const struct p9_fid *f)
{
    struct stat now, held;
    if (f->parent == NULL) {
        return -EBUSY; /* the root */
    }
    if (fstatat(f->parent->fd, f->name, &now, AT_SYMLINK_NOFOLLOW) != 0 || fstat(f->file->fd, &held) != 0) {
        return -errno;
    }
    return now.st_dev == held.st_dev && now.st_ino == held.st_ino ? S_ISDIR(now.st_mode) : -ESTALE;
}

int
p9_rename(struct p9 *p, struct p9_msg *m)
{
    char name[P9_NAME_MAX];
    struct p9_fid *f = folder(p, m);
    const struct p9_fid *to = p9_fid_plain(p, (uint32_t)p9_get(m, 4));
    p9_get_text(m, name, sizeof name);
    int r = to == NULL ? -EBADF : may_change(p, m, f, name);
    r = r < 0 ? r : still_there(f);
    char *own = r < 0 ? NULL : strdup(name);
    r = r < 0 ? r : own == NULL ? -ENOMEM : renameat(f->parent->fd, f->name, to->file->fd, name) == 0 ? 0 : -errno;
    if (r < 0) {
        free(own);
        return r;
    }
    p9_file_put(p, f->parent);
    f->parent = p9_file_get(to->file);
    free(f->name);
    f->name = own;
    return 0;
}

int
p9_renameat(struct p9 *p, struct p9_msg *m)
{
    char from[P9_NAME_MAX], to[P9_NAME_MAX];
    const struct p9_fid *old = folder(p, m);
    p9_get_text(m, from, sizeof from);
    const struct p9_fid *new = p9_fid_plain(p, (uint32_t)p9_get(m, 4));
    p9_get_text(m, to, sizeof to);
    int r = may_change(p, m, old, from);
    r = r < 0 ? r : may_change(p, m, new, to);
    return r < 0 ? r : renameat(old->file->fd, from, new->file->fd, to) == 0 ? 0 : -errno;
}

int
p9_unlinkat(struct p9 *p, struct p9_msg *m)
{
    char name[P9_NAME_MAX];
    const struct p9_fid *f = folder(p, m);
    p9_get_text(m, name, sizeof name);
    const uint32_t flags = (uint32_t)p9_get(m, 4);
    const int r = (flags & ~(uint32_t)AT_REMOVEDIR) != 0 ? -EINVAL : may_change(p, m, f, name);
    return r < 0 ? r : unlinkat(f->file->fd, name, (int)flags) == 0 ? 0 : -errno;
}

/* The fid is given up, whatever becomes of the object. */
int
p9_remove(struct p9 *p, struct p9_msg *m)
{
    struct p9_fid *f = p9_fid_find(p, (uint32_t)p9_get(m, 4));
    if (f == NULL) {
        return -EBADF;
    }
    int r = f->xattr != NULL ? -EINVAL : p->read_only ? -EROFS : still_there(f);
    if (r >= 0) {
        r = unlinkat(f->parent->fd, f->name, r > 0 ? AT_REMOVEDIR : 0) == 0 ? 0 : -errno;
    }
    p9_fid_drop(p, f);
    return r;
}
