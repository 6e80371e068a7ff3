/*
 * machine.c - see machine.h
 *
 *      images in RAM, tree ──► devices and harts as after power-on ──► threads ──► loop, until somebody asks for the end
 *            ▲                                                                         │
 *            └──────────────────────────── reboot ─────────────────────────────────────┴──► off
 *
 * A hart that switches the machine off stores how it ends, and stops the loop; the I/O thread then stops the harts.
 */
#include "machine/debugger.h"
#include "machine/machine_impl.h"

#include "base/check.h"
#include "base/nondet.h"
#include "machine/fdt.h"
#include "machine/qmp.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/signalfd.h>
#include <unistd.h>

static const int signals_[] = {SIGINT, SIGTERM, SIGHUP, SIGWINCH, SIGTSTP, SIGCONT};

void
machine_ask_end(struct machine *m, enum machine_ending how, enum machine_by by, unsigned code, int signal)
{
    int expected = MACHINE_GOES_ON;
    if (atomic_compare_exchange_strong(&m->ending, &expected, how)) {
        m->end = (struct machine_end){code, signal};
        m->ended_by = by;
        loop_stop(m->loop);
    }
}

static void
console_command(void *arg, enum console_command c)
{
    machine_ask_end(arg, c == CONSOLE_QUIT ? MACHINE_OFF : MACHINE_REBOOT, MACHINE_BY_CONSOLE, 0, 0);
}

static char *
console_monitor(void *arg, const char *line)
{
    struct machine *m = arg;
    return m->qmp != NULL ? qmp_hmp(m->qmp, line, 0) : NULL;
}

/* Everything into RAM, anew. */
static int
load(struct machine *m, struct err *e)
{
    const struct machine_config *cfg = &m->cfg;
    int r = boot_load(&m->pm, &cfg->firmware, &cfg->kernel, &cfg->initrd, &m->boot, e);
    if (r < 0) {
        return -ENOEXEC;
    }
    if (cfg->dtb != NULL) {
        m->dtb_bytes = cfg->dtb_bytes;
        memcpy(m->dtb, cfg->dtb, cfg->dtb_bytes);
    } else {
        struct machine_tree tree = {
            .n_harts = cfg->n_harts,
            .exts = m->harts[0].cpu->h.exts,
            .mmu = cfg->satp_modes >> SATP_SV57 & 1 ? "sv57" : cfg->satp_modes >> SATP_SV48 & 1 ? "sv48" : "sv39",
            .timebase_hz = CLINT_HZ,
            .ram_base = RAM_BASE,
            .ram_bytes = cfg->ram_bytes,
            .bootargs = cfg->append,
            .initrd = m->boot.initrd,
            .initrd_end = m->boot.initrd_end,
            .stdout_path = "/soc/serial@10000000",
            .devices = m->devices,
            .n_devices = m->n_devices,
            .has_finisher = true,
        };
        nondet_random(tree.rng_seed, sizeof tree.rng_seed);
        r = machine_fdt(&tree, m->dtb, MACHINE_FDT_MAX, e);
        if (r < 0) {
            return r;
        }
        m->dtb_bytes = (size_t)r;
    }
    r = boot_place_dtb(&m->pm, m->dtb, m->dtb_bytes, &m->boot, e);
    if (r == 0) {
        boot_make_rom(&m->boot, m->rom);
    }
    return r;
}

int
machine_new(const struct machine_config *cfg, struct machine **made, struct err *e)
{
    CHECK(cfg->n_harts >= 1 && cfg->n_harts <= MACHINE_HARTS_MAX && cfg->dtb_bytes <= MACHINE_FDT_MAX);
    struct machine *m = calloc(1, sizeof *m);
    if (m == NULL) {
        return err_set(e, -ENOMEM, "machine");
    }
    m->cfg = *cfg;
    /* in this order: what has to be opened, the walls, the first thread */
    m->console_own = console_reopen(cfg->console_out);
    for (unsigned i = 0; i < cfg->n_ports; i++) {
        m->ports[i].own = cfg->ports[i].out >= 0 ? console_reopen(cfg->ports[i].out) : -1;
    }
    if (cfg->sandbox) {
        sandbox_enter(&m->sandbox, cfg);
    }
    physmap_init(&m->pm);
    pause_init(m);
    chardev_init(&m->line);
    m->loop = loop_new(e);
    m->dtb = malloc(MACHINE_FDT_MAX);
    int r = m->loop == NULL || m->dtb == NULL ? -ENOMEM : board_make(m, e);
    r = r < 0 ? r : harts_make(m, e);
    r = r < 0 ? r : load(m, e);
    if (r < 0) {
        machine_free(m);
        return r;
    }
    *made = m;
    return 0;
}

