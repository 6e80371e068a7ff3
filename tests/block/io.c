/*
 * io.c - random requests to a block, several at once, against a copy in memory
 *
 * block-io [OPTION]… FILE SEED REQUESTS [OUT]: FILE is opened, read whole as what it is to hold, and used; every read must agree. OUT
 * gets what it has to hold at the end, for `qemu-img compare`. Options: format=, readonly, snapshot, keep, flush=N (one request of N),
 * die=N (SIGKILL after as many), log=FILE, info (its
 * size only).
 */
#include "base/check.h"
#include "block/queue.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define AT_ONCE  16
#define SLOTS    64       /* requests do not overlap: each has a slot of the disk */
#define MOST     (192 << 10)

struct io {
    struct block_io io;
    struct iovec iov[4];
    uint8_t *mem;
    uint64_t slot;
    bool busy;
};

static struct block *b_;
static uint8_t *copy_;
static uint64_t slot_bytes_;
static uint64_t rng_;
static bool slot_busy_[SLOTS];
static unsigned long done_;

static uint64_t
rnd(uint64_t below)
{
    rng_ ^= rng_ << 13;
    rng_ ^= rng_ >> 7;
    rng_ ^= rng_ << 17;
    return below != 0 ? (rng_ >> 11) % below : 0;
}

static void
done(struct block_io *io, int result)
{
    struct io *x = (struct io *)io;
    CHECK(result == 0);
    if (io->op == BLOCK_READ && memcmp(x->mem, copy_ + io->off, io->n) != 0) {
        uint64_t i = 0;
        while (x->mem[i] == copy_[io->off + i]) {
            i++;
        }
        printf("read of 0x%llx + 0x%llx: byte 0x%llx is %02x, not %02x\n", (unsigned long long)io->off, (unsigned long long)io->n,
               (unsigned long long)(io->off + i), x->mem[i], copy_[io->off + i]);
        exit(1);
    }
    if (io->op == BLOCK_DISCARD) { /* anything, but one thing */
        CHECK(block_read(b_, io->off, copy_ + io->off, io->n) == 0);
    }
    slot_busy_[x->slot] = false;
    x->busy = false;
    done_++;
}

static void
submit(struct block_queue *q, struct io *x, unsigned flush)
{
    struct block_io *io = &x->io;
    do {
        x->slot = rnd(SLOTS);
    } while (slot_busy_[x->slot]);
    slot_busy_[x->slot] = x->busy = true;
    const uint64_t at = rnd(slot_bytes_ / 512) * 512, room = slot_bytes_ - at, most = room < MOST ? room : MOST;
    *io = (struct block_io){.done = done, .off = x->slot * slot_bytes_ + at, .n = (rnd(most / 512) + 1) * 512, .iov = x->iov, .unmap = rnd(2)};
    io->n = rnd(3) == 0 && io->n > 4096 ? 4096 : io->n;
    const uint64_t what = rnd(100);
    io->op = flush != 0 && rnd(flush) == 0 ? BLOCK_FLUSH : b_->read_only || what < 35 ? BLOCK_READ : what < 85 ? BLOCK_WRITE : what < 93 ? BLOCK_ZERO : BLOCK_DISCARD;
    const uint64_t cut = rnd(io->n + 1);
    x->iov[0] = (struct iovec){x->mem, cut};
    x->iov[1] = (struct iovec){x->mem + cut, io->n - cut};
    io->n_iov = 2;
    if (io->op == BLOCK_WRITE) {
        const uint8_t v = (uint8_t)rnd(256);
        for (uint64_t i = 0; i < io->n; i++) {
            x->mem[i] = (uint8_t)(v + i / 512 + i);
        }
        memcpy(copy_ + io->off, x->mem, io->n);
    } else if (io->op == BLOCK_ZERO) {
        memset(copy_ + io->off, 0, io->n);
    }
    block_queue_submit(q, io);
}

int
main(int argc, char **argv)
{
    struct block_spec spec = {0};
    struct err e = {""};
    unsigned flush = 50;
    unsigned long die = 0;
    bool info = false;
    while (argc > 1) {
        char *a = argv[1];
        if (strncmp(a, "format=", 7) == 0) {
            spec.format = a + 7;
        } else if (strncmp(a, "log=", 4) == 0) {
            spec.log = a + 4;
        } else if (strncmp(a, "flush=", 6) == 0) {
            flush = (unsigned)atoi(a + 6);
        } else if (strncmp(a, "die=", 4) == 0) {
            die = strtoul(a + 4, NULL, 0);
        } else if (strcmp(a, "readonly") == 0) {
            spec.read_only = true;
        } else if (strcmp(a, "snapshot") == 0) {
            spec.snapshot = true;
        } else if (strcmp(a, "keep") == 0) {
            spec.keep = true;
        } else if (strcmp(a, "info") == 0) {
            info = true;
        } else {
            break;
        }
        argc--;
        argv++;
    }
    if (argc < 2 || (!info && argc < 4)) {
        return 2;
    }
    spec.file = argv[1];
    if (block_open(&spec, &b_, &e) != 0) {
        printf("%s\n", e.text);
        return 3;
    }
    printf("%s, %llu bytes\n", b_->ops->name, (unsigned long long)b_->bytes);
    if (info) {
        block_close(b_);
        return 0;
    }
    rng_ = strtoul(argv[2], NULL, 0) * 2654435761u + 88172645463325252u;
    const unsigned long n = strtoul(argv[3], NULL, 0);
    slot_bytes_ = b_->bytes / SLOTS / 512 * 512;
    copy_ = malloc(b_->bytes);
    struct block_queue *q = block_queue_new(b_, AT_ONCE, &e);
    static struct io ios[AT_ONCE];
    CHECK(copy_ != NULL && q != NULL && slot_bytes_ >= 512);
    for (uint64_t at = 0; at < b_->bytes; at += 1 << 20) {
        CHECK(block_read(b_, at, copy_ + at, b_->bytes - at < 1 << 20 ? b_->bytes - at : 1 << 20) == 0);
    }
    for (unsigned i = 0; i < AT_ONCE; i++) {
        ios[i].mem = malloc(MOST);
    }
    for (unsigned long begun = 0; begun < n || block_queue_under_way(q) > 0;) {
        for (unsigned i = 0; i < AT_ONCE && begun < n; i++) {
            if (!ios[i].busy) {
                submit(q, &ios[i], flush);
                begun++;
            }
        }
        if (die != 0 && done_ >= die) {
            raise(SIGKILL);
        }
        block_queue_wait(q);
    }
    uint8_t *mem = malloc(1 << 20);
    for (uint64_t at = 0; at < b_->bytes; at += 1 << 20) {
        const size_t now = b_->bytes - at < 1 << 20 ? (size_t)(b_->bytes - at) : 1 << 20;
        CHECK(block_read(b_, at, mem, now) == 0);
        if (memcmp(mem, copy_ + at, now) != 0) {
            printf("at the end, 0x%llx differs\n", (unsigned long long)at);
            return 1;
        }
    }
    block_queue_free(q);
    const uint64_t bytes = b_->bytes;
    block_close(b_);
    if (argc > 4) {
        FILE *f = fopen(argv[4], "wb");
        CHECK(f != NULL && fwrite(copy_, 1, bytes, f) == bytes && fclose(f) == 0);
    }
    return 0;
}
