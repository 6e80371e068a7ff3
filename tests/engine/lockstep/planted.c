/* planted.c - a function for each bug of tests/engine/planted.c: its address, then what a machine makes of it */
#include <stdio.h>
#include <string.h>

static char memory[4096] __attribute__((aligned(16)));

#define INSIDE(name, code)                                                                                           \
    static __attribute__((noinline)) long name(long a, char *m)                                                      \
    {                                                                                                                \
        long r;                                                                                                      \
        __asm__ volatile(code "\n.global at_" #name "\nat_" #name ":\nnop" : "=&r"(r) : "r"(a), "r"(m) : "memory"); \
        return r;                                                                                                    \
    }

INSIDE(xor, "xori %0, %1, 0x5a5")
INSIDE(compare, "sltiu %0, %1, 0x5a6")
INSIDE(store, "li %0, 0; sd %1, -0x7b8(%2)")
INSIDE(load, "lw %0, -0x7b0(%2)")

int
main(int argc, char **argv)
{
    const char *const what = argc > 1 ? argv[1] : "";
    long (*const f)(long, char *) = strcmp(what, "xor") == 0 ? xor : strcmp(what, "compare") == 0 ? compare : strcmp(what, "store") == 0 ? store : load;
    unsigned long sum = 0, stored;
    memset(memory + 0x50, 0xff, 8);
    for (long k = -500; k < 500; k++) {
        const long r = f(k * 0x123456789, memory + 0x800);
        memcpy(&stored, memory + 0x48, 8);
        sum = sum * 31 + (unsigned long)r + stored;
    }
    printf("%lx\n", sum);
    return 0;
}
