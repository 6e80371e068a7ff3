/*
 * load_elf.c - see load_elf.h
 *
 * System V ABI (generic ELF), RISC-V ELF psABI; what is accepted and refused, in which order segments are mapped and zeroed,
 * and where position-independent files go, as fs/binfmt_elf.c of Linux 6.12 does it on riscv64.
 * Trust: every field is the guest's.
 */
#include "process/load_elf.h"

#include "process/host.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#define PAGE_OFFSET(x) ((x) & (GUEST_PAGE - 1))
#define PAGE_START(x)  ((x) & ~(uint64_t)(GUEST_PAGE - 1))
#define PAGE_UP(x)     PAGE_START((x) + GUEST_PAGE - 1)
#define PIE_BASE       PAGE_START(GUEST_TOP / 3 * 2) /* ELF_ET_DYN_BASE */

int64_t
elf_read_fd(void *arg, void *buf, size_t n, uint64_t off)
{
    size_t done = 0;
    while (done < n) {
        int64_t r = host_syscall(SYS_pread64, *(int *)arg, (char *)buf + done, n - done, off + done);
        if (r == -EINTR) {
            continue;
        }
        if (r < 0) {
            return r;
        }
        if (r == 0) {
            break;
        }
        done += (size_t)r;
    }
    return (int64_t)done;
}

unsigned
elf_foreign_machine(const void *head, size_t n)
{
    Elf64_Ehdr eh; /* e_machine is at the same place in 32-bit files */
    if (n < offsetof(Elf64_Ehdr, e_version) || memcmp(head, ELFMAG, SELFMAG) != 0) {
        return 0;
    }
    memcpy(&eh, head, offsetof(Elf64_Ehdr, e_version));
    return eh.e_machine == EM_RISCV ? 0 : eh.e_machine;
}

/* Read exactly n bytes, or say that the file is too short. */
static int
read_all(elf_read_fn *read, void *arg, void *buf, size_t n, uint64_t off, const char *what, struct err *e)
{
    if ((int64_t)off < 0 || off + n < off) {
        return err_set(e, -EINVAL, "%s would lie beyond any file", what);
    }
    int64_t r = read(arg, buf, n, off);
    if (r < 0) {
        return err_set(e, (int)r, "read %s", what);
    }
    if ((size_t)r < n) {
        err_set(e, 0, "file ends at byte %llu, within %s", (unsigned long long)(off + (uint64_t)r), what);
        return -EIO;
    }
    return 0;
}

static int
noexec(struct err *e, const char *why)
{
    err_set(e, 0, "not a riscv64 program: %s", why);
    return -ENOEXEC;
}

static int
check_header(const Elf64_Ehdr *eh, struct err *e)
{
    if (memcmp(eh->e_ident, ELFMAG, SELFMAG) != 0) {
        return noexec(e, "no ELF file");
    }
    if (eh->e_machine != EM_RISCV) {
        err_set(e, 0, "not a riscv64 program: ELF for machine %u", eh->e_machine);
        return -ENOEXEC;
    }
    if (eh->e_ident[EI_CLASS] != ELFCLASS64) {
        return noexec(e, "ELF of 32 bits");
    }
    if (eh->e_ident[EI_DATA] != ELFDATA2LSB) {
        return noexec(e, "ELF of big-endian data");
    }
    if (eh->e_type != ET_EXEC && eh->e_type != ET_DYN) {
        return noexec(e, "ELF, but neither executable nor shared object");
    }
    if (eh->e_phentsize != sizeof(Elf64_Phdr)) {
        return noexec(e, "program headers of an unknown size");
    }
    if (eh->e_phnum == 0 || eh->e_phnum > ELF_MAX_PHDRS) {
        return noexec(e, "no program headers, or too many");
    }
    return 0;
}

