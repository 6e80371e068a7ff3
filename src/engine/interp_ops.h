/*
 * interp_ops.h - the vocabulary of isa/sem.inc as plain arithmetic: what all four interpreters share
 *
 * An interpreter defines, before it includes this and sem.inc: LEN (bytes of the instruction), PC, AT_RISK() (make the
 * state exact, for what follows may fault), BRANCH, JUMP, JUMP_REL. In scope are `h` (struct hart *) and `i` (const
 * struct insn *), whose rd is 32 (h->x_sink) where the instruction names x0: interp_decode() sees to that.
 *
 * No local whose address is taken may appear in a handler: it would forbid the tail call to the next one.
 */
#ifndef DOPPEL_INTERP_OPS_H
#define DOPPEL_INTERP_OPS_H

#include "engine/engine_impl.h"

#include <stdatomic.h>
#include <string.h>

#define likely(x) __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)

/* A guest value. Opaque in the checking build, so that a C operator on it does not compile (DESIGN, rule 1). */
#ifdef DOPPEL_OPAQUE_VALUES
typedef struct {
    uint64_t bits;
} val;
#define V(u) ((val){(uint64_t)(u)})
#define U(v) ((v).bits)
#else
typedef uint64_t val;
#define V(u) ((uint64_t)(u))
#define U(v) ((uint64_t)(v))
#endif
#define S(v) ((int64_t)U(v))

/* x[32] is x_sink: the array and the member after it are reached through one pointer. */
static inline uint64_t *
hart_x(struct hart *h)
{
    return (uint64_t *)(void *)h;
}

#define R(r) V(R_##r)
#define R_rs1 hart_x(h)[i->rs1]
#define R_rs2 hart_x(h)[i->rs2]
#define W(r, v) (hart_x(h)[i->r] = U(v))
#define R_RD() V(i->rd == 32 ? 0 : hart_x(h)[i->rd])
#define IMM V((int64_t)i->imm)
#define K(c) V((int64_t)(c))
#define LINK V(U(PC) + LEN)
#define LET(t, e) const val t = (e)
#define NOP() ((void)0)

#define ADD(a, b) V(U(a) + U(b))
#define SUB(a, b) V(U(a) - U(b))
#define MUL(a, b) V(U(a) * U(b))
#define AND(a, b) V(U(a) & U(b))
#define OR(a, b) V(U(a) | U(b))
#define XOR(a, b) V(U(a) ^ U(b))
#define NOT(a) V(~U(a))
#define SLL(a, b) V(U(a) << (U(b) & 63))
#define SRL(a, b) V(U(a) >> (U(b) & 63))
#define SRA(a, b) V(S(a) >> (U(b) & 63))
#define SRLW(a, b) V((uint32_t)U(a) >> (U(b) & 31))
#define SEXT8(a) V((int64_t)(int8_t)U(a))
#define SEXT16(a) V((int64_t)(int16_t)U(a))
#define SEXT32(a) V((int64_t)(int32_t)U(a))
#define ZEXT8(a) V((uint8_t)U(a))
#define ZEXT16(a) V((uint16_t)U(a))
#define ZEXT32(a) V((uint32_t)U(a))
#define EQ(a, b) V(U(a) == U(b))
#define NE(a, b) V(U(a) != U(b))
#define LT(a, b) V(S(a) < S(b))
#define GE(a, b) V(S(a) >= S(b))
#define LTU(a, b) V(U(a) < U(b))
#define GEU(a, b) V(U(a) >= U(b))
#define SELECT(c, a, b) V(U(c) ? U(a) : U(b))
#define MIN(a, b) V(S(a) < S(b) ? U(a) : U(b))
#define MAX(a, b) V(S(a) > S(b) ? U(a) : U(b))
#define MINU(a, b) V(U(a) < U(b) ? U(a) : U(b))
#define MAXU(a, b) V(U(a) > U(b) ? U(a) : U(b))
#define MULH(a, b) V((uint64_t)(((__int128)S(a) * S(b)) >> 64))
#define MULHU(a, b) V((uint64_t)(((unsigned __int128)U(a) * U(b)) >> 64))
#define MULHSU(a, b) V((uint64_t)(((__int128)S(a) * (__int128)U(b)) >> 64))
#define DIV(a, b) V(op_div(U(a), U(b)))
#define DIVU(a, b) V(U(b) ? U(a) / (U(b) ? U(b) : 1) : ~UINT64_C(0))
#define REM(a, b) V(op_rem(U(a), U(b)))
#define REMU(a, b) V(U(b) ? U(a) % (U(b) ? U(b) : 1) : U(a))
#define CLZ(a) V(U(a) ? (unsigned)__builtin_clzll(U(a)) : 64)
#define CTZ(a) V(U(a) ? (unsigned)__builtin_ctzll(U(a)) : 64)
#define CLZ32(a) V((uint32_t)U(a) ? (unsigned)__builtin_clz((uint32_t)U(a)) : 32)
#define CTZ32(a) V((uint32_t)U(a) ? (unsigned)__builtin_ctz((uint32_t)U(a)) : 32)
#define CPOP(a) V(op_cpop(U(a)))
#define REV8(a) V(__builtin_bswap64(U(a)))
#define BREV8(a) V(op_brev8(U(a)))
#define ORCB(a) V(op_orcb(U(a)))
#define ROL(a, b) V(U(a) << (U(b) & 63) | U(a) >> (-U(b) & 63))
#define ROR(a, b) V(U(a) >> (U(b) & 63) | U(a) << (-U(b) & 63))
#define ROLW(a, b) V((uint32_t)U(a) << (U(b) & 31) | (uint32_t)U(a) >> (-U(b) & 31))
#define RORW(a, b) V((uint32_t)U(a) >> (U(b) & 31) | (uint32_t)U(a) << (-U(b) & 31))
#define CLMUL(a, b) V(op_clmul(U(a), U(b)))
#define CLMULH(a, b) V(op_clmulh(U(a), U(b)))

