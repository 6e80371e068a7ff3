/*
 * procfs_text.c - contents of the files of /proc that show the guest
 *
 * proc(5); formats as Linux 6.12 on riscv64 writes them. maps, status and smaps begin with the host's own and keep what
 * is the guest's: which mappings it has, with its own permissions, and the names it knows.
 */
#include "process/procfs_impl.h"

#include "base/check.h"
#include "process/map.h"
#include "process/signal_impl.h"
#include "process/syscall.h"

#include <ctype.h>
#include <errno.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/statfs.h>
#include <sys/utsname.h>

static int
flush(struct proc_text *o)
{
    for (size_t done = 0; done < o->len;) {
        int64_t n = host_syscall(SYS_write, o->fd, o->buf + done, o->len - done);
        if (n < 0) {
            return (int)n;
        }
        done += (size_t)n;
    }
    o->len = 0;
    return 0;
}

static void
put_bytes(struct proc_text *o, const char *s, size_t n)
{
    while (n > 0) {
        size_t part = n < sizeof o->buf - o->len ? n : sizeof o->buf - o->len;
        memcpy(o->buf + o->len, s, part);
        o->len += part;
        s += part;
        n -= part;
        if (o->len == sizeof o->buf && flush(o) < 0) {
            o->len = 0;
        }
    }
}

__attribute__((format(printf, 2, 3))) static void
put(struct proc_text *o, const char *fmt, ...)
{
    char line[PATH_MAX + 512];
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(line, sizeof line, fmt, ap);
    va_end(ap);
    put_bytes(o, line, n < (int)sizeof line ? (size_t)n : sizeof line - 1);
}

/* Lines of a host file. */
struct lines {
    int fd;
    size_t at, len;
    char buf[4096];
};

/* The next line, without its newline, cut to cap; false at the end. */
static bool
next_line(struct lines *l, char *line, size_t cap)
{
    size_t n = 0;
    bool any = false;
    for (;;) {
        if (l->at == l->len) {
            int64_t got = host_syscall(SYS_read, l->fd, l->buf, sizeof l->buf);
            if (got <= 0) {
                break;
            }
            l->at = 0;
            l->len = (size_t)got;
        }
        char c = l->buf[l->at++];
        any = true;
        if (c == '\n') {
            break;
        }
        if (n + 1 < cap) {
            line[n++] = c;
        }
    }
    line[n] = '\0';
    return any;
}

