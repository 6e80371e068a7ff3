/*
 * sys_signal.c - the system calls about signals, and those that wait under a mask of their own
 *
 * Whatever changes what a signal would do first returns -HOST_ERESTART if one has been taken
 * already: that one comes under the old rules. Structures of riscv64 and x86-64 are the same but
 * for sigaction and epoll_event.
 */
#include "process/signal_impl.h"
#include "process/syscall.h"
#include "process/vfs.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>

#ifndef SYS_epoll_pwait2
#define SYS_epoll_pwait2 441
#endif

static bool
attention(const struct task *t)
{
    return __atomic_load_n(&t->hart.attention, __ATOMIC_RELAXED) != 0;
}

HOT int64_t
sys_rt_sigaction(struct task *t, const uint64_t a[6])
{
    int sig = (int)a[0];
    struct guest_sigaction act, old;
    if (a[3] != sizeof(sigset64)) {
        return -EINVAL;
    }
    if (a[1] != 0 && guest_read(&act, a[1], sizeof act) != 0) {
        return -EFAULT;
    }
    if (sig < 1 || sig > GUEST_NSIG || (a[1] != 0 && (SIG_BIT(sig) & UNBLOCKABLE) != 0)) {
        return -EINVAL;
    }
    if (a[1] != 0 && attention(t)) {
        return -HOST_ERESTART;
    }
    pthread_mutex_lock(&t->sighand->lock);
    old = *signal_action(t->sighand, sig);
    if (a[1] != 0) {
        act.flags &= GUEST_SA_FLAGS;
        act.mask &= ~UNBLOCKABLE;
        signal_install(sig, &act);
        t->sighand->actions[sig] = act;
    }
    pthread_mutex_unlock(&t->sighand->lock);
    return a[2] != 0 ? guest_write(a[2], &old, sizeof old) : 0;
}

HOT int64_t
sys_rt_sigprocmask(struct task *t, const uint64_t a[6])
{
    sigset64 set, host, old = 0;
    if (a[3] != sizeof set) {
        return -EINVAL;
    }
    if (a[1] != 0) {
        if (guest_read_u64(&set, a[1]) != 0) {
            return -EFAULT;
        }
        host = set & ~SYNC_SIGNALS;
    }
    const sigset64 old_sync = t->sync_mask;
    int64_t r = host_syscall_restartable(t, SYS_rt_sigprocmask, (int)a[0], a[1] != 0 ? &host : NULL,
                                         &old, sizeof set);
    if (r != 0) {
        return r;
    }
    if (a[1] != 0) {
        sigset64 sync = set & SYNC_SIGNALS;
        int how = (int)a[0];
        signal_set_sync_mask(t, how == SIG_BLOCK     ? old_sync | sync
                                : how == SIG_UNBLOCK ? old_sync & ~sync
                                                     : sync);
    }
    return a[2] != 0 ? guest_write_u64(a[2], old | old_sync) : 0;
}

int64_t
sys_rt_sigpending(struct task *t, const uint64_t a[6])
{
    sigset64 set = 0;
    if (a[1] > sizeof set) {
        return -EINVAL;
    }
    int64_t r = host_syscall_restartable(t, SYS_rt_sigpending, &set, sizeof set);
    if (r != 0) {
        return r;
    }
    set |= signal_held_set(t) & t->sync_mask;
    return guest_write(a[0], &set, a[1]);
}

int64_t
sys_rt_sigtimedwait(struct task *t, const uint64_t a[6])
{
    sigset64 set;
    siginfo_t info;
    if (a[3] != sizeof set) {
        return -EINVAL;
    }
    if (guest_read_u64(&set, a[0]) != 0) {
        return -EFAULT;
    }
    int64_t sig = signal_held_peek(t, ~set);
    if (sig == 0 || !signal_held_take(t, (int)sig, &info)) {
        sig = host_syscall_restartable(t, SYS_rt_sigtimedwait, &set, &info, g2h(a[2]), sizeof set);
        if (sig < 0) {
            return sig;
        }
        signal_code_unmark(&info);
    }
    return a[1] != 0 && guest_write(a[1], &info, sizeof info) != 0 ? -EFAULT : sig;
}

