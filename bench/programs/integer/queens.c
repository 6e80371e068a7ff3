/*
 * queens.c - all solutions of the n queens problem by backtracking over bit sets: recursion, logic,
 * branches
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#define FULL  15
#define QUICK 13

static uint64_t nodes;

static uint64_t
place(uint32_t all, uint32_t cols, uint32_t left, uint32_t right)
{
    if (cols == all) {
        return 1;
    }
    uint64_t n = 0;
    uint32_t free_cols = all & ~(cols | left | right);
    nodes++;
    while (free_cols) {
        uint32_t bit = free_cols & -free_cols;
        free_cols ^= bit;
        n += place(all, cols | bit, (left | bit) << 1, (right | bit) >> 1);
    }
    return n;
}

int
main(int argc, char **argv)
{
    static const uint32_t known[] = {1,  1,   0,   0,    2,     10,    4,     40,
                                     92, 352, 724, 2680, 14200, 73712, 365596};
    long n = argc > 1 ? atol(argv[1]) : FULL;
    uint64_t got = place((UINT32_C(1) << n) - 1, 0, 0, 0);
    printf("queens %llu %llu\n", (unsigned long long)got, (unsigned long long)nodes);
    return n < 15 && got != known[n];
}
