/*
 * p9_files.c - the 9P server: what is open, and extended attributes
 *
 * Only regular files and folders are ever opened, without blocking. Of attributes the guest sees and sets `user.*`: those of other
 * names mean something to this machine. They are read and written through an open descriptor, so of files that can be read only.
 *
 * A lock (Tlock) is granted always: Linux asks after it has found no conflict among the guest's own, and locks of this machine's
 * programs are none of the guest's (docs/limits.md).
 */
#include "device/p9_impl.h"

#include "base/check.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/xattr.h>
#include <unistd.h>

#define READ_HEAD  4   /* of a reply to Tread, Treaddir: count */
#define WRITE_HEAD 16  /* of Twrite, before the data: fid 4 | offset 8 | count 4 */
#define LIST_BYTES (32u << 10)
#define ENTRY_MAX  (13 + 8 + 1 + 2 + 256)

enum { LOCK_SUCCESS = 0, LOCK_UNLCK = 2 };

/* Flags of Linux's generic numbers, which are x86's. What would make us wait, or belongs to the guest's kernel, is left out. */
static int
host_flags(const struct p9 *p, uint32_t flags, int *ours)
{
    *ours = (int)(flags & (O_ACCMODE | O_TRUNC | O_APPEND | O_DSYNC | O_SYNC | O_DIRECTORY | O_NOATIME));
    if ((flags & O_ACCMODE) == O_ACCMODE) {
        return -EINVAL;
    }
    return p->read_only && ((flags & O_ACCMODE) != O_RDONLY || (flags & (O_TRUNC | O_CREAT))) ? -EROFS : 0;
}

/* O_NOATIME is for owners only, and not worth a failure. */
static int
reopen(const struct p9 *p, const struct p9_file *file, int flags)
{
    const int fd = p9_reopen(p, file, flags);
    return fd == -EPERM && (flags & O_NOATIME) ? p9_reopen(p, file, flags & ~O_NOATIME) : fd;
}

static int
put_opened(struct p9 *p, struct p9_msg *m, int fd)
{
    struct stat st;
    if (fstat(fd, &st) != 0) {
        return -errno;
    }
    p9_put_qid(p, m, &st);
    p9_put(m, 4, 0); /* iounit: as much as a message takes */
    return 0;
}

/* p9_file_take() of what p9_reopen() has returned. */
static int
take(struct p9 *p, int fd, struct p9_file **file)
{
    return fd < 0 ? fd : p9_file_take(p, fd, file);
}

int
p9_lopen(struct p9 *p, struct p9_msg *m)
{
    struct p9_fid *f = p9_fid_plain(p, (uint32_t)p9_get(m, 4));
    int flags, r = host_flags(p, (uint32_t)p9_get(m, 4), &flags);
    if (m->bad || f == NULL || f->io != NULL) {
        return f == NULL ? -EBADF : -EINVAL;
    }
    struct p9_file *io;
    r = r < 0 ? r : take(p, reopen(p, f->file, flags), &io);
    if (r == 0) {
        f->io = io;
        r = put_opened(p, m, io->fd);
    }
    return r;
}

/* Create, or open what is there already. *made: it was not. */
static int
create(struct p9 *p, const struct p9_file *folder, const char *name, int flags, bool exclusive, uint32_t mode, struct p9_file **file,
       bool *made)
{
    const int fd = openat(folder->fd, name, flags | O_CREAT | O_EXCL | O_NOFOLLOW | O_NOCTTY | O_CLOEXEC, mode & 0777);
    *made = fd >= 0;
    if (fd >= 0 || errno != EEXIST || exclusive) {
        return p9_file_take(p, fd, file);
    }
    struct p9_file *there;
    int r = p9_open_child(p, folder, name, &there);
    if (r == 0) {
        r = take(p, reopen(p, there, flags), file);
        p9_file_put(p, there);
    }
    return r;
}

/* The fid of a folder becomes that of a file in it, which is open. */
int
p9_lcreate(struct p9 *p, struct p9_msg *m)
{
    char name[P9_NAME_MAX];
    struct p9_fid *f = p9_fid_plain(p, (uint32_t)p9_get(m, 4));
    p9_get_text(m, name, sizeof name);
    const uint32_t asked = (uint32_t)p9_get(m, 4), mode = (uint32_t)p9_get(m, 4), gid = (uint32_t)p9_get(m, 4);
    int flags, r = host_flags(p, asked | O_CREAT, &flags);
    if (m->bad || f == NULL || f->io != NULL || p9_check_name(name) < 0) {
        return f == NULL ? -EBADF : -EINVAL;
    }
    char *own = strdup(name);
    struct p9_file *file;
    bool made;
    r = own == NULL ? -ENOMEM : r < 0 ? r : create(p, f->file, name, flags & ~O_NOATIME, asked & O_EXCL, mode, &file, &made);
    if (r < 0) {
        free(own);
        return r;
    }
    free(f->name);
    f->name = own;
    p9_file_put(p, f->parent);
    f->parent = f->file;
    f->file = file;
    f->io = p9_file_get(file);
    if (!made) {
        return put_opened(p, m, file->fd);
    }
    r = p9_made(p, m, file->fd, f->uid, gid, mode);
    if (r == 0) {
        p9_put(m, 4, 0);
    }
    return r;
}

