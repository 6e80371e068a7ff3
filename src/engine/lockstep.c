/*
 * lockstep.c - see lockstep.h: the stretches of each hart, what is compared, and the report
 *
 * Runs under the guest's MXCSR, so nothing here computes in floating point.
 */
#include "engine/lockstep.h"

#include "base/check.h"
#include "engine/fp_ops.h"

#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#define WORDS_BYTES (GUEST_TOP * 2)
/* Entries of a log, and those of them that are for what comes between two polls: nothing that polls has so many accesses alone. */
#define LOCKSTEP_ACCESSES 8192
#define LOCKSTEP_RESERVE 4096
#define BORDER_ACCESSES (1u << 20)
#define BORDER_RESERVE (1u << 18)
static_assert(LOCKSTEP_RESERVE > 2 * REGION_INSNS, "a unit that is chained to nothing");

#define LATER_ACCESSES 4096

/* How often translated code may poll in a stretch: mostly once or twice, so that a difference is seen where it is made. */
static const uint16_t polls_of_round[] = {1, 1, 2, 1, 4, 1, 2, 16, 1, 3, 1, 100, 2, 1, 8, 1000};

static void *
reserve(size_t bytes)
{
    void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    return p == MAP_FAILED ? NULL : p;
}

struct lockstep *
lockstep_new(bool border)
{
    struct lockstep *ls = reserve(sizeof *ls);
    if (ls == NULL) {
        return NULL;
    }
    ls->border = border;
    ls->polls = border ? INT32_MAX : 0;
    ls->accesses = border ? BORDER_ACCESSES : LOCKSTEP_ACCESSES;
    ls->words = reserve(WORDS_BYTES);
    if (ls->words == NULL) {
        munmap(ls, sizeof *ls);
        return NULL;
    }
    return ls;
}

void
lockstep_free(struct lockstep *ls)
{
    if (ls != NULL) {
        munmap(ls->words, WORDS_BYTES);
        munmap(ls, sizeof *ls);
    }
}

void
lockstep_note(struct engine *en, const struct region *r)
{
    struct lockstep *const ls = en->jit->lockstep;
    for (unsigned k = 0; ls != NULL && k < r->n_insns; k++) {
        uint32_t *const at = &ls->words[r->pcs[k] / 2];
        if (*at != 0 && *at != r->words[k]) {
            jit_forget(en, r->pcs[k], r->pcs[k] + 2, false);
        }
        __atomic_store_n(at, r->words[k], __ATOMIC_RELAXED);
    }
}

bool
lockstep_hart_begins(struct engine *en, struct hart *h)
{
    struct check *c = reserve(sizeof *c);
    if (c == NULL) {
        return false;
    }
    c->en = en;
    c->log = reserve(en->jit->lockstep->accesses * sizeof *c->log);
    if (c->log == NULL) {
        munmap(c, sizeof *c);
        return false;
    }
    h->check = c;
    return true;
}

void
lockstep_hart_ends(struct hart *h)
{
    struct check *c = h->check;
    if (c != NULL) {
        munmap(c->log, c->en->jit->lockstep->accesses * sizeof *c->log);
        munmap(c, sizeof *c);
        h->check = NULL;
    }
}

/* Under MXCSR of that hart. */
static void
state_take(struct check_state *s, const struct hart *h)
{
    memcpy(s->x, h->x, sizeof s->x);
    memcpy(s->f, h->f, sizeof s->f);
    s->x[0] = 0;
    s->pc = h->pc;
    s->fflags = fp_flags_read(h);
    s->resv_size = h->resv_size;
    s->resv_addr = h->resv_addr;
    s->resv_value = h->resv_value;
}

void
lockstep_look(struct hart *h)
{
    struct check *c = h->check;
    c->epoch = __atomic_load_n(&c->en->jit->epoch, __ATOMIC_ACQUIRE);
}

void
lockstep_begin(struct hart *h)
{
    struct check *c = h->check;
    const struct lockstep *ls = c->en->jit->lockstep;
    state_take(&c->before, h);
    c->polls = ls->polls != 0 ? ls->polls : polls_of_round[c->round++ % ARRAY_LEN(polls_of_round)];
    h->log_at = c->log;
    h->log_end = c->log + ls->accesses;
    h->log_enough = c->log + ls->accesses - (ls->border ? BORDER_RESERVE : LOCKSTEP_RESERVE);
    h->log_polls = c->polls;
    h->log_pair = ACCESS_WRITES | ACCESS_PAIR;
    c->running = true;
}

