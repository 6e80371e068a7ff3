/*
 * lower.c - IR to x86-64: control flow and exits; lower_int.c and lower_fp.c have the operations, lower_regs.c the registers
 */
#include "engine/lower.h"

#include "engine/keep.h"
#include "engine/profile.h"
#include "engine/record.h"

#include "base/check.h"

#include <string.h>

const struct regmap std_map = {
    .x = {NO_REG, R15, R13, NO_REG, NO_REG, NO_REG, NO_REG, NO_REG, R9, R14, RDI, R10, R11, R8, RSI, RBX,
          NO_REG, NO_REG, R12, NO_REG, NO_REG, NO_REG, NO_REG, NO_REG, NO_REG, NO_REG, NO_REG, NO_REG, NO_REG, NO_REG,
          NO_REG, NO_REG},
    .f = {NO_REG, NO_REG, NO_REG, NO_REG, NO_REG, NO_REG, NO_REG, NO_REG, NO_REG, NO_REG, NO_REG, NO_REG, NO_REG, NO_REG,
          NO_REG, NO_REG, NO_REG, NO_REG, NO_REG, NO_REG, NO_REG, NO_REG, NO_REG, NO_REG, NO_REG, NO_REG, NO_REG, NO_REG,
          NO_REG, NO_REG, NO_REG, NO_REG},
};

/* Exits. */

struct stub *
stub_new(struct lower *l, enum stub_kind k, uint8_t *from)
{
    if (l->n_stubs == STUBS) {
        l->full = true;
        l->n_stubs = 0;
    }
    struct stub *s = &l->stubs[l->n_stubs++];
    *s = (struct stub){.kind = (uint8_t)k, .from = from, .fs = l->fs, .unraised = NO_REG};
    return s;
}

uint64_t
pc_here(const struct lower *l)
{
    return l->r->pcs[l->ir->ins[l->i].gi];
}

void
bail(struct lower *l, uint8_t *from)
{
    struct stub *s = stub_new(l, STUB_EXIT, from);
    s->exit = JX_INTERP;
    s->pc = pc_here(l);
    s->rest = (int16_t)machine_uncounted(l, l->ir->ins[l->i].pos);
    if (l->unraised != 0) {
        s->unraised = (int8_t)use_fp(l, l->unraised);
        s->fmt = l->fk[l->unraised] & FK_SINGLE ? IRF_S : IRF_D;
    }
    l->full |= l->n_fma != 0; /* cannot be: who leaves shows the flags */
}

/* `mov eax, exit; jmp leave`, in the standard convention. */
static void
leave(struct lower *l, uint32_t exit)
{
    x_mov_exit(&l->x, exit);
    x_jmp_fixed(&l->x, l->j->leave);
}

static void
go_exit(struct lower *l, enum jexit_kind kind, uint64_t pc, const struct fstate *fs, int rest)
{
    const uint32_t n = jit_exit_new(l->j, kind, pc);
    if (n == UINT32_MAX) {
        l->full = l->j->no_room = true;
        return;
    }
    l->j->exits[n].nan = fs->nan & fs->dirty;
    l->j->exits[n].single = fs->single & fs->dirty;
    l->j->exits[n].rest = (int16_t)rest;
    shuffle_raw(l, fs->dirty);
    leave(l, n);
}

/* Where the slot of a chain exit leads at first. */
static void
unchained(struct lower *l, uint32_t exit)
{
    struct jexit *x = &l->j->exits[exit];
    x->unchained = *x->slot = (uint64_t)(uintptr_t)x_here(&l->x);
    leave(l, exit);
}

