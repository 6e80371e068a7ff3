/*
 * mmu.c - Sv39: what is allowed, what faults and how, A and D, SUM and MXR, sfence.vma, ASIDs
 *
 * The tables map the first 4 GiB one to one by gigapages (S-mode; devices and RAM), and at 5 GiB (TEST_VA) the pages of the tests.
 */
#include "guest.h"

u64 test_pages[8][PAGE / 8] __attribute__((aligned(PAGE)));
static u64 root[512] __attribute__((aligned(PAGE))), middle[512] __attribute__((aligned(PAGE))), leaf[512] __attribute__((aligned(PAGE)));

#define SATP_SV39 (8ul << 60)

static u64
pte(u64 physical, u64 bits)
{
    return physical >> 12 << 10 | bits;
}

void
mmu_map(unsigned i, u64 page, u64 bits)
{
    leaf[i] = pte(page, bits);
    fence_vma();
}

void
mmu_on(void)
{
    for (u64 i = 0; i < 4; i++) {
        root[i] = pte(i << 30, PTE_ALL | PTE_G);
    }
    root[TEST_VA >> 30] = pte((u64)middle, PTE_V);
    middle[0] = pte((u64)leaf, PTE_V);
    fence_vma();
    csr_write(satp, SATP_SV39 | (u64)root >> 12);
    fence_vma();
}

void
mmu_off(void)
{
    csr_write(satp, 0);
    fence_vma();
}

static u64
load(u64 va)
{
    u64 v;
    __asm__ volatile("ld %0, 0(%1)" : "=r"(v) : "r"(va) : "memory");
    return v;
}

static void
store(u64 va, u64 v)
{
    __asm__ volatile("sd %1, 0(%0)" ::"r"(va), "r"(v) : "memory");
}

#define VA(i) (TEST_VA + (i) * (u64)PAGE)
#define PA(i) ((u64)test_pages[i])
#define FAULTS(what, n, address) (TRAPS(what) == (n) && me->tval == (address))

static void
test_rights(void)
{
    mmu_map(0, PA(0), PTE_V | PTE_R | PTE_A | PTE_D);
    check(TRAPS((void)load(VA(0))) == NO_TRAP && FAULTS(store(VA(0) + 8, 1), STORE_PAGE, VA(0) + 8), "a page to read only");
    check(FAULTS((void)call_at(VA(0)), FETCH_PAGE, VA(0)) && me->epc == VA(0), "is not to execute");
    mmu_map(0, PA(0), PTE_V | PTE_X | PTE_A);
    check(FAULTS((void)load(VA(0)), LOAD_PAGE, VA(0)) && TRAPS(call_at(VA(0))) == NO_TRAP, "a page to execute only");
    csr_set(sstatus, SSTATUS_MXR);
    check(TRAPS((void)load(VA(0))) == NO_TRAP, "is to read, too, with MXR");
    csr_clear(sstatus, SSTATUS_MXR);
    check(FAULTS((void)load(VA(0)), LOAD_PAGE, VA(0)), "and no more without");
    mmu_map(0, PA(0), PTE_V | PTE_W | PTE_A | PTE_D);
    check(FAULTS((void)load(VA(0)), LOAD_PAGE, VA(0)) && FAULTS(store(VA(0), 1), STORE_PAGE, VA(0)), "write without read is reserved");
    mmu_map(0, PA(0), PTE_ALL & ~PTE_V);
    check(FAULTS((void)load(VA(0)), LOAD_PAGE, VA(0)), "an entry that is not valid");
    mmu_map(0, PA(0), PTE_ALL | PTE_U);
    check(FAULTS((void)load(VA(0)), LOAD_PAGE, VA(0)) && FAULTS((void)call_at(VA(0)), FETCH_PAGE, VA(0)), "a user's page is not ours");
    csr_set(sstatus, SSTATUS_SUM);
    check(TRAPS((void)load(VA(0))) == NO_TRAP && TRAPS(store(VA(0) + 64, 1)) == NO_TRAP, "to load and store it is, with SUM");
    fence_vma(); /* QEMU 7.2 would take the load's word for it */
    check(FAULTS((void)call_at(VA(0)), FETCH_PAGE, VA(0)), "to execute it never is");
    csr_clear(sstatus, SSTATUS_SUM);
    check(FAULTS(store(VA(0), 1), STORE_PAGE, VA(0)), "and no more without");
}

