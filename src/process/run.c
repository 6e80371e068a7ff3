/*
 * run.c - the loop of one task: run the engine, serve what it comes back for
 *
 *      attention ──► signal_deliver        ecall ──► syscall_execute
 *      faults, illegal instructions, ebreak ──► signal_force        fence.i ──► engine_code_sync
 *
 * Signals and codes are those of arch/riscv/kernel/traps.c and arch/riscv/mm/fault.c of Linux 6.12. One host thread per
 * task; tasks share nothing here but the list.
 */
#include "process/debug.h"
#include "process/map.h"
#include "process/syscall.h"

#include "base/check.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

struct task *
task_new(struct process *p)
{
    static_assert(sizeof(struct task) <= ENGINE_BESIDE, "beside the engine");
    void *beside;
    p->engine_place = engine_place_new(&beside);
    if (p->engine_place == NULL) {
        return NULL;
    }
    struct task *t = beside;
    task_init(t, p);
    t->tid = (int)host_syscall(SYS_gettid);
    return t;
}

void
task_init(struct task *t, struct process *p)
{
    t->proc = p;
    t->syscall_nr = -1;
    pthread_mutex_lock(&p->tasks_lock);
    t->next = p->tasks;
    p->tasks = t;
    pthread_mutex_unlock(&p->tasks_lock);
}

/* --verbose: what instruction it was, and what this hart would need to have. */
static void
say_illegal(struct task *t)
{
    uint16_t half[2] = {0, 0};
    if (guest_read(&half[0], t->hart.pc, 2) == 0 && insn_len(half[0]) == 4) {
        guest_read(&half[1], t->hart.pc + 2, 2);
    }
    uint32_t word = half[0] | (uint32_t)half[1] << 16;
    char text[ISA_DISASM_MAX], line[256];
    isa_disasm(word, t->hart.pc, ISA_ALL, text);
    for (char *c = text; *c; c++) {
        *c = *c == '\t' ? ' ' : *c;
    }
    const struct insn_row *row = isa_find_row(word);
    const char *why = row == NULL ? "no such instruction" : "not on this hart; --cpu can add";
    int n = snprintf(line, sizeof line, "doppel: [%d] illegal instruction %0*x (%s) at %#llx: %s%s%s\n", t->tid,
                     insn_len(word) == 2 ? 4 : 8, word, text, (unsigned long long)t->hart.pc, why, row != NULL ? " " : "",
                     row != NULL ? isa_ext_name(row->ext) : "");
    host_syscall(SYS_write, t->proc->opt->log_fd, line, n);
}

/* Otherwise a word about it, where the program that was asked for dies of it. Its children's deaths are its own business. */
static void
hint_illegal(struct task *t)
{
    char line[128];
    int n = snprintf(line, sizeof line, "doppel: illegal instruction at %#llx; --verbose says which\n",
                     (unsigned long long)t->hart.pc);
    host_syscall(SYS_write, t->proc->opt->log_fd, line, n);
}

/* An access that the host refused, or an address that is nobody's: whose fault, the guest's own map says. */
static void
fault(struct task *t, const struct engine_exit *x)
{
    if (x->host_sig == SIGBUS) {
        signal_force(t, SIGBUS, x->host_code, x->addr);
        return;
    }
    bool mapped = map_covers(t->proc->map, x->addr, 1, NULL);
    signal_force(t, SIGSEGV, mapped ? SEGV_ACCERR : SEGV_MAPERR, x->addr);
}

/* --check: doppel itself is wrong, and nothing that the program does from here on means anything. */
static _Noreturn void
differs(struct task *t)
{
    const char *text = engine_difference(&t->hart);
    host_syscall(SYS_write, t->proc->opt->log_fd, text, strlen(text));
    host_syscall(SYS_exit_group, 125);
    __builtin_unreachable();
}

HOT void
task_run(struct task *t)
{
    struct engine *en = t->proc->engine;
    while (!t->exiting) {
        if (__atomic_load_n(&t->hart.attention, __ATOMIC_SEQ_CST) != 0) {
            signal_deliver(t);
            continue;
        }
        struct engine_exit x =
            __builtin_expect(t->proc->debug != NULL, 0) ? debug_engine_run(t) : engine_run(en, &t->hart, INT64_MAX);
        if (x.kind == EXIT_ECALL) { /* first, and without the switch's table */
            syscall_execute(t);
            continue;
        }
        switch (x.kind) {
        case EXIT_BUDGET:
        case EXIT_ATTENTION:
        case EXIT_ECALL:
        case EXIT_WATCH:
            break; /* the head of the loop looks */
        case EXIT_EBREAK:
            signal_force(t, SIGTRAP, TRAP_BRKPT, t->hart.pc);
            break;
        case EXIT_ILLEGAL:
            if (t->proc->opt->verbose) {
                say_illegal(t);
            } else if (t->proc->first_pid == host_syscall(SYS_getpid) && signal_is_fatal(t, SIGILL)) {
                hint_illegal(t);
            }
            signal_force(t, SIGILL, ILL_ILLOPC, t->hart.pc);
            break;
        case EXIT_FETCH:
        case EXIT_FAULT:
            fault(t, &x);
            break;
        case EXIT_MISALIGNED:
            signal_force(t, SIGBUS, BUS_ADRALN, x.addr);
            break;
        case EXIT_FENCE_I:
            map_lock(t->proc->map);
            engine_code_sync(en);
            map_unlock(t->proc->map);
            break;
        case EXIT_DIFFERS:
            differs(t);
        }
    }
}