/* Go on at pc, by way of a slot that first leads to the manager. call: and come back behind. */
static void
go_chain(struct lower *l, uint64_t pc, bool call)
{
    if (l->j->machine && machine_is_far(l, pc)) {
        machine_go_far(l, pc, call);
        return;
    }
    const uint32_t n = jit_exit_new(l->j, JX_CHAIN, pc);
    uint64_t *slot = jit_data_new(l->j, 0);
    if (n == UINT32_MAX || slot == NULL) {
        l->full = l->j->no_room = true;
        return;
    }
    l->j->exits[n].slot = slot;
    if (l->j->profile != NULL) {
        count_one(l, jit_data_new(l->j, 0));
    }
    if (call) {
        x_call_mem(&l->x, M_ABS(slot));
        stub_new(l, STUB_UNCHAINED, NULL)->pc = n;
    } else {
        x_jmp_mem(&l->x, M_ABS(slot));
        unchained(l, n);
    }
}

static struct rblock *
block_at(const struct lower *l, uint64_t pc)
{
    for (unsigned k = 0; k < l->r->n_blocks; k++) {
        if (l->r->blocks[k].pc == pc && l->r->blocks[k].label) {
            return &l->r->blocks[k];
        }
    }
    return NULL;
}

static void
fixup(struct lower *l, uint8_t *disp, const struct version *to)
{
    if (l->n_fix == FIXUPS) {
        l->full = true;
        return;
    }
    l->fix[l->n_fix++] = (struct fixup){disp, to};
}

static void
jump_to(struct lower *l, const struct version *to)
{
    if (to->at != NULL) {
        x_jmp_to(&l->x, to->at);
    } else {
        fixup(l, x_jmp(&l->x), to);
    }
}

/* pc: where to go on, as all stands now. A jump that polls has been made, for its link has been written. */
static void
poll(struct lower *l, uint64_t pc)
{
    if (l->j->machine) {
        machine_poll(l, pc, 0);
        return;
    }
    struct stub *s = stub_new(l, STUB_EXIT, x_poll(&l->x));
    s->exit = JX_POLL;
    s->pc = pc;
    log_poll(l, s);
}

/* The version of the block at pc that may be entered with f registers in this state; NULL: none is in the region. */
static struct version *
version_at(const struct lower *l, uint64_t pc, const struct fstate *from)
{
    struct rblock *b = block_at(l, pc);
    const int v = b != NULL ? fstate_version(b, from) : -1;
    return v < 0 ? NULL : &b->v[v];
}

/* Control to pc, inside the region or out of it. */
static void
go(struct lower *l, uint64_t pc, struct fstate fs)
{
    struct version *const to = version_at(l, pc, &fs);
    if (to == NULL) {
        shuffle_out(l, fs);
        go_chain(l, pc, false);
        return;
    }
    fp_settle(l, fs, to->fs);
    jump_to(l, to);
}

static void
go_if(struct lower *l, enum cc cc, uint64_t pc)
{
    struct version *const to = version_at(l, pc, &l->fs);
    if (to == NULL) {
        struct stub *const s = stub_new(l, STUB_CHAIN, x_jcc(&l->x, cc));
        s->pc = pc;
        s->rest = (int16_t)machine_uncounted(l, l->ir->ins[l->i].pos + 1u);
    } else if (((l->fs.nan & ~to->fs.nan) | (l->fs.single & ~to->fs.single)) & l->fs.dirty) {
        stub_new(l, STUB_EDGE, x_jcc(&l->x, cc))->pc = pc;
    } else if (to->at != NULL) {
        x_jcc_to(&l->x, cc, to->at);
    } else {
        fixup(l, x_jcc(&l->x, cc), to);
    }
}

/* What jumps indirectly ends so: the target is in rax, the convention standard. */
static void
go_indirect(struct lower *l, bool call)
{
    struct x64 *x = &l->x;
    if (l->j->machine) {
        machine_jump(l, call);
        return;
    }
    x_mov(x, RCX, RAX);
    x_shift_i(x, X_SHR, true, RCX, 38);
    stub_new(l, STUB_INDIRECT, x_jcc(x, CC_NE));
    x_rm(x, X_MOV, true, RCX, M(RBP, HART(jit_entries)));
    x_rm(x, X_MOV, false, RCX, (struct mem){RCX, RAX, 1, 0});
    x_rm(x, X_ADD, true, RCX, M(RBP, HART(jit_code)));
    x_rr(x, 0xff, false, call ? 2 : 4, RCX);
}

