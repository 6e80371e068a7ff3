/*
 * system.h - the engine of a machine: runs harts that have privilege modes and translate addresses
 *
 * system_run() executes from m->h.pc. Traps, interrupts, page-table walks, fences and CSRs happen inside; it comes back only
 * for what enum system_exit names, with the hart's state complete and exact in memory.
 *
 *      while (system_run(m, n) ...) switch:
 *        WFI    nothing that is enabled is pending; pc is behind the wfi. To sleep: p.waiting = 1, and as long as h.attention is 0
 *               and priv_wakes() says no, wait until priv_env.wake() is called; p.waiting = 0. (Both fields atomically.)
 *        ECALL  only if `see`: an ecall of S-mode, at h.pc. The owner does the call, and adds 4 to pc.
 *        STOPPED, BUDGET   as said there
 *
 * The owner may change anything of a hart that is not inside of system_run(); then calls system_hart_changed().
 *
 * Code. What a hart decodes is its own and made from a copy of the page, taken when it first executes there; fence.i makes it
 * compare pages with their copies before it goes on in them. So a store never invalidates anything, and harts share nothing, but for
 * what is translated: system_jit.c.
 *
 * Floating point: while system_run() is on the stack MXCSR is the guest's. Callbacks of devices, and of priv_env, run under it:
 * they do not compute in floating point.
 *
 * Threads: a hart may be run by any thread, one at a time. system_stop(), system_fence() and priv_irq_set() may be called by any,
 * at any time.
 */
#ifndef DOPPEL_SYSTEM_H
#define DOPPEL_SYSTEM_H

#include "base/err.h"
#include "engine/engine.h"
#include "isa/hart.h"
#include "isa/priv.h"
#include "memory/physmap.h"
#include "memory/pmp.h"
#include "memory/softtlb.h"

#include <stdbool.h>
#include <stdint.h>

struct code_cache;
struct code_page;
struct jump_cache;

/* With a translator (system_jit.c): what translated code finds at its hart. */
#define JUMPS 4096
struct jump {
    uint64_t pc; /* odd: none */
    const void *code;
};
struct machine_jit {
    uint64_t page;              /* the virtual address of the page that is executed */
    int64_t left;               /* of the budget */
    struct jump *jumps;   /* into caches: JUMPS of them, for fetches as they are now */
    const char *low;            /* of the shadow stack */
    uint32_t (*missed)(struct hart *h); /* an access has found no entry in the TLB: not 0, the exit that it leaves by */
    uint64_t va;                /* … and this is its address */
    uint32_t miss;              /* … log2 of its bytes, 4 for a store */
    int32_t rest;               /* … so many instructions before it are still to be counted */
    uint64_t regs[16];          /* … and these are the host's registers */
    uint8_t xmm[16][16];
    uint64_t (*step)(struct hart *h); /* an instruction at h.pc that has no translation: enum machine_step, or code to go on at */
    const struct insn *insn;    /* … which is this */
    struct engine *en;          /* ref: the system's */
    struct jump_cache *caches;  /* own; NULL: without a translator */
    uint64_t flushes;           /* of the TLB, that they have seen */
    uint64_t synced[4];         /* which of all harts' fence.is were its last */
    uint64_t pages[64];         /* a bit for each page, by its low bits, that has been executed since they were all empty */
};

struct system {
    enum engine_kind kind;
    struct physmap *pm;     /* ref: complete */
    bool see;               /* the monitor is the supervisor's execution environment: its ecalls are ours */
    bool quiet;             /* no interrupts are taken */
    const struct system_debug *debug; /* ref; NULL: nothing. Changes while no hart is inside; then system_debug_changed() for each */
    struct engine_tuning tuning; /* of the translator */

    struct engine *en;      /* the engine's: the translator that its harts share; NULL before the first */
    unsigned harts;
};

/* Accesses to any of [start, start + bytes), by virtual or physical address. */
struct system_watch {
    uint64_t start, bytes;
    bool loads, stores, physical;
};

/* What a debugger waits for: instructions at virtual addresses, accesses. */
#define SYSTEM_WATCHES 64
struct system_debug {
    const uint64_t *breaks; /* ref */
    size_t n_breaks, n_watches;
    struct system_watch watches[SYSTEM_WATCHES];
};

struct system_stats {
    uint64_t exceptions[16], interrupts[16]; /* taken, by cause */
    uint64_t walks, io, fences, fence_is, code_pages, steps;
};

struct mhart {
    struct hart h;
    struct priv p;

    /* the engine's */
    struct machine_jit jit;
    const struct system *sys;  /* ref; the owner may put another there for a while */
    struct system *made_for;   /* ref */
    struct code_cache *code;   /* own */
    uint64_t page_va;          /* of the page that h.slots is for; 1: none */
    struct code_page *page;    /* ref: that page */
    int64_t entry;             /* what the budget was when h.instret was exact last */
    bool look;                 /* an interrupt may have to be taken */
    uint8_t exit;              /* enum system_exit */
    uint8_t over;              /* the next instruction is done as memory has it: 2 from now on, 1 it is being done */
    struct system_hit {
        uint64_t addr;
        bool loads, stores;    /* what the watchpoint waits for */
    } hit;                     /* SYSTEM_WATCH */
    uint32_t requests;         /* atomic: SYSTEM_STOP, fences */
    uint32_t inside;           /* atomic: in system_run(), where requests are not looked at before each access */
    struct pmp pmp;            /* p.pmpcfg and p.pmpaddr, compiled */
    struct system_stats stats;
    struct softtlb t;
};

enum system_exit {
    SYSTEM_BUDGET,  /* `budget` instructions have been retired, or a few more */
    SYSTEM_STOPPED, /* system_stop() */
    SYSTEM_WFI,
    SYSTEM_ECALL,
    SYSTEM_BREAK, /* at a breakpoint, before its instruction */
    SYSTEM_WATCH, /* before an access that `hit` is about */
};

/*
 * A hart, as priv_reset() leaves it, in M-mode at pc 0. NULL and *e if there is no memory. `sys` and `env` live longer. Freed by
 * system_hart_free(). These two are called by one thread at a time, for harts of one system, and no hart of it is inside.
 */
struct mhart *system_hart_new(struct system *sys, ext_set exts, const struct priv_env *env, uint64_t hartid, uint32_t satp_modes,
                              struct err *e);
void system_hart_free(struct mhart *m);

/* Power-on state again: all registers, and what was kept of translations and code. The hart is not inside. */
void system_hart_reset(struct mhart *m);

/* The owner has changed registers of the hart that decide how it translates. */
void system_hart_changed(struct mhart *m);

enum system_exit system_run(struct mhart *m, int64_t budget);

/* sys->debug is another, or has changed. */
void system_debug_changed(struct mhart *m);

/* Make system_run() come back with SYSTEM_STOPPED, or the next call of it. Any thread. */
void system_stop(struct mhart *m);

/*
 * fence.i, or sfence.vma of everything, on another hart. When it returns the hart has done it, or does it before it executes
 * anything more. Not from inside of the same hart's system_run(). Any thread.
 */
enum { SYSTEM_FENCE_I = 2, SYSTEM_FENCE_VMA = 4 };
void system_fence(struct mhart *m, uint32_t what);

/* The physical address behind va, as the hart would load from it now; false if it could not. For those who look: changes nothing. */
bool system_translate(struct mhart *m, uint64_t va, gpa_t *gpa);

#endif
