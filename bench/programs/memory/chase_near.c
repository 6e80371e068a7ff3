/*
 * chase_near.c - follows a ring of 512 records in a drawn order, all in the first-level cache: load
 * latency
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#define FULL  350 /* millions of steps */
#define QUICK 28

enum { RECORDS = 512 };

struct record {
    struct record *next;
    uint64_t value;
    uint64_t unused[2];
};

static struct record ring[RECORDS];

int
main(int argc, char **argv)
{
    long steps = (argc > 1 ? atol(argv[1]) : FULL) * 1000000;
    int order[RECORDS];
    uint32_t seed = 5;
    for (int i = 0; i < RECORDS; i++) {
        order[i] = i;
    }
    for (int i = RECORDS - 1; i > 0; i--) {
        seed = seed * 1664525 + 1013904223;
        int j = (int)((seed >> 8) % (uint32_t)(i + 1)), t = order[i];
        order[i] = order[j];
        order[j] = t;
    }
    for (int i = 0; i < RECORDS; i++) {
        ring[order[i]].next = &ring[order[(i + 1) % RECORDS]];
        ring[order[i]].value = seed >> (i & 15);
    }
    uint64_t sum = 0;
    const struct record *r = ring;
    for (long i = 0; i < steps; i++) {
        sum = sum ^ r->value;
        sum += (uint64_t)(sum & 1);
        r = r->next;
    }
    printf("chase_near %016llx %d\n", (unsigned long long)sum, (int)(r - ring));
    return 0;
}
