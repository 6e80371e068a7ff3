/*
 * fstate.c - what f registers hold besides exactly the guest's bits
 *
 * The host's arithmetic makes other NaNs than RISC-V's one, and knows nothing of boxes around singles. Neither matters to more
 * arithmetic: a NaN in gives a NaN out, and a scalar operation looks at its half only. So results stay as the host makes them until
 * somebody can see their bits: a store, a move to an integer register, a sign injection, an operation of the other format, an exit,
 * a fault. What was loaded or moved in has any payload and keeps it: that is why the state is tracked, and never guessed.
 *
 *      state      the home holds                             a label where two of them meet
 *      exact      the guest's 64 bits                        exact, if one of them is
 *      nan        … but a NaN stands for the canonical one   nan, if the other is nan or canon
 *      canon      … no NaN but the canonical one             canon, if both are
 *      single     the guest's low half; above it, anything   single, if both are; with nan and canon as above
 *
 * From nan to exact costs a comparison, from single to exact a merge; from exact there is no way back. So that a loop does not have to
 * make each round what only its first one needs, a block may be there twice: once for who comes from outside, with exact registers, and
 * once as it finds registers when everything around it has been inside before (the state a loop keeps by itself). An edge goes to the
 * second wherever its state allows.
 */
#include "engine/lower.h"

#include "isa/fpbits.h"

static struct sym {
    uint8_t kind; /* if it is no copy */
    uint8_t copy; /* 1 + the f register that it was at the block's begin, or 0 */
    bool single;  /* … and was seen to be boxed */
} summary[REGION_BLOCKS][32]; /* of who holds the lock */
static uint32_t reads[REGION_BLOCKS], writes[REGION_BLOCKS];

#define TWICE_INSNS 400 /* longer regions have one version of each block */

static unsigned
constant(const struct ir *ir, ref r, unsigned fmt)
{
    const bool nan = !ir_is_const(ir, r) || fp_is_nan(fmt, (uint64_t)ir->ins[r].imm);
    return nan ? 0 : FK_CANON | FK_NUM;
}

unsigned
fstate_made(const struct ir *ir, const struct ir_ins *i, const uint8_t *kinds)
{
    const unsigned single = (i->aux & 1) == IRF_S ? FK_SINGLE : 0;
    const unsigned a = kinds[i->a];
    switch (i->op) {
    case IR_FADD: case IR_FSUB: case IR_FMUL: case IR_FDIV: case IR_FSQRT: case IR_FMADD: case IR_FTOF:
        return FK_NAN | single;
    case IR_FMIN: case IR_FMAX: case IR_ITOF: /* NaNs are the interpreter's */
        return FK_CANON | FK_NUM | single;
    case IR_FSGNJX:
        if (i->a == i->b) { /* the absolute value of the canonical NaN is itself */
            return single == 0 && (a & FK_SINGLE) != 0 ? 0 : a | single;
        }
        /* fallthrough */
    case IR_FSGNJ: case IR_FSGNJN: case IR_FNEG:
        return single | ((a & FK_NUM) != 0 && (a & FK_SINGLE) == single ? FK_CANON | FK_NUM : 0u);
    case IR_LOADF:
        return i->aux == IRT_U32 ? FK_SINGLE : 0;
    case IR_BOX:
        return FK_SINGLE | constant(ir, i->a, SF_S);
    case IR_MOVFX:
        return constant(ir, i->a, SF_D);
    default:
        return 0;
    }
}

unsigned
fstate_get(const struct fstate *fs, unsigned g)
{
    return (fs->nan >> g & 1 ? FK_NAN : 0) | (fs->single >> g & 1 ? FK_SINGLE : 0) | (fs->canon >> g & 1 ? FK_CANON : 0) |
           (fs->num >> g & 1 ? FK_NUM : 0);
}

static void
put(uint32_t *bits, unsigned g, bool on)
{
    *bits = (*bits & ~(1u << g)) | (uint32_t)on << g;
}

void
fstate_put(struct fstate *fs, unsigned g, unsigned kind)
{
    put(&fs->nan, g, kind & FK_NAN);
    put(&fs->single, g, kind & FK_SINGLE);
    put(&fs->canon, g, kind & FK_CANON);
    put(&fs->num, g, kind & FK_NUM);
}

