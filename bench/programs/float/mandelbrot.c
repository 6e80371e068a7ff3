/*
 * mandelbrot.c - escape times over a grid in double precision: one dependent chain, compare and
 * branch each step
 *
 * Fused multiply-adds move a few points on the rim, so the output is rounded: the share of the area
 * to three digits.
 */
#include <stdio.h>
#include <stdlib.h>

#define FULL  2000 /* points a side */
#define QUICK 600

int
main(int argc, char **argv)
{
    long side = argc > 1 ? atol(argv[1]) : FULL, inside = 0;
    double mass = 0;
    for (long row = 0; row < side; row++) {
        for (long col = 0; col < side; col++) {
            double cx = -2.0 + 2.5 * ((double)col + 0.5) / (double)side;
            double cy = -1.25 + 2.5 * ((double)row + 0.5) / (double)side;
            double x = 0, y = 0, xx = 0, yy = 0;
            int n = 0;
            while (xx + yy <= 4.0 && n < 200) {
                y = 2 * x * y + cy;
                x = xx - yy + cx;
                xx = x * x;
                yy = y * y;
                n++;
            }
            inside += n == 200;
            mass += n;
        }
    }
    double area = 6.25 * (double)inside / (double)(side * side);
    printf("mandelbrot area %.1f mean %.0f\n", area, mass / (double)(side * side));
    return area < 1.45 || area > 1.65;
}
