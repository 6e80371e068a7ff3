/*
 * perf.c - guest functions for perf: --perf, /tmp/perf-PID.map, and --perf=jitdump, /tmp/jit-PID.dump
 *
 *      map      a line for each translation: address, size, name; all that perf report needs
 *      jitdump  records with the code itself and the time, for perf annotate, and right after a flush of the cache too:
 *               tools/perf/Documentation/jitdump-specification.txt of Linux; perf record -k 1, then perf inject --jit
 *
 * Each process has its own file: a child of fork writes down what it inherited too, a child of vfork writes to its maker's. The holder of jit->lock writes.
 */
#include "engine/jit.h"

#include "base/nondet.h"

#include <elf.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#define PAGE 4096

struct dump_header {
    uint32_t magic, version, size, machine, pad, pid;
    uint64_t time, flags;
};
#define DUMP_MAGIC 0x4a695444u /* "JiTD" */

struct dump_code { /* behind it: the name with its NUL, the code */
    uint32_t id, size;
    uint64_t time;
    uint32_t pid, tid;
    uint64_t vma, addr, code_size, index;
};
#define DUMP_CODE_LOAD 0
static_assert(sizeof(struct dump_header) == 40 && sizeof(struct dump_code) == 56, "as specified");

static void
give_up(struct jit *j)
{
    j->show &= ~(unsigned)(SHOW_PERF | SHOW_JITDUMP);
}

static void
put_record(struct jit *j, const struct translation *t, const char *name)
{
    const size_t len = strlen(name) + 1;
    struct dump_code c = {.id = DUMP_CODE_LOAD, .size = (uint32_t)(sizeof c + len + t->size), .time = nondet_mono_ns(),
                          .pid = (uint32_t)j->perf_pid, .tid = (uint32_t)syscall(SYS_gettid), .vma = (uint64_t)(uintptr_t)t->code,
                          .addr = (uint64_t)(uintptr_t)t->code, .code_size = t->size, .index = j->perf_index++};
    const struct iovec parts[] = {{&c, sizeof c}, {(void *)(uintptr_t)name, len}, {t->code, t->size}};
    if (writev(j->perf_fd, parts, 3) != (ssize_t)c.size) {
        give_up(j);
    }
}

static void
put_translation(const struct engine *en, const struct translation *t)
{
    struct jit *j = en->jit;
    char name[256], text[320];
    size_t n = en->cfg.symbol != NULL ? en->cfg.symbol(en->cfg.symbol_arg, t->pc, name, sizeof name - 16) : 0;
    if (n == 0) {
        n = (size_t)snprintf(name, sizeof name, "%llx", (unsigned long long)t->pc);
    }
    snprintf(name + n, sizeof name - n, " [tier %u]", t->tier);
    if (j->show & SHOW_JITDUMP) {
        put_record(j, t, name);
        return;
    }
    const int len = snprintf(text, sizeof text, "%llx %x %s\n", (unsigned long long)(uintptr_t)t->code, t->size, name);
    if (write(j->perf_fd, text, (size_t)len) < 0) {
        give_up(j);
    }
}

/* The header; and a mapping of the file as if it were code, by which perf record learns of it. */
static bool
dump_begin(struct jit *j)
{
    const struct dump_header h = {.magic = DUMP_MAGIC, .version = 1, .size = sizeof h, .machine = EM_X86_64,
                                  .pid = (uint32_t)j->perf_pid, .time = nondet_mono_ns()};
    if (j->perf_mark != NULL) {
        munmap(j->perf_mark, PAGE);
    }
    j->perf_index = 0;
    void *const p = mmap(NULL, PAGE, PROT_READ | PROT_EXEC, MAP_PRIVATE, j->perf_fd, 0);
    j->perf_mark = p != MAP_FAILED ? p : NULL;
    return p != MAP_FAILED && write(j->perf_fd, &h, sizeof h) == (ssize_t)sizeof h;
}

void
perf_translation(const struct engine *en, const struct translation *t)
{
    struct jit *j = en->jit;
    if (j->perf_pid > 0) {
        put_translation(en, t);
        return;
    }
    const bool dump = j->show & SHOW_JITDUMP;
    const pid_t me = getpid();
    char path[64];
    snprintf(path, sizeof path, dump ? "/tmp/jit-%d.dump" : "/tmp/perf-%d.map", (int)me);
    if (j->perf_pid == PERF_FORKED) {
        close(j->perf_fd);
    }
    /* A mapping needs a file that may be read. */
    const int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0644);
    j->perf_fd = fd >= 0 ? fcntl(fd, F_DUPFD_CLOEXEC, en->cfg.tuning.show_fd + 1) : -1;
    close(fd);
    j->perf_pid = me;
    if (j->perf_fd < 0 || (dump && !dump_begin(j))) {
        give_up(j);
        return;
    }
    for (uint32_t k = 0; k < j->n_by_addr; k++) {
        put_translation(en, j->by_addr[k]);
    }
}
