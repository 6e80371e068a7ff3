/*
 * lower_log.c - code that writes down each access to guest memory, for lockstep.h
 *
 * It stands beside the access and takes no register for itself, so that what is checked is the code that runs without a check.
 */
#include "engine/lower.h"

#include "engine/lockstep.h"

#define LOG_AT M(RBP, HART(log_at))
#define LOG_ADDRESS M(RBP, HART(log_addr))
#define SAVED(k) M(RBP, HART(log_save) + 8 * (k))

/* Host registers that are neither of these. */
static void
borrow(struct lower *l, int not, int nor, int out[2])
{
    int n = 0;
    for (int r = RAX; n < 2; r++) {
        if (r != not && r != nor && r != RSP && r != RBP) {
            x_rm(&l->x, X_STORE, true, r, SAVED(n));
            out[n++] = r;
        }
    }
}

static void
give_back(struct lower *l, const int t[2])
{
    x_rm(&l->x, X_MOV, true, t[0], SAVED(0));
    x_rm(&l->x, X_MOV, true, t[1], SAVED(1));
}

void
log_before(struct lower *l, struct mem m)
{
    int t[2];
    if (l->j->lockstep == NULL) {
        return;
    }
    borrow(l, m.base, m.index, t);
    x_rm(&l->x, X_LEA, true, t[0], m);
    x_rm(&l->x, X_STORE, true, t[0], LOG_ADDRESS);
    give_back(l, t);
}

/*
 * The entry is made when the access has not faulted; t[0]: where it is. The last one is not counted but written again and again: nobody
 * has polled for so long.
 */
static void
entry(struct lower *l, unsigned bytes, unsigned kind, const int t[2])
{
    struct x64 *x = &l->x;
    x_store_imm(x, 4, M(t[0], offsetof(struct access, bytes)), (int32_t)bytes);
    if (kind & ACCESS_PAIR) {
        x_rm(x, X_MOV, false, t[1], M(RBP, HART(log_pair)));
        x_rm(x, X_STORE, false, t[1], M(t[0], offsetof(struct access, kind)));
        x_store_imm(x, 4, M(RBP, HART(log_pair)), (int32_t)kind);
    } else {
        x_store_imm(x, 4, M(t[0], offsetof(struct access, kind)), (int32_t)kind);
    }
    x_rm(x, X_MOV, true, t[1], LOG_ADDRESS);
    x_rm(x, X_STORE, true, t[1], M(t[0], offsetof(struct access, at)));
    x_rm(x, X_LEA, true, t[1], M(t[0], sizeof(struct access)));
    x_rm(x, X_CMP, true, t[1], M(RBP, HART(log_end)));
    x_rr(x, X_CMOV | CC_B, true, t[0], t[1]);
    x_rm(x, X_STORE, true, t[0], LOG_AT);
    give_back(l, t);
}

void
log_lr_alone(struct lower *l)
{
    if (l->j->lockstep != NULL) {
        x_store_imm(&l->x, 4, M(RBP, HART(log_pair)), 0);
    }
}

void
log_int(struct lower *l, unsigned bytes, unsigned kind, int r)
{
    int t[2];
    if (l->j->lockstep != NULL) {
        borrow(l, r, NO_REG, t);
        x_rm(&l->x, X_MOV, true, t[0], LOG_AT);
        x_rm(&l->x, X_STORE, true, r, M(t[0], offsetof(struct access, value)));
        entry(l, bytes, kind, t);
    }
}

void
log_constant(struct lower *l, unsigned bytes, int32_t v)
{
    int t[2];
    if (l->j->lockstep != NULL) {
        borrow(l, NO_REG, NO_REG, t);
        x_rm(&l->x, X_MOV, true, t[0], LOG_AT);
        x_store_imm(&l->x, 8, M(t[0], offsetof(struct access, value)), v);
        entry(l, bytes, ACCESS_WRITES, t);
    }
}

void
log_fp(struct lower *l, unsigned bytes, unsigned kind, int x)
{
    int t[2];
    if (l->j->lockstep != NULL) {
        const int value = offsetof(struct access, value);
        borrow(l, NO_REG, NO_REG, t);
        x_rm(&l->x, X_MOV, true, t[0], LOG_AT);
        if (bytes == 8) {
            fp_store_reg(l, x, M(t[0], value));
        } else {
            fp_store_single(l, x, M(t[0], value));
            x_store_imm(&l->x, 4, M(t[0], value + 4), 0);
        }
        entry(l, bytes, kind, t);
    }
}

static void
stub_again(struct lower *l, const struct stub *as, uint8_t *from)
{
    struct stub *s = stub_new(l, STUB_EXIT, from);
    *s = *as;
    s->from = from;
}

/* Enough polls, or hardly any room left. */
void
log_poll(struct lower *l, const struct stub *by)
{
    struct x64 *x = &l->x;
    if (l->j->lockstep == NULL) {
        return;
    }
    x_mi(x, X_I_SUB, false, M(RBP, HART(log_polls)), 1);
    if (by != NULL) {
        const struct stub s = *by;
        stub_again(l, &s, x_jcc(x, CC_S));
        int t[2];
        borrow(l, RAX, NO_REG, t);
        x_rm(x, X_MOV, true, t[0], LOG_AT);
        x_rm(x, X_CMP, true, t[0], M(RBP, HART(log_enough)));
        give_back(l, t);
        stub_again(l, &s, x_jcc(x, CC_AE));
    }
}
