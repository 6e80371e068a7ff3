/*
 * region.c - what to translate together, and which guest registers to keep in host registers there
 *
 * A region grows from a block whose count ran out, along the edges that the counters of tier 1's blocks show to be hot: both
 * arms of a branch if both are. It is laid out along its heaviest paths, so that the usual successor follows without a jump
 * and shares its predecessor's values.
 */
#include "engine/hle.h"

#include "engine/interp_ops.h"

#include <string.h>

/* Blocks that run this many times less often than the head stay out. */
#define COLD_FRACTION 24
#define LOOP_TURNS 8 /* how often a loop is thought to turn … */
#define LOOP_DEPTH 4 /* … and how many count, one inside another */
#define UNROLL_INSNS 24 /* a loop of one block that is no longer stands twice: half the polls, and what one turn makes the next knows */
#define AGAIN_INSNS 100 /* a region with f registers in homes that is no longer may be part of others */
#define SELECT_INSNS 2 /* so few instructions that a branch jumps over are done without it, if neither way is more often than … */
#define SELECT_RATIO 8 /* … so many times the other */
#define UNROLLED 32 /* at most: REGION_BLOCKS is twice what region_grow() makes */

static uint16_t
half(const struct engine *en, uint64_t pc)
{
    uint16_t v;
    memcpy(&v, (const void *)(uintptr_t)(pc + en->cfg.guest_base), 2);
    return v;
}

static bool
fetch(struct engine *en, struct hart *h, uint64_t pc, struct insn *out, uint32_t *word)
{
    if (en->jit->machine != NULL) {
        const uint8_t *const page = machine_page(en->jit, pc);
        uint32_t w = (uint32_t)page[pc & 4095] | (uint32_t)page[(pc & 4095) + 1] << 8;
        if (insn_len(w) == 4) {
            if ((pc & 4095) == 4094) { /* it lies in two pages: the interpreter's */
                return false;
            }
            w |= (uint32_t)page[(pc & 4095) + 2] << 16 | (uint32_t)page[(pc & 4095) + 3] << 24;
        }
        isa_decode(w, h->exts, out);
        *word = w;
        return true;
    }
    if (!code_page_is_exec(en, pc)) {
        return false;
    }
    uint32_t w = half(en, pc);
    if (insn_len(w) == 4) {
        if (!code_page_is_exec(en, pc + 2)) {
            return false;
        }
        w |= (uint32_t)half(en, pc + 2) << 16;
    }
    w = en->debug != NULL ? debug_word(en, pc, w) : w;
    isa_decode(w, h->exts, out);
    *word = w;
    return true;
}

static bool
is_branch(const struct insn *i)
{
    return i->op >= OP_beq && i->op <= OP_bgeu;
}

bool
region_ends_block(const struct insn *i)
{
    switch (i->op) {
    case OP_ILLEGAL: case OP_jal: case OP_jalr: case OP_ecall: case OP_ebreak: case OP_fence_i:
        return true;
    default:
        return is_branch(i);
    }
}

/* Control comes back behind what is called out for: a system call of a program; of a machine all that is not translated. */
static bool
is_called_out(const struct region *r, const struct insn *i)
{
    return r->machine ? !front_is_inline_machine(i) : i->op == OP_ecall;
}

static bool
ends_block(const struct region *r, const struct insn *i)
{
    return region_ends_block(i) || is_called_out(r, i);
}

static uint32_t
count_of(struct jit *j, uint64_t pc)
{
    const struct translation *t = jit_find(j, pc);
    if (t == NULL || t->pc != pc) {
        return 0;
    }
    if (t->tier == 2) {
        return j->hot2;
    }
    const int32_t left = (int32_t)__atomic_load_n(t->counter, __ATOMIC_RELAXED);
    return left < 0 ? j->hot2 : j->hot2 - (uint32_t)left;
}

static bool
has_words(const struct region *r, const struct insn *i)
{
    return r->machine ? i->op != OP_ILLEGAL : front_is_inline(i);
}

/* It writes an integer register, and takes a cycle or two. */
static bool
is_plain(const struct insn *i)
{
    switch (i->op) {
    case OP_lui: case OP_addi: case OP_slti: case OP_sltiu: case OP_xori: case OP_ori: case OP_andi: case OP_slli: case OP_srli: case OP_srai:
    case OP_add: case OP_sub: case OP_sll: case OP_slt: case OP_sltu: case OP_xor: case OP_srl: case OP_sra: case OP_or: case OP_and:
    case OP_addiw: case OP_slliw: case OP_srliw: case OP_sraiw: case OP_addw: case OP_subw: case OP_sllw: case OP_srlw: case OP_sraw:
        return true;
    default:
        return false;
    }
}

