/*
 * store.c - any bytes as a segment of kept translations: looked into, loaded from, merged, checked
 *
 * covers: src/engine/store.c src/engine/record.c
 *
 * The input is an index and records of a segment, taken as they are or with sizes and checks made right, so that what they say is looked
 * at. Each record is loaded into a code cache, as if the guest had the bytes that it wants; its code is never run. The folder is
 * a directory of the fuzzer's own.
 */
#include "base/check.h"
#include "engine/hle.h"
#include "engine/keep.h"
#include "engine/record.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define TEXT UINT64_C(0x10000)
#define TEXT_BYTES UINT64_C(0x4000)
#define BASE (UINT64_C(1) << 45)

/*
 * In place of tcache.c and code.c: the code cache, exits and words are heap memory of just the size that a record says it needs, so that
 * whatever is written beside them is seen.
 */
const struct regmap std_map = {.x = {NO_REG}};
static struct engine engine;
static struct jit jit;
static uint8_t *room_for_code;
static size_t code_room;

bool
code_page_is_exec(const struct engine *en, uint64_t pc)
{
    return en == &engine && pc >= TEXT && pc < TEXT + TEXT_BYTES;
}

/* Known by its bytes, which the guest is said to have. */
enum hle
hle_at(const struct engine *en, uint64_t pc, uint8_t *code, uint32_t *bytes)
{
    (void)en, (void)code;
    *bytes = 2;
    return (enum hle)(pc % HLE_COUNT);
}

struct translation *
jit_begin(struct jit *j, struct x64 *x, unsigned tier)
{
    (void)tier;
    static struct translation made;
    made = (struct translation){0};
    *x = (struct x64){.p = room_for_code, .end = room_for_code + code_room, .start = room_for_code};
    return j->exits != NULL ? &made : NULL;
}

struct translation *
jit_publish(struct engine *en, const struct translation *t, const struct x64 *x, uint64_t epoch)
{
    CHECK(x->p <= x->end && epoch == code_epoch(en) && t->first_exit + t->n_exits == jit.n_exits && t->n_spans > 0);
    for (uint32_t k = 0; k < t->n_spans; k++) {
        CHECK(t->spans[k].start < t->spans[k].end);
    }
    for (uint32_t k = t->first_exit; k < jit.n_exits; k++) {
        CHECK(jit.exits[k].kind != JX_CHAIN || (jit.exits[k].slot >= jit.data && jit.exits[k].slot < jit.data_end));
    }
    return (struct translation *)(uintptr_t)t;
}

static int folder = -1;
static char name[] = "/tmp/fuzz-store-XXXXXX";

static void
clean(void)
{
    store_trim(folder, 0);
    rmdir(name);
}

static void
set_up(void)
{
    struct err e = {""};
    CHECK(mkdtemp(name) != NULL && (folder = store_open(name, true, &e)) >= 0);
    atexit(clean);
    char below[64];
    snprintf(below, sizeof below, "%s/a/b", name);
    const int dir = store_open(below, true, &e);
    CHECK(dir >= 0 && close(dir) == 0 && rmdir(below) == 0);
    *strrchr(below, '/') = '\0';
    CHECK(chmod(below, 0777) == 0 && store_open(below, false, &e) == -EPERM && rmdir(below) == 0);
    CHECK(store_open(below, false, &e) == -ENOENT && store_open("/proc/version", true, &e) == -ENOTDIR);
    engine.cfg.guest_base = BASE;
    engine.jit = &jit;
    CHECK(mmap((void *)(uintptr_t)(BASE + TEXT), TEXT_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) !=
          MAP_FAILED);
}

/* In memory of its own, so that a step beyond its end is seen. */
static void
try_record(const struct record *given, size_t room)
{
    struct record *rec = malloc(room + 1);
    memcpy(rec, given, room);
    if (record_is_sound(rec, room)) {
        const uint64_t pc = TEXT + 0x1ffe;
        bool inside = true; /* what record_fits() promises of one that fits */
        const struct record_span *s = (const struct record_span *)(const void *)(rec + 1);
        record_fits(&engine, rec, pc);
        for (unsigned k = 0; k < rec->n_spans; k++) {
            const uint64_t start = pc + (uint64_t)(int64_t)s[k].delta;
            inside = inside && start >= TEXT && start < TEXT + TEXT_BYTES && s[k].len <= TEXT + TEXT_BYTES - start;
        }
        code_room = rec->code_size;
        room_for_code = jit.code = malloc(code_room + 1);
        jit.exits = malloc((2u + rec->n_exits) * sizeof *jit.exits);
        jit.n_exits = 2;
        jit.data = jit.data_top = malloc((rec->n_data + 1u) * sizeof *jit.data);
        jit.data_end = jit.data + rec->n_data;
        uint32_t count;
        jit.counts = &count;
        if (inside) {
            record_load(&engine, rec, pc, code_epoch(&engine));
            jit.data_end--;
            jit.data_top = jit.data;
            CHECK(rec->n_data == 0 || (record_load(&engine, rec, pc, code_epoch(&engine)) == NULL && jit.no_room));
        }
        free(jit.code);
        free(jit.exits);
        free(jit.data);
    }
    free(rec);
}

struct input {
    const uint8_t *at;
    size_t left;
};

static unsigned
byte(struct input *in)
{
    return in->left > 0 ? (in->left--, *in->at++) : 0;
}

static void
bytes(struct input *in, void *to, size_t n)
{
    for (size_t k = 0; k < n; k++) {
        ((uint8_t *)to)[k] = (uint8_t)byte(in);
    }
}

