/*
 * net_wire.h - a network that somebody else makes: frames go to a descriptor and come from it
 *
 *      tap             one frame a read or write: a bridge, a route, whatever its owner makes of it
 *      datagrams       one frame a datagram, AF_UNIX: to one peer, or a switch
 *      a stream        4 bytes of length, big-endian, in front of each frame, as QEMU's -netdev stream: two machines
 *
 * A frame that finds no room is lost, as on any wire. A stream whose other end goes, or says nonsense, waits for the next one that calls,
 * if it listens; else the wire is cut.
 *
 * Threads: a worker's: callbacks and net_wire_send() are on it. net_wire_kick(): any.
 * Trust: the other end is as much a stranger as the guest: lengths are checked, frames are the guest's business.
 */
#ifndef DOPPEL_NET_WIRE_H
#define DOPPEL_NET_WIRE_H

#include "base/err.h"
#include "device/net_user.h"

#include <stdbool.h>

struct net_wire_config {
    int fd;         /* own: from net_wire_new() on, also if it fails; -1: nobody is there yet */
    int listener;   /* own, the same: who calls here is the other end; or -1 */
    bool stream;
    const char *to; /* ref: the path that datagrams go to; NULL: fd is connected */
};

struct net_wire;

struct net_wire *net_wire_new(const struct net_wire_config *cfg, const struct net_ops *ops, void *arg, struct err *e);
void net_wire_free(struct net_wire *w);

void net_wire_kick(struct net_wire *w);
void net_wire_send(struct net_wire *w, const void *bytes, size_t n);

#endif
