/*
 * exec.c - fork, then execute this same program, which exits at once: start-up of processes
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define FULL  700
#define QUICK 60

int
main(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], "child") == 0) {
        return atoi(argv[2]);
    }
    long rounds = argc > 1 ? atol(argv[1]) : FULL, sum = 0;
    for (long i = 0; i < rounds; i++) {
        int status;
        char code[8];
        snprintf(code, sizeof code, "%d", (int)(i & 3) + 1);
        pid_t pid = fork();
        if (pid == 0) {
            execl("/proc/self/exe", argv[0], "child", code, (char *)NULL);
            _exit(99);
        }
        if (pid < 0 || waitpid(pid, &status, 0) != pid || !WIFEXITED(status)) {
            return 2;
        }
        sum += WEXITSTATUS(status) == (int)(i & 3) + 1;
    }
    printf("exec %ld\n", sum);
    return sum != rounds;
}
