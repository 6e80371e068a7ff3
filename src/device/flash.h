/*
 * flash.h - a bank of NOR flash
 */
#ifndef DOPPEL_FLASH_H
#define DOPPEL_FLASH_H

#include "base/err.h"
#include "device/device.h"
#include "memory/physmap.h"

#include <stdbool.h>

#define FLASH_BYTES (UINT64_C(32) << 20) /* of a bank */

/*
 * fd: the file that it holds, at most FLASH_BYTES, kept in step with what is programmed; -1: none, then it is empty. read_only: the file
 * is left alone. The descriptor stays the caller's.
 */
struct device *flash_new(struct physmap *pm, uint64_t base, int fd, bool read_only, struct err *e);

#endif