static void
push_link(struct lower *l, uint64_t link, unsigned rd)
{
    if (l->j->machine) {
        machine_push_link(l, rd);
    } else if (link <= INT32_MAX) {
        x_push_guest(&l->x, link);
    } else {
        x_mov_guest(&l->x, RCX, link);
        x_push(&l->x, RCX);
    }
}

/* Behind a call, in the standard convention. pushed: the address is still on the shadow stack. */
static void
come_back(struct lower *l, uint64_t link, bool pushed)
{
    static const struct fstate exact;
    if (pushed && l->j->machine) {
        machine_come_back(l);
    } else if (pushed) {
        x_rm(&l->x, X_LEA, true, RSP, M(RSP, 8));
    }
    struct rblock *const b = block_at(l, link);
    struct version *const to = version_at(l, link, &exact);
    if (to == NULL) {
        go_chain(l, link, false);
        return;
    }
    shuffle_in(l, b);
    /* The block is laid out next, or a jump follows. */
    if (to != &b->v[l->version] || to->at != NULL || b == l->r->blocks || b[-1].first + b[-1].count - 1 != l->ir->ins[l->i].gi) {
        jump_to(l, to);
    }
}

/* In the standard convention, to the address in host register h. */
static void
return_to(struct lower *l, int h)
{
    struct x64 *x = &l->x;
    stub_new(l, STUB_RETURN, x_poll(x))->arg = (uint8_t)h;
    x_rm(x, X_CMP, true, h, M(RSP, 8));
    stub_new(l, STUB_RETURN, x_jcc(x, CC_NE))->arg = (uint8_t)h;
    x_b(x, 0xc3);
}

static void
lower_control(struct lower *l, const struct ir_ins *i)
{
    struct x64 *x = &l->x;
    const uint64_t pc = pc_here(l), link = pc + l->r->insns[i->gi].len;
    const unsigned rd = l->r->insns[i->gi].rd;
    if (l->j->profile != NULL && lower_counted(l, i)) {
        return;
    }
    switch (i->op) {
    case IR_POLL:
        if (l->j->machine) { /* the branch is counted already */
            machine_count_to(l, i->pos + 1u);
            machine_poll(l, pc, -1);
        } else {
            poll(l, pc);
        }
        break;
    case IR_BR:
        if (version_at(l, (uint64_t)i->imm, &l->fs) != NULL) {
            machine_count_to(l, i->pos + 1u);
        }
        if (i->a == l->compared && l->compared_at == x->p && ir_is_const(l->ir, i->b) && l->ir->ins[i->b].imm == 0 &&
            (i->aux == IR_EQ || i->aux == IR_NE)) {
            go_if(l, (enum cc)(l->compared_cc ^ (i->aux == IR_EQ)), (uint64_t)i->imm);
            break;
        }
        go_if(l, compare(l, l->i, (enum ir_op)i->aux, i->a, i->b), (uint64_t)i->imm);
        break;
    case IR_JMP:
        machine_count_to(l, i->pos + 1u);
        if ((uint64_t)i->imm <= pc) {
            poll(l, (uint64_t)i->imm);
        }
        go(l, (uint64_t)i->imm, l->fs);
        break;
    case IR_CALL:
        machine_count_to(l, i->pos + 1u);
        if ((uint64_t)i->imm <= pc) {
            poll(l, (uint64_t)i->imm);
        }
        shuffle_out(l, l->fs);
        push_link(l, link, rd);
        go_chain(l, (uint64_t)i->imm, true);
        come_back(l, link, true);
        break;
    case IR_CALLR:
    case IR_JMPR:
        machine_count_to(l, i->pos + 1u);
        put_int(l, RAX, i->a);
        shuffle_out(l, l->fs);
        log_poll(l, stub_new(l, STUB_INDIRECT, x_poll(x)));
        if (i->op == IR_CALLR) {
            push_link(l, link, rd);
            go_indirect(l, true);
            come_back(l, link, true);
        } else {
            go_indirect(l, false);
        }
        break;
    case IR_RET: {
        machine_count_to(l, i->pos + 1u);
        /* The link register itself: its lowest bit does not count, and the shadow stack holds even addresses. */
        const unsigned g = l->r->insns[i->gi].rs1;
        shuffle_out(l, l->fs);
        int h = std_map.x[g];
        if (h == NO_REG) {
            h = RAX;
            x_rm(x, X_MOV, true, RAX, M(RBP, HART_X(g)));
        }
        log_poll(l, NULL);
        return_to(l, h);
        break;
    }
    case IR_ECALL:
        machine_count_to(l, i->pos);
        shuffle_out(l, l->fs);
        if (l->j->machine) {
            machine_callout(l, pc, &l->r->insns[i->gi]);
        } else {
            x_mov_guest(x, RAX, pc);
            x_call_fixed(x, l->j->callout);
        }
        come_back(l, link, false);
        break;
    case IR_EXIT: {
        static const uint8_t kinds[] = {[IRX_EBREAK] = JX_EBREAK, [IRX_ILLEGAL] = JX_ILLEGAL,
                                        [IRX_FENCE_I] = JX_FENCE_I, [IRX_INTERP] = JX_INTERP};
        go_exit(l, (enum jexit_kind)kinds[i->aux], (uint64_t)i->imm, &l->fs, machine_uncounted(l, i->pos));
        break;
    }
    default:
        l->full = true;
        break;
    }
}

