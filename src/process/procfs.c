/*
 * procfs.c - the files of /proc that would show the monitor
 *
 * proc(5). Which file of procfs is meant is told from the directory's own host path, so it does not matter how the guest
 * came there. Links (exe, cwd, root, fd/N) are answered here and never followed by the host on a walk: what they lead to
 * may lie outside of the root. Files are written into a memfd at open; each open sees the state of its moment.
 *
 * Other guest processes: exe is found through a descriptor that each keeps under the number vfs_fd_top() + OWN_FD_EXE;
 * arguments and environment are the guest's because the kernel was told (procfs_publish.c).
 *
 * Threads: any. procfs_text.c has the contents.
 */
#include "process/procfs_impl.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

static const struct {
    const char *name;
    enum proc_node node;
    bool top; /* in /proc itself, else in a process's directory */
} nodes[] = {
    {"exe", PROC_EXE, false},
    {"cwd", PROC_CWD, false},
    {"root", PROC_ROOT, false},
    {"maps", PROC_MAPS, false},
    {"smaps", PROC_SMAPS, false},
    {"auxv", PROC_AUXV, false},
    {"cmdline", PROC_CMDLINE, false},
    {"environ", PROC_ENVIRON, false},
    {"status", PROC_STATUS, false},
    {"mounts", PROC_MOUNTS, false},
    {"mountinfo", PROC_MOUNTINFO, false},
    {"cpuinfo", PROC_CPUINFO, true},
};

static bool
is_number(const char *s)
{
    size_t n = strspn(s, "0123456789");
    return n > 0 && n < 10 && s[n] == '\0';
}

static int
find_node(const char *name)
{
    for (size_t i = 0; i < sizeof nodes / sizeof nodes[0]; i++) {
        if (strcmp(nodes[i].name, name) == 0) {
            return (int)i;
        }
    }
    return -1;
}

bool
procfs_name(const char *name)
{
    return is_number(name) || find_node(name) >= 0;
}

/* The directory of a process or thread is this process's. */
bool
procfs_is_own(int pid)
{
    char path[PROC_PATH_MAX];
    if (pid == (int)host_syscall(SYS_getpid)) {
        return true;
    }
    snprintf(path, sizeof path, "/proc/self/task/%d", pid);
    return host_syscall(SYS_faccessat2, AT_FDCWD, path, F_OK, 0) == 0;
}

/*
 * Where in procfs a directory is: "" for /proc; for /proc/PID/X and /proc/PID/task/TID/X it is X, with *pid set. False
 * if it is none of procfs that we know.
 */
static bool
locate(int dirfd, char path[PATH_MAX], const char **where, int *pid)
{
    int n;
    *pid = 0;
    if (vfs_host_path(dirfd, path) < 0 || strncmp(path, "/proc", 5) != 0 || (path[5] != '/' && path[5] != '\0')) {
        return false;
    }
    const char *p = path + 5;
    if (sscanf(p, "/%d%n", pid, &n) == 1) {
        p += n;
        int tid;
        if (sscanf(p, "/task/%d%n", &tid, &n) == 1) {
            p += n;
        }
    }
    *where = p;
    return true;
}

/* Process `pid` is a doppel: its exe is ours. */
static bool
is_guest(int pid)
{
    char path[PROC_PATH_MAX];
    struct stat a, b;
    snprintf(path, sizeof path, "/proc/%d/exe", pid);
    return host_syscall(SYS_newfstatat, AT_FDCWD, path, &a, 0) == 0 &&
           host_syscall(SYS_newfstatat, AT_FDCWD, "/proc/self/exe", &b, 0) == 0 && a.st_dev == b.st_dev &&
           a.st_ino == b.st_ino;
}