/* ---- data ---- */

/* `bytes` bytes of a chain's memory from `skip` on, as segments. How many. */
static int
slice(const struct iovec *iov, unsigned n, uint64_t skip, uint64_t bytes, struct iovec *to)
{
    int made = 0;
    for (unsigned i = 0; i < n && bytes > 0; i++) {
        if (skip >= iov[i].iov_len) {
            skip -= iov[i].iov_len;
            continue;
        }
        const uint64_t room = iov[i].iov_len - skip;
        to[made] = (struct iovec){(uint8_t *)iov[i].iov_base + skip, room < bytes ? room : bytes};
        bytes -= to[made++].iov_len;
        skip = 0;
    }
    return made;
}

int
p9_read(struct p9 *p, struct p9_msg *m)
{
    const struct vq_chain *c = m->chain;
    const struct p9_fid *f = p9_fid_find(p, (uint32_t)p9_get(m, 4));
    const uint64_t offset = p9_get(m, 8);
    uint64_t count = p9_get(m, 4);
    const uint64_t room = c->in_bytes > P9_HEAD + READ_HEAD ? c->in_bytes - P9_HEAD - READ_HEAD : 0;
    if (m->bad || f == NULL || offset > INT64_MAX) {
        return f == NULL ? -EBADF : -EINVAL;
    }
    count = count < room ? count : room;
    if (f->xattr != NULL) {
        const struct p9_xattr *x = f->xattr;
        if (x->writing || offset > x->size) {
            return -EINVAL;
        }
        count = count < x->size - offset ? count : x->size - offset;
        vq_put(c, P9_HEAD + READ_HEAD, x->bytes + offset, count);
        m->direct = (uint32_t)count;
    } else if (f->io == NULL) {
        return -EBADF;
    } else {
        struct iovec iov[VQ_SEGMENTS_MAX];
        const int n_iov = slice(c->iov + c->n_out, c->n_in, P9_HEAD + READ_HEAD, count, iov);
        const ssize_t n = preadv(f->io->fd, iov, n_iov, (off_t)offset);
        if (n < 0) {
            return -errno;
        }
        m->direct = (uint32_t)n;
    }
    p9_put(m, 4, m->direct);
    return 0;
}

static ssize_t
write_xattr(struct p9_xattr *x, const struct vq_chain *c, uint64_t offset, uint64_t count)
{
    if (!x->writing || offset != x->done || count > x->size - x->done) {
        return -EINVAL;
    }
    vq_get(c, P9_HEAD + WRITE_HEAD, x->bytes + x->done, count);
    x->done += count;
    return (ssize_t)count;
}

int
p9_write(struct p9 *p, struct p9_msg *m)
{
    const struct vq_chain *c = m->chain;
    const struct p9_fid *f = p9_fid_find(p, (uint32_t)p9_get(m, 4));
    const uint64_t offset = p9_get(m, 8), count = p9_get(m, 4);
    if (m->bad || f == NULL || offset > INT64_MAX || count > c->out_bytes - P9_HEAD - WRITE_HEAD) {
        return f == NULL ? -EBADF : -EINVAL;
    }
    ssize_t n = -EBADF;
    if (f->xattr != NULL) {
        n = write_xattr(f->xattr, c, offset, count);
    } else if (f->io != NULL) {
        struct iovec iov[VQ_SEGMENTS_MAX];
        n = pwritev(f->io->fd, iov, slice(c->iov, c->n_out, P9_HEAD + WRITE_HEAD, count, iov), (off_t)offset);
        n = n < 0 ? -errno : n;
    }
    if (n < 0) {
        return (int)n;
    }
    p9_put(m, 4, (uint64_t)n);
    return 0;
}

int
p9_fsync(struct p9 *p, struct p9_msg *m)
{
    const struct p9_fid *f = p9_fid_plain(p, (uint32_t)p9_get(m, 4));
    const bool data_only = p9_get(m, 4) != 0;
    if (m->bad || f == NULL || f->io == NULL) {
        return f == NULL || f->io == NULL ? -EBADF : -EINVAL;
    }
    return (data_only ? fdatasync(f->io->fd) : fsync(f->io->fd)) == 0 ? 0 : -errno;
}

