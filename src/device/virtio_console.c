/*
 * virtio_console.c - several serial ports that need no baud rate: hvc0, /dev/virtio-ports/NAME
 *
 * VIRTIO 1.3 §5.3. Queues: port 0's to the guest and from it, the two of the control messages, then those of ports 1, 2, ….
 *
 *      control  id 4 | event 2 | value 2, and behind it a name, or a size
 *      guest    READY ──► we: ADD for each port ──► PORT_READY ──► we: CONSOLE or NAME, OPEN, RESIZE
 *
 * A driver without F_MULTIPORT has port 0 only. Each port is the front of a chardev. What we have to say of a port is a set of events that
 * wait for buffers of the guest's: so it is bounded whatever the guest does. A size is columns, then rows, as in the specification;
 * older Linux takes the one for the other, Debian's 6.12.107 does not.
 *
 * Threads: registers on any hart, `ready` on the I/O thread, all under the lock. A chain whose bytes have no room stays popped.
 */
#include "device/virtio_devices.h"

#include "base/check.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define F_SIZE        (UINT64_C(1) << 0)
#define F_MULTIPORT   (UINT64_C(1) << 1)
#define F_EMERG_WRITE (UINT64_C(1) << 2)

#define PIECE 512 /* bytes that go from ring to ring at once */

enum { EV_READY, EV_ADD, EV_REMOVE, EV_PORT_READY, EV_CONSOLE, EV_RESIZE, EV_OPEN, EV_NAME, EV_COUNT };
enum { Q_RX0, Q_TX0, Q_CONTROL_TO_GUEST, Q_CONTROL, Q_RX1 };

struct config {
    uint16_t cols, rows;
    uint32_t max_ports, emerg_wr;
};
static_assert(sizeof(struct config) <= VIRTIO_CONFIG_MAX && Q_RX1 + 2 * (VIRTIO_CONSOLE_PORTS_MAX - 1) <= VIRTIO_QUEUES_MAX, "virtio.h");

struct control {
    uint32_t id;
    uint16_t event, value;
};

struct port {
    struct console *c;    /* ref */
    unsigned number;
    struct chardev *line; /* ref */
    const char *name;     /* ref; NULL: a console */

    /* under the lock */
    bool open;            /* by the guest */
    bool connected;       /* by us */
    unsigned pending;     /* events that it is to be told: bits by EV_* */
    uint16_t cols, rows;
    struct vq_chain from; /* what the guest writes, if `writing`: of its bytes `done` have been taken */
    bool writing;
    uint64_t done;
    uint8_t held[PIECE];  /* input that the guest has given no buffer for */
    size_t n_held;
};

struct console {
    struct virtio v;
    unsigned n_ports;
    struct port ports[VIRTIO_CONSOLE_PORTS_MAX];
    struct vq_chain chain; /* under the lock: of short use */
};

static unsigned
rx_queue(unsigned port)
{
    return port == 0 ? Q_RX0 : Q_RX1 + 2 * (port - 1);
}

static bool
has_ports(const struct console *c)
{
    return virtio_has(&c->v, F_MULTIPORT);
}

/* ---- data ---- */

/* From the guest, as far as there is room. */
static void
pump_out(struct console *c, struct port *p)
{
    struct virtio *v = &c->v;
    const unsigned q = rx_queue(p->number) + 1;
    uint8_t bytes[PIECE];
    for (;;) {
        if (!p->writing) {
            p->writing = vq_pop(v, q, &p->from) || (vq_ask(v, q) && vq_pop(v, q, &p->from));
            p->done = 0;
        }
        if (!p->writing) {
            break;
        }
        for (size_t n; (n = vq_get(&p->from, p->done, bytes, sizeof bytes)) > 0;) {
            const size_t taken = chardev_write(p->line, bytes, n);
            p->done += taken;
            if (taken < n) {
                vq_signal(v, q);
                return; /* ready() comes when there is room */
            }
        }
        p->writing = false;
        vq_push(v, q, &p->from, 0);
    }
    vq_signal(v, q);
}

