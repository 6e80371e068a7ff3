/*
 * exec.c - execve: find the program, check that it can be loaded, execute doppel again, load it
 *
 *      sys_execve ── exec_find ──► native? ──► host execve of the same name
 *                        │
 *                        └► host execve of doppel ─► exec_resume ─► exec_begin ─► task_run
 *      doppel run ─── exec_find ────────────────────────────────────►┘
 *
 * Everything that can fail for the guest's reasons is asked before the host's execve: from there on there is no way back, and
 * a failure kills the process, as on Linux. Rules: fs/exec.c and fs/binfmt_script.c of Linux 6.12.
 * Trust: names, vectors and files are the guest's. No malloc: a child of a threaded process comes here.
 */
#include "process/exec.h"

#include "base/check.h"
#include "process/fakeroot.h"
#include "process/procfs.h"
#include "process/prof.h"
#include "process/symbols.h"
#include "process/syscall.h"
#include "process/vdso.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/resource.h>

#define MAX_POINTERS (UINT64_C(1) << 21) /* more strings than any stack takes */

/* ---- finding ---- */

static bool
is_blank(char c)
{
    return c == ' ' || c == '\t';
}

/*
 * Take "#! interpreter [argument]" apart. `n`: bytes read, at most EXEC_LINE. A line that does not end there must at least
 * have an interpreter that does.
 */
static int
parse_script(char *line, size_t n, const char **interp, const char **arg)
{
    line[n] = 0;
    char *end = memchr(line, '\n', n), *p = line + 2;
    const bool ends = end != NULL;
    if (!ends) {
        end = line + strlen(line);
        while (p < end && is_blank(*p)) {
            p++;
        }
        if (n == EXEC_LINE && strpbrk(p, " \t") == NULL) {
            return -ENOEXEC;
        }
    }
    while (end > line + 2 && is_blank(end[-1])) {
        end--;
    }
    *end = 0;
    p = line + 2 + strspn(line + 2, " \t");
    if (*p == 0) { /* without a newline Linux takes the NUL behind it for the end of an empty name: this directory */
        return ends && p == end ? -ENOEXEC : -EACCES;
    }
    *interp = p;
    p += strcspn(p, " \t");
    *arg = NULL;
    if (*p != 0) {
        *p++ = 0;
        p += strspn(p, " \t");
        *arg = *p != 0 ? p : NULL;
    }
    return 0;
}

#ifndef AT_EXECVE_CHECK
#define AT_EXECVE_CHECK 0x10000 /* Linux 6.14 */
#endif

/* Somebody has the file open for writing. Older kernels cannot be asked; they refuse the flag before anything else. */
static bool
is_being_written(int fd)
{
    char *const argv[] = {(char *)(uintptr_t)"", NULL};
    return host_syscall(SYS_execveat, fd, "", argv, argv + 1, AT_EMPTY_PATH | AT_EXECVE_CHECK) == -ETXTBSY;
}

/* Open a file that is to be executed: regular, and with the right to execute it. */
static int64_t
open_program(struct task *t, int dirfd, const char *path, int flags, char *exe, struct err *e)
{
    int64_t fd = vfs_open_exec(t, dirfd, path, flags, exe);
    if (fd < 0) {
        return err_set(e, (int)fd, "%s", path);
    }
    struct stat st;
    int64_t r = host_syscall(SYS_fstat, fd, &st);
    if (r == 0) {
        r = host_syscall(SYS_faccessat2, fd, "", X_OK, AT_EMPTY_PATH | AT_EACCESS);
        const struct fake_ids *ids = fakeroot_ids(t);
        if (r == -EACCES && ids != NULL && ids->uid[FAKE_EFFECTIVE] == 0 && (st.st_mode & 0111)) {
            r = 0;
        }
    }
    if (r == 0 && is_being_written((int)fd)) {
        r = -ETXTBSY;
    }
    if (r < 0) {
        host_syscall(SYS_close, fd);
        return err_set(e, (int)r, "%s", path);
    }
    return fd;
}

