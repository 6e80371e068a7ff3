/*
 * count.c - branches that turn out to be always taken on the way by which they are reached; what stands behind them is laid out, too
 *
 * What is printed is a sum; that each engine counts the same instructions on the way, in step with another, is what this is for.
 */
#include "machine.h"

static u64 values[64];

/* Some rounds by 2, 3 and 6 alone, then so many by the whole; each has its own code, and so its own profile. */
#define WALK(NAME)                                                                                             \
    static u64 NAME(u64 alone, u64 times, u64 one)                                                                     \
    {                                                                                                          \
        u64 sum = 0, left = times, at = (u64)values, end = (u64)(values + 64);                                 \
        __asm__ volatile("    li   a0, 0\n"                                                                    \
                         "    bnez %[alone], 9f\n"                                                             \
                         "1:  ld   a0, 0(%[at])\n"                                                             \
                         "    beqz a0, 4f\n"                                                                   \
                         "    seqz a0, a0\n"                                                                   \
                         "    beqz %[one], 3f\n"                                                               \
                         "2:  ld   a1, 0(%[at])\n"                                                             \
                         "    add  %[sum], %[sum], a1\n"                                                       \
                         "    li   a2, -1\n"                                                                   \
                         "    beq  a0, a2, 5f\n"                                                               \
                         "3:  addi %[sum], %[sum], 1\n"                                                        \
                         "    slli a1, %[sum], 7\n"                                                            \
                         "    xor  %[sum], %[sum], a1\n"                                                       \
                         "    srli a1, %[sum], 9\n"                                                            \
                         "    xor  %[sum], %[sum], a1\n"                                                       \
                         "    j    6f\n"                                                                       \
                         "4:  li   a0, -1\n"                                                                   \
                         "    bnez %[one], 2b\n"                                                               \
                         "    j    6f\n"                                                                       \
                         "5:  addi %[sum], %[sum], 3\n"                                                        \
                         "6:  addi %[at], %[at], 8\n"                                                          \
                         "    bne  %[at], %[end], 7f\n"                                                        \
                         "    addi %[at], %[at], -512\n"                                                       \
                         "7:  beqz %[alone], 8f\n"                                                             \
                         "    addi %[alone], %[alone], -1\n"                                                   \
                         "    bnez %[alone], 9f\n"                                                             \
                         "8:  addi %[left], %[left], -1\n"                                                     \
                         "    bnez %[left], 1b\n"                                                              \
                         "    j    10f\n"                                                                      \
                         "9:  la   a1, 2b\n"                                                                   \
                         "    jr   a1\n"                                                                       \
                         "10:\n"                                                                               \
                         : [sum] "+r"(sum), [left] "+r"(left), [at] "+r"(at), [alone] "+r"(alone)              \
                         : [end] "r"(end), [one] "r"(one)                                                      \
                         : "a0", "a1", "a2", "memory");                                                        \
        return sum;                                                                                            \
    }
WALK(walk0)
WALK(walk1)
WALK(walk2)
WALK(walk3)
WALK(walk4)
WALK(walk5)
WALK(walk6)
WALK(walk7)

int
main(void)
{
    static u64 (*const walks[])(u64, u64, u64) = {walk0, walk1, walk2, walk3, walk4, walk5, walk6, walk7};
    u64 seed = 1;
    for (u64 w = 0; w < 8; w++) {
        say_hex("first", walks[w](0, 5 + w / 2, 0) + walks[w](3 + w % 4, 1, 0));
        for (u64 often = 16; often > 0; often--) {
            for (int k = 0; k < 64; k++) {
                seed = seed * 6364136223846793005UL + 1442695040888963407UL;
                values[k] = seed >> 60 < often ? 0 : seed >> 40;
            }
            say_hex("sum", walks[w](0, 40 + 10 * w, 1));
        }
    }
    return 0;
}
