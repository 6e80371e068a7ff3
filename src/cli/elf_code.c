/*
 * elf_code.c - where the code of an ELF file is
 *
 * ELF-64 object file format; riscv-elf-psabi. Headers are copied out before use, since a file need
 * not align them.
 */
#include "cli/elf_code.h"

#include <elf.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

struct file {
    const uint8_t *data;
    size_t size;
};

static bool
inside(const struct file *f, uint64_t off, uint64_t len)
{
    return off <= f->size && len <= f->size - off;
}

/* Copy the i-th entry of a table of headers. */
static bool
entry(const struct file *f, uint64_t table, uint64_t i, void *out, size_t size)
{
    if (table > f->size || i > f->size / size || !inside(f, table + i * size, size)) {
        return false;
    }
    memcpy(out, f->data + table + i * size, size);
    return true;
}

static int
add(const struct file *f, const char *name, uint64_t addr, uint64_t off, uint64_t size,
    struct code_range *out, int max, int n)
{
    if (!inside(f, off, size)) {
        return -1;
    }
    if (n < max) {
        out[n] = (struct code_range){.addr = addr, .data = f->data + off, .size = size};
        snprintf(out[n].name, sizeof out[n].name, "%s", name);
    }
    return n + 1;
}

/* The name at `off` of the string table, at most 63 bytes of it; "?" if there is none. */
static void
section_name(const struct file *f, const Elf64_Shdr *strings, uint32_t off, char out[64])
{
    snprintf(out, 64, "?");
    if (!inside(f, strings->sh_offset, strings->sh_size) || off >= strings->sh_size) {
        return;
    }
    size_t len = strnlen((const char *)f->data + strings->sh_offset + off, strings->sh_size - off);
    if (len > 63) {
        len = 63;
    }
    memcpy(out, f->data + strings->sh_offset + off, len);
    out[len] = 0;
}

int
elf_code(const uint8_t *file, size_t size, struct code_range *out, int max, struct err *e)
{
    const struct file f = {file, size};
    Elf64_Ehdr eh;
    Elf64_Shdr sh, strings = {0};
    Elf64_Phdr ph;
    int n = 0;

    if (!entry(&f, 0, 0, &eh, sizeof eh) || memcmp(eh.e_ident, ELFMAG, SELFMAG) != 0) {
        return err_set(e, 0, "not an ELF file");
    }
    if (eh.e_ident[EI_CLASS] != ELFCLASS64 || eh.e_ident[EI_DATA] != ELFDATA2LSB ||
        eh.e_machine != EM_RISCV) {
        return err_set(e, 0, "not a little-endian riscv64 ELF file");
    }
    uint64_t shnum = eh.e_shnum, shstrndx = eh.e_shstrndx;
    if (eh.e_shoff != 0 && entry(&f, eh.e_shoff, 0, &sh, sizeof sh)) {
        /* Counts too large for the header stand in section 0. */
        shnum = shnum == 0 ? sh.sh_size : shnum;
        shstrndx = shstrndx == SHN_XINDEX ? sh.sh_link : shstrndx;
    }
    if (eh.e_shoff == 0 || shnum == 0) {
        for (unsigned i = 0; i < eh.e_phnum; i++) {
            if (eh.e_phentsize != sizeof ph || !entry(&f, eh.e_phoff, i, &ph, sizeof ph)) {
                return err_set(e, 0, "program header %u is outside the file", i);
            }
            if (ph.p_type == PT_LOAD && (ph.p_flags & PF_X)) {
                n = add(&f, "", ph.p_vaddr, ph.p_offset, ph.p_filesz, out, max, n);
            }
            if (n < 0) {
                return err_set(e, 0, "segment %u is outside the file", i);
            }
        }
        return n;
    }
    if (eh.e_shentsize != sizeof sh || !entry(&f, eh.e_shoff, shnum - 1, &sh, sizeof sh)) {
        return err_set(e, 0, "section headers are outside the file");
    }
    if (shstrndx < shnum) {
        entry(&f, eh.e_shoff, shstrndx, &strings, sizeof strings);
    }
    for (uint64_t i = 0; i < shnum; i++) {
        char name[64];
        entry(&f, eh.e_shoff, i, &sh, sizeof sh);
        if (!(sh.sh_flags & SHF_EXECINSTR) || sh.sh_type == SHT_NOBITS) {
            continue;
        }
        section_name(&f, &strings, sh.sh_name, name);
        n = add(&f, name, sh.sh_addr, sh.sh_offset, sh.sh_size, out, max, n);
        if (n < 0) {
            return err_set(e, 0, "section %s is outside the file", name);
        }
    }
    return n;
}

/* An unsigned LEB128 number; on a malformed one *p becomes end. */
static uint64_t
uleb(const uint8_t **p, const uint8_t *end)
{
    uint64_t v = 0;
    for (unsigned shift = 0; *p < end; shift += 7) {
        uint8_t b = *(*p)++;
        v |= shift < 64 ? (uint64_t)(b & 127) << shift : 0;
        if (!(b & 128)) {
            return v;
        }
    }
    return 0;
}

static uint32_t
word(const uint8_t *p)
{
    return p[0] | p[1] << 8 | p[2] << 16 | (uint32_t)p[3] << 24;
}

/*
 * 'A', length, "riscv", then blocks: tag (1: the whole file), length, attributes. An attribute of
 * odd tag is a string, of even tag a number.
 */
static const char *
arch_of_attributes(const uint8_t *p, size_t size)
{
    enum { TAG_FILE = 1, TAG_ARCH = 5 };
    static const char vendor[] = "riscv";
    const size_t head = 5 + sizeof vendor;

    if (size < head + 5 || p[0] != 'A' || memcmp(p + 5, vendor, sizeof vendor) != 0 ||
        p[head] != TAG_FILE) {
        return NULL;
    }
    uint32_t len = word(p + head + 1);
    const uint8_t *end = p + (len < size - head ? head + len : size);
    for (p += head + 5; p < end;) {
        uint64_t tag = uleb(&p, end);
        if (!(tag & 1)) {
            uleb(&p, end);
            continue;
        }
        size_t n = strnlen((const char *)p, (size_t)(end - p));
        if (n == (size_t)(end - p)) {
            return NULL;
        }
        if (tag == TAG_ARCH) {
            return (const char *)p;
        }
        p += n + 1;
    }
    return NULL;
}

const char *
elf_arch(const uint8_t *file, size_t size)
{
    const uint32_t attributes = 0x70000003; /* SHT_RISCV_ATTRIBUTES */
    const struct file f = {file, size};
    Elf64_Ehdr eh;
    Elf64_Shdr sh;

    if (!entry(&f, 0, 0, &eh, sizeof eh) || eh.e_shoff == 0) {
        return NULL;
    }
    for (unsigned i = 0; i < eh.e_shnum && entry(&f, eh.e_shoff, i, &sh, sizeof sh); i++) {
        if (sh.sh_type == attributes && inside(&f, sh.sh_offset, sh.sh_size)) {
            return arch_of_attributes(file + sh.sh_offset, sh.sh_size);
        }
    }
    return NULL;
}
