/*
 * flash.c - NOR flash and fw_cfg, as EDK2, U-Boot and Linux use them
 */
#include "device/flash.h"
#include "device/fw_cfg.h"

#include "fake.h"

#include <endian.h>
#include <sys/mman.h>
#include <unistd.h>

#define BASE   UINT64_C(0x20000000)
#define FW     UINT64_C(0x10100000)
#define BLOCK  0x40000

struct fixture {
    struct fake f;
    struct device *d;
    struct fw_cfg *fw;
    int fd;
};

static int
setup(void **state)
{
    static struct fixture x;
    fake_init(&x.f);
    x.fd = memfd_create("flash", 0);
    CHECK(x.fd >= 0 && ftruncate(x.fd, 4 * BLOCK) == 0);
    x.d = flash_new(&x.f.pm, BASE, x.fd, FLASH_KEPT, &x.f.e);
    x.fw = fw_cfg_new(&x.f.pm, FW, &x.f.e);
    CHECK(x.d != NULL && x.fw != NULL);
    *state = &x;
    return 0;
}

static int
teardown(void **state)
{
    struct fixture *x = *state;
    x->d->type->free(x->d);
    fw_cfg_device(x->fw)->type->free(fw_cfg_device(x->fw));
    close(x->fd);
    physmap_fini(&x->f.pm);
    return 0;
}

static uint32_t
get(struct fixture *x, uint64_t off)
{
    return (uint32_t)fake_read(&x->f, BASE + off, 4);
}

static void
set(struct fixture *x, uint64_t off, uint32_t v)
{
    fake_write(&x->f, BASE + off, 4, v);
}

static void
erase_program_read(void **state)
{
    struct fixture *x = *state;
    uint32_t in_file = 0;
    assert_non_null(physmap_readable(&x->f.pm, BASE, 4));
    set(x, BLOCK + 12, 0x00200020);
    assert_null(physmap_readable(&x->f.pm, BASE, 4));
    set(x, BLOCK + 12, 0x00d000d0);
    assert_int_equal(get(x, 0), 0x00800080);
    set(x, 0, 0x00ff00ff);
    assert_int_equal(get(x, BLOCK), 0xffffffff);
    assert_int_equal(get(x, 2 * BLOCK - 4), 0xffffffff);
    assert_int_equal(get(x, BLOCK - 4) | get(x, 2 * BLOCK), 0);
    set(x, BLOCK + 4, 0x00400040);
    set(x, BLOCK + 4, 0x12345678);
    set(x, BLOCK + 4, 0x00400040);
    set(x, BLOCK + 4, 0xffff0000); /* bits only fall */
    assert_int_equal(get(x, BLOCK + 4) & 0x80, 0x80);
    set(x, 0, 0x00ff00ff);
    assert_int_equal(get(x, BLOCK + 4), 0x12340000);
    assert_int_equal(pread(x->fd, &in_file, 4, BLOCK + 4), 4);
    assert_int_equal(in_file, 0x12340000);
}

static void
buffered_words(void **state)
{
    struct fixture *x = *state;
    set(x, 0, 0x00200020);
    set(x, 0, 0x00d000d0);
    set(x, 64, 0x00e800e8);
    assert_int_equal(get(x, 64), 0x00800080);
    set(x, 64, 0x00030003);
    for (unsigned i = 0; i < 4; i++) {
        set(x, 64 + 4 * i, 0x01010101 * i);
    }
    set(x, 64, 0x00d000d0);
    assert_int_equal(get(x, 0), 0x00800080);
    set(x, 0, 0x00ff00ff);
    assert_int_equal(get(x, 60), 0xffffffff);
    assert_int_equal(get(x, 76), 0x03030303);
    set(x, 0x1000, 0x00e800e8); /* out of its block: nothing happens */
    set(x, 0x1000, 0x00010001);
    set(x, 0x1000, 0);
    set(x, 0x2000, 0);
    set(x, 0x1000, 0x00d000d0);
    assert_int_equal(get(x, 0) & 0x10, 0x10);
    set(x, 0, 0x00500050);
    set(x, 0, 0x00700070);
    assert_int_equal(get(x, 0), 0x00800080);
    set(x, 0, 0x00ff00ff);
    assert_int_equal(get(x, 0x1000), 0xffffffff);
}

static void
query_and_identity(void **state)
{
    struct fixture *x = *state;
    set(x, 0x55 * 4, 0x00980098);
    assert_int_equal(get(x, 0x10 * 4), 0x00510051);
    assert_int_equal(fake_read(&x->f, BASE + 0x11 * 4, 1), 'R');
    assert_int_equal(fake_read(&x->f, BASE + 0x12 * 4, 2), 'Y');
    assert_int_equal(get(x, 0x27 * 4) & 0xff, 24);
    set(x, 0, 0x00900090);
    assert_int_equal(get(x, 0), 0x00890089);
    set(x, 0, 0x00f000f0);
    assert_non_null(physmap_readable(&x->f.pm, BASE, 4));
}

