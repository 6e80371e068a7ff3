/*
 * csr.c - control and status registers by number and by name
 */
#include "isa/isa.h"

#include <string.h>

const struct csr_row isa_csrs[] = {
#define CSR(number, name, ext, cls) {number, EXT_##ext, CLASS_##cls, #name},
#include "isa/csr.def"
#undef CSR
};
const size_t isa_csr_count = sizeof isa_csrs / sizeof isa_csrs[0];

const struct csr_row *
isa_find_csr(unsigned number)
{
    size_t lo = 0, hi = isa_csr_count;
    while (lo < hi) {
        size_t mid = (lo + hi) / 2;
        if (isa_csrs[mid].number == number) {
            return &isa_csrs[mid];
        }
        if (isa_csrs[mid].number < number) {
            lo = mid + 1;
        } else {
            hi = mid;
        }
    }
    return NULL;
}

const struct csr_row *
isa_find_csr_name(const char *name)
{
    for (size_t i = 0; i < isa_csr_count; i++) {
        if (strcmp(isa_csrs[i].name, name) == 0) {
            return &isa_csrs[i];
        }
    }
    return NULL;
}

const char *
isa_csr_name(unsigned number)
{
    const struct csr_row *r = isa_find_csr(number);
    return r != NULL ? r->name : NULL;
}
