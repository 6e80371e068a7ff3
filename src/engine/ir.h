/*
 * ir.h - the translator's intermediate form: linear, in SSA, one array for each extended block
 *
 *      guest bytes ─► front.c (the meanings, sem.inc) ─► ir.c (folds, shares) ─► lower.c (registers, x86-64)
 *
 * A value is the index of the instruction that makes it ("ref"); 0 is no value. Pure instructions may be shared and dropped,
 * effects stand in program order. Guest registers are read by GET once an extended block and written by SET, in program
 * order, so between two guest instructions each guest register is where the region's map says (lower.h): a fault or a side
 * exit needs no other record of where they are.
 *
 * ADDR is a constant that the guest's pc went into: where the same code is mapped elsewhere it moves with the code. Nothing is derived
 * from it here but other ADDRs and what is the same wherever the code is, so that a translation can be kept (record.h).
 */
#ifndef DOPPEL_IR_H
#define DOPPEL_IR_H

#include "isa/isa.h"

#include <stdbool.h>
#include <stdint.h>

typedef uint16_t ref;

enum ir_class {
    IRC_NONE, /* makes no value */
    IRC_INT,  /* 64 bits */
    IRC_FP,   /* the 64 bits of an f register */
};

/* name, class, operands, pure */
#define IR_OPS(X)                                                                                       \
    X(NOP, NONE, 0, 0) X(CONST, INT, 0, 1) X(ADDR, INT, 0, 1) X(GET, INT, 0, 0) X(GETF, FP, 0, 0)       \
    X(ADD, INT, 2, 1) X(SUB, INT, 2, 1) X(MUL, INT, 2, 1) X(AND, INT, 2, 1) X(OR, INT, 2, 1)            \
    X(XOR, INT, 2, 1) X(SLL, INT, 2, 1) X(SRL, INT, 2, 1) X(SRA, INT, 2, 1) X(ROR, INT, 2, 1)           \
    X(ROL, INT, 2, 1) X(ADDW, INT, 2, 1) X(SUBW, INT, 2, 1) X(MULW, INT, 2, 1) X(SLLW, INT, 2, 1)       \
    X(SRLW, INT, 2, 1) X(SRAW, INT, 2, 1) X(RORW, INT, 2, 1) X(ROLW, INT, 2, 1)                         \
    X(EQ, INT, 2, 1) X(NE, INT, 2, 1) X(LT, INT, 2, 1) X(GE, INT, 2, 1) X(LTU, INT, 2, 1)               \
    X(GEU, INT, 2, 1) X(MIN, INT, 2, 1) X(MAX, INT, 2, 1) X(MINU, INT, 2, 1) X(MAXU, INT, 2, 1)         \
    X(MULH, INT, 2, 1) X(MULHU, INT, 2, 1) X(MULHSU, INT, 2, 1) X(DIV, INT, 2, 1) X(DIVU, INT, 2, 1)    \
    X(REM, INT, 2, 1) X(REMU, INT, 2, 1) X(DIVW, INT, 2, 1) X(DIVUW, INT, 2, 1) X(REMW, INT, 2, 1)      \
    X(REMUW, INT, 2, 1) X(NOT, INT, 1, 1) X(SEXT8, INT, 1, 1) X(SEXT16, INT, 1, 1)                      \
    X(SEXT32, INT, 1, 1) X(ZEXT8, INT, 1, 1) X(ZEXT16, INT, 1, 1) X(ZEXT32, INT, 1, 1)                  \
    X(CLZ, INT, 1, 1) X(CTZ, INT, 1, 1) X(CLZ32, INT, 1, 1) X(CTZ32, INT, 1, 1) X(CPOP, INT, 1, 1)      \
    X(REV8, INT, 1, 1) X(ORCB, INT, 1, 1) X(SELECT, INT, 3, 1) X(BYTE, INT, 2, 1)                      \
    X(LOAD, INT, 1, 0) X(LOADF, FP, 1, 0) X(STORE, NONE, 2, 0)                                          \
    X(LR, INT, 1, 0) X(SC, INT, 2, 0) X(AMO, INT, 2, 0) X(CAS, INT, 3, 0) X(FENCE, NONE, 0, 0)          \
    X(PAUSE, NONE, 0, 0) X(GATE, NONE, 0, 0) X(SET, NONE, 1, 0) X(SETF, NONE, 1, 0)                                         \
    X(POLL, NONE, 0, 0) X(BR, NONE, 2, 0) X(JMP, NONE, 0, 0) X(JMPR, NONE, 1, 0) X(CALL, NONE, 0, 0) X(CALLR, NONE, 1, 0)   \
    X(RET, NONE, 0, 0) X(ECALL, NONE, 0, 0) X(EXIT, NONE, 0, 0)                                                              \
    X(FADD, FP, 2, 0) X(FSUB, FP, 2, 0) X(FMUL, FP, 2, 0) X(FDIV, FP, 2, 0) X(FSQRT, FP, 1, 0)          \
    X(FMADD, FP, 3, 0) X(FMIN, FP, 2, 0) X(FMAX, FP, 2, 0) X(FEQ, INT, 2, 0) X(FLT, INT, 2, 0)          \
    X(FLE, INT, 2, 0) X(FLTQ, INT, 2, 0) X(FLEQ, INT, 2, 0) X(FSGNJ, FP, 2, 1) X(FSGNJN, FP, 2, 1)      \
    X(FSGNJX, FP, 2, 1) X(FNEG, FP, 1, 1) X(FTOI, INT, 1, 0) X(ITOF, FP, 1, 0) X(FTOF, FP, 1, 0)        \
    X(UNBOX, NONE, 1, 0) X(MOVXF, INT, 1, 1) X(MOVFX, FP, 1, 1) X(BOX, FP, 1, 1)    \
    X(FLAGS, INT, 0, 0) X(SETFLAGS, NONE, 1, 0)

