/*
 * fp_ops.h - floating point, until it lands: flags only
 */
#ifndef DOPPEL_FP_OPS_H
#define DOPPEL_FP_OPS_H

#include "isa/hart.h"

static inline void fp_enter(struct hart *h) { (void)h; }
static inline void fp_leave(struct hart *h) { (void)h; }
static inline uint32_t fp_flags_read(struct hart *h) { return h->fflags; }
static inline void fp_flags_write(struct hart *h, uint32_t v) { h->fflags = (uint8_t)v; }
static inline void fp_set_frm(struct hart *h, uint32_t v) { hart_set_fcsr(h, v << 5 | h->fflags); }

#endif
