/*
 * switchvm.c - an interpreter for a stack machine, one switch in a loop, running a small program of
 * nested loops
 *
 * Its program counts, for each n up to the limit, the steps of Collatz' sequence. gotovm.c
 * interprets another machine with computed gotos.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#define FULL  5200
#define QUICK 420

enum op { PUSH, LOAD, STORE, ADD, MUL, AND, SHR, LESS, EQ, DUP, DROP, JUMP, JZ, CALL, RET, HALT };

static int32_t code[256], stack[256], rstack[64];
static int64_t var[8];
static int len;
static uint64_t executed;

static int
emit(int op, int32_t arg)
{
    code[len++] = op;
    code[len++] = arg;
    return len - 1;
}

static void
run(int pc)
{
    int sp = 0, rp = 0;
    uint64_t n = 0;
    for (;;) {
        int32_t op = code[pc], arg = code[pc + 1];
        pc += 2;
        n++;
        switch ((enum op)op) {
        case PUSH:
            stack[sp++] = arg;
            break;
        case LOAD:
            stack[sp++] = (int32_t)var[arg];
            break;
        case STORE:
            var[arg] = stack[--sp];
            break;
        case ADD:
            sp--;
            stack[sp - 1] = (int32_t)((uint32_t)stack[sp - 1] + (uint32_t)stack[sp]);
            break;
        case MUL:
            sp--;
            stack[sp - 1] = (int32_t)((uint32_t)stack[sp - 1] * (uint32_t)stack[sp]);
            break;
        case AND:
            sp--;
            stack[sp - 1] &= stack[sp];
            break;
        case SHR:
            sp--;
            stack[sp - 1] >>= stack[sp];
            break;
        case LESS:
            sp--;
            stack[sp - 1] = stack[sp - 1] < stack[sp];
            break;
        case EQ:
            sp--;
            stack[sp - 1] = stack[sp - 1] == stack[sp];
            break;
        case DUP:
            stack[sp] = stack[sp - 1];
            sp++;
            break;
        case DROP:
            sp--;
            break;
        case JUMP:
            pc = arg;
            break;
        case JZ:
            pc = stack[--sp] ? pc : arg;
            break;
        case CALL:
            rstack[rp++] = pc;
            pc = arg;
            break;
        case RET:
            pc = rstack[--rp];
            break;
        case HALT:
            executed += n;
            return;
        }
    }
}

int
main(int argc, char **argv)
{
    long rounds = argc > 1 ? atol(argv[1]) : FULL;
    enum { N, STEPS, LIMIT, X };

    /* next: replace the top of the stack by its successor in the sequence */
    int next = len;
    emit(DUP, 0);
    emit(PUSH, 1);
    emit(AND, 0);
    int even = emit(JZ, 0);
    emit(PUSH, 3);
    emit(MUL, 0);
    emit(PUSH, 1);
    emit(ADD, 0);
    emit(RET, 0);
    code[even] = len;
    emit(PUSH, 1);
    emit(SHR, 0);
    emit(RET, 0);

    int start = len;
    emit(PUSH, 1);
    emit(STORE, N);
    int outer = len;
    emit(LOAD, N);
    emit(LOAD, LIMIT);
    emit(LESS, 0);
    int done = emit(JZ, 0);
    emit(LOAD, N);
    int inner = len;
    emit(DUP, 0);
    emit(PUSH, 1);
    emit(EQ, 0);
    int body = emit(JZ, 0);
    int leave = emit(JUMP, 0);
    code[body] = len;
    emit(CALL, next);
    emit(LOAD, STEPS);
    emit(PUSH, 1);
    emit(ADD, 0);
    emit(STORE, STEPS);
    emit(JUMP, inner);
    code[leave] = len;
    emit(DROP, 0);
    emit(LOAD, N);
    emit(PUSH, 1);
    emit(ADD, 0);
    emit(STORE, N);
    emit(JUMP, outer);
    code[done] = len;
    emit(HALT, 0);

    uint64_t sum = 0;
    for (long r = 0; r < rounds; r++) {
        var[STEPS] = 0;
        var[LIMIT] = 80 + (r & 31);
        run(start);
        uint64_t expect = 0;
        for (int32_t i = 1; i < var[LIMIT]; i++) {
            for (int32_t x = i; x != 1; x = x & 1 ? 3 * x + 1 : x / 2) {
                expect++;
            }
        }
        if ((uint64_t)var[STEPS] != expect) {
            puts("switchvm: wrong");
            return 1;
        }
        sum += expect;
    }
    printf("switchvm %llu %llu\n", (unsigned long long)sum, (unsigned long long)executed);
    return 0;
}
