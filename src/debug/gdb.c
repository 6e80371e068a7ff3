/*
 * gdb.c - what each packet asks for; see gdb.h
 *
 * An empty answer says that a packet is not known: the debugger then does without. Errors are "E" and two digits, of which debuggers make
 * nothing: 14 for memory, 01 for the rest.
 */
#include "debug/gdb_impl.h"

#include "isa/isa.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SSTEP_ALL 7 /* QEMU's: 1 step, 2 without interrupts, 4 with the timer stopped */
#define DATA_MAX  ((GDB_PACKET_MAX - 16) / 2)

struct gdb *
gdb_new(const struct gdb_ops *ops, void *vm, uint64_t thread)
{
    struct gdb *g = calloc(1, sizeof *g);
    if (g != NULL) {
        g->ops = ops;
        g->vm = vm;
        g->thread = thread;
        g->step_bits = SSTEP_ALL;
        g->last = (struct gdb_stop){.why = GDB_SIGNAL, .signal = SIGTRAP, .thread = thread};
    }
    return g;
}

void
gdb_free(struct gdb *g)
{
    if (g != NULL) {
        free(g->out);
        free(g->xml);
        free(g);
    }
}

bool
gdb_is_running(const struct gdb *g)
{
    return g->running;
}

bool
gdb_is_over(const struct gdb *g)
{
    return g->over;
}

uint64_t
gdb_passed_signals(const struct gdb *g)
{
    return g->passed;
}

/* Is this what the packet begins with? Then *p is behind it. */
static bool
eats(const char **p, const char *text)
{
    const size_t n = strlen(text);
    if (strncmp(*p, text, n) != 0) {
        return false;
    }
    *p += n;
    return true;
}

static bool
eats_number(const char **p, uint64_t *v)
{
    return gdb_hex(p, v) > 0;
}

/* ---- threads ---- */

static bool
exists(struct gdb *g, uint64_t thread)
{
    return thread != 0 && thread != ALL_THREADS && g->ops->thread_next(g->vm, thread - 1) == thread;
}

/* The one that is meant where none was named, or it is gone. */
static uint64_t
thread_now(struct gdb *g)
{
    return exists(g, g->thread) ? g->thread : exists(g, g->last.thread) ? g->last.thread : g->ops->thread_next(g->vm, 0);
}

static void
put_thread(struct gdb *g, uint64_t thread)
{
    if (g->multiprocess) {
        gdb_putf(g, "p%llx.", (unsigned long long)g->ops->pid);
    }
    gdb_putf(g, "%llx", (unsigned long long)thread);
}

/* THREAD, pPROCESS.THREAD, pPROCESS; -1 is all, 0 any. */
static bool
eats_thread(struct gdb *g, const char **p, uint64_t *thread)
{
    uint64_t pid;
    if (eats(p, "p")) {
        if (!eats(p, "-1") && (!eats_number(p, &pid) || (pid != 0 && pid != g->ops->pid))) {
            return false;
        }
        if (!eats(p, ".")) {
            *thread = ALL_THREADS;
            return true;
        }
    }
    if (eats(p, "-1")) {
        *thread = ALL_THREADS;
        return true;
    }
    return eats_number(p, thread);
}

static void
list_threads(struct gdb *g, uint64_t after)
{
    uint64_t t = g->ops->thread_next(g->vm, after);
    gdb_begin(g);
    gdb_put(g, t != 0 ? "m" : "l");
    for (unsigned n = 0; t != 0 && n < 256; n++, t = g->ops->thread_next(g->vm, t)) {
        gdb_put(g, n > 0 ? "," : "");
        put_thread(g, t);
        g->listed = t;
    }
    gdb_end(g);
}

static void
thread_says(struct gdb *g, const char *p)
{
    uint64_t t;
    char text[64];
    if (!eats_thread(g, &p, &t) || !exists(g, t)) {
        gdb_say(g, "E01");
        return;
    }
    const size_t n = g->ops->thread_says(g->vm, t, text, sizeof text);
    gdb_begin(g);
    gdb_put_hex(g, text, n < sizeof text ? n : sizeof text - 1);
    gdb_end(g);
}

/* ---- stops ---- */

