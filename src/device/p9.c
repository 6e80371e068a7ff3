/*
 * p9.c - a host folder as a file server: messages, fids, walking
 *
 * 9P2000.L, as Linux's v9fs speaks it (Documentation/filesystems/9p.rst, include/net/9p/9p.h; the protocol file of diod is the nearest
 * thing to a specification). A request and its reply are  size 4 | type 1 | tag 2 | arguments;  numbers are little-endian, a string has
 * its length in two bytes in front, a qid is  type 1 | version 4 | path 8  and names an object.
 *
 *      fid ──► O_PATH descriptor of the object (p9_file) ──/proc/self/fd──► open descriptor, once it is to be read or written
 *       └────► that of the folder in which it was found, and its name there: to remove or rename it
 *
 * How the guest stays below the folder: an object is found by openat(folder, one name, O_PATH | O_NOFOLLOW), and by nothing else. A
 * symbolic link is an object like others, which the guest's kernel follows by walking again; names hold no slash and are not "..".
 * So whatever anyone renames meanwhile, a descriptor leads to what was found below the root. Devices, sockets and FIFOs are never
 * opened: they belong to the kernel that looks at them. No path is ever resolved but single names, so it goes on working where a
 * sandbox has left nothing but descriptors.
 *
 * Requests are done one after another, so that when a flush comes, what it flushes is done.
 */
#include "device/p9_impl.h"

#include "base/check.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#define QID_DIR     0x80
#define QID_SYMLINK 0x02
#define WALK_MAX    16
#define MSIZE_MIN   4096
#define NOFID       UINT32_MAX
#define FDS_MAX     65536
#define FDS_OTHERS  64 /* descriptors that are left to the rest of us, at least */

/* ---- arguments and replies ---- */

uint64_t
p9_get(struct p9_msg *m, unsigned bytes)
{
    uint64_t v = 0;
    if (m->left < bytes) {
        m->bad = true;
        m->left = 0;
        return 0;
    }
    memcpy(&v, m->at, bytes);
    m->at += bytes;
    m->left -= bytes;
    return v;
}

void
p9_get_text(struct p9_msg *m, char *to, size_t size)
{
    const size_t n = (size_t)p9_get(m, 2);
    *to = 0;
    if (n > m->left || n >= size || memchr(m->at, 0, n) != NULL) {
        m->bad = true;
        m->left = 0;
        return;
    }
    memcpy(to, m->at, n);
    to[n] = 0;
    m->at += n;
    m->left -= n;
}

void
p9_put(struct p9_msg *m, unsigned bytes, uint64_t v)
{
    CHECK(m->n + bytes <= P9_REPLY_MAX);
    memcpy(m->reply + m->n, &v, bytes);
    m->n += bytes;
}

void
p9_put_text(struct p9_msg *m, const char *text, size_t len)
{
    p9_put(m, 2, len);
    CHECK(m->n + len <= P9_REPLY_MAX);
    memcpy(m->reply + m->n, text, len);
    m->n += len;
}

/* A number of an object: the inode's, which only another file system below the folder could make ambiguous. */
static uint64_t
path_of(const struct p9 *p, const struct stat *st)
{
    return st->st_dev == p->dev ? st->st_ino : st->st_ino ^ (uint64_t)st->st_dev * UINT64_C(0x9e3779b97f4a7c15);
}

void
p9_put_qid(const struct p9 *p, struct p9_msg *m, const struct stat *st)
{
    p9_put(m, 1, S_ISDIR(st->st_mode) ? QID_DIR : S_ISLNK(st->st_mode) ? QID_SYMLINK : 0);
    p9_put(m, 4, (uint32_t)((uint64_t)st->st_mtim.tv_nsec ^ (uint64_t)st->st_mtim.tv_sec ^ (uint64_t)st->st_size << 8));
    p9_put(m, 8, path_of(p, st));
}

int
p9_check_name(const char *name)
{
    return *name == 0 || strchr(name, '/') != NULL || strcmp(name, ".") == 0 || strcmp(name, "..") == 0 ? -EINVAL : 0;
}

/* ---- descriptors ---- */

int
p9_file_take(struct p9 *p, int fd, struct p9_file **file)
{
    if (fd < 0) {
        return -errno;
    }
    int r = -EMFILE;
    if (p->n_fds < p->max_fds) {
        *file = malloc(sizeof **file);
        if (*file != NULL) {
            **file = (struct p9_file){fd, 1};
            p->n_fds++;
            return 0;
        }
        r = -ENOMEM;
    }
    close(fd);
    return r;
}

