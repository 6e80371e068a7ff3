/*
 * work.c - something of everything that a translation may have in it, and sums of it
 *
 *      work            loops, calls, recursion, indirect calls, floating point, atomics, strings, jump tables; where its code is
 *      work patch      also changes a function that has run often, twice
 *      work fork N     also in N children, one after another, that execute this program
 *      work fds        which descriptors are open
 *      work cut DIR    cuts all files of DIR short before it does anything else
 */
#include <dirent.h>
#include <math.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

static atomic_ulong counter;

__attribute__((noinline)) static uint64_t
fib(unsigned n)
{
    return n < 2 ? n : fib(n - 1) + fib(n - 2);
}

static uint64_t mix1(uint64_t v) { return v * 0x9e3779b97f4a7c15u ^ v >> 29; }
static uint64_t mix2(uint64_t v) { return (v << 13 | v >> 51) + 77; }
static uint64_t mix3(uint64_t v) { return v / 3 + v % 1000003; }
static uint64_t (*const table[])(uint64_t) = {mix1, mix2, mix3};

__attribute__((noinline)) static uint64_t
choose(unsigned k, uint64_t v)
{
    switch (k % 7) {
    case 0: return v + 1;
    case 1: return v ^ 0x55;
    case 2: return v * 3;
    case 3: return v - 9;
    case 4: return ~v;
    case 5: return v >> 1;
    default: return v << 1;
    }
}

static int
compare(const void *a, const void *b)
{
    return memcmp(a, b, 8);
}

/* Page-aligned, and the only thing in its page: addi a0, a0, 1; ret. */
__asm__(".text\n.balign 4096\nplus:\n\taddi a0, a0, 1\n\tret\n.balign 4096\n");
uint64_t plus(uint64_t v);

static void
patch(uint32_t add)
{
    uint32_t *code = (uint32_t *)(uintptr_t)plus;
    const uint32_t word = 0x00050513 | add << 20;
    if (mprotect(code, 4096, PROT_READ | PROT_WRITE) != 0) {
        perror("mprotect");
    }
    /* In two-byte steps: nothing says that the assembler did not compress. */
    const uint16_t short_word = (uint16_t)(0x0505 | (add & 31) << 2); /* c.addi a0, add */
    if ((*(uint16_t *)code & 3) == 3) {
        memcpy(code, &word, 4);
    } else {
        memcpy(code, &short_word, 2);
    }
    __builtin___clear_cache((char *)code, (char *)code + 4096);
    mprotect(code, 4096, PROT_READ | PROT_EXEC);
}

static uint64_t
many(void)
{
    uint64_t v = 0;
    for (unsigned k = 0; k < 3000; k++) {
        v = plus(v);
    }
    return v;
}

static void
cut(const char *name)
{
    char path[4096];
    DIR *dir = opendir(name);
    for (struct dirent *e; dir != NULL && (e = readdir(dir)) != NULL;) {
        snprintf(path, sizeof path, "%s/%s", name, e->d_name);
        if (e->d_name[0] != '.' && truncate(path, 300) != 0) {
            perror(path);
        }
    }
}

int
main(int argc, char **argv)
{
    uint64_t v = 1;
    double d = 0.5;
    char words[64][8];
    if (argc > 1 && strcmp(argv[1], "fds") == 0) {
        DIR *dir = opendir("/proc/self/fd");
        for (struct dirent *e; dir != NULL && (e = readdir(dir)) != NULL;) {
            printf("%s ", e->d_name);
        }
        printf("\n");
        return 0;
    }
    if (argc > 2 && strcmp(argv[1], "cut") == 0) {
        cut(argv[2]);
    }
    for (unsigned k = 0; k < 20000; k++) {
        v = table[k % 3](v);
        v = choose(k, v);
        d = sqrt(d * d + (double)(k & 7)) * 0.75;
        atomic_fetch_add(&counter, k & 3);
    }
    for (unsigned k = 0; k < 64; k++) {
        v = mix1(v);
        snprintf(words[k], sizeof words[k], "%07x", (unsigned)v & 0xfffffff);
    }
    qsort(words, 64, 8, compare);
    printf("%llx %.17g %lu %s %s %llu\n", (unsigned long long)v, d, counter, words[0], words[63], (unsigned long long)fib(18));
    if (argc > 1 && strcmp(argv[1], "patch") == 0) {
        printf("%llu", (unsigned long long)many());
        patch(2);
        printf(" %llu", (unsigned long long)many());
        patch(5);
        printf(" %llu\n", (unsigned long long)many());
    }
    if (argc > 2 && strcmp(argv[1], "fork") == 0) {
        for (int n = atoi(argv[2]); n > 0; n--) {
            const pid_t pid = fork();
            if (pid == 0) {
                execl(argv[0], argv[0], (char *)NULL);
                _exit(1);
            }
            int status;
            waitpid(pid, &status, 0);
            if (status != 0) {
                printf("child: %x\n", (unsigned)status);
            }
        }
    }
    if (argc > 1 && strcmp(argv[1], "where") == 0) {
        printf("%p %p\n", (void *)(uintptr_t)main, (void *)(uintptr_t)printf);
    }
    return 0;
}
