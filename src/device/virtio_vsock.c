/*
 * virtio_vsock.c - sockets between the guest's programs and this machine's, without a network
 *
 * VIRTIO 1.3 §5.10, stream sockets. Queues: 0 to the guest, 1 from it, 2 events (never any). Each packet is a header and bytes:
 *
 *   0 src_cid 8 | 8 dst_cid 8 | 16 src_port 4 | 20 dst_port 4 | 24 len 4 | 28 type 2 | 30 op 2 | 32 flags 4 | 36 buf_alloc 4 | 40 fwd_cnt 4
 *
 * This machine's side is AF_UNIX, as other monitors have it. To the guest: connect to PATH, write "CONNECT port\n", and read
 * "OK port\n" once a program there has accepted. From the guest: a connection to port N of host 2 is one to PATH_N.
 *
 *      socket ──recv──► RW, while the guest has credit: peer_alloc - (sent - peer_fwd)
 *             ◄──send── ring of RING bytes ◄── RW: the guest has as much credit as there is room, and a packet beyond it ends the connection
 *
 * What we have to say of a connection is a set of packets that wait for buffers of the guest's. Answers to packets of no connection
 * wait in a short row, and while that is full no more packets are taken. So all is bounded, whatever the guest does.
 *
 * Threads: connections belong to the worker; queues and `wiped` are under the lock. A reset wipes: the worker forgets all connections
 * before it looks at the queues again. A buffer of queue 0 that was popped and not needed is kept.
 */
#include "device/virtio_devices.h"

#include "base/check.h"
#include "base/local.h"
#include "device/worker.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define RING      (64u << 10)
#define PIECE     (64u << 10)
#define CONNS_MAX 256
#define REFUSALS  64
#define HOST_CID  2
#define PORT0     (UINT32_C(1) << 30) /* the first port of ours for connections to the guest */
#define CREDITS   (RING / 4)          /* so much of the ring becomes free before the guest is told */

enum { Q_TO_GUEST, Q_FROM_GUEST, Q_EVENTS, Q_COUNT };
enum { OP_REQUEST = 1, OP_RESPONSE, OP_RST, OP_SHUTDOWN, OP_RW, OP_CREDIT_UPDATE, OP_CREDIT_REQUEST };
enum { SHUT_ITS_RECV = 1, SHUT_ITS_SEND = 2, SHUT_ALL = 3 };
enum conn_state { HANDSHAKE, CONNECTING, OPEN, GONE }; /* GONE: the guest is told by RST, then nothing is left */

struct header {
    uint64_t src_cid, dst_cid;
    uint32_t src_port, dst_port, len;
    uint16_t type, op;
    uint32_t flags, buf_alloc, fwd_cnt;
} __attribute__((packed));
static_assert(sizeof(struct header) == 44, "§5.10.6");

struct conn {
    struct vsock *s;   /* ref */
    struct conn *next;
    enum conn_state state;
    uint32_t host_port, guest_port;
    struct loop_fd fd; /* own; -1: our end has hung up */
    bool polled;       /* in the loop */
    bool ended;        /* our end sends no more */
    bool guest_ended;  /* the guest sends no more: our end hears of it behind the last byte */
    bool closing;      /* nor does it listen: what is in the ring goes out, and that is the end */
    unsigned pending;  /* packets: bits by OP_* */
    unsigned shut;     /* flags of the SHUTDOWN */
    bool asked;        /* for credit, since there was none */
    uint32_t peer_alloc, peer_fwd, sent; /* to the guest */
    uint32_t fwd_cnt, told_fwd;          /* from it: taken out of the ring; as the guest knows */
    char line[32];     /* of the handshake */
    size_t n_line;
    size_t head, n;    /* of the ring */
    uint8_t ring[RING];
};

struct vsock {
    struct virtio v;
    struct worker worker;
    uint64_t cid;
    char path[sizeof((struct sockaddr_un *)0)->sun_path]; /* PATH */
    struct loop_fd listener; /* own */

    /* under the lock */
    struct vq_chain spare; /* of queue 0, if has_spare */
    bool has_spare, wiped;

    /* the worker's */
    struct conn *conns;
    unsigned n_conns;
    uint32_t next_port;
    bool starved;          /* the guest has no buffers in queue 0 */
    struct header refusals[REFUSALS];
    unsigned n_refusals;
    struct vq_chain rx, tx;
    uint8_t piece[PIECE];
};

/* ---- queue 0 ---- */

