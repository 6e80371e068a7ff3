/*
 * ns16550a.c - the serial line
 *
 * Model: QEMU virt, 0x10000000, 256 bytes, PLIC source 10; National Semiconductor PC16550D data sheet, §8. Must please Linux 8250
 * (which probes it: scratch register, FIFO bits of IIR, loopback of the modem lines), OpenSBI, U-Boot, EDK2, xv6 and the BSDs.
 *
 *        read                       write                     with LCR.DLAB
 *   0    RBR  received byte         THR  byte to send         DLL  divisor
 *   1    IER  interrupts enabled    IER                       DLM
 *   2    IIR  what interrupts       FCR  FIFOs
 *   3    LCR  line control          LCR
 *   4    MCR  modem control         MCR
 *   5    LSR  line status           -
 *   6    MSR  modem status          -
 *   7    SCR  scratch               SCR
 *
 * There is no speed: a byte is sent when it is written, unless whoever shows it cannot keep up; THR is full until he can. A
 * character timeout is reported at once for what is below the FIFO's trigger.
 *
 * Threads: registers on any hart under the lock; bytes arrive on the I/O thread.
 * Trust: accesses of 1, 2 and 4 bytes are those of the first byte. The FIFO's indices are ours.
 */
#include "device/ns16550a.h"

#include "device/dt.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define UART_BYTES 0x100
#define CLOCK_HZ   3686400
#define FIFO_BYTES 16

enum { RBR, IER, IIR, LCR, MCR, LSR, MSR, SCR };
enum { IER_RDA = 1, IER_THRE = 2, IER_RLS = 4, IER_MS = 8 };
enum { IIR_NONE = 1, IIR_MS = 0, IIR_THRE = 2, IIR_RDA = 4, IIR_RLS = 6, IIR_TIMEOUT = 12, IIR_FIFOS = 0xc0 };
enum { FCR_ENABLE = 1, FCR_CLEAR_RX = 2 };
enum { LCR_DLAB = 0x80 };
enum { MCR_DTR = 1, MCR_RTS = 2, MCR_OUT1 = 4, MCR_OUT2 = 8, MCR_LOOP = 16 };
enum { LSR_DR = 1, LSR_OE = 2, LSR_BI = 16, LSR_THRE = 32, LSR_TEMT = 64 };
enum { MSR_TERI = 4, MSR_CTS = 16, MSR_DSR = 32, MSR_RI = 64, MSR_DCD = 128 };

struct uart_state {
    uint8_t fifo[FIFO_BYTES];
    uint8_t n;         /* bytes in it, the oldest first */
    uint8_t errors;    /* LSR's OE and BI, until it is read */
    uint8_t thr, full; /* a byte that could not be sent yet */
    uint8_t thr_asks;  /* THR has become empty, and IIR has not said so */
    uint8_t ier, fcr, lcr, mcr, scr, dll, dlm;
    uint8_t msr;       /* as of the last change, with what has changed since it was read */
};

static const struct field fields_[] = {
    FIELD(struct uart_state, fifo, FIFO_BYTES),
    FIELD(struct uart_state, n, 1),
    FIELD(struct uart_state, errors, 1),
    FIELD(struct uart_state, thr, 1),
    FIELD(struct uart_state, full, 1),
    FIELD(struct uart_state, thr_asks, 1),
    FIELD(struct uart_state, ier, 1),
    FIELD(struct uart_state, fcr, 1),
    FIELD(struct uart_state, lcr, 1),
    FIELD(struct uart_state, mcr, 1),
    FIELD(struct uart_state, scr, 1),
    FIELD(struct uart_state, dll, 1),
    FIELD(struct uart_state, dlm, 1),
    FIELD(struct uart_state, msr, 1),
};

struct uart {
    struct device dev;
    struct irq irq;
    struct chardev *line; /* ref */

    /* under dev.lock */
    struct uart_state s;
};

static unsigned
depth(const struct uart *u)
{
    return u->s.fcr & FCR_ENABLE ? FIFO_BYTES : 1;
}

