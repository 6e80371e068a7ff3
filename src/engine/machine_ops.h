/*
 * machine_ops.h - the vocabulary where it means something else in a machine: memory, CSRs, privileged instructions
 *
 * Included behind interp_ops.h by an interpreter that is compiled with INTERP_MACHINE. Memory goes through the software TLB: what
 * it does not answer is a call (LOAD_MISS, …), which an interpreter whose handlers must not call redefines.
 */
#ifndef DOPPEL_MACHINE_OPS_H
#define DOPPEL_MACHINE_OPS_H

#include "engine/fp_formats.h"
#include "engine/interp_ops.h"
#include "engine/system_impl.h"

/* The interpreters by their other names, and what they call. */
#define interp_switch interp_switch_machine
#define interp_indirect interp_indirect_machine
#define interp_threaded interp_threaded_machine
#define interp_fetch machine_fetch
#define interp_leave_poll(h) return

#define MH mhart_of(h)

/* May floating point be used now, and is it noted that it was? Which instructions ask is their format's business. */
enum {
#define INSN(name, match, mask, fmt, ext, cls) FP_##name = FMT_IS_FP(fmt),
#define INSN16(name, match, mask, fmt, ext, of)
#include "isa/insn.def"
#undef INSN
#undef INSN16
};
#undef GATE
#define GATE(name)                                \
    if (FP_##name && unlikely(MH->p.fp_gate)) {   \
        FP_CLOSED();                              \
    }
#define FP_CLOSED()         \
    do {                    \
        AT_RISK();          \
        machine_fp_use(MH); \
    } while (0)

#undef MEM
#undef WILD
#define MEM(type, a) ((volatile type *)(uintptr_t)(a))

enum { BYTES_S8 = 1, BYTES_U8 = 1, BYTES_S16 = 2, BYTES_U16 = 2, BYTES_S32 = 4, BYTES_U32 = 4, BYTES_U64 = 8 };
#define EXTEND_S8(v) ((int64_t)(int8_t)(v))
#define EXTEND_U8(v) (v)
#define EXTEND_S16(v) ((int64_t)(int16_t)(v))
#define EXTEND_U16(v) (v)
#define EXTEND_S32(v) ((int64_t)(int32_t)(v))
#define EXTEND_U32(v) (v)
#define EXTEND_U64(v) (v)

/* Is there an entry of this table (load, store) for an aligned access? */
#define TLB_HAS(e, a, bytes) likely((e)->tag == tlb_tag(a, bytes, MH->t.data_key))

