/*
 * qcow2_packed.c - compressed clusters, which are read only
 *
 * An entry of an L2 table holds, in x = 62 - (cluster_bits - 8) bits, the byte where it begins, and above them how many further sectors
 * of 512 bytes it reaches into. The stream ends when a cluster is full; what follows in the last sector is another's.
 */
#include "block/qcow2_impl.h"

#include <errno.h>
#include <stdlib.h>
#include <zlib.h>
#include <zstd.h>

struct q_packed
q_packed_at(const struct qcow2 *q, uint64_t entry)
{
    const unsigned x = 62 - (q->cluster_bits - 8);
    const uint64_t off = entry & ((UINT64_C(1) << x) - 1);
    const uint64_t sectors = ((entry & ~(Q_COPIED | Q_COMPRESSED)) >> x) + 1;
    return (struct q_packed){off, sectors * 512 - off % 512};
}

static bool
unzip(uint8_t *in, size_t n, uint8_t *to, size_t room)
{
    z_stream z = {.next_in = in, .avail_in = (uInt)n, .next_out = to, .avail_out = (uInt)room};
    if (inflateInit2(&z, -15) != Z_OK) {
        return false;
    }
    const int r = inflate(&z, Z_FINISH);
    inflateEnd(&z);
    return (r == Z_STREAM_END || r == Z_BUF_ERROR || r == Z_OK) && z.avail_out == 0;
}

static bool
unzstd(const uint8_t *in, size_t n, uint8_t *to, size_t room)
{
    ZSTD_DStream *z = ZSTD_createDStream();
    ZSTD_inBuffer from = {in, n, 0};
    ZSTD_outBuffer out = {to, room, 0};
    bool good = z != NULL;
    while (good && out.pos < room) {
        const size_t before = from.pos + out.pos, r = ZSTD_decompressStream(z, &out, &from);
        good = !ZSTD_isError(r) && from.pos + out.pos != before;
    }
    ZSTD_freeDStream(z);
    return good;
}

int
q_unpack(const struct qcow2 *q, const struct q_packed *p, uint8_t *to)
{
    uint8_t *in = malloc(p->bytes); /* at most two clusters */
    if (in == NULL) {
        return -ENOMEM;
    }
    struct iovec v = {in, p->bytes};
    int r = file_read(q->fd, p->off, &v, 1, true);
    if (r == 0) {
        r = (q->zstd ? unzstd(in, p->bytes, to, q->cluster) : unzip(in, p->bytes, to, q->cluster)) ? 0 : -EIO;
    }
    free(in);
    return r;
}
