/*
 * sys_net.c - sockets: making, naming, options
 *
 * Families, types, options and addresses have the same numbers and layouts on riscv64 and x86-64. What is done here: addresses
 * of AF_UNIX are paths, so they pass the vfs; lengths that the kernel reads from memory are read once; options that
 * hold pointers are converted.
 *
 * Threads: any. Trust: descriptors, addresses and lengths are the guest's.
 */
#include "process/net_impl.h"

#include "process/fakeroot.h"
#include "process/syscall.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <stddef.h>
#include <string.h>

int64_t
net_socket_check(struct task *t, int fd)
{
    int type;
    socklen_t len = sizeof type;
    if (!vfs_fd_ok(vfs_of(t), fd)) {
        return -EBADF;
    }
    return host_syscall(SYS_getsockopt, fd, SOL_SOCKET, SO_TYPE, &type, &len);
}

/* The error of the descriptor, if it has one; else `err`. */
static int64_t
after_socket(struct task *t, int fd, int64_t err)
{
    int64_t r = net_socket_check(t, fd);
    return r < 0 ? r : err;
}

int64_t
net_addr_in(struct task *t, gva_t addr, uint64_t len, bool create, struct vfs_addr *out)
{
    uint8_t bytes[sizeof out->bytes];
    if ((int32_t)len < 0 || (uint32_t)len > sizeof bytes) {
        return -EINVAL;
    }
    if (guest_read(bytes, addr, (uint32_t)len) != 0) {
        return -EFAULT;
    }
    return vfs_addr_in(t, bytes, (uint32_t)len, create, out);
}

int64_t
net_addr_out(struct task *t, struct net_addr *from, gva_t addr, int32_t cap)
{
    if (cap < 0) {
        return -EINVAL;
    }
    vfs_addr_out(t, &from->bytes, sizeof from->bytes, &from->len);
    uint32_t n = from->len < sizeof from->bytes ? from->len : (uint32_t)sizeof from->bytes;
    n = n < (uint32_t)cap ? n : (uint32_t)cap;
    return n > 0 && guest_write(addr, &from->bytes, n) != 0 ? -EFAULT : 0;
}

/* The address goes to `addr`, as much as the length at `lenp` allows; then its length to `lenp`. */
static int64_t
report(struct task *t, struct net_addr *from, gva_t addr, gva_t lenp)
{
    uint32_t cap;
    if (guest_read_u32(&cap, lenp) != 0) {
        return -EFAULT;
    }
    int64_t r = net_addr_out(t, from, addr, (int32_t)cap);
    return r == 0 && guest_write_u32(lenp, from->len) != 0 ? -EFAULT : r;
}

int64_t
sys_socket(struct task *t, const uint64_t a[6])
{
    (void)t;
    return host_syscall(SYS_socket, a[0], a[1], a[2]);
}

int64_t
sys_socketpair(struct task *t, const uint64_t a[6])
{
    int fds[2] = {-1, -1};
    return fd_pair(t, host_syscall(SYS_socketpair, a[0], a[1], a[2], fds), fds, a[3]);
}

int64_t
sys_bind(struct task *t, const uint64_t a[6])
{
    struct vfs_addr to;
    int fd = (int)a[0];
    int64_t r = net_socket_check(t, fd);
    r = r < 0 ? r : net_addr_in(t, a[1], a[2], true, &to);
    if (r < 0) {
        /* a name that is taken is another error for a socket than for a file */
        return r == -EEXIST ? -EADDRINUSE : r;
    }
    r = host_syscall(SYS_bind, fd, to.bytes, to.len);
    vfs_addr_done(t, &to, r);
    return r;
}

int64_t
sys_connect(struct task *t, const uint64_t a[6])
{
    struct vfs_addr to;
    int fd = (int)a[0];
    /* here Linux asks whether it is a socket after it has read the address */
    int64_t r = vfs_fd_ok(vfs_of(t), fd) ? host_syscall(SYS_fcntl, fd, F_GETFD) : -EBADF;
    r = r < 0 ? r : net_addr_in(t, a[1], a[2], false, &to);
    if (r < 0) {
        return r;
    }
    r = host_syscall_restartable(t, SYS_connect, fd, to.bytes, to.len);
    vfs_addr_done(t, &to, r);
    return r;
}

