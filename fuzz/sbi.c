/*
 * sbi.c - any sequence of SBI calls, on any harts
 *
 * covers: src/sbi/base.c src/sbi/dbcn.c src/sbi/hsm.c src/sbi/ipi.c src/sbi/legacy.c src/sbi/pmu.c src/sbi/rfence.c src/sbi/sbi.c
 *     src/sbi/srst.c src/sbi/sta.c src/sbi/susp.c src/sbi/time.c
 *
 * A call is 8 bytes of input: hart, extension, function, and five arguments, each a choice among numbers that matter. No register but
 * a0 and a1 changes, harts that are told of are there, errors are the specification's.
 */
#include "base/check.h"
#include "sbi/sbi.h"

#include <string.h>

#define RAM UINT64_C(0x80000000)
#define RAM_BYTES UINT64_C(0x10000)
#define HARTS 3

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool asleep[HARTS];
static uint64_t counters[HARTS][3];

static void
set_timer(void *arg, unsigned hart, uint64_t time)
{
    (void)arg, (void)time;
    CHECK(hart < HARTS);
}

static void
to_hart(void *arg, unsigned hart)
{
    (void)arg;
    CHECK(hart < HARTS);
}

static void
fence(void *arg, unsigned caller, uint64_t harts, const struct sbi_fence *f)
{
    (void)arg;
    CHECK(caller < HARTS && harts != 0 && harts >> HARTS == 0 && (f->all || f->start + f->size >= f->start));
}

static void
reset(void *arg, enum sbi_reset_type type, bool failure)
{
    (void)arg, (void)failure;
    CHECK(type <= SBI_WARM_REBOOT);
}

static long
console_write(void *arg, const void *buf, size_t len)
{
    unsigned sum = 0;
    (void)arg;
    for (size_t i = 0; i < len; i++) {
        sum += ((const uint8_t *)buf)[i];
    }
    return sum % 5 == 4 ? -1 : (long)(len - (sum % 5 == 3));
}

static long
console_read(void *arg, void *buf, size_t len)
{
    (void)arg;
    memset(buf, 'x', len);
    return (long)len;
}

static uint64_t
counter_get(void *arg, unsigned hart, unsigned counter)
{
    (void)arg;
    CHECK(hart < HARTS && (counter == SBI_CYCLE || counter == SBI_INSTRET));
    return counters[hart][counter];
}

static void
counter_set(void *arg, unsigned hart, unsigned counter, uint64_t value)
{
    (void)counter_get(arg, hart, counter);
    counters[hart][counter] = value;
}

static void
counter_run(void *arg, unsigned hart, unsigned counter, bool on)
{
    (void)on;
    (void)counter_get(arg, hart, counter);
}

static const struct sbi_ops ops = {
    .set_timer = set_timer, .ipi = to_hart, .ipi_clear = to_hart, .fence = fence, .wake = to_hart, .reset = reset,
    .console_write = console_write, .console_read = console_read,
    .counter_get = counter_get, .counter_set = counter_set, .counter_run = counter_run,
};

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint64_t eids[] = {0x10, 0x54494d45, 0x735049, 0x52464e43, 0x48534d, 0x53525354, 0x4442434e, 0x53555350,
                                    0x504d55, 0x535441, 0, 1, 2, 3, 4, 8};
    static const uint64_t numbers[] = {0, 1, 2, 3, 4, 5, 7, 8, 18, 19, 63, 64, 4096, 0x80000000, 0xf0006, 0xf0015, 0xf0016, 0xfffff,
                                       0x7fffd, UINT64_MAX, UINT64_MAX - 1, UINT64_C(1) << 63, RAM, RAM + 1, RAM + 64, RAM + 4096,
                                       RAM + RAM_BYTES, RAM + RAM_BYTES - 64, RAM + RAM_BYTES - 4096, RAM - 1, 0x10000, 100};
    static struct physmap pm;
    struct sbi s;
    if (pm.ram_bytes == 0) {
        physmap_init(&pm);
        CHECK(physmap_add_ram(&pm, RAM, RAM_BYTES, NULL) == 0);
    }
    sbi_init(&s, HARTS, &pm, &ops, NULL);
    memset(asleep, true, sizeof asleep);
    asleep[0] = false;
    for (; size >= 8; data += 8, size -= 8) {
        const unsigned hart = data[0] % HARTS;
        uint64_t x[32] = {0}, entry, opaque;
        if (asleep[hart]) {
            if (sbi_enter(&s, hart, &entry, &opaque)) {
                CHECK(entry == SBI_NO_ADDRESS || (entry % 2 == 0 && physmap_ram(&pm, entry, 2) != NULL));
                asleep[hart] = false;
            } else if (asleep[0] && asleep[1] && asleep[2]) { /* nobody is left */
                sbi_reset(&s, hart);
                asleep[hart] = false;
            }
            continue;
        }
        x[17] = eids[data[1] % 16] + (data[1] == 0xff);
        x[16] = data[2] % 11;
        for (unsigned i = 0; i < 5; i++) {
            x[10 + i] = numbers[data[3 + i] % (sizeof numbers / sizeof *numbers)];
        }
        uint64_t before[32];
        memcpy(before, x, sizeof x);
        const enum sbi_next next = sbi_call(&s, hart, x);
        CHECK(memcmp(x, before, 10 * sizeof *x) == 0 && memcmp(x + 12, before + 12, 20 * sizeof *x) == 0);
        asleep[hart] = next == SBI_PARK || next == SBI_WAIT;
        CHECK(next != SBI_RETURN || x[17] == 2 || ((int64_t)x[10] <= 0 && (int64_t)x[10] >= SBI_NO_SHMEM));
        sbi_steal_time(&s, hart, data[7]);
        if (next == SBI_OFF) {
            sbi_reset(&s, hart);
            memset(asleep, true, sizeof asleep);
            asleep[hart] = false;
        }
    }
    return 0;
}
