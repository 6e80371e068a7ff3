/*
 * streams.c - random streams of CSR accesses, traps and memory accesses through random page tables, in all modes; bare metal
 *
 * Each round makes page tables, delegations, memory protection and a stream from its number, runs it in M, S or U, and prints a
 * signature of every trap that it met, of registers, CSRs, memory and page tables at its end. Two machines that implement the
 * architecture print the same. Where the architecture leaves a choice, the stream does not go, or does not look:
 *
 *   cycle, time, instret, hpm*, mcycle, …     counters differ (Privileged §3.1.10)
 *   mvendorid, marchid, mimpid, misa          any legal value (§3.1.1 … 3.1.4)
 *   mstatus.MPP = 2, satp modes but 0 and 8   WARL: any legal value (§3.1.6, "satp")
 *   bits of mcounteren beyond 2, of medeleg   WARL (§3.1.8, §3.1.11)
 *   beyond those of the exceptions
 *   odd values of mepc, sepc                  bit 0 is zero (§3.1.14): QEMU up to 7.2 keeps it
 *   stval, mtval of an illegal instruction    its bits, or 0 (§3.1.16)
 *   the last bits of an access fault's        that of a part of a misaligned access (§3.1.16)
 *   MPRV after an mret or sret to S or U       is off (§3.1.6.3): QEMU up to 7.2 leaves it
 *   more than one interrupt                   external, software, timer (§3.1.9): QEMU's order is that of the numbers
 *   misaligned AMOs; loads and stores that    access fault or misaligned (§3.6.4); stval is that of a part (§3.1.16)
 *   cross a page
 *   mtval of an ebreak                        its address, or 0 (§3.1.16)
 *   an AMO's fault as a load's                it is a store's (§3.1.15): QEMU up to 7.2 has either
 *   sc without an lr just before that did     may fail; if it fails may trap (Unprivileged, "Zalrsc")
 *   not trap
 *   wfi                                       may be a nop, or last (§3.3.3)
 *   A and D of what the PMP then forbids      A may be set by what does not happen ("Addressing and Memory Protection")
 *   FS after an instruction that is illegal   may be dirty though nothing changed (§3.1.6.6)
 *   for its rounding mode
 *   senvcfg in S                              Smstateen may be there, and closed (§"Smstateen")
 *   page tables that change under the stream  until sfence.vma either is right ("sfence.vma")
 *
 * Memory:  0x80000000 this   0x80300000 the stream   0x80400000 arena   0x80700000 page tables
 * Virtual, Sv39:  5 GiB: 4 KiB pages, from + 2 MiB to + 6 MiB large ones;  2 GiB up: as physical;  3 GiB up: the same, S-mode only
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef uint64_t u64;
typedef uint32_t u32;

#define CODE UINT64_C(0x80300000)
#define CODE_WORDS 256
#define ARENA UINT64_C(0x80400000)
#define ARENA_BYTES 0x20000u
#define TABLES UINT64_C(0x80700000)
#define S_HANDLER UINT64_C(0xc0380000) /* a page of zeroes: illegal instructions */
#define VIRTUAL UINT64_C(0x140000000) /* nothing is there on the bus: an access without translation faults */
#define TRAPS_MAX 120

extern volatile u64 seed, rounds, shown;
void run(u64 mstatus, u64 pc);
int on_trap(void);
int main(void);

struct {
    u64 x[32], mstatus, pc, sp;
} save __attribute__((aligned(16)));
_Static_assert(offsetof(__typeof__(save), mstatus) == 256 && offsetof(__typeof__(save), sp) == 272, "start.S");

