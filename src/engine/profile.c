/*
 * profile.c - what has been executed: instructions, edges, the tree of calls; see profile.h
 *
 * An instruction is known by its address; where other code comes to stand there, as after dlclose(), by its function too. Memory grows
 * with the code that is executed, and a little with the calls that are open. If there is none the profile says that it is incomplete.
 */
#include "engine/profile.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define OPEN_MAX   (1u << 20) /* calls of a hart that are remembered */
#define SEARCH_MAX 4096       /* … and among which a return is looked for: longjmp may have left some out */
#define PATHS_MAX  (1u << 18)

/* Hash of two words: 1 + an index into one of the arrays; 0 is free. */
struct index {
    struct { uint64_t a, b; uint32_t at; } *e; /* own */
    size_t n, size;
};

struct counted_insn {
    uint64_t pc, executed;
    uint32_t function;
    uint8_t len, kind;
    bool leads; /* jumped to */
};

/* A translated block. */
struct unit {
    uint64_t *count; /* into: the translation's data */
    uint32_t first_exit, n_exits;
    uint32_t first, n; /* its instructions: in profile.members */
};

struct hart_profile {
    struct hart_profile *next;
    struct hart *hart;
    uint32_t path;
    uint64_t mark; /* hart->instret when it came into `path` */
    struct open_call { uint64_t back; uint32_t path; } *open; /* own */
    uint32_t n_open, max_open;
    bool stepping;
    uint64_t step_pc, step_instret;
    struct insn step;
};

struct profile {
    pid_t pid;
    bool incomplete;
    struct profile_function *functions;
    struct counted_insn *insns;
    struct profile_edge *edges;
    struct profile_path *paths;
    struct unit *units;
    uint32_t *members;
    uint32_t n_functions, n_insns, n_edges, n_paths, n_units, n_members;
    struct index by_place, by_pc, by_edge, by_path;
    struct hart_profile *harts;
};

/* ---- tables ---- */

/* Room for one more in an array of n. */
static bool
grow(struct profile *p, void *array, uint32_t n, size_t size)
{
    void **const at = array;
    if (n != 0 && (n < 64 || (n & (n - 1)) != 0)) {
        return true;
    }
    void *const more = realloc(*at, (n < 64 ? 64 : 2 * (size_t)n) * size);
    if (more == NULL) {
        p->incomplete = true;
        return false;
    }
    *at = more;
    return true;
}

static size_t
slot_in(const struct index *x, uint64_t a, uint64_t b)
{
    size_t k = (size_t)((a * UINT64_C(0x9e3779b97f4a7c15) ^ (b + (a >> 29)) * UINT64_C(0xbf58476d1ce4e5b9)) >> 20) & (x->size - 1);
    while (x->e[k].at != 0 && (x->e[k].a != a || x->e[k].b != b)) {
        k = (k + 1) & (x->size - 1);
    }
    return k;
}

/* Where (a, b) is, or is to be noted: as 1 + index, 0 if it is new. NULL without memory. */
static uint32_t *
look(struct profile *p, struct index *x, uint64_t a, uint64_t b)
{
    if (2 * x->n >= x->size) {
        struct index more = {.n = x->n, .size = x->size != 0 ? 2 * x->size : 1024};
        more.e = calloc(more.size, sizeof *more.e);
        if (more.e == NULL) {
            p->incomplete = true;
            return NULL;
        }
        for (size_t k = 0; k < x->size; k++) {
            if (x->e[k].at != 0) {
                more.e[slot_in(&more, x->e[k].a, x->e[k].b)] = x->e[k];
            }
        }
        free(x->e);
        *x = more;
    }
    const size_t k = slot_in(x, a, b);
    if (x->e[k].at == 0) {
        x->e[k].a = a;
        x->e[k].b = b;
        x->n++;
    }
    return &x->e[k].at;
}

struct profile *
profile_new(void)
{
    struct profile *p = calloc(1, sizeof *p);
    if (p == NULL || !grow(p, &p->functions, 0, sizeof *p->functions) || !grow(p, &p->paths, 0, sizeof *p->paths)) {
        profile_free(p);
        return NULL;
    }
    p->pid = getpid();
    p->functions[0] = (struct profile_function){.start = UINT64_MAX};
    p->paths[0] = (struct profile_path){0};
    p->n_functions = p->n_paths = 1;
    return p;
}

