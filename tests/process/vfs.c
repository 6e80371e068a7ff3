/*
 * vfs.c - the user view resolves paths as the kernel does
 *
 * The referee is the kernel in a chroot: the same operations, random but for a few that are known to be hard, are made
 * on two equal trees, on one by the host's system calls after chroot(2), on the other through vfs. Each result and the
 * trees at the end must be the same. Where neither root nor a user name space is to be had, the test is skipped.
 */
#include "process/vfs_impl.h"

#include <errno.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "vfs_work.h"

#define OPS 20000

enum call {
    DO_OPEN,
    DO_CREAT,
    DO_EXCL,
    DO_NOFOLLOW,
    DO_DIRECTORY,
    DO_PATH_NOFOLLOW,
    DO_STAT,
    DO_LSTAT,
    DO_ACCESS,
    DO_READLINK,
    DO_MKDIR,
    DO_MKFIFO,
    DO_UNLINK,
    DO_RMDIR,
    DO_RENAME,
    DO_EXCHANGE,
    DO_LINK,
    DO_LINK_FOLLOW,
    DO_SYMLINK,
    DO_CHMOD,
    DO_UTIME,
    DO_TRUNCATE,
    DO_CHDIR,
    DO_GETCWD,
    DO_STATFS,
    DO_XATTR,
    DO_LXATTR,
    DO_COUNT
};

struct result {
    int64_t ret;
    uint64_t what; /* of the object: type, permissions, size, links; or a hash of text */
};

/* One side: the host's calls, or vfs. */
static struct task *task; /* NULL: the host's */

static int64_t
do_open(int dir, const char *p, int flags, mode_t mode)
{
    return task ? vfs_openat(task, dir, p, flags, mode) : host_syscall(SYS_openat, dir, p, flags, mode);
}

static uint64_t
hash(const char *s, size_t n)
{
    uint64_t h = 1469598103934665603u;
    for (size_t i = 0; i < n; i++) {
        h = (h ^ (unsigned char)s[i]) * 1099511628211u;
    }
    return h;
}

static uint64_t
what(const struct stat *st)
{
    return (uint64_t)st->st_mode << 32 | (uint64_t)(S_ISREG(st->st_mode) ? st->st_size : 0) << 8 | st->st_nlink;
}