enum proc_node
procfs_classify(const struct vfs *v, int dirfd, const char *name, int *pid)
{
    char path[PATH_MAX];
    const char *where;
    int i = find_node(name);
    bool number = is_number(name);
    if ((i < 0 && !number && strlen(name) > 20) || !locate(dirfd, path, &where, pid)) {
        return PROC_PLAIN;
    }
    if (*pid != 0 && number && (strcmp(where, "/fd") == 0 || strcmp(where, "/fdinfo") == 0)) {
        if (atoi(name) >= v->top) {
            return PROC_HIDDEN;
        }
        return strcmp(where, "/fd") == 0 ? PROC_FD : PROC_PLAIN;
    }
    if (*pid != 0 && strcmp(where, "/ns") == 0) {
        return PROC_MAGIC;
    }
    if (i < 0 || where[0] != '\0' || nodes[i].top != (*pid == 0)) {
        return PROC_PLAIN;
    }
    bool own = *pid != 0 && procfs_is_own(*pid);
    switch (nodes[i].node) {
    case PROC_MAPS:
        return own || is_guest(*pid) ? PROC_MAPS : PROC_PLAIN;
    case PROC_SMAPS:
    case PROC_AUXV:
        return own ? nodes[i].node : PROC_PLAIN;
    case PROC_CMDLINE:
    case PROC_ENVIRON:
        return own && !v->published ? nodes[i].node : PROC_PLAIN;
    case PROC_STATUS:
        return v->fake ? PROC_STATUS : PROC_PLAIN;
    case PROC_MOUNTS:
    case PROC_MOUNTINFO:
        return v->view == VIEW_USER ? nodes[i].node : PROC_PLAIN;
    case PROC_PLAIN:
    case PROC_HIDDEN:
    case PROC_EXE:
    case PROC_CWD:
    case PROC_ROOT:
    case PROC_FD:
    case PROC_MAGIC:
    case PROC_CPUINFO:
        break;
    }
    return nodes[i].node;
}

/* Host path of the link that tells a process's program. */
static void
exe_link(const struct vfs *v, int pid, char path[PROC_PATH_MAX])
{
    if (procfs_is_own(pid)) {
        snprintf(path, PROC_PATH_MAX, "/proc/self/fd/%d", v->top + OWN_FD_EXE);
    } else if (is_guest(pid)) {
        snprintf(path, PROC_PATH_MAX, "/proc/%d/fd/%d", pid, v->top + OWN_FD_EXE);
    } else {
        snprintf(path, PROC_PATH_MAX, "/proc/%d/exe", pid);
    }
}

int64_t
procfs_follow(struct vfs *v, int dirfd, const char *name, enum proc_node node, int pid)
{
    char path[PROC_PATH_MAX], text[PATH_MAX];
    int64_t fd;
    bool inside;
    if (node == PROC_ROOT && v->view == VIEW_USER) {
        return host_syscall(SYS_fcntl, v->root, F_DUPFD_CLOEXEC, 0);
    }
    if (node == PROC_EXE) {
        exe_link(v, pid, path);
        fd = host_syscall(SYS_openat, AT_FDCWD, path, O_PATH | O_CLOEXEC);
    } else {
        fd = host_syscall(SYS_openat, dirfd, name, O_PATH | O_CLOEXEC);
    }
    if (fd < 0 || v->view != VIEW_USER || procfs_is_own(pid) || vfs_host_path((int)fd, text) < 0) {
        return fd;
    }
    /* What another process has open need not be in our root; what has no path is nowhere. */
    vfs_mount_of(v, text, &inside);
    if (text[0] == '/' && !inside) {
        host_syscall(SYS_close, fd);
        return -EACCES;
    }
    return fd;
}

/* The guest's text for what the host calls `host`. */
static void
translate(const struct vfs *v, char host[PATH_MAX])
{
    static const char ours[] = "/memfd:doppel:", gone[] = " (deleted)";
    char guest[PATH_MAX];
    size_t len = strlen(host);
    if (strncmp(host, ours, sizeof ours - 1) == 0) {
        if (len > sizeof gone && strcmp(host + len - (sizeof gone - 1), gone) == 0) {
            host[len - (sizeof gone - 1)] = '\0';
        }
        memmove(host, host + sizeof ours - 1, strlen(host + sizeof ours - 1) + 1);
    } else if (v->view == VIEW_USER && host[0] == '/' && vfs_guest_path(v, host, guest)) {
        strcpy(host, guest);
    }
}

