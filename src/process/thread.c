/*
 * thread.c - guest threads: a host thread for each, by pthread_create, as libc's own state must exist for it
 *
 * What a thread needs is one mapping, used again for the next one once the kernel has done with the thread that had it:
 *
 *      | guard | stack, libc's thread state on top | stack for signal handlers | struct thread, with its task |
 *
 * The maker does not wait for the new thread to run, unless it could still fail: libc knows its number when pthread_create()
 * returns, and a thread's CPU clock tells it. Threads are made joinable: whoever makes one, or ends, joins those that have ended.
 *
 * Signals are held (signal_hold) while a thread is made, so that it starts with an exact mask and current_task is never
 * wrong where a handler can see it. A leader (the first thread of a host process) ends by a raw exit, as nothing of libc's knows its
 * code; the kernel then keeps the process until the last thread is gone. Other threads return to libc.
 */
#include "process/thread_impl.h"

#include "process/debug.h"
#include "process/map.h"
#include "process/report.h"
#include "process/signal_impl.h"
#include "process/syscall.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <linux/sched.h>
#include <sched.h>
#include <string.h>
#include <sys/mman.h>

#define PIDFD_THREAD O_EXCL /* pidfd_open(2), since Linux 6.9; an older one answers EINVAL, as its clone does */

#define STACK_BYTES ((size_t)512 * 1024)
#define ENDED_MAX   16 /* mappings kept for new threads; a used one has some 24 KiB of memory */

struct thread {
    struct task task;
    struct thread *next; /* of p->ended */
    pthread_t id;
    bool joined;         /* nobody uses the mapping; else `id` must be joined first */
    atomic_int users;    /* itself and its maker: the last one lists it as ended */
    atomic_int told;     /* CLONE_PARENT_SETTID: 0 not yet, 1 somebody is about it, 2 done */
    struct clone_request q;
    sigset64 mask;
    bool awaited;        /* its maker waits for `ready` and `result` */
    sem_t ready;
    int64_t result;      /* its number, or -errno */
};
#define THREAD_BYTES ((sizeof(struct thread) + GUEST_PAGE - 1) & ~(size_t)(GUEST_PAGE - 1))
#define BEFORE_BYTES (STACK_BYTES + ALT_STACK_BYTES)

static char *
stack_of(struct thread *b)
{
    return (char *)b - BEFORE_BYTES;
}

static void
release(struct thread *b)
{
    munmap(stack_of(b), BEFORE_BYTES + THREAD_BYTES);
}

/* The oldest of the ended ones, if its host thread is gone. Within tasks_lock. */
static struct thread *
take_ended(struct process *p)
{
    struct thread *b = p->ended;
    if (b == NULL || (!b->joined && pthread_tryjoin_np(b->id, NULL) != 0)) {
        return NULL;
    }
    p->ended = b->next;
    p->n_ended--;
    return b;
}

static void
put_ended(struct process *p, struct thread *b)
{
    pthread_mutex_lock(&p->tasks_lock);
    struct thread **at = &p->ended;
    while (*at != NULL) {
        at = &(*at)->next;
    }
    b->next = NULL;
    *at = b;
    p->n_ended++;
    b = p->n_ended > ENDED_MAX ? take_ended(p) : NULL;
    pthread_mutex_unlock(&p->tasks_lock);
    if (b != NULL) {
        release(b);
    }
}

static void
unuse(struct process *p, struct thread *b)
{
    if (atomic_fetch_sub(&b->users, 1) == 1) {
        put_ended(p, b);
    }
}

