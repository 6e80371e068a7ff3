/*
 * net.c - a network card on a wire: frames go out and come in, whatever pieces a stream makes of them; who calls, goes, says nonsense
 */
#include "device/virtio_devices.h"

#include "fake.h"

#include <arpa/inet.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define BASE   UINT64_C(0x10008000)
#define NUM    16
#define HEADER 12

enum { RX, TX };

struct fixture {
    struct fake f;
    struct device *d;
    int other; /* end of the wire */
    char path[64];
    uint16_t seen; /* of the receive queue's used ring */
};

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

/* Queue q: descriptors at q * 0x1000, rings behind; its buffers at 0x10000 * (q + 1), 0x1000 each. */
static void
start(struct fixture *x, int fd, int listener, bool stream)
{
    const struct net_config cfg = {.kind = NET_WIRE, .mac = {2, 0, 0, 0, 0, 7}, .wire = {fd, listener, stream, NULL}};
    fake_init(&x->f);
    const struct virtio_place at = {.pm = &x->f.pm, .base = BASE, .irq = fake_irq(&x->f, 8)};
    x->d = virtio_net_new(&at, &cfg, &x->f.e);
    assert_non_null(x->d);
    assert_int_equal(fake_read(&x->f, BASE + 0x105, 1), 7);
    set(x, 0x70, 3);
    set(x, 0x24, 1);
    set(x, 0x20, 1);
    set(x, 0x70, 11);
    for (unsigned q = 0; q < 2; q++) {
        set(x, 0x30, q);
        set(x, 0x38, NUM);
        set(x, 0x80, (uint32_t)(FAKE_RAM + q * 0x1000));
        set(x, 0x90, (uint32_t)(FAKE_RAM + q * 0x1000 + 0x400));
        set(x, 0xa0, (uint32_t)(FAKE_RAM + q * 0x1000 + 0x800));
        set(x, 0x44, 1);
    }
    set(x, 0x70, 15);
    x->seen = 0;
}

static void
offer(struct fixture *x, unsigned q, uint32_t len)
{
    uint16_t *const avail = (uint16_t *)ram(x, q * 0x1000 + 0x400);
    const uint16_t head = avail[1] % NUM;
    const struct {
        uint64_t addr;
        uint32_t len;
        uint16_t flags, next;
    } d = {FAKE_RAM + 0x10000 * (q + 1) + head * 0x1000u, len, q == RX ? 2 : 0, 0};
    memcpy(ram(x, q * 0x1000 + 16u * head), &d, sizeof d);
    avail[2 + head] = head;
    __atomic_store_n(&avail[1], (uint16_t)(avail[1] + 1), __ATOMIC_RELEASE);
    set(x, 0x50, q);
}

static void
guest_sends(struct fixture *x, char letter, size_t len)
{
    const unsigned at = ((uint16_t *)ram(x, 0x1400))[1] % NUM;
    memset(ram(x, 0x20000 + at * 0x1000), 0, HEADER);
    memset(ram(x, 0x20000 + at * 0x1000 + HEADER), letter, len);
    offer(x, TX, (uint32_t)(HEADER + len));
}

static void
guest_gets(struct fixture *x, char letter, size_t len)
{
    const uint16_t *const used = (const uint16_t *)ram(x, 0x800);
    for (unsigned i = 0; __atomic_load_n(&used[1], __ATOMIC_ACQUIRE) == x->seen; i++) {
        assert_true(i < 20000);
        usleep(1000);
    }
    uint32_t e[2];
    memcpy(e, ram(x, 0x804 + 8u * (x->seen++ % NUM)), sizeof e);
    assert_int_equal(e[1], HEADER + len);
    const uint8_t *const p = ram(x, 0x10000 + e[0] * 0x1000 + HEADER);
    assert_true(p[0] == letter && p[len - 1] == letter);
}

static void
other_gets(struct fixture *x, const char *head, size_t head_bytes, char letter, size_t len)
{
    char bytes[4096];
    size_t n = 0;
    while (n < head_bytes + len) {
        struct pollfd p = {.fd = x->other, .events = POLLIN};
        assert_int_equal(poll(&p, 1, 20000), 1);
        const ssize_t got = recv(x->other, bytes + n, head_bytes + len - n, 0);
        assert_true(got > 0);
        n += (size_t)got;
    }
    assert_memory_equal(bytes, head, head_bytes);
    assert_true(bytes[head_bytes] == letter && bytes[n - 1] == letter);
}

