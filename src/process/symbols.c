/*
 * symbols.c - see symbols.h
 *
 * Which file is mapped at an address is asked of the host, whose mappings the guest's are; its .symtab, or else .dynsym, is
 * mapped and searched, and its procedure linkage table. Files are looked at once and kept: this is for who looks on with perf or
 * counts, so it may cost memory.
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
    const char *name; /* ref: the file's; no NUL need follow */
    uint32_t len;
    bool plt;         /* not the function, but the stub that jumps to it */
};

struct file {
    struct file *next;
    char *path;
    const uint8_t *bytes; /* NULL: could not be read */
    uint64_t size;
    const Elf64_Phdr *segments;
    const Elf64_Shdr *sections;
    unsigned n_segments, n_sections;
    struct function *functions; /* own: by address */
    size_t n_functions;
};

/* Where an address is in a file, as its program headers count, and in what: a function, or the code between two. */
struct place {
    const struct file *file;
    const struct function *function; /* NULL: between */
    uint64_t at, start;
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

/* A section's bytes, aligned as its items are; NULL if they are not there. */
static const void *
contents(const struct file *f, const Elf64_Shdr *sh, unsigned align)
{
    return sh->sh_offset % align == 0 ? piece(f, sh->sh_offset, sh->sh_size) : NULL;
}

static const Elf64_Shdr *
section_at(const struct file *f, uint64_t k)
{
    return k < f->n_sections ? &f->sections[k] : NULL;
}

static void
find_headers(struct file *f)
{
    const Elf64_Ehdr *eh = piece(f, 0, sizeof *eh);
    if (eh == NULL || memcmp(eh->e_ident, ELFMAG, SELFMAG) != 0 || eh->e_ident[EI_CLASS] != ELFCLASS64) {
        return;
    }
    if (eh->e_phentsize == sizeof *f->segments && eh->e_phoff % 8 == 0) {
        f->segments = piece(f, eh->e_phoff, (uint64_t)eh->e_phnum * sizeof *f->segments);
        f->n_segments = f->segments != NULL ? eh->e_phnum : 0;
    }
    if (eh->e_shentsize == sizeof *f->sections && eh->e_shoff % 8 == 0) {
        f->sections = piece(f, eh->e_shoff, (uint64_t)eh->e_shnum * sizeof *f->sections);
        f->n_sections = f->sections != NULL ? eh->e_shnum : 0;
    }
}

static const Elf64_Shdr *
section_named(const struct file *f, const char *name)
{
    const Elf64_Shdr *names = section_at(f, ((const Elf64_Ehdr *)(const void *)f->bytes)->e_shstrndx);
    const char *text = names != NULL ? contents(f, names, 1) : NULL;
    const uint64_t len = strlen(name) + 1;
    for (unsigned k = 0; text != NULL && k < f->n_sections; k++) {
        const uint64_t at = f->sections[k].sh_name;
        if (at < names->sh_size && len <= names->sh_size - at && memcmp(text + at, name, len) == 0) {
            return &f->sections[k];
        }
    }
    return NULL;
}

/* Of the section or else the segment that has it; an address without either is alone. */
static void
bounds(const struct file *f, uint64_t at, uint64_t *start, uint64_t *end)
{
    *start = at;
    *end = at + 1;
    for (unsigned k = 0; k < f->n_segments; k++) {
        const Elf64_Phdr *ph = &f->segments[k];
        if (ph->p_type == PT_LOAD && at - ph->p_vaddr < ph->p_memsz) {
            *start = ph->p_vaddr;
            *end = ph->p_vaddr + ph->p_memsz;
        }
    }
    for (unsigned k = 0; k < f->n_sections; k++) {
        const Elf64_Shdr *sh = &f->sections[k];
        if ((sh->sh_flags & SHF_EXECINSTR) && at - sh->sh_addr < sh->sh_size) {
            *start = sh->sh_addr;
            *end = sh->sh_addr + sh->sh_size;
        }
    }
}

struct names {
    const Elf64_Sym *syms;
    const char *strings;
    uint64_t n_syms, n_strings;
};

static bool
find_names(const struct file *f, const Elf64_Shdr *table, struct names *n)
{
    const Elf64_Shdr *str = table != NULL ? section_at(f, table->sh_link) : NULL;
    *n = (struct names){0};
    if (str != NULL) {
        *n = (struct names){contents(f, table, 8), contents(f, str, 1), table->sh_size / sizeof *n->syms, str->sh_size};
    }
    return n->syms != NULL && n->strings != NULL;
}

/* There is room for it. */
static void
add_function(struct file *f, const struct names *n, const Elf64_Sym *y, uint64_t start, uint64_t size, bool plt)
{
    const char *name = y->st_name < n->n_strings ? n->strings + y->st_name : NULL;
    const uint64_t len = name != NULL ? strnlen(name, n->n_strings - y->st_name) : 0;
    if (len != 0 && len <= UINT32_MAX) {
        f->functions[f->n_functions++] = (struct function){start, size, name, (uint32_t)len, plt};
    }
}

static int
by_start(const void *a, const void *b)
{
    const struct function *p = a, *q = b;
    return p->start < q->start ? -1 : p->start > q->start;
}

#define PLT_HEADER 32 /* the psABI's: the code that calls the resolver, then a stub for each relocation in .rela.plt */
#define PLT_STUB   16

static void
find_functions(struct file *f)
{
    const Elf64_Shdr *table = NULL, *plt = section_named(f, ".plt"), *rela = section_named(f, ".rela.plt");
    struct names of_file, of_plt;
    for (unsigned k = 0; k < f->n_sections; k++) {
        const uint32_t type = f->sections[k].sh_type;
        table = type == SHT_SYMTAB || (type == SHT_DYNSYM && table == NULL) ? &f->sections[k] : table;
    }
    const uint64_t n_syms = find_names(f, table, &of_file) ? of_file.n_syms : 0;
    const Elf64_Rela *r = rela != NULL ? contents(f, rela, 8) : NULL;
    const uint32_t *code = plt != NULL && plt->sh_size >= PLT_HEADER ? contents(f, plt, 4) : NULL;
    uint64_t n_stubs = 0;
    if (r != NULL && code != NULL && find_names(f, section_at(f, rela->sh_link), &of_plt)) {
        const uint64_t n = rela->sh_size / sizeof *r;
        n_stubs = (plt->sh_size - PLT_HEADER) / PLT_STUB;
        n_stubs = n < n_stubs ? n : n_stubs;
    }
    f->functions = calloc(n_syms + n_stubs + 1, sizeof *f->functions);
    if (f->functions == NULL) {
        return;
    }
    for (uint64_t k = 0; k < n_syms; k++) {
        const Elf64_Sym *y = &of_file.syms[k];
        if (ELF64_ST_TYPE(y->st_info) == STT_FUNC && y->st_shndx != SHN_UNDEF) {
            add_function(f, &of_file, y, y->st_value, y->st_size, false);
        }
    }
    for (uint64_t k = 0; k < n_stubs; k++) {
        const uint64_t off = PLT_HEADER + k * PLT_STUB, at = plt->sh_addr + off, sym = ELF64_R_SYM(r[k].r_info);
        const uint32_t *stub = code + off / 4; /* auipc t3, …; ld t3, …(t3): from where the relocation puts the function's address */
        const uint64_t slot = at + (uint64_t)(int32_t)(stub[0] & 0xfffff000) + (uint64_t)((int32_t)stub[1] >> 20);
        if (slot == r[k].r_offset && sym < of_plt.n_syms) {
            add_function(f, &of_plt, &of_plt.syms[sym], at, PLT_STUB, true);
        }
    }
    if (f->n_functions != 0) {
        qsort(f->functions, f->n_functions, sizeof *f->functions, by_start);
    }
    uint64_t next = UINT64_MAX, from, end; /* one without a size goes on until another begins */
    for (size_t k = f->n_functions; k-- > 0;) {
        struct function *const y = &f->functions[k];
        if (k + 1 < f->n_functions && y[1].start != y->start) {
            next = y[1].start;
        }
        if (y->size == 0) {
            bounds(f, y->start, &from, &end);
            y->size = (end < next ? end : next) - y->start;
        }
    }
}

/* The one that begins last among those that p->at is in; or else where the code between functions begins that it is in. */
static void
find_function(struct place *p)
{
    const struct file *f = p->file;
    size_t lo = 0, hi = f->n_functions;
    uint64_t end;
    while (lo < hi) {
        const size_t mid = (lo + hi) / 2;
        if (f->functions[mid].start <= p->at) {
            lo = mid + 1;
        } else {
            hi = mid;
        }
    }
    bounds(f, p->at, &p->start, &end);
    for (size_t k = lo; k-- > 0 && lo - k <= 16;) { /* functions seldom stand inside of others */
        const struct function *y = &f->functions[k];
        if (p->at - y->start < y->size) {
            p->function = y;
            p->start = y->start;
            return;
        }
        p->start = y->start + y->size > p->start ? y->start + y->size : p->start;
    }
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
            find_headers(f);
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

static bool
find_place(struct symbols *s, uint64_t pc, struct place *p)
{
    if (pc < s->last.start || pc >= s->last.end) {
        find_range(s, pc);
    }
    const struct file *f = s->last.file;
    if (f == NULL) {
        return false;
    }
    /* The file's offset, then the address that its program headers give it; what they say nothing of is one piece. */
    const uint64_t off = s->last.off + (pc - s->last.start);
    *p = (struct place){.file = f, .at = off, .start = s->last.off};
    for (unsigned k = 0; k < f->n_segments; k++) {
        const Elf64_Phdr *ph = &f->segments[k];
        if (ph->p_type == PT_LOAD && off - ph->p_offset < ph->p_filesz) {
            p->at = ph->p_vaddr + (off - ph->p_offset);
            find_function(p);
            break;
        }
    }
    return true;
}

size_t
symbols_name(void *symbols, uint64_t pc, char *name, size_t size)
{
    struct place p;
    if (!find_place(symbols, pc, &p) || p.function == NULL) {
        return 0;
    }
    char offset[24] = "";
    if (p.at != p.start) {
        snprintf(offset, sizeof offset, "+%#llx", (unsigned long long)(p.at - p.start));
    }
    const int n = snprintf(name, size, "%.*s%s%s", (int)p.function->len, p.function->name, p.function->plt ? "@plt" : "", offset);
    return n < 0 ? 0 : (size_t)n < size ? (size_t)n : size - 1;
}

bool
symbols_function(void *symbols, uint64_t pc, struct engine_function *f)
{
    struct place p;
    if (!find_place(symbols, pc, &p)) {
        return false;
    }
    f->object = p.file->path;
    f->start = pc - (p.at - p.start);
    f->offset = p.start;
    f->name[0] = '\0';
    if (p.function != NULL) {
        snprintf(f->name, sizeof f->name, "%.*s%s", (int)p.function->len, p.function->name, p.function->plt ? "@plt" : "");
    }
    return true;
}
