/*
 * sys_ids.c - who the guest is: user and group ids, capabilities, prctl
 *
 * Without --fake-root the identity is the host's, changed by raw calls for one thread, as Linux has it (the guest's libc
 * tells the others). With it, fakeroot.h keeps a record.
 */
#include "process/fakeroot.h"
#include "process/syscall.h"
#include "process/vfs.h"

#include <errno.h>
#include <linux/capability.h>
#include <string.h>
#include <sys/prctl.h>

/* Newer than Debian 12's headers. */
#ifndef PR_RISCV_SET_ICACHE_FLUSH_CTX
#define PR_RISCV_SET_ICACHE_FLUSH_CTX 71
#endif

static int64_t
get_id(struct task *t, bool gid, int which, long nr)
{
    const struct fake_ids *ids = fakeroot_ids(t);
    return ids == NULL ? host_syscall(nr) : gid ? ids->gid[which] : ids->uid[which];
}

int64_t
sys_getuid(struct task *t, const uint64_t a[6])
{
    (void)a;
    return get_id(t, false, FAKE_REAL, SYS_getuid);
}

int64_t
sys_geteuid(struct task *t, const uint64_t a[6])
{
    (void)a;
    return get_id(t, false, FAKE_EFFECTIVE, SYS_geteuid);
}

int64_t
sys_getgid(struct task *t, const uint64_t a[6])
{
    (void)a;
    return get_id(t, true, FAKE_REAL, SYS_getgid);
}

int64_t
sys_getegid(struct task *t, const uint64_t a[6])
{
    (void)a;
    return get_id(t, true, FAKE_EFFECTIVE, SYS_getegid);
}

static int64_t
getres(struct task *t, bool gid, const uint64_t a[6])
{
    const struct fake_ids *ids = fakeroot_ids(t);
    if (ids == NULL) {
        return host_syscall(gid ? SYS_getresgid : SYS_getresuid, g2h(a[0]), g2h(a[1]), g2h(a[2]));
    }
    const uint32_t *v = gid ? ids->gid : ids->uid;
    int64_t r = guest_write_u32(a[0], v[FAKE_REAL]);
    r = r < 0 ? r : guest_write_u32(a[1], v[FAKE_EFFECTIVE]);
    return r < 0 ? r : guest_write_u32(a[2], v[FAKE_SAVED]);
}

int64_t
sys_getresuid(struct task *t, const uint64_t a[6])
{
    return getres(t, false, a);
}

int64_t
sys_getresgid(struct task *t, const uint64_t a[6])
{
    return getres(t, true, a);
}

#define FAKE_OR_HOST(fake, ...) (fakeroot_ids(t) != NULL ? (fake) : vfs_id_result(host_syscall(__VA_ARGS__)))

int64_t
sys_setuid(struct task *t, const uint64_t a[6])
{
    if ((uint32_t)a[0] == UINT32_MAX) {
        return -EINVAL;
    }
    return FAKE_OR_HOST(fakeroot_setid(t, false, (uint32_t)a[0]), SYS_setuid, a[0]);
}

int64_t
sys_setgid(struct task *t, const uint64_t a[6])
{
    if ((uint32_t)a[0] == UINT32_MAX) {
        return -EINVAL;
    }
    return FAKE_OR_HOST(fakeroot_setid(t, true, (uint32_t)a[0]), SYS_setgid, a[0]);
}

int64_t
sys_setreuid(struct task *t, const uint64_t a[6])
{
    return FAKE_OR_HOST(fakeroot_setreid(t, false, (uint32_t)a[0], (uint32_t)a[1]), SYS_setreuid, a[0], a[1]);
}

int64_t
sys_setregid(struct task *t, const uint64_t a[6])
{
    return FAKE_OR_HOST(fakeroot_setreid(t, true, (uint32_t)a[0], (uint32_t)a[1]), SYS_setregid, a[0], a[1]);
}

int64_t
sys_setresuid(struct task *t, const uint64_t a[6])
{
    return FAKE_OR_HOST(fakeroot_setresid(t, false, (uint32_t)a[0], (uint32_t)a[1], (uint32_t)a[2]), SYS_setresuid,
                        a[0], a[1], a[2]);
}

int64_t
sys_setresgid(struct task *t, const uint64_t a[6])
{
    return FAKE_OR_HOST(fakeroot_setresid(t, true, (uint32_t)a[0], (uint32_t)a[1], (uint32_t)a[2]), SYS_setresgid,
                        a[0], a[1], a[2]);
}

int64_t
sys_setfsuid(struct task *t, const uint64_t a[6])
{
    return FAKE_OR_HOST(fakeroot_setfsid(t, false, (uint32_t)a[0]), SYS_setfsuid, a[0]);
}

int64_t
sys_setfsgid(struct task *t, const uint64_t a[6])
{
    return FAKE_OR_HOST(fakeroot_setfsid(t, true, (uint32_t)a[0]), SYS_setfsgid, a[0]);
}

int64_t
sys_getgroups(struct task *t, const uint64_t a[6])
{
    const struct fake_ids *ids = fakeroot_ids(t);
    if (ids == NULL) {
        if ((int)a[0] > 0 && !guest_range_ok(a[1], (uint32_t)a[0] * UINT64_C(4))) {
            return -EFAULT;
        }
        return host_syscall(SYS_getgroups, a[0], g2h(a[1]));
    }
    uint32_t n = ids->ngroups < FAKE_NGROUPS ? ids->ngroups : FAKE_NGROUPS;
    if ((int)a[0] < 0 || ((int)a[0] > 0 && (uint32_t)a[0] < n)) {
        return -EINVAL;
    }
    return a[0] != 0 && guest_write(a[1], ids->groups, n * sizeof ids->groups[0]) < 0 ? -EFAULT : (int64_t)n;
}

