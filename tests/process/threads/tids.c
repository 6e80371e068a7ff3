/* tids.c - the number of a thread is where clone was told to put it, before either side goes on */
/* every engine */
#include "../abi.h"

#include <linux/futex.h>
#include <sched.h>

enum { ROUNDS = 1500 };

static volatile int ptid, ctid, seen_parent, seen_child, seen_self;
static char stack[65536] __attribute__((aligned(16)));

static int
body(void *arg)
{
    (void)arg;
    seen_parent = ptid;
    seen_child = ctid;
    seen_self = (int)syscall(SYS_gettid);
    syscall(SYS_exit, 0);
    return 0;
}

int
main(void)
{
    const int flags = CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM | CLONE_PARENT_SETTID |
                      CLONE_CHILD_SETTID | CLONE_CHILD_CLEARTID;
    for (int i = 0; i < ROUNDS; i++) {
        ptid = -1;
        ctid = -1;
        int tid = clone(body, stack + sizeof stack, flags, NULL, &ptid, NULL, &ctid);
        CHECK(tid > 0);
        EQUAL(ptid, tid);
        for (int v; (v = ctid) != 0;) {
            syscall(SYS_futex, &ctid, FUTEX_WAIT, v, NULL, NULL, 0);
        }
        EQUAL(seen_self, tid);
        EQUAL(seen_parent, tid);
        EQUAL(seen_child, tid);
    }
    return 0;
}
