/*
 * disasm.c - from an instruction word to a line of assembly
 *
 * The text is that of GNU objdump -d (binutils 2.44), so that one can be held against the other.
 * Names come from insn.def; operands_ says, per format, which operands follow and how; alias.def
 * lists the words that have a name of their own. A 16-bit encoding prints as its base does, but for
 * the aliases that alias.def gives it.
 *
 * Letters of an operand template; everything else stands for itself:
 *   d s t      rd, rs1, rs2 as x registers       D S T R   rd, rs1, rs2, rs3 as f registers
 *   i          immediate, decimal                x         immediate, hexadecimal
 *   u          upper 20 bits, hexadecimal        p         pc + immediate
 *   c          CSR (imm)                         z         rs1 as a number
 *   e f        predecessors, successors of a fence
 *   l          fli constant (rs1)                m         ",mode" unless it is dynamic
 */
#include "isa/isa.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* Indices into isa_rows: first all INSN, then all INSN16. */
enum row {
#define INSN(name, match, mask, fmt, ext, cls) ROW_##name,
#define INSN16(name, match, mask, fmt, ext, base)
#include "isa/insn.def"
#undef INSN
#undef INSN16
#define INSN(name, match, mask, fmt, ext, cls)
#define INSN16(name, match, mask, fmt, ext, base) ROW_##name,
#include "isa/insn.def"
#undef INSN
#undef INSN16
};

/* Formats of 16-bit encodings are missing: those print as their base. */
static const char *const operands_[] = {
    [FMT_N] = "",          [FMT_R] = "d,s,t",      [FMT_R1] = "d,s",     [FMT_I] = "d,s,i",
    [FMT_IL] = "d,i(s)",   [FMT_S] = "t,i(s)",     [FMT_B] = "s,t,p",    [FMT_U] = "d,u",
    [FMT_J] = "d,p",       [FMT_SH6] = "d,s,x",    [FMT_SH5] = "d,s,x",  [FMT_FENCE] = "e,f",
    [FMT_CBO] = "(s)",     [FMT_PREF] = "i(s)",    [FMT_CSR] = "d,c,s",  [FMT_CSRI] = "d,c,z",
    [FMT_AMO] = "d,t,(s)", [FMT_AMOQ] = "d,t,(s)", [FMT_LR] = "d,(s)",   [FMT_FL] = "D,i(s)",
    [FMT_FS] = "T,i(s)",   [FMT_F4] = "D,S,T,Rm",  [FMT_F3] = "D,S,Tm",  [FMT_F2] = "D,Sm",
    [FMT_F3N] = "D,S,T",   [FMT_FC] = "d,S,T",     [FMT_FX] = "d,S",     [FMT_FXR] = "d,Sm",
    [FMT_FXZ] = "d,Sm",    [FMT_XFR] = "D,sm",     [FMT_XF] = "D,s",     [FMT_FLI] = "D,l",
    [FMT_MOPR] = "d,s",    [FMT_MOPRR] = "d,s,t",  [FMT_SFENCE] = "s,t", [FMT_HLV] = "d,(s)",
    [FMT_HSV] = "t,(s)",   [FMT_CMOP] = "",
};

/*
 * An alias holds if each operand is as it says: a register number or an immediate, or ANY. SAME:
 * rs2 is rs1. The first that holds is taken.
 */
