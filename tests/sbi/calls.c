/*
 * calls.c - every SBI call on a board that only writes down what it is told: answers, errors, hostile arguments
 */
#include "sbi/sbi.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define RAM UINT64_C(0x80000000)
#define RAM_BYTES UINT64_C(0x100000)
#define HARTS 4
#define MINUS_ONE UINT64_MAX

enum { BASE = 0x10, TIME = 0x54494d45, IPI = 0x735049, RFNC = 0x52464e43, HSM = 0x48534d, SRST = 0x53525354, DBCN = 0x4442434e,
       SUSP = 0x53555350, PMU = 0x504d55, STA = 0x535441 };

static struct board {
    struct sbi sbi;
    struct physmap pm;
    uint64_t timer[HARTS], ipis[HARTS], woken, fenced;
    struct sbi_fence fence;
    int resets, failure;
    enum sbi_reset_type type;
    char console[8192];
    size_t n_console, console_room;
    const char *input;
    uint64_t counter[3], counting;
    enum sbi_next next;
    uint64_t value;
} b;

static void
set_timer(void *arg, unsigned hart, uint64_t time)
{
    (void)arg;
    b.timer[hart] = time;
}

static void
ipi(void *arg, unsigned hart)
{
    (void)arg;
    b.ipis[hart]++;
}

static void
ipi_clear(void *arg, unsigned hart)
{
    (void)arg;
    b.ipis[hart] = 0;
}

static void
fence(void *arg, unsigned caller, uint64_t harts, const struct sbi_fence *f)
{
    (void)arg;
    assert_in_range(caller, 0, HARTS - 1);
    b.fenced = harts;
    b.fence = *f;
}

static void
wake(void *arg, unsigned hart)
{
    (void)arg;
    b.woken |= UINT64_C(1) << hart;
}

static void
reset(void *arg, enum sbi_reset_type type, bool failure)
{
    (void)arg;
    b.resets++;
    b.type = type;
    b.failure = failure;
}

static long
console_write(void *arg, const void *buf, size_t len)
{
    (void)arg;
    len = len < b.console_room ? len : b.console_room;
    memcpy(b.console + b.n_console, buf, len);
    b.n_console += len;
    b.console_room -= len;
    return (long)len;
}

static long
console_read(void *arg, void *buf, size_t len)
{
    (void)arg;
    size_t n = strnlen(b.input, len);
    memcpy(buf, b.input, n);
    b.input += n;
    return (long)n;
}

static uint64_t
counter_get(void *arg, unsigned hart, unsigned counter)
{
    (void)arg;
    (void)hart;
    return b.counter[counter];
}

static void
counter_set(void *arg, unsigned hart, unsigned counter, uint64_t value)
{
    (void)arg;
    (void)hart;
    b.counter[counter] = value;
}

static void
counter_run(void *arg, unsigned hart, unsigned counter, bool run)
{
    (void)arg;
    (void)hart;
    b.counting = (b.counting & ~(UINT64_C(1) << counter)) | (uint64_t)run << counter;
}

static const struct sbi_ops ops = {
    .set_timer = set_timer,
    .ipi = ipi,
    .ipi_clear = ipi_clear,
    .fence = fence,
    .wake = wake,
    .reset = reset,
    .console_write = console_write,
    .console_read = console_read,
    .counter_get = counter_get,
    .counter_set = counter_set,
    .counter_run = counter_run,
};

static int
power_on(void **state)
{
    (void)state;
    memset(&b, 0, sizeof b);
    physmap_init(&b.pm);
    assert_int_equal(physmap_add_ram(&b.pm, RAM, RAM_BYTES, NULL), 0);
    sbi_init(&b.sbi, HARTS, &b.pm, &ops, &b);
    b.console_room = sizeof b.console;
    b.input = "";
    b.counting = 5;
    return 0;
}

static int
power_off(void **state)
{
    (void)state;
    physmap_fini(&b.pm);
    return 0;
}

