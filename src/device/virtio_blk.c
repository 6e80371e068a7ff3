/*
 * virtio_blk.c - a disk
 *
 * VIRTIO 1.3 §5.2. A request is a chain: type 4 | 0 4 | sector 8, then data, then one byte for the status. Features: flush, discard,
 * write zeroes, serial number; the layout of the buffers is the driver's choice.
 *
 *      hart: notify ──eventfd──► thread: pop ──► io_uring (or, without, the system call itself) ──► push, interrupt
 *
 * The thread has up to DEPTH requests under way. While it works the driver need not notify.
 *
 * Threads: queues under the lock; requests belong to the disk's thread, which a reset waits for.
 * Trust: lengths and sectors are checked against the disk's size, as sectors, before they become bytes.
 */
#include "device/virtio_devices.h"

#include "base/check.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <liburing.h>
#include <linux/fs.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#define SECTOR      512
#define DEPTH       64  /* requests under way at once */
#define SEG_MAX     128 /* data segments of a request, as we tell the driver */
#define ZERO_MAX    (UINT32_C(1) << 21) /* sectors that one discard or write zeroes may name: 1 GiB */
#define SERIAL_MAX  20
#define DISK_STACK  (UINT64_C(128) << 10)

#define F_SEG_MAX      (UINT64_C(1) << 2)
#define F_RO           (UINT64_C(1) << 5)
#define F_BLK_SIZE     (UINT64_C(1) << 6)
#define F_FLUSH        (UINT64_C(1) << 9)
#define F_DISCARD      (UINT64_C(1) << 13)
#define F_WRITE_ZEROES (UINT64_C(1) << 14)

enum { T_IN = 0, T_OUT = 1, T_FLUSH = 4, T_GET_ID = 8, T_DISCARD = 11, T_WRITE_ZEROES = 13 };
enum { S_OK, S_IOERR, S_UNSUPP };

/* §5.2.4, as far as we offer it. */
struct config {
    uint64_t capacity; /* sectors */
    uint32_t size_max, seg_max;
    uint8_t geometry[4];
    uint32_t blk_size;
    uint8_t topology[8];
    uint8_t writeback, unused;
    uint16_t num_queues;
    uint32_t max_discard_sectors, max_discard_seg, discard_sector_alignment;
    uint32_t max_write_zeroes_sectors, max_write_zeroes_seg;
    uint8_t write_zeroes_may_unmap, unused1[3];
};
static_assert(sizeof(struct config) <= VIRTIO_CONFIG_MAX, "struct virtio_state's config");

struct header {
    uint32_t type, reserved;
    uint64_t sector;
};

struct zero_range {
    uint64_t sector;
    uint32_t n_sectors, flags; /* flags: bit 0, unmap */
};

struct request {
    struct vq_chain chain;
    struct header head;
    struct iovec *data; /* into: chain.iov, cut to the data */
    int n_data;
    uint64_t bytes;     /* of data */
    uint8_t *status;    /* into: guest RAM; the last byte of the chain */
    struct request *next_free;
};

struct blk {
    struct virtio v;
    int fd;           /* own */
    int kick;         /* own: eventfd */
    uint64_t sectors;
    bool read_only, has_uring;
    uint8_t serial[SERIAL_MAX];
    struct io_uring uring;
    uint64_t kicked;  /* what is read from `kick` */
    pthread_t thread;

    /* the thread's */
    struct request requests[DEPTH];
    struct request *free;
    unsigned under_way;
    bool stop; /* under v.dev.lock */
};

static void
kick(const struct blk *b)
{
    const uint64_t one = 1;
    while (write(b->kick, &one, sizeof one) < 0 && errno == EINTR) {
    }
}

static void
notify(struct virtio *v, unsigned queue)
{
    vq_hush(v, queue);
    kick((struct blk *)v);
}

/* ---- one request ---- */

/* Cut the first `skip` bytes off, and keep `bytes` of the rest. */
static void
cut(struct request *r, struct iovec *iov, unsigned n, uint64_t skip, uint64_t bytes)
{
    while (n > 0 && skip >= iov->iov_len) {
        skip -= iov->iov_len;
        iov++;
        n--;
    }
    r->data = iov;
    r->n_data = 0;
    r->bytes = bytes;
    for (; bytes > 0; r->n_data++, iov++) {
        iov->iov_base = (uint8_t *)iov->iov_base + skip;
        iov->iov_len -= skip;
        skip = 0;
        iov->iov_len = iov->iov_len < bytes ? iov->iov_len : bytes;
        bytes -= iov->iov_len;
    }
}

