/*
 * exec.h - from a file's name to a running program
 *
 * A program is replaced by executing doppel again (host execve of our own file, kept open), so that the host kernel does all
 * that execve does: descriptors, threads, signals, timers, vfork, a new address space. What the new doppel must know is in
 * its argument vector, in front of the guest's:
 *
 *      EXEC_MAGIC, numbers, uname release, sysroot, exe, AT_EXECFN, the vfs's state, guest argv…   (environment: the guest's)
 *
 * so starting a program has one path: the command line makes the same struct exec_start as exec_resume() reads from there.
 */
#ifndef DOPPEL_EXEC_H
#define DOPPEL_EXEC_H

#include "process/load_elf.h"
#include "process/task.h"

#define EXEC_MAGIC      "\177doppel-exec"
#define EXEC_ARGS       7 /* entries in front of the guest's */
#define EXEC_MAX_SCRIPT 5 /* interpreters that are scripts themselves */
#define EXEC_LINE       256 /* how much of a script's first line counts */

/* What was found under a name. */
struct exec_found {
    bool native; /* a program for the host's machine (or one that only the host knows) */
    int fd;      /* own: the program's file, one of the monitor's descriptors */
    char exe[4096]; /* its path as the guest sees it */
    unsigned depth; /* scripts passed through */
    struct {
        char line[EXEC_LINE + 1]; /* interpreter, NUL, argument if any */
        const char *interp, *arg; /* into: line; arg may be NULL */
    } script[EXEC_MAX_SCRIPT];
    bool has_interp; /* ELF interpreter, checked to be there */
};

/*
 * Find what execve of `path` would run: open, follow `#!`, check headers and that the ELF interpreter exists. 0, or
 * -errno as execve(2) gives and *e. im: for the headers, the caller's.
 */
int exec_find(struct task *t, int dirfd, const char *path, int flags, struct exec_found *f, struct elf_image *im,
              struct err *e);

/* With --verbose, and with all that shows or checks something: say that a native program is about to be executed, which is then out of sight. */
void exec_say_native(struct task *t, const char *name);

/*
 * The process and its first task, without a program yet; `vfs` may be set later. There is one of each in a host process.
 */
struct task *process_new(struct run_options *opt, struct vfs *vfs);

/* Everything that a new program starts from. */
struct exec_start {
    const char *exe; /* guest path */
    int fd;          /* own: its open file */
    char **argv, **envp;
    const char *execfn; /* AT_EXECFN */
    uint64_t as, data, nofile; /* the guest's soft RLIMIT_AS, RLIMIT_DATA, RLIMIT_NOFILE */
    uint64_t nofile_max;       /* and hard */
};

/*
 * Around the execve of a native program, which has no monitor: the guest's soft limits become the host's (s: as, data,
 * nofile), and, if it failed (NULL), the highest that may be.
 */
void exec_limits(const struct exec_start *s);

/* Load the program into t's process, which has none. 0, or -errno and *e. Then task_run(t) and task_exit(t). */
int exec_begin(struct task *t, const struct exec_start *s, struct err *e);

/*
 * argv[0] is EXEC_MAGIC: go on as the program that execve asked for. Returns the task to run, or NULL after a message on
 * the log; the kernel would have killed the process.
 */
struct task *exec_resume(int argc, char **argv, char **envp);

/*
 * The arguments that a script's interpreter gets: `out` has room for argc + 2 * EXEC_MAX_SCRIPT + 2 entries. Returns how many
 * are in front of argv[1]; `name` is the script's.
 */
size_t exec_script_args(const struct exec_found *f, const char *name, char **out);

/* How far the stack may grow, bytes: RLIMIT_STACK. */
uint64_t exec_stack_limit(void);

/* exec_stack.c: build the stack that a program starts with. Its sp, or -errno. */
int64_t exec_make_stack(struct process *p, const struct exec_start *s, const struct elf_image *im,
                        const struct elf_mapped *prog, gva_t interp_base);

#endif