/* What IIR says, without the bits of the FIFOs: of all that is so and enabled, what comes first (table 4 of the data sheet). */
static uint8_t
cause(const struct uart *u)
{
    static const uint8_t triggers[] = {1, 4, 8, 14};
    const struct uart_state *s = &u->s;
    if ((s->ier & IER_RLS) && s->errors != 0) {
        return IIR_RLS;
    }
    if ((s->ier & IER_RDA) && s->n > 0) {
        return s->fcr & FCR_ENABLE && s->n < triggers[s->fcr >> 6] ? IIR_TIMEOUT : IIR_RDA;
    }
    if ((s->ier & IER_THRE) && s->thr_asks) {
        return IIR_THRE;
    }
    return (s->ier & IER_MS) && (s->msr & 15) != 0 ? IIR_MS : IIR_NONE;
}

static void
tell_locked(struct uart *u)
{
    irq_set(&u->irq, cause(u) != IIR_NONE);
}

/* A byte arrives in the FIFO; what finds none free is lost, and LSR says so. */
static void
receive_locked(struct uart *u, uint8_t byte)
{
    if (u->s.n < depth(u)) {
        u->s.fifo[u->s.n++] = byte;
    } else {
        u->s.errors |= LSR_OE;
    }
}

/* Bytes that wait on the line come in as far as there is room: the line waits, unlike a real one. */
static void
fill_locked(struct uart *u)
{
    if (!(u->s.mcr & MCR_LOOP) && u->s.n < depth(u)) {
        u->s.n += (uint8_t)chardev_read(u->line, u->s.fifo + u->s.n, depth(u) - u->s.n);
    }
}

static void
send_locked(struct uart *u)
{
    if (u->s.mcr & MCR_LOOP) {
        receive_locked(u, u->s.thr);
    } else if (chardev_write(u->line, &u->s.thr, 1) == 0) {
        u->s.full = 1;
        return;
    }
    u->s.full = 0;
    u->s.thr_asks = 1;
}

static void
ready(void *arg)
{
    struct uart *u = arg;
    device_lock(&u->dev);
    if (u->s.full) {
        send_locked(u);
    }
    fill_locked(u);
    tell_locked(u);
    device_unlock(&u->dev);
}

/* A break is a null byte that LSR marks. */
static void
brk(void *arg)
{
    struct uart *u = arg;
    device_lock(&u->dev);
    receive_locked(u, 0);
    u->s.errors |= LSR_BI;
    tell_locked(u);
    device_unlock(&u->dev);
}

/* The modem's lines: always there; in loopback, our own outputs. Each change is noted, of RI the end. */
static void
modem_locked(struct uart *u)
{
    const uint8_t m = u->s.mcr;
    uint8_t now = MSR_DCD | MSR_DSR | MSR_CTS;
    if (m & MCR_LOOP) {
        now = (uint8_t)((m & MCR_RTS ? MSR_CTS : 0) | (m & MCR_DTR ? MSR_DSR : 0) | (m & MCR_OUT1 ? MSR_RI : 0) |
                        (m & MCR_OUT2 ? MSR_DCD : 0));
    }
    const uint8_t changed = (uint8_t)((now ^ u->s.msr) >> 4);
    const uint8_t teri = u->s.msr & ~now & MSR_RI ? MSR_TERI : 0;
    u->s.msr = (uint8_t)(now | (u->s.msr & 15) | (changed & ~MSR_TERI) | teri);
}

static uint8_t
lsr_locked(struct uart *u)
{
    const uint8_t v = (uint8_t)((u->s.n > 0 ? LSR_DR : 0) | u->s.errors | (u->s.full ? 0 : LSR_THRE | LSR_TEMT));
    u->s.errors = 0;
    return v;
}

static uint8_t
pop_locked(struct uart *u)
{
    const uint8_t v = u->s.fifo[0];
    if (u->s.n > 0) {
        memmove(u->s.fifo, u->s.fifo + 1, --u->s.n);
    }
    if (u->s.n == 0) {
        fill_locked(u);
    }
    return v;
}

