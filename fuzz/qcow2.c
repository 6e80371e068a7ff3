/*
 * qcow2.c - a small image with any bytes changed, opened and used
 *
 * covers: src/block/qcow2.c src/block/qcow2_data.c src/block/qcow2_tables.c src/block/qcow2_refcount.c src/block/qcow2_packed.c
 *
 * The input is a list of changes to an image that is sound: where (one of its tables, or a field of the header), and what; its first bytes
 * say which image it is: clusters, version, reference counts, a backing file. Then reads, writes, zeroes and discards, as the rest of the
 * input says, a flush, and once more. The file grows by what is written only, and what it refuses is one line.
 */
#include "base/check.h"
#include "block/block_impl.h"

#include <endian.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>
#include <zstd.h>

#define SIZE_MAX_ (UINT64_C(48) << 20)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What the input does not say is drawn from it: short ones do a lot, too. */
struct input {
    const uint8_t *at;
    size_t left;
    uint32_t more;
};

static uint64_t
take(struct input *in, unsigned n)
{
    uint64_t v = 0;
    while (n-- > 0) {
        uint8_t next;
        if (in->left > 0) {
            next = *in->at++;
            in->left--;
        } else {
            in->more ^= in->more << 13;
            in->more ^= in->more >> 17;
            in->more ^= in->more << 5;
            next = (uint8_t)(in->more >> 11);
        }
        v = v << 8 | next;
    }
    return v;
}

static void
put(int fd, uint64_t off, uint64_t v, unsigned bytes)
{
    v = htobe64(v << (64 - 8 * bytes));
    CHECK(pwrite(fd, &v, bytes, (off_t)off) == (ssize_t)bytes);
}

/* Clusters: 0 header, 1 refcount table, 2 block, 3 L1, 4 L2, 5 data, 6 packed data. */
static uint64_t
make(int fd, int base, struct input *in)
{
    const unsigned how = (unsigned)take(in, 1), bits = how % 3 == 0 ? 9 : how % 3 == 1 ? 12 : 16, order = (unsigned)take(in, 1) % 7;
    const bool v3 = (how & 8) != 0, zstd = v3 && (how & 16) != 0;
    const uint64_t cluster = UINT64_C(1) << bits;
    const unsigned n_l1 = bits == 9 ? 64 : 3, x = 62 - (bits - 8);
    CHECK(ftruncate(fd, 0) == 0 && ftruncate(fd, (off_t)(7 * cluster)) == 0);
    put(fd, 0, 0x514649fb, 4);
    put(fd, 4, v3 ? 3 : 2, 4);
    put(fd, 20, bits, 4);
    put(fd, 24, n_l1 * cluster * (cluster / 8) < SIZE_MAX_ ? n_l1 * cluster * (cluster / 8) - 1536 : SIZE_MAX_, 8);
    put(fd, 36, n_l1, 4);
    put(fd, 40, 3 * cluster, 8);
    put(fd, 48, cluster, 8);
    put(fd, 56, 1, 4);
    if (v3) {
        put(fd, 72, zstd ? 8 : 0, 8);
        put(fd, 96, order, 4);
        put(fd, 100, 112, 4);
        put(fd, 104, zstd, 1);
    }
    if (how & 32) {
        char name[32];
        const int n = snprintf(name, sizeof name, "/proc/self/fd/%d", base);
        put(fd, 8, 300, 8);
        put(fd, 16, (unsigned)n, 4);
        CHECK(pwrite(fd, name, (size_t)n, 300) == n);
    }
    if ((how & 192) == 192) { /* a snapshot, whose tables are the image's: only its own is looked at */
        put(fd, 60, 1, 4);
        put(fd, 64, 7 * cluster, 8);
        put(fd, 7 * cluster + 12, 0x00010004, 4);
    }
    put(fd, cluster, 2 * cluster, 8);
    CHECK(ftruncate(fd, (off_t)(8 * cluster)) == 0);
    for (unsigned i = 0; i < 7; i++) {
        const unsigned width = v3 ? 1u << order : 16;
        if (width >= 8) {
            put(fd, 2 * cluster + i * (width / 8), 1, width / 8);
        }
    }
    if (v3 && order < 3) {
        put(fd, 2 * cluster, order == 0 ? 0x7f : order == 1 ? 0x5515 : 0x11111110, order == 0 ? 1 : order == 1 ? 2 : 4);
    }
    put(fd, 3 * cluster, 4 * cluster | UINT64_C(1) << 63, 8);
    put(fd, 4 * cluster, 5 * cluster | UINT64_C(1) << 63, 8);
    put(fd, 4 * cluster + 8, 1, 8);
    uint8_t *plain = calloc(1, cluster), *packed = malloc(2 * cluster + 1024);
    memset(plain + cluster / 2, 'x', cluster / 4);
    size_t n = 0;
    if (zstd) {
        n = ZSTD_compress(packed, 2 * cluster + 1024, plain, cluster, 1);
    } else {
        z_stream z = {.next_in = plain, .avail_in = (uInt)cluster, .next_out = packed, .avail_out = (uInt)(2 * cluster)};
        CHECK(deflateInit2(&z, 9, Z_DEFLATED, -12, 9, Z_DEFAULT_STRATEGY) == Z_OK && deflate(&z, Z_FINISH) == Z_STREAM_END);
        n = z.total_out;
        deflateEnd(&z);
    }
    CHECK(pwrite(fd, packed, n < cluster ? n : cluster, (off_t)(6 * cluster)) > 0);
    put(fd, 4 * cluster + 16, UINT64_C(1) << 62 | (uint64_t)(n / 512) << x | 6 * cluster, 8);
    free(plain);
    free(packed);
    return cluster;
}