void
profile_free(struct profile *p)
{
    if (p == NULL) {
        return;
    }
    for (uint32_t k = 0; k < p->n_functions; k++) {
        free(p->functions[k].name);
    }
    for (struct hart_profile *h = p->harts, *next; h != NULL; h = next) {
        next = h->next;
        free(h->open);
        free(h);
    }
    void *const own[] = {p->functions, p->insns, p->edges, p->paths, p->units, p->members, p->by_place.e, p->by_pc.e, p->by_edge.e,
                         p->by_path.e, p};
    for (size_t k = 0; k < sizeof own / sizeof own[0]; k++) {
        free(own[k]);
    }
}

/* ---- what is where ---- */

static char *
name_of(const struct engine_function *is)
{
    const char *const slash = strrchr(is->object, '/');
    char *name = NULL;
    if (is->name[0] != '\0') {
        return strdup(is->name);
    }
    return asprintf(&name, "[%s+0x%llx]", slash != NULL ? slash + 1 : is->object, (unsigned long long)is->offset) >= 0 ? name : NULL;
}

static uint32_t
function_at(struct engine *en, uint64_t pc)
{
    struct profile *p = en->jit->profile;
    struct engine_function is;
    if (en->cfg.function == NULL || !en->cfg.function(en->cfg.symbol_arg, pc, &is)) {
        return 0;
    }
    uint32_t *at = look(p, &p->by_place, (uintptr_t)is.object, is.offset);
    if (at == NULL) {
        return 0;
    }
    if (*at == 0) {
        char *name = name_of(&is);
        if (name == NULL || !grow(p, &p->functions, p->n_functions, sizeof *p->functions)) {
            free(name);
            p->incomplete = true;
            return 0;
        }
        p->functions[p->n_functions] = (struct profile_function){.name = name, .object = is.object, .nameless = is.name[0] == '\0',
                                                                 .start = is.start, .offset = is.offset};
        *at = ++p->n_functions;
    }
    struct profile_function *const f = &p->functions[*at - 1];
    f->start = is.start < f->start ? is.start : f->start;
    return *at - 1;
}

static enum profile_kind
kind_of(const struct insn *i)
{
    const bool link = i->rd == 1 || i->rd == 5, back = i->rs1 == 1 || i->rs1 == 5;
    switch (i->op) {
    case OP_beq: case OP_bne: case OP_blt: case OP_bge: case OP_bltu: case OP_bgeu:
        return PROFILE_BRANCH;
    case OP_jal:
        return link ? PROFILE_CALL : PROFILE_JUMP;
    case OP_jalr:
        return link ? PROFILE_CALL : i->rd == 0 && back && i->imm == 0 ? PROFILE_RETURN : PROFILE_COMPUTED;
    default:
        return PROFILE_NONE;
    }
}

/* The instruction's index; UINT32_MAX without memory. */
static uint32_t
insn_note(struct engine *en, uint64_t pc, const struct insn *i)
{
    struct profile *p = en->jit->profile;
    const uint32_t f = function_at(en, pc);
    uint32_t *at = look(p, &p->by_pc, pc, 0);
    if (at == NULL) {
        return UINT32_MAX;
    }
    if (*at == 0 || p->insns[*at - 1].function != f || p->insns[*at - 1].len != i->len) {
        if (!grow(p, &p->insns, p->n_insns, sizeof *p->insns)) {
            return UINT32_MAX;
        }
        p->insns[p->n_insns] = (struct counted_insn){.pc = pc, .function = f};
        *at = ++p->n_insns;
    }
    struct counted_insn *const c = &p->insns[*at - 1];
    c->len = i->len;
    c->kind = (uint8_t)kind_of(i);
    return *at - 1;
}

static uint32_t
function_of(struct engine *en, uint64_t pc)
{
    struct profile *p = en->jit->profile;
    const uint32_t *at = look(p, &p->by_pc, pc, 0);
    return at != NULL && *at != 0 ? p->insns[*at - 1].function : function_at(en, pc);
}

