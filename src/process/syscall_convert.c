/*
 * syscall_convert.c - from a guest's arguments to the host's, by the kinds of syscall_args.def
 *
 * Whatever the registers hold, the kernel is given no pointer into the monitor's memory: the fuzzer of this file checks that.
 */
#include "process/syscall.h"

#include "process/vfs.h"

#include <errno.h>
#include <limits.h>
#include <sys/uio.h>

const uint8_t arg_classes[ARG_COUNT] = {
#define VAL(kind)  [ARG_##kind] = ARG_CLASS_VAL,
#define FLAG(kind) [ARG_##kind] = ARG_CLASS_FLAG,
#define IN(kind)   [ARG_##kind] = ARG_CLASS_IN,
#define OUT(kind)  [ARG_##kind] = ARG_CLASS_OUT,
#include "process/syscall_args.def"
#undef VAL
#undef FLAG
#undef IN
#undef OUT
};

int64_t
syscall_iovec(struct iovec *out, gva_t from, uint64_t count)
{
    if (count > IOV_MAX) {
        return -EINVAL;
    }
    if (guest_read(out, from, count * sizeof *out) != 0) {
        return -EFAULT;
    }
    for (uint64_t i = 0; i < count; i++) {
        gva_t base = (uintptr_t)out[i].iov_base;
        if ((int64_t)out[i].iov_len < 0) {
            return -EINVAL;
        }
        if (!guest_range_ok(base, out[i].iov_len)) {
            return -EFAULT;
        }
        out[i].iov_base = g2h(base);
    }
    return 0;
}

int64_t
syscall_convert(struct task *t, const struct syscall_row *row, const uint64_t a[6], uint64_t out[6], struct iovec *iov)
{
    for (unsigned i = 0; i < 6; i++) {
        unsigned kind = i < row->nargs ? row->args[i] : ARG_none;
        uint64_t next = i < 5 ? a[i + 1] : 0;
        out[i] = a[i];
        switch (kind) {
        case ARG_fd:
        case ARG_dirfd:
            if (!vfs_fd_ok(vfs_of(t), (int)a[i])) {
                return -EBADF;
            }
            break;
        case ARG_inbuf:
        case ARG_outbuf:
        case ARG_outstr:
            if (!guest_range_ok(a[i], next)) {
                return -EFAULT;
            }
            out[i] = (uintptr_t)g2h(a[i]);
            break;
        case ARG_bytes_rev:
            if (!guest_range_ok(next, (uint32_t)a[i])) {
                return -EFAULT;
            }
            break;
        case ARG_iovec_in:
        case ARG_iovec_out: {
            int64_t err = syscall_iovec(iov, a[i], next);
            if (err != 0) {
                return err;
            }
            out[i] = (uintptr_t)iov;
            break;
        }
        default:
            if (arg_classes[kind] >= ARG_CLASS_IN) {
                out[i] = (uintptr_t)g2h(a[i]);
            }
        }
    }
    return 0;
}
