/*
 * engine.c - make an engine, run a hart on it, take faults back from the host
 */
#include "engine/engine_impl.h"

#include "engine/fp_ops.h"
#include "engine/keep.h"
#include "engine/profile.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>

static const char *const kind_names[] = {
    [ENGINE_SWITCH] = "switch",
    [ENGINE_INDIRECT] = "indirect",
    [ENGINE_PREDECODED] = "predecoded",
    [ENGINE_THREADED] = "threaded",
    [ENGINE_ADAPTIVE] = "adaptive",
};
#define KINDS (sizeof kind_names / sizeof kind_names[0])

int
engine_kind_by_name(const char *name)
{
    for (unsigned k = 0; k < KINDS; k++) {
        if (strcmp(name, kind_names[k]) == 0) {
            return (int)k;
        }
    }
    return -1;
}

const char *
engine_kind_name(enum engine_kind k)
{
    return kind_names[k];
}

unsigned
engine_slot_scale(enum engine_kind k)
{
    return k >= ENGINE_THREADED ? THREADED_SCALE : k == ENGINE_PREDECODED ? SLOT_SCALE : 0;
}

bool
engine_counts_instret(enum engine_kind k)
{
    return k < ENGINE_THREADED;
}

/*
 * What changes all the time is one page, which parent and child of a fork both have to copy:
 *
 *      | guard | the first hart's shadow stack …            ◄── top |  owner's  | struct engine, struct jit |
 *                                               |                       the last page                       |
 */
#define PAGE 4096
#define SELF_BYTES ((sizeof(struct engine) + sizeof(struct jit) + 63) & ~(size_t)63)
#define TOP_BYTES 64 /* above a shadow stack's top */
#define PLACE_BYTES (PAGE + SHADOW_BYTES)
static_assert(SELF_BYTES + ENGINE_BESIDE + TOP_BYTES < PAGE, "one page");