static void
lower_stub(struct lower *l, const struct stub *s)
{
    struct x64 *x = &l->x;
    if (s->from != NULL) {
        x_land(x, s->from);
    }
    switch ((enum stub_kind)s->kind) {
    case STUB_CHAIN:
        if (s->rest != 0) {
            l->counted = 0;
            machine_count_to(l, (unsigned)s->rest);
        }
        shuffle_out(l, s->fs);
        go_chain(l, s->pc, false);
        break;
    case STUB_UNCHAINED:
        unchained(l, (uint32_t)s->pc);
        break;
    case STUB_EXIT:
        if (s->unraised != NO_REG) {
            fp_raise(l, s->fmt, s->unraised);
        }
        go_exit(l, (enum jexit_kind)s->exit, s->pc, &s->fs, s->rest);
        break;
    case STUB_EDGE:
        go(l, s->pc, s->fs);
        break;
    case STUB_WILD:
        fault_for(l, s->pc, &s->fs);
        x_b(x, 0xf4); /* hlt: the host does not let us */
        break;
    case STUB_RETURN:
        x_mov(x, RAX, s->arg);
        x_ri(x, X_I_AND, true, RAX, -2);
        x_jmp_fixed(x, l->j->return_missed);
        break;
    case STUB_INDIRECT:
        x_jmp_fixed(x, l->j->indirect_exit);
        break;
    case STUB_NAN:
        fp_put_nan(l, s->fmt, &s->places);
        x_jmp_to(x, s->back);
        break;
    case STUB_FORGET:
        x_store_imm(x, 1, M(RBP, HART(resv_size)), 0);
        x_jmp_to(x, s->back);
        break;
    case STUB_RESERVE:
        lower_reserve(l, s);
        x_jmp_to(x, s->back);
        break;
    case STUB_MISS:
        machine_miss(l, s);
        break;
    case STUB_CALL:
        x_call_fixed(x, l->j->indirect_exit);
        x_jmp_to(x, s->back);
        break;
    case STUB_SHADOW:
        x_rm(x, X_MOV, true, RSP, M(RBP, HART(jit_sp_top)));
        x_jmp_to(x, s->back);
        break;
    case STUB_FMA:
        fma_stub(l, s);
        x_jmp_to(x, s->back);
        break;
    }
}

