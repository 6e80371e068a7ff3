/*
 * x64.h - write x86-64 machine code
 *
 * One function for each shape of an instruction, not for each instruction: the opcode is an argument, as Intel's manual
 * (volume 2, "Instruction format") writes it. Memory operands are base + index * scale + displacement, or relative to rip.
 *
 * Code is written at `p`, which is the writable view of the code cache, and will run at p + delta. Nothing here checks for
 * room but x_room(): the translator asks before each instruction of its own, and no instruction takes more than 15 bytes.
 */
#ifndef DOPPEL_X64_H
#define DOPPEL_X64_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum { RAX, RCX, RDX, RBX, RSP, RBP, RSI, RDI, R8, R9, R10, R11, R12, R13, R14, R15, NO_REG = -1 };

/* Condition codes, as in jcc, setcc and cmovcc. */
enum cc { CC_O, CC_NO, CC_B, CC_AE, CC_E, CC_NE, CC_BE, CC_A, CC_S, CC_NS, CC_P, CC_NP, CC_L, CC_GE, CC_LE, CC_G };

/* Opcodes. X_0F: two-byte map; the prefix (66, F2, F3) in bits 16..23. */
#define X_0F 0x100
#define X_38 0x200
#define X_3A 0x400
#define X_P(prefix) ((prefix) << 16)
enum {
    X_ADD = 0x03, X_OR = 0x0b, X_AND = 0x23, X_SUB = 0x2b, X_SBB = 0x1b, X_XOR = 0x33, X_CMP = 0x3b, X_MOV = 0x8b, X_STORE = 0x89,
    X_STORE8 = 0x88, X_TEST = 0x85, X_XCHG = 0x87, X_MOVSXD = 0x63, X_LEA = 0x8d,
    X_IMUL = X_0F | 0xaf, X_MOVZX8 = X_0F | 0xb6, X_MOVZX16 = X_0F | 0xb7, X_MOVSX8 = X_0F | 0xbe, X_MOVSX16 = X_0F | 0xbf,
    X_CMOV = X_0F | 0x40, X_SETCC = X_0F | 0x90, X_BSR = X_0F | 0xbd, X_BSF = X_0F | 0xbc,
    X_LZCNT = X_P(0xf3) | X_0F | 0xbd, X_TZCNT = X_P(0xf3) | X_0F | 0xbc, X_POPCNT = X_P(0xf3) | X_0F | 0xb8,
    X_CMPXCHG = X_0F | 0xb1, X_XADD = X_0F | 0xc1,
};
/* The digit of 81 /n and of the shifts C1 /n, D3 /n. */
enum { X_I_ADD, X_I_OR, X_I_ADC, X_I_SBB, X_I_AND, X_I_SUB, X_I_XOR, X_I_CMP };
enum { X_ROL, X_ROR, X_SHL = 4, X_SHR = 5, X_SAR = 7 };
/* F7 /n */
enum { X_NOT = 2, X_NEG = 3, X_MULU = 4, X_IMULS = 5, X_DIVU = 6, X_IDIV = 7 };

/*
 * What in the code depends on where it is, on the process or on the guest's addresses: written by the functions for it alone, which
 * note the place, so that a copy can be made to run elsewhere (record.h). A note is kind + 8 * offset.
 */
enum x_reloc {
    X_TO_DATA,  /* displacement of 32 bits to a word of the translator's data */
    X_TO_FIXED, /* … to the trampolines */
    X_EXIT,     /* 32 bits: the number of an exit */
    X_GUEST32,  /* 32 bits: a guest address below 2^31 */
    X_GUEST64,
    X_TO_COUNT, /* displacement of 32 bits to the translation's counter */
};

struct x64 {
    uint8_t *p, *end;
    ptrdiff_t delta;
    uint32_t *relocs; /* into: max_relocs of them; NULL: nobody asks */
    uint8_t *start;   /* offsets count from here */
    unsigned n_relocs, max_relocs; /* n > max: there was no room for all */
};

/*
 * A memory operand. index NO_REG: none. base NO_REG, or OWN_COUNT for the translation's counter: relative to rip, disp is the target in
 * the executable view. base GUEST_ADDRESS or PLAIN_ADDRESS: disp itself, from 0 to 2^31 - 1; of the former a note is made.
 */
