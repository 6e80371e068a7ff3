/*
 * physmap.c - see physmap.h
 */
#include "memory/physmap.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25 /* Linux 6.1; libc's headers may be older */
#endif
#define GUARD_BYTES (UINT64_C(2) << 20) /* beside RAM; also what RAM is aligned to, for huge pages */

void
physmap_init(struct physmap *pm)
{
    memset(pm, 0, sizeof *pm);
    pm->ram_fd = -1;
}

/* A place among the regions, in order. */
static int
add(struct physmap *pm, const struct physmap_region *r, struct err *e)
{
    const uint64_t bad = (r->base | r->bytes) % (r->kind == REGION_IO ? 8 : PHYSMAP_PAGE);
    if (bad != 0 || r->bytes == 0 || r->base >= PHYSMAP_TOP || r->bytes > PHYSMAP_TOP - r->base) {
        return err_set(e, -EINVAL, "%s at 0x%llx", r->name, (unsigned long long)r->base);
    }
    if (pm->n_regions == PHYSMAP_REGION_MAX) {
        return err_set(e, -ENOSPC, "%s: %d regions", r->name, PHYSMAP_REGION_MAX);
    }
    unsigned at = 0;
    while (at < pm->n_regions && pm->regions[at].base < r->base) {
        at++;
    }
    const struct physmap_region *below = at > 0 ? &pm->regions[at - 1] : NULL;
    const struct physmap_region *above = at < pm->n_regions ? &pm->regions[at] : NULL;
    if ((below != NULL && below->base + below->bytes > r->base) || (above != NULL && r->base + r->bytes > above->base)) {
        return err_set(e, -EEXIST, "%s at 0x%llx", r->name, (unsigned long long)r->base);
    }
    memmove(&pm->regions[at + 1], &pm->regions[at], (pm->n_regions - at) * sizeof *r);
    memcpy(&pm->regions[at], r, sizeof *r);
    pm->n_regions++;
    return 0;
}

