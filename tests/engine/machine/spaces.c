/*
 * spaces.c - the same address in two address spaces, and after fences: S-mode code that jumps there finds what the tables say
 *
 * Pages that hold "li a0, N; ret" are mapped in turn at one address of a space's own, one that is global, and one in a global page of
 * 2 MiB; the caller lies in global pages, and changes satp itself. Often enough that code is translated.
 */
#include "machine.h"

#define OWN 0x40000000UL
#define SHARED 0x40001000UL
#define LARGE 0x40200000UL
#define PIECE(n) (0x80900000UL + 4096 * (n))
#define BIG(n) (0x80a00000UL + 0x200000UL * (n))

#define RX 0x4b /* A X R V */
#define GLOBAL 0x20

static u64 root[2][512] __attribute__((aligned(4096))), middle[2][512] __attribute__((aligned(4096)));
static u64 leaf[2][512] __attribute__((aligned(4096)));
static u64 sums[2][3];

static void
make(u64 at, u32 n)
{
    ((volatile u32 *)at)[0] = 0x513 | n << 20; /* li a0, n */
    ((volatile u32 *)at)[1] = 0x8067;
}

static u64
satp(u64 k)
{
    return 8UL << 60 | (k + 1) << 44 | (u64)root[k] >> 12;
}

static void
call(void)
{
    for (int turn = 0; turn < 200; turn++) {
        for (u64 k = 0; k < 2; k++) {
            CSRW(satp, satp(k));
            sums[k][0] += ((u64(*)(void))OWN)();
            sums[k][1] += ((u64(*)(void))SHARED)();
            sums[k][2] += ((u64(*)(void))LARGE)();
        }
    }
}

static void
tell(const char *what)
{
    run_in(1, call);
    CSRW(satp, 0);
    say(what);
    say("\n");
    for (u64 k = 0; k < 2; k++) {
        say_hex(" own", sums[k][0]);
        say_hex(" shared", sums[k][1]);
        say_hex(" large", sums[k][2]);
        sums[k][0] = sums[k][1] = sums[k][2] = 0;
    }
    if (trapped) {
        say_trap("unexpected");
    }
}

static void
map(u64 own0, u64 own1, u64 shared, u64 large)
{
    leaf[0][0] = own0 >> 2 | RX;
    leaf[1][0] = own1 >> 2 | RX;
    for (u64 k = 0; k < 2; k++) {
        leaf[k][1] = shared >> 2 | RX | GLOBAL;
        middle[k][1] = large >> 2 | RX | GLOBAL;
    }
}

int
main(void)
{
    CSRW(pmpaddr0, ~0UL);
    CSRW(pmpcfg0, 0x1f);
    for (u64 k = 0; k < 2; k++) {
        middle[k][0] = (u64)leaf[k] >> 2 | 1;
        root[k][0] = 0xcf | GLOBAL;
        root[k][1] = (u64)middle[k] >> 2 | 1;
        root[k][2] = 0x80000000UL >> 2 | 0xcf | GLOBAL;
        make(BIG(k), 50 + (u32)k);
    }
    for (u32 n = 0; n < 8; n++) {
        make(PIECE(n), n + 1);
    }
    __asm__ volatile("fence.i\nsfence.vma" : : : "memory");
    map(PIECE(0), PIECE(1), PIECE(2), BIG(0));
    tell("as they are");
    map(PIECE(3), PIECE(4), PIECE(5), BIG(1));
    __asm__ volatile("sfence.vma" : : : "memory");
    tell("all other");
    map(PIECE(3), PIECE(4), PIECE(6), BIG(1));
    __asm__ volatile("sfence.vma %0" : : "r"(SHARED) : "memory");
    tell("one page");
    map(PIECE(3), PIECE(4), PIECE(6), BIG(0));
    __asm__ volatile("sfence.vma %0" : : "r"(LARGE + 0x5000) : "memory");
    tell("a large page, by another address of it");
    map(PIECE(0), PIECE(4), PIECE(6), BIG(0));
    __asm__ volatile("sfence.vma x0, %0" : : "r"(1UL) : "memory");
    tell("one space");
    map(PIECE(0), PIECE(1), PIECE(6), BIG(0));
    __asm__ volatile("sfence.vma %0, %1" : : "r"(OWN), "r"(2UL) : "memory");
    tell("one page of one space");
    make(PIECE(6), 99);
    make(BIG(0), 77);
    make(PIECE(1), 33);
    __asm__ volatile("fence.i" : : : "memory");
    tell("other code");
    return 0;
}
