/*
 * qmp.c - what clients of a control socket may send, in any pieces, and how they leave
 *
 * covers: src/machine/qmp.c src/machine/qmp_commands.c src/machine/qmp_hmp.c
 *
 * Each line of input is what one of two clients sends at once. Its first byte says what the rest is: text, in which bytes from 0x80 on
 * stand for words; a command with arguments, both by number; or (once) requests enough to fill what waits for a client who does not read.
 * Or its client leaves, somebody else pauses the machine or lets it go, somebody connects who says nothing. What comes back is JSON
 * values, each a greeting, an answer or an event, and at the end the machine is held by nobody.
 */
#include "base/check.h"
#include "device/virtio_devices.h"
#include "machine/qmp_impl.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define CLIENTS 2
#define EXTRAS  20
#define LONG    8192 /* bytes of answers that are only there to fill a client's room: not looked into */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct mhart hart_;
static struct machine m_;
static struct qmp *q_;
static unsigned holds_;
static int client_[CLIENTS], extra_[EXTRAS], sockets_[QMP_LISTENERS_MAX];

/* ---- the machine ---- */

bool
machine_is_paused(const struct machine *m)
{
    (void)m;
    return holds_ > 0;
}

static void
hold(bool more)
{
    const bool before = holds_ > 0;
    CHECK(more || before);
    holds_ += more ? 1u : -1u;
    if (before != (holds_ > 0)) {
        q_->watch.changed(q_->watch.arg, holds_ == 0);
    }
}

void
machine_pause(struct machine *m)
{
    (void)m;
    hold(true);
}

void
machine_resume(struct machine *m)
{
    (void)m;
    hold(false);
}

void
machine_ask_end(struct machine *m, enum machine_ending how, enum machine_by by, unsigned code, int signal)
{
    (void)m;
    CHECK((how == MACHINE_OFF || how == MACHINE_REBOOT) && by == MACHINE_BY_CONTROL && code == 0 && signal == 0);
}

char *
machine_map_text(const struct machine *m)
{
    (void)m;
    return strdup("one\ntwo\n");
}

void
machine_watch(struct machine *m, struct machine_watch *w)
{
    (void)m, (void)w;
}

void
machine_unwatch(struct machine *m, struct machine_watch *w)
{
    (void)m, (void)w;
}

void
virtio_input_press(struct device *d)
{
    CHECK(d == m_.power);
}

bool
engine_translations(const struct engine *en, struct engine_translations *t)
{
    (void)en;
    *t = (struct engine_translations){.blocks = 1};
    return true;
}

void
sandbox_text(const struct sandbox *s, char *text, size_t size)
{
    (void)s;
    CHECK(size > 0);
    text[0] = 0;
}

void
virtio_balloon_want(struct device *d, uint64_t bytes)
{
    (void)d;
    CHECK(bytes <= m_.cfg.ram_bytes);
}

uint64_t
virtio_balloon_has(struct device *d)
{
    (void)d;
    return 4096;
}

static void
make_machine(void)
{
    static const struct block_ops ops = {.name = "raw"};
    static struct block block = {.ops = &ops, .bytes = 4096, .fd = -1, .file = -1};
    static const struct device_type type = {.name = "thing"};
    static struct device device = {.type = &type, .base = 4096, .bytes = 4096, .source = 1};
    static char name[32 << 10];
    struct err e;
    memset(name, 'n', sizeof name - 1); /* so that few answers fill a client's room */
    name[1] = '"';
    m_.cfg.n_harts = 2;
    m_.cfg.ram_bytes = 1 << 20;
    m_.cfg.disks[0] = (struct machine_disk){.block = &block, .name = name, .serial = ""};
    m_.cfg.n_disks = 1;
    m_.harts[0].cpu = m_.harts[1].cpu = &hart_;
    m_.devices[0] = &device;
    m_.n_devices = 1;
    hart_.stats.exceptions[2] = hart_.stats.interrupts[15] = 7;
    m_.pm.n_regions = 1;
    atomic_store(&m_.pm.regions[0].reads, 3);
    m_.pm.regions[0].name = "thing";
    m_.sys.en = (struct engine *)&hart_; /* nobody looks into it */
    m_.loop = loop_new(&e);
    CHECK(m_.loop != NULL);
    sockets_[0] = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    CHECK(bind(sockets_[0], (struct sockaddr *)&at, sizeof at.sun_family) == 0 && listen(sockets_[0], EXTRAS) == 0);
}

