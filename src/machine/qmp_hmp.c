/*
 * qmp_hmp.c - human-monitor-command: the few commands of QEMU's monitor that people type
 */
#include "machine/qmp_impl.h"

#include "base/check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A line of the monitor: its words, and where its text goes. */
struct monitor {
    struct qmp *q; /* ref */
    unsigned cpu;
    FILE *out;
};

static void
info_status(struct monitor *mon)
{
    fprintf(mon->out, "VM status: %s\r\n", qmp_status(mon->q));
}

static void
info_name(struct monitor *mon)
{
    const char *name = mon->q->m->cfg.name;
    fprintf(mon->out, "%s\r\n", name != NULL ? name : "");
}

static void
info_version(struct monitor *mon)
{
    fprintf(mon->out, "doppel " DOPPEL_VERSION "\r\n");
}

static void
info_cpus(struct monitor *mon)
{
    const struct machine *m = mon->q->m;
    for (unsigned i = 0; i < m->cfg.n_harts; i++) {
        fprintf(mon->out, "%c CPU #%u: thread_id=%d\r\n", i == mon->cpu ? '*' : ' ', i, atomic_load(&m->harts[i].tid));
    }
}

static void
info_block(struct monitor *mon)
{
    const struct machine *m = mon->q->m;
    if (m->cfg.n_disks == 0) {
        fprintf(mon->out, "no disks\r\n");
    }
    for (unsigned i = 0; i < m->cfg.n_disks; i++) {
        const struct machine_disk *d = &m->cfg.disks[i];
        fprintf(mon->out, "virtio%u: %s%s\r\n", i, d->name, d->block->read_only ? " (read-only)" : "");
    }
}

static void
info_mtree(struct monitor *mon)
{
    char *text = machine_map_text(mon->q->m);
    for (const char *at = text; at != NULL && *at != 0;) {
        const size_t n = strcspn(at, "\n");
        fprintf(mon->out, "%.*s\r\n", (int)n, at);
        at += n + (at[n] == '\n');
    }
    free(text);
}

static void
info_qtree(struct monitor *mon)
{
    const struct machine *m = mon->q->m;
    for (unsigned i = 0; i < m->n_devices; i++) {
        const struct device *d = m->devices[i];
        fprintf(mon->out, "dev: %s, mmio 0x%llx/0x%llx", d->type->name, (unsigned long long)d->base, (unsigned long long)d->bytes);
        fprintf(mon->out, d->source != 0 ? ", irq %u\r\n" : "\r\n", d->source);
    }
}

/* As QEMU prints them, but for what it has and we have not. */
static void
registers(FILE *out, const struct mhart *c)
{
    static const char *const abi[32] = {"zero", "ra", "sp", "gp", "tp", "t0", "t1", "t2", "s0", "s1", "a0", "a1", "a2", "a3", "a4", "a5",
                                        "a6", "a7", "s2", "s3", "s4", "s5", "s6", "s7", "s8", "s9", "s10", "s11", "t3", "t4", "t5", "t6"};
    const struct priv *p = &c->p;
    const struct {
        const char *name;
        uint64_t v;
    } csrs[] = {
        {"mhartid", p->mhartid}, {"mstatus", p->mstatus}, {"mip", priv_pending(p)}, {"mie", p->mie}, {"mideleg", p->mideleg},
        {"medeleg", p->medeleg}, {"mtvec", p->mtvec}, {"stvec", p->stvec}, {"mepc", p->mepc}, {"sepc", p->sepc},
        {"mcause", p->mcause}, {"scause", p->scause}, {"mtval", p->mtval}, {"stval", p->stval}, {"mscratch", p->mscratch},
        {"sscratch", p->sscratch}, {"satp", p->satp}, {"stimecmp", p->stimecmp},
    };
    fprintf(out, " pc       %016llx\r\n priv     %u\r\n", (unsigned long long)c->h.pc, p->mode);
    for (unsigned i = 0; i < ARRAY_LEN(csrs); i++) {
        fprintf(out, " %-8s %016llx\r\n", csrs[i].name, (unsigned long long)csrs[i].v);
    }
    for (unsigned i = 0; i < 32; i++) {
        char name[16];
        snprintf(name, sizeof name, "x%u/%s", i, abi[i]);
        fprintf(out, " %-8s %016llx%s", name, (unsigned long long)c->h.x[i], i % 4 == 3 ? "\r\n" : "");
    }
    for (unsigned i = 0; i < 32; i++) {
        fprintf(out, " f%-7u %016llx%s", i, (unsigned long long)c->h.f[i], i % 4 == 3 ? "\r\n" : "");
    }
}

