/*
 * signal.c - from the host kernel's signals to the guest's handlers
 *
 * The model is in task.h's head. What this file adds:
 *
 *   asynchronous   host_signal(): at most one, with everything blocked until signal_deliver() has
 *                  entered the guest's handler and set the mask that it runs under. The kernel then
 *                  has the next one come at once, and its frame goes on top: as Linux stacks frames
 *                  before it returns to user mode.
 *   faults         host_fault(): for SIGILL, SIGTRAP, SIGBUS, SIGSEGV, with nothing blocked, as
 *                  engine_fault() jumps out of it. What is not a fault but was sent by somebody is
 *                  kept in task.held, at most one of each as the kernel keeps them, until the
 *                  guest's mask lets it through.
 *
 * Threads: t is the caller's own task throughout. sighand->lock covers the actions; a handler of
 * the host's takes no lock.
 */
#include "process/signal_impl.h"
#include "process/debug.h"
#include "process/report.h"
#include "process/syscall.h"

#include "base/check.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/rseq.h>
#include <ucontext.h>
#include <unistd.h>

__thread struct task *current_task;

extern const char host_syscall_start[], host_syscall_insn[], host_syscall_abort[];
extern const char host_cmpxchg32_start[], host_cmpxchg32_end[], host_cmpxchg32_fault[];
void host_restorer(void);

#ifndef SA_RESTORER
#define SA_RESTORER 0x04000000
#endif

static const int sync_signals[HELD_MAX] = {SIGILL, SIGTRAP, SIGBUS, SIGSEGV};

static int64_t
host_mask(int how, const sigset64 *set, sigset64 *old)
{
    return host_syscall(SYS_rt_sigprocmask, how, set, old, sizeof *set);
}

/*
 * On the way into the host's system call, or sent back to it by the kernel for a restart after the
 * handler: the call has not happened and shall not, as the guest's handler comes first.
 */
static void
rewind_syscall(ucontext_t *uc)
{
    uintptr_t pc = (uintptr_t)uc->uc_mcontext.gregs[REG_RIP];
    if (pc >= (uintptr_t)host_syscall_start && pc <= (uintptr_t)host_syscall_insn) {
        uc->uc_mcontext.gregs[REG_RIP] = (greg_t)(uintptr_t)host_syscall_abort;
    }
}

static void
attend(struct task *t)
{
    __atomic_store_n(&t->hart.attention, ATTENTION, __ATOMIC_SEQ_CST);
}

static void
host_signal(int sig, siginfo_t *info, void *ucontext)
{
    (void)sig;
    ucontext_t *uc = ucontext;
    struct task *t = current_task;
    CHECK(t != NULL && !t->sig.present);
    memcpy((void *)(uintptr_t)&t->sig.info, info, sizeof *info);
    memcpy((void *)(uintptr_t)&t->sig.old_mask, &uc->uc_sigmask, sizeof(sigset64));
    const sigset64 all = HOST_MASK_ALL;
    memcpy(&uc->uc_sigmask, &all, sizeof all);
    t->sig.present = true;
    attend(t);
    rewind_syscall(uc);
}

/* What is left is a fault of doppel's. Only async-signal-safe calls, and nothing of the guest's may
 * be entered any more. */
static _Noreturn void
own_fault(int sig, const siginfo_t *info, const ucontext_t *uc)
{
    static volatile int again;
    const struct task *t = current_task;
    if (again++ == 0) {
        char text[256];
        int n = snprintf(text, sizeof text,
                         "doppel: internal error: signal %d (code %d, address %p) at host pc "
                         "%#llx, guest pc %#llx\n",
                         sig, info->si_code, info->si_addr,
                         (unsigned long long)uc->uc_mcontext.gregs[REG_RIP],
                         t != NULL ? (unsigned long long)t->hart.pc : 0);
        host_syscall(SYS_write, 2, text, n);
        if (check_report != NULL) {
            check_report();
        }
    }
    const struct host_sigaction dfl = {0};
    const sigset64 bit = SIG_BIT(sig);
    host_syscall(SYS_rt_sigaction, sig, &dfl, NULL, sizeof(sigset64));
    host_mask(SIG_UNBLOCK, &bit, NULL);
    host_syscall(SYS_tgkill, getpid(), host_syscall(SYS_gettid), sig);
    host_syscall(SYS_exit_group, 128 + sig);
    __builtin_unreachable();
}

static int
held_index(int sig)
{
    for (int i = 0; i < HELD_MAX; i++) {
        if (sync_signals[i] == sig) {
            return i;
        }
    }
    return -1;
}

