/*
 * dt.h - libfdt, and the little that it lacks for writing a tree in order
 */
#ifndef DOPPEL_DT_H
#define DOPPEL_DT_H

#include <stdint.h>

/* libfdt's inline functions compare signed with unsigned. */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wsign-compare"
#include <libfdt.h>
#pragma GCC diagnostic pop

/* A property of n cells. 0, or libfdt's error. */
static inline int
dt_cells(void *fdt, const char *name, unsigned n, const uint32_t *cells)
{
    void *p;
    const int r = fdt_property_placeholder(fdt, name, (int)n * 4, &p);
    for (unsigned i = 0; r == 0 && i < n; i++) {
        fdt32_st((char *)p + 4 * i, cells[i]);
    }
    return r;
}

#endif
