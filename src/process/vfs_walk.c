/*
 * vfs_walk.c - from a guest path to a host directory and a name, without the host's help
 *
 * path_resolution(7). A walk holds a directory (an O_PATH descriptor) and what is left of the path:
 *
 *     cur ── "usr/../lib/x.so"       each turn takes one component, or with openat2 a run of them:
 *
 *     name is a mount's place   cur = what is mounted
 *     name is a directory       cur = it                    opened with O_NOFOLLOW, so never through a link
 *     name is a link            its text goes before the rest; if absolute, cur = the guest's root
 *     name is a magic link      cur = the object it leads to (procfs.c)
 *     ".."                      of the root: the root; of a mount: the directory of its place; else cur's parent,
 *                               unless that lies outside (the directory was moved meanwhile): then the root
 *     the last one              is not opened: the caller's *at call is made on (cur, name)
 *
 * A file that is only to be opened, and whose path has no link at all, costs one host call (vfs_open_plain).
 * A run of components that names no mount's place and has no ".." is opened at once with RESOLVE_NO_SYMLINKS: most
 * paths cost two host calls. Where a link is found, the walk goes on by single steps until it has passed it.
 *
 * Threads: any; nothing shared is written. Trust: the path is hostile, and so are other processes that rename
 * directories under our feet; whatever they do, cur is a directory that was reached inside.
 */
#include "process/vfs_impl.h"

#include <errno.h>
#include <linux/openat2.h>
#include <sys/stat.h>

#define MAX_LINKS 40 /* the kernel's MAXSYMLINKS */

struct walk {
    struct vfs *v;
    int cur;
    bool own; /* cur is to be closed */
    bool in_proc;
    bool steps; /* a link is ahead: single steps */
    unsigned links, how;
    char *rest; /* into path */
    char path[2 * PATH_MAX];
};

static void
move_to(struct walk *w, int fd, bool own)
{
    if (w->own) {
        host_syscall(SYS_close, w->cur);
    }
    w->cur = fd;
    w->own = own;
}

/*
 * In the user view the root is a descriptor; in the others it is the process's, which the guest may have changed without
 * our doing, by pivot_root(2) or setns(2).
 */
static int
move_to_root(struct walk *w)
{
    int64_t fd = w->v->root;
    if (w->v->view != VIEW_USER) {
        fd = host_syscall(SYS_openat, AT_FDCWD, "/", O_PATH | O_DIRECTORY | O_CLOEXEC);
    }
    if (fd < 0) {
        return (int)fd;
    }
    move_to(w, (int)fd, w->v->view != VIEW_USER);
    w->in_proc = false;
    return 0;
}

static int
stat_cur(const struct walk *w, struct stat *st)
{
    return (int)host_syscall(SYS_newfstatat, w->cur, "", st, AT_EMPTY_PATH);
}

/* A directory was entered where the host's kernel may have mounted what it likes. */
static void
look_for_proc(struct walk *w)
{
    struct stat st;
    w->in_proc = stat_cur(w, &st) == 0 && procfs_holds(w->v, w->cur, &st);
}

/* Put a link's text before what is left of the path. `after` is the text behind the link's name, with its slash. */
static int
push_link(struct walk *w, const char *target, size_t len, const char *after)
{
    size_t after_len = strlen(after);
    if (++w->links > MAX_LINKS || w->how & RESOLVE_NOLINKS) {
        return -ELOOP;
    }
    if (len == 0) {
        return -ENOENT;
    }
    if (len + after_len + 1 > sizeof w->path) {
        return -ENAMETOOLONG;
    }
    memmove(w->path + len, after, after_len + 1);
    memcpy(w->path, target, len);
    w->rest = w->path;
    w->steps = false;
    return target[0] == '/' ? move_to_root(w) : 0;
}

static int
go_up(struct walk *w)
{
    struct vfs *v = w->v;
    struct stat st;
    int r = stat_cur(w, &st);
    if (r < 0) {
        return r;
    }
    if (v->view == VIEW_USER && st.st_dev == v->root_dev && st.st_ino == v->root_ino) {
        return 0;
    }
    const struct vfs_mount *m = vfs_mount_root(v, w->cur, &st);
    if (m != NULL) {
        r = vfs_mount_place_fd(v, m);
        if (r >= 0) {
            move_to(w, r, false);
            w->in_proc = false;
        }
        return r < 0 ? r : 0;
    }
    int64_t fd = host_syscall(SYS_openat, w->cur, "..", O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) {
        return (int)fd;
    }
    move_to(w, (int)fd, true);
    if (v->view != VIEW_USER) {
        look_for_proc(w);
        return 0;
    }
    return vfs_inside(v, w->cur) ? 0 : move_to_root(w);
}

/* [c, end) names no mount's place and does not go up: the host may resolve it as far as there are no links. */
static bool
is_plain(const struct vfs *v, const char *c, const char *end)
{
    while (c < end) {
        size_t len = strcspn(c, "/");
        if (len > 0 && ((len == 2 && c[0] == '.' && c[1] == '.') || vfs_mount_name(v, c, len))) {
            return false;
        }
        c += len + (c[len] == '/');
    }
    return true;
}

