/*
 * target.c - what tests of the debugger's stub debug
 *
 *      target [calls|threads|signal|sleep|fork|fault]
 */
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

volatile uint64_t watched, other;
volatile double real;
static pthread_barrier_t barrier;

__attribute__((noinline)) uint64_t
leaf(uint64_t a, uint64_t b)
{
    watched = a + b;
    return watched * 2;
}

__attribute__((noinline)) uint64_t
middle(uint64_t n)
{
    uint64_t sum = 0;
    for (uint64_t i = 0; i < n; i++) {
        other++;
        sum += leaf(i, n);
    }
    real = (double)sum / 4;
    return sum;
}

static volatile int caught;

static void
handler(int sig)
{
    caught = sig;
}

static void *
worker(void *arg)
{
    pthread_barrier_wait(&barrier); /* all are there */
    const uint64_t r = middle((uint64_t)(uintptr_t)arg);
    pthread_barrier_wait(&barrier);
    return (void *)(uintptr_t)r;
}

static void
threads(void)
{
    pthread_t t[2];
    pthread_barrier_init(&barrier, NULL, 3);
    for (uintptr_t i = 0; i < 2; i++) {
        pthread_create(&t[i], NULL, worker, (void *)(i + 1));
    }
    worker((void *)3);
    for (int i = 0; i < 2; i++) {
        pthread_join(t[i], NULL);
    }
}

int
main(int argc, char **argv)
{
    const char *const what = argc > 1 ? argv[1] : "calls";
    int status = 0;
    setvbuf(stdout, NULL, _IONBF, 0);
    if (strcmp(what, "calls") == 0) {
        printf("sum %lu\n", middle(4));
    } else if (strcmp(what, "threads") == 0) {
        threads();
        printf("joined\n");
    } else if (strcmp(what, "signal") == 0) {
        signal(SIGUSR1, handler);
        raise(SIGUSR1);
        printf("caught %d\n", caught);
    } else if (strcmp(what, "sleep") == 0) {
        printf("left %u\n", sleep(2));
    } else if (strcmp(what, "fork") == 0) {
        if (fork() == 0) {
            _exit((int)leaf(1, 2));
        }
        wait(&status);
        printf("child %d\n", WEXITSTATUS(status));
        if (vfork() == 0) {
            _exit((int)leaf(2, 2));
        }
        wait(&status);
        printf("child %d\n", WEXITSTATUS(status));
    } else if (strcmp(what, "fault") == 0) {
        *(volatile int *)(uintptr_t)(argc * 8) = 1;
    }
    return (int)watched + 3;
}
