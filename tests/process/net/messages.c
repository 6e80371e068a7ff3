/* messages.c - sendmsg, recvmsg and their kin: scattered data, descriptors, credentials, and what is refused */
#include "../abi.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/uio.h>

static int sv[2];

union control {
    struct cmsghdr align;
    char bytes[256];
};

static void
scattered(void)
{
    char a[3] = "ab", b[4] = "cde", x[2], y[8];
    struct iovec out[] = {{a, 2}, {NULL, 0}, {b, 3}}, in[] = {{x, 2}, {y, 8}};
    struct msghdr m = {.msg_iov = out, .msg_iovlen = 3};
    CHECK(sendmsg(sv[0], &m, 0) == 5);
    m = (struct msghdr){.msg_iov = in, .msg_iovlen = 2, .msg_flags = 0x1234};
    CHECK(recvmsg(sv[1], &m, 0) == 5 && memcmp(x, "ab", 2) == 0 && memcmp(y, "cde", 3) == 0);
    EQUAL(m.msg_flags & ~MSG_EOR, 0);
    m.msg_iovlen = 1025;
    CHECK(sendmsg(sv[0], &m, 0) == -1 && errno == EMSGSIZE);
    CHECK(recvmsg(sv[0], &m, MSG_DONTWAIT) == -1 && errno == EMSGSIZE);
    struct iovec bad = {(void *)8, 4};
    m = (struct msghdr){.msg_iov = &bad, .msg_iovlen = 1};
    CHECK(sendmsg(sv[0], &m, 0) == -1 && errno == EFAULT);
    bad = (struct iovec){a, (size_t)-1};
    CHECK(sendmsg(sv[0], &m, 0) == -1 && errno == EINVAL);
    m = (struct msghdr){.msg_name = a, .msg_namelen = (socklen_t)-1, .msg_iov = out, .msg_iovlen = 1};
    CHECK(sendmsg(sv[0], &m, 0) == -1 && errno == EINVAL);
    m = (struct msghdr){.msg_iov = out, .msg_iovlen = 1, .msg_control = (void *)8, .msg_controllen = 32};
    CHECK(sendmsg(sv[0], &m, 0) == -1 && errno == EFAULT);
    m.msg_controllen = 1 << 24;
    CHECK(sendmsg(sv[0], &m, 0) == -1 && errno == ENOBUFS);
    CHECK(syscall(SYS_sendmsg, sv[0], 8L, 0L) == -1 && errno == EFAULT);
}

static void
send_fds(const int *fds, int n)
{
    union control c;
    struct iovec iov = {(char[]){"f"}, 1};
    struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &c, .msg_controllen = CMSG_SPACE(n * 4)};
    memset(&c, 0, sizeof c);
    *CMSG_FIRSTHDR(&m) = (struct cmsghdr){.cmsg_len = CMSG_LEN(n * 4), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS};
    memcpy(CMSG_DATA(CMSG_FIRSTHDR(&m)), fds, (size_t)n * 4);
    CHECK(sendmsg(sv[0], &m, 0) == 1);
}

static void
descriptors(void)
{
    int p[2], got[4], bad = 12345;
    union control c;
    char byte;
    struct iovec iov = {&byte, 1};
    CHECK(pipe(p) == 0);
    send_fds((int[]){p[0], p[1]}, 2);
    struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &c, .msg_controllen = sizeof c};
    CHECK(recvmsg(sv[1], &m, MSG_CMSG_CLOEXEC) == 1);
    struct cmsghdr *h = CMSG_FIRSTHDR(&m);
    CHECK(h != NULL && h->cmsg_level == SOL_SOCKET && h->cmsg_type == SCM_RIGHTS);
    EQUAL(h->cmsg_len, CMSG_LEN(8));
    EQUAL(m.msg_controllen, CMSG_SPACE(8));
    CHECK(CMSG_NXTHDR(&m, h) == NULL);
    memcpy(got, CMSG_DATA(h), 8);
    CHECK(got[0] > p[1] && got[1] > p[1] && fcntl(got[0], F_GETFD) == FD_CLOEXEC);
    CHECK(write(got[1], "z", 1) == 1 && read(p[0], &byte, 1) == 1 && byte == 'z');
    close(got[0]);
    close(got[1]);

    send_fds((int[]){p[0], p[1]}, 2); /* room for one only */
    m.msg_controllen = CMSG_LEN(4);
    CHECK(recvmsg(sv[1], &m, 0) == 1 && m.msg_flags & MSG_CTRUNC);
    h = CMSG_FIRSTHDR(&m);
    CHECK(h != NULL && h->cmsg_len == CMSG_LEN(4));
    memcpy(got, CMSG_DATA(h), 4);
    close(got[0]);

    m = (struct msghdr){.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &c, .msg_controllen = CMSG_SPACE(4)};
    memset(&c, 0, sizeof c);
    *CMSG_FIRSTHDR(&m) = (struct cmsghdr){.cmsg_len = CMSG_LEN(4), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS};
    memcpy(CMSG_DATA(CMSG_FIRSTHDR(&m)), &bad, 4);
    CHECK(sendmsg(sv[0], &m, 0) == -1 && errno == EBADF);
    bad = -1;
    memcpy(CMSG_DATA(CMSG_FIRSTHDR(&m)), &bad, 4);
    CHECK(sendmsg(sv[0], &m, 0) == -1 && errno == EBADF);
    CMSG_FIRSTHDR(&m)->cmsg_len = 1; /* malformed */
    CHECK(sendmsg(sv[0], &m, 0) == -1 && errno == EINVAL);
    close(p[0]);
    close(p[1]);
}

