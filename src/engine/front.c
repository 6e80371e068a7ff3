/*
 * front.c - the translator's vocabulary: the meanings of isa/sem.inc append to the IR
 *
 * What has no words here (CSRs, half precision, cache management, wide compare-and-swap) the interpreter executes: the block
 * ends before it (IRX_INTERP). Which those are is found out by a dry run, so nobody keeps a list.
 *
 * Floating point assumes that frm is "nearest": the engine does not enter translations otherwise (adaptive.c).
 */
#include "engine/ir.h"

#include "engine/fp_formats.h"

#include "isa/fpbits.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

typedef struct {
    ref r;
} val;

struct front {
    struct ir *ir;
    uint64_t pc;
    bool taken;
    ref *condition; /* into: where a branch leaves it, and is none; or NULL */
    ref unless;     /* if that holds nothing is written; or 0 */
    bool ended;   /* control never reaches the next instruction */
    bool unknown; /* a word that is not inline */
};
#define FRONT struct front *fr, const struct insn *i

static inline val
value(ref r)
{
    return (val){r};
}

static inline val
konst(struct front *fr, int64_t v)
{
    return value(ir_const(fr->ir, v));
}

/* As an integer: bits of an f register move. */
static inline ref
as_int(struct front *fr, val v)
{
    return ir_class[fr->ir->ins[v.r].op] == IRC_FP ? ir_emit(fr->ir, IR_MOVXF, 0, v.r, 0, 0, 0) : v.r;
}

static inline val
op1(struct front *fr, enum ir_op op, val a)
{
    return value(ir_emit(fr->ir, op, 0, as_int(fr, a), 0, 0, 0));
}

static inline val
op2(struct front *fr, enum ir_op op, val a, val b)
{
    return value(ir_emit(fr->ir, op, 0, as_int(fr, a), as_int(fr, b), 0, 0));
}

static val
select3(struct front *fr, val c, val a, val b)
{
    return value(ir_emit(fr->ir, IR_SELECT, 0, c.r, a.r, b.r, 0));
}

static val
unknown(struct front *fr)
{
    fr->unknown = true;
    return konst(fr, 0);
}

static inline void
write_x(struct front *fr, unsigned g, ref v)
{
    ir_set(fr->ir, g, fr->unless == 0 || g == 0 ? v : ir_emit(fr->ir, IR_SELECT, 0, fr->unless, ir_get(fr->ir, g), v, 0));
}

#define R(reg) value(ir_get(fr->ir, i->reg))
#define W(reg, v) write_x(fr, i->reg, as_int(fr, v))
#define R_RD() value(ir_get(fr->ir, i->rd))
#define IMM konst(fr, i->imm)
#define K(c) konst(fr, (int64_t)(c))
#define PC value(ir_addr(fr->ir, fr->pc))
#define LINK value(ir_addr(fr->ir, fr->pc + i->len))
#define LET(name, e) const val name = (e)
#define NOP() ((void)0)

