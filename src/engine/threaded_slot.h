/*
 * threaded_slot.h - what the threaded interpreter keeps of an instruction: 8 bytes
 */
#ifndef DOPPEL_THREADED_SLOT_H
#define DOPPEL_THREADED_SLOT_H

#include "engine/engine_impl.h"

#include "base/check.h"

#include <assert.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

/*
 * The handlers are given by their offsets from a base, in units: for who jumps here, and for who comes from the instruction
 * before. 0 and 0: never used. The operands are packed as `shape` says. Written by one store.
 */
struct tslot {
    int16_t jump, fall;
    uint8_t operand[4];
} __attribute__((aligned(8)));
static_assert(sizeof(struct tslot) == 2 * THREADED_SCALE, "slot(pc) = bias + 4 * pc");
typedef uint64_t __attribute__((may_alias)) tslot_all;
typedef uint32_t __attribute__((may_alias)) tslot_word;
typedef int16_t __attribute__((may_alias)) tslot_imm;
/* Handlers are aligned to it, and less than 2^15 of it apart. */
#if defined(__OPTIMIZE__) && !defined(DOPPEL_SANITIZED) && !defined(INTERP_MACHINE)
#define HANDLER_UNIT 32
#elif defined(__OPTIMIZE__) && !defined(DOPPEL_SANITIZED) /* memory takes more code there */
#define HANDLER_UNIT 64
#else
#define HANDLER_UNIT 512
#endif

/*
 *           0     1     2     3
 *      R    rd    rs1   rs2   rs3, rm << 5
 *      I    rd    rs1   imm
 *      S    rs2   rs1   imm
 *      U    rd    imm (the upper 24 of 32 bits)
 *      J    rd    imm (24 bits)
 */
enum shape { SHAPE_R, SHAPE_I, SHAPE_S, SHAPE_U, SHAPE_J };
#define SHAPE_OF_FMT(fmt)                                                                                   \
    ((fmt) == FMT_S || (fmt) == FMT_B || (fmt) == FMT_FS                             ? SHAPE_S              \
     : (fmt) == FMT_I || (fmt) == FMT_IL || (fmt) == FMT_FL || (fmt) == FMT_SH6 || (fmt) == FMT_SH5 ||      \
             (fmt) == FMT_FENCE || (fmt) == FMT_CSR || (fmt) == FMT_CSRI || (fmt) == FMT_PREF ? SHAPE_I     \
     : (fmt) == FMT_U                                                                ? SHAPE_U              \
     : (fmt) == FMT_J                                                                ? SHAPE_J              \
                                                                                     : SHAPE_R)
enum {
#define INSN(name, match, mask, fmt, ext, cls) SHAPE_##name = SHAPE_OF_FMT(FMT_##fmt),
#define INSN16(name, match, mask, fmt, ext, of)
#include "isa/insn.def"
#undef INSN
#undef INSN16
};

static inline __attribute__((always_inline)) struct insn
tslot_unpack(const struct tslot *s, enum shape shape)
{
    const uint8_t *const o = s->operand;
    const uint32_t all = *(const tslot_word *)(const void *)o;
    const int16_t imm = *(const tslot_imm *)(const void *)(o + 2);
    switch (shape) {
    case SHAPE_R:
        return (struct insn){.rd = o[0], .rs1 = o[1], .rs2 = o[2], .rs3 = o[3] & 31, .rm = o[3] >> 5};
    case SHAPE_I:
        return (struct insn){.rd = o[0], .rs1 = o[1], .imm = imm};
    case SHAPE_S:
        return (struct insn){.rd = 32, .rs2 = o[0], .rs1 = o[1], .imm = imm};
    case SHAPE_U:
        return (struct insn){.rd = o[0], .imm = (int32_t)(all & ~UINT32_C(0xff))};
    case SHAPE_J:
        return (struct insn){.rd = o[0], .imm = (int32_t)all >> 8};
    }
    __builtin_unreachable();
}

/* The operands of a slot for i; i->rd as interp_fetch() leaves it. */
static inline uint32_t
tslot_pack(const struct insn *i)
{
    static const uint8_t shapes[OP_COUNT] = {
#define INSN(name, match, mask, fmt, ext, cls) [OP_##name] = SHAPE_##name,
#define INSN16(name, match, mask, fmt, ext, of)
#include "isa/insn.def"
#undef INSN
#undef INSN16
    };
    const enum shape shape = shapes[i->op];
    uint32_t v = 0;
    switch (shape) {
    case SHAPE_R:
        v = i->rd | (uint32_t)i->rs1 << 8 | (uint32_t)i->rs2 << 16 | (uint32_t)(i->rs3 | i->rm << 5) << 24;
        break;
    case SHAPE_I:
        v = i->rd | (uint32_t)i->rs1 << 8 | (uint32_t)i->imm << 16;
        break;
    case SHAPE_S:
        v = i->rs2 | (uint32_t)i->rs1 << 8 | (uint32_t)i->imm << 16;
        break;
    case SHAPE_U:
        v = i->rd | (uint32_t)i->imm;
        break;
    case SHAPE_J:
        v = i->rd | (uint32_t)i->imm << 8;
        break;
    }
    struct tslot s;
    memcpy(s.operand, &v, sizeof v);
    const struct insn again = tslot_unpack(&s, shape);
    CHECK(again.rd == i->rd && again.rs1 == i->rs1 && again.rs2 == i->rs2 && again.rs3 == i->rs3 && again.rm == i->rm &&
          again.imm == i->imm);
    return v;
}

static inline struct tslot
tslot_read(const struct tslot *at)
{
    struct tslot s;
    const uint64_t v = __atomic_load_n((const tslot_all *)(const void *)at, __ATOMIC_RELAXED);
    memcpy(&s, &v, sizeof s);
    return s;
}

static inline void
tslot_write(struct tslot *at, const struct tslot *s)
{
    uint64_t v;
    memcpy(&v, s, sizeof v);
    __atomic_store_n((tslot_all *)(void *)at, v, __ATOMIC_RELEASE);
}

static inline bool
tslot_was_used(const struct tslot *at)
{
    return __atomic_load_n((const tslot_all *)(const void *)at, __ATOMIC_RELAXED) != 0;
}

static inline uint32_t
tslot_handlers(const struct tslot *s)
{
    return (uint32_t)(uint16_t)s->fall << 16 | (uint16_t)s->jump;
}

#endif
