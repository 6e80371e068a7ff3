/*
 * random.c - random programs with the translator, against the simplest interpreter: engine-random [OPTION]...
 *
 *      -n N      until N instructions have been executed with each tuning (default 1,000,000)
 *      -s SEED   of the first program; the following ones count up
 *      -c NAME   with this tuning only
 *      -p SEED   this program only, and print it
 *
 * Each program (random.h) runs with the switch interpreter, which writes down the state at each exit, and then with the
 * translator under several tunings, whose exits must be the same: kind, address, pc, x, f, fcsr, and memory. At the first
 * difference instructions are taken away as long as it stays, and what is left is printed.
 */
#include "random.h"

#include "engine/engine.h"
#include "engine/store.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <ucontext.h>
#include <unistd.h>
#include <xmmintrin.h>

#define PAGE 4096
#define EXITS 3000
#define BUDGET 300000 /* more than that and the program is none of ours: when it is being made smaller, it may not end */
#define HANG_US 1000000

/* What one engine is, and where its guest memory is. */
struct machine {
    const char *name;
    enum engine_kind kind;
    bool based;                /* its guest memory is not at 0 */
    unsigned interrupt_us;
    unsigned again;            /* how often a program is run with what was kept of it */
    struct engine_tuning tuning;
    /* while it lives */
    uint64_t base;
    struct engine *en;
    unsigned long programs, instructions, exits, loaded, rejected, saved;
};

static struct machine reference = {.name = "switch", .kind = ENGINE_SWITCH, .based = true};
#define ADAPTIVE .kind = ENGINE_ADAPTIVE
static struct machine machines[] = {
    {"both tiers", ADAPTIVE, .tuning = {.hot1 = 1, .hot2 = 5}},
    {"tier 1 only", ADAPTIVE, .tuning = {.hot1 = 1, .hot2 = 1u << 30}},
    {"optimised at once", ADAPTIVE, .tuning = {.hot1 = 1, .hot2 = 1}},
    {"all three tiers", ADAPTIVE, .tuning = {.hot1 = 3, .hot2 = 21}},
    {"small code cache", ADAPTIVE, .tuning = {.hot1 = 1, .hot2 = 3, .code_cache = 20 << 10}},
    {"base not 0", ADAPTIVE, .based = true, .tuning = {.hot1 = 1, .hot2 = 5}},
    {"interrupted", ADAPTIVE, .interrupt_us = 37, .tuning = {.hot1 = 1, .hot2 = 5}},
    {"host v1", ADAPTIVE, .tuning = {.hot1 = 1, .hot2 = 5, .host_cpu = 1}},
    {"host v2", ADAPTIVE, .tuning = {.hot1 = 1, .hot2 = 5, .host_cpu = 2}},
    {"host v3", ADAPTIVE, .tuning = {.hot1 = 1, .hot2 = 5, .host_cpu = 3}},
    {"-fold", ADAPTIVE, .tuning = {.hot1 = 1, .hot2 = 5}},
    {"-cse", ADAPTIVE, .tuning = {.hot1 = 1, .hot2 = 5}},
    {"-fuse", ADAPTIVE, .tuning = {.hot1 = 1, .hot2 = 5}},
    {"-dse", ADAPTIVE, .tuning = {.hot1 = 1, .hot2 = 5}},
    {"-regions", ADAPTIVE, .tuning = {.hot1 = 1, .hot2 = 5}},
    {"kept", ADAPTIVE, .again = 2, .tuning = {.hot1 = 1, .hot2 = 5}},
    {"-place", ADAPTIVE, .tuning = {.hot1 = 1, .hot2 = 5}},
    {"-nan", ADAPTIVE, .tuning = {.hot1 = 1, .hot2 = 5}},
    {"-box", ADAPTIVE, .tuning = {.hot1 = 1, .hot2 = 5}},
    {"-fma", ADAPTIVE, .tuning = {.hot1 = 1, .hot2 = 5}},
    {"-twice", ADAPTIVE, .tuning = {.hot1 = 1, .hot2 = 5}},
    {"-flags", ADAPTIVE, .tuning = {.hot1 = 1, .hot2 = 5}},
    {"-lrsc", ADAPTIVE, .tuning = {.hot1 = 1, .hot2 = 5}},
    {"-trust", ADAPTIVE, .tuning = {.hot1 = 1, .hot2 = 5}},
    {"-late", ADAPTIVE, .tuning = {.hot1 = 1, .hot2 = 5}},
    {"-bytes", ADAPTIVE, .tuning = {.hot1 = 1, .hot2 = 5}},
    {"-twins", ADAPTIVE, .tuning = {.hot1 = 1, .hot2 = 5}},
    {"-unroll", ADAPTIVE, .tuning = {.hot1 = 1, .hot2 = 5}},
    {"-high", ADAPTIVE, .tuning = {.hot1 = 1, .hot2 = 5}},
    {"-select", ADAPTIVE, .tuning = {.hot1 = 1, .hot2 = 5}},
    {"lockstep", ADAPTIVE, .tuning = {.hot1 = 1, .hot2 = 5, .show = ENGINE_LOCKSTEP}},
    {"border", ADAPTIVE, .tuning = {.hot1 = 1, .hot2 = 5, .show = ENGINE_BORDER}},
    {"none", ADAPTIVE, .tuning = {.hot1 = 1, .hot2 = 5, .opts_off = ~0u}},
};
#define MACHINES (sizeof machines / sizeof machines[0])

