/*
 * linpack.c - LU decomposition with partial pivoting, and solving, in double precision: daxpy over
 * columns
 */
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#define FULL  180 /* systems of 300 unknowns */
#define QUICK 15

enum { N = 300 };

static double a[N][N], x[N], rhs[N]; /* a[column][row] */
static int pivot[N];

static void
daxpy(long n, double f, const double *restrict from, double *restrict to)
{
    for (long i = 0; i < n; i++) {
        to[i] += f * from[i];
    }
}

static void
factor(void)
{
    for (int k = 0; k < N - 1; k++) {
        int p = k;
        for (int i = k + 1; i < N; i++) {
            if (fabs(a[k][i]) > fabs(a[k][p])) {
                p = i;
            }
        }
        pivot[k] = p;
        double t = a[k][p];
        a[k][p] = a[k][k];
        a[k][k] = t;
        for (int i = k + 1; i < N; i++) {
            a[k][i] /= -t;
        }
        for (int j = k + 1; j < N; j++) {
            t = a[j][p];
            a[j][p] = a[j][k];
            a[j][k] = t;
            daxpy(N - k - 1, t, &a[k][k + 1], &a[j][k + 1]);
        }
    }
}

static void
solve(double *b)
{
    for (int k = 0; k < N - 1; k++) {
        double t = b[pivot[k]];
        b[pivot[k]] = b[k];
        b[k] = t;
        daxpy(N - k - 1, t, &a[k][k + 1], b + k + 1);
    }
    for (int k = N - 1; k >= 0; k--) {
        b[k] /= a[k][k];
        daxpy(k, -b[k], a[k], b);
    }
}

int
main(int argc, char **argv)
{
    long rounds = argc > 1 ? atol(argv[1]) : FULL;
    uint32_t seed = 1325;
    double worst = 0;
    for (long r = 0; r < rounds; r++) {
        for (int i = 0; i < N; i++) {
            x[i] = 0;
        }
        for (int j = 0; j < N; j++) {
            for (int i = 0; i < N; i++) {
                seed = seed * 1664525 + 1013904223;
                a[j][i] = (double)(int32_t)seed / 2147483648.0;
                x[i] += a[j][i]; /* the solution is all ones */
            }
        }
        for (int i = 0; i < N; i++) {
            rhs[i] = x[i];
        }
        factor();
        solve(rhs);
        for (int i = 0; i < N; i++) {
            double e = fabs(rhs[i] - 1);
            worst = e > worst ? e : worst;
        }
    }
    printf("linpack %s\n", worst < 1e-8 ? "ok" : "wrong");
    return worst >= 1e-8;
}
