/*
 * virtual.c - methods called through tables of function pointers, over objects of four types in
 * mixed order
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#define FULL  32000 /* rounds over 4096 objects */
#define QUICK 2600

enum { OBJECTS = 4096 };

struct shape;

struct shape_ops {
    uint64_t (*area)(const struct shape *s);
    void (*grow)(struct shape *s, uint32_t by);
    uint32_t (*sides)(const struct shape *s);
};

struct shape {
    const struct shape_ops *ops;
    uint32_t a, b;
};

static uint64_t
square_area(const struct shape *s)
{
    return (uint64_t)s->a * s->a;
}
static void
square_grow(struct shape *s, uint32_t by)
{
    s->a = (s->a + by) & 0xffff;
}
static uint32_t
square_sides(const struct shape *s)
{
    return s->a ? 4 : 0;
}

static uint64_t
rect_area(const struct shape *s)
{
    return (uint64_t)s->a * s->b;
}
static void
rect_grow(struct shape *s, uint32_t by)
{
    s->b = (s->b + s->a + by) & 0xffff;
}
static uint32_t
rect_sides(const struct shape *s)
{
    return s->b ? 4 : 2;
}

static uint64_t
tri_area(const struct shape *s)
{
    return (uint64_t)s->a * s->b / 2;
}
static uint32_t
tri_sides(const struct shape *s)
{
    return s->a == s->b ? 1 : 3;
}

static uint64_t
disc_area(const struct shape *s)
{
    return (uint64_t)s->a * s->a * 355 / 113;
}
static void
disc_grow(struct shape *s, uint32_t by)
{
    s->a ^= by;
}
static uint32_t
disc_sides(const struct shape *s)
{
    return s->b & 1;
}

static const struct shape_ops ops[4] = {
    {square_area, square_grow, square_sides},
    {rect_area, rect_grow, rect_sides},
    {tri_area, rect_grow, tri_sides},
    {disc_area, disc_grow, disc_sides},
};

int
main(int argc, char **argv)
{
    long rounds = argc > 1 ? atol(argv[1]) : FULL;
    static struct shape shapes[OBJECTS];
    uint32_t seed = 3;
    uint64_t sum = 0;
    for (int i = 0; i < OBJECTS; i++) {
        seed = seed * 1664525 + 1013904223;
        /* three quarters follow a pattern of four, the rest is drawn */
        shapes[i].ops = &ops[(i & 15) < 12 ? i & 3 : seed >> 30];
        shapes[i].a = seed >> 8 & 0xfff;
        shapes[i].b = seed >> 16 & 0xfff;
    }
    for (long r = 0; r < rounds; r++) {
        for (int i = 0; i < OBJECTS; i++) {
            sum += shapes[i].ops->area(&shapes[i]);
        }
        if ((r & 3) == 0) {
            for (int i = 0; i < OBJECTS; i++) {
                shapes[i].ops->grow(&shapes[i], shapes[i].ops->sides(&shapes[i]));
            }
        }
    }
    printf("virtual %016llx\n", (unsigned long long)sum);
    return 0;
}
