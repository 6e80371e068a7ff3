/*
 * vm_main.c - doppel-vm: what `doppel boot` executes
 *
 * Exit status: 0 when the guest switches off, or the code that it gives the test finisher (1 for one that a status cannot hold); 125
 * doppel failed, 126 a file cannot be used, 127 there is none. A signal that ends the machine ends doppel, too.
 */
#include "cli/cli.h"
#include "cli/cpu_model.h"
#include "cli/vm_control.h"
#include "cli/vm_ctl.h"
#include "cli/vm_drive.h"
#include "cli/vm_net.h"

#include "base/check.h"
#include "base/local.h"
#include "device/virtio_devices.h"
#include "isa/priv.h"
#include "machine/console.h"
#include "debug/gdb.h"
#include "machine/fdt.h"
#include "machine/machine.h"
#include "memory/physmap.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define MEMORY_MIN (UINT64_C(4) << 20)

struct boot_options {
    struct machine_config cfg;
    const char *shown; /* the option being taken, for messages */
    const char *dump_dtb, *serial, *gdb;
    char name[CONTROL_NAME_MAX + 1]; /* "": none was given */
    char *qmp; /* own: a path for one more control socket; or NULL */
    bool qmp_waits;
    const char *net_path; /* of the network's socket, if we have made one */
    struct keeper keeper;
    bool no_sandbox, dump_map, help, firmware_in_flash;
};

/* 126 or 127, for a file that open() refused. */
static int
file_error(const char *what, const char *path, int err)
{
    cli_error(CMD_boot, "%s: %s: %s", what, path, strerror(err));
    return err == ENOENT ? EXIT_NOT_FOUND : EXIT_CANNOT_EXECUTE;
}

/* ---- options ---- */

/* A number of bytes, with k, m or g behind it; of MiB, if it would be less than one and `mib` is set. */
static int
parse_bytes(const struct boot_options *o, const char *text, bool mib, uint64_t *bytes)
{
    char *end;
    errno = 0;
    uint64_t v = strtoull(text, &end, 0);
    const char c = (char)tolower((unsigned char)*end);
    unsigned shift = c == 'k' ? 10 : c == 'm' ? 20 : c == 'g' ? 30 : 0;
    end += shift != 0;
    if (mib && shift == 0 && v < UINT64_C(1) << 20) {
        shift = 20;
    }
    if (errno != 0 || end == text || *end != 0 || !isdigit((unsigned char)*text) || v << shift >> shift != v) {
        return cli_error(CMD_boot, "%s: not a number: %s", o->shown, text);
    }
    *bytes = v << shift;
    return 0;
}

static int
parse_memory(struct boot_options *o, const char *text)
{
    uint64_t v = 0;
    const int r = parse_bytes(o, text, true, &v); /* QEMU's -m 512 */
    if (r == 0 && (v < MEMORY_MIN || v > PHYSMAP_RAM_MAX || v % PHYSMAP_PAGE != 0)) {
        return cli_error(CMD_boot, "%s: from 4M to 64G, whole pages of 4K: %s", o->shown, text);
    }
    o->cfg.ram_bytes = v;
    return r;
}

static int
parse_smp(struct boot_options *o, const char *text)
{
    char *end;
    const unsigned long n = strtoul(text, &end, 10);
    if (*end != 0 || !isdigit((unsigned char)*text) || n < 1 || n > MACHINE_HARTS_MAX) {
        return cli_error(CMD_boot, "%s: from 1 to %d: %s", o->shown, MACHINE_HARTS_MAX, text);
    }
    o->cfg.n_harts = (unsigned)n;
    return 0;
}

/* sv39, sv48 and sv57 are ours, the rest is what programs may have, too. */
static int
parse_cpu(struct boot_options *o, const char *text)
{
    static const struct {
        const char *name;
        uint32_t modes;
    } sizes[] = {{"sv39", 0}, {"sv48", 1u << SATP_SV48}, {"sv57", 1u << SATP_SV48 | 1u << SATP_SV57}};
    char rest[256] = "";
    size_t n = 0;
    o->cfg.satp_modes = 0;
    for (const char *at = text; *at != 0;) {
        const size_t len = strcspn(at, ",");
        unsigned i = 0;
        while (i < ARRAY_LEN(sizes) && (strlen(sizes[i].name) != len || memcmp(sizes[i].name, at, len) != 0)) {
            i++;
        }
        if (i < ARRAY_LEN(sizes)) {
            o->cfg.satp_modes |= sizes[i].modes;
        } else {
            n += (size_t)snprintf(rest + n, sizeof rest - n, "%s%.*s", n > 0 ? "," : "", (int)len, at);
            if (n >= sizeof rest) {
                return cli_error(CMD_boot, "%s: too long", o->shown);
            }
        }
        at += len + (at[len] == ',');
    }
    struct err e = {""};
    if (n > 0 && cpu_model_parse(rest, &o->cfg.exts, &e) != 0) {
        return cli_error(CMD_boot, "%s: %s", o->shown, e.text);
    }
    return 0;
}

