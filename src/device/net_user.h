/*
 * net_user.h - a network behind the host's own address, by libslirp: 10.0.2.0/24, fec0::/64, DHCP, DNS
 *
 * The guest has 10.0.2.15 if it asks, the host is 10.0.2.2, its name servers 10.0.2.3. Connections go out as the user's own; those from
 * outside come in by forwards.
 *
 * Threads: one of its own, which is the only one that enters libslirp; callbacks and net_user_send() are on it. net_user_kick(): any.
 */
#ifndef DOPPEL_NET_USER_H
#define DOPPEL_NET_USER_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define NET_FRAME_MAX 65550 /* bytes of a frame that libslirp may be given */

/* What arrives on a port of the host goes to the guest. */
struct net_forward {
    bool udp;
    uint32_t host_addr, guest_addr; /* IPv4, network order; guest 0: the one that DHCP gives */
    uint16_t host_port, guest_port;
};

struct net_ops {
    void (*frame)(void *arg, const void *bytes, size_t n); /* from the network */
    void (*kicked)(void *arg);                             /* after net_user_kick() */
};

struct net_user;

struct net_user *net_user_new(const struct net_forward *forwards, unsigned n_forwards, const struct net_ops *ops, void *arg,
                              struct err *e);
void net_user_free(struct net_user *u);

void net_user_kick(struct net_user *u);
void net_user_send(struct net_user *u, const void *bytes, size_t n);

#endif
