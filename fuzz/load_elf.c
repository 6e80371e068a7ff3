/*
 * load_elf.c - any file as a riscv64 program: what is refused, and what is mapped of the rest
 *
 * covers: src/process/load_elf.c
 *
 * The address space is a fake that allows what map.c allows: every mapping must lie inside the guest's addresses, whole
 * and aligned; every write of zeros must go where something has been mapped.
 */
#include "base/check.h"
#include "process/load_elf.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

uint64_t guest_base;
static gva_t low, high; /* what has been mapped */
static unsigned calls;

uint64_t
map_random_offset(const struct map *m)
{
    (void)m;
    return calls * GUEST_PAGE;
}

int64_t
map_mmap(struct map *m, gva_t addr, uint64_t len, int prot, int flags, int fd, uint64_t off)
{
    (void)m;
    CHECK((prot & ~7) == 0 && (fd >= 0 || (flags & MAP_ANONYMOUS)) && ++calls < 10000);
    if (len == 0 || off % GUEST_PAGE != 0 || addr % GUEST_PAGE != 0) {
        return -EINVAL;
    }
    if (len > GUEST_TASK_TOP) {
        return -ENOMEM;
    }
    if (!(flags & (MAP_FIXED | MAP_FIXED_NOREPLACE))) {
        return (int64_t)((GUEST_TASK_TOP - len) & -(uint64_t)GUEST_PAGE);
    }
    CHECK(addr <= GUEST_TASK_TOP);
    if (len > GUEST_TASK_TOP - addr) {
        return -ENOMEM;
    }
    low = addr < low ? addr : low;
    high = addr + len > high ? addr + len : high;
    return (int64_t)addr;
}

int64_t
map_munmap(struct map *m, gva_t addr, uint64_t len)
{
    (void)m;
    CHECK(addr % GUEST_PAGE == 0 && guest_range_ok(addr, len));
    return 0;
}

int
guest_write(gva_t to, const void *src, size_t len)
{
    (void)src;
    CHECK(len < GUEST_PAGE && to >= low && to + len <= ((high + GUEST_PAGE - 1) & -(uint64_t)GUEST_PAGE));
    return to & 1 ? -EFAULT : 0;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct elf_image im;
    struct err e = {""};
    int fd = memfd_create("elf", 0);
    CHECK(fd >= 0 && write(fd, data, size) == (ssize_t)size);
    for (int interp = 0; interp < 2; interp++) {
        struct elf_mapped out;
        calls = 0;
        low = GUEST_TOP;
        high = 0;
        e.text[0] = 0;
        int r = elf_read(&im, elf_read_fd, &fd, interp, &e);
        CHECK((r < 0) == (e.text[0] != 0));
        if (r == 0) {
            CHECK(!im.has_interp || memchr(im.interp, 0, sizeof im.interp) != NULL);
            r = elf_map(NULL, &im, fd, interp ? ELF_AT_MMAP_BASE : ELF_AT_PIE_BASE, &out, &e);
            CHECK((r < 0) == (e.text[0] != 0));
            CHECK(r < 0 || (out.entry < GUEST_TASK_TOP && out.end <= GUEST_TASK_TOP));
        } else {
            elf_foreign_machine(data, size);
        }
    }
    close(fd);
    return 0;
}
