/*
 * root_fetch.c - files of a Debian mirror, fetched and verified
 *
 * The chain of trust: the archive keyring signs InRelease, which names Packages.xz by its sha256, which names each
 * .deb by its. Nothing gets its final name before it has been verified, so whatever has its name can be used after an
 * interruption; what has come so far stays beside it as NAME.part and is continued.
 *
 * Spec: https://wiki.debian.org/DebianRepository/Format
 */
#include "cli/root_impl.h"

#include "base/nondet.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { FETCH_AT_ONCE = 4, FETCH_TRIES = 3 };

static const char apt_helper[] = "/usr/lib/apt/apt-helper";

/* Where a mirror that is a local directory begins; NULL if it is none. */
static const char *
local_mirror(const char *mirror)
{
    if (strncmp(mirror, "file:", 5) == 0) {
        mirror += 5;
        return strncmp(mirror, "//", 2) == 0 ? mirror + 2 : mirror;
    }
    return mirror[0] == '/' ? mirror : NULL;
}

static int
part_path(const struct root_job *job, const struct fetch *f, char *part, size_t cap, struct err *e)
{
    int n = snprintf(part, cap, "%s/%s.part", job->state, f->dest);
    return n > 0 && (size_t)n < cap ? 0 : err_set(e, -ENAMETOOLONG, "%s", f->dest);
}

/* Start a program that brings the file to its .part. */
static int
start(const struct root_job *job, struct fetch *f, struct err *e)
{
    char url[PATH_MAX], part[PATH_MAX];
    const char *local = local_mirror(job->mirror);
    int n = snprintf(url, sizeof url, "%s/%s", local != NULL ? local : job->mirror, f->path);
    if (n < 0 || (size_t)n >= sizeof url) {
        return err_set(e, -ENAMETOOLONG, "%s", f->path);
    }
    int code = part_path(job, f, part, sizeof part, e);
    if (code != 0) {
        return code;
    }
    if (f->size == 0) {
        unlink(part); /* of an unknown size: it may belong to an older one */
    }
    f->tries++;
    if (local != NULL) {
        const char *cp[] = {"cp", url, part, NULL};
        f->pid = tool_start(cp, -1, -1, -1, e);
    } else if (tool_exists("curl")) {
        const char *curl[] = {"curl", "-fsSL", "--connect-timeout", "30", "--speed-limit", "100", "--speed-time", "60",
                              "-C", "-", "-o", part, url, NULL};
        f->pid = tool_start(curl, -1, -1, -1, e);
    } else if (tool_exists("wget")) {
        const char *wget[] = {"wget", "-q", "-c", "--timeout=60", "--tries=2", "-O", part, url, NULL};
        f->pid = tool_start(wget, -1, -1, -1, e);
    } else {
        unlink(part);
        const char *apt[] = {apt_helper, "-q", "download-file", url, part, NULL};
        f->pid = tool_start(apt, -1, -1, -1, e);
    }
    return f->pid < 0 ? (int)f->pid : 0;
}

/* The program has ended: verify what it brought and give it its name. -EAGAIN: try again. */
static int
finish(const struct root_job *job, struct fetch *f, int status, struct err *e)
{
    char part[PATH_MAX];
    int code = part_path(job, f, part, sizeof part, e);
    if (code != 0) {
        return code;
    }
    struct stat st;
    if (stat(part, &st) != 0 || (status != 0 && (f->size == 0 || (uint64_t)st.st_size < f->size))) {
        if (f->tries < FETCH_TRIES) {
            return -EAGAIN;
        }
        err_set(e, 0, "cannot fetch %s/%s", job->mirror, f->path);
        return -EIO;
    }
    if (f->sha256.n > 0) {
        int same = f->size != 0 && (uint64_t)st.st_size != f->size
                       ? 0
                       : file_sha256_is(AT_FDCWD, part, f->sha256, e);
        if (same < 0) {
            return same;
        }
        if (same == 0) {
            unlink(part);
            if (f->tries < FETCH_TRIES) {
                return -EAGAIN;
            }
            err_set(e, 0, "%s/%s is not the file that the archive signed (its sha256 differs): "
                    "try again later or another --mirror", job->mirror, f->path);
            return -EBADMSG;
        }
    }
    if (renameat(AT_FDCWD, part, job->state_fd, f->dest) != 0) {
        return err_set(e, -errno, "rename %s", part);
    }
    f->done = true;
    return 0;
}

struct totals {
    uint64_t bytes, all_bytes;
    size_t files;
};