/* A folder for the guest, by its tag. */
static int
add_share(struct boot_options *o, const char *dir, const char *tag, bool read_only)
{
    struct machine_share share = {.tag = tag, .read_only = read_only};
    if (*tag == 0 || strlen(tag) > VIRTIO_9P_TAG_MAX) {
        return cli_error(CMD_boot, "%s: a tag of 1 to %d bytes: %s", o->shown, VIRTIO_9P_TAG_MAX, tag);
    }
    if (o->cfg.n_shares == MACHINE_SHARES_MAX) {
        return cli_error(CMD_boot, "%s: at most %d folders", o->shown, MACHINE_SHARES_MAX);
    }
    share.fd = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (share.fd < 0) {
        return file_error(o->shown, dir, errno);
    }
    o->cfg.shares[o->cfg.n_shares++] = share;
    return 0;
}

/* "DIR:TAG", "DIR:TAG:ro" */
static int
parse_share(struct boot_options *o, char *text)
{
    char *colon = strrchr(text, ':');
    const bool read_only = colon != NULL && strcmp(colon, ":ro") == 0;
    if (read_only) {
        *colon = 0;
        colon = strrchr(text, ':');
    }
    if (colon == NULL || colon == text) {
        return cli_error(CMD_boot, "%s: DIR:TAG or DIR:TAG:ro: %s", o->shown, text);
    }
    *colon = 0;
    return add_share(o, text, colon + 1, read_only);
}

/* "local,path=DIR,mount_tag=TAG", "readonly=on"; and what QEMU needs besides and we do not. */
static int
parse_virtfs(struct boot_options *o, char *text)
{
    const char *dir = NULL, *tag = "";
    bool local = false, read_only = false;
    for (char *word; (word = strsep(&text, ",")) != NULL;) {
        if (strncmp(word, "path=", 5) == 0) {
            dir = word + 5;
        } else if (strncmp(word, "mount_tag=", 10) == 0) {
            tag = word + 10;
        } else if (strcmp(word, "readonly=on") == 0 || strcmp(word, "readonly") == 0) {
            read_only = true;
        } else if (strcmp(word, "local") == 0) {
            local = true;
        } else if (strcmp(word, "readonly=off") != 0 && strcmp(word, "security_model=none") != 0 && strncmp(word, "id=", 3) != 0) {
            return cli_error(CMD_boot, "%s: unknown: %s", o->shown, word);
        }
    }
    if (!local || dir == NULL) {
        return cli_error(CMD_boot, "%s: local,path=DIR,mount_tag=TAG", o->shown);
    }
    return add_share(o, dir, tag, read_only);
}

/* A socket that listens at a path, in place of one that nobody listens at any more. */
static int
listen_at(struct boot_options *o, const char *path)
{
    const int fd = local_listen(path, SOCK_NONBLOCK);
    return fd == -EINVAL || fd == -ENAMETOOLONG ? -cli_error(CMD_boot, "%s: a path of at most %d bytes: %s", o->shown, LOCAL_PATH_MAX, path)
           : fd < 0                             ? -file_error(o->shown, path, -fd)
                                                : fd;
}

