/*
 * pause.c - all harts stand still at an instruction boundary; see machine.h
 *
 *      machine_pause_begin ──► holds 0 → 1 ──system_stop, wake──► each hart comes to pause_stand() ──last──► the clock stands
 *      machine_resume      ──► holds 1 → 0 ──► the clock goes on, timers are set anew ──► all harts leave pause_stand()
 *
 * A hart comes by between two runs of its engine, out of a sleep, and while SBI has it parked; so its state is complete in memory, and
 * nobody but who holds the machine touches it. A wfi that is disturbed so ends early, which the architecture allows.
 *
 * Time. The guest's clock (CLINT, time CSR) stands while all harts do, as QEMU's virtual clock: a guest that is held sees no jump. The
 * RTC is the host's wall clock and goes on, there and here.
 *
 * Threads: pause.lock is taken before any device's. A hart that stands holds no lock.
 */
#include "machine/machine_impl.h"

#include "base/check.h"

#include <errno.h>

void
pause_init(struct machine *m)
{
    pthread_mutex_init(&m->pause.lock, NULL);
    pthread_cond_init(&m->pause.changed, NULL);
}

/* The clock goes on: what waits for a moment of it learns when that is now. No hart but the caller runs. */
static void
clock_start_locked(struct machine *m)
{
    if (m->pause.clock) {
        return;
    }
    m->pause.clock = true;
    clint_start(m->clint);
    for (unsigned i = 0; i < m->cfg.n_harts; i++) {
        m->env.timer(m->env.arg, &m->harts[i].cpu->h, m->harts[i].cpu->p.stimecmp);
    }
}

static void
clock_stop_locked(struct machine *m)
{
    if (m->pause.clock) {
        clint_stop(m->clint);
        m->pause.clock = false;
    }
}

static bool
all_stand_locked(const struct machine *m)
{
    return m->pause.n_still == m->pause.n_live;
}

static void
look_locked(struct machine *m)
{
    if (m->pause.holds > 0 && all_stand_locked(m)) {
        clock_stop_locked(m);
    }
    pthread_cond_broadcast(&m->pause.changed);
}

/* ---- the machine's own ---- */

void
pause_power_on(struct machine *m)
{
    pthread_mutex_lock(&m->pause.lock);
    m->pause.n_live = m->cfg.n_harts;
    m->pause.n_still = 0;
    for (unsigned i = 0; i < m->cfg.n_harts; i++) {
        m->harts[i].still = m->harts[i].step = m->harts[i].gone = false;
    }
    if (m->pause.holds == 0) {
        clock_start_locked(m);
    }
    pthread_mutex_unlock(&m->pause.lock);
}

void
pause_power_off(struct machine *m)
{
    pthread_mutex_lock(&m->pause.lock);
    clock_stop_locked(m);
    m->pause.n_live = m->pause.n_still = 0; /* also of those that could not begin */
    pthread_cond_broadcast(&m->pause.changed);
    pthread_mutex_unlock(&m->pause.lock);
}

void
pause_end(struct machine *m)
{
    pthread_mutex_lock(&m->pause.lock);
    pthread_cond_broadcast(&m->pause.changed);
    pthread_mutex_unlock(&m->pause.lock);
}

void
pause_gone(struct machine_hart *h)
{
    struct machine *m = h->m;
    pthread_mutex_lock(&m->pause.lock);
    h->gone = true;
    m->pause.n_live--;
    look_locked(m);
    pthread_mutex_unlock(&m->pause.lock);
}

bool
pause_stand(struct machine_hart *h, bool may_step)
{
    struct machine *m = h->m;
    if (!pause_asked(m)) {
        return false;
    }
    pthread_mutex_lock(&m->pause.lock);
    h->still = true;
    h->may_step = may_step;
    m->pause.n_still++;
    look_locked(m);
    while (m->pause.holds > 0 && !h->step && atomic_load(&m->ending) == MACHINE_GOES_ON) {
        pthread_cond_wait(&m->pause.changed, &m->pause.lock);
    }
    const bool step = h->step;
    h->step = h->still = false;
    if (step) {
        clock_start_locked(m);
    }
    m->pause.n_still--;
    pthread_mutex_unlock(&m->pause.lock);
    return step;
}

/* ---- for others ---- */

void
machine_pause_begin(struct machine *m)
{
    pthread_mutex_lock(&m->pause.lock);
    if (m->pause.holds++ == 0) {
        atomic_store(&m->pause.asked, true);
        for (struct machine_watch *w = m->pause.watches; w != NULL; w = w->next) {
            w->changed(w->arg, false);
        }
        look_locked(m);
        for (unsigned i = 0; i < m->cfg.n_harts; i++) {
            system_stop(m->harts[i].cpu);
            harts_wake(&m->harts[i]);
        }
    }
    pthread_mutex_unlock(&m->pause.lock);
}

void
machine_pause_wait(struct machine *m)
{
    pthread_mutex_lock(&m->pause.lock);
    while (m->pause.holds > 0 && !all_stand_locked(m)) {
        pthread_cond_wait(&m->pause.changed, &m->pause.lock);
    }
    pthread_mutex_unlock(&m->pause.lock);
}

void
machine_pause(struct machine *m)
{
    machine_pause_begin(m);
    machine_pause_wait(m);
}

void
machine_resume(struct machine *m)
{
    pthread_mutex_lock(&m->pause.lock);
    CHECK(m->pause.holds > 0);
    if (--m->pause.holds == 0) {
        atomic_store(&m->pause.asked, false);
        if (m->pause.n_live > 0) {
            clock_start_locked(m);
        }
        for (struct machine_watch *w = m->pause.watches; w != NULL; w = w->next) {
            w->changed(w->arg, true);
        }
        pthread_cond_broadcast(&m->pause.changed);
    }
    pthread_mutex_unlock(&m->pause.lock);
}

bool
machine_is_paused(const struct machine *m)
{
    return pause_asked(m);
}

int
machine_step(struct machine *m, unsigned hart)
{
    struct machine_hart *h = &m->harts[hart];
    int r = -EAGAIN;
    pthread_mutex_lock(&m->pause.lock);
    CHECK(m->pause.holds > 0 && hart < m->cfg.n_harts);
    if (h->still && h->may_step) {
        h->step = true;
        pthread_cond_broadcast(&m->pause.changed);
        while (!h->gone && (h->step || !h->still)) {
            pthread_cond_wait(&m->pause.changed, &m->pause.lock);
        }
        r = h->gone ? -ECANCELED : 0;
    }
    pthread_mutex_unlock(&m->pause.lock);
    return r;
}

void
machine_watch(struct machine *m, struct machine_watch *w)
{
    pthread_mutex_lock(&m->pause.lock);
    w->next = m->pause.watches;
    m->pause.watches = w;
    pthread_mutex_unlock(&m->pause.lock);
}

void
machine_unwatch(struct machine *m, struct machine_watch *w)
{
    pthread_mutex_lock(&m->pause.lock);
    for (struct machine_watch **at = &m->pause.watches; *at != NULL; at = &(*at)->next) {
        if (*at == w) {
            *at = w->next;
            break;
        }
    }
    pthread_mutex_unlock(&m->pause.lock);
}
