/*
 * pmp.h - physical memory protection: may an access of this privilege touch these physical bytes?
 *
 * Privileged ISA, "Physical Memory Protection": the lowest-numbered entry that matches any byte decides, and must match all
 * of them. Without a match M may, S and U may not. M is bound by locked entries only.
 *
 * The registers are the hart's; here is their compiled form, made again whenever they are written.
 */
#ifndef DOPPEL_PMP_H
#define DOPPEL_PMP_H

#include <stdbool.h>
#include <stdint.h>

#define PMP_ENTRIES 16
enum { PMP_R = 1, PMP_W = 2, PMP_X = 4 };

struct pmp {
    unsigned n; /* entries that are on */
    struct pmp_range {
        uint64_t first, last; /* bytes, both inclusive */
        uint8_t may, locked;
    } range[PMP_ENTRIES];
};

/* From the registers: cfg as bytes, addr as CSRs hold them. */
void pmp_compile(struct pmp *p, const uint8_t cfg[PMP_ENTRIES], const uint64_t addr[PMP_ENTRIES]);

/* May [gpa, gpa + bytes) be accessed, machine mode or not, for all of `want` (PMP_*)? */
bool pmp_allows(const struct pmp *p, bool machine, uint64_t gpa, uint64_t bytes, unsigned want);

/* What may be done anywhere in the page of 4 KiB at gpa, by one answer for all of its bytes: PMP_* bits; -1 if the bytes differ. */
int pmp_page(const struct pmp *p, bool machine, uint64_t gpa);

#endif