static void
say_stop(struct gdb *g)
{
    const struct gdb_stop *const s = &g->last;
    const int sig = gdb_signal_to(s->signal);
    gdb_begin(g);
    switch (s->why) {
    case GDB_SIGNAL:
    case GDB_AT_BREAK:
    case GDB_AT_WATCH:
        gdb_putf(g, "T%02xthread:", s->why == GDB_SIGNAL ? sig : gdb_signal_to(SIGTRAP));
        put_thread(g, s->thread);
        gdb_put(g, ";");
        if (s->why == GDB_AT_WATCH) {
            gdb_putf(g, "%s:%llx;", s->point == GDB_WATCH_WRITE ? "watch" : s->point == GDB_WATCH_READ ? "rwatch" : "awatch",
                     (unsigned long long)s->addr);
        }
        break;
    case GDB_EXITED:
    case GDB_KILLED:
        gdb_putf(g, "%c%02x", s->why == GDB_EXITED ? 'W' : 'X', s->why == GDB_EXITED ? (unsigned)s->signal & 255 : (unsigned)sig);
        if (g->multiprocess) {
            gdb_putf(g, ";process:%llx", (unsigned long long)g->ops->pid);
        }
        break;
    }
    gdb_end(g);
}

void
gdb_stopped(struct gdb *g, const struct gdb_stop *s)
{
    g->running = false;
    g->last = *s;
    g->thread = s->thread;
    g->run_thread = 0;
    say_stop(g);
}

void
gdb_break_in(struct gdb *g)
{
    if (g->running) {
        g->ops->interrupt(g->vm);
    }
}

/* ---- going on ---- */

static void
go(struct gdb *g)
{
    g->running = true;
    g->ops->go(g->vm);
}

/* c, s, C, S: [signal][;address] */
static void
go_simply(struct gdb *g, const char *p)
{
    const char how = *p++;
    const bool step = how == 's' || how == 'S';
    uint64_t sig = 0, addr;
    const uint64_t all = g->run_thread == 0 || g->run_thread == ALL_THREADS, it = all ? thread_now(g) : g->run_thread;
    if (((how == 'C' || how == 'S') && !eats_number(&p, &sig)) || !exists(g, it)) {
        gdb_say(g, "E01");
        return;
    }
    eats(&p, ";");
    if (eats_number(&p, &addr) && !g->ops->reg_write(g->vm, it, GDB_REG_PC, addr)) {
        gdb_say(g, "E01");
        return;
    }
    for (uint64_t t = 0; (t = g->ops->thread_next(g->vm, t)) != 0;) {
        const enum gdb_action others = all ? GDB_RUN : GDB_STAY;
        const bool with = how == 'C' || how == 'S';
        g->ops->act(g->vm, t, t != it ? others : step ? GDB_STEP : GDB_RUN, t == it && with ? gdb_signal_from((int)sig & 255) : -1);
    }
    go(g);
}

/* What vCont;ACTION[:THREAD]… says of thread t: the first that names it counts. False: malformed. */
static bool
action_of(struct gdb *g, const char *p, uint64_t t, enum gdb_action *a, int *signal)
{
    bool found = false;
    *a = GDB_STAY;
    *signal = -1;
    while (eats(&p, ";")) {
        const char what = *p;
        uint64_t sig = 0, of = ALL_THREADS;
        if (what == 0 || strchr("cCsS", what) == NULL) {
            return false;
        }
        p++;
        if ((what == 'C' || what == 'S') && !eats_number(&p, &sig)) {
            return false;
        }
        if (eats(&p, ":") && !eats_thread(g, &p, &of)) {
            return false;
        }
        if (!found && (of == ALL_THREADS || of == t || (of == 0 && t == thread_now(g)))) {
            found = true;
            *a = what == 'c' || what == 'C' ? GDB_RUN : GDB_STEP;
            *signal = what == 'C' || what == 'S' ? gdb_signal_from((int)sig & 255) : -1;
        }
    }
    return *p == 0;
}

static void
go_each(struct gdb *g, const char *p)
{
    enum gdb_action a;
    int signal;
    bool any = false;
    for (uint64_t t = 0; (t = g->ops->thread_next(g->vm, t)) != 0;) {
        if (!action_of(g, p, t, &a, &signal)) {
            gdb_say(g, "E01");
            return;
        }
        any |= a != GDB_STAY;
        g->ops->act(g->vm, t, a, signal);
    }
    if (!any) { /* nothing would ever happen again */
        gdb_say(g, "E01");
        return;
    }
    go(g);
}

