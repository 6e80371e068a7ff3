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

/* Numbers of the monitor's descriptors that other guest processes look for: from vfs_fd_edge() on. */
enum { OWN_FD_EXE, OWN_FD_FIRST };

enum mount_kind { MOUNT_BIND, MOUNT_PROC, MOUNT_TMPFS };

#define VFS_MOUNTS_MAX 128

/*
 * The table of mounts that the user view keeps (in the others it is empty). All processes of a run see one table,
 * as those of a mount namespace do: it is a memfd that they map. The place of a mount is a name in a directory, whether or
 * not there is such an entry. Entries are written before they are live. Descriptors are each process's own (struct vfs).
 */
struct vfs_mount {
    _Atomic uint32_t state; /* enum mount_state */
    bool read_only, is_dir;
    enum mount_kind kind;
    uint64_t place_dev, place_ino; /* the directory that holds the place */
    uint64_t dev, ino;             /* what is mounted */
    char name[NAME_MAX + 1];       /* of the place */
    char guest[PATH_MAX];          /* path of the place, from the true root */
    char place[PATH_MAX];          /* host path of the directory that holds it */
    char host[PATH_MAX];           /* host path of what is mounted; "" for / */
};
enum mount_state { MOUNT_FREE, MOUNT_CHANGING, MOUNT_LIVE, MOUNT_DEAD };

struct mount_table {
    _Atomic uint32_t n;          /* entries in use, live or dead */
    atomic_bool any_read_only;   /* directory */
    _Atomic uint64_t names;      /* bit name_bit(name) of each */
    struct vfs_mount m[VFS_MOUNTS_MAX];
};

static inline bool
mount_is_live(const struct vfs_mount *m)
{
    return atomic_load(&m->state) == MOUNT_LIVE;
}

static inline unsigned
mount_count(const struct mount_table *t)
{
    unsigned n = atomic_load(&t->n);
    return n < VFS_MOUNTS_MAX ? n : VFS_MOUNTS_MAX;
}

struct vfs {
    enum vfs_view view;

    /* Descriptor numbers: vfs_fd.c */
    int top;       /* the guest's are below */
    int edge;      /* ours are from here on: top, or VFS_FD_LOW */
    int own_end;   /* … and below this */
    int own_max;   /* how many they may be */
    atomic_bool far; /* the guest has, or had, one from VFS_FD_NEAR on */

    char sysroot[PATH_MAX]; /* "" without */

    /* The guest's root: the true one, or since chroot(2) a directory in it. Descriptors are own, O_PATH. */
    int true_root, root;
    uint64_t root_dev, root_ino;
    char true_root_host[PATH_MAX]; /* "" for / */
    char root_guest[PATH_MAX];     /* "" for the true root */

    uint64_t proc_dev; /* 0: no procfs */
    bool published;    /* the host kernel knows the guest's arguments and environment */

    struct mount_table *table; /* own: a mapping */
    int table_fd;              /* own: its memfd; 0: the table is this process's alone */
    /* Own, opened when they are first needed; 0: not yet. They are looked at before use: a vfork child writes here too. */
    _Atomic int mount_fd[VFS_MOUNTS_MAX], place_fd[VFS_MOUNTS_MAX];

    /* --fake-root */
    bool fake;
    atomic_flag fake_lock; /* covers: changes of ids */
    struct fake_ids ids;
    uint32_t host_uid, host_gid;
    bool no_getxattrat;  /* the host kernel is older than 6.13 */
    int owners_fd;       /* own: the side file; 0: none */
    struct slot *owners; /* own: its mapping; NULL: none */

    int scratch; /* own: lock of the scratch directory; 0: none yet */
    char scratch_path[PATH_MAX];
};

/* What procfs.c makes of a file of /proc. */
enum proc_node {
    PROC_PLAIN, /* the host's */
    PROC_HIDDEN,
    /* links, which lead to an object and not along a path */
    PROC_EXE,
    PROC_CWD,
    PROC_ROOT,
    PROC_FD,
    PROC_MAGIC, /* as the host has it */
    /* files */
    PROC_MAPS,
    PROC_SMAPS,
    PROC_CMDLINE,
    PROC_ENVIRON,
    PROC_AUXV,
    PROC_STATUS,
    PROC_MOUNTS,
    PROC_MOUNTINFO,
    PROC_CPUINFO,
    PROC_LIMITS,
    PROC_SYSCALL,
    PROC_VERSION,
    PROC_OSRELEASE,
    PROC_OSVERSION,
};

