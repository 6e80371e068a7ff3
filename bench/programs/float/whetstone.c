/*
 * whetstone.c - scalar double precision with procedure calls, array elements and the functions of
 * libm
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#define FULL  180000
#define QUICK 15000

#define PROC __attribute__((noinline, noclone))

static double e1[4];

PROC static void
arrays(double *e, double t)
{
    for (int j = 0; j < 6; j++) {
        e[0] = (e[0] + e[1] + e[2] - e[3]) * t;
        e[1] = (e[0] + e[1] - e[2] + e[3]) * t;
        e[2] = (e[0] - e[1] + e[2] + e[3]) * t;
        e[3] = (-e[0] + e[1] + e[2] + e[3]) / 2.0;
    }
}

PROC static void
two_values(double x, double y, double *z, double t)
{
    double x1 = t * (x + y), y1 = t * (x1 + y);
    *z = (x1 + y1) / 2.0;
}

PROC static void
rotate(int *j, int *k, int *l)
{
    e1[*j] = e1[*k];
    e1[*k] = e1[*l];
    e1[*l] = e1[*j];
}

int
main(int argc, char **argv)
{
    long rounds = argc > 1 ? atol(argv[1]) : FULL;
    const double t = 0.499975, t2 = 2.0;
    double x = 0.75, y = 0.5, z = 0, sum = 0;
    for (long r = 0; r < rounds; r++) {
        e1[0] = 1.0;
        e1[1] = e1[2] = e1[3] = -1.0;
        for (int i = 0; i < 14; i++) {
            arrays(e1, t);
        }
        int j = 1;
        for (int i = 0; i < 34; i++) {
            j = j == 1 ? 2 : 3;
            j = j > 2 ? 0 : 1;
            j = j < 1 ? 1 : 0;
        }
        int k = 2, l = 3;
        for (int i = 0; i < 21; i++) {
            j = j * (k - j) * (l - k);
            k = l * k - (l - j) * k;
            l = (l - k) * (k + j);
            e1[l & 3] = j + k + l;
            e1[k & 3] = j * k * l;
            j = 1;
            k = 2;
            l = 3;
        }
        x = y = 0.5 + (double)(r & 7) * 0.01;
        for (int i = 0; i < 12; i++) {
            x = t * atan(t2 * sin(x) * cos(x) / (cos(x + y) + cos(x - y) - 1.0));
            y = t * atan(t2 * sin(y) * cos(y) / (cos(x + y) + cos(x - y) - 1.0));
        }
        sum += x + y;
        for (int i = 0; i < 89; i++) {
            two_values(x, y, &z, t);
        }
        for (int i = 0; i < 61; i++) {
            rotate(&j, &k, &l);
        }
        x = 0.75;
        for (int i = 0; i < 9; i++) {
            x = sqrt(exp(log(x) / 0.50025));
        }
        sum += x + z + pow(1.0 + x, 1.5) + e1[3];
    }
    printf("whetstone %.6f\n", sum / (double)rounds);
    return !(sum > 0);
}
