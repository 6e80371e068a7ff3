/*
 * jumps.c - setjmp and longjmp as exceptions: a recursive evaluator that gives up in depth, caught
 * at several levels
 */
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#define FULL  15000000
#define QUICK 1200000

struct handler {
    jmp_buf buf;
    struct handler *outer;
};

static struct handler *top;
static uint64_t thrown, caught;

__attribute__((noreturn, noinline)) static void throw(int value)
{
    struct handler *h = top;
    top = h->outer;
    thrown++;
    longjmp(h->buf, value);
}

__attribute__((noinline, noclone)) static int
eval(uint32_t seed, int depth)
{
    seed = seed * 1664525 + 1013904223;
    if (depth == 0) {
        if (seed >> 30 == 0) {
            throw((int)(seed >> 8 & 0xff) + 1);
        }
        return (int)(seed >> 24);
    }
    if (depth & 1) {
        return eval(seed, depth - 1) + 1;
    }
    struct handler here;
    volatile int result = 0; /* survives the longjmp */
    here.outer = top;
    int v = setjmp(here.buf);
    if (v == 0) {
        top = &here;
        result = eval(seed ^ 0x55, depth - 1);
        top = here.outer;
    } else {
        caught++;
        if (v & 1 && here.outer) {
            throw(v >> 1 | 1);
        }
        result = v;
    }
    return result;
}

int
main(int argc, char **argv)
{
    long rounds = argc > 1 ? atol(argv[1]) : FULL;
    uint64_t sum = 0;
    for (long i = 0; i < rounds; i++) {
        sum = sum * 3 + (uint64_t)eval((uint32_t)i, 6);
    }
    printf("jumps %016llx %llu\n", (unsigned long long)sum, (unsigned long long)thrown);
    return thrown != caught || top != NULL;
}
