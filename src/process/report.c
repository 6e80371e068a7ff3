/*
 * report.c - see report.h
 *
 * The bug report runs in signal handlers: raw writes only, and no memory is read but what the monitor owns or
 * guest_read() can fail on. The host's stack is walked by frame pointers (-fno-omit-frame-pointer); offsets are from the
 * start of the executable, as addr2line takes them.
 */
#include "process/report.h"

#include "process/prof.h"

#include "base/check.h"
#include "base/fields.h"

#include <stdio.h>
#include <sys/mman.h>

#define HART_FIELDS_MAX 64

extern const char __executable_start[], etext[];

static void
sink(void *arg, const char *text, size_t n)
{
    host_syscall(SYS_write, *(int *)arg, text, n);
}

static void
report_state(struct task *t)
{
    int fd = t->proc->opt->log_fd;
    bool json = t->proc->opt->dump_state == 2;
    struct field shown[HART_FIELDS_MAX];
    CHECK(hart_field_count <= HART_FIELDS_MAX);
    for (size_t i = 0; i < hart_field_count; i++) {
        shown[i] = hart_fields[i];
        if (shown[i].offset == offsetof(struct hart, instret) && !engine_counts_instret(t->proc->opt->engine)) {
            shown[i].since = 0; /* a number that was not counted is none */
        }
    }
    if (json) {
        sink(&fd, "{", 1);
    }
    fields_dump(shown, hart_field_count, &t->hart, json, sink, &fd);
    if (json) {
        sink(&fd, "}\n", 2);
    }
}

HOT void
report_end(struct task *t)
{
    const struct run_options *o = t->proc->opt;
    if (o->dump_state != 0) {
        report_state(t);
    }
    if (o->tuning.show & ENGINE_PROFILE) {
        prof_report(t);
    }
    if (o->stats) {
        char text[2048];
        const size_t n = engine_stats(t->proc->engine, text, sizeof text);
        host_syscall(SYS_write, o->log_fd, text, n);
    }
}

/* The frames above this one; stops at whatever does not look like a stack. */
static void
backtrace_host(int fd)
{
    const uintptr_t *fp = __builtin_frame_address(0);
    for (int i = 0; i < 32; i++) {
        uintptr_t frame[2];
        /* process_vm_readv of ourselves cannot fault */
        struct {
            void *base;
            size_t len;
        } to = {frame, sizeof frame}, from = {(void *)(uintptr_t)fp, sizeof frame};
        if (host_syscall(SYS_process_vm_readv, host_syscall(SYS_getpid), &to, 1, &from, 1, 0) != sizeof frame) {
            break;
        }
        char line[80];
        bool ours = frame[1] >= (uintptr_t)__executable_start && frame[1] < (uintptr_t)etext;
        int n = snprintf(line, sizeof line, ours ? "  at doppel+%#zx\n" : "  at %#zx\n",
                         ours ? frame[1] - (uintptr_t)__executable_start : frame[1]);
        host_syscall(SYS_write, fd, line, n);
        if (frame[0] <= (uintptr_t)fp) {
            break;
        }
        fp = (const uintptr_t *)frame[0];
    }
}

static void
report(void)
{
    struct task *t = current_task;
    int fd = t != NULL && t->proc->opt->log_fd >= 0 ? t->proc->opt->log_fd : 2;
    if (t != NULL) {
        char line[256], text[ISA_DISASM_MAX] = "(not readable)";
        uint32_t word = 0;
        if (t->hart.in_guest == 0 && guest_read(&word, t->hart.pc, sizeof word) == 0) {
            isa_disasm(word, t->hart.pc, ISA_ALL, text);
        }
        int n = snprintf(line, sizeof line, "  guest thread %d, system call %lld, pc %#llx: %s\n", t->tid,
                         (long long)t->syscall_nr, (unsigned long long)t->hart.pc, text);
        host_syscall(SYS_write, fd, line, n);
        fields_dump(hart_fields, hart_field_count, &t->hart, false, sink, &fd);
    }
    backtrace_host(fd);
}

void
report_init(void)
{
    check_report = report;
}
