/*
 * fields.c - see fields.h
 */
#include "base/fields.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static uint64_t
element(const struct field *f, const void *obj, unsigned i)
{
    uint64_t v = 0;
    memcpy(&v, (const char *)obj + f->offset + (size_t)i * f->size, f->size); /* little-endian host: STYLE (a) */
    return v;
}

void
fields_dump(const struct field *table, size_t n, const void *obj, bool json, fields_sink *sink, void *arg)
{
    const char *comma = "";
    for (size_t k = 0; k < n; k++) {
        const struct field *f = &table[k];
        if (f->since == 0) {
            continue;
        }
        for (unsigned i = 0; i < f->count; i++) {
            char line[128];
            int len;
            uint64_t v = element(f, obj, i);
            char index[8] = "";
            if (f->count > 1) {
                snprintf(index, sizeof index, "%u", i);
            }
            if (json) {
                len = snprintf(line, sizeof line, "%s\"%s%s\":\"0x%" PRIx64 "\"", comma, f->name, index, v);
            } else {
                len = snprintf(line, sizeof line, "%s%s 0x%" PRIx64 "\n", f->name, index, v);
            }
            comma = ",";
            sink(arg, line, (size_t)len);
        }
    }
}

size_t
fields_cover(const struct field *table, size_t n, size_t size)
{
    for (size_t at = 0; at < size;) {
        size_t next = size; /* start of the nearest field at or after `at` */
        size_t align = 1;
        bool inside = false;
        for (size_t k = 0; k < n; k++) {
            const struct field *f = &table[k];
            size_t end = f->offset + (size_t)f->size * f->count;
            if (f->offset <= at && at < end) {
                at = end;
                inside = true;
                break;
            }
            if (f->offset >= at && f->offset < next) {
                next = f->offset;
                align = f->size;
            }
        }
        if (inside) {
            continue;
        }
        size_t gap_max = next == size ? 8 : align;
        if (next - at >= gap_max) {
            return at;
        }
        at = next;
    }
    return size;
}
