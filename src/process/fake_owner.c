/*
 * fake_owner.c - owners, modes and devices that --fake-root remembers
 *
 * A file without a record belongs to 0:0 if it is the user's own, and has the mode that the host shows. A record is kept
 *
 *   - for regular files and directories in the attribute user.containers.override_stat, as podman and fuse-overlayfs
 *     have it: "UID:GID:0MODE:TYPE", TYPE one of file, dir, char-MAJOR-MINOR, block-MAJOR-MINOR (older ones lack it);
 *   - for everything else (links, FIFOs, sockets; file systems without user attributes) in the side file, a hash table
 *     that all processes map: .doppel-NAME.owners beside root NAME, or in the user's state directory.
 *
 * A slot of the side file is found by inode number and the inode's time of birth, so a number that is used again does
 * not bring the old owner back; where the file system tells no such time, by the number alone. Slots are claimed by one
 * compare-and-swap and never freed; their two words of contents change atomically:
 *
 *     ino:64 | birth:64, 0 until it is valid | uid:32 gid:32 | mode:32 rdev:32
 *
 * The host's mode always lets the owner read and write (and search a directory): the guest is root, and attributes can
 * be set on writable files only. The mode that the guest gave is in the record where it differs.
 *
 * Threads and processes: any, no lock.
 */
#include "process/vfs_impl.h"

#include <assert.h>
#include <errno.h>
#include <linux/capability.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#define OVERRIDE_STAT "user.containers.override_stat"
#define SLOTS         (1u << 18)
#define SLOT_BYTES    32u
#define TABLE_BYTES   ((size_t)SLOTS * sizeof(struct slot))
#define MAX_PROBES    4096u
#define NO_BIRTH      1u

#define SYS_GETXATTRAT 464 /* not in Debian 12's headers */

struct slot {
    _Atomic uint64_t ino, birth, owner, mode;
};
static_assert(sizeof(struct slot) == SLOT_BYTES, "the side file's format");

struct record {
    uint32_t uid, gid;
    mode_t mode; /* with its type */
    unsigned rdev;
};

/* What the calls of the host take: descriptor and name, "" for the descriptor itself. */
struct object {
    int dir;
    const char *name;
    bool follow;
};

static void
object_path(const struct object *o, const char **path, char buf[PATH_MAX])
{
    *path = buf;
    if (o->name[0] == '\0') {
        snprintf(buf, PATH_MAX, "/proc/self/fd/%d", o->dir);
    } else if (o->dir == AT_FDCWD || o->name[0] == '/') {
        *path = o->name;
    } else {
        snprintf(buf, PATH_MAX, "/proc/self/fd/%d/%s", o->dir, o->name);
    }
}

static int
at_flags(const struct object *o)
{
    return o->name[0] == '\0' ? AT_EMPTY_PATH : o->follow ? 0 : AT_SYMLINK_NOFOLLOW;
}

static uint64_t
hash_ino(uint64_t ino)
{
    return (ino * UINT64_C(0x9e3779b97f4a7c15)) >> 32;
}

/* Nanoseconds since 1970 of the inode's birth: no two inodes have the same number and the same birth. */
static uint64_t
birth_of(const struct object *o)
{
    struct statx stx;
    if (host_syscall(SYS_statx, o->dir, o->name, at_flags(o), STATX_BTIME, &stx) < 0 || !(stx.stx_mask & STATX_BTIME)) {
        return NO_BIRTH;
    }
    uint64_t ns = (uint64_t)stx.stx_btime.tv_sec * 1000000000u + stx.stx_btime.tv_nsec;
    return ns <= NO_BIRTH ? NO_BIRTH + 1 : ns;
}

static struct slot *
find_slot(struct vfs *v, const struct object *o, uint64_t ino, bool make)
{
    struct slot *table = v->owners;
    uint64_t birth = 0;
    if (table == NULL || ino == 0) {
        return NULL;
    }
    for (uint64_t i = 0; i < MAX_PROBES; i++) {
        struct slot *s = &table[(hash_ino(ino) + i) % SLOTS];
        uint64_t key = atomic_load(&s->ino);
        if (key == 0) {
            if (!make) {
                return NULL;
            }
            if (!atomic_compare_exchange_strong(&s->ino, &key, ino)) {
                i--; /* somebody took it: look at it again */
                continue;
            }
            birth = birth != 0 ? birth : birth_of(o);
            return s; /* the caller stores the contents, then the birth */
        }
        if (key == ino) {
            birth = birth != 0 ? birth : birth_of(o);
            if (atomic_load(&s->birth) == birth) {
                return s;
            }
        }
    }
    return NULL;
}

