/*
 * cmd_run.c - doppel run [OPTION]… [--] PROGRAM [ARG]…
 *
 * Also what doppel does when it is called by another name, or by binfmt_misc: options then come from DOPPEL_* variables
 * (DOPPEL_CPU, DOPPEL_SYSROOT, …: an option's long name). Under AT_SECURE neither counts.
 *
 * Exit status: the program's; or it dies of the program's signal; 125 doppel failed, 126 PROGRAM cannot be executed, 127
 * there is none.
 */
#include "cli/cli.h"
#include "cli/cpu_model.h"

#include "base/check.h"
#include "process/exec.h"
#include "process/fakeroot.h"
#include "process/report.h"
#include "process/vfs.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

extern char **environ;

#define DEFAULT_SYSROOT "/usr/riscv64-linux-gnu"
#define DEFAULT_RELEASE "6.12.0-doppel"
#define MAX_BINDS       64

/* AddressSanitizer's shadow takes the low addresses. */
#if defined(__SANITIZE_ADDRESS__)
#define DEFAULT_BASE (UINT64_C(1) << 45)
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define DEFAULT_BASE (UINT64_C(1) << 45)
#endif
#endif
#ifndef DEFAULT_BASE
#define DEFAULT_BASE 0
#endif

struct run {
    struct run_options opt;
    struct vfs_config vfs;
    struct vfs_bind binds[MAX_BINDS];
    const char *argv0;
    const char *cpu;
    char **env; /* own: the guest's environment; the strings are others' */
    size_t nenv;
    bool stop; /* --help, --version */
};

/* ---- the environment ---- */

static bool
names_var(const char *entry, const char *name, size_t n)
{
    return strncmp(entry, name, n) == 0 && (entry[n] == '=' || entry[n] == 0);
}

static void
env_unset(struct run *r, const char *name)
{
    size_t n = strcspn(name, "="), to = 0;
    for (size_t i = 0; i < r->nenv; i++) {
        if (!names_var(r->env[i], name, n)) {
            r->env[to++] = r->env[i];
        }
    }
    r->nenv = to;
    r->env[to] = NULL;
}

static void
env_set(struct run *r, const char *entry)
{
    env_unset(r, entry);
    if (strchr(entry, '=') != NULL) {
        r->env = realloc(r->env, (r->nenv + 2) * sizeof *r->env);
        CHECK(r->env != NULL);
        r->env[r->nenv++] = (char *)(uintptr_t)entry;
        r->env[r->nenv] = NULL;
    }
}

static void
env_init(struct run *r)
{
    while (environ[r->nenv] != NULL) {
        r->nenv++;
    }
    r->env = malloc((r->nenv + 1) * sizeof *r->env);
    CHECK(r->env != NULL);
    memcpy(r->env, environ, (r->nenv + 1) * sizeof *r->env);
}

/* ---- options ---- */

static int
parse_number(const char *what, const char *text, uint64_t *v)
{
    char *end;
    errno = 0;
    *v = strtoull(text, &end, 0);
    unsigned shift = *end == 'K' || *end == 'k' ? 10 : *end == 'M' || *end == 'm' ? 20 : *end == 'G' || *end == 'g' ? 30 : 0;
    end += shift != 0;
    if (errno != 0 || end == text || *end != 0 || !isdigit((unsigned char)*text) || *v << shift >> shift != *v) {
        return cli_error(CMD_run, "%s: not a number: %s", what, text);
    }
    *v <<= shift;
    return 0;
}

static int
parse_bind(struct run *r, char *text)
{
    char *guest = strchr(text, ':'), *mode = guest != NULL ? strchr(guest + 1, ':') : NULL;
    if (guest == NULL || (mode != NULL && strcmp(mode, ":ro") != 0) || r->vfs.nbinds == MAX_BINDS) {
        return cli_error(CMD_run, "--bind: HOST:GUEST[:ro], at most %d times: %s", MAX_BINDS, text);
    }
    *guest++ = 0;
    if (mode != NULL) {
        *mode = 0;
    }
    r->binds[r->vfs.nbinds++] = (struct vfs_bind){text, guest, mode != NULL};
    return 0;
}