/*
 * The region's last instruction is a branch, of block b. If it jumps over few plain instructions, and as often does as does not, which the host
 * cannot foretell, they become part of the block: whose compiler had conditional moves would have written it so. Returns how many they are.
 */
static unsigned
select_behind(struct engine *en, struct hart *h, struct region *r, struct rblock *b, unsigned max)
{
    struct jit *j = en->jit;
    const unsigned at = r->n_insns - 1;
    const struct insn *const branch = &r->insns[at];
    const uint64_t behind = r->pcs[at] + branch->len, there = r->pcs[at] + (uint64_t)(int64_t)branch->imm;
    if (!(j->opts & IROPT_SELECT) || j->profile != NULL || !is_branch(branch) || there <= behind || there - behind > 4 * SELECT_INSNS) {
        return 0;
    }
    const uint64_t not_taken = count_of(j, behind), taken = count_of(j, there);
    if (not_taken == 0 || taken == 0 || not_taken > SELECT_RATIO * taken || taken > SELECT_RATIO * not_taken) {
        return 0;
    }
    uint64_t pc = behind;
    unsigned n = 0;
    for (; pc != there && n < SELECT_INSNS && at + 1 + n < REGION_INSNS && b->count + n < max; n++) {
        struct insn *const i = &r->insns[at + 1 + n];
        if (!fetch(en, h, pc, i, &r->words[at + 1 + n]) || !is_plain(i) || i->rd == 0) {
            return 0;
        }
        r->pcs[at + 1 + n] = pc;
        r->skips[at + 1 + n] = 0;
        pc += i->len;
    }
    if (pc != there) {
        return 0;
    }
    r->skips[at] = (uint8_t)n;
    r->n_insns += n;
    b->count += n;
    j->stats.selected++;
    return n;
}

/* Append the block at pc; `leaders`: it also ends where another begins. */
static bool
append(struct engine *en, struct hart *h, struct region *r, uint64_t pc, unsigned max, bool leaders)
{
    if (r->n_blocks == REGION_BLOCKS) {
        return false;
    }
    struct rblock *b = &r->blocks[r->n_blocks];
    *b = (struct rblock){.pc = pc, .first = r->n_insns, .v[0].used = true};
    const uint64_t page = r->pc / 4096; /* a machine's region does not leave it */
    while (b->count < max && r->n_insns < REGION_INSNS) {
        if (r->machine && pc / 4096 != page) {
            break;
        }
        struct insn *i = &r->insns[r->n_insns];
        if (b->count > 0 && leaders) {
            bool known = count_of(en->jit, pc) > en->jit->hot2 / COLD_FRACTION;
            for (unsigned k = 0; k < r->n_blocks && !known; k++) {
                known = r->blocks[k].pc == pc;
            }
            if (known) {
                break;
            }
        }
        if (!fetch(en, h, pc, i, &r->words[r->n_insns]) || (b->count > 0 && !has_words(r, i))) {
            break;
        }
        if (b->count == 0 && (!has_words(r, i) || i->op == OP_ILLEGAL)) {
            return false; /* the interpreter's */
        }
        r->skips[r->n_insns] = 0;
        r->pcs[r->n_insns++] = pc;
        b->count++;
        pc += i->len;
        if (ends_block(r, i)) {
            const unsigned skips = leaders ? select_behind(en, h, r, b, max) : 0;
            if (skips == 0) {
                break;
            }
            pc = r->pcs[r->n_insns - 1] + r->insns[r->n_insns - 1].len;
        }
    }
    if (b->count == 0) {
        return false;
    }
    r->n_blocks++;
    return true;
}

bool
region_block(struct engine *en, struct hart *h, uint64_t pc)
{
    struct region *r = en->jit->region;
    r->pc = pc;
    r->epoch = code_epoch(en);
    r->tier = 1;
    r->machine = en->jit->machine != NULL;
    r->n_blocks = r->n_insns = 0;
    r->hle = hle_at(en, pc, r->hle_code, &r->hle_bytes);
    return append(en, h, r, pc, 64, false);
}

/* The places that a block goes to, as far as the code says: behind it, or where its branch or jump leads; 0 for none. */
struct edges {
    uint64_t behind, taken;
};

