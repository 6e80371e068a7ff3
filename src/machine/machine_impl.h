/*
 * machine_impl.h - what the files of a machine share
 */
#ifndef DOPPEL_MACHINE_IMPL_H
#define DOPPEL_MACHINE_IMPL_H

#include "base/loop.h"
#include "device/chardev.h"
#include "device/clint.h"
#include "device/plic.h"
#include "engine/system.h"
#include "machine/console.h"
#include "machine/machine.h"
#include "memory/physmap.h"
#include "sbi/sbi.h"

#include <pthread.h>
#include <stdatomic.h>

#define MACHINE_DEVICES_MAX 32

#define RAM_BASE  UINT64_C(0x80000000)
#define ROM_BYTES UINT64_C(0xf000)

/* A hart and its thread. */
struct machine_hart {
    struct machine *m; /* ref */
    struct mhart *cpu; /* own */
    unsigned number;
    pthread_t thread;
    struct loop_timer timer;  /* its stimecmp has come */
    atomic_uint wakes;        /* a futex: changes when a hart that sleeps is to look again */
};

struct machine {
    struct machine_config cfg;
    struct physmap pm;
    struct loop *loop;         /* own */
    struct chardev line;       /* of the UART */
    struct console *console;   /* own: while the machine runs */
    struct clint *clint;       /* own, by devices */
    struct plic *plic;         /* own, by devices */
    struct device *devices[MACHINE_DEVICES_MAX]; /* own, in the order of the bus */
    unsigned n_devices;
    uint8_t *rom;              /* own */
    struct boot boot;
    void *dtb;                 /* own */
    size_t dtb_bytes;
    uint8_t rng_seed[32];

    struct system sys;
    struct priv_env env;
    struct sbi sbi;
    struct machine_hart harts[MACHINE_HARTS_MAX];
    bool harts_run;            /* their threads exist */

    /* the first who asks for the end says how it ends */
    atomic_int ending;         /* enum machine_ending */
    struct machine_end end;    /* by who set `ending`, before loop_stop() */
};

enum machine_ending { MACHINE_GOES_ON, MACHINE_OFF, MACHINE_REBOOT };

/* board.c: all devices of the machine, at their places. 0, or -errno with *e. */
int board_make(struct machine *m, struct err *e);

/* machine.c: the machine is to stop. Any thread; it returns, and a hart that called it goes on until it is stopped. */
void machine_ask_end(struct machine *m, enum machine_ending how, unsigned code, int signal);

/* harts.c: the harts of a machine, as after power-on; their threads. */
int harts_make(struct machine *m, struct err *e);
void harts_free(struct machine *m);
void harts_reset(struct machine *m);
int harts_start(struct machine *m, struct err *e);
void harts_stop(struct machine *m);

/* The sink of the interrupt controllers' lines: bit n of mip of a hart. */
void harts_interrupt(void *machine, unsigned hart, unsigned n, bool level);

/* harts_sbi.c: what SBI calls do to this machine. */
extern const struct sbi_ops harts_sbi_ops;

/* Let a hart that sleeps look again. Any thread. */
void harts_wake(struct machine_hart *h);

#endif
