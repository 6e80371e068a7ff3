/*
 * lower_machine.c - what translated code of a machine does otherwise: addresses, accesses, jumps between pages, counting
 *
 * A translation is of a piece of RAM, in one page; guest addresses in the IR are distances from the start of RAM. Where that page is for
 * the hart that executes it, hart->jit.page says, and whoever comes from another page writes. So one translation serves every
 * address space and mode.
 *
 *      access   lea k, [m] · index of k · tag of k, with the hart's key · cmp with the entry ──ne──► STUB_MISS
 *               mov c, addend                                                                            │ call machine_missed()
 *               mov d, [c + m]                                                                           ▼ back, or leave
 *
 *      jump     in the page: a slot, as ever                 to another: hart->jit.jumps[hash of the address], or the manager
 *
 * Instructions are counted where an extended block ends or leaves: hart->jit.left goes down. What an exit has not counted itself the
 * manager does, for the exit knows how many.
 */
#include "engine/lower.h"

#include "engine/system_impl.h"

#include "base/check.h"

#include <string.h>

#define MHART(field) ((int)offsetof(struct mhart, field) - HART_BIAS)
#define LEFT M(RBP, MHART(jit.left))
#define PAGE M(RBP, MHART(jit.page))
#define VA M(RBP, MHART(jit.va))

/* Counting. */
int
machine_uncounted(const struct lower *l, unsigned pos)
{
    return l->j->machine ? (int)pos - (int)l->counted : 0;
}

void
machine_count_to(struct lower *l, unsigned pos)
{
    if (l->j->machine && pos != l->counted) {
        x_mi(&l->x, X_I_SUB, true, LEFT, (int32_t)(pos - l->counted));
        l->counted = pos;
    }
}

/* Everything that goes on for ever comes by one of these. rest: as much will be given back to it. */
static struct stub *
poll_left(struct lower *l, enum stub_kind kind, int rest)
{
    x_mi(&l->x, X_I_CMP, true, LEFT, rest);
    return stub_new(l, kind, x_jcc(&l->x, CC_LE));
}

void
machine_poll(struct lower *l, uint64_t pc, int rest)
{
    if (machine_is_far(l, pc)) { /* machine_go_far() does it */
        return;
    }
    for (unsigned k = 0; k < 2; k++) {
        struct stub *const s = k == 0 ? poll_left(l, STUB_EXIT, rest) : stub_new(l, STUB_EXIT, x_poll(&l->x));
        s->exit = JX_POLL;
        s->pc = pc;
        s->rest = (int16_t)rest;
    }
}

/* Addresses. */
bool
machine_is_far(const struct lower *l, uint64_t pc)
{
    return (pc ^ l->r->pc) / 4096 != 0;
}

void
machine_address(struct lower *l, int reg, uint64_t pc)
{
    int64_t off = (int64_t)(pc - (l->r->pc & ~UINT64_C(4095)));
    x_rm(&l->x, X_MOV, true, reg, PAGE);
    while (off != 0) { /* auipc reaches 2 GiB, and what is added to it a little more */
        const int32_t piece = off > INT32_MAX ? INT32_MAX : off < INT32_MIN ? INT32_MIN : (int32_t)off;
        x_rm(&l->x, X_LEA, true, reg, M(reg, piece));
        off -= piece;
        if (off > INT32_MAX * INT64_C(16) || off < INT32_MIN * INT64_C(16)) {
            l->full = true;
            return;
        }
    }
}

/* Jumps. The convention is standard. rax: where to, an even address. By the jump cache; gives the jump that is taken if it is not there. */
static uint8_t *
by_cache(struct x64 *x, bool call)
{
    static_assert(sizeof(struct jump) == 16 && offsetof(struct jump, code) == 8, "twice the index times 8");
    x_mov(x, RCX, RAX);
    x_shift_i(x, X_SHR, true, RCX, JUMP_SHIFT);
    x_rr(x, X_XOR, false, RCX, RAX);
    x_ri(x, X_I_AND, false, RCX, JUMP_MASK);
    x_rm(x, X_MOV, true, RDX, M(RBP, MHART(jit.jumps)));
    x_rm(x, X_CMP, true, RAX, (struct mem){RDX, RCX, 3, 0});
    uint8_t *const missed = x_jcc(x, CC_NE);
    x_ri(x, X_I_AND, true, RAX, -4096);
    x_rm(x, X_STORE, true, RAX, PAGE);
    x_rm(x, 0xff, false, call ? 2 : 4, (struct mem){RDX, RCX, 3, 8});
    return missed;
}

