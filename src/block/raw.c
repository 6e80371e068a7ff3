/*
 * raw.c - a disk that is a file, byte for byte, or a block device
 */
#include "block/block_impl.h"

#include <errno.h>
#include <linux/fs.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

static int
raw_read(struct block *b, uint64_t off, const struct iovec *iov, unsigned n_iov)
{
    struct iovec mine[n_iov > 0 ? n_iov : 1];
    memcpy(mine, iov, n_iov * sizeof *iov);
    return file_read(b->fd, off, mine, n_iov, false);
}

static int
raw_write(struct block *b, uint64_t off, const struct iovec *iov, unsigned n_iov)
{
    struct iovec mine[n_iov > 0 ? n_iov : 1];
    memcpy(mine, iov, n_iov * sizeof *iov);
    return file_write(b->fd, off, mine, n_iov);
}

static int
raw_zero(struct block *b, uint64_t off, uint64_t n, bool unmap)
{
    return file_zero(b->fd, off, n, unmap);
}

static int
raw_discard(struct block *b, uint64_t off, uint64_t n)
{
    file_punch(b->fd, off, n);
    return 0;
}

static int
raw_flush(struct block *b)
{
    return b->cache == BLOCK_UNSAFE || fdatasync(b->fd) == 0 ? 0 : -errno;
}

static void
raw_close(struct block *b)
{
    close(b->fd);
    free(b);
}

static const struct block_ops ops_ = {"raw", raw_read, raw_write, raw_zero, raw_discard, raw_flush, raw_close};

int
raw_open(int fd, const struct block_spec *spec, struct block **b, struct err *e)
{
    struct stat st;
    uint64_t bytes = 0;
    int r = fstat(fd, &st) != 0 ? -errno : 0;
    if (r == 0 && S_ISBLK(st.st_mode)) {
        r = ioctl(fd, BLKGETSIZE64, &bytes) != 0 ? -errno : 0;
    } else if (r == 0) {
        bytes = (uint64_t)st.st_size;
        r = S_ISREG(st.st_mode) ? 0 : -EINVAL;
    }
    struct block *made = r == 0 ? calloc(1, sizeof *made) : NULL;
    if (made == NULL) {
        close(fd);
        return r == -EINVAL ? err_set(e, 0, "it is neither a file nor a block device") : err_set(e, r != 0 ? r : -ENOMEM, "open");
    }
    *made = (struct block){.ops = &ops_, .bytes = bytes, .cache = spec->cache, .read_only = spec->read_only, .fd = fd, .file = fd};
    *b = made;
    return 0;
}
