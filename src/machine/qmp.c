/*
 * qmp.c - see qmp.h: connections, values, answers, events
 *
 *      accept ──greeting──► bytes ──scan──► one JSON value ──check──► qmp_command() ──► {"return"} or {"error"}, "id" as it came
 *
 * A value ends where its brackets are balanced outside of strings: clients need not end it with a line. An answer that cannot be sent at
 * once waits; a client who lets 4 MiB wait is sent away, so that he holds up nobody.
 */
#include "machine/qmp_impl.h"

#include "base/check.h"
#include "base/nondet.h"
#include "base/thread.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#define LAST_MS 500 /* how long the end waits for clients to take what they are told */

size_t
qmp_scan(struct qmp_client *c)
{
    for (size_t *i = &c->scan.at; *i < c->n_in;) {
        const char b = c->in[(*i)++];
        if (c->scan.escape) {
            c->scan.escape = false;
        } else if (c->scan.string) {
            c->scan.escape = b == '\\';
            c->scan.string = b != '"';
        } else if (b == '"') {
            c->scan.string = c->scan.begun = true;
        } else if (b == '{' || b == '[') {
            c->scan.depth++;
            c->scan.begun = true;
        } else if (b == '}' || b == ']') {
            c->scan.depth -= c->scan.depth > 0;
            c->scan.begun = true;
        } else if (b == '\n' || b == '\r' || b == ' ' || b == '\t') {
            if (!c->scan.begun) {
                continue;
            }
            if (c->scan.depth == 0 && b == '\n') {
                return *i; /* a bare word: it is wrong, and said to be so */
            }
            continue;
        } else {
            c->scan.begun = true;
        }
        if (c->scan.depth == 0 && (b == '}' || b == ']')) {
            return *i;
        }
    }
    return 0;
}

/* ---- output ---- */

static void
drop(struct qmp_client *c)
{
    loop_remove(c->q->m->loop, &c->fd);
    close(c->fd.fd);
    free(c->out);
    c->out = NULL;
    c->n_out = c->out_room = 0;
    c->q = NULL;
}

/* Send what waits. False: the client is gone. */
static bool
flush(struct qmp_client *c)
{
    size_t done = 0;
    while (done < c->n_out) {
        const ssize_t n = send(c->fd.fd, c->out + done, c->n_out - done, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0 && errno != EAGAIN) {
            drop(c);
            return false;
        }
        if (n < 0) {
            break;
        }
        done += (size_t)n;
    }
    if (done > 0) {
        c->n_out -= done;
        memmove(c->out, c->out + done, c->n_out);
    }
    const bool waits = c->n_out > 0;
    if (!waits && c->ended) {
        drop(c);
        return false;
    }
    if (waits != c->waits) {
        c->waits = waits;
        loop_change(c->q->m->loop, &c->fd, (c->ended ? 0 : EPOLLIN) | (waits ? EPOLLOUT : 0));
    }
    return true;
}

/* Takes v. The client may be gone afterwards. */
static void
put(struct qmp_client *c, json_t *v)
{
    char *text = v != NULL ? json_dumps(v, JSON_COMPACT) : NULL;
    const size_t n = text != NULL ? strlen(text) : 0, need = c->n_out + n + 2;
    json_decref(v);
    if (need > c->out_room) {
        const size_t room = need + need / 2;
        char *p = text != NULL && need <= QMP_OUTPUT_MAX ? realloc(c->out, room) : NULL;
        if (p == NULL) {
            free(text);
            drop(c);
            return;
        }
        c->out = p;
        c->out_room = room;
    }
    if (text != NULL) {
        memcpy(c->out + c->n_out, text, n);
        memcpy(c->out + c->n_out + n, "\r\n", 2);
        c->n_out += n + 2;
    }
    free(text);
    flush(c);
}

static json_t *
now(void)
{
    const uint64_t ns = nondet_wall_ns();
    return json_pack("{sIsI}", "seconds", (json_int_t)(ns / 1000000000), "microseconds", (json_int_t)(ns / 1000 % 1000000));
}

