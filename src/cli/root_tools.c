/*
 * root_tools.c - host programs, files and progress for `doppel root`
 *
 * Fetching, verifying and unpacking is done by the programs that Debian itself trusts with it; doppel starts them, each
 * in a process group of its own, so that a signal to stop reaches all of them and none is left behind.
 */
#include "cli/root_impl.h"

#include "base/nondet.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

volatile bool root_stop;
const char tool_self[] = "doppel"; /* not "exe": by another name it would be `doppel run` */

bool
tool_exists(const char *name)
{
    if (strchr(name, '/') != NULL) {
        return access(name, X_OK) == 0;
    }
    const char *path = getenv("PATH");
    for (const char *p = path != NULL ? path : "/usr/bin:/bin"; *p != '\0';) {
        size_t n = strcspn(p, ":");
        char file[PATH_MAX];
        int len = snprintf(file, sizeof file, "%.*s/%s", (int)n, p, name);
        if (n > 0 && len > 0 && (size_t)len < sizeof file && access(file, X_OK) == 0) {
            return true;
        }
        p += n + (p[n] == ':');
    }
    return false;
}

int
tool_need(const char *name, const char *package, struct err *e)
{
    if (tool_exists(name)) {
        return 0;
    }
    err_set(e, 0, "needs the program '%s': install the Debian package %s", name, package);
    return -ENOENT;
}

pid_t
tool_start(const char *const argv[], int in, int out, int err, struct err *e)
{
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (null < 0) {
        return err_set(e, -errno, "open /dev/null");
    }
    pid_t parent = getpid();
    pid_t pid = fork();
    if (pid == 0) {
        setpgid(0, 0);
        prctl(PR_SET_PDEATHSIG, SIGTERM);
        if (getppid() != parent) {
            _exit(127);
        }
        /* Ours may be below 3: first out of the way of what they replace. */
        int fds[3] = {in < 0 ? null : in, out < 0 ? null : out, err < 0 ? null : err};
        for (int i = 0; i < 3; i++) {
            fds[i] = fcntl(fds[i], F_DUPFD_CLOEXEC, 3);
        }
        for (int i = 0; i < 3; i++) {
            if (fds[i] < 0 || dup2(fds[i], i) < 0) {
                _exit(127);
            }
        }
        signal(SIGINT, SIG_DFL);
        signal(SIGTERM, SIG_DFL);
        signal(SIGPIPE, SIG_DFL);
        execvp(argv[0] == tool_self ? "/proc/self/exe" : argv[0], (char *const *)argv);
        fprintf(stderr, "doppel root: cannot execute %s: %s\n", argv[0], strerror(errno));
        _exit(127);
    }
    int code = errno;
    close(null);
    if (pid < 0) {
        return err_set(e, -code, "start %s", argv[0]);
    }
    setpgid(pid, pid); /* whoever comes first; the other's fails */
    return pid;
}

int
tool_wait(pid_t pid)
{
    int status;
    bool told = false;
    while (waitpid(pid, &status, 0) < 0) {
        if (errno != EINTR) {
            return -errno;
        }
        if (root_stop && !told) {
            kill(-pid, SIGTERM);
            told = true;
        }
    }
    if (root_stop) {
        return -EINTR;
    }
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

int
tool_run(const char *const argv[], int in, int out, struct err *e)
{
    pid_t pid = tool_start(argv, in, out, 2, e);
    if (pid < 0) {
        return (int)pid;
    }
    int status = tool_wait(pid);
    if (status == -EINTR) {
        return -EINTR;
    }
    if (status != 0) {
        err_set(e, 0, "%s failed (exit status %d)", argv[0], status);
        return -EIO;
    }
    return 0;
}

/* Read to the end. NULL without memory or on an error, errno says which. */
static char *
read_all(int fd, size_t *len)
{
    size_t n = 0, room = 0;
    char *buf = NULL;
    struct stat st;
    if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode)) {
        room = (size_t)st.st_size + 2;
        buf = malloc(room);
    }
    for (;;) {
        if (buf == NULL || room - n < 2) {
            room = room < 4096 ? 4096 : 2 * room;
            char *more = realloc(buf, room);
            if (more == NULL) {
                break;
            }
            buf = more;
        }
        ssize_t got = read(fd, buf + n, room - n - 1);
        if (got < 0 && errno == EINTR && !root_stop) {
            continue;
        }
        if (got < 0) {
            break;
        }
        if (got == 0) {
            buf[n] = '\0';
            *len = n;
            return buf;
        }
        n += (size_t)got;
    }
    int code = errno;
    free(buf);
    errno = code;
    return NULL;
}

char *
tool_output(const char *const argv[], int in, struct err *e)
{
    int p[2];
    if (pipe2(p, O_CLOEXEC) != 0) {
        err_set(e, -errno, "start %s", argv[0]);
        return NULL;
    }
    pid_t pid = tool_start(argv, in, p[1], 2, e);
    close(p[1]);
    if (pid < 0) {
        close(p[0]);
        return NULL;
    }
    size_t len;
    char *text = read_all(p[0], &len);
    close(p[0]);
    int status = tool_wait(pid);
    if (text == NULL || status != 0) {
        free(text);
        err_set(e, 0, "%s failed (exit status %d)", argv[0], status);
        return NULL;
    }
    return text;
}

char *
file_read(int dirfd, const char *path, size_t *len, struct err *e)
{
    int fd = openat(dirfd, path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        err_set(e, -errno, "open %s", path);
        return NULL;
    }
    size_t n;
    char *text = read_all(fd, &n);
    if (text == NULL) {
        err_set(e, -errno, "read %s", path);
    } else if (len != NULL) {
        *len = n;
    }
    close(fd);
    return text;
}

int
file_write(int dirfd, const char *path, mode_t mode, const void *data, size_t len, struct err *e)
{
    int fd = openat(dirfd, path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode);
    if (fd < 0) {
        return err_set(e, -errno, "create %s", path);
    }
    int code = 0;
    for (size_t at = 0; at < len && code == 0;) {
        ssize_t n = write(fd, (const char *)data + at, len - at);
        if (n > 0) {
            at += (size_t)n;
        } else if (errno != EINTR) {
            code = -errno;
        }
    }
    if (close(fd) != 0 && code == 0) {
        code = -errno;
    }
    return code != 0 ? err_set(e, code, "write %s", path) : 0;
}

bool
file_exists(int dirfd, const char *path)
{
    struct stat st;
    return fstatat(dirfd, path, &st, AT_SYMLINK_NOFOLLOW) == 0;
}

int
file_sha256_is(int dirfd, const char *path, struct slice hex, struct err *e)
{
    int fd = openat(dirfd, path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return err_set(e, -errno, "open %s", path);
    }
    char *text = tool_output((const char *const[]){"sha256sum", NULL}, fd, e);
    close(fd);
    if (text == NULL) {
        return root_stop ? -EINTR : -EIO;
    }
    bool same = hex.n == 64 && strlen(text) > 64 && strncasecmp(text, hex.p, 64) == 0;
    free(text);
    return same;
}

void
progress(const struct root_job *job, bool last, const char *fmt, ...)
{
    uint64_t now = nondet_mono_ns();
    if (!job->color && !last && now - *job->said_ns < PROGRESS_NS) {
        return;
    }
    *job->said_ns = now;
    char text[160];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    if (job->color) {
        fprintf(stderr, "\r\033[K\033[36m%s\033[0m%s", text, last ? "\n" : "");
    } else {
        fprintf(stderr, "%s\n", text);
    }
    fflush(stderr);
}
