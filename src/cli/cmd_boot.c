/*
 * cmd_boot.c - doppel boot, doppel ps, doppel ctl: hand over to doppel-vm
 *
 * Machines need libraries that programs do not, and which would cost each start of doppel milliseconds: they are linked by a program of
 * its own, in the same folder (as built) or in ../libexec (as installed). It parses the same options, in vm_main.c.
 */
#include "cli/boot_debian.h"
#include "cli/cli.h"

#include "base/check.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* argv[0] is the command's name: by it doppel-vm knows what to do. */
static int
hand_over(enum cmd_id cmd, char **argv)
{
    static const char *const places[] = {"doppel-vm", "../libexec/doppel-vm"};
    char path[PATH_MAX], self[PATH_MAX - 32];
    const ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
    char *slash = n > 0 ? memrchr(self, '/', (size_t)n) : NULL;
    if (slash == NULL) {
        return cli_error(cmd, "/proc/self/exe: %s", n < 0 ? strerror(errno) : "too long");
    }
    *slash = 0;
    for (unsigned i = 0; i < ARRAY_LEN(places); i++) {
        snprintf(path, sizeof path, "%s/%s", self, places[i]);
        execv(path, argv);
        if (errno != ENOENT) {
            return cli_error(cmd, "%s: %s", path, strerror(errno));
        }
    }
    return cli_error(cmd, "no doppel-vm beside %s, nor in libexec: is doppel installed as a whole?", self);
}

static int
exec_vm(char **argv)
{
    return hand_over(CMD_boot, argv);
}

int
cmd_ps(int argc, char **argv)
{
    (void)argc;
    return hand_over(CMD_ps, argv);
}

int
cmd_ctl(int argc, char **argv)
{
    (void)argc;
    return hand_over(CMD_ctl, argv);
}

int
cmd_boot(int argc, char **argv)
{
    return argc > 1 && strcmp(argv[1], "debian") == 0 ? boot_debian(argc - 1, argv + 1, exec_vm) : exec_vm(argv);
}
