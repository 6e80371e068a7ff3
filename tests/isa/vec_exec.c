/*
 * vec_exec.c - see vec_exec.h
 */
#include "vec_exec.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>

/* The SIGSEGV handler's: the only hart there is. */
static struct vec_exec *current;

static void
on_fault(int sig, siginfo_t *si, void *uc)
{
    ucontext_t *u = uc;
    if (current != NULL) {
        sigset_t set;
        sigemptyset(&set);
        sigaddset(&set, sig);
        sigprocmask(SIG_UNBLOCK, &set, NULL);
        engine_fault(&current->hart, sig, si->si_code, (uint64_t)(uintptr_t)si->si_addr, false, u);
    }
    signal(sig, SIG_DFL);
}

static void *
host(const struct vec_exec *x, uint64_t guest)
{
    return (void *)(uintptr_t)(x->base + guest);
}

static uint64_t
pages(uint64_t size)
{
    return (size + 4095) & ~UINT64_C(4095);
}

static void
map(const struct vec_exec *x, uint64_t guest, uint64_t size, int prot)
{
    const int how = x->base == 0 ? MAP_FIXED_NOREPLACE : MAP_FIXED;
    if (mmap(host(x, guest), pages(size), prot, MAP_PRIVATE | MAP_ANONYMOUS | how, -1, 0) != host(x, guest)) {
        fprintf(stderr, "vectors: map the program: %s\n", strerror(errno));
        exit(1);
    }
}

uint64_t
vec_exec_reserve(void)
{
    void *p = mmap(NULL, GUEST_TOP, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (p == MAP_FAILED) {
        fprintf(stderr, "vectors: reserve 2^38 bytes: %s\n", strerror(errno));
        exit(1);
    }
    return (uint64_t)(uintptr_t)p;
}

void
vec_exec_init(struct vec_exec *x, const struct vec *v, enum engine_kind kind, uint64_t base, unsigned host_cpu)
{
    struct err e = {0};
    const struct sigaction sa = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO};
    struct engine_tuning tuning = {.hot1 = 1, .hot2 = 9, .host_cpu = host_cpu};
    tuning.opts_off = base != 0 ? engine_opt_by_name("place", 5) : 0; /* once by way of records */
    *x = (struct vec_exec){.v = v, .base = base};
    map(x, VEC_TEXT, v->text_size, PROT_READ | PROT_WRITE);
    map(x, VEC_DATA, v->data_size, PROT_READ | PROT_WRITE);
    memcpy(host(x, VEC_TEXT), v->text, v->text_size);
    memcpy(host(x, VEC_DATA), v->data, v->data_size);
    mprotect(host(x, VEC_TEXT), pages(v->text_size), PROT_READ);
    x->en = engine_new(&(struct engine_config){.kind = kind, .guest_base = base, .tuning = tuning}, &e);
    if (x->en == NULL || engine_code_map(x->en, VEC_TEXT, VEC_TEXT + pages(v->text_size), false) != 0) {
        fputs("vectors: no engine\n", stderr);
        exit(1);
    }
    hart_init(&x->hart, isa_ext_close(~UINT64_C(0)));
    sigaction(SIGSEGV, &sa, NULL);
    sigaction(SIGBUS, &sa, NULL);
    current = x;
}

void
vec_exec_fini(struct vec_exec *x)
{
    current = NULL;
    engine_free(x->en);
    if (x->base == 0) {
        munmap(host(x, VEC_TEXT), pages(x->v->text_size));
        munmap(host(x, VEC_DATA), pages(x->v->data_size));
    }
}

const uint8_t *
vec_exec_results(const struct vec_exec *x)
{
    return host(x, x->v->results);
}

void
vec_exec_reset(struct vec_exec *x, const struct vec_row *r)
{
    const uint64_t slack = 8192, top = VEC_DATA + x->v->data_size;
    const uint64_t start = r->results - slack < VEC_DATA ? VEC_DATA : r->results - slack;
    const uint64_t end = r->results_end + slack > top ? top : r->results_end + slack;
    memcpy(host(x, start), x->v->data + (start - VEC_DATA), end - start);
}

/* Rows follow each other: the end of one is an ecall that asks for it (vec.c, emit_row_end). */
const char *
vec_exec_row(struct vec_exec *x, const struct vec_row *r, vec_run_fn *run, int64_t budget)
{
    static const char *const kinds[] = {
        [EXIT_BUDGET] = "does not end",    [EXIT_ATTENTION] = "attention",  [EXIT_ECALL] = "ecall",
        [EXIT_EBREAK] = "ebreak",          [EXIT_ILLEGAL] = "illegal",      [EXIT_FETCH] = "fetch fault",
        [EXIT_FAULT] = "access fault",     [EXIT_MISALIGNED] = "misaligned", [EXIT_FENCE_I] = "fence.i",
        [EXIT_DIFFERS] = "differs",        [EXIT_WATCH] = "watched access",
    };
    static char why[128];
    struct hart *h = &x->hart;
    h->pc = r->start;
    for (;;) {
        struct engine_exit ex = run(x->en, h, budget ? budget : INT64_MAX);
        if (ex.kind == EXIT_ECALL && h->x[17] == VEC_ROW_END) {
            return NULL;
        }
        if (ex.kind == EXIT_ECALL && h->x[17] == VEC_NO_CALL) {
            h->x[10] = (uint64_t)-ENOSYS;
            h->pc += 4;
        } else if (ex.kind == EXIT_FENCE_I) {
            continue; /* the program does not change itself */
        } else {
            snprintf(why, sizeof why, "%s at %#llx", kinds[ex.kind], (unsigned long long)h->pc);
            return why;
        }
    }
}
