/*
 * mutate.c - the vectors catch a flipped operator in every meaning
 *
 * mutants.inc (mutate.py) has every meaning with one word flipped, one line a mutant. Here each is a function, and so is each true
 * meaning. A row's vectors are run with the true meanings, which is the reference (vectors.test holds it against QEMU), and then once
 * for each mutant, which replaces the true meaning only where the vectors test that row, not in the code around it. A mutant lives if
 * results are the same and nothing stopped the program.
 *
 * usage: isa-mutate CASES LOOPS SEED [ROW]
 */
#include "engine/interp_ops.h"

#include "engine/fp_ops.h"
#include "vec_exec.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The words of a plain interpreter (interp_switch.c). */
#define PC        V(pc)
#define LEN       i->len
#define AT_RISK() ((void)0)
#define BRANCH(c)                                 \
    if (U(c)) {                                   \
        *next = pc + (uint64_t)(int64_t)i->imm;   \
    }
#define JUMP(t)    (*next = U(t))
#define JUMP_REL() (*next = pc + (uint64_t)(int64_t)i->imm)

/* Words that only mutants say. */
#define SAME(a)            (a)
#define XOR_NOT(a, b)      XOR(a, NOT(b))
#define SELECT_OTHER(c, a, b) SELECT(c, b, a)
#define W_FLIP(r, v)       W(r, V(U(v) ^ 1))
#define WF_FLIP(r, v)      WF(r, V(U(v) ^ 1))
#define F_LOW32(r)         V((uint32_t)U(F(r)))
#define F_LOW16(r)         V((uint16_t)U(F(r)))
#define K_FLIP(c)          V((int64_t)(c) ^ 1)
#define IMM_FLIP           V((int64_t)i->imm ^ 1)
#define R_RD_FLIP()        V(U(R_RD()) ^ 1)
#define BRANCH_NOT(c)      BRANCH(V(!U(c)))
#define JUMP_NOT(t)        ((void)U(t))
#define JUMP_REL_NOT()     ((void)0)
#define SC_FLIP(bits, addr, v) V(!U(SC(bits, addr, v)))
#define CAS_FLIP(bits, addr, e, v) CAS(bits, addr, v, e)
#define LR_LOST(bits, addr)                  \
    ({                                       \
        const val lost_ = LR(bits, addr);    \
        V(U(lost_) ^ 1);                     \
    })
#define FP_SAME_H(a)  (a)
#define FP_SAME_S(a)  (a)
#define FP_SAME_D(a)  (a)
#define FLI_FLIP_H(k) FLI_H(V(U(k) ^ 1))
#define FLI_FLIP_S(k) FLI_S(V(U(k) ^ 1))
#define FLI_FLIP_D(k) FLI_D(V(U(k) ^ 1))
#define FMADD_TWICE(x, a, b, c)              \
    ({                                       \
        const val product_ = FMUL_##x(a, b); \
        FADD_##x(product_, c);               \
    })
#define FMADD_TWICE_H(a, b, c) FMADD_TWICE(H, a, b, c)
#define FMADD_TWICE_S(a, b, c) FMADD_TWICE(S, a, b, c)
#define FMADD_TWICE_D(a, b, c) FMADD_TWICE(D, a, b, c)

typedef void meaning(struct hart *h, const struct insn *i, uint64_t pc, uint64_t *next);

#define DEFINE(fn, ...)                                                                    \
    static void fn(struct hart *h, const struct insn *i, uint64_t pc, uint64_t *next)      \
    {                                                                                      \
        (void)h, (void)i, (void)pc, (void)next;                                            \
        __VA_ARGS__;                                                                       \
    }
#define PASTE_(a, b) a##b
#define PASTE(a, b)  PASTE_(a, b)

#define SEM(name, ...) DEFINE(true_##name, __VA_ARGS__)
#include "isa/sem.inc"
#undef SEM
static meaning *const truth[OP_COUNT] = {
#define INSN(name, match, mask, fmt, ext, cls) [OP_##name] = true_##name,
#define INSN16(name, match, mask, fmt, ext, base)
#include "isa/insn.def"
#undef INSN
#undef INSN16
};

#define MUTANT(name, what, ...) DEFINE(PASTE(mutant_, __LINE__), __VA_ARGS__)
#include "mutants.inc"
#undef MUTANT
static const struct mutant {
    uint16_t op;
    const char *what;
    meaning *fn;
} mutants[] = {
#define MUTANT(name, what, ...) {OP_##name, what, PASTE(mutant_, __LINE__)},
#include "mutants.inc"
#undef MUTANT
};
#define MUTANTS (sizeof mutants / sizeof mutants[0])

/* What mutated_run() does instead of the truth, and where. */
static struct {
    const struct mutant *mutant;
    const struct vec *v;
    const struct vec_row *row;
    int64_t executed;
} now;

