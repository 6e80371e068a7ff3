/*
 * watch_ops.h - the vocabulary of memory where each access is looked at before it happens
 *
 * Included behind interp_ops.h by an interpreter that is compiled with INTERP_WATCH. An access that something waits for ends engine_run with
 * EXIT_WATCH, and has not happened.
 */
#ifndef DOPPEL_WATCH_OPS_H
#define DOPPEL_WATCH_OPS_H

#define interp_switch interp_switch_watch

enum { BYTES_S8 = 1, BYTES_U8 = 1, BYTES_S16 = 2, BYTES_U16 = 2, BYTES_S32 = 4, BYTES_U32 = 4, BYTES_U64 = 8 };

#undef LOAD
#define LOAD(type, addr)                                       \
    ({                                                         \
        const uint64_t a_ = U(addr);                           \
        WILD(a_, false);                                       \
        debug_access(h, a_, BYTES_##type, true, false);        \
        V(LOAD_##type(a_));                                    \
    })

#undef STORE
#define STORE(bits, addr, v)                                   \
    do {                                                       \
        const uint64_t a_ = U(addr);                           \
        const uint64_t v_ = U(v);                              \
        WILD(a_, true);                                        \
        debug_access(h, a_, (bits) / 8, false, true);          \
        *MEM(mem##bits, a_) = (uint##bits##_t)v_;              \
    } while (0)

#undef WATCHED
#define WATCHED(a, bytes, store) debug_access(h, a, bytes, true, store)

#undef CBO_ZERO
#define CBO_ZERO(addr)                                         \
    do {                                                       \
        const uint64_t a_ = U(addr) & ~UINT64_C(63);           \
        WILD(a_, true);                                        \
        debug_access(h, a_, 64, false, true);                  \
        for (unsigned k_ = 0; k_ < 64; k_ += 8) {              \
            *MEM(mem64, a_ + k_) = 0;                          \
        }                                                      \
    } while (0)

#endif
