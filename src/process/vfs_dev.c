/*
 * vfs_dev.c - what a container has besides its files: /proc, /sys, /dev, resolv.conf, hosts; and scratch directories
 *
 * For the user view. Nothing is written into the root. /dev is a scratch directory with an empty file for each device,
 * on which the host's device is mounted, as container engines do it on a tmpfs.
 *
 * Scratch directories live in BASE/doppel-UID/PID-N/ (BASE: XDG_RUNTIME_DIR, /tmp, /dev/shm), whose .lock every process
 * of the run holds through one inherited descriptor. There is nobody to remove them when the last one dies: the next run
 * of this user removes those whose lock is free.
 */
#include "process/vfs_impl.h"

#include <dirent.h>
#include <errno.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <unistd.h>

static int
remove_entry(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st;
    (void)type;
    (void)ftw;
    remove(path);
    return 0;
}

static void
remove_stale(const char *base)
{
    char path[PATH_MAX];
    DIR *d = opendir(base);
    if (d == NULL) {
        return;
    }
    for (struct dirent *e; (e = readdir(d)) != NULL;) {
        if (e->d_name[0] == '.') {
            continue;
        }
        if (snprintf(path, sizeof path, "%s/%s/.lock", base, e->d_name) >= (int)sizeof path) {
            continue;
        }
        int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
        if (fd < 0) {
            continue;
        }
        if (flock(fd, LOCK_EX | LOCK_NB) == 0) {
            path[strlen(path) - strlen("/.lock")] = '\0';
            nftw(path, remove_entry, 16, FTW_DEPTH | FTW_PHYS | FTW_MOUNT);
        }
        close(fd);
    }
    closedir(d);
}

/* BASE/doppel-UID, ours and nobody else's. */
static bool
find_base(char base[PATH_MAX])
{
    const char *places[] = {getenv("XDG_RUNTIME_DIR"), "/tmp", "/dev/shm"};
    struct stat st;
    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
        if (places[i] == NULL || places[i][0] != '/' ||
            snprintf(base, PATH_MAX, "%s/doppel-%u", places[i], (unsigned)geteuid()) >= PATH_MAX) {
            continue;
        }
        mkdir(base, 0700);
        if (lstat(base, &st) == 0 && S_ISDIR(st.st_mode) && st.st_uid == geteuid() && (st.st_mode & 077) == 0 &&
            access(base, W_OK) == 0) {
            return true;
        }
    }
    return false;
}

/* The directory of this run. It gets its name once its lock is held, so that nobody takes it for stale. */
static int
make_run_dir(struct vfs *v)
{
    char base[PATH_MAX], path[PATH_MAX + 64];
    if (!find_base(base)) {
        return -EACCES;
    }
    remove_stale(base);
    if (snprintf(path, sizeof path, "%s/.new-XXXXXX", base) >= PATH_MAX || mkdtemp(path) == NULL) {
        return -errno;
    }
    size_t len = strlen(path);
    strcpy(path + len, "/.lock");
    int fd = open(path, O_RDONLY | O_CREAT | O_CLOEXEC, 0600);
    path[len] = '\0';
    if (fd < 0) {
        return -errno;
    }
    int lock = vfs_fd_hide(v, fd);
    if (lock < 0 || flock(lock, LOCK_EX | LOCK_NB) < 0) {
        return lock < 0 ? lock : -errno;
    }
    if (snprintf(v->scratch_path, sizeof v->scratch_path, "%s/%d-%s", base, getpid(), path + len - 6) >= PATH_MAX) {
        return -ENAMETOOLONG;
    }
    if (rename(path, v->scratch_path) < 0) {
        return -errno;
    }
    v->scratch = lock;
    return 0;
}

int
vfs_scratch(struct vfs *v, const char *name, mode_t mode, char path[PATH_MAX])
{
    int r = v->scratch == 0 ? make_run_dir(v) : 0;
    for (unsigned i = 0; r == 0 && i < 10000; i++) {
        if (snprintf(path, PATH_MAX, "%s/%s%d-%u", v->scratch_path, name, getpid(), i) >= PATH_MAX) {
            return -ENAMETOOLONG;
        }
        r = (int)host_syscall(SYS_mkdirat, AT_FDCWD, path, 0700);
        if (r == 0) {
            return (int)host_syscall(SYS_fchmodat, AT_FDCWD, path, mode);
        }
        r = r == -EEXIST ? 0 : r;
    }
    return r < 0 ? r : -EEXIST;
}

