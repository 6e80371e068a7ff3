/*
 * vfs_mount.c - the table of mounts, and from host paths back to the guest's
 *
 * A mount's place is known as (directory's device and inode, name), so a walk finds it without knowing what path it has
 * come along. The way back, for "..", getcwd(2) and links of /proc, goes by host paths, which the host kernel tells of
 * any descriptor: a mount owns every host path that begins with its own, the longest wins. Where a directory of the
 * host is to be seen at two places of the guest's, the way back names one of them.
 *
 * Threads: any, no lock. A slot is claimed by counting up nmounts and seen when `live` is set. An entry that has been
 * unmounted keeps its descriptors, since a walk of another thread may stand on them; mounting the same again revives it.
 */
#include "process/vfs_impl.h"

#include <errno.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/stat.h>

bool
vfs_mount_name(const struct vfs *v, const char *name, size_t len)
{
    if (len > NAME_MAX || !(atomic_load(&v->mount_names) >> name_bit(name, len) & 1)) {
        return false;
    }
    unsigned n = atomic_load(&v->nmounts);
    for (unsigned i = 0; i < n && i < VFS_MOUNTS_MAX; i++) {
        const struct vfs_mount *m = &v->mounts[i];
        if (atomic_load(&m->live) && memcmp(m->name, name, len) == 0 && m->name[len] == '\0') {
            return true;
        }
    }
    return false;
}

const struct vfs_mount *
vfs_mount_at(const struct vfs *v, const struct stat *dir, const char *name)
{
    unsigned n = atomic_load(&v->nmounts);
    for (unsigned i = n < VFS_MOUNTS_MAX ? n : VFS_MOUNTS_MAX; i-- > 0;) {
        const struct vfs_mount *m = &v->mounts[i];
        if (atomic_load(&m->live) && m->place_dev == dir->st_dev && m->place_ino == dir->st_ino &&
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
    unsigned n = atomic_load(&v->nmounts);
    for (unsigned i = n < VFS_MOUNTS_MAX ? n : VFS_MOUNTS_MAX; i-- > 0;) {
        const struct vfs_mount *m = &v->mounts[i];
        if (!atomic_load(&m->live) || m->fd < 0 || m->dev != st->st_dev || m->ino != st->st_ino) {
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
    unsigned n = atomic_load(&v->nmounts);
    for (unsigned i = n < VFS_MOUNTS_MAX ? n : VFS_MOUNTS_MAX; i-- > 0;) {
        const struct vfs_mount *m = &v->mounts[i];
        if (atomic_load(&m->live) && host[0] == '/' && lies_in(host, m->host, &len) && (len > best_len || !*inside)) {
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
        from = m->place_fd;
        last = m->name;
    }
    size_t len = strcspn(last, "/");
    if (len == 0 || strcmp(last, ".") == 0 || strcmp(last, "..") == 0) {
        r = -EBUSY;
        goto undo_at;
    }
    memcpy(name, last, len);
    name[len] = '\0';
    r = (int)host_syscall(SYS_fcntl, from, F_DUPFD_CLOEXEC, v->top + OWN_FD_FIRST);
    *dir = r;
undo_at:
    vfs_at_done(&at);
    return r < 0 ? r : 0;
}

static bool
same_mount(const struct vfs_mount *a, const struct vfs_mount *b)
{
    return a->place_dev == b->place_dev && a->place_ino == b->place_ino && a->dev == b->dev && a->ino == b->ino &&
           a->kind == b->kind && a->read_only == b->read_only && strcmp(a->name, b->name) == 0 &&
           strcmp(a->host, b->host) == 0;
}

static int
add(struct vfs *v, struct vfs_mount *m)
{
    unsigned n = atomic_load(&v->nmounts);
    for (unsigned i = 0; i < n && i < VFS_MOUNTS_MAX; i++) {
        struct vfs_mount *old = &v->mounts[i];
        if (!atomic_load(&old->live) && same_mount(old, m)) {
            if (m->fd >= 0) {
                host_syscall(SYS_close, m->fd);
                host_syscall(SYS_close, m->place_fd);
            }
            atomic_store(&old->live, true);
            return 0;
        }
    }
    do {
        if (n >= VFS_MOUNTS_MAX) {
            return -ENOSPC;
        }
    } while (!atomic_compare_exchange_weak(&v->nmounts, &n, n + 1));
    struct vfs_mount *slot = &v->mounts[n];
    memcpy(slot, m, sizeof *slot);
    atomic_fetch_or(&v->mount_names, UINT64_C(1) << name_bit(m->name, strlen(m->name)));
    if (m->read_only) {
        v->any_read_only = true;
    }
    atomic_store(&slot->live, true);
    return 0;
}

int
vfs_mount_add(struct vfs *v, enum mount_kind kind, const char *host, const char *guest, bool read_only)
{
    static const struct vfs_mount none = {.place_fd = -1, .fd = -1};
    struct vfs_mount m = none;
    struct stat st, dir;
    int64_t fd = host_syscall(SYS_openat, AT_FDCWD, host, O_PATH | O_CLOEXEC);
    if (fd < 0) {
        return (int)fd;
    }
    m.kind = kind;
    m.read_only = read_only;
    int place = -1;
    int64_t r = host_syscall(SYS_fstat, fd, &st);
    if (r < 0) {
        goto undo_fd;
    }
    m.is_dir = S_ISDIR(st.st_mode);
    r = vfs_host_path((int)fd, m.host);
    if (r < 0) {
        goto undo_fd;
    }
    if (strcmp(m.host, "/") == 0) {
        m.host[0] = '\0';
    }
    r = find_place(v, guest, false, &place, m.name);
    if (r < 0) {
        goto undo_fd;
    }
    r = host_syscall(SYS_fstat, place, &dir);
    char place_host[PATH_MAX];
    if (r < 0 || (r = vfs_host_path(place, place_host)) < 0) {
        goto undo_place;
    }
    char place_guest[PATH_MAX];
    if (!vfs_guest_path(v, place_host, place_guest)) {
        r = -EINVAL;
        goto undo_place;
    }
    const char *slash = strcmp(place_guest, "/") == 0 ? "" : "/";
    if (snprintf(m.guest, sizeof m.guest, "%s%s%s%s", v->root_guest, place_guest, slash, m.name) >= PATH_MAX) {
        r = -ENAMETOOLONG;
        goto undo_place;
    }
    m.place_dev = dir.st_dev;
    m.place_ino = dir.st_ino;
    m.dev = st.st_dev;
    m.ino = st.st_ino;
    if (!m.is_dir) {
        r = add(v, &m);
        goto undo_place;
    }
    r = vfs_fd_hide(v, (int)fd);
    if (r < 0) {
        host_syscall(SYS_close, place);
        return (int)r;
    }
    m.fd = (int)r;
    m.place_fd = place;
    r = add(v, &m);
    if (r == 0) {
        return 0;
    }
    fd = m.fd;
undo_place:
    host_syscall(SYS_close, place);
undo_fd:
    host_syscall(SYS_close, fd);
    return (int)r;
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
    atomic_store(&m->live, false);
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
    v->any_read_only |= read_only;
    return 0;
}
