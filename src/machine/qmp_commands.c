/*
 * qmp_commands.c - what can be asked of a machine by QMP: the one list, at the end
 *
 * Names, arguments and answers are those of QEMU's schema (docs/interop/qemu-qmp-ref), so that its clients understand them; what has
 * none there begins with x-doppel.
 */
#include "machine/qmp_impl.h"

#include "base/check.h"
#include "base/nondet.h"
#include "device/virtio_devices.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- what is done to the machine ---- */

void
qmp_stop(struct qmp *q)
{
    if (!q->holds) {
        q->holds = true;
        machine_pause(q->m);
    }
    qmp_tell_state(q);
}

void
qmp_cont(struct qmp *q)
{
    if (q->holds) {
        q->holds = false;
        machine_resume(q->m);
    }
    qmp_tell_state(q);
}

void
qmp_quit(struct qmp *q)
{
    machine_ask_end(q->m, MACHINE_OFF, MACHINE_BY_CONTROL, 0, 0);
}

void
qmp_reset(struct qmp *q)
{
    machine_ask_end(q->m, MACHINE_REBOOT, MACHINE_BY_CONTROL, 0, 0);
}

/* What the guest makes of it is its own affair. */
void
qmp_powerdown(struct qmp *q)
{
    if (q->m->power != NULL) {
        virtio_input_press(q->m->power);
    }
    qmp_event(q, "POWERDOWN", NULL);
}

/* ---- what is asked ---- */

const char *
qmp_status(const struct qmp *q)
{
    return machine_is_paused(q->m) ? "paused" : "running";
}

json_t *
qmp_version(void)
{
    int v[3] = {0};
    sscanf(DOPPEL_VERSION, "%d.%d.%d", &v[0], &v[1], &v[2]);
    return json_pack("{s{si si si} ss}", "qemu", "major", v[0], "minor", v[1], "micro", v[2], "package", "doppel " DOPPEL_VERSION);
}

static json_t *
cpus(const struct machine *m)
{
    json_t *list = json_array();
    for (unsigned i = 0; i < m->cfg.n_harts; i++) {
        char path[32];
        snprintf(path, sizeof path, "/machine/harts/%u", i);
        json_array_append_new(list, json_pack("{si ss si s{si} ss}", "cpu-index", (int)i, "qom-path", path, "thread-id",
                                              atomic_load(&m->harts[i].tid), "props", "core-id", (int)i, "target", "riscv64"));
    }
    return list;
}

static json_t *
blocks(const struct machine *m)
{
    json_t *list = json_array();
    for (unsigned i = 0; i < m->cfg.n_disks; i++) {
        const struct machine_disk *d = &m->cfg.disks[i];
        char device[16];
        snprintf(device, sizeof device, "virtio%u", i);
        const json_int_t bytes = (json_int_t)d->block->bytes;
        const char *format = d->block->ops->name;
        struct stat st = {0};
        fstat(d->block->file, &st);
        json_t *image = json_pack("{ss ss sI sI sb}", "filename", d->name, "format", format, "virtual-size", bytes, "actual-size",
                                  (json_int_t)st.st_blocks * 512, "dirty-flag", 0);
        json_t *inserted = json_pack("{ss ss ss sb si sb si ss si si si si si si s{sb sb sb} so}", "file", d->name, "node-name", device, "drv", format,
                                     "ro", d->block->read_only, "backing_file_depth", 0, "encrypted", 0, "write_threshold", 0,
                                     "detect_zeroes", "off", "bps", 0, "bps_rd", 0, "bps_wr", 0, "iops", 0, "iops_rd", 0, "iops_wr", 0,
                                     "cache", "writeback", d->block->cache != BLOCK_WRITETHROUGH, "direct", 0, "no-flush", d->block->cache == BLOCK_UNSAFE, "image", image);
        json_array_append_new(list, json_pack("{ss ss sb sb ss ss so}", "device", device, "qdev", device, "locked", 0, "removable", 0,
                                              "type", "unknown", "io-status", "ok", "inserted", inserted));
    }
    return list;
}

/* Counters that a hart's thread, or another, changes meanwhile. */
static json_int_t
count(const uint64_t *at)
{
    return (json_int_t)__atomic_load_n(at, __ATOMIC_RELAXED);
}

/* The causes that have been counted, by name. */
static json_t *
causes(const uint64_t *counts, const char *const *names)
{
    json_t *v = json_object();
    for (unsigned i = 0; i < 16; i++) {
        if (count(&counts[i]) > 0) {
            char number[16];
            snprintf(number, sizeof number, "cause-%u", i);
            json_object_set_new(v, names[i] != NULL ? names[i] : number, json_integer(count(&counts[i])));
        }
    }
    return v;
}

