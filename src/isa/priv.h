/*
 * priv.h - the privileged state of a hart: CSRs, traps, interrupts
 *
 * Privileged ISA 1.13: M, S and U; Sstc, Smstateen, Sscofpmf without counters to overflow. A machine's hart has one beside
 * its struct hart; a user program has none. Plain data, described by priv.def; the functions are pure but for the
 * callbacks of struct priv_env.
 *
 *      trap, CSR write, xRET  --->  effects (PRIV_*)  --->  the engine flushes, looks for interrupts, finds its page
 *
 * Interrupt lines. `mip` holds what other threads set and clear (priv_irq_set) and what software may write; the two
 * meet in single bits, changed atomically. mip.SEIP is the line or software's own bit, `seip`; a write changes that one
 * only. With Sstc, STIP is no bit at all: it is asked for when needed (time >= stimecmp), so nobody can set it too late.
 *
 * Threads: a hart's priv belongs to who runs it; priv_irq_set() and priv_kick() may be called by any.
 */
#ifndef DOPPEL_PRIV_H
#define DOPPEL_PRIV_H

#include "base/fields.h"
#include "isa/hart.h"
#include "isa/isa.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { PRIV_U = 0, PRIV_S = 1, PRIV_M = 3 };

/* Exceptions (mcause without its top bit), and the numbers of interrupts, which are bits of mip and mie. */
enum {
    TRAP_FETCH_MISALIGNED = 0, TRAP_FETCH_ACCESS, TRAP_ILLEGAL, TRAP_BREAKPOINT, TRAP_LOAD_MISALIGNED, TRAP_LOAD_ACCESS,
    TRAP_STORE_MISALIGNED, TRAP_STORE_ACCESS, TRAP_ECALL_U, TRAP_ECALL_S, TRAP_ECALL_M = 11, TRAP_FETCH_PAGE, TRAP_LOAD_PAGE,
    TRAP_STORE_PAGE = 15,
};
#define TRAP_INTERRUPT (UINT64_C(1) << 63)
enum { IRQ_SSI = 1, IRQ_MSI = 3, IRQ_STI = 5, IRQ_MTI = 7, IRQ_SEI = 9, IRQ_MEI = 11, IRQ_LCOFI = 13 };
#define IRQ_BIT(n) (UINT64_C(1) << (n))

/*
 * mstatus   63 SD | 35:34 SXL | 33:32 UXL | 22 TSR | 21 TW | 20 TVM | 19 MXR | 18 SUM | 17 MPRV | 14:13 FS | 12:11 MPP |
 *           10:9 VS | 8 SPP | 7 MPIE | 5 SPIE | 3 MIE | 1 SIE
 */
#define MSTATUS_SIE UINT64_C(0x2)
#define MSTATUS_MIE UINT64_C(0x8)
#define MSTATUS_SPIE UINT64_C(0x20)
#define MSTATUS_MPIE UINT64_C(0x80)
#define MSTATUS_SPP UINT64_C(0x100)
#define MSTATUS_VS UINT64_C(0x600)
#define MSTATUS_MPP UINT64_C(0x1800)
#define MSTATUS_FS UINT64_C(0x6000)
#define MSTATUS_MPRV UINT64_C(0x20000)
#define MSTATUS_SUM UINT64_C(0x40000)
#define MSTATUS_MXR UINT64_C(0x80000)
#define MSTATUS_TVM UINT64_C(0x100000)
#define MSTATUS_TW UINT64_C(0x200000)
#define MSTATUS_TSR UINT64_C(0x400000)
#define MSTATUS_UXL UINT64_C(0x300000000)
#define MSTATUS_SXL UINT64_C(0xc00000000)
#define MSTATUS_SD (UINT64_C(1) << 63)
#define MSTATUS_XL64 UINT64_C(0xa00000000)

/* menvcfg, senvcfg */
#define ENVCFG_FIOM UINT64_C(1)
#define ENVCFG_CBIE UINT64_C(0x30)
#define ENVCFG_CBCFE UINT64_C(0x40)
#define ENVCFG_CBZE UINT64_C(0x80)
#define ENVCFG_ADUE (UINT64_C(1) << 61)
#define ENVCFG_PBMTE (UINT64_C(1) << 62)
#define ENVCFG_STCE (UINT64_C(1) << 63)

/* mstateen0; the other three have the top bit only */
#define STATEEN_ENVCFG (UINT64_C(1) << 62)
#define STATEEN_SE (UINT64_C(1) << 63)

/* satp: 63:60 mode | 59:44 ASID | 43:0 root page */
enum { SATP_BARE = 0, SATP_SV39 = 8, SATP_SV48 = 9, SATP_SV57 = 10 };
#define SATP_MODE(satp) ((unsigned)((satp) >> 60))
#define SATP_ASID(satp) ((unsigned)((satp) >> 44 & 0xffff))
#define SATP_PPN(satp) ((satp) & ((UINT64_C(1) << 44) - 1))

#define PRIV_PMPS 16