static int
parse_user(struct run *r, const char *text)
{
    char *end;
    unsigned long uid = strtoul(text, &end, 10), gid = uid;
    if (*end == ':' && isdigit((unsigned char)end[1])) {
        gid = strtoul(end + 1, &end, 10);
    }
    if (!isdigit((unsigned char)*text) || *end != 0 || uid >= UINT32_MAX || gid >= UINT32_MAX) {
        return cli_error(CMD_run, "--user: UID[:GID] in numbers: %s", text);
    }
    r->vfs.uid = (uint32_t)uid;
    r->vfs.gid = (uint32_t)gid;
    return 0;
}

static int
parse_vfs(struct run *r, const char *text)
{
    static const char *const names[] = {[VFS_AUTO] = "auto", [VFS_KERNEL] = "kernel", [VFS_USER] = "user"};
    for (unsigned i = 0; i < ARRAY_LEN(names); i++) {
        if (strcmp(names[i], text) == 0) {
            r->vfs.backend = (enum vfs_backend)i;
            return 0;
        }
    }
    return cli_error(CMD_run, "--vfs: auto, kernel or user: %s", text);
}

/* One option; `v` is its value, writable and ours for good. 0, or an exit status after a message. */
static int
take_option(struct run *r, enum opt_id id, char *v)
{
    uint64_t n;
    int kind, err;
    switch (id) {
    case OPT_run_root:
        r->vfs.root = v;
        return 0;
    case OPT_run_sysroot:
        r->opt.sysroot = v;
        return 0;
    case OPT_run_bind:
        return parse_bind(r, v);
    case OPT_run_cwd:
        r->vfs.cwd = v;
        return 0;
    case OPT_run_user:
        return parse_user(r, v);
    case OPT_run_fake_root:
        r->vfs.fake_root = true;
        return 0;
    case OPT_run_vfs:
        return parse_vfs(r, v);
    case OPT_run_set:
        env_set(r, v);
        return 0;
    case OPT_run_unset:
        env_unset(r, v);
        return 0;
    case OPT_run_argv0:
        r->argv0 = v;
        return 0;
    case OPT_run_stack:
        return parse_number("--stack", v, &r->opt.stack_bytes);
    case OPT_run_cpu:
        r->cpu = v;
        return 0;
    case OPT_run_engine:
        kind = engine_kind_by_name(v);
        if (kind < 0) {
            return cli_error(CMD_run, "--engine: switch, indirect, predecoded or threaded: %s", v);
        }
        r->opt.engine = (enum engine_kind)kind;
        return 0;
    case OPT_run_uname:
        r->opt.uname_release = v;
        return 0;
    case OPT_run_guest_base:
        err = parse_number("--guest-base", v, &n);
        if (err == 0 && (n % GUEST_PAGE != 0 || n > (UINT64_C(1) << 46))) {
            err = cli_error(CMD_run, "--guest-base: a multiple of 4096, at most 2^46: %s", v);
        }
        r->opt.guest_base = n;
        return err;
    case OPT_run_strace:
        r->opt.strace = true;
        return 0;
    case OPT_run_verbose:
        r->opt.verbose = true;
        return 0;
    case OPT_run_dump_state:
        if (v != NULL && strcmp(v, "json") != 0) {
            return cli_error(CMD_run, "--dump-state: json or nothing: %s", v);
        }
        r->opt.dump_state = v != NULL ? 2 : 1;
        return 0;
    case OPT_run_version:
        printf("doppel " DOPPEL_VERSION "\n");
        r->stop = true;
        return 0;
    case OPT_run_help:
        cli_usage(CMD_run);
        r->stop = true;
        return 0;
    default:
        return EXIT_DOPPEL;
    }
}

