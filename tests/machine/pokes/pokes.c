/*
 * pokes.c - reads and writes of random sizes and values to every device register; bare metal, M-mode
 *
 * Devices that copy (virtio, fw_cfg) are mostly told of the scratch memory; what they do there does not matter. It ends by the finisher:
 * 0 if so many pokes were done. Built with streams/streams.lds; seed and count lie where those of the streams do.
 */
#include <stdbool.h>
#include <stdint.h>

typedef uint64_t u64;

#define SCRATCH UINT64_C(0x84000000) /* 16 MiB */

__asm__(".section .head, \"ax\"\n.option norvc\n.globl _start, seed, count\n_start: j start\n.balign 8\nseed: .dword 1\ncount: .dword 1000\n"
        ".dword 0\n.text\nstart: csrr t0, mhartid\nbeqz t0, 2f\n1: wfi\nj 1b\n2: la sp, stack_end\nla t0, trap\ncsrw mtvec, t0\ncall main\n"
        /* a trap: count it, and go on behind the instruction, which has four bytes */
        ".balign 4\ntrap: csrw mscratch, t0\ncsrr t0, mepc\naddi t0, t0, 4\ncsrw mepc, t0\ncsrr t0, mscratch\nmret\n"
        ".bss\n.balign 16\nstack: .skip 4096\nstack_end:\n.text\n");

extern volatile u64 seed, count;
int main(void);

static u64 state;

static u64
any(void)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state * UINT64_C(0x2545f4914f6cdd1d) >> 8;
}

static u64
value(void)
{
    switch (any() % 8) {
    case 0:
        return 0;
    case 1:
        return UINT64_MAX;
    case 2:
        return UINT64_C(1) << any() % 64;
    case 3:
        return any() % 16;
    case 4:
    case 5:
        return SCRATCH | (any() & 0xfffff0);
    default:
        return any();
    }
}

static void
poke(u64 at, unsigned size, bool write, u64 v)
{
    if (!write) {
        switch (size) {
        case 0:
            __asm__ volatile("lb t1, 0(%0)" ::"r"(at) : "t1", "memory");
            break;
        case 1:
            __asm__ volatile("lh t1, 0(%0)" ::"r"(at) : "t1", "memory");
            break;
        case 2:
            __asm__ volatile("lw t1, 0(%0)" ::"r"(at) : "t1", "memory");
            break;
        default:
            __asm__ volatile("ld t1, 0(%0)" ::"r"(at) : "t1", "memory");
        }
        return;
    }
    switch (size) {
    case 0:
        __asm__ volatile("sb %1, 0(%0)" ::"r"(at), "r"(v) : "memory");
        break;
    case 1:
        __asm__ volatile("sh %1, 0(%0)" ::"r"(at), "r"(v) : "memory");
        break;
    case 2:
        __asm__ volatile("sw %1, 0(%0)" ::"r"(at), "r"(v) : "memory");
        break;
    default:
        __asm__ volatile("sd %1, 0(%0)" ::"r"(at), "r"(v) : "memory");
    }
}

/* A virtio device is worth more than random bits: as a driver would, now and then, with a ring of random words. */
static void
start_virtio(u64 base)
{
    const u64 ring = SCRATCH + (any() & 0xff0000);
    const uint32_t queue = (uint32_t)(any() % (any() % 2 ? 3 : 12));
    for (unsigned i = 0; i < 64; i++) {
        *(volatile u64 *)(ring + 8 * (any() % 512)) = value();
    }
    for (unsigned i = 0; i < 8; i++) { /* descriptors that are likelier */
        volatile uint32_t *d = (volatile uint32_t *)(ring + 16 * i);
        d[0] = (uint32_t)(SCRATCH + (any() & 0xfffff0));
        d[1] = 0;
        d[2] = (uint32_t)(any() % 3 == 0 ? any() : any() % 2048);
        d[3] = (uint32_t)(any() % 8 | (any() % 9) << 16);
    }
    *(volatile uint32_t *)(ring + 0x1000) = (uint32_t)(any() % 4 | (any() % 20) << 16); /* avail: flags, index */
    const uint32_t steps[][2] = {
        { 0x70, 0 }, { 0x70, 3 }, { 0x24, 1 }, { 0x20, 1 }, { 0x24, 0 }, { 0x20, (uint32_t)(any() % 2 ? 0 : value()) }, { 0x70, 11 },
        { 0x30, queue }, { 0x38, (uint32_t)(UINT32_C(1) << any() % 10) }, { 0x80, (uint32_t)ring }, { 0x84, 0 },
        { 0x90, (uint32_t)ring + 0x1000 }, { 0x94, 0 }, { 0xa0, (uint32_t)ring + 0x2000 }, { 0xa4, 0 }, { 0x44, 1 }, { 0x70, 15 },
        { 0x50, any() % 4 != 0 ? queue : (uint32_t)(any() % 12) },
    };
    for (unsigned i = 0; i < sizeof steps / sizeof *steps; i++) {
        if (any() % 16 != 0) {
            poke(base + steps[i][0], 2, true, steps[i][1]);
        }
    }
}

int
main(void)
{
    static const struct {
        u64 base, bytes;
    } devices[] = {
        { 0x100000, 0x1000 },    { 0x101000, 0x1000 },    { 0x2000000, 0x10000 },  { 0xc000000, 0x3000 },
        { 0xc200000, 0x5000 },   { 0xc000000, 0x600000 }, { 0x10000000, 0x10 },    { 0x10001000, 0x200 },
        { 0x10006000, 0x200 },   { 0x10007000, 0x200 },   { 0x10008000, 0x200 },   { 0x10100000, 0x20 },
        { 0x20000000, 0x1000 },  { 0x21fff000, 0x4000 },  { 0x22000000, 0x40000 }, { 0, 0x20000000 },
    };
    state = seed * UINT64_C(0x9e3779b97f4a7c15) | 1;
    for (u64 i = 0; i < count; i++) {
        const unsigned d = (unsigned)(any() % (sizeof devices / sizeof *devices)), size = (unsigned)(any() % 4);
        const u64 at = devices[d].base + (any() % devices[d].bytes & (any() % 8 == 0 ? ~UINT64_C(0) : ~((UINT64_C(1) << size) - 1)));
        u64 v = value();
        if (at - 0x100000 < 0x1000) { /* not the end yet */
            v &= ~UINT64_C(0x7777);
        }
        if (any() % 64 == 0) {
            start_virtio(0x10001000 + any() % 8 * 0x1000);
        } else {
            poke(at, size, any() % 3 != 0, v);
        }
    }
    *(volatile uint32_t *)0x100000 = 0x5555;
    for (;;) {
    }
}
