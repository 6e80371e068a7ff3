/*
 * priv_csr.c - reading and writing the privileged CSRs; see priv.h and priv_csr.def
 *
 * An access: who may (number, mode, extension), then the row's hook, which reads, and writes what may be written. What
 * a write must not become is kept as it was (WARL).
 */
#include "isa/priv.h"

struct row;

struct access {
    unsigned csr;
    enum priv_op op;
    uint64_t v;
    bool writes;
    uint64_t writable;
    uint64_t *member;
};
typedef unsigned hook_fn(struct priv *p, const struct access *a, uint64_t *old);

static uint64_t
combine(const struct access *a, uint64_t old)
{
    switch (a->op) {
    case PRIV_WRITE:
        return a->v;
    case PRIV_SET:
        return old | a->v;
    case PRIV_CLEAR:
        return old & ~a->v;
    }
    return old;
}

/* Of `was`, the bits of `mask` as the access wants them. */
static uint64_t
merge(const struct access *a, uint64_t was, uint64_t mask)
{
    return (was & ~mask) | (combine(a, was) & mask);
}

static unsigned
plain(struct priv *p, const struct access *a, uint64_t *old)
{
    (void)p;
    *old = *a->member;
    if (a->writes) {
        *a->member = merge(a, *old, a->writable);
    }
    return 0;
}

static unsigned
csr_zero(struct priv *p, const struct access *a, uint64_t *old)
{
    (void)p, (void)a;
    *old = 0;
    return 0;
}

/* Interrupts may now be taken that were not before. */
static unsigned
csr_irq(struct priv *p, const struct access *a, uint64_t *old)
{
    plain(p, a, old);
    return a->writes ? PRIV_IRQ : 0;
}

static bool
has(const struct priv *p, enum ext e)
{
    return isa_ext_enabled(e, p->hart->exts);
}

#define SSTATUS_WRITABLE \
    (MSTATUS_SIE | MSTATUS_SPIE | MSTATUS_SPP | MSTATUS_FS | MSTATUS_SUM | MSTATUS_MXR)
#define SSTATUS_SHOWN (SSTATUS_WRITABLE | MSTATUS_VS | MSTATUS_UXL)
#define MSTATUS_WRITABLE                                                                                     \
    (SSTATUS_WRITABLE | MSTATUS_MIE | MSTATUS_MPIE | MSTATUS_MPP | MSTATUS_MPRV | MSTATUS_TVM | MSTATUS_TW | \
     MSTATUS_TSR)

static unsigned
status_access(struct priv *p, const struct access *a, uint64_t shown, uint64_t writable, uint64_t *old)
{
    const uint64_t was = p->mstatus;
    const bool dirty = (was & MSTATUS_FS) == MSTATUS_FS || (was & MSTATUS_VS) == MSTATUS_VS;
    *old = (was & shown) | (dirty ? MSTATUS_SD : 0);
    if (!a->writes) {
        return 0;
    }
    if (!has(p, EXT_F)) {
        writable &= ~MSTATUS_FS;
    }
    if (has(p, EXT_V)) {
        writable |= MSTATUS_VS;
    }
    uint64_t now = merge(a, was, writable);
    if ((now & MSTATUS_MPP) == UINT64_C(2) << 11) {
        now = (now & ~MSTATUS_MPP) | (was & MSTATUS_MPP);
    }
    p->mstatus = now;
    p->fp_gate = (now & MSTATUS_FS) != MSTATUS_FS;
    const uint64_t changed = was ^ now;
    return (changed & (MSTATUS_MPRV | MSTATUS_MPP | MSTATUS_SUM | MSTATUS_MXR) ? PRIV_DATA : 0U) |
           (changed & MSTATUS_MXR ? PRIV_FLUSH : 0U) | (changed & now & (MSTATUS_SIE | MSTATUS_MIE) ? PRIV_IRQ : 0U);
}

static unsigned
csr_sstatus(struct priv *p, const struct access *a, uint64_t *old)
{
    return status_access(p, a, SSTATUS_SHOWN, SSTATUS_WRITABLE, old);
}

