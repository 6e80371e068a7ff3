/* dies.c - default actions: what a parent's wait sees, stop and continue included */
#include "../abi.h"

#include <sys/resource.h>

static int which;

static void
raise_it(void)
{
    signal(which, SIG_DFL);
    raise(which);
    _exit(55);
}

int
main(void)
{
    struct rlimit none = {0, 0};
    setrlimit(RLIMIT_CORE, &none);
    for (which = 1; which <= 64; which++) {
        if (which == SIGSTOP || which == SIGTSTP || which == SIGTTIN || which == SIGTTOU || which == 32 || which == 33) {
            continue;
        }
        int st = status_of(raise_it);
        if (which == SIGCHLD || which == SIGURG || which == SIGWINCH || which == SIGCONT) {
            CHECK(WIFEXITED(st) && WEXITSTATUS(st) == 55);
        } else {
            EQUAL(st, which); /* killed by it, no core */
        }
    }
    pid_t pid = fork();
    if (pid == 0) {
        for (;;) {
        }
    }
    int st;
    for (int i = 0; i < 20; i++) {
        CHECK(kill(pid, i % 2 ? SIGSTOP : SIGTSTP) == 0);
        CHECK(waitpid(pid, &st, WUNTRACED) == pid && WIFSTOPPED(st));
        EQUAL(WSTOPSIG(st), i % 2 ? SIGSTOP : SIGTSTP);
        CHECK(kill(pid, SIGCONT) == 0);
        CHECK(waitpid(pid, &st, WCONTINUED) == pid && WIFCONTINUED(st));
    }
    siginfo_t si;
    kill(pid, SIGTERM);
    CHECK(waitid(P_PID, (id_t)pid, &si, WEXITED) == 0);
    CHECK(si.si_signo == SIGCHLD && si.si_code == CLD_KILLED && si.si_status == SIGTERM && si.si_pid == pid);
    signal(SIGCHLD, SIG_IGN); /* no zombies */
    pid = fork();
    if (pid == 0) {
        _exit(3);
    }
    CHECK(waitpid(pid, &st, 0) == -1 && errno == ECHILD);
    return 0;
}
