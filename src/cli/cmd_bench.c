/*
 * cmd_bench.c - doppel bench interp: that the four interpreters are four, counted; bench_crossover.c has the other measurement
 *
 * A small guest loop runs under each engine with the host's trap flag set, so that every host instruction raises
 * SIGTRAP and is looked at. The figures are exact and need neither performance counters nor ptrace, which virtual
 * machines and containers often lack: host instructions, and those among them that are indirect branches, for each guest
 * instruction. Two runs of SHORT and LONG rounds are counted; their difference is the loop alone, without entering and
 * leaving engine_run.
 *
 * Threads: one.
 */
#include "cli/cli.h"
#include "cli/bench.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>

#include "base/check.h"
#include "isa/hart.h"
#include "isa/isa.h"
#include "engine/engine.h"

enum { SHORT = 1, LONG = 6, SITES_MAX = 256 };
enum { CODE = BENCH_CODE, DATA = BENCH_DATA, DATA_BYTES = 4096, STACK = DATA + 2048 };

/*
 * What compiled code is made of, in about its proportions (docs/performance.md): loads and stores through several bases,
 * arithmetic of two and of four bytes, branches taken and not, a call, double precision.
 */
const uint16_t bench_code[BENCH_CODE_HALVES] = {
    0x4314,         /* loop: lw a3,0(a4) */
    0x0711,         /* addi a4,a4,4 */
    0x9636,         /* add a2,a2,a3 */
    0x1793, 0x0036, /* slli a5,a2,3 */
    0x8e3d,         /* xor a2,a2,a5 */
    0x7793, 0x0ff6, /* andi a5,a2,255 */
    0x97aa,         /* add a5,a5,a0 */
    0xc803, 0x0007, /* lbu a6,0(a5) */
    0x0863, 0x0008, /* beqz a6,skip */
    0x0833, 0x02c8, /* mul a6,a6,a2 */
    0xe442,         /* sd a6,8(sp) */
    0x6622,         /* ld a2,8(sp) */
    0x00ef, 0x0180, /* jal f */
    0x25c2,         /* skip: fld fa1,16(sp) */
    0xf543, 0x52b5, /* fmadd.d fa0,fa1,fa1,fa0 */
    0x36fd,         /* addiw a3,a3,-1 */
    0xe291,         /* bnez a3,.+4 */
    0x0001,         /* nop */
    0x17e3, 0xfcb7, /* bne a4,a1,loop */
    0x0073, 0x0000, /* ecall */
    0x5793, 0x0096, /* f: srli a5,a2,9 */
    0x079d,         /* addi a5,a5,7 */
    0x8e3d,         /* xor a2,a2,a5 */
    0x8082,         /* ret */
};

#define ENGINES 4

struct count {
    uint64_t host, jumps, returns;
    const uint8_t *site[SITES_MAX]; /* where the indirect jumps stand */
    unsigned sites;
};

/* What on_trap() counts into: a signal handler has no argument of ours. */
static struct count counted;

static void
site_add(struct count *c, const uint8_t *at)
{
    unsigned k = 0;
    while (k < c->sites && c->site[k] != at) {
        k++;
    }
    if (k == c->sites && k < SITES_MAX) {
        c->site[c->sites++] = at;
    }
}

/* Intel SDM vol. 2: ff /2 and ff /4 are near indirect call and jump, c3 and c2 near return; prefixes may precede. */
static void
classify(const uint8_t *p, struct count *c)
{
    const uint8_t *const at = p;
    c->host++;
    while (*p == 0x66 || *p == 0x3e || *p == 0x2e || *p == 0xf2 || *p == 0xf3 || (*p & 0xf0) == 0x40) {
        p++;
    }
    if (p[0] == 0xff) {
        unsigned reg = p[1] >> 3 & 7;
        if (reg == 2 || reg == 4) {
            c->jumps++;
            site_add(c, at);
        }
    }
    c->returns += p[0] == 0xc3 || p[0] == 0xc2;
}

/* Before each host instruction, while the trap flag is set; the kernel clears it for the handler itself. */
static void
on_trap(int sig, siginfo_t *info, void *context)
{
    (void)sig, (void)info;
    const ucontext_t *uc = context;
    classify((const uint8_t *)(uintptr_t)uc->uc_mcontext.gregs[REG_RIP], &counted);
}