/* ---- registers ---- */

static void
put_reg(struct gdb *g, uint64_t thread, unsigned reg)
{
    uint64_t v = 0;
    const unsigned n = gdb_reg_bytes(reg);
    if (g->ops->reg_read(g->vm, thread, reg, &v)) {
        gdb_put_hex(g, &v, n);
    } else {
        gdb_put(g, "E01");
    }
}

static void
read_regs(struct gdb *g)
{
    const uint64_t t = thread_now(g);
    gdb_begin(g);
    for (unsigned r = 0; r < GDB_REG_CSR; r++) {
        put_reg(g, t, r);
    }
    gdb_end(g);
}

/* Those that there are bytes for. */
static void
write_regs(struct gdb *g, const char *p)
{
    const uint64_t t = thread_now(g);
    bool good = true;
    for (unsigned r = 0; good && *p != 0 && r < GDB_REG_CSR; r++) {
        uint64_t v;
        good = gdb_hex_bytes(&p, (uint8_t *)&v, 8) && (r == 0 || g->ops->reg_write(g->vm, t, r, v));
    }
    gdb_say(g, good ? "OK" : "E01");
}

static void
read_reg(struct gdb *g, const char *p)
{
    uint64_t reg;
    if (!eats_number(&p, &reg) || reg >= GDB_REGS) {
        gdb_say(g, "E01");
        return;
    }
    gdb_begin(g);
    put_reg(g, thread_now(g), (unsigned)reg);
    gdb_end(g);
}

static void
write_reg(struct gdb *g, const char *p)
{
    uint64_t reg, v = 0;
    const bool good = eats_number(&p, &reg) && eats(&p, "=") && reg < GDB_REGS &&
                      gdb_hex_bytes(&p, (uint8_t *)&v, gdb_reg_bytes((unsigned)reg)) &&
                      (reg == 0 || g->ops->reg_write(g->vm, thread_now(g), (unsigned)reg, v));
    gdb_say(g, good ? "OK" : "E01");
}

/* ---- memory ---- */

static void
read_mem(struct gdb *g, const char *p)
{
    uint64_t addr, n;
    uint8_t buf[DATA_MAX];
    if (!eats_number(&p, &addr) || !eats(&p, ",") || !eats_number(&p, &n)) {
        gdb_say(g, "E01");
        return;
    }
    n = n < sizeof buf ? n : sizeof buf;
    const size_t got = n == 0 ? 0 : g->ops->mem_read(g->vm, thread_now(g), g->physical, addr, buf, n);
    if (got == 0 && n != 0) {
        gdb_say(g, "E14");
        return;
    }
    gdb_begin(g);
    gdb_put_hex(g, buf, got);
    gdb_end(g);
}

/* X: the bytes themselves, of which the packet has `has`; M: their digits. */
static void
write_mem(struct gdb *g, const char *p, const char *end, bool binary)
{
    uint64_t addr, n;
    uint8_t buf[DATA_MAX];
    const char *from = p;
    if (!eats_number(&p, &addr) || !eats(&p, ",") || !eats_number(&p, &n) || !eats(&p, ":") ||
        (binary ? n != (uint64_t)(end - p) : n > sizeof buf || !gdb_hex_bytes(&p, buf, n))) {
        gdb_say(g, "E01");
        return;
    }
    from = binary ? p : (const char *)buf;
    gdb_say(g, n == 0 || g->ops->mem_write(g->vm, thread_now(g), g->physical, addr, from, n) ? "OK" : "E14");
}

/* Z, z: type,addr,kind. Software and hardware breakpoints are the same here. */
static void
point(struct gdb *g, const char *p, bool insert)
{
    static const enum gdb_point kinds[] = {GDB_BREAK, GDB_BREAK, GDB_WATCH_WRITE, GDB_WATCH_READ, GDB_WATCH_ACCESS};
    uint64_t type, addr, n;
    if (!eats_number(&p, &type) || type > 4) {
        gdb_say(g, "");
        return;
    }
    const bool good = eats(&p, ",") && eats_number(&p, &addr) && eats(&p, ",") && eats_number(&p, &n) && n != 0 && addr + n - 1 >= addr;
    gdb_say(g, good && g->ops->point(g->vm, kinds[type], g->physical, addr, n, insert) ? "OK" : "E01");
}