#define ADD(a, b) op2(fr, IR_ADD, a, b)
#define SUB(a, b) op2(fr, IR_SUB, a, b)
#define MUL(a, b) op2(fr, IR_MUL, a, b)
#define AND(a, b) op2(fr, IR_AND, a, b)
#define OR(a, b) op2(fr, IR_OR, a, b)
#define XOR(a, b) op2(fr, IR_XOR, a, b)
#define NOT(a) op1(fr, IR_NOT, a)
#define SLL(a, b) op2(fr, IR_SLL, a, b)
#define SRL(a, b) op2(fr, IR_SRL, a, b)
#define SRA(a, b) op2(fr, IR_SRA, a, b)
#define SRLW(a, b) op2(fr, IR_SRLW, a, b)
#define SEXT8(a) op1(fr, IR_SEXT8, a)
#define SEXT16(a) op1(fr, IR_SEXT16, a)
#define SEXT32(a) op1(fr, IR_SEXT32, a)
#define ZEXT8(a) op1(fr, IR_ZEXT8, a)
#define ZEXT16(a) op1(fr, IR_ZEXT16, a)
#define ZEXT32(a) op1(fr, IR_ZEXT32, a)
#define EQ(a, b) op2(fr, IR_EQ, a, b)
#define NE(a, b) op2(fr, IR_NE, a, b)
#define LT(a, b) op2(fr, IR_LT, a, b)
#define GE(a, b) op2(fr, IR_GE, a, b)
#define LTU(a, b) op2(fr, IR_LTU, a, b)
#define GEU(a, b) op2(fr, IR_GEU, a, b)
#define SELECT(c, a, b) select3(fr, c, a, b)
#define MIN(a, b) op2(fr, IR_MIN, a, b)
#define MAX(a, b) op2(fr, IR_MAX, a, b)
#define MINU(a, b) op2(fr, IR_MINU, a, b)
#define MAXU(a, b) op2(fr, IR_MAXU, a, b)
#define MULH(a, b) op2(fr, IR_MULH, a, b)
#define MULHU(a, b) op2(fr, IR_MULHU, a, b)
#define MULHSU(a, b) op2(fr, IR_MULHSU, a, b)
#define DIV(a, b) op2(fr, IR_DIV, a, b)
#define DIVU(a, b) op2(fr, IR_DIVU, a, b)
#define REM(a, b) op2(fr, IR_REM, a, b)
#define REMU(a, b) op2(fr, IR_REMU, a, b)
#define CLZ(a) op1(fr, IR_CLZ, a)
#define CTZ(a) op1(fr, IR_CTZ, a)
#define CLZ32(a) op1(fr, IR_CLZ32, a)
#define CTZ32(a) op1(fr, IR_CTZ32, a)
#define CPOP(a) op1(fr, IR_CPOP, a)
#define REV8(a) op1(fr, IR_REV8, a)
#define ORCB(a) op1(fr, IR_ORCB, a)
#define ROL(a, b) op2(fr, IR_ROL, a, b)
#define ROR(a, b) op2(fr, IR_ROR, a, b)
#define ROLW(a, b) op2(fr, IR_ROLW, a, b)
#define RORW(a, b) op2(fr, IR_RORW, a, b)
#define BREV8(a) ((void)(a), unknown(fr))
#define CLMUL(a, b) ((void)(a), (void)(b), unknown(fr))
#define CLMULH(a, b) ((void)(a), (void)(b), unknown(fr))

/* Memory. */
#define LOAD(type, addr) value(ir_emit(fr->ir, IR_LOAD, IRT_##type, (addr).r, 0, 0, 0))
#define STORE(bits, addr, v) do_store(fr, IRT_U##bits, addr, v)
#define LR(bits, addr) value(ir_emit(fr->ir, IR_LR, IRT_U##bits | (i->rm & 1 ? 0x10 : 0), (addr).r, 0, 0, 0))
#define SC(bits, addr, v) value(ir_emit(fr->ir, IR_SC, IRT_U##bits, (addr).r, (v).r, 0, 0))
#define AMO(op, bits, addr, v) value(ir_emit(fr->ir, IR_AMO, IRT_U##bits | IRA_##op << 4, (addr).r, (v).r, 0, 0))
#define CAS(bits, addr, e, v) value(ir_emit(fr->ir, IR_CAS, IRT_U##bits, (addr).r, (e).r, (v).r, 0))
#define CAS128(addr) ((void)(addr), (void)unknown(fr))
#define FENCE()                                             \
    do {                                                    \
        if ((i->imm & 0x50) != 0 && (i->imm & 0x0a) != 0) { \
            ir_emit(fr->ir, IR_FENCE, 0, 0, 0, 0, 0);        \
        }                                                   \
    } while (0)
