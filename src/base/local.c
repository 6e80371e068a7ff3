/*
 * local.c - see local.h
 */
#include "base/local.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define BACKLOG 8

static int
make(struct sockaddr_un *a, const char *path, int type)
{
    const size_t n = strlen(path);
    *a = (struct sockaddr_un){.sun_family = AF_UNIX};
    if (n == 0 || n > LOCAL_PATH_MAX) {
        return n == 0 ? -EINVAL : -ENAMETOOLONG; /* an empty one would be bound to a name of the kernel's choice */
    }
    memcpy(a->sun_path, path, n);
    const int fd = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);
    return fd >= 0 ? fd : -errno;
}

int
local_connect(const char *path, int flags)
{
    struct sockaddr_un a;
    const int fd = make(&a, path, SOCK_STREAM | flags);
    if (fd >= 0 && connect(fd, (const struct sockaddr *)&a, sizeof a) != 0) {
        const int err = errno;
        close(fd);
        return -err;
    }
    return fd;
}

/* A socket whose owner is gone. Connecting to a file of another kind is refused with the same words. */
static bool
is_dead(const char *path)
{
    struct stat st;
    if (lstat(path, &st) != 0 || !S_ISSOCK(st.st_mode)) {
        return false;
    }
    const int fd = local_connect(path, SOCK_NONBLOCK);
    if (fd >= 0) {
        close(fd);
    }
    return fd == -ECONNREFUSED;
}

/* A socket with that name. */
static int
bind_at(const char *path, int type)
{
    struct sockaddr_un a;
    const int fd = make(&a, path, type);
    if (fd < 0) {
        return fd;
    }
    const mode_t old = umask(0177);
    int r = bind(fd, (const struct sockaddr *)&a, sizeof a) == 0 ? 0 : -errno;
    if (r == -EADDRINUSE && is_dead(path)) {
        unlink(path);
        r = bind(fd, (const struct sockaddr *)&a, sizeof a) == 0 ? 0 : -errno;
    }
    umask(old);
    if (r != 0) {
        close(fd);
        return r;
    }
    return fd;
}

int
local_listen(const char *path, int flags)
{
    const int fd = bind_at(path, SOCK_STREAM | flags);
    if (fd >= 0 && listen(fd, BACKLOG) != 0) {
        const int err = errno;
        close(fd);
        return -err;
    }
    return fd;
}

int
local_bind(const char *path)
{
    return bind_at(path, SOCK_DGRAM);
}
