/*
 * debug.c - a debugger at a guest process
 *
 * There is no thread of ours. A guest thread that comes to something that the debugger wants to hear of (a breakpoint, a signal) has the others
 * stop, and serves the connection until it may run on:
 *
 *      engine ──breakpoint, watchpoint, step──► report() ──attention──► each other thread: gate(), waits
 *      signal.c ──a signal──► debug_signal() ──►   │  ◄─────all wait, or sleep in system calls
 *      SIGTRAP (O_ASYNC: input while all run) ──►  serve() ◄──► gdb.c ──► ops: registers, memory, points
 *                                                  └──go──► gates open
 *
 * A thread inside of a system call that sleeps counts as stopped: its registers stand at the ecall, and it comes to its gate before it executes
 * anything more. So stopping disturbs no sleep. Only if its registers are written is the call broken off, to be made again.
 *
 * Children of fork and vfork are on their own, as under qemu-user. A child that shares memory runs through breakpoints as if there were none.
 *
 * Threads: lock covers the state here and in each task's debug; it is held while the debugger is served. tasks_lock is taken inside of it.
 */
#include "process/debug.h"

#include "base/nondet.h"
#include "debug/gdb.h"
#include "process/map.h"
#include "process/signal_impl.h"
#include "process/syscall.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <ucontext.h>

#define GRACE_NS  20000000 /* what a thread may need to come out of a system call that does not sleep */
#define KICK_CODE (-77)    /* si_code of the SIGTRAP that breaks a sleep off */

struct debug {
    struct gdb *gdb;   /* own */
    struct process *p; /* ref */
    struct gdb_ops ops;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool stopped;      /* gates are closed */
    bool over;         /* the debugger has gone */
    bool killed, interrupted;
    atomic_bool input; /* by the host's handler: something has come while all run */
    siginfo_t info;    /* of the last signal that was reported, by this thread */
    int info_tid;
    int async_fd;      /* the connection's number when input was last asked for */
};

extern const char host_syscall_insn[], host_syscall_abort[];

/* ---- what the stub asks for; everything is stopped, the lock is held ---- */

static struct task *
task_by(struct debug *d, uint64_t tid)
{
    struct process *const p = d->p;
    pthread_mutex_lock(&p->tasks_lock);
    struct task *t = p->tasks;
    while (t != NULL && (uint64_t)__atomic_load_n(&t->tid, __ATOMIC_ACQUIRE) != tid) {
        t = t->next;
    }
    pthread_mutex_unlock(&p->tasks_lock);
    return t;
}

static uint64_t
thread_next(void *vm, uint64_t after)
{
    struct debug *const d = vm;
    struct process *const p = d->p;
    uint64_t best = 0;
    pthread_mutex_lock(&p->tasks_lock);
    for (const struct task *t = p->tasks; t != NULL; t = t->next) {
        const uint64_t tid = (uint64_t)__atomic_load_n(&t->tid, __ATOMIC_ACQUIRE);
        if (tid > after && (best == 0 || tid < best)) {
            best = tid;
        }
    }
    pthread_mutex_unlock(&p->tasks_lock);
    return best;
}

static size_t
thread_says(void *vm, uint64_t thread, char *text, size_t size)
{
    const struct task *const t = task_by(vm, thread);
    char path[64], name[20] = "";
    snprintf(path, sizeof path, "/proc/self/task/%llu/comm", (unsigned long long)thread);
    const int64_t fd = host_syscall(SYS_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC);
    if (fd >= 0) {
        const int64_t n = host_syscall(SYS_read, fd, name, sizeof name - 1);
        name[n > 0 ? n - 1 : 0] = 0; /* it ends with a newline */
        host_syscall(SYS_close, fd);
    }
    const struct syscall_row *const in = t != NULL && t->syscall_nr >= 0 ? syscall_find((uint64_t)t->syscall_nr) : NULL;
    const int n = snprintf(text, size, "%s%s%s", name, in != NULL ? ", in " : "", in != NULL ? in->name : "");
    return n < 0 ? 0 : (size_t)n < size ? (size_t)n : size - 1;
}