static void
host_fault(int sig, siginfo_t *info, void *ucontext)
{
    ucontext_t *uc = ucontext;
    struct task *t = current_task;
    if (sig == SIGTRAP && debug_host_signal(t, info, ucontext)) {
        return;
    }
    if (info->si_code > 0) {
        if (sig == SIGSEGV || sig == SIGBUS) {
            if (t != NULL && engine_fault(&t->hart, sig, info->si_code, (uintptr_t)info->si_addr,
                                          (uc->uc_mcontext.gregs[REG_ERR] & 2) != 0, uc)) {
                return;
            }
            uintptr_t pc = (uintptr_t)uc->uc_mcontext.gregs[REG_RIP];
            if (guest_access_fault(uc)) {
                return;
            }
            if (pc >= (uintptr_t)host_cmpxchg32_start && pc < (uintptr_t)host_cmpxchg32_end) {
                uc->uc_mcontext.gregs[REG_RIP] = (greg_t)(uintptr_t)host_cmpxchg32_fault;
                return;
            }
        }
        own_fault(sig, info, uc);
    }
    if (t == NULL) {
        return;
    }
    volatile struct held_signal *held = &t->held[held_index(sig)];
    if (!held->pending) {
        memcpy((void *)(uintptr_t)&held->info, info, sizeof *info);
        signal_code_unmark((siginfo_t *)(uintptr_t)&held->info);
        held->pending = true;
    }
    attend(t);
    rewind_syscall(uc);
}

enum { CODE_MARK = -0x40000000, CODE_MARK_MAX = 0xffff };

void
signal_code_mark(siginfo_t *info)
{
    if (info->si_code > 0 && info->si_code <= CODE_MARK_MAX) {
        info->si_code = CODE_MARK - info->si_code;
    }
}

void
signal_code_unmark(siginfo_t *info)
{
    if (info->si_code < CODE_MARK && info->si_code >= CODE_MARK - CODE_MARK_MAX) {
        info->si_code = CODE_MARK - info->si_code;
    }
}

int
signal_held_peek(const struct task *t, sigset64 mask)
{
    for (int i = 0; i < HELD_MAX; i++) {
        if (t->held[i].pending && (mask & SIG_BIT(sync_signals[i])) == 0) {
            return sync_signals[i];
        }
    }
    return 0;
}

sigset64
signal_held_set(const struct task *t)
{
    sigset64 set = 0;
    for (int i = 0; i < HELD_MAX; i++) {
        set |= t->held[i].pending ? SIG_BIT(sync_signals[i]) : 0;
    }
    return set;
}

bool
signal_held_take(struct task *t, int sig, siginfo_t *info)
{
    int i = held_index(sig);
    if (i < 0 || !t->held[i].pending) {
        return false;
    }
    memcpy(info, (const void *)(uintptr_t)&t->held[i].info, sizeof *info);
    t->held[i].pending = false;
    return true;
}

static bool
ignored_by_default(int sig)
{
    return (SIG_BIT(sig) &
            (SIG_BIT(SIGCHLD) | SIG_BIT(SIGURG) | SIG_BIT(SIGWINCH) | SIG_BIT(SIGCONT))) != 0;
}

static bool
stops_by_default(int sig)
{
    return (SIG_BIT(sig) & (SIG_BIT(SIGTSTP) | SIG_BIT(SIGTTIN) | SIG_BIT(SIGTTOU))) != 0;
}

/* Whoever is profiled makes his report before he dies of it, and a debugger decides whether he does: it is taken as if there were a handler. */
static bool
is_reported(const struct task *t, int sig, const struct guest_sigaction *act)
{
    return act->handler == 0 && t != NULL && ((t->proc->opt->tuning.show & ENGINE_PROFILE) != 0 || t->proc->debug != NULL) && sig != SIGKILL && sig != SIGSTOP &&
           sig != 32 && sig != 33 /* libc's */ && !ignored_by_default(sig) && !stops_by_default(sig);
}