static unsigned
csr_mstatus(struct priv *p, const struct access *a, uint64_t *old)
{
    return status_access(p, a, UINT64_MAX, MSTATUS_WRITABLE, old);
}

/* The bits of mip that `may` lets software change; SEIP is its own bit, not the line's. */
static void
write_mip(struct priv *p, const struct access *a, uint64_t may)
{
    const uint64_t bits = may & ~IRQ_BIT(IRQ_SEI), v = a->v & bits;
    if (may & IRQ_BIT(IRQ_SEI)) {
        p->seip = (merge(a, p->seip ? IRQ_BIT(IRQ_SEI) : 0, IRQ_BIT(IRQ_SEI)) & IRQ_BIT(IRQ_SEI)) != 0;
    }
    if (a->op != PRIV_SET) {
        __atomic_fetch_and(&p->mip, a->op == PRIV_CLEAR ? ~v : ~(bits & ~v), __ATOMIC_SEQ_CST);
    }
    if (a->op != PRIV_CLEAR) {
        __atomic_fetch_or(&p->mip, v, __ATOMIC_SEQ_CST);
    }
}

static uint64_t
lcofi(const struct priv *p)
{
    return has(p, EXT_SSCOFPMF) ? IRQ_BIT(IRQ_LCOFI) : 0;
}

static unsigned
csr_mip(struct priv *p, const struct access *a, uint64_t *old)
{
    *old = priv_pending(p);
    if (a->writes) {
        const uint64_t sti = p->menvcfg & ENVCFG_STCE ? 0 : IRQ_BIT(IRQ_STI);
        write_mip(p, a, IRQ_BIT(IRQ_SSI) | sti | IRQ_BIT(IRQ_SEI) | lcofi(p));
        return PRIV_IRQ;
    }
    return 0;
}

static unsigned
csr_sip(struct priv *p, const struct access *a, uint64_t *old)
{
    *old = priv_pending(p) & p->mideleg;
    if (a->writes) {
        write_mip(p, a, p->mideleg & (IRQ_BIT(IRQ_SSI) | lcofi(p)));
        return PRIV_IRQ;
    }
    return 0;
}

static unsigned
csr_sie(struct priv *p, const struct access *a, uint64_t *old)
{
    *old = p->mie & p->mideleg;
    if (a->writes) {
        p->mie = merge(a, p->mie, p->mideleg);
        return PRIV_IRQ;
    }
    return 0;
}

/* Direct or vectored; the other two modes are reserved. */
static unsigned
csr_tvec(struct priv *p, const struct access *a, uint64_t *old)
{
    (void)p;
    *old = *a->member;
    const uint64_t now = combine(a, *old);
    if (a->writes && (now & 2) == 0) {
        *a->member = now;
    }
    return 0;
}

/* Tell the owner when the supervisor's timer is due. */
static void
timer_changed(struct priv *p)
{
    if (p->env->timer != NULL) {
        p->env->timer(p->env->arg, p->hart, p->menvcfg & ENVCFG_STCE ? p->stimecmp : UINT64_MAX);
    }
}

static unsigned
csr_envcfg(struct priv *p, const struct access *a, uint64_t *old)
{
    const bool m = a->member == &p->menvcfg;
    if (!m && p->mode == PRIV_S && has(p, EXT_SMSTATEEN) && (p->mstateen[0] & STATEEN_ENVCFG) == 0) {
        return PRIV_ILLEGAL;
    }
    *old = *a->member;
    if (!a->writes) {
        return 0;
    }
    uint64_t may = a->writable;
    may &= ~(has(p, EXT_ZICBOM) ? 0 : ENVCFG_CBIE | ENVCFG_CBCFE) & ~(has(p, EXT_ZICBOZ) ? 0 : ENVCFG_CBZE);
    may &= ~(has(p, EXT_SVADU) ? 0 : ENVCFG_ADUE) & ~(has(p, EXT_SVPBMT) ? 0 : ENVCFG_PBMTE);
    may &= ~(has(p, EXT_SSTC) ? 0 : ENVCFG_STCE);
    uint64_t now = merge(a, *old, may);
    if ((now & ENVCFG_CBIE) == 0x20) { /* reserved */
        now = (now & ~ENVCFG_CBIE) | (*old & ENVCFG_CBIE);
    }
    *a->member = now;
    if (m && ((*old ^ now) & ENVCFG_STCE) != 0) {
        timer_changed(p);
    }
    return m ? PRIV_FLUSH | PRIV_IRQ : 0;
}

