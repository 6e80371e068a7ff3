/*
 * strace.c - --strace: system calls in strace(1)'s words
 *
 * Driven by the kinds of syscall.def: what the kernel reads is shown before it, what it writes as it is after the call. One
 * line is one write, so that threads and processes do not mix within a line. Guest memory may have changed meanwhile: this is
 * a view, not a record.
 */
#include "process/syscall.h"

#include "base/check.h"
#include "process/ioctl.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <linux/mman.h>
#include <linux/sched.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <time.h>
#include <unistd.h>

#ifndef AT_STATX_FORCE_SYNC
#define AT_STATX_FORCE_SYNC 0x2000
#define AT_STATX_DONT_SYNC  0x4000
#endif

struct flag_name {
    const char *name;
    uint32_t value;
};

#define N(constant)      {#constant, (uint32_t)(constant)},
#define END              {NULL, 0}};
#define TABLE(kind, how) static const struct flag_name names_##kind[] = {
#include "process/strace_flags.def"
#undef N
#undef END
#undef TABLE

/* Which part of the argument is one value; the rest is a set of bits. */
#define BITS      0
#define VALUE     UINT32_MAX
#define MASKED(m) (uint32_t)(m)

static const struct {
    uint32_t mask;
    const struct flag_name *names;
} tables[ARG_COUNT] = {
#define N(constant)
#define END
#define TABLE(kind, how) [ARG_##kind] = {how, names_##kind},
#include "process/strace_flags.def"
#undef N
#undef END
#undef TABLE
};

static const char *const signal_names[] = {
    "0",       "SIGHUP",  "SIGINT",  "SIGQUIT", "SIGILL",    "SIGTRAP", "SIGABRT", "SIGBUS",
    "SIGFPE",  "SIGKILL", "SIGUSR1", "SIGSEGV", "SIGUSR2",   "SIGPIPE", "SIGALRM", "SIGTERM",
    "SIGSTKFLT", "SIGCHLD", "SIGCONT", "SIGSTOP", "SIGTSTP", "SIGTTIN", "SIGTTOU", "SIGURG",
    "SIGXCPU", "SIGXFSZ", "SIGVTALRM", "SIGPROF", "SIGWINCH", "SIGIO",  "SIGPWR",  "SIGSYS",
};

/* A line under construction; what does not fit is left out. */
struct line {
    char text[2048];
    size_t n;
};

enum { SHOWN_BYTES = 32, SHOWN_STRINGS = 16 };

static void put(struct line *l, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static void
put(struct line *l, const char *fmt, ...)
{
    size_t left = sizeof l->text - 64 - l->n; /* the result and the newline always fit */
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(l->text + l->n, left, fmt, ap);
    va_end(ap);
    l->n += n < 0 ? 0 : (size_t)n < left ? (size_t)n : left - 1;
}

static void
put_flags(struct line *l, unsigned kind, uint32_t v)
{
    uint32_t mask = tables[kind].mask;
    const char *sep = "";
    if (mask != 0) {
        const struct flag_name *f = tables[kind].names;
        while (f->name != NULL && ((f->value & ~mask) != 0 || f->value != (v & mask))) {
            f++;
        }
        if (f->name != NULL) {
            put(l, "%s", f->name);
        } else {
            put(l, "%#x", v & mask);
        }
        sep = "|";
        v &= ~mask;
    } else if (v == 0) {
        put(l, "0");
    }
    for (const struct flag_name *f = tables[kind].names; f != NULL && f->name != NULL && v != 0; f++) {
        if ((f->value & mask) == 0 && f->value != 0 && (v & f->value) == f->value) {
            put(l, "%s%s", sep, f->name);
            sep = "|";
            v &= ~f->value;
        }
    }
    if (v != 0) {
        put(l, "%s%#x", sep, v);
    }
}

static void
put_bytes(struct line *l, const char *s, size_t n)
{
    put(l, "\"");
    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)s[i];
        if (c == '"' || c == '\\') {
            put(l, "\\%c", c);
        } else if (c >= ' ' && c < 127) {
            put(l, "%c", c);
        } else if (c == '\n') {
            put(l, "\\n");
        } else if (c == '\t') {
            put(l, "\\t");
        } else {
            put(l, "\\%o", c);
        }
    }
    put(l, "\"");
}

static void
put_buffer(struct line *l, gva_t a, uint64_t size)
{
    char b[SHOWN_BYTES];
    size_t n = size < sizeof b ? size : sizeof b;
    if (a == 0) {
        put(l, "NULL");
    } else if (guest_read(b, a, n) != 0) {
        put(l, "%#llx", (unsigned long long)a);
    } else {
        put_bytes(l, b, n);
        put(l, "%s", size > n ? "..." : "");
    }
}

