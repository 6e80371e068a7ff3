/* litmus.c - what RVWMO forbids is never seen: the known shapes, with each way of ordering (unprivileged ISA, ch. 17 and app. A) */
/* args: 8 */
/* long: 250 */
/* riscv only */
/* every engine */
#include "../abi.h"

#include <pthread.h>
#include <sched.h>
#include <stdbool.h>

enum { INSTANCES = 512, MOST = 4 };

/* Each variable has a line of its own; which of them share pages and sets changes with the instance. */
struct instance {
    _Alignas(64) long x;
    _Alignas(64) long y;
    _Alignas(64) long z;
};
static struct instance world[INSTANCES];
struct seen {
    long a, b;
};
static struct seen seen[MOST][INSTANCES];

static int count;
static int arrived_at[INSTANCES];

/* The threads come to each instance at about the same time; who finds himself alone goes on. The last one is ahead of the others by the
 * time that a line takes from core to core: it lets another such time pass, from none to some more. */
static inline void
rendezvous(int i)
{
    int there = __atomic_add_fetch(&arrived_at[i], 1, __ATOMIC_RELAXED), all = count;
    if (there == all) {
        for (int k = 8 * (i % 32); k > 0; k--) {
            __asm__ volatile("");
        }
    }
    for (int spins = 0; there < all && spins < 2000; spins++) {
        there = __atomic_load_n(&arrived_at[i], __ATOMIC_RELAXED);
    }
}

/* One thread's part of a shape: the loop is in the function, so that a region holds several instances. */
#define PART(NAME, TEXT)                                                                         \
    static void NAME(struct instance *w, struct seen *s)                                         \
    {                                                                                            \
        for (int i = 0; i < INSTANCES; i++) {                                                    \
            long a = 0, b = 0, t = 0;                                                            \
            rendezvous(i);                                                                       \
            __asm__ volatile(TEXT                                                                \
                             : [a] "+&r"(a), [b] "+&r"(b), [t] "+&r"(t)                          \
                             : [x] "r"(&w[i].x), [y] "r"(&w[i].y), [z] "r"(&w[i].z), [one] "r"(1L), [two] "r"(2L) \
                             : "memory");                                                        \
            s[i] = (struct seen){a, b};                                                          \
        }                                                                                        \
    }

#define FULL "fence rw,rw\n"
#define STORE_X "sd %[one],0(%[x])\n"
#define STORE_Y "sd %[one],0(%[y])\n"

/* x := 1; F; a := y, and the same with x and y changed */
#define SB(NAME, F) PART(NAME##_0, STORE_X F "ld %[a],0(%[y])\n") PART(NAME##_1, STORE_Y F "ld %[a],0(%[x])\n")
SB(sb_fence, FULL)
SB(sb_wr, "fence w,r\n")
PART(sb_amo_0, "amoswap.d.aqrl %[t],%[one],(%[x])\n ld %[a],0(%[y])\n")
PART(sb_amo_1, "amoswap.d.aqrl %[t],%[one],(%[y])\n ld %[a],0(%[x])\n")
PART(sb_rcsc_0, "amoswap.d.rl %[t],%[one],(%[x])\n lr.d.aq %[a],(%[y])\n")
PART(sb_rcsc_1, "amoswap.d.rl %[t],%[one],(%[y])\n lr.d.aq %[a],(%[x])\n")
PART(sb_lrsc_0, "1: lr.w %[t],(%[x])\n sc.w.rl %[t],%[one],(%[x])\n bnez %[t],1b\n lr.w.aq %[a],(%[y])\n")
PART(sb_lrsc_1, "1: lr.w %[t],(%[y])\n sc.w.rl %[t],%[one],(%[y])\n bnez %[t],1b\n lr.w.aq %[a],(%[x])\n")
PART(sb_add_0, "amoadd.w.aqrl x0,%[one],(%[x])\n lw %[a],0(%[y])\n")
PART(sb_add_1, "amoadd.w.aqrl x0,%[one],(%[y])\n lw %[a],0(%[x])\n")
/* The loaded own value comes from the store; the fence orders all the same. */
PART(sb_forward_0, STORE_X "ld %[b],0(%[x])\n" FULL "ld %[a],0(%[y])\n")
PART(sb_forward_1, STORE_Y "ld %[b],0(%[y])\n" FULL "ld %[a],0(%[x])\n")
/* Bytes of one double word */
PART(sb_bytes_0, "sb %[one],0(%[x])\n" FULL "lbu %[a],1(%[x])\n")
PART(sb_bytes_1, "sb %[one],1(%[x])\n" FULL "lbu %[a],0(%[x])\n")

