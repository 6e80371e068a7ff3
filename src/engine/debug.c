/*
 * debug.c - breakpoints, watchpoints and single steps of programs; see engine.h
 *
 * A breakpoint is seen where instructions are decoded: there it is an ebreak, in every engine. Memory holds what it held, for the program, its
 * children, and files that are mapped. Watchpoints are looked at by an interpreter of their own, interp_switch.c compiled with watch_ops.h,
 * which runs all harts while there are any.
 */
#include "engine/engine_impl.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct engine_debug {
    uint64_t *breaks; /* own */
    size_t n_breaks, n_watches;
    struct engine_watch watches[ENGINE_WATCHES];
};

static struct engine_debug *
debug_of(struct engine *en)
{
    if (en->debug == NULL) {
        en->debug = calloc(1, sizeof *en->debug);
    }
    return en->debug;
}

static size_t
find(const struct engine_debug *d, uint64_t pc)
{
    size_t i = 0;
    while (i < d->n_breaks && d->breaks[i] != pc) {
        i++;
    }
    return i;
}

bool
engine_break_at(const struct engine *en, uint64_t pc)
{
    return en->debug != NULL && find(en->debug, pc) < en->debug->n_breaks;
}

int
engine_break_insert(struct engine *en, uint64_t pc)
{
    struct engine_debug *const d = debug_of(en);
    if (d == NULL) {
        return -ENOMEM;
    }
    if (find(d, pc) == d->n_breaks) {
        uint64_t *const more = realloc(d->breaks, (d->n_breaks + 1) * sizeof *more);
        if (more == NULL) {
            return -ENOMEM;
        }
        d->breaks = more;
        d->breaks[d->n_breaks++] = pc;
        engine_code_invalidate(en, pc, pc + 2);
    }
    return 0;
}

void
engine_break_remove(struct engine *en, uint64_t pc)
{
    struct engine_debug *const d = en->debug;
    const size_t i = d != NULL ? find(d, pc) : 0;
    if (d != NULL && i < d->n_breaks) {
        d->breaks[i] = d->breaks[--d->n_breaks];
        engine_code_invalidate(en, pc, pc + 2);
    }
}

static bool
is_watch(const struct engine_watch *a, const struct engine_watch *b)
{
    return a->start == b->start && a->bytes == b->bytes && a->loads == b->loads && a->stores == b->stores;
}

int
engine_watch_insert(struct engine *en, const struct engine_watch *w)
{
    struct engine_debug *const d = debug_of(en);
    if (d == NULL || d->n_watches == ENGINE_WATCHES) {
        return -ENOMEM;
    }
    d->watches[d->n_watches++] = *w;
    return 0;
}

void
engine_watch_remove(struct engine *en, const struct engine_watch *w)
{
    struct engine_debug *const d = en->debug;
    for (size_t i = 0; d != NULL && i < d->n_watches; i++) {
        if (is_watch(&d->watches[i], w)) {
            d->watches[i] = d->watches[--d->n_watches];
            return;
        }
    }
}

void
engine_debug_clear(struct engine *en)
{
    struct engine_debug *const d = en->debug;
    for (; d != NULL && d->n_breaks > 0; ) {
        engine_break_remove(en, d->breaks[0]);
    }
    if (d != NULL) {
        d->n_watches = 0;
    }
}

void
debug_fini(struct engine *en)
{
    if (en->debug != NULL) {
        free(en->debug->breaks);
        free(en->debug);
    }
}

struct engine_exit
engine_step(struct engine *en, struct hart *h, bool over)
{
    /* Without memory nothing happens, again and again: as good as it gets. */
    return debug_of(en) != NULL ? engine_run_as(en, h, 1, true, over) : (struct engine_exit){.kind = EXIT_BUDGET};
}

/* ---- for the others ---- */

uint32_t
debug_word(const struct engine *en, uint64_t pc, uint32_t w)
{
    return !engine_break_at(en, pc) ? w : insn_len(w) == 2 ? 0x9002 : 0x00100073;
}

void
debug_access(struct hart *h, uint64_t addr, unsigned bytes, bool load, bool store)
{
    const struct engine_debug *const d = h->engine->debug;
    struct landing *const land = h->landing;
    for (size_t i = 0; d != NULL && i < d->n_watches; i++) {
        const struct engine_watch *const w = &d->watches[i];
        if (addr < w->start + w->bytes && w->start < addr + bytes && ((w->loads && load) || (w->stores && store))) {
            land->ex = (struct engine_exit){.kind = EXIT_WATCH,
                                            .addr = addr > w->start ? addr : w->start,
                                            .write = store,
                                            .loads = w->loads,
                                            .stores = w->stores};
            __builtin_longjmp(land->jb, 1);
        }
    }
}

void
debug_run(struct hart *h, int64_t budget)
{
    const struct landing *const land = h->landing;
    if (h->engine->debug != NULL && h->engine->debug->n_watches > 0 && !land->over) {
        interp_switch_watch(h, budget);
    } else {
        interp_switch(h, budget);
    }
}

bool
debug_watches(const struct engine *en)
{
    return en->debug->n_watches > 0;
}