enum ir_op {
#define X(name, cls, n, pure) IR_##name,
    IR_OPS(X)
#undef X
    IR_OP_COUNT,
};

/* aux of LOAD: bits and sign; of STORE, LR, SC, AMO, CAS: bits as log2 of bytes (and the operation of AMO above). */
enum ir_type { IRT_U8, IRT_U16, IRT_U32, IRT_U64, IRT_S8, IRT_S16, IRT_S32 };
#define IRA_SC 8 /* of AMO and CAS: it stands for a pair of LR and SC, see lrsc.c */
enum ir_amo { IRA_ADD, IRA_SWAP, IRA_XOR, IRA_OR, IRA_AND, IRA_MIN, IRA_MAX, IRA_MINU, IRA_MAXU };
/* aux of FP operations: the format; of FTOI, ITOF: with the integer above, and a mode that is not nearest; of FMADD: what is negated. */
enum { IRF_NEG_PRODUCT = 0x10, IRF_NEG_ADDEND = 0x20 };
enum ir_fmt { IRF_S, IRF_D };
enum ir_int { IRI_W = 1 << 1, IRI_WU = 2 << 1, IRI_L = 3 << 1, IRI_LU = 4 << 1, IRI_RTZ = 0x80, IRI_RDN = 0x10, IRI_RUP = 0x20 };
/* aux of EXIT */
enum ir_exit { IRX_EBREAK, IRX_ILLEGAL, IRX_FENCE_I, IRX_INTERP };

struct ir_ins {
    uint8_t op, aux;
    ref a, b, c;
    uint16_t gi;   /* which guest instruction of the unit it belongs to */
    uint16_t prev; /* the last one of the same op before: for sharing */
    uint16_t pos;  /* how many guest instructions of the extended block stand before that one */
    int64_t imm;   /* CONST, ADDR; displacement of LOAD and STORE; guest address of BR, JMP, CALL, EXIT */
};

