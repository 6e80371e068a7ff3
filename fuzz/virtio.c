/*
 * virtio.c - a driver that writes any registers, rings and messages, in any order
 *
 * covers: src/device/virtio.c src/device/virtio_mmio.c src/device/virtio_console.c src/device/virtio_balloon.c src/device/virtio_rng.c
 *     src/device/virtio_blk.c src/device/virtio_input.c
 *
 * The first byte chooses a device, packed rings or not, event indices or not; it is set up as a driver does it, unless that byte says not
 * to. The rest are steps: a chain of buffers that is mostly right, words of memory and registers that are any, what comes from outside.
 * All is over when the device has been reset: then it has no page in hand, and answers.
 */
#include "base/check.h"
#include "block/block.h"
#include "device/virtio_devices.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define RAM       UINT64_C(0x80000000)
#define RAM_BYTES (UINT64_C(1) << 20)
#define BASE      UINT64_C(0x10001000)
#define RINGS     0x10000 /* bytes of RAM, from the beginning, that the queues take: 0x1000 each */
#define NUM       8
#define DISK      (UINT64_C(64) << 10)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { CONSOLE, BALLOON, RNG, BLK, INPUT, KINDS };

static struct physmap pm_;
static struct device *devices_[KINDS];
static struct chardev lines_[3];

static struct step {
    const uint8_t *at;
    size_t n;
    uint64_t base;
    unsigned queues;
    bool packed;
    uint16_t next[VIRTIO_QUEUES_MAX]; /* of the ring: index, with the wrap bit at 15 */
} s_;

static uint8_t
next(void)
{
    return s_.n > 0 ? s_.n--, *s_.at++ : 0;
}

/* A number: small, one that matters, or any. */
static uint64_t
number(void)
{
    static const uint64_t some[] = {0, 1, 8, 16, 256, 511, 512, 4096, 0x7fffffff, 0xffffffff, 0xfffffff0, UINT64_MAX, RAM, RAM + RAM_BYTES - 1,
                                    RAM - 1, RAM + 0x20000, UINT64_MAX - 511, UINT64_C(1) << 63, RAM_BYTES, DISK / 512};
    const uint8_t how = next();
    uint64_t v = how < 0x80 ? how : some[how % ARRAY_LEN(some)];
    for (unsigned i = 0; how >= 0xf0 && i < 8; i++) {
        v = v << 8 | next();
    }
    return v;
}

static void
set(unsigned off, uint64_t v)
{
    CHECK(physmap_io_write(&pm_, s_.base + off, 4, v & UINT32_MAX));
}

static uint64_t
get(unsigned off)
{
    uint64_t v;
    CHECK(physmap_io_read(&pm_, s_.base + off, 4, &v));
    return v;
}

static void
make(void)
{
    struct err e;
    physmap_init(&pm_);
    CHECK(physmap_add_ram(&pm_, RAM, RAM_BYTES, &e) == 0);
    struct virtio_place at[KINDS];
    for (unsigned i = 0; i < KINDS; i++) {
        at[i] = (struct virtio_place){.pm = &pm_, .base = BASE + i * 0x1000, .packed = true};
    }
    struct virtio_console_port ports[3];
    for (unsigned i = 0; i < 3; i++) {
        chardev_init(&lines_[i]);
        ports[i] = (struct virtio_console_port){&lines_[i], i == 2 ? "name" : NULL, true};
    }
    char path[64];
    struct block *block;
    const int file = memfd_create("disk", MFD_CLOEXEC);
    snprintf(path, sizeof path, "/proc/self/fd/%d", file);
    CHECK(ftruncate(file, DISK) == 0 && block_open(&(struct block_spec){.file = path, .format = "raw"}, &block, &e) == 0);
    devices_[CONSOLE] = virtio_console_new(&at[CONSOLE], ports, 3, &e);
    devices_[BALLOON] = virtio_balloon_new(&at[BALLOON], 1 << 19, &e);
    devices_[RNG] = virtio_rng_new(&at[RNG], &e);
    devices_[BLK] = virtio_blk_new(&at[BLK], block, "serial", &e);
    devices_[INPUT] = virtio_input_new(&at[INPUT], &e);
    for (unsigned i = 0; i < KINDS; i++) {
        CHECK(devices_[i] != NULL);
    }
}

