/* descriptors.c - lowest number first; dup3, fcntl, close_range, pipe2, and limits */
#include "../abi.h"
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>

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
    return 0;
}