static bool
parse_type(const char *s, mode_t *mode, unsigned *rdev)
{
    unsigned major, minor;
    bool block = strncmp(s, "block-", 6) == 0;
    if ((block && sscanf(s + 6, "%u-%u", &major, &minor) == 2) ||
        (strncmp(s, "char-", 5) == 0 && sscanf(s + 5, "%u-%u", &major, &minor) == 2)) {
        *mode = (*mode & 07777) | (block ? S_IFBLK : S_IFCHR);
        *rdev = (unsigned)makedev(major, minor);
        return true;
    }
    return false;
}

/* From the text of the attribute; false if it is not one. `host` has the type that the record may lack. */
static bool
parse(const char *text, mode_t host, struct record *r)
{
    unsigned mode;
    int n = 0;
    if (sscanf(text, "%u:%u:%o%n", &r->uid, &r->gid, &mode, &n) != 3 || n == 0) {
        return false;
    }
    r->mode = (host & S_IFMT) | (mode & 07777);
    r->rdev = 0;
    if (text[n] == ':' && S_ISREG(host)) {
        parse_type(text + n + 1, &r->mode, &r->rdev);
    }
    return true;
}

/* The attribute's text; its length, or -errno. */
static int64_t
get_text(struct vfs *v, const struct object *o, char *text, size_t cap)
{
    const struct { /* struct xattr_args of Linux 6.13 */
        uint64_t value;
        uint32_t size, flags;
    } args = {.value = (uintptr_t)text, .size = (uint32_t)cap};
    char buf[PATH_MAX];
    const char *path;
    if (!v->no_getxattrat && o->name[0] != '\0') {
        int64_t n = host_syscall(SYS_GETXATTRAT, o->dir, o->name, at_flags(o), OVERRIDE_STAT, &args, sizeof args);
        if (n != -ENOSYS && n != -EPERM) { /* what a container's filter says to a call that it does not know */
            return n;
        }
        v->no_getxattrat = true;
    }
    object_path(o, &path, buf);
    bool follow = o->follow || o->name[0] == '\0';
    return host_syscall(follow ? SYS_getxattr : SYS_lgetxattr, path, OVERRIDE_STAT, text, cap);
}

static bool
load(struct vfs *v, const struct object *o, const struct stat *st, struct record *r)
{
    char text[80];
    if (S_ISREG(st->st_mode) || S_ISDIR(st->st_mode)) {
        int64_t n = get_text(v, o, text, sizeof text - 1);
        if (n > 0) {
            text[n] = '\0';
            return parse(text, st->st_mode, r);
        }
    }
    const struct slot *s = find_slot(v, o, st->st_ino, false);
    if (s == NULL) {
        return false;
    }
    uint64_t owner = atomic_load(&s->owner), mode = atomic_load(&s->mode);
    r->uid = (uint32_t)(owner >> 32);
    r->gid = (uint32_t)owner;
    r->mode = (mode_t)(mode >> 32);
    r->rdev = (unsigned)mode;
    if (r->rdev == 0) {
        r->mode = (st->st_mode & S_IFMT) | (r->mode & 07777);
    }
    return true;
}

static int64_t
store(struct vfs *v, const struct object *o, const struct stat *st, const struct record *r)
{
    char text[80], type[32], buf[PATH_MAX];
    const char *path;
    if (S_ISREG(st->st_mode) || S_ISDIR(st->st_mode)) {
        if (S_ISCHR(r->mode) || S_ISBLK(r->mode)) {
            snprintf(type, sizeof type, "%s-%u-%u", S_ISBLK(r->mode) ? "block" : "char", major(r->rdev), minor(r->rdev));
        } else {
            strcpy(type, S_ISDIR(st->st_mode) ? "dir" : "file");
        }
        int n = snprintf(text, sizeof text, "%u:%u:0%o:%s", r->uid, r->gid, r->mode & 07777, type);
        object_path(o, &path, buf);
        bool follow = o->follow || o->name[0] == '\0';
        if (host_syscall(follow ? SYS_setxattr : SYS_lsetxattr, path, OVERRIDE_STAT, text, n, 0) == 0) {
            return 0;
        }
    }
    struct slot *s = find_slot(v, o, st->st_ino, true);
    if (s == NULL) {
        return v->owners == NULL ? -EPERM : -ENOSPC;
    }
    atomic_store(&s->owner, (uint64_t)r->uid << 32 | r->gid);
    atomic_store(&s->mode, (uint64_t)r->mode << 32 | r->rdev);
    atomic_store(&s->birth, birth_of(o));
    return 0;
}

