/*
 * symbols.h - names of guest functions, for perf and for doppel prof
 */
#ifndef DOPPEL_SYMBOLS_H
#define DOPPEL_SYMBOLS_H

#include "engine/engine.h"

struct symbols;

/* guest_base as the engine has it. NULL without memory. */
struct symbols *symbols_new(uint64_t guest_base);

/* The function at pc and how far into it, as "name+0x10", by the symbol table of the file that is mapped there: its length, 0 for none; "name@plt" is a stub. */
size_t symbols_name(void *symbols, uint64_t pc, char *name, size_t size);

/* That function; or, with an empty name, the code without a symbol that pc is in. False if no file is mapped there. */
bool symbols_function(void *symbols, uint64_t pc, struct engine_function *f);

#endif
