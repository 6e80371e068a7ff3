/*
 * sbi.c - which extension a call is for; what all of them need
 *
 * SBI 2.0, "Binary Encoding".
 */
#include "sbi/sbi.h"

#include "base/check.h"
#include "sbi/sbi_impl.h"

#include <string.h>

#define F(name, type, count, since) { #name, offsetof(struct sbi_hart, name), sizeof(type), count, since },
#define HOST(name) { #name, offsetof(struct sbi_hart, name), sizeof(((struct sbi_hart *)0)->name), 1, 0 },
const struct field sbi_hart_fields[] = {
#include "sbi/sbi_hart.def"
};
#undef F
#undef HOST
const size_t sbi_hart_field_count = ARRAY_LEN(sbi_hart_fields);

/* ORDER: the most frequent first. Legacy calls (SBI 0.1) answer in a0 alone. */
static const struct {
    uint32_t eid;
    bool legacy;
    sbi_extension *call;
} extensions[] = {
    { 0x52464e43, false, sbi_rfence },
    { 0x735049, false, sbi_ipi },
    { 0x54494d45, false, sbi_time },
    { 0x504d55, false, sbi_pmu },
    { 0x48534d, false, sbi_hsm },
    { 0x10, false, sbi_base },
    { 0x4442434e, false, sbi_dbcn },
    { 0x535441, false, sbi_sta },
    { 0x53525354, false, sbi_srst },
    { 0x53555350, false, sbi_susp },
    { 0, true, sbi_legacy_set_timer },
    { 1, true, sbi_legacy_putchar },
    { 2, true, sbi_legacy_getchar },
    { 3, true, sbi_legacy_clear_ipi },
    { 8, true, sbi_legacy_shutdown },
};

void
sbi_init(struct sbi *s, unsigned n_harts, const struct physmap *pm, const struct sbi_ops *ops, void *arg)
{
    CHECK(n_harts > 0 && n_harts <= SBI_HARTS_MAX);
    *s = (struct sbi){ .ops = ops, .arg = arg, .pm = pm, .n_harts = n_harts };
    sbi_reset(s, 0);
}

void
sbi_reset(struct sbi *s, unsigned boot)
{
    memset(s->harts, 0, sizeof s->harts);
    for (unsigned i = 0; i < SBI_HARTS_MAX; i++) {
        struct sbi_hart *h = &s->harts[i];
        h->hsm = i == boot ? SBI_STARTED : SBI_STOPPED;
        h->sta_shmem = h->pmu_shmem = SBI_NO_ADDRESS;
        h->pmu_started = 1u << SBI_CYCLE | 1u << SBI_INSTRET; /* as mcountinhibit is at reset */
    }
}

bool
sbi_has(uint64_t eid)
{
    for (size_t i = 0; i < ARRAY_LEN(extensions); i++) {
        if (extensions[i].eid == eid) {
            return true;
        }
    }
    return false;
}

enum sbi_next
sbi_call(struct sbi *s, unsigned hart, uint64_t x[32])
{
    uint64_t args[6];
    memcpy(args, &x[10], sizeof args);
    struct sbi_call c = { .s = s, .h = &s->harts[hart], .hart = hart, .fid = x[16], .a = args };
    long error = SBI_NOT_SUPPORTED;
    bool legacy = false;
    for (size_t i = 0; i < ARRAY_LEN(extensions); i++) {
        if (extensions[i].eid == x[17]) {
            legacy = extensions[i].legacy;
            error = extensions[i].call(&c);
            break;
        }
    }
    if (c.next == SBI_RETURN || c.next == SBI_WAIT) {
        x[10] = (uint64_t)error;
        if (!legacy) {
            x[11] = c.value;
        }
    }
    return c.next;
}

long
sbi_hart_set(const struct sbi *s, uint64_t mask, uint64_t base, uint64_t *set)
{
    uint64_t all = s->n_harts == 64 ? UINT64_MAX : (UINT64_C(1) << s->n_harts) - 1;
    *set = 0;
    if (base == UINT64_MAX) {
        *set = all;
        return SBI_SUCCESS;
    }
    if (base >= s->n_harts || (mask & ~(all >> base)) != 0) {
        return SBI_INVALID_PARAM;
    }
    *set = mask << base;
    return SBI_SUCCESS;
}

bool
sbi_can_enter(const struct sbi *s, uint64_t addr)
{
    return (addr & 1) == 0 && physmap_ram(s->pm, addr, 2) != NULL;
}
