/* holes.c - mappings never overlap, with the stack there or gone, until the address space is full */
#include "../abi.h"
#include <sys/mman.h>
#include <sys/resource.h>

enum { N = 3000 };
static struct {
    uint64_t start, end;
} got[N];

static int
by_start(const void *a, const void *b)
{
    const uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

int
main(void)
{
    uint64_t seed = 12345;
    int n = 0;
    for (; n < N; n++) {
        seed = seed * UINT64_C(6364136223846793005) + 1442695040888963407;
        uint64_t len = ((seed >> 33) % (n % 10 == 0 ? 1 << 18 : 100) + 1) * 4096;
        void *p = mmap(NULL, len, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        CHECK(p != MAP_FAILED);
        got[n].start = (uint64_t)p;
        got[n].end = (uint64_t)p + len;
        if (n % 7 == 3) { /* make holes */
            CHECK(munmap((void *)got[n / 2].start, 4096) == 0);
            got[n / 2].start += got[n / 2].start + 4096 < got[n / 2].end ? 4096 : 0;
            if (got[n / 2].start + 4096 >= got[n / 2].end) {
                munmap((void *)got[n / 2].start, got[n / 2].end - got[n / 2].start);
                got[n / 2].end = got[n / 2].start;
            }
        }
    }
    qsort(got, (size_t)n, sizeof got[0], by_start);
    uint64_t last = 0;
    for (int i = 0; i < n; i++) {
        if (got[i].end > got[i].start) {
            CHECK(got[i].start >= last);
            last = got[i].end;
        }
    }
    return 0;
}
