/*
 * atomics.c - two threads on the same words: fetch-and-add, compare-and-swap, exchange, a spin
 * lock, bit operations
 */
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#define FULL  5000000
#define QUICK 400000

enum { THREADS = 2 };

static atomic_ulong added, swapped;
static atomic_uint bits, flag, taken;
static unsigned long guarded;
static long rounds;

static void *
body(void *arg)
{
    unsigned me = *(const unsigned *)arg;
    unsigned long held = 0;
    for (long i = 0; i < rounds; i++) {
        atomic_fetch_add(&added, 3);
        unsigned long v = atomic_load_explicit(&swapped, memory_order_relaxed);
        while (!atomic_compare_exchange_weak(&swapped, &v, v + 2)) {
        }
        atomic_fetch_xor(&bits, 1U << me);
        held += atomic_exchange(&taken, me) == me;
        if ((i & 15) == 0) {
            unsigned tries = 0;
            while (atomic_exchange_explicit(&flag, 1, memory_order_acquire)) {
                if (++tries % 64 == 0) {
                    sched_yield();
                }
            }
            guarded++;
            atomic_store_explicit(&flag, 0, memory_order_release);
        }
    }
    return held > (unsigned long)rounds ? arg : NULL;
}

int
main(int argc, char **argv)
{
    rounds = argc > 1 ? atol(argv[1]) : FULL;
    pthread_t t[THREADS];
    unsigned id[THREADS];
    for (unsigned i = 0; i < THREADS; i++) {
        id[i] = i;
        if (pthread_create(&t[i], NULL, body, &id[i])) {
            return 2;
        }
    }
    for (int i = 0; i < THREADS; i++) {
        void *ret;
        pthread_join(t[i], &ret);
        if (ret) {
            return 1;
        }
    }
    unsigned long n = (unsigned long)rounds * THREADS;
    printf("atomics %lu %lu %lu %u\n", added, swapped, guarded, bits);
    return added != 3 * n || swapped != 2 * n ||
           guarded != (unsigned long)((rounds + 15) / 16) * THREADS;
}
