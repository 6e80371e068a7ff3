/* select.c - branches that jump over one or two instructions, as often as not: all comparisons, what is skipped reading what it writes */
/* riscv only */
#include "../abi.h"

#include <stdbool.h>
#include <stdint.h>

/* Two registers, of which the skipped instructions write some. */
struct pair {
    int64_t x, y;
};

#define CASE(name, branch, skipped, holds, effect)                                                                     \
    static __attribute__((noinline)) struct pair asm_##name(int64_t a, int64_t b, int64_t x, int64_t y)                \
    {                                                                                                                  \
        __asm__ volatile(branch " %2, %3, 1f\n" skipped "\n1:" : "+r"(x), "+r"(y) : "r"(a), "r"(b));                   \
        return (struct pair){x, y};                                                                                    \
    }                                                                                                                  \
    static __attribute__((noinline)) struct pair c_##name(int64_t a, int64_t b, int64_t x, int64_t y)                  \
    {                                                                                                                  \
        if (!(holds)) {                                                                                                \
            effect;                                                                                                    \
        }                                                                                                              \
        return (struct pair){x, y};                                                                                    \
    }

#define LOW(e) ((int64_t)(int32_t)(uint32_t)(e))
#define CASES                                                                                                          \
    X(max, "blt", "mv %0, %2", a < b, x = a)                                                                           \
    X(min, "bge", "mv %0, %2", a >= b, x = a)                                                                          \
    X(equal, "beq", "li %0, 7", a == b, x = 7)                                                                         \
    X(differ, "bne", "addi %0, %0, 1", a != b, x = x + 1)                                                              \
    X(below, "bltu", "xor %0, %0, %1", (uint64_t)a < (uint64_t)b, x = x ^ y)                                           \
    X(above, "bgeu", "addw %0, %0, %1", (uint64_t)a >= (uint64_t)b, x = LOW(x + y))                                    \
    X(chain, "blt", "slli %0, %0, 3\n add %0, %0, %1", a < b, x = (int64_t)(((uint64_t)x << 3) + (uint64_t)y))         \
    X(both, "beq", "mv %0, %1\n sltu %1, %0, %2", a == b, (x = y, y = (uint64_t)x < (uint64_t)a))                      \
    X(swap, "bgeu", "sub %0, %0, %1\n add %1, %0, %1", (uint64_t)a >= (uint64_t)b, (x = x - y, y = x + y))             \
    X(words, "blt", "sraiw %0, %0, 5\n subw %1, %1, %0", a < b, (x = LOW(x) >> 5, y = LOW(y - x)))                     \
    X(upper, "bne", "lui %0, 0x80000\n ori %1, %0, 5", a != b, (x = -0x80000000L, y = x | 5))

#define X(name, branch, skipped, holds, effect) CASE(name, branch, skipped, holds, effect)
CASES
#undef X

static int64_t
any(uint64_t *seed)
{
    *seed = *seed * 6364136223846793005u + 1442695040888963407u;
    const uint64_t v = *seed >> 20;
    return v & 1 ? (int64_t)(v >> 1 & 3) - 2 : v & 2 ? (int64_t)(*seed >> 60 << 60) + (int64_t)(v & 12) : (int32_t)v;
}

int
main(void)
{
    uint64_t seed = 1;
    for (unsigned k = 0; k < 20000; k++) {
        const int64_t a = any(&seed), b = k % 3 == 0 ? a : any(&seed), x = any(&seed) >> 4, y = any(&seed) >> 4;
#define X(name, branch, skipped, holds, effect)                            \
    {                                                                      \
        const struct pair got = asm_##name(a, b, x, y), want = c_##name(a, b, x, y); \
        EQUAL(got.x, want.x);                                              \
        EQUAL(got.y, want.y);                                              \
    }
        CASES
#undef X
    }
    return 0;
}
