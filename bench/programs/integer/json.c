/*
 * json.c - writes a JSON document, parses it into a tree, walks the tree and writes it again:
 * recursive descent, strings
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FULL  1400
#define QUICK 110

enum { DOC = 300000, VALUES = 60000 };

enum type { NUL, BOOLEAN, NUMBER, STRING, ARRAY, OBJECT };

struct value {
    enum type type;
    int64_t number;
    const char *text, *name; /* into the document, which the parser cuts with NULs */
    struct value *child, *next;
};

static char first[DOC], doc[DOC], again[DOC];
static struct value pool[VALUES];
static size_t used;

static char *
put(char *p, const char *s)
{
    while (*s) {
        *p++ = *s++;
    }
    return p;
}

static char *
put_number(char *p, int64_t n)
{
    char digits[24];
    int i = 0;
    uint64_t u = n < 0 ? -(uint64_t)n : (uint64_t)n;
    if (n < 0) {
        *p++ = '-';
    }
    do {
        digits[i++] = (char)('0' + u % 10);
        u /= 10;
    } while (u);
    while (i) {
        *p++ = digits[--i];
    }
    return p;
}

static char *
put_value(char *p, const struct value *v)
{
    switch (v->type) {
    case NUL:
        return put(p, "null");
    case BOOLEAN:
        return put(p, v->number ? "true" : "false");
    case NUMBER:
        return put_number(p, v->number);
    case STRING:
        *p++ = '"';
        for (const char *s = v->text; *s; s++) {
            if (*s == '"' || *s == '\\') {
                *p++ = '\\';
            }
            *p++ = *s;
        }
        *p++ = '"';
        return p;
    case ARRAY:
    case OBJECT:
        break;
    }
    *p++ = v->type == ARRAY ? '[' : '{';
    for (const struct value *c = v->child; c; c = c->next) {
        if (v->type == OBJECT) {
            *p++ = '"';
            p = put(p, c->name);
            *p++ = '"';
            *p++ = ':';
        }
        p = put_value(p, c);
        if (c->next) {
            *p++ = ',';
        }
    }
    *p++ = v->type == ARRAY ? ']' : '}';
    return p;
}

static char *
space_skip(char *p)
{
    while (*p == ' ' || *p == '\n' || *p == '\t') {
        p++;
    }
    return p;
}

static char *
string_cut(char *p, const char **out)
{
    char *to = ++p;
    *out = to;
    while (*p != '"') {
        if (*p == '\\') {
            p++;
        }
        *to++ = *p++;
    }
    *to = 0;
    return p + 1;
}

static char *
parse(char *p, struct value **out)
{
    struct value *v = &pool[used++];
    *out = v;
    v->child = v->next = NULL;
    p = space_skip(p);
    switch (*p) {
    case 'n':
        v->type = NUL;
        return p + 4;
    case 't':
    case 'f':
        v->type = BOOLEAN;
        v->number = *p == 't';
        return p + (*p == 't' ? 4 : 5);
    case '"':
        v->type = STRING;
        return string_cut(p, &v->text);
    case '[':
    case '{':
        break;
    default: {
        int minus = *p == '-';
        int64_t n = 0;
        for (p += minus; *p >= '0' && *p <= '9'; p++) {
            n = n * 10 + (*p - '0');
        }
        v->type = NUMBER;
        v->number = minus ? -n : n;
        return p;
    }
    }
    char close = *p == '[' ? ']' : '}';
    struct value **tail = &v->child;
    v->type = *p == '[' ? ARRAY : OBJECT;
    p = space_skip(p + 1);
    while (*p != close) {
        const char *name = NULL;
        if (close == '}') {
            p = space_skip(string_cut(p, &name));
            p++; /* the colon */
        }
        p = parse(p, tail);
        (*tail)->name = name;
        tail = &(*tail)->next;
        p = space_skip(p);
        if (*p == ',') {
            p = space_skip(p + 1);
        }
    }
    return p + 1;
}

int
main(int argc, char **argv)
{
    long rounds = argc > 1 ? atol(argv[1]) : FULL;
    uint32_t sum = 0, seed = 1;
    char *p = put(first, "{\"title\": \"a \\\"quoted\\\" document\", \"items\": [\n");
    for (int i = 0; i < 3000; i++) {
        seed = seed * 1664525 + 1013904223;
        p = put_number(put(p, i ? ",\n  {\"id\": " : "  {\"id\": "), i);
        p = put_number(put(p, ", \"value\": "), (int32_t)seed);
        p = put(p, seed & 64 ? ", \"flags\": [true, false, null], \"name\": \"item "
                             : ", \"name\": \"thing \\\\ ");
        p = put(put_number(p, seed >> 20), "\"}");
    }
    put(p, "\n]}");
    size_t len = strlen(first) + 1, before = 0;
    for (long r = 0; r < rounds; r++) {
        struct value *root;
        memcpy(doc, first, len);
        used = 0;
        parse(doc, &root);
        size_t size = (size_t)(put_value(again, root) - again);
        for (size_t i = 0; i < size; i += 97) {
            sum = sum * 31 + (uint8_t)again[i];
        }
        if (r && size != before) {
            puts("json: wrong");
            return 1;
        }
        before = size;
    }
    printf("json %08x %zu %zu\n", sum, before, used);
    return 0;
}
