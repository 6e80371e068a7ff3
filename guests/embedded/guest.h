/*
 * guest.h - the embedded guest: a kernel that shows the machine that it runs on, and tests it
 *
 * Freestanding, S-mode, RV64IMAC, no floating point but in the tests'. It asks for no more than the boot protocol, SBI and a
 * 16550 promise: it passes under QEMU with OpenSBI unchanged, which is what says that the tests are right.
 */
#ifndef GUEST_H
#define GUEST_H

#include "offsets.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef uint64_t u64;

#define HARTS_MAX 32
#define STACK_BYTES 8192
#define PAGE 4096u

struct frame {
    u64 x[32], sepc, sstatus, scause, stval;
};

#define NO_TRAP 99
struct hart {
    u64 sp, t0, ksp, stack, id, resume; /* start.S */
    volatile u64 vectored;              /* an interrupt came through the table */
    u64 index;                          /* in harts[] */
    /* the last trap that was no interrupt */
    volatile u64 cause, epc, tval, user_a0;
    volatile bool expect; /* a trap is what is being tested: skip the instruction */
    /* interrupts */
    volatile u64 soft, timer, external, source; /* how many; the last source that the PLIC named */
    /* what another hart wants of this one */
    void (*volatile work)(struct hart *h);
    volatile u64 result;
    volatile bool alive;
};
_Static_assert(offsetof(struct hart, ksp) == H_KSP && offsetof(struct hart, stack) == H_STACK && offsetof(struct hart, id) == H_ID &&
                   offsetof(struct hart, resume) == H_RESUME && offsetof(struct hart, vectored) == H_VECTORED &&
                   sizeof(struct frame) == FRAME,
               "offsets.h");

register struct hart *me __asm__("tp");

/* start.S */
extern char vector_table[], hart_entry[], user_back[], trap_vector[];
extern char code_ret[], code_user_ecall[], code_user_time[], code_user_load[], code_user_sret[], code_user_ebreak[], code_end[];
u64 call_at(u64 address);
void run_user(u64 pc, u64 a0);

/* main.c */
extern struct hart harts[HARTS_MAX];
extern unsigned n_harts; /* harts[0] is the one that booted */
struct hart *hart_of(u64 id, u64 dtb);
void check(bool good, const char *what);
void subject(const char *name);
void skipped(const char *what, const char *why);
void run_tests(void);
_Noreturn void power(unsigned type);
extern unsigned n_ok, n_failed;
extern unsigned ticks_per_us;

/* console.c */
void console_use(u64 uart);
void put_char(char c);
void print(const char *format, ...) __attribute__((format(printf, 1, 2))); /* %s %d %x %c, l; widths of %s and %d */
int get_char(void);  /* -1: there is none */
bool text_is(const char *a, const char *b);
bool text_starts(const char *text, const char *with);
void *memset(void *p, int c, size_t n);
void *memcpy(void *to, const void *from, size_t n);

/* trap.c */
void trap(struct frame *f);

/* Does the statement trap? The cause, or NO_TRAP; me->tval and me->epc say more. */
#define TRAPS(statement)                                                                                                     \
    ({                                                                                                                       \
        me->cause = NO_TRAP;                                                                                                 \
        me->expect = true;                                                                                                   \
        __asm__ volatile("" ::: "memory");                                                                                   \
        statement;                                                                                                           \
        __asm__ volatile("" ::: "memory");                                                                                   \
        me->expect = false;                                                                                                  \
        me->cause;                                                                                                           \
    })

enum { FETCH_ACCESS = 1, ILLEGAL, BREAKPOINT, LOAD_MISALIGNED, LOAD_ACCESS, STORE_MISALIGNED, STORE_ACCESS, ECALL_U, FETCH_PAGE = 12,
       LOAD_PAGE, STORE_PAGE = 15 };
enum { IRQ_SOFT = 1, IRQ_TIMER = 5, IRQ_EXTERNAL = 9 };

