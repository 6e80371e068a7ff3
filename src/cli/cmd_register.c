/*
 * cmd_register.c - doppel register, doppel unregister: have the kernel call doppel for riscv64 programs (binfmt_misc)
 *
 * Needs root, and is for those who want it: doppel run and doppel's execve work without. The rule carries the flags P (the
 * program's own argv[0] is kept; by that doppel knows how it was called) and F (doppel is opened now, so that the rule holds in
 * chroots and containers). Documentation/admin-guide/binfmt-misc.rst.
 */
#include "cli/cli.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define BINFMT "/proc/sys/fs/binfmt_misc/"
#define RULE   "doppel-riscv64"

/* ELF, 64 bits, little-endian, executable or shared object, EM_RISCV; the ABI byte may be anything. */
#define MAGIC "\\x7fELF\\x02\\x01\\x01\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x02\\x00\\xf3\\x00"
#define MASK  "\\xff\\xff\\xff\\xff\\xff\\xff\\xff\\x00\\xff\\xff\\xff\\xff\\xff\\xff\\xff\\xff\\xfe\\xff\\xff\\xff"

/* Write text to a file of binfmt_misc. 0 or -errno. */
static int
tell(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0) {
        return -errno;
    }
    int r = write(fd, text, strlen(text)) < 0 ? -errno : 0;
    close(fd);
    return r;
}

/* Options of a command that has --help only; false: end with *status. */
static bool
no_arguments(enum cmd_id cmd, int argc, char **argv, int *status)
{
    struct opts o = {.cmd = cmd, .argc = argc, .argv = argv, .next = 1};
    int id = opts_next(&o);
    *status = EXIT_DOPPEL;
    if (id == OPTS_END && o.next < argc) {
        cli_error(cmd, "takes no arguments");
        return false;
    }
    return id == OPTS_END;
}

int
cmd_register(int argc, char **argv)
{
    char self[PATH_MAX], rule[PATH_MAX + 256];
    int status;
    if (!no_arguments(CMD_register, argc, argv, &status)) {
        return status;
    }
    ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
    if (n < 0) {
        return cli_error(CMD_register, "/proc/self/exe: %s", strerror(errno));
    }
    self[n] = 0;
    if (strlen(self) > 127) {
        return cli_error(CMD_register, "the kernel takes no path longer than 127 bytes: %s", self);
    }
    snprintf(rule, sizeof rule, ":" RULE ":M::" MAGIC ":" MASK ":%s:PF", self);
    if (access(BINFMT RULE, F_OK) == 0) {
        tell(BINFMT RULE, "-1");
    }
    int r = tell(BINFMT "register", rule);
    if (r == -ENOENT) {
        return cli_error(CMD_register, "binfmt_misc is not mounted: mount -t binfmt_misc none " BINFMT);
    }
    return r == 0 ? 0 : cli_error(CMD_register, BINFMT "register: %s", strerror(-r));
}

int
cmd_unregister(int argc, char **argv)
{
    int status;
    if (!no_arguments(CMD_unregister, argc, argv, &status)) {
        return status;
    }
    int r = tell(BINFMT RULE, "-1");
    if (r == -ENOENT) {
        return cli_error(CMD_unregister, "it is not registered");
    }
    return r == 0 ? 0 : cli_error(CMD_unregister, BINFMT RULE ": %s", strerror(-r));
}