/* One PT_LOAD, before it is known where the file goes. */
static int
check_load(const Elf64_Phdr *ph, unsigned i, struct err *e)
{
    const char *why = ph->p_filesz > ph->p_memsz                                ? "is larger in the file than in memory"
                      : ph->p_memsz > GUEST_TOP || ph->p_vaddr > GUEST_TOP - ph->p_memsz ? "ends beyond the address space"
                      : ph->p_filesz != 0 && PAGE_OFFSET(ph->p_vaddr) != PAGE_OFFSET(ph->p_offset)
                          ? "begins at another place of a page in the file than in memory"
                      : (int64_t)ph->p_offset < 0 ? "lies beyond any file"
                                                  : NULL;
    return why == NULL ? 0 : err_set(e, -EINVAL, "segment %u %s", i, why);
}

int
elf_read(struct elf_image *im, elf_read_fn *read, void *arg, bool interp, struct err *e)
{
    int64_t n = read(arg, &im->eh, sizeof im->eh, 0);
    if (n < 0) {
        return err_set(e, (int)n, "read");
    }
    if ((size_t)n < sizeof im->eh) {
        return noexec(e, "shorter than an ELF header");
    }
    int r = check_header(&im->eh, e);
    if (r != 0) {
        return r;
    }
    im->nphdr = im->eh.e_phnum;
    r = read_all(read, arg, im->ph, im->nphdr * sizeof im->ph[0], im->eh.e_phoff, "program headers", e);
    if (r != 0) {
        return r;
    }
    im->has_interp = false;
    im->exec_stack = false; /* riscv64's default: EXSTACK_DISABLE_X */
    bool loads = false;
    for (unsigned i = 0; i < im->nphdr; i++) {
        const Elf64_Phdr *ph = &im->ph[i];
        if (ph->p_type == PT_LOAD) {
            loads = true;
            r = check_load(ph, i, e);
        } else if (ph->p_type == PT_GNU_STACK) {
            im->exec_stack = ph->p_flags & PF_X;
        } else if (ph->p_type == PT_INTERP && !interp && !im->has_interp) {
            if (ph->p_filesz > sizeof im->interp || ph->p_filesz < 2) {
                return noexec(e, "its interpreter's name is too long or empty");
            }
            r = read_all(read, arg, im->interp, ph->p_filesz, ph->p_offset, "its interpreter's name", e);
            if (r == 0 && im->interp[ph->p_filesz - 1] != 0) {
                return noexec(e, "its interpreter's name has no end");
            }
            im->has_interp = true;
        }
        if (r != 0) {
            return r;
        }
    }
    return loads ? 0 : noexec(e, "nothing to load");
}

static int
prot_of(const Elf64_Phdr *ph)
{
    return (ph->p_flags & PF_R ? PROT_READ : 0) | (ph->p_flags & PF_W ? PROT_WRITE : 0) |
           (ph->p_flags & PF_X ? PROT_EXEC : 0);
}

/* The part of a segment that the file fills, then zeros up to memsz. */
static int
map_segment(struct map *m, const Elf64_Phdr *ph, int fd, gva_t bias, bool first, struct err *e)
{
    gva_t start = PAGE_START(ph->p_vaddr) + bias, file_end = ph->p_vaddr + bias + ph->p_filesz;
    gva_t mem_end = ph->p_vaddr + bias + ph->p_memsz;
    int prot = prot_of(ph);
    gva_t zero_from = start;
    if (ph->p_filesz != 0) {
        int flags = MAP_PRIVATE | (first ? MAP_FIXED_NOREPLACE : MAP_FIXED);
        int64_t r = map_mmap(m, start, file_end - start, prot, flags, fd, ph->p_offset - PAGE_OFFSET(ph->p_vaddr));
        if (r < 0) {
            return err_set(e, (int)r, "map a segment at 0x%llx", (unsigned long long)start);
        }
        zero_from = PAGE_UP(file_end);
        static const char zeros[GUEST_PAGE];
        if (mem_end > file_end && PAGE_OFFSET(file_end) != 0 &&
            guest_write(file_end, zeros, zero_from - file_end) != 0 && (prot & PROT_WRITE)) {
            err_set(e, 0, "the file is shorter than its segment at 0x%llx", (unsigned long long)start);
            return -EFAULT;
        }
    }
    if (mem_end > zero_from) {
        int flags = MAP_PRIVATE | MAP_ANONYMOUS | (first && ph->p_filesz == 0 ? MAP_FIXED_NOREPLACE : MAP_FIXED);
        int64_t r = map_mmap(m, zero_from, PAGE_UP(mem_end) - zero_from, prot, flags, -1, 0);
        if (r < 0) {
            return err_set(e, (int)r, "map zeros at 0x%llx", (unsigned long long)zero_from);
        }
    }
    return 0;
}