/* An ecall on a hart; every register but a0 and a1 has to survive. */
static long
call_on(unsigned hart, uint64_t eid, uint64_t fid, uint64_t a0, uint64_t a1, uint64_t a2, uint64_t a3, uint64_t a4)
{
    uint64_t x[32], before[32];
    for (unsigned i = 0; i < 32; i++) {
        x[i] = i * UINT64_C(0x0101010101010101);
    }
    x[0] = 0;
    x[10] = a0;
    x[11] = a1;
    x[12] = a2;
    x[13] = a3;
    x[14] = a4;
    x[16] = fid;
    x[17] = eid;
    memcpy(before, x, sizeof x);
    b.next = sbi_call(&b.sbi, hart, x);
    b.value = x[11];
    assert_memory_equal(x, before, 10 * sizeof *x);
    assert_memory_equal(x + 12, before + 12, 20 * sizeof *x);
    return (long)x[10];
}

#define CALL5(eid, fid, a0, a1, a2, a3, a4, ...) call_on(0, eid, fid, a0, a1, a2, a3, a4)
#define CALL(eid, ...) CALL5(eid, __VA_ARGS__, 0, 0, 0, 0, 0)
#define GIVES(error, ...) assert_int_equal(CALL(__VA_ARGS__), error)

static void
base(void **state)
{
    (void)state;
    GIVES(SBI_SUCCESS, BASE, 0);
    assert_int_equal(b.value, 0x02000000);
    static const uint64_t there[] = { BASE, TIME, IPI, RFNC, HSM, SRST, DBCN, SUSP, PMU, STA, 0, 1 };
    for (size_t i = 0; i < sizeof there / sizeof *there; i++) {
        GIVES(SBI_SUCCESS, BASE, 3, there[i]);
        assert_int_equal(b.value, 1);
    }
    static const uint64_t not_there[] = { 4, 0x43505043, 0x4e41434c, MINUS_ONE, UINT64_C(0x100000010) };
    for (size_t i = 0; i < sizeof not_there / sizeof *not_there; i++) {
        GIVES(SBI_SUCCESS, BASE, 3, not_there[i]);
        assert_int_equal(b.value, 0);
        GIVES(SBI_NOT_SUPPORTED, not_there[i], 0);
    }
    GIVES(SBI_SUCCESS, BASE, 4);
    assert_int_equal(b.value, 0);
    static const uint64_t all[] = { BASE, TIME, IPI, RFNC, HSM, SRST, DBCN, SUSP, PMU, STA };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        GIVES(SBI_NOT_SUPPORTED, all[i], 99);
        GIVES(SBI_NOT_SUPPORTED, all[i], MINUS_ONE);
        assert_int_equal(b.value, 0);
    }
}

static void
timer_and_ipi(void **state)
{
    (void)state;
    assert_int_equal(call_on(2, TIME, 0, 12345, 0, 0, 0, 0), SBI_SUCCESS);
    assert_int_equal(b.timer[2], 12345);
    GIVES(SBI_SUCCESS, IPI, 0, 5, 1);
    assert_true(b.ipis[0] == 0 && b.ipis[1] == 1 && b.ipis[2] == 0 && b.ipis[3] == 1);
    GIVES(SBI_SUCCESS, IPI, 0, 0, MINUS_ONE);
    assert_true(b.ipis[0] == 1 && b.ipis[1] == 2 && b.ipis[2] == 1 && b.ipis[3] == 2);
    GIVES(SBI_INVALID_PARAM, IPI, 0, 1, 4);
    GIVES(SBI_INVALID_PARAM, IPI, 0, 16, 0);
    GIVES(SBI_INVALID_PARAM, IPI, 0, 2, 3);
    GIVES(SBI_INVALID_PARAM, IPI, 0, 1, MINUS_ONE - 1);
    GIVES(SBI_SUCCESS, IPI, 0, 0, 3);
    assert_true(b.ipis[0] == 1 && b.ipis[1] == 2 && b.ipis[2] == 1 && b.ipis[3] == 2);
}

