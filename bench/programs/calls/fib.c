/*
 * fib.c - Fibonacci numbers and Ackermann's function by plain recursion: calls, returns, stack
 * frames
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#define FULL  40
#define QUICK 35

/* Not turned into a loop over half of the calls, as gcc can. */
__attribute__((noinline, noclone, optimize("no-optimize-sibling-calls"))) static uint64_t
fib(uint64_t n)
{
    return n < 2 ? n : fib(n - 1) + fib(n - 2);
}

__attribute__((noinline, noclone)) static uint64_t
ack(uint64_t m, uint64_t n)
{
    if (m == 0) {
        return n + 1;
    }
    return n == 0 ? ack(m - 1, 1) : ack(m - 1, ack(m, n - 1));
}

int
main(int argc, char **argv)
{
    long n = argc > 1 ? atol(argv[1]) : FULL;
    uint64_t f = fib((uint64_t)n), a = 0, b = 1;
    for (long i = 0; i < n; i++) {
        uint64_t t = a + b;
        a = b;
        b = t;
    }
    uint64_t k = ack(2, (uint64_t)n * 10);
    printf("fib %llu %llu\n", (unsigned long long)f, (unsigned long long)k);
    return f != a || k != 2 * (uint64_t)n * 10 + 3;
}
