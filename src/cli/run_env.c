/*
 * run_env.c - see run_env.h
 */
#include "cli/run_env.h"

#include "base/check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DEBIAN_PATH "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

static bool
names(const char *entry, const char *name, size_t n)
{
    return strncmp(entry, name, n) == 0 && (entry[n] == '=' || entry[n] == 0);
}

bool
run_env_edit(struct run_env *e, const char *entry)
{
    if (entry[0] == 0 || entry[0] == '=') {
        return false;
    }
    e->edits = realloc(e->edits, (e->nedits + 1) * sizeof *e->edits);
    CHECK(e->edits != NULL);
    e->edits[e->nedits++] = entry;
    return true;
}

static void
put(struct run_env *e, const char *entry)
{
    e->v = realloc(e->v, (e->n + 2) * sizeof *e->v);
    CHECK(e->v != NULL);
    e->v[e->n++] = (char *)(uintptr_t)entry;
    e->v[e->n] = NULL;
}

static void
put_pair(struct run_env *e, const char *name, const char *value, size_t len)
{
    char *entry;
    int n = asprintf(&entry, "%s=%.*s", name, (int)len, value);
    CHECK(n >= 0);
    put(e, entry); /* for good, as the strings of the host's are */
}

static void
apply_edits(struct run_env *e)
{
    for (size_t k = 0; k < e->nedits; k++) {
        const char *entry = e->edits[k];
        size_t len = strcspn(entry, "="), to = 0;
        for (size_t i = 0; i < e->n; i++) {
            if (!names(e->v[i], entry, len)) {
                e->v[to++] = e->v[i];
            }
        }
        e->n = to;
        e->v[to] = NULL;
        if (entry[len] == '=') {
            put(e, entry);
        }
    }
}

void
run_env_inherit(struct run_env *e, char **host)
{
    size_t n = 0;
    while (host[n] != NULL) {
        n++;
    }
    e->v = malloc((n + 1) * sizeof *e->v);
    CHECK(e->v != NULL);
    memcpy(e->v, host, (n + 1) * sizeof *e->v);
    e->n = n;
    apply_edits(e);
}

/* Field `k` of a line of passwd, from 0; "" and 0 if it has none. */
static const char *
field(const char *line, unsigned k, size_t *len)
{
    while (k > 0 && *line != 0 && *line != '\n') {
        k -= *line++ == ':';
    }
    *len = k == 0 ? strcspn(line, ":\n") : 0;
    return k == 0 ? line : "";
}

static const char *
find_user(const char *passwd, uint32_t uid)
{
    for (const char *line = passwd; *line != 0; line += strcspn(line, "\n"), line += *line == '\n') {
        size_t len;
        const char *number = field(line, 2, &len);
        char *end;
        if (len > 0 && strtoul(number, &end, 10) == uid && end == number + len) {
            return line;
        }
    }
    return NULL;
}

/* What of the host's environment a program in a root has use for: the terminal, the language, the way to the network. */
static bool
kept(const char *entry)
{
    static const char *const some[] = {"TERM", "COLORTERM", "LANG", "LANGUAGE", "http_proxy", "https_proxy", "ftp_proxy",
                                       "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "FTP_PROXY", "NO_PROXY"};
    for (size_t i = 0; i < ARRAY_LEN(some); i++) {
        if (names(entry, some[i], strlen(some[i]))) {
            return true;
        }
    }
    return strncmp(entry, "LC_", 3) == 0;
}

void
run_env_contain(struct run_env *e, char **host, uint32_t uid, const char *passwd)
{
    const char *line = find_user(passwd, uid), *name = uid == 0 ? "root" : "", *home = uid == 0 ? "/root" : "/";
    size_t name_len = strlen(name), home_len = strlen(home), len;
    if (line != NULL) {
        name = field(line, 0, &name_len);
        const char *dir = field(line, 5, &len);
        if (len > 0) {
            home = dir;
            home_len = len;
        }
    }
    put(e, "PATH=" DEBIAN_PATH);
    put_pair(e, "HOME", home, home_len);
    if (name_len > 0) {
        put_pair(e, "USER", name, name_len);
        put_pair(e, "LOGNAME", name, name_len);
    }
    for (; *host != NULL; host++) {
        if (kept(*host)) {
            put(e, *host);
        }
    }
    apply_edits(e);
}

const char *
run_env_get(const struct run_env *e, const char *name)
{
    size_t n = strlen(name);
    for (size_t i = 0; i < e->n; i++) {
        if (strncmp(e->v[i], name, n) == 0 && e->v[i][n] == '=') {
            return e->v[i] + n + 1;
        }
    }
    return NULL;
}
