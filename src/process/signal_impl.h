/*
 * signal_impl.h - what the files about signals share
 */
#ifndef DOPPEL_SIGNAL_IMPL_H
#define DOPPEL_SIGNAL_IMPL_H

#include "process/task.h"

/* What a fault raises. Never blocked on the host; the guest's mask of them is task.sync_mask. */
#define SYNC_SIGNALS  (SIG_BIT(SIGILL) | SIG_BIT(SIGTRAP) | SIG_BIT(SIGBUS) | SIG_BIT(SIGSEGV))
#define HOST_MASK_ALL (~SYNC_SIGNALS) /* "everything is blocked", on the host */
#define UNBLOCKABLE   (SIG_BIT(SIGKILL) | SIG_BIT(SIGSTOP))

/* struct sigaction as the x86-64 kernel has it. */
struct host_sigaction {
    void *handler;
    uint64_t flags;
    void *restorer;
    sigset64 mask;
};

/* riscv64's SA_*: those of asm-generic, as x86-64's; any other bit reads back as 0. */
#define GUEST_SA_FLAGS                                                                             \
    (SA_NOCLDSTOP | SA_NOCLDWAIT | SA_SIGINFO | SA_ONSTACK | SA_RESTART | SA_NODEFER |             \
     SA_RESETHAND | 0x800u)

#define GUEST_SS_AUTODISARM (1u << 31)
#define GUEST_MINSIGSTKSZ   2048

/* The guest's action, within the lock; one that was inherited is asked for when it is first of interest. */
const struct guest_sigaction *signal_action(struct sighand *sh, int sig);

/* Install on the host what the guest's action needs there. */
void signal_install(int sig, const struct guest_sigaction *act);

void signal_set_mask(struct task *t, sigset64 mask);
void signal_set_sync_mask(struct task *t,
                          sigset64 mask); /* the part of it that the host does not know */

/*
 * A fault whose instruction cannot run again (a frame that is not there). _held: within a hold;
 * `frame_mask` is the guest's mask, `blocked` what it is under a temporary one. _now: takes the
 * hold; it is for a system call that then returns -HOST_EJUSTRETURN.
 */
void signal_force_held(struct task *t, const siginfo_t *info, sigset64 frame_mask,
                       sigset64 blocked);
void signal_force_now(struct task *t, int sig);

/* Held signals (task.held). peek: the number of the first that `mask` lets through, 0 none. */
int signal_held_peek(const struct task *t, sigset64 mask);
bool signal_held_take(struct task *t, int sig, siginfo_t *info);
sigset64 signal_held_set(const struct task *t);

/*
 * A fault's si_code (positive) in one of SYNC_SIGNALS may be sent by the process to itself; the
 * host's handler would take it for a fault of its own. On the way through the kernel it is another,
 * negative code.
 */
void signal_code_mark(siginfo_t *info);
void signal_code_unmark(siginfo_t *info);

/*
 * A call that waits under a temporary mask: before (true: it is interrupted at once, return -EINTR)
 * and after it, on its result.
 */
bool signal_wait_begin(struct task *t, sigset64 mask);
int64_t signal_wait_end(struct task *t, int64_t ret, sigset64 mask);

/* sigframe.c. Push a frame and enter the handler. 0, or -EFAULT and nothing in the hart has
 * changed. */
int sigframe_push(struct task *t, const siginfo_t *info, const struct guest_sigaction *act,
                  sigset64 mask);
int64_t sigframe_altstack(struct task *t, const struct guest_stack *ss, uint64_t sp,
                          struct guest_stack *old);

#endif
