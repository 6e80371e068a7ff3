/*
 * measure.c - run a command and report what it used: the small parent that run.py cannot be
 *
 * measure FD COMMAND [ARG]... writes to descriptor FD, as one line:
 *   user-us system-us wall-ns peak-KiB wait-status
 *
 * Linux counts the peak memory of the process that called exec into that of the new program, so a
 * parent as large as a Python interpreter would hide every small program. Every process that the
 * command leaves behind comes to this one as its child, is waited for, and counts.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

int
main(int argc, char **argv)
{
    struct timespec t0, t1;
    struct rusage ru;
    int status = -1, one;
    if (argc < 3) {
        return 2;
    }
    int fd = atoi(argv[1]);
    fcntl(fd, F_SETFD, FD_CLOEXEC);
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    clock_gettime(CLOCK_MONOTONIC, &t0);
    pid_t pid = fork();
    if (pid == 0) {
        execvp(argv[2], argv + 2);
        perror(argv[2]);
        _exit(127);
    }
    if (pid < 0) {
        perror("measure");
        return 2;
    }
    for (pid_t ended; (ended = wait(&one)) > 0;) {
        status = ended == pid ? one : status;
    }
    clock_gettime(CLOCK_MONOTONIC, &t1);
    getrusage(RUSAGE_CHILDREN, &ru);
    long long wall = (t1.tv_sec - t0.tv_sec) * 1000000000LL + (t1.tv_nsec - t0.tv_nsec);
    dprintf(fd, "%lld %lld %lld %ld %d\n", ru.ru_utime.tv_sec * 1000000LL + ru.ru_utime.tv_usec,
            ru.ru_stime.tv_sec * 1000000LL + ru.ru_stime.tv_usec, wall, ru.ru_maxrss, status);
    return 0;
}