/* The headers of f->fd say what it is. */
static int
classify(struct task *t, struct exec_found *f, const char *head, size_t n, struct elf_image *im, struct err *e)
{
    f->native = false;
    if (t->proc->opt->host_root && elf_foreign_machine(head, n) != 0) {
        f->native = true;
        return 0;
    }
    int r = elf_read(im, elf_read_fd, &f->fd, false, e);
    if (r != 0) {
        return r;
    }
    f->has_interp = im->has_interp;
    if (im->has_interp) {
        int64_t fd = open_program(t, AT_FDCWD, im->interp, 0, NULL, e);
        if (fd < 0) {
            err_add(e, "its interpreter");
            return (int)fd;
        }
        host_syscall(SYS_close, fd);
    }
    return 0;
}

int
exec_find(struct task *t, int dirfd, const char *path, int flags, struct exec_found *f, struct elf_image *im,
          struct err *e)
{
    const char *name = path;
    for (f->depth = 0;; f->depth++) {
        int64_t fd = open_program(t, f->depth == 0 ? dirfd : AT_FDCWD, name, f->depth == 0 ? flags : 0, f->exe, e);
        if (fd < 0) {
            if (f->depth > 0) {
                err_add(e, "%s: the interpreter of its #! line", path);
            }
            return (int)fd;
        }
        f->fd = (int)fd;
        char head[EXEC_LINE + 1];
        int64_t n = elf_read_fd(&f->fd, head, EXEC_LINE, 0);
        int r = n < 0 ? (int)n : 0;
        if (r == 0 && (n < 2 || head[0] != '#' || head[1] != '!')) {
            r = classify(t, f, head, (size_t)n, im, e);
            if (r != 0) {
                err_add(e, "%s", path);
                host_syscall(SYS_close, fd);
            }
            return r;
        }
        if (r == 0 && f->depth == EXEC_MAX_SCRIPT) {
            r = -ELOOP;
        }
        if (r == 0) {
            char *line = f->script[f->depth].line;
            memcpy(line, head, (size_t)n);
            r = parse_script(line, (size_t)n, &f->script[f->depth].interp, &f->script[f->depth].arg);
            name = f->script[f->depth].interp;
        }
        host_syscall(SYS_close, fd);
        if (r != 0) {
            return err_set(e, r, "%s: script", path);
        }
    }
}

size_t
exec_script_args(const struct exec_found *f, const char *name, char **out)
{
    size_t n = 0;
    for (unsigned i = f->depth; i-- > 0;) {
        out[n++] = (char *)(uintptr_t)f->script[i].interp;
        if (f->script[i].arg != NULL) {
            out[n++] = (char *)(uintptr_t)f->script[i].arg;
        }
        /* each interpreter gets the name of the script that named it: the next outer interpreter's */
    }
    out[n++] = (char *)(uintptr_t)name;
    return n;
}

void
exec_limits(const struct exec_start *s)
{
    static const int kinds[] = {RLIMIT_NOFILE, RLIMIT_AS, RLIMIT_DATA};
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
        struct rlimit rl;
        if (host_syscall(SYS_prlimit64, 0, kinds[i], NULL, &rl) == 0) {
            uint64_t want = s == NULL ? rl.rlim_max : i == 0 ? s->nofile : i == 1 ? s->as : s->data;
            rl.rlim_cur = want < rl.rlim_max ? want : rl.rlim_max;
            host_syscall(SYS_prlimit64, 0, kinds[i], &rl, NULL);
        }
    }
}

void
exec_say_native(struct task *t, const char *name)
{
    const struct run_options *o = t->proc->opt;
    if (o->verbose || o->strace || o->stats || o->dump_state || o->tuning.show != 0) {
        char line[PATH_MAX + 100];
        int n = snprintf(line, sizeof line, "doppel: [%d] %s is no riscv64 program: it runs natively, no option reaches it\n",
                         t->tid, name);
        host_syscall(SYS_write, o->log_fd, line, n);
    }
}

