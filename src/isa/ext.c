/*
 * ext.c - extensions: names, combinations, what implies what
 *
 * Unprivileged ISA, naming conventions; the implications are those that each extension's chapter states.
 */
#include "isa/isa.h"

static const struct {
    const char *name;
    ext_set set;
    bool all; /* every member is needed, not any */
} exts_[EXT_COUNT_ALL] = {
#define EXT(id, text) [EXT_##id] = {text, EXT_BIT(id), true},
#define EXT_ANY(id, members) [EXT_##id] = {#id, members, false},
#define EXT_ALL(id, members) [EXT_##id] = {#id, members, true},
#include "isa/ext.def"
#undef EXT
#undef EXT_ANY
#undef EXT_ALL
};

bool
isa_ext_enabled(unsigned ext, ext_set exts)
{
    ext_set want = exts_[ext].set;
    return exts_[ext].all ? (exts & want) == want : (exts & want) != 0;
}

const char *
isa_ext_name(unsigned ext)
{
    return exts_[ext].name;
}

ext_set
isa_ext_close(ext_set e)
{
    static const struct {
        ext_set from, to;
    } implied[] = {
        {EXT_BIT(ZFH), EXT_BIT(ZFHMIN)},
        {EXT_BIT(ZFHMIN) | EXT_BIT(ZFA) | EXT_BIT(D), EXT_BIT(F)},
        {EXT_BIT(ZCB) | EXT_BIT(ZCMOP) | EXT_BIT(ZCD), EXT_BIT(ZCA)},
        {EXT_BIT(ZCD), EXT_BIT(D) | EXT_BIT(F)},
        {EXT_BIT(ZABHA) | EXT_BIT(ZACAS), EXT_BIT(ZAAMO)},
        {EXT_BIT(F) | EXT_BIT(ZICNTR) | EXT_BIT(ZIHPM), EXT_BIT(ZICSR)},
    };
    for (unsigned i = 0; i < sizeof implied / sizeof implied[0]; i++) {
        if (e & implied[i].from) {
            e |= implied[i].to;
        }
    }
    return e | EXT_BIT(I);
}
