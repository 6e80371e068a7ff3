/*
 * root_second.c - the second stage: its script, and running it under doppel
 *
 * See root_stage.c for what it does. Each step leaves a mark when it is done, and may be run again if it was
 * interrupted: dpkg's own journal sees to that.
 */
#include "cli/root_impl.h"

#include "base/check.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char script_head[] =
    "#!/bin/sh\n"
    "# The second stage of `doppel root`: dpkg installs the packages. Goes on where it was.\n"
    "[ \"${1:-}\" = go ] || exec /usr/bin/env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C TERM=dumb \\\n"
    "\tDEBIAN_FRONTEND=noninteractive DEBCONF_NONINTERACTIVE_SEEN=true /bin/sh \"$0\" go\n"
    "set -eu\n"
    "exec 9>&1 >&2 # standard output is for dpkg's status, standard error for what is said\n"
    "cd /.doppel-root\n"
    "umask 022\n"
    "dpkg() { /usr/bin/dpkg --force-unsafe-io --status-fd 9 \"$@\" </dev/null; }\n"
    "step() { name=$1; shift; [ -e \"step.$name\" ] || { \"$@\"; : >\"step.$name\"; }; }\n";

/* Used with the lists that write_lists() defines: $required, $dpkg_version, batches(). */
static const char script_body[] =
    "prepare() {\n"
    "\t. ./owners\n"
    "\tldconfig\n"
    "\tln -sf mawk /usr/bin/awk\n"
    "\t# dpkg cannot install itself while it does not know that it is there\n"
    "\tmkdir -p /var/lib/dpkg/info\n"
    "\tprintf 'Package: dpkg\\nVersion: %s\\nMaintainer: unknown\\nStatus: install ok installed\\n' \\\n"
    "\t\t\"$dpkg_version\" >/var/lib/dpkg/status\n"
    "\t: >/var/lib/dpkg/info/dpkg.list\n"
    "}\n"
    "core() {\n"
    "\tfor p in base-passwd base-files dpkg libc6 perl-base mawk; do\n"
    "\t\t[ $p != libc6 ] || [ -e /etc/localtime ] || ln -sf /usr/share/zoneinfo/UTC /etc/localtime\n"
    "\t\t[ $p != mawk ] || rm -f /usr/bin/awk\n"
    "\t\tfor deb in $required; do\n"
    "\t\t\tcase $deb in debs/${p}_*) dpkg --force-depends --install $deb ;; esac\n"
    "\t\tdone\n"
    "\tdone\n"
    "}\n"
    "unpack() { dpkg --force-depends --force-confold --unpack $required; }\n"
    "no_services() {\n"
    "\tprintf '#!/bin/sh\\nexit 101\\n' >/usr/sbin/policy-rc.d\n"
    "\tchmod 755 /usr/sbin/policy-rc.d\n"
    "\techo apt apt >/var/lib/dpkg/cmethopt\n"
    "\tchmod 644 /var/lib/dpkg/cmethopt\n"
    "}\n"
    "configure() { dpkg --force-configure-any --force-depends --force-confold --configure --pending; }\n"
    "select_all() {\n"
    "\tcat available >/var/lib/dpkg/available\n"
    "\t/usr/bin/dpkg --set-selections <selections\n"
    "}\n"
    "batch() {\n"
    "\tdpkg --force-confold --skip-same-version --unpack \"$@\"\n"
    "\t# may leave some of a cycle for a later batch; the last step sees that none is left\n"
    "\tdpkg --force-confold --configure --pending || :\n"
    "}\n"
    "finish() {\n"
    "\tdpkg --force-confold --configure -a\n"
    "\t[ ! -s extended_states ] || cat extended_states >/var/lib/apt/extended_states\n"
    "\tif dpkg-query -W -f '${db:Status-Abbrev} ${Package}\\n' | grep -v '^ii '; then\n"
    "\t\techo 'not installed: the packages above'; return 1\n"
    "\tfi\n"
    "\trm -f /usr/sbin/policy-rc.d\n"
    "}\n"
    "step prepare prepare\n"
    "step core core\n"
    "step unpack unpack\n"
    "step no-services no_services\n"
    "step configure configure\n"
    "step select select_all\n"
    "batches\n"
    "step finish finish\n"
    "echo second stage complete\n";

