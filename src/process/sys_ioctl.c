/*
 * sys_ioctl.c - ioctl(2): what the third argument is, and its conversion
 *
 * ioctl.def lists the requests whose number does not say it. The kernel copies from and to the guest's memory itself; only
 * pointers have to become the host's, and those inside of a structure as well.
 *
 * Threads: any. Trust: request and argument are the guest's.
 */
#include "process/ioctl.h"

#include "process/syscall.h"
#include "process/vfs.h"

#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <stdlib.h>
#include <string.h>
#include <linux/blkpg.h>
#include <linux/fiemap.h>
#include <linux/fs.h>
#include <linux/hdreg.h>
#include <linux/if_tun.h>
#include <linux/input.h>
#include <linux/kd.h>
#include <linux/loop.h>
#include <linux/nsfs.h>
#include <linux/random.h>
#include <linux/rtc.h>
#include <linux/sockios.h>
#include <linux/uinput.h>
#include <linux/vt.h>
#include <asm/ioctls.h>

#include "base/check.h"

typedef int64_t ioctl_fn(struct task *t, int fd, unsigned req, gva_t arg);

static ioctl_fn ioctl_fiemap, ioctl_dedupe, ioctl_blkpg, ioctl_ifconf, ioctl_ethtool;

enum kind { NONE, VALUE, FD, IN, OUT, INOUT, SPECIAL };

static const struct row {
    unsigned req;
    uint16_t bytes;
    uint8_t kind;
    const char *name;
    ioctl_fn *fn;
} rows[] = {
#define KIND_NONE    NONE, NULL
#define KIND_VALUE   VALUE, NULL
#define KIND_FD      FD, NULL
#define KIND_IN      IN, NULL
#define KIND_OUT     OUT, NULL
#define KIND_INOUT   INOUT, NULL
#define KIND_fiemap  SPECIAL, ioctl_fiemap
#define KIND_dedupe  SPECIAL, ioctl_dedupe
#define KIND_blkpg   SPECIAL, ioctl_blkpg
#define KIND_ifconf  SPECIAL, ioctl_ifconf
#define KIND_ethtool SPECIAL, ioctl_ethtool
#define ROW(number, text, size, how, call) {number, size, how, text, call},
#define ROW_(...) ROW(__VA_ARGS__)
#define IOCTL(name, how, size) ROW_(name, #name, size, KIND_##how)
#include "process/ioctl.def"
#undef IOCTL
};

static const struct row *
find(unsigned req)
{
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        if (rows[i].req == req) {
            return &rows[i];
        }
    }
    return NULL;
}

const char *
ioctl_name(uint32_t req)
{
    const struct row *r = find(req);
    return r != NULL ? r->name : NULL;
}

static int64_t
pass(struct task *t, int fd, unsigned req, const void *arg)
{
    return host_syscall_restartable(t, SYS_ioctl, fd, req, arg);
}

static int64_t
pass_guest(struct task *t, int fd, unsigned req, gva_t arg, size_t bytes)
{
    return guest_range_ok(arg, bytes) ? pass(t, fd, req, g2h(arg)) : -EFAULT;
}

/* The header says how many extents follow it, for the kernel to fill. */
static int64_t
ioctl_fiemap(struct task *t, int fd, unsigned req, gva_t arg)
{
    struct fiemap h;
    if (guest_read(&h, arg, sizeof h) != 0) {
        return -EFAULT;
    }
    return pass_guest(t, fd, req, arg, sizeof h + (uint64_t)h.fm_extent_count * sizeof(struct fiemap_extent));
}

static int64_t
ioctl_dedupe(struct task *t, int fd, unsigned req, gva_t arg)
{
    struct file_dedupe_range h;
    if (guest_read(&h, arg, sizeof h) != 0) {
        return -EFAULT;
    }
    return pass_guest(t, fd, req, arg, sizeof h + (uint64_t)h.dest_count * sizeof(struct file_dedupe_range_info));
}

static int64_t
ioctl_blkpg(struct task *t, int fd, unsigned req, gva_t arg)
{
    struct blkpg_ioctl_arg h;
    if (guest_read(&h, arg, sizeof h) != 0) {
        return -EFAULT;
    }
    gva_t data = (uintptr_t)h.data;
    if (!guest_range_ok(data, sizeof(struct blkpg_partition))) {
        return -EFAULT;
    }
    h.data = g2h(data);
    return pass(t, fd, req, &h);
}

/* struct ifconf: a length and a pointer to as many struct ifreq; without a pointer it asks for the length. */
static int64_t
ioctl_ifconf(struct task *t, int fd, unsigned req, gva_t arg)
{
    struct ifconf h;
    if (guest_read(&h, arg, sizeof h) != 0) {
        return -EFAULT;
    }
    gva_t data = (uintptr_t)h.ifc_buf;
    if (data != 0 && h.ifc_len > 0 && !guest_range_ok(data, (uint64_t)h.ifc_len)) {
        return -EFAULT;
    }
    h.ifc_buf = g2h(data);
    int64_t r = pass(t, fd, req, &h);
    if (r >= 0 && guest_write(arg, &h.ifc_len, sizeof h.ifc_len) != 0) {
        return -EFAULT;
    }
    return r;
}

/*
 * struct ifreq whose ifr_data points to a command's structure. How long that is depends on the command and on what the
 * device has; the kernel writes no more than the caller announced inside of it, from its start on.
 */
static int64_t
ioctl_ethtool(struct task *t, int fd, unsigned req, gva_t arg)
{
    struct ifreq h;
    if (guest_read(&h, arg, sizeof h) != 0) {
        return -EFAULT;
    }
    h.ifr_data = g2h((uintptr_t)h.ifr_data);
    return pass(t, fd, req, &h);
}

int64_t
sys_ioctl(struct task *t, const uint64_t a[6])
{
    int fd = (int)a[0];
    unsigned req = (unsigned)a[1];
    if (!vfs_fd_ok(vfs_of(t), fd)) {
        return -EBADF;
    }
    const struct row *r = find(req);
    if (r == NULL) {
        if (_IOC_DIR(req) == _IOC_NONE) {
            /* EBADF comes before ENOTTY */
            int64_t flags = host_syscall(SYS_fcntl, fd, F_GETFD, 0);
            return flags < 0 ? flags : -ENOTTY;
        }
        /* It may make descriptors, and would not say so. */
        if (fds_apart(t) != 0) {
            return -ENOMEM;
        }
        return pass_guest(t, fd, req, a[2], _IOC_SIZE(req));
    }
    switch ((enum kind)r->kind) {
    case NONE: {
        const int64_t made = pass(t, fd, req, NULL);
        return req == NS_GET_USERNS || req == NS_GET_PARENT ? fd_made(t, made) : made;
    }
    case FD:
        if (!vfs_fd_ok(vfs_of(t), (int)a[2])) {
            return -EBADF;
        }
        return pass(t, fd, req, (void *)(uintptr_t)a[2]);
    case VALUE: {
        const int64_t made = pass(t, fd, req, (void *)(uintptr_t)a[2]);
        return req == TIOCGPTPEER ? fd_made(t, made) : made;
    }
    case IN:
    case OUT:
    case INOUT:
        return pass_guest(t, fd, req, a[2], r->bytes);
    case SPECIAL:
        return r->fn(t, fd, req, a[2]);
    }
    __builtin_unreachable();
}