HOT void
signal_install(int sig, const struct guest_sigaction *act)
{
    bool sync = (SIG_BIT(sig) & SYNC_SIGNALS) != 0;
    bool handled = act->handler > 1 || is_reported(current_task, sig, act);
    struct host_sigaction h = {.flags = SA_RESTORER | (act->flags & (SA_NOCLDSTOP | SA_NOCLDWAIT)),
                               .restorer = host_restorer};
    if (sync) {
        h.handler = host_fault;
        h.flags |=
            SA_SIGINFO | SA_ONSTACK | SA_NODEFER | (handled ? act->flags & SA_RESTART : SA_RESTART);
    } else if (handled) {
        h.handler = host_signal;
        h.flags |= SA_SIGINFO | SA_ONSTACK | (act->handler > 1 ? act->flags & SA_RESTART : SA_RESTART);
        h.mask = HOST_MASK_ALL;
    } else {
        h.handler = (void *)(uintptr_t)act->handler;
    }
    int64_t r = host_syscall(SYS_rt_sigaction, sig, &h, NULL, sizeof h.mask);
    CHECK(r == 0);
}

HOT const struct guest_sigaction *
signal_action(struct sighand *sh, int sig)
{
    struct guest_sigaction *act = &sh->actions[sig];
    if (sh->unasked & SIG_BIT(sig)) {
        struct host_sigaction h;
        int64_t r = host_syscall(SYS_rt_sigaction, sig, NULL, &h, sizeof(sigset64));
        CHECK(r == 0);
        act->handler = h.handler == (void *)(uintptr_t)1;
        sh->unasked &= ~SIG_BIT(sig);
    }
    return act;
}

static void *
no_thread(void *arg)
{
    return arg;
}

/*
 * glibc's first pthread_create() takes signal 33 for itself. Have that happen now, by one that
 * fails for want of memory, so that it cannot happen to a guest.
 */
static void
settle_libc(void)
{
    /* The kernel would write the processor's number into libc's state, for nobody, and after a fork to a page that is copied for it. */
    host_syscall(SYS_rseq, (char *)__builtin_thread_pointer() + __rseq_offset, sizeof(struct rseq), RSEQ_FLAG_UNREGISTER, RSEQ_SIG);
    pthread_attr_t attr;
    pthread_t thread;
    if (pthread_attr_init(&attr) == 0) {
        if (pthread_attr_setstacksize(&attr, (size_t)1 << 47) == 0) {
            int r = pthread_create(&thread, &attr, no_thread, NULL);
            CHECK(r != 0);
        }
        pthread_attr_destroy(&attr);
    }
}

