/*
 * hle.c - which code is libc's, and which routine there is for it; see hle.h
 *
 * A routine is known by its normal form, which is the same wherever a linker has put it: its code without the distances of auipc, of what is loaded
 * or added by it, and of calls, but with the words that are loaded so, if they are no addresses (constants; __stack_chk_guard is one), and
 * with the hash of the part that is called, if it is a known one (_wordcopy_…; __stack_chk_fail is none). What hle.def has is complete in itself
 * otherwise: scripts/hle-table.py, which has the same form, sees to that.
 */
#include "engine/hle.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>

#define PAGE 4096
#define PART_BYTES 512
#define HASH_START UINT64_C(0xcbf29ce484222325)

static_assert(HART(attention) == HLE_ATTENTION, "hle_x64.S polls it");

struct known {
    uint64_t hash;
    uint16_t bytes, first;
    uint8_t routine;
};

static const struct known routines[] = {
#define HLE(kind, bytes, first, hash) {UINT64_C(hash), bytes, first, HLE_##kind},
#include "engine/hle.def"
}, parts[] = {
#define HLE_PART(bytes, first, hash) {UINT64_C(hash), bytes, first, HLE_NONE},
#include "engine/hle.def"
};

#define X(name) extern const uint8_t hle_##name##_v1[], hle_##name##_v3[];
HLE_ROUTINES(X)
#undef X
extern const uint8_t hle_begin[], hle_end[];

const void *
hle_routines(const struct jit *j)
{
    static const uint8_t *const v1[HLE_COUNT] = {
#define X(name) [HLE_##name] = hle_##name##_v1,
        HLE_ROUTINES(X)
#undef X
    }, *const v3[HLE_COUNT] = {
#define X(name) [HLE_##name] = hle_##name##_v3,
        HLE_ROUTINES(X)
#undef X
    };
    return j->avx2 ? v3 : v1;
}

static_assert(HLE_COUNT <= HLE_ROUTINES_MAX, "struct jit_stats has room");

int
hle_stats(const struct jit *j, char *text, size_t size)
{
    static const char *const names[HLE_COUNT] = {
#define X(name) [HLE_##name] = #name,
        HLE_ROUTINES(X)
#undef X
    };
    if ((j->opts & IROPT_HLE) == 0) {
        return 0;
    }
    int n = snprintf(text, size, "routines: faults %lu", j->stats.hle_faults);
    for (unsigned r = 1; r < HLE_COUNT && n >= 0 && (size_t)n < size; r++) {
        if (j->stats.hle[r] != 0) {
            n += snprintf(text + n, size - (size_t)n, ", %s %u", names[r], j->stats.hle[r]);
        }
    }
    return n >= 0 && (size_t)n < size ? n + snprintf(text + n, size - (size_t)n, "\n") : n;
}

/* ---- recognising ---- */

static uint64_t
mix(uint64_t h, uint64_t v, unsigned halves)
{
    for (unsigned k = 0; k < halves; k++) {
        h = (h ^ (v >> 16 * k & 0xffff)) * UINT64_C(0x100000001b3);
    }
    return h;
}

/* Guest memory that need not be there. */
static bool
peek(void *to, uint64_t at, size_t n)
{
    return at < GUEST_TOP && engine_peek(to, (const void *)(uintptr_t)at, n) == 0;
}

/* The guest's code at pc, all of it executable and not to change unseen. */
static bool
code_at(const struct engine *en, uint64_t pc, uint8_t *code, size_t bytes)
{
    for (uint64_t p = pc / PAGE; p <= (pc + bytes - 1) / PAGE; p++) {
        if (p >= GUEST_TOP / PAGE || (en->page_flags[p] & (PAGE_EXEC | PAGE_MUTABLE)) != PAGE_EXEC) {
            return false;
        }
    }
    return peek(code, pc, bytes);
}

static uint64_t part_at(const struct engine *en, uint64_t pc);

/* The hash of the normal form of so many bytes that are at pc; part: calls count for nothing. */
static uint64_t
hash_of(const struct engine *en, uint64_t pc, const uint8_t *code, uint32_t bytes, bool part)
{
    enum { LOAD = 0x03, ADDI = 0x13, AUIPC = 0x17, JAL = 0x6f, STORE = 0x23, BRANCH = 0x63, NO_BASE = 32 };
    uint64_t h = HASH_START, page = 0;
    unsigned base = NO_BASE;
    for (uint32_t at = 0; at < bytes;) {
        uint16_t half;
        memcpy(&half, code + at, 2);
        if ((half & 3) != 3) {
            h = mix(h, half, 1);
            at += 2;
            continue;
        }
        uint32_t w;
        if (bytes - at < 4) {
            return 0;
        }
        memcpy(&w, code + at, 4);
        const unsigned op = w & 0x7f, rd = w >> 7 & 31, rs1 = w >> 15 & 31, f3 = w >> 12 & 7;
        const uint64_t loads = page + (uint64_t)(int64_t)((int32_t)w >> 20);
        uint64_t more = 0;
        unsigned n_more = 0;
        if (op == AUIPC) {
            base = rd;
            page = pc + at + (uint64_t)(int64_t)(int32_t)(w & 0xfffff000);
            w &= 0xfff;
        } else if (rs1 == base && op == LOAD && f3 == 3) {
            if (!peek(&more, loads, sizeof more) || more < GUEST_TOP) {
                more = 0;
            }
            n_more = 4;
            w &= 0xfffff;
        } else if (rs1 == base && op == ADDI && f3 == 0 && part) {
            w &= 0xfffff;
        } else if (op == JAL) {
            struct insn i;
            isa_decode(w, ISA_ALL, &i);
            const uint64_t to = (uint64_t)at + (uint64_t)(int64_t)i.imm;
            if (to >= bytes) {
                more = part ? 0 : part_at(en, pc + to);
                n_more = 4;
                w &= 0xfff;
            }
        }
        if (rd == base && op != AUIPC && op != BRANCH && op != STORE) {
            base = NO_BASE;
        }
        h = mix(mix(h, w, 2), more, n_more);
        at += 4;
    }
    return h;
}

static uint64_t
part_at(const struct engine *en, uint64_t pc)
{
    uint8_t code[PART_BYTES];
    for (size_t k = 0; k < sizeof parts / sizeof parts[0]; k++) {
        const struct known *p = &parts[k];
        if (p->bytes <= sizeof code && code_at(en, pc, code, p->bytes) && memcmp(code, &p->first, 2) == 0 &&
            hash_of(en, pc, code, p->bytes, true) == p->hash) {
            return p->hash;
        }
    }
    return 0;
}

enum hle
hle_at(const struct engine *en, uint64_t pc, uint8_t *code, uint32_t *bytes)
{
    uint16_t first;
    if ((en->jit->opts & IROPT_HLE) == 0 || !code_at(en, pc, (uint8_t *)&first, sizeof first)) {
        return HLE_NONE;
    }
    for (size_t k = 0; k < sizeof routines / sizeof routines[0]; k++) {
        const struct known *r = &routines[k];
        if (r->first == first && r->bytes <= HLE_BYTES && code_at(en, pc, code, r->bytes) && hash_of(en, pc, code, r->bytes, false) == r->hash) {
            *bytes = r->bytes;
            return (enum hle)r->routine;
        }
    }
    return HLE_NONE;
}

bool
hle_is_at(const uint8_t *rip)
{
    return rip >= hle_begin && rip < hle_end;
}