static struct edges
edges_of(const struct region *r, const struct rblock *b)
{
    const unsigned end = b->first + b->count - 1;
    const struct insn *i = &r->insns[end];
    const uint64_t behind = r->pcs[end] + i->len, to = r->pcs[end] + (uint64_t)(int64_t)i->imm;
    const bool link = i->rd == 1 || i->rd == 5;
    if (is_branch(i)) {
        return (struct edges){behind, to};
    }
    switch (i->op) {
    case OP_jal:
        return link ? (struct edges){behind, 0} : (struct edges){0, to};
    case OP_jalr:
        return link ? (struct edges){behind, 0} : (struct edges){0, 0};
    case OP_ILLEGAL: case OP_ebreak: case OP_fence_i:
        return is_called_out(r, i) ? (struct edges){behind, 0} : (struct edges){0, 0};
    default:
        return (struct edges){behind, 0};
    }
}

static int
index_of(const struct region *r, uint64_t pc)
{
    for (unsigned k = 0; k < r->n_blocks; k++) {
        if (r->blocks[k].pc == pc) {
            return (int)k;
        }
    }
    return -1;
}

/* Does control come back behind it, in the standard convention? */
static bool
is_call(const struct region *r, const struct rblock *b)
{
    const struct insn *i = &r->insns[b->first + b->count - 1];
    return is_called_out(r, i) || ((i->op == OP_jal || i->op == OP_jalr) && (i->rd == 1 || i->rd == 5));
}

/* Sets `succ` and `calls`, which count the blocks as they stand. */
static void
find_successors(struct region *r)
{
    for (unsigned k = 0; k < r->n_blocks; k++) {
        struct rblock *const b = &r->blocks[k];
        const struct edges e = edges_of(r, b);
        b->succ[0] = (int16_t)(e.behind != 0 ? index_of(r, e.behind) : -1);
        b->succ[1] = (int16_t)(e.taken != 0 ? index_of(r, e.taken) : -1);
        b->calls = is_call(r, b);
    }
}

/*
 * In how many loops each block stands. A loop is what reaches one of the jumps back to its head without the head; a jump back goes
 * to a block that the walk from the entry is still inside of. (Counters say little of it: they stop where the block is hot enough.)
 */
static void
loop_depths(struct region *r, uint8_t *depth)
{
    uint8_t state[REGION_BLOCKS] = {0}, tried[REGION_BLOCKS] = {0}; /* 1: on the path, 2: done */
    uint8_t path[REGION_BLOCKS], back[REGION_BLOCKS][2] = {{0}};
    unsigned n = 0;
    path[n++] = 0;
    state[0] = 1;
    while (n > 0) {
        const unsigned k = path[n - 1];
        if (tried[k] == 2) {
            state[k] = 2;
            n--;
            continue;
        }
        const unsigned s = tried[k]++;
        const int to = r->blocks[k].succ[s];
        if (to >= 0 && state[to] == 0) {
            state[to] = 1;
            path[n++] = (uint8_t)to;
        } else if (to >= 0 && state[to] == 1) {
            back[k][s] = 1;
        }
    }
    memset(depth, 0, r->n_blocks);
    for (unsigned head = 0; head < r->n_blocks; head++) {
        bool in[REGION_BLOCKS] = {false}, any = false;
        for (unsigned k = 0; k < r->n_blocks; k++) {
            for (unsigned s = 0; s < 2; s++) {
                if (back[k][s] && r->blocks[k].succ[s] == (int)head) {
                    in[k] = any = true;
                }
            }
        }
        in[head] = r->blocks[head].loop = any;
        for (bool grown = any; grown;) {
            grown = false;
            for (unsigned k = 0; k < r->n_blocks; k++) {
                for (unsigned s = 0; s < 2 && !in[k]; s++) {
                    const int to = r->blocks[k].succ[s];
                    if (to >= 0 && to != (int)head && in[to]) {
                        in[k] = grown = true;
                    }
                }
            }
        }
        for (unsigned k = 0; k < r->n_blocks; k++) {
            depth[k] = (uint8_t)(depth[k] + in[k]);
        }
    }
}

/* A loop of one block whose turns have nothing to do with one another, as far as they are atomic. */
static bool
can_unroll(const struct region *r, const struct rblock *b, int self)
{
    if (b->succ[1] != self || b->count > UNROLL_INSNS || !is_branch(&r->insns[b->first + b->count - 1])) {
        return false;
    }
    for (unsigned k = b->first; k < b->first + b->count; k++) {
        switch (r->insns[k].op) {
        case OP_lr_w: case OP_lr_d: case OP_sc_w: case OP_sc_d:
            return false;
        default:
            break;
        }
    }
    return true;
}

