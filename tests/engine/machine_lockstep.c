/*
 * machine_lockstep.c - two machines, one on the switch interpreter, one on another engine: the same after each piece
 *
 *      engine-lockstep [-d DTB] [-s SEED] [-n INSTRUCTIONS] [-p PIECE] [-t TIMES] [-w] ENGINE IMAGE
 *
 * Runs a raw image from 0x80000000 in M-mode; with a device tree, a kernel from 0x80200000 in S-mode, its SBI calls not
 * supported but for the console. Pieces are of random length, at most PIECE instructions and what is left to the next jump; time
 * is what has been retired, so that both see the same. -w: satp takes Sv48 and Sv57, too. -t: what has
 * been executed so often is translated, and made a region after as many. A difference is shown by field of struct
 * hart and struct priv; a smaller PIECE says nearer where it came from.
 */
#include "engine/system.h"

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define RAM UINT64_C(0x80000000)
#define RAM_BYTES (UINT64_C(256) << 20)
#define KERNEL UINT64_C(0x80200000)
#define DTB UINT64_C(0x82200000)

struct side {
    struct physmap pm;
    struct system sys;
    struct priv_env env;
    struct mhart *m;
    bool finished, quiet;
    uint64_t now;
};

static uint64_t
uart_read(void *dev, uint64_t off, unsigned size)
{
    (void)dev, (void)size;
    return off == 5 ? 0x60 : 0;
}

static void
uart_write(void *dev, uint64_t off, unsigned size, uint64_t v)
{
    (void)size;
    if (off == 0 && !((struct side *)dev)->quiet) {
        putchar((int)v);
    }
}

static void
finisher_write(void *dev, uint64_t off, unsigned size, uint64_t v)
{
    struct side *s = dev;
    (void)off, (void)size, (void)v;
    s->finished = true;
    system_stop(s->m);
}

static uint64_t
zero_read(void *dev, uint64_t off, unsigned size)
{
    (void)dev, (void)off, (void)size;
    return 0;
}

static uint64_t
mtime(void *arg)
{
    return ((struct side *)arg)->now;
}

static void
side_init(struct side *s, enum engine_kind kind, const char *image, const char *dtb, uint32_t modes, uint32_t times)
{
    static const struct io_ops uart = {uart_read, uart_write, 1}, finisher = {zero_read, finisher_write, 2 | 4};
    struct err e = {0};
    FILE *f = fopen(image, "rb"), *d = dtb != NULL ? fopen(dtb, "rb") : NULL;
    physmap_init(&s->pm);
    if (f == NULL || (dtb != NULL && d == NULL) || physmap_add_ram(&s->pm, RAM, RAM_BYTES, &e) != 0 ||
        physmap_add_io(&s->pm, "uart", 0x10000000, 4096, &uart, s, &e) != 0 ||
        physmap_add_io(&s->pm, "finisher", 0x100000, 4096, &finisher, s, &e) != 0) {
        fprintf(stderr, "cannot start %s\n", e.text);
        exit(2);
    }
    s->sys = (struct system){.kind = kind, .pm = &s->pm, .see = dtb != NULL, .tuning = {.hot1 = times, .hot2 = times}};
    s->env = (struct priv_env){.mtime = mtime, .arg = s};
    const ext_set exts = ISA_USER | EXT_BIT(PRIV) | EXT_BIT(SSTC) | EXT_BIT(SVADU) | EXT_BIT(SVPBMT) | EXT_BIT(SVNAPOT) |
                         EXT_BIT(SVINVAL) | EXT_BIT(SSCOFPMF);
    s->m = system_hart_new(&s->sys, exts, &s->env, 0, modes, &e);
    const uint64_t at = dtb != NULL ? KERNEL : RAM;
    if (s->m == NULL || fread(physmap_ram(&s->pm, at, 1), 1, RAM_BYTES - (at - RAM), f) == 0 ||
        (d != NULL && fread(physmap_ram(&s->pm, DTB, 1), 1, 1 << 20, d) == 0)) {
        fprintf(stderr, "cannot start %s\n", e.text);
        exit(2);
    }
    fclose(f);
    if (d != NULL) {
        fclose(d);
        priv_enter_supervisor(&s->m->p);
        s->m->h.x[11] = DTB;
    }
    s->m->h.pc = at;
    system_hart_changed(s->m);
}

