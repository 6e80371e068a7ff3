/*
 * registers.c - any accesses to the registers of the board's own devices, and commands to fw_cfg
 *
 * covers: src/device/fw_cfg.c src/device/flash.c src/device/ns16550a.c src/device/goldfish_rtc.c src/device/plic.c src/device/clint.c
 *     src/device/finisher.c src/device/chardev.c
 *
 * A step is a few bytes: which device, which register, what size and value; or a command of fw_cfg in memory; or what comes from outside.
 * What fw_cfg has copied is from its files, and nothing but what it was told to write to has changed.
 */
#include "base/check.h"
#include "base/loop.h"
#include "device/chardev.h"
#include "device/clint.h"
#include "device/dt.h"
#include "device/finisher.h"
#include "device/flash.h"
#include "device/fw_cfg.h"
#include "device/goldfish_rtc.h"
#include "device/ns16550a.h"
#include "device/plic.h"

#include <endian.h>
#include <stdlib.h>
#include <string.h>

#define RAM       UINT64_C(0x80000000)
#define RAM_BYTES (UINT64_C(64) << 10)
#define COMMAND   (RAM + 0x8000) /* behind it nothing is ever written */
#define FW_CFG    UINT64_C(0x10100000)
#define FLASH     UINT64_C(0x20000000)
#define HARTS     3

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct physmap pm_;
static struct loop *loop_;
static struct clint *clint_;
static struct device *devices_[7];
static struct chardev line_;
static struct loop_timer now_;

static void
interrupt(void *arg, unsigned hart, unsigned n, bool level)
{
    (void)arg, (void)level;
    CHECK(hart < HARTS && (n == 3 || n == 7 || n == 9 || n == 11));
}

static void
finish(void *arg, enum finish how, unsigned code)
{
    (void)arg;
    CHECK(how <= FINISH_REBOOT && code <= 0xffff);
}

static void
stop(void *arg)
{
    loop_stop(arg);
}

static void
make(void)
{
    struct err e;
    physmap_init(&pm_);
    CHECK(physmap_add_ram(&pm_, RAM, RAM_BYTES, &e) == 0);
    loop_ = loop_new(&e);
    CHECK(loop_ != NULL);
    now_ = (struct loop_timer){.fire = stop, .arg = loop_};
    loop_timer_add(loop_, &now_);
    const struct irq sink = {.set = interrupt};
    clint_ = clint_new(&pm_, loop_, 0x2000000, HARTS, &sink, &e);
    struct plic *const plic = plic_new(&pm_, 0xc000000, HARTS, &sink, &e);
    struct fw_cfg *const fw = fw_cfg_new(&pm_, FW_CFG, &e);
    CHECK(clint_ != NULL && plic != NULL && fw != NULL);
    CHECK(fw_cfg_add(fw, "one", "1111", 4) == 0 && fw_cfg_add(fw, "two", "22222222", 8) == 0 && fw_cfg_add(fw, "none", "", 0) == 0);
    const struct irq uart = plic_source(plic, 10), rtc = plic_source(plic, 11);
    chardev_init(&line_);
    devices_[0] = clint_device(clint_);
    devices_[1] = plic_device(plic);
    devices_[2] = fw_cfg_device(fw);
    devices_[3] = ns16550a_new(&pm_, 0x10000000, &uart, &line_, &e);
    devices_[4] = goldfish_rtc_new(&pm_, loop_, 0x101000, &rtc, &e);
    devices_[5] = finisher_new(&pm_, 0x100000, finish, NULL, &e);
    devices_[6] = flash_new(&pm_, FLASH, -1, FLASH_SNAPSHOT, &e);
    static char tree[8192];
    CHECK(fdt_create(tree, sizeof tree) == 0 && fdt_finish_reservemap(tree) == 0 && fdt_begin_node(tree, "") == 0);
    for (unsigned i = 0; i < ARRAY_LEN(devices_); i++) {
        CHECK(devices_[i] != NULL && (devices_[i]->type->fdt == NULL || devices_[i]->type->fdt(devices_[i], tree) == 0));
    }
    CHECK(fdt_end_node(tree) == 0 && fdt_finish(tree) == 0 && fdt_check_full(tree, sizeof tree) == 0);
}

static void
unmake(void)
{
    for (unsigned i = 0; i < ARRAY_LEN(devices_); i++) {
        devices_[i]->type->free(devices_[i]);
    }
    loop_free(loop_);
    physmap_fini(&pm_);
}

/* ---- input ---- */

static const uint8_t *at_;
static size_t left_;

static uint8_t
next(void)
{
    return left_ > 0 ? left_--, *at_++ : 0;
}

