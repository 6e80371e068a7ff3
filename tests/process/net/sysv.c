/* sysv.c - System V shared memory, semaphores, message queues: layouts, sharing across fork, what is refused */
#include "../abi.h"

#include <sys/ipc.h>
#include <sys/msg.h>
#include <sys/sem.h>
#include <sys/shm.h>

union semun {
    int val;
    struct semid_ds *buf;
    unsigned short *array;
};

static void
shm(void)
{
    int id = shmget(IPC_PRIVATE, 10000, IPC_CREAT | 0600);
    struct shmid_ds ds;
    CHECK(id >= 0 && shmctl(id, IPC_STAT, &ds) == 0);
    CHECK(ds.shm_segsz == 10000 && ds.shm_nattch == 0 && (ds.shm_perm.mode & 0777) == 0600 && ds.shm_cpid == getpid());
    int *p = shmat(id, NULL, 0);
    CHECK(p != (void *)-1);
    const int *ro = shmat(id, NULL, SHM_RDONLY);
    CHECK(ro != (void *)-1 && ro != p);
    p[0] = 1;
    CHECK(ro[0] == 1 && shmctl(id, IPC_STAT, &ds) == 0 && ds.shm_nattch == 2);
    pid_t pid = fork();
    if (pid == 0) {
        p[1] = 42;
        _exit(0);
    }
    CHECK(waitpid(pid, NULL, 0) == pid && ro[1] == 42);
    CHECK(shmdt(ro) == 0 && shmdt(ro) == -1 && errno == EINVAL);
    CHECK(shmat(id, (void *)1, 0) == (void *)-1 && errno == EINVAL);
    CHECK(shmctl(id, IPC_STAT, (void *)8) == -1 && errno == EFAULT);
    CHECK(shmctl(id, IPC_RMID, NULL) == 0 && shmdt(p) == 0);
    CHECK(shmat(id, NULL, 0) == (void *)-1 && (errno == EINVAL || errno == EIDRM));
}

static void
sem(void)
{
    int id = semget(IPC_PRIVATE, 3, IPC_CREAT | 0600);
    unsigned short vals[3] = {1, 2, 3}, back[3];
    struct semid_ds ds;
    CHECK(id >= 0 && semctl(id, 0, SETALL, (union semun){.array = vals}) == 0);
    CHECK(semctl(id, 0, GETALL, (union semun){.array = back}) == 0 && memcmp(vals, back, sizeof vals) == 0);
    CHECK(semctl(id, 1, GETVAL) == 2 && semctl(id, 1, SETVAL, (union semun){.val = 7}) == 0 && semctl(id, 1, GETVAL) == 7);
    memset(&ds, 0x55, sizeof ds);
    CHECK(semctl(id, 0, IPC_STAT, (union semun){.buf = &ds}) == 0);
    EQUAL(ds.sem_nsems, 3);
    EQUAL(ds.sem_otime, 0);
    CHECK(ds.sem_ctime > 1600000000 && ds.sem_ctime <= time(NULL) && (ds.sem_perm.mode & 0777) == 0600);
    ds.sem_perm.mode = 0640;
    CHECK(semctl(id, 0, IPC_SET, (union semun){.buf = &ds}) == 0 && semctl(id, 0, IPC_STAT, (union semun){.buf = &ds}) == 0);
    CHECK((ds.sem_perm.mode & 0777) == 0640);
    struct sembuf ops[2] = {{0, -1, 0}, {2, -1, 0}}, wait = {0, -1, IPC_NOWAIT};
    CHECK(semop(id, ops, 2) == 0 && semctl(id, 0, GETVAL) == 0 && semctl(id, 2, GETVAL) == 2);
    CHECK(semop(id, &wait, 1) == -1 && errno == EAGAIN);
    CHECK(semctl(id, 0, IPC_STAT, (union semun){.buf = &ds}) == 0 && ds.sem_otime > 1600000000);
    struct timespec ts = {0, 20000000};
    ops[0].sem_flg = 0;
    CHECK(semtimedop(id, ops, 1, &ts) == -1 && errno == EAGAIN);
    pid_t pid = fork();
    if (pid == 0) {
        struct sembuf up = {0, 1, 0};
        millis(20);
        CHECK(semop(id, &up, 1) == 0);
        _exit(0);
    }
    CHECK(semop(id, ops, 1) == 0 && semctl(id, 0, GETPID) == getpid());
    CHECK(waitpid(pid, NULL, 0) == pid);
    CHECK(semop(id, (void *)8, 1) == -1 && errno == EFAULT);
    CHECK(semop(id, ops, 0) == -1 && errno == EINVAL);
    CHECK(semop(id, ops, 100000) == -1 && errno == E2BIG);
    CHECK(semctl(id, 0, IPC_STAT, (union semun){.buf = (void *)8}) == -1 && errno == EFAULT);
    CHECK(semctl(id, 5, GETVAL) == -1 && errno == EINVAL);
    CHECK(semctl(id, 0, IPC_RMID) == 0 && semop(id, ops, 1) == -1 && (errno == EINVAL || errno == EIDRM));
}

static void
msg(void)
{
    int id = msgget(IPC_PRIVATE, IPC_CREAT | 0600);
    struct {
        long type;
        char text[16];
    } m = {3, "three"}, got;
    struct msqid_ds ds;
    CHECK(id >= 0 && msgsnd(id, &m, 6, 0) == 0);
    m.type = 5;
    strcpy(m.text, "five");
    CHECK(msgsnd(id, &m, 5, 0) == 0);
    CHECK(msgctl(id, IPC_STAT, &ds) == 0 && ds.msg_qnum == 2 && ds.msg_lspid == getpid());
    CHECK(msgrcv(id, &got, sizeof got.text, 5, 0) == 5 && got.type == 5 && strcmp(got.text, "five") == 0);
    CHECK(msgrcv(id, &got, 2, 0, 0) == -1 && errno == E2BIG);
    CHECK(msgrcv(id, &got, 2, 0, MSG_NOERROR) == 2 && got.type == 3 && got.text[1] == 'h');
    CHECK(msgrcv(id, &got, 16, 0, IPC_NOWAIT) == -1 && errno == ENOMSG);
    m.type = 0;
    CHECK(msgsnd(id, &m, 1, 0) == -1 && errno == EINVAL);
    CHECK(syscall(SYS_msgsnd, id, 8L, 4L, 0L) == -1 && errno == EFAULT);
    CHECK(syscall(SYS_msgsnd, id, &m, -1L, 0L) == -1 && errno == EINVAL);
    CHECK(msgctl(id, IPC_RMID, NULL) == 0 && msgrcv(id, &got, 16, 0, 0) == -1 && (errno == EINVAL || errno == EIDRM));
}

int
main(void)
{
    shm();
    sem();
    msg();
    return 0;
}
