/*
 * sta.c - STA: how long a hart was ready and did not run
 *
 * SBI 2.0, "Steal-time Accounting Extension". Shared memory, 64 bytes:
 *
 *   0  sequence  4  odd while `steal` is being written
 *   4  flags     4  0
 *   8  steal     8  nanoseconds
 *  16  preempted 1  never set by us: nobody of ours runs when the hart does not
 */
#include "sbi/sbi_impl.h"

#include <string.h>

#define SHMEM_BYTES 64

long
sbi_sta(struct sbi_call *c)
{
    uint64_t lo = c->a[0], hi = c->a[1];
    if (c->fid != 0) {
        return SBI_NOT_SUPPORTED;
    }
    if (c->a[2] != 0) {
        return SBI_INVALID_PARAM;
    }
    if (lo == UINT64_MAX && hi == UINT64_MAX) {
        c->h->sta_shmem = SBI_NO_ADDRESS;
        return SBI_SUCCESS;
    }
    if (lo % SHMEM_BYTES != 0) {
        return SBI_INVALID_PARAM;
    }
    void *host = hi == 0 ? physmap_ram(c->s->pm, lo, SHMEM_BYTES) : NULL;
    if (host == NULL) {
        return SBI_INVALID_ADDRESS;
    }
    memset(host, 0, SHMEM_BYTES);
    c->h->sta_shmem = lo;
    c->h->sta_sequence = 0;
    return SBI_SUCCESS;
}

void
sbi_steal_time(struct sbi *s, unsigned hart, uint64_t ns)
{
    struct sbi_hart *h = &s->harts[hart];
    if (h->sta_shmem == SBI_NO_ADDRESS) {
        return;
    }
    char *host = physmap_ram(s->pm, h->sta_shmem, SHMEM_BYTES);
    if (host == NULL) {
        return;
    }
    /* The sequence is ours, whatever the guest has made of its copy. */
    uint32_t seq = (uint32_t)h->sta_sequence;
    __atomic_store_n((uint32_t *)host, seq + 1, __ATOMIC_SEQ_CST);
    __atomic_store_n((uint64_t *)(host + 8), ns, __ATOMIC_SEQ_CST);
    __atomic_store_n((uint32_t *)host, seq + 2, __ATOMIC_SEQ_CST);
    h->sta_sequence = seq + 2;
}