void
qmp_event(struct qmp *q, const char *name, json_t *data)
{
    for (unsigned i = 0; i < QMP_CLIENTS_MAX; i++) {
        struct qmp_client *c = &q->clients[i];
        if (c->q != NULL && c->negotiated && !c->ended) {
            json_t *v = json_pack("{soss}", "timestamp", now(), "event", name);
            if (data != NULL) {
                json_object_set(v, "data", data);
            }
            put(c, v);
        }
    }
    json_decref(data);
}

void
qmp_tell_state(struct qmp *q)
{
    const bool paused = machine_is_paused(q->m);
    if (paused != q->told_paused) {
        q->told_paused = paused;
        qmp_event(q, paused ? "STOP" : "RESUME", NULL);
    }
}

void
qmp_tell_end(struct qmp *q, bool reset, bool guest, const char *reason)
{
    if (q != NULL) {
        qmp_event(q, reset ? "RESET" : "SHUTDOWN", json_pack("{sbss}", "guest", guest, "reason", reason));
    }
}

/* ---- input ---- */

static void
answer(struct qmp_client *c, const json_t *id, const struct qmp_answer *a)
{
    json_t *v = a->error != NULL ? json_pack("{s{ssss}}", "error", "class", a->error, "desc", a->text)
                                 : json_pack("{so}", "return", a->value);
    if (v != NULL && id != NULL) {
        json_object_set(v, "id", (json_t *)(uintptr_t)id);
    }
    put(c, v);
}

static void
refuse(struct qmp_answer *a, const char *error, const char *text)
{
    a->error = error;
    size_t n = strlen(text);
    n = n < sizeof a->text ? n : sizeof a->text - 1;
    memcpy(a->text, text, n);
    a->text[n] = 0;
}

/* What a request must look like. True: it does. */
static bool
well_formed(json_t *v, struct qmp_answer *a)
{
    if (!json_is_object(v)) {
        refuse(a, "GenericError", "QMP input must be a JSON object");
        return false;
    }
    const char *key;
    json_t *value;
    json_object_foreach (v, key, value) {
        if (strcmp(key, "execute") == 0 && !json_is_string(value)) {
            refuse(a, "GenericError", "QMP input member 'execute' must be a string");
            return false;
        }
        if (strcmp(key, "arguments") == 0 && !json_is_object(value)) {
            refuse(a, "GenericError", "QMP input member 'arguments' must be an object");
            return false;
        }
        if (strcmp(key, "execute") != 0 && strcmp(key, "arguments") != 0 && strcmp(key, "id") != 0) {
            refuse(a, "GenericError", "QMP input has a member that is unexpected");
            return false;
        }
    }
    if (json_object_get(v, "execute") == NULL) {
        refuse(a, "GenericError", "QMP input lacks member 'execute'");
        return false;
    }
    return true;
}

static void
request(struct qmp_client *c, const char *text, size_t n)
{
    struct qmp_answer a = {0};
    json_t *v = json_loadb(text, n, JSON_DECODE_ANY | JSON_REJECT_DUPLICATES, NULL);
    json_t *id = NULL;
    if (v == NULL) {
        refuse(&a, "GenericError", "JSON parse error");
    } else {
        id = json_object_get(v, "id"); /* NULL if it is no object */
        if (well_formed(v, &a)) {
            const char *name = json_string_value(json_object_get(v, "execute"));
            const bool negotiates = strcmp(name, "qmp_capabilities") == 0;
            if (negotiates && c->negotiated) {
                refuse(&a, "CommandNotFound", "Capabilities negotiation is already complete, command ignored");
            } else if (negotiates) {
                c->negotiated = true; /* there are none to be enabled */
                a.value = json_object();
            } else if (!c->negotiated) {
                refuse(&a, "CommandNotFound", "Expecting capabilities negotiation with 'qmp_capabilities'");
            } else {
                qmp_command(c->q, name, json_object_get(v, "arguments"), &a);
            }
        }
    }
    if (c->q != NULL) { /* an event may have sent it away */
        answer(c, id, &a);
    } else {
        json_decref(a.value);
    }
    json_decref(v);
}

static void
requests(struct qmp_client *c)
{
    for (size_t n; c->q != NULL && (n = qmp_scan(c)) > 0;) {
        request(c, c->in, n);
        memmove(c->in, c->in + n, c->n_in - n);
        c->n_in -= n;
        memset(&c->scan, 0, sizeof c->scan);
    }
    if (c->q != NULL && c->n_in == sizeof c->in) {
        struct qmp_answer a = {0};
        refuse(&a, "GenericError", "JSON parse error: the command is too long");
        c->ended = true;
        answer(c, NULL, &a);
    }
}