static void
info_registers(struct monitor *mon)
{
    struct machine *m = mon->q->m;
    machine_pause(m);
    fprintf(mon->out, "\r\nCPU#%u\r\n", mon->cpu);
    registers(mon->out, m->harts[mon->cpu].cpu);
    machine_resume(m);
}

static void
stop(struct monitor *mon)
{
    qmp_stop(mon->q);
}

static void
cont(struct monitor *mon)
{
    qmp_cont(mon->q);
}

static void
quit(struct monitor *mon)
{
    qmp_quit(mon->q);
}

static void
reset(struct monitor *mon)
{
    qmp_reset(mon->q);
}

static void
powerdown(struct monitor *mon)
{
    qmp_powerdown(mon->q);
}

static void help(struct monitor *mon), info(struct monitor *mon);

static const struct {
    const char *line, *help;
    void (*run)(struct monitor *mon);
} commands_[] = {
    {"help", "this list", help},
    {"info", "what there is to be informed of", info},
    {"info status", "whether the machine runs", info_status},
    {"info registers", "of a hart", info_registers},
    {"info cpus", "harts and their threads", info_cpus},
    {"info mtree", "what is at which address", info_mtree},
    {"info qtree", "devices", info_qtree},
    {"info block", "disks", info_block},
    {"info name", "the machine's", info_name},
    {"info version", "of doppel", info_version},
    {"stop", "all harts stand still", stop},
    {"cont", "… and go on", cont},
    {"system_reset", "as by a reset button", reset},
    {"system_powerdown", "press the power button", powerdown},
    {"quit", "the machine is off at once", quit},
};

static void
help(struct monitor *mon)
{
    for (unsigned i = 0; i < ARRAY_LEN(commands_); i++) {
        fprintf(mon->out, "%s -- %s\r\n", commands_[i].line, commands_[i].help);
    }
}

static void
info(struct monitor *mon)
{
    for (unsigned i = 0; i < ARRAY_LEN(commands_); i++) {
        if (strncmp(commands_[i].line, "info ", 5) == 0) {
            fprintf(mon->out, "%s -- %s\r\n", commands_[i].line, commands_[i].help);
        }
    }
}

/* A line without what it need not have: blanks in front, behind, more than one between. */
static void
tidy(const char *line, char *out, size_t size)
{
    size_t n = 0;
    for (; *line != 0 && n < size - 1; line++) {
        const bool blank = strchr(" \t\r\n", *line) != NULL;
        if (!blank) {
            out[n++] = *line;
        } else if (n > 0 && out[n - 1] != ' ') {
            out[n++] = ' ';
        }
    }
    n -= n > 0 && out[n - 1] == ' ';
    out[n] = 0;
}

char *
qmp_hmp(struct qmp *q, const char *line, unsigned cpu)
{
    char *text = NULL, words[128];
    size_t size;
    struct monitor mon = {q, cpu, open_memstream(&text, &size)};
    if (mon.out == NULL) {
        return NULL;
    }
    tidy(line, words, sizeof words);
    unsigned i = 0;
    while (i < ARRAY_LEN(commands_) && strcmp(commands_[i].line, words) != 0) {
        i++;
    }
    if (i < ARRAY_LEN(commands_)) {
        commands_[i].run(&mon);
    } else if (words[0] != 0) {
        fprintf(mon.out, "unknown command: '%s'\r\n", words);
    }
    if (fclose(mon.out) != 0) {
        free(text);
        return NULL;
    }
    return text;
}
