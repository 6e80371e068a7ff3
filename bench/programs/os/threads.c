/*
 * threads.c - threads created and joined, four at a time, each with a little thread-local work
 */
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#define FULL  14000
#define QUICK 1100

enum { AT_ONCE = 4 };

static __thread uint64_t own;

static void *
body(void *arg)
{
    uint64_t *slot = arg;
    for (int i = 0; i < 100; i++) {
        own += *slot + (uint64_t)i;
    }
    *slot = own;
    return slot;
}

int
main(int argc, char **argv)
{
    long rounds = argc > 1 ? atol(argv[1]) : FULL;
    uint64_t sum = 0, expect = 0;
    for (long r = 0; r < rounds; r++) {
        pthread_t t[AT_ONCE];
        uint64_t slot[AT_ONCE];
        for (int i = 0; i < AT_ONCE; i++) {
            slot[i] = (uint64_t)(r + i);
            expect += slot[i] * 100 + 4950;
            if (pthread_create(&t[i], NULL, body, &slot[i])) {
                return 2;
            }
        }
        for (int i = 0; i < AT_ONCE; i++) {
            void *ret;
            pthread_join(t[i], &ret);
            sum += *(uint64_t *)ret;
        }
    }
    printf("threads %llu\n", (unsigned long long)sum);
    return sum != expect;
}
