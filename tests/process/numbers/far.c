/* far.c - numbers of descriptors that are large, whoever makes them: nothing else lives among them */
#include "../abi.h"
#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdbool.h>
#include <signal.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/select.h>
#include <sys/socket.h>

#ifndef CLOSE_RANGE_CLOEXEC
#define CLOSE_RANGE_CLOEXEC 4
#endif

extern char **environ;
static int limit; /* numbers are below this */

/* Which numbers are open, as `dir` lists them, are `n` and sum up to `sum`; the listing's own does not count. */
static void
listed(const char *dir, int n, long sum)
{
    DIR *d = opendir(dir);
    CHECK(d != NULL);
    for (struct dirent *e; (e = readdir(d)) != NULL;) {
        if (e->d_name[0] != '.' && (strstr(dir, "self") == NULL || atoi(e->d_name) != dirfd(d))) {
            n--;
            sum -= atoi(e->d_name);
        }
    }
    closedir(d);
    EQUAL(n, 0);
    EQUAL(sum, 0);
}

/* Each number from 3 on, asked one by one, is open exactly if it is in list[n]. */
static void
open_are(const int *list, int n)
{
    long sum = 3;
    for (int i = 0; i < n; i++) {
        sum += list[i];
    }
    for (int fd = 3; fd < limit + 100; fd++) {
        bool want = false;
        for (int i = 0; i < n; i++) {
            want |= fd == list[i];
        }
        if ((fcntl(fd, F_GETFD) >= 0) != want) {
            EQUAL(fd, -1);
        }
    }
    listed("/proc/self/fd", 3 + n, sum);
    listed("/proc/self/fdinfo", 3 + n, sum);
}

static void
close_all(void)
{
    for (int fd = 3; fd < limit; fd++) {
        close(fd);
    }
    open_are(NULL, 0);
}

/* In a process of its own, so that each begins with small numbers. */
static void
apart(void (*fn)(void))
{
    int status;
    pid_t pid = fork();
    if (pid == 0) {
        fn();
        /* Whatever has become of the numbers, processes and programs can be made. */
        pid_t child = fork();
        if (child == 0) {
            execl("/proc/self/exe", "far", "plain", NULL);
            _exit(3);
        }
        CHECK(waitpid(child, &status, 0) == child && status == 0);
        CHECK(posix_spawn(&child, "/proc/self/exe", NULL, NULL, (char *[]){"far", "plain", NULL}, environ) == 0);
        CHECK(waitpid(child, &status, 0) == child && status == 0);
        _exit(0);
    }
    CHECK(waitpid(pid, &status, 0) == pid);
    EQUAL(status, 0);
}

static void
by_dup2(void)
{
    const int at[] = {200, 255, 271, 272, 300, 383, 384, 385, 386, 387, 388, 392, 500, limit - 1};
    enum { N = sizeof at / sizeof *at };
    for (int i = N; i-- > 0;) {
        EQUAL(dup2(1, at[i]), at[i]);
        EQUAL(fcntl(at[i], F_GETFD), 0);
    }
    open_are(at, N);
    close(384);
    EQUAL(close(384), -1);
    EQUAL(errno, EBADF);
    EQUAL(fcntl(1, F_DUPFD, 380), 380);
    EQUAL(fcntl(1, F_DUPFD, 383), 384);
    EQUAL(fcntl(1, F_DUPFD_CLOEXEC, 388), 389);
    EQUAL(dup2(1, limit), -1);
    EQUAL(errno, EBADF);
    close_all();
}

static void
by_dupfd(void)
{
    for (int i = 0; i < 20; i++) {
        EQUAL(fcntl(1, F_DUPFD_CLOEXEC, 380), 380 + i);
    }
    EQUAL(syscall(SYS_close_range, 381, 390, 0), 0);
    EQUAL(fcntl(1, F_DUPFD_CLOEXEC, 380), 381);
    EQUAL(syscall(SYS_close_range, 3, ~0U, 0), 0);
    open_are(NULL, 0);
}

/* As many as may be, one after the other: there is no gap. */
static void
by_open(void)
{
    for (int fd = 3; fd < limit; fd++) {
        EQUAL(fd % 3 ? open("/dev/null", O_RDONLY) : dup(1), fd);
    }
    EQUAL(dup(1), -1);
    EQUAL(errno, EMFILE);
    pid_t pid = fork();
    if (pid == 0) {
        CHECK(fcntl(limit - 1, F_GETFD) == 0);
        _exit(0);
    }
    CHECK(waitpid(pid, NULL, 0) == pid);
    EQUAL(syscall(SYS_close_range, 100, limit - 1, CLOSE_RANGE_CLOEXEC), 0);
    CHECK(fcntl(99, F_GETFD) == 0 && fcntl(100, F_GETFD) == FD_CLOEXEC && fcntl(385, F_GETFD) == FD_CLOEXEC);
    close_all();
}

