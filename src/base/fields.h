/*
 * fields.h - tables that describe guest-visible state
 *
 * Each guest-visible struct has a *.def beside it with one line a field:
 *
 *   F(name, type, count, since)   state: saved, compared, dumped; count 1 or the length of an array
 *   HOST(name)                    rebuilt, never saved
 *
 * From it come the struct's table of fields. Dump, and later save, restore, clone and compare, walk the table; nobody
 * writes a pair by hand. fields_cover() lets a test find a member that the list forgot.
 */
#ifndef DOPPEL_FIELDS_H
#define DOPPEL_FIELDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct field {
    const char *name;
    uint32_t offset;
    uint16_t size;  /* of one element, bytes: 1, 2, 4 or 8 */
    uint16_t count; /* elements */
    uint16_t since; /* first version of the state format that has it; 0: host only */
};

/* Where fields_dump() puts its text. */
typedef void fields_sink(void *arg, const char *text, size_t len);

/* Write `obj` as lines "name value" (json false) or as the members of a JSON object without its braces (json true). */
void fields_dump(const struct field *table, size_t n, const void *obj, bool json, fields_sink *sink, void *arg);

/* Offset of the first byte of [0, size) that no field covers and that padding does not explain; size if there is none. */
size_t fields_cover(const struct field *table, size_t n, size_t size);

#endif