/* ---- queries ---- */

/* OFFSET,LENGTH of an object of which [off, off + n) are at `bytes`. */
static void
say_part(struct gdb *g, const char *bytes, size_t n, bool more)
{
    gdb_begin(g);
    gdb_put(g, more ? "m" : "l");
    gdb_put_binary(g, bytes, n);
    gdb_end(g);
}

static void
transfer(struct gdb *g, const char *p)
{
    char name[16], buf[DATA_MAX];
    const char *const colon = strchr(p, ':'), *const annex = colon != NULL && strncmp(colon, ":read:", 6) == 0 ? colon + 6 : NULL;
    const char *at = annex != NULL ? strrchr(annex, ':') : NULL;
    uint64_t off, n;
    if (at == NULL || (size_t)(colon - p) >= sizeof name || !eats(&at, ":") || !eats_number(&at, &off) || !eats(&at, ",") ||
        !eats_number(&at, &n)) {
        gdb_say(g, "");
        return;
    }
    snprintf(name, sizeof name, "%.*s", (int)(colon - p), p);
    n = n < sizeof buf ? n : sizeof buf;
    if (strcmp(name, "features") == 0) {
        if (g->xml == NULL && strncmp(annex, "target.xml:", 11) == 0) {
            gdb_make_xml(g);
        }
        if (g->xml == NULL || strncmp(annex, "target.xml:", 11) != 0) {
            gdb_say(g, "E00");
            return;
        }
        const size_t left = off < g->xml_len ? g->xml_len - off : 0;
        say_part(g, g->xml + (g->xml_len - left), left < n ? left : n, left > n);
        return;
    }
    const long got = g->ops->object != NULL ? g->ops->object(g->vm, thread_now(g), name, off, buf, n) : -1;
    if (got < 0) {
        gdb_say(g, got == -1 ? "" : "E01");
    } else {
        say_part(g, buf, (size_t)got, n > 0 && (size_t)got == n);
    }
}

static void
supported(struct gdb *g, const char *p)
{
    g->multiprocess = strstr(p, "multiprocess+") != NULL;
    gdb_begin(g);
    gdb_putf(g, "PacketSize=%x;QStartNoAckMode+;vContSupported+;multiprocess+;qXfer:features:read+", GDB_PACKET_MAX);
    if (g->ops->object != NULL) {
        gdb_put(g, ";qXfer:auxv:read+;qXfer:exec-file:read+;qXfer:siginfo:read+;QPassSignals+");
    }
    gdb_end(g);
}

static void
pass_signals(struct gdb *g, const char *p)
{
    uint64_t n, set = 0;
    while (eats_number(&p, &n)) {
        const int s = n < 256 ? gdb_signal_from((int)n) : 0;
        set |= s != 0 ? UINT64_C(1) << (s - 1) : 0;
        eats(&p, ";");
    }
    g->passed = set;
    gdb_say(g, "OK");
}

/* What QEMU's stub has for machines. */
static void
qemu_query(struct gdb *g, const char *p, bool set)
{
    char text[16];
    uint64_t v;
    if (!g->ops->is_machine) {
        gdb_say(g, "");
    } else if (!set && strcmp(p, "sstepbits") == 0) {
        gdb_say(g, "ENABLE=1,NOIRQ=2,NOTIMER=4");
    } else if (!set && strcmp(p, "sstep") == 0) {
        snprintf(text, sizeof text, "0x%x", g->step_bits);
        gdb_say(g, text);
    } else if (!set && strcmp(p, "PhyMemMode") == 0) {
        gdb_say(g, g->physical ? "1" : "0");
    } else if (set && eats(&p, "sstep=")) {
        eats(&p, "0x");
        if (!eats_number(&p, &v) || v > SSTEP_ALL) {
            gdb_say(g, "E22");
            return;
        }
        g->step_bits = (unsigned)v;
        if (g->ops->step_quietly != NULL) {
            g->ops->step_quietly(g->vm, g->step_bits);
        }
        gdb_say(g, "OK");
    } else if (set && eats(&p, "PhyMemMode:") && eats_number(&p, &v)) {
        g->physical = v != 0;
        gdb_say(g, "OK");
    } else {
        gdb_say(g, "");
    }
}

