/*
 * cpu.c - traps from S-mode and from U-mode; a few instructions of each extension that the machine says it has
 */
#include "guest.h"

/* A word of code that S-mode executes; it must trap or do nothing. */
#define WORD(w) __asm__ volatile(".balign 4; .word " #w ::: "memory", "t0", "t1")

/* stval of an illegal instruction: its bits, or 0 (Privileged ISA, "Supervisor Trap Value"). */
static bool
illegal(u64 cause, u64 bits)
{
    return cause == ILLEGAL && (me->tval == bits || me->tval == 0);
}

static u64 memory[4] = { 0x1122334455667788, 0x99aabbccddeeff00, 0, 0 };

void
test_traps(void)
{
    u64 v, here;
    subject("traps");
    check(illegal(TRAPS(WORD(0xffffffff)), 0xffffffff), "all ones is illegal");
    check(illegal(TRAPS(__asm__ volatile(".balign 4; .half 0; .half 1")), 0), "all zeroes is illegal");
    check(illegal(TRAPS(WORD(0x30200073)), 0x30200073), "mret is illegal here");
    check(illegal(TRAPS(WORD(0x300022f3)), 0x300022f3), "mstatus is not ours to read");
    check(illegal(TRAPS(WORD(0xc0001073)), 0xc0001073), "cycle is not to be written");
    check(illegal(TRAPS(WORD(0x5bf022f3)), 0x5bf022f3), "a CSR that is not there");
    me->cause = NO_TRAP;
    __asm__ volatile("la %0, 1f; sb %2, %1; 1: .option push; .option norvc; ebreak; .option pop; sb zero, %1"
                     : "=&r"(here), "+m"(me->expect)
                     : "r"(1)
                     : "memory");
    check(me->cause == BREAKPOINT && me->epc == here && (me->tval == 0 || me->tval == here), "ebreak, and where");
    check(TRAPS(v = *(volatile u64 *)0x180000) == LOAD_ACCESS && me->tval == 0x180000, "load from where nothing is");
    check(TRAPS(*(volatile u64 *)0x180008 = 1) == STORE_ACCESS && me->tval == 0x180008, "store to where nothing is");
    check(TRAPS((void)call_at(0x180000)) == FETCH_ACCESS && me->epc == 0x180000 && me->tval == 0x180000, "fetch from where nothing is");
    u64 cause = TRAPS(__asm__ volatile("ld %0, 3(%1)" : "=r"(v) : "r"(memory)));
    check(cause == NO_TRAP ? v == 0xeeff001122334455 : cause == LOAD_MISALIGNED && me->tval == (u64)memory + 3,
          cause == NO_TRAP ? "misaligned loads are done" : "misaligned loads trap");
    cause = TRAPS(__asm__ volatile("amoadd.d %0, zero, (%1)" : "=r"(v) : "r"((u64)memory + 4)));
    /* As a store's, says the specification; QEMU says as a load's. */
    check((cause == STORE_MISALIGNED || cause == STORE_ACCESS || cause == LOAD_MISALIGNED) && me->tval == (u64)memory + 4,
          "a misaligned amoadd traps");
    cause = TRAPS(__asm__ volatile("lr.w %0, (%1)" : "=r"(v) : "r"((u64)memory + 2)));
    check((cause == LOAD_MISALIGNED || cause == LOAD_ACCESS) && me->tval == (u64)memory + 2, "a misaligned lr traps");
    (void)v;

    csr_write(sscratch, 0x123456789abcdef0);
    v = csr_read(sscratch);
    csr_write(sscratch, me);
    check(v == 0x123456789abcdef0, "sscratch holds 64 bits");
    u64 old;
    __asm__ volatile("csrrs %0, sscratch, %1" : "=r"(old) : "r"(1ul));
    v = csr_read(sscratch);
    csr_write(sscratch, me);
    check(old == (u64)me && v == ((u64)me | 1), "csrrs gives the old, sets the new");
    v = csr_read(scounteren);
    csr_write(scounteren, 7);
    check(csr_read(scounteren) == 7, "scounteren holds cycle, time, instret");
    check((csr_read(sstatus) >> 32 & 3) == 2, "UXL says 64 bits");
    v = csr_read(instret);
    here = csr_read(cycle);
    for (volatile unsigned i = 0; i < 100; i++) {
    }
    check(csr_read(instret) > v && csr_read(cycle) > here, "cycle and instret count");
    v = rdtime();
    check(WAIT_FOR(rdtime() > v + 10), "time goes on");
}