static int64_t
open_host(const struct vfs_at *at)
{
    return host_syscall(SYS_openat, at->dir, at->name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
}

/* One line of maps: a part of a host mapping that has one look for the guest. */
static void
put_mapping(struct proc_text *o, gva_t start, gva_t end, const struct map_range *r, uint64_t off, const char *rest,
            const char *name)
{
    const char *kind = r->kind == MAP_KIND_HEAP ? "[heap]" : r->kind == MAP_KIND_STACK ? "[stack]" : "[vdso]";
    char head[160];
    int n = snprintf(head, sizeof head, "%08llx-%08llx %c%c%c%c %08llx %s ", (unsigned long long)start,
                     (unsigned long long)end, r->prot & PROT_READ ? 'r' : '-', r->prot & PROT_WRITE ? 'w' : '-',
                     r->prot & PROT_EXEC ? 'x' : '-', r->shared ? 's' : 'p', (unsigned long long)off, rest);
    if (r->kind != MAP_KIND_NORMAL) {
        name = kind;
    }
    put(o, "%-*s%s\n", name[0] != '\0' ? (n > 73 ? n : 73) : n, head, name);
}

/*
 * Names that only the monitor's own mappings have do not appear: their ranges are not the guest's. Of another guest
 * process we know no more than the range that its memory lies in.
 */
static int64_t
write_maps(struct task *t, const struct vfs_at *at, struct proc_text *o, bool details)
{
    struct map *map = t->proc->map;
    struct lines l = {.fd = (int)open_host(at)};
    char line[PATH_MAX + 256], path[PATH_MAX];
    bool ours = false, own = at->pid == PROC_OWN;
    if (l.fd < 0) {
        return l.fd;
    }
    while (next_line(&l, line, sizeof line)) {
        unsigned long long start, end, off, ino;
        char perms[5], dev[16];
        int name_at = 0;
        if (sscanf(line, "%llx-%llx %4s %llx %15s %llu %n", &start, &end, perms, &off, dev, &ino, &name_at) < 6) {
            if (details && ours) {
                put(o, "%s\n", line);
            }
            continue;
        }
        ours = false;
        uint64_t base = guest_base;
        if (end <= base || start >= base + GUEST_TOP) {
            continue;
        }
        char rest[64];
        snprintf(rest, sizeof rest, "%s %llu", dev, ino);
        snprintf(path, sizeof path, "%s", ino != 0 && name_at > 0 ? line + name_at : "");
        char guest[PATH_MAX];
        if (path[0] == '/' && vfs_of(t)->view == VIEW_USER && vfs_guest_path(vfs_of(t), path, guest)) {
            strcpy(path, guest);
        }
        struct map_range r;
        if (!own) {
            put(o, "%08llx-%08llx %s %08llx %s %s\n", start - base, end - base, perms, off, rest, path);
            continue;
        }
        gva_t from = start - base, to = end - base;
        for (gva_t a = from; a < to && map_next(map, a, &r) && r.start < to; a = r.end) {
            gva_t s = r.start > from ? r.start : from, e = r.end < to ? r.end : to;
            put_mapping(o, s, e, &r, ino != 0 ? off + (s - from) : 0, rest, path);
            ours = true;
            if (details) { /* the details that follow are those of the whole */
                break;
            }
        }
    }
    host_syscall(SYS_close, l.fd);
    return 0;
}

static void
put_guest(struct proc_text *o, gva_t from, gva_t to)
{
    char part[1024];
    while (from < to) {
        size_t n = to - from < sizeof part ? (size_t)(to - from) : sizeof part;
        if (guest_read(part, from, n) < 0) {
            return;
        }
        put_bytes(o, part, n);
        from += n;
    }
}

/* Of another process no fake identity is known. */
static void
put_other_ids(struct proc_text *o, const char *line, uint32_t own)
{
    unsigned id[4];
    if (sscanf(line + 4, "%u %u %u %u", &id[0], &id[1], &id[2], &id[3]) != 4) {
        return;
    }
    put(o, "%.4s", line);
    for (int i = 0; i < 4; i++) {
        put(o, "\t%u", fake_foreign_id(id[i], own));
    }
    put(o, "\n");
}

/* The guest's view of a set of signals in a line that begins with `name`; false if the line is another. */
static bool
put_signals(struct task *t, int tid, struct proc_text *o, const char *line)
{
    sigset64 set = strtoull(line + 7, NULL, 16);
    if (strncmp(line, "SigBlk:", 7) == 0) {
        /* What only the monitor knows of other threads is not theirs to tell. */
        set = tid == t->tid ? (set & ~SYNC_SIGNALS) | t->sync_mask : set;
    } else if (strncmp(line, "SigIgn:", 7) == 0 || strncmp(line, "SigCgt:", 7) == 0) {
        const bool caught = line[3] == 'C';
        set = 0;
        pthread_mutex_lock(&t->sighand->lock);
        for (int sig = 1; sig <= GUEST_NSIG; sig++) {
            const uint64_t handler = signal_action(t->sighand, sig)->handler;
            set |= (caught ? handler > 1 : handler == 1) ? SIG_BIT(sig) : 0;
        }
        pthread_mutex_unlock(&t->sighand->lock);
    } else {
        return false;
    }
    put(o, "%.7s\t%016llx\n", line, (unsigned long long)set);
    return true;
}

/* A line of identity and capabilities, which --fake-root plays; false if the line is another. */
static bool
put_identity(struct proc_text *o, const struct fake_ids *ids, const char *line)
{
    const bool uid = strncmp(line, "Uid:", 4) == 0;
    if (uid || strncmp(line, "Gid:", 4) == 0) {
        const uint32_t *id = uid ? ids->uid : ids->gid;
        put(o, "%.4s\t%u\t%u\t%u\t%u\n", line, id[FAKE_REAL], id[FAKE_EFFECTIVE], id[FAKE_SAVED], id[FAKE_FS]);
    } else if (strncmp(line, "Groups:", 7) == 0) {
        put(o, "Groups:\t");
        for (uint32_t i = 0; i < ids->ngroups && i < FAKE_NGROUPS; i++) {
            put(o, "%u ", ids->groups[i]);
        }
        put(o, "\n");
    } else if (strncmp(line, "CapInh:", 7) == 0) {
        put(o, "CapInh:\t%016llx\n", (unsigned long long)ids->cap_inheritable);
    } else if (strncmp(line, "CapPrm:", 7) == 0) {
        put(o, "CapPrm:\t%016llx\n", (unsigned long long)ids->cap_permitted);
    } else if (strncmp(line, "CapEff:", 7) == 0) {
        put(o, "CapEff:\t%016llx\n", (unsigned long long)ids->cap_effective);
    } else {
        return false;
    }
    return true;
}

static int64_t
write_status(struct task *t, const struct vfs_at *at, struct proc_text *o)
{
    const struct vfs *v = vfs_of(t);
    const bool own = at->pid == PROC_OWN;
    struct fake_ids ids;
    struct lines l = {.fd = (int)open_host(at)};
    char line[1024];
    int tid = 0;
    if (l.fd < 0) {
        return l.fd;
    }
    if (v->fake) {
        ids = *fakeroot_ids(t);
    }
    while (next_line(&l, line, sizeof line)) {
        if (own && (put_signals(t, tid, o, line) || (v->fake && put_identity(o, &ids, line)))) {
            continue;
        }
        sscanf(line, "Pid: %d", &tid);
        const bool uid = strncmp(line, "Uid:", 4) == 0;
        if (!own && (uid || strncmp(line, "Gid:", 4) == 0)) {
            put_other_ids(o, line, uid ? v->host_uid : v->host_gid);
        } else {
            put(o, "%s\n", line);
        }
    }
    host_syscall(SYS_close, l.fd);
    return 0;
}

/* fs/proc/base.c: the host's lines, but for the limits that are kept here. */
static int64_t
write_limits(struct task *t, const struct vfs_at *at, struct proc_text *o)
{
    static const struct {
        const char *name, *unit;
        unsigned res;
    } ours[] = {
        {"Max data size", "bytes", RLIMIT_DATA},
        {"Max open files", "files", RLIMIT_NOFILE},
        {"Max address space", "bytes", RLIMIT_AS},
    };
    struct lines l = {.fd = (int)open_host(at)};
    char line[256];
    if (l.fd < 0) {
        return l.fd;
    }
    while (next_line(&l, line, sizeof line)) {
        size_t i = 0;
        struct rlimit rl;
        while (i < ARRAY_LEN(ours) && strncmp(line, ours[i].name, strlen(ours[i].name)) != 0) {
            i++;
        }
        if (i == ARRAY_LEN(ours) || limit_get(t, ours[i].res, &rl) < 0) {
            put(o, "%s\n", line);
            continue;
        }
        put(o, "%-25s ", ours[i].name);
        for (int hard = 0; hard < 2; hard++) {
            const uint64_t v = hard ? rl.rlim_max : rl.rlim_cur;
            if (v == RLIM_INFINITY) {
                put(o, "%-20s ", "unlimited");
            } else {
                put(o, "%-20llu ", (unsigned long long)v);
            }
        }
        put(o, "%-10s\n", ours[i].unit);
    }
    host_syscall(SYS_close, l.fd);
    return 0;
}

static int64_t
write_uname(struct task *t, struct proc_text *o, enum proc_node node)
{
    struct utsname u;
    int64_t r = uname_get(t, &u);
    if (node == PROC_VERSION) {
        put(o, "%s version %s (doppel) %s\n", u.sysname, u.release, u.version);
    } else {
        put(o, "%s\n", node == PROC_OSRELEASE ? u.release : u.version);
    }
    return r;
}

/* Spaces and the like in a path of mounts and mountinfo are octal escapes. */
static void
put_escaped(struct proc_text *o, const char *s)
{
    for (; *s != '\0'; s++) {
        if (strchr(" \t\n\\", *s) != NULL) {
            put(o, "\\%03o", (unsigned char)*s);
        } else {
            put_bytes(o, s, 1);
        }
    }
}

static const char *
fs_type(const char *host)
{
    static const struct {
        int64_t magic;
        const char *type;
    } known[] = {
        {0x9fa0, "proc"},       {0x62656572, "sysfs"},    {0x01021994, "tmpfs"}, {0xef53, "ext4"},
        {0x1cd1, "devpts"},     {0x58465342, "xfs"},      {0x6969, "nfs"},       {0x9123683e, "btrfs"},
        {0x19800202, "mqueue"}, {0x794c7630, "overlay"},  {0x2fc12fc1, "zfs"},   {0x65735546, "fuse"},
        {0xf2f52010, "f2fs"},   {0x01021997, "9p"},       {0x858458f6, "ramfs"},
    };
    struct statfs sf;
    if (host_syscall(SYS_statfs, host[0] != '\0' ? host : "/", &sf) == 0) {
        for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
            if (known[i].magic == (int64_t)sf.f_type) {
                return known[i].type;
            }
        }
    }
    return "none";
}