/* x := 1; F; y := 1, read in the other order */
PART(put_ww, STORE_X "fence w,w\n" STORE_Y)
PART(put_tso, STORE_X "fence.tso\n" STORE_Y)
PART(put_rl, STORE_X "amoswap.d.rl %[t],%[one],(%[y])\n")
PART(put_sc, STORE_X "1: lr.d %[t],(%[y])\n sc.d.rl %[t],%[one],(%[y])\n bnez %[t],1b\n")
PART(put_twice, "sd %[two],0(%[x])\n" STORE_X "fence w,w\n sd %[two],0(%[y])\n" STORE_Y)
PART(get_rr, "ld %[a],0(%[y])\n fence r,r\n ld %[b],0(%[x])\n")
PART(get_tso, "ld %[a],0(%[y])\n fence.tso\n ld %[b],0(%[x])\n")
PART(get_aq, "lr.d.aq %[a],(%[y])\n ld %[b],0(%[x])\n")
PART(get_amo, "amoor.d.aq %[a],x0,(%[y])\n ld %[b],0(%[x])\n")
PART(get_addr, "ld %[a],0(%[y])\n xor %[t],%[a],%[a]\n add %[t],%[t],%[x]\n ld %[b],0(%[t])\n")
PART(get_again, "ld %[b],0(%[x])\n ld %[a],0(%[y])\n fence r,r\n ld %[b],0(%[x])\n")
PART(get_ctrl, "ld %[a],0(%[y])\n beqz %[a],1f\n fence r,rw\n 1: ld %[b],0(%[x])\n")
PART(wait_rr, "1: ld %[a],0(%[y])\n beqz %[a],1b\n fence r,r\n ld %[b],0(%[x])\n")
PART(wait_aq, "1: lr.w.aq %[a],(%[y])\n beqz %[a],1b\n lw %[b],0(%[x])\n")
/* Bytes side by side, which a translator may like to move together */
PART(put_bytes, "sb %[one],0(%[x])\n sb %[one],1(%[x])\n sb %[one],2(%[x])\n sb %[one],3(%[x])\n fence w,w\n sb %[one],4(%[x])\n sb %[one],5(%[x])\n")
PART(get_bytes, "lbu %[a],5(%[x])\n fence r,r\n lbu %[b],0(%[x])\n lbu %[t],1(%[x])\n and %[b],%[b],%[t]\n lbu %[t],2(%[x])\n and %[b],%[b],%[t]\n"
                "lbu %[t],3(%[x])\n and %[b],%[b],%[t]\n")
/* A double word is written at once */
PART(put_whole, "li %[t],-1\n sd %[t],0(%[x])\n")
PART(get_whole, "lbu %[a],7(%[x])\n fence r,r\n lbu %[b],0(%[x])\n")
PART(get_halves, "ld %[t],0(%[x])\n srli %[a],%[t],63\n andi %[b],%[t],1\n")

