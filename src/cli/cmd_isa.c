/*
 * cmd_isa.c - doppel isa: what doppel knows of RISC-V, as text or JSON, and whether that can be
 * virtualized
 */
#include "cli/cli.h"

#include "engine/engine.h"
#include "isa/isa.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/*
 * The encoding, most significant bit first: 0, 1, or . for an operand. Cut where fields usually
 * meet: 31:25 24:20 19:15 14:12 11:7 6:0, and 15:13 12 11:7 6:2 1:0.
 */
static void
pattern(const struct insn_row *r, char out[48])
{
    static const uint32_t cut4 = 1u << 25 | 1 << 20 | 1 << 15 | 1 << 12 | 1 << 7;
    static const uint32_t cut2 = 1u << 13 | 1 << 12 | 1 << 7 | 1 << 2;

    for (int b = r->len * 8 - 1; b >= 0; b--) {
        *out++ = !(r->mask >> b & 1) ? '.' : r->match >> b & 1 ? '1' : '0';
        if ((r->len == 4 ? cut4 : cut2) >> b & 1) {
            *out++ = ' ';
        }
    }
    *out = 0;
}

/* Does a row of extension `ext` (plain or combined) belong to the extension that was asked for? */
static bool
wanted(const char *only, unsigned ext)
{
    if (only == NULL || strcasecmp(isa_ext_name(ext), only) == 0) {
        return true;
    }
    for (unsigned p = 0; p < EXT_COUNT; p++) {
        if (strcasecmp(isa_ext_name(p), only) == 0 && (isa_ext_members(ext) >> p & 1)) {
            return true;
        }
    }
    return false;
}

static void
dotted(const char *name, char out[32])
{
    snprintf(out, 32, "%s", name);
    for (char *c = out; *c != 0; c++) {
        *c = *c == '_' ? '.' : *c;
    }
}

static const char *
shown_ext(unsigned ext)
{
    const char *name = isa_ext_name(ext);
    return name[0] != 0 ? name : ext == EXT_RV32 ? "rv32" : ext == EXT_DEBUG ? "debug" : "priv";
}

/* How the translator has a row of user mode, with operands as they usually are: rounding by frm. */
static const char *
kind_of(const struct insn_row *r)
{
    const unsigned fmt = isa_rows[r->op - 1].fmt;
    if (fmt == FMT_CSR || fmt == FMT_CSRI) {
        return "by CSR   ";
    }
    return engine_is_inline(&(struct insn){.op = r->op, .rm = 7, .len = r->len}) ? "inline   " : "call-out ";
}

static unsigned
list_insns(const char *only, bool json, bool kinds)
{
    unsigned shown = 0;
    for (size_t i = 0; i < isa_row_count; i++) {
        const struct insn_row *r = &isa_rows[i];
        char bits[48], name[32];
        if (!wanted(only, r->ext)) {
            continue;
        }
        pattern(r, bits);
        dotted(r->name, name);
        if (json) {
            printf("%s\n  {\"name\": \"%s\", \"bytes\": %u, \"match\": %" PRIu32
                   ", \"mask\": %" PRIu32 ", \"extension\": \"%s\", \"class\": \"%s\"}",
                   shown ? "," : "", name, r->len, r->match, r->mask, shown_ext(r->ext),
                   isa_class_name(r->cls));
        } else {
            printf("%-16s %-38s %-12s %s%s\n", name, bits, shown_ext(r->ext), kinds ? kind_of(r) : "", isa_class_name(r->cls));
        }
        shown++;
    }
    return shown;
}

static unsigned
list_csrs(const char *only, bool json)
{
    static const char *const levels[] = {"user", "supervisor", "hypervisor", "machine"};
    unsigned shown = 0;

    for (size_t i = 0; i < isa_csr_count; i++) {
        const struct csr_row *r = &isa_csrs[i];
        const char *access = isa_csr_is_read_only(r->number) ? "ro" : "rw";
        if (!wanted(only, r->ext)) {
            continue;
        }
        if (json) {
            printf("%s\n  {\"number\": %u, \"name\": \"%s\", \"level\": \"%s\", \"access\": "
                   "\"%s\", \"extension\": "
                   "\"%s\", \"class\": \"%s\"}",
                   shown ? "," : "", r->number, r->name, levels[isa_csr_level(r->number)], access,
                   shown_ext(r->ext), isa_class_name(r->cls));
        } else {
            printf("0x%03x %-16s %-10s %s %-12s %s\n", r->number, r->name,
                   levels[isa_csr_level(r->number)], access, shown_ext(r->ext),
                   isa_class_name(r->cls));
        }
        shown++;
    }
    return shown;
}

/* A run of rows that share extension and gate: "hpmcounter3 … hpmcounter31". Pass ext < 0 to end
 * the last one. */
struct run {
    int ext;
    char first[32], last[32];
};

static void
run_add(struct run *run, int ext, const char *name)
{
    if (run->ext >= 0 && run->ext != ext) {
        const char *gate = isa_gate((unsigned)run->ext);
        bool one = strcmp(run->first, run->last) == 0;
        printf("  %-14s %s %-14s %-8s %s\n", run->first, one ? " " : "…", one ? "" : run->last,
               shown_ext((unsigned)run->ext), gate != NULL ? gate : "");
    }
    if (run->ext != ext) {
        dotted(name, run->first);
    }
    dotted(name, run->last);
    run->ext = ext;
}

/* What the theorem is computed for: the lists, or copies of them in which a row was reclassified.
 */
