/*
 * keep.h - translations that outlive the process: what the translator asks of the store
 *
 *      the owner maps a file ──► engine_code_file(): its segments are mapped, its pages are PAGE_KEPT
 *      no translation at pc  ──► keep_load(): a record of that place, if it fits the guest's bytes, becomes one
 *      one is made           ──► keep_note(): its record is set aside
 *      the process ends      ──► engine_cache_save(): what was set aside goes to the store, if it is enough
 *
 * Threads: all of it holds jit->lock.
 */
#ifndef DOPPEL_KEEP_H
#define DOPPEL_KEEP_H

#include "engine/jit.h"

struct keep_stats {
    unsigned long files, loaded, rejected, noted, saved;
};

void keep_init(struct engine *en); /* no cache: jit->keep stays NULL */
void keep_fini(struct engine *en);

/*
 * A translation for pc, whose page is PAGE_KEPT, from the store; or NULL. Reads guest memory and files: the caller is ready for
 * adaptive_landed().
 */
struct translation *keep_load(struct engine *en, uint64_t pc);

/* It has been asked for already, in vain. No lock: may say false after it was true. */
bool keep_has_none(const struct jit *j, uint64_t pc);

/* jit_lower() has made one. */
void keep_note(struct engine *en, const struct region *r, const struct translation *made, const struct x64 *x);

void keep_after_fork(struct jit *j); /* in the child: what the parent has set aside, the parent saves */

/* Is this address in a mapping of the store's? Then what was read is not to be had, and nothing is read from there any more. */
bool keep_faulted(struct engine *en, uint64_t host_addr);

const struct keep_stats *keep_stats(const struct jit *j); /* NULL: no cache */

#endif