enum { ANY = -9999, SAME = -9998 };
static const struct alias {
    uint16_t row;
    const char *name, *operands;
    int16_t rd, rs1, rs2;
    int32_t imm;
} aliases_[] = {
#define ALIAS(row, name, operands, rd, rs1, rs2, imm)                                              \
    {ROW_##row, name, operands, rd, rs1, rs2, imm},
#include "isa/alias.def"
#undef ALIAS
};

static const char x_names_[32][5] = {
    "zero", "ra", "sp", "gp", "tp",  "t0",  "t1", "t2", "s0", "s1", "a0",
    "a1",   "a2", "a3", "a4", "a5",  "a6",  "a7", "s2", "s3", "s4", "s5",
    "s6",   "s7", "s8", "s9", "s10", "s11", "t3", "t4", "t5", "t6",
};
static const char f_names_[32][5] = {
    "ft0", "ft1", "ft2", "ft3", "ft4",  "ft5",  "ft6", "ft7", "fs0",  "fs1",  "fa0",
    "fa1", "fa2", "fa3", "fa4", "fa5",  "fa6",  "fa7", "fs2", "fs3",  "fs4",  "fs5",
    "fs6", "fs7", "fs8", "fs9", "fs10", "fs11", "ft8", "ft9", "ft10", "ft11",
};
static const char *const rm_names_[8] = {"rne", "rtz", "rdn", "rup", "rmm", "", "", NULL};

/* Zfa, "Load-immediate instructions": the constants, as objdump writes them. */
static const char *const fli_[32] = {
    "-0x1p+0", "min",      "0x1p-16",  "0x1p-15",  "0x1p-8",  "0x1p-7",   "0x1p-4",   "0x1p-3",
    "0x1p-2",  "0x1.4p-2", "0x1.8p-2", "0x1.cp-2", "0x1p-1",  "0x1.4p-1", "0x1.8p-1", "0x1.cp-1",
    "0x1p+0",  "0x1.4p+0", "0x1.8p+0", "0x1.cp+0", "0x1p+1",  "0x1.4p+1", "0x1.8p+1", "0x1p+2",
    "0x1p+3",  "0x1p+4",   "0x1p+7",   "0x1p+8",   "0x1p+15", "0x1p+16",  "inf",      "nan",
};

/* The line being written. What does not fit is cut off; ISA_DISASM_MAX is more than any line needs.
 */
struct line {
    char *out;
    size_t n;
};

__attribute__((format(printf, 2, 3))) static void
put(struct line *l, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(l->out + l->n, ISA_DISASM_MAX - l->n, fmt, ap);
    va_end(ap);
    l->n += (size_t)n;
    if (l->n > ISA_DISASM_MAX - 1) {
        l->n = ISA_DISASM_MAX - 1;
    }
}

static void
put_fence(struct line *l, unsigned set)
{
    put(l, "%s%s%s%s%s", set & 8 ? "i" : "", set & 4 ? "o" : "", set & 2 ? "r" : "",
        set & 1 ? "w" : "", set ? "" : "unknown");
}

static void
put_csr(struct line *l, unsigned number)
{
    const char *name = isa_csr_name(number);
    if (name != NULL) {
        put(l, "%s", name);
    } else {
        put(l, "0x%x", number);
    }
}

static void
put_operands(struct line *l, const char *template, const struct insn *i, uint64_t pc)
{
    for (const char *c = template; *c != 0; c++) {
        switch (*c) {
        case 'd':
            put(l, "%s", x_names_[i->rd]);
            break;
        case 's':
            put(l, "%s", x_names_[i->rs1]);
            break;
        case 't':
            put(l, "%s", x_names_[i->rs2]);
            break;
        case 'D':
            put(l, "%s", f_names_[i->rd]);
            break;
        case 'S':
            put(l, "%s", f_names_[i->rs1]);
            break;
        case 'T':
            put(l, "%s", f_names_[i->rs2]);
            break;
        case 'R':
            put(l, "%s", f_names_[i->rs3]);
            break;
        case 'i':
            put(l, "%d", (int)i->imm);
            break;
        case 'x':
            put(l, "0x%x", (unsigned)i->imm);
            break;
        case 'u':
            put(l, "0x%x", (unsigned)i->imm >> 12);
            break;
        case 'p':
            put(l, "0x%llx", (unsigned long long)(pc + (uint64_t)(int64_t)i->imm));
            break;
        case 'c':
            put_csr(l, (unsigned)i->imm);
            break;
        case 'z':
            put(l, "%u", i->rs1);
            break;
        case 'e':
            put_fence(l, (unsigned)i->imm >> 4 & 15);
            break;
        case 'f':
            put_fence(l, (unsigned)i->imm & 15);
            break;
        case 'l':
            put(l, "%s", fli_[i->rs1]);
            break;
        case 'm':
            if (rm_names_[i->rm & 7] != NULL) {
                put(l, ",%s", rm_names_[i->rm & 7]);
            }
            break;
        default:
            put(l, "%c", *c);
        }
    }
}

static bool
alias_holds(const struct alias *a, const struct insn *i)
{
    return (a->rd == ANY || a->rd == i->rd) && (a->rs1 == ANY || a->rs1 == i->rs1) &&
           (a->rs2 == ANY || a->rs2 == (a->rs2 == SAME ? SAME : i->rs2)) &&
           (a->rs2 != SAME || i->rs2 == i->rs1) && (a->imm == ANY || a->imm == i->imm);
}

static const struct alias *
find_alias(unsigned row, const struct insn *i)
{
    for (unsigned k = 0; k < sizeof aliases_ / sizeof aliases_[0]; k++) {
        if (aliases_[k].row == row && alias_holds(&aliases_[k], i)) {
            return &aliases_[k];
        }
    }
    return NULL;
}

static void
put_name(struct line *l, const struct insn_row *r, const struct insn *i, uint32_t w)
{
    static const char *const order[4] = {"", ".rl", ".aq", ".aqrl"};

    switch (r->fmt) {
    case FMT_MOPR: /* n in bits 30, 27:26, 21:20 */
        put(l, "mop.r.%u", (w >> 30 & 1) << 4 | (w >> 26 & 3) << 2 | (w >> 20 & 3));
        return;
    case FMT_MOPRR: /* n in bits 30, 27:26 */
        put(l, "mop.rr.%u", (w >> 30 & 1) << 2 | (w >> 26 & 3));
        return;
    case FMT_CMOP: /* n in bits 10:8, odd ones only */
        put(l, "c.mop.%u", (w >> 8 & 7) << 1 | 1);
        return;
    default:
        for (const char *c = r->name; *c != 0; c++) {
            put(l, "%c", *c == '_' ? '.' : *c);
        }
        if (r->fmt == FMT_AMO || r->fmt == FMT_AMOQ || r->fmt == FMT_LR) {
            put(l, "%s", order[i->rm & 3]);
        }
    }
}

unsigned
isa_disasm(uint32_t w, uint64_t pc, ext_set exts, char out[ISA_DISASM_MAX])
{
    struct line l = {out, 0};
    struct insn i;

    if (insn_len(w) == 2) {
        w &= 0xffff;
    }
    const struct insn_row *r = isa_decode(w, exts, &i);
    if (r == NULL) {
        put(&l, w == 0 ? "unimp" : ".insn\t%u, 0x%0*x", i.len, w >> 16 ? 8 : 4, w);
        return i.len;
    }
    const struct alias *a = find_alias((unsigned)(r - isa_rows), &i);
    if (a == NULL && r->len == 2 && r->fmt != FMT_CMOP) {
        r = &isa_rows[r->op - 1];
        a = find_alias((unsigned)(r - isa_rows), &i);
    }
    if (a != NULL) {
        put(&l, "%s", a->name);
    } else {
        put_name(&l, r, &i, w);
    }
    const char *operands = a != NULL ? a->operands : operands_[r->fmt];
    if (operands[0] != 0) {
        put(&l, "\t");
        put_operands(&l, operands, &i, pc);
    }
    return i.len;
}