enum { GUEST_ADDRESS = -2, PLAIN_ADDRESS = -3, OWN_COUNT = -4 };
struct mem {
    int8_t base, index;
    uint8_t scale; /* log2 */
    int64_t disp;
};
#define M(b, d) ((struct mem){.base = (int8_t)(b), .index = NO_REG, .disp = (d)})
#define M_ABS(to) ((struct mem){.base = NO_REG, .index = NO_REG, .disp = (int64_t)(intptr_t)(to)})
#define M_COUNT(to) ((struct mem){.base = OWN_COUNT, .index = NO_REG, .disp = (int64_t)(intptr_t)(to)})

static inline bool
x_room(const struct x64 *x, size_t bytes)
{
    return (size_t)(x->end - x->p) >= bytes;
}

/* Where the next instruction will run. */
static inline uint8_t *
x_here(const struct x64 *x)
{
    return x->p + x->delta;
}

static inline void
x_b(struct x64 *x, unsigned v)
{
    *x->p++ = (uint8_t)v;
}

static inline void
x_d(struct x64 *x, uint32_t v)
{
    memcpy(x->p, &v, 4);
    x->p += 4;
}

static inline void
x_q(struct x64 *x, uint64_t v)
{
    memcpy(x->p, &v, 8);
    x->p += 8;
}

/* What is written next is such a thing. */
static inline void
x_note(struct x64 *x, enum x_reloc kind)
{
    if (x->relocs != NULL) {
        if (x->n_relocs < x->max_relocs) {
            x->relocs[x->n_relocs] = (uint32_t)(x->p - x->start) << 3 | kind;
        }
        x->n_relocs++;
    }
}

/* Prefix, REX, map and opcode byte. r, index, b: register numbers of the three REX bits. byte_regs: spl… need a REX. */
static inline void
x_head(struct x64 *x, unsigned op, bool w, int r, int index, int b, bool byte_regs)
{
    if (op >> 16) {
        x_b(x, op >> 16);
    }
    unsigned rex = (unsigned)w << 3 | (unsigned)(r >> 3 & 1) << 2 | (unsigned)(index > 0 ? index >> 3 & 1 : 0) << 1 |
                   (unsigned)(b > 0 ? b >> 3 & 1 : 0);
    if (rex != 0 || byte_regs) {
        x_b(x, 0x40 | rex);
    }
    if (op & (X_0F | X_38 | X_3A)) {
        x_b(x, 0x0f);
    }
    if (op & X_38) {
        x_b(x, 0x38);
    } else if (op & X_3A) {
        x_b(x, 0x3a);
    }
    x_b(x, op & 0xff);
}

/*
 * ModRM, SIB and displacement; tail: bytes of immediate that follow, which rip-relative addressing counts. A displacement of one byte
 * counts units of 2^unit bytes.
 */
static inline void
x_modrm_mem_in(struct x64 *x, int r, struct mem m, unsigned tail, unsigned unit)
{
    const unsigned reg = (unsigned)(r & 7) << 3;
    if (m.base == NO_REG || m.base == OWN_COUNT) {
        x_b(x, reg | 5);
        x_note(x, m.base == NO_REG ? X_TO_DATA : X_TO_COUNT);
        x_d(x, (uint32_t)(m.disp - (int64_t)(intptr_t)(x->p + 4 + tail + x->delta)));
        return;
    }
    if (m.base < NO_REG) {
        x_b(x, reg | 4);
        x_b(x, 0x25);
        if (m.base == GUEST_ADDRESS) {
            x_note(x, X_GUEST32);
        }
        x_d(x, (uint32_t)m.disp);
        return;
    }
    const unsigned b = (unsigned)m.base & 7;
    const int64_t units = m.disp >> unit;
    const bool none = m.disp == 0 && b != 5, small = units * (1 << unit) == m.disp && units >= -128 && units <= 127;
    const unsigned mod = none ? 0 : small ? 0x40 : 0x80;
    if (m.index != NO_REG || b == 4) {
        x_b(x, mod | reg | 4);
        x_b(x, (unsigned)m.scale << 6 | (m.index == NO_REG ? 4u : (unsigned)m.index & 7) << 3 | b);
    } else {
        x_b(x, mod | reg | b);
    }
    if (!none) {
        if (small) {
            x_b(x, (unsigned)units);
        } else {
            x_d(x, (uint32_t)m.disp);
        }
    }
}

