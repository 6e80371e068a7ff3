/*
 * boot.c - images: where each kind goes, and one clear line for each that is damaged or does not fit
 */
#include "machine/boot.h"

#include <elf.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>
#include <zstd.h>

#include <cmocka.h>

#define RAM UINT64_C(0x80000000)
#define RAM_BYTES (UINT64_C(64) << 20)
#define MIB (UINT64_C(1) << 20)

static struct physmap pm;
static struct boot b;
static struct err e;

static int
up(void **state)
{
    (void)state;
    physmap_init(&pm);
    return physmap_add_ram(&pm, RAM, RAM_BYTES, NULL);
}

static int
down(void **state)
{
    (void)state;
    physmap_fini(&pm);
    return 0;
}

/* A Linux Image that holds `n` bytes and wants `size`. */
static uint8_t *
linux_image(size_t n, uint64_t size, uint64_t offset)
{
    uint8_t *p = calloc(1, n);
    for (size_t i = 64; i < n; i++) {
        p[i] = (uint8_t)(i * 7);
    }
    memcpy(p, "MZ", 2);
    memcpy(p + 8, &offset, 8);
    memcpy(p + 16, &size, 8);
    memcpy(p + 48, "RISCV", 5);
    memcpy(p + 56, "RSC\5", 4);
    return p;
}

static uint8_t *
gzip(const uint8_t *in, size_t n, size_t *out_n)
{
    z_stream z = { 0 };
    uint8_t *out = malloc(n + 1000);
    assert_int_equal(deflateInit2(&z, 9, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY), Z_OK);
    z.next_in = (Bytef *)in;
    z.avail_in = (uInt)n;
    z.next_out = out;
    z.avail_out = (uInt)(n + 1000);
    assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
    *out_n = z.total_out;
    deflateEnd(&z);
    return out;
}

static int
load(const void *firmware, size_t n_fw, const void *kernel, size_t n_k, const void *initrd, size_t n_i)
{
    const struct boot_image f = { .mem = firmware, .n_mem = n_fw }, k = { .mem = kernel, .n_mem = n_k },
                            i = { .mem = initrd, .n_mem = n_i };
    e.text[0] = '\0';
    return boot_load(&pm, &f, &k, &i, &b, &e);
}

static bool
is_at(uint64_t gpa, const void *bytes, size_t n)
{
    const void *p = physmap_ram(&pm, gpa, n);
    return p != NULL && memcmp(p, bytes, n) == 0;
}

static void
refused(int r, const char *says)
{
    assert_true(r < 0);
    if (strstr(e.text, says) == NULL || strchr(e.text, '\n') != NULL) {
        fail_msg("'%s' does not say '%s'", e.text, says);
    }
}

static void
image(void **state)
{
    (void)state;
    uint8_t *k = linux_image(100000, 4 * MIB, 2 * MIB), initrd[5000], dtb[3000];
    memset(initrd, 0x55, sizeof initrd);
    memset(dtb, 0xd0, sizeof dtb);
    assert_int_equal(load(NULL, 0, k, 100000, initrd, sizeof initrd), 0);
    assert_false(b.machine_mode);
    assert_int_equal(b.entry, RAM + 2 * MIB);
    assert_true(is_at(b.entry, k, 100000));
    assert_int_equal(b.initrd, RAM + 34 * MIB); /* half of the memory from the kernel */
    assert_int_equal(b.initrd_end, b.initrd + sizeof initrd);
    assert_true(is_at(b.initrd, initrd, sizeof initrd));
    assert_int_equal(boot_place_dtb(&pm, dtb, sizeof dtb, &b, &e), 0);
    assert_int_equal(b.dtb, RAM + 62 * MIB);
    assert_true(is_at(b.dtb, dtb, sizeof dtb));
    free(k);
}

static void
packed(void **state)
{
    (void)state;
    uint8_t *k = linux_image(300000, 0, 2 * MIB), *z, boot[400000] = "MZ\0\0zimg";
    size_t n;
    z = gzip(k, 300000, &n);
    assert_int_equal(load(NULL, 0, z, n, NULL, 0), 0);
    assert_true(is_at(RAM + 2 * MIB, k, 300000));
    refused(load(NULL, 0, z, n - 20, NULL, 0), "cut short");
    z[n / 2] ^= 0xff;
    refused(load(NULL, 0, z, n, NULL, 0), "damaged");
    free(z);
    z = gzip(k, 300000, &n);
    const uint32_t off = 4096, n32 = (uint32_t)n;
    memcpy(boot + 8, &off, 4);
    memcpy(boot + 12, &n32, 4);
    memcpy(boot + 24, "gzip", 5);
    memcpy(boot + off, z, n);
    memset(physmap_ram(&pm, RAM + 2 * MIB, 300000), 0, 300000);
    assert_int_equal(load(NULL, 0, boot, off + n, NULL, 0), 0);
    assert_true(is_at(RAM + 2 * MIB, k, 300000));
    refused(load(NULL, 0, boot, off + n - 1, NULL, 0), "cut short");
    memcpy(boot + 24, "lzma", 5);
    refused(load(NULL, 0, boot, off + n, NULL, 0), "packed with 'lzma'");
    n = ZSTD_compress(boot + off, sizeof boot - off, k, 300000, 3);
    const uint32_t zn = (uint32_t)n;
    memcpy(boot + 12, &zn, 4);
    memcpy(boot + 24, "zstd", 5);
    memset(physmap_ram(&pm, RAM + 2 * MIB, 300000), 0, 300000);
    assert_int_equal(load(NULL, 0, boot, off + n, NULL, 0), 0);
    assert_true(is_at(RAM + 2 * MIB, k, 300000));
    refused(load(NULL, 0, boot + off, n - 5, NULL, 0), "cut short");
    free(z);
    free(k);
    z = gzip(calloc(1, 80 * MIB), 80 * MIB, &n);
    refused(load(NULL, 0, z, n, NULL, 0), "more than the machine's memory");
    free(z);
}

