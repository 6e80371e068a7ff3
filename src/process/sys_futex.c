/*
 * sys_futex.c - futexes and robust lists
 *
 * The host kernel's futexes on the guest's addresses: threads are host threads, memory is host
 * memory. A robust list is walked by the kernel when a host thread ends; it can only where guest
 * addresses are host addresses, and for a thread that is not its process's first it would come too
 * late (after clear_child_tid), so robust_exit() does it here; and robust_exit_all(), at another guest
 * base, before the process ends.
 *
 * Trust: the list is guest memory: bounded, and touched by accesses that may fault only.
 */
#include "process/thread_impl.h"
#include "process/syscall.h"

#include <errno.h>
#include <linux/futex.h>
#include <time.h>

/* Numbers are the same on all architectures; older headers lack some. */
enum { NR_FUTEX_WAITV = 449, NR_FUTEX_WAKE = 454, NR_FUTEX_WAIT = 455, NR_FUTEX_REQUEUE = 456 };

int64_t
sys_futex(struct task *t, const uint64_t a[6])
{
    uint64_t timeout = a[3];
    switch ((int)a[1] & FUTEX_CMD_MASK) {
    case FUTEX_WAIT:
    case FUTEX_LOCK_PI:
    case FUTEX_LOCK_PI2:
    case FUTEX_WAIT_BITSET:
    case FUTEX_WAIT_REQUEUE_PI:
        timeout = (uintptr_t)g2h(a[3]);
        break;
    default: /* a number, or nothing */
        break;
    }
    return host_syscall_restartable(t, SYS_futex, g2h(a[0]), a[1], a[2], timeout, g2h(a[4]), a[5]);
}

/* struct futex_waitv (linux/futex.h). */
struct waiter {
    uint64_t val, uaddr;
    uint32_t flags, reserved;
};
enum { WAITERS_MAX = 128 };

static int
read_waiters(struct waiter *w, gva_t from, uint64_t n)
{
    if (n > WAITERS_MAX) {
        return -EINVAL;
    }
    if (guest_read(w, from, n * sizeof *w) != 0) {
        return -EFAULT;
    }
    for (uint64_t i = 0; i < n; i++) {
        w[i].uaddr = (uintptr_t)g2h(w[i].uaddr);
    }
    return 0;
}

int64_t
sys_futex_waitv(struct task *t, const uint64_t a[6])
{
    struct waiter w[WAITERS_MAX];
    if (a[1] == 0 || a[0] == 0) {
        return -EINVAL;
    }
    int err = read_waiters(w, a[0], (uint32_t)a[1]);
    return err != 0 ? err
                    : host_syscall_restartable(t, NR_FUTEX_WAITV, w, a[1], a[2], g2h(a[3]), a[4]);
}

int64_t
sys_futex_wake(struct task *t, const uint64_t a[6])
{
    (void)t;
    return host_syscall(NR_FUTEX_WAKE, g2h(a[0]), a[1], a[2], a[3]);
}

int64_t
sys_futex_wait(struct task *t, const uint64_t a[6])
{
    return host_syscall_restartable(t, NR_FUTEX_WAIT, g2h(a[0]), a[1], a[2], a[3], g2h(a[4]), a[5]);
}

int64_t
sys_futex_requeue(struct task *t, const uint64_t a[6])
{
    struct waiter w[2];
    (void)t;
    if (a[0] == 0) {
        return -EINVAL;
    }
    int err = read_waiters(w, a[0], 2);
    return err != 0 ? err : host_syscall(NR_FUTEX_REQUEUE, w, a[1], a[2], a[3]);
}

/* struct robust_list_head: next, futex_offset, list_op_pending. */
struct robust_head {
    gva_t next;
    int64_t offset;
    gva_t pending;
};

HOT int64_t
sys_set_robust_list(struct task *t, const uint64_t a[6])
{
    if (a[1] != sizeof(struct robust_head)) {
        return -EINVAL;
    }
    t->robust_list = a[0];
    if (guest_base == 0) { /* so that a killed thread's locks are found too */
        host_syscall(SYS_set_robust_list, g2h(a[0]), a[1]);
    }
    return 0;
}

