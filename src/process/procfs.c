/*
 * procfs.c - the files of /proc that would show the monitor
 */
#include "process/vfs_impl.h"

bool
procfs_name(const char *name)
{
    (void)name;
    return false;
}
enum proc_node
procfs_classify(const struct vfs *v, int dirfd, const char *name, int *pid)
{
    (void)v;
    (void)dirfd;
    (void)name;
    (void)pid;
    return PROC_PLAIN;
}
int64_t
procfs_follow(struct vfs *v, int dirfd, const char *name, enum proc_node node, int pid)
{
    (void)v;
    (void)dirfd;
    (void)name;
    (void)pid;
    (void)node;
    return -2;
}
int64_t
procfs_readlink(struct task *t, const struct vfs_at *at, char *buf, size_t cap)
{
    (void)t;
    (void)at;
    (void)buf;
    (void)cap;
    return -2;
}
int64_t
procfs_open(struct task *t, const struct vfs_at *at, int flags)
{
    (void)t;
    (void)at;
    (void)flags;
    return -2;
}