static bool
reg_read(void *vm, uint64_t thread, unsigned reg, uint64_t *v)
{
    const struct task *const t = task_by(vm, thread);
    if (t == NULL || reg > GDB_REG_CSR + 3) {
        return false;
    }
    const struct hart *const h = &t->hart;
    *v = reg < GDB_REG_PC              ? h->x[reg]
         : reg == GDB_REG_PC           ? h->pc
         : reg < GDB_REG_CSR           ? h->f[reg - GDB_REG_F]
         : reg == GDB_REG_CSR + 1      ? h->fflags
         : reg == GDB_REG_CSR + 2      ? h->frm
         : reg == GDB_REG_CSR + 3      ? hart_fcsr(h)
                                       : 0;
    return reg != GDB_REG_CSR;
}

/* For waits on `changed`, which go by the monotonic clock. */
static void
deadline(struct timespec *ts)
{
    const uint64_t then = nondet_mono_ns() + GRACE_NS;
    *ts = (struct timespec){.tv_sec = (time_t)(then / 1000000000), .tv_nsec = (long)(then % 1000000000)};
}

/* Break the sleep of a system call off, if it can be: it is made again when the thread goes on. */
static void
wake(struct debug *d, struct task *t)
{
    siginfo_t info = {.si_signo = SIGTRAP, .si_code = KICK_CODE};
    for (int i = 0; i < 50 && t->debug.counted && t->debug.resting; i++) {
        struct timespec ts;
        host_syscall(SYS_rt_tgsigqueueinfo, host_syscall(SYS_getpid), t->tid, SIGTRAP, &info);
        deadline(&ts);
        pthread_cond_timedwait(&d->changed, &d->lock, &ts);
    }
}

static bool
reg_write(void *vm, uint64_t thread, unsigned reg, uint64_t v)
{
    struct task *const t = task_by(vm, thread);
    if (t == NULL || reg > GDB_REG_CSR + 3 || reg == GDB_REG_CSR) {
        return false;
    }
    struct hart *const h = &t->hart;
    wake(vm, t);
    if (reg < GDB_REG_PC) {
        h->x[reg] = reg == 0 ? 0 : v;
    } else if (reg == GDB_REG_PC) {
        h->pc = v;
    } else if (reg < GDB_REG_CSR) {
        h->f[reg - GDB_REG_F] = v;
    } else {
        const uint32_t now = hart_fcsr(h), n = (uint32_t)v;
        hart_set_fcsr(h, reg == GDB_REG_CSR + 1   ? (now & 0xe0) | (n & 31)
                         : reg == GDB_REG_CSR + 2 ? (now & 31) | (n & 7) << 5
                                                  : n & 255);
    }
    return true;
}

/* What guest_read and guest_write are refused, a debugger may: the kernel lets a process touch its own pages whatever their permissions. */
static bool
mem_by_file(uint64_t addr, void *to, const void *from, size_t n)
{
    const int64_t fd = host_syscall(SYS_openat, AT_FDCWD, "/proc/self/mem", (from != NULL ? O_RDWR : O_RDONLY) | O_CLOEXEC);
    if (fd < 0) {
        return false;
    }
    const int64_t r = from != NULL ? host_syscall(SYS_pwrite64, fd, from, n, g2h(addr)) : host_syscall(SYS_pread64, fd, to, n, g2h(addr));
    host_syscall(SYS_close, fd);
    return r == (int64_t)n;
}

static size_t
mem_read(void *vm, uint64_t thread, bool physical, uint64_t addr, void *to, size_t n)
{
    struct debug *const d = vm;
    (void)thread, (void)physical;
    n = guest_range_ok(addr, 1) ? map_reach(d->p->map, addr, n) : 0;
    return n != 0 && (guest_read(to, addr, n) == 0 || mem_by_file(addr, to, NULL, n)) ? n : 0;
}

static bool
mem_write(void *vm, uint64_t thread, bool physical, uint64_t addr, const void *from, size_t n)
{
    struct debug *const d = vm;
    (void)thread, (void)physical;
    if (!guest_range_ok(addr, n) || !map_covers(d->p->map, addr, n, NULL) ||
        (guest_write(addr, from, n) != 0 && !mem_by_file(addr, NULL, from, n))) {
        return false;
    }
    map_lock(d->p->map);
    engine_code_invalidate(d->p->engine, addr, addr + n);
    map_unlock(d->p->map);
    return true;
}

