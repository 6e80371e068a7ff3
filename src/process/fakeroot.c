/*
 * fakeroot.c - who the guest believes to be
 *
 * credentials(7), capabilities(7), and the pages of the calls. The record is part of the view (struct vfs), so it is
 * the process's: a change by one thread is seen by all. Linux keeps identities by thread, but every libc makes the
 * change for all of them, which here comes to the same.
 *
 * Threads: a spin lock around changes; it is held for a few instructions, never over a host call but a fork, whose child
 * finds the record whole and the lock free. One that does not come free was held by a vfork child that has been killed,
 * and is taken.
 */
#include "process/vfs_impl.h"

#include <errno.h>
#include <linux/capability.h>
#include <sys/prctl.h>

#define ALL_CAPS ((UINT64_C(1) << (CAP_LAST_CAP + 1)) - 1)
#define KEEP     UINT32_C(0xffffffff)
#define LOCK_SPINS 100000

static void
lock_vfs(struct vfs *v)
{
    for (unsigned i = 0; atomic_flag_test_and_set_explicit(&v->fake_lock, memory_order_acquire) && i < LOCK_SPINS; i++) {
        host_syscall(SYS_sched_yield);
    }
}

static void
unlock_vfs(struct vfs *v)
{
    atomic_flag_clear_explicit(&v->fake_lock, memory_order_release);
}

static struct fake_ids *
lock(struct task *t)
{
    lock_vfs(vfs_of(t));
    return &vfs_of(t)->ids;
}

static void
unlock(struct task *t)
{
    unlock_vfs(vfs_of(t));
}

void
vfs_fork_begin(struct task *t)
{
    lock_vfs(vfs_of(t));
}

void
vfs_fork_end(struct task *t)
{
    unlock_vfs(vfs_of(t));
}

void
vfs_vfork_begin(struct task *t, struct vfs_own *own)
{
    const struct vfs *v = vfs_of(t);
    lock(t);
    own->ids = v->ids;
    own->root = v->root;
    own->edge = v->edge;
    own->far = v->far;
    own->root_dev = v->root_dev;
    own->root_ino = v->root_ino;
    memcpy(own->root_guest, v->root_guest, sizeof own->root_guest);
    unlock(t);
}

void
vfs_vfork_end(struct task *t, const struct vfs_own *own)
{
    struct vfs *v = vfs_of(t);
    lock(t);
    v->ids = own->ids;
    if (v->edge != own->edge) { /* it has moved them in its table, not in ours */
        v->edge = own->edge;
        vfs_fd_renumber(v);
    }
    v->far = own->far;
    v->root = own->root;
    v->root_dev = own->root_dev;
    v->root_ino = own->root_ino;
    memcpy(v->root_guest, own->root_guest, sizeof own->root_guest);
    unlock(t);
}

const struct fake_ids *
fakeroot_ids(struct task *t)
{
    struct vfs *v = vfs_of(t);
    return v->fake ? &v->ids : NULL;
}

void
fakeroot_init(struct vfs *v, uint32_t uid, uint32_t gid)
{
    struct fake_ids *ids = &v->ids;
    v->fake = true;
    for (int i = 0; i < FAKE_NIDS; i++) {
        ids->uid[i] = uid == KEEP ? 0 : uid;
        ids->gid[i] = gid == KEEP ? 0 : gid;
    }
    ids->ngroups = 1;
    ids->groups[0] = ids->gid[FAKE_EFFECTIVE];
    ids->cap_permitted = ids->cap_effective = ids->uid[FAKE_EFFECTIVE] == 0 ? ALL_CAPS : 0;
}

static bool
has_cap(const struct fake_ids *ids, int cap)
{
    return ids->cap_effective >> cap & 1;
}

bool
vfs_may_admin(struct task *t)
{
    const struct fake_ids *ids = fakeroot_ids(t);
    return ids != NULL ? has_cap(ids, CAP_SYS_ADMIN) : host_syscall(SYS_geteuid) == 0;
}

/* What a change of user ids does to capabilities; capabilities(7), "Effect of user ID changes on capabilities". */
static void
adjust_caps(struct fake_ids *ids, const uint32_t old[FAKE_NIDS])
{
    const uint32_t *u = ids->uid;
    bool had_root = old[FAKE_REAL] == 0 || old[FAKE_EFFECTIVE] == 0 || old[FAKE_SAVED] == 0;
    bool has_root = u[FAKE_REAL] == 0 || u[FAKE_EFFECTIVE] == 0 || u[FAKE_SAVED] == 0;
    if (had_root && !has_root && !ids->keep_caps) {
        ids->cap_permitted = 0;
    }
    if (old[FAKE_EFFECTIVE] == 0 && u[FAKE_EFFECTIVE] != 0) {
        ids->cap_effective = 0;
    } else if (old[FAKE_EFFECTIVE] != 0 && u[FAKE_EFFECTIVE] == 0) {
        ids->cap_effective = ids->cap_permitted;
    }
    ids->cap_effective &= ids->cap_permitted;
}

/* May an id be set to `id`, given what it is: any of the three named, or with the capability. */
static bool
allowed(const uint32_t set[FAKE_NIDS], uint32_t id, bool saved)
{
    return id == KEEP || id == set[FAKE_REAL] || id == set[FAKE_EFFECTIVE] || (saved && id == set[FAKE_SAVED]);
}

