/*
 * known.c - a program whose counts are known: prof.test holds doppel's against them
 *
 *      known            the functions below, once each
 *      known threads    4 threads, 1000 calls of leaf each
 *      known fork       5 calls of leaf; the child, whose number it prints, makes 7
 *      known vfork      the child executes "known exec2"
 *      known exec       5 calls of leaf, then "known exec2": 9 calls
 *      known signals    20 calls of step_on, at whose second instruction a fault is handled
 *      known abort      6 calls of leaf, then abort()
 *      known exitgroup  a thread makes 3 calls of leaf and ends the process, while the others wait
 *      known wait       says w, and waits
 *      known rounding   50 rounds of loop under another rounding mode: the interpreter's
 */
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>

/* loop(n): 2n + 1 instructions, its branch goes back n - 1 times */
/* tree(n): calls itself with n - 1, twice, unless n is 0: 2^(n + 1) - 1 calls, 2^n - 1 of them with 11 instructions, the others 2 */
/* leaf: 1 instruction; through(f, n): calls f n times: 4 + 3n + 5 + 1 */
__asm__(".text\n.balign 4\n.option push\n.option norelax\n"
        ".globl loop, tree, leaf, through, step_on, in_mode\n"
        ".type loop, @function\nloop: addi a0, a0, -1\n bnez a0, loop\n ret\n.size loop, . - loop\n"
        ".type tree, @function\ntree: beqz a0, 1f\n addi sp, sp, -16\n sd ra, 8(sp)\n sd a0, 0(sp)\n addi a0, a0, -1\n jal tree\n"
        " ld a0, 0(sp)\n addi a0, a0, -1\n jal tree\n ld ra, 8(sp)\n addi sp, sp, 16\n1: ret\n.size tree, . - tree\n"
        ".type leaf, @function\nleaf: ret\n.size leaf, . - leaf\n"
        ".type through, @function\nthrough: addi sp, sp, -32\n sd ra, 24(sp)\n sd s0, 16(sp)\n sd s1, 8(sp)\n mv s0, a0\n mv s1, a1\n"
        "1: jalr s0\n addi s1, s1, -1\n bnez s1, 1b\n ld ra, 24(sp)\n ld s0, 16(sp)\n ld s1, 8(sp)\n addi sp, sp, 32\n ret\n"
        ".size through, . - through\n"
        ".type step_on, @function\nstep_on: nop\n sd zero, 0(zero)\n nop\n ret\n.size step_on, . - step_on\n"
        ".type in_mode, @function\nin_mode: fsrmi a5, 1\n1: addi a0, a0, -1\n bnez a0, 1b\n fsrm a5\n ret\n.size in_mode, . - in_mode\n"
        ".option pop\n");
void loop(long n);
void tree(long n);
void leaf(void);
void through(void (*f)(void), long n);
void step_on(void);
void in_mode(long n);

static void *
thousand(void *arg)
{
    through(leaf, 1000);
    return arg;
}

/* The main thread sleeps, and for so long that it is in pause(): of one that runs not everything is told when the process ends. */
static void
wait_for_main(void)
{
    for (int asleep = 0; asleep < 30;) {
        char text[64] = "", state = 'R';
        FILE *f = fopen("/proc/self/stat", "r");
        if (f == NULL || fgets(text, sizeof text, f) == NULL || sscanf(text, "%*d %*s %c", &state) != 1) {
            _exit(9);
        }
        fclose(f);
        asleep = state == 'S' ? asleep + 1 : 0;
        usleep(1000);
    }
}

static void *
end_all(void *arg)
{
    (void)arg;
    wait_for_main();
    through(leaf, 3);
    _exit(4);
}

/* Goes on behind the store. */
static void
on_fault(int sig, siginfo_t *info, void *context)
{
    (void)sig, (void)info;
    ucontext_t *uc = context;
    uc->uc_mcontext.__gregs[REG_PC] += 4;
}

int
main(int argc, char **argv)
{
    const char *what = argc > 1 ? argv[1] : "";
    pthread_t t[4];
    if (strcmp(what, "threads") == 0) {
        for (int k = 0; k < 4; k++) {
            pthread_create(&t[k], NULL, thousand, NULL);
        }
        for (int k = 0; k < 4; k++) {
            pthread_join(t[k], NULL);
        }
    } else if (strcmp(what, "fork") == 0) {
        through(leaf, 5);
        const pid_t child = fork();
        if (child == 0) {
            through(leaf, 7);
            _exit(0);
        }
        printf("%d\n", (int)child);
        wait(NULL);
    } else if (strcmp(what, "vfork") == 0) {
        if (vfork() == 0) {
            execl(argv[0], argv[0], "exec2", (char *)0);
            _exit(1);
        }
        wait(NULL);
    } else if (strcmp(what, "exec") == 0) {
        through(leaf, 5);
        execl(argv[0], argv[0], "exec2", (char *)0);
    } else if (strcmp(what, "exec2") == 0) {
        through(leaf, 9);
    } else if (strcmp(what, "signals") == 0) {
        struct sigaction a = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO};
        sigaction(SIGSEGV, &a, NULL);
        through(step_on, 20);
    } else if (strcmp(what, "abort") == 0) {
        through(leaf, 6);
        abort();
    } else if (strcmp(what, "exitgroup") == 0) {
        pthread_create(&t[0], NULL, end_all, NULL);
        for (;;) {
            pause();
        }
    } else if (strcmp(what, "wait") == 0) {
        if (write(1, "w", 1) == 1) {
            pause();
        }
    } else if (strcmp(what, "rounding") == 0) {
        in_mode(50);
    } else {
        loop(100000);
        tree(10);
        through(leaf, 300);
    }
    return 3;
}
