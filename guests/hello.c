/*
 * hello.c - the first program that doppel runs: says what machine it believes to be on, and computes a little
 *
 * Static, glibc; uses integers, doubles, memory, the clock and a file, so that a machine that runs it is in working order.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/utsname.h>

/* How many primes there are below n. */
static int
primes_below(int n)
{
    char *composite = calloc((size_t)n, 1);
    int count = 0;

    if (!composite) {
        return -1;
    }
    for (int i = 2; i < n; i++) {
        if (!composite[i]) {
            count++;
            for (long j = (long)i * i; j < n; j += i) {
                composite[j] = 1;
            }
        }
    }
    free(composite);
    return count;
}

/* The extensions of the base set that the kernel announces, as letters: AT_HWCAP has one bit a letter. */
static void
print_extensions(void)
{
    unsigned long hwcap = getauxval(AT_HWCAP);

    for (const char *p = "imafdcv"; *p; p++) {
        if (hwcap >> (*p - 'a') & 1) {
            putchar(*p);
        }
    }
    putchar('\n');
}

int
main(int argc, char **argv)
{
    struct utsname u;
    int primes = primes_below(1000000);
    double sum = 0;

    for (int i = 0; i < 1000000; i++) {
        sum += 1.0 / ((double)(4 * i + 1) * (double)(4 * i + 3));
    }
    if (uname(&u)) {
        perror("uname");
        return 1;
    }
    printf("Hello from a %s program on %s %s.\n", u.machine, u.sysname, u.release);
    printf("  instruction set   rv64");
    print_extensions();
    printf("  primes < 1000000  %d\n", primes);
    printf("  pi, slowly        %.6f   sqrt(2) %.15f\n", 8 * sum, sqrt(2.0));
    printf("  arguments        ");
    for (int i = 1; i < argc; i++) {
        printf(" %s", argv[i]);
    }
    printf("\n");
    return primes == 78498 && fabs(8 * sum - M_PI) < 1e-5 && !strcmp(u.machine, "riscv64") ? 0 : 1;
}
