/* brk.c - the heap grows, shrinks, and stops at what is in its way */
#include "../abi.h"
#include <sys/mman.h>
#include <sys/resource.h>

int
main(void)
{
    char *start = (char *)syscall(SYS_brk, 0);
    char *end = start + 3 * 4096 + 5;
    CHECK((char *)syscall(SYS_brk, end) == end);
    start[4 * 4096 - 4096] = 1;
    end[-1] = 2;
    CHECK((char *)syscall(SYS_brk, 1) == end);
    CHECK((char *)syscall(SYS_brk, -1) == end);
    char *page = (char *)(((unsigned long)start + 4095) & -4096ul);
    CHECK((char *)syscall(SYS_brk, page) == page);
    CHECK((char *)syscall(SYS_brk, end) == end && end[-1] == 0); /* given back and fresh */
    char *wall = page + (1 << 20);
    CHECK(mmap(wall, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == wall);
    CHECK((char *)syscall(SYS_brk, wall + 1) == end);
    CHECK(munmap(wall, 4096) == 0);
    CHECK((char *)syscall(SYS_brk, wall + 4096) == wall + 4096);
    return 0;
}
