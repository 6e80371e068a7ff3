/*
 * board.c - the devices of a machine: the one list
 *
 * Addresses and interrupts are those of QEMU's virt; a new device is a line here. The order is that of the device tree, but for
 * virtio slots: QEMU fills them from the last, and so do we, so that the first disk is vda there and here.
 */
#include "machine/machine_impl.h"

#include "base/check.h"
#include "device/finisher.h"
#include "device/flash.h"
#include "device/fw_cfg.h"
#include "device/goldfish_rtc.h"
#include "device/ns16550a.h"
#include "device/virtio.h"
#include "device/virtio_devices.h"

#include <errno.h>
#include <sys/mman.h>

enum { SOURCE_VIRTIO = 1, SOURCE_UART = 10, SOURCE_RTC = 11, VIRTIO_SLOTS = 8 };

#define FINISHER_BASE UINT64_C(0x00100000)
#define RTC_BASE      UINT64_C(0x00101000)
#define CLINT_BASE    UINT64_C(0x02000000)
#define PLIC_BASE     UINT64_C(0x0c000000)
#define UART_BASE     UINT64_C(0x10000000)
#define VIRTIO_BASE   UINT64_C(0x10001000)
#define VIRTIO_STEP   UINT64_C(0x1000)
#define FW_CFG_BASE   UINT64_C(0x10100000)

static void
finish(void *arg, enum finish how, unsigned code)
{
    machine_ask_end(arg, how == FINISH_REBOOT ? MACHINE_REBOOT : MACHINE_OFF, MACHINE_BY_GUEST, code, 0);
}

/* False: it could not be made. */
static bool
put(struct machine *m, struct device *d)
{
    if (d != NULL) {
        m->devices[m->n_devices++] = d;
    }
    return d != NULL;
}

/* The next slot for a virtio device, from the last on. There is one: put_virtio() has counted. */
static const struct virtio_place *
next_slot(struct machine *m, struct virtio_place *at, bool packed)
{
    CHECK(at->slot > 0);
    const unsigned slot = --at->slot;
    at->base = VIRTIO_BASE + slot * VIRTIO_STEP;
    at->irq = plic_source(m->plic, SOURCE_VIRTIO + slot);
    at->packed = packed;
    return at;
}

static bool
put_ports(struct machine *m, const struct virtio_place *at, struct err *e)
{
    struct virtio_console_port ports[MACHINE_PORTS_MAX];
    ports_init(m);
    for (unsigned i = 0; i < m->cfg.n_ports; i++) {
        const struct machine_port_config *p = &m->cfg.ports[i];
        ports[i] = (struct virtio_console_port){.line = &m->ports[i].line, .name = p->name, .connected = p->listener < 0};
    }
    m->ports_device = virtio_console_new(at, ports, m->cfg.n_ports, e);
    return put(m, m->ports_device);
}

static bool
put_virtio(struct machine *m, struct err *e)
{
    const struct machine_config *cfg = &m->cfg;
    struct virtio_place at = {.pm = &m->pm, .slot = VIRTIO_SLOTS};
    const unsigned n = cfg->n_disks + cfg->n_shares + (cfg->net.kind != NET_NONE) + (cfg->n_ports > 0) + cfg->balloon + (cfg->vsock_path != NULL) + 1;
    if (n > VIRTIO_SLOTS) {
        err_set(e, 0, "%u disks, shared folders and other virtio devices: there are places for %d", n, VIRTIO_SLOTS);
        return false;
    }
    for (unsigned i = 0; i < cfg->n_disks; i++) {
        const struct machine_disk *disk = &cfg->disks[i];
        if (!put(m, virtio_blk_new(next_slot(m, &at, disk->packed), disk->block, disk->serial, e))) {
            return false;
        }
    }
    if (cfg->net.kind != NET_NONE && !put(m, virtio_net_new(next_slot(m, &at, false), &cfg->net, e))) {
        return false;
    }
    for (unsigned i = 0; i < cfg->n_shares; i++) {
        const struct machine_share *share = &cfg->shares[i];
        if (!put(m, virtio_9p_new(next_slot(m, &at, false), share->fd, share->read_only, share->tag, e))) {
            return false;
        }
    }
    if (cfg->n_ports > 0 && !put_ports(m, next_slot(m, &at, false), e)) {
        return false;
    }
    if (cfg->balloon) {
        m->balloon = virtio_balloon_new(next_slot(m, &at, false), cfg->balloon_bytes, e);
        if (!put(m, m->balloon)) {
            return false;
        }
    }
    if (cfg->vsock_path != NULL &&
        !put(m, virtio_vsock_new(next_slot(m, &at, false), cfg->vsock_listener, cfg->vsock_path, cfg->vsock_cid, e))) {
        return false;
    }
    if (!put(m, virtio_rng_new(next_slot(m, &at, false), e))) {
        return false;
    }
    if (at.slot > 0) {
        m->power = virtio_input_new(next_slot(m, &at, false), e);
        if (!put(m, m->power)) {
            return false;
        }
    }
    while (at.slot > 0) {
        if (!put(m, virtio_empty_new(next_slot(m, &at, false), e))) {
            return false;
        }
    }
    return true;
}

int
board_make(struct machine *m, struct err *e)
{
    struct physmap *pm = &m->pm;
    const struct irq to_harts = {.set = harts_interrupt, .arg = m};
    m->rom = mmap(NULL, ROM_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (m->rom == MAP_FAILED) {
        m->rom = NULL;
        return err_set(e, -errno, "reset ROM");
    }
    int r = physmap_add_ram(pm, RAM_BASE, m->cfg.ram_bytes, e);
    r = r < 0 ? r : physmap_add_rom(pm, "reset ROM", BOOT_ROM_BASE, ROM_BYTES, m->rom, NULL, NULL, e);
    if (r < 0) {
        return r;
    }
    m->plic = plic_new(pm, PLIC_BASE, m->cfg.n_harts, &to_harts, e);
    m->clint = m->plic != NULL ? clint_new(pm, m->loop, CLINT_BASE, m->cfg.n_harts, &to_harts, e) : NULL;
    if (!put(m, m->plic != NULL ? plic_device(m->plic) : NULL) || !put(m, m->clint != NULL ? clint_device(m->clint) : NULL)) {
        return -ENOMEM;
    }
    const struct irq uart = plic_source(m->plic, SOURCE_UART), rtc = plic_source(m->plic, SOURCE_RTC);
    if (!put(m, ns16550a_new(pm, UART_BASE, &uart, &m->line, e)) || !put(m, goldfish_rtc_new(pm, m->loop, RTC_BASE, &rtc, e)) ||
        !put(m, finisher_new(pm, FINISHER_BASE, finish, m, e)) || !put_virtio(m, e)) {
        return -ENOMEM;
    }
    struct fw_cfg *fw_cfg = fw_cfg_new(pm, FW_CFG_BASE, e);
    if (!put(m, fw_cfg != NULL ? fw_cfg_device(fw_cfg) : NULL)) {
        return -ENOMEM;
    }
    for (unsigned i = 0; i < 2; i++) {
        const struct machine_flash *flash = &m->cfg.flash[i];
        if (!put(m, flash_new(pm, MACHINE_FLASH_BASE + i * FLASH_BYTES, flash->there ? flash->fd : -1, flash->mode, e))) {
            return -ENOMEM;
        }
    }
    return 0;
}