#define IR_LIMIT 3000

struct ir {
    unsigned n;
    ref x[32], f[32]; /* the value that each guest register has now; 0: not read or written yet */
    ref chain[IR_OP_COUNT];
    uint16_t gi, pos;
    bool machine; /* of a machine: FP has a gate, and what is privileged is the interpreter's */
    unsigned opts; /* IROPT_* that are on */
    unsigned long shared, folded; /* for --stats */
    struct ir_ins ins[IR_LIMIT];
};

enum {
    IROPT_FOLD = 1, IROPT_CSE = 2, IROPT_FUSE = 4, IROPT_DSE = 8, IROPT_REGIONS = 16, IROPT_PLACE = 32, IROPT_NAN = 64,
    IROPT_BOX = 128, IROPT_FLAGS = 256, IROPT_TWICE = 512,
    IROPT_FMA = 1024, IROPT_TRUST = 2048, IROPT_LATE = 4096, IROPT_LRSC = 8192, IROPT_BYTES = 16384, IROPT_TWINS = 32768,
    IROPT_HLE = 65536, IROPT_UNROLL = 131072, IROPT_HIGH = 262144, IROPT_SELECT = 524288, IROPT_ALL = 1048575,
};

extern const char *const ir_names[IR_OP_COUNT];
extern const uint8_t ir_class[IR_OP_COUNT], ir_args[IR_OP_COUNT], ir_pure[IR_OP_COUNT];

/* An empty extended block. */
void ir_reset(struct ir *ir);

/* Append; pure instructions are folded and shared. Returns the value. */
ref ir_emit(struct ir *ir, enum ir_op op, unsigned aux, ref a, ref b, ref c, int64_t imm);
ref ir_const(struct ir *ir, int64_t v);
ref ir_addr(struct ir *ir, uint64_t pc);
ref ir_get(struct ir *ir, unsigned g);
void ir_set(struct ir *ir, unsigned g, ref v);
ref ir_getf(struct ir *ir, unsigned g);
void ir_setf(struct ir *ir, unsigned g, ref v);

/* The value of a pure operation on these operands; false if it is not one that is worth it. And is it? */
bool ir_fold(enum ir_op op, uint64_t a, uint64_t b, int64_t *out);
bool ir_can_fold(enum ir_op op);
bool ir_is_sext32(const struct ir *ir, ref r); /* a sign-extended 32-bit number, as far as is known */

static inline bool
ir_is_const(const struct ir *ir, ref r)
{
    return ir->ins[r].op == IR_CONST;
}

/* Known as it is translated: lives nowhere until somebody needs it in a register. */
static inline bool
ir_is_known(const struct ir *ir, ref r)
{
    return ir->ins[r].op == IR_CONST || ir->ins[r].op == IR_ADDR;
}

bool ir_ends(const struct ir *ir); /* control does not reach its end, or has come back from a call */

/* Room for one more guest instruction? */
static inline bool
ir_room(const struct ir *ir)
{
    return ir->n + 24 < IR_LIMIT;
}

/* lrsc.c: pairs of LR and SC become one instruction where that is exact. How many. */
unsigned lrsc_join(struct ir *ir);

/*
 * front.c: append the meaning of a guest instruction at pc. taken: for a conditional branch, go on where it is taken rather than
 * behind it; the IR then leaves on the other side. Returns false if the instruction ends the extended block whatever follows.
 */
bool front_insn(struct ir *ir, const struct insn *i, uint64_t pc, bool taken);
/* A branch, and the n instructions behind it that it jumps over: they write integer registers and do nothing else. */
void front_select(struct ir *ir, const struct insn *i, const uint64_t *pcs, unsigned n);
/* Is the meaning inline, or does the interpreter execute it? The second: in a machine. */
bool front_is_inline(const struct insn *i);
bool front_is_inline_machine(const struct insn *i);

#endif