/* "stdio", "file:PATH", "unix:PATH", "none", and ",name=NAME" after it */
static int
parse_console(struct boot_options *o, char *text)
{
    struct machine_port_config port = {.listener = -1, .in = -1, .out = -1};
    char *name = strstr(text, ",name=");
    if (name != NULL) {
        *name = 0;
        port.name = name + strlen(",name=");
    }
    if (o->cfg.n_ports == MACHINE_PORTS_MAX) {
        return cli_error(CMD_boot, "%s: at most %d ports", o->shown, MACHINE_PORTS_MAX);
    }
    if (strcmp(text, "stdio") == 0) {
        o->serial = o->serial != NULL ? o->serial : "none";
        port.in = STDIN_FILENO;
        port.out = STDOUT_FILENO;
        port.escape = isatty(STDIN_FILENO);
    } else if (strncmp(text, "unix:", 5) == 0) {
        port.listener = listen_at(o, text + 5);
        if (port.listener < 0) {
            return -port.listener;
        }
    } else {
        const char *path = strcmp(text, "none") == 0 ? "/dev/null" : strncmp(text, "file:", 5) == 0 && text[5] != 0 ? text + 5 : NULL;
        if (path == NULL) {
            return cli_error(CMD_boot, "%s: stdio, file:PATH, unix:PATH or none: %s", o->shown, text);
        }
        port.out = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0666);
        if (port.out < 0) {
            return file_error(o->shown, path, errno);
        }
    }
    o->cfg.ports[o->cfg.n_ports++] = port;
    return 0;
}

/* "PATH", "PATH,cid=N" */
static int
parse_vsock(struct boot_options *o, char *text)
{
    char *cid = strstr(text, ",cid="), *end = NULL;
    o->cfg.vsock_cid = 3;
    if (cid != NULL) {
        *cid = 0;
        o->cfg.vsock_cid = strtoul(cid + 5, &end, 10);
        if (*end != 0 || !isdigit((unsigned char)cid[5]) || o->cfg.vsock_cid < 3 || o->cfg.vsock_cid >= UINT32_MAX) {
            return cli_error(CMD_boot, "%s: a number from 3 on: %s", o->shown, cid + 5);
        }
    }
    if (o->cfg.vsock_path != NULL) {
        return cli_error(CMD_boot, "%s: one is enough", o->shown);
    }
    o->cfg.vsock_path = text;
    o->cfg.vsock_listener = listen_at(o, text);
    return o->cfg.vsock_listener < 0 ? -o->cfg.vsock_listener : 0;
}

/* PATH, or as QEMU has it: unix:PATH,server=on,wait=off */
static int
parse_qmp(struct boot_options *o, const char *text)
{
    char *p = strdup(text);
    CHECK(p != NULL);
    o->qmp = p;
    if (strncmp(p, "unix:", 5) != 0) {
        return strncmp(p, "tcp:", 4) == 0 ? cli_error(CMD_boot, "%s: unix:PATH only: %s", o->shown, text) : 0;
    }
    memmove(p, p + 5, strlen(p + 5) + 1);
    bool server = false, waits = true;
    char *rest = p + strcspn(p, ",");
    while (*rest == ',') {
        *rest++ = 0;
        const size_t n = strcspn(rest, ",");
        const bool on = (n == 6 && memcmp(rest, "server", n) == 0) || (n == 9 && memcmp(rest, "server=on", n) == 0);
        const bool no_wait = (n == 8 && memcmp(rest, "wait=off", n) == 0) || (n == 6 && memcmp(rest, "nowait", n) == 0);
        if (!on && !no_wait && !(n == 7 && memcmp(rest, "wait=on", n) == 0)) {
            return cli_error(CMD_boot, "%s: server=on, wait=on and wait=off are known: %s", o->shown, text);
        }
        server |= on;
        waits &= !no_wait;
        rest += n;
    }
    if (!server || *p == 0) {
        return cli_error(CMD_boot, "%s: doppel is the server: unix:PATH,server=on[,wait=off]: %s", o->shown, text);
    }
    o->qmp_waits = waits;
    return 0;
}

static int
parse_engine(struct boot_options *o, const char *text)
{
    const int kind = engine_kind_by_name(text);
    if (kind < 0) {
        return cli_error(CMD_boot, "%s: adaptive, switch, indirect, predecoded or threaded: %s", o->shown, text);
    }
    o->cfg.engine = (enum engine_kind)kind;
    return 0;
}

static int
read_dtb(struct boot_options *o, const char *path)
{
    FILE *f = fopen(path, "rbe");
    if (f == NULL) {
        return file_error(o->shown, path, errno);
    }
    char *bytes = malloc(MACHINE_FDT_MAX + 1);
    CHECK(bytes != NULL);
    const size_t n = fread(bytes, 1, MACHINE_FDT_MAX + 1, f);
    const bool bad = ferror(f) || n == 0 || n > MACHINE_FDT_MAX;
    fclose(f);
    if (bad) {
        cli_error(CMD_boot, "%s: %s: from 1 byte to 1 MiB can be a device tree", o->shown, path);
        return EXIT_CANNOT_EXECUTE;
    }
    o->cfg.dtb = bytes; /* until the end */
    o->cfg.dtb_bytes = n;
    return 0;
}

