/*
 * signals.c - signals that a thread sends to itself: handler, mask, queued values
 */
#define _GNU_SOURCE
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define FULL  220000
#define QUICK 18000

static volatile long seen, queued;

static void
on_plain(int sig)
{
    seen += sig == SIGUSR1;
}

static void
on_queued(int sig, siginfo_t *info, void *context)
{
    (void)sig;
    (void)context;
    queued += info->si_value.sival_int;
}

int
main(int argc, char **argv)
{
    long rounds = argc > 1 ? atol(argv[1]) : FULL;
    struct sigaction plain = {.sa_handler = on_plain},
                     info = {.sa_sigaction = on_queued, .sa_flags = SA_SIGINFO};
    sigset_t set, old;
    sigaction(SIGUSR1, &plain, NULL);
    sigaction(SIGRTMIN, &info, NULL);
    sigemptyset(&set);
    sigaddset(&set, SIGRTMIN);
    for (long i = 0; i < rounds; i++) {
        raise(SIGUSR1);
        if ((i & 3) == 0) {
            sigprocmask(SIG_BLOCK, &set, &old);
            for (int k = 1; k < 4; k++) {
                sigqueue(getpid(), SIGRTMIN, (union sigval){.sival_int = k});
            }
            sigprocmask(SIG_SETMASK, &old, NULL);
        }
    }
    printf("signals %ld %ld\n", seen, queued);
    return seen != rounds || queued != (rounds + 3) / 4 * 6;
}
