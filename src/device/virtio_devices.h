/*
 * virtio_devices.h - the virtio devices that there are
 *
 * Each returns a device, or NULL with *e.
 */
#ifndef DOPPEL_VIRTIO_DEVICES_H
#define DOPPEL_VIRTIO_DEVICES_H

#include "base/err.h"
#include "block/block.h"
#include "device/chardev.h"
#include "device/net_user.h"
#include "device/net_wire.h"
#include "device/virtio.h"

#include <stdbool.h>
#include <stdint.h>

/* A disk: `block` is its own from then on, also if it fails. Of the serial number 20 bytes count. */
struct device *virtio_blk_new(const struct virtio_place *at, struct block *block, const char *serial, struct err *e);

/* A network card: NET_USER, a network of its own behind the host's address, 10.0.2.0/24, DHCP, DNS; NET_WIRE, see net_wire.h. */
#define NET_FORWARDS_MAX 32
struct net_config {
    enum { NET_NONE, NET_USER, NET_WIRE } kind;
    uint8_t mac[6];
    struct net_forward forwards[NET_FORWARDS_MAX];
    unsigned n_forwards;
    struct net_wire_config wire;
};
struct device *virtio_net_new(const struct virtio_place *at, const struct net_config *cfg, struct err *e);

/*
 * A folder of this machine, which the guest mounts by its tag (9p, at most VIRTIO_9P_TAG_MAX bytes). `folder`, own from then on (also if
 * it fails), is a descriptor of it.
 */
#define VIRTIO_9P_TAG_MAX (VIRTIO_CONFIG_MAX - 2)
struct device *virtio_9p_new(const struct virtio_place *at, int folder, bool read_only, const char *tag, struct err *e);

/*
 * Serial ports. The first one should be a console. `line`: ref, whose front the device becomes until it is freed. virtio_console_resize:
 * what shows it has another size; virtio_console_connect: somebody is, or is no more, at the other end. Any thread.
 */
#define VIRTIO_CONSOLE_PORTS_MAX 4
struct virtio_console_port {
    struct chardev *line;
    const char *name; /* ref: of /dev/virtio-ports/NAME; NULL: a console, hvcN */
    bool connected;   /* from the beginning */
};
struct device *virtio_console_new(const struct virtio_place *at, const struct virtio_console_port *ports, unsigned n_ports, struct err *e);
void virtio_console_resize(struct device *d, unsigned port, unsigned cols, unsigned rows);
void virtio_console_connect(struct device *d, unsigned port, bool connected);

/*
 * A balloon: the guest lends `bytes` of its memory if it can, and tells which pages it does not use. virtio_balloon_want: from now on so
 * many; virtio_balloon_has: so many it has lent; virtio_balloon_stats: what it last said of itself, by VIRTIO_BALLOON_S_* (UINT64_MAX:
 * nothing), and it is asked to say it again. Any thread.
 */
#define VIRTIO_BALLOON_STATS 16
enum { VIRTIO_BALLOON_S_SWAP_IN, VIRTIO_BALLOON_S_SWAP_OUT, VIRTIO_BALLOON_S_MAJFLT, VIRTIO_BALLOON_S_MINFLT, VIRTIO_BALLOON_S_MEMFREE,
       VIRTIO_BALLOON_S_MEMTOT, VIRTIO_BALLOON_S_AVAIL, VIRTIO_BALLOON_S_CACHES, VIRTIO_BALLOON_S_HTLB_PGALLOC,
       VIRTIO_BALLOON_S_HTLB_PGFAIL };
struct device *virtio_balloon_new(const struct virtio_place *at, uint64_t bytes, struct err *e);
void virtio_balloon_want(struct device *d, uint64_t bytes);
uint64_t virtio_balloon_has(struct device *d);
void virtio_balloon_stats(struct device *d, uint64_t stats[VIRTIO_BALLOON_STATS]);

/*
 * Sockets between programs of the guest, which is number `cid`, and AF_UNIX ones here: see virtio_vsock.c. `listener`, own from then on
 * (also if it fails), listens at `path`.
 */
struct device *virtio_vsock_new(const struct virtio_place *at, int listener, const char *path, uint64_t cid, struct err *e);

/* A power button, which the guest may obey. virtio_input_press: any thread. */
struct device *virtio_input_new(const struct virtio_place *at, struct err *e);
void virtio_input_press(struct device *d);

/* Random bytes. */
struct device *virtio_rng_new(const struct virtio_place *at, struct err *e);

#endif
