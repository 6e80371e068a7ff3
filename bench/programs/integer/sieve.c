/*
 * sieve.c - primes by a segmented bit sieve over odd numbers: strided read-modify-write of bytes,
 * popcounts by table
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FULL  640 /* millions */
#define QUICK 60

enum { SEGMENT = 32768, SMALL = 40000 };

static uint8_t bits[SEGMENT]; /* bit b of byte i: base + 2 * (8 * i + b) + 1 is composite */
static uint32_t primes[SMALL / 4], next_at[SMALL / 4];
static uint8_t zeros[256];

int
main(int argc, char **argv)
{
    uint64_t limit = (uint64_t)(argc > 1 ? atol(argv[1]) : FULL) * 1000000;
    static uint8_t composite[SMALL];
    size_t n = 0;
    for (unsigned i = 0; i < 256; i++) {
        for (unsigned b = 0; b < 8; b++) {
            zeros[i] += !(i >> b & 1);
        }
    }
    for (uint32_t i = 3; i < SMALL; i += 2) {
        if (!composite[i]) {
            primes[n] = i;
            next_at[n++] = (i * i - 1) / 2;
            for (uint32_t j = i * i; j < SMALL && i < 256; j += 2 * i) {
                composite[j] = 1;
            }
        }
    }
    uint64_t count = 1, last = 2;
    for (uint64_t base = 0; base < limit; base += SEGMENT * 16) {
        memset(bits, 0, sizeof bits);
        if (base == 0) {
            bits[0] = 1; /* the number 1 */
        }
        for (size_t i = 0; i < n && (uint64_t)primes[i] * primes[i] < base + SEGMENT * 16; i++) {
            uint32_t at = next_at[i], p = primes[i];
            for (; at < SEGMENT * 8; at += p) {
                bits[at >> 3] |= (uint8_t)(1 << (at & 7));
            }
            next_at[i] = at;
        }
        /* primes whose square lies beyond this segment have not begun: keep their position relative
         * to the next one */
        for (size_t i = 0; i < n; i++) {
            next_at[i] -= SEGMENT * 8;
        }
        uint64_t left = limit - base;
        size_t bytes = left >= SEGMENT * 16 ? SEGMENT : (size_t)(left / 16);
        for (size_t i = 0; i < bytes; i++) {
            count += zeros[bits[i]];
            if (bits[i] != 0xff) {
                last = base + i * 16 + (uint64_t)(31 - __builtin_clz((uint8_t)~bits[i])) * 2 + 1;
            }
        }
    }
    printf("sieve %llu %llu\n", (unsigned long long)count, (unsigned long long)last);
    return limit == 640000000 && count != 33300450 ? 1 : 0;
}
