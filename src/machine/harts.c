/*
 * harts.c - a thread for each hart, and how it sleeps
 *
 *      run ──WFI──► sleep ──interrupt, timer, stop──► run ──ecall of S──► SBI ──► run, park, off
 *
 * A hart that sleeps waits on its futex, `wakes`. Who gives it a reason to go on (priv_irq_set, priv_kick, system_stop) calls env.wake if
 * p.waiting is set. So the order is: set waiting, read the futex's word, look for a reason, wait for the word to change.
 */
#include "machine/debugger.h"
#include "machine/machine_impl.h"

#include "base/check.h"
#include "base/thread.h"

#include <errno.h>
#include <linux/futex.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#define HART_STACK (UINT64_C(512) << 10)

/* What a machine's harts have beside what programs may have. */
#define PRIVILEGED                                                                                                              \
    (EXT_BIT(PRIV) | EXT_BIT(SSTC) | EXT_BIT(SMSTATEEN) | EXT_BIT(SVADU) | EXT_BIT(SVINVAL) | EXT_BIT(SVNAPOT) | EXT_BIT(SVPBMT) | \
     EXT_BIT(SVVPTC))

void
harts_wake(struct machine_hart *h)
{
    atomic_fetch_add(&h->wakes, 1);
    syscall(SYS_futex, &h->wakes, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
}

static void
wait_for_wake(struct machine_hart *h, unsigned seen)
{
    syscall(SYS_futex, &h->wakes, FUTEX_WAIT_PRIVATE, seen, NULL, NULL, 0);
}

static struct machine_hart *
hart_of(struct machine *m, const struct hart *h)
{
    return &m->harts[((const struct mhart *)h)->p.mhartid];
}

static uint64_t
mtime(void *arg)
{
    return clint_time(((struct machine *)arg)->clint);
}

static void
set_timer(void *arg, struct hart *h, uint64_t when)
{
    struct machine *m = arg;
    loop_timer_set(m->loop, &hart_of(m, h)->timer, when == UINT64_MAX ? LOOP_NEVER : clint_when(m->clint, when));
}

static void
wake(void *arg, struct hart *h)
{
    harts_wake(hart_of(arg, h));
}

static void
timer_fires(void *arg)
{
    priv_kick(&((struct machine_hart *)arg)->cpu->p);
}

void
harts_interrupt(void *machine, unsigned hart, unsigned n, bool level)
{
    struct machine *m = machine;
    if (m->harts[hart].cpu != NULL) { /* devices are made before harts */
        priv_irq_set(&m->harts[hart].cpu->p, n, level);
    }
}

static bool
ends(const struct machine_hart *h)
{
    return atomic_load(&h->m->ending) != MACHINE_GOES_ON;
}

/* wfi: until something that is enabled is pending. */
static void
sleep_until_interrupt(struct machine_hart *h)
{
    struct mhart *c = h->cpu;
    __atomic_store_n(&c->p.waiting, 1, __ATOMIC_SEQ_CST);
    for (;;) {
        const unsigned seen = atomic_load(&h->wakes);
        if (__atomic_load_n(&c->h.attention, __ATOMIC_SEQ_CST) != 0 || priv_wakes(&c->p) || ends(h) || pause_asked(h->m)) {
            break;
        }
        wait_for_wake(h, seen);
    }
    __atomic_store_n(&c->p.waiting, 0, __ATOMIC_SEQ_CST);
}

/* As an SBI call, or power-on, left the hart: go on at `entry` in S-mode, if not behind the call. */
static void
enter_supervisor(struct machine_hart *h, uint64_t entry, uint64_t opaque)
{
    struct mhart *c = h->cpu;
    if (entry == SBI_NO_ADDRESS) {
        return;
    }
    system_hart_reset(c);
    priv_enter_supervisor(&c->p);
    c->h.pc = entry;
    c->h.x[10] = h->number;
    c->h.x[11] = opaque;
    system_hart_changed(c);
}

/* The hart does nothing until SBI lets it go on. False: the machine ends. */
static bool
park(struct machine_hart *h, bool interruptible)
{
    uint64_t entry, opaque;
    for (;;) {
        const unsigned seen = atomic_load(&h->wakes);
        if (ends(h)) {
            return false;
        }
        pause_stand(h, false);
        if (interruptible) {
            sleep_until_interrupt(h);
        }
        if (sbi_enter(&h->m->sbi, h->number, &entry, &opaque)) {
            enter_supervisor(h, entry, opaque);
            return true;
        }
        if (!interruptible) {
            wait_for_wake(h, seen);
        }
    }
}

/* An ecall of S-mode. False: the machine ends. */
static bool
call(struct machine_hart *h)
{
    struct hart *r = &h->cpu->h;
    const enum sbi_next next = sbi_call(&h->m->sbi, h->number, r->x);
    r->pc += 4;
    switch (next) {
    case SBI_RETURN:
        return true;
    case SBI_PARK:
        return park(h, false);
    case SBI_WAIT:
        return park(h, true);
    case SBI_OFF:
        break;
    }
    return false;
}

/* One instruction. Only the switch interpreter counts so exactly; a request that came while the hart stood ends a run too early. */
static enum system_exit
step(struct machine_hart *h, const struct system *how)
{
    struct mhart *c = h->cpu;
    const uint64_t before = c->h.instret;
    enum system_exit why;
    c->sys = how;
    do {
        why = system_run(c, 1);
    } while (why == SYSTEM_STOPPED && c->h.instret == before && !ends(h));
    c->sys = &h->m->sys;
    return why;
}

/* What a debugger has said: stay, or do one instruction and say so. */
static enum system_exit
obey(struct machine_hart *h)
{
    if (h->action == GDB_STAY && debugger_stays(h)) {
        return SYSTEM_STOPPED;
    }
    const enum system_exit why = step(h, &h->m->sys_quiet);
    if (why != SYSTEM_BREAK && why != SYSTEM_WATCH && !ends(h)) {
        h->action = GDB_STAY;
        debugger_hit(h, GDB_SIGNAL, SIGTRAP);
    }
    return why == SYSTEM_WFI ? SYSTEM_BUDGET : why;
}

static enum system_exit
go_on(struct machine_hart *h)
{
    const bool once = pause_stand(h, true);
    return once ? step(h, &h->m->sys_step) : h->action != GDB_RUN ? obey(h) : system_run(h->cpu, INT64_MAX);
}

static void *
run(void *arg)
{
    struct machine_hart *h = arg;
    char name[16];
    snprintf(name, sizeof name, "hart %u", h->number);
    prctl(PR_SET_NAME, name);
    atomic_store(&h->tid, gettid());
    bool on = !h->m->sys.see || h->m->sbi.harts[h->number].hsm == SBI_STARTED || park(h, false);
    while (on && !ends(h)) {
        switch (go_on(h)) {
        case SYSTEM_BUDGET:
        case SYSTEM_STOPPED:
            break;
        case SYSTEM_WFI:
            sleep_until_interrupt(h);
            break;
        case SYSTEM_BREAK:
            debugger_hit(h, GDB_AT_BREAK, 0);
            break;
        case SYSTEM_WATCH:
            debugger_hit(h, GDB_AT_WATCH, 0);
            break;
        case SYSTEM_ECALL:
            on = call(h);
            break;
        }
    }
    pause_gone(h);
    return NULL;
}

int
harts_make(struct machine *m, struct err *e)
{
    m->sys = (struct system){.kind = m->cfg.engine, .pm = &m->pm, .see = m->cfg.firmware.path == NULL && m->cfg.firmware.mem == NULL};
    m->sys_step = m->sys;
    m->sys_step.kind = ENGINE_SWITCH;
    m->sys_quiet = m->sys_step;
    m->sys_quiet.quiet = true;
    m->env = (struct priv_env){.mtime = mtime, .timer = set_timer, .wake = wake, .arg = m};
    for (unsigned i = 0; i < m->cfg.n_harts; i++) {
        struct machine_hart *h = &m->harts[i];
        h->m = m;
        h->number = i;
        h->timer = (struct loop_timer){.fire = timer_fires, .arg = h};
        loop_timer_add(m->loop, &h->timer);
        h->cpu = system_hart_new(&m->sys, m->cfg.exts | PRIVILEGED, &m->env, i, m->cfg.satp_modes, e);
        if (h->cpu == NULL) {
            return -ENOMEM;
        }
    }
    sbi_init(&m->sbi, m->cfg.n_harts, &m->pm, &harts_sbi_ops, m);
    return 0;
}

void
harts_free(struct machine *m)
{
    for (unsigned i = 0; i < m->cfg.n_harts; i++) {
        if (m->harts[i].cpu != NULL) {
            system_hart_free(m->harts[i].cpu);
        }
    }
}

/* With firmware all harts begin in the reset ROM; without, the first begins in the kernel, and starts the others. */
void
harts_reset(struct machine *m)
{
    for (unsigned i = 0; i < m->cfg.n_harts; i++) {
        struct mhart *c = m->harts[i].cpu;
        m->harts[i].action = GDB_RUN; /* who was to stay for a debugger would never begin */
        system_hart_reset(c);
        c->h.pc = BOOT_ROM_BASE;
        system_hart_changed(c);
    }
    if (m->sys.see) {
        sbi_reset(&m->sbi, 0);
        enter_supervisor(&m->harts[0], m->boot.entry, m->boot.dtb);
    }
}

int
harts_start(struct machine *m, struct err *e)
{
    pause_power_on(m);
    int r = 0;
    unsigned i = 0;
    for (; i < m->cfg.n_harts && r == 0; i++) {
        r = thread_start(&m->harts[i].thread, HART_STACK, run, &m->harts[i], true);
    }
    if (r != 0) {
        atomic_store(&m->ending, MACHINE_OFF);
        pause_end(m);
        for (i--; i-- > 0;) {
            system_stop(m->harts[i].cpu);
            harts_wake(&m->harts[i]);
            pthread_join(m->harts[i].thread, NULL);
        }
        return err_set(e, r, "a thread for each of %u harts", m->cfg.n_harts);
    }
    for (i = 0; i < m->cfg.n_harts; i++) {
        while (atomic_load(&m->harts[i].tid) == 0) { /* who asks for it by QMP finds it there */
            sched_yield();
        }
    }
    m->harts_run = true;
    return 0;
}

void
harts_stop(struct machine *m)
{
    CHECK(atomic_load(&m->ending) != MACHINE_GOES_ON);
    pause_end(m);
    for (unsigned i = 0; m->harts_run && i < m->cfg.n_harts; i++) {
        system_stop(m->harts[i].cpu);
        harts_wake(&m->harts[i]);
    }
    for (unsigned i = 0; m->harts_run && i < m->cfg.n_harts; i++) {
        pthread_join(m->harts[i].thread, NULL);
    }
    m->harts_run = false;
}