/* The signal's number and siginfo are the guest's; the host decides who may send what. */
static int64_t
queue(struct task *t, int64_t tgid, int64_t tid, int sig, gva_t from)
{
    (void)t;
    siginfo_t info;
    if (guest_read(&info, from, sizeof info) != 0) {
        return -EFAULT;
    }
    if (sig >= 1 && sig <= GUEST_NSIG && (SIG_BIT(sig) & SYNC_SIGNALS) != 0 && info.si_code > 0) {
        if (tgid != host_syscall(SYS_getpid)) {
            return -EPERM;
        }
        signal_code_mark(&info);
    }
    info.si_signo = sig;
    return tid < 0 ? host_syscall(SYS_rt_sigqueueinfo, tgid, sig, &info)
                   : host_syscall(SYS_rt_tgsigqueueinfo, tgid, tid, sig, &info);
}

int64_t
sys_rt_sigqueueinfo(struct task *t, const uint64_t a[6])
{
    return queue(t, (int)a[0], -1, (int)a[1], a[2]);
}

int64_t
sys_rt_tgsigqueueinfo(struct task *t, const uint64_t a[6])
{
    return (int)a[1] <= 0 ? -EINVAL : queue(t, (int)a[0], (int)a[1], (int)a[2], a[3]);
}

int64_t
sys_sigaltstack(struct task *t, const uint64_t a[6])
{
    struct guest_stack ss, old;
    if (a[0] != 0 && guest_read(&ss, a[0], sizeof ss) != 0) {
        return -EFAULT;
    }
    int64_t r = sigframe_altstack(t, a[0] != 0 ? &ss : NULL, t->hart.x[2], &old);
    return r == 0 && a[1] != 0 ? guest_write(a[1], &old, sizeof old) : r;
}

int64_t
sys_rt_sigsuspend(struct task *t, const uint64_t a[6])
{
    sigset64 mask;
    if (a[1] != sizeof mask) {
        return -EINVAL;
    }
    if (guest_read_u64(&mask, a[0]) != 0) {
        return -EFAULT;
    }
    if (signal_wait_begin(t, mask)) {
        return -EINTR;
    }
    const sigset64 host = mask & ~SYNC_SIGNALS;
    return signal_wait_end(t, host_syscall_restartable(t, SYS_rt_sigsuspend, &host, sizeof host),
                           mask);
}

/* A mask argument of a waiting call: `at` 0 means none. */
struct wait_mask {
    bool given;
    sigset64 guest, host;
};

static int
wait_mask_read(struct wait_mask *m, gva_t at, uint64_t size)
{
    *m = (struct wait_mask){.given = at != 0};
    if (at == 0) {
        return 0;
    }
    if (size != sizeof m->guest) {
        return -EINVAL;
    }
    if (guest_read_u64(&m->guest, at) != 0) {
        return -EFAULT;
    }
    m->host = m->guest & ~SYNC_SIGNALS;
    return 0;
}

static int64_t
wait_call(struct task *t, const struct wait_mask *m, long nr, const uint64_t args[6])
{
    if (m->given && signal_wait_begin(t, m->guest)) {
        return -EINTR;
    }
    int64_t r = host_syscall_asm(&t->hart.attention, nr, args);
    return m->given ? signal_wait_end(t, r, m->guest) : r;
}

#define H(p) ((uint64_t)(uintptr_t)(p))

/* What cannot be read is the kernel's to complain about. */
HOT static bool
polls_ours(struct task *t, gva_t at, uint32_t n)
{
    const struct vfs *v = vfs_of(t);
    struct pollfd some[16];
    while (n > 0 && n <= (uint32_t)vfs_fd_top(v)) {
        const uint32_t k = n < 16 ? n : 16;
        if (guest_read(some, at, k * sizeof *some) != 0) {
            break;
        }
        for (uint32_t i = 0; i < k; i++) {
            if (!vfs_fd_ok(v, some[i].fd)) {
                return true;
            }
        }
        at += k * sizeof *some;
        n -= k;
    }
    return false;
}

int64_t
sys_ppoll(struct task *t, const uint64_t a[6])
{
    struct wait_mask m;
    int err = wait_mask_read(&m, a[3], a[4]);
    if (err != 0) {
        return err;
    }
    if (polls_ours(t, a[0], (uint32_t)a[1]) && fds_apart(t) != 0) {
        return -ENOMEM;
    }
    const uint64_t args[6] = {H(g2h(a[0])), (uint32_t)a[1], H(g2h(a[2])), m.given ? H(&m.host) : 0,
                              sizeof m.host};
    return wait_call(t, &m, SYS_ppoll, args);
}