uint32_t
fake_foreign_id(uint32_t id, uint32_t own)
{
    return id == own || id == 0 ? 0 : own == 0 ? id : 65534;
}

/* What a file without a record looks like. */
static struct record
defaults(const struct vfs *v, const struct stat *st)
{
    return (struct record){
        .uid = fake_foreign_id(st->st_uid, v->host_uid),
        .gid = fake_foreign_id(st->st_gid, v->host_gid),
        .mode = st->st_mode,
        .rdev = (unsigned)st->st_rdev,
    };
}

static struct record
current(struct vfs *v, const struct object *o, const struct stat *st)
{
    struct record r;
    if (!load(v, o, st, &r)) {
        r = defaults(v, st);
    }
    return r;
}

void
fake_stat(struct vfs *v, int dir, const char *name, bool follow, struct stat *st)
{
    const struct object o = {dir, name, follow};
    struct record r = current(v, &o, st);
    st->st_uid = r.uid;
    st->st_gid = r.gid;
    st->st_mode = r.mode;
    if (S_ISCHR(r.mode) || S_ISBLK(r.mode)) {
        st->st_rdev = r.rdev;
    }
}

void
fake_statx(struct vfs *v, int dir, const char *name, bool follow, struct statx *stx)
{
    struct stat st = {
        .st_ino = stx->stx_ino,
        .st_mode = stx->stx_mode,
        .st_uid = stx->stx_uid,
        .st_gid = stx->stx_gid,
        .st_rdev = makedev(stx->stx_rdev_major, stx->stx_rdev_minor),
    };
    fake_stat(v, dir, name, follow, &st);
    stx->stx_uid = st.st_uid;
    stx->stx_gid = st.st_gid;
    stx->stx_mode = (uint16_t)st.st_mode;
    stx->stx_rdev_major = major(st.st_rdev);
    stx->stx_rdev_minor = minor(st.st_rdev);
}

/* The mode that the host's file is given. */
static mode_t
host_mode(mode_t type, mode_t mode)
{
    return S_ISDIR(type) ? (mode & 01777) | 0700 : (mode & 0777) | 0600;
}

static bool
has_cap(const struct vfs *v, int cap)
{
    return v->ids.cap_effective >> cap & 1;
}

static bool
in_group(const struct vfs *v, uint32_t gid)
{
    if (gid == v->ids.gid[FAKE_FS]) {
        return true;
    }
    for (uint32_t i = 0; i < v->ids.ngroups && i < FAKE_NGROUPS; i++) {
        if (v->ids.groups[i] == gid) {
            return true;
        }
    }
    return false;
}

static int64_t
stat_object(const struct object *o, struct stat *st)
{
    return host_syscall(SYS_newfstatat, o->dir, o->name, st, at_flags(o));
}

int64_t
fake_chown(struct vfs *v, int dir, const char *name, bool follow, uint32_t uid, uint32_t gid)
{
    const struct object o = {dir, name, follow};
    struct stat st;
    int64_t r = stat_object(&o, &st);
    if (r < 0) {
        return r;
    }
    struct record old = current(v, &o, &st), new = old;
    new.uid = uid != UINT32_MAX ? uid : old.uid;
    new.gid = gid != UINT32_MAX ? gid : old.gid;
    if (!has_cap(v, CAP_CHOWN)) {
        bool owner = old.uid == v->ids.uid[FAKE_FS];
        if ((uid != UINT32_MAX && (!owner || new.uid != old.uid)) ||
            (gid != UINT32_MAX && (!owner || (new.gid != old.gid && !in_group(v, gid))))) {
            return -EPERM;
        }
    }
    if (!S_ISDIR(new.mode) && (uid != UINT32_MAX || gid != UINT32_MAX)) {
        new.mode &= ~(mode_t)(S_ISUID | ((new.mode & S_IXGRP) ? S_ISGID : 0));
    }
    if (new.uid == old.uid && new.gid == old.gid && new.mode == old.mode) {
        return 0;
    }
    return store(v, &o, &st, &new);
}