static bool
point(void *vm, enum gdb_point kind, bool physical, uint64_t addr, uint64_t n, bool insert)
{
    struct debug *const d = vm;
    struct engine *const en = d->p->engine;
    const struct engine_watch w = {addr, n, kind != GDB_WATCH_WRITE, kind != GDB_WATCH_READ};
    (void)physical;
    if (!guest_range_ok(addr, n) || (insert && kind == GDB_BREAK && !map_covers(d->p->map, addr, 2, NULL))) {
        return false;
    }
    int r = 0;
    map_lock(d->p->map);
    if (kind == GDB_BREAK && insert) {
        r = engine_break_insert(en, addr);
    } else if (kind == GDB_BREAK) {
        engine_break_remove(en, addr);
    } else if (insert) {
        r = engine_watch_insert(en, &w);
    } else {
        engine_watch_remove(en, &w);
    }
    map_unlock(d->p->map);
    return r == 0;
}

static void
act(void *vm, uint64_t thread, enum gdb_action a, int signal)
{
    struct task *const t = task_by(vm, thread);
    if (t != NULL) {
        t->debug.action = (uint8_t)a;
        t->debug.signal = signal;
        t->debug.done = false;
    }
}

static void
go(void *vm)
{
    (void)vm; /* the gates open when what was said has been sent */
}

static void
kill_(void *vm)
{
    ((struct debug *)vm)->killed = true;
}

static void
detach(void *vm)
{
    struct debug *const d = vm;
    struct process *const p = d->p;
    map_lock(p->map);
    engine_debug_clear(p->engine);
    map_unlock(p->map);
    pthread_mutex_lock(&p->tasks_lock);
    for (struct task *t = p->tasks; t != NULL; t = t->next) {
        t->debug.action = GDB_RUN;
        t->debug.signal = -1;
        t->debug.done = false;
    }
    pthread_mutex_unlock(&p->tasks_lock);
    d->over = true;
}

static void
interrupt(void *vm)
{
    ((struct debug *)vm)->interrupted = true;
}

static long
object(void *vm, uint64_t thread, const char *name, uint64_t off, void *to, size_t n)
{
    struct debug *const d = vm;
    const struct process *const p = d->p;
    const char *from = NULL;
    uint64_t size = 0;
    if (strcmp(name, "auxv") == 0) {
        size = p->auxv_end - p->auxv_start;
    } else if (strcmp(name, "exec-file") == 0) {
        from = p->exe_path;
        size = strlen(p->exe_path);
    } else if (strcmp(name, "siginfo") == 0) {
        if ((int)thread != d->info_tid) {
            return -2;
        }
        from = (const char *)&d->info;
        size = sizeof d->info;
    } else {
        return -1;
    }
    n = off >= size ? 0 : n < size - off ? n : size - off;
    if (from == NULL) {
        return guest_read(to, p->auxv_start + off, n) == 0 ? (long)n : -2;
    }
    memcpy(to, from + off, n);
    return (long)n;
}

/* ---- the connection ---- */

static void
flush(struct debug *d)
{
    const void *bytes;
    for (size_t n; (n = gdb_output(d->gdb, &bytes)) > 0;) {
        const int64_t r = host_syscall(SYS_sendto, d->p->opt->gdb_fd, bytes, n, MSG_NOSIGNAL, NULL, 0);
        if (r < 0 && r != -EINTR) {
            return; /* its end shows where it is read */
        }
        gdb_sent(d->gdb, r > 0 ? (size_t)r : 0);
    }
}

/* False: there is nobody any more. */
static bool
receive(struct debug *d, int flags)
{
    char buf[4096];
    int64_t n;
    do {
        n = host_syscall(SYS_recvfrom, d->p->opt->gdb_fd, buf, sizeof buf, flags, NULL, NULL);
    } while (n == -EINTR);
    if (n > 0) {
        gdb_input(d->gdb, buf, (size_t)n);
    }
    return n > 0 || n == -EAGAIN;
}

/* While threads run, input raises SIGTRAP. */
static void
set_async(struct debug *d, bool on)
{
    host_syscall(SYS_fcntl, d->p->opt->gdb_fd, F_SETFL, O_RDWR | (on ? O_ASYNC : 0));
    d->async_fd = d->p->opt->gdb_fd;
    if (on) { /* what came before would raise none */
        struct pollfd p = {.fd = d->p->opt->gdb_fd, .events = POLLIN};
        const struct timespec now = {0};
        if (host_syscall(SYS_ppoll, &p, 1, &now, NULL, 8) > 0) {
            atomic_store(&d->input, true);
        }
    }
}

static void
close_locked(struct debug *d)
{
    if (!d->over) {
        detach(d);
    }
    host_syscall(SYS_close, d->p->opt->gdb_fd);
    d->p->opt->gdb_fd = -1;
}

