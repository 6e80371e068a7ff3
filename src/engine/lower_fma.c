/*
 * lower_fma.c - the one flag that the host's fused multiply-add does not raise
 *
 * Infinity times zero raises invalid in RISC-V even if the addend is a quiet NaN; the host then only passes the NaN on. So the result
 * of a multiply-add is tested for a NaN, but not at once: what arithmetic makes of a NaN is a NaN, so the last value that was computed
 * from it ("carrier") will do, and one comparison tests two of them. Until then both factors stay in their registers. Where there is a
 * NaN, out of line, the factors are multiplied once more, for the flag alone.
 *
 * Whatever can look at the flags comes after the test: fma_before() is asked at each instruction.
 */
#include "engine/lower.h"

#include "engine/fp_ops.h"

static uint32_t
register_of(const struct lower *l, ref r)
{
    for (unsigned k = 0; k < F_REGS; k++) {
        if (l->freg[k] == r) {
            return 1u << k;
        }
    }
    return 0;
}

static struct fma_test *
test_new(struct lower *l, unsigned fmt, ref a, ref b)
{
    if (l->n_tests == FMA_TESTS) {
        l->full = true;
        l->n_tests = 0;
    }
    struct fma_test *t = &l->tests[l->n_tests++];
    *t = (struct fma_test){.fmt = (uint8_t)fmt};
    struct stub *s = fp_nan_test(l, fmt, use_fp(l, a), use_fp(l, b));
    s->kind = STUB_FMA;
    s->pc = l->n_tests - 1;
    t->places[0] = fp_places(l, a);
    t->places[1] = fp_places(l, b);
    return t;
}

void
fma_settle(struct lower *l, unsigned fmt, int a, int b)
{
    if (l->n_tests == FMA_TESTS) {
        l->full = true;
        l->n_tests = 0;
    }
    l->tests[l->n_tests++] = (struct fma_test){.fmt = (uint8_t)fmt, .places = {{.regs = 1u << a}, {.regs = 1u << b}}};
    struct stub *s = fp_nan_test(l, fmt, a, b);
    s->kind = STUB_FMA;
    s->pc = l->n_tests - 1;
}

void
fma_flush(struct lower *l)
{
    l->flock |= l->kept & l->ftemps;
    while (l->n_fma != 0 && !l->full) {
        /* One carrier, and another of the same format if there is one. */
        const ref a = l->fma[0].carrier;
        const unsigned fmt = l->ir->ins[a].aux & 1;
        ref b = a;
        for (unsigned k = 1; k < l->n_fma && b == a; k++) {
            b = (l->ir->ins[l->fma[k].carrier].aux & 1) == fmt ? l->fma[k].carrier : a;
        }
        struct fma_test *t = test_new(l, fmt, a, b);
        unsigned left = 0;
        for (unsigned k = 0; k < l->n_fma; k++) {
            const struct fma *f = &l->fma[k];
            if (f->carrier == a || f->carrier == b) {
                t->fmas[t->n++] = *f;
            } else {
                l->fma[left++] = *f;
            }
        }
        l->n_fma = left;
        fp_made_canonical(l, a);
        fp_made_canonical(l, b);
    }
    l->n_fma = 0;
    l->kept = 0;
}

/* The value of a store, and that of the next one with it, if that is known already. */
void
fp_canonical_stores(struct lower *l, ref r)
{
    const struct ir *ir = l->ir;
    if ((l->fk[r] & FK_NAN) == 0 || (ir->opts & IROPT_FMA) == 0) {
        fp_canonical(l, r);
        return;
    }
    for (unsigned k = l->i + 1; k < ir->n && k < l->i + 16; k++) {
        const struct ir_ins *i = &ir->ins[k];
        const ref v = i->b;
        switch (i->op) {
        case IR_STORE:
            if (v < l->i && v != r && l->fk[v] == l->fk[r] && ir_class[ir->ins[v].op] == IRC_FP && register_of(l, v) != 0) {
                test_new(l, l->fk[r] & FK_SINGLE ? IRF_S : IRF_D, r, v);
                fp_made_canonical(l, r);
                fp_made_canonical(l, v);
                return;
            }
            break;
        case IR_NOP: case IR_GET: case IR_GETF: case IR_SET: case IR_SETF: case IR_LOAD: case IR_LOADF:
            break;
        default:
            k = ir_pure[i->op] ? k : ir->n;
        }
    }
    fp_canonical(l, r);
}

/* In the stub: invalid, if the product of the factors is. Other flags, and both registers, are left as they are. */
static void
raise_invalid(struct lower *l, const struct fma *f)
{
    struct x64 *x = &l->x;
    const struct mem before = M(RBP, HART(jit_scratch)), now = M(RBP, HART(jit_scratch) + 4);
    const struct mem save = M(RBP, HART(jit_spill) + 8 * SPILLS); /* one more than values are spilled to */
    x_rm(x, X_0F | 0xae, false, 3, before); /* stmxcsr */
    fp_store_reg(l, f->a, save);
    x_var(x, X_P(f->fmt == IRF_S ? 0xf3 : 0xf2) | X_0F | 0x59, false, f->fmt == IRF_D, f->a, f->a, f->b);
    fp_load_reg(l, f->a, save);
    x_rm(x, X_0F | 0xae, false, 3, now);
    x_mi(x, X_I_AND, false, now, 1); /* invalid is the lowest bit of both */
    uint8_t *const none = x_jcc(x, CC_E);
    x_mi(x, X_I_OR, false, before, 1);
    x_land(x, none);
    x_rm(x, X_0F | 0xae, false, 2, before); /* ldmxcsr */
}

