/*
 * chase_far.c - follows one cycle through 32 MiB of indices in a drawn order: cache and TLB misses
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#define FULL  20 /* hundred thousands of steps */
#define QUICK 2

enum { CELLS = 1 << 19, PER_CELL = 16 };

int
main(int argc, char **argv)
{
    long steps = (argc > 1 ? atol(argv[1]) : FULL) * 100000;
    uint32_t(*cell)[PER_CELL] = malloc(sizeof(uint32_t[CELLS][PER_CELL])); /* a cache line each */
    if (!cell) {
        return 2;
    }
    /* i -> i * a + c mod 2^k is one cycle through all cells if c is odd and a = 1 mod 4 (Hull and
     * Dobell) */
    for (uint32_t i = 0; i < CELLS; i++) {
        cell[i][0] = (i * 1664525 + 1013904223) & (CELLS - 1);
        cell[i][1] = i >> 3;
    }
    uint64_t sum = 0;
    uint32_t at = 1;
    for (long i = 0; i < steps; i++) {
        sum = sum * 3 + cell[at][1];
        at = cell[at][0];
    }
    uint32_t met = at, length = 0;
    do {
        at = cell[at][0];
        length++;
    } while (at != met);
    printf("chase_far %016llx %u\n", (unsigned long long)sum, length);
    free(cell);
    return length != CELLS;
}
