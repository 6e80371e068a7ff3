/*
 * debugger.h - a debugger at a machine; see debugger.c
 */
#ifndef DOPPEL_DEBUGGER_H
#define DOPPEL_DEBUGGER_H

#include "debug/gdb.h"
#include "machine/machine_impl.h"

/*
 * On the I/O thread, before the machine runs and after it has ended. listener: a socket, the caller's. stopped: the machine stands from the
 * beginning until a debugger lets it go. NULL and *e if it fails.
 */
struct debugger *debugger_new(struct machine *m, int listener, bool stopped, struct err *e);
void debugger_free(struct debugger *d);

/* By the hart's thread: it has come to something, and goes to stand with the others. */
void debugger_hit(struct machine_hart *h, enum gdb_why why, int signal);

/* By the hart's thread, if its action is GDB_STAY: wait until that may be another. True: the machine is held, or ends. */
bool debugger_stays(struct machine_hart *h);

#endif
