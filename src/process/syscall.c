/*
 * syscall.c - one system call of the guest: find its row, convert, call, put the result back
 *
 * ABI: riscv64 Linux, a7 = number, a0..a5 = arguments, a0 = result; nothing else changes. This is also the door through which
 * the results of system calls enter the guest (DESIGN rule 3). Any thread; no lock is held across a call.
 */
#include "process/syscall.h"

#include "base/check.h"
#include "process/vfs.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/uio.h>

/* Calls that Debian 12's headers do not know yet. From 424 on all architectures share the numbers. */
#ifndef SYS_cachestat
#define SYS_cachestat 451
#endif

static syscall_fn pass, pass_blocking, pass_vector, no_such_call;

/* ARGS(a, b) is 2, {ARG_a, ARG_b} */
#define ARGS_1(a)                1, {ARG_##a}
#define ARGS_2(a, b)             2, {ARG_##a, ARG_##b}
#define ARGS_3(a, b, c)          3, {ARG_##a, ARG_##b, ARG_##c}
#define ARGS_4(a, b, c, d)       4, {ARG_##a, ARG_##b, ARG_##c, ARG_##d}
#define ARGS_5(a, b, c, d, e)    5, {ARG_##a, ARG_##b, ARG_##c, ARG_##d, ARG_##e}
#define ARGS_6(a, b, c, d, e, f) 6, {ARG_##a, ARG_##b, ARG_##c, ARG_##d, ARG_##e, ARG_##f}
#define ARGS_PICK(a, b, c, d, e, f, n, ...) n
#define ARGS(...) \
    ARGS_PICK(__VA_ARGS__, ARGS_6, ARGS_5, ARGS_4, ARGS_3, ARGS_2, ARGS_1, )(__VA_ARGS__)

#define ROW_DO(name)    #name, sys_##name, 0, SYSCALL_DO, SYSCALL_INSIDE, false
#define ROW_DOQ(name)   #name, sys_##name, 0, SYSCALL_DO, SYSCALL_BRIEF, false
#define ROW_DOH(name)   #name, sys_##name, 0, SYSCALL_DO, SYSCALL_OUTSIDE, false
#define ROW_DOF(name)   #name, sys_##name, 0, SYSCALL_DO, SYSCALL_INSIDE, true
#define ROW_PASS(name)  #name, pass, SYS_##name, SYSCALL_PASS, SYSCALL_INSIDE, false
#define ROW_PASSF(name) #name, pass, SYS_##name, SYSCALL_PASS, SYSCALL_INSIDE, true
#define ROW_PASSB(name) #name, pass_blocking, SYS_##name, SYSCALL_PASSB, SYSCALL_INSIDE, false
#define ROW_PASSV(name) #name, pass_vector, SYS_##name, SYSCALL_PASSB, SYSCALL_INSIDE, false
#define ROW_NOSYS(name) #name, no_such_call, 0, SYSCALL_NOSYS, SYSCALL_INSIDE, false

static const struct syscall_row rows[] = {
#define SYS(nr, name, how, ...) [nr] = {ROW_##how(name), ARGS(__VA_ARGS__)},
#include "process/syscall.def"
#undef SYS
};

HOT const struct syscall_row *
syscall_find(uint64_t nr)
{
    return nr < ARRAY_LEN(rows) && rows[nr].name != NULL ? &rows[nr] : NULL;
}

HOT static int64_t
pass(struct task *t, const uint64_t a[6])
{
    const struct syscall_row *row = &rows[t->syscall_nr];
    uint64_t h[6];
    int64_t err = syscall_convert(t, row, a, h, NULL);
    return err != 0 ? err : host_syscall6(row->host_nr, h[0], h[1], h[2], h[3], h[4], h[5]);
}

HOT static int64_t
pass_blocking(struct task *t, const uint64_t a[6])
{
    const struct syscall_row *row = &rows[t->syscall_nr];
    uint64_t h[6];
    int64_t err = syscall_convert(t, row, a, h, NULL);
    return err != 0 ? err : host_syscall_restartable6(t, row->host_nr, h[0], h[1], h[2], h[3], h[4], h[5]);
}

