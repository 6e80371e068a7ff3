/*
 * machine.h - a whole machine: QEMU's virt, address for address
 *
 *      machine_new()   memory, devices, images in place, device tree
 *      machine_run()   until the guest, or the user, switches it off
 *
 * Threads: the caller's becomes the I/O thread inside of machine_run(); each hart has one. Other functions, but those of the last part: none
 * of them runs.
 */
#ifndef DOPPEL_MACHINE_H
#define DOPPEL_MACHINE_H

#include "base/err.h"
#include "block/block.h"
#include "device/flash.h"
#include "device/virtio_devices.h"
#include "engine/engine.h"
#include "isa/isa.h"
#include "machine/boot.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MACHINE_HARTS_MAX    32
#define MACHINE_DISKS_MAX    6
#define MACHINE_SHARES_MAX   6
#define MACHINE_PORTS_MAX    4
#define MACHINE_FLASH_BASE   UINT64_C(0x20000000) /* two banks, one after the other */
#define MACHINE_CONTROL_MAX  4

struct machine_disk {
    struct block *block; /* own: taken by machine_new() */
    const char *name;    /* ref: of its file */
    const char *serial;  /* ref */
    bool packed;
};

/* A folder of this machine that the guest mounts by its tag. */
struct machine_share {
    int fd;          /* own: taken by machine_new() */
    const char *tag; /* ref */
    bool read_only;
};

/* A port of the virtio console: two descriptors (in may be -1), or a socket that listens. */
struct machine_port_config {
    int listener;     /* own: taken by machine_new(); or -1 */
    int in, out;      /* ref */
    bool escape;      /* in is a terminal: raw, with Ctrl-A for us */
    const char *name; /* ref: the guest's /dev/virtio-ports/NAME; NULL: a console */
};

struct machine_flash {
    bool there;
    int fd; /* ref: until machine_new() returns */
    enum flash_mode mode;
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
    struct machine_share shares[MACHINE_SHARES_MAX];
    unsigned n_shares;
    struct machine_port_config ports[MACHINE_PORTS_MAX];
    unsigned n_ports;
    struct machine_flash flash[2];
    const char *vsock_path;       /* ref; NULL: no vsock */
    int vsock_listener;           /* own: taken by machine_new() */
    uint64_t vsock_cid;
    bool balloon;
    uint64_t balloon_bytes;       /* that the guest is to lend from the beginning */
    struct net_config net;
    int console_in, console_out;  /* ref */
    bool console_escape;          /* console_in is a terminal: raw, with Ctrl-A for us */
    int console_log;              /* ref: what the console on a terminal (console_in, or a port's) shows is written there, too; or -1 */
    const char *name;             /* ref; or NULL */
    bool sandbox;                 /* the calling process is locked in, for good: see sandbox.h */
    int control[MACHINE_CONTROL_MAX]; /* ref: sockets that listen, for QMP */
    unsigned n_control;
    bool gdb;                     /* gdb_fd is */
    int gdb_fd;                   /* ref: a socket that listens for a debugger */
    bool gdb_waits;               /* the machine stands until a debugger lets it go */
};

struct machine;

/* 0 and *m, or -errno with *e; -ENOEXEC: an image cannot be used. */
int machine_new(const struct machine_config *cfg, struct machine **m, struct err *e);
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

/*
 * ---- all harts stand still (pause.c) ----
 *
 * For control, debugger, snapshot. Whoever wants the machine to stand holds it; it goes on when nobody does. It may be held before it runs,
 * and stays so through a reset. While it is held and stands, its holders may read and change registers (then: system_hart_changed()) and
 * memory, one holder at a time: they agree among each other, best by being all on the I/O thread. The guest's clock stands, too; the
 * devices' own threads finish what they have begun.
 *
 * machine_pause, _wait, _step block until harts have come by, which takes microseconds: any thread but a hart's, with no device locked.
 * machine_pause_begin, machine_resume do not: any thread; a hart's own that calls machine_pause_begin() (at a breakpoint) stands when it
 * is back in its loop.
 */
void machine_pause_begin(struct machine *m);
void machine_pause_wait(struct machine *m); /* until all stand, or have ended with the machine, or nobody holds it */
void machine_pause(struct machine *m);      /* both */
void machine_resume(struct machine *m);     /* for each machine_pause() or machine_pause_begin() */
bool machine_is_paused(const struct machine *m);

/*
 * A hart of a machine that stands executes one instruction, on its own thread; the others stand on, the clock goes meanwhile. If an
 * interrupt is pending, or the instruction traps, it is the first of the handler. 0; -EAGAIN if there is none to execute because SBI has
 * stopped the hart; -ECANCELED if the machine has ended by it.
 */
int machine_step(struct machine *m, unsigned hart);

/* Told when the machine begins to be held, and when it goes on: by any thread, with locks held, so it only notes that. */
struct machine_watch {
    void (*changed)(void *arg, bool runs);
    void *arg;                  /* ref */
    struct machine_watch *next; /* the machine's */
};
void machine_watch(struct machine *m, struct machine_watch *w);
void machine_unwatch(struct machine *m, struct machine_watch *w);

#endif
