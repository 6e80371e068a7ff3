/*
 * net_user.c - see net_user.h
 *
 * Threads: all but net_user_kick(), new and free on the network's own thread.
 */
#include "device/net_user.h"

#include "base/check.h"
#include "base/nondet.h"
#include "base/thread.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <slirp/libslirp.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <unistd.h>

#define FDS_MAX   4096
#define NET_STACK (UINT64_C(512) << 10)
#define NEVER_MS  INT64_MAX

struct timer {
    SlirpTimerId id;
    void *cb_opaque; /* ref: libslirp's */
    int64_t at_ms;
    struct timer *next;
};

struct net_user {
    const struct net_ops *ops; /* ref */
    void *arg;
    Slirp *slirp;         /* own */
    int kick;             /* own: eventfd */
    atomic_bool stop;
    pthread_t thread;
    struct timer *timers; /* own */
    unsigned n_fds;
    struct pollfd fds[FDS_MAX];
};

void
net_user_kick(struct net_user *u)
{
    thread_wake(u->kick);
}

void
net_user_send(struct net_user *u, const void *bytes, size_t n)
{
    CHECK(n <= NET_FRAME_MAX);
    slirp_input(u->slirp, bytes, (int)n);
}

/* ---- what libslirp asks of us ---- */

static ssize_t
send_packet(const void *buf, size_t len, void *opaque)
{
    struct net_user *u = opaque;
    u->ops->frame(u->arg, buf, len);
    return (ssize_t)len;
}

static void
guest_error(const char *msg, void *opaque)
{
    (void)msg, (void)opaque; /* the guest's own business */
}

static int64_t
clock_get_ns(void *opaque)
{
    (void)opaque;
    return (int64_t)nondet_mono_ns();
}

static void *
timer_new(SlirpTimerId id, void *cb_opaque, void *opaque)
{
    struct net_user *u = opaque;
    struct timer *t = malloc(sizeof *t);
    CHECK(t != NULL); /* at start-up */
    *t = (struct timer){.id = id, .cb_opaque = cb_opaque, .at_ms = NEVER_MS, .next = u->timers};
    u->timers = t;
    return t;
}

static void
timer_free(void *timer, void *opaque)
{
    struct net_user *u = opaque;
    struct timer **at = &u->timers;
    while (*at != timer) {
        at = &(*at)->next;
    }
    *at = (*at)->next;
    free(timer);
}

static void
timer_mod(void *timer, int64_t expire_ms, void *opaque)
{
    (void)opaque;
    ((struct timer *)timer)->at_ms = expire_ms;
}

static void
poll_fd(int fd, void *opaque)
{
    (void)fd, (void)opaque; /* each round asks again which there are */
}

static void
notified(void *opaque)
{
    (void)opaque; /* we are not in poll() */
}

static const SlirpCb callbacks_ = {
    .send_packet = send_packet,
    .guest_error = guest_error,
    .clock_get_ns = clock_get_ns,
    .timer_new_opaque = timer_new,
    .timer_free = timer_free,
    .timer_mod = timer_mod,
    .register_poll_fd = poll_fd,
    .unregister_poll_fd = poll_fd,
    .notify = notified,
};

/* ---- the thread ---- */

static int
add_poll(int fd, int events, void *opaque)
{
    struct net_user *u = opaque;
    if (u->n_fds == FDS_MAX) {
        return -1; /* waits for its turn */
    }
    u->fds[u->n_fds] = (struct pollfd){
        .fd = fd,
        .events = (short)((events & SLIRP_POLL_IN ? POLLIN : 0) | (events & SLIRP_POLL_OUT ? POLLOUT : 0) |
                          (events & SLIRP_POLL_PRI ? POLLPRI : 0)),
    };
    return (int)u->n_fds++;
}

static int
get_revents(int idx, void *opaque)
{
    const struct net_user *u = opaque;
    const int r = idx >= 0 && (unsigned)idx < u->n_fds ? u->fds[idx].revents : 0;
    return (r & POLLIN ? SLIRP_POLL_IN : 0) | (r & POLLOUT ? SLIRP_POLL_OUT : 0) | (r & POLLPRI ? SLIRP_POLL_PRI : 0) |
           (r & POLLERR ? SLIRP_POLL_ERR : 0) | (r & POLLHUP ? SLIRP_POLL_HUP : 0);
}

