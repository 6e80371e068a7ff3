/*
 * gdb.c - what a debugger may send, and stops in between
 *
 * covers: src/debug/gdb.c src/debug/gdb_packet.c src/debug/gdb_signals.c src/debug/gdb_xml.c
 *
 * Each line of input is a packet, whose checksum is nothing to guess, or (after 0x05) bytes as they come from the socket. The target has
 * three threads and a page of memory, and is stopped by the byte 0x04. No call but those that are allowed when all is stopped; lengths in bounds.
 */
#include "base/check.h"
#include "debug/gdb_impl.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>

#define MEM 0x1000

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool running, over;
static uint64_t regs[3][GDB_REGS];
static uint8_t mem[4096];

static uint64_t
thread_next(void *vm, uint64_t after)
{
    (void)vm;
    return after < 3 ? after + 1 : 0;
}

static size_t
thread_says(void *vm, uint64_t thread, char *text, size_t size)
{
    (void)vm;
    CHECK(thread >= 1 && thread <= 3 && size > 0);
    return (size_t)snprintf(text, size, "thread %d", (int)thread);
}

static bool
reg_read(void *vm, uint64_t thread, unsigned reg, uint64_t *v)
{
    (void)vm;
    CHECK(!running && thread >= 1 && thread <= 3 && reg < GDB_REGS);
    *v = regs[thread - 1][reg];
    return reg % 7 != 6 || reg < GDB_REG_CSR;
}

static bool
reg_write(void *vm, uint64_t thread, unsigned reg, uint64_t v)
{
    (void)vm;
    CHECK(!running && thread >= 1 && thread <= 3 && reg > 0 && reg < GDB_REGS);
    regs[thread - 1][reg] = v;
    return reg != 40;
}

static size_t
mem_read(void *vm, uint64_t thread, bool physical, uint64_t addr, void *to, size_t n)
{
    (void)vm, (void)physical;
    CHECK(!running && thread >= 1 && thread <= 3 && n > 0 && n <= GDB_PACKET_MAX);
    const size_t left = addr >= MEM && addr < MEM + sizeof mem ? MEM + sizeof mem - addr : 0;
    n = n < left ? n : left;
    memcpy(to, mem + (left > 0 ? addr - MEM : 0), n);
    return n;
}

static bool
mem_write(void *vm, uint64_t thread, bool physical, uint64_t addr, const void *from, size_t n)
{
    (void)vm, (void)physical;
    CHECK(!running && thread >= 1 && thread <= 3 && n > 0 && n <= GDB_PACKET_MAX);
    if (addr < MEM || addr - MEM > sizeof mem || n > sizeof mem - (addr - MEM)) {
        return false;
    }
    memcpy(mem + (addr - MEM), from, n);
    return true;
}

static bool
point(void *vm, enum gdb_point kind, bool physical, uint64_t addr, uint64_t n, bool insert)
{
    (void)vm, (void)physical;
    CHECK(!running && kind <= GDB_WATCH_ACCESS && n > 0 && addr + n - 1 >= addr);
    return insert;
}

static void
act(void *vm, uint64_t thread, enum gdb_action a, int signal)
{
    (void)vm;
    CHECK(!running && thread >= 1 && thread <= 3 && a <= GDB_STAY && signal >= -1 && signal <= 64);
}

static void
go(void *vm)
{
    (void)vm;
    CHECK(!running);
    running = true;
}

static void
ends(void *vm)
{
    (void)vm;
    over = true;
}

static void
interrupt(void *vm)
{
    (void)vm;
    CHECK(running);
}

static long
object(void *vm, uint64_t thread, const char *name, uint64_t off, void *to, size_t n)
{
    (void)vm, (void)off, (void)thread;
    memset(to, '}', n);
    return strcmp(name, "auxv") == 0 ? (long)n : strcmp(name, "siginfo") == 0 ? -2 : -1;
}

static void
step_quietly(void *vm, unsigned bits)
{
    (void)vm;
    CHECK(bits < 8);
}

