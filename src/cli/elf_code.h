/*
 * elf_code.h - where the code of an ELF file is
 */
#ifndef DOPPEL_ELF_CODE_H
#define DOPPEL_ELF_CODE_H

#include "base/err.h"

#include <stddef.h>
#include <stdint.h>

struct code_range {
    char name[64];       /* of the section, cut off if longer; "" for a segment */
    uint64_t addr;       /* where the guest sees it */
    const uint8_t *data; /* ref: into the file */
    size_t size;
};

/*
 * Find the executable sections of a little-endian riscv64 ELF file, or its executable segments if
 * it has no sections. The file may be anything: whatever points outside it is refused.
 *
 * return  how many there are (at most `max` are stored), or -errno with *e set
 */
int elf_code(const uint8_t *file, size_t size, struct code_range *out, int max, struct err *e);

/*
 * The ISA string of the file's attributes (riscv-elf-psabi, "Attributes": Tag_RISCV_arch).
 *
 * return  into the file, ends with a NUL there; NULL if the file has none
 */
const char *elf_arch(const uint8_t *file, size_t size);

#endif