void
machine_free(struct machine *m)
{
    for (unsigned i = 0; i < m->n_devices; i++) {
        m->devices[i]->type->free(m->devices[i]);
    }
    if (m->console_own >= 0) {
        close(m->console_own);
    }
    for (unsigned i = 0; i < m->cfg.n_ports; i++) {
        if (m->ports[i].own >= 0) {
            close(m->ports[i].own);
        }
    }
    harts_free(m);
    physmap_fini(&m->pm);
    if (m->rom != NULL) {
        munmap(m->rom, ROM_BYTES);
    }
    if (m->loop != NULL) {
        loop_free(m->loop);
    }
    free(m->dtb);
    free(m);
}

const void *
machine_dtb(const struct machine *m, size_t *bytes)
{
    *bytes = m->dtb_bytes;
    return m->dtb;
}

char *
machine_map_text(const struct machine *m)
{
    static const char *const kinds[] = {[REGION_RAM] = "ram", [REGION_ROM] = "rom", [REGION_IO] = "io"};
    char *text = NULL;
    size_t size;
    FILE *f = open_memstream(&text, &size);
    if (f == NULL) {
        return NULL;
    }
    for (unsigned i = 0; i < m->pm.n_regions; i++) {
        const struct physmap_region *r = &m->pm.regions[i];
        fprintf(f, "0x%010llx-0x%010llx  %-4s %s\n", (unsigned long long)r->base, (unsigned long long)(r->base + r->bytes - 1),
                kinds[r->kind], r->name);
        for (unsigned k = 0; k < m->boot.n_ranges; k++) {
            const struct boot_range *b = &m->boot.ranges[k];
            if (b->start >= r->base && b->start - r->base < r->bytes) {
                fprintf(f, "  0x%010llx-0x%010llx     %s\n", (unsigned long long)b->start, (unsigned long long)(b->end - 1), b->what);
            }
        }
    }
    if (fclose(f) != 0) {
        free(text);
        return NULL;
    }
    return text;
}

/* ---- running ---- */

struct signals {
    struct loop_fd fd;
    struct machine *m; /* ref */
    sigset_t before;
};

static void
signalled(void *arg, uint32_t events)
{
    (void)events;
    struct signals *s = arg;
    struct signalfd_siginfo si;
    if (read(s->fd.fd, &si, sizeof si) != sizeof si) {
        return;
    }
    if (si.ssi_signo == SIGWINCH) {
        ports_resize(s->m);
    } else if (si.ssi_signo == SIGTSTP) {
        console_stop();
    } else if (si.ssi_signo == SIGCONT) {
        console_continue();
    } else {
        machine_ask_end(s->m, MACHINE_OFF, MACHINE_BY_SIGNAL, 0, (int)si.ssi_signo);
    }
}

static int
signals_take(struct signals *s, struct machine *m, struct err *e)
{
    sigset_t ours;
    sigemptyset(&ours);
    for (unsigned i = 0; i < ARRAY_LEN(signals_); i++) {
        sigaddset(&ours, signals_[i]);
    }
    const int fd = signalfd(-1, &ours, SFD_CLOEXEC | SFD_NONBLOCK);
    if (fd < 0) {
        return err_set(e, -errno, "signals");
    }
    *s = (struct signals){.fd = {.fd = fd, .ready = signalled, .arg = s}, .m = m};
    const int r = loop_add(m->loop, &s->fd, 1);
    if (r < 0) {
        close(fd);
        return err_set(e, r, "signals");
    }
    pthread_sigmask(SIG_BLOCK, &ours, &s->before);
    return 0;
}

