/*
 * dot.c - dot products and prefix sums of integers in cache: tight loops of loads, multiplies and
 * adds
 *
 * The native compiler turns these loops into vector code; the riscv64 one without V cannot. That is
 * part of the measure; the column with vectorization off shows the rest.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#define FULL  200000
#define QUICK 16000

enum { N = 4096 };

static int32_t a[N], b[N];
static int16_t c[N];
static int64_t d[N];

int
main(int argc, char **argv)
{
    long rounds = argc > 1 ? atol(argv[1]) : FULL;
    uint32_t seed = 99;
    uint64_t sum = 0;
    for (int i = 0; i < N; i++) {
        seed = seed * 1664525 + 1013904223;
        a[i] = (int32_t)seed >> 12;
        b[i] = (int32_t)(seed << 8) >> 12;
        c[i] = (int16_t)(seed >> 7);
    }
    for (long r = 0; r < rounds; r++) {
        int64_t wide = 0;
        int32_t narrow = 0;
        for (int i = 0; i < N; i++) {
            wide += (int64_t)a[i] * b[i];
            narrow += c[i] * c[N - 1 - i];
        }
        if ((r & 15) == 0) {
            int64_t run = 0;
            for (int i = 0; i < N; i++) {
                run += a[i] ^ c[i];
                d[i] = run;
            }
            sum += (uint64_t)d[r & (N - 1)];
        }
        sum = sum * 7 + (uint64_t)wide + (uint32_t)narrow;
        a[r & (N - 1)] ^= (int32_t)(sum & 0xff);
    }
    printf("dot %016llx\n", (unsigned long long)sum);
    return 0;
}
