/*
 * sys_msg.c - sendmsg, recvmsg, sendmmsg, recvmmsg
 *
 *   msghdr (56 bytes, both ABIs)   name | namelen | iov | iovlen | control | controllen | flags
 *   mmsghdr                        msghdr | length of the message, padded to 64 bytes
 *
 * The data goes between the kernel and the guest's memory directly. Control messages of a sender are copied first, because
 * a descriptor of the monitor's must not be sent (SCM_RIGHTS) and --fake-root's identity is not the host's
 * (SCM_CREDENTIALS); those of a receiver are written by the kernel and looked at afterwards.
 *
 * Threads: any. Trust: all of it is the guest's; each header is read once.
 */
#include "process/net_impl.h"

#include "base/nondet.h"
#include "process/fakeroot.h"
#include "process/syscall.h"

#include <errno.h>
#include <limits.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <time.h>

enum {
    CONTROL_MAX = 1 << 17, /* the kernel's default of net.core.optmem_max: more is ENOBUFS there too */
    MMSG_MAX = 1024,       /* of one sendmmsg or recvmmsg, as Linux */
    MMSG_BYTES = 64,
    MMSG_LEN_AT = 56,
};

_Static_assert(sizeof(struct guest_msghdr) == 56 && sizeof(struct msghdr) == 56, "kernel layout");

/* Read a header and its iovecs: 0 and the parts of the host's header that need no more thought. */
static int64_t
read_header(struct guest_msghdr *g, struct msghdr *h, struct iovec *iov, gva_t at)
{
    if (guest_read(g, at, sizeof *g) != 0) {
        return -EFAULT;
    }
    if (g->name == 0) {
        g->namelen = 0;
    }
    if (g->namelen < 0) {
        return -EINVAL;
    }
    if (g->namelen > (int)sizeof(struct sockaddr_storage)) {
        g->namelen = sizeof(struct sockaddr_storage);
    }
    if (g->iovlen > IOV_MAX) {
        return -EMSGSIZE;
    }
    int64_t r = syscall_iovec(iov, g->iov, g->iovlen);
    *h = (struct msghdr){.msg_iov = iov, .msg_iovlen = g->iovlen};
    return r;
}

/* The next control message at or after *at in control[len): its header and the range of its data. */
static bool
next_cmsg(const uint8_t *control, size_t len, size_t *at, struct cmsghdr *c, size_t *data, size_t *data_len)
{
    if (*at > len || len - *at < sizeof *c) {
        return false;
    }
    memcpy(c, control + *at, sizeof *c);
    if (c->cmsg_len < sizeof *c || c->cmsg_len > len - *at) {
        return false;
    }
    *data = *at + sizeof *c;
    *data_len = c->cmsg_len - sizeof *c;
    *at += (c->cmsg_len + 7) & ~(size_t)7;
    return true;
}

static int64_t
check_control(struct task *t, uint8_t *control, size_t len)
{
    struct cmsghdr c;
    size_t data, n;
    for (size_t at = 0; next_cmsg(control, len, &at, &c, &data, &n);) {
        if (c.cmsg_level != SOL_SOCKET) {
            continue;
        }
        for (size_t i = 0; c.cmsg_type == SCM_RIGHTS && i + sizeof(int) <= n; i += sizeof(int)) {
            int fd;
            memcpy(&fd, control + data + i, sizeof fd);
            if (fd < 0 || !vfs_fd_ok(vfs_of(t), fd)) {
                return -EBADF;
            }
        }
        struct ucred cred;
        if (c.cmsg_type == SCM_CREDENTIALS && n == sizeof cred) {
            memcpy(&cred, control + data, sizeof cred);
            net_ucred_in(t, &cred);
            memcpy(control + data, &cred, sizeof cred);
        }
    }
    return 0;
}