static unsigned
csr_sstateen(struct priv *p, const struct access *a, uint64_t *old)
{
    if (p->mode != PRIV_M && (p->mstateen[a->csr & 3] & STATEEN_SE) == 0) {
        return PRIV_ILLEGAL;
    }
    return plain(p, a, old);
}

static unsigned
csr_stimecmp(struct priv *p, const struct access *a, uint64_t *old)
{
    if (p->mode != PRIV_M && ((p->mcounteren & 2) == 0 || (p->menvcfg & ENVCFG_STCE) == 0)) {
        return PRIV_ILLEGAL;
    }
    plain(p, a, old);
    if (a->writes) {
        timer_changed(p);
        return PRIV_IRQ;
    }
    return 0;
}

static unsigned
csr_satp(struct priv *p, const struct access *a, uint64_t *old)
{
    if (p->mode == PRIV_S && (p->mstatus & MSTATUS_TVM) != 0) {
        return PRIV_ILLEGAL;
    }
    *old = p->satp;
    const uint64_t now = combine(a, *old);
    if (!a->writes || now == *old || (p->satp_modes >> SATP_MODE(now) & 1) == 0) {
        return 0; /* of a mode that is not there nothing is written */
    }
    p->satp = now;
    return PRIV_DATA | PRIV_FETCH;
}

/* pmpcfg   7 L | 4:3 A (off, TOR, NA4, NAPOT) | 2 X | 1 W | 0 R */
#define PMP_LOCKED 0x80

static unsigned
csr_pmpcfg(struct priv *p, const struct access *a, uint64_t *old)
{
    uint8_t *const cfg = &p->pmpcfg[(a->csr & 15) * 4];
    *old = 0;
    for (unsigned k = 0; k < 8; k++) {
        *old |= (uint64_t)cfg[k] << 8 * k;
    }
    if (!a->writes) {
        return 0;
    }
    const uint64_t now = combine(a, *old);
    for (unsigned k = 0; k < 8; k++) {
        uint8_t c = (now >> 8 * k) & 0x9f;
        c &= (uint8_t)~((c & 1) == 0 ? 2 : 0); /* writable and not readable is reserved */
        if ((cfg[k] & PMP_LOCKED) == 0) {
            cfg[k] = c;
        }
    }
    return PRIV_FLUSH | PRIV_FETCH;
}

static unsigned
csr_pmpaddr(struct priv *p, const struct access *a, uint64_t *old)
{
    const unsigned n = a->csr & 15;
    *old = *a->member;
    const bool top_of_locked = n + 1 < PRIV_PMPS && (p->pmpcfg[n + 1] & (PMP_LOCKED | 0x18)) == (PMP_LOCKED | 8);
    if (!a->writes || (p->pmpcfg[n] & PMP_LOCKED) != 0 || top_of_locked) {
        return 0;
    }
    *a->member = combine(a, *old) & ((UINT64_C(1) << 54) - 1);
    return PRIV_FLUSH | PRIV_FETCH;
}

/* What counts up whether or not it is inhibited: cycles of a gigahertz machine, or instructions. */
static uint64_t
count(const struct priv *p, unsigned n)
{
    return n == 2 ? p->hart->instret : p->env->mtime(p->env->arg) * 100;
}

static uint64_t
counter_read(const struct priv *p, unsigned n)
{
    return p->counter[n] + (p->mcountinhibit >> n & 1 ? 0 : count(p, n));
}

