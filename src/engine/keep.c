/*
 * keep.c - see keep.h
 */
#include "engine/keep.h"

#include "engine/record.h"

#include <sys/mman.h>
#include <sys/platform/x86.h>
#include <unistd.h>

#define PAGE 4096
#define FILES 256
#define MODULES 512
#define AREA_BYTES (UINT64_C(4) << 30) /* of address space, for mapped segments */
#define ABSENT 4096
#define WORTH_MIN 16     /* blocks */
#define REGION_WORTH 8   /* … that a region costs */
#define NEW_BYTES ((size_t)64 << 20)   /* what is set aside, at most */

struct kept_file {
    struct store_file id;
    unsigned n;
    struct store_segment segments[STORE_SEGMENTS];
    const struct noted *last;       /* into: what is set aside */
    size_t n_new, new_bytes, worth; /* of that; worth: in blocks */
};

/* Guest addresses at which a file is, or was: PAGE_KEPT says whether it still is. */
struct module {
    uint64_t start, end, offset;
    uint32_t file;
};

/* In front of each record that is set aside. */
struct noted {
    const struct noted *before; /* of the same file */
    const uint32_t *counter;
    unsigned long flushes; /* as they were: the counter is still that of this translation */
};

struct keep {
    int dir;
    pid_t pid;  /* who may save: not a child that shares this memory */
    bool quiet; /* a segment could not be read */
    struct store_key key;
    char *area;
    size_t area_used;
    char *news;
    size_t news_used;
    unsigned n_files, n_modules;
    struct keep_stats stats;
    uint64_t absent[ABSENT]; /* addresses that nothing is kept for: what is cold is asked for more than once */
    struct kept_file files[FILES];
    struct module modules[MODULES];
};

static void
config_make(const struct engine *en, struct store_config *c)
{
    *c = (struct store_config){.level = en->cfg.tuning.host_cpu, .opts = en->jit->opts, .exts = en->cfg.cache.exts,
                               .based = en->cfg.guest_base != 0, .hot2 = en->jit->hot2};
    /* What libc has found that can be used: see fp_host_probe(). */
    enum { EAX, EBX, ECX, EDX };
    const unsigned *one = __x86_get_cpuid_feature_leaf(CPUID_INDEX_1)->active_array;
    const unsigned *seven = __x86_get_cpuid_feature_leaf(CPUID_INDEX_7)->active_array;
    const unsigned *seven1 = __x86_get_cpuid_feature_leaf(CPUID_INDEX_7_ECX_1)->active_array;
    const unsigned *high = __x86_get_cpuid_feature_leaf(CPUID_INDEX_80000001)->active_array;
    const uint32_t cpu[] = {one[ECX],    one[EDX],    seven[EBX], seven[ECX], seven[EDX],
                            seven1[EAX], seven1[EBX], seven1[EDX], high[ECX], high[EDX]};
    static_assert(sizeof cpu == sizeof c->cpu, "all of it");
    memcpy(c->cpu, cpu, sizeof cpu);
}

void
keep_init(struct engine *en)
{
    const int how = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, dir = en->cfg.cache.fd - 1;
    struct store_config config;
    config_make(en, &config);
    /* Who wants to see translations being made gets all of them made; those that count are nobody else's. */
    if (dir < 0 || (en->jit->show & SHOW_TEXT) != 0 || en->jit->profile != NULL || en->jit->lockstep != NULL || !store_build_id(config.build) || store_is_ours(dir, NULL) != 0) {
        return;
    }
    struct keep *k = mmap(NULL, sizeof *k, PROT_READ | PROT_WRITE, how, -1, 0);
    char *area = mmap(NULL, AREA_BYTES + NEW_BYTES, PROT_NONE, how, -1, 0);
    if (k == MAP_FAILED || area == MAP_FAILED || mprotect(area + AREA_BYTES, NEW_BYTES, PROT_READ | PROT_WRITE) != 0) {
        return;
    }
    madvise(area, AREA_BYTES + NEW_BYTES, MADV_DONTDUMP);
    k->dir = dir;
    k->pid = getpid();
    k->key.config = config;
    k->area = area;
    k->news = area + AREA_BYTES;
    en->jit->keep = k;
}

void
keep_fini(struct engine *en)
{
    struct keep *k = en->jit->keep;
    if (k != NULL) {
        munmap(k->area, AREA_BYTES + NEW_BYTES);
        munmap(k, sizeof *k);
        en->jit->keep = NULL;
    }
}

