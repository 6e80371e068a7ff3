/*
 * bench.h - what the measurements of doppel bench share
 */
#ifndef DOPPEL_BENCH_H
#define DOPPEL_BENCH_H

#include <stdint.h>

/* A loop of guest code (cmd_bench.c), at CODE: data from a4 up to a1 with a0 in their middle, a stack; it ends with an ecall. */
enum { BENCH_CODE = 0x10000000, BENCH_DATA = 0x10001000, BENCH_CODE_HALVES = 35 };
extern const uint16_t bench_code[BENCH_CODE_HALVES];

/* Below the red zone, where the compiler may keep something. */
#define TRAP_FLAG(op, mask)                                                                            \
    __asm__ volatile("lea -128(%%rsp), %%rsp; pushfq; " op " $" mask ", (%%rsp); popfq; lea 128(%%rsp), %%rsp" \
                     ::: "memory", "cc")

/* bench_crossover.c: an exit status. */
int bench_crossover(void);

#endif
