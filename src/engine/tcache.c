/*
 * tcache.c - where translations live
 *
 *      code view (r-x)   | trampolines | translation | translation | …            the same memory,
 *      write view (rw-)  |             "             "                            at two places
 *      data (rw-)        | counters …    | slot | slot | …  in reach of the code, private: a child of fork has its own
 *
 * Code is written once and never changed. Where it jumps is in slots, which seldom change; counters do all the time, and are close
 * together: parent and child of a fork each copy the pages that they write. Which translation a guest address has is in
 * entries[pc / 2], read by translated code itself. Forgetting a translation empties its entry and the slots that lead to it;
 * its bytes are reclaimed when the whole cache is: once it is full, nobody enters any more, and the last to leave starts it afresh.
 *
 * fork: the child keeps the pages that it inherited, which the parent no longer writes for it, and gets fresh ones for the rest.
 *
 * Threads: everything but jit_find() and jit_translation_at() holds jit->lock.
 */
#include "engine/hle.h"
#include "engine/keep.h"
#include "engine/lockstep.h"
#include "engine/lower.h"
#include "engine/profile.h"
#include "engine/record.h"

#include "base/check.h"
#include "base/nondet.h"
#include "engine/fp_ops.h"

#include <cpuid.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/platform/x86.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define PAGE 4096
/* A cache of 64 MiB has room for so much besides its code; a larger one for more in proportion. */
#define DATA_BYTES (UINT64_C(16) << 20)
#define TRANSLATIONS (1u << 18)
#define EXITS (1u << 20)
#define USUAL_BYTES ((uint64_t)64 << 20)
#define MACHINE_BYTES ((uint64_t)256 << 20) /* of a whole system's programs; what is not used costs nothing */
#define ENTRIES_BYTES (GUEST_TOP * 2)
#define HOT1_MAX 10000       /* times; the count has 16 bits */
#define BUSY_NS 50000        /* CPU time for each translation, if five times as long as it takes to make one */
#define TRANSLATION_ALIGN 32 /* where the next one may begin */
#define HOT_ALIGN 64         /* … if it is a region: a line of the host's, for small loops' sake */
#define PAGE_BUCKETS (1u << 12)

#define CALLEE_SAVED (1u << RBX | 1u << RBP | 0xf000u)

static const uint8_t std_guests[] = {1, 2, 8, 9, 10, 11, 12, 13, 14, 15, 18};

void
jit_std_homes(struct x64 *x, bool out)
{
    for (unsigned k = 0; k < sizeof std_guests; k++) {
        const unsigned g = std_guests[k];
        x_rm(x, out ? X_STORE : X_MOV, true, std_map.x[g], M(RBP, HART_X(g)));
    }
}