/* ---- execve ---- */

/* What execve works with; too large for a stack. */
struct exec_work {
    struct exec_found found;
    struct elf_image image;
    char path[PATH_MAX], script_name[PATH_MAX];
    char numbers[256], vfs[16384];
    char *vector[MAX_POINTERS]; /* only what is used is ever touched */
};

/* Append the guest's vector of strings, as host addresses and NULL. The next free entry, or -errno. */
static int64_t
put_vector(char **vector, uint64_t at, gva_t from, unsigned skip)
{
    while (from != 0) {
        uint64_t piece[128];
        /* up to the end of a page: what lies behind the vector need not be there */
        size_t n = (GUEST_PAGE - from % GUEST_PAGE) / 8;
        n = n == 0 ? 1 : n < ARRAY_LEN(piece) ? n : ARRAY_LEN(piece);
        if (guest_read(piece, from, n * 8) != 0) {
            return -EFAULT;
        }
        for (size_t i = 0; i < n; i++) {
            if (piece[i] == 0) {
                vector[at++] = NULL;
                return (int64_t)at;
            }
            if (skip > 0) {
                skip--;
            } else if (at >= MAX_POINTERS - 1) {
                return -E2BIG;
            } else {
                vector[at++] = g2h(piece[i]);
            }
        }
        from += n * 8;
    }
    vector[at++] = NULL;
    return (int64_t)at;
}

static void
keep_fd(int fd, bool keep)
{
    if (fd >= 0) {
        host_syscall(SYS_fcntl, fd, F_SETFD, keep ? 0 : FD_CLOEXEC);
    }
}

/* Nothing is to fail any more but the kernel's own limits. */
static int64_t
reexec(struct task *t, struct exec_work *w, char *name, char **envp)
{
    const struct run_options *o = t->proc->opt;
    struct vfs *vfs = vfs_of(t);
    int64_t n = vfs_save(vfs, w->vfs, sizeof w->vfs);
    if (n < 0) {
        return n;
    }
    uint64_t as, data;
    map_get_limits(t->proc->map, &as, &data);
    snprintf(w->numbers, sizeof w->numbers, "%d %d %d %d %d %d %llx %llx %llx %llx %llx %llx %llx %x %x %x %x %x %x %d %d", w->found.fd, o->log_fd, o->self_fd, o->cache_fd,
             (int)o->engine, o->strace | o->verbose << 1 | o->dump_state << 2 | o->host_root << 4 | o->stats << 5, (unsigned long long)o->exts,
             (unsigned long long)o->guest_base, (unsigned long long)as, (unsigned long long)data,
             (unsigned long long)t->proc->nofile, (unsigned long long)t->proc->nofile_max,
             (unsigned long long)o->tuning.code_cache, o->tuning.hot1, o->tuning.hot2, o->tuning.opts_off, o->tuning.host_cpu, o->tuning.show,
             o->prof_top, o->prof_svg_fd, o->prof_json_fd);
    char *own[EXEC_ARGS] = {(char[]){EXEC_MAGIC}, w->numbers, (char *)(uintptr_t)o->uname_release,
                            (char *)(uintptr_t)(o->sysroot != NULL ? o->sysroot : ""), w->found.exe, name, w->vfs};
    memcpy(w->vector, own, sizeof own);
    keep_fd(w->found.fd, true);
    keep_fd(o->log_fd, true);
    keep_fd(o->self_fd, true);
    keep_fd(o->cache_fd, true);
    keep_fd(o->prof_svg_fd, true);
    keep_fd(o->prof_json_fd, true);
    engine_cache_save(t->proc->engine);
    int64_t r = host_syscall_restartable(t, SYS_execveat, o->self_fd, "", w->vector, envp, AT_EMPTY_PATH);
    keep_fd(w->found.fd, false);
    keep_fd(o->log_fd, false);
    keep_fd(o->self_fd, false);
    keep_fd(o->cache_fd, false);
    keep_fd(o->prof_svg_fd, false);
    keep_fd(o->prof_json_fd, false);
    vfs_save_undo(vfs);
    return r;
}

