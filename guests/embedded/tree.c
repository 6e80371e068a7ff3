/*
 * tree.c - the device tree, read in one pass
 *
 * Devicetree Specification 0.4, "Flattened Devicetree Format". A stack of #address-cells and #size-cells, by depth; the names of
 * properties are enough to know what each one is.
 */
#include "guest.h"

struct machine machine;

static uint32_t
be32(const void *p)
{
    const uint8_t *b = p;
    return (uint32_t)b[0] << 24 | (uint32_t)b[1] << 16 | (uint32_t)b[2] << 8 | b[3];
}

static u64
cells(const uint8_t **p, unsigned n)
{
    u64 v = 0;
    for (; n != 0; n--, *p += 4) {
        v = v << 32 | be32(*p);
    }
    return v;
}

/* What a node has said so far. */
struct node {
    const char *name, *compatible, *kind;
    unsigned address_cells, size_cells; /* of its children */
    const uint8_t *reg;
    unsigned reg_len, irq;
    uint32_t phandle;
    const uint8_t *extended;
    unsigned extended_len;
};

/* Its context for S-mode of the hart that booted: (phandle of that hart's controller, 9). */
static void
plic_contexts(const uint8_t *p, unsigned len)
{
    for (unsigned i = 0; i < len / 8; i++, p += 8) {
        if (be32(p) == machine.intc_phandles[0] && be32(p + 4) == IRQ_EXTERNAL) {
            machine.plic_context = i;
        }
    }
}

static void
node_done(const struct node *n, const struct node *parent, const struct node *plic)
{
    const uint8_t *p = n->reg;
    u64 base = 0, bytes = 0;
    (void)plic;
    if (p != NULL && n->reg_len >= 4 * (parent->address_cells + parent->size_cells)) {
        base = cells(&p, parent->address_cells);
        bytes = cells(&p, parent->size_cells);
    }
    if (n->kind != NULL && text_is(n->kind, "memory")) {
        machine.ram_base = base;
        machine.ram_bytes = bytes;
    } else if (n->kind != NULL && text_is(n->kind, "cpu") && machine.n_harts < HARTS_MAX) {
        machine.hart_ids[machine.n_harts++] = base;
    } else if (n->compatible != NULL && n->reg != NULL && machine.n_devices < DEVICES_MAX) {
        machine.devices[machine.n_devices++] = (struct device){ n->compatible, base, bytes, n->irq };
    }
}

static bool
one_of(const char *list, unsigned len, const char *what)
{
    for (unsigned i = 0; i < len;) {
        if (text_is(list + i, what)) {
            return true;
        }
        while (list[i++] != '\0') {
        }
    }
    return false;
}

