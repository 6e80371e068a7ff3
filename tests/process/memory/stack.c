/* stack.c - the stack grows to its limit and no further; libc finds its bounds; /proc/self/maps has it */
#include "../abi.h"
#include <alloca.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/resource.h>

static void
deep(void)
{
    struct rlimit rl = {1 << 20, 1 << 20};
    CHECK(setrlimit(RLIMIT_STACK, &rl) == 0);
    volatile char here;
    for (volatile char *p = &here;; p -= 4096) {
        *p = 1;
    }
}

static void __attribute__((noinline))
use(size_t n)
{
    volatile char *p = alloca(n);
    for (size_t i = 0; i < n; i += 4096) {
        p[n - 1 - i] = (char)i;
    }
    /* Parts that have grown since the start can be given other permissions. */
    char *page = (char *)(((unsigned long)p + 2 * 4096) & -4096ul);
    CHECK(mprotect(page, 4096, PROT_READ) == 0 && mprotect(page, 4096, PROT_READ | PROT_WRITE) == 0);
}

int
main(void)
{
    use(4 << 20);
    pthread_attr_t attr;
    void *base;
    size_t size;
    CHECK(pthread_getattr_np(pthread_self(), &attr) == 0 && pthread_attr_getstack(&attr, &base, &size) == 0);
    char here;
    CHECK(&here > (char *)base && &here < (char *)base + size);
    int st = status_of(deep);
    CHECK(WIFSIGNALED(st) && WTERMSIG(st) == SIGSEGV);
    return 0;
}
