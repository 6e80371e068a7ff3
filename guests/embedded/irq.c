/*
 * irq.c - the timer, software interrupts to oneself, and a device's through the PLIC
 */
#include "guest.h"

static void
interrupts(bool on)
{
    if (on) {
        csr_set(sstatus, SSTATUS_SIE);
    } else {
        csr_clear(sstatus, SSTATUS_SIE);
    }
}

static void
timer_at(u64 when)
{
    if (isa_has("sstc")) {
        csr_write(0x14d, when); /* stimecmp */
    } else {
        (void)sbi(SBI_TIME, 0, when, 0, 0, 0, 0);
    }
}

static u64
pending(unsigned irq)
{
    return csr_read(sip) >> irq & 1;
}

void
test_timer(void)
{
    subject("timer");
    const u64 soon = 200ul * ticks_per_us;
    csr_clear(sie, ~0ul);
    (void)sbi(SBI_TIME, 0, rdtime() + soon, 0, 0, 0, 0);
    check(!pending(IRQ_TIMER) || rdtime() > soon, "not yet");
    check(WAIT_FOR(pending(IRQ_TIMER)), "pending after SBI's set_timer");
    (void)sbi(SBI_TIME, 0, ~0ul, 0, 0, 0, 0);
    check(WAIT_FOR(!pending(IRQ_TIMER)), "and no more when it is set far off");

    timer_at(rdtime() + soon);
    csr_set(sie, 1ul << IRQ_TIMER);
    __asm__ volatile("wfi");
    check(WAIT_FOR(pending(IRQ_TIMER)), "wfi ends, though SIE is 0");
    me->timer = 0;
    check(me->timer == 0, "no trap while SIE is 0");
    interrupts(true);
    check(WAIT_FOR(me->timer == 1), "a trap when it is 1");
    interrupts(false);

    /* Through the table, and how late. */
    csr_write(stvec, (u64)vector_table | 1);
    me->vectored = 0;
    me->timer = 0;
    const u64 when = rdtime() + soon;
    timer_at(when);
    csr_set(sie, 1ul << IRQ_TIMER);
    const bool came = SLEEP_FOR(me->timer != 0);
    const u64 now = rdtime();
    check(came && me->vectored == 1, "a vectored trap");
    /* Not an illegal instruction: OpenSBI passes those on, and forgets that the last bits of stvec are its mode. */
    check(TRAPS(__asm__ volatile("ebreak")) == BREAKPOINT && me->vectored == 1, "exceptions are not vectored");
    csr_write(stvec, trap_vector);
    check(came && now >= when, "not too early");
    print("     %ld us late\n", (now - when) / ticks_per_us);
    timer_at(~0ul);
    csr_clear(sie, ~0ul);
}

void
test_soft(void)
{
    subject("software interrupt");
    me->soft = 0;
    check(sbi(SBI_IPI, 0, 1, me->id, 0, 0, 0).error == 0 && WAIT_FOR(pending(IRQ_SOFT)), "pending after an IPI to oneself");
    csr_set(sie, 1ul << IRQ_SOFT);
    interrupts(true);
    check(WAIT_FOR(me->soft == 1) && !pending(IRQ_SOFT), "a trap, and the handler clears it");
    interrupts(false);
    csr_set(sip, 1ul << IRQ_SOFT);
    check(pending(IRQ_SOFT), "set by hand");
    csr_clear(sip, 1ul << IRQ_SOFT);
    check(!pending(IRQ_SOFT), "and cleared");
    csr_clear(sie, ~0ul);
}

#define PLIC_ENABLE(context, source) (machine.plic + 0x2000 + 0x80 * (u64)(context) + (source) / 32 * 4)
#define PLIC_THRESHOLD (machine.plic + 0x200000 + 0x1000 * (u64)machine.plic_context)
#define PLIC_CLAIM (PLIC_THRESHOLD + 4)

static const struct device *uart;

/* The trap's part: claim, quieten what called, complete. */
void
plic_claimed(void)
{
    const unsigned source = io_read(PLIC_CLAIM);
    me->source = source;
    if (uart != NULL && source == uart->irq) {
        volatile uint8_t *r = (volatile uint8_t *)uart->base;
        me->result = r[2]; /* why; that also ends an interrupt for an empty transmitter */
        r[1] = 0;
    }
    io_write(PLIC_CLAIM, source);
}

void
test_external(void)
{
    subject("external interrupt");
    uart = device_find("ns16550a", NULL);
    if (machine.plic == 0 || uart == NULL || uart->irq == 0) {
        skipped("UART through PLIC", "not there");
        return;
    }
    const unsigned irq = uart->irq;
    const u64 enable = PLIC_ENABLE(machine.plic_context, irq);
    volatile uint8_t *r = (volatile uint8_t *)uart->base;
    io_write(machine.plic + 4 * irq, 3);
    check(io_read(machine.plic + 4 * irq) == 3, "a priority is kept");
    io_write(PLIC_THRESHOLD, 0);
    io_write(enable, 1u << irq % 32);
    check(io_read(enable) == 1u << irq % 32, "a source is enabled");
    check(io_read(PLIC_CLAIM) == 0, "nothing to claim");
    csr_set(sie, 1ul << IRQ_EXTERNAL);
    r[1] = 2; /* interrupt when the transmitter is empty: now */
    check(WAIT_FOR(pending(IRQ_EXTERNAL)), "pending: the transmitter is empty");
    check((io_read(machine.plic + 0x1000 + irq / 32 * 4) >> irq % 32 & 1) == 1, "and so says the controller");
    io_write(PLIC_THRESHOLD, 3);
    check(WAIT_FOR(!pending(IRQ_EXTERNAL)), "not above the threshold");
    io_write(PLIC_THRESHOLD, 2);
    me->external = 0;
    interrupts(true);
    check(WAIT_FOR(me->external == 1) && me->source == irq, "a trap, and the claim names the source");
    check((me->result & 0xf) == 2, "the UART says why");
    interrupts(false);
    check(WAIT_FOR(!pending(IRQ_EXTERNAL)) && io_read(PLIC_CLAIM) == 0, "it is over");
    io_write(PLIC_THRESHOLD, 0);
    csr_clear(sie, ~0ul);
    const struct device *rtc = device_find("google,goldfish-rtc", NULL);
    if (rtc != NULL) {
        const u64 low = io_read(rtc->base), ns = low | (u64)io_read(rtc->base + 4) << 32;
        check(ns > 1700000000ul * 1000000000ul, "the clock knows the year");
    }
}
