/*
 * run_env.h - the environment that doppel run gives to PROGRAM
 *
 * Without --root it is doppel's own. With --root it is a container's: nothing of it tells of the host, or sends a
 * program to a directory that is not in the root. -E and -U come after either. What a guest's execve passes on is the
 * guest's business alone.
 */
#ifndef DOPPEL_RUN_ENV_H
#define DOPPEL_RUN_ENV_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct run_env {
    char **v; /* own: NAME=VALUE…, NULL; the strings are others', for good */
    size_t n;
    const char **edits; /* own: what -E and -U ask for, in their order: NAME=VALUE, or NAME to be removed */
    size_t nedits;
};

/* -E NAME=VALUE or NAME, -U NAME. False if there is no name. `entry` is to stay. */
bool run_env_edit(struct run_env *e, const char *entry);

/* Make it of the host's: all of that, then the edits. */
void run_env_inherit(struct run_env *e, char **host);

/*
 * Make it as a container's: Debian's PATH; HOME, USER and LOGNAME of user `uid` as passwd, the text of the root's
 * /etc/passwd, has them; of the host's TERM, LANG, LANGUAGE, LC_* and what names a proxy; then the edits.
 */
void run_env_contain(struct run_env *e, char **host, uint32_t uid, const char *passwd);

/* The value of NAME, or NULL. */
const char *run_env_get(const struct run_env *e, const char *name);

#endif