#define FENCE_TSO() NOP()
#define PAUSE() ((void)ir_emit(fr->ir, IR_PAUSE, 0, 0, 0, 0, 0))
#define CBO_ZERO(addr) ((void)(addr), (void)unknown(fr))
#define TOUCH(addr) ((void)(addr), (void)unknown(fr))
#define CSR(op, v, writes) value(csr(fr, i, csr_##op, v, writes))

/* Of the CSRs, those that fenv.h lives on; frm is 0 in translations, and what would change it is not inline (csr_is_inline). */
enum csr_how { csr_WRITE, csr_SET, csr_CLEAR };
#define CSR_FFLAGS 1
#define CSR_FRM 2
#define CSR_FCSR 3

static bool
csr_is_inline(const struct insn *i)
{
    const bool reads_only = i->rs1 == 0 && i->op != OP_csrrw && i->op != OP_csrrwi;
    return i->imm == CSR_FFLAGS || ((i->imm == CSR_FCSR || i->imm == CSR_FRM) && reads_only);
}

static ref
csr(struct front *fr, const struct insn *i, enum csr_how how, val v, val writes)
{
    struct ir *ir = fr->ir;
    if (i->imm == CSR_FRM) {
        return ir_const(ir, 0);
    }
    const ref old = ir_emit(ir, IR_FLAGS, 0, 0, 0, 0, 0);
    if (ir->ins[writes.r].imm != 0) {
        ref n = v.r;
        if (how == csr_SET) {
            n = ir_emit(ir, IR_OR, 0, old, n, 0, 0);
        } else if (how == csr_CLEAR) {
            n = ir_emit(ir, IR_AND, 0, old, ir_emit(ir, IR_NOT, 0, n, 0, 0, 0), 0, 0);
        }
        ir_emit(ir, IR_SETFLAGS, 0, n, 0, 0, 0);
    }
    return old;
}

static inline void
do_store(struct front *fr, enum ir_type type, val addr, val v)
{
    ir_emit(fr->ir, IR_STORE, type, addr.r, v.r, 0, 0);
}

/* Control. */
static void
leave(struct front *fr, enum ir_exit kind)
{
    ir_emit(fr->ir, IR_EXIT, kind, 0, 0, 0, (int64_t)fr->pc);
    fr->ended = true;
}

static void
system_call(struct front *fr)
{
    ir_emit(fr->ir, IR_ECALL, 0, 0, 0, 0, (int64_t)fr->pc);
    fr->ended = true;
}
#define ECALL() system_call(fr)
#define EBREAK() leave(fr, IRX_EBREAK)
#define ILLEGAL() leave(fr, IRX_ILLEGAL)
/* A machine's. */
#define CBO_MAY(field) ((void)0)
#define CBO_INVAL(addr) ILLEGAL()
#define SRET() ILLEGAL()
#define MRET() ILLEGAL()
#define WFI() ILLEGAL()
#define SFENCE_VMA(by_va, va, by_asid, asid) ILLEGAL()
#define SFENCE_ORDER() ILLEGAL()
#define FENCE_I() leave(fr, IRX_FENCE_I)

static bool
is_link(unsigned g)
{
    return g == 1 || g == 5;
}

static void
branch(FRONT, val c)
{
    static const uint8_t opposite[IR_OP_COUNT] = {
        [IR_EQ] = IR_NE, [IR_NE] = IR_EQ, [IR_LT] = IR_GE, [IR_GE] = IR_LT, [IR_LTU] = IR_GEU, [IR_GEU] = IR_LTU};
    const struct ir_ins *cmp = &fr->ir->ins[c.r];
    const uint64_t there = fr->pc + (uint64_t)(int64_t)i->imm, behind = fr->pc + i->len;
    if (fr->condition != NULL) {
        *fr->condition = c.r;
        return;
    }
    if (there <= fr->pc) { /* every cycle of jumps has one that goes back, whatever the layout makes of it */
        ir_emit(fr->ir, IR_POLL, 0, 0, 0, 0, 0);
        cmp = &fr->ir->ins[c.r];
    }
    if (cmp->op == IR_CONST) {
        if ((cmp->imm != 0) != fr->taken) { /* always to the other side */
            ir_emit(fr->ir, IR_JMP, 0, 0, 0, 0, (int64_t)(fr->taken ? behind : there));
            fr->ended = true;
        }
        return;
    }
    ir_emit(fr->ir, IR_BR, fr->taken ? opposite[cmp->op] : cmp->op, cmp->a, cmp->b, 0, (int64_t)(fr->taken ? behind : there));
}
#define BRANCH(c) branch(fr, i, c)

