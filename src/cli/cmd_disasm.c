/*
 * cmd_disasm.c - doppel disasm: riscv64 code as text, and how far that text is objdump's
 *
 * Output is laid out as objdump -d's. --compare holds every word against such output, made by GNU
 * objdump 2.44, an independent decoder. Names of symbols and objdump's "# address" remarks are left
 * out of the comparison.
 *
 * As objdump does, an ELF file is read with the extensions that its attributes name, RV64GC if they
 * name none: what one extension calls pause is a fence without it. Words and raw files are read
 * with all.
 */
#include "cli/cli.h"
#include "cli/elf_code.h"
#include "cli/listing.h"

#include "isa/isa.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum { RANGES_MAX = 4096 };

/* How long objdump takes an instruction to be: it also knows the reserved lengths of 48 bits and
 * more. */
static size_t
listed_len(unsigned low)
{
    if ((low & 0x1f) != 0x1f) {
        return insn_len(low);
    }
    if ((low & 0x3f) == 0x1f) {
        return 6;
    }
    if ((low & 0x7f) == 0x3f) {
        return 8;
    }
    return (low & 0x7000) != 0x7000 ? 10 + 2 * (low >> 12 & 7) : 2;
}

static unsigned
half(const uint8_t *p)
{
    return (unsigned)p[0] | (unsigned)p[1] << 8;
}

/* One instruction, or what is left of one at the end of a range. Returns its length; hex is its
 * bytes as a number. */
static size_t
disassemble(const uint8_t *p, size_t left, uint64_t pc, ext_set exts, char text[LISTING_TEXT_MAX],
            char hex[64])
{
    size_t len = left < 2 ? 1 : listed_len(half(p));
    char *out = hex;

    if (len > left) { /* bits of an instruction that ends outside */
        len = left & ~(size_t)1;
        len = len > 2 ? 2 : len;
    }
    for (size_t k = len; k >= 2; k -= 2) {
        out += sprintf(out, "%04x", half(p + k - 2));
    }
    if (len == 1) {
        sprintf(hex, "%02x", p[0]);
        snprintf(text, LISTING_TEXT_MAX, ".byte\t0x%s", hex);
    } else if (left >= 2 && len < listed_len(half(p))) {
        snprintf(text, LISTING_TEXT_MAX, ".short\t0x%s", hex);
    } else if ((half(p) & 0x1f) != 0x1f) {
        isa_disasm(half(p) | (len == 4 ? half(p + 2) << 16 : 0), pc, exts, text);
    } else { /* longer than any instruction there is */
        snprintf(text, LISTING_TEXT_MAX, ".insn\t%zu, 0x%s", len, hex);
    }
    return len;
}

static void
walk(const struct code_range *r, ext_set exts, struct listing *l)
{
    if (l == NULL && r->name[0] != 0) {
        printf("\nDisassembly of section %s:\n\n", r->name);
    }
    for (size_t at = 0; at < r->size;) {
        char text[LISTING_TEXT_MAX], hex[64];
        uint64_t pc = r->addr + at;
        at += disassemble(r->data + at, r->size - at, pc, exts, text, hex);
        if (l != NULL) {
            listing_compare(l, pc, hex, text);
        } else {
            printf("%8" PRIx64 ":\t%-20s\t%s\n", pc, hex, text);
        }
    }
}

static ext_set
file_exts(const uint8_t *data, size_t size)
{
    ext_set exts;
    const char *arch = elf_arch(data, size);
    if (arch == NULL || !isa_ext_parse(arch, &exts)) {
        isa_ext_parse("rv64gc", &exts);
    }
    return exts | EXT_BIT(PRIV) | EXT_BIT(DEBUG); /* no ISA string names them */
}

struct options {
    bool raw, all;
    uint64_t base;
};

/* The digits of a hexadecimal number, however many, 0x before them or not. */
static const char *
hex_digits(const char *s)
{
    return s + (strncmp(s, "0x", 2) == 0 ? 2 : 0);
}

static bool
looks_hex(const char *s)
{
    const char *digits = hex_digits(s);
    return *digits != 0 && digits[strspn(digits, "0123456789abcdefABCDEF")] == 0;
}

/* Is it one instruction: 4 digits or 8? */
static bool
is_hex(const char *s, uint32_t *w)
{
    size_t n = strlen(hex_digits(s));
    *w = (uint32_t)strtoul(s, NULL, 16);
    return looks_hex(s) && (n == 4 || n == 8);
}

