/*
 * gdb_listen.c - where a debugger connects
 *
 * A debugger may do what the user may, so nobody but this machine is listened to unless a HOST says so.
 */
#include "debug/gdb.h"

#include "base/local.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <arpa/inet.h>
#include <unistd.h>

static int
listen_at(const struct sockaddr *a, socklen_t size, const char *where, struct err *e)
{
    const int one = 1, fd = socket(a->sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd >= 0) {
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    }
    if (fd < 0 || bind(fd, a, size) != 0 || listen(fd, 1) != 0) {
        const int r = -errno;
        if (fd >= 0) {
            close(fd);
        }
        return err_set(e, r, "listen for a debugger at %s", where);
    }
    return fd;
}

static int
listen_unix(const char *path, const char *where, struct err *e)
{
    const int fd = local_listen(path, 0);
    return fd < 0 ? err_set(e, fd, "listen for a debugger at %s", where) : fd;
}

/* An address, of IPv4 or [IPv6]: names would need a resolver, and a choice among its answers. */
static int
listen_tcp(const char *host, unsigned port, const char *where, struct err *e)
{
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_port = htons((uint16_t)port)};
    if (*host == 0 || strcmp(host, "localhost") == 0) {
        host = "127.0.0.1";
    }
    if (inet_pton(AF_INET, host, &in.sin_addr) == 1) {
        return listen_at((const struct sockaddr *)&in, sizeof in, where, e);
    }
    if (inet_pton(AF_INET6, host, &in6.sin6_addr) == 1) {
        return listen_at((const struct sockaddr *)&in6, sizeof in6, where, e);
    }
    return err_set(e, -EINVAL, "listen for a debugger at %s: %s is no address", where, host);
}

int
gdb_listen(const char *where, struct err *e)
{
    char text[256];
    const char *at = where;
    if (snprintf(text, sizeof text, "%.*s", (int)strcspn(where, ","), where) >= (int)sizeof text) {
        return err_set(e, -EINVAL, "listen for a debugger at %s", where);
    }
    if (strncmp(text, "unix:", 5) == 0) {
        return listen_unix(text + 5, where, e);
    }
    if (strchr(text, '/') != NULL) {
        return listen_unix(text, where, e);
    }
    if (strncmp(text, "tcp:", 4) == 0) {
        at = text + 4;
    } else {
        at = text;
    }
    char *colon = strrchr(text, ':'), *end, *host = colon != NULL && colon >= at ? (char *)(uintptr_t)at : NULL;
    const char *const digits = host != NULL ? colon + 1 : at;
    const unsigned long port = strtoul(digits, &end, 10);
    if (*digits < '0' || *digits > '9' || *end != 0 || port > 65535) {
        return err_set(e, -EINVAL, "listen for a debugger at %s: not PORT, HOST:PORT or unix:PATH", where);
    }
    if (host != NULL) {
        *colon = 0;
        if (*host == '[' && colon > host + 1 && colon[-1] == ']') {
            colon[-1] = 0;
            host++;
        }
    }
    return listen_tcp(host != NULL ? host : "", (unsigned)port, where, e);
}

int
gdb_accept(int listening)
{
    int fd;
    do {
        fd = accept4(listening, NULL, NULL, SOCK_CLOEXEC);
    } while (fd < 0 && errno == EINTR);
    if (fd < 0) {
        return -errno;
    }
    const int one = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    return fd;
}
