/*
 * vm_control.c - see vm_control.h
 *
 * Sockets are named by /proc/self/fd/FOLDER/NAME.sock: an address holds 107 bytes, and folders may be deeper.
 */
#include "cli/vm_control.h"

#include "base/check.h"
#include "base/local.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#define PATHS_MAX 4 /* of sockets at places of the user's own */

bool
control_name_ok(const char *name)
{
    const size_t n = strlen(name);
    for (size_t i = 0; i < n; i++) {
        if (!isalnum((unsigned char)name[i]) && strchr("-_.+:@", name[i]) == NULL) {
            return false;
        }
    }
    return n > 0 && n <= CONTROL_NAME_MAX && name[0] != '.' && name[0] != '-';
}

static void
folder_path(char *path, size_t size)
{
    const char *dir = getenv("XDG_RUNTIME_DIR");
    struct stat st;
    if (dir != NULL && dir[0] == '/') {
        snprintf(path, size, "%s/doppel", dir);
        return;
    }
    snprintf(path, size, "/run/user/%u", geteuid());
    if (lstat(path, &st) == 0 && S_ISDIR(st.st_mode) && st.st_uid == geteuid()) {
        snprintf(path, size, "/run/user/%u/doppel", geteuid());
    } else {
        snprintf(path, size, "/tmp/doppel-%u", geteuid());
    }
}

int
control_folder(bool make, struct err *e)
{
    char path[512];
    folder_path(path, sizeof path);
    if (make && mkdir(path, 0700) != 0 && errno != EEXIST) {
        return err_set(e, -errno, "%s", path);
    }
    const int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    struct stat st;
    if (fd < 0 || fstat(fd, &st) != 0) {
        return errno == ENOENT && !make ? -ENOENT : err_set(e, -errno, "%s", path);
    }
    if (st.st_uid != geteuid() || (st.st_mode & 077) != 0) {
        close(fd);
        return err_set(e, -EPERM, "%s: it must be this user's, and nobody else's", path);
    }
    return fd;
}

#define SOCKET_PATH "/proc/self/fd/%d/%s.sock"
#define SOCKET_PATH_BYTES (sizeof SOCKET_PATH + 10 + CONTROL_NAME_MAX)

int
control_listen(int folder, const char *name, struct err *e)
{
    char path[SOCKET_PATH_BYTES];
    snprintf(path, sizeof path, SOCKET_PATH, folder, name);
    flock(folder, LOCK_EX); /* who finds a socket dead must not remove one that has just been born */
    const int r = local_listen(path, SOCK_NONBLOCK);
    flock(folder, LOCK_UN);
    return r == -EADDRINUSE ? (err_set(e, 0, "a machine of that name runs"), r) : r < 0 ? err_set(e, r, "control socket") : r;
}

int
control_listen_at(const char *path, struct err *e)
{
    const int r = local_listen(path, SOCK_NONBLOCK);
    return r < 0 ? err_set(e, r, "%s", path) : r;
}

int
control_connect(int folder, const char *name)
{
    char path[SOCKET_PATH_BYTES];
    if (strchr(name, '/') != NULL) {
        return local_connect(name, 0);
    }
    snprintf(path, sizeof path, SOCKET_PATH, folder, name);
    return local_connect(path, 0);
}

void
control_forget(int folder, const char *name)
{
    flock(folder, LOCK_EX);
    const int fd = control_connect(folder, name);
    if (fd == -ECONNREFUSED) {
        char file[CONTROL_NAME_MAX + 8];
        snprintf(file, sizeof file, "%s.sock", name);
        unlinkat(folder, file, 0);
    } else if (fd >= 0) {
        close(fd);
    }
    flock(folder, LOCK_UN);
}

/* ---- the keeper ---- */

static void
keep(int end, int folder, const char *file, const char *const *paths, unsigned n_paths, int tty, const struct termios *cooked)
{
    struct stat socket_at = {0}, path_at[PATHS_MAX] = {{0}}, now;
    struct termios t;
    fstatat(folder, file, &socket_at, AT_SYMLINK_NOFOLLOW);
    for (unsigned i = 0; i < n_paths; i++) {
        if (paths[i] != NULL) {
            lstat(paths[i], &path_at[i]);
        }
    }
    char byte;
    while (read(end, &byte, 1) < 0 && errno == EINTR) {
    }
    if (tty >= 0 && (cooked->c_lflag & ICANON) && tcgetattr(tty, &t) == 0 && (t.c_lflag & (ICANON | ECHO | ISIG)) == 0) {
        tcsetattr(tty, TCSANOW, cooked);
    }
    if (fstatat(folder, file, &now, AT_SYMLINK_NOFOLLOW) == 0 && now.st_ino == socket_at.st_ino) {
        unlinkat(folder, file, 0);
    }
    for (unsigned i = 0; i < n_paths; i++) {
        if (paths[i] != NULL && lstat(paths[i], &now) == 0 && now.st_ino == path_at[i].st_ino) {
            unlink(paths[i]);
        }
    }
}

struct keeper
control_keep(int folder, const char *name, const char *const *paths, unsigned n_paths, int tty)
{
    CHECK(n_paths <= PATHS_MAX);
    struct termios cooked = {0}; /* now: when the child runs first, this process may have made it raw */
    tty = tty >= 0 && tcgetattr(tty, &cooked) == 0 ? tty : -1;
    int ends[2];
    char file[CONTROL_NAME_MAX + 8];
    snprintf(file, sizeof file, "%s.sock", name);
    if (pipe2(ends, O_CLOEXEC) != 0) {
        return (struct keeper){-1, -1};
    }
    const pid_t pid = fork();
    if (pid != 0) {
        close(ends[0]);
        return (struct keeper){ends[1], pid};
    }
    prctl(PR_SET_NAME, "doppel keeper");
    sigset_t all;
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, NULL);
    /* nothing stays open for it that somebody waits to see closed */
    const int mine[] = {dup3(ends[0], 1000, O_CLOEXEC), dup3(folder, 1001, O_CLOEXEC), tty >= 0 ? dup3(tty, 1002, O_CLOEXEC) : -1};
    close_range(0, 999, 0);
    close_range(1003, ~0U, 0);
    keep(mine[0], mine[1], file, paths, n_paths, mine[2], &cooked);
    _exit(0);
}

void
control_release(struct keeper *k)
{
    if (k->end >= 0) {
        close(k->end);
        k->end = -1;
        while (k->pid > 0 && waitpid(k->pid, NULL, 0) < 0 && errno == EINTR) {
        }
    }
}
