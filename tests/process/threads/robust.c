/* robust.c - robust, error-checking, recursive and priority-inheriting mutexes; owners that end, also by SIGKILL */
/* every engine */
#include "../abi.h"

#include <pthread.h>
#include <stdbool.h>
#include <sys/mman.h>

static pthread_mutex_t *m;

static void *
take_and_end(void *arg)
{
    CHECK(pthread_mutex_lock(m) == 0);
    return arg;
}

static void *
try_it(void *arg)
{
    (void)arg;
    return (void *)(long)pthread_mutex_trylock(m);
}

/* The process ends with a lock that its other thread holds. */
static void *
take_and_stay(void *arg)
{
    const int *p = arg;
    CHECK(pthread_mutex_lock(m) == 0 && write(p[1], "x", 1) == 1);
    for (;;) {
        pause();
    }
    return NULL;
}

enum end { BY_KILL, BY_EXIT, BY_FAULT, ENDS };

static void
take_and_die(enum end how, int p[4])
{
    pthread_t t;
    int q[2];
    char c;
    CHECK(pipe(q) == 0);
    switch (how) {
    case BY_KILL:
        take_and_stay(p);
        break;
    case BY_EXIT:
        CHECK(pthread_create(&t, NULL, take_and_stay, q) == 0 && read(q[0], &c, 1) == 1 && write(p[1], "x", 1) == 1);
        CHECK(read(p[2], &c, 1) == 1);
        _exit(0);
    default:
        CHECK(pthread_mutex_lock(m) == 0 && write(p[1], "x", 1) == 1 && read(p[2], &c, 1) == 1);
        *(volatile char *)16 = 0;
    }
}

static void
init(int protocol, int robust, int type)
{
    pthread_mutexattr_t a;
    pthread_mutexattr_init(&a);
    pthread_mutexattr_setpshared(&a, PTHREAD_PROCESS_SHARED);
    pthread_mutexattr_setprotocol(&a, protocol);
    pthread_mutexattr_setrobust(&a, robust);
    pthread_mutexattr_settype(&a, type);
    memset(m, 0, sizeof *m);
    CHECK(pthread_mutex_init(m, &a) == 0);
}

int
main(void)
{
    const char *base = getenv("GUEST_BASE");
    const bool by_kernel = base == NULL || strcmp(base, "0") == 0; /* the host's, which knows no guest addresses (docs/limits.md) */
    m = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    for (int pi = 0; pi < 2; pi++) {
        for (int i = 0; i < 20; i++) {
            init(pi ? PTHREAD_PRIO_INHERIT : PTHREAD_PRIO_NONE, PTHREAD_MUTEX_ROBUST, PTHREAD_MUTEX_NORMAL);
            pthread_t t;
            CHECK(pthread_create(&t, NULL, take_and_end, NULL) == 0 && pthread_join(t, NULL) == 0);
            EQUAL(pthread_mutex_trylock(m), EOWNERDEAD); /* known as soon as the thread can be joined */
            CHECK(pthread_mutex_consistent(m) == 0 && pthread_mutex_unlock(m) == 0);
            EQUAL(pthread_mutex_lock(m), 0);
            EQUAL(pthread_mutex_unlock(m), 0);

            const enum end how = i % ENDS == BY_KILL && !by_kernel ? BY_EXIT : i % ENDS;
            int p[4];
            CHECK(pipe(p) == 0 && pipe(p + 2) == 0);
            pid_t pid = fork();
            if (pid == 0) {
                take_and_die(how, p);
            }
            char c;
            CHECK(read(p[0], &c, 1) == 1 && pthread_mutex_trylock(m) == EBUSY);
            CHECK(how == BY_KILL ? kill(pid, SIGKILL) == 0 : write(p[3], "x", 1) == 1);
            EQUAL(pthread_mutex_lock(m), EOWNERDEAD);
            CHECK(waitpid(pid, NULL, 0) == pid && pthread_mutex_consistent(m) == 0 && pthread_mutex_unlock(m) == 0);
            for (int k = 0; k < 4; k++) {
                close(p[k]);
            }
        }
        init(pi ? PTHREAD_PRIO_INHERIT : PTHREAD_PRIO_NONE, PTHREAD_MUTEX_STALLED, PTHREAD_MUTEX_ERRORCHECK);
        CHECK(pthread_mutex_lock(m) == 0 && pthread_mutex_lock(m) == EDEADLK);
        pthread_t t;
        void *r;
        CHECK(pthread_create(&t, NULL, try_it, NULL) == 0 && pthread_join(t, &r) == 0 && (long)r == EBUSY);
        CHECK(pthread_mutex_unlock(m) == 0 && pthread_mutex_unlock(m) == EPERM);
        struct timespec ts;
        clock_gettime(CLOCK_REALTIME, &ts);
        ts.tv_nsec = (ts.tv_nsec + 5000000) % 1000000000;
        CHECK(pthread_mutex_lock(m) == 0);
        CHECK(pthread_mutex_unlock(m) == 0);
    }
    return 0;
}
