/*
 * gdb_signals.c - GDB numbers signals in a way of its own, the same for all systems (include/gdb/signals.def)
 */
#include "debug/gdb_impl.h"

#include <signal.h>

/* GDB's number by Linux's; the real-time ones are in rows of their own there: 33 … 63, then 32, then 64. */
static const uint8_t gdb_of[32] = {
    [SIGHUP] = 1,   [SIGINT] = 2,   [SIGQUIT] = 3,  [SIGILL] = 4,   [SIGTRAP] = 5,    [SIGABRT] = 6,   [SIGFPE] = 8,   [SIGKILL] = 9,
    [SIGBUS] = 10,  [SIGSEGV] = 11, [SIGSYS] = 12,  [SIGPIPE] = 13, [SIGALRM] = 14,   [SIGTERM] = 15,  [SIGURG] = 16,  [SIGSTOP] = 17,
    [SIGTSTP] = 18, [SIGCONT] = 19, [SIGCHLD] = 20, [SIGTTIN] = 21, [SIGTTOU] = 22,   [SIGIO] = 23,    [SIGXCPU] = 24, [SIGXFSZ] = 25,
    [SIGVTALRM] = 26, [SIGPROF] = 27, [SIGWINCH] = 28, [SIGUSR1] = 30, [SIGUSR2] = 31, [SIGPWR] = 32,
};

int
gdb_signal_to(int s)
{
    return s > 0 && s < 32 ? gdb_of[s] : s == 32 ? 77 : s == 64 ? 78 : s > 32 && s < 64 ? s + 12 : 0;
}

int
gdb_signal_from(int g)
{
    for (int s = 1; s <= 64; s++) {
        if (g != 0 && gdb_signal_to(s) == g) {
            return s;
        }
    }
    return 0;
}
