/*
 * vec.h - random instruction vectors: a guest program that executes rows of insn.def and writes down what they did
 *
 * The program is made of raw words, so it needs no assembler that knows an extension. For each row a few *cases* (one
 * instruction word each, with random registers and immediates) are executed in a loop over many random operands:
 *
 *      per row    clear every register
 *      per case   li p, operands; li q, results; li n, count
 *           loop: ld operand registers, (p); [fscsr]; [lr]; the instruction; sd result, (q); [frcsr; sd]; p += …; q += …
 *                 every fourth case: all x, all f and fcsr are stored too
 *      at last    write(1, results); exit(0)
 *
 * Rows depend on nothing that an earlier row left behind, so one can be run alone (mutate.c). Results go where random bytes are in the
 * image; loads, stores and atomics work on those bytes. The same seed makes the same program.
 */
#ifndef DOPPEL_VEC_H
#define DOPPEL_VEC_H

#include "isa/isa.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define VEC_TEXT UINT64_C(0x01000000) /* guest addresses of the program's two segments */
#define VEC_DATA UINT64_C(0x10000000)
#define VEC_END  UINT64_C(0x40000000) /* operands end before: lui and addiw make every address */

/* System calls that do not exist: one is called by the vectors of ecall, one ends a row (vec_exec.h). */
#define VEC_NO_CALL 2000
#define VEC_ROW_END 2001

#define VEC_LOADS 7 /* registers that may be loaded before an instruction, fcsr included */

enum vec_reg { VEC_X, VEC_F, VEC_FCSR };

struct vec_case {
    const struct insn_row *row;
    uint32_t word;
    struct insn in;
    uint64_t pc;             /* of the instruction itself */
    unsigned loads;          /* how many operands, each 8 bytes */
    struct {
        uint8_t kind, reg;
    } load[VEC_LOADS];
    uint64_t operands;       /* guest address: count records of `loads` words */
    uint64_t results;        /* guest address: count records of result_size bytes, then the dump */
    unsigned count, result_size;
    bool dumped;
};

struct vec_row {
    const struct insn_row *row;
    uint64_t start, end;         /* guest code */
    uint64_t results, results_end;
    size_t first, cases;         /* in vec.cases */
};

struct vec {
    uint8_t *text, *data;
    size_t text_size, data_size, text_cap, data_cap;
    uint64_t results; /* guest address of the first result; they end where data ends */
    struct vec_row *rows;
    struct vec_case *cases;
    size_t row_count, case_count;
};

/* Why a row has no vectors; NULL if it has. */
const char *vec_skipped(const struct insn_row *row);

/* Executions of each row named in `rows` (row_count of them): cases * loops. Dies on failure. */
struct vec *vec_make(uint64_t seed, const struct insn_row *const *rows, size_t row_count, unsigned cases, unsigned loops);
void vec_free(struct vec *v);

/* As an ELF file. Returns false with errno. */
bool vec_write(const struct vec *v, const char *path);

/*
 * Where results differ first within the row: a line for people, operands and both values. got and want are as the program
 * writes them. Returns false if they do not differ.
 */
bool vec_differ(const struct vec *v, const struct vec_row *r, const uint8_t *got, const uint8_t *want, char *line, size_t size);

#endif
