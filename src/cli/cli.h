/*
 * cli.h - what the commands of doppel share
 *
 * A command is a row of options.def and a function in cmd_*.c. It parses its arguments with opts_next(), prints its own
 * messages, and returns the exit status.
 */
#ifndef DOPPEL_CLI_H
#define DOPPEL_CLI_H

#include <stdbool.h>
#include <stddef.h>

/* Exit statuses that mean doppel itself, as env(1) and timeout(1) use them. */
enum {
    EXIT_DOPPEL = 125,        /* wrong usage, or doppel failed */
    EXIT_CANNOT_EXECUTE = 126, /* found, but not a program that can run */
    EXIT_NOT_FOUND = 127,
};

enum cmd_id {
#define CMD(name, args, help) CMD_##name,
#include "cli/options.def"
    CMD_COUNT,
};

enum opt_id {
#define OPT(cmd, id, short_name, long_name, value, help) OPT_##cmd##_##id,
#include "cli/options.def"
    OPT_COUNT,
};

#define CMD(name, args, help) int cmd_##name(int argc, char **argv);
#include "cli/options.def"

/* cmd_run.c: called by binfmt_misc; and as the program that an execve of the guest's asked for (process/exec.h). */
int run_binfmt(int argc, char **argv);
int run_resume(int argc, char **argv);

/* cmd_run.c: doppel run with these arguments, and a report of what was executed; NULL: without. */
struct prof_options {
    unsigned top;        /* rows of a table */
    int svg_fd, json_fd; /* own; or -1 */
};
int run_profiled(int argc, char **argv, const struct prof_options *prof);

/*
 * A walk over a command's arguments; start with {.cmd, .argc, .argv, .next = 1}. Options end at the first argument that
 * is none, or after "--". "-long" is accepted for "--long", as qemu-user spells it.
 */
struct opts {
    enum cmd_id cmd;
    int argc;
    char **argv;
    int next;          /* the first argument not yet taken */
    const char *value; /* of the option just returned; NULL if it takes none */
    const char *rest;  /* inside a cluster of short options */
    const char *shown; /* how the option just returned is spelled: "--cpu", "DOPPEL_CPU" */
    unsigned vars;     /* environment variables looked at */
};

/* The next option (enum opt_id); OPTS_END when arguments begin; OPTS_ERROR after a message on stderr. */
enum { OPTS_END = -1, OPTS_ERROR = -2 };
int opts_next(struct opts *o);

/* The next option that the environment asks for, or OPTS_END; a walk of its own. Only ENV rows count, and not under AT_SECURE. */
int opts_next_env(struct opts *o);

/* "doppel CMD: message", one line on stderr. Returns EXIT_DOPPEL. */
int cli_error(enum cmd_id cmd, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* How `cmd` is used, on stdout. */
void cli_usage(enum cmd_id cmd);

/* A row of help on stdout: `left`, and from `column` on `text`, on as many lines as it takes. */
void cli_help_row(const char *left, const char *text, int column);

#endif
