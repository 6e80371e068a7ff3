/* limit_as.c - RLIMIT_AS and RLIMIT_DATA count the program's memory, nobody else's */
#include "../abi.h"
#include <sys/mman.h>
#include <sys/resource.h>

int
main(void)
{
    struct rlimit rl = {256 << 20, RLIM_INFINITY}, back;
    CHECK(setrlimit(RLIMIT_AS, &rl) == 0 && getrlimit(RLIMIT_AS, &back) == 0);
    EQUAL(back.rlim_cur, 256 << 20);
    void *p = mmap(NULL, 64 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(p != MAP_FAILED);
    CHECK(mmap(NULL, 512 << 20, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED);
    EQUAL(errno, ENOMEM);
    CHECK(mremap(p, 64 << 20, 512 << 20, MREMAP_MAYMOVE) == MAP_FAILED);
    EQUAL(errno, ENOMEM);
    rl.rlim_cur = RLIM_INFINITY;
    CHECK(setrlimit(RLIMIT_AS, &rl) == 0);
    rl.rlim_cur = 128 << 20;
    CHECK(setrlimit(RLIMIT_DATA, &rl) == 0);
    CHECK(mmap(NULL, 100 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED);
    EQUAL(errno, ENOMEM);
    CHECK(mmap(NULL, 40 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) != MAP_FAILED);
    CHECK(mmap(NULL, 512 << 20, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) != MAP_FAILED);
    return 0;
}