static struct result
do_op(enum call op, int dir, const char *a, const char *b)
{
    struct result res = {0};
    struct stat st;
    char buf[PATH_MAX];
    int64_t r = 0;
    int open_flags = -1;
    struct task *t = task;
    switch (op) {
    case DO_OPEN:
        open_flags = O_RDONLY;
        break;
    case DO_CREAT:
        open_flags = O_RDWR | O_CREAT;
        break;
    case DO_EXCL:
        open_flags = O_WRONLY | O_CREAT | O_EXCL;
        break;
    case DO_NOFOLLOW:
        open_flags = O_RDONLY | O_NOFOLLOW;
        break;
    case DO_DIRECTORY:
        open_flags = O_RDONLY | O_DIRECTORY;
        break;
    case DO_PATH_NOFOLLOW:
        open_flags = O_PATH | O_NOFOLLOW;
        break;
    case DO_STAT:
    case DO_LSTAT: {
        int f = op == DO_LSTAT ? AT_SYMLINK_NOFOLLOW : 0;
        r = t ? vfs_fstatat(t, dir, a, &st, f) : host_syscall(SYS_newfstatat, dir, a, &st, f);
        res.what = r == 0 ? what(&st) : 0;
        break;
    }
    case DO_ACCESS:
        r = t ? vfs_faccessat(t, dir, a, X_OK, 0) : host_syscall(SYS_faccessat2, dir, a, X_OK, 0);
        break;
    case DO_READLINK:
        r = t ? vfs_readlinkat(t, dir, a, buf, sizeof buf) : host_syscall(SYS_readlinkat, dir, a, buf, sizeof buf);
        res.what = r > 0 ? hash(buf, (size_t)r) : 0;
        break;
    case DO_MKDIR:
        r = t ? vfs_mkdirat(t, dir, a, 0755) : host_syscall(SYS_mkdirat, dir, a, 0755);
        break;
    case DO_MKFIFO:
        r = t ? vfs_mknodat(t, dir, a, S_IFIFO | 0644, 0) : host_syscall(SYS_mknodat, dir, a, S_IFIFO | 0644, 0);
        break;
    case DO_UNLINK:
        r = t ? vfs_unlinkat(t, dir, a, 0) : host_syscall(SYS_unlinkat, dir, a, 0);
        break;
    case DO_RMDIR:
        r = t ? vfs_unlinkat(t, dir, a, AT_REMOVEDIR) : host_syscall(SYS_unlinkat, dir, a, AT_REMOVEDIR);
        break;
    case DO_RENAME:
    case DO_EXCHANGE: {
        unsigned f = op == DO_EXCHANGE ? 2 : 0;
        r = t ? vfs_renameat2(t, dir, a, AT_FDCWD, b, f) : host_syscall(SYS_renameat2, dir, a, AT_FDCWD, b, f);
        break;
    }
    case DO_LINK:
    case DO_LINK_FOLLOW: {
        int f = op == DO_LINK_FOLLOW ? AT_SYMLINK_FOLLOW : 0;
        r = t ? vfs_linkat(t, dir, a, AT_FDCWD, b, f) : host_syscall(SYS_linkat, dir, a, AT_FDCWD, b, f);
        break;
    }
    case DO_SYMLINK:
        r = t ? vfs_symlinkat(t, b, dir, a) : host_syscall(SYS_symlinkat, b, dir, a);
        break;
    case DO_CHMOD:
        r = t ? vfs_fchmodat(t, dir, a, 0750, 0) : host_syscall(SYS_fchmodat, dir, a, 0750);
        break;
    case DO_UTIME: {
        const struct timespec ts[2] = {{1, 2}, {3, 4}};
        r = t ? vfs_utimensat(t, dir, a, ts, AT_SYMLINK_NOFOLLOW)
              : host_syscall(SYS_utimensat, dir, a, ts, AT_SYMLINK_NOFOLLOW);
        break;
    }
    case DO_TRUNCATE:
        r = t ? vfs_truncate(t, a, 5) : host_syscall(SYS_truncate, a, 5);
        break;
    case DO_CHDIR:
        r = t ? vfs_chdir(t, a) : host_syscall(SYS_chdir, a);
        break;
    case DO_GETCWD:
        r = t ? vfs_getcwd(t, buf, sizeof buf) : host_syscall(SYS_getcwd, buf, sizeof buf);
        res.what = r > 0 ? hash(buf, (size_t)r) : 0;
        break;
    case DO_STATFS:
        r = t ? vfs_statfs(t, a, (struct statfs *)buf) : host_syscall(SYS_statfs, a, buf);
        break;
    case DO_XATTR:
    case DO_LXATTR: {
        const struct vfs_xattr x = {.path = a, .follow = op == DO_XATTR};
        r = t ? vfs_setxattr(t, &x, "user.test", "v", 1, 0)
              : host_syscall(x.follow ? SYS_setxattr : SYS_lsetxattr, a, "user.test", "v", 1, 0);
        break;
    }
    case DO_COUNT:
        break;
    }
    if (open_flags >= 0) {
        r = do_open(dir, a, open_flags | O_NONBLOCK, 0640);
        if (r >= 0) {
            host_syscall(SYS_fstat, r, &st);
            res.what = what(&st);
            host_syscall(SYS_close, r);
            r = 0;
        }
    }
    res.ret = r;
    return res;
}

/* A path of few words, so that paths meet; `seed` makes it the same on both sides. */
static void
make_path(unsigned *seed, char *out)
{
    static const char *const words[] = {"a", "b", "c", "d", "up", "abs", "loop", "dang", "self", "f", "g", ".", ".."};
    size_t n = 0, parts = 1 + (unsigned)rand_r(seed) % 4;
    if (rand_r(seed) % 3 == 0) {
        out[n++] = '/';
    }
    for (size_t i = 0; i < parts; i++) {
        const char *w = words[(unsigned)rand_r(seed) % (sizeof words / sizeof words[0])];
        n += (size_t)sprintf(out + n, "%s%s", i > 0 ? (rand_r(seed) % 9 == 0 ? "//" : "/") : "", w);
    }
    if (rand_r(seed) % 6 == 0) {
        strcpy(out + n, "/");
    }
}