/* a := x; (dependency) y := 1, and the same with x and y changed */
#define LB(NAME, A, B) PART(NAME##_0, "ld %[a],0(%[x])\n" A) PART(NAME##_1, "ld %[a],0(%[y])\n" B)
LB(lb_fence, FULL STORE_Y, FULL STORE_X)
LB(lb_data, "sd %[a],0(%[y])\n", "or %[t],%[a],%[one]\n sd %[t],0(%[x])\n")
LB(lb_ctrl, "bnez %[a],1f\n 1:" STORE_Y, "bnez %[a],1f\n 1:" STORE_X)
LB(lb_addr, "xor %[t],%[a],%[a]\n add %[t],%[t],%[y]\n sd %[one],0(%[t])\n", "xor %[t],%[a],%[a]\n add %[t],%[t],%[x]\n sd %[one],0(%[t])\n")
LB(lb_rl, "amoswap.d.rl %[t],%[one],(%[y])\n", "amoswap.d.rl %[t],%[one],(%[x])\n")

/* Coherence of one variable */
PART(only_x, STORE_X)
PART(only_y, STORE_Y)
PART(corr, "ld %[a],0(%[x])\n ld %[b],0(%[x])\n")
PART(corr_far, "ld %[a],0(%[x])\n ld %[t],0(%[y])\n ld %[t],0(%[z])\n ld %[b],0(%[x])\n")
PART(cowr, "sd %[two],0(%[x])\n ld %[a],0(%[x])\n ld %[b],0(%[x])\n")
PART(corw, "ld %[a],0(%[x])\n sd %[two],0(%[x])\n ld %[b],0(%[x])\n")

/* R, S, 2+2W */
PART(r_1, "sd %[two],0(%[y])\n" FULL "ld %[a],0(%[x])\n")
PART(r_0, STORE_X FULL STORE_Y)
PART(s_0, "sd %[two],0(%[x])\n fence w,w\n" STORE_Y)
PART(s_data, "ld %[a],0(%[y])\n xor %[t],%[a],%[a]\n add %[t],%[t],%[one]\n sd %[t],0(%[x])\n")
PART(s_ctrl, "ld %[a],0(%[y])\n bnez %[a],1f\n 1:" STORE_X)
PART(w22_0, STORE_X "fence w,w\n sd %[two],0(%[y])\n")
PART(w22_1, STORE_Y "fence w,w\n sd %[two],0(%[x])\n")

/* Three and four threads */
PART(wrc_1, "ld %[a],0(%[x])\n" FULL STORE_Y)
PART(wrc_data, "ld %[a],0(%[x])\n sd %[a],0(%[y])\n")
PART(isa2_1, "ld %[a],0(%[y])\n fence rw,w\n sd %[one],0(%[z])\n")
PART(isa2_2, "ld %[a],0(%[z])\n fence r,r\n ld %[b],0(%[x])\n")
PART(iriw_2, "ld %[a],0(%[x])\n" FULL "ld %[b],0(%[y])\n")
PART(iriw_3, "ld %[a],0(%[y])\n" FULL "ld %[b],0(%[x])\n")
PART(iriw_aq2, "lr.d.aqrl %[a],(%[x])\n lr.d.aqrl %[b],(%[y])\n")
PART(iriw_aq3, "lr.d.aqrl %[a],(%[y])\n lr.d.aqrl %[b],(%[x])\n")

/* Atomicity of LR/SC and AMO against a store */
PART(pair, "lr.d %[a],(%[x])\n sc.d %[b],%[one],(%[x])\n")
PART(swap2, "amoswap.d %[a],%[two],(%[x])\n")
PART(add1, "amoadd.d %[a],%[one],(%[x])\n")
PART(addrl, "1: lr.d %[a],(%[x])\n addi %[t],%[a],1\n sc.d %[t],%[t],(%[x])\n bnez %[t],1b\n")

#define S0 seen[0][i]
#define S1 seen[1][i]
#define S2 seen[2][i]
#define S3 seen[3][i]
typedef void part(struct instance *w, struct seen *s);

