/*
 * walk.h - from virtual to guest-physical addresses: the guest's page tables
 *
 * Privileged ISA 1.13, "Supervisor-Level ISA": Bare, Sv39, Sv48, Sv57, with Svade or Svadu, Svnapot, Svpbmt. PTE:
 *
 *      63 N | 62:61 PBMT | 60:54 reserved | 53:10 PPN | 9:8 software's | 7 D | 6 A | 5 G | 4 U | 3 X | 2 W | 1 R | 0 V
 *
 * Threads: any. A and D are set by compare-and-swap, so two harts may walk the same tables, and the guest may change them.
 * Trust: every bit of a table is the guest's, and read once.
 */
#ifndef DOPPEL_WALK_H
#define DOPPEL_WALK_H

#include "memory/physmap.h"
#include "memory/pmp.h"

#include <stdbool.h>
#include <stdint.h>

enum walk_access { WALK_LOAD, WALK_STORE, WALK_FETCH };

/* How a hart translates. Modes are the architecture's numbers: 0 user, 1 supervisor, 3 machine; the access's, MPRV considered. */
struct walk {
    struct physmap *pm;
    const struct pmp *pmp;
    uint64_t satp;
    uint8_t mode;
    bool sum, mxr;
    bool adue;   /* A and D are set by hardware; otherwise their absence faults */
    bool pbmte;  /* PBMT is no reserved field */
    bool napot;
};

enum walk_result { WALK_OK, WALK_PAGE_FAULT, WALK_ACCESS_FAULT };

struct walk_to {
    uint64_t gpa;
    uint64_t page_bytes; /* of the leaf: 4 KiB, 64 KiB (NAPOT), 2 MiB, …; UINT64_MAX if nothing is translated */
    bool global;         /* the same in all address spaces, says the leaf */
    bool load, store;    /* the tables (not PMP) let this mode load and, without setting D, store, too */
};

/*
 * Translate va for one access. WALK_OK and *to; the PMP check of the access itself is left to the caller, that of the walk's
 * own accesses is made.
 */
enum walk_result walk(const struct walk *w, uint64_t va, enum walk_access a, struct walk_to *to);

#endif
