/* create.c - threads in numbers: made, joined, detached; their own errno, TLS and masks */
/* args: 2000 */
/* long: 100000 */
#include "../abi.h"

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>

static __thread int own = 5;
static sem_t done;

static void *
twice(void *arg)
{
    own += (int)(long)arg;
    errno = own;
    CHECK(own == 5 + (int)(long)arg && gettid() != getpid());
    return (void *)(2 * (long)arg);
}

static void *
detached(void *arg)
{
    (void)arg;
    sem_post(&done);
    return NULL;
}

static void *
mask_is_mine(void *arg)
{
    sigset_t s;
    pthread_sigmask(SIG_SETMASK, NULL, &s);
    CHECK(sigismember(&s, SIGUSR1) && sigismember(&s, SIGSEGV));
    stack_t ss;
    CHECK(sigaltstack(NULL, &ss) == 0 && ss.ss_flags == SS_DISABLE);
    return arg;
}

static volatile int raw_ran;

/* On borrowed TLS: calls nothing. */
static int
raw_thread(void *arg)
{
    raw_ran = *(int *)arg;
    return 0;
}

/* A descriptor for a thread, which is readable when the thread has ended: since Linux 6.9. */
static void
thread_pidfd(void)
{
    static char stack[1 << 16] __attribute__((aligned(16)));
    int pidfd = -1, arg = 7;
    const int flags = CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM;
    int tid = clone(raw_thread, stack + sizeof stack, flags | CLONE_PIDFD, &arg, &pidfd);
    if (tid < 0) {
        CHECK(errno == EINVAL);
        return;
    }
    struct pollfd p = {.fd = pidfd, .events = POLLIN};
    CHECK(pidfd > 2 && (fcntl(pidfd, F_GETFD) & FD_CLOEXEC) && poll(&p, 1, 10000) == 1);
    EQUAL(raw_ran, 7);
    close(pidfd);
}

int
main(int argc, char **argv)
{
    long count = argc > 1 ? atol(argv[1]) : 1000;
    for (long i = 0; i < count; i += 16) {
        pthread_t t[16];
        for (long k = 0; k < 16; k++) {
            CHECK(pthread_create(&t[k], NULL, twice, (void *)(i + k)) == 0);
        }
        for (long k = 0; k < 16; k++) {
            void *r;
            CHECK(pthread_join(t[k], &r) == 0);
            EQUAL((long)r, 2 * (i + k));
        }
    }
    thread_pidfd();
    sem_init(&done, 0, 0);
    pthread_attr_t a;
    pthread_attr_init(&a);
    pthread_attr_setdetachstate(&a, PTHREAD_CREATE_DETACHED);
    for (int i = 0; i < 200; i++) {
        pthread_t t;
        CHECK(pthread_create(&t, &a, detached, NULL) == 0);
    }
    for (int i = 0; i < 200; i++) {
        while (sem_wait(&done) != 0) {
        }
    }
    sigset_t s = set_of(SIGUSR1);
    sigaddset(&s, SIGSEGV);
    static char alt[1 << 14];
    stack_t ss = {.ss_sp = alt, .ss_size = sizeof alt};
    CHECK(sigaltstack(&ss, NULL) == 0);
    pthread_sigmask(SIG_BLOCK, &s, NULL);
    pthread_t t;
    CHECK(pthread_create(&t, NULL, mask_is_mine, NULL) == 0 && pthread_join(t, NULL) == 0);
    return 0;
}