/* The code that translations and the monitor meet in. */
static void
trampolines(struct jit *j)
{
    static const int8_t saved[] = {RBX, RBP, R12, R13, R14, R15};
    struct x64 x = {.p = j->write, .end = j->write + JIT_FIXED_BYTES, .delta = j->code - j->write};
    /* 0: an empty entry. rax: the guest address. */
    j->indirect_exit = x_here(&x);
    x_rm(&x, X_STORE, true, RAX, M(RBP, HART(pc)));
    x_rr(&x, X_XOR, false, RAX, RAX);
    j->leave = x_here(&x);
    jit_std_homes(&x, true);
    x_rm(&x, X_STORE, true, RSP, M(RBP, HART(jit_sp)));
    uint8_t *const out = x.p; /* all is in memory */
    x_rm(&x, X_MOV, true, RSP, M(RBP, HART(jit_host_sp)));
    for (unsigned k = sizeof saved; k-- > 0;) {
        x_pop(&x, saved[k]);
    }
    x_b(&x, 0xc3);
    j->return_missed = x_here(&x);
    x_rm(&x, X_MOV, true, RSP, M(RBP, HART(jit_sp_top)));
    x_land_at(x_poll(&x), j->indirect_exit - x.delta);
    if (j->machine != NULL) {
        machine_return(j, &x);
    }
    x_mov(&x, RCX, RAX);
    x_shift_i(&x, X_SHR, true, RCX, 38);
    x_land_at(x_jcc(&x, CC_NE), j->indirect_exit - x.delta);
    x_rm(&x, X_MOV, true, RCX, M(RBP, HART(jit_entries)));
    x_rm(&x, X_MOV, false, RCX, (struct mem){RCX, RAX, 1, 0});
    x_rm(&x, X_ADD, true, RCX, M(RBP, HART(jit_code)));
    x_rr(&x, 0xff, false, 4, RCX);
    /* The monitor's stack is as `enter` left it, 8 bytes off a multiple of 16. */
    j->callout = x_here(&x);
    x_rm(&x, X_STORE, true, RAX, M(RBP, HART(pc)));
    jit_std_homes(&x, true);
    x_rm(&x, X_STORE, true, RSP, M(RBP, HART(jit_sp)));
    x_rm(&x, X_MOV, true, RSP, M(RBP, HART(jit_host_sp)));
    x_rm(&x, X_LEA, true, RDI, M(RBP, -HART_BIAS));
    x_ri(&x, X_I_SUB, true, RSP, 8);
    x_call_mem(&x, M(RBP, HART(jit_ecall)));
    x_rm(&x, X_MOV, true, RSP, M(RBP, HART(jit_sp)));
    x_rr(&x, X_TEST, false, RAX, RAX);
    uint8_t *const leaves = x_jcc(&x, CC_NE);
    x_rr(&x, X_P(0x66) | X_0F | 0x76, false, XMM_ONES, XMM_ONES);
    for (unsigned k = 0; k < sizeof std_guests; k++) {
        const unsigned g = std_guests[k];
        if ((1u << std_map.x[g] & CALLEE_SAVED) == 0) {
            x_rm(&x, X_MOV, true, std_map.x[g], M(RBP, HART_X(g)));
        }
    }
    x_b(&x, 0xc3);
    x_land(&x, leaves);
    x_ri(&x, X_I_ADD, true, RSP, 8);
    x_rm(&x, X_STORE, true, RSP, M(RBP, HART(jit_sp)));
    x_ri(&x, X_I_SUB, false, RAX, 1);
    x_jmp_to(&x, out);
    j->enter = (uint32_t(*)(struct hart *, const void *))(uintptr_t)x_here(&x);
    for (unsigned k = 0; k < sizeof saved; k++) {
        x_push(&x, saved[k]);
    }
    x_rm(&x, X_LEA, true, RBP, M(RDI, HART_BIAS));
    x_mov(&x, RAX, RSI);
    x_rm(&x, X_STORE, true, RSP, M(RBP, HART(jit_host_sp)));
    x_rm(&x, X_MOV, true, RSP, M(RBP, HART(jit_sp)));
    x_rr(&x, X_P(0x66) | X_0F | 0x76, false, XMM_ONES, XMM_ONES);
    jit_std_homes(&x, false);
    x_rr(&x, 0xff, false, 4, RAX);
    j->return_odd = x_here(&x);
    x_rr(&x, X_XOR, false, RAX, RAX);
    x_jmp_to(&x, j->return_missed - x.delta);
    if (j->machine != NULL) {
        machine_trampolines(j, &x, out);
    }
    j->top = j->floor = j->code + JIT_FIXED_BYTES;
}

/*
 * Fresh memory for the cache from there on, at its two places. Shared anonymous memory: perf looks for the names of the code in it
 * (/tmp/perf-PID.map), which it does not for a memfd.
 */