static int64_t
send_one(struct task *t, int fd, gva_t at, unsigned flags)
{
    struct guest_msghdr g;
    struct msghdr h;
    struct iovec iov[IOV_MAX];
    struct vfs_addr to = {.fd = -1};
    uint8_t few[1024], *control = few;
    int64_t r = read_header(&g, &h, iov, at);
    if (r < 0) {
        return r;
    }
    if (g.controllen > CONTROL_MAX) {
        return -ENOBUFS;
    }
    if (g.controllen > sizeof few && (control = malloc(g.controllen)) == NULL) {
        return -ENOBUFS;
    }
    if (g.controllen > 0) {
        r = guest_read(control, g.control, g.controllen) != 0 ? -EFAULT : check_control(t, control, g.controllen);
        h.msg_control = control;
        h.msg_controllen = g.controllen;
    }
    if (r == 0 && g.name != 0) {
        r = net_addr_in(t, g.name, (uint32_t)g.namelen, false, &to);
        h.msg_name = to.bytes;
        h.msg_namelen = to.len;
    }
    if (r == 0) {
        r = host_syscall_restartable(t, SYS_sendmsg, fd, &h, flags);
        vfs_addr_done(t, &to, r);
    }
    if (control != few) {
        free(control);
    }
    return r;
}

/*
 * Descriptors that have been received, n of them at `at`: those above the guest's limit, the last ones, are closed. How
 * many stay, or -EFAULT.
 */
static int64_t
limit_rights(struct task *t, gva_t at, uint64_t n)
{
    int64_t stay = 0;
    for (uint64_t i = 0; i < n; i++) {
        int fd;
        if (guest_read(&fd, at + i * sizeof fd, sizeof fd) != 0) {
            return -EFAULT;
        }
        stay += fd_made(t, fd) >= 0;
    }
    return stay;
}

/*
 * What has been received, and is in guest memory by now: descriptors as RLIMIT_NOFILE allows, credentials as --fake-root
 * shows them. Of descriptors there is one message, and it is the last (net/core/scm.c).
 */
static int64_t
fix_control(struct task *t, gva_t control, struct msghdr *h)
{
    struct cmsghdr c;
    uint64_t len = h->msg_controllen;
    for (uint64_t at = 0; at <= len && len - at >= sizeof c;) {
        struct ucred cred;
        if (guest_read(&c, control + at, sizeof c) != 0) {
            return -EFAULT;
        }
        if (c.cmsg_len < sizeof c || c.cmsg_len > len - at) {
            break;
        }
        if (c.cmsg_level == SOL_SOCKET && c.cmsg_type == SCM_RIGHTS) {
            uint64_t n = (c.cmsg_len - sizeof c) / sizeof(int);
            int64_t stay = limit_rights(t, control + at + sizeof c, n);
            if (stay < 0) {
                return stay;
            }
            if ((uint64_t)stay < n) {
                c.cmsg_len = sizeof c + (uint64_t)stay * sizeof(int);
                h->msg_flags |= MSG_CTRUNC;
                h->msg_controllen = at + (stay > 0 ? (c.cmsg_len + 7) & ~UINT64_C(7) : 0);
                return guest_write(control + at, &c, sizeof c);
            }
        }
        if (fakeroot_ids(t) != NULL && c.cmsg_level == SOL_SOCKET && c.cmsg_type == SCM_CREDENTIALS && c.cmsg_len == sizeof c + sizeof cred) {
            if (guest_read(&cred, control + at + sizeof c, sizeof cred) != 0) {
                return -EFAULT;
            }
            net_ucred_out(t, &cred);
            if (guest_write(control + at + sizeof c, &cred, sizeof cred) != 0) {
                return -EFAULT;
            }
        }
        at += (c.cmsg_len + 7) & ~UINT64_C(7);
    }
    return 0;
}

static int64_t
recv_one(struct task *t, int fd, gva_t at, unsigned flags)
{
    struct guest_msghdr g;
    struct msghdr h;
    struct iovec iov[IOV_MAX];
    struct net_addr from = {.len = 0};
    int64_t r = read_header(&g, &h, iov, at);
    if (r < 0) {
        return r;
    }
    if (!guest_range_ok(g.control, g.controllen)) {
        return -EFAULT;
    }
    /* So many descriptors may come at once that they reach ours. */
    if (g.controllen > sizeof(struct cmsghdr) + sizeof(int) * (VFS_FD_LOW - VFS_FD_NEAR) && fds_apart(t) != 0) {
        return -ENOMEM;
    }
    h.msg_control = g2h(g.control);
    h.msg_controllen = g.controllen;
    if (g.name != 0) {
        h.msg_name = &from.bytes;
        h.msg_namelen = sizeof from.bytes;
    }
    int64_t n = host_syscall_restartable(t, SYS_recvmsg, fd, &h, flags);
    if (n < 0) {
        return n;
    }
    if (g.name != 0) {
        from.len = h.msg_namelen;
        r = net_addr_out(t, &from, g.name, g.namelen);
        if (r == 0 && guest_write_u32(at + offsetof(struct guest_msghdr, namelen), from.len) != 0) {
            r = -EFAULT;
        }
    }
    r = r < 0 ? r : fix_control(t, g.control, &h);
    if (r == 0 && (guest_write_u32(at + offsetof(struct guest_msghdr, flags), (uint32_t)h.msg_flags) != 0 ||
                   guest_write_u64(at + offsetof(struct guest_msghdr, controllen), h.msg_controllen) != 0)) {
        r = -EFAULT;
    }
    return r < 0 ? r : n;
}

