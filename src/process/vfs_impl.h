/*
 * vfs_impl.h - what the files of vfs share: the view, its mounts, and a resolved path
 */
#ifndef DOPPEL_VFS_IMPL_H
#define DOPPEL_VFS_IMPL_H

#include "process/fakeroot.h"
#include "process/procfs.h"
#include "process/vfs.h"

#include <fcntl.h>
#include <limits.h>
#include <stdatomic.h>
#include <string.h>

enum vfs_view { VIEW_NONE, VIEW_KERNEL, VIEW_USER };

#define PROC_PATH_MAX 64 /* "/proc/self/fd/N" and the like */

struct vfs {
    enum vfs_view view;
    int top; /* first descriptor number of ours */
    char sysroot[PATH_MAX]; /* "" without */
};

/*
 * A resolved path: what the *at call is to be made on. `direct`: the host kernel resolves the guest's own string, and
 * `flags` says whether it follows a last symbolic link. Else `name` is one component of `dir` that was no symbolic link
 * (or is one that is not to be followed), or "", and then `dir` is the object itself.
 */
struct vfs_at {
    int dir;
    const char *name; /* into: the guest's path, or buf */
    int flags;        /* AT_SYMLINK_NOFOLLOW, AT_EMPTY_PATH: what name asks for */
    bool direct;
    bool own;       /* dir is to be closed */
    bool read_only; /* in a read-only bind */
    char buf[PATH_MAX];
};

/* How a path is meant. */
enum {
    RESOLVE_FOLLOW = 1, /* a last symbolic link is followed */
    RESOLVE_ENTRY = 2,  /* the last component is a name to be made, moved or removed; it is not looked at */
    RESOLVE_CREATE = 4, /* with FOLLOW: what the last one leads to need not exist */
    RESOLVE_READ = 8,   /* the file is only read or examined: SYSROOT counts */
};

/* 0 and *at, to be given back with vfs_at_done(); or -errno. */
int vfs_resolve(struct task *t, int dirfd, const char *path, unsigned how, struct vfs_at *at);
void vfs_at_done(struct vfs_at *at);

/*
 * A host path for a call that takes no descriptor. `follow` as the call does it. The string is in buf, or at's own.
 */
int vfs_at_path(struct vfs_at *at, bool follow, const char **path, char buf[PATH_MAX]);

static inline unsigned
resolve_how(int at_flags)
{
    return (at_flags & AT_SYMLINK_NOFOLLOW ? 0 : RESOLVE_FOLLOW) | RESOLVE_READ;
}

#endif
