/*
 * interp_threaded.c - direct threading: the slot names its handler, and each handler ends in a jump to the next one's
 *
 * A handler is a function; going to the next is a call in tail position, which the compiler makes a jump, so the five
 * arguments stay in registers and no handler saves any. Where a build cannot promise that (no optimisation, sanitizers)
 * handlers return the next slot to a loop instead: same handlers, `TAIL` 0.
 *
 *      rdi h     rsi ip     rdx budget (instructions left)     rcx base (of handler offsets)     r8 acc
 *
 * A slot of zeros has the handler `miss`, which decodes a run of instructions and goes on. Instructions that often follow
 * each other are fused (fuse.def): the first slot's handler then does both.
 *
 * Guest registers lie in memory, where a value needs five cycles from a store to a load. So acc holds what the last
 * instruction wrote, and an instruction whose rs1 that is has a handler that takes it from there. Whoever jumps to the
 * instruction brings something else; hence two handlers in a slot.
 *
 * Decoding over a slot that was forgotten (code.c): another hart may have loaded the old handler and not yet its
 * operands, and would mix two instructions. So a slot whose operands would change is only written while no other hart
 * runs; otherwise it gets `uncached`, which executes from memory, and decodes once its hart is alone.
 *
 * Compiled three times: for guest base 0 (INTERP_BASE_ZERO), for any, and for machines (INTERP_MACHINE, threaded_machine_ops.inc).
 */
#include "engine/interp_ops.h"

#include "base/check.h"
#include "engine/fp_ops.h"
#include "engine/threaded_slot.h"
#ifdef INTERP_MACHINE
#include "engine/machine_ops.h"
#endif

#if defined(__OPTIMIZE__) && !defined(DOPPEL_SANITIZED)
#define TAIL 1
typedef void flow;
#define CALL(offset, to) return ((handler_fn *)(base + (offset)))(h, to, budget, base, acc)
#define STOP return
#else
#define TAIL 0
typedef struct {
    const struct tslot *ip;
    int64_t budget, offset;
    uint64_t acc;
} flow;
#define CALL(offset, to) return (flow) {to, budget, offset, acc}
#define STOP return (flow) {NULL, 0, 0, 0}
#endif
#define JUMP_TO(to) CALL((int64_t)(to)->jump * HANDLER_UNIT, to)
#define GO(to) CALL((int64_t)(to)->fall * HANDLER_UNIT, to)

#define UNUSED __attribute__((unused)) /* where handlers are called from a loop, not each needs all */
#define ARGS struct hart *h UNUSED, const struct tslot *ip, int64_t budget, const char *base UNUSED, uint64_t acc UNUSED
typedef flow handler_fn(ARGS);
/* The base is 0 unless somebody tests: the other variant need not be fast, and 1,500 handlers take their time to compile. */
#if TAIL && (defined(INTERP_BASE_ZERO) || defined(INTERP_MACHINE))
#define FUSE_FEW 0
#else
#define FUSE_FEW 1
#endif
#include "engine/fuse.def"

#define HANDLER static __attribute__((unused, aligned(HANDLER_UNIT))) flow
#define INLINE static inline __attribute__((always_inline, unused))

static flow miss(ARGS);

/* How offsets are made; a function's address is the base, so a zeroed slot is a miss. */
#define HANDLER_BASE ((const char *)(uintptr_t)miss)

INLINE const struct tslot *
slot_at(const struct tslot *ip, int64_t bytes)
{
    return (const struct tslot *)(const void *)((const char *)ip + bytes * THREADED_SCALE);
}

INLINE uint64_t
pc_of(const struct hart *h, const struct tslot *ip)
{
#ifdef INTERP_MACHINE /* the product has lost the upper bits: they are the sign */
    return (uint64_t)(((const char *)ip - h->slots) / THREADED_SCALE);
#else
    return (uint64_t)((const char *)ip - h->slots) / THREADED_SCALE;
#endif
}

INLINE const struct tslot *
slot_in(const struct hart *h, uint64_t pc)
{
    return (const struct tslot *)(const void *)(h->slots + pc * THREADED_SCALE);
}

