/* ends.c - who ends when: the first thread before the others, exit_group from another, exec from another, CLEARTID */
/* every engine */
#include "../abi.h"

#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <sys/mman.h>

static char *self;

static void *
later(void *arg)
{
    millis(30);
    if (arg != NULL) {
        exit(9);
    }
    syscall(SYS_exit, 6);
    return NULL;
}

static void
main_first(void)
{
    pthread_t t;
    CHECK(pthread_create(&t, NULL, later, NULL) == 0);
    syscall(SYS_exit, 5); /* the process goes on; the last code counts */
}

static void
other_exits(void)
{
    pthread_t t;
    CHECK(pthread_create(&t, NULL, later, (void *)1) == 0);
    syscall(SYS_exit, 5);
}

static void *
executes(void *arg)
{
    (void)arg;
    char pid[20];
    sprintf(pid, "%d", getpid());
    setenv("ABI_PID", pid, 1);
    char *args[] = {"ends", "second", NULL};
    execv(self, args);
    return NULL;
}

static void
exec_from_other(void)
{
    pthread_t t;
    CHECK(pthread_create(&t, NULL, executes, NULL) == 0);
    for (;;) {
        pause();
    }
}

static void *
killer(void *arg)
{
    (void)arg;
    *(volatile int *)16 = 1;
    return NULL;
}

static void
other_faults(void)
{
    pthread_t t;
    CHECK(pthread_create(&t, NULL, killer, NULL) == 0);
    for (;;) {
    }
}

static int ctid, ptid, in_child;
static int
raw_thread(void *arg)
{
    (void)arg;
    in_child = ctid == ptid && ctid == (int)syscall(SYS_gettid);
    return 0;
}

static int
in_vm(void *arg)
{
    *(int *)arg = getppid();
    return 21;
}

int
main(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], "second") == 0) {
        return getpid() == atoi(getenv("ABI_PID")) && gettid() == getpid() ? 33 : 1;
    }
    self = argv[0];
    int st = status_of(main_first);
    EQUAL(st, 6 << 8);
    st = status_of(other_exits);
    CHECK(WIFEXITED(st) && WEXITSTATUS(st) == 9);
    st = status_of(exec_from_other);
    CHECK(WIFEXITED(st) && WEXITSTATUS(st) == 33);
    st = status_of(other_faults);
    CHECK(WIFSIGNALED(st) && WTERMSIG(st) == SIGSEGV);

    char *stack = mmap(NULL, 1 << 16, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    ctid = ptid = -1;
    int flags = CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM | CLONE_PARENT_SETTID |
                CLONE_CHILD_SETTID | CLONE_CHILD_CLEARTID;
#ifdef __riscv /* glibc's clone gives the thread no TLS of its own */
    int tid = clone(raw_thread, stack + (1 << 16), flags, NULL, &ptid, NULL, &ctid);
    CHECK(tid > 0 && ptid == tid);
    for (int v; (v = __atomic_load_n(&ctid, __ATOMIC_SEQ_CST)) != 0;) {
        syscall(SYS_futex, &ctid, FUTEX_WAIT, v, NULL, NULL, 0);
    }
    CHECK(in_child);
#else
    (void)raw_thread, (void)in_child, (void)flags;
#endif
    /* A process that shares memory, with and without the parent waiting for it. */
    for (int v = 0; v < 2; v++) {
        int ppid = 0;
        pid_t pid = clone(in_vm, stack + (1 << 16), CLONE_VM | (v ? CLONE_VFORK : 0) | SIGCHLD, &ppid);
        CHECK(pid > 0 && waitpid(pid, &st, 0) == pid && WEXITSTATUS(st) == 21);
        EQUAL(ppid, getpid());
    }
    /* Other exit signals, a new session's child, pidfds. */
    ctid = ptid = 0;
    pid_t pid = (pid_t)syscall(SYS_clone, CLONE_CHILD_SETTID | CLONE_PARENT_SETTID, 0, &ptid,
#ifdef __riscv
                               0, &ctid);
#else
                               &ctid, 0);
#endif
    if (pid == 0) {
        _exit(ctid == getpid() ? 4 : 1);
    }
    CHECK(pid == ptid && ctid == 0 && waitpid(pid, &st, __WALL) == pid && WEXITSTATUS(st) == 4);
    int pidfd = -1;
    pid = (pid_t)syscall(SYS_clone, CLONE_PIDFD | SIGCHLD, 0, &pidfd, 0, 0);
    if (pid == 0) {
        pause();
    }
    CHECK(pid > 0 && pidfd >= 0 && syscall(424, pidfd, SIGTERM, NULL, 0) == 0);
    CHECK(waitpid(pid, &st, 0) == pid && WTERMSIG(st) == SIGTERM);
    static const long wrong[] = {CLONE_THREAD, CLONE_SIGHAND, CLONE_THREAD | CLONE_VM, CLONE_NEWNS | CLONE_FS,
                                 CLONE_NEWUSER | CLONE_FS};
    for (unsigned i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        CHECK(syscall(SYS_clone, wrong[i] | SIGCHLD, stack + (1 << 16), 0, 0, 0) == -1 && errno == EINVAL);
    }
    CHECK(syscall(435, stack, 8) == -1 && errno == EINVAL);
    CHECK(syscall(435, NULL, 64) == -1 && errno == EFAULT);
    return 0;
}
