/*
 * jit.h - what the translator's files share
 *
 *      adaptive.c   the emulation manager: finds, interprets, counts, asks for translations, follows exits
 *      region.c     which blocks make a unit of translation, and which host register holds which guest register in it
 *      front.c ir.c guest instructions to IR          lower*.c   IR to x86-64          fstate.c   NaNs and boxes, late
 *      record.c keep.c store.c   translations that outlive the process: their form, which and when, the files
 *      hle.c hle_x64.S  host routines in place of libc's
 *      tcache.c     where translations are kept: code, slots, exits, the table of entries; chaining, forgetting, flushing
 *      wishes.c     what children of fork would each interpret
 *
 * Between translations guest registers stand as std_map says, all others in memory (the standard convention):
 *
 *      rbp  &hart + HART_BIAS        rsp  the shadow stack of return addresses        rax rcx rdx  scratch
 *      rbx rsi rdi r8-r15  guest registers                 xmm3  all ones         MXCSR  the guest's
 *
 * A region may hold other guest registers in those, and f registers in xmm5-xmm31; it shuffles at its entry, its exits and around
 * calls. docs/decisions/0004 says why.
 */
#ifndef DOPPEL_JIT_H
#define DOPPEL_JIT_H

#include "engine/engine_impl.h"
#include "engine/ir.h"
#include "engine/x64.h"

#include <pthread.h>
#include <sys/types.h>

#define JIT_FIXED_BYTES 4096 /* of trampolines, in front of all code */
#define RELOCS_MAX 8192 /* of one translation */
#define HART_BIAS 128 /* x0..x31 are then within one byte of displacement */
#define HART(field) ((int)offsetof(struct hart, field) - HART_BIAS)
#define HART_X(g) ((int)(8 * (g)) - HART_BIAS)
#define HART_F(g) ((int)offsetof(struct hart, f) + (int)(8 * (g)) - HART_BIAS)

/* Where a region keeps guest registers: a host register, or NO_REG for memory. */
struct regmap {
    int8_t x[32];
    int8_t f[32];
};
extern const struct regmap std_map;
#define STD_HOSTS (1u << RBX | 1u << RSI | 1u << RDI | 0xff00u)
#define XMM_ONES 3     /* all ones: the upper half of every single */
#define FIRST_F_HOME 5 /* a region's f registers: xmm5 and up */
#define F_REGS 32      /* with AVX-512, and --opt=-high not given */

/* What a translation ends with, seen from the manager. The number of the exit is in eax. */
enum jexit_kind {
    JX_INDIRECT, /* number 0 only: the target is in hart->pc */
    JX_ECALL,    /* number 1 only: the owner is to do it; hart->pc is its address */
    JX_CHAIN,    /* go on at pc; the slot may be set to its translation */
    JX_HOT,      /* the block at pc has used up its count */
    JX_POLL,     /* attention; or lockstep.h's turn. Nothing of the instruction at pc has been done */
    JX_INTERP,   /* the interpreter executes the instruction at pc */
    JX_EBREAK,
    JX_ILLEGAL,
    JX_FENCE_I,
    JX_JUMPED,   /* profile.h: the target is in hart->pc, the jump was at pc */
    JX_COUNT,
};
#define FIRST_EXIT 2 /* with a place of its own in the code */
struct jexit {
    uint64_t pc;
    uint64_t *slot;          /* JX_CHAIN: where the jump goes; while it is profiled, how often is the next word */
    uint64_t unchained;      /* what the slot holds while it goes nowhere: the way to the manager */
    uint32_t next;           /* the next exit that is chained to the same translation */
    uint8_t kind;
    int16_t rest;            /* a machine's: guest instructions that it has not counted */
    uint32_t nan, single;    /* what the manager has to put right in hart->f: struct fstate */
};

struct fault_point {
    uint32_t off : 31, again : 1; /* of the host instruction, from the translation's start; whose fault it is the interpreter finds out */
    int32_t delta; /* guest address, from the translation's pc */
    uint32_t nan, single, dirty; /* struct fstate */
    uint32_t recipe; /* of the guest registers whose homes are not exact: where in `recipes`, or 0 (lower_late.c) */
};

/*
 * What the homes of f registers hold, a bit for each register: exactly the guest's 64 bits where neither nan nor single is set.
 * fstate.c says how it is known at each label.
 */
struct fstate {
    uint32_t nan;    /* a NaN there stands for the canonical one, whatever its bits are */
    uint32_t single; /* the low half counts; the guest's upper half is all ones */
    uint32_t canon;  /* a NaN there is the canonical one */
    uint32_t num;    /* there is no NaN */
    uint32_t top;    /* while it is sought: nothing is known yet */
    uint32_t dirty;  /* hart->f has not heard of it yet; a home that is not dirty may hold anything, if nobody reads it */
};

