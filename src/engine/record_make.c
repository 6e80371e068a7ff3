/*
 * record_make.c - of a translation that has just been emitted, its record; see record.h
 */
#include "engine/record.h"

#include "base/check.h"

#include <string.h>

#define COUNT_MAX UINT16_MAX

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
    case X_TO_COUNT:
        d -= (uint32_t)((const uint8_t *)made->counter - made->code);
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
                           .n_data = (uint16_t)made->n_data, .tier = made->tier, .hle = made->hle, .n_recipes = made->n_recipes};
    const struct record_parts p = record_parts(rec);
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
    if (made->n_recipes != 0) {
        memcpy((void *)(uintptr_t)p.recipes, made->recipes, made->n_recipes);
    }
    uint8_t *bytes = (uint8_t *)(uintptr_t)p.guest;
    for (unsigned b = 0; b < r->n_blocks; b++) {
        for (unsigned k = r->blocks[b].first; k < r->blocks[b].first + r->blocks[b].count; k++) {
            memcpy(bytes, &r->words[k], r->insns[k].len);
            bytes += r->insns[k].len;
        }
    }
    if (r->hle != 0) {
        memcpy(bytes, r->hle_code, r->hle_bytes);
        bytes += r->hle_bytes;
    }
    CHECK(bytes == p.code);
    memcpy(bytes, x->start, code_size);
    for (unsigned k = 0; k < x->n_relocs; k++) {
        lift(j, made, x->relocs[k], bytes);
        if (!record_reloc_is_sound(rec, bytes, x->relocs[k])) {
            return 0;
        }
    }
    memset(bytes + code_size, 0, p.size - (size_t)(bytes + code_size - (uint8_t *)rec));
    return p.size;
}
