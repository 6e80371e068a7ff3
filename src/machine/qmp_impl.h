/*
 * qmp_impl.h - what the files of the control sockets share
 */
#ifndef DOPPEL_QMP_IMPL_H
#define DOPPEL_QMP_IMPL_H

#include "machine/machine_impl.h"
#include "machine/qmp.h"

#include <jansson.h>
#include <stdint.h>

#define QMP_LISTENERS_MAX 4
#define QMP_CLIENTS_MAX   16
#define QMP_INPUT_MAX     (64u << 10)  /* bytes of one command */
#define QMP_OUTPUT_MAX    (4u << 20)   /* what waits for a client that does not read, before he is sent away */

struct qmp_client {
    struct qmp *q; /* ref; NULL: the place is free */
    struct loop_fd fd; /* own */
    bool negotiated; /* in command mode: it gets events */
    bool ended;      /* no more input; it is gone when all has been sent */
    bool waits;      /* for room, by epoll */
    char in[QMP_INPUT_MAX];
    size_t n_in;
    struct {         /* where the value that is being received ends: see qmp_scan() */
        size_t at;
        unsigned depth;
        bool string, escape, begun;
    } scan;
    char *out;       /* own */
    size_t n_out, out_room;
};

struct qmp {
    struct machine *m; /* ref */
    struct qmp_listener {
        struct qmp *q; /* ref */
        struct loop_fd fd; /* ref: the descriptor */
    } listeners[QMP_LISTENERS_MAX];
    unsigned n_listeners;
    struct qmp_client clients[QMP_CLIENTS_MAX];
    struct machine_watch watch;
    struct loop_fd changed; /* own: an eventfd, by `watch` */
    bool told_paused;       /* what clients know */
    bool holds;             /* the machine, by "stop" */
};

/* An answer: `value` (own: the caller takes it), or an error of a class. */
struct qmp_answer {
    json_t *value;
    const char *error; /* a class, or NULL */
    char text[256];
};

/* qmp_commands.c: do it. `args` may be NULL. */
void qmp_command(struct qmp *q, const char *name, json_t *args, struct qmp_answer *a);
json_t *qmp_version(void);

/* What the monitor for people (qmp_hmp.c) shares with that for programs. */
void qmp_stop(struct qmp *q);
void qmp_cont(struct qmp *q);
void qmp_quit(struct qmp *q);
void qmp_reset(struct qmp *q);
void qmp_powerdown(struct qmp *q);
const char *qmp_status(const struct qmp *q);
json_t *qmp_stats(struct qmp *q);

/* qmp.c: an event for everybody; takes `data`, which may be NULL. Then the state, if it has changed. */
void qmp_event(struct qmp *q, const char *name, json_t *data);
void qmp_tell_state(struct qmp *q);

/* Does a value end in the n bytes at in? Its end, or 0. Goes on where it stopped. */
size_t qmp_scan(struct qmp_client *c);

#endif
