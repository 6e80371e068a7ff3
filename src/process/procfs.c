/*
 * procfs.c - the files of /proc that would show the monitor
 *
 * proc(5). Which file of procfs is meant is told from the directory itself: the way up from it to procfs's root has as many
 * names as its path ends with. So it does not matter how the guest came there, nor where procfs is mounted, and each
 * mounted one says itself which process this is. Links (exe, cwd, root, fd/N) are answered here and never followed by the
 * host on a walk: what they lead to may lie outside of the root. Files are written into a memfd at open; each open sees
 * the state of its moment.
 *
 * Other guest processes: exe is found through a descriptor that each keeps under the number vfs_fd_edge() + OWN_FD_EXE;
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
#include <sys/statfs.h>
#include <sys/sysmacros.h>

static const struct {
    const char *name;
    enum proc_node node;
    const char *dir; /* below /proc; NULL: in a process's directory */
} nodes[] = {
    {"exe", PROC_EXE, NULL},
    {"cwd", PROC_CWD, NULL},
    {"root", PROC_ROOT, NULL},
    {"maps", PROC_MAPS, NULL},
    {"smaps", PROC_SMAPS, NULL},
    {"auxv", PROC_AUXV, NULL},
    {"cmdline", PROC_CMDLINE, NULL},
    {"environ", PROC_ENVIRON, NULL},
    {"status", PROC_STATUS, NULL},
    {"limits", PROC_LIMITS, NULL},
    {"syscall", PROC_SYSCALL, NULL},
    {"mounts", PROC_MOUNTS, NULL},
    {"mountinfo", PROC_MOUNTINFO, NULL},
    /* the host's mappings; a kernel may have neither */
    {"map_files", PROC_HIDDEN, NULL},
    {"numa_maps", PROC_HIDDEN, NULL},
    {"cpuinfo", PROC_CPUINFO, ""},
    {"version", PROC_VERSION, ""},
    {"osrelease", PROC_OSRELEASE, "/sys/kernel"},
    {"version", PROC_OSVERSION, "/sys/kernel"},
};

static bool
is_number(const char *s)
{
    size_t n = strspn(s, "0123456789");
    return n > 0 && n < 10 && s[n] == '\0';
}

/* The first from `i` on with this name, or -1. */
static int
find_node(const char *name, size_t i)
{
    for (; i < sizeof nodes / sizeof nodes[0]; i++) {
        if (nodes[i].name[0] == name[0] && strcmp(nodes[i].name, name) == 0) { /* each path's last name is asked for */
            return (int)i;
        }
    }
    return -1;
}

bool
procfs_name(const char *name)
{
    return is_number(name) || find_node(name, 0) >= 0;
}

bool
procfs_holds(const struct vfs *v, int fd, const struct stat *st)
{
    struct statfs sf;
    if (st->st_dev == v->proc_dev || v->view == VIEW_USER || major(st->st_dev) != 0) {
        return st->st_dev == v->proc_dev;
    }
    /* The guest, or who made the namespace, may have mounted another one. */
    char path[PROC_PATH_MAX] = "."; /* where fd is AT_FDCWD */
    if (fd >= 0) {
        snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    }
    return host_syscall(SYS_statfs, path, &sf) == 0 && sf.f_type == PROC_MAGIC_NUMBER;
}

#define UP_MAX 5 /* /proc/PID/task/TID/X */
#define UP_TEXT "../../../../.."

/* Process or thread `pid`, in the procfs whose root is `up` from dirfd, is this process or of it. */
static bool
is_own(int dirfd, const char *up, int pid)
{
    char path[sizeof UP_TEXT + PROC_PATH_MAX], text[16] = "";
    snprintf(path, sizeof path, "%s/self", up);
    if (host_syscall(SYS_readlinkat, dirfd, path, text, sizeof text - 1) > 0 && atoi(text) == pid) {
        return true;
    }
    snprintf(path, sizeof path, "%s/self/task/%d", up, pid);
    return host_syscall(SYS_faccessat2, dirfd, path, F_OK, 0) == 0;
}

/*
 * Where in procfs a directory is: "" for /proc; for /proc/PID/X and /proc/PID/task/TID/X it is X, with *pid set, PROC_OWN if
 * that is this process. False if it is none of procfs that we know.
 */
