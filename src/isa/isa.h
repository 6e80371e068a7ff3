/*
 * isa.h - what RISC-V is: instructions, extensions, decoding
 *
 * RISC-V Unprivileged ISA (20240411 and the extensions ratified since), Privileged ISA 1.13.
 * Everything here is pure: no state, no threads, no memory but the caller's.
 */
#ifndef DOPPEL_ISA_H
#define DOPPEL_ISA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Extensions (ext.def); the combined ids follow the plain ones. */
enum ext {
#define EXT(id, name) EXT_##id,
#define EXT_ANY(id, text, set)
#define EXT_ALL(id, text, set)
#include "isa/ext.def"
#undef EXT
#undef EXT_ANY
#undef EXT_ALL
    EXT_COUNT,
    EXT_LAST_PLAIN = EXT_COUNT - 1, /* and the combined ones go on from EXT_COUNT, without a hole */
#define EXT(id, name)
#define EXT_ANY(id, text, set) EXT_##id,
#define EXT_ALL(id, text, set) EXT_##id,
#include "isa/ext.def"
#undef EXT
#undef EXT_ANY
#undef EXT_ALL
    EXT_COUNT_ALL,
};
#define EXT_BIT(id) (UINT64_C(1) << EXT_##id)

typedef uint64_t ext_set;     /* EXT_BIT()s of plain extensions */
#define ISA_ALL (~(ext_set)0) /* for those who only look: whatever doppel knows */
#define ISA_USER                                                                                   \
    ((EXT_BIT(PRIV) - 1) &                                                                         \
     ~EXT_BIT(V)) /* what a user program may have here; V has no meanings yet */

/* After Popek and Goldberg; insn.def says what each means. */
enum insn_class { CLASS_INNOCUOUS, CLASS_PRIVILEGED, CLASS_GATED, CLASS_CONTROL, CLASS_BEHAVIOUR };

enum op {
    OP_ILLEGAL, /* no such encoding, or its extension is switched off; so zeroed memory is illegal
                 */
#define INSN(name, match, mask, fmt, ext, cls) OP_##name,
#define INSN16(name, match, mask, fmt, ext, base)
#include "isa/insn.def"
#undef INSN
#undef INSN16
    OP_COUNT,
};

/* Operand formats of 32-bit and 16-bit encodings; decode.c draws each. */
enum insn_fmt {
    /* clang-format off */
    FMT_N, FMT_R, FMT_R1, FMT_I, FMT_IL, FMT_S, FMT_B, FMT_U, FMT_J, FMT_SH6, FMT_SH5, FMT_FENCE, FMT_CBO, FMT_PREF,
    FMT_CSR, FMT_CSRI, FMT_AMO, FMT_AMOQ, FMT_LR, FMT_FL, FMT_FS, FMT_F4, FMT_F3, FMT_F2, FMT_F3N, FMT_FC, FMT_FX,
    FMT_FXR, FMT_FXZ, FMT_XFR, FMT_XF, FMT_FLI, FMT_MOPR, FMT_MOPRR, FMT_SFENCE, FMT_HLV, FMT_HSV,
    FMT_CIW, FMT_CLD, FMT_CLW, FMT_CLB, FMT_CLH, FMT_CSD, FMT_CSW, FMT_CSB, FMT_CSH, FMT_CI, FMT_CINZ, FMT_CLI,
    FMT_CLUI, FMT_C16SP, FMT_CSHR, FMT_CANDI, FMT_CA, FMT_CU, FMT_CUB, FMT_CUN, FMT_CJ, FMT_CB, FMT_CSLLI, FMT_CFLDSP,
    FMT_CLWSP, FMT_CLDSP, FMT_CJR, FMT_CJALR, FMT_CMV, FMT_CADD, FMT_CSDSP, FMT_CSWSP, FMT_CMOP,
    /* clang-format on */
};

/* One row of insn.def. Rows [0, ISA_ROWS32) are INSN, the rest INSN16. */
struct insn_row {
    const char *name; /* as in insn.def: dots are underscores */
    uint32_t match, mask;
    uint16_t op; /* enum op; for INSN16 that of the base */
    uint8_t fmt, ext, cls;
    uint8_t len; /* bytes: 2 or 4 */
};
extern const struct insn_row isa_rows[];
extern const size_t isa_row_count;

