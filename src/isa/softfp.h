/*
 * softfp.h - IEEE 754 arithmetic in integers, as RISC-V wants it
 *
 * Unprivileged ISA, "F", "D", "Zfh", "Zfa". For whatever the host's floating-point unit cannot do
 * exactly: round to nearest with ties to max magnitude, half-precision fused multiply-add, rounding
 * modes that are not the current one. It is also the referee of the fast paths
 * (tests/isa/test_softfp.c). No host floating point is used, so it may run under any MXCSR.
 *
 * Values are raw bits in the low part of a uint64_t; upper bits of operands are ignored, those of
 * results are 0. rm is a mode that exists, never SF_DYN: resolving that is the caller's. Flags are
 * ORed into *fl. Tininess is detected after rounding; a NaN result is the canonical one; NaN
 * operands raise NV only if one is signalling, but for infinity times zero plus a quiet NaN, which
 * raises it too.
 */
#ifndef DOPPEL_SOFTFP_H
#define DOPPEL_SOFTFP_H

#include <stdbool.h>
#include <stdint.h>

enum sf_fmt { SF_H, SF_S, SF_D };                                  /* binary16, 32, 64 */
enum sf_rm { SF_RNE, SF_RTZ, SF_RDN, SF_RUP, SF_RMM, SF_DYN = 7 }; /* as in an instruction's rm */
enum sf_flag { SF_NX = 1, SF_UF = 2, SF_OF = 4, SF_DZ = 8, SF_NV = 16 }; /* as in fflags */

/* Integer formats: bit 0 set if unsigned. */
enum sf_int { SF_I32, SF_U32, SF_I64, SF_U64 };

uint64_t sf_add(enum sf_fmt f, uint64_t a, uint64_t b, unsigned rm, uint8_t *fl);
uint64_t sf_sub(enum sf_fmt f, uint64_t a, uint64_t b, unsigned rm, uint8_t *fl);
uint64_t sf_mul(enum sf_fmt f, uint64_t a, uint64_t b, unsigned rm, uint8_t *fl);
uint64_t sf_div(enum sf_fmt f, uint64_t a, uint64_t b, unsigned rm, uint8_t *fl);
uint64_t sf_sqrt(enum sf_fmt f, uint64_t a, unsigned rm, uint8_t *fl);

/* a * b + c, rounded once. */
uint64_t sf_fma(enum sf_fmt f, uint64_t a, uint64_t b, uint64_t c, unsigned rm, uint8_t *fl);

uint64_t sf_convert(enum sf_fmt to, enum sf_fmt from, uint64_t a, unsigned rm, uint8_t *fl);

/* To an integer, saturating; NaN gives the largest. 32-bit results are sign-extended, u32 too, as
 * fcvt.wu leaves them. */
uint64_t sf_to_int(enum sf_fmt f, enum sf_int to, uint64_t a, unsigned rm, uint8_t *fl);
uint64_t sf_from_int(enum sf_fmt f, enum sf_int from, uint64_t v, unsigned rm, uint8_t *fl);

/* The integer near a, in a's own format: fround, and with `exact` froundnx (which raises NX). */
uint64_t sf_round_int(enum sf_fmt f, uint64_t a, bool exact, unsigned rm, uint8_t *fl);

/* fcvtmod.w.d: truncated, modulo 2^32, sign-extended; flags as fcvt.w.d with RTZ. */
uint64_t sf_mod_i32(uint64_t a, uint8_t *fl);

#endif
