/*
 * vfs.h - which files the guest sees
 *
 * Every system call of a guest that names a file goes through one of the functions below. Each takes the guest's own
 * numbers (dirfd, flags: riscv64 and x86-64 share all of them) and strings that are already in monitor memory, performs
 * the call on the host, and returns what the kernel would: a value, or -errno. Structures are the host's (struct stat,
 * struct statfs, …); the caller converts. Only raw system calls are made (host.h).
 *
 * Three views, one interface:
 *
 *   none     without --root: the host's files; where SYSROOT/path exists for an absolute path that is opened for
 *            reading, executed or examined, that is taken instead (qemu-user's -L)
 *   kernel   --root in a mount namespace of our own: the host kernel resolves every path
 *   user     --root without any privilege: vfs_walk.c resolves, component by component, from the true root
 *
 * In all of them the guest's current directory is the host process's, so that fork, vfork, threads and execve treat it
 * as Linux does. /proc shows the guest (procfs.h) and, if asked, owners and modes are what fakeroot.h remembers.
 *
 * Descriptors. The monitor's own ones have the numbers from vfs_fd_edge() up, which is vfs_fd_top() or, while the guest's
 * numbers are small, VFS_FD_LOW; the guest's RLIMIT_NOFILE must be shown as no more than vfs_fd_top(). A descriptor that a guest
 * names passes vfs_fd_ok() first: it may neither use nor close ours.
 *
 * Threads: any. State that changes (mounts, root, fake identity) is under a lock of its own.
 * Trust: paths, flags and names are the guest's.
 */
#ifndef DOPPEL_VFS_H
#define DOPPEL_VFS_H

#include "base/err.h"
#include "process/fakeroot.h"
#include "process/task.h"

#include <errno.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/types.h>

struct iovec;
struct open_how;
struct statfs;
struct statx;
struct timespec;

enum vfs_backend { VFS_AUTO, VFS_KERNEL, VFS_USER };

struct vfs_bind {
    const char *host, *guest;
    bool read_only;
};

/* What the command line asked for. Strings are copied. */
struct vfs_config {
    const char *root;    /* host directory; NULL without --root */
    const char *sysroot; /* -L; NULL without */
    const char *cwd;     /* guest path; NULL: the host's own, or / where that is outside of the root */
    const struct vfs_bind *binds;
    size_t nbinds;
    enum vfs_backend backend; /* with root */
    bool fake_root;
    uint32_t uid, gid; /* of --user; (uint32_t)-1 without */
    bool fds_high;     /* descriptors of ours stay at the top: somebody keeps some that vfs does not know */
};

/*
 * Make the guest's view. Once, before the first guest program, while the process has one thread (the kernel back end
 * enters name spaces). 0 and *out, or -errno with e set.
 */
int vfs_new(struct vfs **out, const struct vfs_config *c, struct err *e);
void vfs_free(struct vfs *v);

/*
 * State across a re-execution of doppel. vfs_save() writes text without NUL bytes or newlines into buf[cap], and lets
 * the monitor's descriptors survive the execve; it returns the length, or -ENAMETOOLONG. vfs_save_undo() is for an
 * execve that failed. vfs_load() replaces vfs_new().
 */
int64_t vfs_save(struct vfs *v, char *buf, size_t cap);
void vfs_save_undo(struct vfs *v);
int vfs_load(struct vfs **out, const char *state, struct err *e);

/*
 * Around a fork: no other thread is in the middle of a change. In both processes.
 * Around a vfork, in the parent: identity and root are a process's own, and the child, which shares this memory, may
 * change its. `own`: for the parent, too large for its stack.
 */
struct vfs_own {
    struct fake_ids ids;
    int root;
    int edge;
    bool far;
    uint64_t root_dev, root_ino;
    char root_guest[4096];
};
void vfs_fork_begin(struct task *t);
void vfs_fork_end(struct task *t);
void vfs_vfork_begin(struct task *t, struct vfs_own *own);
void vfs_vfork_end(struct task *t, const struct vfs_own *own);

/*
 * Numbers of descriptors; vfs_fd.c has the drawing. The guest's RLIMIT_NOFILE is at most the top; it has no number from the edge on.
 *
 * vfs_fd_raise: before the guest may get a number from VFS_FD_NEAR on, or somebody else may use the table. 0, or -errno, and then nothing
 * has changed. vfs_fd_lower: at a program's start. Whoever keeps a number of ours asks vfs_fd_number() for it after either,
 * and after a vfork in the parent.
 * vfs_fd_go_far: the guest has, or is about to have, a number from VFS_FD_NEAR on. False if that is no news.
 */
enum { VFS_FD_NEAR = 272, VFS_FD_LOW = 384 };
int vfs_fd_top(const struct vfs *v);
int vfs_fd_edge(const struct vfs *v);
int vfs_fd_raise(struct vfs *v);
void vfs_fd_lower(struct vfs *v);
int vfs_fd_number(const struct vfs *v, int fd);
bool vfs_fd_go_far(struct vfs *v);
/* The lowest number that is free, or -errno. */
int vfs_fd_lowest(const struct vfs *v);
/* The guest may name this number (it need not be open). AT_FDCWD may be named too. */
bool vfs_fd_ok(const struct vfs *v, int fd);
/* What pidfd is of has a descriptor of the monitor's under number fd. */
bool procfs_fd_is_hidden(const struct vfs *v, int pidfd, int fd);
/* Copy or move a descriptor to the monitor's numbers, close-on-exec. The new number, or -errno; moved, the old one is closed. */
int vfs_fd_own(struct vfs *v, int fd);
int vfs_fd_hide(struct vfs *v, int fd);