#define csr_read(csr)                                                                                                        \
    ({                                                                                                                       \
        u64 v_;                                                                                                              \
        __asm__ volatile("csrr %0, " #csr : "=r"(v_)::"memory");                                                             \
        v_;                                                                                                                  \
    })
#define csr_write(csr, v) __asm__ volatile("csrw " #csr ", %0" ::"r"((u64)(v)) : "memory")
#define csr_clear(csr, v) __asm__ volatile("csrc " #csr ", %0" ::"r"((u64)(v)) : "memory")

/* output */

static bool showing;

static void
put(const char *s)
{
    for (; *s != '\0'; s++) {
        volatile uint8_t *uart = (volatile uint8_t *)0x10000000;
        while ((uart[5] & 0x20) == 0) {
        }
        uart[0] = (uint8_t)*s;
    }
}

static void
put_hex(u64 v)
{
    char digits[18], *p = digits + 17;
    *p = '\0';
    do {
        *--p = "0123456789abcdef"[v & 15];
        v >>= 4;
    } while (v != 0);
    put(p);
}

static void
show(const char *name, u64 v)
{
    if (showing) {
        put(" ");
        put(name);
        put("=");
        put_hex(v);
    }
}

static u64 signature;

static void
sign(const char *name, u64 v)
{
    signature = (signature ^ v) * UINT64_C(0x9e3779b97f4a7c15);
    signature ^= signature >> 29;
    if (name != NULL) {
        show(name, v);
    }
}

/* chance */

static u64 state;

static u64
any(void)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state * UINT64_C(0x2545f4914f6cdd1d) >> 16;
}

static u64
below(u64 n)
{
    return any() % n;
}

static bool
often(unsigned percent)
{
    return below(100) < percent;
}

/* page tables */

static u64 *const root = (u64 *)TABLES, *const middle = (u64 *)(TABLES + 4096), *const leaves = (u64 *)(TABLES + 8192);
enum { V = 1, R = 2, W = 4, X = 8, U = 16, G = 32, A = 64, D = 128 };

static u64
pte(u64 physical, u64 bits)
{
    return physical >> 12 << 10 | bits;
}

static u64
any_bits(void)
{
    static const uint8_t likely[] = { V | R | W | A | D, V | R | W, V | R | A, V | R | W | U | A | D, V | R | U, V | R | W | X | U,
                                      V | X | A, V | R | X | U | A, V | R | W | A, V | R | W | U | A };
    return often(85) ? likely[below(sizeof likely)] | (often(10) ? (u64)G : 0) : below(256);
}

static void
make_tables(bool user, u64 set)
{
    for (unsigned i = 0; i < 3 * 512; i++) {
        root[i] = 0;
    }
    root[VIRTUAL >> 30] = pte((u64)middle, V);
    root[2] = pte(UINT64_C(0x80000000), V | R | X | A | D | (user ? U : 0u));
    root[3] = pte(UINT64_C(0x80000000), V | X | A);
    middle[0] = pte((u64)leaves, V);
    for (unsigned i = 0; i < 64; i++) {
        leaves[i] = pte(ARENA + 4096 * below(ARENA_BYTES / 4096), any_bits() | set);
        if (often(3)) {
            leaves[i] |= UINT64_C(1) << (54 + below(7)); /* reserved */
        }
    }
    for (unsigned i = 1; i < 4; i++) {
        middle[i] = pte(ARENA + (often(15) ? 4096 * below(512) : 0), any_bits() | set);
    }
    root[4] = pte(ARENA, any_bits()); /* a gigapage that is not aligned, or a table of any words */
    __asm__ volatile("sfence.vma" ::: "memory");
}

/* the stream: x5 … x9 addresses, x10 … x14 values, x15 … x17 bits of mstatus, x18 … x24 and x28 … x31 results */

static u32 *const code = (u32 *)CODE;
static unsigned n_code;
static unsigned irq; /* the one interrupt of this round */

static void
emit(u32 w)
{
    if (n_code < CODE_WORDS - 8) {
        code[n_code++] = w;
    }
}

static u32
result(void)
{
    static const uint8_t regs[] = { 0, 18, 19, 20, 21, 22, 23, 24, 28, 29, 30, 31 };
    return regs[below(sizeof regs)];
}

static u32
address(void)
{
    return 5 + (u32)below(5);
}

static u32
value(void)
{
    return 10 + (u32)below(5);
}

