/*
 * symbols.h - names of guest functions, for perf
 */
#ifndef DOPPEL_SYMBOLS_H
#define DOPPEL_SYMBOLS_H

#include <stddef.h>
#include <stdint.h>

struct symbols;

/* guest_base as the engine has it. NULL without memory. */
struct symbols *symbols_new(uint64_t guest_base);

/* The function at pc and how far into it, as "name+0x10", by the symbol table of the file that is mapped there: its length, 0 for none. */
size_t symbols_name(void *symbols, uint64_t pc, char *name, size_t size);

#endif
