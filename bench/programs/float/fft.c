/*
 * fft.c - complex FFT of 16,384 points, radix 2 in place, forward and back: strided loads and
 * stores of doubles
 */
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#define FULL  800
#define QUICK 60

enum { LOG = 14, N = 1 << LOG };

struct cx {
    double re, im;
};

static struct cx data[N], root[N / 2];

static void
fft(struct cx *x, int inverse)
{
    for (unsigned i = 1, j = 0; i < N; i++) {
        unsigned bit = N >> 1;
        for (; j & bit; bit >>= 1) {
            j ^= bit;
        }
        j ^= bit;
        if (i < j) {
            struct cx t = x[i];
            x[i] = x[j];
            x[j] = t;
        }
    }
    for (int half = 1; half < N; half *= 2) {
        int step = N / 2 / half;
        for (int base = 0; base < N; base += 2 * half) {
            for (int k = 0; k < half; k++) {
                struct cx w = root[k * step], *a = &x[base + k], *b = &x[base + k + half];
                if (inverse) {
                    w.im = -w.im;
                }
                double re = b->re * w.re - b->im * w.im;
                double im = b->re * w.im + b->im * w.re;
                b->re = a->re - re;
                b->im = a->im - im;
                a->re += re;
                a->im += im;
            }
        }
    }
}

int
main(int argc, char **argv)
{
    long rounds = argc > 1 ? atol(argv[1]) : FULL;
    for (int i = 0; i < N / 2; i++) {
        root[i].re = cos(2 * M_PI * i / N);
        root[i].im = -sin(2 * M_PI * i / N);
    }
    double worst = 0, peak = 0;
    for (long r = 0; r < rounds; r++) {
        int tone = (int)(r * 37 % 1000) + 1;
        for (int i = 0; i < N; i++) {
            data[i].re = cos(2 * M_PI * ((double)i * tone / N));
            data[i].im = (double)(i % 7) * 1e-3;
        }
        fft(data, 0);
        peak = hypot(data[tone].re, data[tone].im);
        fft(data, 1);
        for (int i = 0; i < N; i += 17) {
            double e = fabs(data[i].im / N - (double)(i % 7) * 1e-3);
            worst = e > worst ? e : worst;
        }
    }
    printf("fft peak %.0f %s\n", peak / 10, worst < 1e-12 ? "ok" : "wrong");
    return worst >= 1e-12;
}