void
engine_cache_moved(struct engine *en, int fd)
{
    if (en->jit != NULL && en->jit->keep != NULL) {
        en->jit->keep->dir = fd;
    }
}

const struct keep_stats *
keep_stats(const struct jit *j)
{
    return j->keep != NULL ? &j->keep->stats : NULL;
}

static void
empty(struct keep *k)
{
    k->news_used = 0;
    for (unsigned f = 0; f < k->n_files; f++) {
        k->files[f].last = NULL;
        k->files[f].n_new = k->files[f].new_bytes = k->files[f].worth = 0;
    }
}

void
keep_after_fork(struct jit *j)
{
    struct keep *k = j->keep;
    if (k != NULL) {
        k->pid = getpid();
        empty(k);
    }
}

bool
keep_faulted(struct engine *en, uint64_t host_addr)
{
    struct keep *k = en->jit != NULL ? en->jit->keep : NULL;
    if (k == NULL || host_addr - (uint64_t)(uintptr_t)k->area >= AREA_BYTES) {
        return false;
    }
    k->quiet = true;
    return true;
}

/* ---- files ---- */

static uint32_t
file_index(struct keep *k, const struct store_file *id)
{
    for (uint32_t f = 0; f < k->n_files; f++) {
        if (memcmp(&k->files[f].id, id, sizeof *id) == 0) {
            return f;
        }
    }
    if (k->n_files == FILES) {
        return FILES;
    }
    struct kept_file *f = &k->files[k->n_files];
    size_t used;
    f->id = *id;
    f->last = NULL;
    f->n_new = f->new_bytes = f->worth = 0;
    k->key.file = *id;
    f->n = store_map(k->dir, &k->key, k->area + k->area_used, AREA_BYTES - k->area_used, f->segments, &used);
    k->area_used += used;
    k->stats.files += f->n != 0;
    return k->n_files++;
}

bool
engine_wants_files(const struct engine *en)
{
    return en->jit != NULL && en->jit->keep != NULL;
}

static bool
is_gone(const struct engine *en, const struct module *m)
{
    for (uint64_t p = m->start / PAGE; p < m->end / PAGE; p++) {
        if (en->page_flags[p] & PAGE_KEPT) {
            return false;
        }
    }
    return true;
}

void
engine_code_file(struct engine *en, uint64_t start, uint64_t end, const struct engine_file *file, uint64_t offset)
{
    struct keep *k = en->jit != NULL ? en->jit->keep : NULL;
    if (k == NULL || end <= start || end > GUEST_TOP) {
        return;
    }
    const struct store_file id = {file->dev, file->ino, file->size, file->mtime_ns, file->ctime_ns};
    pthread_mutex_lock(&en->jit->lock);
    /* In place of one that was here, or that is nowhere any more. */
    unsigned at = 0;
    while (at < k->n_modules && !(k->modules[at].start < end && start < k->modules[at].end) && !is_gone(en, &k->modules[at])) {
        at++;
    }
    const uint32_t f = at < MODULES ? file_index(k, &id) : FILES;
    if (f < FILES) {
        k->modules[at] = (struct module){start, end, offset, f};
        memset(k->absent, 0, sizeof k->absent);
        k->n_modules += at == k->n_modules;
        for (uint64_t p = start / PAGE; p < end / PAGE; p++) {
            if (en->page_flags[p] & PAGE_EXEC) {
                __atomic_fetch_or(&en->page_flags[p], PAGE_KEPT, __ATOMIC_RELAXED);
            }
        }
    }
    pthread_mutex_unlock(&en->jit->lock);
}

static const struct module *
module_at(const struct keep *k, uint64_t pc)
{
    for (unsigned m = 0; m < k->n_modules; m++) {
        if (pc - k->modules[m].start < k->modules[m].end - k->modules[m].start) {
            return &k->modules[m];
        }
    }
    return NULL;
}

/* ---- loading ---- */

