/*
 * local.h - AF_UNIX sockets with a name in the file system (unix(7))
 *
 * A name has at most LOCAL_PATH_MAX bytes. Descriptors are the caller's, with FD_CLOEXEC; failures are -errno: -ENAMETOOLONG for a name
 * that is longer, -EINVAL for an empty one.
 */
#ifndef DOPPEL_LOCAL_H
#define DOPPEL_LOCAL_H

#include <sys/socket.h>
#include <sys/un.h>

#define LOCAL_PATH_MAX ((int)sizeof ((struct sockaddr_un *)0)->sun_path - 1)

/* Connect to who listens at `path`. flags: SOCK_NONBLOCK or 0. */
int local_connect(const char *path, int flags);

/*
 * Listen at `path`, for nobody but this user; flags: SOCK_NONBLOCK or 0. A socket that nobody listens at any more is replaced. A socket in
 * use, and whatever is not a socket, stays: -EADDRINUSE. Not for many threads at once: it changes the umask meanwhile.
 */
int local_listen(const char *path, int flags);

/* The same for datagrams. */
int local_bind(const char *path);

#endif