void
fma_stub(struct lower *l, const struct stub *s)
{
    const struct fma_test *t = &l->tests[s->pc];
    for (unsigned k = 0; k < t->n; k++) {
        raise_invalid(l, &t->fmas[k]);
    }
    for (unsigned k = 0; k < 2; k++) {
        const struct places *p = &t->places[k];
        fp_test_nan(l, t->fmt, __builtin_ctz(p->regs));
        uint8_t *const over = x_jcc(&l->x, CC_NP);
        fp_put_nan(l, t->fmt, p);
        x_land(&l->x, over);
    }
}

static bool
is_arithmetic(const struct ir_ins *i)
{
    switch (i->op) {
    case IR_FADD: case IR_FSUB: case IR_FMUL: case IR_FDIV: case IR_FSQRT: case IR_FMADD: case IR_FTOF:
        return true;
    default:
        return false;
    }
}

static bool
is_operand(const struct ir_ins *i, ref r)
{
    const unsigned n = ir_args[i->op];
    return i->a == r || (n > 1 && i->b == r) || (n > 2 && i->c == r);
}

/* Would the instruction overwrite what a test needs, but for a carrier that it passes on? Or are there too few registers? */
static bool
in_the_way(const struct lower *l, const struct ir_ins *i)
{
    const unsigned set = i->op == IR_SETF ? l->i : ir_class[i->op] == IRC_FP ? l->set_at[l->i] : 0;
    const int home = set != 0 ? l->map->f[l->ir->ins[set].aux] : NO_REG;
    uint32_t busy = l->kept, carriers = 0;
    for (unsigned k = 0; k < l->n_fma; k++) {
        carriers |= register_of(l, l->fma[k].carrier);
        if (!(is_arithmetic(i) && is_operand(i, l->fma[k].carrier))) {
            busy |= register_of(l, l->fma[k].carrier);
        }
    }
    if (home != NO_REG && (busy >> home & 1) && !(i->op == IR_SETF && l->freg[home] == i->a)) {
        return true;
    }
    /* The result, or a factor that it takes the place of; operands that are in memory, or in scratch registers already. */
    unsigned needs = 1 + (home == NO_REG && i->op == IR_FMADD && (i->c == i->a || i->c == i->b));
    uint32_t locked = l->kept | carriers;
    const ref args[3] = {i->a, i->b, i->c};
    for (unsigned k = 0; k < ir_args[i->op]; k++) {
        const uint32_t at = register_of(l, args[k]);
        needs += at == 0;
        locked |= at;
    }
    locked &= l->ftemps;
    return (unsigned)(__builtin_popcount(l->ftemps) - __builtin_popcount(locked)) < needs;
}

void
fma_before(struct lower *l, const struct ir_ins *i)
{
    if (l->n_fma == 0) {
        return;
    }
    bool wait = is_arithmetic(i);
    switch (i->op) {
    case IR_NOP: case IR_GET: case IR_GETF: case IR_SET:
        return;
    case IR_SETF:
        wait = true;
        break;
    case IR_FLT: case IR_FLE:
        wait = !l->calm[l->i];
        break;
    case IR_UNBOX:
        wait = l->fk[i->a] & FK_SINGLE;
        break;
    case IR_MOVXF:
        break;
    default:
        if (ir_pure[i->op] && ir_class[i->op] == IRC_INT) {
            return;
        }
    }
    if (!wait || in_the_way(l, i)) {
        fma_flush(l);
        l->flock = 0;
        return;
    }
    l->flock = l->kept;
    for (unsigned k = 0; k < l->n_fma; k++) {
        l->flock |= register_of(l, l->fma[k].carrier);
    }
    l->flock &= l->ftemps;
}

void
fma_after(struct lower *l, const struct ir_ins *i)
{
    const bool raises = (i->op == IR_FLT || i->op == IR_FLE) && !l->calm[l->i]; /* for any NaN */
    unsigned left = 0;
    l->kept = 0;
    for (unsigned k = 0; k < l->n_fma; k++) {
        struct fma f = l->fma[k];
        const bool operand = f.carrier != l->i && is_operand(i, f.carrier);
        if (operand && raises) {
            continue;
        }
        if (operand && is_arithmetic(i)) {
            f.carrier = (ref)l->i;
        }
        l->kept |= 1u << f.a | 1u << f.b;
        l->fma[left++] = f;
    }
    l->n_fma = left;
    if (left == FMAS || (left != 0 && (l->ir->opts & IROPT_FMA) == 0)) {
        fma_flush(l);
    }
}

void
fma_new(struct lower *l, unsigned fmt, int a, int b)
{
    l->fma[l->n_fma++] = (struct fma){.carrier = (ref)l->i, .a = (int8_t)a, .b = (int8_t)b, .fmt = (uint8_t)fmt};
}