bool
profile_is_elsewhere(struct engine *en, uint64_t a, uint64_t b)
{
    return function_of(en, a) != function_of(en, b);
}

void
profile_note(struct engine *en, const struct region *r, const struct translation *t)
{
    struct profile *p = en->jit->profile;
    if (!grow(p, &p->units, p->n_units, sizeof *p->units)) {
        return;
    }
    struct unit *const u = &p->units[p->n_units++];
    *u = (struct unit){.count = t->data, .first_exit = t->first_exit, .n_exits = t->n_exits, .first = p->n_members};
    for (unsigned k = 0; k < r->n_insns; k++) {
        const uint32_t i = insn_note(en, r->pcs[k], &r->insns[k]);
        if (i == UINT32_MAX || !grow(p, &p->members, p->n_members, sizeof *p->members)) {
            return;
        }
        p->members[p->n_members++] = i;
        u->n++;
    }
}

static void
edge_add(struct engine *en, uint64_t from, uint64_t to, enum profile_kind kind, uint64_t n)
{
    struct profile *p = en->jit->profile;
    if (n == 0) {
        return;
    }
    uint32_t *at = look(p, &p->by_edge, from, to);
    if (at == NULL || (*at == 0 && !grow(p, &p->edges, p->n_edges, sizeof *p->edges))) {
        p->incomplete = true;
        return;
    }
    if (*at == 0) {
        p->edges[p->n_edges] = (struct profile_edge){.from = from, .to = to, .kind = kind, .function_from = function_of(en, from),
                                                     .function_to = function_of(en, to)};
        *at = ++p->n_edges;
    }
    p->edges[*at - 1].taken += n;
}

/* ---- the tree of calls ---- */

/* Function f called from there. */
static uint32_t
path_of(struct profile *p, uint32_t parent, uint32_t f)
{
    for (uint32_t up = parent; up != 0; up = p->paths[up].parent) {
        if (p->paths[up].function == f) {
            return up;
        }
    }
    uint32_t *at = look(p, &p->by_path, parent, f);
    if (at == NULL || (*at == 0 && (p->n_paths == PATHS_MAX || !grow(p, &p->paths, p->n_paths, sizeof *p->paths)))) {
        p->incomplete = true;
        return parent;
    }
    if (*at == 0) {
        p->paths[p->n_paths] = (struct profile_path){.parent = parent, .function = f};
        *at = ++p->n_paths;
    }
    return *at - 1;
}

void
profile_hart_begins(struct engine *en, struct hart *h)
{
    struct profile *p = en->jit->profile;
    struct hart_profile *hp = calloc(1, sizeof *hp);
    if (hp == NULL) {
        p->incomplete = true;
        return;
    }
    *hp = (struct hart_profile){.next = p->harts, .hart = h, .mark = h->instret, .path = path_of(p, 0, function_of(en, h->pc))};
    p->harts = hp;
    h->profile = hp;
}

static void
settle(struct profile *p, struct hart_profile *hp)
{
    const uint64_t now = __atomic_load_n(&hp->hart->instret, __ATOMIC_RELAXED);
    p->paths[hp->path].insns += now - hp->mark;
    hp->mark = now;
}

static void
call(struct profile *p, struct hart_profile *hp, uint64_t back, uint32_t f)
{
    if (hp->n_open == OPEN_MAX || (hp->n_open == hp->max_open && !grow(p, &hp->open, hp->n_open, sizeof *hp->open))) {
        p->incomplete |= hp->n_open != OPEN_MAX;
    } else {
        hp->max_open = hp->n_open < 64 ? 64 : hp->n_open == hp->max_open ? 2 * hp->n_open : hp->max_open;
        hp->open[hp->n_open++] = (struct open_call){back, hp->path};
    }
    hp->path = path_of(p, hp->path, f);
    p->paths[hp->path].calls++;
}

