/*
 * cpu_model.c - see cpu_model.h
 *
 * Profiles: RVA20U64, RVA22U64 (mandatory extensions of RISC-V Profiles 1.0). Zifencei is in both, because Linux asks for it.
 */
#include "cli/cpu_model.h"

#include "base/check.h"

#include <errno.h>
#include <string.h>
#include <strings.h>

#define RVA20 \
    (EXT_BIT(I) | EXT_BIT(M) | EXT_BIT(ZALRSC) | EXT_BIT(ZAAMO) | EXT_BIT(F) | EXT_BIT(D) | EXT_BIT(ZCA) | EXT_BIT(ZCD) | \
     EXT_BIT(ZICSR) | EXT_BIT(ZIFENCEI) | EXT_BIT(ZICNTR) | EXT_BIT(ZICCLSM))
#define RVA22 \
    (RVA20 | EXT_BIT(ZIHPM) | EXT_BIT(ZBA) | EXT_BIT(ZBB) | EXT_BIT(ZBS) | EXT_BIT(ZICBOM) | EXT_BIT(ZICBOP) | \
     EXT_BIT(ZICBOZ) | EXT_BIT(ZFHMIN) | EXT_BIT(ZIHINTPAUSE))
#define MAX ISA_USER

static const struct {
    const char *name;
    ext_set exts;
} models[] = {{"max", MAX}, {"rva22u64", RVA22}, {"rva20u64", RVA20}, {"rv64", MAX}},
  groups[] = {{"a", EXT_BIT(ZALRSC) | EXT_BIT(ZAAMO)},
              {"c", EXT_BIT(ZCA) | EXT_BIT(ZCD)},
              {"b", EXT_BIT(ZBA) | EXT_BIT(ZBB) | EXT_BIT(ZBS)}};

/* The extensions that a feature's name stands for; 0 if there is none of that name. */
static ext_set
feature(const char *name, size_t n)
{
    for (unsigned i = 0; i < ARRAY_LEN(groups); i++) {
        if (strlen(groups[i].name) == n && strncasecmp(groups[i].name, name, n) == 0) {
            return groups[i].exts;
        }
    }
    for (unsigned i = 0; i < EXT_COUNT; i++) {
        const char *have = isa_ext_name(i);
        if (n > 0 && strlen(have) == n && strncasecmp(have, name, n) == 0) {
            return MAX & UINT64_C(1) << i;
        }
    }
    return 0;
}

static ext_set
without(ext_set exts, ext_set gone)
{
    for (unsigned i = 0; i < EXT_COUNT; i++) {
        if (isa_ext_close(UINT64_C(1) << i) & gone & ~EXT_BIT(I)) {
            exts &= ~(UINT64_C(1) << i);
        }
    }
    return exts;
}

static int
toggle(const char *word, size_t n, ext_set *exts, struct err *e)
{
    size_t name_len = n;
    bool on = true;
    const char *name = word, *eq = memchr(word, '=', n);
    if (*name == '+' || *name == '-') {
        on = *name++ == '+';
        name_len--;
    } else if (eq != NULL) {
        name_len = (size_t)(eq - word);
        size_t left = n - name_len - 1;
        on = (left == 2 && strncmp(eq + 1, "on", 2) == 0) || (left == 4 && strncmp(eq + 1, "true", 4) == 0);
        if (!on && !(left == 3 && strncmp(eq + 1, "off", 3) == 0) && !(left == 5 && strncmp(eq + 1, "false", 5) == 0)) {
            return err_set(e, 0, "%.*s: on or off", (int)n, word);
        }
    }
    ext_set set = feature(name, name_len);
    if (set == 0) {
        return err_set(e, 0, "%.*s: no extension that a program could use", (int)name_len, name);
    }
    *exts = on ? isa_ext_close(*exts | set) : without(*exts, set);
    return 0;
}

int
cpu_model_parse(const char *text, ext_set *exts, struct err *e)
{
    size_t n = strcspn(text, ",");
    unsigned i = 0;
    while (i < ARRAY_LEN(models) && (strlen(models[i].name) != n || strncasecmp(models[i].name, text, n) != 0)) {
        i++;
    }
    if (i == ARRAY_LEN(models)) {
        return err_set(e, 0, "%.*s: no such model; there are rva20u64, rva22u64 and max, and ,zba=off or ,+zacas "
                             "after them", (int)n, text);
    }
    *exts = models[i].exts;
    for (text += n; *text == ','; text += n) {
        n = strcspn(++text, ",");
        int r = toggle(text, n, exts, e);
        if (r != 0) {
            return r;
        }
    }
    return 0;
}
