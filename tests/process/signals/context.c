/* context.c - the ucontext: layout, registers, floating point; a handler changes them all */
/* riscv only */
/* every engine */
#include "../abi.h"

#include <fenv.h>
#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <ucontext.h>

static volatile int seen;
static uint64_t handler_sp, handler_ra;

_Static_assert(offsetof(ucontext_t, uc_mcontext) == 176 && sizeof(mcontext_t) == 784, "as the kernel's");

/* Skips a faulting 4-byte instruction; each of its registers gets something recognisable. */
static void
on_segv(int sig, siginfo_t *si, void *ucv)
{
    ucontext_t *uc = ucv;
    CHECK(sig == SIGSEGV && (long)si->si_addr == 8);
    for (int i = 5; i <= 7; i++) { /* t0..t2 */
        EQUAL(uc->uc_mcontext.__gregs[i], 0x100 + i);
        uc->uc_mcontext.__gregs[i] = 0x200 + (unsigned)i;
    }
    for (int i = 0; i < 32; i++) {
        if (i != 10) {
            continue;
        }
        double d;
        memcpy(&d, &uc->uc_mcontext.__fpregs.__d.__f[i], 8);
        CHECK(d == 2.5);
        d = -7.25;
        memcpy(&uc->uc_mcontext.__fpregs.__d.__f[i], &d, 8);
    }
    CHECK((uc->uc_mcontext.__fpregs.__d.__fcsr & 31) == 0x1); /* NX, raised before */
    uc->uc_mcontext.__fpregs.__d.__fcsr = 0x10 | 2 << 5;      /* NV, round down */
    const uint32_t *res = (const uint32_t *)((char *)&uc->uc_mcontext.__fpregs + 516);
    CHECK(res[0] == 0 && res[1] == 0 && res[2] == 0);
    CHECK(uc->__uc_flags == 0 && uc->uc_link == NULL);
    CHECK((uintptr_t)uc - (uintptr_t)si == 128 && (uintptr_t)si % 16 == 0);
    uc->uc_mcontext.__gregs[0] += 4;
    feclearexcept(FE_ALL_EXCEPT);
    volatile double one = 1, zero = 0;
    volatile double inf = one / zero; /* DZ: this handler's affair */
    (void)inf;
    seen++;
}

__asm__(".globl naked_handler\n"
        "naked_handler:\n"
        " la t0, handler_sp_p\n ld t0, 0(t0)\n sd sp, 0(t0)\n"
        " la t0, handler_ra_p\n ld t0, 0(t0)\n sd ra, 0(t0)\n"
        " ret\n");
void naked_handler(int, siginfo_t *, void *);
uint64_t *handler_sp_p = &handler_sp, *handler_ra_p = &handler_ra;

static void
bad_frame(void)
{
    __asm__ volatile("li sp, 64\n li a7, 139\n ecall" : : : "a7", "memory");
}

static void
on_bad(int sig, siginfo_t *si, void *uc)
{
    (void)uc;
    _exit(sig == SIGSEGV && si->si_code == SI_KERNEL && si->si_addr == NULL ? 77 : 1);
}

static void
bad_frame_caught(void)
{
    static char alt[1 << 14];
    stack_t ss = {.ss_sp = alt, .ss_size = sizeof alt};
    sigaltstack(&ss, NULL);
    handle(SIGSEGV, on_bad, SA_ONSTACK);
    bad_frame();
}

static void
no_room(void)
{
    handle(SIGUSR1, on_bad, 0);
    __asm__ volatile("mv a0, %0\n mv a1, %1\n li a2, 10\n li sp, 64\n li a7, 131\n ecall"
                     : : "r"((long)getpid()), "r"((long)getpid()) : "a0", "a1", "a2", "a7", "memory");
}

static void
reserved_not_zero(int sig, siginfo_t *si, void *ucv)
{
    (void)sig, (void)si;
    ((uint32_t *)((char *)&((ucontext_t *)ucv)->uc_mcontext.__fpregs + 516))[1] = 5;
}

static void
bad_reserved(void)
{
    handle(SIGUSR1, reserved_not_zero, 0);
    raise(SIGUSR1);
}

int
main(void)
{
    handle(SIGSEGV, on_segv, 0);
    for (int i = 0; i < 1000; i++) {
        uint64_t t0, t1, t2, flags;
        double f;
        __asm__ volatile("li t0, 0x105\n li t1, 0x106\n li t2, 0x107\n"
                         "fsflags x0\n li t3, 3\n fcvt.d.l ft0, t3\n li t3, 1\n fcvt.d.l ft1, t3\n"
                         "fdiv.d ft2, ft1, ft0\n" /* inexact */
                         "fmv.d fa0, %5\n"
                         ".option push\n .option norvc\n lw zero, 8(zero)\n .option pop\n"
                         "mv %0, t0\n mv %1, t1\n mv %2, t2\n fmv.d %3, fa0\n frcsr %4\n"
                         : "=&r"(t0), "=&r"(t1), "=&r"(t2), "=&f"(f), "=&r"(flags)
                         : "f"(2.5)
                         : "t0", "t1", "t2", "t3", "ft0", "ft1", "ft2", "fa0", "memory");
        CHECK(t0 == 0x205 && t1 == 0x206 && t2 == 0x207);
        CHECK(f == -7.25);
        EQUAL(flags, 0x10 | 2 << 5);
        fesetround(FE_TONEAREST);
        feclearexcept(FE_ALL_EXCEPT);
    }
    EQUAL(seen, 1000);
    handle(SIGUSR1, naked_handler, 0);
    raise(SIGUSR1);
    CHECK(handler_sp % 16 == 0 && handler_ra % 4 == 0);
    CHECK(memcmp((void *)handler_ra, "\x93\x08\xb0\x08\x73\x00\x00\x00", 8) == 0); /* li a7, 139; ecall */

    signal(SIGSEGV, SIG_DFL);
    int st = status_of(bad_frame);
    CHECK(WIFSIGNALED(st) && WTERMSIG(st) == SIGSEGV);
    st = status_of(bad_frame_caught);
    CHECK(WIFEXITED(st) && WEXITSTATUS(st) == 77);
    st = status_of(no_room);
    CHECK(WIFSIGNALED(st) && WTERMSIG(st) == SIGSEGV);
    st = status_of(bad_reserved);
    CHECK(WIFSIGNALED(st) && WTERMSIG(st) == SIGSEGV);
    return 0;
}
