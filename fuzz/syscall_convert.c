/*
 * syscall_convert.c - any registers as a system call's: what the host is given
 *
 * covers: src/process/syscall_convert.c
 *
 * Guest memory is a buffer that repeats the input. Every pointer must be NULL, the one that is never mapped, or lie inside
 * the guest's addresses with all that the size says which the host is given.
 */
#include "base/check.h"
#include "process/syscall.h"
#include "process/vfs.h"

#include <errno.h>
#include <limits.h>
#include <string.h>
#include <sys/uio.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { BASE = 1 << 30, TOP_FD = 1000 };
uint64_t guest_base = BASE;
static const uint8_t *memory;
static size_t memory_size;

static const struct {
    uint8_t nargs, args[6];
} shapes[] = {
#define A_1(a)                1, {ARG_##a}
#define A_2(a, b)             2, {ARG_##a, ARG_##b}
#define A_3(a, b, c)          3, {ARG_##a, ARG_##b, ARG_##c}
#define A_4(a, b, c, d)       4, {ARG_##a, ARG_##b, ARG_##c, ARG_##d}
#define A_5(a, b, c, d, e)    5, {ARG_##a, ARG_##b, ARG_##c, ARG_##d, ARG_##e}
#define A_6(a, b, c, d, e, f) 6, {ARG_##a, ARG_##b, ARG_##c, ARG_##d, ARG_##e, ARG_##f}
#define A_PICK(a, b, c, d, e, f, n, ...) n
#define SYS(nr, name, how, ...) {A_PICK(__VA_ARGS__, A_6, A_5, A_4, A_3, A_2, A_1, )(__VA_ARGS__)},
#include "process/syscall.def"
#undef SYS
};

bool
vfs_fd_ok(const struct vfs *v, int fd)
{
    (void)v;
    return fd < TOP_FD;
}

int
guest_read(void *dst, gva_t src, size_t len)
{
    if (!guest_range_ok(src, len) || memory_size == 0) {
        return -EFAULT;
    }
    for (size_t i = 0; i < len; i++) {
        ((uint8_t *)dst)[i] = memory[(src + i) % memory_size];
    }
    return 0;
}

/* Nothing of the monitor's in [p, p + len). */
static void
check_pointer(uint64_t p, uint64_t len)
{
    if (p != 0 && p != (uintptr_t)g2h(GUEST_TOP)) {
        CHECK(p >= BASE && p - BASE <= GUEST_TOP && len <= GUEST_TOP - (p - BASE));
    }
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct process p;
    static struct task t = {.proc = &p};
    static struct iovec iov[IOV_MAX];
    uint64_t a[6] = {0}, out[6];
    if (size < 1 + sizeof a) {
        return 0;
    }
    const unsigned n = data[0] % ARRAY_LEN(shapes);
    struct syscall_row row = {.name = "x", .nargs = shapes[n].nargs};
    memcpy(row.args, shapes[n].args, sizeof row.args);
    memcpy(a, data + 1, sizeof a);
    memory = data + 1 + sizeof a;
    memory_size = size - 1 - sizeof a;
    if (syscall_convert(&t, &row, a, out, iov) != 0) {
        return 0;
    }
    for (unsigned i = 0; i < row.nargs; i++) {
        uint64_t next = i < 5 ? a[i + 1] : 0;
        switch (row.args[i]) {
        case ARG_fd:
        case ARG_dirfd:
            CHECK((int)a[i] < TOP_FD);
            break;
        case ARG_inbuf:
        case ARG_outbuf:
        case ARG_outstr:
            check_pointer(out[i], i + 1 < row.nargs && row.args[i + 1] == ARG_size ? out[i + 1] : next);
            break;
        case ARG_size:
            CHECK(out[i] <= a[i]);
            break;
        case ARG_iovec_in:
        case ARG_iovec_out:
            CHECK(out[i] == (uintptr_t)iov && next <= IOV_MAX);
            for (uint64_t k = 0; k < next; k++) {
                check_pointer((uintptr_t)iov[k].iov_base, iov[k].iov_len);
            }
            break;
        default:
            if (arg_classes[row.args[i]] >= ARG_CLASS_IN) {
                check_pointer(out[i], 0);
            } else {
                CHECK(out[i] == a[i]);
            }
        }
    }
    return 0;
}
