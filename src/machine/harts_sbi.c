/*
 * harts_sbi.c - what SBI calls do to a machine (struct sbi_ops)
 *
 * Called by the thread of the hart that calls, which is outside of system_run().
 */
#include "machine/machine_impl.h"

#include "base/check.h"

enum { CSR_STIMECMP = 0x14d, CSR_MCOUNTINHIBIT = 0x320, CSR_MCYCLE = 0xb00 };

static struct mhart *
cpu_of(void *arg, unsigned hart)
{
    return ((struct machine *)arg)->harts[hart].cpu;
}

/* As firmware would, in M-mode. */
static uint64_t
csr(struct mhart *c, unsigned number, enum priv_op op, uint64_t v, bool writes)
{
    uint64_t old = 0;
    const uint8_t mode = c->p.mode;
    c->p.mode = PRIV_M;
    const unsigned effects = priv_csr(&c->p, number, op, v, writes, &old);
    CHECK(!(effects & PRIV_ILLEGAL));
    c->p.mode = mode;
    system_hart_changed(c);
    return old;
}

static void
set_timer(void *arg, unsigned hart, uint64_t time)
{
    csr(cpu_of(arg, hart), CSR_STIMECMP, PRIV_WRITE, time, true);
}

static void
ipi(void *arg, unsigned hart)
{
    priv_irq_set(&cpu_of(arg, hart)->p, IRQ_SSI, true);
}

static void
ipi_clear(void *arg, unsigned hart)
{
    priv_irq_set(&cpu_of(arg, hart)->p, IRQ_SSI, false);
}

static void
fence(void *arg, unsigned caller, uint64_t harts, const struct sbi_fence *f)
{
    (void)caller;
    for (; harts != 0; harts &= harts - 1) {
        system_fence(cpu_of(arg, (unsigned)__builtin_ctzll(harts)), f->kind == SBI_FENCE_I ? SYSTEM_FENCE_I : SYSTEM_FENCE_VMA);
    }
}

static void
wake(void *arg, unsigned hart)
{
    harts_wake(&((struct machine *)arg)->harts[hart]);
}

static void
reset(void *arg, enum sbi_reset_type type, bool failure)
{
    machine_ask_end(arg, type == SBI_SHUTDOWN ? MACHINE_OFF : MACHINE_REBOOT, MACHINE_BY_GUEST, failure, 0);
}

static long
console_write(void *arg, const void *buf, size_t len)
{
    return (long)chardev_write(&((struct machine *)arg)->line, buf, len);
}

static long
console_read(void *arg, void *buf, size_t len)
{
    return (long)chardev_read(&((struct machine *)arg)->line, buf, len);
}

static uint64_t
counter_get(void *arg, unsigned hart, unsigned counter)
{
    return csr(cpu_of(arg, hart), CSR_MCYCLE + counter, PRIV_SET, 0, false);
}

static void
counter_set(void *arg, unsigned hart, unsigned counter, uint64_t value)
{
    csr(cpu_of(arg, hart), CSR_MCYCLE + counter, PRIV_WRITE, value, true);
}

static void
counter_run(void *arg, unsigned hart, unsigned counter, bool run)
{
    csr(cpu_of(arg, hart), CSR_MCOUNTINHIBIT, run ? PRIV_CLEAR : PRIV_SET, UINT64_C(1) << counter, true);
}

const struct sbi_ops harts_sbi_ops = {
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
