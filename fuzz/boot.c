/*
 * boot.c - any bytes as kernel, firmware and initrd: plain, packed, from a file and from memory
 *
 * covers: src/machine/boot.c src/machine/unpack.c
 *
 * The first byte says how the rest is given: packed by gzip or zstd, in an EFI zboot, in a file; as what; with an initrd or not. What has
 * been placed lies in RAM, nothing over anything else, and entries are where something is.
 */
#include "base/check.h"
#include "machine/boot.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <zlib.h>
#include <zstd.h>

#define RAM UINT64_C(0x80000000)
#define RAM_BYTES (UINT64_C(16) << 20)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static size_t
packed(unsigned how, const uint8_t *in, size_t n, uint8_t *out, size_t room)
{
    if (how == 0) {
        memcpy(out, in, n);
        return n;
    }
    if (how == 2) {
        const size_t made = ZSTD_compress(out, room, in, n, 1);
        CHECK(!ZSTD_isError(made));
        return made;
    }
    z_stream z = {.next_in = (Bytef *)(uintptr_t)in, .avail_in = (uInt)n, .next_out = out, .avail_out = (uInt)room};
    CHECK(deflateInit2(&z, 1, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) == Z_OK && deflate(&z, Z_FINISH) == Z_STREAM_END);
    const size_t made = z.total_out;
    deflateEnd(&z);
    return made;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct physmap pm;
    static int file = -1;
    struct boot b;
    struct err e;
    if (size < 1 || size > 100000) {
        return 0;
    }
    if (file < 0) {
        physmap_init(&pm);
        CHECK(physmap_add_ram(&pm, RAM, RAM_BYTES, NULL) == 0);
        file = memfd_create("image", 0);
    }
    const unsigned how = *data++;
    size--;
    uint8_t *const bytes = malloc(200000 + 64);
    size_t n = packed(how % 3, data, size, bytes + 64, 200000);
    uint8_t *image = bytes + 64;
    if ((how & 0x80) != 0) { /* a zboot's head: sizes as they are, or by the input's own bytes wrong */
        const uint32_t at = 64, bytes_n = (uint32_t)n;
        image = bytes;
        memset(image, 0, 64);
        memcpy(image, "MZ\0\0zimg", 8);
        memcpy(image + 8, &at, 4);
        memcpy(image + 12, (how & 0x40) != 0 && size >= 4 ? (const void *)data : &bytes_n, 4);
        memcpy(image + 24, how % 3 == 2 ? "zstd" : how % 3 == 1 ? "gzip" : "lz4", 4);
        n += 64;
    } else if (how % 3 != 0 && (how & 0x40) != 0 && n != 0) {
        image[(size != 0 ? data[0] : 0) % n] ^= 1;
        n -= n > 4 && (how & 0x20) != 0 ? 4 : 0;
    }
    char path[64];
    snprintf(path, sizeof path, "/proc/self/fd/%d", file);
    CHECK(ftruncate(file, 0) == 0 && pwrite(file, image, n, 0) == (ssize_t)n);
    const struct boot_image from_mem = {.mem = image, .n_mem = n}, from_file = {.path = path}, none = {0};
    const struct boot_image *const it = (how & 0x10) != 0 ? &from_file : &from_mem;
    const struct boot_image raw = {.mem = data, .n_mem = size};
    const bool firmware = (how & 8) != 0;
    int r = boot_load(&pm, firmware ? it : &none, firmware && size % 2 ? &raw : firmware ? &none : it,
                      (how & 4) != 0 ? &raw : size % 7 == 0 ? it : NULL, &b, &e);
    if (r == 0) {
        r = boot_place_dtb(&pm, data, size, &b, &e);
    }
    if (r == 0) {
        uint8_t rom[BOOT_ROM_BYTES];
        boot_make_rom(&b, rom);
        bool entered = size == 0;
        for (unsigned i = 0; i < b.n_ranges; i++) {
            const struct boot_range *const a = &b.ranges[i];
            CHECK(a->start < a->end && physmap_ram(&pm, a->start, a->end - a->start) != NULL);
            entered |= b.entry >= a->start && b.entry < a->end;
            for (unsigned k = 0; k < i; k++) {
                CHECK(a->end <= b.ranges[k].start || b.ranges[k].end <= a->start);
            }
        }
        CHECK(entered);
    } else {
        CHECK(strchr(e.text, '\n') == NULL && e.text[0] != '\0');
    }
    free(bytes);
    return 0;
}
