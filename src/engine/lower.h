/*
 * lower.h - from IR to x86-64: what lower.c, lower_plan.c, lower_int.c, lower_twins.c, lower_fp.c, lower_fma.c and lower_regs.c share
 *
 * One pass over an extended block. Where values are: `reg[r]` is what host register r holds, `home` what the memory of a guest
 * register holds, `spill` what a spill slot holds; a value may be at several places, and a constant is nowhere until it has to be.
 * A guest register's home changes at its SET only, or a little earlier, where the value is made, if nothing in between can leave.
 */
#ifndef DOPPEL_LOWER_H
#define DOPPEL_LOWER_H

#include "engine/jit.h"

#define SPILLS 23 /* one less than hart->jit_spill has */
#define FIXUPS 1024
#define STUBS 2048
#define RECIPES (64 << 10) /* bytes */
#define RECIPE_PAD 9       /* behind the last one: so much is looked at */
#define ORDER_COMMIT 0x8000

struct fixup {
    uint8_t *disp; /* a 32-bit displacement … */
    const struct version *to;
};

enum stub_kind {
    STUB_CHAIN,  /* go on at pc */
    STUB_UNCHAINED, /* where a call that is chained to nothing leads: exit number pc */
    STUB_EXIT,   /* leave for the manager */
    STUB_WILD,   /* an address that is not the guest's: a fault of its own */
    STUB_RETURN, /* the return address is another: host register arg holds it, or memory of x5 */
    STUB_INDIRECT, /* an indirect jump that the manager makes: target in rax, standard convention */
    STUB_NAN,    /* what is a NaN becomes the canonical one wherever it is, then back */
    STUB_FMA,    /* the same, and a flag: pc is the number of the test */
    STUB_RESERVE, /* a compare-and-swap in place of lr and sc has failed: rax is what it saw, arg the register of the address; then back */
    STUB_FORGET, /* there was a reservation: no more; then back */
    STUB_MISS,   /* a machine's access that the TLB does not answer: back once it does; else fault point number pc */
    STUB_CALL,   /* an indirect call that the manager makes: as STUB_INDIRECT, and back */
    STUB_SHADOW, /* the shadow stack is full: it is empty; then back */
    STUB_EDGE,   /* to the block at pc, whose label wants f registers otherwise than they are */
};

/* Everywhere a value is: host registers, homes in memory, spill slots. */
struct places {
    uint32_t regs, homes, spills;
};

struct stub {
    uint8_t *from; /* displacement of the jump to it */
    uint64_t pc;
    uint8_t kind, exit; /* enum jexit_kind */
    uint8_t arg, fmt;
    uint8_t *back;
    int16_t rest;                    /* guest instructions that have been executed and not been counted: lower_machine.c */
    struct mem at;                   /* STUB_MISS: what is accessed */
    struct fstate fs;                /* where it was made */
    struct places places;            /* STUB_NAN: where the value is */
    int8_t unraised;                 /* STUB_EXIT: the xmm register whose conversion raises inexact, in format fmt; or NO_REG */
};

/* What a value of class FP is, as struct fstate says it of homes. */
enum { FK_NAN = 1, FK_SINGLE = 2, FK_CANON = 4, FK_NUM = 8 };


/* lower_fma.c: a multiply-add whose result may hide that invalid was to be raised. */
#define FMAS 8
#define FMA_TESTS 512
struct fma {
    ref carrier;  /* a value that is a NaN if the result was */
    int8_t a, b;  /* the factors, still there */
    uint8_t fmt;
};
struct fma_test {
    struct places places[2]; /* of the carriers */
    struct fma fmas[FMAS];
    uint8_t n, fmt;
};