/* As a driver does it (§3.1.1), but that all features are taken but those in `without`. */
static void
start(uint64_t without)
{
    set(0x70, 0);
    set(0x70, 3);
    for (unsigned half = 0; half < 2; half++) {
        set(0x14, half);
        set(0x24, half);
        set(0x20, get(0x10) & ~(without >> 32 * half));
    }
    set(0x70, 11);
    for (unsigned q = 0; q < s_.queues; q++) {
        set(0x30, q);
        set(0x38, NUM);
        set(0x80, RAM + q * 0x1000);
        set(0x90, RAM + q * 0x1000 + 0x400);
        set(0xa0, RAM + q * 0x1000 + 0x800);
        set(0x84, 0);
        set(0x94, 0);
        set(0xa4, 0);
        set(0x44, 1);
        s_.next[q] = 0x8000;
    }
    set(0x70, 15);
}

/* A message that the device may understand: how many bytes of it. */
static size_t
message(unsigned kind, uint8_t *to)
{
    uint32_t word[8] = {0};
    switch (kind) {
    case CONSOLE:
        word[0] = next() % 5;
        word[1] = next() % 9u | (uint32_t)(next() % 3) << 16;
        memcpy(to, word, 8);
        return next() & 1 ? 8 + next() % 8u : 0x400; /* so that what the console shows waits for somebody to look */
    case BALLOON:
        for (unsigned i = 0; i < 8; i++) {
            word[i] = (uint32_t)(number() & 1 ? number() : (RAM >> 12) + 0x40 + next() % 64);
        }
        memcpy(to, word, sizeof word);
        return next() % (sizeof word + 1);
    case BLK:
        word[0] = next() % 14;
        memcpy(word + 2, &(uint64_t){number()}, 8);
        memcpy(word + 4, &(uint64_t){number()}, 8); /* of a range */
        word[6] = (uint32_t)number();
        word[7] = next() & 3;
        memcpy(to, word, sizeof word);
        return word[0] > 8 ? sizeof word : 16;
    }
    return next();
}

struct desc {
    uint64_t addr;
    uint32_t len;
    uint16_t flags, next; /* packed: the id comes first */
};

static void
put_desc(uint64_t at, struct desc d)
{
    if (s_.packed) {
        const uint16_t id = d.next;
        d.next = d.flags;
        d.flags = id;
    }
    memcpy((uint8_t *)physmap_ram(&pm_, at, sizeof d), &d, sizeof d);
}

/* A chain for queue q: how many buffers, which are written by the device; perhaps in a table of its own. */
static void
offer(unsigned kind)
{
    const unsigned q = next() % s_.queues, how = next(), n = 1 + how % 4;
    const bool indirect = (how & 0x10) != 0;
    const uint64_t ring = RAM + q * 0x1000, table = RAM + 0x18000;
    uint16_t *const at = &s_.next[q];
    const unsigned head = *at % NUM;
    const uint16_t wrap = *at & 0x8000 ? 0x80 : 0x8000; /* of a packed ring: AVAIL set, USED not; or the other way round */
    for (unsigned i = 0; i < n; i++) {
        const uint64_t buffer = RAM + 0x20000 + (next() % 64u) * 0x400;
        const size_t len = message(kind, physmap_ram(&pm_, buffer, 0x400));
        const bool last = i + 1 == n, in = i > 0 && (how >> (4 + i) & 1);
        const unsigned slot = indirect ? i : (head + i) % NUM;
        struct desc d = {buffer, in ? (next() & 1 ? 512u : next()) : (uint32_t)len, (uint16_t)((last ? 0 : 1) | (in || (how & 8 && n == 1) ? 2 : 0)),
                         s_.packed ? (uint16_t)head : (uint16_t)(indirect ? i + 1 : (head + i + 1) % NUM)};
        if (!indirect && s_.packed) {
            d.flags |= (head + i) < NUM ? wrap : wrap ^ 0x8080;
        }
        if (how >= 0xf8 && i == n / 2) { /* one that is not right */
            d.addr = number();
            d.len = (uint32_t)number();
            d.flags ^= next() & 7;
        }
        put_desc((indirect ? table : ring) + 16 * slot, d);
    }
    if (indirect) {
        put_desc(ring + 16 * head, (struct desc){table, 16 * n, (uint16_t)(4 | (s_.packed ? wrap : 0)), (uint16_t)head});
    }
    const unsigned took = indirect ? 1 : n;
    if (!s_.packed) {
        uint16_t *const avail = physmap_ram(&pm_, ring + 0x400, 6 + 2 * NUM);
        avail[2 + avail[1] % NUM] = (uint16_t)head;
        avail[2 + NUM] = next() & 1 ? avail[1] : 0; /* used_event */
        __atomic_store_n(&avail[1], (uint16_t)(avail[1] + 1), __ATOMIC_RELEASE);
    }
    *at = (uint16_t)((*at & 0x8000) ^ (head + took >= NUM ? 0x8000 : 0)) | (uint16_t)((head + took) % NUM);
    set(0x50, q);
}

