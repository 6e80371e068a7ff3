/*
 * err.c - see err.h
 */
#include "base/err.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* A name in a message may be the guest's: no control characters of its reach a terminal. */
static void
clean(char *s)
{
    for (; *s != '\0'; s++) {
        *s = (unsigned char)*s < ' ' || *s == 127 ? '?' : *s;
    }
}

int
err_set(struct err *e, int code, const char *fmt, ...)
{
    if (e != NULL) {
        va_list ap;
        va_start(ap, fmt);
        int n = vsnprintf(e->text, sizeof e->text, fmt, ap);
        va_end(ap);
        if (code != 0 && n >= 0 && (size_t)n < sizeof e->text) {
            snprintf(e->text + n, sizeof e->text - (size_t)n, ": %s", strerror(-code));
        }
        clean(e->text);
    }
    return code != 0 ? code : -EINVAL;
}

void
err_add(struct err *e, const char *fmt, ...)
{
    if (e == NULL) {
        return;
    }
    char front[2 * sizeof e->text];
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(front, sizeof front, fmt, ap);
    va_end(ap);
    if (n < 0 || (size_t)n >= sizeof front) {
        return;
    }
    snprintf(front + n, sizeof front - (size_t)n, ": %s", e->text);
    front[sizeof e->text - 1] = '\0';
    clean(front);
    memcpy(e->text, front, sizeof e->text);
}
