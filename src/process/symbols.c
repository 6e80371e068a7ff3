/*
 * symbols.c - see symbols.h
 *
 * Which file is mapped at an address is asked of the host, whose mappings the guest's are; its .symtab, or else .dynsym, is
 * mapped and searched. Files are looked at once and kept: this is for who looks on with perf, so it may cost memory.
 * Threads: the translator's lock is held. Trust: the file is the guest's; every offset is checked against its size.
 */
#include "process/symbols.h"

#include <elf.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

struct function {
    uint64_t start, size;
    uint32_t name; /* offset in the strings */
};

struct file {
    struct file *next;
    char *path;
    const uint8_t *bytes; /* NULL: not an ELF file */
    uint64_t size;
    const Elf64_Sym *syms;
    uint64_t n_syms;
    struct function *functions; /* own: by address */
    size_t n_functions;
    const char *strings;
    uint64_t n_strings;
};

struct range {
    uint64_t start, end, off; /* guest addresses; offset in the file */
    struct file *file;
};

struct symbols {
    uint64_t base;
    struct file *files;
    struct range last;
};

struct symbols *
symbols_new(uint64_t guest_base)
{
    struct symbols *s = calloc(1, sizeof *s);
    if (s != NULL) {
        s->base = guest_base;
    }
    return s;
}

static bool
is_inside(const struct file *f, uint64_t off, uint64_t len)
{
    return off <= f->size && len <= f->size - off;
}

static const void *
piece(const struct file *f, uint64_t off, uint64_t len)
{
    return is_inside(f, off, len) ? f->bytes + off : NULL;
}

static void
find_table(struct file *f)
{
    const Elf64_Ehdr *eh = piece(f, 0, sizeof *eh);
    if (eh == NULL || memcmp(eh->e_ident, ELFMAG, SELFMAG) != 0 || eh->e_ident[EI_CLASS] != ELFCLASS64 ||
        eh->e_shentsize != sizeof(Elf64_Shdr)) {
        return;
    }
    const Elf64_Shdr *sh = piece(f, eh->e_shoff, (uint64_t)eh->e_shnum * sizeof *sh);
    for (unsigned k = 0; sh != NULL && k < eh->e_shnum; k++) {
        if ((sh[k].sh_type != SHT_SYMTAB && (sh[k].sh_type != SHT_DYNSYM || f->syms != NULL)) || sh[k].sh_link >= eh->e_shnum) {
            continue;
        }
        const Elf64_Shdr *str = &sh[sh[k].sh_link];
        const void *syms = piece(f, sh[k].sh_offset, sh[k].sh_size), *strings = piece(f, str->sh_offset, str->sh_size);
        if (syms != NULL && strings != NULL && sh[k].sh_offset % 8 == 0) {
            f->syms = syms;
            f->n_syms = sh[k].sh_size / sizeof *f->syms;
            f->strings = strings;
            f->n_strings = str->sh_size;
        }
    }
}

static int
by_start(const void *a, const void *b)
{
    const struct function *p = a, *q = b;
    return p->start < q->start ? -1 : p->start > q->start;
}

static void
find_functions(struct file *f)
{
    f->functions = calloc(f->n_syms + 1, sizeof *f->functions);
    for (uint64_t k = 0; f->functions != NULL && k < f->n_syms; k++) {
        const Elf64_Sym *y = &f->syms[k];
        if (ELF64_ST_TYPE(y->st_info) == STT_FUNC && y->st_shndx != SHN_UNDEF && y->st_name < f->n_strings) {
            f->functions[f->n_functions++] = (struct function){y->st_value, y->st_size, y->st_name};
        }
    }
    if (f->n_functions != 0) {
        qsort(f->functions, f->n_functions, sizeof *f->functions, by_start);
    }
}

/* The one that begins last among those that the address is in; NULL for none. */
static const struct function *
function_at(const struct file *f, uint64_t at)
{
    size_t lo = 0, hi = f->n_functions;
    while (lo < hi) {
        const size_t mid = (lo + hi) / 2;
        if (f->functions[mid].start <= at) {
            lo = mid + 1;
        } else {
            hi = mid;
        }
    }
    for (size_t k = lo; k-- > 0 && lo - k <= 16;) { /* functions seldom stand inside of others */
        const struct function *y = &f->functions[k];
        if (at - y->start < y->size || y->size == 0) {
            return y;
        }
    }
    return NULL;
}

static struct file *
file_of(struct symbols *s, const char *path)
{
    for (struct file *f = s->files; f != NULL; f = f->next) {
        if (strcmp(f->path, path) == 0) {
            return f;
        }
    }
    struct file *f = calloc(1, sizeof *f);
    if (f == NULL) {
        return NULL;
    }
    f->path = strdup(path);
    f->next = s->files;
    s->files = f;
    struct stat st;
    const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode)) {
        void *p = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
        if (p != MAP_FAILED) {
            f->bytes = p;
            f->size = (uint64_t)st.st_size;
            find_table(f);
            find_functions(f);
        }
    }
    if (fd >= 0) {
        close(fd);
    }
    return f;
}

static void
find_range(struct symbols *s, uint64_t pc)
{
    const uint64_t host = pc + s->base;
    s->last = (struct range){pc & ~UINT64_C(4095), (pc & ~UINT64_C(4095)) + 4096, 0, NULL};
    FILE *maps = fopen("/proc/self/maps", "re");
    if (maps == NULL) {
        return;
    }
    for (char line[4400]; fgets(line, sizeof line, maps) != NULL;) {
        unsigned long long start, end, off;
        int path = 0;
        if (sscanf(line, "%llx-%llx %*s %llx %*s %*s %n", &start, &end, &off, &path) < 3 || host < start || host >= end) {
            continue;
        }
        line[strcspn(line, "\n")] = '\0';
        if (path != 0 && line[path] == '/') {
            s->last = (struct range){start - s->base, end - s->base, off, file_of(s, line + path)};
        }
        break;
    }
    fclose(maps);
}

size_t
symbols_name(void *symbols, uint64_t pc, char *name, size_t size)
{
    struct symbols *s = symbols;
    if (pc < s->last.start || pc >= s->last.end) {
        find_range(s, pc);
    }
    const struct file *f = s->last.file;
    if (f == NULL || f->syms == NULL) {
        return 0;
    }
    /* The file's offset, then the address that its program headers give it. */
    const Elf64_Ehdr *eh = (const void *)f->bytes;
    const uint64_t off = s->last.off + (pc - s->last.start);
    const Elf64_Phdr *ph = eh->e_phentsize == sizeof *ph ? piece(f, eh->e_phoff, (uint64_t)eh->e_phnum * sizeof *ph) : NULL;
    for (unsigned k = 0; ph != NULL && k < eh->e_phnum; k++) {
        if (ph[k].p_type != PT_LOAD || off < ph[k].p_offset || off - ph[k].p_offset >= ph[k].p_filesz) {
            continue;
        }
        const uint64_t at = ph[k].p_vaddr + (off - ph[k].p_offset);
        const struct function *best = function_at(f, at);
        if (best == NULL) {
            continue;
        }
        const char *text = f->strings + best->name;
        const int len = (int)strnlen(text, f->n_strings - best->name);
        const int n = at == best->start ? snprintf(name, size, "%.*s", len, text)
                                        : snprintf(name, size, "%.*s+%#llx", len, text, (unsigned long long)(at - best->start));
        return n < 0 ? 0 : (size_t)n < size ? (size_t)n : size - 1;
    }
    return 0;
}