/* The state at an exit. */
struct record {
    struct engine_exit ex;
    uint64_t pc, x[32], f[32], memory;
    uint32_t fcsr;
};

struct outcome {
    unsigned n;
    bool endless;
    const char *died; /* the monitor itself did */
    uint64_t instructions;
    struct record at[EXITS];
};

static struct rprog program;
static struct outcome expected, got;
static struct hart hart;
static uint64_t other_base;
static ext_set exts;
static char folder_name[] = "/tmp/engine-random-XXXXXX";
static int folder = -1; /* of kept translations */

/* Signal state: the one run there is. */
static sigjmp_buf crash;
static volatile sig_atomic_t running;
static volatile unsigned crash_signal;
static volatile unsigned long alarms;

static void *
host(const struct machine *m, uint64_t guest)
{
    return (void *)(uintptr_t)(m->base + guest);
}

static void
on_fault(int sig, siginfo_t *si, void *uc)
{
    if (running && engine_fault(&hart, sig, si->si_code, (uint64_t)(uintptr_t)si->si_addr, false, uc)) {
        return;
    }
    if (!running) {
        signal(sig, SIG_DFL);
        return;
    }
    crash_signal = (unsigned)sig;
    siglongjmp(crash, 1);
}

static void
on_timer(int sig)
{
    (void)sig;
    alarms++;
    __atomic_store_n(&hart.attention, 1, __ATOMIC_SEQ_CST);
}

/* Interrupts come by the wall clock; what does not end is found by what it has used: the machine may have other work. */
static void
timer(int which, unsigned us)
{
    const struct itimerval it = {{us / 1000000, us % 1000000}, {us / 1000000, us % 1000000}};
    setitimer(which, &it, NULL);
}

static void
timers(const struct machine *m, bool on)
{
    timer(ITIMER_REAL, on ? m->interrupt_us : 0);
    timer(ITIMER_PROF, on && m->interrupt_us == 0 ? HANG_US : 0);
}

static const struct {
    uint64_t at, bytes;
    int prot;
} areas[] = {
    {RP_TEXT, RP_TEXT_BYTES, PROT_READ | PROT_WRITE},
    {RP_ARENA, RP_ARENA_BYTES, PROT_READ | PROT_WRITE},
    {RP_CONST, RP_CONST_BYTES, PROT_READ},
    {RP_TABLES, RP_TABLES_BYTES, PROT_READ},
    {RP_CALLS, RP_CALLS_BYTES, PROT_READ | PROT_WRITE},
};
#define AREAS (sizeof areas / sizeof areas[0])

static void
die(const char *what)
{
    fprintf(stderr, "engine-random: %s: %s\n", what, strerror(errno));
    exit(1);
}

static void
memory_map(struct machine *m)
{
    for (unsigned k = 0; k < AREAS; k++) {
        const int how = m->base == 0 ? MAP_FIXED_NOREPLACE : MAP_FIXED;
        void *at = host(m, areas[k].at);
        if (mmap(at, areas[k].bytes, areas[k].prot, MAP_PRIVATE | MAP_ANONYMOUS | how, -1, 0) != at) {
            die("map guest memory");
        }
    }
}

