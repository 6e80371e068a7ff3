/*
 * flash.h - a bank of NOR flash
 */
#ifndef DOPPEL_FLASH_H
#define DOPPEL_FLASH_H

#include "base/err.h"
#include "device/device.h"
#include "memory/physmap.h"

#define FLASH_BYTES (UINT64_C(32) << 20) /* of a bank */

enum flash_mode {
    FLASH_KEPT,      /* what is programmed is in the file */
    FLASH_READ_ONLY, /* programming and erasing fail */
    FLASH_SNAPSHOT,  /* they work until power-off; the file is left alone */
};

/* fd: the file that it holds, at most FLASH_BYTES; -1: none, then it begins empty. The descriptor stays the caller's. */
struct device *flash_new(struct physmap *pm, uint64_t base, int fd, enum flash_mode mode, struct err *e);

#endif
