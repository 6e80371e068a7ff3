/* execve.c - errors, close-on-exec, empty vectors, large ones, and execve from another thread */
#include "../abi.h"
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <sys/stat.h>

static char *self;

/* execve of a file that holds this gives this error. */
static void
refused(const char *text, int error)
{
    char name[] = "/tmp/execve-XXXXXX", *argv[] = {name, NULL};
    int fd = mkstemp(name);
    CHECK(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text) && fchmod(fd, 0755) == 0 && close(fd) == 0);
    EQUAL(execve(name, argv, argv + 1), -1);
    EQUAL(errno, error);
    unlink(name);
}

static void *
from_thread(void *arg)
{
    char *argv[] = {"thread", NULL}, *envp[] = {"PHASE=thread", arg, NULL};
    execve(self, argv, envp);
    CHECK(!"execve from a thread");
    return NULL;
}

static void *
idle(void *arg)
{
    for (;;) {
        pause();
    }
    return arg;
}

int
main(int argc, char **argv)
{
    self = "/proc/self/exe";
    const char *phase = getenv("PHASE");
    if (phase == NULL) {
        char *none[] = {NULL};
        EQUAL(execve("/no/such", argv, none), -1);
        EQUAL(errno, ENOENT);
        EQUAL(execve("/", argv, none), -1);
        EQUAL(errno, EACCES);
        EQUAL(execve("", argv, none), -1);
        EQUAL(errno, ENOENT);
        EQUAL(execve("/etc/passwd/x", argv, none), -1);
        EQUAL(errno, ENOTDIR);
        char pipe[] = "/tmp/execve-XXXXXX";
        CHECK(mkdtemp(pipe) != NULL && rmdir(pipe) == 0 && mkfifo(pipe, 0755) == 0);
        alarm(20); /* nobody writes */
        EQUAL(execve(pipe, argv, none), -1);
        EQUAL(errno, EACCES);
        alarm(0);
        unlink(pipe);
        EQUAL(execve("/dev/null", argv, none), -1);
        EQUAL(errno, EACCES);
        refused("", ENOEXEC);
        refused("#", ENOEXEC);
        refused("#!", EACCES); /* its interpreter is "", which is this directory */
        refused("#! ", EACCES);
        refused("#!\n", ENOEXEC);
        refused("#! \t\n", ENOEXEC);
        char name[PATH_MAX + 10];
        memset(name, 'a', sizeof name - 1);
        name[sizeof name - 1] = 0;
        EQUAL(execve(name, argv, none), -1);
        EQUAL(errno, ENAMETOOLONG);
        char *huge = malloc((4 << 20) + 1), *args[] = {"x", huge, NULL};
        memset(huge, 'x', 4 << 20);
        huge[4 << 20] = 0;
        EQUAL(execve(self, args, none), -1);
        EQUAL(errno, E2BIG);

        int keep = open("/dev/null", O_RDONLY), drop = open("/dev/null", O_RDONLY | O_CLOEXEC);
        char fds[32];
        snprintf(fds, sizeof fds, "FDS=%d %d", keep, drop);
        static char path[PATH_MAX + 5] = "SELF=";
        CHECK(realpath(argv[0], path + 5) != NULL);
        pthread_t t;
        for (int i = 0; i < 4; i++) {
            CHECK(pthread_create(&t, NULL, idle, NULL) == 0);
        }
        char pid[32];
        snprintf(pid, sizeof pid, "PID=%d", getpid());
        putenv(pid);
        putenv(fds);
        self = path + 5;
        CHECK(pthread_create(&t, NULL, from_thread, strdup(fds)) == 0);
        pause();
    } else if (strcmp(phase, "thread") == 0) {
        EQUAL(argc, 1);
        CHECK(strcmp(argv[0], "thread") == 0);
        EQUAL(getpid(), syscall(SYS_gettid));
        int keep, drop;
        CHECK(sscanf(getenv("FDS"), "%d %d", &keep, &drop) == 2);
        CHECK(fcntl(keep, F_GETFD) == 0);
        CHECK(fcntl(drop, F_GETFD) == -1 && errno == EBADF);
        /* no arguments: there is one, and it is empty */
        char *none[] = {NULL}, *envp[] = {"PHASE=empty", NULL};
        execve("/proc/self/exe", none, envp);
        CHECK(!"execve without arguments");
    } else {
        EQUAL(argc, 1);
        CHECK(argv[0][0] == 0 && argv[1] == NULL);
        /* 2,000 strings of 100 bytes */
        if (strcmp(phase, "empty") == 0) {
            static char *many[2002], *envp[] = {"PHASE=many", NULL};
            for (int i = 0; i < 2000; i++) {
                many[i] = calloc(1, 101);
                memset(many[i], 'a' + i % 26, 100);
            }
            many[0] = "";
            pid_t pid = fork();
            if (pid == 0) {
                many[1] = NULL;
                execve("/proc/self/exe", many, envp);
                _exit(9);
            }
            int st;
            CHECK(waitpid(pid, &st, 0) == pid && st == 0);
        }
    }
    return 0;
}
