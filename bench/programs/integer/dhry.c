/*
 * dhry.c - many short procedures, records and string comparisons, as systems programs of the 1980s
 * were made of
 *
 * Three procedures are kept from inlining: the program is about calls with few arguments, structure copies
 * and branches that are nearly always the same.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FULL  32000000
#define QUICK 2500000

#define PROC __attribute__((noinline, noclone))

enum kind { FIRST, SECOND, THIRD, FOURTH };

struct record {
    struct record *link;
    enum kind discr, comp;
    int count;
    char name[31];
};

static struct record *glob, *next_glob;
static int int_glob, array1[50], array2[50][50];
static char ch_glob1, ch_glob2;

static enum kind
kind_next(enum kind k, int limit)
{
    switch (k) {
    case FIRST:
        return SECOND;
    case SECOND:
        return int_glob > limit ? FIRST : FOURTH;
    case THIRD:
        return SECOND;
    case FOURTH:
        return THIRD;
    }
    return FIRST;
}

static char
char_pick(char a, char b)
{
    char c = a;
    if (c != b) {
        return 'A';
    }
    ch_glob1 = c;
    return 'B';
}

PROC static int
string_after(const char *a, const char *b)
{
    int i = 2;
    while (i <= 2) {
        if (char_pick(a[i], b[i + 1]) == 'A') {
            i++;
        }
    }
    if (strcmp(a, b) > 0) {
        int_glob = i + 7;
        return 1;
    }
    return 0;
}

static void
add_three(int a, int b, int *out)
{
    *out = b + a + 2;
}

PROC static void
arrays_fill(int *a1, int a2[][50], int i, int v)
{
    int at = i + 5;
    a1[at] = v;
    a1[at + 1] = a1[at];
    a1[at + 30] = at;
    for (int k = at; k <= at + 1; k++) {
        a2[at][k] = at;
    }
    a2[at][at - 1]++;
    a2[at + 20][at] = a1[at];
    int_glob = 5;
}

PROC static void
record_step(struct record *r)
{
    struct record *n = r->link;
    *n = *glob;
    r->count = 5;
    n->count = r->count;
    n->link = r->link;
    if (n->discr == FIRST) {
        n->count = 6;
        n->comp = kind_next(r->comp, 100);
        add_three(n->count, 10, &n->count);
    } else {
        *r = *n;
    }
}

static void
chars_set(void)
{
    ch_glob1 = 'A';
    ch_glob2 = 'B';
}

int
main(int argc, char **argv)
{
    long rounds = argc > 1 ? atol(argv[1]) : FULL;
    static struct record r1, r2;
    char s1[31], s2[31];
    uint32_t sum = 0;
    glob = &r1;
    next_glob = &r2;
    r1.link = &r2;
    r1.discr = FIRST;
    r1.comp = THIRD;
    r1.count = 40;
    strcpy(r1.name, "A PROGRAM OF SMALL PARTS, SOME");
    strcpy(s1, "A PROGRAM OF SMALL PARTS, 1ST");
    for (long i = 1; i <= rounds; i++) {
        int a = 2, b = 3, c = 0;
        chars_set();
        strcpy(s2, "A PROGRAM OF SMALL PARTS, 2ND");
        s2[28] = (char)('A' + (i & 15));
        enum kind k = SECOND;
        int differs = !string_after(s1, s2);
        while (a < b) {
            c = 5 * a - b;
            add_three(a, b, &c);
            a++;
        }
        arrays_fill(array1, array2, a, c);
        record_step(glob);
        for (char ch = 'A'; ch <= ch_glob2; ch++) {
            if (k == (enum kind)char_pick(ch, 'C')) {
                k = kind_next(FIRST, 100);
                b = (int)i;
            }
        }
        b = b * a;
        a = b / (c + (int)(i & 3));
        b = 7 * (b - c) - a;
        sum = sum * 31 +
              (uint32_t)(a + b + differs + next_glob->count + (int)next_glob->comp + int_glob);
    }
    printf("dhry %08x %d %d\n", sum, array2[8][7], array1[8]);
    return array2[8][7] != (int)rounds;
}
