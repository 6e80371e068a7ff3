/*
 * thread_impl.h - what the files about threads share
 */
#ifndef DOPPEL_THREAD_IMPL_H
#define DOPPEL_THREAD_IMPL_H

#include "process/task.h"

/* sys_futex.c: the thread ends; those who wait for its robust locks learn of it. Within a hold. */
void robust_exit(struct task *t);

/* host_asm.S */
int64_t host_clone(uint64_t flags, void *stack_top, void *ptid, void *ctid, void (*fn)(void *),
                   void *arg);
int64_t host_clone3(void *args, size_t size, void (*fn)(void *), void *arg);
int host_cmpxchg32(void *p, uint32_t *expected, uint32_t desired);

#endif
