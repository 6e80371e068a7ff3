/*
 * pmp.c - see pmp.h
 */
#include "memory/pmp.h"

void
pmp_compile(struct pmp *p, const uint8_t cfg[PMP_ENTRIES], const uint64_t addr[PMP_ENTRIES])
{
    p->n = 0;
    for (unsigned k = 0; k < PMP_ENTRIES; k++) {
        struct pmp_range r = {.may = cfg[k] & 7, .locked = cfg[k] >> 7};
        switch (cfg[k] >> 3 & 3) {
        case 0:
            continue;
        case 1: /* TOR */
            r.first = k > 0 ? addr[k - 1] << 2 : 0;
            r.last = (addr[k] << 2) - 1;
            if (r.first >= addr[k] << 2) {
                continue; /* empty: matches nothing */
            }
            break;
        case 2: /* NA4 */
            r.first = addr[k] << 2;
            r.last = r.first + 3;
            break;
        case 3: { /* NAPOT: trailing ones say how large; 54 of them and more are everything */
            const uint64_t ones = addr[k] ^ (addr[k] + 1);
            r.first = (addr[k] & ~ones) << 2;
            r.last = (addr[k] | ones) << 2 | 3;
            break;
        }
        }
        p->range[p->n++] = r;
    }
}

bool
pmp_allows(const struct pmp *p, bool machine, uint64_t gpa, uint64_t bytes, unsigned want)
{
    const uint64_t last = gpa + bytes - 1;
    for (unsigned k = 0; k < p->n; k++) {
        const struct pmp_range *r = &p->range[k];
        if (last < r->first || gpa > r->last) {
            continue;
        }
        if (gpa < r->first || last > r->last) {
            return false;
        }
        return (machine && !r->locked) || (r->may & want) == want;
    }
    return machine;
}

int
pmp_page(const struct pmp *p, bool machine, uint64_t gpa)
{
    const uint64_t first = gpa & ~UINT64_C(4095), last = first + 4095;
    const int all = PMP_R | PMP_W | PMP_X;
    for (unsigned k = 0; k < p->n; k++) {
        const struct pmp_range *r = &p->range[k];
        if (last < r->first || first > r->last) {
            continue;
        }
        if (first < r->first || last > r->last) {
            return -1;
        }
        return machine && !r->locked ? all : r->may;
    }
    return machine ? all : 0;
}