/*
 * Open a program (execve, execveat) or an ELF interpreter: a regular file, or -EACCES. The descriptor is the monitor's. `exe`, if not NULL, receives
 * the guest's absolute path of what was opened, as /proc/self/exe shows it.
 */
int64_t vfs_open_exec(struct task *t, int dirfd, const char *path, int flags, char exe[4096]);

int64_t vfs_openat(struct task *t, int dirfd, const char *path, int flags, mode_t mode); /* may -HOST_ERESTART */
int64_t vfs_openat2(struct task *t, int dirfd, const char *path, const struct open_how *how, size_t size);
int64_t vfs_fstatat(struct task *t, int dirfd, const char *path, struct stat *st, int flags);
int64_t vfs_fstat(struct task *t, int fd, struct stat *st);
int64_t vfs_statx(struct task *t, int dirfd, const char *path, int flags, unsigned mask, struct statx *stx);
int64_t vfs_statfs(struct task *t, const char *path, struct statfs *sf);
int64_t vfs_faccessat(struct task *t, int dirfd, const char *path, int mode, int flags); /* faccessat2's flags */
int64_t vfs_readlinkat(struct task *t, int dirfd, const char *path, char *buf, size_t cap);
int64_t vfs_mkdirat(struct task *t, int dirfd, const char *path, mode_t mode);
int64_t vfs_mknodat(struct task *t, int dirfd, const char *path, mode_t mode, unsigned dev);
int64_t vfs_unlinkat(struct task *t, int dirfd, const char *path, int flags);
int64_t vfs_renameat2(struct task *t, int olddir, const char *old, int newdir, const char *new, unsigned flags);
int64_t vfs_linkat(struct task *t, int olddir, const char *old, int newdir, const char *new, int flags);
int64_t vfs_symlinkat(struct task *t, const char *target, int newdir, const char *new);
int64_t vfs_fchmodat(struct task *t, int dirfd, const char *path, mode_t mode, int flags); /* fchmodat2's flags */
int64_t vfs_fchmod(struct task *t, int fd, mode_t mode);

/*
 * Result of a call that sets an owner or an identity, its other arguments being right: EINVAL then means an id that the
 * user namespace of the kernel view does not map. To change to it takes rights that the guest has not.
 */
static inline int64_t
vfs_id_result(int64_t r)
{
    return r == -EINVAL ? -EPERM : r;
}
int64_t vfs_fchownat(struct task *t, int dirfd, const char *path, uint32_t uid, uint32_t gid, int flags);
int64_t vfs_fchown(struct task *t, int fd, uint32_t uid, uint32_t gid);
/* path NULL: the descriptor itself, as utimensat(2) has it. ts NULL: now. */
int64_t vfs_utimensat(struct task *t, int dirfd, const char *path, const struct timespec ts[2], int flags);
int64_t vfs_truncate(struct task *t, const char *path, int64_t len);
int64_t vfs_inotify_add_watch(struct task *t, int fd, const char *path, uint32_t mask);
int64_t vfs_name_to_handle_at(struct task *t, int dirfd, const char *path, void *handle, int *mount_id, int flags);

/* Raw getdents64 records, less what the guest must not see. */
int64_t vfs_getdents64(struct task *t, int fd, void *buf, size_t len);

/*
 * Extended attributes. `path` NULL: of fd; else of path, `follow` or not. `value` and `list` are in monitor memory. What
 * the monitor keeps in attributes of its own is not to be seen.
 */
struct vfs_xattr {
    int fd;
    const char *path;
    bool follow;
};
int64_t vfs_getxattr(struct task *t, const struct vfs_xattr *x, const char *name, void *value, size_t size);
int64_t vfs_setxattr(struct task *t, const struct vfs_xattr *x, const char *name, const void *value, size_t size,
                     int flags);
int64_t vfs_listxattr(struct task *t, const struct vfs_xattr *x, char *list, size_t size);
int64_t vfs_removexattr(struct task *t, const struct vfs_xattr *x, const char *name);

int64_t vfs_chdir(struct task *t, const char *path);
int64_t vfs_fchdir(struct task *t, int fd);
int64_t vfs_getcwd(struct task *t, char *buf, size_t cap); /* length with the NUL, as the system call */
bool vfs_may_admin(struct task *t); /* the guest has CAP_SYS_ADMIN and its like, as far as it is shown */
int64_t vfs_chroot(struct task *t, const char *path);
int64_t vfs_pivot_root(struct task *t, const char *new_root, const char *put_old);
int64_t vfs_mount(struct task *t, const char *source, const char *target, const char *type, unsigned long flags,
                  const char *data);
int64_t vfs_umount2(struct task *t, const char *target, int flags);

/*
 * Socket addresses. vfs_addr_in() makes of the guest's address, for bind (`create`), connect, sendto and sendmsg, what
 * the host is to be given: for a path of AF_UNIX that is /proc/self/fd/N/name, and N must stay open until the call is
 * over, then vfs_addr_done(). Other addresses are copied. vfs_addr_out() turns what the host reports (getsockname,
 * getpeername, accept, recvfrom, recvmsg) into what the guest shall see, in place; *len is the length before and after
 * (it may exceed cap, as the kernel says it).
 */
struct vfs_addr {
    uint8_t bytes[128]; /* struct sockaddr_storage */
    uint32_t len;
    int fd;        /* own: the directory, or -1 */
    bool bound;    /* bind made a file: fake owners are to be set in done() */
};
int64_t vfs_addr_in(struct task *t, const void *addr, uint32_t len, bool create, struct vfs_addr *out);
void vfs_addr_done(struct task *t, struct vfs_addr *a, int64_t result);
void vfs_addr_out(struct task *t, void *addr, size_t cap, uint32_t *len);

static inline struct vfs *
vfs_of(const struct task *t)
{
    return t->proc->vfs;
}

#endif