int64_t
sys_pselect6(struct task *t, const uint64_t a[6])
{
    struct wait_mask m = {0};
    uint64_t arg[2]; /* pointer and size of the mask */
    if (a[5] != 0) {
        if (guest_read(arg, a[5], sizeof arg) != 0) {
            return -EFAULT;
        }
        int err = wait_mask_read(&m, arg[0], arg[1]);
        if (err != 0) {
            return err;
        }
    }
    if ((int)a[0] > vfs_fd_edge(vfs_of(t)) && fds_apart(t) != 0) { /* some bit may be ours */
        return -ENOMEM;
    }
    const uint64_t host[2] = {m.given ? H(&m.host) : 0, sizeof m.host};
    const uint64_t args[6] = {a[0],         H(g2h(a[1])), H(g2h(a[2])),
                              H(g2h(a[3])), H(g2h(a[4])), H(host)};
    return wait_call(t, &m, SYS_pselect6, args);
}

/* struct epoll_event as riscv64 has it: not packed, as x86-64's is. */
struct guest_epoll_event {
    uint32_t events;
    uint32_t pad;
    uint64_t data;
};

int64_t
sys_epoll_ctl(struct task *t, const uint64_t a[6])
{
    struct guest_epoll_event g;
    struct epoll_event ev = {0};
    if (!vfs_fd_ok(t->proc->vfs, (int)a[0]) || !vfs_fd_ok(t->proc->vfs, (int)a[2])) {
        return -EBADF;
    }
    if ((int)a[1] != EPOLL_CTL_DEL) {
        if (guest_read(&g, a[3], sizeof g) != 0) {
            return -EFAULT;
        }
        ev.events = g.events;
        ev.data.u64 = g.data;
    }
    return host_syscall(SYS_epoll_ctl, (int)a[0], (int)a[1], (int)a[2], &ev);
}

/* Fewer events than asked for are always a right answer; the rest comes with the next call. */
enum { EPOLL_AT_ONCE = 512 };

static int64_t
epoll_wait_convert(struct task *t, const struct wait_mask *m, long nr, const uint64_t a[6],
                   uint64_t timeout)
{
    struct epoll_event ev[EPOLL_AT_ONCE];
    struct guest_epoll_event g[EPOLL_AT_ONCE];
    int max = (int)a[2];
    if (max <= 0 || (uint64_t)max > INT32_MAX / sizeof ev[0]) {
        return -EINVAL;
    }
    if (!guest_range_ok(a[1], (uint64_t)max * sizeof g[0])) {
        return -EFAULT;
    }
    if (!vfs_fd_ok(t->proc->vfs, (int)a[0])) {
        return -EBADF;
    }
    const uint64_t args[6] = {a[0],
                              H(ev),
                              max < EPOLL_AT_ONCE ? (uint64_t)max : EPOLL_AT_ONCE,
                              timeout,
                              m->given ? H(&m->host) : 0,
                              sizeof m->host};
    int64_t n = wait_call(t, m, nr, args);
    for (int64_t i = 0; i < n; i++) {
        g[i] = (struct guest_epoll_event){.events = ev[i].events, .data = ev[i].data.u64};
    }
    return n > 0 && guest_write(a[1], g, (size_t)n * sizeof g[0]) != 0 ? -EFAULT : n;
}

int64_t
sys_epoll_pwait(struct task *t, const uint64_t a[6])
{
    struct wait_mask m;
    int err = wait_mask_read(&m, a[4], a[5]);
    return err != 0 ? err
                    : epoll_wait_convert(t, &m, SYS_epoll_pwait, a, (uint64_t)(int64_t)(int)a[3]);
}

int64_t
sys_epoll_pwait2(struct task *t, const uint64_t a[6])
{
    struct wait_mask m;
    int err = wait_mask_read(&m, a[4], a[5]);
    return err != 0 ? err : epoll_wait_convert(t, &m, SYS_epoll_pwait2, a, H(g2h(a[3])));
}