static void
put_string(struct line *l, gva_t a)
{
    char b[1024];
    int64_t n = a != 0 ? guest_read_str(b, a, sizeof b) : -EFAULT;
    if (a == 0) {
        put(l, "NULL");
    } else if (n >= 0 || n == -ENAMETOOLONG) {
        put_bytes(l, b, n >= 0 ? (size_t)n : sizeof b);
        put(l, "%s", n >= 0 ? "" : "...");
    } else {
        put(l, "%#llx", (unsigned long long)a);
    }
}

static void
put_vector(struct line *l, gva_t a, bool count_only)
{
    uint64_t p;
    unsigned n = 0;
    if (count_only) {
        while (guest_read_u64(&p, a + 8 * (gva_t)n) == 0 && p != 0) {
            n++;
        }
        put(l, "%#llx /* %u vars */", (unsigned long long)a, n);
        return;
    }
    put(l, "[");
    for (; guest_read_u64(&p, a + 8 * (gva_t)n) == 0 && p != 0; n++) {
        if (n == SHOWN_STRINGS) {
            put(l, ", ...");
            break;
        }
        put(l, "%s", n > 0 ? ", " : "");
        put_string(l, p);
    }
    put(l, "]");
}

static void
put_sigset(struct line *l, uint64_t set)
{
    const char *sep = "";
    put(l, "[");
    for (unsigned s = 1; s <= GUEST_NSIG; s++) {
        if (set & SIG_BIT(s)) {
            if (s < ARRAY_LEN(signal_names)) {
                put(l, "%s%s", sep, signal_names[s] + 3);
            } else {
                put(l, "%sRT_%u", sep, s - 32);
            }
            sep = " ";
        }
    }
    put(l, "]");
}

static void
put_fd(struct line *l, int fd)
{
    if (fd == AT_FDCWD) {
        put(l, "AT_FDCWD");
    } else {
        put(l, "%d", fd);
    }
}

/* Structs that are all 64-bit numbers: "{a, b}" pairs of them, `pairs` times. */
static bool
put_pairs(struct line *l, gva_t a, unsigned pairs)
{
    uint64_t v[8];
    if (guest_read(v, a, pairs * 16) != 0) {
        return false;
    }
    put(l, "%s", pairs > 1 ? "[" : "");
    for (unsigned i = 0; i < pairs; i++) {
        put(l, "%s{%lld, %lld}", i > 0 ? ", " : "", (long long)v[2 * i], (long long)v[2 * i + 1]);
    }
    put(l, "%s", pairs > 1 ? "]" : "");
    return true;
}

/* A pointer to something with a shape of its own; false: show the address. `next` is the argument behind it. */
static bool
put_pointee(struct line *l, unsigned kind, gva_t a, uint64_t next)
{
    char text[512];
    uint64_t v[16];
    uint32_t w[32];
    switch (kind) {
    case ARG_timespec_in:
    case ARG_timespec_out:
    case ARG_timeval_in:
    case ARG_timeval_out:
    case ARG_rlimit_in:
    case ARG_rlimit_out:
        return put_pairs(l, a, 1);
    case ARG_timespec2_in:
    case ARG_itimerspec_in:
    case ARG_itimerspec_out:
    case ARG_itimerval_in:
    case ARG_itimerval_out:
        return put_pairs(l, a, 2);
    case ARG_sigset_in:
    case ARG_sigset_out:
        if (guest_read(v, a, 8) != 0) {
            return false;
        }
        put_sigset(l, v[0]);
        return true;
    case ARG_sigaction_in:
    case ARG_sigaction_out:
        if (guest_read(v, a, 24) != 0) {
            return false;
        }
        put(l, "{%s%#llx, flags=%#llx, mask=", v[0] == 0 ? "SIG_DFL " : v[0] == 1 ? "SIG_IGN " : "",
            (unsigned long long)v[0], (unsigned long long)v[1]);
        put_sigset(l, v[2]);
        put(l, "}");
        return true;
    case ARG_stat:
        if (guest_read(v, a, 128) != 0) {
            return false;
        }
        put(l, "{st_mode=0%o, st_size=%lld, ...}", (unsigned)v[2], (long long)v[6]);
        return true;
    case ARG_fdpair:
        if (guest_read(w, a, 8) != 0) {
            return false;
        }
        put(l, "[%d, %d]", (int)w[0], (int)w[1]);
        return true;
    case ARG_intptr_out:
        if (guest_read(w, a, 4) != 0) {
            return false;
        }
        put(l, "[%#x]", w[0]);
        return true;
    case ARG_off_inout:
        if (guest_read(v, a, 8) != 0) {
            return false;
        }
        put(l, "[%lld]", (long long)v[0]);
        return true;
    case ARG_sockaddr_in:
    case ARG_sockaddr_out:
        if (kind == ARG_sockaddr_out) { /* there the length is a pointer as well */
            if (guest_read(w, next, 4) != 0) {
                return false;
            }
            next = w[0];
        }
        if (!strace_sockaddr(text, sizeof text, a, (uint32_t)next)) {
            return false;
        }
        put(l, "%s", text);
        return true;
    case ARG_msghdr_in:
    case ARG_msghdr_out:
        if (!strace_msghdr(text, sizeof text, a)) {
            return false;
        }
        put(l, "%s", text);
        return true;
    default:
        return false;
    }
}

