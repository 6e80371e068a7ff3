/*
 * debug.h - a debugger at a guest process (doppel run -g); see debug.c
 *
 * struct process.debug is NULL where there is none, and then nothing here is called but by those who ask.
 */
#ifndef DOPPEL_DEBUG_H
#define DOPPEL_DEBUG_H

#include "process/task.h"

/* The debugger that is connected at p->opt->gdb_fd has the process, before its first instruction; returns when that is to come. */
int debug_begin(struct task *t, struct err *e);

/* engine_run(), as the debugger will have it: EXIT_BUDGET after what was its own business. */
struct engine_exit debug_engine_run(struct task *t);

/* A signal is about to be delivered; within a hold. False: it is not; else *info may be another. */
bool debug_signal(struct task *t, siginfo_t *info);

/* From the host's handler of SIGTRAP: it was for us. */
bool debug_host_signal(struct task *t, const siginfo_t *info, void *ucontext);

/* The thread ends; the process ends, with this code, or by this signal. */
void debug_thread_ends(struct task *t);
void debug_process_ends(struct task *t, int code, int signal);

/* In a child: it is nobody's. */
void debug_child(struct task *t, bool shares_memory);

#endif