/* Changes to it. */
static void
spoil(int fd, uint64_t cluster, struct input *in)
{
    for (uint64_t n = take(in, 1) % 6; n > 0; n--) {
        const uint64_t what = take(in, 1), place = what % 8, unit = (what & 8) != 0 ? 1 : 8;
        uint64_t v = take(in, (unsigned)unit);
        if ((what & 48) == 16) {
            v = (v % 12 * cluster) | (v >> 8 & 3) << 62 | (v >> 10 & 1); /* a place, with flags */
        }
        const uint64_t at = place < 2 ? take(in, 1) % 128 : (place - 1) * cluster + take(in, 2) * unit % cluster;
        put(fd, at, v, (unsigned)unit);
    }
}

static void
use(struct block *b, struct input *in, uint64_t cluster)
{
    static uint8_t mem[1 << 18];
    for (unsigned i = 0, n_ops = (unsigned)take(in, 1) % 32; i < n_ops; i++) {
        const uint64_t what = take(in, 1), at = take(in, 2) * (what & 64 ? 512 : cluster) % (b->bytes / 512 * 512 + 512);
        uint64_t n = ((take(in, 1) & 63) + 1) * 512 * (what & 128 ? 8 : 1);
        if (at >= b->bytes) {
            continue;
        }
        n = n < b->bytes - at ? n : b->bytes - at;
        n = n < sizeof mem ? n : sizeof mem;
        const struct iovec v = {mem, n};
        const unsigned op = what % 6;
        if (op == 0 || b->read_only) {
            b->ops->read(b, at, &v, 1);
        } else if (op < 3) {
            memset(mem, (int)i, n);
            b->ops->write(b, at, &v, 1);
        } else if (op == 3) {
            b->ops->zero(b, at, n, true);
        } else if (op == 4) {
            b->ops->discard(b, at, n);
        } else {
            b->ops->flush(b);
        }
    }
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static int fd = -1, base;
    struct input in = {data, size, 1};
    for (size_t i = 0; i < size; i++) {
        in.more = in.more * 16777619 ^ data[i];
    }
    in.more |= 1;
    if (size < 4 || size > 4096) {
        return 0;
    }
    if (fd < 0) {
        fd = memfd_create("image", 0);
        base = memfd_create("base", 0);
        CHECK(fd >= 0 && base >= 0 && ftruncate(base, 100000) == 0 && pwrite(base, "base", 4, 70000) == 4);
    }
    char path[64];
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    const uint64_t cluster = make(fd, base, &in);
    const bool fill = cluster == 512 && take(&in, 1) % 8 == 0;
    spoil(fd, cluster, &in);
    const bool read_only = take(&in, 1) % 5 == 0;
    for (unsigned i = 0; i < 2; i++) {
        struct block_chain chain = {0};
        const struct block_spec spec = {.file = path, .format = "qcow2", .read_only = read_only, .cache = i ? BLOCK_UNSAFE : BLOCK_WRITEBACK};
        struct block *b = NULL;
        struct err e = {""};
        const int image = open(path, (read_only ? O_RDONLY : O_RDWR) | O_CLOEXEC);
        if (qcow2_open(image, &spec, &chain, &b, &e) != 0) {
            CHECK(e.text[0] != 0 && strchr(e.text, '\n') == NULL);
            return 0;
        }
        for (uint64_t at = 0; at < (UINT64_C(2) << 20) && fill && !read_only; at += 1 << 17) { /* more than the refcount table counts for */
            static uint8_t some[1 << 17];
            const struct iovec v = {some, b->bytes >= at + sizeof some ? sizeof some : b->bytes > at ? b->bytes - at : 0};
            b->ops->write(b, at, &v, 1);
        }
        if (i > 0 && take(&in, 1) % 4 == 0 && qcow2_over(b, &b, &e) != 0) {
            return 0;
        }
        use(b, &in, cluster);
        block_close(b);
        struct stat st;
        CHECK(fstat(fd, &st) == 0 && (uint64_t)st.st_size < UINT64_C(1) << 32);
    }
    return 0;
}
