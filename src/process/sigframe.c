/*
 * sigframe.c - the frame that a signal handler returns through, and the alternate stack
 *
 * ABI: Linux riscv64, struct rt_sigframe (arch/riscv/kernel/signal.c,
 * uapi/asm/{ucontext,sigcontext,ptrace}.h), without V:
 *
 *      x2 ->    0  siginfo                     128 bytes
 *             128  uc_flags, uc_link             0, 0
 *             144  uc_stack                    sp, flags, size
 *             168  uc_sigmask                    8 of 128 bytes
 *             304  pc, x1 .. x31               (mcontext is 16-byte aligned)
 *             560  f0 .. f31, fcsr             (in a union as large as Q's 64 words)
 *            1076  0                           reserved
 *            1080  0, 0                        header of the end of the list of extensions
 *            1088
 *
 * Trust: a frame is guest memory; whatever is read from it is a register's value or a mask.
 */
#include "process/signal_impl.h"
#include "process/syscall.h"

#include <assert.h>
#include <errno.h>
#include <stddef.h>
#include <string.h>

struct frame {
    uint8_t info[128];
    uint64_t uc_flags, uc_link;
    struct guest_stack uc_stack;
    uint64_t uc_sigmask;
    uint8_t unused[120];
    uint64_t pad; /* mcontext is aligned to 16 */
    uint64_t regs[32];
    uint64_t f[32];
    uint32_t fcsr;
    uint8_t fp_unused[256];
    uint32_t reserved;
    uint32_t end_magic, end_size;
};
static_assert(sizeof(siginfo_t) == 128, "as riscv64's");
static_assert(offsetof(struct frame, regs) == 304 && offsetof(struct frame, f) == 560, "mcontext");
static_assert(offsetof(struct frame, reserved) == 1076 && sizeof(struct frame) == 1088, "frame");

/* Is sp on the alternate stack? With SS_AUTODISARM, never: it was given up when the handler
 * started. */
static bool
on_altstack(const struct guest_stack *ss, uint64_t sp)
{
    return ((uint32_t)ss->flags & GUEST_SS_AUTODISARM) == 0 && sp > ss->sp &&
           sp - ss->sp <= ss->size;
}

static int
altstack_flags(const struct guest_stack *ss, uint64_t sp)
{
    return ss->size == 0 ? SS_DISABLE : on_altstack(ss, sp) ? SS_ONSTACK : 0;
}

int64_t
sigframe_altstack(struct task *t, const struct guest_stack *ss, uint64_t sp,
                  struct guest_stack *old)
{
    struct guest_stack *cur = &t->altstack;
    if (old != NULL) {
        *old = (struct guest_stack){
            .sp = cur->sp,
            .flags =
                altstack_flags(cur, sp) | (int32_t)((uint32_t)cur->flags & GUEST_SS_AUTODISARM),
            .size = cur->size,
        };
    }
    if (ss == NULL) {
        return 0;
    }
    if (on_altstack(cur, sp)) {
        return -EPERM;
    }
    int mode = (int)((uint32_t)ss->flags & ~GUEST_SS_AUTODISARM);
    if (mode != SS_DISABLE && mode != SS_ONSTACK && mode != 0) {
        return -EINVAL;
    }
    if (mode == SS_DISABLE) {
        *cur = (struct guest_stack){.flags = ss->flags};
    } else if (ss->size < GUEST_MINSIGSTKSZ) {
        return -ENOMEM;
    } else {
        *cur = *ss;
    }
    return 0;
}

int
sigframe_push(struct task *t, const siginfo_t *info, const struct guest_sigaction *act,
              sigset64 mask)
{
    struct hart *h = &t->hart;
    uint64_t sp = h->x[2];
    if (on_altstack(&t->altstack, sp) && !on_altstack(&t->altstack, sp - sizeof(struct frame))) {
        return -EFAULT; /* the alternate stack would overflow */
    }
    if ((act->flags & SA_ONSTACK) != 0 && altstack_flags(&t->altstack, sp) == 0) {
        sp = t->altstack.sp + t->altstack.size;
    }
    gva_t at = (sp - sizeof(struct frame)) & ~UINT64_C(15);

    struct frame fr = {.uc_stack = t->altstack, .uc_sigmask = mask, .fcsr = hart_fcsr(h)};
    memcpy(fr.info, info, sizeof fr.info);
    fr.regs[0] = h->pc;
    memcpy(fr.regs + 1, h->x + 1, 31 * sizeof fr.regs[0]);
    memcpy(fr.f, h->f, sizeof fr.f);
    if (guest_write(at, &fr, sizeof fr) != 0) {
        return -EFAULT;
    }
    if (((uint32_t)t->altstack.flags & GUEST_SS_AUTODISARM) != 0) {
        t->altstack = (struct guest_stack){.flags = SS_DISABLE};
    }
    h->x[1] = t->proc->vdso_sigreturn;
    h->x[2] = at;
    h->x[10] = (uint64_t)info->si_signo;
    h->x[11] = at + offsetof(struct frame, info);
    h->x[12] = at + offsetof(struct frame, uc_flags);
    h->pc = act->handler & ~UINT64_C(1); /* as sepc */
    h->resv_size = 0;
    return 0;
}

int64_t
sys_rt_sigreturn(struct task *t, const uint64_t a[6])
{
    (void)a;
    struct hart *h = &t->hart;
    struct frame fr;
    if (guest_read(&fr, h->x[2], sizeof fr) != 0 || fr.reserved != 0 || fr.end_magic != 0 ||
        fr.end_size != 0) {
        signal_force_now(t, SIGSEGV);
        return -HOST_EJUSTRETURN;
    }
    /* From here on a signal may come: it finds the registers below, as nothing is delivered before
     * this returns. */
    const sigset64 host = fr.uc_sigmask & ~SYNC_SIGNALS;
    int64_t r =
        host_syscall_restartable(t, SYS_rt_sigprocmask, SIG_SETMASK, &host, NULL, sizeof host);
    if (r != 0) {
        return r;
    }
    signal_set_sync_mask(t, fr.uc_sigmask);
    h->pc = fr.regs[0] & ~UINT64_C(1);
    memcpy(h->x + 1, fr.regs + 1, 31 * sizeof fr.regs[0]);
    memcpy(h->f, fr.f, sizeof fr.f);
    hart_set_fcsr(h, fr.fcsr);
    h->resv_size = 0;
    sigframe_altstack(t, &fr.uc_stack, h->x[2], NULL); /* as Linux: what it refuses is ignored */
    return -HOST_EJUSTRETURN;
}
