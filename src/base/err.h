/*
 * err.h - errors that say what was wrong with which file
 *
 * A function that can fail for the host's reasons takes `struct err *` (may be NULL) and returns -errno. The place
 * that sees the failure calls err_set(); each caller that knows more calls err_add(), which puts its words in front:
 * "run ./a.out: read program headers: file ends at byte 52". Only cli prints it.
 */
#ifndef DOPPEL_ERR_H
#define DOPPEL_ERR_H

struct err {
    char text[512];
};

/*
 * Start a message. `code` is a negative errno; its text is added after ": " unless code is 0.
 * Returns code, or -EINVAL if it is 0, so that a caller can `return err_set(e, -errno, "open %s", path);`
 */
int err_set(struct err *e, int code, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* Put "words: " in front of what the message says so far. */
void err_add(struct err *e, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#endif
