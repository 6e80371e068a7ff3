/*
 * engine.h - runs instructions; does not know for whom
 *
 * The contract (DESIGN, "Engine"): engine_run(hart, budget) executes from hart->pc until something happens that the
 * owner must see, and returns a record of it. The hart's state is then complete and exact in memory. Nothing blocks
 * inside; a hart may be run by another thread next time.
 *
 * Code space. Guest code is executed from decoded slots, one for each halfword of guest code, at
 *
 *      slot(pc) = bias + pc * engine_slot_scale(kind)
 *
 * in a reserved range that covers the guest's address space; only ranges that the owner declared executable with
 * engine_code_map() are accessible, so that fetching from elsewhere faults in the host and is seen as a guest's fetch
 * fault at exactly that pc. A zeroed slot means "not decoded yet".
 *
 * Faults. Guest loads and stores are plain host accesses at guest_base + address. The owner's SIGSEGV/SIGBUS handler
 * calls engine_fault(), which does not return if the access was the guest's.
 *
 * Threads: one struct engine serves all harts that share an address space. engine_run, engine_fault and engine_kick
 * may be called by any thread; engine_code_* are serialized by the owner (the process VM's map lock).
 */
#ifndef DOPPEL_ENGINE_H
#define DOPPEL_ENGINE_H

#include "base/err.h"
#include "isa/hart.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum engine_kind { ENGINE_SWITCH, ENGINE_INDIRECT, ENGINE_PREDECODED, ENGINE_THREADED, ENGINE_ADAPTIVE };

/* Guest addresses are below this: Sv39's user half. The last page is never mapped. */
#define GUEST_TOP (UINT64_C(1) << 38)

struct engine;

/* A function of the guest's, or the code between two that have names. */
struct engine_function {
    const char *object; /* ref, to the end: the path of the file that it is mapped from */
    uint64_t start;     /* its guest address */
    uint64_t offset;    /* and where that is in the object, as its symbol table counts */
    char name[512];     /* "" for code without a symbol: from one function's end to where the next begins it is one */
};

struct engine_config {
    enum engine_kind kind;
    uint64_t guest_base; /* host address of guest address 0; 0 for the identity */
    struct engine_tuning {   /* ENGINE_ADAPTIVE; 0 is the default of each */
        uint64_t code_cache; /* bytes of translations at most */
        uint32_t hot1, hot2; /* executions before a block is translated, and before it is optimised; + 1 */
        uint32_t opts_off;   /* optimisations not to do: bits by engine_opt_by_name() */
        uint32_t host_cpu;   /* 1 … 4: use no more than x86-64-v1 … v4 has */
        uint32_t show;       /* what to show of each translation: bits by engine_show_by_name(), ENGINE_PERF */
        int show_fd;         /* … and where */
    } tuning;
    /*
     * ENGINE_ADAPTIVE; both or none. Do the ecall at h->pc from inside of engine_run: everything but fflags is in memory, MXCSR is the
     * guest's. True: it is done and pc has moved, or has not because it is to be executed again after h->attention. False: nothing
     * has happened, engine_run is to return. ecall_brief is asked first: it does not block and calls nothing of the engine.
     */
    bool (*ecall_brief)(struct hart *h), (*ecall)(struct hart *h);
    struct engine_cache {    /* ENGINE_ADAPTIVE: translations that are kept for other processes */
        int fd;        /* ref: the folder's descriptor, see store.h, + 1; 0: none are */
        ext_set exts;  /* of every hart */
    } cache;
    /* The name of the guest's function at pc: its length, 0 if there is none. May be NULL. */
    size_t (*symbol)(void *arg, uint64_t pc, char *name, size_t size);
    /* … and which function that is, for who counts: false if the code is in no file. May be NULL. */
    bool (*function)(void *arg, uint64_t pc, struct engine_function *f);
    void *symbol_arg;
    void *place; /* ref: from engine_place_new(); NULL: the engine finds one */
};

/*
 * Memory for an engine, and *beside it ENGINE_BESIDE bytes of zeros for what its owner writes all the time, too: parent and child of a
 * fork then copy one page, not two. For engine_config.place, and for as long as the process lives. NULL without memory.
 */
#define ENGINE_BESIDE 2048
void *engine_place_new(void **beside);

/* The bit of an optimisation, by its name in --opt: fold, cse, fuse, dse, regions, place, nan, box, flags, twice, fma, trust, late, lrsc, bytes, twins, hle; 0 if there is none such. */
uint32_t engine_opt_by_name(const char *name, size_t len);