static int
put_deb(FILE *f, const struct pkg *p)
{
    char *deb = deb_file(p);
    if (deb == NULL) {
        return -ENOMEM;
    }
    fprintf(f, " %s", deb);
    free(deb);
    return 0;
}

static int
write_lists(FILE *f, const struct plan *plan)
{
    int code = 0;
    fprintf(f, "required='");
    for (size_t i = 0; i < plan->n[PLAN_REQUIRED] && code == 0; i++) {
        code = put_deb(f, plan->list[PLAN_REQUIRED][i]);
    }
    fprintf(f, "'\n");
    fprintf(f, "dpkg_version='");
    for (size_t i = 0; i < plan->n[PLAN_REQUIRED]; i++) {
        const struct pkg *p = plan->list[PLAN_REQUIRED][i];
        if (slice_is(p->name, "dpkg")) {
            fprintf(f, "%.*s", (int)p->version.n, p->version.p);
        }
    }
    fprintf(f, "'\nbatches() {\n");
    int batch = 0;
    for (int g = PLAN_BASE; g <= PLAN_EXTRA; g++) {
        for (size_t i = 0; i < plan->n[g] && code == 0; i++) {
            const struct pkg *p = plan->list[g][i];
            if (p->batch != batch) {
                batch = p->batch;
                fprintf(f, "\n\tstep batch%d batch", batch);
            }
            code = put_deb(f, p);
        }
    }
    fprintf(f, "\n\t:\n}\n");
    return code;
}

/* The script and the files that it reads: what is available, what is selected, what came as a dependency only. */
static int
write_script(const struct root_job *job, const struct index *ix, const struct plan *plan, struct err *e)
{
    static const char *const names[] = {"second-stage", "available", "selections", "extended_states"};
    char *text[4] = {NULL};
    size_t len[4] = {0};
    FILE *f[4];
    int code = 0;
    for (int i = 0; i < 4; i++) {
        f[i] = open_memstream(&text[i], &len[i]);
        if (f[i] == NULL) {
            return err_set(e, -ENOMEM, "second stage"); /* the process ends soon */
        }
    }
    fputs(script_head, f[0]);
    code = write_lists(f[0], plan);
    fputs(script_body, f[0]);
    for (size_t i = 0; i < ix->n; i++) { /* in the archive's order, as debootstrap leaves it */
        if (ix->pkgs[i].chosen) {
            fprintf(f[1], "%.*s\n", (int)ix->pkgs[i].stanza.n, ix->pkgs[i].stanza.p);
        }
    }
    for (int g = 0; g < 3; g++) {
        for (size_t i = 0; i < plan->n[g]; i++) {
            const struct pkg *p = plan->list[g][i];
            fprintf(f[2], "%.*s install\n", (int)p->name.n, p->name.p);
            if (g == PLAN_EXTRA && !p->asked) {
                /* apt writes its own architecture there, for packages of Architecture: all too */
                fprintf(f[3], "Package: %.*s\nArchitecture: riscv64\nAuto-Installed: 1\n\n", (int)p->name.n, p->name.p);
            }
        }
    }
    for (int i = 0; i < 4; i++) {
        if (fclose(f[i]) != 0 && code == 0) {
            code = -ENOMEM;
        }
        if (code == 0) {
            code = file_write(job->state_fd, names[i], 0644, text[i], len[i], e);
        } else {
            err_set(e, code, "second stage");
        }
        free(text[i]);
    }
    return code;
}

/* What dpkg has done, and is at. */
struct dpkg_state {
    size_t total, begun[2]; /* to unpack, to configure: with the one that it is at */
    unsigned kind;
    const char *doing;
    char name[64]; /* "": none yet */
};