static void
sbi(struct side *s)
{
    uint64_t *const x = s->m->h.x;
    if (x[17] == 1 && !s->quiet) {
        putchar((int)x[10]);
    }
    x[10] = x[17] == 1 ? 0 : (uint64_t)-2;
    s->m->h.pc += 4;
}

/* Until `to` instructions have been retired, or a few more. */
static void
go(struct side *s, uint64_t to)
{
    while (!s->finished && s->m->h.instret < to) {
        switch (system_run(s->m, (int64_t)(to - s->m->h.instret))) {
        case SYSTEM_ECALL:
            sbi(s);
            break;
        case SYSTEM_BUDGET:
        case SYSTEM_STOPPED:
        case SYSTEM_WFI:
        case SYSTEM_BREAK:
        case SYSTEM_WATCH:
            break;
        }
    }
}

static unsigned
differences(const struct side *a, const struct side *b, bool say)
{
    unsigned n = 0;
    for (size_t k = 0; k < hart_field_count + priv_field_count; k++) {
        const bool hart = k < hart_field_count;
        const struct field *f = hart ? &hart_fields[k] : &priv_fields[k - hart_field_count];
        const char *pa = hart ? (const char *)&a->m->h : (const char *)&a->m->p;
        const char *pb = hart ? (const char *)&b->m->h : (const char *)&b->m->p;
        if (f->since == 0 || strcmp(f->name, "x_sink") == 0 || memcmp(pa + f->offset, pb + f->offset, (size_t)f->size * f->count) == 0) {
            continue;
        }
        n++;
        for (size_t at = 0; say && at < f->count; at++) {
            uint64_t va = 0, vb = 0;
            memcpy(&va, pa + f->offset + at * f->size, f->size);
            memcpy(&vb, pb + f->offset + at * f->size, f->size);
            if (va != vb) {
                printf("  %s[%zu]  switch %#llx  other %#llx\n", f->name, at, (unsigned long long)va, (unsigned long long)vb);
            }
        }
    }
    return n;
}

int
main(int argc, char **argv)
{
    static struct side a, b;
    const char *dtb = NULL;
    uint64_t seed = 1, max = UINT64_MAX, most = 4000;
    uint32_t modes = 0, times = 0;
    for (int c; (c = getopt(argc, argv, "d:s:n:p:t:w")) != -1;) {
        switch (c) {
        case 'd':
            dtb = optarg;
            break;
        case 's':
            seed = strtoull(optarg, NULL, 0);
            break;
        case 'n':
            max = strtoull(optarg, NULL, 0);
            break;
        case 'p':
            most = strtoull(optarg, NULL, 0);
            break;
        case 't':
            times = (uint32_t)strtoul(optarg, NULL, 0);
            break;
        case 'w':
            modes = 1U << SATP_SV48 | 1U << SATP_SV57;
            break;
        default:
            return 2;
        }
    }
    const int kind = argc - optind == 2 ? engine_kind_by_name(argv[optind]) : -1;
    if (kind < 0) {
        fputs("usage: engine-lockstep [-d DTB] [-s SEED] [-n INSTRUCTIONS] [-p PIECE] [-t TIMES] [-w] ENGINE IMAGE\n", stderr);
        return 2;
    }
    side_init(&a, ENGINE_SWITCH, argv[optind + 1], dtb, modes, times);
    side_init(&b, (enum engine_kind)kind, argv[optind + 1], dtb, modes, times);
    b.quiet = true;
    uint64_t pieces = 0;
    while (!a.finished && b.m->h.instret < max) {
        seed = seed * 6364136223846793005 + 1442695040888963407;
        const uint64_t from = a.m->h.instret, pc = a.m->h.pc;
        a.now = b.now = from / 100;
        go(&b, from + 1 + (seed >> 33) % most);
        go(&a, b.m->h.instret);
        /* A trap retires nothing: one may stand before it, the other behind. */
        for (unsigned k = 0; k < 3 && differences(&a, &b, false) != 0; k++) {
            go(&b, b.m->h.instret + 1);
            go(&a, b.m->h.instret);
        }
        if (differences(&a, &b, false) != 0) {
            printf("\nafter %llu instructions, from %llu at pc %#llx:\n", (unsigned long long)a.m->h.instret, (unsigned long long)from,
                   (unsigned long long)pc);
            differences(&a, &b, true);
            return 1;
        }
        pieces++;
    }
    printf("\n%llu instructions the same, in %llu pieces\n", (unsigned long long)a.m->h.instret, (unsigned long long)pieces);
    return 0;
}
