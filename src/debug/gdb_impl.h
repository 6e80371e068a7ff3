/*
 * gdb_impl.h - what the files of the stub share
 */
#ifndef DOPPEL_GDB_IMPL_H
#define DOPPEL_GDB_IMPL_H

#include "debug/gdb.h"

#define GDB_PACKET_MAX 0x4000 /* bytes of a packet's data; the debugger is told */
#define GDB_XML_MAX    65536

struct gdb {
    const struct gdb_ops *ops; /* ref */
    void *vm;                  /* ref: theirs */
    bool running, over;
    bool no_ack, multiprocess;
    bool physical;             /* memory is asked for by physical addresses */
    unsigned step_bits;        /* of step_quietly */
    uint64_t thread, run_thread; /* of Hg and Hc; 0: any; ALL_THREADS */
    uint64_t listed;           /* the last thread that qfThreadInfo, qsThreadInfo have told */
    uint64_t passed;           /* QPassSignals */
    struct gdb_stop last;      /* what `?` answers */

    /* a packet that comes in */
    enum { GDB_IDLE, GDB_DATA, GDB_ESCAPED, GDB_SUM_1, GDB_SUM_2 } state;
    uint8_t sum, said_sum;
    bool too_long;
    size_t n;
    char packet[GDB_PACKET_MAX + 1];

    /* what goes out: [sent, len) of out; the last packet begins at `begun`, for a debugger that missed it */
    char *out;                 /* own */
    size_t len, sent, size, begun;
    bool lost;                 /* there was no memory for some of it: the session is over */

    char *xml;                 /* own: made when first asked for */
    size_t xml_len;
};

#define ALL_THREADS UINT64_MAX

/* gdb_packet.c: an answer is begun, put together, and ended. */
void gdb_begin(struct gdb *g);
void gdb_put(struct gdb *g, const char *text);
void gdb_putf(struct gdb *g, const char *format, ...) __attribute__((format(printf, 2, 3)));
void gdb_put_hex(struct gdb *g, const void *bytes, size_t n);
void gdb_put_binary(struct gdb *g, const void *bytes, size_t n);
void gdb_end(struct gdb *g);
void gdb_say(struct gdb *g, const char *text); /* begin, put, end */

/* Digits at *at: how many there were, at most 16. *at is behind them. */
unsigned gdb_hex(const char **at, uint64_t *v);
/* n bytes of two digits each; false if there are fewer. */
bool gdb_hex_bytes(const char **at, uint8_t *to, size_t n);

/* gdb.c: a packet has come, whole and well; n bytes, then 0. Or the byte that asks to stop. */
void gdb_packet(struct gdb *g, const char *p, size_t n);
void gdb_break_in(struct gdb *g);

/* gdb_xml.c: the target description, into g->xml. */
void gdb_make_xml(struct gdb *g);
unsigned gdb_reg_bytes(unsigned reg);

/* gdb_signals.c: Linux's number of a signal, and GDB's. 0 if the other has none. */
int gdb_signal_to(int linux_signal);
int gdb_signal_from(int gdb_signal);

#endif