/* A record whose sizes agree; the rest is the input's. */
static size_t
put_record(struct input *in, char *to)
{
    struct record *rec = (struct record *)(void *)to;
    bytes(in, rec, offsetof(struct record, size));
    rec->tier = (uint8_t)(1 + byte(in) % 2);
    rec->where = 2 * (byte(in) % 32u);
    rec->n_spans = (uint16_t)(1 + byte(in) % 3);
    rec->n_exits = (uint16_t)(byte(in) % 4);
    rec->n_faults = (uint16_t)(byte(in) % 3);
    rec->n_relocs = (uint16_t)(byte(in) % 6);
    rec->n_data = (uint16_t)(byte(in) % 4);
    rec->code_size = byte(in);
    rec->guest_size = 2u * rec->n_spans;
    rec->used = byte(in);
    rec->n_recipes = byte(in) % 24;
    const size_t parts = rec->n_spans * sizeof(struct record_span) + rec->n_faults * sizeof(struct fault_point) +
                         rec->n_exits * sizeof(struct record_exit) + rec->n_relocs * 4u + (rec->tier == 2 ? sizeof(struct regmap) : 0) +
                         rec->n_recipes + rec->guest_size + rec->code_size;
    rec->size = (uint32_t)((sizeof *rec + parts + 7) & ~(size_t)7);
    bytes(in, rec + 1, parts);
    struct record_span *s = (struct record_span *)(void *)(rec + 1);
    for (unsigned k = 0; k < rec->n_spans; k++) {
        s[k] = (struct record_span){(int8_t)s[k].delta * 2, 2};
    }
    return rec->size;
}

static uint64_t
bytes_there(const struct store_key *key)
{
    uint64_t n = 0;
    for (unsigned k = 0; k < STORE_SEGMENTS; k++) {
        char file[40];
        struct stat st;
        snprintf(file, sizeof file, "%016llx.%u", (unsigned long long)store_hash(key, sizeof *key), k);
        n += fstatat(folder, file, &st, 0) == 0 ? (uint64_t)st.st_size : 0;
    }
    return n;
}

static void
look(void *arg, const struct store_info *f)
{
    (void)arg;
    CHECK(f->name != NULL && f->n_bad <= f->n_records + (f->head_ok ? f->head.n_records : 0));
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static _Alignas(8) char image[1 << 16];
    static char *area;
    if (area == NULL) {
        set_up();
        area = mmap(NULL, 1 << 20, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    }
    struct input in = {data, size};
    const unsigned how = byte(&in), more = byte(&in), bits = byte(&in) % 5;
    struct store_key key = {.file = {.dev = 1, .ino = how & 1}};
    store_build_id(key.config.build);
    struct store_head *h = (struct store_head *)(void *)image;
    size_t at = sizeof *h + (sizeof(struct store_entry) << bits);
    unsigned n_records = 0;
    memset(image, 0, sizeof image);
    bytes(&in, h + 1, at - sizeof *h);
    while (in.left > 0 && at < sizeof image / 2) {
        struct record *rec = (struct record *)(void *)(image + at);
        if (how & 2) { /* as it is */
            bytes(&in, rec, in.left < 512 ? in.left : 512);
            at += 512;
        } else {
            struct store_entry *index = (struct store_entry *)(void *)(h + 1);
            const size_t record_size = put_record(&in, image + at);
            rec->check = how & 4 ? rec->check : record_check(rec);
            if (n_records < 1u << bits && (how & 8) == 0) { /* where it would be looked for first, or somewhere */
                const uint32_t where = (uint32_t)rec->where / 2 + 1;
                index[bits == 0 ? 0 : (where * UINT32_C(0x9e3779b1)) >> (32 - bits)] = (struct store_entry){where, (uint32_t)(at / 8)};
            }
            try_record(rec, record_size);
            try_record(rec, record_size / 2);
            at += record_size;
            n_records++;
        }
    }
    memcpy(h->magic, "doppel\n\1", 8);
    h->size = at;
    h->n_records = n_records;
    h->index_bits = more & 1 ? 200 : bits;
    h->key = key;
    h->check = store_hash((const char *)h + offsetof(struct store_head, size), sizeof *h - offsetof(struct store_head, size)) ^ (more >> 1 & 1);
    for (unsigned k = 0; k < 1 + (more >> 2 & 1); k++) {
        char file[40];
        snprintf(file, sizeof file, "%016llx.%u", (unsigned long long)store_hash(&key, sizeof key), k);
        const int fd = openat(folder, file, O_WRONLY | O_CREAT | O_TRUNC, 0600);
        CHECK(fd >= 0 && write(fd, image, at) == (ssize_t)at);
        close(fd);
    }
    struct store_segment found[STORE_SEGMENTS];
    size_t used, room;
    const unsigned n = store_map(folder, &key, area, 1 << 20, found, &used);
    for (unsigned k = 0; k < n; k++) {
        for (uint64_t where = 0; where < 64; where += 2) {
            struct store_entry *e = store_find(&found[k], where);
            const struct record *rec = e != NULL ? store_at(&found[k], e, &room) : NULL;
            if (rec != NULL) {
                try_record(rec, room);
            }
        }
    }
    if (how & 16) { /* until all is one */
        _Alignas(8) char some[sizeof(struct record) + 8] = {0};
        struct record *rec = (struct record *)(void *)some;
        *rec = (struct record){.where = 4, .size = sizeof some, .tier = 1, .n_data = 1};
        rec->check = record_check(rec);
        const struct record *const list[] = {rec, rec};
        for (unsigned k = 0; k < 1 + STORE_SEGMENTS; k++) {
            store_add(folder, &key, list, 2, bytes_there(&key));
        }
    }
    if (how & 32) {
        store_walk(folder, how & 64 ? STORE_CHECK : STORE_HEADS, look, NULL);
    }
    store_trim(folder, more & 8 ? at / 2 : 0);
    store_trim(folder, 0);
    return 0;
}
