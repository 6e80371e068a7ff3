/*
 * net_impl.h - what sys_net.c, sys_msg.c and strace_net.c share
 */
#ifndef DOPPEL_NET_IMPL_H
#define DOPPEL_NET_IMPL_H

#include "process/task.h"
#include "process/vfs.h"

#include <sys/socket.h>

/* struct msghdr of the guest. */
struct guest_msghdr {
    uint64_t name;
    int32_t namelen;
    uint32_t pad;
    uint64_t iov, iovlen, control, controllen;
    uint32_t flags, pad2;
};

/* An address as the kernel reports it. */
struct net_addr {
    struct sockaddr_storage bytes;
    uint32_t len; /* may exceed sizeof bytes, as the kernel says it */
};

/*
 * `fd` is a socket of the guest's: 0; else -EBADF or -ENOTSOCK. The kernel looks at the descriptor before anything else,
 * so this is asked when something else is found wrong.
 */
int64_t net_socket_check(struct task *t, int fd);

/* Read an address of the guest's for bind (`create`), connect, sendto, sendmsg; vfs_addr_done() when it has been used. */
int64_t net_addr_in(struct task *t, gva_t addr, uint64_t len, bool create, struct vfs_addr *out);

/* What `from` is for the guest, into [addr, addr + cap); cap < 0 is EINVAL. Changes from->len to what it shall see. */
int64_t net_addr_out(struct task *t, struct net_addr *from, gva_t addr, int32_t cap);

/* Credentials that the kernel reports, as --fake-root shows them; and those that the guest sends, as the host has them. */
void net_ucred_out(struct task *t, struct ucred *cred);
void net_ucred_in(struct task *t, struct ucred *cred);

#endif
