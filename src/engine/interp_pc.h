/*
 * interp_pc.h - where an interpreter is that decodes each instruction when it comes to it: at `pc`, and `next` after it
 *
 * For the meanings (interp_ops.h says what they ask for); `switch` and `indirect` differ in how they dispatch only.
 */
#ifndef DOPPEL_INTERP_PC_H
#define DOPPEL_INTERP_PC_H

#define PC V(pc)
#define LEN i->len
#define AT_RISK() ((void)0) /* h->pc is exact since the fetch */
#define BRANCH(c)                              \
    if (U(c)) {                                \
        next = pc + (uint64_t)(int64_t)i->imm; \
    }
#define JUMP(t) (next = U(t))
#define JUMP_REL() (next = pc + (uint64_t)(int64_t)i->imm)

#endif