/* To the guest, as far as it has given buffers. What it has not opened waits. */
static void
pump_in(struct console *c, struct port *p)
{
    struct virtio *v = &c->v;
    const unsigned q = rx_queue(p->number);
    while (p->open || !has_ports(c)) {
        if (p->n_held == 0) {
            p->n_held = virtio_is_running(v) ? chardev_read(p->line, p->held, sizeof p->held) : 0;
        }
        if (p->n_held == 0 || !(vq_pop(v, q, &c->chain) || (vq_ask(v, q) && vq_pop(v, q, &c->chain)))) {
            break;
        }
        const size_t n = vq_put(&c->chain, 0, p->held, p->n_held);
        p->n_held -= n;
        memmove(p->held, p->held + n, p->n_held);
        vq_push(v, q, &c->chain, (uint32_t)n);
    }
    vq_signal(v, q);
}

/* ---- control ---- */

static void
tell(struct console *c, const struct port *p, unsigned event)
{
    struct {
        struct control head;
        char rest[64];
    } m = {.head = {p->number, (uint16_t)event, 1}};
    size_t n = sizeof m.head;
    if (event == EV_NAME) {
        n += strnlen(p->name, sizeof m.rest);
        memcpy(m.rest, p->name, n - sizeof m.head);
    } else if (event == EV_RESIZE) {
        memcpy(m.rest, &(uint16_t[2]){p->cols, p->rows}, 4);
        n += 4;
    } else if (event == EV_OPEN) {
        m.head.value = p->connected;
    }
    vq_push(&c->v, Q_CONTROL_TO_GUEST, &c->chain, (uint32_t)vq_put(&c->chain, 0, &m, n));
}

static void
tell_all(struct console *c)
{
    static const uint8_t order[] = {EV_ADD, EV_CONSOLE, EV_NAME, EV_OPEN, EV_RESIZE};
    struct virtio *v = &c->v;
    const unsigned q = Q_CONTROL_TO_GUEST;
    for (struct port *p = c->ports; p < c->ports + c->n_ports; p++) {
        for (unsigned i = 0; i < ARRAY_LEN(order) && p->pending != 0; i++) {
            const unsigned bit = 1u << order[i];
            if (!(p->pending & bit)) {
                continue;
            }
            if (!(vq_pop(v, q, &c->chain) || (vq_ask(v, q) && vq_pop(v, q, &c->chain)))) {
                goto told; /* notify() comes with buffers */
            }
            p->pending &= ~bit;
            tell(c, p, order[i]);
        }
    }
told:
    vq_signal(v, q);
}

static void
obey(struct console *c, const struct control *m)
{
    if (m->event == EV_READY && m->value == 1) {
        for (unsigned i = 0; i < c->n_ports; i++) {
            c->ports[i].pending |= 1u << EV_ADD;
        }
    }
    if (m->id >= c->n_ports) {
        return;
    }
    struct port *p = &c->ports[m->id];
    if (m->event == EV_PORT_READY && m->value == 1) {
        p->pending |= 1u << (p->name != NULL ? EV_NAME : EV_CONSOLE) | 1u << EV_OPEN;
        p->pending |= p->cols != 0 ? 1u << EV_RESIZE : 0;
    } else if (m->event == EV_OPEN) {
        p->open = m->value != 0;
        pump_in(c, p);
    }
}

static void
control(struct console *c)
{
    struct virtio *v = &c->v;
    do {
        while (vq_pop(v, Q_CONTROL, &c->chain)) {
            struct control m = {UINT32_MAX, EV_COUNT, 0};
            const bool whole = vq_get(&c->chain, 0, &m, sizeof m) == sizeof m;
            vq_push(v, Q_CONTROL, &c->chain, 0);
            if (whole) {
                obey(c, &m);
            }
        }
    } while (vq_ask(v, Q_CONTROL));
    vq_signal(v, Q_CONTROL);
    tell_all(c);
}

static void
notify(struct virtio *v, unsigned queue)
{
    struct console *c = (struct console *)v;
    if (queue == Q_CONTROL_TO_GUEST) {
        tell_all(c);
    } else if (queue == Q_CONTROL) {
        control(c);
    } else {
        struct port *p = &c->ports[queue < Q_RX1 ? 0 : 1 + (queue - Q_RX1) / 2];
        if (p->number < c->n_ports && p->line != NULL) {
            (queue % 2 != 0 ? pump_out : pump_in)(c, p);
        }
    }
}

