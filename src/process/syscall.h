/*
 * syscall.h - the table of system calls and what is done with a row of it
 *
 * syscall.def has the rows, syscall_args.def the kinds of arguments. A call of ours is a function sys_NAME in one of
 * sys_*.c: it gets the six argument registers as they are, converts and checks what they point to (gmem.h), and returns
 * what the kernel would. It may return -HOST_ERESTART (host.h), and sets t->exiting to end the thread.
 */
#ifndef DOPPEL_SYSCALL_H
#define DOPPEL_SYSCALL_H

#include "process/task.h"

struct iovec;

enum arg_kind {
#define VAL(kind)  ARG_##kind,
#define FLAG(kind) ARG_##kind,
#define IN(kind)   ARG_##kind,
#define OUT(kind)  ARG_##kind,
#include "process/syscall_args.def"
#undef VAL
#undef FLAG
#undef IN
#undef OUT
    ARG_COUNT,
};

enum arg_class { ARG_CLASS_VAL, ARG_CLASS_FLAG, ARG_CLASS_IN, ARG_CLASS_OUT };
extern const uint8_t arg_classes[ARG_COUNT]; /* enum arg_class */

enum syscall_how { SYSCALL_NOSYS, SYSCALL_DO, SYSCALL_PASS, SYSCALL_PASSB };

/* Whence translated code may have it executed: see engine.h, ecall_brief and ecall. */
enum syscall_where { SYSCALL_INSIDE, SYSCALL_BRIEF, SYSCALL_OUTSIDE };

struct syscall_row {
    const char *name; /* NULL: no such number */
    syscall_fn *fn;   /* never NULL where name is not */
    int16_t host_nr;  /* SYSCALL_PASS, SYSCALL_PASSB */
    uint8_t how;      /* enum syscall_how */
    uint8_t where;    /* enum syscall_where */
    bool makes_fd;    /* the result is a new descriptor */
    uint8_t nargs;
    uint8_t args[6]; /* enum arg_kind */
};

/*
 * Make the host's arguments of the guest's, for a call that passes to the host. iov[IOV_MAX] is where a vector goes, NULL where there is none. 0,
 * or the error that the call shall have.
 */
int64_t syscall_convert(struct task *t, const struct syscall_row *row, const uint64_t a[6], uint64_t out[6],
                        struct iovec *iov);

/* The row of a number; NULL if it has none. */
const struct syscall_row *syscall_find(uint64_t nr);

/*
 * Execute the ecall that t->hart.pc points to: a7 is the number, a0..a5 the arguments. On return a0 holds the result and
 * pc is behind the ecall; or, after -HOST_ERESTART, nothing has changed and the ecall is to be executed again.
 */
void syscall_execute(struct task *t);

/* The same from inside of engine_run, for the translator: engine.h, ecall_brief and ecall. */
bool syscall_brief(struct hart *h);
bool syscall_inside(struct hart *h);

/* --strace: one line, after the call; `ret` as the guest gets it. Calls that do not return are shown before (done false). */
void strace_call(struct task *t, const struct syscall_row *row, const uint64_t a[6], int64_t ret, bool done);


/*
 * Copies of the guest's iovecs at `from`, with host addresses, into out[count]. The kernel's own check of an address knows
 * the host's address space only, so each range is held against the guest's here. 0, -EFAULT, -EINVAL as Linux.
 */
int64_t syscall_iovec(struct iovec *out, gva_t from, uint64_t count);

/* --strace: a signal is about to be given to the guest, or to do what it does by default. */
void strace_signal(struct task *t, const siginfo_t *info);

/* For --strace: what is at `a`, as text in out[cap]. False if that cannot be read. */
bool strace_sockaddr(char *out, size_t cap, gva_t a, uint64_t len);
bool strace_msghdr(char *out, size_t cap, gva_t a);

/*
 * The guest's RLIMIT_NOFILE, which the host does not know: the monitor's descriptors lie above it. Before a call that makes
 * a descriptor: is there room for one? After it: r, or -EMFILE if there was none and what has been made is closed again.
 */
bool fd_room(struct task *t);
int64_t fd_made(struct task *t, int64_t r);
int64_t fd_pair(struct task *t, int64_t r, const int fds[2], gva_t to); /* for two, to be written to the guest */
uint64_t fd_limit(const struct task *t); /* numbers are below this */

/*
 * The monitor's descriptors out of the way, see vfs_fd.c: before somebody else may use the table of descriptors, or before a call that might show
 * them; and once the guest has, or is about to have, numbers from VFS_FD_NEAR on. 0, or -errno, and then nothing has changed.
 */
int fds_apart(struct task *t);
int fds_far(struct task *t);
/* They have moved: what the process knows of them. And in the parent, after a vfork. */
struct vfs;
void fds_renumber(struct run_options *o, const struct vfs *v);
void fds_moved(struct task *t);
void fd_limit_changed(struct task *t);   /* also at a program's start */

/* What getrlimit and uname say, for /proc. */
struct rlimit;
struct utsname;
int64_t limit_get(struct task *t, unsigned res, struct rlimit *rl);
int64_t uname_get(const struct task *t, struct utsname *u);

/* Every function of ours that a row may name. */
#define SYS(nr, name, ...) syscall_fn sys_##name;
#include "process/syscall.def"
#undef SYS

#endif