/* What surrounds the hart. */
struct priv_env {
    uint64_t (*mtime)(void *arg); /* the machine's time now, in ticks */
    /* May be NULL. The hart is to be kicked, priv_kick(), once mtime is `when` or later: it replaces what was asked before. UINT64_MAX: never. */
    void (*timer)(void *arg, struct hart *h, uint64_t when);
    void (*wake)(void *arg, struct hart *h); /* may be NULL: h->attention was set while priv.waiting was; any thread */
    void *arg;
};

struct priv {
    uint8_t mode;         /* PRIV_* */
    uint8_t seip;         /* software's own bit of mip.SEIP */
    uint8_t fp_gate;      /* not 0: the next floating-point instruction asks priv_fp_use() */
    uint32_t waiting;     /* atomic: its thread sleeps, or is about to; who sets attention then calls env->wake */
    uint64_t mip;         /* atomic; without what Sstc and `seip` add */
    uint64_t misa, mhartid;
    uint64_t mstatus;     /* SD is not kept */
    uint64_t medeleg, mideleg, mie, mtvec, mscratch, mepc, mcause, mtval, mcounteren, mcountinhibit, menvcfg, mstateen[4];
    uint64_t stvec, sscratch, sepc, scause, stval, scounteren, senvcfg, sstateen[4], satp, stimecmp;
    uint64_t counter[3];  /* mcycle and minstret ([1] is nothing): inhibited, the value; else what is added to the count */
    uint64_t pmpaddr[PRIV_PMPS];
    uint8_t pmpcfg[PRIV_PMPS];

    uint32_t satp_modes;  /* bits by SATP_*: those that a write of satp accepts */
    struct hart *hart;    /* ref: whose it is */
    const struct priv_env *env; /* ref */
};

extern const struct field priv_fields[];
extern const size_t priv_field_count;

/* Power-on: M-mode at h->pc, which the owner sets. satp_modes: bits of SATP_*; Bare and Sv39 are always there. */
void priv_reset(struct priv *p, struct hart *h, const struct priv_env *env, uint64_t hartid, uint32_t satp_modes);

/*
 * As firmware leaves a hart to a supervisor, when the monitor itself is that firmware: S-mode, all traps and interrupts that
 * can be are delegated (not ecall from S), counters, Sstc, Svadu, Svpbmt, cache operations are allowed, PMP lets everything pass.
 */
void priv_enter_supervisor(struct priv *p);

/* What the engine has to do after a call that returns them. */
enum {
    PRIV_DATA = 1,     /* how loads and stores translate has changed: mode, SUM, MXR, MPRV, satp */
    PRIV_FETCH = 2,    /* how fetches do */
    PRIV_FLUSH = 4,    /* PMP, MXR, menvcfg: whatever a TLB holds may be wrong */
    PRIV_IRQ = 8,      /* priv_irq_take() may find something */
    PRIV_ILLEGAL = 16, /* nothing has happened: illegal instruction */
};

enum priv_op { PRIV_WRITE, PRIV_SET, PRIV_CLEAR };

/*
 * A CSR instruction: *old gets what rd does. All but fflags, frm and fcsr, which the engine has (priv_fp_use() first).
 * instret: h->instret is exact. Returns effects.
 */
unsigned priv_csr(struct priv *p, unsigned csr, enum priv_op op, uint64_t v, bool writes, uint64_t *old);

/* Take this trap: h->pc is that of the instruction, and then of the handler. cause may have TRAP_INTERRUPT. Returns effects. */
unsigned priv_trap(struct priv *p, uint64_t cause, uint64_t tval);

/* mret (from M) or sret (from S): h->pc is where to go on. */
unsigned priv_mret(struct priv *p);
unsigned priv_sret(struct priv *p);

/* wfi, sfence.vma and kin: may they, here? 0 or PRIV_ILLEGAL. */
unsigned priv_wfi(const struct priv *p);
unsigned priv_sfence(const struct priv *p);
unsigned priv_sfence_order(const struct priv *p); /* sfence.w.inval, sfence.inval.ir */

/* cbo.*: ENVCFG_CBIE, ENVCFG_CBCFE, ENVCFG_CBZE as a bit of menvcfg and senvcfg. */
unsigned priv_cbo(const struct priv *p, uint64_t enable);

/* A floating-point instruction, or fcsr, is about to be executed while fp_gate is set: illegal if FS is Off, else FS becomes Dirty. */
unsigned priv_fp_use(struct priv *p);

/* Which privilege loads and stores have: MPRV. */
static inline unsigned
priv_data_mode(const struct priv *p)
{
    return p->mstatus & MSTATUS_MPRV ? (unsigned)(p->mstatus >> 11 & 3) : p->mode;
}

/* mip as it reads now. */
uint64_t priv_pending(const struct priv *p);

/* The interrupt to be taken now (IRQ_*), or -1. */
int priv_irq_select(const struct priv *p);

/* Is something pending that is enabled, whether or not it can be taken: does wfi go on? */
static inline bool
priv_wakes(const struct priv *p)
{
    return (priv_pending(p) & p->mie) != 0;
}

/* Set or clear an interrupt line: bit IRQ_* of mip. Any thread. */
void priv_irq_set(struct priv *p, unsigned irq, bool level);

/* Make the hart look at its interrupts soon, or leave wfi. Any thread. */
void priv_kick(struct priv *p);

#endif
