/*
 * sbi_impl.h - what the extensions share
 */
#ifndef DOPPEL_SBI_IMPL_H
#define DOPPEL_SBI_IMPL_H

#include "sbi/sbi.h"

struct sbi_call {
    struct sbi *s;
    struct sbi_hart *h; /* the caller's */
    unsigned hart;
    uint64_t fid;
    const uint64_t *a; /* a0 … a5 */
    uint64_t value;    /* answer */
    enum sbi_next next;
};

/* An extension: does the call, returns its error. */
typedef long sbi_extension(struct sbi_call *c);
sbi_extension sbi_base, sbi_time, sbi_ipi, sbi_rfence, sbi_hsm, sbi_srst, sbi_dbcn, sbi_susp, sbi_pmu, sbi_sta;
sbi_extension sbi_legacy_set_timer, sbi_legacy_putchar, sbi_legacy_getchar, sbi_legacy_clear_ipi, sbi_legacy_shutdown;

bool sbi_has(uint64_t eid);

/* The harts that (hart_mask, hart_mask_base) name. SBI_SUCCESS, or SBI_INVALID_PARAM if one is not there. */
long sbi_hart_set(const struct sbi *s, uint64_t mask, uint64_t base, uint64_t *set);

/* May S-mode execute at this physical address? */
bool sbi_can_enter(const struct sbi *s, uint64_t addr);

/* The calling hart sleeps; entry SBI_NO_ADDRESS: its registers are kept. */
void sbi_suspend(struct sbi_call *c, uint64_t entry, uint64_t opaque);

/* Firmware events, by their codes in the specification; the number of those sent is followed by that of those received. */
enum sbi_fw_event {
    FW_SET_TIMER = 5,
    FW_IPI_SENT = 6,
    FW_FENCE_I_SENT = 8,
    FW_SFENCE_VMA_SENT = 10,
    FW_SFENCE_VMA_ASID_SENT = 12,
};
void sbi_count(struct sbi_hart *h, unsigned event);
/* One event sent by the caller, and one received by each hart of the set. */
void sbi_count_sent(struct sbi_call *c, enum sbi_fw_event sent, uint64_t harts);

#endif