#define PROC_OWN (-1) /* for the number of a process: this one, or a thread of it */

#define PROC_MAGIC_NUMBER 0x9fa0 /* statfs(2) */
#define PROC_ROOT_INO     1

static inline bool
proc_node_is_link(enum proc_node n)
{
    return n >= PROC_EXE && n <= PROC_MAGIC;
}

static inline bool
proc_node_is_file(enum proc_node n)
{
    return n >= PROC_MAPS;
}

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
    bool busy;      /* an ENTRY that is a mount's place */
    enum proc_node node;
    int pid; /* whose node: PROC_OWN, or a number */
    char buf[PATH_MAX];
};

/* How a path is meant. */
enum {
    RESOLVE_FOLLOW = 1, /* a last symbolic link is followed */
    RESOLVE_ENTRY = 2,  /* the last component is a name to be made, moved or removed; it is not looked at */
    RESOLVE_CREATE = 4, /* with FOLLOW: what the last one leads to need not exist */
    RESOLVE_READ = 8,   /* the file is only read or examined: SYSROOT counts */
    RESOLVE_NOLINKS = 16, /* any symbolic link: ELOOP */
    RESOLVE_UNCHECKED = 32, /* with FOLLOW: the last may be a link all the same; the caller's call will show it */
};

/* vfs_fd.c: at the start, before there is a descriptor of ours, or when they have been loaded. And: edge has changed. */
int vfs_fd_start(struct vfs *v, struct err *e);
void vfs_fd_renumber(struct vfs *v);

/* vfs.c: what both a new view and a loaded one have to find out. */
int vfs_start(struct vfs *v, struct err *e);

/* 0 and *at, to be given back with vfs_at_done(); or -errno. */
int vfs_resolve(struct task *t, int dirfd, const char *path, unsigned how, struct vfs_at *at);
void vfs_at_done(struct vfs_at *at);

/*
 * A host path for a call that takes no descriptor. `follow` as the call does it. The string is in buf, or at's own.
 */
int vfs_at_path(struct vfs_at *at, bool follow, const char **path, char buf[PATH_MAX]);

/* vfs_walk.c: resolution by ourselves. As vfs_resolve(); `t` may be NULL while the view is being made. */
int vfs_walk(struct vfs *v, int dirfd, const char *path, unsigned how, struct vfs_at *at);

/* The user view's short way to open an absolute path, without O_CREAT: true and *result, or the walk has to be taken. */
bool vfs_open_plain(struct task *t, const char *path, int flags, int64_t *result);

/* vfs_mount.c */
struct stat;
/* The mount on `name` in the directory st describes, or NULL. */
const struct vfs_mount *vfs_mount_at(const struct vfs *v, const struct stat *dir, const char *name);
/* The directory mount whose root is fd (described by st), or NULL. */
const struct vfs_mount *vfs_mount_root(const struct vfs *v, int fd, const struct stat *st);
bool vfs_mount_name(const struct vfs *v, const char *name, size_t len); /* some mount may have this name */
/* An O_PATH descriptor, to be borrowed, of what a directory mount shows, or of the directory of its place; or -errno. */
int vfs_mount_fd(struct vfs *v, const struct vfs_mount *m);
int vfs_mount_place_fd(struct vfs *v, const struct vfs_mount *m);
/* The empty table, shared with the processes to come or not; or the shared one that fd is. */
int vfs_mount_table_new(struct vfs *v, bool shared);
int vfs_mount_table_map(struct vfs *v, int fd);
/* Mount host directory or file `host` on guest path `guest`. -errno. */
int vfs_mount_add(struct vfs *v, enum mount_kind kind, const char *host, const char *guest, bool read_only);
/* Undo the topmost mount on guest path `guest`; change whether it is read-only. */
int vfs_mount_remove(struct vfs *v, const char *guest, bool follow);
int vfs_mount_remount(struct vfs *v, const char *guest, bool read_only);
/* What a container has: /proc, /sys, /dev, resolv.conf, hosts. */
int vfs_mount_defaults(struct vfs *v, struct err *e);
/* Devices of the host that the guest's /dev has, ended by NULL; and the rest of it, made in host directory dir. */
extern const char *const vfs_devices[];
void vfs_fill_dev(const char *dir);
/* vfs_ns.c: make true_root_host the process's root, in namespaces of our own. */
int vfs_enter_ns(struct vfs *v, const struct vfs_config *c, struct err *e);
/* A new empty directory of ours, gone some time after the last process of this run: its path. */
int vfs_scratch(struct vfs *v, const char *name, mode_t mode, char path[PATH_MAX]);
/* The mount that host path `host` lies in; NULL: the root directory, or outside of all (*inside false). */
const struct vfs_mount *vfs_mount_of(const struct vfs *v, const char *host, bool *inside);
/* fd (or AT_FDCWD) lies in the root or a mount. */
bool vfs_inside(const struct vfs *v, int fd);
bool vfs_read_only(const struct vfs *v, int fd);
/* Host path of an open file; the length, or -errno. */
int vfs_host_path(int fd, char buf[PATH_MAX]);
/* What the guest calls host path `host`; false if it cannot see it. */
bool vfs_guest_path(const struct vfs *v, const char *host, char buf[PATH_MAX]);