#define csr_read(csr)                                                                                                        \
    ({                                                                                                                       \
        u64 v_;                                                                                                              \
        __asm__ volatile("csrr %0, " #csr : "=r"(v_)::"memory");                                                             \
        v_;                                                                                                                  \
    })
#define csr_write(csr, v) __asm__ volatile("csrw " #csr ", %0" ::"rK"((u64)(v)) : "memory")
#define csr_set(csr, v)   __asm__ volatile("csrs " #csr ", %0" ::"rK"((u64)(v)) : "memory")
#define csr_clear(csr, v) __asm__ volatile("csrc " #csr ", %0" ::"rK"((u64)(v)) : "memory")

#define SSTATUS_SIE 2ul
#define SSTATUS_SPIE 0x20ul
#define SSTATUS_SPP 0x100ul
#define SSTATUS_FS 0x6000ul
#define SSTATUS_SUM 0x40000ul
#define SSTATUS_MXR 0x80000ul

static inline u64
rdtime(void)
{
    return csr_read(time);
}

/* Wait for a condition, a second at most: under a busy host nothing is quick. */
#define WAIT_FOR(condition)                                                                                                  \
    ({                                                                                                                       \
        const u64 until_ = rdtime() + 1000000ul * ticks_per_us;                                                              \
        while (!(condition) && rdtime() < until_) {                                                                          \
            __asm__ volatile("" ::: "memory");                                                                               \
        }                                                                                                                    \
        (condition);                                                                                                         \
    })

/* The same, asleep: an interrupt makes it true. */
#define SLEEP_FOR(condition)                                                                                                 \
    ({                                                                                                                       \
        const u64 until_ = rdtime() + 1000000ul * ticks_per_us;                                                              \
        while (!(condition) && rdtime() < until_) {                                                                          \
            __asm__ volatile("wfi" ::: "memory");                                                                            \
            csr_set(sstatus, SSTATUS_SIE);                                                                                   \
            csr_clear(sstatus, SSTATUS_SIE);                                                                                 \
        }                                                                                                                    \
        (condition);                                                                                                         \
    })

/* sbi.c */
struct sbi_answer {
    long error;
    u64 value;
};
struct sbi_answer sbi(u64 eid, u64 fid, u64 a0, u64 a1, u64 a2, u64 a3, u64 a4);
bool sbi_has(u64 eid);
void sbi_show(void);
enum { SBI_BASE = 0x10, SBI_TIME = 0x54494d45, SBI_IPI = 0x735049, SBI_RFENCE = 0x52464e43, SBI_HSM = 0x48534d, SBI_SRST = 0x53525354,
       SBI_DBCN = 0x4442434e, SBI_SUSP = 0x53555350, SBI_PMU = 0x504d55, SBI_STA = 0x535441 };

/* tree.c: the device tree */
bool tree_read(const void *dtb); /* fills `machine` */
void tree_show(void);
#define DEVICES_MAX 32
struct device {
    const char *compatible;
    u64 base, bytes;
    unsigned irq;
};
extern struct machine {
    const char *model, *isa, *mmu, *bootargs;
    u64 ram_base, ram_bytes, timebase, initrd, initrd_end;
    unsigned n_harts, n_devices;
    u64 hart_ids[HARTS_MAX];
    uint32_t intc_phandles[HARTS_MAX];
    struct device devices[DEVICES_MAX];
    u64 plic;
    unsigned plic_context; /* S-mode of the hart that booted */
} machine;
const struct device *device_find(const char *compatible, const struct device *after);
bool isa_has(const char *extension);

/* What is tested. */
void test_traps(void), test_user(void), test_extensions(void), test_float(void), test_mmu(void), test_timer(void), test_soft(void),
    test_harts(void), test_external(void), test_virtio(void), test_sbi(void);
void harts_start(void);
_Noreturn void hart_main(void);
void plic_claimed(void);
void devices_show(void);
void prompt(void);

/* mmu.c: pages for tests */
extern u64 test_pages[8][PAGE / 8];
void mmu_on(void), mmu_off(void);
#define TEST_VA 0x140000000ul /* page i of test_pages is at TEST_VA + i * PAGE, as its entry says */
void mmu_map(unsigned i, u64 page, u64 bits);
enum { PTE_V = 1, PTE_R = 2, PTE_W = 4, PTE_X = 8, PTE_U = 16, PTE_G = 32, PTE_A = 64, PTE_D = 128 };
#define PTE_ALL (PTE_V | PTE_R | PTE_W | PTE_X | PTE_A | PTE_D)
static inline void
fence_vma(void)
{
    __asm__ volatile("sfence.vma" ::: "memory");
}

static inline uint32_t
io_read(u64 at)
{
    return *(volatile uint32_t *)at;
}
static inline void
io_write(u64 at, uint32_t v)
{
    *(volatile uint32_t *)at = v;
}

#endif