#define OPERANDS(name)                                           \
    const struct insn operands_ = tslot_unpack(ip, (enum shape)SHAPE_##name); \
    const struct insn *const i = &operands_

#ifdef INTERP_MACHINE
#include "engine/threaded_machine_ops.inc"
#else
/* Not in a handler, because it wants the operands' address. */
static __attribute__((noinline, unused)) void
cas128(struct hart *h, const struct tslot *ip, uint64_t a)
{
    const struct insn i = tslot_unpack(ip, SHAPE_R);
    interp_cas128(h, &i, a);
}
#undef CAS128
#define CAS128(addr)                 \
    do {                             \
        const uint64_t a_ = U(addr); \
        ALIGNED(a_, 16);             \
        cas128(h, ip, a_);           \
    } while (0)

static _Noreturn __attribute__((noinline, cold)) void
leave_poll(struct hart *h, const struct tslot *ip)
{
    h->ip = ip;
    interp_leave_poll(h);
}

/* Every taken jump polls: no loop is without one. */
#define GO_POLLED(to)                                        \
    do {                                                     \
        const struct tslot *const to_ = (to);                 \
        if (unlikely(h->attention != 0 || budget <= 0)) {    \
            leave_poll(h, to_);                              \
        }                                                    \
        JUMP_TO(to_);                                        \
    } while (0)
#endif

#define PC V(pc_of(h, ip))
#undef AT_RISK
#define AT_RISK() (h->ip = ip)

/* What an instruction writes to rd is what the next one in the text finds in acc. */
#undef W
#define W(r, v) (hart_x(h)[i->r] = acc = U(v))

/*
 * Each meaning in four forms: statements only, for the first of a pair (flow words cannot occur there), and whole handlers;
 * each with rs1 read from memory, and with rs1 in acc.
 */
#ifdef INTERP_MACHINE
#define ELSEWHERE ELSEWHERE_HALF
#define HALF struct half
#define HALF_DONE ((struct half){acc, NULL})
#else
#define HALF uint64_t
#define HALF_DONE acc
#endif
#define STATEMENTS(form, name, ...)                                              \
    INLINE HALF form##_##name(struct hart *h, const struct tslot *ip, uint64_t acc) \
    {                                                                            \
        OPERANDS(name);                                     \
        const uint64_t rs1_ = acc;                                               \
        (void)i, (void)h, (void)rs1_;                                            \
        __VA_ARGS__;                                                             \
        return HALF_DONE;                                                        \
    }
#define LEN 4
#define BRANCH(c) ((void)U(c))
#define JUMP(t) ((void)(t))
#define JUMP_REL() ((void)0)
#define SEM(name, ...) STATEMENTS(first, name, __VA_ARGS__)
#define SEM_WITHOUT_FP /* below */
#include "isa/sem.inc"
#undef SEM
#undef R_rs1
#define R_rs1 rs1_
#define SEM(name, ...) STATEMENTS(next, name, __VA_ARGS__)
#include "isa/sem.inc"
#undef SEM
#undef R_rs1
#define R_rs1 hart_x(h)[i->rs1]
#undef LEN
#undef BRANCH
#undef JUMP
#undef JUMP_REL

#define BRANCH(c)                        \
    if (U(c)) {                          \
        GO_POLLED(slot_at(ip, i->imm));  \
    }
#define JUMP_REL() GO_POLLED(slot_at(ip, i->imm))
#ifdef INTERP_MACHINE
#undef ELSEWHERE
#define ELSEWHERE ELSEWHERE_WHOLE
#define JUMP(t)                                      \
    do {                                             \
        const uint64_t t_ = U(t);                    \
        if (unlikely((t_ ^ MH->page_va) >= 4096)) {  \
            CROSS(t_);                               \
        }                                            \
        GO_POLLED(slot_in(h, t_));                   \
    } while (0)
#else
#define JUMP(t)                                      \
    do {                                             \
        const uint64_t t_ = U(t);                    \
        if (unlikely(t_ >= GUEST_TOP)) {             \
            interp_leave_wild(h, t_);                       \
        }                                            \
        GO_POLLED(slot_in(h, t_));                   \
    } while (0)
#endif

#define WHOLE(form, bytes, name, ...)                   \
    INLINE flow form##bytes##_##name(ARGS)              \
    {                                                   \
        OPERANDS(name);            \
        const uint64_t rs1_ = acc;                      \
        budget--;                                       \
        (void)i, (void)rs1_;                            \
        GATE(name)                                      \
        __VA_ARGS__;                                    \
        GO(slot_at(ip, bytes));                         \
    }
#define LEN 4
#define SEM(name, ...) WHOLE(last, 4, name, __VA_ARGS__)
#include "isa/sem.inc"
#undef SEM
#undef R_rs1
#define R_rs1 rs1_
#define SEM(name, ...) WHOLE(after, 4, name, __VA_ARGS__)
#include "isa/sem.inc"
#undef SEM
#undef LEN
#undef SEM_WITHOUT_FP
#define LEN 2
#define SEM(name, ...) WHOLE(after, 2, name, __VA_ARGS__)
#include "isa/sem.inc"
#undef SEM
#undef R_rs1
#define R_rs1 hart_x(h)[i->rs1]
#define SEM(name, ...) WHOLE(last, 2, name, __VA_ARGS__)
#include "isa/sem.inc"
#undef SEM
#undef LEN

/* The handlers of one instruction: mem_* reads rs1 from memory, acc_* finds it in acc. */
#define SINGLE(bytes, name)                                         \
    HANDLER mem##bytes##_##name(ARGS)                               \
    {                                                               \
        return last##bytes##_##name(h, ip, budget, base, acc);      \
    }                                                               \
    HANDLER acc##bytes##_##name(ARGS)                               \
    {                                                               \
        return after##bytes##_##name(h, ip, budget, base, acc);     \
    }
#define SEM(name, ...) SINGLE(2, name)
#include "isa/sem.inc"
#undef SEM
#define SEM_WITHOUT_FP
#define SEM(name, ...) SINGLE(4, name)
#include "isa/sem.inc"
#undef SEM
#undef SEM_WITHOUT_FP

/*
 * Floating point of 4 bytes, twice. Whatever calls and comes back (softfp, a NaN to be made canonical, an operand that is not
 * boxed) is a handler of its own, full_*, in which the fast one then ends, with nothing done or what may be done again. So
 * the fast one saves no registers.
 */
#define LEN 4
#define SEM(name, ...)                                          \
    static __attribute__((noinline, unused)) flow full_##name(ARGS) \
    {                                                           \
        OPERANDS(name);                    \
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
#define GO_FULL() return full(h, ip, budget, base, acc)
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
#define FP_HANDLER(form, name, ...)           \
    HANDLER form##4_##name(ARGS)              \
    {                                         \
        OPERANDS(name);  \
        const uint64_t rs1_ = acc;            \
        handler_fn *const full = full_##name; \
        (void)full, (void)i, (void)rs1_;      \
        budget--;                             \
        GATE(name)                            \
        __VA_ARGS__;                          \
        GO(slot_at(ip, LEN));                 \
    }
#define SEM(name, ...) FP_HANDLER(mem, name, __VA_ARGS__)
#include "isa/sem_fp.inc"
#undef SEM
#undef R_rs1
#define R_rs1 rs1_
#define SEM(name, ...) FP_HANDLER(acc, name, __VA_ARGS__)
#include "isa/sem_fp.inc"
#undef SEM
#undef LEN

#ifdef INTERP_MACHINE
#define illegal step
/* Jumps out of their page: sem_i.inc has all that know where to before they run. */
#undef R_rs1
#define R_rs1 hart_x(h)[i->rs1]
#undef BRANCH
#undef JUMP_REL
#define BRANCH(c)                                            \
    if (U(c)) {                                              \
        CROSS(pc_of(h, ip) + (uint64_t)(int64_t)i->imm);     \
    }
#define JUMP_REL() CROSS(pc_of(h, ip) + (uint64_t)(int64_t)i->imm)
#define LEN 4
#define SEM(name, ...) WHOLE(far, 4, name, __VA_ARGS__)
#include "isa/sem_i.inc"
#undef SEM
#undef LEN
#define LEN 2
#define SEM(name, ...) WHOLE(far, 2, name, __VA_ARGS__)
#include "isa/sem_i.inc"
#undef SEM
#undef LEN
#define FAR(bytes, name)                                            \
    HANDLER outside##bytes##_##name(ARGS)                           \
    {                                                               \
        return far##bytes##_##name(h, ip, budget, base, acc);       \
    }
#define FARS(X) X(beq) X(bne) X(blt) X(bge) X(bltu) X(bgeu) X(jal)
#define FAR_HANDLERS(name) FAR(2, name) FAR(4, name)
FARS(FAR_HANDLERS)
static handler_fn *const fars[OP_COUNT][2] = {
#define FAR_AT(name) [OP_##name] = {outside2_##name, outside4_##name},
    FARS(FAR_AT)};
#else
HANDLER
illegal(ARGS)
{
    (void)budget, (void)base;
    ILLEGAL();
}
#endif

/* By operation, length, and whether rs1 is in acc. */
static handler_fn *const singles[OP_COUNT][2][2] = {
    [OP_ILLEGAL] = {{illegal, illegal}, {illegal, illegal}},
#define INSN(name, match, mask, fmt, ext, cls) [OP_##name][1] = {mem4_##name, acc4_##name},
#define INSN16(name, match, mask, fmt, ext, of) [OP_##of][0] = {mem2_##of, acc2_##of},
#include "isa/insn.def"
#undef INSN
#undef INSN16
};

/* Fused pairs: mem and acc as above, for the first and for the second; the second's rs1 in acc is what the first wrote. */
#ifdef INTERP_MACHINE
#define PAIR(form, first_form, second, last_form, a, len_a, b, len_b)                              \
    HANDLER form##_##a##_##len_a##_##second##_##b##_##len_b(ARGS)                                  \
    {                                                                                              \
        const struct half half_ = first_form##_##a(h, ip, acc);                                    \
        if (unlikely(half_.aside != NULL)) {                                                       \
            return half_.aside(h, ip, budget, base, half_.acc);                                    \
        }                                                                                          \
        acc = half_.acc;                                                                           \
        return last_form##len_b##_##b(h, slot_at(ip, len_a), budget - 1, base, acc);               \
    }
#else
#define PAIR(form, first_form, second, last_form, a, len_a, b, len_b)                              \
    HANDLER form##_##a##_##len_a##_##second##_##b##_##len_b(ARGS)                                  \
    {                                                                                              \
        acc = first_form##_##a(h, ip, acc);                                                        \
        return last_form##len_b##_##b(h, slot_at(ip, len_a), budget - 1, base, acc);               \
    }
#endif
#define PAIR_HANDLER(a, len_a, b, len_b)                     \
    PAIR(mem, first, mem, last, a, len_a, b, len_b)          \
    PAIR(mem, first, acc, after, a, len_a, b, len_b)         \
    PAIR(acc, next, mem, last, a, len_a, b, len_b)           \
    PAIR(acc, next, acc, after, a, len_a, b, len_b)
#define PAIR_HANDLERS(a, len_a) FUSE_LAST(PAIR_HANDLER, a, len_a)
FUSE_FIRST(PAIR_HANDLERS)

/* Each is numbered from 1 by its place in its list. */
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
/* By first and last, and whether the rs1 of each is in acc. */
static handler_fn *const pairs[FIRST_COUNT][LAST_COUNT][2][2] = {
#define PAIR_AT(a, len_a, b, len_b)                                                              \
    [FIRST_##a##_##len_a][LAST_##b##_##len_b] = {                                                \
        {mem_##a##_##len_a##_mem_##b##_##len_b, mem_##a##_##len_a##_acc_##b##_##len_b},          \
        {acc_##a##_##len_a##_mem_##b##_##len_b, acc_##a##_##len_a##_acc_##b##_##len_b}},
#define PAIRS_AT(a, len_a) FUSE_LAST(PAIR_AT, a, len_a)
    FUSE_FIRST(PAIRS_AT)};

/* Its offset, as a slot has it. */
static int16_t
offset_of(handler_fn *fn)
{
    const int64_t bytes = (const char *)(uintptr_t)fn - HANDLER_BASE;
    CHECK(bytes % HANDLER_UNIT == 0 && bytes / HANDLER_UNIT == (int16_t)(bytes / HANDLER_UNIT));
    return (int16_t)(bytes / HANDLER_UNIT);
}

/* Does b find its rs1 in acc, if a comes right before it? */
static bool
in_acc(const struct insn *a, const struct insn *b)
{
    return b->rs1 == a->rd && interp_writes_x(a);
}

/* The handler that does a, and b behind it if those are fused (b may be NULL). */
static int16_t
handler_for(const struct insn *a, bool acc, const struct insn *b)
{
    if (b != NULL) {
        handler_fn *fn = pairs[first_ids[a->op][a->len / 4]][last_ids[b->op][b->len / 4]][acc][in_acc(a, b)];
        if (fn != NULL) {
            return offset_of(fn);
        }
    }
    return offset_of(singles[a->op][a->len / 4][acc]);
}

/* Swap rs1 and rs2, if that means the same. */
static bool
swap_sources(struct insn *i)
{
    switch (i->op) {
    case OP_add:
    case OP_addw:
    case OP_and:
    case OP_or:
    case OP_xor:
    case OP_mul:
    case OP_mulw:
    case OP_beq:
    case OP_bne: {
        const uint8_t rs1 = i->rs1;
        i->rs1 = i->rs2;
        i->rs2 = rs1;
        return true;
    }
    default:
        return false;
    }
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

/* Another form that means the same and finds more in acc, where only rs1 can be. */
static void
improve(struct insn *i, const struct insn *before)
{
    if (i->op == OP_add && i->rs1 == 0) { /* c.mv */
        i->op = OP_addi;
        i->rs1 = i->rs2;
        i->rs2 = 0;
    } else if (before != NULL && i->rs2 == before->rd && i->rs1 != i->rs2) {
        swap_sources(i);
    }
}

#ifdef INTERP_MACHINE
#include "engine/threaded_machine.inc"
#else
static uint32_t
both(handler_fn *fn)
{
    const uint16_t one = (uint16_t)offset_of(fn);
    return (uint32_t)one << 16 | one;
}

static flow uncached(ARGS);

static bool
is_decoded(const struct hart *h, const struct tslot *at)
{
    const struct tslot s = tslot_read(at);
    return tslot_handlers(&s) != 0 && tslot_handlers(&s) != h->engine->forgotten;
}

/*
 * May the slot be made that of `now`? A hart that is inside may have loaded the handler that it has, or had, and not yet
 * its operands; one that comes in sees what is here now.
 */
static bool
slot_is_free(const struct hart *h, const struct tslot *at, const struct insn *now)
{
    const struct tslot s = tslot_read(at);
    const uint32_t v = tslot_pack(now);
    return !tslot_was_used(at) || memcmp(s.operand, &v, sizeof v) == 0 ||
           ((!is_decoded(h, at) || tslot_handlers(&s) == both(uncached)) && engine_is_alone(h));
}

/* A pair that was not forgotten may read this slot and know in which order its sources are. */
static void
keep_order(const struct tslot *at, struct insn *i)
{
    const struct tslot s = tslot_read(at);
    if (swap_sources(i)) {
        const uint32_t v = tslot_pack(i);
        if (memcmp(s.operand, &v, sizeof v) != 0) {
            swap_sources(i);
        }
    }
}

/*
 * May run[k], to be written at `at`, rely on acc? Whatever falls into it must have written its rs1 last: there can be an
 * instruction of 2 bytes before it and one of 4, if code overlaps itself; and where code was replaced, another hart may be
 * inside the one that was there.
 */
static bool
can_use_acc(const struct hart *h, uint64_t at, const struct insn *run, unsigned k)
{
    if (k == 0 || at % 4096 < 4 || run[k].rs1 != run[k - 1].rd || !interp_writes_x(&run[k - 1])) {
        return false;
    }
    const unsigned len = run[k - 1].len;
    const bool before_used = tslot_was_used(slot_of(h->engine, at - len));
    const bool other_used = tslot_was_used(slot_of(h->engine, at - (6 - len)));
    if (!engine_is_alone(h)) {
        return !before_used && !other_used;
    }
    return !other_used || (k > 1 && len == 2 && run[k - 2].len == 2);
}

/* An instruction before the one at `at` is about to be written that this one may not know of: it must not rely on acc. */
static void
forbid_acc(const struct hart *h, uint64_t at)
{
    struct tslot *const to = slot_of(h->engine, at);
    const struct tslot s = tslot_read(to);
    uint32_t was = tslot_handlers(&s);
    const uint32_t now = (uint16_t)s.jump | (uint32_t)(uint16_t)s.jump << 16;
    if (was != now) { /* compared again, because it may be forgotten meanwhile */
        __atomic_compare_exchange_n((tslot_word *)(void *)to, &was, now, false, __ATOMIC_SEQ_CST, __ATOMIC_RELAXED);
    }
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
    struct insn run[RUN_MAX];
    unsigned n = 0;
    interp_fetch(h, pc, &run[0]);
    improve(&run[0], NULL);
    for (uint64_t at = pc; n < RUN_MAX;) {
        at += run[n].len;
        if (ends_run(&run[n++]) || n == RUN_MAX || at / 4096 != (at + 2) / 4096 || at / 4096 != pc / 4096 ||
            is_decoded(h, slot_of(en, at))) {
            break;
        }
        interp_fetch_ahead(h, at, &run[n]);
        improve(&run[n], &run[n - 1]);
    }
    if (!code_write_begin(en, epoch)) {
        return false;
    }
    code_page_decoded(en, pc);
    uint64_t end = pc;
    unsigned k = 0;
    for (; k < n; k++) {
        keep_order(slot_of(en, end), &run[k]);
        if (!slot_is_free(h, slot_of(en, end), &run[k])) {
            break;
        }
        end += run[k].len;
    }
    n = k;
    if (n == 0) {
        __atomic_store_n((tslot_word *)slot_of(en, pc), both(uncached), __ATOMIC_RELEASE);
    } else if (end % 4096 != 0 && !ends_run(&run[n - 1])) { /* at a page's start nothing relies on acc */
        forbid_acc(h, end);
    }
    /* Last to first: a fused handler's second half is complete before it can run. */
    while (k-- > 0) {
        const struct insn *const behind = k + 1 < n ? &run[k + 1] : NULL;
        end -= run[k].len;
        struct tslot s = {.jump = handler_for(&run[k], false, behind),
                          .fall = handler_for(&run[k], can_use_acc(h, end, run, k), behind)};
        const uint32_t v = tslot_pack(&run[k]);
        memcpy(s.operand, &v, sizeof v);
        tslot_write(slot_of(en, end), &s);
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
    interp_switch(h, 1);
    STOP;
}

/* A slot that could not be written: next time perhaps. */
static __attribute__((noinline, aligned(HANDLER_UNIT))) flow
uncached(ARGS)
{
    if (engine_is_alone(h)) {
        decode_run(h, pc_of(h, ip));
    }
    return execute_one(h, ip, budget, base, acc);
}

static __attribute__((noinline, aligned(HANDLER_UNIT))) flow
miss(ARGS)
{
    if (!decode_run(h, pc_of(h, ip))) {
        return execute_one(h, ip, budget, base, acc);
    }
    JUMP_TO(ip);
}

/* A slot that was decoded and is not any more: as miss, and another value. */
static __attribute__((noinline, aligned(HANDLER_UNIT))) flow
missed_again(ARGS)
{
    return miss(h, ip, budget, base, acc);
}

#ifdef INTERP_BASE_ZERO
#define interp_threaded interp_threaded_base0
#define interp_threaded_forgotten interp_threaded_base0_forgotten
#endif

uint32_t
interp_threaded_forgotten(void)
{
    return both(missed_again);
}

#endif

void
interp_threaded(struct hart *h, int64_t budget)
{
#ifdef INTERP_MACHINE
    const struct tslot *ip = slot_in(h, h->pc);
#else
    if (h->pc >= GUEST_TOP) {
        interp_leave_wild(h, h->pc);
    }
    const struct tslot *ip = slot_of(h->engine, h->pc);
    if (h->attention != 0 || budget <= 0) {
        leave_poll(h, ip);
    }
#endif
    const char *const base = HANDLER_BASE;
    uint64_t acc = 0;
#if TAIL
    JUMP_TO(ip);
#else
    int64_t offset = (int64_t)ip->jump * HANDLER_UNIT;
    while (ip != NULL) {
        flow f = ((handler_fn *)(base + offset))(h, ip, budget, base, acc);
        ip = f.ip;
        budget = f.budget;
        offset = f.offset;
        acc = f.acc;
    }
#endif
}
