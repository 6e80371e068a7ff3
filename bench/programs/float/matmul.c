/*
 * matmul.c - product of dense matrices, once in double and once in float, the second by blocks
 *
 * Elements are small integers, so that every order of summation and every fusing gives the same
 * bits.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FULL  60 /* pairs of products of 256 x 256 */
#define QUICK 5

enum { N = 256, B = 32 };

static double a[N][N], b[N][N], c[N][N];
static float fa[N][N], fb[N][N], fc[N][N];

static void
mul_double(void)
{
    for (int i = 0; i < N; i++) {
        for (int j = 0; j < N; j++) {
            double s = 0;
            for (int k = 0; k < N; k++) {
                s += a[i][k] * b[k][j];
            }
            c[i][j] = s;
        }
    }
}

static void
mul_float(void)
{
    memset(fc, 0, sizeof fc);
    for (int kk = 0; kk < N; kk += B) {
        for (int jj = 0; jj < N; jj += B) {
            for (int i = 0; i < N; i++) {
                for (int k = kk; k < kk + B; k++) {
                    float f = fa[i][k];
                    for (int j = jj; j < jj + B; j++) {
                        fc[i][j] += f * fb[k][j];
                    }
                }
            }
        }
    }
}

int
main(int argc, char **argv)
{
    long rounds = argc > 1 ? atol(argv[1]) : FULL;
    uint32_t seed = 4711;
    double sum = 0;
    for (long r = 0; r < rounds; r++) {
        for (int i = 0; i < N; i++) {
            for (int j = 0; j < N; j++) {
                seed = seed * 1664525 + 1013904223;
                a[i][j] = (double)(seed >> 28);
                b[i][j] = (double)(int32_t)(seed << 8) / 268435456.0 + 8;
                b[i][j] = (double)(int)b[i][j];
                fa[i][j] = (float)a[i][j];
                fb[i][j] = (float)b[i][j];
            }
        }
        mul_double();
        mul_float();
        for (int i = 0; i < N; i++) {
            for (int j = 0; j < N; j++) {
                if (c[i][j] != (double)fc[i][j]) {
                    puts("matmul: wrong");
                    return 1;
                }
                sum += c[i][j] * (double)(i % 5);
            }
        }
    }
    printf("matmul %.0f\n", sum);
    return 0;
}
