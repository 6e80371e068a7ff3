/*
 * fdt.c - see fdt.h
 */
#include "machine/fdt.h"

#include "base/check.h"
#include "device/dt.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/*
 * Free space at the end. Boot loaders add to the tree where it lies: U-Boot 2025.01 writes /chosen into it, over whatever follows if there
 * is no room. OpenSBI, which usually hands it over, leaves some.
 */
#define ROOM_BYTES 16384

/* A tree that is being written: after the first error nothing more happens. */
struct out {
    void *fdt;
    int error; /* libfdt's */
};

#define TRY(o, call) ((o)->error = (o)->error != 0 ? (o)->error : (call))

static void
begin(struct out *o, const char *name)
{
    TRY(o, fdt_begin_node(o->fdt, name));
}

static void
end(struct out *o)
{
    TRY(o, fdt_end_node(o->fdt));
}

static void
put_bytes(struct out *o, const char *name, const void *bytes, size_t n)
{
    TRY(o, fdt_property(o->fdt, name, bytes, (int)n));
}

static void
put_string(struct out *o, const char *name, const char *s)
{
    put_bytes(o, name, s, strlen(s) + 1);
}

static void
put_u32(struct out *o, const char *name, uint32_t v)
{
    TRY(o, fdt_property_u32(o->fdt, name, v));
}

static void
put_u64(struct out *o, const char *name, uint64_t v)
{
    TRY(o, fdt_property_u64(o->fdt, name, v));
}

#define PUT_CELLS(o, name, ...)                                                                                              \
    do {                                                                                                                     \
        const uint32_t cells_[] = {__VA_ARGS__};                                                                             \
        TRY(o, dt_cells((o)->fdt, name, ARRAY_LEN(cells_), cells_));                                                         \
    } while (0)

/* The single letters, as single ones name them. */
static const struct {
    char name[2];
    ext_set needs;
} letters[] = {
    { "i", EXT_BIT(I) },   { "m", EXT_BIT(M) }, { "a", EXT_BIT(ZAAMO) | EXT_BIT(ZALRSC) },
    { "f", EXT_BIT(F) },   { "d", EXT_BIT(D) }, { "c", EXT_BIT(ZCA) },
    { "v", EXT_BIT(V) },   { "h", EXT_BIT(H) },
};

/* z… by the letter that says what they are about, then s…; and within by name (ISA naming conventions). */
static int
by_name(const void *left, const void *right)
{
    static const char about[] = "imafdqlcbkjtpvnh";
    const char *a = *(const char *const *)left, *b = *(const char *const *)right;
    if (*a != *b) {
        return *a == 'z' ? -1 : 1;
    }
    if (*a == 'z' && a[1] != b[1]) {
        return (int)(strchr(about, a[1]) - about) - (int)(strchr(about, b[1]) - about);
    }
    return strcmp(a, b);
}

/* All names. */
static size_t
names_of(ext_set exts, const char *names[ARRAY_LEN(letters) + EXT_COUNT])
{
    size_t n = 0;
    for (size_t i = 0; i < ARRAY_LEN(letters); i++) {
        /* c is everything that c implies: with d also zcd. */
        ext_set needs = letters[i].needs;
        needs |= *letters[i].name == 'c' && (exts & EXT_BIT(D)) != 0 ? EXT_BIT(ZCD) : 0;
        if ((exts & needs) == needs) {
            names[n++] = letters[i].name;
        }
    }
    const size_t single = n;
    for (unsigned i = 0; i < EXT_COUNT; i++) {
        const char *name = isa_ext_name(i);
        if ((exts >> i & 1) != 0 && name[0] != '\0' && name[1] != '\0') {
            names[n++] = name;
        }
    }
    qsort(names + single, n - single, sizeof *names, by_name);
    return n;
}

static size_t
append(char *out, size_t size, size_t at, const char *s, size_t n)
{
    if (at + n < size) {
        memcpy(out + at, s, n);
        out[at + n] = '\0';
    }
    return at + n;
}

size_t
machine_isa_string(ext_set exts, char *out, size_t size)
{
    const char *names[ARRAY_LEN(letters) + EXT_COUNT];
    const size_t n = names_of(exts, names);
    size_t at = append(out, size, 0, "rv64", 4);
    for (size_t i = 0; i < n; i++) {
        if (names[i][1] != '\0') {
            at = append(out, size, at, "_", 1);
        }
        at = append(out, size, at, names[i], strlen(names[i]));
    }
    return at;
}

size_t
machine_isa_list(ext_set exts, char *out, size_t size)
{
    const char *names[ARRAY_LEN(letters) + EXT_COUNT];
    const size_t n = names_of(exts, names);
    size_t at = 0;
    for (size_t i = 0; i < n; i++) {
        at = append(out, size, at, names[i], strlen(names[i]) + 1);
    }
    return at;
}

