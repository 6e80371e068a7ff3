/*
 * smp.c - several harts: HSM, IPI, remote fences, atomics between them
 */
#include "guest.h"

static struct {
    volatile u64 counter, plain, lock, flag, seen;
} shared;

void
hart_main(void)
{
    me->alive = true;
    for (;;) {
        void (*work)(struct hart *) = me->work;
        if (work != NULL) {
            work(me);
            __atomic_store_n(&me->work, NULL, __ATOMIC_RELEASE);
        }
        csr_set(sie, 1ul << IRQ_SOFT);
        __asm__ volatile("wfi");
        csr_set(sstatus, SSTATUS_SIE);
        csr_clear(sstatus, SSTATUS_SIE);
    }
}

static bool
has_state(struct hart *h, u64 state)
{
    struct sbi_answer a = sbi(SBI_HSM, 2, h->id, 0, 0, 0, 0);
    return a.error == 0 && a.value == state;
}

static void
give(struct hart *h, void (*work)(struct hart *))
{
    __atomic_store_n(&h->work, work, __ATOMIC_RELEASE);
    (void)sbi(SBI_IPI, 0, 1, h->id, 0, 0, 0);
}

static bool
all_done(void)
{
    for (unsigned i = 1; i < n_harts; i++) {
        if (__atomic_load_n(&harts[i].work, __ATOMIC_ACQUIRE) != NULL) {
            return false;
        }
    }
    return true;
}

#define ROUNDS 500

static void
count(struct hart *h)
{
    (void)h;
    for (unsigned i = 0; i < ROUNDS; i++) {
        (void)__atomic_fetch_add(&shared.counter, 1, __ATOMIC_RELAXED);
        while (__atomic_exchange_n(&shared.lock, 1, __ATOMIC_ACQUIRE) != 0) {
        }
        shared.plain++;
        __atomic_store_n(&shared.lock, 0, __ATOMIC_RELEASE);
    }
}

/* Reads a page with the boot hart's tables until it reads another value there. */
static u64 their_satp;

static void
watch(struct hart *h)
{
    csr_write(satp, their_satp);
    fence_vma();
    volatile u64 *p = (volatile u64 *)TEST_VA;
    const u64 first = *p;
    shared.seen = 1;
    const u64 until = rdtime() + 2000000ul * ticks_per_us;
    while (shared.flag == 0 && rdtime() < until) {
        (void)*p;
    }
    h->result = first << 8 | *p;
    csr_write(satp, 0);
    fence_vma();
}

static volatile uint32_t *their_code;

static void
execute(struct hart *h)
{
    (void)call_at((u64)their_code);
    shared.seen = 1;
    while (shared.flag == 0) {
    }
    h->result = call_at((u64)their_code);
}

static void
stop(struct hart *h)
{
    h->work = NULL;
    h->alive = false;
    (void)sbi(SBI_HSM, 1, 0, 0, 0, 0, 0);
}

static void
sleep(struct hart *h)
{
    h->result = (u64)sbi(SBI_HSM, 3, 0, 0, 0, 0, 0).error;
}

static void
test_remote_fences(struct hart *h)
{
    test_pages[4][0] = 4;
    test_pages[5][0] = 5;
    mmu_map(0, (u64)test_pages[4], PTE_ALL);
    mmu_on();
    their_satp = csr_read(satp);
    mmu_off();
    shared.flag = shared.seen = 0;
    give(h, watch);
    bool good = WAIT_FOR(shared.seen != 0);
    mmu_map(0, (u64)test_pages[5], PTE_ALL);
    good &= sbi(SBI_RFENCE, 1, 1, h->id, TEST_VA, PAGE, 0).error == 0;
    shared.flag = 1;
    check(good && WAIT_FOR(all_done()) && h->result == (4 << 8 | 5), "remote sfence.vma: the other hart sees the new page");
    mmu_map(0, 0, 0);

    their_code = (volatile uint32_t *)test_pages[6];
    their_code[0] = 0x00100513; /* li a0, 1; ret */
    their_code[1] = 0x00008067;
    (void)sbi(SBI_RFENCE, 0, 1, h->id, 0, 0, 0);
    shared.flag = shared.seen = 0;
    give(h, execute);
    good = WAIT_FOR(shared.seen != 0);
    their_code[0] = 0x00200513;
    good &= sbi(SBI_RFENCE, 0, 0, ~0ul, 0, 0, 0).error == 0;
    shared.flag = 1;
    check(good && WAIT_FOR(all_done()) && h->result == 2, "remote fence.i: and the new code");
}

void
harts_start(void)
{
    if (!sbi_has(SBI_HSM)) {
        return;
    }
    for (unsigned i = 1; i < n_harts; i++) {
        harts[i].alive = false;
        (void)sbi(SBI_HSM, 0, harts[i].id, (u64)hart_entry, (u64)&harts[i], 0, 0);
    }
}

void
test_harts(void)
{
    subject("harts");
    if (n_harts == 1) {
        skipped("others", "there is one");
        return;
    }
    bool good = true;
    for (unsigned i = 1; i < n_harts; i++) {
        good &= has_state(&harts[i], 1);
    }
    check(good, "the others are stopped");
    harts_start();
    for (unsigned i = 1; i < n_harts; i++) {
        good &= WAIT_FOR(harts[i].alive) && has_state(&harts[i], 0);
    }
    check(good, "they start");
    if (!good) {
        return;
    }
    shared.counter = shared.plain = 0;
    for (unsigned i = 1; i < n_harts; i++) {
        give(&harts[i], count);
    }
    count(me);
    check(WAIT_FOR(all_done()), "they do what an IPI asks for");
    check(shared.counter == (u64)n_harts * ROUNDS, "amoadd loses nothing");
    check(shared.plain == (u64)n_harts * ROUNDS, "a lock excludes");
    test_remote_fences(&harts[n_harts - 1]);

    struct hart *h = &harts[1];
    h->result = 77;
    h->soft = 0;
    give(h, sleep);
    (void)WAIT_FOR(has_state(h, 4) || h->result != 77);
    (void)sbi(SBI_IPI, 0, 1, h->id, 0, 0, 0);
    check(WAIT_FOR(all_done()) && (h->result == 0 || h->result == (u64)-2), "one sleeps by HSM, and an IPI wakes it");
    give(h, stop);
    check(WAIT_FOR(has_state(h, 1)), "one stops");
    harts_start();
    check(WAIT_FOR(h->alive) && has_state(h, 0), "and starts again");
    for (unsigned i = 1; i < n_harts; i++) {
        give(&harts[i], stop);
    }
    good = true;
    for (unsigned i = 1; i < n_harts; i++) {
        good &= WAIT_FOR(has_state(&harts[i], 1));
    }
    check(good, "all stop");
}