int64_t
sys_listen(struct task *t, const uint64_t a[6])
{
    return vfs_fd_ok(vfs_of(t), (int)a[0]) ? host_syscall(SYS_listen, a[0], a[1]) : -EBADF;
}

int64_t
sys_accept4(struct task *t, const uint64_t a[6])
{
    struct net_addr from = {.len = sizeof from.bytes};
    bool want = a[1] != 0;
    if (!vfs_fd_ok(vfs_of(t), (int)a[0])) {
        return -EBADF;
    }
    int64_t fd = host_syscall_restartable(t, SYS_accept4, a[0], want ? &from.bytes : NULL, want ? &from.len : NULL,
                                          a[3]);
    if (fd < 0 || !want) {
        return fd;
    }
    int64_t r = report(t, &from, a[1], a[2]);
    if (r < 0) {
        host_syscall(SYS_close, fd); /* as Linux: the connection is lost */
        return r;
    }
    return fd;
}

int64_t
sys_accept(struct task *t, const uint64_t a[6])
{
    const uint64_t a4[6] = {a[0], a[1], a[2], 0};
    return sys_accept4(t, a4);
}

static int64_t
name_of(struct task *t, long nr, const uint64_t a[6])
{
    struct net_addr name = {.len = sizeof name.bytes};
    if (!vfs_fd_ok(vfs_of(t), (int)a[0])) {
        return -EBADF;
    }
    int64_t r = host_syscall(nr, a[0], &name.bytes, &name.len);
    return r < 0 ? r : report(t, &name, a[1], a[2]);
}

int64_t
sys_getsockname(struct task *t, const uint64_t a[6])
{
    return name_of(t, SYS_getsockname, a);
}

int64_t
sys_getpeername(struct task *t, const uint64_t a[6])
{
    return name_of(t, SYS_getpeername, a);
}

int64_t
sys_shutdown(struct task *t, const uint64_t a[6])
{
    return vfs_fd_ok(vfs_of(t), (int)a[0]) ? host_syscall(SYS_shutdown, a[0], a[1]) : -EBADF;
}

int64_t
sys_sendto(struct task *t, const uint64_t a[6])
{
    struct vfs_addr to = {.fd = -1};
    int fd = (int)a[0];
    if (!guest_range_ok(a[1], a[2])) {
        return -EFAULT; /* before the descriptor is looked at */
    }
    if (!vfs_fd_ok(vfs_of(t), fd)) {
        return -EBADF;
    }
    if (a[4] == 0) {
        return host_syscall_restartable(t, SYS_sendto, fd, g2h(a[1]), a[2], a[3]);
    }
    int64_t r = net_addr_in(t, a[4], a[5], false, &to);
    if (r < 0) {
        return after_socket(t, fd, r);
    }
    r = host_syscall_restartable(t, SYS_sendto, fd, g2h(a[1]), a[2], a[3], to.bytes, to.len);
    vfs_addr_done(t, &to, r);
    return r;
}

int64_t
sys_recvfrom(struct task *t, const uint64_t a[6])
{
    struct net_addr from = {.len = sizeof from.bytes};
    int fd = (int)a[0];
    bool want = a[4] != 0;
    if (!guest_range_ok(a[1], a[2])) {
        return -EFAULT; /* before the descriptor is looked at */
    }
    if (!vfs_fd_ok(vfs_of(t), fd)) {
        return -EBADF;
    }
    int64_t n = host_syscall_restartable(t, SYS_recvfrom, fd, g2h(a[1]), a[2], a[3], want ? &from.bytes : NULL,
                                         want ? &from.len : NULL);
    if (n < 0 || !want) {
        return n;
    }
    int64_t r = report(t, &from, a[4], a[5]);
    return r < 0 ? r : n;
}