/* An image that boot.c will read: there is one, to tell what is missing from what is wrong. */
static int
take_image(struct boot_options *o, const char *path, struct boot_image *image)
{
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return file_error(o->shown, path, errno);
    }
    image->path = path;
    image->fd1 = fd + 1; /* until the end: a machine that boots again reads it again */
    return 0;
}

static int
take(struct boot_options *o, enum opt_id id, const char *value)
{
    switch (id) {
    case OPT_boot_kernel:
        return take_image(o, value, &o->cfg.kernel);
    case OPT_boot_initrd:
        return take_image(o, value, &o->cfg.initrd);
    case OPT_boot_firmware:
        o->firmware_in_flash = strcmp(value, "none") == 0;
        if (o->firmware_in_flash) {
            return 0;
        }
        return take_image(o, value, &o->cfg.firmware);
    case OPT_boot_append:
        o->cfg.append = value;
        return 0;
    case OPT_boot_dtb:
        return read_dtb(o, value);
    case OPT_boot_memory:
        return parse_memory(o, value);
    case OPT_boot_machine:
        return strcmp(value, "virt") == 0 ? 0 : cli_error(CMD_boot, "%s: virt is the only machine, and has no options: %s", o->shown, value);
    case OPT_boot_nographic:
        return 0;
    case OPT_boot_smp:
        return parse_smp(o, value);
    case OPT_boot_cpu:
        return parse_cpu(o, value);
    case OPT_boot_disk:
        return vm_disk_parse(&o->cfg, o->shown, (char *)(uintptr_t)value);
    case OPT_boot_drive:
        return vm_drive_parse(&o->cfg, o->shown, (char *)(uintptr_t)value);
    case OPT_boot_net:
        return vm_net_parse(&o->cfg.net, o->shown, (char *)(uintptr_t)value, &o->net_path);
    case OPT_boot_share:
        return parse_share(o, (char *)(uintptr_t)value);
    case OPT_boot_virtfs:
        return parse_virtfs(o, (char *)(uintptr_t)value);
    case OPT_boot_suite:
    case OPT_boot_packages:
    case OPT_boot_size:
    case OPT_boot_fresh:
    case OPT_boot_mirror:
        return cli_error(CMD_boot, "%s: only behind `doppel boot debian`", o->shown);
    case OPT_boot_balloon:
        o->cfg.balloon = true;
        return value != NULL ? parse_bytes(o, value, false, &o->cfg.balloon_bytes) : 0;
    case OPT_boot_vsock:
        return parse_vsock(o, (char *)(uintptr_t)value);
    case OPT_boot_console:
        return parse_console(o, (char *)(uintptr_t)value);
    case OPT_boot_console_log:
        o->cfg.console_log = open(value, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0666);
        return o->cfg.console_log >= 0 ? 0 : file_error(o->shown, value, errno);
    case OPT_boot_serial:
        o->serial = value;
        return 0;
    case OPT_boot_name:
        if (!control_name_ok(value)) {
            return cli_error(CMD_boot, "%s: letters, digits and -_.+:@, %d at most: %s", o->shown, CONTROL_NAME_MAX, value);
        }
        strcpy(o->name, value);
        prctl(PR_SET_NAME, value);
        return 0;
    case OPT_boot_qmp:
        return parse_qmp(o, value);
    case OPT_boot_gdb:
        o->gdb = value;
        return 0;
    case OPT_boot_wait:
        o->cfg.gdb_waits = true;
        return 0;
    case OPT_boot_engine:
        return parse_engine(o, value);
    case OPT_boot_no_sandbox:
        o->no_sandbox = true;
        return 0;
    case OPT_boot_dump_dtb:
        o->dump_dtb = value;
        return 0;
    case OPT_boot_dump_map:
        o->dump_map = true;
        return 0;
    default:
        o->help = true;
        return 0;
    }
}

