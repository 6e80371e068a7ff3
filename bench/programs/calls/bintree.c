/*
 * bintree.c - binary trees built, walked and freed with malloc: allocator, recursion, cache misses
 */
#include <stdio.h>
#include <stdlib.h>

#define FULL  20 /* depth */
#define QUICK 17

struct tree {
    struct tree *left, *right;
};

static struct tree *
build(int depth)
{
    struct tree *t = malloc(sizeof *t);
    if (!t) {
        exit(2);
    }
    t->left = depth > 0 ? build(depth - 1) : NULL;
    t->right = depth > 0 ? build(depth - 1) : NULL;
    return t;
}

static long
count(const struct tree *t)
{
    return t ? 1 + count(t->left) + count(t->right) : 0;
}

static void
drop(struct tree *t)
{
    if (t) {
        drop(t->left);
        drop(t->right);
        free(t);
    }
}

int
main(int argc, char **argv)
{
    int max = argc > 1 ? atoi(argv[1]) : FULL;
    struct tree *keep = build(max);
    long total = 0;
    for (int d = 4; d <= max; d += 2) {
        long trees = 1L << (max - d), nodes = 0;
        for (long i = 0; i < trees; i++) {
            struct tree *t = build(d);
            nodes += count(t);
            drop(t);
        }
        if (nodes != trees * ((2L << d) - 1)) {
            puts("bintree: wrong");
            return 1;
        }
        total += nodes;
    }
    long kept = count(keep);
    drop(keep);
    printf("bintree %ld %ld\n", kept, total);
    return 0;
}
