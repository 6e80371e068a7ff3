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
#include "machine/sandbox.h"
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
    atomic_int tid;           /* the host's number for it */
    struct loop_timer timer;  /* its stimecmp has come */
    atomic_uint wakes;        /* a futex: changes when a hart that sleeps is to look again */
    /* under m->pause.lock */
    bool still, may_step;     /* it stands; in front of an instruction */
    bool step;                /* it is to execute that */
    bool gone;                /* its thread is at its end */
    uint8_t action;           /* enum gdb_action: a debugger's; changes while all stand */
};

/* See pause.c. */
struct pause {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    atomic_bool asked;        /* holds > 0: for harts that look in passing */
    /* under lock */
    unsigned holds;
    unsigned n_live, n_still; /* harts with a thread; those of them that stand */
    bool clock;               /* goes */
    struct machine_watch *watches; /* ref */
};

/* A port of the virtio console, and what is at its other end. */
struct machine_port {
    struct machine *m; /* ref */
    unsigned number;
    struct chardev line;
    struct console *console;       /* own: two descriptors, while the machine runs */
    int own;                       /* own until then: see console_reopen() */
    struct loop_fd listener, peer; /* or a socket; peer.fd: own, -1: none */
    struct loop_timer timer;
    uint8_t held[512];             /* of the peer's, which the line has not taken yet */
    size_t n_held;
};
enum machine_ending { MACHINE_GOES_ON, MACHINE_OFF, MACHINE_REBOOT };
enum machine_by { MACHINE_BY_GUEST, MACHINE_BY_CONSOLE, MACHINE_BY_CONTROL, MACHINE_BY_SIGNAL };

struct machine {
    struct machine_config cfg;
    struct physmap pm;
    struct loop *loop;         /* own */
    struct chardev line;       /* of the UART */
    struct console *console;   /* own: while the machine runs */
    int console_own;           /* own until then: see console_reopen() */
    struct machine_port ports[MACHINE_PORTS_MAX];
    struct device *balloon;      /* own, by devices; NULL: none */
    struct device *power;        /* own, by devices: the button; NULL: no place was left for it */
    struct device *ports_device; /* own, by devices; NULL: no ports */
    struct qmp *qmp;           /* own: while the machine runs */
    struct sandbox sandbox;
    uint64_t started_ns;       /* machine_run(), by the monotonic clock */
    pid_t pid;
    struct clint *clint;       /* own, by devices */
    struct plic *plic;         /* own, by devices */
    struct device *devices[MACHINE_DEVICES_MAX]; /* own, in the order of the bus */
    unsigned n_devices;
    uint8_t *rom;              /* own */
    struct boot boot;
    void *dtb;                 /* own */
    size_t dtb_bytes;
    uint8_t rng_seed[32];

    struct system sys, sys_step, sys_quiet; /* … for one instruction, exactly; for a debugger's step */
    struct debugger *debugger; /* own: while the machine runs; or NULL */
    struct priv_env env;
    struct sbi sbi;
    struct machine_hart harts[MACHINE_HARTS_MAX];
    bool harts_run;            /* their threads exist */
    struct pause pause;

    /* the first who asks for the end says how it ends */
    atomic_int ending;         /* enum machine_ending */
    struct machine_end end;    /* by who set `ending`, before loop_stop() */
    enum machine_by ended_by;
};

/* board.c: all devices of the machine, at their places. 0, or -errno with *e. */
int board_make(struct machine *m, struct err *e);

/* machine.c: the machine is to stop. Any thread; it returns, and a hart that called it goes on until it is stopped. */
void machine_ask_end(struct machine *m, enum machine_ending how, enum machine_by by, unsigned code, int signal);

/* ports.c: the other ends of the console ports: what ports_init() makes is good for a device; they are open from start to stop. */
void ports_init(struct machine *m);
int ports_start(struct machine *m, const struct console_config *like, struct err *e);
void ports_stop(struct machine *m);
/* A terminal may have another size. */
void ports_resize(struct machine *m);

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

/* pause.c: before the harts' threads begin, after they have ended; the machine ends: harts need not stand on. */
void pause_init(struct machine *m);
void pause_power_on(struct machine *m);
void pause_power_off(struct machine *m);
void pause_end(struct machine *m);

static inline bool
pause_asked(const struct machine *m)
{
    return atomic_load(&m->pause.asked);
}

/* By the hart's thread: stand while the machine is held. True: execute one instruction, and come again. At its end: it is gone. */
bool pause_stand(struct machine_hart *h, bool may_step);
void pause_gone(struct machine_hart *h);

#endif