static inline void
x_modrm_mem(struct x64 *x, int r, struct mem m, unsigned tail)
{
    x_modrm_mem_in(x, r, m, tail, 0);
}

static inline void
x_rr(struct x64 *x, unsigned op, bool w, int r, int rm)
{
    x_head(x, op, w, r, 0, rm, false);
    x_b(x, 0xc0 | (unsigned)(r & 7) << 3 | (unsigned)(rm & 7));
}

/* The same where rm, or r, is a byte register. */
static inline void
x_rr8(struct x64 *x, unsigned op, bool w, int r, int rm)
{
    x_head(x, op, w, r, 0, rm, true);
    x_b(x, 0xc0 | (unsigned)(r & 7) << 3 | (unsigned)(rm & 7));
}

static inline void
x_rm(struct x64 *x, unsigned op, bool w, int r, struct mem m)
{
    x_head(x, op, w, r, m.index, m.base, false);
    x_modrm_mem(x, r, m, 0);
}

static inline void
x_rm8(struct x64 *x, unsigned op, int r, struct mem m)
{
    x_head(x, op, false, r, m.index, m.base, true);
    x_modrm_mem(x, r, m, 0);
}

/* add … cmp with an immediate of 32 bits, sign-extended. */
static inline void
x_ri(struct x64 *x, unsigned digit, bool w, int rm, int32_t imm)
{
    const bool small = imm >= -128 && imm <= 127;
    x_rr(x, small ? 0x83 : 0x81, w, (int)digit, rm);
    if (small) {
        x_b(x, (unsigned)imm);
    } else {
        x_d(x, (uint32_t)imm);
    }
}

static inline void
x_mi(struct x64 *x, unsigned digit, bool w, struct mem m, int32_t imm)
{
    const bool small = imm >= -128 && imm <= 127;
    x_head(x, small ? 0x83 : 0x81, w, (int)digit, m.index, m.base, false);
    x_modrm_mem(x, (int)digit, m, small ? 1 : 4);
    if (small) {
        x_b(x, (unsigned)imm);
    } else {
        x_d(x, (uint32_t)imm);
    }
}

/* mov m, imm; bytes 1, 2, 4 or 8 (imm is sign-extended from 32 bits). */
static inline void
x_store_imm(struct x64 *x, unsigned bytes, struct mem m, int32_t imm)
{
    x_head(x, bytes == 2 ? X_P(0x66) | 0xc7 : bytes == 1 ? 0xc6 : 0xc7, bytes == 8, 0, m.index, m.base, false);
    x_modrm_mem(x, 0, m, bytes == 8 ? 4 : bytes);
    if (bytes == 1) {
        x_b(x, (unsigned)imm);
    } else if (bytes == 2) {
        x_b(x, (unsigned)imm);
        x_b(x, (unsigned)imm >> 8);
    } else {
        x_d(x, (uint32_t)imm);
    }
}

static inline void
x_shift_i(struct x64 *x, unsigned digit, bool w, int rm, unsigned by)
{
    x_rr(x, by == 1 ? 0xd1 : 0xc1, w, (int)digit, rm);
    if (by != 1) {
        x_b(x, by);
    }
}

static inline void
x_mov(struct x64 *x, int to, int from)
{
    if (to != from) {
        x_rr(x, X_MOV, true, to, from);
    }
}

/* The shortest form that gives the register these 64 bits. Flags stay as they are. */
static inline void
x_mov_imm(struct x64 *x, int to, uint64_t v)
{
    if (v <= UINT32_MAX) {
        x_head(x, 0xb8 | ((unsigned)to & 7), false, 0, 0, to, false);
        x_d(x, (uint32_t)v);
    } else if ((int64_t)v == (int32_t)v) {
        x_head(x, 0xc7, true, 0, 0, to, false);
        x_b(x, 0xc0 | ((unsigned)to & 7));
        x_d(x, (uint32_t)v);
    } else {
        x_head(x, 0xb8 | ((unsigned)to & 7), true, 0, 0, to, false);
        x_q(x, v);
    }
}

