/*
 * gdb_xml.c - the target description: which registers there are
 *
 * Features org.gnu.gdb.riscv.cpu, .fpu, and of a machine .csr and .virtual. Numbers are GDB's own for RISC-V, as QEMU has them: scripts
 * that name them by number go on working.
 */
#include "debug/gdb_impl.h"

#include "isa/isa.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

static const char *const x_names[32] = {
    "zero", "ra", "sp", "gp", "tp",  "t0",  "t1", "t2", "fp", "s1", "a0", "a1", "a2", "a3", "a4", "a5",
    "a6",   "a7", "s2", "s3", "s4",  "s5",  "s6", "s7", "s8", "s9", "s10", "s11", "t3", "t4", "t5", "t6",
};
static const char *const f_names[32] = {
    "ft0", "ft1", "ft2", "ft3", "ft4", "ft5", "ft6", "ft7", "fs0", "fs1", "fa0",  "fa1",  "fa2", "fa3", "fa4",  "fa5",
    "fa6", "fa7", "fs2", "fs3", "fs4", "fs5", "fs6", "fs7", "fs8", "fs9", "fs10", "fs11", "ft8", "ft9", "ft10", "ft11",
};

unsigned
gdb_reg_bytes(unsigned reg)
{
    return reg > GDB_REG_CSR && reg <= GDB_REG_CSR + 3 ? 4 : 8;
}

__attribute__((format(printf, 2, 3))) static void
put(struct gdb *g, const char *format, ...)
{
    va_list ap;
    va_start(ap, format);
    const int n = vsnprintf(g->xml + g->xml_len, GDB_XML_MAX - g->xml_len, format, ap);
    va_end(ap);
    g->xml_len += n > 0 && (size_t)n < GDB_XML_MAX - g->xml_len ? (size_t)n : 0;
}

static void
feature(struct gdb *g, const char *name)
{
    put(g, "<feature name=\"org.gnu.gdb.riscv.%s\">\n", name);
}

static void
reg(struct gdb *g, const char *name, unsigned number, const char *type, const char *group)
{
    put(g, "<reg name=\"%s\" bitsize=\"%u\" regnum=\"%u\" type=\"%s\" group=\"%s\"/>\n", name, gdb_reg_bytes(number) * 8, number, type,
        group);
}

static void
csrs(struct gdb *g)
{
    feature(g, "csr");
    for (size_t i = 0; i < isa_csr_count; i++) {
        const unsigned number = isa_csrs[i].number;
        uint64_t v;
        if (number > 3 && g->ops->reg_read(g->vm, g->ops->thread_next(g->vm, 0), GDB_REG_CSR + number, &v)) {
            reg(g, isa_csrs[i].name, GDB_REG_CSR + number, "int", "csr");
        }
    }
    put(g, "</feature>\n");
    feature(g, "virtual");
    reg(g, "priv", GDB_REG_PRIV, "int", "general");
    put(g, "</feature>\n");
}

void
gdb_make_xml(struct gdb *g)
{
    g->xml = g->xml != NULL ? g->xml : malloc(GDB_XML_MAX);
    if (g->xml == NULL) {
        return;
    }
    g->xml_len = 0;
    put(g, "<?xml version=\"1.0\"?>\n<!DOCTYPE target SYSTEM \"gdb-target.dtd\">\n<target>\n<architecture>riscv:rv64</architecture>\n");
    feature(g, "cpu");
    for (unsigned i = 0; i < 32; i++) {
        reg(g, x_names[i], GDB_REG_X + i, i == 1 ? "code_ptr" : i == 2 || i == 3 || i == 4 || i == 8 ? "data_ptr" : "int", "general");
    }
    reg(g, "pc", GDB_REG_PC, "code_ptr", "general");
    put(g, "</feature>\n");
    feature(g, "fpu");
    put(g, "<union id=\"riscv_double\"><field name=\"float\" type=\"ieee_single\"/><field name=\"double\" type=\"ieee_double\"/></union>\n");
    for (unsigned i = 0; i < 32; i++) {
        reg(g, f_names[i], GDB_REG_F + i, "riscv_double", "float");
    }
    reg(g, "fflags", GDB_REG_CSR + 1, "int", "float");
    reg(g, "frm", GDB_REG_CSR + 2, "int", "float");
    reg(g, "fcsr", GDB_REG_CSR + 3, "int", "float");
    put(g, "</feature>\n");
    if (g->ops->is_machine) {
        csrs(g);
    }
    put(g, "</target>\n");
}
