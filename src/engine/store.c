/*
 * store.c - see store.h: finding, reading and writing segments
 *
 * No malloc: a process writes as it ends, and may be the child of one that had threads.
 */
#include "engine/store.h"

#include "base/nondet.h"
#include "engine/record.h"

#include <dirent.h>
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#define MAGIC "doppel\n\1"
#define NAME_BYTES 64
#define OPEN_FLAGS (O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY)

static_assert(sizeof(struct store_config) == 96 && sizeof(struct store_key) == 136 && sizeof(struct store_head) == 168, "no padding");

/* ---- the folder ---- */

static int
not_ours(const struct stat *st, bool dir)
{
    if (dir ? !S_ISDIR(st->st_mode) : !S_ISREG(st->st_mode)) {
        return dir ? -ENOTDIR : -EINVAL;
    }
    return st->st_uid == geteuid() && (st->st_mode & (S_IWGRP | S_IWOTH)) == 0 ? 0 : -EPERM;
}

int
store_is_ours(int dir, struct err *e)
{
    struct stat st;
    const int r = fstat(dir, &st) != 0 ? -errno : not_ours(&st, true);
    if (r == -EPERM) {
        return err_set(e, r, st.st_uid != geteuid() ? "it belongs to user %u" : "others may write into it", (unsigned)st.st_uid);
    }
    return r == 0 ? 0 : err_set(e, r, "it cannot be used");
}