static void
jump_rel(FRONT)
{
    const int64_t to = (int64_t)(fr->pc + (uint64_t)(int64_t)i->imm);
    ir_emit(fr->ir, is_link(i->rd) ? IR_CALL : IR_JMP, 0, 0, 0, 0, to);
    fr->ended = true;
}
#define JUMP_REL() jump_rel(fr, i)

static void
jump(FRONT, val to)
{
    const enum ir_op op = is_link(i->rd) ? IR_CALLR : i->rd == 0 && is_link(i->rs1) && i->imm == 0 ? IR_RET : IR_JMPR;
    ir_emit(fr->ir, op, 0, to.r, 0, 0, 0);
    fr->ended = true;
}
#define JUMP(to) jump(fr, i, to)

/* Floating point. A single-precision value is the whole f register, boxed: every operation below leaves it so. */
static bool
is_boxed(const struct ir *ir, ref r)
{
    const struct ir_ins *i = &ir->ins[r];
    switch (i->op) {
    case IR_FADD: case IR_FSUB: case IR_FMUL: case IR_FDIV: case IR_FSQRT: case IR_FMADD: case IR_FMIN: case IR_FMAX:
    case IR_FSGNJ: case IR_FSGNJN: case IR_FSGNJX: case IR_FNEG: case IR_ITOF: case IR_FTOF:
        return (i->aux & 1) == IRF_S;
    case IR_LOADF:
        return i->aux == IRT_U32;
    case IR_BOX:
        return true;
    default:
        break;
    }
    for (ref o = ir->chain[IR_UNBOX]; o != 0; o = ir->ins[o].prev) { /* seen to be */
        if (ir->ins[o].a == r) {
            return true;
        }
    }
    return false;
}

static val
read_s(struct front *fr, unsigned g)
{
    const ref r = ir_getf(fr->ir, g);
    if (!is_boxed(fr->ir, r)) {
        ir_emit(fr->ir, IR_UNBOX, 0, r, 0, 0, 0);
    }
    return value(r);
}

static void
write_f(FRONT, val v, bool single)
{
    struct ir *ir = fr->ir;
    struct ir_ins *d = &ir->ins[v.r];
    if (d->op == IR_LOAD && v.r == ir->n - 1) { /* loaded for this alone: straight into an f register */
        ir->chain[IR_LOAD] = d->prev;
        d->op = IR_LOADF;
        d->prev = ir->chain[IR_LOADF];
        ir->chain[IR_LOADF] = v.r;
    } else if (ir_class[d->op] == IRC_INT) {
        ref bits = v.r;
        if (single) {
            bits = ir_emit(ir, IR_BOX, 0, bits, 0, 0, 0);
        } else {
            bits = ir_emit(ir, IR_MOVFX, 0, bits, 0, 0, 0);
        }
        v = value(bits);
    }
    ir_setf(ir, i->rd, v.r);
}

static val
f1(struct front *fr, enum ir_op op, unsigned aux, val a)
{
    return value(ir_emit(fr->ir, op, aux, a.r, 0, 0, 0));
}

static val
f2(struct front *fr, enum ir_op op, unsigned aux, val a, val b)
{
    return value(ir_emit(fr->ir, op, aux, a.r, b.r, 0, 0));
}

