/*
 * boot.h - what is in memory, and where the first instruction is, when the machine starts
 *
 *   0x00001000  reset ROM (with firmware): a0 = hart, a1 = device tree, a2 = OpenSBI's "dynamic information"
 *   RAM         firmware, if there is one
 *   + 2 MiB     kernel: at its own offset, and above the firmware
 *   + 128 MiB   initrd (at half of a small memory): where QEMU has it
 *   top         device tree, below 3 GiB, on 2 MiB
 *
 * Images: Linux Image (its header says how much memory it needs), the same in gzip or zstd, EFI zboot around either, ELF (vmlinux,
 * fw_*.elf, xv6), anything else as it is, but text and programs for Linux, which are mistakes. Linux Documentation/arch/riscv/boot.rst, boot-image-header.rst; OpenSBI docs/firmware.
 *
 * Trust: images are the user's, but all in them is checked; a file that shrinks while it is read is an error.
 */
#ifndef DOPPEL_BOOT_H
#define DOPPEL_BOOT_H

#include "base/err.h"
#include "memory/physmap.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define BOOT_ROM_BASE UINT64_C(0x1000)
#define BOOT_ROM_BYTES 128

/* An image: a file, bytes that are there (`mem` not NULL), or code that the machine has at an address (`at`: flash). Else there is none. */
struct boot_image {
    const char *path;   /* ref */
    int fd1;            /* ref: of that file, a descriptor + 1; 0: it is opened when it is read */
    const uint8_t *mem; /* ref */
    size_t n_mem;
    uint64_t at;
};

/* The embedded guest: a kernel for S-mode. */
extern const struct boot_image boot_embedded;

struct boot_range {
    const char *what;
    uint64_t start, end;
};

struct boot {
    uint64_t entry;                 /* with firmware: its own; the reset ROM jumps there */
    uint64_t next;                  /* with firmware: the kernel's entry, or 0 */
    uint64_t dtb;                   /* address */
    uint64_t initrd, initrd_end;    /* 0, 0 if there is none */
    bool machine_mode;              /* there is firmware: start at BOOT_ROM_BASE in M-mode, else at entry in S-mode */
    struct boot_range ranges[32];   /* what is where, without overlap */
    unsigned n_ranges;
};

/*
 * Put the images into RAM. Without firmware the kernel is for S-mode, and there has to be one. 0 and *b, or -errno with *e, and RAM
 * holds anything.
 */
int boot_load(struct physmap *pm, const struct boot_image *firmware, const struct boot_image *kernel, const struct boot_image *initrd,
              struct boot *b, struct err *e);

/* Put the device tree into RAM, after boot_load(). */
int boot_place_dtb(struct physmap *pm, const void *dtb, size_t n, struct boot *b, struct err *e);

/* The reset ROM's bytes, after boot_place_dtb(). */
void boot_make_rom(const struct boot *b, uint8_t rom[BOOT_ROM_BYTES]);

#endif