void *
engine_place_new(void **beside)
{
    char *p = mmap(NULL, PLACE_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (p == MAP_FAILED) {
        return NULL;
    }
    mprotect(p, PAGE, PROT_NONE);
    *beside = p + PLACE_BYTES - SELF_BYTES - ENGINE_BESIDE;
    return p;
}

static void
place_free(struct engine *en)
{
    if (en->cfg.place == NULL) {
        munmap((char *)en + SELF_BYTES - PLACE_BYTES, PLACE_BYTES);
    }
}

static struct engine *
place_engine(const struct engine_config *cfg, struct err *e)
{
    void *beside;
    char *const place = cfg->place != NULL ? cfg->place : engine_place_new(&beside);
    if (place == NULL) {
        err_set(e, -ENOMEM, "make an engine");
        return NULL;
    }
    struct engine *en = (struct engine *)(void *)(place + PLACE_BYTES - SELF_BYTES);
    en->cfg = *cfg;
    en->first_shadow = (char *)en - ENGINE_BESIDE - TOP_BYTES;
    en->shadows = en->first_shadow;
    en->n_shadows = 1;
    return en;
}

struct engine *
engine_new(const struct engine_config *cfg, struct err *e)
{
    struct engine *en = place_engine(cfg, e);
    if (en == NULL) {
        return NULL;
    }
    en->scale = SLOT_SCALE;
    if (cfg->kind >= ENGINE_THREADED) {
        en->scale = THREADED_SCALE;
        en->forgotten = cfg->guest_base == 0 ? interp_threaded_base0_forgotten() : interp_threaded_forgotten();
    }
    fp_host_probe(false);
    if (code_space_init(en, e) != 0) {
        place_free(en);
        return NULL;
    }
    if (cfg->kind == ENGINE_ADAPTIVE && jit_init(en, e) != 0) {
        engine_free(en);
        return NULL;
    }
    return en;
}

struct engine *
engine_new_machine(const struct engine_tuning *tuning, uint64_t ram_bytes, struct err *e)
{
    struct engine *en = place_engine(&(struct engine_config){.kind = ENGINE_ADAPTIVE, .tuning = *tuning}, e);
    if (en == NULL) {
        return NULL;
    }
    en->had_more = true;
    en->jit = (struct jit *)(void *)(en + 1);
    if (code_flags_init(en, ram_bytes, e) != 0 || machine_code_init(en, ram_bytes, e) != 0 || jit_init(en, e) != 0 ||
        jit_entries_map(en, 0, ram_bytes) != 0) {
        engine_free(en);
        return NULL;
    }
    return en;
}

void
engine_free(struct engine *en)
{
    if (en != NULL) {
        debug_fini(en);
        jit_fini(en);
        code_space_fini(en);
        place_free(en);
    }
}

/*
 * Who forks again and again runs translations by now; what was decoded before is pages that each fork copies, and each child gives back.
 * What is executed of it after all is decoded again, ever more seldom.
 */
#define FORKS_MANY 8
static bool
forks_much(struct jit *j)
{
    j->forks++;
    return j->forks >= FORKS_MANY && (j->forks & (j->forks - 1)) == 0;
}

HOT void
engine_before_fork(struct engine *en)
{
    if (en->jit != NULL) {
        if (forks_much(en->jit) && en->debug == NULL) {
            code_drop_decoded(en);
        }
        jit_wishes_init(en->jit);
        pthread_mutex_lock(&en->jit->lock);
    }
}

HOT void
engine_after_fork_parent(struct engine *en)
{
    if (en->jit != NULL) {
        en->jit->has_forked = true;
        pthread_mutex_unlock(&en->jit->lock);
    }
}

HOT void
engine_after_fork(struct engine *en, struct hart *h)
{
    atomic_store(&en->running, 0);
    atomic_store(&en->writing, false);
    en->had_more = false;
    if (en->jit != NULL) {
        en->jit->forks = 0;
        en->jit->lock = (pthread_mutex_t)PTHREAD_MUTEX_INITIALIZER;
        en->harts = h->jit_sp_top != NULL ? h : NULL;
        h->jit_next = NULL;
        jit_after_fork(en);
        if (en->jit->profile != NULL) {
            profile_forked(en, h);
        }
        jit_wishes_child(en->jit);
    }
}

int
engine_running(struct engine *en)
{
    int n = atomic_load(&en->running);
    if (en->jit != NULL) {
        pthread_mutex_lock(&en->jit->lock);
        for (const struct hart *h = en->harts; h != NULL; h = h->jit_next) {
            n += (int)__atomic_load_n(&h->inside, __ATOMIC_SEQ_CST);
        }
        pthread_mutex_unlock(&en->jit->lock);
    }
    return n;
}

bool
engine_is_alone(const struct hart *h)
{
    struct engine *en = h->engine;
    /* Its own thread asks, for each instruction that it decodes: the usual answer costs no lock. */
    if (__atomic_load_n(&en->harts, __ATOMIC_ACQUIRE) == h && __atomic_load_n(&h->jit_next, __ATOMIC_ACQUIRE) == NULL) {
        return atomic_load(&en->running) == 0;
    }
    return engine_running(en) == 1;
}

HOT static void
run(struct engine *en, struct hart *h, int64_t budget)
{
    if (__builtin_expect(en->debug != NULL, 0) && (((struct landing *)h->landing)->exact || debug_watches(en))) {
        debug_run(h, budget);
        return;
    }
    if (en->cfg.kind == ENGINE_ADAPTIVE) { /* without the switch's table */
        interp_adaptive(h, budget);
        return;
    }
    switch (en->cfg.kind) {
    case ENGINE_SWITCH:
        interp_switch(h, budget);
        break;
    case ENGINE_INDIRECT:
        interp_indirect(h, budget);
        break;
    case ENGINE_PREDECODED:
        interp_predecoded(h, budget);
        break;
    case ENGINE_THREADED:
        if (en->cfg.guest_base == 0) {
            interp_threaded_base0(h, budget);
        } else {
            interp_threaded(h, budget);
        }
        break;
    case ENGINE_ADAPTIVE:
        break;
    }
}

/* Not inlined: whatever lives across the landing is in this frame's memory or in the hart. */
HOT __attribute__((noinline)) struct engine_exit
engine_run_as(struct engine *en, struct hart *h, int64_t budget, bool exact, bool over)
{
    struct landing land = {.exact = exact, .over = over};
    h->engine = en;
    h->slots = en->slots;
    h->landing = &land;
    h->ip = NULL;
    land.counted = en->jit == NULL || (h->jit_sp_top == NULL && !adaptive_prepare(en, h));
    if (land.counted) {
        atomic_fetch_add(&en->running, 1);
    } else {
        inside_set(en, &h->inside);
    }
    fp_enter(h);
    land.budget = budget;
    land.hart = h;
    /* After a jump back only memory is trusted: it restored no register. */
    do {
        if (__builtin_setjmp(land.jb) == 0) {
            land.again = false;
            land.hart->in_guest = GUEST_RUNNING;
            run(land.hart->engine, land.hart, land.budget); /* comes back for a system call out of a translation only */
        }
        if (land.hart->ip != NULL) {
            land.hart->pc = (uint64_t)((const char *)land.hart->ip - land.hart->engine->slots) / land.hart->engine->scale;
            land.hart->ip = NULL;
        }
        if (land.hart->engine->jit != NULL && adaptive_landed(land.hart)) {
            land.again = true; /* execution may never come to where it is missing */
            land.ex.kind = EXIT_BUDGET;
        }
    } while (land.again && land.ex.kind == EXIT_BUDGET);
    h = land.hart;
    en = h->engine;
    h->in_guest = GUEST_NOT;
    fp_leave(h);
    if (land.counted) {
        atomic_fetch_sub_explicit(&en->running, 1, memory_order_relaxed);
    } else {
        __atomic_store_n(&h->inside, 0, __ATOMIC_RELEASE);
    }
    if (land.ex.kind == EXIT_FENCE_I) {
        h->pc += land.ex.addr;
        land.ex.addr = 0;
    }
    return land.ex;
}

HOT struct engine_exit
engine_run(struct engine *en, struct hart *h, int64_t budget)
{
    return engine_run_as(en, h, budget, false, false);
}

_Noreturn void
interp_leave(struct hart *h, enum exit_kind kind, uint64_t addr)
{
    struct landing *land = h->landing;
    land->ex = (struct engine_exit){.kind = kind, .addr = addr};
    __builtin_longjmp(land->jb, 1);
}

_Noreturn void
interp_leave_poll(struct hart *h)
{
    interp_leave(h, h->attention != 0 ? EXIT_ATTENTION : EXIT_BUDGET, 0);
}

_Noreturn void
interp_leave_wild(struct hart *h, uint64_t target)
{
    h->ip = NULL;
    h->pc = target;
    interp_leave(h, EXIT_FETCH, target);
}

_Noreturn void
interp_leave_fault(struct hart *h, uint64_t addr, bool write)
{
    struct landing *land = h->landing;
    land->ex = (struct engine_exit){.kind = EXIT_FAULT, .addr = addr, .write = write};
    __builtin_longjmp(land->jb, 1);
}

/*
 * size_t engine_peek(void *dst, const void *src, size_t n): copies guest bytes that may be gone, as when a file of code has been truncated.
 * How many it could not copy.
 */
extern const char engine_peek_insn[], engine_peek_fault[];
__asm__(".pushsection .text\n"
        ".globl engine_peek, engine_peek_insn, engine_peek_fault\n"
        ".hidden engine_peek, engine_peek_insn, engine_peek_fault\n"
        ".type engine_peek, @function\n"
        "engine_peek:\n"
        "    mov %rdx, %rcx\n"
        "engine_peek_insn:\n"
        "    rep movsb\n"
        "engine_peek_fault:\n"
        "    mov %rcx, %rax\n"
        "    ret\n"
        ".size engine_peek, . - engine_peek\n"
        ".popsection\n");

bool
engine_fault(struct hart *h, int sig, int code, uint64_t host_addr, bool write, void *ucontext)
{
    greg_t *const rip = &((ucontext_t *)ucontext)->uc_mcontext.gregs[REG_RIP];
    if (*rip == (greg_t)(uintptr_t)engine_peek_insn) {
        *rip = (greg_t)(uintptr_t)engine_peek_fault;
        return true;
    }
    if (h == NULL || h->in_guest == GUEST_NOT) {
        return false;
    }
    const uint32_t mxcsr = ((const ucontext_t *)ucontext)->uc_mcontext.fpregs->mxcsr;
    struct engine *en = h->engine;
    struct landing *land = h->landing;
    struct engine_exit ex = {.write = write, .host_sig = sig, .host_code = code};
    if (h->in_guest == GUEST_TRANSLATED) {
        bool resume;
        if (!adaptive_fault(h, ucontext, host_addr, &resume)) {
            return resume;
        }
        ex.addr = host_addr - en->cfg.guest_base;
        ex.kind = EXIT_FAULT;
        if (ex.addr >= GUEST_TOP || code == SI_KERNEL || h->interpret != 0) {
            /* Not an access to a page, or several at once: the interpreter does the instruction again, and finds out what is wrong. */
            land->again = true;
            ex.kind = EXIT_BUDGET;
            h->interpret = 1;
        }
    } else if (code_space_contains(en, host_addr)) {
        ex.kind = EXIT_FETCH;
        /* Signed: a jump to below 0 lands in the lower guard. */
        ex.addr = (uint64_t)((int64_t)(host_addr - (uint64_t)(uintptr_t)en->slots) / (int64_t)en->scale);
        if (h->in_guest == GUEST_RUNNING) { /* a jump to nowhere: no handler ran for it yet */
            h->pc = ex.addr;
            h->ip = NULL;
        }
    } else if (host_addr - en->cfg.guest_base < GUEST_TOP) {
        ex.kind = h->in_guest == GUEST_FETCHING ? EXIT_FETCH : EXIT_FAULT;
        ex.addr = host_addr - en->cfg.guest_base;
        ex.addr = ex.kind == EXIT_FETCH ? interp_fetch_addr(h, ex.addr) : ex.addr;
    } else if (h->in_guest == GUEST_FETCHING && keep_faulted(en, host_addr)) {
        land->again = true;
        ex.kind = EXIT_BUDGET;
        h->interpret = 1;
    } else {
        return false;
    }
    land->ex = ex;
    fp_mxcsr_write(mxcsr);
    __builtin_longjmp(land->jb, 1);
}