int64_t
sys_get_robust_list(struct task *t, const uint64_t a[6])
{
    gva_t head = 0;
    bool found = false;
    int tid = (int)a[0] == 0 ? t->tid : (int)a[0];
    if (tid == t->tid) {
        head = t->robust_list;
        found = true;
    } else {
        pthread_mutex_lock(&t->proc->tasks_lock);
        for (const struct task *o = t->proc->tasks; o != NULL && !found; o = o->next) {
            found = o->tid == tid;
            head = found ? o->robust_list : 0;
        }
        pthread_mutex_unlock(&t->proc->tasks_lock);
    }
    if (!found) {
        uint64_t host = 0, len = 0;
        int64_t r = host_syscall(SYS_get_robust_list, tid, &host, &len);
        if (r != 0) {
            return r;
        }
        head = host;
    }
    const uint64_t len = sizeof(struct robust_head);
    return guest_write_u64(a[2], len) != 0 || guest_write_u64(a[1], head) != 0 ? -EFAULT : 0;
}

static void
wake(gva_t at)
{
    host_syscall(SYS_futex, g2h(at), FUTEX_WAKE, 1);
}

/* One lock of a thread that has ended: what the kernel's handle_futex_death() does. false: stop
 * walking. */
static bool
owner_died(gva_t at, uint32_t tid, bool pi, bool pending)
{
    uint32_t v;
    if (at % 4 != 0 || guest_read_u32(&v, at) != 0) {
        return false;
    }
    if (pending && !pi && v == 0) { /* unlocked, but perhaps nobody has been woken */
        wake(at);
        return true;
    }
    int done = 0;
    while (done == 0) {
        if ((v & FUTEX_TID_MASK) != tid) {
            return true;
        }
        done = host_cmpxchg32(g2h(at), &v, (v & FUTEX_WAITERS) | FUTEX_OWNER_DIED);
    }
    if (done > 0 && !pi && (v & FUTEX_WAITERS) != 0) {
        wake(at);
    }
    return done > 0;
}

static void
walk(const struct task *t)
{
    enum { LIMIT = 2048 };
    struct robust_head head;
    if (guest_read(&head, t->robust_list, sizeof head) != 0) {
        return;
    }
    gva_t at = head.next;
    for (int n = 0; n < LIMIT && (at & ~UINT64_C(1)) != t->robust_list; n++) {
        gva_t entry = at & ~UINT64_C(1), next;
        bool pi = (at & 1) != 0, more = guest_read_u64(&next, entry) == 0;
        if (entry != (head.pending & ~UINT64_C(1)) &&
            !owner_died(entry + (uint64_t)head.offset, (uint32_t)t->tid, pi, false)) {
            return;
        }
        if (!more) {
            break;
        }
        at = next;
    }
    if ((head.pending & ~UINT64_C(1)) != 0) {
        owner_died((head.pending & ~UINT64_C(1)) + (uint64_t)head.offset, (uint32_t)t->tid,
                   (head.pending & 1) != 0, true);
    }
}

HOT void
robust_exit(struct task *t)
{
    if (t->robust_list == 0 || (guest_base == 0 && t->leader)) {
        return;
    }
    if (guest_base == 0) {
        host_syscall(SYS_set_robust_list, NULL, sizeof(struct robust_head));
    }
    walk(t);
}

HOT void
robust_exit_all(struct task *t)
{
    struct process *p = t->proc;
    bool member = false; /* a child of vfork is not, and the others are its maker's */
    if (guest_base == 0) {
        return;
    }
    pthread_mutex_lock(&p->tasks_lock);
    for (const struct task *o = p->tasks; o != NULL; o = o->next) {
        member |= o == t;
    }
    for (const struct task *o = member ? p->tasks : t; o != NULL; o = member ? o->next : NULL) {
        if (o->robust_list != 0) {
            walk(o);
        }
    }
    pthread_mutex_unlock(&p->tasks_lock);
}
