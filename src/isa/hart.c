/*
 * hart.c - see hart.h
 */
#include "isa/hart.h"

#include <string.h>

const struct field hart_fields[] = {
#define F(member, type, n, first) \
    {#member, offsetof(struct hart, member), sizeof(type), n, first},
#define HOST(member) \
    {#member, offsetof(struct hart, member), sizeof(((struct hart *)0)->member), 1, 0},
#include "isa/hart.def"
#undef F
#undef HOST
};
const size_t hart_field_count = sizeof hart_fields / sizeof hart_fields[0];

void
hart_init(struct hart *h, ext_set exts)
{
    memset(h, 0, sizeof *h);
    h->exts = exts;
    hart_set_fcsr(h, 0);
}

void
hart_set_fcsr(struct hart *h, uint32_t fcsr)
{
    h->fflags = fcsr & 31;
    h->frm = (fcsr >> 5) & 7;
    for (unsigned r = 0; r < 8; r++) {
        h->rm_live[r] = h->frm < 4 && (r == 7 || r == h->frm);
    }
}
