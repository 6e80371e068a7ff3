/*
 * root_stage.c - from verified packages to a root: the first stage here, the second inside the guest
 *
 * The first stage extracts the required packages as the user who runs it. tar gives no owner and no special mode bit
 * to such a user; what it would have given is noted as chown and chmod commands, the second stage's first step, where
 * the fake-root layer records them.
 *
 * The second stage is a script for the guest's own shell. dpkg installs by the same sequence as debootstrap's second
 * stage, because its result is what users know: the packages that dpkg and maintainer scripts stand on one by one, what
 * is required as a whole, then the base system, then what was asked for. On the host nothing but doppel is executed.
 */
#include "cli/root_impl.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

char *
deb_file(const struct pkg *p)
{
    struct slice path = stanza_field(p->stanza, "Filename");
    const char *slash = memrchr(path.p, '/', path.n);
    struct slice base = slash != NULL ? (struct slice){slash + 1, (size_t)(path.p + path.n - slash - 1)} : path;
    char *name;
    if (asprintf(&name, "debs/%.*s", (int)base.n, base.p) < 0) {
        return NULL;
    }
    /* The archive vouches for it, but it becomes a word of a shell script. */
    static const char plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789.+_~%:-";
    for (char *c = name + strlen("debs/"); *c != '\0'; c++) {
        *c = strchr(plain, *c) != NULL ? *c : '_';
    }
    return name;
}

/* "drwxrwsr-x" as a number. */
static unsigned
mode_of(const char *s)
{
    unsigned mode = 0;
    for (int i = 0; i < 9; i++) {
        mode |= s[1 + i] != '-' && s[1 + i] != 'S' && s[1 + i] != 'T' ? 0400u >> i : 0;
        if (i % 3 == 2 && strchr("sStT", s[1 + i]) != NULL) {
            mode |= 04000u >> (i / 3);
        }
    }
    return mode;
}

/*
 * One line of what tar says it extracts, as ls -l shows it: note owner and mode if an ordinary user's file with umask
 * 022 would be different.
 */
static int
note_owner(FILE *owners, const char *line, struct err *e)
{
    char mode[16];
    unsigned uid, gid;
    int at = 0;
    if (sscanf(line, "%15s %u/%u %*s %*s %*s %n", mode, &uid, &gid, &at) != 3 || at == 0 || strlen(mode) != 10) {
        return err_set(e, 0, "cannot read what tar says: %s", line);
    }
    unsigned bits = mode_of(mode);
    if (mode[0] == 'l' || mode[0] == 'h' || (uid == 0 && gid == 0 && (bits & 07022) == 0)) {
        return 0;
    }
    const char *name = line + at;
    if (strpbrk(name, "'\\") != NULL) {
        return err_set(e, 0, "a name in a package that is not expected there: %s", name);
    }
    fprintf(owners, "chown %u:%u '/%s'\nchmod %o '/%s'\n", uid, gid, name, bits, name);
    return 0;
}

/* dpkg-deb | tar, with what tar says going to note_owner(). */
static int
extract(const struct root_job *job, const char *deb, FILE *owners, struct err *e)
{
    char path[PATH_MAX];
    int data[2], said[2], n = snprintf(path, sizeof path, "%s/%s", job->state, deb);
    if (n < 0 || (size_t)n >= sizeof path) {
        return err_set(e, -ENAMETOOLONG, "%s", deb);
    }
    if (pipe2(data, O_CLOEXEC) != 0) {
        return err_set(e, -errno, "pipe");
    }
    if (pipe2(said, O_CLOEXEC) != 0) {
        close(data[0]);
        close(data[1]);
        return err_set(e, -errno, "pipe");
    }
    const char *dpkg[] = {"dpkg-deb", "--fsys-tarfile", path, NULL};
    const char *tar[] = {"tar", "-C", job->dir, "-xvv", "--numeric-owner", "--no-same-owner", "--no-same-permissions",
                         "--keep-directory-symlink", "--quoting-style=escape", "-f", "-", NULL};
    pid_t from = tool_start(dpkg, -1, data[1], 2, e);
    pid_t to = from < 0 ? -1 : tool_start(tar, data[0], said[1], 2, e);
    close(data[0]);
    close(data[1]);
    close(said[1]);
    FILE *f = fdopen(said[0], "r");
    char *line = NULL;
    size_t room = 0;
    int code = 0;
    while (f != NULL && code == 0 && getline(&line, &room, f) > 0) {
        line[strcspn(line, "\n")] = '\0';
        code = note_owner(owners, line, e);
    }
    free(line);
    if (f != NULL) {
        fclose(f);
    }
    int a = from > 0 ? tool_wait(from) : 1, b = to > 0 ? tool_wait(to) : 1;
    if (root_stop) {
        return -EINTR;
    }
    if (code == 0 && (a != 0 || b != 0)) {
        err_set(e, 0, "cannot unpack %s: %s", deb, a != 0 ? "dpkg-deb failed" : "tar failed (is the disk full?)");
        code = -EIO;
    }
    return code;
}

