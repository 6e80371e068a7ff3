/* riscv only */
/* every engine */
/* code_races.c - code that threads execute is taken away, moved, made writable: they run it, or get SIGSEGV at its pc */
#include "../abi.h"
#include <pthread.h>
#include <setjmp.h>
#include <sys/mman.h>

#define PAGE    4096
#define THREADS 3
#define LENGTH  42

typedef long fn(long);

static char *page;
static int code[2]; /* memfds with some */
static volatile int stop, may_fault;
static __thread sigjmp_buf out;

/* auipc a0, 0 many times: who took operands for zero would write x0. Then li a0, v; ret. */
static void
emit(char *to, int v)
{
    uint32_t *at = (uint32_t *)to;
    for (int k = 0; k < LENGTH - 2; k++) {
        at[k] = 0x00000517;
    }
    at[LENGTH - 2] = (uint32_t)v << 20 | 10 << 7 | 0x13;
    at[LENGTH - 1] = 0x00008067;
}

static void
fault(int sig, siginfo_t *si, void *context)
{
    const uint64_t pc = ((ucontext_t *)context)->uc_mcontext.__gregs[0];
    EQUAL(sig, SIGSEGV);
    EQUAL(si->si_addr, pc);
    CHECK(pc % 4 == 0 && pc - (uint64_t)page < (uint64_t)(LENGTH * 4));
    CHECK(may_fault);
    siglongjmp(out, 1);
}

static void *
execute(void *unused)
{
    while (!stop) {
        if (sigsetjmp(out, 1) != 0) {
            continue;
        }
        for (int k = 0; k < 100 && !stop; k++) {
            const long r = ((fn *)page)(0);
            long zero;
            __asm__ volatile("mv %0, x0" : "=r"(zero));
            EQUAL(zero, 0);
            CHECK(r >= 0 && r < 100);
        }
    }
    return unused;
}

static void
protect(int prot)
{
    CHECK(mprotect(page, PAGE, prot) == 0);
}

static void
taken_away(int k)
{
    CHECK(munmap(page, PAGE) == 0);
    CHECK(mmap(page, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == page);
    emit(page, k % 100);
    protect(PROT_READ | PROT_WRITE | PROT_EXEC);
}

static void
covered(int k)
{
    CHECK(mmap(page, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == page);
    EQUAL(mmap(page, PAGE, PROT_READ, MAP_PRIVATE | MAP_FIXED, -1, 0), MAP_FAILED);
    emit(page, k % 100);
    protect(PROT_READ | PROT_EXEC);
    EQUAL(mmap(page, PAGE, PROT_READ, MAP_PRIVATE | MAP_FIXED, -1, 0), MAP_FAILED);
}

static void
moved(int k)
{
    (void)k;
    CHECK(mremap(page, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, page + PAGE) == page + PAGE);
    CHECK(mremap(page + PAGE, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, page) == page);
}

static void
hidden(int k)
{
    protect(PROT_NONE);
    protect(k % 2 ? PROT_READ | PROT_EXEC : PROT_READ | PROT_WRITE | PROT_EXEC);
}

static void
rewritten(int k)
{
    protect(PROT_READ | PROT_WRITE);
    emit(page, k % 100);
    protect(PROT_READ | PROT_EXEC);
}

/* What is executable before and after is so all the time. */
static void
writable(int k)
{
    (void)k;
    protect(PROT_READ | PROT_EXEC);
    protect(PROT_READ | PROT_WRITE | PROT_EXEC);
}

static void
replaced(int k)
{
    CHECK(mmap(page, PAGE, PROT_READ | PROT_EXEC, MAP_SHARED | MAP_FIXED, code[k % 2], 0) == page);
}

static void
during(void (*change)(int), int rounds, int faults)
{
    pthread_t t[THREADS];
    may_fault = faults;
    stop = 0;
    for (int k = 0; k < THREADS; k++) {
        CHECK(pthread_create(&t[k], NULL, execute, NULL) == 0);
    }
    for (int k = 0; k < rounds; k++) {
        change(k);
    }
    stop = 1;
    for (int k = 0; k < THREADS; k++) {
        CHECK(pthread_join(t[k], NULL) == 0);
    }
}

int
main(void)
{
    handle(SIGSEGV, fault, 0);
    handle(SIGILL, fault, 0);
    page = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    emit(page, 1);
    for (int k = 0; k < 2; k++) {
        code[k] = (int)syscall(SYS_memfd_create, "code", 0);
        CHECK(ftruncate(code[k], PAGE) == 0);
        char *w = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, code[k], 0);
        emit(w, 50 + k);
    }
    __builtin___clear_cache(page, page + PAGE);
    during(taken_away, 3000, 1);
    during(covered, 3000, 1);
    during(moved, 3000, 1);
    during(hidden, 3000, 1);
    during(rewritten, 3000, 1);
    protect(PROT_READ | PROT_WRITE | PROT_EXEC);
    during(writable, 5000, 0);
    during(replaced, 5000, 0);
    return 0;
}