struct lower {
    struct engine *en;
    struct jit *j;
    struct region *r;
    struct ir *ir;
    struct x64 x;
    const struct regmap *map;
    uint32_t temps, ftemps;    /* host registers that are nobody's home */
    uint32_t lock, flock;      /* not to be taken for this instruction */
    ref reg[16], freg[F_REGS], home[32], fhome[32], spill[SPILLS];
    uint16_t order[2 * IR_LIMIT]; /* what is lowered when, from 1 on; a SET is there when the guest writes, and with ORDER_COMMIT when the home gets it */
    unsigned n_given;          /* so much of the IR is in the order of the program */
    bool parts[IR_LIMIT];      /* an access that stands for several of the program's: lower_bytes.c */
    unsigned n_order, now;     /* … and where in it we are */
    uint16_t when[IR_LIMIT];   /* where in it a value is made, or 0 */
    uint16_t last[IR_LIMIT];   /* where in it a value is used last */
    bool waits;                /* what can wait does; lower_late.c has this and what follows */
    bool waiting[IR_LIMIT];    /* … until it is asked for */
    bool as_value[IR_LIMIT];   /* used otherwise than for an address */
    bool whole[IR_LIMIT];      /* somebody looks at its upper half; else that may be anything, and the guest's is the sign extended */
    bool sext[IR_LIMIT];       /* all operands are ir_is_sext32(), before anything is passed over */
    bool superseded[IR_LIMIT]; /* a SET that another follows before homes must be exact */
    uint8_t depth[IR_LIMIT];   /* of what waits on one another */
    uint16_t pend[32];         /* the SETs whose values the homes have not got, where pending has a bit */
    uint32_t pending;
    struct amode {
        ref base, index;       /* 0: no such, or an access without */
        uint8_t scale;
        int64_t disp;
    } amodes[IR_LIMIT];
    uint8_t recipes[RECIPES];
    uint32_t n_recipes, last_recipe;
    ref twin[IR_LIMIT];        /* lower_twins.c: a later value that this one's instruction makes as well, or 0 */
    bool made[IR_LIMIT];       /* … and has made */
    bool selects[IR_LIMIT];    /* a comparison that one SELECT alone wants, which makes it */
    uint16_t uses[IR_LIMIT];
    uint16_t set_at[IR_LIMIT]; /* the SET or SETF that a value may be made in place for, or 0 */
    uint8_t within[IR_LIMIT];  /* known to be an address of the guest's: WITHIN_*, or 0 */
    bool calm[IR_LIMIT];       /* raises no flags, though it may: what would raise one leaves */
    ref unraised;              /* … but for inexact, which the conversion of this value would have raised */
    ref compared;              /* what the host's flags say, if nothing was emitted since compared_at */
    uint8_t compared_cc;
    uint8_t *compared_at;
    uint8_t fk[IR_LIMIT];      /* FK_* of values */
    ref fval[32];              /* which value the home of an f register has, as far as it is known */
    struct fstate fs;          /* what homes have */
    unsigned version;          /* of the blocks that are being emitted */
    unsigned i;                /* the instruction being lowered */
    bool full;
    struct fixup fix[FIXUPS];
    struct stub stubs[STUBS];
    struct fault_point faults[REGION_INSNS * 2];
    unsigned n_fix, n_stubs, n_faults;
    unsigned counted;          /* of the guest instructions of this extended block */
    struct fma fma[FMAS]; /* not tested yet */
    unsigned n_fma, n_tests;
    uint32_t kept; /* the xmm registers of their factors */
    struct fma_test tests[FMA_TESTS];
    uint8_t *start; /* executable view */
};

/* lower_plan.c: dead code, last uses, and which values may be made in their guest register's home */
void lower_plan(struct lower *l);

/* lower_bytes.c: accesses to bytes side by side become one. What it makes anew stands behind n_given. */
void lower_bytes(struct lower *l);

/* lower_twins.c. Before lower_plan() counts uses; the value of l->i has been made with another's: give it its place; and lower_int()'s. */
void twins_find(struct lower *l);
bool twin_arrives(struct lower *l);
bool lower_twins(struct lower *l, const struct ir_ins *i);

/* lower_late.c. For lower_plan(), from the end: k uses its operands; may control leave there, or homes be asked for? Then the order. */
void late_used(struct lower *l, unsigned k);
bool late_syncs(const struct lower *l, const struct ir_ins *i);
void late_order(struct lower *l);
uint32_t late_recipe(struct lower *l); /* of what is pending; 0: nothing */

/* lower_regs.c */
int use_int(struct lower *l, ref r);  /* the register that holds it, loaded if need be, locked */
int use_fp(struct lower *l, ref r);
void put_int(struct lower *l, int reg, ref r); /* copied to that register, which holds nothing of use */
int def_int(struct lower *l, ref may_reuse); /* where the value of l->i goes */
int home_int(struct lower *l); /* the home that it may be made in, or NO_REG */
int def_fp(struct lower *l, ref may_reuse);
void made_int(struct lower *l, int reg);
void made_fp(struct lower *l, int reg);
int temp_int(struct lower *l); /* a scratch register for this instruction, locked */
int temp_fp(struct lower *l);
void claim(struct lower *l, int reg); /* that register, its value saved elsewhere */
int in_register(const struct lower *l, ref r); /* where a value is, or NO_REG */
int in_spill(const struct lower *l, ref r);
int in_home(const struct lower *l, ref r);
/* SET and SETF: the home gets it. And the guest's register is written. */
void lower_set(struct lower *l, const struct ir_ins *i, bool fp);
void lower_written(struct lower *l, unsigned set);
/* All homes from the region's to the standard convention, f registers as they are, or exact; and back, to that block. */
void shuffle_raw(struct lower *l, uint32_t dirty);
void shuffle_out(struct lower *l, struct fstate fs);
void shuffle_in(struct lower *l, const struct rblock *to);

/* lower.c */
struct mem address(struct lower *l, ref base, int64_t disp); /* base is a register */
struct mem access_at(struct lower *l, const struct ir_ins *i, bool store); /* where that load or store goes */
uint64_t pc_here(const struct lower *l); /* of the guest instruction that is being lowered */
void fault_here(struct lower *l); /* the next host instruction may fault */
void fault_for(struct lower *l, uint64_t pc, const struct fstate *fs); /* the same, for another guest instruction */
void bail(struct lower *l, uint8_t *from); /* a jump to here leaves for the interpreter, before this instruction */
struct stub *stub_new(struct lower *l, enum stub_kind k, uint8_t *from);