struct translation *
keep_load(struct engine *en, uint64_t pc)
{
    struct jit *j = en->jit;
    struct keep *k = j->keep;
    const struct module *m = k != NULL && !k->quiet ? module_at(k, pc) : NULL;
    if (m == NULL) {
        return NULL;
    }
    const struct kept_file *f = &k->files[m->file];
    bool any = false;
    const uint64_t where = pc - m->start + m->offset;
    for (unsigned s = 0; s < f->n; s++) {
        struct store_entry *const e = store_find(&f->segments[s], where);
        if (e == NULL) {
            continue;
        }
        any = true;
        size_t bytes;
        const struct record *kept = store_at(&f->segments[s], e, &bytes);
        struct record *rec = j->record; /* what is checked is what is used */
        struct translation *t = NULL;
        const uint64_t epoch = code_epoch(en);
        if (kept != NULL && kept->size <= bytes && kept->size <= RECORD_MAX && kept->size >= sizeof *rec) {
            memcpy(rec, kept, kept->size);
            if (record_is_sound(rec, bytes < RECORD_MAX ? bytes : RECORD_MAX) && rec->where == where && record_fits(en, rec, pc)) {
                t = record_load(en, rec, pc, epoch);
            }
        }
        if (t != NULL) {
            k->stats.loaded++;
            return t;
        }
        if (j->no_room || epoch != code_epoch(en)) {
            return NULL;
        }
        k->stats.rejected++;
        e->at = 0; /* not to be tried again */
    }
    if (!any) {
        __atomic_store_n(&k->absent[pc / 2 % ABSENT], pc, __ATOMIC_RELAXED);
    }
    return NULL;
}

bool
keep_has_none(const struct jit *j, uint64_t pc)
{
    return j->keep == NULL || __atomic_load_n(&j->keep->absent[pc / 2 % ABSENT], __ATOMIC_RELAXED) == pc;
}

/* ---- keeping ---- */

void
keep_note(struct engine *en, const struct region *r, const struct translation *made, const struct x64 *x)
{
    struct keep *k = en->jit->keep;
    const struct module *m = k != NULL && (en->page_flags[r->pc / PAGE] & PAGE_KEPT) ? module_at(k, r->pc) : NULL;
    if (m == NULL || NEW_BYTES - k->news_used < sizeof(struct noted) + sizeof(struct record)) {
        return;
    }
    for (uint32_t s = 0; s < made->n_spans; s++) {
        for (uint64_t p = made->spans[s].start / PAGE; p <= (made->spans[s].end - 1) / PAGE; p++) {
            if ((en->page_flags[p] & PAGE_KEPT) == 0) {
                return;
            }
        }
    }
    struct noted *n = (struct noted *)(void *)(k->news + k->news_used);
    struct record *rec = (struct record *)(n + 1);
    const size_t size = record_make(en, r, made, x, rec, NEW_BYTES - k->news_used - sizeof *n);
    if (size != 0) {
        struct kept_file *const f = &k->files[m->file];
        *n = (struct noted){f->last, made->tier == 1 ? made->counter : NULL, en->jit->stats.flushes};
        f->last = n;
        rec->where = r->pc - m->start + m->offset;
        k->news_used += sizeof *n + size;
        f->n_new++;
        f->new_bytes += size;
        f->worth += made->tier == 1 ? 1 : REGION_WORTH;
        k->stats.noted++;
    }
}

/* The records of a file that were set aside, complete, in the order in which they were made. */
static void
collect(struct jit *j, const struct kept_file *f, const struct record **list)
{
    size_t n = f->n_new;
    for (const struct noted *o = f->last; o != NULL; o = o->before) {
        struct record *rec = (struct record *)(uintptr_t)(o + 1);
        if (o->counter != NULL && o->flushes == j->stats.flushes) {
            const uint32_t left = __atomic_load_n(o->counter, __ATOMIC_RELAXED);
            rec->used = left < j->hot2 ? j->hot2 - left : 0;
        }
        rec->check = record_check(rec);
        list[--n] = rec;
    }
}

HOT void
engine_cache_save(struct engine *en)
{
    struct jit *j = en->jit;
    if (j == NULL || j->keep == NULL || j->inherited || j->keep->news_used == 0 || j->keep->pid != getpid()) {
        return;
    }
    struct keep *k = j->keep;
    pthread_mutex_lock(&j->lock);
    for (uint32_t f = 0; f < k->n_files; f++) {
        struct kept_file *const file = &k->files[f];
        uint64_t there = 0;
        for (unsigned s = 0; s < file->n; s++) {
            there += file->segments[s].size;
        }
        /* A few are not worth a segment, and the less so the more there are: so writing costs little beside translating. */
        const uint64_t least = there / (file->worth < WORTH_MIN ? 4 : 64);
        if (file->n_new == 0 || file->new_bytes < least) {
            continue;
        }
        const size_t bytes = file->n_new * sizeof(struct record *);
        const struct record **list = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (list != MAP_FAILED) {
            collect(j, file, list);
            k->key.file = file->id;
            k->stats.saved += store_add(k->dir, &k->key, list, file->n_new, there) == 0 ? file->n_new : 0;
            munmap(list, bytes);
        }
    }
    empty(k);
    pthread_mutex_unlock(&j->lock);
}
