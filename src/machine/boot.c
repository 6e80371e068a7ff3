/*
 * boot.c - see boot.h
 */
#include "machine/boot.h"

#include "base/check.h"
#include "machine/unpack.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define MIB UINT64_C(0x100000)
#define KERNEL_ALIGN (2 * MIB)
#define INITRD_DISTANCE (128 * MIB)
#define DTB_LIMIT UINT64_C(0xc0000000) /* some early boot code reaches this far only */
#define PHDRS_MAX 64
#define TEXT_LOOK 512

/* An image that is open: what is read of it comes from the file, or from mem. */
struct source {
    const char *what; /* "kernel" */
    int fd;           /* own, or -1 */
    const uint8_t *mem;
    uint8_t *unpacked; /* own: what mem is, or NULL */
    uint64_t size;
};

/* Where an image has come to lie. */
struct placed {
    uint64_t entry, end;
};

static int
source_open(const struct boot_image *image, const char *what, struct source *s, struct err *e)
{
    *s = (struct source){ .what = what, .fd = -1, .mem = image->mem, .size = image->n_mem };
    if (image->mem != NULL) {
        return s->size != 0 ? 0 : err_set(e, 0, "it is empty");
    }
    s->fd = image->fd1 != 0 ? fcntl(image->fd1 - 1, F_DUPFD_CLOEXEC, 0) : open(image->path, O_RDONLY | O_CLOEXEC);
    struct stat st;
    if (s->fd < 0 || fstat(s->fd, &st) != 0) {
        return err_set(e, -errno, "open");
    }
    if (!S_ISREG(st.st_mode)) {
        return err_set(e, 0, "it is no file");
    }
    s->size = (uint64_t)st.st_size;
    return s->size != 0 ? 0 : err_set(e, 0, "it is empty");
}

static void
source_close(struct source *s)
{
    if (s->fd >= 0) {
        close(s->fd);
    }
    free(s->unpacked);
}

static int
source_read(const struct source *s, uint64_t off, void *to, uint64_t n, struct err *e)
{
    if (off > s->size || n > s->size - off) {
        return err_set(e, 0, "it ends at byte %llu, and is needed up to %llu", (unsigned long long)s->size,
                       (unsigned long long)off + n);
    }
    if (s->mem != NULL) {
        memcpy(to, s->mem + off, n);
        return 0;
    }
    for (uint64_t done = 0; done < n;) {
        ssize_t r = pread(s->fd, (char *)to + done, n - done, (off_t)(off + done));
        if (r < 0 && errno == EINTR) {
            continue;
        }
        if (r <= 0) {
            return r < 0 ? err_set(e, -errno, "read") : err_set(e, 0, "it has become shorter");
        }
        done += (uint64_t)r;
    }
    return 0;
}

/* The source's bytes [off, off + n) unpacked are the source from now on. */
static int
source_unpack(struct source *s, enum unpack_kind kind, uint64_t off, uint64_t n, uint64_t max, struct err *e)
{
    uint8_t *in = NULL, *out = NULL;
    size_t out_n = 0;
    if (off > s->size || n > s->size - off) {
        return err_set(e, 0, "it is cut short: %llu bytes, and its payload ends at %llu", (unsigned long long)s->size,
                       (unsigned long long)off + n);
    }
    if ((in = malloc(n)) == NULL) {
        return err_set(e, -ENOMEM, "unpack");
    }
    int r = source_read(s, off, in, n, e);
    if (r == 0) {
        r = unpack(kind, in, n, max, &out, &out_n, e);
    }
    free(in);
    if (r == 0) {
        free(s->unpacked);
        s->mem = s->unpacked = out;
        s->size = out_n;
        r = out_n != 0 ? 0 : err_set(e, 0, "it unpacks to nothing");
    }
    return r;
}

/* [start, start + n) is `what`'s. Nothing else may be there, and all of it has to be RAM. */
static int
claim(struct physmap *pm, struct boot *b, const char *what, uint64_t start, uint64_t n, struct err *e)
{
    if (n != 0 && physmap_ram(pm, start, n) == NULL) {
        return err_set(e, 0, "no memory at 0x%llx for %llu bytes: the machine's is 0x%llx … 0x%llx", (unsigned long long)start,
                       (unsigned long long)n, (unsigned long long)pm->ram_base,
                       (unsigned long long)(pm->ram_base + pm->ram_bytes));
    }
    for (unsigned i = 0; i < b->n_ranges; i++) {
        const struct boot_range *r = &b->ranges[i];
        if (start < r->end && r->start < start + n) {
            return err_set(e, 0, "at 0x%llx it would lie over the %s at 0x%llx … 0x%llx", (unsigned long long)start, r->what,
                           (unsigned long long)r->start, (unsigned long long)r->end);
        }
    }
    if (n != 0) {
        if (b->n_ranges == ARRAY_LEN(b->ranges)) {
            return err_set(e, 0, "too many pieces");
        }
        b->ranges[b->n_ranges++] = (struct boot_range){ what, start, start + n };
    }
    return 0;
}

