/*
 * vm_ctl.c - doppel ps and doppel ctl: clients of the machines' control sockets
 *
 * Trust: a machine is sandboxed, and may have been taken over by its guest: what it answers is bounded, and shown without control characters.
 */
#include "cli/vm_ctl.h"

#include "base/check.h"
#include "cli/cli.h"
#include "cli/vm_control.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <jansson.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#define TIMEOUT_S 10
#define UNKNOWN   "unknown command: " /* a monitor for people has no other way to refuse */
#define LINE_MAX_ (8u << 20) /* bytes of an answer */

/* A connection to a machine. */
struct link {
    int fd; /* own */
    char *in; /* own */
    size_t n, room;
};

/* The next line, as JSON: own; NULL: the connection has ended, or what came is none. */
static json_t *
receive(struct link *l)
{
    for (;;) {
        char *end = l->n > 0 ? memchr(l->in, '\n', l->n) : NULL;
        if (end != NULL) {
            const size_t n = (size_t)(end + 1 - l->in);
            json_t *v = json_loadb(l->in, n, 0, NULL);
            memmove(l->in, l->in + n, l->n - n);
            l->n -= n;
            return v;
        }
        if (l->n == l->room) {
            l->room += 65536;
            l->in = l->room <= LINE_MAX_ ? realloc(l->in, l->room) : NULL;
            if (l->in == NULL) {
                l->n = l->room = 0;
                return NULL;
            }
        }
        const ssize_t got = recv(l->fd, l->in + l->n, l->room - l->n, 0);
        if (got <= 0) {
            return NULL;
        }
        l->n += (size_t)got;
    }
}

/* Send a request (takes it) and wait for its answer: own, the whole object; events in between are passed over. */
static json_t *
ask(struct link *l, json_t *request)
{
    char *text = json_dumps(request, JSON_COMPACT);
    json_decref(request);
    const size_t n = text != NULL ? strlen(text) : 0;
    const bool sent = n > 0 && send(l->fd, text, n, MSG_NOSIGNAL) == (ssize_t)n; /* at once: after "quit" nobody takes more */
    free(text);
    json_t *v = NULL;
    while (sent && (v = receive(l)) != NULL && json_object_get(v, "event") != NULL) {
        json_decref(v);
    }
    return v;
}

static json_t *
command(const char *name)
{
    return json_pack("{ss}", "execute", name);
}

static void
link_close(struct link *l)
{
    close(l->fd);
    free(l->in);
}

