/*
 * sys_thread.c - threads and processes: clone in all its forms, and their ends
 *
 *   CLONE_THREAD   thread.c
 *   no CLONE_VM    a raw clone, with every lock of ours held; libc's fork() where a thread has ever been made
 *                  and nothing special is asked for, as it sees to libc's locks
 *   CLONE_VM       a raw clone on a stack of its own. It shares libc's thread state with the thread
 *                  that made it, which is suspended (CLONE_VFORK) until the child executes a
 *                  program or exits. Where the guest did not ask to be suspended, a host thread
 *                  made for the purpose lends its own.
 *
 * Signals are held (signal_hold) while a process is made: see thread.c.
 */
#include "process/debug.h"
#include "process/map.h"
#include "process/signal_impl.h"
#include "process/syscall.h"
#include "process/report.h"
#include "process/thread_impl.h"
#include "process/vfs.h"

#include "base/check.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <linux/sched.h>
#include <limits.h>
#include <sched.h>
#include <semaphore.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define CLEAR_SIGHAND                                                                              \
    (UINT64_C(1) << 32) /* CLONE_CLEAR_SIGHAND and CLONE_INTO_CGROUP of clone3(2) */
#define INTO_CGROUP (UINT64_C(1) << 33)

#define THREAD_STACK_BYTES ((size_t)512 * 1024)

void
hart_start(struct hart *child, const struct hart *h, const struct clone_request *q)
{
    *child = *h;
    engine_hart_copied(child);
    child->attention = 0;
    child->in_guest = 0;
    child->landing = NULL;
    child->resv_size = 0;
    child->x[10] = 0;
    child->pc += 4;
    if (q->stack != 0) {
        child->x[2] = q->stack;
    }
    if (has(q, CLONE_SETTLS)) {
        child->x[4] = q->tls;
    }
}

void
task_run_on(struct task *t, char *alt, const sigset64 *mask)
{
    signals_thread_init(alt, ALT_STACK_BYTES);
    signal_release(mask);
    task_run(t); /* sys_exit() has blocked all signals again */
}

void
await(sem_t *s)
{
    while (sem_wait(s) != 0) {
    }
}

/* ---- processes ---- */

/* The kernel's clone_args; `stack` is the lowest address here. */
struct host_clone_args {
    uint64_t flags, pidfd, child_tid, parent_tid, exit_signal, stack, stack_size, tls, set_tid,
        set_tid_size, cgroup;
};

/* Done by us in both processes, not by the host's clone. */
#define OUR_CLONE_FLAGS ((uint64_t)CLONE_SETTLS | CLONE_PARENT_SETTID | CLEAR_SIGHAND)

/*
 * Make a process by the raw system call; fn NULL: as fork, else fn(arg) on the stack [stack, stack
 * + size). clone3 is used only for what clone cannot: many containers refuse it.
 */
HOT static int64_t
raw_clone(const struct clone_request *q, char *stack, size_t size, void (*fn)(void *), void *arg)
{
    /* Locks of ours are held while a fork is made: it cannot be suspended. */
    uint64_t flags = (q->flags & ~(OUR_CLONE_FLAGS | CLONE_VFORK)) | (fn != NULL ? CLONE_VFORK : 0);
    void *pidfd = has(q, CLONE_PIDFD) ? g2h(q->pidfd) : NULL;
    if (q->set_tid_size == 0 && !has(q, INTO_CGROUP)) {
        flags |= q->exit_signal;
        return fn != NULL ? host_clone(flags, stack + size, pidfd, g2h(q->child_tid), fn, arg)
                          : host_syscall(SYS_clone, flags, 0, pidfd, g2h(q->child_tid), 0);
    }
    struct host_clone_args ca = {
        .flags = flags,
        .pidfd = (uintptr_t)pidfd,
        .child_tid = (uintptr_t)g2h(q->child_tid),
        .exit_signal = q->exit_signal,
        .stack = (uintptr_t)stack,
        .stack_size = fn != NULL ? size - 16 : 0,
        .set_tid = (uintptr_t)g2h(q->set_tid),
        .set_tid_size = q->set_tid_size,
        .cgroup = q->cgroup,
    };
    return fn != NULL ? host_clone3(&ca, sizeof ca, fn, arg)
                      : host_syscall(SYS_clone3, &ca, sizeof ca);
}