void
fstate_block(const struct ir *ir, unsigned block)
{
    static struct sym values[IR_LIMIT];
    static uint8_t kinds[IR_LIMIT]; /* of copies the least that may be said */
    ref now[32] = {0};
    reads[block] = writes[block] = 0;
    for (unsigned k = 1; k < ir->n; k++) {
        const struct ir_ins *i = &ir->ins[k];
        values[k] = (struct sym){0};
        kinds[k] = 0;
        if (i->op == IR_GETF) {
            values[k].copy = (uint8_t)(i->aux + 1);
            now[i->aux] = (ref)k;
            reads[block] |= 1u << i->aux; /* GETF is of what nothing in the block has written */
        } else if (i->op == IR_SETF) {
            now[i->aux] = i->a;
            writes[block] |= 1u << i->aux;
        } else if (i->op == IR_UNBOX) {
            if (values[i->a].copy != 0 && (ir->opts & IROPT_BOX)) {
                values[i->a].single = true;
                kinds[i->a] = FK_SINGLE;
            }
        } else if (ir_class[i->op] == IRC_FP) {
            unsigned kind = fstate_made(ir, i, kinds);
            if ((kind & FK_SINGLE) != 0 && (ir->opts & IROPT_BOX) == 0) {
                kind = 0;
            } else if ((kind & FK_NAN) != 0 && (ir->opts & IROPT_NAN) == 0) {
                kind ^= FK_NAN | FK_CANON;
            }
            kinds[k] = values[k].kind = (uint8_t)kind;
        }
    }
    for (unsigned g = 0; g < 32; g++) {
        summary[block][g] = now[g] != 0 ? values[now[g]] : (struct sym){.copy = (uint8_t)(g + 1)};
    }
}

/* The bits of one where the mask says so, else of the other. */
static uint32_t
choose(uint32_t mask, uint32_t a, uint32_t b)
{
    return (a & mask) | (b & ~mask);
}

static struct fstate
meet(struct fstate a, struct fstate b)
{
    const uint32_t same = ~(a.single ^ b.single);
    struct fstate m = {
        .nan = same & ((a.nan & (b.nan | b.canon)) | (b.nan & a.canon)),
        .single = a.single & b.single,
        .canon = same & a.canon & b.canon,
        .num = same & a.num & b.num,
        .top = a.top & b.top,
        .dirty = a.dirty | b.dirty,
    };
    m.nan = choose(a.top, b.nan, choose(b.top, a.nan, m.nan));
    m.single = choose(a.top, b.single, choose(b.top, a.single, m.single));
    m.canon = choose(a.top, b.canon, choose(b.top, a.canon, m.canon));
    m.num = choose(a.top, b.num, choose(b.top, a.num, m.num));
    return m;
}

/* Behind a block that is entered so. */
static struct fstate
behind(unsigned block, struct fstate in)
{
    struct fstate out = {.dirty = in.dirty | writes[block]};
    for (unsigned g = 0; g < 32; g++) {
        const struct sym *s = &summary[block][g];
        unsigned kind = s->kind;
        if (s->copy != 0) {
            kind = fstate_get(&in, s->copy - 1u);
            if (s->single && (kind & FK_SINGLE) == 0) {
                kind = FK_SINGLE;
            } else {
                put(&out.top, g, in.top >> (s->copy - 1) & 1);
            }
        }
        fstate_put(&out, g, kind);
    }
    return out;
}

/* Whoever may write a register back has to have it, whichever way he came. */
static void
find_live(struct region *r)
{
    for (unsigned k = 0; k < r->n_blocks; k++) {
        r->blocks[k].live = 0;
    }
    for (bool changed = true; changed;) {
        changed = false;
        for (unsigned k = r->n_blocks; k-- > 0;) {
            struct rblock *b = &r->blocks[k];
            uint32_t live = 0;
            for (unsigned s = 0; s < 2 && !b->calls; s++) {
                live |= b->succ[s] >= 0 ? r->blocks[b->succ[s]].live : 0;
            }
            live = (live & ~writes[k]) | reads[k] | b->v[0].fs.dirty | b->v[1].fs.dirty;
            changed |= live != b->live;
            b->live = live;
        }
    }
}

/* May a label that asks for `to` be entered so, with nothing but canonical NaNs and boxes to be made? */
static bool
reaches(const struct fstate *from, const struct fstate *to)
{
    return ((to->nan & ~(from->nan | from->canon)) | (to->single & ~from->single) | (to->canon & ~(from->canon | from->nan)) |
            (to->num & ~from->num) | (from->dirty & ~to->dirty)) == 0;
}

