/*
 * debugger.c - a debugger at a machine (doppel boot --gdb); harts are its threads, hart 0 is thread 1
 *
 *      a hart: breakpoint, watchpoint, step done ──► debugger_hit(): notes it, asks all to stand ──event──► loop
 *      the I/O thread: all stand ──► gdb_stopped() ◄──► gdb.c ──► registers, memory, points
 *                      go ──► each hart runs, does one instruction, or stays ──► machine_resume()
 *
 * The protocol is src/debug's. The debugger holds the machine as others do (machine.h, pause.c): QMP's stop and a breakpoint may both have it.
 *
 * Addresses are virtual, of the hart that is asked about, in its supervisor's eyes; physical ones by Qqemu.PhyMemMode. A single step takes no
 * interrupt unless Qqemu.sstep says so: it would end in the timer's handler each time.
 *
 * Threads: all on the I/O thread but debugger_hit() and debugger_turn(), which are harts'. `lock` covers what both touch. What a hart does next
 * (machine_hart.action) is written only while all stand.
 */
#include "machine/debugger.h"

#include "base/check.h"
#include "base/thread.h"
#include "isa/priv.h"

#include <errno.h>
#include <linux/futex.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#define SSTEP_NOIRQ 2
#define MTIME       UINT64_C(0x200bff8) /* the CLINT's, which stands when the harts do */
#define CSR_TIME   0xc01

struct debugger {
    struct machine *m; /* ref */
    struct gdb_ops ops;
    struct gdb *gdb;   /* own: of who is connected; or NULL */
    struct loop_fd listener, peer, event; /* peer.fd: own, -1: nobody; event.fd: own */
    bool writes;       /* the peer did not take all */
    struct system_debug points;
    uint64_t *breaks;  /* own: those of points */

    pthread_mutex_t lock; /* covers what follows */
    bool holds;        /* the machine */
    struct gdb_stop hits[MACHINE_HARTS_MAX];
    bool hit[MACHINE_HARTS_MAX];
};

/* ---- harts ---- */

/* Hold the machine, if that is not so already. Whether it was not. */
static bool
hold(struct debugger *d)
{
    pthread_mutex_lock(&d->lock);
    const bool was = d->holds;
    d->holds = true;
    pthread_mutex_unlock(&d->lock);
    if (!was) {
        machine_pause_begin(d->m);
    }
    return !was;
}

void
debugger_hit(struct machine_hart *h, enum gdb_why why, int signal)
{
    struct debugger *const d = h->m->debugger;
    const struct mhart *const c = h->cpu;
    pthread_mutex_lock(&d->lock);
    d->hits[h->number] = (struct gdb_stop){
        .why = why,
        .signal = signal,
        .thread = h->number + 1,
        .point = !c->hit.stores ? GDB_WATCH_READ : c->hit.loads ? GDB_WATCH_ACCESS : GDB_WATCH_WRITE,
        .addr = c->hit.addr,
    };
    d->hit[h->number] = true;
    pthread_mutex_unlock(&d->lock);
    hold(d);
    thread_wake(d->event.fd);
}

bool
debugger_stays(struct machine_hart *h)
{
    while (h->action == GDB_STAY) {
        const unsigned seen = atomic_load(&h->wakes);
        if (atomic_load(&h->m->ending) != MACHINE_GOES_ON || pause_asked(h->m)) {
            return true;
        }
        syscall(SYS_futex, &h->wakes, FUTEX_WAIT_PRIVATE, seen, NULL, NULL, 0);
    }
    return false;
}

/* ---- what the stub asks for; all stand ---- */

static struct mhart *
cpu_of(struct debugger *d, uint64_t thread)
{
    return thread >= 1 && thread <= d->m->cfg.n_harts ? d->m->harts[thread - 1].cpu : NULL;
}

static uint64_t
thread_next(void *vm, uint64_t after)
{
    return after < ((struct debugger *)vm)->m->cfg.n_harts ? after + 1 : 0;
}

static size_t
thread_says(void *vm, uint64_t thread, char *text, size_t size)
{
    struct debugger *const d = vm;
    static const char *const modes[] = {"user", "supervisor", "", "machine"};
    const struct machine_hart *const h = &d->m->harts[thread - 1];
    const bool off = !h->may_step;
    const int n = snprintf(text, size, "hart %u, %s", h->number, off ? "stopped" : modes[h->cpu->p.mode & 3]);
    return n < 0 ? 0 : (size_t)n < size ? (size_t)n : size - 1;
}

/* As M-mode would. */
static unsigned
csr(struct mhart *c, unsigned number, enum priv_op op, uint64_t v, bool writes, uint64_t *old)
{
    const uint8_t mode = c->p.mode;
    c->p.mode = PRIV_M;
    const unsigned effects = priv_csr(&c->p, number, op, v, writes, old);
    c->p.mode = mode;
    return effects;
}