static void
put_mount(struct proc_text *o, bool info, unsigned id, const char *place, const char *host, bool scratch, bool read_only)
{
    struct stat st = {0};
    const char *type = scratch ? "tmpfs" : fs_type(host), *rw = read_only ? "ro" : "rw";
    const char *source = strcmp(type, "proc") == 0 || strcmp(type, "sysfs") == 0 || strcmp(type, "tmpfs") == 0 ||
                                 strcmp(type, "devpts") == 0
                             ? type
                             : "/dev/root";
    host_syscall(SYS_newfstatat, AT_FDCWD, host[0] != '\0' ? host : "/", &st, 0);
    if (info) {
        put(o, "%u %u %u:%u / ", id + 20, id == 0 ? 1 : 20, (unsigned)(st.st_dev >> 8 & 0xfff), (unsigned)(st.st_dev & 0xff));
        put_escaped(o, place);
        put(o, " %s,relatime - %s %s %s\n", rw, type, source, rw);
    } else {
        put(o, "%s ", source);
        put_escaped(o, place);
        put(o, " %s %s,relatime 0 0\n", type, rw);
    }
}

/* A device of /dev: of a container's that is no mount, and df(1) would take it for the file system that holds it. */
static bool
is_device(const struct vfs_mount *m)
{
    return m->kind == MOUNT_BIND && !m->is_dir && strncmp(m->guest, "/dev/", 5) == 0 && strcmp(m->guest, m->host) == 0;
}

