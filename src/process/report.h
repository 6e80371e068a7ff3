/*
 * report.h - what is said when a process ends: the state that was asked for, or a bug of ours
 */
#ifndef DOPPEL_REPORT_H
#define DOPPEL_REPORT_H

struct task;

/* A CHECK that fails, and a fault of the monitor's own, say what the guest was doing. Once, at start. */
void report_init(void);

/* At the end: --dump-state, the hart from its field table; --stats; doppel prof. */
void report_end(struct task *t);

#endif
