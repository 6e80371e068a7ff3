/*
 * code.c - random code that lies across pages, at three addresses of the same pages, and is changed with fence.i
 *
 * Eight pages of instructions of both sizes, so that some lie in two pages, with branches into other pages, and loads and stores
 * across them. They are run in M-mode where they are; in S-mode through Sv39 with the pages in another order, in the low and in
 * the upper half. What comes out of the registers and of the data is the same for all, but not for each round.
 */
#include "machine.h"

#define PAGES 8
#define CODE 0x80900000UL
#define SHUFFLED 0x80a00000UL /* the same pages, the last one first */
#define DATA 0x80b00000UL
#define LOW 0x40000000UL
#define HIGH 0xffffffff80000000UL

static u64 root[512] __attribute__((aligned(4096))), middle[512] __attribute__((aligned(4096))), leaf[512] __attribute__((aligned(4096)));
static u64 state = 88172645463325252, regs[13], entry;
static u64 at;

static u64
any(u64 n)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (state >> 11) % n;
}

static u32
reg(void)
{
    static const u8 some[] = {5, 6, 7, 10, 11, 12, 13, 14, 15, 28, 29, 30, 31};
    return some[any(sizeof some)];
}

static void
put2(u32 w)
{
    *(volatile u16 *)at = (u16)w;
    at += 2;
}

static void
put4(u32 w)
{
    put2(w);
    put2(w >> 16);
}

/* Anything but a jump. x18 is the data's middle, near a page's end. */
static void
plain(void)
{
    static const u32 ops[] = {0x33, 0x40000033, 0x1033, 0x5033, 0x4033, 0x6033, 0x7033, 0x02000033, 0x3b, 0x02003033, 0x3033, 0x2033};
    const u32 rd = reg(), rs1 = reg(), rs2 = reg(), off = (u32)any(4096);
    switch (any(8)) {
    case 0: /* c.addi */
        put2(1U | rd << 7 | (u32)(1 + any(31)) << 2);
        break;
    case 1: /* c.mv, c.add */
        put2(0x8002U | (any(2) ? 0x1000U : 0) | rd << 7 | rs2 << 2);
        break;
    case 2: /* addi, xori, slli */
        put4(0x13U | rd << 7 | rs1 << 15 | (any(2) ? 0x4000U | off << 20 : 0x1000U | (off & 63) << 20));
        break;
    case 3: /* loads of each size, with and without sign */
        put4(0x03U | rd << 7 | (u32)any(7) << 12 | 18U << 15 | off << 20);
        break;
    case 4: /* stores */
        put4(0x23U | (off & 31) << 7 | (u32)any(4) << 12 | 18U << 15 | rs2 << 20 | off >> 5 << 25);
        break;
    case 5: /* auipc's result tells where it is: only the difference to another */
        put4(0x17U | rd << 7);
        put4(0x17U | rs1 << 7);
        put4(0x40000033U | rd << 7 | rs1 << 15 | rd << 20);
        if (rs1 != rd) {
            put4(0x33U | rs1 << 7);
        }
        break;
    default:
        put4(ops[any(sizeof ops / sizeof *ops)] | rd << 7 | rs1 << 15 | rs2 << 20);
        break;
    }
}

/* A branch forward, over some, often beyond the page's end; one is open at a time. */
static void
branch_over(u64 n)
{
    static const u32 kinds[] = {0, 1, 4, 5, 6, 7};
    const u64 from = at;
    const u32 w = 0x63U | kinds[any(6)] << 12 | reg() << 15 | reg() << 20;
    const int jal = any(5) == 0;
    put4(0);
    for (u64 k = 0; k < n; k++) {
        plain();
    }
    const u64 end = at, d = at - from;
    at = from;
    if (jal) {
        put4(0x6fU | (u32)(d & 0x7fe) << 20 | (u32)(d >> 11 & 1) << 20 | (u32)(d >> 12 & 255) << 12);
    } else {
        put4(w | (u32)(d >> 11 & 1) << 7 | (u32)(d >> 1 & 15) << 8 | (u32)(d >> 5 & 63) << 25);
    }
    at = end;
}