/* One piece of generated code: a block (tier 1) or a region (tier 2). What it points to, but for code and data, is behind it. */
struct translation {
    uint64_t pc;
    uint8_t *code; /* as executed */
    uint32_t size;
    uint8_t tier;
    bool dead;
    uint8_t hle; /* enum hle: begins with that routine */
    uint32_t n_faults, n_insns;
    struct fault_point *faults;      /* by offset */
    uint8_t *recipes;
    uint32_t n_recipes; /* bytes */
    const struct regmap *map;
    uint32_t *counter;               /* tier 1: counts down */
    uint64_t *data;                  /* its slots, side by side */
    uint32_t first_exit, n_exits, n_data;
    uint32_t incoming;               /* exits chained to here */
    uint64_t lo, hi;                 /* guest bytes that it was made from, as one range */
    uint64_t hash;                   /* of the guest bytes */
    uint32_t n_spans;
    struct span { uint64_t start, end; } *spans; /* what exactly */
    struct on_page { struct translation *t; uint64_t page; struct on_page *next; } *pages; /* one for each page of a span */
    struct translation *next;        /* of all */
};

/* What lower() works from: blocks in the order in which they are laid out. */
struct rblock {
    uint64_t pc;
    uint32_t first, count; /* instructions */
    bool label;            /* somebody jumps here, or returns here: nothing is known of values */
    bool loop;             /* the head of one */
    bool again;            /* the same block stands behind it once more, as its next turn: no poll between them */
    bool taken;            /* the layout goes on where the last branch is taken */
    bool calls;            /* it ends with a call: what it comes back to, it comes back to with exact f registers */
    int16_t succ[2];       /* where it goes to otherwise, by index; -1: out of the region, or nowhere */
    uint32_t live;         /* f registers that are in their homes there: read, or written back, before they are written */
    struct version {
        bool used;
        struct fstate fs;  /* at its label */
        uint8_t *at;       /* lower(): where it was emitted, or NULL */
    } v[2];                /* fstate.c; tier 1 has the first one */
};
#define REGION_BLOCKS 128
#define REGION_INSNS 2000
#define HLE_BYTES 1280
#define HLE_ROUTINES_MAX 16
struct region {
    uint64_t pc;
    unsigned tier, n_blocks, n_insns;
    bool machine;
    uint64_t epoch; /* of the code, before it was read */
    struct regmap map;
    struct rblock blocks[REGION_BLOCKS];
    struct insn insns[REGION_INSNS];
    uint64_t pcs[REGION_INSNS];
    uint8_t skips[REGION_INSNS]; /* a branch over so many instructions, which are done without a jump: what they write is selected */
    uint32_t words[REGION_INSNS]; /* as they were read: what the translation is made from */
    uint32_t hle, hle_bytes;      /* enum hle: what it begins with; and the guest's code for that, all of it */
    uint8_t hle_code[HLE_BYTES];
};

struct jit_stats {
    unsigned long blocks, regions, bytes, insns, exits[JX_COUNT], chains, flushes, invalidated, hot, interp_runs, faults, hle_faults;
    unsigned hle[HLE_ROUTINES_MAX]; /* translations that begin with it */
    unsigned long shared, folded, dead, spills, lazy_nans, lazy_boxes, settled, flags_kept, amodes, unstored, halves, pairs, merged, twins, unrolled, high, selected, checked, checked_insns, unchecked;
};

