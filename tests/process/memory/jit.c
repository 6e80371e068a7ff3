/* riscv only */
/* jit.c - code that a program writes: new pages, rewritten in place with fence.i, through an alias, by mprotect */
#include "../abi.h"
#include <sys/mman.h>

typedef long fn(void);

/* li a0, v; ret */
static void
emit(uint32_t *at, int v)
{
    at[0] = (uint32_t)v << 20 | 10 << 7 | 0x13;
    at[1] = 0x00008067;
}

int
main(void)
{
    uint32_t *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    for (int i = 1; i < 100; i++) {
        emit(p, i);
        __asm__ volatile("fence.i" ::: "memory");
        EQUAL(((fn *)p)(), i);
        emit(p, i + 500);
        __builtin___clear_cache((char *)p, (char *)(p + 2));
        EQUAL(((fn *)p)(), i + 500);
    }
    /* Never writable and executable at once. */
    for (int i = 1; i < 20; i++) {
        CHECK(mprotect(p, 4096, PROT_READ | PROT_WRITE) == 0);
        emit(p, i);
        CHECK(mprotect(p, 4096, PROT_READ | PROT_EXEC) == 0);
        EQUAL(((fn *)p)(), i);
    }
    /* Two mappings of one memory. */
    int fd = (int)syscall(SYS_memfd_create, "jit", 0);
    CHECK(ftruncate(fd, 4096) == 0);
    uint32_t *w = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    uint32_t *x = mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_SHARED, fd, 0);
    for (int i = 1; i < 100; i++) {
        emit(w, i);
        __asm__ volatile("fence.i" ::: "memory");
        EQUAL(((fn *)x)(), i);
    }
    /* Another page at the same address. */
    CHECK(mmap(p, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == p);
    emit(p, 77);
    EQUAL(((fn *)p)(), 77);
    CHECK(mremap(x, 4096, 4096, MREMAP_MAYMOVE | MREMAP_FIXED, p) == p);
    EQUAL(((fn *)p)(), 99);
    CHECK(pwrite(fd, "", 1, 4095) == 1);
    /* A child's code is its own. */
    p = mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    emit(p, 1);
    __asm__ volatile("fence.i" ::: "memory");
    EQUAL(((fn *)p)(), 1);
    pid_t pid = fork();
    if (pid == 0) {
        emit(p, 2);
        __asm__ volatile("fence.i" ::: "memory");
        _exit(((fn *)p)() == 2 ? 0 : 1);
    }
    int st;
    CHECK(waitpid(pid, &st, 0) == pid && st == 0);
    EQUAL(((fn *)p)(), 1);
    return 0;
}
