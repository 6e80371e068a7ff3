/*
 * interp_threaded.c - direct threading: the slot names its handler, and each handler ends in a jump to the next one's
 *
 * A handler is a function; going to the next is a call in tail position, which the compiler makes a jump, so the four
 * arguments stay in registers and no handler saves any. Where a build cannot promise that (no optimisation, sanitizers)
 * handlers return the next slot to a loop instead: same handlers, `TAIL` 0.
 *
 *      rdi h     rsi ip     rdx budget (instructions left)     rcx base (of handler offsets)
 *
 * A zeroed slot has offset 0: the handler `miss`, which decodes a run of instructions and goes on. Instructions that often
 * follow each other are fused (fuse.def): the first slot's handler then does both.
 *
 * Decoding over a slot that was forgotten (code.c): another hart may have loaded the old handler and not yet its
 * operands, and would mix two instructions. So a slot whose operands would change is only written while no other hart
 * runs; otherwise it gets `uncached`, which executes from memory, and decodes once its hart is alone.
 *
 * Compiled twice: for guest base 0 (INTERP_BASE_ZERO), and for any.
 */
#include "engine/interp_ops.h"

#include "engine/fp_ops.h"

#if defined(__OPTIMIZE__) && !defined(DOPPEL_SANITIZED)
#define TAIL 1
typedef void flow;
#define GO(to) return ((handler_fn *)(base + (to)->handler))(h, to, budget, base)
#define STOP return
#else
#define TAIL 0
typedef struct {
    const struct slot *ip;
    int64_t budget;
} flow;
#define GO(to) return (flow) {to, budget}
#define STOP return (flow) {NULL, 0}
#endif

#define UNUSED __attribute__((unused)) /* where handlers are called from a loop, not each needs all */
#define ARGS struct hart *h UNUSED, const struct slot *ip, int64_t budget, const char *base UNUSED
typedef flow handler_fn(ARGS);
/* The base is 0 unless somebody tests: the other variant need not be fast, and 1,500 handlers take their time to compile. */
#if TAIL && defined(INTERP_BASE_ZERO)
#define FUSE_FEW 0
#else
#define FUSE_FEW 1
#endif
#include "engine/fuse.def"

#define HANDLER static __attribute__((unused)) flow
#define INLINE static inline __attribute__((always_inline, unused))

static flow miss(ARGS);

/* How offsets are made; a function's address is the base, so a zeroed slot is a miss. */
#define HANDLER_BASE ((const char *)(uintptr_t)miss)

INLINE const struct slot *
slot_at(const struct slot *ip, int64_t bytes)
{
    return (const struct slot *)(const void *)((const char *)ip + bytes * SLOT_SCALE);
}

INLINE uint64_t
pc_of(const struct hart *h, const struct slot *ip)
{
    return (uint64_t)((const char *)ip - h->slots) / SLOT_SCALE;
}

INLINE const struct slot *
slot_in(const struct hart *h, uint64_t pc)
{
    return (const struct slot *)(const void *)(h->slots + pc * SLOT_SCALE);
}

static _Noreturn __attribute__((noinline, cold)) void
leave_poll(struct hart *h, const struct slot *ip)
{
    h->ip = ip;
    interp_leave_poll(h);
}

#define PC V(pc_of(h, ip))
#define AT_RISK() (h->ip = ip)

/* Every taken jump polls: no loop is without one. */
#define GO_POLLED(to)                                        \
    do {                                                     \
        const struct slot *const to_ = (to);                 \
        if (unlikely(h->attention != 0 || budget <= 0)) {    \
            leave_poll(h, to_);                              \
        }                                                    \
        GO(to_);                                             \
    } while (0)

/* Form 1: statements only, for the first of a fused pair. Flow words cannot occur there. */
#define LEN 4
#define BRANCH(c) ((void)U(c))
#define JUMP(t) ((void)(t))
#define JUMP_REL() ((void)0)
#define SEM(name, ...)                                        \
    INLINE void first_##name(struct hart *h, const struct slot *ip) \
    {                                                         \
        const struct insn *const i = &ip->i;                  \
        (void)i, (void)h;                                     \
        __VA_ARGS__;                                          \
    }
