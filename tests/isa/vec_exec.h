/*
 * vec_exec.h - execute a vector program (vec.h) with the engine, in this process
 *
 * No kernel and no process VM: the two segments are mapped at guest_base, and the only system calls are those of the
 * vectors. So one row can be run alone, and a row that goes wrong does not hide the others.
 */
#ifndef DOPPEL_VEC_EXEC_H
#define DOPPEL_VEC_EXEC_H

#include "vec.h"

#include "engine/engine.h"

struct vec_exec {
    const struct vec *v;
    struct engine *en;
    struct hart hart;
    uint64_t base;
};

/* Map the program at `base` (0, or where 2^38 bytes are free) and make an engine for it. Dies on failure; one at a time. */
void vec_exec_init(struct vec_exec *x, const struct vec *v, enum engine_kind kind, uint64_t base, unsigned host_cpu);
void vec_exec_fini(struct vec_exec *x);

/* Run instructions from hart.pc: engine_run(), or what stands in its place. */
typedef struct engine_exit vec_run_fn(struct engine *en, struct hart *h, int64_t budget);

/*
 * Run one row from its start to its end. Returns NULL, or what stopped it (static storage).
 * budget: instructions at most, 0 for no bound.
 */
const char *vec_exec_row(struct vec_exec *x, const struct vec_row *r, vec_run_fn *run, int64_t budget);

/* Host address of the results. */
const uint8_t *vec_exec_results(const struct vec_exec *x);

/* Put back what the row's results, and what is near them, were before it ran: a wrong store may have missed them. */
void vec_exec_reset(struct vec_exec *x, const struct vec_row *r);

/* 2^38 bytes that belong to nobody, for a base other than 0. */
uint64_t vec_exec_reserve(void);

#endif