int64_t
fake_chmod(struct vfs *v, int dir, const char *name, bool follow, mode_t mode)
{
    const struct object o = {dir, name, follow};
    struct stat st;
    char buf[PATH_MAX];
    const char *path;
    int64_t r = stat_object(&o, &st);
    if (r < 0) {
        return r;
    }
    struct record rec;
    bool had = load(v, &o, &st, &rec);
    if (!had) {
        rec = defaults(v, &st);
    }
    if (!has_cap(v, CAP_FOWNER) && rec.uid != v->ids.uid[FAKE_FS]) {
        return -EPERM;
    }
    if (!has_cap(v, CAP_FSETID) && !S_ISDIR(rec.mode) && !in_group(v, rec.gid)) {
        mode &= ~(mode_t)S_ISGID;
    }
    rec.mode = (rec.mode & S_IFMT) | (mode & 07777);
    mode_t host = host_mode(st.st_mode, mode);
    if ((st.st_mode & 07777) != host) {
        object_path(&o, &path, buf);
        r = host_syscall(SYS_fchmodat, AT_FDCWD, path, host);
        if (r < 0 && r != -EPERM) {
            return r;
        }
    }
    if (!had && r == 0 && host == (mode & 07777)) {
        return 0; /* the host shows it all */
    }
    return store(v, &o, &st, &rec);
}

bool
fake_new_needs_record(const struct vfs *v, mode_t type, mode_t mode)
{
    return v->ids.uid[FAKE_FS] != 0 || v->ids.gid[FAKE_FS] != 0 || (S_ISLNK(type) ? 0 : host_mode(type, mode)) != mode;
}

void
fake_created(struct vfs *v, int dir, const char *name, mode_t mode, unsigned rdev)
{
    const struct object o = {dir, name, false};
    struct stat st;
    if (stat_object(&o, &st) < 0) {
        return;
    }
    struct record r = defaults(v, &st);
    r.uid = v->ids.uid[FAKE_FS];
    r.gid = v->ids.gid[FAKE_FS];
    if (!S_ISLNK(st.st_mode)) {
        /* What the umask took away is missing on the host too; what the host was given in addition is not in `mode`. */
        r.mode = (st.st_mode & (S_IFMT | (mode & 0777))) | (mode & 07000);
    }
    if (S_ISCHR(mode) || S_ISBLK(mode)) {
        r.mode = (r.mode & 07777) | (mode & S_IFMT);
        r.rdev = rdev;
    }
    store(v, &o, &st, &r);
}

mode_t
fake_host_mode(mode_t type, mode_t mode)
{
    return host_mode(type, mode);
}

bool
fake_is_private_xattr(const char *name)
{
    return strcmp(name, OVERRIDE_STAT) == 0;
}

/* The side file's directory and name: beside the root, else where a user's programs keep state. */
static int
open_side_file(const struct vfs *v)
{
    char path[PATH_MAX + 64];
    const char *host = v->true_root_host, *slash = strrchr(host, '/');
    if (host[0] != '\0') {
        snprintf(path, sizeof path, "%.*s/.doppel-%s.owners", (int)(slash - host), host, slash + 1);
        int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
        if (fd >= 0) {
            return fd;
        }
    }
    const char *state = getenv("XDG_STATE_HOME"), *home = getenv("HOME");
    struct stat st;
    if (fstat(v->true_root, &st) < 0) {
        return -errno;
    }
    if (state != NULL && state[0] == '/') {
        snprintf(path, sizeof path, "%s", state);
    } else if (home != NULL && home[0] == '/') {
        snprintf(path, sizeof path, "%s/.local/state", home);
    } else {
        return -ENOENT;
    }
    for (char *p = path + 1; (p = strchr(p, '/')) != NULL; p++) {
        *p = '\0';
        mkdir(path, 0700);
        *p = '/';
    }
    mkdir(path, 0700);
    size_t n = strlen(path);
    snprintf(path + n, sizeof path - n, "/doppel");
    mkdir(path, 0700);
    n = strlen(path);
    snprintf(path + n, sizeof path - n, "/%llx-%llx.owners", (unsigned long long)st.st_dev, (unsigned long long)st.st_ino);
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    return fd < 0 ? -errno : fd;
}

int
fake_map_table(struct vfs *v)
{
    struct stat st;
    if (fstat(v->owners_fd, &st) < 0 || (st.st_size < (off_t)TABLE_BYTES && ftruncate(v->owners_fd, TABLE_BYTES) < 0)) {
        return -errno;
    }
    void *p = mmap(NULL, TABLE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, v->owners_fd, 0);
    if (p == MAP_FAILED) {
        return -errno;
    }
    v->owners = p;
    return 0;
}

void
fake_unmap_table(struct vfs *v)
{
    munmap(v->owners, TABLE_BYTES);
}

void
fake_open_table(struct vfs *v)
{
    int fd = open_side_file(v);
    if (fd >= 0) {
        v->owners_fd = vfs_fd_hide(v, fd);
        if (v->owners_fd >= 0) {
            fake_map_table(v);
        }
    }
}
