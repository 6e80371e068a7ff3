/*
 * hostile.c - rings of random content, with messages that are nearly right, against the devices that work on threads of their own
 *
 * Nothing is expected but that the devices live, answer their registers, and end when they are told to. ROUNDS of each; SEED in the
 * environment repeats one.
 */
#include "base/nondet.h"
#include "device/virtio_devices.h"

#include "fake.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define BASE   UINT64_C(0x10008000)
#define NUM    16
#define ROUNDS 50000

struct fixture {
    struct fake f;
    struct device *d;
    uint64_t state;
    unsigned queues;
    char dir[64];
    struct chardev lines[3];
    /* a message of this kind of device, as far as it has a form: how many bytes */
    size_t (*message)(struct fixture *x, uint8_t *to);
};

static uint64_t
any(struct fixture *x)
{
    x->state ^= x->state << 13;
    x->state ^= x->state >> 7;
    x->state ^= x->state << 17;
    return (x->state * UINT64_C(0x2545f4914f6cdd1d)) >> 16;
}

static void
set(struct fixture *x, unsigned off, uint32_t v)
{
    fake_write(&x->f, BASE + off, 4, v);
}

static uint8_t *
ram(struct fixture *x, uint64_t off)
{
    return physmap_ram(&x->f.pm, FAKE_RAM + off, 0);
}

/* Queue q: descriptors at q * 0x1000, then the rings; buffers from 0x40000 on. */
static void
start(struct fixture *x)
{
    set(x, 0x70, 0);
    set(x, 0x70, 3);
    set(x, 0x24, 1);
    set(x, 0x20, 1);
    set(x, 0x24, 0);
    set(x, 0x20, (uint32_t)(fake_read(&x->f, BASE + 0x10, 4) & any(x)));
    set(x, 0x70, 11);
    for (unsigned q = 0; q < x->queues; q++) {
        memset(ram(x, q * 0x1000), 0, 0x1000);
        set(x, 0x30, q);
        set(x, 0x38, NUM);
        set(x, 0x80, (uint32_t)(FAKE_RAM + q * 0x1000));
        set(x, 0x90, (uint32_t)(FAKE_RAM + q * 0x1000 + 0x400));
        set(x, 0xa0, (uint32_t)(FAKE_RAM + q * 0x1000 + 0x800));
        set(x, 0x44, 1);
    }
    set(x, 0x70, 15);
}

/* One or a few buffers into a queue: mostly in order and in RAM. */
static void
offer(struct fixture *x, unsigned q)
{
    uint8_t *const desc = ram(x, q * 0x1000);
    uint16_t *const avail = (uint16_t *)ram(x, q * 0x1000 + 0x400);
    const uint16_t head = (uint16_t)(any(x) % NUM);
    unsigned at = head;
    for (unsigned i = 0, n = 1 + (unsigned)(any(x) % 3); i < n; i++) {
        const uint64_t buffer = 0x40000 + any(x) % 64 * 0x1000, r = any(x);
        uint8_t message[512] = {0};
        const size_t len = x->message(x, message);
        memcpy(ram(x, buffer), message, sizeof message);
        struct {
            uint64_t addr;
            uint32_t len;
            uint16_t flags, next;
        } d = {FAKE_RAM + buffer, r % 8 == 0 ? 4096 : (uint32_t)len, (uint16_t)((i + 1 < n) | (r >> 8 & 2)), (uint16_t)((at + 1) % NUM)};
        if (r % 64 == 1) {
            d.addr = any(x);
            d.len = (uint32_t)any(x);
            d.flags = any(x) & 7;
        }
        memcpy(desc + 16 * at, &d, sizeof d);
        at = (at + 1) % NUM;
    }
    avail[2 + avail[1] % NUM] = head;
    __atomic_store_n(&avail[1], (uint16_t)(avail[1] + (any(x) % 128 == 0 ? any(x) : 1)), __ATOMIC_RELEASE);
    set(x, 0x50, q);
}