/* A page of code for U-mode, at the page TEST_VA + PAGE; its data at TEST_VA + 2 * PAGE. */
#define USER_CODE (TEST_VA + PAGE)
#define USER_DATA (TEST_VA + 2 * PAGE)
#define USER(f) (USER_CODE + (u64)((f) - code_ret))

void
test_user(void)
{
    subject("user mode");
    memcpy(test_pages[1], code_ret, (size_t)(code_end - code_ret));
    __asm__ volatile("fence.i");
    mmu_map(1, (u64)test_pages[1], PTE_V | PTE_R | PTE_X | PTE_U | PTE_A);
    mmu_map(2, (u64)test_pages[2], PTE_V | PTE_R | PTE_W | PTE_U | PTE_A | PTE_D);
    mmu_on();
    me->cause = NO_TRAP;
    run_user(USER(code_user_ecall), 41);
    check(me->cause == ECALL_U && me->user_a0 == 42 && me->epc == USER(code_user_ecall) + 4 && me->tval == 0, "ecall");
    run_user(USER(code_user_ebreak), 0);
    check(me->cause == BREAKPOINT && me->epc == USER(code_user_ebreak), "ebreak");
    run_user(USER(code_user_sret), 0);
    check(me->cause == ILLEGAL, "sret is illegal there");
    csr_write(scounteren, 7);
    run_user(USER(code_user_time), 0);
    check(me->cause == ECALL_U && rdtime() - me->user_a0 < 10000000ul * ticks_per_us, "rdtime, allowed");
    csr_write(scounteren, 0);
    run_user(USER(code_user_time), 0);
    if (me->cause == ECALL_U) { /* OpenSBI executes it then */
        skipped("rdtime, forbidden", "it works all the same");
    } else {
        check(me->cause == ILLEGAL, "rdtime, forbidden");
    }
    csr_write(scounteren, 7);
    test_pages[2][3] = 77;
    run_user(USER(code_user_load), USER_DATA + 24);
    check(me->cause == ECALL_U && me->user_a0 == 77, "load from its page");
    run_user(USER(code_user_load), (u64)&harts);
    check(me->cause == LOAD_PAGE && me->tval == (u64)&harts, "load from a page of ours faults");
    run_user((u64)code_user_ecall, 0);
    check(me->cause == FETCH_PAGE && me->tval == (u64)code_user_ecall && me->epc == me->tval, "code of ours faults");
    mmu_off();
}

#define OP2(text, a, b)                                                                                                      \
    ({                                                                                                                       \
        u64 r_;                                                                                                              \
        __asm__ volatile(".option push; .option arch, +zba, +zbb, +zbc, +zbs;" text "; .option pop" : "=r"(r_) : "r"(a), "r"(b)); \
        r_;                                                                                                                  \
    })

static void
test_atomics(void)
{
    u64 old, failed;
    memory[2] = 10;
    __asm__ volatile("amoadd.d %0, %1, (%2)" : "=r"(old) : "r"(5ul), "r"(&memory[2]) : "memory");
    check(old == 10 && memory[2] == 15, "A: amoadd.d");
    memory[2] = 0xffffffff80000000;
    __asm__ volatile("amomaxu.w %0, %1, (%2)" : "=r"(old) : "r"(1ul), "r"(&memory[2]) : "memory");
    check(old == 0xffffffff80000000 && memory[2] == 0xffffffff80000000, "A: amomaxu.w");
    __asm__ volatile("1: lr.d %0, (%2); addi %0, %0, 1; sc.d %1, %0, (%2); bnez %1, 1b"
                     : "=&r"(old), "=&r"(failed)
                     : "r"(&memory[2])
                     : "memory");
    check(memory[2] == 0xffffffff80000001, "A: lr.d, sc.d");
    __asm__ volatile("lr.d %0, (%2); sc.d %1, zero, (%2); sc.d %1, zero, (%2)" : "=&r"(old), "=&r"(failed) : "r"(&memory[2]) : "memory");
    check(failed != 0, "A: a second sc.d fails");
}