/* A buffer of the guest's into s->rx. False: it has none, until notify(). */
static bool
take_buffer(struct vsock *s)
{
    struct virtio *v = &s->v;
    device_lock(&v->dev);
    bool got = s->has_spare;
    if (got) {
        s->rx = s->spare;
        s->has_spare = false;
    } else {
        got = !s->wiped && (vq_pop(v, Q_TO_GUEST, &s->rx) || (vq_ask(v, Q_TO_GUEST) && vq_pop(v, Q_TO_GUEST, &s->rx)));
    }
    device_unlock(&v->dev);
    s->starved = !got;
    return got;
}

static void
keep_buffer(struct vsock *s)
{
    device_lock(&s->v.dev);
    if (virtio_is_running(&s->v)) {
        s->spare = s->rx;
        s->has_spare = true;
    } else {
        vq_forget(&s->v);
    }
    device_unlock(&s->v.dev);
}

static void
send_packet(struct vsock *s, const struct header *h, const void *bytes)
{
    size_t n = vq_put(&s->rx, 0, h, sizeof *h);
    n += vq_put(&s->rx, sizeof *h, bytes, h->len);
    device_lock(&s->v.dev);
    vq_push(&s->v, Q_TO_GUEST, &s->rx, (uint32_t)n);
    vq_signal(&s->v, Q_TO_GUEST);
    device_unlock(&s->v.dev);
}

static struct header
header_of(const struct conn *c, unsigned op)
{
    return (struct header){.src_cid = HOST_CID, .dst_cid = c->s->cid, .src_port = c->host_port, .dst_port = c->guest_port, .type = 1,
                           .op = (uint16_t)op, .flags = op == OP_SHUTDOWN ? c->shut : 0, .buf_alloc = RING, .fwd_cnt = c->fwd_cnt};
}

/* ---- connections ---- */

static uint32_t
credit(const struct conn *c)
{
    const uint32_t used = c->sent - c->peer_fwd;
    return used < c->peer_alloc ? c->peer_alloc - used : 0;
}

static void
close_fd(struct conn *c)
{
    if (c->fd.fd >= 0) {
        if (c->polled) {
            loop_remove(c->s->worker.loop, &c->fd);
        }
        close(c->fd.fd);
        c->fd.fd = -1;
        c->fwd_cnt += (uint32_t)c->n; /* nobody will read it */
        c->n = 0;
    }
}

/* Take it out of the list, which may be in the middle of a walk: who walks has `next` already. */
static void
conn_free(struct conn *c)
{
    struct conn **at = &c->s->conns;
    while (*at != c) {
        at = &(*at)->next;
    }
    *at = c->next;
    c->s->n_conns--;
    close_fd(c);
    free(c);
}

static void
reset_conn(struct conn *c)
{
    close_fd(c);
    c->state = GONE;
    c->pending = 1u << OP_RST;
}

/* What the socket is to wake us for. A socket that has hung up is always ready: it is not polled any more. */
static void
poll_conn(struct conn *c)
{
    if (c->fd.fd < 0) {
        return;
    }
    const bool in = c->state == HANDSHAKE || (c->state == OPEN && !c->ended && !c->s->starved && credit(c) > 0);
    const uint32_t events = (in ? EPOLLIN : 0) | (c->n > 0 ? EPOLLOUT : 0);
    if (events == 0 && c->polled) {
        loop_remove(c->s->worker.loop, &c->fd);
        c->polled = false;
    } else if (events != 0) {
        c->polled = (c->polled ? loop_change : loop_add)(c->s->worker.loop, &c->fd, events) == 0;
    }
}

static void conn_ready(void *arg, uint32_t events);

/* `fd` is its own. NULL: no memory, or too many. */
static struct conn *
conn_new(struct vsock *s, int fd, enum conn_state state)
{
    struct conn *c = s->n_conns < CONNS_MAX ? calloc(1, sizeof *c) : NULL;
    if (c == NULL) {
        close(fd);
        return NULL;
    }
    c->s = s;
    c->state = state;
    c->fd = (struct loop_fd){.fd = fd, .ready = conn_ready, .arg = c};
    c->next = s->conns;
    s->conns = c;
    s->n_conns++;
    return c;
}

static struct conn *
find(const struct vsock *s, uint32_t host_port, uint32_t guest_port)
{
    struct conn *c = s->conns;
    while (c != NULL && (c->host_port != host_port || c->guest_port != guest_port || c->state == HANDSHAKE)) {
        c = c->next;
    }
    return c;
}

