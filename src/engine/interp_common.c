/*
 * interp_common.c - what an interpreter calls out for: fetch, CSRs, the 16-byte compare-and-swap
 */
#include "engine/interp_ops.h"

#include "base/nondet.h"
#include "engine/fp_ops.h"

/* Is rd an f register? Those of the FP formats that have one, but for comparisons and moves to x. */
#define RD_IS_F(fmt) \
    (FMT_##fmt == FMT_FL || FMT_##fmt == FMT_F4 || FMT_##fmt == FMT_F3 || FMT_##fmt == FMT_F2 || \
     FMT_##fmt == FMT_F3N || FMT_##fmt == FMT_XF || FMT_##fmt == FMT_XFR || FMT_##fmt == FMT_FLI)
static const bool rd_is_f[OP_COUNT] = {
#define INSN(name, match, mask, fmt, ext, cls) [OP_##name] = RD_IS_F(fmt),
#define INSN16(name, match, mask, fmt, ext, base)
#include "isa/insn.def"
#undef INSN
#undef INSN16
};

bool
interp_writes_x(const struct insn *i)
{
    return i->rd != 32 && !rd_is_f[i->op] && i->op != OP_amocas_q && i->op != OP_ILLEGAL;
}

void
interp_x0(struct insn *out)
{
    if (out->rd == 0 && !rd_is_f[out->op] && out->op != OP_amocas_q) {
        out->rd = 32;
    }
}

void
interp_decode(uint32_t w, ext_set exts, struct insn *out)
{
    isa_decode(w, exts, out);
    interp_x0(out);
}

/*
 * May the guest execute the halfword at `at`? Where it may not, slots are not accessible as a rule, and a threaded jump has
 * faulted already; but access is taken away when no hart runs (code.c), and the other interpreters have no slots.
 */
static inline void
fetch_check(struct hart *h, uint64_t at)
{
    if (unlikely(!code_page_is_exec(h->engine, at))) {
        interp_leave(h, EXIT_FETCH, interp_fetch_addr(h, at));
    }
}

static inline uint32_t
fetch(struct hart *h, uint64_t pc, struct insn *out)
{
    const uint32_t was = h->in_guest;
    h->in_guest = GUEST_FETCHING;
    if (unlikely(pc >= GUEST_TOP)) {
        interp_leave(h, EXIT_FETCH, pc);
    }
    /* Another thread may put data where code was, between the check and the look: what was seen counts if nothing changed. */
    uint64_t epoch;
    uint32_t w;
    do {
        epoch = code_epoch(h->engine);
        fetch_check(h, pc);
        w = *MEM(mem16, pc);
        if (insn_len(w) == 4) {
            fetch_check(h, pc + 2);
            w |= (uint32_t)*MEM(mem16, pc + 2) << 16;
        }
    } while (unlikely(code_epoch(h->engine) != epoch));
    h->in_guest = was;
    if (unlikely(h->engine->debug != NULL) && !((const struct landing *)h->landing)->over) {
        w = debug_word(h->engine, pc, w);
    }
    interp_decode(w, h->exts, out);
    return w;
}

uint32_t
interp_fetch(struct hart *h, uint64_t pc, struct insn *out)
{
    h->pc = pc;
    h->ip = NULL;
    return fetch(h, pc, out);
}

void
interp_fetch_ahead(struct hart *h, uint64_t at, struct insn *out)
{
    fetch(h, at, out);
}

void
interp_cas128(struct hart *h, const struct insn *i, uint64_t a)
{
    uint64_t *x = hart_x(h);
    /* A pair that starts with x0 is all zero as a source and is not written (Zacas). */
    uint64_t lo = i->rd ? x[i->rd] : 0, hi = i->rd ? x[i->rd + 1] : 0;
    const uint64_t new_lo = i->rs2 ? x[i->rs2] : 0, new_hi = i->rs2 ? x[i->rs2 + 1] : 0;
    __asm__ volatile("lock cmpxchg16b (%[p])"
                     : "+a"(lo), "+d"(hi)
                     : [p] "r"(a + GUEST_BASE(h)), "b"(new_lo), "c"(new_hi)
                     : "memory", "cc");
    if (i->rd != 0) {
        x[i->rd] = lo;
        x[i->rd + 1] = hi;
    }
}

static uint64_t
csr_new(uint64_t old, enum csr_op op, uint64_t v)
{
    switch (op) {
    case CSR_WRITE:
        return v;
    case CSR_SET:
        return old | v;
    case CSR_CLEAR:
        return old & ~v;
    }
    return old;
}

uint64_t
interp_csr(struct hart *h, unsigned csr, enum csr_op op, uint64_t v, bool writes)
{
    uint64_t old;
    switch (csr) {
    case 0x001: /* fflags */
        old = fp_flags_read(h);
        if (writes) {
            fp_flags_write(h, csr_new(old, op, v) & 31);
        }
        return old;
    case 0x002: /* frm */
        old = h->frm;
        if (writes) {
            fp_set_frm(h, csr_new(old, op, v) & 7);
        }
        return old;
    case 0x003: /* fcsr */
        old = (uint64_t)h->frm << 5 | fp_flags_read(h);
        if (writes) {
            const uint64_t n = csr_new(old, op, v);
            fp_flags_write(h, n & 31);
            fp_set_frm(h, (n >> 5) & 7);
        }
        return old;
    case 0xc00: /* cycle: a gigahertz machine */
    case 0xc01: /* time: at the 10 MHz of QEMU virt */
    case 0xc02: /* instret */
        if (writes || !isa_ext_enabled(EXT_ZICNTR, h->exts)) {
            break;
        }
        return csr == 0xc01 ? nondet_mono_ns() / 100 : csr == 0xc00 ? nondet_mono_ns() : h->instret;
    default:
        /* hpmcounter3..31 exist and count nothing */
        if (csr >= 0xc03 && csr <= 0xc1f && !writes && isa_ext_enabled(EXT_ZIHPM, h->exts)) {
            return 0;
        }
        break;
    }
    interp_leave(h, EXIT_ILLEGAL, 0);
}
