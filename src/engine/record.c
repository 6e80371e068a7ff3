/*
 * record.c - see record.h
 */
#include "engine/record.h"

#include "base/check.h"

#include <string.h>

#define COUNT_MAX UINT16_MAX

struct parts {
    const struct record_span *spans;
    const struct record_exit *exits;
    const struct fault_point *faults;
    const uint32_t *relocs;
    const struct regmap *map;
    const uint8_t *guest, *code;
    size_t size;
};
static_assert(sizeof(struct record) % 8 == 0 && sizeof(struct record_span) == 8 && sizeof(struct record_exit) == 20 &&
                  sizeof(struct fault_point) == 20 && sizeof(struct regmap) == 64,
              "the layout of a record");

/* Where its parts are, and its size, as its counts have it. */
static struct parts
parts_of(const struct record *rec)
{
    struct parts p;
    const uint8_t *at = (const uint8_t *)(rec + 1);
    p.spans = (const void *)at;
    at += rec->n_spans * sizeof *p.spans;
    p.faults = (const void *)at;
    at += rec->n_faults * sizeof *p.faults;
    p.exits = (const void *)at;
    at += rec->n_exits * sizeof *p.exits;
    p.relocs = (const void *)at;
    at += rec->n_relocs * sizeof *p.relocs;
    p.map = rec->tier == 2 ? (const void *)at : NULL;
    at += rec->tier == 2 ? sizeof *p.map : 0;
    p.guest = at;
    p.code = at + rec->guest_size;
    p.size = ((size_t)(p.code + rec->code_size - (const uint8_t *)rec) + 7) & ~(size_t)7;
    return p;
}

static unsigned
reloc_width(uint32_t reloc)
{
    return (reloc & 7) == X_GUEST64 ? 8 : 4;
}

/*
 * Displacements are kept as they would be if the data, or all code, began where this code does: so it does not matter how many bytes of
 * immediate stand behind one. What they lead to, but for those bytes:
 */
static int64_t
leads_to(uint32_t reloc, const uint8_t *code)
{
    int32_t d;
    memcpy(&d, code + (reloc >> 3), 4);
    return (int64_t)(reloc >> 3) + 4 + d;
}

/* A noted place is inside the code, and so is what it means inside of what it may mean. */
static bool
reloc_is_sound(const struct record *rec, const uint8_t *code, uint32_t reloc)
{
    const uint32_t off = reloc >> 3;
    if ((reloc & 7) > X_GUEST64 || off > rec->code_size || rec->code_size - off < reloc_width(reloc)) {
        return false;
    }
    switch ((enum x_reloc)(reloc & 7)) {
    case X_TO_DATA:
        return leads_to(reloc, code) >= -4 && leads_to(reloc, code) < 8 * (int64_t)rec->n_data;
    case X_TO_FIXED:
        return leads_to(reloc, code) >= 0 && leads_to(reloc, code) < JIT_FIXED_BYTES;
    case X_EXIT: {
        uint32_t n;
        memcpy(&n, code + off, 4);
        return n < rec->n_exits;
    }
    case X_GUEST32:
    case X_GUEST64:
        break;
    }
    return true;
}

/* ---- making ---- */

/* Make of the code at a noted place what a record has there. */
static void
lift(const struct jit *j, const struct translation *made, uint32_t reloc, uint8_t *code)
{
    uint8_t *const at = code + (reloc >> 3);
    uint32_t d;
    uint64_t q;
    memcpy(&d, at, 4);
    switch ((enum x_reloc)(reloc & 7)) {
    case X_TO_DATA:
        d -= (uint32_t)((const uint8_t *)made->data - made->code);
        break;
    case X_TO_FIXED:
        d += (uint32_t)(made->code - j->code);
        break;
    case X_EXIT:
        d -= made->first_exit;
        break;
    case X_GUEST32:
        d -= (uint32_t)made->pc;
        break;
    case X_GUEST64:
        memcpy(&q, at, 8);
        q -= made->pc;
        memcpy(at, &q, 8);
        return;
    }
    memcpy(at, &d, 4);
}

