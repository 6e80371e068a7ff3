/*
 * routines.c - libc's string and memory functions against plain loops, next to pages that are not there
 *
 *      routines random SEED N    results and memory are right; a hash of all results
 *      routines faults SEED N    a page is missing, and comes when it is asked for; a hash of where and in which state that was
 *      routines signals          in long copies: they arrive, and some jump out
 *      routines threads          pages come and go under overlapping moves
 *      routines patched          code that is one bit different is another function
 */
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <ucontext.h>
#include <unistd.h>

#define PAGE 4096
#define AREA (4 * PAGE)
#define FIXED ((unsigned char *)0x20000000)

static uint64_t seed, hash = 1;
static unsigned char *area[2]; /* with a page behind and in front of each that is missing */
static unsigned char shadow[2][AREA];

static unsigned
rnd(unsigned n)
{
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return (unsigned)((seed >> 33) % n);
}

static void
note(uint64_t v)
{
    hash = (hash ^ v) * 0x100000001b3;
}

static void
fail(const char *what, long a, long b, long c)
{
    printf("not ok %s: %ld %ld %ld\n", what, a, b, c);
    fflush(stdout);
    _exit(1);
}

enum { MEMCPY, MEMMOVE, MEMSET, MEMCMP, MEMCHR, MEMRCHR, STRLEN, STRNLEN, STRCMP, STRNCMP, STRCHR, STRCHRNUL, STPCPY, STRCPY, STRRCHR, RAWMEMCHR, KINDS };
static const char *const names[] = {"memcpy",  "memmove", "memset", "memcmp",    "memchr", "memrchr", "strlen",  "strnlen",
                                    "strcmp", "strncmp", "strchr", "strchrnul", "stpcpy", "strcpy",  "strrchr", "rawmemchr"};

/* Through pointers that the compiler knows nothing of. */
static void *(*volatile p_memcpy)(void *, const void *, size_t) = memcpy;
static void *(*volatile p_memmove)(void *, const void *, size_t) = memmove;
static void *(*volatile p_memset)(void *, int, size_t) = memset;
static int (*volatile p_memcmp)(const void *, const void *, size_t) = memcmp;
static void *(*volatile p_memchr)(const void *, int, size_t) = (void *(*)(const void *, int, size_t))memchr;
static void *(*volatile p_memrchr)(const void *, int, size_t) = (void *(*)(const void *, int, size_t))memrchr;
static size_t (*volatile p_strlen)(const char *) = strlen;
static size_t (*volatile p_strnlen)(const char *, size_t) = strnlen;
static int (*volatile p_strcmp)(const char *, const char *) = strcmp;
static int (*volatile p_strncmp)(const char *, const char *, size_t) = strncmp;
static char *(*volatile p_strchr)(const char *, int) = (char *(*)(const char *, int))strchr;
static char *(*volatile p_strchrnul)(const char *, int) = (char *(*)(const char *, int))strchrnul;
static char *(*volatile p_stpcpy)(char *, const char *) = stpcpy;
static char *(*volatile p_strcpy)(char *, const char *) = strcpy;
static char *(*volatile p_strrchr)(const char *, int) = (char *(*)(const char *, int))strrchr;
static void *(*volatile p_rawmemchr)(const void *, int) = (void *(*)(const void *, int))rawmemchr;

struct call {
    int kind, c;
    unsigned char *a, *b;
    size_t n;
};