/* A jump has happened that may lead from function to function; the hart's instret has counted it. */
static void
jumped(struct engine *en, struct hart_profile *hp, uint64_t from, unsigned len, enum profile_kind kind, uint64_t to)
{
    struct profile *p = en->jit->profile;
    edge_add(en, from, to, kind, 1);
    if (kind == PROFILE_CALL) {
        settle(p, hp);
        call(p, hp, from + len, function_of(en, to));
    } else if (kind == PROFILE_RETURN) {
        for (uint32_t k = hp->n_open; k > 0 && hp->n_open - k < SEARCH_MAX; k--) {
            if (hp->open[k - 1].back == to) {
                settle(p, hp);
                hp->path = hp->open[k - 1].path;
                hp->n_open = k - 1;
                break;
            }
        }
    } else if (kind == PROFILE_COMPUTED || kind == PROFILE_JUMP) {
        const uint32_t f = function_of(en, to);
        if (f != p->paths[hp->path].function && hp->path != 0) { /* a stub of the linker's, or the caller's end */
            /* Called by who called the one that jumps: its parent in the tree is another, if it is a recursion that was folded. */
            settle(p, hp);
            hp->path = path_of(p, hp->n_open != 0 ? hp->open[hp->n_open - 1].path : 0, f);
            p->paths[hp->path].calls++;
        }
    }
}

/* ---- what the manager tells ---- */

static const struct unit *
unit_of_exit(const struct profile *p, uint32_t exit)
{
    uint32_t lo = 0, hi = p->n_units;
    while (lo < hi) {
        const uint32_t mid = (lo + hi) / 2;
        if (p->units[mid].first_exit <= exit) {
            lo = mid + 1;
        } else {
            hi = mid;
        }
    }
    return lo == 0 ? NULL : &p->units[lo - 1];
}

/* Counted as a whole, it was left with nothing done of the instruction at pc. */
static void
take_back(struct profile *p, const struct unit *u, struct hart *h, uint64_t pc)
{
    for (uint32_t k = 0; u != NULL && k < u->n; k++) {
        struct counted_insn *const i = &p->insns[p->members[u->first + k]];
        if (i->pc >= pc) {
            i->executed--;
            h->instret--;
        }
    }
}

void
profile_left(struct engine *en, struct hart *h, uint32_t from)
{
    struct jit *j = en->jit;
    struct profile *p = j->profile;
    pthread_mutex_lock(&j->lock);
    const struct jexit *x = &j->exits[from];
    struct hart_profile *const hp = h->profile;
    const struct unit *u = from >= FIRST_EXIT && x->kind != JX_CHAIN ? unit_of_exit(p, from) : NULL;
    if (u != NULL && x->kind == JX_JUMPED && u->n != 0 && hp != NULL) {
        const struct counted_insn *const last = &p->insns[p->members[u->first + u->n - 1]];
        jumped(en, hp, last->pc, last->len, (enum profile_kind)last->kind, h->pc);
    } else if (u != NULL && x->kind != JX_JUMPED) {
        take_back(p, u, h, x->pc);
    }
    pthread_mutex_unlock(&j->lock);
}

/* In the handler of the host's signal: the hart was in translated code, so it holds no lock. */
void
profile_faulted(struct engine *en, struct hart *h, const struct translation *t)
{
    struct profile *p = en->jit->profile;
    pthread_mutex_lock(&en->jit->lock);
    uint32_t lo = 0, hi = p->n_units;
    while (lo < hi) {
        const uint32_t mid = (lo + hi) / 2;
        if (p->units[mid].count <= t->data) {
            lo = mid + 1;
        } else {
            hi = mid;
        }
    }
    take_back(p, lo != 0 ? &p->units[lo - 1] : NULL, h, h->pc);
    pthread_mutex_unlock(&en->jit->lock);
}

void
profile_step(struct engine *en, struct hart *h)
{
    const uint64_t pc = h->pc, at = pc + en->cfg.guest_base;
    uint16_t low = 0, high = 0;
    struct hart_profile *const hp = h->profile;
    if (hp == NULL || !code_page_is_exec(en, pc)) {
        return;
    }
    /* Read as the interpreter is about to: what has gone away faults for it here. */
    h->in_guest = GUEST_FETCHING;
    memcpy(&low, (const void *)(uintptr_t)at, 2);
    if (insn_len(low) == 4 && code_page_is_exec(en, pc + 2)) {
        memcpy(&high, (const void *)(uintptr_t)(at + 2), 2);
    }
    h->in_guest = GUEST_RUNNING;
    isa_decode(low | (uint32_t)high << 16, h->exts, &hp->step);
    hp->stepping = true;
    hp->step_pc = pc;
    hp->step_instret = h->instret;
}