/* All have stopped, and the debugger has been told: until it lets something run, or is gone. */
static void
serve_locked(struct debug *d)
{
    set_async(d, false);
    flush(d);
    while (!gdb_is_running(d->gdb) && !gdb_is_over(d->gdb)) {
        const bool there = receive(d, 0);
        flush(d);
        if (!there) {
            break;
        }
    }
    if (d->killed) {
        host_syscall(SYS_kill, host_syscall(SYS_getpid), SIGKILL);
    }
    if (!gdb_is_running(d->gdb)) {
        close_locked(d);
    } else {
        set_async(d, true);
    }
    d->stopped = false;
    pthread_cond_broadcast(&d->changed);
}

/* ---- stopping ---- */

static void
attend(struct task *t)
{
    __atomic_store_n(&t->hart.attention, ATTENTION, __ATOMIC_SEQ_CST);
}

/* Does anybody but `self` execute? They are told not to. `asleep`: who has not come by now is in a system call that sleeps. */
static bool
others_run_locked(struct debug *d, const struct task *self, bool asleep)
{
    bool any = false;
    struct process *const p = d->p;
    pthread_mutex_lock(&p->tasks_lock);
    for (struct task *t = p->tasks; t != NULL; t = t->next) {
        if (t == self || !t->debug.counted || t->debug.resting) {
            continue;
        }
        attend(t);
        t->debug.resting = asleep && __atomic_load_n(&t->syscall_nr, __ATOMIC_SEQ_CST) >= 0;
        any |= !t->debug.resting;
    }
    pthread_mutex_unlock(&p->tasks_lock);
    return any;
}

static void
stop_locked(struct debug *d, const struct task *self)
{
    d->stopped = true;
    bool late = false;
    while (others_run_locked(d, self, late)) {
        struct timespec ts;
        deadline(&ts);
        late = pthread_cond_timedwait(&d->changed, &d->lock, &ts) == ETIMEDOUT;
    }
}

static void look_at_input_locked(struct debug *d, struct task *t);

/* Wait until this thread may go on; whether it had to. */
static bool
wait_locked(struct debug *d, struct task *t)
{
    bool waited = false;
    t->debug.counted = t->debug.resting = false;
    pthread_cond_broadcast(&d->changed);
    while (!d->over && (d->stopped || t->debug.action == GDB_STAY)) {
        waited = true;
        if (d->stopped) {
            pthread_cond_wait(&d->changed, &d->lock);
        } else { /* another has been let go alone: it may sleep, and this be who hears of input */
            struct timespec ts;
            deadline(&ts);
            pthread_cond_timedwait(&d->changed, &d->lock, &ts);
            look_at_input_locked(d, t);
        }
    }
    return waited;
}

static void
report_locked(struct debug *d, struct task *t, struct gdb_stop s)
{
    s.thread = (uint64_t)t->tid;
    stop_locked(d, t);
    gdb_stopped(d->gdb, &s);
    serve_locked(d);
}

/* The thread is at a breakpoint, … . If others were first it looks again, when it is let go: much may have changed. */
static void
report(struct debug *d, struct task *t, struct gdb_stop s)
{
    pthread_mutex_lock(&d->lock);
    if (!wait_locked(d, t) && !d->over) {
        d->info = (siginfo_t){.si_signo = SIGTRAP};
        d->info_tid = t->tid;
        report_locked(d, t, s);
    }
    pthread_mutex_unlock(&d->lock);
}

/* Something has come while all run: if it asks to stop, they do. */
static void
look_at_input_locked(struct debug *d, struct task *t)
{
    if (!atomic_exchange(&d->input, false) || d->over) {
        return;
    }
    if (!receive(d, MSG_DONTWAIT)) {
        stop_locked(d, t);
        close_locked(d);
        d->stopped = false;
        pthread_cond_broadcast(&d->changed);
    } else if (d->interrupted) {
        d->interrupted = false;
        d->info = (siginfo_t){.si_signo = SIGINT};
        d->info_tid = t->tid;
        report_locked(d, t, (struct gdb_stop){.why = GDB_SIGNAL, .signal = SIGINT});
    }
}