/* The line has input, or room. */
static void
ready(void *arg)
{
    struct port *p = arg;
    device_lock(&p->c->v.dev);
    pump_out(p->c, p);
    pump_in(p->c, p);
    device_unlock(&p->c->v.dev);
}

/* A byte of a guest that is in trouble (§5.3.4). */
static void
config_written(struct virtio *v)
{
    struct console *c = (struct console *)v;
    uint8_t *byte = v->s.config + offsetof(struct config, emerg_wr);
    chardev_write(c->ports[0].line, byte, 1);
    memset(byte, 0, sizeof(uint32_t));
}

static void
stop(struct virtio *v)
{
    struct console *c = (struct console *)v;
    for (struct port *p = c->ports; p < c->ports + c->n_ports; p++) {
        if (p->writing) {
            p->writing = false;
            vq_forget(v);
        }
    }
}

static void
reset(struct virtio *v)
{
    struct console *c = (struct console *)v;
    for (struct port *p = c->ports; p < c->ports + c->n_ports; p++) {
        p->open = false;
        p->pending = 0;
        p->n_held = 0;
    }
}

static void
console_free_(struct virtio *v)
{
    struct console *c = (struct console *)v;
    for (unsigned i = 0; i < c->n_ports; i++) {
        c->ports[i].line->ready = NULL;
    }
    free(c);
}

static const struct virtio_ops ops_ = {
    .name = "virtio-console",
    .id = VIRTIO_ID_CONSOLE,
    .n_queues = Q_RX1 + 2 * (VIRTIO_CONSOLE_PORTS_MAX - 1),
    .notify = notify,
    .config_written = config_written,
    .stop = stop,
    .reset = reset,
    .free = console_free_,
};

void
virtio_console_resize(struct device *d, unsigned port, unsigned cols, unsigned rows)
{
    struct console *c = (struct console *)d;
    struct port *p = &c->ports[port];
    device_lock(d);
    p->cols = (uint16_t)cols;
    p->rows = (uint16_t)rows;
    if (port == 0) {
        memcpy(c->v.s.config, &(uint16_t[2]){p->cols, p->rows}, 4);
        c->v.s.config_generation++;
    }
    if (virtio_is_running(&c->v)) {
        if (has_ports(c)) {
            p->pending |= p->open ? 1u << EV_RESIZE : 0;
            tell_all(c);
        } else if (port == 0) {
            virtio_interrupt(&c->v, VIRTIO_INT_CONFIG);
        }
    }
    device_unlock(d);
}

void
virtio_console_connect(struct device *d, unsigned port, bool connected)
{
    struct console *c = (struct console *)d;
    device_lock(d);
    c->ports[port].connected = connected;
    if (virtio_is_running(&c->v) && has_ports(c)) {
        c->ports[port].pending |= 1u << EV_OPEN;
        tell_all(c);
    }
    device_unlock(d);
}

struct device *
virtio_console_new(const struct virtio_place *at, const struct virtio_console_port *ports, unsigned n_ports, struct err *e)
{
    CHECK(n_ports > 0 && n_ports <= VIRTIO_CONSOLE_PORTS_MAX);
    struct console *c = calloc(1, sizeof *c);
    if (c == NULL) {
        err_set(e, -ENOMEM, "virtio-console");
        return NULL;
    }
    const struct config config = {.max_ports = n_ports};
    c->v.ops = &ops_;
    c->v.features = F_SIZE | F_MULTIPORT | F_EMERG_WRITE;
    memcpy(c->v.s.config, &config, sizeof config);
    c->v.config_bytes = sizeof config;
    c->v.config_writable = offsetof(struct config, emerg_wr);
    c->n_ports = n_ports;
    for (unsigned i = 0; i < n_ports; i++) {
        c->ports[i] = (struct port){.c = c, .number = i, .line = ports[i].line, .name = ports[i].name, .connected = ports[i].connected};
    }
    if (virtio_mmio_init(&c->v, at, e) < 0) {
        free(c);
        return NULL;
    }
    for (unsigned i = 0; i < n_ports; i++) {
        ports[i].line->front_arg = &c->ports[i];
        ports[i].line->ready = ready;
    }
    return &c->v.dev;
}
