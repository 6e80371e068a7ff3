/*
 * procfs.h - /proc as the guest must see it
 *
 * Most of /proc is the host's. What would show the monitor instead of the guest is made here, whatever way the file was
 * reached (by path, by a descriptor of a directory, through a symbolic link): /proc/PID/{exe, maps, cmdline, environ,
 * auxv, status, stat, mounts, mountinfo, root, cwd, fd} of this process and its threads, and /proc/cpuinfo.
 *
 * Files of other guest processes are right without our doing: procfs_publish() gives the host kernel the guest's
 * argument, environment and auxiliary vectors (PR_SET_MM_MAP), and the comm is the guest's (PR_SET_NAME).
 */
#ifndef DOPPEL_PROCFS_H
#define DOPPEL_PROCFS_H

#include "process/vfs.h"

/*
 * Tell the host kernel where the new program's vectors are, and its name, so that /proc/PID of this process shows the
 * guest to every process of the host. exec.c calls it once the stack is made. Failure is of no consequence.
 */
void procfs_publish(struct task *t, const char *comm);

/* The open file of the new program, for /proc/PID/exe; a copy is kept until the next one. */
void procfs_set_exe(struct task *t, int fd);

#endif