static void
attack(struct fixture *x, void (*outside)(struct fixture *x))
{
    const char *seed = getenv("SEED");
    x->state = seed != NULL ? strtoull(seed, NULL, 0) : nondet_mono_ns() | 1;
    printf("# seed %llu\n", (unsigned long long)x->state);
    start(x);
    for (unsigned i = 0; i < ROUNDS; i++) {
        offer(x, (unsigned)(any(x) % x->queues));
        if (any(x) % 16 == 0 || (fake_read(&x->f, BASE + 0x70, 4) & 64)) {
            start(x);
        }
        if (any(x) % 64 == 0) {
            set(x, 0x30, (uint32_t)(any(x) % x->queues));
            set(x, 0x44, (uint32_t)(any(x) & 1));
        }
        if (any(x) % 8 == 0 && outside != NULL) {
            outside(x);
        }
    }
    set(x, 0x70, 0);
    assert_int_equal(fake_read(&x->f, BASE + 0x70, 4), 0);
    x->d->type->free(x->d);
    physmap_fini(&x->f.pm);
}

static struct virtio_place
place(struct fixture *x)
{
    fake_init(&x->f);
    return (struct virtio_place){.pm = &x->f.pm, .base = BASE, .irq = fake_irq(&x->f, 8)};
}

/* ---- console ---- */

static size_t
console_message(struct fixture *x, uint8_t *to)
{
    const uint32_t id = (uint32_t)(any(x) % 5);
    const uint16_t event[2] = {(uint16_t)(any(x) % 9), (uint16_t)(any(x) % 3)};
    memcpy(to, &id, 4);
    memcpy(to + 4, event, 4);
    return any(x) % 4 == 0 ? any(x) % 512 : 8;
}

static void
console_outside(struct fixture *x)
{
    const unsigned port = (unsigned)(any(x) % 3);
    chardev_input(&x->lines[port], "some input", any(x) % 11);
    chardev_drop(&x->lines[port], chardev_peek(&x->lines[port], (uint8_t[1000]){0}, any(x) % 1000));
    virtio_console_resize(x->d, port, (unsigned)(any(x) % 200), 24);
    virtio_console_connect(x->d, port, any(x) & 1);
}

static void
console(void **state)
{
    static struct fixture x;
    (void)state;
    struct virtio_console_port ports[3];
    for (unsigned i = 0; i < 3; i++) {
        chardev_init(&x.lines[i]);
        ports[i] = (struct virtio_console_port){&x.lines[i], i == 2 ? "name" : NULL, true};
    }
    const struct virtio_place at = place(&x);
    x.queues = 8;
    x.message = console_message;
    x.d = virtio_console_new(&at, ports, 3, &x.f.e);
    assert_non_null(x.d);
    attack(&x, console_outside);
}

/* ---- balloon ---- */

static size_t
balloon_message(struct fixture *x, uint8_t *to)
{
    for (unsigned i = 0; i < 128; i++) { /* pages of the buffers, others, none */
        const uint32_t page = (uint32_t)((FAKE_RAM >> 12) + (any(x) % 4 == 0 ? any(x) : 0x40 + any(x) % 128));
        memcpy(to + 4 * i, &page, 4);
    }
    return any(x) % 513;
}

static void
balloon_outside(struct fixture *x)
{
    uint64_t stats[VIRTIO_BALLOON_STATS];
    virtio_balloon_want(x->d, any(x));
    virtio_balloon_stats(x->d, stats);
    assert_true(virtio_balloon_has(x->d) <= FAKE_RAM_BYTES);
    fake_write(&x->f, BASE + 0x104, 4, any(x));
}

static void
balloon(void **state)
{
    static struct fixture x;
    (void)state;
    const struct virtio_place at = place(&x);
    x.queues = 4;
    x.message = balloon_message;
    x.d = virtio_balloon_new(&at, 1 << 20, &x.f.e);
    assert_non_null(x.d);
    attack(&x, balloon_outside);
}

/* ---- vsock ---- */

static size_t
vsock_message(struct fixture *x, uint8_t *to)
{
    const struct {
        uint64_t src, dst;
        uint32_t src_port, dst_port, len;
        uint16_t type, op;
        uint32_t flags, buf_alloc, fwd_cnt;
    } __attribute__((packed)) h = {
        3, any(x) % 16 != 0 ? 2 : any(x), (uint32_t)(any(x) % 4), any(x) % 4 != 0 ? 7 : (UINT32_C(1) << 30) + (uint32_t)(any(x) % 4),
        any(x) % 16 == 0 ? (uint32_t)any(x) : 400, any(x) % 16 != 0, (uint16_t)(any(x) % 9), (uint32_t)(any(x) % 4),
        (uint32_t)(any(x) % 3 * 500), (uint32_t)(any(x) % 2000),
    };
    memcpy(to, &h, sizeof h);
    return any(x) % 4 == 0 ? any(x) % 512 : sizeof h + 400;
}

