/* mprotect.c - permissions are seen page by page; si_code tells a hole from a prohibition */
#include "../abi.h"
#include <setjmp.h>
#include <sys/mman.h>

static sigjmp_buf back;
static volatile int code;
static void *volatile where;

static void
on_fault(int sig, siginfo_t *si, void *uc)
{
    (void)sig, (void)uc;
    code = si->si_code;
    where = si->si_addr;
    siglongjmp(back, 1);
}

/* si_code of the fault that the access raises; 0 if none */
static int
fault_of(volatile char *p, int write)
{
    code = 0;
    if (sigsetjmp(back, 1) == 0) {
        if (write) {
            *p = 1;
        } else {
            (void)*p;
        }
    }
    CHECK(code == 0 || where == p);
    return code;
}

int
main(void)
{
    handle(SIGSEGV, on_fault, 0);
    char *p = mmap(NULL, 5 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(mprotect(p + 4096, 4096, PROT_READ) == 0);
    CHECK(mprotect(p + 2 * 4096, 4096, PROT_NONE) == 0);
    CHECK(mprotect(p + 3 * 4096, 4096, PROT_WRITE) == 0); /* readable too, on both machines */
    EQUAL(fault_of(p, 1), 0);
    EQUAL(fault_of(p + 4096, 0), 0);
    EQUAL(fault_of(p + 4096, 1), SEGV_ACCERR);
    EQUAL(fault_of(p + 2 * 4096, 0), SEGV_ACCERR);
    EQUAL(fault_of(p + 2 * 4096 + 77, 1), SEGV_ACCERR);
    EQUAL(fault_of(p + 3 * 4096, 1), 0);
    EQUAL(fault_of(p + 3 * 4096, 0), 0);
    CHECK(munmap(p + 4 * 4096, 4096) == 0);
    EQUAL(fault_of(p + 4 * 4096, 0), SEGV_MAPERR);
    EQUAL(fault_of((char *)8, 1), SEGV_MAPERR);

    /* What lies before a hole is changed all the same. */
    EQUAL(mprotect(p + 4096, 4 * 4096, PROT_READ | PROT_WRITE), -1);
    EQUAL(errno, ENOMEM);
    EQUAL(fault_of(p + 4096, 1), 0);
    EQUAL(fault_of(p + 2 * 4096, 1), 0);
    EQUAL(mprotect(p + 1, 4096, PROT_READ), -1);
    EQUAL(errno, EINVAL);
    EQUAL(mprotect(p, 4096, 0x100), -1);
    EQUAL(errno, EINVAL);
    EQUAL(mprotect(p, 0, PROT_READ), 0);
    EQUAL(mprotect((void *)-4096ul, 4096, PROT_READ), -1);
    EQUAL(errno, ENOMEM);

    /* A page that may not be executed is not: the fault is at the pc. */
    code = 0;
    if (sigsetjmp(back, 1) == 0) {
        ((void (*)(void))p)();
    }
    EQUAL(code, SEGV_ACCERR);
    CHECK(where == p);
    return 0;
}
