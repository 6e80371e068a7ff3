/*
 * net_wire.c - see net_wire.h
 *
 * Threads: all but net_wire_kick(), new and free on the worker's.
 */
#include "device/net_wire.h"

#include "base/check.h"
#include "device/worker.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <unistd.h>

#define HEAD_BYTES 4
#define TURN       64 /* frames, before others have their turn */

struct net_wire {
    const struct net_ops *ops; /* ref */
    void *arg;
    bool stream;
    struct worker worker;
    struct loop_fd line, listener; /* own: their descriptors; -1: none */
    struct sockaddr_un to;         /* of datagrams, if to_bytes > 0 */
    socklen_t to_bytes;

    /* the worker's; of a stream */
    bool waits;                              /* for room, by epoll */
    size_t n_in, n_out;
    uint8_t in[HEAD_BYTES + NET_FRAME_MAX];
    uint8_t out[HEAD_BYTES + NET_FRAME_MAX]; /* the rest of a frame that has been begun */
};

void
net_wire_kick(struct net_wire *w)
{
    worker_kick(&w->worker);
}

static void
cut(struct net_wire *w)
{
    loop_remove(w->worker.loop, &w->line);
    close(w->line.fd);
    w->line.fd = -1;
    w->n_in = w->n_out = 0;
    w->waits = false;
    if (w->listener.fd >= 0) {
        loop_change(w->worker.loop, &w->listener, EPOLLIN);
    }
}

/* ---- to the other end ---- */

static void
wait_for_room(struct net_wire *w)
{
    const bool waits = w->n_out > 0;
    if (waits != w->waits) {
        w->waits = waits;
        loop_change(w->worker.loop, &w->line, EPOLLIN | (waits ? EPOLLOUT : 0));
    }
}

static void
send_rest(struct net_wire *w)
{
    const ssize_t n = send(w->line.fd, w->out, w->n_out, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (n < 0 && errno != EAGAIN && errno != EINTR) {
        cut(w);
        return;
    }
    const size_t done = n > 0 ? (size_t)n : 0;
    w->n_out -= done;
    memmove(w->out, w->out + done, w->n_out);
    wait_for_room(w);
}

void
net_wire_send(struct net_wire *w, const void *bytes, size_t n)
{
    CHECK(n <= NET_FRAME_MAX);
    if (w->line.fd < 0 || w->n_out > 0) {
        return;
    }
    if (w->stream) {
        const uint32_t head = htonl((uint32_t)n);
        memcpy(w->out, &head, sizeof head);
        memcpy(w->out + sizeof head, bytes, n);
        w->n_out = sizeof head + n;
        send_rest(w);
    } else if (w->to_bytes > 0) {
        (void)!sendto(w->line.fd, bytes, n, MSG_NOSIGNAL | MSG_DONTWAIT, (const struct sockaddr *)&w->to, w->to_bytes);
    } else {
        (void)!write(w->line.fd, bytes, n); /* does not block, nor raise SIGPIPE: no stream */
    }
}

/* ---- from the other end ---- */

/* The whole frames of what has arrived. False: nonsense. */
static bool
take_frames(struct net_wire *w)
{
    size_t at = 0;
    while (w->n_in - at >= HEAD_BYTES) {
        uint32_t head;
        memcpy(&head, w->in + at, sizeof head);
        const size_t n = ntohl(head);
        if (n > NET_FRAME_MAX) {
            return false;
        }
        if (w->n_in - at - HEAD_BYTES < n) {
            break;
        }
        if (n > 0) {
            w->ops->frame(w->arg, w->in + at + HEAD_BYTES, n);
        }
        at += HEAD_BYTES + n;
    }
    w->n_in -= at;
    memmove(w->in, w->in + at, w->n_in);
    return true;
}

static void
line_ready(void *arg, uint32_t events)
{
    struct net_wire *w = arg;
    if (w->n_out > 0 && (events & EPOLLOUT)) {
        send_rest(w);
    }
    for (unsigned i = 0; i < TURN && w->line.fd >= 0; i++) {
        const ssize_t n = read(w->line.fd, w->in + w->n_in, sizeof w->in - w->n_in);
        if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
            return;
        }
        if (w->stream) {
            w->n_in += n > 0 ? (size_t)n : 0;
            if (n <= 0 || !take_frames(w)) {
                cut(w);
            }
        } else if (n > 0) {
            w->ops->frame(w->arg, w->in, (size_t)n);
        } else if (n < 0 && errno != ECONNREFUSED && errno != EIO) { /* nobody there yet; a tap that is down */
            cut(w);
        }
    }
}

/* One at a time: others wait in the queue until he goes. */
static void
listener_ready(void *arg, uint32_t events)
{
    (void)events;
    struct net_wire *w = arg;
    const int fd = accept4(w->listener.fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd < 0) {
        return;
    }
    w->line.fd = fd;
    if (loop_add(w->worker.loop, &w->line, EPOLLIN) < 0) {
        close(fd);
        w->line.fd = -1;
        return;
    }
    loop_change(w->worker.loop, &w->listener, 0);
}

static void
kicked(void *arg)
{
    struct net_wire *w = arg;
    w->ops->kicked(w->arg);
}

/* ---- ---- */

static void
fd_close(int fd)
{
    if (fd >= 0) {
        close(fd);
    }
}

struct net_wire *
net_wire_new(const struct net_wire_config *cfg, const struct net_ops *ops, void *arg, struct err *e)
{
    struct net_wire *w = calloc(1, sizeof *w);
    if (w == NULL) {
        err_set(e, -ENOMEM, "network");
        goto close_fds;
    }
    w->ops = ops;
    w->arg = arg;
    w->stream = cfg->stream;
    w->line = (struct loop_fd){.fd = cfg->fd, .ready = line_ready, .arg = w};
    w->listener = (struct loop_fd){.fd = cfg->listener, .ready = listener_ready, .arg = w};
    if (cfg->to != NULL) {
        w->to.sun_family = AF_UNIX;
        snprintf(w->to.sun_path, sizeof w->to.sun_path, "%s", cfg->to);
        w->to_bytes = sizeof w->to;
    }
    if (cfg->fd >= 0) {
        fcntl(cfg->fd, F_SETFL, fcntl(cfg->fd, F_GETFL) | O_NONBLOCK);
    }
    if (worker_start(&w->worker, "network", kicked, w, e) < 0) {
        goto free_wire;
    }
    const int r = cfg->fd >= 0 ? loop_add(w->worker.loop, &w->line, EPOLLIN) : 0;
    if (r == 0 && (cfg->listener < 0 || loop_add(w->worker.loop, &w->listener, EPOLLIN) == 0)) {
        return w;
    }
    err_set(e, -EINVAL, "network: a descriptor that nobody can wait for");
    worker_stop(&w->worker);

free_wire:
    free(w);
close_fds:
    fd_close(cfg->fd);
    fd_close(cfg->listener);
    return NULL;
}

void
net_wire_free(struct net_wire *w)
{
    worker_stop(&w->worker);
    fd_close(w->line.fd);
    fd_close(w->listener.fd);
    free(w);
}