/* What openat2 says where we have to look ourselves: links, races, no such call or a filter against it. */
static bool
is_undecided(int64_t r)
{
    return r == -ELOOP || r == -EAGAIN || r == -EXDEV || r == -ENOSYS || r == -EPERM;
}

bool
vfs_open_plain(struct task *t, const char *path, int flags, int64_t *result)
{
    const struct vfs *v = vfs_of(t);
    const struct open_how how = {
        .flags = (uint64_t)(unsigned)flags,
        .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS,
    };
    if (path[0] != '/') {
        return false; /* it might begin in /proc */
    }
    path += strspn(path, "/");
    if (path[0] == '\0' || !is_plain(v, path, path + strlen(path))) {
        return false;
    }
    *result = host_syscall_restartable(t, SYS_openat2, v->root, path, &how, sizeof how);
    return !is_undecided(*result);
}

/*
 * Open as much of the path's directories at once as may be. 1: done, w->rest is the last component; 0: single steps
 * are needed; or -errno.
 */
static int
leap(struct walk *w)
{
    if (w->steps || w->in_proc || w->v->view != VIEW_USER) {
        return 0; /* who only knows steps sees where procfs begins */
    }
    char *end = w->rest + strlen(w->rest), *last;
    while (end > w->rest && end[-1] == '/') {
        end--;
    }
    for (last = end; last > w->rest && last[-1] != '/'; last--) {
    }
    if (last == w->rest) {
        return 0;
    }
    if (!is_plain(w->v, w->rest, last)) {
        return 0;
    }
    const struct open_how how = {
        .flags = O_PATH | O_DIRECTORY | O_CLOEXEC,
        .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS,
    };
    char saved = *last;
    *last = '\0';
    int64_t fd = host_syscall(SYS_openat2, w->cur, w->rest, &how, sizeof how);
    *last = saved;
    if (is_undecided(fd)) {
        w->steps = true;
        return 0;
    }
    if (fd < 0) {
        return (int)fd;
    }
    move_to(w, (int)fd, true);
    w->rest = last;
    return 1;
}

/* End the walk at `name` in cur, or at cur itself (name ""). cur is at's from here. */
static int
finish(struct walk *w, const char *name, struct vfs_at *at)
{
    if (name[0] == '\0' && w->cur == AT_FDCWD) {
        int64_t fd = host_syscall(SYS_openat, AT_FDCWD, ".", O_PATH | O_DIRECTORY | O_CLOEXEC);
        if (fd < 0) {
            return (int)fd;
        }
        move_to(w, (int)fd, true);
    }
    at->dir = w->cur;
    at->own = w->own;
    at->direct = false;
    at->flags = name[0] == '\0' ? AT_EMPTY_PATH : AT_SYMLINK_NOFOLLOW;
    if (w->how & RESOLVE_ENTRY) {
        at->flags = 0;
    }
    at->name = name;
    at->read_only = w->v->table->any_read_only && vfs_read_only(w->v, w->cur);
    w->own = false;
    return 0;
}

/* For step(): 1, or -errno. */
static int
end_at(struct walk *w, const char *name, struct vfs_at *at)
{
    int r = finish(w, name, at);
    return r < 0 ? r : 1;
}

/* cur is to be what is mounted. */
static int
enter_mount(struct walk *w, const struct vfs_mount *m)
{
    if (m->is_dir) {
        int kept = vfs_mount_fd(w->v, m);
        if (kept >= 0) {
            move_to(w, kept, false);
            w->in_proc = m->dev == w->v->proc_dev;
        }
        return kept < 0 ? kept : 0;
    }
    int64_t fd = host_syscall(SYS_openat, AT_FDCWD, m->host, O_PATH | O_CLOEXEC);
    if (fd < 0) {
        return (int)fd;
    }
    move_to(w, (int)fd, true);
    w->in_proc = false;
    return 0;
}

static const struct vfs_mount *
find_mount(const struct walk *w, const char *name, size_t len)
{
    struct stat st;
    if (!vfs_mount_name(w->v, name, len) || stat_cur(w, &st) < 0) {
        return NULL;
    }
    return vfs_mount_at(w->v, &st, name);
}

/*
 * One component that is neither "." nor "..". `after`: what follows it, from its slash on, "" if it ends the path.
 * 1: *at is made; 0: go on; or -errno.
 */