static void
make(void)
{
    at = CODE;
    while (at < CODE + PAGES * 4096 - 2048) {
        if (any(6) == 0) {
            branch_over(any(8) == 0 ? any(300) : any(6));
        } else {
            plain();
        }
    }
    put4(0x00008067); /* ret */
    for (u64 k = 0; k < PAGES * 512; k++) {
        ((volatile u64 *)SHUFFLED)[(PAGES - 1 - k / 512) * 512 + k % 512] = ((volatile u64 *)CODE)[k];
    }
    __asm__ volatile("fence.i" : : : "memory");
}

static void
call(void)
{
    register u64 *r __asm__("s1") = regs;
    register u64 data __asm__("s2") = DATA + 4096 + 40;
    register u64 to __asm__("s3") = entry;
    __asm__ volatile("ld t0, 0(s1)\nld t1, 8(s1)\nld t2, 16(s1)\nld a0, 24(s1)\nld a1, 32(s1)\nld a2, 40(s1)\nld a3, 48(s1)\n"
                     "ld a4, 56(s1)\nld a5, 64(s1)\nld t3, 72(s1)\nld t4, 80(s1)\nld t5, 88(s1)\nld t6, 96(s1)\njalr ra, s3\n"
                     "sd t0, 0(s1)\nsd t1, 8(s1)\nsd t2, 16(s1)\nsd a0, 24(s1)\nsd a1, 32(s1)\nsd a2, 40(s1)\nsd a3, 48(s1)\n"
                     "sd a4, 56(s1)\nsd a5, 64(s1)\nsd t3, 72(s1)\nsd t4, 80(s1)\nsd t5, 88(s1)\nsd t6, 96(s1)"
                     : "+r"(to)
                     : "r"(r), "r"(data)
                     : "ra", "t0", "t1", "t2", "t3", "t4", "t5", "t6", "a0", "a1", "a2", "a3", "a4", "a5", "memory");
}

/* Three times, each with what the last has left; registers and data as one number. */
static u64
outcome(u64 where, int in_s)
{
    u64 sum = 0;
    for (u64 k = 0; k < 13; k++) {
        regs[k] = k * 0x9e3779b97f4a7c15;
    }
    for (u64 k = 0; k < 1536; k++) {
        ((volatile u64 *)DATA)[k] = k * 0x0123456789abcdef;
    }
    entry = where;
    for (int k = 0; k < 3; k++) {
        if (in_s) {
            run_in(1, call);
        } else {
            call();
        }
    }
    for (u64 k = 0; k < 13; k++) {
        sum = (sum ^ regs[k]) * 0x9e3779b97f4a7c15;
        sum ^= sum >> 31;
    }
    for (u64 k = 0; k < 1536; k++) {
        sum = (sum ^ ((volatile u64 *)DATA)[k]) * 0x9e3779b97f4a7c15;
        sum ^= sum >> 31;
    }
    return sum;
}

int
main(void)
{
    CSRW(pmpaddr0, ~0UL);
    CSRW(pmpcfg0, 0x1f);
    for (u64 k = 0; k < PAGES; k++) {
        leaf[k] = ((SHUFFLED >> 12) + PAGES - 1 - k) << 10 | 0xcf;
    }
    middle[0] = (u64)leaf >> 2 | 1;
    root[1] = root[510] = (u64)middle >> 2 | 1;
    root[0] = 0xcf;
    root[2] = 0x80000000UL >> 2 | 0xcf;
    for (int round = 0; round < 12; round++) {
        make();
        say_hex("M-mode", outcome(CODE, 0));
        CSRW(satp, 8UL << 60 | (u64)root >> 12);
        __asm__ volatile("sfence.vma" : : : "memory");
        say_hex("low half", outcome(LOW, 1));
        say_hex("upper half", outcome(HIGH, 1));
        CSRW(satp, 0);
        if (trapped) {
            say_trap("unexpected");
        }
    }
    return 0;
}
