/*
 * console.c - a 16550, and SBI's console until it is known where that is
 */
#include "guest.h"

#include <stdarg.h>

static volatile uint8_t *uart;

void
console_use(u64 base)
{
    uart = (volatile uint8_t *)base;
    uart[2] = 1; /* FIFO on */
}

void
put_char(char c)
{
    if (uart == NULL) {
        (void)sbi(1, 0, (u64)c, 0, 0, 0, 0);
        return;
    }
    while ((uart[5] & 0x20) == 0) {
    }
    uart[0] = (uint8_t)c;
}

int
get_char(void)
{
    return uart != NULL && (uart[5] & 1) != 0 ? uart[0] : -1;
}

static void
put_text(const char *s, int width)
{
    for (; *s != '\0'; s++, width--) {
        if (*s == '\n') {
            put_char('\r');
        }
        put_char(*s);
    }
    for (; width > 0; width--) {
        put_char(' ');
    }
}

static void
put_number(u64 v, unsigned base)
{
    char digits[24], *p = digits + sizeof digits;
    *--p = '\0';
    do {
        *--p = "0123456789abcdef"[v % base];
        v /= base;
    } while (v != 0);
    put_text(p, 0);
}

void
print(const char *f, ...)
{
    va_list ap;
    va_start(ap, f);
    for (; *f != '\0'; f++) {
        if (*f != '%') {
            put_text((char[2]){ *f, '\0' }, 0);
            continue;
        }
        int width = 0;
        bool is_long = false;
        for (f++; *f == '-' || *f == 'l' || (*f >= '0' && *f <= '9'); f++) {
            is_long |= *f == 'l';
            width = *f >= '0' && *f <= '9' ? width * 10 + *f - '0' : width;
        }
        if (*f == 's') {
            put_text(va_arg(ap, const char *), width);
        } else if (*f == 'c') {
            put_char((char)va_arg(ap, int));
        } else if (*f == 'd' || *f == 'x') {
            u64 v = is_long ? va_arg(ap, u64) : va_arg(ap, unsigned);
            put_number(v, *f == 'd' ? 10 : 16);
        } else {
            put_char(*f);
        }
    }
    va_end(ap);
}

bool
text_is(const char *a, const char *b)
{
    while (*a != '\0' && *a == *b) {
        a++;
        b++;
    }
    return *a == *b;
}

bool
text_starts(const char *text, const char *with)
{
    while (*with != '\0' && *text == *with) {
        text++;
        with++;
    }
    return *with == '\0';
}

void *
memset(void *p, int c, size_t n)
{
    volatile char *b = p;
    while (n-- != 0) {
        *b++ = (char)c;
    }
    return p;
}

void *
memcpy(void *to, const void *from, size_t n)
{
    volatile char *b = to;
    const char *a = from;
    while (n-- != 0) {
        *b++ = *a++;
    }
    return to;
}