static int
parse(struct boot_options *o, int argc, char **argv)
{
    struct opts walk = {.cmd = CMD_boot, .argc = argc, .argv = argv, .next = 1};
    int id;
    while ((id = opts_next(&walk)) >= 0) {
        o->shown = walk.shown;
        const int r = take(o, (enum opt_id)id, walk.value);
        if (r != 0) {
            return r;
        }
    }
    if (id == OPTS_ERROR) {
        return EXIT_DOPPEL;
    }
    if (walk.next < argc) {
        const char *word = argv[walk.next];
        return cli_error(CMD_boot, "unexpected argument %s: %s; see `doppel boot --help`", word,
                         strcmp(word, "debian") == 0 ? "it goes before the options" : "a kernel is --kernel's; the one guest by name is debian");
    }
    return 0;
}

static int
open_serial(struct boot_options *o)
{
    const char *s = o->serial != NULL ? o->serial : "stdio";
    o->cfg.console_in = -1;
    if (strcmp(s, "stdio") == 0 || strcmp(s, "mon:stdio") == 0) { /* QEMU's: with the monitor behind Ctrl-A c, as ours always is */
        o->cfg.console_in = STDIN_FILENO;
        o->cfg.console_out = STDOUT_FILENO;
        o->cfg.console_escape = isatty(STDIN_FILENO);
        return 0;
    }
    const char *path = strcmp(s, "none") == 0 || strcmp(s, "null") == 0 ? "/dev/null" : strncmp(s, "file:", 5) == 0 && s[5] != 0 ? s + 5 : NULL;
    if (path == NULL) {
        return cli_error(CMD_boot, "--serial: stdio, file:PATH or none: %s", s);
    }
    o->cfg.console_out = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0666);
    return o->cfg.console_out < 0 ? file_error("--serial", path, errno) : 0;
}

/* The machine's control sockets. One that was not asked for may be missing. */
static int
open_control(struct boot_options *o)
{
    struct err e = {""};
    struct machine_config *cfg = &o->cfg;
    const bool asked = o->name[0] != 0;
    if (!asked) {
        snprintf(o->name, sizeof o->name, "vm-%d", getpid());
    }
    cfg->name = o->name;
    const int folder = control_folder(true, &e);
    const int fd = folder >= 0 ? control_listen(folder, o->name, &e) : folder;
    if (fd >= 0) {
        cfg->control[cfg->n_control++] = fd;
    } else if (asked) {
        return cli_error(CMD_boot, "--name %s: %s", o->name, e.text);
    }
    if (o->qmp != NULL) {
        const int at = control_listen_at(o->qmp, &e);
        if (at < 0) {
            return cli_error(CMD_boot, "--qmp: %s", e.text);
        }
        cfg->control[cfg->n_control++] = at;
    }
    const char *const paths[] = {o->qmp, cfg->vsock_path, o->net_path};
    o->keeper = control_keep(folder, o->name, paths, ARRAY_LEN(paths), isatty(STDIN_FILENO) ? STDIN_FILENO : -1);
    if (folder >= 0) {
        close(folder);
    }
    struct pollfd p = {.fd = o->qmp_waits ? cfg->control[cfg->n_control - 1] : -1, .events = POLLIN};
    while (p.fd >= 0 && poll(&p, 1, -1) < 0 && errno == EINTR) {
    }
    return 0;
}

/* ---- what to do ---- */

static int
dump_dtb(const struct machine *m, const char *path)
{
    size_t n;
    const void *dtb = machine_dtb(m, &n);
    FILE *f = fopen(path, "wbe");
    if (f == NULL) {
        return file_error("--dump-dtb", path, errno);
    }
    const bool written = fwrite(dtb, 1, n, f) == n;
    const bool closed = fclose(f) == 0;
    return written && closed ? 0 : file_error("--dump-dtb", path, errno);
}

static int
dump_map(const struct machine *m)
{
    char *text = machine_map_text(m);
    CHECK(text != NULL);
    fputs(text, stdout);
    free(text);
    return fflush(stdout) == 0 ? 0 : cli_error(CMD_boot, "write to stdout: %s", strerror(errno));
}

/* Whatever ends doppel: the terminal is as it was. */
static void
crashed(int sig)
{
    console_restore();
    signal(sig, SIG_DFL);
    raise(sig);
}

