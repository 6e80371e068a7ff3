/*
 * show.c - translations as text: --dump=blocks,kinds,ir,asm
 *
 *      blocks  where each block of a translation comes from, with the guest's instructions
 *      kinds   of each of these, and of the one that ended a block, whether it is inline or a call-out to the interpreter
 *      ir      the IR under the guest instruction that it belongs to, as the optimiser left it
 *      asm     the bytes that were made for each; `as` takes the text, and `objdump -d` shows what they are
 *
 * The holder of jit->lock writes, a line at a time, so the harts of a process do not mix; processes that share the file may.
 */
#include "engine/lower.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define MARKS (2 * REGION_INSNS)

/* Where the code of a guest instruction begins, in the order of the code; of who holds the lock. */
static struct {
    unsigned n;
    struct {
        uint32_t off;
        uint16_t gi;
    } at[MARKS];
} marks;

uint32_t
engine_show_by_name(const char *name, size_t len)
{
    static const char *const names[] = {"blocks", "kinds", "ir", "asm"};
    for (unsigned k = 0; k < sizeof names / sizeof names[0]; k++) {
        if (strlen(names[k]) == len && memcmp(names[k], name, len) == 0) {
            return 1u << k;
        }
    }
    return 0;
}

bool
engine_is_inline(const struct insn *i)
{
    return front_is_inline(i);
}

static void __attribute__((format(printf, 2, 3)))
line(const struct engine *en, const char *fmt, ...)
{
    char text[512];
    va_list ap;
    va_start(ap, fmt);
    const int n = vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    if (n > 0 && write(en->cfg.tuning.show_fd, text, (size_t)n < sizeof text ? (size_t)n : sizeof text - 1) < 0) {
        en->jit->show = 0; /* nobody listens */
    }
}

static void
guest_line(const struct engine *en, const struct region *r, unsigned gi, const char *kind)
{
    char text[ISA_DISASM_MAX];
    isa_disasm(r->words[gi], r->pcs[gi], ISA_ALL, text);
    for (char *c = text; *c != '\0'; c++) {
        *c = *c == '\t' ? ' ' : *c;
    }
    line(en, "# %10llx  %-*s%s\n", (unsigned long long)r->pcs[gi], kind[0] != '\0' ? 40 : 0, text, kind);
}

static const char *
kind_text(const struct engine *en, const struct insn *i)
{
    return !(en->jit->show & SHOW_KINDS) ? "" : front_is_inline(i) ? "inline" : "call-out";
}

void
show_region(const struct engine *en, const struct region *r)
{
    marks.n = 0;
    line(en, "# translation of %llx, tier %u: %u blocks, %u instructions\n", (unsigned long long)r->pc, r->tier, r->n_blocks,
         r->n_insns);
    if (!(en->jit->show & (SHOW_BLOCKS | SHOW_KINDS))) {
        return;
    }
    for (unsigned k = 0; k < r->n_blocks; k++) {
        const struct rblock *b = &r->blocks[k];
        line(en, "#  block %u at %llx%s%s\n", k, (unsigned long long)b->pc, b->label ? ", jumped to" : "",
             b->taken ? ", goes on where its branch is taken" : "");
        for (unsigned i = b->first; i < b->first + b->count; i++) {
            guest_line(en, r, i, kind_text(en, &r->insns[i]));
        }
    }
}

static void
ir_line(const struct engine *en, const struct ir *ir, unsigned k)
{
    const struct ir_ins *i = &ir->ins[k];
    char text[160];
    int n = snprintf(text, sizeof text, "#    %4u %s", k, ir_names[i->op]);
    if (i->op == IR_GET || i->op == IR_SET || i->op == IR_GETF || i->op == IR_SETF) {
        n += snprintf(text + n, sizeof text - (size_t)n, " %c%u", i->op == IR_GET || i->op == IR_SET ? 'x' : 'f', i->aux);
    } else if (i->op == IR_BR) {
        n += snprintf(text + n, sizeof text - (size_t)n, ".%s", ir_names[i->aux]);
    } else if (i->aux != 0) {
        n += snprintf(text + n, sizeof text - (size_t)n, ".%x", i->aux);
    }
    const ref args[3] = {i->a, i->b, i->c};
    for (unsigned a = 0; a < ir_args[i->op]; a++) {
        if (ir_is_known(ir, args[a])) {
            n += snprintf(text + n, sizeof text - (size_t)n, " %#llx", (unsigned long long)ir->ins[args[a]].imm);
        } else {
            n += snprintf(text + n, sizeof text - (size_t)n, " %%%u", args[a]);
        }
    }
    if (i->imm != 0) {
        snprintf(text + n, sizeof text - (size_t)n, " [%#llx]", (unsigned long long)i->imm);
    }
    line(en, "%s\n", text);
}

void
show_ir(const struct engine *en, const struct region *r, const struct ir *ir)
{
    unsigned gi = REGION_INSNS;
    for (unsigned k = 1; k < ir->n; k++) {
        if (ir->ins[k].op == IR_NOP || ir_is_known(ir, (ref)k)) {
            continue;
        }
        if (ir->ins[k].gi != gi) {
            gi = ir->ins[k].gi;
            guest_line(en, r, gi, "");
        }
        ir_line(en, ir, k);
    }
}

void
show_mark(unsigned gi, uint32_t off)
{
    if (marks.n > 0 && (marks.at[marks.n - 1].gi == gi || marks.n == MARKS)) {
        return;
    }
    marks.at[marks.n].gi = (uint16_t)gi;
    marks.at[marks.n++].off = off;
}

static void
bytes(const struct engine *en, const struct translation *t, uint32_t from, uint32_t to)
{
    for (uint32_t at = from; at < to;) {
        char text[16 * 5 + 1];
        int n = 0;
        const uint32_t first = at;
        for (; at < to && at < first + 16; at++) {
            n += snprintf(text + n, sizeof text - (size_t)n, "%s0x%02x", n != 0 ? "," : "", t->code[at]);
        }
        line(en, "\t.byte %s\n", text);
    }
}

void
show_asm(const struct engine *en, const struct region *r, const struct translation *t)
{
    line(en, "# code at %p, %u bytes\n", (void *)t->code, t->size);
    bytes(en, t, 0, marks.n != 0 ? marks.at[0].off : t->size);
    for (unsigned k = 0; k < marks.n; k++) {
        if (marks.at[k].gi == SHOW_EXITS) {
            line(en, "# exits\n");
        } else {
            guest_line(en, r, marks.at[k].gi, "");
        }
        bytes(en, t, marks.at[k].off, k + 1 < marks.n ? marks.at[k + 1].off : t->size);
    }
}