/* Connected, and in command mode. 0 or -errno. */
static int
link_open(struct link *l, int folder, const char *name)
{
    *l = (struct link){.fd = control_connect(folder, name)};
    if (l->fd < 0) {
        return l->fd;
    }
    const struct timeval limit = {.tv_sec = TIMEOUT_S};
    setsockopt(l->fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    json_t *greeting = receive(l), *v = greeting != NULL ? ask(l, command("qmp_capabilities")) : NULL;
    const bool fine = json_object_get(greeting, "QMP") != NULL && json_object_get(v, "return") != NULL;
    json_decref(greeting);
    json_decref(v);
    if (!fine) {
        link_close(l);
        return -EPROTO;
    }
    return 0;
}

/* What a machine says, without what a terminal would obey. */
static void
show_on(FILE *f, const char *text)
{
    for (; *text != 0; text++) {
        if (*text == '\n' || *text == '\t' || !iscntrl((unsigned char)*text)) {
            fputc(*text, f);
        }
    }
}

static void
show(const char *text)
{
    show_on(stdout, text);
}

/* ---- doppel ps ---- */

static const char *
word(const json_t *v, const char *key)
{
    const char *s = json_string_value(json_object_get(v, key));
    return s != NULL ? s : "?";
}

static long long
number(const json_t *v, const char *key)
{
    return json_integer_value(json_object_get(v, key));
}

static void
row(const char *name, const json_t *v)
{
    const long long up = number(v, "uptime-seconds");
    char time[32], status[16];
    snprintf(time, sizeof time, "%lld:%02lld:%02lld", up / 3600, up / 60 % 60, up % 60);
    snprintf(status, sizeof status, "%s", word(v, "status"));
    printf("%-20s %8lld ", name, number(v, "pid"));
    show(status);
    printf("%*s %5lld %7lldM %10s\n", (int)(strlen(status) < 8 ? 8 - strlen(status) : 0), "", number(v, "harts"),
           number(v, "memory") >> 20, time);
}

int
vm_ps(int argc, char **argv)
{
    bool json = false;
    struct opts walk = {.cmd = CMD_ps, .argc = argc, .argv = argv, .next = 1};
    for (int id; (id = opts_next(&walk)) != OPTS_END;) {
        if (id == OPTS_ERROR) {
            return EXIT_DOPPEL;
        }
        json = true;
    }
    if (walk.next < argc) {
        return cli_error(CMD_ps, "unexpected argument %s", argv[walk.next]);
    }
    struct err e = {""};
    json_t *all = json_array();
    const int folder = control_folder(false, &e);
    if (folder < 0 && folder != -ENOENT) {
        json_decref(all);
        return cli_error(CMD_ps, "%s", e.text);
    }
    if (!json) {
        printf("%-20s %8s %-8s %5s %8s %10s\n", "NAME", "PID", "STATE", "HARTS", "MEMORY", "UPTIME");
    }
    DIR *d = folder >= 0 ? fdopendir(dup(folder)) : NULL;
    for (const struct dirent *at; d != NULL && (at = readdir(d)) != NULL;) {
        char name[sizeof at->d_name];
        strcpy(name, at->d_name);
        char *end = strrchr(name, '.');
        if (end == NULL || strcmp(end, ".sock") != 0) {
            continue;
        }
        *end = 0;
        struct link l;
        const int r = control_name_ok(name) ? link_open(&l, folder, name) : -EINVAL;
        if (r == -ECONNREFUSED) {
            control_forget(folder, name);
        }
        if (r < 0) {
            continue;
        }
        json_t *v = ask(&l, command("x-doppel-info")), *info = json_object_get(v, "return");
        if (info != NULL && json) {
            json_object_set_new(info, "name", json_string(name));
            json_array_append(all, info);
        } else if (info != NULL) {
            row(name, info);
        }
        json_decref(v);
        link_close(&l);
    }
    if (d != NULL) {
        closedir(d);
        close(folder);
    }
    if (json) {
        json_dumpf(all, stdout, JSON_INDENT(2));
        putchar('\n');
    }
    json_decref(all);
    return fflush(stdout) == 0 ? 0 : cli_error(CMD_ps, "write to stdout: %s", strerror(errno));
}

/* ---- doppel ctl ---- */

static void
show_counts(const char *title, const json_t *counts)
{
    const char *key;
    json_t *v;
    json_object_foreach ((json_t *)(uintptr_t)counts, key, v) {
        printf("  %-11s ", title);
        show(key);
        printf("%*s %15lld\n", (int)(strlen(key) < 20 ? 20 - strlen(key) : 0), "", (long long)json_integer_value(v));
    }
}

static void
show_stats(const json_t *v)
{
    size_t i;
    json_t *h, *d;
    json_array_foreach (json_object_get(v, "harts"), i, h) {
        static const char *const plain[] = {"instructions", "io", "sfence.vma", "fence.i", "code-pages"};
        printf("hart %lld\n", number(h, "hart"));
        for (unsigned k = 0; k < ARRAY_LEN(plain); k++) {
            printf("  %-32s %15lld\n", plain[k], number(h, plain[k]));
        }
        show_counts("tlb", json_object_get(h, "tlb"));
        show_counts("exception", json_object_get(h, "exceptions"));
        show_counts("interrupt", json_object_get(h, "interrupts"));
    }
    printf("all harts\n");
    show_counts("translated", json_object_get(v, "translations"));
    show_counts("memory", json_object_get(v, "memory"));
    printf("%-24s %-14s %12s %12s\n", "device", "address", "reads", "writes");
    json_array_foreach (json_object_get(v, "devices"), i, d) {
        char name[32], at[16];
        snprintf(name, sizeof name, "%s", word(d, "name"));
        snprintf(at, sizeof at, "%s", word(d, "address"));
        show(name);
        printf("%*s ", (int)(strlen(name) < 24 ? 24 - strlen(name) : 0), "");
        show(at);
        printf("%*s %12lld %12lld\n", (int)(strlen(at) < 14 ? 14 - strlen(at) : 0), "", number(d, "reads"), number(d, "writes"));
    }
}

static void
show_value(const json_t *v)
{
    if (json_is_string(v)) {
        show(json_string_value(v));
        return;
    }
    char *text = json_dumps(v, JSON_INDENT(2) | JSON_ENCODE_ANY | JSON_ENSURE_ASCII);
    printf("%s\n", text != NULL ? text : "?");
    free(text);
}

static void
show_status(const json_t *v)
{
    show(word(v, "status"));
    putchar('\n');
}

static const struct {
    const char *word, *execute;
    void (*show)(const json_t *v);
} commands_[] = {
    {"status", "query-status", show_status},
    {"stop", "stop", NULL},
    {"cont", "cont", NULL},
    {"reset", "system_reset", NULL},
    {"powerdown", "system_powerdown", NULL},
    {"quit", "quit", NULL},
    {"stats", "x-doppel-stats", show_stats},
};

/* What the words after NAME ask for: own, or NULL after a message; *shows how the answer is shown. */
static json_t *
request_of(char **words, int n, void (**shows)(const json_t *))
{
    char line[256] = "";
    *shows = show_value;
    for (unsigned i = 0; i < ARRAY_LEN(commands_); i++) {
        if (strcmp(words[0], commands_[i].word) == 0) {
            if (n > 1) {
                cli_error(CMD_ctl, "%s: unexpected argument %s", words[0], words[1]);
                return NULL;
            }
            *shows = commands_[i].show;
            return command(commands_[i].execute);
        }
    }
    if (strcmp(words[0], "qmp") == 0 && n == 2) {
        json_t *v = json_loads(words[1], 0, NULL);
        if (v == NULL) {
            if (words[1][0] != '{') {
                return command(words[1]);
            }
            cli_error(CMD_ctl, "qmp: no JSON: %s", words[1]);
        }
        return v;
    }
    const bool monitor = strcmp(words[0], "monitor") == 0;
    if (!monitor && strcmp(words[0], "info") != 0) {
        cli_error(CMD_ctl, "no command %s; see `doppel help ctl`", words[0]);
        return NULL;
    }
    for (int i = monitor; i < n; i++) {
        const size_t at = strlen(line);
        snprintf(line + at, sizeof line - at, "%s%s", at > 0 ? " " : "", words[i]);
    }
    return json_pack("{sss{ss}}", "execute", "human-monitor-command", "arguments", "command-line", line);
}

int
vm_ctl(int argc, char **argv)
{
    struct opts walk = {.cmd = CMD_ctl, .argc = argc, .argv = argv, .next = 1};
    if (opts_next(&walk) != OPTS_END) {
        return EXIT_DOPPEL;
    }
    if (argc - walk.next < 2) {
        return cli_error(CMD_ctl, "NAME and COMMAND are needed; see `doppel help ctl`");
    }
    const char *name = argv[walk.next];
    struct err e = {""};
    const bool path = strchr(name, '/') != NULL;
    const int folder = path ? -1 : control_folder(false, &e);
    if (folder < 0 && !path && folder != -ENOENT) {
        return cli_error(CMD_ctl, "%s", e.text);
    }
    void (*shows)(const json_t *);
    json_t *request = request_of(argv + walk.next + 1, argc - walk.next - 1, &shows);
    if (request == NULL) {
        return EXIT_DOPPEL;
    }
    struct link l;
    const int r = !path && (folder < 0 || !control_name_ok(name)) ? -ENOENT : link_open(&l, folder, name);
    if (r < 0) {
        json_decref(request);
        cli_error(CMD_ctl, r == -ENOENT || r == -ECONNREFUSED ? "%s: no such machine runs; `doppel ps` lists those that do" : "%s: %s", name,
                  strerror(-r));
        return EXIT_NOT_FOUND;
    }
    json_t *answer = ask(&l, request), *value = json_object_get(answer, "return");
    int status = 0;
    if (answer == NULL) {
        status = cli_error(CMD_ctl, "%s: it does not answer", name);
    } else if (value == NULL) {
        fputs("doppel ctl: ", stderr);
        show_on(stderr, word(json_object_get(answer, "error"), "desc"));
        fputc('\n', stderr);
        status = 1;
    } else if (json_is_string(value) && strncmp(json_string_value(value), UNKNOWN, strlen(UNKNOWN)) == 0) {
        char text[256];
        snprintf(text, sizeof text, "%.*s; `doppel ctl %s monitor help` lists those that there are\n",
                 (int)strcspn(json_string_value(value), "\r\n"), json_string_value(value), name);
        fputs("doppel ctl: ", stderr);
        show_on(stderr, text);
        status = 1;
    } else if (shows != NULL) {
        shows(value);
    }
    json_decref(answer);
    link_close(&l);
    return fflush(stdout) == 0 ? status : cli_error(CMD_ctl, "write to stdout: %s", strerror(errno));
}