static void
run_ops(struct result *res)
{
    unsigned seed = 7;
    int dir = (int)do_open(AT_FDCWD, "/a", O_PATH | O_DIRECTORY, 0);
    for (int i = 0; i < OPS; i++) {
        char a[256], b[256];
        enum call op = (enum call)((unsigned)rand_r(&seed) % DO_COUNT);
        make_path(&seed, a);
        make_path(&seed, b);
        int from = rand_r(&seed) % 4 == 0 ? dir : AT_FDCWD;
        if (i % 500 == 0) { /* a tree that has lost everything teaches nothing more */
            do_op(DO_CHDIR, AT_FDCWD, "/", "");
            static const char *const dirs[] = {"/a", "/b", "/a/b", "/a/b/c", "/b/d", "/a/c"};
            for (size_t k = 0; k < sizeof dirs / sizeof dirs[0]; k++) {
                do_op(DO_MKDIR, AT_FDCWD, dirs[k], "");
            }
            static const char *const links[][2] = {{"/a/up", ".."},      {"/up", "a/b/../.."}, {"/a/abs", "/b"},
                                                   {"/abs", "/a/b/"},    {"/loop", "a/loop"},  {"/a/loop", "/loop"},
                                                   {"/dang", "a/f"},     {"/a/dang", "../g"},  {"/b/self", "."},
                                                   {"/self", "/../../a"}};
            for (size_t k = 0; k < sizeof links / sizeof links[0]; k++) {
                do_op(DO_SYMLINK, AT_FDCWD, links[k][0], links[k][1]);
            }
        }
        res[i] = do_op(op, from, a, b);
    }
}

static void
describe(int i, enum call *op, char *a, char *b, bool *at_dir)
{
    unsigned seed = 7;
    for (int k = 0; k <= i; k++) {
        *op = (enum call)((unsigned)rand_r(&seed) % DO_COUNT);
        make_path(&seed, a);
        make_path(&seed, b);
        *at_dir = rand_r(&seed) % 4 == 0;
    }
}

static bool
kernel_chroot(const char *dir)
{
    if (chroot(dir) < 0) {
        if (unshare(CLONE_NEWUSER) < 0 || chroot(dir) < 0) {
            return false;
        }
    }
    return chdir("/") == 0;
}

static struct result *
side(bool user, const char *dir)
{
    struct result *res = mmap(NULL, OPS * sizeof *res, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    pid_t pid = fork();
    if (pid == 0) {
        umask(022);
        if (user) {
            const struct vfs_config c = {.root = dir, .cwd = "/", .backend = VFS_USER};
            task = new_task(&c);
        } else if (!kernel_chroot(dir)) {
            _exit(77);
        }
        run_ops(res);
        _exit(0);
    }
    int status;
    waitpid(pid, &status, 0);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 77) {
        return NULL;
    }
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    return res;
}

static void
same_as_kernel(void **state)
{
    (void)state;
    char one[128], two[128], cmd[512];
    snprintf(one, sizeof one, "%s/kernel", work);
    snprintf(two, sizeof two, "%s/user", work);
    assert_int_equal(mkdir(one, 0755), 0);
    assert_int_equal(mkdir(two, 0755), 0);
    struct result *want = side(false, one);
    if (want == NULL) {
        skip();
    }
    struct result *have = side(true, two);
    int bad = 0;
    for (int i = 0; i < OPS && bad < 20; i++) {
        if (want[i].ret != have[i].ret || want[i].what != have[i].what) {
            char a[256], b[256];
            enum call op;
            bool at_dir;
            describe(i, &op, a, b, &at_dir);
            fprintf(stderr, "# %d: op %d %s%s %s: kernel %lld %llx, user %lld %llx\n", i, op, at_dir ? "(/a) " : "", a, b,
                    (long long)want[i].ret, (unsigned long long)want[i].what, (long long)have[i].ret,
                    (unsigned long long)have[i].what);
            bad++;
        }
    }
    assert_int_equal(bad, 0);
    snprintf(cmd, sizeof cmd, "cd %s && find . -printf '%%p %%y %%m %%n %%l\\n' | sort > ../one; cd %s && find . -printf "
             "'%%p %%y %%m %%n %%l\\n' | sort > ../two; cmp ../one ../two", one, two);
    assert_int_equal(system(cmd), 0);
}

static int
make_work(void **state)
{
    (void)state;
    return work_make() ? 0 : -1;
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(same_as_kernel),
    };
    return cmocka_run_group_tests(tests, make_work, work_remove);
}