static void
other_sends(struct fixture *x, const void *bytes, size_t n)
{
    assert_int_equal(send(x->other, bytes, n, MSG_NOSIGNAL), n);
}

static void
end(struct fixture *x)
{
    x->d->type->free(x->d);
    physmap_fini(&x->f.pm);
    close(x->other);
}

static void
datagrams(void **state)
{
    static struct fixture x;
    int ends[2];
    (void)state;
    assert_int_equal(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, ends), 0);
    x.other = ends[1];
    start(&x, ends[0], -1, false);
    guest_sends(&x, 'a', 60);
    guest_sends(&x, 'b', 1514);
    other_gets(&x, "", 0, 'a', 60);
    other_gets(&x, "", 0, 'b', 1514);
    offer(&x, RX, 2048);
    other_sends(&x, (char[]){'c', 'c', 'c'}, 3);
    guest_gets(&x, 'c', 3);
    other_sends(&x, "dd", 2); /* before there is a buffer for it */
    offer(&x, RX, 2048);
    guest_gets(&x, 'd', 2);
    end(&x);
}

static void
stream_in_pieces(void **state)
{
    static struct fixture x;
    int ends[2];
    (void)state;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
    x.other = ends[1];
    start(&x, ends[0], -1, true);
    guest_sends(&x, 'a', 100);
    other_gets(&x, "\0\0\0\x64", 4, 'a', 100);
    for (unsigned i = 0; i < 3; i++) {
        offer(&x, RX, 2048);
    }
    static const char two[] = "\0\0\0\3bbb\0\0\0\0\0\0\0\2cc";
    for (unsigned i = 0; i < sizeof two - 1; i++) { /* with an empty one between them, byte by byte */
        other_sends(&x, two + i, 1);
        usleep(100);
    }
    guest_gets(&x, 'b', 3);
    guest_gets(&x, 'c', 2);
    /* More than the socket holds: what is lost is whole frames. */
    for (unsigned round = 0; round < 60; round++) {
        for (unsigned i = 0; i < NUM; i++) {
            guest_sends(&x, 'e', 3000);
        }
        usleep(1000);
    }
    size_t frames = 0;
    uint32_t head;
    while (recv(x.other, &head, 4, MSG_DONTWAIT) == 4) {
        char bytes[3000];
        assert_int_equal(ntohl(head), 3000);
        assert_int_equal(recv(x.other, bytes, sizeof bytes, MSG_WAITALL), 3000);
        assert_true(bytes[0] == 'e' && bytes[2999] == 'e');
        frames++;
        usleep(100);
    }
    assert_true(frames > 20);
    end(&x);
}

static int
call(struct fixture *x)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    snprintf(a.sun_path, sizeof a.sun_path, "%s", x->path);
    const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&a, sizeof a), 0);
    return fd;
}

/* Who says nonsense, or goes, is cut off; the next one that calls is heard. */
static void
callers(void **state)
{
    static struct fixture x;
    (void)state;
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    snprintf(x.path, sizeof x.path, "/tmp/doppel-wire-%d", (int)getpid());
    strcpy(a.sun_path, x.path);
    const int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    assert_true(bind(listener, (struct sockaddr *)&a, sizeof a) == 0 && listen(listener, 8) == 0);
    start(&x, -1, listener, true);
    guest_sends(&x, 'a', 60); /* nobody hears it */
    x.other = call(&x);
    offer(&x, RX, 2048);
    other_sends(&x, "\0\0\0\1b", 5);
    guest_gets(&x, 'b', 1);
    const int next = call(&x);
    char byte;
    other_sends(&x, "\xff\xff\xff\xff", 4);
    assert_int_equal(recv(x.other, &byte, 1, 0), 0);
    close(x.other);
    x.other = next;
    offer(&x, RX, 2048);
    other_sends(&x, "\0\0\0\1c\0\0\0\1", 9); /* and half of another */
    guest_gets(&x, 'c', 1);
    close(x.other);
    x.other = call(&x);
    offer(&x, RX, 2048);
    other_sends(&x, "\0\0\0\1d", 5);
    guest_gets(&x, 'd', 1);
    guest_sends(&x, 'e', 60);
    other_gets(&x, "\0\0\0\x3c", 4, 'e', 60);
    end(&x);
    unlink(x.path);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(datagrams),
        cmocka_unit_test(stream_in_pieces),
        cmocka_unit_test(callers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
