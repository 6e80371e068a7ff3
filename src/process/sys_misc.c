/*
 * sys_misc.c - system calls about the machine, the process and its limits
 *
 * uname shows riscv64 Linux; riscv_hwprobe what the hart has (arch/riscv/kernel/sys_hwprobe.c, Linux 6.12); limits
 * that would count the monitor's memory are kept here.
 */
#include "process/map.h"
#include "process/syscall.h"
#include "process/vfs.h"

#include "base/check.h"
#include "base/nondet.h"

#include <errno.h>
#include <linux/reboot.h>
#include <stdio.h>
#include <string.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/utsname.h>

int64_t
uname_get(const struct task *t, struct utsname *u)
{
    int64_t r = host_syscall(SYS_uname, u);
    snprintf(u->release, sizeof u->release, "%s", t->proc->opt->uname_release);
    snprintf(u->version, sizeof u->version, "#1 SMP PREEMPT_DYNAMIC doppel " DOPPEL_VERSION);
    snprintf(u->machine, sizeof u->machine, "riscv64");
    return r;
}

int64_t
sys_uname(struct task *t, const uint64_t a[6])
{
    struct utsname u; /* six fields of 65 bytes on both */
    int64_t r = uname_get(t, &u);
    return r < 0 ? r : guest_write(a[0], &u, sizeof u);
}

/* Random bytes that the guest gets come in through nondet.h, which never fails and never blocks for long. */
int64_t
sys_getrandom(struct task *t, const uint64_t a[6])
{
    (void)t;
    if ((a[2] & ~(uint64_t)(GRND_NONBLOCK | GRND_RANDOM | GRND_INSECURE)) != 0 ||
        (a[2] & (GRND_INSECURE | GRND_RANDOM)) == (GRND_INSECURE | GRND_RANDOM)) {
        return -EINVAL;
    }
    uint64_t len = a[1] < INT32_MAX ? a[1] : INT32_MAX, done = 0;
    while (done < len) {
        char buf[4096];
        size_t n = len - done < sizeof buf ? len - done : sizeof buf;
        nondet_random(buf, n);
        if (guest_write(a[0] + done, buf, n) < 0) {
            return done > 0 ? (int64_t)done : -EFAULT;
        }
        done += n;
    }
    return (int64_t)done;
}

/* Aborts of critical sections are not exact yet, and libc does without: no news for --verbose. */
int64_t
sys_rseq(struct task *t, const uint64_t a[6])
{
    (void)t, (void)a;
    return -ENOSYS;
}

/* The kernel asks for this when it goes on with a call that a signal stopped, which the host does for us; a program that asks itself gets EINTR. */
int64_t
sys_restart_syscall(struct task *t, const uint64_t a[6])
{
    (void)t, (void)a;
    return -EINTR;
}

/* Nobody turns the host off from in here; who plays root has the numbers checked as root has. */
int64_t
sys_reboot(struct task *t, const uint64_t a[6])
{
    static const uint32_t magic2[] = {LINUX_REBOOT_MAGIC2, LINUX_REBOOT_MAGIC2A, LINUX_REBOOT_MAGIC2B, LINUX_REBOOT_MAGIC2C};
    if (!vfs_may_admin(t)) {
        return -EPERM;
    }
    if ((uint32_t)a[0] == LINUX_REBOOT_MAGIC1) {
        for (int i = 0; i < 4; i++) {
            if ((uint32_t)a[1] == magic2[i]) {
                return -EPERM;
            }
        }
    }
    return -EINVAL;
}

/* ---- limits ---- */

/* The limit of this process as the guest knows it. */
int64_t
limit_get(struct task *t, unsigned res, struct rlimit *rl)
{
    int64_t r = host_syscall(SYS_prlimit64, 0, res, NULL, rl);
    uint64_t as, data, top = (uint64_t)vfs_fd_top(vfs_of(t));
    if (r < 0) {
        return r;
    }
    map_get_limits(t->proc->map, &as, &data);
    if (res == RLIMIT_AS || res == RLIMIT_DATA) {
        rl->rlim_cur = res == RLIMIT_AS ? as : data;
    } else if (res == RLIMIT_NOFILE) {
        rl->rlim_max = t->proc->nofile_max < top ? t->proc->nofile_max : top;
        rl->rlim_cur = t->proc->nofile < rl->rlim_max ? t->proc->nofile : rl->rlim_max;
    }
    return 0;
}

