/*
 * stream.c - copy, scale, add and triad over arrays larger than the second-level cache: bandwidth
 * in straight loops
 */
#include <stdio.h>
#include <stdlib.h>

#define FULL  140
#define QUICK 8

enum { N = 1 << 20 };

static double a[N], b[N], c[N];

int
main(int argc, char **argv)
{
    long rounds = argc > 1 ? atol(argv[1]) : FULL;
    for (int i = 0; i < N; i++) {
        a[i] = (double)(i & 15);
        b[i] = 2;
        c[i] = 0;
    }
    for (long r = 0; r < rounds; r++) {
        double s = (double)(1 + (r & 1)) *
                   0.5; /* values stay small and exact: every fusing gives the same bits */
        for (int i = 0; i < N; i++) {
            c[i] = a[i];
        }
        for (int i = 0; i < N; i++) {
            b[i] = s * c[i];
        }
        for (int i = 0; i < N; i++) {
            c[i] = a[i] + b[i];
        }
        for (int i = 0; i < N; i++) {
            a[i] = b[i] + s * c[i];
        }
        for (int i = 0; i < N; i += 64) {
            a[i + (int)(r & 63)] = (double)((i + r) & 15);
        }
        if ((r & 7) == 7) { /* growth is bounded by starting again */
            for (int i = 0; i < N; i++) {
                a[i] = (double)((i ^ r) & 15);
            }
        }
    }
    double sum = 0;
    for (int i = 0; i < N; i++) {
        sum += a[i] + b[i] + c[i];
    }
    printf("stream %.4f\n", sum);
    return !(sum > 0);
}
