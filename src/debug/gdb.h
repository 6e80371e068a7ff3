/*
 * gdb.h - GDB's remote serial protocol: what a debugger says over a connection, in terms of threads, registers and memory
 *
 *      socket ──bytes──► gdb_input ──► gdb_ops: the process's or the machine's      what it shall do
 *             ◄─bytes─── gdb_output ◄── answers, gdb_stopped()                      what has happened
 *
 * All-stop: either all threads are stopped and the debugger asks, or some of them run and it waits for gdb_stopped(). Numbers of signals
 * are riscv64 Linux's on the owner's side.
 *
 * "Debugging with GDB", appendices "GDB Remote Serial Protocol" and "Target Descriptions" (RISC-V Features).
 * Threads: one at a time. Trust: the debugger's bytes are checked; who may connect decides what is done in the user's name.
 */
#ifndef DOPPEL_GDB_H
#define DOPPEL_GDB_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Registers, as the target description numbers them. */
enum {
    GDB_REG_X = 0,
    GDB_REG_PC = 32,
    GDB_REG_F = 33,
    GDB_REG_CSR = 65, /* + the CSR's number; fflags, frm, fcsr are the first three */
    GDB_REG_PRIV = GDB_REG_CSR + 4096,
    GDB_REGS,
};

enum gdb_point { GDB_BREAK, GDB_WATCH_WRITE, GDB_WATCH_READ, GDB_WATCH_ACCESS };

/* What a thread does from gdb_ops.go() on. */
enum gdb_action { GDB_RUN, GDB_STEP, GDB_STAY };

enum gdb_why {
    GDB_SIGNAL,   /* `signal` came, or (SIGTRAP) a step is done; 0: nothing in particular */
    GDB_AT_BREAK, /* before the instruction */
    GDB_AT_WATCH, /* before the access; point and addr say which */
    GDB_EXITED,   /* `signal` is the exit code */
    GDB_KILLED,   /* by `signal` */
};

struct gdb_stop {
    enum gdb_why why;
    int signal;
    uint64_t thread;
    enum gdb_point point;
    uint64_t addr;
};

/*
 * The owner's. Threads have numbers from 1 on. All but `interrupt` are called while everything is stopped. False: there is
 * no such thing, or it cannot be done.
 */
struct gdb_ops {
    uint64_t pid;          /* what the debugger sees as the process's number */
    bool is_machine;       /* CSRs and privilege are registers, physical memory can be asked for; attached to, not started */
    uint64_t (*thread_next)(void *vm, uint64_t after); /* the least number above; 0: none */
    size_t (*thread_says)(void *vm, uint64_t thread, char *text, size_t size);
    bool (*reg_read)(void *vm, uint64_t thread, unsigned reg, uint64_t *v);
    bool (*reg_write)(void *vm, uint64_t thread, unsigned reg, uint64_t v);
    /* How many bytes, from the first on. physical: a machine's; otherwise as the thread sees it. */
    size_t (*mem_read)(void *vm, uint64_t thread, bool physical, uint64_t addr, void *to, size_t n);
    bool (*mem_write)(void *vm, uint64_t thread, bool physical, uint64_t addr, const void *from, size_t n);
    bool (*point)(void *vm, enum gdb_point kind, bool physical, uint64_t addr, uint64_t n, bool insert);
    void (*act)(void *vm, uint64_t thread, enum gdb_action a, int signal); /* signal: to be given to it; -1: none */
    void (*go)(void *vm); /* everything has been said: gdb_is_running() */
    void (*kill)(void *vm);
    void (*detach)(void *vm); /* all goes on without a debugger, points are gone */
    void (*interrupt)(void *vm); /* stop what runs */
    /* Bytes of what qXfer names: auxv, exec-file, siginfo. How many, from `off` on; -1: there is none such; -2: not now. May be NULL. */
    long (*object)(void *vm, uint64_t thread, const char *name, uint64_t off, void *to, size_t n);
    /* Step without taking interrupts (1) or with the timer stopped (2): a machine's; may be NULL. */
    void (*step_quietly)(void *vm, unsigned bits);
};

struct gdb;

/* A session with a debugger, stopped. `ops` lives longer. NULL if there is no memory. */
struct gdb *gdb_new(const struct gdb_ops *ops, void *vm, uint64_t thread);
void gdb_free(struct gdb *g);

/* Bytes have come. */
void gdb_input(struct gdb *g, const void *bytes, size_t n);

/* Bytes to be sent: their number, and where; good until the next call. gdb_sent(): so many of them are on the way. */
size_t gdb_output(const struct gdb *g, const void **bytes);
void gdb_sent(struct gdb *g, size_t n);

/* Has the debugger let it run, and heard of nothing since? */
bool gdb_is_running(const struct gdb *g);
/* It has detached, or killed what it debugged: there is nothing more to be said. */
bool gdb_is_over(const struct gdb *g);

/* Everything has stopped, or has ended. Only while it runs. */
void gdb_stopped(struct gdb *g, const struct gdb_stop *s);

/* Signals that the debugger does not want to hear of, bits n - 1. */
uint64_t gdb_passed_signals(const struct gdb *g);

/*
 * Where a debugger connects: PORT, HOST:PORT, tcp:HOST:PORT (an empty HOST is this machine, 127.0.0.1), or unix:PATH, /PATH; options behind a
 * comma are QEMU's, and of no matter. A listening socket, close-on-exec; -errno and *e.
 */
int gdb_listen(const char *where, struct err *e);
/* Wait for a debugger: the connection, close-on-exec; or -errno. */
int gdb_accept(int listening);

#endif
