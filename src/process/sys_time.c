/*
 * sys_time.c - clocks that the guest reads
 *
 * Time enters through nondet.h (DESIGN rule 3). struct timespec and timeval are the same on riscv64. Calls that set
 * clocks or wait pass to the host.
 */
#include "process/syscall.h"

#include "base/nondet.h"

#include <sys/time.h>
#include <time.h>

HOT int64_t
sys_clock_gettime(struct task *t, const uint64_t a[6])
{
    struct timespec ts;
    (void)t;
    int r = nondet_clock((int)a[0], &ts);
    return r < 0 ? r : guest_write(a[1], &ts, sizeof ts);
}

int64_t
sys_gettimeofday(struct task *t, const uint64_t a[6])
{
    (void)t;
    if (a[0] != 0) {
        struct timespec ts;
        int r = nondet_clock(CLOCK_REALTIME, &ts);
        const struct timeval tv = {ts.tv_sec, ts.tv_nsec / 1000};
        r = r < 0 ? r : guest_write(a[0], &tv, sizeof tv);
        if (r < 0) {
            return r;
        }
    }
    if (a[1] != 0) {
        const struct timezone tz = {0, 0}; /* as every Linux since it stopped to be told */
        return guest_write(a[1], &tz, sizeof tz);
    }
    return 0;
}