/* Run the loop. Returns false if it did not end as it should; h is left as the guest left it. */
static bool
rounds_run(struct engine *en, struct hart *h, unsigned rounds, bool counting)
{
    ext_set exts = 0;
    isa_ext_parse("rv64gc", &exts);
    hart_init(h, exts);
    for (unsigned k = 0; k < DATA_BYTES; k++) {
        ((volatile uint8_t *)(uintptr_t)DATA)[k] = (uint8_t)(k * 7 | 1);
    }
    h->pc = CODE;
    h->x[2] = STACK;
    h->x[10] = DATA + 1024;
    h->x[11] = DATA + 4 * rounds;
    h->x[14] = DATA;
    counted = (struct count){0};
    if (counting) {
        TRAP_FLAG("orq", "0x100");
    }
    struct engine_exit ex = engine_run(en, h, INT64_MAX);
    TRAP_FLAG("andq", "~0x100");
    return ex.kind == EXIT_ECALL;
}

/* One engine: counts of the loop's LONG - SHORT rounds; a2 and fa0 are the guest's results. 0, or an exit status. */
static int
engine_count(enum engine_kind kind, struct count *out, uint64_t *instret, uint64_t results[2])
{
    struct err e;
    struct hart few, many;
    struct engine *en = engine_new(&(struct engine_config){.kind = kind}, &e);
    if (en == NULL) {
        return cli_error(CMD_bench, "%s", e.text);
    }
    bool good = engine_code_map(en, CODE, DATA, false) == 0 && rounds_run(en, &many, LONG, false) &&
                rounds_run(en, &few, SHORT, true);
    const struct count base = counted;
    good = good && rounds_run(en, &many, LONG, true);
    *out = counted;
    out->host -= base.host;
    out->jumps -= base.jumps;
    out->returns -= base.returns;
    *instret = many.instret - few.instret;
    results[0] = many.x[12];
    results[1] = many.f[10];
    engine_free(en);
    return good ? 0 : cli_error(CMD_bench, "the %s engine does not finish the loop", engine_kind_name(kind));
}

static int
engines_count(void)
{
    uint64_t guest = 0, instret = 0, expect[2] = {0}, got[2];
    unsigned insns = 0;
    for (unsigned k = 0; k < ARRAY_LEN(bench_code); k += insn_len(bench_code[k]) / 2) {
        insns++;
    }
    for (unsigned e = 0; e < ENGINES; e++) {
        struct count c = {0};
        const enum engine_kind kind = (enum engine_kind)e;
        int r = engine_count(kind, &c, &instret, got);
        if (r != 0) {
            return r;
        }
        if (kind == ENGINE_SWITCH) { /* the one that counts what it retires exactly */
            guest = instret;
            memcpy(expect, got, sizeof expect);
            printf("%" PRIu64 " guest instructions; for each of them:\n", guest);
            printf("%-12s %18s %16s %12s %10s %15s\n", "engine", "host instructions", "indirect jumps",
                   "from places", "returns", "decoded bytes");
        }
        if (memcmp(expect, got, sizeof expect) != 0) {
            return cli_error(CMD_bench, "%s computes another result than switch", engine_kind_name(kind));
        }
        const double n = (double)guest;
        printf("%-12s %18.2f %16.2f %12u %10.2f %15.1f\n", engine_kind_name(kind), (double)c.host / n,
               (double)c.jumps / n, c.sites, (double)c.returns / n,
               (double)(engine_slot_scale(kind) * sizeof bench_code) / insns);
    }
    return 0;
}

static int
bench_interp(void)
{
    struct sigaction trap = {.sa_sigaction = on_trap, .sa_flags = SA_SIGINFO}, old;
    void *at = mmap((void *)(uintptr_t)CODE, DATA + DATA_BYTES - CODE, PROT_READ | PROT_WRITE,
                    MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
    if (at == MAP_FAILED) {
        return cli_error(CMD_bench, "map guest memory: %s", strerror(errno));
    }
    memcpy(at, bench_code, sizeof bench_code);
    sigaction(SIGTRAP, &trap, &old);
    int r = engines_count();
    sigaction(SIGTRAP, &old, NULL);
    munmap(at, DATA + DATA_BYTES - CODE);
    return r;
}

int
cmd_bench(int argc, char **argv)
{
    struct opts o = {.cmd = CMD_bench, .argc = argc, .argv = argv, .next = 1};
    if (opts_next(&o) != OPTS_END) {
        return EXIT_DOPPEL;
    }
    const char *what = o.next + 1 == argc ? argv[o.next] : "";
    if (strcmp(what, "interp") != 0 && strcmp(what, "crossover") != 0) {
        return cli_error(CMD_bench, "say what to measure: interp or crossover");
    }
    return what[0] == 'i' ? bench_interp() : bench_crossover();
}
