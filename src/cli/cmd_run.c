/*
 * cmd_run.c - doppel run [OPTION]… [--] PROGRAM [ARG]…
 *
 * Also what doppel does when it is called by another name, or by binfmt_misc: options then come from the DOPPEL_*
 * variables of options.def. Under AT_SECURE neither counts.
 *
 * Exit status: the program's; or it dies of the program's signal; 125 doppel failed, 126 PROGRAM cannot be executed, 127
 * there is none.
 */
#include "cli/cli.h"
#include "cli/cache_folder.h"
#include "cli/cpu_model.h"
#include "cli/run_env.h"

#include "base/check.h"
#include "debug/gdb.h"
#include "engine/store.h"
#include "process/debug.h"
#include "process/exec.h"
#include "process/fakeroot.h"
#include "process/report.h"
#include "process/vfs.h"

#include <assert.h>
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
#include <sys/stat.h>
#include <unistd.h>

extern char **environ;

#define DEFAULT_SYSROOT "/usr/riscv64-linux-gnu"
#define DEFAULT_RELEASE "6.12.0-doppel"
#define MAX_BINDS       64
#define STACK_MIN       (UINT64_C(128) << 10) /* what Linux maps of a stack from the beginning */
#define RELEASE_MAX     64 /* of struct utsname, less the NUL */
#define PASSWD_MAX      ((size_t)1 << 20)

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
    struct run_env env; /* the guest's */
    const char *argv0;
    const char *option; /* the one being taken, or the variable that stands for it: for messages */
    const char *cpu, *cpu_option;
    const char *cache;
    const char *gdb; /* where a debugger connects; or NULL */
    bool no_cache;
    uint64_t given; /* bit: enum opt_id, of the command line and not of the environment */
    bool stop; /* --help, --version */
};
static_assert(OPT_run_help < 64, "struct run's bits");

static bool
is_given(const struct run *r, enum opt_id id)
{
    return r->given >> id & 1;
}

/* ---- options ---- */

static int
parse_number(const struct run *r, const char *text, uint64_t *v)
{
    char *end;
    errno = 0;
    *v = strtoull(text, &end, 0);
    unsigned shift = *end == 'K' || *end == 'k' ? 10 : *end == 'M' || *end == 'm' ? 20 : *end == 'G' || *end == 'g' ? 30 : 0;
    end += shift != 0;
    if (errno != 0 || end == text || *end != 0 || !isdigit((unsigned char)*text) || *v << shift >> shift != *v) {
        return cli_error(CMD_run, "%s: not a number: %s", r->option, text);
    }
    *v <<= shift;
    return 0;
}

static int
parse_hot(struct run *r, const char *text)
{
    unsigned n, m = 1500;
    int end = 0;
    if ((sscanf(text, "%u%n,%u%n", &n, &end, &m, &end) < 1) || text[end] != 0 || n > 60000 || m > 1000000000 || *text == '-') {
        return cli_error(CMD_run, "%s: N or N,M: %s", r->option, text);
    }
    r->opt.tuning.hot1 = n + 1;
    r->opt.tuning.hot2 = m + 1;
    return 0;
}

static int
parse_opts(struct run *r, const char *text)
{
    for (const char *at = text; *at != 0;) {
        const size_t len = strcspn(at, ",");
        const uint32_t bit = *at == '-' ? engine_opt_by_name(at + 1, len - 1) : 0;
        if (bit == 0) {
            return cli_error(CMD_run, "%s: -fold, -cse, -fuse, -dse, -regions, -place, -nan, -box, -flags, -twice, -fma, -trust, -late, -lrsc, -bytes, -twins, -hle, -unroll, -high, -select: %s", r->option, at);
        }
        r->opt.tuning.opts_off |= bit;
        at += len + (at[len] == ',');
    }
    return 0;
}