static int
views_map(struct jit *j, uint8_t *from)
{
    const size_t off = (size_t)(from - j->code), len = j->size - off;
    void *const code = j->code + off, *const writable = j->write + off;
    if (mmap(code, len, PROT_READ | PROT_EXEC, MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == MAP_FAILED ||
        mremap(code, 0, len, MREMAP_MAYMOVE | MREMAP_FIXED, writable) == MAP_FAILED || /* 0: the same memory once more */
        mprotect(writable, len, PROT_READ | PROT_WRITE) != 0) {
        return -errno;
    }
    return 0;
}

/* CPU_FEATURE_ACTIVE() for bit 31 of a word, which the header shifts into a sign: undefined. */
static bool
active_at_31(unsigned feature)
{
    const unsigned word = feature / 32;
    return (__x86_get_cpuid_feature_leaf(word / 4)->active_array[word % 4] & UINT32_C(1) << 31) != 0;
}

/* As libc has found them: see fp_host_probe(). */
static void
host_features(struct jit *j, unsigned level)
{
    j->popcnt = level >= 2 && CPU_FEATURE_ACTIVE(POPCNT);
    j->sse41 = level >= 2 && CPU_FEATURE_ACTIVE(SSE4_1);
    j->lzcnt = level >= 3 && CPU_FEATURE_ACTIVE(LZCNT);
    j->bmi1 = level >= 3 && CPU_FEATURE_ACTIVE(BMI1);
    j->bmi2 = level >= 3 && CPU_FEATURE_ACTIVE(BMI2);
    j->avx = level >= 3 && CPU_FEATURE_ACTIVE(AVX);
    j->avx2 = level >= 3 && CPU_FEATURE_ACTIVE(AVX2);
    j->fma = level >= 3 && CPU_FEATURE_ACTIVE(FMA);
    j->avx512 = level >= 4 && CPU_FEATURE_ACTIVE(AVX512F) && CPU_FEATURE_ACTIVE(AVX512DQ) && active_at_31(x86_cpu_AVX512VL);
}

/* xmm16 and up, if a fault can tell what they held: component 7 of the state that XSAVE writes. (A machine's misses do not save them.) */
static void
high_registers(struct jit *j)
{
    unsigned size = 0, at = 0, c, d;
    j->high = j->avx512 && j->machine == NULL && (j->opts & IROPT_HIGH) != 0 && __get_cpuid_count(13, 7, &size, &at, &c, &d) &&
              size == 16 * 64 && at >= 576;
    j->high_at = at;
}

static const struct {
    const char *name;
    uint32_t bit;
} opt_names[] = {{"fold", IROPT_FOLD}, {"cse", IROPT_CSE}, {"fuse", IROPT_FUSE}, {"dse", IROPT_DSE}, {"regions", IROPT_REGIONS},
              {"place", IROPT_PLACE}, {"nan", IROPT_NAN},   {"box", IROPT_BOX},   {"flags", IROPT_FLAGS}, {"twice", IROPT_TWICE}, {"fma", IROPT_FMA},
              {"trust", IROPT_TRUST}, {"late", IROPT_LATE}, {"lrsc", IROPT_LRSC}, {"bytes", IROPT_BYTES}, {"twins", IROPT_TWINS}, {"hle", IROPT_HLE}, {"unroll", IROPT_UNROLL}, {"high", IROPT_HIGH}, {"select", IROPT_SELECT}};

uint32_t
engine_opt_by_name(const char *name, size_t len)
{
    for (unsigned k = 0; k < sizeof opt_names / sizeof opt_names[0]; k++) {
        if (strlen(opt_names[k].name) == len && memcmp(name, opt_names[k].name, len) == 0) {
            return opt_names[k].bit;
        }
    }
    return 0;
}

size_t
engine_stats(const struct engine *en, char *text, size_t size)
{
    const struct jit *j = en->jit;
    if (j == NULL) {
        return 0;
    }
    const struct jit_stats *s = &j->stats;
    const unsigned long *x = s->exits;
    const struct keep_stats *kept = keep_stats(j);
    int n = snprintf(
        text, size,
        "blocks %lu, regions %lu, guest instructions %lu, bytes %lu\n"
        "folded %lu, shared %lu, dead %lu, spilled %lu, late NaNs %lu, late boxes %lu, settled %lu, flags kept %lu, addresses %lu, not stored %lu, halves %lu, pairs %lu, merged %lu, twins %lu, unrolled %lu, high %lu, selected %lu\n"
        "chains %lu, forgotten %lu, flushes %lu, faults %lu, hot %lu, interpreted runs %lu\n"
        "exits: indirect %lu, chain %lu, hot %lu, poll %lu, interpreter %lu, system call %lu, other %lu\n",
        s->blocks, s->regions, s->insns, s->bytes, j->ir->folded, j->ir->shared, s->dead, s->spills, s->lazy_nans,
        s->lazy_boxes, s->settled, s->flags_kept, s->amodes, s->unstored, s->halves, s->pairs, s->merged, s->twins, s->unrolled, s->high, s->selected, s->chains, s->invalidated,
        s->flushes, s->faults, s->hot, s->interp_runs, x[JX_INDIRECT], x[JX_CHAIN], x[JX_HOT], x[JX_POLL], x[JX_INTERP],
        x[JX_ECALL], x[JX_EBREAK] + x[JX_ILLEGAL] + x[JX_FENCE_I]);
    if (kept != NULL && n >= 0 && (size_t)n < size) {
        n += snprintf(text + n, size - (size_t)n, "kept: files %lu, loaded %lu, rejected %lu, new %lu, saved %lu\n", kept->files, kept->loaded,
                      kept->rejected, kept->noted, kept->saved);
    }
    if (n >= 0 && (size_t)n < size) {
        n += hle_stats(j, text + n, size - (size_t)n);
    }
    if (j->lockstep != NULL && n >= 0 && (size_t)n < size) {
        n += snprintf(text + n, size - (size_t)n, "checked: %lu times, %lu instructions; not: %lu times\n", s->checked, s->checked_insns, s->unchecked);
    }
    return n < 0 ? 0 : (size_t)n < size ? (size_t)n : size;
}

static uint64_t
count(const unsigned long *at)
{
    return __atomic_load_n(at, __ATOMIC_RELAXED);
}

bool
engine_translations(const struct engine *en, struct engine_translations *t)
{
    const struct jit *j = en->jit;
    if (j == NULL) {
        return false;
    }
    const struct jit_stats *s = &j->stats;
    *t = (struct engine_translations){count(&s->blocks), count(&s->regions), count(&s->insns), count(&s->bytes), count(&s->invalidated), count(&s->flushes)};
    return true;
}

static void *
reserve(size_t bytes, int prot)
{
    void *p = mmap(NULL, bytes, prot, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    return p == MAP_FAILED ? NULL : p;
}

/*
 * What the translator writes as it works, in one reservation: its parts, one behind the other, and their size. First *scratch bytes that
 * nobody needs once a translation is made: a fork does not copy them, so its maker goes on writing them where they are.
 */
static size_t
lay_out_tables(struct jit *j, char *at, size_t *scratch)
{
    size_t used = 0;
#define PART(member, bytes) (j->member = (void *)((uintptr_t)at + used), used += ((bytes) + PAGE - 1) & ~(size_t)(PAGE - 1))
    PART(region, sizeof *j->region);
    PART(ir, sizeof *j->ir);
    PART(relocs, RELOCS_MAX * sizeof *j->relocs);
    PART(lower, sizeof *j->lower);
    PART(record, RECORD_MAX);
    *scratch = used;
    /* The large ones last: of what is used the page tables are few. */
    PART(by_page, PAGE_BUCKETS * sizeof *j->by_page);
    PART(heat, sizeof *j->heat * HEATS);
    PART(by_addr, j->max_translations * sizeof *j->by_addr);
    PART(starts, j->size / TRANSLATION_ALIGN * sizeof *j->starts);
    PART(exits, j->max_exits * sizeof *j->exits);
#undef PART
    return used;
}

int
jit_init(struct engine *en, struct err *e)
{
    struct jit *j = (struct jit *)(void *)(en + 1); /* all zeros: engine_new() */
    en->jit = j;
    pthread_mutex_init(&j->lock, NULL);
    const struct engine_tuning *tune = &en->cfg.tuning;
    const uint64_t usual = j->machine != NULL ? MACHINE_BYTES : USUAL_BYTES;
    j->size = tune->code_cache != 0 ? (tune->code_cache + PAGE - 1) & ~(uint64_t)(PAGE - 1) : usual;
    const uint64_t more = j->size > USUAL_BYTES ? j->size : USUAL_BYTES;
    j->max_translations = (uint32_t)(TRANSLATIONS * more / USUAL_BYTES);
    const uint64_t counts_bytes = (j->max_translations * sizeof *j->counts + PAGE - 1) & ~(uint64_t)(PAGE - 1);
    j->data_bytes = DATA_BYTES * more / USUAL_BYTES & ~(uint64_t)(PAGE - 1);
    j->max_exits = (uint32_t)(EXITS * more / USUAL_BYTES);
    j->hot1 = tune->hot1 != 0 ? tune->hot1 - 1 : 24;
    j->hot2 = tune->hot2 != 0 ? tune->hot2 - 1 : j->machine != NULL ? 600 : 1500; /* a machine's first tier counts and looks up more */
    j->opts = IROPT_ALL & ~tune->opts_off;
    if (j->machine != NULL) { /* accesses may be of a device's registers, or of two pages */
        j->opts &= ~(unsigned)(IROPT_HLE | IROPT_BYTES | IROPT_LRSC | IROPT_UNROLL | IROPT_SELECT);
    }
    /* Their addresses are the host's; who counts or compares wants the guest's instructions. */
    if (en->cfg.guest_base != 0 || (tune->show & (ENGINE_PROFILE | ENGINE_LOCKSTEP | ENGINE_BORDER))) {
        j->opts &= ~(unsigned)IROPT_HLE;
    }
    j->show = tune->show;
    for (unsigned m = 0; m < 64; m++) {
        j->flags_of[m] = fp_flags_of_mxcsr(m);
    }
    host_features(j, tune->host_cpu != 0 ? tune->host_cpu : 4);
    high_registers(j);
    /* Code and data side by side: rip-relative displacements reach from one to the other. */
    j->code = reserve(j->size + j->data_bytes, PROT_NONE);
    j->write = reserve(j->size, PROT_NONE);
    j->entries = reserve(ENTRIES_BYTES, PROT_READ);
    size_t scratch;
    j->tables = reserve(lay_out_tables(j, NULL, &scratch), PROT_READ | PROT_WRITE);
    if (j->code == NULL || j->write == NULL || j->entries == NULL || j->tables == NULL) {
        return err_set(e, -ENOMEM, "reserve address space for translations (is ulimit -v or -d set?)");
    }
    lay_out_tables(j, j->tables, &scratch);
    madvise(j->tables, scratch, MADV_WIPEONFORK);
    j->counts = (uint32_t *)(void *)(j->code + j->size);
    j->data = (uint64_t *)(void *)j->counts + counts_bytes / sizeof *j->data;
    if (mprotect(j->counts, j->data_bytes, PROT_READ | PROT_WRITE) != 0) {
        return err_set(e, -errno, "reserve memory for translations");
    }
    const int r = views_map(j, j->code);
    if (r != 0) {
        return err_set(e, r, "make executable memory for translations");
    }
    trampolines(j);
    j->data_top = j->data;
    j->data_end = (uint64_t *)(void *)(j->code + j->size + j->data_bytes);
    j->n_exits = FIRST_EXIT;
    j->exits[JX_ECALL] = (struct jexit){.kind = JX_ECALL};
    if (tune->show & ENGINE_PROFILE) {
        j->profile = profile_new();
        if (j->profile == NULL) {
            return err_set(e, -ENOMEM, "make a profile");
        }
        j->hot1 = 0;
        j->opts |= IROPT_PLACE;
    }
    if (tune->show & (ENGINE_LOCKSTEP | ENGINE_BORDER)) {
        j->lockstep = lockstep_new((tune->show & ENGINE_BORDER) != 0);
        if (j->lockstep == NULL) {
            return err_set(e, -ENOMEM, "reserve address space for a check");
        }
    }
    j->hot1_least = tune->hot1 != 0 ? 0 : j->hot1; /* who says when means it */
    keep_init(en);
    return 0;
}

void
jit_fini(struct engine *en)
{
    struct jit *j = en->jit;
    if (j == NULL) {
        return;
    }
    keep_fini(en);
    jit_shadows_free(en);
    profile_free(j->profile);
    lockstep_free(j->lockstep);
    j->profile = NULL;
    j->lockstep = NULL;
    if (j->code != NULL && j->write != NULL && j->entries != NULL && j->tables != NULL) {
        jit_flush(en);
        munmap(j->code, j->size + j->data_bytes);
        munmap(j->write, j->size);
        munmap(j->entries, ENTRIES_BYTES);
        size_t scratch;
        munmap(j->tables, lay_out_tables(j, j->tables, &scratch));
    }
    machine_code_fini(en);
    en->jit = NULL;
}

int
jit_entries_map(struct engine *en, uint64_t start, uint64_t end)
{
    struct jit *j = en->jit;
    const uint64_t from = (start * 2) & ~(uint64_t)(PAGE - 1), to = (end * 2 + PAGE - 1) & ~(uint64_t)(PAGE - 1);
    return mprotect((char *)j->entries + from, to - from, PROT_READ | PROT_WRITE) == 0 ? 0 : -errno;
}

/*
 * Memory of this process's own from `top` on: what was inherited stays as it is. A host that has no mapping to spare (vm.max_map_count)
 * is asked again when there is something to translate; until then what there is runs on, and the rest is interpreted.
 */
static bool
own_memory(struct jit *j)
{
    uint8_t *const from = (uint8_t *)(((uintptr_t)j->top + PAGE - 1) & ~(uintptr_t)(PAGE - 1));
    const bool was_inherited = j->inherited;
    j->inherited = from < j->code + j->size && views_map(j, from) != 0;
    if (j->inherited) {
        return false;
    }
    j->top = from;
    if (was_inherited) {
        keep_after_fork(j);
    }
    return true;
}

/*
 * Code that is translated again and again costs more than it saves. If filling the cache took little more than it takes to translate,
 * code has to run oftener from now on before it is translated; else as often as at the start.
 */
static void
adapt(struct jit *j)
{
    struct timespec ts;
    if (j->hot1_least == 0 || j->n_by_addr == 0 || nondet_clock(CLOCK_PROCESS_CPUTIME_ID, &ts) != 0) {
        return;
    }
    const uint64_t now = (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
    const bool too_fast = (now - j->flushed_at) / j->n_by_addr < BUSY_NS;
    j->hot1 = !too_fast ? j->hot1_least : j->hot1 < HOT1_MAX ? j->hot1 * 2 : j->hot1;
    j->flushed_at = now;
}

/* Start afresh. Nobody is in translated code. */
void
jit_flush(struct engine *en)
{
    struct jit *j = en->jit;
    if (j->profile != NULL) {
        profile_flush(j);
    }
    adapt(j);
    for (struct translation *t = j->all, *next; t != NULL; t = next) {
        next = t->next;
        j->entries[t->pc / 2] = 0;
    }
    for (uint32_t k = 0; k < j->n_by_addr; k++) {
        free(j->by_addr[k]);
    }
    j->all = NULL;
    memset(j->by_page, 0, PAGE_BUCKETS * sizeof j->by_page[0]);
    __atomic_store_n(&j->n_by_addr, 0, __ATOMIC_RELEASE);
    if (j->top > j->floor) {
        j->top = j->floor; /* the trampolines stay: somebody may be on his way back to one */
        own_memory(j);
    }
    madvise(j->counts, j->data_bytes, MADV_DONTNEED);
    j->data_top = j->data;
    j->n_exits = FIRST_EXIT;
    memset(j->heat, 0, sizeof *j->heat * HEATS);
    j->epoch++;
    j->stats.flushes++;
}

struct translation *
jit_begin(struct jit *j, struct x64 *x, unsigned tier)
{
    const unsigned align = tier == 2 ? HOT_ALIGN : TRANSLATION_ALIGN;
    j->no_room = false;
    if (j->inherited && !own_memory(j)) {
        return NULL;
    }
    uint8_t *const at = (uint8_t *)(((uintptr_t)j->top + align - 1) & ~(uintptr_t)(align - 1));
    if (at + 4096 > j->code + j->size || j->n_by_addr == j->max_translations) {
        j->no_room = true;
        return NULL;
    }
    static struct translation made; /* of who holds the lock; jit_publish() makes it last */
    made = (struct translation){0};
    x->delta = j->code - j->write;
    x->p = at - x->delta;
    x->end = j->write + j->size;
    x->start = x->p;
    x->relocs = j->relocs;
    x->n_relocs = 0;
    x->max_relocs = RELOCS_MAX;
    return &made;
}

uint64_t *
jit_data_new(struct jit *j, uint64_t v)
{
    if (j->data_top == j->data_end) {
        return NULL;
    }
    *j->data_top = v;
    return j->data_top++;
}

uint32_t
jit_exit_new(struct jit *j, enum jexit_kind kind, uint64_t pc)
{
    if (j->n_exits == j->max_exits) {
        return UINT32_MAX;
    }
    j->exits[j->n_exits] = (struct jexit){.kind = (uint8_t)kind, .pc = pc};
    return j->n_exits++;
}

#define HASH_START UINT64_C(0xcbf29ce484222325)

static uint64_t
hash_half(uint64_t h, unsigned half)
{
    return (h ^ half) * UINT64_C(0x100000001b3);
}

/* The hash of what the guest bytes are now; not t->hash if they cannot be read. */
static uint64_t
hash_now(const struct engine *en, const struct translation *t)
{
    uint64_t h = HASH_START;
    for (uint32_t s = 0; s < t->n_spans; s++) {
        uint16_t piece[256];
        for (uint64_t a = t->spans[s].start; a < t->spans[s].end; a += sizeof piece) {
            const uint64_t left = t->spans[s].end - a, n = left < sizeof piece ? left : sizeof piece;
            if (engine_peek(piece, (const void *)(uintptr_t)(a + en->cfg.guest_base), n) != 0) {
                return ~t->hash;
            }
            for (unsigned k = 0; k < n / 2; k++) {
                h = hash_half(h, piece[k]);
            }
        }
    }
    return h;
}

/* What they were when they were decoded. */
uint64_t
jit_region_hash(const struct region *r)
{
    uint64_t h = HASH_START;
    for (unsigned b = 0; b < r->n_blocks; b++) {
        for (unsigned k = r->blocks[b].first; k < r->blocks[b].first + r->blocks[b].count; k++) {
            h = hash_half(h, r->words[k] & 0xffff);
            h = r->insns[k].len == 4 ? hash_half(h, r->words[k] >> 16) : h;
        }
    }
    for (uint32_t k = 0; r->hle != 0 && k < r->hle_bytes; k += 2) {
        h = hash_half(h, (unsigned)r->hle_code[k] | (unsigned)r->hle_code[k + 1] << 8);
    }
    return h;
}

static size_t
pages_of(const struct translation *t, struct on_page *out, struct translation *self)
{
    size_t n = 0;
    uint64_t last = UINT64_MAX;
    for (uint32_t s = 0; s < t->n_spans; s++) {
        for (uint64_t p = t->spans[s].start / PAGE; p <= (t->spans[s].end - 1) / PAGE; p++) {
            if (p == last) {
                continue;
            }
            if (out != NULL) {
                out[n] = (struct on_page){.t = self, .page = p};
            }
            n++;
            last = p;
        }
    }
    return n;
}

struct translation *
jit_publish(struct engine *en, const struct translation *made, const struct x64 *x, uint64_t epoch)
{
    struct jit *j = en->jit;
    const size_t n_pages = pages_of(made, NULL, NULL), pages = n_pages * sizeof *made->pages,
                 spans = made->n_spans * sizeof *made->spans, map = made->map == &std_map ? 0 : sizeof *made->map,
                 faults = made->n_faults * sizeof *made->faults;
    struct translation *t = malloc(sizeof *t + pages + spans + faults + map + made->n_recipes);
    if (t == NULL) {
        return NULL;
    }
    *t = *made;
    t->pages = (struct on_page *)(t + 1);
    t->spans = (struct span *)((char *)t->pages + pages);
    t->faults = (struct fault_point *)((char *)t->spans + spans);
    memcpy(t->spans, made->spans, spans);
    memcpy(t->faults, made->faults, faults);
    if (map != 0) {
        t->map = memcpy((char *)t->faults + faults, made->map, map);
    }
    t->recipes = (uint8_t *)t->faults + faults + map;
    if (made->n_recipes != 0) {
        memcpy(t->recipes, made->recipes, made->n_recipes);
    }
    pages_of(made, t->pages, t);
    t->lo = UINT64_MAX;
    for (uint32_t s = 0; s < t->n_spans; s++) {
        t->lo = t->spans[s].start < t->lo ? t->spans[s].start : t->lo;
        t->hi = t->spans[s].end > t->hi ? t->spans[s].end : t->hi;
    }
    for (size_t k = 0; k < n_pages; k++) {
        uint8_t *const flags = &en->page_flags[t->pages[k].page];
        if ((*flags & PAGE_TRANSLATED) == 0) {
            __atomic_fetch_or(flags, PAGE_TRANSLATED | PAGE_DECODED, __ATOMIC_RELAXED);
        }
    }
    /* Whoever changed code meanwhile has raised the epoch before he looked whether there are translations to forget. */
    if (code_epoch(en) != epoch) {
        free(t); /* the marks stay: code_give_back() */
        return NULL;
    }
    j->stats.hle[t->hle] += t->hle != HLE_NONE;
    t->size = (uint32_t)(x_here(x) - t->code);
    j->top = x_here(x);
    t->next = j->all;
    j->all = t;
    for (size_t k = 0; k < n_pages; k++) {
        struct on_page **bucket = &j->by_page[t->pages[k].page % PAGE_BUCKETS];
        t->pages[k].next = *bucket;
        *bucket = &t->pages[k];
    }
    j->by_addr[j->n_by_addr] = t;
    __atomic_store_n(&j->starts[(t->code - j->code) / TRANSLATION_ALIGN], j->n_by_addr, __ATOMIC_RELAXED);
    __atomic_store_n(&j->n_by_addr, j->n_by_addr + 1, __ATOMIC_RELEASE);
    __atomic_store_n(&j->entries[t->pc / 2], (uint32_t)(t->code - j->code), __ATOMIC_RELEASE);
    if (j->show & (SHOW_PERF | SHOW_JITDUMP)) {
        perf_translation(en, t);
    }
    return t;
}

void
jit_chain(struct jit *j, uint32_t exit, struct translation *to)
{
    struct jexit *x = &j->exits[exit];
    if (to->dead || __atomic_load_n(x->slot, __ATOMIC_RELAXED) != x->unchained) {
        return;
    }
    x->next = to->incoming;
    to->incoming = exit;
    __atomic_store_n(x->slot, (uint64_t)(uintptr_t)to->code, __ATOMIC_RELEASE);
    j->stats.chains++;
}

void
jit_chain_all(struct jit *j)
{
    for (uint32_t n = FIRST_EXIT; n < j->n_exits; n++) {
        struct translation *t = j->exits[n].kind == JX_CHAIN ? jit_find(j, j->exits[n].pc) : NULL;
        if (t != NULL) {
            jit_chain(j, n, t);
        }
    }
}

/* Whoever is chained to `from` goes to `to` instead; NULL: to the manager. */
void
jit_rechain(struct jit *j, struct translation *from, struct translation *to)
{
    for (uint32_t n = from->incoming, next; n != 0; n = next) {
        struct jexit *x = &j->exits[n];
        next = x->next;
        __atomic_store_n(x->slot, to != NULL ? (uint64_t)(uintptr_t)to->code : x->unchained, __ATOMIC_RELEASE);
        if (to != NULL) {
            x->next = to->incoming;
            to->incoming = n;
        }
    }
    from->incoming = 0;
}

struct translation *
jit_translation_at(struct jit *j, const uint8_t *code)
{
    uint32_t lo = 0, hi = __atomic_load_n(&j->n_by_addr, __ATOMIC_ACQUIRE);
    while (lo < hi) {
        const uint32_t mid = (lo + hi) / 2;
        if (j->by_addr[mid]->code <= code) {
            lo = mid + 1;
        } else {
            hi = mid;
        }
    }
    if (lo == 0) {
        return NULL;
    }
    struct translation *t = j->by_addr[lo - 1];
    return code < t->code + t->size ? t : NULL;
}

struct translation *
jit_find(struct jit *j, uint64_t pc)
{
    const uint32_t e = pc < GUEST_TOP ? __atomic_load_n(&j->entries[pc / 2], __ATOMIC_ACQUIRE) : 0;
    return e == 0 ? NULL : j->by_addr[j->starts[e / TRANSLATION_ALIGN]];
}

static bool
overlaps(const struct translation *t, uint64_t start, uint64_t end)
{
    if (t->hi <= start || end <= t->lo) {
        return false;
    }
    for (uint32_t s = 0; s < t->n_spans; s++) {
        if (t->spans[s].start < end && start < t->spans[s].end) {
            return true;
        }
    }
    return false;
}

static bool
forget(struct engine *en, struct translation *t)
{
    struct jit *j = en->jit;
    if (j->entries[t->pc / 2] == (uint32_t)(t->code - j->code)) {
        __atomic_store_n(&j->entries[t->pc / 2], 0, __ATOMIC_RELEASE);
    }
    jit_rechain(j, t, NULL);
    t->dead = true; /* it stays until the flush: somebody may be in it */
    j->stats.invalidated++;
    return true;
}

/* Runtimes that patch their code call this all the time, for a few bytes: so the translations are found by page. */
void
jit_forget(struct engine *en, uint64_t start, uint64_t end, bool if_changed)
{
    struct jit *j = en->jit;
    bool any = false;
    if (end <= start) {
        return;
    }
    if ((end - 1) / PAGE - start / PAGE >= PAGE_BUCKETS) {
        for (struct translation *t = j->all; t != NULL; t = t->next) {
            if (!t->dead && overlaps(t, start, end) && !(if_changed && hash_now(en, t) == t->hash)) {
                any = forget(en, t);
            }
        }
    } else {
        for (uint64_t p = start / PAGE; p <= (end - 1) / PAGE; p++) {
            for (struct on_page **at = &j->by_page[p % PAGE_BUCKETS], *n; (n = *at) != NULL;) {
                struct translation *const t = n->t;
                if (!t->dead && n->page == p && overlaps(t, start, end) && !(if_changed && hash_now(en, t) == t->hash)) {
                    any = forget(en, t);
                }
                if (t->dead) {
                    *at = n->next;
                } else {
                    at = &n->next;
                }
            }
        }
    }
    if (any) {
        j->epoch++;
        jit_kick(en); /* who is in one of them may not stay there */
    }
}

/* In the child of fork, with the lock held since before it. Many children never translate anything: the rest is for jit_begin(). */
HOT void
jit_after_fork(struct engine *en)
{
    en->jit->perf_pid = en->jit->perf_pid != 0 ? PERF_FORKED : 0;
    en->jit->inherited = true;
}
