/* efault.c - bad pointers give EFAULT, whatever the call, and do not disturb anybody */
#include "../abi.h"
#include <fcntl.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <sys/utsname.h>

#define EFAULTS(...)                              \
    do {                                          \
        errno = 0;                                \
        EQUAL(syscall(__VA_ARGS__), -1);          \
        EQUAL(errno, EFAULT);                     \
    } while (0)

int
main(void)
{
    char *hole = mmap(NULL, 2 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(munmap(hole + 4096, 4096) == 0);
    int fds[2];
    CHECK(pipe(fds) == 0);
    int zero = open("/dev/zero", O_RDWR);
    void *const bad[] = {(void *)8, hole + 4096, (void *)0x7fffffff0000, (void *)0x8000000000000000, (void *)-4096ul,
                         (void *)-1ul};
#ifdef __riscv
    /* Where nothing is copied it does not matter how long the buffer is (access_ok() of 6.10 and later). */
    int end = open("/dev/null", O_RDWR);
    EQUAL(read(end, hole, 1ul << 40), 0);
    EQUAL(read(end, (void *)(1ul << 38), 1ul << 20), 0);
    const struct iovec long_ones[2] = {{hole, 1ul << 40}, {(void *)(1ul << 40), 10}};
    EQUAL(readv(end, long_ones, 2), 0);
    EQUAL(read(zero, hole, 1ul << 40), 4096);
    EQUAL(readv(zero, long_ones, 2), 4096);
    EFAULTS(SYS_read, end, hole, ~0ul);
    close(end);
#endif
    for (unsigned i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        void *b = bad[i];
        CHECK(write(fds[1], "xx", 2) == 2);
        EFAULTS(SYS_read, fds[0], b, 2);
        EFAULTS(SYS_write, fds[1], b, 2);
        CHECK(read(fds[0], hole, 2) == 2);
        struct iovec v[2] = {{hole, 1}, {b, 4}};
        EFAULTS(SYS_readv, zero, b, 1);
        EFAULTS(SYS_writev, fds[1], &v[1], 1);
        EFAULTS(SYS_openat, AT_FDCWD, b, O_RDONLY);
        EFAULTS(SYS_newfstatat, AT_FDCWD, b, hole, 0);
        EFAULTS(SYS_fstat, 0, b);
        EFAULTS(SYS_statx, AT_FDCWD, "/", 0, 0, b);
        EFAULTS(SYS_statfs, "/", b);
        EFAULTS(SYS_readlinkat, AT_FDCWD, "/proc/self/exe", b, 10);
        EFAULTS(SYS_getcwd, b, 4096);
        EFAULTS(SYS_uname, b);
        EFAULTS(SYS_clock_gettime, CLOCK_REALTIME, b);
        EFAULTS(SYS_gettimeofday, b, NULL);
        EFAULTS(SYS_nanosleep, b, NULL);
        EFAULTS(SYS_getrandom, b, 4, 0);
        EFAULTS(SYS_pipe2, b, 0);
        EFAULTS(SYS_prlimit64, 0, RLIMIT_CPU, NULL, b);
        EFAULTS(SYS_ppoll, b, 1, NULL, NULL, 8);
        EFAULTS(SYS_rt_sigaction, SIGUSR1, NULL, b, 8);
        EFAULTS(SYS_rt_sigprocmask, SIG_BLOCK, b, NULL, 8);
        EFAULTS(SYS_execve, b, NULL, NULL);
        EFAULTS(SYS_execve, "/proc/self/exe", b, NULL);
        EFAULTS(SYS_socketpair, AF_UNIX, SOCK_STREAM, 0, b);
        EFAULTS(SYS_sched_getaffinity, 0, 128, b);
        EFAULTS(SYS_times, b);
        EFAULTS(SYS_getitimer, ITIMER_REAL, b);
    }
    /* A buffer that ends in a hole: what fits is transferred. */
    CHECK(write(fds[1], "abcdef", 6) == 6);
    ssize_t n = read(fds[0], hole + 4096 - 3, 6);
    CHECK(n == 3 || (n == -1 && errno == EFAULT));
    return 0;
}