static bool
is_on_disk(const struct blk *b, uint64_t sector, uint64_t n_sectors)
{
    return sector <= b->sectors && n_sectors <= b->sectors - sector;
}

/* What is left of a transfer that was cut short, or all of it: 0 or -errno. */
static int
transfer(const struct blk *b, struct request *r, uint64_t done)
{
    uint64_t left = r->bytes - done;
    off_t at = (off_t)(r->head.sector * SECTOR + done);
    cut(r, r->data, (unsigned)r->n_data, done, left);
    while (left > 0) {
        const ssize_t n = r->head.type == T_IN ? preadv(b->fd, r->data, r->n_data, at) : pwritev(b->fd, r->data, r->n_data, at);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n <= 0) {
            return n < 0 ? -errno : -EIO; /* the file has become shorter */
        }
        left -= (uint64_t)n;
        at += n;
        cut(r, r->data, (unsigned)r->n_data, (uint64_t)n, left);
    }
    return 0;
}

/* Make a range zero, or forget it. File systems differ in what they can. */
static int
zero(const struct blk *b, const struct request *r)
{
    struct zero_range z;
    if (r->chain.out_bytes != sizeof r->head + sizeof z) {
        return -EINVAL;
    }
    vq_get(&r->chain, sizeof r->head, &z, sizeof z);
    const bool discard = r->head.type == T_DISCARD;
    if (z.n_sectors > ZERO_MAX || !is_on_disk(b, z.sector, z.n_sectors) || (z.flags & ~(discard ? 0u : 1u)) != 0) {
        return -EINVAL;
    }
    off_t at = (off_t)(z.sector * SECTOR), n = (off_t)z.n_sectors * SECTOR;
    const bool hole = discard || (z.flags & 1);
    if (n == 0 || fallocate(b->fd, FALLOC_FL_KEEP_SIZE | (hole ? FALLOC_FL_PUNCH_HOLE : FALLOC_FL_ZERO_RANGE), at, n) == 0 || discard ||
        fallocate(b->fd, FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE, at, n) == 0) {
        return 0; /* a discard need not have done anything */
    }
    static const uint8_t zeros[65536];
    while (n > 0) {
        const ssize_t done = pwrite(b->fd, zeros, n < (off_t)sizeof zeros ? (size_t)n : sizeof zeros, at);
        if (done < 0 && errno == EINTR) {
            continue;
        }
        if (done <= 0) {
            return -EIO;
        }
        at += done;
        n -= done;
    }
    return 0;
}

/* Find out what is asked. Returns S_OK if it is to be done, by io_uring where that can. */
static int
prepare(const struct blk *b, struct request *r)
{
    struct vq_chain *c = &r->chain;
    const uint32_t type = r->head.type;
    switch (type) {
    case T_IN:
    case T_OUT: {
        if (type == T_OUT && b->read_only) {
            return S_IOERR;
        }
        const uint64_t bytes = type == T_IN ? c->in_bytes - 1 : c->out_bytes - sizeof r->head;
        if (bytes % SECTOR != 0 || !is_on_disk(b, r->head.sector, bytes / SECTOR)) {
            return S_IOERR;
        }
        if (type == T_IN) {
            cut(r, c->iov + c->n_out, c->n_in, 0, bytes);
        } else {
            cut(r, c->iov, c->n_out, sizeof r->head, bytes);
        }
        return S_OK;
    }
    case T_DISCARD:
    case T_WRITE_ZEROES:
        return b->read_only ? S_IOERR : S_OK;
    case T_FLUSH:
    case T_GET_ID:
        return S_OK;
    }
    return S_UNSUPP;
}

/* Without io_uring, and what is rare: 0 or -errno. */
static int
do_it(const struct blk *b, struct request *r)
{
    switch (r->head.type) {
    case T_IN:
    case T_OUT:
        return transfer(b, r, 0);
    case T_FLUSH:
        return fdatasync(b->fd) == 0 ? 0 : -errno;
    case T_GET_ID:
        vq_put(&r->chain, 0, b->serial, r->chain.in_bytes - 1 < SERIAL_MAX ? (size_t)r->chain.in_bytes - 1 : SERIAL_MAX);
        return 0;
    default:
        return zero(b, r);
    }
}