#include "isa/sem.inc"
#undef SEM
#undef LEN
#undef BRANCH
#undef JUMP
#undef JUMP_REL

/* Forms 2 and 3: whole handlers, for instructions of 4 and of 2 bytes. */
#define BRANCH(c)                        \
    if (U(c)) {                          \
        GO_POLLED(slot_at(ip, i->imm));  \
    }
#define JUMP_REL() GO_POLLED(slot_at(ip, i->imm))
#define JUMP(t)                                      \
    do {                                             \
        const uint64_t t_ = U(t);                    \
        if (unlikely(t_ >= GUEST_TOP)) {             \
            interp_leave_wild(h, t_);                       \
        }                                            \
        GO_POLLED(slot_in(h, t_));                   \
    } while (0)

#define WHOLE(bytes, name, ...)                         \
    INLINE flow last##bytes##_##name(ARGS)              \
    {                                                   \
        const struct insn *const i = &ip->i;            \
        budget--;                                       \
        __VA_ARGS__;                                    \
        (void)i;                                        \
        GO(slot_at(ip, bytes));                         \
    }                                                   \
    HANDLER h##bytes##_##name(ARGS)                     \
    {                                                   \
        return last##bytes##_##name(h, ip, budget, base); \
    }

#define LEN 4
#define SEM_WITHOUT_FP /* below */
#define SEM(name, ...) WHOLE(4, name, __VA_ARGS__)
#include "isa/sem.inc"
#undef SEM
#undef SEM_WITHOUT_FP
#undef LEN
#define LEN 2
#define SEM(name, ...) WHOLE(2, name, __VA_ARGS__)
#include "isa/sem.inc"
#undef SEM
#undef LEN

/*
 * Floating point of 4 bytes, twice. Whatever calls and comes back (softfp, a NaN to be made canonical, an operand that is not
 * boxed) is a handler of its own, full_*, in which the fast one then ends, with nothing done or what may be done again. So
 * the fast one saves no registers.
 */
#define LEN 4
#define SEM(name, ...)                                          \
    static __attribute__((noinline, unused)) flow full_##name(ARGS) \
    {                                                           \
        const struct insn *const i = &ip->i;                    \
        __VA_ARGS__;                                            \
        (void)i;                                                \
        GO(slot_at(ip, LEN));                                   \
    }
#include "isa/sem_fp.inc"
#undef SEM

#undef FP_OTHERWISE
#undef FP_NAN
#undef FP_FMA_NAN
#undef FP_READ_S
#undef FP_READ_H
#define GO_FULL() return full(h, ip, budget, base)
#define FP_OTHERWISE(slow) GO_FULL()
#define FP_NAN(f)    \
    ({               \
        GO_FULL();   \
        UINT64_C(0); \
    })
#define FP_FMA_NAN(f, a, b, c) FP_NAN(f)
#define FP_READ_S(reg)                   \
    ({                                   \
        if (unlikely(!fp_holds_s(reg))) { \
            GO_FULL();                   \
        }                                \
        fp_low_s(reg);                   \
    })
#define FP_READ_H(reg)                            \
    ({                                            \
        const uint64_t reg_ = *(reg);             \
        if (unlikely(reg_ < ~UINT64_C(0xffff))) { \
            GO_FULL();                            \
        }                                         \
        reg_ & 0xffff;                            \
    })
#define SEM(name, ...)                        \
    WHOLE(4, name,                            \
          handler_fn *const full = full_##name; \
          (void)full;                         \
          __VA_ARGS__)
#include "isa/sem_fp.inc"
#undef SEM
#undef LEN

HANDLER
h4_illegal(ARGS)
{
    (void)budget, (void)base;
    ILLEGAL();
}

