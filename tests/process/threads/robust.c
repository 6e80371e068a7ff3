/* robust.c - robust, error-checking, recursive and priority-inheriting mutexes; owners that end, also by SIGKILL */
#include "../abi.h"

#include <pthread.h>
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

            int p[2];
            CHECK(pipe(p) == 0);
            pid_t pid = fork();
            if (pid == 0) {
                CHECK(pthread_mutex_lock(m) == 0 && write(p[1], "x", 1) == 1);
                for (;;) {
                    pause();
                }
            }
            char c;
            CHECK(read(p[0], &c, 1) == 1 && pthread_mutex_trylock(m) == EBUSY);
            kill(pid, SIGKILL);
            EQUAL(pthread_mutex_lock(m), EOWNERDEAD);
            CHECK(waitpid(pid, NULL, 0) == pid && pthread_mutex_consistent(m) == 0 && pthread_mutex_unlock(m) == 0);
            close(p[0]);
            close(p[1]);
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
