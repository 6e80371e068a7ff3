/* random.c - random mmap, munmap, mprotect, mremap, madvise on 64 pages against a model of what must be there */
#include "../abi.h"
#include <sys/mman.h>

enum { PAGES = 64, ROUNDS = 20000 };
static struct {
    int prot; /* -1: not mapped */
    unsigned char tag;
} model[PAGES];
static char *area;
static int fds[2];
static uint64_t seed = 88172645463325252u;

static unsigned
pick(unsigned n)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return (unsigned)(seed >> 33) % n;
}

static int
any_prot(void)
{
    static const int prots[] = {PROT_NONE, PROT_READ, PROT_READ | PROT_WRITE, PROT_READ | PROT_EXEC,
                                PROT_READ | PROT_WRITE | PROT_EXEC};
    return prots[pick(5)];
}

/* The kernel's answer for one byte of the page: 1 done, 0 EFAULT. */
static int
probe(int page, int write_to)
{
    char *p = area + page * 4096;
    ssize_t r = write_to ? read(fds[0], p, 1) : write(fds[1], p, 1);
    CHECK(r == 1 || errno == EFAULT);
    return r == 1;
}

static void
check_page(int i)
{
    int prot = model[i].prot;
    unsigned char c;
    EQUAL(probe(i, 0), prot > 0 && (prot & PROT_READ));
    if (prot > 0) {
        CHECK(read(fds[0], &c, 1) == 1);
        EQUAL(c, model[i].tag);
    }
    if (prot > 0 && (prot & PROT_WRITE)) {
        c = model[i].tag = (unsigned char)pick(256);
        CHECK(write(fds[1], &c, 1) == 1 && probe(i, 1));
    }
    unsigned char vec;
    EQUAL(mincore(area + i * 4096, 4096, &vec), prot < 0 ? -1 : 0);
}

int
main(void)
{
    CHECK(pipe(fds) == 0);
    area = mmap(NULL, (PAGES + 2) * 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(area != MAP_FAILED);
    area += 4096;
    for (int round = 0; round < ROUNDS; round++) {
        int at = (int)pick(PAGES), n = 1 + (int)pick(PAGES - (unsigned)at < 9 ? PAGES - (unsigned)at : 9), hole = n;
        char *p = area + at * 4096;
        int prot = any_prot(), what = (int)pick(6);
        for (int i = n - 1; i >= 0; i--) {
            hole = model[at + i].prot < 0 ? i : hole;
        }
        if (what == 0 || what == 5) {
            CHECK(mmap(p, (size_t)n * 4096, prot, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == p);
            for (int i = 0; i < n; i++) {
                model[at + i].prot = prot;
                model[at + i].tag = 0;
            }
        } else if (what == 1) {
            CHECK(munmap(p, (size_t)n * 4096) == 0);
            for (int i = 0; i < n; i++) {
                model[at + i].prot = -1;
            }
        } else if (what == 2) {
            EQUAL(mprotect(p, (size_t)n * 4096, prot), hole < n ? -1 : 0);
            CHECK(hole == n || errno == ENOMEM);
            for (int i = 0; i < hole; i++) {
                model[at + i].prot = prot;
            }
        } else if (what == 3) {
            int to = (int)pick(PAGES);
            void *r = to == at ? MAP_FAILED : mremap(p, 4096, 4096, MREMAP_MAYMOVE | MREMAP_FIXED, area + to * 4096);
            if (to != at) {
                CHECK(r == (hole > 0 ? area + to * 4096 : MAP_FAILED));
                CHECK(hole > 0 || errno == EFAULT);
            }
            if (to != at && hole > 0) {
                model[to] = model[at];
                model[at].prot = -1;
            } else if (to != at) {
                /* A move that fails may have cleared its destination. */
                CHECK(munmap(area + to * 4096, 4096) == 0);
                model[to].prot = -1;
            }
        } else {
            EQUAL(madvise(p, (size_t)n * 4096, MADV_DONTNEED), hole < n ? -1 : 0);
            for (int i = 0; i < n; i++) {
                model[at + i].tag = 0;
            }
        }
        for (int i = 0; i < n; i++) {
            check_page(at + i);
        }
        if (round % 500 == 0) {
            for (int i = 0; i < PAGES; i++) {
                check_page(i);
            }
        }
    }
    return 0;
}