/* name, what must not be seen of instance i, the parts */
#define SHAPES(S)                                                                                          \
    S(SB_fence, S0.a == 0 && S1.a == 0, sb_fence_0, sb_fence_1)                                            \
    S(SB_fence_w_r, S0.a == 0 && S1.a == 0, sb_wr_0, sb_wr_1)                                              \
    S(SB_amoswap_aqrl, S0.a == 0 && S1.a == 0, sb_amo_0, sb_amo_1)                                         \
    S(SB_amoswap_rl_lr_aq, S0.a == 0 && S1.a == 0, sb_rcsc_0, sb_rcsc_1)                                   \
    S(SB_sc_rl_lr_aq, S0.a == 0 && S1.a == 0, sb_lrsc_0, sb_lrsc_1)                                        \
    S(SB_amoadd_x0_aqrl, S0.a == 0 && S1.a == 0, sb_add_0, sb_add_1)                                       \
    S(SB_forwarded, (S0.a == 0 && S1.a == 0) || S0.b != 1 || S1.b != 1, sb_forward_0, sb_forward_1)        \
    S(SB_bytes, S0.a == 0 && S1.a == 0, sb_bytes_0, sb_bytes_1)                                            \
    S(MP_fences, S1.a == 1 && S1.b == 0, put_ww, get_rr)                                                   \
    S(MP_tso, S1.a == 1 && S1.b == 0, put_tso, get_tso)                                                    \
    S(MP_rl_aq, S1.a == 1 && S1.b == 0, put_rl, get_aq)                                                    \
    S(MP_sc_rl_amo_aq, S1.a == 1 && S1.b == 0, put_sc, get_amo)                                            \
    S(MP_addr, S1.a == 1 && S1.b == 0, put_ww, get_addr)                                                   \
    S(MP_read_before, S1.a == 1 && S1.b == 0, put_ww, get_again)                                           \
    S(MP_ctrl_fence, S1.a == 1 && S1.b == 0, put_rl, get_ctrl)                                             \
    S(MP_written_twice, S1.a != 0 && S1.b != 1, put_twice, get_rr)                                         \
    S(MP_wait, S1.b == 0, put_ww, wait_rr)                                                                 \
    S(MP_wait_aq, S1.b == 0, put_rl, wait_aq)                                                              \
    S(MP_bytes, S1.a == 1 && S1.b == 0, put_bytes, get_bytes)                                              \
    S(MP_whole, S1.a != 0 && S1.b == 0, put_whole, get_whole)                                              \
    S(whole, S1.a != S1.b, put_whole, get_halves)                                                          \
    S(LB_fence, S0.a == 1 && S1.a == 1, lb_fence_0, lb_fence_1)                                            \
    S(LB_data, S0.a == 1 && S1.a == 1, lb_data_0, lb_data_1)                                               \
    S(LB_ctrl, S0.a == 1 && S1.a == 1, lb_ctrl_0, lb_ctrl_1)                                               \
    S(LB_addr, S0.a == 1 && S1.a == 1, lb_addr_0, lb_addr_1)                                               \
    S(LB_rl, S0.a == 1 && S1.a == 1, lb_rl_0, lb_rl_1)                                                     \
    S(CoRR, S1.a == 1 && S1.b == 0, only_x, corr)                                                          \
    S(CoRR_far, S1.a == 1 && S1.b == 0, only_x, corr_far)                                                  \
    S(CoWR, S1.a == 0 || S1.b == 0 || (S1.a == 1 && S1.b == 2) || (S1.b == 1 && w->x != 1), only_x, cowr)  \
    S(CoRW, S1.b == 0 || (S1.a == 1 && (S1.b == 1 || w->x == 1)), only_x, corw)                            \
    S(R_fence, S1.a == 0 && w->y == 2, r_0, r_1)                                                           \
    S(S_data, S1.a == 1 && w->x == 2, s_0, s_data)                                                         \
    S(S_ctrl, S1.a == 1 && w->x == 2, s_0, s_ctrl)                                                         \
    S(W22_fence, w->x == 1 && w->y == 1, w22_0, w22_1)                                                     \
    S(atomic_pair, S0.a == 0 && S0.b == 0 && S1.a == 0 && w->x == 1, pair, swap2)                          \
    S(atomic_adds, w->x != 4 || S0.a == S1.a || S1.a == S2.a || S2.a == S3.a || S0.a == S3.a, add1, addrl, add1, addrl) \
    S(WRC_fence_addr, S1.a == 1 && S2.a == 1 && S2.b == 0, only_x, wrc_1, get_addr)                        \
    S(WRC_data_addr, S1.a == 1 && S2.a == 1 && S2.b == 0, only_x, wrc_data, get_addr)                      \
    S(ISA2, S1.a == 1 && S2.a == 1 && S2.b == 0, put_ww, isa2_1, isa2_2)                                   \
    S(IRIW_fence, S2.a == 1 && S2.b == 0 && S3.a == 1 && S3.b == 0, only_x, only_y, iriw_2, iriw_3)        \
    S(IRIW_aqrl, S2.a == 1 && S2.b == 0 && S3.a == 1 && S3.b == 0, only_x, only_y, iriw_aq2, iriw_aq3)