static int64_t
limit_set(struct task *t, unsigned res, const struct rlimit *new)
{
    uint64_t as, data;
    struct rlimit host = *new, old;
    int64_t r = limit_get(t, res, &old);
    if (r < 0) {
        return r;
    }
    if (new->rlim_cur > new->rlim_max) {
        return -EINVAL;
    }
    switch (res) {
    case RLIMIT_AS:
    case RLIMIT_DATA:
        /* The host keeps the hard limit's rules only; the soft one must not hit the monitor. */
        r = host_syscall(SYS_prlimit64, 0, res, NULL, &host);
        if (r == 0 && new->rlim_max > host.rlim_max) {
            return -EPERM;
        }
        map_get_limits(t->proc->map, &as, &data);
        map_set_limits(t->proc->map, res == RLIMIT_AS ? new->rlim_cur : as, res == RLIMIT_DATA ? new->rlim_cur : data);
        return r;
    case RLIMIT_NOFILE:
        if (new->rlim_max > old.rlim_max && !(vfs_may_admin(t) && new->rlim_max <= (uint64_t)vfs_fd_top(vfs_of(t)))) {
            return -EPERM;
        }
        t->proc->nofile = new->rlim_cur;
        t->proc->nofile_max = new->rlim_max;
        fd_limit_changed(t);
        return 0;
    default:
        return host_syscall(SYS_prlimit64, 0, res, &host, NULL);
    }
}

int64_t
sys_prlimit64(struct task *t, const uint64_t a[6])
{
    int pid = (int)a[0];
    unsigned res = (unsigned)a[1];
    if (pid != 0 && pid != (int)host_syscall(SYS_getpid)) {
        return host_syscall(SYS_prlimit64, pid, res, g2h(a[2]), g2h(a[3]));
    }
    if (res >= RLIM_NLIMITS) {
        return -EINVAL;
    }
    struct rlimit new, old;
    if (a[2] != 0 && guest_read(&new, a[2], sizeof new) < 0) {
        return -EFAULT;
    }
    int64_t r = limit_get(t, res, &old);
    if (r == 0 && a[2] != 0) {
        r = limit_set(t, res, &new);
    }
    if (r == 0 && a[3] != 0) {
        r = guest_write(a[3], &old, sizeof old);
    }
    return r;
}

int64_t
sys_getrlimit(struct task *t, const uint64_t a[6])
{
    struct rlimit rl;
    if ((unsigned)a[0] >= RLIM_NLIMITS) {
        return -EINVAL;
    }
    int64_t r = limit_get(t, (unsigned)a[0], &rl);
    return r < 0 ? r : guest_write(a[1], &rl, sizeof rl);
}

int64_t
sys_setrlimit(struct task *t, const uint64_t a[6])
{
    struct rlimit rl;
    if (guest_read(&rl, a[1], sizeof rl) < 0) {
        return -EFAULT;
    }
    return (unsigned)a[0] < RLIM_NLIMITS ? limit_set(t, (unsigned)a[0], &rl) : -EINVAL;
}

/* ---- what kind of machine ---- */

struct hwprobe_pair {
    int64_t key;
    uint64_t value;
};

enum {
    HWPROBE_MVENDORID, HWPROBE_MARCHID, HWPROBE_MIMPID, HWPROBE_BASE_BEHAVIOR, HWPROBE_IMA_EXT_0, HWPROBE_CPUPERF_0,
    HWPROBE_ZICBOZ_BLOCK_SIZE, HWPROBE_HIGHEST_VIRT_ADDRESS, HWPROBE_TIME_CSR_FREQ, HWPROBE_MISALIGNED_SCALAR_PERF,
    HWPROBE_KEYS,
    HWPROBE_WHICH_CPUS = 1,
    HWPROBE_MISALIGNED_FAST = 3,
    ZICBOZ_BLOCK = 64,
    TIME_FREQ = 10000000,
};

/* include/uapi/asm/hwprobe.h: the bit of each extension in IMA_EXT_0. */
static uint64_t
ima_ext_0(ext_set exts)
{
    static const struct {
        uint8_t bit, ext;
    } bits[] = {{3, EXT_ZBA},   {4, EXT_ZBB},      {5, EXT_ZBS},      {6, EXT_ZICBOZ},       {7, EXT_ZBC},
                {8, EXT_ZBKB},  {27, EXT_ZFH},     {28, EXT_ZFHMIN},  {29, EXT_ZIHINTNTL},   {32, EXT_ZFA},
                {34, EXT_ZACAS}, {35, EXT_ZICOND}, {36, EXT_ZIHINTPAUSE}, {42, EXT_ZIMOP},   {43, EXT_ZCA},
                {44, EXT_ZCB},  {45, EXT_ZCD},     {47, EXT_ZCMOP},   {48, EXT_ZAWRS},       {2, EXT_V}};
    uint64_t v = 0;
    v |= isa_ext_enabled(EXT_F, exts) && isa_ext_enabled(EXT_D, exts) ? 1 : 0; /* IMA_FD */
    v |= isa_ext_enabled(EXT_ZCA, exts) ? 2 : 0;                              /* IMA_C */
    for (unsigned i = 0; i < ARRAY_LEN(bits); i++) {
        v |= isa_ext_enabled(bits[i].ext, exts) ? UINT64_C(1) << bits[i].bit : 0;
    }
    return v;
}

