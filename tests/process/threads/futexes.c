/* futexes.c - the operations that libc seldom makes: requeue, wake_op, bitsets, timeouts, waitv, errors */
/* every engine */
#include "../abi.h"

#include <linux/futex.h>
#include <pthread.h>
#include <stdint.h>

static int a, b;

static long
futex(int *p, int op, int val, void *timeout, int *q, int val3)
{
    return syscall(SYS_futex, p, op, val, timeout, q, val3);
}

static void *
waiter(void *arg)
{
    long r = futex(&a, FUTEX_WAIT_BITSET, 0, NULL, NULL, (int)(long)arg);
    CHECK(r == 0);
    return NULL;
}

static void
start(pthread_t *t, int n, long bits)
{
    for (int i = 0; i < n; i++) {
        CHECK(pthread_create(&t[i], NULL, waiter, (void *)bits) == 0);
    }
    millis(40);
}

int
main(void)
{
    pthread_t t[6];
    CHECK(futex(&a, FUTEX_WAIT, 1, NULL, NULL, 0) == -1 && errno == EAGAIN);
    struct timespec ts = {0, 10000000};
    CHECK(futex(&a, FUTEX_WAIT, 0, &ts, NULL, 0) == -1 && errno == ETIMEDOUT);
    CHECK(futex((int *)3, FUTEX_WAIT, 0, &ts, NULL, 0) == -1 && errno == EINVAL);
    CHECK(futex((int *)4096, FUTEX_WAIT, 0, &ts, NULL, 0) == -1 && errno == EFAULT);
    CHECK(futex(&a, 99, 0, NULL, NULL, 0) == -1 && errno == ENOSYS);
    EQUAL(futex(&a, FUTEX_WAKE, 10, NULL, NULL, 0), 0);

    start(t, 6, -1);
    EQUAL(futex(&a, FUTEX_CMP_REQUEUE, 2, (void *)3, &b, 0), 5);
    EQUAL(futex(&b, FUTEX_WAKE, 10, NULL, NULL, 0), 3);
    EQUAL(futex(&a, FUTEX_WAKE, 10, NULL, NULL, 0), 1);
    for (int i = 0; i < 6; i++) {
        pthread_join(t[i], NULL);
    }
    start(t, 2, 1);
    start(t + 2, 2, 2);
    EQUAL(futex(&a, FUTEX_WAKE_BITSET, 10, NULL, NULL, 2), 2);
    b = 5;
    EQUAL(futex(&b, FUTEX_WAKE_OP, 1, (void *)10, &a, FUTEX_OP(FUTEX_OP_ADD, 7, FUTEX_OP_CMP_EQ, 0)), 2);
    EQUAL(a, 7);
    for (int i = 0; i < 4; i++) {
        pthread_join(t[i], NULL);
    }
    struct {
        uint64_t val, uaddr;
        uint32_t flags, reserved;
    } w[2] = {{7, (uintptr_t)&a, 2, 0}, {5, (uintptr_t)&b, 2, 0}};
    clock_gettime(CLOCK_MONOTONIC, &ts);
    ts.tv_sec--;
    CHECK(syscall(449, w, 2, 0, &ts, CLOCK_MONOTONIC) == -1 && errno == ETIMEDOUT);
    w[1].val = 6;
    CHECK(syscall(449, w, 2, 0, &ts, CLOCK_MONOTONIC) == -1 && errno == EAGAIN);
    w[1].uaddr = 4096;
    CHECK(syscall(449, w, 2, 0, &ts, CLOCK_MONOTONIC) == -1 && errno == EFAULT);
    CHECK(syscall(449, w, 200, 0, NULL, 0) == -1 && errno == EINVAL);
    int pi = 0;
    EQUAL(futex(&pi, FUTEX_LOCK_PI, 0, NULL, NULL, 0), 0);
    EQUAL(pi & FUTEX_TID_MASK, gettid());
    CHECK(futex(&pi, FUTEX_LOCK_PI, 0, NULL, NULL, 0) == -1 && errno == EDEADLK);
    EQUAL(futex(&pi, FUTEX_UNLOCK_PI, 0, NULL, NULL, 0), 0);
    void *head;
    size_t len;
    CHECK(syscall(SYS_get_robust_list, 0, &head, &len) == 0 && head != NULL && len == 24);
    CHECK(syscall(SYS_set_robust_list, head, 23) == -1 && errno == EINVAL);
    EQUAL(syscall(SYS_set_tid_address, &b), gettid());
    return 0;
}
