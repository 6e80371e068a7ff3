/*
 * gdb_packet.c - packets: $data#sum, acknowledged by + or - until both sides agree that nobody loses anything
 *
 * In data } says that the next byte is to be exclusive-ored with 0x20. The byte 0x03 outside of a packet asks to stop.
 */
#include "debug/gdb_impl.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char digits[] = "0123456789abcdef";

static int
digit(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

unsigned
gdb_hex(const char **at, uint64_t *v)
{
    unsigned n = 0;
    *v = 0;
    for (int d; n < 16 && (d = digit(**at)) >= 0; n++, (*at)++) {
        *v = *v << 4 | (unsigned)d;
    }
    return n;
}

bool
gdb_hex_bytes(const char **at, uint8_t *to, size_t n)
{
    for (size_t i = 0; i < n; i++, *at += 2) {
        const int high = digit((*at)[0]), low = high < 0 ? -1 : digit((*at)[1]);
        if (low < 0) {
            return false;
        }
        to[i] = (uint8_t)(high << 4 | low);
    }
    return true;
}

/* ---- out ---- */

static void
add(struct gdb *g, const char *bytes, size_t n)
{
    if (g->size - g->len < n) {
        const size_t size = 2 * g->size + n + 256;
        char *const p = realloc(g->out, size);
        if (p == NULL) {
            g->lost = g->over = true;
            return;
        }
        g->out = p;
        g->size = size;
    }
    memcpy(g->out + g->len, bytes, n);
    g->len += n;
}

void
gdb_begin(struct gdb *g)
{
    if (g->sent == g->len) {
        g->sent = g->len = 0;
    }
    g->begun = g->len;
    add(g, "$", 1);
}

void
gdb_put(struct gdb *g, const char *text)
{
    add(g, text, strlen(text));
}

void
gdb_putf(struct gdb *g, const char *format, ...)
{
    char text[256];
    va_list ap;
    va_start(ap, format);
    vsnprintf(text, sizeof text, format, ap);
    va_end(ap);
    gdb_put(g, text);
}

void
gdb_put_hex(struct gdb *g, const void *bytes, size_t n)
{
    const uint8_t *const p = bytes;
    for (size_t i = 0; i < n; i++) {
        const char two[2] = {digits[p[i] >> 4], digits[p[i] & 15]};
        add(g, two, 2);
    }
}

void
gdb_put_binary(struct gdb *g, const void *bytes, size_t n)
{
    const char *const p = bytes;
    for (size_t i = 0; i < n; i++) {
        const char two[2] = {'}', (char)(p[i] ^ 0x20)};
        if (strchr("#$}*", p[i]) != NULL && p[i] != 0) {
            add(g, two, 2);
        } else {
            add(g, &p[i], 1);
        }
    }
}

void
gdb_end(struct gdb *g)
{
    if (g->lost) {
        return;
    }
    uint8_t sum = 0;
    for (size_t i = g->begun + 1; i < g->len; i++) {
        sum += (uint8_t)g->out[i];
    }
    const char end[3] = {'#', digits[sum >> 4], digits[sum & 15]};
    add(g, end, 3);
}

void
gdb_say(struct gdb *g, const char *text)
{
    gdb_begin(g);
    gdb_put(g, text);
    gdb_end(g);
}

size_t
gdb_output(const struct gdb *g, const void **bytes)
{
    *bytes = g->out != NULL ? g->out + g->sent : NULL;
    return g->lost ? 0 : g->len - g->sent;
}

void
gdb_sent(struct gdb *g, size_t n)
{
    g->sent += n;
}

/* ---- in ---- */

/* Outside of a packet. */
static void
between(struct gdb *g, char c)
{
    switch (c) {
    case '$':
        g->state = GDB_DATA;
        g->sum = 0;
        g->n = 0;
        g->too_long = false;
        break;
    case 3:
        gdb_break_in(g);
        break;
    case '-':
        if (!g->no_ack && !g->lost && g->sent == g->len && g->begun < g->len) {
            g->sent = g->begun; /* once more */
        }
        break;
    default: /* an acknowledgement, or noise */
        break;
    }
}

static void
data(struct gdb *g, char c)
{
    if (g->n == GDB_PACKET_MAX) {
        g->too_long = true;
    } else {
        g->packet[g->n++] = c;
    }
}

static void
end_of_packet(struct gdb *g)
{
    const bool good = g->no_ack || g->sum == g->said_sum;
    g->state = GDB_IDLE;
    if (!g->no_ack) {
        if (g->sent == g->len) {
            g->sent = g->len = g->begun = 0;
        }
        add(g, good ? "+" : "-", 1);
        g->begun = g->len;
    }
    if (good && g->too_long) {
        gdb_say(g, "E7a");
    } else if (good) {
        g->packet[g->n] = 0;
        gdb_packet(g, g->packet, g->n);
    }
}

void
gdb_input(struct gdb *g, const void *bytes, size_t n)
{
    const char *p = bytes;
    for (; n > 0 && !g->over; n--, p++) {
        const char c = *p;
        const int d = digit(c);
        switch (g->state) {
        case GDB_IDLE:
            between(g, c);
            break;
        case GDB_DATA:
            if (c == '$') { /* the one before was never finished */
                between(g, c);
                break;
            }
            if (c == '#') {
                g->state = GDB_SUM_1;
                break;
            }
            g->sum += (uint8_t)c;
            if (c == '}') {
                g->state = GDB_ESCAPED;
            } else {
                data(g, c);
            }
            break;
        case GDB_ESCAPED:
            g->sum += (uint8_t)c;
            g->state = GDB_DATA;
            data(g, (char)(c ^ 0x20));
            break;
        case GDB_SUM_1:
            g->said_sum = (uint8_t)((d < 0 ? 0 : d) << 4);
            g->state = GDB_SUM_2;
            break;
        case GDB_SUM_2:
            g->said_sum |= (uint8_t)(d < 0 ? 0 : d);
            end_of_packet(g);
            break;
        }
    }
}