static inline uint64_t
op_div(uint64_t a, uint64_t b)
{
    if (unlikely(b == 0)) {
        return ~UINT64_C(0);
    }
    if (unlikely(b == ~UINT64_C(0))) {
        return -a; /* also the overflow: -INT64_MIN is INT64_MIN */
    }
    return (uint64_t)((int64_t)a / (int64_t)b);
}

static inline uint64_t
op_rem(uint64_t a, uint64_t b)
{
    if (unlikely(b == 0)) {
        return a;
    }
    if (unlikely(b == ~UINT64_C(0))) {
        return 0;
    }
    return (uint64_t)((int64_t)a % (int64_t)b);
}

/* The baseline host has no popcnt. */
static inline uint64_t
op_cpop(uint64_t a)
{
    a -= (a >> 1) & UINT64_C(0x5555555555555555);
    a = (a & UINT64_C(0x3333333333333333)) + ((a >> 2) & UINT64_C(0x3333333333333333));
    a = (a + (a >> 4)) & UINT64_C(0x0f0f0f0f0f0f0f0f);
    return (a * UINT64_C(0x0101010101010101)) >> 56;
}

static inline uint64_t
op_brev8(uint64_t a)
{
    a = (a & UINT64_C(0x5555555555555555)) << 1 | ((a >> 1) & UINT64_C(0x5555555555555555));
    a = (a & UINT64_C(0x3333333333333333)) << 2 | ((a >> 2) & UINT64_C(0x3333333333333333));
    return (a & UINT64_C(0x0f0f0f0f0f0f0f0f)) << 4 | ((a >> 4) & UINT64_C(0x0f0f0f0f0f0f0f0f));
}

static inline uint64_t
op_orcb(uint64_t a)
{
    a |= (a >> 1) & UINT64_C(0x7f7f7f7f7f7f7f7f);
    a |= (a >> 2) & UINT64_C(0x3f3f3f3f3f3f3f3f);
    a |= (a >> 4) & UINT64_C(0x0f0f0f0f0f0f0f0f);
    return (a & UINT64_C(0x0101010101010101)) * 255;
}

static inline uint64_t
op_clmul(uint64_t a, uint64_t b)
{
    uint64_t r = 0;
    for (unsigned k = 0; k < 64; k++) {
        r ^= (a << k) & -(b >> k & 1);
    }
    return r;
}

static inline uint64_t
op_clmulh(uint64_t a, uint64_t b)
{
    uint64_t r = 0;
    for (unsigned k = 1; k < 64; k++) {
        r ^= (a >> (64 - k)) & -(b >> k & 1);
    }
    return r;
}

/*
 * Guest memory. Addresses are checked against the guest's top here, so a wild pointer can name no memory of the
 * monitor's; whether something is mapped is the host MMU's answer (engine_fault). The last page below GUEST_TOP is never
 * mapped, so an access that starts below the top cannot reach beyond it. A load or store is one host instruction, relaxed
 * and possibly misaligned (Zicclsm).
 */
typedef uint8_t __attribute__((may_alias)) mem8;
typedef uint16_t __attribute__((may_alias, aligned(1))) mem16;
typedef uint32_t __attribute__((may_alias, aligned(1))) mem32;
typedef uint64_t __attribute__((may_alias, aligned(1))) mem64;