/* Our end has no more to say; or nothing to hear, either. */
static void
hang_up(struct conn *c, bool wholly)
{
    c->ended = true;
    c->shut |= wholly ? SHUT_ALL : SHUT_ITS_SEND;
    c->pending |= 1u << OP_SHUTDOWN;
    if (wholly) {
        close_fd(c);
    }
}

/* Out of the ring into the socket. */
static void
flush(struct conn *c)
{
    while (c->n > 0 && c->fd.fd >= 0) {
        const size_t end = c->head + c->n < RING ? c->head + c->n : RING;
        const ssize_t done = send(c->fd.fd, c->ring + c->head, end - c->head, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (done < 0 && errno == EINTR) {
            continue;
        }
        if (done < 0 && errno != EAGAIN) {
            hang_up(c, true);
            break;
        }
        if (done < 0) {
            break;
        }
        c->head = (c->head + (size_t)done) % RING;
        c->n -= (size_t)done;
        c->fwd_cnt += (uint32_t)done;
    }
    if (c->fwd_cnt - c->told_fwd >= CREDITS) {
        c->pending |= 1u << OP_CREDIT_UPDATE;
    }
    if (c->n == 0 && c->closing) {
        reset_conn(c);
    } else if (c->n == 0 && c->guest_ended && c->fd.fd >= 0) {
        shutdown(c->fd.fd, SHUT_WR);
    }
}

/* From the socket to the guest, as long as there are buffers and credit. */
static void
receive(struct conn *c)
{
    struct vsock *s = c->s;
    while (c->state == OPEN && c->fd.fd >= 0 && !c->ended && credit(c) > 0 && take_buffer(s)) {
        size_t room = s->rx.in_bytes > sizeof(struct header) ? (size_t)(s->rx.in_bytes - sizeof(struct header)) : 0;
        room = room < PIECE ? room : PIECE;
        room = room < credit(c) ? room : credit(c);
        const ssize_t n = room > 0 ? recv(c->fd.fd, s->piece, room, MSG_DONTWAIT) : -1;
        if (n > 0) {
            struct header h = header_of(c, OP_RW);
            h.len = (uint32_t)n;
            c->told_fwd = c->fwd_cnt;
            c->sent += (uint32_t)n;
            send_packet(s, &h, s->piece);
            continue;
        }
        keep_buffer(s);
        if (n == 0 || (room > 0 && errno != EAGAIN && errno != EINTR)) {
            struct pollfd both = {.fd = c->fd.fd};
            hang_up(c, n < 0 || (poll(&both, 1, 0) > 0 && (both.revents & POLLHUP)));
        }
        break;
    }
    if (c->state == OPEN && !c->ended && credit(c) == 0 && !c->asked) {
        c->asked = true;
        c->pending |= 1u << OP_CREDIT_REQUEST;
    }
}

/* Say what is to be said, as far as there are buffers for it. What is GONE and told is freed. */
static void
tell_all(struct vsock *s)
{
    static const uint8_t order[] = {OP_REQUEST, OP_RESPONSE, OP_CREDIT_UPDATE, OP_CREDIT_REQUEST, OP_SHUTDOWN, OP_RST};
    while (s->n_refusals > 0 && take_buffer(s)) {
        send_packet(s, &s->refusals[--s->n_refusals], "");
    }
    bool dry = s->n_refusals > 0;
    for (struct conn *c = s->conns, *next; c != NULL; c = next) {
        next = c->next;
        for (unsigned i = 0; i < ARRAY_LEN(order) && c->pending != 0; i++) {
            if (!(c->pending & 1u << order[i])) {
                continue;
            }
            dry = dry || !take_buffer(s);
            if (dry) {
                break;
            }
            c->pending &= ~(1u << order[i]);
            const struct header h = header_of(c, order[i]);
            c->told_fwd = c->fwd_cnt;
            send_packet(s, &h, "");
        }
        if (c->state == GONE && c->pending == 0) {
            conn_free(c);
        } else {
            poll_conn(c);
        }
    }
}

/* ---- this machine's side ---- */

/* "CONNECT port\n", a byte at a time, for what follows belongs to the guest. */
static void
handshake(struct conn *c)
{
    char byte;
    ssize_t n;
    while ((n = recv(c->fd.fd, &byte, 1, MSG_DONTWAIT)) == 1) {
        if (byte != '\n' && c->n_line < sizeof c->line - 1) {
            c->line[c->n_line++] = byte;
            continue;
        }
        unsigned port;
        char more;
        c->line[c->n_line] = 0;
        if (byte != '\n' || sscanf(c->line, "CONNECT %u%c", &port, &more) != 1) {
            break;
        }
        do {
            c->host_port = PORT0 + c->s->next_port++ % PORT0;
        } while (find(c->s, c->host_port, port) != NULL);
        c->guest_port = port;
        c->state = CONNECTING;
        c->pending = 1u << OP_REQUEST;
        return;
    }
    if (n >= 0 || (errno != EAGAIN && errno != EINTR)) {
        conn_free(c);
    }
}

static bool
forget_wiped(struct vsock *s)
{
    device_lock(&s->v.dev);
    const bool wiped = s->wiped;
    s->wiped = false;
    device_unlock(&s->v.dev);
    if (wiped) {
        s->n_refusals = 0;
        while (s->conns != NULL) {
            conn_free(s->conns);
        }
    }
    return wiped;
}

static void
conn_ready(void *arg, uint32_t events)
{
    (void)events;
    struct conn *c = arg;
    struct vsock *s = c->s;
    if (forget_wiped(s)) {
        return;
    }
    if (c->state == HANDSHAKE) {
        handshake(c);
    } else if (c->state == OPEN) {
        flush(c);
        receive(c);
    }
    tell_all(s);
}

static void
called(void *arg, uint32_t events)
{
    (void)events;
    struct vsock *s = arg;
    const int fd = accept4(s->listener.fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    forget_wiped(s);
    struct conn *c = fd >= 0 ? conn_new(s, fd, HANDSHAKE) : NULL;
    if (c != NULL) {
        poll_conn(c);
    }
}

/* ---- the guest's side ---- */

static void
refuse(struct vsock *s, const struct header *h)
{
    if (h->op != OP_RST) {
        s->refusals[s->n_refusals++] = (struct header){.src_cid = HOST_CID, .dst_cid = s->cid, .src_port = h->dst_port,
                                                       .dst_port = h->src_port, .type = h->type, .op = OP_RST};
    }
}

/* A program of the guest's wants to talk to one of ours. */
static void
request(struct vsock *s, const struct header *h)
{
    char path[LOCAL_PATH_MAX + 1];
    const int n = snprintf(path, sizeof path, "%s_%u", s->path, (unsigned)h->dst_port);
    const int fd = n < (int)sizeof path ? local_connect(path, SOCK_NONBLOCK) : -ENAMETOOLONG;
    struct conn *c = fd >= 0 ? conn_new(s, fd, OPEN) : NULL;
    if (c == NULL) {
        refuse(s, h);
        return;
    }
    c->host_port = h->dst_port;
    c->guest_port = h->src_port;
    c->peer_alloc = h->buf_alloc;
    c->peer_fwd = h->fwd_cnt;
    c->pending = 1u << OP_RESPONSE;
}

/* Bytes of the guest's: no more than it has credit for. */
static void
take_bytes(struct conn *c, const struct header *h)
{
    struct vsock *s = c->s;
    if (h->len > s->tx.out_bytes - sizeof *h || h->len > RING - c->n || c->guest_ended) {
        reset_conn(c);
        return;
    }
    for (uint32_t at = 0; at < h->len;) {
        const size_t to = (c->head + c->n) % RING, left = h->len - at;
        const size_t n = vq_get(&s->tx, sizeof *h + at, c->ring + to, left < RING - to ? left : RING - to);
        c->n += n;
        at += (uint32_t)n;
    }
    if (c->fd.fd < 0) {
        c->fwd_cnt += (uint32_t)c->n;
        c->n = 0;
    }
    flush(c);
}

static void
accepted(struct conn *c)
{
    char ok[32];
    const int n = snprintf(ok, sizeof ok, "OK %u\n", (unsigned)c->host_port);
    c->state = OPEN;
    if (send(c->fd.fd, ok, (size_t)n, MSG_DONTWAIT | MSG_NOSIGNAL) != n) {
        reset_conn(c);
    }
}

static void
shut(struct conn *c, uint32_t flags)
{
    c->guest_ended |= (flags & SHUT_ITS_SEND) != 0;
    c->ended |= (flags & SHUT_ITS_RECV) != 0;
    c->closing = c->guest_ended && c->ended;
    flush(c);
}

static void
obey(struct vsock *s, const struct header *h)
{
    struct conn *c = find(s, h->dst_port, h->src_port);
    if (h->src_cid != s->cid || h->dst_cid != HOST_CID) {
        return; /* of nobody, or for nobody */
    }
    if (h->type != 1 || c == NULL || c->state == GONE) {
        if (c == NULL && h->type == 1 && h->op == OP_REQUEST) {
            request(s, h);
        } else if (c == NULL) {
            refuse(s, h);
        }
        return;
    }
    c->peer_alloc = h->buf_alloc;
    c->peer_fwd = h->fwd_cnt;
    c->asked = c->asked && credit(c) == 0;
    if (h->op == OP_RST) {
        conn_free(c);
        return;
    }
    if (c->state == CONNECTING) {
        if (h->op == OP_RESPONSE && c->fd.fd >= 0) {
            accepted(c);
        } else {
            reset_conn(c);
        }
        return;
    }
    switch (h->op) {
    case OP_RW:
        take_bytes(c, h);
        break;
    case OP_SHUTDOWN:
        shut(c, h->flags);
        break;
    case OP_CREDIT_REQUEST:
        c->pending |= 1u << OP_CREDIT_UPDATE;
        break;
    case OP_CREDIT_UPDATE:
        break;
    default:
        reset_conn(c);
    }
}

/* What the guest has sent, as long as there is room for refusals. */
static void
take_packets(struct vsock *s)
{
    struct virtio *v = &s->v;
    while (s->n_refusals < REFUSALS) {
        device_lock(&v->dev);
        const bool got = !s->wiped && (vq_pop(v, Q_FROM_GUEST, &s->tx) || (vq_ask(v, Q_FROM_GUEST) && vq_pop(v, Q_FROM_GUEST, &s->tx)));
        device_unlock(&v->dev);
        if (!got) {
            return;
        }
        struct header h;
        if (vq_get(&s->tx, 0, &h, sizeof h) == sizeof h) {
            obey(s, &h);
        }
        device_lock(&v->dev);
        vq_push(v, Q_FROM_GUEST, &s->tx, 0);
        vq_signal(v, Q_FROM_GUEST);
        device_unlock(&v->dev);
    }
}

static void
work(void *arg)
{
    struct vsock *s = arg;
    bool full;
    forget_wiped(s);
    s->starved = false;
    tell_all(s);
    do {
        take_packets(s);
        full = s->n_refusals == REFUSALS;
        tell_all(s);
    } while (full && s->n_refusals < REFUSALS);
    for (struct conn *c = s->conns; c != NULL; c = c->next) {
        receive(c);
    }
    tell_all(s);
}

static void
notify(struct virtio *v, unsigned queue)
{
    vq_hush(v, queue);
    worker_kick(&((struct vsock *)v)->worker);
}

static void
stop(struct virtio *v)
{
    struct vsock *s = (struct vsock *)v;
    if (s->has_spare) {
        s->has_spare = false;
        vq_forget(v);
    }
}

static void
reset(struct virtio *v)
{
    struct vsock *s = (struct vsock *)v;
    s->wiped = true;
    if (s->worker.loop != NULL) {
        worker_kick(&s->worker);
    }
}

/* ---- making and freeing ---- */

static void
vsock_free(struct virtio *v)
{
    struct vsock *s = (struct vsock *)v;
    worker_stop(&s->worker);
    while (s->conns != NULL) {
        s->conns->polled = false; /* the loop has gone */
        conn_free(s->conns);
    }
    close(s->listener.fd);
    unlink(s->path);
    free(s);
}

static const struct virtio_ops ops_ = {
    .name = "virtio-vsock",
    .id = VIRTIO_ID_VSOCK,
    .n_queues = Q_COUNT,
    .notify = notify,
    .stop = stop,
    .reset = reset,
    .free = vsock_free,
};

struct device *
virtio_vsock_new(const struct virtio_place *at, int listener, const char *path, uint64_t cid, struct err *e)
{
    struct vsock *s = calloc(1, sizeof *s);
    int r = s == NULL ? -ENOMEM : strlen(path) >= sizeof s->path ? -ENAMETOOLONG : 0;
    if (r < 0) {
        err_set(e, r, "virtio-vsock");
        goto free_vsock;
    }
    s->v.ops = &ops_;
    s->v.features = 1; /* streams */
    s->cid = cid;
    memcpy(s->v.s.config, &cid, sizeof cid);
    s->v.config_bytes = s->v.config_writable = sizeof cid;
    memcpy(s->path, path, strlen(path));
    s->listener = (struct loop_fd){.fd = listener, .ready = called, .arg = s};
    if (worker_start(&s->worker, "vsock", work, s, e) < 0) {
        goto free_vsock;
    }
    r = virtio_mmio_init(&s->v, at, e);
    if (r == 0 && (r = loop_add(s->worker.loop, &s->listener, EPOLLIN)) == 0) {
        return &s->v.dev;
    }
    worker_stop(&s->worker);
free_vsock:
    close(listener);
    free(s);
    return NULL;
}
