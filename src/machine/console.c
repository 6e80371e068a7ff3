/*
 * console.c - see console.h
 */
#include "machine/console.h"

#include "base/check.h"
#include "base/nondet.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <termios.h>
#include <unistd.h>

#define ESCAPE      1               /* Ctrl-A */
#define GATHER_NS   UINT64_C(500000) /* how long output waits for more: one write for a line, not one for each byte */
#define LAST_MS     1000            /* how long the end waits for whoever reads */
#define WHOLE_BYTES 1024            /* what a pipe that is ready takes without blocking, and a terminal nearly so */
#define STAMP_BYTES 24              /* "[12:34:56.789] ", and room for clocks that are wrong */
#define STAMPED     (WHOLE_BYTES / (STAMP_BYTES + 1))
#define PROMPT      "(doppel) "

struct console {
    struct loop *loop;    /* ref */
    struct chardev *line; /* ref */
    struct console_config cfg;
    int out;              /* cfg.out_own, or cfg.out itself */
    struct loop_fd in_fd, out_fd;
    struct loop_timer timer;
    bool escaped;         /* the last byte was Ctrl-A */
    bool out_waits;       /* for room, by epoll */
    uint8_t shown[WHOLE_BYTES]; /* output that has been logged and stamped, and is to be written */
    size_t n_shown;
    bool stamps, in_line; /* each line begins with the time; one has begun */
    uint64_t stamps_ns;   /* … since then */
    bool monitor;         /* what is typed is for us, a line at a time */
    char line_[128];
    size_t n_line;
    bool in_polls, in_ready, in_ended; /* a file cannot be waited for: it is always ready */
    uint8_t held[256];    /* input that the line has not taken yet */
    size_t n_held;
};

/* Signal state: handlers have no argument. The terminal that is raw, and what it was. */
static atomic_int raw_fd_ = -1;
static struct termios cooked_, raw_;

void
console_restore(void)
{
    const int fd = atomic_exchange(&raw_fd_, -1);
    if (fd >= 0) {
        tcsetattr(fd, TCSANOW, &cooked_);
    }
}

static void
make_raw(int fd)
{
    if (tcgetattr(fd, &cooked_) != 0) {
        return;
    }
    raw_ = cooked_;
    cfmakeraw(&raw_);
    raw_.c_oflag = cooked_.c_oflag; /* some guests send bare line feeds */
    if (tcsetattr(fd, TCSANOW, &raw_) == 0) {
        atomic_store(&raw_fd_, fd);
    }
}

void
console_continue(void)
{
    const int fd = atomic_load(&raw_fd_);
    if (fd >= 0 && tcgetpgrp(fd) == getpgrp()) {
        tcsetattr(fd, TCSANOW, &raw_);
    }
}

void
console_stop(void)
{
    const int fd = atomic_load(&raw_fd_);
    if (fd >= 0) {
        tcsetattr(fd, TCSANOW, &cooked_);
    }
    syscall(SYS_tgkill, getpid(), gettid(), SIGSTOP); /* kill() is no call of a sandbox's */
}

static void
say(struct console *c, const char *text)
{
    while (*text != 0) {
        const ssize_t n = write(c->out, text, strlen(text));
        struct pollfd p = {.fd = c->out, .events = POLLOUT};
        if (n < 0 && (errno != EAGAIN || poll(&p, 1, LAST_MS) <= 0)) {
            return; /* a terminal that is held up: the user asked for it */
        }
        text += n > 0 ? n : 0;
    }
}

static void
help(struct console *c)
{
    say(c, "\r\nCtrl-A h  this help\r\nCtrl-A x  power off at once\r\nCtrl-A r  reset the machine\r\n"
           "Ctrl-A c  the monitor, and back\r\nCtrl-A t  lines begin with the time, or no more\r\n"
           "Ctrl-A b  send a break (Linux: a SysRq key follows)\r\nCtrl-A a  send Ctrl-A itself\r\n");
}

/* ---- the monitor ---- */

static void
monitor_toggle(struct console *c)
{
    if (c->cfg.monitor == NULL) {
        return;
    }
    c->monitor = !c->monitor;
    c->n_line = 0;
    say(c, c->monitor ? "\r\ndoppel's monitor: 'help' lists what it knows, Ctrl-A c leaves it\r\n" PROMPT : "\r\n");
}