/* What all harts share: translations, if there are any; memory. */
static json_t *
translations(const struct machine *m)
{
    struct engine_translations t;
    if (m->sys.en == NULL || !engine_translations(m->sys.en, &t)) {
        return json_object();
    }
    return json_pack("{sI sI sI sI sI sI}", "blocks", (json_int_t)t.blocks, "regions", (json_int_t)t.regions, "instructions",
                     (json_int_t)t.instructions, "bytes", (json_int_t)t.bytes, "forgotten", (json_int_t)t.forgotten, "flushes", (json_int_t)t.flushes);
}

json_t *
qmp_stats(struct qmp *q)
{
    static const char *const exceptions[16] = {
        [TRAP_FETCH_MISALIGNED] = "fetch-misaligned", [TRAP_FETCH_ACCESS] = "fetch-access", [TRAP_ILLEGAL] = "illegal-instruction",
        [TRAP_BREAKPOINT] = "breakpoint", [TRAP_LOAD_MISALIGNED] = "load-misaligned", [TRAP_LOAD_ACCESS] = "load-access",
        [TRAP_STORE_MISALIGNED] = "store-misaligned", [TRAP_STORE_ACCESS] = "store-access", [TRAP_ECALL_U] = "ecall-u",
        [TRAP_ECALL_S] = "ecall-s", [TRAP_ECALL_M] = "ecall-m", [TRAP_FETCH_PAGE] = "fetch-page", [TRAP_LOAD_PAGE] = "load-page",
        [TRAP_STORE_PAGE] = "store-page",
    };
    static const char *const interrupts[16] = {
        [IRQ_SSI] = "s-software", [IRQ_MSI] = "m-software", [IRQ_STI] = "s-timer", [IRQ_MTI] = "m-timer",
        [IRQ_SEI] = "s-external", [IRQ_MEI] = "m-external", [IRQ_LCOFI] = "counter-overflow",
    };
    const struct machine *m = q->m;
    json_t *harts = json_array(), *devices = json_array();
    for (unsigned i = 0; i < m->cfg.n_harts; i++) {
        const struct mhart *c = m->harts[i].cpu;
        const struct system_stats *s = &c->stats;
        json_array_append_new(harts, json_pack("{si sI so so s{sI sI} sI sI sI sI}", "hart", (int)i, "instructions", count(&c->h.instret),
                                               "exceptions", causes(s->exceptions, exceptions), "interrupts",
                                               causes(s->interrupts, interrupts), "tlb", "fills", count(&s->walks), "flushes",
                                               count(&c->t.flushes), "io", count(&s->io), "sfence.vma", count(&s->fences), "fence.i",
                                               count(&s->fence_is), "code-pages", count(&s->code_pages)));
    }
    for (unsigned i = 0; i < m->pm.n_regions; i++) {
        const struct physmap_region *r = &m->pm.regions[i];
        const json_int_t reads = (json_int_t)atomic_load(&r->reads), writes = (json_int_t)atomic_load(&r->writes);
        if (reads + writes > 0) {
            char at[24];
            snprintf(at, sizeof at, "0x%llx", (unsigned long long)r->base);
            json_array_append_new(devices, json_pack("{ss ss sI sI}", "name", r->name, "address", at, "reads", reads, "writes", writes));
        }
    }
    return json_pack("{so so so s{sI sI}}", "harts", harts, "devices", devices, "translations", translations(m), "memory", "huge-pages",
                     (json_int_t)atomic_load(&m->pm.huge), "not-huge", (json_int_t)atomic_load(&m->pm.not_huge));
}

static json_t *
information(const struct qmp *q)
{
    const struct machine *m = q->m;
    char sandbox[64];
    sandbox_text(&m->sandbox, sandbox, sizeof sandbox);
    return json_pack("{ss ss si ss si sI sI}", "sandbox", sandbox, "name", m->cfg.name != NULL ? m->cfg.name : "", "pid", (int)m->pid, "status", qmp_status(q), "harts",
                     (int)m->cfg.n_harts, "memory", (json_int_t)m->cfg.ram_bytes, "uptime-seconds",
                     (json_int_t)((nondet_mono_ns() - m->started_ns) / 1000000000));
}

/* ---- the list ---- */

enum command {
#define COMMAND(id, name) DO_##id,
#include "machine/qmp_commands.def"
#undef COMMAND
    N_COMMANDS
};

static const char *const names_[] = {
#define COMMAND(id, name) name,
#include "machine/qmp_commands.def"
#undef COMMAND
};

static json_t *
commands(void)
{
    json_t *list = json_array();
    json_array_append_new(list, json_pack("{ss}", "name", "qmp_capabilities"));
    for (unsigned i = 0; i < N_COMMANDS; i++) {
        json_array_append_new(list, json_pack("{ss}", "name", names_[i]));
    }
    return list;
}