size_t
record_make(struct engine *en, const struct region *r, const struct translation *made, const struct x64 *x, void *buf, size_t room)
{
    const struct jit *j = en->jit;
    struct record *rec = buf;
    uint32_t guest = 0;
    for (uint32_t s = 0; s < made->n_spans; s++) {
        guest += (uint32_t)(made->spans[s].end - made->spans[s].start);
    }
    const uint32_t code_size = (uint32_t)(x->p - x->start);
    if (made->n_spans > COUNT_MAX || made->n_exits > COUNT_MAX || made->n_faults > COUNT_MAX || made->n_data > COUNT_MAX ||
        x->n_relocs > x->max_relocs || x->n_relocs > COUNT_MAX || room < sizeof *rec) {
        return 0;
    }
    *rec = (struct record){.hash = made->hash, .code_size = code_size, .guest_size = guest, .n_insns = made->n_insns,
                           .n_spans = (uint16_t)made->n_spans, .n_exits = (uint16_t)made->n_exits,
                           .n_faults = (uint16_t)made->n_faults, .n_relocs = (uint16_t)x->n_relocs,
                           .n_data = (uint16_t)made->n_data, .tier = made->tier};
    const struct parts p = parts_of(rec);
    if (p.size > room || p.size > RECORD_MAX) {
        return 0;
    }
    rec->size = (uint32_t)p.size;
    struct record_span *span = (struct record_span *)(void *)(rec + 1);
    for (uint32_t s = 0; s < made->n_spans; s++) {
        const struct span *o = &made->spans[s];
        span[s] = (struct record_span){(int32_t)(o->start - made->pc), (uint32_t)(o->end - o->start)};
    }
    memcpy((void *)(uintptr_t)p.faults, made->faults, made->n_faults * sizeof *p.faults);
    struct record_exit *exits = (struct record_exit *)(uintptr_t)p.exits;
    for (uint32_t k = 0; k < made->n_exits; k++) {
        const struct jexit *o = &j->exits[made->first_exit + k];
        exits[k] = (struct record_exit){
            .delta = (int32_t)(o->pc - made->pc), .kind = o->kind, .nan = o->nan, .single = o->single};
        if (o->kind == JX_CHAIN) {
            exits[k].word = (uint16_t)(o->slot - made->data);
            exits[k].unchained = (uint32_t)(o->unchained - (uint64_t)(uintptr_t)made->code);
        }
    }
    memcpy((void *)(uintptr_t)p.relocs, x->relocs, x->n_relocs * sizeof *p.relocs);
    if (p.map != NULL) {
        memcpy((void *)(uintptr_t)p.map, made->map, sizeof *p.map);
    }
    uint8_t *bytes = (uint8_t *)(uintptr_t)p.guest;
    for (unsigned b = 0; b < r->n_blocks; b++) {
        for (unsigned k = r->blocks[b].first; k < r->blocks[b].first + r->blocks[b].count; k++) {
            memcpy(bytes, &r->words[k], r->insns[k].len);
            bytes += r->insns[k].len;
        }
    }
    CHECK(bytes == p.code);
    memcpy(bytes, x->start, code_size);
    for (unsigned k = 0; k < x->n_relocs; k++) {
        lift(j, made, x->relocs[k], bytes);
        if (!reloc_is_sound(rec, bytes, x->relocs[k])) {
            return 0;
        }
    }
    memset(bytes + code_size, 0, p.size - (size_t)(bytes + code_size - (uint8_t *)rec));
    return p.size;
}

/* ---- checking ---- */

uint64_t
record_check(const struct record *rec)
{
    return store_hash((const uint8_t *)rec + sizeof rec->check, rec->size - sizeof rec->check);
}

bool
record_is_sound(const struct record *rec, size_t bytes)
{
    if (bytes < sizeof *rec || rec->size < sizeof *rec || rec->size > bytes || rec->size > RECORD_MAX || rec->size % 8 != 0 ||
        rec->code_size > RECORD_MAX || rec->guest_size > RECORD_MAX || (rec->tier != 1 && rec->tier != 2)) {
        return false;
    }
    const struct parts p = parts_of(rec);
    if (p.size != rec->size || record_check(rec) != rec->check || (rec->tier == 1 && rec->n_data == 0)) {
        return false;
    }
    uint64_t guest = 0;
    for (unsigned s = 0; s < rec->n_spans; s++) {
        guest += p.spans[s].len;
        if (p.spans[s].len == 0 || p.spans[s].len % 2 != 0 || p.spans[s].delta % 2 != 0) {
            return false;
        }
    }
    if (guest != rec->guest_size) {
        return false;
    }
    for (unsigned k = 0; k < rec->n_exits; k++) {
        const struct record_exit *o = &p.exits[k];
        if (o->kind < JX_CHAIN || o->kind > JX_FENCE_I ||
            (o->kind == JX_CHAIN && (o->word >= rec->n_data || o->unchained >= rec->code_size))) {
            return false;
        }
    }
    for (unsigned k = 0; k < rec->n_relocs; k++) {
        if (!reloc_is_sound(rec, p.code, p.relocs[k])) {
            return false;
        }
    }
    for (unsigned g = 0; p.map != NULL && g < 32; g++) {
        if (p.map->x[g] < NO_REG || p.map->x[g] > 15 || p.map->f[g] < NO_REG || p.map->f[g] > 15) {
            return false;
        }
    }
    return true;
}