static uint64_t
align_up(uint64_t v, uint64_t to)
{
    return (v + to - 1) & ~(to - 1);
}

static uint32_t
le32(const uint8_t *p)
{
    uint32_t v;
    memcpy(&v, p, sizeof v);
    return v;
}

static uint64_t
le64(const uint8_t *p)
{
    uint64_t v;
    memcpy(&v, p, sizeof v);
    return v;
}

/*
 * ELF. Physical addresses that lie in RAM are meant; else (vmlinux, whose are virtual, and what is linked at no place) the lowest one
 * goes to `base`, and the entry with it.
 */
static int
load_elf(struct physmap *pm, struct boot *b, const struct source *s, uint64_t base, struct placed *at, struct err *e)
{
    Elf64_Ehdr eh;
    Elf64_Phdr ph[PHDRS_MAX];
    int r = source_read(s, 0, &eh, sizeof eh, e);
    if (r != 0) {
        return r;
    }
    if (eh.e_ident[EI_CLASS] != ELFCLASS64 || eh.e_ident[EI_DATA] != ELFDATA2LSB || eh.e_machine != EM_RISCV ||
        (eh.e_type != ET_EXEC && eh.e_type != ET_DYN)) {
        return err_set(e, 0, "it is no riscv64 ELF program");
    }
    if (eh.e_phentsize != sizeof *ph || eh.e_phnum == 0 || eh.e_phnum > PHDRS_MAX) {
        return err_set(e, 0, "it has no sound table of ELF segments");
    }
    r = source_read(s, eh.e_phoff, ph, eh.e_phnum * sizeof *ph, e);
    if (r != 0) {
        return r;
    }
    uint64_t lowest = UINT64_MAX;
    for (unsigned i = 0; i < eh.e_phnum; i++) {
        if (ph[i].p_type == PT_INTERP || ph[i].p_type == PT_TLS) { /* a kernel has no dynamic linker, and no threads of libc's */
            return err_set(e, 0, "it is no %s but a program for Linux: `doppel run` runs it", s->what);
        }
        if (ph[i].p_type == PT_LOAD && ph[i].p_memsz != 0 && ph[i].p_paddr < lowest) {
            lowest = ph[i].p_paddr;
        }
    }
    if (lowest == UINT64_MAX) {
        return err_set(e, 0, "it has nothing to load");
    }
    const uint64_t move = physmap_ram(pm, lowest, 1) != NULL ? 0 : base - lowest;
    if (move != 0 && eh.e_type == ET_EXEC && lowest >> 63 == 0) {
        return err_set(e, 0, "it is linked at 0x%llx, and the machine's memory is at 0x%llx: a program for Linux? `doppel run` runs those",
                       (unsigned long long)lowest, (unsigned long long)pm->ram_base);
    }
    bool entry_found = false;
    for (unsigned i = 0; i < eh.e_phnum; i++) {
        const Elf64_Phdr *p = &ph[i];
        if (p->p_type != PT_LOAD || p->p_memsz == 0) {
            continue;
        }
        if (p->p_filesz > p->p_memsz) {
            return err_set(e, 0, "its ELF segment %u has more bytes in the file than in memory", i);
        }
        const uint64_t start = p->p_paddr + move;
        r = claim(pm, b, s->what, start, p->p_memsz, e);
        if (r == 0) {
            r = source_read(s, p->p_offset, physmap_ram(pm, start, p->p_memsz), p->p_filesz, e);
        }
        if (r != 0) {
            return r;
        }
        at->end = start + p->p_memsz > at->end ? start + p->p_memsz : at->end;
        /* The entry is a virtual address; some kernels have a physical one, which they say is virtual. */
        const uint64_t linked = eh.e_entry - p->p_vaddr < p->p_memsz ? p->p_vaddr : p->p_paddr;
        if (!entry_found && eh.e_entry - linked < p->p_memsz) {
            at->entry = eh.e_entry - linked + start;
            entry_found = true;
        }
    }
    return entry_found && (at->entry & 1) == 0 ? 0 : err_set(e, 0, "its entry point is in none of its segments");
}

