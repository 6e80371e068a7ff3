/*
 * mutex.c - two threads hand a turn back and forth with a mutex and a condition variable; then both
 * want the mutex
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#define FULL  220000
#define QUICK 18000

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t turned = PTHREAD_COND_INITIALIZER;
static long turn, limit, shared;

static void *
player(void *arg)
{
    long me = *(const long *)arg;
    pthread_mutex_lock(&lock);
    while (turn < limit) {
        if (turn % 2 == me) {
            turn++;
            pthread_cond_signal(&turned);
        } else {
            pthread_cond_wait(&turned, &lock);
        }
    }
    pthread_cond_signal(&turned);
    pthread_mutex_unlock(&lock);
    for (long i = 0; i < limit * 8; i++) {
        pthread_mutex_lock(&lock);
        shared++;
        pthread_mutex_unlock(&lock);
    }
    return NULL;
}

int
main(int argc, char **argv)
{
    limit = argc > 1 ? atol(argv[1]) : FULL;
    pthread_t other;
    long zero = 0, one = 1;
    if (pthread_create(&other, NULL, player, &one)) {
        return 2;
    }
    player(&zero);
    pthread_join(other, NULL);
    printf("mutex %ld %ld\n", turn, shared);
    return turn != limit || shared != limit * 16;
}