/* ---- for the replay ---- */

/* The byte at a host address, out of what stands for several. NULL: it is in none. */
static const struct access *
part_at(struct check *c, uint64_t at, unsigned kind)
{
    for (unsigned k = 0; k < c->n_parts; k++) {
        const struct access *const a = c->parts[k].a;
        const uint64_t off = at - a->at;
        if ((a->kind & ACCESS_WRITES) == kind && off < a->bytes && (c->parts[k].left >> off & 1)) {
            c->part = (struct access){at, a->value >> (8 * off) & 0xff, 1, kind};
            c->parts[k].left &= ~(1u << off);
            if (c->parts[k].left == 0) {
                c->parts[k] = c->parts[--c->n_parts];
            }
            return &c->part;
        }
    }
    return NULL;
}

const struct access *
lockstep_access(struct check *c, uint64_t guest, unsigned bytes, unsigned kind)
{
    const struct access *a = c->next;
    const uint64_t at = guest + c->en->cfg.guest_base;
    c->wanted = (struct access){at, 0, bytes, kind & ACCESS_WRITES};
    if (kind & ACCESS_SC && c->pair != NULL && c->pair->at == at && c->pair->bytes == bytes) {
        a = c->pair;
        c->pair = NULL;
        return a;
    }
    if (c->pair != NULL) {
        c->had = *c->pair;
        c->stop = REPLAY_OTHER;
        return NULL;
    }
    const struct access *const part = bytes == 1 ? part_at(c, at, c->wanted.kind) : NULL;
    if (part != NULL) {
        return part;
    }
    if (a == c->end) {
        c->stop = REPLAY_BEYOND;
        return NULL;
    }
    if (a->kind & ACCESS_PARTS && bytes == 1 && c->n_parts < ARRAY_LEN(c->parts)) {
        c->parts[c->n_parts].a = a;
        c->parts[c->n_parts++].left = (1u << a->bytes) - 1;
        c->next++;
        a = part_at(c, at, c->wanted.kind);
        if (a != NULL) {
            return a;
        }
        c->n_parts--;
        a = --c->next;
    }
    const bool pair = kind & ACCESS_LR && a->kind & ACCESS_PAIR;
    if (a->at != at || a->bytes != bytes || (a->kind != c->wanted.kind && !pair)) {
        c->had = *a;
        c->stop = REPLAY_OTHER;
        return NULL;
    }
    c->pair = pair ? a : NULL;
    c->next++;
    return a;
}

bool
lockstep_value(struct check *c, const struct access *a, uint64_t value)
{
    c->wanted.value = value;
    if (a->value != value) {
        c->had = *a;
        c->stop = REPLAY_VALUE;
        return false;
    }
    return true;
}

/* Is what the access has seen or left still there? If not, somebody may have come later. */
bool
lockstep_memory(struct check *c, const struct access *a, uint64_t value)
{
    uint64_t now = 0;
    if (engine_peek(&now, (const void *)(uintptr_t)a->at, a->bytes) != 0 ||
        (now ^ value) << (64 - 8 * a->bytes) == 0 || c->en->had_more || c->en->jit->lockstep->shared) {
        return true;
    }
    for (const struct access *o = c->next; o < c->end; o++) {
        if (o - c->next == LATER_ACCESSES) {
            return true; /* not worth it: there are as many as to be looked at in turn, too */
        }
        if (o->kind & ACCESS_WRITES && o->at < a->at + a->bytes && a->at < o->at + o->bytes) {
            return true;
        }
    }
    c->wanted.value = now;
    c->had = *a;
    c->stop = REPLAY_MEMORY;
    return false;
}

static bool
is_reserved_alike(const struct check_state *a, const struct check_state *b)
{
    return a->resv_size == b->resv_size && (a->resv_size == 0 || (a->resv_addr == b->resv_addr && a->resv_value == b->resv_value));
}

/* How many registers differ. */
static unsigned
differences(const struct check_state *a, const struct check_state *b)
{
    unsigned n = (a->fflags != b->fflags) + !is_reserved_alike(a, b);
    for (unsigned k = 0; k < 32; k++) {
        n += (a->x[k] != b->x[k]) + (a->f[k] != b->f[k]);
    }
    return n;
}