static void
lower_unit(struct lower *l)
{
    struct ir *ir = l->ir;
    if ((ir->opts & IROPT_LRSC) && l->j->profile == NULL) { /* a branch less would be counted */
        l->j->stats.pairs += lrsc_join(ir);
    }
    lower_plan(l);
    if (l->j->show & SHOW_IR) {
        show_ir(l->en, l->r, ir);
    }
    memset(l->reg, 0, sizeof l->reg);
    memset(l->freg, 0, sizeof l->freg);
    memset(l->home, 0, sizeof l->home);
    memset(l->fhome, 0, sizeof l->fhome);
    memset(l->spill, 0, sizeof l->spill);
    memset(l->fval, 0, sizeof l->fval);
    l->unraised = l->compared = 0;
    l->n_fma = l->kept = 0;
    for (l->now = 1; l->now <= l->n_order && !l->full; l->now++) {
        const unsigned k = l->order[l->now] & (ORDER_COMMIT - 1u);
        const struct ir_ins *i = &ir->ins[k];
        l->i = k;
        l->lock = l->flock = 0;
        if ((l->j->show & SHOW_ASM) && i->op != IR_NOP && !ir_is_known(l->ir, (ref)k)) {
            show_mark(i->gi, (uint32_t)(x_here(&l->x) - l->start));
        }
        if (!x_room(&l->x, 1024)) {
            l->full = l->j->no_room = true;
            break;
        }
        l->full |= l->pending != 0 && late_syncs(l, i); /* cannot be: late_order() */
        fma_before(l, i);
        switch (i->op) {
        case IR_GET:
            if (l->uses[k] == 0) {
                break;
            }
            if (l->map->x[i->aux] != NO_REG) {
                l->reg[l->map->x[i->aux]] = (ref)k;
            } else {
                l->home[i->aux] = (ref)k;
            }
            break;
        case IR_GETF:
            if (l->uses[k] == 0) {
                break;
            }
            l->fk[k] = (uint8_t)fstate_get(&l->fs, i->aux);
            l->fval[i->aux] = (ref)k;
            if (l->map->f[i->aux] != NO_REG) {
                l->freg[l->map->f[i->aux]] = (ref)k;
            } else {
                l->fhome[i->aux] = (ref)k;
            }
            break;
        case IR_SET:
        case IR_SETF: {
            const uint8_t *at = l->x.p;
            if (i->op == IR_SET && !(l->order[l->now] & ORDER_COMMIT)) {
                lower_written(l, k);
                break;
            }
            lower_set(l, i, i->op == IR_SETF);
            if (l->compared_at == at) { /* moves only */
                l->compared_at = l->x.p;
            }
            if (i->op == IR_SETF) {
                fstate_put(&l->fs, i->aux, l->fk[i->a]);
                l->fval[i->aux] = i->a;
                l->fs.dirty |= 1u << i->aux;
            }
            break;
        }
        case IR_GATE:
            machine_gate(l);
            break;
        case IR_POLL:
        case IR_BR:
        case IR_JMP:
        case IR_JMPR:
        case IR_CALL:
        case IR_CALLR:
        case IR_RET:
        case IR_ECALL:
        case IR_EXIT:
            lower_control(l, i);
            break;
        default:
            if (!twin_arrives(l) && !lower_int(l, i) && !lower_fp(l, i)) {
                l->full = true;
            }
        }
        if (l->n_fma != 0) {
            fma_after(l, i);
        }
    }
    fma_flush(l);
    if (!ir_ends(ir)) {
        machine_count_to(l, ir->pos);
    }
    l->counted = 0;
    ir_reset(ir);
}