static void
emit_i(u32 opcode, u32 f3, u32 rd, u32 rs1, u32 imm)
{
    emit(imm << 20 | rs1 << 15 | f3 << 12 | rd << 7 | opcode);
}

static void
emit_r(u32 opcode, u32 f3, u32 f7, u32 rd, u32 rs1, u32 rs2)
{
    emit(f7 << 25 | rs2 << 20 | rs1 << 15 | f3 << 12 | rd << 7 | opcode);
}

enum { MSTATUS = 0x300, SSTATUS = 0x100, SEPC = 0x141, MEPC = 0x341 };

static void
make_csr(void)
{
    /* Whatever value: all of these hold it, or as much of it as everybody does. */
    static const uint16_t values[] = { 0x140, 0x141, 0x142, 0x143, 0x340, 0x341, 0x342, 0x343, 0x001, 0x002, 0x003 };
    /* Not there, not ours, or a counter, whose value goes nowhere. */
    static const uint16_t others[] = { 0xc00, 0xc01, 0xc02, 0x5c0, 0x7c0, 0x9ff, 0x004, 0x240, 0x600, 0xf14, 0x105, 0x302,
                                       0x303, 0x3b0, 0x180, 0x344, 0x304, 0x104, 0x144, 0x106, 0x306 };
    const u32 rd = result();
    switch (below(6)) {
    case 0:
    case 1: {
        const u32 csr = values[below(sizeof values / 2)];
        const bool chosen = (csr & 0xff) == 0x42 || (csr & 0xff) == 0x43; /* cause and value: see sign_cause() */
        emit_i(0x73, 1 + (u32)below(3), chosen ? 0 : rd, value(), csr);
        break;
    }
    case 2:
        emit_i(0x73, 2 + (u32)below(2), rd, 15 + (u32)below(3), often(50) ? MSTATUS : SSTATUS);
        break;
    case 3: {
        const u32 csr = others[below(sizeof others / 2)];
        const bool counts = csr >= 0xc00 && csr < 0xc03;
        const bool choice = csr == 0x302 || csr == 0x303 || csr == 0x3b0 || csr == 0x344 || csr == 0x144;
        emit_i(0x73, 2, counts || choice ? 0 : rd, 0, csr);
        break;
    }
    case 4: { /* small values: the supervisor's interrupts, enabled and pending; counters that may be read */
        static const uint16_t small[] = { 0x304, 0x104, 0x344, 0x144, 0x106, 0x306 };
        const u32 csr = small[below(6)];
        emit_i(0x13, 0, 31, 0, csr == 0x106 || csr == 0x306 ? (u32)below(8) : (u32)(below(2) << irq));
        emit_i(0x73, 2 + (u32)below(2), csr == 0x344 || csr == 0x144 ? 0 : rd, 31, csr);
        break;
    }
    default: /* written, though it is not there, or read only */
        emit_i(0x73, 1, rd, value(), often(50) ? 0xf14 : 0x5c0);
    }
}

static void
make_memory(void)
{
    const u32 size = (u32)below(4), at = address();
    /* Addresses are multiples of 64: an offset below 56 stays in the page. */
    const u32 off = often(70) ? (u32)below(7) * 8 : (u32)below(48);
    switch (below(5)) {
    case 0:
    case 1:
        emit_i(0x03, often(50) ? size : size % 3 + 4, result(), at, off);
        break;
    case 2:
    case 3: {
        const u32 rs2 = often(50) ? value() : 18 + (u32)below(7);
        emit((off >> 5) << 25 | rs2 << 20 | at << 15 | size << 12 | (off & 31) << 7 | 0x23);
        break;
    }
    default: {
        static const uint8_t f5[] = { 0, 1, 4, 8, 12, 16, 20, 24, 28 };
        const u32 f3 = 2 + (u32)below(2);
        if (often(70)) {
            emit_r(0x2f, f3, (u32)f5[below(9)] << 2, result(), at, value());
        } else {
            emit_r(0x2f, f3, 2 << 2, 30, at, 0);
            emit_r(0x2f, f3, 3 << 2, result(), at, value());
        }
    }
    }
}

