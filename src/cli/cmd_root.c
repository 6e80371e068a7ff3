/*
 * cmd_root.c - doppel root DIR [PACKAGE]…: make a Debian riscv64 root file system as an ordinary user
 *
 * Index, dependencies, packages, first stage, second stage: see root_impl.h for the parts and for what is kept where,
 * so that an interrupted one goes on.
 */
#include "cli/cli.h"
#include "cli/root_impl.h"

#include "base/nondet.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

static void
on_stop(int sig)
{
    (void)sig;
    root_stop = true;
}

/* What apt of this machine uses for Debian. To be freed; NULL and *e if it uses none. */
static char *
apt_mirror(struct err *e)
{
    const char *argv[] = {"apt-get", "indextargets", "--format", "$(SITE)", "Created-By: Packages", "Label: Debian",
                          NULL};
    char *text = tool_exists("apt-get") ? tool_output(argv, -1, e) : NULL;
    if (text != NULL) {
        text[strcspn(text, "\n")] = '\0';
    }
    if (text == NULL || text[0] == '\0') {
        err_set(e, 0, "no Debian mirror known: give --mirror URL (the one that has dists/ below it)");
        free(text);
        return NULL;
    }
    return text;
}

static bool
is_empty(const char *dir)
{
    DIR *d = opendir(dir);
    int n = 0;
    for (struct dirent *de; d != NULL && (de = readdir(d)) != NULL;) {
        n += strcmp(de->d_name, ".") != 0 && strcmp(de->d_name, "..") != 0;
    }
    if (d != NULL) {
        closedir(d);
    }
    return n == 0;
}

/* The job as a line, to know it again. */
static char *
job_line(const struct root_job *job)
{
    char *text = NULL;
    size_t len;
    FILE *f = open_memstream(&text, &len);
    if (f == NULL) {
        return NULL;
    }
    fprintf(f, "--suite %s --variant %s", job->suite, job->important ? "important" : "minbase");
    for (int i = 0; i < job->n_packages; i++) {
        fprintf(f, " %s", job->packages[i]);
    }
    fputc('\n', f);
    return fclose(f) == 0 ? text : NULL;
}