static void
test_shapes(void)
{
    const u64 outside = 0x4000000000ul; /* bit 38 says what the bits above are to be */
    check(FAULTS((void)load(outside), LOAD_PAGE, outside) && FAULTS(store(outside, 1), STORE_PAGE, outside) &&
              FAULTS((void)call_at(outside), FETCH_PAGE, outside),
          "an address that is none");
    middle[1] = pte((u64)test_pages & ~0x1ffffful, PTE_ALL);
    fence_vma();
    const u64 big = TEST_VA + (1ul << 21);
    check(TRAPS(store(big + (PA(3) & 0x1fffff), 33)) == NO_TRAP && test_pages[3][0] == 33, "a page of 2 MiB");
    middle[1] = pte(((u64)test_pages & ~0x1ffffful) + PAGE, PTE_ALL);
    fence_vma();
    check(FAULTS((void)load(big), LOAD_PAGE, big), "that is not aligned faults");
    middle[1] = pte((u64)leaf, PTE_V | PTE_A);
    fence_vma();
    check(FAULTS((void)load(big), LOAD_PAGE, big), "A in an entry that leads on is reserved");
    middle[1] = 0;
    leaf[1] = pte(PA(1), PTE_ALL) | 1ul << 60;
    fence_vma();
    check(FAULTS((void)load(VA(1)), LOAD_PAGE, VA(1)), "a bit that is reserved");
    leaf[1] = 0;
    mmu_map(0, PA(0), PTE_ALL);
    u64 cause = TRAPS((void)load(VA(1) - 4));
    check(cause == LOAD_PAGE ? me->tval == VA(1) || me->tval == VA(1) - 4 : cause == LOAD_MISALIGNED, "a load that ends in no page");
    const u64 before = test_pages[0][511];
    cause = TRAPS(store(VA(1) - 4, 0x1234567812345678));
    check((cause == STORE_PAGE || cause == STORE_MISALIGNED) && test_pages[0][511] == before, "a store that does stores nothing");
    ((uint16_t *)test_pages[0])[2047] = 0x0513; /* the first half of li a0, … */
    __asm__ volatile("fence.i");
    check(FAULTS((void)call_at(VA(1) - 2), FETCH_PAGE, VA(1)) && me->epc == VA(1) - 2, "an instruction that ends in no page");
    ((uint16_t *)test_pages[2])[0] = 0x0070;     /* … 7 */
    ((uint32_t *)test_pages[2])[1] = 0x00008067; /* ret */
    ((uint16_t *)test_pages[2])[1] = 0x0001;     /* c.nop */
    __asm__ volatile("fence.i");
    mmu_map(1, PA(2), PTE_ALL);
    check(call_at(VA(1) - 2) == 7, "one that lies in two");
}

static void
test_accessed(void)
{
    mmu_map(3, PA(3), PTE_V | PTE_R | PTE_W);
    u64 cause = TRAPS((void)load(VA(3)));
    if (cause == NO_TRAP) {
        check((leaf[3] & (PTE_A | PTE_D)) == PTE_A, "a load sets A, and not D (Svadu)");
        check(TRAPS(store(VA(3), 5)) == NO_TRAP && (leaf[3] & PTE_D) != 0, "a store sets D");
    } else {
        check(cause == LOAD_PAGE && (leaf[3] & PTE_A) == 0, "a page without A faults (Svade)");
        mmu_map(3, PA(3), PTE_V | PTE_R | PTE_W | PTE_A);
        check(TRAPS((void)load(VA(3))) == NO_TRAP && FAULTS(store(VA(3), 5), STORE_PAGE, VA(3)) && (leaf[3] & PTE_D) == 0,
              "a page without D faults at a store");
    }
}

