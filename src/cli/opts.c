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
#include <sys/ioctl.h>
#include <unistd.h>

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

/* ---- help ---- */

#define WIDTH       80  /* of what is no terminal */
#define WIDTH_MAX   100 /* nobody likes to read longer lines */
#define TEXT_COLUMN 28  /* where what is said of an option begins */

static int
help_width(void)
{
    struct winsize w;
    if (!isatty(1) || ioctl(1, TIOCGWINSZ, &w) != 0 || w.ws_col < 2 * TEXT_COLUMN) {
        return WIDTH;
    }
    return w.ws_col < WIDTH_MAX ? w.ws_col : WIDTH_MAX;
}

/* How wide a terminal shows UTF-8 text of ours. */
static int
columns(const char *s, size_t bytes)
{
    int n = 0;
    for (size_t i = 0; i < bytes; i++) {
        n += (s[i] & 0xc0) != 0x80;
    }
    return n;
}

/* Its words, from column `at` on, and where a line is full in the next from column `indent` on; and the line's end. */
static void
put_words(const char *text, size_t bytes, int at, int indent, int width)
{
    static const char blanks[] = " \n";
    const char *end = text + bytes;
    bool first = true;
    for (text += strspn(text, blanks); text < end; text += strspn(text, blanks)) {
        size_t n = strcspn(text, blanks);
        n = n < (size_t)(end - text) ? n : (size_t)(end - text);
        const int wide = columns(text, n);
        if (!first && at + 1 + wide > width) {
            printf("\n%*s", indent, "");
            at = indent;
            first = true;
        }
        if (!first) {
            putchar(' ');
            at++;
        }
        fwrite(text, 1, n, stdout);
        at += wide;
        text += n;
        first = false;
    }
    putchar('\n');
}

static void
put_row(const char *left, const char *text, size_t bytes, int column)
{
    const int n = columns(left, strlen(left));
    printf("%s%s%*s", left, n < column ? "" : "\n", n < column ? column - n : column, "");
    put_words(text, bytes, column, column, help_width());
}

void
cli_help_row(const char *left, const char *text, int column)
{
    put_row(left, text, strlen(text), column);
}

static size_t
indent_of(const char *line)
{
    return strspn(line, " ");
}

/* The bytes from `text` on, `n` of them in its line, with the lines behind it that `goes_on` takes for the same piece. */
static size_t
piece(const char *text, size_t n, bool goes_on(const char *line))
{
    while (text[n] == '\n' && text[n + 1] != 0 && goes_on(text + n + 1)) {
        n += 1 + strcspn(text + n + 1, "\n");
    }
    return n;
}

static bool
is_paragraph(const char *line)
{
    return strchr(" \n", *line) == NULL;
}

static bool
is_row_rest(const char *line)
{
    return indent_of(line) > 4;
}

/*
 * The text of help.def as wide as there is room. What begins in column 0 is a paragraph; in column 2, a row of a table, of which the
 * first says where the second column is; elsewhere, an example, which stays as it is.
 */
static void
put_text(const char *text)
{
    int column = 0;
    while (*text != 0) {
        size_t n = strcspn(text, "\n");
        const char *gap = indent_of(text) == 2 ? memmem(text + 2, n - 2, "  ", 2) : NULL;
        if (gap != NULL) {
            const size_t left = (size_t)(gap - text), at = left + indent_of(gap);
            char head[64];
            snprintf(head, sizeof head, "%.*s", (int)left, text);
            column = column != 0 ? column : (int)at;
            n = piece(text, n, is_row_rest);
            put_row(head, text + at, n - at, column);
        } else if (is_paragraph(text)) {
            n = piece(text, n, is_paragraph);
            put_words(text, n, 0, 0, help_width());
        } else {
            printf("%.*s\n", (int)n, text);
        }
        column = gap != NULL ? column : 0;
        text += n + (text[n] == '\n');
    }
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
        cli_help_row(left, p->help, TEXT_COLUMN);
    }
    if (texts_[cmd] != NULL) {
        put_text(texts_[cmd]);
    }
}

/* ---- parsing ---- */

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