static void
put_value(struct line *l, unsigned kind, uint64_t v)
{
    switch (kind) {
    case ARG_int:
    case ARG_pid:
    case ARG_fd:
    case ARG_dirfd:
        put_fd(l, (int)v);
        break;
    case ARG_uid:
        put(l, "%d", (int)v);
        break;
    case ARG_uint:
        put(l, "%u", (unsigned)v);
        break;
    case ARG_mode:
        put(l, "0%o", (unsigned)v);
        break;
    case ARG_sig:
        put(l, "%s", (unsigned)v < ARRAY_LEN(signal_names) ? signal_names[(unsigned)v] : "");
        if ((unsigned)v >= ARRAY_LEN(signal_names)) {
            put(l, "%d", (int)v);
        }
        break;
    case ARG_hex:
    case ARG_dev:
        put(l, "%#llx", (unsigned long long)v);
        break;
    default:
        put(l, "%lld", (long long)v);
    }
}

/* `ret`: how much of an outbuf the kernel has filled. */
static void
put_arg(struct line *l, unsigned kind, uint64_t v, uint64_t next, int64_t ret, bool done)
{
    bool out = arg_classes[kind] == ARG_CLASS_OUT;
    if (arg_classes[kind] == ARG_CLASS_VAL) {
        put_value(l, kind, v);
    } else if (kind == ARG_ioctl_op && ioctl_name((uint32_t)v) != NULL) {
        put(l, "%s", ioctl_name((uint32_t)v));
    } else if (arg_classes[kind] == ARG_CLASS_FLAG) {
        put_flags(l, kind, (uint32_t)v);
    } else if (v == 0) {
        put(l, "NULL");
    } else if (kind == ARG_path || kind == ARG_str) {
        put_string(l, v);
    } else if (kind == ARG_inbuf) {
        put_buffer(l, v, next);
    } else if ((kind == ARG_outbuf || kind == ARG_outstr) && done && ret >= 0) {
        put_buffer(l, v, (uint64_t)ret);
    } else if (kind == ARG_strv || kind == ARG_envv) {
        put_vector(l, v, kind == ARG_envv);
    } else if ((out && (!done || ret < 0)) || !put_pointee(l, kind, v, next)) {
        put(l, "%#llx", (unsigned long long)v);
    }
}

/* Calls that may not come back, or come back as somebody else. */
static bool
shown_before(const struct syscall_row *row)
{
    static const char *const names[] = {"exit", "exit_group", "execve", "execveat", "rt_sigreturn"};
    for (unsigned i = 0; i < ARRAY_LEN(names); i++) {
        if (strcmp(row->name, names[i]) == 0) {
            return true;
        }
    }
    return false;
}

void
strace_call(struct task *t, const struct syscall_row *row, const uint64_t a[6], int64_t ret, bool done)
{
    bool before = shown_before(row);
    if (before && done && ret >= 0) {
        return;
    }
    if (!before && !done) {
        return;
    }
    struct line l = {.n = 0};
    put(&l, "[%d] %s(", t->tid, row->name);
    for (unsigned i = 0; i < row->nargs && row->args[i] != ARG_none; i++) {
        put(&l, "%s", i > 0 ? ", " : "");
        put_arg(&l, row->args[i], a[i], i < 5 ? a[i + 1] : 0, ret, done);
    }
    char end[64];
    int n;
    if (!done) {
        n = snprintf(end, sizeof end, ") ...\n");
    } else if (ret < 0 && ret > -4096) {
        const char *name = strerrorname_np((int)-ret);
        n = snprintf(end, sizeof end, ") = -1 %s\n", name != NULL ? name : "?");
    } else if (ret > 0xffffff) {
        n = snprintf(end, sizeof end, ") = %#llx\n", (unsigned long long)ret);
    } else {
        n = snprintf(end, sizeof end, ") = %lld\n", (long long)ret);
    }
    memcpy(l.text + l.n, end, (size_t)n);
    host_syscall(SYS_write, t->proc->opt->log_fd, l.text, l.n + (size_t)n);
}

void
strace_signal(struct task *t, const siginfo_t *info)
{
    struct line l = {.n = 0};
    put(&l, "[%d] --- ", t->tid);
    put_value(&l, ARG_sig, (uint64_t)info->si_signo);
    if (info->si_code > 0 && info->si_signo != SIGCHLD) {
        put(&l, " {si_code=%d, si_addr=%#llx} ---\n", info->si_code, (unsigned long long)(uintptr_t)info->si_addr);
    } else {
        put(&l, " {si_code=%d, si_pid=%d} ---\n", info->si_code, (int)info->si_pid);
    }
    host_syscall(SYS_write, t->proc->opt->log_fd, l.text, l.n);
}
