/* inet.c - TCP and UDP on the loopback, socket options, filters, time stamps, a netlink dump */
#include "../abi.h"

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <linux/filter.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <stdbool.h>
#include <sys/time.h>

static struct sockaddr_in
loopback(void)
{
    return (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
}

static void
tcp(void)
{
    struct sockaddr_in a = loopback(), peer;
    socklen_t n = sizeof a;
    int l = socket(AF_INET, SOCK_STREAM, 0), c = socket(AF_INET, SOCK_STREAM, 0), on = 1, got = 0;
    CHECK(setsockopt(l, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) == 0);
    CHECK(bind(l, (void *)&a, sizeof a) == 0 && listen(l, 1) == 0 && getsockname(l, (void *)&a, &n) == 0);
    CHECK(n == sizeof a && a.sin_port != 0);
    CHECK(connect(c, (void *)&a, sizeof a) == 0);
    n = sizeof peer;
    int s = accept(l, (void *)&peer, &n);
    CHECK(s >= 0 && n == sizeof peer && peer.sin_addr.s_addr == a.sin_addr.s_addr);
    CHECK(setsockopt(c, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) == 0);
    n = sizeof got;
    CHECK(getsockopt(c, IPPROTO_TCP, TCP_NODELAY, &got, &n) == 0 && got != 0 && n == sizeof got);
    struct tcp_info info;
    n = 8; /* as much as one asks for */
    memset(&info, 0x55, sizeof info);
    CHECK(getsockopt(c, IPPROTO_TCP, TCP_INFO, &info, &n) == 0 && n == 8 && ((char *)&info)[8] == 0x55);

    size_t total = 1 << 20, sent = 0, received = 0;
    static char buf[65536];
    if (fork() == 0) {
        while (sent < total) {
            memset(buf, (int)(sent >> 16), sizeof buf);
            ssize_t w = send(c, buf, sizeof buf, 0);
            CHECK(w == sizeof buf);
            sent += (size_t)w;
        }
        _exit(0);
    }
    while (received < total) {
        ssize_t r = recv(s, buf, sizeof buf, MSG_WAITALL);
        CHECK(r == sizeof buf && buf[0] == (char)(received >> 16) && buf[65535] == buf[0]);
        received += (size_t)r;
    }
    int st;
    CHECK(wait(&st) > 0 && st == 0);
    struct linger lin = {1, 0}, lin2 = {0};
    CHECK(setsockopt(c, SOL_SOCKET, SO_LINGER, &lin, sizeof lin) == 0);
    n = sizeof lin2;
    CHECK(getsockopt(c, SOL_SOCKET, SO_LINGER, &lin2, &n) == 0 && lin2.l_onoff == 1 && n == sizeof lin2);
    close(c);
    CHECK(recv(s, buf, 1, 0) == -1 && errno == ECONNRESET);
    close(s);
    close(l);
}

static void
udp(void)
{
    struct sockaddr_in a = loopback(), from;
    socklen_t n = sizeof a;
    int x = socket(AF_INET, SOCK_DGRAM, 0), y = socket(AF_INET, SOCK_DGRAM, 0), on = 1;
    char buf[16];
    CHECK(bind(x, (void *)&a, sizeof a) == 0 && getsockname(x, (void *)&a, &n) == 0);
    struct timeval tv = {0, 20000}, got;
    CHECK(setsockopt(x, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof tv) == 0);
    n = sizeof got;
    CHECK(getsockopt(x, SOL_SOCKET, SO_RCVTIMEO, &got, &n) == 0 && n == sizeof got && got.tv_usec >= 20000);
    CHECK(recv(x, buf, sizeof buf, 0) == -1 && errno == EAGAIN);

    CHECK(setsockopt(x, SOL_SOCKET, SO_TIMESTAMPNS, &on, sizeof on) == 0);
    CHECK(sendto(y, "stamped", 7, 0, (void *)&a, sizeof a) == 7);
    union {
        struct cmsghdr h;
        char bytes[64];
    } c;
    struct iovec iov = {buf, sizeof buf};
    struct msghdr m = {.msg_name = &from, .msg_namelen = sizeof from, .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &c,
                       .msg_controllen = sizeof c};
    CHECK(recvmsg(x, &m, 0) == 7);
    EQUAL(m.msg_namelen, sizeof from);
    CHECK(from.sin_addr.s_addr == htonl(INADDR_LOOPBACK));
    struct cmsghdr *h = CMSG_FIRSTHDR(&m);
    CHECK(h != NULL && h->cmsg_level == SOL_SOCKET && h->cmsg_type == SO_TIMESTAMPNS);
    struct timespec ts, now;
    memcpy(&ts, CMSG_DATA(h), sizeof ts);
    clock_gettime(CLOCK_REALTIME, &now);
    CHECK(now.tv_sec - ts.tv_sec <= 10 && now.tv_sec >= ts.tv_sec);

    /* a filter that lets nothing through, then one for everything */
    struct sock_filter none[] = {{BPF_RET | BPF_K, 0, 0, 0}}, back[4];
    struct sock_fprog prog = {1, none};
    CHECK(setsockopt(x, SOL_SOCKET, SO_ATTACH_FILTER, &prog, sizeof prog) == 0);
    CHECK(sendto(y, "gone", 4, 0, (void *)&a, sizeof a) == 4);
    CHECK(recv(x, buf, sizeof buf, 0) == -1 && errno == EAGAIN);
    n = 4; /* instructions, not bytes */
    CHECK(getsockopt(x, SOL_SOCKET, SO_GET_FILTER, back, &n) == 0 && n == 1 && memcmp(back, none, sizeof none) == 0);
    prog.filter = (void *)8;
    CHECK(setsockopt(x, SOL_SOCKET, SO_ATTACH_FILTER, &prog, sizeof prog) == -1 && errno == EFAULT);
    CHECK(setsockopt(x, SOL_SOCKET, SO_ATTACH_FILTER, &prog, 4) == -1 && errno == EINVAL);
    CHECK(setsockopt(x, SOL_SOCKET, SO_DETACH_FILTER, &on, sizeof on) == 0);
    CHECK(sendto(y, "here", 4, 0, (void *)&a, sizeof a) == 4 && recv(x, buf, sizeof buf, 0) == 4);

    CHECK(setsockopt(x, SOL_SOCKET, SO_RCVBUF, (void *)8, 4) == -1 && errno == EFAULT);
    CHECK(setsockopt(x, SOL_SOCKET, SO_RCVBUF, &on, 1) == -1 && errno == EINVAL);
    CHECK(setsockopt(x, SOL_SOCKET, SO_RCVBUF, &on, (socklen_t)-1) == -1 && errno == EINVAL);
    CHECK(setsockopt(x, SOL_SOCKET, 9999, &on, sizeof on) == -1 && errno == ENOPROTOOPT);
    n = (socklen_t)-1;
    CHECK(getsockopt(x, SOL_SOCKET, SO_TYPE, &on, &n) == -1 && errno == EINVAL);
    n = sizeof on;
    CHECK(getsockopt(x, SOL_SOCKET, SO_TYPE, (void *)8, &n) == -1 && errno == EFAULT);
    CHECK(syscall(SYS_getsockopt, x, SOL_SOCKET, SO_TYPE, &on, 8L) == -1 && errno == EFAULT);
    close(x);
    close(y);
}

int
main(void)
{
    tcp();
    udp();
    struct ifaddrs *all;
    bool lo = false;
    CHECK(getifaddrs(&all) == 0);
    for (struct ifaddrs *i = all; i != NULL; i = i->ifa_next) {
        lo |= (i->ifa_flags & IFF_LOOPBACK) && strcmp(i->ifa_name, "lo") == 0;
    }
    freeifaddrs(all);
    CHECK(lo);
    return 0;
}
