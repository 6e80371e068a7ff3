/* faults.c - SIGSEGV, SIGBUS, SIGILL, SIGTRAP: si_code, si_addr, and handlers that go on somewhere else */
/* every engine */
#include "../abi.h"

#include <fcntl.h>
#include <setjmp.h>
#include <sys/mman.h>
#include <ucontext.h>

static sigjmp_buf back;
static siginfo_t got;

static void
on_fault(int sig, siginfo_t *si, void *uc)
{
    (void)sig, (void)uc;
    got = *si;
    siglongjmp(back, 1);
}

#define FAULT(statement, signo, code, addr)            \
    do {                                               \
        memset(&got, 0, sizeof got);                   \
        if (sigsetjmp(back, 1) == 0) {                 \
            statement;                                 \
            CHECK(!"a fault");                         \
        }                                              \
        EQUAL(got.si_signo, signo);                    \
        EQUAL(got.si_code, code);                      \
        EQUAL((long)got.si_addr, (long)(addr));        \
    } while (0)

int
main(void)
{
    handle(SIGSEGV, on_fault, 0);
    handle(SIGBUS, on_fault, 0);
    handle(SIGILL, on_fault, 0);
    handle(SIGTRAP, on_fault, 0);
    volatile char *p = mmap(NULL, 3 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(munmap((char *)p + 4096, 4096) == 0 && mprotect((char *)p, 4096, PROT_READ) == 0);
    for (int i = 0; i < 100; i++) {
        FAULT(*(volatile char *)16 = 1, SIGSEGV, SEGV_MAPERR, 16);
        FAULT((void)p[4096 + 7], SIGSEGV, SEGV_MAPERR, p + 4096 + 7);
        FAULT(p[5] = 1, SIGSEGV, SEGV_ACCERR, p + 5);
    }
    mprotect((char *)p, 4096, PROT_NONE);
    FAULT((void)p[0], SIGSEGV, SEGV_ACCERR, p);
    volatile long *straddle = (volatile long *)(p + 2 * 4096 - 4); /* its second half is there */
    FAULT((void)*straddle, SIGSEGV, SEGV_MAPERR, p + 2 * 4096 - 4);

    char name[] = "/tmp/abi-faults-XXXXXX";
    int fd = mkstemp(name);
    CHECK(fd >= 0 && unlink(name) == 0 && ftruncate(fd, 4096) == 0);
    volatile char *f = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    FAULT(f[4096 + 3] = 1, SIGBUS, BUS_ADRERR, f + 4096 + 3);

    /* Code that is not there, or not executable. */
    void (*volatile nowhere)(void) = (void (*)(void))0x8000;
    FAULT(nowhere(), SIGSEGV, SEGV_MAPERR, 0x8000);
    char *data = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    void (*volatile not_code)(void) = (void (*)(void))data;
    FAULT(not_code(), SIGSEGV, SEGV_ACCERR, data);
#ifdef __riscv
    unsigned *code = mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    code[0] = 0xffffffff; /* no such instruction */
    code[1] = 0x00100073; /* ebreak */
    code[2] = 0x9002;     /* c.ebreak */
    code[3] = 0x30002573; /* csrr a0, mstatus: not in user mode */
    __builtin___clear_cache((char *)code, (char *)(code + 4));
    FAULT(((void (*)(void))code)(), SIGILL, ILL_ILLOPC, code);
    FAULT(((void (*)(void))(code + 1))(), SIGTRAP, TRAP_BRKPT, code + 1);
    FAULT(((void (*)(void))(code + 2))(), SIGTRAP, TRAP_BRKPT, code + 2);
    FAULT(((void (*)(void))(code + 3))(), SIGILL, ILL_ILLOPC, code + 3);
    char *end = mmap(NULL, 8192, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(munmap(end + 4096, 4096) == 0);
    end[4094] = 0x13, end[4095] = 0; /* the first half of an addi */
    __builtin___clear_cache(end, end + 4096);
    FAULT(((void (*)(void))(end + 4094))(), SIGSEGV, SEGV_MAPERR, end + 4096);
    volatile long wide[2];
    FAULT(__asm__ volatile("amoadd.d x0, x0, (%0)" : : "r"((char *)wide + 4) : "memory"), SIGBUS, BUS_ADRALN,
          (char *)wide + 4);
    FAULT(*(volatile char *)0x8000000000000000 = 1, SIGSEGV, SEGV_MAPERR, 0x8000000000000000);
    FAULT(*(volatile char *)0x7fffffffffff0000 = 1, SIGSEGV, SEGV_MAPERR, 0x7fffffffffff0000);
#endif
    /* The kernel's own accesses are no faults. */
    CHECK(write(1, (void *)16, 5) == -1 && errno == EFAULT);
    int pp[2];
    CHECK(pipe(pp) == 0 && write(pp[1], "abc", 3) == 3);
    CHECK(read(pp[0], (void *)16, 3) == -1 && errno == EFAULT);
    return 0;
}