static void
test_b(void)
{
    if (isa_has("zba")) {
        check(OP2("sh3add %0, %1, %2", 3ul, 100ul) == 124 && OP2("add.uw %0, %1, %2", ~0ul, 1ul) == 0x100000000, "Zba");
    }
    if (isa_has("zbb")) {
        check(OP2("andn %0, %1, %2", 0xfful, 0x0ful) == 0xf0 && OP2("rol %0, %1, %2", 0x8000000000000001ul, 1ul) == 3 &&
                  OP2("cpop %0, %1; add %0, %0, %2", 0xf0f0ul, 0ul) == 8 && OP2("max %0, %1, %2", -5l, 3l) == 3 &&
                  OP2("rev8 %0, %1; add %0, %0, %2", 0x0102030405060708ul, 0ul) == 0x0807060504030201 &&
                  OP2("orc.b %0, %1; add %0, %0, %2", 0x0001000200000000ul, 0ul) == 0x00ff00ff00000000,
              "Zbb");
    }
    if (isa_has("zbc")) {
        check(OP2("clmul %0, %1, %2", 7ul, 5ul) == 27 && OP2("clmulh %0, %1, %2", 1ul << 63, 4ul) == 2, "Zbc");
    }
    if (isa_has("zbs")) {
        check(OP2("bset %0, %1, %2", 0ul, 70ul) == 64 && OP2("bext %0, %1, %2", 0x100ul, 8ul) == 1, "Zbs");
    }
    if (isa_has("zicond")) {
        u64 r;
        __asm__ volatile("mv t0, %1; mv t1, %2; .word 0x0e62d2b3; mv %0, t0" : "=r"(r) : "r"(7ul), "r"(0ul) : "t0", "t1"); /* czero.eqz t0, t0, t1 */
        check(r == 0, "Zicond");
    }
}

static void
test_caches(void)
{
    static u64 block[16] __attribute__((aligned(64)));
    if (isa_has("zicboz")) {
        block[0] = block[7] = block[8] = 5;
        u64 cause = TRAPS(__asm__ volatile("mv t0, %0; .word 0x0042a00f" ::"r"(&block[1]) : "t0", "memory")); /* cbo.zero (t0) */
        check(cause == NO_TRAP && block[0] == 0 && block[7] == 0 && block[8] == 5, "Zicboz: a block is zero, the next is not");
    }
    if (isa_has("zicbom")) {
        u64 cause = TRAPS(__asm__ volatile("mv t0, %0; .word 0x0012a00f" ::"r"(&block[1]) : "t0", "memory")); /* cbo.clean (t0) */
        check(cause == NO_TRAP && block[8] == 5, "Zicbom");
    }
}

void
test_extensions(void)
{
    subject("extensions");
    check(OP2("mulh %0, %1, %2", 1l << 62, -4l) == ~0ul && OP2("mulhu %0, %1, %2", ~0ul, ~0ul) == ~1ul, "M: multiply");
    check(OP2("div %0, %1, %2", 7l, 0l) == ~0ul && OP2("rem %0, %1, %2", 7l, 0l) == 7 &&
              OP2("div %0, %1, %2", 1l << 63, -1l) == 1ul << 63 && OP2("divw %0, %1, %2", 100l, -7l) == (u64)-14,
          "M: divide");
    test_atomics();
    check(OP2("c.mv %0, %1; c.add %0, %2", 40ul, 2ul) == 42, "C");
    test_b();
    test_caches();
    /* Code that changes: two instructions, one after the other at the same place. */
    uint32_t *code = (uint32_t *)test_pages[0];
    code[1] = 0x00008067; /* ret */
    bool good = true;
    for (unsigned i = 0; i < 20; i++) {
        code[0] = 0x00000513 | i << 20; /* li a0, i */
        __asm__ volatile("fence.i" ::: "memory");
        good &= call_at((u64)code) == i;
    }
    check(good, "Zifencei: code that was written is executed");
}