static val
fma3(FRONT, unsigned aux, val a, val b, val c)
{
    const struct ir_ins *pa = &fr->ir->ins[a.r], *pc = &fr->ir->ins[c.r];
    (void)i;
    if (pa->op == IR_FNEG) {
        aux |= IRF_NEG_PRODUCT;
        a.r = pa->a;
    }
    if (pc->op == IR_FNEG) {
        aux |= IRF_NEG_ADDEND;
        c.r = pc->a;
    }
    return value(ir_emit(fr->ir, IR_FMADD, aux, a.r, b.r, c.r, 0));
}

/* fmv is a sign injection of a register into itself. */
static val
sign_inject(struct front *fr, unsigned aux, val a, val b)
{
    return a.r == b.r ? a : f2(fr, IR_FSGNJ, aux, a, b);
}

/* fcvt to an integer: under the mode of the instruction, which is nearest unless it says truncate. */
static val
to_int(FRONT, unsigned kind, val a)
{
    const unsigned how = i->rm == SF_RTZ ? IRI_RTZ : i->rm == SF_RDN ? IRI_RDN : i->rm == SF_RUP ? IRI_RUP : 0;
    return f1(fr, IR_FTOI, kind | how, a);
}

/* From an integer, likewise; under another mode only what is exact (IRI_RTZ then says "any other"). */
static val
from_int(FRONT, unsigned kind, val a)
{
    return f1(fr, IR_ITOF, kind | (i->rm == SF_RNE || i->rm == SF_DYN ? 0u : IRI_RTZ), a);
}

#define F(reg) value(ir_getf(fr->ir, i->reg))
#define FS(reg) read_s(fr, i->reg)
#define FH(reg) ((void)i->reg, unknown(fr))
#define WF(reg, v) write_f(fr, i, v, false)
#define WFS(reg, v) write_f(fr, i, v, true)
#define WFH(reg, v) ((void)(v), (void)unknown(fr))

