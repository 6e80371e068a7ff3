/*
 * vfs_mount.c - the table of mounts, and from host paths back to the guest's
 *
 * A mount's place is known as (directory's device and inode, name), so a walk finds it without knowing what path it has
 * come along. The way back, for "..", getcwd(2) and links of /proc, goes by host paths, which the host kernel tells of
 * any descriptor: a mount owns every host path that begins with its own, the longest wins. Where a directory of the
 * host is to be seen at two places of the guest's, the way back names one of them.
 *
 * Threads and processes: any, no lock; one compare-and-swap gives an entry to the one who writes it.
 */
#include "process/vfs_impl.h"

#include <errno.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>

bool
vfs_mount_name(const struct vfs *v, const char *name, size_t len)
{
    if (len > NAME_MAX || !(atomic_load(&v->table->names) >> name_bit(name, len) & 1)) {
        return false;
    }
    unsigned n = mount_count(v->table);
    for (unsigned i = 0; i < n; i++) {
        const struct vfs_mount *m = &v->table->m[i];
        if (mount_is_live(m) && memcmp(m->name, name, len) == 0 && m->name[len] == '\0') {
            return true;
        }
    }
    return false;
}

const struct vfs_mount *
vfs_mount_at(const struct vfs *v, const struct stat *dir, const char *name)
{
    unsigned n = mount_count(v->table);
    for (unsigned i = n; i-- > 0;) {
        const struct vfs_mount *m = &v->table->m[i];
        if (mount_is_live(m) && m->place_dev == dir->st_dev && m->place_ino == dir->st_ino &&
            strcmp(m->name, name) == 0) {
            return m;
        }
    }
    return NULL;
}

const struct vfs_mount *
vfs_mount_root(const struct vfs *v, int fd, const struct stat *st)
{
    char host[PATH_MAX];
    int len = 0;
    unsigned n = mount_count(v->table);
    for (unsigned i = n; i-- > 0;) {
        const struct vfs_mount *m = &v->table->m[i];
        if (!mount_is_live(m) || !m->is_dir || m->dev != st->st_dev || m->ino != st->st_ino) {
            continue;
        }
        if (len == 0) {
            len = vfs_host_path(fd, host);
        }
        if (len > 0 && strcmp(strcmp(host, "/") == 0 ? "" : host, m->host) == 0) {
            return m;
        }
    }
    return NULL;
}

int
vfs_host_path(int fd, char buf[PATH_MAX])
{
    char link[PROC_PATH_MAX] = "/proc/self/cwd";
    if (fd != AT_FDCWD) {
        snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    }
    int64_t n = host_syscall(SYS_readlinkat, AT_FDCWD, link, buf, PATH_MAX);
    if (n >= PATH_MAX) {
        return -ENAMETOOLONG;
    }
    if (n >= 0) {
        buf[n] = '\0';
    }
    return (int)n;
}

/* `path` is `dir` or lies in it; dir "" is the host's root. */
static bool
lies_in(const char *path, const char *dir, size_t *len)
{
    *len = strlen(dir);
    return strncmp(path, dir, *len) == 0 && (path[*len] == '/' || path[*len] == '\0');
}

const struct vfs_mount *
vfs_mount_of(const struct vfs *v, const char *host, bool *inside)
{
    const struct vfs_mount *best = NULL;
    size_t best_len = 0, len;
    *inside = host[0] == '/' && lies_in(host, v->true_root_host, &best_len);
    if (!*inside) {
        best_len = 0;
    }
    unsigned n = mount_count(v->table);
    for (unsigned i = n; i-- > 0;) {
        const struct vfs_mount *m = &v->table->m[i];
        if (mount_is_live(m) && host[0] == '/' && lies_in(host, m->host, &len) && (len > best_len || !*inside)) {
            best = m;
            best_len = len;
            *inside = true;
        }
    }
    return best;
}

bool
vfs_inside(const struct vfs *v, int fd)
{
    char host[PATH_MAX];
    bool inside;
    if (vfs_host_path(fd, host) < 0) {
        return false;
    }
    vfs_mount_of(v, host, &inside);
    return inside;
}

bool
vfs_read_only(const struct vfs *v, int fd)
{
    char host[PATH_MAX];
    bool inside;
    if (vfs_host_path(fd, host) < 0) {
        return false;
    }
    const struct vfs_mount *m = vfs_mount_of(v, host, &inside);
    return m != NULL && m->read_only;
}

bool
vfs_guest_path(const struct vfs *v, const char *host, char buf[PATH_MAX])
{
    bool inside;
    size_t len;
    const struct vfs_mount *m = vfs_mount_of(v, host, &inside);
    if (!inside) {
        return false;
    }
    const char *head = m != NULL ? m->guest : "";
    const char *tail = host + strlen(m != NULL ? m->host : v->true_root_host);
    int n = snprintf(buf, PATH_MAX, "%s%s", head, tail);
    if (n >= PATH_MAX) {
        return false;
    }
    if (v->root_guest[0] != '\0') {
        if (!lies_in(buf, v->root_guest, &len)) {
            return false;
        }
        memmove(buf, buf + len, strlen(buf + len) + 1);
    }
    if (buf[0] == '\0') {
        strcpy(buf, "/");
    }
    return true;
}

