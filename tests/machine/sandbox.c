/*
 * sandbox.c - what cannot be done any more behind the walls, and what still can
 *
 * Each case is a child that locks itself in, as for one kind of machine, and tries.
 */
#include "machine/machine.h"
#include "machine/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static struct machine_config plain, with_net = {.net = {.kind = NET_USER}}, with_share, with_translator = {.engine = ENGINE_ADAPTIVE};
static struct sandbox walls;

/* What a child returns, or 1000 + its signal. */
static int
inside(const struct machine_config *cfg, int (*f)(void))
{
    fflush(NULL);
    const pid_t pid = fork();
    if (pid == 0) {
        struct err e = {""};
        sandbox_enter(&walls, cfg);
        if (sandbox_lock(&walls, cfg, &e) < 0) {
            _exit(99);
        }
        _exit(f());
    }
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
}

/* A child that got exactly as far as it should returns 0, else the number of the step that went wrong. */
#define STEP(n, x) \
    do { \
        if (!(x)) { \
            return n; \
        } \
    } while (0)

static bool
refused(long r)
{
    return r < 0 && (errno == EPERM || errno == EACCES || errno == ENOENT || errno == EROFS);
}

static int
files(void)
{
    STEP(1, refused(open("/etc/passwd", O_RDONLY)));
    STEP(2, refused(open("/", O_RDONLY | O_DIRECTORY)));
    STEP(3, refused(open("/tmp/doppel-sandbox", O_WRONLY | O_CREAT, 0600)));
    STEP(4, refused(open("/proc/self/mem", O_RDWR)));
    STEP(5, refused(mkdir("/tmp/doppel-sandbox", 0700)));
    STEP(6, refused(unlink("/tmp/doppel-sandbox")));
    STEP(7, refused(symlink("x", "/tmp/doppel-sandbox")));
    STEP(8, refused(syscall(SYS_open, "/etc/passwd", O_RDONLY)));
    return 0;
}

static int
processes(void)
{
    STEP(1, refused(kill(getppid(), 0)));
    STEP(2, refused(kill(getppid(), SIGTERM)));
    STEP(3, refused(syscall(SYS_tgkill, getppid(), getppid(), SIGTERM)));
    STEP(4, refused(syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0)));
    STEP(5, syscall(SYS_clone3, NULL, 0) < 0 && errno == ENOSYS);
    STEP(6, refused(syscall(SYS_pidfd_open, getppid(), 0)));
    STEP(7, refused(prctl(PR_SET_DUMPABLE, 1)));
    STEP(8, refused(setuid(0)));
    return 0;
}

static int
sockets(void)
{
    STEP(1, refused(socket(AF_INET, SOCK_STREAM, 0)));
    STEP(2, refused(socket(AF_UNIX, SOCK_STREAM, 0)));
    STEP(3, refused(socket(AF_NETLINK, SOCK_RAW, 0)));
    STEP(4, refused(ioctl(0, TIOCSTI, "x")));
    return 0;
}

static int
code(void)
{
    STEP(1, mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED && errno == EPERM);
    void *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    STEP(2, p != MAP_FAILED);
    STEP(3, mprotect(p, 4096, PROT_READ | PROT_EXEC) < 0 && errno == EPERM);
    STEP(4, mprotect(p, 4096, PROT_READ) == 0);
    return 0;
}

static int
code_may(void)
{
    return mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED;
}

static int
executes(void)
{
    execl("/bin/true", "true", NULL);
    return 0;
}

static int
traces(void)
{
    ptrace(PTRACE_ATTACH, getppid(), 0, 0);
    return 0;
}

static int
mounts(void)
{
    syscall(SYS_mount, "none", "/", "tmpfs", 0, NULL);
    return 0;
}

static int
loads(void)
{
    syscall(SYS_bpf, 0, NULL, 0);
    return 0;
}

static void *
thread(void *arg)
{
    prctl(PR_SET_NAME, "thread");
    *(int *)arg = open("/etc/passwd", O_RDONLY) < 0;
    return arg;
}