/* DIR is new, empty, or one that this very job has begun. */
static int
open_dir(struct root_job *job, struct err *e)
{
    if (mkdir(job->dir, 0755) != 0 && errno != EEXIST) {
        return err_set(e, -errno, "create %s", job->dir);
    }
    int n = snprintf(job->state, sizeof job->state, "%s/.doppel-root", job->dir);
    if (n < 0 || (size_t)n >= sizeof job->state - 300) {
        return err_set(e, -ENAMETOOLONG, "%s", job->dir);
    }
    bool begun = file_exists(AT_FDCWD, job->state);
    if (!begun && !is_empty(job->dir)) {
        char status[PATH_MAX];
        snprintf(status, sizeof status, "%.*s/var/lib/dpkg/status", n - 13, job->state);
        err_set(e, 0, file_exists(AT_FDCWD, status)
                          ? "%s is a complete root already; more packages: doppel run --root %s --fake-root apt-get "
                            "install PACKAGE"
                          : "%s is not empty: name a new directory", job->dir, job->dir);
        return -EEXIST;
    }
    char debs[PATH_MAX];
    snprintf(debs, sizeof debs, "%.*s/debs", PATH_MAX - 6, job->state);
    if ((mkdir(job->state, 0755) != 0 && errno != EEXIST) || (mkdir(debs, 0755) != 0 && errno != EEXIST)) {
        return err_set(e, -errno, "create %s", job->state);
    }
    job->state_fd = open(job->state, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int lock = job->state_fd < 0 ? -1 : openat(job->state_fd, "lock", O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    if (lock < 0) {
        return err_set(e, -errno, "open %s", job->state);
    }
    if (flock(lock, LOCK_EX | LOCK_NB) != 0) { /* held until we end */
        err_set(e, 0, "another doppel root is at work on %s", job->dir);
        return -EBUSY;
    }
    char *line = job_line(job), *before = file_read(job->state_fd, "job", NULL, NULL);
    int code = 0;
    if (line == NULL) {
        code = err_set(e, -ENOMEM, "%s", job->dir);
    } else if (before == NULL) {
        code = file_write(job->state_fd, "job", 0644, line, strlen(line), e);
    } else if (strcmp(line, before) != 0) {
        before[strcspn(before, "\n")] = '\0';
        err_set(e, 0, "%s was begun as `doppel root %s %s`: give the same to go on, or remove it", job->dir, job->dir,
                before);
        code = -EEXIST;
    }
    free(line);
    free(before);
    return code;
}

static int
fetch_debs(const struct root_job *job, const struct plan *plan, struct err *e)
{
    size_t total = plan->n[PLAN_REQUIRED] + plan->n[PLAN_BASE] + plan->n[PLAN_EXTRA], n = 0;
    struct fetch *list = calloc(total + 1, sizeof *list);
    int code = list == NULL ? -ENOMEM : 0;
    for (int g = 0; g < 3 && code == 0; g++) {
        for (size_t i = 0; i < plan->n[g]; i++) {
            struct slice stanza = plan->list[g][i]->stanza;
            list[n++] = (struct fetch){.path = slice_dup(stanza_field(stanza, "Filename")),
                                       .dest = deb_file(plan->list[g][i]),
                                       .sha256 = stanza_field(stanza, "SHA256"),
                                       .size = slice_number(stanza_field(stanza, "Size"))};
            if (list[n - 1].path == NULL || list[n - 1].dest == NULL) {
                code = -ENOMEM;
                break;
            }
        }
    }
    code = code != 0 ? err_set(e, code, "packages") : fetch_all(job, list, n, "packages", e);
    for (size_t i = 0; i < n; i++) {
        free(list[i].path);
        free(list[i].dest);
    }
    free(list);
    return code;
}

/* Move a file out of the state directory into the root; where its directory is missing it goes with the rest. */
static void
keep(const struct root_job *job, const char *name, const char *to)
{
    char path[PATH_MAX];
    int n = snprintf(path, sizeof path, "../%s", to);
    if (n > 0 && (size_t)n < sizeof path) {
        renameat(job->state_fd, name, job->state_fd, path);
    }
}

/*
 * The root is complete: keep the log and the verified index where debootstrap leaves them, so that apt can install
 * without an update first; remove what was needed to make it.
 */
static int
clean_up(const struct root_job *job, struct err *e)
{
    char site[512], to[PATH_MAX];
    size_t n = 0;
    const char *mirror = root_public_mirror(job);
    const char *p = strstr(mirror, "://");
    for (p = p != NULL ? p + 3 : ""; *p != '\0' && n < sizeof site - 4; p++) { /* as apt names what is from a URL */
        if (*p == '_') {
            memcpy(site + n, "%5f", 3);
            n += 3;
        } else {
            site[n++] = *p == '/' ? '_' : *p;
        }
    }
    site[n] = '\0';
    snprintf(to, sizeof to, "var/lib/apt/lists/%s_dists_%s_InRelease", site, job->suite);
    if (mirror[0] != '\0') {
        keep(job, "InRelease", to);
    }
    snprintf(to, sizeof to, "var/lib/apt/lists/%s_dists_%s_main_binary-riscv64_Packages", site, job->suite);
    if (mirror[0] != '\0') {
        keep(job, "Packages", to);
    }
    keep(job, "log", "var/log/bootstrap.log");
    return tool_run((const char *const[]){"rm", "-rf", "--", job->state, NULL}, -1, -1, e);
}

static int
make_root(struct root_job *job, struct err *e)
{
    int code = open_dir(job, e);
    code = code != 0 ? code : fetch_index(job, e);
    struct index ix = {0};
    struct plan plan = {0};
    code = code != 0 ? code : index_open(&ix, job->state_fd, "Packages", e);
    code = code != 0 ? code : plan_make(&plan, &ix, job, e);
    code = code != 0 ? code : fetch_debs(job, &plan, e);
    code = code != 0 ? code : stage_first(job, &plan, e);
    code = code != 0 ? code : stage_second(job, &ix, &plan, e);
    plan_free(&plan);
    index_close(&ix);
    return code != 0 || job->first_stage ? code : clean_up(job, e);
}

static const char *
default_keyring(void)
{
    static const char *const files[] = {"/usr/share/keyrings/debian-archive-keyring.gpg",
                                        "/usr/share/keyrings/debian-archive-keyring.pgp"};
    return access(files[0], R_OK) != 0 && access(files[1], R_OK) == 0 ? files[1] : files[0];
}

/* Options may stand before and after DIR. Returns 0 or an exit status. */
static int
parse(struct root_job *job, int argc, char **argv)
{
    struct opts o = {.cmd = CMD_root, .argc = argc, .argv = argv, .next = 1};
    for (bool only_args = false; o.next < argc;) {
        int id = only_args ? OPTS_END : opts_next(&o);
        switch (id) {
        case OPT_root_suite:
            job->suite = o.value;
            continue;
        case OPT_root_mirror:
            job->mirror = o.value;
            continue;
        case OPT_root_keyring:
            job->keyring = o.value;
            continue;
        case OPT_root_allow_expired:
            job->allow_expired = true;
            continue;
        case OPT_root_foreign:
            job->first_stage = true;
            continue;
        case OPT_root_variant:
            job->important = strcmp(o.value, "important") == 0;
            if (!job->important && strcmp(o.value, "minbase") != 0) {
                return cli_error(CMD_root, "unknown variant %s: minbase or important", o.value);
            }
            continue;
        case OPTS_ERROR:
            return EXIT_DOPPEL;
        default:
            break;
        }
        if (!only_args && strcmp(argv[o.next - 1], "--") == 0) {
            only_args = true;
        } else if (job->dir == NULL) {
            job->dir = argv[o.next++];
        } else {
            job->packages[job->n_packages++] = argv[o.next++];
        }
    }
    return job->dir != NULL ? 0 : cli_error(CMD_root, "no DIR; see `doppel help root`");
}

int
cmd_root(int argc, char **argv)
{
    uint64_t said_ns = nondet_mono_ns();
    struct root_job job = {.suite = "trixie", .keyring = default_keyring(), .state_fd = -1, .said_ns = &said_ns};
    job.packages = calloc((size_t)argc + 1, sizeof *job.packages);
    if (job.packages == NULL) {
        return cli_error(CMD_root, "out of memory");
    }
    int status = parse(&job, argc, argv);
    char *mirror = NULL;
    struct err e = {{0}};
    if (status == 0) {
        mirror = job.mirror != NULL ? strdup(job.mirror) : apt_mirror(&e);
        status = mirror == NULL ? cli_error(CMD_root, "%s", e.text) : 0;
        for (size_t n = mirror != NULL ? strlen(mirror) : 0; n > 1 && mirror[n - 1] == '/';) {
            mirror[--n] = '\0';
        }
        job.mirror = mirror;
    }
    if (status == 0) {
        job.color = isatty(2);
        struct sigaction sa = {.sa_handler = on_stop}; /* without SA_RESTART: waiting ends */
        sigaction(SIGINT, &sa, NULL);
        sigaction(SIGTERM, &sa, NULL);
        sigaction(SIGHUP, &sa, NULL);
        signal(SIGPIPE, SIG_IGN);
        int code = make_root(&job, &e);
        if (root_stop) {
            progress(&job, true, "interrupted; the same command goes on from here");
            status = 130;
        } else if (code != 0) {
            if (job.color) {
                fputc('\n', stderr);
            }
            status = cli_error(CMD_root, "%s", e.text);
        } else if (job.first_stage) {
            fprintf(stderr, "%s: first stage complete; without --foreign the same command goes on\n", job.dir);
        } else {
            fprintf(stderr, "%s: Debian %s for riscv64. Try: doppel run --root %s --fake-root /bin/bash -l\n", job.dir,
                    job.suite, job.dir);
        }
    }
    free(mirror);
    free(job.packages);
    return status;
}
