/*
 * vfs_save.c - the view as one word of text, for a re-execution of doppel
 *
 * Fields are separated by ':'; other bytes than letters, digits and "/._-" are written %XX, so the text fits into an
 * environment variable or a line. Descriptors are given by number and stay open over the execve.
 *
 *   VERSION VIEW EDGE OWN_END FAR TRUE_ROOT TRUE_ROOT_HOST ROOT ROOT_GUEST SYSROOT SCRATCH SCRATCH_PATH TABLE FAKE
 *   with FAKE 1: OWNERS_FD, the members of struct fake_ids
 *
 * Trust: the text comes from ourselves; the caller sees to it that nobody else can hand it in.
 */
#include "process/vfs_impl.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define SAVE_VERSION 2

struct writer {
    char *buf;
    size_t cap, len; /* len may exceed cap: too small */
};

static void
put_byte(struct writer *w, char c)
{
    if (w->len < w->cap) {
        w->buf[w->len] = c;
    }
    w->len++;
}

static void
put_string(struct writer *w, const char *s)
{
    static const char hex[] = "0123456789abcdef";
    for (; *s != '\0'; s++) {
        unsigned char c = (unsigned char)*s;
        if (isalnum(c) || strchr("/._-", c) != NULL) {
            put_byte(w, *s);
        } else {
            put_byte(w, '%');
            put_byte(w, hex[c >> 4]);
            put_byte(w, hex[c & 15]);
        }
    }
    put_byte(w, ':');
}

static void
put_number(struct writer *w, int64_t n)
{
    char s[24];
    snprintf(s, sizeof s, "%lld", (long long)n);
    put_string(w, s);
}

/* Let each of the view's descriptors survive an execve, or not. */
static void
keep_fds(const struct vfs *v, bool keep)
{
    uint64_t flags = keep ? 0 : FD_CLOEXEC;
    host_syscall(SYS_fcntl, v->true_root, F_SETFD, flags);
    if (v->root != v->true_root) {
        host_syscall(SYS_fcntl, v->root, F_SETFD, flags);
    }
    if (v->owners_fd > 0) {
        host_syscall(SYS_fcntl, v->owners_fd, F_SETFD, flags);
    }
    if (v->scratch > 0) {
        host_syscall(SYS_fcntl, v->scratch, F_SETFD, flags);
    }
    if (v->table_fd > 0) {
        host_syscall(SYS_fcntl, v->table_fd, F_SETFD, flags);
    }
}

static void
put_ids(struct writer *w, const struct vfs *v)
{
    const struct fake_ids *ids = &v->ids;
    put_number(w, v->owners_fd);
    for (int i = 0; i < FAKE_NIDS; i++) {
        put_number(w, ids->uid[i]);
        put_number(w, ids->gid[i]);
    }
    put_number(w, ids->ngroups);
    for (uint32_t i = 0; i < ids->ngroups; i++) {
        put_number(w, ids->groups[i]);
    }
    put_number(w, (int64_t)ids->cap_effective);
    put_number(w, (int64_t)ids->cap_permitted);
    put_number(w, (int64_t)ids->cap_inheritable);
    put_number(w, ids->keep_caps);
}

int64_t
vfs_save(struct vfs *v, char *buf, size_t cap)
{
    struct writer w = {.buf = buf, .cap = cap};
    put_number(&w, SAVE_VERSION);
    put_number(&w, v->view);
    put_number(&w, v->edge);
    put_number(&w, v->own_end);
    put_number(&w, v->far);
    put_number(&w, v->true_root);
    put_string(&w, v->true_root_host);
    put_number(&w, v->root);
    put_string(&w, v->root_guest);
    put_string(&w, v->sysroot);
    put_number(&w, v->scratch);
    put_string(&w, v->scratch_path);
    put_number(&w, v->table_fd);
    put_number(&w, v->fake);
    if (v->fake) {
        put_ids(&w, v);
    }
    put_byte(&w, '\0');
    if (w.len > cap) {
        return -ENAMETOOLONG;
    }
    keep_fds(v, true);
    return (int64_t)w.len - 1;
}

