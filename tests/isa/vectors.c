/*
 * vectors.c - vectors (vec.h) under QEMU and with doppel's engines: one line a row and engine
 *
 * usage: isa-vectors QEMU OUT ENGINES CASES LOOPS CHUNKS SEED [EXTENSION | ROW]
 *   ENGINES  names with commas between them; name+base: with a guest base other than 0; name+v1 … name+v4: as with --host-cpu
 *   CASES instruction words a row, each executed LOOPS times; all of it CHUNKS times, with seeds SEED, SEED + 1, ….
 * usage: isa-vectors QEMU OUT ENGINES each TOTAL SEED
 *   at least TOTAL instructions of each extension.
 * Programs and QEMU's results go to OUT, and are removed where nothing differs.
 */
#include "vec_exec.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define ENGINES_MAX 12

static void
die(const char *what)
{
    fprintf(stderr, "isa-vectors: %s: %s\n", what, strerror(errno));
    exit(1);
}

/* Run argv with its standard output in a file; false if it did not exit with 0. */
static bool
run_program(const char *const *argv, const char *output)
{
    fflush(NULL);
    const pid_t pid = fork();
    if (pid < 0) {
        die("fork");
    }
    if (pid == 0) {
        const int fd = open(output, O_WRONLY | O_CREAT | O_TRUNC, 0666);
        if (fd < 0 || dup2(fd, 1) < 0) {
            die(output);
        }
        alarm(900);
        execv(argv[0], (char *const *)(uintptr_t)argv);
        die(argv[0]);
    }
    int status;
    if (waitpid(pid, &status, 0) != pid) {
        die("waitpid");
    }
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
        printf("%s %s: wait status %#x\n", argv[0], argv[1], (unsigned)status);
        return false;
    }
    return true;
}

/* Exactly `size` bytes; NULL if there are fewer or more. */
static uint8_t *
read_results(const char *path, size_t size)
{
    FILE *f = fopen(path, "rb");
    uint8_t *p = malloc(size + 1);
    if (p == NULL || f == NULL) {
        die(path);
    }
    const size_t n = fread(p, 1, size + 1, f);
    fclose(f);
    if (n != size) {
        printf("%s: %zu bytes, not %zu\n", path, n, size);
        free(p);
        return NULL;
    }
    return p;
}

static bool
row_selected(const struct insn_row *row, const char *what)
{
    return what == NULL || strcmp(what, row->name) == 0 || strcmp(what, isa_ext_name(row->ext)) == 0;
}

static bool failed[ENGINES_MAX][1024];

struct run {
    const char *engines[ENGINES_MAX];
    unsigned engine_count;
    uint64_t base; /* where guests with a base other than 0 are */
    const struct insn_row **rows;
    size_t row_count;
};

/* All rows with one engine. Returns false if any differs. */
static bool
check_engine(const struct run *run, unsigned e, const struct vec *v, const uint8_t *want, uint64_t seed)
{
    char name[64], line[1024];
    snprintf(name, sizeof name, "%s", run->engines[e]);
    char *plus = strchr(name, '+');
    if (plus != NULL) {
        *plus = 0;
    }
    const int kind = engine_kind_by_name(name);
    if (kind < 0) {
        fprintf(stderr, "isa-vectors: no engine %s\n", name);
        exit(2);
    }
    struct vec_exec x;
    bool good = true;
    const bool level = plus != NULL && plus[1] == 'v';
    vec_exec_init(&x, v, (enum engine_kind)kind, plus != NULL && !level ? run->base : 0, level ? (unsigned)plus[2] - '0' : 0);
    for (size_t r = 0; r < v->row_count; r++) {
        const char *why = vec_exec_row(&x, &v->rows[r], engine_run, 0);
        const bool differs = vec_differ(v, &v->rows[r], vec_exec_results(&x), want, line, sizeof line);
        if (why != NULL || differs) {
            printf("%s seed %llu: %s%s%s\n", run->engines[e], (unsigned long long)seed, why ? why : "", why && differs ? "; " : "",
                   differs ? line : v->rows[r].row->name);
            failed[e][r] = true;
            good = false;
        }
    }
    vec_exec_fini(&x);
    return good;
}

/* One program. Returns false if there is no reference. */
static bool
check_chunk(const struct run *run, const char *qemu, const char *out, unsigned cases, unsigned loops, uint64_t seed)
{
    char elf[512], ref[600];
    struct vec *v = vec_make(seed, run->rows, run->row_count, cases, loops);
    snprintf(elf, sizeof elf, "%s/vectors-%llu", out, (unsigned long long)seed);
    snprintf(ref, sizeof ref, "%s.qemu", elf);
    if (!vec_write(v, elf) || chmod(elf, 0755) != 0) {
        die(elf);
    }
    const bool ran = run_program((const char *const[]){qemu, "-cpu", "max", elf, NULL}, ref);
    uint8_t *want = ran ? read_results(ref, VEC_DATA + v->data_size - v->results) : NULL;
    bool good = true;
    for (unsigned e = 0; want != NULL && e < run->engine_count; e++) {
        good &= check_engine(run, e, v, want, seed);
    }
    if (want != NULL && good) {
        unlink(elf);
        unlink(ref);
    }
    free(want);
    vec_free(v);
    return want != NULL;
}

