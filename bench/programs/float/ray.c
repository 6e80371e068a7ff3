/*
 * ray.c - ray tracer of spheres over a checkered plane, with shadows and reflections, in single
 * precision
 *
 * The mean brightness is printed to two digits: fused multiply-adds move single pixels on edges.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#define FULL  2800 /* pixels a side */
#define QUICK 800

struct vec {
    float x, y, z;
};

struct sphere {
    struct vec at;
    float r, shine;
    struct vec color;
};

static const struct sphere ball[] = {
    {{0, 1, 0}, 1, 0.5F, {0.9F, 0.2F, 0.2F}},
    {{2, 0.7F, 1}, 0.7F, 0.3F, {0.2F, 0.9F, 0.3F}},
    {{-1.8F, 0.6F, 1.2F}, 0.6F, 0.6F, {0.3F, 0.4F, 1}},
    {{0.5F, 0.4F, 2.2F}, 0.4F, 0.1F, {1, 1, 0.4F}},
    {{-0.9F, 2.4F, -1}, 0.5F, 0.8F, {0.9F, 0.9F, 0.9F}},
    {{1.4F, 2, -0.8F}, 0.3F, 0.2F, {0.8F, 0.3F, 0.9F}},
};
enum { BALLS = sizeof ball / sizeof *ball, DEPTH = 4 };

static struct vec
add(struct vec a, struct vec b, float f)
{
    return (struct vec){a.x + f * b.x, a.y + f * b.y, a.z + f * b.z};
}

static float
dot(struct vec a, struct vec b)
{
    return a.x * b.x + a.y * b.y + a.z * b.z;
}

static struct vec
unit(struct vec a)
{
    return add((struct vec){0, 0, 0}, a, 1 / sqrtf(dot(a, a)));
}

/* Index of what the ray meets first: a ball, BALLS for the plane, -1 for the sky; *t is the
 * distance. */
static int
meet(struct vec from, struct vec dir, float *t)
{
    int hit = -1;
    *t = 1e9F;
    for (int i = 0; i < BALLS; i++) {
        struct vec d = add(from, ball[i].at, -1);
        float b = dot(d, dir), disc = b * b - dot(d, d) + ball[i].r * ball[i].r;
        if (disc > 0) {
            float s = -b - sqrtf(disc);
            if (s > 1e-3F && s < *t) {
                *t = s;
                hit = i;
            }
        }
    }
    if (dir.y < -1e-4F && -from.y / dir.y > 1e-3F && -from.y / dir.y < *t) {
        *t = -from.y / dir.y;
        hit = BALLS;
    }
    return hit;
}

static struct vec
trace(struct vec from, struct vec dir, int depth)
{
    static const struct vec sun = {0.5F, 0.75F, 0.43F};
    float t, shade;
    int hit = meet(from, dir, &t);
    if (hit < 0) {
        return (struct vec){0.4F + 0.3F * dir.y, 0.6F + 0.2F * dir.y, 0.9F};
    }
    struct vec p = add(from, dir, t), n = {0, 1, 0}, color = {0.9F, 0.9F, 0.9F};
    float shine = 0.15F;
    if (hit < BALLS) {
        n = add((struct vec){0, 0, 0}, add(p, ball[hit].at, -1), 1 / ball[hit].r);
        color = ball[hit].color;
        shine = ball[hit].shine;
    } else if (((int)floorf(p.x) + (int)floorf(p.z)) & 1) {
        color = (struct vec){0.15F, 0.15F, 0.15F};
    }
    float light = dot(n, sun);
    if (light < 0 || meet(p, sun, &t) >= 0) {
        light = 0;
    }
    shade = 0.2F + 0.8F * light;
    color = (struct vec){color.x * shade, color.y * shade, color.z * shade};
    if (depth > 0 && shine > 0) {
        struct vec back = trace(p, unit(add(dir, n, -2 * dot(dir, n))), depth - 1);
        color =
            add((struct vec){color.x * (1 - shine), color.y * (1 - shine), color.z * (1 - shine)},
                back, shine);
    }
    return color;
}

int
main(int argc, char **argv)
{
    long side = argc > 1 ? atol(argv[1]) : FULL;
    double sum = 0;
    for (long y = 0; y < side; y++) {
        for (long x = 0; x < side; x++) {
            struct vec dir = {((float)x + 0.5F) / (float)side - 0.5F,
                              0.35F - ((float)y + 0.5F) / (float)side, -1};
            struct vec c = trace((struct vec){0, 1.5F, 6}, unit(dir), DEPTH);
            sum += (double)(c.x + c.y + c.z);
        }
    }
    sum /= (double)(side * side * 3);
    printf("ray %.2f\n", sum);
    return sum < 0.1 || sum > 0.9;
}