int
fstate_version(const struct rblock *b, const struct fstate *from)
{
    return b->v[1].used && reaches(from, &b->v[1].fs) ? 1 : b->v[0].used && reaches(from, &b->v[0].fs) ? 0 : -1;
}

/* What is at the labels of a loop once everything that comes from outside has been written anew: if that may be assumed at all. */
static void
assume_steady(struct region *r)
{
    uint32_t dirty[REGION_BLOCKS] = {0}; /* by any way there is */
    for (bool changed = true; changed;) {
        changed = false;
        for (unsigned k = 0; k < r->n_blocks; k++) {
            const struct rblock *b = &r->blocks[k];
            for (unsigned s = 0; s < 2 && !b->calls; s++) {
                if (b->succ[s] >= 0) {
                    const uint32_t all = dirty[b->succ[s]] | dirty[k] | writes[k];
                    changed |= all != dirty[b->succ[s]];
                    dirty[b->succ[s]] = all;
                }
            }
        }
    }
    for (unsigned k = 0; k < r->n_blocks; k++) {
        r->blocks[k].v[1].fs = (struct fstate){.top = UINT32_MAX, .dirty = dirty[k]};
    }
    for (bool changed = true; changed;) {
        changed = false;
        for (unsigned k = 0; k < r->n_blocks; k++) {
            const struct rblock *b = &r->blocks[k];
            const struct fstate out = behind(k, b->v[1].fs);
            for (unsigned s = 0; s < 2 && !b->calls; s++) {
                if (b->succ[s] >= 0) {
                    struct fstate *const to = &r->blocks[b->succ[s]].v[1].fs, in = meet(*to, out);
                    changed |= memcmp(&in, to, sizeof in) != 0;
                    *to = in;
                }
            }
        }
    }
    for (unsigned k = 0; k < r->n_blocks; k++) {
        struct fstate *const fs = &r->blocks[k].v[1].fs;
        fs->nan &= ~fs->top;
        fs->single &= ~fs->top;
        fs->canon &= ~fs->top;
        fs->num &= ~fs->top;
        fs->top = 0;
    }
}

void
fstate_flow(struct region *r, unsigned opts)
{
    static const struct fstate exact; /* who enters or comes back brings this */
    for (unsigned k = 0; k < r->n_blocks; k++) {
        r->blocks[k].v[0] = r->blocks[k].v[1] = (struct version){0};
    }
    const bool twice = (opts & IROPT_TWICE) != 0 && r->n_insns <= TWICE_INSNS;
    if (twice) {
        assume_steady(r);
    }
    r->blocks[0].v[twice && reaches(&exact, &r->blocks[0].v[1].fs)].used = true;
    for (bool changed = true; changed;) {
        changed = false;
        for (unsigned n = 0; n < 2 * r->n_blocks; n++) {
            const struct rblock *b = &r->blocks[n / 2];
            if (!b->v[n & 1].used) {
                continue;
            }
            const struct fstate out = b->calls ? exact : behind(n / 2, b->v[n & 1].fs);
            for (unsigned s = 0; s < 2; s++) {
                if (b->succ[s] < 0) {
                    continue;
                }
                struct rblock *to = &r->blocks[b->succ[s]];
                const unsigned v = to->label ? twice && reaches(&out, &to->v[1].fs) : n & 1;
                const struct fstate in = v == 1 ? to->v[1].fs : to->v[0].used ? meet(to->v[0].fs, out) : out;
                if (!to->v[v].used || memcmp(&in, &to->v[v].fs, sizeof in) != 0) {
                    to->v[v].fs = in;
                    to->v[v].used = changed = true;
                }
            }
        }
    }
    find_live(r);
}

HOT void
fstate_settle(struct hart *h, uint32_t nan, uint32_t single)
{
    for (uint32_t left = nan | single; left != 0; left &= left - 1) {
        const unsigned g = (unsigned)__builtin_ctz(left);
        const unsigned fmt = single >> g & 1 ? SF_S : SF_D;
        uint64_t v = h->f[g];
        if (nan >> g & 1 && fp_is_nan(fmt, v)) {
            v = fp_nan(fmt);
        }
        h->f[g] = fmt == SF_S ? fp_box(SF_S, v) : v;
    }
}
