/*
 * task.h - what the process VM knows of a guest process and of each of its threads
 *
 * One host process per guest process, one host thread per guest thread (`struct task`); tasks that share an address
 * space share one `struct process`. A vfork child is a host process that shares memory with its parent: it has a task of
 * its own and, until it executes or exits, its parent's `struct process`.
 *
 * Signals. All 64 are the guest's. The host kernel keeps disposition, mask, queue and order; doppel adds only the switch to
 * the guest's handler:
 *
 *   - A guest handler is installed on the host as ours (host_signal), with all signals masked while it runs, and with
 *     SA_RESTART exactly if the guest asked for it. SIG_DFL and SIG_IGN are installed as they are.
 *   - The host mask of a task is the guest's mask, except SIGSEGV, SIGBUS, SIGILL, SIGTRAP, which are never blocked on the
 *     host; `sync_mask` is the guest's view of those.
 *   - host_signal() stores the siginfo in `sig` (one slot), sets hart.attention, and returns with every signal blocked
 *     (by editing uc_sigmask; the mask found there is the guest's, kept in sig.old_mask). So at most one signal has been
 *     taken from the kernel's queue and not been delivered, and order and counts stay the kernel's.
 *   - The run loop sees EXIT_ATTENTION (or a system call that returns), builds the guest's frame, and sets the host
 *     mask to what the guest's handler must have: the next one may come.
 *   - A blocking call goes through host_syscall_restartable(); host_signal() recognises its code range, see host.h.
 *   - Faults of guest code come back from engine_run as exits and become signals there (force_signal).
 */
#ifndef DOPPEL_TASK_H
#define DOPPEL_TASK_H

#include "engine/engine.h"
#include "process/gmem.h"
#include "process/host.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define GUEST_NSIG 64

/* The kernel's sigset for 64 signals: signal n is bit n - 1. Not libc's sigset_t, which is larger. */
typedef uint64_t sigset64;
#define SIG_BIT(n) (UINT64_C(1) << ((n) - 1))

/* struct sigaction as riscv64 Linux has it (no sa_restorer). */
struct guest_sigaction {
    uint64_t handler; /* 0 SIG_DFL, 1 SIG_IGN */
    uint64_t flags;
    sigset64 mask;
};

/* stack_t as riscv64 Linux has it. */
struct guest_stack {
    uint64_t sp;
    int32_t flags;
    uint64_t size;
};

struct map;   /* map.h: the guest's view of its address space */
struct vfs;   /* vfs.h: which files it sees */

/* What the command line asked for, except what only vfs.h needs; read-only once the guest runs, but for the numbers of descriptors; inherited across execve. */
struct run_options {
    enum engine_kind engine;
    struct engine_tuning tuning;
    ext_set exts;
    uint64_t guest_base;
    bool strace, verbose, stats;
    bool host_root; /* without --root: programs of the host's machine run natively */
    uint8_t dump_state; /* at the end: 0 no, 1 as text, 2 as JSON */
    bool secure; /* AT_SECURE: environment and options of the user's do not count */
    uint64_t stack_bytes; /* 0: RLIMIT_STACK */
    const char *sysroot;  /* -L; NULL without */
    const char *uname_release; /* what uname shows; never NULL */
    int log_fd;           /* where --strace and --verbose write: the stderr of the start, among the monitor's descriptors */
    int cache_fd;         /* the folder of kept translations, one of the monitor's descriptors; or -1 */
    int prof_svg_fd, prof_json_fd; /* doppel prof: where its report goes, among the monitor's descriptors; or -1 */
    unsigned prof_top;    /* … and how many rows of each table */
    int gdb_fd;           /* the connection to a debugger, among the monitor's descriptors; or -1 */
    int self_fd;          /* doppel's own executable, O_PATH, for execve; or -1 */
};

/* What rt_sigaction has set. The threads of a process share it; a child of fork or vfork has a copy. */
struct sighand {
    pthread_mutex_t lock; /* covers what follows */
    struct guest_sigaction actions[GUEST_NSIG + 1];
    sigset64 unasked; /* the host has SIG_DFL or SIG_IGN, and has not been asked which: `actions` says SIG_DFL */
};

struct process {
    struct run_options *opt;
    struct engine *engine; /* own */
    void *engine_place;    /* own: the first task is beside the engine */
    struct map *map;       /* own */
    struct vfs *vfs;       /* own */
    uint64_t nofile, nofile_max; /* RLIMIT_NOFILE, soft and hard, as the guest has set it; the host's is ours */
    atomic_bool nofile_near;     /* the highest number that it allows is or was in use: there may be no room */
    int first_pid;         /* the host process that the command line started; 0 after an execve */

    /* set by exec */
    char exe_path[4096]; /* as the guest sees it: what /proc/self/exe shows */
    gva_t brk_start, brk_end;
    gva_t vdso, vdso_sigreturn; /* base; address of __vdso_rt_sigreturn */
    gva_t arg_start, arg_end, env_start, env_end, auxv_start, auxv_end; /* on the guest's stack */
    gva_t stack_top;

    struct debug *debug;   /* own: debug.c's; NULL without a debugger */
    struct sighand sighand; /* each task's own pointer says which one counts for it */

    pthread_mutex_t tasks_lock; /* covers: tasks and each task's next; ended */
    struct task *tasks;
    struct thread *ended; /* own: thread.c's, for threads to come; the oldest first */
    unsigned n_ended;
    bool had_threads;     /* libc has made some, here or before a fork */
};