static int
disasm_file(const char *path, const struct options *o, struct listing *l)
{
    static struct code_range ranges[RANGES_MAX];
    struct err e = {""};
    struct stat st;
    uint8_t *data = NULL;
    int status = EXIT_DOPPEL;

    int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC); /* a FIFO would wait */
    if (fd < 0 && errno == ENOENT && looks_hex(path)) {
        cli_error(CMD_disasm, "%s: no such file, and a word has 4 or 8 hexadecimal digits", path);
        goto close_fd;
    }
    if (fd < 0 || fstat(fd, &st) < 0) {
        cli_error(CMD_disasm, "%s: %s", path, strerror(errno));
        goto close_fd;
    }
    if (!S_ISREG(st.st_mode)) {
        cli_error(CMD_disasm, "%s: not a regular file", path);
        goto close_fd;
    }
    size_t size = (size_t)st.st_size;
    if (size != 0) {
        data = mmap(NULL, size, PROT_READ, MAP_PRIVATE, fd, 0);
        if (data == MAP_FAILED) {
            cli_error(CMD_disasm, "%s: %s", path, strerror(errno));
            goto close_fd;
        }
    }
    int n = 1;
    ranges[0] = (struct code_range){.addr = o->base, .data = data, .size = size};
    if (!o->raw) {
        n = elf_code(data, size, ranges, RANGES_MAX, &e);
    }
    if (n < 0 || n > RANGES_MAX) {
        cli_error(CMD_disasm, "%s: %s", path, n < 0 ? e.text : "too many sections");
        goto unmap;
    }
    ext_set exts = o->raw || o->all ? ISA_ALL : file_exts(data, size);
    for (int i = 0; i < n; i++) {
        walk(&ranges[i], exts, l);
    }
    status = 0;
unmap:
    if (data != NULL) {
        munmap(data, size);
    }
close_fd:
    if (fd >= 0) {
        close(fd);
    }
    return status;
}

int
cmd_disasm(int argc, char **argv)
{
    struct opts o = {.cmd = CMD_disasm, .argc = argc, .argv = argv, .next = 1};
    struct listing l = {0};
    const char *listing = NULL;
    struct options how = {0};
    char *end;

    for (int opt; (opt = opts_next(&o)) != OPTS_END;) {
        switch (opt) {
        case OPT_disasm_raw:
            how.raw = true;
            break;
        case OPT_disasm_base:
            how.base = strtoull(o.value, &end, 0);
            if (*end != 0 || end == o.value) {
                return cli_error(CMD_disasm, "%s is not an address", o.value);
            }
            break;
        case OPT_disasm_all:
            how.all = true;
            break;
        case OPT_disasm_compare:
            listing = o.value;
            break;
        default:
            return EXIT_DOPPEL;
        }
    }
    if (o.next == argc) {
        return cli_error(CMD_disasm, "nothing to disassemble: give FILE or HEX words");
    }
    uint32_t w;
    if (!how.raw && is_hex(argv[o.next], &w)) {
        for (int i = o.next; i < argc; i++) { /* all or nothing */
            if (!is_hex(argv[i], &w)) {
                return cli_error(CMD_disasm, "%s is not a word of 4 or 8 hexadecimal digits", argv[i]);
            }
        }
        for (int i = o.next; i < argc; i++) {
            char text[ISA_DISASM_MAX];
            is_hex(argv[i], &w);
            unsigned len = isa_disasm(w, how.base, ISA_ALL, text);
            printf("%8" PRIx64 ":\t%0*" PRIx32 "%*s\t%s\n", how.base, (int)len * 2,
                   len == 2 ? w & 0xffff : w, 20 - (int)len * 2, "", text);
            how.base += len;
        }
        return 0;
    }
    if (o.next + 1 != argc) {
        return cli_error(CMD_disasm, "one file at a time");
    }
    if (listing == NULL) {
        return disasm_file(argv[o.next], &how, NULL);
    }
    l.file = fopen(listing, "re");
    if (l.file == NULL) {
        return cli_error(CMD_disasm, "%s: %s", listing, strerror(errno));
    }
    int status = disasm_file(argv[o.next], &how, &l);
    if (status == 0) {
        listing_end(&l);
        printf("words %" PRIu64 ", differ %" PRIu64 ", unknown %" PRIu64 "\n", l.words, l.differ,
               l.unknown);
        status = l.differ != 0;
    }
    fclose(l.file);
    return status;
}
