/*
 * decode.c - any bytes as instructions: decoder and disassembler
 *
 * covers: src/isa/decode.c src/isa/disasm.c src/isa/csr.c
 *
 * Input: the extension set (8 bytes), then instructions. Whatever they are, operands stay in range
 * (engines use them as indices), and the text ends within its buffer.
 */
#include "base/check.h"
#include "isa/isa.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    ext_set exts;
    if (size < sizeof exts) {
        return 0;
    }
    memcpy(&exts, data, sizeof exts);
    for (size_t at = sizeof exts; at + 4 <= size;) {
        char text[ISA_DISASM_MAX];
        struct insn i;
        uint32_t w;
        memcpy(&w, data + at, sizeof w);

        const struct insn_row *r = isa_decode(w, exts, &i);
        CHECK(i.rd < 32 && i.rs1 < 32 && i.rs2 < 32 && i.rs3 < 32 && i.rm < 8);
        CHECK(i.op < OP_COUNT && i.len == insn_len(w) && (r == NULL) == (i.op == OP_ILLEGAL));
        CHECK(r == NULL || isa_ext_enabled(r->ext, exts));

        memset(text, 0x7f, sizeof text);
        CHECK(isa_disasm(w, UINT64_MAX - at, exts, text) == i.len);
        CHECK(memchr(text, 0, sizeof text) != NULL && text[0] != 0);
        CHECK(strncmp(text, ".insn", 5) != 0 || r == NULL);
        if (r != NULL && (r->fmt == FMT_CSR || r->fmt == FMT_CSRI)) {
            const char *name = isa_csr_name((unsigned)i.imm);
            CHECK(name == NULL || isa_find_csr_name(name)->number == i.imm);
        }
        at += i.len;
    }
    return 0;
}
