/*
 * finisher.h - how a guest switches its machine off
 */
#ifndef DOPPEL_FINISHER_H
#define DOPPEL_FINISHER_H

#include "base/err.h"
#include "device/device.h"
#include "memory/physmap.h"

enum finish { FINISH_OFF, FINISH_FAIL, FINISH_REBOOT };

/* finish: called by a hart's thread with the device's lock held; `code` is that of FINISH_FAIL. It asks for the end, and returns. */
struct device *finisher_new(struct physmap *pm, uint64_t base, void (*finish)(void *arg, enum finish how, unsigned code), void *arg,
                            struct err *e);

#endif
