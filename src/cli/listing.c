/*
 * listing.c - what objdump -d printed, to hold our text against
 */
#include "cli/listing.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { SHOWN_MAX = 20 };

/* Bring objdump's text into our form, in place. */
static void
normalise(char *text)
{
    char *symbol = strstr(text, " <");
    char *remark = strstr(text, " #");

    if (remark != NULL) {
        *remark = 0;
    }
    if (symbol != NULL && (remark == NULL || symbol < remark)) {
        char *target = symbol;
        while (target > text && isxdigit((unsigned char)target[-1])) {
            target--;
        }
        *symbol = 0;
        memmove(target + 2, target, strlen(target) + 1);
        memcpy(target, "0x", 2);
    }
    for (size_t n = strlen(text); n > 0 && isspace((unsigned char)text[n - 1]); n--) {
        text[n - 1] = 0;
    }
}

static bool
next(struct listing *l)
{
    char line[1024];

    while (!l->have && fgets(line, sizeof line, l->file) != NULL) {
        char *end;
        if (strstr(line, "\t...") != NULL) {
            l->skipped = true;
            continue;
        }
        l->addr = strtoull(line, &end, 16);
        char *tab = end > line && *end == ':' ? strchr(end + 2, '\t') : NULL;
        if (tab != NULL) {
            snprintf(l->text, sizeof l->text - 4, "%s", tab + 1);
            normalise(l->text);
            l->have = true;
        }
    }
    return l->have;
}

static void
differ(struct listing *l, uint64_t pc, const char *hex, const char *ours, const char *theirs)
{
    if (l->differ++ < SHOWN_MAX) {
        printf("%" PRIx64 " %s: doppel '%s', objdump '%s'\n", pc, hex, ours, theirs);
    }
}

void
listing_compare(struct listing *l, uint64_t pc, const char *hex, const char *ours)
{
    l->words++;
    while (next(l) && l->addr < pc) {
        differ(l, l->addr, "-", "(no instruction)", l->text);
        l->have = l->skipped = false;
    }
    if (!l->have || l->addr > pc) {
        /* Only zeros may have been left out of the listing. */
        if (!l->skipped || strspn(hex, "0") != strlen(hex)) {
            differ(l, pc, hex, ours, "(no line)");
        }
        return;
    }
    l->have = l->skipped = false;
    if (strcmp(ours, l->text) == 0) {
        return;
    }
    if (strncmp(ours, ".insn", 5) == 0 && l->text[0] == 'v') {
        l->unknown++; /* the vector extension, which has no rows yet */
        return;
    }
    differ(l, pc, hex, ours, l->text);
}

void
listing_end(struct listing *l)
{
    while (next(l)) {
        differ(l, l->addr, "-", "(no instruction)", l->text);
        l->have = false;
    }
}