/* The one signal that has been taken from the host's queue and not yet been given to the guest. */
struct taken_signal {
    bool present;
    siginfo_t info;    /* raw, 128 bytes: the same layout on riscv64 */
    sigset64 old_mask; /* the guest's mask when it came */
};

/* SIGILL, SIGTRAP, SIGBUS, SIGSEGV that somebody sent: held until the guest's mask lets them through. */
struct held_signal {
    bool pending;
    siginfo_t info;
};
enum { HELD_MAX = 4 };

/* debug.c's; its lock's, but for the thread's own. */
struct task_debug {
    bool counted, resting; /* executes, as far as others know; sleeps in a system call */
    uint8_t action;        /* enum gdb_action */
    int signal;            /* to be given to it when it goes on; <= 0: none */
    bool apart;            /* the thread's own, as what follows: of a child that is not debugged */
    bool done;             /* a step is done, and nobody has heard of it */
    bool at_ecall;         /* … will be, when pc is another than `ecall` */
    gva_t ecall;
    sigset64 given;        /* by the debugger: it need not be asked */
};

struct task {
    struct hart hart;
    struct process *proc; /* ref */
    struct task *next;
    int tid;
    bool leader;  /* its host thread is the first of its host process, and ends by a raw exit */
    bool exiting; /* leave the run loop: the thread ends with exit_code */
    int exit_code;

    /* signals: this thread and its own handler only */
    struct sighand *sighand; /* ref: proc's; a vfork child's own */
    volatile struct taken_signal sig;
    volatile struct held_signal held[HELD_MAX];
    sigset64 sync_mask;             /* guest's blocking of SIGSEGV, SIGBUS, SIGILL, SIGTRAP */
    sigset64 temp_mask;             /* the mask that ppoll, sigsuspend, … asked for */
    bool temp_mask_set;
    struct guest_stack altstack;
    struct task_debug debug;

    void *exec_work; /* own: what an execve in progress works with; a vfork child that is gone leaves it to its maker */

    gva_t clear_child_tid; /* 0 none */
    gva_t robust_list;     /* head, as set_robust_list(2) was told */
    uint64_t syscall_pc;   /* of the ecall in progress, for --strace and reports */
    uint64_t syscall_args[6];
    int64_t syscall_nr; /* -1 outside a system call */
};

/* The task of this host thread; NULL before the first. Safe in signal handlers (initial-exec TLS). */
extern __thread struct task *current_task;

/*
 * A host system call that may block; see host.h for what it promises. May return -HOST_ERESTART, which the caller hands
 * up unchanged.
 */
static inline int64_t
host_syscall_restartable6(struct task *t, long nr, uint64_t a, uint64_t b, uint64_t c, uint64_t d, uint64_t e,
                          uint64_t f)
{
    const uint64_t args[6] = {a, b, c, d, e, f};
    return host_syscall_asm(&t->hart.attention, nr, args);
}
#define HOST_SYSCALL_R7(t, nr, a, b, c, d, e, f, ...)                                                   \
    host_syscall_restartable6(t, nr, (uint64_t)(a), (uint64_t)(b), (uint64_t)(c), (uint64_t)(d), (uint64_t)(e), \
                              (uint64_t)(f))
#define host_syscall_restartable(t, ...) HOST_SYSCALL_R7(t, __VA_ARGS__, 0, 0, 0, 0, 0, 0, 0)

/*
 * One guest system call: a[0..5] are a0..a5; the result goes to a0, -errno on failure. Rows are in syscall.def; each
 * sys_NAME has this shape.
 */
typedef int64_t syscall_fn(struct task *t, const uint64_t a[6]);

/* sys_futex.c: the process is about to end: who waits for its threads' robust locks learns of it, where the kernel cannot tell. */
void robust_exit_all(struct task *t);

/* exec.c: frees t->exec_work. */
void exec_work_free(struct task *t);

/* signal.c */
void signals_init(struct process *p, struct task *first); /* at start and so after execve: before the first task runs */
void signals_report_all(struct task *t); /* those that end the process by default are taken, as others wait for them */
int signals_thread_init(void *alt_stack, size_t size); /* each host thread, before its task runs */
void signal_deliver(struct task *t); /* hart.attention was seen: clear it, give the guest what has been taken */
bool signal_is_fatal(struct task *t, int sig); /* the guest would die of such a fault now */
void signal_force(struct task *t, int sig, int code, uint64_t addr); /* a fault of the guest: deliver now, or die of it */
_Noreturn void signal_die(struct task *t, int sig);   /* end the process as sig's default action does */

/*
 * Around whatever must not be interrupted by a guest's signal, or must not happen before one that has been taken already
 * has been delivered. signal_hold() blocks all; false: return -HOST_ERESTART at once, without releasing.
 */
bool signal_hold(struct task *t, sigset64 *old);
void signal_release(const sigset64 *old);

/*
 * Around the host's execve, which is called by host_syscall_restartable(): gives mask, ignored and pending signals the
 * form in which the next program's signals_init() finds them; execve_failed takes it back.
 */
void signals_before_execve(struct task *t);
void signals_execve_failed(struct task *t);

/* thread.c: after task_run() has returned. Ends the host thread of a leader; returns in any other. */
void task_exit(struct task *t);

/* run.c: the loop of one task. Returns when the thread is to end. */
void task_run(struct task *t);
struct task *task_new(struct process *p); /* of this thread; NULL without memory */
void task_init(struct task *t, struct process *p); /* from all zeros; registered in p->tasks */

#endif
