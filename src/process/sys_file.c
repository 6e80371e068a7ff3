/*
 * sys_file.c - system calls that name files
 *
 * Names are copied from the guest once and go through vfs.h, which knows the guest's view; structures are converted here.
 */
#include "process/guest_abi.h"
#include "process/syscall.h"
#include "process/vfs.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <linux/stat.h>
#include <stddef.h>
#include <string.h>
#include <sys/statfs.h>
#include <time.h>

/* A path of the guest's. 0, or what Linux says of such a pointer. */
static int64_t
get_path(char path[PATH_MAX], gva_t a)
{
    int64_t n = guest_read_str(path, a, PATH_MAX);
    return n < 0 ? n : 0;
}

static int64_t
put_stat(gva_t to, const struct stat *st)
{
    struct guest_stat g = {
        .dev = st->st_dev,
        .ino = st->st_ino,
        .mode = st->st_mode,
        .nlink = (uint32_t)st->st_nlink,
        .uid = st->st_uid,
        .gid = st->st_gid,
        .rdev = st->st_rdev,
        .size = st->st_size,
        .blksize = (int32_t)st->st_blksize,
        .blocks = st->st_blocks,
        .atime = (uint64_t)st->st_atim.tv_sec,
        .atime_nsec = (uint64_t)st->st_atim.tv_nsec,
        .mtime = (uint64_t)st->st_mtim.tv_sec,
        .mtime_nsec = (uint64_t)st->st_mtim.tv_nsec,
        .ctime = (uint64_t)st->st_ctim.tv_sec,
        .ctime_nsec = (uint64_t)st->st_ctim.tv_nsec,
    };
    return guest_write(to, &g, sizeof g);
}

/* ---- looking ---- */

int64_t
sys_fstat(struct task *t, const uint64_t a[6])
{
    struct stat st;
    int64_t r = vfs_fstat(t, (int)a[0], &st);
    return r < 0 ? r : put_stat(a[1], &st);
}

int64_t
sys_newfstatat(struct task *t, const uint64_t a[6])
{
    char path[PATH_MAX];
    struct stat st;
    int64_t r;
    if (a[1] == 0 && ((int)a[3] & AT_EMPTY_PATH)) { /* since Linux 6.11 */
        path[0] = 0;
        r = 0;
    } else {
        r = get_path(path, a[1]);
    }
    r = r < 0 ? r : vfs_fstatat(t, (int)a[0], path, &st, (int)a[3]);
    return r < 0 ? r : put_stat(a[2], &st);
}

int64_t
sys_statx(struct task *t, const uint64_t a[6])
{
    char path[PATH_MAX];
    struct statx stx;
    int64_t r;
    if (a[1] == 0 && ((int)a[2] & AT_EMPTY_PATH)) {
        path[0] = 0;
        r = 0;
    } else {
        r = get_path(path, a[1]);
    }
    memset(&stx, 0, sizeof stx);
    r = r < 0 ? r : vfs_statx(t, (int)a[0], path, (int)a[2], (unsigned)a[3], &stx);
    return r < 0 ? r : guest_write(a[4], &stx, sizeof stx);
}

int64_t
sys_statfs(struct task *t, const uint64_t a[6])
{
    char path[PATH_MAX];
    struct statfs sf;
    int64_t r = get_path(path, a[0]);
    r = r < 0 ? r : vfs_statfs(t, path, &sf);
    return r < 0 ? r : guest_write(a[1], &sf, sizeof sf);
}

int64_t
sys_faccessat(struct task *t, const uint64_t a[6])
{
    const uint64_t without_flags[6] = {a[0], a[1], a[2]};
    return sys_faccessat2(t, without_flags);
}

int64_t
sys_faccessat2(struct task *t, const uint64_t a[6])
{
    char path[PATH_MAX];
    int64_t r = get_path(path, a[1]);
    return r < 0 ? r : vfs_faccessat(t, (int)a[0], path, (int)a[2], (int)a[3]);
}

int64_t
sys_readlinkat(struct task *t, const uint64_t a[6])
{
    char path[PATH_MAX], buf[PATH_MAX];
    int size = (int)a[3];
    if (size <= 0) {
        return -EINVAL;
    }
    int64_t r = get_path(path, a[1]);
    r = r < 0 ? r : vfs_readlinkat(t, (int)a[0], path, buf, (size_t)size < sizeof buf ? (size_t)size : sizeof buf);
    return r < 0 ? r : guest_write(a[2], buf, (size_t)r) < 0 ? -EFAULT : r;
}