/* The operation of each slot, to its handlers. */
static handler_fn *const handlers4[OP_COUNT] = {
    [OP_ILLEGAL] = h4_illegal,
#define INSN(name, match, mask, fmt, ext, cls) [OP_##name] = h4_##name,
#define INSN16(name, match, mask, fmt, ext, of)
#include "isa/insn.def"
#undef INSN
#undef INSN16
};
static handler_fn *const handlers2[OP_COUNT] = {
    [OP_ILLEGAL] = h4_illegal,
#define INSN(name, match, mask, fmt, ext, cls)
#define INSN16(name, match, mask, fmt, ext, of) [OP_##of] = h2_##of,
#include "isa/insn.def"
#undef INSN
#undef INSN16
};

/* Fused pairs: the first's statements, then the second as it stands. */
#define PAIR_HANDLER(a, len_a, b, len_b)                                   \
    HANDLER fused_##a##_##len_a##_##b##_##len_b(ARGS)                      \
    {                                                                      \
        first_##a(h, ip);                                                  \
        return last##len_b##_##b(h, slot_at(ip, len_a), budget - 1, base); \
    }
#define PAIR_HANDLERS(a, len_a) FUSE_LAST(PAIR_HANDLER, a, len_a)
FUSE_FIRST(PAIR_HANDLERS)

/* fused[first][last], each numbered from 1 by its place in the list. */
enum {
    FIRST_NONE,
#define FIRST_ID(a, len_a) FIRST_##a##_##len_a,
    FUSE_FIRST(FIRST_ID) FIRST_COUNT
};
enum {
    LAST_NONE,
#define LAST_ID(unused, len_unused, b, len_b) LAST_##b##_##len_b,
    FUSE_LAST(LAST_ID, , ) LAST_COUNT
};
static const uint8_t first_ids[OP_COUNT][2] = {
#define FIRST_AT(a, len_a) [OP_##a][len_a / 4] = FIRST_##a##_##len_a,
    FUSE_FIRST(FIRST_AT)};
static const uint8_t last_ids[OP_COUNT][2] = {
#define LAST_AT(unused, len_unused, b, len_b) [OP_##b][len_b / 4] = LAST_##b##_##len_b,
    FUSE_LAST(LAST_AT, , )};