void
vfs_save_undo(struct vfs *v)
{
    keep_fds(v, false);
}

struct reader {
    const char *s;
    bool bad;
};

static int
hex_digit(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static void
get_string(struct reader *r, char *out, size_t cap)
{
    size_t n = 0;
    while (*r->s != ':' && *r->s != '\0') {
        char c = *r->s++;
        if (c == '%') {
            int hi = hex_digit(r->s[0]), lo = hi < 0 ? -1 : hex_digit(r->s[1]);
            if (lo < 0) {
                r->bad = true;
                break;
            }
            c = (char)(hi << 4 | lo);
            r->s += 2;
        }
        if (n + 1 >= cap) {
            r->bad = true;
            break;
        }
        out[n++] = c;
    }
    out[n] = '\0';
    if (*r->s != ':') {
        r->bad = true;
    } else {
        r->s++;
    }
}

static int64_t
get_number(struct reader *r)
{
    char s[24], *end;
    get_string(r, s, sizeof s);
    long long n = strtoll(s, &end, 10);
    r->bad |= end == s || *end != '\0';
    return n;
}

static void
get_ids(struct reader *r, struct vfs *v)
{
    struct fake_ids *ids = &v->ids;
    v->fake = true;
    v->owners_fd = (int)get_number(r);
    for (int i = 0; i < FAKE_NIDS; i++) {
        ids->uid[i] = (uint32_t)get_number(r);
        ids->gid[i] = (uint32_t)get_number(r);
    }
    int64_t n = get_number(r);
    if (n < 0 || n > FAKE_NGROUPS) {
        r->bad = true;
        return;
    }
    ids->ngroups = (uint32_t)n;
    for (uint32_t i = 0; i < ids->ngroups; i++) {
        ids->groups[i] = (uint32_t)get_number(r);
    }
    ids->cap_effective = (uint64_t)get_number(r);
    ids->cap_permitted = (uint64_t)get_number(r);
    ids->cap_inheritable = (uint64_t)get_number(r);
    ids->keep_caps = get_number(r) != 0;
    if (v->owners_fd > 0 && fake_map_table(v) < 0) {
        r->bad = true;
    }
}

int
vfs_load(struct vfs **out, const char *state, struct err *e)
{
    struct reader r = {.s = state};
    struct stat st;
    struct vfs *v = calloc(1, sizeof *v);
    if (v == NULL) {
        return err_set(e, -ENOMEM, "files");
    }
    r.bad = get_number(&r) != SAVE_VERSION;
    v->view = (enum vfs_view)get_number(&r);
    v->edge = (int)get_number(&r);
    v->own_end = (int)get_number(&r);
    v->far = get_number(&r) != 0;
    v->true_root = (int)get_number(&r);
    get_string(&r, v->true_root_host, sizeof v->true_root_host);
    v->root = (int)get_number(&r);
    get_string(&r, v->root_guest, sizeof v->root_guest);
    get_string(&r, v->sysroot, sizeof v->sysroot);
    v->scratch = (int)get_number(&r);
    get_string(&r, v->scratch_path, sizeof v->scratch_path);
    int table = (int)get_number(&r);
    if (get_number(&r) != 0) {
        get_ids(&r, v);
    }
    if (r.bad || host_syscall(SYS_fstat, v->root, &st) < 0) {
        free(v);
        return err_set(e, -EINVAL, "state of files");
    }
    v->root_dev = st.st_dev;
    v->root_ino = st.st_ino;
    int err = vfs_mount_table_map(v, table);
    err = err < 0 ? err_set(e, err, "table of mounts") : vfs_start(v, e);
    if (err < 0) {
        free(v);
        return err;
    }
    vfs_fd_lower(v);
    keep_fds(v, false);
    *out = v;
    return 0;
}