static void
memory_fill(const struct machine *m, const struct rprog *p)
{
    memcpy(host(m, RP_TEXT), p->text, sizeof p->text);
    memcpy(host(m, RP_ARENA), p->arena, sizeof p->arena);
    memset(host(m, RP_CALLS), 0, RP_CALLS_BYTES);
    mprotect(host(m, RP_CONST), RP_CONST_BYTES, PROT_READ | PROT_WRITE);
    memcpy(host(m, RP_CONST), p->constants, sizeof p->constants);
    mprotect(host(m, RP_CONST), RP_CONST_BYTES, PROT_READ);
    mprotect(host(m, RP_TABLES), RP_TABLES_BYTES, PROT_READ | PROT_WRITE);
    memcpy(host(m, RP_TABLES), p->tables, sizeof p->tables);
    mprotect(host(m, RP_TABLES), RP_TABLES_BYTES, PROT_READ);
}

static uint64_t
memory_hash(const struct machine *m)
{
    uint64_t h = 0;
    for (unsigned k = 0; k < AREAS; k++) {
        const uint64_t *v = host(m, areas[k].at);
        for (unsigned i = 0; i < areas[k].bytes / 8 && (areas[k].prot & PROT_WRITE); i++) {
            h = (h ^ v[i]) * UINT64_C(0x9e3779b97f4a7c15);
            h ^= h >> 29;
        }
    }
    return h;
}

/* Every other program is taken for the same file: what is kept of the others has to be rejected. */
static void
machine_start(struct machine *m, uint64_t seed)
{
    const struct engine_file file = {.dev = 1, .ino = seed * UINT64_C(0x9e3779b97f4a7c15) >> 63 != 0 ? seed : 0};
    struct err e = {0};
    m->en = engine_new(&(struct engine_config){.kind = m->kind, .guest_base = m->base, .tuning = m->tuning,
                                               .cache = {m->again != 0 ? folder + 1 : 0, exts}}, &e);
    if (m->en == NULL || engine_code_map(m->en, RP_TEXT, RP_TEXT + RP_TEXT_BYTES, true) != 0) {
        fprintf(stderr, "engine-random: %s\n", e.text);
        exit(1);
    }
    engine_code_file(m->en, RP_TEXT, RP_TEXT + RP_TEXT_BYTES, &file, 0);
}

static void
record(struct outcome *o, const struct machine *m, const struct engine_exit *ex)
{
    struct record *r = &o->at[o->n++];
    r->ex = *ex;
    r->pc = hart.pc;
    memcpy(r->x, hart.x, sizeof r->x);
    memcpy(r->f, hart.f, sizeof r->f);
    r->fcsr = hart_fcsr(&hart);
    r->memory = memory_hash(m);
}

/* Past what stopped it, as a signal handler would go on. False: the program has ended. */
static bool
go_on(const struct machine *m, const struct engine_exit *ex)
{
    uint16_t low;
    switch (ex->kind) {
    case EXIT_ECALL:
        if (hart.x[17] == RP_END) {
            return false;
        }
        hart.pc += 4;
        return true;
    case EXIT_FENCE_I:
        engine_code_sync(m->en);
        return true;
    case EXIT_FETCH:
        if (hart.pc != ex->addr || hart.x[1] - RP_TEXT >= RP_TEXT_BYTES || hart.pc - RP_TEXT < RP_TEXT_BYTES) {
            return false;
        }
        hart.pc = hart.x[1] & ~UINT64_C(1); /* as jalr would */
        return true;
    case EXIT_EBREAK:
    case EXIT_ILLEGAL:
    case EXIT_FAULT:
    case EXIT_MISALIGNED:
        memcpy(&low, host(m, hart.pc), 2);
        hart.pc += insn_len(low);
        return true;
    case EXIT_DIFFERS:
        fputs(engine_difference(&hart), stderr);
        break;
    case EXIT_ATTENTION:
    case EXIT_BUDGET:
    case EXIT_WATCH:
        break;
    }
    return false;
}

static void
run_inside(struct machine *m, struct outcome *o)
{
    const unsigned long first = alarms, most = m->interrupt_us != 0 ? HANG_US / m->interrupt_us : 0;
    int64_t left = m->kind == ENGINE_SWITCH ? BUDGET : INT64_MAX;
    for (;;) {
        const uint64_t before = hart.instret;
        const struct engine_exit ex = engine_run(m->en, &hart, left);
        o->instructions += hart.instret - before;
        if (m->kind == ENGINE_SWITCH) {
            left = BUDGET - (int64_t)o->instructions;
        }
        if (ex.kind == EXIT_ATTENTION) {
            hart.attention = 0;
            if (alarms - first <= most) { /* or the engine itself wanted to get out */
                continue;
            }
            o->died = "does not end";
            return;
        }
        if (ex.kind == EXIT_BUDGET) {
            o->endless = true;
            return;
        }
        record(o, m, &ex);
        if (!go_on(m, &ex) || o->n == EXITS) {
            return;
        }
    }
}