void
profile_landed(struct engine *en, struct hart *h, enum exit_kind kind)
{
    struct hart_profile *hp = h->profile;
    if (hp == NULL || !hp->stepping) {
        return;
    }
    hp->stepping = false;
    if (kind == EXIT_ECALL || kind == EXIT_FENCE_I) { /* the interpreter leaves before it counts */
        h->instret++;
    }
    if (h->instret == hp->step_instret) {
        return;
    }
    struct profile *p = en->jit->profile;
    pthread_mutex_lock(&en->jit->lock);
    const uint32_t i = insn_note(en, hp->step_pc, &hp->step);
    const enum profile_kind k = kind_of(&hp->step);
    if (i != UINT32_MAX) {
        p->insns[i].executed++;
    }
    if (k != PROFILE_NONE) {
        jumped(en, hp, hp->step_pc, hp->step.len, k, h->pc);
    }
    pthread_mutex_unlock(&en->jit->lock);
}

void
profile_hart_ends(struct engine *en, struct hart *h)
{
    struct profile *p = en->jit->profile;
    for (struct hart_profile **at = &p->harts; *at != NULL; at = &(*at)->next) {
        struct hart_profile *const hp = *at;
        if (hp == h->profile) {
            settle(p, hp);
            *at = hp->next;
            free(hp->open);
            free(hp);
            break;
        }
    }
    h->profile = NULL;
}

/* ---- adding up ---- */

/* What the counters in the cache have got goes where it belongs; they begin again. */
static void
harvest(struct engine *en, struct jit *j)
{
    struct profile *p = j->profile;
    for (uint32_t k = 0; k < p->n_units; k++) {
        const struct unit *u = &p->units[k];
        const uint64_t n = __atomic_exchange_n(u->count, 0, __ATOMIC_RELAXED);
        for (uint32_t m = 0; m < u->n; m++) {
            p->insns[p->members[u->first + m]].executed += n;
        }
        const struct counted_insn *last = u->n != 0 ? &p->insns[p->members[u->first + u->n - 1]] : NULL;
        for (uint32_t x = u->first_exit; x < u->first_exit + u->n_exits; x++) {
            if (j->exits[x].kind == JX_CHAIN) {
                const uint64_t taken = __atomic_exchange_n(j->exits[x].slot + 1, 0, __ATOMIC_RELAXED);
                if (last != NULL && last->kind != PROFILE_NONE) {
                    edge_add(en, last->pc, j->exits[x].pc, (enum profile_kind)last->kind, taken);
                }
            }
        }
    }
}

void
profile_flush(struct jit *j)
{
    struct engine *en = (struct engine *)(void *)j - 1;
    harvest(en, j);
    j->profile->n_units = j->profile->n_members = 0;
}

void
profile_forked(struct engine *en, struct hart *h)
{
    struct profile *p = en->jit->profile;
    p->pid = getpid();
    harvest(en, en->jit);
    for (uint32_t k = 0; k < p->n_insns; k++) {
        p->insns[k].executed = 0;
        p->insns[k].leads = false;
    }
    for (uint32_t k = 0; k < p->n_edges; k++) {
        p->edges[k].taken = 0;
    }
    for (uint32_t k = 0; k < p->n_paths; k++) {
        p->paths[k].insns = p->paths[k].calls = 0;
    }
    struct hart_profile *mine = NULL;
    for (struct hart_profile *o = p->harts, *next; o != NULL; o = next) {
        next = o->next;
        if (o == h->profile) {
            mine = o;
        } else {
            free(o->open);
            free(o);
        }
    }
    p->harts = mine;
    if (mine != NULL) {
        mine->next = NULL;
        mine->hart = h;
        mine->mark = h->instret;
    }
}

