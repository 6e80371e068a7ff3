/*
 * sbi.c - calling the SBI implementation, and what can be said of it without a machine that ends
 */
#include "guest.h"

struct sbi_answer
sbi(u64 eid, u64 fid, u64 x0, u64 x1, u64 x2, u64 x3, u64 x4)
{
    register u64 a0 __asm__("a0") = x0;
    register u64 a1 __asm__("a1") = x1;
    register u64 a2 __asm__("a2") = x2;
    register u64 a3 __asm__("a3") = x3;
    register u64 a4 __asm__("a4") = x4;
    register u64 a6 __asm__("a6") = fid;
    register u64 a7 __asm__("a7") = eid;
    __asm__ volatile("ecall" : "+r"(a0), "+r"(a1) : "r"(a2), "r"(a3), "r"(a4), "r"(a6), "r"(a7) : "memory");
    return (struct sbi_answer){ (long)a0, a1 };
}

bool
sbi_has(u64 eid)
{
    struct sbi_answer a = sbi(SBI_BASE, 3, eid, 0, 0, 0, 0);
    return a.error == 0 && a.value != 0;
}

void
sbi_show(void)
{
    static const struct {
        u64 eid;
        const char *name;
    } known[] = {
        { SBI_TIME, "TIME" }, { SBI_IPI, "IPI" },   { SBI_RFENCE, "RFENCE" }, { SBI_HSM, "HSM" }, { SBI_SRST, "SRST" },
        { SBI_DBCN, "DBCN" }, { SBI_SUSP, "SUSP" }, { SBI_PMU, "PMU" },       { SBI_STA, "STA" },
    };
    const u64 version = sbi(SBI_BASE, 0, 0, 0, 0, 0, 0).value, who = sbi(SBI_BASE, 1, 0, 0, 0, 0, 0).value;
    print("SBI       %ld.%ld by %s (%lx), version %lx:", version >> 24, version & 0xffffff,
          who == 1 ? "OpenSBI" : who == 0x646f70 ? "doppel" : "number", who, sbi(SBI_BASE, 2, 0, 0, 0, 0, 0).value);
    for (unsigned i = 0; i < sizeof known / sizeof *known; i++) {
        if (sbi_has(known[i].eid)) {
            print(" %s", known[i].name);
        }
    }
    print("\n");
}

#define NOT_SUPPORTED (-2)
#define INVALID_PARAM (-3)

void
test_sbi(void)
{
    subject("SBI");
    check(sbi(0x0a000000, 0, 0, 0, 0, 0, 0).error == NOT_SUPPORTED, "an extension that is not there");
    check(sbi(SBI_BASE, 77, 0, 0, 0, 0, 0).error == NOT_SUPPORTED, "a function that is not there");
    check(!sbi_has(0x0a000000) && sbi_has(SBI_BASE), "probe");
    const bool opensbi = sbi(SBI_BASE, 1, 0, 0, 0, 0, 0).value == 1; /* 1.6 passes over harts that are not there */
    const long ipi = (long)sbi(SBI_IPI, 0, 1, 1000, 0, 0, 0).error;
    check(ipi == INVALID_PARAM || (opensbi && ipi == 0), "IPI to a hart that is not there");
    if (sbi_has(SBI_HSM)) {
        check(sbi(SBI_HSM, 2, me->id, 0, 0, 0, 0).value == 0, "this hart has started");
        check(sbi(SBI_HSM, 2, 1000, 0, 0, 0, 0).error == INVALID_PARAM, "state of a hart that is not there");
        check(sbi(SBI_HSM, 0, me->id, (u64)hart_entry, 0, 0, 0).error == -6, "start of a hart that runs");
    }
    if (sbi_has(SBI_SRST)) {
        check(sbi(SBI_SRST, 0, 0x1234, 0, 0, 0, 0).error != 0, "a reset type that is not there");
    }
    if (sbi_has(SBI_DBCN)) {
        static const char text[] = "     (this line came through DBCN)\r\n";
        struct sbi_answer a = sbi(SBI_DBCN, 0, sizeof text - 1, (u64)text, 0, 0, 0);
        check(a.error == 0 && a.value <= sizeof text - 1, "console write");
        check(sbi(SBI_DBCN, 0, 8, 0x180000, ~0ul, 0, 0).error != 0, "console write from nowhere");
    }
    if (sbi_has(SBI_PMU)) {
        struct sbi_answer n = sbi(SBI_PMU, 0, 0, 0, 0, 0, 0), info = sbi(SBI_PMU, 1, 0, 0, 0, 0, 0);
        check(n.error == 0 && n.value >= 2, "there are counters");
        check(info.error == 0 && (info.value & 0xfff) == 0xc00, "the first one is cycle");
        check(sbi(SBI_PMU, 1, n.value + 100, 0, 0, 0, 0).error == INVALID_PARAM, "a counter that is not there");
    }
}
