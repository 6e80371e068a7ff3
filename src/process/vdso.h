/*
 * vdso.h - the guest's vDSO (guests/vdso.S)
 */
#ifndef DOPPEL_VDSO_H
#define DOPPEL_VDSO_H

#include "base/err.h"
#include "process/task.h"

/* Map it into a new process; sets p->vdso and p->vdso_sigreturn. 0, or -errno and *e. */
int vdso_map(struct process *p, struct err *e);

#endif
