/*
 * machine_code.c - see machine_code.h; apart from system_jit.c, which has the interpreters of machines with it
 */
#include "engine/machine_code.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>

const uint8_t *
machine_page(const struct jit *j, uint64_t pc)
{
    return j->machine->copy + (pc & ~UINT64_C(4095));
}

static size_t
seen_bytes(const struct machine_code *c)
{
    return c->ram_bytes / 4096 * sizeof *c->seen;
}

int
machine_code_init(struct engine *en, uint64_t ram_bytes, struct err *e)
{
    struct machine_code *c = calloc(1, sizeof *c);
    const int how = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
    en->jit->machine = c;
    if (c == NULL) {
        return err_set(e, -ENOMEM, "make a translator");
    }
    c->ram_bytes = ram_bytes;
    c->copy = mmap(NULL, ram_bytes, PROT_READ | PROT_WRITE, how, -1, 0);
    c->seen = mmap(NULL, seen_bytes(c), PROT_READ | PROT_WRITE, how, -1, 0);
    c->asked = mmap(NULL, seen_bytes(c), PROT_READ | PROT_WRITE, how, -1, 0);
    c->any = mmap(NULL, ram_bytes / 4096, PROT_READ | PROT_WRITE, how, -1, 0);
    if (c->copy == MAP_FAILED || c->seen == MAP_FAILED || c->asked == MAP_FAILED || c->any == MAP_FAILED) {
        return err_set(e, -ENOMEM, "reserve address space for a translator");
    }
    madvise(c->copy, ram_bytes, MADV_DONTDUMP);
    return 0;
}

void
machine_code_fini(struct engine *en)
{
    struct machine_code *const c = en->jit->machine;
    if (c != NULL) {
        if (c->copy != MAP_FAILED && c->copy != NULL) {
            munmap(c->copy, c->ram_bytes);
        }
        if (c->seen != MAP_FAILED && c->seen != NULL) {
            munmap(c->seen, seen_bytes(c));
        }
        if (c->asked != MAP_FAILED && c->asked != NULL) {
            munmap(c->asked, seen_bytes(c));
        }
        if (c->any != MAP_FAILED && c->any != NULL) {
            munmap(c->any, c->ram_bytes / 4096);
        }
        free(c);
        en->jit->machine = NULL;
    }
}
