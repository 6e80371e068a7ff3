/*
 * spectral.c - largest eigenvalue of an implicit matrix by the power method: integer to double
 * conversion, division
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#define FULL  4800 /* dimension */
#define QUICK 1400

enum { MAX = 5000 };

static double u[MAX], v[MAX], t[MAX];

static double
entry(long i, long j)
{
    return 1.0 / (double)((i + j) * (i + j + 1) / 2 + i + 1);
}

static void
times(long n, const double *in, double *out, int transposed)
{
    for (long i = 0; i < n; i++) {
        double sum = 0;
        for (long j = 0; j < n; j++) {
            sum += (transposed ? entry(j, i) : entry(i, j)) * in[j];
        }
        out[i] = sum;
    }
}

int
main(int argc, char **argv)
{
    long n = argc > 1 ? atol(argv[1]) : FULL;
    if (n > MAX) {
        return 2;
    }
    for (long i = 0; i < n; i++) {
        u[i] = 1;
    }
    for (int i = 0; i < 10; i++) {
        times(n, u, t, 0);
        times(n, t, v, 1);
        times(n, v, t, 0);
        times(n, t, u, 1);
    }
    double uv = 0, vv = 0;
    for (long i = 0; i < n; i++) {
        uv += u[i] * v[i];
        vv += v[i] * v[i];
    }
    double norm = sqrt(uv / vv);
    printf("spectral %.8f\n", norm);
    return fabs(norm - 1.27422) > 1e-3;
}
