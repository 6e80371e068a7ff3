/* across_exec.c - execve keeps mask, ignored and pending signals, and resets handlers: for the signals of faults too */
/* every engine */
#include "../abi.h"

static void
on_signal(int sig, siginfo_t *si, void *uc)
{
    (void)sig, (void)si, (void)uc;
}

int
main(int argc, char **argv)
{
    const int blocked[] = {SIGUSR1, SIGSEGV, SIGRTMIN + 3}, ignored[] = {SIGUSR2, SIGBUS, SIGRTMAX},
                     handled[] = {SIGHUP, SIGILL, SIGRTMIN + 5};
    sigset_t mask, pending;
    struct sigaction sa;
    (void)argc;
    if (getenv("ABI_SECOND") == NULL) {
        sigemptyset(&mask);
        for (int i = 0; i < 3; i++) {
            sigaddset(&mask, blocked[i]);
            signal(ignored[i], SIG_IGN);
            handle(handled[i], on_signal, 0);
        }
        sigprocmask(SIG_SETMASK, &mask, NULL);
        for (int i = 0; i < 3; i++) {
            raise(blocked[i]);
        }
        char bytes[32];
        stack_t ss = {.ss_sp = bytes, .ss_size = 1 << 14};
        CHECK(sigaltstack(&ss, NULL) == 0);
        setenv("ABI_SECOND", "1", 1);
        CHECK(execv("/no/such/file", argv) == -1);
        sigprocmask(SIG_SETMASK, NULL, &mask);
        CHECK(sigismember(&mask, SIGSEGV) && sigismember(&mask, SIGUSR1) && !sigismember(&mask, SIGBUS));
        execv(argv[0], argv);
        CHECK(!"execv");
    }
    sigprocmask(SIG_SETMASK, NULL, &mask);
    CHECK(sigpending(&pending) == 0);
    for (int i = 0; i < 3; i++) {
        CHECK(sigismember(&mask, blocked[i]) && sigismember(&pending, blocked[i]));
        CHECK(sigaction(ignored[i], NULL, &sa) == 0 && sa.sa_handler == SIG_IGN);
        CHECK(sigaction(handled[i], NULL, &sa) == 0 && sa.sa_handler == SIG_DFL);
    }
    CHECK(!sigismember(&mask, SIGUSR2) && !sigismember(&pending, SIGUSR2));
    stack_t old;
    CHECK(sigaltstack(NULL, &old) == 0 && old.ss_flags == SS_DISABLE);
    return 0;
}