/* DOPPEL_*: those that are for the user to set once, not for one program. */
static int
take_environment(struct run *r)
{
    static const struct {
        const char *name;
        enum opt_id id;
    } vars[] = {{"DOPPEL_CPU", OPT_run_cpu},         {"DOPPEL_SYSROOT", OPT_run_sysroot},
                {"DOPPEL_ENGINE", OPT_run_engine},   {"DOPPEL_UNAME", OPT_run_uname},
                {"DOPPEL_STACK", OPT_run_stack},     {"DOPPEL_GUEST_BASE", OPT_run_guest_base},
                {"DOPPEL_STRACE", OPT_run_strace},   {"DOPPEL_VERBOSE", OPT_run_verbose},
                {"DOPPEL_ROOT", OPT_run_root},       {"DOPPEL_FAKE_ROOT", OPT_run_fake_root},
                {"DOPPEL_VFS", OPT_run_vfs},         {"DOPPEL_ARGV0", OPT_run_argv0}};
    for (unsigned i = 0; i < ARRAY_LEN(vars); i++) {
        char *v = getenv(vars[i].name);
        bool is_flag = vars[i].id == OPT_run_strace || vars[i].id == OPT_run_verbose || vars[i].id == OPT_run_fake_root;
        if (v == NULL || *v == 0 || (is_flag && strcmp(v, "0") == 0)) {
            continue;
        }
        int err = take_option(r, vars[i].id, v);
        if (err != 0) {
            return err;
        }
    }
    return 0;
}

/* ---- starting ---- */

/* Limits that would count the monitor's memory are lifted as far as they may be; the guest keeps what it had. */
static void
take_limits(struct exec_start *s)
{
    struct rlimit rl;
    getrlimit(RLIMIT_NOFILE, &rl);
    s->nofile = rl.rlim_cur;
    getrlimit(RLIMIT_AS, &rl);
    s->as = rl.rlim_cur;
    rl.rlim_cur = rl.rlim_max;
    setrlimit(RLIMIT_AS, &rl);
    getrlimit(RLIMIT_DATA, &rl);
    s->data = rl.rlim_cur;
    rl.rlim_cur = rl.rlim_max;
    setrlimit(RLIMIT_DATA, &rl);
}

/* PROGRAM as execve would have it: a name without a slash that is no file here is looked for in the guest's PATH. */
static int
find_program(struct run *r, struct task *t, const char *name, char path[PATH_MAX], struct exec_found *f,
             struct elf_image *im, struct err *e)
{
    snprintf(path, PATH_MAX, "%s", name);
    int err = exec_find(t, AT_FDCWD, name, 0, f, im, e);
    if (err != -ENOENT || strchr(name, '/') != NULL) {
        return err;
    }
    const char *dirs = NULL;
    for (size_t i = 0; i < r->nenv; i++) {
        dirs = names_var(r->env[i], "PATH", 4) && r->env[i][4] == '=' ? r->env[i] + 5 : dirs;
    }
    while (dirs != NULL && *dirs != 0) {
        size_t n = strcspn(dirs, ":");
        if (n > 0 && snprintf(path, PATH_MAX, "%.*s/%s", (int)n, dirs, name) < PATH_MAX &&
            exec_find(t, AT_FDCWD, path, 0, f, im, NULL) == 0) {
            return 0;
        }
        dirs += n + (dirs[n] == ':');
    }
    return err;
}