#define FADD_S(a, b) f2(fr, IR_FADD, IRF_S, a, b)
#define FADD_D(a, b) f2(fr, IR_FADD, IRF_D, a, b)
#define FSUB_S(a, b) f2(fr, IR_FSUB, IRF_S, a, b)
#define FSUB_D(a, b) f2(fr, IR_FSUB, IRF_D, a, b)
#define FMUL_S(a, b) f2(fr, IR_FMUL, IRF_S, a, b)
#define FMUL_D(a, b) f2(fr, IR_FMUL, IRF_D, a, b)
#define FDIV_S(a, b) f2(fr, IR_FDIV, IRF_S, a, b)
#define FDIV_D(a, b) f2(fr, IR_FDIV, IRF_D, a, b)
#define FSQRT_S(a) f1(fr, IR_FSQRT, IRF_S, a)
#define FSQRT_D(a) f1(fr, IR_FSQRT, IRF_D, a)
#define FMADD_S(a, b, c) fma3(fr, i, IRF_S, a, b, c)
#define FMADD_D(a, b, c) fma3(fr, i, IRF_D, a, b, c)
#define FNEG_S(a) f1(fr, IR_FNEG, IRF_S, a)
#define FNEG_D(a) f1(fr, IR_FNEG, IRF_D, a)
#define FSGNJ_S(a, b) sign_inject(fr, IRF_S, a, b)
#define FSGNJ_D(a, b) sign_inject(fr, IRF_D, a, b)
#define FSGNJN_S(a, b) f2(fr, IR_FSGNJN, IRF_S, a, b)
#define FSGNJN_D(a, b) f2(fr, IR_FSGNJN, IRF_D, a, b)
#define FSGNJX_S(a, b) f2(fr, IR_FSGNJX, IRF_S, a, b)
#define FSGNJX_D(a, b) f2(fr, IR_FSGNJX, IRF_D, a, b)
#define FMIN_S(a, b) f2(fr, IR_FMIN, IRF_S, a, b)
#define FMIN_D(a, b) f2(fr, IR_FMIN, IRF_D, a, b)
#define FMAX_S(a, b) f2(fr, IR_FMAX, IRF_S, a, b)
#define FMAX_D(a, b) f2(fr, IR_FMAX, IRF_D, a, b)
#define FEQ_S(a, b) f2(fr, IR_FEQ, IRF_S, a, b)
#define FEQ_D(a, b) f2(fr, IR_FEQ, IRF_D, a, b)
#define FLT_S(a, b) f2(fr, IR_FLT, IRF_S, a, b)
#define FLT_D(a, b) f2(fr, IR_FLT, IRF_D, a, b)
#define FLE_S(a, b) f2(fr, IR_FLE, IRF_S, a, b)
#define FLE_D(a, b) f2(fr, IR_FLE, IRF_D, a, b)
#define FLTQ_S(a, b) f2(fr, IR_FLTQ, IRF_S, a, b)
#define FLTQ_D(a, b) f2(fr, IR_FLTQ, IRF_D, a, b)
#define FLEQ_S(a, b) f2(fr, IR_FLEQ, IRF_S, a, b)
#define FLEQ_D(a, b) f2(fr, IR_FLEQ, IRF_D, a, b)
#define FCVT_W_S(a) to_int(fr, i, IRF_S | IRI_W, a)
#define FCVT_W_D(a) to_int(fr, i, IRF_D | IRI_W, a)
#define FCVT_L_S(a) to_int(fr, i, IRF_S | IRI_L, a)
#define FCVT_L_D(a) to_int(fr, i, IRF_D | IRI_L, a)
#define FCVT_WU_S(a) to_int(fr, i, IRF_S | IRI_WU, a)
#define FCVT_WU_D(a) to_int(fr, i, IRF_D | IRI_WU, a)
#define FCVT_LU_S(a) to_int(fr, i, IRF_S | IRI_LU, a)
#define FCVT_LU_D(a) to_int(fr, i, IRF_D | IRI_LU, a)
#define FCVT_S_W(v) from_int(fr, i, IRF_S | IRI_W, v)
#define FCVT_S_WU(v) from_int(fr, i, IRF_S | IRI_WU, v)
#define FCVT_S_L(v) from_int(fr, i, IRF_S | IRI_L, v)
#define FCVT_S_LU(v) from_int(fr, i, IRF_S | IRI_LU, v)
#define FCVT_D_W(v) f1(fr, IR_ITOF, IRF_D | IRI_W, v)
#define FCVT_D_WU(v) f1(fr, IR_ITOF, IRF_D | IRI_WU, v)
#define FCVT_D_L(v) from_int(fr, i, IRF_D | IRI_L, v)
#define FCVT_D_LU(v) from_int(fr, i, IRF_D | IRI_LU, v)
#define FCVT_S_D(a) f1(fr, IR_FTOF, IRF_S, a)
#define FCVT_D_S(a) f1(fr, IR_FTOF, IRF_D, a)
#define FLI_S(k) konst(fr, (int64_t)fp_li(SF_S, i->rs1))
#define FLI_D(k) konst(fr, (int64_t)fp_li(SF_D, i->rs1))

