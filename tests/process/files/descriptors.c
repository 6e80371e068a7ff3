/* descriptors.c - lowest number first; dup3, fcntl, close_range, pipe2, and limits */
#include "../abi.h"
#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/timerfd.h>
#include <sys/un.h>

/* All numbers below `limit` are in use, but for those that are closed here. */
static void
full(int limit)
{
    while (dup(0) >= 0) {
    }
    EQUAL(errno, EMFILE);
    CHECK(fcntl(limit - 1, F_GETFD) >= 0 && fcntl(limit, F_GETFD) < 0);
}

/* Every call that makes a descriptor obeys the soft limit, before it has done anything. */
static void
limits(void)
{
    enum { LIMIT = 40 };
    struct rlimit rl, old;
    int fds[2], pair[2], ports[2];
    char name[] = "/tmp/doppel-limit-XXXXXX", made[64];
    CHECK(getrlimit(RLIMIT_NOFILE, &old) == 0 && mkdtemp(name) != NULL);
    snprintf(made, sizeof made, "%s/made", name);
    EQUAL(dup2(0, LIMIT + 5), LIMIT + 5); /* what is open stays */
    rl = (struct rlimit){LIMIT, old.rlim_max};
    CHECK(setrlimit(RLIMIT_NOFILE, &rl) == 0 && getrlimit(RLIMIT_NOFILE, &rl) == 0 && rl.rlim_cur == LIMIT);
    CHECK(fcntl(LIMIT + 5, F_GETFD) == 0 && close(LIMIT + 5) == 0);
    EQUAL(fcntl(0, F_DUPFD, LIMIT), -1);
    EQUAL(errno, EINVAL);
    EQUAL(dup2(0, LIMIT), -1);
    EQUAL(errno, EBADF);
    EQUAL(dup2(0, LIMIT - 1), LIMIT - 1);
    EQUAL(fcntl(0, F_DUPFD, LIMIT - 1), -1);
    EQUAL(errno, EMFILE);
    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, ports) == 0);
    int sfd = signalfd(-1, &(sigset_t){0}, 0), listener = socket(AF_UNIX, SOCK_STREAM, 0), client = socket(AF_UNIX, SOCK_STREAM, 0);
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    snprintf(un.sun_path, sizeof un.sun_path, "%s/sock", name);
    CHECK(bind(listener, (struct sockaddr *)&un, sizeof un) == 0 && listen(listener, 4) == 0);
    CHECK(connect(client, (struct sockaddr *)&un, sizeof un) == 0);
    union {
        struct cmsghdr c;
        char bytes[CMSG_SPACE(3 * sizeof(int))];
    } u;
    struct msghdr m = {.msg_iov = &(struct iovec){"x", 1}, .msg_iovlen = 1, .msg_control = &u, .msg_controllen = sizeof u};
    u.c = (struct cmsghdr){.cmsg_len = CMSG_LEN(3 * sizeof(int)), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS};
    memcpy(CMSG_DATA(&u.c), (int[]){0, 1, 2}, 3 * sizeof(int));
    EQUAL(sendmsg(ports[0], &m, 0), 1);
    full(LIMIT);
    int got[] = {open("/", O_RDONLY), open("/no such file", O_RDONLY), open(made, O_CREAT | O_WRONLY, 0600), socket(AF_INET, SOCK_STREAM, 0),
                 accept(listener, NULL, NULL), epoll_create1(0), eventfd(0, 0), timerfd_create(CLOCK_MONOTONIC, 0), inotify_init1(0),
                 pipe(fds), socketpair(AF_UNIX, SOCK_STREAM, 0, pair), (int)syscall(SYS_pidfd_open, getpid(), 0),
                 signalfd(-1, &(sigset_t){0}, 0), fcntl(0, F_DUPFD_CLOEXEC, 0)};
    for (unsigned i = 0; i < sizeof got / sizeof *got; i++) {
        if (got[i] != -1) {
            EQUAL(i, -1);
        }
    }
    EQUAL(errno, EMFILE);
    EQUAL(access(made, F_OK), -1);
    EQUAL(signalfd(sfd, &(sigset_t){0}, 0), sfd);
    CHECK(dup2(1, 10) == 10 && close(20) == 0);
    EQUAL(pipe(fds), -1); /* room for one is not enough, and it is given back */
    EQUAL(errno, EMFILE);
    EQUAL(accept(listener, NULL, NULL), 20); /* the connection has waited */
    close(20);
    close(21);
    m.msg_iov = &(struct iovec){made, 1};
    m.msg_controllen = sizeof u;
    EQUAL(recvmsg(ports[1], &m, 0), 1);
    CHECK((m.msg_flags & MSG_CTRUNC) && u.c.cmsg_type == SCM_RIGHTS);
    EQUAL(u.c.cmsg_len, CMSG_LEN(2 * sizeof(int)));
    EQUAL(open("/", O_RDONLY), -1);
    EQUAL(errno, EMFILE);
    CHECK(setrlimit(RLIMIT_NOFILE, &old) == 0);
    EQUAL(dup(0), LIMIT);
    rl = (struct rlimit){30, 1000};
    CHECK(setrlimit(RLIMIT_NOFILE, &rl) == 0 && getrlimit(RLIMIT_NOFILE, &rl) == 0 && rl.rlim_max == 1000);
    pid_t pid = vfork();
    if (pid == 0) {
        setrlimit(RLIMIT_NOFILE, &(struct rlimit){7, 8});
        _exit(0);
    }
    CHECK(waitpid(pid, NULL, 0) == pid && getrlimit(RLIMIT_NOFILE, &rl) == 0 && rl.rlim_cur == 30 && rl.rlim_max == 1000);
    unlink(un.sun_path);
    rmdir(name);
}