/* One version of all blocks, in the order of the layout. */
static void
lower_blocks(struct lower *l, unsigned version)
{
    struct region *r = l->r;
    struct ir *ir = l->ir;
    bool open = false;  /* control reaches the block's end */
    bool falls = false; /* … and goes on with what comes next */
    l->version = version;
    for (unsigned b = 0; b < r->n_blocks && !l->full; b++) {
        struct rblock *k = &r->blocks[b];
        struct version *const v = &k->v[version];
        if (k->label) {
            lower_unit(l);
            if (falls && version_at(l, k->pc, &l->fs) != v) {
                go(l, k->pc, l->fs);
            } else if (falls) {
                fp_settle(l, l->fs, v->fs);
            }
            l->fs = v->fs;
            if (v->used && k->loop) {
                x_align(&l->x, 5);
            }
            v->at = v->used ? l->x.p : NULL;
        }
        if (!v->used) {
            falls = false;
            continue;
        }
        open = true;
        for (unsigned n = k->first; n < k->first + k->count && open; n++) {
            if (!ir_room(ir)) {
                lower_unit(l);
            }
            ir->gi = (uint16_t)n;
            if (r->skips[n] != 0) {
                front_select(ir, &r->insns[n], &r->pcs[n], r->skips[n]);
                n += r->skips[n];
                continue;
            }
            open = front_insn(ir, &r->insns[n], r->pcs[n], k->taken && n + 1 == k->first + k->count);
            ir->pos++;
        }
        for (unsigned q = ir->n; k->again && q-- > 1 && ir->ins[q].gi == ir->gi;) {
            ir->ins[q].op = ir->ins[q].op == IR_POLL ? (uint8_t)IR_NOP : ir->ins[q].op;
        }
        const unsigned end = k->first + k->count - 1;
        const uint64_t behind = r->pcs[end] + r->insns[end].len;
        const uint64_t on = k->taken ? r->pcs[end] + (uint64_t)(int64_t)r->insns[end].imm : behind;
        const bool next = b + 1 < r->n_blocks && r->blocks[b + 1].pc == on;
        falls = open && next;
        if (open && !next) {
            ir->pos--; /* it counts as the last instruction does */
            ir_emit(ir, IR_JMP, 0, 0, 0, 0, (int64_t)on);
            ir->pos++;
        } else if (!open && !next) {
            lower_unit(l);
        }
    }
    lower_unit(l);
}

/* In the standard convention: a host routine, and back to who has called it; or behind this. */
static void
call_routine(struct lower *l)
{
    struct x64 *x = &l->x;
    x_rm(x, X_MOV, true, RAX, M(RBP, HART(jit_hle)));
    x_call_mem(x, M(RAX, 8 * (int)l->r->hle));
    uint8_t *const not_done = x_jcc(x, CC_B);
    x_mov(x, std_map.x[10], RAX);
    return_to(l, std_map.x[1]);
    x_land(x, not_done);
}

/* What has been emitted becomes a translation. moved: it was made for so far away, and is brought to its place. */
static struct translation *
finish(struct lower *l, struct translation *made, uint64_t moved)
{
    struct jit *j = l->j;
    struct region *r = l->r;
    struct span spans[REGION_BLOCKS + 1];
    made->n_faults = l->n_faults;
    made->n_insns = r->n_insns;
    made->faults = l->faults;
    made->map = l->map;
    if (l->n_recipes > 1) {
        memset(l->recipes + l->n_recipes, 0, RECIPE_PAD);
        made->recipes = l->recipes;
        made->n_recipes = l->n_recipes + RECIPE_PAD;
    }
    made->n_exits = j->n_exits - made->first_exit;
    made->n_data = (uint32_t)(j->data_top - made->data);
    made->spans = spans;
    made->n_spans = r->n_blocks;
    for (unsigned b = 0; b < r->n_blocks; b++) {
        const unsigned end = r->blocks[b].first + r->blocks[b].count - 1;
        spans[b] = (struct span){r->blocks[b].pc, r->pcs[end] + r->insns[end].len};
    }
    if (r->hle != 0) {
        spans[made->n_spans++] = (struct span){r->pc, r->pc + r->hle_bytes};
        made->hle = (uint8_t)r->hle;
    }
    made->hash = jit_region_hash(r);
    if (moved == 0) {
        struct translation *const t = jit_publish(l->en, made, &l->x, r->epoch);
        if (t != NULL) {
            keep_note(l->en, r, made, &l->x);
        }
        return t;
    }
    region_move(r, 0 - moved);
    struct record *rec = j->record;
    if (record_make(l->en, r, made, &l->x, rec, RECORD_MAX) == 0) {
        return NULL;
    }
    rec->check = record_check(rec);
    CHECK(record_is_sound(rec, RECORD_MAX));
    j->top += 48; /* it was here */
    return record_fits(l->en, rec, r->pc) ? record_load(l->en, rec, r->pc, r->epoch) : NULL;
}