int
store_open(const char *path, bool make, struct err *e)
{
    char p[PATH_MAX];
    if (snprintf(p, sizeof p, "%s", path) >= (int)sizeof p) {
        return err_set(e, -ENAMETOOLONG, "%s", path);
    }
    int dir = open(p, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (dir < 0 && errno == ENOENT && make) {
        /* With the folder that it is in, as ~/.cache; no more: a HOME that is not there is not meant to be. */
        char *const last = strrchr(p + 1, '/');
        if (last != NULL) {
            *last = '\0';
            (void)!mkdir(p, 0700);
            *last = '/';
        }
        if (mkdir(p, 0700) != 0 && errno != EEXIST) {
            return err_set(e, -errno, "%s", p);
        }
        dir = open(p, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    }
    if (dir < 0) {
        return err_set(e, -errno, "%s", path);
    }
    const int r = store_is_ours(dir, e);
    if (r != 0) {
        err_add(e, "%s", path);
        close(dir);
        return r;
    }
    return dir;
}

/* GNU's note, which is between two symbols of the linker's where the program headers say. */
bool
store_build_id(uint8_t id[32])
{
    extern const char __ehdr_start[] __attribute__((visibility("hidden")));
    const Elf64_Ehdr *eh = (const void *)__ehdr_start;
    memset(id, 0, 32);
    for (unsigned k = 0; k < eh->e_phnum; k++) {
        const Elf64_Phdr *ph = (const void *)(__ehdr_start + eh->e_phoff + k * sizeof *ph);
        for (uint64_t at = 0; ph->p_type == PT_NOTE && at + sizeof(Elf64_Nhdr) <= ph->p_filesz;) {
            const Elf64_Nhdr *n = (const void *)(__ehdr_start + ph->p_vaddr + at);
            const char *name = (const char *)(n + 1);
            const uint64_t desc = (n->n_namesz + 3u) & ~3u;
            if (n->n_type == NT_GNU_BUILD_ID && n->n_namesz == 4 && memcmp(name, "GNU", 4) == 0 && n->n_descsz <= 32) {
                memcpy(id, name + desc, n->n_descsz);
                return n->n_descsz >= 16;
            }
            at += sizeof *n + desc + ((n->n_descsz + 3u) & ~3u);
        }
    }
    return false;
}

static void
name_of(const struct store_key *key, unsigned segment, char out[NAME_BYTES])
{
    snprintf(out, NAME_BYTES, "%016llx.%u", (unsigned long long)store_hash(key, sizeof *key), segment);
}

/* ---- reading ---- */

static uint64_t
head_check(const struct store_head *h)
{
    const size_t from = offsetof(struct store_head, size);
    return store_hash((const char *)h + from, sizeof *h - from);
}

static size_t
index_bytes(const struct store_head *h)
{
    return sizeof(struct store_entry) << h->index_bits;
}

bool
store_head_is_sound(const struct store_head *h, size_t size)
{
    return size >= sizeof *h && memcmp(h->magic, MAGIC, 8) == 0 && h->check == head_check(h) && h->size == size &&
           h->index_bits <= 22 && index_bytes(h) <= size - sizeof *h;
}

/* Open a segment: its descriptor and size, or -errno. */
static int
open_segment(int dir, const char *name, size_t *size)
{
    struct stat st;
    const int fd = openat(dir, name, OPEN_FLAGS);
    if (fd < 0) {
        return -errno;
    }
    if (fstat(fd, &st) != 0 || not_ours(&st, false) != 0 || st.st_size < (off_t)sizeof(struct store_head) ||
        (uint64_t)st.st_size > STORE_SEGMENT_MAX) {
        close(fd);
        return -EINVAL;
    }
    *size = (size_t)st.st_size;
    return fd;
}

unsigned
store_map(int dir, const struct store_key *key, char *to, size_t room, struct store_segment out[STORE_SEGMENTS], size_t *used)
{
    struct store_segment found[STORE_SEGMENTS];
    unsigned n = 0;
    *used = 0;
    for (unsigned k = 0; k < STORE_SEGMENTS; k++) {
        char name[NAME_BYTES], *const at = to + *used;
        struct store_head head;
        size_t size = 0;
        name_of(key, k, name);
        const int fd = open_segment(dir, name, &size);
        if (fd == -ENOENT) {
            break; /* numbers are given in order */
        } else if (fd < 0) {
            continue;
        }
        const size_t pages = (size + 4095) & ~(size_t)4095;
        if (pages <= room - *used && pread(fd, &head, sizeof head, 0) == (ssize_t)sizeof head && store_head_is_sound(&head, size) &&
            memcmp(&head.key, key, sizeof *key) == 0 &&
            mmap(at, pages, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_FIXED, fd, 0) == (void *)at) {
            found[n++] = (struct store_segment){at, size, head.index_bits};
            *used += pages;
        }
        close(fd);
    }
    for (unsigned k = 0; k < n; k++) {
        out[k] = found[n - 1 - k];
    }
    return n;
}

static uint32_t
slot_for(uint32_t where, unsigned bits)
{
    return bits == 0 ? 0 : (where * UINT32_C(0x9e3779b1)) >> (32 - bits);
}

/* record.where as an index has it; 0 if that cannot be. */
static uint32_t
half(uint64_t where)
{
    return where / 2 + 1 <= UINT32_MAX ? (uint32_t)(where / 2 + 1) : 0;
}

struct store_entry *
store_find(const struct store_segment *s, uint64_t where)
{
    struct store_entry *index = (struct store_entry *)(void *)(s->at + sizeof(struct store_head));
    const uint32_t w = half(where), mask = (1u << s->index_bits) - 1;
    uint32_t k = slot_for(w, s->index_bits);
    for (uint32_t tries = 0; tries <= mask && w != 0 && index[k].where != 0; tries++, k = (k + 1) & mask) {
        if (index[k].where == w && index[k].at != 0) {
            return &index[k];
        }
    }
    return NULL;
}

const struct record *
store_at(const struct store_segment *s, const struct store_entry *e, size_t *bytes)
{
    const uint64_t at = (uint64_t)e->at * 8;
    *bytes = at < s->size ? s->size - at : 0;
    return *bytes >= sizeof(struct record) ? (const struct record *)(const void *)(s->at + at) : NULL;
}

/* ---- writing ---- */

static void *
memory(size_t bytes)
{
    void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    return p == MAP_FAILED ? NULL : p;
}

/* A list of records, each place once: a table by place, and the order in which they came. */
struct gathered {
    const struct record **list;
    uint32_t *by_place; /* index into list + 1 */
    size_t n, max, bytes;
    unsigned bits;
};

static bool
gather_init(struct gathered *g, size_t max)
{
    *g = (struct gathered){.max = max, .bits = 4};
    while ((size_t)1 << g->bits < 2 * max) {
        g->bits++;
    }
    g->list = memory((max + 1) * sizeof *g->list);
    g->by_place = memory(sizeof *g->by_place << g->bits);
    return g->list != NULL && g->by_place != NULL && g->bits <= 22;
}

static void
gather_fini(struct gathered *g)
{
    if (g->list != NULL) {
        munmap(g->list, (g->max + 1) * sizeof *g->list);
    }
    if (g->by_place != NULL) {
        munmap(g->by_place, sizeof *g->by_place << g->bits);
    }
}

/* One more; over: it takes the place of one that is there. */
static void
gather(struct gathered *g, const struct record *rec, bool over)
{
    const uint32_t w = half(rec->where), mask = (1u << g->bits) - 1;
    uint32_t k = slot_for(w, g->bits);
    for (; g->by_place[k] != 0; k = (k + 1) & mask) {
        const struct record **there = &g->list[g->by_place[k] - 1];
        if ((*there)->where == rec->where) {
            if (over) {
                g->bytes = g->bytes + rec->size - (*there)->size;
                *there = rec;
            }
            return;
        }
    }
    if (w != 0 && g->n < g->max) {
        g->list[g->n++] = rec;
        g->by_place[k] = (uint32_t)g->n;
        g->bytes += rec->size;
    }
}

/* What goes to a file, gathered into large pieces. */
struct writer {
    int fd, n;
    bool failed;
    struct iovec v[256];
};

static void
writer_flush(struct writer *w)
{
    for (struct iovec *v = w->v, *end = v + w->n; v < end && !w->failed;) {
        ssize_t done = writev(w->fd, v, (int)(end - v));
        w->failed = done <= 0;
        for (; done > 0 && (size_t)done >= v->iov_len; v++) {
            done -= (ssize_t)v->iov_len;
        }
        if (done > 0) {
            v->iov_base = (char *)v->iov_base + done;
            v->iov_len -= (size_t)done;
        }
    }
    w->n = 0;
}

static void
writer_put(struct writer *w, const void *bytes, size_t n)
{
    if (w->n == (int)(sizeof w->v / sizeof w->v[0])) {
        writer_flush(w);
    }
    w->v[w->n++] = (struct iovec){(void *)(uintptr_t)bytes, n};
}

/* Write a segment of what was gathered, under the name `fresh`. */
static int
write_segment(int dir, const struct store_key *key, const struct gathered *g, const char *fresh)
{
    unsigned bits = 0;
    while ((size_t)1 << bits < g->n + g->n / 2) {
        bits++;
    }
    const size_t index = sizeof(struct store_entry) << bits, size = sizeof(struct store_head) + index + g->bytes;
    struct rlimit most; /* beyond it, writing is a signal */
    if (size > STORE_SEGMENT_MAX || getrlimit(RLIMIT_FSIZE, &most) != 0 || most.rlim_cur < size) {
        return -EFBIG;
    }
    struct store_entry *const entries = memory(index);
    if (entries == NULL) {
        return -ENOMEM;
    }
    struct store_head h = {.magic = MAGIC, .size = size, .n_records = (uint32_t)g->n, .index_bits = bits, .key = *key};
    h.check = head_check(&h);
    size_t at = sizeof h + index;
    for (size_t n = 0; n < g->n; n++) {
        uint32_t k = slot_for(half(g->list[n]->where), bits);
        while (entries[k].where != 0) {
            k = (k + 1) & ((1u << bits) - 1);
        }
        entries[k] = (struct store_entry){half(g->list[n]->where), (uint32_t)(at / 8)};
        at += g->list[n]->size;
    }
    int r = 0;
    struct writer w = {.fd = openat(dir, fresh, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600)};
    if (w.fd < 0) {
        r = -errno;
    } else {
        writer_put(&w, &h, sizeof h);
        writer_put(&w, entries, index);
        for (size_t n = 0; n < g->n; n++) {
            writer_put(&w, g->list[n], g->list[n]->size);
        }
        writer_flush(&w);
        r = close(w.fd) != 0 || w.failed ? -EIO : 0;
        if (r != 0) {
            unlinkat(dir, fresh, 0);
        }
    }
    munmap(entries, index);
    return r;
}

/* All of a segment, read into memory of its own: nobody can take it away. NULL if there is none. */
static char *
read_segment(int dir, const char *name, const struct store_key *key, size_t *size, ino_t *ino)
{
    struct stat st;
    const int fd = open_segment(dir, name, size);
    char *bytes = fd >= 0 && fstat(fd, &st) == 0 ? memory(*size) : NULL;
    if (bytes != NULL) {
        *ino = st.st_ino;
        size_t got = 0;
        for (ssize_t n; got < *size && (n = read(fd, bytes + got, *size - got)) > 0;) {
            got += (size_t)n;
        }
        const struct store_head *h = (const struct store_head *)(const void *)bytes;
        if (got != *size || !store_head_is_sound(h, *size) || (key != NULL && memcmp(&h->key, key, sizeof *key) != 0)) {
            munmap(bytes, *size);
            bytes = NULL;
        }
    }
    if (fd >= 0) {
        close(fd);
    }
    return bytes;
}

/* The records of a segment one after another: *at is 0 at first; NULL at the end, or where it is broken. */
static const struct record *
next_record(const char *bytes, size_t size, size_t *at)
{
    const struct store_head *h = (const struct store_head *)(const void *)bytes;
    if (*at == 0) {
        *at = sizeof *h + index_bytes(h);
    }
    if (*at > size || size - *at < sizeof(struct record)) {
        return NULL;
    }
    const struct record *rec = (const struct record *)(const void *)(bytes + *at);
    if (rec->size < sizeof *rec || rec->size % 8 != 0 || rec->size > size - *at) {
        return NULL;
    }
    *at += rec->size;
    return rec;
}

/*
 * Which segments become one with so many new bytes: the highest, and each below that is not larger than twice what then comes together.
 * So a large one is written again only when much has come together beside it. bytes[k] 0: there is no number k.
 */
static unsigned
merge_from(const uint64_t bytes[STORE_SEGMENTS], uint64_t sum)
{
    unsigned from = STORE_SEGMENTS, k = STORE_SEGMENTS;
    while (k-- > 0 && (from == STORE_SEGMENTS || bytes[k] <= 2 * sum)) {
        from = bytes[k] != 0 ? k : from;
        sum += bytes[k];
    }
    for (k = 0; k < from; k++) { /* and without a gap: nobody looks behind it */
        from = bytes[k] == 0 ? k : from;
    }
    return from;
}

/* One segment of number `from`, those above it, and the new. */
static int
merge(int dir, const struct store_key *key, unsigned from, const struct record *const *records, size_t n, const char *fresh)
{
    struct {
        char *bytes, name[NAME_BYTES];
        size_t size;
        ino_t ino;
    } old[STORE_SEGMENTS];
    struct gathered g = {.list = NULL};
    size_t max = n;
    for (unsigned k = from; k < STORE_SEGMENTS; k++) {
        name_of(key, k, old[k].name);
        old[k].bytes = read_segment(dir, old[k].name, key, &old[k].size, &old[k].ino);
        max += old[k].bytes != NULL ? old[k].size / sizeof(struct record) : 0;
    }
    int r = -ENOMEM;
    if (gather_init(&g, max)) {
        for (unsigned k = from; k < STORE_SEGMENTS; k++) { /* in the order of their use, so the oldest first */
            size_t at = 0;
            for (const struct record *rec; old[k].bytes != NULL && (rec = next_record(old[k].bytes, old[k].size, &at)) != NULL;) {
                if (record_is_sound(rec, rec->size)) {
                    gather(&g, rec, true);
                }
            }
        }
        for (size_t k = 0; k < n; k++) {
            gather(&g, records[k], true);
        }
        r = write_segment(dir, key, &g, fresh);
    }
    if (r == 0 && renameat(dir, fresh, dir, old[from].name) != 0) {
        r = -errno;
        unlinkat(dir, fresh, 0);
    }
    for (unsigned k = from; k < STORE_SEGMENTS; k++) {
        struct stat st;
        if (k > from && r == 0 && old[k].bytes != NULL && fstatat(dir, old[k].name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
            st.st_ino == old[k].ino) {
            unlinkat(dir, old[k].name, 0);
        }
        if (old[k].bytes != NULL) {
            munmap(old[k].bytes, old[k].size);
        }
    }
    gather_fini(&g);
    return r;
}

int
store_add(int dir, const struct store_key *key, const struct record *const *records, size_t n, uint64_t seen)
{
    struct gathered g;
    char fresh[NAME_BYTES], name[NAME_BYTES];
    uint64_t bytes[STORE_SEGMENTS] = {0}, there = 0, lucky;
    unsigned number = 0; /* the lowest free above the highest that is taken */
    for (unsigned k = 0; k < STORE_SEGMENTS; k++) {
        struct stat st;
        name_of(key, k, name);
        if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) == 0) {
            bytes[k] = (uint64_t)st.st_size;
            there += bytes[k];
            number = k + 1;
        }
    }
    int r = gather_init(&g, n) ? 0 : -ENOMEM;
    for (size_t k = 0; r == 0 && k < n; k++) {
        gather(&g, records[k], true);
    }
    if (r == 0 && (g.n == 0 || there != seen)) {
        r = -EAGAIN;
    } else if (r == 0 && there + g.bytes > STORE_SEGMENT_MAX) { /* what is there stays: most of what will run has run already */
        r = -EFBIG;
    }
    nondet_random(&lucky, sizeof lucky);
    snprintf(fresh, sizeof fresh, "new.%016llx", (unsigned long long)lucky);
    if (r == 0 && (number == 0 || (number < STORE_SEGMENTS && g.bytes <= there / 2))) {
        r = write_segment(dir, key, &g, fresh);
        if (r == 0) {
            name_of(key, number, name);
            r = linkat(dir, fresh, dir, name, 0) == 0 ? 0 : -errno; /* not over somebody else's */
            unlinkat(dir, fresh, 0);
        }
    } else if (r == 0) {
        r = merge(dir, key, merge_from(bytes, g.bytes), g.list, g.n, fresh);
    }
    gather_fini(&g);
    if (r == 0 && number == 0) {
        store_trim(dir, STORE_BYTES);
    }
    return r;
}

/* ---- the whole folder ---- */

static bool
is_name(const char *s)
{
    return (strspn(s, "0123456789abcdef") == 16 && s[16] == '.' && s[17] >= '0' && s[17] < '0' + STORE_SEGMENTS && s[18] == '\0') ||
           (strncmp(s, "new.", 4) == 0 && strspn(s + 4, "0123456789abcdef") == 16 && s[20] == '\0');
}

static void
look(int dir, const char *name, bool check, struct store_info *f)
{
    ino_t ino;
    size_t size = 0;
    struct store_head *h = &f->head;
    if (!check) {
        const int fd = open_segment(dir, name, &size);
        f->head_ok = fd >= 0 && pread(fd, h, sizeof *h, 0) == (ssize_t)sizeof *h && store_head_is_sound(h, size);
        if (fd >= 0) {
            close(fd);
        }
        return;
    }
    char *bytes = read_segment(dir, name, NULL, &size, &ino);
    if (bytes == NULL) {
        return;
    }
    memcpy(h, bytes, sizeof *h);
    f->head_ok = true;
    uint8_t build[32];
    size_t at = 0;
    f->ours = store_build_id(build) && memcmp(h->key.config.build, build, sizeof build) == 0;
    for (const struct record *rec; (rec = next_record(bytes, size, &at)) != NULL; f->n_records++) {
        /* Only the build that made it knows all of what it says. */
        f->n_bad += !(f->ours ? record_is_sound(rec, rec->size) : record_check(rec) == rec->check);
    }
    f->n_bad += f->n_records < h->n_records ? h->n_records - f->n_records : 0;
    munmap(bytes, size);
}

int
store_walk(int dir, enum store_how how, void (*fn)(void *arg, const struct store_info *f), void *arg)
{
    _Alignas(8) char names[4096];
    const int fd = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC); /* a position of its own */
    if (fd < 0) {
        return -errno;
    }
    for (ssize_t n; (n = getdents64(fd, names, sizeof names)) > 0;) {
        for (ssize_t at = 0; at < n;) {
            const struct dirent64 *d = (const struct dirent64 *)(const void *)(names + at);
            struct stat st;
            at += d->d_reclen;
            if (!is_name(d->d_name) || fstatat(fd, d->d_name, &st, AT_SYMLINK_NOFOLLOW) != 0 || not_ours(&st, false) != 0) {
                continue;
            }
            const struct timespec *t = st.st_atim.tv_sec > st.st_mtim.tv_sec ? &st.st_atim : &st.st_mtim;
            struct store_info f = {.name = d->d_name, .bytes = (uint64_t)st.st_size, .unfinished = d->d_name[0] == 'n',
                                   .used_ns = (int64_t)t->tv_sec * 1000000000 + t->tv_nsec};
            if (!f.unfinished && how != STORE_NAMES) {
                look(fd, d->d_name, how == STORE_CHECK, &f);
            }
            fn(arg, &f);
        }
    }
    close(fd);
    return 0;
}