static uint64_t
uart_read(void *dev, uint64_t off, unsigned size)
{
    (void)size;
    struct uart *u = dev;
    struct uart_state *s = &u->s;
    const bool dlab = s->lcr & LCR_DLAB;
    uint8_t v = 0;
    device_lock(&u->dev);
    switch (off) {
    case RBR:
        v = dlab ? s->dll : pop_locked(u);
        break;
    case IER:
        v = dlab ? s->dlm : s->ier;
        break;
    case IIR:
        v = cause(u);
        s->thr_asks &= v != IIR_THRE;
        v |= s->fcr & FCR_ENABLE ? IIR_FIFOS : 0;
        break;
    case LCR:
        v = s->lcr;
        break;
    case MCR:
        v = s->mcr;
        break;
    case LSR:
        v = lsr_locked(u);
        break;
    case MSR:
        v = s->msr;
        s->msr &= 0xf0;
        break;
    case SCR:
        v = s->scr;
        break;
    }
    tell_locked(u);
    device_unlock(&u->dev);
    return v;
}

static void
set_fcr_locked(struct uart *u, uint8_t v)
{
    if (((v ^ u->s.fcr) & FCR_ENABLE) || (v & FCR_CLEAR_RX)) {
        u->s.n = 0;
    }
    /* the other bits count only together with ENABLE; those that clear do not stay */
    u->s.fcr = v & FCR_ENABLE ? v & (0xc0 | FCR_ENABLE) : 0;
    fill_locked(u);
}

static void
uart_write(void *dev, uint64_t off, unsigned size, uint64_t value)
{
    (void)size;
    struct uart *u = dev;
    struct uart_state *s = &u->s;
    const uint8_t v = (uint8_t)value;
    device_lock(&u->dev);
    const bool dlab = s->lcr & LCR_DLAB;
    switch (off) {
    case RBR:
        if (dlab) {
            s->dll = v;
        } else {
            s->thr = v;
            s->thr_asks = 0;
            send_locked(u);
        }
        break;
    case IER:
        if (dlab) {
            s->dlm = v;
        } else {
            /* enabling it while THR is empty interrupts at once: drivers start to send by that */
            s->thr_asks |= (v & ~s->ier & IER_THRE) && !s->full;
            s->ier = v & 15;
        }
        break;
    case IIR:
        set_fcr_locked(u, v);
        break;
    case LCR:
        s->lcr = v;
        break;
    case MCR:
        s->mcr = v & 31;
        modem_locked(u);
        fill_locked(u);
        break;
    case SCR:
        s->scr = v;
        break;
    }
    tell_locked(u);
    device_unlock(&u->dev);
}

static void
uart_reset(struct device *d)
{
    struct uart *u = (struct uart *)d;
    device_lock(d);
    memset(&u->s, 0, sizeof u->s);
    u->s.msr = MSR_DCD | MSR_DSR | MSR_CTS;
    u->s.mcr = MCR_OUT2;
    tell_locked(u);
    device_unlock(d);
}

static int
uart_fdt(const struct device *d, void *fdt)
{
    static const char compatible[] = "ns16550a";
    int r = device_fdt_begin(d, fdt, "serial", compatible, sizeof compatible);
    r = r != 0 ? r : fdt_property_u32(fdt, "clock-frequency", CLOCK_HZ);
    return r != 0 ? r : fdt_end_node(fdt);
}

static void
uart_free(struct device *d)
{
    free(d);
}

static const struct device_type type_ = {
    .name = "ns16550a",
    DEVICE_STATE(struct uart, s, fields_),
    .reset = uart_reset,
    .fdt = uart_fdt,
    .free = uart_free,
};

static const struct io_ops ops_ = {uart_read, uart_write, 1 | 2 | 4};

struct device *
ns16550a_new(struct physmap *pm, uint64_t base, const struct irq *irq, struct chardev *line, struct err *e)
{
    struct uart *u = calloc(1, sizeof *u);
    if (u == NULL) {
        err_set(e, -ENOMEM, "ns16550a");
        return NULL;
    }
    if (physmap_add_io(pm, "ns16550a", base, UART_BYTES, &ops_, u, e) < 0) {
        free(u);
        return NULL;
    }
    device_init(&u->dev, &type_, base, UART_BYTES, irq->n);
    u->irq = *irq;
    u->line = line;
    line->ready = ready;
    line->brk = brk;
    line->front_arg = u;
    uart_reset(&u->dev);
    return &u->dev;
}
