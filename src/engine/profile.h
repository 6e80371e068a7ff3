/*
 * profile.h - counting what a program executes, exactly: doppel prof
 *
 * While it is on, each block is translated before it is executed first, alone (no regions), and counts its executions; each jump whose
 * target the code says counts beside its slot; calls, returns and computed jumps pass by the manager, which keeps the tree of calls.
 * What leaves a block early, and each instruction that the interpreter executes, is told one by one:
 *
 *      block's counter ──(cache flushed, or somebody asks)──► each of its instructions ──► blocks, functions
 *      jump's counter  ────────────────────────────────────► edges ◄── the manager
 *      hart's instret  ──(call, return, thread's end)──────► the node of the tree that the hart was in
 *
 * Threads: jit->lock is held by the callers where it says so, and taken where it does not.
 */
#ifndef DOPPEL_PROFILE_H
#define DOPPEL_PROFILE_H

#include "engine/jit.h"

struct profile *profile_new(void); /* NULL without memory */
void profile_free(struct profile *p);

/* Are these two in different functions? Holding the lock. */
bool profile_is_elsewhere(struct engine *en, uint64_t a, uint64_t b);

/* A block has been translated, and a cache is about to be emptied. Holding the lock. */
void profile_note(struct engine *en, const struct region *r, const struct translation *t);
void profile_flush(struct jit *j);

/* Translated code was left by exit number `from`; h->pc is the target of a jump. And by a fault in t, at h->pc. */
void profile_left(struct engine *en, struct hart *h, uint32_t from);
void profile_faulted(struct engine *en, struct hart *h, const struct translation *t);

/* The interpreter is to execute the instruction at h->pc and no other; engine_run has been landed in. */
void profile_step(struct engine *en, struct hart *h);
void profile_landed(struct engine *en, struct hart *h, enum exit_kind kind);

/* The hart begins, and ends; and a child of fork, where it alone goes on and counts from zero. Holding the lock. */
void profile_hart_begins(struct engine *en, struct hart *h);
void profile_hart_ends(struct engine *en, struct hart *h);
void profile_forked(struct engine *en, struct hart *h);

#endif