static int64_t
write_mounts(struct task *t, struct proc_text *o, bool info)
{
    struct vfs *v = vfs_of(t);
    unsigned n = mount_count(v->table), id = 0;
    size_t root = strlen(v->root_guest);
    put_mount(o, info, id++, "/", v->true_root_host, false, false);
    for (unsigned i = 0; i < n; i++) {
        const struct vfs_mount *m = &v->table->m[i];
        if (mount_is_live(m) && !is_device(m) && strncmp(m->guest, v->root_guest, root) == 0 && m->guest[root] == '/') {
            put_mount(o, info, id++, m->guest + root, m->host, m->kind == MOUNT_TMPFS, m->read_only);
        }
    }
    return 0;
}

/* arch/riscv/kernel/cpu.c. One block for each processor that the process may run on. */
static int64_t
write_cpuinfo(struct task *t, struct proc_text *o)
{
    static const struct {
        unsigned ext;
        char letter;
    } letters[] = {{EXT_I, 'i'}, {EXT_M, 'm'}, {EXT_ZAAMO, 'a'}, {EXT_F, 'f'}, {EXT_D, 'd'}, {EXT_ZCA, 'c'}, {EXT_V, 'v'}};
    char isa[512] = "rv64";
    cpu_set_t set;
    CPU_ZERO(&set);
    if (host_syscall(SYS_sched_getaffinity, 0, sizeof set, &set) < 0) {
        CPU_SET(0, &set);
    }
    size_t n = strlen(isa);
    for (unsigned pass = 0; pass < 2; pass++) { /* single letters first */
        if (pass == 0) {
            for (size_t i = 0; i < sizeof letters / sizeof letters[0]; i++) {
                if (isa_ext_enabled(letters[i].ext, t->proc->opt->exts)) {
                    isa[n++] = letters[i].letter;
                }
            }
            continue;
        }
        for (unsigned e = 0; e < EXT_COUNT; e++) {
            const char *name = isa_ext_name(e);
            if (strlen(name) > 1 && isa_ext_enabled(e, t->proc->opt->exts) && n + strlen(name) + 2 < sizeof isa) {
                n += (size_t)snprintf(isa + n, sizeof isa - n, "_%s", name);
            }
        }
    }
    isa[n] = '\0';
    for (unsigned cpu = 0; cpu < CPU_SETSIZE; cpu++) {
        if (CPU_ISSET(cpu, &set)) {
            put(o, "processor\t: %u\nhart\t\t: %u\nisa\t\t: %s\nmmu\t\t: sv39\nmvendorid\t: 0x0\nmarchid\t\t: 0x0\n"
                "mimpid\t\t: 0x0\nhart isa\t: %s\n\n", cpu, cpu, isa, isa);
        }
    }
    return 0;
}