/* Linux' Image header, 64 bytes: 8 text_offset, 16 image_size, 24 flags (bit 0: big-endian), 48 and 56 magic. */
static bool
is_linux_image(const uint8_t h[64])
{
    return memcmp(h + 56, "RSC\5", 4) == 0;
}

/*
 * The beginning of an image: text, by mistake. Machine code of that length has bytes that text has not; a few of its words may look like
 * anything, and then it is taken as it is.
 */
static bool
is_text(const uint8_t *p, size_t n)
{
    size_t ascii = 0;
    for (size_t i = 0; i < n; i++) {
        if (p[i] < ' ' && (p[i] == 0 || strchr("\t\n\f\r\033", p[i]) == NULL)) {
            return false;
        }
        ascii += p[i] < 0x7f;
    }
    return ascii > n / 2;
}

/* An image of any kind. base: where one goes that does not say; lowest: no Linux Image goes below. */
static int
load_image(struct physmap *pm, struct boot *b, struct source *s, uint64_t base, struct placed *at, struct err *e)
{
    uint8_t h[64] = { 0 };
    *at = (struct placed){ 0 };
    int r = source_read(s, 0, h, s->size < sizeof h ? s->size : sizeof h, e);
    if (r != 0) {
        return r;
    }
    if (memcmp(h, "MZ", 2) == 0 && memcmp(h + 4, "zimg", 4) == 0) { /* 8 offset, 12 size, 24 how it is packed */
        enum unpack_kind kind = memcmp(h + 24, "gzip", 5) == 0   ? UNPACK_GZIP
                                : memcmp(h + 24, "zstd", 5) == 0 ? UNPACK_ZSTD
                                                                 : UNPACK_NONE;
        if (kind == UNPACK_NONE) {
            return err_set(e, 0, "it is packed with '%.8s': doppel unpacks gzip and zstd", (const char *)h + 24);
        }
        r = source_unpack(s, kind, le32(h + 8), le32(h + 12), pm->ram_bytes, e);
    } else if (unpack_kind_of(h, sizeof h) != UNPACK_NONE) {
        r = source_unpack(s, unpack_kind_of(h, sizeof h), 0, s->size, pm->ram_bytes, e);
    }
    if (r == 0 && s->unpacked != NULL) {
        memset(h, 0, sizeof h);
        r = source_read(s, 0, h, s->size < sizeof h ? s->size : sizeof h, e);
    }
    if (r != 0) {
        return r;
    }
    if (memcmp(h, ELFMAG, SELFMAG) == 0) {
        return load_elf(pm, b, s, base, at, e);
    }
    uint8_t begin[TEXT_LOOK];
    const size_t look = s->size < sizeof begin ? s->size : sizeof begin;
    r = source_read(s, 0, begin, look, e);
    if (r == 0 && is_text(begin, look)) {
        r = err_set(e, 0, "it is no %s but text", s->what);
    }
    if (r != 0) {
        return r;
    }
    uint64_t need = s->size;
    if (is_linux_image(h)) {
        const uint64_t offset = le64(h + 8), size = le64(h + 16);
        if ((le64(h + 24) & 1) != 0) {
            return err_set(e, 0, "it is a big-endian kernel");
        }
        if (offset % KERNEL_ALIGN != 0 || offset >= pm->ram_bytes || size > pm->ram_bytes) {
            return err_set(e, 0, "its header wants %llu bytes at offset 0x%llx of the memory, of which there are %llu",
                           (unsigned long long)size, (unsigned long long)offset, (unsigned long long)pm->ram_bytes);
        }
        need = size > need ? size : need;
        base = pm->ram_base + offset > base ? pm->ram_base + offset : base;
    }
    r = claim(pm, b, s->what, base, need, e);
    if (r == 0) {
        r = source_read(s, 0, physmap_ram(pm, base, s->size), s->size, e);
    }
    at->entry = base;
    at->end = base + need;
    return r;
}

static int
load(struct physmap *pm, struct boot *b, const struct boot_image *image, const char *what, uint64_t base, struct placed *at,
     struct err *e)
{
    if (image->at != 0) {
        *at = (struct placed){ .entry = image->at };
        return 0;
    }
    struct source s;
    int r = source_open(image, what, &s, e);
    if (r == 0) {
        r = load_image(pm, b, &s, base, at, e);
    }
    source_close(&s);
    if (r != 0) {
        err_add(e, "%s %s", what, image->path != NULL ? image->path : "(built in)");
    }
    return r;
}

