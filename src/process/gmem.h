/*
 * gmem.h - guest memory as the process VM sees it
 *
 * Guest address + guest_base = host address; the base is 0 by default. Every guest pointer passes g2h() or h2g().
 * The monitor touches guest memory only through guest_read(), guest_write() and their kin, which return -EFAULT
 * where the guest has no such memory (the SIGSEGV handler recognises their code range), or gives the host kernel the
 * pointer, which then says EFAULT itself. A pointer of the guest's is never dereferenced in any other way.
 *
 * Copy once to a local, check, use the local: another thread of the guest may change it meanwhile.
 */
#ifndef DOPPEL_GMEM_H
#define DOPPEL_GMEM_H

#include "engine/engine.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef uint64_t gva_t; /* guest virtual address */

extern uint64_t guest_base; /* set once, before the first guest mapping */

/*
 * Host address for the kernel's eyes: NULL stays NULL; an address outside the guest's range becomes one that is never
 * mapped, so that the kernel answers EFAULT and no monitor memory can be named.
 */
static inline void *
g2h(gva_t a)
{
    if (a == 0) {
        return NULL;
    }
    return (void *)(uintptr_t)(a < GUEST_TOP ? a + guest_base : UINT64_C(0xffff800000000000));
}

static inline gva_t
h2g(const void *p)
{
    return (gva_t)(uintptr_t)p - guest_base;
}

/* [a, a + len) lies below GUEST_TOP (it need not be mapped). */
static inline bool
guest_range_ok(gva_t a, uint64_t len)
{
    return a <= GUEST_TOP && len <= GUEST_TOP - a;
}

/* Copy between guest and monitor memory. 0, or -EFAULT; then part may have been copied. Any thread, no lock. */
int guest_read(void *dst, gva_t src, size_t len);
int guest_write(gva_t dst, const void *src, size_t len);

/*
 * Copy a string into dst[cap]. Returns its length without the NUL; -EFAULT; -ENAMETOOLONG if there is no NUL within cap
 * bytes.
 */
int64_t guest_read_str(char *dst, gva_t src, size_t cap);

/*
 * For the handler of SIGSEGV and SIGBUS, with its third argument: if one of the functions above faulted, arranges that it
 * returns -EFAULT, and returns true.
 */
bool guest_access_fault(void *ucontext);

static inline int
guest_read_u64(uint64_t *v, gva_t a)
{
    return guest_read(v, a, sizeof *v);
}

static inline int
guest_write_u64(gva_t a, uint64_t v)
{
    return guest_write(a, &v, sizeof v);
}

static inline int
guest_read_u32(uint32_t *v, gva_t a)
{
    return guest_read(v, a, sizeof *v);
}

static inline int
guest_write_u32(gva_t a, uint32_t v)
{
    return guest_write(a, &v, sizeof v);
}

#endif