struct jit {
    pthread_mutex_t lock;      /* translating, chaining, forgetting */
    struct hart *owner;        /* who holds it: a fault while guest code is read must release it */
    uint8_t *code, *write;     /* the cache's two views */
    size_t size;
    uint8_t *top;              /* free code starts here (executable view) */
    uint8_t *floor;            /* … and what is below is the trampolines, which stay */
    struct wish *wishes;       /* own: shared with children of fork (wishes.c); NULL before the first */
    unsigned young;            /* a child: how often it may still wish */
    bool has_forked;           /* children may have left wishes */
    unsigned forks;            /* how often */
    bool inherited;            /* by fork: from `top` on the views are the parent's; or the host had no mapping to spare for them */
    uint64_t data_bytes;
    uint64_t *data, *data_top, *data_end; /* slots, in reach of rip-relative addressing */
    uint32_t *counts;          /* … and in front of them the counters, by the translation's place in by_addr */
    char *tables;              /* exits, by_addr and the other tables of fixed size */
    struct jexit *exits;
    uint32_t n_exits, max_exits;
    uint32_t *entries;         /* entries[pc / 2]: offset of the translation in the cache, 0 for none */
    struct translation *all;   /* dead ones too */
    struct on_page **by_page;  /* PAGE_BUCKETS of them, by the page's low bits */
    struct translation **by_addr; /* by address of code, for faults */
    uint32_t n_by_addr, max_translations;
    uint32_t *starts;          /* by place of the first byte of code: which of by_addr it is */
    uint16_t *heat;            /* HEATS of them: heat_of() */
    uint64_t epoch;            /* raised when something was forgotten: return addresses then count no more */
    atomic_bool flush_wanted;
    bool no_room;              /* why jit_lower() gave up: the cache is full */
    /* Scratch of who holds the lock, which a child of fork finds empty: */
    struct region *region;
    struct ir *ir;
    struct lower *lower;
    uint32_t *relocs;          /* RELOCS_MAX of them */
    void *record;              /* RECORD_MAX bytes */
    struct profile *profile;   /* own: profile.h; NULL: nothing is counted */
    struct keep *keep;         /* own: keep.c; NULL: nothing is kept */
    struct lockstep *lockstep; /* own: lockstep.h; NULL: nothing is checked */
    struct jit_stats stats;
    unsigned opts, hot1, hot2; /* --opt, thresholds */
    unsigned hot1_least;       /* hot1 is higher while the cache fills too fast; 0: never */
    uint64_t flushed_at;       /* CPU time of the process, ns */
    unsigned show;             /* SHOW_*: --dump, --perf */
    int perf_fd;
    pid_t perf_pid;            /* whose file perf_fd is; 0: none yet; PERF_FORKED: the maker's */
#define PERF_FORKED (-1)
    void *perf_mark;           /* own: a mapping of it, that perf sees; or NULL */
    uint64_t perf_index;       /* records in it */
    uint8_t flags_of[64];      /* fflags by the low six bits of MXCSR */
    bool bmi1, bmi2, avx, avx2, avx512, fma, lzcnt, popcnt, sse41;
    bool high;                 /* regions use xmm16 and up */
    unsigned high_at;          /* where a signal's frame has them */
    /* trampolines */
    uint32_t (*enter)(struct hart *h, const void *code);
    uint8_t *leave;            /* eax: number of the exit */
    uint8_t *indirect_exit;    /* rax: guest address */
    uint8_t *callout;          /* called: the ecall at rax; comes back to what is behind it, or leaves */
    uint8_t *return_missed;    /* the same, and return addresses are forgotten */
    uint8_t *return_odd;       /* returned to: the lowest entry of the shadow stack */
    uint8_t *step;             /* called: a machine's instruction at rax in its page, decoded at rcx; comes back as `callout` does, or leads elsewhere */
    uint8_t *miss[8];          /* called: a machine's access without an entry in the TLB; log2 of bytes, 4 for a store */
    struct machine_code *machine; /* own: system_jit.c; NULL: a program's */
};

/* A jump that is taken if hart->attention is set: one operation, for a comparison with a register fuses with its jump. */
static inline uint8_t *
x_poll(struct x64 *x)
{
    x_rm(x, X_CMP, false, RSP, M(RBP, HART(attention)));
    return x_jcc(x, CC_B);
}

/* How often code was met that has no translation. Two places may share a count: neither is then much hotter than it says. */
#define HEATS (1u << 14)

static inline uint16_t *
heat_of(const struct jit *j, uint64_t place)
{
    return &j->heat[(place >> 1 ^ place >> 15) & (HEATS - 1)];
}

/* tcache.c */
void jit_std_homes(struct x64 *x, bool out); /* the registers of the standard convention to memory, or from there */
int jit_init(struct engine *en, struct err *e);
void jit_fini(struct engine *en);
struct translation *jit_begin(struct jit *j, struct x64 *x, unsigned tier); /* room for code; NULL: the cache is full */
/*
 * Copies what jit_begin() gave, and what that points to: complete but for what a published one has. epoch: of the code, before the bytes
 * that it was made from were read. NULL without memory, or if they have changed.
 */
struct translation *jit_publish(struct engine *en, const struct translation *made, const struct x64 *x, uint64_t epoch);
uint64_t jit_region_hash(const struct region *r); /* of the guest bytes */
uint32_t jit_exit_new(struct jit *j, enum jexit_kind kind, uint64_t pc); /* UINT32_MAX: full */
uint64_t *jit_data_new(struct jit *j, uint64_t v);                       /* NULL: full */
void jit_chain(struct jit *j, uint32_t exit, struct translation *to);
void jit_forget(struct engine *en, uint64_t start, uint64_t end, bool if_changed);
void jit_rechain(struct jit *j, struct translation *from, struct translation *to);
void jit_flush(struct engine *en);
void jit_after_fork(struct engine *en);
struct translation *jit_translation_at(struct jit *j, const uint8_t *code);
struct translation *jit_find(struct jit *j, uint64_t pc);