static void
fences(void **state)
{
    (void)state;
    GIVES(SBI_SUCCESS, RFNC, 0, 3, 1);
    assert_true(b.fenced == 6 && b.fence.kind == SBI_FENCE_I);
    GIVES(SBI_SUCCESS, RFNC, 1, 1, 0, 0x4000, 0x2000);
    assert_true(b.fence.kind == SBI_SFENCE_VMA && !b.fence.all && b.fence.start == 0x4000 && b.fence.size == 0x2000);
    GIVES(SBI_SUCCESS, RFNC, 2, 0, MINUS_ONE, 0x4000, 0x2000, 77);
    assert_true(b.fenced == 15 && b.fence.kind == SBI_SFENCE_VMA_ASID && b.fence.asid == 77);
    GIVES(SBI_SUCCESS, RFNC, 1, 1, 0, 0, 0);
    assert_true(b.fence.all);
    GIVES(SBI_SUCCESS, RFNC, 1, 1, 0, 0x1000, MINUS_ONE);
    assert_true(b.fence.all);
    GIVES(SBI_SUCCESS, RFNC, 1, 1, 0, 0xfffffffffffff000, 0x2000);
    assert_true(b.fence.all);
    b.fenced = 0;
    GIVES(SBI_INVALID_PARAM, RFNC, 1, 16, 0, 0, 0);
    GIVES(SBI_SUCCESS, RFNC, 1, 0, 0, 0, 0);
    assert_int_equal(b.fenced, 0);
    for (uint64_t fid = 3; fid < 7; fid++) {
        GIVES(SBI_NOT_SUPPORTED, RFNC, fid, 1, 0, 0, 0);
    }
}

static void
harts_start_and_stop(void **state)
{
    (void)state;
    uint64_t entry, opaque;
    GIVES(SBI_INVALID_PARAM, HSM, 0, 4, RAM, 0);
    GIVES(SBI_INVALID_ADDRESS, HSM, 0, 1, RAM + RAM_BYTES, 0);
    GIVES(SBI_INVALID_ADDRESS, HSM, 0, 1, 0, 0);
    GIVES(SBI_INVALID_ADDRESS, HSM, 0, 1, RAM + 1, 0);
    GIVES(SBI_ALREADY_AVAILABLE, HSM, 0, 0, RAM, 0);
    assert_false(sbi_enter(&b.sbi, 1, &entry, &opaque));
    GIVES(SBI_SUCCESS, HSM, 0, 1, RAM + 0x200, 0xabc);
    assert_int_equal(b.woken, 2);
    GIVES(SBI_SUCCESS, HSM, 2, 1);
    assert_int_equal(b.value, SBI_START_PENDING);
    GIVES(SBI_ALREADY_AVAILABLE, HSM, 0, 1, RAM, 0);
    assert_true(sbi_enter(&b.sbi, 1, &entry, &opaque));
    assert_true(entry == RAM + 0x200 && opaque == 0xabc);
    assert_false(sbi_enter(&b.sbi, 1, &entry, &opaque));
    GIVES(SBI_SUCCESS, HSM, 2, 1);
    assert_int_equal(b.value, SBI_STARTED);
    call_on(1, HSM, 1, 0, 0, 0, 0, 0);
    assert_int_equal(b.next, SBI_PARK);
    assert_false(sbi_enter(&b.sbi, 1, &entry, &opaque));
    GIVES(SBI_SUCCESS, HSM, 2, 1);
    assert_int_equal(b.value, SBI_STOPPED);
    GIVES(SBI_INVALID_PARAM, HSM, 2, 4);
    GIVES(SBI_INVALID_PARAM, HSM, 2, MINUS_ONE);
    GIVES(SBI_SUCCESS, HSM, 0, 1, RAM, 0);
}

