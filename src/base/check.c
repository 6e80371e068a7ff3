/*
 * check.c - see check.h
 */
#include "base/check.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

void (*check_report)(void);

_Noreturn void
check_failed(const char *expr, const char *file, int line)
{
    char text[256];
    int n = snprintf(text, sizeof text, "doppel: internal error: %s (%s:%d)\n", expr, file, line);
    if (n > 0 && write(2, text, (size_t)n < sizeof text ? (size_t)n : sizeof text - 1) < 0) {
        abort(); /* nobody is listening; abort says it all the same */
    }
    void (*report)(void) = check_report;
    check_report = NULL; /* a report that fails must not report itself */
    if (report != NULL) {
        report();
    }
    abort();
}