/* Order the blocks: after each the heaviest of its successors that has no place yet. Sets `taken` and `label`. */
static void
lay_out(struct region *r, const uint32_t *weight, bool unroll)
{
    static struct rblock placed[REGION_BLOCKS];
    bool done[REGION_BLOCKS] = {false};
    unsigned n = 0, unrolled = 0;
    for (int at = 0; at >= 0;) {
        struct rblock b = r->blocks[at];
        const int behind = b.succ[0], taken = b.succ[1];
        done[at] = true;
        int next = -1;
        if (behind >= 0 && !done[behind]) {
            next = behind;
        }
        if (taken >= 0 && !done[taken] && (next < 0 || weight[taken] > weight[next])) {
            next = taken;
        }
        b.taken = next >= 0 && next == taken && is_branch(&r->insns[b.first + b.count - 1]) && next != behind;
        if (unroll && unrolled < UNROLLED && can_unroll(r, &b, at)) {
            placed[n] = b;
            placed[n].taken = placed[n].again = true;
            n++;
            unrolled++;
            b.loop = false;
        }
        placed[n++] = b;
        if (next < 0) {
            for (unsigned k = 0; k < r->n_blocks; k++) {
                if (!done[k] && (next < 0 || weight[k] > weight[next])) {
                    next = (int)k;
                }
            }
        }
        at = next;
    }
    memcpy(r->blocks, placed, n * sizeof placed[0]);
    r->n_blocks = n;
    for (unsigned k = 0; k < n; k++) {
        r->blocks[k].label = k == 0;
    }
    find_successors(r);
    for (unsigned k = 0; k < n; k++) {
        if (r->blocks[k].again) {
            r->blocks[k].succ[1] = (int16_t)(k + 1);
        }
    }
    for (unsigned k = 0; k < n; k++) {
        const struct rblock *b = &r->blocks[k];
        for (unsigned s = 0; s < 2; s++) {
            const int to = b->succ[s];
            const bool falls = to == (int)k + 1 && !b->calls && b->taken == s && b->succ[0] != b->succ[1];
            if (to >= 0 && !falls) {
                r->blocks[to].label = true;
            }
        }
    }
}

/* How often each guest register is read and written; the busiest get a host register. */
static void
assign(struct engine *en, struct region *r, const uint64_t *pcs, const uint32_t *weights, unsigned n, uint64_t crossings)
{
    struct ir *ir = en->jit->ir;
    static uint8_t owner[IR_LIMIT];
    uint64_t x[32] = {0}, f[32] = {0};
    for (unsigned k = 0; k < r->n_blocks; k++) {
        const struct rblock *b = &r->blocks[k];
        uint64_t w = 1;
        for (unsigned q = 0; q < n; q++) {
            if (pcs[q] == b->pc) {
                w = weights[q];
            }
        }
        if (b->calls) {
            crossings += w;
        }
        ir_reset(ir);
        for (unsigned i = b->first; i < b->first + b->count && ir_room(ir); i++) {
            if (r->skips[i] != 0) {
                front_select(ir, &r->insns[i], &r->pcs[i], r->skips[i]);
                i += r->skips[i];
                continue;
            }
            front_insn(ir, &r->insns[i], r->pcs[i], b->taken);
        }
        /* Each use of a value counts for the register that holds it, and each write. */
        memset(owner, 0, ir->n);
        for (unsigned i = 1; i < ir->n; i++) {
            const struct ir_ins *o = &ir->ins[i];
            const bool set = o->op == IR_SET || o->op == IR_SETF;
            const ref args[3] = {o->a, o->b, o->c};
            for (unsigned a = 0; a < ir_args[o->op] && !set; a++) {
                const ref v = args[a];
                (ir_class[ir->ins[v].op] == IRC_FP ? f : x)[owner[v]] += ir_is_known(ir, v) ? 0 : w;
            }
            if (set) {
                (o->op == IR_SETF ? f : x)[o->aux] += w;
                owner[o->a] = o->aux;
            } else if (o->op == IR_GET || o->op == IR_GETF) {
                owner[i] = o->aux;
            }
        }
        fstate_block(ir, k);
    }
    x[0] = 0;
    r->map = std_map;
    for (;;) {
        unsigned in = 0, out = 0;
        for (unsigned g = 1; g < 32; g++) {
            if (r->map.x[g] == NO_REG) {
                in = in == 0 || x[g] > x[in] ? g : in;
            } else {
                out = out == 0 || x[g] < x[out] ? g : out;
            }
        }
        if (in == 0 || out == 0 || x[in] <= x[out] + 4 * crossings) {
            break;
        }
        r->map.x[in] = r->map.x[out];
        r->map.x[out] = NO_REG;
    }
    for (int home = FIRST_F_HOME; home < (en->jit->high ? F_REGS : 16); home++) {
        unsigned in = 32;
        for (unsigned g = 0; g < 32; g++) {
            if (r->map.f[g] == NO_REG && (in == 32 || f[g] > f[in])) {
                in = g;
            }
        }
        if (f[in] == 0) {
            break;
        }
        r->map.f[in] = (int8_t)home;
        en->jit->stats.high += home > 15;
    }
}