/* CLONE_CLEAR_SIGHAND, in the child, within a hold. */
static void
clear_handlers(struct task *t)
{
    for (int s = 1; s <= GUEST_NSIG; s++) {
        struct guest_sigaction *act = &t->sighand->actions[s];
        if (act->handler > 1) {
            *act = (struct guest_sigaction){0};
            signal_install(s, act);
        }
    }
}

/* In the child of either kind, within a hold. */
HOT static void
child_init(struct task *t, const struct clone_request *q)
{
    t->tid = (int)host_syscall(SYS_gettid);
    t->leader = true;
    t->robust_list = 0;
    t->clear_child_tid = 0;
    t->temp_mask_set = false;
    for (int i = 0; i < HELD_MAX; i++) {
        t->held[i].pending = false; /* pending signals are not inherited */
    }
    if ((q->flags & CLEAR_SIGHAND) != 0) {
        clear_handlers(t);
    }
}

/* The child of a fork has this thread only. What the others had is not freed: a raw clone may have
 * copied a locked heap. */
HOT static void
drop_other_tasks(struct task *t)
{
    if (t->proc->had_threads) {
        t->next = NULL;
        t->proc->tasks = t;
        threads_after_fork(t->proc);
    }
}

HOT static int64_t
clone_fork(struct task *t, const struct clone_request *q)
{
    struct process *p = t->proc;
    const uint64_t by_us = CLONE_SETTLS | CLONE_PARENT_SETTID | CLONE_CHILD_SETTID |
                           CLONE_CHILD_CLEARTID | CLEAR_SIGHAND;
    const bool plain =
        (q->flags & ~by_us) == 0 && q->exit_signal == SIGCHLD && q->set_tid_size == 0;
    /* Where there was never another thread there is no lock that one holds, and each that is taken is a page to be copied, twice. */
    const bool locks = p->had_threads, by_libc = plain && locks;
    sigset64 mask;
    if (!signal_hold(t, &mask)) {
        return -HOST_ERESTART;
    }
    if (locks) {
        map_lock(p->map);
        pthread_mutex_lock(&p->tasks_lock);
        pthread_mutex_lock(&t->sighand->lock);
        vfs_fork_begin(t);
    }
    int64_t pid;
    engine_before_fork(p->engine);
    if (by_libc) {
        pid = fork();
        pid = pid < 0 ? -errno : pid;
    } else {
        pid = raw_clone(q, NULL, 0, NULL, NULL);
    }
    if (pid == 0) {
        engine_after_fork(p->engine, &t->hart);
        drop_other_tasks(t);
    } else {
        engine_after_fork_parent(p->engine);
    }
    if (locks) {
        vfs_fork_end(t);
        pthread_mutex_unlock(&t->sighand->lock);
        pthread_mutex_unlock(&p->tasks_lock);
        map_unlock(p->map);
    }
    if (pid == 0) {
        debug_child(t, false);
        child_init(t, q);
        if (by_libc) {
            host_syscall(SYS_set_robust_list, NULL, 24); /* it has set its own */
        }
        if (by_libc && has(q, CLONE_CHILD_SETTID)) {
            guest_write_u32(q->child_tid, (uint32_t)t->tid);
        }
        if (by_libc) {
            host_syscall(SYS_set_tid_address,
                         has(q, CLONE_CHILD_CLEARTID) ? g2h(q->child_tid) : NULL);
        }
        t->hart.resv_size = 0;
        t->hart.x[2] = q->stack != 0 ? q->stack : t->hart.x[2];
        t->hart.x[4] = has(q, CLONE_SETTLS) ? q->tls : t->hart.x[4];
    } else if (pid > 0 && has(q, CLONE_PARENT_SETTID)) {
        guest_write_u32(q->parent_tid, (uint32_t)pid);
    }
    signal_release(&mask);
    return pid;
}

/* What its maker waits for where a host thread lends its state. The maker's: the child may be gone
 * before it looks. */
struct vm_start {
    int64_t pid; /* or -errno */
    sem_t ready;
};

/* A process that shares its maker's memory: everything that it needs of its own. One mapping, its
 * stack first. */