static void
credentials(void)
{
    int on = 1;
    union control c;
    char byte;
    struct iovec iov = {&byte, 1};
    CHECK(setsockopt(sv[1], SOL_SOCKET, SO_PASSCRED, &on, sizeof on) == 0);
    for (int explicit = 0; explicit < 2; explicit++) {
        struct ucred me = {getpid(), geteuid(), getegid()}, seen;
        struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1};
        if (explicit) {
            m.msg_control = &c;
            m.msg_controllen = CMSG_SPACE(sizeof me);
            *CMSG_FIRSTHDR(&m) = (struct cmsghdr){CMSG_LEN(sizeof me), SOL_SOCKET, SCM_CREDENTIALS};
            memcpy(CMSG_DATA(CMSG_FIRSTHDR(&m)), &me, sizeof me);
        }
        CHECK(sendmsg(sv[0], &m, 0) == 1);
        m = (struct msghdr){.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &c, .msg_controllen = sizeof c};
        CHECK(recvmsg(sv[1], &m, 0) == 1);
        struct cmsghdr *h = CMSG_FIRSTHDR(&m);
        CHECK(h != NULL && h->cmsg_type == SCM_CREDENTIALS && h->cmsg_len == CMSG_LEN(sizeof me));
        memcpy(&seen, CMSG_DATA(h), sizeof seen);
        EQUAL(seen.pid, me.pid);
        EQUAL(seen.uid, me.uid);
        EQUAL(seen.gid, me.gid);
    }
    on = 0;
    CHECK(setsockopt(sv[1], SOL_SOCKET, SO_PASSCRED, &on, sizeof on) == 0);
}

static void
many(void)
{
    struct mmsghdr out[4], in[6];
    struct iovec iov[6];
    char text[6][8] = {"1", "22", "333", "4444"};
    memset(out, 0, sizeof out);
    for (int i = 0; i < 4; i++) {
        iov[i] = (struct iovec){text[i], (size_t)i + 1};
        out[i].msg_hdr = (struct msghdr){.msg_iov = &iov[i], .msg_iovlen = 1};
    }
    out[3].msg_hdr.msg_iov = (void *)8; /* three come through, the error is for the next call */
    CHECK(sendmmsg(sv[0], out, 4, 0) == 3 && out[0].msg_len == 1 && out[2].msg_len == 3);
    CHECK(sendmmsg(sv[0], out + 3, 1, 0) == -1 && errno == EFAULT);
    CHECK(sendmmsg(sv[0], out, 0, 0) == 0);
    memset(in, 0, sizeof in);
    for (int i = 0; i < 6; i++) {
        iov[i] = (struct iovec){text[i], 8};
        in[i].msg_hdr = (struct msghdr){.msg_iov = &iov[i], .msg_iovlen = 1};
    }
    CHECK(recvmmsg(sv[1], in, 6, MSG_WAITFORONE, NULL) == 3);
    CHECK(in[0].msg_len == 1 && in[1].msg_len == 2 && in[2].msg_len == 3 && text[2][0] == '3');
    CHECK(recvmmsg(sv[1], in, 6, MSG_DONTWAIT, NULL) == -1 && errno == EAGAIN);
    struct timespec ts = {0, 1000000000};
    CHECK(recvmmsg(sv[1], in, 1, 0, &ts) == -1 && errno == EINVAL);
    ts = (struct timespec){5, 0};
    CHECK(send(sv[0], "x", 1, 0) == 1 && recvmmsg(sv[1], in, 1, 0, &ts) == 1);
    CHECK(ts.tv_sec == 4 || (ts.tv_sec == 5 && ts.tv_nsec == 0));
}

int
main(void)
{
    CHECK(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, sv) == 0);
    scattered();
    descriptors();
    credentials();
    many();
    return 0;
}