static bool
is_tested_here(uint64_t pc)
{
    for (size_t k = 0; k < now.row->cases; k++) {
        if (now.v->cases[now.row->first + k].pc == pc) {
            return true;
        }
    }
    return false;
}

static void
interpret(struct hart *h, int64_t budget)
{
    for (;;) {
        if (budget-- <= 0) {
            interp_leave(h, EXIT_BUDGET, 0);
        }
        struct insn in;
        const uint64_t pc = h->pc;
        interp_fetch(h, pc, &in);
        uint64_t next = pc + in.len;
        meaning *fn = truth[in.op];
        if (fn == NULL) {
            interp_leave(h, EXIT_ILLEGAL, 0);
        }
        if (now.mutant != NULL && now.mutant->op == in.op && is_tested_here(pc)) {
            fn = now.mutant->fn;
        }
        now.executed++;
        fn(h, &in, pc, &next);
        h->pc = next;
    }
}

/* engine_run() with our own interpreter. */
static __attribute__((noinline)) struct engine_exit
mutated_run(struct engine *en, struct hart *h, int64_t budget)
{
    static struct landing land;
    h->engine = en;
    h->landing = &land;
    h->ip = NULL;
    fp_enter(h);
    land.hart = h;
    if (__builtin_setjmp(land.jb) == 0) {
        h->in_guest = GUEST_RUNNING;
        interpret(h, budget);
    }
    land.hart->in_guest = GUEST_NOT;
    fp_leave(land.hart);
    if (land.ex.kind == EXIT_FENCE_I) {
        land.hart->pc += land.ex.addr;
    }
    return land.ex;
}

static const char *
run_row(struct vec_exec *x, const struct vec_row *r, int64_t budget)
{
    vec_exec_reset(x, r);
    x->hart.resv_size = 0;
    now.row = r;
    now.executed = 0;
    return vec_exec_row(x, r, mutated_run, budget);
}

/* Every mutant of the row's meaning; returns how many live. */
static unsigned
check_row(struct vec_exec *x, const struct vec *v, const struct vec_row *r, unsigned *total)
{
    const size_t size = r->results_end - r->results;
    const uint8_t *results = vec_exec_results(x) + (r->results - v->results);
    unsigned alive = 0;

    now.mutant = NULL;
    const char *why = run_row(x, r, 0);
    if (why != NULL) {
        printf("not ok %s: the truth %s\n", r->row->name, why);
        return 1;
    }
    const int64_t budget = now.executed * 2 + 1000;
    uint8_t *want = malloc(size);
    if (want == NULL) {
        abort();
    }
    memcpy(want, results, size);
    for (size_t m = 0; m < MUTANTS; m++) {
        if (mutants[m].op != r->row->op) {
            continue;
        }
        now.mutant = &mutants[m];
        ++*total;
        if (run_row(x, r, budget) == NULL && memcmp(want, results, size) == 0) {
            printf("%s: nobody saw %s\n", r->row->name, mutants[m].what);
            alive++;
        }
    }
    free(want);
    return alive;
}

int
main(int argc, char **argv)
{
    const struct insn_row **rows = calloc(isa_row_count, sizeof *rows);
    size_t n = 0;
    unsigned total = 0, alive = 0;
    if (argc < 4 || rows == NULL) {
        fputs("usage: isa-mutate CASES LOOPS SEED [ROW]\n", stderr);
        return 2;
    }
    /* 16-bit rows share the meanings of others, and are free to miss what those catch: c.addi has no x0. */
    for (size_t k = 0; k < isa_row_count; k++) {
        if (isa_rows[k].len == 4 && vec_skipped(&isa_rows[k]) == NULL &&
            (argc < 5 || strcmp(argv[4], isa_rows[k].name) == 0)) {
            rows[n++] = &isa_rows[k];
        }
    }
    struct vec *v = vec_make(strtoull(argv[3], NULL, 0), rows, n, (unsigned)atoi(argv[1]), (unsigned)atoi(argv[2]));
    struct vec_exec x;
    vec_exec_init(&x, v, ENGINE_SWITCH, vec_exec_reserve(), 0);
    now.v = v;
    for (size_t r = 0; r < v->row_count; r++) {
        const unsigned before = total;
        const unsigned lived = check_row(&x, v, &v->rows[r], &total);
        if (total == before) {
            printf("ok %s # SKIP no word to flip: it does nothing that can be seen\n", rows[r]->name);
        } else {
            printf("%s %s: %u mutants\n", lived ? "not ok" : "ok", rows[r]->name, total - before);
        }
        alive += lived;
    }
    printf("note: %u mutants of %zu meanings, %u not caught\n", total, n, alive);
    vec_exec_fini(&x);
    vec_free(v);
    free(rows);
    return alive != 0;
}