static long
do_it(const struct call *k)
{
    char *const a = (char *)k->a, *const b = (char *)k->b;
    switch (k->kind) {
    case MEMCPY: return (long)p_memcpy(a, b, k->n);
    case MEMMOVE: return (long)p_memmove(a, b, k->n);
    case MEMSET: return (long)p_memset(a, k->c, k->n);
    case MEMCMP: return p_memcmp(a, b, k->n);
    case MEMCHR: return (long)p_memchr(a, k->c, k->n);
    case MEMRCHR: return (long)p_memrchr(a, k->c, k->n);
    case STRLEN: return (long)p_strlen(a);
    case STRNLEN: return (long)p_strnlen(a, k->n);
    case STRCMP: return p_strcmp(a, b);
    case STRNCMP: return p_strncmp(a, b, k->n);
    case STRCHR: return (long)p_strchr(a, k->c);
    case STRCHRNUL: return (long)p_strchrnul(a, k->c);
    case STPCPY: return (long)p_stpcpy(a, b);
    case STRCPY: return (long)p_strcpy(a, b);
    case STRRCHR: return (long)p_strrchr(a, k->c);
    default: return (long)p_rawmemchr(a, k->c);
    }
}

/* The same, byte by byte: in the shadow, from a and b on. */
#define PLAIN __attribute__((noinline, optimize("no-tree-loop-distribute-patterns")))
static PLAIN long
plainly(const struct call *k, unsigned char *a, unsigned char *b)
{
    const unsigned char c = (unsigned char)k->c;
    const size_t n = k->n;
    size_t i;
    long found = -1;
    switch (k->kind) {
    case MEMCPY: case MEMMOVE:
        if (a < b) {
            for (i = 0; i < n; i++) a[i] = b[i];
        } else {
            for (i = n; i-- > 0;) a[i] = b[i];
        }
        return (long)k->a;
    case MEMSET:
        for (i = 0; i < n; i++) a[i] = c;
        return (long)k->a;
    case MEMCMP:
        for (i = 0; i < n; i++) {
            if (a[i] != b[i]) return a[i] - b[i];
        }
        return 0;
    case MEMCHR:
        for (i = 0; i < n; i++) {
            if (a[i] == c) return (long)(k->a + i);
        }
        return 0;
    case MEMRCHR:
        for (i = n; i-- > 0;) {
            if (a[i] == c) return (long)(k->a + i);
        }
        return 0;
    case STRLEN:
        for (i = 0; a[i] != 0; i++) {}
        return (long)i;
    case STRNLEN:
        for (i = 0; i < n && a[i] != 0; i++) {}
        return (long)i;
    case STRCMP: case STRNCMP:
        for (i = 0; k->kind == STRCMP || i < n; i++) {
            if (a[i] != b[i]) return a[i] - b[i];
            if (a[i] == 0) return 0;
        }
        return 0;
    case STRCHR: case STRCHRNUL:
        for (i = 0; a[i] != 0 && a[i] != c; i++) {}
        return a[i] == c || k->kind == STRCHRNUL ? (long)(k->a + i) : 0;
    case STPCPY: case STRCPY:
        for (i = 0; (a[i] = b[i]) != 0; i++) {}
        return (long)(k->a + (k->kind == STPCPY ? i : 0));
    case STRRCHR:
        for (i = 0;; i++) {
            if (a[i] == c) found = (long)i;
            if (a[i] == 0) return found < 0 ? 0 : (long)(k->a + found);
        }
    default:
        for (i = 0; a[i] != c; i++) {}
        return (long)(k->a + i);
    }
}

static size_t
some_size(void)
{
    const unsigned how = rnd(16);
    return how < 9 ? rnd(40) : how < 14 ? rnd(300) : rnd(AREA / 2 - 64);
}

static void
fill(unsigned which)
{
    const unsigned few = 1 + rnd(4);
    for (unsigned i = 0; i < AREA; i++) {
        shadow[which][i] = (unsigned char)(rnd(600) == 0 ? 128 + rnd(128) : 'a' + rnd(few));
    }
    memcpy(area[which], shadow[which], AREA);
}

/* A place for n bytes: anywhere, up to the end, from the start. */
static size_t
place(size_t n)
{
    const unsigned how = rnd(4);
    return how == 0 ? AREA - n : how == 1 ? 0 : how == 2 ? (AREA - n) / 64 * rnd(64) : AREA - n - rnd((unsigned)(AREA - n < 70 ? AREA - n + 1 : 70));
}

static int
is_string(int kind)
{
    return kind == STRLEN || (kind >= STRCMP && kind <= STRRCHR);
}

