/*
 * block_impl.h - what the kinds of blocks share
 */
#ifndef DOPPEL_BLOCK_IMPL_H
#define DOPPEL_BLOCK_IMPL_H

#include "block/block.h"

#include <sys/types.h>

#define BLOCK_BACKING_MAX 64 /* how long a chain of backing files may be */

/* Files that a chain has opened so far, to find one that leads back into itself. */
struct block_chain {
    unsigned n;
    struct {
        dev_t dev;
        ino_t ino;
    } seen[BLOCK_BACKING_MAX];
};

/* An image and those behind it. The log and the snapshot are not of its business. */
int block_open_image(const struct block_spec *spec, struct block_chain *chain, struct block **b, struct err *e);

/* Each takes fd, also if it fails. */
int raw_open(int fd, const struct block_spec *spec, struct block **b, struct err *e);
int qcow2_open(int fd, const struct block_spec *spec, struct block_chain *chain, struct block **b, struct err *e);

int nbd_open(const struct block_spec *spec, struct block **b, struct err *e);
bool nbd_is_name(const char *file);

/* What is written over `base` goes into a file without a name. Takes base, also if it fails. */
int qcow2_over(struct block *base, struct block **b, struct err *e);

/* A filter that logs. Takes base, also if it fails. */
int log_open(struct block *base, const char *path, struct block **b, struct err *e);

/* `n` bytes of a list from `skip` on, as a list: how many iovecs. `to` has room for as many as `iov` has. */
unsigned iov_part(struct iovec *to, const struct iovec *iov, unsigned n_iov, uint64_t skip, uint64_t n);
uint64_t iov_bytes(const struct iovec *iov, unsigned n_iov);
void iov_zero(const struct iovec *iov, unsigned n_iov);

/* All of it at `off` of a file. eof_zero: what is behind its end is zero, else -EIO. `iov` is used up. */
int file_read(int fd, uint64_t off, struct iovec *iov, unsigned n_iov, bool eof_zero);
int file_write(int fd, uint64_t off, struct iovec *iov, unsigned n_iov);
int file_get(int fd, uint64_t off, void *to, size_t n);
int file_put(int fd, uint64_t off, const void *from, size_t n);

/* Make a range of a file zero; or give its space back, which makes it zero where that can be done. */
int file_zero(int fd, uint64_t off, uint64_t n, bool unmap);
void file_punch(int fd, uint64_t off, uint64_t n);

#endif