static void
count_kept(struct machine *m)
{
    char text[2048];
    text[engine_stats(m->en, text, sizeof text - 1)] = '\0';
    const char *at = strstr(text, "kept: ");
    unsigned long files, loaded, rejected, made, saved;
    if (at != NULL && sscanf(at, "kept: files %lu, loaded %lu, rejected %lu, new %lu, saved %lu", &files, &loaded, &rejected, &made,
                             &saved) == 5) {
        m->loaded += loaded;
        m->rejected += rejected;
        m->saved += saved;
    }
}

static void
run(struct machine *m, const struct rprog *p, struct outcome *o)
{
    static char died[64];
    o->n = 0;
    o->endless = false;
    o->died = NULL;
    o->instructions = 0;
    machine_start(m, p->seed);
    memory_fill(m, p);
    hart_init(&hart, exts);
    memcpy(hart.x, p->x, sizeof hart.x);
    memcpy(hart.f, p->f, sizeof hart.f);
    hart.pc = p->entry;
    if (m->kind == ENGINE_ADAPTIVE) {
        timers(m, true);
    }
    running = 1;
    if (sigsetjmp(crash, 1) == 0) {
        run_inside(m, o);
        running = 0;
        timers(m, false);
        engine_hart_release(m->en, &hart);
        engine_cache_save(m->en);
        count_kept(m);
        engine_free(m->en);
    } else { /* the engine is as the crash left it: nobody touches it any more */
        running = 0;
        timers(m, false);
        _mm_setcsr(0x1f80);
        snprintf(died, sizeof died, "doppel died of signal %u", crash_signal);
        o->died = died;
    }
    m->en = NULL;
}

/* ---- comparing ---- */

static void __attribute__((format(printf, 3, 4)))
say(FILE *to, unsigned *n, const char *fmt, ...)
{
    va_list ap;
    ++*n;
    if (to != NULL && *n < 12) {
        va_start(ap, fmt);
        fputs("#   ", to);
        vfprintf(to, fmt, ap);
        va_end(ap);
    }
}

/* Differences between two states, told to `to` if there is one. */
static unsigned
compare_records(const struct record *e, const struct record *g, FILE *to)
{
    unsigned n = 0;
    if (to == NULL) {
        return memcmp(e->x, g->x, sizeof e->x) != 0 || memcmp(e->f, g->f, sizeof e->f) != 0 || e->pc != g->pc ||
               e->fcsr != g->fcsr || e->memory != g->memory || e->ex.kind != g->ex.kind || e->ex.addr != g->ex.addr;
    }
    if (e->ex.kind != g->ex.kind || e->ex.addr != g->ex.addr) {
        say(to, &n, "exit kind %d addr %#llx, should be %d %#llx\n", (int)g->ex.kind, (unsigned long long)g->ex.addr,
            (int)e->ex.kind, (unsigned long long)e->ex.addr);
    }
    if (e->pc != g->pc) {
        say(to, &n, "pc %#llx, should be %#llx\n", (unsigned long long)g->pc, (unsigned long long)e->pc);
    }
    for (unsigned k = 0; k < 32; k++) {
        if (e->x[k] != g->x[k]) {
            say(to, &n, "x%u %#llx, should be %#llx\n", k, (unsigned long long)g->x[k], (unsigned long long)e->x[k]);
        }
    }
    for (unsigned k = 0; k < 32; k++) {
        if (e->f[k] != g->f[k]) {
            say(to, &n, "f%u %#llx, should be %#llx\n", k, (unsigned long long)g->f[k], (unsigned long long)e->f[k]);
        }
    }
    if (e->fcsr != g->fcsr) {
        say(to, &n, "fcsr %#x, should be %#x\n", g->fcsr, e->fcsr);
    }
    if (e->memory != g->memory) {
        say(to, &n, "memory differs\n");
    }
    return n;
}

