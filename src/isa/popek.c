/*
 * popek.c - can this instruction set be virtualized? Popek and Goldberg's theorem, computed
 *
 * "Formal Requirements for Virtualizable Third Generation Architectures" (1974), theorem 1: a
 * virtual machine monitor can be built for a machine if the set of its sensitive instructions is a
 * subset of the set of its privileged ones. The monitor then runs the guest, its kernel included,
 * in user mode, and sees everything that matters as a trap.
 *
 *   sensitive    control: changes the mode, the memory map or another resource of the monitor's
 *                behaviour: its result depends on the mode or on where, or on what, the machine
 * really is privileged   traps in user mode critical     sensitive, not privileged: one is enough
 * to break the theorem (x86's popf, sgdt, smsw …)
 *
 * RISC-V puts its sensitive state behind CSRs of which the number says the privilege, and behind a
 * few instructions (sret, mret, wfi, sfence.vma …) that trap in user mode. What is left is
 * sensitive only at the monitor's will, and counts as privileged because the monitor owns the gate,
 * which itself is a privileged CSR:
 *
 *   cbo.inval            throws away cache blocks, not only its own stores' (control)
 *   cycle, time, instret, hpmcounter*   the host's progress, not the guest's (behaviour)
 *   seed                 entropy of the machine (behaviour)
 *   hlv, hsv             another machine's memory, with H only (control)
 *
 * Innocuous, though it looks otherwise: auipc and jal show a virtual address, which is the guest's
 * own; fence.i orders the hart's own fetches; cbo.clean, cbo.flush and cbo.zero do what stores and
 * evictions may do at any time; wrs.nto and pause give time away and nothing else; the f and v
 * state is the guest's, its FS and VS fields are not.
 */
#include "isa/isa.h"

bool
isa_class_is_critical(unsigned cls)
{
    return cls == CLASS_CONTROL || cls == CLASS_BEHAVIOUR;
}

static void
count(struct popek_verdict *v, unsigned cls)
{
    switch ((enum insn_class)cls) {
    case CLASS_INNOCUOUS:
        v->innocuous++;
        break;
    case CLASS_PRIVILEGED:
        v->privileged++;
        break;
    case CLASS_GATED:
        v->gated++;
        break;
    case CLASS_CONTROL:
    case CLASS_BEHAVIOUR:
        v->critical++;
        break;
    }
}

bool
isa_popek(const struct insn_row *rows, size_t n, const struct csr_row *csrs, size_t n_csrs,
          struct popek_verdict *out)
{
    *out = (struct popek_verdict){0};
    for (size_t i = 0; i < n; i++) {
        count(out, rows[i].cls);
        if (isa_class_is_critical(rows[i].cls) && out->first_insn == NULL) {
            out->first_insn = &rows[i];
        }
    }
    for (size_t i = 0; i < n_csrs; i++) {
        count(out, csrs[i].cls);
        if (isa_class_is_critical(csrs[i].cls) && out->first_csr == NULL) {
            out->first_csr = &csrs[i];
        }
    }
    return out->critical == 0;
}

const char *
isa_gate(unsigned ext)
{
    static const struct {
        enum ext ext;
        const char *gate;
    } gates[] = {
        {EXT_ZICBOM, "menvcfg.CBIE or senvcfg.CBIE = 0"},
        {EXT_ZICNTR, "its bit of mcounteren or scounteren = 0"},
        {EXT_ZIHPM, "its bit of mcounteren or scounteren = 0"},
        {EXT_RV32, "its bit of mcounteren or scounteren = 0"},
        {EXT_ZKR, "mseccfg.USEED = 0"},
        {EXT_H, "hstatus.HU = 0"},
    };
    for (size_t i = 0; i < sizeof gates / sizeof gates[0]; i++) {
        if (gates[i].ext == ext) {
            return gates[i].gate;
        }
    }
    return NULL;
}

const char *
isa_class_name(unsigned cls)
{
    static const char *const names[] = {"innocuous", "privileged", "gated", "control", "behaviour"};
    return names[cls];
}
