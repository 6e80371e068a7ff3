/*
 * machine_code.h - copies of the pages of RAM that a machine's translations are made from
 *
 * Threads: written holding the translator's lock.
 */
#ifndef DOPPEL_MACHINE_CODE_H
#define DOPPEL_MACHINE_CODE_H

#include "engine/jit.h"

struct machine_code {
    uint64_t fences;     /* atomic: how often a hart has executed fence.i */
    uint64_t ram_bytes;
    uint8_t *copy;       /* own: of RAM, where something was translated */
    uint8_t *any;        /* own, by page: something has been translated there */
    uint64_t *seen;      /* own, by page: fences + 1 when the copy was last what memory was; 0: there is none */
    uint64_t *asked;     /* own, the same: … when a hart that had not been there of late came to it */
};

#endif
