/*
 * p9.h - a host folder as a file server that speaks 9P2000.L
 *
 * Threads: one at a time.
 * Trust: messages are the guest's, of any content. It reaches what lies below the folder and nothing else: see p9.c.
 */
#ifndef DOPPEL_P9_H
#define DOPPEL_P9_H

#include "base/err.h"
#include "device/virtio.h"

#include <stdbool.h>
#include <stdint.h>

struct p9;

/* Serve the folder `root`: a descriptor, own from then on (also if it fails), O_PATH will do. NULL with *e. */
struct p9 *p9_new(int root, bool read_only, struct err *e);
void p9_free(struct p9 *p);

/* Forget what the client has opened. */
void p9_reset(struct p9 *p);

/* Read the request in a chain, do it, and put the reply into the chain: how many bytes. 0: there was no room for any. */
uint32_t p9_serve(struct p9 *p, const struct vq_chain *c);

#endif
