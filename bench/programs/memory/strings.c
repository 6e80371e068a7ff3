/*
 * strings.c - libc's string and memory functions over lengths as programs use them: many short, a
 * few long
 *
 * The native libc uses AVX2 here; no riscv64 program without vectors can come near it.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FULL  6500
#define QUICK 520

enum { STRINGS = 2000, LONG = 1 << 16 };

static char text[STRINGS][160], copy[STRINGS][160];
static char big[LONG + 64], other[LONG + 64];

int
main(int argc, char **argv)
{
    long rounds = argc > 1 ? atol(argv[1]) : FULL;
    uint32_t seed = 2024;
    uint64_t sum = 0;
    for (int i = 0; i < STRINGS; i++) {
        seed = seed * 1664525 + 1013904223;
        int len = (int)(seed >> 30 ? seed >> 27 : seed >> 25); /* mostly below 32 */
        for (int j = 0; j < len; j++) {
            seed = seed * 1664525 + 1013904223;
            text[i][j] = (char)('a' + (seed >> 24) % 24);
        }
        text[i][len] = 0;
    }
    for (int i = 0; i < LONG; i++) {
        big[i] = (char)('a' + i % 23);
    }
    for (long r = 0; r < rounds; r++) {
        for (int i = 0; i < STRINGS; i++) {
            char *s = text[i], *d = copy[i];
            size_t len = strlen(s);
            strcpy(d, s);
            sum += len + (size_t)(strcmp(d, s) != 0);
            const char *at = strchr(s, 'a' + (int)(r % 26));
            sum = sum * 3 + (at ? (uint64_t)(at - s) : len);
            at = strstr(s, "ab");
            sum += at ? (uint64_t)(at - s) : 7;
            sum += (uint64_t)(memcmp(s, text[(i + 1) % STRINGS], 8) < 0);
            const void *m = memchr(s, 'z' - (int)(r & 7), len);
            sum += m ? (uint64_t)((const char *)m - s) : 5;
            sum += strspn(s, "abcdefghij") + (strrchr(s, 'e') != NULL);
        }
        size_t off = (size_t)(r & 31), n = LONG - 32;
        big[LONG - 33 + off] = (char)r;
        memcpy(other + off, big, n);
        memmove(big + 1, big, n);
        big[0] = (char)('a' + r % 23);
        memset(other, (int)(r & 127) | 1, off + 16);
        other[LONG - 40] = 0;
        sum = sum * 5 + strlen(other) + (uint64_t)(memcmp(other, big, n) > 0);
    }
    printf("strings %016llx\n", (unsigned long long)sum);
    return 0;
}
