/*
 * chardev.c - see chardev.h
 */
#include "device/chardev.h"

#include "base/check.h"

#include <string.h>

void
chardev_init(struct chardev *c)
{
    memset(c, 0, sizeof *c);
    pthread_mutex_init(&c->lock, NULL);
}

static size_t
put(struct chardev_ring *r, const uint8_t *bytes, size_t n)
{
    const size_t room = sizeof r->bytes - r->n;
    n = n < room ? n : room;
    for (size_t i = 0; i < n; i++) {
        r->bytes[(r->head + r->n + i) % sizeof r->bytes] = bytes[i];
    }
    r->n += n;
    return n;
}

static size_t
peek(const struct chardev_ring *r, uint8_t *bytes, size_t n)
{
    n = n < r->n ? n : r->n;
    for (size_t i = 0; i < n; i++) {
        bytes[i] = r->bytes[(r->head + i) % sizeof r->bytes];
    }
    return n;
}

static void
drop(struct chardev_ring *r, size_t n)
{
    CHECK(n <= r->n);
    r->head = (r->head + n) % sizeof r->bytes;
    r->n -= n;
}

size_t
chardev_write(struct chardev *c, const void *bytes, size_t n)
{
    pthread_mutex_lock(&c->lock);
    const bool was_empty = c->out.n == 0;
    const size_t taken = put(&c->out, bytes, n);
    c->out_was_full |= taken < n;
    pthread_mutex_unlock(&c->lock);
    if (was_empty && taken > 0 && c->kick != NULL) {
        c->kick(c->kick_arg);
    }
    return taken;
}

size_t
chardev_read(struct chardev *c, void *bytes, size_t n)
{
    pthread_mutex_lock(&c->lock);
    n = peek(&c->in, bytes, n);
    drop(&c->in, n);
    const bool room = c->in_was_full && n > 0;
    c->in_was_full &= !room;
    pthread_mutex_unlock(&c->lock);
    if (room && c->kick != NULL) {
        c->kick(c->kick_arg);
    }
    return n;
}

size_t
chardev_peek(struct chardev *c, void *bytes, size_t n)
{
    pthread_mutex_lock(&c->lock);
    n = peek(&c->out, bytes, n);
    pthread_mutex_unlock(&c->lock);
    return n;
}

void
chardev_drop(struct chardev *c, size_t n)
{
    pthread_mutex_lock(&c->lock);
    drop(&c->out, n);
    const bool room = c->out_was_full && n > 0;
    c->out_was_full &= !room;
    pthread_mutex_unlock(&c->lock);
    if (room && c->ready != NULL) {
        c->ready(c->front_arg);
    }
}

size_t
chardev_input(struct chardev *c, const void *bytes, size_t n)
{
    pthread_mutex_lock(&c->lock);
    const size_t taken = put(&c->in, bytes, n);
    c->in_was_full |= taken < n;
    pthread_mutex_unlock(&c->lock);
    if (taken > 0 && c->ready != NULL) {
        c->ready(c->front_arg);
    }
    return taken;
}

void
chardev_break(struct chardev *c)
{
    if (c->brk != NULL) {
        c->brk(c->front_arg);
    }
}