void
machine_jump(struct lower *l, bool call)
{
    struct x64 *x = &l->x;
    struct stub *const polled = poll_left(l, call ? STUB_CALL : STUB_INDIRECT, 0);
    struct stub *const missed = stub_new(l, call ? STUB_CALL : STUB_INDIRECT, by_cache(x, call));
    if (!l->full) {
        polled->back = missed->back = x->p;
    }
}

void
machine_go_far(struct lower *l, uint64_t pc, bool call)
{
    machine_address(l, RAX, pc);
    struct stub *const s = stub_new(l, call ? STUB_CALL : STUB_INDIRECT, x_poll(&l->x));
    const unsigned n = (unsigned)(s - l->stubs);
    machine_jump(l, call);
    l->stubs[n].back = l->x.p;
}

/* The link register has been written. */
void
machine_push_link(struct lower *l, unsigned rd)
{
    struct x64 *x = &l->x;
    x_rm(x, X_CMP, true, RSP, M(RBP, MHART(jit.low)));
    struct stub *const s = stub_new(l, STUB_SHADOW, x_jcc(x, CC_B));
    s->back = x->p;
    if (std_map.x[rd] != NO_REG) {
        x_push(x, std_map.x[rd]);
    } else {
        x_rm(x, 0xff, false, 6, M(RBP, HART_X(rd)));
    }
}

/* The address that control came back to is on the shadow stack: what is before it is in this page. */
void
machine_come_back(struct lower *l)
{
    x_pop(&l->x, RAX);
    x_ri(&l->x, X_I_SUB, true, RAX, 1);
    x_ri(&l->x, X_I_AND, true, RAX, -4096);
    x_rm(&l->x, X_STORE, true, RAX, PAGE);
}

void
machine_gate(struct lower *l)
{
    struct x64 *x = &l->x;
    x_head(x, 0x80, false, X_I_CMP, NO_REG, RBP, false); /* cmp byte [p.fp_gate], 0 */
    x_modrm_mem(x, X_I_CMP, M(RBP, MHART(p.fp_gate)), 1);
    x_b(x, 0);
    bail(l, x_jcc(x, CC_NE));
}

/* What has no translation: the monitor does it. Nothing of it is counted yet. */
void
machine_callout(struct lower *l, uint64_t pc, const struct insn *i)
{
    struct insn in = *i;
    uint64_t words[(sizeof in + 7) / 8] = {0}, *at = NULL;
    interp_x0(&in);
    memcpy(words, &in, sizeof in);
    for (unsigned k = 0; k < ARRAY_LEN(words); k++) { /* they stand side by side */
        uint64_t *const word = jit_data_new(l->j, words[k]);
        at = k == 0 ? word : at;
        if (word == NULL) {
            l->full = l->j->no_room = true;
            return;
        }
    }
    x_mov_imm(&l->x, RAX, pc & 4095);
    x_rm(&l->x, X_LEA, true, RCX, M_ABS(at));
    x_call_fixed(&l->x, l->j->step);
}

/* Accesses. */

/* index: of the TLB's entry for the address in register va, times its size. */
static void
entry_of(struct lower *l, int index, int va)
{
    x_mov(&l->x, index, va);
    x_shift_i(&l->x, X_SHR, true, index, 8);
    x_ri(&l->x, X_I_AND, false, index, (TLB_ENTRIES - 1) * (int)sizeof(struct tlb_entry));
}