/* wishes.c. Before a fork, and after it in the child; the child has come to cold code; the pc of the next wish to grant, from *at on. */
void jit_wishes_init(struct jit *j);
void jit_wishes_child(struct jit *j);
void jit_wish(struct jit *j, uint64_t pc);
uint64_t jit_wish_next(struct jit *j, unsigned *at); /* 0: there is none */

/* tcache.c. Holding the lock: chain whatever leads to a translation that exists. */
void jit_chain_all(struct jit *j);

/* lower.c. Holding the lock. NULL if there is no room (then a flush is due). */
struct translation *jit_lower(struct engine *en, struct region *r);

/* adaptive.c: the ecall at h->pc, called from translated code with all state in memory: where to go on. */
enum callout { CALLOUT_BACK, CALLOUT_LEAVE, CALLOUT_ECALL }; /* behind the ecall; exit 0; exit 1 */
uint32_t adaptive_ecall(struct hart *h);

/* adaptive.c: everybody out of translated code, soon. Holding the lock. */
void jit_kick(struct engine *en);
void jit_shadows_free(struct engine *en);

/* lower_machine.c: a machine's trampolines; and what stands in return_missed */
void machine_trampolines(struct jit *j, struct x64 *x, const uint8_t *leaves);
void machine_return(const struct jit *j, struct x64 *x);

/*
 * adaptive.c: a translation of the block at pc, NULL if there is none to be had; a region in its place. Around the use of anything that
 * a flush takes away: false, and nobody is in, if one is wanted. If it is wanted, and nobody is in: it is done.
 */
struct translation *jit_translate(struct engine *en, struct hart *h, uint64_t pc);
void jit_optimise(struct engine *en, struct hart *h, uint64_t pc);
bool jit_come_in(struct engine *en, struct hart *h);
void jit_go_out(struct engine *en, struct hart *h);
void jit_flush_if_alone(struct engine *en, struct hart *h);

/* The fault point of the host address `at` in t, as offset; NULL if there is none. And all that it says of registers into the hart. */
const struct fault_point *jit_fault_point(const struct translation *t, const uint8_t *at);
bool jit_recover(struct hart *h, const struct translation *t, uint64_t at_pc, const struct fault_point *f, const uint64_t *regs,
                 const void *xmm, const void *high);

/* code.c: page flags alone, for so many bytes */
int code_flags_init(struct engine *en, uint64_t bytes, struct err *e);

/* machine_code.c: the bytes of the page with that guest address that translations are made from */
const uint8_t *machine_page(const struct jit *j, uint64_t pc);

/* show.c. Holding the lock. */
enum { SHOW_BLOCKS = 1, SHOW_KINDS = 2, SHOW_IR = 4, SHOW_ASM = 8, SHOW_PERF = 16, SHOW_JITDUMP = 64, SHOW_TEXT = 15 };
#define SHOW_EXITS 0xffff /* in place of a guest instruction: what is behind them */
void show_region(const struct engine *en, const struct region *r);                   /* before it is lowered */
void show_ir(const struct engine *en, const struct region *r, const struct ir *ir);  /* before an extended block is */
void show_mark(unsigned gi, uint32_t off);                                           /* the code of a guest instruction begins */
void show_asm(const struct engine *en, const struct region *r, const struct translation *t);

/* perf.c. Holding the lock: there is one more. */
void perf_translation(const struct engine *en, const struct translation *t);

/* lower_late.c. The guest registers of a recipe into the hart, from the host's as they were; false if it makes no sense. */
bool late_recover(struct hart *h, const struct translation *t, uint64_t at_pc, uint32_t recipe, const uint64_t *regs); /* at_pc: where t->pc is for the hart */

/* fstate.c. fstate_block() for the IR of each block of a region, then fstate_flow() finds rblock.v and .live. */
void fstate_block(const struct ir *ir, unsigned block);
void fstate_flow(struct region *r, unsigned opts);
int fstate_version(const struct rblock *b, const struct fstate *from); /* which of a label's is for who comes so; -1: none */
void fstate_settle(struct hart *h, uint32_t nan, uint32_t single); /* hart->f from that state to the guest's bits */

/* region.c. Fills j->region with the block at pc, or with the region around it; false if there is no code there. */
bool region_block(struct engine *en, struct hart *h, uint64_t pc);
bool region_grow(struct engine *en, struct hart *h, struct translation *head);
void region_move(struct region *r, uint64_t by); /* as if its code were so far away */
uint64_t region_elsewhere(const struct jit *j, const struct region *r); /* --opt=-place: a distance that leaves an address as short as it was */
bool region_ends_block(const struct insn *i); /* what is behind it is another block */

#endif