#define UNKNOWN1(a) ((void)(a), unknown(fr))
#define UNKNOWN2(a, b) ((void)(a), (void)(b), unknown(fr))
#define FCLASS_S(a) UNKNOWN1(a)
#define FCLASS_D(a) UNKNOWN1(a)
#define FROUND_S(a) UNKNOWN1(a)
#define FROUND_D(a) UNKNOWN1(a)
#define FROUNDNX_S(a) UNKNOWN1(a)
#define FROUNDNX_D(a) UNKNOWN1(a)
#define FCVTMOD_W_D(a) UNKNOWN1(a)
#define FMINM_S(a, b) UNKNOWN2(a, b)
#define FMINM_D(a, b) UNKNOWN2(a, b)
#define FMAXM_S(a, b) UNKNOWN2(a, b)
#define FMAXM_D(a, b) UNKNOWN2(a, b)
/* Half precision: none of it. */
#define FADD_H(a, b) UNKNOWN2(a, b)
#define FSUB_H(a, b) UNKNOWN2(a, b)
#define FMUL_H(a, b) UNKNOWN2(a, b)
#define FDIV_H(a, b) UNKNOWN2(a, b)
#define FSQRT_H(a) UNKNOWN1(a)
#define FMADD_H(a, b, c) ((void)(c), UNKNOWN2(a, b))
#define FNEG_H(a) UNKNOWN1(a)
#define FSGNJ_H(a, b) UNKNOWN2(a, b)
#define FSGNJN_H(a, b) UNKNOWN2(a, b)
#define FSGNJX_H(a, b) UNKNOWN2(a, b)
#define FMIN_H(a, b) UNKNOWN2(a, b)
#define FMAX_H(a, b) UNKNOWN2(a, b)
#define FMINM_H(a, b) UNKNOWN2(a, b)
#define FMAXM_H(a, b) UNKNOWN2(a, b)
#define FEQ_H(a, b) UNKNOWN2(a, b)
#define FLT_H(a, b) UNKNOWN2(a, b)
#define FLE_H(a, b) UNKNOWN2(a, b)
#define FLTQ_H(a, b) UNKNOWN2(a, b)
#define FLEQ_H(a, b) UNKNOWN2(a, b)
#define FCLASS_H(a) UNKNOWN1(a)
#define FROUND_H(a) UNKNOWN1(a)
#define FROUNDNX_H(a) UNKNOWN1(a)
#define FLI_H(k) UNKNOWN1(k)
#define FCVT_W_H(a) UNKNOWN1(a)
#define FCVT_WU_H(a) UNKNOWN1(a)
#define FCVT_L_H(a) UNKNOWN1(a)
#define FCVT_LU_H(a) UNKNOWN1(a)
#define FCVT_H_W(a) UNKNOWN1(a)
#define FCVT_H_WU(a) UNKNOWN1(a)
#define FCVT_H_L(a) UNKNOWN1(a)
#define FCVT_H_LU(a) UNKNOWN1(a)
#define FCVT_S_H(a) UNKNOWN1(a)
#define FCVT_D_H(a) UNKNOWN1(a)
#define FCVT_H_S(a) UNKNOWN1(a)
#define FCVT_H_D(a) UNKNOWN1(a)

#define SEM(name, ...)                                    \
    static void front_##name(FRONT)                       \
    {                                                     \
        (void)fr, (void)i;                                 \
        __VA_ARGS__;                                      \
    }
#include "isa/sem.inc"
#undef SEM

static void (*const meanings[OP_COUNT])(FRONT) = {
#define INSN(name, match, mask, fmt, ext, cls) [OP_##name] = front_##name,
#define INSN16(name, match, mask, fmt, ext, of)
#include "isa/insn.def"
#undef INSN
#undef INSN16
};

/* Rounding modes: nearest is what translations run under; fcvt to an integer may truncate. And which CSR. */
static bool
operands_are_inline(const struct insn *i)
{
    switch (i->op) {
#define CASE(name) case OP_fcvt_##name##_s: case OP_fcvt_##name##_d
    CASE(w): CASE(wu): CASE(l): CASE(lu):
        return i->rm != SF_RMM;
#undef CASE
    case OP_fcvt_d_w: case OP_fcvt_d_wu: case OP_fcvt_d_s: /* exact; of the others what is */
    case OP_fcvt_s_w: case OP_fcvt_s_wu: case OP_fcvt_s_l: case OP_fcvt_s_lu: case OP_fcvt_d_l: case OP_fcvt_d_lu:
        return i->rm <= SF_RMM || i->rm == SF_DYN;
#define ARITH(op) case OP_##op##_s: case OP_##op##_d
    ARITH(fadd): ARITH(fsub): ARITH(fmul): ARITH(fdiv): ARITH(fsqrt): ARITH(fmadd): ARITH(fmsub): ARITH(fnmadd): ARITH(fnmsub):
#undef ARITH
    case OP_fcvt_s_d:
        return i->rm == SF_RNE || i->rm == SF_DYN;
    case OP_csrrw: case OP_csrrs: case OP_csrrc: case OP_csrrwi: case OP_csrrsi: case OP_csrrci:
        return csr_is_inline(i);
    default:
        return true;
    }
}

