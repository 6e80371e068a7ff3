/*
 * check.h - assertions that stay in release builds
 *
 * A CHECK that fails is a bug of doppel: it names itself, lets the owner print guest state, and aborts. Guest values
 * must never reach one.
 */
#ifndef DOPPEL_CHECK_H
#define DOPPEL_CHECK_H

/*
 * Called once, by the failing thread, before abort(): prints what is known of the guest. Set once at start-up.
 * Async-signal-safe code only.
 */
extern void (*check_report)(void);

_Noreturn void check_failed(const char *expr, const char *file, int line);

#define CHECK(x) ((x) ? (void)0 : check_failed(#x, __FILE__, __LINE__))

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))

#endif
