/*
 * prompt.c - a few commands for a person at the console, who is waited for asleep
 */
#include "guest.h"

static char line[80];

/* The next key: the UART interrupts when there is one. */
static char
key(void)
{
    const struct device *uart = device_find("ns16550a", NULL);
    for (;;) {
        const int c = get_char();
        if (c >= 0) {
            return (char)c;
        }
        csr_set(sie, 1ul << IRQ_EXTERNAL);
        ((volatile uint8_t *)uart->base)[1] = 1; /* the handler takes that back */
        if (machine.plic != 0) {
            __asm__ volatile("wfi");
        }
        csr_set(sstatus, SSTATUS_SIE);
        csr_clear(sstatus, SSTATUS_SIE);
    }
}

static void
read_line(void)
{
    unsigned n = 0;
    for (;;) {
        const char c = key();
        if (c == '\r' || c == '\n') {
            print("\n");
            line[n] = '\0';
            return;
        }
        if ((c == 8 || c == 127) && n != 0) {
            n--;
            print("\b \b");
        } else if (c == 21) { /* ^U */
            for (; n != 0; n--) {
                print("\b \b");
            }
        } else if (c >= ' ' && c < 127 && n < sizeof line - 1) {
            line[n++] = c;
            put_char(c);
        }
    }
}

static const char *
number(const char *s, u64 *v)
{
    bool any = false;
    *v = 0;
    while (*s == ' ') {
        s++;
    }
    if (text_starts(s, "0x")) {
        s += 2;
    }
    for (;; s++, any = true) {
        const unsigned digit = *s >= '0' && *s <= '9' ? (unsigned)(*s - '0') : *s >= 'a' && *s <= 'f' ? (unsigned)(*s - 'a') + 10 : 99;
        if (digit == 99) {
            return any ? s : NULL;
        }
        *v = *v << 4 | digit;
    }
}

/* mem ADDRESS [LENGTH], in hex; what cannot be read is said. */
static void
show_memory(const char *s)
{
    u64 at, n = 64;
    s = number(s, &at);
    if (s == NULL) {
        print("mem ADDRESS [LENGTH], in hexadecimal\n");
        return;
    }
    (void)number(s, &n);
    at &= ~7ul;
    for (u64 end = at + (n == 0 ? 64 : n); at < end; at += 8) {
        u64 v = 0;
        if (TRAPS(__asm__ volatile("ld %0, 0(%1)" : "=r"(v) : "r"(at))) != NO_TRAP) {
            print("%lx: trap %ld\n", at, me->cause);
            return;
        }
        print("%lx: %lx\n", at, v);
    }
}

static void
show_registers(void)
{
#define SHOW(csr) print("%-12s%lx\n", #csr, csr_read(csr))
    SHOW(sstatus);
    SHOW(sie);
    SHOW(sip);
    SHOW(stvec);
    SHOW(sscratch);
    SHOW(sepc);
    SHOW(scause);
    SHOW(stval);
    SHOW(satp);
    SHOW(scounteren);
    SHOW(senvcfg);
    SHOW(time);
    SHOW(cycle);
    SHOW(instret);
    u64 sp, ra;
    __asm__ volatile("mv %0, sp; mv %1, ra" : "=r"(sp), "=r"(ra));
    print("%-12s%lx\n%-12s%lx\n%-12s%lx\n", "sp", sp, "ra", ra, "tp", (u64)me);
}

void
prompt(void)
{
    if (device_find("ns16550a", NULL) == NULL) {
        return;
    }
    if (machine.plic != 0) {
        const unsigned irq = device_find("ns16550a", NULL)->irq;
        const u64 enable = machine.plic + 0x2000 + 0x80 * (u64)machine.plic_context + irq / 32 * 4;
        io_write(machine.plic + 4 * irq, 1);
        io_write(enable, 1u << irq % 32);
    }
    print("\nThis is doppel's embedded guest: a kernel of its own, for want of yours. 'help' says what it can do.\n");
    for (;;) {
        print("> ");
        read_line();
        if (line[0] == '\0') {
            continue;
        } else if (text_is(line, "help")) {
            print("machine      what the device tree and SBI say\n"
                  "devices      what is on the bus\n"
                  "test         all tests again\n"
                  "mem A [N]    N bytes of memory at A, in hexadecimal\n"
                  "regs         some registers\n"
                  "poweroff     the end\n"
                  "reboot       the beginning\n"
                  "With a kernel of yours: doppel boot --kernel Image --initrd FILE --append TEXT\n");
        } else if (text_is(line, "machine")) {
            tree_show();
            sbi_show();
        } else if (text_is(line, "devices")) {
            devices_show();
        } else if (text_is(line, "test")) {
            run_tests();
        } else if (text_starts(line, "mem")) {
            show_memory(line + 3);
        } else if (text_is(line, "regs")) {
            show_registers();
        } else if (text_is(line, "poweroff")) {
            power(0);
        } else if (text_is(line, "reboot")) {
            power(1);
        } else {
            print("no command '%s'; try help\n", line);
        }
    }
}