/* The same with room for vectors: 16 KiB, which would put the other calls on a page of the stack of their own. */
static int64_t
pass_vector(struct task *t, const uint64_t a[6])
{
    const struct syscall_row *row = &rows[t->syscall_nr];
    uint64_t h[6];
    struct iovec iov[IOV_MAX];
    int64_t err = syscall_convert(t, row, a, h, iov);
    return err != 0 ? err : host_syscall_restartable6(t, row->host_nr, h[0], h[1], h[2], h[3], h[4], h[5]);
}

/* Said once for each number in a process: programs probe in loops. */
static void
say_missing(struct task *t, uint64_t nr, const char *name)
{
    static _Atomic uint64_t said[512 / 64]; /* shared by all threads; only ever gains bits */
    if (!t->proc->opt->verbose || nr >= 512 ||
        (atomic_fetch_or(&said[nr / 64], UINT64_C(1) << nr % 64) >> nr % 64 & 1)) {
        return;
    }
    char line[128];
    int n = snprintf(line, sizeof line, "doppel: [%d] system call %llu (%s) is not implemented\n", t->tid,
                     (unsigned long long)nr, name);
    host_syscall(SYS_write, t->proc->opt->log_fd, line, n);
}

static int64_t
no_such_call(struct task *t, const uint64_t a[6])
{
    (void)a;
    say_missing(t, (uint64_t)t->syscall_nr, rows[t->syscall_nr].name);
    return -ENOSYS;
}

HOT static int64_t
call(struct task *t, const struct syscall_row *row)
{
    if (!row->makes_fd) {
        return row->fn(t, t->syscall_args);
    }
    /* A file that has been made or a connection that has been accepted cannot be given back: is there room? */
    bool asks = row->how == SYSCALL_DO;
    return asks && !fd_room(t) ? -EMFILE : fd_made(t, row->fn(t, t->syscall_args));
}

HOT void
syscall_execute(struct task *t)
{
    enum { A0 = 10, A7 = 17 };
    uint64_t nr = t->hart.x[A7];
    const struct syscall_row *row = syscall_find(nr);
    t->syscall_pc = t->hart.pc;
    memcpy(t->syscall_args, &t->hart.x[A0], sizeof t->syscall_args);
    t->syscall_nr = (int64_t)nr;
    int64_t ret;
    if (row == NULL) {
        say_missing(t, nr, "no such call");
        ret = -ENOSYS;
    } else if (t->proc->opt->strace) {
        strace_call(t, row, t->syscall_args, 0, false);
        ret = call(t, row);
        if (ret != -HOST_ERESTART) {
            strace_call(t, row, t->syscall_args, ret, true);
        }
    } else {
        ret = call(t, row);
    }
    t->syscall_nr = -1;
    if (ret == -HOST_ERESTART || ret == -HOST_EJUSTRETURN) {
        return;
    }
    t->hart.x[A0] = (uint64_t)ret;
    t->hart.pc += 4;
}

/* ---- from translated code ---- */

static struct task *
task_of(struct hart *h)
{
    return (struct task *)(void *)((char *)h - offsetof(struct task, hart));
}

HOT bool
syscall_brief(struct hart *h)
{
    struct task *t = task_of(h);
    const struct syscall_row *row = syscall_find(h->x[17]);
    if (row == NULL || row->where != SYSCALL_BRIEF || t->proc->opt->strace) {
        return false;
    }
    h->x[10] = (uint64_t)row->fn(t, &h->x[10]);
    h->pc += 4;
    return true;
}

HOT bool
syscall_inside(struct hart *h)
{
    const struct syscall_row *row = syscall_find(h->x[17]);
    if (row != NULL && row->where == SYSCALL_OUTSIDE) {
        return false;
    }
    syscall_execute(task_of(h));
    return true;
}