struct vm_child {
    struct task task;
    struct sighand sighand;
    const struct clone_request *q;
    sigset64 mask;
    struct vfs_own vfs_own; /* its maker's, and so is what follows */
    uint64_t nofile, nofile_max, as, data;
    struct vm_start *lent; /* into: by a host thread made for it, which frees this; or NULL */
    void *asan_fake;
    const void *asan_bottom;
    size_t asan_size;
};

#define VM_CHILD_STACK ((size_t)512 * 1024)
#define VM_CHILD_BYTES (VM_CHILD_STACK + ((sizeof(struct vm_child) + 4095) & ~(size_t)4095))

static char *
vm_child_stack(struct vm_child *c)
{
    return (char *)c - VM_CHILD_STACK;
}

static struct vm_child *
vm_child_new(const struct task *t, const struct clone_request *q, sigset64 mask)
{
    char *m = mmap(NULL, VM_CHILD_BYTES, PROT_READ | PROT_WRITE,
                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (m == MAP_FAILED) {
        return NULL;
    }
    mprotect(m, GUEST_PAGE, PROT_NONE);
    struct vm_child *c = (struct vm_child *)(void *)(m + VM_CHILD_STACK);
    hart_start(&c->task.hart, &t->hart, q);
    c->task.proc = t->proc;
    c->task.syscall_nr = -1;
    c->task.sync_mask = t->sync_mask;
    c->task.altstack = t->altstack;
    if (!has(q, CLONE_VFORK)) {
        c->task.altstack = (struct guest_stack){.flags = SS_DISABLE};
    }
    if (has(q, CLONE_SIGHAND)) {
        c->task.sighand = t->sighand;
    } else {
        pthread_mutex_init(&c->sighand.lock, NULL);
        pthread_mutex_lock(&t->sighand->lock);
        memcpy(c->sighand.actions, t->sighand->actions, sizeof c->sighand.actions);
        c->sighand.unasked = t->sighand->unasked;
        pthread_mutex_unlock(&t->sighand->lock);
        c->task.sighand = &c->sighand;
    }
    c->q = q;
    c->mask = mask;
    return c;
}

static void
vm_child_free(struct vm_child *c)
{
    engine_hart_release(c->task.proc->engine, &c->task.hart);
    exec_work_free(&c->task);
    munmap(vm_child_stack(c), VM_CHILD_BYTES);
}

/* AddressSanitizer must know on which stack its thread is. Around a clone, and first thing on the
 * other stack. */
#ifdef __SANITIZE_ADDRESS__
void __sanitizer_start_switch_fiber(void **fake, const void *bottom, size_t size);
void __sanitizer_finish_switch_fiber(void *fake, const void **bottom, size_t *size);
void __asan_unpoison_memory_region(const volatile void *start, size_t size);

static void
stack_leave(struct vm_child *c)
{
    __asan_unpoison_memory_region(vm_child_stack(c),
                                  VM_CHILD_STACK); /* what an earlier one left there */
    __sanitizer_start_switch_fiber(&c->asan_fake, vm_child_stack(c), VM_CHILD_STACK);
}

static void
stack_enter(struct vm_child *c)
{
    __sanitizer_finish_switch_fiber(NULL, &c->asan_bottom, &c->asan_size);
}

static void
stack_back(struct vm_child *c)
{
    if (c->asan_bottom == NULL) { /* there was no child */
        stack_enter(c);
    }
    __sanitizer_start_switch_fiber(NULL, c->asan_bottom, c->asan_size);
    __sanitizer_finish_switch_fiber(c->asan_fake, NULL, NULL);
}
#else
static void
stack_leave(struct vm_child *c)
{
    (void)c;
}
#define stack_enter stack_leave
#define stack_back  stack_leave
#endif

__attribute__((no_sanitize("address"))) static void
vm_child_main(void *arg)
{
    struct vm_child *c = arg;
    struct task *t = &c->task;
    stack_enter(c);
    current_task = t;
    debug_child(t, true);
    child_init(t, c->q);
    if (has(c->q, CLONE_PARENT_SETTID)) {
        guest_write_u32(c->q->parent_tid, (uint32_t)t->tid);
    }
    if (c->lent != NULL) {
        c->lent->pid = t->tid;
        sem_post(&c->lent->ready); /* c->q and c->lent are gone from here on */
    }
    _Alignas(16) char alt[ALT_STACK_BYTES];
    task_run_on(t, alt, &c->mask);
    task_exit(t); /* a leader: does not return */
    __builtin_unreachable();
}

static void *
vm_child_lender(void *arg)
{
    struct vm_child *c = arg;
    stack_leave(c);
    int64_t pid = raw_clone(c->q, vm_child_stack(c), VM_CHILD_STACK, vm_child_main, c);
    stack_back(c);
    current_task = NULL;
    struct vm_start *st = pid < 0 ? c->lent : NULL;
    vm_child_free(c);
    if (st != NULL) {
        st->pid = pid;
        sem_post(&st->ready);
    }
    return NULL;
}

/* Around a vfork, in the parent: what is a process's own, but lies in memory that the child shares. */
static void
own_begin(struct task *t, struct vm_child *c)
{
    vfs_vfork_begin(t, &c->vfs_own);
    map_get_limits(t->proc->map, &c->as, &c->data);
    c->nofile = t->proc->nofile;
    c->nofile_max = t->proc->nofile_max;
}

static void
own_end(struct task *t, const struct vm_child *c)
{
    vfs_vfork_end(t, &c->vfs_own);
    fds_moved(t);
    map_set_limits(t->proc->map, c->as, c->data);
    t->proc->nofile = c->nofile;
    t->proc->nofile_max = c->nofile_max;
    fd_limit_changed(t);
}

static int64_t
clone_vm(struct task *t, const struct clone_request *q)
{
    sigset64 mask;
    if (!signal_hold(t, &mask)) {
        return -HOST_ERESTART;
    }
    int64_t pid = -ENOMEM;
    struct vm_child *c = vm_child_new(t, q, mask);
    if (c == NULL) {
        goto release;
    }
    if (has(q, CLONE_VFORK)) {
        stack_leave(c);
        own_begin(t, c);
        pid = raw_clone(q, vm_child_stack(c), VM_CHILD_STACK, vm_child_main, c);
        stack_back(c);
        current_task = t;
        own_end(t, c);
        vm_child_free(c);
        goto release;
    }
    struct vm_start st;
    sem_init(&st.ready, 0, 0);
    c->lent = &st;
    t->proc->had_threads = true;
    pthread_attr_t attr;
    pthread_t thread;
    pthread_attr_init(&attr);
    pthread_attr_setstacksize(&attr, THREAD_STACK_BYTES);
    pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
    pid = -pthread_create(&thread, &attr, vm_child_lender, c);
    pthread_attr_destroy(&attr);
    if (pid == 0) {
        await(&st.ready);
        pid = st.pid;
    } else {
        vm_child_free(c);
    }
    sem_destroy(&st.ready);
release:
    signal_release(&mask);
    return pid;
}

/* ---- the system calls ---- */

HOT static int64_t
clone_any(struct task *t, const struct clone_request *q)
{
    const uint64_t f = q->flags;
    if (has(q, CLONE_NEWNS | CLONE_FS) || has(q, CLONE_NEWUSER | CLONE_FS) ||
        ((f & CLONE_THREAD) != 0 && (f & CLONE_SIGHAND) == 0) ||
        ((f & CLONE_SIGHAND) != 0 && (f & CLONE_VM) == 0) ||
        has(q, CLONE_SIGHAND | CLEAR_SIGHAND) || has(q, CLONE_PIDFD | CLONE_DETACHED)) {
        return -EINVAL;
    }
    /* Who uses our table of descriptors, too, does not tell what it does to it. */
    const bool shares = (f & (CLONE_FILES | CLONE_THREAD)) != 0 || (f & (CLONE_VM | CLONE_VFORK)) == CLONE_VM;
    if ((shares && fds_apart(t) != 0) || ((f & (CLONE_FILES | CLONE_THREAD)) == CLONE_FILES && fds_far(t) != 0)) {
        return -ENOMEM;
    }
    if ((f & CLONE_THREAD) != 0) {
        if ((f & (CLONE_NEWUSER | CLONE_NEWPID | CLEAR_SIGHAND | INTO_CGROUP)) != 0 || q->set_tid_size != 0) {
            return -EINVAL;
        }
        return clone_thread(t, q);
    }
    const int64_t pid = (f & CLONE_VM) != 0 ? clone_vm(t, q) : clone_fork(t, q);
    uint32_t pidfd;
    if (pid > 0 && has(q, CLONE_PIDFD) && guest_read_u32(&pidfd, q->pidfd) == 0 && pidfd >= VFS_FD_NEAR) {
        fds_far(t); /* there is room for it below ours: if they stay for now, it is the next that asks again */
    }
    return pid;
}

HOT int64_t
sys_clone(struct task *t, const uint64_t a[6])
{
    /* riscv64: flags, stack, parent_tid, tls, child_tid */
    const struct clone_request q = {
        .flags = (uint32_t)a[0] & ~(uint64_t)CSIGNAL,
        .exit_signal = a[0] & CSIGNAL,
        .stack = a[1],
        .parent_tid = a[2],
        .pidfd = a[2],
        .tls = a[3],
        .child_tid = a[4],
    };
    return has(&q, CLONE_PIDFD | CLONE_PARENT_SETTID) ? -EINVAL : clone_any(t, &q);
}

int64_t
sys_clone3(struct task *t, const uint64_t a[6])
{
    struct host_clone_args ca = {0};
    enum { FIRST = 64 }; /* sizes of struct clone_args: 64, 80, 88, … */
    if (a[1] > GUEST_PAGE) {
        return -E2BIG;
    }
    if (a[1] < FIRST) {
        return -EINVAL;
    }
    if (guest_read(&ca, a[0], a[1] < sizeof ca ? a[1] : sizeof ca) != 0) {
        return -EFAULT;
    }
    for (uint64_t i = sizeof ca; i < a[1];
         i += 8) { /* what a later kernel knows must not be asked for */
        uint64_t v = 0;
        if (guest_read(&v, a[0] + i, a[1] - i < 8 ? a[1] - i : 8) != 0) {
            return -EFAULT;
        }
        if (v != 0) {
            return -E2BIG;
        }
    }
    if ((ca.flags & ~(uint64_t)(UINT32_MAX | CLEAR_SIGHAND | INTO_CGROUP)) != 0 ||
        (ca.flags & (CLONE_DETACHED | (CSIGNAL & ~(uint64_t)CLONE_NEWTIME))) != 0 ||
        ca.exit_signal > GUEST_NSIG ||
        ((ca.flags & (CLONE_THREAD | CLONE_PARENT)) != 0 && ca.exit_signal != 0) ||
        (ca.stack == 0) != (ca.stack_size == 0) || !guest_range_ok(ca.stack, ca.stack_size) ||
        (ca.set_tid == 0) != (ca.set_tid_size == 0) || ca.set_tid_size > 32) {
        return -EINVAL;
    }
    const struct clone_request q = {
        .flags = ca.flags,
        .pidfd = ca.pidfd,
        .child_tid = ca.child_tid,
        .parent_tid = ca.parent_tid,
        .exit_signal = ca.exit_signal,
        .stack = ca.stack + ca.stack_size,
        .tls = ca.tls,
        .set_tid = ca.set_tid,
        .set_tid_size = ca.set_tid_size,
        .cgroup = ca.cgroup,
    };
    return clone_any(t, &q);
}

int64_t
sys_set_tid_address(struct task *t, const uint64_t a[6])
{
    t->clear_child_tid = a[0];
    if (t->leader) {
        host_syscall(SYS_set_tid_address, g2h(a[0]));
    }
    return t->tid;
}

int64_t
sys_exit(struct task *t, const uint64_t a[6])
{
    sigset64 old;
    if (!signal_hold(t, &old)) { /* it may be the process's: it must not end with this thread */
        return -HOST_ERESTART;
    }
    t->exiting = true;
    t->exit_code = (int)(a[0] & 0xff);
    return 0;
}

HOT int64_t
sys_exit_group(struct task *t, const uint64_t a[6])
{
    engine_cache_save(t->proc->engine);
    debug_process_ends(t, (int)(a[0] & 0xff), 0);
    report_end(t);
    robust_exit_all(t);
    host_syscall(SYS_exit_group, a[0] & 0xff);
    return 0; /* never: but a function that does not return would not lie with the hot ones */
}
