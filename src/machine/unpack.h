/*
 * unpack.h - compressed kernels
 */
#ifndef DOPPEL_UNPACK_H
#define DOPPEL_UNPACK_H

#include "base/err.h"

#include <stddef.h>
#include <stdint.h>

enum unpack_kind { UNPACK_NONE, UNPACK_GZIP, UNPACK_ZSTD };

/* By the first bytes; fewer than 4 are none. */
enum unpack_kind unpack_kind_of(const uint8_t *in, size_t n);

/*
 * Unpack `in` into *out (own: the caller's to free). At most `max` bytes come out: more is an error, as is input that is cut
 * short or damaged. Bytes behind the compressed data do not matter. 0, or -errno with *e.
 */
int unpack(enum unpack_kind kind, const uint8_t *in, size_t n, uint64_t max, uint8_t **out, size_t *out_n, struct err *e);

#endif