int64_t
procfs_write(struct task *t, const struct vfs_at *at, struct proc_text *o)
{
    const struct process *p = t->proc;
    int64_t r = 0;
    switch (at->node) {
    case PROC_MAPS:
    case PROC_SMAPS:
        r = write_maps(t, at, o, at->node == PROC_SMAPS);
        break;
    case PROC_CMDLINE:
        put_guest(o, p->arg_start, p->arg_end);
        break;
    case PROC_ENVIRON:
        put_guest(o, p->env_start, p->env_end);
        break;
    case PROC_AUXV:
        put_guest(o, p->auxv_start, p->auxv_end);
        break;
    case PROC_STATUS:
        r = write_status(t, at, o);
        break;
    case PROC_MOUNTS:
    case PROC_MOUNTINFO:
        r = write_mounts(t, o, at->node == PROC_MOUNTINFO);
        break;
    case PROC_CPUINFO:
        r = write_cpuinfo(t, o);
        break;
    case PROC_LIMITS:
        r = write_limits(t, at, o);
        break;
    case PROC_SYSCALL: /* what the kernel says of a thread that it does not find at rest */
        put(o, "running\n");
        break;
    case PROC_VERSION:
    case PROC_OSRELEASE:
    case PROC_OSVERSION:
        r = write_uname(t, o, at->node);
        break;
    case PROC_PLAIN:
    case PROC_HIDDEN:
    case PROC_EXE:
    case PROC_CWD:
    case PROC_ROOT:
    case PROC_FD:
    case PROC_MAGIC:
        r = -EINVAL;
        break;
    }
    return r < 0 ? r : flush(o);
}
