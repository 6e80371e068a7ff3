/*
 * sandbox.h - what the monitor of a machine cannot do any more once its guest runs
 *
 *      open everything ──► sandbox_enter() ──► devices, their threads ──► sandbox_lock() ──► harts
 *
 * A guest that breaks out of its machine finds itself in a process that can open no file but those of shared folders, reach no network if
 * the machine has none, start no program, see no other process's memory. Three walls, each with what the host offers:
 *
 *   name spaces   user, IPC, UTS; network, if the machine has none; files too, if there is no Landlock. Containers often refuse them.
 *                 Not with shared folders: in another user name space everything in them would belong to nobody.
 *   Landlock      files: shared folders and resolv.conf; TCP: the ports that are forwarded; signals and abstract sockets: none outside
 *   seccomp       a list of system calls, with arguments where these matter; anything else is EPERM, or the end
 *
 * Threads: sandbox_enter() before there is a second one; sandbox_lock() is for all that there are, and those they make.
 */
#ifndef DOPPEL_SANDBOX_H
#define DOPPEL_SANDBOX_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>

struct machine_config;

/* What holds. */
struct sandbox {
    bool entered;
    bool names, no_net, no_files; /* name spaces */
    int landlock;                 /* its version, or 0 */
    bool seccomp;
};

/* Never fails: what the host refuses is missing in *s. */
void sandbox_enter(struct sandbox *s, const struct machine_config *cfg);

/* 0, or -errno with *e: this much every host has that doppel runs on. */
int sandbox_lock(struct sandbox *s, const struct machine_config *cfg, struct err *e);

/* "user ipc uts net landlock-7 seccomp" */
void sandbox_text(const struct sandbox *s, char *text, size_t size);

#endif