/* A line of dpkg's status: "processing: WHAT: PACKAGE" as it begins with one (dpkg(1), --status-fd). */
static void
note_status(struct dpkg_state *d, const char *line)
{
    static const struct {
        const char *what, *doing;
        unsigned kind;
    } kinds[] = {{"install", "unpacking", 0}, {"upgrade", "unpacking", 0}, {"configure", "configuring", 1}};
    char what[16], name[sizeof d->name];
    if (sscanf(line, "processing: %15[^:]: %63[^ :\n]", what, name) != 2) {
        return;
    }
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
        if (strcmp(kinds[i].what, what) == 0) {
            d->kind = kinds[i].kind;
            d->doing = kinds[i].doing;
            d->begun[d->kind]++;
            strcpy(d->name, name);
        }
    }
}

static void
show_status(const struct root_job *job, const struct dpkg_state *d)
{
    size_t done[2];
    for (unsigned k = 0; k < 2; k++) {
        done[k] = d->begun[k] - (d->name[0] != '\0' && d->kind == k);
        done[k] = done[k] < d->total ? done[k] : d->total; /* some are unpacked twice */
    }
    if (d->name[0] == '\0') {
        progress(job, false, "second stage: preparing");
    } else {
        progress(job, false, "second stage: unpacked %zu of %zu, configured %zu of %zu; %s %s", done[0], d->total, done[1], d->total, d->doing,
                 d->name);
    }
}

/* Show dpkg's status as progress, also while it says nothing: a package may take minutes. */
static void
follow(const struct root_job *job, int status, size_t total)
{
    struct dpkg_state d = {.total = total};
    char buf[1024];
    size_t n = 0;
    show_status(job, &d);
    for (;;) {
        struct pollfd p = {.fd = status, .events = POLLIN};
        const int ready = poll(&p, 1, 1000);
        const ssize_t got = ready > 0 ? read(status, buf + n, sizeof buf - 1 - n) : 0;
        if (root_stop || (ready > 0 && got == 0) || ((ready < 0 || got < 0) && errno != EINTR)) {
            break;
        }
        n += got > 0 ? (size_t)got : 0;
        buf[n] = '\0';
        for (char *end; (end = strchr(buf, '\n')) != NULL;) {
            *end = '\0';
            note_status(&d, buf);
            show_status(job, &d);
            n -= (size_t)(end + 1 - buf);
            memmove(buf, end + 1, n + 1);
        }
        n = n < sizeof buf - 1 ? n : 0; /* a line as long as that is none of interest */
        if (ready == 0) {
            show_status(job, &d);
        }
    }
    close(status);
}

/* The last lines of the log, for a human who wants to know why. */
static void
show_log(const struct root_job *job)
{
    size_t len;
    char *text = file_read(job->state_fd, "log", &len, NULL);
    if (text == NULL) {
        return;
    }
    const char *p = text + len;
    for (int lines = 0; p > text && (p[-1] != '\n' || ++lines <= 15);) {
        p--;
    }
    fputs(p, stderr);
    free(text);
}

int
stage_second(const struct root_job *job, const struct index *ix, const struct plan *plan, struct err *e)
{
    int code = write_script(job, ix, plan, e);
    if (code != 0 || job->first_stage) {
        return code;
    }
    int status_pipe[2], log = openat(job->state_fd, "log", O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    if (log < 0 || pipe2(status_pipe, O_CLOEXEC) != 0) {
        return err_set(e, -errno, "second stage");
    }
    const char *run[] = {tool_self, "run", "--root", job->dir, "--fake-root", "/bin/sh",
                         "/.doppel-root/second-stage", NULL};
    pid_t pid = tool_start(run, -1, status_pipe[1], log, e);
    close(status_pipe[1]);
    close(log);
    if (pid < 0) {
        close(status_pipe[0]);
        return (int)pid;
    }
    size_t total = plan->n[PLAN_REQUIRED] + plan->n[PLAN_BASE] + plan->n[PLAN_EXTRA];
    follow(job, status_pipe[0], total);
    int status = tool_wait(pid);
    if (status == -EINTR) {
        return -EINTR;
    }
    if (status != 0) {
        progress(job, true, "second stage: failed; the end of %s/log is:", job->state);
        show_log(job);
        err_set(e, 0, "the second stage failed (exit status %d); the same command tries again from the step that "
                "failed", status);
        return -EIO;
    }
    progress(job, true, "second stage: %zu packages installed", total);
    return 0;
}
