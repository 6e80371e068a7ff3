/*
 * root_index.c - the packages of a Debian archive: deb822 stanzas, found by name
 *
 * The index is one text of some 50 MB with 65,000 stanzas; only names, versions and Provides are looked at when it is
 * read, everything else is found in the stanza when it is asked for.
 *
 * Spec: deb822(5), deb-version(7). Trust: the text is what the archive signed.
 */
#include "cli/root_impl.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

struct slice
slice_of(const char *s)
{
    return (struct slice){s, strlen(s)};
}

bool
slice_equal(struct slice a, struct slice b)
{
    return a.n == b.n && memcmp(a.p, b.p, a.n) == 0;
}

bool
slice_is(struct slice s, const char *text)
{
    return slice_equal(s, slice_of(text));
}

uint64_t
slice_number(struct slice s)
{
    uint64_t v = 0;
    for (size_t i = 0; i < s.n && s.p[i] >= '0' && s.p[i] <= '9' && v < UINT64_MAX / 16; i++) {
        v = v * 10 + (uint64_t)(s.p[i] - '0');
    }
    return v;
}

char *
slice_dup(struct slice s)
{
    return strndup(s.p, s.n);
}

static struct slice
line_at(const char *p, const char *end)
{
    const char *nl = memchr(p, '\n', (size_t)(end - p));
    return (struct slice){p, (size_t)((nl != NULL ? nl : end) - p)};
}

struct slice
stanza_field(struct slice stanza, const char *field)
{
    const char *end = stanza.p + stanza.n;
    size_t n = strlen(field);
    for (const char *p = stanza.p; p < end;) {
        struct slice line = line_at(p, end);
        if (line.n > n && line.p[n] == ':' && strncasecmp(line.p, field, n) == 0) {
            const char *from = line.p + n + 1;
            const char *to = line.p + line.n;
            while (to < end && to + 1 < end && (to[1] == ' ' || to[1] == '\t')) {
                struct slice more = line_at(to + 1, end);
                to = more.p + more.n;
            }
            while (from < to && (*from == ' ' || *from == '\t')) {
                from++;
            }
            while (to > from && (to[-1] == ' ' || to[-1] == '\r')) {
                to--;
            }
            return (struct slice){from, (size_t)(to - from)};
        }
        p = line.p + line.n + 1;
    }
    return (struct slice){"", 0};
}

/* deb-version(7): "~" sorts before the end, letters before everything else. */
static int
version_rank(struct slice s, size_t i)
{
    if (i >= s.n) {
        return 0;
    }
    unsigned char c = (unsigned char)s.p[i];
    if (c >= '0' && c <= '9') {
        return 0;
    }
    if (c == '~') {
        return -1;
    }
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ? c : c + 256;
}

static bool
is_digit(struct slice s, size_t i)
{
    return i < s.n && s.p[i] >= '0' && s.p[i] <= '9';
}

/* Compare upstream versions or revisions: runs of non-digits and runs of digits in turn. */
static int
part_compare(struct slice a, struct slice b)
{
    size_t i = 0, j = 0;
    while (i < a.n || j < b.n) {
        while ((i < a.n && !is_digit(a, i)) || (j < b.n && !is_digit(b, j))) {
            int d = version_rank(a, i) - version_rank(b, j);
            if (d != 0) {
                return d;
            }
            i++;
            j++;
        }
        while (i < a.n && a.p[i] == '0') {
            i++;
        }
        while (j < b.n && b.p[j] == '0') {
            j++;
        }
        int first = 0;
        while (is_digit(a, i) && is_digit(b, j)) {
            if (first == 0) {
                first = a.p[i] - b.p[j];
            }
            i++;
            j++;
        }
        if (is_digit(a, i)) {
            return 1;
        }
        if (is_digit(b, j)) {
            return -1;
        }
        if (first != 0) {
            return first;
        }
    }
    return 0;
}

/* Take what stands before the first `c` from *s; "0" if there is no such epoch. */
static struct slice
take_epoch(struct slice *s)
{
    const char *colon = memchr(s->p, ':', s->n);
    if (colon == NULL) {
        return (struct slice){"0", 1};
    }
    struct slice epoch = {s->p, (size_t)(colon - s->p)};
    s->n -= epoch.n + 1;
    s->p = colon + 1;
    return epoch;
}

static struct slice
take_revision(struct slice *s)
{
    const char *dash = memrchr(s->p, '-', s->n);
    if (dash == NULL) {
        return (struct slice){"", 0};
    }
    struct slice rev = {dash + 1, (size_t)(s->p + s->n - dash - 1)};
    s->n = (size_t)(dash - s->p);
    return rev;
}

int
version_compare(struct slice a, struct slice b)
{
    int d = part_compare(take_epoch(&a), take_epoch(&b));
    if (d != 0) {
        return d;
    }
    struct slice ra = take_revision(&a), rb = take_revision(&b);
    d = part_compare(a, b);
    return d != 0 ? d : part_compare(ra, rb);
}

