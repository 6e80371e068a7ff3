/* many_maps.c - when the host has no mapping left to give (vm.max_map_count), programs run on, and so do their children */
#include "../abi.h"

#include <stdbool.h>
#include <sys/mman.h>

enum { PAGES = 140000 };

static long __attribute__((noinline))
before(long n)
{
    long s = 0;
    for (long i = 0; i < n; i++) {
        s = s * 3 + (i ^ s >> 3);
    }
    return s;
}

static long __attribute__((noinline))
after(long n)
{
    long s = 1;
    for (long i = 0; i < n; i++) {
        s = s * 5 + (i ^ s >> 7);
    }
    return s;
}

int
main(void)
{
    CHECK(before(100000) != 0);
    char *p = mmap(NULL, (size_t)PAGES * 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    CHECK(p != MAP_FAILED);
    bool full = false;
    for (long i = 0; i < PAGES && !full; i += 2) {
        full = mprotect(p + i * 4096, 4096, PROT_READ | PROT_WRITE) != 0;
    }
    for (int k = 0; full && k < 3; k++) {
        pid_t pid = fork();
        if (pid == 0) {
            _exit(after(100000 + k) % 251);
        }
        int status;
        CHECK(pid > 0 && waitpid(pid, &status, 0) == pid && WIFEXITED(status));
        EQUAL(WEXITSTATUS(status), (unsigned char)(after(100000 + k) % 251));
    }
    CHECK(munmap(p, (size_t)PAGES * 4096) == 0 && after(100000) != 0);
    return 0;
}
