/*
 * fw_cfg.h - named blobs that firmware asks for
 */
#ifndef DOPPEL_FW_CFG_H
#define DOPPEL_FW_CFG_H

#include "base/err.h"
#include "device/device.h"
#include "memory/physmap.h"

#define FW_CFG_FILES_MAX 16

struct fw_cfg;

struct fw_cfg *fw_cfg_new(struct physmap *pm, uint64_t base, struct err *e);
struct device *fw_cfg_device(struct fw_cfg *f);

/* Before the first hart runs: a file of this name, at most 55 bytes; its content is copied. 0, or -errno. */
int fw_cfg_add(struct fw_cfg *f, const char *name, const void *bytes, uint32_t n);

#endif