static void
hwprobe_one(const struct task *t, struct hwprobe_pair *p)
{
    switch (p->key) {
    case HWPROBE_MVENDORID:
    case HWPROBE_MARCHID:
    case HWPROBE_MIMPID:
        p->value = 0;
        break;
    case HWPROBE_BASE_BEHAVIOR:
        p->value = 1; /* IMA */
        break;
    case HWPROBE_IMA_EXT_0:
        p->value = ima_ext_0(t->hart.exts);
        break;
    case HWPROBE_CPUPERF_0:
    case HWPROBE_MISALIGNED_SCALAR_PERF:
        p->value = HWPROBE_MISALIGNED_FAST;
        break;
    case HWPROBE_ZICBOZ_BLOCK_SIZE:
        p->value = isa_ext_enabled(EXT_ZICBOZ, t->hart.exts) ? ZICBOZ_BLOCK : 0;
        break;
    case HWPROBE_HIGHEST_VIRT_ADDRESS:
        p->value = GUEST_TOP;
        break;
    case HWPROBE_TIME_CSR_FREQ:
        p->value = TIME_FREQ;
        break;
    default:
        p->key = -1;
        p->value = 0;
    }
}

/* riscv_hwprobe(pairs, count, cpusetsize, cpus, flags). All harts are alike, so WHICH_CPUS keeps all or none. */
int64_t
sys_riscv_hwprobe(struct task *t, const uint64_t a[6])
{
    uint64_t online[16], cpus[16] = {0};
    size_t size = a[2] < sizeof cpus ? a[2] : sizeof cpus;
    bool which = a[4] == HWPROBE_WHICH_CPUS, all = true, any = false, empty = true;
    if (a[4] & ~UINT64_C(1)) {
        return -EINVAL;
    }
    if (which && (a[2] == 0 || a[3] == 0)) {
        return -EINVAL;
    }
    if (!which && a[2] == 0 && a[3] != 0) {
        return -EINVAL;
    }
    if (a[2] != 0 && a[3] == 0) {
        return -EFAULT;
    }
    memset(online, 0, sizeof online);
    int64_t n = host_syscall(SYS_sched_getaffinity, 0, sizeof online, online);
    if (n < 0) {
        return n;
    }
    if (a[3] != 0) {
        if (guest_read(cpus, a[3], size) < 0) {
            return -EFAULT;
        }
        for (unsigned i = 0; i < ARRAY_LEN(cpus); i++) {
            empty &= cpus[i] == 0;
            any |= (cpus[i] & online[i]) != 0;
        }
        if (!which && !any) {
            return -EINVAL;
        }
    }
    for (uint64_t i = 0; i < a[1]; i++) {
        struct hwprobe_pair p, q;
        gva_t at = a[0] + i * sizeof p;
        if (guest_read(&p, at, sizeof p) < 0) {
            return -EFAULT;
        }
        q = p;
        hwprobe_one(t, &q);
        if (which) {
            bool bits = p.key == HWPROBE_BASE_BEHAVIOR || p.key == HWPROBE_IMA_EXT_0 || p.key == HWPROBE_CPUPERF_0;
            all &= q.key != -1 && (bits ? (q.value & p.value) == p.value : q.value == p.value);
            if (q.key != -1) {
                continue;
            }
        }
        if (guest_write(at, &q, sizeof q) < 0) {
            return -EFAULT;
        }
    }
    if (which) {
        for (unsigned i = 0; i < ARRAY_LEN(cpus); i++) {
            cpus[i] = !all ? 0 : empty ? online[i] : cpus[i] & online[i];
        }
        return guest_write(a[3], cpus, size);
    }
    return 0;
}

/* ---- the process ---- */

/* READ_IMPLIES_EXEC and its like would change what the host maps for the monitor: they are remembered by nobody. */
int64_t
sys_personality(struct task *t, const uint64_t a[6])
{
    (void)t;
    uint32_t want = (uint32_t)a[0];
    if (want != 0xffffffff) {
        want &= ~(uint32_t)(READ_IMPLIES_EXEC | ADDR_LIMIT_32BIT | ADDR_LIMIT_3GB | ADDR_COMPAT_LAYOUT | MMAP_PAGE_ZERO);
    }
    return host_syscall(SYS_personality, want);
}
