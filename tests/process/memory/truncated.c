/* truncated.c - a file of code that ends earlier than its mapping: what was translated from it is compared with bytes that are gone */
/* riscv only */
/* every engine */
#include "../abi.h"

#include <fcntl.h>
#include <setjmp.h>
#include <sys/mman.h>

static sigjmp_buf back;

static void
on_bus(int sig)
{
    siglongjmp(back, sig);
}

int
main(void)
{
    /* li a0, 42; ret */
    static const unsigned code[] = {0x02a00513, 0x00008067};
    char name[] = "/tmp/doppel-truncated-XXXXXX";
    int fd = mkstemp(name);
    CHECK(fd >= 0);
    unlink(name);
    CHECK(ftruncate(fd, 8192) == 0);
    CHECK(pwrite(fd, code, sizeof code, 4096) == sizeof code);
    char *p = mmap(NULL, 8192, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_SHARED, fd, 0);
    CHECK(p != MAP_FAILED);
    long (*f)(void);
    memcpy(&f, &(char *){p + 4096}, sizeof f);
    for (int i = 0; i < 1000; i++) {
        CHECK(f() == 42);
    }
    CHECK(ftruncate(fd, 4096) == 0);
    __asm__ volatile("fence.i");
    __builtin___clear_cache(p, p + 8192);
    signal(SIGBUS, on_bus);
    if (sigsetjmp(back, 1) == 0) {
        f();
        CHECK(!"the code is gone");
    }
    CHECK(ftruncate(fd, 8192) == 0);
    CHECK(pwrite(fd, code, sizeof code, 4096) == sizeof code);
    __asm__ volatile("fence.i");
    CHECK(f() == 42);
    return 0;
}