bool
front_is_inline(const struct insn *i)
{
    static uint8_t known[OP_COUNT]; /* 1: inline, 2: not; the same whoever writes it */
    if (i->op == OP_ILLEGAL) {
        return true;
    }
    uint8_t k = __atomic_load_n(&known[i->op], __ATOMIC_RELAXED);
    if (k == 0) {
        struct ir *dry = malloc(sizeof *dry); /* large; one instruction needs little of it */
        if (dry == NULL) {
            return false;
        }
        memset(dry, 0, offsetof(struct ir, ins[1]));
        ir_reset(dry);
        struct front fr = {.ir = dry, .pc = 0x1000};
        meanings[i->op](&fr, i);
        free(dry);
        k = fr.unknown ? 2 : 1;
        __atomic_store_n(&known[i->op], k, __ATOMIC_RELAXED);
    }
    return k == 1 && operands_are_inline(i);
}

/* In a machine FP may be off: what its instructions are is their format's business. */
enum { USES_FP = 1, OF_SYSTEM = 2 };
static const uint8_t kinds[OP_COUNT] = {
#define CLASS_INNOCUOUS 0
#define CLASS_PRIVILEGED OF_SYSTEM
#define CLASS_GATED OF_SYSTEM
#define CLASS_CONTROL OF_SYSTEM
#define CLASS_BEHAVIOUR OF_SYSTEM
#define INSN(name, match, mask, fmt, ext, cls) [OP_##name] = (FMT_IS_FP(fmt) ? USES_FP : 0) | CLASS_##cls,
#define INSN16(name, match, mask, fmt, ext, of)
#include "isa/insn.def"
#undef INSN
#undef INSN16
};

/* Who waits for another hart lets it run, should it have no processor: that is the monitor's to do. */
static bool
waits(const struct insn *i)
{
    return i->op == OP_pause || i->op == OP_wrs_nto || i->op == OP_wrs_sto;
}

bool
front_is_inline_machine(const struct insn *i)
{
    return !waits(i) && i->op != OP_ILLEGAL && i->op != OP_fence_i && (kinds[i->op] & OF_SYSTEM) == 0 && front_is_inline(i);
}

static bool
asks_gate(const struct insn *i)
{
    return (kinds[i->op] & USES_FP) != 0 || (i->op >= OP_csrrw && i->op <= OP_csrrci);
}

bool
front_insn(struct ir *ir, const struct insn *i, uint64_t pc, bool taken)
{
    struct front fr = {.ir = ir, .pc = pc, .taken = taken};
    if (i->op == OP_ILLEGAL && !ir->machine) {
        leave(&fr, IRX_ILLEGAL);
    } else if (ir->machine ? !front_is_inline_machine(i) : !front_is_inline(i)) {
        if (ir->machine) {
            system_call(&fr);
        } else {
            leave(&fr, IRX_INTERP);
        }
    } else {
        if (ir->machine && ir->chain[IR_GATE] == 0 && asks_gate(i)) {
            ir_emit(ir, IR_GATE, 0, 0, 0, 0, 0);
        }
        meanings[i->op](&fr, i);
    }
    return !fr.ended;
}

void
front_select(struct ir *ir, const struct insn *i, const uint64_t *pcs, unsigned n)
{
    ref condition = 0;
    struct front fr = {.ir = ir, .pc = pcs[0], .condition = &condition};
    meanings[i->op](&fr, i);
    for (unsigned k = 1; k <= n; k++) {
        fr = (struct front){.ir = ir, .pc = pcs[k], .unless = condition};
        meanings[i[k].op](&fr, &i[k]);
    }
}