static void
fw_cfg_by_registers(void **state)
{
    struct fixture *x = *state;
    assert_int_equal(fw_cfg_add(x->fw, "etc/test", "content", 7), 0);
    fake_write(&x->f, FW + 8, 2, 0);
    assert_int_equal(fake_read(&x->f, FW, 4), 0x554d4551);
    fake_write(&x->f, FW + 8, 2, htobe16(0x19));
    assert_int_equal(be32toh((uint32_t)fake_read(&x->f, FW, 4)), 1);
    assert_int_equal(be32toh((uint32_t)fake_read(&x->f, FW, 4)), 7);
    assert_int_equal(be16toh((uint16_t)fake_read(&x->f, FW, 2)), 0x20);
    fake_write(&x->f, FW + 8, 2, htobe16(0x20));
    assert_int_equal(fake_read(&x->f, FW, 1), 'c');
    assert_int_equal(fake_read(&x->f, FW, 8), UINT64_C(0x0000746e65746e6f));
    assert_int_equal(fake_read(&x->f, FW, 8), 0);
    fake_write(&x->f, FW + 8, 2, htobe16(0x21));
    assert_int_equal(fake_read(&x->f, FW, 8), 0);
}

static uint32_t
dma(struct fixture *x, uint32_t control, uint32_t length, uint64_t address)
{
    uint8_t *p = physmap_ram(&x->f.pm, FAKE_RAM + 8, 16);
    const uint32_t head[2] = {htobe32(control), htobe32(length)};
    const uint64_t at = htobe64(address);
    memcpy(p, head, 8);
    memcpy(p + 8, &at, 8);
    fake_write(&x->f, FW + 16, 4, htobe32((FAKE_RAM + 8) >> 32));
    fake_write(&x->f, FW + 20, 4, htobe32((uint32_t)(FAKE_RAM + 8)));
    uint32_t result;
    memcpy(&result, p, 4);
    return be32toh(result);
}

static void
fw_cfg_by_dma(void **state)
{
    struct fixture *x = *state;
    char *to = physmap_ram(&x->f.pm, FAKE_RAM + 0x1000, 4096);
    assert_int_equal(fw_cfg_add(x->fw, "etc/test", "content", 7), 0);
    assert_int_equal(fake_read(&x->f, FW + 16, 8), htobe64(UINT64_C(0x51454d5520434647)));
    memset(to, 1, 16);
    assert_int_equal(dma(x, 0x20 << 16 | 8 | 2, 10, FAKE_RAM + 0x1000), 0);
    assert_memory_equal(to, "content\0\0\0\1", 11);
    assert_int_equal(dma(x, 0x20 << 16 | 8 | 4, 3, 0), 0);
    assert_int_equal(dma(x, 2, 4, FAKE_RAM + 0x1000), 0);
    assert_memory_equal(to, "tent", 4);
    assert_int_equal(dma(x, 2, 16, FAKE_RAM + FAKE_RAM_BYTES - 8), 1); /* no memory */
    assert_int_equal(dma(x, 2, UINT32_MAX, FAKE_RAM), 1);
    assert_int_equal(dma(x, 16, 4, FAKE_RAM + 0x1000), 1); /* nothing is writable */
    assert_int_equal(dma(x, 4, UINT32_MAX, 0), 0);
    assert_int_equal(dma(x, 4, UINT32_MAX, 0), 0);
    fake_write(&x->f, FW + 16, 8, UINT64_MAX); /* the command itself is nowhere */
}

static void
read_only(void **state)
{
    struct fixture *x = *state;
    x->d->type->free(x->d);
    physmap_fini(&x->f.pm);
    fake_init(&x->f);
    x->d = flash_new(&x->f.pm, BASE, x->fd, FLASH_READ_ONLY, &x->f.e);
    x->fw = fw_cfg_new(&x->f.pm, FW, &x->f.e);
    assert_non_null(x->d);
    set(x, 0, 0x00200020);
    set(x, 0, 0x00d000d0);
    assert_int_equal(get(x, 0) & 0xff, 0xa0); /* erasing failed */
    set(x, 0, 0x00500050);
    set(x, 0, 0x00400040);
    set(x, 0, 0x12345678);
    assert_int_equal(get(x, 0) & 0xff, 0x90); /* programming, too */
    set(x, 0, 0x00ff00ff);
    assert_int_equal(get(x, 0), 0);
}

int
main(void)
{
#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        CASE(erase_program_read), CASE(buffered_words), CASE(query_and_identity), CASE(fw_cfg_by_registers), CASE(fw_cfg_by_dma),
        CASE(read_only),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