static int
by_address(const void *a, const void *b)
{
    const struct counted_insn *x = *(const struct counted_insn *const *)a, *y = *(const struct counted_insn *const *)b;
    return x->pc != y->pc ? (x->pc < y->pc ? -1 : 1) : x->function < y->function ? -1 : x->function > y->function;
}

/* Blocks begin where somebody jumps to, behind each jump, and where a count changes. */
static void
add_up_blocks(struct engine *en, const struct counted_insn *const *sorted, struct engine_profile *out)
{
    struct profile *p = en->jit->profile;
    const struct counted_insn *last = NULL;
    for (uint32_t k = 0; k < p->n_insns; k++) {
        const struct counted_insn *i = sorted[k];
        if (i->executed == 0) {
            continue;
        }
        struct profile_block *b = &out->blocks[out->n_blocks];
        if (last != NULL && !i->leads && last->kind == PROFILE_NONE && last->pc + last->len == i->pc && last->function == i->function &&
            last->executed == i->executed) {
            b[-1].end = i->pc + i->len;
            b[-1].n_insns++;
        } else {
            *b = (struct profile_block){i->pc, i->pc + i->len, i->executed, 1, i->function};
            out->n_blocks++;
        }
        p->functions[i->function].insns += i->executed;
        out->insns += i->executed;
        last = i;
    }
}

bool
engine_profile_get(struct engine *en, struct engine_profile *out)
{
    struct jit *j = en->jit;
    struct profile *p = j != NULL ? j->profile : NULL;
    if (p == NULL || p->pid != getpid()) {
        return false;
    }
    *out = (struct engine_profile){0};
    pthread_mutex_lock(&j->lock);
    harvest(en, j);
    const struct counted_insn **sorted = calloc(p->n_insns + 1, sizeof *sorted);
    uint64_t *below = calloc(p->n_paths, sizeof *below);
    out->blocks = calloc(p->n_insns + 1, sizeof *out->blocks);
    out->edges = calloc(p->n_edges + 1, sizeof *out->edges);
    const bool done = sorted != NULL && below != NULL && out->blocks != NULL && out->edges != NULL;
    if (done) {
        for (uint32_t k = 0; k < p->n_functions; k++) {
            p->functions[k].insns = p->functions[k].calls = p->functions[k].total = 0;
        }
        for (uint32_t k = 0; k < p->n_edges; k++) {
            const struct profile_edge *e = &p->edges[k];
            if (e->taken == 0) {
                continue;
            }
            out->edges[out->n_edges++] = *e;
            const uint32_t *at = look(p, &p->by_pc, e->to, 0);
            if (at != NULL && *at != 0) {
                p->insns[*at - 1].leads = true;
            }
            const bool enters = e->kind == PROFILE_CALL || (e->function_from != e->function_to && e->kind != PROFILE_RETURN &&
                                                            e->kind != PROFILE_BRANCH);
            p->functions[e->function_to].calls += enters ? e->taken : 0;
        }
        for (uint32_t k = 0; k < p->n_insns; k++) {
            sorted[k] = &p->insns[k];
        }
        qsort(sorted, p->n_insns, sizeof *sorted, by_address);
        add_up_blocks(en, sorted, out);
        for (struct hart_profile *h = p->harts; h != NULL; h = h->next) {
            settle(p, h);
        }
        for (uint32_t k = p->n_paths; k-- > 1;) { /* no function is twice on a way to the root: each counts once */
            below[k] += p->paths[k].insns;
            p->functions[p->paths[k].function].total += below[k];
            below[p->paths[k].parent] += below[k];
        }
        out->functions = p->functions;
        out->n_functions = p->n_functions;
        out->paths = p->paths;
        out->n_paths = p->n_paths;
        out->incomplete = p->incomplete;
    } else {
        engine_profile_put(out);
    }
    free(sorted);
    free(below);
    pthread_mutex_unlock(&j->lock);
    return done;
}

void
engine_profile_put(struct engine_profile *p)
{
    free(p->blocks);
    free(p->edges);
    *p = (struct engine_profile){0};
}