static int64_t
execveat_with(struct task *t, struct exec_work *w, int dirfd, gva_t argv, gva_t envp, int flags)
{
    int r = exec_find(t, dirfd, w->path, flags, &w->found, &w->image, NULL);
    if (r != 0) {
        return r;
    }
    struct exec_found *f = &w->found;
    char *name = w->path;
    if (dirfd != AT_FDCWD && w->path[0] != '/') {
        /* what the kernel tells a script that was named by a descriptor */
        snprintf(w->script_name, sizeof w->script_name, w->path[0] ? "/dev/fd/%d/%s" : "/dev/fd/%d", dirfd, w->path);
        name = w->script_name;
        if (f->depth > 0 && (host_syscall(SYS_fcntl, dirfd, F_GETFD) & FD_CLOEXEC)) {
            host_syscall(SYS_close, f->fd);
            return -ENOENT;
        }
    }
    char **vec = w->vector;
    uint64_t skip = 0;
    int64_t n = EXEC_ARGS;
    if (f->depth > 0 && !f->native) {
        n += (int64_t)exec_script_args(f, name, vec + n);
        skip = 1;
    }
    n = put_vector(vec, (uint64_t)n, argv, (unsigned)skip);
    if (n == EXEC_ARGS + 1) { /* Linux gives a program at least one argument */
        vec[EXEC_ARGS] = (char *)(uintptr_t)"";
        vec[n++] = NULL;
    }
    int64_t env = n;
    n = n < 0 ? n : put_vector(vec, (uint64_t)n, envp, 0);
    if (n >= 0 && f->native) {
        struct exec_start limits = {.nofile = t->proc->nofile};
        map_get_limits(t->proc->map, &limits.as, &limits.data);
        exec_say_native(t, name);
        exec_limits(&limits);
    }
    if (n >= 0) {
        prof_report(t);
        signals_before_execve(t);
        n = f->native ? host_syscall_restartable(t, SYS_execveat, dirfd, w->path, vec + EXEC_ARGS, vec + env, flags)
                      : reexec(t, w, name, vec + env);
        signals_execve_failed(t);
        if (f->native) {
            exec_limits(NULL);
        }
    }
    host_syscall(SYS_close, f->fd);
    return n;
}

void
exec_work_free(struct task *t)
{
    if (t->exec_work != NULL) {
        munmap(t->exec_work, sizeof(struct exec_work));
        t->exec_work = NULL;
    }
}

