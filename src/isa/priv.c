/*
 * priv.c - traps, returns from them, interrupts; see priv.h
 *
 * Privileged ISA 1.13, "Machine-Level ISA" and "Supervisor-Level ISA".
 */
#include "isa/priv.h"

#include <string.h>

const struct field priv_fields[] = {
#define F(member, type, n, first) {#member, offsetof(struct priv, member), sizeof(type), n, first},
#define HOST(member) {#member, offsetof(struct priv, member), sizeof(((struct priv *)0)->member), 1, 0},
#include "isa/priv.def"
#undef F
#undef HOST
};
const size_t priv_field_count = sizeof priv_fields / sizeof priv_fields[0];

static uint64_t
misa_of(ext_set exts)
{
    static const struct {
        char letter;
        ext_set all;
    } letters[] = {
        {'A', EXT_BIT(ZALRSC) | EXT_BIT(ZAAMO)},
        {'B', EXT_BIT(ZBA) | EXT_BIT(ZBB) | EXT_BIT(ZBS)},
        {'C', EXT_BIT(ZCA)},
        {'D', EXT_BIT(D)},
        {'F', EXT_BIT(F)},
        {'I', EXT_BIT(I)},
        {'M', EXT_BIT(M)},
        {'S', EXT_BIT(PRIV)},
        {'U', EXT_BIT(PRIV)},
        {'V', EXT_BIT(V)},
    };
    uint64_t v = UINT64_C(2) << 62; /* MXL: 64 bits */
    for (size_t k = 0; k < sizeof letters / sizeof letters[0]; k++) {
        if ((exts & letters[k].all) == letters[k].all) {
            v |= UINT64_C(1) << (letters[k].letter - 'A');
        }
    }
    return v;
}

void
priv_reset(struct priv *p, struct hart *h, const struct priv_env *env, uint64_t hartid, uint32_t satp_modes)
{
    memset(p, 0, sizeof *p);
    p->hart = h;
    p->env = env;
    p->mhartid = hartid;
    p->satp_modes = satp_modes | 1U << SATP_BARE | 1U << SATP_SV39;
    p->misa = misa_of(h->exts);
    p->mode = PRIV_M;
    p->mstatus = MSTATUS_XL64;
    p->stimecmp = UINT64_MAX;
    p->fp_gate = 1;
}

void
priv_enter_supervisor(struct priv *p)
{
    uint64_t old;
    p->mode = PRIV_M;
    /* By way of the CSRs, so that each keeps what the hart's extensions do not have. */
    static const struct {
        uint16_t csr;
        uint64_t v;
    } writes[] = {
        {0x302, ~(UINT64_C(1) << TRAP_ECALL_S)},                                     /* medeleg */
        {0x303, UINT64_MAX},                                                         /* mideleg */
        {0x306, UINT64_MAX},                                                         /* mcounteren */
        {0x30a, UINT64_MAX},                                                         /* menvcfg */
        {0x30c, UINT64_MAX}, {0x30d, UINT64_MAX}, {0x30e, UINT64_MAX}, {0x30f, UINT64_MAX}, /* mstateen */
        {0x3b0, UINT64_MAX},                                                         /* pmpaddr0: everything */
        {0x3a0, 0x1f},                                                               /* pmpcfg0: NAPOT, RWX */
    };
    for (size_t k = 0; k < sizeof writes / sizeof writes[0]; k++) {
        priv_csr(p, writes[k].csr, PRIV_WRITE, writes[k].v, true, &old); /* one that the hart lacks is illegal, and nothing */
    }
    p->mode = PRIV_S;
}

/* Sstc is there and switched on: STIP is a comparison. */
static bool
stip_is_compared(const struct priv *p)
{
    return (p->menvcfg & ENVCFG_STCE) != 0;
}

uint64_t
priv_pending(const struct priv *p)
{
    uint64_t v = __atomic_load_n(&p->mip, __ATOMIC_SEQ_CST);
    if (p->seip) {
        v |= IRQ_BIT(IRQ_SEI);
    }
    if (stip_is_compared(p)) {
        v &= ~IRQ_BIT(IRQ_STI);
        if (p->stimecmp != UINT64_MAX && p->env->mtime(p->env->arg) >= p->stimecmp) {
            v |= IRQ_BIT(IRQ_STI);
        }
    }
    return v;
}

int
priv_irq_select(const struct priv *p)
{
    /* Highest first (Privileged ISA, "Machine Interrupt Registers"). */
    static const uint8_t order[] = {IRQ_MEI, IRQ_MSI, IRQ_MTI, IRQ_SEI, IRQ_SSI, IRQ_STI, IRQ_LCOFI};
    const bool m = p->mode < PRIV_M || (p->mstatus & MSTATUS_MIE) != 0;
    const bool s = p->mode < PRIV_S || (p->mode == PRIV_S && (p->mstatus & MSTATUS_SIE) != 0);
    if (!m && !s) {
        return -1; /* without asking what time it is */
    }
    const uint64_t ready = p->mie != 0 ? priv_pending(p) & p->mie : 0;
    uint64_t take = m ? ready & ~p->mideleg : 0;
    if (take == 0) {
        take = s ? ready & p->mideleg : 0;
    }
    for (size_t k = 0; take != 0 && k < sizeof order; k++) {
        if (take & IRQ_BIT(order[k])) {
            return order[k];
        }
    }
    return -1;
}

