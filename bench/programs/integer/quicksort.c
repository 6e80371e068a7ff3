/*
 * quicksort.c - quicksort of 32-bit integers and of strings by pointer: branches that cannot be
 * predicted
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FULL  80 /* rounds of 100,000 numbers and 10,000 strings */
#define QUICK 7

enum { NUMBERS = 100000, STRINGS = 10000, CUT = 12 };

static int32_t num[NUMBERS];
static char text[STRINGS][12];
static const char *str[STRINGS];

static void
sort_numbers(int32_t *a, long n)
{
    while (n > CUT) {
        int32_t x = a[0], y = a[n / 2], z = a[n - 1];
        int32_t mid = x < y ? (y < z ? y : x < z ? z : x) : (x < z ? x : y < z ? z : y);
        long i = 0, j = n - 1;
        for (;;) {
            while (a[i] < mid) {
                i++;
            }
            while (mid < a[j]) {
                j--;
            }
            if (i > j) {
                break;
            }
            int32_t t = a[i];
            a[i++] = a[j];
            a[j--] = t;
            if (i > j) {
                break;
            }
        }
        if (j + 1 < n - i) { /* recurse into the smaller part */
            sort_numbers(a, j + 1);
            a += i;
            n -= i;
        } else {
            sort_numbers(a + i, n - i);
            n = j + 1;
        }
    }
    for (long i = 1; i < n; i++) {
        int32_t v = a[i];
        long j = i;
        for (; j > 0 && a[j - 1] > v; j--) {
            a[j] = a[j - 1];
        }
        a[j] = v;
    }
}

static int
string_order(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

int
main(int argc, char **argv)
{
    long rounds = argc > 1 ? atol(argv[1]) : FULL;
    uint32_t seed = 12345, sum = 0;
    for (long r = 0; r < rounds; r++) {
        for (int i = 0; i < NUMBERS; i++) {
            seed = seed * 1664525 + 1013904223;
            num[i] = (int32_t)(seed ^ seed >> 15);
        }
        for (int i = 0; i < STRINGS; i++) {
            for (int j = 0; j < 11; j++) {
                seed = seed * 1664525 + 1013904223;
                text[i][j] = (char)('a' + (seed >> 28));
            }
            str[i] = text[i];
        }
        sort_numbers(num, NUMBERS);
        qsort(str, STRINGS, sizeof *str, string_order);
        for (int i = 1; i < NUMBERS; i++) {
            if (num[i - 1] > num[i]) {
                puts("quicksort: wrong");
                return 1;
            }
        }
        for (int i = 1; i < STRINGS; i++) {
            if (strcmp(str[i - 1], str[i]) > 0) {
                puts("quicksort: wrong strings");
                return 1;
            }
        }
        sum = sum * 31 + (uint32_t)num[NUMBERS / 3] + (uint32_t)str[STRINGS / 3][4];
        seed ^= sum;
    }
    printf("quicksort %08x\n", sum);
    return 0;
}