/* A guest address into a register. */
static inline void
x_mov_guest(struct x64 *x, int to, uint64_t pc)
{
    const bool low = pc <= INT32_MAX;
    x_head(x, 0xb8 | ((unsigned)to & 7), !low, 0, 0, to, false);
    x_note(x, low ? X_GUEST32 : X_GUEST64);
    if (low) {
        x_d(x, (uint32_t)pc);
    } else {
        x_q(x, pc);
    }
}

/* push of one below 2^31 */
static inline void
x_push_guest(struct x64 *x, uint64_t pc)
{
    x_b(x, 0x68);
    x_note(x, X_GUEST32);
    x_d(x, (uint32_t)pc);
}

static inline void
x_push(struct x64 *x, int r)
{
    x_head(x, 0x50 | ((unsigned)r & 7), false, 0, 0, r, false);
}

static inline void
x_pop(struct x64 *x, int r)
{
    x_head(x, 0x58 | ((unsigned)r & 7), false, 0, 0, r, false);
}

/*
 * Jumps with a displacement of 32 bits, to be filled in by x_land() once the target is known. x_jcc() and x_jmp() return where
 * the displacement stands, in the writable view.
 */
static inline uint8_t *
x_jcc(struct x64 *x, enum cc cc)
{
    x_b(x, 0x0f);
    x_b(x, 0x80 | cc);
    x_d(x, 0);
    return x->p - 4;
}

static inline uint8_t *
x_jmp(struct x64 *x)
{
    x_b(x, 0xe9);
    x_d(x, 0);
    return x->p - 4;
}

static inline void
x_land_at(uint8_t *disp, const uint8_t *to)
{
    const int32_t d = (int32_t)(to - (disp + 4));
    memcpy(disp, &d, 4);
}

/* To a place that is at the same distance from the start of all code in each process: to, as it is executed. */
static inline void
x_go_fixed(struct x64 *x, unsigned opcode, const uint8_t *to)
{
    x_b(x, opcode);
    x_note(x, X_TO_FIXED);
    x_d(x, (uint32_t)(to - (x->p + 4 + x->delta)));
}

static inline void
x_jmp_fixed(struct x64 *x, const uint8_t *to)
{
    x_go_fixed(x, 0xe9, to);
}

static inline void
x_call_fixed(struct x64 *x, const uint8_t *to)
{
    x_go_fixed(x, 0xe8, to);
}

/* mov eax, the number of an exit */
static inline void
x_mov_exit(struct x64 *x, uint32_t n)
{
    x_b(x, 0xb8);
    x_note(x, X_EXIT);
    x_d(x, n);
}

static inline void
x_land(const struct x64 *x, uint8_t *disp)
{
    x_land_at(disp, x->p);
}

/* Backwards, to a place in the writable view. */
static inline void
x_jcc_to(struct x64 *x, enum cc cc, const uint8_t *to)
{
    const ptrdiff_t d = to - (x->p + 2);
    if (d >= -128) {
        x_b(x, 0x70 | cc);
        x_b(x, (unsigned)d);
    } else {
        x_land_at(x_jcc(x, cc), to);
    }
}

static inline void
x_jmp_to(struct x64 *x, const uint8_t *to)
{
    const ptrdiff_t d = to - (x->p + 2);
    if (d >= -128 && d <= 127) {
        x_b(x, 0xeb);
        x_b(x, (unsigned)d);
    } else {
        x_land_at(x_jmp(x), to);
    }
}

static inline void
x_jmp_mem(struct x64 *x, struct mem m)
{
    x_rm(x, 0xff, false, 4, m);
}

static inline void
x_call_mem(struct x64 *x, struct mem m)
{
    x_rm(x, 0xff, false, 2, m);
}

/* Go on at a multiple of 2^by bytes; whoever falls into it pays little: a few long instructions that do nothing. */
static inline void
x_align(struct x64 *x, unsigned by)
{
    static const uint8_t nop[9] = {0x66, 0x0f, 0x1f, 0x84};
    for (unsigned left = (unsigned)(0 - (uintptr_t)x->p) & ((1u << by) - 1); left != 0;) {
        if (left >= sizeof nop) {
            for (unsigned k = 0; k < sizeof nop; k++) {
                x_b(x, nop[k]);
            }
            left -= (unsigned)sizeof nop;
        } else if (left >= 3) {
            x_b(x, 0x0f);
            x_b(x, 0x1f);
            x_b(x, 0);
            left -= 3;
        } else {
            x_b(x, 0x90);
            left--;
        }
    }
}

