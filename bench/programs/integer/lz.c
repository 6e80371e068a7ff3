/*
 * lz.c - compress by back references found in hash chains, expand, compare: byte loads,
 * unpredictable branches
 *
 * Stream: a control byte; below 128: that many + 1 literals follow; else (byte & 127) + 4 bytes
 * copied from a 16-bit distance.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FULL  24 /* megabytes */
#define QUICK 2

enum { MB = 1 << 20, WINDOW = 1 << 16, HASH = 1 << 14, MINLEN = 4, MAXLEN = 131, DEPTH = 12 };

static uint8_t in[MB], packed[MB + MB / 64 + 16], out[MB];
static int32_t head[HASH], prev[WINDOW];

/* Text of words drawn by a skewed choice: compresses about as English does. */
static void
text_make(uint32_t seed)
{
    char words[512][12];
    for (int i = 0; i < 512; i++) {
        seed = seed * 1664525 + 1013904223;
        int len = 2 + (int)(seed >> 29);
        for (int j = 0; j < len; j++) {
            seed = seed * 1664525 + 1013904223;
            words[i][j] = (char)('a' + (seed >> 24) % 26);
        }
        words[i][len] = 0;
    }
    for (size_t at = 0; at < MB;) {
        seed = seed * 1664525 + 1013904223;
        uint32_t r = seed >> 16;
        const char *w = words[(r & 511) & (r >> 7 | 31)];
        while (*w && at < MB) {
            in[at++] = (uint8_t)*w++;
        }
        if (at < MB) {
            in[at++] = (r & 15) == 0 ? '\n' : ' ';
        }
    }
}

static uint32_t
hash4(const uint8_t *p)
{
    uint32_t v;
    memcpy(&v, p, 4);
    return v * 2654435761U >> 18;
}

static size_t
literals_put(uint8_t *dst, const uint8_t *from, size_t n)
{
    size_t used = 0;
    while (n) {
        size_t k = n < 128 ? n : 128;
        dst[used++] = (uint8_t)(k - 1);
        memcpy(dst + used, from, k);
        used += k;
        from += k;
        n -= k;
    }
    return used;
}

static size_t
lz_pack(const uint8_t *src, size_t n, uint8_t *dst)
{
    size_t at = 0, lit = 0, used = 0;
    memset(head, 0xff, sizeof head);
    while (at + MINLEN <= n) {
        uint32_t h = hash4(src + at);
        size_t best = 0, from = 0, max = n - at < MAXLEN ? n - at : MAXLEN;
        int depth = DEPTH;
        for (int32_t c = head[h]; c >= 0 && at - (size_t)c < WINDOW && depth-- > 0;
             c = prev[c & (WINDOW - 1)]) {
            size_t len = 0;
            while (len < max && src[(size_t)c + len] == src[at + len]) {
                len++;
            }
            if (len > best) {
                best = len;
                from = (size_t)c;
            }
        }
        size_t step = 1;
        if (best >= MINLEN) {
            used += literals_put(dst + used, src + lit, at - lit);
            size_t dist = at - from;
            dst[used++] = (uint8_t)(128 + best - MINLEN);
            dst[used++] = (uint8_t)dist;
            dst[used++] = (uint8_t)(dist >> 8);
            step = best;
            lit = at + best;
        }
        for (; step && at + MINLEN <= n; step--, at++) {
            h = hash4(src + at);
            prev[at & (WINDOW - 1)] = head[h];
            head[h] = (int32_t)at;
        }
        at += step;
    }
    return used + literals_put(dst + used, src + lit, n - lit);
}

static size_t
lz_unpack(const uint8_t *src, size_t n, uint8_t *dst)
{
    size_t used = 0;
    for (size_t at = 0; at < n;) {
        size_t c = src[at++];
        if (c < 128) {
            memcpy(dst + used, src + at, c + 1);
            used += c + 1;
            at += c + 1;
        } else {
            size_t dist = (size_t)src[at] | (size_t)src[at + 1] << 8;
            at += 2;
            for (size_t i = 0; i < c - 128 + MINLEN; i++, used++) {
                dst[used] = dst[used - dist];
            }
        }
    }
    return used;
}

int
main(int argc, char **argv)
{
    long mbs = argc > 1 ? atol(argv[1]) : FULL;
    size_t total = 0;
    for (long i = 0; i < mbs; i++) {
        text_make((uint32_t)i + 7);
        size_t len = lz_pack(in, MB, packed);
        if (lz_unpack(packed, len, out) != MB || memcmp(in, out, MB) != 0) {
            puts("lz: wrong");
            return 1;
        }
        total = total * 3 + len;
    }
    printf("lz %zu\n", total);
    return 0;
}
