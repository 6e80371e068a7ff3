/*
 * nondet.c - see nondet.h
 */
#include "base/nondet.h"

#include "base/check.h"
#include "base/hot.h"

#include <errno.h>
#include <sys/random.h>
#include <time.h>

HOT int
nondet_clock(int id, struct timespec *ts)
{
    return clock_gettime((clockid_t)id, ts) == 0 ? 0 : -errno;
}

static uint64_t
clock_ns(clockid_t id)
{
    struct timespec ts;
    CHECK(clock_gettime(id, &ts) == 0);
    return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

uint64_t
nondet_mono_ns(void)
{
    return clock_ns(CLOCK_MONOTONIC);
}

uint64_t
nondet_wall_ns(void)
{
    return clock_ns(CLOCK_REALTIME);
}

void
nondet_random(void *buf, size_t len)
{
    char *p = buf;
    while (len > 0) {
        ssize_t n = getrandom(p, len, 0);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        CHECK(n > 0);
        p += n;
        len -= (size_t)n;
    }
}