static void
by_pairs(void)
{
    int fds[2];
    for (int fd = 3; fd < 501; fd += 2) {
        CHECK(pipe(fds) == 0);
        EQUAL(fds[0], fd);
        EQUAL(fds[1], fd + 1);
    }
    close_all();
}

/* 253 in one message, which is the most. */
static void
by_message(void)
{
    enum { N = 253 };
    int ports[2], nulls[N];
    static union {
        struct cmsghdr c;
        char bytes[CMSG_SPACE(N * sizeof(int))];
    } u;
    struct msghdr m = {.msg_iov = &(struct iovec){&(char){'x'}, 1}, .msg_iovlen = 1, .msg_control = &u, .msg_controllen = sizeof u};
    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, ports) == 0);
    for (int i = 0; i < N; i++) {
        nulls[i] = 1;
    }
    for (int round = 0; round < 2; round++) {
        u.c = (struct cmsghdr){.cmsg_len = CMSG_LEN(N * sizeof(int)), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS};
        memcpy(CMSG_DATA(&u.c), nulls, sizeof nulls);
        m.msg_controllen = sizeof u;
        EQUAL(sendmsg(ports[0], &m, 0), 1);
        memset(&u, 0, sizeof u);
        EQUAL(recvmsg(ports[1], &m, 0), 1);
        EQUAL(m.msg_flags & MSG_CTRUNC, 0);
        for (int i = 0; i < N; i++) {
            int fd;
            memcpy(&fd, CMSG_DATA(&u.c) + (size_t)i * sizeof fd, sizeof fd);
            EQUAL(fd, 5 + round * N + i);
        }
    }
    close_all();
}

/* Asked by number, but not to be made: nothing is there. */
static void
by_name(void)
{
    struct pollfd p[2] = {{.fd = 1}, {.fd = 0}};
    int pidfd = (int)syscall(SYS_pidfd_open, getpid(), 0);
    char name[64];
    for (int fd = 380; fd < 400; fd++) {
        p[1].fd = fd;
        p[1].events = POLLIN | POLLOUT;
        CHECK(poll(p, 2, 0) >= 1 && p[1].revents == POLLNVAL);
        EQUAL(write(fd, "x", 1), -1);
        EQUAL(errno, EBADF);
        EQUAL(mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, fd, 0) == MAP_FAILED, 1);
        EQUAL(errno, EBADF);
        EQUAL(openat(fd, "etc", O_RDONLY), -1);
        EQUAL(errno, EBADF);
        EQUAL(syscall(SYS_pidfd_getfd, pidfd, fd, 0), -1);
        EQUAL(errno, EBADF);
        for (int i = 0; i < 3; i++) {
            snprintf(name, sizeof name, i == 0 ? "/proc/self/fd/%d" : i == 1 ? "/proc/self/fdinfo/%d" : "/dev/fd/%d", fd);
            EQUAL(access(name, F_OK), -1);
            EQUAL(errno, ENOENT);
        }
    }
    close(pidfd);
    int e = dup2(1, 420), n = dup(1);
    fd_set set;
    FD_ZERO(&set);
    FD_SET(385, &set);
    EQUAL(select(1000, NULL, &set, NULL, &(struct timeval){0, 0}), -1);
    EQUAL(errno, EBADF);
    close(e);
    close(n);
    open_are(NULL, 0);
}

/* A child that shares this memory, but not these numbers. */
static void
by_vfork(void)
{
    for (volatile int round = 0; round < 3; round++) {
        int status;
        pid_t pid = vfork();
        if (pid == 0) {
            for (int i = 380; i < 400; i++) {
                if (dup3(1, i, O_CLOEXEC) != i) {
                    _exit(1);
                }
            }
            if (round == 1) {
                execl("/proc/self/exe", "far", "plain", NULL);
            }
            _exit(round == 1);
        }
        CHECK(waitpid(pid, &status, 0) == pid);
        EQUAL(status, 0);
        open_are(NULL, 0);
        CHECK(access("/proc/self/exe", R_OK) == 0);
    }
}

static int
shares_files(void *arg)
{
    (void)arg;
    for (int i = 380; i < 400; i++) {
        if (dup2(1, i) != i) {
            return 1;
        }
    }
    return 0;
}

static void
by_another_process(void)
{
    static _Alignas(16) char stack[65536];
    int status;
    pid_t pid = clone(shares_files, stack + sizeof stack, CLONE_FILES | SIGCHLD, NULL);
    CHECK(pid > 0 && waitpid(pid, &status, 0) == pid);
    EQUAL(status, 0);
    for (int i = 380; i < 400; i++) {
        EQUAL(fcntl(i, F_GETFD), 0);
    }
    close_all();
}

