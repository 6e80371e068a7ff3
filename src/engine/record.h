/*
 * record.h - a translation as it is kept: what it was made from, and its code without a place
 *
 *      | struct record | spans | faults | exits | relocs | map (tier 2) | recipes | guest bytes | code |      a multiple of 8 bytes
 *
 * Guest addresses are distances from the translation's pc. Where x64.h notes a place in the code, the code holds
 *
 *      X_TO_DATA  which of the translation's words       X_GUEST32, X_GUEST64  distance from the pc
 *      X_TO_FIXED distance from the start of all code     X_EXIT                which of the translation's exits
 *      X_TO_COUNT distance from the translation's counter: none
 *
 * A record is good for the guest bytes that it holds, wherever in whatever process they are, if the monitor's build, the host's
 * features and the tuning are the same; that is store.c's to see to.
 *
 * Trust: a record comes from a file. Whatever it says is checked before it is used, but for the meaning of the code itself.
 */
#ifndef DOPPEL_RECORD_H
#define DOPPEL_RECORD_H

#include "engine/jit.h"
#include "engine/store.h"

struct record {
    uint64_t check; /* hash of the rest */
    uint64_t where; /* of the pc: offset in the guest's file */
    uint64_t hash;  /* of the guest bytes, as struct translation has it */
    uint32_t size;  /* of all */
    uint32_t used;  /* tier 1: how often it had run, at most as often as makes it hot */
    uint32_t code_size, guest_size, n_insns;
    uint16_t n_spans, n_exits, n_faults, n_relocs, n_data;
    uint8_t tier, hle; /* as struct translation has them */
    uint32_t n_recipes, none;
};

struct record_span {
    int32_t delta;
    uint32_t len;
};
struct record_exit {
    int32_t delta;
    uint32_t unchained; /* JX_CHAIN: offset in the code */
    uint16_t word;      /* … and which of the data words is its slot */
    uint8_t kind, spare;
    uint32_t nan, single; /* as struct jexit has them */
};

#define RECORD_MAX (1u << 20) /* bytes; longer ones are not kept */

/* Where its parts are, and its size, as its counts have it. */
struct record_parts {
    const struct record_span *spans;
    const struct record_exit *exits;
    const struct fault_point *faults;
    const uint32_t *relocs;
    const struct regmap *map;
    const uint8_t *recipes, *guest, *code;
    size_t size;
};
struct record_parts record_parts(const struct record *rec);

/* A noted place is inside of the code, and what it means inside of what it may mean. */
bool record_reloc_is_sound(const struct record *rec, const uint8_t *code, uint32_t reloc);

/*
 * Write the translation that jit_lower() has just emitted into buf: its size, 0 if it does not fit there or cannot be kept. made: as
 * for jit_publish(). check is left 0.
 */
size_t record_make(struct engine *en, const struct region *r, const struct translation *made, const struct x64 *x, void *buf,
                   size_t room);

/* Its check, with which it is complete. */
uint64_t record_check(const struct record *rec);

/* Is there one at rec, in so many bytes, that is whole and means no place outside of itself? */
bool record_is_sound(const struct record *rec, size_t bytes);

/*
 * Are the guest's bytes at pc those that it was made from? Reads guest memory, so it may leave as interp_fetch() does. A sound one only,
 * as below.
 */
bool record_fits(const struct engine *en, const struct record *rec, uint64_t pc);

/*
 * Copy it into the code cache, for pc. epoch: of the code, before record_fits() was asked. Holding the lock. NULL if there is no room
 * (jit->no_room), or it cannot be there.
 */
struct translation *record_load(struct engine *en, const struct record *rec, uint64_t pc, uint64_t epoch);

#endif
