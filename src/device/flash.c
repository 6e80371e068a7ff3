/*
 * flash.c - a bank of NOR flash
 *
 * Model: cfi-flash as in QEMU virt, 0x20000000 and 0x22000000, 32 MiB each: two chips of 16 bits side by side, Intel's commands (JEDEC
 * JEP137, command set 1; JESD68.01 for the query). Must please U-Boot's cfi_flash and EDK2's variable store.
 *
 *      array ──20 d0──► erase a block of 256 KiB ─┐
 *        │ ───40 v────► program                   ├──► status (80: ready)
 *        │ ───e8 n … d0► program n + 1 words      │
 *        │ ───60 01/d0► lock, unlock ─────────────┘
 *        │ ───70──► status   90──► identity   98──► query
 *        └◄──ff──── from anywhere
 *
 * In array mode the bytes are memory (physmap's ROM), so code executes from it; in the others reads come here. Programming clears bits,
 * erasing sets them.
 *
 * Threads: on any hart, under the lock.
 * Trust: offsets are below FLASH_BYTES, by physmap. What is buffered must stay in one block.
 */
#include "device/flash.h"

#include "device/dt.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#define BLOCK_BYTES  (UINT64_C(256) << 10) /* of both chips */
#define BUFFER_BYTES 4096                  /* of both chips */
#define WIDTH        4

enum { READY = 0x80, ERASE_FAILED = 0x20, PROGRAM_FAILED = 0x10 };
enum { C_PROGRAM2 = 0x10, C_ERASE = 0x20, C_PROGRAM = 0x40, C_CLEAR = 0x50, C_LOCK = 0x60, C_STATUS = 0x70, C_ID = 0x90, C_QUERY = 0x98,
       C_CONFIRM = 0xd0, C_BUFFER = 0xe8, C_ARRAY = 0xff };

struct flash_state {
    uint64_t buffer_at; /* where buffered words begin */
    uint32_t buffered, expected; /* words */
    uint8_t mode;       /* C_ARRAY, C_STATUS, C_ID, C_QUERY: what reads give */
    uint8_t command;    /* that waits for more, 0 if none does */
    uint8_t status;
    uint8_t buffer_bad; /* it leaves its block */
    uint8_t buffer[BUFFER_BYTES];
};

static const struct field fields_[] = {
    FIELD(struct flash_state, buffer_at, 1), FIELD(struct flash_state, buffered, 1),   FIELD(struct flash_state, expected, 1),
    FIELD(struct flash_state, mode, 1),      FIELD(struct flash_state, command, 1),    FIELD(struct flash_state, status, 1),
    FIELD(struct flash_state, buffer_bad, 1), FIELD(struct flash_state, buffer, BUFFER_BYTES),
};

struct flash {
    struct device dev;
    struct physmap *pm; /* ref */
    uint8_t *mem;       /* own: FLASH_BYTES */
    bool read_only;

    /* under dev.lock */
    struct flash_state s;
};

/* What each chip answers to a query, by its own word address (JESD68.01 §2). */
static uint8_t
query(uint64_t word)
{
    static const uint8_t table[] = {
        [0x10] = 'Q', 'R', 'Y', 1, 0, /* Intel's command set, whose table is at */ 0x31, 0,
        [0x1b] = 0x45, 0x55,          /* 4.5 … 5.5 V */
        [0x1f] = 7, 7, 10, 0, 4, 4, 4, 0, /* typical and greatest times, as powers of two */
        [0x27] = 24,                  /* 16 MiB */
        [0x28] = 2, 0,                /* 8 or 16 bits wide */
        [0x2a] = 11, 0,               /* buffers of 2 KiB */
        [0x2c] = 1,                   /* one kind of block: */
        [0x2d] = 127, 0, 0, 2,        /* 128 of them, of 128 KiB */
        [0x31] = 'P', 'R', 'I', '1', '0',
        [0x3f] = 1,
    };
    return word < sizeof table ? table[word] : 0;
}