/* Makes a call, with memory that it ends in; at[]: where its operands are. */
static struct call
make(size_t at[2])
{
    struct call k = {.kind = (int)rnd(KINDS), .n = some_size()};
    at[0] = place(k.n + 1);
    at[1] = place(k.n + 1);
    unsigned second = 1;
    if (k.kind == MEMMOVE && rnd(3) != 0) { /* overlapping */
        second = 0;
        const long off = (long)rnd(rnd(2) ? 20 : 2000) - (long)rnd(rnd(2) ? 20 : 2000);
        const long to = (long)at[0] + off;
        at[1] = to < 0 ? 0 : to > (long)(AREA - k.n) ? AREA - k.n : (size_t)to;
    }
    k.a = area[0] + at[0];
    k.b = area[second] + at[1];
    k.c = rnd(3) == 0 ? 0 : (int)('a' + rnd(5)) + (rnd(8) == 0 ? 256 : 0);
    if (rnd(2) && second == 1 && (k.kind == MEMCMP || k.kind == STRCMP || k.kind == STRNCMP)) {
        for (size_t i = 0; i < k.n; i++) { /* much alike */
            shadow[1][at[1] + i] = shadow[0][at[0] + i];
        }
        if (k.n > 0 && rnd(3)) {
            shadow[1][at[1] + rnd((unsigned)k.n)] ^= (unsigned char)(1 + rnd(255));
        }
    }
    if (is_string(k.kind) || rnd(4) == 0) {
        shadow[0][at[0] + k.n] = 0;
        shadow[second][at[1] + k.n] = 0;
    }
    if (k.kind == RAWMEMCHR) {
        shadow[0][at[0] + k.n] = (unsigned char)k.c;
    }
    if (k.kind == STRNCMP || k.kind == STRNLEN || k.kind == MEMCHR) {
        if (rnd(8) == 0 && (k.kind == STRNLEN || k.kind == MEMCHR || k.kind == STRNCMP)) { /* to the end of all, if it were not for … */
            shadow[0][at[0] + k.n] = k.kind == MEMCHR ? (unsigned char)k.c : 0;
            shadow[second][at[1] + k.n] = 0;
            k.n = rnd(2) ? SIZE_MAX : SIZE_MAX / 2;
        }
    }
    if (second == 0) {
        shadow[1][0] = 0;
    }
    memcpy(area[0], shadow[0], AREA);
    memcpy(area[1], shadow[1], AREA);
    return k;
}

static void
check(const struct call *k, const size_t at[2], long got)
{
    const unsigned second = k->b >= area[1] && k->b < area[1] + AREA;
    long want = plainly(k, shadow[0] + at[0], shadow[second] + at[1]);
#ifndef __riscv
    if (k->kind == MEMCMP || k->kind == STRCMP || k->kind == STRNCMP) {
        want = (want > 0) - (want < 0);
        got = (got > 0) - (got < 0);
    }
#endif
    if (got != want) {
        fail(names[k->kind], (long)k->n, got, want);
    }
    for (unsigned w = 0; w < 2; w++) {
        for (unsigned i = 0; i < AREA; i++) {
            if (area[w][i] != shadow[w][i]) {
                fail(names[k->kind], (long)k->n, (long)at[w], (long)i);
            }
        }
    }
    note((uint64_t)got);
}

static void
at_random(long n)
{
    for (long r = 0; r < n; r++) {
        if (r % 64 == 0) {
            fill(0);
            fill(1);
        }
        size_t at[2];
        const struct call k = make(at);
        check(&k, at, do_it(&k));
    }
}

/* ---- faults ---- */

static unsigned char *gone[4]; /* pages that are missing */
static unsigned faults;