/* Where a mount on guest path `path` is kept: a directory (own) and a name. A last link is followed if `follow`. */
static int
find_place(struct vfs *v, const char *path, bool follow, int *dir, char name[NAME_MAX + 1])
{
    struct vfs_at at;
    struct stat st;
    int r = vfs_walk(v, AT_FDCWD, path, follow ? RESOLVE_FOLLOW : RESOLVE_ENTRY, &at);
    if (r < 0) {
        return r;
    }
    int from = at.dir;
    const char *last = at.name;
    if (last[0] == '\0') {
        /* The root of a mount, on which another is put; nothing can be put on the root of all. */
        r = (int)host_syscall(SYS_newfstatat, at.dir, "", &st, AT_EMPTY_PATH);
        const struct vfs_mount *m = r == 0 ? vfs_mount_root(v, at.dir, &st) : NULL;
        if (m == NULL) {
            r = -EBUSY;
            goto undo_at;
        }
        from = vfs_mount_place_fd(v, m);
        if (from < 0) {
            r = from;
            goto undo_at;
        }
        last = m->name;
    }
    size_t len = strcspn(last, "/");
    if (len == 0 || strcmp(last, ".") == 0 || strcmp(last, "..") == 0) {
        r = -EBUSY;
        goto undo_at;
    }
    memcpy(name, last, len);
    name[len] = '\0';
    r = vfs_fd_own(v, from);
    *dir = r;
undo_at:
    vfs_at_done(&at);
    return r < 0 ? r : 0;
}

/* A descriptor of host path `path` that is known to be (dev, ino), kept in *kept. */
static int
kept_fd(struct vfs *v, _Atomic int *kept, const char *path, uint64_t dev, uint64_t ino)
{
    struct stat st;
    int old = atomic_load(kept);
    if (old > 0 && host_syscall(SYS_fstat, old, &st) == 0 && st.st_dev == dev && st.st_ino == ino) {
        return old;
    }
    int64_t fd = host_syscall(SYS_openat, AT_FDCWD, path[0] != '\0' ? path : "/", O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) {
        return (int)fd;
    }
    if (host_syscall(SYS_fstat, fd, &st) < 0 || st.st_dev != dev || st.st_ino != ino) {
        host_syscall(SYS_close, fd);
        return -ENOENT; /* it was moved away on the host */
    }
    fd = vfs_fd_hide(v, (int)fd);
    if (fd >= 0 && !atomic_compare_exchange_strong(kept, &old, (int)fd)) {
        host_syscall(SYS_close, fd); /* another thread was first */
        fd = old;
    }
    return (int)fd;
}

int
vfs_mount_fd(struct vfs *v, const struct vfs_mount *m)
{
    return kept_fd(v, &v->mount_fd[m - v->table->m], m->host, m->dev, m->ino);
}

int
vfs_mount_place_fd(struct vfs *v, const struct vfs_mount *m)
{
    return kept_fd(v, &v->place_fd[m - v->table->m], m->place, m->place_dev, m->place_ino);
}

int
vfs_mount_table_map(struct vfs *v, int fd)
{
    int flags = fd > 0 ? MAP_SHARED : MAP_PRIVATE | MAP_ANONYMOUS;
    void *p = mmap(NULL, sizeof *v->table, PROT_READ | PROT_WRITE, flags, fd > 0 ? fd : -1, 0);
    if (p == MAP_FAILED) {
        return -errno;
    }
    v->table = p;
    v->table_fd = fd;
    return 0;
}

int
vfs_mount_table_new(struct vfs *v, bool shared)
{
    int64_t fd = 0;
    if (shared) {
        fd = host_syscall(SYS_memfd_create, "doppel-mounts", MFD_CLOEXEC);
        if (fd < 0 || (fd = vfs_fd_hide(v, (int)fd)) < 0) {
            return (int)fd;
        }
        int64_t r = host_syscall(SYS_ftruncate, fd, sizeof *v->table);
        if (r < 0) {
            host_syscall(SYS_close, fd);
            return (int)r;
        }
    }
    return vfs_mount_table_map(v, (int)fd);
}

static bool
same_mount(const struct vfs_mount *a, const struct vfs_mount *b)
{
    return a->place_dev == b->place_dev && a->place_ino == b->place_ino && a->dev == b->dev && a->ino == b->ino &&
           a->kind == b->kind && strcmp(a->name, b->name) == 0 && strcmp(a->host, b->host) == 0;
}

/*
 * An entry to be written, in state MOUNT_CHANGING: one that had the same contents before, else a new one, else any dead one.
 * A walk of another process that has just looked at a dead one goes on with it; it finds by device and inode whether that
 * is still what it looked for.
 */
