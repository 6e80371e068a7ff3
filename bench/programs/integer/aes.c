/*
 * aes.c - AES-128 in counter mode with four 1 KiB tables: byte extracts and table look-ups
 *
 * Tables are computed at the start (FIPS 197); the published test vector is checked before the
 * work.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#define FULL  10000000
#define QUICK 800000

static uint8_t sbox[256];
static uint32_t te[4][256];
static uint32_t key[44];

static uint32_t
rotr(uint32_t v, int n)
{
    return v >> n | v << (32 - n);
}

static uint8_t
xtime(uint8_t v)
{
    return (uint8_t)(v << 1 ^ (v & 0x80 ? 0x1b : 0));
}

static void
tables_make(void)
{
    uint8_t p = 1, q = 1;
    do { /* p runs through the field by powers of 3, q through the inverses */
        p ^= xtime(p);
        q ^= (uint8_t)(q << 1);
        q ^= (uint8_t)(q << 2);
        q ^= (uint8_t)(q << 4);
        if (q & 0x80) {
            q ^= 0x09;
        }
        uint8_t x = q;
        for (int i = 1; i < 5; i++) {
            x ^= (uint8_t)(q << i | q >> (8 - i));
        }
        sbox[p] = x ^ 0x63;
    } while (p != 1);
    sbox[0] = 0x63;
    for (int i = 0; i < 256; i++) {
        uint32_t s = sbox[i], s2 = xtime((uint8_t)s);
        uint32_t w = s2 << 24 | s << 16 | s << 8 | (s2 ^ s);
        for (int t = 0; t < 4; t++) {
            te[t][i] = rotr(w, 8 * t);
        }
    }
}

static uint32_t
sub_word(uint32_t w)
{
    return (uint32_t)sbox[w >> 24] << 24 | (uint32_t)sbox[w >> 16 & 255] << 16 |
           (uint32_t)sbox[w >> 8 & 255] << 8 | sbox[w & 255];
}

static void
key_expand(const uint32_t k[4])
{
    uint32_t rcon = 1;
    for (int i = 0; i < 44; i++) {
        if (i < 4) {
            key[i] = k[i];
        } else {
            uint32_t t = key[i - 1];
            if (i % 4 == 0) {
                t = sub_word(rotr(t, 24)) ^ rcon << 24;
                rcon = xtime((uint8_t)rcon);
            }
            key[i] = key[i - 4] ^ t;
        }
    }
}

static void
encrypt(const uint32_t in[4], uint32_t out[4])
{
    uint32_t s[4], t[4];
    for (int i = 0; i < 4; i++) {
        s[i] = in[i] ^ key[i];
    }
    for (int r = 1; r < 10; r++) {
        for (int i = 0; i < 4; i++) {
            t[i] = te[0][s[i] >> 24] ^ te[1][s[(i + 1) & 3] >> 16 & 255] ^
                   te[2][s[(i + 2) & 3] >> 8 & 255] ^ te[3][s[(i + 3) & 3] & 255] ^ key[4 * r + i];
        }
        for (int i = 0; i < 4; i++) {
            s[i] = t[i];
        }
    }
    for (int i = 0; i < 4; i++) {
        out[i] =
            (((uint32_t)sbox[s[i] >> 24] << 24 | (uint32_t)sbox[s[(i + 1) & 3] >> 16 & 255] << 16 |
              (uint32_t)sbox[s[(i + 2) & 3] >> 8 & 255] << 8 | sbox[s[(i + 3) & 3] & 255])) ^
            key[40 + i];
    }
}

int
main(int argc, char **argv)
{
    long blocks = argc > 1 ? atol(argv[1]) : FULL;
    static const uint32_t k[4] = {0x00010203, 0x04050607, 0x08090a0b, 0x0c0d0e0f};
    static const uint32_t plain[4] = {0x00112233, 0x44556677, 0x8899aabb, 0xccddeeff};
    uint32_t c[4], sum[4] = {0};
    tables_make();
    key_expand(k);
    encrypt(plain, c);
    if (c[0] != 0x69c4e0d8 || c[1] != 0x6a7b0430 || c[2] != 0xd8cdb780 || c[3] != 0x70b4c55a) {
        puts("aes: wrong vector");
        return 1;
    }
    for (long i = 0; i < blocks; i++) {
        uint32_t ctr[4] = {k[0], sum[3], (uint32_t)(i >> 31), (uint32_t)i};
        encrypt(ctr, c);
        for (int j = 0; j < 4; j++) {
            sum[j] ^= c[j];
        }
    }
    printf("aes %08x%08x%08x%08x\n", sum[0], sum[1], sum[2], sum[3]);
    return 0;
}
