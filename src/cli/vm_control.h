/*
 * vm_control.h - where the control sockets of this user's machines are
 *
 *      $XDG_RUNTIME_DIR/doppel/NAME.sock      without the variable: /run/user/UID; without that: /tmp/doppel-UID
 *
 * The folder is the user's alone (0700), as is each socket (0600). A socket that nobody listens to is what a machine left that was killed.
 */
#ifndef DOPPEL_VM_CONTROL_H
#define DOPPEL_VM_CONTROL_H

#include "base/err.h"

#include <stdbool.h>
#include <sys/types.h>

#define CONTROL_NAME_MAX 64

/* May a machine be called so? A file name that nobody has to quote. */
bool control_name_ok(const char *name);

/* The folder, open; made if it is missing and `make`. -errno with *e; -ENOENT without *e if it is missing and is not to be made. */
int control_folder(bool make, struct err *e);

/* Begin to listen for machine `name`. The socket, or -errno with *e; -EADDRINUSE: a machine of that name runs. */
int control_listen(int folder, const char *name, struct err *e);

/* The same at a path of the user's own. */
int control_listen_at(const char *path, struct err *e);

/* Connect to a machine's; to a path if name has a slash. -ECONNREFUSED: nobody listens, -ENOENT: there is none. No message. */
int control_connect(int folder, const char *name);

/* Nobody listens to it (any more): it goes. */
void control_forget(int folder, const char *name);

/*
 * A process that outlives this one by a moment, whatever ends it: then it removes the sockets, those of `paths` too (NULL: none), and sets the terminal `tty` (or -1) to what it
 * is now if it was left raw. Before any thread is made. Failing is no harm.
 */
struct keeper {
    int end;   /* own: it is closed when this process ends; -1: there is no keeper */
    pid_t pid;
};
struct keeper control_keep(int folder, const char *name, const char *const *paths, unsigned n_paths, int tty);

/* The end has come in good order: the keeper does its work, and is gone when this returns. */
void control_release(struct keeper *k);

#endif
