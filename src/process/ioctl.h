/*
 * ioctl.h - names of ioctl requests, for --strace
 */
#ifndef DOPPEL_IOCTL_H
#define DOPPEL_IOCTL_H

#include <stdint.h>

/* The name of a request that ioctl.def lists; else NULL. */
const char *ioctl_name(uint32_t req);

#endif