/* mret or sret, to the instruction behind. */
static void
make_return(void)
{
    const bool s = often(60);
    emit(0x00000f97);            /* auipc t6, 0 */
    emit_i(0x13, 0, 31, 31, 16); /* addi t6, t6, 16 */
    emit_i(0x73, 1, 0, 31, s ? SEPC : MEPC);
    emit(s ? 0x10200073 : 0x30200073);
}

static void
make_stream(bool returns)
{
    static const u32 odd[] = { 0x00000073, 0x00100073, 0x12000073, 0x0000000f, 0x0000100f, 0xffffffff, 0x0000007f, 0x02a50533 };
    n_code = 0;
    irq = 1 + 4 * (unsigned)below(3);
    for (unsigned i = 0; i < 60; i++) {
        emit(0x00000d97); /* auipc s11, 0 */
        switch (below(12)) {
        case 0:
        case 1:
        case 2:
        case 3:
            make_csr();
            break;
        case 4:
        case 5:
        case 6:
        case 7:
        case 8:
            make_memory();
            break;
        case 9:
            emit(odd[below(8)]);
            break;
        case 10:
            if (returns) {
                make_return();
            }
            break;
        default:
            if (often(50)) {
                emit_r(0x73, 0, 9, 0, often(50) ? address() : 0, often(30) ? value() : 0); /* sfence.vma */
            } else {
                emit_r(0x53, 0, 1, 1, 2, 3);          /* fadd.d ft1, ft2, ft3, rne */
                emit_r(0x53, 0, 0x79, 2, value(), 0); /* fmv.d.x ft2, … */
            }
        }
    }
    while (n_code < CODE_WORDS) {
        code[n_code++] = 0x0000000b; /* an instruction that nobody has: the end */
    }
    __asm__ volatile("fence.i" ::: "memory");
}

/* the traps */

static unsigned n_traps;

#define MPP UINT64_C(0x1800)
#define SIE UINT64_C(2)
#define SPIE UINT64_C(0x20)
#define SPP UINT64_C(0x100)
#define MPRV UINT64_C(0x20000)
#define INTERRUPT (UINT64_C(1) << 63)

static void
quiet(u64 cause)
{
    csr_clear(mie, UINT64_C(1) << (cause & 63));
    csr_clear(mip, UINT64_C(1) << (cause & 63));
}

static bool
in_stream(u64 pc)
{
    return pc >= CODE && pc < CODE + 4 * CODE_WORDS && pc % 4 == 0;
}

/* What to go on with after an exception: behind the instruction; behind an lr that is behind its sc. */
static u64
behind(u64 pc)
{
    const bool is_lr = in_stream(pc) && (code[(pc - CODE) / 4] & 0xf800007f) == 0x1000002f;
    return pc + (is_lr ? 8 : 4);
}

/* The cause, an AMO's as a store's; and the value, if there is no choice of values. */
static void
sign_cause(const char *name, u64 cause, u64 pc, const char *value_name, u64 tval)
{
    const u32 w = in_stream(pc) ? code[(pc - CODE) / 4] : 0;
    const bool is_amo = (w & 0x7f) == 0x2f && (w >> 27) != 2;
    sign(name, is_amo && (cause == 5 || cause == 13) ? cause + 2 : cause);
    sign(value_name, cause == 2 || cause == 3 ? 0 : cause == 5 || cause == 7 ? tval & ~UINT64_C(63) : tval);
}