/* ---- clients ---- */

static int
join(void)
{
    struct sockaddr_un at;
    socklen_t len = sizeof at;
    const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    CHECK(getsockname(sockets_[0], (struct sockaddr *)&at, &len) == 0 && connect(fd, (struct sockaddr *)&at, len) == 0);
    q_->listeners[0].fd.ready(q_->listeners[0].fd.arg, EPOLLIN);
    return fd;
}

/* What the loop would do, until nothing is left to be done. */
static void
serve(void)
{
    q_->changed.ready(q_->changed.arg, EPOLLIN);
    for (unsigned i = 0; i < QMP_CLIENTS_MAX; i++) {
        struct qmp_client *c = &q_->clients[i];
        for (size_t before = SIZE_MAX; c->q != NULL && c->n_in + c->n_out != before;) {
            before = c->n_in + c->n_out;
            c->fd.ready(c->fd.arg, EPOLLIN | (c->waits ? EPOLLOUT : 0));
        }
    }
}

/* What arrives is whole values, but for the last one of a client who is sent away. */
static void
look(int fd)
{
    static char text[1 << 20];
    size_t n = 0;
    ssize_t got;
    while ((got = recv(fd, text + n, sizeof text - n, 0)) > 0) {
        const char *end;
        n += (size_t)got;
        while ((end = memmem(text, n, "\r\n", 2)) != NULL) {
            json_t *v = end - text < LONG ? json_loadb(text, (size_t)(end - text), 0, NULL) : json_pack("{sb}", "return", 1);
            CHECK((json_object_get(v, "QMP") != NULL) + (json_object_get(v, "return") != NULL) + (json_object_get(v, "error") != NULL) +
                      (json_object_get(v, "event") != NULL) == 1);
            json_decref(v);
            n -= (size_t)(end + 2 - text);
            memmove(text, end + 2, n);
        }
        CHECK(n < sizeof text);
        serve();
    }
    CHECK(n == 0 || got == 0);
}

/* Names of commands, then lines of the monitor, then what else JSON has. */
static const char *const words_[] = {
#define COMMAND(id, name) name,
#include "machine/qmp_commands.def"
#undef COMMAND
    "qmp_capabilities", "help", "info", "info status", "info registers", "info  cpus ", "info mtree", "info qtree", "info block", "info name",
    "info version", "stop", "cont", "quit", "system_reset", "system_powerdown", "{\"execute\":", "\"id\":", "}}", "null", "\\u0000",
    "\\ud800", "[[[[[[[[", "1e999", "\"\\\"", "\"arguments\":{",
};

static void
send_text(int fd, const char *text, size_t n)
{
    (void)!send(fd, text, n, MSG_NOSIGNAL); /* what has no room is lost: then the other side gets other bytes */
}

static const char *
word(uint8_t n)
{
    return words_[n % ARRAY_LEN(words_)];
}