static bool
locate(const struct vfs *v, int dirfd, char path[PATH_MAX], const char **where, int *pid)
{
    struct stat st, above;
    int n, up = 0;
    *pid = 0;
    if (host_syscall(SYS_newfstatat, dirfd, "", &st, AT_EMPTY_PATH) < 0 || !procfs_holds(v, dirfd, &st)) {
        return false;
    }
    n = vfs_host_path(dirfd, path);
    if (n < 0) {
        return false;
    }
    const char *p = path + (strcmp(path, "/") == 0 ? 0 : n);
    for (above = st; above.st_ino != PROC_ROOT_INO; up++) {
        while (p > path && *--p != '/') {
        }
        if (up == UP_MAX || *p != '/' ||
            host_syscall(SYS_newfstatat, dirfd, &UP_TEXT[(UP_MAX - 1 - up) * 3], &above, 0) < 0 ||
            above.st_dev != st.st_dev) {
            return false;
        }
    }
    if (sscanf(p, "/%d%n", pid, &n) == 1) {
        p += n;
        *pid = is_own(dirfd, &UP_TEXT[(UP_MAX - up) * 3], *pid) ? PROC_OWN : *pid;
        int tid;
        if (sscanf(p, "/task/%d%n", &tid, &n) == 1) {
            p += n;
        }
    }
    *where = up > 0 ? p : "";
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

static bool
has_fd(int pid, int fd)
{
    char path[PROC_PATH_MAX];
    snprintf(path, sizeof path, "/proc/%d/fd/%d", pid, fd);
    return host_syscall(SYS_faccessat2, AT_FDCWD, path, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

int
procfs_fd_edge(const struct vfs *v, int pid)
{
    if (pid == PROC_OWN) {
        return v->edge;
    }
    /* One of ours is there in every guest process. The guest may have one at the lower number where ours are at the higher. */
    const bool low = !has_fd(pid, v->top + OWN_FD_EXE) && has_fd(pid, VFS_FD_LOW + OWN_FD_EXE) && is_guest(pid);
    return low && VFS_FD_LOW < v->top ? VFS_FD_LOW : v->top;
}

bool
procfs_fd_is_hidden(const struct vfs *v, int pidfd, int fd)
{
    char path[PROC_PATH_MAX], text[1024];
    int pid = 0;
    snprintf(path, sizeof path, "/proc/self/fdinfo/%d", pidfd);
    int64_t f = host_syscall(SYS_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC);
    int64_t n = f < 0 ? f : host_syscall(SYS_read, f, text, sizeof text - 1);
    if (f >= 0) {
        host_syscall(SYS_close, f);
    }
    text[n > 0 ? n : 0] = '\0';
    const char *line = strstr(text, "\nPid:");
    if (line == NULL || sscanf(line, "\nPid: %d", &pid) != 1 || pid <= 0) {
        return false;
    }
    return fd >= procfs_fd_edge(v, pid == (int)host_syscall(SYS_getpid) ? PROC_OWN : pid);
}

enum proc_node
procfs_classify(const struct vfs *v, int dirfd, const char *name, int *pid)
{
    char path[PATH_MAX];
    const char *where;
    int i = find_node(name, 0);
    bool number = is_number(name);
    if ((i < 0 && !number && strlen(name) > 20) || !locate(v, dirfd, path, &where, pid)) {
        return PROC_PLAIN;
    }
    if (*pid != 0 && number && (strcmp(where, "/fd") == 0 || strcmp(where, "/fdinfo") == 0)) {
        if (atoi(name) >= procfs_fd_edge(v, *pid)) {
            return PROC_HIDDEN;
        }
        return strcmp(where, "/fd") == 0 ? PROC_FD : PROC_PLAIN;
    }
    if (*pid != 0 && strcmp(where, "/ns") == 0) {
        return PROC_MAGIC;
    }
    while (i >= 0 && (*pid != 0 ? nodes[i].dir != NULL || where[0] != '\0'
                                : nodes[i].dir == NULL || strcmp(nodes[i].dir, where) != 0)) {
        i = find_node(name, (size_t)i + 1);
    }
    if (i < 0) {
        return PROC_PLAIN;
    }
    const bool own = *pid == PROC_OWN;
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
        return own || v->fake ? PROC_STATUS : PROC_PLAIN;
    case PROC_LIMITS:
        return own ? PROC_LIMITS : PROC_PLAIN;
    case PROC_SYSCALL:
    case PROC_HIDDEN:
        return own || is_guest(*pid) ? nodes[i].node : PROC_PLAIN;
    case PROC_MOUNTS:
    case PROC_MOUNTINFO:
        return v->view == VIEW_USER ? nodes[i].node : PROC_PLAIN;
    case PROC_PLAIN:
    case PROC_EXE:
    case PROC_CWD:
    case PROC_ROOT:
    case PROC_FD:
    case PROC_MAGIC:
    case PROC_CPUINFO:
    case PROC_VERSION:
    case PROC_OSRELEASE:
    case PROC_OSVERSION:
        break;
    }
    return nodes[i].node;
}

/* Host path of the link that tells a process's program. */
static void
exe_link(const struct vfs *v, int pid, char path[PROC_PATH_MAX])
{
    if (pid == PROC_OWN) {
        snprintf(path, PROC_PATH_MAX, "/proc/self/fd/%d", v->edge + OWN_FD_EXE);
    } else if (is_guest(pid)) {
        snprintf(path, PROC_PATH_MAX, "/proc/%d/fd/%d", pid, procfs_fd_edge(v, pid) + OWN_FD_EXE);
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
    if (fd < 0 || v->view != VIEW_USER || pid == PROC_OWN || vfs_host_path((int)fd, text) < 0) {
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
    if (at->node == PROC_EXE && at->pid == PROC_OWN && t->proc->exe_path[0] != '\0') {
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

/* The directory that holds the file, and its name there; false if it cannot be reached by its path. */
static bool
file_place(int fd, const struct stat *st, struct vfs_at *at)
{
    char host[PATH_MAX];
    struct stat same;
    if (vfs_host_path(fd, host) < 0 || host[0] != '/') {
        return false;
    }
    char *name = strrchr(host, '/');
    snprintf(at->buf, sizeof at->buf, "%s", name + 1);
    *name = '\0';
    if (!procfs_name(at->buf)) {
        return false;
    }
    int64_t dir = host_syscall(SYS_openat, AT_FDCWD, host[0] != '\0' ? host : "/", O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (dir < 0) {
        return false;
    }
    *at = (struct vfs_at){.dir = (int)dir, .own = true, .pid = 0, .node = PROC_PLAIN};
    snprintf(at->buf, sizeof at->buf, "%s", name + 1);
    at->name = at->buf;
    if (host_syscall(SYS_newfstatat, dir, at->name, &same, AT_SYMLINK_NOFOLLOW) < 0 || same.st_dev != st->st_dev ||
        same.st_ino != st->st_ino) {
        vfs_at_done(at);
        return false;
    }
    return true;
}

int64_t
procfs_opened(struct task *t, int fd, int flags)
{
    const struct vfs *v = vfs_of(t);
    struct vfs_at at;
    struct stat st;
    if (host_syscall(SYS_fstat, fd, &st) < 0 || !S_ISREG(st.st_mode) || st.st_size != 0 || st.st_blocks != 0 ||
        !procfs_holds(v, fd, &st) || !file_place(fd, &st, &at)) {
        return fd;
    }
    at.node = procfs_classify(v, at.dir, at.name, &at.pid);
    int64_t r = fd;
    if (proc_node_is_file(at.node)) {
        int64_t made = procfs_open(t, &at, flags);
        r = made < 0 ? made : host_syscall(SYS_dup3, made, fd, flags & O_CLOEXEC);
        host_syscall(SYS_close, made < 0 ? fd : made);
    }
    vfs_at_done(&at);
    return r;
}

void
procfs_set_exe(struct task *t, int fd)
{
    struct vfs *v = vfs_of(t);
    host_syscall(SYS_dup3, fd, v->edge + OWN_FD_EXE, O_CLOEXEC);
    v->own_end = v->own_end > v->edge ? v->own_end : v->edge + 1;
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
    if (n <= 0 || host_syscall(SYS_fstat, fd, &st) < 0 || !procfs_holds(v, fd, &st) ||
        !locate(v, fd, path, &where, &pid)) {
        return n;
    }
    const bool fds = strcmp(where, "/fd") == 0 || strcmp(where, "/fdinfo") == 0;
    const bool top = pid != 0 && where[0] == '\0' && (pid == PROC_OWN || is_guest(pid));
    if (!fds && !top) {
        return n;
    }
    const int edge = fds ? procfs_fd_edge(v, pid) : 0;
    int64_t kept = 0;
    for (int64_t at = 0; at < n;) {
        struct entry *e = (struct entry *)(buf + at);
        uint16_t len = e->len;
        at += len;
        const int i = top ? find_node(e->name, 0) : -1;
        if (fds ? !is_number(e->name) || atoi(e->name) < edge : i < 0 || nodes[i].node != PROC_HIDDEN) {
            memmove(buf + kept, e, len);
            kept += len;
        }
    }
    return kept;
}