/* Where each thread comes by before it executes anything. */
static void
gate(struct debug *d, struct task *t)
{
    pthread_mutex_lock(&d->lock);
    do {
        wait_locked(d, t);
        look_at_input_locked(d, t);
        if (t->debug.done && !d->over && !d->stopped) {
            t->debug.done = false;
            report_locked(d, t, (struct gdb_stop){.why = GDB_SIGNAL, .signal = SIGTRAP});
        }
    } while (!d->over && (d->stopped || t->debug.action == GDB_STAY));
    t->debug.counted = true;
    const int sig = t->debug.signal;
    t->debug.signal = -1;
    if (sig > 0) { /* the debugger gives it to the thread, and is not asked about it */
        t->debug.given |= SIG_BIT(sig);
        host_syscall(SYS_tgkill, host_syscall(SYS_getpid), t->tid, sig);
    }
    pthread_mutex_unlock(&d->lock);
}

struct engine_exit
debug_engine_run(struct task *t)
{
    struct debug *const d = t->proc->debug;
    struct engine *const en = t->proc->engine;
    struct hart *const h = &t->hart;
    const bool ours = !t->debug.apart && !d->over;
    if (ours) {
        if (t->debug.at_ecall && h->pc != t->debug.ecall) {
            t->debug.at_ecall = false;
            t->debug.done = t->debug.action == GDB_STEP;
        }
        gate(d, t);
        if (__atomic_load_n(&h->attention, __ATOMIC_SEQ_CST) != 0) {
            return (struct engine_exit){.kind = EXIT_ATTENTION};
        }
    }
    const bool step = ours && t->debug.action == GDB_STEP && !d->over;
    const struct engine_exit x = step ? engine_step(en, h, false) : engine_run(en, h, INT64_MAX);
    struct gdb_stop s = {.why = GDB_AT_BREAK};
    switch (x.kind) {
    case EXIT_EBREAK:
        if (!engine_break_at(en, h->pc)) {
            return x;
        }
        break;
    case EXIT_WATCH:
        s = (struct gdb_stop){.why = GDB_AT_WATCH, .addr = x.addr};
        s.point = !x.stores ? GDB_WATCH_READ : x.loads ? GDB_WATCH_ACCESS : GDB_WATCH_WRITE;
        break;
    case EXIT_BUDGET:
    case EXIT_FENCE_I:
        t->debug.done = step;
        return x;
    case EXIT_ECALL:
        t->debug.at_ecall = step;
        t->debug.ecall = h->pc;
        return x;
    case EXIT_ATTENTION:
    case EXIT_ILLEGAL:
    case EXIT_FETCH:
    case EXIT_FAULT:
    case EXIT_MISALIGNED:
    case EXIT_DIFFERS:
        return x;
    }
    if (ours) {
        report(d, t, s);
        return (struct engine_exit){.kind = EXIT_BUDGET};
    }
    return engine_step(en, h, true);
}

/* ---- signals, ends, children ---- */

bool
debug_signal(struct task *t, siginfo_t *info)
{
    struct debug *const d = t->proc->debug;
    const int sig = info->si_signo;
    if (d == NULL || t->debug.apart || d->over) {
        return true;
    }
    if (t->debug.given & SIG_BIT(sig)) {
        t->debug.given &= ~SIG_BIT(sig);
        return true;
    }
    pthread_mutex_lock(&d->lock);
    if (gdb_passed_signals(d->gdb) & SIG_BIT(sig)) {
        pthread_mutex_unlock(&d->lock);
        return true;
    }
    wait_locked(d, t);
    int to = sig;
    if (!d->over) {
        d->info = *info;
        d->info_tid = t->tid;
        report_locked(d, t, (struct gdb_stop){.why = GDB_SIGNAL, .signal = sig});
        wait_locked(d, t);
        to = t->debug.signal;
        t->debug.signal = -1;
        t->debug.done = to > 0 && t->debug.action == GDB_STEP; /* the handler's first instruction is where it ends */
    }
    pthread_mutex_unlock(&d->lock);
    if (to > 0 && to != sig) {
        *info = (siginfo_t){.si_signo = to, .si_code = SI_USER};
        info->si_pid = (pid_t)host_syscall(SYS_getpid);
    }
    return to > 0;
}

