/*
 * p9_impl.h - what the files of the 9P server share: fids, and messages as they are taken apart and put together
 */
#ifndef DOPPEL_P9_IMPL_H
#define DOPPEL_P9_IMPL_H

#include "device/p9.h"

#include <sys/stat.h>

#define P9_NAME_MAX   256            /* bytes of a name, with its NUL */
#define P9_TARGET_MAX 4096           /* of a symbolic link's target, with its NUL */
#define P9_BODY_MAX   (16u << 10)    /* of a request, but for what is written */
#define P9_REPLY_MAX  (64u << 10)    /* of a reply, but for what is read */
#define P9_MSIZE_MAX  (512u << 10)   /* Linux's transport can carry no more */
#define P9_HEAD       7              /* size 4 | type 1 | tag 2 */
#define P9_XATTR_MAX  (64u << 10)
#define P9_XATTRS_MAX 64             /* attributes that are being read or written at once */
#define P9_BUCKETS    4096

enum p9_type { P9_RLERROR = 7, P9_STATFS = 8, P9_LOPEN = 12, P9_LCREATE = 14, P9_SYMLINK = 16, P9_MKNOD = 18, P9_RENAME = 20,
               P9_READLINK = 22, P9_GETATTR = 24, P9_SETATTR = 26, P9_XATTRWALK = 30, P9_XATTRCREATE = 32, P9_READDIR = 40,
               P9_FSYNC = 50, P9_LOCK = 52, P9_GETLOCK = 54, P9_LINK = 70, P9_MKDIR = 72, P9_RENAMEAT = 74, P9_UNLINKAT = 76,
               P9_VERSION = 100, P9_AUTH = 102, P9_ATTACH = 104, P9_FLUSH = 108, P9_WALK = 110, P9_READ = 116, P9_WRITE = 118,
               P9_CLUNK = 120, P9_REMOVE = 122, P9_TYPES = 128 };

/* An open descriptor, which several fids may hold. */
struct p9_file {
    int fd; /* own */
    unsigned refs;
};

/* An extended attribute that is being read, or gathered to be set when its fid is given up. */
struct p9_xattr {
    uint8_t *bytes; /* own */
    size_t size, done;
    bool writing;
    int flags;
    char name[P9_NAME_MAX];
};

struct p9_fid {
    uint32_t number, uid;
    struct p9_fid *next;     /* of its bucket */
    struct p9_file *file;    /* counted: the object, O_PATH or open */
    struct p9_file *io;      /* counted: open to read, write or list; NULL: not yet */
    struct p9_file *parent;  /* counted: the folder in which it was found; NULL: it is the root */
    char *name;              /* own: there */
    struct p9_xattr *xattr;  /* own: it stands for an attribute of `file` */
};

struct p9 {
    bool read_only;
    struct p9_file *root;    /* counted */
    int proc;                /* own: /proc/self/fd, through which an O_PATH descriptor becomes an open one */
    dev_t dev;               /* the root's */
    unsigned n_fds, max_fds; /* descriptors that fids hold, and may hold */
    unsigned n_fids;         /* bounded alike */
    unsigned n_xattrs;
    uint32_t msize;
    struct p9_fid *fids[P9_BUCKETS];
    uint8_t body[P9_BODY_MAX], reply[P9_REPLY_MAX];
};

/* A request, and its reply as far as it is made. */
struct p9_msg {
    const struct vq_chain *chain; /* ref */
    const uint8_t *at;            /* into: body; what has not been read yet */
    size_t left;
    bool bad;                     /* it ended too early, or a string does not fit */
    uint8_t *reply;               /* into: p9.reply */
    size_t n;                     /* of reply */
    uint32_t direct;              /* bytes that were put behind it already */
};

/* Each handles one type of request: 0, or the -errno that the client gets. */
typedef int p9_handler(struct p9 *p, struct p9_msg *m);
p9_handler p9_statfs, p9_symlink, p9_mknod, p9_rename, p9_readlink, p9_getattr, p9_setattr, p9_link, p9_mkdir, p9_renameat, p9_unlinkat,
    p9_remove;
p9_handler p9_lopen, p9_lcreate, p9_xattrwalk, p9_xattrcreate, p9_readdir, p9_fsync, p9_lock, p9_getlock, p9_read, p9_write;

/* Arguments; past the end 0, and m->bad. A string must be shorter than `size`, without NUL. */
uint64_t p9_get(struct p9_msg *m, unsigned bytes);
void p9_get_text(struct p9_msg *m, char *to, size_t size);

void p9_put(struct p9_msg *m, unsigned bytes, uint64_t v);
void p9_put_text(struct p9_msg *m, const char *text, size_t len);
void p9_put_qid(const struct p9 *p, struct p9_msg *m, const struct stat *st);

/* A name in a folder, and nothing else: 0 or -errno. */
int p9_check_name(const char *name);

/* The fid of that number; NULL: there is none. p9_fid_plain: that is no attribute, either. */
struct p9_fid *p9_fid_find(const struct p9 *p, uint32_t number);
struct p9_fid *p9_fid_plain(const struct p9 *p, uint32_t number);
/* A new one: 0, -EBUSY if there is one, -ENOMEM. */
int p9_fid_new(struct p9 *p, uint32_t number, struct p9_fid **f);
/* Give it up. What it had gathered as an attribute is set: 0 or -errno. */
int p9_fid_drop(struct p9 *p, struct p9_fid *f);
/* p9_files.c: set or remove the attribute that a fid has gathered. */
int p9_xattr_store(struct p9 *p, const struct p9_fid *f);

/* Take a descriptor that openat() or so has given: 0, -errno (also if fd is -1: errno's), or -EMFILE if there are too many. */
int p9_file_take(struct p9 *p, int fd, struct p9_file **file);
struct p9_file *p9_file_get(struct p9_file *file);
void p9_file_put(struct p9 *p, struct p9_file *file);

/* The object itself, without following a link: O_PATH. 0 or -errno. */
int p9_open_child(struct p9 *p, const struct p9_file *folder, const char *name, struct p9_file **file);
/* Open a regular file or a folder by its descriptor. The new descriptor or -errno. */
int p9_reopen(const struct p9 *p, const struct p9_file *file, int flags);
/* Permission bits of the object behind fd: those that would give away its owner's rights can be taken, not given. 0 or -errno. */
int p9_set_mode(const struct p9 *p, int fd, uint32_t mode);
/* What the guest has just made: owners as far as the host lets us, mode, and its qid into the reply. 0 or -errno. */
int p9_made(struct p9 *p, struct p9_msg *m, int fd, uint32_t uid, uint32_t gid, uint32_t mode);

#endif
