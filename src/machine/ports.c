/*
 * ports.c - what is at the other ends of a machine's console ports: terminals, files, sockets
 *
 * A socket has one peer at a time, and as long as it has none, what the guest writes goes nowhere, as on a line that is not plugged in.
 *
 * Threads: all on the I/O thread, but for kick().
 */
#include "machine/machine_impl.h"

#include "device/virtio_devices.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#define TURNS 16 /* pieces of input before others have their turn */

static bool
has_peer(const struct machine_port *p)
{
    return p->peer.fd >= 0;
}

static void
hang_up(struct machine_port *p)
{
    loop_remove(p->m->loop, &p->peer);
    close(p->peer.fd);
    p->peer.fd = -1;
    p->n_held = 0;
    virtio_console_connect(p->m->ports_device, p->number, false);
}

/* False: the peer takes no more now. */
static bool
put_output(struct machine_port *p)
{
    uint8_t bytes[1024];
    for (size_t n; (n = chardev_peek(&p->line, bytes, sizeof bytes)) > 0;) {
        const ssize_t done = has_peer(p) ? send(p->peer.fd, bytes, n, MSG_DONTWAIT | MSG_NOSIGNAL) : (ssize_t)n;
        if (done < 0 && errno == EAGAIN) {
            return false;
        }
        if (done < 0 && errno != EINTR) {
            hang_up(p);
        }
        chardev_drop(&p->line, done > 0 ? (size_t)done : 0);
    }
    return true;
}

static void
take_input(struct machine_port *p)
{
    for (unsigned turn = 0; has_peer(p) && turn < TURNS; turn++) {
        if (p->n_held == 0) {
            const ssize_t n = recv(p->peer.fd, p->held, sizeof p->held, MSG_DONTWAIT);
            if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
                return;
            }
            if (n <= 0) {
                hang_up(p);
                return;
            }
            p->n_held = (size_t)n;
        }
        const size_t taken = chardev_input(&p->line, p->held, p->n_held);
        p->n_held -= taken;
        memmove(p->held, p->held + taken, p->n_held);
        if (p->n_held > 0) {
            return; /* kick() comes when there is room */
        }
    }
}

static void
pump(void *arg)
{
    struct machine_port *p = arg;
    const bool all = put_output(p);
    take_input(p);
    if (has_peer(p)) {
        loop_change(p->m->loop, &p->peer, (p->n_held == 0 ? EPOLLIN : 0) | (all ? 0 : EPOLLOUT));
    }
}

static void
peer_ready(void *arg, uint32_t events)
{
    (void)events;
    pump(arg);
}

static void
kick(void *arg)
{
    struct machine_port *p = arg;
    loop_timer_set(p->m->loop, &p->timer, 0);
}

static void
called(void *arg, uint32_t events)
{
    (void)events;
    struct machine_port *p = arg;
    const int fd = accept4(p->listener.fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd < 0 || has_peer(p)) {
        if (fd >= 0) {
            close(fd);
        }
        return;
    }
    p->peer.fd = fd;
    if (loop_add(p->m->loop, &p->peer, EPOLLIN) < 0) {
        close(fd);
        p->peer.fd = -1;
        return;
    }
    virtio_console_connect(p->m->ports_device, p->number, true);
}

void
ports_init(struct machine *m)
{
    for (unsigned i = 0; i < m->cfg.n_ports; i++) {
        struct machine_port *p = &m->ports[i];
        chardev_init(&p->line);
        p->m = m;
        p->number = i;
        p->listener = (struct loop_fd){.fd = m->cfg.ports[i].listener, .ready = called, .arg = p};
        p->peer = (struct loop_fd){.fd = -1, .ready = peer_ready, .arg = p};
        p->timer = (struct loop_timer){.fire = pump, .arg = p};
    }
}

void
ports_resize(struct machine *m)
{
    for (unsigned i = 0; i < m->cfg.n_ports; i++) {
        struct winsize size;
        if (m->cfg.ports[i].listener < 0 && ioctl(m->cfg.ports[i].out, TIOCGWINSZ, &size) == 0 && size.ws_col > 0) {
            virtio_console_resize(m->ports_device, i, size.ws_col, size.ws_row);
        }
    }
}

int
ports_start(struct machine *m, const struct console_config *like, struct err *e)
{
    for (unsigned i = 0; i < m->cfg.n_ports; i++) {
        struct machine_port *p = &m->ports[i];
        const struct machine_port_config *cfg = &m->cfg.ports[i];
        if (cfg->listener >= 0) {
            loop_timer_add(m->loop, &p->timer);
            p->line.kick = kick;
            p->line.kick_arg = p;
            if (loop_add(m->loop, &p->listener, EPOLLIN) < 0) {
                ports_stop(m);
                return err_set(e, -errno, "console port %u", i);
            }
            continue;
        }
        struct console_config console = *like;
        console.in = cfg->in;
        console.out = cfg->out;
        console.out_own = m->ports[i].own;
        m->ports[i].own = -1;
        console.escape = cfg->escape;
        console.log = cfg->in >= 0 ? m->cfg.console_log : -1;
        p->console = console_new(m->loop, &p->line, &console, e);
        if (p->console == NULL) {
            ports_stop(m);
            return -ENOMEM;
        }
    }
    ports_resize(m);
    return 0;
}

void
ports_stop(struct machine *m)
{
    for (unsigned i = 0; i < m->cfg.n_ports; i++) {
        struct machine_port *p = &m->ports[i];
        if (p->console != NULL) {
            console_free(p->console);
            p->console = NULL;
        }
        if (p->listener.fd >= 0) {
            put_output(p);
            p->line.kick = NULL;
            loop_remove(m->loop, &p->listener);
        }
        if (has_peer(p)) {
            hang_up(p);
        }
    }
}