int64_t
sys_sendmsg(struct task *t, const uint64_t a[6])
{
    int64_t r = net_socket_check(t, (int)a[0]);
    return r < 0 ? r : send_one(t, (int)a[0], a[1], (unsigned)a[2]);
}

int64_t
sys_recvmsg(struct task *t, const uint64_t a[6])
{
    int64_t r = net_socket_check(t, (int)a[0]);
    return r < 0 ? r : recv_one(t, (int)a[0], a[1], (unsigned)a[2]);
}

int64_t
sys_sendmmsg(struct task *t, const uint64_t a[6])
{
    int fd = (int)a[0];
    uint32_t n = (uint32_t)a[2] < MMSG_MAX ? (uint32_t)a[2] : MMSG_MAX, done = 0;
    int64_t r = net_socket_check(t, fd);
    for (; r >= 0 && done < n; done++) {
        gva_t at = a[1] + (uint64_t)done * MMSG_BYTES;
        r = send_one(t, fd, at, (unsigned)a[3]);
        if (r < 0 || guest_write_u32(at + MMSG_LEN_AT, (uint32_t)r) != 0) {
            r = r < 0 ? r : -EFAULT;
            break;
        }
    }
    return done > 0 ? done : r; /* an error counts when nothing has been sent, and a restart too */
}

int64_t
sys_recvmmsg(struct task *t, const uint64_t a[6])
{
    int fd = (int)a[0];
    unsigned flags = (unsigned)a[3];
    uint32_t n = (uint32_t)a[2] < MMSG_MAX ? (uint32_t)a[2] : MMSG_MAX, done = 0;
    uint64_t end = UINT64_MAX;
    struct timespec left;
    if (a[4] != 0) {
        if (guest_read(&left, a[4], sizeof left) != 0) {
            return -EFAULT;
        }
        if (left.tv_sec < 0 || left.tv_nsec < 0 || left.tv_nsec >= 1000000000) {
            return -EINVAL;
        }
        uint64_t sec = left.tv_sec < INT32_MAX ? (uint64_t)left.tv_sec : INT32_MAX;
        end = nondet_mono_ns() + sec * 1000000000 + (uint64_t)left.tv_nsec;
    }
    int64_t r = net_socket_check(t, fd);
    while (r >= 0 && done < n) {
        gva_t at = a[1] + (uint64_t)done * MMSG_BYTES;
        r = recv_one(t, fd, at, flags & ~(unsigned)MSG_WAITFORONE);
        if (r < 0 || guest_write_u32(at + MMSG_LEN_AT, (uint32_t)r) != 0) {
            r = r < 0 ? r : -EFAULT;
            break;
        }
        done++;
        if (flags & MSG_WAITFORONE) {
            flags |= MSG_DONTWAIT;
        }
        /* as Linux has it: the time is looked at after a message has come, so that without one it waits on */
        if (a[4] != 0 && nondet_mono_ns() >= end) {
            break;
        }
    }
    if (done > 0 && a[4] != 0) {
        uint64_t now = nondet_mono_ns(), rest = now < end ? end - now : 0;
        left = (struct timespec){.tv_sec = (time_t)(rest / 1000000000), .tv_nsec = (long)(rest % 1000000000)};
        if (guest_write(a[4], &left, sizeof left) != 0) {
            return -EFAULT;
        }
    }
    return done > 0 ? done : r;
}
