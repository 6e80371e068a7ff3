/*
 * machine_run.c - the smallest machine: a hart, RAM, a console that only writes, the test finisher, a CLINT without a clock
 *
 *      engine-machine ENGINE IMAGE [BUDGET]
 *
 * Runs a raw image from 0x80000000 in M-mode until it writes to the finisher; what it says is standard output. Addresses are those of
 * QEMU's virt, so the same image runs there (machine.test). BUDGET: instructions at a time, to come and go often.
 */
#include "engine/system.h"

#include "base/nondet.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define RAM UINT64_C(0x80000000)
#define RAM_BYTES (UINT64_C(128) << 20)

static bool finished;
static int status;
static struct mhart *hart;

static uint64_t
uart_read(void *dev, uint64_t off, unsigned size)
{
    (void)dev, (void)size;
    return off == 5 ? 0x60 : 0; /* the transmitter is empty, always */
}

static void
uart_write(void *dev, uint64_t off, unsigned size, uint64_t v)
{
    (void)dev, (void)size;
    if (off == 0) {
        putchar((int)v);
        fflush(stdout);
    }
}

static uint64_t
nothing(void *dev, uint64_t off, unsigned size)
{
    (void)dev, (void)off, (void)size;
    return 0;
}

static void
finisher_write(void *dev, uint64_t off, unsigned size, uint64_t v)
{
    (void)dev, (void)off, (void)size;
    finished = true;
    status = (v & 0xffff) == 0x5555 ? 0 : 1;
    system_stop(hart);
}

static void
ignored(void *dev, uint64_t off, unsigned size, uint64_t v)
{
    (void)dev, (void)off, (void)size, (void)v;
}

static uint64_t
mtime(void *arg)
{
    (void)arg;
    return nondet_mono_ns() / 100;
}

int
main(int argc, char **argv)
{
    static const struct io_ops uart = {uart_read, uart_write, 1}, finisher = {nothing, finisher_write, 2 | 4},
                               clint = {nothing, ignored, 4 | 8};
    static const struct priv_env env = {.mtime = mtime};
    struct err e = {0};
    struct physmap pm;
    const int kind = argc > 2 ? engine_kind_by_name(argv[1]) : -1;
    FILE *f = argc > 2 ? fopen(argv[2], "rb") : NULL;
    if (kind < 0 || f == NULL) {
        fputs("usage: engine-machine ENGINE IMAGE [BUDGET]\n", stderr);
        return 2;
    }
    physmap_init(&pm);
    if (physmap_add_ram(&pm, RAM, RAM_BYTES, &e) != 0 ||
        physmap_add_io(&pm, "uart", 0x10000000, 4096, &uart, NULL, &e) != 0 ||
        physmap_add_io(&pm, "finisher", 0x100000, 4096, &finisher, NULL, &e) != 0 ||
        physmap_add_io(&pm, "clint", 0x2000000, 0x10000, &clint, NULL, &e) != 0) {
        fprintf(stderr, "%s\n", e.text);
        return 2;
    }
    struct system sys = {.kind = (enum engine_kind)kind, .pm = &pm, .tuning = {.hot1 = 2, .hot2 = 20}};
    const ext_set exts = ISA_USER | EXT_BIT(PRIV) | EXT_BIT(SSTC) | EXT_BIT(SVADU) | EXT_BIT(SVPBMT) | EXT_BIT(SVNAPOT) |
                         EXT_BIT(SVINVAL) | EXT_BIT(SSCOFPMF);
    hart = system_hart_new(&sys, exts, &env, 0, 1U << SATP_SV48 | 1U << SATP_SV57, &e);
    if (hart == NULL || fread(physmap_ram(&pm, RAM, RAM_BYTES), 1, RAM_BYTES, f) == 0) {
        fprintf(stderr, "engine-machine: cannot start %s\n", e.text);
        return 2;
    }
    fclose(f);
    hart->h.pc = RAM;
    const int64_t budget = argc > 3 ? atoll(argv[3]) : INT64_MAX;
    for (uint64_t waited = 0; !finished && waited < 2000000000;) {
        waited += system_run(hart, budget) == SYSTEM_WFI;
    }
    if (getenv("MACHINE_STATS") != NULL) {
        const struct system_stats *s = &hart->stats;
        fprintf(stderr, "instret %llu walks %llu io %llu fences %llu code pages %llu steps %llu\n", (unsigned long long)hart->h.instret,
                (unsigned long long)s->walks, (unsigned long long)s->io, (unsigned long long)s->fences,
                (unsigned long long)s->code_pages, (unsigned long long)s->steps);
    }
    system_hart_free(hart);
    physmap_fini(&pm);
    return status;
}