struct p9_file *
p9_file_get(struct p9_file *file)
{
    file->refs++;
    return file;
}

void
p9_file_put(struct p9 *p, struct p9_file *file)
{
    if (file != NULL && --file->refs == 0) {
        close(file->fd);
        free(file);
        p->n_fds--;
    }
}

int
p9_open_child(struct p9 *p, const struct p9_file *folder, const char *name, struct p9_file **file)
{
    const int r = p9_check_name(name);
    return r < 0 ? r : p9_file_take(p, openat(folder->fd, name, O_PATH | O_NOFOLLOW | O_CLOEXEC), file);
}

/* "NUMBER": the name of a descriptor in /proc/self/fd. */
static const char *
fd_name(int fd, char text[16])
{
    char *at = text + 15;
    *at = 0;
    do {
        *--at = (char)('0' + fd % 10);
        fd /= 10;
    } while (fd > 0);
    return at;
}

int
p9_reopen(const struct p9 *p, const struct p9_file *file, int flags)
{
    char text[16];
    struct stat st;
    if (fstat(file->fd, &st) != 0) {
        return -errno;
    }
    if (!S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode)) {
        return -EPERM;
    }
    const int fd = openat(p->proc, fd_name(file->fd, text), flags | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    return fd < 0 ? -errno : fd;
}

int
p9_set_mode(const struct p9 *p, int fd, uint32_t mode)
{
    char text[16];
    struct stat st;
    if (fstat(fd, &st) != 0) {
        return -errno;
    }
    if (S_ISLNK(st.st_mode)) {
        return -EOPNOTSUPP;
    }
    mode = (mode & 01777) | (mode & st.st_mode & 06000);
    return fchmodat(p->proc, fd_name(fd, text), mode, 0) == 0 ? 0 : -errno;
}

int
p9_made(struct p9 *p, struct p9_msg *m, int fd, uint32_t uid, uint32_t gid, uint32_t mode)
{
    struct stat st;
    if (fchownat(fd, "", uid, gid, AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW) != 0) {
        /* only root can give files away: they are the user's then */
    }
    if (fstat(fd, &st) != 0) {
        return -errno;
    }
    if (!S_ISLNK(st.st_mode)) {
        p9_set_mode(p, fd, mode | (S_ISDIR(st.st_mode) ? st.st_mode & 06000 : 0)); /* past our umask */
    }
    p9_put_qid(p, m, &st);
    return 0;
}

/* ---- fids ---- */

static unsigned
bucket(uint32_t number)
{
    return number * 0x9e3779b1u >> 20;
}

struct p9_fid *
p9_fid_find(const struct p9 *p, uint32_t number)
{
    struct p9_fid *f = p->fids[bucket(number)];
    while (f != NULL && f->number != number) {
        f = f->next;
    }
    return f;
}

struct p9_fid *
p9_fid_plain(const struct p9 *p, uint32_t number)
{
    struct p9_fid *f = p9_fid_find(p, number);
    return f != NULL && f->xattr == NULL ? f : NULL;
}

int
p9_fid_new(struct p9 *p, uint32_t number, struct p9_fid **made)
{
    if (number == NOFID || p9_fid_find(p, number) != NULL) {
        return number == NOFID ? -EINVAL : -EBUSY;
    }
    if (p->n_fids >= p->max_fds) {
        return -EMFILE;
    }
    struct p9_fid *f = calloc(1, sizeof *f);
    if (f == NULL) {
        return -ENOMEM;
    }
    f->number = number;
    f->next = p->fids[bucket(number)];
    p->fids[bucket(number)] = f;
    p->n_fids++;
    *made = f;
    return 0;
}

int
p9_fid_drop(struct p9 *p, struct p9_fid *f)
{
    int r = 0;
    if (f->xattr != NULL) {
        r = f->xattr->writing ? p9_xattr_store(p, f) : 0;
        free(f->xattr->bytes);
        free(f->xattr);
        p->n_xattrs--;
    }
    struct p9_fid **at = &p->fids[bucket(f->number)];
    while (*at != f) {
        at = &(*at)->next;
    }
    *at = f->next;
    p->n_fids--;
    p9_file_put(p, f->io);
    p9_file_put(p, f->file);
    p9_file_put(p, f->parent);
    free(f->name);
    free(f);
    return r;
}

void
p9_reset(struct p9 *p)
{
    for (unsigned b = 0; b < P9_BUCKETS; b++) {
        while (p->fids[b] != NULL) {
            if (p->fids[b]->xattr != NULL) {
                p->fids[b]->xattr->writing = false; /* who has gone has not said that it is complete */
            }
            p9_fid_drop(p, p->fids[b]);
        }
    }
}

