/*
 * mmap.c - map, touch, protect and unmap anonymous memory in small and larger pieces: page faults
 * and the map's lock
 */
#define _GNU_SOURCE
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

#define FULL  20000
#define QUICK 1700

int
main(int argc, char **argv)
{
    long rounds = argc > 1 ? atol(argv[1]) : FULL;
    uint64_t sum = 0;
    for (long i = 0; i < rounds; i++) {
        size_t pages = i % 16 == 0 ? 128 : (size_t)(i % 8) + 1, len = pages * 4096;
        char *p = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (p == MAP_FAILED) {
            return 2;
        }
        for (size_t at = 0; at < len; at += 4096) {
            p[at] = (char)(at >> 12);
        }
        if (mprotect(p, 4096, PROT_READ) || madvise(p, len, MADV_DONTNEED)) {
            return 2;
        }
        sum += (uint64_t)p[len - 1] + (uint64_t)p[0] + pages;
        if (i & 1) {
            mprotect(p, 4096, PROT_READ | PROT_WRITE); /* one mapping again */
            char *q = mremap(p, len, len + 4096, MREMAP_MAYMOVE);
            if (q == MAP_FAILED) {
                return 2;
            }
            q[len] = 1;
            sum += (uint64_t)q[len];
            p = q;
            len += 4096;
        }
        munmap(p, len);
    }
    printf("mmap %llu\n", (unsigned long long)sum);
    return 0;
}
