/*
 * elf_code.c - any file as ELF: what doppel disasm reads of it
 *
 * covers: src/cli/elf_code.c src/isa/ext.c
 *
 * Every byte of every range that is found, and of the ISA string, must be inside the file.
 */
#include "base/check.h"
#include "cli/elf_code.h"
#include "isa/isa.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct code_range ranges[64];
    unsigned sink = 0;
    struct err e = {""};
    ext_set exts;

    int n = elf_code(data, size, ranges, ARRAY_LEN(ranges), &e);
    CHECK((n < 0) == (e.text[0] != 0));
    for (int i = 0; i < n && i < (int)ARRAY_LEN(ranges); i++) {
        CHECK(memchr(ranges[i].name, 0, sizeof ranges[i].name) != NULL);
        for (size_t k = 0; k < ranges[i].size; k++) {
            sink += ranges[i].data[k];
        }
    }
    const char *arch = elf_arch(data, size);
    if (arch != NULL && isa_ext_parse(arch, &exts)) {
        CHECK(exts & EXT_BIT(I));
        for (unsigned x = 0; x < EXT_COUNT_ALL; x++) {
            CHECK(isa_ext_name(x) != NULL && isa_ext_members(x) != 0);
            sink += isa_ext_enabled(x, exts);
        }
    }
    CHECK(sink != UINT32_MAX); /* so that no read is left out */
    return 0;
}