/* What harts and devices need. */
static int
works(void)
{
    pthread_t t;
    int locked_in = 0;
    STEP(1, pthread_create(&t, NULL, thread, &locked_in) == 0);
    STEP(2, pthread_join(t, NULL) == 0 && locked_in);
    char *p = malloc(64 << 20);
    STEP(3, p != NULL);
    memset(p, 1, 64 << 20);
    free(p);
    STEP(4, write(STDERR_FILENO, "", 0) == 0);
    STEP(5, nanosleep(&(struct timespec){0, 1000}, NULL) == 0);
    STEP(6, walls.seccomp && prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 1); /* the question is not allowed, either */
    return 0;
}

static int
ends(void)
{
    abort();
}

static int
net(void)
{
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    STEP(1, fd >= 0);
    STEP(2, socket(AF_INET6, SOCK_DGRAM, 0) >= 0 || errno == EAFNOSUPPORT);
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(1), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    STEP(3, connect(fd, (struct sockaddr *)&a, sizeof a) == 0 || errno == ECONNREFUSED);
    STEP(4, walls.landlock < 4 || (a.sin_port = htons(34567), refused(bind(fd, (struct sockaddr *)&a, sizeof a))));
    STEP(5, refused(socket(AF_UNIX, SOCK_STREAM, 0)));
    STEP(6, walls.landlock == 0 || refused(open("/etc/passwd", O_RDONLY)));
    STEP(7, access("/etc/resolv.conf", R_OK) != 0 || open("/etc/resolv.conf", O_RDONLY) >= 0);
    return 0;
}

static int folder;

static int
share(void)
{
    const int fd = openat(folder, "file", O_RDWR | O_CREAT, 0600);
    STEP(1, fd >= 0);
    STEP(2, write(fd, "x", 1) == 1);
    STEP(3, mkdirat(folder, "sub", 0700) == 0 && renameat(folder, "file", folder, "sub/file") == 0);
    STEP(4, unlinkat(folder, "sub/file", 0) == 0 && unlinkat(folder, "sub", AT_REMOVEDIR) == 0);
    STEP(5, walls.landlock == 0 || refused(openat(folder, "../../../../../../../etc/passwd", O_RDONLY)));
    STEP(6, walls.landlock == 0 || refused(open("/etc/passwd", O_RDONLY)));
    return 0;
}

static void
refusals(void **state)
{
    (void)state;
    assert_int_equal(inside(&plain, files), 0);
    assert_int_equal(inside(&plain, processes), 0);
    assert_int_equal(inside(&plain, sockets), 0);
    assert_int_equal(inside(&plain, code), 0);
    assert_int_equal(inside(&with_net, processes), 0);
    assert_int_equal(inside(&with_net, code), 0);
}

static void
deaths(void **state)
{
    (void)state;
    assert_int_equal(inside(&plain, executes), 1000 + SIGSYS);
    assert_int_equal(inside(&plain, traces), 1000 + SIGSYS);
    assert_int_equal(inside(&plain, mounts), 1000 + SIGSYS);
    assert_int_equal(inside(&plain, loads), 1000 + SIGSYS);
}

static void
permissions(void **state)
{
    (void)state;
    assert_int_equal(inside(&plain, works), 0);
    assert_int_equal(inside(&plain, ends), 1000 + SIGABRT);
    assert_int_equal(inside(&with_net, works), 0);
    assert_int_equal(inside(&with_net, net), 0);
    assert_int_equal(inside(&with_translator, code_may), 0);
}

static void
shared(void **state)
{
    (void)state;
    char path[] = "/tmp/doppel-sandbox-XXXXXX";
    assert_non_null(mkdtemp(path));
    folder = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    with_share = (struct machine_config){.n_shares = 1, .shares = {{.fd = folder, .tag = "t"}}};
    assert_int_equal(inside(&with_share, share), 0);
    rmdir(path);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(refusals),
        cmocka_unit_test(deaths),
        cmocka_unit_test(permissions),
        cmocka_unit_test(shared),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
