/*
 * clock.c - clock_gettime and gettimeofday, which a program expects to cost no system call
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/time.h>
#include <time.h>

#define FULL  20000000
#define QUICK 1600000

int
main(int argc, char **argv)
{
    long rounds = argc > 1 ? atol(argv[1]) : FULL, back = 0;
    int64_t last = 0;
    for (long i = 0; i < rounds; i++) {
        struct timespec t;
        clock_gettime(CLOCK_MONOTONIC, &t);
        int64_t ns = (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
        back += ns < last;
        last = ns;
        if ((i & 3) == 0) {
            struct timeval v;
            gettimeofday(&v, NULL);
            back += v.tv_usec >= 1000000;
        }
    }
    printf("clock %ld\n", back);
    return back != 0;
}