static struct vfs_mount *
claim(struct mount_table *t, const struct vfs_mount *like)
{
    uint32_t n = mount_count(t), dead = MOUNT_DEAD;
    for (uint32_t i = 0; i < n; i++) {
        if (atomic_load(&t->m[i].state) == MOUNT_DEAD && same_mount(&t->m[i], like) &&
            atomic_compare_exchange_strong(&t->m[i].state, &dead, MOUNT_CHANGING)) {
            return &t->m[i];
        }
        dead = MOUNT_DEAD;
    }
    while (n < VFS_MOUNTS_MAX) {
        if (atomic_compare_exchange_weak(&t->n, &n, n + 1)) {
            atomic_store(&t->m[n].state, MOUNT_CHANGING);
            return &t->m[n];
        }
    }
    for (uint32_t i = 0; i < VFS_MOUNTS_MAX; i++) {
        dead = MOUNT_DEAD;
        if (atomic_compare_exchange_strong(&t->m[i].state, &dead, MOUNT_CHANGING)) {
            return &t->m[i];
        }
    }
    return NULL;
}

/* Where a mount on `guest` is to be kept. */
static int
fill_place(struct vfs *v, const char *guest, struct vfs_mount *m)
{
    char path[PATH_MAX];
    struct stat st;
    int dir;
    int r = find_place(v, guest, false, &dir, m->name);
    if (r < 0) {
        return r;
    }
    r = (int)host_syscall(SYS_fstat, dir, &st);
    r = r < 0 ? r : vfs_host_path(dir, m->place);
    host_syscall(SYS_close, dir);
    if (r < 0) {
        return r;
    }
    m->place_dev = st.st_dev;
    m->place_ino = st.st_ino;
    if (!vfs_guest_path(v, m->place, path)) {
        return -EINVAL;
    }
    const char *slash = strcmp(path, "/") == 0 ? "" : path;
    return snprintf(m->guest, sizeof m->guest, "%s%s/%s", v->root_guest, slash, m->name) < PATH_MAX ? 0 : -ENAMETOOLONG;
}

int
vfs_mount_add(struct vfs *v, enum mount_kind kind, const char *host, const char *guest, bool read_only)
{
    struct vfs_mount m;
    struct stat st;
    int64_t fd = host_syscall(SYS_openat, AT_FDCWD, host, O_PATH | O_CLOEXEC);
    if (fd < 0) {
        return (int)fd;
    }
    int64_t r = host_syscall(SYS_fstat, fd, &st);
    r = r < 0 ? r : vfs_host_path((int)fd, m.host);
    host_syscall(SYS_close, fd);
    r = r < 0 ? r : fill_place(v, guest, &m);
    if (r < 0) {
        return (int)r;
    }
    if (strcmp(m.host, "/") == 0) {
        m.host[0] = '\0';
    }
    m.kind = kind;
    m.read_only = read_only;
    m.is_dir = S_ISDIR(st.st_mode);
    m.dev = st.st_dev;
    m.ino = st.st_ino;
    struct vfs_mount *slot = claim(v->table, &m);
    if (slot == NULL) {
        return -ENOSPC;
    }
    memcpy((char *)slot + sizeof slot->state, (char *)&m + sizeof m.state, sizeof m - sizeof m.state);
    atomic_fetch_or(&v->table->names, UINT64_C(1) << name_bit(m.name, strlen(m.name)));
    if (m.read_only && m.is_dir) {
        atomic_store(&v->table->any_read_only, true);
    }
    atomic_store(&slot->state, MOUNT_LIVE);
    return 0;
}

/* The topmost live mount on guest path `guest`, or NULL. */
static struct vfs_mount *
find_mounted(struct vfs *v, const char *guest, bool follow)
{
    char name[NAME_MAX + 1];
    struct stat st;
    int dir;
    if (find_place(v, guest, follow, &dir, name) < 0) {
        return NULL;
    }
    int64_t r = host_syscall(SYS_fstat, dir, &st);
    host_syscall(SYS_close, dir);
    return r < 0 ? NULL : (struct vfs_mount *)vfs_mount_at(v, &st, name);
}

int
vfs_mount_remove(struct vfs *v, const char *guest, bool follow)
{
    struct vfs_mount *m = find_mounted(v, guest, follow);
    if (m == NULL) {
        return -EINVAL;
    }
    atomic_store(&m->state, MOUNT_DEAD);
    if (m->kind == MOUNT_TMPFS) { /* what is not empty goes with the run */
        host_syscall(SYS_unlinkat, AT_FDCWD, m->host, AT_REMOVEDIR);
    }
    return 0;
}

int
vfs_mount_remount(struct vfs *v, const char *guest, bool read_only)
{
    struct vfs_mount *m = find_mounted(v, guest, true);
    if (m == NULL) {
        return strcmp(guest, "/") == 0 ? 0 : -EINVAL;
    }
    m->read_only = read_only;
    if (read_only && m->is_dir) {
        atomic_store(&v->table->any_read_only, true);
    }
    return 0;
}