const char *const vfs_devices[] = {"null", "zero", "full", "random", "urandom", "tty", "ptmx", NULL};

void
vfs_fill_dev(const char *dir)
{
    static const char *const links[][2] = {
        {"fd", "/proc/self/fd"},
        {"stdin", "/proc/self/fd/0"},
        {"stdout", "/proc/self/fd/1"},
        {"stderr", "/proc/self/fd/2"},
        {"core", "/proc/kcore"},
    };
    char path[PATH_MAX + NAME_MAX];
    struct stat st;
    for (size_t i = 0; i < sizeof links / sizeof links[0]; i++) {
        snprintf(path, sizeof path, "%s/%s", dir, links[i][0]);
        host_syscall(SYS_symlinkat, links[i][1], AT_FDCWD, path);
    }
    static const char *const dirs[] = {"pts", "shm", "mqueue"};
    for (size_t i = 0; i < sizeof dirs / sizeof dirs[0]; i++) {
        snprintf(path, sizeof path, "%s/%s", dir, dirs[i]);
        host_syscall(SYS_mkdirat, AT_FDCWD, path, 0755);
    }
    for (size_t i = 0; vfs_devices[i] != NULL; i++) {
        snprintf(path, sizeof path, "/dev/%s", vfs_devices[i]);
        if (host_syscall(SYS_newfstatat, AT_FDCWD, path, &st, 0) == 0) {
            snprintf(path, sizeof path, "%s/%s", dir, vfs_devices[i]);
            host_syscall(SYS_mknodat, AT_FDCWD, path, S_IFREG | 0600, 0);
        }
    }
}

/* /dev of the user view. */
static int
mount_dev(struct vfs *v)
{
    char dir[PATH_MAX], path[PATH_MAX];
    int r = vfs_scratch(v, "dev", 0755, dir);
    if (r < 0) {
        return r;
    }
    vfs_fill_dev(dir);
    r = vfs_mount_add(v, MOUNT_TMPFS, dir, "/dev", false);
    for (size_t i = 0; r == 0 && vfs_devices[i] != NULL; i++) {
        snprintf(path, sizeof path, "/dev/%s", vfs_devices[i]);
        r = vfs_mount_add(v, MOUNT_BIND, path, path, false);
        r = r == -ENOENT ? 0 : r;
    }
    if (r < 0) {
        return r;
    }
    vfs_mount_add(v, MOUNT_BIND, "/dev/pts", "/dev/pts", false);
    vfs_mount_add(v, MOUNT_BIND, "/dev/mqueue", "/dev/mqueue", false);
    if (host_syscall(SYS_faccessat2, AT_FDCWD, "/dev/shm", W_OK, 0) == 0) {
        return vfs_mount_add(v, MOUNT_BIND, "/dev/shm", "/dev/shm", false);
    }
    r = vfs_scratch(v, "shm", 01777, path);
    return r < 0 ? r : vfs_mount_add(v, MOUNT_TMPFS, path, "/dev/shm", false);
}

/* The host's file where the root has none with anything in it. */
static void
lend(struct vfs *v, const char *path)
{
    struct vfs_at at;
    struct stat st;
    if (vfs_walk(v, AT_FDCWD, path, RESOLVE_FOLLOW, &at) == 0) {
        int64_t r = host_syscall(SYS_newfstatat, at.dir, at.name, &st, at.flags);
        vfs_at_done(&at);
        if (r == 0 && st.st_size > 0) {
            return;
        }
    }
    vfs_mount_add(v, MOUNT_BIND, path, path, true);
}

int
vfs_mount_defaults(struct vfs *v, struct err *e)
{
    int r = vfs_mount_add(v, MOUNT_PROC, "/proc", "/proc", false);
    if (r < 0) {
        return err_set(e, r, "mount /proc");
    }
    vfs_mount_add(v, MOUNT_BIND, "/sys", "/sys", false);
    r = mount_dev(v);
    if (r < 0) {
        return err_set(e, r, "make /dev");
    }
    lend(v, "/etc/resolv.conf");
    lend(v, "/etc/hosts");
    return 0;
}