static void
query(struct gdb *g, const char *p)
{
    if (eats(&p, "Supported")) {
        supported(g, p);
    } else if (eats(&p, "Xfer:")) {
        transfer(g, p);
    } else if (strcmp(p, "fThreadInfo") == 0) {
        list_threads(g, 0);
    } else if (strcmp(p, "sThreadInfo") == 0) {
        list_threads(g, g->listed);
    } else if (eats(&p, "ThreadExtraInfo,")) {
        thread_says(g, p);
    } else if (strcmp(p, "C") == 0) {
        gdb_begin(g);
        gdb_put(g, "QC");
        put_thread(g, thread_now(g));
        gdb_end(g);
    } else if (eats(&p, "Attached")) {
        gdb_say(g, g->ops->is_machine ? "1" : "0");
    } else if (eats(&p, "Symbol")) {
        gdb_say(g, "OK");
    } else if (eats(&p, "qemu.")) {
        qemu_query(g, p, false);
    } else {
        gdb_say(g, "");
    }
}

static void
set(struct gdb *g, const char *p)
{
    if (strcmp(p, "StartNoAckMode") == 0) {
        gdb_say(g, "OK");
        g->no_ack = true;
    } else if (eats(&p, "PassSignals:") && g->ops->object != NULL) {
        pass_signals(g, p);
    } else if (eats(&p, "qemu.")) {
        qemu_query(g, p, true);
    } else {
        gdb_say(g, "");
    }
}

static void
many_letters(struct gdb *g, const char *p)
{
    if (strcmp(p, "Cont?") == 0) {
        gdb_say(g, "vCont;c;C;s;S");
    } else if (eats(&p, "Cont")) {
        go_each(g, p);
    } else if (eats(&p, "Kill;")) {
        gdb_say(g, "OK");
        g->over = true;
        g->ops->kill(g->vm);
    } else {
        gdb_say(g, "");
    }
}

static void
choose_thread(struct gdb *g, const char *p)
{
    const char of = *p++;
    uint64_t t;
    if ((of != 'g' && of != 'c') || !eats_thread(g, &p, &t) || (t != 0 && t != ALL_THREADS && !exists(g, t))) {
        gdb_say(g, "E01");
        return;
    }
    if (of == 'c') {
        g->run_thread = t;
    } else if (t != 0 && t != ALL_THREADS) {
        g->thread = t;
    }
    gdb_say(g, "OK");
}

static void
is_alive(struct gdb *g, const char *p)
{
    uint64_t t;
    gdb_say(g, eats_thread(g, &p, &t) && exists(g, t) ? "OK" : "E01");
}

void
gdb_packet(struct gdb *g, const char *p, size_t n)
{
    const char *const end = p + n;
    if (g->running) { /* the debugger is to wait */
        return;
    }
    switch (*p) {
    case '?':
        say_stop(g);
        break;
    case 'g':
        read_regs(g);
        break;
    case 'G':
        write_regs(g, p + 1);
        break;
    case 'p':
        read_reg(g, p + 1);
        break;
    case 'P':
        write_reg(g, p + 1);
        break;
    case 'm':
        read_mem(g, p + 1);
        break;
    case 'M':
    case 'X':
        write_mem(g, p + 1, end, *p == 'X');
        break;
    case 'Z':
    case 'z':
        point(g, p + 1, *p == 'Z');
        break;
    case 'H':
        choose_thread(g, p + 1);
        break;
    case 'T':
        is_alive(g, p + 1);
        break;
    case 'c':
    case 'C':
    case 's':
    case 'S':
        go_simply(g, p);
        break;
    case 'v':
        many_letters(g, p + 1);
        break;
    case 'q':
        query(g, p + 1);
        break;
    case 'Q':
        set(g, p + 1);
        break;
    case 'D':
        gdb_say(g, "OK");
        g->over = true;
        g->ops->detach(g->vm);
        break;
    case 'k':
        g->over = true;
        g->ops->kill(g->vm);
        break;
    default:
        gdb_say(g, "");
        break;
    }
}