#define JUDGE(NAME, BAD, ...)                         \
    static bool NAME##_bad(int i)                     \
    {                                                 \
        const struct instance *w = &world[i];         \
        (void)w;                                      \
        return BAD;                                   \
    }
SHAPES(JUDGE)
static const struct shape {
    const char *name;
    bool (*bad)(int i);
    part *parts[MOST];
} shapes[] = {
#define ROW(NAME, BAD, ...) {#NAME, NAME##_bad, {__VA_ARGS__}},
    SHAPES(ROW)
};

static const struct shape *now;
static int batches;
static int arrived, generation;

static void
meet(void)
{
    int g = __atomic_load_n(&generation, __ATOMIC_ACQUIRE);
    if (__atomic_add_fetch(&arrived, 1, __ATOMIC_ACQ_REL) == count) {
        __atomic_store_n(&arrived, 0, __ATOMIC_RELAXED);
        __atomic_store_n(&generation, g + 1, __ATOMIC_RELEASE);
    }
    for (int spins = 0; __atomic_load_n(&generation, __ATOMIC_ACQUIRE) == g;) {
        if (++spins > 200) {
            sched_yield();
        }
    }
}

static void *
player(void *arg)
{
    int me = (int)(long)arg;
    for (int k = 0; k < batches; k++) {
        meet();
        now->parts[me](world, seen[me]);
        meet();
        if (me == 0) {
            for (int i = 0; i < INSTANCES; i++) {
                if (now->bad(i)) {
                    dprintf(1, "%s: forbidden, seen at batch %d, instance %d: x %ld y %ld, (%ld %ld) (%ld %ld) (%ld %ld) (%ld %ld)\n", now->name, k, i,
                            world[i].x, world[i].y, S0.a, S0.b, S1.a, S1.b, S2.a, S2.b, S3.a, S3.b);
                    _exit(1);
                }
            }
            memset(world, 0, sizeof world);
            memset(arrived_at, 0, sizeof arrived_at);
        }
    }
    return NULL;
}

int
main(int argc, char **argv)
{
    batches = argc > 1 ? atoi(argv[1]) : 8;
    for (size_t k = 0; k < sizeof shapes / sizeof *shapes; k++) {
        now = &shapes[k];
        memset(world, 0, sizeof world);
        memset(arrived_at, 0, sizeof arrived_at);
        for (count = 0; count < MOST && now->parts[count] != NULL; count++) {
        }
        pthread_t t[MOST];
        for (int i = 0; i < count; i++) {
            CHECK(pthread_create(&t[i], NULL, player, (void *)(long)i) == 0);
        }
        for (int i = 0; i < count; i++) {
            CHECK(pthread_join(t[i], NULL) == 0);
        }
    }
    return 0;
}
