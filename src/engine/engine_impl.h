/*
 * engine_impl.h - what the engine's files share
 *
 * How an interpreter ends: every exit but the polls is a jump out (interp_leave) to the landing that engine_run set up,
 * from a handler or from the host's SIGSEGV handler; no state lives on the stack in between.
 */
#ifndef DOPPEL_ENGINE_IMPL_H
#define DOPPEL_ENGINE_IMPL_H

#include "engine/engine.h"

#include "base/hot.h"

#include <assert.h>
#include <emmintrin.h>
#include <stdatomic.h>
#include <stdint.h>

/*
 * One decoded instruction: the predecoded interpreter's. `handler` 0 is "not decoded". Written as one 16-byte store. The
 * threaded interpreter has its own, of 8 bytes (threaded_slot.h). Each begins with a word of 4 bytes that forgetting replaces.
 */
struct slot {
    uint32_t handler;
    struct insn i;
};
static_assert(sizeof(struct insn) == 12 && sizeof(struct slot) == 16, "slot(pc) = bias + 8 * pc");
#define SLOT_SCALE 8 /* bytes of slot per byte of guest code */
#define THREADED_SCALE 4

/* hart.in_guest */
enum { GUEST_NOT, GUEST_RUNNING, GUEST_FETCHING, GUEST_TRANSLATED };

/* engine.page_flags, a byte for each page of the guest's address space */
enum {
    PAGE_EXEC = 1,    /* the guest may execute it; its slots are accessible */
    PAGE_MUTABLE = 2, /* its bytes may change without a call to us */
    PAGE_DECODED = 4, /* some slot of it is, or was, decoded */
    PAGE_LEFT = 16,   /* not executable any more, all forgotten; its slots are accessible, because some hart may be in one */
    PAGE_KEPT = 32,  /* of a file whose translations are kept, mapped private and not written */
    PAGE_TRANSLATED = 8, /* some translation was made from it */
};

/* Guest bytes that one byte of engine.chunks stands for. */
#define CODE_CHUNK  (UINT64_C(16) << 20)
#define CODE_CHUNKS (GUEST_TOP / CODE_CHUNK)

#define SHADOW_BYTES (256 << 10) /* of a shadow stack, with what lies above its top in the last page; a guard page is in front */

struct engine {
    struct engine_config cfg;
    char *slots;         /* into reserved: slot of guest address 0 */
    unsigned scale;      /* bytes of slot per byte of guest code */
    uint32_t forgotten;  /* first word of a slot that was decoded and is not any more */
    uint8_t *page_flags; /* own: GUEST_TOP / 4096 of them, untouched ones cost nothing */
    uint8_t *chunks;     /* behind them, CODE_CHUNKS of them: PAGE_MUTABLE, PAGE_LEFT: some page in there is, or was; nobody looks elsewhere */
    char *reserved;      /* own: the slots with a guard at each end, reserved_bytes */
    size_t reserved_bytes;
    bool left;           /* some page is PAGE_LEFT */
    atomic_int running;  /* harts inside engine_run that are not in `harts`; see engine_running() */
    atomic_bool writing; /* a lock held for the writing of some slots; no fault happens under it */
    _Atomic uint64_t epoch; /* of the code's bytes and permissions */
    struct jit *jit;     /* own: the translator (jit.h); NULL with the interpreters */
    bool had_more;       /* than one hart. Set by the thread that makes the second, while it is the only one */
    void *shadows;       /* own: shadow stacks for harts to come, each points to the next; jit's lock */
    unsigned n_shadows;
    void *first_shadow;  /* the one that is beside the engine */
    struct hart *harts;  /* with a translator: all that run; jit's lock */
    struct engine_debug *debug; /* own: break- and watchpoints, debug.c; NULL: there never were any */
};

/* Where engine_run waits for an interpreter to end. */
struct landing {
    void *jb[5]; /* __builtin_setjmp */
    struct hart *hart;
    int64_t budget;
    bool counted; /* in engine.running; else hart.inside says it */
    bool exact; /* as the switch interpreter does it */
    bool over;  /* … and without break- and watchpoints */
    bool again; /* an interpreter asks to be started once more, from hart.pc with `budget` */
    struct engine_exit ex;
};

/* Say that a hart is inside of something, before looking whether somebody wants it to be out. */
static inline void
inside_set(struct engine *en, uint32_t *inside)
{
    if (en->had_more) {
        __atomic_exchange_n(inside, 1, __ATOMIC_SEQ_CST);
    } else {
        __atomic_store_n(inside, 1, __ATOMIC_RELAXED); /* nobody is there to want it */
    }
}

static inline void *
slot_of(const struct engine *en, uint64_t pc)
{
    return en->slots + pc * en->scale;
}

/* All 16 bytes at once, so that no hart sees half of a slot. */
static inline void
slot_write(struct slot *to, const struct slot *from)
{
    __m128i v = _mm_loadu_si128((const __m128i *)(const void *)from);
    _mm_store_si128((__m128i *)(void *)to, v);
}

static inline struct slot
slot_read(const struct slot *from)
{
    struct slot s;
    _mm_storeu_si128((__m128i *)(void *)&s, _mm_load_si128((const __m128i *)(const void *)from));
    return s;
}

/* How many harts are inside of engine_run, and not in the hands of the owner's ecall. */
int engine_running(struct engine *en);
bool engine_is_alone(const struct hart *h); /* inside of it: is no other hart? */