/* The bit of what --dump names: blocks, kinds, ir, asm; 0 if there is none such. And those of --perf: /tmp/perf-PID.map, /tmp/jit-PID.dump. */
uint32_t engine_show_by_name(const char *name, size_t len);
#define ENGINE_PERF 16
#define ENGINE_JITDUMP 64
#define ENGINE_PROFILE 32 /* count: engine_profile_get() */
/* Hold each stretch of translated code against the interpreter, EXIT_DIFFERS: translations alone, or chained as ever. */
#define ENGINE_LOCKSTEP 128
#define ENGINE_BORDER 256

/*
 * What has been executed, exactly; of the interpreters and other harts that run, what they have told until now. Functions are known by
 * their place in a file; function 0 is all code that is in none.
 */
enum profile_kind { PROFILE_NONE, PROFILE_BRANCH, PROFILE_JUMP, PROFILE_CALL, PROFILE_RETURN, PROFILE_COMPUTED };
struct profile_function {
    char *name;            /* own; NULL: function 0. Between two functions: [libc.so.6+0x35f2a] */
    const char *object;    /* ref; and the rest: see engine_function */
    bool nameless;
    uint64_t start, offset;
    uint64_t insns, total; /* retired in it; and in what it called, too */
    uint64_t calls;        /* how often it was called, or jumped to from another */
};
struct profile_block {     /* instructions that have always been executed together */
    uint64_t start, end, executed;
    uint32_t n_insns, function;
};
struct profile_edge {      /* a jump or branch, and where it went; a branch that was not taken goes behind itself */
    uint64_t from, to, taken;
    uint32_t function_from, function_to;
    enum profile_kind kind;
};
struct profile_path {      /* function called by that of `parent`; recursion is folded: no function is twice on the way to the root */
    uint32_t parent, function; /* paths[0] is the root, of no function */
    uint64_t insns, calls;
};
struct engine_profile {
    const struct profile_function *functions; /* ref: good until the engine runs again */
    const struct profile_path *paths;         /* ref; a parent stands before what it has called */
    struct profile_block *blocks;             /* own */
    struct profile_edge *edges;               /* own */
    size_t n_functions, n_paths, n_blocks, n_edges;
    uint64_t insns;
    bool incomplete; /* there was no memory for all */
};

/* False if nothing is counted, or by another process (after vfork), or there is no memory. */
bool engine_profile_get(struct engine *en, struct engine_profile *out);
void engine_profile_put(struct engine_profile *p);

/* Does the translator have this instruction inline? Otherwise it calls out to the interpreter. */
bool engine_is_inline(const struct insn *i);

enum exit_kind {
    EXIT_BUDGET,    /* `budget` instructions have been retired, or a few more: blocks end at jumps */
    EXIT_ATTENTION, /* hart->attention was set */
    EXIT_ECALL,     /* pc is the ecall's */
    EXIT_EBREAK,    /* pc is the ebreak's */
    EXIT_ILLEGAL,   /* no such instruction, or not on this hart; pc is its address, `addr` its bits */
    EXIT_FETCH,     /* no executable memory at `addr` (pc, or pc + 2 when only the second half is missing) */
    EXIT_FAULT,     /* load or store at guest address `addr`; `write` if known to be a store */
    EXIT_MISALIGNED, /* atomic access that is not naturally aligned, at `addr` */
    EXIT_FENCE_I,   /* retired; pc is the next instruction; the owner calls engine_code_sync() */
    EXIT_WATCH,     /* the access at `addr` is about to happen, and a watchpoint waits for it; `write`: it stores */
    EXIT_DIFFERS,   /* the translator is wrong: engine_difference(); the hart is as the translation left it */
};

/* Accesses to any of [start, start + bytes). */
struct engine_watch {
    uint64_t start, bytes;
    bool loads, stores;
};

struct engine_exit {
    enum exit_kind kind;
    bool write;
    bool loads, stores; /* EXIT_WATCH: what the watchpoint waits for */
    int host_sig;  /* EXIT_FAULT: SIGSEGV or SIGBUS as the host raised it; 0 if doppel itself found the address wild */
    int host_code; /* EXIT_FAULT: si_code as the host gave it (SEGV_MAPERR, SEGV_ACCERR, BUS_ADRERR) */
    uint64_t addr;
};

/* Makes an engine: reserves the code space. NULL and *e on failure. engine_free() gives everything back. */
struct engine *engine_new(const struct engine_config *cfg, struct err *e);
void engine_free(struct engine *en);

/* What the translator did, as lines of text: their length, 0 with the interpreters. */
size_t engine_stats(const struct engine *en, char *text, size_t size);

/* The same, for programs, while it works: false with the interpreters. Any thread. */
struct engine_translations {
    uint64_t blocks, regions, instructions, bytes; /* made since the beginning; of tier 1, of tier 2; guest's; of code */
    uint64_t forgotten, flushes;                   /* because their code changed; how often all were, for want of room */
};
bool engine_translations(const struct engine *en, struct engine_translations *t);