static void
harts_sleep(void **state)
{
    (void)state;
    uint64_t entry, opaque;
    GIVES(SBI_SUCCESS, HSM, 3, 0, 0, 0);
    assert_int_equal(b.next, SBI_WAIT);
    assert_int_equal(call_on(1, HSM, 2, 0, 0, 0, 0, 0), SBI_SUCCESS);
    assert_int_equal(b.value, SBI_SUSPENDED);
    assert_int_equal(call_on(1, HSM, 0, 0, RAM, 0, 0, 0), SBI_ALREADY_AVAILABLE);
    assert_true(sbi_enter(&b.sbi, 0, &entry, &opaque));
    assert_true(entry == SBI_NO_ADDRESS);
    GIVES(SBI_SUCCESS, HSM, 3, 0x80000000, RAM + 8, 5);
    assert_int_equal(b.next, SBI_WAIT);
    assert_true(sbi_enter(&b.sbi, 0, &entry, &opaque));
    assert_true(entry == RAM + 8 && opaque == 5);
    GIVES(SBI_INVALID_ADDRESS, HSM, 3, 0x80000000, RAM - 2, 5);
    assert_int_equal(b.next, SBI_RETURN);
    GIVES(SBI_INVALID_PARAM, HSM, 3, 1, RAM, 0);
    GIVES(SBI_INVALID_PARAM, HSM, 3, 0x90000000, RAM, 0);
}

static void
the_machine_sleeps(void **state)
{
    (void)state;
    uint64_t entry, opaque;
    GIVES(SBI_INVALID_PARAM, SUSP, 0, 1, RAM, 0);
    GIVES(SBI_INVALID_ADDRESS, SUSP, 0, 0, RAM - 4096, 0);
    GIVES(SBI_SUCCESS, SUSP, 0, 0, RAM, 9);
    assert_int_equal(b.next, SBI_WAIT);
    assert_true(sbi_enter(&b.sbi, 0, &entry, &opaque));
    assert_true(entry == RAM && opaque == 9);
    GIVES(SBI_SUCCESS, HSM, 0, 3, RAM, 0);
    GIVES(SBI_DENIED, SUSP, 0, 0, RAM, 9);
}

static void
resets(void **state)
{
    (void)state;
    GIVES(SBI_INVALID_PARAM, SRST, 0, 3, 0);
    GIVES(SBI_INVALID_PARAM, SRST, 0, 0, 2);
    assert_int_equal(b.resets, 0);
    (void)CALL(SRST, 0, 0, 1);
    assert_true(b.next == SBI_OFF && b.resets == 1 && b.type == SBI_SHUTDOWN && b.failure);
    (void)CALL(SRST, 0, 1, 0);
    assert_true(b.next == SBI_OFF && b.resets == 2 && b.type == SBI_COLD_REBOOT && !b.failure);
    (void)CALL(8, 0);
    assert_true(b.next == SBI_OFF && b.resets == 3 && b.type == SBI_SHUTDOWN);
}

static void
console(void **state)
{
    (void)state;
    physmap_write(&b.pm, RAM + 100, "hello", 5);
    GIVES(SBI_SUCCESS, DBCN, 0, 5, RAM + 100, 0);
    assert_int_equal(b.value, 5);
    assert_memory_equal(b.console, "hello", 5);
    GIVES(SBI_SUCCESS, DBCN, 0, 0, 0, 0);
    assert_int_equal(b.value, 0);
    GIVES(SBI_INVALID_PARAM, DBCN, 0, 5, 0, 0);
    GIVES(SBI_INVALID_PARAM, DBCN, 0, 5, RAM, 1);
    GIVES(SBI_INVALID_PARAM, DBCN, 0, 5, RAM + RAM_BYTES - 4, 0);
    GIVES(SBI_INVALID_PARAM, DBCN, 0, MINUS_ONE, RAM, 0);
    GIVES(SBI_INVALID_PARAM, DBCN, 1, MINUS_ONE, RAM + 1, 0);
    GIVES(SBI_SUCCESS, DBCN, 0, RAM_BYTES, RAM, 0);
    assert_int_equal(b.value, 4096);
    b.input = "typed";
    GIVES(SBI_SUCCESS, DBCN, 1, 3, RAM + 8, 0);
    assert_int_equal(b.value, 3);
    GIVES(SBI_SUCCESS, DBCN, 1, 30, RAM + 11, 0);
    assert_int_equal(b.value, 2);
    assert_memory_equal(physmap_ram(&b.pm, RAM + 8, 5), "typed", 5);
    GIVES(SBI_SUCCESS, DBCN, 2, 0x121);
    assert_int_equal(b.console[b.n_console - 1], '!');
    b.console_room = 0;
    GIVES(SBI_FAILED, DBCN, 2, 'x');
    GIVES(SBI_SUCCESS, DBCN, 0, 5, RAM, 0);
    assert_int_equal(b.value, 0);
}

