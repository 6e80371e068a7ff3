/*
 * listing.h - what objdump -d printed, to hold our text against
 */
#ifndef DOPPEL_LISTING_H
#define DOPPEL_LISTING_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

enum { LISTING_TEXT_MAX = 256 };

/*
 * objdump's listing, read along with ours. `text` is normal: no remarks, symbols or trailing
 * blanks; targets with 0x.
 */
struct listing {
    FILE *file;   /* own: the caller's to close */
    bool have;    /* the fields below are a line not yet used */
    bool skipped; /* "..." stood before it: zero bytes left out */
    uint64_t addr;
    char text[LISTING_TEXT_MAX];
    uint64_t words, differ, unknown;
};

/* Hold one instruction of ours against the listing; `hex` is its bytes as a number. Prints the
 * first differences. */
void listing_compare(struct listing *l, uint64_t pc, const char *hex, const char *ours);

/* Whatever the listing still holds is missing from ours. */
void listing_end(struct listing *l);

#endif