/* The engine's name for --engine and back: "switch", …; returns -1 if there is no such engine. */
int engine_kind_by_name(const char *name);
const char *engine_kind_name(enum engine_kind k);

/* After EXIT_DIFFERS: lines of text that say where and how. */
const char *engine_difference(const struct hart *h);

/* With a check: the guest's memory may from now on be changed by others than its harts. */
void engine_shares_memory(struct engine *en);

/* This kind counts in hart->instret what it retires. */
bool engine_counts_instret(enum engine_kind k);

/* Bytes of decoded form that this kind keeps for each byte of guest code that it has executed; 0 if it keeps none. */
unsigned engine_slot_scale(enum engine_kind k);

/*
 * Run `h` from h->pc. budget: about how many instructions at most (INT64_MAX for no bound). On return h is exact: pc
 * is that of the instruction that stopped (not retired), except as enum exit_kind says.
 */
struct engine_exit engine_run(struct engine *en, struct hart *h, int64_t budget);

/* The same for one instruction (EXIT_BUDGET: it is done). over: whatever debugging says of it. */
struct engine_exit engine_step(struct engine *en, struct hart *h, bool over);

/*
 * Debugging. A breakpoint: EXIT_EBREAK there, before the instruction, which memory still holds. A watchpoint: EXIT_WATCH before an
 * instruction's access; while there are any, execution is slow. 0 or -ENOMEM. No hart executes meanwhile.
 */
#define ENGINE_WATCHES 64
int engine_break_insert(struct engine *en, uint64_t pc);
void engine_break_remove(struct engine *en, uint64_t pc);
bool engine_break_at(const struct engine *en, uint64_t pc);
int engine_watch_insert(struct engine *en, const struct engine_watch *w);
void engine_watch_remove(struct engine *en, const struct engine_watch *w);
void engine_debug_clear(struct engine *en); /* there are none any more; calls nothing of the heap's */

/*
 * To be called first by the owner's handler of SIGSEGV and SIGBUS, with the host address that faulted. If guest code
 * on this hart did it, never returns: engine_run returns EXIT_FAULT or EXIT_FETCH. Otherwise returns, true if the handler is
 * to return and all is well, false if the fault is the owner's. The caller's signal mask is as the handler left it: the owner
 * restores it when engine_run returns. ucontext: the handler's third argument; its mxcsr holds the guest's floating-point
 * flags, the host kernel gave the handler a fresh one.
 */
bool engine_fault(struct hart *h, int sig, int code, uint64_t host_addr, bool write, void *ucontext);

/*
 * Guest range [start, end), page-aligned, became executable (map) or stopped to be (unmap). `writable`: the guest can
 * change it without telling us (writable, or shared), so engine_code_sync() must look at it. Either call forgets all that
 * was decoded there. Returns 0 or -ENOMEM.
 */
int engine_code_map(struct engine *en, uint64_t start, uint64_t end, bool writable);
void engine_code_unmap(struct engine *en, uint64_t start, uint64_t end);

/*
 * After engine_code_map() of [start, end), not writable: it is a private mapping of this file from `offset` on. What is translated there
 * can be kept, and may have been. Good until the next call for these pages. engine_wants_files(): somebody is interested at all.
 */
struct engine_file {
    uint64_t dev, ino, size, mtime_ns, ctime_ns;
};
bool engine_wants_files(const struct engine *en);
void engine_code_file(struct engine *en, uint64_t start, uint64_t end, const struct engine_file *file, uint64_t offset);

/* Put into the folder what has been translated of files, if that is worth it: before the process ends or becomes another program. */
void engine_cache_save(struct engine *en);
/* The folder's descriptor has another number now, if there is one. No hart of this process runs but the caller's. */
void engine_cache_moved(struct engine *en, int fd);

/* Forget what was decoded in [start, end): memory there has changed. Any alignment. Safe while other harts run. */
void engine_code_invalidate(struct engine *en, uint64_t start, uint64_t end);

/* fence.i, or riscv_flush_icache without a range: forget whatever is decoded and may have changed. */
void engine_code_sync(struct engine *en);

/* The hart is a copy of another: what the engine keeps for that one is not its own. */
void engine_hart_copied(struct hart *h);

/* The hart will not run again: what the engine keeps for it is given back. */
void engine_hart_release(struct engine *en, struct hart *h);

/* Around fork(2): before, and after in the parent. */
void engine_before_fork(struct engine *en);
void engine_after_fork_parent(struct engine *en);

/*
 * After fork(2), in the child: other threads' harts are gone. After clone(CLONE_VM) nothing is needed.
 */
void engine_after_fork(struct engine *en, struct hart *h);

#endif
