/*
 * fw_cfg.c - named blobs that firmware asks for
 *
 * Model: qemu,fw-cfg-mmio as in QEMU virt, 0x10100000, 24 bytes; QEMU's specification "QEMU Firmware Configuration (fw_cfg) Device".
 *
 *   0x00  DATA      r   the next bytes of the item that is selected, in memory's order; zeros behind its end
 *   0x08  SELECTOR  w   16 bits, big-endian: item; its first byte is next
 *   0x10  DMA       rw  64 bits, big-endian: address of a command; the lower half starts it. Reads "QEMU CFG"
 *
 *   command, big-endian: control 4 | length 4 | address 8
 *                        control: 1 error · 2 read · 4 skip · 8 select (item in 31:16) · 16 write; all 0 when it is done
 *
 * Items: 0x0000 signature, 0x0001 what there is (1 registers, 2 DMA), 0x0019 the list of files, 0x0020 … files. Nothing is writable.
 *
 * Threads: on any hart, under the lock. Trust: lengths are checked by physmap, against RAM, and copies by the item.
 */
#include "device/fw_cfg.h"

#include "base/check.h"
#include "device/dt.h"

#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define FW_CFG_BYTES 0x18
#define DMA_MAGIC    UINT64_C(0x51454d5520434647) /* "QEMU CFG" */

enum { R_DATA = 0, R_SELECTOR = 8, R_DMA = 16, R_DMA_LOW = 20 };
enum { ITEM_SIGNATURE = 0, ITEM_ID = 1, ITEM_FILES = 0x19, ITEM_FIRST = 0x20 };
enum { DMA_ERROR = 1, DMA_READ = 2, DMA_SKIP = 4, DMA_SELECT = 8, DMA_WRITE = 16 };

struct fw_cfg_state {
    uint64_t dma;     /* as it was written */
    uint32_t at;      /* the next byte of the item */
    uint32_t item;
};

static const struct field fields_[] = {
    FIELD(struct fw_cfg_state, dma, 1),
    FIELD(struct fw_cfg_state, at, 1),
    FIELD(struct fw_cfg_state, item, 1),
};

/* An entry of the list of files, as the guest sees it. */
struct file {
    uint32_t bytes;  /* big-endian */
    uint16_t item;   /* big-endian */
    uint16_t reserved;
    char name[56];
};

struct fw_cfg {
    struct device dev;
    struct physmap *pm; /* ref */
    struct {
        uint32_t count; /* big-endian */
        struct file file[FW_CFG_FILES_MAX];
    } list;
    uint8_t *data[FW_CFG_FILES_MAX]; /* own */
    unsigned n_files;

    /* under dev.lock */
    struct fw_cfg_state s;
};

/* The bytes of an item; *n is 0 if there is no such. */
static const uint8_t *
item_bytes(const struct fw_cfg *f, uint32_t item, uint32_t *n)
{
    static const uint8_t signature[4] = {'Q', 'E', 'M', 'U'}, id[4] = {3};
    const uint32_t file = item - ITEM_FIRST;
    *n = 4;
    if (item == ITEM_SIGNATURE) {
        return signature;
    }
    if (item == ITEM_ID) {
        return id;
    }
    if (item == ITEM_FILES) {
        *n = (uint32_t)(sizeof f->list.count + f->n_files * sizeof f->list.file[0]);
        return (const uint8_t *)&f->list;
    }
    *n = file < f->n_files ? be32toh(f->list.file[file].bytes) : 0;
    return file < f->n_files ? f->data[file] : NULL;
}

static void
select_locked(struct fw_cfg *f, uint32_t item)
{
    f->s.item = item & 0x3fff; /* the upper two bits: writable, architecture's own */
    f->s.at = 0;
}

/* The next n bytes into `to`, or past them if it is NULL. */
static void
next_locked(struct fw_cfg *f, uint8_t *to, uint32_t n)
{
    uint32_t size;
    const uint8_t *bytes = item_bytes(f, f->s.item, &size);
    const uint32_t left = f->s.at < size ? size - f->s.at : 0, part = n < left ? n : left;
    if (to != NULL) {
        if (part > 0) {
            memcpy(to, bytes + f->s.at, part);
        }
        memset(to + part, 0, n - part);
    }
    f->s.at += part;
}