static bool
reg_read(void *vm, uint64_t thread, unsigned reg, uint64_t *v)
{
    struct mhart *const c = cpu_of(vm, thread);
    const struct hart *const h = &c->h;
    if (reg == GDB_REG_PRIV) {
        *v = c->p.mode;
    } else if (reg == GDB_REG_CSR + CSR_TIME) {
        return physmap_io_read(&((struct debugger *)vm)->m->pm, MTIME, 8, v);
    } else if (reg > GDB_REG_CSR + 3) {
        return (csr(c, reg - GDB_REG_CSR, PRIV_SET, 0, false, v) & PRIV_ILLEGAL) == 0;
    } else if (reg >= GDB_REG_CSR) {
        *v = reg == GDB_REG_CSR + 1 ? h->fflags : reg == GDB_REG_CSR + 2 ? h->frm : hart_fcsr(h);
        return reg != GDB_REG_CSR;
    } else {
        *v = reg < GDB_REG_PC ? h->x[reg] : reg == GDB_REG_PC ? h->pc : h->f[reg - GDB_REG_F];
    }
    return true;
}

static bool
reg_write(void *vm, uint64_t thread, unsigned reg, uint64_t v)
{
    struct mhart *const c = cpu_of(vm, thread);
    struct hart *const h = &c->h;
    uint64_t old;
    bool good = true;
    if (reg == GDB_REG_PRIV) {
        good = v == PRIV_U || v == PRIV_S || v == PRIV_M;
        c->p.mode = good ? (uint8_t)v : c->p.mode;
    } else if (reg > GDB_REG_CSR + 3) {
        good = (csr(c, reg - GDB_REG_CSR, PRIV_WRITE, v, true, &old) & PRIV_ILLEGAL) == 0;
    } else if (reg > GDB_REG_CSR) {
        const uint32_t now = hart_fcsr(h), n = (uint32_t)v;
        hart_set_fcsr(h, reg == GDB_REG_CSR + 1   ? (now & 0xe0) | (n & 31)
                         : reg == GDB_REG_CSR + 2 ? (now & 31) | (n & 7) << 5
                                                  : n & 255);
    } else if (reg == GDB_REG_CSR) {
        good = false;
    } else if (reg >= GDB_REG_F) {
        h->f[reg - GDB_REG_F] = v;
    } else if (reg == GDB_REG_PC) {
        h->pc = v & ~UINT64_C(1);
    } else {
        h->x[reg] = reg == 0 ? 0 : v;
    }
    system_hart_changed(c);
    return good;
}

/* Where [addr, addr + n) lies, as far as one page of the hart's goes; n becomes that. */
static bool
place(struct debugger *d, uint64_t thread, bool physical, uint64_t addr, size_t *n, gpa_t *gpa)
{
    const size_t left = PHYSMAP_PAGE - addr % PHYSMAP_PAGE;
    *n = *n < left ? *n : left;
    *gpa = addr;
    return physical || system_translate(cpu_of(d, thread), addr, gpa);
}

/* A register of a device, if it is asked for as one. */
static bool
io(struct debugger *d, gpa_t gpa, void *to, const void *from, size_t n)
{
    uint64_t v = 0;
    if (n > 8 || (n & (n - 1)) != 0 || gpa % n != 0) {
        return false;
    }
    if (to != NULL) {
        const bool good = physmap_io_read(&d->m->pm, gpa, (unsigned)n, &v);
        memcpy(to, &v, n);
        return good;
    }
    memcpy(&v, from, n);
    return physmap_io_write(&d->m->pm, gpa, (unsigned)n, v);
}

static size_t
mem_read(void *vm, uint64_t thread, bool physical, uint64_t addr, void *to, size_t n)
{
    struct debugger *const d = vm;
    size_t done = 0;
    while (done < n) {
        gpa_t gpa;
        size_t k = n - done;
        char *const at = (char *)to + done;
        if (!place(d, thread, physical, addr + done, &k, &gpa) ||
            (!physmap_read(&d->m->pm, gpa, at, k) && !(k == n && io(d, gpa, at, NULL, k)))) {
            break;
        }
        done += k;
    }
    return done;
}

static bool
mem_write(void *vm, uint64_t thread, bool physical, uint64_t addr, const void *from, size_t n)
{
    struct debugger *const d = vm;
    for (size_t done = 0; done < n;) {
        gpa_t gpa;
        size_t k = n - done;
        const char *const at = (const char *)from + done;
        if (!place(d, thread, physical, addr + done, &k, &gpa) ||
            (!physmap_write(&d->m->pm, gpa, at, k) && !(k == n && io(d, gpa, NULL, at, k)))) {
            return false;
        }
        done += k;
    }
    for (unsigned i = 0; i < d->m->cfg.n_harts; i++) { /* it may have been code */
        system_fence(d->m->harts[i].cpu, SYSTEM_FENCE_I);
    }
    return true;
}

