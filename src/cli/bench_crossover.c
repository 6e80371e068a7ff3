/*
 * bench_crossover.c - doppel bench crossover: from how many executions on a translation pays
 *
 * A loop of guest code (cmd_bench.c) runs N times, in each of: the threaded interpreter, tier 1 from the first execution, tier 2 from the
 * first, adaptive as it is by default. What is counted is host instructions, all of them: the code's and the translator's, each by a trap
 * (cmd_bench.c says why). They are exact, the same in every run, and say nothing of caches and of the host kernel.
 *
 * One run for each curve: at each N the loop ends, and goes on. Past MEASURED the curve is continued with its last slope. What the monitor
 * does once in a process (tables of handlers, what is inline) has been done before, in a run that is not counted.
 */
#include "cli/bench.h"
#include "cli/cli.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include "base/check.h"
#include "engine/engine.h"
#include "isa/hart.h"
#include "isa/isa.h"

static const uint32_t steps[] = {1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 3000, 5000, 10000, 20000, 50000, 100000};
#define STEPS      ARRAY_LEN(steps)
#define MEASURED   3000 /* the executions that are run: adaptive has done all by then */
#define MODES      4
#define NEVER      1000000001u
#define DATA_BYTES (64 << 10)
#define STACK_BYTES (64 << 10) /* of signals: the monitor's stack is not always there */

static const struct mode {
    const char *name;
    struct engine_config cfg;
} modes[MODES] = {
    {"threaded", {.kind = ENGINE_THREADED}},
    {"tier 1", {.kind = ENGINE_ADAPTIVE, .tuning = {.hot1 = 1, .hot2 = NEVER}}}, /* each is + 1 */
    {"tier 2", {.kind = ENGINE_ADAPTIVE, .tuning = {.hot1 = 1, .hot2 = 1}}},
    {"adaptive", {.kind = ENGINE_ADAPTIVE}},
};

/* What on_trap() counts into: a signal handler has no argument of ours. */
static uint64_t counted;

static void
on_trap(int sig)
{
    (void)sig;
    counted++;
}

/* The curve: host instructions in total after each number of executions. h is left as the guest left it. 0, or an exit status. */
static int
curve(const struct mode *m, bool counting, double total[STEPS], struct hart *h)
{
    struct err e;
    struct engine *en = engine_new(&m->cfg, &e);
    if (en == NULL) {
        return cli_error(CMD_bench, "%s", e.text);
    }
    ext_set exts = 0;
    isa_ext_parse("rv64gc", &exts);
    hart_init(h, exts);
    for (unsigned k = 0; k < DATA_BYTES; k++) {
        ((volatile uint8_t *)(uintptr_t)BENCH_DATA)[k] = (uint8_t)(k * 7 | 1);
    }
    h->x[2] = BENCH_DATA + DATA_BYTES - 2048;
    h->x[10] = BENCH_DATA + 1024;
    h->x[14] = BENCH_DATA;
    bool good = engine_code_map(en, BENCH_CODE, BENCH_DATA, false) == 0;
    counted = 0;
    for (unsigned k = 0; k < STEPS && good; k++) {
        if (steps[k] > MEASURED) {
            const double slope = (total[k - 1] - total[k - 2]) / (steps[k - 1] - steps[k - 2]);
            total[k] = total[k - 1] + slope * (steps[k] - steps[k - 1]);
            continue;
        }
        h->pc = BENCH_CODE;
        h->x[11] = BENCH_DATA + 4 * (uint64_t)steps[k];
        if (counting) {
            TRAP_FLAG("orq", "0x100");
        }
        const struct engine_exit ex = engine_run(en, h, INT64_MAX);
        TRAP_FLAG("andq", "~0x100");
        total[k] = (double)counted;
        good = ex.kind == EXIT_ECALL;
    }
    engine_hart_release(en, h);
    engine_free(en);
    return good ? 0 : cli_error(CMD_bench, "%s does not finish the loop", m->name);
}

/* The first number of executions from which on the second costs no more than the first; 0: none was found. */
static double
crossing(const double *a, const double *b)
{
    for (unsigned k = STEPS; k-- > 0;) {
        if (b[k] > a[k]) {
            if (k + 1 == STEPS) {
                return 0;
            }
            const double at = a[k] - b[k], to = a[k + 1] - b[k + 1]; /* below 0, above */
            return steps[k] + (steps[k + 1] - steps[k]) * (at / (at - to));
        }
    }
    return 1;
}

static int
curves(void)
{
    static double total[MODES][STEPS];
    struct hart h[MODES];
    for (unsigned m = 0; m < MODES; m++) {
        int r = curve(&modes[m], false, total[m], &h[m]);
        if (r == 0) {
            r = curve(&modes[m], true, total[m], &h[m]);
        }
        if (r != 0) {
            return r;
        }
        if (memcmp(h[m].x, h[0].x, sizeof h[0].x) != 0 || memcmp(h[m].f, h[0].f, sizeof h[0].f) != 0) {
            return cli_error(CMD_bench, "%s computes another result than %s", modes[m].name, modes[0].name);
        }
    }
    printf("host instructions for each execution of a loop, translating included; past %u continued\n%10s", MEASURED, "executions");
    for (unsigned m = 0; m < MODES; m++) {
        printf(" %12s", modes[m].name);
    }
    printf("\n");
    for (unsigned k = 0; k < STEPS; k++) {
        printf("%10u", steps[k]);
        for (unsigned m = 0; m < MODES; m++) {
            printf(" %12.1f", total[m][k] / steps[k]);
        }
        printf("\n");
    }
    static const struct { uint8_t from, to; } pairs[] = {{0, 1}, {0, 2}, {1, 2}, {0, 3}};
    for (unsigned k = 0; k < ARRAY_LEN(pairs); k++) {
        const double n = crossing(total[pairs[k].from], total[pairs[k].to]);
        if (n > 0) {
            printf("%s costs no more than %s from %.0f executions on\n", modes[pairs[k].to].name, modes[pairs[k].from].name, n);
        } else {
            printf("%s costs more than %s in all of these\n", modes[pairs[k].to].name, modes[pairs[k].from].name);
        }
    }
    return 0;
}

int
bench_crossover(void)
{
    static char stack[STACK_BYTES];
    struct sigaction trap = {.sa_handler = on_trap, .sa_flags = SA_ONSTACK}, old;
    const stack_t ours = {.ss_sp = stack, .ss_size = sizeof stack};
    stack_t before;
    const size_t bytes = BENCH_DATA + DATA_BYTES - BENCH_CODE;
    void *at = mmap((void *)(uintptr_t)BENCH_CODE, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
    if (at == MAP_FAILED) {
        return cli_error(CMD_bench, "map guest memory: %s", strerror(errno));
    }
    memcpy(at, bench_code, sizeof bench_code);
    sigaltstack(&ours, &before);
    sigaction(SIGTRAP, &trap, &old);
    const int r = curves();
    sigaction(SIGTRAP, &old, NULL);
    sigaltstack(&before, NULL);
    munmap(at, bytes);
    return r;
}
