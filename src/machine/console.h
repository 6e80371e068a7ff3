/*
 * console.h - the terminal, or what stands in its place, behind a machine's serial line
 *
 * On a terminal: raw, but for Ctrl-A, which begins a command of ours (Ctrl-A h lists them). Elsewhere: bytes as they come. What the
 * guest writes is never lost, and never holds up a timer: output that nobody takes waits in its ring, and the guest for it.
 *
 * Threads: all on the I/O thread, but for console_restore().
 */
#ifndef DOPPEL_CONSOLE_H
#define DOPPEL_CONSOLE_H

#include "base/err.h"
#include "base/loop.h"
#include "device/chardev.h"

#include <stdbool.h>

enum console_command { CONSOLE_QUIT, CONSOLE_RESET };

struct console_config {
    int in, out; /* ref: descriptors; in may be -1 */
    int out_own; /* own: console_reopen(out) */
    int log;     /* ref: what is shown is written there, too; or -1 */
    bool escape; /* in is a terminal: make it raw, and look for Ctrl-A */
    void (*command)(void *arg, enum console_command c);
    char *(*monitor)(void *arg, const char *line); /* Ctrl-A c: does it; what it says is own, or NULL */
    void *arg;
};

struct console;

/*
 * A description of our own of what `out` is, or -1: O_NONBLOCK on that of the shell's would be for all that share it. Sockets cannot be
 * opened so.
 */
int console_reopen(int out);

struct console *console_new(struct loop *loop, struct chardev *line, const struct console_config *cfg, struct err *e);

/* What is still to be shown is shown, as far as that does not block for long; the terminal is as it was before. */
void console_free(struct console *c);

/* The terminal is as it was before, at once: for a handler of signals, or when doppel ends. Async-signal-safe. */
void console_restore(void);

/* SIGTSTP: the terminal is as it was, the process stands until SIGCONT. SIGCONT: raw again, if the terminal is ours. On the I/O thread. */
void console_stop(void);
void console_continue(void);

#endif