/* Floating point, in the tests' own hands: registers as bits. */
#define FP(setup, text, a, b)                                                                                                \
    ({                                                                                                                       \
        u64 r_;                                                                                                              \
        __asm__ volatile(".option push; .option arch, +f, +d; fmv.d.x fa0, %1; fmv.d.x fa1, %2; " setup "; " text              \
                         "; fmv.x.d %0, fa0; .option pop"                                                                    \
                         : "=r"(r_)                                                                                          \
                         : "r"(a), "r"(b));                                                                                  \
        r_;                                                                                                                  \
    })
#define ONE 0x3ff0000000000000ul
#define TWO 0x4000000000000000ul
#define THREE 0x4008000000000000ul
#define INFINITE 0x7ff0000000000000ul
#define CANONICAL 0x7ff8000000000000ul

void
test_float(void)
{
    u64 flags;
    subject("floating point");
    if (!isa_has("d")) {
        skipped("F, D", "not in the ISA string");
        return;
    }
    csr_clear(sstatus, SSTATUS_FS);
    check(illegal(TRAPS(__asm__ volatile(".option push; .option arch, +d; .option norvc; fadd.d fa0, fa0, fa0; .option pop")), 0x02a57553), "FS is off: illegal");
    csr_set(sstatus, 0x4000); /* clean */
    csr_write(0x003, 0);      /* fcsr */
    check(FP("", "fadd.d fa0, fa0, fa1", ONE, TWO) == THREE, "1 + 2");
    check((csr_read(sstatus) & SSTATUS_FS) == SSTATUS_FS && (long)csr_read(sstatus) < 0, "FS and SD say dirty");
    check(csr_read(0x001) == 0, "and no flag");
    check(FP("", "fdiv.d fa0, fa0, fa1", ONE, THREE) == 0x3fd5555555555555, "1 / 3, to nearest");
    check(FP("", "fdiv.d fa0, fa0, fa1, rup", ONE, THREE) == 0x3fd5555555555556, "1 / 3, up");
    check(csr_read(0x001) == 1, "inexact");
    csr_write(0x001, 0);
    check(FP("", "fdiv.d fa0, fa0, fa1", ONE, 0ul) == INFINITE && csr_read(0x001) == 8, "1 / 0");
    csr_write(0x001, 0);
    check(FP("", "fsub.d fa0, fa0, fa1", INFINITE, INFINITE) == CANONICAL && csr_read(0x001) == 16, "inf - inf: the canonical NaN");
    csr_write(0x001, 0);
    check(FP("", "fmin.d fa0, fa0, fa1", 0ul, 1ul << 63) == 1ul << 63, "min(0, -0)");
    check(FP("", "fsqrt.d fa0, fa0", TWO, 0ul) == 0x3ff6a09e667f3bcd, "square root of 2");
    check(FP("", "fcvt.w.d a7, fa0; fmv.d.x fa0, a7", 0x41f0000000000000ul, 0ul) == 0x7fffffff, "2^32 to an int");
    flags = csr_read(0x001);
    check((flags & 16) != 0, "is invalid");
    check(FP("", "fcvt.s.d fa0, fa0", ONE, 0ul) == 0xffffffff3f800000, "a float is boxed");
    csr_write(0x002, 5); /* frm */
    check(TRAPS((void)FP("", "fadd.d fa0, fa0, fa1", ONE, ONE)) == ILLEGAL, "a rounding mode that is none");
    csr_write(0x003, 0);
}