static size_t
hash(struct slice s)
{
    size_t h = 5381;
    for (size_t i = 0; i < s.n; i++) {
        h = h * 33 ^ (unsigned char)s.p[i];
    }
    return h;
}

struct pkg *
index_find(const struct index *ix, struct slice name)
{
    struct pkg *best = NULL;
    for (struct pkg *p = ix->buckets[hash(name) % ix->n_buckets]; p != NULL; p = p->next) {
        if (slice_equal(p->name, name) &&
            (best == NULL || version_compare(p->version, best->version) > 0)) {
            best = p;
        }
    }
    return best;
}

static int
name_compare(struct slice a, struct slice b)
{
    int d = memcmp(a.p, b.p, a.n < b.n ? a.n : b.n);
    return d != 0 ? d : (a.n > b.n) - (a.n < b.n);
}

static int
provide_compare(const void *a, const void *b)
{
    const struct provide *x = a, *y = b;
    int d = name_compare(x->name, y->name);
    return d != 0 ? d : name_compare(x->by->name, y->by->name);
}

const struct provide *
index_provides(const struct index *ix, struct slice name, size_t *n)
{
    size_t lo = 0, hi = ix->n_provides;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        if (name_compare(ix->provides[mid].name, name) < 0) {
            lo = mid + 1;
        } else {
            hi = mid;
        }
    }
    size_t end = lo;
    while (end < ix->n_provides && slice_equal(ix->provides[end].name, name)) {
        end++;
    }
    *n = end - lo;
    return ix->provides + lo;
}

/* Append the "name (= version), name" of one package. */
static int
add_provides(struct index *ix, struct pkg *by, struct slice list)
{
    for (size_t i = 0; i < list.n;) {
        i += strspn(list.p + i, " ,\n\t");
        if (i >= list.n) {
            break;
        }
        size_t len = 0;
        while (i + len < list.n && strchr(" ,\n\t(:", list.p[i + len]) == NULL) {
            len++;
        }
        struct slice name = {list.p + i, len}, version = {"", 0};
        const char *comma = memchr(list.p + i, ',', list.n - i);
        size_t end = comma != NULL ? (size_t)(comma - list.p) : list.n;
        const char *eq = memchr(list.p + i, '=', end - i);
        if (eq != NULL) {
            const char *v = eq + 1 + strspn(eq + 1, " ");
            version = (struct slice){v, strcspn(v, " )")};
        }
        if (len > 0) {
            if ((ix->n_provides & (ix->n_provides - 1)) == 0) {
                size_t room = ix->n_provides == 0 ? 1 : 2 * ix->n_provides;
                struct provide *more = realloc(ix->provides, room * sizeof *more);
                if (more == NULL) {
                    return -ENOMEM;
                }
                ix->provides = more;
            }
            ix->provides[ix->n_provides++] = (struct provide){name, version, by};
        }
        i = end;
    }
    return 0;
}

int
index_open(struct index *ix, int dirfd, const char *path, struct err *e)
{
    size_t len;
    *ix = (struct index){.text = file_read(dirfd, path, &len, e)};
    if (ix->text == NULL) {
        return -EIO;
    }
    const char *end = ix->text + len;
    size_t room = 0;
    for (const char *p = ix->text; p < end;) {
        const char *gap = memmem(p, (size_t)(end - p), "\n\n", 2);
        const char *to = gap != NULL ? gap + 1 : end;
        struct pkg p0 = {.stanza = {p, (size_t)(to - p)}};
        p = to + strspn(to, "\n");
        p0.name = stanza_field(p0.stanza, "Package");
        p0.version = stanza_field(p0.stanza, "Version");
        if (p0.name.n == 0) {
            continue;
        }
        if (ix->n == room) {
            room = room == 0 ? 4096 : 2 * room;
            struct pkg *more = realloc(ix->pkgs, room * sizeof *more);
            if (more == NULL) {
                return err_set(e, -ENOMEM, "read %s", path);
            }
            ix->pkgs = more;
        }
        ix->pkgs[ix->n++] = p0;
    }
    ix->n_buckets = 2 * ix->n + 1;
    ix->buckets = calloc(ix->n_buckets, sizeof *ix->buckets);
    if (ix->buckets == NULL) {
        return err_set(e, -ENOMEM, "read %s", path);
    }
    for (size_t i = 0; i < ix->n; i++) {
        struct pkg *p = &ix->pkgs[i], **bucket = &ix->buckets[hash(p->name) % ix->n_buckets];
        p->next = *bucket;
        *bucket = p;
        if (add_provides(ix, p, stanza_field(p->stanza, "Provides")) != 0) {
            return err_set(e, -ENOMEM, "read %s", path);
        }
    }
    if (ix->n_provides > 0) {
        qsort(ix->provides, ix->n_provides, sizeof *ix->provides, provide_compare);
    }
    return 0;
}

void
index_close(struct index *ix)
{
    free(ix->provides);
    free(ix->buckets);
    free(ix->pkgs);
    free(ix->text);
    *ix = (struct index){0};
}
