/*
 * hart.h - the state of one hart
 *
 * Plain data, described by hart.def. A hart is never tied to a host thread; whoever runs it owns it. V will add its
 * registers behind f. Unprivileged ISA: x0..x31, pc, f0..f31 (raw bits, NaN-boxed), fcsr.
 */
#ifndef DOPPEL_HART_H
#define DOPPEL_HART_H

#include "base/fields.h"
#include "isa/isa.h"

#include <stdint.h>

struct engine;

/* All ones: translated code compares its stack pointer with it, which the host does in one operation. */
#define ATTENTION UINT32_MAX

struct hart {
    /* architectural */
    uint64_t x[32];
    uint64_t x_sink; /* == x[32]: where decoded instructions with rd = x0 write */
    uint64_t f[32];
    uint64_t pc;
    uint8_t fflags;    /* NV DZ OF UF NX = bits 4..0; while the engine runs, MXCSR holds those raised since */
    uint8_t frm;       /* fcsr.frm as written: 0..7 */
    uint8_t resv_size; /* LR/SC reservation: 0 none, 4 or 8 */
    uint8_t rm_live[8]; /* rm_live[r]: r is the rounding mode in MXCSR now; [7] (dynamic): frm is such a mode */
    uint32_t attention; /* 0, or atomically set to ATTENTION by signal handlers and other threads: leave engine_run soon */
    uint64_t resv_addr, resv_value;
    uint64_t instret; /* instructions retired, as far as the engine counts them */

    /* the engine's; see engine.h */
    const void *ip; /* where a faulting access will find its instruction */
    struct engine *engine;
    const char *slots;   /* the engine's decoded slots: at hand for jumps */
    ext_set exts;        /* what the hart has: decides what decodes */
    uint64_t seen_epoch; /* the last code epoch that this hart has left behind */
    uint32_t host_mxcsr; /* the monitor's own, while guest code runs */
    uint32_t in_guest;   /* guest code is on this thread's stack: a SIGSEGV there is the guest's */
    void *landing;       /* into: the jump buffer that engine_fault() returns through */

    /* the translator's; see engine/jit.h */
    struct hart *jit_next;   /* all harts that have run translations */
    void *jit_host_sp;       /* the monitor's stack while translated code runs */
    char *jit_sp;            /* the shadow stack: its top while translated code does not run */
    char *jit_sp_top;        /* … and where it is empty */
    const void *jit_entries; /* as struct jit has them: at hand for translated code */
    void *jit_code;
    const void *jit_hle;     /* the host's routines for libc's, by number */
    uint64_t jit_top;        /* GUEST_TOP: what is there or beyond is not the guest's */
    uint64_t guest_base;
    uint32_t (*jit_ecall)(struct hart *h); /* what an ecall of translated code calls */
    uint32_t inside;         /* inside of engine_run, and not in the owner's hands */
    uint32_t jit_inside;     /* in translated code, or at what a flush would take away */
    uint32_t interpret;      /* the next instruction is the interpreter's: in translated code it faulted */
    uint64_t jit_nan[2];     /* canonical: single, double */
    const uint8_t *jit_flags_of; /* by the low six bits of MXCSR */
    void *profile;           /* profile.h: where this hart is in the tree of calls; or NULL */
    uint64_t jit_scratch;
    uint64_t jit_spill[24];

    /* what translated code writes down; see engine/lockstep.h */
    void *check;                 /* own; or NULL */
    void *log_at, *log_end;      /* the next entry; none begins there */
    void *log_enough;            /* a poll that finds log_at here leaves */
    uint64_t log_addr, log_save[2];
    uint32_t log_polls;          /* … and one that finds 0 */
    uint32_t log_pair;           /* kind of the next entry that stands for lr and sc */
};

extern const struct field hart_fields[];
extern const size_t hart_field_count;

/* Power-on state for a user program: everything 0, round to nearest. */
void hart_init(struct hart *h, ext_set exts);

/* fcsr as the CSR reads and as it is written (Unprivileged ISA §"F", fcsr). Not while the engine runs the hart. */
static inline uint32_t
hart_fcsr(const struct hart *h)
{
    return (uint32_t)(h->frm << 5 | h->fflags);
}

void hart_set_fcsr(struct hart *h, uint32_t fcsr);

#endif
