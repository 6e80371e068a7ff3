/*
 * opts.c - options parsed and explained from options.def
 *
 * Not getopt_long(): it keeps its state in globals, and knows nothing of one table for parsing, help and completion.
 */
#include "cli/cli.h"

#include "base/check.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>

static const struct {
    const char *name, *args, *help;
} cmds_[] = {
#define CMD(name, args, help) {#name, args, help},
#include "cli/options.def"
};

static const struct opt {
    enum cmd_id cmd;
    char short_name;
    const char *long_name, *value, *help;
    const char *shown; /* spelled out */
} opts_[] = {
#define OPT(cmd, id, short_name, long_name, value, help) {CMD_##cmd, short_name, long_name, value, help, "--" long_name},
#include "cli/options.def"
    {CMD_COUNT, 0, NULL, NULL, NULL}, /* so that the table is never empty */
};

static const struct {
    enum opt_id id;
    const char *name;
} vars_[] = {
#define ENV(cmd, id, variable) {OPT_##cmd##_##id, variable},
#include "cli/options.def"
};

static const char *const texts_[CMD_COUNT] = {
#define HELP(cmd, text) [CMD_##cmd] = text,
#include "cli/help.def"
#undef HELP
};

int
cli_error(enum cmd_id cmd, const char *fmt, ...)
{
    char text[1024];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    fprintf(stderr, "doppel %s: %s\n", cmds_[cmd].name, text);
    return EXIT_DOPPEL;
}

/* How wide a terminal shows UTF-8 text of ours. */
static int
columns(const char *s)
{
    int n = 0;
    for (; *s != 0; s++) {
        n += (*s & 0xc0) != 0x80;
    }
    return n;
}

void
cli_usage(enum cmd_id cmd)
{
    printf("usage: doppel %s%s%s\n%s\n", cmds_[cmd].name, cmds_[cmd].args[0] != 0 ? " " : "", cmds_[cmd].args,
           cmds_[cmd].help);
    for (const struct opt *p = opts_; p->cmd != CMD_COUNT; p++) {
        if (p->cmd != cmd) {
            continue;
        }
        char left[64];
        int n = snprintf(left, sizeof left, "  %c%c%s", p->short_name ? '-' : ' ',
                         p->short_name ? p->short_name : ' ', p->long_name ? "" : p->value ? " " : "");
        if (p->long_name) {
            n += snprintf(left + n, sizeof left - (size_t)n, "%s --%s%s", p->short_name ? "," : " ", p->long_name,
                          p->value && p->value[0] != '[' ? "=" : "");
        }
        bool optional = p->value && p->value[0] == '[';
        snprintf(left + n, sizeof left - (size_t)n, "%s%s", optional ? "[=" : "", p->value ? p->value + optional : "");
        printf("%s%*s %s\n", left, columns(left) < 30 ? 30 - columns(left) : 0, "", p->help);
    }
    if (texts_[cmd] != NULL) {
        fputs(texts_[cmd], stdout);
    }
}

/* Take the value of opts_[i]: `attached` if not NULL, else the next argument. */
static int
take(struct opts *o, int i, const char *shown, const char *attached)
{
    o->value = NULL;
    o->shown = opts_[i].shown;
    if (opts_[i].value == NULL) {
        if (attached != NULL) {
            cli_error(o->cmd, "%s takes no value", shown);
            return OPTS_ERROR;
        }
        return i;
    }
    if (opts_[i].value[0] == '[') {
        o->value = attached;
        return i;
    }
    if (attached == NULL && o->next < o->argc) {
        attached = o->argv[o->next++];
    }
    if (attached == NULL) {
        cli_error(o->cmd, "%s needs a value: %s", shown, opts_[i].value);
        return OPTS_ERROR;
    }
    o->value = attached;
    return i;
}

static int
find_long(enum cmd_id cmd, const char *name, size_t len)
{
    for (int i = 0; opts_[i].cmd != CMD_COUNT; i++) {
        const char *l = opts_[i].long_name;
        if (opts_[i].cmd == cmd && l != NULL && strlen(l) == len && memcmp(l, name, len) == 0) {
            return i;
        }
    }
    return OPTS_ERROR;
}

static int
next_short(struct opts *o)
{
    char c = *o->rest++, shown[] = {'-', c, 0};
    for (int i = 0; opts_[i].cmd != CMD_COUNT; i++) {
        if (opts_[i].cmd != o->cmd || opts_[i].short_name != c) {
            continue;
        }
        const char *attached = NULL;
        if (*o->rest == 0 || opts_[i].value != NULL) {
            attached = *o->rest ? o->rest : NULL;
            o->rest = NULL;
        }
        return take(o, i, shown, attached);
    }
    cli_error(o->cmd, "unknown option %s; see `doppel help %s`", shown, cmds_[o->cmd].name);
    return OPTS_ERROR;
}

int
opts_next(struct opts *o)
{
    if (o->rest != NULL) {
        return next_short(o);
    }
    const char *arg = o->next < o->argc ? o->argv[o->next] : NULL;
    if (arg == NULL || arg[0] != '-' || arg[1] == 0) {
        return OPTS_END;
    }
    o->next++;
    if (strcmp(arg, "--") == 0) {
        return OPTS_END;
    }
    const char *name = arg + (arg[1] == '-' ? 2 : 1);
    size_t len = strcspn(name, "=");
    /* A short option's value may look like anything: "-Efoo" is -E, not an unknown long option. */
    int i = arg[1] == '-' || len > 1 ? find_long(o->cmd, name, len) : OPTS_ERROR;
    if (i >= 0) {
        return take(o, i, arg, name[len] == '=' ? name + len + 1 : NULL);
    }
    if (arg[1] == '-') {
        cli_error(o->cmd, "unknown option %s; see `doppel help %s`", arg, cmds_[o->cmd].name);
        return OPTS_ERROR;
    }
    o->rest = name;
    return next_short(o);
}

int
opts_next_env(struct opts *o)
{
    while (o->vars < ARRAY_LEN(vars_) && !getauxval(AT_SECURE)) {
        unsigned k = o->vars++;
        const struct opt *p = &opts_[vars_[k].id];
        const char *v = getenv(vars_[k].name);
        if (p->cmd == o->cmd && v != NULL && *v != 0 && (p->value != NULL || strcmp(v, "0") != 0)) {
            o->value = p->value != NULL ? v : NULL;
            o->shown = vars_[k].name;
            return (int)vars_[k].id;
        }
    }
    return OPTS_END;
}