/* Harts learn of the points as they are now. */
static void
points_changed(struct debugger *d)
{
    struct machine *const m = d->m;
    const struct system_debug *const p = d->points.n_breaks + d->points.n_watches > 0 ? &d->points : NULL;
    d->points.breaks = d->breaks;
    m->sys.debug = m->sys_step.debug = m->sys_quiet.debug = p;
    for (unsigned i = 0; i < m->cfg.n_harts; i++) {
        system_debug_changed(m->harts[i].cpu);
    }
}

static bool
break_change(struct debugger *d, uint64_t addr, bool insert)
{
    size_t i = 0;
    while (i < d->points.n_breaks && d->breaks[i] != addr) {
        i++;
    }
    if (insert == (i < d->points.n_breaks)) {
        return true; /* it is as it is to be */
    }
    if (!insert) {
        d->breaks[i] = d->breaks[--d->points.n_breaks];
        return true;
    }
    uint64_t *const more = realloc(d->breaks, (i + 1) * sizeof *more);
    if (more == NULL) {
        return false;
    }
    d->breaks = more;
    d->breaks[d->points.n_breaks++] = addr;
    return true;
}

static bool
watch_change(struct debugger *d, const struct system_watch *w, bool insert)
{
    struct system_debug *const p = &d->points;
    if (insert) {
        if (p->n_watches == SYSTEM_WATCHES) {
            return false;
        }
        p->watches[p->n_watches++] = *w;
        return true;
    }
    for (size_t i = 0; i < p->n_watches; i++) {
        const struct system_watch *const o = &p->watches[i];
        if (o->start == w->start && o->bytes == w->bytes && o->loads == w->loads && o->stores == w->stores && o->physical == w->physical) {
            p->watches[i] = p->watches[--p->n_watches];
            break;
        }
    }
    return true;
}

static bool
point(void *vm, enum gdb_point kind, bool physical, uint64_t addr, uint64_t n, bool insert)
{
    struct debugger *const d = vm;
    const struct system_watch w = {addr, n, kind != GDB_WATCH_WRITE, kind != GDB_WATCH_READ, physical};
    const bool good = kind == GDB_BREAK ? break_change(d, addr, insert) : watch_change(d, &w, insert);
    points_changed(d);
    return good;
}

static void
act(void *vm, uint64_t thread, enum gdb_action a, int signal)
{
    (void)signal;
    ((struct debugger *)vm)->m->harts[thread - 1].action = (uint8_t)a;
}

static void
go(void *vm)
{
    struct debugger *const d = vm;
    pthread_mutex_lock(&d->lock);
    const bool held = d->holds;
    d->holds = false;
    pthread_mutex_unlock(&d->lock);
    if (held) {
        machine_resume(d->m);
    }
}

static void
kill_(void *vm)
{
    machine_ask_end(((struct debugger *)vm)->m, MACHINE_OFF, MACHINE_BY_CONTROL, 0, 0);
}

static void
detach(void *vm)
{
    struct debugger *const d = vm;
    if (d->points.n_breaks + d->points.n_watches > 0) {
        d->points.n_breaks = d->points.n_watches = 0;
        points_changed(d);
    }
    for (unsigned i = 0; i < d->m->cfg.n_harts; i++) {
        d->m->harts[i].action = GDB_RUN;
        d->hit[i] = false;
    }
    go(d);
}

static void
interrupt(void *vm)
{
    struct debugger *const d = vm;
    hold(d);
    thread_wake(d->event.fd);
}

static void
step_quietly(void *vm, unsigned bits)
{
    ((struct debugger *)vm)->m->sys_quiet.quiet = (bits & SSTEP_NOIRQ) != 0;
}

/* ---- the connection ---- */

static void
hang_up(struct debugger *d)
{
    if (d->peer.fd >= 0) {
        loop_remove(d->m->loop, &d->peer);
        close(d->peer.fd);
        d->peer.fd = -1;
    }
    gdb_free(d->gdb);
    d->gdb = NULL;
}