static void
bring(int sig, siginfo_t *si, void *context)
{
    unsigned char *const page = (unsigned char *)((uintptr_t)si->si_addr & ~(uintptr_t)(PAGE - 1));
    (void)sig;
    faults++;
    note((uintptr_t)si->si_addr);
    note((uint64_t)si->si_code);
#ifdef __riscv
    note(((ucontext_t *)context)->uc_mcontext.__gregs[0] % PAGE); /* other registers may hold what a routine before has left, or not */
#else
    (void)context;
#endif
    for (unsigned g = 0; g < 4; g++) {
        if (gone[g] == page) {
            mprotect(page, PAGE, PROT_READ | PROT_WRITE);
            gone[g] = NULL;
            return;
        }
    }
    fail("a fault at another place", (long)si->si_addr, (long)area[0], (long)area[1]);
}

static void
in_faults(long n)
{
    struct sigaction sa = {.sa_sigaction = bring, .sa_flags = SA_SIGINFO};
    sigaction(SIGSEGV, &sa, NULL);
    for (long r = 0; r < n; r++) {
        if (r % 64 == 0) {
            fill(0);
            fill(1);
        }
        size_t at[2];
        const struct call k = make(at);
        for (unsigned g = 0; g < 4; g++) {
            gone[g] = rnd(2) ? area[g / 2] + PAGE * rnd(AREA / PAGE) : NULL;
            if (gone[g] != NULL) {
                mprotect(gone[g], PAGE, rnd(2) ? PROT_NONE : PROT_READ);
            }
        }
        const long got = do_it(&k);
        mprotect(area[0], AREA, PROT_READ | PROT_WRITE);
        mprotect(area[1], AREA, PROT_READ | PROT_WRITE);
        memset(gone, 0, sizeof gone);
        check(&k, at, got);
    }
    printf("%u faults\n", faults);
}

/* ---- signals ---- */

static volatile sig_atomic_t ticks, leave;
static sigjmp_buf out;

static void
tick(int sig)
{
    (void)sig;
    ticks++;
    if (leave) {
        leave = 0;
        siglongjmp(out, 1);
    }
}