int64_t
sys_setgroups(struct task *t, const uint64_t a[6])
{
    if (fakeroot_ids(t) == NULL) {
        return guest_range_ok(a[1], (uint32_t)a[0] * UINT64_C(4)) ? vfs_id_result(host_syscall(SYS_setgroups, a[0], g2h(a[1])))
                                                                   : -EFAULT;
    }
    uint32_t groups[FAKE_NGROUPS];
    if ((uint32_t)a[0] > FAKE_NGROUPS) {
        return -EINVAL;
    }
    int64_t r = guest_read(groups, a[1], (uint32_t)a[0] * sizeof groups[0]);
    return r < 0 ? r : fakeroot_setgroups(t, (uint32_t)a[0], groups);
}

/* ---- capabilities (the 64-bit form, version 3; the host answers for others) ---- */

static int64_t
caps_header(struct task *t, gva_t at, struct __user_cap_header_struct *h, bool *ours)
{
    if (guest_read(h, at, sizeof *h) < 0) {
        return -EFAULT;
    }
    *ours = fakeroot_ids(t) != NULL && h->version == _LINUX_CAPABILITY_VERSION_3 &&
            (h->pid == 0 || h->pid == t->tid || h->pid == (int)host_syscall(SYS_getpid));
    return 0;
}

int64_t
sys_capget(struct task *t, const uint64_t a[6])
{
    struct __user_cap_header_struct h;
    bool ours;
    int64_t r = caps_header(t, a[0], &h, &ours);
    if (r < 0) {
        return r;
    }
    if (!ours || a[1] == 0) {
        return host_syscall(SYS_capget, g2h(a[0]), g2h(a[1]));
    }
    const struct fake_ids *ids = fakeroot_ids(t);
    struct __user_cap_data_struct d[2];
    for (int i = 0; i < 2; i++) {
        d[i].effective = (uint32_t)(ids->cap_effective >> (32 * i));
        d[i].permitted = (uint32_t)(ids->cap_permitted >> (32 * i));
        d[i].inheritable = (uint32_t)(ids->cap_inheritable >> (32 * i));
    }
    return guest_write(a[1], d, sizeof d);
}

int64_t
sys_capset(struct task *t, const uint64_t a[6])
{
    struct __user_cap_header_struct h;
    struct __user_cap_data_struct d[2];
    bool ours;
    int64_t r = caps_header(t, a[0], &h, &ours);
    if (r < 0) {
        return r;
    }
    if (!ours) {
        return host_syscall(SYS_capset, g2h(a[0]), g2h(a[1]));
    }
    if (guest_read(d, a[1], sizeof d) < 0) {
        return -EFAULT;
    }
    return fakeroot_capset(t, d[0].effective | (uint64_t)d[1].effective << 32,
                           d[0].permitted | (uint64_t)d[1].permitted << 32,
                           d[0].inheritable | (uint64_t)d[1].inheritable << 32);
}

/* ---- prctl ---- */

int64_t
sys_prctl(struct task *t, const uint64_t a[6])
{
    const bool fake = fakeroot_ids(t) != NULL;
    switch ((int)a[0]) {
    case PR_SET_KEEPCAPS:
        if (fake && a[1] <= 1) {
            fakeroot_keepcaps(t, a[1]);
            return 0;
        }
        return host_syscall(SYS_prctl, a[0], a[1], a[2], a[3], a[4]);
    case PR_GET_KEEPCAPS:
        return fake ? fakeroot_ids(t)->keep_caps : host_syscall(SYS_prctl, a[0]);
    case PR_CAPBSET_READ:
    case PR_CAPBSET_DROP:
        if (fake) {
            return a[1] > CAP_LAST_CAP ? -EINVAL : (int)a[0] == PR_CAPBSET_READ;
        }
        return host_syscall(SYS_prctl, a[0], a[1], a[2], a[3], a[4]);
    case PR_CAP_AMBIENT:
        if (fake) {
            return 0;
        }
        return host_syscall(SYS_prctl, a[0], a[1], a[2], a[3], a[4]);
    case PR_SET_PDEATHSIG:
    case PR_GET_DUMPABLE:
    case PR_SET_DUMPABLE:
    case PR_SET_TIMERSLACK:
    case PR_GET_TIMERSLACK:
    case PR_GET_SECUREBITS:
    case PR_SET_SECUREBITS:
    case PR_SET_CHILD_SUBREAPER:
    case PR_SET_NO_NEW_PRIVS:
    case PR_GET_NO_NEW_PRIVS:
    case PR_SET_THP_DISABLE:
    case PR_GET_THP_DISABLE:
    case PR_SET_PTRACER:
    case PR_SET_IO_FLUSHER:
    case PR_GET_IO_FLUSHER:
        return host_syscall(SYS_prctl, a[0], a[1], a[2], a[3], a[4]);
    case PR_SET_NAME:
    case PR_GET_NAME:
    case PR_GET_PDEATHSIG:
    case PR_GET_CHILD_SUBREAPER:
        return host_syscall(SYS_prctl, a[0], g2h(a[1]), a[2], a[3], a[4]);
    case PR_SET_VMA:
        return guest_range_ok(a[2], a[3]) ? host_syscall(SYS_prctl, a[0], a[1], a[2] + guest_base, a[3], g2h(a[4])) : -ENOMEM;
    case PR_RISCV_SET_ICACHE_FLUSH_CTX:
        return 0; /* fence.i is exact without it */
    default:
        return -EINVAL;
    }
}
