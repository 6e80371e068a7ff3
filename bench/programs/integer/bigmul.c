/*
 * bigmul.c - integers of 64 x 64-bit words: schoolbook and Montgomery multiplication, in 128-bit
 * products (mul, mulhu)
 *
 * Fermat's theorem checks the arithmetic: 3^(p-1) mod p = 1 for p = 2^127 - 1, computed in the same
 * routines.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FULL  280 /* modular exponentiations with a 128-bit exponent */
#define QUICK 24

enum { WORDS = 64 };

typedef __uint128_t u128;

/* r = a * b / 2^(64 n) mod m, all below m; inv = -1/m mod 2^64 */
static void
mont_mul(uint64_t *r, const uint64_t *a, const uint64_t *b, const uint64_t *m, uint64_t inv, int n)
{
    uint64_t t[WORDS + 2] = {0};
    for (int i = 0; i < n; i++) {
        u128 c = 0;
        for (int j = 0; j < n; j++) {
            c += (u128)a[j] * b[i] + t[j];
            t[j] = (uint64_t)c;
            c >>= 64;
        }
        c += t[n];
        t[n] = (uint64_t)c;
        t[n + 1] = (uint64_t)(c >> 64);
        uint64_t q = t[0] * inv;
        c = (u128)q * m[0] + t[0];
        c >>= 64;
        for (int j = 1; j < n; j++) {
            c += (u128)q * m[j] + t[j];
            t[j - 1] = (uint64_t)c;
            c >>= 64;
        }
        c += t[n];
        t[n - 1] = (uint64_t)c;
        t[n] = t[n + 1] + (uint64_t)(c >> 64);
    }
    uint64_t borrow = 0, d[WORDS];
    for (int j = 0; j < n; j++) {
        u128 s = (u128)t[j] - m[j] - borrow;
        d[j] = (uint64_t)s;
        borrow = (uint64_t)(s >> 64) & 1;
    }
    memcpy(r, t[n] >= borrow ? d : t, (size_t)n * 8);
}

/* x = 2^(64 k n) mod m by doubling 1; k = 1 gives the Montgomery form of 1 */
static void
power_of_base(uint64_t *x, const uint64_t *m, int n)
{
    memset(x, 0, (size_t)n * 8);
    x[0] = 1;
    for (int i = 0; i < 64 * n; i++) {
        uint64_t top = x[n - 1] >> 63, borrow = 0, d[WORDS];
        for (int j = n - 1; j > 0; j--) {
            x[j] = x[j] << 1 | x[j - 1] >> 63;
        }
        x[0] <<= 1;
        for (int j = 0; j < n; j++) {
            u128 s = (u128)x[j] - m[j] - borrow;
            d[j] = (uint64_t)s;
            borrow = (uint64_t)(s >> 64) & 1;
        }
        if (top >= borrow) {
            memcpy(x, d, (size_t)n * 8);
        }
    }
}

/* r = base^exp in Montgomery form; exp has 128 bits */
static void
mont_pow(uint64_t *r, const uint64_t *base, u128 exp, const uint64_t *m, int n)
{
    uint64_t inv = 1, acc[WORDS];
    for (int i = 0; i < 6; i++) {
        inv *= 2 - m[0] * inv;
    }
    inv = -inv;
    power_of_base(acc, m, n);
    for (int i = 127; i >= 0; i--) {
        mont_mul(acc, acc, acc, m, inv, n);
        if (exp >> i & 1) {
            mont_mul(acc, acc, base, m, inv, n);
        }
    }
    memcpy(r, acc, (size_t)n * 8);
}

int
main(int argc, char **argv)
{
    long rounds = argc > 1 ? atol(argv[1]) : FULL;
    uint64_t p[2] = {UINT64_MAX, INT64_MAX}, one[2], three[2];
    power_of_base(one, p, 2);
    u128 v = ((u128)one[1] << 64 | one[0]) * 3 % (((u128)p[1] << 64) | p[0]);
    three[0] = (uint64_t)v;
    three[1] = (uint64_t)(v >> 64);
    mont_pow(three, three, ((u128)p[1] << 64 | p[0]) - 1, p, 2);
    if (three[0] != one[0] || three[1] != one[1]) {
        puts("bigmul: wrong");
        return 1;
    }
    uint64_t m[WORDS], x[WORDS], seed = 88172645463325252;
    for (int i = 0; i < WORDS; i++) {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        m[i] = seed | (i == 0 ? 1 : 0) | (i == WORDS - 1 ? UINT64_C(1) << 63 : 0);
        x[i] = seed * 3 >> 2;
    }
    for (long i = 0; i < rounds; i++) {
        mont_pow(x, x, (u128)(seed ^ x[1]) << 64 | x[0], m, WORDS);
    }
    printf("bigmul %016llx%016llx\n", (unsigned long long)x[WORDS - 1], (unsigned long long)x[0]);
    return 0;
}