/* The address in register va becomes the tag that it must find, and is compared with the one there is. */
static struct stub *
ask(struct lower *l, int index, int va, unsigned size, bool store)
{
    struct x64 *x = &l->x;
    const int table = store ? MHART(t.store) : MHART(t.load);
    x_ri(x, X_I_AND, true, va, -4096 | ((1 << size) - 1));
    x_rm(x, X_OR, true, va, M(RBP, MHART(t.data_key)));
    x_rm(x, X_CMP, true, va, (struct mem){RBP, (int8_t)index, 0, table + (int)offsetof(struct tlb_entry, tag)});
    struct stub *const s = stub_new(l, STUB_MISS, x_jcc(x, CC_NE));
    s->pc = l->n_faults;
    s->fmt = (uint8_t)(size | (unsigned)store << 2);
    s->arg = (uint8_t)va;
    fault_for(l, pc_here(l), &l->fs);
    l->full |= l->n_fma != 0;
    s->rest = (int16_t)machine_uncounted(l, l->ir->ins[l->i].pos);
    x_rm(x, X_MOV, true, index, (struct mem){RBP, (int8_t)index, 0, table + (int)offsetof(struct tlb_entry, addend)});
    return s;
}

struct mem
lower_ram(struct lower *l, const struct ir_ins *i, unsigned size, bool store)
{
    struct x64 *x = &l->x;
    const struct amode *a = &l->amodes[l->i];
    struct mem m = M(NO_REG, i->imm);
    static_assert(sizeof(struct tlb_entry) == 16, "entry_of()");
    if (a->base != 0) {
        m = (struct mem){.base = (int8_t)use_int(l, a->base), .index = NO_REG, .scale = a->scale, .disp = a->disp};
        if (a->index != 0) { /* the sum in one register: the host's address has the entry's addend in the other */
            m.index = (int8_t)use_int(l, a->index);
            const int t = temp_int(l);
            x_rm(x, X_LEA, true, t, m);
            l->lock &= ~(1u << m.base | 1u << m.index);
            m = M(t, 0);
        }
    } else {
        m.base = (int8_t)use_int(l, i->a);
    }
    const int index = temp_int(l), va = temp_int(l);
    uint8_t *const back = x->p;
    if (m.disp == 0) {
        x_mov(x, va, m.base);
    } else {
        x_rm(x, X_LEA, true, va, m);
    }
    entry_of(l, index, va);
    struct stub *const s = ask(l, index, va, size, store);
    s->at = m;
    s->back = back;
    l->lock &= ~(1u << va);
    return (struct mem){.base = (int8_t)index, .index = m.base, .scale = 0, .disp = m.disp};
}

/*
 * For locked instructions one register has all of the address, and no more than one other is free: hart->jit.va has it meanwhile. One
 * that has been claimed, and is the first, will do.
 */
struct mem
lower_ram_atomic(struct lower *l, const struct ir_ins *i, unsigned size, bool store)
{
    struct x64 *x = &l->x;
    const int va = temp_int(l);
    const bool claimed = (l->lock >> RAX & 1) != 0 && l->reg[RAX] == 0 && va != RAX;
    const int index = claimed ? RAX : temp_int(l);
    put_int(l, va, i->a);
    x_rm(x, X_STORE, true, va, VA);
    uint8_t *const back = x->p;
    entry_of(l, index, va);
    struct stub *const s = ask(l, index, va, size, store);
    s->at = M(NO_REG, 0);
    s->back = back;
    x_rm(x, X_MOV, true, va, VA);
    x_rr(x, X_ADD, true, va, index);
    if (!claimed) {
        l->lock &= ~(1u << index);
    }
    return M(va, 0);
}

void
machine_miss(struct lower *l, const struct stub *s)
{
    struct x64 *x = &l->x;
    if (s->at.base != NO_REG) {
        x_rm(x, X_LEA, true, s->arg, s->at);
        x_rm(x, X_STORE, true, s->arg, VA);
    }
    x_store_imm(x, 4, M(RBP, MHART(jit.rest)), s->rest);
    x_call_fixed(x, l->j->miss[s->fmt]);
    l->faults[s->pc].off = (uint32_t)(x_here(x) - l->start) & INT32_MAX;
    if (s->at.base == NO_REG) {
        x_rm(x, X_MOV, true, s->arg, VA);
    }
    x_jmp_to(x, s->back);
}

