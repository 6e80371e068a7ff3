/*
 * lockstep_replay.c - the interpreter of lockstep.h: decode and dispatch, its memory is the log
 */
#include "engine/interp_ops.h"

#include "engine/fp_ops.h"
#include "engine/interp_pc.h"
#include "engine/lockstep.h"

/* What is not as in the other interpreters: memory, and whatever would leave. */
#undef LOAD
#undef STORE
#undef ALIGNED
#undef LR
#undef SC
#undef AMO
#undef CAS
#undef CAS128
#undef CBO_ZERO
#undef TOUCH
#undef CSR
#undef LEAVE

#define STOP(why)      \
    do {               \
        c->stop = why; \
        goto stopped;  \
    } while (0)
#define NEED(what)        \
    do {                  \
        if (!(what)) {    \
            goto stopped; \
        }                 \
    } while (0)

#define BYTES_S8 1
#define BYTES_U8 1
#define BYTES_S16 2
#define BYTES_U16 2
#define BYTES_S32 4
#define BYTES_U32 4
#define BYTES_U64 8
#define CUT_S8(v) (int64_t)(int8_t)(v)
#define CUT_U8(v) (uint8_t)(v)
#define CUT_S16(v) (int64_t)(int16_t)(v)
#define CUT_U16(v) (uint16_t)(v)
#define CUT_S32(v) (int64_t)(int32_t)(v)
#define CUT_U32(v) (uint32_t)(v)
#define CUT_U64(v) (v)