static struct thread *
thread_new(struct process *p)
{
    pthread_mutex_lock(&p->tasks_lock);
    struct thread *b = take_ended(p);
    pthread_mutex_unlock(&p->tasks_lock);
    if (b == NULL) {
        char *m = mmap(NULL, BEFORE_BYTES + THREAD_BYTES, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (m == MAP_FAILED) {
            return NULL;
        }
        mprotect(m, GUEST_PAGE, PROT_NONE);
        b = (struct thread *)(void *)(m + BEFORE_BYTES);
    } else {
        memset(b, 0, sizeof *b);
    }
    task_init(&b->task, p);
    return b;
}

void
threads_after_fork(struct process *p)
{
    for (struct thread *b = p->ended; b != NULL; b = b->next) {
        b->joined = true;
    }
}

/* Maker and thread both see it written before they go on, and neither writes after the other may have reused the place. */
static void
tell_parent_tid(struct thread *b, uint32_t tid)
{
    int was = 0;
    if (!has(&b->q, CLONE_PARENT_SETTID)) {
        return;
    }
    if (atomic_compare_exchange_strong(&b->told, &was, 1)) {
        guest_write_u32(b->q.parent_tid, tid);
        atomic_store(&b->told, 2);
    }
    while (atomic_load(&b->told) != 2) {
        sched_yield();
    }
}

/* What pthread_create shares whether asked or not. */
static uint64_t
apart(const struct clone_request *q)
{
    return (has(q, CLONE_FS) ? 0 : CLONE_FS) | (has(q, CLONE_FILES) ? 0 : CLONE_FILES) |
           (has(q, CLONE_SYSVSEM) ? 0 : CLONE_SYSVSEM) |
           (q->flags & (CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWNET));
}

/* What may fail in a new thread. 0, or -errno. */
static int64_t
set_apart(struct task *t, const struct clone_request *q)
{
    int64_t pidfd = 0; /* made while descriptors are shared: it is the maker's */
    if (has(q, CLONE_PIDFD)) {
        pidfd = fd_made(t, host_syscall(SYS_pidfd_open, t->tid, PIDFD_THREAD));
    }
    int64_t r = pidfd < 0 ? pidfd : apart(q) != 0 ? host_syscall(SYS_unshare, apart(q)) : 0;
    if (r == 0 && has(q, CLONE_PIDFD)) {
        r = guest_write_u32(q->pidfd, (uint32_t)pidfd);
    }
    if (r < 0 && pidfd > 0) {
        host_syscall(SYS_close, pidfd);
    }
    return r;
}

static void *
thread_main(void *arg)
{
    struct thread *b = arg;
    struct task *t = &b->task;
    struct process *p = t->proc;
    current_task = t;
    const int tid = (int)host_syscall(SYS_gettid);
    __atomic_store_n(&t->tid, tid, __ATOMIC_RELEASE);
    const int64_t r = b->awaited ? set_apart(t, &b->q) : 0;
    if (r == 0) {
        tell_parent_tid(b, (uint32_t)tid);
    }
    if (r == 0 && has(&b->q, CLONE_CHILD_SETTID)) {
        guest_write_u32(b->q.child_tid, (uint32_t)tid);
    }
    if (b->awaited) {
        b->result = r == 0 ? tid : r;
        sem_post(&b->ready);
    }
    if (r == 0) {
        task_run_on(t, (char *)b - ALT_STACK_BYTES, &b->mask);
        task_exit(t);
    } else {
        task_unlist(t);
        current_task = NULL;
    }
    unuse(p, b);
    return NULL;
}

/* The number of a thread that has been made. Linux names a thread's clock by it; one that has ended has left it in its task. */
static int
number_of(struct thread *b)
{
    clockid_t clock;
    const int tid = pthread_getcpuclockid(b->id, &clock) == 0 ? ~(clock >> 3) : 0;
    return tid > 0 ? tid : __atomic_load_n(&b->task.tid, __ATOMIC_ACQUIRE);
}

int64_t
clone_thread(struct task *t, const struct clone_request *q)
{
    struct process *p = t->proc;
    sigset64 mask;
    if (!signal_hold(t, &mask)) {
        return -HOST_ERESTART;
    }
    int64_t r = -ENOMEM;
    struct thread *b = thread_new(p);
    if (b == NULL) {
        goto release;
    }
    hart_start(&b->task.hart, &t->hart, q);
    b->task.sighand = t->sighand;
    b->task.sync_mask = t->sync_mask;
    b->task.altstack.flags = SS_DISABLE;
    b->task.clear_child_tid = has(q, CLONE_CHILD_CLEARTID) ? q->child_tid : 0;
    b->q = *q;
    b->mask = mask;
    b->awaited = apart(q) != 0 || has(q, CLONE_PIDFD);
    sem_init(&b->ready, 0, 0);
    atomic_store(&b->users, 2);
    p->had_threads = true;
    pthread_attr_t attr;
    pthread_attr_init(&attr);
    pthread_attr_setstack(&attr, stack_of(b) + GUEST_PAGE, STACK_BYTES - GUEST_PAGE);
    r = -pthread_create(&b->id, &attr, thread_main, b);
    pthread_attr_destroy(&attr);
    if (r != 0) {
        task_unlist(&b->task);
        b->joined = true;
        put_ended(p, b);
        goto release;
    }
    if (b->awaited) {
        await(&b->ready);
        r = b->result;
    } else {
        r = number_of(b);
        tell_parent_tid(b, (uint32_t)r);
    }
    unuse(p, b);
release:
    signal_release(&mask);
    return r;
}

bool
task_unlist(struct task *t)
{
    struct process *p = t->proc;
    pthread_mutex_lock(&p->tasks_lock);
    struct task **at = &p->tasks;
    while (*at != NULL && *at != t) {
        at = &(*at)->next;
    }
    if (*at != NULL) {
        *at = t->next;
    }
    bool left = p->tasks != NULL;
    pthread_mutex_unlock(&p->tasks_lock);
    return left;
}

void
task_exit(struct task *t)
{
    const gva_t clear = t->clear_child_tid;
    const int code = t->exit_code;
    robust_exit(t);
    if (t->next == NULL && t->proc->tasks == t) { /* as far as can be seen, the last */
        engine_cache_save(t->proc->engine);
        debug_process_ends(t, code, 0);
    }
    debug_thread_ends(t);
    if (t->leader) {
        report_end(t);
    }
    /* The kernel knows a leader's clear_child_tid. The last thread's code is the process's: libc would make it 0. */
    if (!task_unlist(t) || t->leader) {
        host_syscall(SYS_exit, code);
        __builtin_unreachable();
    }
    current_task = NULL;
    engine_hart_release(t->proc->engine, &t->hart);
    if (clear != 0 && guest_write_u32(clear, 0) == 0) {
        host_syscall(SYS_futex, g2h(clear), FUTEX_WAKE, 1);
    }
}
