/* reserved.c - lr and sc in the loops that compilers make of them: exact under contention, and at what faults */
/* riscv only */
/* every engine */
#include "../abi.h"
#include <pthread.h>
#include <sys/mman.h>
#include <ucontext.h>

enum { THREADS = 4, ROUNDS = 30000 };

static _Alignas(64) uint32_t w, lock;
static _Alignas(64) uint64_t d, tickets, bits;
static uint64_t sums[THREADS];
static long inside;

/* out: pc of the sc, so that a fault there can be told from one at the lr */
#define LOOP(width, op, out, in, at)                                              \
    ({                                                                            \
        uint64_t old_, t_;                                                        \
        __asm__ volatile("1: lr." width " %0, (%3)\n   " op " %1, %0, %2\n"        \
                         "   sc." width " %1, %1, (%3)\n   bnez %1, 1b"            \
                         : "=&r"(old_), "=&r"(t_)                                 \
                         : "r"((uint64_t)(in)), "r"(at)                           \
                         : "memory");                                             \
        (out) = old_;                                                             \
    })

static uint64_t
swap_w(uint32_t *at, uint32_t v)
{
    uint64_t old, t;
    __asm__ volatile("1: lr.w.aq %0, (%3)\n   sc.w.rl %1, %2, (%3)\n   bnez %1, 1b" : "=&r"(old), "=&r"(t) : "r"((uint64_t)v), "r"(at) : "memory");
    return old;
}

/* What gcc and the kernel make of a compare-and-swap: what was there. */
static uint64_t
cas_w(uint32_t *at, uint64_t e, uint64_t v)
{
    uint64_t old, t;
    __asm__ volatile("1: lr.w.aqrl %0, (%4)\n   bne %0, %2, 2f\n   sc.w.rl %1, %3, (%4)\n   bnez %1, 1b\n2:"
                     : "=&r"(old), "=&r"(t)
                     : "r"(e), "r"(v), "r"(at)
                     : "memory");
    return old;
}

static uint64_t
cas_d(uint64_t *at, uint64_t e, uint64_t v)
{
    uint64_t old, t;
    __asm__ volatile("1: lr.d %0, (%4)\n   bne %0, %2, 2f\n   sc.d %1, %3, (%4)\n   bnez %1, 1b\n2:"
                     : "=&r"(old), "=&r"(t)
                     : "r"(e), "r"(v), "r"(at)
                     : "memory");
    return old;
}

static void *
body(void *arg)
{
    const unsigned me = (unsigned)(uintptr_t)arg;
    for (uint64_t i = 0; i < ROUNDS; i++) {
        uint64_t old, mine;
        LOOP("w", "addw", old, 1, &w);
        CHECK(old == (uint64_t)(int64_t)(int32_t)old);
        LOOP("d", "add", mine, 1, &tickets);
        sums[me] += mine;
        LOOP("d", "xor", old, UINT64_C(1) << (8 * me + i % 8), &bits);
        for (old = d; (mine = cas_d(&d, old, old + 3)) != old; old = mine) {
        }
        while (cas_w(&lock, 0, 1) != 0) { /* a lock, which a swap gives back */
        }
        CHECK(++inside == 1);
        inside--;
        EQUAL(swap_w(&lock, 0), 1);
        LOOP("d", "or", old, UINT64_C(1) << (32 + me), &bits);
        LOOP("d", "and", old, ~(UINT64_C(1) << (32 + me)), &bits);
        CHECK(old >> (32 + me) & 1);
    }
    return NULL;
}

static volatile uint64_t fault_pc, fault_addr;
static volatile int faults;

static void
on_fault(int sig, siginfo_t *si, void *context)
{
    ucontext_t *uc = context;
    (void)sig;
    fault_pc = uc->uc_mcontext.__gregs[0];
    fault_addr = (uint64_t)si->si_addr;
    faults++;
    uc->uc_mcontext.__gregs[0] += 4; /* over it */
}

