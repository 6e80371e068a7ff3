/*
 * gotovm.c - an interpreter for a register machine with computed gotos: 32-bit words of op, a, b,
 * c, threaded dispatch
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FULL  190 /* sieves of 8192 and sums over them */
#define QUICK 16

enum { CELLS = 8192 };
enum op { LI, MOV, ADD, SUB, ADDI, LDC, STC, BLT, BEQZ, JMP, HALT };

static uint8_t cell[CELLS];
static uint32_t code[64];
static int len;

static int
emit(enum op op, uint32_t a, uint32_t b, uint32_t c)
{
    code[len] = (uint32_t)op | a << 8 | b << 16 | c << 24;
    return len++;
}

static uint64_t
run(uint64_t *reg)
{
    static const void *const label[] = {&&li,  &&mov, &&add,  &&sub, &&addi, &&ldc,
                                        &&stc, &&blt, &&beqz, &&jmp, &&halt};
    const uint32_t *pc = code;
    uint64_t executed = 0;
    uint32_t w;
#define NEXT                                                                                       \
    do {                                                                                           \
        w = *pc++;                                                                                 \
        executed++;                                                                                \
        goto *label[w & 255];                                                                      \
    } while (0)
#define A reg[w >> 8 & 255]
#define B reg[w >> 16 & 255]
#define C reg[w >> 24]
    NEXT;
li:
    A = w >> 16;
    NEXT;
mov:
    A = B;
    NEXT;
add:
    A = B + C;
    NEXT;
sub:
    A = B - C;
    NEXT;
addi:
    A = B + (uint64_t)(int64_t)(int8_t)(w >> 24);
    NEXT;
ldc:
    A = cell[B & (CELLS - 1)];
    NEXT;
stc:
    cell[B & (CELLS - 1)] = (uint8_t)A;
    NEXT;
blt:
    if (A < B) {
        pc = code + (w >> 24);
    }
    NEXT;
beqz:
    if (A == 0) {
        pc = code + (w >> 24);
    }
    NEXT;
jmp:
    pc = code + (w >> 24);
    NEXT;
halt:
    return executed;
}

int
main(int argc, char **argv)
{
    long rounds = argc > 1 ? atol(argv[1]) : FULL;
    enum { I, J, ONE, LIMIT, SUM, COUNT, T, ROOT };
    emit(LI, ONE, 1, 0);
    emit(LI, I, 2, 0);
    int outer = emit(LDC, T, I, 0);
    int prime = emit(BEQZ, T, 0, 0);
    int skip = emit(JMP, 0, 0, 0);
    code[prime] |= (uint32_t)len << 24;
    emit(ADDI, COUNT, COUNT, 1);
    emit(ADD, SUM, SUM, I);
    emit(ADD, J, I, I);
    int test = emit(JMP, 0, 0, 0);
    int inner = emit(STC, ONE, J, 0);
    emit(ADD, J, J, I);
    code[test] |= (uint32_t)len << 24;
    emit(BLT, J, LIMIT, (uint32_t)inner);
    code[skip] |= (uint32_t)len << 24;
    emit(ADDI, I, I, 1);
    emit(BLT, I, LIMIT, (uint32_t)outer);
    emit(HALT, 0, 0, 0);

    uint64_t sum = 0, executed = 0;
    for (long r = 0; r < rounds * 20; r++) {
        uint64_t reg[256] = {0};
        memset(cell, 0, sizeof cell);
        reg[LIMIT] = CELLS;
        executed += run(reg);
        if (reg[COUNT] != 1028) { /* primes below 8192 */
            puts("gotovm: wrong");
            return 1;
        }
        sum += reg[SUM];
    }
    printf("gotovm %llu %llu\n", (unsigned long long)sum, (unsigned long long)executed);
    return 0;
}