static struct totals
count(const struct root_job *job, const struct fetch *list, size_t n)
{
    struct totals t = {0};
    for (size_t i = 0; i < n; i++) {
        t.all_bytes += list[i].size;
        t.files += list[i].done;
        char part[PATH_MAX];
        struct stat st;
        if (list[i].done) {
            t.bytes += list[i].size;
        } else if (part_path(job, &list[i], part, sizeof part, NULL) == 0 && stat(part, &st) == 0) {
            t.bytes += (uint64_t)st.st_size;
        }
    }
    return t;
}

static void
stop_all(struct fetch *list, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (list[i].pid > 0) {
            kill(-list[i].pid, SIGTERM);
            waitpid(list[i].pid, NULL, 0);
            list[i].pid = 0;
        }
    }
}

int
fetch_all(const struct root_job *job, struct fetch *list, size_t n, const char *what, struct err *e)
{
    for (size_t i = 0; i < n; i++) {
        list[i].done = list[i].sha256.n > 0 && file_exists(job->state_fd, list[i].dest);
    }
    for (;;) {
        size_t running = 0, left = 0;
        for (size_t i = 0; i < n; i++) {
            struct fetch *f = &list[i];
            int status, code = 0;
            if (f->pid > 0 && waitpid(f->pid, &status, WNOHANG) == f->pid) {
                f->pid = 0;
                code = finish(job, f, WIFEXITED(status) ? WEXITSTATUS(status) : 128, e);
            }
            left += !f->done;
            running += f->pid > 0;
            if (code == 0 || code == -EAGAIN) {
                code = root_stop ? -EINTR : 0;
            }
            if (code == 0 && !f->done && f->pid == 0 && running < FETCH_AT_ONCE) {
                code = start(job, f, e);
                running++;
            }
            if (code != 0) {
                stop_all(list, n);
                return code;
            }
        }
        struct totals t = count(job, list, n);
        if (t.all_bytes > 0) {
            progress(job, left == 0, "%s: %zu of %zu, %.1f of %.1f MB", what, t.files, n, (double)t.bytes / 1e6,
                     (double)t.all_bytes / 1e6);
        }
        if (left == 0) {
            return 0;
        }
        nanosleep(&(struct timespec){.tv_nsec = 20000000}, NULL);
    }
}

/* gpgv lets InRelease through if one of its signatures is of the keyring and none is bad; leaves Release. */
static int
verify_release(const struct root_job *job, struct err *e)
{
    char in[PATH_MAX], out[PATH_MAX];
    int a = snprintf(in, sizeof in, "%s/InRelease", job->state);
    int b = snprintf(out, sizeof out, "%s/Release", job->state);
    if (a < 0 || b < 0 || (size_t)a >= sizeof in || (size_t)b >= sizeof out) {
        return err_set(e, -ENAMETOOLONG, "%s", job->state);
    }
    unlink(out); /* gpgv does not overwrite */
    int p[2];
    if (pipe2(p, O_CLOEXEC) != 0) {
        return err_set(e, -errno, "start gpgv");
    }
    const char *gpgv[] = {"gpgv", "-q", "--status-fd", "1", "--keyring", job->keyring, "--output", out, in, NULL};
    pid_t pid = tool_start(gpgv, -1, p[1], -1, e);
    close(p[1]);
    FILE *status = fdopen(p[0], "r");
    if (pid < 0 || status == NULL) {
        close(p[0]);
        return pid < 0 ? (int)pid : err_set(e, -ENOMEM, "gpgv");
    }
    char line[512];
    bool valid = false, bad = false;
    while (fgets(line, sizeof line, status) != NULL) {
        valid |= strncmp(line, "[GNUPG:] VALIDSIG ", 18) == 0;
        bad |= strncmp(line, "[GNUPG:] BADSIG ", 16) == 0;
    }
    fclose(status);
    if (tool_wait(pid) == -EINTR) {
        return -EINTR;
    }
    if (!valid || bad || !file_exists(job->state_fd, "Release")) {
        err_set(e, 0, "the signature of %s/dists/%s/InRelease does not verify with %s: give --keyring for another "
                "archive, or install a newer debian-archive-keyring", job->mirror, job->suite, job->keyring);
        return -EBADMSG;
    }
    return 0;
}

