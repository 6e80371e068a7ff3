/*
 * vfs_ns.c - the kernel view: a mount namespace whose root is the guest's
 *
 * user_namespaces(7), mount_namespaces(7), pivot_root(2). An ordinary user gets a user namespace first, in which its own
 * id, and no other, is mapped (to 0 with --fake-root); with CAP_SYS_ADMIN the mount namespace alone will do. What is
 * mounted over the root's own directories is what vfs_dev.c gives the user view:
 *
 *     DIR        itself, recursively      /dev    a tmpfs: devices bound, links, pts, shm of the host
 *     /proc /sys the host's, recursively  and --bind in the order given
 *
 * Nothing is written into DIR, so the mount points have to be there; but for an empty /etc/resolv.conf and /etc/hosts, which
 * container engines make too: without them a root that has none would have no network. Where a namespace or a mount is refused the answer
 * is -errno, and with --vfs=auto the user view takes over; a namespace that was entered until then does it no harm, as
 * nothing outside of it has changed and the host's paths are all still there.
 *
 * Threads: called once, from a process of one thread.
 */
#include "process/vfs_impl.h"

#include <errno.h>
#include <linux/capability.h>
#include <sched.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/statfs.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>

static int
write_file(const char *path, const char *text)
{
    int64_t fd = host_syscall(SYS_openat, AT_FDCWD, path, O_WRONLY | O_CLOEXEC);
    if (fd < 0) {
        return (int)fd;
    }
    int64_t n = host_syscall(SYS_write, fd, text, strlen(text));
    host_syscall(SYS_close, fd);
    return n < 0 ? (int)n : 0;
}

static int
map_id(const char *file, uint32_t inside, uint32_t outside)
{
    char line[40];
    snprintf(line, sizeof line, "%u %u 1\n", inside, outside);
    return write_file(file, line);
}

static int
enter_namespaces(bool fake_root)
{
    if (host_syscall(SYS_unshare, CLONE_NEWNS) == 0) {
        return 0;
    }
    uint32_t uid = (uint32_t)host_syscall(SYS_geteuid), gid = (uint32_t)host_syscall(SYS_getegid);
    int64_t r = host_syscall(SYS_unshare, CLONE_NEWUSER | CLONE_NEWNS);
    if (r < 0) {
        return (int)r;
    }
    write_file("/proc/self/setgroups", "deny"); /* or the gid map is refused; kernels without it need no such thing */
    r = map_id("/proc/self/uid_map", fake_root ? 0 : uid, uid);
    return r < 0 ? (int)r : map_id("/proc/self/gid_map", fake_root ? 0 : gid, gid);
}

/* Without --fake-root the guest has no more rights than its user. */
static void
drop_caps(void)
{
    struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
    const struct __user_cap_data_struct none[2] = {{0}};
    host_syscall(SYS_capset, &head, none);
}

/* Bind host path `from` on `to`. A read-only one keeps the flags that the kernel will not let a user clear. */
static int
bind_on(const char *from, const char *to, bool read_only)
{
    struct statfs sf;
    int64_t r = host_syscall(SYS_mount, from, to, NULL, MS_BIND | MS_REC, NULL);
    if (r < 0 || !read_only) {
        return (int)r;
    }
    r = host_syscall(SYS_statfs, to, &sf);
    if (r < 0) {
        return (int)r;
    }
    unsigned long keep = (unsigned long)sf.f_flags & (ST_NOSUID | ST_NODEV | ST_NOEXEC | ST_NOATIME | ST_NODIRATIME);
    if ((unsigned long)sf.f_flags & ST_RELATIME) {
        keep |= MS_RELATIME;
    }
    return (int)host_syscall(SYS_mount, NULL, to, NULL, MS_BIND | MS_REMOUNT | MS_RDONLY | keep, NULL);
}

/* A host path for a guest path, before the root is changed: resolved inside of the root, by the walk. */
static int
place_of(struct vfs *v, const char *guest, char host[PATH_MAX])
{
    struct vfs_at at;
    char buf[PATH_MAX];
    const char *path;
    int r = vfs_walk(v, AT_FDCWD, guest, RESOLVE_FOLLOW, &at);
    if (r < 0) {
        return r;
    }
    r = vfs_at_path(&at, true, &path, buf);
    if (r == 0) {
        r = vfs_host_path(at.dir, host);
    }
    vfs_at_done(&at);
    return r < 0 ? r : 0;
}

static int
bind_guest(struct vfs *v, const char *from, const char *guest, bool read_only)
{
    char to[PATH_MAX];
    int r = place_of(v, guest, to);
    return r < 0 ? r : bind_on(from, to, read_only);
}

/*
 * Terminals of our own: /dev/ptmx looks for the devpts beside it, which behind a bound host file is not the one that the
 * guest sees. What the kernel refuses is the host's then.
 */
static void
make_pts(const char *dir)
{
    char pts[PATH_MAX + 64], ptmx[PATH_MAX + 64];
    snprintf(pts, sizeof pts, "%s/pts", dir);
    snprintf(ptmx, sizeof ptmx, "%s/ptmx", dir);
    if (host_syscall(SYS_mount, "devpts", pts, "devpts", MS_NOSUID | MS_NOEXEC, "newinstance,ptmxmode=0666,mode=620") < 0) {
        bind_on("/dev/pts", pts, false);
        bind_on("/dev/ptmx", ptmx, false);
        return;
    }
    host_syscall(SYS_unlinkat, AT_FDCWD, ptmx, 0);
    host_syscall(SYS_symlinkat, "pts/ptmx", AT_FDCWD, ptmx);
}

