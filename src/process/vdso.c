/*
 * vdso.c - see vdso.h
 *
 * The bytes come from the cross compiler at build time (scripts/embed-vdso). There is no [vvar]: the functions make
 * system calls.
 */
#include "process/vdso.h"

#include "process/map.h"

#include <errno.h>
#include <sys/mman.h>

#include "vdso_bytes.h"

int
vdso_map(struct process *p, struct err *e)
{
    uint64_t len = (sizeof vdso_bytes + GUEST_PAGE - 1) & ~(uint64_t)(GUEST_PAGE - 1);
    int64_t at = map_mmap(p->map, 0, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (at >= 0) {
        at = map_fixed(p->map, (gva_t)at, len, PROT_READ | PROT_WRITE, MAP_KIND_VDSO);
    }
    if (at < 0) {
        return err_set(e, (int)at, "map the vDSO");
    }
    if (guest_write((gva_t)at, vdso_bytes, sizeof vdso_bytes) != 0 ||
        map_mprotect(p->map, (gva_t)at, len, PROT_READ | PROT_EXEC) != 0) {
        return err_set(e, -ENOMEM, "write the vDSO");
    }
    p->vdso = (gva_t)at;
    p->vdso_sigreturn = (gva_t)at + VDSO_RT_SIGRETURN;
    return 0;
}