static void
legacy(void **state)
{
    (void)state;
    b.input = "a";
    assert_int_equal(CALL(2, 0, 7, 0x1234), 'a');
    assert_int_equal(b.value, 0x1234); /* a1 stays */
    assert_int_equal(CALL(2, 0), -1);
    GIVES(SBI_SUCCESS, 1, 0, 'z');
    assert_int_equal(b.console[0], 'z');
    GIVES(SBI_SUCCESS, 0, 0, 99);
    assert_int_equal(b.timer[0], 99);
}

static void
steal(void **state)
{
    (void)state;
    const uint32_t *shared = physmap_ram(&b.pm, RAM + 64, 64);
    physmap_write(&b.pm, RAM + 64, "garbage garbage garbage garbage garbage", 39);
    GIVES(SBI_INVALID_PARAM, STA, 0, RAM + 32, 0, 0);
    GIVES(SBI_INVALID_PARAM, STA, 0, RAM + 64, 0, 1);
    GIVES(SBI_INVALID_ADDRESS, STA, 0, RAM + 64, 1, 0);
    GIVES(SBI_INVALID_ADDRESS, STA, 0, RAM + RAM_BYTES, 0, 0);
    assert_int_not_equal(shared[0], 0);
    GIVES(SBI_SUCCESS, STA, 0, RAM + 64, 0, 0);
    assert_int_equal(shared[0], 0);
    sbi_steal_time(&b.sbi, 0, UINT64_C(0x123456789));
    assert_true(shared[0] == 2 && shared[2] == 0x23456789 && shared[3] == 1 && shared[4] == 0);
    sbi_steal_time(&b.sbi, 1, 7);
    GIVES(SBI_SUCCESS, STA, 0, MINUS_ONE, MINUS_ONE, 0);
    sbi_steal_time(&b.sbi, 0, 7);
    assert_int_equal(shared[0], 2);
}

