/*
 * load_elf.h - ELF64 programs of riscv64: read and check them, map them
 *
 * Reading is separate from mapping, so that execve can refuse a file before anything is lost, and so that the fuzzer
 * reaches every check without an address space.
 */
#ifndef DOPPEL_LOAD_ELF_H
#define DOPPEL_LOAD_ELF_H

#include "base/err.h"
#include "process/map.h"

#include <elf.h>

/* Linux reads no more than 64 KiB of program headers. */
#define ELF_MAX_PHDRS (65536 / sizeof(Elf64_Phdr))

/* Where the file's bytes come from: bytes read (fewer at the end of the file), or -errno. */
typedef int64_t elf_read_fn(void *arg, void *buf, size_t n, uint64_t off);
elf_read_fn elf_read_fd; /* arg: int *, a descriptor */

struct elf_image {
    Elf64_Ehdr eh;
    unsigned nphdr;
    bool has_interp;
    bool exec_stack;
    char interp[4096];
    Elf64_Phdr ph[ELF_MAX_PHDRS];
};

/*
 * Read and check the headers of a program (interp false) or of an ELF interpreter. 0; -ENOEXEC if Linux would not know the
 * format, -EINVAL, -EIO, -ENOMEM as its loader says; *e tells why. Everything in *im is then within bounds, and the
 * segments fit into the guest's addresses once `bias` is chosen by elf_map().
 */
int elf_read(struct elf_image *im, elf_read_fn *read, void *arg, bool interp, struct err *e);

/* For a file that is no riscv64 program: does it look like one of another machine? Its e_machine, or 0. */
unsigned elf_foreign_machine(const void *head, size_t n);

struct elf_mapped {
    gva_t bias;        /* what was added to the file's addresses */
    gva_t entry, phdr; /* phdr: 0 if no segment holds the program headers */
    gva_t end;         /* first address behind the last segment's memory */
};

/* Where a position-independent file goes. */
enum elf_place { ELF_AT_MMAP_BASE, ELF_AT_PIE_BASE };

/* Map a checked file. 0, or -errno and *e; then some of it may be mapped. */
int elf_map(struct map *m, const struct elf_image *im, int fd, enum elf_place place, struct elf_mapped *out, struct err *e);

#endif