/* Those that were not used for longest, by one walk: more than these cannot go at a time. */
#define TRIM_MAX 4096
struct trim {
    struct {
        char name[24];
        uint64_t bytes;
        int64_t used_ns;
    } f[TRIM_MAX];
    size_t n;
    uint64_t bytes;
};

static void
trim_look(void *arg, const struct store_info *f)
{
    struct trim *t = arg;
    t->bytes += f->bytes;
    size_t at = t->n;
    if (t->n < TRIM_MAX) {
        t->n++;
    } else { /* in place of the one used last */
        at = 0;
        for (size_t k = 1; k < t->n; k++) {
            at = t->f[k].used_ns > t->f[at].used_ns ? k : at;
        }
        if (t->f[at].used_ns <= f->used_ns) {
            return;
        }
    }
    snprintf(t->f[at].name, sizeof t->f[at].name, "%.23s", f->name);
    t->f[at].bytes = f->bytes;
    t->f[at].used_ns = f->used_ns;
}

int64_t
store_trim(int dir, uint64_t bytes)
{
    struct trim *t = memory(sizeof *t);
    if (t == NULL) {
        return -ENOMEM;
    }
    int64_t gone = store_walk(dir, STORE_NAMES, trim_look, t);
    while (gone >= 0 && t->bytes > bytes && t->n > 0) {
        size_t oldest = 0;
        for (size_t k = 1; k < t->n; k++) {
            oldest = t->f[k].used_ns < t->f[oldest].used_ns ? k : oldest;
        }
        if (unlinkat(dir, t->f[oldest].name, 0) == 0) {
            gone += (int64_t)t->f[oldest].bytes;
        }
        t->bytes -= t->f[oldest].bytes;
        t->f[oldest] = t->f[--t->n];
    }
    munmap(t, sizeof *t);
    return gone;
}
