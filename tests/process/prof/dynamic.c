/*
 * dynamic.c - a program, and with LIBRARY its library, for prof.test: work() calls leaf() a thousand times, which calls a function that
 * a stripped library has no name for; and a recursion ends in a jump to another function
 */
#define ALONE __attribute__((noipa))

unsigned long leaf(unsigned long x);

#ifdef LIBRARY
static ALONE unsigned long
mixed(unsigned long x)
{
    return x * 31 + 7;
}

unsigned long
leaf(unsigned long x)
{
    return mixed(x) + 1;
}
#else
long middle(long n);

ALONE long
last(long n)
{
    return n + 5;
}

ALONE long
outer(long n)
{
    return n == 0 ? last(n) : middle(n) + 1;
}

ALONE long
middle(long n)
{
    return outer(n - 1) + 1;
}

ALONE unsigned long
work(void)
{
    unsigned long x = 1;
    for (int k = 0; k < 1000; k++) {
        x = leaf(x);
    }
    return x;
}

int
main(void)
{
    return work() == 0 || outer(3) != 11;
}
#endif
