/* unix.c - AF_UNIX: paths, abstract and unnamed addresses, their lengths, and what is refused */
#include "../abi.h"

#include <fcntl.h>
#include <stddef.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

static const size_t head = offsetof(struct sockaddr_un, sun_path);

static socklen_t
named(struct sockaddr_un *un, const char *path)
{
    memset(un, 0, sizeof *un);
    un->sun_family = AF_UNIX;
    strcpy(un->sun_path, path);
    return (socklen_t)(head + strlen(path) + 1);
}

static void
pairs(void)
{
    int sv[2], before = dup(0), after;
    char buf[4];
    CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, sv) == 0);
    CHECK(fcntl(sv[0], F_GETFD) == FD_CLOEXEC && fcntl(sv[1], F_GETFL) & O_NONBLOCK);
    CHECK(recv(sv[0], buf, 4, 0) == -1 && errno == EAGAIN);
    CHECK(send(sv[0], "ping", 4, 0) == 4 && recv(sv[1], buf, 4, 0) == 4 && memcmp(buf, "ping", 4) == 0);
    CHECK(shutdown(sv[0], SHUT_WR) == 0 && recv(sv[1], buf, 4, 0) == 0);
    CHECK(shutdown(sv[0], 7) == -1 && errno == EINVAL);
    close(sv[0]);
    CHECK(send(sv[1], "x", 1, MSG_NOSIGNAL) == -1 && errno == EPIPE);
    close(sv[1]);
    CHECK(syscall(SYS_socketpair, AF_UNIX, SOCK_STREAM, 0, 8L) == -1 && errno == EFAULT);
    close(before);
    after = dup(0);
    EQUAL(after, before); /* nothing was left open */
    close(after);
    CHECK(socket(AF_UNIX, 77, 0) == -1 && (errno == ESOCKTNOSUPPORT || errno == EINVAL));
    CHECK(socketpair(AF_INET, SOCK_STREAM, 0, sv) == -1 && errno == EOPNOTSUPP);
}

static void
streams(const char *path)
{
    struct sockaddr_un un, peer;
    socklen_t len = named(&un, path), n;
    struct stat st;
    int l = socket(AF_UNIX, SOCK_STREAM, 0), c = socket(AF_UNIX, SOCK_STREAM, 0), s;
    CHECK(connect(c, (void *)&un, len) == -1 && (errno == ENOENT || errno == ECONNREFUSED));
    CHECK(bind(l, (void *)&un, len) == 0);
    if (path[0] != 0) {
        CHECK(lstat(path, &st) == 0 && S_ISSOCK(st.st_mode));
    }
    CHECK(connect(c, (void *)&un, len) == -1 && errno == ECONNREFUSED);
    s = socket(AF_UNIX, SOCK_STREAM, 0);
    CHECK(bind(s, (void *)&un, len) == -1 && errno == EADDRINUSE);
    close(s);
    CHECK(listen(l, 4) == 0 && connect(c, (void *)&un, len) == 0);

    n = sizeof peer;
    CHECK(getsockname(l, (void *)&peer, &n) == 0);
    EQUAL(n, len);
    CHECK(memcmp(&peer, &un, len) == 0);
    n = sizeof peer;
    CHECK(getpeername(c, (void *)&peer, &n) == 0 && n == len && memcmp(&peer, &un, len) == 0);
    n = 4; /* cut short, but the whole length is told */
    memset(&peer, 0x55, sizeof peer);
    CHECK(getsockname(l, (void *)&peer, &n) == 0 && n == len);
    CHECK(memcmp(&peer, &un, 4) == 0 && ((char *)&peer)[4] == 0x55);
    n = (socklen_t)-1;
    CHECK(getsockname(l, (void *)&peer, &n) == -1 && errno == EINVAL);
    CHECK(getsockname(l, (void *)&peer, NULL) == -1 && errno == EFAULT);

    n = sizeof peer;
    s = accept4(l, (void *)&peer, &n, SOCK_CLOEXEC);
    CHECK(s >= 0 && fcntl(s, F_GETFD) == FD_CLOEXEC);
    EQUAL(n, sizeof(sa_family_t)); /* unnamed */
    CHECK(peer.sun_family == AF_UNIX);
    struct ucred cred;
    n = sizeof cred;
    CHECK(getsockopt(s, SOL_SOCKET, SO_PEERCRED, &cred, &n) == 0 && n == sizeof cred && cred.pid == getpid());
    EQUAL(cred.uid, geteuid());
    close(s);
    close(c);

    /* an address that cannot be stored loses the connection */
    c = socket(AF_UNIX, SOCK_STREAM, 0);
    CHECK(connect(c, (void *)&un, len) == 0);
    n = sizeof peer;
    CHECK(syscall(SYS_accept, l, 8L, &n) == -1 && errno == EFAULT);
    char byte;
    CHECK(read(c, &byte, 1) == 0);
    close(c);
    close(l);
}