struct translation *
jit_lower(struct engine *en, struct region *r)
{
    struct jit *j = en->jit;
    struct lower *l = j->lower;
    l->en = en;
    l->j = j;
    l->r = r;
    l->ir = j->ir;
    l->ir->opts = j->opts; /* each time: a child of fork finds zeros here */
    l->ir->machine = j->machine != NULL;
    l->full = false;
    l->fs = (struct fstate){0};
    l->counted = 0;
    l->n_fix = l->n_stubs = l->n_faults = l->n_tests = l->n_fma = 0;
    l->pending = l->last_recipe = 0;
    l->n_recipes = 1; /* 0: none */
    l->waits = r->tier == 2 && (~l->ir->opts & (IROPT_LATE | IROPT_TRUST)) == 0;
    l->map = r->tier == 1 ? &std_map : &r->map;
    const uint64_t moved = region_elsewhere(j, r);
    region_move(r, moved);
    l->temps = 0xffffu & ~(1u << RSP | 1u << RBP);
    l->ftemps = 0xffffu & ~(1u << XMM_ONES);
    for (int g = 0; g < 32; g++) {
        if (l->map->x[g] != NO_REG) {
            l->temps &= ~(1u << l->map->x[g]);
        }
        if (l->map->f[g] != NO_REG) {
            l->ftemps &= ~(1u << l->map->f[g]);
        }
    }
    struct translation *t = jit_begin(j, &l->x, r->tier);
    if (t == NULL) {
        return NULL;
    }
    const unsigned exits = t->first_exit = j->n_exits;
    uint64_t *const data = t->data = j->data_top;
    l->start = t->code = x_here(&l->x);
    t->pc = r->pc;
    t->tier = (uint8_t)r->tier;
    if (r->hle != 0) {
        call_routine(l);
    }
    if (r->tier == 1) {
        t->counter = &j->counts[j->n_by_addr];
        *t->counter = j->hot2;
        if (j->profile != NULL) {
            *t->counter = INT32_MAX;
            count_one(l, jit_data_new(j, 0));
            x_mi(&l->x, X_I_ADD, true, M(RBP, HART(instret)), (int32_t)r->n_insns);
        } else {
            x_mi(&l->x, X_I_SUB, false, M_COUNT(t->counter), 1);
            struct stub *s = stub_new(l, STUB_EXIT, x_jcc(&l->x, CC_S));
            s->exit = JX_HOT;
            s->pc = r->pc;
        }
    }
    if (j->show & SHOW_TEXT) {
        show_region(en, r);
    }
    shuffle_in(l, &r->blocks[0]);
    ir_reset(l->ir);
    const unsigned first = r->blocks[0].v[0].used ? 0 : 1;
    lower_blocks(l, first);
    if (r->tier == 2) {
        lower_blocks(l, first ^ 1);
    }
    if (j->show & SHOW_ASM) {
        show_mark(SHOW_EXITS, (uint32_t)(x_here(&l->x) - l->start));
    }
    for (unsigned k = 0; k < l->n_stubs && !l->full; k++) {
        if (!x_room(&l->x, 1024)) {
            l->full = l->j->no_room = true;
            break;
        }
        lower_stub(l, &l->stubs[k]);
    }
    for (unsigned k = 0; k < l->n_fix && !l->full; k++) {
        x_land_at(l->fix[k].disp, l->fix[k].to->at);
    }
    if (l->full) {
        goto full;
    }
    t = finish(l, t, moved);
    if (t != NULL) {
        j->stats.bytes += t->size;
        j->stats.insns += t->n_insns;
        if (j->profile != NULL) {
            profile_note(en, r, t);
        }
        if (t->tier == 1) {
            j->stats.blocks++;
        } else {
            j->stats.regions++;
        }
        if (j->show & SHOW_ASM) {
            show_asm(en, r, t);
        }
        return t;
    }
full:
    j->n_exits = exits;
    j->data_top = data;
    return NULL;
}