static handler_fn *const fused[FIRST_COUNT][LAST_COUNT] = {
#define PAIR_AT(a, len_a, b, len_b) \
    [FIRST_##a##_##len_a][LAST_##b##_##len_b] = fused_##a##_##len_a##_##b##_##len_b,
#define PAIRS_AT(a, len_a) FUSE_LAST(PAIR_AT, a, len_a)
    FUSE_FIRST(PAIRS_AT)};

static handler_fn *
handler_for(const struct insn *i)
{
    return i->len == 2 ? handlers2[i->op] : handlers4[i->op];
}

static int32_t
offset_of(handler_fn *fn)
{
    return (int32_t)((const char *)(uintptr_t)fn - HANDLER_BASE);
}

/* The handler that does `a` and the instruction behind it, or a's own. */
static handler_fn *
handler_for_pair(const struct insn *a, const struct insn *b)
{
    handler_fn *fn = fused[first_ids[a->op][a->len / 4]][last_ids[b->op][b->len / 4]];
    return fn != NULL ? fn : handler_for(a);
}

/* May control not reach what follows this instruction? Then decoding ahead stops. */
static bool
ends_run(const struct insn *i)
{
    switch (i->op) {
    case OP_ILLEGAL:
    case OP_jal:
    case OP_jalr:
    case OP_ecall:
    case OP_ebreak:
    case OP_fence_i:
        return true;
    default:
        return false;
    }
}

static bool
is_alone(const struct hart *h)
{
    return atomic_load(&h->engine->running) == 1;
}

static flow uncached(ARGS);

/*
 * May the slot be made that of `now`? A hart that is inside may have loaded the handler that it has, or had, and not yet
 * its operands; one that comes in sees what is here now.
 */
static bool
slot_is_free(const struct hart *h, const struct slot *s, const struct insn *now)
{
    static const struct insn never;
    return memcmp(&s->i, now, sizeof *now) == 0 ||
           ((s->handler == 0 || s->handler == offset_of(uncached)) &&
            (memcmp(&s->i, &never, sizeof never) == 0 || is_alone(h)));
}

#define RUN_MAX 64

/*
 * Decode the instruction at pc and those behind it, up to a jump, a decoded slot, or the page's end; the first must decode
 * (a fetch fault leaves), the others only if they lie in the same page. Nothing is decoded if memory changes meanwhile.
 */
static __attribute__((noinline)) bool
decode_run(struct hart *h, uint64_t pc)
{
    struct engine *const en = h->engine;
    const uint64_t epoch = code_epoch(en);
    struct slot run[RUN_MAX];
    unsigned n = 0;
    interp_fetch(h, pc, &run[0].i);
    for (uint64_t at = pc; n < RUN_MAX;) {
        at += run[n].i.len;
        if (ends_run(&run[n++].i) || n == RUN_MAX || at / 4096 != (at + 2) / 4096 || at / 4096 != pc / 4096 ||
            slot_of(en, at)->handler != 0) {
            break;
        }
        interp_fetch_ahead(h, at, &run[n].i);
    }
    if (!code_write_begin(en, epoch)) {
        return false;
    }
    code_page_decoded(en, pc);
    uint64_t end = pc;
    unsigned k = 0;
    for (; k < n && slot_is_free(h, slot_of(en, end), &run[k].i); k++) {
        end += run[k].i.len;
    }
    n = k;
    if (n == 0) {
        __atomic_store_n(&slot_of(en, pc)->handler, offset_of(uncached), __ATOMIC_RELEASE);
    }
    /* Last to first: a fused handler's second half is complete before it can run. */
    while (k-- > 0) {
        end -= run[k].i.len;
        handler_fn *fn = k + 1 < n ? handler_for_pair(&run[k].i, &run[k + 1].i) : handler_for(&run[k].i);
        run[k].handler = offset_of(fn);
        slot_write(slot_of(en, end), &run[k]);
    }
    code_write_end(en);
    h->ip = NULL;
    return true;
}

/*
 * Execute one instruction from memory, as the switch interpreter does, and start again behind it: its exit for an
 * exhausted budget of one is not ours.
 */
HANDLER
execute_one(ARGS)
{
    struct landing *land = h->landing;
    h->pc = pc_of(h, ip);
    h->ip = NULL;
    land->budget = budget - 1;
    land->again = true;
    (void)base;
    interp_switch(h, 1);
    STOP;
}

/* A slot that could not be written: next time perhaps. */
static __attribute__((noinline)) flow
uncached(ARGS)
{
    if (is_alone(h)) {
        decode_run(h, pc_of(h, ip));
    }
    return execute_one(h, ip, budget, base);
}

static __attribute__((noinline)) flow
miss(ARGS)
{
    if (!decode_run(h, pc_of(h, ip))) {
        return execute_one(h, ip, budget, base);
    }
    GO(ip);
}

#ifdef INTERP_BASE_ZERO
#define interp_threaded interp_threaded_base0
#endif

void
interp_threaded(struct hart *h, int64_t budget)
{
    if (h->pc >= GUEST_TOP) {
        interp_leave_wild(h, h->pc);
    }
    const struct slot *ip = slot_of(h->engine, h->pc);
    const char *const base = HANDLER_BASE;
    if (h->attention != 0 || budget <= 0) {
        leave_poll(h, ip);
    }
#if TAIL
    GO(ip);
#else
    while (ip != NULL) {
        flow f = ((handler_fn *)(base + ip->handler))(h, ip, budget, base);
        ip = f.ip;
        budget = f.budget;
    }
#endif
}