int
main(void)
{
    close(0);
    EQUAL(open("/dev/null", O_RDONLY), 0);
    int a = open("/", O_RDONLY | O_DIRECTORY), b = dup(a);
    EQUAL(b, a + 1);
    close(a);
    EQUAL(openat(b, "dev/null", O_RDWR), a);
    close(a);
    EQUAL(open("/proc/self/stat", O_RDONLY), a);
    EQUAL(fcntl(b, F_DUPFD, 100), 100);
    EQUAL(fcntl(b, F_DUPFD_CLOEXEC, 100), 101);
    EQUAL(fcntl(101, F_GETFD), FD_CLOEXEC);
    EQUAL(dup3(b, b, 0), -1);
    EQUAL(errno, EINVAL);
    EQUAL(dup2(b, b), b);
    EQUAL(dup3(b, 50, O_CLOEXEC), 50);
    EQUAL(dup3(b, 50, 1), -1);
    EQUAL(errno, EINVAL);
    EQUAL(dup2(b, -1), -1);
    EQUAL(errno, EBADF);
    EQUAL(dup2(99, 98), -1);
    EQUAL(errno, EBADF);
#ifdef __riscv /* older kernels than 6.6 took a long */
    EQUAL(syscall(SYS_fcntl, b, F_DUPFD, 0x100000000 + 60), 60);
    close(60);
#endif
    EQUAL(fcntl(b, 9999), -1);
    EQUAL(errno, EINVAL);
    EQUAL(fcntl(77, F_GETFD), -1);
    EQUAL(errno, EBADF);
    EQUAL(syscall(SYS_close_range, 50, 200, 0), 0);
    EQUAL(fcntl(100, F_GETFD), -1);
    EQUAL(syscall(SYS_close_range, 5, 4, 0), -1);
    EQUAL(errno, EINVAL);
    int fds[2];
    EQUAL(pipe2(fds, O_CLOEXEC | O_NONBLOCK), 0);
    char c;
    EQUAL(read(fds[0], &c, 1), -1);
    EQUAL(errno, EAGAIN);
    CHECK(fcntl(fds[1], F_GETFL) == (O_WRONLY | O_NONBLOCK));
    EQUAL(pipe2(fds, 1), -1);
    EQUAL(errno, EINVAL);
    struct rlimit rl;
    CHECK(getrlimit(RLIMIT_NOFILE, &rl) == 0 && rl.rlim_cur <= rl.rlim_max);
    EQUAL(dup2(0, (int)rl.rlim_max), -1);
    EQUAL(errno, EBADF);
    EQUAL(fcntl(0, F_DUPFD, (int)rl.rlim_max), -1);
    EQUAL(errno, EINVAL);
    EQUAL(syscall(SYS_close_range, 3, ~0u, 0), 0);
    EQUAL(open("/dev/null", O_RDONLY), 3);
    limits();
    return 0;
}
