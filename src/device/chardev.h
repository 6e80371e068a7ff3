/*
 * chardev.h - a stream of bytes between a device and whatever shows it
 *
 *      UART, console port ──write──►[ out ]──peek, drop──► terminal, file
 *      (front)            ◄──read───[ in  ]◄────input───── (back, on the I/O thread)
 *
 * Nothing is lost: who finds a ring full tries again when it is told that there is room.
 *
 * Threads: any; the lock is the innermost. Callbacks are called without it: `ready` and `brk` on the I/O thread, `kick` by
 * whoever has written or read.
 */
#ifndef DOPPEL_CHARDEV_H
#define DOPPEL_CHARDEV_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct chardev_ring {
    uint8_t bytes[8192];
    size_t head, n; /* the oldest; how many */
};

struct chardev {
    /* set before the first use */
    void (*kick)(void *arg); /* the back: there is output that was none, or room for input where was none */
    void *kick_arg;
    void (*ready)(void *arg); /* the front: there is input that was none, or room for output where was none; may be NULL */
    void (*brk)(void *arg);   /* the front: a break; may be NULL */
    void *front_arg;

    pthread_mutex_t lock;
    struct chardev_ring out, in;
    bool out_was_full, in_was_full; /* somebody has been turned away */
};

void chardev_init(struct chardev *c);

/* The front: how many bytes were taken; and how many were there to read. */
size_t chardev_write(struct chardev *c, const void *bytes, size_t n);
size_t chardev_read(struct chardev *c, void *bytes, size_t n);

/* The back: copy the oldest output, then forget what has arrived at its end. Bring input: how many bytes were taken. */
size_t chardev_peek(struct chardev *c, void *bytes, size_t n);
void chardev_drop(struct chardev *c, size_t n);
size_t chardev_input(struct chardev *c, const void *bytes, size_t n);
void chardev_break(struct chardev *c);

#endif