/* What commands take: human-monitor-command the first two, balloon the last. */
struct arguments {
    const char *line; /* command-line; into: the JSON */
    unsigned cpu;     /* cpu-index */
    json_int_t value; /* bytes; -1: not given */
};

/* False: *a says what is wrong. */
static bool
arguments(enum command c, const struct qmp *q, json_t *args, struct arguments *to, struct qmp_answer *a)
{
    const char *key;
    json_t *v;
    *to = (struct arguments){NULL, 0, -1};
    a->error = "GenericError";
    json_object_foreach (args, key, v) {
        if (c == DO_hmp && strcmp(key, "command-line") == 0) {
            to->line = json_string_value(v);
            if (to->line == NULL) {
                snprintf(a->text, sizeof a->text, "Invalid parameter type for 'command-line', expected: string");
                return false;
            }
        } else if (c == DO_hmp && strcmp(key, "cpu-index") == 0) {
            if (!json_is_integer(v) || json_integer_value(v) < 0 || json_integer_value(v) >= q->m->cfg.n_harts) {
                snprintf(a->text, sizeof a->text, "Parameter 'cpu-index' expects a CPU number");
                return false;
            }
            to->cpu = (unsigned)json_integer_value(v);
        } else if (c == DO_balloon && strcmp(key, "value") == 0 && json_is_integer(v)) {
            to->value = json_integer_value(v);
        } else {
            snprintf(a->text, sizeof a->text, "Parameter '%.100s' is unexpected", key);
            return false;
        }
    }
    if (c == DO_balloon && to->value <= 0) {
        snprintf(a->text, sizeof a->text, "Parameter 'value' expects a size");
        return false;
    }
    if (c == DO_hmp && to->line == NULL) {
        snprintf(a->text, sizeof a->text, "Parameter 'command-line' is missing");
        return false;
    }
    a->error = NULL;
    return true;
}

void
qmp_command(struct qmp *q, const char *name, json_t *args, struct qmp_answer *a)
{
    unsigned c = 0;
    struct arguments given;
    while (c < N_COMMANDS && strcmp(names_[c], name) != 0) {
        c++;
    }
    if (c == N_COMMANDS) {
        a->error = "CommandNotFound";
        snprintf(a->text, sizeof a->text, "The command %.100s has not been found", name);
        return;
    }
    if (!arguments((enum command)c, q, args, &given, a)) {
        return;
    }
    const struct machine *m = q->m;
    if ((c == DO_balloon || c == DO_query_balloon) && m->balloon == NULL) {
        a->error = "DeviceNotActive";
        snprintf(a->text, sizeof a->text, "No balloon device has been activated");
        return;
    }
    switch ((enum command)c) {
    case DO_status:
        a->value = json_pack("{sssb}", "status", qmp_status(q), "running", !machine_is_paused(m));
        return;
    case DO_name:
        a->value = m->cfg.name != NULL ? json_pack("{ss}", "name", m->cfg.name) : json_object();
        return;
    case DO_version:
        a->value = qmp_version();
        return;
    case DO_commands:
        a->value = commands();
        return;
    case DO_cpus:
        a->value = cpus(m);
        return;
    case DO_block:
        a->value = blocks(m);
        return;
    case DO_memory:
        a->value = json_pack("{sI}", "base-memory", (json_int_t)m->cfg.ram_bytes);
        return;
    case DO_query_balloon:
        a->value = json_pack("{sI}", "actual", (json_int_t)(m->cfg.ram_bytes - virtio_balloon_has(m->balloon)));
        return;
    case DO_balloon:
        virtio_balloon_want(m->balloon, m->cfg.ram_bytes - ((uint64_t)given.value < m->cfg.ram_bytes ? (uint64_t)given.value : m->cfg.ram_bytes));
        break;
    case DO_target:
        a->value = json_pack("{ss}", "arch", "riscv64");
        return;
    case DO_kvm:
        a->value = json_pack("{sbsb}", "enabled", 0, "present", 0);
        return;
    case DO_info:
        a->value = information(q);
        return;
    case DO_stats:
        a->value = qmp_stats(q);
        return;
    case DO_hmp: {
        char *text = qmp_hmp(q, given.line, given.cpu);
        a->value = text != NULL ? json_string(text) : NULL;
        free(text);
        return;
    }
    case DO_stop:
        qmp_stop(q);
        break;
    case DO_cont:
        qmp_cont(q);
        break;
    case DO_reset:
        qmp_reset(q);
        break;
    case DO_powerdown:
        qmp_powerdown(q);
        break;
    case DO_quit:
        qmp_quit(q);
        break;
    case N_COMMANDS:
        break;
    }
    a->value = json_object();
}