size_t engine_peek(void *dst, const void *src, size_t n); /* engine.c */

/* code.c */
int code_space_init(struct engine *en, struct err *e);
void code_space_fini(struct engine *en);
void code_drop_decoded(struct engine *en); /* all that has been decoded, unless some hart runs */
bool code_space_contains(const struct engine *en, uint64_t host_addr);
bool code_page_is_exec(const struct engine *en, uint64_t pc); /* pc below GUEST_TOP, or just at it */

/*
 * To write slots: take `epoch` from code_epoch(), then fetch, then begin. False: memory has changed since then, and what was
 * fetched must not be kept. One hart at a time is between begin and end.
 */
static inline uint64_t
code_epoch(const struct engine *en)
{
    return atomic_load(&en->epoch);
}
bool code_write_begin(struct engine *en, uint64_t epoch);
void code_write_end(struct engine *en);
void code_page_decoded(struct engine *en, uint64_t pc); /* in between, before a slot of pc's page is written */

/* End engine_run with this exit; hart.pc is exact already, or will be made so from hart.ip by the engine's kind. */
_Noreturn void interp_leave(struct hart *h, enum exit_kind kind, uint64_t addr);
_Noreturn void interp_leave_fault(struct hart *h, uint64_t addr, bool write);

/* The same for a poll that found attention or an exhausted budget, and for a jump to `target`, which no guest code can be at. */
_Noreturn void interp_leave_poll(struct hart *h);
_Noreturn void interp_leave_wild(struct hart *h, uint64_t target);

enum csr_op { CSR_WRITE, CSR_SET, CSR_CLEAR };

/* Execute a CSR instruction of user mode; leaves with EXIT_ILLEGAL if the CSR or the access does not exist. */
uint64_t interp_csr(struct hart *h, unsigned csr, enum csr_op op, uint64_t v, bool writes);

/* amocas.q on the 16-byte aligned guest address a (Zacas). */
void interp_cas128(struct hart *h, const struct insn *i, uint64_t a);

/*
 * Decode the instruction at pc for an interpreter: rd 0 becomes 32. Reads guest memory, so it may leave with EXIT_FETCH.
 * Returns the raw word.
 */
uint32_t interp_fetch(struct hart *h, uint64_t pc, struct insn *out);

/* Decode a word for an interpreter: rd 0 becomes 32. */
void interp_decode(uint32_t w, ext_set exts, struct insn *out);
void interp_x0(struct insn *i); /* of one that isa_decode() gave */

/* The same as interp_fetch ahead of h->pc, in its page: what leaves is a fetch at h->pc. */
void interp_fetch_ahead(struct hart *h, uint64_t at, struct insn *out);

/* The address of a fetch fault at the halfword `at` of h->pc's instruction: the kernel is told where in its page first. */
static inline uint64_t
interp_fetch_addr(const struct hart *h, uint64_t at)
{
    return (at ^ h->pc) / 4096 == 0 ? h->pc : at;
}

/* Does this (decoded by interp_fetch) write its rd, and is that an x register? Not of those that write two. */
bool interp_writes_x(const struct insn *i);

/* engine.forgotten of the threaded interpreter. */
uint32_t interp_threaded_forgotten(void);
uint32_t interp_threaded_base0_forgotten(void);

/* debug.c. The instruction at pc, which is w in memory; an access that is about to happen, and may leave instead. */
uint32_t debug_word(const struct engine *en, uint64_t pc, uint32_t w);
void debug_access(struct hart *h, uint64_t addr, unsigned bytes, bool load, bool store);
bool debug_watches(const struct engine *en);
void debug_fini(struct engine *en);
void debug_run(struct hart *h, int64_t budget); /* exactly, with watchpoints if there are any */
struct engine_exit engine_run_as(struct engine *en, struct hart *h, int64_t budget, bool exact, bool over); /* engine.c */

/* The four. Each returns only by interp_leave(), except at EXIT_BUDGET and EXIT_ATTENTION, which it reports itself. */
void interp_switch(struct hart *h, int64_t budget);
void interp_switch_watch(struct hart *h, int64_t budget);
void interp_indirect(struct hart *h, int64_t budget);
void interp_predecoded(struct hart *h, int64_t budget);
void interp_threaded(struct hart *h, int64_t budget);
void interp_threaded_base0(struct hart *h, int64_t budget);
void interp_adaptive(struct hart *h, int64_t budget);

/* adaptive.c: a hart that has not run yet gets what translated code needs; false: there is no memory for it */
bool adaptive_prepare(struct engine *en, struct hart *h);
const char *adaptive_shadow_low(const struct hart *h);

/* engine.c: a translator for a machine with so much RAM, without a code space; see machine_code.c */
struct engine *engine_new_machine(const struct engine_tuning *tuning, uint64_t ram_bytes, struct err *e);
int machine_code_init(struct engine *en, uint64_t ram_bytes, struct err *e);
void machine_code_fini(struct engine *en);
/* adaptive.c: after a jump out of it; and a fault in translated code */
bool adaptive_landed(struct hart *h); /* true: guest code went away while it was read ahead; to be interpreted */
bool adaptive_fault(struct hart *h, void *ucontext, uint64_t host_addr, bool *resume);
/* tcache.c: [start, end) may have translations */
int jit_entries_map(struct engine *en, uint64_t start, uint64_t end);

#endif
