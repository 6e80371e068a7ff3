/*
 * nbd.c - a disk that another process, here or elsewhere, exports by the Network Block Device protocol
 *
 * libnbd speaks it. Its calls wait, one at a time on a connection; if the export allows several (NBD_FLAG_CAN_MULTI_CONN) there are as
 * many as a queue has workers. Memory in pieces is gathered: a request is a round trip.
 *
 * Threads: any; each call has a connection of its own while it lasts.
 * Trust: the server says how large the disk is, and what is on it; libnbd checks its replies.
 */
#include "block/block_impl.h"

#include <errno.h>
#include <libnbd.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CONNECTIONS 4
#define CHUNK       (UINT64_C(1) << 20)

struct nbd {
    struct block b;
    bool can_flush, can_zero, can_trim;
    pthread_mutex_t lock;
    pthread_cond_t freed;
    /* under lock */
    struct nbd_handle *idle[CONNECTIONS]; /* own */
    unsigned n_idle;
};

static struct nbd_handle *
take(struct nbd *n)
{
    pthread_mutex_lock(&n->lock);
    while (n->n_idle == 0) {
        pthread_cond_wait(&n->freed, &n->lock);
    }
    struct nbd_handle *h = n->idle[--n->n_idle];
    pthread_mutex_unlock(&n->lock);
    return h;
}

/* Back; with the result of a call that returned `r`. */
static int
give(struct nbd *n, struct nbd_handle *h, int r)
{
    const int err = r < 0 ? nbd_get_errno() : 0;
    pthread_mutex_lock(&n->lock);
    n->idle[n->n_idle++] = h;
    pthread_cond_signal(&n->freed);
    pthread_mutex_unlock(&n->lock);
    return r >= 0 ? 0 : err != 0 ? -err : -EIO;
}

/* A chunk between a list and one piece of memory. */
static void
copy(const struct iovec *iov, unsigned n_iov, uint8_t *piece, bool to_piece)
{
    for (unsigned i = 0; i < n_iov; piece += iov[i++].iov_len) {
        if (to_piece) {
            memcpy(piece, iov[i].iov_base, iov[i].iov_len);
        } else {
            memcpy(iov[i].iov_base, piece, iov[i].iov_len);
        }
    }
}

static int
move(struct nbd *n, uint64_t off, const struct iovec *iov, unsigned n_iov, bool write)
{
    const uint64_t bytes = iov_bytes(iov, n_iov);
    struct iovec part[n_iov > 0 ? n_iov : 1];
    uint8_t *piece = malloc(bytes < CHUNK ? bytes + 1 : CHUNK);
    int r = piece == NULL ? -ENOMEM : 0;
    for (uint64_t done = 0; done < bytes && r == 0;) {
        const uint64_t now = bytes - done < CHUNK ? bytes - done : CHUNK;
        const unsigned n_part = iov_part(part, iov, n_iov, done, now);
        if (write) {
            copy(part, n_part, piece, true);
        }
        struct nbd_handle *h = take(n);
        r = give(n, h, write ? nbd_pwrite(h, piece, now, off + done, 0) : nbd_pread(h, piece, now, off + done, 0));
        if (!write && r == 0) {
            copy(part, n_part, piece, false);
        }
        done += now;
    }
    free(piece);
    return r;
}

static int
n_read(struct block *b, uint64_t off, const struct iovec *iov, unsigned n_iov)
{
    return move((struct nbd *)b, off, iov, n_iov, false);
}

static int
n_write(struct block *b, uint64_t off, const struct iovec *iov, unsigned n_iov)
{
    return move((struct nbd *)b, off, iov, n_iov, true);
}

static int
n_zero(struct block *b, uint64_t off, uint64_t bytes, bool unmap)
{
    static uint8_t zeros[65536];
    struct nbd *n = (struct nbd *)b;
    int r = 0;
    while (bytes > 0 && r == 0) {
        const uint64_t most = n->can_zero ? UINT64_C(1) << 30 : sizeof zeros, now = bytes < most ? bytes : most;
        if (n->can_zero) {
            struct nbd_handle *h = take(n);
            r = give(n, h, nbd_zero(h, now, off, unmap ? 0 : LIBNBD_CMD_FLAG_NO_HOLE));
        } else {
            const struct iovec v = {zeros, now};
            r = move(n, off, &v, 1, true);
        }
        off += now;
        bytes -= now;
    }
    return r;
}