/* Rows of an extension (or one row), or all. What cannot be tested is said once. */
static void
select_rows(struct run *run, const char *what)
{
    run->row_count = 0;
    for (size_t k = 0; k < isa_row_count; k++) {
        const struct insn_row *row = &isa_rows[k];
        if (!row_selected(row, what)) {
            continue;
        }
        if (vec_skipped(row) == NULL) {
            run->rows[run->row_count++] = row;
        } else if (row->cls != CLASS_PRIVILEGED && row->ext != EXT_H) {
            printf("ok %s # SKIP %s\n", row->name, vec_skipped(row));
        }
    }
}

static bool
check_chunks(const struct run *run, char **argv, unsigned cases, unsigned loops, unsigned chunks, uint64_t seed)
{
    for (unsigned chunk = 0; chunk < chunks; chunk++) {
        if (!check_chunk(run, argv[1], argv[2], cases, loops, seed + chunk)) {
            printf("not ok reference for seed %llu\n", (unsigned long long)(seed + chunk));
            return false;
        }
    }
    return true;
}

static int
check_rows(struct run *run, char **argv, const char *what)
{
    const unsigned cases = (unsigned)atoi(argv[4]), loops = (unsigned)atoi(argv[5]), chunks = (unsigned)atoi(argv[6]);
    int status = 0;
    select_rows(run, what);
    if (!check_chunks(run, argv, cases, loops, chunks, strtoull(argv[7], NULL, 0))) {
        return 1;
    }
    for (unsigned e = 0; e < run->engine_count; e++) {
        for (size_t r = 0; r < run->row_count; r++) {
            printf("%s %s %s\n", failed[e][r] ? "not ok" : "ok", run->engines[e], run->rows[r]->name);
            status |= failed[e][r];
        }
        printf("%s: %zu rows, %llu executions each\n", run->engines[e], run->row_count,
               (unsigned long long)cases * loops * chunks);
    }
    return status;
}

/* At least `total` instructions of each extension that has rows of its own. */
static int
check_extensions(struct run *run, char **argv, uint64_t total)
{
    const unsigned cases = 64;
    int status = 0;
    for (unsigned ext = 0; ext < EXT_COUNT_ALL; ext++) {
        if (isa_ext_name(ext)[0] == 0) {
            continue;
        }
        select_rows(run, isa_ext_name(ext));
        if (run->row_count == 0) {
            continue;
        }
        const uint64_t loops = 600000 / (run->row_count * cases);
        const uint64_t each = run->row_count * cases * (loops > 4000 ? 4000 : loops);
        const unsigned chunks = (unsigned)((total + each - 1) / each);
        if (!check_chunks(run, argv, cases, loops > 4000 ? 4000 : (unsigned)loops, chunks, strtoull(argv[6], NULL, 0))) {
            return 1;
        }
        for (unsigned e = 0; e < run->engine_count; e++) {
            bool good = true;
            for (size_t r = 0; r < run->row_count; r++) {
                good &= !failed[e][r];
                failed[e][r] = false;
            }
            printf("%s %s %s: %llu instructions, %zu rows\n", good ? "ok" : "not ok", run->engines[e], isa_ext_name(ext),
                   (unsigned long long)(each * chunks), run->row_count);
            status |= !good;
        }
        fflush(stdout);
    }
    return status;
}

int
main(int argc, char **argv)
{
    const bool by_extension = argc == 7 && strcmp(argv[4], "each") == 0;
    if (argc < 8 && !by_extension) {
        fputs("usage: isa-vectors QEMU OUT ENGINES CASES LOOPS CHUNKS SEED [EXTENSION | ROW]\n"
              "       isa-vectors QEMU OUT ENGINES each TOTAL SEED\n",
              stderr);
        return 2;
    }
    struct run run = {.base = vec_exec_reserve(), .rows = calloc(isa_row_count, sizeof(struct insn_row *))};
    for (char *e = strtok(argv[3], ","); e != NULL && run.engine_count < ENGINES_MAX; e = strtok(NULL, ",")) {
        run.engines[run.engine_count++] = e;
    }
    const int status = by_extension ? check_extensions(&run, argv, strtoull(argv[5], NULL, 0)) : check_rows(&run, argv, argv[8]);
    free(run.rows);
    return status;
}