static unsigned
csr_counter(struct priv *p, const struct access *a, uint64_t *old)
{
    const unsigned n = a->csr & 3;
    *old = counter_read(p, n);
    if (a->writes) {
        /* The next instruction reads what was written: this one, though it retires, is not counted. */
        const bool inhibited = p->mcountinhibit >> n & 1;
        p->counter[n] = combine(a, *old) - (inhibited ? 0 : count(p, n) + (n == 2));
    }
    return 0;
}

static unsigned
csr_mcountinhibit(struct priv *p, const struct access *a, uint64_t *old)
{
    const uint64_t was = p->mcountinhibit;
    plain(p, a, old);
    for (unsigned n = 0; n < 3; n += 2) {
        const uint64_t now = p->mcountinhibit >> n & 1;
        if (now != (was >> n & 1)) {
            /* As for a write: it is the next instruction that is counted, or is not. */
            const uint64_t c = count(p, n) + (n == 2);
            p->counter[n] += now ? c : -c;
        }
    }
    return 0;
}

/* cycle, time, instret, hpmcounter3.. as S and U see them */
static unsigned
csr_user_counter(struct priv *p, const struct access *a, uint64_t *old)
{
    const unsigned n = a->csr & 31;
    if ((p->mode < PRIV_M && (p->mcounteren >> n & 1) == 0) || (p->mode < PRIV_S && (p->scounteren >> n & 1) == 0)) {
        return PRIV_ILLEGAL;
    }
    *old = n == 1 ? p->env->mtime(p->env->arg) : n < 3 ? counter_read(p, n) : 0;
    return 0;
}

enum {
#define CSR(number, name, ext, cls) CSR_##name = number,
#include "isa/csr.def"
#undef CSR
};

/* Each row by its first number; 0 is none. */
enum {
    ROW_NONE,
#define PCSR(name, member, writable, hook) ROW_##name,
#define PCSRS(first, last, member, writable, hook) ROW_##first,
#define PCSRS_SAME(first, last, hook) ROW_##first,
#include "isa/priv_csr.def"
#undef PCSR
#undef PCSRS
#undef PCSRS_SAME
};

struct row {
    uint16_t first, offset;
    bool in_row; /* each has its own of several members */
    uint64_t writable;
    hook_fn *hook;
};

static const struct row rows[] = {
#define PCSR(name, member, writable, hook) [ROW_##name] = {CSR_##name, offsetof(struct priv, member), false, writable, hook},
#define PCSRS(start, last, member, writable, hook) \
    [ROW_##start] = {CSR_##start, offsetof(struct priv, member), true, writable, hook},
#define PCSRS_SAME(start, last, hook) [ROW_##start] = {CSR_##start, offsetof(struct priv, misa), false, 0, hook},
#include "isa/priv_csr.def"
#undef PCSR
#undef PCSRS
#undef PCSRS_SAME
};

static const uint8_t row_of[4096] = {
#define PCSR(name, member, writable, hook) [CSR_##name] = ROW_##name,
#define PCSRS(start, last, member, writable, hook) [CSR_##start... CSR_##last] = ROW_##start,
#define PCSRS_SAME(start, last, hook) [CSR_##start... CSR_##last] = ROW_##start,
#include "isa/priv_csr.def"
#undef PCSR
#undef PCSRS
#undef PCSRS_SAME
};

static const uint8_t ext_of[4096] = {
#define CSR(number, name, ext, cls) [number] = EXT_##ext,
#include "isa/csr.def"
#undef CSR
};

unsigned
priv_csr(struct priv *p, unsigned csr, enum priv_op op, uint64_t v, bool writes, uint64_t *old)
{
    const struct row *r = &rows[row_of[csr & 4095]];
    if (r->hook == NULL || isa_csr_level(csr) > p->mode || (writes && isa_csr_is_read_only(csr)) ||
        !isa_ext_enabled(ext_of[csr], p->hart->exts)) {
        return PRIV_ILLEGAL;
    }
    uint64_t *const first = (uint64_t *)(void *)((char *)p + r->offset);
    const struct access a = {csr, op, v, writes, r->writable, first + (r->in_row ? csr - r->first : 0)};
    return r->hook(p, &a, old);
}
