/*
 * pipe.c - two processes pass a word back and forth through two pipes: blocking calls, wake-ups
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#define FULL  160000
#define QUICK 13000

int
main(int argc, char **argv)
{
    long rounds = argc > 1 ? atol(argv[1]) : FULL;
    int there[2], back[2], status;
    uint64_t word = 1;
    if (pipe(there) || pipe(back)) {
        return 2;
    }
    pid_t pid = fork();
    if (pid == 0) {
        close(there[1]);
        while (read(there[0], &word, sizeof word) == sizeof word) {
            word = word * 3 + 1;
            if (write(back[1], &word, sizeof word) != sizeof word) {
                _exit(1);
            }
        }
        _exit(0);
    }
    uint64_t expect = 1;
    for (long i = 0; i < rounds; i++) {
        expect = expect * 3 + 1;
        if (write(there[1], &word, sizeof word) != sizeof word ||
            read(back[0], &word, sizeof word) != sizeof word) {
            return 2;
        }
    }
    close(there[1]);
    waitpid(pid, &status, 0);
    printf("pipe %016llx %d\n", (unsigned long long)word, status);
    return word != expect || status != 0;
}
