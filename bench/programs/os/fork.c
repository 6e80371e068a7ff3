/*
 * fork.c - fork, a little work in the child, _exit, wait
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define FULL  6000
#define QUICK 500

int
main(int argc, char **argv)
{
    long rounds = argc > 1 ? atol(argv[1]) : FULL, sum = 0;
    static char memory[256 * 1024];
    memset(memory, 1, sizeof memory);
    for (long i = 0; i < rounds; i++) {
        int status;
        pid_t pid = fork();
        if (pid == 0) {
            for (size_t at = 0; at < sizeof memory; at += 16 * 4096) {
                memory[at]++; /* some pages are copied */
            }
            _exit(memory[0] + (int)(i & 7));
        }
        if (pid < 0 || waitpid(pid, &status, 0) != pid || !WIFEXITED(status)) {
            return 2;
        }
        sum += WEXITSTATUS(status) - (i & 7);
    }
    printf("fork %ld\n", sum);
    return sum != 2 * rounds;
}