static void
flush(struct debugger *d)
{
    const void *bytes;
    for (size_t n; d->gdb != NULL && (n = gdb_output(d->gdb, &bytes)) > 0;) {
        const ssize_t r = send(d->peer.fd, bytes, n, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (r < 0 && errno == EINTR) {
            continue;
        }
        if (r < 0) {
            break;
        }
        gdb_sent(d->gdb, (size_t)r);
    }
    const bool writes = d->gdb != NULL && gdb_output(d->gdb, &bytes) > 0;
    if (d->gdb != NULL && writes != d->writes) {
        loop_change(d->m->loop, &d->peer, writes ? EPOLLIN | EPOLLOUT : EPOLLIN);
    }
    d->writes = writes;
}

/* All stand, or are about to: whoever has a reason first is told. */
static void
happened(void *arg, uint32_t events)
{
    struct debugger *const d = arg;
    uint64_t count;
    (void)events;
    if (read(d->event.fd, &count, sizeof count) != sizeof count || d->gdb == NULL || !gdb_is_running(d->gdb)) {
        return;
    }
    machine_pause_wait(d->m);
    if (atomic_load(&d->m->ending) != MACHINE_GOES_ON) {
        return;
    }
    struct gdb_stop s = {.why = GDB_SIGNAL, .signal = SIGINT, .thread = 1};
    pthread_mutex_lock(&d->lock);
    for (unsigned i = d->m->cfg.n_harts; i-- > 0;) { /* the others will come to theirs again */
        if (d->hit[i]) {
            s = d->hits[i];
        }
        d->hit[i] = false;
    }
    pthread_mutex_unlock(&d->lock);
    gdb_stopped(d->gdb, &s);
    flush(d);
}

static void
talks(void *arg, uint32_t events)
{
    struct debugger *const d = arg;
    char buf[4096];
    flush(d);
    if ((events & (EPOLLIN | EPOLLHUP | EPOLLERR)) == 0) {
        return;
    }
    const ssize_t n = recv(d->peer.fd, buf, sizeof buf, MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
        return;
    }
    if (n > 0) {
        gdb_input(d->gdb, buf, (size_t)n);
        flush(d);
    }
    if (n <= 0 || gdb_is_over(d->gdb)) {
        if (n <= 0) { /* gone without a word */
            machine_pause(d->m);
            detach(d);
            machine_resume(d->m);
        }
        hang_up(d);
    }
}

/* One debugger at a time. The machine stands for it. */
static void
connects(void *arg, uint32_t events)
{
    struct debugger *const d = arg;
    (void)events;
    const int fd = gdb_accept(d->listener.fd);
    if (fd < 0 || d->gdb != NULL) {
        if (fd >= 0) {
            close(fd);
        }
        return;
    }
    hold(d);
    machine_pause_wait(d->m);
    d->gdb = gdb_new(&d->ops, d, 1);
    d->peer = (struct loop_fd){.fd = fd, .ready = talks, .arg = d};
    if (d->gdb == NULL || loop_add(d->m->loop, &d->peer, EPOLLIN) < 0) {
        close(fd);
        d->peer.fd = -1;
        hang_up(d);
        go(d);
    }
}

struct debugger *
debugger_new(struct machine *m, int listener, bool stopped, struct err *e)
{
    struct debugger *const d = calloc(1, sizeof *d);
    if (d == NULL) {
        err_set(e, -ENOMEM, "debugger");
        return NULL;
    }
    d->m = m;
    d->ops = (struct gdb_ops){
        .pid = 1,
        .is_machine = true,
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
        .step_quietly = step_quietly,
    };
    pthread_mutex_init(&d->lock, NULL);
    d->peer.fd = -1;
    d->event = (struct loop_fd){.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), .ready = happened, .arg = d};
    d->listener = (struct loop_fd){.fd = listener, .ready = connects, .arg = d};
    if (d->event.fd < 0 || loop_add(m->loop, &d->event, EPOLLIN) < 0) {
        goto close_event;
    }
    if (loop_add(m->loop, &d->listener, EPOLLIN) < 0) {
        goto remove_event;
    }
    if (stopped) {
        hold(d);
    }
    return d;

remove_event:
    loop_remove(m->loop, &d->event);

close_event:
    if (d->event.fd >= 0) {
        close(d->event.fd);
    }
    free(d);
    err_set(e, -ENOMEM, "debugger");
    return NULL;
}

void
debugger_free(struct debugger *d)
{
    if (d == NULL) {
        return;
    }
    if (d->gdb != NULL && gdb_is_running(d->gdb)) {
        gdb_stopped(d->gdb, &(struct gdb_stop){.why = GDB_EXITED, .signal = (int)d->m->end.code});
    }
    flush(d);
    hang_up(d);
    loop_remove(d->m->loop, &d->listener);
    loop_remove(d->m->loop, &d->event);
    close(d->event.fd);
    d->m->sys.debug = d->m->sys_step.debug = d->m->sys_quiet.debug = NULL;
    free(d->breaks);
    free(d);
}
