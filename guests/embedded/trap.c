/*
 * trap.c - what every trap comes to
 */
#include "guest.h"

static _Noreturn void
unexpected(const struct frame *f)
{
    print("\nFAILED: unexpected trap on hart %ld: scause %lx sepc %lx stval %lx sstatus %lx\n", me->id, f->scause, f->sepc, f->stval,
          f->sstatus);
    for (unsigned i = 1; i < 32; i++) {
        print("x%d %lx%c", i, f->x[i], i % 4 == 3 ? '\n' : ' ');
    }
    n_failed++;
    power(0);
}

static void
interrupt(u64 number)
{
    switch (number) {
    case IRQ_SOFT:
        me->soft++;
        csr_clear(sip, 1ul << IRQ_SOFT);
        break;
    case IRQ_TIMER: /* until its test has seen it and asks for another */
        me->timer++;
        csr_clear(sie, 1ul << IRQ_TIMER);
        break;
    case IRQ_EXTERNAL:
        me->external++;
        plic_claimed();
        break;
    default:
        print("FAILED: interrupt %ld, which nobody asked for\n", number);
        n_failed++;
        csr_clear(sie, 1ul << number);
    }
}

void
trap(struct frame *f)
{
    if ((long)f->scause < 0) {
        interrupt(f->scause << 1 >> 1);
        return;
    }
    me->cause = f->scause;
    me->epc = f->sepc;
    me->tval = f->stval;
    if ((f->sstatus & SSTATUS_SPP) == 0) { /* U-mode: run_user() returns */
        me->user_a0 = f->x[10];
        f->x[2] = me->ksp;
        f->x[4] = (u64)me;
        f->sepc = (u64)user_back;
        f->sstatus = (f->sstatus | SSTATUS_SPP) & ~SSTATUS_SPIE;
    } else if (!me->expect) {
        unexpected(f);
    } else if (me->resume != 0) {
        f->sepc = me->resume;
    } else {
        f->sepc += (*(const uint16_t *)f->sepc & 3) == 3 ? 4 : 2;
    }
}
