/*
 * guest_abi.h - structures that riscv64 Linux lays out otherwise than x86-64
 *
 * include/uapi/asm-generic of Linux 6.12. What is not here is the same on both.
 */
#ifndef DOPPEL_GUEST_ABI_H
#define DOPPEL_GUEST_ABI_H

#include <stdint.h>

struct guest_stat {
    uint64_t dev, ino;
    uint32_t mode, nlink, uid, gid;
    uint64_t rdev, pad1;
    int64_t size;
    int32_t blksize, pad2;
    int64_t blocks;
    uint64_t atime, atime_nsec, mtime, mtime_nsec, ctime, ctime_nsec;
    uint32_t unused[2];
};
_Static_assert(sizeof(struct guest_stat) == 128, "asm-generic/stat.h");

#endif