static void
dma_locked(struct fw_cfg *f)
{
    struct {
        uint32_t control, length;
        uint64_t address;
    } cmd;
    const uint64_t at = f->s.dma;
    f->s.dma = 0;
    if (!physmap_read(f->pm, at, &cmd, sizeof cmd)) {
        return; /* there is nowhere to say so */
    }
    const uint32_t control = be32toh(cmd.control), length = be32toh(cmd.length);
    uint32_t result = 0;
    if (control & DMA_SELECT) {
        select_locked(f, control >> 16);
    }
    if (control & DMA_READ) {
        uint8_t *to = physmap_ram(f->pm, be64toh(cmd.address), length);
        if (to != NULL) {
            next_locked(f, to, length);
        } else {
            result = DMA_ERROR;
        }
    } else if (control & DMA_WRITE) {
        result = DMA_ERROR;
    } else if (control & DMA_SKIP) {
        next_locked(f, NULL, length);
    }
    result = htobe32(result);
    physmap_write(f->pm, at, &result, sizeof result);
}

static uint64_t
fw_cfg_read(void *dev, uint64_t off, unsigned size)
{
    struct fw_cfg *f = dev;
    uint64_t v = 0;
    device_lock(&f->dev);
    if (off < R_SELECTOR) {
        next_locked(f, (uint8_t *)&v, size);
    } else if (off >= R_DMA) {
        const uint64_t magic = htobe64(DMA_MAGIC);
        memcpy(&v, (const uint8_t *)&magic + (off - R_DMA), size);
    }
    device_unlock(&f->dev);
    return v;
}

static void
fw_cfg_write(void *dev, uint64_t off, unsigned size, uint64_t v)
{
    struct fw_cfg *f = dev;
    device_lock(&f->dev);
    if (off == R_SELECTOR && size == 2) {
        select_locked(f, be16toh((uint16_t)v));
    } else if (off == R_DMA && size == 8) {
        f->s.dma = be64toh(v);
        dma_locked(f);
    } else if (off == R_DMA && size == 4) {
        f->s.dma = (uint64_t)be32toh((uint32_t)v) << 32;
    } else if (off == R_DMA_LOW && size == 4) {
        f->s.dma |= be32toh((uint32_t)v);
        dma_locked(f);
    }
    device_unlock(&f->dev);
}

static void
fw_cfg_reset(struct device *d)
{
    struct fw_cfg *f = (struct fw_cfg *)d;
    device_lock(d);
    f->s = (struct fw_cfg_state){0};
    device_unlock(d);
}

static int
fw_cfg_fdt(const struct device *d, void *fdt)
{
    static const char compatible[] = "qemu,fw-cfg-mmio";
    int r = device_fdt_begin(d, fdt, "fw-cfg", compatible, sizeof compatible);
    r = r != 0 ? r : fdt_property(fdt, "dma-coherent", NULL, 0);
    return r != 0 ? r : fdt_end_node(fdt);
}

static void
fw_cfg_free(struct device *d)
{
    struct fw_cfg *f = (struct fw_cfg *)d;
    for (unsigned i = 0; i < f->n_files; i++) {
        free(f->data[i]);
    }
    free(f);
}

static const struct device_type type_ = {
    .name = "fw-cfg",
    DEVICE_STATE(struct fw_cfg, s, fields_),
    .reset = fw_cfg_reset,
    .fdt = fw_cfg_fdt,
    .free = fw_cfg_free,
};

static const struct io_ops ops_ = {fw_cfg_read, fw_cfg_write, 1 | 2 | 4 | 8};

struct fw_cfg *
fw_cfg_new(struct physmap *pm, uint64_t base, struct err *e)
{
    struct fw_cfg *f = calloc(1, sizeof *f);
    if (f == NULL) {
        err_set(e, -ENOMEM, "fw-cfg");
        return NULL;
    }
    if (physmap_add_io(pm, "fw-cfg", base, FW_CFG_BYTES, &ops_, f, e) < 0) {
        free(f);
        return NULL;
    }
    device_init(&f->dev, &type_, base, FW_CFG_BYTES, 0);
    f->pm = pm;
    return f;
}

struct device *
fw_cfg_device(struct fw_cfg *f)
{
    return &f->dev;
}

int
fw_cfg_add(struct fw_cfg *f, const char *name, const void *bytes, uint32_t n)
{
    struct file *file = &f->list.file[f->n_files];
    if (f->n_files == FW_CFG_FILES_MAX || strlen(name) >= sizeof file->name) {
        return -ENOSPC;
    }
    uint8_t *copy = malloc(n > 0 ? n : 1);
    if (copy == NULL) {
        return -ENOMEM;
    }
    memcpy(copy, bytes, n);
    file->bytes = htobe32(n);
    file->item = htobe16((uint16_t)(ITEM_FIRST + f->n_files));
    strcpy(file->name, name);
    f->data[f->n_files++] = copy;
    f->list.count = htobe32(f->n_files);
    return 0;
}