static void
finish(struct blk *b, struct request *r, int status)
{
    uint32_t written = 0;
    if (r->status != NULL) {
        __atomic_store_n(r->status, (uint8_t)status, __ATOMIC_RELAXED);
        written = (uint32_t)(status == S_OK ? r->chain.in_bytes : 1);
    }
    device_lock(&b->v.dev);
    vq_push(&b->v, 0, &r->chain, written);
    vq_signal(&b->v, 0);
    device_unlock(&b->v.dev);
    r->next_free = b->free;
    b->free = r;
}

/* ---- the thread ---- */

/* Hand it to io_uring. False: it is no work for that. */
static bool
submit(struct blk *b, struct request *r)
{
    const uint32_t type = r->head.type;
    struct io_uring_sqe *sqe = NULL;
    if (b->has_uring && (type == T_FLUSH || ((type == T_IN || type == T_OUT) && r->bytes > 0))) {
        sqe = io_uring_get_sqe(&b->uring);
    }
    if (sqe == NULL) {
        return false;
    }
    const uint64_t at = r->head.sector * SECTOR;
    if (type == T_FLUSH) {
        io_uring_prep_fsync(sqe, b->fd, IORING_FSYNC_DATASYNC);
    } else if (type == T_IN) {
        io_uring_prep_readv(sqe, b->fd, r->data, (unsigned)r->n_data, at);
    } else {
        io_uring_prep_writev(sqe, b->fd, r->data, (unsigned)r->n_data, at);
    }
    io_uring_sqe_set_data(sqe, r);
    b->under_way++;
    return true;
}

static void
begin(struct blk *b, struct request *r)
{
    const struct vq_chain *c = &r->chain;
    r->status = NULL;
    if (c->n_in > 0) {
        const struct iovec *last = &c->iov[c->n_out + c->n_in - 1];
        r->status = (uint8_t *)last->iov_base + last->iov_len - 1;
    }
    int status = S_IOERR;
    if (r->status != NULL && vq_get(c, 0, &r->head, sizeof r->head) == sizeof r->head) {
        status = prepare(b, r);
        if (status == S_OK) {
            if (submit(b, r)) {
                return;
            }
            status = do_it(b, r) == 0 ? S_OK : S_IOERR;
        }
    }
    finish(b, r, status);
}

/* io_uring is done with a request: what it left over is done here. */
static void
complete(struct blk *b, struct request *r, int result)
{
    b->under_way--;
    if (result >= 0 && r->head.type != T_FLUSH && (uint64_t)result < r->bytes) {
        result = transfer(b, r, (uint64_t)result);
    }
    finish(b, r, result >= 0 ? S_OK : S_IOERR);
}

/* Begin what is in the queue. False: the disk is to be put away. */
static bool
take(struct blk *b)
{
    for (;;) {
        device_lock(&b->v.dev);
        const bool stop = b->stop;
        struct request *r = b->free;
        const bool got = r != NULL && vq_pop(&b->v, 0, &r->chain);
        const bool more = !got && r != NULL && vq_ask(&b->v, 0);
        device_unlock(&b->v.dev);
        if (got) {
            b->free = r->next_free;
            begin(b, r);
        } else if (!more) {
            return !stop;
        }
    }
}

/* Wait for a notification, or for something that is under way. */
static void
wait_uring(struct blk *b, bool *listening)
{
    if (!*listening) {
        struct io_uring_sqe *sqe = io_uring_get_sqe(&b->uring);
        CHECK(sqe != NULL); /* there is room for DEPTH and this one */
        io_uring_prep_read(sqe, b->kick, &b->kicked, sizeof b->kicked, 0);
        io_uring_sqe_set_data(sqe, NULL);
        *listening = true;
    }
    const int n = io_uring_submit_and_wait(&b->uring, 1);
    CHECK(n >= 0 || n == -EINTR || n == -EAGAIN || n == -EBUSY);
    struct io_uring_cqe *cqe;
    while (io_uring_peek_cqe(&b->uring, &cqe) == 0) {
        struct request *r = io_uring_cqe_get_data(cqe);
        const int result = cqe->res;
        io_uring_cqe_seen(&b->uring, cqe);
        if (r != NULL) {
            complete(b, r, result);
        } else {
            *listening = false;
        }
    }
}