static uint64_t
number(void)
{
    static const uint64_t some[] = {0x10, 0x20, 0x40, 0x50, 0x60, 0x70, 0x90, 0x98, 0xd0, 0xe8, 0xff, 0x3333, 0x5555, 0x7777, UINT64_MAX, UINT64_C(1) << 63, 0x7fffffff, 0x80000000,
                                    0xffffffff, RAM, COMMAND, RAM + RAM_BYTES - 1, RAM - 1};
    const uint8_t how = next();
    uint64_t v = how < 0x80 ? how : some[how % ARRAY_LEN(some)];
    for (unsigned i = 0; how >= 0xf0 && i < 8; i++) {
        v = v << 8 | next();
    }
    return v;
}

/* ---- steps ---- */

/* Registers lie close together, or (PLIC) in groups that are far from each other. */
static uint64_t
offset(const struct device *d)
{
    const uint8_t how = next();
    const uint64_t groups[] = {0, 0x80, 0x1000, 0x2000, 0x2080, 0x4000, 0xbff8, 0x200000, 0x201000, 0x204000, 0x40000, 0x3fff0, d->bytes - 8};
    const uint64_t off = groups[how % ARRAY_LEN(groups)] + next() % 64u;
    return (how & 0x80 ? off & ~UINT64_C(3) : off) % d->bytes;
}

static void
access(void)
{
    const uint8_t how = next();
    const struct device *const d = devices_[how % ARRAY_LEN(devices_)];
    const uint64_t at = d->base + offset(d);
    const unsigned size = 1u << (how >> 4 & 3);
    uint64_t v;
    if (how & 0x80) {
        physmap_io_write(&pm_, at, size, number());
    } else if (physmap_io_read(&pm_, at, size, &v)) {
        CHECK(size == 8 || v >> 8 * size == 0);
    }
}

static void
command(void)
{
    static uint8_t before[RAM_BYTES];
    static const uint16_t items[] = {0, 1, 0x19, 0x20, 0x21, 0x22, 0x23, 0xffff, 0x4019, 0x8020};
    struct {
        uint32_t control, length;
        uint64_t address;
    } c;
    const uint32_t control = (uint32_t)items[next() % ARRAY_LEN(items)] << 16 | (next() & 31), length = (uint32_t)number();
    const uint64_t address = next() & 1 ? RAM + number() : number();
    c.control = htobe32(control);
    c.length = htobe32(length);
    c.address = htobe64(address);
    uint8_t *const ram = physmap_ram(&pm_, RAM, RAM_BYTES), *const mine = physmap_ram(&pm_, COMMAND, sizeof c);
    memcpy(mine, &c, sizeof c);
    memcpy(before, ram, RAM_BYTES);
    physmap_io_write(&pm_, FW_CFG + 16, 8, htobe64(COMMAND));
    memcpy(before + (COMMAND - RAM), ram + (COMMAND - RAM), 4); /* the answer */
    const bool fits = address >= RAM && address - RAM < RAM_BYTES && length <= RAM_BYTES - (address - RAM);
    if ((control & 2) && fits) {
        memcpy(before + (address - RAM), ram + (address - RAM), length);
    } else {
        uint32_t answer;
        memcpy(&answer, mine, 4);
        CHECK(answer == ((control & (2 | 16)) ? htobe32(1) : 0));
    }
    CHECK(memcmp(before, ram, RAM_BYTES) == 0);
}

static void
outside(void)
{
    uint8_t bytes[256];
    const uint8_t n = next();
    if (n >= 0xf0) { /* the clock stops, or goes on; timers that have come fire */
        (n & 1 ? clint_start : clint_stop)(clint_);
        CHECK(clint_when(clint_, clint_time(clint_) + n) > 0);
        loop_timer_set(loop_, &now_, 0);
        loop_run(loop_);
    } else if (n < 0xe0) {
        chardev_input(&line_, at_, n < left_ ? n : left_);
        chardev_drop(&line_, chardev_peek(&line_, bytes, n));
    } else {
        chardev_break(&line_);
    }
    if (line_.ready != NULL) {
        line_.ready(line_.front_arg);
    }
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static unsigned runs;
    if (runs++ % 4096 == 0) {
        if (runs > 1) {
            unmake();
        }
        make();
    }
    at_ = data;
    left_ = size;
    for (unsigned i = 0; i < ARRAY_LEN(devices_); i++) {
        if (devices_[i]->type->reset != NULL) {
            devices_[i]->type->reset(devices_[i]);
        }
    }
    while (left_ > 0) {
        const uint8_t how = next();
        if (how % 8 == 0) {
            command();
        } else if (how % 8 == 1) {
            outside();
        } else {
            access();
        }
    }
    return 0;
}