enum lockstep_there
lockstep_is_there(struct check *c, uint64_t pc)
{
    struct check_state s;
    /* Bytes that were read too early: all have been, but where a fault comes between them. */
    for (unsigned k = 0; k < c->n_parts; k++) {
        if (c->fault == NULL || c->parts[k].a->kind & ACCESS_WRITES) {
            return LOCKSTEP_NOT_THERE;
        }
    }
    c->shadow.pc = pc;
    state_take(&s, &c->shadow);
    if (c->fault != NULL && c->after.resv_size == 0) {
        s.resv_size = 0; /* an sc that faults has ended it */
    }
    const unsigned n = differences(&s, &c->after);
    if (n < c->differ) {
        c->differ = n;
        c->nearest = c->steps;
    }
    return n == 0 ? LOCKSTEP_THERE : c->again && n <= 2 ? LOCKSTEP_NEARLY : LOCKSTEP_NOT_THERE;
}

static void
state_put(struct hart *h, const struct check_state *s)
{
    memcpy(h->x, s->x, sizeof s->x);
    memcpy(h->f, s->f, sizeof s->f);
    fp_flags_write(h, s->fflags);
}

bool
lockstep_swap(struct check *c)
{
    struct check_state now;
    state_take(&now, &c->shadow);
    switch (c->swaps++) {
    case 0:
        c->ours = now;
        state_put(&c->shadow, &c->after);
        return true;
    case 1:
        c->theirs = now;
        state_put(&c->shadow, &c->ours);
        return true;
    }
    return differences(&c->theirs, &now) == 0;
}

void
lockstep_watch(struct check *c, uint64_t pc, uint64_t next, uint32_t word, const struct insn *i)
{
    uint32_t now = 0;
    c->stale |= engine_peek(&now, (const void *)(uintptr_t)(pc + c->en->cfg.guest_base), i->len) != 0 || now != word;
    if (i->rd < 32) {
        (interp_writes_x(i) ? c->x : c->f)[i->rd] = (struct change){c->steps, pc, c->block};
    }
    if (next != pc + i->len) {
        c->block = next;
        c->path[c->n_path++ % ARRAY_LEN(c->path)] = next;
    }
}

/* ---- comparing ---- */

static void
replay(struct check *c, const struct hart *h, uint64_t limit)
{
    struct hart *const s = &c->shadow;
    memcpy(s->x, c->before.x, sizeof s->x);
    memcpy(s->f, c->before.f, sizeof s->f);
    s->pc = c->before.pc;
    s->fflags = (uint8_t)c->before.fflags;
    s->frm = h->frm;
    s->resv_size = c->before.resv_size;
    s->resv_addr = c->before.resv_addr;
    s->resv_value = c->before.resv_value;
    s->engine = c->en;
    s->exts = h->exts;
    c->next = c->log;
    c->end = h->log_at;
    c->pair = NULL;
    c->n_parts = 0;
    c->steps = c->swaps = 0;
    c->limit = limit;
    c->differ = UINT_MAX;
    fp_enter(s);
    lockstep_replay(c);
    if (c->watch) {
        state_take(&c->last, s);
    }
    fp_leave(s);
}

static bool
is_same(const struct check *c)
{
    if (c->fault == NULL) {
        return c->stop == REPLAY_SAME;
    }
    const uint64_t at = c->wanted.at - c->en->cfg.guest_base;
    return c->stop == REPLAY_BEYOND && c->differ == 0 && c->nearest == c->steps && c->fault->addr - at < c->wanted.bytes;
}

static void __attribute__((format(printf, 2, 3)))
say(struct check *c, const char *fmt, ...)
{
    const size_t used = strlen(c->text);
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(c->text + used, sizeof c->text - used, fmt, ap);
    va_end(ap);
}

/* An address of code, and whose. */
static void
say_pc(struct check *c, const char *before, uint64_t pc)
{
    char name[128];
    const size_t len = c->en->cfg.symbol != NULL ? c->en->cfg.symbol(c->en->cfg.symbol_arg, pc, name, sizeof name - 1) : 0;
    say(c, "%s%#llx", before, (unsigned long long)pc);
    if (len != 0) {
        say(c, " (%.*s)", (int)len, name);
    }
}

static uint32_t
word_at(const struct check *c, uint64_t pc)
{
    return pc < GUEST_TOP ? __atomic_load_n(&c->en->jit->lockstep->words[pc / 2], __ATOMIC_RELAXED) : 0;
}

