/*
 * blk.c - a disk, through its queue
 */
#include "device/virtio_devices.h"

#include "fake.h"

#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#define BASE  UINT64_C(0x10008000)
#define DESC  FAKE_RAM
#define AVAIL (FAKE_RAM + 0x1000)
#define USED  (FAKE_RAM + 0x2000)
#define HEAD  (FAKE_RAM + 0x3000)
#define DATA  (FAKE_RAM + 0x8000)
#define NUM   8
#define SECTORS 64

enum { NEXT = 1, WRITE = 2 };
enum { T_IN, T_OUT, T_FLUSH = 4, T_ID = 8, T_DISCARD = 11, T_ZEROES = 13 };
enum { OK, IOERR, UNSUPP };

struct fixture {
    struct fake f;
    struct device *d;
    int fd;
    uint16_t seen;
};

static void
set(struct fixture *x, unsigned off, uint32_t v)
{
    fake_write(&x->f, BASE + off, 4, v);
}

static int
start(void **state, bool read_only)
{
    static struct fixture x;
    fake_init(&x.f);
    x.seen = 0;
    const int fd = memfd_create("disk", 0);
    CHECK(fd >= 0 && ftruncate(fd, SECTORS * 512 + 100) == 0);
    x.fd = dup(fd);
    const struct virtio_place at = {.pm = &x.f.pm, .base = BASE, .irq = fake_irq(&x.f, 8)};
    char path[64];
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    struct block *block;
    const struct block_spec spec = {.file = path, .read_only = read_only};
    CHECK(block_open(&spec, &block, &x.f.e) == 0);
    close(fd);
    x.d = virtio_blk_new(&at, block, "disk.img", &x.f.e);
    CHECK(x.d != NULL);
    set(&x, 0x70, 3);
    set(&x, 0x24, 1);
    set(&x, 0x20, 1);
    set(&x, 0x70, 11);
    set(&x, 0x38, NUM);
    set(&x, 0x80, (uint32_t)DESC);
    set(&x, 0x90, (uint32_t)AVAIL);
    set(&x, 0xa0, (uint32_t)USED);
    set(&x, 0x44, 1);
    set(&x, 0x70, 15);
    *state = &x;
    return 0;
}

static int
setup(void **state)
{
    return start(state, false);
}

static int
setup_read_only(void **state)
{
    return start(state, true);
}

static int
teardown(void **state)
{
    struct fixture *x = *state;
    x->d->type->free(x->d);
    close(x->fd);
    physmap_fini(&x->f.pm);
    return 0;
}

static void
desc(struct fixture *x, unsigned i, uint64_t addr, uint32_t len, unsigned flags)
{
    struct {
        uint64_t addr;
        uint32_t len;
        uint16_t flags, next;
    } d = {addr, len, (uint16_t)flags, (uint16_t)(i + 1)};
    memcpy(physmap_ram(&x->f.pm, DESC + 16 * i, 16), &d, 16);
}

/* Wait until the chain that begins at descriptor 0 has been used. How many bytes were written. */
static uint32_t
submit(struct fixture *x)
{
    uint16_t *avail = physmap_ram(&x->f.pm, AVAIL, 32);
    const uint16_t *used = physmap_ram(&x->f.pm, USED, 32 + 8 * NUM);
    avail[2 + avail[1] % NUM] = 0;
    __atomic_store_n(&avail[1], (uint16_t)(avail[1] + 1), __ATOMIC_RELEASE);
    set(x, 0x50, 0);
    for (unsigned i = 0; i < 20000 && __atomic_load_n(&used[1], __ATOMIC_ACQUIRE) == x->seen; i++) {
        usleep(500);
    }
    assert_int_equal(used[1], (uint16_t)(x->seen + 1));
    return ((const uint32_t *)(used + 2))[2 * (x->seen++ % NUM) + 1];
}

/* A request of the usual form. Its status. */
static unsigned
request(struct fixture *x, uint32_t type, uint64_t sector, uint32_t bytes, bool in)
{
    uint8_t *head = physmap_ram(&x->f.pm, HEAD, 17);
    const uint32_t zero = 0;
    memcpy(head, &type, 4);
    memcpy(head + 4, &zero, 4);
    memcpy(head + 8, &sector, 8);
    head[16] = 0xff;
    unsigned n = 0;
    desc(x, n++, HEAD, 16, NEXT);
    if (bytes > 0) {
        desc(x, n++, DATA, bytes, NEXT | (in ? WRITE : 0));
    }
    desc(x, n, HEAD + 16, 1, WRITE);
    submit(x);
    return head[16];
}

static void
reads_and_writes(void **state)
{
    struct fixture *x = *state;
    char *data = physmap_ram(&x->f.pm, DATA, 8192), file[1024];
    memset(data, 'x', 1024);
    assert_int_equal(request(x, T_OUT, 3, 1024, false), OK);
    assert_int_equal(pread(x->fd, file, 1024, 3 * 512), 1024);
    assert_memory_equal(file, data, 1024);
    memset(data, 0, 4096);
    assert_int_equal(request(x, T_IN, 2, 2048, true), OK);
    assert_int_equal(data[511] | data[1536], 0);
    assert_int_equal(data[512] & data[1535], 'x');
    assert_int_equal(request(x, T_FLUSH, 0, 0, false), OK);
    assert_int_equal(fake_read(&x->f, BASE + 0x100, 8), SECTORS);
    assert_true(x->f.level[0][8]);
}