/* lr at the address that is the result, sc 4 + 4 behind. t, e, v as they are after the fault has been passed over. */
static __attribute__((noinline)) uint64_t
cas_at(uint64_t at, uint64_t e, uint64_t v, uint64_t out[2])
{
    uint64_t pc;
    __asm__ volatile("   .option push\n   .option norvc\n   la %0, 1f\n   li %1, 77\n   li %2, 78\n"
                     "1: lr.w %1, (%5)\n   bne %1, %3, 2f\n   sc.w %2, %4, (%5)\n   bnez %2, 2f\n2: .option pop"
                     : "=&r"(pc), "=&r"(out[0]), "=&r"(out[1])
                     : "r"(e), "r"(v), "r"(at)
                     : "memory");
    return pc;
}

static void
faulting(void)
{
    uint32_t *p = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    uint64_t out[2], pc;
    handle(SIGSEGV, on_fault, 0);
    handle(SIGBUS, on_fault, 0);
    p[0] = 5;
    p[1] = 0x80000000;
    for (int i = 0; i < 3000; i++) { /* hot, and then what is different */
        p[0] = 5;
        cas_at((uint64_t)p, 5, 6, out);
        CHECK(out[0] == 5 && out[1] == 0 && p[0] == 6);
    }
    munmap(p + 1024, 4096);
    pc = cas_at((uint64_t)(p + 1024), 5, 6, out);
    CHECK(faults == 1 && fault_pc == pc && fault_addr == (uint64_t)(p + 1024) && out[0] == 77);
    mprotect(p, 4096, PROT_READ);
    pc = cas_at((uint64_t)p, 6, 7, out);
    CHECK(faults == 2 && fault_pc == pc + 8 && fault_addr == (uint64_t)p && out[0] == 6 && out[1] == 78);
    cas_at((uint64_t)p, 7, 8, out); /* lr alone may read it */
    CHECK(faults == 2 && out[0] == 6 && out[1] == 78);
    mprotect(p, 4096, PROT_READ | PROT_WRITE);
    pc = cas_at((uint64_t)p + 2, 6, 7, out);
    CHECK(faults == 3 && fault_pc == pc && out[0] == 77);
    cas_at((uint64_t)(p + 1), 0x80000000, 1, out); /* lr.w gives another */
    CHECK(p[1] == 0x80000000 && out[0] == 0xffffffff80000000 && out[1] == 78);
    cas_at((uint64_t)(p + 1), 0xffffffff80000000, 1, out);
    CHECK(p[1] == 1 && out[0] == 0xffffffff80000000 && out[1] == 0);
    EQUAL(faults, 3);
}

/* The reservation that is left where the comparison fails, and none where it does not. */
static void
left_over(void)
{
    for (int i = 0; i < 3000; i++) {
        uint64_t r;
        w = 9;
        cas_w(&w, 8, 1);
        __asm__ volatile("sc.w %0, %1, (%2)" : "=r"(r) : "r"(UINT64_C(10)), "r"(&w) : "memory");
        CHECK(r == 0 && w == 10);
        __asm__ volatile("lr.w %0, (%1)" : "=r"(r) : "r"(&w) : "memory");
        cas_w(&lock, 0, 0);
        __asm__ volatile("sc.w %0, %1, (%2)" : "=r"(r) : "r"(UINT64_C(11)), "r"(&w) : "memory");
        CHECK(r != 0 && w == 10);
    }
}

int
main(void)
{
    pthread_t t[THREADS];
    uint64_t sum = 0;
    for (uintptr_t i = 0; i < THREADS; i++) {
        CHECK(pthread_create(&t[i], NULL, body, (void *)i) == 0);
    }
    for (unsigned i = 0; i < THREADS; i++) {
        pthread_join(t[i], NULL);
        sum += sums[i];
    }
    const uint64_t n = (uint64_t)THREADS * ROUNDS;
    EQUAL(w, (uint32_t)n);
    EQUAL(tickets, n);
    EQUAL(sum, n * (n - 1) / 2);
    EQUAL(d, 3 * n);
    EQUAL(bits, 0);
    faulting();
    left_over();
    return 0;
}