/* Run argv[0] with its arguments. The exit status, unless the guest has ended the process. */
static int
start(struct run *r, int argc, char **argv)
{
    struct err e = {.text = ""};
    struct exec_start s = {.envp = r->env};
    const char *cpu = r->cpu != NULL ? r->cpu : "max";
    if (cpu_model_parse(cpu, &r->opt.exts, &e) != 0) {
        return cli_error(CMD_run, "--cpu: %s", e.text);
    }
    if (r->opt.stack_bytes != 0) {
        struct rlimit rl;
        getrlimit(RLIMIT_STACK, &rl);
        rl.rlim_cur = r->opt.stack_bytes < rl.rlim_max ? r->opt.stack_bytes : rl.rlim_max;
        setrlimit(RLIMIT_STACK, &rl);
    }
    take_limits(&s);
    r->opt.self_fd = open("/proc/self/exe", O_PATH | O_CLOEXEC);
    int log = fcntl(2, F_DUPFD_CLOEXEC, 3);
    r->vfs.binds = r->binds;
    r->vfs.sysroot = r->opt.sysroot;
    r->opt.host_root = r->vfs.root == NULL;
    struct vfs *vfs;
    if (vfs_new(&vfs, &r->vfs, &e) != 0) {
        return cli_error(CMD_run, "%s", e.text);
    }
    r->opt.self_fd = r->opt.self_fd >= 0 ? vfs_fd_hide(vfs, r->opt.self_fd) : -1;
    r->opt.log_fd = log >= 0 ? vfs_fd_hide(vfs, log) : -1;
    struct task *t = process_new(&r->opt, vfs);
    struct elf_image *im = mmap(NULL, sizeof *im, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (t == NULL || im == MAP_FAILED) {
        return cli_error(CMD_run, "no memory");
    }

    static struct exec_found found;
    char path[PATH_MAX];
    int err = find_program(r, t, argv[0], path, &found, im, &e);
    if (err != 0) {
        cli_error(CMD_run, "%s", e.text);
        return err == -ENOENT ? EXIT_NOT_FOUND : EXIT_CANNOT_EXECUTE;
    }
    char **args = malloc(((size_t)argc + 2 * EXEC_MAX_SCRIPT + 2) * sizeof *args);
    CHECK(args != NULL);
    size_t n = 0;
    if (found.depth > 0 && !found.native) {
        n = exec_script_args(&found, path, args);
    } else {
        args[n++] = r->argv0 != NULL ? (char *)(uintptr_t)r->argv0 : argv[0];
    }
    memcpy(args + n, argv + 1, (size_t)argc * sizeof *args); /* with its NULL */
    if (found.native) {
        execve(path, args, r->env);
        cli_error(CMD_run, "%s: %s", path, strerror(errno));
        return EXIT_CANNOT_EXECUTE;
    }
    munmap(im, sizeof *im);
    s.exe = found.exe;
    s.fd = found.fd;
    s.argv = args;
    s.execfn = path;
    r->opt.secure = getauxval(AT_SECURE) != 0;
    r->opt.secure |= fakeroot_exec(t, found.fd, false);
    report_init();
    if (exec_begin(t, &s, &e) != 0) {
        cli_error(CMD_run, "%s: %s", path, e.text);
        return EXIT_CANNOT_EXECUTE;
    }
    task_run(t);
    task_exit(t);
    return EXIT_DOPPEL;
}

static void
defaults(struct run *r)
{
    r->opt.engine = ENGINE_THREADED;
    r->opt.guest_base = DEFAULT_BASE;
    r->opt.uname_release = DEFAULT_RELEASE;
    r->opt.sysroot = DEFAULT_SYSROOT;
    r->vfs.uid = r->vfs.gid = (uint32_t)-1;
    env_init(r);
}

int
cmd_run(int argc, char **argv)
{
    static struct run r; /* the guest's process refers to it to its end */
    defaults(&r);
    bool secure = getauxval(AT_SECURE) != 0;
    int err = secure ? 0 : take_environment(&r);
    struct opts o = {.cmd = CMD_run, .argc = argc, .argv = argv, .next = 1};
    int id = secure ? OPTS_END : OPTS_ERROR;
    while (err == 0 && !r.stop && !secure && (id = opts_next(&o)) >= 0) {
        err = take_option(&r, (enum opt_id)id, (char *)(uintptr_t)o.value);
    }
    if (err != 0 || r.stop) {
        return err;
    }
    if (id != OPTS_END) {
        return EXIT_DOPPEL;
    }
    if (o.next >= argc) {
        return cli_error(CMD_run, "no PROGRAM; see `doppel help run`");
    }
    return start(&r, argc - o.next, argv + o.next);
}

int
run_binfmt(int argc, char **argv)
{
    static struct run r;
    defaults(&r);
    int err = getauxval(AT_SECURE) != 0 ? 0 : take_environment(&r);
    /* With the P flag of binfmt_misc: doppel, file, its argv[0], arguments. */
    if (err == 0 && argc >= 3) {
        char *file = argv[1];
        r.argv0 = argv[2];
        argv[2] = file;
        err = start(&r, argc - 2, argv + 2);
    } else if (err == 0) {
        err = cli_error(CMD_run, "called by binfmt_misc without a file");
    }
    return err;
}

int
run_resume(int argc, char **argv)
{
    report_init();
    struct task *t = exec_resume(argc, argv, environ);
    if (t == NULL) {
        return EXIT_DOPPEL;
    }
    task_run(t);
    task_exit(t);
    return EXIT_DOPPEL;
}