static void
set_mode_locked(struct flash *f, uint8_t mode)
{
    f->s.mode = mode;
    f->s.command = 0;
    physmap_rom_show(f->pm, f->dev.base, mode == C_ARRAY);
}

static uint64_t
flash_read(void *dev, uint64_t off, unsigned size)
{
    struct flash *f = dev;
    uint64_t v = 0;
    device_lock(&f->dev);
    const uint64_t word = off / WIDTH % (BLOCK_BYTES / WIDTH);
    uint8_t answer = 0;
    switch (f->s.mode) {
    case C_ARRAY:
        memcpy(&v, f->mem + off, size);
        break;
    case C_STATUS:
        answer = f->s.status;
        break;
    case C_ID:
        answer = word == 0 ? 0x89 : word == 1 ? 0x18 : 0; /* Intel, 128 Mbit; 2: not locked */
        break;
    case C_QUERY:
        answer = query(word);
        break;
    }
    if (f->s.mode != C_ARRAY) {
        /* on both chips' lower bytes, as far as the access shows them */
        const uint64_t lanes = UINT64_C(0x0001000100010001) * answer;
        v = lanes >> (off & 1) * 8;
    }
    device_unlock(&f->dev);
    return v;
}

/* What the status has to say of it besides. */
static uint8_t
program(struct flash *f, uint64_t off, const uint8_t *bytes, size_t n)
{
    if (f->read_only) {
        return PROGRAM_FAILED;
    }
    for (size_t i = 0; i < n; i++) {
        f->mem[off + i] &= bytes[i];
    }
    return 0;
}

static uint8_t
erase(struct flash *f, uint64_t off)
{
    if (f->read_only) {
        return ERASE_FAILED;
    }
    memset(f->mem + (off & ~(BLOCK_BYTES - 1)), 0xff, BLOCK_BYTES);
    return 0;
}

/* A word of data for the buffer; the first decides where it begins. */
static void
buffer_locked(struct flash *f, uint64_t off, unsigned size, uint64_t v)
{
    struct flash_state *s = &f->s;
    if (s->buffered == 0) {
        s->buffer_at = off & ~(uint64_t)(BUFFER_BYTES - 1);
        memset(s->buffer, 0xff, sizeof s->buffer);
        s->buffer_bad = 0;
    }
    if (off < s->buffer_at || off - s->buffer_at + size > BUFFER_BYTES) {
        s->buffer_bad = 1;
    } else {
        memcpy(s->buffer + (off - s->buffer_at), &v, size);
    }
    s->buffered++;
}

/* What comes after the first word of a command. */
static void
second_locked(struct flash *f, uint64_t off, unsigned size, uint64_t v)
{
    struct flash_state *s = &f->s;
    const uint8_t code = (uint8_t)v;
    uint8_t status = READY;
    switch (s->command) {
    case C_PROGRAM:
        status |= program(f, off, (const uint8_t *)&v, size);
        break;
    case C_ERASE:
        if (code == C_CONFIRM) {
            status |= erase(f, off);
        } else {
            status |= ERASE_FAILED | PROGRAM_FAILED; /* the sequence was wrong */
        }
        break;
    case C_LOCK: /* blocks are never locked, which is what unlocking wants */
        if (code != C_CONFIRM && code != 1) {
            status |= ERASE_FAILED | PROGRAM_FAILED;
        }
        break;
    case C_BUFFER:
        if (s->expected == 0) {
            s->expected = (uint32_t)(v & 0xffff) + 1;
            s->buffered = 0;
            return;
        }
        if (s->buffered < s->expected) {
            buffer_locked(f, off, size, v);
            return;
        }
        if (code == C_CONFIRM && !s->buffer_bad) {
            status |= program(f, s->buffer_at, s->buffer, BUFFER_BYTES);
        } else {
            status |= PROGRAM_FAILED;
        }
        break;
    }
    s->status = (uint8_t)(s->status | status);
    set_mode_locked(f, C_STATUS);
}