bool
tree_read(const void *dtb)
{
    const uint8_t *b = dtb;
    if (dtb == NULL || be32(b) != 0xd00dfeed) {
        return false;
    }
    const uint8_t *p = b + be32(b + 8);
    const char *strings = (const char *)b + be32(b + 12);
    struct node stack[8] = { { .address_cells = 2, .size_cells = 1 } };
    struct node plic = { 0 };
    unsigned depth = 0; /* of the node that is open; stack[0] is above the root */
    for (;;) {
        const uint32_t token = be32(p);
        p += 4;
        if (token == 1) { /* a node begins */
            if (++depth == 8) {
                return false;
            }
            stack[depth] = (struct node){ .name = (const char *)p, .address_cells = 2, .size_cells = 1 };
            while (*p++ != '\0') {
            }
            p = (const uint8_t *)(((u64)p + 3) & ~3ul);
        } else if (token == 2) {
            node_done(&stack[depth], &stack[depth - 1], &plic);
            const struct node *n = &stack[depth];
            if (n->compatible != NULL && text_is(n->compatible, "riscv,cpu-intc") && machine.n_harts < HARTS_MAX) {
                machine.intc_phandles[machine.n_harts] = n->phandle; /* of the cpu that is still open */
            }
            if (n->extended != NULL && text_starts(n->compatible != NULL ? n->compatible : "", "sifive,plic")) {
                plic = *n;
                const uint8_t *reg = n->reg;
                machine.plic = cells(&reg, stack[depth - 1].address_cells);
            }
            depth--;
        } else if (token == 3) {
            const uint32_t len = be32(p);
            const char *name = strings + be32(p + 4), *text = (const char *)p + 8;
            const uint8_t *v = p + 8;
            struct node *n = &stack[depth];
            p += 8 + ((len + 3) & ~3u);
            if (text_is(name, "#address-cells")) {
                n->address_cells = be32(v);
            } else if (text_is(name, "#size-cells")) {
                n->size_cells = be32(v);
            } else if (text_is(name, "compatible")) {
                n->compatible = one_of(text, len, "sifive,plic-1.0.0") ? "sifive,plic-1.0.0" : text;
            } else if (text_is(name, "device_type")) {
                n->kind = text;
            } else if (text_is(name, "reg")) {
                n->reg = v;
                n->reg_len = len;
            } else if (text_is(name, "interrupts")) {
                n->irq = be32(v);
            } else if (text_is(name, "phandle")) {
                n->phandle = be32(v);
            } else if (text_is(name, "interrupts-extended")) {
                n->extended = v;
                n->extended_len = len;
            } else if (text_is(name, "model") && depth == 1) {
                machine.model = text;
            } else if (text_is(name, "bootargs")) {
                machine.bootargs = text;
            } else if (text_is(name, "linux,initrd-start")) {
                machine.initrd = cells(&v, len / 4);
            } else if (text_is(name, "linux,initrd-end")) {
                machine.initrd_end = cells(&v, len / 4);
            } else if (text_is(name, "riscv,isa")) {
                machine.isa = text;
            } else if (text_is(name, "mmu-type")) {
                machine.mmu = text;
            } else if (text_is(name, "timebase-frequency")) {
                machine.timebase = cells(&v, len / 4);
            }
        } else if (token == 9) {
            break;
        }
    }
    /* The hart that booted comes first. */
    for (unsigned i = 1; i < machine.n_harts; i++) {
        if (machine.hart_ids[i] == me->id) {
            const uint32_t phandle = machine.intc_phandles[i];
            machine.hart_ids[i] = machine.hart_ids[0];
            machine.intc_phandles[i] = machine.intc_phandles[0];
            machine.hart_ids[0] = me->id;
            machine.intc_phandles[0] = phandle;
        }
    }
    if (plic.extended != NULL) {
        plic_contexts(plic.extended, plic.extended_len);
    }
    return machine.n_harts != 0;
}

const struct device *
device_find(const char *compatible, const struct device *after)
{
    for (const struct device *d = after != NULL ? after + 1 : machine.devices; d < machine.devices + machine.n_devices; d++) {
        if (text_is(d->compatible, compatible)) {
            return d;
        }
    }
    return NULL;
}

/* By the ISA string: a single letter before the first "_", or a word. */
bool
isa_has(const char *extension)
{
    const char *s = machine.isa != NULL ? machine.isa + 4 : "";
    if (extension[1] == '\0') {
        for (; *s != '\0' && *s != '_'; s++) {
            if (*s == *extension) {
                return true;
            }
        }
        return false;
    }
    for (; *s != '\0'; s++) {
        if (*s != '_') {
            continue;
        }
        const char *a = s + 1, *e = extension;
        while (*e != '\0' && *a == *e) {
            a++;
            e++;
        }
        if (*e == '\0' && (*a == '_' || *a == '\0')) {
            return true;
        }
    }
    return false;
}

void
tree_show(void)
{
    print("machine   %s\nharts     %d, timebase %ld Hz, %s\nisa       %s\nmemory    %ld MiB at 0x%lx\n",
          machine.model != NULL ? machine.model : "?", machine.n_harts, machine.timebase, machine.mmu != NULL ? machine.mmu : "no MMU",
          machine.isa != NULL ? machine.isa : "?", machine.ram_bytes >> 20, machine.ram_base);
    if (machine.initrd_end != 0) {
        print("initrd    %ld bytes at 0x%lx\n", machine.initrd_end - machine.initrd, machine.initrd);
    }
    print("bootargs  %s\n", machine.bootargs != NULL ? machine.bootargs : "");
}

void
devices_show(void)
{
    for (unsigned i = 0; i < machine.n_devices; i++) {
        const struct device *d = &machine.devices[i];
        print("device    %-28s 0x%lx", d->compatible, d->base);
        if (d->irq != 0) {
            print(", interrupt %d", d->irq);
        }
        print("\n");
    }
}
