/* mremap.c - growing in place and elsewhere, shrinking, moving; contents and permissions go along */
#include "../abi.h"
#include <sys/mman.h>

#define ANON (MAP_PRIVATE | MAP_ANONYMOUS)
#define RW   (PROT_READ | PROT_WRITE)
#define FAILS(call, error)           \
    do {                             \
        errno = 0;                   \
        CHECK((call) == MAP_FAILED); \
        EQUAL(errno, error);         \
    } while (0)

int
main(void)
{
    /* Room above: grows in place. None: only elsewhere. */
    char *p = mmap(NULL, 8 * 4096, RW, ANON, -1, 0);
    CHECK(munmap(p + 2 * 4096, 3 * 4096) == 0);
    p[0] = 1, p[4096] = 2;
    CHECK(mremap(p, 2 * 4096, 4 * 4096, 0) == p && p[4096] == 2 && p[3 * 4096] == 0);
    FAILS(mremap(p, 4 * 4096, 8 * 4096, 0), ENOMEM);
    char *q = mremap(p, 4 * 4096, 64 * 4096, MREMAP_MAYMOVE);
    CHECK(q != MAP_FAILED && q[0] == 1 && q[4096] == 2);
    q[63 * 4096] = 3;
    CHECK(mremap(q, 64 * 4096, 4096, 0) == q && q[0] == 1);

    /* To a given place, over what is there. */
    char *to = mmap(NULL, 4 * 4096, RW, ANON, -1, 0);
    to[0] = 7;
    CHECK(mremap(q, 4096, 2 * 4096, MREMAP_MAYMOVE | MREMAP_FIXED, to) == to && to[0] == 1 && to[4096] == 0);
    unsigned char vec;
    EQUAL(mincore(q, 4096, &vec), -1);
    EQUAL(errno, ENOMEM);

    /* MREMAP_DONTUNMAP leaves an empty mapping behind. */
    char *d = mremap(to, 4096, 4096, MREMAP_MAYMOVE | MREMAP_DONTUNMAP, NULL);
    CHECK(d != MAP_FAILED && d != to && d[0] == 1 && to[0] == 0);

    /* old_len 0 duplicates what is shared. */
    char *s = mmap(NULL, 4096, RW, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    char *s2 = mremap(s, 0, 4096, MREMAP_MAYMOVE);
    CHECK(s2 != MAP_FAILED && s2 != s);
    s[5] = 9;
    CHECK(s2[5] == 9);

    FAILS(mremap(d, 0, 4096, MREMAP_MAYMOVE), EINVAL);
    FAILS(mremap(d + 1, 4096, 4096, 0), EINVAL);
    FAILS(mremap(d, 4096, 0, 0), EINVAL);
    FAILS(mremap(d, 4096, 4096, 8), EINVAL);
    FAILS(mremap(d, 4096, 4096, MREMAP_FIXED, to), EINVAL);
    FAILS(mremap(d, 4096, 8192, MREMAP_MAYMOVE | MREMAP_FIXED, d), EINVAL);
    FAILS(mremap(d, 4096, 8192, MREMAP_MAYMOVE | MREMAP_FIXED, d + 1), EINVAL);
    CHECK(munmap(s, 4096) == 0);
    FAILS(mremap(s, 4096, 8192, MREMAP_MAYMOVE), EFAULT);
    return 0;
}
