/*
 * fakeroot.h - the identity that --fake-root shows
 *
 * Without --fake-root the identity is the host's and none of this is used: fakeroot_ids() returns NULL and the caller
 * makes the host's call. With it, the guest starts as 0:0 (or as --user says) with every capability, and the calls that
 * change identity change this record only; it obeys the rules of setuid(2) and its kin. It is saved by vfs_save().
 */
#ifndef DOPPEL_FAKEROOT_H
#define DOPPEL_FAKEROOT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct task;

enum { FAKE_REAL, FAKE_EFFECTIVE, FAKE_SAVED, FAKE_FS, FAKE_NIDS };
#define FAKE_NGROUPS 64

struct fake_ids {
    uint32_t uid[FAKE_NIDS], gid[FAKE_NIDS];
    uint32_t ngroups, groups[FAKE_NGROUPS];
    uint64_t cap_effective, cap_permitted, cap_inheritable;
    bool keep_caps; /* PR_SET_KEEPCAPS */
};

/* NULL without --fake-root. The record may change under another thread's call: read members once. */
const struct fake_ids *fakeroot_ids(struct task *t);

/* Each returns 0 or -errno as the system call does; (uint32_t)-1 leaves an id as it is. `gid` chooses the kind. */
int64_t fakeroot_setresid(struct task *t, bool gid, uint32_t r, uint32_t e, uint32_t s);
int64_t fakeroot_setreid(struct task *t, bool gid, uint32_t r, uint32_t e);
int64_t fakeroot_setid(struct task *t, bool gid, uint32_t id);
int64_t fakeroot_setfsid(struct task *t, bool gid, uint32_t id); /* the previous one */
int64_t fakeroot_setgroups(struct task *t, size_t n, const uint32_t *groups);
int64_t fakeroot_capset(struct task *t, uint64_t effective, uint64_t permitted, uint64_t inheritable);
void fakeroot_keepcaps(struct task *t, bool on);

/*
 * At execve: what set-user-ID and set-group-ID bits of the open program fd, as remembered, and the rules for
 * capabilities do to the identity. `no_suid`: PR_SET_NO_NEW_PRIVS, or a script. Returns true if AT_SECURE is to be set.
 */
bool fakeroot_exec(struct task *t, int fd, bool no_suid);

#endif
