/*
 * thread_impl.h - what the files about threads share
 */
#ifndef DOPPEL_THREAD_IMPL_H
#define DOPPEL_THREAD_IMPL_H

#include "process/task.h"

#include <linux/sched.h>
#include <semaphore.h>

#define ALT_STACK_BYTES ((size_t)64 * 1024) /* room for a frame with all of AVX-512 and AMX, and our handler */

/* What clone and clone3 ask for; also the kernel's struct clone_args but for guest addresses. */
struct clone_request {
    uint64_t flags; /* without the exit signal */
    gva_t pidfd, child_tid, parent_tid;
    uint64_t exit_signal;
    uint64_t stack; /* the new x2; 0: as the parent's */
    uint64_t tls;
    gva_t set_tid;
    uint64_t set_tid_size, cgroup;
};

static inline bool
has(const struct clone_request *q, uint64_t flags)
{
    return (q->flags & flags) == flags;
}

/* sys_thread.c: the registers of a new task: as its maker's after the ecall, which returns 0 here. */
void hart_start(struct hart *child, const struct hart *h, const struct clone_request *q);

/*
 * sys_thread.c: run t on this thread, which has signals blocked, with alt[ALT_STACK_BYTES] for the host's handlers and then
 * this mask.
 */
void task_run_on(struct task *t, char *alt, const sigset64 *mask);

/* sys_thread.c: sem_wait, but for nothing that could take a signal: all are blocked. */
void await(sem_t *s);

/* thread.c */
int64_t clone_thread(struct task *t, const struct clone_request *q);
void threads_after_fork(struct process *p); /* in the child: those that have ended need not be joined */
bool task_unlist(struct task *t); /* not among the process's tasks any more, if it was; whether any is left */

/* sys_futex.c: the thread ends; those who wait for its robust locks learn of it. Within a hold. */
void robust_exit(struct task *t);

/* host_asm.S */
int64_t host_clone(uint64_t flags, void *stack_top, void *ptid, void *ctid, void (*fn)(void *),
                   void *arg);
int64_t host_clone3(void *args, size_t size, void (*fn)(void *), void *arg);
int host_cmpxchg32(void *p, uint32_t *expected, uint32_t desired);

#endif