static int
n_discard(struct block *b, uint64_t off, uint64_t bytes)
{
    struct nbd *n = (struct nbd *)b;
    int r = 0;
    while (n->can_trim && bytes > 0 && r == 0) {
        const uint64_t now = bytes < UINT64_C(1) << 30 ? bytes : UINT64_C(1) << 30;
        struct nbd_handle *h = take(n);
        r = give(n, h, nbd_trim(h, now, off, 0));
        off += now;
        bytes -= now;
    }
    return r;
}

static int
n_flush(struct block *b)
{
    struct nbd *n = (struct nbd *)b;
    if (!n->can_flush || b->cache == BLOCK_UNSAFE) {
        return 0;
    }
    struct nbd_handle *h = take(n); /* with several connections, one's flush is everybody's */
    return give(n, h, nbd_flush(h, 0));
}

static void
n_close(struct block *b)
{
    struct nbd *n = (struct nbd *)b;
    while (n->n_idle > 0) {
        struct nbd_handle *h = n->idle[--n->n_idle];
        nbd_shutdown(h, 0);
        nbd_close(h);
    }
    pthread_cond_destroy(&n->freed);
    pthread_mutex_destroy(&n->lock);
    free(n);
}

static const struct block_ops ops_ = {"nbd", n_read, n_write, n_zero, n_discard, n_flush, n_close};

bool
nbd_is_name(const char *file)
{
    return strncmp(file, "nbd:", 4) == 0 || strncmp(file, "nbds:", 5) == 0 || strncmp(file, "nbd+unix:", 9) == 0 ||
           strncmp(file, "nbds+unix:", 10) == 0;
}

/* QEMU's older way: nbd:unix:PATH or nbd:HOST:PORT, :exportname=NAME. */
static int
connect_old(struct nbd_handle *h, const char *name)
{
    char text[PATH_MAX];
    if (snprintf(text, sizeof text, "%s", name + 4) >= (int)sizeof text) {
        return -1;
    }
    char *export = strstr(text, ":exportname=");
    if (export != NULL) {
        *export = 0;
        export += strlen(":exportname=");
    }
    if (export != NULL && nbd_set_export_name(h, export) < 0) {
        return -1;
    }
    if (strncmp(text, "unix:", 5) == 0) {
        return nbd_connect_unix(h, text + 5);
    }
    char *colon = strrchr(text, ':');
    if (colon != NULL) {
        *colon = 0;
    }
    return nbd_connect_tcp(h, text, colon != NULL ? colon + 1 : "10809");
}

/* NULL with *e. */
static struct nbd_handle *
connect_one(const char *name, struct err *e)
{
    struct nbd_handle *h = nbd_create();
    const bool uri = strstr(name, "://") != NULL;
    if (h != NULL && (uri ? nbd_connect_uri(h, name) : connect_old(h, name)) == 0) {
        return h;
    }
    const char *why = nbd_get_error();
    err_set(e, 0, "%s", why != NULL ? why : "no connection");
    if (h != NULL) {
        nbd_close(h);
    }
    return NULL;
}

int
nbd_open(const struct block_spec *spec, struct block **b, struct err *e)
{
    if (spec->format != NULL && strcmp(spec->format, "raw") != 0) {
        return err_set(e, 0, "what NBD exports is format=raw");
    }
    struct nbd_handle *h = connect_one(spec->file, e);
    struct nbd *n = h != NULL ? calloc(1, sizeof *n) : NULL;
    if (n == NULL) {
        if (h != NULL) {
            nbd_close(h);
        }
        return h == NULL ? -EIO : err_set(e, -ENOMEM, "NBD");
    }
    pthread_mutex_init(&n->lock, NULL);
    pthread_cond_init(&n->freed, NULL);
    n->idle[n->n_idle++] = h;
    n->can_flush = nbd_can_flush(h) > 0;
    n->can_zero = nbd_can_zero(h) > 0;
    n->can_trim = nbd_can_trim(h) > 0 && !spec->keep;
    const int64_t size = nbd_get_size(h);
    n->b = (struct block){.ops = &ops_, .bytes = (uint64_t)size, .cache = spec->cache, .read_only = spec->read_only, .fd = -1, .file = -1};
    if (size < 0 || (!spec->read_only && nbd_is_read_only(h) != 0)) {
        const int r = size < 0 ? err_set(e, 0, "the export has no size") : err_set(e, 0, "the export is read only: readonly=on");
        n_close(&n->b);
        return r;
    }
    while (n->n_idle < CONNECTIONS && nbd_can_multi_conn(h) > 0 && (h = connect_one(spec->file, NULL)) != NULL) {
        n->idle[n->n_idle++] = h;
    }
    *b = &n->b;
    return 0;
}
