/*
 * qmp.h - the control sockets of a machine: they speak QMP, as QEMU's do
 *
 * QMP specification 1.x (QEMU, docs/interop/qmp-spec): JSON, a greeting, capabilities, commands with ids, events. A socket that listens
 * was opened by who made the machine; clients come and go.
 *
 * Threads: all on the I/O thread.
 * Trust: whoever may open the socket may do to the machine what its user may; but what he sends is checked as a stranger's, and bounded.
 */
#ifndef DOPPEL_QMP_H
#define DOPPEL_QMP_H

#include "base/err.h"

#include <stdbool.h>

struct machine;
struct qmp;

/* listeners: ref, each a socket that listens, without blocking. NULL with *e on failure. */
struct qmp *qmp_new(struct machine *m, const int *listeners, unsigned n_listeners, struct err *e);

/* A line of the monitor for people, about hart `cpu`. What it prints, own; NULL if there is no memory. */
char *qmp_hmp(struct qmp *q, const char *line, unsigned cpu);

/* What is still to be sent is sent, as far as that does not block for long. NULL is nothing. */
void qmp_free(struct qmp *q);

/* The machine has ended, or begins anew: event SHUTDOWN or RESET. NULL is nothing. */
void qmp_tell_end(struct qmp *q, bool reset, bool guest, const char *reason);

#endif
