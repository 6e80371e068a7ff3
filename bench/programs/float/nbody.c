/*
 * nbody.c - five bodies under gravitation, symplectic steps in double precision: sqrt, division,
 * multiply-add chains
 *
 * Energy must be kept to seven digits; so many are printed, since a fused multiply-add may change
 * the last ones.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#define FULL  9000000
#define QUICK 700000

enum { BODIES = 5 };

struct body {
    double x, y, z, vx, vy, vz, mass;
};

#define YEAR  365.24
#define SOLAR (4 * 3.141592653589793 * 3.141592653589793)

static struct body sun[BODIES] = {
    {0, 0, 0, 0, 0, 0, SOLAR},
    {4.84143144246472090, -1.16032004402742839, -0.103622044471123109,
     0.00166007664274403694 * YEAR, 0.00769901118419740425 * YEAR, -0.0000690460016972063023 * YEAR,
     0.000954791938424326609 * SOLAR},
    {8.34336671824457987, 4.12479856412430479, -0.403523417114321381, -0.00276742510726411 * YEAR,
     0.00499852801234917 * YEAR, 0.0000230417297573763929 * YEAR, 0.000285885980666130812 * SOLAR},
    {12.8943695621391310, -15.1111514016986312, -0.223307578892655734,
     0.00296460137564761618 * YEAR, 0.00237847173959480950 * YEAR, -0.0000296589568540237556 * YEAR,
     0.0000436624404335156298 * SOLAR},
    {15.3796971148509165, -25.9193146099879641, 0.179258772950371181, 0.00268067772490389322 * YEAR,
     0.00162824170038242295 * YEAR, -0.0000951592254519715870 * YEAR,
     0.0000515138902046611451 * SOLAR},
};

static double
energy(const struct body *b)
{
    double e = 0;
    for (int i = 0; i < BODIES; i++) {
        e += 0.5 * b[i].mass * (b[i].vx * b[i].vx + b[i].vy * b[i].vy + b[i].vz * b[i].vz);
        for (int j = i + 1; j < BODIES; j++) {
            double dx = b[i].x - b[j].x, dy = b[i].y - b[j].y, dz = b[i].z - b[j].z;
            e -= b[i].mass * b[j].mass / sqrt(dx * dx + dy * dy + dz * dz);
        }
    }
    return e;
}

static void
advance(struct body *b, double dt)
{
    for (int i = 0; i < BODIES; i++) {
        for (int j = i + 1; j < BODIES; j++) {
            double dx = b[i].x - b[j].x, dy = b[i].y - b[j].y, dz = b[i].z - b[j].z;
            double sq = dx * dx + dy * dy + dz * dz;
            double mag = dt / (sq * sqrt(sq));
            b[i].vx -= dx * b[j].mass * mag;
            b[i].vy -= dy * b[j].mass * mag;
            b[i].vz -= dz * b[j].mass * mag;
            b[j].vx += dx * b[i].mass * mag;
            b[j].vy += dy * b[i].mass * mag;
            b[j].vz += dz * b[i].mass * mag;
        }
    }
    for (int i = 0; i < BODIES; i++) {
        b[i].x += dt * b[i].vx;
        b[i].y += dt * b[i].vy;
        b[i].z += dt * b[i].vz;
    }
}

int
main(int argc, char **argv)
{
    long steps = argc > 1 ? atol(argv[1]) : FULL;
    double px = 0, py = 0, pz = 0;
    for (int i = 0; i < BODIES; i++) {
        px += sun[i].vx * sun[i].mass;
        py += sun[i].vy * sun[i].mass;
        pz += sun[i].vz * sun[i].mass;
    }
    sun[0].vx = -px / SOLAR;
    sun[0].vy = -py / SOLAR;
    sun[0].vz = -pz / SOLAR;
    double before = energy(sun);
    for (long i = 0; i < steps; i++) {
        advance(sun, 0.01);
    }
    double after = energy(sun);
    printf("nbody %.7f %.6f\n", before, after);
    return fabs(after - before) > 1e-4;
}
