/*
 * sha512.c - SHA-512 (FIPS 180-4) with the eight state words in variables and rounds unrolled by
 * macro: 64-bit rotations
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FULL  4000 /* pieces of 64 KiB */
#define QUICK 320

enum { PIECE = 65536 };

static uint64_t k[80];
static const uint64_t h0[8] = {
    0x6a09e667f3bcc908, 0xbb67ae8584caa73b, 0x3c6ef372fe94f82b, 0xa54ff53a5f1d36f1,
    0x510e527fade682d1, 0x9b05688c2b3e6c1f, 0x1f83d9abfb41bd6b, 0x5be0cd19137e2179,
};

/* The first 64 bits of the fractional part of the cube root of p: one bit at a time, with 5 words
 * of 32 bits and more. */
static uint64_t
cube_root_fraction(uint64_t p)
{
    uint64_t r = 0; /* root * 2^64 without its integer part */
    uint64_t whole = 1;
    while ((whole + 1) * (whole + 1) * (whole + 1) <= p) {
        whole++;
    }
    for (int bit = 63; bit >= 0; bit--) {
        uint64_t try[3] = {0}, prod[8] = {0}, sq[6] = {0};
        uint64_t cand = r | UINT64_C(1) << bit;
        try[0] = (uint32_t)cand;
        try[1] = cand >> 32;
        try[2] = whole;
        for (int i = 0; i < 3; i++) {
            uint64_t carry = 0;
            for (int j = 0; j < 3; j++) {
                carry += sq[i + j] + try[i] * try[j];
                sq[i + j] = (uint32_t)carry;
                carry >>= 32;
            }
            sq[i + 3] += carry;
        }
        for (int i = 0; i < 5; i++) {
            uint64_t carry = 0;
            for (int j = 0; j < 3; j++) {
                carry += prod[i + j] + sq[i] * try[j];
                prod[i + j] = (uint32_t)carry;
                carry >>= 32;
            }
            prod[i + 3] += carry;
        }
        if (prod[6] < p) {
            r = cand;
        }
    }
    return r;
}

static uint64_t
rotr(uint64_t v, int n)
{
    return v >> n | v << (64 - n);
}

#define ROUND(a, b, c, d, e, f, g, h, i)                                                           \
    do {                                                                                           \
        uint64_t t1 = (h) + (rotr(e, 14) ^ rotr(e, 18) ^ rotr(e, 41)) +                            \
                      ((g) ^ ((e) & ((f) ^ (g)))) + k[i] + w[i];                                   \
        (d) += t1;                                                                                 \
        (h) =                                                                                      \
            t1 + (rotr(a, 28) ^ rotr(a, 34) ^ rotr(a, 39)) + (((a) & (b)) | ((c) & ((a) | (b))));  \
    } while (0)

static void
block(uint64_t s[8], const uint8_t *p)
{
    uint64_t w[80];
    for (int i = 0; i < 16; i++) {
        uint64_t v;
        memcpy(&v, p + 8 * i, 8);
        w[i] = __builtin_bswap64(v);
    }
    for (int i = 16; i < 80; i++) {
        uint64_t x = w[i - 15], y = w[i - 2];
        w[i] = w[i - 16] + w[i - 7] + (rotr(x, 1) ^ rotr(x, 8) ^ x >> 7) +
               (rotr(y, 19) ^ rotr(y, 61) ^ y >> 6);
    }
    uint64_t a = s[0], b = s[1], c = s[2], d = s[3], e = s[4], f = s[5], g = s[6], h = s[7];
    for (int i = 0; i < 80; i += 8) {
        ROUND(a, b, c, d, e, f, g, h, i);
        ROUND(h, a, b, c, d, e, f, g, i + 1);
        ROUND(g, h, a, b, c, d, e, f, i + 2);
        ROUND(f, g, h, a, b, c, d, e, i + 3);
        ROUND(e, f, g, h, a, b, c, d, i + 4);
        ROUND(d, e, f, g, h, a, b, c, i + 5);
        ROUND(c, d, e, f, g, h, a, b, i + 6);
        ROUND(b, c, d, e, f, g, h, a, i + 7);
    }
    s[0] += a;
    s[1] += b;
    s[2] += c;
    s[3] += d;
    s[4] += e;
    s[5] += f;
    s[6] += g;
    s[7] += h;
}

int
main(int argc, char **argv)
{
    long pieces = argc > 1 ? atol(argv[1]) : FULL;
    static uint8_t buf[PIECE];
    uint64_t s[8];
    int n = 0;
    for (unsigned p = 2; n < 80; p++) {
        int prime = 1;
        for (unsigned d = 2; d * d <= p; d++) {
            prime &= p % d != 0;
        }
        if (prime) {
            k[n++] = cube_root_fraction(p);
        }
    }
    memcpy(s, h0, sizeof s);
    memcpy(buf, "abc\x80", 4);
    buf[127] = 24;
    block(s, buf);
    if (s[0] != 0xddaf35a193617aba || s[7] != 0x2a9ac94fa54ca49f) {
        puts("sha512: wrong vector");
        return 1;
    }
    for (long i = 0; i < pieces; i++) {
        memcpy(buf + (size_t)(i % (PIECE / 64)) * 64, s, sizeof s);
        for (size_t at = 0; at < PIECE; at += 128) {
            block(s, buf + at);
        }
    }
    printf("sha512 %016llx%016llx\n", (unsigned long long)s[0], (unsigned long long)s[1]);
    return 0;
}