#define LOAD(type, addr)                                                              \
    ({                                                                                \
        const struct access *const e_ = lockstep_access(c, U(addr), BYTES_##type, 0); \
        NEED(e_ != NULL);                                                             \
        const uint64_t v_ = (uint64_t)CUT_##type(e_->value);                          \
        NEED(lockstep_value(c, e_, v_));                                              \
        NEED(lockstep_memory(c, e_, v_));                                             \
        V(v_);                                                                        \
    })
#define STORE(bits, addr, v)                                                                    \
    do {                                                                                        \
        const uint64_t v_ = (uint##bits##_t)U(v);                                               \
        const struct access *const e_ = lockstep_access(c, U(addr), (bits) / 8, ACCESS_WRITES); \
        NEED(e_ != NULL);                                                                       \
        NEED((uint##bits##_t)e_->value == v_ || lockstep_value(c, e_, v_));                     \
        NEED(lockstep_memory(c, e_, v_));                                                       \
    } while (0)

/* What is not aligned is the interpreter's: translated code has left before. */
#define ALIGNED(a, bytes)               \
    do {                                \
        if (((a) & ((bytes)-1)) != 0) { \
            STOP(REPLAY_ENDS);          \
        }                               \
    } while (0)
#define LR(bits, addr)                                                                 \
    ({                                                                                 \
        const uint64_t a_ = U(addr);                                                   \
        ALIGNED(a_, (bits) / 8);                                                       \
        const struct access *const e_ = lockstep_access(c, a_, (bits) / 8, ACCESS_LR); \
        NEED(e_ != NULL);                                                              \
        const uint64_t v_ = (uint64_t)(int64_t)(int##bits##_t)e_->value;               \
        NEED(lockstep_value(c, e_, v_));                                               \
        NEED(c->pair != NULL || lockstep_memory(c, e_, v_));                           \
        h->resv_addr = a_;                                                             \
        h->resv_size = (bits) / 8;                                                     \
        h->resv_value = v_;                                                            \
        V(v_);                                                                         \
    })
/* One that might succeed does if the log says so: another hart may have been there before. */
#define SC(bits, addr, v)                                                                              \
    ({                                                                                                 \
        const uint64_t a_ = U(addr);                                                                   \
        const uint64_t v_ = (uint##bits##_t)U(v);                                                      \
        ALIGNED(a_, (bits) / 8);                                                                       \
        const bool held_ = h->resv_size == (bits) / 8 && h->resv_addr == a_;                           \
        const struct access *const e_ = lockstep_access(c, a_, (bits) / 8, ACCESS_WRITES | ACCESS_SC); \
        NEED(e_ != NULL);                                                                              \
        const bool pair_ = (e_->kind & ACCESS_PAIR) != 0;                                              \
        const uint64_t failed_ = !held_ || (!pair_ && e_->value != 0);                                 \
        NEED(pair_ || lockstep_value(c, e_, failed_));                                                 \
        NEED(failed_ || lockstep_memory(c, e_, v_));                                                   \
        h->resv_size = 0;                                                                              \
        V(failed_);                                                                                    \
    })
#define AMO(op, bits, addr, v)                                                             \
    ({                                                                                     \
        const uint64_t a_ = U(addr);                                                       \
        const uint##bits##_t v_ = (uint##bits##_t)U(v);                                    \
        ALIGNED(a_, (bits) / 8);                                                           \
        const struct access *const e_ = lockstep_access(c, a_, (bits) / 8, ACCESS_WRITES); \
        NEED(e_ != NULL);                                                                  \
        const int##bits##_t was_ = (int##bits##_t)e_->value;                               \
        uint##bits##_t cell_ = (uint##bits##_t)was_;                                       \
        (void)AMO_##op(bits, &cell_, v_);                                                  \
        NEED(lockstep_value(c, e_, (uint64_t)(int64_t)was_));                              \
        NEED(lockstep_memory(c, e_, cell_));                                               \
        V((int64_t)was_);                                                                  \
    })
#define CAS(bits, addr, expect, v)                                                            \
    ({                                                                                        \
        const uint64_t a_ = U(addr);                                                          \
        const uint##bits##_t x_ = (uint##bits##_t)U(expect), v_ = (uint##bits##_t)U(v);       \
        ALIGNED(a_, (bits) / 8);                                                              \
        const struct access *const e_ = lockstep_access(c, a_, (bits) / 8, ACCESS_WRITES);    \
        NEED(e_ != NULL);                                                                     \
        const int##bits##_t was_ = (int##bits##_t)e_->value;                                  \
        NEED(lockstep_value(c, e_, (uint64_t)(int64_t)was_));                                 \
        NEED(lockstep_memory(c, e_, (uint##bits##_t)was_ == x_ ? v_ : (uint##bits##_t)was_)); \
        V((int64_t)was_);                                                                     \
    })

/* No translation has these. */
#define CAS128(addr) ((void)(addr), ({ STOP(REPLAY_ENDS); }))
#define CBO_ZERO(addr) ((void)(addr), ({ STOP(REPLAY_ENDS); }))
#define TOUCH(addr) ((void)(addr), ({ STOP(REPLAY_ENDS); }))
#define LEAVE(kind, addr) STOP(REPLAY_ENDS)
/* Of the CSRs those of floating point; the clock is the interpreter's. */
#define CSR(op, v, writes)                                                  \
    ({                                                                      \
        if (i->imm < 1 || i->imm > 3) {                                     \
            STOP(REPLAY_ENDS);                                              \
        }                                                                   \
        V(interp_csr(h, (unsigned)i->imm, CSR_##op, U(v), U(writes) != 0)); \
    })

#define BACK_JUMPS 64 /* for each poll, at most: loops that stand twice poll in every other turn */

void
lockstep_replay(struct check *c)
{
    struct hart *const h = &c->shadow;
    const uint32_t *const words = c->en->jit->lockstep->words;
    uint64_t pc = h->pc;
    for (uint64_t back = 0;;) {
        bool faults = false, again = c->swaps == 2;
        if (pc == c->after.pc && c->next == c->end && c->pair == NULL && !again) {
            const enum lockstep_there there = lockstep_is_there(c, pc);
            if (there == LOCKSTEP_THERE && c->fault == NULL) {
                STOP(REPLAY_SAME);
            }
            faults = there == LOCKSTEP_THERE; /* the next instruction is to want that access */
            again = there == LOCKSTEP_NEARLY && lockstep_swap(c);
        }
        if (c->steps == c->limit || back > BACK_JUMPS * ((uint64_t)c->ran + 1)) {
            STOP(REPLAY_LOST);
        }
        const uint32_t word = pc < GUEST_TOP ? __atomic_load_n(&words[pc / 2], __ATOMIC_RELAXED) : 0;
        if (word == 0) {
            STOP(REPLAY_NO_CODE);
        }
        struct insn in;
        interp_decode(word, h->exts, &in);
        const struct insn *const i = &in;
        uint64_t next = pc + i->len;
        switch ((enum op)i->op) {
        case OP_ILLEGAL:
        case OP_COUNT:
            ILLEGAL();
            break;
#define SEM(name, ...) \
    case OP_##name: {  \
        __VA_ARGS__;   \
    } break;
#include "isa/sem.inc"
#undef SEM
        }
        if (faults) {
            STOP(REPLAY_NOT_LAST);
        }
        if (again) {
            if (c->swaps == 1) {
                lockstep_swap(c);
                continue;
            }
            if (lockstep_swap(c)) {
                STOP(REPLAY_SAME);
            }
            c->swaps = 0;
        }
        c->steps++;
        back += next <= pc;
        if (c->watch) {
            lockstep_watch(c, pc, next, word, i);
        }
        pc = next;
    }
stopped:
    h->pc = pc;
}
