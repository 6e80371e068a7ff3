/*
 * cmd_boot.c - doppel boot [OPTION]…: hand over to doppel-vm
 *
 * Machines need libraries that programs do not, and which would cost each start of doppel milliseconds: they are linked by a program of
 * its own, in the same folder (as built) or in ../libexec (as installed). It parses the same options, in vm_main.c.
 */
#include "cli/cli.h"

#include "base/check.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

int
cmd_boot(int argc, char **argv)
{
    (void)argc;
    static const char *const places[] = {"doppel-vm", "../libexec/doppel-vm"};
    char path[PATH_MAX], self[PATH_MAX - 32];
    const ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
    char *slash = n > 0 ? memrchr(self, '/', (size_t)n) : NULL;
    if (slash == NULL) {
        return cli_error(CMD_boot, "/proc/self/exe: %s", n < 0 ? strerror(errno) : "too long");
    }
    *slash = 0;
    for (unsigned i = 0; i < ARRAY_LEN(places); i++) {
        snprintf(path, sizeof path, "%s/%s", self, places[i]);
        execv(path, argv);
        if (errno != ENOENT) {
            return cli_error(CMD_boot, "%s: %s", path, strerror(errno));
        }
    }
    return cli_error(CMD_boot, "no doppel-vm beside %s, nor in libexec: is doppel installed as a whole?", self);
}
