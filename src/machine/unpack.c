/*
 * unpack.c - compressed kernels: gzip by zlib, zstd by libzstd
 *
 * The output grows as it comes: neither format's word for how much that will be is trusted.
 */
#include "machine/unpack.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>
#include <zstd.h>

#define FIRST (64u << 10)
#define CHUNK (8u << 20)

struct output {
    uint8_t *bytes;
    size_t n, room;
    uint64_t max;
};

/* Room for more. 0, -EFBIG or -ENOMEM. */
static int
grow(struct output *o)
{
    if (o->n < o->room) {
        return 0;
    }
    if (o->room >= o->max) {
        return -EFBIG;
    }
    uint64_t room = o->room == 0 ? FIRST : (uint64_t)o->room * 2;
    room = room < o->max ? room : o->max;
    uint8_t *bytes = realloc(o->bytes, room);
    if (bytes == NULL) {
        return -ENOMEM;
    }
    o->bytes = bytes;
    o->room = room;
    return 0;
}

static int
inflate_all(const uint8_t *in, size_t n, struct output *o)
{
    z_stream z = { 0 };
    if (inflateInit2(&z, 15 + 16) != Z_OK) { /* the largest window, a gzip header */
        return -ENOMEM;
    }
    int r = 0;
    for (int done = Z_OK; done != Z_STREAM_END && r == 0;) {
        r = grow(o);
        if (r != 0) {
            break;
        }
        const size_t in_n = n < CHUNK ? n : CHUNK, out_n = o->room - o->n < CHUNK ? o->room - o->n : CHUNK;
        z.next_in = (z_const Bytef *)in;
        z.avail_in = (uInt)in_n;
        z.next_out = o->bytes + o->n;
        z.avail_out = (uInt)out_n;
        done = inflate(&z, Z_NO_FLUSH);
        const size_t eaten = in_n - z.avail_in, made = out_n - z.avail_out;
        in += eaten;
        n -= eaten;
        o->n += made;
        if (done != Z_STREAM_END && (done != Z_OK || (eaten == 0 && made == 0))) {
            r = done == Z_MEM_ERROR ? -ENOMEM : -EBADMSG;
        }
    }
    inflateEnd(&z);
    return r;
}

static int
zstd_all(const uint8_t *in, size_t n, struct output *o)
{
    ZSTD_DStream *d = ZSTD_createDStream();
    if (d == NULL) {
        return -ENOMEM;
    }
    ZSTD_inBuffer from = { in, n, 0 };
    int r = 0;
    for (size_t left = 1; left != 0 && r == 0;) {
        r = grow(o);
        if (r != 0) {
            break;
        }
        ZSTD_outBuffer to = { o->bytes, o->room, o->n };
        const size_t before = from.pos;
        left = ZSTD_decompressStream(d, &to, &from);
        const bool stuck = from.pos == before && to.pos == o->n;
        o->n = to.pos;
        if (ZSTD_isError(left) || (left != 0 && stuck)) {
            r = -EBADMSG;
        }
    }
    ZSTD_freeDStream(d);
    return r;
}

enum unpack_kind
unpack_kind_of(const uint8_t *in, size_t n)
{
    if (n >= 4 && in[0] == 0x1f && in[1] == 0x8b && in[2] == 8) {
        return UNPACK_GZIP;
    }
    return n >= 4 && memcmp(in, "\x28\xb5\x2f\xfd", 4) == 0 ? UNPACK_ZSTD : UNPACK_NONE;
}

int
unpack(enum unpack_kind kind, const uint8_t *in, size_t n, uint64_t max, uint8_t **out, size_t *out_n, struct err *e)
{
    struct output o = { .max = max };
    int r = kind == UNPACK_GZIP ? inflate_all(in, n, &o) : kind == UNPACK_ZSTD ? zstd_all(in, n, &o) : -EINVAL;
    if (r != 0) {
        free(o.bytes);
        return r == -EFBIG ? err_set(e, 0, "it unpacks to more than the machine's memory")
               : r == -EBADMSG ? err_set(e, 0, "its compressed data is damaged or cut short")
                               : err_set(e, r, "unpack");
    }
    *out = o.bytes;
    *out_n = o.n;
    return 0;
}