/* ---- folders ---- */

/* As getdents64 gives them. */
struct entry {
    uint64_t ino;
    int64_t next;
    uint16_t bytes;
    uint8_t type;
    char name[];
};

static void
put_entry(const struct p9 *p, struct p9_msg *m, const struct entry *e, dev_t dev)
{
    const struct stat st = {.st_dev = dev, .st_ino = e->ino, .st_mode = DTTOIF(e->type)};
    p9_put_qid(p, m, &st);
    p9_put(m, 8, (uint64_t)e->next);
    p9_put(m, 1, e->type);
    p9_put_text(m, e->name, strnlen(e->name, P9_NAME_MAX - 1));
}

/* An entry's offset is where the next one begins: where the client goes on. */
int
p9_readdir(struct p9 *p, struct p9_msg *m)
{
    const struct p9_fid *f = p9_fid_plain(p, (uint32_t)p9_get(m, 4));
    const uint64_t offset = p9_get(m, 8), asked = p9_get(m, 4);
    const uint64_t in = m->chain->in_bytes > P9_HEAD ? m->chain->in_bytes - P9_HEAD : 0;
    uint64_t room = asked + READ_HEAD;
    uint8_t *list;
    struct stat st;
    if (m->bad || f == NULL || f->io == NULL || fstat(f->io->fd, &st) != 0 || !S_ISDIR(st.st_mode)) {
        return f == NULL || f->io == NULL ? -EBADF : -EINVAL;
    }
    if (lseek(f->io->fd, (off_t)offset, SEEK_SET) < 0) {
        return -errno;
    }
    list = malloc(LIST_BYTES);
    if (list == NULL) {
        return -ENOMEM;
    }
    room = room < in ? room : in;
    room = room < P9_REPLY_MAX ? room : P9_REPLY_MAX;
    p9_put(m, 4, 0);
    long n = 0;
    bool full = false;
    while (!full && (n = syscall(SYS_getdents64, f->io->fd, list, LIST_BYTES)) > 0) {
        for (long at = 0; at < n && !full;) {
            const struct entry *e = (const void *)(list + at);
            full = m->n + (ENTRY_MAX - P9_NAME_MAX) + strlen(e->name) > room;
            if (!full) {
                put_entry(p, m, e, st.st_dev);
            }
            at += e->bytes;
        }
    }
    const int err = n < 0 ? -errno : 0;
    free(list);
    if (m->n == READ_HEAD && (err < 0 || full)) {
        return err < 0 ? err : -EINVAL; /* not one fits */
    }
    const uint32_t count = (uint32_t)(m->n - READ_HEAD);
    memcpy(m->reply, &count, sizeof count);
    return 0;
}

/* ---- locks ---- */

struct lock {
    uint64_t start, length, id;
    char client[P9_NAME_MAX];
};

/* The request: fid, kind, flags if `has_flags`, then the lock. 0 or -errno. */
static int
get_lock(struct p9 *p, struct p9_msg *m, bool has_flags, struct lock *l)
{
    const struct p9_fid *f = p9_fid_plain(p, (uint32_t)p9_get(m, 4));
    p9_get(m, has_flags ? 5 : 1);
    l->start = p9_get(m, 8);
    l->length = p9_get(m, 8);
    l->id = p9_get(m, 4);
    p9_get_text(m, l->client, sizeof l->client);
    return f == NULL || f->io == NULL ? -EBADF : m->bad ? -EINVAL : 0;
}

int
p9_lock(struct p9 *p, struct p9_msg *m)
{
    struct lock l;
    const int r = get_lock(p, m, true, &l);
    if (r == 0) {
        p9_put(m, 1, LOCK_SUCCESS);
    }
    return r;
}

int
p9_getlock(struct p9 *p, struct p9_msg *m)
{
    struct lock l;
    const int r = get_lock(p, m, false, &l);
    if (r == 0) {
        p9_put(m, 1, LOCK_UNLCK);
        p9_put(m, 8, l.start);
        p9_put(m, 8, l.length);
        p9_put(m, 4, l.id);
        p9_put_text(m, l.client, strlen(l.client));
    }
    return r;
}

/* ---- extended attributes ---- */

static bool
is_ours(const char *name)
{
    return strncmp(name, "user.", 5) == 0 && name[5] != 0;
}