/* Compare a with b, for instruction k; the condition that then stands for the relation op (IR_EQ … IR_GEU). */
enum cc compare(struct lower *l, unsigned k, enum ir_op op, ref a, ref b);
/* Where a value is in memory, if it is in no register and not needed again: an operand that costs no register. */
bool memory_operand(struct lower *l, ref r, struct mem *m);

/* lower_count.c: add one to that word (NULL: full); and the jumps that a profile's manager has to see, true if i is one */
void count_one(struct lower *l, uint64_t *count);
bool lower_counted(struct lower *l, const struct ir_ins *i);

/*
 * lower_log.c: nothing without lockstep.h. An access to m follows, and has been made: what was stored, or loaded or is the result, is in
 * that register, as ACCESS_* of lockstep.h. A poll, that leaves by such a stub; NULL: it does not leave.
 */
void log_before(struct lower *l, struct mem m);
void log_lr_alone(struct lower *l); /* the pair that was logged next has not come to its sc */
void log_int(struct lower *l, unsigned bytes, unsigned kind, int r);
void log_fp(struct lower *l, unsigned bytes, unsigned kind, int x);
void log_constant(struct lower *l, unsigned bytes, int32_t v);
void log_poll(struct lower *l, const struct stub *by);

/*
 * lower_machine.c. Guest instructions up to this one of the extended block are counted now; so many are not, at that instruction.
 * To another page; to the address in rax; its own address. Where an access goes in the host, once the TLB has answered.
 */
void machine_count_to(struct lower *l, unsigned pos);
int machine_uncounted(const struct lower *l, unsigned pos);
void machine_poll(struct lower *l, uint64_t pc, int rest); /* leaves there, with so many still to be counted */
bool machine_is_far(const struct lower *l, uint64_t pc);
void machine_go_far(struct lower *l, uint64_t pc, bool call);
void machine_jump(struct lower *l, bool call);
void machine_push_link(struct lower *l, unsigned rd);
void machine_come_back(struct lower *l);
void machine_address(struct lower *l, int reg, uint64_t pc); /* flags stay as they are */
void machine_gate(struct lower *l);
void machine_callout(struct lower *l, uint64_t pc, const struct insn *i); /* in the standard convention, and back in it */
struct mem lower_ram(struct lower *l, const struct ir_ins *i, unsigned size, bool store);
struct mem lower_ram_atomic(struct lower *l, const struct ir_ins *i, unsigned size, bool store);
void machine_miss(struct lower *l, const struct stub *s);

/* lower_fma.c */
void fma_new(struct lower *l, unsigned fmt, int a, int b); /* l->i is one; its factors stay in these registers */
void fma_before(struct lower *l, const struct ir_ins *i);
void fma_after(struct lower *l, const struct ir_ins *i);
void fma_flush(struct lower *l); /* test now */
void fma_settle(struct lower *l, unsigned fmt, int a, int b); /* what is a NaN in these two registers becomes the canonical one */
void fma_stub(struct lower *l, const struct stub *s);
void fp_canonical_stores(struct lower *l, ref r);

/* fstate.c: FK_* of what an instruction makes, given those of its operands */
unsigned fstate_made(const struct ir *ir, const struct ir_ins *i, const uint8_t *kinds);
unsigned fstate_get(const struct fstate *fs, unsigned g);
void fstate_put(struct fstate *fs, unsigned g, unsigned kind);

/* lower_int.c: true if it knew the instruction */
bool lower_int(struct lower *l, const struct ir_ins *i);
void lower_extend(struct lower *l); /* the 32 bits of the value just made */
void lower_fence(struct lower *l);
void lower_reserve(struct lower *l, const struct stub *s);

/* lower_fp.c: true if it knew the instruction */
bool lower_fp(struct lower *l, const struct ir_ins *i);
void fp_made(struct lower *l); /* the value of l->i: what kind it is */
void fp_canonical(struct lower *l, ref r); /* now, if it may be another NaN */
int fp_use_bits(struct lower *l, ref r);   /* use_fp() of the guest's 64 bits */
void fp_settle(struct lower *l, struct fstate from, struct fstate to); /* the homes, from one state to another that asks for more */
struct stub *fp_nan_test(struct lower *l, unsigned fmt, int a, int b); /* a stub for if one of them is a NaN */
void fp_test_nan(struct lower *l, unsigned fmt, int x); /* parity: it is */
void fp_put_nan(struct lower *l, unsigned fmt, const struct places *to);
struct places fp_places(const struct lower *l, ref r);
void fp_made_canonical(struct lower *l, ref r); /* it was seen to */
void fp_raise(struct lower *l, unsigned fmt, int x); /* inexact, if x is no integer */
void fp_load_reg(struct lower *l, int x, struct mem m);
void fp_store_reg(struct lower *l, int x, struct mem m);
void fp_store_single(struct lower *l, int x, struct mem m);
void fp_move(struct lower *l, int to, int from);
void fp_from_int(struct lower *l, int x, int r);
void fp_to_int(struct lower *l, int r, int x);

#endif