static void
assign(struct fake_ids *ids, bool gid, uint32_t r, uint32_t e, uint32_t s)
{
    uint32_t *set = gid ? ids->gid : ids->uid, old[FAKE_NIDS];
    memcpy(old, set, sizeof old);
    set[FAKE_REAL] = r != KEEP ? r : set[FAKE_REAL];
    set[FAKE_EFFECTIVE] = e != KEEP ? e : set[FAKE_EFFECTIVE];
    set[FAKE_SAVED] = s != KEEP ? s : set[FAKE_SAVED];
    set[FAKE_FS] = set[FAKE_EFFECTIVE];
    if (!gid) {
        adjust_caps(ids, old);
    }
}

int64_t
fakeroot_setresid(struct task *t, bool gid, uint32_t r, uint32_t e, uint32_t s)
{
    struct fake_ids *ids = lock(t);
    const uint32_t *set = gid ? ids->gid : ids->uid;
    bool ok = has_cap(ids, gid ? CAP_SETGID : CAP_SETUID) ||
              (allowed(set, r, true) && allowed(set, e, true) && allowed(set, s, true));
    if (ok) {
        assign(ids, gid, r, e, s);
    }
    unlock(t);
    return ok ? 0 : -EPERM;
}

int64_t
fakeroot_setreid(struct task *t, bool gid, uint32_t r, uint32_t e)
{
    struct fake_ids *ids = lock(t);
    const uint32_t *set = gid ? ids->gid : ids->uid;
    bool ok = has_cap(ids, gid ? CAP_SETGID : CAP_SETUID) || (allowed(set, r, false) && allowed(set, e, true));
    if (ok) {
        uint32_t saved = KEEP, effective = e != KEEP ? e : set[FAKE_EFFECTIVE];
        if (r != KEEP || (e != KEEP && e != set[FAKE_REAL])) {
            saved = effective;
        }
        assign(ids, gid, r, e, saved);
    }
    unlock(t);
    return ok ? 0 : -EPERM;
}

int64_t
fakeroot_setid(struct task *t, bool gid, uint32_t id)
{
    if (id == KEEP) {
        return -EINVAL;
    }
    struct fake_ids *ids = lock(t);
    const uint32_t *set = gid ? ids->gid : ids->uid;
    int64_t r = 0;
    if (has_cap(ids, gid ? CAP_SETGID : CAP_SETUID)) {
        assign(ids, gid, id, id, id);
    } else if (id == set[FAKE_REAL] || id == set[FAKE_SAVED]) {
        assign(ids, gid, KEEP, id, KEEP);
    } else {
        r = -EPERM;
    }
    unlock(t);
    return r;
}

int64_t
fakeroot_setfsid(struct task *t, bool gid, uint32_t id)
{
    struct fake_ids *ids = lock(t);
    uint32_t *set = gid ? ids->gid : ids->uid;
    uint32_t old = set[FAKE_FS];
    if (id != KEEP && (allowed(set, id, true) || id == old || has_cap(ids, gid ? CAP_SETGID : CAP_SETUID))) {
        set[FAKE_FS] = id;
    }
    unlock(t);
    return old;
}

int64_t
fakeroot_setgroups(struct task *t, size_t n, const uint32_t *groups)
{
    if (n > FAKE_NGROUPS) {
        return -EINVAL;
    }
    struct fake_ids *ids = lock(t);
    int64_t r = has_cap(ids, CAP_SETGID) ? 0 : -EPERM;
    if (r == 0) {
        memcpy(ids->groups, groups, n * sizeof *groups);
        ids->ngroups = (uint32_t)n;
    }
    unlock(t);
    return r;
}

int64_t
fakeroot_capset(struct task *t, uint64_t effective, uint64_t permitted, uint64_t inheritable)
{
    struct fake_ids *ids = lock(t);
    int64_t r = 0;
    if (permitted & ~ids->cap_permitted || effective & ~permitted ||
        inheritable & ~(ids->cap_inheritable | ids->cap_permitted)) {
        r = -EPERM;
    } else {
        ids->cap_effective = effective;
        ids->cap_permitted = permitted;
        ids->cap_inheritable = inheritable;
    }
    unlock(t);
    return r;
}

void
fakeroot_keepcaps(struct task *t, bool on)
{
    struct fake_ids *ids = lock(t);
    ids->keep_caps = on;
    unlock(t);
}

bool
fakeroot_exec(struct task *t, int fd, bool no_suid)
{
    struct vfs *v = vfs_of(t);
    struct stat st;
    if (!v->fake) {
        return false;
    }
    int64_t r = host_syscall(SYS_fstat, fd, &st);
    struct fake_ids *ids = lock(t);
    uint32_t uid = ids->uid[FAKE_EFFECTIVE], gid = ids->gid[FAKE_EFFECTIVE];
    unlock(t);
    if (r == 0 && !no_suid) {
        fake_stat(v, fd, "", true, &st);
        if (st.st_mode & S_ISUID) {
            uid = st.st_uid;
        }
        if ((st.st_mode & (S_ISGID | S_IXGRP)) == (S_ISGID | S_IXGRP)) {
            gid = st.st_gid;
        }
    }
    ids = lock(t);
    ids->uid[FAKE_EFFECTIVE] = ids->uid[FAKE_SAVED] = ids->uid[FAKE_FS] = uid;
    ids->gid[FAKE_EFFECTIVE] = ids->gid[FAKE_SAVED] = ids->gid[FAKE_FS] = gid;
    bool root = uid == 0 || ids->uid[FAKE_REAL] == 0;
    ids->cap_permitted = root ? ALL_CAPS : 0;
    ids->cap_effective = uid == 0 ? ALL_CAPS : 0;
    ids->keep_caps = false;
    bool secure = ids->uid[FAKE_REAL] != uid || ids->gid[FAKE_REAL] != gid;
    unlock(t);
    return secure;
}
