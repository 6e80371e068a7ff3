/*
 * procfs_impl.h - between procfs.c, which says what a file of /proc is, and procfs_text.c, which writes it
 */
#ifndef DOPPEL_PROCFS_IMPL_H
#define DOPPEL_PROCFS_IMPL_H

#include "process/vfs_impl.h"

/* Text on its way into a descriptor. */
struct proc_text {
    int fd;
    size_t len;
    char buf[8192];
};

/* Write the contents of at->node into the descriptor. 0 or -errno. */
int64_t procfs_write(struct task *t, const struct vfs_at *at, struct proc_text *out);

#endif
