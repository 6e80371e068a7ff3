/*
 * hle.h - libc's string and memory functions, by host routines
 *
 *      guest calls memcpy ──► translation of its first instruction ──► is its code known (hle.def)?
 *                                                                        │ yes
 *             ret ◄── done ── host routine (hle_x64.S) ◄─────────────────┘
 *                                  │ not done, nothing lost
 *                                  └──► the guest's own code, from its first instruction, with the registers as they were
 *
 * A routine is not done if an argument is no address of the guest's, if operands of a copy overlap, or if somebody
 * wants the hart's attention: the guest's code then polls, and stops where it does. If it faults the guest's code is run, too, and by
 * the interpreter at first, which finds out whether and where the guest faults. What a routine reads it never writes, so what it has written until
 * then is what the guest's code writes again.
 *
 * Also included by hle_x64.S.
 */
#ifndef DOPPEL_HLE_H
#define DOPPEL_HLE_H

#define HLE_ATTENTION 412 /* of hart->attention from rbp, in translated code */

/* In the order of the table of routines. */
#define HLE_ROUTINES(X)                                                                                                 \
    X(memcpy) X(memmove) X(memset) X(memcmp) X(memchr) X(memrchr) X(strlen) X(strnlen) X(strcmp) X(strncmp) X(strchr) \
    X(strchrnul) X(stpcpy)

#ifndef __ASSEMBLER__

#include "engine/jit.h"

enum hle {
    HLE_NONE,
#define X(name) HLE_##name,
    HLE_ROUTINES(X)
#undef X
    HLE_COUNT,
};

/* Which routine begins at pc, and its bytes, at most HLE_BYTES, copied to code. Any thread; what it reads need not be there. */
enum hle hle_at(const struct engine *en, uint64_t pc, uint8_t *code, uint32_t *bytes);

/* What translated code calls: by number, those that this host has. */
const void *hle_routines(const struct jit *j);

/* For --stats: how many translations begin with each, and how often one has faulted. The length, as of snprintf(); 0 if there are none to be. */
int hle_stats(const struct jit *j, char *text, size_t size);

/* Is this in a routine? */
bool hle_is_at(const uint8_t *rip);

#endif
#endif