static void
put_cpus(struct out *o, const struct machine_tree *m)
{
    char name[40], isa[1024], list[1024], mmu[24];
    (void)machine_isa_string(m->exts, isa, sizeof isa);
    const size_t n_list = machine_isa_list(m->exts, list, sizeof list);
    snprintf(mmu, sizeof mmu, "riscv,%s", m->mmu);
    begin(o, "cpus");
    put_u32(o, "#address-cells", 1);
    put_u32(o, "#size-cells", 0);
    put_u32(o, "timebase-frequency", m->timebase_hz);
    for (unsigned i = 0; i < m->n_harts; i++) {
        snprintf(name, sizeof name, "cpu@%x", i);
        begin(o, name);
        put_u32(o, "phandle", PHANDLE_CPU0 + i);
        put_string(o, "device_type", "cpu");
        put_u32(o, "reg", i);
        put_string(o, "status", "okay");
        put_string(o, "compatible", "riscv");
        static const struct {
            ext_set ext;
            const char *name;
        } blocks[] = {
            { EXT_BIT(ZICBOM), "riscv,cbom-block-size" },
            { EXT_BIT(ZICBOP), "riscv,cbop-block-size" },
            { EXT_BIT(ZICBOZ), "riscv,cboz-block-size" },
        };
        for (size_t k = 0; k < ARRAY_LEN(blocks); k++) {
            if ((m->exts & blocks[k].ext) != 0) {
                put_u32(o, blocks[k].name, 64);
            }
        }
        put_string(o, "riscv,isa", isa);
        put_string(o, "riscv,isa-base", "rv64i");
        put_bytes(o, "riscv,isa-extensions", list, n_list);
        put_string(o, "mmu-type", mmu);
        begin(o, "interrupt-controller");
        put_u32(o, "phandle", PHANDLE_INTC0 + i);
        put_u32(o, "#interrupt-cells", 1);
        put_bytes(o, "interrupt-controller", NULL, 0);
        put_string(o, "compatible", "riscv,cpu-intc");
        end(o);
        end(o);
    }
    begin(o, "cpu-map");
    begin(o, "cluster0");
    for (unsigned i = 0; i < m->n_harts; i++) {
        snprintf(name, sizeof name, "core%u", i);
        begin(o, name);
        put_u32(o, "cpu", PHANDLE_CPU0 + i);
        end(o);
    }
    end(o);
    end(o);
    end(o);
}

static void
put_chosen(struct out *o, const struct machine_tree *m)
{
    begin(o, "chosen");
    put_bytes(o, "rng-seed", m->rng_seed, sizeof m->rng_seed);
    if (m->bootargs != NULL) {
        put_string(o, "bootargs", m->bootargs);
    }
    if (m->initrd_end > m->initrd) {
        put_u64(o, "linux,initrd-start", m->initrd);
        put_u64(o, "linux,initrd-end", m->initrd_end);
    }
    put_string(o, "stdout-path", m->stdout_path);
    end(o);
}

/* A value that is written to the finisher's first register ends it all. */
static void
put_syscon(struct out *o, const char *what, uint32_t value)
{
    char compatible[32];
    snprintf(compatible, sizeof compatible, "syscon-%s", what);
    begin(o, what);
    put_string(o, "compatible", compatible);
    put_u32(o, "regmap", PHANDLE_FINISHER);
    put_u32(o, "offset", 0);
    put_u32(o, "value", value);
    end(o);
}

int
machine_fdt(const struct machine_tree *m, void *buf, size_t size, struct err *e)
{
    char name[40];
    struct out o = { .fdt = buf };
    TRY(&o, fdt_create(buf, (int)size));
    TRY(&o, fdt_finish_reservemap(buf));
    begin(&o, "");
    put_u32(&o, "#address-cells", 2);
    put_u32(&o, "#size-cells", 2);
    put_string(&o, "compatible", "riscv-virtio");
    put_string(&o, "model", "riscv-virtio,doppel");
    begin(&o, "aliases");
    put_string(&o, "serial0", m->stdout_path);
    end(&o);
    put_chosen(&o, m);
    snprintf(name, sizeof name, "memory@%llx", (unsigned long long)m->ram_base);
    begin(&o, name);
    put_string(&o, "device_type", "memory");
    PUT_CELLS(&o, "reg", (uint32_t)(m->ram_base >> 32), (uint32_t)m->ram_base, (uint32_t)(m->ram_bytes >> 32), (uint32_t)m->ram_bytes);
    end(&o);
    put_cpus(&o, m);
    /* Firmware reads which counters count what: cycle the cycles, instret the instructions. */
    begin(&o, "pmu");
    put_string(&o, "compatible", "riscv,pmu");
    PUT_CELLS(&o, "riscv,event-to-mhpmcounters", 1, 1, 1, 2, 2, 4);
    end(&o);
    begin(&o, "soc");
    put_u32(&o, "#address-cells", 2);
    put_u32(&o, "#size-cells", 2);
    put_string(&o, "compatible", "simple-bus");
    put_bytes(&o, "ranges", NULL, 0);
    for (size_t i = 0; i < m->n_devices; i++) {
        const struct device *d = m->devices[i];
        if (d->type->fdt != NULL) {
            TRY(&o, d->type->fdt(d, buf));
        }
    }
    end(&o);
    if (m->has_finisher) {
        put_syscon(&o, "poweroff", 0x5555);
        put_syscon(&o, "reboot", 0x7777);
    }
    end(&o);
    TRY(&o, fdt_finish(buf));
    if (o.error == 0) {
        const size_t n = fdt_totalsize(buf);
        TRY(&o, fdt_open_into(buf, buf, (int)(n + ROOM_BYTES < size ? n + ROOM_BYTES : size)));
        memset((uint8_t *)buf + n, 0, fdt_totalsize(buf) - n);
    }
    return o.error == 0 ? (int)fdt_totalsize(buf) : err_set(e, 0, "device tree: %s", fdt_strerror(o.error));
}
