/* children.c - children of fork that run code of their own at an address where their maker has other code */
/* riscv only */
/* every engine */
#include "../abi.h"

#include <sys/mman.h>

typedef int fn(void);

static void
emit(uint32_t *at, int v)
{
    at[0] = (uint32_t)v << 20 | 10 << 7 | 0x13; /* li a0, v */
    at[1] = 0x00008067;                         /* ret */
    __asm__ volatile("fence.i" ::: "memory");
}

static int __attribute__((noinline))
only_in_children(int n)
{
    int x = n;
    for (int i = 0; i < 5; i++) {
        x = x * 3 + i;
    }
    return x & 127;
}

int
main(void)
{
    uint32_t *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    emit(p, 7);
    for (int i = 1; i <= 60; i++) {
        pid_t pid = fork();
        if (pid == 0) {
            if (((fn *)p)() != 7) {
                _exit(1);
            }
            emit(p, i + 100);
            if (((fn *)p)() != i + 100 || ((fn *)p)() != i + 100) {
                _exit(2);
            }
            emit(p + 512, i); /* nobody else has any there */
            if (((fn *)(p + 512))() != i) {
                _exit(3);
            }
            pid_t grand = i % 8 == 0 ? fork() : -1;
            if (grand == 0) {
                _exit(((fn *)p)() == i + 100 ? only_in_children(i) : 1);
            }
            int status = 0;
            if (grand > 0 && (waitpid(grand, &status, 0) != grand || WEXITSTATUS(status) != only_in_children(i))) {
                _exit(4);
            }
            _exit(128 | only_in_children(i));
        }
        int status;
        CHECK(waitpid(pid, &status, 0) == pid && WIFEXITED(status));
        EQUAL(WEXITSTATUS(status), 128 | ((i * 243 + 58) & 127));
        EQUAL(p[512], 0);
        if (i % 3 == 0) {
            EQUAL(((fn *)p)(), 7);
        }
    }
    return 0;
}