static void
flash_write(void *dev, uint64_t off, unsigned size, uint64_t v)
{
    struct flash *f = dev;
    device_lock(&f->dev);
    const uint8_t code = (uint8_t)v;
    if (f->s.command != 0) {
        second_locked(f, off, size, v);
    } else {
        switch (code) {
        case C_PROGRAM2:
        case C_PROGRAM:
        case C_ERASE:
        case C_LOCK:
        case C_BUFFER:
            set_mode_locked(f, C_STATUS);
            f->s.command = code == C_PROGRAM2 ? C_PROGRAM : code;
            f->s.expected = 0;
            break;
        case C_STATUS:
        case C_ID:
        case C_QUERY:
            set_mode_locked(f, code);
            break;
        case C_CLEAR:
            f->s.status = READY;
            break;
        default: /* C_ARRAY, and what other makers' drivers try: back to memory */
            set_mode_locked(f, C_ARRAY);
        }
    }
    device_unlock(&f->dev);
}

static void
flash_reset(struct device *d)
{
    struct flash *f = (struct flash *)d;
    device_lock(d);
    f->s = (struct flash_state){.status = READY};
    set_mode_locked(f, C_ARRAY);
    device_unlock(d);
}

static int
flash_fdt(const struct device *d, void *fdt)
{
    static const char compatible[] = "cfi-flash";
    int r = device_fdt_begin(d, fdt, "flash", compatible, sizeof compatible);
    r = r != 0 ? r : fdt_property_u32(fdt, "bank-width", WIDTH);
    return r != 0 ? r : fdt_end_node(fdt);
}

static void
flash_free(struct device *d)
{
    struct flash *f = (struct flash *)d;
    munmap(f->mem, FLASH_BYTES);
    free(f);
}

static const struct device_type type_ = {
    .name = "flash",
    DEVICE_STATE(struct flash, s, fields_),
    .reset = flash_reset,
    .fdt = flash_fdt,
    .free = flash_free,
};

static const struct io_ops ops_ = {flash_read, flash_write, 1 | 2 | 4 | 8};

/* The file's bytes at the beginning of the bank. */
static int
map_file(struct flash *f, int fd, enum flash_mode mode, struct err *e)
{
    struct stat st;
    if (fstat(fd, &st) != 0) {
        return err_set(e, -errno, "flash");
    }
    if (!S_ISREG(st.st_mode) || st.st_size == 0 || (uint64_t)st.st_size > FLASH_BYTES) {
        return err_set(e, 0, "flash: a file of 1 byte to 32 MiB");
    }
    const int share = mode == FLASH_KEPT ? MAP_SHARED : MAP_PRIVATE;
    if (mmap(f->mem, (size_t)st.st_size, PROT_READ | PROT_WRITE, share | MAP_FIXED, fd, 0) == MAP_FAILED) {
        return err_set(e, -errno, "flash");
    }
    return 0;
}

struct device *
flash_new(struct physmap *pm, uint64_t base, int fd, enum flash_mode mode, struct err *e)
{
    struct flash *f = calloc(1, sizeof *f);
    void *mem = mmap(NULL, FLASH_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (f == NULL || mem == MAP_FAILED) {
        err_set(e, -ENOMEM, "flash");
        free(f);
        return NULL;
    }
    f->mem = mem;
    f->pm = pm;
    f->read_only = mode == FLASH_READ_ONLY;
    if ((fd >= 0 && map_file(f, fd, mode, e) < 0) || physmap_add_rom(pm, "flash", base, FLASH_BYTES, mem, &ops_, f, e) < 0) {
        munmap(mem, FLASH_BYTES);
        free(f);
        return NULL;
    }
    device_init(&f->dev, &type_, base, FLASH_BYTES, 0);
    flash_reset(&f->dev);
    return &f->dev;
}