static bool
differ(FILE *to)
{
    const unsigned least = got.n < expected.n ? got.n : expected.n;
    for (unsigned k = 0; k < least; k++) {
        if (compare_records(&expected.at[k], &got.at[k], NULL) != 0) {
            if (to != NULL) {
                fprintf(to, "# exit %u:\n", k);
                compare_records(&expected.at[k], &got.at[k], to);
            }
            return true;
        }
    }
    if (got.died != NULL && to != NULL) {
        fprintf(to, "# after %u exits: %s\n", got.n, got.died);
    }
    return got.died != NULL || got.n != expected.n;
}

/* ---- making it smaller ---- */

static bool
fails(struct machine *m, const struct rprog *p)
{
    run(&reference, p, &expected);
    if (expected.endless) {
        return false;
    }
    for (unsigned tries = m->interrupt_us != 0 ? 20 : 1 + m->again; tries > 0; tries--) {
        run(m, p, &got);
        if (differ(NULL)) {
            return true;
        }
    }
    return false;
}

static void
take_away(struct rprog *p, unsigned first, unsigned n)
{
    for (unsigned k = first; k < first + n && k < p->n_units; k++) {
        const uint32_t nop = p->units[k].len == 2 ? 1 : 0x13;
        memcpy(p->text + p->units[k].at, &nop, p->units[k].len);
    }
}

static void
shrink(struct machine *m, struct rprog *p)
{
    static struct rprog try;
    for (unsigned chunk = p->n_units / 2; chunk > 0; chunk /= 2) {
        for (unsigned again = 0; again < 3; again++) {
            bool any = false;
            for (unsigned first = 0; first + 2 < p->n_units; first += chunk) {
                try = *p;
                take_away(&try, first, first + chunk + 2 <= p->n_units ? chunk : p->n_units - 2 - first);
                if (memcmp(try.text, p->text, sizeof try.text) != 0 && fails(m, &try)) {
                    *p = try;
                    any = true;
                }
            }
            if (!any) {
                break;
            }
        }
    }
}

static void
print(const struct rprog *p)
{
    char line[ISA_DISASM_MAX];
    for (unsigned k = 0; k < p->n_units; k++) {
        uint32_t w = 0;
        memcpy(&w, p->text + p->units[k].at, p->units[k].len);
        if (w != (p->units[k].len == 2 ? 1u : 0x13u)) {
            isa_disasm(w, RP_TEXT + p->units[k].at, exts, line);
            printf("#   %6llx: %08x %s\n", (unsigned long long)RP_TEXT + p->units[k].at, w, line);
        }
    }
    printf("#   entry %#llx\n", (unsigned long long)p->entry);
    for (unsigned k = 1; k < 32; k++) {
        printf("%sx%u=%#llx", k % 4 == 1 ? "#   " : " ", k, (unsigned long long)p->x[k]);
        printf("%s", k % 4 == 0 || k == 31 ? "\n" : "");
    }
    for (unsigned k = 0; k < 32; k++) {
        printf("%sf%u=%#llx", k % 4 == 0 ? "#   " : " ", k, (unsigned long long)p->f[k]);
        printf("%s", k % 4 == 3 ? "\n" : "");
    }
}

static void
tell(struct machine *m, struct rprog *p)
{
    printf("# %s: program %llu differs:\n", m->name, (unsigned long long)p->seed);
    differ(stdout);
    fflush(stdout);
    shrink(m, p);
    const bool still = fails(m, p);
    printf("# what is left of it %s; the engine says:\n", still ? "differs" : "does not always differ");
    differ(stdout);
    print(p);
    fflush(stdout);
}

/* One program with each of the machines; 0, or 1 after a message. */
static int
check(uint64_t seed, const char *only, bool all)
{
    rprog_make(&program, seed, exts);
    run(&reference, &program, &expected);
    if (expected.endless) {
        return 0;
    }
    if (expected.died != NULL) {
        printf("# program %llu with the interpreter: %s\n", (unsigned long long)seed, expected.died);
        return 1;
    }
    reference.programs++;
    reference.instructions += expected.instructions;
    reference.exits += expected.n;
    for (unsigned k = 0; k < MACHINES; k++) {
        struct machine *m = &machines[k];
        if (only != NULL ? strcmp(only, m->name) != 0 : !all && k != 0 && k != 1 + (seed % (MACHINES - 1))) {
            continue;
        }
        for (unsigned times = 0; times <= m->again; times++) {
            run(m, &program, &got);
            m->programs++;
            m->instructions += expected.instructions;
            m->exits += got.n;
            if (differ(NULL)) {
                tell(m, &program);
                return 1;
            }
        }
    }
    return 0;
}

