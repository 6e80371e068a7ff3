/*
 * sha256.c - SHA-256 (FIPS 180-4) over a buffer that each digest changes: 32-bit rotations, which
 * RV64GC has to build
 *
 * The round constants are computed from the primes in integer arithmetic.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FULL  2500 /* pieces of 64 KiB */
#define QUICK 200

enum { PIECE = 65536 };

static uint32_t k[64], h0[8];

/* The first 32 bits of the fractional part of p^(1/root), root 2 or 3: bisection on integers. */
static uint32_t
root_fraction(uint64_t p, int root)
{
    uint64_t lo = 0, hi = UINT64_C(1) << 38;
    while (hi - lo > 1) { /* the largest r with r^root <= p * 2^(32 * root) */
        uint64_t mid = lo + (hi - lo) / 2;
        __uint128_t sq = (__uint128_t)mid * mid;
        int below;
        if (root == 2) {
            below = sq <= (__uint128_t)p << 64;
        } else { /* compare mid^3 with p * 2^96, both shifted down by 32 with the rest kept */
            __uint128_t high = (sq >> 32) * mid, low = (__uint128_t)(uint32_t)sq * mid;
            high += low >> 32;
            below =
                high < (__uint128_t)p << 64 || (high == (__uint128_t)p << 64 && (uint32_t)low == 0);
        }
        if (below) {
            lo = mid;
        } else {
            hi = mid;
        }
    }
    return (uint32_t)lo;
}

static void
constants_make(void)
{
    int n = 0;
    for (unsigned p = 2; n < 64; p++) {
        int prime = 1;
        for (unsigned d = 2; d * d <= p; d++) {
            prime &= p % d != 0;
        }
        if (prime) {
            if (n < 8) {
                h0[n] = root_fraction(p, 2);
            }
            k[n++] = root_fraction(p, 3);
        }
    }
}

static uint32_t
rotr(uint32_t v, int n)
{
    return v >> n | v << (32 - n);
}

static void
block(uint32_t h[8], const uint8_t *p)
{
    uint32_t w[64];
    for (int i = 0; i < 16; i++) {
        w[i] = (uint32_t)p[4 * i] << 24 | (uint32_t)p[4 * i + 1] << 16 |
               (uint32_t)p[4 * i + 2] << 8 | p[4 * i + 3];
    }
    for (int i = 16; i < 64; i++) {
        uint32_t x = w[i - 15], y = w[i - 2];
        w[i] = w[i - 16] + w[i - 7] + (rotr(x, 7) ^ rotr(x, 18) ^ x >> 3) +
               (rotr(y, 17) ^ rotr(y, 19) ^ y >> 10);
    }
    uint32_t a = h[0], b = h[1], c = h[2], d = h[3], e = h[4], f = h[5], g = h[6], hh = h[7];
    for (int i = 0; i < 64; i++) {
        uint32_t t1 =
            hh + (rotr(e, 6) ^ rotr(e, 11) ^ rotr(e, 25)) + ((e & f) ^ (~e & g)) + k[i] + w[i];
        uint32_t t2 = (rotr(a, 2) ^ rotr(a, 13) ^ rotr(a, 22)) + ((a & b) ^ (a & c) ^ (b & c));
        hh = g;
        g = f;
        f = e;
        e = d + t1;
        d = c;
        c = b;
        b = a;
        a = t1 + t2;
    }
    h[0] += a;
    h[1] += b;
    h[2] += c;
    h[3] += d;
    h[4] += e;
    h[5] += f;
    h[6] += g;
    h[7] += hh;
}

static void
digest(uint32_t h[8], const uint8_t *p, size_t len)
{
    uint8_t tail[128] = {0};
    size_t rest = len % 64, tlen = rest < 56 ? 64 : 128;
    memcpy(h, h0, sizeof h0);
    for (size_t i = 0; i + 64 <= len; i += 64) {
        block(h, p + i);
    }
    memcpy(tail, p + len - rest, rest);
    tail[rest] = 0x80;
    for (int i = 0; i < 8; i++) {
        tail[tlen - 1 - (size_t)i] = (uint8_t)(len * 8 >> (8 * i));
    }
    for (size_t i = 0; i < tlen; i += 64) {
        block(h, tail + i);
    }
}

int
main(int argc, char **argv)
{
    long pieces = argc > 1 ? atol(argv[1]) : FULL;
    static uint8_t buf[PIECE];
    uint32_t h[8];
    constants_make();
    digest(h, (const uint8_t *)"abc", 3);
    if (h[0] != 0xba7816bf || h[7] != 0xf20015ad) {
        puts("sha256: wrong vector");
        return 1;
    }
    for (long i = 0; i < pieces; i++) {
        memcpy(buf + (size_t)(i % (PIECE / 32)) * 32, h, sizeof h);
        digest(h, buf, sizeof buf);
    }
    printf("sha256 %08x%08x%08x%08x\n", h[0], h[1], h[2], h[3]);
    return 0;
}