void
priv_kick(struct priv *p)
{
    __atomic_store_n(&p->hart->attention, ATTENTION, __ATOMIC_SEQ_CST);
    if (__atomic_load_n(&p->waiting, __ATOMIC_SEQ_CST) != 0 && p->env->wake != NULL) {
        p->env->wake(p->env->arg, p->hart);
    }
}

void
priv_irq_set(struct priv *p, unsigned irq, bool level)
{
    if (level) {
        if ((__atomic_fetch_or(&p->mip, IRQ_BIT(irq), __ATOMIC_SEQ_CST) & IRQ_BIT(irq)) == 0) {
            priv_kick(p);
        }
    } else {
        __atomic_fetch_and(&p->mip, ~IRQ_BIT(irq), __ATOMIC_SEQ_CST);
    }
}

unsigned
priv_trap(struct priv *p, uint64_t cause, uint64_t tval)
{
    struct hart *h = p->hart;
    const unsigned n = cause & 63;
    const uint64_t delegated = cause & TRAP_INTERRUPT ? p->mideleg : p->medeleg;
    uint64_t s = p->mstatus, vec;
    h->resv_size = 0;
    if (p->mode < PRIV_M && (delegated >> n & 1) != 0) {
        p->scause = cause;
        p->sepc = h->pc;
        p->stval = tval;
        s &= ~(MSTATUS_SPIE | MSTATUS_SPP);
        s |= (s & MSTATUS_SIE ? MSTATUS_SPIE : 0) | (p->mode == PRIV_S ? MSTATUS_SPP : 0);
        s &= ~MSTATUS_SIE;
        vec = p->stvec;
        p->mode = PRIV_S;
    } else {
        p->mcause = cause;
        p->mepc = h->pc;
        p->mtval = tval;
        s &= ~(MSTATUS_MPIE | MSTATUS_MPP);
        s |= (s & MSTATUS_MIE ? MSTATUS_MPIE : 0) | (uint64_t)p->mode << 11;
        s &= ~MSTATUS_MIE;
        vec = p->mtvec;
        p->mode = PRIV_M;
    }
    p->mstatus = s;
    h->pc = (vec & ~UINT64_C(3)) + ((vec & 1) != 0 && (cause & TRAP_INTERRUPT) != 0 ? 4 * n : 0);
    return PRIV_DATA | PRIV_FETCH;
}

/* The reservation is lost on the way out of a trap, too: a handler may have run another thread's code. */
static unsigned
go_back(struct priv *p, unsigned mode, uint64_t pc)
{
    if (mode != PRIV_M) {
        p->mstatus &= ~MSTATUS_MPRV;
    }
    p->mode = (uint8_t)mode;
    p->hart->pc = pc;
    p->hart->resv_size = 0;
    return PRIV_DATA | PRIV_FETCH | PRIV_IRQ;
}

unsigned
priv_mret(struct priv *p)
{
    if (p->mode != PRIV_M) {
        return PRIV_ILLEGAL;
    }
    const uint64_t s = p->mstatus;
    p->mstatus = (s & ~(MSTATUS_MPP | MSTATUS_MIE)) | MSTATUS_MPIE | (s & MSTATUS_MPIE ? MSTATUS_MIE : 0);
    return go_back(p, s >> 11 & 3, p->mepc);
}

unsigned
priv_sret(struct priv *p)
{
    if (p->mode == PRIV_U || (p->mode == PRIV_S && (p->mstatus & MSTATUS_TSR) != 0)) {
        return PRIV_ILLEGAL;
    }
    const uint64_t s = p->mstatus;
    p->mstatus = (s & ~(MSTATUS_SPP | MSTATUS_SIE)) | MSTATUS_SPIE | (s & MSTATUS_SPIE ? MSTATUS_SIE : 0);
    return go_back(p, s & MSTATUS_SPP ? PRIV_S : PRIV_U, p->sepc);
}

unsigned
priv_wfi(const struct priv *p)
{
    return p->mode == PRIV_U || (p->mode == PRIV_S && (p->mstatus & MSTATUS_TW) != 0) ? PRIV_ILLEGAL : 0;
}

unsigned
priv_sfence(const struct priv *p)
{
    return p->mode == PRIV_U || (p->mode == PRIV_S && (p->mstatus & MSTATUS_TVM) != 0) ? PRIV_ILLEGAL : 0;
}

unsigned
priv_sfence_order(const struct priv *p)
{
    return p->mode == PRIV_U ? PRIV_ILLEGAL : 0;
}

unsigned
priv_cbo(const struct priv *p, uint64_t enable)
{
    const bool ok = p->mode == PRIV_M ||
                    ((p->menvcfg & enable) != 0 && (p->mode == PRIV_S || (p->senvcfg & enable) != 0));
    return ok ? 0 : PRIV_ILLEGAL;
}

unsigned
priv_fp_use(struct priv *p)
{
    if ((p->mstatus & MSTATUS_FS) == 0) {
        return PRIV_ILLEGAL;
    }
    p->mstatus |= MSTATUS_FS;
    p->fp_gate = 0;
    return 0;
}
