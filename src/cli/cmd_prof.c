/*
 * cmd_prof.c - doppel prof [OPTION]… PROGRAM [ARG]…: doppel run, and a report of what was executed
 *
 * Its own options are taken here; the others are handed to cmd_run.c, spelled out. Exit status: as of doppel run.
 */
#include "cli/cli.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define TOP_DEFAULT 20

static int
open_output(const char *name, int flags, int *fd)
{
    *fd = open(name, flags | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    return *fd >= 0 ? 0 : cli_error(CMD_prof, "%s: %s", name, strerror(errno));
}

static int
parse_top(const char *text, unsigned *top)
{
    char *end;
    errno = 0;
    const unsigned long n = strtoul(text, &end, 10);
    if (!isdigit((unsigned char)*text) || *end != 0 || errno != 0 || n > 1000000) {
        return cli_error(CMD_prof, "--top: a number up to 1000000: %s", text);
    }
    *top = (unsigned)n;
    return 0;
}

int
cmd_prof(int argc, char **argv)
{
    struct opts o = {.cmd = CMD_prof, .argc = argc, .argv = argv, .next = 1};
    struct prof_options prof = {.top = TOP_DEFAULT, .svg_fd = -1, .json_fd = -1};
    const char *svg = NULL, *json = NULL;
    char **pass = calloc((size_t)argc + 3, sizeof *pass);
    int n = 0, err = 0, id;
    if (pass == NULL) {
        return cli_error(CMD_prof, "no memory");
    }
    pass[n++] = argv[0];
    while (err == 0 && (id = opts_next(&o)) != OPTS_END) {
        if (id == OPTS_ERROR) {
            return EXIT_DOPPEL;
        }
        if (id == OPT_prof_top) {
            err = parse_top(o.value, &prof.top);
        } else if (id == OPT_prof_svg) {
            svg = o.value;
        } else if (id == OPT_prof_json) {
            json = o.value;
        } else if (asprintf(&pass[n++], o.value != NULL ? "%s=%s" : "%s", o.shown, o.value) < 0) {
            err = cli_error(CMD_prof, "no memory");
        }
    }
    if (err == 0 && o.next >= argc) {
        err = cli_error(CMD_prof, "no PROGRAM; see `doppel help prof`");
    }
    if (err == 0 && svg != NULL) {
        err = open_output(svg, O_RDWR, &prof.svg_fd);
    }
    if (err == 0 && json != NULL) {
        err = open_output(json, O_WRONLY | O_APPEND, &prof.json_fd);
    }
    if (err != 0) {
        return err;
    }
    pass[n++] = (char *)(uintptr_t)"--";
    memcpy(pass + n, argv + o.next, (size_t)(argc - o.next) * sizeof *pass);
    return run_profiled(n + argc - o.next, pass, &prof);
}