static void *
opens(void *arg)
{
    for (int i = 0; i < 500; i++) {
        CHECK(dup(1) > 2);
    }
    return arg;
}

static void
by_threads(void)
{
    pthread_t t[4];
    for (int i = 0; i < 4; i++) {
        CHECK(pthread_create(&t[i], NULL, opens, NULL) == 0);
    }
    for (int i = 0; i < 4; i++) {
        pthread_join(t[i], NULL);
    }
    for (int fd = 3; fd < 2003; fd++) {
        EQUAL(fcntl(fd, F_GETFD), 0);
    }
    close_all();
}

/* Another process looks: at one that has small numbers, and at one that has large ones. */
static void
by_others(void)
{
    for (int far = 0; far < 2; far++) {
        int ready[2], go[2];
        char dir[64], exe[256] = "", own[256] = "";
        CHECK(pipe(ready) == 0 && pipe(go) == 0);
        pid_t pid = fork();
        if (pid == 0) {
            if (far) {
                CHECK(dup2(1, 384) == 384 && dup2(1, 700) == 700);
            }
            close(ready[0]);
            close(go[1]);
            CHECK(write(ready[1], "x", 1) == 1 && read(go[0], dir, 1) == 0);
            _exit(0);
        }
        CHECK(read(ready[0], dir, 1) == 1);
        snprintf(dir, sizeof dir, "/proc/%d/fd", pid);
        listed(dir, far ? 7 : 5, 3 + ready[1] + go[0] + (far ? 384 + 700 : 0));
        snprintf(dir, sizeof dir, "/proc/%d/exe", pid);
        CHECK(readlink(dir, exe, sizeof exe - 1) > 0 && readlink("/proc/self/exe", own, sizeof own - 1) > 0);
        EQUAL(strcmp(exe, own), 0);
        snprintf(dir, sizeof dir, "/proc/%d/fd/385", pid);
        EQUAL(access(dir, F_OK), -1);
        int pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
        EQUAL(syscall(SYS_pidfd_getfd, pidfd, 385, 0), -1);
        EQUAL(errno, EBADF);
        int got = (int)syscall(SYS_pidfd_getfd, pidfd, 384, 0);
        CHECK(far ? got >= 0 : got == -1 && errno == EBADF);
        close(got);
        close(pidfd);
        close(go[1]);
        close(go[0]);
        close(ready[0]);
        close(ready[1]);
        CHECK(waitpid(pid, NULL, 0) == pid);
    }
}

/* What stays open over an execve, and what does not; at large numbers and, in the next program, small ones. */
static void
by_exec(void)
{
    int status;
    for (int far = 0; far < 2; far++) {
        pid_t pid = fork();
        if (pid == 0) {
            const int base = far ? 380 : 100;
            for (int i = 0; i < 10; i++) {
                dup3(1, base + i, i % 2 ? O_CLOEXEC : 0);
            }
            execl("/proc/self/exe", "far", far ? "far" : "near", NULL);
            _exit(3);
        }
        CHECK(waitpid(pid, &status, 0) == pid);
        EQUAL(status, 0);
    }
}

int
main(int argc, char **argv)
{
    struct rlimit rl;
    CHECK(getrlimit(RLIMIT_NOFILE, &rl) == 0);
    rl.rlim_cur = rl.rlim_max < 10000 ? rl.rlim_max : 10000;
    CHECK(setrlimit(RLIMIT_NOFILE, &rl) == 0);
    limit = (int)rl.rlim_cur;
    if (argc > 1) {
        const int base = strcmp(argv[1], "far") == 0 ? 380 : 100, list[] = {base, base + 2, base + 4, base + 6, base + 8};
        open_are(list, strcmp(argv[1], "plain") != 0 ? 5 : 0);
        return 0;
    }
    CHECK(limit >= 2500 && sysconf(_SC_OPEN_MAX) == limit);
    syscall(SYS_close_range, 3, ~0U, 0);
    open_are(NULL, 0);
    void (*const all[])(void) = {by_dup2,  by_dupfd,           by_open,    by_pairs,  by_message, by_name,
                                 by_vfork, by_another_process, by_threads, by_others, by_exec};
    for (unsigned i = 0; i < sizeof all / sizeof *all; i++) {
        apart(all[i]);
        apart(all[sizeof all / sizeof *all - 1 - i]);
    }
    for (unsigned i = 0; i < sizeof all / sizeof *all; i++) {
        all[i](); /* and one after the other in this one */
    }
    return 0;
}
