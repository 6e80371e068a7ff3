/*
 * prof.h - the report of doppel prof
 */
#ifndef DOPPEL_PROF_H
#define DOPPEL_PROF_H

#include "process/task.h"

#include <stdio.h>

/*
 * At the end of a program, or before execve puts another in its place: what was executed since its start, or since the fork that made
 * the process. Nothing if it is not profiled; a vfork child is part of its maker.
 */
void prof_report(struct task *t);

/*
 * prof_svg.c: add this program to the flame graph in the file. Other processes may do so at the same time: a lock is taken.
 * 0, or -errno.
 */
int prof_svg_add(int fd, const char *program, const struct engine_profile *p);

/* A function's name for a reader. */
const char *prof_name(const struct engine_profile *p, uint32_t function);

#endif