int64_t
procfs_readlink(struct task *t, const struct vfs_at *at, char *buf, size_t cap)
{
    struct vfs *v = vfs_of(t);
    char text[PATH_MAX], path[PROC_PATH_MAX];
    int64_t n;
    if (at->node == PROC_EXE && procfs_is_own(at->pid) && t->proc->exe_path[0] != '\0') {
        strcpy(text, t->proc->exe_path);
    } else if (at->node == PROC_ROOT && v->view == VIEW_USER) {
        strcpy(text, "/");
    } else {
        if (at->node == PROC_EXE) {
            exe_link(v, at->pid, path);
            n = host_syscall(SYS_readlinkat, AT_FDCWD, path, text, sizeof text - 1);
        } else {
            n = host_syscall(SYS_readlinkat, at->dir, at->name, text, sizeof text - 1);
        }
        if (n < 0) {
            return n;
        }
        text[n] = '\0';
        translate(v, text);
    }
    size_t len = strlen(text);
    memcpy(buf, text, len < cap ? len : cap);
    return (int64_t)(len < cap ? len : cap);
}

int64_t
procfs_open(struct task *t, const struct vfs_at *at, int flags)
{
    char dir[PATH_MAX], name[PATH_MAX + 64];
    if ((flags & O_ACCMODE) != O_RDONLY) {
        return -EACCES;
    }
    if (flags & O_DIRECTORY) {
        return -ENOTDIR;
    }
    if (flags & O_PATH) {
        return host_syscall(SYS_openat, at->dir, at->name, flags | O_NOFOLLOW);
    }
    struct proc_text text = {.fd = -1};
    int64_t r = vfs_host_path(at->dir, dir);
    if (r < 0) {
        return r;
    }
    snprintf(name, sizeof name, "doppel:%.200s/%.40s", dir, at->name);
    int64_t fd = host_syscall(SYS_memfd_create, name, MFD_CLOEXEC);
    if (fd < 0) {
        return fd;
    }
    text.fd = (int)fd;
    r = procfs_write(t, at, &text);
    /* A descriptor that cannot write, under the same number. */
    snprintf(name, sizeof name, "/proc/self/fd/%d", (int)fd);
    int64_t reader = r < 0 ? r : host_syscall(SYS_openat, AT_FDCWD, name, O_RDONLY | O_CLOEXEC);
    if (reader >= 0) {
        r = host_syscall(SYS_dup3, reader, fd, flags & O_CLOEXEC);
        host_syscall(SYS_close, reader);
    } else {
        r = reader;
    }
    if (r < 0) {
        host_syscall(SYS_close, fd);
    }
    return r;
}

void
procfs_set_exe(struct task *t, int fd)
{
    struct vfs *v = vfs_of(t);
    host_syscall(SYS_dup3, fd, v->top + OWN_FD_EXE, O_CLOEXEC);
}

int64_t
procfs_hide_entries(const struct vfs *v, int fd, char *buf, int64_t n)
{
    struct entry { /* struct linux_dirent64 */
        uint64_t ino;
        int64_t off;
        uint16_t len;
        uint8_t type;
        char name[];
    };
    struct stat st;
    char path[PATH_MAX];
    const char *where;
    int pid;
    if (n <= 0 || host_syscall(SYS_fstat, fd, &st) < 0 || st.st_dev != v->proc_dev ||
        !locate(fd, path, &where, &pid) || (strcmp(where, "/fd") != 0 && strcmp(where, "/fdinfo") != 0)) {
        return n;
    }
    int64_t kept = 0;
    for (int64_t at = 0; at < n;) {
        struct entry *e = (struct entry *)(buf + at);
        uint16_t len = e->len;
        at += len;
        if (!is_number(e->name) || atoi(e->name) < v->top) {
            memmove(buf + kept, e, len);
            kept += len;
        }
    }
    return kept;
}