static int
unix_socket(const char *path, bool listens)
{
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    snprintf(at.sun_path, sizeof at.sun_path, "%s", path);
    const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    const int r = listens ? bind(fd, (struct sockaddr *)&at, sizeof at) | listen(fd, 8) : connect(fd, (struct sockaddr *)&at, sizeof at);
    if (r != 0) {
        close(fd);
        return -1;
    }
    return fd;
}

static int listener7_ = -1, peers_[16];

/* Programs here, of which some call, some accept, some talk, and each may go. */
static void
vsock_outside(struct fixture *x)
{
    int *const peer = &peers_[any(x) % 16];
    char path[96], text[300] = "CONNECT 2\n";
    snprintf(path, sizeof path, "%s/vsock", x->dir);
    if (*peer < 0) {
        *peer = any(x) & 1 ? accept4(listener7_, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC) : unix_socket(path, false);
        if (*peer >= 0 && any(x) % 8 != 0) {
            send(*peer, text, 10, MSG_NOSIGNAL);
        }
    } else if (any(x) % 4 == 0) {
        close(*peer);
        *peer = -1;
    } else if (any(x) % 2 == 0) {
        send(*peer, text, sizeof text, MSG_NOSIGNAL);
    } else {
        (void)!recv(*peer, text, sizeof text, 0);
    }
}

static void
vsock(void **state)
{
    static struct fixture x;
    (void)state;
    char path[96];
    snprintf(x.dir, sizeof x.dir, "/tmp/doppel-vsock-XXXXXX");
    assert_non_null(mkdtemp(x.dir));
    snprintf(path, sizeof path, "%s/vsock_7", x.dir);
    listener7_ = unix_socket(path, true);
    assert_true(listener7_ >= 0);
    memset(peers_, 0xff, sizeof peers_);
    snprintf(path, sizeof path, "%s/vsock", x.dir);
    const struct virtio_place at = place(&x);
    x.queues = 3;
    x.message = vsock_message;
    x.d = virtio_vsock_new(&at, unix_socket(path, true), path, 3, &x.f.e);
    assert_non_null(x.d);
    attack(&x, vsock_outside);
    for (unsigned i = 0; i < 16; i++) {
        close(peers_[i]);
    }
    close(listener7_);
    snprintf(path, sizeof path, "rm -r %s", x.dir);
    assert_int_equal(system(path), 0);
}

/* ---- 9p ---- */

static size_t
share_message(struct fixture *x, uint8_t *to)
{
    static const uint8_t types[] = {8, 12, 14, 22, 24, 40, 72, 100, 104, 110, 116, 120};
    const uint32_t size = any(x) % 8 == 0 ? (uint32_t)(any(x) % 600) : 64;
    for (unsigned i = 7; i < 64; i++) {
        to[i] = any(x) % 3 == 0 ? (uint8_t)(any(x) % 8) : 0;
    }
    memcpy(to, &size, 4);
    to[4] = types[any(x) % sizeof types];
    return 64;
}

static void
share(void **state)
{
    static struct fixture x;
    (void)state;
    snprintf(x.dir, sizeof x.dir, "/tmp/doppel-share-XXXXXX");
    assert_non_null(mkdtemp(x.dir));
    const struct virtio_place at = place(&x);
    x.queues = 1;
    x.message = share_message;
    x.d = virtio_9p_new(&at, open(x.dir, O_PATH | O_DIRECTORY | O_CLOEXEC), false, "tag", &x.f.e);
    assert_non_null(x.d);
    attack(&x, NULL);
    char command[96];
    snprintf(command, sizeof command, "rm -r %s", x.dir);
    assert_int_equal(system(command), 0);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(console),
        cmocka_unit_test(balloon),
        cmocka_unit_test(vsock),
        cmocka_unit_test(share),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
