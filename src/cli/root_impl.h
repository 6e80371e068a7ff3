/*
 * root_impl.h - the parts of `doppel root`: tools, archive index, dependencies, first and second stage
 *
 * Everything is kept in DIR/.doppel-root until the root is complete:
 *
 *   lock                held (flock) by the doppel that works on DIR
 *   InRelease Release   the first as fetched, the second as gpgv let it through
 *   Packages            of the component main, verified by its hash in Release
 *   debs/NAME.deb       each verified by its hash in Packages before it got this name
 *   job                 suite, mirror, variant and packages asked for: another job in the same DIR is refused
 *   first-stage.done    the essential packages are unpacked
 *   second-stage        a script for the guest's /bin/sh, with its lists; step.NAME: that step is done
 *   log                 what the second stage said
 *
 * So whatever interrupts it, the same command goes on where it was. Functions return 0 or -errno with *e filled in;
 * -EINTR after a signal that asks to stop.
 */
#ifndef DOPPEL_ROOT_IMPL_H
#define DOPPEL_ROOT_IMPL_H

#include "base/err.h"

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* Bytes inside a text that somebody else keeps. */
struct slice {
    const char *p;
    size_t n;
};

struct root_job {
    const char *dir;
    const char *mirror, *suite, *keyring;
    bool important;      /* --variant=important: also what has Priority: important */
    bool allow_expired;  /* --allow-expired: Release's Valid-Until may have passed */
    bool first_stage;    /* --foreign: stop before the second stage */
    bool color;          /* stderr is a terminal */
    uint64_t *said_ns;   /* when progress() last wrote a line */
    char **packages;     /* asked for, beyond the variant */
    int n_packages;
    int state_fd;        /* DIR/.doppel-root */
    char state[PATH_MAX]; /* its path */
};

/* root_tools.c: host programs and files */

extern volatile bool root_stop; /* a signal asks to stop; set by its handler */

/* Is there such a program in PATH? If not: *e says which Debian package has it. */
bool tool_exists(const char *name);
int tool_need(const char *name, const char *package, struct err *e);

/* As argv[0]: the running doppel. */
extern const char tool_self[];

/*
 * Start argv[0] (found in PATH) in a process group of its own, with these descriptors as its 0, 1, 2 (-1: /dev/null).
 * It dies with us. Returns its pid or -errno.
 */
pid_t tool_start(const char *const argv[], int in, int out, int err, struct err *e);

/* Wait for it. Returns its exit status, 128 + signal, or -EINTR after it was told to stop. */
int tool_wait(pid_t pid);

/* Start and wait: 0 if it exited with 0. Its standard error is ours. */
int tool_run(const char *const argv[], int in, int out, struct err *e);

/* What it writes to standard output, as a string; to be freed. NULL and *e on failure or an exit status but 0. */
char *tool_output(const char *const argv[], int in, struct err *e);

/* A whole file as a string, to be freed; its length too unless len is NULL. */
char *file_read(int dirfd, const char *path, size_t *len, struct err *e);
int file_write(int dirfd, const char *path, mode_t mode, const void *data, size_t len, struct err *e);
bool file_exists(int dirfd, const char *path);

/* Is the file's sha256 these 64 hexadecimal digits? 1 yes, 0 no, -errno. */
int file_sha256_is(int dirfd, const char *path, struct slice hex, struct err *e);

/*
 * A line about progress. On a terminal it replaces the one before; elsewhere, in a log, the `last` ones of their kind are
 * written, and of the others one in PROGRESS_NS.
 */
#define PROGRESS_NS UINT64_C(10000000000)
void progress(const struct root_job *job, bool last, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* root_fetch.c: files of the mirror */

struct fetch {
    char *path;          /* own: below the mirror's URL */
    char *dest;          /* own: below the state directory */
    struct slice sha256; /* empty: not known (InRelease) */
    uint64_t size;       /* 0: not known */
    bool done;
    int tries;
    pid_t pid;           /* of the program that fetches it; 0 none */
};

/* Fetch what is not there yet, several at a time, and verify it. */
int fetch_all(const struct root_job *job, struct fetch *list, size_t n, const char *what, struct err *e);

/* InRelease, its signature, then Packages: fetched and verified. Leaves state/Packages. */
int fetch_index(const struct root_job *job, struct err *e);

/* root_index.c: the packages of the archive */

struct pkg {
    struct slice stanza, name, version;
    struct pkg *next; /* in the same bucket */
    bool chosen, asked; /* in the plan; because the user named it */
    bool ordered;     /* has its place in the order of installation */
    int batch;        /* which of them it is installed with; 0: required */
};

struct provide {
    struct slice name, version; /* version: empty if it has none */
    struct pkg *by;
};

struct index {
    char *text; /* own */
    struct pkg *pkgs; /* own */
    size_t n;
    struct pkg **buckets; /* own */
    size_t n_buckets;
    struct provide *provides; /* own: sorted by name */
    size_t n_provides;
};

int index_open(struct index *ix, int dirfd, const char *path, struct err *e);
void index_close(struct index *ix);
struct pkg *index_find(const struct index *ix, struct slice name);

/* The first of those who provide `name`; *n of them follow each other. */
const struct provide *index_provides(const struct index *ix, struct slice name, size_t *n);

/* The value of a field, "" if the stanza has none. A field that goes on over lines keeps them. */
struct slice stanza_field(struct slice stanza, const char *field);

/* <0, 0, >0 as deb-version(7) orders two versions. */
int version_compare(struct slice a, struct slice b);

struct slice slice_of(const char *s);
bool slice_is(struct slice s, const char *text);
bool slice_equal(struct slice a, struct slice b);
uint64_t slice_number(struct slice s);
char *slice_dup(struct slice s); /* NULL without memory */

/* root_resolve.c: which packages, in which order */

enum plan_group { PLAN_REQUIRED, PLAN_BASE, PLAN_EXTRA };

struct plan {
    struct pkg **list[3]; /* own, the packages are the index's; by group: required and base by name, extra in the order of installation */
    size_t n[3];
};

int plan_make(struct plan *plan, struct index *ix, const struct root_job *job, struct err *e);
void plan_free(struct plan *plan);

/* root_stage.c */

/* The name of a package's file in the state directory: "debs/NAME"; to be freed. NULL without memory. */
char *deb_file(const struct pkg *p);

/* The mirror that the root's apt will use; "" if it is a local directory of the host, of no use there. */
const char *root_public_mirror(const struct root_job *job);

int stage_first(const struct root_job *job, const struct plan *plan, struct err *e);
int stage_second(const struct root_job *job, const struct index *ix, const struct plan *plan, struct err *e);

#endif
