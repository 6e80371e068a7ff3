/*
 * machine.h - a whole machine: QEMU's virt, address for address
 *
 *      machine_new()   memory, devices, images in place, device tree
 *      machine_run()   until the guest, or the user, switches it off
 *
 * Threads: the caller's becomes the I/O thread inside of machine_run(); each hart has one. Other functions: none of them runs.
 */
#ifndef DOPPEL_MACHINE_H
#define DOPPEL_MACHINE_H

#include "base/err.h"
#include "device/net_user.h"
#include "engine/engine.h"
#include "isa/isa.h"
#include "machine/boot.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MACHINE_HARTS_MAX    32
#define MACHINE_DISKS_MAX    6
#define MACHINE_FORWARDS_MAX 32

struct machine_disk {
    int fd;           /* own: taken by machine_new() */
    const char *name; /* ref: for messages */
    bool read_only, packed;
};

struct machine_config {
    unsigned n_harts;
    uint64_t ram_bytes;
    enum engine_kind engine;
    ext_set exts;
    uint32_t satp_modes;          /* bits by SATP_* */
    struct boot_image firmware, kernel, initrd;
    const char *append;           /* ref; NULL: none */
    const void *dtb;              /* ref: a device tree in place of ours; or NULL */
    size_t dtb_bytes;
    struct machine_disk disks[MACHINE_DISKS_MAX];
    unsigned n_disks;
    bool net;
    struct net_forward forwards[MACHINE_FORWARDS_MAX];
    unsigned n_forwards;
    int console_in, console_out;  /* ref */
    bool console_escape;          /* console_in is a terminal: raw, with Ctrl-A for us */
};

struct machine;

struct machine *machine_new(const struct machine_config *cfg, struct err *e);
void machine_free(struct machine *m);

/* The device tree, as the guest finds it. */
const void *machine_dtb(const struct machine *m, size_t *bytes);

/* What is where, as lines of text: own, the caller's to free; NULL if there is no memory. */
char *machine_map_text(const struct machine *m);

/* How a machine ended: the guest's code, 0 if it has none to give; or a signal that came from outside. */
struct machine_end {
    unsigned code;
    int signal;
};

/* Run it. 0, or -errno with *e if it could not start (again). */
int machine_run(struct machine *m, struct machine_end *end, struct err *e);

#endif