int
on_trap(void)
{
    const u64 cause = csr_read(mcause), pc = csr_read(mepc);
    if (showing) {
        put("\n");
    }
    sign("mepc", pc);
    sign_cause("mcause", cause, pc, "mtval", csr_read(mtval));
    sign("mstatus", save.mstatus);
    if (++n_traps == TRAPS_MAX) {
        return 1;
    }
    if ((cause & INTERRUPT) != 0) {
        quiet(cause);
        save.pc = pc;
    } else if (pc - S_HANDLER < 4096) {
        /* A trap that was delegated: the handler's first instruction cannot be executed. Return from it, for S-mode. */
        const u64 scause = csr_read(scause), sepc = csr_read(sepc);
        sign("sepc", sepc);
        sign_cause("scause", scause, sepc, "stval", csr_read(stval));
        if ((scause & INTERRUPT) != 0) {
            quiet(scause);
        }
        save.pc = (scause & INTERRUPT) != 0 ? sepc : behind(sepc);
        const u64 to = (save.mstatus & SPP) != 0 ? UINT64_C(0x800) : 0;
        save.mstatus = (save.mstatus & ~(MPP | SIE | SPP)) | to | (save.mstatus >> 4 & SIE) | SPIE;
    } else if (in_stream(pc) && (cause == 1 || cause == 12 || code[(pc - CODE) / 4] == 0x0000000b)) {
        return 1; /* the end, or the mode has become one that may not go on */
    } else {
        save.pc = behind(pc);
    }
    if (!in_stream(save.pc)) {
        save.pc = behind(save.x[27] + 4);
        if (!in_stream(save.pc)) {
            return 1;
        }
    }
    for (unsigned i = 18; i < 32; i++) {
        if (i < 25 || i > 27) {
            sign(NULL, save.x[i]);
        }
    }
    return 0;
}

static void
setup(u64 mode, bool mprv, u64 *mstatus)
{
    static const u64 places[] = { VIRTUAL, VIRTUAL, VIRTUAL, VIRTUAL, VIRTUAL + 0x200000, VIRTUAL + 0x400000, VIRTUAL + 0x600000,
                                  0x100000000, 0x180000, 0xc0400000, ARENA, ARENA, 0x4000000000, 0xffffffff80000000 };
    static const u64 exceptions[] = { 1 << 3, 1 << 4, 1 << 6, 1 << 5 | 1 << 7, 1 << 8, 1 << 9, 1 << 13 | 1 << 15 };
    static const uint8_t rights[] = { 0, 1, 3, 4, 5, 7 };
    const bool translated = often(75);
    const bool closed = often(50); /* entry 0 of the PMP */
    make_tables(mode == 0, closed ? A | D : 0);
    for (unsigned i = 0; i < ARENA_BYTES / 8; i++) {
        ((u64 *)ARENA)[i] = i * UINT64_C(0x0101010101010101);
    }
    for (unsigned i = 0; i < 32; i++) {
        save.x[i] = any() << 1;
    }
    for (unsigned i = 5; i < 10; i++) {
        u64 place = places[below(sizeof places / sizeof *places)];
        place = !translated && often(70) ? ARENA : place;
        save.x[i] = place + (place == VIRTUAL ? below(70) : below(16)) * 4096 + below(63) * 64;
    }
    for (unsigned i = 15; i < 18; i++) { /* SUM MXR TVM TW TSR SPP SPIE MPIE SIE FS: nothing hangs on them */
        save.x[i] = any() & (UINT64_C(0x7c61a2) | (mprv ? MPRV : 0));
    }
    u64 medeleg = 0;
    for (unsigned i = 0; i < sizeof exceptions / sizeof *exceptions; i++) {
        medeleg |= often(40) ? exceptions[i] : 0;
    }
    csr_write(medeleg, medeleg);
    csr_write(mideleg, below(2) << 1 | below(2) << 5 | below(2) << 9);
    csr_write(mie, 0);
    csr_write(mip, 0);
    csr_write(mcounteren, below(8));
    csr_write(scounteren, below(8));
    csr_write(stvec, S_HANDLER + (often(30) ? 1 : 0));
    csr_write(sscratch, 0);
    csr_write(sepc, 0);
    csr_write(scause, 0);
    csr_write(stval, 0);
    csr_write(mscratch, 0);
    csr_write(satp, translated ? UINT64_C(8) << 60 | TABLES >> 12 : 0);
    /* Entry 0 is a page or more of the arena with less than all rights; 1 allows the rest. */
    const u64 pages = UINT64_C(1) << below(5), base = ARENA + below(32 / pages) * pages * 4096;
    const u64 first = closed ? 0x18 | (u64)rights[below(6)] : 0;
    csr_write(pmpcfg0, 0);
    csr_write(pmpaddr0, base >> 2 | (pages * 4096 / 8 - 1));
    csr_write(pmpaddr1, UINT64_C(0x003fffffffffffff));
    csr_write(pmpcfg0, UINT64_C(0x1f00) | first);
    __asm__ volatile("sfence.vma" ::: "memory");
    csr_write(mstatus, UINT64_C(0xa00006000));
    __asm__ volatile("csrw fcsr, zero; fmv.d.x f1, zero; fmv.d.x f2, zero; fmv.d.x f3, zero");
    *mstatus = UINT64_C(0xa00000000) | mode << 11 | (any() & UINT64_C(0x7c60a2)) | (mprv ? MPRV : 0);
}

