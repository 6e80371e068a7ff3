/*
 * vfs_work.h - what the unit tests of vfs share: a scratch directory, and a task that sees files through a view
 */
#ifndef DOPPEL_TESTS_VFS_WORK_H
#define DOPPEL_TESTS_VFS_WORK_H

#include "process/vfs.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char work[64]; /* the directory's path */

static inline bool
work_make(void)
{
    strcpy(work, "/var/tmp/doppel-vfs-XXXXXX");
    return mkdtemp(work) != NULL;
}

/* For cmocka: after all tests. */
static inline int
work_remove(void **state)
{
    (void)state;
    char cmd[256];
    snprintf(cmd, sizeof cmd, "chmod -R u+rwx %s 2>/dev/null; rm -rf %s", work, work);
    return system(cmd);
}

static inline struct task *
new_task(const struct vfs_config *c)
{
    struct task *t = calloc(1, sizeof *t);
    struct process *p = calloc(1, sizeof *p);
    struct err e;
    t->proc = p;
    if (vfs_new(&p->vfs, c, &e) < 0) {
        fprintf(stderr, "vfs_new: %s\n", e.text);
        abort();
    }
    return t;
}

#endif