/* A command: its name; which arguments; their values. */
static void
command(int fd, const uint8_t *p, size_t n)
{
    static const char *const args[] = {
        "", ",\"arguments\":{}", ",\"arguments\":{\"command-line\":\"%s\",\"cpu-index\":%d}", ",\"arguments\":{\"command-line\":\"%s\"}",
        ",\"arguments\":{\"cpu-index\":\"%s\"}", ",\"arguments\":{\"value\":%3$lld}", ",\"arguments\":{\"value\":\"%s\"}",
        ",\"id\":\"%s\"", ",\"id\":[%3$lld,{}]", ",\"arguments\":{\"%s\":1}", ",\"arguments\":[]", ",\"%s\":0", ",\"arguments\":{\"command-line\":7}",
    };
    const uint8_t v[4] = {n > 0 ? p[0] : 0, n > 1 ? p[1] : 0, n > 2 ? p[2] : 0, n > 3 ? p[3] : 0};
    char text[512];
    size_t len = (size_t)snprintf(text, sizeof text, "{\"execute\":\"%s\"", word(v[0]));
    const char *const form = args[v[1] % ARRAY_LEN(args)];
    const long long number = v[3] < 0x80 ? (long long)((uint64_t)v[3] << (v[3] & 63)) : (long long)v[3] - 256;
    const char *at = form;
    for (const char *to; (to = strchr(at, '%')) != NULL; at = to) {
        len += (size_t)snprintf(text + len, sizeof text - len, "%.*s", (int)(to - at), at);
        if (to[1] == 's') {
            len += (size_t)snprintf(text + len, sizeof text - len, "%s", word(v[2]));
        } else {
            len += (size_t)snprintf(text + len, sizeof text - len, "%lld", to[1] == 'd' ? v[3] % 4 : number);
        }
        to += to[1] == '3' ? 6 : 2;
    }
    len += (size_t)snprintf(text + len, sizeof text - len, "%s}", at);
    send_text(fd, text, len);
}

static void
say(int fd, const uint8_t *p, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const char *text = p[i] >= 0x80 ? word(p[i] & 0x7f) : (const char *)&p[i];
        send_text(fd, text, p[i] >= 0x80 ? strlen(text) : 1);
    }
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char ask[] = "{\"execute\":\"query-block\"}";
    static const char hello[] = "{\"execute\":\"qmp_capabilities\"}";
    static unsigned runs;
    struct err e;
    unsigned n_extra = 0, others = 0;
    bool filled = false;
    if (size == 0) {
        return 0;
    }
    if (m_.loop == NULL) {
        make_machine();
    }
    if (runs++ % 256 == 0) { /* it is large */
        qmp_free(q_);
        q_ = qmp_new(&m_, sockets_, 1, &e);
        CHECK(q_ != NULL);
    }
    m_.balloon = data[0] & 1 ? m_.devices[0] : NULL;
    m_.power = data[0] & 1 ? NULL : m_.devices[0];
    m_.cfg.name = data[0] & 2 ? "name" : NULL;
    m_.cfg.n_disks = data[0] >> 2 & 1;
    for (unsigned i = 0; i < CLIENTS; i++) {
        client_[i] = join();
        if (data[0] & 8) {
            send_text(client_[i], hello, strlen(hello));
            serve();
        }
    }
    for (size_t at = 1; at < size;) {
        const uint8_t *const end = memchr(data + at, '\n', size - at);
        const size_t n = end != NULL ? (size_t)(end - (data + at)) : size - at;
        int *fd = &client_[n % CLIENTS];
        switch (n > 0 ? data[at] : 0) {
        case 'l':
            close(*fd);
            serve();
            *fd = join();
            break;
        case 'p':
            hold(others == 0);
            others = 1 - others;
            break;
        case 'f':
            for (unsigned i = 0; i < 80 && (data[0] & 0x44) == 0x44 && !filled; i++) {
                send_text(*fd, ask, strlen(ask));
                serve();
            }
            filled = true;
            break;
        case 'j':
            if (n_extra < EXTRAS) {
                extra_[n_extra++] = join();
            }
            break;
        case 't':
            say(*fd, data + at + 1, n - 1);
            send_text(*fd, "\n", 1);
            break;
        case 'b': /* without an end */
            for (unsigned i = 0; i < 70 && (data[0] & 0x40); i++) {
                static const char blanks[1000] = {[0 ... 999] = '['};
                send_text(*fd, blanks, sizeof blanks);
                serve();
            }
            break;
        default:
            command(*fd, data + at + (n > 0), n - (n > 0));
        }
        serve();
        look(*fd);
        at += n + 1;
    }
    qmp_tell_end(q_, data[0] & 16, data[0] & 32, "guest-reset");
    serve();
    qmp_cont(q_);
    CHECK(holds_ == others);
    if (others > 0) {
        hold(false);
    }
    for (unsigned i = 0; i < CLIENTS; i++) {
        look(client_[i]);
        close(client_[i]);
    }
    while (n_extra > 0) {
        close(extra_[--n_extra]);
    }
    serve();
    return 0;
}
