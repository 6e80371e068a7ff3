/*
 * sys_ipc.c - System V shared memory, semaphores and message queues; what POSIX queues need besides the pass-through
 *
 * The structures are asm-generic's on both sides but for one: x86-64's semid64_ds has a spare word behind each time.
 *
 *   riscv64   perm(48) otime ctime nsems spare spare                88 bytes
 *   x86-64    perm(48) otime spare ctime spare nsems spare spare   104 bytes
 *
 * shmat and shmdt change the guest's address space, so they are the map's (map.h). Threads: any.
 */
#include "process/syscall.h"

#include "process/map.h"

#include <errno.h>
#include <signal.h>
#include <sys/sem.h>

struct guest_semid {
    uint64_t perm[6];
    uint64_t otime, ctime, nsems, spare[2];
};

struct host_semid {
    uint64_t perm[6];
    uint64_t otime, spare1, ctime, spare2, nsems, spare3[2];
};

_Static_assert(sizeof(struct guest_semid) == 88 && sizeof(struct host_semid) == 104, "kernel layouts");

int64_t
sys_shmget(struct task *t, const uint64_t a[6])
{
    (void)t;
    return host_syscall(SYS_shmget, a[0], a[1], a[2]);
}

int64_t
sys_shmctl(struct task *t, const uint64_t a[6])
{
    (void)t;
    return host_syscall(SYS_shmctl, a[0], a[1], g2h(a[2]));
}

int64_t
sys_shmat(struct task *t, const uint64_t a[6])
{
    return map_shmat(t->proc->map, (int)a[0], a[1], (int)a[2]);
}

int64_t
sys_shmdt(struct task *t, const uint64_t a[6])
{
    return map_shmdt(t->proc->map, a[0]);
}

int64_t
sys_semget(struct task *t, const uint64_t a[6])
{
    (void)t;
    return host_syscall(SYS_semget, a[0], a[1], a[2]);
}

static int64_t
semctl_stat(const uint64_t a[6])
{
    struct host_semid h = {{0}};
    int64_t r = host_syscall(SYS_semctl, a[0], a[1], a[2], &h);
    if (r < 0) {
        return r;
    }
    struct guest_semid g = {.otime = h.otime, .ctime = h.ctime, .nsems = h.nsems};
    for (int i = 0; i < 6; i++) {
        g.perm[i] = h.perm[i];
    }
    return guest_write(a[3], &g, sizeof g) == 0 ? r : -EFAULT;
}

static int64_t
semctl_set(const uint64_t a[6])
{
    struct guest_semid g;
    if (guest_read(&g, a[3], sizeof g) != 0) {
        return -EFAULT;
    }
    struct host_semid h = {.otime = g.otime, .ctime = g.ctime, .nsems = g.nsems};
    for (int i = 0; i < 6; i++) {
        h.perm[i] = g.perm[i];
    }
    return host_syscall(SYS_semctl, a[0], a[1], a[2], &h);
}

int64_t
sys_semctl(struct task *t, const uint64_t a[6])
{
    (void)t;
    switch ((int)a[2]) {
    case IPC_STAT:
    case SEM_STAT:
    case SEM_STAT_ANY:
        return semctl_stat(a);
    case IPC_SET:
        return semctl_set(a);
    case GETALL:
    case SETALL:
    case IPC_INFO:
    case SEM_INFO:
        return host_syscall(SYS_semctl, a[0], a[1], a[2], g2h(a[3]));
    default: /* a number, or nothing */
        return host_syscall(SYS_semctl, a[0], a[1], a[2], a[3]);
    }
}

int64_t
sys_semtimedop(struct task *t, const uint64_t a[6])
{
    if (!guest_range_ok(a[1], (uint64_t)(uint32_t)a[2] * sizeof(struct sembuf))) {
        return -EFAULT;
    }
    return host_syscall_restartable(t, SYS_semtimedop, a[0], g2h(a[1]), a[2], g2h(a[3]));
}

int64_t
sys_semop(struct task *t, const uint64_t a[6])
{
    const uint64_t timed[6] = {a[0], a[1], a[2], 0};
    return sys_semtimedop(t, timed);
}

int64_t
sys_msgget(struct task *t, const uint64_t a[6])
{
    (void)t;
    return host_syscall(SYS_msgget, a[0], a[1]);
}

int64_t
sys_msgctl(struct task *t, const uint64_t a[6])
{
    (void)t;
    return host_syscall(SYS_msgctl, a[0], a[1], g2h(a[2]));
}

/* struct msgbuf: a type of eight bytes before the text, whose size is given. */
static bool
msgbuf_ok(gva_t buf, uint64_t size)
{
    return size <= GUEST_TOP && guest_range_ok(buf, size + 8);
}

int64_t
sys_msgsnd(struct task *t, const uint64_t a[6])
{
    if ((int64_t)a[2] < 0) {
        return -EINVAL;
    }
    return msgbuf_ok(a[1], a[2]) ? host_syscall_restartable(t, SYS_msgsnd, a[0], g2h(a[1]), a[2], a[3]) : -EFAULT;
}

int64_t
sys_msgrcv(struct task *t, const uint64_t a[6])
{
    if ((int64_t)a[2] < 0) {
        return -EINVAL;
    }
    return msgbuf_ok(a[1], a[2]) ? host_syscall_restartable(t, SYS_msgrcv, a[0], g2h(a[1]), a[2], a[3], a[4]) : -EFAULT;
}

/* With SIGEV_THREAD, libc's way, the value is the address of a cookie that the kernel copies; else it is the program's. */
int64_t
sys_mq_notify(struct task *t, const uint64_t a[6])
{
    (void)t;
    struct sigevent ev;
    if (a[1] == 0) {
        return host_syscall(SYS_mq_notify, a[0], NULL);
    }
    if (guest_read(&ev, a[1], sizeof ev) != 0) {
        return -EFAULT;
    }
    if (ev.sigev_notify == SIGEV_THREAD) {
        ev.sigev_value.sival_ptr = g2h((uint64_t)ev.sigev_value.sival_ptr);
    }
    return host_syscall(SYS_mq_notify, a[0], &ev);
}