static void
guard_terminal(void)
{
    static const int fatal[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT, SIGQUIT, SIGSYS};
    check_report = console_restore;
    for (unsigned i = 0; i < ARRAY_LEN(fatal); i++) {
        const struct sigaction sa = {.sa_handler = crashed, .sa_flags = SA_NODEFER};
        sigaction(fatal[i], &sa, NULL);
    }
}

/* escapes: what is typed comes from a terminal, through the console's eyes. */
static int
run(struct machine *m, struct keeper *keeper, bool escapes)
{
    struct err e = {""};
    struct machine_end end = {0};
    guard_terminal();
    if (escapes) {
        fprintf(stderr, "doppel boot: Ctrl-A x switches the machine off, Ctrl-A h helps\n");
    }
    signal(SIGPIPE, SIG_IGN);
    const int r = machine_run(m, &end, &e);
    control_release(keeper);
    if (r < 0) {
        return cli_error(CMD_boot, "%s", e.text);
    }
    if (end.signal != 0) {
        signal(end.signal, SIG_DFL);
        raise(end.signal);
    }
    return end.code == 0 || (end.code & 255) != 0 ? (int)(end.code & 255) : 1;
}

/* A guest holds one for each file of a shared folder that it knows: as many as we may have. */
static void
allow_descriptors(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
}

int
main(int argc, char **argv)
{
    struct boot_options o = {
        .cfg = {.n_harts = 1, .ram_bytes = UINT64_C(1) << 30, .engine = ENGINE_ADAPTIVE, .net = VM_NET_DEFAULT, .console_log = -1},
    };
    struct err e = {""};
    if (argc > 0 && strcmp(argv[0], "ps") == 0) {
        return vm_ps(argc, argv);
    }
    if (argc > 0 && strcmp(argv[0], "ctl") == 0) {
        return vm_ctl(argc, argv);
    }
    CHECK(cpu_model_parse("max", &o.cfg.exts, &e) == 0);
    int r = parse(&o, argc, argv);
    if (r != 0) {
        return r;
    }
    if (o.help) {
        cli_usage(CMD_boot);
        return 0;
    }
    r = open_serial(&o);
    if (r != 0) {
        return r;
    }
    if (o.cfg.kernel.path == NULL && o.cfg.flash[0].there) {
        (o.firmware_in_flash ? &o.cfg.firmware : &o.cfg.kernel)->at = MACHINE_FLASH_BASE;
    } else if (o.firmware_in_flash) {
        return cli_error(CMD_boot, "--firmware none: then it is in flash, as --drive if=pflash has it");
    } else if (o.cfg.kernel.path == NULL && o.cfg.firmware.path == NULL) {
        o.cfg.kernel = boot_embedded;
        if (o.cfg.append == NULL && !o.cfg.console_escape) {
            o.cfg.append = "quick"; /* nobody is there to be prompted */
        }
    }
    allow_descriptors();
    const bool dumps = o.dump_dtb != NULL || o.dump_map;
    o.cfg.sandbox = !dumps && !o.no_sandbox;
    if (o.no_sandbox) {
        fprintf(stderr, "doppel boot: no sandbox: a guest that breaks out of its machine has this user's files, network and programs\n");
    }
    r = dumps ? 0 : open_control(&o);
    if (r != 0) {
        return r;
    }
    if (o.cfg.gdb_waits && o.gdb == NULL) {
        return cli_error(CMD_boot, "-S: needs --gdb: nobody else lets the machine go");
    }
    if (o.gdb != NULL && !dumps) {
        o.cfg.gdb_fd = gdb_listen(o.gdb, &e);
        o.cfg.gdb = true;
        if (o.cfg.gdb_fd < 0) {
            return cli_error(CMD_boot, "%s", e.text);
        }
    }
    struct machine *m;
    r = machine_new(&o.cfg, &m, &e);
    if (r != 0) {
        cli_error(CMD_boot, "%s", e.text);
        return r == -ENOEXEC ? EXIT_CANNOT_EXECUTE : EXIT_DOPPEL;
    }
    r = o.dump_dtb != NULL ? dump_dtb(m, o.dump_dtb) : 0;
    r = r == 0 && o.dump_map ? dump_map(m) : r;
    if (r == 0 && !dumps) {
        bool escapes = o.cfg.console_escape;
        for (unsigned i = 0; i < o.cfg.n_ports; i++) {
            escapes |= o.cfg.ports[i].escape;
        }
        r = run(m, &o.keeper, escapes);
    }
    machine_free(m);
    return r;
}