static void
client_ready(void *arg, uint32_t events)
{
    struct qmp_client *c = arg;
    if ((events & EPOLLOUT) && !flush(c)) {
        return;
    }
    if (!(events & (EPOLLIN | EPOLLHUP | EPOLLERR))) {
        return;
    }
    const ssize_t n = recv(c->fd.fd, c->in + c->n_in, sizeof c->in - c->n_in, MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
        return;
    }
    if (n <= 0) {
        drop(c);
        return;
    }
    c->n_in += (size_t)n;
    requests(c);
}

static void
listener_ready(void *arg, uint32_t events)
{
    (void)events;
    struct qmp *q = ((struct qmp_listener *)arg)->q;
    const int fd = accept4(((struct qmp_listener *)arg)->fd.fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd < 0) {
        return;
    }
    for (unsigned i = 0; i < QMP_CLIENTS_MAX; i++) {
        struct qmp_client *c = &q->clients[i];
        if (c->q == NULL) {
            memset(c, 0, offsetof(struct qmp_client, in));
            memset(&c->scan, 0, sizeof c->scan);
            c->n_in = 0;
            c->fd = (struct loop_fd){.fd = fd, .ready = client_ready, .arg = c};
            if (loop_add(q->m->loop, &c->fd, EPOLLIN) < 0) {
                break;
            }
            c->q = q;
            put(c, json_pack("{s{sos[]}}", "QMP", "version", qmp_version(), "capabilities"));
            return;
        }
    }
    close(fd);
}

/* ---- ---- */

static void
machine_changed(void *arg, bool runs)
{
    (void)runs;
    thread_wake(((struct qmp *)arg)->changed.fd);
}

static void
changed_ready(void *arg, uint32_t events)
{
    (void)events;
    struct qmp *q = arg;
    uint64_t n;
    if (read(q->changed.fd, &n, sizeof n) > 0) {
        qmp_tell_state(q);
    }
}

struct qmp *
qmp_new(struct machine *m, const int *listeners, unsigned n_listeners, struct err *e)
{
    CHECK(n_listeners <= QMP_LISTENERS_MAX);
    struct qmp *q = calloc(1, sizeof *q);
    if (q == NULL) {
        err_set(e, -ENOMEM, "control socket");
        return NULL;
    }
    q->m = m;
    q->told_paused = machine_is_paused(m);
    q->changed = (struct loop_fd){.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), .ready = changed_ready, .arg = q};
    if (q->changed.fd < 0 || loop_add(m->loop, &q->changed, EPOLLIN) < 0) {
        goto undo;
    }
    for (; q->n_listeners < n_listeners; q->n_listeners++) {
        struct qmp_listener *l = &q->listeners[q->n_listeners];
        *l = (struct qmp_listener){q, {.fd = listeners[q->n_listeners], .ready = listener_ready, .arg = l}};
        if (loop_add(m->loop, &l->fd, EPOLLIN) < 0) {
            goto undo;
        }
    }
    q->watch = (struct machine_watch){.changed = machine_changed, .arg = q};
    machine_watch(m, &q->watch);
    return q;

undo:
    err_set(e, -errno, "control socket");
    if (q->changed.fd >= 0) {
        close(q->changed.fd);
    }
    free(q);
    return NULL;
}

void
qmp_free(struct qmp *q)
{
    if (q == NULL) {
        return;
    }
    for (unsigned i = 0; i < QMP_CLIENTS_MAX; i++) {
        struct qmp_client *c = &q->clients[i];
        struct pollfd p = {.fd = c->fd.fd, .events = POLLOUT};
        while (c->q != NULL && flush(c) && c->n_out > 0 && poll(&p, 1, LAST_MS) > 0) {
        }
        if (c->q != NULL) {
            drop(c);
        }
    }
    for (unsigned i = 0; i < q->n_listeners; i++) {
        loop_remove(q->m->loop, &q->listeners[i].fd);
    }
    machine_unwatch(q->m, &q->watch);
    loop_remove(q->m->loop, &q->changed);
    close(q->changed.fd);
    free(q);
}