static int
make_dev(struct vfs *v)
{
    char dir[PATH_MAX], path[PATH_MAX + 64], host[64];
    struct stat st;
    int r = place_of(v, "/dev", dir);
    if (r < 0) {
        return r;
    }
    r = (int)host_syscall(SYS_mount, "tmpfs", dir, "tmpfs", MS_NOSUID, "mode=755,size=64k");
    if (r < 0) {
        return r;
    }
    vfs_fill_dev(dir);
    for (size_t i = 0; vfs_devices[i] != NULL; i++) {
        snprintf(path, sizeof path, "%s/%s", dir, vfs_devices[i]);
        snprintf(host, sizeof host, "/dev/%s", vfs_devices[i]);
        if (strcmp(vfs_devices[i], "ptmx") != 0 && host_syscall(SYS_newfstatat, AT_FDCWD, path, &st, 0) == 0 &&
            (r = bind_on(host, path, false)) < 0) {
            return r;
        }
    }
    make_pts(dir);
    snprintf(path, sizeof path, "%s/mqueue", dir);
    bind_on("/dev/mqueue", path, false); /* a host without it runs programs too */
    snprintf(path, sizeof path, "%s/shm", dir);
    if (host_syscall(SYS_faccessat2, AT_FDCWD, "/dev/shm", W_OK, 0) == 0) {
        return bind_on("/dev/shm", path, false);
    }
    return (int)host_syscall(SYS_mount, "tmpfs", path, "tmpfs", MS_NOSUID | MS_NODEV, "mode=1777");
}

/* A file that can be mounted on, if there is none and the host has something to mount. */
static void
make_place(struct vfs *v, const char *path)
{
    struct vfs_at at;
    struct stat st;
    if (host_syscall(SYS_newfstatat, AT_FDCWD, path, &st, 0) == 0 &&
        vfs_walk(v, AT_FDCWD, path, RESOLVE_FOLLOW | RESOLVE_CREATE, &at) == 0) {
        int64_t fd = host_syscall(SYS_openat, at.dir, at.name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644);
        vfs_at_done(&at);
        if (fd >= 0) {
            host_syscall(SYS_close, fd);
        }
    }
}

/* The host's file where the root has none with anything in it. */
static void
lend(struct vfs *v, const char *path)
{
    char place[PATH_MAX];
    struct stat st;
    make_place(v, path);
    if (place_of(v, path, place) == 0 && host_syscall(SYS_newfstatat, AT_FDCWD, place, &st, 0) == 0 && st.st_size == 0) {
        bind_on(path, place, true);
    }
}

static int
fail(struct err *e, int r, const char *what)
{
    return err_set(e, r, "%s", what);
}

/*
 * Whether we are in a chroot: its root cannot be pivoted. Known before a namespace is entered, because from then on the
 * paths that the kernel tells of our descriptors would begin outside of it.
 */
static bool
in_chroot(void)
{
    struct statx stx;
    return host_syscall(SYS_statx, AT_FDCWD, "/", 0, 0, &stx) == 0 && stx.stx_attributes_mask & STATX_ATTR_MOUNT_ROOT &&
           !(stx.stx_attributes & STATX_ATTR_MOUNT_ROOT);
}

int
vfs_enter_ns(struct vfs *v, const struct vfs_config *c, struct err *e)
{
    const char *root = v->true_root_host;
    if (in_chroot()) {
        return fail(e, -EINVAL, "change the root from inside a chroot");
    }
    int r = enter_namespaces(c->fake_root);
    if (r < 0) {
        return fail(e, r, "enter a user and mount namespace");
    }
    r = (int)host_syscall(SYS_mount, NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL);
    if (r == 0) {
        r = bind_on(root, root, false);
    }
    /* The walk goes through v->root: that has to be the new mount. */
    int64_t fd = r < 0 ? r : host_syscall(SYS_openat, AT_FDCWD, root, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) {
        return fail(e, (int)fd, "mount the root");
    }
    int old = v->root;
    v->root = (int)fd;
    r = bind_guest(v, "/proc", "/proc", false);
    if (r < 0) {
        fail(e, r, "mount /proc in the root");
        goto undo_root;
    }
    bind_guest(v, "/sys", "/sys", false);
    r = make_dev(v);
    if (r < 0) {
        fail(e, r, "mount /dev in the root");
        goto undo_root;
    }
    lend(v, "/etc/resolv.conf");
    lend(v, "/etc/hosts");
    for (size_t i = 0; i < c->nbinds; i++) {
        const struct vfs_bind *b = &c->binds[i];
        r = bind_guest(v, b->host, b->guest, b->read_only);
        if (r < 0) {
            err_set(e, r, "bind %s:%s", b->host, b->guest);
            goto undo_root;
        }
    }
    /* pivot_root(".", "."): the old root is put on top of the new one, and taken away. */
    r = (int)host_syscall(SYS_fchdir, v->root);
    r = r < 0 ? r : (int)host_syscall(SYS_pivot_root, ".", ".");
    r = r < 0 ? r : (int)host_syscall(SYS_umount2, ".", MNT_DETACH);
    if (r < 0) {
        fail(e, r, "change the root");
        goto undo_root;
    }
    host_syscall(SYS_chdir, "/");
    host_syscall(SYS_close, old);
    if (!c->fake_root && host_syscall(SYS_geteuid) != 0) {
        drop_caps();
    }
    return 0;
undo_root:
    host_syscall(SYS_close, v->root);
    v->root = old;
    return r;
}