/*
 * A decoded instruction. Operands that a format lacks are 0. rm holds the rounding mode (FP) or aq
 * << 1 | rl (atomics); imm the immediate, sign- or zero-extended as the instruction says, the CSR
 * number, or the twelve upper bits of a fence. A CSR instruction's 5-bit immediate is in rs1.
 */
struct insn {
    uint8_t rd, rs1, rs2, rs3;
    int32_t imm;
    uint16_t op;
    uint8_t len;
    uint8_t rm;
};

/* Bytes of the instruction that starts with this halfword: 2 or 4 (Unprivileged ISA §1.5). */
static inline unsigned
insn_len(uint32_t w)
{
    return (w & 3) == 3 ? 4 : 2;
}

/*
 * Decode one instruction.
 *
 * w       the word; for a 16-bit encoding only the lower half counts
 * exts    what the hart has; a row of another extension is illegal
 * out     op == OP_ILLEGAL if the word means nothing; len is set all the same
 * return  the row, NULL if there is none
 */
const struct insn_row *isa_decode(uint32_t w, ext_set exts, struct insn *out);

/* The row that matches w, whatever its extension; NULL if none does or its operands are reserved.
 */
const struct insn_row *isa_find_row(uint32_t w);

/* Does a hart with these extensions have the instructions of rows marked `ext` (plain or combined)?
 */
bool isa_ext_enabled(unsigned ext, ext_set exts);

/* Name of an extension id for people: "zba", "zcb+zbb", "zbb or zbkb". */
const char *isa_ext_name(unsigned ext);

/* The plain extensions that an id names: itself, or the members of a combination. */
ext_set isa_ext_members(unsigned ext);

/*
 * Read an ISA string as it stands in an ELF file's attributes or a device tree: "rv64gc_zba",
 * "rv64i2p1_m2p0_…". Versions and extensions that doppel does not know are passed over. Returns
 * false if it is no rv64 string.
 */
bool isa_ext_parse(const char *string, ext_set *out);

/* The extension set with what each member implies added (d ⇒ f, zfh ⇒ zfhmin, c = zca + zcd with d,
 * …). */
ext_set isa_ext_close(ext_set exts);

/*
 * Write a line of assembly as GNU objdump -d prints it (mnemonic, tab, operands; aliases; numbers
 * as there).
 *
 * w       the word; pc its address, for branch targets
 * exts    as for isa_decode(); ISA_ALL to see all that can be seen
 * out     at least ISA_DISASM_MAX bytes
 * return  length of the instruction in bytes: 2 or 4. Unknown words give ".insn\t4, 0x…" as
 * binutils 2.44.
 */
#define ISA_DISASM_MAX 96
unsigned isa_disasm(uint32_t w, uint64_t pc, ext_set exts, char out[ISA_DISASM_MAX]);

/* One row of csr.def; rows stand in order of their numbers. */
struct csr_row {
    uint16_t number;
    uint8_t ext, cls; /* enum ext, enum insn_class */
    const char *name;
};
extern const struct csr_row isa_csrs[];
extern const size_t isa_csr_count;

/* The CSR of this number, or of this name; NULL if there is none. */
const struct csr_row *isa_find_csr(unsigned number);
const struct csr_row *isa_find_csr_name(const char *name);

/* Its name, or NULL. */
const char *isa_csr_name(unsigned number);

/* What the number says (Privileged ISA, "CSR Address Mapping Conventions"). Level: 0 user, 1
 * supervisor, 2, 3 machine. */
static inline bool
isa_csr_is_read_only(unsigned number)
{
    return (number >> 10 & 3) == 3;
}

static inline unsigned
isa_csr_level(unsigned number)
{
    return number >> 8 & 3;
}

/* Popek and Goldberg's first theorem, computed for a table. See popek.c. */
struct popek_verdict {
    size_t innocuous, privileged, gated, critical; /* of instructions and CSRs together */
    const struct insn_row *first_insn; /* the first critical one of each kind, or NULL */
    const struct csr_row *first_csr;
};

/* Critical: sensitive, and nothing makes it trap. The theorem holds iff there is none. */
bool isa_class_is_critical(unsigned cls);
bool isa_popek(const struct insn_row *rows, size_t n, const struct csr_row *csrs, size_t n_csrs,
               struct popek_verdict *out);

/* What a monitor has to set so that the GATED rows of an extension trap in user mode. NULL if it
 * has none. */
const char *isa_gate(unsigned ext);

const char *isa_class_name(unsigned cls);

#endif
