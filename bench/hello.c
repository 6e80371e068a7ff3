/* hello.c - as little as a program can do: what hello.py starts */
#include <stdio.h>

int
main(void)
{
    puts("Hello, world.");
    return 0;
}
