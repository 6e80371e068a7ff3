/*
 * ext.c - extensions: names, combinations, what implies what
 *
 * Unprivileged ISA, naming conventions; the implications are those that each extension's chapter
 * states.
 */
#include "isa/isa.h"

#include <ctype.h>
#include <string.h>

static const struct {
    const char *name;
    ext_set set;
    bool all; /* every member is needed, not any */
} exts_[EXT_COUNT_ALL] = {
#define EXT(id, text)              [EXT_##id] = {text, EXT_BIT(id), true},
#define EXT_ANY(id, text, members) [EXT_##id] = {text, members, false},
#define EXT_ALL(id, text, members) [EXT_##id] = {text, members, true},
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
isa_ext_members(unsigned ext)
{
    return exts_[ext].set;
}

/* Letters that stand for several extensions. */
static ext_set
letter_members(char c)
{
    switch (c) {
    case 'g':
        return EXT_BIT(M) | EXT_BIT(ZALRSC) | EXT_BIT(ZAAMO) | EXT_BIT(F) | EXT_BIT(D) |
               EXT_BIT(ZICSR) | EXT_BIT(ZIFENCEI);
    case 'a':
        return EXT_BIT(ZALRSC) | EXT_BIT(ZAAMO);
    case 'b':
        return EXT_BIT(ZBA) | EXT_BIT(ZBB) | EXT_BIT(ZBS);
    case 'c':
        return EXT_BIT(ZCA) | EXT_BIT(ZCD);
    default:
        return 0;
    }
}

static ext_set
by_name(const char *name, size_t len)
{
    for (unsigned i = 0; i < EXT_COUNT; i++) {
        if (strlen(exts_[i].name) == len && memcmp(exts_[i].name, name, len) == 0) {
            return exts_[i].set;
        }
    }
    return 0;
}

bool
isa_ext_parse(const char *string, ext_set *out)
{
    if (strncmp(string, "rv64", 4) != 0) {
        return false;
    }
    ext_set e = 0;
    for (const char *s = string + 4; *s != 0;) {
        size_t len = 1, version = 0;
        if (*s == '_') {
            s++;
            continue;
        }
        if (strchr("zsx", *s) != NULL) { /* a long name, up to the next _ */
            len = strcspn(s, "_");
            size_t digit = len;
            while (digit > 1 && isdigit((unsigned char)s[digit - 1])) {
                digit--;
            }
            /* "2p1" at the end is a version; "zve64d" and "sv39" have digits of their own. */
            if (digit < len && digit > 2 && s[digit - 1] == 'p' &&
                isdigit((unsigned char)s[digit - 2])) {
                for (digit--; digit > 1 && isdigit((unsigned char)s[digit - 1]); digit--) {
                }
                version = len - digit;
                len = digit;
            }
        } else {
            version = strspn(s + 1, "0123456789");
            if (version > 0 && s[1 + version] == 'p') {
                version += 1 + strspn(s + 2 + version, "0123456789");
            }
        }
        e |= len == 1 ? letter_members(*s) | by_name(s, 1) : by_name(s, len);
        if (strncmp(s, "i2p0", 4) == 0) { /* base 2.0 still held what became these two */
            e |= EXT_BIT(ZICSR) | EXT_BIT(ZIFENCEI);
        }
        s += len + version;
    }
    /* c means zcd only where there is d */
    if (!(e & EXT_BIT(D))) {
        e &= ~EXT_BIT(ZCD);
    }
    *out = isa_ext_close(e);
    return true;
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