static void
test_changes(void)
{
    test_pages[4][0] = 4;
    test_pages[5][0] = 5;
    mmu_map(4, PA(4), PTE_ALL);
    bool good = load(VA(4)) == 4;
    mmu_map(4, PA(5), PTE_ALL);
    check(good && load(VA(4)) == 5, "sfence.vma: another page");
    leaf[4] = pte(PA(4), PTE_ALL);
    __asm__ volatile("sfence.vma %0, zero" ::"r"(VA(4)) : "memory");
    check(load(VA(4)) == 4, "of one address");
    leaf[4] = pte(PA(5), PTE_ALL);
    __asm__ volatile("sfence.vma zero, %0" ::"r"(0ul) : "memory");
    check(load(VA(4)) == 5, "of one address space");
    leaf[4] = 0;
    __asm__ volatile("sfence.vma %0, %1" ::"r"(VA(4)), "r"(0ul) : "memory");
    check(FAULTS((void)load(VA(4)), LOAD_PAGE, VA(4)), "a page goes away");
    mmu_map(4, PA(4), PTE_ALL);

    /* Another address space: the same tables, but for one page. */
    static u64 root2[512] __attribute__((aligned(PAGE))), middle2[512] __attribute__((aligned(PAGE))),
        leaf2[512] __attribute__((aligned(PAGE)));
    memcpy(root2, root, sizeof root);
    root2[TEST_VA >> 30] = pte((u64)middle2, PTE_V);
    middle2[0] = pte((u64)leaf2, PTE_V);
    leaf2[4] = pte(PA(5), PTE_ALL);
    const u64 space1 = SATP_SV39 | 1ul << 44 | (u64)root >> 12, space2 = SATP_SV39 | 2ul << 44 | (u64)root2 >> 12;
    csr_write(satp, space1);
    if ((csr_read(satp) >> 44 & 0xffff) != 1) {
        skipped("address spaces with numbers", "satp holds none");
        mmu_on();
        return;
    }
    fence_vma();
    good = true;
    for (unsigned i = 0; i < 4; i++) { /* no fence: that is what the numbers are for */
        csr_write(satp, space1);
        good &= load(VA(4)) == 4;
        csr_write(satp, space2);
        good &= load(VA(4)) == 5;
    }
    check(good, "two address spaces by number");
    mmu_on();
}

static void
test_extensions_of_it(void)
{
    if (isa_has("svinval")) {
        mmu_map(4, PA(4), PTE_ALL);
        (void)load(VA(4));
        leaf[4] = pte(PA(5), PTE_ALL);
        /* sfence.w.inval; sinval.vma t0, zero; sfence.inval.ir */
        __asm__ volatile("mv t0, %0; .word 0x18000073; .word 0x16028073; .word 0x18100073" ::"r"(VA(4)) : "t0", "memory");
        check(load(VA(4)) == 5, "Svinval");
    }
    if (isa_has("svnapot")) { /* 64 KiB: sixteen entries alike; the middle of test_pages will do */
        const u64 base = PA(0) & ~0xfffful;
        for (unsigned i = 16; i < 32; i++) {
            leaf[i] = pte(base | 0x8000, PTE_ALL) | 1ul << 63;
        }
        fence_vma();
        check(load(VA(16) + (PA(4) - base) % 0x10000) == *(u64 *)(base + (PA(4) - base) % 0x10000), "Svnapot: 64 KiB");
        leaf[17] = pte(base | 0x4000, PTE_ALL) | 1ul << 63;
        fence_vma();
        check(FAULTS((void)load(VA(17)), LOAD_PAGE, VA(17)), "and no other size");
    }
    if (isa_has("svpbmt")) {
        leaf[6] = pte(PA(4), PTE_ALL) | 1ul << 61;
        leaf[7] = pte(PA(4), PTE_ALL) | 3ul << 61;
        fence_vma();
        check(TRAPS((void)load(VA(6))) == NO_TRAP && FAULTS((void)load(VA(7)), LOAD_PAGE, VA(7)), "Svpbmt: not cached, and 3 is reserved");
    }
}

void
test_mmu(void)
{
    subject("memory management");
    root[0] = pte(0, PTE_ALL); /* in either of these that is everything */
    for (u64 mode = 10; mode >= 9; mode--) {
        csr_write(satp, mode << 60 | (u64)root >> 12);
        const bool is = csr_read(satp) >> 60 == mode;
        mmu_off();
        if (is) {
            print("     there is Sv%d, too\n", mode == 10 ? 57 : 48);
        }
    }
    csr_write(satp, 15ul << 60);
    check(csr_read(satp) == 0, "a mode that is none changes nothing");
    memset(leaf, 0, sizeof leaf);
    memcpy(test_pages[0], code_ret, 8);
    __asm__ volatile("fence.i");
    mmu_map(0, PA(0), PTE_ALL);
    mmu_on();
    check(csr_read(satp) >> 60 == 8, "Sv39 is on");
    check(load(VA(0)) == test_pages[0][0] && call_at(VA(0)) == 42, "a page elsewhere, read and executed");
    store(VA(0) + 16, 99);
    check(test_pages[0][2] == 99, "and written");
    test_rights();
    test_shapes();
    test_accessed();
    test_changes();
    test_extensions_of_it();
    mmu_off();
    memset(leaf, 0, sizeof leaf);
}