static void
outside(unsigned kind)
{
    static uint8_t bytes[1024];
    const uint8_t how = next();
    uint64_t stats[VIRTIO_BALLOON_STATS];
    if (kind == CONSOLE) {
        struct chardev *const c = &lines_[how % 3];
        chardev_input(c, bytes, next());
        chardev_drop(c, chardev_peek(c, bytes, sizeof bytes));
        if (c->ready != NULL) {
            c->ready(c->front_arg);
        }
        if (how & 0x10) {
            virtio_console_resize(devices_[CONSOLE], how % 3, next(), 24);
            virtio_console_connect(devices_[CONSOLE], how % 3, how & 0x20);
        }
    } else if (kind == INPUT) {
        virtio_input_press(devices_[INPUT]);
    } else if (kind == BALLOON) {
        virtio_balloon_want(devices_[BALLOON], number());
        virtio_balloon_stats(devices_[BALLOON], stats);
        CHECK(virtio_balloon_has(devices_[BALLOON]) <= RAM_BYTES);
    }
}

static void
step(unsigned kind)
{
    static const uint16_t regs[] = {0x10, 0x14, 0x20, 0x24, 0x30, 0x38, 0x44, 0x50, 0x60, 0x64, 0x70, 0x80, 0x84, 0x90, 0x94, 0xa0, 0xa4, 0xfc,
                                    0x100, 0x104, 0x108, 0x120, 0x124, 0x13c, 0xb0};
    const uint8_t how = next();
    uint64_t v;
    switch (how % 16) {
    case 0:
        set(regs[next() % ARRAY_LEN(regs)], number());
        break;
    case 1:
        get(regs[next() % ARRAY_LEN(regs)]);
        physmap_io_read(&pm_, s_.base + 0x100 + (next() & 63), 1u << next() % 4, &v);
        break;
    case 2: /* a word of a ring */
        v = number();
        memcpy((uint8_t *)physmap_ram(&pm_, RAM, RINGS) + (next() % s_.queues) * 0x1000 + (next() % 3u) * 0x400 + next() % 128u, &v, 2u << how / 128);
        break;
    case 3:
        outside(kind);
        break;
    case 4:
        start(next() == 0 ? VIRTIO_F_EVENT_IDX : 0);
        break;
    case 5:
        physmap_io_write(&pm_, s_.base + 0x100 + (next() & 63), 1u << next() % 4, number());
        break;
    case 6: /* another ring, while the device may be at work on the first */
        set(0x30, next() % s_.queues);
        set(0x44, 0);
        set(0x38, 1 + next() % 8);
        set(0x80, RAM + (how & 0x80 ? RAM_BYTES - 16 : next() * 16u));
        set(0x44, 1);
        break;
    default:
        offer(kind);
    }
}

/* Where a packed ring goes on is inside of it. */
static void
look(struct device *d)
{
    const struct virtio_state *v = &((struct virtio *)d)->s;
    device_lock(d);
    for (unsigned q = 0; q < s_.queues && (v->driver_features & VIRTIO_F_RING_PACKED); q++) {
        CHECK(!v->ready[q] || (v->next_used[q] < v->num[q] && v->next_avail[q] < v->num[q]));
    }
    device_unlock(d);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const unsigned queues[KINDS] = {8, 4, 1, 1, 2};
    if (pm_.ram_bytes == 0) {
        make();
    }
    s_ = (struct step){.at = data, .n = size};
    const uint8_t how = next();
    const unsigned kind = how % KINDS;
    s_.base = BASE + kind * 0x1000;
    s_.queues = queues[kind];
    s_.packed = (how & 0x10) != 0;
    memset(physmap_ram(&pm_, RAM, RINGS), 0, RINGS);
    if (how < 0xf0) {
        start((s_.packed ? 0 : VIRTIO_F_RING_PACKED) | (how & 0x20 ? VIRTIO_F_EVENT_IDX : 0) | (how & 0x40 ? 0xffff : 0));
        CHECK((get(0x70) & 0x4f) == 15);
    }
    while (s_.n > 0) {
        step(kind);
        look(devices_[kind]);
    }
    set(0x70, 0);
    CHECK(get(0x70) == 0 && get(0x60) == 0 && ((struct virtio *)devices_[kind])->inflight == 0);
    for (unsigned i = 0; i < 3; i++) { /* no input is left for the next one */
        static uint8_t bytes[8192];
        chardev_drop(&lines_[i], chardev_peek(&lines_[i], bytes, sizeof bytes));
        chardev_read(&lines_[i], bytes, sizeof bytes);
    }
    return 0;
}
