/* riscv only */
/* syscalls.c - any system call with any arguments: the program may fail or die of it, doppel may not (hostile.test) */
#include "../abi.h"
#include <grp.h>
#include <sys/mman.h>
#include <sys/resource.h>

enum { CALLS = 3000, BUFFER = 65536 };
static uint64_t seed;
static char *buf; /* what lies behind it is not mapped */

static uint64_t
pick(uint64_t n)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return seed % n;
}

static uint64_t
any_argument(void)
{
    switch (pick(12)) {
    case 0:
        return pick(64);
    case 1:
        return pick(4096);
    case 2:
        return 0;
    case 3:
        return -pick(200);
    case 4:
        return seed;
    case 5:
        return (uint64_t)buf + BUFFER - pick(64);
    case 6:
        return UINT64_C(1) << pick(64);
    case 7:
        return (UINT64_C(1) << 38) - pick(8192);
    case 8:
        return UINT64_C(0x7fff00000000) + pick(1 << 20);
    default:
        return (uint64_t)buf + pick(BUFFER / 8) * 8;
    }
}

/* What would reach other processes, wait for ever, or end the test before its time. */
static int
is_harmful(long n)
{
    static const int harmful[] = {SYS_kill, SYS_tkill, SYS_tgkill, SYS_exit, SYS_exit_group, SYS_reboot, SYS_rt_sigqueueinfo,
                                  SYS_rt_tgsigqueueinfo, SYS_clone, 435, SYS_rt_sigreturn, 424, 448, SYS_setsid, SYS_setpgid,
                                  SYS_vhangup, SYS_sync, SYS_syncfs, SYS_setpriority, SYS_prlimit64, SYS_setrlimit, SYS_mlockall,
                                  SYS_fallocate, SYS_ftruncate, SYS_truncate, SYS_rt_sigprocmask, SYS_rt_sigaction};
    for (unsigned i = 0; i < sizeof harmful / sizeof harmful[0]; i++) {
        if (harmful[i] == n) {
            return 1;
        }
    }
    return 0;
}

int
main(int argc, char **argv)
{
    seed = (uint64_t)atoi(argv[argc - 1]) * UINT64_C(0x9e3779b97f4a7c15) | 1;
    if (getuid() == 0) {
        CHECK(setgroups(0, NULL) == 0 && setresgid(65534, 65534, 65534) == 0 && setresuid(65534, 65534, 65534) == 0);
    }
    struct rlimit rl = {1 << 20, 1 << 20};
    CHECK(setrlimit(RLIMIT_FSIZE, &rl) == 0);
    alarm(2);
    buf = mmap(NULL, 2 * BUFFER, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(munmap(buf + BUFFER, BUFFER) == 0);
    for (int i = 0; i < BUFFER / 8; i++) {
        ((uint64_t *)buf)[i] = any_argument();
    }
    strcpy(buf + 64, "/proc/self/maps");
    strcpy(buf + 128, ".");
    for (int i = 0; i < CALLS; i++) {
        long n = (long)pick(470);
        uint64_t a[6];
        for (int k = 0; k < 6; k++) {
            a[k] = any_argument();
        }
        if (!is_harmful(n) && a[0] > 2) { /* its own stdin, stdout and stderr stay */
            syscall(n, a[0], a[1], a[2], a[3], a[4], a[5]);
        }
    }
    return 0;
}
