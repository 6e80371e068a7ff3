/* nans.c - what a handler sees of f registers in the middle of a loop: canonical NaNs, payloads that were only moved, boxes */
/* riscv only */
#include "../abi.h"

#include <sys/time.h>
#include <ucontext.h>

#define CANONICAL 0x7ff8000000000000
#define CANONICAL_S 0xffffffff7fc00000

/* By number: what each register holds from the first round on. Before, it is 0. */
static const uint64_t expected[] = {
    0x7ff4000000001234, CANONICAL, CANONICAL, CANONICAL, 0xffffffff7fa01234, CANONICAL_S, 0xffffffff3fc00000, 0xffffffff40490fdb,
    0xfff8000000000000, CANONICAL_S, CANONICAL_S, 0xffffffffffc00000, 0x7ff4000000001234,
};
#define N (sizeof expected / sizeof expected[0])

static volatile unsigned faults, alarms;

static void
check(const ucontext_t *uc, int all)
{
    for (unsigned k = 0; k < N; k++) {
        const uint64_t f = uc->uc_mcontext.__fpregs.__d.__f[k];
        if (f != 0 || all) {
            EQUAL(f, expected[k]);
        }
    }
}

static void
on_segv(int sig, siginfo_t *si, void *ucv)
{
    ucontext_t *uc = ucv;
    CHECK(sig == SIGSEGV && si->si_addr == NULL);
    check(uc, 1);
    EQUAL(uc->uc_mcontext.__fpregs.__d.__fcsr & 0x1f, 0x10);
    uc->uc_mcontext.__gregs[0] += 4;
    faults++;
}

static volatile int in_loop;

static void
on_alarm(int sig, siginfo_t *si, void *ucv)
{
    (void)sig, (void)si;
    if (in_loop) {
        check(ucv, 0);
        alarms++;
    }
}

/* So many rounds; at the end of the last one a store faults. */
static void
loop(unsigned long rounds)
{
    static uint64_t data[8] = {0x7ff4000000001234, 0x7fa01234, 0x3f8000003f000000, 0xbf800000};
    unsigned long left = rounds;
    uint64_t *p = data;
    __asm__ volatile(".option push\n .option norvc\n"
                     "fmv.d.x f0, x0\n fmv.d.x f1, x0\n fmv.d.x f2, x0\n fmv.d.x f3, x0\n fmv.d.x f4, x0\n fmv.d.x f5, x0\n"
                     "fmv.d.x f6, x0\n fmv.d.x f7, x0\n fmv.d.x f8, x0\n fmv.d.x f9, x0\n fmv.d.x f10, x0\n fmv.d.x f11, x0\n"
                     "fmv.d.x f12, x0\n fmv.d.x f13, x0\n li t1, 0x40490fdb\n fsflags x0\n"
                     "li t2, 1\n sw t2, (%2)\n"
                     "1:\n"
                     "fld f0, (%1)\n"
                     "fadd.d f1, f0, f0\n"
                     "fdiv.d f2, f13, f13\n"
                     "fmadd.d f3, f1, f2, f1\n"
                     "flw f4, 8(%1)\n"
                     "fmul.s f5, f4, f4\n"
                     "flw f14, 16(%1)\n flw f15, 20(%1)\n"
                     "fadd.s f6, f14, f15\n"
                     "fmv.w.x f7, t1\n"
                     "fsgnjn.d f8, f1, f1\n"
                     "fcvt.s.d f9, f1\n"
                     "flw f14, 24(%1)\n"
                     "fsqrt.s f10, f14\n"
                     "fsgnjn.s f11, f5, f5\n"
                     "fmv.d f12, f0\n"
                     "addi %0, %0, -1\n"
                     "snez t0, %0\n neg t0, t0\n and t0, t0, %1\n"
                     "sd x0, 32(%1)\n"
                     "sd x0, (t0)\n" /* over the signalling NaN, but for the last time */
                     "fsd f0, (%1)\n"
                     "bnez %0, 1b\n"
                     "sw x0, (%2)\n"
                     ".option pop\n"
                     : "+r"(left), "+r"(p)
                     : "r"(&in_loop)
                     : "t0", "t1", "t2", "f0", "f1", "f2", "f3", "f4", "f5", "f6", "f7", "f8", "f9", "f10", "f11", "f12", "f13",
                       "f14", "f15", "memory");
}

int
main(void)
{
    handle(SIGSEGV, on_segv, 0);
    handle(SIGALRM, on_alarm, SA_RESTART);
    for (unsigned k = 1; k <= 100; k++) {
        loop(k);
        EQUAL(faults, k);
    }
    const struct itimerval often = {{0, 300}, {0, 300}};
    CHECK(setitimer(ITIMER_REAL, &often, NULL) == 0);
    while (alarms < 300) {
        loop(20000);
    }
    return 0;
}