/* ---- sessions and walking ---- */

static int
version(struct p9 *p, struct p9_msg *m)
{
    char text[16];
    const uint32_t msize = (uint32_t)p9_get(m, 4);
    p9_get_text(m, text, sizeof text);
    if (m->bad || msize < MSIZE_MIN) {
        return -EINVAL;
    }
    p9_reset(p);
    p->msize = msize < P9_MSIZE_MAX ? msize : P9_MSIZE_MAX;
    const char *const ours = strcmp(text, "9P2000.L") == 0 ? text : "unknown";
    p9_put(m, 4, p->msize);
    p9_put_text(m, ours, strlen(ours));
    return 0;
}

static int
auth(struct p9 *p, struct p9_msg *m)
{
    (void)p;
    (void)m;
    return -EOPNOTSUPP; /* whose machine it is has been decided before */
}

static int
flush(struct p9 *p, struct p9_msg *m)
{
    (void)p;
    p9_get(m, 2);
    return m->bad ? -EINVAL : 0;
}

static int
attach(struct p9 *p, struct p9_msg *m)
{
    char uname[P9_NAME_MAX], aname[P9_TARGET_MAX];
    const uint32_t number = (uint32_t)p9_get(m, 4);
    p9_get(m, 4);
    p9_get_text(m, uname, sizeof uname);
    p9_get_text(m, aname, sizeof aname);
    const uint32_t uid = (uint32_t)p9_get(m, 4);
    struct stat st;
    if (m->bad) {
        return -EINVAL;
    }
    if (fstat(p->root->fd, &st) != 0) {
        return -errno;
    }
    struct p9_fid *f;
    const int r = p9_fid_new(p, number, &f);
    if (r < 0) {
        return r;
    }
    f->uid = uid;
    f->file = p9_file_get(p->root);
    p9_put_qid(p, m, &st);
    return 0;
}

/* As far as names lead, from one fid to another (or to itself). None of the new fid exists unless all names were found. */
static int
walk(struct p9 *p, struct p9_msg *m)
{
    const uint32_t from = (uint32_t)p9_get(m, 4), to = (uint32_t)p9_get(m, 4);
    const unsigned n = (unsigned)p9_get(m, 2);
    struct p9_fid *f = p9_fid_plain(p, from);
    if (m->bad || n > WALK_MAX || f == NULL || f->io != NULL || (to != from && p9_fid_find(p, to) != NULL)) {
        return f == NULL ? -EBADF : -EINVAL;
    }
    struct p9_file *file = p9_file_get(f->file), *parent = f->parent != NULL ? p9_file_get(f->parent) : NULL;
    char name[P9_NAME_MAX] = "";
    int r = 0;
    unsigned done = 0;
    p9_put(m, 2, 0);
    for (; done < n; done++) {
        struct p9_file *child;
        struct stat st;
        p9_get_text(m, name, sizeof name);
        r = m->bad ? -EINVAL : p9_open_child(p, file, name, &child);
        if (r < 0) {
            break;
        }
        p9_file_put(p, parent);
        parent = file;
        file = child;
        if (fstat(file->fd, &st) != 0) {
            r = -errno;
            break;
        }
        p9_put_qid(p, m, &st);
    }
    char *own = NULL;
    struct p9_fid *made = f;
    if (done == n) {
        own = strdup(n > 0 ? name : f->name != NULL ? f->name : "");
        r = own == NULL ? -ENOMEM : to != from ? p9_fid_new(p, to, &made) : 0;
    }
    if (done < n || r < 0) {
        free(own);
        p9_file_put(p, file);
        p9_file_put(p, parent);
        memcpy(m->reply, &(uint16_t){(uint16_t)done}, 2);
        return done > 0 && done < n && !m->bad ? 0 : r; /* some of the way: how far */
    }
    p9_file_put(p, made->file);
    p9_file_put(p, made->parent);
    free(made->name);
    made->uid = f->uid;
    made->file = file;
    made->parent = parent;
    made->name = own;
    memcpy(m->reply, &(uint16_t){(uint16_t)n}, 2);
    return 0;
}

static int
clunk(struct p9 *p, struct p9_msg *m)
{
    struct p9_fid *f = p9_fid_find(p, (uint32_t)p9_get(m, 4));
    return f == NULL ? -EBADF : p9_fid_drop(p, f);
}