/* The block that begins there, as far as it was translated, and the instruction in it that matters. */
static void
say_block(struct check *c, uint64_t block, uint64_t pc)
{
    say_pc(c, "  the block at ", block);
    say(c, ":\n");
    for (unsigned n = 0; n < 64; n++) {
        const uint32_t word = word_at(c, block);
        if (word == 0) {
            break;
        }
        char text[ISA_DISASM_MAX];
        struct insn in;
        interp_decode(word, c->shadow.exts, &in);
        isa_disasm(word, block, ISA_ALL, text);
        for (char *t = text; *t != '\0'; t++) {
            *t = *t == '\t' ? ' ' : *t;
        }
        say(c, "  %s %10llx  %s\n", block == pc ? "=>" : "  ", (unsigned long long)block, text);
        if (block >= pc && region_ends_block(&in)) {
            break;
        }
        block += in.len;
    }
}

static void
say_register(struct check *c, char kind, unsigned k, uint64_t translation, uint64_t interpreter, const struct change *at)
{
    say(c, "  %c%-2u  translation %#18llx  interpreter %#18llx", kind, k, (unsigned long long)translation, (unsigned long long)interpreter);
    if (at->step != UINT64_MAX) {
        say(c, "  written last at %#llx\n", (unsigned long long)at->pc);
    } else {
        say(c, "  not written\n");
    }
}

/* The registers that differ where both are at the same pc; of those the one that was written first. */
static struct change
say_registers(struct check *c)
{
    const struct check_state *t = &c->after, *i = &c->last;
    struct change first = {.step = UINT64_MAX};
    for (unsigned k = 0; k < 32; k++) {
        if (t->x[k] != i->x[k]) {
            say_register(c, 'x', k, t->x[k], i->x[k], &c->x[k]);
            first = c->x[k].step < first.step ? c->x[k] : first;
        }
    }
    for (unsigned k = 0; k < 32; k++) {
        if (t->f[k] != i->f[k]) {
            say_register(c, 'f', k, t->f[k], i->f[k], &c->f[k]);
            first = c->f[k].step < first.step ? c->f[k] : first;
        }
    }
    if (t->fflags != i->fflags) {
        say(c, "  fflags  translation %#x  interpreter %#x\n", t->fflags, i->fflags);
    }
    if (!is_reserved_alike(t, i)) {
        say(c, "  reservation  translation %u at %#llx, seen %#llx  interpreter %u at %#llx, seen %#llx\n", t->resv_size,
            (unsigned long long)t->resv_addr, (unsigned long long)t->resv_value, i->resv_size, (unsigned long long)i->resv_addr,
            (unsigned long long)i->resv_value);
    }
    return first;
}

static void
say_access(struct check *c, const char *who, const struct access *a, bool value)
{
    say(c, "  %s %s %u bytes at %#llx", who, a->kind & ACCESS_WRITES ? "writes" : "reads", a->bytes,
        (unsigned long long)(a->at - c->en->cfg.guest_base));
    if (value) {
        say(c, ": %#llx", (unsigned long long)a->value);
    }
    say(c, "\n");
}

/* What stands in the registers that the instruction at the replay's pc reads. */
static void
say_operands(struct check *c)
{
    const uint32_t word = word_at(c, c->shadow.pc);
    struct insn in;
    if (word == 0) {
        return;
    }
    interp_decode(word, c->shadow.exts, &in);
    const unsigned regs[] = {in.rs1, in.rs2};
    for (unsigned k = 0; k < 2; k++) {
        if (regs[k] < 32 && c->x[regs[k]].step != UINT64_MAX) {
            say(c, "  x%u is %#llx, written last at %#llx\n", regs[k], (unsigned long long)c->last.x[regs[k]],
                (unsigned long long)c->x[regs[k]].pc);
        }
    }
}