/*
 * VEX: three operands, for AVX, BMI and FMA. op: X_0F, X_38 or X_3A with the prefix in bits 16..23; w as the instruction has it;
 * l256: 256 bits. v: the second source (vvvv).
 */
static inline void
x_vex_head(struct x64 *x, unsigned op, bool w, int r, int v, int index, int b)
{
    const unsigned pp = op >> 16 == 0x66 ? 1 : op >> 16 == 0xf3 ? 2 : op >> 16 == 0xf2 ? 3 : 0;
    const unsigned map = op & X_38 ? 2 : op & X_3A ? 3 : 1;
    const unsigned rn = r >> 3 & 1 ? 0 : 0x80, xn = index > 0 && (index >> 3 & 1) ? 0 : 0x40, bn = b > 0 && (b >> 3 & 1) ? 0 : 0x20;
    if (map == 1 && !w && xn && bn) {
        x_b(x, 0xc5);
        x_b(x, rn | (~(unsigned)v & 15) << 3 | pp);
    } else {
        x_b(x, 0xc4);
        x_b(x, rn | xn | bn | map);
        x_b(x, (unsigned)w << 7 | (~(unsigned)v & 15) << 3 | pp);
    }
    x_b(x, op & 0xff);
}

static inline void
x_vrr(struct x64 *x, unsigned op, bool w, int r, int v, int rm)
{
    x_vex_head(x, op, w, r, v, 0, rm);
    x_b(x, 0xc0 | (unsigned)(r & 7) << 3 | (unsigned)(rm & 7));
}

static inline void
x_vrm(struct x64 *x, unsigned op, bool w, int r, int v, struct mem m)
{
    x_vex_head(x, op, w, r, v, m.index, m.base);
    x_modrm_mem(x, r, m, 0);
}

/* EVEX: the same for AVX-512, of 32 registers, scalar or 128 bits, without a mask. Never with its rounding: that sets no flags. */
static inline void
x_evex_head(struct x64 *x, unsigned op, bool w, int r, int v, bool high, int index, int b)
{
    const unsigned pp = op >> 16 == 0x66 ? 1 : op >> 16 == 0xf3 ? 2 : op >> 16 == 0xf2 ? 3 : 0;
    const unsigned map = op & X_38 ? 2 : op & X_3A ? 3 : 1;
    const bool x3 = high || (index > 0 && (index >> 3 & 1)), b3 = b > 0 && (b >> 3 & 1);
    x_b(x, 0x62);
    x_b(x, (r >> 3 & 1 ? 0 : 0x80u) | (x3 ? 0 : 0x40u) | (b3 ? 0 : 0x20u) | (r >> 4 & 1 ? 0 : 0x10u) | map);
    x_b(x, (unsigned)w << 7 | (~(unsigned)v & 15) << 3 | 4 | pp);
    x_b(x, v >> 4 & 1 ? 0 : 8);
    x_b(x, op & 0xff);
}

static inline void
x_err(struct x64 *x, unsigned op, bool w, int r, int v, int rm)
{
    x_evex_head(x, op, w, r, v, rm >> 4 & 1, 0, rm);
    x_b(x, 0xc0 | (unsigned)(r & 7) << 3 | (unsigned)(rm & 7));
}

/* unit: log2 of the bytes that are accessed, which displacements count in. */
static inline void
x_erm(struct x64 *x, unsigned op, bool w, int r, struct mem m, unsigned unit)
{
    x_evex_head(x, op, w, r, 0, false, m.index, m.base);
    x_modrm_mem_in(x, r, m, 0, unit);
}

/* VEX, or EVEX where a register asks for it; the latter's W is ew. */
static inline void
x_var(struct x64 *x, unsigned op, bool w, bool ew, int r, int v, int rm)
{
    if ((r | v | rm) > 15) {
        x_err(x, op, ew, r, v, rm);
    } else {
        x_vrr(x, op, w, r, v, rm);
    }
}

#endif
