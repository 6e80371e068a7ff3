/*
 * machine.c - see machine.h
 */
#include "machine.h"

volatile u64 trapped, last_cause, last_epc, last_tval, last_status, last_mode, resume, traps_in_s;
volatile u64 back_pc, back_sp; /* start.S, run_in() */

static void
put(char c)
{
    *(volatile u8 *)0x10000000 = (u8)c;
}

void
say(const char *s)
{
    while (*s) {
        put(*s++);
    }
}

static void
hex(u64 v)
{
    int shift = 60;
    while (shift > 0 && (v >> shift) == 0) {
        shift -= 4;
    }
    for (; shift >= 0; shift -= 4) {
        put("0123456789abcdef"[v >> shift & 15]);
    }
}

void
say_hex(const char *name, u64 v)
{
    say(name);
    say(" ");
    hex(v);
    say("\n");
}

void
say_trap(const char *name)
{
    say(name);
    if (!trapped) {
        say(": ok\n");
        return;
    }
    say(": cause ");
    hex(last_cause);
    say(" tval ");
    hex(last_tval);
    say(last_mode == 1 ? " in S\n" : "\n");
    trapped = 0;
}

static u64
behind(u64 epc)
{
    if (resume) {
        epc = resume;
        resume = 0;
        return epc;
    }
    return epc + ((*(volatile u16 *)epc & 3) == 3 ? 4 : 2);
}

static u64
note(u64 cause, u64 epc, u64 tval, u64 status, u64 mode)
{
    trapped++;
    last_cause = cause;
    last_epc = epc;
    last_tval = tval;
    last_status = status;
    last_mode = mode;
    return (cause >> 63) ? epc : behind(epc);
}

/* run_in() comes back by ecall with a7 = 77; whichever mode is asked hands it on to M. */
u64
m_trap(u64 cause, u64 epc, u64 tval, u64 status, u64 *regs)
{
    if ((cause == 8 || cause == 9) && regs[17] == 77) {
        CSRS(mstatus, 0x1800);
        regs[2] = back_sp;
        return back_pc;
    }
    return note(cause, epc, tval, status, 3);
}

u64
s_trap(u64 cause, u64 epc, u64 tval, u64 status, u64 *regs)
{
    (void)regs;
    traps_in_s++;
    return note(cause, epc, tval, status, 1);
}