/* As far from the kernel as QEMU has it, or else directly behind the kernel. */
static int
load_initrd(struct physmap *pm, struct boot *b, const struct boot_image *image, uint64_t kernel, uint64_t kernel_end, struct err *e)
{
    struct source s;
    int r = source_open(image, "initrd", &s, e);
    if (r == 0) {
        const uint64_t half = pm->ram_bytes / 2;
        uint64_t start = align_up(kernel + (half < INITRD_DISTANCE ? half : INITRD_DISTANCE), PHYSMAP_PAGE);
        if (start < kernel_end || physmap_ram(pm, start, s.size + KERNEL_ALIGN) == NULL) {
            start = align_up(kernel_end, PHYSMAP_PAGE);
        }
        r = claim(pm, b, s.what, start, s.size, e);
        if (r == 0) {
            r = source_read(&s, 0, physmap_ram(pm, start, s.size), s.size, e);
        }
        b->initrd = start;
        b->initrd_end = start + s.size;
    }
    source_close(&s);
    if (r != 0) {
        err_add(e, "initrd %s", image->path != NULL ? image->path : "(built in)");
    }
    return r;
}

static bool
is_there(const struct boot_image *image)
{
    return image != NULL && (image->path != NULL || image->mem != NULL || image->at != 0);
}

int
boot_load(struct physmap *pm, const struct boot_image *firmware, const struct boot_image *kernel, const struct boot_image *initrd,
          struct boot *b, struct err *e)
{
    struct placed fw = { 0 }, k = { 0 };
    int r = 0;
    *b = (struct boot){ .machine_mode = is_there(firmware) };
    if (!b->machine_mode && !is_there(kernel)) {
        return err_set(e, 0, "there is neither firmware nor a kernel");
    }
    if (b->machine_mode) {
        r = load(pm, b, firmware, "firmware", pm->ram_base, &fw, e);
        b->entry = fw.entry;
    }
    uint64_t base = pm->ram_base + KERNEL_ALIGN;
    base = align_up(fw.end, KERNEL_ALIGN) > base ? align_up(fw.end, KERNEL_ALIGN) : base;
    if (r == 0 && is_there(kernel)) {
        r = load(pm, b, kernel, "kernel", base, &k, e);
        *(b->machine_mode ? &b->next : &b->entry) = k.entry;
    }
    if (r == 0 && is_there(initrd)) {
        r = load_initrd(pm, b, initrd, k.end != 0 ? k.entry : base, k.end != 0 ? k.end : base, e);
    }
    return r;
}

int
boot_place_dtb(struct physmap *pm, const void *dtb, size_t n, struct boot *b, struct err *e)
{
    uint64_t top = pm->ram_base + pm->ram_bytes;
    top = top > DTB_LIMIT && pm->ram_base < DTB_LIMIT ? DTB_LIMIT : top;
    b->dtb = n <= top ? (top - n) & ~(KERNEL_ALIGN - 1) : 0;
    int r = n != 0 ? claim(pm, b, "device tree", b->dtb, n, e) : err_set(e, 0, "it is empty");
    if (r != 0 && n != 0) {
        /* A memory of few MiB: any place will do. */
        b->dtb = (top - n) & ~(PHYSMAP_PAGE - 1);
        r = claim(pm, b, "device tree", b->dtb, n, e);
    }
    if (r != 0) {
        err_add(e, "device tree");
        return r;
    }
    memcpy(physmap_ram(pm, b->dtb, n), dtb, n);
    return 0;
}

void
boot_make_rom(const struct boot *b, uint8_t rom[BOOT_ROM_BYTES])
{
    static const uint32_t code[] = {
        0x00000297, /*      auipc t0, 0          */
        0x02828613, /*      addi  a2, t0, info   */
        0xf1402573, /*      csrr  a0, mhartid    */
        0x0202b583, /*      ld    a1, dtb(t0)    */
        0x0182b283, /*      ld    t0, entry(t0)  */
        0x00028067, /*      jr    t0             */
    };
    const uint64_t data[] = {
        b->entry, /* 0x18 */
        b->dtb,   /* 0x20 */
        /* 0x28: struct fw_dynamic_info, version 2 */
        0x4942534f, 2, b->next, 1 /* S-mode */, 0 /* options */, 0 /* boot hart */,
    };
    _Static_assert(sizeof code + sizeof data <= BOOT_ROM_BYTES, "the ROM is large enough");
    memset(rom, 0, BOOT_ROM_BYTES);
    memcpy(rom, code, sizeof code);
    memcpy(rom + sizeof code, data, sizeof data);
}