static int
parse_dump(struct run *r, const char *text)
{
    for (const char *at = text; *at != 0;) {
        const size_t len = strcspn(at, ",");
        const uint32_t bit = engine_show_by_name(at, len);
        if (bit == 0) {
            return cli_error(CMD_run, "%s: blocks, kinds, ir, asm: %s", r->option, at);
        }
        r->opt.tuning.show |= bit;
        at += len + (at[len] == ',');
    }
    return 0;
}

static int
parse_bind(struct run *r, char *text)
{
    char *guest = strchr(text, ':'), *mode = guest != NULL ? strchr(guest + 1, ':') : NULL;
    if (guest == NULL || (mode != NULL && strcmp(mode, ":ro") != 0) || r->vfs.nbinds == MAX_BINDS) {
        return cli_error(CMD_run, "%s: HOST:GUEST[:ro], at most %d times: %s", r->option, MAX_BINDS, text);
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
        return cli_error(CMD_run, "%s: UID[:GID] in numbers: %s", r->option, text);
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
    return cli_error(CMD_run, "%s: auto, kernel or user: %s", r->option, text);
}

static int
parse_stack(struct run *r, const char *text)
{
    struct rlimit rl;
    int err = parse_number(r, text, &r->opt.stack_bytes);
    getrlimit(RLIMIT_STACK, &rl);
    if (err == 0 && r->opt.stack_bytes < STACK_MIN) {
        err = cli_error(CMD_run, "%s: at least %lluK: %s", r->option, (unsigned long long)STACK_MIN >> 10, text);
    } else if (err == 0 && r->opt.stack_bytes > rl.rlim_max) {
        err = cli_error(CMD_run, "%s: more than the hard limit (ulimit -Hs): %s", r->option, text);
    }
    return err;
}

static int
parse_edit(struct run *r, const char *text)
{
    return run_env_edit(&r->env, text) ? 0 : cli_error(CMD_run, "%s: a variable has to have a name: '%s'", r->option, text);
}

static int
parse_unset(struct run *r, const char *text)
{
    return strchr(text, '=') == NULL ? parse_edit(r, text)
                                     : cli_error(CMD_run, "%s: the name of a variable: %s", r->option, text);
}

/* One option; `v` is its value, writable and ours for good. 0, or an exit status after a message. */
static int
take_option(struct run *r, enum opt_id id, char *v)
{
    uint64_t n;
    int kind, err;
    if ((id == OPT_run_root || id == OPT_run_cwd || id == OPT_run_cpu || id == OPT_run_engine) && *v == 0) {
        return cli_error(CMD_run, "%s: its value is empty", r->option);
    }
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
        return parse_edit(r, v);
    case OPT_run_unset:
        return parse_unset(r, v);
    case OPT_run_argv0:
        r->argv0 = v;
        return 0;
    case OPT_run_stack:
        return parse_stack(r, v);
    case OPT_run_cpu:
        r->cpu = v;
        r->cpu_option = r->option;
        return 0;
    case OPT_run_engine:
        kind = engine_kind_by_name(v);
        if (kind < 0) {
            return cli_error(CMD_run, "%s: adaptive, switch, indirect, predecoded or threaded: %s", r->option, v);
        }
        r->opt.engine = (enum engine_kind)kind;
        return 0;
    case OPT_run_code_cache:
        err = parse_number(r, v, &r->opt.tuning.code_cache);
        if (err == 0 && (r->opt.tuning.code_cache < 64 << 10 || r->opt.tuning.code_cache > 1 << 30)) {
            err = cli_error(CMD_run, "%s: from 64K to 1G: %s", r->option, v);
        }
        return err;
    case OPT_run_cache:
        r->cache = v;
        r->no_cache = false;
        return 0;
    case OPT_run_untrusted:
        r->opt.tuning.opts_off |= engine_opt_by_name("trust", 5);
        return 0;
    case OPT_run_hle:
        r->opt.tuning.opts_off &= ~engine_opt_by_name("hle", 3);
        return 0;
    case OPT_run_no_hle:
        r->opt.tuning.opts_off |= engine_opt_by_name("hle", 3);
        return 0;
    case OPT_run_no_cache:
        r->no_cache = true;
        return 0;
    case OPT_run_hot:
        return parse_hot(r, v);
    case OPT_run_opt:
        return parse_opts(r, v);
    case OPT_run_host_cpu:
        if (v[0] != 'v' || v[1] < '1' || v[1] > '4' || v[2] != '\0') {
            return cli_error(CMD_run, "%s: v1, v2, v3 or v4: %s", r->option, v);
        }
        r->opt.tuning.host_cpu = (uint32_t)(v[1] - '0');
        return 0;
    case OPT_run_check:
        if (strcmp(v, "lockstep") != 0 && strcmp(v, "border") != 0) {
            return cli_error(CMD_run, "%s: lockstep or border: %s", r->option, v);
        }
        r->opt.tuning.show &= ~(uint32_t)(ENGINE_LOCKSTEP | ENGINE_BORDER);
        r->opt.tuning.show |= v[0] == 'l' ? ENGINE_LOCKSTEP : ENGINE_BORDER;
        return 0;
    case OPT_run_dump:
        return parse_dump(r, v);
    case OPT_run_perf:
        if (v != NULL && strcmp(v, "map") != 0 && strcmp(v, "jitdump") != 0) {
            return cli_error(CMD_run, "%s: map or jitdump: %s", r->option, v);
        }
        r->opt.tuning.show &= ~(uint32_t)(ENGINE_PERF | ENGINE_JITDUMP);
        r->opt.tuning.show |= v != NULL && v[0] == 'j' ? ENGINE_JITDUMP : ENGINE_PERF;
        return 0;
    case OPT_run_stats:
        r->opt.stats = true;
        return 0;
    case OPT_run_uname:
        if (*v == 0 || strlen(v) > RELEASE_MAX) {
            return cli_error(CMD_run, "%s: a release has 1 to %d characters: '%s'", r->option, RELEASE_MAX, v);
        }
        r->opt.uname_release = v;
        return 0;
    case OPT_run_guest_base:
        err = parse_number(r, v, &n);
        if (err == 0 && (n % GUEST_PAGE != 0 || n > (UINT64_C(1) << 46))) {
            err = cli_error(CMD_run, "%s: a multiple of 4096, at most 2^46: %s", r->option, v);
        }
        r->opt.guest_base = n;
        return err;
    case OPT_run_strace:
        r->opt.strace = true;
        return 0;
    case OPT_run_verbose:
        r->opt.verbose = true;
        return 0;
    case OPT_run_gdb:
        r->gdb = v;
        return 0;
    case OPT_run_dump_state:
        if (v != NULL && strcmp(v, "json") != 0) {
            return cli_error(CMD_run, "%s: json or nothing: %s", r->option, v);
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

/* The variables that stand for options. What has no meaning for this program is not asked of it, unlike an option. */
static int
take_environment(struct run *r)
{
    struct opts o = {.cmd = CMD_run};
    int err = 0;
    for (int id; err == 0 && (id = opts_next_env(&o)) >= 0;) {
        r->option = o.shown;
        err = take_option(r, (enum opt_id)id, (char *)(uintptr_t)o.value);
    }
    return err;
}

/* The command line's. 0 and the index of PROGRAM; or an exit status after a message, or with r->stop. */
static int
take_options(struct run *r, int argc, char **argv, int *program)
{
    struct opts o = {.cmd = CMD_run, .argc = argc, .argv = argv, .next = 1};
    int id, err = 0;
    while (err == 0 && !r->stop && (id = opts_next(&o)) != OPTS_END) {
        if (id == OPTS_ERROR) {
            return EXIT_DOPPEL;
        }
        r->given |= UINT64_C(1) << id;
        r->option = o.shown;
        err = take_option(r, (enum opt_id)id, (char *)(uintptr_t)o.value);
    }
    *program = o.next;
    return err;
}

/* An option that would be without effect is a mistake of somebody's. */
static int
check_together(const struct run *r)
{
    static const struct {
        enum opt_id id;
        const char *text;
    } of_root[] = {{OPT_run_bind, "--bind: needs --root: without it the program sees the host's files"},
                   {OPT_run_vfs, "--vfs: needs --root: without it the host resolves paths"}};
    for (unsigned i = 0; i < ARRAY_LEN(of_root); i++) {
        if (is_given(r, of_root[i].id) && r->vfs.root == NULL) {
            return cli_error(CMD_run, "%s", of_root[i].text);
        }
    }
    if (is_given(r, OPT_run_sysroot) && r->vfs.root != NULL) {
        return cli_error(CMD_run, "--sysroot: not with --root, which is where all files are looked for");
    }
    if (is_given(r, OPT_run_check) && r->opt.engine != ENGINE_ADAPTIVE) {
        return cli_error(CMD_run, "--check: needs --engine=adaptive: nothing else has translations");
    }
    if (r->gdb != NULL && is_given(r, OPT_run_check)) {
        return cli_error(CMD_run, "--gdb: not with --check, which counts on code being what memory holds");
    }
    if (is_given(r, OPT_run_user) && !r->vfs.fake_root) {
        return cli_error(CMD_run, "--user: needs --fake-root: otherwise the program is you");
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
    s->nofile_max = rl.rlim_max;
    getrlimit(RLIMIT_AS, &rl);
    s->as = rl.rlim_cur;
    rl.rlim_cur = rl.rlim_max;
    setrlimit(RLIMIT_AS, &rl);
    getrlimit(RLIMIT_DATA, &rl);
    s->data = rl.rlim_cur;
    rl.rlim_cur = rl.rlim_max;
    setrlimit(RLIMIT_DATA, &rl);
}

/* The guest would see it: it lies in the guest's root, or in what is shown there. */
static bool
guest_sees(const struct run *r, int dir)
{
    if (r->vfs.root == NULL) {
        return false;
    }
    bool seen = false;
    struct stat st, top;
    int at = openat(dir, ".", O_PATH | O_DIRECTORY | O_CLOEXEC);
    for (bool more = at >= 0 && fstat(at, &st) == 0; more && !seen;) {
        struct stat shown;
        seen = stat(r->vfs.root, &shown) == 0 && shown.st_dev == st.st_dev && shown.st_ino == st.st_ino;
        for (size_t i = 0; i < r->vfs.nbinds && !seen; i++) {
            seen = stat(r->binds[i].host, &shown) == 0 && shown.st_dev == st.st_dev && shown.st_ino == st.st_ino;
        }
        const int up = openat(at, "..", O_PATH | O_DIRECTORY | O_CLOEXEC);
        top = st;
        more = up >= 0 && fstat(up, &st) == 0 && (st.st_dev != top.st_dev || st.st_ino != top.st_ino);
        close(at);
        at = up;
    }
    if (at >= 0) {
        close(at);
    }
    return seen;
}

/* The folder in which translations are kept: a descriptor, or -1. That it cannot be used is nothing that a program depends on. */
static int
open_cache(const struct run *r)
{
    char path[PATH_MAX];
    struct err e = {.text = ""};
    if (r->no_cache || r->gdb != NULL || r->opt.engine != ENGINE_ADAPTIVE || getauxval(AT_SECURE) != 0 ||
        !cache_folder(r->cache, path, sizeof path)) {
        return -1;
    }
    int dir = store_open(path, true, &e);
    if (dir >= 0 && guest_sees(r, dir)) {
        err_set(&e, 0, "%s: the program would see it", path);
        close(dir);
        dir = -1;
    }
    if (dir < 0 && r->opt.verbose) {
        fprintf(stderr, "doppel: translations are not kept: %s\n", e.text);
    }
    return dir < 0 ? -1 : dir;
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
    const char *dirs = run_env_get(&r->env, "PATH");
    while (dirs != NULL && *dirs != 0) {
        size_t n = strcspn(dirs, ":");
        if (n > 0 && snprintf(path, PATH_MAX, "%.*s/%s", (int)n, dirs, name) < PATH_MAX &&
            exec_find(t, AT_FDCWD, path, 0, f, im, NULL) == 0) {
            return 0;
        }
        dirs += n + (dirs[n] == ':');
    }
    err_set(e, 0, "%s: not here, and not in PATH", name);
    return err;
}

/* A debugger's connection, among the monitor's descriptors. 0, or -errno with *e. */
static int
wait_for_debugger(struct run *r, struct vfs *vfs, struct err *e)
{
    const int listening = gdb_listen(r->gdb, e);
    const int fd = listening >= 0 ? gdb_accept(listening) : listening;
    if (listening >= 0) {
        close(listening);
        if (fd < 0) {
            return err_set(e, fd, "wait for a debugger at %s", r->gdb);
        }
        r->opt.gdb_fd = vfs_fd_hide(vfs, fd);
        /* Breakpoints are in what is decoded and translated here, of the instructions that are there. */
        r->opt.tuning.opts_off |= engine_opt_by_name("hle", 3);
    }
    return fd < 0 ? fd : r->opt.gdb_fd < 0 ? err_set(e, r->opt.gdb_fd, "debugger") : 0;
}

/* The guest's environment, for the first program: run_env.h. */
static void
make_environment(struct run *r, struct task *t)
{
    if (r->vfs.root == NULL) {
        run_env_inherit(&r->env, environ);
        return;
    }
    const struct fake_ids *ids = fakeroot_ids(t);
    char *passwd = calloc(1, PASSWD_MAX + 1);
    CHECK(passwd != NULL);
    int fd = (int)vfs_openat(t, AT_FDCWD, "/etc/passwd", O_RDONLY | O_NONBLOCK, 0);
    if (fd >= 0) {
        elf_read_fd(&fd, passwd, PASSWD_MAX, 0);
        close(fd);
    }
    run_env_contain(&r->env, environ, ids != NULL ? ids->uid[FAKE_REAL] : getuid(), passwd);
    free(passwd);
}

/* Run argv[0] with its arguments. The exit status, unless the guest has ended the process. */
static int
start(struct run *r, int argc, char **argv)
{
    struct err e = {.text = ""};
    struct exec_start s = {.argv = NULL};
    if (cpu_model_parse(r->cpu != NULL ? r->cpu : "max", &r->opt.exts, &e) != 0) {
        return cli_error(CMD_run, "%s: %s", r->cpu_option, e.text);
    }
    if (r->opt.stack_bytes != 0) {
        struct rlimit rl;
        getrlimit(RLIMIT_STACK, &rl);
        rl.rlim_cur = r->opt.stack_bytes;
        setrlimit(RLIMIT_STACK, &rl);
    }
    take_limits(&s);
    r->opt.self_fd = open("/proc/self/exe", O_PATH | O_CLOEXEC);
    int log = fcntl(2, F_DUPFD_CLOEXEC, 3);
    r->vfs.binds = r->binds;
    r->vfs.sysroot = r->opt.sysroot;
    r->opt.host_root = r->vfs.root == NULL;
    r->opt.cache_fd = open_cache(r);
    r->vfs.fds_high = r->opt.tuning.show != 0; /* the engine opens files of its own */
    struct vfs *vfs;
    if (vfs_new(&vfs, &r->vfs, &e) != 0) {
        return cli_error(CMD_run, "%s", e.text);
    }
    r->opt.self_fd = r->opt.self_fd >= 0 ? vfs_fd_hide(vfs, r->opt.self_fd) : -1;
    r->opt.log_fd = log >= 0 ? vfs_fd_hide(vfs, log) : -1;
    r->opt.cache_fd = r->opt.cache_fd >= 0 ? vfs_fd_hide(vfs, r->opt.cache_fd) : -1;
    r->opt.prof_svg_fd = r->opt.prof_svg_fd >= 0 ? vfs_fd_hide(vfs, r->opt.prof_svg_fd) : -1;
    r->opt.prof_json_fd = r->opt.prof_json_fd >= 0 ? vfs_fd_hide(vfs, r->opt.prof_json_fd) : -1;
    struct task *t = process_new(&r->opt, vfs);
    if (t != NULL) {
        t->proc->first_pid = getpid();
    }
    struct elf_image *im = mmap(NULL, sizeof *im, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (t == NULL || im == MAP_FAILED) {
        return cli_error(CMD_run, "no memory");
    }
    make_environment(r, t);

    static struct exec_found found;
    char path[PATH_MAX];
    int err = find_program(r, t, argv[0], path, &found, im, &e);
    if (err != 0) {
        if (err == -ENOENT && r->vfs.root != NULL) {
            cli_error(CMD_run, "%s: not in %s (paths are inside of the root; --bind shows others)", e.text, r->vfs.root);
        } else {
            bool where = err == -ENOENT && im->has_interp; /* it is there, its interpreter is not */
            cli_error(CMD_run, "%s%s", e.text, where ? "; --root DIR or -L DIR says where such files are" : "");
        }
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
        exec_say_native(t, path);
        exec_limits(&s);
        execve(path, args, r->env.v);
        cli_error(CMD_run, "%s: %s", path, strerror(errno));
        return EXIT_CANNOT_EXECUTE;
    }
    munmap(im, sizeof *im);
    s.exe = found.exe;
    s.fd = found.fd;
    s.argv = args;
    s.envp = r->env.v;
    s.execfn = path;
    r->opt.secure = getauxval(AT_SECURE) != 0;
    r->opt.secure |= fakeroot_exec(t, found.fd, false);
    report_init();
    if (r->gdb != NULL && wait_for_debugger(r, vfs, &e) != 0) {
        return cli_error(CMD_run, "%s", e.text);
    }
    if (exec_begin(t, &s, &e) != 0 || (r->gdb != NULL && debug_begin(t, &e) != 0)) {
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
    r->opt.engine = ENGINE_ADAPTIVE;
    r->opt.guest_base = DEFAULT_BASE;
    r->opt.uname_release = DEFAULT_RELEASE;
    r->opt.sysroot = DEFAULT_SYSROOT;
    r->opt.prof_svg_fd = r->opt.prof_json_fd = r->opt.gdb_fd = -1;
    r->vfs.uid = r->vfs.gid = (uint32_t)-1;
}

int
cmd_run(int argc, char **argv)
{
    return run_profiled(argc, argv, NULL);
}

int
run_profiled(int argc, char **argv, const struct prof_options *prof)
{
    static struct run r; /* the guest's process refers to it to its end */
    defaults(&r);
    bool secure = getauxval(AT_SECURE) != 0;
    int program = 1, err = secure ? 0 : take_environment(&r);
    if (err == 0 && !secure) {
        err = take_options(&r, argc, argv, &program);
    }
    if (err == 0 && !r.stop) {
        err = check_together(&r);
    }
    if (err != 0 || r.stop) {
        return err;
    }
    if (program >= argc) {
        return cli_error(CMD_run, "no PROGRAM; see `doppel help run`");
    }
    if (argv[program][0] == 0) {
        cli_error(CMD_run, "the name of PROGRAM is empty");
        return EXIT_NOT_FOUND;
    }
    if (prof != NULL) {
        r.opt.engine = ENGINE_ADAPTIVE;
        r.opt.tuning.show = ENGINE_PROFILE;
        r.opt.prof_top = prof->top;
        r.opt.prof_svg_fd = prof->svg_fd;
        r.opt.prof_json_fd = prof->json_fd;
        r.no_cache = true;
    }
    return start(&r, argc - program, argv + program);
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