#undef LOAD
#define LOAD(type, addr)                                                  \
    ({                                                                    \
        const uint64_t a_ = U(addr);                                      \
        const struct tlb_entry *const e_ = &MH->t.load[tlb_index(a_)];    \
        uint64_t r_;                                                      \
        if (TLB_HAS(e_, a_, BYTES_##type)) {                              \
            r_ = (uint64_t)LOAD_##type(a_ + e_->addend);                  \
        } else {                                                          \
            r_ = LOAD_MISS(type, a_);                                     \
        }                                                                 \
        V(r_);                                                            \
    })
#define LOAD_MISS(type, a)                                                \
    ({                                                                    \
        AT_RISK();                                                        \
        (uint64_t)EXTEND_##type(machine_load(MH, a, BYTES_##type));       \
    })

#undef STORE
#define STORE(bits, addr, v)                                              \
    do {                                                                  \
        const uint64_t a_ = U(addr);                                      \
        const uint64_t v_ = U(v);                                         \
        const struct tlb_entry *const e_ = &MH->t.store[tlb_index(a_)];   \
        if (TLB_HAS(e_, a_, (bits) / 8)) {                                \
            *MEM(mem##bits, a_ + e_->addend) = (uint##bits##_t)v_;        \
        } else {                                                          \
            STORE_MISS(bits, a_, v_);                                     \
        }                                                                 \
    } while (0)
#define STORE_MISS(bits, a, v)                                            \
    do {                                                                  \
        AT_RISK();                                                        \
        machine_store(MH, a, (bits) / 8, v);                              \
    } while (0)

/* Where in the host an atomic access to guest address a_ goes, by the table `load` or `store`. */
#define ATOMIC_AT(table, bits, a)                                         \
    ({                                                                    \
        const struct tlb_entry *const e_ = &MH->t.table[tlb_index(a)];    \
        uint64_t host_;                                                   \
        if (TLB_HAS(e_, a, (bits) / 8)) {                                 \
            host_ = (a) + e_->addend;                                     \
        } else {                                                          \
            host_ = ATOMIC_MISS(table, bits, a);                          \
        }                                                                 \
        (AMEM_##bits *)(uintptr_t)host_;                                  \
    })
#define ATOMIC_MISS(table, bits, a)                                                            \
    ({                                                                                         \
        AT_RISK();                                                                             \
        (uint64_t)(uintptr_t)machine_atomic(MH, a, (bits) / 8, WRITES_##table);                \
    })
#define WRITES_load false
#define WRITES_store true

#undef ALIGNED
#undef AMEM
#undef LR
#undef SC
#undef AMO
#undef CAS
#undef CAS128
#define LR(bits, addr)                                                             \
    ({                                                                             \
        const uint64_t a_ = U(addr);                                               \
        AMEM_##bits *const p_ = ATOMIC_AT(load, bits, a_);                         \
        if (i->rm & 1) {                                                           \
            atomic_thread_fence(memory_order_seq_cst);                             \
        }                                                                          \
        const int##bits##_t v_ = (int##bits##_t)*(volatile AMEM_##bits *)p_;       \
        h->resv_addr = a_;                                                         \
        h->resv_size = (bits) / 8;                                                 \
        h->resv_value = (uint64_t)(int64_t)v_;                                     \
        V((int64_t)v_);                                                            \
    })
#define SC(bits, addr, v)                                                          \
    ({                                                                             \
        const uint64_t a_ = U(addr);                                               \
        const uint64_t v_ = U(v);                                                  \
        AMEM_##bits *const p_ = ATOMIC_AT(store, bits, a_);                        \
        const bool held_ = h->resv_size == (bits) / 8 && h->resv_addr == a_;       \
        h->resv_size = 0;                                                          \
        V(!(held_ && __sync_bool_compare_and_swap(p_, (uint##bits##_t)h->resv_value, (uint##bits##_t)v_))); \
    })
#define AMO(op, bits, addr, v)                                                     \
    ({                                                                             \
        const uint64_t a_ = U(addr);                                               \
        const uint##bits##_t v_ = (uint##bits##_t)U(v);                            \
        AMEM_##bits *const p_ = ATOMIC_AT(store, bits, a_);                        \
        V((int64_t)(int##bits##_t)AMO_##op(bits, p_, v_));                         \
    })
#define CAS(bits, addr, expect, v)                                                 \
    ({                                                                             \
        const uint64_t a_ = U(addr);                                               \
        const uint##bits##_t w_ = (uint##bits##_t)U(expect), v_ = (uint##bits##_t)U(v); \
        AMEM_##bits *const p_ = ATOMIC_AT(store, bits, a_);                        \
        V((int64_t)(int##bits##_t)__sync_val_compare_and_swap(p_, w_, v_));        \
    })
#define CAS128(addr)                    \
    do {                                \
        const uint64_t a_ = U(addr);    \
        AT_RISK();                      \
        machine_cas128(MH, i, a_);      \
    } while (0)

#undef CBO_MAY
#undef CBO_ZERO
#undef TOUCH
#undef CBO_INVAL
#define CBO_MAY(bit)                           \
    do {                                       \
        AT_RISK();                             \
        machine_cbo_may(MH, ENVCFG_##bit);     \
    } while (0)
#define CBO_ZERO(addr) machine_cbo_zero(MH, U(addr))
#define TOUCH(addr) machine_cbo(MH, U(addr))
#define CBO_INVAL(addr) machine_cbo(MH, U(addr))

#undef CSR
#define CSR(op, v, writes)                                                                      \
    ({                                                                                          \
        AT_RISK();                                                                              \
        V(machine_csr(MH, i->rd, (unsigned)i->imm, CSR_##op, U(v), U(writes) != 0));            \
    })

#undef LEAVE
#undef ECALL
#undef EBREAK
#undef ILLEGAL
#undef FP_ILLEGAL
#undef FENCE_I
#undef SRET
#undef MRET
#undef WFI
#undef SFENCE_VMA
#undef SFENCE_ORDER
#define ASIDE(call)  \
    do {             \
        AT_RISK();   \
        call;        \
    } while (0)
#define ECALL() ASIDE(machine_ecall(MH))
#define EBREAK() ASIDE(machine_ebreak(MH))
#define ILLEGAL() ASIDE(machine_illegal(MH))
#define FP_ILLEGAL() ASIDE(machine_illegal(MH))
#define FENCE_I() ASIDE(machine_fence_i(MH))
#define SRET() ASIDE(machine_sret(MH))
#define MRET() ASIDE(machine_mret(MH))
#define WFI() ASIDE(machine_wfi(MH))
#define SFENCE_VMA(by_va, va, by_asid, asid) ASIDE(machine_sfence(MH, U(by_va) != 0, U(va), U(by_asid) != 0, U(asid)))
#define SFENCE_ORDER() ASIDE(machine_sfence_order(MH))

#endif
