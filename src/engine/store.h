/*
 * store.h - the folder in which translations are kept
 *
 *      FOLDER/0123456789abcdef.N      N = 0 … 3: a segment: the records (record.h) of one guest file under one configuration
 *      FOLDER/new.…                   one that is being written
 *
 *      segment  | struct store_head | index: by where the pc is in the guest's file | records, as they were first used |
 *
 * The name is the hash of configuration and identity of the guest's file, which the head repeats. A segment is never changed: it is
 * written under another name and linked or renamed into its place when it is whole. Of several records for the same place that of the
 * segment with the highest number counts. Few new records make a segment of their own; when there is no number left, or they
 * are many, the smaller ones become one with them. Two who
 * write at the same time may lose each other's records, nothing else.
 *
 * Trust: the folder and its files are the user's own, with write permission for nobody else, or they are not used. What is in them is
 * checked all the same: a bad head counts as no file; a bad index finds nothing, or what is no sound record for that place.
 */
#ifndef DOPPEL_STORE_H
#define DOPPEL_STORE_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct record;

#define STORE_SEGMENTS 4
#define STORE_SEGMENT_MAX ((size_t)128 << 20) /* bytes */
#define STORE_BYTES (UINT64_C(512) << 20)    /* of all, by default: what was not used for longest goes */

/* Everything but the guest's code that decides what its translation is. No padding: it is compared as bytes. */
struct store_config {
    uint8_t build[32]; /* the monitor's build ID */
    uint32_t cpu[10];  /* what the host says of itself */
    uint32_t level, opts;
    uint64_t exts;
    uint32_t based, hot2; /* a guest base; when what is hot is optimised, which says how much is known then */
};

/* Which file of the guest's. That it still has the same bytes is not concluded from this. */
struct store_file {
    uint64_t dev, ino, size, mtime_ns, ctime_ns;
};

struct store_key {
    struct store_config config;
    struct store_file file;
};

struct store_head {
    char magic[8];
    uint64_t check; /* hash of what follows, to the end of this struct */
    uint64_t size;  /* of the whole segment */
    uint32_t n_records, index_bits;
    struct store_key key;
};

struct store_entry {
    uint32_t where; /* half of record.where, + 1; 0: none */
    uint32_t at;    /* of the record in the segment, in units of 8 bytes */
};

/* One that is mapped; reading it may fault, if somebody has cut the file short. */
struct store_segment {
    char *at; /* into: a private mapping; entries of what proved bad are emptied there */
    size_t size;
    unsigned index_bits;
};

/* Of bytes, a multiple of 8: finds whatever happens to a file by accident. */
static inline uint64_t
store_hash(const void *bytes, size_t n)
{
    uint64_t h = n;
    for (size_t k = 0; k < n / 8; k++) {
        uint64_t v;
        memcpy(&v, (const char *)bytes + 8 * k, 8);
        h = (h ^ v) * UINT64_C(0x9e3779b97f4a7c15);
        h ^= h >> 29;
    }
    return h;
}

/* The folder's descriptor, made with its parents if `make`; or -errno and *e. store_is_ours() is asked. */
int store_open(const char *path, bool make, struct err *e);

/* The folder is the user's own, and nobody else may write into it. 0, or -errno and *e. */
int store_is_ours(int dir, struct err *e);

/*
 * Map the segments of this key at `to`, private, replacing what is there; at most `room` bytes. Highest number first. Returns how many;
 * *used: bytes.
 */
unsigned store_map(int dir, const struct store_key *key, char *to, size_t room, struct store_segment out[STORE_SEGMENTS], size_t *used);

/* The entry of the record for this place in the guest's file; NULL if there is none. It may be bad: see record.h. */
struct store_entry *store_find(const struct store_segment *s, uint64_t where);
const struct record *store_at(const struct store_segment *s, const struct store_entry *e, size_t *bytes);

/* Is this the head of a segment of so many bytes? */
bool store_head_is_sound(const struct store_head *h, size_t size);

/*
 * Keep n complete records; of those for the same place the last. seen: bytes of the segments that were there when they were looked at.
 * Returns 0 or -errno: -EAGAIN if there are others now, for then somebody has just kept what is much the same.
 */
int store_add(int dir, const struct store_key *key, const struct record *const *records, size_t n, uint64_t seen);

/* For `doppel cache`. A file of the folder that is ours, by its name. */
struct store_info {
    const char *name;
    uint64_t bytes;
    int64_t used_ns;   /* when it was last read or written, as far as the host says */
    bool unfinished;   /* new.… */
    bool head_ok;      /* and then: */
    struct store_head head;
    bool ours;         /* of this build; and what was counted: if STORE_CHECK was asked for */
    uint32_t n_records, n_bad;
};
enum store_how { STORE_NAMES, STORE_HEADS, STORE_CHECK }; /* names and sizes; heads too; and every record */
int store_walk(int dir, enum store_how how, void (*fn)(void *arg, const struct store_info *f), void *arg);

/* Remove what was not used for longest until the rest is no larger. Bytes removed; or -errno. */
int64_t store_trim(int dir, uint64_t bytes);

/* This build's ID: false if the linker gave it none. */
bool store_build_id(uint8_t id[32]);

#endif