static int64_t
do_execveat(struct task *t, int dirfd, gva_t path, gva_t argv, gva_t envp, int flags)
{
    if (flags & ~(AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW)) {
        return -EINVAL;
    }
    struct exec_work *w = mmap(NULL, sizeof *w, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (w == MAP_FAILED) {
        return -ENOMEM;
    }
    t->exec_work = w;
    int64_t r = guest_read_str(w->path, path, sizeof w->path);
    if (r == 0 && !(flags & AT_EMPTY_PATH)) {
        r = -ENOENT;
    } else if (r >= 0) {
        r = execveat_with(t, w, dirfd, argv, envp, flags);
    }
    exec_work_free(t);
    return r;
}

int64_t
sys_execve(struct task *t, const uint64_t a[6])
{
    return do_execveat(t, AT_FDCWD, a[0], a[1], a[2], 0);
}

int64_t
sys_execveat(struct task *t, const uint64_t a[6])
{
    int dirfd = (int)a[0];
    return vfs_fd_ok(vfs_of(t), dirfd) ? do_execveat(t, dirfd, a[1], a[2], a[3], (int)a[4]) : -EBADF;
}

/* ---- beginning ---- */

struct task *
process_new(struct run_options *opt, struct vfs *vfs)
{
    static struct process the_process; /* a host process is one guest process */
    struct process *p = &the_process;
    p->opt = opt;
    p->vfs = vfs;
    pthread_mutex_init(&p->tasks_lock, NULL);
    guest_base = opt->guest_base;
    struct task *t = task_new(p);
    if (t != NULL) {
        t->leader = true;
    }
    current_task = t;
    return t;
}

static int
load(struct task *t, const struct exec_start *s, struct elf_image *im, struct elf_image *interp, struct err *e)
{
    struct process *p = t->proc;
    struct elf_mapped prog, ld = {.bias = 0};
    int fd = s->fd;
    int r = elf_read(im, elf_read_fd, &fd, false, e);
    if (r == 0) {
        r = elf_map(p->map, im, fd, im->has_interp ? ELF_AT_PIE_BASE : ELF_AT_MMAP_BASE, &prog, e);
    }
    if (r != 0) {
        return r;
    }
    if (im->has_interp) {
        int64_t ifd = open_program(t, AT_FDCWD, im->interp, 0, NULL, e);
        int ldfd = (int)ifd;
        r = ldfd < 0 ? ldfd : elf_read(interp, elf_read_fd, &ldfd, true, e);
        if (r == 0) {
            r = elf_map(p->map, interp, ldfd, ELF_AT_MMAP_BASE, &ld, e);
        }
        if (ldfd >= 0) {
            host_syscall(SYS_close, ldfd);
        }
        if (r != 0) {
            err_add(e, "its interpreter %s", im->interp);
            return r;
        }
    }
    gva_t brk = (prog.end + GUEST_PAGE - 1) & ~(uint64_t)(GUEST_PAGE - 1);
    if (im->eh.e_type == ET_DYN && !im->has_interp) {
        brk = GUEST_TOP / 3 * 2 & ~(uint64_t)(GUEST_PAGE - 1); /* away from the mappings */
    }
    map_set_brk(p->map, brk + map_random_offset(p->map));
    r = vdso_map(p, e);
    if (r != 0) {
        return r;
    }
    int64_t sp = exec_make_stack(p, s, im, &prog, im->has_interp ? ld.bias : 0);
    if (sp < 0) {
        return err_set(e, (int)sp, "make its stack");
    }
    t->hart.x[2] = (uint64_t)sp;
    t->hart.pc = im->has_interp ? ld.entry : prog.entry;
    return 0;
}

int
exec_begin(struct task *t, const struct exec_start *s, struct err *e)
{
    struct process *p = t->proc;
    struct engine_config cfg = {.kind = p->opt->engine, .guest_base = p->opt->guest_base, .tuning = p->opt->tuning};
    if (p->opt->gdb_fd < 0) { /* else each system call ends engine_run: where a debugger stops threads */
        cfg.ecall_brief = syscall_brief;
        cfg.ecall = syscall_inside;
    }
    cfg.place = p->engine_place;
    cfg.tuning.show_fd = p->opt->log_fd;
    cfg.cache.fd = p->opt->secure ? 0 : p->opt->cache_fd + 1;
    cfg.cache.exts = p->opt->exts;
    if (p->opt->tuning.show & (ENGINE_PERF | ENGINE_JITDUMP | ENGINE_PROFILE | ENGINE_LOCKSTEP | ENGINE_BORDER)) {
        cfg.symbol_arg = symbols_new(cfg.guest_base); /* kept to the end: the engine is, too */
        cfg.symbol = cfg.symbol_arg != NULL ? symbols_name : NULL;
        cfg.function = cfg.symbol_arg != NULL ? symbols_function : NULL;
    }
    p->engine = engine_new(&cfg, e);
    if (p->engine == NULL) {
        return -ENOMEM;
    }
    bool randomize = !(host_syscall(SYS_personality, 0xffffffff) & ADDR_NO_RANDOMIZE);
    p->map = map_new(p->engine, exec_stack_limit(), randomize, e);
    if (p->map == NULL) {
        return -ENOMEM;
    }
    map_set_limits(p->map, s->as, s->data);
    p->nofile = s->nofile;
    p->nofile_max = s->nofile_max;
    fd_limit_changed(t);
    snprintf(p->exe_path, sizeof p->exe_path, "%s", s->exe);
    hart_init(&t->hart, p->opt->exts);
    signals_init(p, t);
    struct elf_image *im = mmap(NULL, 2 * sizeof *im, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    int r = im == MAP_FAILED ? -ENOMEM : load(t, s, im, im + 1, e);
    munmap(im, 2 * sizeof *im);
    procfs_set_exe(t, s->fd);
    host_syscall(SYS_close, s->fd);
    if (r == 0) {
        const char *slash = strrchr(s->execfn, '/');
        procfs_publish(t, slash != NULL ? slash + 1 : s->execfn);
    }
    return r;
}

struct task *
exec_resume(int argc, char **argv, char **envp)
{
    static struct run_options opt;
    struct err e = {.text = ""};
    struct exec_start s = {.argv = argv + EXEC_ARGS, .envp = envp};
    int bits = 0, engine = 0;
    unsigned long long exts, base, as, data, nofile, nofile_max, cache;
    if (argc <= EXEC_ARGS || sscanf(argv[1], "%d %d %d %d %d %d %llx %llx %llx %llx %llx %llx %llx %x %x %x %x %x %x %d %d", &s.fd, &opt.log_fd, &opt.self_fd,
                                   &opt.cache_fd, &engine, &bits, &exts, &base, &as, &data, &nofile, &nofile_max, &cache,
                                   &opt.tuning.hot1, &opt.tuning.hot2, &opt.tuning.opts_off, &opt.tuning.host_cpu, &opt.tuning.show,
                                   &opt.prof_top, &opt.prof_svg_fd, &opt.prof_json_fd) != 21) {
        return NULL;
    }
    opt.engine = (enum engine_kind)engine;
    opt.strace = bits & 1;
    opt.verbose = bits & 2;
    opt.dump_state = (uint8_t)(bits >> 2 & 3);
    opt.host_root = bits & 16;
    opt.stats = bits & 32;
    opt.tuning.code_cache = cache;
    opt.exts = exts;
    opt.guest_base = base;
    s.as = as;
    s.data = data;
    s.nofile = nofile;
    s.nofile_max = nofile_max;
    opt.gdb_fd = -1; /* a debugger is the first program's */
    opt.uname_release = argv[2];
    opt.sysroot = argv[3][0] ? argv[3] : NULL;
    s.exe = argv[4];
    s.execfn = argv[5];
    struct vfs *vfs;
    int r = vfs_load(&vfs, argv[6], &e);
    struct task *t = NULL;
    if (r == 0) {
        s.fd = vfs_fd_number(vfs, s.fd);
        fds_renumber(&opt, vfs);
        keep_fd(opt.log_fd, false);
        keep_fd(opt.self_fd, false);
        keep_fd(opt.cache_fd, false);
        keep_fd(opt.prof_svg_fd, false);
        keep_fd(opt.prof_json_fd, false);
        t = process_new(&opt, vfs);
        r = t == NULL ? err_set(&e, -ENOMEM, "start") : 0;
    }
    if (r == 0) {
        opt.secure = fakeroot_exec(t, s.fd, prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) > 0);
        r = exec_begin(t, &s, &e);
    }
    if (r != 0) {
        dprintf(opt.log_fd, "doppel: execve %s: %s\n", s.exe, e.text);
        return NULL;
    }
    return t;
}