static int
step(struct walk *w, const char *name, size_t len, char *after, struct vfs_at *at)
{
    struct vfs *v = w->v;
    char target[PATH_MAX];
    bool trailing = after[0] == '/';
    char *next = after + strspn(after, "/");
    bool last = next[0] == '\0';

    if (last && trailing && w->how & RESOLVE_CREATE) {
        return -EISDIR; /* open(2) with O_CREAT does not look whether there is such a directory */
    }
    const struct vfs_mount *m = find_mount(w, name, len);
    if (m != NULL) {
        if (last && w->how & RESOLVE_ENTRY) {
            at->busy = true;
        } else {
            int r = enter_mount(w, m);
            if (r < 0) {
                return r;
            }
            w->rest = next;
            if (m->is_dir || trailing) {
                return m->is_dir ? 0 : -ENOTDIR;
            }
            r = end_at(w, "", at);
            at->read_only = m->read_only;
            return r;
        }
    }
    if (last && w->how & RESOLVE_ENTRY) {
        if (trailing) {
            memcpy(at->buf + len, "/", 2);
        }
        return end_at(w, at->buf, at);
    }
    bool follow = !last || trailing || w->how & RESOLVE_FOLLOW;
    if (w->in_proc) {
        at->node = procfs_classify(v, w->cur, name, &at->pid);
        if (at->node == PROC_HIDDEN) {
            return -ENOENT;
        }
        if (follow && proc_node_is_link(at->node)) {
            if (++w->links > MAX_LINKS || w->how & RESOLVE_NOLINKS) {
                return -ELOOP;
            }
            int64_t fd = procfs_follow(v, w->cur, name, at->node, at->pid);
            at->node = PROC_PLAIN;
            if (fd < 0) {
                return (int)fd;
            }
            struct stat st;
            move_to(w, (int)fd, true);
            int r = stat_cur(w, &st);
            if (r < 0) {
                return r;
            }
            w->rest = next;
            w->in_proc = procfs_holds(v, w->cur, &st);
            return last && !trailing ? end_at(w, "", at) : S_ISDIR(st.st_mode) ? 0 : -ENOTDIR;
        }
        if (last && !trailing && at->node != PROC_PLAIN) {
            return end_at(w, at->buf, at);
        }
    }
    if (last && (!follow || (w->how & RESOLVE_UNCHECKED && !trailing))) {
        return end_at(w, at->buf, at);
    }
    int64_t r = -EINVAL;
    if (last && !trailing) {
        r = host_syscall(SYS_readlinkat, w->cur, name, target, sizeof target);
        if (r < 0) { /* no link, nothing there, no right to search: the caller's own call finds out */
            return end_at(w, at->buf, at);
        }
    } else {
        int64_t fd = host_syscall(SYS_openat, w->cur, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (fd >= 0) {
            move_to(w, (int)fd, true);
            w->rest = next;
            if (v->view != VIEW_USER || strcmp(name, "proc") == 0) {
                look_for_proc(w);
            }
            return 0;
        }
        if (fd != -ENOTDIR && fd != -ELOOP) {
            return (int)fd;
        }
        r = host_syscall(SYS_readlinkat, w->cur, name, target, sizeof target);
        if (r < 0) {
            return r == -EINVAL ? -ENOTDIR : (int)r;
        }
    }
    if ((size_t)r == sizeof target) {
        return -ENAMETOOLONG;
    }
    return push_link(w, target, (size_t)r, after);
}

static int
walk(struct walk *w, struct vfs_at *at)
{
    for (;;) {
        w->rest += strspn(w->rest, "/");
        if (w->rest[0] == '\0') {
            /* "/" alone, or a path whose last component, with a slash behind it, has been entered */
            return finish(w, w->how & RESOLVE_ENTRY ? "/" : "", at);
        }
        int r = leap(w);
        if (r < 0) {
            return r;
        }
        size_t len = strcspn(w->rest, "/");
        if (len > NAME_MAX) {
            return -ENAMETOOLONG;
        }
        memcpy(at->buf, w->rest, len);
        at->buf[len] = '\0';
        char *after = w->rest + len;
        bool last = after[strspn(after, "/")] == '\0';
        if (at->buf[0] == '.' && (len == 1 || (len == 2 && at->buf[1] == '.'))) {
            if (last && w->how & RESOLVE_ENTRY) {
                return finish(w, at->buf, at); /* the kernel refuses these names, with the right error */
            }
            r = len == 2 ? go_up(w) : 0;
            w->rest = after;
        } else {
            r = step(w, at->buf, len, after, at);
        }
        if (r != 0) {
            return r > 0 ? 0 : r;
        }
    }
}

int
vfs_walk(struct vfs *v, int dirfd, const char *path, unsigned how, struct vfs_at *at)
{
    struct walk w; /* most of it is path, which need not be cleared */
    struct stat st;
    size_t len = strlen(path);
    if (len >= PATH_MAX) {
        return -ENAMETOOLONG;
    }
    memcpy(w.path, path, len + 1);
    w.v = v;
    w.cur = dirfd;
    w.own = w.in_proc = w.steps = false;
    w.links = 0;
    w.how = how;
    w.rest = w.path;
    at->busy = false;
    at->node = PROC_PLAIN;
    int r = path[0] == '/' ? move_to_root(&w) : stat_cur(&w, &st);
    if (r == 0 && path[0] != '/') {
        r = S_ISDIR(st.st_mode) ? 0 : -ENOTDIR;
        w.in_proc = procfs_holds(v, w.cur, &st);
    }
    r = r < 0 ? r : walk(&w, at);
    if (r < 0) {
        move_to(&w, -1, false);
    }
    return r;
}
