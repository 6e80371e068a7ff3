/* private_code.c - code in a private mapping that was never written changes with its file; fence.i makes it seen */
/* riscv only */
/* every engine */
#include "../abi.h"

#include <sys/mman.h>

int
main(void)
{
    const int fd = memfd_create("code", 0);
    CHECK(fd >= 0 && ftruncate(fd, 4096) == 0);
    int (*f)(void) = mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE, fd, 0);
    CHECK(f != MAP_FAILED);
    for (int i = 0; i < 500; i++) {
        const uint32_t code[2] = {(uint32_t)i << 20 | 0x513, 0x8067}; /* li a0,i; ret */
        CHECK(pwrite(fd, code, sizeof code, 0) == sizeof code);
        __asm__ volatile("fence.i" : : : "memory");
        for (int k = 0; k < 40; k++) {
            EQUAL(f(), i);
        }
    }
    return 0;
}
