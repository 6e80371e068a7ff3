/*
 * random_impl.h - what the parts of the generator share: random_code.c and random_steps.c, what is straight; random_gen.c, what goes round
 */
#ifndef DOPPEL_TEST_RANDOM_IMPL_H
#define DOPPEL_TEST_RANDOM_IMPL_H

#include "random.h"

#define COST 12000
#define SITES 400
#define PATCHES 40
#define FUNCTIONS 8

enum { RA = 1, SP = 2, T0 = 5, A7 = 17 };
#define ANY 0xffffffffu

/* What a program is rich in: chances in 256. */
struct taste {
    unsigned fp, fp_idiom, mem, odd, fault, idiom, short_code, patch, rounding, csr;
};

struct site { /* an instruction of 4 bytes that may be changed */
    uint32_t at, reserved;
};

struct gen {
    struct rng r;
    struct rprog *p;
    ext_set exts;
    struct taste like;
    uint32_t reserved; /* x registers that straight code must not write */
    uint32_t palette;
    uint8_t p0, p1, csp;
    uint32_t pool;     /* what functions may write */
    uint32_t clobbered; /* what those that were called from here may have written */
    bool linked;       /* x1 and x5 hold something */
    bool bad;          /* it did not fit */
    unsigned n_functions, n_sites;
    struct {
        uint32_t at, cost, clobbers;
        uint8_t link;
    } functions[FUNCTIONS];
    struct site sites[SITES];
    struct {
        uint32_t at, table; /* of the lui and addi that make the site's address; the words */
    } patches[PATCHES];
    unsigned n_patches;
    struct site returns[PATCHES]; /* sites behind calls: changed meanwhile, the old code must not be returned to */
    unsigned n_returns;
};

enum kind { K_NONE, K_INT, K_MEM, K_FP, K_OTHER, K_COUNT };

static inline unsigned
below(struct gen *g, unsigned n)
{
    return rng_below(&g->r, n);
}

static inline bool
chance(struct gen *g, unsigned of256)
{
    return below(g, 256) < of256;
}

static inline uint32_t
here(const struct gen *g)
{
    return g->p->text_bytes;
}

#define W(g, w) put(g, (uint32_t)(w), 4)

static inline uint32_t
enc_i(unsigned op, unsigned f3, unsigned rd, unsigned rs1, int imm)
{
    return op | rd << 7 | f3 << 12 | rs1 << 15 | (uint32_t)imm << 20;
}

static inline uint32_t
enc_s(unsigned f3, unsigned rs1, unsigned rs2, int imm)
{
    const uint32_t u = (uint32_t)imm;
    return 0x23 | (u & 31) << 7 | f3 << 12 | rs1 << 15 | rs2 << 20 | (u >> 5) << 25;
}

static inline uint32_t
enc_r(unsigned op, unsigned f3, unsigned f7, unsigned rd, unsigned rs1, unsigned rs2)
{
    return op | rd << 7 | f3 << 12 | rs1 << 15 | rs2 << 20 | f7 << 25;
}

#define ADDI(rd, rs1, imm) enc_i(0x13, 0, rd, rs1, imm)
#define ANDI(rd, rs1, imm) enc_i(0x13, 7, rd, rs1, imm)
#define SLLI(rd, rs1, n) enc_i(0x13, 1, rd, rs1, n)
#define SRLI(rd, rs1, n) enc_i(0x13, 5, rd, rs1, n)
#define SRAI(rd, rs1, n) enc_i(0x13, 5, rd, rs1, (n) | 0x400)
#define ADD(rd, rs1, rs2) enc_r(0x33, 0, 0, rd, rs1, rs2)
#define LD(rd, rs1, imm) enc_i(0x03, 3, rd, rs1, imm)
#define LW(rd, rs1, imm) enc_i(0x03, 2, rd, rs1, imm)
#define SD(rs2, rs1, imm) enc_s(3, rs1, rs2, imm)
#define SW(rs2, rs1, imm) enc_s(2, rs1, rs2, imm)
#define LUI(rd, v) (0x37u | (rd) << 7 | ((uint32_t)(v) & 0xfffff000))
#define AUIPC(rd, v) (0x17u | (rd) << 7 | ((uint32_t)(v) & 0xfffff000))
#define JALR(rd, rs1, imm) enc_i(0x67, 0, rd, rs1, imm)
#define CSRI(rd, csr, f3, k) enc_i(0x73, f3, rd, k, csr)
#define FENCE_I 0x100fu
#define ECALL 0x73u
#define EBREAK 0x100073u

uint64_t special(struct rng *r); /* a value, of those that matter */
void put(struct gen *g, uint32_t w, unsigned len);
void at_write(struct gen *g, uint32_t at, uint32_t w);
void aim(struct gen *g, uint32_t at, uint32_t to);
unsigned any_reg(struct gen *g);
unsigned free_reg(struct gen *g);
unsigned take_reg(struct gen *g); /* one of our own until `reserved` is put back */
unsigned take_counter(struct gen *g); /* the same, if it can be one that calls leave alone */
void load_address(struct gen *g, unsigned rd, uint64_t a);
void sort_rows(ext_set exts); /* first */
void straight_kind(struct gen *g, enum kind k, unsigned base); /* base: for memory accesses; 0 lets any of the usual ones */
void finish_patches(struct gen *g); /* last: any site may be any patch's */
void address_steps(struct gen *g, bool faults); /* random_steps.c */
void byte_steps(struct gen *g, bool faults);
void twin_steps(struct gen *g);
void reserved_loop(struct gen *g); /* lr … sc */
unsigned straight(struct gen *g); /* something that goes on behind itself; returns about how many instructions */

#endif