struct program {
    Elf64_Ehdr eh;
    Elf64_Phdr ph[2];
    char text[64], data[64];
};

static struct program
program(uint64_t vaddr, uint64_t paddr)
{
    struct program p = {
        .eh = { .e_type = ET_EXEC, .e_machine = EM_RISCV, .e_entry = vaddr + 8, .e_phoff = sizeof(Elf64_Ehdr),
                .e_phentsize = sizeof(Elf64_Phdr), .e_phnum = 2 },
        .ph = { { .p_type = PT_LOAD, .p_offset = offsetof(struct program, text), .p_vaddr = vaddr, .p_paddr = paddr, .p_filesz = 64,
                  .p_memsz = 64 },
                { .p_type = PT_LOAD, .p_offset = offsetof(struct program, data), .p_vaddr = vaddr + 0x1000, .p_paddr = paddr + 0x1000,
                  .p_filesz = 64, .p_memsz = 0x2000 } },
        .text = "the text", .data = "the data",
    };
    memcpy(p.eh.e_ident, ELFMAG, SELFMAG);
    p.eh.e_ident[EI_CLASS] = ELFCLASS64;
    p.eh.e_ident[EI_DATA] = ELFDATA2LSB;
    return p;
}

static void
elf(void **state)
{
    (void)state;
    struct program p = program(RAM + 4 * MIB, RAM + 4 * MIB);
    assert_int_equal(load(NULL, 0, &p, sizeof p, NULL, 0), 0);
    assert_int_equal(b.entry, RAM + 4 * MIB + 8);
    assert_true(is_at(RAM + 4 * MIB, p.text, 64) && is_at(RAM + 4 * MIB + 0x1000, p.data, 64));
    p = program(UINT64_C(0xffffffff80000000), UINT64_C(0xffffffff80000000)); /* vmlinux */
    assert_int_equal(load(NULL, 0, &p, sizeof p, NULL, 0), 0);
    assert_int_equal(b.entry, RAM + 2 * MIB + 8);
    assert_true(is_at(RAM + 2 * MIB + 0x1000, p.data, 64));
    p = program(UINT64_C(0xffffffff80000000), RAM + 8 * MIB);
    assert_int_equal(load(NULL, 0, &p, sizeof p, NULL, 0), 0);
    assert_int_equal(b.entry, RAM + 8 * MIB + 8);

    p = program(0, 0);
    p.eh.e_type = ET_DYN; /* linked at no place */
    assert_int_equal(load(NULL, 0, &p, sizeof p, NULL, 0), 0);
    assert_int_equal(b.entry, RAM + 2 * MIB + 8);
    p.ph[1].p_type = PT_INTERP;
    refused(load(NULL, 0, &p, sizeof p, NULL, 0), "`doppel run` runs it");
    p = program(0x10000, 0x10000);
    refused(load(NULL, 0, &p, sizeof p, NULL, 0), "it is linked at 0x10000");

    p = program(RAM, RAM);
    refused(load(NULL, 0, &p, sizeof p - 1, NULL, 0), "it ends at byte");
    refused(load(NULL, 0, &p, sizeof p.eh - 1, NULL, 0), "it ends at byte");
    refused(load(NULL, 0, &p, sizeof p.eh + 10, NULL, 0), "it ends at byte");
    p.ph[0].p_offset = UINT64_MAX - 10;
    refused(load(NULL, 0, &p, sizeof p, NULL, 0), "it ends at byte");
    p = program(RAM, RAM);
    p.ph[1].p_paddr = RAM + 32;
    refused(load(NULL, 0, &p, sizeof p, NULL, 0), "lie over the kernel");
    p.ph[1].p_paddr = RAM + RAM_BYTES - 100;
    refused(load(NULL, 0, &p, sizeof p, NULL, 0), "no memory at");
    p.ph[1].p_paddr = RAM + 4096;
    p.ph[1].p_memsz = UINT64_MAX - 4096;
    refused(load(NULL, 0, &p, sizeof p, NULL, 0), "no memory at");
    p.ph[1].p_memsz = 3;
    refused(load(NULL, 0, &p, sizeof p, NULL, 0), "more bytes in the file");
    p = program(RAM, RAM);
    p.eh.e_entry = 16;
    refused(load(NULL, 0, &p, sizeof p, NULL, 0), "entry point");
    p.eh.e_phnum = 0;
    refused(load(NULL, 0, &p, sizeof p, NULL, 0), "table of ELF segments");
    p.eh.e_machine = EM_X86_64;
    refused(load(NULL, 0, &p, sizeof p, NULL, 0), "no riscv64");
}