bool
debug_host_signal(struct task *t, const siginfo_t *info, void *ucontext)
{
    struct debug *const d = t != NULL ? t->proc->debug : NULL;
    if (d == NULL || (info->si_code != KICK_CODE && (info->si_code != SI_SIGIO || info->si_fd != d->async_fd))) {
        return false;
    }
    if (info->si_code != KICK_CODE) {
        atomic_store(&d->input, true);
    }
    attend(t);
    /* A call that has not begun does not begin; one that ended for nothing but this has not been. */
    greg_t *const r = ((ucontext_t *)ucontext)->uc_mcontext.gregs;
    const greg_t insn = (greg_t)(uintptr_t)host_syscall_insn, behind = insn + 2;
    if (r[REG_RIP] == behind && r[REG_RAX] == -EINTR && !t->sig.present) {
        r[REG_RIP] = (greg_t)(uintptr_t)host_syscall_abort;
    }
    return true;
}

void
debug_thread_ends(struct task *t)
{
    struct debug *const d = t->proc->debug;
    if (d == NULL || t->debug.apart) {
        return;
    }
    pthread_mutex_lock(&d->lock);
    wait_locked(d, t);
    uint64_t other = 0, first = 0;
    bool any = false; /* may go on without it */
    while (!d->over && (other = thread_next(d, other)) != 0) {
        const struct task *const o = task_by(d, other);
        if (o != NULL && o != t) {
            first = first != 0 ? first : other;
            any |= o->debug.action != GDB_STAY;
        }
    }
    if (!d->over && first != 0 && !any) {
        gdb_stopped(d->gdb, &(struct gdb_stop){.why = GDB_SIGNAL, .thread = first});
        d->stopped = true;
        serve_locked(d);
    }
    pthread_mutex_unlock(&d->lock);
}

HOT void
debug_process_ends(struct task *t, int code, int signal)
{
    struct debug *const d = t->proc->debug;
    if (d == NULL || t->debug.apart) {
        return;
    }
    pthread_mutex_lock(&d->lock);
    wait_locked(d, t);
    if (!d->over) {
        const struct gdb_stop s = {.why = signal != 0 ? GDB_KILLED : GDB_EXITED, .signal = signal != 0 ? signal : code};
        set_async(d, false);
        gdb_stopped(d->gdb, &s);
        flush(d);
        d->over = true;
    }
    pthread_mutex_unlock(&d->lock);
}

HOT void
debug_child(struct task *t, bool shares_memory)
{
    struct process *const p = t->proc;
    if (p->debug == NULL || t->debug.apart) {
        return;
    }
    if (shares_memory) {
        t->debug.apart = true;
        return;
    }
    engine_debug_clear(p->engine);
    if (p->opt->gdb_fd >= 0) {
        host_syscall(SYS_close, p->opt->gdb_fd);
    }
    p->opt->gdb_fd = -1;
    p->debug = NULL; /* its memory stays: other threads may have held the heap's locks */
}

int
debug_begin(struct task *t, struct err *e)
{
    struct process *const p = t->proc;
    struct debug *const d = calloc(1, sizeof *d);
    const struct f_owner_ex owner = {.type = F_OWNER_PID, .pid = (pid_t)host_syscall(SYS_getpid)};
    if (d == NULL) {
        return err_set(e, -ENOMEM, "debugger");
    }
    d->p = p;
    d->ops = (struct gdb_ops){
        .pid = (uint64_t)owner.pid,
        .thread_next = thread_next,
        .thread_says = thread_says,
        .reg_read = reg_read,
        .reg_write = reg_write,
        .mem_read = mem_read,
        .mem_write = mem_write,
        .point = point,
        .act = act,
        .go = go,
        .kill = kill_,
        .detach = detach,
        .interrupt = interrupt,
        .object = object,
    };
    pthread_mutex_init(&d->lock, NULL);
    pthread_condattr_t by_clock;
    pthread_condattr_init(&by_clock);
    pthread_condattr_setclock(&by_clock, CLOCK_MONOTONIC);
    pthread_cond_init(&d->changed, &by_clock);
    pthread_condattr_destroy(&by_clock);
    d->gdb = gdb_new(&d->ops, d, (uint64_t)t->tid);
    if (d->gdb == NULL) {
        free(d);
        return err_set(e, -ENOMEM, "debugger");
    }
    host_syscall(SYS_fcntl, p->opt->gdb_fd, F_SETOWN_EX, &owner);
    host_syscall(SYS_fcntl, p->opt->gdb_fd, F_SETSIG, SIGTRAP);
    p->debug = d;
    signals_report_all(t);
    pthread_mutex_lock(&d->lock);
    d->stopped = true;
    serve_locked(d);
    pthread_mutex_unlock(&d->lock);
    return 0;
}