void
net_ucred_out(struct task *t, struct ucred *cred)
{
    if (fakeroot_ids(t) == NULL) {
        return;
    }
    /* Which fake identity the peer has is not known; what is ours is root, as for files without a record. */
    if (cred->uid == (uint32_t)host_syscall(SYS_getuid)) {
        cred->uid = 0;
    }
    if (cred->gid == (uint32_t)host_syscall(SYS_getgid)) {
        cred->gid = 0;
    }
}

void
net_ucred_in(struct task *t, struct ucred *cred)
{
    if (fakeroot_ids(t) != NULL) {
        cred->uid = (uint32_t)host_syscall(SYS_getuid);
        cred->gid = (uint32_t)host_syscall(SYS_getgid);
    }
}

/* A classic BPF program: its instructions are the same everywhere, but it is found by a pointer. */
static int64_t
set_filter(int fd, int level, int opt, gva_t val, uint32_t len)
{
    struct sock_fprog prog;
    if (len != sizeof prog) {
        return -EINVAL;
    }
    if (guest_read(&prog, val, sizeof prog) != 0) {
        return -EFAULT;
    }
    gva_t insns = (uintptr_t)prog.filter;
    if (!guest_range_ok(insns, prog.len * sizeof(struct sock_filter))) {
        return -EFAULT;
    }
    prog.filter = g2h(insns);
    return host_syscall(SYS_setsockopt, fd, level, opt, &prog, len);
}

/* Options of packet filters (iptables) and of mapped receiving hold addresses that the kernel writes to: not for a guest. */
static bool
is_refused(bool set, int level, int opt)
{
    enum { XT_SO_SET_REPLACE = 64 };
    if (set) {
        return (level == SOL_IP || level == SOL_IPV6) && opt == XT_SO_SET_REPLACE;
    }
    return level == IPPROTO_TCP && opt == TCP_ZEROCOPY_RECEIVE;
}

int64_t
sys_setsockopt(struct task *t, const uint64_t a[6])
{
    int fd = (int)a[0], level = (int)a[1], opt = (int)a[2];
    uint32_t len = (uint32_t)a[4];
    if (!vfs_fd_ok(vfs_of(t), fd)) {
        return -EBADF;
    }
    if ((int32_t)len < 0) {
        return after_socket(t, fd, -EINVAL);
    }
    if (!guest_range_ok(a[3], len)) {
        return after_socket(t, fd, -EFAULT);
    }
    if (is_refused(true, level, opt)) {
        return after_socket(t, fd, -ENOPROTOOPT);
    }
    if (level == SOL_SOCKET && (opt == SO_ATTACH_FILTER || opt == SO_ATTACH_REUSEPORT_CBPF)) {
        int64_t r = net_socket_check(t, fd);
        return r < 0 ? r : set_filter(fd, level, opt, a[3], len);
    }
    return host_syscall(SYS_setsockopt, fd, level, opt, g2h(a[3]), len);
}

int64_t
sys_getsockopt(struct task *t, const uint64_t a[6])
{
    int fd = (int)a[0], level = (int)a[1], opt = (int)a[2];
    uint32_t len;
    int64_t r = net_socket_check(t, fd);
    if (r < 0) {
        return r;
    }
    if (is_refused(false, level, opt)) {
        return -ENOPROTOOPT;
    }
    if (guest_read_u32(&len, a[4]) != 0) {
        return -EFAULT;
    }
    /* SO_GET_FILTER counts instructions, everything else bytes. */
    uint64_t bytes = level == SOL_SOCKET && opt == SO_GET_FILTER ? len * sizeof(struct sock_filter) : len;
    if ((int32_t)len >= 0 && !guest_range_ok(a[3], bytes)) {
        return -EFAULT;
    }
    r = host_syscall(SYS_getsockopt, fd, level, opt, g2h(a[3]), &len);
    if (r < 0) {
        return r;
    }
    struct ucred cred;
    if (level == SOL_SOCKET && opt == SO_PEERCRED && len == sizeof cred && guest_read(&cred, a[3], len) == 0) {
        net_ucred_out(t, &cred);
        if (guest_write(a[3], &cred, len) != 0) {
            return -EFAULT;
        }
    }
    return guest_write_u32(a[4], len) == 0 ? r : -EFAULT;
}
