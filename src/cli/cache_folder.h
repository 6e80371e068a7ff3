/*
 * cache_folder.h - where translations are kept: what was asked for, or XDG's place for such things
 */
#ifndef DOPPEL_CACHE_FOLDER_H
#define DOPPEL_CACHE_FOLDER_H

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

/* asked: --cache or DOPPEL_CACHE, or NULL. False: there is no such place. */
static inline bool
cache_folder(const char *asked, char *out, size_t size)
{
    const char *xdg = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
    int n = -1;
    if (asked != NULL) {
        n = snprintf(out, size, "%s", asked);
    } else if (xdg != NULL && xdg[0] == '/') {
        n = snprintf(out, size, "%s/doppel", xdg);
    } else if (home != NULL && home[0] == '/') {
        n = snprintf(out, size, "%s/.cache/doppel", home);
    }
    return n > 0 && (size_t)n < size;
}

#endif
