/*
 * file.c - parts of lists of memory, and whole transfers between them and files
 */
#include "block/block_impl.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/falloc.h>
#include <string.h>
#include <unistd.h>

unsigned
iov_part(struct iovec *to, const struct iovec *iov, unsigned n_iov, uint64_t skip, uint64_t n)
{
    unsigned made = 0;
    for (unsigned i = 0; i < n_iov && n > 0; i++) {
        if (skip >= iov[i].iov_len) {
            skip -= iov[i].iov_len;
            continue;
        }
        const uint64_t len = iov[i].iov_len - skip < n ? iov[i].iov_len - skip : n;
        to[made++] = (struct iovec){(uint8_t *)iov[i].iov_base + skip, len};
        n -= len;
        skip = 0;
    }
    return made;
}

uint64_t
iov_bytes(const struct iovec *iov, unsigned n_iov)
{
    uint64_t n = 0;
    for (unsigned i = 0; i < n_iov; i++) {
        n += iov[i].iov_len;
    }
    return n;
}

void
iov_zero(const struct iovec *iov, unsigned n_iov)
{
    for (unsigned i = 0; i < n_iov; i++) {
        memset(iov[i].iov_base, 0, iov[i].iov_len);
    }
}

/* What is left of a list after its first `done` bytes. */
static unsigned
advance(struct iovec **iov, unsigned n_iov, size_t done)
{
    while (n_iov > 0 && done >= (*iov)->iov_len) {
        done -= (*iov)->iov_len;
        (*iov)++;
        n_iov--;
    }
    if (n_iov > 0) {
        (*iov)->iov_base = (uint8_t *)(*iov)->iov_base + done;
        (*iov)->iov_len -= done;
    }
    return n_iov;
}

int
file_read(int fd, uint64_t off, struct iovec *iov, unsigned n_iov, bool eof_zero)
{
    n_iov = advance(&iov, n_iov, 0);
    while (n_iov > 0) {
        const ssize_t n = preadv(fd, iov, (int)(n_iov < IOV_MAX ? n_iov : IOV_MAX), (off_t)off);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0) {
            return -errno;
        }
        if (n == 0) {
            iov_zero(iov, eof_zero ? n_iov : 0);
            return eof_zero ? 0 : -EIO;
        }
        off += (uint64_t)n;
        n_iov = advance(&iov, n_iov, (size_t)n);
    }
    return 0;
}

int
file_write(int fd, uint64_t off, struct iovec *iov, unsigned n_iov)
{
    n_iov = advance(&iov, n_iov, 0);
    while (n_iov > 0) {
        const ssize_t n = pwritev(fd, iov, (int)(n_iov < IOV_MAX ? n_iov : IOV_MAX), (off_t)off);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n <= 0) {
            return n < 0 ? -errno : -EIO;
        }
        off += (uint64_t)n;
        n_iov = advance(&iov, n_iov, (size_t)n);
    }
    return 0;
}

int
file_get(int fd, uint64_t off, void *to, size_t n)
{
    struct iovec v = {to, n};
    return file_read(fd, off, &v, 1, false);
}

int
file_put(int fd, uint64_t off, const void *from, size_t n)
{
    struct iovec v = {(void *)(uintptr_t)from, n};
    return file_write(fd, off, &v, 1);
}

int
file_zero(int fd, uint64_t off, uint64_t n, bool unmap)
{
    static const uint8_t zeros[65536];
    const off_t at = (off_t)off;
    if (n == 0 || fallocate(fd, FALLOC_FL_KEEP_SIZE | (unmap ? FALLOC_FL_PUNCH_HOLE : FALLOC_FL_ZERO_RANGE), at, (off_t)n) == 0 ||
        fallocate(fd, FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE, at, (off_t)n) == 0) {
        return 0;
    }
    int r = 0; /* file systems differ in what they can */
    while (n > 0 && r == 0) {
        const size_t now = n < sizeof zeros ? (size_t)n : sizeof zeros;
        r = file_put(fd, off, zeros, now);
        off += now;
        n -= now;
    }
    return r;
}

void
file_punch(int fd, uint64_t off, uint64_t n)
{
    if (n != 0 && fallocate(fd, FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE, (off_t)off, (off_t)n) != 0) {
        return; /* then it keeps its space */
    }
}