bool
record_fits(const struct engine *en, const struct record *rec, uint64_t pc)
{
    const struct parts p = parts_of(rec);
    const uint8_t *bytes = p.guest;
    for (unsigned s = 0; s < rec->n_spans; s++) {
        const uint64_t start = pc + (uint64_t)(int64_t)p.spans[s].delta, end = start + p.spans[s].len;
        if (start >= GUEST_TOP || end > GUEST_TOP) {
            return false;
        }
        for (uint64_t a = start; a < end; a = (a | 4095) + 1) {
            if (!code_page_is_exec(en, a)) {
                return false;
            }
        }
        if (memcmp((const void *)(uintptr_t)(start + en->cfg.guest_base), bytes, p.spans[s].len) != 0) {
            return false;
        }
        bytes += p.spans[s].len;
    }
    return true;
}

/* ---- loading ---- */

/* Fit the code, at `at` in the writable view, to its place; false if an address does not fit into its form. */
static bool
place(const struct jit *j, const struct translation *made, uint32_t reloc, uint8_t *at)
{
    uint32_t d;
    uint64_t q;
    memcpy(&d, at, 4);
    switch ((enum x_reloc)(reloc & 7)) {
    case X_TO_DATA:
        d += (uint32_t)((const uint8_t *)made->data - made->code);
        break;
    case X_TO_FIXED:
        d -= (uint32_t)(made->code - j->code);
        break;
    case X_EXIT:
        d += made->first_exit;
        break;
    case X_GUEST32:
        q = made->pc + (uint64_t)(int64_t)(int32_t)d;
        if (q > INT32_MAX) {
            return false;
        }
        d = (uint32_t)q;
        break;
    case X_GUEST64:
        memcpy(&q, at, 8);
        q += made->pc;
        memcpy(at, &q, 8);
        return true;
    }
    memcpy(at, &d, 4);
    return true;
}

struct translation *
record_load(struct engine *en, const struct record *rec, uint64_t pc, uint64_t epoch)
{
    struct jit *j = en->jit;
    const struct parts p = parts_of(rec);
    struct span spans[REGION_BLOCKS];
    struct x64 x;
    j->no_room = false;
    if (rec->n_spans > REGION_BLOCKS) {
        return NULL;
    }
    struct translation *t = jit_begin(j, &x);
    if (t == NULL || !x_room(&x, rec->code_size) || EXITS_MAX - j->n_exits < rec->n_exits ||
        j->data_end - j->data_top < (ptrdiff_t)rec->n_data) {
        j->no_room = true;
        return NULL;
    }
    t->pc = pc;
    t->code = x_here(&x);
    t->tier = rec->tier;
    t->n_insns = rec->n_insns;
    t->n_faults = rec->n_faults;
    t->faults = (struct fault_point *)(uintptr_t)p.faults;
    t->map = p.map != NULL ? p.map : &std_map;
    t->first_exit = j->n_exits;
    t->n_exits = rec->n_exits;
    t->data = j->data_top;
    t->n_data = rec->n_data;
    t->spans = spans;
    t->n_spans = rec->n_spans;
    t->hash = rec->hash;
    for (unsigned s = 0; s < rec->n_spans; s++) {
        spans[s].start = pc + (uint64_t)(int64_t)p.spans[s].delta;
        spans[s].end = spans[s].start + p.spans[s].len;
    }
    memcpy(x.p, p.code, rec->code_size);
    for (unsigned k = 0; k < rec->n_relocs; k++) {
        if (!place(j, t, p.relocs[k], x.p + (p.relocs[k] >> 3))) {
            return NULL;
        }
    }
    x.p += rec->code_size;
    for (unsigned k = 0; k < rec->n_exits; k++) {
        const struct record_exit *o = &p.exits[k];
        struct jexit *e = &j->exits[t->first_exit + k];
        *e = (struct jexit){
            .kind = o->kind, .pc = pc + (uint64_t)(int64_t)o->delta, .nan = o->nan, .single = o->single};
        if (o->kind == JX_CHAIN) {
            e->slot = t->data + o->word;
            e->unchained = (uint64_t)(uintptr_t)t->code + o->unchained;
            *e->slot = e->unchained;
        }
    }
    if (t->tier == 1) {
        t->counter = (uint32_t *)(void *)t->data;
        *t->data = j->hot2 - (rec->used < j->hot2 ? rec->used : j->hot2);
    }
    j->n_exits += rec->n_exits;
    j->data_top += rec->n_data;
    struct translation *const done = jit_publish(en, t, &x, epoch);
    if (done == NULL) {
        j->n_exits = t->first_exit;
        j->data_top = t->data;
    }
    return done;
}