int64_t
sys_getcwd(struct task *t, const uint64_t a[6])
{
    char buf[PATH_MAX];
    int64_t r = vfs_getcwd(t, buf, sizeof buf);
    if (r > 0 && (uint64_t)r > a[1]) {
        return -ERANGE;
    }
    return r < 0 ? r : guest_write(a[0], buf, (size_t)r) < 0 ? -EFAULT : r;
}

int64_t
sys_getdents64(struct task *t, const uint64_t a[6])
{
    char buf[32768];
    size_t len = (uint32_t)a[2] < sizeof buf ? (uint32_t)a[2] : sizeof buf;
    if (!guest_range_ok(a[1], len)) {
        return -EFAULT;
    }
    int64_t r = vfs_getdents64(t, (int)a[0], buf, len);
    return r <= 0 ? r : guest_write(a[1], buf, (size_t)r) < 0 ? -EFAULT : r;
}

/* ---- opening ---- */

int64_t
sys_openat(struct task *t, const uint64_t a[6])
{
    char path[PATH_MAX];
    int64_t r = get_path(path, a[1]);
    return r < 0 ? r : vfs_openat(t, (int)a[0], path, (int)a[2], (mode_t)a[3]);
}

int64_t
sys_openat2(struct task *t, const uint64_t a[6])
{
    char path[PATH_MAX];
    struct open_how how;
    uint64_t size = a[3];
    if (size < sizeof how) {
        return -EINVAL;
    }
    if (size > 4096) {
        return -E2BIG;
    }
    if (guest_read(&how, a[2], sizeof how) < 0) {
        return -EFAULT;
    }
    for (uint64_t i = sizeof how; i < size; i++) {
        char c;
        if (guest_read(&c, a[2] + i, 1) < 0) {
            return -EFAULT;
        }
        if (c != 0) {
            return -E2BIG;
        }
    }
    int64_t r = get_path(path, a[1]);
    return r < 0 ? r : vfs_openat2(t, (int)a[0], path, &how, sizeof how);
}

/* ---- changing ---- */

int64_t
sys_mkdirat(struct task *t, const uint64_t a[6])
{
    char path[PATH_MAX];
    int64_t r = get_path(path, a[1]);
    return r < 0 ? r : vfs_mkdirat(t, (int)a[0], path, (mode_t)a[2]);
}

int64_t
sys_mknodat(struct task *t, const uint64_t a[6])
{
    char path[PATH_MAX];
    int64_t r = get_path(path, a[1]);
    return r < 0 ? r : vfs_mknodat(t, (int)a[0], path, (mode_t)a[2], (unsigned)a[3]);
}

int64_t
sys_unlinkat(struct task *t, const uint64_t a[6])
{
    char path[PATH_MAX];
    int64_t r = get_path(path, a[1]);
    return r < 0 ? r : vfs_unlinkat(t, (int)a[0], path, (int)a[2]);
}

int64_t
sys_symlinkat(struct task *t, const uint64_t a[6])
{
    char target[PATH_MAX], path[PATH_MAX];
    int64_t r = get_path(target, a[0]);
    r = r < 0 ? r : get_path(path, a[2]);
    return r < 0 ? r : vfs_symlinkat(t, target, (int)a[1], path);
}

int64_t
sys_linkat(struct task *t, const uint64_t a[6])
{
    char old[PATH_MAX], new[PATH_MAX];
    int64_t r = get_path(old, a[1]);
    r = r < 0 ? r : get_path(new, a[3]);
    return r < 0 ? r : vfs_linkat(t, (int)a[0], old, (int)a[2], new, (int)a[4]);
}

int64_t
sys_renameat2(struct task *t, const uint64_t a[6])
{
    char old[PATH_MAX], new[PATH_MAX];
    int64_t r = get_path(old, a[1]);
    r = r < 0 ? r : get_path(new, a[3]);
    return r < 0 ? r : vfs_renameat2(t, (int)a[0], old, (int)a[2], new, (unsigned)a[4]);
}

int64_t
sys_fchmodat(struct task *t, const uint64_t a[6])
{
    const uint64_t without_flags[6] = {a[0], a[1], a[2]};
    return sys_fchmodat2(t, without_flags);
}

int64_t
sys_fchmodat2(struct task *t, const uint64_t a[6])
{
    char path[PATH_MAX];
    int64_t r = get_path(path, a[1]);
    return r < 0 ? r : vfs_fchmodat(t, (int)a[0], path, (mode_t)a[2], (int)a[3]);
}

int64_t
sys_fchmod(struct task *t, const uint64_t a[6])
{
    return vfs_fchmod(t, (int)a[0], (mode_t)a[1]);
}