static void *
work(void *arg)
{
    struct blk *b = arg;
    bool listening = false;
    prctl(PR_SET_NAME, "disk");
    while (take(b) || b->under_way > 0) {
        if (b->has_uring) {
            wait_uring(b, &listening);
        } else {
            while (read(b->kick, &b->kicked, sizeof b->kicked) < 0 && errno == EINTR) {
            }
        }
    }
    return NULL;
}

/* ---- making and freeing ---- */

static void
blk_free(struct virtio *v)
{
    struct blk *b = (struct blk *)v;
    device_lock(&v->dev);
    b->stop = true;
    device_unlock(&v->dev);
    kick(b);
    pthread_join(b->thread, NULL);
    if (b->has_uring) {
        io_uring_queue_exit(&b->uring);
    }
    close(b->kick);
    close(b->fd);
    free(b);
}

static const struct virtio_ops ops_ = {
    .name = "virtio-blk",
    .id = VIRTIO_ID_BLK,
    .n_queues = 1,
    .notify = notify,
    .free = blk_free,
};

/* Bytes of a file or block device; -errno if it is neither. */
static int64_t
size_of(int fd)
{
    struct stat st;
    uint64_t bytes;
    if (fstat(fd, &st) != 0) {
        return -errno;
    }
    if (S_ISREG(st.st_mode)) {
        return st.st_size;
    }
    return !S_ISBLK(st.st_mode) ? -EINVAL : ioctl(fd, BLKGETSIZE64, &bytes) == 0 ? (int64_t)bytes : -errno;
}

static void
configure(struct blk *b)
{
    const struct config c = {
        .capacity = b->sectors,
        .seg_max = SEG_MAX,
        .blk_size = SECTOR,
        .num_queues = 1,
        .max_discard_sectors = ZERO_MAX,
        .max_discard_seg = 1,
        .discard_sector_alignment = 4096 / SECTOR,
        .max_write_zeroes_sectors = ZERO_MAX,
        .max_write_zeroes_seg = 1,
        .write_zeroes_may_unmap = 1,
    };
    memcpy(b->v.s.config, &c, sizeof c);
    b->v.config_bytes = b->v.config_writable = sizeof c;
    b->v.features = F_SEG_MAX | F_BLK_SIZE | F_FLUSH | (b->read_only ? F_RO : F_DISCARD | F_WRITE_ZEROES);
}

static int
start(struct blk *b)
{
    sigset_t all, old;
    sigfillset(&all);
    pthread_attr_t attr;
    pthread_attr_init(&attr);
    pthread_attr_setstacksize(&attr, DISK_STACK);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    const int r = pthread_create(&b->thread, &attr, work, b);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    pthread_attr_destroy(&attr);
    return -r;
}

struct device *
virtio_blk_new(const struct virtio_place *at, int fd, bool read_only, const char *name, struct err *e)
{
    struct blk *b = calloc(1, sizeof *b);
    const int64_t bytes = size_of(fd);
    if (b == NULL || bytes < 0) {
        err_set(e, b == NULL ? -ENOMEM : (int)bytes, "disk %s", name);
        goto free_blk;
    }
    const char *slash = strrchr(name, '/'), *base = slash != NULL ? slash + 1 : name;
    b->v.ops = &ops_;
    b->fd = fd;
    b->read_only = read_only;
    b->sectors = (uint64_t)bytes / SECTOR;
    memcpy(b->serial, base, strnlen(base, SERIAL_MAX));
    for (unsigned i = 0; i < DEPTH; i++) {
        b->requests[i].next_free = b->free;
        b->free = &b->requests[i];
    }
    configure(b);
    b->kick = eventfd(0, EFD_CLOEXEC);
    if (b->kick < 0) {
        err_set(e, -errno, "disk %s", name);
        goto free_blk;
    }
    b->has_uring = io_uring_queue_init(2 * DEPTH, &b->uring, 0) == 0; /* containers often forbid it */
    if (virtio_mmio_init(&b->v, at, e) < 0) {
        goto close_kick;
    }
    const int r = start(b);
    if (r == 0) {
        return &b->v.dev;
    }
    err_set(e, r, "a thread for disk %s", name);

close_kick:
    if (b->has_uring) {
        io_uring_queue_exit(&b->uring);
    }
    close(b->kick);
free_blk:
    close(fd);
    free(b);
    return NULL;
}