/* A copy of one of the host's files, as debootstrap makes it; nothing if the host has none. */
static int
copy_host(int dirfd, const char *path, struct err *e)
{
    size_t len;
    struct stat st;
    char *text = file_read(AT_FDCWD, path, &len, NULL);
    if (text == NULL) {
        return 0;
    }
    mode_t mode = stat(path, &st) == 0 ? st.st_mode & 0777 : 0644;
    int code = file_write(dirfd, path + 1, mode, text, len, e);
    free(text);
    return code;
}

const char *
root_public_mirror(const struct root_job *job)
{
    return strncmp(job->mirror, "http", 4) == 0 ? job->mirror : "";
}

static int
write_etc(const struct root_job *job, struct err *e)
{
    int dirfd = open(job->dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (dirfd < 0) {
        return err_set(e, -errno, "open %s", job->dir);
    }
    static const char *const dirs[] = {"etc", "etc/apt", "usr", "usr/sbin", "var", "var/lib", "var/lib/dpkg"};
    for (size_t i = 0; i < sizeof dirs / sizeof dirs[0]; i++) {
        mkdirat(dirfd, dirs[i], 0755); /* if there; a real error shows below */
    }
    char line[1024];
    const char *mirror = root_public_mirror(job);
    int n = mirror[0] != '\0' ? snprintf(line, sizeof line, "deb %s %s main\n", mirror, job->suite)
                              : snprintf(line, sizeof line, "# made from a local mirror; name one that is reached from here\n");
    if (n < 0 || (size_t)n >= sizeof line) {
        close(dirfd);
        return err_set(e, -ENAMETOOLONG, "%s", job->mirror);
    }
    static const char fstab[] = "# UNCONFIGURED FSTAB FOR BASE SYSTEM\n";
    int code = file_write(dirfd, "etc/apt/sources.list", 0644, line, (size_t)n, e);
    code = code != 0 ? code : file_write(dirfd, "etc/fstab", 0644, fstab, sizeof fstab - 1, e);
    code = code != 0 ? code : file_write(dirfd, "var/lib/dpkg/status", 0644, "", 0, e);
    code = code != 0 ? code : file_write(dirfd, "var/lib/dpkg/available", 0644, "", 0, e);
    code = code != 0 ? code : copy_host(dirfd, "/etc/resolv.conf", e);
    code = code != 0 ? code : copy_host(dirfd, "/etc/hostname", e);
    close(dirfd);
    return code;
}

int
stage_first(const struct root_job *job, const struct plan *plan, struct err *e)
{
    if (file_exists(job->state_fd, "first-stage.done")) {
        return 0;
    }
    int code = tool_need("dpkg-deb", "dpkg", e);
    code = code != 0 ? code : tool_need("tar", "tar", e);
    char *text = NULL;
    size_t len = 0, n = plan->n[PLAN_REQUIRED];
    FILE *owners = open_memstream(&text, &len);
    if (owners == NULL || code != 0) {
        return code != 0 ? code : err_set(e, -ENOMEM, "first stage");
    }
    mode_t mask = umask(022);
    /* base-files has /bin, /lib and /sbin as symbolic links into /usr: they must be there before what goes through. */
    for (int pass = 0; pass < 2 && code == 0; pass++) {
        for (size_t i = 0, done = 0; i < n && code == 0; i++) {
            const struct pkg *p = plan->list[PLAN_REQUIRED][i];
            if (slice_is(p->name, "base-files") != (pass == 0)) {
                continue;
            }
            char *deb = deb_file(p);
            code = deb == NULL ? err_set(e, -ENOMEM, "first stage") : extract(job, deb, owners, e);
            free(deb);
            progress(job, false, "first stage: unpacked %zu of %zu packages", ++done, n);
        }
    }
    fclose(owners);
    code = code != 0 ? code : write_etc(job, e);
    code = code != 0 ? code : file_write(job->state_fd, "owners", 0644, text, len, e);
    code = code != 0 ? code : file_write(job->state_fd, "first-stage.done", 0644, "", 0, e);
    umask(mask);
    free(text);
    if (code == 0) {
        progress(job, true, "first stage: unpacked %zu of %zu packages", n, n);
    }
    return code;
}
