/*
 * cmd_cache.c - doppel cache [OPTION]…: what is in the folder of kept translations (engine/store.h)
 */
#include "cli/cache_folder.h"
#include "cli/cli.h"

#include "engine/store.h"

#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

struct sums {
    uint64_t bytes, records, broken;
    unsigned n;
    bool check;
};

static void
show(void *arg, const struct store_info *f)
{
    struct sums *s = arg;
    const time_t t = (time_t)(f->used_ns / 1000000000);
    struct tm tm;
    char when[32] = "";
    if (localtime_r(&t, &tm) != NULL) {
        strftime(when, sizeof when, "%Y-%m-%d %H:%M", &tm);
    }
    const bool broken = !f->unfinished && (!f->head_ok || f->n_bad != 0);
    const unsigned records = f->head_ok ? f->head.n_records : 0;
    if (s->n == 0) {
        printf("%-20s %10s %8s  %-16s %s\n", "SEGMENT", "BYTES", "RECORDS", "USED", "FILE");
    }
    printf("%-20s %10llu %8u  %-16s ", f->name, (unsigned long long)f->bytes, records, when);
    if (f->unfinished) {
        printf("being written\n");
    } else if (!f->head_ok) {
        printf("broken\n");
    } else {
        const struct store_file *g = &f->head.key.file;
        printf("%llu:%llu %llu", (unsigned long long)g->dev, (unsigned long long)g->ino, (unsigned long long)g->size);
        if (f->n_bad != 0) {
            printf("  %u broken", f->n_bad);
        } else if (s->check) {
            printf("  %s", f->ours ? "good" : "whole; another build's");
        }
        printf("\n");
    }
    s->n++;
    s->bytes += f->bytes;
    s->records += records;
    s->broken += broken;
}

/* Bytes with K, M or G. */
static bool
parse_bytes(const char *text, uint64_t *v)
{
    char *end;
    errno = 0;
    *v = strtoull(text, &end, 0);
    const unsigned shift = *end == 'K' || *end == 'k' ? 10 : *end == 'M' || *end == 'm' ? 20 : *end == 'G' || *end == 'g' ? 30 : 0;
    end += shift != 0;
    const bool ok = errno == 0 && *end == '\0' && isdigit((unsigned char)*text) && *v << shift >> shift == *v;
    *v <<= shift;
    return ok;
}

int
cmd_cache(int argc, char **argv)
{
    struct opts o = {.cmd = CMD_cache, .argc = argc, .argv = argv, .next = 1};
    const char *asked = getenv("DOPPEL_CACHE");
    uint64_t most = STORE_BYTES;
    bool trim = false;
    struct sums sums = {.check = false};
    asked = asked != NULL && *asked != '\0' ? asked : NULL;
    for (int opt; (opt = opts_next(&o)) != OPTS_END;) {
        switch (opt) {
        case OPT_cache_dir:
            asked = o.value;
            break;
        case OPT_cache_check:
            sums.check = true;
            break;
        case OPT_cache_trim:
            trim = true;
            if (o.value != NULL && !parse_bytes(o.value, &most)) {
                return cli_error(CMD_cache, "--trim: not a number of bytes: %s", o.value);
            }
            break;
        default:
            return EXIT_DOPPEL;
        }
    }
    if (o.next != argc) {
        return cli_error(CMD_cache, "unexpected argument %s; --dir names a folder", argv[o.next]);
    }
    char path[PATH_MAX];
    struct err e = {.text = ""};
    if (!cache_folder(asked, path, sizeof path)) {
        return cli_error(CMD_cache, "which folder? Neither HOME nor XDG_CACHE_HOME says; --dir does");
    }
    const int dir = store_open(path, false, &e);
    if (dir == -ENOENT && asked == NULL) {
        printf("%s: nothing has been kept yet\n", path);
        return 0;
    } else if (dir < 0) {
        return cli_error(CMD_cache, "%s", e.text);
    }
    int r = 0;
    if (trim) {
        const int64_t gone = store_trim(dir, most);
        r = gone < 0 ? cli_error(CMD_cache, "%s: %s", path, strerror((int)-gone)) : 0;
        if (r == 0) {
            printf("%s: %lld bytes removed\n", path, (long long)gone);
        }
    }
    if (r == 0 && (sums.check || !trim)) {
        const int err = store_walk(dir, sums.check ? STORE_CHECK : STORE_HEADS, show, &sums);
        r = err < 0 ? cli_error(CMD_cache, "%s: %s", path, strerror(-err)) : sums.check && sums.broken != 0;
        printf("%s: %u segments, %llu bytes, %llu records%s\n", path, sums.n, (unsigned long long)sums.bytes,
               (unsigned long long)sums.records, sums.broken != 0 ? "; some are broken, and ignored" : "");
    }
    close(dir);
    return r;
}