struct tables {
    const struct insn_row *insns; /* isa_row_count */
    const struct csr_row *csrs;   /* isa_csr_count */
};

static void
name_rows(const struct tables *t, unsigned cls)
{
    struct run run = {.ext = -1};
    for (size_t i = 0; i < isa_row_count; i++) {
        if (t->insns[i].cls == cls) {
            run_add(&run, t->insns[i].ext, t->insns[i].name);
        }
    }
    for (size_t i = 0; i < isa_csr_count; i++) {
        if (t->csrs[i].cls == cls) {
            run_add(&run, t->csrs[i].ext, t->csrs[i].name);
        }
    }
    run_add(&run, -1, "");
}

static void
theorem(const struct tables *t, bool json)
{
    struct popek_verdict v;
    bool holds = isa_popek(t->insns, isa_row_count, t->csrs, isa_csr_count, &v);

    if (json) {
        printf("{\"holds\": %s, \"innocuous\": %zu, \"privileged\": %zu, \"gated\": %zu, "
               "\"critical\": %zu}",
               holds ? "true" : "false", v.innocuous, v.privileged, v.gated, v.critical);
        return;
    }
    printf(
        "%zu instructions and %zu CSRs: %zu innocuous, %zu privileged, %zu gated, %zu critical\n",
        isa_row_count, isa_csr_count, v.innocuous, v.privileged, v.gated, v.critical);
    if (!holds) {
        printf("Popek and Goldberg: sensitive ⊆ privileged: does not hold; sensitive, and never "
               "trap in user mode:\n");
        name_rows(t, CLASS_CONTROL);
        name_rows(t, CLASS_BEHAVIOUR);
        return;
    }
    printf("Popek and Goldberg: sensitive ⊆ privileged: holds\n");
}

/* "NAME=CLASS": the verdict, were the instruction or CSR of that name of that class. */
static int
suppose(const char *what)
{
    struct insn_row *insns = malloc(isa_row_count * sizeof *insns);
    struct csr_row *csrs = malloc(isa_csr_count * sizeof *csrs);
    size_t len = strcspn(what, "="), found = 0;
    unsigned cls = 0;
    int status = 0;

    if (insns == NULL || csrs == NULL) {
        status = cli_error(CMD_isa, "out of memory");
        goto free_both;
    }
    while (cls <= CLASS_BEHAVIOUR &&
           (what[len] == 0 || strcmp(isa_class_name(cls), what + len + 1) != 0)) {
        cls++;
    }
    if (cls > CLASS_BEHAVIOUR) {
        status = cli_error(
            CMD_isa, "%s: want NAME=innocuous, privileged, gated, control or behaviour", what);
        goto free_both;
    }
    memcpy(insns, isa_rows, isa_row_count * sizeof *insns);
    memcpy(csrs, isa_csrs, isa_csr_count * sizeof *csrs);
    for (size_t i = 0; i < isa_row_count; i++) {
        char name[32];
        dotted(insns[i].name, name);
        if (strlen(name) == len && memcmp(name, what, len) == 0) {
            insns[i].cls = (uint8_t)cls;
            found++;
        }
    }
    for (size_t i = 0; i < isa_csr_count; i++) {
        if (strlen(csrs[i].name) == len && memcmp(csrs[i].name, what, len) == 0) {
            csrs[i].cls = (uint8_t)cls;
            found++;
        }
    }
    if (found == 0) {
        status = cli_error(CMD_isa, "%.*s is no instruction and no CSR", (int)len, what);
        goto free_both;
    }
    theorem(&(struct tables){insns, csrs}, false);
free_both:
    free(insns);
    free(csrs);
    return status;
}

int
cmd_isa(int argc, char **argv)
{
    struct opts o = {.cmd = CMD_isa, .argc = argc, .argv = argv, .next = 1};
    const struct tables real = {isa_rows, isa_csrs};
    const char *only = NULL, *supposed = NULL;
    bool json = false, csrs = false, gates = false, kinds = false;

    for (int opt; (opt = opts_next(&o)) != OPTS_END;) {
        switch (opt) {
        case OPT_isa_ext:
            only = o.value;
            break;
        case OPT_isa_json:
            json = true;
            break;
        case OPT_isa_csrs:
            csrs = true;
            break;
        case OPT_isa_kinds:
            kinds = true;
            break;
        case OPT_isa_theorem:
            gates = true;
            break;
        case OPT_isa_suppose:
            supposed = o.value;
            break;
        default:
            return EXIT_DOPPEL;
        }
    }
    if (o.next != argc) {
        return cli_error(CMD_isa, "unexpected argument %s; for one extension: doppel isa --ext %s", argv[o.next],
                         argv[o.next]);
    }
    if (supposed != NULL) {
        return suppose(supposed);
    }
    if (json) {
        printf("{\"instructions\": [");
        list_insns(only, true, false);
        printf("],\n\"csrs\": [");
        list_csrs(only, true);
        printf("],\n\"theorem\": ");
        theorem(&real, true);
        printf("}\n");
        return 0;
    }
    if (gates) {
        theorem(&real, false);
        printf("as long as the monitor closes the gates of\n");
        name_rows(&real, CLASS_GATED);
        return 0;
    }
    if ((csrs ? list_csrs(only, false) : list_insns(only, false, kinds)) == 0) {
        return cli_error(CMD_isa, "%s: no extension that has any; doppel isa names them", only);
    }
    if (only == NULL) {
        theorem(&real, false);
    }
    return 0;
}
