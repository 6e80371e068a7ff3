/* atomics.c - many threads, each kind of atomic, LR/SC, mutex and condvar; then shared between two processes */
/* args: 32 3000 */
/* long: 64 100000 */
#include "../abi.h"

#include <pthread.h>
#include <sys/mman.h>

static int threads;
static long per;

struct shared {
    long add, xor_, and_, or_, swap_sum, cas, lrsc, max, min, half_w;
    int add32, lrsc32;
    unsigned char bytes[8];
    pthread_mutex_t mutex;
    pthread_cond_t cond;
    long locked, turn, turns;
    long waiting, generation;
};
static struct shared *s;

static long
lrsc_add(long *p, long v)
{
#ifdef __riscv
    long old, t;
    __asm__ volatile("1: lr.d.aq %0, (%2)\n add %1, %0, %3\n sc.d.rl %1, %1, (%2)\n bnez %1, 1b"
                     : "=&r"(old), "=&r"(t) : "r"(p), "r"(v) : "memory");
    return old;
#else
    return __atomic_fetch_add(p, v, __ATOMIC_SEQ_CST);
#endif
}

static int
lrsc_add32(int *p, int v)
{
#ifdef __riscv
    int old, t;
    __asm__ volatile("1: lr.w.aqrl %0, (%2)\n addw %1, %0, %3\n sc.w.rl %1, %1, (%2)\n bnez %1, 1b"
                     : "=&r"(old), "=&r"(t) : "r"(p), "r"(v) : "memory");
    return old;
#else
    return __atomic_fetch_add(p, v, __ATOMIC_SEQ_CST);
#endif
}

static void
raise_to(long *p, long v, int max)
{
#ifdef __riscv
    if (max) {
        __asm__ volatile("amomax.d x0, %1, (%0)" : : "r"(p), "r"(v) : "memory");
    } else {
        __asm__ volatile("amomin.d x0, %1, (%0)" : : "r"(p), "r"(v) : "memory");
    }
#else
    long old = __atomic_load_n(p, __ATOMIC_RELAXED);
    while ((max ? old < v : old > v) && !__atomic_compare_exchange_n(p, &old, v, 0, __ATOMIC_SEQ_CST, __ATOMIC_RELAXED)) {
    }
#endif
}

static void *
work(void *arg)
{
    long me = (long)arg, swapped = 0;
    for (long i = 0; i < per; i++) {
        __atomic_fetch_add(&s->add, 1, __ATOMIC_RELAXED);
        __atomic_fetch_add(&s->add32, 1, __ATOMIC_SEQ_CST);
        __atomic_fetch_xor(&s->xor_, 1L << (me % 64), __ATOMIC_ACQ_REL);
        __atomic_fetch_or(&s->or_, 1L << (me % 64), __ATOMIC_ACQ_REL);
        __atomic_fetch_and(&s->and_, ~(1L << (me % 64)), __ATOMIC_ACQ_REL);
        __atomic_fetch_add(&s->bytes[me % 8], 1, __ATOMIC_SEQ_CST);
        swapped += __atomic_exchange_n(&s->half_w, i + 1, __ATOMIC_SEQ_CST);
        long c = __atomic_load_n(&s->cas, __ATOMIC_RELAXED);
        while (!__atomic_compare_exchange_n(&s->cas, &c, c + 3, 0, __ATOMIC_SEQ_CST, __ATOMIC_RELAXED)) {
        }
        lrsc_add(&s->lrsc, 7);
        lrsc_add32(&s->lrsc32, 1);
        raise_to(&s->max, me * per + i, 1);
        raise_to(&s->min, -(me * per + i), 0);
        pthread_mutex_lock(&s->mutex);
        s->locked++;
        pthread_mutex_unlock(&s->mutex);
    }
    __atomic_fetch_add(&s->swap_sum, swapped, __ATOMIC_SEQ_CST);
    return NULL;
}

/* Each waits for its turn: a lost wake-up is a hang. */
static void *
take_turns(void *arg)
{
    long me = (long)arg;
    for (long i = 0; i < per / 100 + 1; i++) {
        pthread_mutex_lock(&s->mutex);
        while (s->turn != me) {
            pthread_cond_wait(&s->cond, &s->mutex);
        }
        s->turn = (me + 1) % threads;
        s->turns++;
        pthread_cond_broadcast(&s->cond);
        pthread_mutex_unlock(&s->mutex);
    }
    return NULL;
}

static void
run(void *(*fn)(void *), long from, long to)
{
    pthread_t t[128];
    for (long i = from; i < to; i++) {
        CHECK(pthread_create(&t[i], NULL, fn, (void *)i) == 0);
    }
    for (long i = from; i < to; i++) {
        CHECK(pthread_join(t[i], NULL) == 0);
    }
}

int
main(int argc, char **argv)
{
    threads = argc > 1 ? atoi(argv[1]) : 32;
    per = argc > 2 ? atol(argv[2]) : 2000;
    s = mmap(NULL, sizeof *s, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    for (int two = 0; two < 2; two++) {
        memset(s, 0, sizeof *s);
        s->and_ = -1;
        pthread_mutexattr_t ma;
        pthread_condattr_t ca;
        pthread_mutexattr_init(&ma);
        pthread_condattr_init(&ca);
        pthread_mutexattr_setpshared(&ma, PTHREAD_PROCESS_SHARED);
        pthread_condattr_setpshared(&ca, PTHREAD_PROCESS_SHARED);
        pthread_mutex_init(&s->mutex, &ma);
        pthread_cond_init(&s->cond, &ca);
        pid_t pid = two ? fork() : -1;
        long from = two && pid != 0 ? threads / 2 : 0, to = pid == 0 ? threads / 2 : threads;
        run(work, from, to);
        run(take_turns, from, to);
        if (pid == 0) {
            _exit(0);
        }
        int st = 0;
        CHECK(!two || (waitpid(pid, &st, 0) == pid && st == 0));
        long n = threads * per;
        EQUAL(s->add, n);
        EQUAL(s->add32, (int)n);
        EQUAL(s->cas, 3 * n);
        EQUAL(s->lrsc, 7 * n);
        EQUAL(s->lrsc32, (int)n);
        EQUAL(s->locked, n);
        EQUAL(s->max, n - 1);
        EQUAL(s->min, -(n - 1));
        EQUAL(s->turns, threads * (per / 100 + 1));
        EQUAL(s->swap_sum + s->half_w, threads * (per * (per + 1) / 2));
        long bits = threads >= 64 ? -1L : (1L << threads) - 1;
        EQUAL(s->or_, bits);
        EQUAL(s->and_, ~bits);
        EQUAL(s->xor_, per % 2 && threads <= 64 ? bits : 0);
        for (int i = 0; i < 8; i++) {
            EQUAL(s->bytes[i], (unsigned char)(per * (threads / 8)));
        }
    }
    return 0;
}