void
signals_init(struct process *p, struct task *first)
{
    const sigset64 ours = SYNC_SIGNALS | SIG_BIT(33); /* those that libc or we take away */
    sigset64 mask;
    host_mask(SIG_SETMASK, NULL, &mask);
    p->sighand.unasked = ~UINT64_C(0);
    for (int s = 1; s <= GUEST_NSIG; s++) {
        if (SIG_BIT(s) & ours) {
            signal_action(&p->sighand, s);
        }
    }
    settle_libc();
    enum { ALT_STACK_BYTES = 64 * 1024 };
    void *alt =
        mmap(NULL, ALT_STACK_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (alt != MAP_FAILED) {
        signals_thread_init(alt, ALT_STACK_BYTES);
    }

    pthread_mutex_init(&p->sighand.lock, NULL);
    for (int s = 1; s <= GUEST_NSIG; s++) {
        if (SIG_BIT(s) & ours) {
            signal_install(s, &p->sighand.actions[s]);
        }
    }
    first->leader = true;
    first->sighand = &p->sighand;
    first->altstack.flags = SS_DISABLE;
    current_task = first;
    signals_report_all(first);
    signal_set_mask(first, mask);
}

void
signals_report_all(struct task *t)
{
    for (int s = 1; s <= GUEST_NSIG && ((t->proc->opt->tuning.show & ENGINE_PROFILE) != 0 || t->proc->debug != NULL); s++) {
        if (is_reported(t, s, signal_action(t->sighand, s))) {
            signal_install(s, &t->sighand->actions[s]);
        }
    }
}

int
signals_thread_init(void *alt_stack, size_t size)
{
    const stack_t ss = {.ss_sp = alt_stack, .ss_size = size};
    return (int)host_syscall(SYS_sigaltstack, &ss, NULL);
}

HOT void
signal_set_sync_mask(struct task *t, sigset64 mask)
{
    t->sync_mask = mask & SYNC_SIGNALS;
    if (signal_held_peek(t, t->sync_mask) != 0) {
        attend(t);
    }
}

HOT void
signal_set_mask(struct task *t, sigset64 mask)
{
    signal_set_sync_mask(t, mask);
    const sigset64 host = mask & ~SYNC_SIGNALS;
    host_mask(SIG_SETMASK, &host, NULL);
}

HOT bool
signal_hold(struct task *t, sigset64 *old)
{
    const sigset64 all = HOST_MASK_ALL;
    host_mask(SIG_SETMASK, &all, old);
    return !t->sig.present;
}

HOT void
signal_release(const sigset64 *old)
{
    host_mask(SIG_SETMASK, old, NULL);
}

_Noreturn void
signal_die(struct task *t, int sig)
{
    debug_process_ends(t, 0, sig);
    report_end(t);
    robust_exit_all(t);
    /* The reservations of the monitor are no part of a core file that anybody wants. */
    struct rlimit core;
    if (host_syscall(SYS_prlimit64, 0, RLIMIT_CORE, NULL, &core) == 0) {
        core.rlim_cur = 0;
        host_syscall(SYS_prlimit64, 0, RLIMIT_CORE, &core, NULL);
    }
    const struct host_sigaction dfl = {0};
    const sigset64 bit = SIG_BIT(sig);
    for (int i = 0; i < 100; i++) { /* another thread may be installing a handler */
        host_syscall(SYS_rt_sigaction, sig, &dfl, NULL, sizeof(sigset64));
        host_syscall(SYS_tgkill, host_syscall(SYS_getpid), host_syscall(SYS_gettid), sig);
        host_mask(SIG_UNBLOCK, &bit, NULL);
    }
    host_syscall(SYS_exit_group, 128 + sig);
    __builtin_unreachable();
}

/* Within a hold. The host's action is SIG_DFL, or of SYNC_SIGNALS: have the kernel do what it does.
 */
static void
default_action(struct task *t, int sig, sigset64 mask)
{
    if (!ignored_by_default(sig)) {
        if (!stops_by_default(sig)) {
            signal_die(t, sig);
        }
        host_syscall(SYS_tgkill, host_syscall(SYS_getpid), host_syscall(SYS_gettid), sig);
    }
    signal_set_mask(t, mask);
}

/* The action for a signal that is delivered now; SA_RESETHAND takes effect. */
static struct guest_sigaction
action_use(struct task *t, int sig)
{
    struct sighand *sh = t->sighand;
    pthread_mutex_lock(&sh->lock);
    struct guest_sigaction act = sh->actions[sig];
    if (act.handler > 1 && (act.flags & SA_RESETHAND) != 0) {
        sh->actions[sig].handler = 0;
        signal_install(sig, &sh->actions[sig]);
    }
    pthread_mutex_unlock(&sh->lock);
    return act;
}

/*
 * Within a hold: enter the guest's handler, and set the mask that it runs under.
 *
 * frame_mask   the mask to be restored when the handler returns
 * blocked      the mask now: the same, or a temporary one (rt_sigsuspend)
 */
static void
deliver_now(struct task *t, const siginfo_t *info, sigset64 frame_mask, sigset64 blocked)
{
    int sig = info->si_signo;
    struct guest_sigaction act = action_use(t, sig);
    if (t->proc->opt->strace) {
        strace_signal(t, info);
    }
    if (act.handler == 1) {
        signal_set_mask(t, frame_mask);
    } else if (act.handler == 0) {
        default_action(t, sig, frame_mask);
    } else if (sigframe_push(t, info, &act, frame_mask) == 0) {
        signal_set_mask(t, blocked | act.mask | ((act.flags & SA_NODEFER) != 0 ? 0 : SIG_BIT(sig)));
    } else if (sig == SIGSEGV) {
        signal_die(t, SIGSEGV);
    } else {
        siginfo_t segv = {.si_signo = SIGSEGV, .si_code = SI_KERNEL};
        signal_force_held(t, &segv, frame_mask, blocked);
    }
}

/* The same, if a debugger does not want it otherwise. */
static void
deliver(struct task *t, const siginfo_t *info, sigset64 frame_mask, sigset64 blocked)
{
    siginfo_t now = *info;
    if (t->proc->debug != NULL && !debug_signal(t, &now)) {
        signal_set_mask(t, frame_mask);
    } else {
        deliver_now(t, &now, frame_mask, blocked);
    }
}

HOT void
signal_deliver(struct task *t)
{
    siginfo_t info;
    /* Cleared before looking: whoever sets it later is seen in the next round. */
    __atomic_store_n(&t->hart.attention, 0, __ATOMIC_SEQ_CST);
    if (t->sig.present) {
        memcpy(&info, (const void *)(uintptr_t)&t->sig.info, sizeof info);
        sigset64 mask = t->sig.old_mask | t->sync_mask;
        sigset64 blocked = t->temp_mask_set ? t->temp_mask : mask;
        t->temp_mask_set = false;
        t->sig.present = false;
        deliver(t, &info, mask, blocked);
        if (signal_held_peek(t, t->sync_mask) != 0) {
            attend(t);
        }
        return;
    }
    sigset64 blocked = t->temp_mask_set ? t->temp_mask : t->sync_mask;
    int sig = signal_held_peek(t, blocked);
    sigset64 old;
    if (sig == 0 || !signal_hold(t, &old)) { /* not held: host_signal() has set attention */
        return;
    }
    sigset64 mask = old | t->sync_mask;
    blocked = t->temp_mask_set ? t->temp_mask : mask;
    t->temp_mask_set = false;
    if (signal_held_take(t, sig, &info)) {
        deliver(t, &info, mask, blocked);
    } else {
        signal_release(&old);
    }
}

static bool
is_handled(struct task *t, int sig)
{
    pthread_mutex_lock(&t->sighand->lock);
    bool handled = t->sighand->actions[sig].handler > 1;
    pthread_mutex_unlock(&t->sighand->lock);
    return handled;
}

bool
signal_is_fatal(struct task *t, int sig)
{
    return !is_handled(t, sig) || (t->sync_mask & SIG_BIT(sig)) != 0;
}

void
signal_force_held(struct task *t, const siginfo_t *info, sigset64 frame_mask, sigset64 blocked)
{
    siginfo_t now = *info;
    if (t->proc->debug != NULL && !debug_signal(t, &now)) {
        signal_set_mask(t, frame_mask);
        return;
    }
    if (now.si_signo != info->si_signo) { /* what comes in its place may be ignored */
        deliver_now(t, &now, frame_mask, blocked);
        return;
    }
    int sig = info->si_signo;
    if (!is_handled(t, sig) || (blocked & SIG_BIT(sig)) != 0) {
        if (t->proc->opt->strace) {
            strace_signal(t, info);
        }
        signal_die(t, sig);
    }
    deliver_now(t, info, frame_mask, blocked);
}

void
signal_force_now(struct task *t, int sig)
{
    sigset64 old;
    if (!signal_hold(t, &old)) {
        return; /* the ecall stands: after the signal that has been taken, it fails again */
    }
    const siginfo_t info = {.si_signo = sig, .si_code = SI_KERNEL};
    signal_force_held(t, &info, old | t->sync_mask, old | t->sync_mask);
}

void
signal_force(struct task *t, int sig, int code, uint64_t addr)
{
    sigset64 old;
    if (!signal_hold(t, &old)) {
        return; /* what has been taken is delivered first; then the instruction faults again */
    }
    siginfo_t info = {.si_signo = sig, .si_code = code};
    info.si_addr = (void *)(uintptr_t)addr;
    sigset64 mask = old | t->sync_mask;
    signal_force_held(t, &info, mask, mask);
}

bool
signal_wait_begin(struct task *t, sigset64 mask)
{
    if (signal_held_peek(t, mask) == 0) {
        return false;
    }
    t->temp_mask = mask;
    t->temp_mask_set = true;
    attend(t);
    return true;
}

int64_t
signal_wait_end(struct task *t, int64_t ret, sigset64 mask)
{
    if (ret != -EINTR) {
        return ret;
    }
    if (t->sig.present) {
        t->temp_mask = mask;
        t->temp_mask_set = true;
        return ret;
    }
    /* A fault signal that somebody sent: if the mask does not let it through, the kernel would have
     * slept on. */
    return signal_wait_begin(t, mask) ? ret : -HOST_ERESTART;
}

void
signals_before_execve(struct task *t)
{
    host_mask(SIG_BLOCK, &t->sync_mask, NULL);
    for (int i = 0; i < HELD_MAX; i++) {
        int sig = sync_signals[i];
        if (t->sighand->actions[sig].handler == 1) {
            const struct host_sigaction ign = {.handler = (void *)(uintptr_t)1};
            host_syscall(SYS_rt_sigaction, sig, &ign, NULL, sizeof(sigset64));
        }
        siginfo_t info;
        if ((t->sync_mask & SIG_BIT(sig)) != 0 && signal_held_take(t, sig, &info)) {
            signal_code_mark(&info);
            host_syscall(SYS_rt_tgsigqueueinfo, host_syscall(SYS_getpid), host_syscall(SYS_gettid),
                         sig, &info);
        }
    }
}

void
signals_execve_failed(struct task *t)
{
    for (int i = 0; i < HELD_MAX; i++) {
        signal_install(sync_signals[i], &t->sighand->actions[sync_signals[i]]);
    }
    const sigset64 sync = SYNC_SIGNALS;
    host_mask(SIG_UNBLOCK, &sync, NULL);
}
