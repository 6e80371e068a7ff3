/* halves.c - what a comparison of half registers, which nobody has asked for yet, is for a handler in the midst of a loop */
/* riscv only */
/* every engine */
#include "../abi.h"

#include <ucontext.h>

static uint64_t pointers[32], memory;
static volatile unsigned faults;

static void
on_segv(int sig, siginfo_t *si, void *ucv)
{
    ucontext_t *uc = ucv;
    const uint64_t *x = (const uint64_t *)uc->uc_mcontext.__gregs;
    const int32_t half = (int32_t)((uint32_t)x[30] << 11);
    CHECK(sig == SIGSEGV && si->si_addr == (void *)8);
    EQUAL(x[14], half < -1641);
    uc->uc_mcontext.__gregs[0] += 4;
    faults++;
}

/* In each turn but the last the pointer is good. The comparison is overwritten in the next turn, and nobody reads it. */
static void
turns(uint64_t v, unsigned n)
{
    __asm__ volatile(".option push\n.option norvc\n"
                     "mv t5, %[v]\n"
                     "mv t0, %[n]\n"
                     "1: addi t0, t0, -1\n"
                     "slliw a4, t5, 11\n"
                     "andi t4, a4, 63\n"
                     "add t4, t4, %[p]\n"
                     "slli t1, t0, 3\n"
                     "add t4, t4, t1\n"
                     "ld t4, 0(t4)\n"
                     "slti a4, a4, -1641\n"
                     "sd t1, 0(t4)\n"
                     "bnez t0, 1b\n"
                     ".option pop"
                     :
                     : [v] "r"(v), [n] "r"((uint64_t)n), [p] "r"(pointers)
                     : "t0", "t1", "t4", "t5", "a4", "memory");
}

int
main(void)
{
    static const uint64_t values[] = {0x97a9e4bf4a068d, 0xfffffffffff00001, 0x80000000, 0x7fffffff00200000, 0xfffffffffffffbf3, 1, 0};
    handle(SIGSEGV, on_segv, 0);
    for (unsigned k = 0; k < 32; k++) {
        pointers[k] = (uint64_t)(uintptr_t)&memory;
    }
    pointers[0] = 8;
    for (unsigned k = 0; k < sizeof values / sizeof values[0]; k++) {
        turns(values[k], 30);
        turns(values[k], 31);
    }
    EQUAL(faults, 2 * sizeof values / sizeof values[0]);
    return 0;
}