static void
sign_memory(const char *name, const u64 *at, unsigned n)
{
    const u64 before = signature;
    signature = 0;
    for (unsigned i = 0; i < n; i++) {
        sign(NULL, at[i]);
    }
    const u64 of_it = signature;
    signature = before;
    sign(name, of_it);
}

static void
finish(void)
{
    if (showing) {
        put("\n");
    }
    csr_write(mstatus, UINT64_C(0xa00006000));
    sign("sepc", csr_read(sepc));
    sign("sscratch", csr_read(sscratch));
    sign("mscratch", csr_read(mscratch));
    sign("mie", csr_read(mie) & 0x222);
    sign("scounteren", csr_read(scounteren) & 7);
    sign("mcounteren", csr_read(mcounteren) & 7);
    sign("fcsr", csr_read(fcsr));
    for (unsigned i = 0; i < 32; i++) {
        if (i < 25 || i > 27) {
            sign(NULL, save.x[i]);
        }
    }
    sign_memory("arena", (u64 *)ARENA, ARENA_BYTES / 8);
    sign_memory("tables", root, 3 * 512);
    if (showing) {
        for (unsigned i = 0; i < 32; i++) {
            put(i % 8 == 0 ? "\n x " : " ");
            put_hex(save.x[i]);
        }
        for (unsigned i = 0; i < 64; i++) {
            put(i % 8 == 0 ? "\n page " : " ");
            put_hex(leaves[i]);
        }
        for (unsigned i = 0; code[i] != 0x0000000b; i++) {
            put(i % 8 == 0 ? "\n code " : " ");
            put_hex(code[i]);
        }
        put("\n");
    }
}

int
main(void)
{
    *(volatile u64 *)0x2004000 = UINT64_MAX; /* mtimecmp: no timer */
    __asm__ volatile("csrs 0x30a, %0" ::"r"(UINT64_C(1) << 61)); /* menvcfg.ADUE: A and D are set by the hart */
    for (u64 i = 0; i < rounds; i++) {
        u64 mstatus;
        state = (seed * UINT64_C(0x9e3779b97f4a7c15)) ^ (i + 1) * UINT64_C(0xd1342543de82ef95);
        state |= 1;
        for (unsigned k = 0; k < 8; k++) {
            (void)any();
        }
        showing = i == shown;
        signature = i;
        n_traps = 0;
        const u64 mode = (u64[]){ 0, 1, 1, 3 }[below(4)];
        const bool mprv = mode == 3 && often(50);
        make_stream(!mprv);
        setup(mode, mprv, &mstatus);
        show("start", mstatus);
        run(mstatus, CODE);
        csr_write(satp, 0);
        finish();
        put_hex(i);
        put(" ");
        put_hex(n_traps);
        put(" ");
        put_hex(signature);
        put("\n");
    }
    *(volatile u32 *)0x100000 = 0x5555;
    for (;;) {
    }
}