static void
monitor_byte(struct console *c, uint8_t b)
{
    if (b == '\r' || b == '\n') {
        c->line_[c->n_line] = 0;
        c->n_line = 0;
        say(c, "\r\n");
        char *text = c->cfg.monitor(c->cfg.arg, c->line_);
        say(c, text != NULL ? text : "");
        free(text);
        say(c, PROMPT);
    } else if ((b == 127 || b == '\b') && c->n_line > 0) {
        c->n_line--;
        say(c, "\b \b");
    } else if (b == 3 || b == 21) { /* Ctrl-C, Ctrl-U */
        c->n_line = 0;
        say(c, "\r\n" PROMPT);
    } else if (b >= ' ' && b < 127 && c->n_line < sizeof c->line_ - 1) {
        c->line_[c->n_line++] = (char)b;
        say(c, (char[]){(char)b, 0});
    }
}

/* ---- the terminal ---- */

/* The byte after Ctrl-A. True: it is the guest's, as *byte. */
static bool
command(struct console *c, uint8_t *byte)
{
    switch (*byte) {
    case 'x':
        c->cfg.command(c->cfg.arg, CONSOLE_QUIT);
        return false;
    case 'r':
        c->cfg.command(c->cfg.arg, CONSOLE_RESET);
        return false;
    case 'c':
        monitor_toggle(c);
        return false;
    case 't':
        c->stamps = !c->stamps;
        c->stamps_ns = nondet_mono_ns();
        return false;
    case 'b':
        chardev_break(c->line);
        return false;
    case 'h':
    case '?':
        help(c);
        return false;
    case 'a':
    case ESCAPE:
        *byte = ESCAPE;
        return true;
    default:
        return false;
    }
}

/* Of n bytes those that are for the guest. */
static size_t
filter(struct console *c, uint8_t *bytes, size_t n)
{
    size_t kept = 0;
    for (size_t i = 0; i < n; i++) {
        if (!c->cfg.escape) {
            kept = n;
            break;
        }
        if (c->escaped) {
            c->escaped = false;
            if (command(c, &bytes[i]) && !c->monitor) {
                bytes[kept++] = bytes[i];
            }
        } else if (bytes[i] == ESCAPE) {
            c->escaped = true;
        } else if (c->monitor) {
            monitor_byte(c, bytes[i]);
        } else {
            bytes[kept++] = bytes[i];
        }
    }
    return kept;
}

/* Bring input while the line takes it; then wait for more, or for room. */
static void
take_input(struct console *c)
{
    for (;;) {
        if (c->n_held > 0) {
            const size_t n = chardev_input(c->line, c->held, c->n_held);
            c->n_held -= n;
            memmove(c->held, c->held + n, c->n_held);
            if (c->n_held > 0) {
                break; /* kick() comes when there is room */
            }
        }
        if (c->in_ended || !c->in_ready) {
            break;
        }
        const ssize_t n = read(c->cfg.in, c->held, sizeof c->held);
        if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
            c->in_ready = false;
            break;
        }
        if (n <= 0) {
            c->in_ended = true;
            if (c->in_polls) {
                loop_remove(c->loop, &c->in_fd);
            }
            return;
        }
        c->n_held = filter(c, c->held, (size_t)n);
        c->in_ready = !c->in_polls;
    }
    if (c->in_polls && !c->in_ended) {
        loop_change(c->loop, &c->in_fd, c->n_held == 0 ? EPOLLIN : 0);
    }
}

static void
in_ready(void *arg, uint32_t events)
{
    (void)events;
    struct console *c = arg;
    c->in_ready = true;
    take_input(c);
}

/* All of it, into a file. */
static void
put_log(struct console *c, const uint8_t *bytes, size_t n)
{
    while (n > 0 && c->cfg.log >= 0) {
        const ssize_t done = write(c->cfg.log, bytes, n);
        if (done < 0 && errno != EINTR) {
            say(c, "\r\ndoppel: the console's log cannot be written any more\r\n");
            c->cfg.log = -1;
        }
        bytes += done > 0 ? done : 0;
        n -= done > 0 ? (size_t)done : 0;
    }
}

