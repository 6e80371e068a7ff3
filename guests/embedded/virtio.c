/*
 * virtio.c - virtio over MMIO: who is there; a few random bytes, the first sector of a disk
 *
 * Virtio 1.3, "Virtio Over MMIO", and its legacy form, which QEMU's virt has by default.
 */
#include "guest.h"

enum { MAGIC = 0, VERSION = 4, DEVICE = 8, FEATURES = 0x10, FEATURES_SEL = 0x14, ACCEPTED = 0x20, ACCEPTED_SEL = 0x24, PAGE_SIZE = 0x28,
       QUEUE_SEL = 0x30, QUEUE_MAX = 0x34, QUEUE_NUM = 0x38, QUEUE_ALIGN = 0x3c, QUEUE_PFN = 0x40, QUEUE_READY = 0x44, NOTIFY = 0x50,
       IRQ_STATUS = 0x60, IRQ_ACK = 0x64, STATUS = 0x70, QUEUE_DESC = 0x80, QUEUE_DRIVER = 0x90, QUEUE_DEVICE = 0xa0, CONFIG = 0x100 };

#define SIZE 8
static struct {
    struct {
        u64 address;
        uint32_t len;
        uint16_t flags, next;
    } desc[SIZE];
    struct {
        volatile uint16_t flags, index, ring[SIZE];
    } avail;
    char pad[PAGE - 16 * SIZE - 4 - 2 * SIZE];
    struct {
        volatile uint16_t flags, index;
        struct {
            volatile uint32_t id, len;
        } ring[SIZE];
    } used;
} queue __attribute__((aligned(PAGE)));

/* A device with one queue, from reset to running. */
static bool
begin(u64 base)
{
    const bool legacy = io_read(base + VERSION) == 1;
    io_write(base + STATUS, 0);
    io_write(base + STATUS, 1 | 2);
    io_write(base + ACCEPTED_SEL, 0);
    io_write(base + ACCEPTED, 0);
    if (!legacy) {
        io_write(base + FEATURES_SEL, 1);
        if ((io_read(base + FEATURES) & 1) == 0) { /* VERSION_1 */
            return false;
        }
        io_write(base + ACCEPTED_SEL, 1);
        io_write(base + ACCEPTED, 1);
        io_write(base + STATUS, 1 | 2 | 8);
        if ((io_read(base + STATUS) & 8) == 0) {
            return false;
        }
    }
    memset(&queue, 0, sizeof queue);
    io_write(base + QUEUE_SEL, 0);
    if (io_read(base + QUEUE_MAX) < SIZE) {
        return false;
    }
    io_write(base + QUEUE_NUM, SIZE);
    if (legacy) {
        io_write(base + PAGE_SIZE, PAGE);
        io_write(base + QUEUE_ALIGN, PAGE);
        io_write(base + QUEUE_PFN, (uint32_t)((u64)&queue / PAGE));
    } else {
        const u64 parts[] = { (u64)queue.desc, (u64)&queue.avail, (u64)&queue.used };
        for (unsigned i = 0; i < 3; i++) {
            io_write(base + QUEUE_DESC + 0x10 * i, (uint32_t)parts[i]);
            io_write(base + QUEUE_DESC + 0x10 * i + 4, (uint32_t)(parts[i] >> 32));
        }
        io_write(base + QUEUE_READY, 1);
    }
    io_write(base + STATUS, 1 | 2 | 4 | (legacy ? 0 : 8));
    return true;
}

/* Offer the chain that starts at desc[0]; wait until it has been used. */
static bool
offer(u64 base)
{
    const uint16_t before = queue.used.index;
    queue.avail.ring[queue.avail.index % SIZE] = 0;
    __asm__ volatile("fence" ::: "memory");
    queue.avail.index++;
    __asm__ volatile("fence" ::: "memory");
    io_write(base + NOTIFY, 0);
    const bool used = WAIT_FOR(queue.used.index != before);
    __asm__ volatile("fence" ::: "memory");
    io_write(base + IRQ_ACK, io_read(base + IRQ_STATUS));
    return used;
}

static void
piece(unsigned i, const volatile void *at, uint32_t len, bool device_writes, bool more)
{
    queue.desc[i].address = (u64)at;
    queue.desc[i].len = len;
    queue.desc[i].flags = (uint16_t)(device_writes << 1 | more);
    queue.desc[i].next = (uint16_t)(i + 1);
}

static void
test_rng(u64 base)
{
    static volatile u64 bytes[2][4];
    bool good = begin(base);
    for (unsigned i = 0; i < 2 && good; i++) {
        piece(0, bytes[i], sizeof bytes[i], true, false);
        good = offer(base) && queue.used.ring[i].len != 0;
    }
    check(good && bytes[0][0] != bytes[1][0], "rng: bytes that differ");
}

static void
test_blk(u64 base)
{
    static struct {
        uint32_t type, zero;
        u64 sector;
    } request;
    static volatile uint8_t sector[512], status;
    const u64 sectors = io_read(base + CONFIG) | (u64)io_read(base + CONFIG + 4) << 32;
    bool good = begin(base);
    request.sector = 0;
    status = 99;
    piece(0, &request, sizeof request, false, true);
    piece(1, sector, sizeof sector, true, true);
    piece(2, &status, 1, true, false);
    check(good && sectors != 0 && offer(base) && status == 0, "blk: the first sector is read");
    request.sector = sectors;
    status = 99;
    check(good && offer(base) && status == 1, "blk: the one behind the last is an error");
    io_write(base + STATUS, 0);
    print("     a disk of %ld sectors\n", sectors);
}

void
test_virtio(void)
{
    static const char *const kinds[] = { "nothing", "net", "blk", "console", "rng", "balloon", "?", "?", "scsi", "9p", "?", "?", "?",
                                         "?", "?", "?", "gpu", "?", "input", "vsock", "crypto", "?", "?", "?", "?", "?", "fs" };
    unsigned slots = 0, there = 0;
    bool good = true;
    subject("virtio");
    for (const struct device *d = NULL; (d = device_find("virtio,mmio", d)) != NULL; slots++) {
        good &= io_read(d->base + MAGIC) == 0x74726976 && (io_read(d->base + VERSION) == 1 || io_read(d->base + VERSION) == 2);
        const uint32_t kind = io_read(d->base + DEVICE);
        if (kind == 0) {
            continue;
        }
        there++;
        print("     %s at 0x%lx, version %d\n", kind < sizeof kinds / sizeof *kinds ? kinds[kind] : "?", d->base,
              io_read(d->base + VERSION));
        if (kind == 4) {
            test_rng(d->base);
        } else if (kind == 2) {
            test_blk(d->base);
        }
    }
    if (slots == 0) {
        skipped("slots", "there are none");
        return;
    }
    check(good, "every slot says virt");
    print("     %d slots, %d devices\n", slots, there);
}