int
physmap_add_ram(struct physmap *pm, gpa_t base, uint64_t bytes, struct err *e)
{
    if (pm->ram_bytes != 0 || bytes > PHYSMAP_RAM_MAX) {
        return err_set(e, -EINVAL, "memory of %llu bytes", (unsigned long long)bytes);
    }
    const int fd = memfd_create("guest memory", MFD_CLOEXEC);
    if (fd < 0 || ftruncate(fd, (off_t)bytes) != 0) {
        const int r = err_set(e, -errno, "guest memory");
        if (fd >= 0) {
            close(fd);
        }
        return r;
    }
    int r;
    uint16_t *heat = calloc((bytes >> 21) + 1, sizeof *heat);
    if (heat == NULL) {
        r = err_set(e, -ENOMEM, "guest memory");
        goto close_fd;
    }
    const size_t reserved = bytes + 3 * GUARD_BYTES;
    uint8_t *p = mmap(NULL, reserved, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (p == MAP_FAILED) {
        r = err_set(e, -errno, "address space for guest memory");
        goto free_heat;
    }
    uint8_t *ram = (uint8_t *)(((uintptr_t)p + 2 * GUARD_BYTES - 1) & -(uintptr_t)GUARD_BYTES);
    if (mmap(ram, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED | MAP_NORESERVE, fd, 0) == MAP_FAILED) {
        r = err_set(e, -errno, "map guest memory");
        goto unmap;
    }
    r = add(pm, &(struct physmap_region){.base = base, .bytes = bytes, .kind = REGION_RAM, .name = "ram"}, e);
    if (r < 0) {
        goto unmap;
    }
    munmap(p, (size_t)(ram - GUARD_BYTES - p));
    munmap(ram + bytes + GUARD_BYTES, (size_t)(p + reserved - (ram + bytes + GUARD_BYTES)));
    pm->ram = ram;
    pm->ram_base = base;
    pm->ram_bytes = bytes;
    pm->ram_fd = fd;
    pm->heat = heat;
    return 0;

unmap:
    munmap(p, reserved);
free_heat:
    free(heat);
close_fd:
    close(fd);
    return r;
}

void
physmap_fini(struct physmap *pm)
{
    if (pm->ram_bytes != 0) {
        munmap(pm->ram - GUARD_BYTES, pm->ram_bytes + 2 * GUARD_BYTES);
        close(pm->ram_fd);
        free(pm->heat);
    }
    physmap_init(pm);
}

void
physmap_collapse(struct physmap *pm, gpa_t gpa)
{
    const uint64_t off = (gpa - pm->ram_base) & -(UINT64_C(2) << 20);
    const bool done = pm->ram_bytes - off >= UINT64_C(2) << 20 && madvise(pm->ram + off, (size_t)2 << 20, MADV_COLLAPSE) == 0;
    atomic_fetch_add_explicit(done ? &pm->huge : &pm->not_huge, 1, memory_order_relaxed);
}

int
physmap_add_rom(struct physmap *pm, const char *name, gpa_t base, uint64_t bytes, void *mem, const struct io_ops *ops, void *dev,
                struct err *e)
{
    return add(pm,
               &(struct physmap_region){
                   .base = base, .bytes = bytes, .kind = REGION_ROM, .name = name, .mem = mem, .ops = ops, .dev = dev},
               e);
}

int
physmap_add_io(struct physmap *pm, const char *name, gpa_t base, uint64_t bytes, const struct io_ops *ops, void *dev, struct err *e)
{
    return add(pm, &(struct physmap_region){.base = base, .bytes = bytes, .kind = REGION_IO, .name = name, .ops = ops, .dev = dev}, e);
}

struct physmap_region *
physmap_find(struct physmap *pm, gpa_t gpa)
{
    unsigned low = 0, high = pm->n_regions; /* the last region that starts at or below gpa is in [low - 1, high) */
    while (low < high) {
        const unsigned mid = (low + high) / 2;
        if (pm->regions[mid].base <= gpa) {
            low = mid + 1;
        } else {
            high = mid;
        }
    }
    struct physmap_region *r = low > 0 ? &pm->regions[low - 1] : NULL;
    return r != NULL && gpa - r->base < r->bytes ? r : NULL;
}

void
physmap_rom_show(struct physmap *pm, gpa_t base, bool visible)
{
    struct physmap_region *r = physmap_find(pm, base);
    if (r != NULL && r->kind == REGION_ROM) {
        atomic_store_explicit(&r->hidden, !visible, memory_order_release);
    }
}

const void *
physmap_readable(struct physmap *pm, gpa_t gpa, uint64_t bytes)
{
    const void *p = physmap_ram(pm, gpa, bytes);
    if (p != NULL) {
        return p;
    }
    const struct physmap_region *r = physmap_find(pm, gpa);
    if (r == NULL || r->kind != REGION_ROM || bytes > r->bytes - (gpa - r->base) ||
        atomic_load_explicit(&r->hidden, memory_order_acquire)) {
        return NULL;
    }
    return r->mem + (gpa - r->base);
}

/* The region whose callbacks are to hear of an access, or NULL. */
static struct physmap_region *
device_at(struct physmap *pm, gpa_t gpa, unsigned size)
{
    struct physmap_region *r = physmap_find(pm, gpa);
    return r != NULL && r->ops != NULL && (r->ops->sizes & size) != 0 && gpa % size == 0 ? r : NULL;
}

bool
physmap_io_read(struct physmap *pm, gpa_t gpa, unsigned size, uint64_t *v)
{
    const void *p = physmap_readable(pm, gpa, size);
    if (p != NULL) {
        *v = 0;
        memcpy(v, p, size);
        return true;
    }
    struct physmap_region *r = device_at(pm, gpa, size);
    if (r == NULL) {
        return false;
    }
    atomic_fetch_add_explicit(&r->reads, 1, memory_order_relaxed);
    *v = r->ops->read(r->dev, gpa - r->base, size);
    if (size < 8) {
        *v &= (UINT64_C(1) << 8 * size) - 1;
    }
    return true;
}

bool
physmap_io_write(struct physmap *pm, gpa_t gpa, unsigned size, uint64_t v)
{
    void *p = physmap_ram(pm, gpa, size);
    if (p != NULL) {
        memcpy(p, &v, size);
        return true;
    }
    struct physmap_region *r = device_at(pm, gpa, size);
    if (r == NULL) {
        return false;
    }
    atomic_fetch_add_explicit(&r->writes, 1, memory_order_relaxed);
    r->ops->write(r->dev, gpa - r->base, size, size < 8 ? v & ((UINT64_C(1) << 8 * size) - 1) : v);
    return true;
}

bool
physmap_read(struct physmap *pm, gpa_t gpa, void *to, uint64_t bytes)
{
    const void *p = physmap_readable(pm, gpa, bytes);
    if (p != NULL) {
        memcpy(to, p, bytes);
    }
    return p != NULL;
}

bool
physmap_write(struct physmap *pm, gpa_t gpa, const void *from, uint64_t bytes)
{
    void *p = physmap_ram(pm, gpa, bytes);
    if (p != NULL) {
        memcpy(p, from, bytes);
    }
    return p != NULL;
}

void
physmap_discard(struct physmap *pm, gpa_t gpa, uint64_t bytes)
{
    if (physmap_ram(pm, gpa, bytes) == NULL) {
        return;
    }
    const uint64_t off = gpa - pm->ram_base;
    const uint64_t start = (off + PHYSMAP_PAGE - 1) & -PHYSMAP_PAGE, end = (off + bytes) & -PHYSMAP_PAGE;
    if (start < end) {
        fallocate(pm->ram_fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)start, (off_t)(end - start));
    }
}
