/*
 * segv.c - write faults on protected pages, repaired by the handler, as garbage collectors and
 * debuggers do
 */
#define _GNU_SOURCE
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

#define FULL  3200
#define QUICK 260

enum { PAGES = 64, PAGE = 4096 };

static char *area;
static volatile long faults;

static void
on_fault(int sig, siginfo_t *info, void *context)
{
    (void)sig;
    (void)context;
    char *at = (char *)((uintptr_t)info->si_addr & ~(uintptr_t)(PAGE - 1));
    if (at < area || at >= area + PAGES * PAGE || mprotect(at, PAGE, PROT_READ | PROT_WRITE)) {
        _Exit(3);
    }
    faults++;
}

int
main(int argc, char **argv)
{
    long rounds = argc > 1 ? atol(argv[1]) : FULL;
    struct sigaction sa = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO};
    sigaction(SIGSEGV, &sa, NULL);
    area = mmap(NULL, PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (area == MAP_FAILED) {
        return 2;
    }
    for (long i = 0; i < rounds; i++) {
        mprotect(area, PAGES * PAGE, PROT_READ);
        for (int p = 0; p < PAGES; p++) {
            ((volatile char *)area)[p * PAGE + (i & 1023)]++;
        }
    }
    printf("segv %ld\n", faults);
    return faults != rounds * PAGES;
}
