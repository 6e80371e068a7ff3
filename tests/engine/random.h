/*
 * random.h - random guest programs that end, for holding one engine against another
 *
 *      RP_TEXT    code, which the program may change
 *      RP_ARENA   three pages that it reads and writes; then one that is read-only, then nothing
 *      RP_TABLES  addresses and words that it only loads: jump tables, code to patch in
 *      RP_CALLS   its stack of return addresses, out of reach of its other stores
 *
 * A program ends by the system call RP_END, or wherever it is after so many exits. Everything follows from its seed.
 */
#ifndef DOPPEL_TEST_RANDOM_H
#define DOPPEL_TEST_RANDOM_H

#include "isa/isa.h"

#include <stdbool.h>
#include <stdint.h>

#define RP_TEXT UINT64_C(0x100000)
#define RP_TEXT_BYTES 0x5000
#define RP_ARENA UINT64_C(0x200000)
#define RP_ARENA_BYTES 0x3000
#define RP_CONST (RP_ARENA + RP_ARENA_BYTES)
#define RP_CONST_BYTES 0x1000
#define RP_TABLES UINT64_C(0x208000)
#define RP_TABLES_BYTES 0x2000
#define RP_CALLS UINT64_C(0x20c000)
#define RP_CALLS_BYTES 0x1000
#define RP_END 93

#define RP_UNITS (RP_TEXT_BYTES / 2)

struct rprog {
    uint64_t seed, entry;
    uint64_t x[32], f[32];
    unsigned text_bytes, n_units, n_tables; /* n_tables: of 8 bytes */
    struct {
        uint16_t at;
        uint8_t len;
    } units[RP_UNITS]; /* its instructions, for taking some away */
    uint8_t text[RP_TEXT_BYTES];
    uint64_t tables[RP_TABLES_BYTES / 8];
    uint64_t arena[RP_ARENA_BYTES / 8], constants[RP_CONST_BYTES / 8];
};

struct rng {
    uint64_t s;
};

static inline uint64_t
rng_next(struct rng *r)
{
    uint64_t z = r->s += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

static inline unsigned
rng_below(struct rng *r, unsigned n)
{
    return (unsigned)((rng_next(r) >> 32) * n >> 32);
}

/* The program of this seed, for a hart that has `exts`. */
void rprog_make(struct rprog *p, uint64_t seed, ext_set exts);

#endif