static bool
has_f_homes(const struct regmap *map)
{
    for (unsigned g = 0; g < 32; g++) {
        if (map->f[g] != NO_REG) {
            return true;
        }
    }
    return false;
}

bool
region_grow(struct engine *en, struct hart *h, struct translation *head)
{
    struct jit *j = en->jit;
    struct region *r = j->region;
    uint32_t weight[REGION_BLOCKS];
    uint64_t pcs[REGION_BLOCKS];
    r->pc = head->pc;
    r->epoch = code_epoch(en);
    r->tier = 2;
    r->machine = j->machine != NULL;
    r->n_blocks = r->n_insns = 0;
    r->hle = hle_at(en, head->pc, r->hle_code, &r->hle_bytes);
    if (!append(en, h, r, head->pc, 256, true)) {
        return false;
    }
    weight[0] = j->hot2;
    /* Breadth first; the heaviest edges first within a block. */
    for (unsigned k = 0; k < r->n_blocks && r->n_blocks < 64 && r->n_insns < 1000; k++) {
        const struct edges e = edges_of(r, &r->blocks[k]);
        for (unsigned s = 0; s < 2; s++) {
            const uint64_t pc = s == 0 ? e.behind : e.taken;
            if (pc == 0 || index_of(r, pc) >= 0 || (r->machine && pc / 4096 != r->pc / 4096)) {
                continue;
            }
            uint32_t c = count_of(j, pc);
            const bool split = pc == e.behind && !ends_block(r, &r->insns[r->blocks[k].first + r->blocks[k].count - 1]);
            if (split && c == 0) {
                c = weight[k];
            }
            if (c <= j->hot2 / COLD_FRACTION) {
                continue;
            }
            /*
             * What has a region goes on there: once more in this one it would only take room in the host's caches. Not so if it has
             * f registers in homes and is short: the way there makes them exact, writes them and reads them again. (All of them: two and a
             * half times the code of programs that are large, and 5 to 10 % of their time.) A host routine is never part of another.
             */
            const struct translation *have = jit_find(j, pc);
            if (have != NULL && (have->hle || (have->tier == 2 && (have->n_insns > AGAIN_INSNS || !has_f_homes(have->map))))) {
                continue;
            }
            const unsigned n = r->n_blocks;
            if (append(en, h, r, pc, 256, true)) {
                weight[n] = c;
            }
        }
    }
    for (unsigned k = 0; k < r->n_blocks; k++) {
        pcs[k] = r->blocks[k].pc;
    }
    const unsigned n = r->n_blocks;
    uint8_t depth[REGION_BLOCKS];
    find_successors(r);
    loop_depths(r, depth);
    const uint32_t entries = depth[0] != 0 ? weight[0] / LOOP_TURNS + 1 : weight[0];
    for (unsigned k = 0; k < n; k++) {
        for (unsigned d = 0; d < depth[k] && d < LOOP_DEPTH; d++) {
            weight[k] *= LOOP_TURNS;
        }
    }
    lay_out(r, weight, (j->opts & IROPT_UNROLL) != 0 && j->profile == NULL);
    j->stats.unrolled += r->n_blocks - n;
    assign(en, r, pcs, weight, n, entries);
    fstate_flow(r, j->opts);
    return true;
}

void
region_move(struct region *r, uint64_t by)
{
    r->pc += by;
    for (unsigned b = 0; b < r->n_blocks; b++) {
        r->blocks[b].pc += by;
    }
    for (unsigned k = 0; k < r->n_insns; k++) {
        r->pcs[k] += by;
    }
}

uint64_t
region_elsewhere(const struct jit *j, const struct region *r)
{
    const uint64_t far = UINT64_C(0x1234560000);
    return j->opts & IROPT_PLACE ? 0 : r->pc < UINT64_C(1) << 30 ? 0x1230000 : r->pc < GUEST_TOP / 2 ? far : 0 - far;
}