static void
hardware_counters(void **state)
{
    (void)state;
    GIVES(SBI_SUCCESS, PMU, 0);
    const uint64_t n = b.value;
    assert_int_equal(n, 19);
    GIVES(SBI_SUCCESS, PMU, 1, 0);
    assert_int_equal(b.value, 63 << 12 | 0xc00);
    GIVES(SBI_INVALID_PARAM, PMU, 1, 1);
    GIVES(SBI_SUCCESS, PMU, 1, 2);
    assert_int_equal(b.value, 63 << 12 | 0xc02);
    GIVES(SBI_SUCCESS, PMU, 1, 3);
    assert_true(b.value >> 63 == 1);
    GIVES(SBI_INVALID_PARAM, PMU, 1, n);
    GIVES(SBI_INVALID_PARAM, PMU, 1, MINUS_ONE);

    GIVES(SBI_SUCCESS, PMU, 4, 0, 5, 1); /* as Linux does first: stop all */
    assert_int_equal(b.counting, 0);
    GIVES(SBI_ALREADY_STOPPED, PMU, 4, 0, 5, 0);
    GIVES(SBI_INVALID_PARAM, PMU, 4, 0, 7, 0);
    GIVES(SBI_INVALID_PARAM, PMU, 4, n, 1, 0);
    GIVES(SBI_INVALID_PARAM, PMU, 4, 2, UINT64_C(1) << 63, 0);
    GIVES(SBI_INVALID_PARAM, PMU, 4, 0, 5, 4);
    GIVES(SBI_SUCCESS, PMU, 2, 0, 0x7fffd, 2, 2, 0); /* instructions, any counter */
    assert_int_equal(b.value, 2);
    GIVES(SBI_NOT_SUPPORTED, PMU, 2, 0, 0x7fffd, 0, 2, 0);
    GIVES(SBI_SUCCESS, PMU, 2, 0, 1, 1, 1, 0); /* cycles, this one */
    GIVES(SBI_NOT_SUPPORTED, PMU, 2, 0, 1, 1, 2, 0);
    GIVES(SBI_NOT_SUPPORTED, PMU, 2, 0, 0x7fffd, 0, 6, 0); /* branch misses */
    GIVES(SBI_INVALID_PARAM, PMU, 2, 0, 0x7ffff, 0, 1, 0);
    GIVES(SBI_INVALID_PARAM, PMU, 2, 0, 5, 0x100, 1, 0);
    GIVES(SBI_SUCCESS, PMU, 3, 2, 1, 1, 1000);
    assert_true(b.counter[2] == 1000 && b.counting == 4);
    GIVES(SBI_ALREADY_STARTED, PMU, 3, 0, 5, 0);
    assert_int_equal(b.counting, 5);
    GIVES(SBI_INVALID_PARAM, PMU, 5, 2);
}

static void
firmware_counters(void **state)
{
    (void)state;
    GIVES(SBI_SUCCESS, PMU, 2, 0, 0x7fffd, 6, 0xf0006, 0); /* IPIs sent, zeroed and started */
    const uint64_t c = b.value;
    assert_int_equal(c, 3);
    GIVES(SBI_SUCCESS, IPI, 0, 7, 0); /* one is to itself */
    GIVES(SBI_SUCCESS, PMU, 5, c);
    assert_int_equal(b.value, 2);
    GIVES(SBI_SUCCESS, PMU, 6, c);
    assert_int_equal(b.value, 0);
    GIVES(SBI_SUCCESS, PMU, 4, c, 1, 0);
    GIVES(SBI_SUCCESS, IPI, 0, 2, 0);
    GIVES(SBI_SUCCESS, PMU, 5, c);
    assert_int_equal(b.value, 2);
    GIVES(SBI_SUCCESS, PMU, 3, c, 1, 1, 100);
    GIVES(SBI_SUCCESS, IPI, 0, 2, 0);
    GIVES(SBI_SUCCESS, PMU, 5, c);
    assert_int_equal(b.value, 101);
    GIVES(SBI_SUCCESS, PMU, 2, 0, 0x7fffd, 0, 0xf0006, 0);
    assert_int_equal(b.value, 4); /* the first is in use */
    GIVES(SBI_SUCCESS, PMU, 4, c, 1, 1);
    GIVES(SBI_SUCCESS, PMU, 2, 0, 0x7fffd, 0, 0xf0005, 0);
    assert_int_equal(b.value, 3);
    GIVES(SBI_NOT_SUPPORTED, PMU, 2, 0, 0x7fffd, 0, 0xf0016, 0);
    GIVES(SBI_NOT_SUPPORTED, PMU, 2, 0, 0x7fffd, 0, 0xfffff, 0);
    /* what the other side has received */
    assert_int_equal(call_on(1, PMU, 2, 0, 0x7fffd, 4, 0xf0007, 0), SBI_SUCCESS);
    GIVES(SBI_SUCCESS, IPI, 0, 2, 0);
    assert_int_equal(call_on(1, PMU, 5, 3, 0, 0, 0, 0), SBI_SUCCESS);
    assert_int_equal(b.value, 1);
}