#ifdef INTERP_BASE_ZERO
#define GUEST_BASE(h) UINT64_C(0)
#else
#define GUEST_BASE(h) ((h)->engine->cfg.guest_base)
#endif

#define MEM(type, a) ((volatile type *)(uintptr_t)((a) + GUEST_BASE(h)))

#define WILD(a, write)                             \
    do {                                           \
        if (unlikely((a) >= GUEST_TOP)) {          \
            interp_leave_fault(h, a, write);       \
        }                                          \
    } while (0)

#define LOAD(type, addr)                    \
    ({                                      \
        const uint64_t a_ = U(addr);        \
        AT_RISK();                          \
        WILD(a_, false);                    \
        V(LOAD_##type(a_));                 \
    })
#define LOAD_S8(a) ((int64_t)(int8_t)*MEM(mem8, a))
#define LOAD_U8(a) (*MEM(mem8, a))
#define LOAD_S16(a) ((int64_t)(int16_t)*MEM(mem16, a))
#define LOAD_U16(a) (*MEM(mem16, a))
#define LOAD_S32(a) ((int64_t)(int32_t)*MEM(mem32, a))
#define LOAD_U32(a) (*MEM(mem32, a))
#define LOAD_U64(a) (*MEM(mem64, a))

#define STORE(bits, addr, v)                      \
    do {                                          \
        const uint64_t a_ = U(addr);              \
        const uint64_t v_ = U(v);                 \
        AT_RISK();                                \
        WILD(a_, true);                           \
        *MEM(mem##bits, a_) = (uint##bits##_t)v_; \
    } while (0)

/*
 * x86's order is total but for stores passed by later loads: only a fence that orders W before R costs anything.
 * imm is fm, pred, succ: pred.W is bit 4, succ.R bit 1, pred.O bit 6, succ.I bit 3 (memory is all that a program has).
 */
#define FENCE()                                                  \
    do {                                                         \
        if ((i->imm & 0x50) != 0 && (i->imm & 0x0a) != 0) {      \
            atomic_thread_fence(memory_order_seq_cst);           \
        }                                                        \
        atomic_signal_fence(memory_order_seq_cst);               \
    } while (0)
#define FENCE_TSO() atomic_signal_fence(memory_order_seq_cst)
#define PAUSE() __builtin_ia32_pause()

#define WATCHED(a, bytes, store) ((void)0)
#define ALIGNED_TO(a, bytes, store)                                   \
    do {                                                              \
        AT_RISK();                                                    \
        WILD(a, true);                                                \
        if (unlikely(((a) & ((bytes)-1)) != 0)) {                     \
            interp_leave(h, EXIT_MISALIGNED, a);                      \
        }                                                             \
        WATCHED(a, bytes, store);                                     \
    } while (0)
#define ALIGNED(a, bytes) ALIGNED_TO(a, bytes, true)

typedef uint32_t __attribute__((may_alias)) amem32;
typedef uint64_t __attribute__((may_alias)) amem64;
typedef uint16_t __attribute__((may_alias)) amem16;
#define AMEM(bits, a) ((AMEM_##bits *)(uintptr_t)((a) + GUEST_BASE(h)))
#define AMEM_8 mem8
#define AMEM_16 amem16
#define AMEM_32 amem32
#define AMEM_64 amem64

/* The reservation: address, size and the value seen; SC is a compare-and-swap against that value (docs/limits.md: ABA). */
#define LR(bits, addr)                                                             \
    ({                                                                             \
        const uint64_t a_ = U(addr);                                               \
        ALIGNED_TO(a_, (bits) / 8, false);                                         \
        if (i->rm & 1) {                                                           \
            atomic_thread_fence(memory_order_seq_cst);                             \
        }                                                                          \
        const int##bits##_t v_ = (int##bits##_t)*(volatile AMEM_##bits *)AMEM(bits, a_); \
        h->resv_addr = a_;                                                         \
        h->resv_size = (bits) / 8;                                                 \
        h->resv_value = (uint64_t)(int64_t)v_;                                     \
        V((int64_t)v_);                                                            \
    })
#define SC(bits, addr, v)                                                          \
    ({                                                                             \
        const uint64_t a_ = U(addr);                                               \
        const uint64_t v_ = U(v);                                                  \
        ALIGNED(a_, (bits) / 8);                                                   \
        const bool held_ = h->resv_size == (bits) / 8 && h->resv_addr == a_;       \
        h->resv_size = 0;                                                          \
        V(!(held_ && __sync_bool_compare_and_swap(AMEM(bits, a_), (uint##bits##_t)h->resv_value, \
                                                  (uint##bits##_t)v_)));           \
    })

#define AMO(op, bits, addr, v)                                                     \
    ({                                                                             \
        const uint64_t a_ = U(addr);                                               \
        const uint##bits##_t v_ = (uint##bits##_t)U(v);                            \
        ALIGNED(a_, (bits) / 8);                                                   \
        AMEM_##bits *const p_ = AMEM(bits, a_);                                    \
        V((int64_t)(int##bits##_t)AMO_##op(bits, p_, v_));                         \
    })
#define AMO_ADD(bits, p, v) __atomic_fetch_add(p, v, __ATOMIC_SEQ_CST)
#define AMO_SWAP(bits, p, v) __atomic_exchange_n(p, v, __ATOMIC_SEQ_CST)
#define AMO_XOR(bits, p, v) __atomic_fetch_xor(p, v, __ATOMIC_SEQ_CST)
#define AMO_OR(bits, p, v) __atomic_fetch_or(p, v, __ATOMIC_SEQ_CST)
#define AMO_AND(bits, p, v) __atomic_fetch_and(p, v, __ATOMIC_SEQ_CST)
#define AMO_MIN(bits, p, v) AMO_LOOP(bits, p, (int##bits##_t)old_ < (int##bits##_t)(v) ? old_ : (v))
#define AMO_MAX(bits, p, v) AMO_LOOP(bits, p, (int##bits##_t)old_ > (int##bits##_t)(v) ? old_ : (v))
#define AMO_MINU(bits, p, v) AMO_LOOP(bits, p, old_ < (v) ? old_ : (v))
#define AMO_MAXU(bits, p, v) AMO_LOOP(bits, p, old_ > (v) ? old_ : (v))
#define AMO_LOOP(bits, p, new_value)                                               \
    ({                                                                             \
        uint##bits##_t old_, seen_ = *(volatile AMEM_##bits *)(p);                 \
        do {                                                                       \
            old_ = seen_;                                                          \
            seen_ = __sync_val_compare_and_swap(p, old_, (uint##bits##_t)(new_value)); \
        } while (seen_ != old_);                                                   \
        old_;                                                                      \
    })

#define CAS(bits, addr, expect, v)                                                 \
    ({                                                                             \
        const uint64_t a_ = U(addr);                                               \
        const uint##bits##_t e_ = (uint##bits##_t)U(expect), v_ = (uint##bits##_t)U(v); \
        ALIGNED(a_, (bits) / 8);                                                   \
        V((int64_t)(int##bits##_t)__sync_val_compare_and_swap(AMEM(bits, a_), e_, v_)); \
    })
#define CAS128(addr)                                       \
    do {                                                   \
        const uint64_t a_ = U(addr);                       \
        ALIGNED(a_, 16);                                   \
        interp_cas128(h, i, a_);                           \
    } while (0)

#define CBO_ZERO(addr)                                                   \
    do {                                                                 \
        const uint64_t a_ = U(addr) & ~UINT64_C(63);                     \
        AT_RISK();                                                       \
        WILD(a_, true);                                                  \
        for (unsigned k_ = 0; k_ < 64; k_ += 8) {                        \
            *MEM(mem64, a_ + k_) = 0;                                    \
        }                                                                \
    } while (0)
#define TOUCH(addr)                         \
    do {                                    \
        const uint64_t a_ = U(addr);        \
        AT_RISK();                          \
        WILD(a_, false);                    \
        (void)*MEM(mem8, a_);               \
    } while (0)

#define CSR(op, v, writes)                                                          \
    ({                                                                              \
        AT_RISK();                                                                  \
        V(interp_csr(h, (unsigned)i->imm, CSR_##op, U(v), U(writes) != 0));         \
    })

#define LEAVE(kind, addr)               \
    do {                                \
        AT_RISK();                      \
        interp_leave(h, kind, addr);    \
    } while (0)
#define ECALL() LEAVE(EXIT_ECALL, 0)
#define EBREAK() LEAVE(EXIT_EBREAK, 0)
#define ILLEGAL() LEAVE(EXIT_ILLEGAL, 0)
#define FP_ILLEGAL() LEAVE(EXIT_ILLEGAL, 0)
#define FENCE_I() LEAVE(EXIT_FENCE_I, LEN)

/* A machine's (machine_ops.h). */
#define GATE(name)
#define CBO_MAY(field) ((void)0)
#define CBO_INVAL(addr) ILLEGAL()
#define SRET() ILLEGAL()
#define MRET() ILLEGAL()
#define WFI() ILLEGAL()
#define SFENCE_VMA(by_va, va, by_asid, asid) ILLEGAL()
#define SFENCE_ORDER() ILLEGAL()

#endif
