/* fregs.c - all f registers, changed in each round of a loop, as a handler sees and changes them where the last round faults */
/* riscv only */
#include "../abi.h"

#include <string.h>
#include <ucontext.h>

static volatile unsigned faults;
static unsigned long rounds;

/* f0 is 1; each other one has its number, and 1 for each round. They go on as 0.5 and what is said here. */
static void
on_segv(int sig, siginfo_t *si, void *ucv)
{
    ucontext_t *uc = ucv;
    CHECK(sig == SIGSEGV && si->si_addr == NULL);
    for (unsigned k = 0; k < 32; k++) {
        double f;
        memcpy(&f, &uc->uc_mcontext.__fpregs.__d.__f[k], 8);
        CHECK(f == (k == 0 ? 1.0 : (double)k + (double)rounds));
        f = k == 0 ? 0.5 : -(double)k;
        memcpy(&uc->uc_mcontext.__fpregs.__d.__f[k], &f, 8);
    }
    uc->uc_mcontext.__gregs[0] += 4;
    faults++;
}

#define EACH(X)                                                                                                  \
    X(1) X(2) X(3) X(4) X(5) X(6) X(7) X(8) X(9) X(10) X(11) X(12) X(13) X(14) X(15) X(16) X(17) X(18) X(19) X(20) \
    X(21) X(22) X(23) X(24) X(25) X(26) X(27) X(28) X(29) X(30) X(31)
#define NUMBER(k) "li t0, " #k "\n fcvt.d.l f" #k ", t0\n"
#define COUNT(k) "fadd.d f" #k ", f" #k ", f0\n"
#define KEEP(k) "fsd f" #k ", 8*" #k "(%2)\n"
#define NAME(k) "f" #k,

static void
loop(unsigned long left, double *after)
{
    static uint64_t here;
    __asm__ volatile(".option push\n .option norvc\n"
                     "li t0, 1\n fcvt.d.l f0, t0\n" EACH(NUMBER)
                     "1:\n" EACH(COUNT)
                     "addi %0, %0, -1\n"
                     "snez t0, %0\n neg t0, t0\n and t0, t0, %1\n"
                     "sd x0, (t0)\n" /* in the last round: to 0 */
                     "bnez %0, 1b\n" EACH(COUNT) EACH(KEEP)
                     ".option pop\n"
                     : "+r"(left)
                     : "r"(&here), "r"(after)
                     : EACH(NAME) "f0", "t0", "memory");
}

int
main(void)
{
    static const unsigned long tries[] = {1, 10, 100, 3000, 20000};
    static double after[32];
    handle(SIGSEGV, on_segv, 0);
    for (unsigned k = 0; k < sizeof tries / sizeof tries[0]; k++) {
        rounds = tries[k];
        loop(rounds, after);
        EQUAL(faults, k + 1);
        for (unsigned g = 1; g < 32; g++) {
            CHECK(after[g] == 0.5 - (double)g);
        }
    }
    return 0;
}
