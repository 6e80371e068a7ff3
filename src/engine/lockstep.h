/*
 * lockstep.h - translated code held against the meanings: --check=lockstep, --check=border
 *
 * The translation runs first, as it would without a check but that it writes down each access to guest memory in the hart's log: where, and
 * what was read or written. When it comes back to the manager, a copy of the hart as it was before executes the same stretch by the
 * meanings (lockstep_replay.c). That touches no memory: what it loads comes from the log, what it stores has to be what the log says.
 *
 *      before ──► translated code ──────────────► after          x, f, fcsr, pc, reservation: the same?
 *        │              │ log: at, value, bytes      │           memory: does it hold what was stored?
 *        └──copy──► replay, by the meanings ──► pc = after's, log used up
 *
 * So nothing is stored twice, what other threads write meanwhile has been seen by both, and system calls, signals, faults and what
 * depends on the clock stay outside: none of them is in translated code. The replay ends where the state is the same; how many
 * instructions that takes needs no count, for equal states are equal whatever led there. It gives up once it has jumped back much more
 * often than the translation has polled.
 *
 * lockstep: nothing is chained, and a translation leaves after some polls, whose number varies, so that loops are seen to run in
 * registers, too. border: chained as ever; what ends a stretch is a system call, a full log, or code that is cold.
 *
 * What a stretch executes is decoded from the words that it was translated from: the guest may have changed its code, which a
 * fence.i has to tell. Of a stretch that differs while translations were forgotten nothing is known, and it does not count.
 *
 * Threads: a hart's check belongs to who runs it. The words are written under jit->lock.
 */
#ifndef DOPPEL_LOCKSTEP_H
#define DOPPEL_LOCKSTEP_H

#include "engine/jit.h"

struct lockstep {
    bool border;
    uint32_t polls, accesses; /* of a stretch, at most; polls 0: varies */
    uint32_t *words;          /* own: words[pc / 2]: the instruction there, as translated last; 0 none */
    bool shared;              /* the guest's memory may be changed by other processes */
};

/* An entry of the log. Translated code knows where what is in it (lower_log.c). */
struct access {
    uint64_t at;    /* host address */
    uint64_t value; /* loaded, extended as the register has it, or stored; of an AMO the old one; of SC whether it failed */
    uint32_t bytes;
    uint32_t kind;
};
#define ACCESS_WRITES 1
#define ACCESS_PAIR 2  /* it stands for an lr and its sc (lrsc.c); of an lr alone the kind is 0 */
#define ACCESS_PARTS 4 /* … for so many accesses to bytes, in any order, maybe with others among them (lower_bytes.c) */
/* What the replay asks for. */
#define ACCESS_LR 8
#define ACCESS_SC 16

struct check_state {
    uint64_t x[32], f[32], pc, resv_addr, resv_value;
    uint32_t fflags;
    uint8_t resv_size;
};

enum replay_stop {
    REPLAY_SAME,
    REPLAY_OTHER,     /* another access than the log's */
    REPLAY_VALUE,     /* of an access */
    REPLAY_MEMORY,    /* it does not hold what the access has left there */
    REPLAY_BEYOND,    /* an access, and the log is used up */
    REPLAY_NOT_LAST,  /* the translation has stopped in the midst of an instruction, and that is not as it would be */
    REPLAY_ENDS,      /* an instruction that no translation has */
    REPLAY_NO_CODE,   /* nor any translation anything here */
    REPLAY_LOST,      /* it has run for long enough */
};

/* Where a register was written last. */
struct change {
    uint64_t step, pc, block;
};

/* One hart's. */
struct check {
    struct engine *en;
    struct access *log;          /* own */
    bool running;                /* translated code is, since `before` */
    bool differs;                /* text says how */
    uint64_t epoch;              /* of translations, before the first of the stretch was looked up */
    uint32_t polls, round;
    struct check_state before, after, theirs, ours;
    unsigned swaps;
    uint32_t ran;                /* polls of translated code */
    const struct engine_exit *fault; /* it ended by; or NULL */
    bool again;                  /* lockstep_end() */
    /* the replay */
    struct hart shadow;
    const struct access *next, *end;
    const struct access *pair;   /* its lr has been executed, its sc is next; or NULL */
    struct {
        const struct access *a;
        uint32_t left;           /* bytes that have not been accessed */
    } parts[4];
    unsigned n_parts;
    struct access part;
    enum replay_stop stop;
    uint64_t steps, limit;
    uint64_t nearest;            /* the steps after which least differed at after.pc */
    unsigned differ;             /* how many registers did; UINT_MAX: it never was there */
    struct access wanted, had;   /* what the replay would have had, and the translation has */
    bool watch;                  /* the second time: find out more */
    bool stale;                  /* … code is not any more what was translated */
    struct change x[32], f[32];
    struct check_state last;
    uint64_t block, path[8];     /* where the last jumps went */
    unsigned n_path;
    char text[8192];
};

/* NULL without memory. Holding no lock. */
struct lockstep *lockstep_new(bool border);
void lockstep_free(struct lockstep *ls);

/* A unit is about to be translated. Whatever was made of other words at its places is forgotten. Holding jit->lock. */
void lockstep_note(struct engine *en, const struct region *r);

/* False without memory: the hart's translations are not checked then. And it ends. */
bool lockstep_hart_begins(struct engine *en, struct hart *h);
void lockstep_hart_ends(struct hart *h);

/*
 * A translation is about to be looked up; translated code is about to run; and has come back, with all of the hart in memory but MXCSR. again: the interpreter will execute the
 * instruction at pc, whose flags may have been raised. fault: what it ended by, or NULL. False: there was a difference, now or before.
 */
void lockstep_look(struct hart *h);
void lockstep_begin(struct hart *h);
bool lockstep_end(struct hart *h, bool again, const struct engine_exit *fault);

/* lockstep_replay.c: run c->shadow until c->stop is known. Under the shadow's MXCSR. */
void lockstep_replay(struct check *c);

/* lockstep.c, for the replay: the next access, as the meaning has it; NULL and c->stop if it is another one. */
const struct access *lockstep_access(struct check *c, uint64_t guest, unsigned bytes, unsigned kind);
bool lockstep_value(struct check *c, const struct access *a, uint64_t value); /* is it that? */
bool lockstep_memory(struct check *c, const struct access *a, uint64_t value); /* is it there, as no later access tells otherwise? */
/*
 * At after's pc, with the log used up: is all the same? Nearly: but for what the next instruction, which will be executed again, may have
 * begun with: its flags, its result. lockstep_swap() then has the shadow execute it as the translation has left it, and a second time as
 * the replay has come to it; the third time it says whether both have made the same of it.
 */
enum lockstep_there { LOCKSTEP_NOT_THERE, LOCKSTEP_NEARLY, LOCKSTEP_THERE };
enum lockstep_there lockstep_is_there(struct check *c, uint64_t pc);
bool lockstep_swap(struct check *c);
void lockstep_watch(struct check *c, uint64_t pc, uint64_t next, uint32_t word, const struct insn *i); /* it has executed that */

#endif