/* The suite is the one that was asked for, and has not expired. */
static int
check_release(const struct root_job *job, struct slice release, struct err *e)
{
    struct slice suite = stanza_field(release, "Suite"), code = stanza_field(release, "Codename");
    if (!slice_is(suite, job->suite) && !slice_is(code, job->suite)) {
        err_set(e, 0, "asked for suite %s, but %s has %.*s (%.*s) there", job->suite, job->mirror, (int)suite.n, suite.p,
                (int)code.n, code.p);
        return -EBADMSG;
    }
    struct slice until = stanza_field(release, "Valid-Until");
    char date[64];
    snprintf(date, sizeof date, "%.*s", (int)until.n, until.p);
    struct tm tm = {0};
    struct timespec now;
    if (until.n > 0 && !job->allow_expired && strptime(date, "%a, %d %b %Y %H:%M:%S", &tm) != NULL &&
        nondet_clock(CLOCK_REALTIME, &now) == 0 && timegm(&tm) < now.tv_sec) {
        err_set(e, 0, "the index of %s expired on %s: use a mirror that is kept up to date, or --allow-expired",
                job->suite, date);
        return -EBADMSG;
    }
    return 0;
}

/* "hash size path" of a file in Release's SHA256 list. */
static bool
release_entry(struct slice release, const char *path, struct slice *sha256, uint64_t *size)
{
    struct slice list = stanza_field(release, "SHA256");
    for (size_t i = 0; i < list.n;) {
        const char *line = list.p + i;
        size_t len = strcspn(line, "\n");
        char name[256], hex[65];
        unsigned long long bytes;
        if (len > 0 && len < 512 && sscanf(line, " %64[0-9a-f] %llu %255[^\n]", hex, &bytes, name) == 3 && strlen(hex) == 64 &&
            strcmp(name, path) == 0) {
            *sha256 = (struct slice){line + strspn(line, " "), 64};
            *size = bytes;
            return true;
        }
        i += len + 1;
    }
    return false;
}

static int
unpack_index(const struct root_job *job, struct err *e)
{
    int in = openat(job->state_fd, "Packages.xz", O_RDONLY | O_CLOEXEC);
    int out = openat(job->state_fd, "Packages.part", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    int code = in < 0 || out < 0 ? err_set(e, -errno, "unpack Packages.xz")
                                 : tool_run((const char *const[]){"xz", "-dc", NULL}, in, out, e);
    if (in >= 0) {
        close(in);
    }
    if (out >= 0) {
        close(out);
    }
    if (code == 0 && renameat(job->state_fd, "Packages.part", job->state_fd, "Packages") != 0) {
        code = err_set(e, -errno, "rename Packages");
    }
    unlinkat(job->state_fd, "Packages.xz", 0);
    return code;
}

int
fetch_index(const struct root_job *job, struct err *e)
{
    if (file_exists(job->state_fd, "Packages")) {
        return 0; /* of an earlier start; the plan made from it stays the same */
    }
    int code = tool_need("gpgv", "gpgv", e);
    code = code != 0 ? code : tool_need("xz", "xz-utils", e);
    if (code == 0 && local_mirror(job->mirror) == NULL && !tool_exists("curl") && !tool_exists("wget") &&
        !tool_exists(apt_helper)) {
        code = tool_need("curl", "curl", e);
    }
    if (code == 0 && access(job->keyring, R_OK) != 0) {
        err_set(e, 0, "cannot read the keyring %s: install the Debian package debian-archive-keyring or give --keyring",
                job->keyring);
        code = -ENOENT;
    }
    if (code != 0) {
        return code;
    }
    char path[512], dest[] = "InRelease";
    snprintf(path, sizeof path, "dists/%s/InRelease", job->suite);
    struct fetch in = {.path = path, .dest = dest};
    code = fetch_all(job, &in, 1, "index", e);
    if (code != 0) {
        if (code == -EIO) {
            err_add(e, "suite %s", job->suite);
        }
        return code;
    }
    code = verify_release(job, e);
    char *text = code == 0 ? file_read(job->state_fd, "Release", NULL, e) : NULL;
    if (text == NULL) {
        return code != 0 ? code : -EIO;
    }
    struct slice release = slice_of(text);
    static const char name[] = "main/binary-riscv64/Packages.xz";
    struct fetch packages = {.path = path};
    code = check_release(job, release, e);
    if (code == 0 && !release_entry(release, name, &packages.sha256, &packages.size)) {
        err_set(e, 0, "%s has no riscv64 packages in suite %s", job->mirror, job->suite);
        code = -ENOENT;
    }
    if (code == 0) {
        bool by_hash = slice_is(stanza_field(release, "Acquire-By-Hash"), "yes");
        snprintf(path, sizeof path, "dists/%s/main/binary-riscv64/%s%.*s", job->suite,
                 by_hash ? "by-hash/SHA256/" : "Packages.xz", by_hash ? 64 : 0, packages.sha256.p);
        packages.dest = (char[]){"Packages.xz"};
        unlinkat(job->state_fd, "Packages.xz", 0);
        code = fetch_all(job, &packages, 1, "index", e);
    }
    code = code != 0 ? code : unpack_index(job, e);
    free(text);
    return code;
}
