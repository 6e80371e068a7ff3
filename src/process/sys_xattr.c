/*
 * sys_xattr.c - extended attributes
 *
 * Names and values go through vfs.h, which hides the attributes that the monitor keeps (--fake-root). Limits as
 * linux/limits.h.
 */
#include "process/syscall.h"
#include "process/vfs.h"

#include <errno.h>
#include <limits.h>
#include <linux/limits.h>
#include <stdlib.h>
#include <sys/mman.h>

/* A buffer of up to 64 KiB is too much for a stack. */
static void *
buffer_new(size_t n)
{
    void *p = mmap(NULL, n + 1, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return p == MAP_FAILED ? NULL : p;
}

static int64_t
get_name(char name[XATTR_NAME_MAX + 1], gva_t a)
{
    int64_t n = guest_read_str(name, a, XATTR_NAME_MAX + 1);
    return n == -ENAMETOOLONG || n == 0 ? -ERANGE : n < 0 ? n : 0;
}

static int64_t
set(struct task *t, const struct vfs_xattr *x, const uint64_t a[6])
{
    char name[XATTR_NAME_MAX + 1];
    int64_t r = get_name(name, a[1]);
    if (r < 0) {
        return r;
    }
    if (a[3] > XATTR_SIZE_MAX) {
        return -E2BIG;
    }
    void *value = buffer_new(a[3]);
    if (value == NULL) {
        return -ENOMEM;
    }
    r = guest_read(value, a[2], a[3]);
    r = r < 0 ? r : vfs_setxattr(t, x, name, value, a[3], (int)a[4]);
    munmap(value, a[3] + 1);
    return r;
}

static int64_t
get(struct task *t, const struct vfs_xattr *x, const uint64_t a[6])
{
    char name[XATTR_NAME_MAX + 1];
    int64_t r = get_name(name, a[1]);
    if (r < 0) {
        return r;
    }
    size_t size = a[3] < XATTR_SIZE_MAX ? a[3] : XATTR_SIZE_MAX;
    void *value = buffer_new(size);
    if (value == NULL) {
        return -ENOMEM;
    }
    r = vfs_getxattr(t, x, name, value, size);
    if (r > 0 && size > 0 && guest_write(a[2], value, (size_t)r) < 0) {
        r = -EFAULT;
    }
    munmap(value, size + 1);
    return r;
}

static int64_t
list(struct task *t, const struct vfs_xattr *x, gva_t to, uint64_t cap)
{
    size_t size = cap < XATTR_LIST_MAX ? cap : XATTR_LIST_MAX;
    char *names = buffer_new(size);
    if (names == NULL) {
        return -ENOMEM;
    }
    int64_t r = vfs_listxattr(t, x, names, size);
    if (r > 0 && size > 0 && guest_write(to, names, (size_t)r) < 0) {
        r = -EFAULT;
    }
    munmap(names, size + 1);
    return r;
}

static int64_t
drop(struct task *t, const struct vfs_xattr *x, gva_t at)
{
    char name[XATTR_NAME_MAX + 1];
    int64_t r = get_name(name, at);
    return r < 0 ? r : vfs_removexattr(t, x, name);
}

/* Each call comes three times: by path, by path without following a symlink, by descriptor. */
#define BY_PATH(call, links, what)                              \
    int64_t call(struct task *t, const uint64_t a[6])           \
    {                                                           \
        char path[PATH_MAX];                                    \
        int64_t n = guest_read_str(path, a[0], sizeof path);    \
        const struct vfs_xattr x = {-1, path, links};           \
        return n < 0 ? n : what;                                \
    }
#define BY_FD(call, what)                                       \
    int64_t call(struct task *t, const uint64_t a[6])           \
    {                                                           \
        const struct vfs_xattr x = {(int)a[0], NULL, true};     \
        return vfs_fd_ok(vfs_of(t), x.fd) ? what : -EBADF;      \
    }

BY_PATH(sys_setxattr, true, set(t, &x, a))
BY_PATH(sys_lsetxattr, false, set(t, &x, a))
BY_FD(sys_fsetxattr, set(t, &x, a))
BY_PATH(sys_getxattr, true, get(t, &x, a))
BY_PATH(sys_lgetxattr, false, get(t, &x, a))
BY_FD(sys_fgetxattr, get(t, &x, a))
BY_PATH(sys_listxattr, true, list(t, &x, a[1], a[2]))
BY_PATH(sys_llistxattr, false, list(t, &x, a[1], a[2]))
BY_FD(sys_flistxattr, list(t, &x, a[1], a[2]))
BY_PATH(sys_removexattr, true, drop(t, &x, a[1]))
BY_PATH(sys_lremovexattr, false, drop(t, &x, a[1]))
BY_FD(sys_fremovexattr, drop(t, &x, a[1]))
