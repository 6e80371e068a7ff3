/* mmap.c - where mappings go, and what mmap and munmap refuse */
#include "../abi.h"
#include <sys/mman.h>

#define ANON (MAP_PRIVATE | MAP_ANONYMOUS)
#define FAILS(call, error)      \
    do {                        \
        errno = 0;              \
        CHECK((call) == MAP_FAILED); \
        EQUAL(errno, error);    \
    } while (0)

int
main(void)
{
    char *p = mmap(NULL, 3 * 4096, PROT_READ | PROT_WRITE, ANON, -1, 0);
    CHECK(p != MAP_FAILED);
    p[0] = p[3 * 4096 - 1] = 1;
    FAILS(mmap(NULL, 0, PROT_READ, ANON, -1, 0), EINVAL);
    FAILS(mmap(p + 1, 4096, PROT_READ, ANON | MAP_FIXED, -1, 0), EINVAL);
    FAILS(mmap(NULL, 4096, PROT_READ, MAP_ANONYMOUS, -1, 0), EINVAL);
    FAILS(mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, -1, 0), EBADF);
    FAILS(mmap(NULL, -4096ul, PROT_READ, ANON, -1, 0), ENOMEM);
    FAILS(mmap(NULL, 1ul << 62, PROT_READ, ANON, -1, 0), ENOMEM);
    FAILS((void *)syscall(SYS_mmap, NULL, 4096, PROT_READ, ANON, -1, 1), EINVAL);
    FAILS(mmap((void *)-4096ul, 4096, PROT_READ, ANON | MAP_FIXED, -1, 0), ENOMEM);
    FAILS(mmap(p, 4096, PROT_READ, ANON | MAP_FIXED_NOREPLACE, -1, 0), EEXIST);
    CHECK(p[0] == 1);

    /* A hint that is free is taken, one that is not is none. */
    CHECK(munmap(p + 4096, 4096) == 0);
    CHECK(mmap(p + 4096, 4096, PROT_READ, ANON, -1, 0) == p + 4096);
    char *q = mmap(p + 4096, 4096, PROT_READ, ANON, -1, 0);
    CHECK(q != MAP_FAILED && q != p + 4096);
    CHECK(munmap(q, 4096) == 0);

    /* MAP_FIXED replaces; munmap of nothing succeeds. */
    CHECK(mmap(p, 4096, PROT_READ, ANON | MAP_FIXED, -1, 0) == p && p[0] == 0);
    CHECK(munmap(p, 3 * 4096) == 0 && munmap(p, 3 * 4096) == 0);
    EQUAL(munmap(p + 1, 4096), -1);
    EQUAL(errno, EINVAL);
    EQUAL(munmap(p, 0), -1);
    EQUAL(errno, EINVAL);
    EQUAL(munmap((void *)-4096ul, 8192), -1);
    EQUAL(errno, EINVAL);

    /* Large blocks lie on 2 MiB; top-down, one below the other. */
    char *a = mmap(NULL, 4096, PROT_READ, ANON, -1, 0), *b = mmap(NULL, 4096, PROT_READ, ANON, -1, 0);
    CHECK(b < a);
    return 0;
}
