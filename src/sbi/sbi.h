/*
 * sbi.h - the Supervisor Binary Interface, when the monitor itself is the execution environment
 *
 * RISC-V SBI 2.0, without M-mode firmware: an ecall of S-mode ends engine_run, and the board hands the registers to sbi_call().
 * One file an extension; probing walks the same table as calling.
 *
 * This layer knows no hart, bus or thread: what a call does to the machine are the callbacks of struct sbi_ops. Per hart it keeps what
 * the specification calls state: the HSM state, the shared memories, the counters.
 *
 *                      hart_start                 sbi_enter
 *          STOPPED ------------------> START_PENDING -------> STARTED --- hart_suspend --> SUSPENDED
 *             ^                                                | ^                             |
 *             +--------------- hart_stop ----------------------+ +-------- sbi_enter ----------+
 *
 * Threads: sbi_call(), sbi_enter() and sbi_steal_time() for a hart are called by the thread that runs it; what other harts can
 * see or change of it is atomic. sbi_reset() while none runs.
 * Trust: every register is the guest's. Memory is reached through physmap alone, which checks each address; hart numbers are checked
 * here; nothing loops longer than one page of console output.
 */
#ifndef DOPPEL_SBI_H
#define DOPPEL_SBI_H

#include "base/fields.h"
#include "memory/physmap.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SBI_HARTS_MAX 64 /* hart numbers are 0 … n - 1, and a set of them is one word */

/* What the specification numbers. */
enum {
    SBI_SUCCESS = 0,
    SBI_FAILED = -1,
    SBI_NOT_SUPPORTED = -2,
    SBI_INVALID_PARAM = -3,
    SBI_DENIED = -4,
    SBI_INVALID_ADDRESS = -5,
    SBI_ALREADY_AVAILABLE = -6,
    SBI_ALREADY_STARTED = -7,
    SBI_ALREADY_STOPPED = -8,
    SBI_NO_SHMEM = -9,
};

enum sbi_hart_state {
    SBI_STARTED,
    SBI_STOPPED,
    SBI_START_PENDING,
    SBI_STOP_PENDING,
    SBI_SUSPENDED,
    SBI_SUSPEND_PENDING,
    SBI_RESUME_PENDING,
};

enum sbi_reset_type { SBI_SHUTDOWN, SBI_COLD_REBOOT, SBI_WARM_REBOOT };

enum sbi_fence_kind { SBI_FENCE_I, SBI_SFENCE_VMA, SBI_SFENCE_VMA_ASID };

struct sbi_fence {
    enum sbi_fence_kind kind;
    bool all;             /* the whole address space: start and size mean nothing */
    uint64_t start, size; /* bytes; start + size does not wrap */
    uint64_t asid;        /* SBI_SFENCE_VMA_ASID */
};

/* The counters of a hart that are hardware's, by the distance of their CSR from cycle. */
enum { SBI_CYCLE = 0, SBI_INSTRET = 2 };

struct sbi_ops {
    /* Supervisor timer: pending from `time` (of the time CSR) on, and not before. */
    void (*set_timer)(void *arg, unsigned hart, uint64_t time);
    /* Make the supervisor software interrupt pending, on another hart or on the caller. Clear it, on the caller. */
    void (*ipi)(void *arg, unsigned hart);
    void (*ipi_clear)(void *arg, unsigned hart);
    /*
     * Fence the harts of the set, among which the caller may be. When this returns, each has done it or does it before its next
     * access through a translation or fetch. A hart that sleeps need not be woken.
     */
    void (*fence)(void *arg, unsigned caller, uint64_t harts, const struct sbi_fence *f);
    /* A hart that parks is to look at sbi_enter() again. */
    void (*wake)(void *arg, unsigned hart);
    /* The machine stops. `failure`: the guest says that something went wrong. The caller's thread comes back. */
    void (*reset)(void *arg, enum sbi_reset_type type, bool failure);
    /* Console: bytes taken or given, without blocking; -1 if it is broken. */
    long (*console_write)(void *arg, const void *buf, size_t len);
    long (*console_read)(void *arg, void *buf, size_t len);
    /* mcycle and minstret of the calling hart: value, and whether it counts. */
    uint64_t (*counter_get)(void *arg, unsigned hart, unsigned counter);
    void (*counter_set)(void *arg, unsigned hart, unsigned counter, uint64_t value);
    void (*counter_run)(void *arg, unsigned hart, unsigned counter, bool run);
};

#define SBI_PMU_COUNTERS 19 /* cycle, a hole where time is, instret, and those of the firmware from here on: */
#define SBI_PMU_FIRST_FW 3
#define SBI_PMU_EVENTS 22   /* firmware events that have a code */

struct sbi_hart {
    /* atomic: other harts' */
    uint32_t hsm; /* enum sbi_hart_state */
    uint64_t fw_events[SBI_PMU_EVENTS];
    /* written before hsm says START_PENDING, read after */
    uint64_t entry, opaque;
    /* the hart's own */
    uint64_t keeps;     /* SUSPENDED, and goes on behind the call */
    uint64_t sta_shmem; /* guest-physical, or SBI_NO_ADDRESS */
    uint64_t sta_sequence;
    uint64_t pmu_shmem;
    uint64_t pmu_started;                 /* bits by counter */
    uint32_t pmu_event[SBI_PMU_COUNTERS]; /* event_idx, 0: none */
    uint64_t pmu_value[SBI_PMU_COUNTERS]; /* firmware's: the value; while it counts, what to take from fw_events for it */
};
#define SBI_NO_ADDRESS UINT64_MAX

struct sbi {
    const struct sbi_ops *ops; /* ref */
    void *arg;
    const struct physmap *pm;  /* ref */
    unsigned n_harts;
    struct sbi_hart harts[SBI_HARTS_MAX];
};

extern const struct field sbi_hart_fields[];
extern const size_t sbi_hart_field_count;

void sbi_init(struct sbi *s, unsigned n_harts, const struct physmap *pm, const struct sbi_ops *ops, void *arg);

/* Power-on: hart `boot` starts, the others are stopped. */
void sbi_reset(struct sbi *s, unsigned boot);

/* What the calling thread does after a call. */
enum sbi_next {
    SBI_RETURN, /* a0 and a1 are set: go on behind the ecall */
    SBI_PARK,   /* the hart has stopped: sleep until sbi_enter() says true; interrupts do not matter */
    SBI_WAIT,   /* the hart is suspended: sleep until an interrupt is pending in sip & sie, then ask sbi_enter() */
    SBI_OFF,    /* ops->reset has been called: this hart does not go on */
};

/* Do the ecall: x are the hart's x0 … x31; only a0 and a1 change. */
enum sbi_next sbi_call(struct sbi *s, unsigned hart, uint64_t x[32]);

/*
 * After SBI_PARK and SBI_WAIT: does the hart go on? True and *entry == SBI_NO_ADDRESS: behind the ecall. True else: in S-mode at *entry
 * with satp 0, sstatus.SIE 0, a0 the hart's number, a1 *opaque.
 */
bool sbi_enter(struct sbi *s, unsigned hart, uint64_t *entry, uint64_t *opaque);

/* Tell a hart's guest for how many nanoseconds in all it was ready and not run, if it wants to know. */
void sbi_steal_time(struct sbi *s, unsigned hart, uint64_t ns);

#endif