static void
report(struct check *c, const struct hart *h)
{
    const struct translation *const t = jit_find(c->en->jit, c->before.pc);
    struct change at = {.pc = c->shadow.pc, .block = c->block};
    say(c, "doppel: --check=%s: the translation does other than the interpreter\n", c->en->jit->lockstep->border ? "border" : "lockstep");
    say(c, "  tier %u", t != NULL ? t->tier : 0);
    say_pc(c, ", entered at ", c->before.pc);
    say_pc(c, ", left at ", h->pc);
    say(c, "%s; the interpreter has executed %llu instructions", c->fault != NULL ? " by a fault" : "", (unsigned long long)c->steps);
    say_pc(c, " and is at ", c->shadow.pc);
    say(c, "\n");
    const bool accesses = c->stop == REPLAY_OTHER || c->stop == REPLAY_VALUE || c->stop == REPLAY_MEMORY;
    const bool there = !accesses && c->next == c->end && c->shadow.pc == h->pc;
    switch (c->stop) {
    case REPLAY_SAME:
    case REPLAY_LOST:
        if (!there) {
            say(c, "  it does not come to where the translation has left\n");
        }
        break;
    case REPLAY_OTHER:
    case REPLAY_VALUE:
        say_access(c, "the translation", &c->had, c->stop == REPLAY_VALUE);
        say_access(c, "the interpreter", &c->wanted, c->stop == REPLAY_VALUE);
        break;
    case REPLAY_MEMORY:
        say_access(c, "the translation", &c->had, true);
        say(c, "  but it holds %#llx\n", (unsigned long long)c->wanted.value);
        break;
    case REPLAY_BEYOND:
        say_access(c, "the translation has left, the interpreter", &c->wanted, false);
        break;
    case REPLAY_NOT_LAST:
        say(c, "  where it %s\n", c->fault != NULL ? "accesses nothing" : "would make something else of this");
        break;
    case REPLAY_ENDS:
    case REPLAY_NO_CODE:
        if (!there) {
            say(c, "  where there is nothing that a translation has executed\n");
        }
        break;
    }
    if (c->fault != NULL) {
        say(c, "  the fault is at %#llx\n", (unsigned long long)c->fault->addr);
    }
    if (there && c->differ != 0) {
        const struct change first = say_registers(c);
        at = first.step != UINT64_MAX ? first : at;
    } else {
        say_operands(c);
    }
    say_block(c, at.block, at.pc);
    if (c->n_path > 1) {
        const unsigned n = ARRAY_LEN(c->path), first = c->n_path > n ? c->n_path - n : 0;
        say(c, "  jumps on the way, the last ones:");
        for (unsigned k = first; k < c->n_path; k++) {
            say(c, " %#llx", (unsigned long long)c->path[k % n]);
        }
        say(c, "\n");
    }
}

/* Once more, slowly, to where it is most like the translation, or stopped. False: code has changed, and nothing is known. */
static bool
examine(struct check *c, const struct hart *h)
{
    const uint64_t to = c->stop == REPLAY_LOST || c->stop == REPLAY_BEYOND ? (c->differ != UINT_MAX ? c->nearest : c->steps) : c->steps;
    const enum replay_stop stop = c->stop;
    const unsigned differ = c->differ;
    const struct access wanted = c->wanted, had = c->had;
    c->watch = true;
    c->stale = false;
    c->n_path = 0;
    c->block = c->before.pc;
    memset(c->x, 0xff, sizeof c->x);
    memset(c->f, 0xff, sizeof c->f);
    replay(c, h, to);
    c->watch = false;
    c->differ = differ;
    if (c->stop == REPLAY_LOST && stop != REPLAY_BEYOND) { /* what it would have come to next is known */
        c->stop = stop;
        c->wanted = wanted;
        c->had = had;
    }
    return !c->stale && __atomic_load_n(&c->en->jit->epoch, __ATOMIC_ACQUIRE) == c->epoch;
}

bool
lockstep_end(struct hart *h, bool again, const struct engine_exit *fault)
{
    struct check *c = h->check;
    struct jit_stats *const stats = &c->en->jit->stats;
    if (!c->running) {
        return !c->differs;
    }
    c->running = false;
    if ((struct access *)h->log_at + 1 == h->log_end) { /* it may have been written twice */
        stats->unchecked++;
        return !c->differs;
    }
    c->fault = fault;
    c->again = again;
    state_take(&c->after, h);
    c->ran = c->polls - h->log_polls;
    replay(c, h, UINT64_MAX);
    stats->checked++;
    stats->checked_insns += c->steps;
    if (!is_same(c)) {
        if (!examine(c, h)) {
            stats->unchecked++;
            return !c->differs;
        }
        c->text[0] = '\0';
        report(c, h);
        c->differs = true;
    }
    return !c->differs;
}

const char *
engine_difference(const struct hart *h)
{
    const struct check *c = h->check;
    return c->text;
}
