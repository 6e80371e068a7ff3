/*
 * nondet.h - the one door for whatever the guest does not determine
 *
 * Host time and random bytes enter here and nowhere else (DESIGN rule 3), so that a recorder can log them and a player
 * feed them. Results of system calls enter through the process VM's dispatcher, which is their door. Any thread.
 */
#ifndef DOPPEL_NONDET_H
#define DOPPEL_NONDET_H

#include <stddef.h>
#include <stdint.h>

struct timespec;

/* The host's clock `id` (CLOCK_*), as clock_gettime(2). Returns 0 or -errno. */
int nondet_clock(int id, struct timespec *ts);

/* Nanoseconds of CLOCK_MONOTONIC. */
uint64_t nondet_mono_ns(void);

/* Nanoseconds since 1970. */
uint64_t nondet_wall_ns(void);

/* Fill buf with random bytes, as getrandom(2) does with flags 0. Never fails: aborts if the host has no entropy source. */
void nondet_random(void *buf, size_t len);

#endif
