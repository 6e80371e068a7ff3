/* advice.c - madvise, mincore, msync, mlock: effects and errors */
#include "../abi.h"
#include <sys/mman.h>

#define RW (PROT_READ | PROT_WRITE)

int
main(void)
{
    unsigned char vec[8];
    char *p = mmap(NULL, 4 * 4096, RW, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    memset(p, 1, 4 * 4096);
    EQUAL(madvise(p, 4096, MADV_DONTNEED), 0);
    CHECK(p[0] == 0 && p[4096] == 1);
    EQUAL(madvise(p + 1, 4096, MADV_DONTNEED), -1);
    EQUAL(errno, EINVAL);
    EQUAL(madvise(p, 4096, 12345), -1);
    EQUAL(errno, EINVAL);
    EQUAL(madvise(p, 0, MADV_DONTNEED), 0);
    EQUAL(mincore(p, 4 * 4096, vec), 0);
    CHECK((vec[1] & 1) && (vec[3] & 1));
    EQUAL(mincore(p + 1, 4096, vec), -1);
    EQUAL(errno, EINVAL);
    EQUAL(mincore(p, 4096, (void *)8), -1);
    EQUAL(errno, EFAULT);
    EQUAL(msync(p, 4096, MS_SYNC), 0);
    EQUAL(msync(p, 4096, MS_SYNC | MS_ASYNC), -1);
    EQUAL(errno, EINVAL);
    EQUAL(mlock(p + 100, 4096), 0);
    EQUAL(munlock(p, 2 * 4096), 0);
    EQUAL(munmap(p + 2 * 4096, 4096), 0);
    EQUAL(mlock(p, 4 * 4096), -1);
    EQUAL(errno, ENOMEM);
    EQUAL(msync(p, 4 * 4096, MS_ASYNC), -1);
    EQUAL(errno, ENOMEM);
    EQUAL(munlock(p, 2 * 4096), 0);
    EQUAL(madvise(p, 4 * 4096, MADV_DONTNEED), -1);
    EQUAL(errno, ENOMEM);
    CHECK(p[4096] == 0 && p[3 * 4096] == 0);
    EQUAL(mlockall(MCL_CURRENT | MCL_FUTURE), 0);
    char *q = mmap(NULL, 4096, RW, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    EQUAL(mincore(q, 4096, vec), 0);
    CHECK(vec[0] & 1);
    EQUAL(munlockall(), 0);
    EQUAL(mlockall(MCL_ONFAULT), -1);
    EQUAL(errno, EINVAL);
    return 0;
}
