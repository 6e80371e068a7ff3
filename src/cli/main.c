/*
 * main.c - doppel COMMAND [ARG]…: find the command and call it
 */
#include "cli/cli.h"

#include "base/check.h"
#include "process/exec.h"

#include <errno.h>
#include <stdio.h>
#include <stdio_ext.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/resource.h>
#include <unistd.h>

static const struct {
    const char *name, *help;
    int (*run)(int argc, char **argv);
} cmds_[] = {
#define CMD(name, args, help) {#name, help, cmd_##name},
#include "cli/options.def"
};

static int
find(const char *name)
{
    for (unsigned i = 0; i < ARRAY_LEN(cmds_); i++) {
        if (strcmp(cmds_[i].name, name) == 0) {
            return (int)i;
        }
    }
    return -1;
}

static int
unknown(const char *name)
{
    fprintf(stderr, "doppel: no command '%s'; `doppel --help` lists them\n", name);
    return EXIT_DOPPEL;
}

static void
usage(void)
{
    printf("usage: doppel COMMAND [ARG]…\n");
    for (unsigned i = 0; i < ARRAY_LEN(cmds_); i++) {
        char left[32];
        snprintf(left, sizeof left, "  %s", cmds_[i].name);
        cli_help_row(left, cmds_[i].help, 15);
    }
    printf("`doppel help COMMAND` says more; `doppel --version` names the version.\n");
}

int
cmd_help(int argc, char **argv)
{
    if (argc < 2) {
        usage();
        return 0;
    }
    if (argc > 2) {
        return cli_error(CMD_help, "one command at a time: unexpected argument %s", argv[2]);
    }
    int i = find(argv[1]);
    if (i < 0) {
        return unknown(argv[1]);
    }
    cli_usage((enum cmd_id)i);
    return 0;
}

/* The kernel's way to call us for a guest's program: binfmt_misc with the flag P says so in AT_FLAGS. */
static bool
is_binfmt(void)
{
    enum { AT_FLAGS_PRESERVE_ARGV0 = 1 };
    return getauxval(AT_FLAGS) & AT_FLAGS_PRESERVE_ARGV0;
}

/* What was written to stdout has arrived there; if stdout was closed, nothing was. */
static int
finish(int status)
{
    const bool failed = ferror(stdout), pending = __fpending(stdout) != 0;
    if (failed || (fclose(stdout) != 0 && (pending || errno != EBADF))) {
        const char *why = failed && errno == 0 ? "it failed" : strerror(errno);
        fprintf(stderr, "doppel: write to stdout: %s\n", why);
        return EXIT_DOPPEL;
    }
    return status;
}

/* mount(2) of the user view takes 64 KiB, the deepest that there is; below 40 the program does not even begin. */
#define STACK_MIN (UINT64_C(128) << 10)

/* The limit of the stack lets us work. Called with next to no stack. */
static bool
stack_is_enough(void)
{
    struct rlimit rl;
    if (getrlimit(RLIMIT_STACK, &rl) != 0 || rl.rlim_cur >= STACK_MIN) {
        return true;
    }
    static const char text[] = "doppel: the stack may be no larger than ulimit -s says, and doppel needs 128 KiB\n";
    return write(2, text, sizeof text - 1) < 0 && false;
}

static __attribute__((noinline)) int
command(int argc, char **argv)
{
    if (argc > 0 && strcmp(argv[0], EXEC_MAGIC) == 0) {
        return run_resume(argc, argv);
    }
    if (is_binfmt()) {
        return run_binfmt(argc, argv);
    }
    const char *slash = argc > 0 ? strrchr(argv[0], '/') : NULL;
    if (argc > 0 && strncmp(slash != NULL ? slash + 1 : argv[0], "doppel", 6) != 0) {
        return cmd_run(argc, argv);
    }
    if (argc < 2) {
        fprintf(stderr, "doppel: no command; `doppel --help` lists them\n");
        return EXIT_DOPPEL;
    }
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0) {
        usage();
        return 0;
    }
    if (strcmp(argv[1], "--version") == 0) {
        printf("doppel " DOPPEL_VERSION "\n");
        return 0;
    }
    int i = find(argv[1]);
    if (i < 0) {
        return unknown(argv[1]);
    }
    if (argc > 2 && strcmp(argv[2], "--help") == 0) {
        cli_usage((enum cmd_id)i);
        return 0;
    }
    return cmds_[i].run(argc - 1, argv + 1);
}

int
main(int argc, char **argv)
{
    return stack_is_enough() ? finish(command(argc, argv)) : EXIT_DOPPEL;
}