static void
with_signals(void)
{
    enum { BYTES = 24 << 20 };
    unsigned char *const m = mmap(NULL, 3 * (size_t)BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    struct sigaction sa = {.sa_handler = tick};
    const struct itimerval often = {{0, 3000}, {0, 3000}}, never = {{0, 0}, {0, 0}};
    if (m == MAP_FAILED) {
        fail("mmap", 0, 0, 0);
    }
    sigaction(SIGALRM, &sa, NULL);
    for (volatile unsigned r = 1; r <= 6; r++) {
        setitimer(ITIMER_REAL, &often, NULL);
        leave = r % 2;
        if (sigsetjmp(out, 1) == 0) {
            for (;;) { /* until it has been interrupted */
                const int before = ticks;
                p_memset(m, (int)r, BYTES);
                p_memcpy(m + BYTES, m, BYTES);
                p_memmove(m + BYTES + 8, m + BYTES, BYTES);
                m[BYTES - 1] = 0;
                if (p_strlen((char *)m) != BYTES - 1 || p_memchr(m, r + 1, BYTES) != NULL) {
                    fail("length", r, 0, 0);
                }
                if (!leave && ticks > before + 1) {
                    break;
                }
            }
        }
        setitimer(ITIMER_REAL, &never, NULL);
        p_memset(m, (int)r, BYTES);
        for (size_t i = 0; i < BYTES; i++) {
            if (m[i] != r) {
                fail("byte", (long)i, m[i], r);
            }
        }
        if (r % 2 == 0) {
            for (size_t i = 8; i < BYTES - 1; i++) {
                if (m[BYTES + i] != r) {
                    fail("copied byte", (long)i, m[BYTES + i], r);
                }
            }
        }
    }
    printf("interrupted\n");
}

/* ---- threads ---- */

static volatile int stop;
static unsigned char *shared;

static void
wait_for(int sig, siginfo_t *si, void *context)
{
    (void)sig, (void)context;
    faults++;
    mprotect((void *)((uintptr_t)si->si_addr & ~(uintptr_t)(PAGE - 1)), PAGE, PROT_READ | PROT_WRITE);
}

static void *
takes_away(void *arg)
{
    unsigned n = 0;
    (void)arg;
    while (!stop) {
        mprotect(shared + PAGE * (1 + n % 3), PAGE, n % 2 ? PROT_READ : PROT_NONE);
        n++;
        for (volatile unsigned k = 0; k < 300; k++) {
        }
    }
    return NULL;
}

static void
with_threads(void)
{
    static unsigned char want[5 * PAGE];
    struct sigaction sa = {.sa_sigaction = wait_for, .sa_flags = SA_SIGINFO};
    pthread_t t;
    shared = area[0];
    sigaction(SIGSEGV, &sa, NULL);
    memset(shared, 0, AREA);
    pthread_create(&t, NULL, takes_away, NULL);
    for (unsigned r = 0; r < 20000 && (r < 3000 || faults < 200); r++) {
        const size_t n = rnd(2) ? rnd(3 * PAGE) : rnd(200), from = PAGE / 2 + rnd(PAGE / 4), d = 1 + rnd(rnd(2) ? 40 : PAGE / 4), up = rnd(2);
        for (size_t i = 0; i < n; i++) {
            want[i] = (unsigned char)rnd(256);
            ((volatile unsigned char *)shared)[from + i] = want[i];
        }
        p_memmove(shared + (up ? from + d : from - d), shared + from, n);
        for (size_t i = 0; i < n; i++) {
            if (((volatile unsigned char *)shared)[(up ? from + d : from - d) + i] != want[i]) {
                fail("moved", (long)n, (long)d, (long)i);
            }
        }
    }
    stop = 1;
    pthread_join(t, NULL);
    printf("moved\n");
}

/* ---- another function ---- */

static void
patched(void)
{
#ifdef __riscv
    /* strcmp as in Debian 12 begins with lbu a5,0(a0): with an offset of 1 it compares from the next byte on, the first time. */
    const uintptr_t at = (uintptr_t)strcmp, page = at & ~(uintptr_t)(PAGE - 1);
    uint32_t w;
    memcpy(&w, (void *)at, 4);
    for (unsigned change = 0; change < 2; change++) {
        unsigned char *const m = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        memcpy(m, (void *)page, 2 * PAGE);
        const uint32_t other = w | (uint32_t)change << 20;
        if ((w & 0x707f) == 0x4003) {
            memcpy(m + (at - page), &other, 4);
        }
        mprotect(m, 2 * PAGE, PROT_READ | PROT_EXEC);
        __builtin___clear_cache((char *)m, (char *)m + 2 * PAGE);
        int (*const volatile f)(const char *, const char *) = (int (*)(const char *, const char *))(uintptr_t)(m + (at - page));
        for (unsigned r = 0; r < 100; r++) {
            const int got = f("abcd", change && (w & 0x707f) == 0x4003 ? "bcd" : "abcd");
            if (got != 0) {
                fail("patched", change, r, got);
            }
        }
    }
#endif
    printf("patched\n");
}

int
main(int argc, char **argv)
{
    const char *const what = argc > 1 ? argv[1] : "random";
    const long n = argc > 3 ? atol(argv[3]) : 2000;
    seed = argc > 2 ? strtoull(argv[2], NULL, 0) : 1;
    unsigned char *const m = mmap(FIXED, 2 * AREA + 3 * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
    for (unsigned w = 0; w < 2; w++) {
        area[w] = m + PAGE + w * (AREA + PAGE);
        mprotect(area[w], AREA, PROT_READ | PROT_WRITE);
    }
    if (strcmp(what, "faults") == 0) {
        in_faults(n);
    } else if (strcmp(what, "signals") == 0) {
        with_signals();
    } else if (strcmp(what, "threads") == 0) {
        with_threads();
    } else if (strcmp(what, "patched") == 0) {
        patched();
    } else {
        at_random(n);
    }
    printf("%s %016llx\n", what, (unsigned long long)hash);
    return 0;
}