static void
fire_timers(struct net_user *u, int64_t now_ms)
{
    for (struct timer *t = u->timers; t != NULL; t = t->next) {
        if (t->at_ms <= now_ms) {
            t->at_ms = NEVER_MS;
            slirp_handle_timer(u->slirp, t->id, t->cb_opaque);
        }
    }
}

static int
timeout_of(const struct net_user *u, uint32_t most_ms)
{
    const int64_t now = (int64_t)(nondet_mono_ns() / 1000000);
    int64_t wait = most_ms;
    for (const struct timer *t = u->timers; t != NULL; t = t->next) {
        const int64_t left = t->at_ms > now ? t->at_ms - now : 0;
        wait = left < wait ? left : wait;
    }
    return (int)wait;
}

static void *
work(void *arg)
{
    struct net_user *u = arg;
    prctl(PR_SET_NAME, "network");
    while (!atomic_load(&u->stop)) {
        uint32_t most_ms = 60000;
        u->fds[0] = (struct pollfd){.fd = u->kick, .events = POLLIN};
        u->n_fds = 1;
        slirp_pollfds_fill(u->slirp, &most_ms, add_poll, u);
        const int n = poll(u->fds, u->n_fds, timeout_of(u, most_ms));
        slirp_pollfds_poll(u->slirp, n < 0, get_revents, u);
        fire_timers(u, (int64_t)(nondet_mono_ns() / 1000000));
        uint64_t count;
        if (n > 0 && u->fds[0].revents != 0 && read(u->kick, &count, sizeof count) == sizeof count) {
            u->ops->kicked(u->arg);
        }
    }
    return NULL;
}

/* ---- making and freeing ---- */

static int
forward(struct net_user *u, const struct net_forward *f, struct err *e)
{
    const struct in_addr host = {f->host_addr}, guest = {f->guest_addr};
    if (slirp_add_hostfwd(u->slirp, f->udp, host, f->host_port, guest, f->guest_port) == 0) {
        return 0;
    }
    return err_set(e, -errno, "forward %s port %u to the guest's port %u", f->udp ? "UDP" : "TCP", f->host_port, f->guest_port);
}

struct net_user *
net_user_new(const struct net_forward *forwards, unsigned n_forwards, const struct net_ops *ops, void *arg, struct err *e)
{
    SlirpConfig cfg = {
        .version = 4,
        .in_enabled = true,
        .vnetwork.s_addr = htonl(0x0a000200),
        .vnetmask.s_addr = htonl(0xffffff00),
        .vhost.s_addr = htonl(0x0a000202),
        .vdhcp_start.s_addr = htonl(0x0a00020f),
        .vnameserver.s_addr = htonl(0x0a000203),
        .in6_enabled = true,
        .vprefix_len = 64,
    };
    inet_pton(AF_INET6, "fec0::", &cfg.vprefix_addr6);
    inet_pton(AF_INET6, "fec0::2", &cfg.vhost6);
    inet_pton(AF_INET6, "fec0::3", &cfg.vnameserver6);
    struct net_user *u = calloc(1, sizeof *u);
    if (u == NULL) {
        err_set(e, -ENOMEM, "network");
        return NULL;
    }
    u->ops = ops;
    u->arg = arg;
    u->kick = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (u->kick < 0) {
        err_set(e, -errno, "network");
        goto free_user;
    }
    u->slirp = slirp_new(&cfg, &callbacks_, u);
    if (u->slirp == NULL) {
        err_set(e, -EIO, "libslirp %s", slirp_version_string());
        goto close_kick;
    }
    for (unsigned i = 0; i < n_forwards; i++) {
        if (forward(u, &forwards[i], e) < 0) {
            goto cleanup;
        }
    }
    const int r = thread_start(&u->thread, NET_STACK, work, u, false);
    if (r == 0) {
        return u;
    }
    err_set(e, r, "a thread for the network");

cleanup:
    slirp_cleanup(u->slirp);
close_kick:
    close(u->kick);
free_user:
    free(u);
    return NULL;
}

void
net_user_free(struct net_user *u)
{
    atomic_store(&u->stop, true);
    net_user_kick(u);
    pthread_join(u->thread, NULL);
    slirp_cleanup(u->slirp);
    close(u->kick);
    free(u);
}
