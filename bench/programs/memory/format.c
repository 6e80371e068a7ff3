/*
 * format.c - numbers to text and back: snprintf, strtod, strtol, sscanf; every double must survive
 * the round trip
 */
#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FULL  420000
#define QUICK 34000

int
main(int argc, char **argv)
{
    long rounds = argc > 1 ? atol(argv[1]) : FULL;
    uint64_t seed = 88172645463325252, sum = 0;
    char buf[200];
    for (long i = 0; i < rounds; i++) {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        double d = (double)(int64_t)seed / (double)(1 + (seed >> (seed & 63)));
        int n = snprintf(buf, sizeof buf, "%.17g %d %08x %s %5.2f|%-12s|", d, (int)seed,
                         (unsigned)(seed >> 32), seed & 1 ? "odd" : "even",
                         (double)(seed % 100000) / 100, "left");
        char *end, name[16];
        if (strtod(buf, &end) != d || strtol(end, &end, 10) != (int)seed) {
            puts("format: wrong");
            return 1;
        }
        unsigned hex;
        double f;
        if (sscanf(end, "%x %15s %lf|", &hex, name, &f) != 3 || hex != (unsigned)(seed >> 32)) {
            puts("format: wrong scan");
            return 1;
        }
        for (int j = 0; j < n; j += 3) {
            sum = sum * 31 + (uint8_t)buf[j];
        }
        sum += (uint64_t)(f * 100) + (uint64_t)name[0];
    }
    printf("format %016" PRIx64 "\n", sum);
    return 0;
}
