/* rtflood.c - signals with distinct values to 8 threads that compute, wait in calls and on futexes: each once, in order */
/* args: 20000 */
/* long: 1000000 */
#include "../abi.h"

#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>

/* A backlog of many thousands is slow natively: the kernel searches it for the next signal of a number. */
enum { THREADS = 8, SENDERS = 2, BACKLOG = 500 };
static int total, pipefd[2], word;
static volatile int stop;
static struct {
    pthread_t thread;
    volatile int ready;
    volatile unsigned next[SENDERS], count;
} th[THREADS];
static __thread int self = -1;

static void
on_signal(int sig, siginfo_t *si, void *uc)
{
    (void)uc;
    unsigned v = (unsigned)si->si_value.sival_int, from = (unsigned)(sig - SIGRTMIN);
    CHECK(self >= 0 && from < SENDERS && si->si_code == SI_QUEUE);
    EQUAL(v, th[self].next[from]); /* exactly once, in order per sender */
    th[self].next[from]++;
    th[self].count++;
}

static void *
receiver(void *arg)
{
    self = (int)(long)arg;
    volatile double x = 1;
    th[self].ready = 1;
    while (!stop) {
        char c;
        switch (self % 4) {
        case 0:
            for (int i = 0; i < 1000; i++) {
                x = x * 1.0000001 + 0.5;
            }
            break;
        case 1:
            if (read(pipefd[0], &c, 1) < 0) {
                CHECK(errno == EINTR);
            }
            break;
        case 2:
            syscall(SYS_futex, &word, FUTEX_WAIT_PRIVATE, 0, NULL, NULL, 0);
            break;
        default: {
            struct timespec ts = {0, 200000};
            nanosleep(&ts, NULL);
        }
        }
    }
    return NULL;
}

static void *
sender(void *arg)
{
    int s = (int)(long)arg, per = total / THREADS / SENDERS;
    for (int i = 0; i < per; i++) {
        for (int k = 0; k < THREADS; k++) {
            union sigval v = {.sival_int = i};
            while ((unsigned)i >= th[k].next[s] + BACKLOG) {
                sched_yield();
            }
            int r;
            while ((r = pthread_sigqueue(th[k].thread, SIGRTMIN + s, v)) == EAGAIN) {
                sched_yield(); /* RLIMIT_SIGPENDING */
            }
            EQUAL(r, 0);
        }
    }
    return NULL;
}

int
main(int argc, char **argv)
{
    total = argc > 1 ? atoi(argv[1]) : 20000;
    CHECK(pipe(pipefd) == 0);
    for (int s = 0; s < SENDERS; s++) { /* handlers of one sender's signals may nest with the other's */
        handle(SIGRTMIN + s, on_signal, s == 0 ? SA_RESTART : 0);
    }
    for (long i = 0; i < THREADS; i++) {
        CHECK(pthread_create(&th[i].thread, NULL, receiver, (void *)i) == 0);
        while (!th[i].ready) {
            sched_yield();
        }
    }
    pthread_t snd[SENDERS];
    for (long s = 0; s < SENDERS; s++) {
        CHECK(pthread_create(&snd[s], NULL, sender, (void *)s) == 0);
    }
    for (int s = 0; s < SENDERS; s++) {
        pthread_join(snd[s], NULL);
    }
    unsigned per = (unsigned)(total / THREADS / SENDERS);
    for (int i = 0; i < THREADS; i++) {
        for (int s = 0; s < SENDERS; s++) {
            for (int wait = 0; th[i].next[s] != per && wait < 10000; wait++) {
                millis(1);
            }
            EQUAL(th[i].next[s], per);
        }
    }
    stop = 1;
    word = 1;
    syscall(SYS_futex, &word, FUTEX_WAKE_PRIVATE, THREADS, NULL, NULL, 0);
    CHECK(write(pipefd[1], "xxxxxxxx", 8) == 8);
    for (int i = 0; i < THREADS; i++) {
        pthread_join(th[i].thread, NULL);
    }
    return 0;
}
