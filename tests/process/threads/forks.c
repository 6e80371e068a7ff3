/* forks.c - fork, vfork, posix_spawn and execve from a process with busy threads */
/* args: 150 */
/* long: 1000 */
#include "../abi.h"

#include <pthread.h>
#include <spawn.h>

static volatile int stop;
extern char **environ;
static char *self;

/* Allocates and locks, so that a fork finds locks held. */
static void *
busy(void *arg)
{
    while (!stop) {
        for (int i = 0; i < 100; i++) {
            char *p = malloc(1 + (size_t)rand() % 20000);
            p[0] = 1;
            free(p);
        }
        if (arg != NULL) {
            millis(1);
        }
    }
    return NULL;
}

static volatile int chld;
static void
on_child(int sig, siginfo_t *si, void *uc)
{
    (void)sig, (void)si, (void)uc;
    chld++;
}

static void
expect(pid_t pid, int code)
{
    int st;
    CHECK(pid > 0);
    while (waitpid(pid, &st, 0) != pid) {
        CHECK(errno == EINTR);
    }
    EQUAL(st, code << 8);
}

static void *
forker(void *arg)
{
    long count = (long)arg;
    char *args[] = {self, "child", NULL};
    for (long i = 0; i < count; i++) {
        pid_t pid = fork();
        if (pid == 0) {
            free(malloc(100));
            execv(self, args);
            _exit(99);
        }
        expect(pid, 42);
        volatile long local = i;
        pid = vfork();
        if (pid == 0) {
            local = i + 1000; /* memory is shared */
            execv(i % 2 ? self : "/no/such", args);
            _exit(43);
        }
        EQUAL(local, i + 1000);
        expect(pid, i % 2 ? 42 : 43);
        posix_spawnattr_t sa;
        sigset_t s = set_of(SIGCHLD), all;
        sigfillset(&all);
        posix_spawnattr_init(&sa);
        posix_spawnattr_setflags(&sa, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
        posix_spawnattr_setsigmask(&sa, &s);
        posix_spawnattr_setsigdefault(&sa, &all);
        CHECK(posix_spawn(&pid, self, NULL, &sa, args, environ) == 0);
        posix_spawnattr_destroy(&sa);
        expect(pid, 42);
        struct sigaction old;
        CHECK(sigaction(SIGCHLD, NULL, &old) == 0 && old.sa_sigaction == on_child); /* the child's reset is not ours */
    }
    return NULL;
}

int
main(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], "child") == 0) {
        return 42;
    }
    self = argv[0];
    long count = argc > 1 ? atol(argv[1]) : 100;
    handle(SIGCHLD, on_child, SA_RESTART);
    pthread_t b[3], f[2];
    for (long i = 0; i < 3; i++) {
        CHECK(pthread_create(&b[i], NULL, busy, (void *)i) == 0);
    }
    for (int i = 0; i < 2; i++) {
        CHECK(pthread_create(&f[i], NULL, forker, (void *)(count / 2)) == 0);
    }
    for (int i = 0; i < 2; i++) {
        pthread_join(f[i], NULL);
    }
    CHECK(chld > 0);
    stop = 1;
    for (int i = 0; i < 3; i++) {
        pthread_join(b[i], NULL);
    }
    return 0;
}
