/*
 * traps.c - exceptions in each mode, delegation, interrupts by software, what returns restore
 */
#include "machine.h"

static void
illegal(void)
{
    __asm__ volatile(".word 0xffffffff");
}

static void
illegal_short(void)
{
    __asm__ volatile(".half 0");
}

static void
ecall(void)
{
    register u64 a7 __asm__("a7") = 1;
    __asm__ volatile("ecall" : : "r"(a7) : "memory");
}

static void
ebreak(void)
{
    __asm__ volatile(".option push\n.option norvc\nebreak\n.option pop");
}

static void
read_mscratch(void)
{
    __asm__ volatile("csrr t0, mscratch" : : : "t0");
}

static void
read_sscratch(void)
{
    __asm__ volatile("csrr t0, sscratch" : : : "t0");
}

static void
write_cycle(void)
{
    __asm__ volatile("csrw cycle, zero");
}

static void
read_cycle(void)
{
    __asm__ volatile("csrr t0, cycle" : : : "t0");
}

static void
read_satp(void)
{
    __asm__ volatile("csrr t0, satp" : : : "t0");
}

static void
do_mret(void)
{
    __asm__ volatile("mret");
}

static void
do_sret(void)
{
    __asm__ volatile("la t0, 1f\ncsrw sepc, t0\nli t0, 0x100\ncsrs sstatus, t0\nsret\n1:" : : : "t0", "memory");
}

static void
do_wfi(void)
{
    __asm__ volatile("wfi");
}

static void
fence_all(void)
{
    __asm__ volatile("sfence.vma");
}

static void
load_nowhere(void)
{
    __asm__ volatile("ld t0, (%0)" : : "r"(0x40) : "t0");
}

static void
store_nowhere(void)
{
    __asm__ volatile("sb zero, (%0)" : : "r"(0x7000000000UL) : "memory");
}

static void
jump_nowhere(void)
{
    __asm__ volatile("la t0, 1f\nsd t0, %0\njr %1\n1:" : "=m"(resume) : "r"(0x48) : "t0", "memory");
}

#define cell ((volatile u64 *)0x80800000)

static void
amo_misaligned(void)
{
    __asm__ volatile("amoadd.w t0, zero, (%0)" : : "r"((char *)cell + 2) : "t0", "memory");
}

static void
lr_misaligned(void)
{
    __asm__ volatile("lr.d t0, (%0)" : : "r"((char *)cell + 4) : "t0", "memory");
}

static void
load_misaligned(void)
{
    u64 v;
    cell[0] = 0x1122334455667788;
    cell[1] = 0x99aabbccddeeff00;
    __asm__ volatile("ld %0, (%1)" : "=r"(v) : "r"((char *)cell + 3) : "memory");
    say_hex("misaligned", v);
}

static void
fp_add(void)
{
    __asm__ volatile("fmv.d.x ft0, zero\nfadd.d ft0, ft0, ft0");
}

static void
cbo_zero(void)
{
    __asm__ volatile("li t0, 0x80800000\n.insn i 0x0f, 2, x0, t0, 4" : : : "t0", "memory");
}

static void
read_frm(void)
{
    __asm__ volatile("frrm t0" : : : "t0");
}

static const struct {
    const char *name;
    void (*fn)(void);
} all[] = {
    {"illegal", illegal},           {"illegal, short", illegal_short}, {"ecall", ecall},         {"ebreak", ebreak},
    {"mscratch", read_mscratch},    {"sscratch", read_sscratch},       {"cycle =", write_cycle}, {"cycle", read_cycle},
    {"satp", read_satp},            {"sfence.vma", fence_all},         {"load", load_nowhere},   {"store", store_nowhere},
    {"jump", jump_nowhere},         {"amo", amo_misaligned},           {"lr", lr_misaligned},    {"ld", load_misaligned},
    {"fadd", fp_add},               {"frm", read_frm},                 {"cbo.zero", cbo_zero},
};

static void
each(int mode)
{
    for (unsigned k = 0; k < sizeof all / sizeof all[0]; k++) {
        if (mode == 3) {
            all[k].fn();
        } else {
            run_in(mode, all[k].fn);
        }
        if (last_cause == 3) {
            last_tval = 0; /* the address of code, or nothing */
        }
        say_trap(all[k].name);
    }
}

int
main(void)
{
    CSRW(pmpaddr0, ~0UL);
    CSRW(pmpcfg0, 0x1f);
    CSRW(stvec, s_entry);
    say("M\n");
    each(3);
    say("S\n");
    each(1);
    say("U\n");
    each(0);
    CSRW(medeleg, 0xb0ff);
    CSRW(mcounteren, 1);
    CSRW(menvcfg, 0xf0);
    say("S, delegated\n");
    each(1);
    say("U, delegated\n");
    each(0);
    CSRW(scounteren, 1);
    CSRW(senvcfg, 0xf0);
    CSRC(mstatus, 0x6000);
    say("U, counters, no FP\n");
    each(0);
    CSRW(medeleg, 0);
    CSRS(mstatus, 0x700000);
    say("S, TVM TW TSR\n");
    each(1);
    run_in(1, do_sret);
    say_trap("sret");
    run_in(1, do_wfi);
    say_trap("wfi");
    run_in(1, do_mret);
    say_trap("mret");
    CSRC(mstatus, 0x700000);
    run_in(0, do_wfi);
    say_trap("wfi in U");
    run_in(1, do_sret);
    say_trap("sret, may");
    CSRW(mcause, 0x8000000000000005);
    say_hex("mcause", CSRR(mcause));
    CSRW(mtvec, (u64)trap_entry | 2);
    say_hex("mtvec", CSRR(mtvec) & 3);
    CSRW(medeleg, ~0UL);
    say_hex("medeleg", CSRR(medeleg) & 0xb3ff);
    CSRW(medeleg, 0);
    CSRW(satp, 0xfUL << 60);
    say_hex("satp", CSRR(satp));
    say_hex("mstatus", CSRR(mstatus));
    CSRS(mstatus, 0x2000);
    fp_add();
    say_hex("mstatus, FP used", CSRR(mstatus));
    return 0;
}
