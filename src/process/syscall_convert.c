/*
 * syscall_convert.c - from a guest's arguments to the host's, by the kinds of syscall_args.def
 *
 * Whatever the registers hold, the kernel is given no pointer into the monitor's memory: the fuzzer of this file checks that.
 */
#include "process/syscall.h"

#include "base/check.h"
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

/*
 * The host's range for the guest's [*a, *a + *len), or -EFAULT. riscv64's access_ok() refuses only what ends in the kernel's
 * half: whether the rest is mapped shows when it is copied, which at the end of a file is never. Copying stops at the first
 * address that is not mapped, and the guest's last page never is: so the range may end with it.
 */
HOT static int64_t
host_range(uint64_t *a, uint64_t *len)
{
    if ((int64_t)*a < 0 || *len > INT64_MAX - *a) {
        return -EFAULT;
    }
    const gva_t last = GUEST_TOP - 4096, at = *a < last ? *a : last | (*a & 4095);
    *a = *a == 0 ? 0 : at + guest_base;
    *len = *len < GUEST_TOP - at ? *len : GUEST_TOP - at;
    return 0;
}

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
        uint64_t base = (uintptr_t)out[i].iov_base, len = out[i].iov_len;
        if ((int64_t)len < 0) {
            return -EINVAL;
        }
        if (host_range(&base, &len) != 0) {
            return -EFAULT;
        }
        out[i] = (struct iovec){(void *)(uintptr_t)base, len};
    }
    return 0;
}

HOT int64_t
syscall_convert(struct task *t, const struct syscall_row *row, const uint64_t a[6], uint64_t out[6], struct iovec *iov)
{
    uint64_t cut = UINT64_MAX; /* the length of the buffer before this argument */
    for (unsigned i = 0; i < 6; i++) {
        unsigned kind = i < row->nargs ? row->args[i] : ARG_none;
        uint64_t next = i < 5 ? a[i + 1] : 0;
        out[i] = kind == ARG_size && cut != UINT64_MAX ? cut : a[i];
        cut = UINT64_MAX;
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
            cut = next;
            if (host_range(&out[i], &cut) != 0 || (cut != next && row->args[i + 1] != ARG_size)) {
                return -EFAULT;
            }
            break;
        case ARG_bytes_rev:
            if (!guest_range_ok(next, (uint32_t)a[i])) {
                return -EFAULT;
            }
            break;
        case ARG_iovec_in:
        case ARG_iovec_out: {
            CHECK(iov != NULL);
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