static void
set_up(void)
{
    static char stack[64 << 10];
    const stack_t ss = {.ss_sp = stack, .ss_size = sizeof stack};
    struct sigaction sa = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO | SA_NODEFER | SA_ONSTACK};
    sigaltstack(&ss, NULL);
    static const int fatal[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGTRAP};
    for (unsigned k = 0; k < sizeof fatal / sizeof fatal[0]; k++) {
        sigaction(fatal[k], &sa, NULL);
    }
    const struct sigaction alarm_sa = {.sa_handler = on_timer, .sa_flags = SA_RESTART | SA_ONSTACK};
    sigaction(SIGALRM, &alarm_sa, NULL);
    sigaction(SIGPROF, &alarm_sa, NULL);
    /* Translations trust addresses: behind 2^38 there has to be something that faults, and not what the host mapped there. */
    void *p = mmap(NULL, 2 * GUEST_TOP + PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (p == MAP_FAILED) {
        die("reserve guest memory");
    }
    exts = isa_ext_close(ISA_USER);
    if (mkdtemp(folder_name) == NULL || (folder = open(folder_name, O_RDONLY | O_DIRECTORY)) < 0) {
        die("make a folder");
    }
    other_base = (uint64_t)(uintptr_t)p;
    reference.base = other_base;
    memory_map(&reference);
    struct machine at0 = {.base = 0}, at_other = {.base = other_base + GUEST_TOP};
    memory_map(&at0);
    memory_map(&at_other);
    for (unsigned k = 0; k < MACHINES; k++) {
        struct machine *m = &machines[k];
        m->base = m->based ? at_other.base : 0;
        if (m->name[0] == '-') {
            m->tuning.opts_off = engine_opt_by_name(m->name + 1, strlen(m->name + 1));
        }
    }
}

static int
run_all(int argc, char **argv)
{
    uint64_t want = 1000000, seed = 1;
    const char *only = NULL;
    bool one = false;
    for (int c; (c = getopt(argc, argv, "n:s:c:p:")) != -1;) {
        switch (c) {
        case 'n':
            want = strtoull(optarg, NULL, 0);
            break;
        case 's':
            seed = strtoull(optarg, NULL, 0);
            break;
        case 'c':
            only = optarg;
            break;
        case 'p':
            seed = strtoull(optarg, NULL, 0);
            one = true;
            break;
        default:
            fputs("engine-random [-n N] [-s SEED] [-c NAME] [-p SEED]\n", stderr);
            return 1;
        }
    }
    set_up();
    if (one) {
        rprog_make(&program, seed, exts);
        print(&program);
        const int r = check(seed, only, true);
        printf("# %lu instructions, %lu exits\n", reference.instructions, reference.exits);
        return r;
    }
    const uint64_t first = seed;
    while (reference.instructions < want) {
        if (check(seed, only, false) != 0) {
            printf("not ok random programs: seed %llu; engine-random -p %llu\n", (unsigned long long)seed, (unsigned long long)seed);
            return 1;
        }
        seed++;
        if (seed % 256 == 0) {
            store_trim(folder, 4 << 20);
        }
    }
    for (unsigned k = 0; k < MACHINES; k++) {
        if (machines[k].programs != 0) {
            printf("ok random programs, %s: %lu of them from %llu, %lu instructions, %lu exits\n", machines[k].name,
                   machines[k].programs, (unsigned long long)first, machines[k].instructions, machines[k].exits);
        }
    }
    return 0;
}

int
main(int argc, char **argv)
{
    const int r = run_all(argc, argv);
    const struct machine *m = NULL;
    for (unsigned k = 0; k < MACHINES; k++) {
        m = machines[k].again != 0 && machines[k].programs > 20 ? &machines[k] : m;
    }
    if (r == 0 && m != NULL) {
        printf("%s %s: %lu translations loaded, %lu rejected, %lu kept\n", m->loaded > 0 && m->saved > 0 && (m->rejected > 0 || m->programs < 100) ? "ok" : "not ok",
               m->name, m->loaded, m->rejected, m->saved);
    }
    if (folder >= 0) {
        store_trim(folder, 0);
        rmdir(folder_name);
    }
    return r;
}
