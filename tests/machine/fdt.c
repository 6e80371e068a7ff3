/*
 * fdt.c - the device tree: what a hart has, in the order and the words that Linux reads; nodes of devices; memory; chosen
 */
#include "machine/fdt.h"

#include "base/check.h"
#include "device/dt.h"
#include "device/plic.h"
#include "memory/physmap.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define GC \
    (EXT_BIT(I) | EXT_BIT(M) | EXT_BIT(ZAAMO) | EXT_BIT(ZALRSC) | EXT_BIT(F) | EXT_BIT(D) | EXT_BIT(ZCA) | EXT_BIT(ZCD) | EXT_BIT(ZICSR))

static void
isa_strings(void **state)
{
    (void)state;
    char s[256];
    (void)machine_isa_string(EXT_BIT(I), s, sizeof s);
    assert_string_equal(s, "rv64i");
    (void)machine_isa_string(GC | EXT_BIT(ZBB) | EXT_BIT(SSTC) | EXT_BIT(ZBA) | EXT_BIT(SVINVAL) | EXT_BIT(ZICBOM) | EXT_BIT(ZFH), s,
                             sizeof s);
    assert_non_null(strstr(s, "rv64imafdc_zicbom_zicsr_"));
    assert_non_null(strstr(s, "_zfh_"));
    assert_non_null(strstr(s, "_zba_zbb_sstc_svinval"));
    (void)machine_isa_string(EXT_BIT(I) | EXT_BIT(ZCA), s, sizeof s);
    assert_string_equal(s, "rv64ic_zca");
    const size_t n = machine_isa_list(EXT_BIT(I) | EXT_BIT(M) | EXT_BIT(ZBA), s, sizeof s);
    assert_int_equal(n, 8);
    assert_memory_equal(s, "i\0m\0zba", 8);
    memset(s, 'x', sizeof s);
    assert_true(machine_isa_string(GC, s, 6) > 6); /* says how much it wants, and writes no further */
    assert_int_equal(s[6], 'x');
}

/* The n-th cell of a property. */
static uint32_t
cell(const void *fdt, const char *path, const char *name, unsigned n)
{
    int len;
    const int node = fdt_path_offset(fdt, path);
    const char *p = fdt_getprop(fdt, node, name, &len);
    if (p == NULL || len < (int)(4 * n + 4)) {
        fail_msg("no cell %u of %s in %s", n, name, path);
    }
    return fdt32_ld((const fdt32_t *)(p + 4 * n));
}

static const char *
text(const void *fdt, const char *path, const char *name)
{
    const char *s = fdt_getprop(fdt, fdt_path_offset(fdt, path), name, NULL);
    return s != NULL ? s : "(nothing)";
}

static void
whole(void **state)
{
    (void)state;
    static char buf[MACHINE_FDT_MAX];
    struct physmap pm;
    struct irq irq = { 0 };
    physmap_init(&pm);
    struct plic *plic = plic_new(&pm, 0xc000000, 3, &irq, NULL);
    assert_non_null(plic);
    struct device *devices[] = { plic_device(plic) };
    struct machine_tree m = {
        .n_harts = 3, .exts = GC | EXT_BIT(ZICBOZ), .mmu = "sv39", .timebase_hz = 10000000, .ram_base = 0x80000000,
        .ram_bytes = UINT64_C(5) << 30, .bootargs = "quiet", .initrd = 0x88000000, .initrd_end = 0x88001234,
        .stdout_path = "/soc/serial@10000000", .rng_seed = { 1, 2, 3 }, .devices = devices, .n_devices = 1, .has_finisher = true,
    };
    struct err e;
    const int n = machine_fdt(&m, buf, sizeof buf, &e);
    assert_true(n > 0 && fdt_check_full(buf, (size_t)n) == 0);
    assert_true(cell(buf, "/memory@80000000", "reg", 2) == 1 && cell(buf, "/memory@80000000", "reg", 3) == 0x40000000);
    assert_int_equal(cell(buf, "/cpus", "timebase-frequency", 0), 10000000);
    assert_int_equal(cell(buf, "/cpus/cpu@2", "reg", 0), 2);
    assert_int_equal(cell(buf, "/cpus/cpu@2", "riscv,cboz-block-size", 0), 64);
    assert_true(fdt_getprop(buf, fdt_path_offset(buf, "/cpus/cpu@2"), "riscv,cbom-block-size", NULL) == NULL);
    assert_string_equal(text(buf, "/cpus/cpu@0", "mmu-type"), "riscv,sv39");
    assert_string_equal(text(buf, "/cpus/cpu@0", "riscv,isa-base"), "rv64i");
    assert_string_equal(text(buf, "/chosen", "bootargs"), "quiet");
    assert_string_equal(text(buf, "serial0", "nothing"), "(nothing)");
    assert_int_equal(cell(buf, "/chosen", "linux,initrd-end", 1), 0x88001234);
    assert_int_equal(cell(buf, "/poweroff", "value", 0), 0x5555);
    assert_int_equal(cell(buf, "/reboot", "regmap", 0), PHANDLE_FINISHER);
    assert_int_equal(cell(buf, "/cpus/cpu-map/cluster0/core1", "cpu", 0), cell(buf, "/cpus/cpu@1", "phandle", 0));
    assert_int_equal(cell(buf, "/soc/plic@c000000", "interrupts-extended", 0),
                     cell(buf, "/cpus/cpu@0/interrupt-controller", "phandle", 0));
    assert_true(machine_fdt(&m, buf, 1000, &e) < 0 && strstr(e.text, "NOSPACE") != NULL);
    m.initrd = m.initrd_end = 0;
    m.bootargs = NULL;
    assert_true(machine_fdt(&m, buf, sizeof buf, &e) > 0);
    assert_string_equal(text(buf, "/chosen", "bootargs"), "(nothing)");
    devices[0]->type->free(devices[0]);
    physmap_fini(&pm);
}

int
main(void)
{
    const struct CMUnitTest cases[] = { cmocka_unit_test(isa_strings), cmocka_unit_test(whole) };
    return cmocka_run_group_tests(cases, NULL, NULL);
}