/* Of a list of names those that the guest is to see. How many bytes. */
static size_t
filter(char *names, size_t n)
{
    size_t kept = 0;
    for (size_t at = 0; at < n;) {
        const size_t len = strnlen(names + at, n - at - 1) + 1;
        if (is_ours(names + at)) {
            memmove(names + kept, names + at, len);
            kept += len;
        }
        at += len;
    }
    return kept;
}

static struct p9_xattr *
xattr_new(struct p9 *p, const char *name)
{
    struct p9_xattr *x = p->n_xattrs < P9_XATTRS_MAX ? calloc(1, sizeof *x) : NULL;
    if (x != NULL && (x->bytes = malloc(P9_XATTR_MAX)) == NULL) {
        free(x);
        x = NULL;
    }
    if (x != NULL) {
        memcpy(x->name, name, strlen(name) + 1);
        p->n_xattrs++;
    }
    return x;
}

static void
xattr_free(struct p9 *p, struct p9_xattr *x)
{
    free(x->bytes);
    free(x);
    p->n_xattrs--;
}

/* The value, or without a name the list: bytes, or -errno. */
static ssize_t
fetch(struct p9 *p, const struct p9_file *file, struct p9_xattr *x)
{
    const int fd = p9_reopen(p, file, O_RDONLY);
    if (fd < 0) {
        return *x->name == 0 && (fd == -EPERM || fd == -EACCES || fd == -ELOOP) ? 0 : fd == -EPERM || fd == -ELOOP ? -ENODATA : fd;
    }
    ssize_t n = *x->name == 0 ? flistxattr(fd, (char *)x->bytes, P9_XATTR_MAX) : fgetxattr(fd, x->name, x->bytes, P9_XATTR_MAX);
    n = n < 0 ? -errno : *x->name == 0 ? (ssize_t)filter((char *)x->bytes, (size_t)n) : n;
    close(fd);
    return n;
}

int
p9_xattrwalk(struct p9 *p, struct p9_msg *m)
{
    char name[P9_NAME_MAX];
    const struct p9_fid *f = p9_fid_plain(p, (uint32_t)p9_get(m, 4));
    const uint32_t to = (uint32_t)p9_get(m, 4);
    p9_get_text(m, name, sizeof name);
    if (m->bad || f == NULL) {
        return f == NULL ? -EBADF : -EINVAL;
    }
    if (*name != 0 && !is_ours(name)) {
        return -EOPNOTSUPP;
    }
    struct p9_xattr *x = xattr_new(p, name);
    if (x == NULL) {
        return -ENOMEM;
    }
    struct p9_fid *made;
    const ssize_t n = fetch(p, f->file, x);
    const int r = n < 0 ? (int)n : p9_fid_new(p, to, &made);
    if (r < 0) {
        xattr_free(p, x);
        return r;
    }
    x->size = (size_t)n;
    made->xattr = x;
    p9_put(m, 8, x->size);
    return 0;
}

/* The fid becomes one that takes the value, by Twrite; Tclunk then sets it. No value: the attribute is to go. */
int
p9_xattrcreate(struct p9 *p, struct p9_msg *m)
{
    char name[P9_NAME_MAX];
    struct p9_fid *f = p9_fid_plain(p, (uint32_t)p9_get(m, 4));
    p9_get_text(m, name, sizeof name);
    const uint64_t size = p9_get(m, 8);
    const uint32_t flags = (uint32_t)p9_get(m, 4);
    if (m->bad || f == NULL || f->io != NULL || (flags & ~(uint32_t)(XATTR_CREATE | XATTR_REPLACE)) != 0) {
        return f == NULL ? -EBADF : -EINVAL;
    }
    if (p->read_only || !is_ours(name) || size > P9_XATTR_MAX) {
        return p->read_only ? -EROFS : !is_ours(name) ? -EOPNOTSUPP : -E2BIG;
    }
    f->xattr = xattr_new(p, name);
    if (f->xattr == NULL) {
        return -ENOMEM;
    }
    f->xattr->size = size;
    f->xattr->writing = true;
    f->xattr->flags = (int)flags;
    return 0;
}

int
p9_xattr_store(struct p9 *p, const struct p9_fid *f)
{
    const struct p9_xattr *x = f->xattr;
    if (x->done != x->size) {
        return -EIO; /* some of it is missing */
    }
    const int fd = p9_reopen(p, f->file, O_RDONLY);
    if (fd < 0) {
        return fd;
    }
    const int r = x->size == 0 && (x->flags & XATTR_REPLACE) ? fremovexattr(fd, x->name) : fsetxattr(fd, x->name, x->bytes, x->size, x->flags);
    const int err = r < 0 ? -errno : 0;
    close(fd);
    return err;
}