/* The next piece of output, as it is to be shown. False: there is none. */
static bool
next_output(struct console *c)
{
    uint8_t bytes[WHOLE_BYTES];
    const size_t n = chardev_peek(c->line, bytes, c->stamps ? STAMPED : sizeof bytes);
    for (size_t i = 0; i < n; i++) {
        if (c->stamps && !c->in_line && bytes[i] != '\r') {
            const uint64_t ms = (nondet_mono_ns() - c->stamps_ns) / 1000000;
            c->n_shown += (size_t)snprintf((char *)c->shown + c->n_shown, STAMP_BYTES, "[%02llu:%02llu:%02llu.%03llu] ",
                                           (unsigned long long)(ms / 3600000 % 10000), (unsigned long long)(ms / 60000 % 60),
                                           (unsigned long long)(ms / 1000 % 60), (unsigned long long)(ms % 1000));
        }
        c->in_line = bytes[i] != '\n' && (c->in_line || bytes[i] != '\r');
        c->shown[c->n_shown++] = bytes[i];
    }
    put_log(c, bytes, n);
    chardev_drop(c->line, n);
    return n > 0;
}

/* Show what there is. False: whoever shows it takes no more now. */
static bool
put_output(struct console *c)
{
    while (c->n_shown > 0 || next_output(c)) {
        const ssize_t done = write(c->out, c->shown, c->n_shown);
        if (done < 0 && errno == EINTR) {
            continue;
        }
        if (done < 0 && errno == EAGAIN) {
            return false;
        }
        /* nobody will ever read it: the guest need not wait */
        c->n_shown -= done < 0 ? c->n_shown : (size_t)done;
        memmove(c->shown, c->shown + (done < 0 ? 0 : done), c->n_shown);
    }
    return true;
}

static void
flush(struct console *c)
{
    const bool all = put_output(c);
    if (all == c->out_waits) {
        c->out_waits = !all && loop_change(c->loop, &c->out_fd, EPOLLOUT) == 0;
        if (all) {
            loop_change(c->loop, &c->out_fd, 0);
        }
    }
    take_input(c);
}

static void
out_ready(void *arg, uint32_t events)
{
    struct console *c = arg;
    if (events & (EPOLLERR | EPOLLHUP)) {
        loop_remove(c->loop, &c->out_fd); /* it would be reported for ever */
    }
    if (c->out_waits) {
        flush(c);
    }
}

static void
fire(void *arg)
{
    flush(arg);
}

static void
kick(void *arg)
{
    struct console *c = arg;
    loop_timer_set(c->loop, &c->timer, nondet_mono_ns() + GATHER_NS);
}

int
console_reopen(int out)
{
    char path[32];
    snprintf(path, sizeof path, "/proc/self/fd/%d", out);
    return open(path, O_WRONLY | O_NONBLOCK | O_APPEND | O_NOCTTY | O_CLOEXEC);
}

struct console *
console_new(struct loop *loop, struct chardev *line, const struct console_config *cfg, struct err *e)
{
    struct console *c = calloc(1, sizeof *c);
    if (c == NULL) {
        err_set(e, -ENOMEM, "console");
        return NULL;
    }
    c->loop = loop;
    c->line = line;
    c->cfg = *cfg;
    c->out = cfg->out_own >= 0 ? cfg->out_own : cfg->out;
    c->out_fd = (struct loop_fd){.fd = c->out, .ready = out_ready, .arg = c};
    c->in_fd = (struct loop_fd){.fd = cfg->in, .ready = in_ready, .arg = c};
    c->timer = (struct loop_timer){.fire = fire, .arg = c};
    loop_timer_add(loop, &c->timer);
    loop_add(loop, &c->out_fd, 0); /* files refuse, and are never full */
    if (cfg->escape) {
        make_raw(cfg->in);
    }
    line->kick = kick;
    line->kick_arg = c;
    c->in_ended = cfg->in < 0;
    if (!c->in_ended) {
        c->in_polls = loop_add(loop, &c->in_fd, EPOLLIN) == 0;
        c->in_ready = !c->in_polls;
        loop_timer_set(loop, &c->timer, 0);
    }
    return c;
}

void
console_free(struct console *c)
{
    const uint64_t end = nondet_mono_ns() + UINT64_C(1000000) * LAST_MS;
    while (!put_output(c)) {
        const uint64_t now = nondet_mono_ns();
        struct pollfd p = {.fd = c->out, .events = POLLOUT};
        if (now >= end || (poll(&p, 1, (int)((end - now) / 1000000)) < 0 && errno != EINTR)) {
            break;
        }
    }
    console_restore();
    c->line->kick = NULL;
    if (c->out != c->cfg.out) {
        close(c->out);
    }
    free(c);
}