/* Trampolines. */

/* rax: where to, the shadow stack is empty. */
void
machine_return(const struct jit *j, struct x64 *x)
{
    x_mi(x, X_I_CMP, true, LEFT, 0);
    x_land_at(x_jcc(x, CC_LE), j->indirect_exit - x->delta);
    x_land_at(by_cache(x, false), j->indirect_exit - x->delta);
}

/* An instruction of the monitor's: machine_perform(). out: to the monitor, all is in memory; eax: the exit. */
static void
step_trampoline(struct jit *j, struct x64 *x, const uint8_t *out)
{
    j->step = x_here(x);
    x_rm(x, X_OR, true, RAX, PAGE);
    x_rm(x, X_STORE, true, RAX, M(RBP, HART(pc)));
    x_rm(x, X_STORE, true, RCX, M(RBP, MHART(jit.insn)));
    jit_std_homes(x, true);
    x_rm(x, X_STORE, true, RSP, M(RBP, HART(jit_sp)));
    x_rm(x, X_MOV, true, RSP, M(RBP, HART(jit_host_sp)));
    x_rm(x, X_LEA, true, RDI, M(RBP, -HART_BIAS));
    x_ri(x, X_I_SUB, true, RSP, 8);
    x_call_mem(x, M(RBP, MHART(jit.step)));
    x_ri(x, X_I_CMP, true, RAX, STEP_BACK);
    x_land_at(x_jcc(x, CC_B), out);
    uint8_t *const back = x_jcc(x, CC_E);
    for (unsigned k = 0; k < 2; k++) {
        x_rm(x, X_MOV, true, RSP, M(RBP, HART(jit_sp)));
        x_rr(x, X_P(0x66) | X_0F | 0x76, false, XMM_ONES, XMM_ONES);
        jit_std_homes(x, false);
        if (k == 0) {
            x_rr(x, 0xff, false, 4, RAX);
            x_land(x, back);
        }
    }
    x_b(x, 0xc3);
}

/* An access without an entry: all registers to memory, machine_missed(), and back with all of them or out. leaves: to the monitor. */
void
machine_trampolines(struct jit *j, struct x64 *x, const uint8_t *leaves)
{
    uint8_t *to[8];
    step_trampoline(j, x, leaves);
    for (unsigned k = 0; k < 8; k++) {
        j->miss[k] = x_here(x);
        x_store_imm(x, 4, M(RBP, MHART(jit.miss)), (int32_t)k);
        to[k] = x_jmp(x);
    }
    for (unsigned k = 0; k < 8; k++) {
        x_land(x, to[k]);
    }
    for (int r = RAX; r <= R15; r++) {
        if (r != RSP && r != RBP) {
            x_rm(x, X_STORE, true, r, M(RBP, MHART(jit.regs) + 8 * r));
        }
    }
    for (int r = 0; r < 16; r++) {
        x_rm(x, X_0F | 0x11, false, r, M(RBP, MHART(jit.xmm) + 16 * r)); /* movups */
    }
    x_rm(x, X_STORE, true, RSP, M(RBP, HART(jit_sp)));
    x_rm(x, X_MOV, true, RSP, M(RBP, HART(jit_host_sp)));
    x_rm(x, X_LEA, true, RDI, M(RBP, -HART_BIAS));
    x_ri(x, X_I_SUB, true, RSP, 8);
    x_call_mem(x, M(RBP, MHART(jit.missed)));
    x_rr(x, X_TEST, false, RAX, RAX);
    x_land_at(x_jcc(x, CC_NE), leaves);
    x_rm(x, X_MOV, true, RSP, M(RBP, HART(jit_sp)));
    for (int r = 0; r < 16; r++) {
        x_rm(x, X_0F | 0x10, false, r, M(RBP, MHART(jit.xmm) + 16 * r));
    }
    for (int r = RAX; r <= R15; r++) {
        if (r != RSP && r != RBP) {
            x_rm(x, X_MOV, true, r, M(RBP, MHART(jit.regs) + 8 * r));
        }
    }
    x_b(x, 0xc3);
}
