/* spin.c - a thread that computes without system calls stops nobody: signals, fork, mprotect, exit go on */
#include "../abi.h"

#include <pthread.h>
#include <sys/mman.h>

static volatile int stop, hit, spinning;

static void
on_signal(int sig, siginfo_t *si, void *uc)
{
    (void)sig, (void)si, (void)uc;
    hit++;
}

static void *
spin(void *arg)
{
    __atomic_fetch_add(&spinning, 1, __ATOMIC_SEQ_CST);
    while (!stop) {
    }
    return arg;
}

int
main(void)
{
    enum { N = 4 };
    pthread_t t[N];
    handle(SIGUSR1, on_signal, 0);
    for (int i = 0; i < N; i++) {
        CHECK(pthread_create(&t[i], NULL, spin, NULL) == 0);
    }
    while (spinning < N) {
    }
    for (int i = 0; i < 100; i++) {
        int before = hit;
        pthread_kill(t[i % N], SIGUSR1);
        while (hit == before) {
        }
        char *p = mmap(NULL, 1 << 16, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        CHECK(p != MAP_FAILED);
        p[5] = 1;
        CHECK(mprotect(p, 1 << 16, PROT_READ | PROT_EXEC) == 0 && munmap(p, 1 << 16) == 0);
        if (i % 10 == 0) {
            pid_t pid = fork();
            if (pid == 0) {
                _exit(7);
            }
            int st;
            CHECK(waitpid(pid, &st, 0) == pid && WEXITSTATUS(st) == 7);
        }
    }
    stop = 1;
    for (int i = 0; i < N; i++) {
        pthread_join(t[i], NULL);
    }
    stop = 0;
    CHECK(pthread_create(&t[0], NULL, spin, NULL) == 0);
    exit(0); /* the spinning thread ends with us */
}