static void
datagrams(void)
{
    struct sockaddr_un a, b, from;
    socklen_t alen = named(&a, "a.sock"), blen = named(&b, "./b.sock"), n = sizeof from;
    int x = socket(AF_UNIX, SOCK_DGRAM, 0), y = socket(AF_UNIX, SOCK_DGRAM, 0);
    char buf[8];
    CHECK(bind(x, (void *)&a, alen) == 0 && bind(y, (void *)&b, blen) == 0);
    CHECK(sendto(x, "dgram", 5, 0, (void *)&b, blen) == 5);
    CHECK(recvfrom(y, buf, sizeof buf, 0, (void *)&from, &n) == 5);
    EQUAL(n, alen);
    CHECK(memcmp(&from, &a, alen) == 0);
    CHECK(sendto(y, "back", 4, 0, (void *)&from, n) == 4 && recv(x, buf, 3, MSG_TRUNC) == 4);
    CHECK(syscall(SYS_sendto, x, 8L, 4L, 0L, &b, blen) == -1 && errno == EFAULT);
    CHECK(syscall(SYS_sendto, x, "x", 1L, 0L, 8L, blen) == -1 && errno == EFAULT);
    CHECK(syscall(SYS_sendto, x, "x", 1L, 0L, &b, 200L) == -1 && errno == EINVAL);
    CHECK(connect(x, (void *)&b, blen) == 0 && send(x, "x", 1, 0) == 1);
    CHECK(connect(x, (struct sockaddr *)&(struct sockaddr){.sa_family = AF_UNSPEC}, sizeof(struct sockaddr)) == 0);
    CHECK(send(x, "x", 1, 0) == -1 && errno == ENOTCONN);
    close(x);
    close(y);
}

/* The descriptor is looked at before everything else. */
static void
order(void)
{
    struct sockaddr_un un;
    socklen_t len = named(&un, "never.sock");
    int f = open("/dev/null", O_RDWR);
    CHECK(bind(f, (void *)&un, len) == -1 && errno == ENOTSOCK);
    CHECK(bind(-1, (void *)8, 200) == -1 && errno == EBADF);
    CHECK(connect(-1, (void *)8, 200) == -1 && errno == EBADF);
    CHECK(connect(f, (void *)8, 200) == -1 && errno == EINVAL); /* the only one that reads the address first */
    CHECK(listen(999, 1) == -1 && errno == EBADF);
    CHECK(accept(f, NULL, NULL) == -1 && errno == ENOTSOCK);
    CHECK(syscall(SYS_recvmsg, f, 8L, 0L) == -1 && errno == ENOTSOCK);
    CHECK(syscall(SYS_sendmsg, -1, 8L, 0L) == -1 && errno == EBADF);
    CHECK(syscall(SYS_getsockopt, f, SOL_SOCKET, SO_TYPE, 8L, 8L) == -1 && errno == ENOTSOCK);
    CHECK(access("never.sock", F_OK) == -1);
    int s = socket(AF_UNIX, SOCK_STREAM, 0);
    CHECK(bind(s, (void *)&un, 1) == -1 && errno == EINVAL);
    CHECK(bind(s, (void *)&un, sizeof un + 1) == -1 && errno == EINVAL);
    CHECK(connect(s, (void *)&un, (socklen_t)-1) == -1 && errno == EINVAL);
    named(&un, "nodir/sub.sock");
    CHECK(bind(s, (void *)&un, sizeof un) == -1 && errno == ENOENT);
    close(s);
    close(f);
}

int
main(void)
{
    char dir[] = "/tmp/unix.XXXXXX", path[64], abstract[32] = "";
    CHECK(mkdtemp(dir) != NULL && chdir(dir) == 0);
    pairs();
    snprintf(path, sizeof path, "%s/abs.sock", dir);
    streams(path);
    streams("rel.sock");
    CHECK(symlink(".", "link") == 0);
    streams("link/through.sock");
    datagrams();
    order();

    struct sockaddr_un un = {.sun_family = AF_UNIX}, got;
    socklen_t len = (socklen_t)(head + 1 + (size_t)snprintf(abstract, sizeof abstract, "doppel-%d", getpid())), n;
    memcpy(un.sun_path + 1, abstract, strlen(abstract));
    int l = socket(AF_UNIX, SOCK_STREAM, 0), c = socket(AF_UNIX, SOCK_STREAM, 0);
    CHECK(bind(l, (void *)&un, len) == 0 && listen(l, 1) == 0 && connect(c, (void *)&un, len) == 0);
    n = sizeof got;
    CHECK(getpeername(c, (void *)&got, &n) == 0 && n == len && memcmp(&got, &un, len) == 0);
    snprintf(path, sizeof path, "rm -rf %s", dir);
    CHECK(chdir("/") == 0);
    for (const char *const *f = (const char *const[]){"abs.sock", "rel.sock", "through.sock", "a.sock", "b.sock", "link", NULL};
         *f != NULL; f++) {
        snprintf(path, sizeof path, "%s/%s", dir, *f);
        CHECK(unlink(path) == 0);
    }
    CHECK(rmdir(dir) == 0);
    return 0;
}