/* The layout is the driver's: all in pieces, the status behind the data in one. */
static void
odd_layouts(void **state)
{
    struct fixture *x = *state;
    const uint8_t head[16] = {T_IN, [8] = 1};
    uint8_t *data = physmap_ram(&x->f.pm, DATA, 8192);
    CHECK(pwrite(x->fd, "abcdef", 6, 512) == 6);
    memcpy(physmap_ram(&x->f.pm, HEAD, 16), head, 16);
    desc(x, 0, HEAD, 5, NEXT);
    desc(x, 1, HEAD + 5, 11, NEXT);
    desc(x, 2, DATA, 3, NEXT | WRITE);
    desc(x, 3, DATA + 3, 0, NEXT | WRITE);
    desc(x, 4, DATA + 3, 510, WRITE);
    data[512] = 0xff;
    assert_int_equal(submit(x), 513);
    assert_memory_equal(data, "abcdef", 7);
    assert_int_equal(data[512], OK);
}

static void
bounds(void **state)
{
    struct fixture *x = *state;
    assert_int_equal(request(x, T_IN, SECTORS - 1, 512, true), OK);
    assert_int_equal(request(x, T_IN, SECTORS - 1, 1024, true), IOERR);
    assert_int_equal(request(x, T_IN, SECTORS, 512, true), IOERR);
    assert_int_equal(request(x, T_IN, UINT64_MAX, 512, true), IOERR);
    assert_int_equal(request(x, T_OUT, UINT64_C(1) << 55, 512, false), IOERR);
    assert_int_equal(request(x, T_IN, 0, 100, true), IOERR);
    assert_int_equal(request(x, 99, 0, 512, true), UNSUPP);
    desc(x, 0, HEAD, 15, NEXT); /* half a header */
    desc(x, 1, HEAD + 16, 1, WRITE);
    assert_int_equal(submit(x), 1);
    desc(x, 0, HEAD, 16, 0); /* nowhere to tell */
    assert_int_equal(submit(x), 0);
    desc(x, 0, HEAD, 16, WRITE);
    assert_int_equal(submit(x), 1);
}

static void
zeroes_and_discard(void **state)
{
    struct fixture *x = *state;
    uint8_t *data = physmap_ram(&x->f.pm, DATA, 8192), file[2048];
    static const uint8_t zero[2048];
    for (uint32_t type = T_DISCARD; type <= T_ZEROES; type += 2) {
        memset(file, 7, sizeof file);
        CHECK(pwrite(x->fd, file, sizeof file, 8 * 512) == sizeof file);
        const uint64_t sector = 9;
        const uint32_t n[2] = {2, 0};
        memcpy(data, &sector, 8);
        memcpy(data + 8, n, 8);
        assert_int_equal(request(x, type, 0, 16, false), OK);
        assert_int_equal(pread(x->fd, file, sizeof file, 8 * 512), sizeof file);
        assert_true(file[0] == 7 && file[511] == 7 && file[1536] == 7);
        assert_true(type == T_DISCARD || memcmp(file + 512, zero, 1024) == 0);
        data[0] = SECTORS;
        assert_int_equal(request(x, type, 0, 16, false), IOERR);
        assert_int_equal(request(x, type, 0, 32, false), IOERR);
    }
}

static void
serial_number(void **state)
{
    struct fixture *x = *state;
    char *data = physmap_ram(&x->f.pm, DATA, 32);
    assert_int_equal(request(x, T_ID, 0, 20, true), OK);
    assert_string_equal(data, "disk.img");
}

static void
read_only(void **state)
{
    struct fixture *x = *state;
    assert_int_equal(request(x, T_IN, 0, 512, true), OK);
    assert_int_equal(request(x, T_OUT, 0, 512, false), IOERR);
    assert_int_equal(request(x, T_ZEROES, 0, 16, false), IOERR);
    assert_int_equal(fake_read(&x->f, BASE + 0x10, 4) & (1 << 5 | 1 << 13), 1 << 5);
}

static void
resets_while_it_works(void **state)
{
    struct fixture *x = *state;
    for (unsigned i = 0; i < 50; i++) {
        desc(x, 0, HEAD, 16, NEXT);
        desc(x, 1, DATA, 4096, NEXT | WRITE);
        desc(x, 2, HEAD + 16, 1, WRITE);
        uint16_t *avail = physmap_ram(&x->f.pm, AVAIL, 32);
        memset(avail, 0, 32);
        avail[1] = NUM;
        set(x, 0x50, 0);
        set(x, 0x70, 0);
        assert_int_equal(fake_read(&x->f, BASE + 0x70, 4), 0);
        teardown(state);
        setup(state);
    }
}

int
main(void)
{
#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        CASE(reads_and_writes), CASE(odd_layouts),
        CASE(bounds),           CASE(zeroes_and_discard),
        CASE(serial_number),    cmocka_unit_test_setup_teardown(read_only, setup_read_only, teardown),
        CASE(resets_while_it_works),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