/* ---- a request ---- */

static p9_handler *const handlers_[P9_TYPES] = {
    [P9_STATFS] = p9_statfs,       [P9_LOPEN] = p9_lopen,         [P9_LCREATE] = p9_lcreate,         [P9_SYMLINK] = p9_symlink,
    [P9_MKNOD] = p9_mknod,         [P9_RENAME] = p9_rename,       [P9_READLINK] = p9_readlink,       [P9_GETATTR] = p9_getattr,
    [P9_SETATTR] = p9_setattr,     [P9_XATTRWALK] = p9_xattrwalk, [P9_XATTRCREATE] = p9_xattrcreate, [P9_READDIR] = p9_readdir,
    [P9_FSYNC] = p9_fsync,         [P9_LOCK] = p9_lock,           [P9_GETLOCK] = p9_getlock,         [P9_LINK] = p9_link,
    [P9_MKDIR] = p9_mkdir,         [P9_RENAMEAT] = p9_renameat,   [P9_UNLINKAT] = p9_unlinkat,       [P9_VERSION] = version,
    [P9_AUTH] = auth,              [P9_ATTACH] = attach,          [P9_FLUSH] = flush,                [P9_WALK] = walk,
    [P9_READ] = p9_read,           [P9_WRITE] = p9_write,         [P9_CLUNK] = clunk,                [P9_REMOVE] = p9_remove,
};

uint32_t
p9_serve(struct p9 *p, const struct vq_chain *c)
{
    struct {
        uint32_t size;
        uint8_t type;
        uint16_t tag;
    } __attribute__((packed)) head = {0};
    struct p9_msg m = {.chain = c, .at = p->body, .reply = p->reply};
    int r = -EINVAL;
    static_assert(sizeof head == P9_HEAD, "on the wire");
    vq_get(c, 0, &head, sizeof head);
    if (c->out_bytes >= sizeof head && head.size >= sizeof head && head.size <= c->out_bytes && head.size <= P9_MSIZE_MAX) {
        p9_handler *const handler = head.type < P9_TYPES ? handlers_[head.type] : NULL;
        const size_t body = head.size - sizeof head;
        m.left = vq_get(c, sizeof head, p->body, body < sizeof p->body ? body : sizeof p->body);
        r = handler == NULL ? -EOPNOTSUPP : p->msize == 0 && head.type != P9_VERSION ? -EPROTO : handler(p, &m);
    }
    if (r == 0 && sizeof head + m.n + m.direct > c->in_bytes) {
        r = -EMSGSIZE;
    }
    head.type++;
    if (r < 0) {
        head.type = P9_RLERROR;
        m.n = m.direct = 0;
        p9_put(&m, 4, (uint32_t)-r);
    }
    head.size = (uint32_t)(sizeof head + m.n + m.direct);
    if (head.size > c->in_bytes) {
        return 0;
    }
    vq_put(c, 0, &head, sizeof head);
    vq_put(c, sizeof head, m.reply, m.n);
    return head.size;
}

/* ---- making and freeing ---- */

/* How many descriptors the guest may make us hold: a part of what the process may have. */
static unsigned
fds_max(void)
{
    struct rlimit limit = {0};
    getrlimit(RLIMIT_NOFILE, &limit);
    const rlim_t part = limit.rlim_cur / 4;
    return part > FDS_MAX ? FDS_MAX : part < FDS_OTHERS ? FDS_OTHERS : (unsigned)part;
}

struct p9 *
p9_new(int root, bool read_only, struct err *e)
{
    struct p9 *p = calloc(1, sizeof *p);
    struct stat st;
    if (p == NULL || fstat(root, &st) != 0) {
        err_set(e, p == NULL ? -ENOMEM : -errno, "shared folder");
        free(p);
        close(root);
        return NULL;
    }
    p->read_only = read_only;
    p->dev = st.st_dev;
    p->max_fds = fds_max();
    p->proc = open("/proc/self/fd", O_PATH | O_DIRECTORY | O_CLOEXEC);
    int r = p->proc < 0 ? -errno : S_ISDIR(st.st_mode) ? 0 : -ENOTDIR;
    const int taken = p9_file_take(p, root, &p->root);
    r = r < 0 ? r : taken;
    if (r < 0) {
        err_set(e, r, "shared folder");
        p9_free(p);
        return NULL;
    }
    return p;
}

void
p9_free(struct p9 *p)
{
    p9_reset(p);
    p9_file_put(p, p->root);
    if (p->proc >= 0) {
        close(p->proc);
    }
    free(p);
}