static void
snapshots(void **state)
{
    (void)state;
    uint64_t *page = physmap_ram(&b.pm, RAM + 0x1000, 4096);
    GIVES(SBI_NO_SHMEM, PMU, 4, 0, 1, 2);
    GIVES(SBI_INVALID_PARAM, PMU, 7, RAM + 8, 0, 0);
    GIVES(SBI_INVALID_PARAM, PMU, 7, RAM, 0, 1);
    GIVES(SBI_INVALID_ADDRESS, PMU, 7, RAM + RAM_BYTES, 0, 0);
    GIVES(SBI_INVALID_ADDRESS, PMU, 7, RAM, 7, 0);
    GIVES(SBI_SUCCESS, PMU, 7, RAM + 0x1000, 0, 0);
    page[0] = page[1] = page[2] = 99;
    b.counter[2] = 4321;
    GIVES(SBI_SUCCESS, PMU, 4, 2, 1, 2);
    assert_true(page[0] == 0 && page[1] == 4321 && page[2] == 99);
    page[1] = 5;
    GIVES(SBI_SUCCESS, PMU, 3, 2, 1, 2);
    assert_int_equal(b.counter[2], 5);
    GIVES(SBI_SUCCESS, PMU, 7, MINUS_ONE, MINUS_ONE, 0);
    GIVES(SBI_NO_SHMEM, PMU, 4, 2, 1, 2);
}

/* Whatever the registers hold, the answer is a number that the specification knows, and no register but a0 and a1 changes. */
static void
any_registers(void **state)
{
    (void)state;
    static const uint64_t eids[] = { BASE, TIME, IPI, RFNC, HSM, DBCN, PMU, STA, 0, 1, 2, 3 };
    static const uint64_t some[] = { 0, 1, 2, 3, 4, 5, 63, 64, RAM, RAM + 0x1000, RAM + RAM_BYTES - 8, 0x80000000, 0x7fffd, 0xf0006,
                                     UINT64_C(1) << 63, MINUS_ONE, MINUS_ONE - 7, UINT64_C(0x100000000) };
    uint64_t seed = 1;
    for (int i = 0; i < 400000; i++) {
        uint64_t r[8];
        for (unsigned k = 0; k < 8; k++) {
            seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
            r[k] = seed >> 33;
        }
#define SOME(k) some[r[k] % (sizeof some / sizeof *some)]
        uint64_t eid = eids[r[0] % (sizeof eids / sizeof *eids)];
        b.n_console = 0;
        b.console_room = r[7] % 3 == 0 ? 10 : 5000;
        b.input = r[7] % 5 == 0 ? "input" : "";
        long error = call_on((unsigned)(r[1] % HARTS), eid, r[1] >> 4 & 7, SOME(2), SOME(3), SOME(4), SOME(5), SOME(6));
        assert_true(b.next <= SBI_WAIT);
        assert_true(eid == 2 || b.next == SBI_PARK || (error <= 0 && error >= SBI_NO_SHMEM));
        sbi_steal_time(&b.sbi, (unsigned)(r[1] % HARTS), r[2]);
    }
}

static void
fields_are_complete(void **state)
{
    (void)state;
    assert_int_equal(fields_cover(sbi_hart_fields, sbi_hart_field_count, sizeof(struct sbi_hart)), sizeof(struct sbi_hart));
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, power_on, power_off)

int
main(void)
{
    const struct CMUnitTest cases[] = {
        CASE(base), CASE(timer_and_ipi), CASE(fences), CASE(harts_start_and_stop), CASE(harts_sleep), CASE(the_machine_sleeps),
        CASE(resets), CASE(console), CASE(legacy), CASE(steal), CASE(hardware_counters), CASE(firmware_counters), CASE(snapshots),
        CASE(any_registers), CASE(fields_are_complete),
    };
    return cmocka_run_group_tests(cases, NULL, NULL);
}