/* fakeroot.c, fake_owner.c; all but init and open_table with v->fake only */
struct statx;
void fakeroot_init(struct vfs *v, uint32_t uid, uint32_t gid);
void fake_open_table(struct vfs *v);
int fake_map_table(struct vfs *v);
void fake_unmap_table(struct vfs *v);
/* What the host says of (dir, name), or of dir where name is "", becomes what the guest sees. */
void fake_stat(struct vfs *v, int dir, const char *name, bool follow, struct stat *st);
void fake_statx(struct vfs *v, int dir, const char *name, bool follow, struct statx *stx);
int64_t fake_chown(struct vfs *v, int dir, const char *name, bool follow, uint32_t uid, uint32_t gid);
int64_t fake_chmod(struct vfs *v, int dir, const char *name, bool follow, mode_t mode);
/* A new file: the mode it gets on the host; whether fake_created() must be called then. */
mode_t fake_host_mode(mode_t type, mode_t mode);
bool fake_new_needs_record(const struct vfs *v, mode_t type, mode_t mode);
void fake_created(struct vfs *v, int dir, const char *name, mode_t mode, unsigned rdev);
/*
 * How an id of the host is shown of which nothing is remembered: the user's `own` as 0; other users' (not the guest's, whatever
 * its number) as nobody's, unless the user is root, to whom the host's owners are real.
 */
uint32_t fake_foreign_id(uint32_t id, uint32_t own);
bool fake_is_private_xattr(const char *name);

/* procfs.c */
bool procfs_name(const char *name); /* some directory of /proc may have a file of this name that is not the host's */
/* fd, which st describes, is in a procfs. */
bool procfs_holds(const struct vfs *v, int fd, const struct stat *st);
/* What `name` in directory dirfd of procfs is. */
enum proc_node procfs_classify(const struct vfs *v, int dirfd, const char *name, int *pid);
/* An O_PATH descriptor for what a link leads to. */
int64_t procfs_follow(struct vfs *v, int dirfd, const char *name, enum proc_node node, int pid);
int64_t procfs_readlink(struct task *t, const struct vfs_at *at, char *buf, size_t cap);
/* The first number that is the monitor's in process `pid`, PROC_OWN or another. */
int procfs_fd_edge(const struct vfs *v, int pid);
/* Cut from getdents64 records of fd what shows descriptors of ours, or is hidden; the new length. */
int64_t procfs_hide_entries(const struct vfs *v, int fd, char *buf, int64_t n);
int64_t procfs_open(struct task *t, const struct vfs_at *at, int flags);
/*
 * The host has opened fd for reading, by whatever way: if it is a file of /proc that shows the monitor, what the guest shall
 * see takes its number. fd, or -errno, and then it is closed.
 */
int64_t procfs_opened(struct task *t, int fd, int flags);

static inline unsigned
name_bit(const char *name, size_t len)
{
    return ((unsigned char)name[0] * 5U + (unsigned char)name[len - 1] * 3U + (unsigned)len) % 64;
}

static inline unsigned
resolve_how(int at_flags)
{
    return (at_flags & AT_SYMLINK_NOFOLLOW ? 0 : RESOLVE_FOLLOW) | RESOLVE_READ;
}

#endif
