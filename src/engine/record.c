/*
 * record.c - records that come from a file: checking and loading them; see record.h
 */
#include "engine/record.h"

#include "engine/hle.h"

#include <string.h>

static_assert(sizeof(struct record) % 8 == 0 && sizeof(struct record_span) == 8 && sizeof(struct record_exit) == 20 &&
                  sizeof(struct fault_point) == 24 && sizeof(struct regmap) == 64,
              "the layout of a record");

struct record_parts
record_parts(const struct record *rec)
{
    struct record_parts p;
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
    p.recipes = at;
    p.guest = at + rec->n_recipes;
    p.code = p.guest + rec->guest_size;
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

bool
record_reloc_is_sound(const struct record *rec, const uint8_t *code, uint32_t reloc)
{
    const uint32_t off = reloc >> 3;
    if ((reloc & 7) > X_TO_COUNT || off > rec->code_size || rec->code_size - off < reloc_width(reloc)) {
        return false;
    }
    switch ((enum x_reloc)(reloc & 7)) {
    case X_TO_DATA:
        return leads_to(reloc, code) >= -4 && leads_to(reloc, code) < 8 * (int64_t)rec->n_data;
    case X_TO_COUNT:
        return rec->tier == 1 && leads_to(reloc, code) >= -4 && leads_to(reloc, code) <= 0;
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
        rec->code_size > RECORD_MAX || rec->guest_size > RECORD_MAX || rec->n_recipes > RECORD_MAX || (rec->tier != 1 && rec->tier != 2)) {
        return false;
    }
    const struct record_parts p = record_parts(rec);
    if (p.size != rec->size || record_check(rec) != rec->check) {
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
        if (!record_reloc_is_sound(rec, p.code, p.relocs[k])) {
            return false;
        }
    }
    for (unsigned g = 0; p.map != NULL && g < 32; g++) {
        if (p.map->x[g] < NO_REG || p.map->x[g] > 15 || p.map->f[g] < NO_REG || p.map->f[g] >= F_REGS) {
            return false;
        }
    }
    return true;
}

bool
record_fits(const struct engine *en, const struct record *rec, uint64_t pc)
{
    const struct record_parts p = record_parts(rec);
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
    /* A routine's spans are not all that it is known by. */
    uint8_t code[HLE_BYTES];
    uint32_t n;
    return rec->hle == HLE_NONE || hle_at(en, pc, code, &n) == rec->hle;
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
    case X_TO_COUNT:
        d += (uint32_t)((const uint8_t *)made->counter - made->code);
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
    const struct record_parts p = record_parts(rec);
    struct span spans[REGION_BLOCKS + 1];
    struct x64 x;
    if (rec->n_spans > REGION_BLOCKS + 1) {
        return NULL;
    }
    struct translation *t = jit_begin(j, &x, rec->tier);
    if (t == NULL) {
        return NULL;
    }
    if (!x_room(&x, rec->code_size) || j->max_exits - j->n_exits < rec->n_exits ||
        j->data_end - j->data_top < (ptrdiff_t)rec->n_data) {
        j->no_room = true;
        return NULL;
    }
    t->pc = pc;
    t->code = x_here(&x);
    t->tier = rec->tier;
    t->hle = rec->hle;
    t->n_insns = rec->n_insns;
    t->n_faults = rec->n_faults;
    t->faults = (struct fault_point *)(uintptr_t)p.faults;
    t->recipes = (uint8_t *)(uintptr_t)p.recipes;
    t->n_recipes = rec->n_recipes;
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
    if (rec->tier == 1) {
        t->counter = &j->counts[j->n_by_addr];
        *t->counter = j->hot2 - (rec->used < j->hot2 ? rec->used : j->hot2);
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
    j->n_exits += rec->n_exits;
    j->data_top += rec->n_data;
    struct translation *const done = jit_publish(en, t, &x, epoch);
    if (done == NULL) {
        j->n_exits = t->first_exit;
        j->data_top = t->data;
    }
    return done;
}