static void
firmware(void **state)
{
    (void)state;
    static uint8_t fw[3 << 20];
    uint8_t *k = linux_image(1000, 0, 2 * MIB), rom[BOOT_ROM_BYTES];
    uint64_t at[8];
    memset(fw, 0xf0, sizeof fw);
    assert_int_equal(load(fw, sizeof fw, k, 1000, NULL, 0), 0);
    assert_true(b.machine_mode && b.entry == RAM && b.next == RAM + 4 * MIB);
    assert_int_equal(load(fw, 1000, k, 1000, NULL, 0), 0);
    assert_int_equal(b.next, RAM + 2 * MIB);
    assert_int_equal(boot_place_dtb(&pm, fw, 1000, &b, &e), 0);
    boot_make_rom(&b, rom);
    memcpy(at, rom + 0x18, sizeof at);
    assert_true(at[0] == RAM && at[1] == b.dtb && at[2] == 0x4942534f && at[3] == 2 && at[4] == RAM + 2 * MIB && at[5] == 1);
    assert_int_equal(load(fw, 1000, NULL, 0, NULL, 0), 0);
    assert_int_equal(b.next, 0);
    struct program p = program(RAM, RAM), q = program(RAM, RAM);
    refused(load(&p, sizeof p, &q, sizeof q, NULL, 0), "lie over the firmware");
    free(k);
}

static void
does_not_fit(void **state)
{
    (void)state;
    uint8_t *k = linux_image(1000, RAM_BYTES, 2 * MIB), *big = calloc(1, RAM_BYTES + 1);
    refused(load(NULL, 0, k, 1000, NULL, 0), "no memory at");
    free(k);
    k = linux_image(1000, UINT64_MAX - 5, 2 * MIB);
    refused(load(NULL, 0, k, 1000, NULL, 0), "its header wants");
    free(k);
    k = linux_image(1000, 0, UINT64_MAX - 2 * MIB + 1);
    refused(load(NULL, 0, k, 1000, NULL, 0), "its header wants");
    free(k);
    k = linux_image(1000, 0, 2 * MIB);
    refused(load(NULL, 0, big, RAM_BYTES + 1, NULL, 0), "no memory at");
    refused(load(NULL, 0, k, 1000, big, RAM_BYTES - 2 * MIB), "initrd");
    /* Too large for the place half-way, not for the one behind the kernel. */
    assert_int_equal(load(NULL, 0, k, 1000, big, 58 * MIB), 0);
    assert_int_equal(b.initrd, RAM + 2 * MIB + 4096);
    refused(boot_place_dtb(&pm, big, 4 * MIB, &b, &e), "device tree");
    refused(boot_place_dtb(&pm, big, RAM_BYTES + 1, &b, &e), "device tree");
    assert_int_equal(boot_place_dtb(&pm, big, 4096, &b, &e), 0);
    refused(load(NULL, 0, NULL, 0, NULL, 0), "neither firmware nor a kernel");
    free(big);
    free(k);
}

static void
files(void **state)
{
    (void)state;
    char path[] = "/tmp/boot-XXXXXX";
    int fd = mkstemp(path);
    const struct boot_image k = { .path = path }, none = { 0 };
    assert_true(fd >= 0);
    refused(boot_load(&pm, &none, &k, NULL, &b, &e), "empty");
    assert_int_equal(write(fd, "raw\1", 4), 4);
    assert_int_equal(boot_load(&pm, &none, &k, NULL, &b, &e), 0);
    assert_true(is_at(RAM + 2 * MIB, "raw\1", 4));
    assert_int_equal(pwrite(fd, "text\n", 5, 0), 5);
    refused(boot_load(&pm, &none, &k, NULL, &b, &e), "no kernel but text");
    close(fd);
    unlink(path);
    refused(boot_load(&pm, &none, &k, NULL, &b, &e), path);
    refused(boot_load(&pm, &none, &(struct boot_image){ .path = "/tmp" }, NULL, &b, &e), "no file");
}

int
main(void)
{
    const struct CMUnitTest cases[] = {
        cmocka_unit_test_setup_teardown(image, up, down),        cmocka_unit_test_setup_teardown(packed, up, down),
        cmocka_unit_test_setup_teardown(elf, up, down),          cmocka_unit_test_setup_teardown(firmware, up, down),
        cmocka_unit_test_setup_teardown(does_not_fit, up, down), cmocka_unit_test_setup_teardown(files, up, down),
    };
    return cmocka_run_group_tests(cases, NULL, NULL);
}