/* Choose the bias of a position-independent file whose segments span [low, high). */
static int
choose_bias(struct map *m, const struct elf_image *im, gva_t low, gva_t high, enum elf_place place, gva_t *bias)
{
    uint64_t align = GUEST_PAGE;
    for (unsigned i = 0; i < im->nphdr; i++) {
        uint64_t a = im->ph[i].p_align;
        if (im->ph[i].p_type == PT_LOAD && a > align && (a & (a - 1)) == 0) {
            align = a;
        }
    }
    if (place == ELF_AT_PIE_BASE) {
        *bias = ((PIE_BASE + map_random_offset(m)) & -align) - low;
        return 0;
    }
    /* Find a hole by taking it: room for the span at any alignment. */
    uint64_t span = high - low, room = span + align - GUEST_PAGE;
    if (align > GUEST_TOP || room > GUEST_TOP) {
        return -ENOMEM;
    }
    int64_t at = map_mmap(m, 0, room, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (at < 0) {
        return (int)at;
    }
    map_munmap(m, (gva_t)at, room);
    *bias = (((gva_t)at + align - 1) & -align) - low;
    return 0;
}

int
elf_map(struct map *m, const struct elf_image *im, int fd, enum elf_place place, struct elf_mapped *out, struct err *e)
{
    gva_t low = GUEST_TOP, high = 0;
    for (unsigned i = 0; i < im->nphdr; i++) {
        const Elf64_Phdr *ph = &im->ph[i];
        if (ph->p_type == PT_LOAD) {
            gva_t start = PAGE_START(ph->p_vaddr), end = PAGE_UP(ph->p_vaddr + ph->p_memsz);
            low = start < low ? start : low;
            high = end > high ? end : high;
        }
    }
    gva_t bias = 0;
    int err = im->eh.e_type == ET_DYN ? choose_bias(m, im, low, high, place, &bias) : 0;
    if (err != 0) {
        return err_set(e, err, "no room for %llu bytes", (unsigned long long)(high - low));
    }
    if (high + bias > GUEST_TASK_TOP) {
        return err_set(e, -ENOMEM, "its segments end beyond the address space");
    }
    *out = (struct elf_mapped){.bias = bias, .entry = im->eh.e_entry + bias};
    bool first = true;
    for (unsigned i = 0; i < im->nphdr; i++) {
        const Elf64_Phdr *ph = &im->ph[i];
        if (ph->p_type != PT_LOAD || ph->p_memsz == 0) {
            continue;
        }
        int r = map_segment(m, ph, fd, bias, first, e);
        if (r != 0) {
            return r;
        }
        first = false;
        gva_t end = ph->p_vaddr + ph->p_memsz + bias;
        out->end = end > out->end ? end : out->end;
        if (ph->p_offset <= im->eh.e_phoff && im->eh.e_phoff < ph->p_offset + ph->p_filesz) {
            out->phdr = im->eh.e_phoff - ph->p_offset + ph->p_vaddr + bias;
        }
    }
    if (out->entry >= GUEST_TASK_TOP) {
        return err_set(e, -EINVAL, "its entry point lies beyond the address space");
    }
    return 0;
}
