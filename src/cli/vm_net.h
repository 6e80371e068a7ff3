/*
 * vm_net.h - --net
 */
#ifndef DOPPEL_VM_NET_H
#define DOPPEL_VM_NET_H

#include "machine/machine.h"

/* The user's, with the card that QEMU's machines have, too. */
#define VM_NET_DEFAULT {.kind = NET_USER, .mac = {0x52, 0x54, 0x00, 0x12, 0x34, 0x56}}

/* Changes `text`, keeps pieces of it in *net, and opens what is to be opened; *own: a socket's path, if one is made. 0, or an exit status after a message. */
int vm_net_parse(struct net_config *net, const char *shown, char *text, const char **own);

#endif