/* What bytes from 0x80 on stand for: words that would be long to guess. */
static const char *const words[] = {
    "qSupported:multiprocess+", "qXfer:features:read:target.xml:", "qXfer:auxv:read:", "qXfer:siginfo:read:", "qXfer:exec-file:read:",
    "qfThreadInfo", "qsThreadInfo", "qThreadExtraInfo,", "qAttached", "qSymbol::", "qqemu.sstepbits", "qqemu.sstep", "qqemu.PhyMemMode",
    "Qqemu.sstep=", "Qqemu.PhyMemMode:", "QStartNoAckMode", "QPassSignals:", "vCont?", "vCont", ";c", ";s", ";C", ";S", "vKill;", "vMustReplyEmpty",
    "m1000,", "M1000,", "X1000,", "Z2,1000,", "z3,1000,", "Z0,1000,2", "pfff", "1061", "ffffffffffffffff", "p4d.", "-1", ",10", ":0,", "Hc", "Hg", "G",
    "p1062", "P1062=", "Z2,0,0", "z4,ffffffffffffffff,1",
    "0011223344556677", "8899aabbccddeeff", "ff00ff00ff00ff00ff00ff00ff00ff00", "qC", "T1",
};

static void
packet(struct gdb *g, const uint8_t *p, size_t n)
{
    static const char digits[] = "0123456789abcdef";
    char text[64 * 1024];
    size_t len = 0;
    uint8_t sum = 0;
    for (size_t i = 0; i < n && len < sizeof text - 64; i++) {
        const char one[2] = {(char)p[i], 0};
        const char *const w = p[i] >= 0x80 && (p[i] & 0x7f) < (int)ARRAY_LEN(words) ? words[p[i] & 0x7f] : one;
        const size_t k = w == one ? 1 : strlen(w);
        memcpy(text + len, w, k);
        len += k;
    }
    for (size_t i = 0; i < len; i++) {
        sum += (uint8_t)text[i];
    }
    const char end[3] = {'#', digits[sum >> 4], digits[sum & 15]};
    gdb_input(g, "$", 1);
    gdb_input(g, text, len);
    gdb_input(g, end, 3);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0) {
        return 0;
    }
    const bool machine = data[0] & 1;
    const struct gdb_ops ops = {
        .pid = 77, .is_machine = machine, .thread_next = thread_next, .thread_says = thread_says, .reg_read = reg_read, .reg_write = reg_write,
        .mem_read = mem_read, .mem_write = mem_write, .point = point, .act = act, .go = go, .kill = ends, .detach = ends,
        .interrupt = interrupt, .object = machine ? NULL : object, .step_quietly = machine ? step_quietly : NULL,
    };
    const struct gdb_stop stops[] = {
        {.why = GDB_SIGNAL, .signal = SIGINT, .thread = 1}, {.why = GDB_AT_BREAK, .thread = 2}, {.why = GDB_SIGNAL, .signal = 64, .thread = 9},
        {.why = GDB_AT_WATCH, .point = GDB_WATCH_READ, .addr = MEM, .thread = 3}, {.why = GDB_EXITED, .signal = 300}, {.why = GDB_KILLED, .signal = 11},
    };
    running = over = false;
    struct gdb *const g = gdb_new(&ops, NULL, 1);
    CHECK(g != NULL);
    for (size_t at = 1; at < size;) {
        const uint8_t *const end = memchr(data + at, '\n', size - at);
        const size_t n = end != NULL ? (size_t)(end - (data + at)) : size - at;
        if (data[at] == 4 && running) {
            running = false;
            gdb_stopped(g, &stops[n % 6]);
        } else if (data[at] == 5) {
            gdb_input(g, data + at, n); /* as it is */
        } else {
            packet(g, data + at, n);
        }
        CHECK(gdb_is_running(g) == running && gdb_is_over(g) == over);
        const void *out;
        const size_t len = gdb_output(g, &out);
        for (size_t i = 0; i < len; i++) { /* all of it is there, and printable but for what is escaped */
            regs[0][1] += ((const uint8_t *)out)[i];
        }
        gdb_sent(g, len / 2 + len % 2);
        at += n + 1;
    }
    gdb_free(g);
    return 0;
}
