/*
 * procfs_publish.c - what the host's /proc shows of a guest process to others
 *
 * The kernel is told where the guest's arguments and environment are, so that ps(1) and the guest's own other processes see
 * them. It is not told of the guest's brk: that is the monitor's heap. Nor of the auxiliary vector, which is longer than an
 * x86-64 kernel keeps. prctl(2), PR_SET_MM_MAP.
 */
#include "process/vfs_impl.h"

#include <linux/prctl.h>

void
procfs_publish(struct task *t, const char *comm)
{
    const struct process *p = t->proc;
    uint64_t brk = (uint64_t)host_syscall(SYS_brk, 0);
    const struct prctl_mm_map m = {
        .start_code = (uintptr_t)g2h(p->vdso),
        .end_code = (uintptr_t)g2h(p->vdso) + 1,
        .start_data = (uintptr_t)g2h(p->vdso),
        .end_data = (uintptr_t)g2h(p->vdso),
        .start_brk = brk,
        .brk = brk,
        .start_stack = (uintptr_t)g2h(t->hart.x[2]),
        .arg_start = (uintptr_t)g2h(p->arg_start),
        .arg_end = (uintptr_t)g2h(p->arg_end),
        .env_start = (uintptr_t)g2h(p->env_start),
        .env_end = (uintptr_t)g2h(p->env_end),
        .exe_fd = (uint32_t)-1,
    };
    vfs_of(t)->published = host_syscall(SYS_prctl, PR_SET_MM, PR_SET_MM_MAP, &m, sizeof m, 0) == 0;
    host_syscall(SYS_prctl, PR_SET_NAME, comm);
}