int64_t
sys_fchownat(struct task *t, const uint64_t a[6])
{
    char path[PATH_MAX];
    int64_t r = get_path(path, a[1]);
    return r < 0 ? r : vfs_fchownat(t, (int)a[0], path, (uint32_t)a[2], (uint32_t)a[3], (int)a[4]);
}

int64_t
sys_fchown(struct task *t, const uint64_t a[6])
{
    return vfs_fchown(t, (int)a[0], (uint32_t)a[1], (uint32_t)a[2]);
}

int64_t
sys_utimensat(struct task *t, const uint64_t a[6])
{
    char path[PATH_MAX];
    struct timespec ts[2];
    if (a[2] != 0 && guest_read(ts, a[2], sizeof ts) < 0) {
        return -EFAULT;
    }
    int64_t r = a[1] != 0 ? get_path(path, a[1]) : 0;
    return r < 0 ? r
                 : vfs_utimensat(t, (int)a[0], a[1] != 0 ? path : NULL, a[2] != 0 ? ts : NULL, (int)a[3]);
}

int64_t
sys_truncate(struct task *t, const uint64_t a[6])
{
    char path[PATH_MAX];
    int64_t r = get_path(path, a[0]);
    return r < 0 ? r : vfs_truncate(t, path, (int64_t)a[1]);
}

int64_t
sys_inotify_add_watch(struct task *t, const uint64_t a[6])
{
    char path[PATH_MAX];
    int64_t r = get_path(path, a[1]);
    return r < 0 ? r : vfs_inotify_add_watch(t, (int)a[0], path, (uint32_t)a[2]);
}

int64_t
sys_name_to_handle_at(struct task *t, const uint64_t a[6])
{
    char path[PATH_MAX];
    struct {
        struct file_handle h;
        unsigned char bytes[MAX_HANDLE_SZ];
    } handle;
    int mount_id;
    int64_t r = get_path(path, a[1]);
    if (r < 0) {
        return r;
    }
    if (guest_read(&handle.h, a[2], sizeof handle.h) < 0) {
        return -EFAULT;
    }
    if (handle.h.handle_bytes > MAX_HANDLE_SZ) {
        return -EINVAL;
    }
    uint32_t cap = handle.h.handle_bytes;
    r = vfs_name_to_handle_at(t, (int)a[0], path, &handle, &mount_id, (int)a[4]);
    if (r < 0 && r != -EOVERFLOW) {
        return r;
    }
    size_t n = sizeof handle.h + (r == 0 ? handle.h.handle_bytes < cap ? handle.h.handle_bytes : cap : 0);
    return guest_write(a[2], &handle, n) < 0 || guest_write_u32(a[3], (uint32_t)mount_id) < 0 ? -EFAULT : r;
}

/* ---- where one is ---- */

int64_t
sys_chdir(struct task *t, const uint64_t a[6])
{
    char path[PATH_MAX];
    int64_t r = get_path(path, a[0]);
    return r < 0 ? r : vfs_chdir(t, path);
}

int64_t
sys_fchdir(struct task *t, const uint64_t a[6])
{
    return vfs_fchdir(t, (int)a[0]);
}

int64_t
sys_chroot(struct task *t, const uint64_t a[6])
{
    char path[PATH_MAX];
    int64_t r = get_path(path, a[0]);
    return r < 0 ? r : vfs_chroot(t, path);
}

int64_t
sys_pivot_root(struct task *t, const uint64_t a[6])
{
    char new[PATH_MAX], old[PATH_MAX];
    int64_t r = get_path(new, a[0]);
    r = r < 0 ? r : get_path(old, a[1]);
    return r < 0 ? r : vfs_pivot_root(t, new, old);
}

int64_t
sys_mount(struct task *t, const uint64_t a[6])
{
    char source[PATH_MAX], target[PATH_MAX], type[PATH_MAX], data[4096];
    int64_t r = a[0] != 0 ? get_path(source, a[0]) : 0;
    r = r < 0 ? r : get_path(target, a[1]);
    r = r < 0 || a[2] == 0 ? r : get_path(type, a[2]);
    if (r >= 0 && a[4] != 0) {
        r = guest_read_str(data, a[4], sizeof data);
        r = r == -ENAMETOOLONG ? -EINVAL : r;
    }
    return r < 0 ? r
                 : vfs_mount(t, a[0] != 0 ? source : NULL, target, a[2] != 0 ? type : NULL, a[3],
                             a[4] != 0 ? data : NULL);
}

int64_t
sys_umount2(struct task *t, const uint64_t a[6])
{
    char path[PATH_MAX];
    int64_t r = get_path(path, a[0]);
    return r < 0 ? r : vfs_umount2(t, path, (int)a[1]);
}