static void
signals_give_back(struct signals *s)
{
    loop_remove(s->m->loop, &s->fd);
    close(s->fd.fd);
    pthread_sigmask(SIG_SETMASK, &s->before, NULL);
}

/* From power-on to off, or to the next power-on. */
static int
run_once(struct machine *m, struct err *e)
{
    for (unsigned i = m->n_devices; i-- > 0;) {
        if (m->devices[i]->type->reset != NULL) {
            m->devices[i]->type->reset(m->devices[i]); /* the interrupt controller comes last */
        }
    }
    harts_reset(m);
    const int r = harts_start(m, e);
    if (r == 0) {
        machine_pause_wait(m); /* if it is held, whoever is called back by the loop finds it standing */
        loop_run(m->loop);
        harts_stop(m);
    }
    pause_power_off(m);
    return r;
}

/* Clients of the control sockets hear how it ended, in QEMU's words (QAPI, ShutdownCause). */
static void
tell_end(struct machine *m)
{
    static const char *const off[] = {
        [MACHINE_BY_GUEST] = "guest-shutdown", [MACHINE_BY_CONSOLE] = "host-ui", [MACHINE_BY_CONTROL] = "host-qmp-quit",
        [MACHINE_BY_SIGNAL] = "host-signal",
    };
    static const char *const reset[] = {
        [MACHINE_BY_GUEST] = "guest-reset", [MACHINE_BY_CONSOLE] = "host-ui", [MACHINE_BY_CONTROL] = "host-qmp-system-reset",
    };
    const bool again = atomic_load(&m->ending) == MACHINE_REBOOT, guest = m->ended_by == MACHINE_BY_GUEST;
    qmp_tell_end(m->qmp, again, guest, again ? reset[m->ended_by] : off[m->ended_by]);
}

int
machine_run(struct machine *m, struct machine_end *end, struct err *e)
{
    struct signals signals;
    m->started_ns = nondet_mono_ns();
    m->pid = getpid();
    int r = signals_take(&signals, m, e);
    if (r < 0) {
        return r;
    }
    const struct console_config console = {
        .in = m->cfg.console_in,
        .out = m->cfg.console_out,
        .out_own = m->console_own,
        .escape = m->cfg.console_escape,
        .log = m->cfg.console_in >= 0 ? m->cfg.console_log : -1,
        .command = console_command,
        .monitor = console_monitor,
        .arg = m,
    };
    m->console = console_new(m->loop, &m->line, &console, e);
    m->console_own = -1;
    if (m->console == NULL) {
        r = -ENOMEM;
        goto give_back;
    }
    r = ports_start(m, &console, e);
    if (r < 0) {
        goto free_console;
    }
    m->qmp = qmp_new(m, m->cfg.control, m->cfg.n_control, e);
    if (m->qmp == NULL) {
        r = -ENOMEM;
        goto stop_ports;
    }
    if (m->cfg.gdb) {
        m->debugger = debugger_new(m, m->cfg.gdb_fd, m->cfg.gdb_waits, e);
        if (m->debugger == NULL) {
            r = -ENOMEM;
            goto free_qmp;
        }
    }
    r = sandbox_lock(&m->sandbox, &m->cfg, e);
    while (r == 0) {
        r = run_once(m, e);
        if (r == 0) {
            tell_end(m);
        }
        if (r < 0 || atomic_load(&m->ending) != MACHINE_REBOOT) {
            break;
        }
        atomic_store(&m->ending, MACHINE_GOES_ON);
        r = load(m, e);
        if (r < 0) {
            break;
        }
    }
    *end = m->end;
    debugger_free(m->debugger);
    m->debugger = NULL;

free_qmp:
    qmp_free(m->qmp);
    m->qmp = NULL;

stop_ports:
    ports_stop(m);

free_console:
    console_free(m->console);

give_back:
    signals_give_back(&signals);
    return r;
}
